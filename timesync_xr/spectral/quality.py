"""What the bits of QA_PIXEL say: fill, clear, and the classes of TimeSync, of Fmask and COLD.

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
from ..landsat import FMASK, GRADES, QA_CONFIDENCE, QA_FLAGS, QA_MEDIUM, VALID_RANGE, QABit
from .arrays import Array, digital_numbers, elementwise, quality_bits


def is_fill(qa: Array) -> Array:
    """Where QA_PIXEL says that there is no data (bit 0, or 0 or NaN): bool, any shape, lazy.

    Examples
    --------
    ::

        share = tx.is_fill(cube.sel(band="qa_pixel")).mean(("x", "y"))  # of each observation
    """
    return _bit(qa, QABit.FILL, "is_fill", "no data, by QA_PIXEL")


def contract_qa(qa: Array) -> Array:
    """The ``qa`` column of the TimeSync contract: 0 usable, 1 not (uint8, any shape, lazy).

    0 where QA_PIXEL is not fill and says clear (bit 6) or water (bit 7). What bit 6 excludes
    depends on the sensor: on Landsat 8 and 9 cloud and dilated cloud, so that shadow and snow count
    as usable; on Landsat 4 to 7 cloud, shadow and snow, so that dilated cloud does. Over water bit
    7 makes anything usable. `is_clear` and `qa_grade` are the same for all sensors.

    Examples
    --------
    ::

        tx.contract_qa(cube.sel(band="qa_pixel"))  # 0 clear or water, 1 all else
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

    A confidence of medium (which USGS gives to cloud alone) or high counts as not clear. Stricter
    than `contract_qa`. Of Landsat 4 to 7, which have no band for it, cirrus is not known. Any
    shape, lazy in, lazy out.

    Examples
    --------
    ::

        clear = tx.is_clear(cube.sel(band="qa_pixel"))
        tx.indices.ndvi(tx.reflectance(cube)).where(clear).median("time")
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
    (uint8: 0 none, 1 low, 3 high; cloud alone has 2 medium, for the others it is reserved)
    cloud_confidence, cloud_shadow_confidence, snow_confidence, cirrus_confidence. A cirrus
    confidence of 0 says that there is no band for it (Landsat 4 to 7): then cirrus is not known,
    whatever its flag. ``clear`` is bit 6, whose meaning depends on the sensor: see `contract_qa`
    and `is_clear`. Source: as `timesync_xr.landsat.QABit`.

    Examples
    --------
    ::

        flags = tx.qa_flags(cube.sel(band="qa_pixel"))
        flags["cloud"] | flags["cloud_shadow"]
    """
    expect_array(qa)
    flags = {name: _bit(qa, bit, name, f"{name}, by QA_PIXEL") for name, bit in QA_FLAGS.items()}
    confidences = {
        f"{name}_confidence": _of_bits(
            partial(_two_bits, shift),
            qa,
            np.uint8,
            f"{name}_confidence",
            f"confidence of {name}, by QA_PIXEL: {_codes(name)}",
        )
        for name, shift in QA_CONFIDENCE.items()
    }
    return xr.Dataset(flags | confidences)


def _codes(name: str) -> str:
    """What the numbers of a confidence mean."""
    return "0 none, 1 low, 2 medium, 3 high" if name == "cloud" else "0 none, 1 low, 3 high"


def qa_grade(qa: Array) -> Array:
    """TimeSync v4's graded class of QA_PIXEL: uint8, any shape, lazy in, lazy out.

    0 clear, 1 water, 2 snow, 3 shadow, 4 cloud, 9 no data: these six classes and their order are
    TimeSync v4's. How QA_PIXEL becomes one of them is ours: dilated cloud and cirrus are cloud, a
    confidence of medium or high counts like the flag, and where several hold the highest is taken.
    So a grade of 0 or 1 is the same as `is_clear`. `fmask` gives the same classes other numbers.

    Examples
    --------
    ::

        tx.qa_grade(cube.sel(band="qa_pixel")).min("time")  # 0 where it was clear at least once
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


def fmask(qa: Array) -> Array:
    """The classes of `qa_grade` by the numbers of Fmask: uint8, any shape, lazy in, lazy out.

    0 clear, 1 water, 2 shadow, 3 snow, 4 cloud, 255 no data, as CCDC, COLD and pyccd take them.
    Mind that 2 and 3 are the reverse of `qa_grade`. The order where several hold (no data, cloud,
    shadow, snow, water, clear) is that of pyccd and pycold. Source: Zhu, Z., Woodcock, C. E.
    (2012): Object-based cloud and cloud shadow detection in Landsat imagery. Remote Sensing of
    Environment 118, 83-94.

    Examples
    --------
    ::

        tx.fmask(cube.sel(band="qa_pixel"))  # 0 clear, 1 water, 2 shadow, 3 snow, 4 cloud, 255 fill
    """
    classes = ", ".join(f"{number} {name}" for name, number in FMASK.items())
    return _of_bits(
        lambda v: _fmask_table().take(v),
        qa,
        np.uint8,
        "fmask",
        f"class of Fmask: {classes}",
        nodata=FMASK["no data"],
    )


@cache
def _fmask_table() -> npt.NDArray[np.uint8]:
    """The class of Fmask of each of the 65,536 values of QA_PIXEL."""
    number = np.zeros(max(GRADES.values()) + 1, np.uint8)
    for name, grade in GRADES.items():
        number[grade] = FMASK[name]
    return number[_grade_table()]


def is_valid(dn: Array) -> Array:
    """Where digital numbers are in the valid range of surface reflectance, 7273 to 43636: bool.

    Below and above stands what is filled, saturated, or what the atmosphere's correction made
    impossible: a reflectance below 0 or above 1. NaN is not valid. Any shape, lazy in, lazy out.
    Source: as `timesync_xr.landsat.VALID_RANGE`. `InputError` for what holds no digital numbers.

    Examples
    --------
    ::

        good = tx.is_valid(cube.sel(band=list(tx.SR_BANDS))).all("band")
    """
    numbers = digital_numbers(dn)
    low, high = VALID_RANGE

    def within(block: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        values = numbers(block)
        return (values >= low) & (values <= high)

    return elementwise(within, dn, np.bool_, "is_valid", "in the valid range of reflectance")


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

    Examples
    --------
    ::

        snow = tx.has_bit(cube.sel(band="qa_pixel"), 5)
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
