"""Spectral indices, and the decimal year: each an expression of named bands.

Values are surface reflectance in the Collection 1 range (10000 is a reflectance of 1), as
`timesync_xr.to_collection1` and the contract's tables have them, or the result of
`timesync_xr.reflectance`, with the six bands of `SR_BANDS` along ``band``, in any order and among
others. A result has no ``band``, is float64, lazy where the
values are lazy, and NaN where a band that it needs is fill or NaN, or where it would divide by 0.
Nothing is clipped: Collection 2 holds reflectances below 0 and above 1, and a normalised difference
of such values leaves -1..1. `InputError` names a band that is missing, and refuses digital numbers
and fractions that no name tells to be reflectance; where only the values of a lazy array tell, once
it is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from ..cube.schema import expect_array, label, select_bands
from ..errors import InputError
from ..landsat import COLLECTION1_SCALE, SR_BANDS
from .arrays import apply, collection1, is_reflectance
from .tasseled_cap import tasseled_cap

NAMES: Final = ("ndvi", "nbr", "nbr2", "ndmi", "evi", "tcb", "tcg", "tcw", "tca")
"""Names of all indices."""


def ndvi(values: xr.DataArray) -> xr.DataArray:
    """Normalized difference vegetation index (nir08 - red) / (nir08 + red), without unit.

    Source: Rouse, J. W., Haas, R. H., Schell, J. A., Deering, D. W. (1974): Monitoring vegetation
    systems in the Great Plains with ERTS. NASA SP-351, 309-317. ``values``: see this module.
    """
    return _difference(values, "nir08", "red", "ndvi", "normalized difference vegetation index")


def nbr(values: xr.DataArray) -> xr.DataArray:
    """Normalized burn ratio (nir08 - swir22) / (nir08 + swir22), without unit.

    Source: Key, C. H., Benson, N. C. (2006): Landscape assessment. USDA Forest Service
    RMRS-GTR-164-CD. ``values``: see this module.
    """
    return _difference(values, "nir08", "swir22", "nbr", "normalized burn ratio")


def nbr2(values: xr.DataArray) -> xr.DataArray:
    """Normalized burn ratio 2 (swir16 - swir22) / (swir16 + swir22), without unit.

    Source: USGS, Landsat surface reflectance-derived spectral indices product guide.
    ``values``: see this module.
    """
    return _difference(values, "swir16", "swir22", "nbr2", "normalized burn ratio 2")


def ndmi(values: xr.DataArray) -> xr.DataArray:
    """Normalized difference moisture index (nir08 - swir16) / (nir08 + swir16), without unit.

    Source: Wilson, E. H., Sader, S. A. (2002): Detection of forest harvest type using multiple
    dates of Landsat TM imagery. Remote Sensing of Environment 80, 385-396. ``values``: see this
    module.
    """
    return _difference(values, "nir08", "swir16", "ndmi", "normalized difference moisture index")


def evi(values: xr.DataArray) -> xr.DataArray:
    """Enhanced vegetation index 2.5 (nir08 - red) / (nir08 + 6 red - 7.5 blue + 1), without unit.

    The 1 is a reflectance, 10000 in the Collection 1 range. ``values``: see this module.
    Source: Huete, A. et al. (2002): Overview of the radiometric and biophysical performance of the
    MODIS vegetation indices. Remote Sensing of Environment 83, 195-213.
    """
    blue, red, nir = _bands(values, "blue", "red", "nir08")
    one = 1 if is_reflectance(values) else COLLECTION1_SCALE
    ratio = _ratio(2.5 * (nir - red), nir + 6 * red - 7.5 * blue + one)
    return label(ratio, values, "evi", "enhanced vegetation index")


def tcb(values: xr.DataArray, coefficients: str = "crist1985") -> xr.DataArray:
    """Tasseled-cap brightness, in the unit of ``values``; see `tasseled_cap` and this module."""
    return _component(values, "tcb", "brightness", coefficients)


def tcg(values: xr.DataArray, coefficients: str = "crist1985") -> xr.DataArray:
    """Tasseled-cap greenness, in the unit of ``values``; see `tasseled_cap` and this module."""
    return _component(values, "tcg", "greenness", coefficients)


def tcw(values: xr.DataArray, coefficients: str = "crist1985") -> xr.DataArray:
    """Tasseled-cap wetness, in the unit of ``values``; see `tasseled_cap` and this module."""
    return _component(values, "tcw", "wetness", coefficients)


def tca(values: xr.DataArray, coefficients: str = "crist1985") -> xr.DataArray:
    """Tasseled-cap angle atan(greenness / brightness) in degrees, -90 to 90.

    The arctangent of the ratio, as TimeSync's client takes it: it knows no quadrant, so where
    brightness is negative the angle is that of the opposite point; NaN where brightness is 0.
    Source: Powell, S. L. et al. (2010): Quantification of live aboveground forest biomass dynamics
    with Landsat time-series and field inventory data. Remote Sensing of Environment 114, 1053-1068.
    ``values``: see this module.
    """
    ratio = _ratio(tcg(values, coefficients), tcb(values, coefficients))
    angle: xr.DataArray = xr.ufuncs.degrees(xr.ufuncs.arctan(ratio))
    return label(angle, values, "tca", "tasseled-cap angle", "degree")


def decimal_year(time: xr.DataArray) -> xr.DataArray:
    """Year with the part of it that has passed, float64: 2001-01-01T00:00 is 2001.0.

    ``time`` is datetime64 of any shape, such as ``cube["time"]``. The part is of the length of that
    year, 365 or 366 days, so that whole numbers are always New Year. `InputError` for what is no
    time.
    """
    expect_array(time)
    if time.dtype.kind != "M":
        raise InputError("a decimal year is made of datetime64: give the coordinate time of a cube")
    start = time.astype("datetime64[ns]").dt
    days = start.dayofyear - 1 + (time - start.floor("D")) / np.timedelta64(1, "D")
    year = start.year + days / start.days_in_year
    return label(year, time, "decimal_year", "decimal year", "year")


def _difference(
    values: xr.DataArray, first: str, second: str, name: str, long_name: str
) -> xr.DataArray:
    a, b = _bands(values, first, second)
    return label(_ratio(a - b, a + b), values, name, long_name)


def _ratio(above: xr.DataArray, below: xr.DataArray) -> xr.DataArray:
    return above / below.where(below != 0)


def _component(values: xr.DataArray, name: str, component: str, coefficients: str) -> xr.DataArray:
    components = tasseled_cap(_known(values, SR_BANDS), coefficients)
    chosen = components.sel(component=component, drop=True)
    return label(chosen, values, name, f"tasseled-cap {component}", values.attrs.get("units"))


def _bands(values: xr.DataArray, *bands: str) -> list[xr.DataArray]:
    known = _known(values, bands)
    return [known.isel(band=n, drop=True) for n in range(len(bands))]


def _known(values: xr.DataArray, bands: Sequence[str]) -> xr.DataArray:
    """These bands as float64, NaN where they are fill."""
    chosen = select_bands(values, bands)
    numbers = collection1(chosen, or_reflectance=is_reflectance(chosen))
    known: xr.DataArray = apply(numbers, chosen, np.float64)
    return known
