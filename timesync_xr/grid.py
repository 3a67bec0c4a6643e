"""Grids in whole pixels: lattices, the regions of ARD with their tiles, and the chip around a plot.

Coordinates are metres of the grid. Columns count eastwards and rows southwards from the grid's
upper left corner, in pixels of 30 m; all arithmetic on them is exact integer arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .landsat import PIXEL, TILE_SIZE
from .spelling import did_you_mean

Tile = tuple[int, int]
"""An ARD tile as (h, v)."""

NEAR: Final = 1e-6
"""How far a number may be off that stands for another, such as an edge in metres.

Other software writes edges of pixels, and numbers of a grid, that are rounded.
"""


def is_near(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether numbers are as many as others and the same but for a rounding."""
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(abs(a - b) <= NEAR for a, b in pairs)


@dataclass(frozen=True)
class Lattice:
    """Square pixels of 30 m that cover a plane."""

    name: str
    """Name of the grid, such as CU."""
    crs: str = field(repr=False)
    """Its coordinate reference system as WKT; its unit is the metre."""
    left: int
    """x of the left edge of column 0 in metres."""
    top: int
    """y of the upper edge of row 0 in metres."""

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of the pixel that holds a point.

        A pixel owns its left and its upper edge. The point may lie outside the grid.
        """
        return math.floor((x - self.left) / PIXEL), math.floor((self.top - y) / PIXEL)

    def has_pixel(self, col: int, row: int) -> bool:  # noqa: ARG002 - a lattice has no end
        """Whether the pixel lies in the grid."""
        return True

    def center(self, col: int, row: int) -> tuple[float, float]:
        """Centre (x, y) of a pixel in metres; whole numbers on this grid."""
        return self.left + col * PIXEL + PIXEL / 2, self.top - row * PIXEL - PIXEL / 2


@dataclass(frozen=True)
class Region(Lattice):
    """One of the three grids of Landsat U.S. ARD (Collection 2): a lattice cut into tiles."""

    tiles_across: int
    """Number of tiles from west to east (h)."""
    tiles_down: int
    """Number of tiles from north to south (v)."""
    parallels: tuple[float, float]
    """Standard parallels of the Albers projection in degrees."""
    origin: tuple[float, float]
    """Latitude and longitude of the projection's origin in degrees."""

    def corner(self, tile: Tile) -> tuple[int, int]:
        """Upper left corner (x, y) of a tile in metres."""
        h, v = tile
        return self.left + h * TILE_SIZE * PIXEL, self.top - v * TILE_SIZE * PIXEL

    def has_tile(self, tile: Tile) -> bool:
        """Whether the grid holds this tile."""
        h, v = tile
        return 0 <= h < self.tiles_across and 0 <= v < self.tiles_down

    def has_pixel(self, col: int, row: int) -> bool:
        """Whether the pixel lies in the grid."""
        return self.has_tile((col // TILE_SIZE, row // TILE_SIZE))


def _albers(parallels: tuple[float, float], origin: tuple[float, float]) -> str:
    """Albers equal area on WGS 84 as WKT, which has no EPSG code.

    ``parallels`` are the standard ones, ``origin`` is latitude and longitude, all in degrees.
    """
    return (
        'PROJCS["AEA WGS84",GEOGCS["WGS 84",DATUM["WGS_1984",'
        'SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
        'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
        'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],'
        'AUTHORITY["EPSG","4326"]],PROJECTION["Albers_Conic_Equal_Area"],'
        f'PARAMETER["latitude_of_center",{origin[0]:g}],'
        f'PARAMETER["longitude_of_center",{origin[1]:g}],'
        f'PARAMETER["standard_parallel_1",{parallels[0]:g}],'
        f'PARAMETER["standard_parallel_2",{parallels[1]:g}],'
        'PARAMETER["false_easting",0],PARAMETER["false_northing",0],'
        'UNIT["metre",1,AUTHORITY["EPSG","9001"]],'
        'AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    )


def _region(
    name: str,
    corner: tuple[int, int],
    tiles: tuple[int, int],
    parallels: tuple[float, float],
    origin: tuple[float, float],
) -> Region:
    return Region(name, _albers(parallels, origin), *corner, *tiles, parallels, origin)


REGIONS: Final = {
    r.name: r
    for r in (
        _region("CU", (-2565585, 3314805), (33, 22), (29.5, 45.5), (23, -96)),
        _region("AK", (-2201715, 2474325), (26, 14), (55, 65), (50, -154)),
        _region("HI", (-444345, 2168895), (5, 3), (8, 18), (3, -157)),
    )
}
"""Grids of Landsat Collection 2 U.S. ARD: the conterminous states, Alaska and Hawaii."""


def get_grid(name: str | Lattice) -> Lattice:
    """The grid of this name (CU, AK or HI), or the grid itself; `InputError` for any other name."""
    if isinstance(name, Lattice):
        return name
    try:
        return REGIONS[name]
    except (KeyError, TypeError):
        raise InputError(
            f"there is no region {name!r}{did_you_mean(name, REGIONS)}: choose one of "
            f"{', '.join(REGIONS)}"
        ) from None


ChipSize = int | Sequence[int]
"""Width and height of a chip in pixels; one number is both."""


def chip_shape(size: ChipSize) -> tuple[int, int]:
    """Width and height of a chip; `InputError` for what is neither one nor two whole numbers."""
    try:
        pair: Any = (size, size) if np.isscalar(size) else size
        width, height = pair
        return index(width), index(height)
    except (TypeError, ValueError):
        raise InputError(
            f"a chip size is (width, height) or one whole number for both, not {size!r}"
        ) from None


@dataclass(frozen=True)
class ChipGrid:
    """The pixels of a chip: a window of the region's grid around the plot's pixel.

    The plot pixel has index ``width // 2`` from the left and ``height // 2`` from the top, both
    counted from 0: the middle of an odd size, the first pixel past the middle of an even one.
    """

    lattice: Lattice
    """Grid that the pixels belong to."""
    plot_col: int
    """Column of the plot pixel in the region's grid."""
    plot_row: int
    """Row of the plot pixel in the region's grid."""
    width: int = 255
    """Pixels from west to east."""
    height: int = 255
    """Pixels from north to south."""

    def __post_init__(self) -> None:
        if not (1 <= self.width <= TILE_SIZE and 1 <= self.height <= TILE_SIZE):
            raise InputError(
                f"a chip of {self.width} x {self.height} pixels can't be made: "
                f"choose a width and a height from 1 to {TILE_SIZE}"
            )

    @classmethod
    def around(cls, lattice: Lattice, x: float, y: float, size: ChipSize) -> ChipGrid:
        """The chip of ``size`` around the pixel that holds the point (x, y)."""
        return cls(lattice, *lattice.pixel(x, y), *chip_shape(size))

    @property
    def plot_index(self) -> tuple[int, int]:
        """Index (row, column) of the plot pixel in a chip array."""
        return self.height // 2, self.width // 2

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Outer edges (left, bottom, right, top) in metres."""
        left = self.lattice.left + (self.plot_col - self.width // 2) * PIXEL
        top = self.lattice.top - (self.plot_row - self.height // 2) * PIXEL
        return left, top - self.height * PIXEL, left + self.width * PIXEL, top

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """Pixel centres from west to east in metres, ``width`` values."""
        return self.bounds[0] + PIXEL / 2 + PIXEL * np.arange(self.width, dtype=np.float64)

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """Pixel centres from north to south in metres, ``height`` values, descending."""
        return self.bounds[3] - PIXEL / 2 - PIXEL * np.arange(self.height, dtype=np.float64)


def tiles_of(chip: ChipGrid) -> tuple[Tile, ...]:
    """Tiles (h, v) of a region that a chip touches, the plot's own tile first."""
    region = chip.lattice
    if not isinstance(region, Region):
        raise InputError(f"the grid {region.name} has no tiles: take one of {', '.join(REGIONS)}")
    own = chip.plot_col // TILE_SIZE, chip.plot_row // TILE_SIZE
    first_col, first_row = chip.plot_col - chip.width // 2, chip.plot_row - chip.height // 2
    hs = range(first_col // TILE_SIZE, (first_col + chip.width - 1) // TILE_SIZE + 1)
    vs = range(first_row // TILE_SIZE, (first_row + chip.height - 1) // TILE_SIZE + 1)
    touched = [(h, v) for h in hs for v in vs if region.has_tile((h, v))]
    return tuple(sorted(touched, key=lambda tile: tile != own))
