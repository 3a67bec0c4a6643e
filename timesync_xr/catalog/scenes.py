"""Landsat Collection 2 Level-2 scenes: the whole Earth in UTM, as three catalogs tell of it.

A scene is what one platform saw of one row of a path (WRS-2, "047027"). Its files lie in a zone of
UTM, in the south with northings below 0, and begin elsewhere on each date. Scenes are searched by
cells of half a degree, since a plot lies in several rows and paths.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ..errors import InputError
from ..grid import DEGREES, ChipGrid, Lattice, frame, get_grid, transformer
from ..landsat import PIXEL
from .sources import Box, Identity, Item, Place, Source, mapping, numbers, shown

_ID = re.compile(
    r"[A-Z]{2}\d\d_L2S[PR]_(\d{3})(\d{3})_\d{8}_(?:(\d{8})_)?02_(T1|T2|RT|A1|A2)(?:_SR)?", re.ASCII
)
"""Id of an item: path, row, day of processing where it tells it, and tier."""

_PRODUCT = re.compile(r"_\d{6}_\d{8}_(\d{8})_02_(?:T1|T2|RT)(?:_|/|$)", re.ASCII)
"""What the address of a file tells: the day of processing."""

_CELL = re.compile(r"([NS])(\d\d\.[05])([EW])(\d{3}\.[05])", re.ASCII)
_STEP: Final = 0.5
"""Edge of a cell in degrees."""

_MARGIN: Final = 0.06
"""Degrees of latitude, some 6 km, that a search reaches beyond its cell: half a chip and more."""

_NEAR: Final = 1.5
"""Degrees of latitude that the middle of a scene's files may be off the middle of its outline."""


def tier_of(item_id: str) -> str:
    """The tier that the id of a scene tells, such as T1; "" for what is no scene."""
    found = _ID.fullmatch(item_id)
    return found[4] if found else ""


# Where scenes are searched


@lru_cache(maxsize=4096)
def _places(chip: ChipGrid) -> tuple[Place, ...]:
    """The cell of the plot; others too where its search does not reach as far as the chip."""
    left, bottom, right, top = chip.bounds
    x, y = chip.lattice.center(chip.plot_col, chip.plot_row)
    across, up = np.linspace(left, right, 5), np.linspace(bottom, top, 5)
    xs = [x, *across, *across, *[left] * 5, *[right] * 5]
    ys = [y, *[bottom] * 5, *[top] * 5, *up, *up]
    lon, lat = map(np.asarray, transformer(chip.lattice.crs, DEGREES).transform(xs, ys))
    lon = lon[0] + (lon - lon[0] + 180) % 360 - 180  # beyond 180 degrees it goes on
    own = _cell(lon[0], lat[0])
    west, south = _corner_of(own)
    more = _MARGIN / max(math.cos(math.radians(max(abs(south), abs(south + _STEP)))), 0.02)
    east_of = (lon - west + 180) % 360 - 180
    reached = (-more <= east_of) & (east_of <= _STEP + more)
    reached &= (south - _MARGIN <= lat) & (lat <= south + _STEP + _MARGIN)
    if reached.all():
        return (own,)
    wests = np.arange(math.floor(lon.min() / _STEP), math.floor(lon.max() / _STEP) + 1)
    souths = np.arange(math.floor(lat.min() / _STEP), math.floor(lat.max() / _STEP) + 1)
    cells = (_cell((a + 0.5) * _STEP, (b + 0.5) * _STEP) for b in souths for a in wests)
    return tuple(dict.fromkeys([own, *cells]))


def _cell(lon: float, lat: float) -> Place:
    """The cell that holds a point, by its south-west corner: "N46.5E007.0"."""
    west = math.floor(((lon + 180) % 360 - 180) / _STEP) * _STEP
    south = min(math.floor(lat / _STEP) * _STEP, 90 - _STEP)
    return f"{'NS'[south < 0]}{abs(south):04.1f}{'EW'[west < 0]}{abs(west):05.1f}"


def _corner_of(cell: Place) -> tuple[float, float]:
    """West and south edge of a cell; `InputError` for what is none."""
    found = _CELL.fullmatch(cell)
    if found is None:
        raise InputError(f"{cell!r} is no cell of a search: give one like N46.5E007.0")
    south = float(found[2]) * (1 if found[1] == "N" else -1)
    return float(found[4]) * (1 if found[3] == "E" else -1), south


