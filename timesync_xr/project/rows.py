"""The rows of spectra in a project, as its logs name them and its files hold them.

Who reads spectra reads them here, whether each observation has a CSV or each plot has a table.
Nothing is listed: the logs name every observation that was written, and its file is read under the
name that follows from it. So a project of any size is gone through plot by plot.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import pandas as pd

from ..errors import DamagedError, counted, warn_left_out
from ..landsat import CSV_BANDS
from ..spectral.reflectance import collection1_table
from ..spectral.series import CSV_COLUMNS
from ..storage.folder import Folder, read_file
from .files import csv_lines, spectra_path, table_path
from .log import MADE, WRITTEN, DamagedLogError, empty_log, read_log
from .spectra import read_table

_LOG = logging.getLogger(__name__)

THREADS: Final = 16
"""Files that are read at the same time: what hides the latency of a store and suits a disk."""

_PLOTS = 4
"""Plots that are read ahead at the same time."""

_CHUNK = 64
"""Observations that one thread reads after each other."""

NO_FILE: Final = "the file is missing"
"""Problem of a file that is not there."""

DAMAGED_LOG: Final = "its log is damaged"
"""Problem of a plot of whose files nothing is known."""

_HEADER = ",".join(CSV_COLUMNS).encode() + b"\n"
_LOWEST, _HIGHEST = (int(value) for value in collection1_table()[[0, -1]])
_VALUES = re.compile(rb"(?:-?\d+,){6}[01],", re.ASCII)

SPECTRA: Final = ("csv", "spectra")
"""Products that hold the rows of spectra; the first that a plot has is read."""

NO_ROW: Final = "the table has no row of this day"
"""Problem of an observation that the table of its plot lacks."""

T = TypeVar("T")
R = TypeVar("R")


class Written(NamedTuple):
    """An observation that the log says is written."""

    day: str
    """Date in UTC, YYYY-MM-DD."""
    year: int
    """Year of the date."""
    doy: int
    """Day of that year, from 1."""
    sensor: str
    """Sensor, as the CSV has it."""
    hv: str
    """Tile of the plot, as the CSV has it."""
    date: str
    """The item's ``datetime``, as the CSV has it."""
    has_chip: bool = True
    """Whether it is not without a chip."""


class Row(NamedTuple):
    """The row of spectra of an observation, as it was found."""

    of: Written
    """The observation."""
    line: bytes
    """Its row with the line feed, byte by byte; empty where ``problem`` tells why there is none."""
    problem: str
    """What is wrong with the row or its file; empty for a good one."""
    file: str
    """The file that holds it, below the project folder."""
    is_missing: bool = False
    """Whether it is not there at all."""
    is_lost_with_all: bool = False
    """Whether the whole table is missing or can't be read."""


Find = Callable[[list[Written]], list[Row]]
"""Finds the rows of some observations of a plot."""


def kept_log(folder: Folder, row: Mapping[Any, Any] | pd.Series) -> tuple[pd.DataFrame, str]:
    """The log of a plot by its row of the ledger, and why it is not what the ledger tells.

    A damaged log comes empty. The text is empty where all is well.
    """
    try:
        log = read_log(folder, row["project_id"], row["plot_id"])
    except DamagedLogError:
        return empty_log(), DAMAGED_LOG
    return log, miscounted(log, row)


def miscounted(log: pd.DataFrame, row: Mapping[Any, Any] | pd.Series) -> str:
    """Why the log of a plot is not what the ledger counts; empty where it is."""
    count, told = int(log["outcome"].isin(MADE).sum()), row["written"] + row["without_chip"]
    wrong = f"the ledger counts {counted(told, 'observation')}, the log {count}"
    return "" if count == told else wrong


def tell_left_out(project_id: str, plot_id: str, problems: Sequence[str]) -> None:
    """Warn of what the ledger says is written of a plot and is not in a result."""
    for problem in problems:
        warn_left_out(
            f"left out of project {project_id}, plot {plot_id}: {problem}. "
            "Find all by timesync-xr verify, and make it again with --repair"
        )


