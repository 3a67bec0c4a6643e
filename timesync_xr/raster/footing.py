"""Where the pixels of a chip lie in a file.

A pixel of a chip takes the pixel of the file whose cell holds its centre; a cell owns its left and
its upper edge. Where chip and file have the same plane these pixels are a plain window of the file.
Where they have not, the centres are transformed by pyproj in double precision, and an index tells
for each pixel of the chip which one of the window it is. The index depends on the chip, the plane
and the place of the edges modulo 30 m alone, so that all dates, scenes and bands share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ..grid import Lattice, frame, get_grid, transformer
from ..landsat import PIXEL
from .tiff import UInt16Array, Window

Pair = tuple[int, int]
"""Two whole numbers, of x and of y."""

_TURNED: Final = 16
"""Times as many pixels as the chip that its window may have; more are so far from their zone that
no scene of it can be near."""


@dataclass(frozen=True, eq=False)
class Turned:
    """The pixels of a chip on a lattice of another plane, whatever file holds them."""

    window: Window
    """Columns and rows of the lattice, from its own corner."""
    index: npt.NDArray[np.intp]
    """Which pixel of the window, counted by rows, each pixel of the chip is: (height, width)."""
    wanted: npt.NDArray[np.bool_]
    """Which pixels of the window (height, width) any pixel of the chip is."""


@dataclass(frozen=True, eq=False)
class Footing:
    """Where some pixels of a chip lie in a file: whole pixels of the file."""

    window: Window
    """Pixels of the file that hold them; it may reach out of the file."""
    turned: Turned | None = None
    """Which pixel of the window each of the chip's is; None where they are the window itself."""

    @classmethod
    def of(cls, lattice: Lattice, corner: Pair, size: Pair, grid: str, file: Pair) -> Footing:
        """The footing of pixels of a lattice in a file on a grid, which is told by its name.

        ``corner`` and ``file`` are the upper left corners (x, y) of the pixels and of the file in
        metres of their own planes, ``size`` is (width, height).
        """
        if grid == lattice.name:
            return cls.native(corner, file, size)
        plane, added = frame(lattice.name)
        if plane == frame(grid)[0]:
            return cls.native((corner[0], corner[1] - added), file, size)
        phase = file[0] % PIXEL, file[1] % PIXEL
        turned = turned_pixels(lattice, corner, size, grid, phase)
        if turned is None:
            return cls(Window(0, 0, 0, 0))
        col, row, width, height = turned.window
        col -= (file[0] - phase[0]) // PIXEL
        row -= (phase[1] - file[1]) // PIXEL
        return cls(Window(col, row, width, height), turned)

    @classmethod
    def native(cls, corner: Pair, file: Pair, size: Pair) -> Footing:
        """The footing where chip and file have the same plane.

        Between two lattices of which one is shifted each pixel takes the one that holds its centre.
        """
        half = PIXEL // 2
        col, row = (corner[0] + half - file[0]) // PIXEL, (file[1] - corner[1] + half) // PIXEL
        return cls(Window(int(col), int(row), *size))

    def inside(self, width: int, height: int) -> Window | None:
        """The part of the window that lies in a file of this size; None if none does."""
        col, row = max(self.window.col, 0), max(self.window.row, 0)
        right = min(self.window.col + self.window.width, width)
        bottom = min(self.window.row + self.window.height, height)
        if col >= right or row >= bottom:
            return None
        return Window(col, row, right - col, bottom - row)

    def wanted(self, inside: Window) -> npt.NDArray[np.bool_] | None:
        """Which pixels of a part of the window are wanted at all; None for all of them."""
        if self.turned is None:
            return None
        col, row = inside.col - self.window.col, inside.row - self.window.row
        return self.turned.wanted[row : row + inside.height, col : col + inside.width]

    def gather(self, box: UInt16Array, out: UInt16Array) -> None:
        """Put the pixels of the chip into ``out``; ``box`` holds those of the window."""
        assert self.turned is not None  # noqa: S101 - else the window is the chip
        np.take(box.reshape(-1), self.turned.index, out=out, mode="clip")


@lru_cache(maxsize=32)  # of one plot and a few of its zones, whole and at the plot alone
def turned_pixels(
    lattice: Lattice, corner: Pair, size: Pair, grid: str, phase: Pair
) -> Turned | None:
    """The pixels of a chip on a lattice of the plane ``grid``, edges at ``phase`` modulo 30 m.

    None where that plane has no such pixels near each other.
    """
    x = corner[0] + PIXEL / 2 + PIXEL * np.arange(size[0])
    y = corner[1] - PIXEL / 2 - PIXEL * np.arange(size[1])
    xs, ys = np.meshgrid(x, y)
    cols, rows = pixels_of(lattice, xs, ys, grid, phase)
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        return None
    col, row = int(cols.min()), int(rows.min())
    width, height = int(cols.max()) - col + 1, int(rows.max()) - row + 1
    if width * height > _TURNED * max(size[0] * size[1], PIXEL**2):
        return None
    index = ((rows - row) * width + (cols - col)).astype(np.intp)
    wanted = np.zeros(width * height, dtype=bool)
    wanted[index.ravel()] = True
    return Turned(Window(col, row, width, height), index, wanted.reshape(height, width))


def pixels_of(
    lattice: Lattice,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    grid: str,
    phase: Pair,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Columns and rows of the cells of a plane that hold points of a lattice, as whole floats.

    Infinite for what the plane does not have.
    """
    east, north = transformer(lattice.crs, get_grid(grid).crs).transform(x, y)
    with np.errstate(invalid="ignore"):
        return np.floor((east - phase[0]) / PIXEL), np.floor((phase[1] - north) / PIXEL)
