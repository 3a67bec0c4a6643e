"""The files of observations in memory: chips, rows of spectra, and which platform gets a day's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..cube.schema import DIMS, expect_dims, select_bands
from ..errors import InputError
from ..landsat import GRADES, PLATFORM_AGE, QA_BAND
from ..plots import Plot
from ..project.files import csv_files, png_bytes
from ..project.log import (
    FILL_AT_PLOT,
    OF_CHIP,
    OTHER_PLATFORM,
    WRITTEN,
    days_alike,
    measure_pixels,
)
from ..project.products import Products
from ..spectral.composites import draw_each, is_fill_pixel
from ..spectral.quality import contract_qa, is_fill, qa_grade
from ..spectral.series import plot_pixel, spectral_table
from ..storage.folder import Folder


def write_chips(
    cube: xr.DataArray,
    plot: Plot,
    products: Products,
    folder: Folder,
    keep_rows: Callable[[pd.DataFrame], None],
) -> pd.DataFrame:
    """Write the files of a cube in memory; return what became of each of its observations.

    ``keep_rows`` gets its rows of spectra, too. The table returned has a row per step of the cube
    and the columns outcome and those of `timesync_xr.project.log.PIXELS`.
    """
    table = spectral_table(cube, plot.project_id, plot.plot_id)
    chosen = table.loc[choose_platforms(_at(cube, table.index))]
    outcome = np.full(cube.sizes["time"], FILL_AT_PLOT, dtype=object)
    outcome[table.index] = OTHER_PLATFORM
    outcome[chosen.index] = WRITTEN
    made = measure_pixels(cube).assign(outcome=outcome)
    taken = _at(cube, chosen.index)
    drawn = draw_each(taken, products.drawn if "png" in products.made else ())
    lines = csv_files(chosen) if "csv" in products.made else []
    days = taken["time"].to_numpy().astype("datetime64[D]").astype(str).tolist()
    paths = [products.paths(plot, day) for day in days]
    folder.write_all(
        (path, png_bytes(chip))
        for of_day, chips in zip(paths, drawn, strict=True)
        for path, chip in zip(of_day[: len(chips)], chips, strict=True)
    )
    keep_rows(chosen)
    if lines:  # after the chips, see `Products.paths`
        folder.write_all((of_day[-1], line) for of_day, line in zip(paths, lines, strict=True))
    return made


def write_spectra(
    cube: xr.DataArray,
    plot: Plot,
    products: Products,
    folder: Folder,
    keep_rows: Callable[[pd.DataFrame], None],
) -> pd.DataFrame:
    """As `write_chips` of a cube in memory that holds the plot pixel alone: the rows of spectra.

    What is measured of a whole chip (`timesync_xr.project.log.OF_CHIP`) is empty. Left out of the
    table, and not written, are the observations of days on which the plot pixel does not tell which
    platform gets the files: their whole chips do, see `choose_platforms`.
    """
    steps = np.flatnonzero(~alike_at_plot(cube))
    made = write_chips(_at(cube, pd.Index(steps)), plot, products, folder, keep_rows)
    made[list(OF_CHIP)] = ""
    return made.set_axis(steps)


def alike_at_plot(cube: xr.DataArray) -> npt.NDArray[np.bool_]:
    """Which observations of a cube are of a day whose best two are alike at the plot pixel.

    Alike is what `choose_platforms` can't tell apart without the whole chip. Observations whose
    plot pixel is fill are none of them.
    """
    ranks = _ranks_at_plot(cube)
    seen = ranks[~is_fill(select_bands(plot_pixel(cube), [QA_BAND]).to_numpy().ravel())]
    return ranks["day"].isin(days_alike(seen)).to_numpy()


def _at(cube: xr.DataArray, steps: pd.Index) -> xr.DataArray:
    """Some steps of a cube in time order; the cube itself, not a copy, where it is all of them."""
    return cube if len(steps) == cube.sizes["time"] else cube.isel(time=steps)


def choose_platforms(cube: xr.DataArray) -> npt.NDArray[np.bool_]:
    """Which observation of each day gets the files, where two platforms saw the plot.

    ``cube`` holds observations whose plot pixel is not fill. Usable at the plot (`contract_qa`)
    comes first, then the better grade there (`qa_grade`, 9 where a band is fill), then fewer fill
    pixels in the chip, then the newer platform. Returns a bool for each step along ``time``, one of
    each day True; a lazy cube is computed where days are double. `InputError` for what is no cube
    with times and sensors.

    Examples
    --------
    ::

        days = tx.chips_for_plot(plot, archive, datetime="2022", chip_size=33)
        days[tx.choose_platforms(days)]  # one observation a day
    """
    expect_dims(cube, ("time",), ("time", "sensor"))
    time = cube["time"].to_numpy()
    if time.dtype.kind != "M":
        raise InputError(f"the cube's time is {time.dtype}, not datetime64: decode it")
    days = pd.Series(time.astype("datetime64[D]"))
    if not days.duplicated().any():
        return np.ones(len(days), dtype=bool)
    age = [PLATFORM_AGE.index(s) if s in PLATFORM_AGE else -1 for s in cube["sensor"].values]
    expect_dims(cube, ("y", "x"))
    if further := [str(dim) for dim in cube.dims if dim not in DIMS]:
        raise InputError(f"the cube has a dimension {further[0]} more: choose one step along it")
    ranks = _ranks_at_plot(cube)
    ranks["fill"] = is_fill_pixel(cube).sum(("y", "x")).to_numpy()
    ranks["age"] = -np.array(age)
    best = (
        ranks.sort_values(["day", "unusable", "grade", "fill", "age"]).drop_duplicates("day").index
    )
    return np.isin(np.arange(len(ranks)), best)


def _ranks_at_plot(cube: xr.DataArray) -> pd.DataFrame:
    """The day of each observation, and what the plot pixel says of it: the less, the better."""
    ranks = pd.DataFrame({"day": cube["time"].to_numpy().astype("datetime64[D]")})
    pixel = plot_pixel(cube)
    qa = select_bands(pixel, [QA_BAND]).to_numpy().ravel()
    ranks["unusable"] = contract_qa(qa)
    holed = is_fill_pixel(pixel).to_numpy().ravel()
    ranks["grade"] = np.where(holed, GRADES["no data"], qa_grade(qa))
    return ranks
