"""Trying again what failed: how often, how long, and with which pauses.

obstore repeats nothing by itself (`NO_RETRIES`): it could not tell anyone that it waits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from obstore.store import RetryConfig

T = TypeVar("T")


_PASSING: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may pass."""

_LASTING: Final = frozenset({501, 505, 506, 508, 510, 511, 525, 526})
"""Statuses from 500 on that tell of what the server is, or how it is set up, and stay."""


def is_passing(status: int) -> bool:
    """Whether the same request may get another answer later than this status of HTTP.

    A status that is not known counts as the first of its hundred (RFC 9110, section 15), and what
    is no status at all as a fault of the server.
    """
    return status in _PASSING or (status >= 500 and status not in _LASTING)


def retried(call: Callable[[], T], pause: Callable[[int, Exception], float | None]) -> T:
    """What ``call`` returns, called until it does.

    After each error ``pause`` gets the number of calls that failed so far and the error. It returns
    the seconds to wait before the next call; None to give up, which raises the error.
    """
    for failed in count(1):
        try:
            return call()
        except Exception as error:
            seconds = pause(failed, error)
            if seconds is None:
                raise
        time.sleep(seconds)
    raise AssertionError("counting has no end")


def growing(first: float, failed: int, longest: float) -> float:
    """Seconds to wait after some calls failed: ``first``, doubled for each, half of it at random.

    So clients that failed together do not come back together.
    """
    jitter = random.uniform(0.5, 1)  # noqa: S311 - no secret
    return jitter * min(first * 2.0 ** min(failed - 1, 60), longest)


NO_RETRIES: Final[RetryConfig] = {"max_retries": 0}
"""What stores are made with."""
