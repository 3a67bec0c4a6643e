"""Whether a project holds what its ledger says, and nothing else."""

from __future__ import annotations

import logging
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

from ..catalog.kept import damaged_items
from ..errors import AccessError, DamagedError, InputError, ProjectError, TimesyncError, counted
from ..grid import ChipGrid
from ..landsat import CSV_BANDS
from ..plots import Plot, id_problem
from ..raster.headers import damaged_headers
from ..spectral.composites import Composite
from ..storage.folder import Folder, read_file
from ..storage.places import names_in
from .checks import (
    BrokenCubeError,
    plot_colours,
    plot_pixel_of_png,
    plot_pixels_of_cube,
)
from .files import (
    CUBE_MARK,
    CUBES,
    LISTED,
    LOGS,
    SETTINGS,
    TABLES,
    chip_path,
    chips_path,
    cube_path,
    cubes_path,
    log_path,
    project_path,
    spectra_name,
    spectra_path,
    table_path,
    tables_path,
)
from .ledger import CHECK, COMPLETE, NO_ITEMS, other_than_log, read_ledger
from .log import BEGUN, FAILED, DamagedLogError, read_log
from .places import read_listed
from .project import DamagedSettingsError, Plots, Project, Settings, as_project, by_id
from .rows import (
    DAMAGED_LOG,
    NO_FILE,
    THREADS,
    Find,
    Row,
    Written,
    chunks,
    finder,
    finder_in,
    has_product,
    in_order,
    miscounted,
    parse_rows,
    written_observations,
)
from .spectra import read_table

MISSING: Final = "missing"
BROKEN: Final = "broken"
FAILED_DAY: Final = "failed"
NOT_DONE: Final = "not done"
STRAY: Final = "stray"
ARCHIVE: Final = "archive"

KINDS: Final = (MISSING, BROKEN, FAILED_DAY, NOT_DONE, STRAY, ARCHIVE)
"""Kinds of problems.

missing: a file of an observation that was written is not there. broken: a file is not what it
should be. failed: the last run could not read an asset. not done: a plot of the list, or its
log, is not in the ledger, or the ledger has the plot as incomplete. stray: something that
should not be there. archive: a file of the archive is not what its item tells, or can't be read,
see `timesync_xr.archive_files`.
"""

REPAIR: Final = "Make it again: timesync-xr verify --repair"
RENDER: Final = "Make the project again: timesync-xr render with another --out"
REMOVE: Final = "Remove it, or move it out of the project"
PUT_BACK: Final = "Put back a copy of it, or make the project anew in another folder"
LIST: Final = "Give its plot list: timesync-xr verify --plots PLOTS.csv --repair, or extract"
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


Days = dict[tuple[str, str], "array[int] | None"]
"""Year and day (2020183) of every observation that was written or begun, ascending, for every plot;
None where its log is damaged, so that nothing is known of them."""


def _strays(project: Project, plots: pd.DataFrame, days: Days) -> Iterator[Problem]:
    """What should not be there in the folders of all projects, but for chips of known plots."""
    known = {project_id for project_id, _ in days}
    for folder in sorted(names_in(project.place, project.s3)):
        project_id = folder.removeprefix("prj_")
        if folder == project_id:
            continue
        if project_id in known:
            yield from sorted(_stray_rows(project, project_id, days))
            yield from _stray_folders(project, project_id, days)
            here = plots[plots["project_id"] == project_id]
            tables = {table_path(project_id, plot) for plot in _made_with(here, "spectra")}
            yield from _stray_files(project, project_id, tables_path(project_id), tables, "table")
            cubes = {cube_path(project_id, plot) for plot in _made_with(here, "zarr")}
            yield from _stray_files(project, project_id, cubes_path(project_id), cubes, "cube")
        else:
            problem = "the ledger knows no plot of this project"
            yield Problem(project_id, "", "", STRAY, folder, problem, UNKNOWN)


