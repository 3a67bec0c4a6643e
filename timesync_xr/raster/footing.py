"""Where the pixels of a chip lie in a file.

A pixel of a chip takes the pixel of the file whose cell holds its centre; a cell owns its left and
its upper edge. Where chip and file have the same plane these pixels are a plain window of the file.
Where they have not, the centres are transformed by pyproj in double precision, and an index tells
for each pixel of the chip which one of the window it is. The index depends on the chip, the plane
and the place of the edges modulo 30 m alone, so that all dates, scenes and bands share one.

A chip is so small that a polynomial tells its centres to a millionth of a metre. Pyproj is asked
for the few that make it, for those along the edge of the chip, which must agree, and for all
centres within 3 cm of an edge of a cell: those farther off lie in the same cell by both. So the
index is pyproj's own, pixel by pixel. Where the polynomial does not fit, as across the border of
two datums or on a grid of shifts, pyproj is asked for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

from ..grid import Lattice, frame, get_grid, transformer
from ..landsat import PIXEL
from .tiff import UInt16Array, Window

Pair = tuple[int, int]
"""Two whole numbers, of x and of y."""

_NODES: Final = 8
"""Nodes of the polynomial along each axis."""

_FITS: Final = 1e-5
"""Metres by which the polynomial may be off along the edge of the chip, and which its last terms
may have."""

_UNSURE: Final = 1e-3
"""Pixels off an edge of a cell within which pyproj itself is asked: 3,000 times as much."""

_FEW: Final = 32**2
"""Pixels of a chip up to which pyproj is asked for all of them."""

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
    x = corner[0] + PIXEL / 2 + PIXEL * np.arange(size[0], dtype=np.float64)
    y = corner[1] - PIXEL / 2 - PIXEL * np.arange(size[1], dtype=np.float64)
    cols, rows = _pixels_of_raster(lattice, x, y, grid, phase)
    edges = [float(edge) for part in (cols, rows) for edge in (part.min(), part.max())]
    if not np.isfinite(edges).all():
        return None
    col, right, row, bottom = map(int, edges)
    width, height = right - col + 1, bottom - row + 1
    if width * height > _TURNED * max(size[0] * size[1], PIXEL**2):
        return None
    index = ((rows - row) * width + (cols - col)).astype(np.intp)
    wanted = np.zeros(width * height, dtype=bool)
    wanted[index.ravel()] = True
    return Turned(Window(col, row, width, height), index, wanted.reshape(height, width))


_Floats = npt.NDArray[np.float64]


def _pixels_of_raster(
    lattice: Lattice, x: _Floats, y: _Floats, grid: str, phase: Pair
) -> tuple[_Floats, _Floats]:
    """As `pixels_of` for all points of a raster, (y, x) each; most of them by a polynomial."""
    near = _polynomial(lattice, x, y, grid) if len(x) * len(y) > _FEW else None
    if near is None:
        return pixels_of(lattice, *np.meshgrid(x, y), grid, phase)
    across, down = (near[0] - phase[0]) / PIXEL, (phase[1] - near[1]) / PIXEL
    unsure = np.zeros(across.shape, dtype=bool)
    found = []
    for place in (across, down):
        cell = np.floor(place)
        off = place - cell
        unsure |= (off < _UNSURE) | (off > 1 - _UNSURE)
        found.append(cell)
    cols, rows = found
    n, m = np.nonzero(unsure)
    cols[n, m], rows[n, m] = pixels_of(lattice, x[m], y[n], grid, phase)
    return cols, rows


def _polynomial(lattice: Lattice, x: _Floats, y: _Floats, grid: str) -> _Floats | None:
    """Metres (x, y) of a plane at the points of a raster, (2, y, x), by a polynomial of Chebyshev.

    None where it may be off by more than `_FITS`. All lines that part the plane in two cross the
    edge of the raster, so that points along it show where one formula does not hold for all.
    """
    to = transformer(lattice.crs, get_grid(grid).crs)
    at = _nodes(_NODES)
    nodes = [edge.mean() + np.ptp(edge) / 2 * at for edge in (x, y)]
    xs, ys = np.meshgrid(*nodes)
    values = np.array(to.transform(xs, ys))
    if not np.isfinite(values).all():
        return None
    matrix = chebyshev.chebvander(at, _NODES - 1) * 2 / _NODES
    matrix[:, 0] /= 2
    terms = matrix.T @ values @ matrix  # (2, term of y, term of x)
    if np.abs(terms[:, -2:]).max() > _FITS or np.abs(terms[..., -2:]).max() > _FITS:
        return None
    of_x = chebyshev.chebvander(np.linspace(-1, 1, len(x)), _NODES - 1)
    of_y = chebyshev.chebvander(np.linspace(1, -1, len(y)), _NODES - 1)  # from the north
    near: _Floats = of_y @ terms @ of_x.T
    for n, m in ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1)):
        xs, ys = np.broadcast_arrays(x[m], y[n])
        if not np.abs(near[:, n, m] - np.array(to.transform(xs, ys))).max() <= _FITS:
            return None
    return near


@cache
def _nodes(count: int) -> _Floats:
    """Nodes of Chebyshev, from -1 to 1."""
    nodes: _Floats = -np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return nodes


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
