"""Counts and gaps against days written out one by one."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from timesync_xr import observation_density
from timesync_xr.errors import InputError
from timesync_xr.spectral.density import DENSITY_COLUMNS, SEASONS

SENSORS = ("LT04", "LT05", "LE07", "LC08", "LC09")


def series_of(*rows: tuple[str, str, bool]) -> pd.DataFrame:
    """A series of one plot from (day, sensor, whether it is strictly clear)."""
    made = [("p", "7", *row) for row in rows]
    columns = ["project_id", "plot_id", "day", "sensor", "strict_clear"]
    return pd.DataFrame(made, columns=columns).astype({"strict_clear": "boolean"})


def days_of(year: int, season: str) -> list[date]:
    """Every day of a year or season."""
    first = date(year, 1, 1) if not season else date(year - (season == "DJF"), 12, 1)
    if season and season != "DJF":
        first = date(year, {"MAM": 3, "JJA": 6, "SON": 9}[season], 1)
    months = [first.month] if season else range(1, 13)
    if season:
        months = [(first.month + n - 1) % 12 + 1 for n in range(3)]
    days = []
    while first.month in months and (season or first.year == year):
        days.append(first)
        first += timedelta(days=1)
    return days


def longest_run(days: list[date], clear: set[date]) -> int:
    longest = run = 0
    for day in days:
        run = 0 if day in clear else run + 1
        longest = max(longest, run)
    return longest


observations = st.lists(
    st.tuples(
        st.dates(date(1999, 1, 1), date(2002, 12, 31)), st.sampled_from(SENSORS), st.booleans()
    ),
    min_size=1,
    max_size=40,
)


@given(rows=observations, by=st.sampled_from(["year", "season"]))
@examples(100)
def test_counts_and_gaps_are_those_of_days_gone_through(
    rows: list[tuple[date, str, bool]], by: str
) -> None:
    table = observation_density(series_of(*((str(d), s, c) for d, s, c in rows)), by)
    clear = [(d, s) for d, s, c in rows if c]
    expected_periods = set()
    for row in table.to_dict("records"):
        days = days_of(row["year"], row["season"])
        expected_periods.update(days)
        inside = [d for d, _, _ in rows if d in days]
        seen = sorted(d for d, _ in clear if d in days)
        assert row["observations"] == len(inside)
        assert row["clear"] == len(seen) == sum(row[name] for name in SENSORS)
        for name in SENSORS:
            assert row[name] == sum(s == name for d, s in clear if d in days)
        assert row["first"] == (str(seen[0]) if seen else "")
        assert row["last"] == (str(seen[-1]) if seen else "")
        assert row["longest_gap"] == longest_run(days, {d for d, _ in clear})
    assert table["observations"].sum() == len(rows)
    assert {d for d, _, _ in rows} <= expected_periods
    whole = max(expected_periods) - min(expected_periods)
    assert len(expected_periods) == whole.days + 1, "no period in between is left out"
    assert set(table["season"]) <= ({""} if by == "year" else set(SEASONS))


def test_a_winter_is_of_the_year_of_its_january() -> None:
    table = observation_density(
        series_of(("1999-12-31", "LE07", True), ("2000-02-29", "LE07", True)), "season"
    )
    (row,) = table.to_dict("records")
    assert (row["year"], row["season"], row["clear"]) == (2000, "DJF", 2)
    assert row["longest_gap"] == 59, "from New Year to 28 February"


def test_missing_is_not_clear_and_plots_are_apart() -> None:
    table = series_of(("2000-01-01", "LE07", True), ("2000-06-01", "LE07", True))
    table["strict_clear"] = pd.array([pd.NA, True], dtype="boolean")
    both = pd.concat([table, table.assign(plot_id="8", day="2003-01-01")])
    made = observation_density(both)
    assert made["clear"].tolist() == [1, 1]
    assert made["year"].tolist() == [2000, 2003]
    empty = observation_density(both.iloc[:0])
    assert list(empty) == list(DENSITY_COLUMNS)
    assert empty.dtypes.equals(made.dtypes)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InputError, match=r"'month'.*year, season"):
        observation_density(series_of(("2000-01-01", "LE07", True)), "month")
    with pytest.raises(InputError, match="lacks sensor"):
        observation_density(series_of(("2000-01-01", "LE07", True)).drop(columns="sensor"))
    assert observation_density(series_of())["clear"].dtype == np.int64
