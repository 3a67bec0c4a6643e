from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS, ChipGrid, Region, get_grid, tiles_of

CU = REGIONS["CU"]
regions = st.sampled_from(list(REGIONS.values()))


def test_tile_corners_are_those_of_real_items(shared: Path) -> None:
    real = json.loads(
        (shared / "real/stac/landsatlook_ard_grid/ard_grid_item_properties.json").read_text()
    )
    assert real
    for properties in (entry["properties"] for entry in real):
        tile = (
            int(properties["landsat:grid_horizontal"]),
            int(properties["landsat:grid_vertical"]),
        )
        transform = properties["proj:transform"]
        assert CU.corner(tile) == (transform[2], transform[5])


def test_crs_is_the_one_of_the_items(shared: Path) -> None:
    items = json.loads((shared / "golden/real/items.json").read_text())["features"]
    wkt = items[0]["properties"]["proj:wkt2"]
    assert pyproj.CRS.from_wkt(CU.crs).equals(pyproj.CRS.from_wkt(wkt))


@pytest.mark.parametrize(
    ("name", "lon", "lat", "x", "y"),
    [("CU", -96, 23, 0, 0), ("AK", -154, 50, 0, 0), ("HI", -157, 3, 0, 0)],
)
def test_projection_has_its_origin_where_the_tables_say(
    name: str, lon: float, lat: float, x: float, y: float
) -> None:
    transform = pyproj.Transformer.from_crs("OGC:CRS84", REGIONS[name].crs, always_xy=True)
    assert transform.transform(lon, lat) == pytest.approx((x, y), abs=1e-6)


def test_honolulu_and_fairbanks_lie_in_their_regions() -> None:
    for name, lon, lat in (("HI", -157.86, 21.31), ("AK", -147.72, 64.84), ("CU", -104.99, 39.74)):
        transform = pyproj.Transformer.from_crs("OGC:CRS84", REGIONS[name].crs, always_xy=True)
        region = REGIONS[name]
        assert region.has_pixel(*region.pixel(*transform.transform(lon, lat)))


@given(
    regions,
    st.integers(0, 20000),
    st.integers(0, 14000),
    st.floats(-15, 14.999),
    st.floats(-14.999, 15),
)
def test_a_pixel_holds_all_points_around_its_centre(
    region: Region, col: int, row: int, dx: float, dy: float
) -> None:
    x, y = region.center(col, row)
    assert region.pixel(x + dx, y + dy) == (col, row)


def test_a_pixel_owns_its_left_and_upper_edge() -> None:
    x, y = CU.center(100, 200)
    assert CU.pixel(x - 15, y + 15) == (100, 200)
    assert CU.pixel(x + 15, y) == (101, 200)
    assert CU.pixel(x, y - 15) == (100, 201)


@given(
    regions,
    st.integers(0, 14999),
    st.integers(0, 14999),
    st.integers(1, 400),
    st.integers(1, 400),
)
def test_chip_agrees_with_an_affine_transform(
    region: Region, col: int, row: int, width: int, height: int
) -> None:
    grid = ChipGrid(region, col, row, width, height)
    left, bottom, right, top = grid.bounds
    assert (right - left, top - bottom) == (30 * width, 30 * height)
    transform = Affine(30, 0, left, 0, -30, top)
    i, j = grid.plot_index
    assert (grid.x[j], grid.y[i]) == transform @ (j + 0.5, i + 0.5) == region.center(col, row)
    assert (len(grid.x), len(grid.y)) == (width, height)


@given(st.integers(0, 32), st.integers(0, 21), st.integers(1, 127).map(lambda n: 2 * n + 1))
def test_corner_of_four_tiles_touches_all_that_exist(h: int, v: int, size: int) -> None:
    grid = ChipGrid(CU, h * 5000, v * 5000, size, size)
    expected = {(h + i, v + j) for i in (-1, 0) for j in (-1, 0)} & {
        (a, b) for a in range(33) for b in range(22)
    }
    assert set(tiles_of(grid)) == expected
    assert len(tiles_of(grid)) == len(expected)
    assert tiles_of(grid)[0] == (h, v)


def test_odd_chip_is_the_middle_of_a_larger_one() -> None:
    large, small = ChipGrid(CU, 7000, 7000, 255, 255), ChipGrid(CU, 7000, 7000, 99, 99)
    assert (large.x[78:177] == small.x).all()
    assert (large.y[78:177] == small.y).all()


def test_even_size_has_the_plot_past_the_middle() -> None:
    assert ChipGrid(CU, 7000, 7000, 254, 2).plot_index == (1, 127)


@pytest.mark.parametrize("size", [(0, 255), (255, -1), (5001, 255)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="pixels can't be made"):
        ChipGrid(CU, 7000, 7000, *size)


def test_unknown_region_names_the_choices() -> None:
    with pytest.raises(InputError, match="CU, AK, HI"):
        get_grid("EU")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("4326", "the grid EPSG:4326 is in degrees, so that its pixels can't be 30 m: give utm"),
        ("urn:ogc:def:crs:EPSG::4326", "EPSG:4326 is in degrees"),
        ("wgs84", r"no grid 'wgs84' \(did you mean 'utm'\?\)"),
        ("3035", r"no grid '3035' \(did you mean 'EPSG:3035'\?\)"),
        ("epsg 5070", r"\(did you mean 'EPSG:5070'\?\)"),
        ("2263", "the grid EPSG:2263 is in US survey foot"),
        ("999999", "no CRS EPSG:999999"),
    ],
)
def test_another_spelling_of_a_crs_is_met_by_what_is_right(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        get_grid(name)


@pytest.mark.parametrize("size", [99, np.int64(99), [99, 99], (99, np.int16(99))])
def test_one_number_is_both_sides_of_a_chip(size: Any) -> None:
    chip = ChipGrid.around(REGIONS["CU"], 0, 2_000_000, size)
    assert (chip.width, chip.height) == (99, 99)


@pytest.mark.parametrize("size", ["99", "ab", (99,), (99, 99, 3), (99.5, 99), 99.0, None, {}])
def test_what_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(InputError, match="chip size"):
        ChipGrid.around(REGIONS["CU"], 0, 2_000_000, size)
