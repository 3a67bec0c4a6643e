"""The choice of one observation a year against the server's rule, transcribed row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from timesync_xr import (
    annual,
    contract_qa,
    is_fill,
    qa_grade,
    read_overrides,
    selected_of_year,
    to_collection1,
)
from timesync_xr.errors import InputError
from timesync_xr.spectral.annual import NONE_AT_ALL, NONE_USABLE, not_taken

COLUMNS = ["project_id", "plot_id", "year", "doy", "sensor", "blue", "green", "red", "qa", "grade"]


def table_of(*rows: tuple[int, int, int], blue: int = 300) -> pd.DataFrame:
    """Rows of one plot from (year, doy, qa)."""
    made = [("p", "7", year, doy, "LC08", blue, 500, 400, qa, 4 * qa) for year, doy, qa in rows]
    return pd.DataFrame(made, columns=COLUMNS)


def transcribed(
    table: pd.DataFrame, target: int, overrides: pd.DataFrame, quality: str
) -> dict[tuple[str, str, int], int]:
    """Position of the least number of each plot and year as the server counts; first of equals."""
    preferred = set(overrides.itertuples(index=False, name=None))
    best: dict[tuple[str, str, int], tuple[int, int]] = {}
    for position, row in enumerate(table.to_dict("records")):
        if row["blue"] + row["green"] + row["red"] != 0 and row["blue"] < 2000:
            key = (row["project_id"], row["plot_id"], row["year"])
            number = (0 if (*key, row["doy"]) in preferred else 1) * 10**9
            number += row[quality] * 1_000_000 + abs(row["doy"] - target) * 1000
            number += abs(row["doy"] - target + 1)
            if key not in best or number < best[key][0]:
                best[key] = (number, position)
    return {key: position for key, (_, position) in best.items()}


rows = st.tuples(
    st.sampled_from(["p", "q"]),
    st.sampled_from(["1", "01", "a"]),
    st.integers(1999, 2004),
    st.integers(1, 366),
    st.just("LC08"),
    st.sampled_from([-200, 0, 300, 1999, 2000, 9000]),
    st.sampled_from([-100, 0, 200]),
    st.sampled_from([-100, 0, 200]),
    st.integers(0, 1),
    st.sampled_from([0, 1, 2, 3, 4, 9]),
)
series = st.lists(rows, max_size=60).map(lambda rows: pd.DataFrame(rows, columns=COLUMNS))


@given(
    table=series,
    target=st.integers(1, 366),
    rule=st.sampled_from(["contract", "graded"]),
    data=st.data(),
)
@examples(200)
@pytest.mark.deep
def test_it_is_the_servers_rule_over_random_series(
    table: pd.DataFrame, target: int, rule: str, data: st.DataObject
) -> None:
    key = ["project_id", "plot_id", "year", "doy"]
    some = data.draw(st.lists(st.integers(0, max(0, len(table) - 1)), max_size=5))
    overrides = table[key].iloc[[n for n in some if n < len(table)]]
    quality = {"contract": "qa", "graded": "grade"}[rule]
    expected = transcribed(table, target, overrides, quality)
    made = selected_of_year(table, target, overrides=overrides, rule=rule)
    assert set(np.flatnonzero(made)) == set(expected.values())

    chosen = annual(table, target_day=target, overrides=overrides, rule=rule)
    found = chosen[chosen["cause"] == ""]
    by_key = {tuple(r[:3]): r[3:] for r in found[[*key, quality]].to_numpy().tolist()}
    assert by_key == {k: table.iloc[p][["doy", quality]].to_list() for k, p in expected.items()}


@given(series, st.randoms(use_true_random=False))
@pytest.mark.deep
def test_the_order_of_rows_matters_to_equal_days_only(table: pd.DataFrame, random: object) -> None:
    table = table.drop_duplicates(["project_id", "plot_id", "year", "doy"])
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = table.iloc[order]
    key = ["project_id", "plot_id", "year"]
    first, second = (annual(t).sort_values(key, ignore_index=True) for t in (table, shuffled))
    pd.testing.assert_frame_equal(first, second)


@given(series)
@pytest.mark.deep
def test_every_year_of_a_plot_is_there_once(table: pd.DataFrame) -> None:
    chosen = annual(table)
    for plot, of_plot in chosen.groupby(["project_id", "plot_id"]):
        own = table[(table["project_id"] == plot[0]) & (table["plot_id"] == plot[1])]
        assert of_plot["year"].tolist() == list(range(own["year"].min(), own["year"].max() + 1))
    assert chosen["observations"].sum() == len(table)
    assert (chosen["doy"].isna() == (chosen["cause"] != "")).all()


@pytest.mark.parametrize(
    ("days", "chosen"),
    [
        ([200, 230], 200),  # both 15 days off: the earlier
        ([214, 216], 214),
        ([215, 214], 215),
        ([1, 366], 366),
    ],
)
def test_the_nearest_day_of_two_as_near_the_earlier(days: list[int], chosen: int) -> None:
    assert annual(table_of(*((2000, d, 0) for d in days)))["doy"].tolist() == [chosen]


def test_usable_comes_before_near_and_overrides_before_all() -> None:
    table = table_of((2000, 215, 1), (2000, 20, 0), (2000, 366, 1))
    assert annual(table)["doy"].tolist() == [20]
    overrides = pd.DataFrame({"project_id": ["p"], "plot_id": ["7"], "year": [2000], "doy": [366]})
    (row,) = annual(table, overrides=overrides).to_dict("records")
    assert (row["doy"], row["overridden"], row["qa"]) == (366, True, 1)
    assert not_taken(overrides, annual(table, overrides=overrides)).empty
    wrong = overrides.assign(doy=[365])
    assert annual(table, overrides=wrong)["overridden"].tolist() == [False]
    assert len(not_taken(wrong, annual(table, overrides=wrong))) == 1


def test_too_bright_or_empty_is_never_chosen_not_even_by_an_override() -> None:
    overrides = pd.DataFrame({"project_id": ["p"], "plot_id": ["7"], "year": [2000], "doy": [215]})
    for blue, green, red in ((2000, 0, 0), (0, 0, 0), (-100, 50, 50)):
        table = table_of((2000, 215, 0)).assign(blue=blue, green=green, red=red)
        (row,) = annual(table, overrides=overrides).to_dict("records")
        assert (row["cause"], row["observations"], row["sensor"]) == (NONE_USABLE, 1, "")
        assert row["overridden"] is False
    assert annual(table_of((2000, 215, 0), blue=1999))["cause"].tolist() == [""]


def test_years_without_any_are_listed_between_the_first_and_the_last() -> None:
    table = table_of((1990, 1, 0), (1993, 1, 0), (1992, 1, 1))
    chosen = annual(table)
    assert chosen["year"].tolist() == [1990, 1991, 1992, 1993]
    assert chosen["cause"].tolist() == ["", NONE_AT_ALL, "", ""]
    assert chosen["observations"].tolist() == [1, 0, 1, 1]
    assert annual(table[:0]).empty
    assert annual(table[:0]).columns.tolist() == chosen.columns.tolist()


def test_the_grade_tells_apart_what_qa_does_not() -> None:
    """Shadow on the target day is usable by the contract; the grade prefers snow and water."""
    table = table_of((2000, 215, 0), (2000, 100, 0), (2000, 50, 0)).assign(grade=[3, 2, 1])
    assert annual(table)["doy"].tolist() == [215]
    (row,) = annual(table, rule="graded").to_dict("records")
    assert (row["doy"], row["grade"]) == (50, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "best"}, "'best'.*contract, graded"),
        ({"target_day": 0}, "1 to 366"),
        ({"target_day": 367}, "1 to 366"),
    ],
)
def test_wrong_options_say_what_is_right(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        annual(table_of((2000, 1, 0)), **options)  # type: ignore[arg-type]


def test_missing_columns_are_named() -> None:
    with pytest.raises(InputError, match="lacks blue, qa"):
        annual(table_of((2000, 1, 0)).drop(columns=["blue", "qa"]))
    with pytest.raises(InputError, match="lacks grade"):
        annual(table_of((2000, 1, 0)).drop(columns="grade"), rule="graded")


def test_overrides_are_read_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text("﻿year,doy,interpreter,plot_id,project_id\n2000, 215,9,007,1211\n")
    expected = {"project_id": "1211", "plot_id": "007", "year": 2000, "doy": 215}
    assert read_overrides(path).to_dict("records") == [expected]
    with pytest.raises(InputError, match=r"no\.csv can't be read"):
        read_overrides(tmp_path / "no.csv")
    path.write_bytes(b"project_id\xff,plot_id\n1")
    with pytest.raises(InputError, match="UTF-8"):
        read_overrides(path)
    path.write_text("project_id,plot_id,year,day\n")
    with pytest.raises(InputError, match="no column doy"):
        read_overrides(path)
    path.write_text("project_id,plot_id,year,doy\n1,2,2000,3\n1,2,MM,3\n1,2,2000,\n")
    with pytest.raises(InputError, match=r"(?s)line 3.*line 4"):
        read_overrides(path)


@pytest.mark.parametrize("name", ["lsat.example.dt", "noatak.dt"])
@pytest.mark.cases(1)
def test_on_real_pixel_series(shared: Path, name: str) -> None:
    """Point samples of Collection 2 with all their clouds, 6 and 100 places, 1985 to 2022."""
    raw = pd.read_csv(shared / "real" / "pixel_series_c2" / f"{name}.csv.gz")
    oli = raw["SPACECRAFT_ID"].isin(["LANDSAT_8", "LANDSAT_9"])
    numbers = {"blue": (2, 1), "green": (3, 2), "red": (4, 3)}
    dn = {
        band: raw[f"SR_B{new}"].where(oli, raw[f"SR_B{old}"])
        for band, (new, old) in numbers.items()
    }
    known = pd.DataFrame(dn).notna().all(axis=1) & raw["QA_PIXEL"].notna()
    qa = raw.loc[known, "QA_PIXEL"].to_numpy(np.uint16)
    day = pd.to_datetime(raw.loc[known, "date"].astype(str), format="%Y%m%d")
    table = pd.DataFrame(
        {
            "project_id": "real",
            "plot_id": raw.loc[known, "sample_id"],
            "year": day.dt.year,
            "doy": day.dt.day_of_year,
            "sensor": raw.loc[known, "LANDSAT_PRODUCT_ID"].str[:4],
            **{b: to_collection1(v[known].to_numpy(np.uint16)) for b, v in dn.items()},
            "qa": contract_qa(qa),
            "grade": qa_grade(qa),
        }
    )[~is_fill(qa)]
    assert len(table) > 4000
    key = ["project_id", "plot_id", "year", "doy"]
    overrides = table[key].sample(50, random_state=0)
    for rule, quality in (("contract", "qa"), ("graded", "grade")):
        expected = transcribed(table, 215, overrides, quality)
        made = selected_of_year(table, overrides=overrides, rule=rule)
        assert set(np.flatnonzero(made)) == set(expected.values())
        assert len(annual(table, overrides=overrides, rule=rule)) >= len(expected)
