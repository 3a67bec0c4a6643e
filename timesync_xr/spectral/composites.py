"""What interpreters see: tasseled cap, stretches, and RGB chips with fill black.

The kernels work on plain arrays with the bands first; the public functions apply them along the
``band`` dimension of a DataArray, over all times at once, lazily where the cube is lazy. Bands are
found by name, so their order in the cube does not matter and a missing one is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.schema import by_observation, label, select_bands
from ..errors import InputError
from ..landsat import COMPOSITES, FILL, SR_BANDS, TASSELED_CAP_CRIST, TASSELED_CAPS, Composite
from ..spelling import did_you_mean
from .reflectance import collection1_table

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
    ``component`` in place of ``band``. Whole numbers are summed exactly. ``coefficients`` is the
    name of one of `timesync_xr.landsat.TASSELED_CAPS`, where the sources are; Crist (1985) is what
    TimeSync uses for every sensor. `InputError` for an unknown name or a missing band.
    """
    weights = _tasseled_cap_weights(coefficients)
    components: xr.DataArray = xr.apply_ufunc(
        lambda v: _tasseled_cap_last(v, weights),
        by_observation(select_bands(values, SR_BANDS)),
        input_core_dims=[["band"]],
        output_core_dims=[["component"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"component": 3}, "allow_rechunk": True},
        keep_attrs=True,
    )
    named = label(components, values, "tasseled_cap", "tasseled cap", values.attrs.get("units"))
    return named.assign_coords(component=list(COMPONENTS))


def stretch(values: Any, low: float, high: float) -> Any:
    """Linear stretch of ``low..high`` to 0..255, clipped, truncated to uint8.

    Any shape, any kind of array (NumPy, dask, DataArray), lazy in, lazy out.
    """
    exact = values.astype(np.float64, copy=False)
    return ((255 / (high - low)) * (exact - low)).clip(0, 255).astype(np.uint8)


