"""Items shaped like the answers of landsatlook's STAC server for U.S. ARD."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..grid import Region, Tile
from ..landsat import PIXEL, QA_FILL, TILE_SIZE, QABit
from .sky import Pass

BUCKET: Final = "s3://usgs-landsat-ard"
"""What the S3 addresses start with; ``--mirror`` puts the sample's folder in its place."""
INSTRUMENTS: Final = {"LT": ["TM"], "LE": ["ETM"], "LC": ["OLI", "TIRS"]}
"""Instruments of a platform by the first letters of its sensor."""


def make_item(
    flight: Pass,
    region: Region,
    tile: Tile,
    name: str,
    keys: dict[str, str],
    time: str,
    quality: npt.NDArray[np.uint16],
) -> dict[str, Any]:
    """The item of one tile on one day; ``keys`` of the files by band, ``quality`` QA_PIXEL."""
    outline = _outline(region, tile)
    lon, lat = zip(*outline, strict=True)
    left, top = region.corner(tile)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
            "https://stac-extensions.github.io/alternate-assets/v1.1.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
        ],
        "id": f"{name}_SR",
        "collection": "landsat-c2ard-sr",
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
        "geometry": {"type": "Polygon", "coordinates": [outline]},
        "properties": {
            "datetime": time,
            "platform": f"LANDSAT_{int(flight.sensor[2:])}",
            "instruments": INSTRUMENTS[flight.sensor[:2]],
            "landsat:grid_horizontal": f"{tile[0]:02d}",
            "landsat:grid_vertical": f"{tile[1]:02d}",
            "landsat:grid_region": region.name,
            "landsat:scene_count": 1,
            **cover(quality),
            "proj:epsg": None,
            "proj:wkt2": region.crs,
            "proj:shape": [TILE_SIZE, TILE_SIZE],
            "proj:transform": [PIXEL, 0, left, 0, -PIXEL, top],
        },
        "assets": {band: _asset(band, key) for band, key in keys.items()},
        "links": [],
    }


def _asset(band: str, key: str) -> dict[str, Any]:
    """An asset with its two addresses; the https one is behind a login on the real server."""
    return {
        "title": band,
        "type": "image/vnd.stac.geotiff; cloud-optimized=true",
        "roles": ["data"],
        "href": f"https://landsatlook.usgs.gov/tile/{key}",
        "alternate": {
            "s3": {
                "storage:platform": "AWS",
                "storage:requester_pays": True,
                "href": f"{BUCKET}/{key}",
            }
        },
    }


def checksum(content: bytes) -> dict[str, Any]:
    """What an asset tells of its file by STAC's file extension, as items of USGS's scenes do."""
    digest = hashlib.sha512(content).hexdigest()
    return {"file:size": len(content), "file:checksum": f"1340{digest}"}


def cover(quality: npt.NDArray[np.uint16]) -> dict[str, float]:
    """Cloud, shadow and snow in percent of the seen pixels, fill in percent of the tile."""
    seen = quality[quality != QA_FILL]
    bits = {
        "eo:cloud_cover": QABit.CLOUD,
        "landsat:cloud_shadow_cover": QABit.CLOUD_SHADOW,
        "landsat:snow_ice_cover": QABit.SNOW,
    }
    cover = {name: round(float((seen >> bit & 1).mean()) * 100, 4) for name, bit in bits.items()}
    return cover | {"landsat:fill": round(100 - 100 * seen.size / TILE_SIZE**2, 4)}


@cache
def _outline(region: Region, tile: Tile) -> list[tuple[float, float]]:
    """Ring of the tile's corners in longitude and latitude."""
    from pyproj import Transformer

    left, top = region.corner(tile)
    right, bottom = left + TILE_SIZE * PIXEL, top - TILE_SIZE * PIXEL
    xs, ys = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
    to_degrees = Transformer.from_crs(region.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(xs, ys)
    return [(round(x, 6), round(y, 6)) for x, y in zip(lon, lat, strict=True)]