def _stray_rows(project: Project, project_id: str, days: Days) -> Iterator[Problem]:
    """What lies among the CSVs of a project and is none of an observation that was written."""
    unknown: Counter[str] = Counter()
    folders = {CUBES, TABLES, *(composite.name for composite in project.settings.composites)}
    for name in project.folder.names(project_path(project_id)) - folders:
        path, found = f"{project_path(project_id)}/{name}", spectra_name(name)
        if not found:
            problem = "it has no name of the contract"
            yield Problem(project_id, "", "", STRAY, path, problem, REMOVE)
        elif (project_id, found[0]) not in days:
            unknown[found[0]] += 1
        elif not _holds(days[project_id, found[0]], found[1]):
            yield Problem(project_id, found[0], "", STRAY, path, NOT_WRITTEN, REMOVE)
    for plot, count in unknown.items():
        path = f"{project_path(project_id)}/{plot}_spectral_files_set_*.csv"
        problem = f"the ledger does not know this plot, which has {count} of these files"
        yield Problem(project_id, plot, "", STRAY, path, problem, UNKNOWN)


def _stray_folders(project: Project, project_id: str, days: Days) -> Iterator[Problem]:
    """What lies among the plots' folders of chips and is none of a plot of the ledger."""
    for composite in project.settings.composites:
        folder = f"{project_path(project_id)}/{composite.name}"
        for name in sorted(project.folder.names(folder)):
            plot = name.removeprefix("plot_")
            if plot == name or (project_id, plot) not in days:
                problem = "the ledger does not know this plot"
                yield Problem(project_id, plot, "", STRAY, f"{folder}/{name}", problem, UNKNOWN)


def _made_with(plots: pd.DataFrame, product: str) -> list[str]:
    """Ids of the plots that were made with a product."""
    return list(plots.loc[has_product(plots, product), "plot_id"])


def _stray_files(
    project: Project, project_id: str, folder: str, known: set[str], what: str
) -> Iterator[Problem]:
    """What lies in a folder with one ``what`` of each plot and is none of a plot made with one."""
    for path in sorted({f"{folder}/{n}" for n in project.folder.names(folder)} - known):
        problem = f"the ledger knows no plot with this {what}"
        yield Problem(project_id, "", "", STRAY, path, problem, UNKNOWN)


def _holds(values: array[int] | None, value: int) -> bool:
    if values is None:
        return True
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
    """What was made of it: some of png, csv, spectra and zarr."""
    composites: tuple[Composite, ...]
    """What its chips are made of."""
    pixels: Mapping[str, tuple[int, ...]]
    """The plot pixel of every day by its cube, as spectra have it; empty where there is none."""
    repair: str
    """How its files are made again."""

    def chips(self, written: Written) -> dict[str, str]:
        """The chips of an observation by composite; none where none were made."""
        made = self.composites if "png" in self.products else ()
        when = self.plot_id, written.year, written.doy
        return {c.name: chip_path(self.project_id, c.name, *when) for c in made}

    def problem(self, day: str, kind: str, file: str, problem: str, remedy: str) -> Problem:
        return Problem(self.project_id, self.plot_id, day, kind, file, problem, remedy)


