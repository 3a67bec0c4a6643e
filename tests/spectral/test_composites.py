from __future__ import annotations

import math
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import chips, cube_of
from timesync_xr import composite_rgb, stretch, tasseled_cap, to_collection1
from timesync_xr.errors import InputError
from timesync_xr.landsat import BANDS, SR_BANDS, TASSELED_CAP_CRIST
from timesync_xr.spectral.composites import COMPOSITES, Composite


def test_tasseled_cap_is_orthonormal() -> None:
    """Rows of unit length at right angles, as far as four decimals can tell."""
    rows = np.array(list(TASSELED_CAP_CRIST.values()))
    rounding = 2 * 0.5e-4 * np.abs(rows).sum(axis=1).max()
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=rounding)


@given(chips(times=1, size=2))
@pytest.mark.deep
def test_tasseled_cap_is_the_exact_sum(cube: xr.DataArray) -> None:
    values = to_collection1(cube)
    made = tasseled_cap(values)
    for name, row in TASSELED_CAP_CRIST.items():
        for y, x in np.ndindex(2, 2):
            pixel = values.isel(time=0, y=y, x=x)
            exact = float(
                sum(
                    Fraction(str(weight)) * int(pixel.sel(band=band))
                    for band, weight in zip(SR_BANDS, row, strict=True)
                )
            )
            if (cube.isel(time=0, y=y, x=x).sel(band=list(SR_BANDS)) == 0).any():
                exact = math.nan
            component = made.sel(component=name).isel(time=0, y=y, x=x)
            np.testing.assert_array_equal(component, exact)


def test_tasseled_cap_of_reflectance_agrees_with_that_of_integers() -> None:
    values = to_collection1(
        cube_of(np.random.default_rng(1).integers(7273, 43636, (3, 7, 9, 9), np.uint16))
    )
    whole, real = tasseled_cap(values), tasseled_cap(values / 10000)
    np.testing.assert_allclose(real, whole / 10000, atol=1e-12)


@given(st.integers(-3000, 3000), st.integers(1, 9000))
def test_stretch_is_monotone_and_meets_its_ends(low: int, width: int) -> None:
    values = np.arange(-20000, 20000, dtype=np.int32)
    made = stretch(values, low, low + width)
    assert made.dtype == np.uint8
    assert (np.diff(made.astype(int)) >= 0).all()
    assert made[values <= low].max() == 0
    assert made[values > low + width].min() == 255
    assert made[values == low + width].item() >= 254


def test_stretch_truncates() -> None:
    assert stretch(np.array([0.0, 0.99, 1.0, 1.99, 254.99, 255.0]), 0, 255).tolist() == [
        0,
        0,
        1,
        1,
        254,
        255,
    ]


@given(chips(times=1, size=3))
@pytest.mark.deep
def test_bands_composites_are_stretched_collection1_values(cube: xr.DataArray) -> None:
    values = to_collection1(cube)
    black = (cube.sel(band=list(SR_BANDS)) == 0).any("band")
    for name in ("b743", "b432"):
        chosen = COMPOSITES[name]
        made = composite_rgb(cube, name)
        for channel, band, limits in zip("rgb", chosen.channels, chosen.limits, strict=True):
            expected = stretch(values.sel(band=band), *limits).where(~black, 0)
            assert (made.sel(rgb=channel) == expected).all()


@given(chips(times=1, size=3))
def test_tasseled_cap_composite_is_the_stretched_tasseled_cap(cube: xr.DataArray) -> None:
    components = tasseled_cap(to_collection1(cube))
    black = (cube.sel(band=list(SR_BANDS)) == 0).any("band")
    made = composite_rgb(cube, "tc")
    for channel, name, limits in zip(
        "rgb", components["component"].values, COMPOSITES["tc"].limits, strict=True
    ):
        expected = stretch(components.sel(component=name), *limits).where(~black, 0)
        assert (made.sel(rgb=channel) == expected).all()


@pytest.mark.parametrize("band", SR_BANDS)
@pytest.mark.parametrize("name", list(COMPOSITES))
def test_fill_in_any_band_is_black(band: str, name: str) -> None:
    cube = cube_of(np.full((1, 7, 3, 3), 20000, dtype=np.uint16))
    cube.loc[{"band": band, "y": 1, "x": 2}] = 0
    made = composite_rgb(cube, name).isel(time=0)
    assert (made.isel(y=1, x=2) == 0).all()
    assert (made.any("rgb").sum() == 8).item()


