"""How many clear observations there are of each plot, and how long there is none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import check_choice
from ..landsat import PLATFORM_AGE
from ..lists import expect_table

PERIODS: Final = ("year", "season")
"""By what observations are counted."""

SEASONS: Final = ("DJF", "MAM", "JJA", "SON")
"""Seasons by the first letters of their months; the year of DJF is that of its January."""

DENSITY_COLUMNS: Final = (
    "project_id", "plot_id", "year", "season", "observations", "clear", *PLATFORM_AGE,
    "first", "last", "longest_gap",
)  # fmt: skip
"""Columns of `observation_density`."""

_NEEDED = ("project_id", "plot_id", "day", "sensor", "strict_clear")


def observation_density(series: pd.DataFrame, by: str = "year") -> pd.DataFrame:
    """How many clear observations each plot has, by year or season, and the longest gaps.

    Parameters
    ----------
    series
        A table of `Project.series`, or any with project_id, plot_id, day (``YYYY-MM-DD``), sensor
        and strict_clear; missing counts as not clear.
    by
        ``"year"``, or ``"season"``: DJF, MAM, JJA, SON; the year of DJF is that of its January.

    Returns
    -------
    pandas.DataFrame
        A row per plot and period, from the period of its first observation to that of its last,
        those without any included, with `DENSITY_COLUMNS`: season (empty by year); observations,
        and of them the strictly clear ones (clear) and these by sensor (a column each); the first
        and last clear day (``YYYY-MM-DD``, empty where there is none); longest_gap, the longest run
        of days of the period on which there is no clear observation, from its first day to its
        last.

    Raises
    ------
    InputError
        For another ``by``, or a missing column.

    Examples
    --------
    ::

        tx.observation_density(project.series())
    """
    check_choice(by, PERIODS, "period")
    expect_table(series, _NEEDED, "give one of Project.series")
    rows = [
        row
        for ids, plot in series.groupby(["project_id", "plot_id"], sort=False)
        for row in _periods(ids, plot, by)
    ]
    return _table(rows)


def empty_density() -> pd.DataFrame:
    """A table of `observation_density` without rows, with the types of all."""
    return _table([])


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    counts = ("year", "observations", "clear", *PLATFORM_AGE, "longest_gap")
    kinds = dict.fromkeys(DENSITY_COLUMNS, str) | dict.fromkeys(counts, "int64")
    return pd.DataFrame(rows, columns=list(DENSITY_COLUMNS)).astype(kinds)


def _periods(ids: Any, plot: pd.DataFrame, by: str) -> Iterator[tuple[Any, ...]]:
    days = pd.DatetimeIndex(plot["day"])
    clear = plot["strict_clear"].eq(True).fillna(False).to_numpy(bool)
    sensor = plot["sensor"].to_numpy(str)
    if by == "year":
        edges = pd.date_range(f"{days.min().year}", periods=np.ptp(days.year) + 2, freq="YS")
    else:
        first, last = days.min(), days.max()
        start = (
            pd.Timestamp(first.year, first.month // 3 * 3, 1)
            if first.month > 2
            else (pd.Timestamp(first.year - 1, 12, 1))
        )
        edges = pd.date_range(start, last + pd.DateOffset(months=4), freq="3MS")
        edges = edges[: edges.searchsorted(last, "right") + 1]
    of_period = edges.searchsorted(days, "right") - 1
    for number, (start, end) in enumerate(pairwise(edges)):
        inside = of_period == number
        seen = days[inside & clear].sort_values()
        sensors = sensor[inside & clear]
        stops = np.array([start, *seen, end], dtype="datetime64[D]").astype(int)
        stops[0] -= 1  # the day before: a clear first day leaves no gap
        middle = start + pd.DateOffset(months=1)  # January of a winter
        yield (
            *ids,
            middle.year,
            SEASONS[middle.month // 3] if by == "season" else "",
            int(inside.sum()),
            len(seen),
            *(int((sensors == name).sum()) for name in PLATFORM_AGE),
            f"{seen[0]:%Y-%m-%d}" if len(seen) else "",
            f"{seen[-1]:%Y-%m-%d}" if len(seen) else "",
            max(0, int(np.diff(stops).max()) - 1),
        )


def years_without(density: pd.DataFrame) -> pd.DataFrame:
    """Of each plot, how many of its years have no clear observation: project_id, plot_id, years.

    ``density`` is a table of `observation_density` by year; plots without such years are left out.
    """
    none = density[density["clear"] == 0]
    return none.groupby(["project_id", "plot_id"], sort=False).size().reset_index(name="years")
