"""Outliers that were planted are found; steps, trends and noise are none."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spectral.real import real_table
from tests.strategies import examples
from timesync_xr import Project, is_outlier
from timesync_xr.errors import InputError

BANDS = ["blue", "green", "red", "nir", "swir1", "swir2"]
LEVEL = np.array([300, 500, 400, 3000, 1500, 700])


def summers(
    values: np.ndarray, years: range = range(1990, 2010), per_year: int = 4
) -> pd.DataFrame:
    """A series with some observations each summer; ``values`` is added to `LEVEL`."""
    days = [f"{year}-{6 + n}-15" for year in years for n in range(per_year)]
    table = pd.DataFrame(LEVEL + values, columns=BANDS).assign(day=pd.to_datetime(days))
    table["day"] = table["day"].dt.strftime("%Y-%m-%d")
    return table.assign(project_id="p", plot_id="1", strict_clear=pd.array([True] * len(table)))


def noise(seed: int, deviation: float = 60, count: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, deviation, (count, 6)).round()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cover", [1500, -400])
def test_planted_clouds_and_shadows_are_found_and_nothing_else(seed: int, cover: int) -> None:
    """A cloud that QA missed brightens all bands, a shadow takes most of their light."""
    values = noise(seed)
    planted = np.random.default_rng(seed).choice(np.arange(5, 75, 6), 6, replace=False)
    values[planted] += cover if cover > 0 else (LEVEL * -0.7)
    found = is_outlier(summers(values))
    assert set(np.flatnonzero(found.fillna(False))) == set(planted)


@pytest.mark.parametrize("at", [20, 41, 42, 43])
def test_a_fire_and_what_comes_after_it_are_no_outliers(at: int) -> None:
    values = noise(1)
    since = np.arange(80 - at)[:, None]
    values[at:] += np.array([50, -100, 200, -2000, 600, 1500]) * np.exp(-since / 12)
    assert not is_outlier(summers(values)).fillna(False).any()


@pytest.mark.parametrize(("seen", "outliers"), [(1, [41]), (2, []), (3, [])])
def test_what_is_seen_twice_in_a_row_does_not_stand_alone(seen: int, outliers: list[int]) -> None:
    """A fire in late summer over which the next spring grows; a shadow looks so, but once."""
    values = noise(1)
    values[41 : 41 + seen] += np.array([50, -100, 200, -2000, 600, 1500])
    assert np.flatnonzero(is_outlier(summers(values)).fillna(False)).tolist() == outliers


@pytest.mark.deep
def test_neither_fire_nor_cut_of_the_sample_is_an_outlier(sample_project: Path) -> None:
    series = Project(sample_project).series()
    forest = series[series["plot_id"].isin(["2", "5"])]
    assert forest["outlier"].notna().sum() > 150
    assert not forest["outlier"].fillna(False).any()
    assert series["outlier"].fillna(False).any()


def test_a_trend_and_noise_of_any_size_are_none() -> None:
    flagged = 0
    for seed in range(20):
        values = noise(seed, 150) + np.linspace(0, 2000, 80)[:, None]
        flagged += is_outlier(summers(values)).fillna(False).sum()
    assert flagged / (20 * 80) < 0.005


def test_what_can_not_be_told_is_missing() -> None:
    table = summers(noise(2))
    table.loc[10, "strict_clear"] = False
    table.loc[11, "day"] = "1992-12-15"
    found = is_outlier(table)
    assert found[[10, 11]].isna().all(), "not clear, and not of the season"
    assert found.loc[[0, 1, 78, 79]].isna().all(), "one side has too few"
    assert found.drop([0, 1, 10, 11, 78, 79]).notna().all()
    assert is_outlier(table, season="").notna()[11]
    few = is_outlier(summers(noise(2)[:3], range(1990, 1993), 1))
    assert few.isna().all()
    assert is_outlier(table.iloc[:0]).empty


def test_rows_in_any_order_and_of_several_plots_give_the_same() -> None:
    values = noise(3)
    values[30] += 2000
    one = summers(values)
    both = pd.concat([one, one.assign(plot_id="2")], ignore_index=True)
    both.loc[80:, BANDS] = summers(noise(4))[BANDS].to_numpy()
    shuffled = both.sample(frac=1, random_state=0)
    found = is_outlier(shuffled)
    assert found.index.equals(shuffled.index)
    pd.testing.assert_series_equal(found.sort_index(), is_outlier(both))
    assert np.flatnonzero(found.sort_index().fillna(False)).tolist() == [30]


def test_neighbours_of_long_ago_do_not_count() -> None:
    """With a summer each five years there is none to compare with."""
    values = noise(5)[:20]
    table = summers(values, range(1910, 2010, 5), 1)
    assert is_outlier(table).isna().all()


def test_a_missing_column_and_a_wrong_season_are_named() -> None:
    with pytest.raises(InputError, match="lacks nir"):
        is_outlier(summers(noise(1)).drop(columns="nir"))
    with pytest.raises(InputError, match="no season"):
        is_outlier(summers(noise(1)), season="summer")


def by_hand(table: pd.DataFrame) -> dict[int, bool]:
    """The rule gone through row by row, for a plot that is clear and of the season throughout."""
    rows = sorted(range(len(table)), key=lambda n: table["day"][n])
    days = [date.fromisoformat(table["day"][n]) for n in rows]
    told: dict[int, dict[str, tuple[float, ...]]] = {}
    for n, row in enumerate(rows):
        sides = [range(max(0, n - 3), n), range(n + 1, min(len(rows), n + 4))]
        near = [[m for m in side if abs((days[m] - days[n]).days) <= 1096] for side in sides]
        if min(map(len, near)) >= 2:
            told[row] = {
                band: tuple(
                    table[band][row] - value
                    for value in (
                        *(median(table[band][rows[m]] for m in s) for s in near),
                        table[band][rows[n - 1]],
                        table[band][rows[n + 1]],
                    )
                )
                for band in ("green", "nir", "swir1")
            }
    noise = {
        band: max(100, 1.4826 * median(abs(sum(off[band])) / 2 for off in told.values()))
        for band in ("green", "nir", "swir1")
        if told
    }
    return {
        row: any(
            len({one > 0 for one in by}) == 1 and min(map(abs, by)) > 5 * noise[band]
            for band, by in off.items()
        )
        for row, off in told.items()
    }


@given(
    st.lists(
        st.tuples(st.integers(1990, 1999), st.integers(0, 121), st.integers(-3, 40)),
        min_size=1,
        max_size=30,
        unique_by=lambda row: row[:2],
    )
)
@examples(100)
def test_it_is_the_rule_gone_through_by_hand(rows: list[tuple[int, int, int]]) -> None:
    days = [date(year, 6, 1) + timedelta(days=n) for year, n, _ in rows]
    values = np.array([[100 * height] for *_, height in rows]) * np.array([1, 1, 1, -1, 2, 1])
    table = pd.DataFrame(LEVEL + values, columns=BANDS).assign(
        day=list(map(str, days)), project_id="p", plot_id="1", strict_clear=True
    )
    found = is_outlier(table)
    assert {n: bool(found[n]) for n in found.index[found.notna()]} == by_hand(table)


@pytest.mark.deep
def test_on_real_series_few_are_flagged_and_they_are_cloud_or_shadow(shared: Path) -> None:
    """Most of them are brighter in all bands than their place is in summer, or darker in all."""
    table = real_table(shared)
    found = is_outlier(table)
    told = table[found.notna()]
    assert len(told) > 25_000
    assert found.mean() == pytest.approx(0.0375, abs=0.0005)
    bands = ["green", "nir", "swir1"]
    usual = told.groupby("plot_id")[bands].median().loc[told["plot_id"]].to_numpy()
    off = told[bands].to_numpy() - usual
    one_way = (off > 0).all(axis=1) | (off < 0).all(axis=1)
    flagged = found[found.notna()].to_numpy(bool)
    assert one_way[flagged].mean() > 0.75
    assert one_way[~flagged].mean() < 0.4
