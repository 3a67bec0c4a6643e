"""Annual composites against every pixel gone through, and the geometric median against scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.strategies import CLEAR
from timesync_xr import (
    annual_composite,
    composite_rgb,
    indices,
    is_clear,
    plot_pixel,
    reflectance,
    spectral_table,
    to_collection1,
)
from timesync_xr.errors import InputError
from timesync_xr.landsat import BANDS, SR_BANDS
from timesync_xr.spectral.annual_composite import geometric_median

CLOUD, SHADOW, WATER = 22280, 23888, 21952


def cube_of(seed: int = 0, size: int = 5) -> xr.DataArray:
    """Three years of eight days, spread over the year, with all kinds of pixels."""
    random = np.random.default_rng(seed)
    days = [f"{year}-{month:02d}-15" for year in (2000, 2002) for month in range(4, 12)]
    values = random.integers(7000, 30000, (len(days), len(BANDS), size, size)).astype(np.uint16)
    values[:, 6] = random.choice(
        [CLEAR, WATER, CLOUD, SHADOW, 1], (len(days), size, size), p=[0.5, 0.2, 0.1, 0.1, 0.1]
    )
    values[3, 2, 0, 0] = 0
    return xr.DataArray(
        values,
        dims=("time", "band", "y", "x"),
        coords={
            "time": pd.to_datetime(days).to_numpy(),
            "band": list(BANDS),
            "sensor": ("time", ["LC08"] * len(days)),
            "y": 30.0 * np.arange(size)[::-1],
            "x": 30.0 * np.arange(size),
        },
        attrs={"plot_x": 60.0, "plot_y": 60.0, "grid": "CU"},
        name="digital_number",
    )


def good_days(cube: xr.DataArray, year: int, y: int, x: int, rule: str) -> list[int]:
    found = []
    for n, time in enumerate(pd.DatetimeIndex(cube["time"].to_numpy())):
        bands, qa = cube.to_numpy()[n, :6, y, x].astype(int), int(cube[n, 6, y, x])
        if time.year != year or not 6 <= time.month <= 9:
            continue
        if rule == "graded" and qa in (CLEAR, WATER) and min(bands) >= 7273 and max(bands) <= 43636:
            found.append(n)
        if rule == "contract" and qa in (CLEAR, WATER, SHADOW) and min(bands) > 0:
            found.append(n)
    return found


@pytest.mark.parametrize("rule", ["graded", "contract"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.deep
def test_the_medoid_of_every_pixel_gone_through(rule: str, lazy: bool) -> None:
    cube = cube_of()
    given = cube.chunk(time=3, y=2) if lazy else cube
    made = annual_composite(given, rule=rule)
    assert made["year"].values.tolist() == [2000, 2001, 2002]
    values = cube.to_numpy()[:, :6].astype(float)
    seen = 0
    for i, year in enumerate((2000, 2001, 2002)):
        for y in range(5):
            for x in range(5):
                days = good_days(cube, year, y, x, rule)
                pixel = made.isel(year=i, y=y, x=x)
                assert pixel["count"] == len(days)
                if not days:
                    assert (pixel["digital_number"] == 0).all()
                    assert pixel["doy"] == 0
                    continue
                sums = [
                    sum(np.linalg.norm(values[a, :, y, x] - values[b, :, y, x]) for b in days)
                    for a in days
                ]
                best = days[sums.index(min(sums))]
                assert (pixel["digital_number"] == cube[best, :6, y, x].to_numpy()).all()
                assert pixel["doy"] == pd.Timestamp(cube["time"].values[best]).day_of_year
                seen += 1
    assert seen > 25


@pytest.mark.deep
def test_the_geometric_median_is_as_near_as_scipy_comes() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="see tests/oracles.txt")
    made = annual_composite(cube_of(1), "geomedian")
    assert "doy" not in made, "it is of no day"
    cube = cube_of(1)
    values = cube.to_numpy()[:, :6].astype(float)

    def total(point: Any, days: list[int], y: int, x: int) -> float:
        return float(sum(np.linalg.norm(values[n, :, y, x] - point) for n in days))

    for i, year in ((0, 2000), (2, 2002)):
        for y in range(5):
            for x in range(5):
                days = good_days(cube, year, y, x, "graded")
                if len(days) < 2:
                    continue
                point = made["digital_number"][i, :, y, x].to_numpy().astype(float)
                start = values[days, :, y, x].mean(axis=0)
                best = optimize.minimize(total, start, (days, y, x), tol=1e-9).fun
                assert total(point, days, y, x) <= best + 3, "but for rounding to whole numbers"
                if len(days) == 2:
                    np.testing.assert_allclose(point, start, atol=0.51)


def test_pulls_of_all_days_are_even_at_the_geometric_median() -> None:
    """The condition of a least sum: the unit vectors to all days add up to nothing.

    Where the median is a day itself, those to the others add up to no more than one.
    """
    random = np.random.default_rng(4)
    days = random.integers(8000, 30000, (7, 6, 300)).astype(np.uint16)
    known = random.random((7, 300)) < 0.8
    known[:3] = True
    found = geometric_median(days, known)
    away = days - found
    distance = np.linalg.norm(away, axis=1)
    others = known & (distance > 1)
    left = np.linalg.norm((away / distance[:, None] * others[:, None]).sum(axis=0), axis=0)
    at_a_day = (known & ~others).any(axis=0)
    assert at_a_day.any()
    assert left[~at_a_day].max() < 1e-2
    assert left[at_a_day].max() < 1.001


def test_a_point_that_most_days_share_is_the_geometric_median() -> None:
    """There Weiszfeld's own step divides by 0; and one day far away moves nothing."""
    days = np.array([[10000] * 6, [10000] * 6, [10000] * 6, [40000] * 6], np.uint16)[..., None]
    found = geometric_median(days, np.ones((4, 1), bool))
    np.testing.assert_allclose(found[:, 0], 10000, atol=0.5)
    alone = geometric_median(days[3:], np.ones((1, 1), bool))
    np.testing.assert_allclose(alone[:, 0], 40000)


