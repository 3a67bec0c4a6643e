"""One observation a year: the one that the TimeSync server shows first."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..cube.schema import is_whole
from ..errors import InputError, PlotListError, check_choice
from ..lists import expect_table, read_list

TARGET_DAY: Final = 215
"""Day of the year that the server prefers, if nothing else is said."""

CONTRACT, GRADED = "contract", "graded"
"""The rules: that of the TimeSync server, and that of TimeSync v4's grades."""

RULES: Final = {CONTRACT: "qa", GRADED: "grade"}
"""What tells better observations from worse: the column of each rule, the lower the better."""

TOO_BRIGHT: Final = 2000
"""Blue (Collection 1 range) from which an observation is never chosen."""

KEY: Final = ("project_id", "plot_id", "year")
"""One observation is chosen of each."""

NONE_AT_ALL: Final = "no observation"
NONE_USABLE: Final = "all are too bright in blue, or 0 in blue, green and red"
"""Why a year has no choice."""


def selected_of_year(
    table: pd.DataFrame,
    target_day: int = TARGET_DAY,
    *,
    overrides: pd.DataFrame | None = None,
    rule: str = CONTRACT,
) -> pd.Series[bool]:
    """Which rows are chosen, one of each project, plot and year that has any: bool, on its index.

    Parameters, rule and errors are those of `annual`.

    Examples
    --------
    ::

        table = tx.spectral_table(cube, "1001", "2")
        table[tx.selected_of_year(table)]
    """
    _check(table, target_day, rule, overrides)
    ranks = table[list(KEY)].reset_index(drop=True).assign(cost=_cost(table, target_day, rule))
    ranks["cost"] += np.where(_is_override(table, overrides), 0, 1_000_000_000)
    best = ranks[is_usable(table)].groupby(list(KEY), sort=False, observed=True)["cost"].idxmin()
    return pd.Series(np.isin(np.arange(len(table)), best), index=table.index)


def annual(
    table: pd.DataFrame,
    *,
    target_day: int = TARGET_DAY,
    overrides: pd.DataFrame | None = None,
    rule: str = CONTRACT,
) -> pd.DataFrame:
    """The observation of each plot and year that the server chooses, and the years without one.

    Of the rows with blue + green + red other than 0 and blue below 2000 the server takes the least
    ``(0 if overridden else 1) * 10**9 + qa * 10**6 + |doy - target| * 1000 + |doy - target + 1|``:
    what an interpreter chose comes first, then what is usable, then the day nearest to the target,
    of two as near the earlier one. Of rows alike in all of this the first in the table is taken.

    Parameters
    ----------
    table
        Rows of the contract, such as those of `Project.spectra` or `spectral_table`: columns
        project_id, plot_id, year, doy, sensor, blue, green, red (Collection 1 range) and qa.
    target_day
        The preferred day of the year, 1 to 366.
    overrides
        What interpreters chose instead: project_id, plot_id, year, doy, a row each. A row that is
        no observation of the table, or one that is too bright, changes nothing.
    rule
        ``contract``: as above. ``graded``: with the column ``grade`` (`qa_grade`: 0 clear, 1 water,
        2 snow, 3 shadow, 4 cloud, 9 no data) in the place of qa, as TimeSync v4 grades.

    Returns
    -------
    pandas.DataFrame
        A row per plot and year, from the first to the last year that the table has of the plot, in
        the order of the table's plots: project_id, plot_id, year, doy and sensor (missing in a year
        without a choice), ``qa`` or ``grade`` of the chosen row, overridden (bool), observations
        (rows of that year, those too bright included) and cause (why there is no choice, else
        empty).

    Raises
    ------
    InputError
        An unknown rule, a day that does not exist, or a missing column.

    Examples
    --------
    ::

        table = project.spectra()
        tx.annual(table)[["year", "doy", "sensor", "cause"]].head()
    """
    selected = selected_of_year(table, target_day, overrides=overrides, rule=rule).to_numpy()
    key, quality = list(KEY), RULES[rule]
    chosen = table.loc[selected, [*key, "doy", "sensor", quality]].astype(
        {"doy": "Int16", "sensor": object, quality: "UInt8"}
    )
    chosen["overridden"] = _is_override(table, overrides)[selected]
    counts = (
        table.groupby(key, sort=False, observed=True).size().rename("observations").reset_index()
    )
    years = _years(table).merge(counts, "left", on=key).merge(chosen, "left", on=key)
    years["observations"] = years["observations"].fillna(0).astype("int64")
    years["overridden"] = years["overridden"].eq(True)
    years["sensor"] = years["sensor"].fillna("")
    why = np.where(years["observations"] == 0, NONE_AT_ALL, NONE_USABLE)
    years["cause"] = np.where(years["doy"].isna(), why, "")
    return years[[*key, "doy", "sensor", quality, "overridden", "observations", "cause"]]


