"""``python -m benchmarks.cores``: what the command gains by all cores, unasked.

The command makes the same plots from a folder by ``--workers 1``, by default, and by ``--workers``
and the number of cores, in turns, each in a process of its own from its start to its end. What it
makes must be the same, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from timesync_xr.landsat import TILE_SIZE

from .archive import BLOCK, BUCKET, COLS, REGION, ROWS, TILE, make_archive

HALF = 127
WAYS = {"--workers 1": ["--workers", "1"], "by default": [], "all cores": ["--workers", "0"]}
SCENES = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cores", description=__doc__)
    parser.add_argument("--plots", type=int, default=20)
    parser.add_argument("--observations", type=int, default=300, help="of a plot")
    parser.add_argument("--runs", type=int, default=3, help="runs of each way")
    parser.add_argument("--formats", default="png,csv")
    parser.add_argument("--folder", type=Path, help="where to work; some GB, on a disk")
    options = parser.parse_args()
    WAYS["all cores"][1] = str(os.cpu_count())
    with tempfile.TemporaryDirectory(prefix="timesync-cores-", dir=options.folder) as folder:
        _compare(Path(folder), options)


def _compare(folder: Path, options: argparse.Namespace) -> None:
    archive = make_archive(folder / "archive", SCENES, options.observations)
    items = archive.subset(options.observations, "all")
    words = [str(_write_plots(folder / "plots.csv", options.plots)), "--source", str(items)]
    words += ["--mirror", f"{BUCKET}={archive.folder}", "--products", options.formats]
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    made: dict[str, str] = {}
    for number in range(options.runs):
        for way, more in WAYS.items():
            out = folder / f"{way} {number}"
            cpu, start = _processor_seconds(), time.perf_counter()
            command = [sys.executable, "-m", "timesync_xr", "extract", *words, "--out", str(out)]
            subprocess.run([*command, *more, "--quiet"], check=True)
            seconds[way].append(time.perf_counter() - start)
            cpu = _processor_seconds() - cpu
            made[f"{way} {number}"] = _digest(out)
            print(f"{way}: {seconds[way][-1]:.1f} s, {cpu:.1f} s of CPU", flush=True)
            for path in out.rglob("*"):  # to remove files makes the next run slower
                if path.is_file():
                    os.truncate(path, 0)
    assert len(set(made.values())) == 1, f"they differ: {made}"
    alone, default = (statistics.median(seconds[way]) for way in ("--workers 1", "by default"))
    print(f"{options.plots} plots of {options.observations} observations, the same bytes")
    print(f"by default against --workers 1: {alone / default:.2f} times as fast (asked for: 1.8)")


def _write_plots(path: Path, count: int) -> Path:
    """Plots at random where the archive holds data."""
    rng = np.random.default_rng(count)
    cols = rng.integers(COLS[0] * BLOCK + HALF, (COLS[-1] + 1) * BLOCK - HALF, count)
    rows = rng.integers(ROWS[0] * BLOCK + HALF, (ROWS[-1] + 1) * BLOCK - HALF, count)
    lines = ["project_id,plot_id,x,y"]
    for number, (col, row) in enumerate(zip(cols, rows, strict=True)):
        x, y = REGION.center(TILE[0] * TILE_SIZE + int(col), TILE[1] * TILE_SIZE + int(row))
        lines.append(f"1,{number},{x},{y}")
    path.write_text("\n".join(lines))
    return path


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _digest(out: Path) -> str:
    """Of the chips, tables and cubes; the ledger tells times, too."""
    digest = hashlib.sha256()
    for path in sorted(path for path in out.glob("prj_*/**/*") if path.is_file()):
        digest.update(f"{path.relative_to(out)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
