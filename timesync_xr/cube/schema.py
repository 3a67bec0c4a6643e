"""What an array is, on the array itself: its name, its long name and its unit."""

from __future__ import annotations

from typing import Final

import xarray as xr

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
