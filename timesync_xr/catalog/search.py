"""Items of tiles: searched in a STAC API or in a file of items, checked, and made into a table.

`timesync_xr.items` describes the table. The same archive gives the same table, whether its items
come from an API, from JSON or from stac-geoparquet.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import CatalogError, InputError
from ..grid import REGIONS, Tile, get_region
from ..storage.access import clean
from ..storage.folder import disk_error
from .items import COLLECTION, NOT_ASKED, DatetimeRange, Query, in_period, items_table, parse_time

__all__ = [
    "DatetimeRange", "fetch_items", "parse_datetime", "read_items", "search_items",
    "search_with_items", "write_items",
]  # fmt: skip

LANDSATLOOK: Final = "https://landsatlook.usgs.gov/stac-server"
"""STAC API of USGS."""

VERBATIM: Final = "timesync:datetime"
"""Property that keeps the text of ``datetime``, which geoparquet keeps to the millisecond only."""


def search_items(
    tiles: Iterable[Tile],
    *,
    source: str | os.PathLike[str] = "landsatlook",
    region: str = "CU",
    datetime: str | int | DatetimeRange | None = None,
) -> pd.DataFrame:
    """Search the items of some tiles; return them as a table, sorted by time and id.

    Parameters
    ----------
    tiles
        Tiles (h, v) of the region.
    source
        ``"landsatlook"``, the address (http or https) of any STAC API that has the query
        extension and the collection landsat-c2ard-sr, or a file that `read_items` reads.
    region
        ``"CU"``, ``"AK"`` or ``"HI"``.
    datetime
        Which dates, see `parse_datetime`; by default everything from 1982 to now.

    Returns
    -------
    pandas.DataFrame
        One row per item, as described in `timesync_xr.items`. Rows whose ``refused`` is not ""
        must not be read: items that do not fit the grid, and items that an API returned although
        they were not asked for. Of a file the items that were not asked for are left out. A
        warning tells of items that are of no tile.

    Raises
    ------
    InputError
        For a tile outside the region, a datetime that is none, or a source that is not there or
        holds no items of the region.
    CatalogError
        The API lacks the query extension, or sent more or fewer items than it counted. Faults
        that pass are waited out first.
    AccessError
        The API can't be reached or refuses access.
    """
    return search_with_items(tiles, source=source, region=region, datetime=datetime)[1]


def search_with_items(
    tiles: Iterable[Tile],
    *,
    source: str | os.PathLike[str],
    region: str,
    datetime: str | int | DatetimeRange | None,
) -> tuple[list[Any], pd.DataFrame]:
    """The items that an API sent (none of a file) and their table; see `search_items`."""
    query = _query(tiles, region, datetime)
    if (url := _api_url(source)) is None:
        return [], _search_file(Path(source), query)
    items = _search_api(url, query)
    table = items_table(items, query)
    _tell_unplaced(url, table)
    return items, table


def _tell_unplaced(source: object, table: pd.DataFrame) -> None:
    """Warn of items that no plot can account for, as they do not tell their tile."""
    unasked = table["refused"].str.startswith(NOT_ASKED)
    unplaced = table.loc[~unasked & ((table["h"] < 0) | (table["v"] < 0)), "refused"]
    if len(unplaced):
        warnings.warn(
            f"{clean(str(source))}: {len(unplaced)} items are of no tile and are left out, the "
            f"first because {unplaced.iloc[0]}",
            stacklevel=2,
        )


def fetch_items(
    tiles: Iterable[Tile],
    *,
    source: str = "landsatlook",
    region: str = "CU",
    datetime: str | int | DatetimeRange | None = None,
) -> list[Any]:
    """The items themselves that a STAC API returns, unchecked; see `search_items`.

    They serve to be kept with `write_items`; `search_items` then reads that file.
    """
    url = _api_url(source)
    if url is None:
        raise InputError(f"{source} is no STAC API: give its http address, or read_items a file")
    return _search_api(url, _query(tiles, region, datetime))


def _search_api(url: str, query: Query) -> list[Any]:
    from .stac import search_api

    return search_api(url, query) if query.tiles else []


def _query(tiles: Iterable[Tile], region: str, datetime: str | int | DatetimeRange | None) -> Query:
    grid = get_region(region)
    wanted = frozenset((int(h), int(v)) for h, v in tiles)
    for h, v in sorted(wanted):
        if not grid.has_tile((h, v)):
            raise InputError(
                f"there is no tile h{h:02d}v{v:02d} in {region}: h goes to "
                f"{grid.tiles_across - 1} and v to {grid.tiles_down - 1}"
            )
    return Query(grid, wanted, parse_datetime(datetime))


def _api_url(source: str | os.PathLike[str]) -> str | None:
    """Address of the API that a source names; None for a file."""
    text = os.fspath(source)
    if text == "landsatlook":
        return LANDSATLOOK
    if text.lower().startswith(("http://", "https://")):
        return text
    if "://" in text:
        raise InputError(
            f"items can't be read from {text.split('://')[0]}://...: give landsatlook, the http "
            "address of a STAC API, or a file on this machine"
        )
    return None


def parse_datetime(datetime: str | int | DatetimeRange | None) -> DatetimeRange:
    """Span of time of a text like ``"1990/2022-08-31"``; None is everything from 1982 to now.

    START and END are a year, a month, a day or an instant (RFC 3339, UTC unless it tells its
    zone), or ".." or nothing for an open end. Both are included as a whole: ``"2009/2011"`` ends
    with 2011. A single date covers itself. Raises `InputError` for anything else, and for an end
    before the start.
    """
    if isinstance(datetime, DatetimeRange):
        return datetime
    if datetime is None:
        return DatetimeRange(np.datetime64("1982-01-01", "ns"))
    first, slash, last = str(datetime).partition("/")
    if not slash and first.strip() in ("", ".."):
        raise InputError(f"datetime {datetime!r} names no date: give START/END or leave it out")
    start, end = _span(str(datetime), first)[0], _span(str(datetime), last if slash else first)[1]
    if start is not None and end is not None and end < start:
        raise InputError(f"datetime {datetime!r} ends before it starts: give START/END")
    return DatetimeRange(start, end)


_DAY = re.compile(r"(19|20|21)\d\d(-\d\d(-\d\d)?)?", re.ASCII)


def _span(datetime: str, text: str) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    """First and last instant of one end of a range."""
    text = text.strip()
    if text in ("", ".."):
        return None, None
    try:
        if _DAY.fullmatch(text):
            value = np.datetime64(text)  # its unit is the precision of the text
            return value.astype("M8[ns]"), (value + 1).astype("M8[ns]") - np.timedelta64(1, "ns")
        instant = parse_time(text)
    except ValueError:
        instant = np.datetime64("NaT", "ns")
    if np.isnat(instant):
        raise InputError(
            f"{text!r} in datetime {datetime!r} is no date: write 2009, 2009-08, 2009-08-29 or "
            "2009-08-29T18:20:00Z, and START/END for a range"
        )
    return instant, instant


# Files of items


def _search_file(path: Path, query: Query) -> pd.DataFrame:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(
            f"there is no file of items at {path} ({error.strerror}): give landsatlook, the "
            "address of a STAC API, or a file"
        ) from None
    table = _file_table(path.absolute(), stat.st_mtime_ns, stat.st_size, query.region.name)
    tile = table["h"] * 1000 + table["v"]
    of_others = (table["h"] >= 0) & (table["v"] >= 0)
    of_others &= ~tile.isin([h * 1000 + v for h, v in query.tiles or ()])
    return in_period(table[~of_others], query.period)


@lru_cache(maxsize=4)
def _file_table(path: Path, _modified: int, _size: int, region: str) -> pd.DataFrame:
    """Table of all items of a region in a file; kept while the file is not changed."""
    items = read_items(path)
    if items and not any(_get(item, "collection") == COLLECTION for item in items):
        raise InputError(
            f"{path}: none of its {len(items)} items is of the collection {COLLECTION}. Give a "
            "file of Landsat Collection 2 U.S. ARD surface reflectance"
        )
    regions = {str(_get(_get(item, "properties"), "landsat:grid_region")) for item in items}
    if regions <= set(REGIONS) - {region}:
        raise InputError(
            f"{path}: its items are of {' and '.join(sorted(regions))}, none is of {region}. Check "
            "--region, or give another file"
        )
    table = items_table(items, Query(get_region(region)))
    _tell_unplaced(path, table)
    return table[~table["refused"].str.startswith(NOT_ASKED)].reset_index(drop=True)


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None


def read_items(path: str | os.PathLike[str]) -> list[Any]:
    """Items of a file, unchecked.

    The file holds JSON (a FeatureCollection, a list of items, or one item), an item per line
    (.ndjson, .jsonl), or stac-geoparquet. Raises `InputError` if it can't be read or is none of
    these.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
            raw = b"" if is_parquet else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}. Check the path") from None
    return _read_geoparquet(path) if is_parquet else parse_items(path, raw)


