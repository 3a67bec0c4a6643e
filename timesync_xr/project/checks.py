"""What lies in a chip and in a cube: whether it is whole, and what its plot pixel is."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..catalog.dates import parse_time
from ..cube.schema import select_bands, times
from ..errors import DamagedError, TimesyncError, counted
from ..grid import ChipGrid
from ..landsat import CSV_BANDS, QA_BAND, SR_BANDS
from ..plots import Plot
from ..spectral.composites import Composite, composite_rgb
from ..spectral.quality import contract_qa
from ..spectral.reflectance import collection1_table, to_collection1
from ..spectral.series import plot_pixel
from ..storage.folder import Folder
from .cubes import CHUNK_TIMES, DamagedCubeError, whole_cube
from .files import PNG_SIGNATURE
from .log import WRITTEN, is_in_cube, measure_pixels

_RGB8 = (8, 2, 0, 0, 0)
"""Bit depth, colour type, compression, filter and interlace of an 8-bit RGB PNG."""

_END = b"\0\0\0\0IEND\xaeB`\x82"
"""The last bytes of a PNG."""

_MARGIN = 2**16
"""Bytes that a chip may have beyond twice those of its pixels."""


class BrokenChipError(DamagedError):
    """The bytes are not the PNG they should be; the text says why."""


def plot_colours(
    spectra: pd.DataFrame, composites: Iterable[Composite]
) -> dict[str, npt.NDArray[np.uint8]]:
    """The colour that the plot pixel of every row has in each composite: (rows, 3) of uint8.

    ``spectra`` has the bands of the contract in the Collection 1 range. Each value stands for any
    digital number that becomes it, so that this goes the way of the chips themselves; the value of
    fill has one digital number only, and is black.
    """
    dn = np.searchsorted(collection1_table(), spectra[list(CSV_BANDS)].to_numpy())
    cube = xr.DataArray(
        dn.astype(np.uint16)[:, :, np.newaxis, np.newaxis],
        dims=("time", "band", "y", "x"),
        coords={"band": list(SR_BANDS)},
    )
    return {c.name: composite_rgb(cube, c).to_numpy().reshape(-1, 3) for c in composites}


def plot_pixel_of_png(data: bytes, width: int, height: int) -> tuple[int, ...]:
    """The colour (red, green, blue) of a chip's plot pixel, once the whole chip was decoded.

    `BrokenChipError` where the bytes are no whole PNG, or none of 8-bit RGB of this size. Memory
    and time are bounded, whatever the bytes are: Pillow reads 64 MB of text beside the pixels at
    most, and what no chip of this size can be is not decoded.
    """
    from PIL import Image

    _check_header(data, width, height)
    file = io.BytesIO(data)
    try:
        with Image.open(file, formats=["PNG"]) as image:
            image.verify()  # the check sums of all parts of the file
        end = data[file.tell() - 8 :]
        with Image.open(file, formats=["PNG"]) as image:
            if image.size != (width, height):  # a second header
                raise BrokenChipError(f"the PNG says two sizes, one of them {image.size}")
            if image.mode != "RGB":
                raise BrokenChipError(f"the PNG says two kinds of pixels, one of them {image.mode}")
            pixel: Any = image.getpixel((width // 2, height // 2))  # decodes all
    except BrokenChipError:
        raise
    except Exception as error:  # Pillow has one for each kind of damage
        raise BrokenChipError(f"the PNG is damaged: {error}") from error
    if end != _END:
        raise BrokenChipError("the PNG has bytes after its end")
    return tuple(pixel)


def _check_header(data: bytes, width: int, height: int) -> None:
    """Refuse what is no chip of this size, before anything of it is decoded."""
    if not data.startswith(PNG_SIGNATURE + b"\0\0\0\rIHDR"):
        raise BrokenChipError("the file is no PNG")
    header = struct.unpack(">IIBBBBB", data[16:29].ljust(13, b"\0"))
    if header != (width, height, *_RGB8):
        raise BrokenChipError(
            f"the chip is {header[0]} x {header[1]} with {header[2]} bits of colour type "
            f"{header[3]}, not {width} x {height} of 8-bit RGB"
        )
    if len(data) > 2 * height * (1 + 3 * width) + _MARGIN:
        raise BrokenChipError(f"the chip has {len(data)} bytes: no chip of its size needs so many")
    if _END not in data:
        raise BrokenChipError("the PNG ends too early")


_PART = 2 * CHUNK_TIMES
"""Observations that are looked at together: 29 MB of chips of 255 x 255."""


class BrokenCubeError(DamagedError):
    """A cube is not what it should be; the text says why."""


def plot_pixels_of_cube(
    folder: Folder, plot: Plot, log: pd.DataFrame, chip: ChipGrid
) -> dict[str, tuple[int, ...]]:
    """The plot pixel of every day that was written, as the CSV has it, once all of a cube was read.

    That is the six bands in the Collection 1 range and the qa of the contract. ``log`` is the
    kept log of the plot. `BrokenCubeError` where the cube can't be read, or does not hold the
    observations, the pixels of ``chip``, or the checksums and what else was measured of them.
    """
    wanted = log[is_in_cube(log)].reset_index(drop=True)
    try:
        with whole_cube(folder, plot, chip) as cube:
            _check_observations(cube, wanted)
            parts = [
                _check_pixels(cube[start : start + _PART].compute(), wanted[start : start + _PART])
                for start in range(0, len(wanted), _PART)
            ]
    except DamagedCubeError as error:
        raise BrokenCubeError(f"it can't be read ({error.why})") from error
    except TimesyncError:
        raise
    except Exception as error:  # whatever zarr and xarray make of damaged bytes
        raise BrokenCubeError(f"it can't be read ({type(error).__name__}: {error})") from error
    values = np.concatenate(parts) if parts else np.empty((0, len(CSV_BANDS) + 1), np.int64)
    written = (wanted["outcome"] == WRITTEN).to_numpy()
    days = wanted.loc[written, "day"].tolist()
    return {day: tuple(v) for day, v in zip(days, values[written].tolist(), strict=True)}


_TOLD = ("sensor", "item_ids", "processed", "hv", "date")
"""What a cube and a log both tell of an observation."""


def _check_observations(cube: xr.DataArray, wanted: pd.DataFrame) -> None:
    held = list(zip(*(cube[name].values for name in _TOLD), strict=True))
    asked = list(zip(*(wanted[name] for name in _TOLD), strict=True))
    if held != asked:
        lacking, other = len(set(asked) - set(held)), len(set(held) - set(asked))
        raise BrokenCubeError(
            f"of the {counted(len(asked), 'observation')} of the log it lacks {lacking}, and it "
            f"holds {counted(other, 'other')}"
            if lacking or other
            else "its observations are in another order than those of the log"
        )
    moments = pd.DataFrame({"time": [parse_time(date) for date in wanted["date"]]})
    if not np.array_equal(cube["time"].to_numpy(), times(moments)):
        raise BrokenCubeError("its times are others than those of the log")
    items = zip(cube["item_id"].values, wanted["item_ids"].str.split(), strict=True)
    if not all(item in ids for item, ids in items):
        raise BrokenCubeError("its item_id is of other items than those of the log")


def _check_pixels(cube: xr.DataArray, wanted: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Compare some observations with their rows of the log; return their plot pixels."""
    pixel = plot_pixel(cube)
    for name, found in measure_pixels(cube).items():
        wrong = np.flatnonzero(wanted[name].to_numpy(str) != found.to_numpy(str))
        if len(wrong):
            row = wanted.iloc[wrong[0]]
            raise BrokenCubeError(
                f"{row['sensor']} of {row['day']} has a {name} of {found[wrong[0]]}, by the "
                f"log {row[name]}"
            )
    bands = to_collection1(select_bands(pixel, SR_BANDS)).transpose(..., "band").to_numpy()
    qa_values = contract_qa(pixel.sel(band=QA_BAND)).to_numpy()
    return np.column_stack([bands.astype(np.int64), qa_values])
