"""Offsets between sensors: planted ones are found, pairs are those of all days gone through."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spectral.real import real_table
from tests.strategies import examples
from timesync_xr import read_offsets, sensor_offsets, with_adjusted
from timesync_xr.errors import InputError
from timesync_xr.spectral.offsets import OFFSET_COLUMNS, VALUES, offsets_to, unreached

BANDS = ["blue", "green", "red", "nir", "swir1", "swir2"]
LEVEL = np.array([300, 500, 400, 3000, 1500, 700])
AGE = ["LT04", "LT05", "LE07", "LC08", "LC09"]
PLANTED = {
    "LT05": np.array([30, -20, 60, 100, 0, 10]),
    "LE07": np.array([10, 5, 40, -50, 20, 0]),
    "LC08": np.zeros(6),
}


def made_up(plots: int = 40, seed: int = 0, noise: float = 40) -> pd.DataFrame:
    """Plots that two sensors saw within a day: LT05 and LE07 first, then LE07 and LC08."""
    random = np.random.default_rng(seed)
    rows = []
    for plot in range(plots):
        ground = LEVEL + random.normal(0, 100, 6)
        for start, sensors in (("2005", ("LT05", "LE07")), ("2015", ("LE07", "LC08"))):
            for month in (6, 7, 8):
                for day, sensor in enumerate(sensors, 10):
                    seen = ground + PLANTED[sensor] + random.normal(0, noise, 6)
                    when = f"{start}-{month:02d}-{day}"
                    rows.append(("p", str(plot), when, sensor, True, *seen.round()))
    names = ["project_id", "plot_id", "day", "sensor", "strict_clear", *BANDS]
    return pd.DataFrame(rows, columns=names).astype({"strict_clear": "boolean"})


def test_planted_offsets_are_found_with_their_counts() -> None:
    table = sensor_offsets(made_up())
    assert list(table) == list(OFFSET_COLUMNS)
    assert set(zip(table["sensor"], table["reference"], strict=True)) == {
        ("LT05", "LE07"),
        ("LE07", "LC08"),
    }
    assert set(table["pairs"]) == {120}
    assert set(table["plots"]) == {40}
    for (older, newer), rows in table.groupby(["sensor", "reference"]):
        means = rows.set_index("value")["mean"][BANDS].to_numpy()
        assert np.abs(means - (PLANTED[str(older)] - PLANTED[str(newer)])).max() < 15
        assert (rows["low"] < rows["mean"]).all()
        assert (rows["mean"] < rows["high"]).all()
    assert table["value"].tolist() == [*VALUES] * 2


@pytest.mark.deep
def test_the_interval_holds_what_was_planted_about_as_often_as_it_says() -> None:
    """Plots differ by an offset of their own, so that pairs of a plot are no independent ones."""
    held = []
    for seed in range(60):
        table = made_up(25, seed)
        own = np.random.default_rng(seed).normal(0, 60, 25)
        older = (table["sensor"] == "LE07").to_numpy() & table["day"].str.startswith("2015")
        table.loc[older, "red"] += own[table.loc[older, "plot_id"].astype(int)]
        found = sensor_offsets(table, resamples=300, seed=seed)
        (row,) = found[(found["reference"] == "LC08") & (found["value"] == "red")].to_dict(
            "records"
        )
        held.append(row["low"] <= 40 <= row["high"])
    assert 0.83 <= np.mean(held) <= 1


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(1, 28), st.sampled_from(AGE), st.integers(0, 5)
        ),
        max_size=20,
    ),
    days=st.integers(0, 9),
)
@examples(100)
@pytest.mark.deep
def test_pairs_are_all_that_there_are(rows: list[tuple[str, int, str, int]], days: int) -> None:
    """Against every two rows: counts, means, medians; not clear is what 0 is drawn for."""
    table = pd.DataFrame(
        [("p", p, f"2020-07-{d:02d}", s, v > 0, *(LEVEL + 100 * v)) for p, d, s, v in rows],
        columns=["project_id", "plot_id", "day", "sensor", "strict_clear", *BANDS],
    )
    expected: dict[tuple[str, str], list[int]] = {}
    for a, b in combinations([r for r in rows if r[3]], 2):
        if a[0] == b[0] and abs(a[1] - b[1]) <= days and a[2] != b[2]:
            older, newer = sorted((a, b), key=lambda r: AGE.index(r[2]))
            expected.setdefault((older[2], newer[2]), []).append(100 * (older[3] - newer[3]))
    found = sensor_offsets(table, days, resamples=5)
    blue = found[found["value"] == "blue"].set_index(["sensor", "reference"])
    assert {key: blue.loc[key, "pairs"] for key in blue.index} == {
        key: len(values) for key, values in expected.items()
    }
    for key, values in expected.items():
        assert blue.loc[key, "mean"] == pytest.approx(np.mean(values))
        assert blue.loc[key, "median"] == pytest.approx(np.median(values))


@pytest.mark.deep
def test_real_sensors_differ_as_is_known_of_them(shared: Path) -> None:
    """NDVI of OLI is above ETM+, of TM below it; wetness is about the same (docs/data.md)."""
    table = sensor_offsets(real_table(shared))
    rows = {(r["sensor"], r["reference"], r["value"]): r for r in table.to_dict("records")}
    for sensor, reference, value, median in (
        ("LE07", "LC08", "ndvi", -0.056),
        ("LT05", "LE07", "ndvi", -0.028),
        ("LE07", "LC08", "nbr", -0.013),
    ):
        assert rows[sensor, reference, value]["median"] == pytest.approx(median, abs=0.001)
    etm, tm = rows["LE07", "LC08", "ndvi"], rows["LT05", "LE07", "ndvi"]
    assert (etm["pairs"], etm["plots"]) == (4619, 105)
    assert offsets_to(table, "ndvi", "LC08")["LT05"] == pytest.approx(tm["mean"] + etm["mean"])


def test_corrected_values_stand_beside_the_originals_and_the_step_is_gone() -> None:
    series = made_up(60, noise=5)
    series[["ndvi"]] = (series[["nir"]].to_numpy() - series[["red"]].to_numpy()) / (
        series[["nir"]].to_numpy() + series[["red"]].to_numpy()
    )
    made = with_adjusted(series, sensor_offsets(series))
    pd.testing.assert_frame_equal(made[list(series)], series)
    assert list(made)[len(list(series)) :] == [f"{b}_adjusted" for b in [*BANDS, "ndvi"]]
    before, after = (made.groupby("sensor")[name].mean() for name in ("red", "red_adjusted"))
    assert abs(before["LT05"] - before["LC08"]) > 40
    assert abs(after["LT05"] - after["LC08"]) < 8
    assert (
        made.loc[made["sensor"] == "LC08", "red_adjusted"]
        == series.loc[series["sensor"] == "LC08", "red"]
    ).all()


def test_a_sensor_that_met_none_has_no_corrected_value_and_is_named() -> None:
    series = made_up(5)
    alone = series.head(1).assign(sensor="LT04", plot_id="x")
    both = pd.concat([series, alone], ignore_index=True)
    offsets = sensor_offsets(both)
    assert unreached(both, offsets, "LC08") == ["LT04"]
    made = with_adjusted(both, offsets)
    assert made["red_adjusted"].isna().tolist() == [False] * len(series) + [True]


def test_published_lines_by_hand() -> None:
    series = made_up(1).head(2).assign(sensor=["LE07", "LC08"])
    series[BANDS] = [[1000, 1000, 1000, 3000, 2000, -2000]] * 2
    made = with_adjusted(series, "roy2016-rma").filter(like="_adjusted").to_numpy()
    # 1000 x .9785 - 95; x .9542 - 16; x .9825 - 22; 3000 x 1.0073 - 21; 2000 x 1.0171 - 30; fill
    np.testing.assert_allclose(made[0, :5], [883.5, 938.2, 960.5, 3000.9, 2004.2])
    np.testing.assert_allclose(made[1, :5], [1000, 1000, 1000, 3000, 2000])
    assert np.isnan(made[:, 5]).all()
    with_ndvi = with_adjusted(series.assign(ndvi=0.5), "roy2016-rma")["ndvi_adjusted"]
    assert with_ndvi.iloc[0] == pytest.approx((3000.9 - 960.5) / (3000.9 + 960.5))


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    series = made_up(2)
    offsets = sensor_offsets(series)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: sensor_offsets(series, -1), "0 or more"),
        (lambda: sensor_offsets(series, resamples=0), "1 or more"),
        (lambda: sensor_offsets(series.drop(columns="nir")), "lacks nir"),
        (lambda: with_adjusted(series, "roy"), "roy2016-rma"),
        (lambda: with_adjusted(series, "roy2016-rma", "LE07"), "LC08 or LC09"),
        (lambda: with_adjusted(series, offsets, "LC8"), "Did you mean 'LC08'|LC08"),
        (lambda: with_adjusted(series, offsets.drop(columns="mean")), "lacks mean"),
        (lambda: read_offsets(tmp_path / "no.csv"), r"no\.csv can't be read"),
    ]
    for call, message in wrong:
        with pytest.raises(InputError, match=message):
            call()
    path = tmp_path / "offsets.csv"
    offsets.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_offsets(path), offsets)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="lacks sensor"):
        read_offsets(path)
    assert sensor_offsets(series.iloc[:0]).empty
