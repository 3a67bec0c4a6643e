"""STAC items as they come become rows of one table; what does not fit is refused by name.

The item table has one row per STAC item (one tile, date and platform), index 0..n-1:

===============  ===============================================================================
``item_id``      str, "" if unusable
``sensor``       str, first part of the id, e.g. "LC09"; "" if unusable
``region``       str, CU, AK or HI; "" if unusable
``h, v``         int, the tile; -1 if unusable
``time``         datetime64[ns], UTC without zone, exact; NaT if unusable
``date``         str, the ``datetime`` property, character by character; "" if unusable
``processed``    str, day of processing by the id, e.g. "20230914"; "" if the id does not tell
``scene_count``  Int64, number of scenes in the item, <NA> if unknown
``cloud_cover``  float, percent, NaN if unknown
``left, top``    int, upper left corner of the tile in metres; 0 if unusable
seven bands      str, address of the asset named like the band, without secrets: the S3 one if
                 there is one, else ``href``; None where the item lacks the band
``refused``      str, "" for a good item, else why it must not be read
===============  ===============================================================================
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeGuard

import numpy as np
import pandas as pd

from ..grid import Region, Tile, get_region
from ..landsat import BANDS, PIXEL, TILE_SIZE
from ..storage.access import keepable, without_secrets

COLLECTION: Final = "landsat-c2ard-sr"
"""Landsat Collection 2 U.S. ARD surface reflectance, as USGS names it."""

NOT_ASKED: Final = "not asked for: "
"""How the refusal of a sound item begins that the search should not have returned."""

COLUMNS: Final = (
    "item_id", "sensor", "region", "h", "v", "time", "date", "processed", "scene_count",
    "cloud_cover", "left", "top", *BANDS, "refused",
)  # fmt: skip
"""Columns of the item table, in order."""

_DTYPES: Final = {
    **dict.fromkeys(COLUMNS, "object"), "h": "int64", "v": "int64", "time": "datetime64[ns]",
    "scene_count": "Int64", "cloud_cover": "float64", "left": "int64", "top": "int64",
}  # fmt: skip

_ID = re.compile(r"([A-Z]{2}\d{2})_[A-Za-z0-9_.-]{1,200}", re.ASCII)
_ARD_ID = re.compile(r"[A-Z]{2}\d\d_([A-Z]{2})_(\d{3})(\d{3})_\d{8}_(\d{8})_\d\d.*", re.ASCII)
_DATE = re.compile(
    r"((?:19|20|21)\d\d-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_NAT: Final = np.datetime64("NaT", "ns")


@dataclass(frozen=True)
class DatetimeRange:
    """A span of time in UTC, both ends included."""

    start: np.datetime64 | None = None
    """First instant (datetime64[ns]), or None for no limit."""
    end: np.datetime64 | None = None
    """Last instant (datetime64[ns]), or None for no limit."""

    def __str__(self) -> str:
        """START/END as STAC APIs take it, to the microsecond, ".." for an open end."""
        return "/".join(
            ".." if t is None else f"{np.datetime_as_string(t, unit='us', casting='same_kind')}Z"
            for t in (self.start, self.end)
        )

    def covers(self, other: DatetimeRange) -> bool:
        """Whether all of another span lies in this one; nothing lies before 1982."""
        first = np.datetime64("1982-01-01", "ns")
        starts = [first if r.start is None else max(r.start, first) for r in (self, other)]
        later = self.end is None or (other.end is not None and other.end <= self.end)
        return bool(starts[0] <= starts[1] and later)

    def holds(self, time: np.datetime64) -> bool:
        """Whether an instant lies in the span; NaT, the unknown instant, is not ruled out."""
        early = self.start is not None and time < self.start
        late = self.end is not None and time > self.end
        return not (early or late)


@dataclass(frozen=True)
class Query:
    """What was asked for: items of some tiles of one region and a span of time."""

    region: Region
    """Grid of the tiles."""
    tiles: frozenset[Tile] | None = None
    """Tiles (h, v); None for every tile of the region."""
    period: DatetimeRange = DatetimeRange()
    """Which dates; all by default."""


def items_table(items: Iterable[object], query: Query) -> pd.DataFrame:
    """The item table (see the module) of STAC items as parsed from JSON.

    Rows are sorted by time and id (those without a time last), whatever order the items come in.
    A good item that comes again with the same row is left out; one that comes again with another
    row is refused. Nothing else is dropped: every row that must not be read says why in
    ``refused``. Items may hold anything (they are untrusted); this never raises.
    """
    rows = [item_row(item, query) for item in items]
    rows.sort(key=_rank)
    table = with_dtypes(pd.DataFrame(rows, columns=list(COLUMNS)))
    good = table[table["refused"] == ""]
    table = table.drop(good.index[good.duplicated()]).reset_index(drop=True)
    good = table[table["refused"] == ""]
    again = good.index[good.duplicated("item_id")]
    table.loc[again, "refused"] = "another item has the same id and is read instead"
    return table


def with_dtypes(table: pd.DataFrame) -> pd.DataFrame:
    """A table of these columns with the types of the item table; None where a band is missing."""
    table = table.astype(_DTYPES)
    for band in BANDS:
        if (missing := table[band].isna()).any():  # NaN, where pandas 3 took the column for text
            table[band] = table[band].mask(missing, None)
    return table


def in_period(table: pd.DataFrame, period: DatetimeRange) -> pd.DataFrame:
    """The rows of an item table that lie in a span of time, or whose time is unknown."""
    early = table["time"] < (period.start if period.start is not None else pd.Timestamp.min)
    late = table["time"] > (period.end if period.end is not None else pd.Timestamp.max)
    return table[~(early | late)].reset_index(drop=True)


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort key that leaves no tie between rows that differ."""
    return np.isnat(row["time"]), row["time"].astype("int64"), row["item_id"], repr(row)


