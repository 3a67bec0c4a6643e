"""Where a chip's pixels lie in scenes of other planes: the definition, GDAL, and plain windows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling

from timesync_xr.grid import ChipGrid, Lattice, get_grid, transformer, zone_of
from timesync_xr.raster import footing
from timesync_xr.raster.footing import Footing, turned_pixels
from timesync_xr.raster.tiff import Window


class Pair(NamedTuple):
    """A plot, the grid of its chip, and the zone of a scene."""

    lon: float
    lat: float
    grid: str
    zone: int


def pairs() -> list[Pair]:
    """Plots of all grids in their own zone and in the next one, in both hemispheres."""
    places = {
        "CU": [(-122.4, 44.2), (-113.9, 33.1), (-105.3, 40.1), (-96.1, 38.2), (-90.02, 43.9),
               (-84.1, 40.3), (-80.9, 26.1), (-69.2, 45.8)],
        "AK": [(-149.8, 61.3), (-156.2, 70.9), (-133.2, 55.4)],
        "HI": [(-155.6, 19.6), (-157.9, 21.4), (-159.7, 22.05)],
        "utm": [(7.65, 46.5), (-0.2, 51.5), (24.9, 60.2), (36.8, -1.3), (18.4, -33.9),
                (-60.1, -3.1), (-70.9, -53.1), (149.1, -35.3), (179.93, -17.6),
                (-179.96, 66.2), (5.99, 0.02)],
        "EPSG:3035": [(7.65, 46.5), (15.1, 68.2)],
        "EPSG:2193": [(175.1, -39.2)],
        "EPSG:32733": [(18.4, -33.9)],
        "EPSG:3031": [(166.7, -77.8)],
    }  # fmt: skip
    found = []
    for grid, points in places.items():
        for lon, lat in points:
            own = zone_of(lon)
            beside = own % 60 + 1 if math.fmod(lon + 180, 6) > 3 else (own - 2) % 60 + 1
            zones = {"utm": (beside,), "EPSG:32733": (own,)}.get(grid, (own, beside))
            found += [Pair(lon, lat, grid, zone) for zone in zones]
    return found


PAIRS = pairs()
SIZE = 255


def chip_of(pair: Pair, size: int = SIZE) -> ChipGrid:
    grid = get_grid(pair.grid)
    return ChipGrid.around(grid, *grid.from_degrees(pair.lon, pair.lat), size)


def corner_of(chip: ChipGrid) -> tuple[int, int]:
    return chip.bounds[0], chip.bounds[3]


def centres(chip: ChipGrid, zone: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The centres of a chip's pixels in the columns and rows of a zone's lattice, not cut off."""
    to_zone = Transformer.from_crs(chip.lattice.crs, f"EPSG:{32600 + zone}", always_xy=True)
    x, y = to_zone.transform(*np.meshgrid(chip.x, chip.y))
    return (np.asarray(x) - 15) / 30, (15 - np.asarray(y)) / 30


def warped(
    numbers: npt.NDArray[np.uint32], corner: tuple[int, int], zone: int, chip: ChipGrid
) -> npt.NDArray[np.uint32]:
    """What GDAL makes of a file for a chip."""
    height, width = numbers.shape
    chip_left, _, _, chip_top = chip.bounds
    kind = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint32"}
    place = rasterio.Affine(30, 0, corner[0], 0, -30, corner[1])
    with MemoryFile() as memory:
        with memory.open(**kind, crs=f"EPSG:{32600 + zone}", transform=place) as file:
            file.write(numbers, 1)
        with memory.open() as file, WarpedVRT(
            file, crs=chip.lattice.crs, width=SIZE, height=SIZE, tolerance=1e-7,
            resampling=Resampling.nearest,
            transform=rasterio.Affine(30, 0, chip_left, 0, -30, chip_top),
        ) as turned:  # fmt: skip
            read: npt.NDArray[np.uint32] = turned.read(1)
    return read


def test_there_are_enough_pairs() -> None:
    assert len(PAIRS) >= 40
    assert {pair.grid for pair in PAIRS} > {"CU", "AK", "HI", "utm"}
    assert {pair.lat > 0 for pair in PAIRS} == {True, False}
    assert {1, 60} <= {pair.zone for pair in PAIRS}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p.grid}-{p.lon}-{p.lat}-{p.zone}")
