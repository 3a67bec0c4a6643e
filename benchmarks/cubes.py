"""``python -m benchmarks.cubes``: memory of a plot with all products, and what its cube costs.

The archive is that of `benchmarks.archive`, textured like real scenes, behind a server on loopback.
Every extract runs in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import xarray as xr

from timesync_xr import Archive, Products, extract
from timesync_xr.landsat import BANDS

from .archive import BUCKET, MadeArchive, make_archive, write_plots
from .processes import peak_megabytes
from .server import serving

SCENES = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cubes", description=__doc__)
    parser.add_argument("--observations", type=int, nargs="+", default=[500, 3000])
    parser.add_argument("--folder", type=Path, help="where to work; a few GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timesync-cubes-", dir=options.folder) as folder:
        _run(Path(folder), options.observations)


def _run(folder: Path, counts: list[int]) -> None:
    archive = make_archive(folder / "archive", SCENES, max(counts))
    with serving(archive.folder, 0) as server:
        for count in counts:
            out = folder / f"{count}"
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                told = process.submit(_extract, archive, count, server.address, out).result()
            seconds, megabytes = told
            print(
                f"{count} observations as png, csv and zarr: {megabytes:.0f} MB at most, "
                f"{1000 * seconds / count:.0f} ms each"
            )
    _tell_cube(next(out.glob("prj_*/cubes/*.zarr")), max(counts))


def _extract(archive: MadeArchive, count: int, address: str, out: Path) -> tuple[float, float]:
    """Make a plot; seconds and megabytes."""
    items = archive.subset(count, "of")
    plots = write_plots(archive.folder / "plots.csv", ["main"])
    start = time.perf_counter()
    summary = extract(
        plots,
        out,
        Archive(items, mirror=f"{BUCKET}={address}"),
        products=Products(("png", "csv", "zarr")),
        progress=False,
    )
    if not summary.complete:
        raise RuntimeError(str(summary))
    return time.perf_counter() - start, peak_megabytes()


def _tell_cube(path: Path, count: int) -> None:
    """Size of a cube, and the processor time to read parts of it, opened anew each time."""
    sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    raw = count * len(BANDS) * 255 * 255 * 2
    print(
        f"cube of {count}: {sum(sizes) / 1e6:.0f} MB in {len(sizes)} objects, "
        f"{raw / sum(sizes):.1f} times smaller than its pixels"
    )

    def read(part: Callable[[xr.DataArray], xr.DataArray]) -> float:
        cube = xr.open_zarr(path)["digital_number"]
        start = time.process_time()
        part(cube).compute(scheduler="synchronous")
        return 1000 * (time.process_time() - start)

    def middle(part: Callable[[xr.DataArray], xr.DataArray]) -> float:
        return statistics.median(read(part) for _ in range(5))

    one = middle(lambda cube: cube[count // 2])
    series = middle(lambda cube: cube[:, :, 127, 127])
    whole = read(lambda cube: cube)
    print(
        f"processor time: one observation {one:.0f} ms, one pixel's series {series:.0f} ms, "
        f"all {whole:.0f} ms"
    )


if __name__ == "__main__":
    main()
