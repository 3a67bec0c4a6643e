"""``python -m benchmarks.choices``: requests of a plot of 40 years, of which a few chips are made.

The sky is made up: of 1,500 observations a third are fill at the plot, 60 % of the others are
clear, and clouds are too bright in blue to be chosen. A server counts. Of a full run it is known by
``python -m benchmarks`` that an observation takes 21 requests, and 2 where it is fill at the plot.

Then what is asked of headers that the project keeps: by the first plot of a tile, by a second one
of another process, by a year more, and where files have changed since.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any, Final

import pandas as pd
import rasterio
from rasterio.windows import Window

from timesync_xr import Archive, Products, Project, Selection, extract
from timesync_xr.landsat import BANDS, QA_BAND

from .archive import BUCKET, make_archive, plot_xy, write_plots
from .server import serving

YEARS: Final = range(1984, 2024)
CLEAR, CLOUD, FILL = 21824, 22280, 1
DARK, BRIGHT = 9000, 20000
FULL, SLIVER = 21, 2
"""Requests of an observation in a full run, and of one that is fill at the plot."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="timesync-bench-") as name:
        folder = Path(name)
        items, fill = _make(folder / "archive")
        full = FULL * (len(items) - fill) + SLIVER * fill
        print(f"{len(items)} observations, {fill} of them fill at the plot")
        print(f"{'what':<44}{'requests':>9}{'1 / share':>11}")
        print(f"{'all':<44}{full:>9}{1:>11}")
        with serving(folder / "archive", 0) as server:
            for what, count, season in (
                ("one chip a year", 1, ""),
                ("one chip a year, June to September", 1, "06-01/09-30"),
                ("three chips a year", 3, ""),
            ):
                before = len(server.counts()[0])
                made = _run(folder, what, server.address, count, season)
                requests = len(server.counts()[0]) - before
                print(f"{what + f' ({made} chips)':<44}{requests:>9}{full / requests:>11.1f}")
        _headers(folder)


FEW, MORE = 100, 120
"""Observations of a plot, and those of a year more."""


def _headers(folder: Path) -> None:
    """Requests, and those for headers, where another process goes on with a project."""
    made = make_archive(folder / "tile", 4, MORE)
    few, more = made.subset(FEW, "few"), made.subset(MORE, "more")
    known: set[str] = set()
    print(f"{'all chips of a tile, headers kept':<44}{'requests':>9}{'headers':>9}{'known':>9}")
    with serving(made.folder, 0) as server:

        def tell(what: str, items: Path, plots: tuple[str, ...]) -> None:
            _go_on(folder, items, server.address, plots)
            asked = server.counts()[0]
            headers = [path for _, path, first, _ in asked if not first]
            again = sum(path in known for path in headers)
            known.update(headers)
            print(f"{what:<44}{len(asked):>9}{len(headers):>9}{again:>9}")

        tell(f"a plot of {FEW} observations", few, ("main",))
        tell("a second one, by another process", few, ("main", "far"))
        tell(f"{MORE - FEW} observations more of both", more, ("main", "far"))
        for path in sorted(known)[: len(BANDS)]:
            os.utime(made.folder / path.lstrip("/"))
        tell("a third plot, after files have changed", more, ("main", "far", "neighbour"))
    files = [*(folder / "kept/ledger/headers").rglob("*.bin")]
    size = sum(file.stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1000:.0f} kB, {size / len(known):.0f} bytes a header")


def _go_on(folder: Path, items: Path, address: str, plots: tuple[str, ...]) -> None:
    """Make plots as a new process does, which knows nothing of files."""
    from timesync_xr.raster import reader

    reader.reset()
    archive = Archive(items, mirror=f"{BUCKET}={address}")
    listed = write_plots(folder / "plots.csv", plots)
    extract(listed, folder / "kept", archive, refresh=True, progress=False)


def _run(folder: Path, what: str, address: str, count: int, season: str) -> int:
    from timesync_xr.raster import reader

    reader.reset()
    out = folder / what.replace(" ", "_")
    extract(
        write_plots(folder / "plots.csv", ("main",)),
        out,
        Archive(folder / "archive/items.json", mirror=f"{BUCKET}={address}"),
        Selection(season=season),
        Products(chips_per_year=count),
        progress=False,
    )
    return int(Project(out).plots["written"].iloc[0])


def _make(folder: Path) -> tuple[list[dict[str, Any]], int]:
    """Items of a made-up sky, whose files are links to a few; and how many are fill."""
    made = make_archive(folder, 1, 1)
    pattern = made.items[0]
    dice, items, fill = random.Random(1), [], 0
    days = [d for year in YEARS for d in pd.date_range(f"{year}-01-05", f"{year}-12-31", freq="9D")]
    for day in sorted(dice.sample(days, 1500)):
        draw = dice.random()
        is_fill, is_clear = draw < 1 / 3, draw > 0.6
        fill += is_fill
        qa = FILL if is_fill else CLEAR if is_clear else CLOUD
        items.append(_item(folder, pattern, f"{day:%Y%m%d}", qa, DARK if is_clear else BRIGHT))
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return items, fill


def _item(folder: Path, pattern: dict[str, Any], day: str, qa: int, blue: int) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(json.dumps(pattern))
    parts = pattern["id"].split("_")
    item["id"] = "_".join([*parts[:3], day, *parts[4:]])
    item["properties"]["datetime"] = f"{day[:4]}-{day[4:6]}-{day[6:]}T18:30:00Z"
    for band in BANDS:
        s3 = item["assets"][band]["alternate"]["s3"]
        key = f"sky/{day}_{band}.TIF"
        value = qa if band == QA_BAND else blue if band == "blue" else None
        target = _file(folder, s3["href"].removeprefix(f"{BUCKET}/"), band, value)
        (folder / key).parent.mkdir(exist_ok=True)
        os.link(target, folder / key)
        s3["href"] = f"{BUCKET}/{key}"
    return item


def _file(folder: Path, key: str, band: str, value: int | None) -> Path:
    """The file of the pattern, with a value of its own in the block of the plot."""
    if value is None:
        return folder / key
    path = folder / f"{band}_{value}.TIF"
    if not path.exists():
        with rasterio.open(folder / key) as source:
            pixels, profile = source.read(1), source.profile
            col, row = (int(n) for n in ~source.transform * plot_xy("main"))
        pixels[row - 2 : row + 3, col - 2 : col + 3] = value
        with rasterio.open(path, "w", **profile) as target:
            target.write(pixels, 1, window=Window(0, 0, *pixels.shape[::-1]))
    return path


if __name__ == "__main__":
    main()
