"""What lies around the plot: statistics of a small window of pixels, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from .composites import select_bands
from .errors import InputError
from .landsat import BANDS, FILL, QA_BAND, SR_BANDS
from .radiometry import is_fill, to_collection1

WINDOW_COLUMNS = ("time", "sensor", "band", "mean", "std", "valid")
"""Columns of `window_statistics`."""


def window_statistics(cube: xr.DataArray, size: int = 3) -> pd.DataFrame:
    """Mean, standard deviation and number of valid pixels of a window around the plot.

    ``cube`` is a cube of `chips_for_plot`, or a part of it that holds the window; a lazy one is
    computed, of its chips the window alone. ``size`` is the window's edge in pixels, odd.

    The table has a row per observation and surface reflectance band (`SR_BANDS`), in the order of
    the cube, and the columns `WINDOW_COLUMNS`: mean and std (of the pixels themselves, divided by
    their number) in the Collection 1 range as float64, valid as an integer of 0 to ``size * size``.
    A pixel is valid in a band where neither the band nor QA_PIXEL is fill; cloud is not looked at.
    Without a valid pixel mean and std are NaN. `InputError` for a size that is even, or larger than
    the chip, or for a missing band.
    """
    window = select_bands(_around_plot(cube, size), BANDS).transpose("time", "band", "y", "x")
    dn = window.compute()
    reflectance = dn.sel(band=list(SR_BANDS))
    valid = (reflectance != FILL) & ~is_fill(dn.sel(band=QA_BAND, drop=True))
    values = to_collection1(reflectance).where(valid).astype(np.float64)
    count = valid.sum(("y", "x"))
    mean = values.sum(("y", "x")) / count.where(count > 0)
    std = np.sqrt(((values - mean) ** 2).sum(("y", "x")) / count.where(count > 0))
    statistics = [part.to_numpy().ravel() for part in (mean, xr.DataArray(std), count)]
    return pd.DataFrame(
        {
            "time": np.repeat(dn["time"].to_numpy(), len(SR_BANDS)),
            "sensor": np.repeat(dn["sensor"].to_numpy(), len(SR_BANDS)),
            "band": np.tile(np.array(SR_BANDS, dtype=object), dn.sizes["time"]),
            **dict(zip(WINDOW_COLUMNS[3:], statistics, strict=True)),
        }
    )


def _around_plot(cube: xr.DataArray, size: int) -> xr.DataArray:
    """The window along y and x; the plot is index ``size // 2`` of both."""
    middle = {dim: cube.sizes[dim] // 2 for dim in ("y", "x")}
    reach = size // 2
    fits = all(reach <= middle[dim] < cube.sizes[dim] - reach for dim in middle)
    if size < 1 or size % 2 == 0 or not fits:
        raise InputError(
            f"a window of {size} x {size} pixels can't lie around the plot in chips of "
            f"{cube.sizes['x']} x {cube.sizes['y']}: give an odd size that fits"
        )
    return cube.isel({dim: slice(at - reach, at + reach + 1) for dim, at in middle.items()})