@pytest.mark.cases(6)
def test_every_pixel_is_the_one_of_the_definition_and_of_gdal(pair: Pair) -> None:
    """GDAL at a tolerance of 1e-7 px; pixels within 1e-6 px of an edge are not compared to it."""
    chip = chip_of(pair)
    col, row = centres(chip, pair.zone)
    left, top = 15 + 30 * (math.floor(col.min()) - 9), 15 - 30 * (math.floor(row.min()) - 7)
    width, height = (int(np.ptp(axis)) + 20 for axis in (col, row))
    footing = Footing.of(
        chip.lattice, corner_of(chip), (SIZE, SIZE), f"EPSG:{32600 + pair.zone}", (left, top)
    )
    numbers = np.arange(width * height, dtype=np.uint32).reshape(height, width)
    inside = footing.inside(width, height)
    assert inside == footing.window
    window = numbers[
        inside.row : inside.row + inside.height, inside.col : inside.col + inside.width
    ]
    assert footing.turned is not None
    found = np.take(window.reshape(-1), footing.turned.index)

    in_col, in_row = col - (left - 15) / 30, row - (15 - top) / 30
    expected = np.floor(in_row).astype(int) * width + np.floor(in_col).astype(int)
    np.testing.assert_array_equal(found, expected)

    by_gdal = warped(numbers, (left, top), pair.zone, chip)
    to_edge = np.minimum(np.abs(in_col - np.rint(in_col)), np.abs(in_row - np.rint(in_row)))
    other_datum = pair.grid in ("EPSG:3035", "EPSG:2193")  # its step is not the same in all PROJs
    sure = to_edge > (1e-4 if other_datum else 1e-6)
    assert (~sure).sum() < (40 if other_datum else 5)
    np.testing.assert_array_equal(found[sure], by_gdal[sure])


