"""Grids in whole pixels: lattices, the regions of ARD with their tiles, and the chip around a plot.

Coordinates are metres of the grid. Columns count eastwards and rows southwards from the grid's
upper left corner, in pixels of 30 m; all arithmetic on them is exact integer arithmetic.

The grid ``utm`` is that of Landsat's scenes: a lattice for each of the 60 zones of UTM. Its x
begins with the zone, as EPSG's zoned grid systems have it: 33 454 545 is 454 545 m in zone 33. So
two numbers say where a plot lies anywhere on Earth. Its y goes on below 0 south of the equator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import index
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from .errors import InputError, did_you_mean
from .landsat import PIXEL, TILE_SIZE

if TYPE_CHECKING:
    from pyproj import Transformer

Tile = tuple[int, int]
"""An ARD tile as (h, v)."""

NEAR: Final = 1e-6
"""How far a number may be off that stands for another, such as an edge in metres.

Other software writes edges of pixels, and numbers of a grid, that are rounded.
"""


def is_near(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether numbers are as many as others and the same but for a rounding."""
    if found == expected:  # as most are
        return True
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(abs(a - b) <= NEAR for a, b in pairs)


@dataclass(frozen=True)
class Lattice:
    """Square pixels of 30 m that cover a plane."""

    name: str
    """Name of the grid, such as CU or EPSG:3035."""
    crs: str = field(repr=False)
    """Its coordinate reference system as WKT or by its EPSG code; its unit is the metre."""
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

    def local(self, x: float, y: float) -> tuple[Lattice, float, float]:
        """The lattice that holds a point, and the point in the metres of its own CRS."""
        return self, x, y

    def from_degrees(self, lon: float, lat: float) -> tuple[float, float]:
        """The point (x, y) of WGS 84 degrees; infinite where it has none."""
        if not (abs(lon) <= 360 and abs(lat) <= 90):
            return math.inf, math.inf
        x, y = transformer(DEGREES, self.crs).transform(lon, lat)
        return float(x), float(y)

    def misfit(self, x: float, y: float) -> str:
        """Why the grid does not suit a point that it has; "" if it does."""
        return "" if self.has_pixel(*self.pixel(x, y)) else "lies outside"


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


DEGREES: Final = "EPSG:4326"
"""Longitude and latitude on WGS 84."""


@cache
def transformer(crs: str, to: str) -> Transformer:
    """The way from one CRS to another, x or longitude first; making one takes 20 ms."""
    from pyproj import Transformer

    return Transformer.from_crs(crs, to, always_xy=True)


_LEAST, _MOST = PIXEL / 2, PIXEL * 2
"""Metres on the ground that the edge of a pixel of 30 m may have."""


@dataclass(frozen=True)
class PlaneGrid(Lattice):
    """The lattice of a projected CRS that has an EPSG code."""

    def misfit(self, x: float, y: float) -> str:
        """Why the grid does not suit a point: its pixels there are far from 30 m."""
        from pyproj import Geod

        lon, lat = transformer(self.crs, DEGREES).transform(
            [x, x + PIXEL, x], [y, y, y - PIXEL], errcheck=False
        )
        if not all(map(math.isfinite, (*lon, *lat))):
            return "lies outside"
        edges = Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])[2]
        if all(_LEAST <= edge <= _MOST for edge in edges):
            return ""
        size = " x ".join(f"{edge:.0f}" for edge in edges)
        return (
            f"is not what {self.name} is for (a pixel would be {size} m there), so it lies outside"
        )


ZONES: Final = range(1, 61)
"""Zones of UTM."""

_ZONE_WIDTH: Final = 1_000_000
"""What x of the grid utm counts on by from zone to zone."""

_ZONE_COLUMNS: Final = 40_000
"""Columns kept for a zone; it has fewer."""

_SOUTH: Final = 10_000_000
"""What UTM adds to northings in the codes of the southern hemisphere."""

_CENTRES: Final = PIXEL // 2
"""Edges of the pixels of Landsat's scenes modulo 30 m: their centres are multiples of it."""


@dataclass(frozen=True)
class Utm(Lattice):
    """The grid utm: of each zone of UTM the pixels of Landsat's scenes."""

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of the pixel that holds a point; see `Lattice.pixel`."""
        zone, east = self._zone(x)
        col, row = utm_lattice(zone).pixel(east, y)
        return zone * _ZONE_COLUMNS + col, row

    def has_pixel(self, col: int, row: int) -> bool:
        """Whether the pixel lies in a zone, and in the latitudes that UTM is for."""
        north = abs(utm_lattice(1).center(0, row)[1])
        return col // _ZONE_COLUMNS in ZONES and north < 9_350_000

    def center(self, col: int, row: int) -> tuple[float, float]:
        """Centre (x, y) of a pixel in metres, x with its zone."""
        zone, col = divmod(col, _ZONE_COLUMNS)
        x, y = utm_lattice(zone).center(col, row)
        return zone * _ZONE_WIDTH + x, y

    def local(self, x: float, y: float) -> tuple[Lattice, float, float]:
        """The lattice of the zone, and the point in its own metres."""
        zone, east = self._zone(x)
        return utm_lattice(zone), east, y

    def from_degrees(self, lon: float, lat: float) -> tuple[float, float]:
        """The point (x, y) in the zone of its longitude; infinite beyond 80 S and 84 N."""
        if not (abs(lon) <= 360 and -80 <= lat <= 84):
            return math.inf, math.inf
        zone = zone_of(lon)
        x, y = utm_lattice(zone).from_degrees(lon, lat)
        return zone * _ZONE_WIDTH + x, y

    @staticmethod
    def _zone(x: float) -> tuple[int, float]:
        zone = min(max(math.floor(x / _ZONE_WIDTH), 0), 61)
        return zone, x - zone * _ZONE_WIDTH


def zone_of(lon: float) -> int:
    """The zone of UTM of a longitude in degrees; those around Norway have no exceptions here."""
    return math.floor((lon + 180) % 360 / 6) % 60 + 1


@cache
def utm_lattice(zone: int) -> Lattice:
    """The pixels of Landsat's scenes in a zone of UTM; y goes on below 0 in the south."""
    code = f"EPSG:{32600 + zone}"
    return PlaneGrid(code, code, _CENTRES, _CENTRES)


