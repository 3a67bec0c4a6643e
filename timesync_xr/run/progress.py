"""Progress of a run: a bar in a terminal or a notebook, plain lines in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from ..errors import counted
from ..storage.waiting import listening

_LOG_SECONDS = 30
"""How often a log file gets a line."""


class Progress:
    """Counts plots and observations, and tells whoever shows them."""

    def __init__(self, plots: int, already: int) -> None:
        self.plots, self.already = plots, already
        self.done, self.incomplete, self.observations = already, 0, 0
        self.changed: Callable[[], None] = lambda: None
        self.tell: Callable[[str], None] = lambda _: None
        self._start = time.monotonic()

    def advance(self, observations: int) -> None:
        """Some more observations are done."""
        self.observations += observations
        self.changed()

    def plot_done(self, *, complete: bool) -> None:
        """A plot is done."""
        self.done += 1
        self.incomplete += not complete
        self.changed()

    @property
    def pace(self) -> str:
        """Plots per hour so far, and the time left at this rate; "" before the first plot."""
        made, seconds = self.done - self.already, time.monotonic() - self._start
        if not made:
            return ""
        left = timedelta(seconds=round((self.plots - self.done) * seconds / made))
        return f", {3600 * made / seconds:.0f} plots/h, {left} left"

    @property
    def note(self) -> str:
        """The counts beside the plots."""
        failed = f", {counted(self.incomplete, 'plot')} incomplete" if self.incomplete else ""
        return f"{counted(self.observations, 'observation')}{failed}"


@contextmanager
def show_progress(plots: int, already: int, wanted: bool) -> Iterator[Progress]:
    """The progress of a run, shown on standard error in the way that suits where that goes."""
    progress = Progress(plots, already)
    if not wanted:
        yield progress
    elif has_bar():
        with _bar(progress):
            yield progress
    else:
        with _log(progress):
            yield progress


def has_bar() -> bool:
    """Whether a bar suits: lines of a log would go through it."""
    is_logging = logging.getLogger("timesync_xr").isEnabledFor(logging.INFO)
    return (sys.stderr.isatty() or "ipykernel" in sys.modules) and not is_logging


@contextmanager
def _bar(progress: Progress) -> Iterator[None]:
    """A bar over plots: in a terminal, or as a widget in a notebook."""
    from tqdm.auto import tqdm

    with tqdm(total=progress.plots, initial=progress.already, unit="plot") as bar:
        waited_for = ""

        def show() -> None:
            bar.set_postfix_str(waited_for or progress.note, refresh=False)
            bar.update(progress.done - bar.n)

        def wait(text: str, _: bool) -> None:
            nonlocal waited_for
            waited_for = text
            bar.set_postfix_str(text or progress.note)

        progress.changed, progress.tell = show, lambda text: bar.write(text, sys.stderr)
        with listening(wait):
            yield


@contextmanager
def _log(progress: Progress) -> Iterator[None]:
    """A line now and then, and one at the end."""
    start = shown = time.monotonic()

    def line() -> None:
        before = f" ({progress.already} before)" if progress.already else ""
        of_all = f"{progress.done}/{counted(progress.plots, 'plot')}{before}"
        text = f"{of_all}, {progress.note}{progress.pace}"
        tell(f"{text}, {time.monotonic() - start:.0f} s")

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def show() -> None:
        nonlocal shown
        if time.monotonic() - shown >= _LOG_SECONDS:
            shown = time.monotonic()
            line()

    progress.changed, progress.tell = show, tell
    try:
        with listening(lambda text, is_news: tell(text) if is_news else None):
            yield
    finally:
        line()
