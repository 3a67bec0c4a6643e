"""Functions of every value of an array, of whichever kind: NumPy, dask or xarray."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.schema import by_observation, label

Array = TypeVar("Array", npt.NDArray[Any], xr.DataArray)
"""A NumPy array or a DataArray (NumPy- or dask-backed); the result is of the same kind."""


def elementwise(
    function: Any, values: Array, dtype: Any, name: str, long_name: str, units: str = "1"
) -> Array:
    """A function of each value; a DataArray gets a name and says what it is."""
    if not isinstance(values, xr.DataArray | np.ndarray | np.generic):  # dask's own, unnamed
        return values.map_blocks(function, dtype=dtype)
    lazy: Any = values
    if isinstance(values, xr.DataArray):
        lazy = by_observation(values)
    result: Any = xr.apply_ufunc(
        function, lazy, dask="parallelized", output_dtypes=[dtype], keep_attrs=True
    )
    if isinstance(values, xr.DataArray):
        result = label(result, values, name, long_name, units)
    return result  # type: ignore[no-any-return]