def _boxes(cell: Place) -> tuple[Box, ...]:
    """Where the scenes of a cell are searched; two boxes across 180 degrees."""
    west, south = _corner_of(cell)
    low, high = max(south - _MARGIN, -90), min(south + _STEP + _MARGIN, 90)
    more = _MARGIN / max(math.cos(math.radians(max(abs(low), abs(high)))), 0.02)
    west, east = west - more, west + _STEP + more
    spans = [(west, east)]
    if west < -180:
        spans = [(west + 360, 180), (-180, east)]
    elif east > 180:
        spans = [(west, 180), (-180, east - 360)]
    return tuple((round(a, 6), round(low, 6), round(b, 6), round(high, 6)) for a, b in spans)


def _question(_grid: Lattice, _cell: Place) -> Mapping[str, Any]:
    return {}


# What a scene says of itself


def _normal(item: Item) -> Item:
    """A scene whose CRS is told by one code: UTM by the northern one, with northings below 0.

    Some copies are labelled with the wrong hemisphere. What the northing means is decided by where
    the item says that it lies.
    """
    properties = mapping(item.get("properties"))
    code, transform = _code(properties), properties.get("proj:transform")
    if not (code and numbers(transform) and len(transform) >= 6 and _are_small(transform)):
        return item
    plane, added = frame(f"EPSG:{code}")
    told: dict[str, Any] = {"proj:epsg": int(plane.removeprefix("EPSG:"))}
    if plane.startswith("EPSG:326"):
        tops = [transform[5] - added, *(transform[5] + shift for shift in (0, -1e7, 1e7))]
        fits = [top for top in tops if _off(properties, item, plane, top) == ""]
        told["proj:transform"] = [*transform[:5], (fits or tops)[0], *transform[6:]]
    others = dict.fromkeys(("proj:code", "proj:wkt2", "proj:projjson"))
    return {**item, "properties": {**properties, **others, **told}}


def _code(properties: Mapping[str, Any]) -> int:
    """The EPSG code of an item's CRS, however it tells it; 0 where it tells none."""
    epsg, code = properties.get("proj:epsg"), properties.get("proj:code")
    if isinstance(epsg, int) and not isinstance(epsg, bool):
        return epsg if 1024 <= epsg <= 998_999 else 0
    if isinstance(code, str) and (found := re.fullmatch(r"EPSG:(\d{4,6})", code, re.ASCII)):
        return int(found[1])
    wkt = properties.get("proj:wkt2")
    return _code_of(wkt) if isinstance(wkt, str) else 0


@lru_cache(maxsize=256)
def _code_of(wkt: str) -> int:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return int(CRS(wkt).to_epsg() or 0)
    except (CRSError, UnicodeError):
        return 0


def _are_small(values: Iterable[float]) -> bool:
    """Whether numbers are such that one can count with; JSON can hold any."""
    return all(abs(value) < _MOST for value in values)


_MOST: Final = 1e9


def box_of(item: Item) -> Box | None:
    """Where an item says that it lies, in degrees; None where it does not say."""
    box = item.get("bbox")
    if not numbers(box) or len(box) not in (4, 6):
        return None
    west, south, east, north = (*box[:2], *box[-3:-1]) if len(box) == 6 else box
    good = _are_small((west, east)) and -90 <= south <= north <= 90
    return (float(west), float(south), float(east), float(north)) if good else None


def _off(properties: Mapping[str, Any], item: Item, plane: str, top: float) -> str:
    """How the files of an item lie elsewhere than it says, if their upper edge is ``top``."""
    box, shape, transform = box_of(item), properties.get("proj:shape"), properties["proj:transform"]
    if box is None:
        return "" if abs(top) < 1e7 else "beyond the poles"
    if not (numbers(shape) and len(shape) == 2 and _are_small(shape)):
        return ""
    x, y = transform[2] + PIXEL / 2 * shape[1], top - PIXEL / 2 * shape[0]
    lon, lat = transformer(plane, DEGREES).transform(x, y)
    west, south, east, north = box
    if not (math.isfinite(lon) and abs(lat - (south + north) / 2) < _NEAR):
        return f"at latitude {lat:.1f}"
    wide = east - west if east >= west else east - west + 360
    middle = (west + wide / 2 - lon + 180) % 360 - 180
    near = abs(middle) * math.cos(math.radians(lat)) < _NEAR + 0.5
    return "" if near or wide > 180 or abs(lat) > 80 else f"at longitude {lon:.1f}"


def _identify(item: Item) -> Identity:
    """Path and row and the day of processing by the id, or by the address of a file."""
    found = _ID.fullmatch(str(item.get("id")))
    code = _code(mapping(item.get("properties")))
    processed = found[3] or _processed(item) if found else ""
    place = found[1] + found[2] if found else ""
    return Identity(f"EPSG:{code}" if code else "", place, processed)


