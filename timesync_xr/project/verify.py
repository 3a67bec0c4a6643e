"""What can be wrong with a project, and what to do about it.

What lies in a project and should not be there.

Whether a project holds what its ledger says, and nothing else.
"""

from __future__ import annotations

import logging
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from ..errors import InputError
from ..landsat import CSV_BANDS
from ..plots import Plot, read_plots
from ..storage.access import Access
from ..storage.folder import OUT_ACCESS
from ..storage.places import names_in
from .checks import (
    BrokenChipError,
    BrokenCubeError,
    plot_colours,
    plot_pixel_of_png,
    plot_pixels_of_cube,
)
from .cubes import MARK, cube_path
from .files import chip_path, spectra_path
from .ledger import COMPLETE
from .log import FAILED, read_kept_account
from .project import (
    NO_FILE,
    THREADS,
    Contents,
    Row,
    Written,
    chunks,
    has_product,
    in_order,
    open_contents,
    parse_rows,
    read_row,
    written_observations,
)

MISSING: Final = "missing"
BROKEN: Final = "broken"
FAILED_DAY: Final = "failed"
NOT_DONE: Final = "not done"
STRAY: Final = "stray"

KINDS: Final = (MISSING, BROKEN, FAILED_DAY, NOT_DONE, STRAY)
"""Kinds of problems.

missing: a file of an observation that was written is not there. broken: a file is not what it
should be. failed: the last run could not read an asset. not done: a plot of the list, or its
account, is not in the ledger, or the ledger has the plot as incomplete. stray: something that
should not be there.
"""

REPAIR: Final = "Make it again: timesync-xr verify --repair"
REMOVE: Final = "Remove it, or move it out of the project"
UNKNOWN: Final = (
    "If a run is making it, wait; else run timesync-xr extract with its plot list, or remove it"
)
NOT_WRITTEN: Final = "it belongs to no observation that was written"


class Problem(NamedTuple):
    """A row of the table of `verify`."""

    project_id: str
    """Project of the plot."""
    plot_id: str
    """Plot, empty where it is not known."""
    day: str
    """Day of the observation, empty where it is none of one."""
    kind: str
    """One of `KINDS`."""
    file: str
    """File or folder below the project folder, empty where it is none of one."""
    problem: str
    """What is wrong."""
    remedy: str
    """What to do."""


COLUMNS: Final = Problem._fields
"""Columns of the table of `verify`."""


_CSV = re.compile(r"(?P<plot>.+)_spectral_files_set_(?P<year>\d{4})_(?P<doy>\d{3})\.csv")

Days = dict[tuple[str, str], "array[int]"]
"""Year and day (2020183) of every observation that was written, ascending, for every plot."""


def find_strays(contents: Contents, days: Days, top: set[str]) -> Iterator[Problem]:
    """What should not be there in the folders of all projects, but for chips of known plots."""
    projects = {project for project, _ in days}
    for folder in sorted(name for name in top if name.startswith("prj_")):
        project = folder.removeprefix("prj_")
        if project in projects:
            yield from sorted(_stray_rows(contents, project, days))
            yield from _stray_folders(contents, project, days)
            yield from _stray_cubes(contents, project)
        else:
            problem = "the ledger knows no plot of this project"
            yield Problem(project, "", "", STRAY, folder, problem, UNKNOWN)


def _stray_rows(contents: Contents, project: str, days: Days) -> Iterator[Problem]:
    """What lies among the CSVs of a project and is none of an observation that was written."""
    unknown: Counter[str] = Counter()
    for name in contents.folder.names(f"prj_{project}"):
        match = _CSV.fullmatch(name)
        if name in {"cubes", *contents.composites}:
            continue
        if match and (project, match["plot"]) not in days:
            unknown[match["plot"]] += 1
        elif not match:
            problem = "it has no name of the contract"
            yield Problem(project, "", "", STRAY, f"prj_{project}/{name}", problem, REMOVE)
        elif not _holds(days[project, match["plot"]], int(match["year"] + match["doy"])):
            path = f"prj_{project}/{name}"
            yield Problem(project, match["plot"], "", STRAY, path, NOT_WRITTEN, REMOVE)
    for plot, count in unknown.items():
        path = f"prj_{project}/{plot}_spectral_files_set_*.csv"
        problem = f"the ledger does not know this plot, which has {count} of these files"
        yield Problem(project, plot, "", STRAY, path, problem, UNKNOWN)


