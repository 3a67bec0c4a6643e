"""Statistics of the pixels around each plot, for all plots of a project that have a cube."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from .access import Access
from .contents import Contents, has_product, open_contents
from .cubes import kept_cube
from .folder import OUT_ACCESS
from .plots import Plot
from .provenance import Plots, chosen_plots
from .tables import table_file
from .window import window_statistics

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
        doy=time.dayofyear.astype(np.int16),
    )
    return table[list(WINDOW_TABLE_COLUMNS)]
