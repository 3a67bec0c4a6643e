"""What lies in a project and should not be there."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from .contents import Contents, has_product
from .problems import NOT_WRITTEN, REMOVE, STRAY, UNKNOWN, Problem

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
