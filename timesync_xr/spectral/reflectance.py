"""Surface reflectance: from digital numbers to the range of Collection 1 that TimeSync knows."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.schema import expect_array, select_bands
from ..landsat import COLLECTION1_FILL, COLLECTION1_SCALE, FILL, OFFSET, SCALE, SR_BANDS
from .arrays import (
    COLLECTION1_NAME,
    COLLECTION1_UNITS,
    REFLECTANCE_NAME,
    Array,
    digital_numbers,
    elementwise,
)


@cache
def collection1_table() -> npt.NDArray[np.int32]:
    """Collection 1 value of each of the 65,536 digital numbers."""
    reflectance = np.arange(2**16, dtype=np.float64) * SCALE + OFFSET
    table = (reflectance * COLLECTION1_SCALE).astype(np.int32)
    table.setflags(write=False)
    return table


def to_collection1(dn: Array) -> Array:
    """Collection 2 digital numbers in the Collection 1 range (int32, 10000 = 1.0).

    ``trunc((dn * 0.0000275 - 0.2) * 10000)`` in float64, truncated toward zero: fill (0, or NaN)
    becomes -2000 and 65535 becomes 16022. The values would fit into int16, but sums and products of
    them would not, and NumPy overflows without a word. ``dn`` is uint16, or as wider integers and
    floats with NaN, which masking makes of it. Any shape; lazy in, lazy out. Source: USGS scale
    factors of Collection 2 Level 2 and the range that TimeSync's stretches were made for.
    `InputError` for what holds no digital numbers; where only the values of a lazy array tell, once
    it is computed.

    Examples
    --------
    ::

        tx.to_collection1(cube.sel(band="red"))  # 10000 is a reflectance of 1
    """
    numbers = digital_numbers(dn)
    return elementwise(
        lambda block: collection1_table().take(numbers(block)),
        dn,
        np.int32,
        COLLECTION1_NAME,
        "surface reflectance in the Collection 1 range",
        COLLECTION1_UNITS,
        nodata=COLLECTION1_FILL,
    )


@cache
def _reflectance_table() -> npt.NDArray[np.float32]:
    """Reflectance of each of the 65,536 digital numbers, NaN of fill."""
    table = (np.arange(2**16, dtype=np.float64) * SCALE + OFFSET).astype(np.float32)
    table[FILL] = np.nan
    table.setflags(write=False)
    return table


def reflectance(cube: xr.DataArray) -> xr.DataArray:
    """Surface reflectance of a cube: float32, 1 is all light, NaN where there is no data.

    ``cube`` holds digital numbers of Collection 2, as `chips_for_plot` gives them, or any part of
    them; of named bands those of `SR_BANDS` are taken, so that QA_PIXEL is left out. The value is
    ``dn * 0.0000275 - 0.2``; it may be below 0 and above 1, see `is_valid`. Clouds are not looked
    at, see `is_clear`. Dims as given, lazy in, lazy out. `InputError` for what holds no digital
    numbers; where only the values of a lazy array tell, once it is computed.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dn = xr.DataArray(np.array([0, 18639], np.uint16), dims="x")
    >>> reflectance(dn).values
    array([      nan, 0.3125725], dtype=float32)
    """
    expect_array(cube)
    if "band" in cube.dims and "band" in cube.coords:
        held = [str(band) for band in cube["band"].to_numpy() if band in SR_BANDS]
        cube = select_bands(cube, held or SR_BANDS)  # says which are missing where none is held
    numbers = digital_numbers(cube)
    return elementwise(
        lambda block: _reflectance_table().take(numbers(block)),
        cube,
        np.float32,
        REFLECTANCE_NAME,
        "surface reflectance",
    )