def _stray_folders(contents: Contents, project: str, days: Days) -> Iterator[Problem]:
    """What lies among the plots' folders of chips and is none of a plot of the ledger."""
    for composite in contents.composites:
        folder = f"prj_{project}/{composite}"
        for name in sorted(contents.folder.names(folder)):
            plot = name.removeprefix("plot_")
            if plot == name or (project, plot) not in days:
                problem = "the ledger does not know this plot"
                yield Problem(project, plot, "", STRAY, f"{folder}/{name}", problem, UNKNOWN)


def _stray_cubes(contents: Contents, project: str) -> Iterator[Problem]:
    """What lies among the cubes and is none of a plot that was made with one."""
    plots = contents.plots[has_product(contents.plots, "zarr")]
    known = {f"plot_{plot}.zarr" for plot in plots.loc[plots["project_id"] == project, "plot_id"]}
    for name in sorted(contents.folder.names(f"prj_{project}/cubes") - known):
        problem = "the ledger knows no plot with this cube"
        yield Problem(project, "", "", STRAY, f"prj_{project}/cubes/{name}", problem, UNKNOWN)


def _holds(values: array[int], value: int) -> bool:
    position = bisect_left(values, value)
    return position < len(values) and values[position] == value


_LOG = logging.getLogger(__name__)

_CHUNK = 16
"""Observations that one thread looks at after each other."""

_PLOTS = 4
"""Plots that are looked at together."""


@dataclass(frozen=True)
class _Plot:
    """A plot of the ledger, and what it was made with."""

    project_id: str
    """Its project."""
    plot_id: str
    """Its id there."""
    products: tuple[str, ...]
    """What was made of it: some of png, csv and zarr."""
    composites: tuple[str, ...]
    """Names of the composites of its chips."""
    pixels: Mapping[str, tuple[int, ...]]
    """The plot pixel of every day by its cube, as the CSV has it; empty where there is none."""

    @property
    def has_csv(self) -> bool:
        return "csv" in self.products

    def csv(self, written: Written) -> str:
        return spectra_path(self.project_id, self.plot_id, written.year, written.doy)

    def chips(self, written: Written) -> dict[str, str]:
        """The chips of an observation by composite; none where none were made."""
        names = self.composites if "png" in self.products else ()
        when = self.plot_id, written.year, written.doy
        return {name: chip_path(self.project_id, name, *when) for name in names}

    def problem(self, day: str, kind: str, file: str, problem: str, remedy: str) -> Problem:
        return Problem(self.project_id, self.plot_id, day, kind, file, problem, remedy)


def verify(
    project: str | Path,
    plots: str | Path | pd.DataFrame | None = None,
    *,
    quick: bool = False,
    access: Access = OUT_ACCESS,
) -> pd.DataFrame:
    """Find what is missing or broken in a project, and what should not be there.

    Parameters
    ----------
    project
        A project folder, or an address like ``s3://bucket/prefix``.
    plots
        The plot list (CSV) or what `read_plots` made of it: all of its plots must be there. By
        default only the plots that the ledger knows are looked at.
    quick
        Compare names only, without opening a chip, a CSV or a cube.
    access
        Profile, endpoint and region of S3.

    Returns
    -------
    pandas.DataFrame
        A row per problem, by plot and date, what should not be there at the end; no rows where all
        is well. All text: ``project_id, plot_id, day, kind`` (one of `KINDS`), ``file`` (below the
        project folder), ``problem`` and ``remedy``.

        Every observation that the ledger says is written needs the files of the products that the
        plot was made with. A CSV must hold the row of that observation, a chip must be decoded as
        8-bit RGB of the project's size, and the colour of its plot pixel must be the one that the
        values in the CSV have. A cube must hold the observations of the account with the pixels
        at the plot that account and CSV have, and chips whose shares of fill and of clear pixels
        are those of the account.

    Raises
    ------
    InputError, PlotListError
        The plot list is wrong.
    ProjectError, AccessError
        There is no project, or it can't be read.
    """
    contents = open_contents(project, access)
    problems = [] if plots is None else [*_of_list(contents, _listed(plots, contents.region))]
    days: Days = {}
    with ThreadPoolExecutor(THREADS) as readers:
        check = partial(_of_plot, contents, readers, quick)
        for plot, found, written in in_order(check, contents.plots.to_dict("records"), _PLOTS):
            problems += found
            days[plot.project_id, plot.plot_id] = written
    problems += find_strays(contents, days, names_in(project, access))
    problems.sort(key=lambda problem: problem.kind == STRAY)
    return pd.DataFrame(problems, columns=list(COLUMNS))


