"""STAC items as they come become rows of one table; what does not fit is refused by name.

The item table has one row per STAC item (one place, date and platform), index 0..n-1:

===================  ===========================================================================
``item_id``          str, "" if unusable
``sensor``           str, first part of the id, e.g. "LC09"; "" if unusable
``grid``             str, name of its grid: CU, AK or HI; "" if unusable
``place``            str, where it lies: the tile, "0304" for h03v04; "" if unusable
``time``             datetime64[ns], UTC without zone, exact; NaT if unusable
``date``             str, the ``datetime`` property, character by character; "" if unusable
``processed``        str, day of processing by the id, e.g. "20230914"; "" if the id does not tell
``scene_count``      Int64, number of scenes in the item, <NA> if unknown
``cloud_cover``      float, percent of the pixels seen, NaN if unknown
``left, top``        int, upper left corner of its files in metres; 0 if unusable
``width, height``    int, size of its files in pixels; 0 if unusable
seven bands          str, address of the band's asset, without secrets: the S3 one if there is one,
                     else ``href``; None where the item lacks the band
``refused``          str, "" for a good item, else why it must not be read
===================  ===========================================================================

Of scenes ``grid`` is the code of their zone of UTM (EPSG:32610, also in the south, where ``top``
lies below 0), ``place`` is path and row ("047027"), and four more columns tell where they lie:

============================  ==================================================================
``west, south, east, north``  float, degrees, as the item says; NaN if it does not
============================  ==================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..grid import Lattice, is_near
from ..landsat import BANDS, PIXEL
from ..storage.access import keepable
from .dates import DatetimeRange, parse_time
from .scenes import box_of, meets
from .sources import Place, Source, mapping, numbers, shown

NOT_ASKED: Final = "not asked for: "
"""How the refusal of a sound item begins that the search should not have returned."""

COLUMNS: Final = (
    "item_id", "sensor", "grid", "place", "time", "date", "processed", "scene_count",
    "cloud_cover", "left", "top", "width", "height", *BANDS, "refused",
)  # fmt: skip
"""Columns of the item table, in order."""

BOX: Final = ("west", "south", "east", "north")
"""Columns that the table of scenes has, too."""

_DTYPES: Final = {
    **dict.fromkeys(COLUMNS, "object"),
    **dict.fromkeys(("left", "top", "width", "height"), "int64"),
    "time": "datetime64[ns]", "scene_count": "Int64", "cloud_cover": "float64",
    **dict.fromkeys(BOX, "float64"),
}  # fmt: skip

_ID = re.compile(r"([A-Z]{2}\d{2})_[A-Za-z0-9_.-]{1,200}", re.ASCII)
_PROJECTION: Final = ("shape", "transform", "wkt2", "projjson", "epsg", "code")
"""What the projection extension of STAC tells, of an item or of each asset."""

_NAT: Final = np.datetime64("NaT", "ns")


@dataclass(frozen=True)
class Query:
    """What was asked for: items of some places of one grid and a span of time."""

    source: Source
    """The archive."""
    grid: Lattice
    """Grid of the places."""
    places: frozenset[Place] | None = None
    """Places; None for every one of the grid. Of scenes these are cells."""
    period: DatetimeRange = DatetimeRange()
    """Which dates; all by default."""


def items_table(items: Iterable[object], query: Query) -> pd.DataFrame:
    """The item table (see the module) of STAC items as parsed from JSON.

    Rows are sorted by time and id (those without a time last), whatever order the items come in.
    A good item that comes again with the same row is left out; one that comes again with another
    row is refused. Nothing else is dropped: every row that must not be read says why in
    ``refused``. Items may hold anything (they are untrusted); this never raises.
    """
    return checked_items(items, query)[0]


def checked_items(
    items: Iterable[object], query: Query
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """The `items_table`, and which of its items were asked for (see `item_row`)."""
    rows = [item_row(item, query) for item in items]
    rows.sort(key=_rank)
    columns = [*COLUMNS, *(BOX if query.source.has_scenes else ()), "asked"]
    table = with_dtypes(pd.DataFrame(rows, columns=columns))
    good = table[table["refused"] == ""]
    table = table.drop(good.index[good.duplicated()]).reset_index(drop=True)
    good = table[table["refused"] == ""]
    again = good.index[good.duplicated("item_id")]
    table.loc[again, "refused"] = "another item has the same id and is read instead"
    asked = table.pop("asked").to_numpy(bool)
    return table, asked


def with_dtypes(table: pd.DataFrame) -> pd.DataFrame:
    """A table of these columns with the types of the item table; None where a band is missing."""
    table = table.astype({name: kind for name, kind in _DTYPES.items() if name in table})
    for band in BANDS:
        if (missing := table[band].isna()).any():  # NaN, where pandas 3 took the column for text
            table[band] = table[band].mask(missing, None)
    return table


def in_period(table: pd.DataFrame, period: DatetimeRange) -> pd.DataFrame:
    """The rows of an item table that lie in a span of time, or whose time is unknown."""
    early = table["time"] < (period.start if period.start is not None else pd.Timestamp.min)
    late = table["time"] > (period.end if period.end is not None else pd.Timestamp.max)
    return table[~(early | late)].reset_index(drop=True)


def of_places(table: pd.DataFrame, places: Iterable[Place], source: Source) -> pd.DataFrame:
    """The rows of an item table that lie at some places, or do not tell their place."""
    if source.boxes is None:
        return table[table["place"].isin(["", *places])].reset_index(drop=True)
    boxes = [box for place in places for box in source.boxes(place)]
    told = table[list(BOX)].to_numpy()
    near = [np.isnan(box[0]) or meets(box, boxes) for box in told.tolist()]
    return table[np.array(near, dtype=bool)].reset_index(drop=True)


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort key that leaves no tie between rows that differ; of one id the good ones come first."""
    time, refused = row["time"], row["refused"] != ""
    return np.isnat(time), time.astype("int64"), row["item_id"], refused, repr(row)


