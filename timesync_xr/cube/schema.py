"""What a cube is: its dimensions, coordinates and attributes, and where its plot lies.

Lazy cubes and those that a project keeps are described here alone, so that they are the same.

dims ``(time, band, y, x)``. Coordinates: ``time`` (datetime64[ns], UTC, cut off to the second, so
that every program reads it; ``date`` has all digits), ``band``, ``y`` and ``x`` (pixel centres in
metres, y descending); along time, as text, `ALONG_TIME`; ``spatial_ref``, the CRS
as rioxarray has it. Attributes:

====================  ==========================================================================
``long_name``         what the numbers are, for plots and files
``units``             "1": a digital number has none
``grid``              CU, AK or HI; of scenes any other, such as EPSG:32632
``plot_x, plot_y``    centre of the plot pixel in metres
``collection``        of the items in STAC
``source``            the archive that they come from, by its name or file; of a kept cube all that
                      were read, with semicolons between
``project_id``        of the plot, where it is known
``plot_id``           of the plot, where it is known
``nodata``            0: fill of the surface reflectance bands (QA_PIXEL has bit 0), ``rio.nodata``
``reflectance_scale``   reflectance is scale x digital number + offset; under names of our own,
``reflectance_offset``  so that xarray does not apply them to QA_PIXEL, too
``grid_mapping``      "spatial_ref"
====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from numbers import Real
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..grid import NEAR, ChipGrid
from ..landsat import BANDS, FILL, OFFSET, PIXEL, SCALE
from .plan import Plan

NAME: Final = "digital_number"
"""Name of the array."""

DIMS: Final = ("time", "band", "y", "x")
"""Dimensions, in order."""

ALONG_TIME: Final = ("sensor", "hv", "item_id", "item_ids", "date", "processed")
"""Coordinates of each observation, all of them text."""

CHUNK: Final = 8
"""Observations in a chunk of dask's."""

LONG_NAME: Final = "digital numbers of surface reflectance, and QA_PIXEL"
"""What the numbers of a cube are."""

_METRES: Final = {"units": "m"}
_ABOUT: Final[dict[str, dict[str, str]]] = {
    "time": {"standard_name": "time", "long_name": "time of acquisition, UTC"},
    "band": {"long_name": "band"},
    "y": {"standard_name": "projection_y_coordinate", "long_name": "centre of the pixel"} | _METRES,
    "x": {"standard_name": "projection_x_coordinate", "long_name": "centre of the pixel"} | _METRES,
}
"""Attributes of the coordinates that are dimensions."""


def describe(
    pixels: xr.Variable, plan: Plan, ids: tuple[str, str] = ("", ""), source: str = ""
) -> xr.DataArray:
    """The cube of a plan's pixels (time, band, y, x); ``ids`` are project_id and plot_id.

    ``source`` is the name of the archive.
    """
    origin = {"collection": plan.source.collection, "source": source} if source else {}
    return xr.DataArray(
        pixels,
        dims=DIMS,
        coords=coordinates(plan.grid, plan.observations),
        name=NAME,
        attrs=attributes(plan.grid, ids) | origin,
    )


def coordinates(grid: ChipGrid, observations: pd.DataFrame) -> dict[str, Any]:
    """The coordinates of a cube; ``observations`` is a table as that of a `Plan`."""
    return {
        "time": ("time", times(observations), _ABOUT["time"]),
        **_in_space(grid),
        **{name: ("time", observations[name].to_numpy(dtype=object)) for name in ALONG_TIME},
        "spatial_ref": _spatial_ref(grid.lattice.crs),
    }


@lru_cache(maxsize=4)
def _in_space(grid: ChipGrid) -> dict[str, xr.IndexVariable]:
    """The coordinates that all cubes of a grid have; a run makes many."""
    along = {"band": np.array(BANDS, dtype=object), "y": grid.y, "x": grid.x}
    return {
        name: xr.IndexVariable(name, values, _ABOUT[name])  # type: ignore[no-untyped-call]
        for name, values in along.items()
    }


def times(observations: pd.DataFrame) -> npt.NDArray[np.datetime64]:
    """The coordinate ``time`` of observations: their moments, cut off to the second."""
    moments = observations["time"].to_numpy("datetime64[ns]")
    return moments.astype("datetime64[s]").astype("datetime64[ns]")


