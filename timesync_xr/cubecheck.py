"""Whether a cube is what the account of its plot says, and which values its plot pixel has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from .account import WRITTEN, measure_pixels
from .composites import select_bands
from .cubes import CHUNK_TIMES, DamagedCubeError, is_in_cube, whole_cube
from .errors import TimesyncError
from .folder import Folder
from .landsat import CSV_BANDS, QA_BAND, SR_BANDS
from .plots import Plot
from .radiometry import contract_qa, to_collection1
from .spectra import plot_pixel

_PART = 2 * CHUNK_TIMES
"""Observations that are looked at together: 29 MB of chips of 255 x 255."""


class BrokenCubeError(ValueError):
    """A cube is not what it should be; the text says why."""


def plot_pixels_of_cube(
    folder: Folder, plot: Plot, account: pd.DataFrame, chip_size: tuple[int, int]
) -> dict[str, tuple[int, ...]]:
    """The plot pixel of every day that was written, as the CSV has it, once all of a cube was read.

    That is the six bands in the Collection 1 range and the qa of the contract. ``account`` is the
    kept account of the plot. `BrokenCubeError` where the cube can't be read, or does not hold the
    observations, the pixels at the plot or the shares of fill and clear pixels that it tells.
    """
    wanted = account[is_in_cube(account)].reset_index(drop=True)
    try:
        with whole_cube(folder, plot) as cube:
            _check_observations(cube, wanted, chip_size)
            parts = [
                _check_pixels(cube[start : start + _PART].compute(), wanted[start : start + _PART])
                for start in range(0, len(wanted), _PART)
            ]
    except DamagedCubeError as error:
        raise BrokenCubeError(f"it can't be read ({error.why})") from error
    except (TimesyncError, BrokenCubeError):
        raise
    except Exception as error:  # whatever zarr and xarray make of damaged bytes
        raise BrokenCubeError(f"it can't be read ({type(error).__name__}: {error})") from error
    values = np.concatenate(parts) if parts else np.empty((0, len(CSV_BANDS) + 1), np.int64)
    written = (wanted["outcome"] == WRITTEN).to_numpy()
    days = wanted.loc[written, "day"].tolist()
    return {day: tuple(v) for day, v in zip(days, values[written].tolist(), strict=True)}


def _check_observations(cube: xr.DataArray, wanted: pd.DataFrame, size: tuple[int, int]) -> None:
    width, height = size
    if (cube.sizes["x"], cube.sizes["y"]) != (width, height):
        found = f"{cube.sizes['x']} x {cube.sizes['y']}"
        raise BrokenCubeError(f"its chips are {found} pixels, not {width} x {height}")
    held = list(zip(cube["sensor"].values, cube["item_ids"].values, strict=True))
    asked = list(zip(wanted["sensor"], wanted["item_ids"], strict=True))
    if held != asked:
        lacking, other = len(set(asked) - set(held)), len(set(held) - set(asked))
        raise BrokenCubeError(
            f"of the {len(asked)} observations of the account it lacks {lacking}, and it holds "
            f"{other} others"
            if lacking or other
            else "its observations are in another order than those of the account"
        )


def _check_pixels(cube: xr.DataArray, wanted: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Compare some observations with their rows of the account; return their plot pixels."""
    pixel = plot_pixel(cube)
    for name, found in measure_pixels(cube).items():
        wrong = np.flatnonzero(wanted[name].to_numpy(str) != found.to_numpy(str))
        if len(wrong):
            row = wanted.iloc[wrong[0]]
            raise BrokenCubeError(
                f"{row['sensor']} of {row['day']} has a {name} of {found[wrong[0]]}, by the "
                f"account {row[name]}"
            )
    bands = to_collection1(select_bands(pixel, SR_BANDS)).transpose(..., "band").to_numpy()
    qa_values = contract_qa(pixel.sel(band=QA_BAND)).to_numpy()
    return np.column_stack([bands.astype(np.int64), qa_values])
