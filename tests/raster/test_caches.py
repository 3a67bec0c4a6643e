"""Caches: what they give is what was put, and the newest are never missing."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.raster.caches import Cache, Spool

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


def test_cache_keeps_what_was_used_last_within_its_limit() -> None:
    cache = Cache[str](10, len)
    for key in "abc":
        cache.put((key,), 4 * key)
    b, c, d = "bbbb", "cccc", "dddd"
    assert (cache.get(("a",)), cache.get(("b",)), cache.get(("c",))) == (None, b, c)
    cache.get(("b",))
    cache.put(("d",), d)
    assert (cache.get(("b",)), cache.get(("c",)), cache.get(("d",))) == (b, None, d)
    cache.put(("d",), "DDDDDD")
    assert (cache.get(("b",)), cache.get(("d",))) == (b, "DDDDDD")
    cache.put(("e",), 11 * "e")
    assert cache.get(("e",)) is None
    cache.put(("x", 1), "x")
    cache.drop(("x",))
    assert cache.get(("x", 1)) is None
    assert cache._size == 0
