"""Small archives for tests: real TIFFs in which every pixel is different, and their items."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from timesync_xr.grid import REGIONS, Region, Tile
from timesync_xr.landsat import BANDS

BUCKET = "s3://usgs-landsat-ard"
NAMES = {"blue": "SR_B1", "qa_pixel": "QA_PIXEL"}


class SmallArchive:
    """An archive in a folder, with the items that describe it."""

    def __init__(self, folder: Path, region: str = "CU") -> None:
        self.folder, self.items = folder, list[dict[str, Any]]()
        self.region: Region = REGIONS[region]
        self.mirror = f"{BUCKET}={folder}"
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        sensor: str,
        date: str,
        tile: Tile = (3, 9),
        *,
        processed: str = "20210504",
        values: dict[str, Any] | None = None,
        without: str = "",
        file_tile: Tile | None = None,
        write: bool = True,
    ) -> dict[str, Any]:
        """Add an item and its files.

        ``values`` gives a band a value all over the tile, in place of its pattern; ``without``
        leaves out a band of the item; ``file_tile`` is where its files say they lie.
        """
        name = f"{sensor}_{self.region.name}_{tile[0]:03d}{tile[1]:03d}"
        name += f"_{date[:10].replace('-', '')}_{processed}_02"
        item = self._item(name, sensor, date, tile)
        item["assets"].pop(without, None)
        self.items.append(item)
        for band in item["assets"] if write else ():
            self._write(name, band, file_tile or tile, (values or {}).get(band))
        return item

    def write_items(self) -> Path:
        """The items file."""
        path = self.folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        return path

    def path(self, name: str, band: str) -> Path:
        return self.folder / "ard" / name / f"{name}_{NAMES.get(band, band)}.TIF"

    def read(
        self,
        sensor: str,
        day: str,
        tile: Tile,
        band: str,
        col: int,
        row: int,
        width: int,
        height: int,
    ) -> np.ndarray:
        """A window of a file as rasterio reads it."""
        place = f"{self.region.name}_{tile[0]:03d}{tile[1]:03d}"
        name = f"{sensor}_{place}_{day.replace('-', '')}_20210504_02"
        with rasterio.open(self.path(name, band)) as source:
            data: np.ndarray = source.read(1, window=Window(col, row, width, height))
        return data

    def _item(self, name: str, sensor: str, date: str, tile: Tile) -> dict[str, Any]:
        left, top = self.region.corner(tile)
        assets = {}
        for band in BANDS:
            key = self.path(name, band).relative_to(self.folder)
            assets[band] = {
                "href": f"https://landsatlook.usgs.gov/tile/{key}",
                "alternate": {"s3": {"href": f"{BUCKET}/{key}"}},
            }
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"{name}_SR",
            "collection": "landsat-c2ard-sr",
            "geometry": None,
            "links": [],
            "properties": {
                "datetime": date,
                "platform": f"LANDSAT_{sensor[3]}",
                "landsat:grid_horizontal": f"{tile[0]:02d}",
                "landsat:grid_vertical": f"{tile[1]:02d}",
                "landsat:grid_region": self.region.name,
                "landsat:scene_count": 1,
                "eo:cloud_cover": 1.5,
                "proj:epsg": None,
                "proj:shape": [5000, 5000],
                "proj:transform": [30, 0, left, 0, -30, top],
                "proj:wkt2": self.region.crs,
            },
            "assets": assets,
        }

    def _write(self, name: str, band: str, tile: Tile, value: Any) -> None:
        """A sparse TIFF that holds data around the tile's middle and its corners."""
        path = self.path(name, band)
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=5000,
            height=5000,
            count=1,
            dtype="uint16",
            crs=self.region.crs,
            transform=from_origin(*self.region.corner(tile), 30, 30),
            nodata=1 if band == "qa_pixel" else 0,
            tiled=True,
            blockxsize=256,
            blockysize=256,
            compress="deflate",
            predictor=2,
            sparse_ok=True,
        ) as target:
            for col, row in ((0, 0), (4864, 0), (0, 4864), (4864, 4864), (2304, 2304)):
                edge = min(512, 5000 - col), min(512, 5000 - row)
                window = Window(col, row, *edge)
                target.write(
                    _pattern(name, band, window)
                    if value is None
                    else np.full(edge[::-1], value, np.uint16),
                    1,
                    window=window,
                )


def _pattern(name: str, band: str, window: Window) -> np.ndarray:
    """Valid digital numbers that tell pixels, bands and items apart; QA_PIXEL is never fill."""
    rows, cols = np.mgrid[: window.height, : window.width]
    cols, rows = cols + window.col_off, rows + window.row_off
    seed = zlib.crc32(f"{name} {band}".encode())
    values = 7273 + (cols * 7919 + rows * 104729 + seed) % 36000
    values = values & ~1 | 64 if band == "qa_pixel" else values
    return np.asarray(values, dtype=np.uint16)


def as_read_anywhere(path: Path) -> bytes:
    """A file of a project; a log or the ledger without the name of the archive it was read from."""
    data = path.read_bytes()
    if path.suffix != ".csv" or "ledger" not in path.parts:
        return data
    table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    return (
        table.drop(columns=["source", "log_checksum"], errors="ignore").to_csv(index=False).encode()
    )