@dataclass(frozen=True)
class PlotRows:
    """All that was written of a plot."""

    project_id: str
    """Its project."""
    plot_id: str
    """Its id there."""
    rows: list[Row]
    """Its observations in the order of their dates."""
    problem: str = ""
    """Why they are not those that the ledger tells, see `kept_log`."""

    @property
    def problems(self) -> list[str]:
        """What the ledger says is written and is not among the good rows, in words."""
        lost = dict.fromkeys(_told(row) for row in self.rows if row.problem)
        return [self.problem, *lost] if self.problem else [*lost]

    @property
    def ids(self) -> tuple[str, str]:
        """Its project_id and plot_id."""
        return self.project_id, self.plot_id

    def table(self) -> pd.DataFrame:
        """The good rows as a table with the columns of the contract; see `Project.spectra`."""
        return parse_rows(row.line for row in self.rows)


def _told(row: Row) -> str:
    """What is wrong with a row; the same for all rows of a table that can't be read."""
    day = f" ({row.of.day})" if row.file.endswith(".parquet") and not row.is_lost_with_all else ""
    return f"{row.file}{day}: {row.problem}"


def has_product(plots: pd.DataFrame, product: str) -> pd.Series:
    """Which plots of a ledger were made with a product: bool, on the ledger's index."""
    return plots["products"].str.split(",").map(lambda made: product in made).astype(bool)


def has_spectra(plots: pd.DataFrame) -> pd.Series:
    """Which plots of a ledger were made with any of `SPECTRA`: bool, on the ledger's index."""
    return has_product(plots, "csv") | has_product(plots, "spectra")


def written_observations(log: pd.DataFrame, *outcomes: str) -> list[Written]:
    """The observations that a log says are made (or have other outcomes), in order of their dates.

    Made are those that are written, and those without a chip.
    """
    rows = log[log["outcome"].isin(outcomes or MADE)].sort_values("day", kind="stable")
    days = pd.to_datetime(rows["day"])
    columns = [rows["day"], days.dt.year, days.dt.day_of_year, rows["sensor"], rows["hv"]]
    lists = [column.tolist() for column in [*columns, rows["date"], rows["outcome"] == WRITTEN]]
    return [Written(*values) for values in zip(*lists, strict=True)]


def read_rows(folder: Folder, plots: pd.DataFrame) -> Iterator[PlotRows]:
    """The rows of plots of a ledger, in its order.

    They are read a few plots ahead of who takes them. Plots that were made without spectra have
    none.
    """
    made = plots[has_spectra(plots)]
    with ThreadPoolExecutor(THREADS) as readers:

        def read(row: dict[Hashable, Any]) -> PlotRows:
            plot = row["project_id"], row["plot_id"]
            _LOG.info("reading project %s, plot %s", *plot)
            log, problem = kept_log(folder, row)
            parts = chunks(written_observations(log), _CHUNK)
            found = readers.map(finder(folder, *plot, row["products"].split(",")), parts)
            return PlotRows(*plot, [row for rows in found for row in rows], problem)

        yield from in_order(read, made.to_dict("records"), _PLOTS)


def finder(folder: Folder, project_id: str, plot_id: str, products: Sequence[str]) -> Find:
    """What finds rows of a plot that was made with these products; none without any of `SPECTRA`.

    May be called by several threads. A table is read once, when it is made.
    """
    if "csv" in products:
        return lambda part: [read_row(folder, project_id, plot_id, of) for of in part]
    if "spectra" in products:
        return table_finder(folder, project_id, plot_id)
    return lambda _: []


def table_finder(folder: Folder, project_id: str, plot_id: str) -> Find:
    """What finds rows in the table of a plot, which is read at once."""
    file = table_path(project_id, plot_id)
    try:
        return finder_in(read_table(folder, project_id, plot_id), project_id, plot_id)
    except FileNotFoundError:
        return lambda part: [Row(of, b"", NO_FILE, file, True, True) for of in part]
    except DamagedError as error:
        why = str(error)
        return lambda part: [Row(of, b"", why, file, False, True) for of in part]


