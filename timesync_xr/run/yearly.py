"""The best observations of each year, found by the plot pixel before any chip is read.

They are those that `timesync_xr.annual` puts first. QA_PIXEL at the plot is looked at from the
target day outwards, until as many good days are found as are wanted: nothing that lies farther can
be better. Only of these the other bands are read at the plot, to tell whether the server would
refuse them. So nothing is paid for most of the days of a year.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..cube.chips import begin_cube
from ..cube.plan import Plan
from ..cube.schema import plot_window
from ..errors import Kind, ReadError
from ..landsat import GRADES, QA_BAND
from ..plots import Plot
from ..project.cubes import DamagedCubeError, found_in, is_of, kept_cube, read_places
from ..project.log import (
    BEGUN,
    FAILED,
    MADE,
    OTHER_PLATFORM,
    READ,
    TITLES,
    WITHOUT_CHIP,
    WRITTEN,
    ObservationLog,
    days_with_files,
)
from ..project.products import FORMATS, ChipsPerYear
from ..project.rows import finder, parse_rows, written_observations
from ..spectral.annual import GRADED, RULES, distance, is_usable
from ..spectral.composites import is_fill_pixel
from ..spectral.quality import contract_qa, qa_grade
from ..spectral.series import plot_pixel, spectral_table
from ..storage.folder import Folder
from .chips import alike_at_plot, choose_platforms
from .job import Job
from .pixels import SPECTRA_BATCH, Begin, look_at_plot_pixels, read_ahead

NOT_AMONG: Final = "not among the {} best of its year"
"""Why a day is left out; in the braces the number of days that were asked for."""

UNUSABLE: Final = "too bright in blue, or 0 in blue, green and red"
"""Why a day is never chosen."""

_CHIPS_BATCH: Final = 8
"""Whole chips that are looked at together, where two platforms are alike at the plot."""


@dataclass(eq=False)
class _Day:
    """A day on which something may have seen the plot."""

    day: str
    """Its date."""
    year: int
    """Its year."""
    overridden: bool
    """Whether interpreters chose it."""
    far: int
    """How far it is from the target day, as the server counts."""
    rows: list[int]
    """Rows of the log that are open, or were taken over with files."""
    counts: bool = True
    """Whether it is one of as many as are wanted: not where it failed before."""
    written: int = -1
    """The row whose spectra are there, if nothing of the day has changed."""
    quality: int | None = None
    """What the rule goes by, at least; None until QA_PIXEL is known."""
    usable: bool | None = None
    """Whether it can be chosen, and the quality is exact; None until that is known."""

    @property
    def cost(self) -> tuple[bool, int, int]:
        """The less, the better; by the least quality that it may have."""
        return not self.overridden, self.quality or 0, self.far


def choose_days(
    log: ObservationLog, kept: pd.DataFrame, plot: Plot, job: Job, folder: Folder
) -> set[str]:
    """Leave out what is not among the best of its year; what is open in the log is to be made then.

    ``kept`` is the log of before. What it has files of stays without ``prune``, chosen or not: the
    days of these that are not chosen are returned. Where all rows are wanted, that is what has
    chips, and the rest is not left out: it is to be made without chips. An asset that can't be read
    makes its day failed, and the next best takes its place.
    """
    per_year = job.products.per_year
    if per_year is None:
        return set()
    choice = _Choice(log, kept, plot, job, folder, per_year.of(plot))
    choice.look_around()
    chosen, unusable = choice.chosen(), choice.unusable()
    held = set() if job.selection.prune else _held(kept, plot, job, folder)
    day = log.table["day"]
    left = log.table["outcome"].isin(["", WRITTEN, OTHER_PLATFORM]) & ~day.isin(chosen | held)
    if per_year.all_rows:
        log.open_again(day[left])
        log.without_chip.update(dict.fromkeys(day[left], NOT_AMONG.format(per_year.count)))
        new = left.to_numpy() & log.open & ~log.table.index.isin([*choice.qa])
        look_at_plot_pixels(log, new, job.of_rows)
        return held - chosen
    for row in np.flatnonzero(left & log.open).tolist():
        if row in choice.qa:
            log.table.loc[row, "qa_pixel"] = str(choice.qa[row])
            read = job.read_from(log.table.loc[[row], "item_ids"])
            log.table.loc[row, list(READ)] = read.iloc[0].tolist()
    log.leave_out((left & day.isin(unusable)).to_numpy(), UNUSABLE, Kind.UNUSABLE)
    log.leave_out((left & ~day.isin(unusable)).to_numpy(), NOT_AMONG.format(per_year.count))
    return held - chosen


def _held(kept: pd.DataFrame, plot: Plot, job: Job, folder: Folder) -> set[str]:
    """Days that stay, chosen or not: they have files, or chips where all rows are wanted anyway.

    Of days at which a run was stopped, and of rows that may have been made without chips, it is
    looked whether there are any.
    """
    days, begun = days_with_files(kept), set(kept.loc[kept["outcome"] == BEGUN, "day"])
    if job.products.all_rows:
        unsure, formats = days - set(kept.loc[kept["outcome"] == WITHOUT_CHIP, "day"]), ["png"]
        days = unsure
    else:
        unsure, formats = begun, [*FORMATS]
    files = {path: day for day in unsure for path in job.products.paths(plot, day, formats)}
    have = {files[path] for path in folder.present(files)}
    if "zarr" in job.products.made and unsure - have:
        with suppress(DamagedCubeError), kept_cube(folder, plot) as cube:
            have |= set(kept.loc[[*found_in(cube, kept)], "day"])
    return (days - unsure) | (unsure & have)


@dataclass(eq=False)
class _Choice:
    """The days of a plot, and what is known of them by now."""

    log: ObservationLog
    kept: pd.DataFrame
    plot: Plot
    job: Job
    folder: Folder
    per_year: ChipsPerYear
    qa: dict[int, int] = field(init=False)
    """QA_PIXEL at the plot by row."""
    before: pd.DataFrame = field(init=False)
    """What was known of each row of the log before."""
    years: dict[int, list[_Day]] = field(init=False)
    """Days by year, in the order in which they are looked at."""

    def __post_init__(self) -> None:
        self.before = before = self.log.as_before(self.kept)
        known = np.flatnonzero(before["qa_pixel"] != "")
        values = before["qa_pixel"].to_numpy()[known].astype(int)
        self.qa = dict(zip(known.tolist(), values.tolist(), strict=True))
        refused = set(np.flatnonzero(before["kind"] == Kind.UNUSABLE).tolist())
        self.years = {}
        for day in self._days():
            self.years.setdefault(day.year, []).append(day)
            if all(row in self.qa for row in day.rows):
                day.quality = self._least(day)
                if not refused.isdisjoint(day.rows):
                    day.usable = False
        for days in self.years.values():
            days.sort(key=lambda day: (not day.overridden, day.far))

    def _days(self) -> Iterator[_Day]:
        table = self.log.table
        rows = np.flatnonzero(table["outcome"].isin(["", WRITTEN, OTHER_PLATFORM]))
        stamps = pd.to_datetime(table["day"].iloc[rows])
        doys = np.array(stamps.dt.day_of_year, dtype=np.int64)
        far = distance(doys, self.per_year.target_day).tolist()
        told = zip(stamps.dt.year.tolist(), doys.tolist(), far, strict=True)
        failed = set(self.kept.loc[self.kept["outcome"] == FAILED, "day"])
        days: dict[str, _Day] = {}
        for row, (year, doy, away) in zip(rows.tolist(), told, strict=True):
            date = table["day"].iloc[row]
            if date not in days:
                overridden = (year, doy) in self.per_year.days
                days[date] = _Day(date, year, overridden, away, [], date not in failed)
            days[date].rows.append(row)
        outcomes = self.before["outcome"]
        for found in days.values():
            of_day = outcomes.loc[found.rows]
            made = of_day.index[of_day.isin(MADE)]
            if len(made) == 1 and of_day.isin([*MADE, OTHER_PLATFORM]).all():
                found.written = int(made[0])
        yield from days.values()

    def _least(self, day: _Day) -> int:
        """The least quality that a day may have, by QA_PIXEL alone."""
        told = qa_grade if self.per_year.rule == GRADED else contract_qa
        return int(told(np.array([self.qa[row] for row in day.rows], np.uint16)).min())

    def look_around(self) -> None:
        """Look at days until those to choose are known."""
        ahead = dict.fromkeys(self.years, 1)
        waiting = set(self.years)
        while waiting:
            looks: list[_Day] = []
            tests: list[_Day] = []
            for year in sorted(waiting):
                while ahead[year] < self.per_year.count:
                    ahead[year] *= 2
                near = self.years[year][: ahead[year]]
                new = [day for day in near if day.quality is None]
                todo, lacks = self._to_test(year, near)
                if new:
                    looks += new
                elif todo:
                    tests += todo
                elif lacks and len(near) < len(self.years[year]):
                    ahead[year] *= 2
                else:
                    waiting.discard(year)
            self._look(looks)
            self._test(tests)

    def _to_test(self, year: int, near: list[_Day]) -> tuple[list[_Day], bool]:
        """The best days of which it is not known whether they can be chosen; whether some lack."""
        limit = (True, max(GRADES.values()) + 1, 0)
        for day in self.years[year][len(near) : len(near) + 1]:
            limit = (not day.overridden, 0, day.far)
        wanted, todo = self.per_year.count, []
        for day in sorted((d for d in near if d.quality is not None), key=lambda day: day.cost):
            if not wanted or day.cost > limit:
                break
            todo += [day] * (day.usable is None)
            wanted -= day.counts and day.usable is not False
        return todo, wanted > 0

    def _look(self, days: list[_Day]) -> None:
        """Look at QA_PIXEL; days of which nothing is left are dropped."""
        if not days:
            return
        new = [row for day in days for row in day.rows if row not in self.qa]
        self.qa |= look_at_plot_pixels(self.log, self._mask(new), self.job)
        for day in days:
            self._drop_settled(day)
            if day.rows:
                day.quality = self._least(day)

    def _drop_settled(self, day: _Day) -> None:
        """Forget rows of a day that are fill, filtered or failed by now."""
        outcomes = self.log.table["outcome"]
        alive = ["", WRITTEN, OTHER_PLATFORM]
        day.rows = [row for row in day.rows if outcomes.iloc[row] in alive]
        if not day.rows:
            self.years[day.year].remove(day)

    def _mask(self, rows: list[int]) -> npt.NDArray[np.bool_]:
        chosen = np.zeros(len(self.log.table), dtype=bool)
        chosen[rows] = True
        return chosen

    def _test(self, days: list[_Day]) -> None:
        """Tell of days whether they can be chosen, and what the rule goes by exactly."""
        by_date = {day.day: day for day in days}
        there = {date: day for date, day in by_date.items() if day.written >= 0}
        of_files = self._of_files(there)
        rest = {date: day for date, day in by_date.items() if date not in set(of_files["day"])}
        of_cube = self._of_cube(rest)
        rest = {date: day for date, day in rest.items() if date not in set(of_cube["day"])}
        for found in (of_files, of_cube, self._of_pixels(rest)):
            for date, quality, usable in found.itertuples(index=False):
                by_date[date].quality, by_date[date].usable = int(quality), bool(usable)
        for day in days:
            self._drop_settled(day)
            if day.usable is None:  # its pixel can't be read: what has files keeps its place
                day.usable = day.written >= 0

    def _of_files(self, days: dict[str, _Day]) -> pd.DataFrame:
        """What their rows of spectra tell of days that have files; a row for each that has one."""
        if not days:
            return pd.DataFrame(columns=["day", "quality", "usable"])
        rows_of = [day.written for day in days.values()]
        known = ["outcome", "qa_pixel", "bands_filled", *TITLES]  # as their files have them
        log = self.log.table.loc[rows_of]
        log[known] = self.before.loc[rows_of, known]
        ids = self.plot.project_id, self.plot.plot_id
        rows = finder(self.folder, *ids, self.job.products.made)(written_observations(log))
        good = [row for row in rows if not row.problem]
        table = parse_rows(row.line for row in good)
        of_day = log.set_index("day").loc[[row.of.day for row in good]]
        grades = qa_grade(of_day["qa_pixel"].to_numpy(np.uint16))
        table["grade"] = np.where(of_day["bands_filled"] != "0", GRADES["no data"], grades)
        return self._ranked(table, [row.of.day for row in good])

    def _ranked(self, table: pd.DataFrame, days: list[str]) -> pd.DataFrame:
        """Quality and usability of rows of the contract with a grade."""
        quality = table[RULES[self.per_year.rule]].to_numpy(np.int64)
        return pd.DataFrame({"day": days, "quality": quality, "usable": is_usable(table)})

    def _of_cube(self, days: dict[str, _Day]) -> pd.DataFrame:
        """What the plot pixel tells of days whose observations a kept cube holds, all of them.

        A row for each; none of days whose platforms only whole chips tell apart, nor where the cube
        has another QA_PIXEL than the log.
        """
        nothing = pd.DataFrame(columns=["day", "quality", "usable"])
        if not days or "zarr" not in self.job.products.made:
            return nothing
        mask = self._mask([row for day in days.values() for row in day.rows])
        table = self.log.table[mask & self.log.measured(self.kept)]
        with suppress(DamagedCubeError), kept_cube(self.folder, self.plot) as cube:
            held = found_in(cube, table)
            whole = [day.rows for day in days.values() if held.keys() >= set(day.rows)]
            rows = sorted(row for of_day in whole for row in of_day)
            if cube is None or not rows or not is_of(cube, self.log.plan.grid):
                return nothing
            pixels = read_places(cube.isel(plot_window(cube)), [held[row] for row in rows])
            qa = pixels.sel(band=QA_BAND).to_numpy().ravel()
            if qa.tolist() != [self.qa[row] for row in rows]:
                return nothing
            return self._best(pixels[~alike_at_plot(pixels)])
        return nothing

    def _of_pixels(self, days: dict[str, _Day]) -> pd.DataFrame:
        """What the plot pixel tells of days, read from the archive; a row for each."""
        rows = [row for day in days.values() for row in day.rows]
        plan = self.log.plan.select(self._mask(rows))
        later = None if self.job.products.pixel_only else plan.grid
        begin = partial(begin_cube, reading=self.job.reading, later=later)
        found, tied = [], set[str]()
        for cube in self._read(rows, plan.at_plot_pixel(), SPECTRA_BATCH, begin):
            alike = alike_at_plot(cube)
            tied |= {*_days_of(cube[alike])}
            found.append(self._best(cube[~alike]))
        rows = [row for day in tied for row in days[day].rows]
        plan = self.log.plan.select(self._mask(rows))
        begin = partial(begin_cube, reading=self.job.reading)
        found += [self._best(cube) for cube in self._read(rows, plan, _CHIPS_BATCH, begin)]
        return pd.concat(found) if found else pd.DataFrame(columns=["day", "quality", "usable"])

    def _read(
        self, rows: list[int], plan: Plan, size: int, begin: Begin[xr.DataArray]
    ) -> Iterator[xr.DataArray]:
        """Cubes of the rows of a plan; what can't be read fails."""
        places = np.sort(np.array(rows, dtype=np.int64))
        for part, cube in read_ahead(plan, plan.chunks(size), begin):
            if isinstance(cube, ReadError):
                self.log.fail(places[part][self.log.open[places[part]]], cube)
            else:
                yield cube

    def _best(self, cube: xr.DataArray) -> pd.DataFrame:
        """Quality and usability of the observation that gets the files of each day of a cube."""
        table = spectral_table(cube, self.plot.project_id, self.plot.plot_id)
        seen = cube.isel(time=table.index)
        chosen = choose_platforms(seen)
        best = seen.isel(time=np.flatnonzero(chosen))
        pixel = plot_pixel(best)
        qa = pixel.sel(band=QA_BAND).to_numpy().ravel()
        holed = is_fill_pixel(pixel).to_numpy().ravel()
        grades = np.where(holed, GRADES["no data"], qa_grade(qa))
        return self._ranked(table[chosen].assign(grade=grades), _days_of(best))

    def chosen(self) -> set[str]:
        """The best days of each year, and those that failed when they were to be made."""
        found: set[str] = set()
        for days in self.years.values():
            wanted = self.per_year.count
            for day in sorted((d for d in days if d.usable), key=lambda day: day.cost):
                if wanted:
                    found.add(day.day)
                wanted -= wanted > 0 and day.counts
        return found

    def unusable(self) -> set[str]:
        """Days that are never chosen."""
        return {d.day for days in self.years.values() for d in days if d.usable is False}


def _days_of(cube: xr.DataArray) -> list[str]:
    return cube["time"].to_numpy().astype("datetime64[D]").astype(str).tolist()  # type: ignore[no-any-return]
