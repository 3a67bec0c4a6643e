"""The spectra of a plot as one table: the rows of the contract's CSVs, in one file of Parquet.

``prj_{project}/spectra/plot_{plot}.parquet`` has the columns of the contract, text as text and
numbers as numbers, a row per day in their order. It is put in place whole or not at all, when all
of a plot is read; until then the log says which of its days are begun.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

import pandas as pd

from ..errors import DamagedError
from ..landsat import CSV_BANDS
from ..spectral.series import CSV_COLUMNS
from ..storage.folder import Folder, read_file
from .files import PlotIds, table_path

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

_DAYS: Final = ["year", "doy"]

_TYPES: Final = dict.fromkeys((*CSV_BANDS, "year", "doy"), "int32") | {"qa": "uint8"}
"""Types of the columns that are numbers."""

_MOST_ROWS: Final = 50_000
"""Rows that a table may have: more than 100 years of days."""

_MOST_BYTES: Final = 2**22
"""Bytes that the file of a table may have: more than its rows can ever need."""

_CHECKSUM: Final = 4
"""Bytes of a checksum."""

_SHORTEST: Final = 20
"""Bytes of the shortest file that has one."""

_MOST_TEXT: Final = 1000
"""Bytes that a text may have: an id, a date."""


def read_table(folder: Folder, project_id: str, plot_id: str) -> pd.DataFrame:
    """The rows of the table of a plot's spectra, with the columns of the contract.

    ``FileNotFoundError`` where there is none, `DamagedError` for what is no such table.
    """
    import pyarrow as pa

    data = read_file(folder, table_path(project_id, plot_id))
    try:
        table = _parsed(data)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise DamagedError(f"the table is damaged ({type(error).__name__})") from None
    if table[_DAYS].duplicated().any():
        raise DamagedError("the table is damaged (it has a day twice)")
    if not (table["year"].between(1000, 9999) & table["doy"].between(1, 366)).all():
        raise DamagedError("the table is damaged (it has a day that does not exist)")
    return table


def _parsed(data: bytes) -> pd.DataFrame:
    """The rows of a table, whose checksum is looked at before anything of it is decoded."""
    import pyarrow as pa
    from pyarrow import parquet

    if len(data) > _MOST_BYTES:
        raise DamagedError("the table is damaged (no plot has so many rows)")
    if len(data) < _SHORTEST or data != _with_checksum(_without_checksum(data)):
        raise DamagedError("the table is damaged (its checksum is another)")
    texts = [name for name in CSV_COLUMNS if name not in _TYPES]
    schema = parquet.read_schema(pa.BufferReader(data))
    if schema != _schema():
        raise DamagedError("the table is damaged (its columns are not those of the contract)")
    file = parquet.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
    if file.metadata.num_rows > _MOST_ROWS:
        raise DamagedError("the table is damaged (no plot has so many rows)")
    table = file.read()
    for column in table.columns:
        if column.null_count:
            raise DamagedError("the table is damaged (a value is missing)")
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            words: list[str] = chunk.dictionary.to_pylist()
            if any(len(text) > _MOST_TEXT or not text.isprintable() for text in words):
                raise DamagedError("the table is damaged (a text is none of the contract)")
    return _typed(table.to_pandas())


def _with_checksum(data: bytes) -> bytes:
    """A file of Parquet with the CRC-32 of its bytes, where readers of Parquet look at nothing.

    That is between its pages and what describes them, as indices of pages lie there. Whoever
    decodes a file of Parquet that is damaged there may end without a word.
    """
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:at] + zlib.crc32(data).to_bytes(_CHECKSUM, "little") + data[at:]


def _without_checksum(data: bytes) -> bytes:
    at = max(_CHECKSUM, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    return data[: at - _CHECKSUM] + data[at:]


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the contract with the types of a table: integers, and text as objects."""
    return rows[[*CSV_COLUMNS]].astype({name: _TYPES.get(name, object) for name in CSV_COLUMNS})


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = {"int32": pa.int32(), "uint8": pa.uint8()}
    kinds = {name: numbers[kind] for name, kind in _TYPES.items()}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in CSV_COLUMNS])


def table_bytes(rows: pd.DataFrame) -> bytes:
    """The file of a table of spectra; the same for the same rows."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pandas(rows[[*CSV_COLUMNS]], schema=_schema(), preserve_index=False)
    out = io.BytesIO()
    plain = table.replace_schema_metadata(None)  # versions of libraries
    parquet.write_table(plain, out, compression="zstd")
    return _with_checksum(out.getvalue())


class PlotTable:
    """The table of a plot's spectra while its days are made, or taken out.

    Nothing is read or written of a plot that is made without (not ``wanted``). A damaged table is
    an empty one: all of it is made again.
    """

    def __init__(self, folder: Folder, plot: PlotIds, *, wanted: bool) -> None:
        self.wanted = wanted
        self._folder, self._ids = folder, (plot.project_id, plot.plot_id)
        self._held = _NOTHING.copy()
        self._is_there = False
        if wanted:
            self._read()
        self._rows = self._held

    def _read(self) -> None:
        try:
            table = read_table(self._folder, *self._ids)
        except FileNotFoundError:
            return
        except DamagedError as error:
            _LOG.warning("%s: %s; it is made again now", table_path(*self._ids), error)
        else:
            self._held = table.set_axis(_days(table))
        self._is_there = True

    @property
    def days(self) -> set[str]:
        """Days (``YYYY-MM-DD``) that it has a row of."""
        return set(self._rows.index)

    def add(self, rows: pd.DataFrame) -> None:
        """Take in rows of a `spectral_table`, in place of those of the same days."""
        if self.wanted and len(rows):
            new = _typed(rows).set_axis(_days(rows))
            kept = self._rows[~self._rows.index.isin(new.index)]
            self._rows = pd.concat([kept, new]) if len(kept) else new

    def rename(self, day: str, before: tuple[str, ...], now: tuple[str, ...]) -> bool:
        """Have the row of a day say another ``sensor``, ``hv`` and ``date``; False if it can't be.

        That is where its row is neither that of before nor that of now.
        """
        if day not in self._rows.index:
            return False
        names = ("sensor", "hv", "date")
        if tuple(str(self._rows.at[day, name]) for name in names) not in (before, now):
            return False
        self._rows = self._rows.copy()
        for name, text in zip(names, now, strict=True):
            self._rows.at[day, name] = text
        return True

    def keep(self, days: Collection[str]) -> None:
        """Put the table in place with the rows of these days alone; none where there are none."""
        if not self.wanted:
            return
        rows = self._rows[self._rows.index.isin([*days])].sort_index()
        path = table_path(*self._ids)
        if rows.empty and self._is_there:
            self._folder.remove(path)
        elif len(rows) and not (self._is_there and rows.equals(self._held)):
            self._folder.write(path, table_bytes(rows))
        self._held = self._rows = rows
        self._is_there = not rows.empty

    def drop(self, days: Iterable[str]) -> None:
        """Take the rows of days out of the table in place."""
        self.keep(self.days.difference(days))


_NOTHING: Final = _typed(pd.DataFrame(columns=list(CSV_COLUMNS), dtype=object))


def _days(table: pd.DataFrame) -> pd.Index:
    """The day of each row, as logs have it."""
    numbers = table["year"].astype(int) * 1000 + table["doy"]
    stamps = pd.to_datetime(numbers.astype(str), format="%Y%j")
    return pd.Index(stamps.dt.strftime("%Y-%m-%d"), dtype=object)