def _processed(item: Item) -> str:
    assets = mapping(item.get("assets"))
    hrefs = (mapping(assets.get(key)).get("href") for key in ("red", "qa_pixel"))
    told = (_PRODUCT.search(href) for href in hrefs if isinstance(href, str))
    return next((found[1] for found in told if found), "")


def _fault(item: Item, row: Mapping[str, Any], _grid: Lattice) -> str:
    """Why a scene must not be read: its id, its CRS or its place can't be right."""
    properties = mapping(item.get("properties"))
    found = _ID.fullmatch(row["item_id"])
    if found is None:
        return f"the id {shown(item.get('id'))} is none of a Collection 2 Level-2 scene"
    for name, told in (("wrs_path", found[1]), ("wrs_row", found[2])):
        said = properties.get(f"landsat:{name}")
        if said is not None and str(said).zfill(3) != told:
            return f"the id names another path and row than landsat:{name} {shown(said)}"
    return _crs_fault(item, properties, row)


def _crs_fault(item: Item, properties: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    if not row["grid"]:
        return f"its CRS {shown(properties.get('proj:epsg'))} has no EPSG code"
    try:
        get_grid(row["grid"])
    except InputError as error:
        return f"its CRS can't be read: {error}"
    transform, shape = properties.get("proj:transform"), properties.get("proj:shape")
    if not (row["width"] and row["height"]):
        return f"proj:shape {shown(shape)} is no size of a raster"
    if not numbers(transform) or (row["left"], row["top"]) != (transform[2], transform[5]):
        return f"proj:transform {shown(transform)} is not that of pixels of {PIXEL} m, north up"
    if where := _off(properties, item, row["grid"], row["top"]):
        return f"proj:transform {shown(transform)} of {row['grid']} lies {where}, not in its bbox"
    return ""


def place_by_id(item_id: str) -> Place:
    """Path and row that an id tells; "" where it tells none."""
    found = _ID.fullmatch(item_id)
    return found[1] + found[2] if found else ""


# The catalogs

BLOB: Final = "https://landsateuwest.blob.core.windows.net/landsat-c2"
"""Where Planetary Computer keeps the files, free for all who ask for a token."""

BUCKET: Final = "s3://usgs-landsat/collection02"
"""Where USGS keeps the files: the requester pays. The keys below it are those below `BLOB`."""


FAR: Final = 192
"""Requests of a process at the same time to Planetary Computer's files in Europe: where each takes
100 ms, so many keep a core at work."""


def _scenes(name: str, collection: str, **more: Any) -> Source:
    return Source(
        name=name,
        title="Landsat Collection 2 Level-2 scenes",
        collection=collection,
        grids={},
        usual_grid="utm",
        places=_places,
        boxes=_boxes,
        question=_question,
        normal=_normal,
        identify=_identify,
        fault=_fault,
        place_by_id=place_by_id,
        terms="public domain (USGS)",
        **more,
    )


USGS_SCENES: Final = _scenes(
    "landsatlook-scenes",
    "landsat-c2l2-sr",
    files=BLOB,
    at_a_time=FAR,
    copies=((BUCKET, BLOB),),
    cost="free: found at USGS, read at Planetary Computer, which may lack some",
    gaps="some files that USGS has are missing at Planetary Computer, or broken",
)
"""Scenes by USGS's own catalog, which counts, read at Planetary Computer for nothing."""

PC_SCENES: Final = _scenes(
    "planetary-computer",
    "landsat-c2-l2",
    files=BLOB,
    at_a_time=FAR,
    cost="free: found and read at Planetary Computer, which may lack some",
    gaps="some scenes that USGS has are missing, some files are broken; it does not count",
)
"""Scenes by the catalog of Planetary Computer, which does not count."""

ES_SCENES: Final = _scenes(
    "earth-search",
    "landsat-c2-l2",
    files=BUCKET,
    cost="the requester pays for each request, and for traffic out of AWS",
    gaps="some addresses lead nowhere once a scene was processed again",
    requester_pays=True,
)
"""Scenes by Element 84's catalog of USGS's bucket, where the requester pays."""


def scenes_of(addresses: Iterable[str | None]) -> Source:
    """Whose the items of the collection landsat-c2-l2 are, by the addresses of their assets."""
    return ES_SCENES if any(a and a.startswith("s3://") for a in addresses) else PC_SCENES


def meets(box: Sequence[float], others: Iterable[Box]) -> bool:
    """Whether a box in degrees, which may cross 180 degrees, meets any of others that do not."""
    west, south, east, north = box
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    spans += [(a + turn, b + turn) for a, b in spans for turn in (-360, 360)]
    return any(
        a <= right and left <= b and south <= high and low <= north
        for left, low, right, high in others
        for a, b in spans
    )