def item_row(item: object, query: Query) -> dict[str, Any]:
    """One row of the item table (see the module) as a mapping from its columns.

    ``item`` is anything that JSON can hold; whatever is wrong with it stands in ``refused``. One
    key more, ``asked``, tells whether it was asked for, as far as it can be read.
    """
    item, differing = _with_projection(mapping(item), query.source)
    item = query.source.normal(item)
    properties = mapping(item.get("properties"))
    item_id = item.get("id")
    item_id = item_id if isinstance(item_id, str) and _ID.fullmatch(item_id) else ""
    identity = query.source.identify(item)
    date = properties.get("datetime")
    time = parse_time(date) if isinstance(date, str) else _NAT
    corner = _corner(properties.get("proj:transform")) or (0, 0)
    size = _size(properties.get("proj:shape")) or (0, 0)
    row = {
        "item_id": item_id,
        "sensor": item_id[:4],
        "grid": identity.grid,
        "place": identity.place,
        "time": time,
        "date": "" if np.isnat(time) else date,
        "processed": identity.processed if item_id else "",
        "scene_count": _count(properties.get("landsat:scene_count")),
        "cloud_cover": _percent(properties.get("eo:cloud_cover")),
        "left": corner[0],
        "top": corner[1],
        "width": size[0],
        "height": size[1],
    }
    assets = mapping(item.get("assets"))
    row.update((band, asset_address(assets.get(query.source.assets[band]))) for band in BANDS)
    if query.source.has_scenes:
        row.update(zip(BOX, box_of(item) or (float("nan"),) * 4, strict=True))
    unasked = _unasked(item, row, query)
    row["asked"] = not unasked
    row["refused"] = unasked or differing or _fault(item, row, query)
    return row


def _with_projection(item: Mapping[str, Any], source: Source) -> tuple[Mapping[str, Any], str]:
    """An item with what its assets alone tell of their pixels, and where these differ in it."""
    properties, assets = mapping(item.get("properties")), mapping(item.get("assets"))
    found: dict[str, Any] = {}
    for key in (f"proj:{name}" for name in _PROJECTION):
        if properties.get(key) is not None:
            continue
        told = [mapping(assets.get(source.assets[band])).get(key) for band in BANDS]
        told = [value for value in told if value is not None]
        if not _alike(told):
            return item, f"{key} is not the same for all of its assets"
        if told:
            found[key] = told[0]
    return ({**item, "properties": {**properties, **found}} if found else item), ""


