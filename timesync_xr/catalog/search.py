"""Items of places: asked of a STAC API, or taken from a file or from memory, as a checked table.

`timesync_xr.catalog.items` describes the table. The same archive gives the same table, whether its
items come from an API, from JSON, from stac-geoparquet or from memory.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from ..errors import InputError, counted
from ..grid import Lattice, Region, Tile, tile_name
from ..storage.access import clean
from .archive import Archive, as_archive, expect_file
from .dates import Datetime, DatetimeRange, parse_datetime
from .files import is_geoparquet, read_items
from .geoparquet import count_items, iter_geoparquet, texts_in
from .items import Query, checked_items, in_period, of_places
from .sources import Place, Source, mapping

if TYPE_CHECKING:  # a run from a file does without the libraries of APIs
    from .stac import SentItem

SEARCHED: Final = "timesync_xr"
"""Where the ``attrs`` of a table of items tell its grid, places and datetime."""

_ALL: Final = "all"
"""In place of it: what the table has is all that is wanted."""

_WISH: Final = f'say that what it has will do by items.attrs["{SEARCHED}"] = "{_ALL}"'


def search_items(
    tiles: Iterable[Tile | Place],
    archive: Archive | None = None,
    *,
    grid: str | Lattice | None = None,
    datetime: Datetime = None,
) -> pd.DataFrame:
    """Search the items of some tiles; return them as a table, sorted by time and id.

    Parameters
    ----------
    tiles
        Tiles (h, v) of the grid, or places as the table has them ("0304"). Of scenes: cells of half
        a degree by their south-west corner ("N46.5E007.0").
    archive
        Where items come from; landsatlook by default.
    grid
        ``"CU"``, ``"AK"`` or ``"HI"``; the archive's first one by default. It is of no matter for
        scenes.
    datetime
        Which dates, see `parse_datetime`; by default everything from 1982 to now.

    Returns
    -------
    pandas.DataFrame
        One row per item, as described in `timesync_xr.catalog.items`. Rows whose ``refused`` is not
        "" must not be read: items that do not fit the grid, and items that an API returned although
        they were not asked for. Of a file the items that were not asked for are left out. A
        warning tells of items that are of no tile, and of tiles that a file, a list or a table has
        no item of, while it has some of others. Its ``attrs`` tell what was searched, and
        ``"counted": False`` where the API did not count, also when it comes back from Parquet or a
        pickle. Given as an `Archive`, it is an error to ask it for
        other tiles, or for a datetime beyond its own. Where ``attrs`` are gone, as `pandas.concat`
        leaves them, it is an error to ask it for tiles that it has no item of. That what it has
        will do is said by ``items.attrs["timesync_xr"] = "all"``.

    Raises
    ------
    InputError
        For a tile outside the grid, a datetime that is none, a source that is not there or holds
        no items of the grid, or a table that was not searched for these tiles.
    CatalogError
        The API lacks the query extension, or sent more or fewer items than it counted. Faults
        that pass are waited out first.
    AccessError
        The API can't be reached or refuses access.

    Examples
    --------
    ::

        items = tx.search_items(["h19v06"], archive, datetime="1996")
        items.groupby("sensor").size()
    """
    archive = as_archive(archive)
    query = _query(tiles, archive.what, grid, datetime)
    found = _search(archive, query)
    if found.lacking and found.lacking != query.places:
        warnings.warn(f"{archive.name}: {no_items_of(found.lacking, query.source)}", stacklevel=2)
    if (searched := _searched(archive, query)) is not None:
        found.table.attrs[SEARCHED] = searched | ({} if found.counted else {"counted": False})
    return found.table


class Searched(NamedTuple):
    """What a search brought."""

    items: list[SentItem]
    """The items that an API sent; none of what is no API."""
    table: pd.DataFrame
    """Their table."""
    counted: bool
    """Whether they are known to be all: False for an API that does not count."""
    lacking: frozenset[Place] = frozenset()
    """Places of which a file, a list or a table has no item of any date; none of an API."""


def search_with_items(
    tiles: Iterable[Tile | Place],
    archive: Archive,
    *,
    grid: str | Lattice | None,
    datetime: Datetime,
) -> Searched:
    """The items that an API sent and their table; see `search_items`."""
    return _search(archive, _query(tiles, archive.what, grid, datetime))


def _search(archive: Archive, query: Query) -> Searched:
    check_searched(archive, query)
    url = archive.url
    if not url:
        whole = _known_table(archive, query)
        table = of_places(in_period(whole, query.period), query.places or (), query.source)
        lacking = _places_without(whole, _places_without(table, query.places or (), query), query)
        if whole.attrs.get(SEARCHED) == _ALL:
            lacking = frozenset()
        return Searched([], table, counted=True, lacking=lacking)
    items, counted = _search_api(url, query)
    table, asked = checked_items((item.read() for item in items), query)
    _tell_unplaced(url, table[asked])
    return Searched(items, table, counted)


def _searched(archive: Archive, query: Query) -> dict[str, Any] | None:
    """What a table is searched for, to keep with it; None where its own source does not tell."""
    period = query.period
    if isinstance(archive.items, pd.DataFrame):
        before = archive.items.attrs.get(SEARCHED)
        if not isinstance(before, dict):
            return None
        period = parse_datetime(before["datetime"]) if period == parse_datetime(None) else period
    places = sorted(query.places or ())
    return {"grid": query.grid.name, "places": places, "datetime": str(period)}


def check_searched(archive: Archive, query: Query) -> None:
    """`InputError` where the items are a table that was not searched for all that is asked."""
    if not isinstance(archive.items, pd.DataFrame):
        return
    if SEARCHED not in archive.items.attrs:
        _check_present(archive.items, query)
        return
    searched = archive.items.attrs[SEARCHED]
    if searched == _ALL:
        return
    if not isinstance(searched, dict) or not {"grid", "places", "datetime"} <= {*searched}:
        raise InputError(
            f"attrs[{SEARCHED!r}] of the table of items does not tell what was searched for: "
            f"search again, or {_WISH}"
        )
    lacking = set(query.places or ()) - set(searched["places"])
    fact = ""
    if query.grid.name != searched["grid"]:
        fact = f"the grid {searched['grid']}, not {query.grid.name}"
    elif lacking:
        had, more = (
            ", ".join(map(archive.what.title_of_place, sorted(places)))
            for places in (searched["places"], lacking)
        )
        fact = f"{had or 'no tile'}, not for {more}, which the chips touch, too"
    elif query.period != parse_datetime(None):
        fact = (
            ""
            if parse_datetime(searched["datetime"]).covers(query.period)
            else (f"{searched['datetime']}, not for all of {query.period}")
        )
    if fact:
        raise InputError(
            f"the table of items was searched for {fact}: search for all of it, or {_WISH}"
        )


def _check_present(table: pd.DataFrame, query: Query) -> None:
    """`InputError` where a table that does not tell its search has no item of a place."""
    if lacking := _places_without(table, query.places or (), query):
        places = ", ".join(map(query.source.title_of_place, sorted(lacking)))
        raise InputError(
            f"the table of items does not tell what was searched for (its attrs are gone, as "
            f"pandas.concat leaves them), and has no item of {places}, which the chips touch: "
            f"search for all of them at once, or {_WISH}"
        )


def no_items_of(places: Iterable[Place], source: Source) -> str:
    """What is to be said of places of which what should hold their items has none."""
    names = ", ".join(map(source.title_of_place, sorted(places)))
    return (
        f"there is no item of {names}, which chips touch: they are fill there. That is right where "
        "nothing was ever seen; else give items of all of it"
    )


def _places_without(table: pd.DataFrame, places: Iterable[Place], query: Query) -> frozenset[Place]:
    """Those of some places of which a table has no item."""
    if query.source.boxes is None:
        there = {*table["place"]}
        return frozenset() if "" in there else frozenset(places) - there
    return frozenset(p for p in places if of_places(table, [p], query.source).empty)


def _search_api(url: str, query: Query) -> tuple[list[SentItem], bool]:
    from .stac import search_api

    return search_api(url, query) if query.places else ([], True)


def _query(
    tiles: Iterable[Tile | Place],
    source: Source,
    grid: str | Lattice | None,
    datetime: Datetime,
) -> Query:
    lattice = source.grid(source.first_grid if grid is None else grid)
    try:
        wanted = [tile if isinstance(tile, str) else (int(tile[0]), int(tile[1])) for tile in tiles]
    except (TypeError, ValueError, IndexError, KeyError):
        raise InputError(
            f"tiles of {type(tiles).__name__} can't be: give pairs (h, v), or places such as '0304'"
        ) from None
    for tile in wanted:
        if isinstance(tile, tuple) and not (isinstance(lattice, Region) and lattice.has_tile(tile)):
            raise InputError(f"there is no tile h{tile[0]:02d}v{tile[1]:02d} in {_reach(lattice)}")
    places = frozenset(tile if isinstance(tile, str) else tile_name(tile) for tile in wanted)
    return Query(source, lattice, places, parse_datetime(datetime))


def _reach(grid: Lattice) -> str:
    if not isinstance(grid, Region):
        return f"{grid.name}, which has no tiles"
    return f"{grid.name}: h goes to {grid.tiles_across - 1} and v to {grid.tiles_down - 1}"


# Items that are at hand: files, lists and tables


def _known_table(archive: Archive, asked: Query) -> pd.DataFrame:
    """Table of all items of a grid that a file or the memory holds.

    Of stac-geoparquet it is one of the places that are asked for, and of what tells no place.
    """
    grid = asked.grid
    if isinstance(archive.items, pd.DataFrame):
        return archive.items
    if not isinstance(archive.items, str | os.PathLike):
        return _table_of(archive.name, list(archive.items), Query(archive.what, grid))
    stat = expect_file(archive.items)
    path = Path(archive.items)
    file = path.absolute(), stat.st_mtime_ns, stat.st_size
    if is_geoparquet(path):
        return _geoparquet_table(*file, replace(asked, source=archive.what, period=DatetimeRange()))
    return _file_table(*file, archive.what, grid)


@lru_cache(maxsize=4)
def _geoparquet_table(path: Path, _modified: int, _size: int, near: Query) -> pd.DataFrame:
    """Table of the items of some places in a file; kept while the file is not changed."""
    query, count = replace(near, places=None), count_items(path)
    regions = () if near.source.has_scenes else texts_in(path, "landsat:grid_region")
    _check_held(str(path), count, texts_in(path, "collection"), regions, query)
    return _checked_table(str(path), iter_geoparquet(path, near), query)


@lru_cache(maxsize=4)
def _file_table(
    path: Path, _modified: int, _size: int, source: Source, grid: Lattice
) -> pd.DataFrame:
    """Table of all items of a grid in a file; kept while the file is not changed."""
    return _table_of(str(path), read_items(path), Query(source, grid))


def _table_of(name: str, items: list[Any], query: Query) -> pd.DataFrame:
    """Table of all items of a grid; `InputError` where none is of it."""
    collections = (mapping(item).get("collection") for item in items)
    grids = (query.source.identify(mapping(item)).grid for item in items)
    _check_held(name, len(items), collections, grids, query)
    return _checked_table(name, items, query)


def _check_held(
    name: str, count: int, collections: Iterable[Any], grids: Iterable[str], query: Query
) -> None:
    """`InputError` where none of so many items is of the source, or of the grid."""
    source = query.source
    if not count:
        raise InputError(f"{name}: it holds no items at all. Give a file of {source.title}")
    if source.collection not in collections:
        raise InputError(
            f"{name}: none of its {counted(count, 'item')} is of the collection "
            f"{source.collection}. Give a file of {source.title}"
        )
    others = set(source.grids) - {query.grid.name}
    found: set[str] = set()
    for grid in grids:
        found.add(grid)
        if grid not in others:
            return
    if found:
        raise InputError(
            f"{name}: its items are of {' and '.join(sorted(found))}, none is of "
            f"{query.grid.name}. Check --grid, or give another file"
        )


def _checked_table(name: str, items: Iterable[Any], query: Query) -> pd.DataFrame:
    """Table of the items that are of a grid, or tell none."""
    table, asked = checked_items(items, query)
    table = table[asked].reset_index(drop=True)
    _tell_unplaced(name, table)
    return table


def _tell_unplaced(name: str, asked: pd.DataFrame) -> None:
    """Warn of items that no plot can account for, as they do not tell their place."""
    unplaced = asked.loc[asked["place"] == "", "refused"]
    if len(unplaced):
        one = "item is of no tile and is left out, because"
        many = "items are of no tile and are left out, the first because"
        warnings.warn(
            f"{clean(name)}: {counted(len(unplaced), one, many)} {unplaced.iloc[0]}",
            stacklevel=2,
        )
