"""Whether a chip is the picture it should be: its format, and the colour of its plot pixel.

Whether a cube is what the account of its plot says, and which values its plot pixel has.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..errors import DamagedError, TimesyncError
from ..landsat import COMPOSITES, CSV_BANDS, QA_BAND, SR_BANDS
from ..plots import Plot
from ..spectral.composites import composite_rgb, select_bands
from ..spectral.reflectance import collection1_table, contract_qa, to_collection1
from ..spectral.series import plot_pixel
from ..storage.folder import Folder
from .cubes import CHUNK_TIMES, DamagedCubeError, is_in_cube, whole_cube
from .files import PNG_SIGNATURE
from .log import WRITTEN, measure_pixels

_RGB8 = (8, 2, 0, 0, 0)
"""Bit depth, colour type, compression, filter and interlace of an 8-bit RGB PNG."""

_UP = 2
"""PNG's filter that keeps the difference to the row above."""


class BrokenChipError(DamagedError):
    """The bytes are not the PNG they should be; the text says why."""


def plot_colours(spectra: pd.DataFrame) -> dict[str, npt.NDArray[np.uint8]]:
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
    return {name: composite_rgb(cube, name).to_numpy().reshape(-1, 3) for name in COMPOSITES}


def plot_pixel_of_png(data: bytes, width: int, height: int) -> tuple[int, ...]:
    """The colour (red, green, blue) of a chip's plot pixel, once the whole chip was decoded.

    `BrokenChipError` where the bytes are no whole PNG, or none of 8-bit RGB of this size.
    """
    header, pixels = _chunks(data)
    if header[2:] != _RGB8 or header[:2] != (width, height):
        raise BrokenChipError(
            f"the chip is {header[0]} x {header[1]} with {header[2]} bits of colour type "
            f"{header[3]}, not {width} x {height} of 8-bit RGB"
        )
    rows = _decoded(pixels, width, height)
    col = 1 + width // 2 * 3
    if (rows[:, 0] == _UP).all():
        above = rows[: height // 2 + 1, col : col + 3]
        return tuple(above.sum(axis=0, dtype=np.uint8).tolist())
    return _by_pillow(data, width // 2, height // 2)


def _chunks(data: bytes) -> tuple[Any, bytes]:
    """Header and deflated pixels of a PNG, all check sums compared."""
    if not data.startswith(PNG_SIGNATURE):
        raise BrokenChipError("the file is no PNG")
    position, header, pixels, kind = len(PNG_SIGNATURE), b"", [], b""
    while kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if end > len(data) or end < position + 12:
            raise BrokenChipError("the PNG ends too early")
        kind, content = data[position + 4 : position + 8], data[position + 8 : end - 4]
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise BrokenChipError("the PNG is damaged: a check sum differs")
        header = content if kind == b"IHDR" else header
        pixels += [content] if kind == b"IDAT" else []
        position = end
    if len(header) != 13 or position != len(data):
        raise BrokenChipError("the PNG has no header, or bytes after its end")
    return struct.unpack(">IIBBBBB", header), b"".join(pixels)


def _decoded(pixels: bytes, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Filter and bytes of each row, (height, 1 + 3 width)."""
    from imagecodecs import DeflateError, deflate_decode

    size = height * (1 + 3 * width)
    try:
        raw = deflate_decode(pixels, raw=False, out=size)
    except DeflateError as error:
        raise BrokenChipError("the PNG is damaged: its pixels can't be decoded") from error
    if len(raw) != size:
        raise BrokenChipError(f"the PNG holds {len(raw)} bytes of pixels, not {size}")
    return np.frombuffer(raw, dtype=np.uint8).reshape(height, -1)


def _by_pillow(data: bytes, x: int, y: int) -> tuple[int, ...]:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        pixel: Any = image.getpixel((x, y))
    return tuple(pixel)


_PART = 2 * CHUNK_TIMES
"""Observations that are looked at together: 29 MB of chips of 255 x 255."""


class BrokenCubeError(DamagedError):
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
    except TimesyncError:
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