def degrees_of(grid: Lattice, x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude (WGS 84) of a point of a grid."""
    lattice, x, y = grid.local(x, y)
    lon, lat = transformer(lattice.crs, DEGREES).transform(x, y)
    return float(lon), float(lat)


UTM: Final = Utm("utm", "UTM on WGS 84", 0, 0)
"""The grid of Landsat's scenes: that of the zone of each plot."""


def frame(name: str) -> tuple[str, int]:
    """The grid whose metres a grid has, by name, and what it adds to northings.

    The two codes of a zone of UTM have the same plane: EPSG:32733 is EPSG:32633 and 10,000 km.
    """
    south = re.fullmatch(r"EPSG:327(0[1-9]|[1-5]\d|60)", name)
    return (f"EPSG:326{south[1]}", _SOUTH) if south else (name, 0)


@cache
def epsg_grid(code: int) -> Lattice:
    """The grid of a projected CRS by its EPSG code; `InputError` for what can't be one.

    UTM on WGS 84 has the pixels of Landsat's scenes. Of any other CRS the edges of the pixels are
    multiples of 30 m.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    name = f"EPSG:{code}"
    plane, added = frame(name)
    if re.fullmatch(r"EPSG:326(0[1-9]|[1-5]\d|60)", plane):
        return PlaneGrid(name, name, _CENTRES, _CENTRES + added)
    try:
        crs = CRS.from_epsg(code)
    except CRSError:
        raise InputError(
            f"there is no CRS {name}: give utm, or the code of a projected one"
        ) from None
    if not crs.is_projected or crs.is_compound or len(crs.axis_info) != 2:
        what = "is in degrees, so that its pixels can't be 30 m" if crs.is_geographic else (
            "is no projected CRS"
        )  # fmt: skip
        raise InputError(f"the grid {name} {what}: give utm, or a projected one like EPSG:3035")
    if any(axis.unit_conversion_factor != 1 for axis in crs.axis_info):
        raise InputError(
            f"the grid {name} is in {crs.axis_info[0].unit_name}, not in metres: give utm, or "
            "another one"
        )
    ways = sorted(axis.direction for axis in crs.axis_info)
    if ways not in (["east", "north"], ["north", "north"], ["south", "south"]):  # these are polar
        raise InputError(
            f"the axes of {name} point to the {' and '.join(ways)}, not to the east and north: "
            "give utm, or another one"
        )
    return PlaneGrid(name, name, 0, 0)


def get_grid(name: str | Lattice) -> Lattice:
    """The grid of this name, or the grid itself.

    Names are CU, AK and HI for those of ARD, utm for that of Landsat's scenes, and EPSG:3035 and
    the like for that of a projected CRS in metres. `InputError` for any other.
    """
    if isinstance(name, Lattice):
        return name
    text = str(name)
    if text.lower() == UTM.name:
        return UTM
    if found := re.fullmatch(r"epsg:(\d{4,6})", text, re.ASCII | re.IGNORECASE):
        return epsg_grid(int(found[1]))
    try:
        return REGIONS[name]
    except (KeyError, TypeError):
        code = re.fullmatch(r"(?:.*\D)?(\d{4,6})", text, re.ASCII)
        near = epsg_grid(int(code[1])).name if code else ""  # says what is wrong with its CRS
        meant = f" (did you mean {near!r}?)" if near else did_you_mean(name, [*REGIONS, UTM.name])
        raise InputError(
            f"there is no grid {name!r}{meant}: choose one of "
            f"{', '.join(REGIONS)}, utm, or a projected CRS like EPSG:3035"
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
    """The pixels of a chip: a window of a grid around the plot's pixel.

    The plot pixel has index ``width // 2`` from the left and ``height // 2`` from the top, both
    counted from 0: the middle of an odd size, the first pixel past the middle of an even one.
    """

    lattice: Lattice
    """Grid that the pixels belong to."""
    plot_col: int
    """Column of the plot pixel in the grid."""
    plot_row: int
    """Row of the plot pixel in the grid."""
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
        lattice, x, y = lattice.local(x, y)
        return cls(lattice, *lattice.pixel(x, y), *chip_shape(size))

    def __str__(self) -> str:
        """Which pixels these are, as logs keep it: grid, column and row of the plot, and size."""
        return f"{self.lattice.name} {self.plot_col} {self.plot_row} {self.width}x{self.height}"

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


def tile_name(tile: Tile) -> str:
    """A tile (h, v) as the table of TimeSync names it: (3, 4) is "0304"."""
    return f"{tile[0]:02d}{tile[1]:02d}"


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
