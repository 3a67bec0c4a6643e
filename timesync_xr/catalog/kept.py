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
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from ..errors import CatalogError, ProjectError
from ..grid import Lattice
from ..storage.access import without_secrets
from ..storage.folder import Folder
from .archive import Archive
from .dates import DatetimeRange, parse_datetime
from .files import write_items
from .items import Query, in_period, with_dtypes
from .search import check_searched, search_with_items
from .sources import Place

_LOG = logging.getLogger(__name__)

_FOLDER: Final = "ledger/items"

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


@lru_cache(maxsize=_TABLES)
def _read(table: TileTable) -> pd.DataFrame:
    data = table.folder.read(table.path)
    if hashlib.sha256(data).hexdigest() != table.digest:
        raise ProjectError(
            f"{table.root}/{table.path} is damaged: run again with --refresh to search anew"
        )
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

        Raises what `search_items` raises.
        """
        places = tuple(places)
        self.begin(places)
        return tuple(self._tables[place].result() for place in places)

    def close(self) -> None:
        """Give up the searches that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _find(self, place: Place) -> TileTable:
        """The table of a place that the project holds, or that of a new search."""
        source = self._search.archive.what
        title = source.title_of_place(place)
        grid = "scenes" if source.has_scenes else self._search.grid.name
        name = f"{_FOLDER}/{grid}_{title}"
        kept = None if self._refresh else self._kept(name)
        _LOG.info("%s: %s", title, "items are kept" if kept else "searching")
        digest = kept or self._find_anew(place, name)
        root = str(self._folder.root)
        period = self._asked["datetime"]
        return TileTable(self._folder, root, f"{name}_table.parquet", digest, period)

    def _kept(self, name: str) -> str | None:
        """Digest of a table that answers the search; None where there is none."""
        try:
            kept = json.loads(self._folder.read(f"{name}.json"))
        except (FileNotFoundError, ValueError):
            return None
        if any(kept.get(key) != self._asked[key] for key in ("source", "file")):
            return None
        had, asked = map(parse_datetime, (str(kept["datetime"]), self._asked["datetime"]))
        return str(kept["digest"]) if had.covers(asked) else None

    def _find_anew(self, place: Place, name: str) -> str:
        """Search, and keep what came; what says that it is there is written last."""
        search, write = self._search, self._folder.write
        items, table = search_with_items(
            [place], search.archive, grid=search.grid, datetime=search.period
        )
        if items:
            write(*_items_file([without_secrets(item) for item in items], name))
        data = table.to_parquet(index=False, compression="zstd")
        digest = hashlib.sha256(data).hexdigest()
        write(f"{name}_table.parquet", data)
        kept = {**self._asked, "items": len(table), "digest": digest}
        if not self._asked["file"]:
            kept["searched"] = datetime.now(UTC).isoformat(timespec="seconds")
        write(f"{name}.json", json.dumps(kept, indent=1).encode())
        return digest


def _items_file(items: list[Any], name: str) -> tuple[str, bytes]:
    """Path and bytes of a file of items: JSON where geoparquet can't hold them."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "items.parquet"
        try:
            write_items(items, path)
        except CatalogError:
            path = path.with_suffix(".json")
            write_items(items, path)
            return f"{name}_items.json", path.read_bytes()
        return f"{name}.parquet", path.read_bytes()