@pytest.mark.parametrize("pair", PAIRS[::5], ids=str)
def test_the_plot_pixel_alone_is_that_of_the_chip(pair: Pair) -> None:
    chip, one = chip_of(pair), chip_of(pair, 1)
    place = f"EPSG:{32600 + pair.zone}", (-299_985, 6_000_015)
    whole = Footing.of(chip.lattice, corner_of(chip), (SIZE, SIZE), *place)
    alone = Footing.of(one.lattice, corner_of(one), (1, 1), *place)
    assert whole.turned is not None
    row, col = divmod(int(whole.turned.index[SIZE // 2, SIZE // 2]), whole.window.width)
    assert alone.window == Window(whole.window.col + col, whole.window.row + row, 1, 1)


def test_an_index_serves_all_dates_of_a_zone() -> None:
    """Scenes begin elsewhere on each date; the chip, the zone and the phase are the same."""
    chip = chip_of(PAIRS[0])
    zone = f"EPSG:{32600 + PAIRS[0].zone}"
    made = [
        Footing.of(chip.lattice, corner_of(chip), (SIZE, SIZE), zone, (353_685 + 30 * n, 5_374_215))
        for n in range(5)
    ]
    assert len({id(footing.turned) for footing in made}) == 1
    assert [made[0].window.col - footing.window.col for footing in made] == [0, 1, 2, 3, 4]


@given(
    st.sampled_from([1, 31, 33, 60]),
    st.integers(-333_000, 333_000),
    st.integers(166_000, 834_000),
    st.integers(-3000, 3000),
    st.integers(-3000, 3000),
    st.booleans(),
)
def test_in_its_own_zone_a_chip_is_a_plain_window(
    zone: int, north: int, east: int, col: int, row: int, south: bool
) -> None:
    """Also of the grid of the code for the south, which adds 10,000 km to northings."""
    grid = get_grid(f"EPSG:{(32700 if south else 32600) + zone}")
    chip = ChipGrid.around(grid, east, 30 * north + (10_000_000 if south else 0), (9, 11))
    left, _, _, top = chip.bounds
    top -= 10_000_000 * south
    file = left - 30 * col, top + 30 * row
    footing = Footing.of(chip.lattice, corner_of(chip), (9, 11), f"EPSG:{32600 + zone}", file)
    assert footing.turned is None
    assert footing.window == Window(col, row, 9, 11)


def test_a_file_half_a_pixel_off_gives_the_pixel_right_of_and_below_the_centre() -> None:
    chip = ChipGrid.around(get_grid("EPSG:32632"), 400_000, 5_000_000, 3)
    left, _, _, top = chip.bounds
    footing = Footing.of(chip.lattice, (left, top), (3, 3), "EPSG:32632", (left - 15, top + 15))
    assert footing.window == Window(1, 1, 3, 3)


@pytest.mark.parametrize("zone", ["EPSG:32610", "EPSG:32640", "EPSG:3031"])
def test_a_scene_of_the_other_side_of_the_earth_holds_none(zone: str) -> None:
    chip = chip_of(Pair(7.65, 46.5, "utm", 32))
    footing = Footing.of(chip.lattice, corner_of(chip), (SIZE, SIZE), zone, (300_015, 5_300_015))
    assert footing.inside(8000, 8000) is None


@pytest.mark.parametrize("pair", PAIRS[::4], ids=str)
def test_pixels_that_are_wanted_are_those_of_the_index(pair: Pair) -> None:
    chip = chip_of(pair, 31)
    turned = turned_pixels(
        chip.lattice, corner_of(chip), (31, 31), f"EPSG:{32600 + pair.zone}", (15, 15)
    )
    assert turned is not None
    wanted = {divmod(n, turned.window.width) for n in turned.index.ravel().tolist()}
    assert {(int(r), int(c)) for r, c in np.argwhere(turned.wanted)} == wanted
    assert {min(r for r, _ in wanted), min(c for _, c in wanted)} == {0}


def test_a_lattice_of_ones_own_is_native_by_its_name() -> None:
    mine = Lattice("mine", get_grid("CU").crs, 0, 0)
    assert Footing.of(mine, (30, 60), (2, 2), "mine", (0, 90)).window == Window(1, 1, 2, 2)


class Broken:
    """A way between two planes that is another one beyond a line, and counts the points asked."""

    def __init__(self, way: Transformer, line: tuple[float, float, float], jump: float) -> None:
        self.way, self.line, self.jump, self.points = way, line, jump, 0

    def transform(self, x: Any, y: Any) -> tuple[Any, Any]:
        self.points += np.size(x)
        east, north = self.way.transform(x, y)
        a, b, c = self.line
        return east + self.jump * (a * np.asarray(x) + b * np.asarray(y) > c), north


def test_pyproj_is_asked_for_few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    chip, to = chip_of(PAIRS[0]), f"EPSG:{32600 + PAIRS[0].zone}"
    way = Broken(transformer(chip.lattice.crs, get_grid(to).crs), (0, 0, 0), 0)
    monkeypatch.setattr(footing, "transformer", lambda *_: way)
    turned_pixels.cache_clear()
    turned_pixels(chip.lattice, corner_of(chip), (SIZE, SIZE), to, (15, 15))
    assert 0 < way.points < SIZE * SIZE / 30


@given(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)),
    st.sampled_from([0.0, 1e-7, 1e-3, 0.4, 100.0]),
    st.sampled_from([33, 100]),
)
@settings(max_examples=20, deadline=None)
def test_where_another_formula_holds_for_a_part_no_pixel_is_wrong(
    line: tuple[float, float, float], jump: float, size: int
) -> None:
    """As where two datums meet; the definition is the transformation of every centre."""
    chip, to = chip_of(PAIRS[0], size), f"EPSG:{32600 + PAIRS[0].zone}"
    left, top = corner_of(chip)
    a, b, c = line
    beyond = a, b, a * (left + size * 15) + b * (top - size * 15) + c * size * 30
    way = Broken(transformer(chip.lattice.crs, get_grid(to).crs), beyond, jump)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footing, "transformer", lambda *_: way)
        turned_pixels.cache_clear()
        turned = turned_pixels(chip.lattice, (left, top), (size, size), to, (15, 15))
        xs = np.broadcast_to(left + 15 + 30.0 * np.arange(size), (size, size))
        ys = np.broadcast_to(top - 15 - 30.0 * np.arange(size)[:, None], (size, size))
        cols, rows = footing.pixels_of(chip.lattice, xs, ys, to, (15, 15))
    turned_pixels.cache_clear()
    assert turned is not None
    col, row, width, _ = turned.window
    np.testing.assert_array_equal(turned.index % width + col, cols)
    np.testing.assert_array_equal(turned.index // width + row, rows)
