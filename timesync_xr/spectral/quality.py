"""What the bits of QA_PIXEL say: fill, clear, and the classes of the contract and of TimeSync v4.

Every function works on NumPy arrays, dask arrays and DataArrays of any shape alike, element by
element, and is lazy where its input is lazy. QA_PIXEL is uint16, or any integers, or floats with
NaN as masking makes of them. NaN and 0 are fill: they say that nothing was seen. `InputError` for
what is no QA_PIXEL; where only the values of a lazy array tell, once it is computed.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.schema import expect_array, is_whole
from ..errors import InputError
from ..landsat import GRADES, QA_CONFIDENCE, QA_FLAGS, QA_MEDIUM, QABit
from .arrays import Array, elementwise, quality_bits


def is_fill(qa: Array) -> Array:
    """Where QA_PIXEL says that there is no data (bit 0, or 0 or NaN): bool, any shape, lazy."""
    return _bit(qa, QABit.FILL, "is_fill", "no data, by QA_PIXEL")


def contract_qa(qa: Array) -> Array:
    """The ``qa`` column of the TimeSync contract: 0 usable, 1 not (uint8, any shape, lazy).

    0 where QA_PIXEL is not fill and says clear (bit 6) or water (bit 7). Shadow, snow, cirrus and
    medium cloud confidence count as usable here: bit 6 only excludes cloud and dilated cloud.
    """
    clear = (1 << QABit.CLEAR) | (1 << QABit.WATER)
    return _of_bits(
        lambda v: (((v & clear) == 0) | ((v & (1 << QABit.FILL)) != 0)).astype(np.uint8),
        qa,
        np.uint8,
        "qa",
        "qa of the TimeSync contract: 0 usable, 1 not",
    )


def is_clear(qa: Array) -> Array:
    """Where QA_PIXEL is free of fill, cloud, dilated cloud, cirrus, cloud shadow and snow: bool.

    A confidence of medium or high for cloud, shadow, snow or cirrus counts as not clear. Stricter
    than `contract_qa`. Any shape, lazy in, lazy out.
    """
    return _of_bits(
        lambda v: (v & _NOT_CLEAR.astype(v.dtype)) == 0,
        qa,
        np.bool_,
        "is_clear",
        "clear or water, by every bit of QA_PIXEL",
    )


_NOT_CLEAR = np.array(
    sum(1 << bit for name, bit in QA_FLAGS.items() if name not in ("clear", "water"))
    + sum(QA_MEDIUM << shift for shift in QA_CONFIDENCE.values())  # medium and high have this bit
)
"""Bits of QA_PIXEL none of which a clear pixel has."""


def qa_flags(qa: xr.DataArray) -> xr.Dataset:
    """All that QA_PIXEL says, by name: any shape, lazy in, lazy out.

    Flags (bool) fill, dilated_cloud, cirrus, cloud, cloud_shadow, snow, clear, water; confidences
    (uint8: 0 none, 1 low, 2 medium, 3 high) cloud_confidence, cloud_shadow_confidence,
    snow_confidence, cirrus_confidence. ``clear`` is bit 6, which only excludes cloud and dilated
    cloud: see `is_clear`. Source: as `timesync_xr.landsat.QABit`.
    """
    expect_array(qa)
    flags = {name: _bit(qa, bit, name, f"{name}, by QA_PIXEL") for name, bit in QA_FLAGS.items()}
    confidences = {
        f"{name}_confidence": _of_bits(
            partial(_two_bits, shift),
            qa,
            np.uint8,
            f"{name}_confidence",
            f"confidence of {name}, by QA_PIXEL: 0 none, 1 low, 2 medium, 3 high",
        )
        for name, shift in QA_CONFIDENCE.items()
    }
    return xr.Dataset(flags | confidences)


def qa_grade(qa: Array) -> Array:
    """TimeSync v4's graded class of QA_PIXEL: uint8, any shape, lazy in, lazy out.

    0 clear, 1 water, 2 snow, 3 shadow, 4 cloud (also dilated cloud and cirrus), 9 no data. Where
    several hold, the highest is taken. A confidence of medium or high counts like the flag, so
    that a grade of 0 or 1 is the same as `is_clear`.
    """
    classes = ", ".join(f"{grade} {name}" for name, grade in GRADES.items())
    return _of_bits(
        lambda v: _grade_table().take(v),
        qa,
        np.uint8,
        "grade",
        f"TimeSync v4's class: {classes}",
        nodata=GRADES["no data"],
    )


@cache
def _grade_table() -> npt.NDArray[np.uint8]:
    """The graded class of each of the 65,536 values of QA_PIXEL."""
    qa = np.arange(2**16)
    flag = {name: (qa >> bit & 1).astype(bool) for name, bit in QA_FLAGS.items()}
    sure = {name: _two_bits(shift, qa) >= QA_MEDIUM for name, shift in QA_CONFIDENCE.items()}
    holds = {
        "water": flag["water"],
        "snow": flag["snow"] | sure["snow"],
        "shadow": flag["cloud_shadow"] | sure["cloud_shadow"],
        "cloud": np.any([flag["cloud"], flag["dilated_cloud"], flag["cirrus"]], axis=0)
        | sure["cloud"]
        | sure["cirrus"],
        "no data": flag["fill"],
    }
    grades = [where * GRADES[name] for name, where in holds.items()]
    return np.max(grades, axis=0).astype(np.uint8)  # type: ignore[no-any-return]


def _two_bits(shift: int, qa: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return ((qa >> shift) & 3).astype(np.uint8)


def has_bit(qa: Array, bit: int) -> Array:
    """Where a bit of QA_PIXEL is set (see `timesync_xr.landsat.QABit`): bool, lazy in, lazy out.

    Bit 0 also counts as set where QA_PIXEL is 0 or NaN. `InputError` for a bit that is not 0 to 15.
    """
    if not is_whole(bit) or not 0 <= bit <= 15:
        raise InputError(f"QA_PIXEL has no bit {bit!r}: give 0 to 15, as those of landsat.QABit")
    return _bit(qa, bit, f"bit_{bit}", f"bit {bit} of QA_PIXEL")


def _bit(qa: Array, bit: int, name: str, long_name: str) -> Array:
    mask = np.uint16(1 << bit)
    return _of_bits(lambda v: (v & mask) != 0, qa, np.bool_, name, long_name)


def _of_bits(
    function: Any, qa: Array, dtype: Any, name: str, long_name: str, *, nodata: int | None = None
) -> Array:
    """A function of each value of QA_PIXEL, fill being marked by bit 0."""
    bits = quality_bits(qa)
    return elementwise(lambda v: function(bits(v)), qa, dtype, name, long_name, nodata=nodata)
