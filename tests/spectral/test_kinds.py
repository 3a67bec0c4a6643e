"""Every function of values on every kind of numbers: the right value, or an error with a remedy.

What is right is worked out here by NumPy alone, from digital numbers and where they are masked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr

import timesync_xr as tx
from tests.strategies import CLEAR, cube_of
from timesync_xr.errors import InputError
from timesync_xr.landsat import TASSELED_CAP_CRIST
from timesync_xr.spectral import indices
from timesync_xr.spectral.composites import COMPOSITES

SHAPE = (3, 7, 5, 5)
QA = (CLEAR, 21952, 22280, 23888, 30048, 5440)
"""Clear, water, cloud, shadow, snow, clear by Landsat 5."""

Numbers = npt.NDArray[Any]


def numbers() -> Numbers:
    """Digital numbers of plausible reflectance; in the last time, of high ones."""
    random = np.random.default_rng(4)
    dn = random.integers(7300, 30000, SHAPE).astype(np.uint16)
    dn[2, :6] += 20000
    dn[:, 6] = random.choice(QA, SHAPE[:1] + SHAPE[2:])
    return dn


MASK = np.random.default_rng(5).random((SHAPE[0], 1, *SHAPE[2:])) < 0.3
MASK[:, :, 2, 2] = [[False], [True], [False]]
"""Pixels (time, 1, y, x) that are masked; the plot's is so once."""


def reference() -> dict[str, Numbers]:
    """The right values, of masked digital numbers."""
    dn = numbers()
    masked = MASK[:, 0]
    values = ((dn[:, :6].astype(float) * 0.0000275 - 0.2) * 10000).astype(np.int16).astype(float)
    values[np.broadcast_to(MASK, values.shape)] = np.nan
    blue, _, red, nir, swir16, swir22 = np.moveaxis(values, 1, 0)
    cap = np.einsum("cb,tbyx->tcyx", np.array(list(TASSELED_CAP_CRIST.values())), values)
    qa = np.where(masked, 1, dn[:, 6])

    def byte(plane: Numbers, limits: tuple[float, float]) -> Numbers:
        low, high = limits
        share = np.nan_to_num((plane - low) / (high - low) * 255, nan=0).clip(0, 255)
        return share.astype(np.uint8)

    medium = np.any([(qa >> shift & 2) > 0 for shift in (8, 10, 12, 14)], axis=0)
    clear = ((qa & 0b111111) == 0) & ~medium
    return {
        "collection1": np.where(np.isnan(values), -2000, values),
        "tc": np.stack([byte(cap[:, n], COMPOSITES["tc"].limits[n]) for n in range(3)], -1),
        "b743": np.stack(
            [
                byte(plane, limits)
                for plane, limits in zip((swir22, nir, red), COMPOSITES["b743"].limits, strict=True)
            ],
            -1,
        ),
        "ndvi_chip": np.stack([byte((nir - red) / (nir + red), (-0.2, 1))] * 3, -1),
        "tasseled_cap": np.moveaxis(cap, 1, -1),
        "ndvi": (nir - red) / (nir + red),
        "nbr": (nir - swir22) / (nir + swir22),
        "nbr2": (swir16 - swir22) / (swir16 + swir22),
        "ndmi": (nir - swir16) / (nir + swir16),
        "evi": 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 10000),
        "tcb": cap[:, 0],
        "tcg": cap[:, 1],
        "tcw": cap[:, 2],
        "tca": np.degrees(np.arctan(cap[:, 1] / cap[:, 0])),
        "is_fill": masked,
        "is_clear": clear,
        "contract_qa": np.where(~masked & ((qa & 0b11000000) > 0), 0, 1),
        "qa_grade": np.select(
            [masked, (qa & 0b1110) > 0, (qa & 16) > 0, (qa & 32) > 0, (qa & 128) > 0],
            [9, 4, 3, 2, 1],
            0,
        ),
        "has_bit_6": (qa & 64) > 0,
        "flag_fill": masked,
        "flag_snow": (qa & 32) > 0,
    }


RIGHT = reference()
NAN = np.nan