def verify(
    project: Project | str | Path, plots: Plots = None, *, quick: bool = False
) -> pd.DataFrame:
    """Find what is missing or broken in a project, and what should not be there.

    Parameters
    ----------
    project
        A `Project`, or its folder.
    plots
        The plot list (CSV) or what `read_plots` made of it: all of its plots must be there. By
        default only the plots that the ledger knows are looked at.
    quick
        Compare names only, without opening a chip, a CSV, a table or a cube.

    Returns
    -------
    pandas.DataFrame
        A row per problem, by plot and date, what should not be there at the end; no rows where all
        is well. All text: ``project_id, plot_id, day, kind`` (one of `KINDS`), ``file`` (below the
        project folder), ``problem`` and ``remedy``.

        Every observation that the ledger says is written needs the files of the products that the
        plot was made with, and one without a chip its row of spectra alone. A CSV must hold the row
        of that observation, and a plot's table of spectra those of all of them and no others. A
        chip must be decoded as 8-bit RGB of the project's size, and the colour of its plot pixel
        must be the one that the values of the spectra have. A cube must hold the observations of
        the log with the pixels at the plot that log and spectra have, and chips whose shares of
        fill and of clear pixels are those of the log.

    Raises
    ------
    InputError, PlotListError
        The plot list is wrong.
    ProjectError, AccessError
        There is no project, or it can't be read.

    Examples
    --------
    ::

        problems = tx.verify(project)
        problems[["plot_id", "day", "kind", "file"]]
    """
    project = as_project(project)
    problems, settings, known = _of_all(project, quick)
    listed = None if plots is None or settings is None else project.listed(plots, _PLACED)
    problems += [] if listed is None else [*_of_list(known, listed)]
    days: Days = {}
    for lost in _lost(project, known):
        problems.append(lost)
        days[lost.project_id, lost.plot_id] = None
    with ThreadPoolExecutor(THREADS) as readers:
        check = partial(_of_plot, project.folder, settings, readers, quick)
        for plot, found, written in in_order(check, known.to_dict("records"), _PLOTS):
            problems += found
            days[plot.project_id, plot.plot_id] = written
    if settings is not None:
        problems += _strays(project, known, days)
    problems.sort(key=lambda problem: problem.kind == STRAY)
    return pd.DataFrame(problems, columns=list(COLUMNS))


def _of_all(project: Project, quick: bool) -> tuple[list[Problem], Settings | None, pd.DataFrame]:
    """What is wrong with files of all plots alike; the settings, None if unknown; the plots."""
    folder, problems = project.folder, []
    settings: Settings | None = None
    try:
        settings = project.settings
    except (DamagedSettingsError, AccessError) as error:
        _raise_if_passing(error)
        problem = str(error).partition(": ")[0].removeprefix(f"{folder.root}/{SETTINGS} ")
        problem = f"it {problem}, so that chips, cubes and strays are not looked at"
        problems.append(Problem("", "", "", BROKEN, SETTINGS, problem, PUT_BACK))
    damaged: list[str] = []
    known = by_id(read_ledger(folder, damaged))
    for file in damaged:
        problem = "the table of plots is damaged, and only what can be read of it is looked at"
        problems.append(Problem("", "", "", BROKEN, file, problem, REPAIR))
    try:
        read_listed(folder)
    except (ProjectError, AccessError) as error:
        _raise_if_passing(error)
        remedy = "Give the plot list: timesync-xr verify --plots PLOTS.csv --repair"
        problems.append(Problem("", "", "", BROKEN, LISTED, "it is damaged", remedy))
    for file in () if quick else damaged_items(folder):
        problem = "what a search brought is damaged"
        problems.append(Problem("", "", "", BROKEN, file, problem, f"{REPAIR} searches again"))
    for file in () if quick else damaged_headers(folder):
        problem, remedy = "kept headers are damaged: a run reads them anew", f"{REPAIR} removes it"
        problems.append(Problem("", "", "", BROKEN, file, problem, remedy))
    return problems, settings, known


def _raise_if_passing(error: TimesyncError) -> None:
    """Raise what is no matter of one file: a bucket that can't be reached."""
    if isinstance(error, AccessError) and not isinstance(error.__cause__, OSError):
        raise error


def _lost(project: Project, known: pd.DataFrame) -> Iterator[Problem]:
    """Plots that have a log, and no row in the ledger."""
    ids = {*known[["project_id", "plot_id"]].itertuples(index=False, name=None)}
    for folder in sorted(project.folder.names(LOGS)):
        for name in sorted(project.folder.names(f"{LOGS}/{folder}")):
            found = folder.removeprefix("prj_"), name.removeprefix("plot_").removesuffix(".csv")
            file = f"{LOGS}/{folder}/{name}"
            if found not in ids and not any(map(id_problem, found)) and file == log_path(*found):
                problem = "the ledger does not know this plot, which has a log"
                yield Problem(*found, "", NOT_DONE, file, problem, LIST)


