"""``python -m benchmarks.scale``: a national project on a cluster, the archive faked at the reader.

Real are the plot list (that of a user if it lies beside the checkout, repeated over the grid), the
planning, a dask scheduler with workers, submission, reading, drawing, accounts and ledger. Only the
bytes of the assets are made up, see `benchmarks.national`. So that 27,000 plots take an hour and
not weeks, of the items of a tile only those of one day of the year and one sensor are looked at;
the others are filtered. ``--all`` looks at all of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from timesync_xr import Archive, Selection, extract
from timesync_xr.project.ledger import Ledger
from timesync_xr.run.forecast import plan
from timesync_xr.storage.folder import Folder

from .national import SOURCE, fake_assets, keep_items, plot_list, tiles_of
from .processes import Watch, dask_processes, peak_megabytes

FEW = Selection(season="08-03/08-03", sensors=("LC09",))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--plots", type=int, default=27_000)
    parser.add_argument("--items", type=int, default=3_900, help="items of a tile")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="look at every observation")
    parser.add_argument("--folder", type=Path, help="where to work; 1 MB per plot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timesync-scale-", dir=options.folder) as folder:
        _run(Path(folder), options)


def _run(folder: Path, options: argparse.Namespace) -> None:
    started = time.perf_counter()
    plots, out = plot_list(options.plots), folder / "out"
    tiles = tiles_of(plots)
    keep_items(Folder(out), tiles, options.items)
    _tell(f"{len(plots)} plots on {len(tiles)} tiles of {options.items} items", started)
    started = time.perf_counter()
    forecast = plan(plots, Archive(SOURCE), project=out)
    _tell(f"plan: {forecast.observations} observations", started)
    with dask_processes(folder, options.workers) as client:
        client.run(fake_assets)
        watch, ledger = Watch(client), _timed(Ledger, "record")
        before = peak_megabytes()
        cpu, wall = time.process_time(), time.perf_counter()
        summary = extract(
            plots, out, Archive(SOURCE), Selection() if options.all else FEW, workers=client
        )
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        watch.stop()
    assert summary.complete
    count = len(plots)
    print(f"first plot submitted after {watch.first:.0f} s")
    print(f"observations written: {summary.rows['written'].sum()}")
    print(
        f"wall time {wall:.0f} s with {options.workers} workers, {1000 * wall / count:.1f} ms "
        f"per plot"
    )
    print(
        f"client: {1000 * cpu / count:.1f} ms of processor time per plot, of which ledger "
        f"{1000 * ledger[0] / count:.1f}"
    )
    print(f"client: {peak_megabytes():.0f} MB at most, {before:.0f} before")
    print(f"scheduler: {watch.tasks} tasks at most, {watch.megabytes:.0f} MB at most")
    _tell_size(out)


def _tell_size(out: Path) -> None:
    started = time.perf_counter()
    rows = len(Ledger(Folder(out)).rows)
    size = (out / "ledger/plots.csv").stat().st_size / 1e6
    _tell(f"ledger: {rows} rows, {size:.1f} MB, read", started)
    accounts = [path.stat().st_size for path in (out / "ledger/observations").rglob("*.csv")]
    print(f"accounts: {sum(accounts) / len(accounts) / 1e3:.0f} kB each")


def _timed(owner: Any, name: str) -> list[float]:
    """Sums up the processor time of a method from now on."""
    total, method = [0.0], getattr(owner, name)

    def timed(*arguments: Any) -> Any:
        start = time.thread_time()
        try:
            return method(*arguments)
        finally:
            total[0] += time.thread_time() - start

    setattr(owner, name, timed)
    return total


def _tell(what: str, started: float) -> None:
    print(f"{what}, {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
