"""Lists that users write, as spreadsheets save them: text in columns, with true line numbers."""

from __future__ import annotations

import csv
import io
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from .errors import InputError, PlotListError, check_path, counted

_KINDS: Final = {
    b"PK\x03\x04": "a workbook of a spreadsheet (.xlsx, .ods)",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel (.xls)",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"PAR1": "a Parquet file",
    b"{": "JSON",
    b"[": "JSON",
    b"<": "a page of the web, or XML",
    b"\x1f\x8b": "a compressed file (.gz)",
    b"SQLite format 3": "a database (.gpkg, .sqlite)",
    b"%PDF": "a PDF",
}
"""How files begin that are often given in place of a CSV, and what they are."""

_SEPARATORS: Final = ",;\t"
_SEP_LINE: Final = re.compile(r'\ufeff?("?)sep=(.)\1\r?\n?', re.IGNORECASE)
"""The first line by which Excel is told the separator."""


@dataclass(frozen=True)
class UserList:
    """A list as it stands, but for blanks around cells, blank lines, empty cells at line ends."""

    source: str
    """Name of the file."""
    header: tuple[str, ...]
    """Names of the columns as they are written."""
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Line number (the file's first line is 1) and cells of every line, as many as the header."""
    problems: Mapping[int, str]
    """What is wrong with single lines: those that have cells beyond the header's."""

    @property
    def names(self) -> list[str]:
        """Names of the columns in small letters."""
        return [name.lower() for name in self.header]

    def column(self, name: str) -> list[str]:
        """The cells of a column, by its name in small letters."""
        position = self.names.index(name)
        return [cells[position] for _, cells in self.rows]


def expect_table(
    table: Any, columns: Iterable[str], remedy: str, *, numbers: Iterable[str] = ()
) -> None:
    """`InputError` for what is no table, lacks some columns, or holds no ``numbers`` in others."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"a {type(table).__name__} is no table: {remedy}")
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"the table lacks {', '.join(missing)}: {remedy}")
    for name in numbers if len(table) else ():  # an empty column is of any type
        if not pd.api.types.is_numeric_dtype(table[name]) or table[name].isna().any():
            raise InputError(f"the column {name} holds what is no number, or lacks some: {remedy}")


def texts(listed: Any) -> list[str]:
    """Texts of a list of them, or of one text with commas between; `InputError` for others."""
    if isinstance(listed, str):
        if odd := re.search(r"[;|\t]|(?<=\w) +(?=\w)", listed):
            raise InputError(f"{listed!r} holds {odd[0]!r}: put commas between names")
        return listed.split(",")
    try:
        found = list(listed)
    except TypeError:
        found = [listed]
    if not all(isinstance(text, str) for text in found):
        raise InputError(
            f"{reprlib.repr(listed)} is no list of names: give texts, or one with commas between"
        )
    return found


def is_list(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a list: it ends in .csv, .txt or .tsv, in small letters or not."""
    return os.fspath(path).lower().endswith((".csv", ".txt", ".tsv"))


def read_list(path: str | os.PathLike[str], columns: Sequence[Iterable[str]]) -> UserList:
    """Read a list that has to have some columns, in any order and in small or capital letters.

    ``columns`` names what is needed; of each group of names one has to be there (x or lon). The
    file is text in UTF-8, its cells separated by commas, semicolons or tabs: that by which the
    first line has the columns, or what a line ``sep=;`` before it says. Lines without any text are
    skipped, and empty cells at the ends of lines left out, as spreadsheets write both.

    `InputError` where there is no such file, `PlotListError` with the line for what is no such
    text, and a column that is missing or there twice.
    """
    check_path(path, "the list", "give the path of a CSV")
    source = str(path)
    text = _read_text(Path(path))
    told = _SEP_LINE.match(text)
    skipped = 1 if told else 0
    text = text[told.end() :] if told else text
    separator = told[2] if told else _separator(text, columns)
    rows = [(line + skipped, cells) for line, cells in _lines(source, text, separator)]
    if not rows:
        raise PlotListError(source, ["line 1: the list holds no text: name its columns there"])
    (_, header), *rows = rows
    _check_header(source, header, columns, separator)
    width, quote = len(header), f"quote text that holds {_name(separator)}"
    problems = {
        line: f"{len(cells)} cells under {counted(width, 'column')}: {quote}"
        for line, cells in rows
        if len(cells) > width
    }
    fitted = ((line, (*cells, *[""] * width)[:width]) for line, cells in rows)
    return UserList(source, header, tuple(fitted), problems)


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the list {path} can't be read: {error.strerror}. Check the path"
        ) from None
    if b"\0" in raw[1:3]:  # of a text without the mark of its byte order
        raw = b"\xff\xfe" + raw
    for start, kind in _KINDS.items():
        if raw.lstrip(b" \r\n\t").startswith(start):
            problem = f"line 1: it is {kind}: save it as CSV in UTF-8 (comma separated)"
            raise PlotListError(str(path), [problem])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: not UTF-8 (byte {raw[error.start]:#04x}): save the list as UTF-8"
        raise PlotListError(str(path), [problem]) from None


def _separator(text: str, columns: Sequence[Iterable[str]]) -> str:
    """The separator by which the first line has most of the columns; a comma if none has any."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def found(separator: str) -> int:
        names = {cell.strip().strip('"').lower() for cell in first.split(separator)}
        return sum(not names.isdisjoint(group) for group in columns)

    return max(_SEPARATORS, key=found)


def _lines(source: str, text: str, separator: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Number and cells of every line that is not blank, without empty cells at its end."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield line, tuple(cells)
            line = reader.line_num + 1
    except csv.Error as error:
        problem = f"line {line}: not CSV ({error}): check quotes and {_name(separator)}"
        raise PlotListError(source, [problem]) from None


MEANT: Final = {
    "longitude": "lon", "long": "lon", "lng": "lon", "latitude": "lat",
    "plot": "plot_id", "plotid": "plot_id", "id": "plot_id", "fid": "plot_id",
    "project": "project_id", "projectid": "project_id",
}  # fmt: skip
"""Other names that columns of lists have elsewhere, in small letters."""


def _check_header(
    source: str, header: Sequence[str], columns: Sequence[Iterable[str]], separator: str
) -> None:
    names = [name.lower() for name in header]
    twice = {name for name in names if name and names.count(name) > 1}
    problems = [f"line 1: column {name!r} is there twice: drop one" for name in sorted(twice)]
    groups = [tuple(group) for group in columns if set(names).isdisjoint(group)]
    missing = [" or ".join(group) for group in groups]
    if missing:
        wanted = {column for group in groups for column in group}
        meant = {name: MEANT[name.lower()] for name in header if MEANT.get(name.lower()) in wanted}
        renamed = ", ".join(f"{name} {column}" for name, column in meant.items())
        problems.append(
            f"line 1: no column {' nor '.join(missing)} among {', '.join(header)}: "
            f"name the columns in the first line, separated by {_name(separator)}"
            + (f"; call {renamed}" if renamed else "")
        )
    if problems:
        raise PlotListError(source, problems)


def _name(separator: str) -> str:
    return {",": "commas", ";": "semicolons", "\t": "tabs"}.get(separator, repr(separator))
