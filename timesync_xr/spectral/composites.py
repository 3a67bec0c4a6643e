"""RGB chips of raw digital numbers: the composites by name, their channels and their stretch.

A composite shows three channels, each stretched between two limits. A channel is a band of
`SR_BANDS`, a tasseled-cap component (``wetness``, or with other coefficients ``wetness@huang2002``)
or an index of `INDICES`. Limits are in the Collection 1 range, those of an index in its own unit.
A pixel that is fill in any of the six bands is black.

Bands are found by name, so their order in the cube does not matter and a missing one is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..cube.schema import by_observation, expect_dims, is_number, label, select_bands
from ..errors import InputError, check_choice
from ..landsat import FILL, SR_BANDS, TASSELED_CAPS
from ..lists import texts
from ..plots import id_problem
from . import indices
from .arrays import apply, as_digital_numbers, digital_numbers, expect_numbers
from .reflectance import collection1_table, to_collection1
from .tasseled_cap import COMPONENTS, tasseled_cap, tasseled_cap_kernel

INDICES: Final = {
    function.__name__: function
    for function in (indices.ndvi, indices.nbr, indices.nbr2, indices.ndmi, indices.evi)
}
"""Indices that may be channels."""


@dataclass(frozen=True)
class Composite:
    """Three channels of a chip image and the range of each that becomes 0..255.

    `InputError` for a name that can't be a folder, an unknown channel, and for limits whose low is
    not below their high.

    Examples
    --------
    ::

        tx.Composite("b754", ("swir22", "swir16", "nir08"), ((0, 3000), (0, 4000), (0, 5000)))
    """

    name: str
    """Name of the folder in a TimeSync project."""
    channels: tuple[str, str, str]
    """What is shown as red, green and blue: bands, components, or indices of `composite_rgb`."""
    limits: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """Values (Collection 1 range) that become 0 and 255, a pair per channel."""

    def __post_init__(self) -> None:
        if problem := id_problem(self.name):
            raise InputError(f"the composite {self.name!r} {problem}")
        if self.name.lower() in ("cubes", "spectra"):  # where those of the plots lie
            raise InputError(f"a composite can't be named {self.name!r}: rename it")
        channels = texts(self.channels)
        for channel in channels:
            _check_channel(channel)
        try:
            limits = [(low, high) for low, high in self.limits]
            is_good = len(limits) == len(channels) == 3 and all(map(_is_range, limits))
        except (TypeError, ValueError):
            is_good = False
        if not is_good:
            raise InputError(
                f"the composite {self.name!r} needs three channels, and limits for each whose low "
                "is below their high: give pairs of numbers"
            )


def _is_range(limits: tuple[object, object]) -> bool:
    low, high = limits
    return is_number(low) and is_number(high) and bool(-np.inf < low < high < np.inf)  # type: ignore[operator]


def _check_channel(channel: str) -> None:
    """`InputError` for what is no channel."""
    name, at, coefficients = channel.partition("@")
    check_choice(name, sorted({*SR_BANDS, *COMPONENTS, *INDICES}), "channel")
    if at:
        check_choice(name, COMPONENTS, "channel with coefficients")
        check_choice(coefficients, TASSELED_CAPS, "tasseled cap")


COMPOSITES: Final = {
    c.name: c
    for c in (
        Composite(
            "tc",
            ("brightness", "greenness", "wetness"),
            ((604, 5592), (49, 3147), (-2245, 843)),
        ),
        Composite("b743", ("swir22", "nir08", "red"), ((-904, 3696), (151, 4951), (-300, 2500))),
        Composite("b432", ("nir08", "red", "green"), ((151, 4951), (-300, 2500), (50, 1150))),
    )
}
"""The three composites that TimeSync shows, with the limits its interpreters are used to."""


def _grey(index: str, low: float, high: float) -> Composite:
    limits = (low, high)
    return Composite(index, (index, index, index), (limits, limits, limits))


ALL_COMPOSITES: Final = COMPOSITES | {
    composite.name: composite
    for composite in (
        Composite("b543", ("swir16", "nir08", "red"), ((-300, 4200), (151, 4951), (-300, 2500))),
        Composite("b321", ("red", "green", "blue"), ((-100, 2000), (0, 1700), (0, 1400))),
        _grey("ndvi", -0.2, 1),
        _grey("nbr", -0.5, 1),
        _grey("ndmi", -0.5, 0.7),
    )
}
"""Every composite that has a name: TimeSync's three and those of this package."""


