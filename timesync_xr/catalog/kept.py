"""Items of tiles, kept in the project: searched once per tile, read by every process.

::

    ledger/items/CU_h03v09.json            what was asked of whom, and when; written last
    ledger/items/CU_h03v09.parquet         the items as the API sent them, but for secrets
    ledger/items/CU_h03v09_table.parquet   the table of `timesync_xr.catalog.items` made of them

Of scenes a place is a cell of half a degree: ``scenes_N46.5E007.0``.

A rerun reads the tables and searches only for tiles that it does not find there, or whose search
covers too little, came from elsewhere, or from a file that has changed since.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from ..errors import CatalogError, DamagedError, InputError, ProjectError
from ..grid import Lattice
from ..landsat import QA_BAND
from ..storage.access import without_secrets
from ..storage.folder import Folder, read_file
from .archive import Archive
from .dates import DatetimeRange, parse_datetime
from .files import read_items, write_items
from .geoparquet import write_geoparquet
from .items import Query, in_period, with_dtypes
from .search import check_searched, search_with_items
from .sources import Place

if TYPE_CHECKING:
    from .stac import SentItem

_LOG = logging.getLogger(__name__)

ITEMS: Final = "ledger/items"
"""Folder of what searches brought."""

SEARCHES: Final = 2
"""Tiles that are searched at the same time."""

_TABLES: Final = 8
"""Tables that a process keeps in memory: about 10 MB each for 4,000 items."""


@dataclass(frozen=True)
class Search:
    """What is searched for, in every place alike."""

    archive: Archive
    """Where items come from."""
    grid: Lattice
    """Grid of the places."""
    period: DatetimeRange
    """Which dates."""


@dataclass(frozen=True)
class TileTable:
    """Where the table of a tile's items lies. Small, so that it can go to any process."""

    folder: Folder = field(compare=False)
    """The project."""
    root: str
    """Its name: two tables of one path are the same only within a project."""
    path: str
    """Path below the project folder."""
    digest: str
    """Digest of the file, so that a table that was kept in memory is not mistaken for a newer."""
    period: str
    """Dates to take of it."""

    def read(self) -> pd.DataFrame:
        """The item table; not to be written into, as other plots read it too.

        `ProjectError` where the file is damaged.
        """
        return _read(self)


class _Found(NamedTuple):
    """What a search for a place came to."""

    table: TileTable
    """Where the table of its items lies."""
    counted: bool
    """Whether they are known to be all."""
    is_lacking: bool
    """Whether a file, a list or a table should have had some, and has none."""


@lru_cache(maxsize=_TABLES)
def _read(table: TileTable) -> pd.DataFrame:
    data = table.folder.read(table.path)
    if hashlib.sha256(data).hexdigest() != table.digest:
        raise ProjectError(f"{table.root}/{table.path} is damaged: run again, which searches anew")
    return in_period(with_dtypes(pd.read_parquet(io.BytesIO(data))), parse_datetime(table.period))


def read_items_of(tables: Iterable[TileTable]) -> pd.DataFrame:
    """The items of some tiles as one table of `timesync_xr.catalog.items`."""
    found = [table.read() for table in tables]
    return found[0] if len(found) == 1 else pd.concat(found, ignore_index=True)


