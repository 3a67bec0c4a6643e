"""Surface reflectance: from digital numbers to the range of Collection 1 that TimeSync knows."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..landsat import COLLECTION1_SCALE, OFFSET, SCALE
from .arrays import Array, elementwise


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
    Collection 2 Level 2 and the range that TimeSync's stretches were made for. `InputError` for
    anything but uint16, which is no raw digital number.
    """
    if dn.dtype != np.uint16:
        raise InputError(f"digital numbers are uint16, not {dn.dtype}: give them as they were read")
    reflectance = "surface reflectance in the Collection 1 range"
    return elementwise(
        collection1_table().take, dn, np.int16, "surface_reflectance", reflectance, "0.0001"
    )
