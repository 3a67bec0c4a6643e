"""The sample archive on disk: passes, the files of four tiles, the items and the plot list."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..grid import REGIONS, Tile
from ..landsat import BANDS, FILL, PIXEL, QA_BAND, QA_FILL, TILE_SIZE
from .cog import BLOCK, write_cog
from .items import BUCKET, checksum, make_item
from .passes import passes
from .scene import BEFORE, make_valley
from .sky import Pass, observe

REGION: Final = REGIONS["CU"]
"""Grid of the sample."""
CORNER: Final = (20, 6)
"""Tile (h, v) south-east of the corner around which the valley lies (in Wisconsin)."""
SEED: Final = 19840722
"""Start of all random numbers."""

FOLDERS: Final = {"LT": "tm", "LE": "etm", "LC": "oli-tirs"}
"""Folder of a platform by the first letters of its sensor."""
Numbers = npt.NDArray[np.uint16]
LAST_BLOCK: Final = TILE_SIZE // BLOCK
"""Row or column of the last block of a tile."""
PLOTS: Final = (
    ("1001", "1", 0, 0, "first pixel of h20v06: the chip needs four tiles"),
    ("1001", "2", -4, 62, "forest, burnt in July 1996, in tile h19v06"),
    ("1001", "3", 62, -5, "fields, built over by the town from about 1995, in tile h20v05"),
    ("1001", "4", 60, 28, "crop field"),
    ("1001", "5", 58, 60, "forest, clear-cut in January 2008"),
    ("valley", "river-bank", 35, 33, "meadow beside the river; an id that is no number"),
)
"""Project, plot, pixels east and south of the corner, note."""

MISSING: Final = (date(1989, 8, 6), (19, 5))
"""A day on which one tile is absent from the archive, and the tile."""
REPROCESSED: Final = (date(2015, 7, 29), CORNER)
"""A day and a tile that was processed twice."""


@dataclass(frozen=True)
class SamplePaths:
    """Where the parts of a sample archive are."""

    folder: Path
    """Root of the files; the mirror of s3://usgs-landsat-ard."""
    items: Path
    """FeatureCollection of the items."""
    plots: Path
    """Plot list."""
    address: str = BUCKET
    """What the addresses in the items start with; ``folder`` is the mirror of it."""

    @property
    def mirror(self) -> str:
        """The mirror that leads from the items' addresses to the files."""
        return f"{self.address}={self.folder}"


def make_tiles(root: Path) -> SamplePaths:
    """Write the archive of tiles and tell where it is; see `timesync_xr.make_sample`."""
    rng = np.random.default_rng(SEED)
    valley = make_valley(rng)
    items: list[dict[str, Any]] = []
    for flight in passes(rng):
        seen = observe(valley, flight, np.random.default_rng([SEED, flight.number]))
        items += _write_pass(root, flight, seen)
    paths = SamplePaths(root, root / "items.json", root / "plots.csv")
    collection = {"type": "FeatureCollection", "features": items[::-1]}
    paths.items.write_text(json.dumps(collection, separators=(",", ":")), encoding="utf-8")
    _write_plots(paths.plots)
    return paths


def _write_pass(root: Path, flight: Pass, seen: Numbers) -> Iterator[dict[str, Any]]:
    """Write the files of the tiles of a pass and yield their items."""
    processed = max(date(2021, 5, 4), flight.day + timedelta(days=14))
    for south in (0, 1):
        for east in (0, 1):
            tile = (CORNER[0] - 1 + east, CORNER[1] - 1 + south)
            block = _block(seen, east, south)
            if (block[-1] == QA_FILL).all() or (flight.day, tile) == MISSING:
                continue
            time = clock(flight, 23 * south + 2 * east)
            yield _write_tile(root, flight, tile, block, time, processed)
            if (flight.day, tile) == REPROCESSED:
                block[:-1] += 256 * (block[:-1] > 0).astype(np.uint16)
                yield _write_tile(root, flight, tile, block, time, date(2022, 8, 17))


def _block(seen: Numbers, east: int, south: int) -> Numbers:
    """What lies in one of the four tiles, filled up to a block (7, 256, 256)."""
    part = seen[:, BEFORE:] if south else seen[:, :BEFORE]
    part = part[:, :, BEFORE:] if east else part[:, :, :BEFORE]
    block = np.zeros((len(BANDS), BLOCK, BLOCK), np.uint16)
    block[-1] = QA_FILL
    block[:, : part.shape[1], : part.shape[2]] = part
    return block


def clock(flight: Pass, later: int) -> str:
    """The `datetime` property: some have seven decimals; a tile is seen seconds after another."""
    number = flight.number
    seconds = 16 * 3600 + 40 * 60 + number * 37 % 900 + later
    decimals = f"{(number + 1) * 7654321 % 10**7:07d}"[: 7 if number % 4 == 1 else 6]
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{flight.day}T{clock}.{decimals}Z"


def _write_tile(
    root: Path, flight: Pass, tile: Tile, block: Numbers, time: str, processed: date
) -> dict[str, Any]:
    """Write the seven files of one tile on one day and return its item."""
    h, v = (f"{number:03d}" for number in tile)
    name = f"{flight.sensor}_CU_{h}{v}_{flight.day:%Y%m%d}_{processed:%Y%m%d}_02"
    key = f"collection02/{FOLDERS[flight.sensor[:2]]}/{flight.day.year}/CU/{h}/{v}/{name}"
    (root / key).mkdir(parents=True, exist_ok=True)
    place = (0 if tile[1] == CORNER[1] else LAST_BLOCK, 0 if tile[0] == CORNER[0] else LAST_BLOCK)
    keys, told = {}, {}
    for band, pixels in zip(BANDS, block, strict=True):
        keys[band] = f"{key}/{name}_{asset_suffix(flight.sensor, band)}.TIF"
        nodata = QA_FILL if band == QA_BAND else FILL
        content = write_cog(
            pixels, block=place, region=REGION, corner=REGION.corner(tile), nodata=nodata
        )
        (root / keys[band]).write_bytes(content)
        told[band] = checksum(content)
    item = make_item(flight, REGION, tile, name, keys, time, block[-1])
    for band, asset in item["assets"].items():
        asset.update(told[band])
    return item


def asset_suffix(sensor: str, band: str) -> str:
    """Last part of a file's name: OLI counts the bands from 2, TM and ETM+ have no band 6 of SR."""
    if band == QA_BAND:
        return "QA_PIXEL"
    numbers = (2, 3, 4, 5, 6, 7) if sensor in ("LC08", "LC09") else (1, 2, 3, 4, 5, 7)
    return f"SR_B{numbers[BANDS.index(band)]}"


def _write_plots(path: Path) -> None:
    """Write the plot list; plots are given by the centres of their pixels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("project_id", "plot_id", "x", "y", "note"))
        left, top = REGION.corner(CORNER)
        for project, plot, u, v, note in PLOTS:
            x, y = left + PIXEL * u + PIXEL // 2, top - PIXEL * v - PIXEL // 2
            rows.writerow((project, plot, x, y, note))
