"""Which numbers an array may hold, and functions of every value of it: NumPy, dask or xarray.

There are three kinds of numbers, and no dtype tells them apart, since ``where``, ``concat``,
``reindex`` and ``align`` make floats with NaN of all. Each kind has a function here that looks at
an array's dtype and labels at once, and returns what makes plain numbers of each block of it and
looks at the values, when they are computed:

===================  =============================  ================  ============================
kind                 may be                         masked            becomes
===================  =============================  ================  ============================
`digital_numbers`    uint16, wider integers, float  0, NaN            uint16, 0 where masked
`quality_bits`       any integer, float             0, bit 0, NaN     integers, bit 0 where masked
`collection1`        int16, wider integers, float   -2000, NaN        float64, NaN where masked
===================  =============================  ================  ============================

Floats are float32 or float64, since float16 does not hold these numbers. NumPy's masked arrays are
masked where they say so. What is of another kind is an `InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.fill import mark_fill
from ..cube.schema import NAME, by_observation, label
from ..errors import InputError
from ..landsat import COLLECTION1_FILL, OFFSET, QA_BAND, SR_BANDS

Array = TypeVar("Array", npt.NDArray[Any], xr.DataArray)
"""A NumPy array or a DataArray (NumPy- or dask-backed); the result is of the same kind."""

Block = Callable[[Any], npt.NDArray[Any]]
"""What makes numbers of one kind of an array in memory; `InputError` for those of another."""

REFLECTANCE_NAME: Final = "reflectance"
"""Name of reflectance of 0 to 1."""

COLLECTION1_NAME: Final = "surface_reflectance"
COLLECTION1_UNITS: Final = "0.0001"
"""Name and unit of values in the Collection 1 range."""

_HIGHEST: Final = 2**16 - 1
"""The highest digital number."""

_FILLS: Final = (COLLECTION1_FILL, -9999, -32768)
"""Fill of the Collection 1 range: ours, that of Collection 1 itself, and the lowest int16."""

_COLLECTION1_HIGHEST: Final = 16022
"""What the highest digital number becomes in the Collection 1 range."""

_REFLECTANCE_HIGHEST: Final = 2
"""No digital number is a reflectance as high; fractions below are no Collection 1 values."""

_TOO_DARK: Final = 5455
"""Digital number of a reflectance of -0.05; no quarter of real values is darker."""


def elementwise(
    function: Any,
    values: Array,
    dtype: Any,
    name: str,
    long_name: str,
    units: str = "1",
    nodata: int | None = None,
) -> Array:
    """A function of each value; a DataArray gets a name and says what it is."""
    result = apply(function, values, dtype)
    if isinstance(values, xr.DataArray):
        result = label(result, values, name, long_name, units, nodata)
    return result  # type: ignore[no-any-return]


def apply(function: Any, values: Any, dtype: Any) -> Any:
    """A function of each value, lazy in, lazy out."""
    if not isinstance(values, xr.DataArray | np.ndarray | np.generic):  # dask's own, unnamed
        return values.map_blocks(function, dtype=dtype)
    known = by_observation(values) if isinstance(values, xr.DataArray) else values
    return xr.apply_ufunc(
        function, known, dask="parallelized", output_dtypes=[dtype], keep_attrs=True
    )


def digital_numbers(array: Any) -> Block:
    """What makes digital numbers (uint16, fill 0) of each block of this array."""
    dtype = expect_numbers(array)
    if _is_labelled_reflectance(array):
        raise InputError(
            "the array holds surface reflectance, by its name or units, not digital numbers: give "
            "the cube itself, or rename the array if that is what it holds"
        )
    if {*_bands(array)} == {QA_BAND}:
        raise InputError(
            "the array is QA_PIXEL, a set of bits: give digital numbers of surface reflectance"
        )
    if dtype.kind == "b" or dtype == np.float16 or (dtype.kind in "iu" and not _holds(dtype)):
        raise InputError(
            f"digital numbers are uint16, not {dtype}: give the cube as it was read, not values "
            "that were made of it"
        )
    if dtype.kind == "u" and dtype.itemsize == 2:  # in any byte order
        return _native
    return partial(_whole_digital_numbers, is_certain=_name(array) == NAME)


def as_digital_numbers(array: xr.DataArray) -> xr.DataArray:
    """Digital numbers as uint16, fill 0; lazy in, lazy out, and itself where it is that already."""
    block = digital_numbers(array)
    if array.dtype == np.uint16:
        return array
    numbers: xr.DataArray = apply(block, array, np.uint16)
    return numbers


def quality_bits(array: Any) -> Block:
    """What makes QA_PIXEL (integers, bit 0 where nothing was seen) of each block of this array."""
    dtype = expect_numbers(array)
    if _is_labelled_reflectance(array) or {*_bands(array)} & {*SR_BANDS}:
        raise InputError(
            f"the array holds surface reflectance, not QA_PIXEL: give cube.sel(band={QA_BAND!r})"
        )
    if dtype.itemsize < 2 or dtype == np.float16:
        raise InputError(f"QA_PIXEL is uint16, not {dtype}: give it as it was read")
    return _quality_block


def collection1(array: Any, *, or_reflectance: bool = False) -> Block:
    """What makes values in the Collection 1 range (float64, NaN where masked) of each block.

    Reflectance (1 is all light) is taken only where the function is the same of both.
    """
    dtype = expect_numbers(array)
    if dtype == np.uint16 or (dtype.kind in "iu" and _holds(dtype) and _name(array) == NAME):
        raise InputError("these are digital numbers, not reflectance: give to_collection1 of them")
    if dtype.kind == "b" or dtype.itemsize < 2 or dtype == np.float16:
        raise InputError(f"reflectance is int16 or float, not {dtype}: give to_collection1(cube)")
    return partial(
        _collection1_block, or_reflectance=or_reflectance, is_named_dn=_name(array) == NAME
    )


def expect_numbers(array: Any) -> np.dtype[Any]:
    """The dtype of an array of numbers; `InputError` for what is none."""
    is_array = isinstance(array, xr.DataArray | np.ndarray | np.generic)
    if not is_array and not (hasattr(array, "map_blocks") and hasattr(array, "dtype")):  # dask's
        raise InputError(f"a {type(array).__name__} is no array: give a DataArray or NumPy array")
    dtype = array.dtype
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biuf":
        raise InputError(f"the array holds {dtype}, not numbers: give it as it was read")
    return dtype


def _holds(dtype: np.dtype[Any]) -> bool:
    """Whether integers of this dtype reach the highest digital number."""
    return bool(np.iinfo(dtype).max >= _HIGHEST)


def _name(array: Any) -> Any:
    return array.name if isinstance(array, xr.DataArray) else None


def _bands(array: Any) -> list[str]:
    """Names of the bands that an array holds, as far as it tells."""
    if not isinstance(array, xr.DataArray) or "band" not in array.coords:
        return []
    return [str(band) for band in np.atleast_1d(array["band"].to_numpy())]


def is_reflectance(array: Any) -> bool:
    """Whether an array is reflectance of 0 to 1 by its name."""
    return bool(_name(array) == REFLECTANCE_NAME)


def _is_labelled_reflectance(array: Any) -> bool:
    if not isinstance(array, xr.DataArray):
        return False
    named = array.name in (COLLECTION1_NAME, REFLECTANCE_NAME)
    return named or array.attrs.get("units") == COLLECTION1_UNITS


def _unmasked(values: Any) -> Any:
    """The array, 0 where NumPy's own mask says that there is nothing."""
    return np.ma.filled(values, 0)