def read_overrides(path: str | Path) -> pd.DataFrame:
    r"""What interpreters chose, from a list with the columns project_id, plot_id, year and doy.

    It is read as a plot list is, see `timesync_xr.lists.read_list`. Further columns are left out;
    ids are text. `PlotListError` names every line that is wrong.

    Examples
    --------
    ::

        from pathlib import Path

        Path("overrides.csv").write_text("project_id,plot_id,year,doy\n1001,2,1996,222\n")
        tx.annual(project.spectra(), overrides=tx.read_overrides("overrides.csv"))
    """
    columns = [*KEY, "doy"]
    listed = read_list(path, [(name,) for name in columns])
    problems = [f"line {line}: {text}" for line, text in listed.problems.items()]
    problems += [
        f"line {line}: {name} {text!r} is no whole number: correct it"
        for name in ("year", "doy")
        for (line, _), text in zip(listed.rows, listed.column(name), strict=True)
        if not (text.isascii() and text.isdecimal())
    ]
    if problems:
        raise PlotListError(listed.source, problems)
    table = pd.DataFrame({name: listed.column(name) for name in columns}, dtype=object)
    return table.astype({"year": int, "doy": int})


def not_taken(overrides: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Those rows of ``overrides`` that are no choice of `annual`.

    There is no such observation, it is too bright, or another one of that year was named as well.
    """
    return overrides[~_is_override(overrides, chosen[chosen["overridden"]])]


def check_rule(rule: str) -> None:
    """`InputError` for what is no rule."""
    check_choice(rule, RULES, "rule")


def check_target_day(target_day: int) -> None:
    """`InputError` for what is no day of the year."""
    if not is_whole(target_day) or not 1 <= target_day <= 366:
        raise InputError(f"{target_day!r} is no day of the year: give 1 to 366")


def _check(table: pd.DataFrame, target_day: int, rule: str, overrides: pd.DataFrame | None) -> None:
    check_rule(rule)
    check_target_day(target_day)
    numbers = ("year", "doy", "blue", "green", "red", RULES[rule])
    needed = (*KEY[:2], "sensor", *numbers)
    expect_table(table, needed, "give one of Project.spectra", numbers=numbers)
    if overrides is not None:
        expect_table(overrides, (*KEY, "doy"), "give one of read_overrides")


def _cost(table: pd.DataFrame, target_day: int, rule: str) -> npt.NDArray[np.int64]:
    """The server's number of each row, without that of overrides."""
    quality = table[RULES[rule]].to_numpy(np.int64)
    near = distance(table["doy"].to_numpy(np.int64), target_day)
    cost: npt.NDArray[np.int64] = quality * 1_000_000 + near
    return cost


def distance(doy: npt.NDArray[np.int64], target_day: int) -> npt.NDArray[np.int64]:
    """The server's number for how far days of the year are from a target: no two are alike."""
    days = doy - target_day
    far: npt.NDArray[np.int64] = abs(days) * 1000 + abs(days + 1)
    return far


def is_usable(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows of the contract can be chosen: neither too bright in blue nor 0 in all three."""
    bands = table[["blue", "green", "red"]].to_numpy(np.int64)
    usable: npt.NDArray[np.bool_] = (bands.sum(axis=1) != 0) & (bands[:, 0] < TOO_BRIGHT)
    return usable


def _is_override(table: pd.DataFrame, overrides: pd.DataFrame | None) -> npt.NDArray[np.bool_]:
    if overrides is None or overrides.empty:
        return np.zeros(len(table), dtype=bool)
    key = [*KEY, "doy"]
    return pd.MultiIndex.from_frame(table[key].astype(str)).isin(
        pd.MultiIndex.from_frame(overrides[key].astype(str))
    )


def _years(table: pd.DataFrame) -> pd.DataFrame:
    """Every year of every plot, from its first to its last, as `KEY`."""
    spans = (
        table.groupby(list(KEY[:2]), sort=False, observed=True)["year"]
        .agg(["min", "max"])
        .reset_index()
    )
    lengths = (spans["max"].astype(int) - spans["min"].astype(int) + 1).to_numpy()
    years = spans.loc[spans.index.repeat(lengths), list(KEY[:2])].reset_index(drop=True)
    first = np.repeat(spans["min"].to_numpy(int), lengths)
    within = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    return years.assign(year=first + within)
