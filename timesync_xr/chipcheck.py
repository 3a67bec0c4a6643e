"""Whether a chip is the picture it should be: its format, and the colour of its plot pixel."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from .composites import composite_rgb
from .export import PNG_SIGNATURE
from .landsat import COMPOSITES, CSV_BANDS, SR_BANDS
from .radiometry import collection1_table

_RGB8 = (8, 2, 0, 0, 0)
"""Bit depth, colour type, compression, filter and interlace of an 8-bit RGB PNG."""

_UP = 2
"""PNG's filter that keeps the difference to the row above."""


class BrokenChipError(ValueError):
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
