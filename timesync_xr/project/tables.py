"""Tables of a whole project: all observations, the choice of each year, the pixels around plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import counted
from ..landsat import CIRRUS_SENSORS, FMASK, GRADES, QA_CONFIDENCE, QA_FILL, QA_FLAGS
from ..plots import Plot
from ..spectral.annual import KEY, NONE_AT_ALL, annual
from ..spectral.quality import contract_qa, fmask, is_clear, qa_flags, qa_grade
from ..spectral.series import window_statistics
from ..storage.folder import Folder
from .cubes import DamagedCubeError, kept_cube
from .ledger import COMPLETE
from .log import (
    COLUMNS,
    FAILED,
    FILL_AT_PLOT,
    MADE,
    PIXELS,
    READ,
    SUPERSEDED,
    WHY,
    empty_log,
    is_in_cube,
    read_log,
    with_numbers,
)
from .rows import PlotRows, has_product, in_order, kept_log, read_rows, tell_left_out

FLAGS: Final = tuple(f"qa_{name}" for name in QA_FLAGS)
"""Columns of the flags of QA_PIXEL at the plot."""

CONFIDENCES: Final = tuple(f"qa_{name}_confidence" for name in QA_CONFIDENCE)
"""Columns of its confidences: 0 none, 1 low, 3 high, and 2 medium of cloud."""

OBSERVATION_COLUMNS: Final = (
    "project_id",
    "plot_id",
    "day",
    "year",
    "doy",
    *[name for name in COLUMNS if name not in ("day", *PIXELS, *READ, *WHY, "kept", "chip")],
    "qa_pixel",
    *FLAGS,
    *CONFIDENCES,
    "is_clear",
    "valid_range",
    "bands_filled",
    "strict_clear",
    "fmask",
    "grade",
    "qa",
    "fill_share",
    "clear_share",
    "checksum",
    "collection",
    *READ,
    *WHY,
)
"""Columns of `Project.observations`."""

_READ_AHEAD = 8
"""Accounts that are read at the same time."""


def observation_tables(
    folder: Folder, plots: pd.DataFrame, collection: str
) -> Iterator[pd.DataFrame]:
    """The observations of each plot of a ledger, see `Project.observations`."""

    def read(row: dict[Any, Any]) -> tuple[tuple[str, str], pd.DataFrame, str]:
        plot, (log, problem) = (row["project_id"], row["plot_id"]), kept_log(folder, row)
        return plot, decode(log, *plot, collection), problem

    for plot, table, problem in in_order(read, plots.to_dict("records"), _READ_AHEAD):
        tell_left_out(*plot, [problem] if problem else [])
        yield table


def joined(empty: pd.DataFrame, tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other, with the columns and types of an empty one."""
    return pd.concat([empty, *tables], ignore_index=True)


def decode(log: pd.DataFrame, project_id: str, plot_id: str, collection: str = "") -> pd.DataFrame:
    """The log of a plot, all text as it is kept, as a table of its observations."""
    table = with_numbers(log)
    day = pd.to_datetime(table["day"], format="%Y-%m-%d")
    fill = (table["outcome"] == FILL_AT_PLOT) & table["qa_pixel"].isna()
    qa = table["qa_pixel"].mask(fill, QA_FILL)
    table = table.assign(
        project_id=project_id,
        plot_id=plot_id,
        collection=collection,
        year=day.dt.year.astype("int32"),
        doy=day.dt.day_of_year.astype("int32"),
        **_meaning(table, qa),
    )
    return table[list(OBSERVATION_COLUMNS)]


def empty_observations() -> pd.DataFrame:
    """A table of observations without rows, with the types of all."""
    return decode(pd.DataFrame(columns=list(COLUMNS), dtype=str), "", "")


def _meaning(table: pd.DataFrame, qa: pd.Series) -> dict[str, pd.Series]:
    """What QA_PIXEL and the bands at the plot say, a column each; missing where it is not known."""
    known = qa.notna().to_numpy()
    raw = qa.fillna(0).to_numpy(np.uint16)
    flags = qa_flags(xr.DataArray(raw, dims="n"))
    values = {f"qa_{name}": part.to_numpy() for name, part in flags.items()}
    holed = table["bands_filled"].gt(0).fillna(False).to_numpy(bool)
    values |= {
        "is_clear": is_clear(raw),
        "fmask": np.where(holed, FMASK["no data"], fmask(raw)),
        "grade": np.where(holed, GRADES["no data"], qa_grade(raw)),
        "qa": contract_qa(raw),
    }
    types = dict.fromkeys(values, "UInt8") | dict.fromkeys((*FLAGS, "is_clear"), "boolean")
    columns = {
        name: pd.Series(part, index=qa.index, dtype=types[name]).where(known)
        for name, part in values.items()
    }
    has_band = table["sensor"].isin(CIRRUS_SENSORS)
    for name in ("qa_cirrus", "qa_cirrus_confidence"):
        columns[name] = columns[name].where(has_band)
    return columns | {"strict_clear": columns["is_clear"] & table["valid_range"]}


