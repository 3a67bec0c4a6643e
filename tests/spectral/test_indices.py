from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr import SR_BANDS, tasseled_cap, to_collection1
from timesync_xr.errors import InputError
from timesync_xr.landsat import COLLECTION1_FILL, TASSELED_CAPS
from timesync_xr.spectral import indices

INDICES = {
    name: getattr(indices, name)
    for name in ("ndvi", "nbr", "nbr2", "ndmi", "evi", "tcb", "tcg", "tcw", "tca")
}
VEGETATION = dict(zip(SR_BANDS, (300.0, 600.0, 400.0, 4400.0, 1900.0, 900.0), strict=True))


def pixel(**bands: float) -> xr.DataArray:
    """One pixel in the Collection 1 range."""
    values = VEGETATION | bands
    return xr.DataArray(list(values.values()), dims="band", coords={"band": list(values)})


def written_out(b: float, g: float, r: float, n: float, s1: float, s2: float) -> dict[str, float]:
    """Every index in plain arithmetic."""
    tcb = 0.2043 * b + 0.4158 * g + 0.5524 * r + 0.5741 * n + 0.3124 * s1 + 0.2303 * s2
    tcg = -0.1603 * b - 0.2819 * g - 0.4934 * r + 0.7940 * n - 0.0002 * s1 - 0.1446 * s2
    tcw = 0.0315 * b + 0.2021 * g + 0.3102 * r + 0.1594 * n - 0.6806 * s1 - 0.6109 * s2
    return {
        "ndvi": (n - r) / (n + r),
        "nbr": (n - s2) / (n + s2),
        "nbr2": (s1 - s2) / (s1 + s2),
        "ndmi": (n - s1) / (n + s1),
        "evi": 2.5 * (n - r) / 1e4 / (n / 1e4 + 6 * r / 1e4 - 7.5 * b / 1e4 + 1),
        "tcb": tcb,
        "tcg": tcg,
        "tcw": tcw,
        "tca": math.degrees(math.atan(tcg / tcb)),
    }


@given(st.lists(st.integers(1, 3000), min_size=6, max_size=6))
@pytest.mark.deep
def test_every_index_is_what_is_written_out(bands: list[int]) -> None:
    values = pixel(**dict(zip(SR_BANDS, bands, strict=True))).astype(np.int16)
    for name, expected in written_out(*bands).items():
        made = INDICES[name](values)
        assert made.item() == pytest.approx(expected, rel=1e-12, abs=1e-9)
        assert made.name == name


@pytest.mark.parametrize(
    ("name", "bands", "expected"),
    [
        ("ndvi", {"nir08": 3000, "red": 1000}, 0.5),
        ("nbr", {"nir08": 1000, "swir22": 3000}, -0.5),
        ("nbr2", {"swir16": 3000, "swir22": 3000}, 0.0),
        ("ndmi", {"nir08": 9000, "swir16": 1000}, 0.8),
        ("evi", {"nir08": 5000, "red": 1000, "blue": 0}, 2.5 * 0.4 / 2.1),
    ],
)
def test_closed_forms(name: str, bands: dict[str, float], expected: float) -> None:
    assert INDICES[name](pixel(**bands)).item() == pytest.approx(expected)


def test_the_angle_of_equal_components_is_45_degrees() -> None:
    """Found by going back from the components to the bands."""
    weights = np.array(list(TASSELED_CAPS["crist1985"].values()))
    for tcb, tcg, angle in ((1.0, 1.0, 45.0), (math.sqrt(3), -1.0, -30.0), (-1.0, 1.0, -45.0)):
        bands = np.linalg.pinv(weights) @ np.array([tcb, tcg, 0.0]) * 3000
        made = indices.tca(pixel(**dict(zip(SR_BANDS, bands, strict=True))))
        assert made.item() == pytest.approx(angle)


@pytest.mark.parametrize("name", INDICES)
def test_fill_is_nan_and_only_where_a_band_that_counts_is_fill(name: str) -> None:
    needs = {
        "ndvi": {"nir08", "red"},
        "nbr": {"nir08", "swir22"},
        "nbr2": {"swir16", "swir22"},
        "ndmi": {"nir08", "swir16"},
        "evi": {"blue", "red", "nir08"},
    }.get(name, set(SR_BANDS))
    for fill in (COLLECTION1_FILL, math.nan):
        lost = {b for b in SR_BANDS if math.isnan(INDICES[name](pixel(**{b: fill})).item())}
        assert lost == needs


