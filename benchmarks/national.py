"""A made-up national archive: a plot list, items of all tiles, and the bytes of their assets.

An asset is a whole COG of a tile with the same pixels everywhere, made once and kept in memory. A
third of the dates are fill. `fake_assets` puts these bytes in the place of the network: all that is
above, from the parsing of headers to the files of the project, is what runs on the real archive.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from timesync_xr import Archive, Selection, grid
from timesync_xr.catalog.items import COLUMNS, with_dtypes
from timesync_xr.grid import REGIONS, ChipGrid, Tile
from timesync_xr.landsat import BANDS, PLATFORM_AGE, QA_BAND, QA_FILL, TILE_SIZE
from timesync_xr.raster import reader
from timesync_xr.storage.folder import Folder
from timesync_xr.storage.objects import Version

SOURCE = "https://stac.invalid"
REAL = Path(__file__).parents[2] / "shared/real/timesync_plot_lists/lcnext_srs5000_final.csv"
CU = REGIONS["CU"]
CLEAR = 21824
_FIRST = CU.corner((0, 0))


def plot_list(count: int) -> pd.DataFrame:
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


def tiles_of(plots: pd.DataFrame) -> list[Tile]:
    """The tiles that the chips of a list touch."""
    places = plots[["x", "y"]].to_numpy(float).tolist()
    chips = (ChipGrid.around(CU, x, y, (255, 255)) for x, y in places)
    return sorted({tile for chip in chips for tile in grid.tiles_of(chip)})


def keep_items(folder: Folder, tiles: Sequence[Tile], count: int) -> None:
    """Put ``count`` items of each tile into a project, as a search would have left them."""
    archive, period = Archive(SOURCE), Selection().period
    for h, v in tiles:
        data = items_of((h, v), count).to_parquet(index=False, compression="zstd")
        name = f"ledger/items/CU_h{h:02d}v{v:02d}"
        folder.write(f"{name}_table.parquet", data)
        told = {**archive.identity(), "datetime": str(period), "items": count}
        told["digest"] = hashlib.sha256(data).hexdigest()
        folder.write(f"{name}.json", json.dumps(told).encode())


def items_of(tile: Tile, count: int) -> pd.DataFrame:
    """Items of a tile, one every 94 hours, of one platform after the other."""
    h, v = tile
    time = np.datetime64("1984-01-01T18:00", "ns") + np.arange(count) * np.timedelta64(94, "h")
    sensors = np.array(PLATFORM_AGE, dtype=object)[np.arange(count) % len(PLATFORM_AGE)]
    day = pd.Series(np.datetime_as_string(time, "D")).str.replace("-", "")
    item_id = pd.Series(sensors) + f"_CU_{h:03d}{v:03d}_" + day + "_20210504_02_SR"
    left, top = CU.corner(tile)
    table = pd.DataFrame({
        "item_id": item_id, "sensor": sensors, "grid": "CU",
        "place": f"{h:02d}{v:02d}", "time": time,
        "date": np.datetime_as_string(time) + "Z", "processed": "20210504", "scene_count": 1,
        "cloud_cover": 1.5, "left": left, "top": top,
        "width": TILE_SIZE, "height": TILE_SIZE, "refused": "",
        **{band: "s3://bucket/" + item_id + f"/{band}.TIF" for band in BANDS},
    })[list(COLUMNS)]  # fmt: skip
    return with_dtypes(table)


def fake_assets() -> None:
    """Let this process read made-up assets wherever it would ask S3 for bytes."""
    made_up: Any = reader
    made_up.read_ranges, made_up.read_start = _read_ranges, _read_start


def _read_start(address: str, stop: int, access: Any) -> tuple[bytes, Version]:
    """In the place of `timesync_xr.storage.objects.read_start`."""
    (data,) = _read_ranges(address, [(0, stop)], access, allow_short=True)
    return data, Version("made up", 2**20)


def _read_ranges(
    address: str,
    ranges: Sequence[tuple[int, int]],
    _access: Any,
    *,
    allow_short: bool = False,
    version: Version | None = None,
) -> list[bytes]:
    """Bytes of the made-up asset at an address, in the place of `read_ranges` beside it."""
    assert version in (None, Version("made up", 2**20))
    item_id, _, name = address.removeprefix("s3://bucket/").partition("/")
    data = _asset(*_kind(item_id, name.removesuffix(".TIF")))
    found = [data[start:stop] for start, stop in ranges]
    assert allow_short or all(len(d) == b - a for d, (a, b) in zip(found, ranges, strict=True))
    return found


def write_assets(folder: Path, items: pd.DataFrame) -> None:
    """The assets of some items as files; those that are the same are links to one."""
    written: dict[Any, Path] = {}
    for item_id in items["item_id"]:
        (folder / item_id).mkdir(parents=True)
        for band in BANDS:
            path, kind = folder / item_id / f"{band}.TIF", _kind(item_id, band)
            if kind in written:
                path.hardlink_to(written[kind])
            else:
                path.write_bytes(_asset(*kind))
                written[kind] = path


def _kind(item_id: str, band: str) -> tuple[bool, int, Tile]:
    """What an asset is like: whether it is QA_PIXEL, its value, and its tile."""
    fill = pd.Timestamp(item_id[15:23]).day_of_year % 3 == 0
    value = (QA_FILL if fill else CLEAR) if band == QA_BAND else 0 if fill else 9000
    return band == QA_BAND, value, (int(item_id[8:11]), int(item_id[11:14]))


@lru_cache(maxsize=32)
def _asset(is_qa: bool, value: int, tile: Tile) -> bytes:
    """A whole asset of a tile: that of the first tile, moved."""
    at_first, moved = (struct.pack("<2d", *corner) for corner in (_FIRST, CU.corner(tile)))
    return _first_asset(is_qa, value).replace(at_first, moved)


@lru_cache(maxsize=4)
def _first_asset(is_qa: bool, value: int) -> bytes:
    """A whole asset of the first tile, one value everywhere."""
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=TILE_SIZE, height=TILE_SIZE, count=1, dtype="uint16",
            crs=CU.crs, transform=from_origin(*_FIRST, 30, 30), nodata=QA_FILL if is_qa else 0,
            tiled=True, blockxsize=256, blockysize=256, compress="deflate", predictor=2,
        ) as target:  # fmt: skip
            target.write(np.full((TILE_SIZE, TILE_SIZE), value, np.uint16), 1)
        data = bytes(memory.read())
    assert data.count(struct.pack("<2d", *_FIRST)) == 1
    return data