def item_row(item: object, query: Query) -> dict[str, Any]:
    """One row of the item table (see the module) as a mapping from its columns.

    ``item`` is anything that JSON can hold; whatever is wrong with it stands in ``refused``.
    """
    item = _mapping(item)
    properties = _mapping(item.get("properties"))
    item_id = item.get("id")
    item_id = item_id if isinstance(item_id, str) and _ID.fullmatch(item_id) else ""
    ard_id = _ARD_ID.fullmatch(item_id)
    tile = _tile(properties)
    date = properties.get("datetime")
    time = parse_time(date) if isinstance(date, str) else _NAT
    corner = _corner(properties.get("proj:transform"))
    row = {
        "item_id": item_id,
        "sensor": item_id[:4],
        "region": _known_region(properties.get("landsat:grid_region")),
        "h": tile[0],
        "v": tile[1],
        "time": time,
        "date": "" if np.isnat(time) else date,
        "processed": ard_id[4] if ard_id else "",
        "scene_count": _count(properties.get("landsat:scene_count")),
        "cloud_cover": _percent(properties.get("eo:cloud_cover")),
        "left": corner[0] if corner else 0,
        "top": corner[1] if corner else 0,
    }
    assets = _mapping(item.get("assets"))
    row.update((band, _address(assets.get(band))) for band in BANDS)
    row["refused"] = _unasked(item, row, query) or _fault(item, row, query.region)
    return row


def _unasked(item: Mapping[str, Any], row: Mapping[str, Any], query: Query) -> str:
    """Why the search should not have returned this item, as far as it can be read; else ""."""
    collection, tile, time = item.get("collection"), (row["h"], row["v"]), row["time"]
    if isinstance(collection, str) and collection != COLLECTION:
        return f"{NOT_ASKED}collection {collection[:60]!r}, not {COLLECTION!r}"
    if row["region"] not in ("", query.region.name):
        return f"{NOT_ASKED}region {row['region']}, not {query.region.name}"
    if query.tiles is not None and -1 not in tile and tile not in query.tiles:
        return f"{NOT_ASKED}tile h{tile[0]:02d}v{tile[1]:02d}"
    return "" if query.period.holds(time) else f"{NOT_ASKED}date {row['date']}"


def _fault(item: Mapping[str, Any], row: Mapping[str, Any], region: Region) -> str:
    """What is wrong with an item; "" if nothing is."""
    properties = _mapping(item.get("properties"))
    if not row["item_id"]:
        return f"the id {_shown(item.get('id'))} does not begin with a sensor like LC09_"
    if item.get("collection") != COLLECTION:
        return f"the collection {_shown(item.get('collection'))} is not {COLLECTION!r}"
    if np.isnat(row["time"]):
        return f"datetime {_shown(properties.get('datetime'))} is no date and time"
    tile = (row["h"], row["v"])
    corner = (row["left"], row["top"])
    return _tile_fault(properties, row, region) or _grid_fault(properties, corner, region, tile)


def _tile_fault(properties: Mapping[str, Any], row: Mapping[str, Any], region: Region) -> str:
    """Why the item is of no tile of the region; "" if it is of one."""
    tile = (row["h"], row["v"])
    if not row["region"]:
        return f"landsat:grid_region {_shown(properties.get('landsat:grid_region'))} is no region"
    if not region.has_tile(tile):
        h, v = (_shown(properties.get(f"landsat:grid_{a}")) for a in ("horizontal", "vertical"))
        return f"landsat:grid_horizontal {h} and grid_vertical {v} are no tile of {region.name}"
    ard_id = _ARD_ID.fullmatch(row["item_id"])
    if ard_id and (ard_id[1], int(ard_id[2]), int(ard_id[3])) != (region.name, *tile):
        return f"the id names another tile than its properties, h{tile[0]:02d}v{tile[1]:02d}"
    return ""