_PLACED: Final = ["project_id", "plot_id", "x", "y"]
"""Columns that say where plots are."""


def _of_list(known: pd.DataFrame, plots: pd.DataFrame) -> Iterator[Problem]:
    """Plots of the list that the ledger does not know, or knows in another place."""
    made = {(p, n): (x, y) for p, n, x, y in known[_PLACED].itertuples(index=False)}
    for project_id, plot_id, *place in plots[_PLACED].itertuples(index=False):
        there = made.get((project_id, plot_id))
        if there is None:
            problem, remedy = "the plot is not in the ledger", "Make it: timesync-xr extract"
            yield Problem(project_id, plot_id, "", NOT_DONE, "", problem, remedy)
        elif there != tuple(place):
            raise InputError(
                f"plot {plot_id} of project {project_id} was made at x {there[0]}, y {there[1]}, "
                f"the list has it at {place[0]}, {place[1]}: give the list that the project was "
                "made from"
            )


def _of_plot(
    folder: Folder,
    settings: Settings | None,
    readers: ThreadPoolExecutor,
    quick: bool,
    row: dict[str, Any],
) -> tuple[_Plot, list[Problem], array[int] | None]:
    """All that is wrong with a plot of the ledger, and the days that were written."""
    ids, products = (row["project_id"], row["plot_id"]), tuple(row["products"].split(","))
    repair = RENDER if settings is not None and settings.rendered else REPAIR
    composites = () if settings is None else settings.composites
    plot = _Plot(*ids, products, composites, {}, repair)
    _LOG.info("checking project %s, plot %s", plot.project_id, plot.plot_id)
    try:
        log = read_log(folder, *ids)
    except DamagedLogError:
        return plot, [plot.problem("", BROKEN, log_path(*ids), DAMAGED_LOG, repair)], None
    other = miscounted(log, row)
    written = written_observations(log)
    problems: list[Problem] = []
    if settings is not None:
        chip = ChipGrid.around(settings.grid, row["x"], row["y"], settings.chip_size)
        plot, problems = _with_cube(folder, plot, log, chip, quick)
        problems += _elsewhere(plot, log, chip)
    if other:
        problems.append(plot.problem("", NOT_DONE, "", other, plot.repair))
    elif changed := [] if quick else other_than_log(row, log):
        problems.append(_changed_row(plot, changed))
    for failed in log[log["outcome"] == FAILED].to_dict("records"):
        problem = f"{failed['asset']}: {failed['cause']}"
        problems.append(plot.problem(failed["day"], FAILED_DAY, "", problem, failed["remedy"]))
    if row["status"] == NO_ITEMS:
        problem = "no item that can be read was found for it"
        problems.append(plot.problem("", NOT_DONE, "", problem, f"{CHECK}, and --refresh"))
    elif row["status"] != COMPLETE and not (log["outcome"] == FAILED).any():
        problems.append(
            plot.problem("", NOT_DONE, "", "the ledger has it as incomplete", plot.repair)
        )
    begun = written_observations(log, BEGUN)
    bare = replace(plot, composites=())  # of what is without a chip, none is looked for
    finders, of_table = _finders(folder, plot, written, begun, quick)
    problems += of_table
    for of, part in ((plot, _with_chips(written)), (bare, _without_chips(written))):
        check = (
            partial(_missing_csvs, folder, of)
            if quick
            else partial(_wrong, folder, settings, of, finders)
        )
        for found in readers.map(check, chunks(part, _CHUNK)):
            problems += found
    if begun and row["status"] == COMPLETE:
        days_begun = counted(len(begun), "day is begun", "days are begun")
        problem = f"it is complete by the ledger, and {days_begun} by its log"
        problems.append(plot.problem("", NOT_DONE, "", problem, REPAIR))
    problems += _by_name(folder, plot, _with_chips(written), begun)
    problems.sort(key=lambda problem: (problem.day, problem.file))
    days = sorted(w.year * 1000 + w.doy for w in [*written, *begun])
    return plot, problems, array("I", days)