@given(chips(times=3), st.permutations(list(BANDS)))
@pytest.mark.deep
def test_order_of_bands_does_not_matter(cube: xr.DataArray, order: list[str]) -> None:
    shuffled = cube.sel(band=order)
    for name in COMPOSITES:
        xr.testing.assert_equal(composite_rgb(shuffled, name), composite_rgb(cube, name))
    values = to_collection1(cube)
    xr.testing.assert_equal(tasseled_cap(to_collection1(shuffled)), tasseled_cap(values))


@pytest.mark.parametrize("name", list(COMPOSITES))
def test_lazy_twin(name: str) -> None:
    cube = cube_of(np.random.default_rng(2).integers(0, 2**16, (5, 7, 6, 8), np.uint16))
    lazy = composite_rgb(cube.chunk(time=2), name)
    assert isinstance(lazy.data, da.Array)
    assert lazy.dims == ("time", "y", "x", "rgb")
    assert lazy.dtype == np.uint8
    xr.testing.assert_identical(lazy.compute(), composite_rgb(cube, name))
    parted = tasseled_cap(to_collection1(cube.chunk(time=2, band=3)))
    xr.testing.assert_identical(parted.compute(), tasseled_cap(to_collection1(cube)))


@pytest.mark.parametrize("function", [tasseled_cap, lambda cube: composite_rgb(cube, "b432")])
def test_missing_band_is_named(function: object) -> None:
    cube = cube_of(np.ones((1, 7, 2, 2), dtype=np.uint16)).drop_sel(band=["red", "swir22"])
    with pytest.raises(InputError, match="lacks red, swir22: its bands are blue, green"):
        function(cube)  # type: ignore[operator]


def test_unnamed_bands_are_refused() -> None:
    with pytest.raises(InputError, match="no named bands"):
        tasseled_cap(xr.DataArray(np.ones((6, 2, 2)), dims=("band", "y", "x")))


def test_unknown_composite_names_the_choices() -> None:
    cube = cube_of(np.ones((1, 7, 2, 2), dtype=np.uint16))
    with pytest.raises(InputError, match="tc, b743, b432"):
        composite_rgb(cube, "b742")
    for channel in ("nvdi", "ndvi@huang2002", "red@huang2002", "wetness@huang2020", "Red", ""):
        with pytest.raises(InputError, match=r"there is no (channel|tasseled cap) .*choose from"):
            composite_rgb(cube, Composite("x", ("red", channel, "blue"), ((0, 1),) * 3))


def test_a_chip_without_pixels_is_empty() -> None:
    assert composite_rgb(cube_of(np.ones((2, 7, 4, 0), np.uint16)), "tc").shape == (2, 4, 0, 3)


def test_bands_and_components_of_one_composite_are_those_of_others() -> None:
    dn = np.random.default_rng(3).integers(0, 30000, (2, 7, 60, 40)).astype(np.uint16)
    b743, tc = COMPOSITES["b743"], COMPOSITES["tc"]
    limits = (b743.limits[1], tc.limits[2], tc.limits[2])
    mixed = Composite("mixed", ("nir08", "wetness", "greenness"), limits)
    odd = Composite("odd", tc.channels, (tc.limits[0], tc.limits[2], tc.limits[1]))
    made = composite_rgb(cube_of(dn), mixed).to_numpy()
    assert (made[..., 0] == composite_rgb(cube_of(dn), b743).to_numpy()[..., 1]).all()
    assert (made[..., 1] == composite_rgb(cube_of(dn), tc).to_numpy()[..., 2]).all()
    assert (made[..., 2] == composite_rgb(cube_of(dn), odd).to_numpy()[..., 1]).all()


def test_stretch_of_small_integers_does_not_overflow() -> None:
    assert stretch(np.array([32000, -32000], dtype=np.int16), -2245, 843).tolist() == [255, 0]


def test_limits_are_those_of_the_contract() -> None:
    """What becomes 0 and what just becomes 255, written out."""
    ends = {
        "b743": ((-904, 3696), (151, 4951), (-300, 2500)),
        "b432": ((151, 4951), (-300, 2500), (50, 1150)),
        "tc": ((604, 5592), (49, 3147), (-2245, 843)),
    }
    assert {name: composite.limits for name, composite in COMPOSITES.items()} == ends
    assert COMPOSITES["b743"].channels == ("swir22", "nir08", "red")
    assert COMPOSITES["b432"].channels == ("nir08", "red", "green")