def composite_rgb(cube: xr.DataArray, composite: str | Composite) -> xr.DataArray:
    """A composite of raw digital numbers as 8-bit RGB chips, fill black.

    ``cube`` holds uint16 digital numbers with dims ``(..., band, y, x)``; the result is uint8 with
    dims ``(..., y, x, rgb)``, ready for ``plot.imshow``; lazy in, lazy out. It is named like the
    composite and lies where the cube lies (``rgb.rio.crs``). ``composite`` is the name of one of
    `timesync_xr.landsat.COMPOSITES` (tc, b743, b432) or a `Composite`. A pixel that is fill in any
    of the six surface reflectance bands is black. `InputError` for an unknown name or a missing
    band.
    """
    chosen = get_composite(composite)
    _check_channels(chosen)
    rgb: xr.DataArray = xr.apply_ufunc(
        lambda dn: draw_chips(dn, [chosen])[0],
        by_observation(select_bands(cube, SR_BANDS)),
        input_core_dims=[["band", "y", "x"]],
        output_core_dims=[["y", "x", "rgb"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
        dask_gufunc_kwargs={"output_sizes": {"rgb": 3}, "allow_rechunk": True},
        keep_attrs=True,
    )
    shown = f"{', '.join(chosen.channels)} as red, green, blue"
    named = label(rgb, cube, chosen.name, shown, nodata=0)
    return named.assign_coords(rgb=["r", "g", "b"])


def get_composite(composite: str | Composite) -> Composite:
    """The composite of this name; `InputError` names the choices for any other."""
    if isinstance(composite, Composite):
        return composite
    try:
        return COMPOSITES[composite]
    except (KeyError, TypeError):
        raise InputError(
            f"there is no composite {composite!r}{did_you_mean(composite, COMPOSITES)}: "
            f"choose one of {', '.join(COMPOSITES)}"
        ) from None


def is_fill_pixel(cube: xr.DataArray) -> xr.DataArray:
    """Where a chip is black: fill in any of the surface reflectance bands. Lazy in, lazy out."""
    bands = by_observation(select_bands(cube, SR_BANDS))
    return ~bands.all("band")  # FILL is 0; this is the quickest way to ask


def _tasseled_cap_weights(name: str) -> npt.NDArray[np.float64]:
    """Coefficients (component, band) of this name; `InputError` names the choices for any other."""
    try:
        return np.array(list(TASSELED_CAPS[name].values()))
    except KeyError:
        raise InputError(
            f"there are no tasseled-cap coefficients {name!r}: "
            f"choose one of {', '.join(TASSELED_CAPS)}"
        ) from None


def tasseled_cap_kernel(
    values: npt.NDArray[Any], coefficients: npt.NDArray[np.float64] = CRIST
) -> npt.NDArray[np.float64]:
    """Tasseled cap of an array (6, ...) in the order of `SR_BANDS`; returns (3, ...)."""
    sums: npt.NDArray[np.float64] = np.tensordot(
        np.rint(coefficients * _EXACT), values.astype(np.float64, copy=False), axes=1
    )
    return np.divide(sums, _EXACT, out=sums)


def _tasseled_cap_last(
    values: npt.NDArray[Any], coefficients: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Tasseled cap of an array (..., 6), of one pixel too; returns (..., 3)."""
    first = np.moveaxis(values, -1, 0)[..., np.newaxis]
    return np.moveaxis(tasseled_cap_kernel(first, coefficients)[..., 0], 0, -1)


_STRIP = 51
"""Rows of a chip that are worked on at a time: few enough to stay in the processor's cache."""


def draw_chips(
    dn: npt.NDArray[np.uint16], composites: Sequence[Composite]
) -> list[npt.NDArray[np.uint8]]:
    """Digital numbers (..., 6, y, x) to the chips (..., y, x, 3) of each composite, fill black.

    `InputError` for a composite that is not `is_common`.
    """
    for composite in composites:
        _check_channels(composite)
    shape = (*dn.shape[:-3], *dn.shape[-2:], 3)
    chips = [np.empty(shape, dtype=np.uint8) for _ in composites]
    channels: _Channels = {}
    for composite, chip in zip(composites, chips, strict=True):
        for place, channel in enumerate(zip(composite.channels, composite.limits, strict=True)):
            channels.setdefault(channel, []).append(chip[..., place])
    for index in np.ndindex(dn.shape[:-3]):
        for top in range(0, dn.shape[-2], _STRIP):
            strip = (*index, slice(top, top + _STRIP))
            _draw_strip(dn[index][:, strip[-1]], strip, channels)
    return chips


_Channels = dict[tuple[str, tuple[float, float]], list[npt.NDArray[np.uint8]]]
"""Name and limits of each channel, and the parts (..., y, x) of the chips that show it."""


def is_common(composite: Composite) -> bool:
    """Whether all channels are bands or components: what `draw_chips` draws."""
    return {*composite.channels} <= {*SR_BANDS, *COMPONENTS}


def _check_channels(composite: Composite) -> None:
    if not is_common(composite):
        raise InputError(
            f"composite {composite.name!r} has channels {composite.channels}: take them from "
            f"{', '.join((*SR_BANDS, *COMPONENTS))}"
        )


def _draw_strip(
    dn: npt.NDArray[np.uint16], strip: tuple[int | slice, ...], channels: _Channels
) -> None:
    """Put each channel of some rows (6, y, x) where it is shown, once computed."""
    places = dn.astype(np.intp)  # of the tables below; numpy would do it for each
    fill = None if dn.all() else (dn == FILL).any(axis=0)
    components = None
    for (name, limits), shown in channels.items():
        if name in SR_BANDS:
            plane = _byte_table(*limits).take(places[SR_BANDS.index(name)], mode="clip")
        else:
            if components is None:
                components = tasseled_cap_kernel(_collection1_float().take(places, mode="clip"))
            plane = _stretched(components[COMPONENTS.index(name)], *limits)
        if fill is not None:
            plane[fill] = 0
        for chip in shown:
            chip[strip] = plane


def _stretched(values: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.uint8]:
    """As `stretch`, with fewer arrays in between."""
    made: npt.NDArray[np.float64] = values - low
    np.multiply(made, 255 / (high - low), out=made)
    return np.clip(made, 0, 255, out=made).astype(np.uint8)


@lru_cache(maxsize=64)  # limits may be those of each plot
def _byte_table(low: float, high: float) -> npt.NDArray[np.uint8]:
    """Stretched byte of each of the 65,536 digital numbers."""
    table: npt.NDArray[np.uint8] = stretch(collection1_table(), low, high)
    return table


@cache
def _collection1_float() -> npt.NDArray[np.float64]:
    return collection1_table().astype(np.float64)
