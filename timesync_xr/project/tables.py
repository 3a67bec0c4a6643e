"""Where every observation of a project comes from, what QA_PIXEL says of it, what became of it.

The choice of one observation a year, for all plots of a project.

Statistics of the pixels around each plot, for all plots of a project that have a cube.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from ..landsat import QA_CONFIDENCE, QA_FILL, QA_FLAGS
from ..plots import Plot, read_plots
from ..spectral.annual import TARGET_DAY, annual
from ..spectral.quality import contract_qa, is_clear, qa_flags, qa_grade
from ..spectral.series import window_statistics
from ..storage.access import Access
from ..storage.folder import OUT_ACCESS
from ..storage.tables import table_file
from .cubes import kept_cube
from .log import COLUMNS, FILL_AT_PLOT, PIXELS, WHY, WRITTEN, read_kept_account, with_numbers
from .project import Contents, PlotRows, has_product, in_order, open_contents, read_rows

FLAGS: Final = tuple(f"qa_{name}" for name in QA_FLAGS)
"""Columns of the flags of QA_PIXEL at the plot."""

CONFIDENCES: Final = tuple(f"qa_{name}_confidence" for name in QA_CONFIDENCE)
"""Columns of its confidences: 0 none, 1 low, 2 medium, 3 high."""

OBSERVATION_COLUMNS: Final = (
    "project_id",
    "plot_id",
    "day",
    "year",
    "doy",
    *[name for name in COLUMNS if name not in ("day", *PIXELS, *WHY)],
    "qa_pixel",
    *FLAGS,
    *CONFIDENCES,
    "is_clear",
    "grade",
    "qa",
    *PIXELS[1:],
    *WHY,
)
"""Columns of `observation_table`."""

_READ_AHEAD = 8
"""Accounts that are read at the same time."""

Plots = pd.DataFrame | str | Path | None
"""A plot list (a table of `read_plots`, or its CSV), or None for all plots of a project."""


def observation_table(
    project: str | Path, plots: Plots = None, access: Access = OUT_ACCESS
) -> pd.DataFrame:
    """All observations of a project: their items, QA_PIXEL at the plot, and what became of them.

    Parameters
    ----------
    project
        A project folder, or an address like ``s3://bucket/prefix``. A run may be at work on it.
    plots
        A plot list, to take its plots only; by default all plots of the ledger.
    access
        Profile, endpoint and region of S3.

    Returns
    -------
    pandas.DataFrame
        A row per observation, written or not, and per item that is part of none; by plot
        (`timesync_xr.ids.id_order`), within it by time. Columns `OBSERVATION_COLUMNS`:

        - project_id, plot_id, day (``YYYY-MM-DD``, UTC), year, doy; with them rows of the contract
          (`read_spectra`) find theirs among those whose outcome is ``written``
        - date (verbatim from the item), sensor, hv, item_ids (all records, blank between),
          processed, scene_count and cloud_cover (per cent) of the item of the plot's tile
        - outcome: see `timesync_xr.account.OUTCOMES`; asset, cause and remedy: why not written
        - qa_pixel: the raw value at the plot; its flags (``qa_cloud`` ...) and confidences
          (``qa_cloud_confidence`` ...), see `qa_flags`; is_clear, see there; grade, see
          `qa_grade`; qa, see `contract_qa`
        - fill_share, clear_share: shares of the chip's pixels, 0 to 1

        What comes from pixels is missing where none was read. An observation that is known to be
        fill at the plot without reading has the flags of fill, and no qa_pixel.

    Raises
    ------
    ProjectError, InputError
        There is no project, or the plot list can't be read.
    """
    contents = open_contents(project, access)
    return pd.concat([empty_table(), *observation_tables(contents, plots)], ignore_index=True)


def observation_tables(contents: Contents, plots: Plots = None) -> Iterator[pd.DataFrame]:
    """The `observation_table` of one plot after the other, for projects of any size."""

    def read(plot: tuple[str, str]) -> pd.DataFrame:
        return decode(read_kept_account(contents.folder, *plot), *plot)

    known = chosen_plots(contents, plots)
    yield from in_order(read, zip(known["project_id"], known["plot_id"], strict=True), _READ_AHEAD)


def write_observations(
    project: str | Path, out: str | Path, plots: Plots = None, access: Access = OUT_ACCESS
) -> int:
    """Write the `observation_table` to a .csv or .parquet file; return its number of rows.

    Goes plot by plot, so that memory does not grow with the project. ``out`` may be in a bucket.
    """
    contents = open_contents(project, access)
    rows = 0
    with table_file(out, empty_table(), access) as append:
        for table in observation_tables(contents, plots):
            append(table)
            rows += len(table)
    return rows


def chosen_plots(contents: Contents, plots: Plots) -> pd.DataFrame:
    """The ledger's rows of the plots of a list, or all of them."""
    if plots is None:
        return contents.plots
    return contents.plots[_is_in(contents.plots, _listed(contents, plots))]