def test_clouds_that_are_not_flagged_do_not_show() -> None:
    cube = cube_of(2)
    cube[:, :6] = 9000 + np.random.default_rng(0).integers(-50, 50, cube[:, :6].shape)
    cube[:, 6] = CLEAR
    cube[3, :6] = 40000
    for method in ("medoid", "geomedian"):
        made = annual_composite(cube, method)["digital_number"]
        assert (abs(made.sel(year=2000).astype(int) - 9000) < 100).all()


def test_it_says_what_it_is_and_is_never_taken_for_observations() -> None:
    made = annual_composite(cube_of())
    marks = {"annual_composite": "medoid", "season": "06-01/09-30", "rule": "graded"}
    assert made.attrs == marks
    numbers = made["digital_number"]
    values = to_collection1(numbers)
    for part in (
        *made.values(), values, composite_rgb(numbers, "b743"), reflectance(numbers),
        indices.nbr(values), indices.tcw(values), indices.tca(values),
    ):  # fmt: skip
        assert marks.items() <= part.attrs.items(), part.name
    assert not marks.keys() & composite_rgb(cube_of(), "b743").attrs.keys()
    assert numbers.dtype == np.uint16
    assert set(made.coords) == {"year", "band", "y", "x"}, "no sensor, item or date of any one"
    assert numbers["band"].values.tolist() == list(SR_BANDS)
    rgb = composite_rgb(numbers, "tc")
    assert rgb.dims == ("year", "y", "x", "rgb")
    assert (rgb.where(made["count"] == 0, 0) == 0).all()
    assert (plot_pixel(numbers) == numbers.isel(y=2, x=2)).all()
    with pytest.raises(InputError):
        spectral_table(numbers, "1", "2")
    assert is_clear(np.array([CLEAR], np.uint16)).all()


def test_wrong_words_are_met_by_the_right_ones() -> None:
    for options, message in (
        ({"method": "median"}, "medoid, geomedian"),
        ({"rule": "best"}, "contract, graded"),
        ({"season": "summer"}, "no season"),
    ):
        with pytest.raises(InputError, match=message):
            annual_composite(cube_of(), **options)
    with pytest.raises(InputError):
        annual_composite(cube_of().isel(time=0, drop=True))
    assert annual_composite(cube_of().isel(time=slice(0))).sizes["year"] == 0
