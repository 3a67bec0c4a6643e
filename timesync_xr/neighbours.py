"""Which plots of a list lie so close that their chips need the same blocks of an asset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from .grid import ChipGrid
from .landsat import TILE_SIZE
from .plots import Plot

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
