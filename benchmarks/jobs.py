"""What is measured: ``python -m benchmarks.jobs`` does one job in a process of its own.

A job is told by a JSON object on the command line and answers with one: CPU and wall milliseconds
per observation, peak memory, and the requests that a server counted. Each job is done once on a few
other observations before, so that imports and the first touch of memory do not count: a run goes on
for days.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from timesync_xr import Archive, Products
from timesync_xr.landsat import BANDS

from .archive import BUCKET, REGION, plot_xy, write_plots
from .server import Served

REFERENCE: Final = Path(__file__).parents[2] / "shared" / "reference"


@dataclass(frozen=True)
class Job:
    """One thing to measure."""

    name: str
    """Which of `JOBS`."""
    items: str
    """File of the observations' items."""
    observations: int
    """How many they are."""
    archive: str
    """Folder of the files, or address of the server that has them."""
    warm_items: str
    """File with the items of a few other observations."""
    plots: tuple[str, ...] = ("main",)
    """Plots to make; the last is what is measured, the others come before."""
    together: bool = False
    """Whether all plots are made in one run, which is measured."""
    processes: int = 1
    """How many processes do all of it at the same time."""


def run(job: Job) -> dict[str, Any]:
    """Do a job; call it in a fresh process. Its files stay behind, empty, in BENCH_WORK.

    Of several processes the wall time is that of all, by the observations of all.
    """
    if job.processes == 1:
        return _run(job)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(job.processes).wait
    with ProcessPoolExecutor(job.processes, context, _wait_by, (ready,)) as pool:
        told = list(pool.map(_run, [job] * job.processes))
    return {
        "cpu": sum(one["cpu"] for one in told) / job.processes,
        "wall": max(one["wall"] for one in told) / job.processes,
        "memory": sum(one["memory"] for one in told),
        "server": max(one["server"] for one in told) / job.processes,
        "requests": [],
    }


_waits: list[Callable[[], object]] = []
"""What to wait for before the measured part begins: other processes."""


def _wait_by(wait: Callable[[], object]) -> None:
    _waits.append(wait)


def _run(job: Job) -> dict[str, Any]:
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=os.environ["BENCH_WORK"]))
    server = Served(job.archive) if job.archive.startswith("http") else None
    do = JOBS[job.name]
    try:
        do(job, job.warm_items, ("main",), work / "warm")
        measured = job.plots if job.together else job.plots[-1:]
        for number, plot in enumerate(() if job.together else job.plots[:-1]):
            do(job, job.items, (plot,), work / f"before{number}")
        for wait in _waits:
            wait()
        served = server.counts()[1] if server else 0.0
        cpu, wall = time.process_time(), time.perf_counter()
        extra = do(job, job.items, measured, work / "measured") or {}
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        requests, busy = server.counts() if server else ([], 0.0)
    finally:
        _empty(work)
    per = 1000 / job.observations / len(measured)
    return {
        "cpu": cpu * per,
        "wall": wall * per,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "server": (busy - served) * per,
        "requests": requests,
        **extra,
    }


