from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.strategies import CLEAR, items_table
from timesync_xr import merge_records
from timesync_xr.cube.plan import plan_observations
from timesync_xr.grid import REGIONS, ChipGrid

INSIDE = ChipGrid(REGIONS["CU"], 3 * 5000 + 2500, 9 * 5000 + 2500)
CORNER = ChipGrid(REGIONS["CU"], 4 * 5000 + 3, 10 * 5000 + 2)
"""A plot in h04v10, a few pixels from the corner of four tiles."""


def test_two_platforms_of_a_day_are_two_observations() -> None:
    items = items_table(
        {"sensor": "LC09", "date": "2022-06-01T18:30:00.1234567Z"},
        {"sensor": "LE07", "date": "2022-06-01T17:00:00.123456Z"},
    )
    plan = plan_observations(items, INSIDE)
    assert plan.observations["sensor"].tolist() == ["LE07", "LC09"]
    assert plan.observations["date"].tolist() == [
        "2022-06-01T17:00:00.123456Z",
        "2022-06-01T18:30:00.1234567Z",
    ]


def test_tiles_of_a_pass_are_one_observation_named_after_the_plots_tile() -> None:
    seconds = {"0309": "10", "0409": "11", "0310": "30", "0410": "31"}
    items = items_table(
        *({"place": p, "date": f"2020-07-01T18:30:{s}.5Z"} for p, s in seconds.items())
    )
    plan = plan_observations(items, CORNER)
    (row,) = plan.observations.to_dict("records")
    assert (row["hv"], row["date"], row["at_plot"]) == ("0410", "2020-07-01T18:30:31.5Z", True)
    assert plan.records["observation"].tolist() == [0, 0, 0, 0]
    assert plan.records["place"][0] == "0410"
    assert set(row["item_ids"].split()) == set(items["item_id"])


def test_latest_processing_wins_and_the_other_is_kept_aside() -> None:
    items = items_table({"processed": "20200710"}, {"processed": "20210504"}, {"processed": ""})
    plan = plan_observations(items, INSIDE)
    assert plan.records["processed"].tolist() == ["20210504"]
    assert sorted(plan.superseded["processed"]) == ["", "20200710"]


def test_an_observation_without_the_plots_tile_is_kept_and_marked() -> None:
    plan = plan_observations(items_table({"place": "0309"}), CORNER)
    assert plan.observations["at_plot"].tolist() == [False]
    assert plan.at_plot_pixel().observations.empty


def test_other_tiles_and_refused_items_are_left_out() -> None:
    items = items_table({"place": "0509"}, {"refused": "wrong transform"}, {"sensor": "LC09"})
    plan = plan_observations(items, INSIDE)
    assert plan.observations["sensor"].tolist() == ["LC09"]
    assert plan_observations(items[:0], INSIDE).observations.empty


def test_plot_pixel_needs_the_plots_tile_only() -> None:
    items = items_table(*({"place": place} for place in ("0309", "0310", "0409", "0410")))
    pixel = plan_observations(items, CORNER).at_plot_pixel()
    assert pixel.records["place"].tolist() == ["0410"]
    assert (pixel.grid.width, pixel.grid.height) == (1, 1)
    assert pixel.grid.plot_col == CORNER.plot_col


days = st.lists(
    st.tuples(
        st.integers(0, 12), st.sampled_from(["LE07", "LC08", "LC09"]), st.sampled_from([9, 10])
    ),
    min_size=1,
    unique=True,
)


@given(days, st.integers(1, 5), st.randoms())
@pytest.mark.deep
def test_plans_do_not_depend_on_order_and_chunks_never_part_a_day(
    days: list[tuple[int, str, int]], size: int, random: object
) -> None:
    rows = [
        {
            "sensor": s,
            "place": f"03{v:02d}",
            "date": f"2022-06-{d + 1:02d}T{17 + v - 9}:0{s[3]}:00.5Z",
        }
        for d, s, v in days
    ]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    plan, other = (plan_observations(items_table(*r), CORNER) for r in (rows, shuffled))
    assert plan.observations.equals(other.observations)
    assert plan.records.drop(columns="item_id").equals(other.records.drop(columns="item_id"))
    assert len(plan.observations) == len({(d, s) for d, s, _ in days})
    chunks = plan.chunks(size)
    assert [i for c in chunks for i in range(c.start, c.stop)] == list(
        range(len(plan.observations))
    )
    in_chunks = [set(plan.observations["day"][c]) for c in chunks]
    assert sum(map(len, in_chunks)) == len(set().union(*in_chunks))


