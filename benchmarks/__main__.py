"""``python -m benchmarks``: measure everything in one run and print one table."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .archive import make_archive
from .jobs import REFERENCE, Job
from .measure import Figures, Setting, local, measure, served
from .startup import startup_targets
from .targets import CORES, Target, choice_targets, request_targets, scale_targets, speed_targets

DELAY = 0.03
ALONE = ("floor", "fetching alone 30 ms")
"""Jobs of which only a part is measured, so that their wall time says nothing."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="timesync-bench-", dir=options.folder) as folder:
        found, notes = _measure(Path(folder), options)
    print("\n".join([*_table(found), *notes, "", *_target_table(_targets(found, options))]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and quick: shows that it works")
    parser.add_argument("--runs", type=int, default=5, help="runs of each job")
    parser.add_argument("--observations", type=int, default=300, help="of a plot; peers do fewer")
    parser.add_argument(
        "--some", type=int, default=500, help="of a series whose memory is measured"
    )
    parser.add_argument("--many", type=int, default=3000, help="observations of the long series")
    parser.add_argument("--folder", type=Path, help="where to work; a few GB, on a disk")
    options = parser.parse_args()
    if options.smoke:
        options.runs = 1
        options.observations = options.some = options.many = 4
    return options


def _measure(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Figures], list[str]]:
    """Figures of all jobs, and notes on what was left out."""
    scenes = 2 if options.smoke else 20
    delay = 0 if options.smoke else DELAY
    warm = 1 if options.smoke else 24
    here = local(folder / "archive", scenes, options.observations, warm)
    long = local(folder / "archive", scenes, options.many, warm)
    fill = Setting(
        make_archive(folder / "fill", 1, options.observations, fill=True),
        "",
        here.warm_items,
    )
    count = options.observations
    peers, notes = ({}, ["peers: left out"]) if options.smoke else _peers(here, count // 3)
    jobs = {
        "cold": here.job("timesync_xr", count),
        "known": here.job("timesync_xr", count, plots=("far", "main")),
        "spectra": here.job("timesync_xr spectra", count),
        "spectra known": here.job("timesync_xr spectra", count, plots=("far", "main")),
        "cube": here.job("timesync_xr cube", count),
        "floor": here.job("floor", count),
        **peers,
    }
    with served(here, delay) as (there, _), served(fill, delay) as (filled, _):
        jobs |= {
            "cold 30 ms": there.job("timesync_xr", count),
            "known 30 ms": there.job("timesync_xr", count, plots=("far", "main")),
            "spectra 30 ms": there.job("timesync_xr spectra", count),
            "spectra known 30 ms": there.job("timesync_xr spectra", count, plots=("far", "main")),
            "known 30 ms, 2 processes": there.job(
                "timesync_xr", count, plots=("far", "main"), processes=CORES
            ),
            "neighbours 30 ms": there.job(
                "timesync_xr", count, plots=("main", "far", "neighbour"), together=True
            ),
            "fetching alone 30 ms": there.job("fetching alone", count),
            "fill 30 ms": filled.job("timesync_xr", count),
        }
        if "reference" in jobs:
            jobs["reference 30 ms"] = there.job("reference", count // 6)
        found = measure(jobs, options.runs, folder)
    if not options.smoke:
        found |= measure(_series(long, options), options.runs, folder)
    return found, notes


def _peers(here: Setting, count: int) -> tuple[dict[str, Job], list[str]]:
    """Jobs of other programs, as far as they are there. stackstac is slow: it does fewer."""
    jobs = {"stackstac": here.job("stackstac cube", max(2, count // 4))}
    notes = ["lazycogs: left out, it needs Python 3.12 and asynchronous stores of its own"]
    if importlib.util.find_spec("odc") and importlib.util.find_spec("odc.stac"):
        jobs["odc-stac"] = here.job("odc-stac cube", count)
        jobs["odc-stac by code"] = here.job("odc-stac cube by code", count)
    else:
        notes.append("odc-stac: left out, it is not installed (extra: bench)")
    if REFERENCE.is_dir() and importlib.util.find_spec("s3fs"):
        jobs["reference"] = here.job("reference", count)
    else:
        notes.append("reference algorithm: left out, it or s3fs is not here")
    return jobs, notes


def _series(long: Setting, options: argparse.Namespace) -> dict[str, Job]:
    return {
        "graph": long.job("timesync_xr graph", min(1500, options.many)),
        f"{options.some} observations": long.job("timesync_xr", options.some),
        f"{options.many} observations": long.job("timesync_xr", options.many),
    }


def _table(found: dict[str, Figures]) -> Iterator[str]:
    """Everything side by side."""
    yield f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; medians, per observation"
    yield f"{'job':<25}{'CPU ms':>9}{'wall ms':>9}{'requests':>10}{'kB':>9}{'peak MB':>9}"
    for name, f in found.items():
        count = len(f.requests) / f.observations
        net = f"{count:10.1f}{f.bytes / 1000:9.0f}" if f.requests else f"{'-':>10}{'-':>9}"
        wall = f"{f.wall:9.1f}" if name not in ALONE else f"{'-':>9}"
        yield f"{name:<25}{f.cpu:9.2f}{wall}{net}{f.memory:9.0f}"


def _targets(found: dict[str, Figures], options: argparse.Namespace) -> Iterator[Target]:
    yield from speed_targets(found)
    yield from request_targets(found)
    yield from choice_targets(found)
    if not options.smoke:
        yield from scale_targets(found, options.observations, options.some, options.many)
    yield from startup_targets(options.runs)


def _target_table(targets: Iterator[Target]) -> Iterator[str]:
    verdicts = {True: "met", False: "NOT MET", None: "-"}
    yield f"{'what':<60}{'target':>12}{'measured':>12}  verdict"
    for t in targets:
        yield f"{t.what:<60}{t.target:>12}{t.measured:>12}  {verdicts[t.met]}"


if __name__ == "__main__":
    main()
