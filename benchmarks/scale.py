"""``python -m benchmarks.scale``: a national project, its pixels and files faked on the workers.

Real are the plot list (that of a user if it lies beside the checkout, repeated over the grid), the
planning by tile, the item tables, a dask scheduler with workers, submission, accounts and ledger.
A worker makes a plot's account from its items, as if a third were fill at the plot, and keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from timesync_xr import batch, extract
from timesync_xr.account import FILL_AT_PLOT, WRITTEN, start_account
from timesync_xr.catalog import parse_datetime
from timesync_xr.filters import ALL
from timesync_xr.folder import Folder
from timesync_xr.grid import REGIONS, ChipGrid, Tile
from timesync_xr.items import COLUMNS, with_dtypes
from timesync_xr.landsat import BANDS, PLATFORM_AGE
from timesync_xr.ledger import Ledger
from timesync_xr.observations import plan_observations
from timesync_xr.tile_items import Search, TileItems

SOURCE = "https://stac.invalid"
REAL = Path(__file__).parents[2] / "shared/real/timesync_plot_lists/lcnext_srs5000_final.csv"
CU = REGIONS["CU"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--plots", type=int, default=27_000)
    parser.add_argument("--items", type=int, default=3_900, help="items of a tile")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timesync-scale-") as folder:
        _run(Path(folder), options.plots, options.items, options.workers)


def _run(folder: Path, count: int, items: int, workers: int) -> None:
    started = time.perf_counter()
    plots = _plots(count)
    tiles = sorted({t for p in plots.itertuples() for t in _chip(p.x, p.y).tiles})
    _keep_items(Folder(folder / "out"), tiles, items)
    print(f"{count} plots on {len(tiles)} tiles of {items} items, made in "
          f"{time.perf_counter() - started:.0f} s")  # fmt: skip
    with _Processes(folder, workers) as client:
        client.wait_for_workers(workers, timeout=60)
        client.run(_fake)
        watch = _Watch(client)
        cpu, wall = time.process_time(), time.perf_counter()
        summary = extract(plots, folder / "out", source=SOURCE, client=client, progress=True)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        watch.stop()
    assert summary.complete
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"wall time {wall:.0f} s with {workers} workers, {1000 * wall / count:.1f} ms per plot")
    print(f"client: {1000 * cpu / count:.1f} ms of processor time per plot, {peak:.0f} MB at most")
    print(f"scheduler: {watch.tasks} tasks at most, {watch.megabytes:.0f} MB at most")
    started = time.perf_counter()
    rows = len(Ledger(Folder(folder / "out")).rows)
    size = (folder / "out/ledger/plots.csv").stat().st_size / 1e6
    print(f"ledger: {rows} rows, {size:.0f} MB, read in {time.perf_counter() - started:.1f} s")


def _plots(count: int) -> pd.DataFrame:
    """The real list, repeated with a shift; or places at random where it is not here."""
    if REAL.exists():
        places = pd.read_csv(REAL, encoding="utf-8-sig")[["x", "y"]].to_numpy(float)
    else:
        random = np.random.default_rng(1)
        places = random.integers((-60_000, 10_000), (60_000, 90_000), (5000, 2)) * 30.0
    turns = -(-count // len(places))
    moved = np.concatenate([places + 300 * turn for turn in range(turns)])[:count]
    return pd.DataFrame(moved, columns=["x", "y"]).assign(
        project_id="1211", plot_id=[str(n + 1) for n in range(count)], offset=0.0
    )


def _chip(x: float, y: float) -> ChipGrid:
    return ChipGrid.around(CU, x, y, (255, 255))


def _keep_items(folder: Folder, tiles: list[Tile], count: int) -> None:
    """Item tables of tiles, as a search would have left them."""
    kept = Search(SOURCE, "CU", parse_datetime(None))
    time_ = np.datetime64("1984-01-01T18:00", "ns") + np.arange(count) * np.timedelta64(94, "h")
    sensors = np.array(PLATFORM_AGE, dtype=object)[np.arange(count) % len(PLATFORM_AGE)]
    day = pd.Series(np.datetime_as_string(time_, "D")).str.replace("-", "")
    for h, v in tiles:
        item_id = pd.Series(sensors) + f"_CU_{h:03d}{v:03d}_" + day + "_20210504_02_SR"
        left, top = CU.corner((h, v))
        table = pd.DataFrame({
            "item_id": item_id, "sensor": sensors, "region": "CU", "h": h, "v": v, "time": time_,
            "date": np.datetime_as_string(time_) + "Z", "processed": "20210504", "scene_count": 1,
            "cloud_cover": 1.5, "left": left, "top": top, "refused": "",
            **{band: "s3://bucket/" + item_id + f"/{band}.TIF" for band in BANDS},
        })[list(COLUMNS)]  # fmt: skip
        data = with_dtypes(table).to_parquet(index=False, compression="zstd")
        name = f"ledger/items/CU_h{h:02d}v{v:02d}"
        folder.write(f"{name}_table.parquet", data)
        told = {**kept.identity(), "datetime": str(kept.period), "items": count, "digest": name}
        folder.write(f"{name}.json", json.dumps(told).encode())
    items = TileItems(folder, kept, refresh=False)
    assert items.of(tiles[:1])[0].read().shape[0] == count
    items.close()


def _fake() -> None:
    """Make this worker's plots without pixels."""
    known: dict[Any, pd.DataFrame] = {}

    def extract_plot(
        plot: Any, items: pd.DataFrame, request: Any, _folder: Any, _advance: Any
    ) -> pd.DataFrame:
        tiles = request.chip(plot).tiles
        if tiles not in known:
            plan = plan_observations(items, request.chip(plot))
            account = start_account(plan, ALL)
            fill = np.arange(len(account)) % 3 == 0
            account["outcome"] = np.where(fill, FILL_AT_PLOT, WRITTEN)
            known.clear()
            known[tiles] = account
        return known[tiles]

    batch.extract_plot = extract_plot


class _Processes:
    """A scheduler and workers of their own, on loopback."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder, self._workers = folder, workers
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Any:
        from distributed import Client

        file = self._folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
        while not file.exists():
            time.sleep(0.1)
        for _ in range(self._workers):
            self._start("worker", "--nthreads", "1", "--no-nanny", "--scheduler-file", file)
        self._client = Client(scheduler_file=str(file))
        return self._client

    def _start(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        self._running.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             cwd=self._folder, env={**os.environ, "PYTHONPATH": path})
        )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self._client.close()
        for process in self._running:
            process.kill()
            process.wait()


class _Watch:
    """Looks at the scheduler every few seconds."""

    def __init__(self, client: Any) -> None:
        self.tasks, self.megabytes = 0, 0.0
        self._client, self._end = client, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(2):
            tasks, megabytes = self._client.run_on_scheduler(_size)
            self.tasks = max(self.tasks, tasks)
            self.megabytes = max(self.megabytes, megabytes)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def _size(dask_scheduler: Any) -> tuple[int, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return len(dask_scheduler.tasks), peak


if __name__ == "__main__":
    main()