def composite_rgb(cube: xr.DataArray, composite: str | Composite) -> xr.DataArray:
    """A composite of raw digital numbers as 8-bit RGB chips, fill black.

    ``cube`` holds digital numbers with dims ``(..., band, y, x)``; the result is uint8 with
    dims ``(..., y, x, rgb)``, ready for ``plot.imshow``; lazy in, lazy out. It is named like the
    composite and lies where the cube lies (``rgb.rio.crs``). ``composite`` is a name (tc, b743,
    b432, b543, b321, ndvi, nbr, ndmi) or a `Composite` of bands, tasseled-cap components
    (``wetness``, ``wetness@huang2002``) and the indices ndvi, nbr, nbr2, ndmi and evi. A pixel
    that is fill (0, or NaN) in any of the six surface reflectance bands is black; so is a channel
    where its index has no value. `InputError` for an unknown name or channel, a missing band, or
    what holds no digital numbers; where only the values of a lazy array tell, once it is computed.

    Examples
    --------
    ::

        rgb = tx.composite_rgb(cube, "tc")
        rgb.isel(time=0).plot.imshow(rgb="rgb")

        own = tx.Composite("b754", ("swir22", "swir16", "nir08"), ((0, 3000), (0, 4000), (0, 5000)))
        tx.composite_rgb(cube, own)
    """
    chosen = get_composite(composite)
    bands = select_bands(cube, SR_BANDS)
    expect_dims(cube, ("y", "x"))
    if 0 in (bands.sizes["y"], bands.sizes["x"]):  # dask divides by these to find its chunks
        bands = bands.compute()
    numbers = digital_numbers(bands)
    rgb: xr.DataArray = xr.apply_ufunc(
        lambda dn: draw_chips(numbers(dn), [chosen])[0],
        by_observation(bands),
        input_core_dims=[["band", "y", "x"]],
        output_core_dims=[["y", "x", "rgb"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
        dask_gufunc_kwargs={"output_sizes": {"rgb": 3}, "allow_rechunk": True},
        keep_attrs=True,
    )
    shown = f"{', '.join(chosen.channels)} as red, green, blue"
    named = label(rgb, cube, chosen.name, shown, nodata=0)
    return named.assign_coords(rgb=np.array(["r", "g", "b"], object))


def get_composite(
    composite: str | Composite, known: Mapping[str, Composite] = ALL_COMPOSITES
) -> Composite:
    """The composite of this name, or itself; `InputError` for an unknown name or channel."""
    if isinstance(composite, Composite):
        return composite
    check_choice(composite, known, "composite")
    return known[composite]


Composites = str | Composite | Iterable[str | Composite]
"""Composites as users name them: a text with commas between, a composite, or some of both."""


def read_composites(
    composites: Composites, known: Mapping[str, Composite] = ALL_COMPOSITES
) -> tuple[Composite, ...]:
    """Composites by their names or as they are; `InputError` for an unknown one, or a name twice.

    Capitals make no other name, since not every disk tells them apart.
    """
    given: Any = composites
    try:
        listed = texts(given) if isinstance(given, str) else list(given)
    except TypeError:  # one, as it is
        listed = [given]
    names = [name.strip() if isinstance(name, str) else name for name in listed]
    found = tuple(get_composite(name, known) for name in names if not isinstance(name, str) or name)
    if len({composite.name.lower() for composite in found}) < len(found):
        told = ", ".join(composite.name for composite in found)
        raise InputError(f"of the composites {told} two have one name: rename one, or leave it out")
    return found


def channel_values(cube: xr.DataArray, channel: str) -> xr.DataArray:
    """One channel of a cube of digital numbers, (..., y, x), lazy in, lazy out."""
    values = to_collection1(select_bands(cube, SR_BANDS))
    name, _, coefficients = channel.partition("@")
    if name in SR_BANDS:
        return values.sel(band=name, drop=True)
    if name in COMPONENTS:
        made = tasseled_cap(values, coefficients or "crist1985")
        return made.sel(component=name, drop=True)
    return INDICES[name](values)


def stretch(values: Any, low: float, high: float) -> Any:
    """Linear stretch of ``low..high`` to 0..255, clipped, truncated to uint8.

    Any shape, any kind of array (NumPy, dask, DataArray), lazy in, lazy out. NaN becomes 0.
    `InputError` for what holds no numbers, and for limits whose low is not below their high.

    Examples
    --------
    ::

        nir = tx.to_collection1(cube.sel(band="nir08"))
        tx.stretch(nir, 0, 5000)  # uint8, 5000 and more become 255
    """
    expect_numbers(values)
    if not all(is_number(limit) for limit in (low, high)) or not -np.inf < low < high < np.inf:
        raise InputError(f"{low!r} is not below {high!r}: give limits low, high of a stretch")
    return apply(lambda block: _stretched(_known(block, low), low, high), values, np.uint8)


def is_fill_pixel(cube: xr.DataArray) -> xr.DataArray:
    """Where a chip is black: fill in any of the surface reflectance bands. Lazy in, lazy out."""
    bands = by_observation(as_digital_numbers(select_bands(cube, SR_BANDS)))
    return ~bands.all("band")  # FILL is 0; this is the quickest way to ask


def draw_each(
    cube: xr.DataArray, composites: Sequence[Composite]
) -> Iterator[list[npt.NDArray[np.uint8]]]:
    """Chips (y, x, 3) of each time of a cube (time, band, y, x) in memory, one per composite."""
    bands = select_bands(cube, SR_BANDS).variable.transpose("time", "band", "y", "x")
    for dn in bands.to_numpy():
        yield draw_chips(dn, composites)


_STRIP = 51
"""Rows of a chip that are worked on at a time: few enough to stay in the processor's cache."""

_Channels = dict[tuple[str, tuple[float, float]], list[npt.NDArray[np.uint8]]]
"""Name and limits of each channel, and the parts (..., y, x) of the chips that show it."""


def draw_chips(
    dn: npt.NDArray[np.uint16], composites: Sequence[Composite]
) -> list[npt.NDArray[np.uint8]]:
    """Digital numbers (..., 6, y, x) to the chips (..., y, x, 3) of each composite, fill black."""
    shape = (*dn.shape[:-3], *dn.shape[-2:], 3)
    chips = [np.empty(shape, dtype=np.uint8) for _ in composites]
    common: _Channels = {}
    others: _Channels = {}
    for composite, chip in zip(composites, chips, strict=True):
        for place, channel in enumerate(zip(composite.channels, composite.limits, strict=True)):
            quick = channel[0] in SR_BANDS or channel[0] in COMPONENTS
            (common if quick else others).setdefault(channel, []).append(chip[..., place])
    for index in np.ndindex(dn.shape[:-3] if common else (0,)):
        for top in range(0, dn.shape[-2], _STRIP):
            strip = (*index, slice(top, top + _STRIP))
            _draw_strip(dn[index][:, strip[-1]], strip, common)
    for (name, limits), shown in others.items():
        plane = _plane(dn, name, *limits)
        for part in shown:
            part[...] = plane
    return chips


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


def _plane(
    dn: npt.NDArray[np.uint16], channel: str, low: float, high: float
) -> npt.NDArray[np.uint8]:
    """Any channel (..., y, x), stretched; black in fill, and where it has no value."""
    dims = [*(f"dim_{n}" for n in range(dn.ndim - 3)), "band", "y", "x"]
    cube = xr.DataArray(dn, dims=dims, coords={"band": list(SR_BANDS)})
    values = channel_values(cube, channel).to_numpy()
    black = np.isnan(values) | (dn == FILL).any(axis=-3)
    return _stretched(np.where(black, low, values), low, high)


def _stretched(values: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Bytes of known values of any shape, with few arrays in between."""
    made: npt.NDArray[np.float64] = np.asarray(values - low)
    np.multiply(made, 255 / (high - low), out=made)
    return np.clip(made, 0, 255, out=made).astype(np.uint8)


def _known(values: npt.NDArray[Any], low: float) -> npt.NDArray[np.float64]:
    """As float64, the low limit where there is nothing."""
    exact: npt.NDArray[np.float64] = np.ma.filled(values.astype(np.float64, copy=False), low)
    return np.where(np.isnan(exact), low, exact)


@lru_cache(maxsize=64)  # limits may be those of each plot
def _byte_table(low: float, high: float) -> npt.NDArray[np.uint8]:
    """Stretched byte of each of the 65,536 digital numbers."""
    table: npt.NDArray[np.uint8] = stretch(collection1_table(), low, high)
    return table


@cache
def _collection1_float() -> npt.NDArray[np.float64]:
    return collection1_table().astype(np.float64)
