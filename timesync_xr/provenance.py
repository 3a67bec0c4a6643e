"""Where every observation of a project comes from, what QA_PIXEL says of it, what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from .access import Access
from .account import COLUMNS, FILL_AT_PLOT, PIXELS, WHY, read_kept_account, with_numbers
from .contents import Contents, in_order, open_contents
from .folder import OUT_ACCESS
from .landsat import QA_CONFIDENCE, QA_FILL, QA_FLAGS
from .plots import read_plots
from .radiometry import contract_qa, is_clear, qa_flags, qa_grade
from .tables import table_file

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
        doy=day.dt.dayofyear.astype("int16"),
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
