"""The files that the server loads: rows of all observations, a file per year.

The plots are gone through in the order of the result, so that rows are only ever appended and
nothing has to be sorted beyond one plot: memory and time per row are the same for any number.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..landsat import CSV_BANDS
from ..plots import id_problem
from ..project.files import COMBINED, spectra_path
from ..project.project import Project, as_project, unfinished
from ..project.rows import PlotRows, csv_line, read_rows
from ..spectral.series import CSV_COLUMNS
from ..storage.access import S3
from ..storage.places import beside, names_in, open_folder, workplace

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
    left_out: pd.DataFrame
    """Observations that the ledger says are written and whose CSV is missing or broken:
    project_id, plot_id, day, file and problem."""
    unfinished: list[str]
    """What the project does not hold yet, a line each."""

    @property
    def rows(self) -> int:
        """Number of observations."""
        return int(self.files["rows"].sum())

    @property
    def complete(self) -> bool:
        """Whether everything that the ledger knows of is in the files."""
        return self.left_out.empty and not self.unfinished

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return (
            f"{self.rows} observations in {len(self.files)} files of the server, and in "
            f"{TABLE}.csv and {TABLE}.parquet\nFiles: {self.out}"
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
        that of the observation's CSV, byte by byte. ``spectra.csv`` (with a header) and
        ``spectra.parquet`` hold the rows sorted by plot id, project id and date.

    Raises
    ------
    InputError
        An id that can't be part of a file name.
    ProjectError, AccessError
        There is no project, or nothing can be read or written.
    """
    if server_project is not None and (problem := id_problem(server_project)):
        raise InputError(f"the server's project id {server_project!r} {problem}")
    project = as_project(project)
    _ = project.settings  # refuses what another version of the package made
    known, s3 = project.plots, project.s3
    place = str(out or beside(project.place, COMBINED))
    left_out: list[dict[str, Any]] = []
    with workplace(place, s3) as folder:
        years, table = _Years(folder, server_project), _Table(folder)
        for _, group in groupby(read_rows(project.folder, known), key=lambda plot: plot.plot_id):
            plots = list(group)
            years.add(plots)
            for plot in plots:
                table.add(plot)
                left_out += _left_out(plot)
        years.flush()
        table.close()
    files = years.files()
    _remove_others(place, files, s3)
    columns = ["project_id", "plot_id", "day", "file", "problem"]
    return Combined(place, files, pd.DataFrame(left_out, columns=columns), unfinished(known))


def _dated_lines(plot: PlotRows) -> Iterator[tuple[int, int, str, bytes]]:
    """Year, day of the year, project and row of every observation that has one."""
    for row in plot.rows:
        if row.line:
            yield row.of.year, row.of.doy, plot.project_id, row.line


def _left_out(plot: PlotRows) -> Iterator[dict[str, Any]]:
    for written, _, problem in plot.rows:
        if problem:
            yield {
                "project_id": plot.project_id,
                "plot_id": plot.plot_id,
                "day": written.day,
                "file": spectra_path(plot.project_id, plot.plot_id, written.year, written.doy),
                "problem": problem,
            }


class _Years:
    """The files of the server while they grow."""

    def __init__(self, folder: Path, server_project: str | None) -> None:
        self._folder, self._server_project = folder, server_project
        self._held: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
        self._bytes = 0
        self._rows: Counter[tuple[str, int]] = Counter()

    def add(self, plots: list[PlotRows]) -> None:
        """Append the rows of all plots of one id: one of each project that has it."""
        for year, _, project_id, line in heapq.merge(*map(_dated_lines, plots)):
            server_project = self._server_project or project_id
            self._held[server_project, year].append(f"{csv_line(server_project)},".encode() + line)
            self._bytes += len(line)
        if self._bytes > _HELD:
            self.flush()

    def flush(self) -> None:
        """Append what is held to its files."""
        for key, lines in self._held.items():
            with (self._folder / _year_name(*key)).open("ab") as file:
                file.writelines(lines)
            self._rows[key] += len(lines)
        self._held.clear()
        self._bytes = 0

    def files(self) -> pd.DataFrame:
        """The files that were written, with their rows."""
        rows = [(_year_name(*key), *key, count) for key, count in sorted(self._rows.items())]
        return pd.DataFrame(rows, columns=["file", "server_project_id", "year", "rows"])


class _Table:
    """The table of all rows, as CSV and as Parquet, while it grows."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        numbers = dict.fromkeys((*CSV_BANDS, "year", "doy"), pa.int16()) | {"qa": pa.uint8()}
        self._schema = pa.schema([(name, numbers.get(name, pa.string())) for name in CSV_COLUMNS])
        self._csv = folder / f"{TABLE}.csv"
        self._csv.write_text(f"{csv_line(*CSV_COLUMNS)}\n", encoding="utf-8", newline="\n")
        self._parquet = ParquetWriter(folder / f"{TABLE}.parquet", self._schema, compression="zstd")
        self._held: list[bytes] = []
        self._bytes = 0

    def add(self, plot: PlotRows) -> None:
        """Append the rows of a plot."""
        lines = [row.line for row in plot.rows]
        self._held += lines
        self._bytes += sum(map(len, lines))
        if self._bytes > _HELD:
            self._flush()

    def close(self) -> None:
        """Append the rest and finish both files."""
        self._flush()
        self._parquet.close()

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow import csv

        data = b"".join(self._held)
        if data:
            with self._csv.open("ab") as file:
                file.write(data)
            table = csv.read_csv(
                pa.BufferReader(data),
                read_options=csv.ReadOptions(column_names=list(CSV_COLUMNS)),
                convert_options=csv.ConvertOptions(column_types=self._schema),
            )
            self._parquet.write_table(table)
        self._held.clear()
        self._bytes = 0


def _year_name(server_project: str, year: int) -> str:
    return f"{year}_prj_{server_project}_region_spectrals.csv"


def _remove_others(place: str, files: pd.DataFrame, s3: S3) -> None:
    """Remove files of an earlier call for years of these projects that hold no rows any more."""
    ends = tuple(_year_name(name, 0)[1:] for name in files["server_project_id"].unique())
    for name in names_in(place, s3) - set(files["file"]):
        if name[:4].isdigit() and name[4:] in ends:
            open_folder(place, s3).remove(name)
