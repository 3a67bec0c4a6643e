"""What an array is, on the array itself: its name, its long name, its unit, and its bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import xarray as xr

from ..errors import InputError

_PLACE: Final = ("region", "plot_x", "plot_y", "grid_mapping")
"""Attributes of a cube that say where it lies; they stay true of what is made of it."""


def label(
    array: xr.DataArray, like: xr.DataArray, name: str, long_name: str, units: str | None = "1"
) -> xr.DataArray:
    """The array by another name, with the attributes of ``like`` that say where it lies.

    ``units`` is as CF wants it, "1" for a number without unit; None where it is not known.
    """
    place = {key: like.attrs[key] for key in _PLACE if key in like.attrs}
    unit = {} if units is None else {"units": units}
    named = array.rename(name)
    named.attrs = {"long_name": long_name} | unit | place
    return named


def select_bands(values: xr.DataArray, bands: Sequence[str]) -> xr.DataArray:
    """These bands of an array, in this order; `InputError` names those that are missing."""
    if "band" not in values.dims or "band" not in values.coords:
        raise InputError(f"the array has no named bands (dims {values.dims}): give it a `band`")
    names = [str(name) for name in values["band"].values]
    missing = [band for band in bands if band not in names]
    if missing:
        raise InputError(f"the array lacks {', '.join(missing)}: its bands are {', '.join(names)}")
    start, stop = names.index(bands[0]), names.index(bands[0]) + len(bands)
    if names[start:stop] == list(bands):
        return values.isel(band=slice(start, stop))
    return values.isel(band=[names.index(b) for b in bands])