def attributes(grid: ChipGrid, ids: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """The attributes of a cube, fit for Zarr: numbers, texts and lists of them."""
    row, column = grid.plot_index
    known = dict(zip(("project_id", "plot_id"), ids, strict=True)) if all(ids) else {}
    return {
        "long_name": LONG_NAME,
        "units": "1",
        "grid": grid.lattice.name,
        "plot_x": float(grid.x[column]),
        "plot_y": float(grid.y[row]),
        **known,
        "nodata": FILL,
        "reflectance_scale": SCALE,
        "reflectance_offset": OFFSET,
        "grid_mapping": "spatial_ref",
    }


@cache
def _spatial_ref(wkt: str) -> xr.DataArray:
    """The CRS as rioxarray names it; as a coordinate it also survives Zarr."""
    import rioxarray  # noqa: F401 - registers the .rio accessor

    coordinate: xr.DataArray = xr.DataArray(0).rio.write_crs(wkt)["spatial_ref"]
    listed = {k: [*v] if isinstance(v, tuple) else v for k, v in coordinate.attrs.items()}
    return coordinate.assign_attrs(listed)  # as they come back from JSON


ANNUAL_COMPOSITE: Final = ("annual_composite", "season", "rule")
"""Attributes of an annual composite: how it was made. No observation has them."""

_STAYS: Final = (
    "grid", "plot_x", "plot_y", "project_id", "plot_id", "grid_mapping", *ANNUAL_COMPOSITE,
)  # fmt: skip
"""Attributes that say where an array lies, or that it is an annual composite; they stay true of
what is made of it."""

_STANDARD_NAMES: Final = {
    "surface_reflectance": "surface_bidirectional_reflectance",
    "reflectance": "surface_bidirectional_reflectance",
    "ndvi": "normalized_difference_vegetation_index",
    "qa": "quality_flag",
    "grade": "quality_flag",
    "is_clear": "quality_flag",
    "is_fill": "quality_flag",
}
"""What CF calls arrays of our names, where it has a name for them."""


def label(
    array: xr.DataArray,
    like: xr.DataArray,
    name: str,
    long_name: str,
    units: str | None = "1",
    nodata: int | None = None,
) -> xr.DataArray:
    """The array by another name, with the attributes of ``like`` that stay true of it.

    ``units`` is as CF wants it, "1" for a number without unit; None where it is not known.
    ``nodata`` is the value of pixels without data, if one stands for them.
    """
    told = {
        "long_name": long_name,
        "standard_name": _STANDARD_NAMES.get(name),
        "units": units,
        "nodata": nodata,
    }
    stays = {key: like.attrs[key] for key in _STAYS if key in like.attrs}
    named = array.rename(name)
    named.attrs = {key: value for key, value in told.items() if value is not None} | stays
    return named


def select_bands(values: xr.DataArray, bands: Sequence[str]) -> xr.DataArray:
    """These bands of an array, in this order; `InputError` names those that are missing."""
    expect_array(values)
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


def expect_array(array: Any) -> None:
    """`InputError` for what is no DataArray."""
    if not isinstance(array, xr.DataArray):
        kind = type(array).__name__
        raise InputError(f"a {kind} is no cube: give a DataArray, as that of chips_for_plot")


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, of Python's or NumPy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number, of Python's or NumPy's, NaN included."""
    return isinstance(value, Real) and not isinstance(value, bool)


def expect_dims(array: Any, dims: Sequence[str], coords: Sequence[str] = ()) -> None:
    """`InputError` for what is no DataArray, or lacks one of these dimensions or coordinates."""
    expect_array(array)
    missing = [dim for dim in dims if dim not in array.dims]
    missing += [name for name in coords if name not in array.coords]
    if missing:
        raise InputError(
            f"the array lacks {', '.join(missing)} (dims {array.dims}): give a cube of "
            "chips_for_plot, or a part of one that keeps these names"
        )


def by_observation(array: xr.DataArray) -> xr.DataArray:
    """A lazy array of chips with one observation in each chunk, for functions to be applied to.

    So a step of what is made of it reads one observation, while computing all reads as many at a
    time as before. An array that is lazy without dask is put into chunks, since applying a function
    would load it; only xarray's own variable knows whether it is, and tells by no public name. What
    is in memory, holds no chips, or was put into other chunks is returned as it is.
    """
    if not {"time", "y", "x"} <= {*array.dims} or array.variable._in_memory:
        return array
    from .chunked import LazyChips  # here, since dask takes long to import

    chips = array.data if array.chunks is not None else LazyChips(array.variable, CHUNK)
    if not isinstance(chips, LazyChips) or chips.is_changed:
        return array
    return array.copy(data=chips.by_observation())


def plot_window(array: xr.DataArray, size: int = 1) -> dict[str, slice]:
    """Where the ``size`` x ``size`` pixels around the plot lie: a slice for each of y and x.

    ``array`` is a cube, what is made of one, or any spatial part of it, in any order of its axes
    and pixels; a dimension that it has no more is left out. The plot is known by the attributes
    ``plot_x`` and ``plot_y``. An array of one's own, with neither these nor coordinates of its
    pixels, is a whole chip: the plot is index ``length // 2``. `InputError` where the array does
    not hold the whole window, or does not tell where its plot is.
    """
    expect_array(array)
    found = {dim: _places(array, dim, size) for dim in ("y", "x")}
    return {dim: slice(n[0], n[-1] + 1) for dim, n in found.items() if dim in array.dims}


def _places(array: xr.DataArray, dim: str, size: int) -> list[int]:
    """Indices along a dimension, ascending, of the pixels of a window around the plot."""
    steps = PIXEL * np.arange(-(size // 2), size // 2 + 1)
    plot = array.attrs.get(f"plot_{dim}")
    if (plot is None) != (dim not in array.coords):
        raise InputError(
            f"the array does not tell where its plot is: keep its coordinate {dim} and its "
            f"attribute plot_{dim}"
        )
    if plot is None:
        length = array.sizes.get(dim, 1)
        values, plot = PIXEL * np.arange(length), PIXEL * (length // 2)
    else:
        values = np.atleast_1d(array[dim].to_numpy())
    if values.dtype.kind not in "iuf" or not isinstance(plot, int | float | np.number):
        raise InputError(
            f"the coordinate {dim}, or the attribute plot_{dim}, is no number of metres"
        )
    near = np.abs(values[:, None] - (plot + steps)) <= NEAR
    places: list[int] = np.flatnonzero(near.any(axis=1)).tolist()
    if len(places) != len(steps) or np.any(np.diff(places) != 1):
        raise InputError(_not_held(array, size))
    return places


def _not_held(array: xr.DataArray, size: int) -> str:
    what = "the plot" if size == 1 else f"the window of {size} x {size} pixels around the plot"
    x, y = (array.attrs.get(f"plot_{dim}") for dim in "xy")
    known = isinstance(x, int | float | np.number) and isinstance(y, int | float | np.number)
    place = f" at x {x:.15g}, y {y:.15g}" if known else ""
    return f"{what}{place} is not in this part of its cube: take one that holds it"