def parse_items(path: Path, raw: bytes) -> list[Any]:
    """Items of the JSON that a file at a path holds, unchecked; see `read_items`."""
    try:
        if path.suffix.lower() in (".ndjson", ".jsonl"):
            return [json.loads(line) for line in raw.splitlines() if line.strip()]
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}). Give a file of STAC items") from None
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        return [value]
    items = value.get("features") if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        raise InputError(f"{path}: no STAC items in it. Give a FeatureCollection of items")
    return items


def _read_geoparquet(path: Path) -> list[Any]:
    import rustac

    try:
        items: list[Any] = rustac.read_sync(str(path.absolute()), format="parquet")["features"]
    except rustac.RustacError as error:
        raise InputError(
            f"{path}: not stac-geoparquet ({error}). Give a file of STAC items"
        ) from None
    texts = [item["properties"].pop(VERBATIM, None) for item in items]
    for item, text in zip(items, texts, strict=True):
        if isinstance(text, str):
            item["properties"]["datetime"] = text
    if items and not any(texts):
        warnings.warn(
            f"{path} keeps the time of its items to the millisecond only, so the date column of "
            "the CSVs will be shorter than the archive's: give JSON, or write the file with "
            "timesync_xr.write_items",
            stacklevel=2,
        )
    return items


