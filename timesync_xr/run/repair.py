"""What `verify` found missing or broken is made again, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..catalog.archive import Archive
from ..catalog.kept import ITEMS, forget_items
from ..cube.selection import Selection
from ..errors import InputError, ProjectError
from ..lists import expect_table
from ..plots import Plot
from ..project.files import CUBE_MARK, LISTED, PLOTS, RECENT, cube_path, log_path, observation_files
from ..project.ledger import Ledger, mend_ledger
from ..project.places import mend_listed
from ..project.products import FORMATS, ChipsPerYear, Products
from ..project.project import Plots, Project, as_project
from ..project.spectra import PlotTable
from ..project.verify import ARCHIVE, COLUMNS, KINDS, STRAY
from ..raster.headers import HEADERS
from .extract import extract
from .summary import Summary

_PLOT = ["project_id", "plot_id"]
_MADE_WITH = ["datetime", "products", "filters"]


def repair(
    project: Project | str | Path,
    problems: pd.DataFrame,
    archive: Archive | None = None,
    plots: Plots = None,
    *,
    workers: int = 1,
    progress: bool = True,
) -> list[Summary]:
    """Make again what a table of `verify` names, by the settings that each plot was made with.

    The plots in question are marked as incomplete, then all files of a broken day are removed, and
    a damaged log; `extract` makes what they lack. Other days and plots stay as they are. What
    should not be there (kind stray) is left alone: that is for you to judge. A damaged table of
    plots is written anew of the rows that can be read (it itself is kept in ``ledger/damaged``),
    and all of them are looked at; damaged items are searched anew.

    Parameters
    ----------
    project
        A `Project`, or its folder.
    problems
        What `verify` returned, or some of its rows.
    archive
        Where observations come from, as in `extract`.
    plots
        The list that was given to `verify`; its plots that are not in the ledger are made as most
        plots of the project were.
    workers, progress
        As in `extract`.

    Returns
    -------
    list of Summary
        What `extract` did: one for each combination of settings. Verify again to know that all is
        well now.

    Raises
    ------
    ProjectError
        There is no project, or it was made by `render`, or a run is at work on it.
    InputError, CatalogError, AccessError
        As in `extract`; what was removed is made by the next run.

    Examples
    --------
    ::

        problems = tx.verify(project)
        tx.repair(project, problems, archive)
    """
    project = as_project(project)
    remedy = "give what timesync_xr.verify found"
    expect_table(problems, (*_PLOT, "kind", "file"), remedy)
    settings = project.settings
    if settings.rendered:
        raise ProjectError(
            f"{project.place} was made of cubes: make it again by timesync-xr render, with another "
            "--out"
        )
    wanted = problems[problems["kind"] != STRAY]
    is_mended = _mend(project, wanted, plots)
    known, wanted = project.plots, wanted[wanted["plot_id"] != ""]
    chosen = known if is_mended else known.merge(wanted[_PLOT].drop_duplicates(), on=_PLOT)
    _take_out(project, chosen, wanted)
    parts = [chosen, _new(project, known, plots, wanted)]
    tables = pd.concat([part for part in parts if len(part)] or parts[:1]).groupby(_MADE_WITH)
    summaries = []
    for made_with, table in tables:
        datetime, formats, filters = map(str, made_with)
        per_year = ChipsPerYear.parse(filters, table[_PLOT].itertuples(index=False, name=None))
        made = formats, settings.grid, settings.chip_size, settings.composites, per_year
        products = Products(*made)
        select = Selection.parse(filters, datetime)
        listed = table.assign(offset=0.0)
        summary = extract(
            listed, project, archive, select, products, workers=workers, progress=progress
        )
        summaries.append(summary)
    return summaries


def read_problems(path: str | Path) -> pd.DataFrame:
    """A table of `verify` that was kept as CSV; `InputError` for any other file.

    ::

        tx.verify(project).to_csv("problems.csv", index=False)
        read_problems("problems.csv")
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}. Check the path") from None
    except ValueError:
        table = pd.DataFrame()
    if tuple(table.columns) != COLUMNS or not table["kind"].isin(KINDS).all():
        raise InputError(
            f"{path} is no table of problems: give what timesync-xr verify --table has written"
        )
    return table


def _mend(project: Project, wanted: pd.DataFrame, plots: Plots) -> bool:
    """Mend what is of all plots alike; whether the table of plots was damaged."""
    folder, files = project.folder, wanted["file"]
    with folder.lock():
        for file in files[files.str.startswith(f"{ITEMS}/")]:
            forget_items(folder, file)
        for file in files[files.str.startswith(f"{HEADERS}/")]:
            folder.remove(file)
        is_damaged = bool((files == PLOTS).any() or files.str.startswith(f"{RECENT}/").any())
        if is_damaged:
            mend_ledger(folder)
        if plots is not None and (files == LISTED).any():
            mend_listed(folder, project.listed(plots, ()))
    return is_damaged


def _take_out(project: Project, chosen: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Mark the plots; then remove the files of broken days, broken cubes and broken logs."""
    folder, names = project.folder, [c.name for c in project.settings.composites]
    wanted = wanted.merge(chosen[_PLOT].drop_duplicates(), on=_PLOT)  # no other is made again
    with folder.lock():
        ledger = Ledger(folder)
        ledger.reopen(Plot(*row) for row in chosen[[*_PLOT, "x", "y"]].itertuples(index=False))
        days = wanted.loc[wanted["day"] != "", [*_PLOT, "day"]].drop_duplicates()
        for project_id, plot_id, day in days.itertuples(index=False):
            plot = Plot(project_id, plot_id, 0, 0)
            for path in observation_files(plot, day, FORMATS, names):
                folder.remove(path)
        for (project_id, plot_id), rows in days.groupby(_PLOT):
            plot = Plot(str(project_id), str(plot_id), 0, 0)
            PlotTable(folder, plot, wanted=True).drop(rows["day"])
        for file in wanted.loc[wanted["file"].str.endswith(".zarr"), "file"]:
            folder.remove_tree(file, CUBE_MARK)
        changed = wanted.loc[wanted["kind"] == ARCHIVE, _PLOT]
        for ids in changed.drop_duplicates().itertuples(index=False):
            folder.remove_tree(cube_path(*ids), CUBE_MARK)
        logs = {log_path(*ids) for ids in wanted[_PLOT].itertuples(index=False)}
        for file in logs.intersection(wanted["file"]):
            folder.remove(file)


def _new(project: Project, known: pd.DataFrame, plots: Plots, wanted: pd.DataFrame) -> pd.DataFrame:
    """Plots of the list that the ledger does not know, with what most plots were made with."""
    if plots is None:
        return known.head(0)
    new = project.listed(plots, [*_PLOT, "x", "y"]).merge(wanted[_PLOT].drop_duplicates(), on=_PLOT)
    ids = pd.MultiIndex.from_frame(known[_PLOT])
    new = new[~pd.MultiIndex.from_frame(new[_PLOT]).isin(ids)]
    usual = known[_MADE_WITH].value_counts()
    made_with = usual.index[0] if len(usual) else ("1982-01-01/..", "png,csv", "")
    return new[[*_PLOT, "x", "y"]].assign(**dict(zip(_MADE_WITH, made_with, strict=True)))