def _listed(plots: str | Path | pd.DataFrame, region: str) -> pd.DataFrame:
    return plots if isinstance(plots, pd.DataFrame) else read_plots(plots, region)


def _of_list(contents: Contents, plots: pd.DataFrame) -> Iterator[Problem]:
    """Plots of the list that the ledger does not know, or knows in another place."""
    columns = ["project_id", "plot_id", "x", "y"]
    made = {(p, n): (x, y) for p, n, x, y in contents.plots[columns].itertuples(index=False)}
    for project_id, plot_id, *place in plots[columns].itertuples(index=False):
        known = made.get((project_id, plot_id))
        if known is None:
            problem, remedy = "the plot is not in the ledger", "Make it: timesync-xr extract"
            yield Problem(project_id, plot_id, "", NOT_DONE, "", problem, remedy)
        elif known != tuple(place):
            raise InputError(
                f"plot {plot_id} of project {project_id} was made at x {known[0]}, y {known[1]}, "
                f"the list has it at {place[0]}, {place[1]}: give the list that the project was "
                "made from"
            )


def _of_plot(
    contents: Contents, readers: ThreadPoolExecutor, quick: bool, row: dict[str, Any]
) -> tuple[_Plot, list[Problem], array[int]]:
    """All that is wrong with a plot of the ledger, and the days that were written."""
    products = tuple(row["products"].split(","))
    plot = _Plot(row["project_id"], row["plot_id"], products, contents.composites, {})
    _LOG.info("checking project %s, plot %s", plot.project_id, plot.plot_id)
    account = read_kept_account(contents.folder, plot.project_id, plot.plot_id)
    written = written_observations(account)
    plot, problems = _with_cube(contents, plot, account, quick)
    if len(written) != row["written"]:
        problem = f"the ledger counts {row['written']} observations, the account {len(written)}"
        problems.append(plot.problem("", NOT_DONE, "", problem, REPAIR))
    for failed in account[account["outcome"] == FAILED].to_dict("records"):
        problem = f"{failed['asset']}: {failed['cause']}"
        problems.append(plot.problem(failed["day"], FAILED_DAY, "", problem, failed["remedy"]))
    if row["status"] != COMPLETE and row["failed"] == 0:
        problems.append(plot.problem("", NOT_DONE, "", "the ledger has it as incomplete", REPAIR))
    check = partial(_missing_rows if quick else _wrong, contents, plot)
    for found in readers.map(check, chunks(written, _CHUNK)):
        problems += found
    problems += _by_name(contents, plot, written)
    problems.sort(key=lambda problem: (problem.day, problem.file))
    return plot, problems, array("I", [w.year * 1000 + w.doy for w in written])