_ITEM_FIELDS = (
    "type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "properties", "links",
    "assets", "collection",
)  # fmt: skip


def write_items(items: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write items to a file that `read_items` reads: stac-geoparquet (.parquet) or else JSON.

    The file appears complete or not at all. Geoparquet keeps ``datetime`` to the millisecond only,
    so its text is kept beside it. Raises `CatalogError` for items that geoparquet can't hold:
    none at all, without a geometry, or with properties of mixed types.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.suffix.lower() == ".parquet":
            _write_geoparquet(items, path, partial)
        else:
            collection = {"type": "FeatureCollection", "features": list(items)}
            partial.write_text(json.dumps(collection), "utf-8")
        partial.replace(path)
    except OSError as error:
        raise disk_error(path, "written", error) from None
    finally:
        partial.unlink(missing_ok=True)


def _write_geoparquet(items: Sequence[Mapping[str, Any]], path: Path, partial: Path) -> None:
    import rustac

    kept: list[dict[str, Any]] = [{k: i[k] for k in _ITEM_FIELDS if k in i} for i in items]
    for item in kept:
        properties = item.get("properties") or {}
        item["properties"] = {**properties, VERBATIM: properties.get("datetime")}
    try:
        rustac.write_sync(str(partial.absolute()), kept, format="parquet")
    except Exception as error:  # noqa: BLE001 - of numbers and text of JSON that it does not take
        raise CatalogError(
            f"{path}: these items can't be kept as geoparquet ({type(error).__name__}). Write "
            ".json instead"
        ) from None