OF_CUBE: dict[str, Callable[[xr.DataArray], Any]] = {
    "collection1": lambda c: tx.to_collection1(c.sel(band=list(tx.SR_BANDS))),
    "tc": lambda c: tx.composite_rgb(c, "tc"),
    "b743": lambda c: tx.composite_rgb(c, "b743"),
    "ndvi_chip": lambda c: tx.composite_rgb(c, "ndvi"),
}
OF_VALUES: dict[str, Callable[[xr.DataArray], Any]] = {
    "tasseled_cap": tx.tasseled_cap,
    **{
        name: getattr(indices, name)
        for name in ("ndvi", "nbr", "nbr2", "ndmi", "evi", "tcb", "tcg", "tcw", "tca")
    },
}
OF_QA: dict[str, Callable[[xr.DataArray], Any]] = {
    "is_fill": tx.is_fill,
    "is_clear": tx.is_clear,
    "contract_qa": tx.contract_qa,
    "qa_grade": tx.qa_grade,
    "has_bit_6": lambda qa: tx.has_bit(qa, 6),
    "flag_fill": lambda qa: tx.qa_flags(qa)["fill"],
    "flag_snow": lambda qa: tx.qa_flags(qa)["snow"],
}
EXACT = {"uint16", "int32", "uint32", "int64", "float32", "float64", ">u2"}
"""Dtypes that hold digital numbers."""


def dtypes(*these: str) -> list[Any]:
    """All of them in full depth, the usual ones in the quick one."""
    usual = {"uint16", "int16", "float32"}
    return [d if d in usual else pytest.param(d, marks=pytest.mark.deep) for d in these]


def masked(array: xr.DataArray, dtype: str, fill: float) -> xr.DataArray:
    """The array in a dtype, masked as it can be: by NaN in floats, else by fill."""
    where = xr.DataArray(MASK[:, 0], dims=("time", "y", "x"))
    if np.dtype(dtype).kind == "f":
        return array.where(~where).astype(dtype)
    return array.where(~where, fill).astype(dtype)


def backed(array: xr.DataArray, how: str) -> xr.DataArray:
    return array.chunk(time=1, y=3) if how == "lazy" else array


def is_lazy(made: xr.DataArray) -> bool:
    return made.chunks is not None


def check(name: str, made: xr.DataArray, how: str) -> None:
    assert is_lazy(made) == (how == "lazy")
    # float64 in another order of operations may fall on the other side of a byte's edge
    slack = 1 if name in ("tc", "b743", "ndvi_chip") else 1e-9
    np.testing.assert_allclose(made.to_numpy(), RIGHT[name], rtol=1e-9, atol=slack)
    if slack == 1:
        assert (made.to_numpy()[MASK[:, 0]] == 0).all()


@pytest.mark.parametrize("how", ["eager", "lazy"])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("dtype", dtypes(*sorted(EXACT)))
@pytest.mark.parametrize("name", OF_CUBE)
def test_digital_numbers(name: str, dtype: str, labelled: bool, how: str) -> None:
    cube = cube_of(numbers()).rename("digital_number" if labelled else None)
    made = OF_CUBE[name](backed(masked(cube, dtype, 0), how))
    check(name, made, how)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "float16", "bool", "complex128", "U5"])
@pytest.mark.parametrize("name", OF_CUBE)
def test_dtypes_that_hold_no_digital_numbers(name: str, dtype: str) -> None:
    with pytest.raises(InputError):
        OF_CUBE[name](cube_of(numbers()).astype(dtype))


def collection1(dtype: str) -> xr.DataArray:
    return masked(tx.to_collection1(cube_of(numbers())), dtype, -2000)


def reflectance(dtype: str) -> xr.DataArray:
    return masked(cube_of(numbers()) * 0.0000275 - 0.2, dtype, NAN)


@pytest.mark.parametrize("how", ["eager", "lazy"])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("dtype", dtypes("int16", "int32", "int64", "float32", "float64"))
@pytest.mark.parametrize("name", [*OF_CUBE, *OF_VALUES])
@pytest.mark.cases(20)
def test_collection1_values(name: str, dtype: str, labelled: bool, how: str) -> None:
    values = collection1(dtype)
    values = backed(values if labelled else values.drop_attrs().rename(None), how)
    if name in OF_VALUES:
        check(name, OF_VALUES[name](values), how)
    else:
        with pytest.raises(InputError):
            OF_CUBE[name](values).compute()


@pytest.mark.parametrize("how", ["eager", "lazy"])
@pytest.mark.parametrize("dtype", dtypes("float32", "float64"))
@pytest.mark.parametrize("named", ["digital_number", "surface_reflectance", None])
@pytest.mark.parametrize("name", [*OF_CUBE, *OF_VALUES, *OF_QA])
@pytest.mark.cases(20)
def test_reflectance(name: str, named: str | None, dtype: str, how: str) -> None:
    """Tasseled cap is the same in any unit; all else needs the other numbers."""
    values = backed(reflectance(dtype).rename(named), how)
    if name == "tasseled_cap":
        made = tx.tasseled_cap(values) * 10000
        np.testing.assert_allclose(made, RIGHT[name], atol=3, rtol=0)  # these were cut off
        return
    with pytest.raises(InputError):
        ((OF_CUBE | OF_VALUES).get(name) or OF_QA[name])(values).compute()