def test_no_other_digital_number_becomes_what_fill_becomes() -> None:
    values = to_collection1(np.arange(2**16, dtype=np.uint16))
    assert np.flatnonzero(values == COLLECTION1_FILL).tolist() == [0]


def test_a_division_by_zero_is_nan() -> None:
    zero = pixel(**dict.fromkeys(SR_BANDS, 0.0))
    for name in ("ndvi", "nbr", "nbr2", "ndmi", "tca"):
        assert math.isnan(INDICES[name](zero).item())
    assert indices.evi(zero).item() == 0
    assert math.isnan(indices.ndvi(pixel(red=-100, nir08=100)).item())


@pytest.mark.parametrize("name", INDICES)
def test_lazy_in_lazy_out_on_a_cube_with_its_bands_in_any_order(name: str) -> None:
    random = np.random.default_rng(1)
    dn = random.integers(7000, 44000, (3, 7, 4, 5)).astype(np.uint16)
    dn[0, :, 1, 1] = 0
    bands = ["qa_pixel", *reversed(SR_BANDS)]
    cube = xr.DataArray(
        dn, dims=("time", "band", "y", "x"), coords={"band": bands, "x": np.arange(5)}
    )
    values = to_collection1(cube)
    lazy, eager = INDICES[name](values.chunk(time=1)), INDICES[name](values)
    assert isinstance(lazy.data, da.Array)
    assert lazy.dims == ("time", "y", "x")
    assert eager.dtype == lazy.dtype == np.float64
    assert set(eager.coords) == {"x"}
    xr.testing.assert_identical(lazy.compute(), eager)
    ordered = INDICES[name](values.sel(band=list(SR_BANDS)))
    xr.testing.assert_identical(ordered, eager)


@pytest.mark.parametrize("name", INDICES)
def test_a_missing_band_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="lacks"):
        INDICES[name](pixel().drop_sel(band=["nir08", "swir16"]))


@pytest.mark.parametrize("name", TASSELED_CAPS)
def test_published_coefficients_are_orthonormal(name: str) -> None:
    """Every sign counts: turning any one of them round breaks it."""
    weights = np.array(list(TASSELED_CAPS[name].values()))
    assert np.abs(weights @ weights.T - np.eye(3)).max() < 2e-4
    for row, band in np.ndindex(weights.shape):
        turned = weights.copy()
        turned[row, band] *= -1
        if abs(weights[row, band]) > 0.01:
            assert np.abs(turned @ turned.T - np.eye(3)).max() > 2e-4


@pytest.mark.parametrize("name", TASSELED_CAPS)
def test_named_coefficients_are_applied(name: str) -> None:
    components = tasseled_cap(pixel(), name)
    for component, row in TASSELED_CAPS[name].items():
        expected = sum(a * b for a, b in zip(row, VEGETATION.values(), strict=True))
        assert components.sel(component=component).item() == pytest.approx(expected)
    assert indices.tcw(pixel(), name).item() == components.sel(component="wetness").item()


def test_unknown_coefficients_are_refused() -> None:
    with pytest.raises(InputError, match=r"'crist'.*crist1985, huang2002, baig2014, zhai2022"):
        tasseled_cap(pixel(), "crist")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2001-01-01", 2001.0),
        ("2001-07-02T12:00", 2001.5),
        ("2000-07-02", 2000.5),
        ("2000-12-31T23:59:59.999999999", 2001.0),
        ("1984-12-31", 1984 + 365 / 366),
    ],
)
def test_decimal_years(time: str, expected: float) -> None:
    times = xr.DataArray([np.datetime64(time, "ns")], dims="time")
    assert indices.decimal_year(times).item() == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.datetimes(pd.Timestamp("1970-01-01"), pd.Timestamp("2100-01-01")), min_size=2))
@pytest.mark.deep
def test_decimal_years_keep_the_order_of_time(times: list[Any]) -> None:
    series = xr.DataArray(np.array(sorted(times), dtype="datetime64[ns]"), dims="time")
    years = indices.decimal_year(series)
    assert (np.diff(years) >= 0).all()
    assert (abs(np.floor(years) - series.dt.year) <= 1).all()
    lazy = indices.decimal_year(series.chunk(time=1))
    xr.testing.assert_identical(lazy.compute(), years)