def annual_table(folder: Folder, plots: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """The choices of each year of plots of a ledger, see `Project.annual`."""
    nothing = _annual(PlotRows("", "", []), empty_log(), options)
    tables = []
    for plot in read_rows(folder, plots):
        tell_left_out(*plot.ids, plot.problems)
        is_lost = bool(plot.problem) and not plot.rows
        log = empty_log() if is_lost else read_log(folder, *plot.ids)
        if plot.rows or not log["outcome"].isin(MADE).any():
            tables.append(_annual(plot, log, options))
    return joined(nothing, tables)


def _annual(plot: PlotRows, log: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """The choices of a plot; of a year of which nothing was written its log tells why."""
    log = decode(log, *plot.ids)
    grades = log.loc[log["outcome"].isin(MADE), ["year", "doy", "grade"]]
    grades["grade"] = grades["grade"].fillna(GRADES["no data"])
    chosen = annual(plot.table().merge(grades, on=["year", "doy"]), **options)
    others = log[~log["outcome"].isin([*MADE, SUPERSEDED])]
    tried = others.loc[others["outcome"].isin([FILL_AT_PLOT, FAILED]), "year"]
    chosen = _with_years(chosen, plot.ids, {*tried})
    for year in chosen.loc[chosen["observations"] == 0, "year"]:
        counts = others.loc[others["year"] == year, "outcome"].value_counts().sort_index()
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        if told:
            chosen.loc[chosen["year"] == year, "cause"] = f"none was written: {told}"
    return chosen


def _with_years(chosen: pd.DataFrame, ids: tuple[str, str], years: set[int]) -> pd.DataFrame:
    """The choices of a plot with a row of each of these years, and of those between."""
    there = {*chosen["year"]}
    every = there | years
    span = range(min(every), max(every) + 1) if every else range(0)
    lacking = [year for year in span if year not in there]
    if not lacking:
        return chosen
    told = dict(zip(KEY, (*ids, lacking), strict=True))
    empty = {"sensor": "", "overridden": False, "observations": 0, "cause": NONE_AT_ALL}
    more = pd.DataFrame({**told, **empty}).reindex(columns=chosen.columns).astype(chosen.dtypes)
    return pd.concat([part for part in (chosen, more) if len(part)]).sort_values("year")


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
    "clear",
    "spread",
    "to_edge",
    "same_pixel",
)
"""Columns of `Project.windows`."""


def window_tables(
    folder: Folder, plots: pd.DataFrame, places: pd.DataFrame, size: int, index: str
) -> Iterator[pd.DataFrame]:
    """The `window_statistics` of each plot of a ledger that has a cube, see `Project.windows`.

    ``places`` are the `Project.places` of all plots.
    """
    names = ["project_id", "plot_id"]
    told = zip(places["to_edge"], places["same_pixel"], strict=True)
    where = dict(zip(places[names].itertuples(index=False, name=None), told, strict=True))
    for row in plots[has_product(plots, "zarr")].to_dict("records"):
        plot = Plot(row["project_id"], row["plot_id"], row["x"], row["y"])
        ids, wanted = (plot.project_id, plot.plot_id), row["written"] + row["other_platform"]
        if row["without_chip"]:  # of their days other platforms are not in the cube either
            wanted = int(is_in_cube(kept_log(folder, row)[0]).sum())
        try:
            with kept_cube(folder, plot) as cube:
                count = 0 if cube is None else len(cube)
                if cube is not None:
                    to_edge, others = where[ids]
                    table = window_statistics(cube, size, index)
                    yield _of_plot(table.assign(to_edge=to_edge, same_pixel=others), plot)
            if count != wanted and row["status"] == COMPLETE:
                asked = counted(wanted, "observation")
                problem = f"the ledger counts {asked} of its cube, it has {count}"
                tell_left_out(*ids, [problem])
        except DamagedCubeError as error:
            tell_left_out(*ids, [f"its cube is damaged ({error.why})"])


def empty_windows() -> pd.DataFrame:
    """A table of `Project.windows` without rows, with the types of all."""
    return pd.DataFrame(columns=list(WINDOW_TABLE_COLUMNS), dtype=object).astype(
        dict.fromkeys(("year", "doy"), "int32")
        | dict.fromkeys(("mean", "std", "spread", "to_edge"), "float")
        | dict.fromkeys(("valid", "clear"), "int64")
    )


def _of_plot(statistics: pd.DataFrame, plot: Plot) -> pd.DataFrame:
    time = statistics["time"].dt
    table = statistics.assign(
        project_id=plot.project_id,
        plot_id=plot.plot_id,
        day=time.strftime("%Y-%m-%d"),
        year=time.year.astype(np.int32),
        doy=time.day_of_year.astype(np.int32),
    )
    return table[list(WINDOW_TABLE_COLUMNS)]
