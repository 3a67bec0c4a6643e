"""What acts come to: rules of vertices, any order, undoing; tables by year."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given

from tests.interpret.making import DAYS, act, label, random_acts, start, whole
from timesync_xr.errors import InputError
from timesync_xr.interpret.answers import Act, check_act, interpret
from timesync_xr.interpret.tables import labels_by_year, segment_table, vertex_table, year_table


def made(*acts: Act) -> Any:
    return interpret([check_act(one) for one in acts], "1001", "2", "ann")


def test_first_and_last_are_there_and_stay() -> None:
    one = made(start(), act(2, "remove", day=DAYS[0]), act(3, "remove", day=DAYS[-1]))
    assert one.days == [DAYS[0], DAYS[-1]]
    assert len(one.missing) == 3 * 2 - 1


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_n_vertices_need_3n_minus_1_labels(count: int) -> None:
    one = made(
        start(), *(act(2 + i, "vertex", day=day) for i, day in enumerate(DAYS[1 : 1 + count]))
    )
    assert len(one.missing) == 3 * (count + 2) - 1
    assert not one.is_complete


def test_complete_with_all_labels() -> None:
    assert made(*whole()).is_complete
    assert not made(*whole()[:4]).is_complete


def test_a_moved_vertex_keeps_its_labels_and_its_place() -> None:
    one = made(*whole(), act(8, "move", day="1996-08-09", to="1997-07-27"))
    assert one.vertices["1997-07-27"]["change_process"] == "Fire"
    assert (
        made(*whole(), act(8, "move", day="1996-08-09", to="1980-01-01")).days
        == made(*whole()).days
    )
    ends = made(*whole(), act(8, "move", day=DAYS[0], to="1990-07-01"))
    assert ends.days[0] == "1990-07-01"


def test_undo_and_its_undoing() -> None:
    acts = whole()
    back = act(8, "undo", act=acts[3]["id"])
    assert made(*acts, back).missing == [
        ("1996-08-09", n) for n in ("dominant_landuse", "dominant_landcover", "change_process")
    ]
    assert made(*acts, back, act(9, "undo", act=back["id"])) == made(*acts)


@given(random_acts())
def test_order_and_repetition_do_not_matter(acts: list[Act]) -> None:
    mixed = [*acts, *acts]
    random.Random(1).shuffle(mixed)
    assert interpret(mixed, "1001", "2", "ann") == interpret(acts, "1001", "2", "ann")


@given(random_acts())
def test_an_undone_act_is_as_if_it_had_not_been(acts: list[Act]) -> None:
    """Of acts with numbers of their own, which nothing else undoes."""
    numbered = [one | {"seq": number} for number, one in enumerate(acts, 1) if one["do"] != "undo"]
    if not numbered:
        return
    gone = numbered[len(numbered) // 2]
    back = act(99, "undo", act=gone["id"])
    with_it = interpret([*numbered, back], "1001", "2", "ann")
    without = interpret([one for one in numbered if one["id"] != gone["id"]], "1001", "2", "ann")
    assert with_it == without


@pytest.mark.parametrize(
    "change",
    [
        {"who": "../x"}, {"who": "=cmd"}, {"who": "CON"}, {"project": "a/b"}, {"plot": ".."},
        {"plot": 2},
        {"day": "1996-13-01"}, {"day": "1996-02-30"}, {"seq": 0}, {"seq": True}, {"seq": 2**60},
        {"at": "yesterday"}, {"v": 2}, {"do": "eval"}, {"extra": 1}, {"id": "x"}, {"legend": ""},
        {"set": {"dominant_landuse": "a\u2028b"}}, {"set": {"other": "x"}},
        {"set": {"comments": "x" * 256}},
        {"set": {"comments": 5}}, {"set": {"comments": " x"}}, {"set": []}, {"tool": "\x00"},
    ],
)  # fmt: skip
def test_what_is_no_act_is_refused(change: dict[str, Any]) -> None:
    good = act(1, "label", day="1996-08-09", set={"comments": "x"})
    assert check_act(good)
    with pytest.raises(InputError, match="no act"):
        check_act(good | change)


def test_a_label_for_every_year() -> None:
    """The state of the last vertex so far, the process of its segment."""
    one = made(*whole())
    rows = {year: rest for year, *rest in labels_by_year(one)}
    assert list(rows) == list(range(1984, 2026))
    assert rows[1984] == ["Forest", "Trees", "Fire"]
    assert rows[1995] == ["Forest", "Trees", "Fire"]
    assert rows[1996] == ["Forest", "Grass/forb/herb", "Fire"]
    assert rows[1997] == ["Forest", "Grass/forb/herb", "Growth"]
    assert rows[2025] == ["Forest", "Trees", "Growth"]
    assert len(year_table([one])) == 42


def test_two_vertices_of_one_year() -> None:
    one = made(
        *whole(),
        act(8, "vertex", day="1996-09-10"),
        label(9, "1996-09-10", "Other", "Water", "Hydrology"),
    )
    rows = {year: rest for year, *rest in labels_by_year(one)}
    assert rows[1996] == ["Other", "Water", "Hydrology"]
    assert rows[1997] == ["Other", "Water", "Growth"]


def test_tables_of_vertices_and_segments() -> None:
    one = made(*whole())
    vertices, segments = vertex_table([one]), segment_table([one])
    assert vertices["doy"].tolist() == [221, 222, 214]
    assert vertices["change_process"].tolist() == ["", "Fire", "Growth"]
    assert segments[["first_year", "last_year", "change_process"]].to_numpy().tolist() == [
        [1984, 1996, "Fire"],
        [1996, 2025, "Growth"],
    ]