def _with_chips(written: list[Written]) -> list[Written]:
    return [of for of in written if of.has_chip]


def _without_chips(written: list[Written]) -> list[Written]:
    return [of for of in written if not of.has_chip]


def _changed_row(plot: _Plot, changed: list[str]) -> Problem:
    """The problem of a plot whose row of the ledger is not that of its log in some columns."""
    if "log_checksum" in changed:
        file = log_path(plot.project_id, plot.plot_id)
        return plot.problem("", BROKEN, file, "its checksum is not that of the ledger", plot.repair)
    problem = f"the ledger has another {', '.join(changed)} than the log"
    return plot.problem("", NOT_DONE, "", problem, plot.repair)


def _elsewhere(plot: _Plot, log: pd.DataFrame, chip: ChipGrid) -> Iterator[Problem]:
    """Whether the log is about other pixels than the ledger."""
    if (log["chip"] != str(chip)).any():
        file = log_path(plot.project_id, plot.plot_id)
        held = log.loc[log["chip"] != str(chip), "chip"].iloc[0]
        problem = f"it is about the pixels {held}, the ledger has the plot at {chip}"
        yield plot.problem("", BROKEN, file, problem, plot.repair)


def _with_cube(
    folder: Folder, plot: _Plot, log: pd.DataFrame, chip: ChipGrid, quick: bool
) -> tuple[_Plot, list[Problem]]:
    """The plot with what its cube has at the plot, and what is wrong with the cube.

    While something failed or is begun there is none: it waits for what is missing.
    """
    if "zarr" not in plot.products or log["outcome"].isin([FAILED, BEGUN]).any():
        return plot, []
    file = cube_path(plot.project_id, plot.plot_id)
    if not folder.present([f"{file}/{CUBE_MARK}"]):
        return plot, [plot.problem("", MISSING, file, "the cube is missing", plot.repair)]
    if quick:
        return plot, []
    ids = Plot(plot.project_id, plot.plot_id, 0, 0)
    try:
        pixels = plot_pixels_of_cube(folder, ids, log, chip)
    except BrokenCubeError as error:
        return plot, [plot.problem("", BROKEN, file, str(error), plot.repair)]
    return replace(plot, pixels=pixels), []


def _finders(
    folder: Folder, plot: _Plot, written: list[Written], begun: list[Written], quick: bool
) -> tuple[list[Find], list[Problem]]:
    """What finds the rows of a plot, in CSVs and in its table; and what is wrong with the table."""
    ids = plot.project_id, plot.plot_id
    finders = [finder(folder, *ids, ["csv"])] if "csv" in plot.products else []
    if "spectra" not in plot.products:
        return finders, []
    file = table_path(*ids)
    if quick:
        is_there = not written or bool(folder.present([file]))
        return [], [] if is_there else [plot.problem("", MISSING, file, NO_FILE, plot.repair)]
    try:
        table = read_table(folder, *ids)
    except FileNotFoundError:
        gone = [plot.problem("", MISSING, file, NO_FILE, plot.repair)] if written else []
        return finders, gone
    except DamagedError as error:
        return finders, [plot.problem("", BROKEN, file, str(error), plot.repair)]
    known = {(of.year, of.doy) for of in [*written, *begun]}
    strays = {*zip(table["year"], table["doy"], strict=True)} - known
    return [*finders, finder_in(table, *ids)], [
        plot.problem(
            f"{pd.Timestamp(year, 1, 1) + pd.Timedelta(doy - 1, 'D'):%Y-%m-%d}",
            BROKEN,
            file,
            f"its row of this day: {NOT_WRITTEN}",
            plot.repair,
        )
        for year, doy in strays
    ]


