"""The files that the server loads: rows of all observations, a file per year.

The plots are gone through in the order of the result, so that rows are only ever appended and
nothing has to be sorted beyond one plot: memory and time per row are the same for any number.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError, counted
from ..landsat import CSV_BANDS
from ..plots import id_problem
from ..project.files import COMBINED, log_path, project_path
from ..project.project import Project, as_project, unfinished
from ..project.rows import PlotRows, csv_line, read_rows
from ..spectral.series import CSV_COLUMNS
from ..storage.access import S3
from ..storage.places import names_in, open_folder, place_of, workplace
from ..storage.tables import parquet_file

_HELD = 8 * 2**20
"""Bytes of rows that are held before they are appended to their files."""

TABLE = "spectra"
"""Name of the table of all rows, with ``.csv`` and ``.parquet``."""


@dataclass(frozen=True, repr=False)
class Combined:
    """What `combine` made."""

    out: str
    """The folder of the files."""
    files: pd.DataFrame
    """The files of the server: file (its name), server_project_id, year and rows."""
    without_chip: int
    """Number of observations without a chip, of which the table alone has rows: the server would
    show a broken picture."""
    left_out: pd.DataFrame
    """What the ledger says is written and is not in the files: project_id, plot_id, day, file and
    problem. That is an observation whose row is missing or broken, or, without a day, a plot whose
    log is damaged or has another number of observations."""
    unfinished: list[str]
    """What the project does not hold yet, a line each."""

    @property
    def rows(self) -> int:
        """Number of observations in the files of the server."""
        return int(self.files["rows"].sum())

    @property
    def complete(self) -> bool:
        """Whether everything that the ledger knows of is in the files."""
        return self.left_out.empty and not self.unfinished

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return (
            f"{counted(self.rows, 'observation')} in {counted(len(self.files), 'file')} of the "
            "server, and "
            + (f"with {self.without_chip} more without a chip " if self.without_chip else "")
            + f"in {TABLE}.csv and {TABLE}.parquet\nFiles: {self.out}"
        )


def combine(
    project: Project | str | Path,
    server_project: str | None = None,
    out: str | Path | None = None,
) -> Combined:
    """Write the files that the TimeSync server loads, and one table of all observations.

    Parameters
    ----------
    project
        A `Project`, or its folder. A run may be at work on it.
    server_project
        Id of the project on the server: all rows go to ``{year}_prj_{id}_region_spectrals.csv``.
        By default every project of the folder keeps its own id and gets its own files.
    out
        Folder of the files, or an address in a bucket that is reached as the project is;
        ``combined`` in the project by default.

    Returns
    -------
    Combined
        Files, counts, and what had to be left out. The files of a year have no header; the columns
        are ``server_project_id`` and those of the contract, the rows sorted by plot id
        (`timesync_xr.plots.id_order`), then day of the year, then project id. Every row is
        that of the observation's CSV, byte by byte, or is made of its plot's table, to the same
        bytes. ``spectra.csv`` (with a header) and ``spectra.parquet`` hold the rows sorted by plot
        id, project id and date, also those of observations without a chip (see
        `timesync_xr.ChipsPerYear`), which the server's files leave out.

    Raises
    ------
    InputError
        An id that can't be part of a file name.
    ProjectError, AccessError
        There is no project, or nothing can be read or written.

    Examples
    --------
    ::

        combined = tx.combine(project, server_project="3132", out="combined")
        combined.files
    """
    if server_project is not None and (problem := id_problem(server_project)):
        raise InputError(f"the server's project id {server_project!r} {problem}")
    project = as_project(project)
    _ = project.settings  # refuses what another version of the package made
    known, s3 = project.plots, project.s3
    place = place_of(out, project.place, COMBINED)
    left_out: list[dict[str, Any]] = []
    without_chip = 0
    with workplace(place, s3) as folder, _all_rows(folder) as append:
        years = _Years(folder, server_project)
        held: list[bytes] = []
        for _, group in groupby(read_rows(project.folder, known), key=lambda plot: plot.plot_id):
            plots = list(group)
            years.add(plots)
            for plot in plots:
                held += [row.line for row in plot.rows]
                left_out += _left_out(plot)
                without_chip += sum(bool(row.line) and not row.of.has_chip for row in plot.rows)
            if years.bytes_held > _HELD:
                years.flush()
                append(held)
                held.clear()
        years.flush()
        append(held)
    files = years.files()
    _remove_others(place, files, s3)
    columns = ["project_id", "plot_id", "day", "file", "problem"]
    lost = pd.DataFrame(left_out, columns=columns)
    return Combined(place, files, without_chip, lost, unfinished(known, project.settings))


def _dated_lines(plot: PlotRows) -> Iterator[tuple[int, int, str, bytes]]:
    """Year, day of the year, project and row of every observation that has one, and a chip."""
    for row in plot.rows:
        if row.line and row.of.has_chip:
            yield row.of.year, row.of.doy, plot.project_id, row.line


def _left_out(plot: PlotRows) -> Iterator[dict[str, Any]]:
    ids = {"project_id": plot.project_id, "plot_id": plot.plot_id}
    if plot.problem:
        yield ids | {"day": "", "file": log_path(*plot.ids), "problem": plot.problem}
    for row in plot.rows:
        if row.problem:
            yield {
                **ids,
                "day": row.of.day,
                "file": row.file,
                "problem": row.problem,
            }


class _Years:
    """The files of the server while they grow."""

    def __init__(self, folder: Path, server_project: str | None) -> None:
        self._folder, self._server_project = folder, server_project
        self._held: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
        self.bytes_held = 0  # of the rows that wait for their files
        self._rows: Counter[tuple[str, int]] = Counter()

    def add(self, plots: list[PlotRows]) -> None:
        """Append the rows of all plots of one id: one of each project that has it."""
        for year, _, project_id, line in heapq.merge(*map(_dated_lines, plots)):
            server_project = self._server_project or project_id
            self._held[server_project, year].append(f"{csv_line(server_project)},".encode() + line)
            self.bytes_held += len(line)

    def flush(self) -> None:
        """Append what is held to its files."""
        for key, lines in self._held.items():
            with (self._folder / _year_name(*key)).open("ab") as file:
                file.writelines(lines)
            self._rows[key] += len(lines)
        self._held.clear()
        self.bytes_held = 0

    def files(self) -> pd.DataFrame:
        """The files that were written, with their rows."""
        rows = [(_year_name(*key), *key, count) for key, count in sorted(self._rows.items())]
        return pd.DataFrame(rows, columns=["file", "server_project_id", "year", "rows"])


@contextmanager
def _all_rows(folder: Path) -> Iterator[Callable[[list[bytes]], None]]:
    """Appends rows of the contract to the table of all rows, as CSV and as Parquet."""
    import pyarrow as pa
    from pyarrow import csv

    numbers = dict.fromkeys((*CSV_BANDS, "year", "doy"), pa.int32()) | {"qa": pa.uint8()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in CSV_COLUMNS])
    names = csv.ReadOptions(column_names=list(CSV_COLUMNS))
    types = csv.ConvertOptions(column_types=schema)
    parquet = parquet_file(folder / f"{TABLE}.parquet", schema)
    with (folder / f"{TABLE}.csv").open("wb") as file, parquet as append:
        file.write(f"{csv_line(*CSV_COLUMNS)}\n".encode())

        def write(lines: list[bytes]) -> None:
            if data := b"".join(lines):
                file.write(data)
                append(csv.read_csv(pa.BufferReader(data), names, convert_options=types))

        yield write


def _year_name(server_project: str, year: int) -> str:
    return f"{year}_{project_path(server_project)}_region_spectrals.csv"


def _remove_others(place: str, files: pd.DataFrame, s3: S3) -> None:
    """Remove files of an earlier call for years of these projects that hold no rows any more."""
    ends = tuple(_year_name(name, 0)[1:] for name in files["server_project_id"].unique())
    for name in names_in(place, s3) - set(files["file"]):
        if name[:4].isdigit() and name[4:] in ends:
            open_folder(place, s3).remove(name)