def finder_in(table: pd.DataFrame, project_id: str, plot_id: str) -> Find:
    """What finds rows in the table of a plot that was read."""
    file = table_path(project_id, plot_id)
    _, *lines = csv_lines(table)
    held = dict(zip(zip(table["year"], table["doy"], strict=True), lines, strict=True))

    def find(written: Written) -> Row:
        line = held.get((written.year, written.doy))
        if line is None:
            return Row(written, b"", NO_ROW, file, is_missing=True)
        problem = _row_problem(_HEADER + line, project_id, plot_id, written)
        return Row(written, b"" if problem else line, problem, file)

    return lambda part: [*map(find, part)]


def read_row(folder: Folder, project_id: str, plot_id: str, written: Written) -> Row:
    """Read the CSV of an observation and hold it against the log."""
    file = spectra_path(project_id, plot_id, written.year, written.doy)
    try:
        data = read_file(folder, file)
    except FileNotFoundError:
        return Row(written, b"", NO_FILE, file, is_missing=True)
    except DamagedError as error:
        return Row(written, b"", str(error), file)
    problem = _row_problem(data, project_id, plot_id, written)
    return Row(written, b"" if problem else data[len(_HEADER) :], problem, file)


def renamed_row(
    folder: Folder, project_id: str, plot_id: str, old: Written, new: Written
) -> bytes | None:
    """The CSV of an observation whose item has another date or tile by now; None if it can't be.

    That is where its CSV is neither that of before nor that of now.
    """
    try:
        data = read_file(folder, spectra_path(project_id, plot_id, old.year, old.doy))
    except (FileNotFoundError, DamagedError):
        return None
    for written in (new, old):
        if not _row_problem(data, project_id, plot_id, written):
            before, after = _ends(project_id, plot_id, written)
            start, end = _ends(project_id, plot_id, new)
            return _HEADER + start + data[len(_HEADER) + len(before) : -len(after)] + end
    return None


def _ends(project_id: str, plot_id: str, written: Written) -> tuple[bytes, bytes]:
    """How the row of an observation begins and ends, around its values."""
    start = (written.sensor, project_id, plot_id, written.hv, written.year, written.doy)
    return f"{csv_line(*start)},".encode(), f"{csv_line(written.date)}\n".encode()


def _row_problem(data: bytes, project_id: str, plot_id: str, written: Written) -> str:
    if not data.startswith(_HEADER):
        return "the header is not that of the contract"
    before, after = _ends(project_id, plot_id, written)
    row = data[len(_HEADER) :]
    if not (row.startswith(before) and row.endswith(after)):
        return f"the row does not begin with {before.decode()} and end with {written.date}"
    values = row[len(before) : len(row) - len(after)]
    if not _VALUES.fullmatch(values):
        return "the row does not hold six whole numbers and a qa of 0 or 1"
    if any(not _LOWEST <= int(value) <= _HIGHEST for value in values.split(b",")[:6]):
        return f"a value lies outside {_LOWEST} to {_HIGHEST}, the range of what can be archived"
    return ""


def parse_rows(lines: Iterable[bytes]) -> pd.DataFrame:
    """Rows of the contract, without a header, as a table with its columns."""
    numbers = dict.fromkeys((*CSV_BANDS, "year", "doy"), "int32") | {"qa": "uint8"}
    types: dict[Hashable, Any] = {name: numbers.get(name, str) for name in CSV_COLUMNS}
    data = io.BytesIO(_HEADER + b"".join(lines))
    return pd.read_csv(data, dtype=types, keep_default_na=False)


def csv_line(*values: object) -> str:
    """Values as one line of CSV without a line feed, quoted where they must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Values in lists of this size, the last one shorter."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part


def in_order(work: Callable[[T], R], values: Iterable[T], threads: int) -> Iterator[R]:
    """Work on values in threads; the results in order, no more than a few ahead."""
    rest = iter(values)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(work, value) for value in islice(rest, threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, value) for value in islice(rest, 1))
