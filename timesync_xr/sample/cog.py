"""Write some blocks of an ARD tile or a scene as a sparse tiled GeoTIFF whose header comes first.

Only what the sample needs: uint16, one band, blocks of 256 x 256, deflate with predictor 2, few
blocks with data. Absent blocks have offset and length 0, which readers take as the nodata value.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ..grid import Region
from ..landsat import PIXEL, TILE_SIZE

BLOCK: Final = 256
"""Edge of a block in pixels."""

Numbers = npt.NDArray[np.uint16]
_SHORT, _LONG, _DOUBLE, _ASCII = 3, 4, 12, 2
_CODES: Final = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}


def write_cog(
    pixels: npt.NDArray[np.uint16],
    *,
    block: tuple[int, int],
    region: Region,
    corner: tuple[int, int],
    nodata: int,
) -> bytes:
    """The bytes of a GeoTIFF of 5000 x 5000 pixels that holds ``pixels`` and else ``nodata``.

    ``pixels`` is one block (256 x 256); ``block`` its place (row, column) counted in blocks;
    ``corner`` the tile's upper left corner in metres.
    """
    size = TILE_SIZE, TILE_SIZE
    return _write({block: pixels}, size, _geo_keys(region), corner, nodata)


def write_scene(
    pixels: Numbers,
    *,
    place: tuple[int, int],
    size: tuple[int, int],
    zone: int,
    corner: tuple[int, int],
    nodata: int,
) -> bytes:
    """The bytes of a GeoTIFF in a zone of UTM that holds ``pixels`` and else ``nodata``.

    ``place`` is the column and row of the first pixel; ``size`` width and height of the file;
    ``corner`` its upper left corner in metres.
    """
    col, row = place
    height, width = pixels.shape
    blocks = {}
    for down in range(row // BLOCK, (row + height - 1) // BLOCK + 1):
        for across in range(col // BLOCK, (col + width - 1) // BLOCK + 1):
            block = np.full((BLOCK, BLOCK), nodata, np.uint16)
            left, top = across * BLOCK - col, down * BLOCK - row
            part = pixels[max(top, 0) : top + BLOCK, max(left, 0) : left + BLOCK]
            rows, cols = max(-top, 0), max(-left, 0)
            block[rows : rows + part.shape[0], cols : cols + part.shape[1]] = part
            if (block != nodata).any():
                blocks[down, across] = block
    return _write(blocks, size, _zone_keys(zone), corner, nodata)


_Geo = tuple[list[int], list[float], str]
"""GeoTIFF keys: directory, doubles and text."""


def _write(
    blocks: Mapping[tuple[int, int], Numbers],
    size: tuple[int, int],
    geo: _Geo,
    corner: tuple[int, int],
    nodata: int,
) -> bytes:
    """A file whose blocks, by row and column counted in blocks, are these."""
    across = -(-size[0] // BLOCK)
    count = across * -(-size[1] // BLOCK)
    offsets, lengths = [0] * count, [0] * count
    end = len(_header(offsets, lengths, size, geo, corner, nodata))
    packed = b""
    for (row, col), pixels in blocks.items():
        data = _deflate(pixels)
        offsets[row * across + col], lengths[row * across + col] = end + len(packed), len(data)
        packed += data
    return _header(offsets, lengths, size, geo, corner, nodata) + packed


def _deflate(pixels: npt.NDArray[np.uint16]) -> bytes:
    """Horizontal differences (TIFF predictor 2), then deflate."""
    from imagecodecs import deflate_encode

    differences = pixels.astype("<u2")
    differences[:, 1:] -= pixels[:, :-1]
    return bytes(deflate_encode(differences.tobytes(), level=6))


def _header(
    offsets: list[int],
    lengths: list[int],
    size: tuple[int, int],
    geo: _Geo,
    corner: tuple[int, int],
    nodata: int,
) -> bytes:
    """A little-endian TIFF header with one directory; its size depends on no offset or length."""
    directory, doubles, text = geo
    tags: list[tuple[int, int, list[int] | list[float] | str]] = [
        (256, _SHORT, [size[0]]),
        (257, _SHORT, [size[1]]),
        (258, _SHORT, [16]),
        (259, _SHORT, [8]),
        (262, _SHORT, [1]),
        (277, _SHORT, [1]),
        (284, _SHORT, [1]),
        (317, _SHORT, [2]),
        (322, _SHORT, [BLOCK]),
        (323, _SHORT, [BLOCK]),
        (324, _LONG, offsets),
        (325, _SHORT, lengths),
        (339, _SHORT, [1]),
        (33550, _DOUBLE, [float(PIXEL), float(PIXEL), 0.0]),
        (33922, _DOUBLE, [0.0, 0.0, 0.0, float(corner[0]), float(corner[1]), 0.0]),
        (34735, _SHORT, directory),
        *([(34736, _DOUBLE, doubles)] if doubles else []),
        (34737, _ASCII, text),
        (42113, _ASCII, str(nodata)),
    ]
    entries, values = b"", b""
    values_at = 8 + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        packed, count = _pack(kind, value)
        if len(packed) > 4:
            place = struct.pack("<I", values_at + len(values))
            values += packed + b"\0" * (len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + place
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4 + values


def _pack(kind: int, value: list[int] | list[float] | str) -> tuple[bytes, int]:
    """Bytes of a tag's value and the count that its entry tells."""
    if isinstance(value, str):
        return value.encode() + b"\0", len(value) + 1
    return struct.pack(f"<{len(value)}{_CODES[kind]}", *value), len(value)


def _zone_keys(zone: int) -> _Geo:
    """GeoTIFF keys of a zone of UTM on WGS 84."""
    name = f"WGS 84 / UTM zone {zone}N|"
    keys = [
        (1024, 0, 1, 1),  # projected
        (1025, 0, 1, 1),  # a pixel is an area
        (1026, 34737, len(name), 0),
        (3072, 0, 1, 32600 + zone),
        (3076, 0, 1, 9001),  # metres
    ]
    return [1, 1, 0, len(keys), *(part for key in keys for part in key)], [], name


def _geo_keys(region: Region) -> _Geo:
    """GeoTIFF keys of the region's Albers projection: directory, doubles and text."""
    name = "AEA WGS84|"
    doubles = [*region.parallels, region.origin[1], region.origin[0], 0.0, 0.0]
    keys = [
        (1024, 0, 1, 1),  # projected
        (1025, 0, 1, 1),  # a pixel is an area
        (1026, 34737, len(name), 0),
        (2048, 0, 1, 4326),
        (3072, 0, 1, 32767),  # no EPSG code
        (3073, 34737, len(name), 0),
        (3074, 0, 1, 32767),
        (3075, 0, 1, 11),  # Albers equal area
        (3076, 0, 1, 9001),  # metres
        *((key, 34736, 1, place) for place, key in enumerate(range(3078, 3084))),
    ]
    return [1, 1, 0, len(keys), *(part for key in keys for part in key)], doubles, name
