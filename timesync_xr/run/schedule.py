"""In which order the plots of a list are done, by which worker, and which of them share blocks.

Plots of one tile read the same headers, so they are done one after the other by one worker, and
those that lie near each other, which may need the same blocks, are close in time. But interpreters
begin with the first plots while the last are not made yet, so that plots move only within a
stretch of the list.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Final

from ..grid import ChipGrid
from ..landsat import TILE_SIZE
from ..plots import Plot

STRETCH: Final = 2000
"""Plots of the list within which those of a tile are brought together."""


AT_ONCE: Final = 8
"""Batches of a plot's observations that another process takes at once."""


NEAR: Final = 256 * 30
"""Metres: the edge of a block. Plots of such a cell are done one after the other."""


class PlotQueue:
    """Plots that wait, in runs of one tile; a worker keeps to its run while there are others.

    ``tile_of`` tells the tile that holds a plot. Several threads may take plots.
    """

    def __init__(self, plots: Sequence[Plot], tile_of: Callable[[Plot], Hashable]) -> None:
        self._runs = list(_runs(plots, tile_of))
        self._run_of: dict[str, deque[Plot]] = {}
        self._left = len(plots)
        self._lock = Lock()
        self.is_stopped = False
        """Whether nobody waits for its plots any more, also for those that are being made."""

    def __len__(self) -> int:
        return self._left

    def __iter__(self) -> Iterator[Plot]:
        """All plots that wait, in the order in which one worker would do them."""
        return (plot for run in self._runs for plot in run)

    def next(self, worker: str) -> Plot | None:
        """Take the next plot for a worker; None where none waits."""
        with self._lock:
            run = self._run_of.get(worker)
            if not run:
                run = self._run_of[worker] = self._fresh(worker)
            if not run:
                return None
            self._left -= 1
            return run.popleft()

    def forget(self, workers: Iterable[str]) -> None:
        """These workers are gone: what they had begun is free for others."""
        with self._lock:
            for worker in workers:
                self._run_of.pop(worker, None)

    def stop(self) -> None:
        """Let those who make its plots end, whatever they are at."""
        self.is_stopped = True

    def _fresh(self, worker: str) -> deque[Plot]:
        """The first run that no other worker is at, or else the longest."""
        self._runs = [run for run in self._runs if run]
        taken = {id(run) for other, run in self._run_of.items() if other != worker}
        free = (run for run in self._runs if id(run) not in taken)
        return next(free, None) or max(self._runs, key=len, default=deque())


Part = tuple[int, int]
"""Observations of a plan, from one up to another."""


class PartQueue:
    """Batches of a plot's observations that wait: one process takes the first, others the last."""

    def __init__(self, batches: Iterable[slice]) -> None:
        self._batches = deque(batches)
        self._lock = Lock()
        self.is_stopped = False
        """As of a `PlotQueue`."""

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[slice]:
        """Takes one batch after the other, until none waits."""
        while True:
            with self._lock:
                if not self._batches:
                    return
                batch = self._batches.popleft()
            yield batch

    def next(self, _worker: str) -> Part | None:
        """Take some of the last for another process; None where none waits."""
        with self._lock:
            taken = [self._batches.pop() for _ in range(min(AT_ONCE, len(self._batches)))]
        return (taken[-1].start, taken[0].stop) if taken else None

    def forget(self, workers: Iterable[str]) -> None:
        """As of a `PlotQueue`: nobody has begun anything that others would not take."""

    def stop(self) -> None:
        """Let those who make its batches end, whatever they are at."""
        self.is_stopped = True


def _runs(plots: Sequence[Plot], tile_of: Callable[[Plot], Hashable]) -> Iterator[deque[Plot]]:
    """Plots of a stretch and a tile, the tiles as they first come in the list."""
    for start in range(0, len(plots), STRETCH):
        runs: dict[Hashable, list[Plot]] = {}
        for plot in plots[start : start + STRETCH]:
            runs.setdefault(tile_of(plot), []).append(plot)
        yield from (deque(sorted(run, key=_place)) for run in runs.values())


def _place(plot: Plot) -> tuple[int, int]:
    """The cell of a coarse grid that a plot lies in, by rows of cells."""
    return -int(plot.y // NEAR), int(plot.x // NEAR)


BLOCK: Final = 256
"""Edge of a block of ARD's assets in pixels. Other sizes only make the answer less exact."""

Block = tuple[int, int, int, int]
"""Tile (h, v), and column and row of a block in it."""


def with_neighbours(plots: Sequence[Plot], chip_of: Callable[[Plot], ChipGrid]) -> set[Plot]:
    """The plots whose chips touch a block that the chip of another plot touches too."""
    blocks = {plot: set(blocks_of(chip_of(plot))) for plot in plots}
    users = Counter(block for of_plot in blocks.values() for block in of_plot)
    return {plot for plot, of_plot in blocks.items() if any(users[b] > 1 for b in of_plot)}


def blocks_of(chip: ChipGrid) -> Iterator[Block]:
    """The blocks that a chip touches."""
    cols = list(_along(chip.plot_col - chip.width // 2, chip.width))
    for v, row in _along(chip.plot_row - chip.height // 2, chip.height):
        yield from ((h, v, col, row) for h, col in cols)


def _along(first: int, length: int) -> Iterable[tuple[int, int]]:
    """Tile and block of the pixels first..first+length along one axis."""
    pixels = [*range(first, first + length, BLOCK), first + length - 1]
    starts = (n // TILE_SIZE * TILE_SIZE for n in pixels)
    touched = {(p // TILE_SIZE, (p - s) // BLOCK) for p, s in zip(pixels, starts, strict=True)}
    last = first + length - 1
    edge = last // TILE_SIZE * TILE_SIZE
    if first < edge <= last:  # a step may jump over the last, narrow block of a tile
        touched |= {((edge - 1) // TILE_SIZE, (TILE_SIZE - 1) // BLOCK), (edge // TILE_SIZE, 0)}
    return sorted(touched)
