"""An archive to measure on: ARD-like COGs with the texture of real imagery, and their items.

A file has the size and the layout of a whole tile's COG, but only the blocks around the plots hold
data. The others are absent, and a hole of the file system stands where they would lie, so that
blocks that are apart in a real file are apart here.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from timesync_xr.grid import REGIONS, Tile
from timesync_xr.landsat import BANDS, QA_BAND, QA_FILL, TILE_SIZE

BUCKET: Final = "s3://usgs-landsat-ard"
REGION: Final = REGIONS["CU"]
TILE: Final[Tile] = (3, 9)
BLOCK: Final = 256
ACROSS: Final = -(-TILE_SIZE // BLOCK)
ROWS, COLS = range(9, 11), range(9, 13)
"""Blocks that hold data."""

PLOTS: Final = {
    "main": (9 * BLOCK + 250, 9 * BLOCK + 260),
    "neighbour": (9 * BLOCK + 330, 9 * BLOCK + 240),
    "far": (11 * BLOCK + 250, 9 * BLOCK + 256),
}
"""Column and row of each plot's pixel in the tile. The chips of the first two share all four
blocks; that of the last shares none with them. Each touches 2 x 2 blocks."""

CLEAR: Final = 21824
CLOUDY: Final = 22280


@dataclass(frozen=True)
class MadeArchive:
    """An archive in a folder."""

    folder: Path
    """Where it lies."""
    items: tuple[dict[str, Any], ...]
    """Its STAC items, as landsatlook returns them."""

    def subset(self, count: int, name: str) -> Path:
        """An items file of the first ``count`` observations."""
        path = self.folder / f"items_{name}_{count}.json"
        features = {"type": "FeatureCollection", "features": self.items[:count]}
        path.write_text(json.dumps(features))
        return path


def plot_xy(name: str) -> tuple[float, float]:
    """Albers metres of a plot."""
    col, row = PLOTS[name]
    return REGION.center(TILE[0] * TILE_SIZE + col, TILE[1] * TILE_SIZE + row)


def make_archive(
    folder: Path, scenes: int, observations: int, *, fill: bool = False
) -> MadeArchive:
    """Make (or find) an archive of ``observations``, of which ``scenes`` differ.

    The files of the other observations are hard links to those of the first ones, so that many
    cost no space. With ``fill`` the plot pixels of all observations are fill.
    """
    items = []
    for number in range(observations):
        name, date = _name(number)
        scene = number % scenes
        for band, suffix in zip(BANDS, _SUFFIXES, strict=True):
            path = folder / _key(name, suffix)
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if number < scenes:
                _write(path, list(_blocks(scene, band, fill)), band)
            else:
                os.link(folder / _key(_name(scene)[0], suffix), path)
        items.append(_item(name, date))
    return MadeArchive(folder, tuple(items))


_SUFFIXES: Final = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7", "QA_PIXEL")


def _name(number: int) -> tuple[str, np.datetime64]:
    """Name and date of an observation: one every four days."""
    date = np.datetime64("1984-03-01") + 4 * number
    day = str(date).replace("-", "")
    return f"LC08_CU_{TILE[0]:03d}{TILE[1]:03d}_{day}_20210504_02", date


def _key(name: str, suffix: str) -> str:
    return f"collection02/oli-tirs/{name[15:19]}/CU/003/009/{name}/{name}_{suffix}.TIF"


def _item(name: str, date: np.datetime64) -> dict[str, Any]:
    left, top = REGION.corner(TILE)
    edge = TILE_SIZE * 30
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "id": f"{name}_SR",
        "collection": "landsat-c2ard-sr",
        "geometry": {"type": "Point", "coordinates": [-121.0, 39.0]},
        "bbox": [-122.0, 38.0, -120.0, 40.0],
        "links": [],
        "properties": {
            "datetime": f"{date}T18:30:00.123456Z",
            "platform": "LANDSAT_8",
            "landsat:grid_horizontal": f"{TILE[0]:02d}",
            "landsat:grid_vertical": f"{TILE[1]:02d}",
            "landsat:grid_region": REGION.name,
            "landsat:scene_count": 1,
            "eo:cloud_cover": 10.0,
            "proj:epsg": None,
            "proj:shape": [TILE_SIZE, TILE_SIZE],
            "proj:bbox": [left, top - edge, left + edge, top],
            "proj:transform": [30, 0, left, 0, -30, top],
            "proj:wkt2": REGION.crs,
        },
        "assets": {
            band: {
                "href": f"https://landsatlook.usgs.gov/tile/{_key(name, suffix)}",
                "type": "image/vnd.stac.geotiff; cloud-optimized=true",
                "alternate": {"s3": {"href": f"{BUCKET}/{_key(name, suffix)}"}},
            }
            for band, suffix in zip(BANDS, _SUFFIXES, strict=True)
        },
    }


def _blocks(scene: int, band: str, fill: bool) -> Iterator[tuple[int, bytes]]:
    """Number and compressed bytes of the blocks with data."""
    import imagecodecs

    pixels = _qa(scene) if band == QA_BAND else _reflectance(scene, band)
    if fill:
        pixels = np.full_like(pixels, QA_FILL if band == QA_BAND else 0)
    for y, row in enumerate(ROWS):
        for x, col in enumerate(COLS):
            cut = np.s_[y * BLOCK : (y + 1) * BLOCK, x * BLOCK : (x + 1) * BLOCK]
            block = pixels[cut].astype("<u2")
            block[:, 1:] -= pixels[cut][:, :-1]
            yield row * ACROSS + col, bytes(imagecodecs.deflate_encode(block.tobytes(), level=6))


def _reflectance(scene: int, band: str) -> npt.NDArray[np.uint16]:
    """Digital numbers: fields, hills and the noise of a sensor; another texture on each date."""
    rng = np.random.default_rng([scene, BANDS.index(band)])
    level = (8500, 9500, 9800, 15500, 13500, 11000)[BANDS.index(band)]
    land = _land(7) + 0.3 * _land(scene)
    noise = rng.normal(scale=25, size=land.shape)
    return np.asarray((level + land * level / 12 + noise).clip(7273, 43636), np.uint16)


@lru_cache(maxsize=2)
def _land(seed: int) -> npt.NDArray[np.float64]:
    return _texture(np.random.default_rng(seed), 1.0)


def _qa(scene: int) -> npt.NDArray[np.uint16]:
    """QA_PIXEL: clear, with some clouds; clear at the plots."""
    cloud = _texture(np.random.default_rng([scene, 99]), 2.0) > 1.2
    for col, row in PLOTS.values():
        cloud[row - ROWS[0] * BLOCK, col - COLS[0] * BLOCK] = False
    return np.where(cloud, CLOUDY, CLEAR).astype(np.uint16)


def _texture(rng: np.random.Generator, smooth: float) -> npt.NDArray[np.float64]:
    """Noise of all sizes, the larger the stronger; standard deviation about 1."""
    height, width = len(ROWS) * BLOCK, len(COLS) * BLOCK
    total = np.zeros((height, width))
    for size in (2, 4, 8, 16, 32, 64, 128, 256, 512):
        knots = rng.normal(size=(height // size + 3, width // size + 3))
        rows, cols = np.arange(height) / size, np.arange(width) / size
        total += (size / 512) ** (smooth / 2) * _between(_between(knots, rows).T, cols).T
    return np.asarray(total / total.std())


def _between(knots: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> Any:
    """Linear interpolation along the first dimension."""
    first = at.astype(int)
    part = (at - first)[:, None]
    return knots[first] * (1 - part) + knots[first + 1] * part


def _write(path: Path, blocks: Sequence[tuple[int, bytes]], band: str) -> None:
    """A file of a real COG's layout: the header, then the blocks where they would lie.

    Blocks that are left out count as large as the others on average.
    """
    header, at_offsets, at_counts = _header(QA_FILL if band == QA_BAND else 0)
    offsets, counts = np.zeros((2, ACROSS * ACROSS), dtype="<u4")
    span = sum(len(data) for _, data in blocks) // len(blocks)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        for number, data in blocks:
            previous = number > 0 and offsets[number - 1]
            start = offsets[number - 1] + counts[number - 1] if previous else number * span + 2**14
            offsets[number], counts[number] = start, len(data)
            file.seek(int(start))
            file.write(data)
        for place, values in ((at_offsets, offsets), (at_counts, counts)):
            header[place : place + values.nbytes] = values.tobytes()
        file.seek(0)
        file.write(header)
        file.truncate(2**14 + ACROSS * ACROSS * span)
    part.replace(path)


def _header(nodata: int) -> tuple[bytearray, int, int]:
    """The bytes of an empty GeoTIFF as GDAL writes it, and where its block tables lie."""
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=TILE_SIZE, height=TILE_SIZE, count=1, dtype="uint16",
            crs=REGION.crs, transform=from_origin(*REGION.corner(TILE), 30, 30), nodata=nodata,
            tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress="deflate", predictor=2,
            sparse_ok=True,
        ):  # fmt: skip
            pass
        header = bytearray(memory.read())
    (directory,) = struct.unpack_from("<I", header, 4)
    (entries,) = struct.unpack_from("<H", header, directory)
    tags = {}
    for entry in range(entries):
        tag, kind, _, value = struct.unpack_from("<HHII", header, directory + 2 + 12 * entry)
        tags[tag] = (kind, value)
    (offset_kind, at_offsets), (count_kind, at_counts) = tags[324], tags[325]
    assert offset_kind == count_kind == 4, "GDAL wrote another type of block table"
    return header, at_offsets, at_counts


def write_plots(path: Path, names: Sequence[str]) -> Path:
    """A plot list."""
    lines = ["project_id,plot_id,x,y"]
    lines += [f"1,{number},{x},{y}" for number, (x, y) in enumerate(map(plot_xy, names))]
    path.write_text("\n".join(lines))
    return path
