"""Series of a whole project as tables: values with their flags and indices, and a year a column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import check_choice
from ..landsat import CSV_BANDS, GRADES
from ..spectral.annual import KEY, check_rule, selected_of_year
from ..spectral.indices import NAMES
from ..spectral.outliers import is_outlier
from ..spectral.series import index_table
from ..storage.folder import Folder
from .log import MADE, WRITTEN, read_log
from .rows import PlotRows, read_rows
from .tables import decode, empty_observations

FLAGS: Final = (
    "qa_pixel", "is_clear", "valid_range", "bands_filled", "strict_clear", "fmask", "grade",
)  # fmt: skip
"""Columns of a series that its observation's log tells."""

SERIES_COLUMNS: Final = (
    "project_id", "plot_id", "day", "ordinal", "year", "doy", "sensor", *CSV_BANDS,
    "qa", *FLAGS, "outlier", *NAMES,
)  # fmt: skip
"""Columns of `Project.series`."""

VALUES: Final = (*NAMES, *CSV_BANDS)
"""What `Project.annual_index` can be of."""

_IDS: Final = ["project_id", "plot_id"]


def flagged_rows(folder: Folder, plot: PlotRows) -> pd.DataFrame:
    """The rows of a plot that can be read, with `FLAGS` and the day as its log tells them.

    ``has_chip`` tells which of them are not without a chip.
    """
    log = decode(read_log(folder, *plot.ids), *plot.ids)
    log["has_chip"] = log["outcome"] == WRITTEN
    told = log.loc[log["outcome"].isin(MADE), ["sensor", "date", "day", "has_chip", *FLAGS]]
    return plot.table().merge(told, on=["sensor", "date"])


def ranked_rows(folder: Folder, plot: PlotRows) -> pd.DataFrame:
    """`flagged_rows` in which every row has a grade: 9 where the log tells none."""
    table = flagged_rows(folder, plot)
    return table.assign(grade=table["grade"].fillna(GRADES["no data"]).astype("uint8"))


def series_tables(folder: Folder, plots: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The series of each plot of a ledger that was made with spectra, see `Project.series`."""
    for plot in read_rows(folder, plots):
        yield series_of(flagged_rows(folder, plot))


def series_of(rows: pd.DataFrame) -> pd.DataFrame:
    """`flagged_rows` as a series, in time order."""
    days = pd.to_datetime(rows["day"], format="%Y-%m-%d")
    table = rows.assign(
        ordinal=np.array([day.toordinal() for day in days], dtype=np.int64),
        outlier=is_outlier(rows),
        **index_table(rows),
    )
    order = ["ordinal", "sensor"]
    return table.sort_values(order, kind="stable", ignore_index=True)[list(SERIES_COLUMNS)]


def empty_series() -> pd.DataFrame:
    """A series without rows, with the types of all."""
    nothing = PlotRows("", "", []).table()
    return series_of(nothing.join(empty_observations()[["day", *FLAGS]]))


def annual_index(
    folder: Folder, plots: pd.DataFrame, index: str, rule: str, **options: Any
) -> pd.DataFrame:
    """A row per plot and a column per year, see `Project.annual_index`."""
    check_index(index)
    check_rule(rule)
    found = [_annual(folder, plot, index, rule, options) for plot in read_rows(folder, plots)]
    if not any(map(len, found)):
        return plots[_IDS].reset_index(drop=True)
    chosen = pd.concat([table for table in found if len(table)])
    wide = chosen.pivot(index=_IDS, columns="year", values="value").astype(float)
    years = range(int(wide.columns.min()), int(wide.columns.max()) + 1)
    wide = wide.reindex(pd.MultiIndex.from_frame(plots[_IDS]), columns=list(years))
    return wide.rename(columns=str).rename_axis(columns=None).reset_index()


def check_index(index: str) -> None:
    """`InputError` for what is neither an index nor a band."""
    check_choice(index, VALUES, "index")


def _annual(
    folder: Folder, plot: PlotRows, index: str, rule: str, options: dict[str, Any]
) -> pd.DataFrame:
    """The value of each year of a plot; missing where even the best is not strictly clear."""
    rows = ranked_rows(folder, plot)
    chosen = rows[selected_of_year(rows, rule=rule, **options)]
    values = index_table(chosen, [index])[index] if index in NAMES else chosen[index]
    clear = chosen["strict_clear"].eq(True).fillna(False).to_numpy(bool)
    return chosen[list(KEY)].assign(value=values.astype(float).where(clear))