@pytest.mark.parametrize("how", ["eager", "lazy"])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("dtype", dtypes(*sorted(EXACT), "int16"))
@pytest.mark.parametrize("name", OF_VALUES)
@pytest.mark.cases(20)
def test_digital_numbers_are_not_taken_for_values(
    name: str, dtype: str, labelled: bool, how: str
) -> None:
    cube = cube_of(numbers()).rename("digital_number" if labelled else None)
    with pytest.raises(InputError, match="to_collection1"):
        OF_VALUES[name](backed(masked(cube, dtype, 0), how)).compute()


@pytest.mark.parametrize("how", ["eager", "lazy"])
@pytest.mark.parametrize("dtype", dtypes(*sorted(EXACT), "int16"))
@pytest.mark.parametrize("fill", [0, 1])
@pytest.mark.parametrize("name", OF_QA)
@pytest.mark.cases(20)
def test_quality(name: str, fill: int, dtype: str, how: str) -> None:
    qa = cube_of(numbers()).sel(band="qa_pixel")
    check(name, OF_QA[name](backed(masked(qa, dtype, fill), how)), how)


@pytest.mark.parametrize("name", OF_QA)
def test_bands_are_not_taken_for_quality(name: str) -> None:
    for other in (cube_of(numbers()), cube_of(numbers()).sel(band="red"), collection1("int16")):
        with pytest.raises(InputError, match="qa_pixel"):
            OF_QA[name](other)
    for dtype in ("bool", "float16", "complex128", "U5", "O"):
        with pytest.raises(InputError):
            OF_QA[name](xr.DataArray(np.array([1, 0]).astype(dtype), dims="n"))


@pytest.mark.parametrize("function", [tx.is_fill, tx.is_clear, tx.contract_qa, tx.qa_grade])
def test_quality_of_arrays_of_numpy(function: Callable[..., Any]) -> None:
    right = RIGHT[function.__name__]
    qa = numbers()[:, 6]
    inputs = [
        np.where(MASK[:, 0], np.nan, qa),
        np.where(MASK[:, 0], 0, qa),
        np.ma.masked_array(qa, MASK[:, 0]),
    ]
    for given in inputs:
        assert (function(given) == right).all()
    assert function(np.uint16(0)) == {"is_fill": 1, "contract_qa": 1, "qa_grade": 9}.get(
        function.__name__, 0
    )


def test_collection1_of_arrays_of_numpy() -> None:
    dn, where = numbers()[:, :6], np.broadcast_to(MASK, (3, 6, 5, 5))
    for given in (np.where(where, np.nan, dn), np.ma.masked_array(dn, where)):
        assert (tx.to_collection1(given) == RIGHT["collection1"]).all()
    for wrong in (-1.0, 0.5, 65536.0, np.inf):
        with pytest.raises(InputError, match="uint16"):
            tx.to_collection1(np.array([20000.0, wrong]))


def test_stretch_of_masked_values_is_black() -> None:
    for dtype in ("float32", "float64"):
        given = np.array([np.nan, -1, 0, 5, 10, 11], dtype=dtype)
        for array in (given, xr.DataArray(given, dims="n"), xr.DataArray(given, dims="n").chunk()):
            made = tx.stretch(array, 0, 10)
            assert made.dtype == np.uint8
            assert np.asarray(made).tolist() == [0, 0, 0, 127, 255, 255]
    masked_array = np.ma.masked_array([7, 7], [True, False])
    assert tx.stretch(masked_array, 0, 10).tolist() == [0, 178]