@given(days, st.data())
@pytest.mark.deep
def test_selecting_observations_keeps_their_records(
    days: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    rows = [
        {"sensor": s, "place": f"03{v:02d}", "date": f"2022-06-{d + 1:02d}T17:00:00.5Z"}
        for d, s, v in days
    ]
    plan = plan_observations(items_table(*rows), CORNER)
    count = len(plan.observations)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    part = plan.select(keep)
    assert part.observations["item_ids"].tolist() == plan.observations["item_ids"][keep].tolist()
    for row, ids in enumerate(part.observations["item_ids"]):
        assert (
            part.records.loc[part.records["observation"] == row, "item_id"].tolist() == ids.split()
        )


def test_a_part_is_what_is_selected_of_its_observations() -> None:
    places = ["0309", "0409", "0310", "0410"]
    items = items_table(
        *(
            {"place": place, "date": f"2020-07-{day:02d}T18:30:00.5Z", "sensor": sensor}
            for day in range(1, 9)
            for sensor in ("LC08", "LC09")
            for place in places[: 1 + day % 4]
        )
    )
    plan = plan_observations(items, CORNER)
    count = len(plan.observations)
    for start in range(count):
        for stop in range(start + 1, count + 1):
            part = plan.part(slice(start, stop))
            chosen = [start <= n < stop for n in range(count)]
            pd.testing.assert_frame_equal(part.records, plan.select(chosen).records)
            pd.testing.assert_frame_equal(part.observations, plan.select(chosen).observations)


def record(values: object, qa: object) -> np.ndarray:
    """A record (band, y, x) with the same value in all six bands."""
    return np.array([values] * 6 + [qa], dtype=np.uint16)


def test_overlapping_records_are_not_added() -> None:
    """The first valid one wins, where a sum would make a value that nobody measured."""
    a, b = record([[10, 0, 30]], [[CLEAR, 1, CLEAR]]), record([[11, 21, 31]], [[CLEAR] * 3])
    merged = merge_records(np.stack([a, b]), [0])
    assert merged[0, 0].tolist() == [[10, 21, 30]]
    assert merged[0, 6].tolist() == [[CLEAR] * 3]


def test_a_pixel_is_never_mixed_of_two_records() -> None:
    a, b = record([[10]], [[CLEAR]]), record([[20]], [[CLEAR]])
    a[2] = 0
    assert merge_records(np.stack([a, b]), [0])[0, :6, 0, 0].tolist() == [10, 10, 0, 10, 10, 10]


disjoint = st.integers(2, 4).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.uint16, (7, 4, 4)),
        hnp.arrays(np.int8, (4, 4), elements=st.integers(0, n - 1)),
        st.permutations(range(n)),
    )
)


@given(disjoint)
def test_disjoint_records_merge_to_the_whole_in_any_order(
    case: tuple[np.ndarray, np.ndarray, list[int]],
) -> None:
    whole, owner, order = case
    nothing = record(0, 1)[:, None, None]
    parts = np.stack([np.where(owner == n, whole, nothing) for n in order])
    merged = merge_records(parts, [0])[0]
    told = (whole[6] & 1 == 0) | (whole[:6] != 0).any(axis=0)
    assert (merged[:, told] == whole[:, told]).all()
    assert (merged[:6, ~told] == 0).all()
    assert (merged[6, ~told] & 1 == 1).all()
    assert (merged[:6] == parts[:, :6].sum(axis=0)).all()


def test_runs_of_records_merge_separately() -> None:
    parts = np.stack([record([[n]], [[CLEAR]]) for n in (1, 2, 3, 4)])
    assert merge_records(parts, [0, 1, 3])[:, 0, 0, 0].tolist() == [1, 2, 4]


@pytest.mark.parametrize("qa", [0, 3])
def test_qa_may_stand_anywhere(qa: int) -> None:
    records = np.zeros((2, 4, 1, 1), np.uint16)
    records[0, :, 0, 0], records[0, qa] = 5, 1
    records[1, :, 0, 0], records[1, qa] = 7, CLEAR
    assert merge_records(records, [0], qa)[0, (qa + 1) % 4].item() == 7
