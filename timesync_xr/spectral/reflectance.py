"""Surface reflectance: from digital numbers to the range of Collection 1 that TimeSync knows."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ..landsat import COLLECTION1_FILL, COLLECTION1_SCALE, OFFSET, SCALE
from .arrays import COLLECTION1_NAME, COLLECTION1_UNITS, Array, digital_numbers, elementwise


@cache
def collection1_table() -> npt.NDArray[np.int16]:
    """Collection 1 value of each of the 65,536 digital numbers."""
    reflectance = np.arange(2**16, dtype=np.float64) * SCALE + OFFSET
    table = (reflectance * COLLECTION1_SCALE).astype(np.int16)
    table.setflags(write=False)
    return table


def to_collection1(dn: Array) -> Array:
    """Collection 2 digital numbers in the Collection 1 range (int16, 10000 = 1.0).

    ``trunc((dn * 0.0000275 - 0.2) * 10000)`` in float64, truncated toward zero: fill (0, or NaN)
    becomes -2000 and 65535 becomes 16022. ``dn`` is uint16, or as wider integers and floats with
    NaN, which masking makes of it. Any shape; lazy in, lazy out. Source: USGS scale factors of
    Collection 2 Level 2 and the range that TimeSync's stretches were made for. `InputError` for
    what holds no digital numbers; where only the values of a lazy array tell, once it is computed.
    """
    numbers = digital_numbers(dn)
    return elementwise(
        lambda block: collection1_table().take(numbers(block)),
        dn,
        np.int16,
        COLLECTION1_NAME,
        "surface reflectance in the Collection 1 range",
        COLLECTION1_UNITS,
        nodata=COLLECTION1_FILL,
    )
