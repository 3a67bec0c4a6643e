from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr.storage.retry import growing, is_passing, retried


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


def test_statuses_that_pass_and_those_that_last() -> None:
    """What RFC 9110, 6585, 7725 and 2774 say of each; what they do not know is that of its 100."""
    passing = {408, 409, 425, 429, 500, 502, 503, 504, 507}
    passing |= {509, 520, 521, 522, 523, 524, 529, 530, 598, 599, 999}
    lasting = {101, 204, 300, 301, 304, 308, 400, 401, 403, 404, 405, 410, 412, 413, 416, 418}
    lasting |= {419, 422, 451, 499, 501, 505, 506, 508, 510, 511, 525, 526}
    assert {status for status in passing | lasting if is_passing(status)} == passing
