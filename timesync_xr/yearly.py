"""The choice of one observation a year, for all plots of a project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from .access import Access
from .account import WRITTEN, read_kept_account
from .choice import TARGET_DAY, annual
from .contents import Contents, PlotRows, open_contents, read_rows
from .folder import OUT_ACCESS
from .provenance import Plots, chosen_plots, decode


def annual_of_project(
    project: str | Path,
    plots: Plots = None,
    *,
    target_day: int = TARGET_DAY,
    overrides: pd.DataFrame | None = None,
    rule: str = "contract",
    access: Access = OUT_ACCESS,
) -> pd.DataFrame:
    """The observation of each plot and year that the server chooses, and the years without one.

    ``project``, ``plots`` and ``access`` are those of `observation_table`, everything else is that
    of `annual`. What was written is read: values from the files of the contract, and the grade of
    each from its account. Plots by `timesync_xr.ids.id_order`; a plot without any
    observation has no rows.
    """
    contents = open_contents(project, access)
    contents = replace(contents, plots=chosen_plots(contents, plots))
    options = {"target_day": target_day, "overrides": overrides, "rule": rule}
    nothing = annual(_graded(contents, PlotRows("", "", [])), **options)  # type: ignore[arg-type]
    parts = [annual(table, **options) for table in _tables(contents)]  # type: ignore[arg-type]
    return pd.concat([nothing, *parts], ignore_index=True)


def _tables(contents: Contents) -> Iterator[pd.DataFrame]:
    for plot in read_rows(contents):
        if plot.rows:
            yield _graded(contents, plot)


def _graded(contents: Contents, plot: PlotRows) -> pd.DataFrame:
    """The rows of a plot with the column grade."""
    account = decode(
        read_kept_account(contents.folder, plot.project_id, plot.plot_id),
        plot.project_id,
        plot.plot_id,
    )
    grades = account.loc[account["outcome"] == WRITTEN, ["year", "doy", "grade"]]
    return plot.table().merge(grades, on=["year", "doy"])
