from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from timesync_xr import (
    SR_BANDS,
    contract_qa,
    has_bit,
    indices,
    is_fill,
    reflectance,
    to_collection1,
)
from timesync_xr.errors import InputError
from timesync_xr.landsat import QABit

ALL = np.arange(2**16, dtype=np.uint16)


def test_known_values_of_the_contract() -> None:
    dn = np.array([0, 18639, 65535, 7273, 43636], dtype=np.uint16)
    assert to_collection1(dn).tolist() == [-2000, 3125, 16022, 0, 9999]
    assert to_collection1(dn).dtype == np.int32


def test_every_number_is_the_decimal_value_cut_off() -> None:
    """Exact decimal arithmetic; float64 may fall one short where the true value is whole."""
    exact = [(Decimal(int(n)) * Decimal("0.275") - 2000) for n in ALL]
    cut = np.array([int(v.to_integral_value(ROUND_DOWN)) for v in exact])
    whole = np.array([v == v.to_integral_value() for v in exact])
    made = to_collection1(ALL).astype(int)
    assert (made[~whole] == cut[~whole]).all()
    assert (np.abs(made[whole] - cut[whole]) <= 1).all()


def test_every_number_is_the_formula_of_the_contract() -> None:
    formula = ((ALL.astype(float) * 0.0000275 - 0.2) * 10000).astype(np.int16)
    assert (to_collection1(ALL) == formula).all()


def test_qa_against_bits_written_out() -> None:
    text = [f"{n or 1:016b}" for n in ALL]  # nothing at all is fill
    fill = np.array([t[15] == "1" for t in text])
    clear_or_water = np.array([t[9] == "1" or t[8] == "1" for t in text])
    assert (is_fill(ALL) == fill).all()
    assert (contract_qa(ALL) == np.where(~fill & clear_or_water, 0, 1)).all()
    assert (has_bit(ALL, QABit.SNOW) == np.array([t[10] == "1" for t in text])).all()


@pytest.mark.parametrize(
    ("qa", "flag"), [(21824, 0), (21952, 0), (22280, 1), (23888, 0), (1, 1), (0, 1)]
)
def test_qa_of_the_contract_on_common_values(qa: int, flag: int) -> None:
    """Clear, water, cloud, cloud shadow (which counts as clear here), fill, nothing."""
    assert contract_qa(np.array([qa], dtype=np.uint16)).tolist() == [flag]


@pytest.mark.parametrize("function", [to_collection1, is_fill, contract_qa])
def test_lazy_in_lazy_out_with_the_same_values(function: Any) -> None:
    eager = xr.DataArray(ALL.reshape(256, 256), dims=("y", "x"), attrs={"a": 1})
    lazy = eager.chunk(y=100)
    assert isinstance(function(lazy).data, da.Array)
    xr.testing.assert_identical(function(lazy).compute(), function(eager))
    assert function(eager).dtype == function(lazy).dtype


@pytest.mark.parametrize("function", [to_collection1, is_fill, contract_qa])
def test_plain_dask_arrays_are_lazy_too(function: Any) -> None:
    lazy = function(da.from_array(ALL, chunks=1000))
    assert isinstance(lazy, da.Array)
    assert (lazy.compute() == function(ALL)).all()
    assert lazy.dtype == function(ALL).dtype


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_what_is_no_digital_number_is_refused(dtype: Any) -> None:
    with pytest.raises(InputError, match="uint16"):
        to_collection1(np.array([-1, 5], dtype=dtype))


def test_arithmetic_of_values_does_not_overflow() -> None:
    """What 16 bits would turn into another number without a word."""
    highest = to_collection1(np.array([65535], dtype=np.uint16))
    assert (highest * 6 + highest * highest).tolist() == [16022 * 6 + 16022**2]


def test_reflectance_of_every_number() -> None:
    cube = xr.DataArray(ALL, dims="n", name="digital_number")
    made = reflectance(cube)
    assert made.dtype == np.float32
    assert (made.name, made.attrs["units"]) == ("reflectance", "1")
    assert np.isnan(made[0])
    exact = np.array([float(Decimal(int(n)) * Decimal("0.0000275") - Decimal("0.2")) for n in ALL])
    np.testing.assert_allclose(made[1:], exact[1:], rtol=0, atol=1e-7)
    masked = reflectance(cube.astype("float64").where(cube != 9000))
    assert np.flatnonzero(np.isnan(masked)).tolist() == [0, 9000]


def test_reflectance_leaves_quality_out_and_indices_take_it() -> None:
    dn = np.random.default_rng(5).integers(7300, 30000, (7, 20), dtype=np.uint16)
    dn[2, 3] = 0
    bands = [*SR_BANDS[::-1], "qa_pixel"]
    cube = xr.DataArray(dn, {"band": bands}, ("band", "pixel"), "digital_number")
    made = reflectance(cube)
    assert made["band"].to_numpy().tolist() == [*SR_BANDS[::-1]]
    values = (made.astype(float) * 10000).rename("surface_reflectance")
    for name in indices.NAMES:
        found, expected = getattr(indices, name)(made), getattr(indices, name)(values)
        scale = 1e-4 if name in ("tcb", "tcg", "tcw") else 1
        assert found.attrs.get("units") == ("degree" if name == "tca" else "1")
        assert np.flatnonzero(np.isnan(found)).size <= 1
        np.testing.assert_allclose(found, expected * scale, rtol=1e-6, atol=1e-9)
    with pytest.raises(InputError, match="digital numbers"):
        to_collection1(made)
    with pytest.raises(InputError, match="lacks"):
        reflectance(cube.sel(band=["qa_pixel"]))