def _missing_csvs(folder: Folder, plot: _Plot, part: list[Written]) -> list[Problem]:
    """CSVs that are not there."""
    path = partial(spectra_path, plot.project_id, plot.plot_id)
    made = part if "csv" in plot.products else []
    wanted = {path(written.year, written.doy): written.day for written in made}
    gone = wanted.keys() - folder.present(wanted)
    return [plot.problem(wanted[file], MISSING, file, NO_FILE, plot.repair) for file in gone]


def _wrong(
    folder: Folder,
    settings: Settings | None,
    plot: _Plot,
    finders: list[Find],
    part: list[Written],
) -> list[Problem]:
    """Rows that are not there, rows and chips that are not what they should be."""
    problems = []
    colours: dict[tuple[str, str], tuple[int, ...]] = {}
    for find in finders:
        rows = find(part)
        for row in rows:
            if row.problem:
                kind = MISSING if row.is_missing else BROKEN
                problem = plot.problem(row.of.day, kind, row.file, row.problem, plot.repair)
                problems.append(problem)
        good = [row for row in rows if not row.problem]
        spectra = parse_rows(row.line for row in good)
        problems += _other_than_cube(plot, good, spectra)
        if settings is not None:
            colours = _colours(good, spectra, settings) | colours
    if settings is None:
        return problems
    for written in part:
        for name, file in plot.chips(written).items():
            if why := _chip_problem(folder, settings, file, colours.get((written.day, name))):
                problems.append(plot.problem(written.day, BROKEN, file, why, plot.repair))
    return problems


def _other_than_cube(plot: _Plot, good: list[Row], spectra: pd.DataFrame) -> Iterator[Problem]:
    """Good rows whose values are not those that the cube has at the plot."""
    values = spectra[[*CSV_BANDS, "qa"]].to_numpy().tolist()
    for row, found in zip(good, map(tuple, values), strict=True):
        held = plot.pixels.get(row.of.day, found)
        if held != found:
            problem = f"its values are {found}, in the cube {held}"
            yield plot.problem(row.of.day, BROKEN, row.file, problem, plot.repair)


def _colours(
    good: list[Row], spectra: pd.DataFrame, settings: Settings
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Colour of the plot pixel by day and composite, as the good rows have it.

    None where every plot has limits of its own, which the project does not keep.
    """
    colours = plot_colours(spectra, () if settings.stretch.over_plots else settings.composites)
    return {
        (row.of.day, name): tuple(colour.tolist())
        for name, of_rows in colours.items()
        for row, colour in zip(good, of_rows, strict=True)
    }


def _chip_problem(
    folder: Folder, settings: Settings, file: str, colour: tuple[int, ...] | None
) -> str:
    """Why a chip is not what it should be; empty for one that is not there, see `_by_name`."""
    try:
        data = read_file(folder, file)
        found = plot_pixel_of_png(data, *settings.chip_size)
    except FileNotFoundError:
        return ""
    except DamagedError as error:
        return str(error)
    if colour is None or found == colour:
        return ""
    return f"the plot pixel is {found}, but the values of its row have the colour {colour}"


def _by_name(
    folder: Folder, plot: _Plot, written: list[Written], begun: list[Written]
) -> Iterator[Problem]:
    """Chips that are not there, and what lies among them and is none that was written.

    What is there of days that are begun is no stray: the plot is not done.
    """
    chips = {file: w.day for w in written for file in plot.chips(w).values()}
    places = [chips_path(plot.project_id, c.name, plot.plot_id) for c in plot.composites]
    there = {f"{place}/{name}" for place in places for name in folder.names(place)}
    for file in chips.keys() - there:
        yield plot.problem(chips[file], MISSING, file, NO_FILE, plot.repair)
    expected = {file for w in begun for file in plot.chips(w).values()}
    for file in there - chips.keys() - expected:
        yield plot.problem("", STRAY, file, NOT_WRITTEN, REMOVE)