def _with_cube(
    contents: Contents, plot: _Plot, account: pd.DataFrame, quick: bool
) -> tuple[_Plot, list[Problem]]:
    """The plot with what its cube has at the plot, and what is wrong with the cube.

    While something failed there is none: it waits for what is missing.
    """
    if "zarr" not in plot.products or (account["outcome"] == FAILED).any():
        return plot, []
    file = cube_path(plot.project_id, plot.plot_id)
    if not contents.folder.present([f"{file}/{MARK}"]):
        return plot, [plot.problem("", MISSING, file, "the cube is missing", REPAIR)]
    if quick:
        return plot, []
    ids = Plot(plot.project_id, plot.plot_id, 0, 0)
    try:
        pixels = plot_pixels_of_cube(contents.folder, ids, account, contents.chip_size)
    except BrokenCubeError as error:
        return plot, [plot.problem("", BROKEN, file, str(error), REPAIR)]
    return replace(plot, pixels=pixels), []


def _missing_rows(contents: Contents, plot: _Plot, part: list[Written]) -> list[Problem]:
    """CSVs that are not there."""
    wanted = {plot.csv(written): written.day for written in part} if plot.has_csv else {}
    gone = wanted.keys() - contents.folder.present(wanted)
    return [plot.problem(wanted[file], MISSING, file, NO_FILE, REPAIR) for file in gone]


def _wrong(contents: Contents, plot: _Plot, part: list[Written]) -> list[Problem]:
    """CSVs that are not there, CSVs and chips that are not what they should be."""
    ids = plot.project_id, plot.plot_id
    rows = [read_row(contents.folder, *ids, w) for w in part] if plot.has_csv else []
    problems = []
    for row in rows:
        if row.problem:
            kind = MISSING if row.problem == NO_FILE else BROKEN
            problem = plot.problem(row.of.day, kind, plot.csv(row.of), row.problem, REPAIR)
            problems.append(problem)
    good = [row for row in rows if not row.problem]
    spectra = parse_rows(row.line for row in good)
    problems += _other_than_cube(plot, good, spectra)
    colours = _colours(good, spectra, contents.as_ever)
    for written in part:
        for name, file in plot.chips(written).items():
            if why := _chip_problem(contents, file, colours.get((written.day, name))):
                problems.append(plot.problem(written.day, BROKEN, file, why, REPAIR))
    return problems


def _other_than_cube(plot: _Plot, good: list[Row], spectra: pd.DataFrame) -> Iterator[Problem]:
    """Good rows whose values are not those that the cube has at the plot."""
    values = spectra[[*CSV_BANDS, "qa"]].to_numpy().tolist()
    for row, found in zip(good, map(tuple, values), strict=True):
        held = plot.pixels.get(row.of.day, found)
        if held != found:
            problem = f"its values are {found}, in the cube {held}"
            yield plot.problem(row.of.day, BROKEN, plot.csv(row.of), problem, REPAIR)


def _colours(
    good: list[Row], spectra: pd.DataFrame, as_ever: frozenset[str]
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Colour of the plot pixel by day and composite, as the good rows have it."""
    colours = plot_colours(spectra)
    return {
        (row.of.day, name): tuple(colour.tolist())
        for name, of_rows in colours.items()
        if name in as_ever
        for row, colour in zip(good, of_rows, strict=True)
    }


def _chip_problem(contents: Contents, file: str, colour: tuple[int, ...] | None) -> str:
    """Why a chip is not what it should be; empty for one that is not there, see `_by_name`."""
    try:
        found = plot_pixel_of_png(contents.folder.read(file), *contents.chip_size)
    except FileNotFoundError:
        return ""
    except BrokenChipError as error:
        return str(error)
    if colour is None or found == colour:
        return ""
    return f"the plot pixel is {found}, but the values in the CSV have the colour {colour}"


def _by_name(contents: Contents, plot: _Plot, written: list[Written]) -> Iterator[Problem]:
    """Chips that are not there, and what lies among them and is none that was written."""
    chips = {file: w.day for w in written for file in plot.chips(w).values()}
    folders = [f"prj_{plot.project_id}/{name}/plot_{plot.plot_id}" for name in plot.composites]
    there = {f"{folder}/{name}" for folder in folders for name in contents.folder.names(folder)}
    for file in chips.keys() - there:
        yield plot.problem(chips[file], MISSING, file, NO_FILE, REPAIR)
    for file in there - chips.keys():
        yield plot.problem("", STRAY, file, NOT_WRITTEN, REMOVE)
