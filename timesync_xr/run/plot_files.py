"""What a plot has already: which of its days are whole, and what is to be renamed or removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from ..plots import Plot
from ..project.cubes import DamagedCubeError, found_in, kept_cube
from ..project.files import spectra_path
from ..project.log import OTHER_PLATFORM, ObservationLog
from ..project.products import FORMATS, Products
from ..project.rows import finder, parse_rows, renamed_row, written_observations
from ..project.spectra import PlotTable
from ..storage.folder import Folder


@dataclass(frozen=True, eq=False)
class PlotFiles:
    """The files of a plot by day, and its rows of spectra, which lie in files or in its table."""

    plot: Plot
    """The plot."""
    products: Products
    """What is made of it."""
    folder: Folder
    """Where its files are."""
    spectra: PlotTable
    """The table of its spectra."""

    def whole(self, days: list[str]) -> set[str]:
        """Those of some days of which all files are there, and the row of the table."""
        return self._with(self.products.made, days)

    def with_rows(self, days: list[str]) -> set[str]:
        """Those of some days of which the row of spectra is there."""
        return self._with(self.products.of_rows, days)

    def _with(self, formats: Sequence[str], days: list[str]) -> set[str]:
        known = [day for day in days if not self.spectra.wanted or day in self.spectra.days]
        paths = {day: self.products.paths(self.plot, day, formats) for day in known}
        there = self.folder.present([path for of_day in paths.values() for path in of_day])
        return {day for day, of_day in paths.items() if there.issuperset(of_day)}

    def take_rows_of_csvs(self, kept: pd.DataFrame) -> None:
        """Take rows into the table from the CSVs that are there already, by a kept log."""
        if not self.spectra.wanted or "csv" not in self.products.made:
            return
        lacking = kept[~kept["day"].isin(self.spectra.days)]
        find = finder(self.folder, *self._ids, self.products.made)
        self.spectra.add(parse_rows(row.line for row in find(written_observations(lacking))))

    def rename(self, log: ObservationLog, kept: pd.DataFrame) -> dict[str, list[tuple[str, bytes]]]:
        """The days of which only what items are called has changed since a kept log.

        Rows of the table are renamed at once. Each day comes with the path and bytes of its new
        CSV, if it has one. Nothing is read of the archive; days whose row is none of before are
        opened again.
        """
        renamed: dict[str, list[tuple[str, bytes]]] = {}
        if not self.products.of_rows:
            return renamed
        rows = log.renamed(kept)
        before = rows.assign(date=rows["date_kept"], hv=rows["hv_kept"])
        has_csv = "csv" in self.products.made
        for old, new in zip(*map(written_observations, (before, rows)), strict=True):
            csvs = [renamed_row(self.folder, *self._ids, old, new)] if has_csv else []
            titles = [(of.sensor, of.hv, of.date) for of in (old, new)]
            if None in csvs or (self.spectra.wanted and not self.spectra.rename(new.day, *titles)):
                log.open_again([new.day])
            else:
                path = spectra_path(*self._ids, new.year, new.doy)
                renamed[new.day] = [(path, data) for data in csvs if data is not None]
        return renamed

    def of_any(self, lost: pd.DataFrame) -> pd.DataFrame:
        """Those rows of a log that have files, or pixels in the plot's cube."""
        without_files = lost["outcome"] == OTHER_PLATFORM
        if not without_files.any():
            return lost
        in_cube: dict[int, int] = {}
        if "zarr" in self.products.made:
            with suppress(DamagedCubeError), kept_cube(self.folder, self.plot) as cube:
                in_cube = found_in(cube, lost)
        return lost[~without_files | lost.index.isin(list(in_cube))]

    def remove(self, days: Iterable[str], formats: Sequence[str] = FORMATS) -> None:
        """Remove the files of days that are to be made anew, or not at all."""
        paths = [p for day in sorted(days) for p in self.products.paths(self.plot, day, formats)]
        for path in sorted(self.folder.present(paths)):
            self.folder.remove(path)

    @property
    def _ids(self) -> tuple[str, str]:
        return self.plot.project_id, self.plot.plot_id