def _alike(values: list[Any]) -> bool:
    """Whether values are all the same, but for roundings.

    False where they are nested too deep, or numbers are too high, to tell.
    """
    try:
        if all(map(numbers, values)):
            return all(is_near(value, values[0]) for value in values[1:])
        return all(value == values[0] for value in values[1:])
    except (RecursionError, OverflowError):
        return False


def _unasked(item: Mapping[str, Any], row: Mapping[str, Any], query: Query) -> str:
    """Why the search should not have returned this item, as far as it can be read; else ""."""
    collection, place, time = item.get("collection"), row["place"], row["time"]
    wanted = query.source.collection
    if isinstance(collection, str) and collection != wanted:
        return f"{NOT_ASKED}collection {collection[:60]!r}, not {wanted!r}"
    if query.source.boxes is not None:
        boxes = [box for cell in query.places or () for box in query.source.boxes(cell)]
        if boxes and not np.isnan(row["west"]) and not meets([row[n] for n in BOX], boxes):
            return f"{NOT_ASKED}it lies elsewhere"
        return "" if query.period.holds(time) else f"{NOT_ASKED}date {row['date']}"
    if row["grid"] not in ("", query.grid.name):
        return f"{NOT_ASKED}region {row['grid']}, not {query.grid.name}"
    if query.places is not None and place and place not in query.places:
        return f"{NOT_ASKED}tile {query.source.title_of_place(place)}"
    return "" if query.period.holds(time) else f"{NOT_ASKED}date {row['date']}"


def _fault(item: Mapping[str, Any], row: Mapping[str, Any], query: Query) -> str:
    """What is wrong with an item; "" if nothing is."""
    properties, collection = mapping(item.get("properties")), query.source.collection
    if not row["item_id"]:
        return f"the id {shown(item.get('id'))} does not begin with a sensor like LC09_"
    if item.get("collection") != collection:
        return f"the collection {shown(item.get('collection'))} is not {collection!r}"
    if np.isnat(row["time"]):
        return f"datetime {shown(properties.get('datetime'))} is no date and time"
    return query.source.fault(item, row, query.grid)


def grid_fault(item: Mapping[str, Any], row: Mapping[str, Any], grid: Lattice) -> str:
    """Why an item's pixels are none of a lattice, for sources whose files have any size.

    Its transform must be north-up with pixels of 30 m that are those of the lattice.
    """
    properties = mapping(item.get("properties"))
    if not (row["width"] and row["height"]):
        return f"proj:shape {shown(properties.get('proj:shape'))} is no size of a raster"
    found = _corner(properties.get("proj:transform"))
    if found is None or (found[0] - grid.left) % PIXEL or (found[1] - grid.top) % PIXEL:
        transform = shown(properties.get("proj:transform"))
        return f"proj:transform {transform} does not sit on the pixels of {grid.name}"
    return ""


def _corner(transform: Any) -> tuple[int, int] | None:
    """Upper left corner of a north-up transform of 30 m pixels, see `is_near`; None for others."""
    if not numbers(transform) or len(transform) not in (6, 9):
        return None
    a, b, left, d, e, top, *last = transform
    if not is_near((a, b, d, e), (PIXEL, 0, 0, -PIXEL)) or last not in ([], [0, 0, 1]):
        return None
    if not (abs(left) < 1e9 and abs(top) < 1e9):
        return None
    corner = round(left), round(top)
    return corner if is_near((left, top), corner) else None


def _size(shape: Any) -> tuple[int, int] | None:
    """Width and height of a ``proj:shape``; None for what is none."""
    if not numbers(shape) or len(shape) != 2 or not all(1 <= n < 1e6 for n in shape):
        return None
    height, width = shape
    return (int(width), int(height)) if (width, height) == (int(width), int(height)) else None


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


def asset_address(asset: object) -> str | None:
    """Where to read an asset, without secrets: in S3 if the item tells, else at its href."""
    asset = mapping(asset)
    s3 = mapping(mapping(asset.get("alternate")).get("s3"))
    for address in (s3.get("href"), asset.get("href")):
        if isinstance(address, str) and address:
            return keepable(address.encode("utf-8", "replace").decode())  # lone surrogates
    return None
