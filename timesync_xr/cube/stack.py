"""Arrays of several plots in one, by how far each pixel lies from its plot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import xarray as xr

from ..errors import InputError
from .schema import expect_dims, plot_window

_OFFSET: Final = {
    "x": {"long_name": "east of the plot", "units": "m"},
    "y": {"long_name": "north of the plot", "units": "m"},
}
_IDS: Final = ("project_id", "plot_id")


def stack_plots(arrays: Iterable[xr.DataArray]) -> xr.DataArray:
    """Cubes, chips or values of several plots in one array, pixel on pixel.

    Every plot lies elsewhere, so `xarray.concat` would put each beside the others and fill the rest
    with NaN. Here ``x`` and ``y`` become metres east and north of the plot, which all plots share.

    Parameters
    ----------
    arrays
        Cubes of `chips_for_plot`, or what is made of them, in any number: of one size, with the
        same other dimensions, of any grids. `InputError` where they differ, and where one does not
        tell where its plot is.

    Returns
    -------
    xarray.DataArray
        Arrays with ``time`` are put one after the other along it: a step for every observation of
        every plot, not sorted anew. Others, such as those of an `annual_composite`, are put along
        the new first dimension ``plot``. Coordinates along it: ``project_id`` and ``plot_id``
        (text, empty where they are not known), ``plot_x`` and ``plot_y`` (metres of the plot's own
        grid). dtype as given; lazy in, lazy out. The plot has the offset 0, so that `plot_pixel`,
        `window_statistics` and the indices take the result; it has no CRS.

    Examples
    --------
    Chips of 32 x 32 pixels of all plots, and the mean chip of each::

        cubes = [tx.chips_for_plot(plot, archive, chip_size=32) for _, plot in plots.iterrows()]
        chips = tx.stack_plots(cubes)
        chips.groupby("plot_id").mean()
    """
    if isinstance(arrays, xr.DataArray | np.ndarray | str) or not isinstance(arrays, Iterable):
        raise InputError("plots are stacked of several arrays: give a list of them")
    parts = [_by_offset(array) for array in arrays]
    if not parts:
        raise InputError("there is no array to stack: give one for each plot")
    first = parts[0]
    along = "time" if "time" in first.dims else "plot"
    for number, part in enumerate(parts):
        if problem := _difference(first, part, along):
            raise InputError(f"array {number} does not fit the first: {problem}")
    stacked: xr.DataArray = xr.concat(
        parts, along, coords="different", compat="equals", join="exact", combine_attrs="override"
    )
    return stacked


def _by_offset(array: xr.DataArray) -> xr.DataArray:
    """An array of one plot with offsets for x and y, and its ids and place along its steps."""
    expect_dims(array, ("y", "x"), ("y", "x"))
    plot_window(array)  # says where the plot is not known
    along = "time" if "time" in array.dims else "plot"
    steps = array.sizes.get("time", 1)
    part = array if along == "time" else array.expand_dims("plot")
    told: dict[str, Any] = {name: str(array.attrs.get(name, "")) for name in _IDS}
    told |= {name: float(array.attrs[name]) for name in ("plot_x", "plot_y")}
    offsets = {
        dim: (dim, np.rint(array[dim].to_numpy() - array.attrs[f"plot_{dim}"]), _OFFSET[dim])
        for dim in ("x", "y")
    }
    part = part.assign_coords(
        {
            name: (along, np.full(steps, value, object if isinstance(value, str) else float))
            for name, value in told.items()
        }
        | offsets
    )
    part = part.drop_vars("spatial_ref", errors="ignore").drop_encoding()
    own = {*told, "grid", "grid_mapping"}
    part.attrs = {name: value for name, value in array.attrs.items() if name not in own}
    return part.assign_attrs(plot_x=0.0, plot_y=0.0)


def _difference(first: xr.DataArray, other: xr.DataArray, along: str) -> str:
    """How an array differs from the first in more than its pixels; "" if it does not."""
    if other.dims != first.dims:
        return f"its dims are {other.dims}, not {first.dims}"
    if other.dtype != first.dtype or other.name != first.name:
        return f"it holds {other.name} ({other.dtype}), not {first.name} ({first.dtype})"
    for dim in first.dims:
        same = dim == along or dim not in first.coords or first[dim].equals(other[dim])
        if not same:
            return f"its {dim} holds other values: choose the same of each, around the plot"
    return ""
