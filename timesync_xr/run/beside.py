"""More processes of this machine beside the one that runs, which begin where that pays.

They take plots of its list, or, where it is at its last plot, some of the observations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ..errors import TimesyncError
from .schedule import AT_ONCE, Part, PartQueue, PlotQueue

if TYPE_CHECKING:
    from distributed import Client

PAYS: Final = 8.0
"""Seconds of work that must be left for more processes to pay, which take some 3 s to start."""

WORKER_MEMORY: Final = 1.2e9
"""Bytes of memory that a process may come to take."""

Make = Callable[[Part], Callable[[], Any]]
"""Makes of a part what is to be called on another process."""


class Beside:
    """More processes that work beside this one, which begin as soon as that pays.

    They begin in the background, and are given their work and heard by a thread of their own.
    """

    def __init__(
        self,
        plots: PlotQueue,
        work: Callable[..., None],
        advance: Callable[[int], None],
        tell: Callable[[str], None],
    ) -> None:
        """``work`` does a ``queue`` of plots on a cluster, ``advance`` hears of observations."""
        self._plots, self._work_on, self._advance, self._tell = plots, work, advance, tell
        self._thread = ThreadPoolExecutor(1, "timesync_xr-beside")
        self._work: Future[None] | None = None
        self._is_shared = False
        self._parts: tuple[PartQueue, Make] = PartQueue([]), lambda _: lambda: None
        self._made: list[tuple[Part, Any]] = []
        self._begun, self._left, self._is_first = monotonic(), (len(plots), 0), True

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for the plots that they are at; where this process fails, end them now.

        So it is, too, where it is stopped while it waits: nobody works on once a run has ended.
        """
        try:
            if kind is None and self._work is not None:
                self._work.result()
        finally:
            self._plots.stop()
            self._parts[0].stop()
            self._thread.shutdown()

    def advance(self, observations: int) -> None:
        """Some more observations of this process are done."""
        self._advance(observations)
        if self._work is None:
            self._begin(observations)
        elif self._work.done():
            self._work.result()  # if that failed, so does the run

    def share(self, parts: PartQueue, make: Make) -> Iterator[tuple[Part, Any]]:
        """Let others make some of a plot, while this process takes the rest of ``parts``.

        Returns what they made, to be asked for when none is left: each part with what ``make`` made
        of it there, None where they died of it. It waits for what they are at.
        """
        self._parts = parts, make
        return self._made_by_others()

    def _made_by_others(self) -> Iterator[tuple[Part, Any]]:
        if self._work is None or not self._is_shared:
            return
        self._work.result()
        made, self._made, self._work = self._made, [], None
        yield from made

    def _begin(self, observations: int) -> None:
        """Begin where enough is left, if it takes as long as what was done until now.

        The first observations of all do not count: by them this process imports what it needs.
        """
        now, (parts, make) = monotonic(), self._parts
        left = len(self._plots), len(parts)
        if left[0] != self._left[0] or left[1] > self._left[1] or (self._is_first and observations):
            self._begun, self._left = now, left
            self._is_first &= not observations
        seconds, done = now - self._begun, self._left[1] - left[1]
        if left[0]:
            processes = _that_pay(left[0], seconds)
        else:
            processes = _that_pay(left[1] / AT_ONCE, seconds / done * AT_ONCE if done else 0)
        if processes < 2:
            return
        self._tell(f"Going on with {processes} processes; --workers 1 keeps to one")
        self._is_shared = not left[0]
        if left[0]:
            work = partial(self._work_on, queue=self._plots)
        else:
            work = partial(self._make_parts, parts=parts, make=make)
        self._work = self._thread.submit(self._start, processes - 1, work)

    def _start(self, processes: int, work: Callable[[Client], None]) -> None:
        """Start processes and have them work; where they can't start this one goes on alone."""
        from .cluster import local_cluster

        with ExitStack() as stack:
            try:
                client = stack.enter_context(local_cluster(processes))
            except (TimesyncError, OSError) as error:
                self._tell(f"Going on alone, as --workers 1 does: {error}")
                return
            work(client)

    def _make_parts(self, client: Client, parts: PartQueue, make: Make) -> None:
        from .cluster import work_through

        for part, made in work_through(client, parts, make):
            self._made.append((part, made))
            if made is not None:
                self._advance(part[1] - part[0])


def _that_pay(waiting: float, seconds: float) -> int:
    """How many processes are best where so much waits, of so long each; 1 for this one alone."""
    if waiting * seconds < PAYS:
        return 1
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, int(waiting) + 1, int(MEMORY_LIMIT // WORKER_MEMORY)))
