"""Annual composites: an image of each year put together, pixel by pixel, from several observations.

They are no observations, and never stand among them. A *composite* without more is a picture of
three channels, see `timesync_xr.composite_rgb`; the annual ones can be drawn by it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..cube.schema import ANNUAL_COMPOSITE, expect_dims, label, select_bands
from ..cube.selection import in_season
from ..errors import InputError, check_choice
from ..landsat import BANDS, FILL, QA_BAND, SR_BANDS
from .annual import CONTRACT, GRADED, check_rule
from .arrays import as_digital_numbers, digital_numbers
from .outliers import SUMMER
from .quality import contract_qa, is_clear, is_valid
from .series import observations_of

METHODS: Final = ("medoid", "geomedian")
"""How the pixels of a year become one."""

_STRIP: Final = 2**22
"""Distances that are held at a time: 16 MB of float32, whatever the size of the chips."""

_ROUNDS: Final = 200
"""Steps after which a geometric median is taken as it is."""
_NEAR: Final = 0.01
"""Digital numbers: smaller steps end the search for a geometric median."""

Numbers = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def annual_composite(
    cube: xr.DataArray, method: str = "medoid", *, season: str = SUMMER, rule: str = GRADED
) -> xr.Dataset:
    """One image of each year, made of all good pixels of a season.

    Parameters
    ----------
    cube
        A cube of `chips_for_plot` or `Project.cube`, or a spatial part of one. A lazy one is
        computed, of each year the season alone.
    method
        ``"medoid"``: of each pixel the spectrum of that day which is least far from those of all
        other days, summed over them (Euclidean distance of the six bands; of days as near, the
        first). It is a real spectrum. ``"geomedian"``: the spectrum, of no day, from which the
        summed distance is least, rounded; of two days their mean. Both resist outliers, and keep
        the six bands together.
    season
        ``MM-DD/MM-DD``, as in `timesync_xr.Selection`. Across New Year it counts by the year of
        each observation.
    rule
        Which pixels are good: ``"graded"``, clear or water by all bits of QA_PIXEL (`is_clear`)
        with all bands in their valid range; ``"contract"``, usable by the contract's ``qa`` with no
        band fill.

    Returns
    -------
    xarray.Dataset
        ``digital_number`` (year, band, y, x), uint16, the six bands, fill 0 where a year has no
        good pixel; ``count`` (year, y, x), uint16, good observations; of a medoid also ``doy``
        (year, y, x), uint16, the day of the year that the pixel is of, 0 for none. Coordinate
        ``year`` has every year of the cube. Attributes say that it is an annual composite, with
        method, season and rule; each array has them too, and so have composites, values, indices
        and GeoTIFFs of it. It has no time, so that no function takes it for observations.

    Raises
    ------
    InputError
        For another method, rule or season, and for what is no cube with times.

    Notes
    -----
    Sources: Flood, N. (2013): Seasonal composite Landsat TM/ETM+ images using the medoid (a
    multi-dimensional median). Remote Sensing 5, 6481-6500. Roberts, D., Mueller, N., McIntyre, A.
    (2017): High-dimensional pixel composites from Earth observation time series. IEEE Transactions
    on Geoscience and Remote Sensing 55, 6254-6264.

    Examples
    --------
    ::

        years = tx.annual_composite(cube)
        years["digital_number"].sel(year=1996)
    """
    check_method(method)
    check_rule(rule)
    expect_dims(cube, ("y", "x"))
    bands = observations_of(select_bands(cube, BANDS), ("time", "band", "y", "x"), ())
    digital_numbers(bands.sel(band=list(SR_BANDS)))  # says what is wrong, also of no year
    time = pd.Series(bands["time"].to_numpy())
    if time.isna().any():
        raise InputError("an observation has no time: leave it out, or give it one")
    wanted = in_season(time, season).to_numpy(bool)
    years = range(time.dt.year.min(), time.dt.year.max() + 1) if len(time) else range(0)
    made = [
        _of_year(bands.isel(time=np.flatnonzero(wanted & (time.dt.year == year))), method, rule)
        for year in years
    ]
    shape = (0, bands.sizes["y"], bands.sizes["x"])
    numbers, days, counts = (
        np.stack(part) if part else np.zeros(shape, np.uint16)
        for part in ([m[n] for m in made] for n in range(3))
    )
    if not made:
        numbers = np.zeros((0, len(SR_BANDS), *shape[1:]), np.uint16)
    kept = {name: c for name, c in bands.coords.items() if "time" not in c.dims and name != "band"}
    coords = kept | {"year": np.array(years, np.int32), "band": np.array(SR_BANDS, object)}
    dims = ("year", "y", "x")
    dn = xr.DataArray(numbers, dims=("year", "band", "y", "x"))
    parts = {
        "digital_number": label(dn, cube, "digital_number", f"annual {method}", None, FILL),
        "count": label(xr.DataArray(counts, dims=dims), cube, "count", "good observations"),
    }
    if method == "medoid":
        day = xr.DataArray(days, dims=dims)
        parts["doy"] = label(day, cube, "doy", "day of the year that the pixel is of", "1", 0)
    what = dict(zip(ANNUAL_COMPOSITE, (method, season or "all year", rule), strict=True))
    marked = {name: part.assign_attrs(what) for name, part in parts.items()}
    return xr.Dataset(marked, coords, attrs=what)


def check_method(method: str) -> None:
    """`InputError` for what is no method."""
    check_choice(method, METHODS, "method")


def _of_year(bands: xr.DataArray, method: str, rule: str) -> tuple[Numbers, Numbers, Numbers]:
    """The spectrum (band, y, x), its day of the year and the number of good days of each pixel."""
    chips = bands.compute()
    qa = chips.sel(band=QA_BAND, drop=True)
    numbers = as_digital_numbers(chips.sel(band=list(SR_BANDS)))
    good = (
        (contract_qa(qa) == 0) & (numbers != FILL).all("band")
        if rule == CONTRACT
        else is_clear(qa) & is_valid(numbers).all("band")
    ).to_numpy()
    doy = chips["time"].dt.dayofyear.to_numpy().astype(np.uint16)
    height, width = good.shape[1:]
    size = height * width
    spectra = numbers.to_numpy().reshape(len(doy), len(SR_BANDS), size)
    flat = good.reshape(len(doy), size)
    made = np.full((len(SR_BANDS), size), FILL, np.uint16)
    day = np.zeros(size, np.uint16)
    step = max(1, _STRIP // max(1, len(doy)) ** 2)
    for start in range(0, size, step):
        part = slice(start, start + step)
        seen = flat[:, part].any(axis=0)
        if not seen.any():
            continue
        values, known = spectra[:, :, part][:, :, seen], flat[:, part][:, seen]
        at = np.flatnonzero(seen) + start
        if method == "medoid":
            chosen = medoid(values, known)
            made[:, at] = values[chosen, :, np.arange(len(at))].T
            day[at] = doy[chosen]
        else:
            made[:, at] = np.rint(geometric_median(values, known)).astype(np.uint16)
    shape = (height, width)
    return (
        made.reshape(len(SR_BANDS), *shape),
        day.reshape(shape),
        good.sum(axis=0).astype(np.uint16),
    )


def medoid(values: npt.NDArray[np.uint16], known: Mask) -> npt.NDArray[np.intp]:
    """Which day (n, band, pixel) is least far from all others of each pixel; some must be known."""
    spectra = values.astype(np.float64)
    total = np.zeros(known.shape)
    for n in range(len(spectra)):
        distance = np.sqrt(((spectra - spectra[n]) ** 2).sum(axis=1))
        total[n] = (distance * known).sum(axis=0)
    chosen: npt.NDArray[np.intp] = np.where(known, total, np.inf).argmin(axis=0)
    return chosen


def geometric_median(values: npt.NDArray[np.uint16], known: Mask) -> Floats:
    """The spectrum (band, pixel) from which the summed distance to days (n, band, pixel) is least.

    By Weiszfeld's steps from the mean, with the mend of Vardi and Zhang (2000) where one ends on a
    day. Source: Vardi, Y., Zhang, C.-H. (2000): The multivariate L1-median and associated data
    depth. Proceedings of the National Academy of Sciences 97, 1423-1426.
    """
    spectra, there = values.astype(np.float64), known[:, np.newaxis]
    median: Floats = (spectra * there).sum(axis=0) / there.sum(axis=0)
    moving = np.arange(median.shape[1])
    for _ in range(_ROUNDS):
        days, here, seen = spectra[:, :, moving], median[:, moving], known[:, moving]
        distance = np.sqrt(((days - here) ** 2).sum(axis=1))
        touching = seen & (distance < 1e-9)
        weight = np.where(seen & ~touching, 1 / np.maximum(distance, 1e-9), 0)
        total = weight.sum(axis=0)
        target = (days * weight[:, np.newaxis]).sum(axis=0) / np.where(total > 0, total, 1)
        pull = np.sqrt((((target - here) * total) ** 2).sum(axis=0))
        held = touching.sum(axis=0)
        share = np.where(held > 0, np.minimum(1, held / np.maximum(pull, 1e-12)), 0)
        share = np.where(total > 0, share, 1)
        step = (1 - share) * (target - here)
        median[:, moving] = here + step
        moving = moving[np.abs(step).max(axis=0) > _NEAR]
        if not len(moving):
            break
    return median
