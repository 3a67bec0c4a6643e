from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.storage.retry import growing, retried


@pytest.mark.parametrize(("failures", "calls", "told"), [(0, 1, "done"), (2, 3, "done"), (9, 4, 4)])
def test_it_calls_until_it_works_or_is_given_up(
    monkeypatch: pytest.MonkeyPatch, failures: int, calls: int, told: object
) -> None:
    naps: list[float] = []
    made = 0

    def call() -> str:
        nonlocal made
        made += 1
        if made <= failures:
            raise ValueError(made)
        return "done"

    def pause(failed: int, error: Exception) -> float | None:
        assert error.args == (failed,)
        return None if failed == 4 else failed / 10

    monkeypatch.setattr("time.sleep", naps.append)
    if failures < 4:
        assert retried(call, pause) == told
    else:
        with pytest.raises(ValueError, match=f"^{told}$"):
            retried(call, pause)
    assert made == calls
    assert naps == [n / 10 for n in range(1, calls)]


@given(st.integers(1, 2000))
def test_pauses_double_up_to_the_longest(failed: int) -> None:
    whole = min(0.1 * 2 ** min(failed - 1, 10), 5)
    assert whole / 2 <= growing(0.1, failed, 5) <= whole
