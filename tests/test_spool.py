"""The spool against a plain dict: what it gives is right, and the newest are never missing."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.spool import Spool

LIMIT = 100
steps = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60)), max_size=60)


@given(steps)
def test_gives_what_was_put_or_nothing(puts: list[tuple[int, int]]) -> None:
    spool, put = Spool(LIMIT), dict[int, bytes]()
    for serial, (key, size) in enumerate(puts):
        data = bytes([serial]) * size
        spool.put((key,), data)
        put[key] = data
        assert spool.get((key,)) == data
        assert all(spool.get((k,)) in (None, v) for k, v in put.items())


@given(steps)
def test_keeps_the_newest_that_fill_half(puts: list[tuple[int, int]]) -> None:
    spool = Spool(2 * LIMIT)
    for serial, (_, size) in enumerate(puts):
        spool.put((serial,), bytes(size))
    total = 0
    for serial, (_, size) in reversed(list(enumerate(puts))):
        total += size
        if total <= LIMIT:
            assert spool.get((serial,)) is not None


def test_drops_by_the_start_of_keys() -> None:
    spool = Spool(LIMIT)
    for key in (("a", 1), ("a", 2), ("b", 1)):
        spool.put(key, b"x")
    spool.drop(("a",))
    assert [spool.get(key) for key in (("a", 1), ("a", 2), ("b", 1))] == [None, None, b"x"]


def test_takes_what_is_larger_than_all_for_nothing() -> None:
    spool = Spool(LIMIT)
    spool.put((1,), bytes(LIMIT + 1))
    assert spool.get((1,)) is None


def test_keeps_nothing_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    spool = Spool(LIMIT)
    spool.put((1,), b"x")
    assert spool.get((1,)) is None