def _native(values: Any) -> npt.NDArray[np.uint16]:
    numbers: npt.NDArray[np.uint16] = _unmasked(values).astype(np.uint16, copy=False)
    return numbers


def _whole_numbers(values: Any, what: str) -> npt.NDArray[np.uint16]:
    """Whole numbers from 0 to 65535 as uint16, 0 for NaN; `InputError` for any other."""
    numbers = np.asarray(_unmasked(values))
    if numbers.dtype.kind == "f":
        numbers = np.where(np.isnan(numbers), 0, numbers)
    wrong = (numbers < 0) | (numbers > _HIGHEST) | (numbers != np.trunc(numbers))
    if wrong.any():
        raise InputError(
            f"{what} are whole numbers from 0 to {_HIGHEST} (uint16), {numbers[wrong][0]} is none: "
            "give them as they were read, masked by NaN or 0"
        )
    return numbers.astype(np.uint16)


def _whole_digital_numbers(values: Any, *, is_certain: bool) -> npt.NDArray[np.uint16]:
    numbers = _whole_numbers(values, "digital numbers")
    seen = numbers[numbers > 0]
    if not is_certain and seen.size and np.mean(seen < _TOO_DARK) > 0.25:
        raise InputError(
            f"many of the values are below {_TOO_DARK}, as in the Collection 1 range and not in "
            f"digital numbers: give the cube as it was read, or name the array {NAME!r}"
        )
    return numbers


def _quality_block(values: Any) -> npt.NDArray[Any]:
    bits = _unmasked(values)
    if bits.dtype.kind == "f" or bits.dtype.itemsize > 2:
        bits = _whole_numbers(bits, "values of QA_PIXEL")
    elif bits.dtype.kind == "i":  # where the highest bit became the sign
        bits = np.asarray(bits).astype(f"u{bits.dtype.itemsize}")
    return mark_fill(bits)


def _collection1_block(
    values: Any, *, or_reflectance: bool, is_named_dn: bool
) -> npt.NDArray[np.float64]:
    known = np.array(values, dtype=np.float64)
    low, high = _range(values)
    is_dn = is_named_dn and low >= 0 and not _has_fractions(known)
    if is_dn or high > _COLLECTION1_HIGHEST:
        raise InputError(
            f"values up to {high:.15g} are digital numbers, not reflectance: give to_collection1 "
            "of them, or rename the array if it holds something else"
        )
    for fill in _FILLS:
        if low <= fill:
            known[known == fill] = np.nan
    if max(-low, high) <= _REFLECTANCE_HIGHEST and _has_fractions(known):
        if not or_reflectance:
            raise InputError(
                f"reflectances from {low:.3g} to {high:.3g} are not in the Collection 1 range, "
                "where 10000 is all light: multiply them by 10000"
            )
        known[np.abs(known - OFFSET) < 1e-6] = np.nan  # what fill becomes; the next is 3e-5 away
    return known


def _range(values: Any) -> tuple[float, float]:
    """The lowest and the highest value that is not NaN; NaN where there is none."""
    if not values.size:
        return np.nan, np.nan
    edges = (np.fmin, np.fmax) if values.dtype.kind == "f" else (np.minimum, np.maximum)
    low, high = (edge.reduce(values, axis=None) for edge in edges)
    return float(low), float(high)


def _has_fractions(values: npt.NDArray[np.float64]) -> bool:
    return bool(np.any((values != np.trunc(values)) & ~np.isnan(values)))