def plots_not_there(contents: Contents, plots: Plots) -> pd.DataFrame:
    """The plots of a list that the ledger does not know: project_id and plot_id."""
    if plots is None:
        return contents.plots.iloc[:0]
    listed = _listed(contents, plots)
    return listed[~_is_in(listed, contents.plots)]


def decode(account: pd.DataFrame, project_id: str, plot_id: str) -> pd.DataFrame:
    """The account of a plot, all text as it is kept, as an `observation_table`."""
    table = with_numbers(account)
    day = pd.to_datetime(table["day"], format="%Y-%m-%d")
    fill = (table["outcome"] == FILL_AT_PLOT) & table["qa_pixel"].isna()
    qa = table["qa_pixel"].mask(fill, QA_FILL)
    table = table.assign(
        project_id=project_id,
        plot_id=plot_id,
        year=day.dt.year.astype("int16"),
        doy=day.dt.day_of_year.astype("int16"),
        **_meaning(qa),
    )
    return table[list(OBSERVATION_COLUMNS)]


def empty_table() -> pd.DataFrame:
    """An `observation_table` without rows, with the types of all."""
    return decode(pd.DataFrame(columns=list(COLUMNS), dtype=str), "", "")


def _meaning(qa: pd.Series) -> dict[str, pd.Series]:
    """What QA_PIXEL says, a column each; missing where the value is."""
    known = qa.notna().to_numpy()
    raw = qa.fillna(0).to_numpy(np.uint16)
    flags = qa_flags(xr.DataArray(raw, dims="n"))
    values = {f"qa_{name}": part.to_numpy() for name, part in flags.items()}
    values |= {"is_clear": is_clear(raw), "grade": qa_grade(raw), "qa": contract_qa(raw)}
    types = dict.fromkeys(values, "UInt8") | dict.fromkeys((*FLAGS, "is_clear"), "boolean")
    return {
        name: pd.Series(part, index=qa.index, dtype=types[name]).where(known)
        for name, part in values.items()
    }


def _listed(contents: Contents, plots: pd.DataFrame | str | Path) -> pd.DataFrame:
    listed = plots if isinstance(plots, pd.DataFrame) else read_plots(plots, contents.region)
    return listed[["project_id", "plot_id"]]


def _is_in(plots: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    key = ["project_id", "plot_id"]
    return pd.MultiIndex.from_frame(plots[key]).isin(pd.MultiIndex.from_frame(others[key]))


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


WINDOW_TABLE_COLUMNS: Final = (
    "project_id",
    "plot_id",
    "day",
    "year",
    "doy",
    "sensor",
    "band",
    "mean",
    "std",
    "valid",
)
"""Columns of `window_tables`."""


def window_tables(contents: Contents, size: int = 3, plots: Plots = None) -> Iterator[pd.DataFrame]:
    """The `window_statistics` of one plot after the other: `WINDOW_TABLE_COLUMNS`.

    Plots without a cube are left out; see `without_cube`. ``day`` is ``YYYY-MM-DD`` in UTC.
    """
    known = chosen_plots(contents, plots)
    for row in known[has_product(known, "zarr")].to_dict("records"):
        plot = Plot(row["project_id"], row["plot_id"], row["x"], row["y"])
        with kept_cube(contents.folder, plot) as cube:
            if cube is not None:
                yield _of_plot(window_statistics(cube, size), plot.project_id, plot.plot_id)


def write_windows(
    project: str | Path,
    out: str | Path,
    size: int = 3,
    plots: Plots = None,
    access: Access = OUT_ACCESS,
) -> int:
    """Write the tables of `window_tables` to one .csv or .parquet file; return its rows.

    Parameters as those of `timesync_xr.provenance.write_observations`; ``size`` is that of
    `window_statistics`.
    """
    contents = open_contents(project, access)
    rows = 0
    with table_file(out, empty_windows(), access) as append:
        for table in window_tables(contents, size, plots):
            append(table)
            rows += len(table)
    return rows


def without_cube(contents: Contents, plots: Plots = None) -> pd.DataFrame:
    """The ledger's rows of plots that were made without the product zarr."""
    known = chosen_plots(contents, plots)
    return known[~has_product(known, "zarr")]


def empty_windows() -> pd.DataFrame:
    """A table of `window_tables` without rows, with the types of all."""
    return pd.DataFrame(columns=list(WINDOW_TABLE_COLUMNS), dtype=object).astype(
        {"year": "int16", "doy": "int16", "mean": "float", "std": "float", "valid": "int64"}
    )


def _of_plot(statistics: pd.DataFrame, project_id: str, plot_id: str) -> pd.DataFrame:
    time = statistics["time"].dt
    table = statistics.assign(
        project_id=project_id,
        plot_id=plot_id,
        day=time.strftime("%Y-%m-%d"),
        year=time.year.astype(np.int16),
        doy=time.day_of_year.astype(np.int16),
    )
    return table[list(WINDOW_TABLE_COLUMNS)]