def _grid_fault(
    properties: Mapping[str, Any], corner: tuple[int, int], region: Region, tile: Tile
) -> str:
    """Why the item's pixels do not lie on the tile; "" if they do."""
    shape, transform = properties.get("proj:shape"), properties.get("proj:transform")
    if not _numbers(shape) or list(shape) != [TILE_SIZE, TILE_SIZE]:
        return f"proj:shape {_shown(shape)} is not [{TILE_SIZE}, {TILE_SIZE}]"
    if _corner(transform) is None or corner != region.corner(tile):
        left, top = region.corner(tile)
        return f"proj:transform {_shown(transform)} is not [30, 0, {left}, 0, -30, {top}]"
    return _crs_fault(properties, region)


def _crs_fault(properties: Mapping[str, Any], region: Region) -> str:
    """Why the item's CRS is not the region's. An item that says nothing is taken to have it."""
    wkt, epsg, code = (properties.get(f"proj:{name}") for name in ("wkt2", "epsg", "code"))
    if wkt is None:
        said = code if epsg is None else epsg
        albers = f"the Albers of {region.name} on WGS 84, which has no code"
        return "" if said is None else f"the CRS {_shown(said)} is not {albers}"
    if not (isinstance(wkt, str) and _is_albers(wkt, region.name)):
        return f"proj:wkt2 is not the Albers of {region.name} on WGS 84: {_shown(wkt)}"
    return ""


@lru_cache(maxsize=256)
def _is_albers(text: str, region: str) -> bool:
    """Whether a CRS in WKT is the region's; names and the order of parameters may differ."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return bool(CRS.from_wkt(text) == CRS.from_wkt(get_region(region).wkt))
    except (CRSError, UnicodeError):
        return False


def parse_time(text: str) -> np.datetime64:
    """Instant of an RFC 3339 text as datetime64[ns] in UTC; NaT if it is none.

    Any number of fractional digits is read, to the nanosecond (more are cut off). A text without
    a zone is taken for UTC.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return _NAT
    day, clock, fraction, zone = found.groups()
    try:
        time = np.datetime64(f"{day}T{clock}{(fraction or '')[:10]}", "ns")
    except ValueError:
        return _NAT
    if zone in (None, "Z", "z"):
        return time
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        return _NAT
    offset = np.timedelta64(hours * 60 + minutes, "m")
    return time - offset if zone[0] == "+" else time + offset


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _numbers(value: object) -> TypeGuard[Sequence[float]]:
    """Whether a value is a list of numbers (True and False are none)."""
    return isinstance(value, list | tuple) and all(
        isinstance(n, int | float) and not isinstance(n, bool) for n in value
    )


def _tile(properties: Mapping[str, Any]) -> Tile:
    """Tile (h, v) by the item's properties, -1 for what is no number."""

    def number(value: object) -> int:
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        return int(text) if re.fullmatch("[0-9]{1,3}", text) else -1

    return (
        number(properties.get("landsat:grid_horizontal")),
        number(properties.get("landsat:grid_vertical")),
    )


def _known_region(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch("CU|AK|HI", value) else ""


def _corner(transform: Any) -> Tile | None:
    """Upper left corner of a north-up transform of 30 m pixels; None for any other."""
    if not _numbers(transform) or len(transform) not in (6, 9):
        return None
    a, b, left, d, e, top, *last = transform
    if (a, b, d, e) != (PIXEL, 0, 0, -PIXEL) or last not in ([], [0, 0, 1]):
        return None
    if not (abs(left) < 1e9 and abs(top) < 1e9 and left == int(left) and top == int(top)):
        return None
    return int(left), int(top)


def _count(value: object) -> int | None:
    """A number of scenes, or None for what is no such number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        return None
    return int(value) if value == int(value) else None


def _percent(value: object) -> float:
    """A percentage, or NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return float("nan")
    return float(value)


def _address(asset: object) -> str | None:
    """Where to read an asset: in S3 if the item tells, else at its href."""
    asset = _mapping(asset)
    s3 = _mapping(_mapping(asset.get("alternate")).get("s3"))
    for address in (s3.get("href"), asset.get("href")):
        if isinstance(address, str) and address:
            return keepable(address.encode("utf-8", "replace").decode())  # lone surrogates
    return None


def _shown(value: object) -> str:
    """A value for a message, shortened, without secrets."""
    return "(absent)" if value is None else reprlib.repr(without_secrets(value))
