"""``python -m benchmarks.workers``: what more workers gain, and what plots of one tile share.

Every request takes 30 ms. The archive is that of `benchmarks.national`, as files behind a server on
loopback. So that waiting rules on a machine of few cores, a worker has few threads that read.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from timesync_xr import Archive, extract
from timesync_xr.grid import Tile
from timesync_xr.landsat import TILE_SIZE
from timesync_xr.raster import reader
from timesync_xr.storage.folder import Folder

from .national import CU, SOURCE, items_of, keep_items, write_assets
from .processes import dask_processes
from .server import Served, serving

TILES: tuple[Tile, ...] = tuple((h, 9) for h in range(3, 11))
ONE: Tile = (12, 9)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--items", type=int, default=18, help="items of a tile; a third are fill")
    parser.add_argument("--threads", type=int, default=1, help="threads that read, of a worker")
    parser.add_argument("--delay", type=float, default=0.03, help="seconds of a request")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timesync-workers-") as folder:
        archive = Path(folder) / "archive"
        for tile in (*TILES, ONE):
            write_assets(archive, items_of(tile, options.items))
        with serving(archive, options.delay) as server:
            _workers(Path(folder), server, options)
        with serving(archive, 0) as server:
            _one_tile(Path(folder), server, options.items)


def _workers(folder: Path, server: Served, options: argparse.Namespace) -> None:
    """Two plots on each of eight tiles, by one worker and by four."""
    plots = pd.concat([_plots(tile, 2) for tile in TILES], ignore_index=True)
    plots["plot_id"] = plots.index.astype(str)
    seconds = {}
    for workers in (1, 4):
        out = folder / f"{workers}"
        keep_items(Folder(out), TILES, options.items)
        variables = {"TIMESYNC_XR_THREADS": str(options.threads)}
        with dask_processes(folder, workers, **variables) as client:
            client.run(_get_ready)
            start = time.perf_counter()
            extract(
                plots,
                out,
                Archive(SOURCE, mirror=f"s3://bucket={server.address}"),
                progress=False,
                workers=client,
            )
            seconds[workers] = time.perf_counter() - start
        print(f"{workers} workers: {seconds[workers]:.1f} s, {len(server.counts()[0])} requests")
    print(f"4 workers against 1: {seconds[1] / seconds[4]:.2f} times as fast (asked for: 3.2)")


def _get_ready() -> None:
    """Import what the first plot needs."""
    import rasterio  # noqa: F401
    import rioxarray  # noqa: F401

    from timesync_xr.run import plot  # noqa: F401


def _one_tile(folder: Path, server: Served, items: int) -> None:
    """Requests per plot: of 60 plots at random in a tile, and of each of some of them alone."""
    plots = _plots(ONE, 60)

    def requests(chosen: pd.DataFrame, name: str) -> float:
        reader.reset()
        keep_items(Folder(folder / name), [ONE], items)
        extract(
            chosen,
            folder / name,
            Archive(SOURCE, mirror=f"s3://bucket={server.address}"),
            progress=False,
        )
        return len(server.counts()[0]) / len(chosen)

    alone = [requests(plots[n : n + 1], f"alone{n}") for n in range(5)]
    together, single = requests(plots, "together"), float(np.mean(alone))
    print(
        f"requests per plot: {single:.0f} alone, {together:.0f} with 59 others of its tile: "
        f"{together / single:.3f} times (asked for: 0.6)"
    )


def _plots(tile: Tile, count: int) -> pd.DataFrame:
    """Plots at random in a tile, as many as half a chip from its edge."""
    places = np.random.default_rng(tile).integers(128, TILE_SIZE - 128, (count, 2))
    corner = np.array(tile) * TILE_SIZE
    points = [CU.center(*map(int, corner + place)) for place in places]
    table = pd.DataFrame(points, columns=["x", "y"])
    return table.assign(project_id="1", plot_id=table.index.astype(str), offset=0.0)


if __name__ == "__main__":
    main()