MASKERS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "where": lambda c: c.where(~xr.DataArray(MASK[:, 0], dims=("time", "y", "x"))),
    "concat": lambda c: xr.concat(
        [c.isel(x=slice(3)), c.isel(x=[3, 4], y=slice(1, 5))], "x", join="outer"
    ),
    "reindex": lambda c: c.reindex(x=[-1, 0, 1, 2, 3]),
    "align": lambda c: xr.align(c, c["x"].isel(x=[0]).assign_coords(x=[9]), join="outer")[0],
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("how", MASKERS)
def test_what_xarray_masks_is_what_fill_gives(how: str, lazy: bool) -> None:
    """All that comes of a masked cube is what comes of one with fill in the same places."""
    cube = cube_of(numbers()).assign_coords(x=np.arange(5.0), y=np.arange(5.0, 0, -1))
    cube = cube.assign_attrs(plot_x=2.0, plot_y=3.0)
    made = MASKERS[how](cube.chunk(time=1) if lazy else cube)
    assert made.dtype.kind == "f"
    filled = made.fillna(0).astype(np.uint16)
    for name in ("tc", "b743", "ndvi"):
        xr.testing.assert_equal(tx.composite_rgb(made, name), tx.composite_rgb(filled, name))
    values = tx.to_collection1(filled)
    xr.testing.assert_equal(tx.to_collection1(made), values)
    xr.testing.assert_equal(indices.evi(values.where(values > -2000)), indices.evi(values))
    pd.testing.assert_frame_equal(
        tx.spectral_table(made, "1", "2"), tx.spectral_table(filled, "1", "2")
    )
    pd.testing.assert_frame_equal(tx.window_statistics(made, 1), tx.window_statistics(filled, 1))


def test_tables_of_a_masked_cube() -> None:
    cube = masked(cube_of(numbers()), "float64", 0)
    table = tx.spectral_table(cube, "1", "2")
    assert table.index.tolist() == [0, 2]
    right = RIGHT["collection1"][[0, 2], :, 2, 2]
    assert (table[["blue", "green", "red", "nir", "swir1", "swir2"]].to_numpy() == right).all()
    found = tx.window_statistics(cube, 3).set_index(["time", "band"])
    chips = RIGHT["collection1"][:, :, 1:4, 1:4]
    chips = np.where(chips == -2000, np.nan, chips)
    np.testing.assert_allclose(found["mean"], np.nanmean(chips, (2, 3)).ravel())
    np.testing.assert_allclose(found["std"], np.nanstd(chips, (2, 3)).ravel())
    assert (found["valid"] == (~np.isnan(chips)).sum((2, 3)).ravel()).all()
    for wrong in (collection1("int16"), collection1("float64"), reflectance("float64")):
        for made in (lambda c: tx.spectral_table(c, "1", "2"), tx.window_statistics):
            with pytest.raises(InputError):
                made(wrong)


def test_the_platform_that_saw_more_is_chosen_of_masked_cubes_too() -> None:
    cube = cube_of(numbers()[[0, 0]]).assign_coords(sensor=("time", ["LC08", "LC09"]))
    cube = cube.assign_coords(time=cube["time"].to_numpy()[[0, 0]])
    assert tx.choose_platforms(cube).tolist() == [False, True]
    for lost in (np.nan, 0):
        less = cube.where((cube["sensor"] == "LC08") | (cube["x"] != 0), lost)
        assert tx.choose_platforms(less).tolist() == [True, False]


def test_a_record_with_qa_of_nothing_gives_way() -> None:
    records = np.full((2, 7, 1, 1), 9000, dtype=np.uint16)
    records[1] = 12000
    records[:, 6, 0, 0] = [0, CLEAR]
    assert tx.merge_records(records, [0])[0, 0, 0, 0] == 12000


@pytest.mark.parametrize("name", ["tc", "b743", "ndvi"])
def test_outside_a_reprojected_cube_is_black(name: str) -> None:
    pytest.importorskip("rioxarray")
    cube = cube_of(numbers()).isel(time=0)
    cube = cube.assign_coords(x=np.arange(5) * 30.0, y=2.5e6 - np.arange(5) * 30.0)
    cube = cube.assign_attrs(nodata=0).rename("digital_number").rio.write_crs("EPSG:5070")
    made = cube.rio.reproject("EPSG:32617", resolution=30)  # turned, so its corners are outside
    outside = (made == 0).all("band").to_numpy()
    assert outside.any()
    assert not outside.all()
    assert tx.is_fill(made.sel(band="qa_pixel")).to_numpy()[outside].all()
    assert (tx.composite_rgb(made, name).to_numpy()[outside] == 0).all()
    values = tx.to_collection1(cube).rio.write_crs("EPSG:5070")
    again = values.rio.reproject("EPSG:32617", resolution=30)
    np.testing.assert_array_equal(again, tx.to_collection1(made))
    assert np.isnan(indices.ndvi(again).to_numpy()[outside]).all()


def test_fill_of_collection_1_itself_is_fill() -> None:
    values = collection1("int16")
    for fill in (-9999, -32768):
        other = values.where(values != -2000, fill)
        np.testing.assert_array_equal(indices.ndvi(other), indices.ndvi(values))
