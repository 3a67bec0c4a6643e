"""Telling that a service is waited for: once each time that it is away, however many requests wait.

A run shows it in its progress (`listening`), a worker of a cluster hands it on to the run
(`hand_on`); elsewhere it is one warning in the log, which Python shows where nobody has set up
another log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .access import clean

_LOG = logging.getLogger(__name__)

Listener = Callable[[str, bool], None]
"""Gets what is to be shown now, "" once the service answers, and whether that is worth a line."""

_SOON: Final = 1.0
"""Seconds of waiting for one request from which on it is told."""

_SELDOM: Final = 60.0
"""Seconds after a line of a service in which it gets no other, for one that comes and goes."""

_lock = threading.Lock()
_listeners: Final[list[Listener]] = []
_leads: Final[dict[str, Wait | None]] = {}
"""The services that are away, with the request of each that is told of."""
_lines: Final[dict[str, float]] = {}
"""When each service had its last line."""
_elsewhere: Callable[[str, str], None] | None = None


class Wait:
    """The tries of one request, from the first that fails."""

    def __init__(self, service: str, tries: int) -> None:
        self.service, self.tries = clean(service), tries
        self._failed, self._start = 0, time.monotonic()

    def before_next(self, failed: int, cause: str, seconds: float) -> None:
        """So many tries have failed, and the next one follows after some seconds."""
        self._failed = failed
        if time.monotonic() + seconds - self._start < _SOON:
            return
        with _lock:
            if (_leads.get(self.service) or self) is not self:
                return  # another request is told of
            _leads[self.service] = self
        tell(self.service, f"{self.service}: {cause}, trying again ({failed + 1} of {self.tries})")

    def answered(self) -> None:
        """The service has answered."""
        if self.service in _leads:
            with _lock:
                _leads.pop(self.service, None)
            tell(self.service, "")

    def gave_up(self) -> str:
        """There is no further try. What was tried, in words for an error; "" for a single try."""
        with _lock:
            if _leads.get(self.service) is self:
                _leads[self.service] = None  # it is still away
        tried, seconds = self._failed + 1, time.monotonic() - self._start
        return f" (tried {tried} times in {seconds:.0f} s)" if self._failed else ""


def tell(service: str, text: str) -> None:
    """Tell who listens what is waited for; "" where a service answers again."""
    if _elsewhere is not None and not _listeners:
        _elsewhere(service, text)
        return
    now = time.monotonic()
    with _lock:
        is_news = bool(text) and now - _lines.get(service, -_SELDOM) >= _SELDOM
        if text:
            _lines[service] = now  # so that a service that stays away gets one line
        listener = _listeners[-1] if _listeners else _log
    listener(text, is_news)


def _log(text: str, is_news: bool) -> None:
    if is_news:
        _LOG.warning("%s", text)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told in place of the log."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def hand_on(to: Callable[[str, str], None] | None) -> None:
    """Have another process told in place of the log of this one, as `tell` is; None to end that."""
    global _elsewhere  # noqa: PLW0603 - one for the process, as the log is
    _elsewhere = to