class TileItems:
    """The items of all tiles of a run; searches run in the background, a few at a time.

    With ``refresh`` every tile is searched again, whatever the project holds.
    """

    def __init__(self, folder: Folder, search: Search, refresh: bool) -> None:
        self._folder, self._search, self._refresh = folder, search, refresh
        self._asked = {**search.archive.identity(), "datetime": str(search.period)}
        self._pool = ThreadPoolExecutor(SEARCHES, "timesync_xr-search")
        self._tables: dict[Place, Future[TileTable]] = {}
        self._uncounted: set[str] = set()
        self._lacking: set[Place] = set()
        self._holes: set[Place] = set()

    def begin(self, places: Iterable[Place]) -> None:
        """Begin to search for places, in this order; `InputError` as by `check_searched`."""
        places, search = tuple(places), self._search
        asked = Query(search.archive.what, search.grid, frozenset(places), search.period)
        check_searched(search.archive, asked)
        for place in places:
            if place not in self._tables:
                self._tables[place] = self._pool.submit(self._find, place)

    def of(self, places: Iterable[Place]) -> tuple[TileTable, ...]:
        """Where the tables of some places lie; waits for their searches.

        Raises what `search_items` raises, and `InputError` where no mirror fits.
        """
        places = tuple(places)
        self.begin(places)
        tables = tuple(self._tables[place].result() for place in places)
        lacking = self._lacking.intersection(places)
        self._holes |= lacking if len(lacking) < len(places) else set()
        return tables

    @property
    def holes(self) -> tuple[Place, ...]:
        """Places of which a file, a list or a table has no item, while it has some beside them."""
        return tuple(sorted(self._holes))

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Places whose items the API did not count, so that no one knows whether they are all."""
        return tuple(sorted(self._uncounted))

    def close(self) -> None:
        """Give up the searches that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _find(self, place: Place) -> TileTable:
        """The table of a place that the project holds, or that of a new search."""
        source = self._search.archive.what
        title = source.title_of_place(place)
        grid = "scenes" if source.has_scenes else self._search.grid.name
        name = f"{ITEMS}/{grid}_{title}"
        kept = None if self._refresh else self._kept(name)
        _LOG.info("%s: %s", title, "items are kept" if kept else "searching")
        table, counted, is_lacking = kept or self._find_anew(place, name)
        if is_lacking:
            self._lacking.add(place)
        if not counted:
            _LOG.info("%s: the catalog does not count its items", title)
            self._uncounted.add(title)
        return table

    def _table(self, name: str, digest: str) -> TileTable:
        root, period = str(self._folder.root), self._asked["datetime"]
        return TileTable(self._folder, root, f"{name}_table.parquet", digest, period)

    def _kept(self, name: str) -> _Found | None:
        """What the project holds that answers the search; None where there is none."""
        try:
            kept = _read_mark(self._folder, name)
        except (FileNotFoundError, ValueError, DamagedError):
            return None
        if any(kept[key] != self._asked[key] for key in ("source", "file")):
            return None
        if not parse_datetime(kept["datetime"]).covers(parse_datetime(self._asked["datetime"])):
            return None
        table = self._table(name, kept["digest"])
        try:
            table.read()
        except (FileNotFoundError, ProjectError):
            _LOG.warning("%s/%s is damaged: it is searched anew", table.root, table.path)
            return None
        return _Found(table, kept.get("counted") is not False, kept.get("lacking") is True)

    def _find_anew(self, place: Place, name: str) -> _Found:
        """Search, and keep what came; what says that it is there is written last."""
        search, write = self._search, self._folder.write
        items, table, counted, lacking = search_with_items(
            [place], search.archive, grid=search.grid, datetime=search.period
        )
        search.archive.access.check_mirrors(table.loc[table["refused"] == "", QA_BAND])
        if items:
            write(*_items_file(items, name))
        data = table.to_parquet(index=False, compression="zstd")
        digest = hashlib.sha256(data).hexdigest()
        write(f"{name}_table.parquet", data)
        kept = {**self._asked, "items": len(table), "digest": digest}
        if not self._asked["file"]:
            kept["searched"] = datetime.now(UTC).isoformat(timespec="seconds")
        if not counted:
            kept["counted"] = False
        if lacking:
            kept["lacking"] = True
        write(f"{name}.json", json.dumps(kept, indent=1).encode())
        return _Found(self._table(name, digest), counted, bool(lacking))


def _read_mark(folder: Folder, name: str) -> dict[str, Any]:
    """What says that the items of a place are there; ``ValueError`` where it is damaged."""
    kept = json.loads(read_file(folder, f"{name}.json"))
    if not isinstance(kept, dict) or not all(isinstance(kept.get(key), str) for key in _TOLD):
        raise ValueError(name)
    try:
        parse_datetime(kept["datetime"])
    except InputError as error:
        raise ValueError(name) from error
    return kept


_TOLD: Final = ("source", "file", "datetime", "digest")


def damaged_items(folder: Folder) -> Iterator[str]:
    """Paths of what a project keeps of its searches and is not what was written.

    A search whose mark or table is damaged is made anew by the next run.
    """
    for file in sorted(folder.names(ITEMS)):
        if not file.endswith(".json") or file.endswith("_items.json"):
            continue
        name = f"{ITEMS}/{file.removesuffix('.json')}"
        try:
            digest = _read_mark(folder, name)["digest"]
        except (FileNotFoundError, ValueError, DamagedError):
            yield f"{name}.json"
            continue
        table = f"{name}_table.parquet"
        try:
            found = hashlib.sha256(read_file(folder, table)).hexdigest()
        except (FileNotFoundError, DamagedError):
            found = ""
        if found != digest:
            yield table


def forget_items(folder: Folder, path: str) -> None:
    """Have the search that a file is of made anew by the next run."""
    name = path.removesuffix(".json").removesuffix(".parquet")
    folder.remove(f"{name.removesuffix('_table').removesuffix('_items')}.json")


def kept_items(folder: Folder) -> Iterator[tuple[str, list[Any] | None]]:
    """The items that each search of a project brought, unchecked, with the path of their file.

    None where the file is damaged.
    """
    for name in sorted(folder.names(ITEMS)):
        is_table = name.endswith("_table.parquet")
        if not name.endswith("_items.json") and (is_table or not name.endswith(".parquet")):
            continue
        path = f"{ITEMS}/{name}"
        with TemporaryDirectory() as scratch:
            copy = Path(scratch) / name
            copy.write_bytes(folder.read(path))
            try:
                yield path, read_items(copy)
            except InputError:
                yield path, None


def _items_file(items: list[SentItem], name: str) -> tuple[str, bytes]:
    """Path and bytes of a file of items: JSON where geoparquet can't hold them."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "items.parquet"
        try:
            write_geoparquet((without_secrets(item.read()) for item in items), path)
        except CatalogError:
            path = path.with_suffix(".json")
            write_items([without_secrets(item.read()) for item in items], path)
            return f"{name}_items.json", path.read_bytes()
        return f"{name}.parquet", path.read_bytes()
