"""Scenes: what another grid costs, and what another continent does.

``python -m benchmarks.scenes`` measures the index of a chip on another grid, and the gather of an
observation; whole jobs on the scenes' own zone and on the grid of ARD, in turn; and two processes
behind a server that waits 100 ms before each answer. There the time of the working thread is told
apart by the system's own account: at work, waiting for a core (which others may have), and asleep,
which is waiting for requests.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from rasterio.transform import from_origin

from timesync_xr import Archive, Products, extract
from timesync_xr.catalog.scenes import FAR
from timesync_xr.grid import DEGREES, ChipGrid, get_grid, transformer
from timesync_xr.landsat import BANDS, QA_BAND
from timesync_xr.raster import footing, reader
from timesync_xr.storage.access import SIGNED

from .archive import COLS, ROWS, _qa, _reflectance
from .server import serving

PLACE: Final = (-90.3, 44.6)
ZONE: Final = 15
DISTINCT: Final = 4
SIZE: Final = (256 * len(COLS), 256 * len(ROWS))
DELAY: Final = 0.1
CHIP: Final = 255


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.scenes", description=__doc__)
    options.add_argument("--observations", type=int, default=96)
    options.add_argument("--runs", type=int, default=3)
    count, runs = (given := options.parse_args()).observations, given.runs
    _index(20)
    with tempfile.TemporaryDirectory(prefix="timesync-bench-") as text:
        folder = Path(text)
        _make(folder, count)
        own, other = [], []
        for _ in range(runs):
            own.append(_cpu(folder, f"EPSG:326{ZONE}", count))
            other.append(_cpu(folder, "CU", count))
        a, b = statistics.median(own), statistics.median(other)
        print(f"whole job, own zone: {a:.1f} ms of CPU an observation")
        print(f"whole job, grid of ARD: {b:.1f} ms, {b / a:.2f} times as much")
        for threads in (64, FAR):
            _far(folder, count, threads)


def _index(runs: int) -> None:
    """The index of a chip in its zone, and the gather of the seven bands of an observation."""
    grid, to = get_grid("CU"), f"EPSG:326{ZONE}"
    x, y = transformer(DEGREES, grid.crs).transform(*PLACE)
    chip = ChipGrid.around(grid, x, y, CHIP)
    left, _, _, top = chip.bounds
    transformer(grid.crs, to).transform(0, 0)

    def index() -> Any:
        footing.turned_pixels.cache_clear()
        return footing.turned_pixels(grid, (left, top), (CHIP, CHIP), to, (15, 15))

    def by_pyproj() -> None:
        x, y = np.meshgrid(left + 30.0 * np.arange(CHIP), top - 30.0 * np.arange(CHIP))
        footing.pixels_of(grid, x, y, to, (15, 15))

    turned = index()
    made = footing.Footing(turned.window, turned)
    box = np.ones((turned.window.height, turned.window.width), np.uint16)
    out = np.empty((len(BANDS), CHIP, CHIP), np.uint16)

    def gather() -> None:
        for band in out:
            made.gather(box, band)

    print(
        f"index: {_ms(index, runs):.1f} ms; pyproj for every pixel: {_ms(by_pyproj, runs):.1f} ms"
    )
    print(f"gather of seven bands: {_ms(gather, 5 * runs):.2f} ms")


def _ms(work: Callable[[], object], runs: int) -> float:
    """Milliseconds of CPU, the median."""
    used = []
    for _ in range(runs):
        start = time.process_time()
        work()
        used.append(time.process_time() - start)
    return 1000 * statistics.median(used)


def _make(folder: Path, count: int) -> None:
    """Files, items and plots of one scene on many days, of which a few differ."""
    x, y = transformer(DEGREES, f"EPSG:326{ZONE}").transform(*PLACE)
    corner = tuple(15 + round(edge / 30) * 30 for edge in (
        x - 15 * SIZE[0], y + 15 * SIZE[1]))  # fmt: skip
    xs = [corner[0], corner[0] + 30 * SIZE[0]]
    ys = [corner[1], corner[1] - 30 * SIZE[1]]
    lon, lat = transformer(f"EPSG:326{ZONE}", DEGREES).transform(xs * 2, [*ys, *ys[::-1]])
    items = []
    for number in range(count):
        day = str(np.datetime64("1990-01-01") + 8 * number).replace("-", "")
        scene = f"LC08_L2SP_025029_{day}"
        assets = {}
        for band in BANDS:
            key = f"level-2/{scene}_20210504_02_T1_{band}.TIF"
            first = folder / f"level-2/{number % DISTINCT}_{band}.TIF"
            first.parent.mkdir(exist_ok=True)
            if number < DISTINCT:
                data = _qa(number) if band == QA_BAND else _reflectance(number, band)
                _write(first, data, corner, int(band == QA_BAND))
            os.link(first, folder / key)
            assets[band] = {"href": f"{SIGNED[0]}/{key}"}
        items.append({
            "type": "Feature", "stac_version": "1.0.0", "id": f"{scene}_02_T1", "links": [],
            "collection": "landsat-c2-l2", "geometry": None, "assets": assets,
            "bbox": [min(lon), min(lat), max(lon), max(lat)],
            "properties": {
                "datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T16:50:00Z", "eo:cloud_cover": 1.0,
                "proj:epsg": 32600 + ZONE, "proj:shape": SIZE[::-1],
                "proj:transform": [30, 0, corner[0], 0, -30, corner[1]],
            },
        })  # fmt: skip
    collection = {"type": "FeatureCollection", "features": items}
    (folder / "items.json").write_text(json.dumps(collection))
    (folder / "plots.csv").write_text(f"project_id,plot_id,lon,lat\n1,1,{PLACE[0]},{PLACE[1]}\n")


def _write(path: Path, data: Any, corner: tuple[int, ...], nodata: int) -> None:
    """A file of a scene, in blocks as real ones."""
    with rasterio.open(
        path, "w", driver="GTiff", width=SIZE[0], height=SIZE[1], count=1, dtype="uint16",
        crs=f"EPSG:326{ZONE}", transform=from_origin(*corner, 30, 30), nodata=nodata, tiled=True,
        blockxsize=256, blockysize=256, compress="deflate", predictor=2,
    ) as file:  # fmt: skip
        file.write(data, 1)


def _job(folder: Path, place: str, grid: str) -> None:
    """A whole job, cold."""
    archive = Archive(folder / "items.json", mirror=f"{SIGNED[0]}={place}")
    with tempfile.TemporaryDirectory(prefix="timesync-bench-") as out:
        summary = extract(
            folder / "plots.csv", Path(out) / "project", archive, products=Products(grid=grid),
            progress=False)  # fmt: skip
    if not summary.complete:
        raise SystemExit(str(summary))


def _cpu(folder: Path, grid: str, count: int) -> float:
    """Milliseconds of CPU of an observation of a whole job on local files."""
    reader.reset()
    start = time.process_time()
    _job(folder, str(folder), grid)
    return 1000 * (time.process_time() - start) / count


def _far(folder: Path, count: int, threads: int) -> None:
    """Two processes behind a server that waits: what the working thread's time is spent on."""
    os.environ[reader.THREADS] = str(threads)
    with serving(folder, DELAY) as server, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        told = list(pool.map(_work, [(folder, server.address, count)] * 2))
    for work, queue, asleep, requests in told:
        whole = work + queue + asleep
        print(
            f"100 ms a request, {threads} at a time, two processes: {1000 * work / count:.1f} ms "
            f"at work an observation; of the time {work / whole:.0%} at work, {queue / whole:.0%} "
            f"waiting for a core, {asleep / whole:.0%} asleep; {requests:.0f} ms of CPU in all"
        )


def _work(job: tuple[Path, str, int]) -> tuple[float, float, float, float]:
    """Seconds of the working thread at work, waiting for a core, and asleep; CPU ms in all."""
    folder, address, count = job
    _job(folder, str(folder), "CU")  # what a process begins with
    reader.reset()
    told: list[float] = []

    def work() -> None:
        start, used, (run, queue) = time.monotonic(), time.process_time(), _schedule()
        _job(folder, address, "CU")
        now = _schedule()
        run, queue = now[0] - run, now[1] - queue
        asleep = time.monotonic() - start - run - queue
        told.extend([run, queue, asleep, 1000 * (time.process_time() - used) / count])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return told[0], told[1], told[2], told[3]


def _schedule() -> tuple[float, float]:
    """Seconds that this thread was at work, and that it waited for a core."""
    text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    run, queue, _ = map(int, text.split())
    return run / 1e9, queue / 1e9


if __name__ == "__main__":
    main()
