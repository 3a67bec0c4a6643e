"""Tasseled cap: brightness, greenness and wetness, weighted sums of the six bands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.schema import by_observation, label, select_bands
from ..errors import check_choice
from ..landsat import SR_BANDS, TASSELED_CAP_CRIST, TASSELED_CAPS
from .arrays import collection1

COMPONENTS = tuple(TASSELED_CAP_CRIST)
"""Tasseled-cap components in order: brightness, greenness, wetness."""

CRIST = np.array(list(TASSELED_CAP_CRIST.values()))
"""Coefficients of `TASSELED_CAP_CRIST` as an array (component, band)."""

_EXACT = 10_000
"""Coefficients have four decimals: times this they are whole numbers, and sums are exact."""


def tasseled_cap(values: xr.DataArray, coefficients: str = "crist1985") -> xr.DataArray:
    """Brightness, greenness and wetness of surface reflectance, in the units of ``values``.

    ``values`` has a dimension ``band`` that holds the six bands of `SR_BANDS`, in any order and
    among others; typically `to_collection1` of a cube. The result (float64, lazy in, lazy out) has
    ``component`` in place of ``band``, NaN where a band is fill (-2000, or -0.2 in reflectance) or
    NaN. Whole numbers are summed exactly. ``coefficients`` is the name of one of
    `timesync_xr.landsat.TASSELED_CAPS`, where the sources are; Crist (1985) is what TimeSync uses
    for every sensor. `InputError` for an unknown name, a missing band or digital numbers.

    Examples
    --------
    ::

        tx.tasseled_cap(tx.reflectance(cube)).sel(component="wetness")
    """
    weights = _weights(coefficients)
    known = select_bands(values, SR_BANDS)
    numbers = collection1(known, or_reflectance=True)
    components: xr.DataArray = xr.apply_ufunc(
        lambda v: _kernel_last(numbers(v), weights),
        by_observation(known),
        input_core_dims=[["band"]],
        output_core_dims=[["component"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"component": 3}, "allow_rechunk": True},
        keep_attrs=True,
    )
    named = label(components, values, "tasseled_cap", "tasseled cap", values.attrs.get("units"))
    return named.assign_coords(component=np.array(COMPONENTS, object))


def _weights(name: str) -> npt.NDArray[np.float64]:
    """Coefficients (component, band) of this name; `InputError` names the choices for any other."""
    check_choice(name, TASSELED_CAPS, "tasseled cap")
    return np.array(list(TASSELED_CAPS[name].values()))


def tasseled_cap_kernel(
    values: npt.NDArray[Any], coefficients: npt.NDArray[np.float64] = CRIST
) -> npt.NDArray[np.float64]:
    """Tasseled cap of an array (6, ...) in the order of `SR_BANDS`; returns (3, ...)."""
    shape = values.shape[1:]
    exact = values.reshape(len(values), math.prod(shape)).astype(np.float64, copy=False)
    sums: npt.NDArray[np.float64] = np.rint(coefficients * _EXACT).dot(exact)
    return np.divide(sums, _EXACT, out=sums).reshape(len(sums), *shape)


def _kernel_last(
    values: npt.NDArray[Any], coefficients: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Tasseled cap of an array (..., 6), of one pixel too; returns (..., 3)."""
    first = np.moveaxis(values, -1, 0)[..., np.newaxis]
    return np.moveaxis(tasseled_cap_kernel(first, coefficients)[..., 0], 0, -1)