def _empty(folder: Path) -> None:
    """Take the bytes of all files, but leave the files.

    For minutes ext4 looks at each deleted file before it makes a new one: jobs that delete theirs
    make all others slower, by half a millisecond an observation. A real run deletes nothing.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def _whole_job(job: Job, items: str, plots: tuple[str, ...], work: Path) -> None:
    _make(job, items, plots, work, Products(("png", "csv")))


def _spectra(job: Job, items: str, plots: tuple[str, ...], work: Path) -> None:
    """Spectra alone, which read the plot pixel alone."""
    _make(job, items, plots, work, Products("csv"))


def _make(job: Job, items: str, plots: tuple[str, ...], work: Path, products: Products) -> None:
    from timesync_xr import extract

    work.mkdir()
    extract(
        write_plots(work / "plots.csv", plots),
        work / "out",
        Archive(items, mirror=f"{BUCKET}={job.archive}"),
        products=products,
        progress=False,
        workers=1,
    )


def _cube(job: Job, items: str, plots: tuple[str, ...], _work: Path) -> None:
    from timesync_xr import chips_for_plot

    for plot in plots:
        chips_for_plot(plot_xy(plot), Archive(items, mirror=f"{BUCKET}={job.archive}")).compute()


def _graph(_job: Job, items: str, plots: tuple[str, ...], _work: Path) -> dict[str, Any]:
    """The lazy cube alone; tells its keys and the files that were opened."""
    from timesync_xr import chips_for_plot, search_items
    from timesync_xr.landsat import TILE_SIZE

    col, row = REGION.pixel(*plot_xy(plots[0]))
    table = search_items([(col // TILE_SIZE, row // TILE_SIZE)], Archive(items))
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    start = time.perf_counter()
    cube = chips_for_plot(plot_xy(plots[0]), Archive(table))
    seconds = time.perf_counter() - start
    files = sum(path.endswith(".TIF") for path in opened)
    graph: Any = cube
    return {"seconds": seconds, "keys": len(dict(graph.__dask_graph__())), "files": files}


def _reference(job: Job, items: str, plots: tuple[str, ...], work: Path) -> None:
    """The reference algorithm, reading by GDAL from the archive."""
    import warnings

    warnings.filterwarnings("ignore")
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="x")
    sys.path.insert(0, str(REFERENCE))
    import notebook_code  # type: ignore[import-not-found]

    prefix = f"/vsicurl/{job.archive}" if job.archive.startswith("http") else job.archive
    features = _features(items, prefix)
    notebook_code.query_stac = lambda _query: features
    params = {
        "project_dir": f"{work}/",
        "chip_size": [255, 255],
        "region": "CU",
        **notebook_code.local_setup(),
    }
    work.mkdir()
    for plot in notebook_code.format_plot_data(_whole_metres(work, plots)).itertuples():
        _, status = notebook_code.process_plot(plot, params)
        if status != "complete":
            raise RuntimeError(status)


def _whole_metres(work: Path, plots: tuple[str, ...]) -> Path:
    """A plot list without decimals: the reference reads no others."""
    path = write_plots(work / "plots.csv", plots)
    path.write_text(path.read_text().replace(".0", ""))
    return path


def _features(items: str, prefix: str) -> list[dict[str, Any]]:
    """Items whose assets lie below another address."""
    text = Path(items).read_text().replace(BUCKET, prefix)
    features: list[dict[str, Any]] = json.loads(text)["features"]
    return features


def _direct(job: Job, items: str) -> list[dict[str, Any]]:
    """Items whose href is where the asset lies, as odc-stac and stackstac read them."""
    features = _features(items, job.archive)
    for feature in features:
        for asset in feature["assets"].values():
            asset["href"] = asset.pop("alternate")["s3"]["href"]
    return features


def _chip_bounds(plot: str) -> tuple[float, float, float, float]:
    x, y = plot_xy(plot)
    half = 127.5 * 30
    return x - half, y - half, x + half, y + half


_GDAL: Final = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}


def _odc(job: Job, items: str, plots: tuple[str, ...], _work: Path) -> None:
    """odc-stac at its best: told the CRS of the files and the exact pixels, it need not warp."""
    _load_by_odc(job, items, plots, REGION.crs)


def _odc_by_code(job: Job, items: str, plots: tuple[str, ...], _work: Path) -> None:
    """odc-stac as it is mostly called: with the code of the CRS, so that it warps."""
    _load_by_odc(job, items, plots, "EPSG:5070")


def _load_by_odc(job: Job, items: str, plots: tuple[str, ...], crs: str) -> None:
    import odc.stac
    import pystac
    import rasterio
    from affine import Affine
    from odc.geo.geobox import GeoBox

    found = [pystac.Item.from_dict(feature) for feature in _direct(job, items)]
    every = {"data_type": "uint16", "nodata": 0}
    left, _, _, top = _chip_bounds(plots[0])
    with rasterio.Env(**_GDAL):
        odc.stac.load(
            found,
            bands=list(BANDS),
            geobox=GeoBox((255, 255), Affine(30, 0, left, 0, -30, top), crs),
            groupby="id",
            stac_cfg={"landsat-c2ard-sr": {"assets": {"*": every}}},
        )


def _stackstac(job: Job, items: str, plots: tuple[str, ...], _work: Path) -> None:
    import numpy as np
    import rasterio.enums
    import stackstac

    features = _direct(job, items)
    for feature in features:
        feature["properties"]["proj:epsg"] = 5070  # it takes no CRS without a code
    stackstac.stack(
        features,
        assets=list(BANDS),
        bounds=_chip_bounds(plots[0]),
        resolution=30,
        epsg=5070,
        snap_bounds=False,
        dtype=np.dtype("uint16"),
        fill_value=np.uint16(0),
        rescale=False,
        resampling=rasterio.enums.Resampling.nearest,
    ).compute()


def _floor(job: Job, items: str, plots: tuple[str, ...], _work: Path) -> dict[str, Any]:
    from .floor import floor

    return floor(job.archive, items, _direct(job, items), plots[0])


def _fetch(job: Job, items: str, plots: tuple[str, ...], _work: Path) -> dict[str, Any]:
    from .floor import fetch

    return fetch(job.archive, _direct(job, items), plots[0])


JOBS: Final[dict[str, Callable[..., Any]]] = {
    "timesync_xr": _whole_job,
    "timesync_xr spectra": _spectra,
    "timesync_xr cube": _cube,
    "timesync_xr graph": _graph,
    "reference": _reference,
    "odc-stac cube": _odc,
    "odc-stac cube by code": _odc_by_code,
    "stackstac cube": _stackstac,
    "floor": _floor,
    "fetching alone": _fetch,
}


def to_text(job: Job) -> str:
    """A job as its command line's argument."""
    return json.dumps(asdict(job))


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(run(Job(**told | {"plots": tuple(told["plots"])}))))
