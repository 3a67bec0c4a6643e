"""From raw values to what they mean: surface reflectance numbers and QA_PIXEL bits.

Every function works on NumPy arrays, dask arrays and DataArrays of any shape alike, element by
element, and is lazy where its input is lazy.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from .landsat import (
    COLLECTION1_SCALE,
    OFFSET,
    QA_CONFIDENCE,
    QA_MEDIUM,
    SCALE,
    QABit,
)

Array = TypeVar("Array", npt.NDArray[Any], xr.DataArray)
"""A NumPy array or a DataArray (NumPy- or dask-backed); the result is of the same kind."""


@cache
def collection1_table() -> npt.NDArray[np.int16]:
    """Collection 1 value of each of the 65,536 digital numbers."""
    reflectance = np.arange(2**16, dtype=np.float64) * SCALE + OFFSET
    table = (reflectance * COLLECTION1_SCALE).astype(np.int16)
    table.setflags(write=False)
    return table


def to_collection1(dn: Array) -> Array:
    """Collection 2 digital numbers (uint16) in the Collection 1 range (int16, 10000 = 1.0).

    ``trunc((dn * 0.0000275 - 0.2) * 10000)`` in float64, truncated toward zero: fill (0) becomes
    -2000 and 65535 becomes 16022. Any shape; lazy in, lazy out. Source: USGS scale factors of
    Collection 2 Level 2 and the range that TimeSync's stretches were made for.
    """
    return _elementwise(collection1_table().take, dn, np.int16)


def is_fill(qa: Array) -> Array:
    """Where QA_PIXEL says that there is no data (bit 0): bool, any shape, lazy in, lazy out."""
    return has_bit(qa, QABit.FILL)


def contract_qa(qa: Array) -> Array:
    """The ``qa`` column of the TimeSync contract: 0 usable, 1 not (uint8, any shape, lazy).

    0 where QA_PIXEL is not fill and says clear (bit 6) or water (bit 7). Shadow, snow, cirrus and
    medium cloud confidence count as usable here: bit 6 only excludes cloud and dilated cloud.
    """
    clear = (1 << QABit.CLEAR) | (1 << QABit.WATER)
    return _elementwise(
        lambda v: (((v & clear) == 0) | ((v & (1 << QABit.FILL)) != 0)).astype(np.uint8),
        qa,
        np.uint8,
    )


def is_clear(qa: Array) -> Array:
    """Where QA_PIXEL is free of fill, cloud, dilated cloud, cirrus, cloud shadow and snow: bool.

    A confidence of medium or high for cloud, shadow, snow or cirrus counts as not clear. Stricter
    than `contract_qa`. Any shape, lazy in, lazy out.
    """
    return _elementwise(_clear_table().take, qa, np.bool_)


@cache
def _clear_table() -> npt.NDArray[np.bool_]:
    """Whether each of the 65,536 values of QA_PIXEL is clear."""
    qa = np.arange(2**16)
    unclear = (QABit.FILL, QABit.DILATED_CLOUD, QABit.CIRRUS, QABit.CLOUD, QABit.CLOUD_SHADOW)
    flagged = (qa & sum(1 << bit for bit in (*unclear, QABit.SNOW))) != 0
    confident = [(qa >> shift) & 3 >= QA_MEDIUM for shift in QA_CONFIDENCE.values()]
    clear: npt.NDArray[np.bool_] = ~np.any([flagged, *confident], axis=0)
    return clear


def has_bit(qa: Array, bit: int) -> Array:
    """Where a bit of QA_PIXEL is set (see `timesync_xr.landsat.QABit`): bool, lazy in, lazy out."""
    return _elementwise(lambda v: (v & (1 << bit)) != 0, qa, np.bool_)


def _elementwise(function: Any, values: Array, dtype: Any) -> Array:
    result = xr.apply_ufunc(
        function, values, dask="parallelized", output_dtypes=[dtype], keep_attrs=True
    )
    return result  # type: ignore[no-any-return]
