"""TIFF without input or output: header bytes -> `TiffHeader`.

Reads the first image of classic TIFF and BigTIFF files of either byte order that hold one uint16
sample per pixel in tiles or strips, as GDAL writes them. What a file says is believed only within
plain limits, so that a damaged or hostile header costs neither memory nor time.

TIFF 6.0, Adobe's technical notes on TIFF 6 (predictor, deflate), the BigTIFF proposal, OGC GeoTIFF
1.1 and GDAL's GeoTIFF driver (sparse blocks, nodata, codes of zstd and LERC) are the sources.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DamagedError, counted
from ..grid import is_near

UInt16Array = npt.NDArray[np.uint16]
Buffer = bytes | memoryview

FIRST_READ: Final = 16 * 1024
"""Bytes from the start of a file that hold the whole header of a usual COG."""

MAX_SIZE: Final = 100_000
"""Largest width and height of an image in pixels."""

MAX_BLOCKS: Final = 2**20
"""Largest number of blocks of an image."""

MAX_BLOCK_BYTES: Final = 64 * 2**20
"""Largest decoded size of a block."""

MAX_POSITION: Final = 2**62
"""No byte of a file lies at or beyond this position."""

_TYPES: Final = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 12: "f8", 13: "u4", 16: "u8"}
_DTYPES: Final = {(o, kind): np.dtype(o + name) for o in "<>" for kind, name in _TYPES.items()}
"""Field types of TIFF that the tags below may have, in both byte orders."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER = 256, 257, 258, 259, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PREDICTOR = 273, 277, 278, 279, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SAMPLE_FORMAT = 322, 323, 324, 325, 339
_PIXEL_SCALE, _TIEPOINT, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
_NODATA, _LERC_PARAMETERS = 42113, 50674

_ARRAYS: Final = (_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS)
_VALUES: Final[dict[int, int]] = {
    **dict.fromkeys((_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES), 1),
    **dict.fromkeys((_ROWS_PER_STRIP, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _SAMPLE_FORMAT), 1),
    **dict.fromkeys(_ARRAYS, MAX_BLOCKS),
    _PIXEL_SCALE: 3,
    _TIEPOINT: 6,
    _TRANSFORMATION: 16,
    _GEO_KEYS: 4096,
    _NODATA: 64,
    _LERC_PARAMETERS: 2,
}
"""Tags that are read, with the number of values of each that is looked at."""

_RASTER_TYPE_KEY: Final = 1025
_PROJECTED_KEY: Final = 3072
_USER_DEFINED: Final = 32767
_PIXEL_IS_POINT: Final = 2

COMPRESSIONS: Final = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34887: "LERC",
    34925: "LZMA",
    50000: "zstd",
}
_OTHER_COMPRESSIONS: Final = {
    2: "CCITT RLE",
    3: "CCITT fax 3",
    4: "CCITT fax 4",
    6: "old JPEG",
    7: "JPEG",
    34712: "JPEG 2000",
    50001: "WebP",
    50002: "JPEG XL",
}
LZW: Final = 5
LERC: Final = 34887
_WITH_PREDICTOR: Final = (5, 8, 32946, 34925, 50000)
"""Compressions that a predictor goes with; the others ignore the tag."""


_STRUCTS: Final = {
    (order, big): (struct.Struct(order + "HQ"[big]), struct.Struct(order + ("HHII", "HHQQ")[big]))
    for order in "<>"
    for big in (False, True)
}
"""Number of entries of a directory, and an entry, by byte order and whether it is BigTIFF."""


class TiffError(DamagedError):
    """The bytes are no TIFF, a damaged one, or one of a kind that is not read."""


class NeedMore(Exception):  # noqa: N818 - a request, not an error
    """The header goes on elsewhere: ``ranges`` lists the (start, stop) bytes to fetch."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self.ranges = tuple(ranges)
        super().__init__(self.ranges)


class Window(NamedTuple):
    """A rectangle of pixels, counted from the image's upper left corner."""

    col: int
    row: int
    width: int
    height: int


class Block(NamedTuple):
    """Where the bytes of a tile or strip lie; an empty range stands for a sparse block."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class TiffHeader:
    """What is needed to find and decode the blocks of an image of one uint16 sample."""

    width: int
    """Columns of the image."""
    height: int
    """Rows of the image."""
    block_width: int
    """Columns of a block; the image's width for strips."""
    block_height: int
    """Rows of a block; in the last strip of an image fewer may count."""
    tiled: bool
    """Tiles, which are all of full size, or strips."""
    compression: int
    """Code of the compression."""
    predictor: int
    """1 for none, 2 for differences along the row."""
    byte_order: str
    """``<`` for little-endian, ``>`` for big-endian."""
    offsets: npt.NDArray[np.unsignedinteger[Any]]
    """Position of each block in the file, by rows of blocks."""
    counts: npt.NDArray[np.unsignedinteger[Any]]
    """Bytes of each block in the file; 0 for a sparse block."""
    nodata: float | None
    """Value of the GDAL_NODATA tag, None without one."""
    transform: tuple[float, float, float, float] | None
    """Left edge, upper edge, pixel width and pixel height (negative: rows go south); or None."""
    lerc_extra: int = 0
    """What LERC data are compressed with once more: 0 nothing, 1 deflate, 2 zstd."""
    epsg: int = 0
    """EPSG code of the projected CRS; 0 where it tells none."""

    @property
    def fill(self) -> int:
        """Value of the pixels of sparse blocks, as GDAL has it: nodata within uint16, else 0."""
        if self.nodata is None or math.isnan(self.nodata):
            return 0
        return math.floor(min(max(self.nodata, 0), 65535) + 0.5)


class _Field(NamedTuple):
    dtype: np.dtype[Any]
    size: int
    start: int
    stop: int


class _Pieces:
    """The parts of a file that were fetched so far."""

    def __init__(self, pieces: Sequence[tuple[int, Buffer]]) -> None:
        self.pieces = [(start, start + len(data), data) for start, data in pieces]

    def take(self, start: int, stop: int) -> Buffer | None:
        """Bytes start..stop, or None where no single piece holds them."""
        for first, last, data in self.pieces:
            if first <= start and stop <= last:
                return data[start - first : stop - first]
        return None

    def need(self, start: int, stop: int, wanted: int) -> Buffer:
        """Bytes start..stop; asks for ``wanted`` bytes from start where they are not here."""
        data = self.take(start, stop)
        if data is None:
            raise NeedMore([(start, start + wanted)])
        return data


def parse_header(pieces: Sequence[tuple[int, Buffer]]) -> TiffHeader:
    """The header of the first image, from (position, bytes) pieces of its file.

    Raises `NeedMore` if bytes are missing; call again with them added. At most three rounds are
    needed: the start of the file, the directory, the long values. A caller that can't get more
    bytes knows the file to be cut off. Raises `TiffError` for everything that can't be read.
    """
    source = _Pieces(pieces)
    order, big, position = _parse_start(source)
    fields = _parse_directory(source, order, big, position)
    values, missing = {}, []
    for tag, (dtype, size, start, stop) in fields.items():
        data = source.take(start, stop)
        if data is None:
            missing.append((start, stop))
        else:
            values[tag] = np.frombuffer(data, dtype, size)
    if missing:
        raise NeedMore(missing)
    return _build_header(values, order)


def _parse_start(source: _Pieces) -> tuple[str, bool, int]:
    """Byte order, whether BigTIFF, and the position of the first directory."""
    start = source.need(0, 8, FIRST_READ)
    order = {b"II": "<", b"MM": ">"}.get(bytes(start[:2]))
    if order is None:
        raise TiffError("it is no TIFF: it does not begin with II or MM")
    version, position = struct.unpack_from(order + "HI", start, 2)
    if version == 42:
        return order, False, position
    if version != 43:
        raise TiffError(f"it is no TIFF: its version is {version}, not 42 or 43")
    size, zero, position = struct.unpack_from(order + "HHQ", source.need(0, 16, FIRST_READ), 4)
    if (size, zero) != (8, 0):
        raise TiffError("it is a BigTIFF of unknown layout: its offsets do not have 8 bytes")
    return order, True, position


def _parse_directory(source: _Pieces, order: str, big: bool, position: int) -> dict[int, _Field]:
    """The fields of the directory at a position that are of interest, by tag."""
    head, entry = _STRUCTS[order, big]
    if not head.size <= position < MAX_POSITION:
        raise TiffError(f"its directory can't lie at byte {position}")
    (count,) = head.unpack(source.need(position, position + head.size, FIRST_READ))
    if not 1 <= count <= 4096:
        raise TiffError(f"its directory can't have {count} entries")
    start = position + head.size
    stop = start + count * entry.size
    table = source.need(start, stop, max(FIRST_READ, stop - start))
    return _parse_entries(order, big, start, bytes(table))


@lru_cache(maxsize=64)  # that of one file is that of most others: its arrays lie elsewhere
def _parse_entries(order: str, big: bool, start: int, table: bytes) -> dict[int, _Field]:
    """The fields of interest of a directory whose entries begin at ``start``, by tag."""
    _, entry = _STRUCTS[order, big]
    inline = 8 if big else 4
    fields = {}
    for i, (tag, kind, number, value) in enumerate(entry.iter_unpack(table)):
        if tag in _VALUES:
            at = start + (i + 1) * entry.size - inline
            fields[tag] = _parse_field(order, (tag, kind, number, value), at, inline)
    return fields


def _parse_field(order: str, entry: tuple[int, int, int, int], at: int, inline: int) -> _Field:
    """Where the values of a directory entry lie; ``at`` is the place of short values."""
    tag, kind, number, value = entry
    dtype = _DTYPES.get((order, kind))
    if dtype is None:
        raise TiffError(f"its tag {tag} has the type {kind}, which is not read")
    start = at if number * dtype.itemsize <= inline else value
    if tag in _ARRAYS and number > MAX_BLOCKS:
        raise TiffError(f"its tag {tag} lists {number} blocks, more than {MAX_BLOCKS}")
    count = min(number, _VALUES[tag])
    if start >= MAX_POSITION:
        raise TiffError(f"the values of its tag {tag} can't lie at byte {start}")
    return _Field(dtype, count, start, start + count * dtype.itemsize)


def _build_header(values: Mapping[int, npt.NDArray[Any]], order: str) -> TiffHeader:
    """Checks the values of all tags against each other."""

    def number(tag: int, default: int | None = None) -> int:
        found = values.get(tag)
        if found is None or found.size == 0 or found.dtype.kind != "u":
            if default is None:
                raise TiffError(f"its tag {tag} is missing or holds no number")
            return default
        return int(found[0])

    kind = number(_SAMPLES, 1), number(_BITS, 1), number(_SAMPLE_FORMAT, 1)
    if kind != (1, 16, 1):
        raise TiffError(
            "it does not hold one uint16 per pixel: {} samples of {} bits, format {}".format(*kind)
        )
    if number(_FILL_ORDER, 1) != 1:
        raise TiffError("its bits are stored in reverse (fill order 2), which is not read")
    width, height = number(_WIDTH), number(_HEIGHT)
    tiled = _TILE_OFFSETS in values
    if tiled:
        block = number(_TILE_WIDTH), number(_TILE_HEIGHT)
    else:
        block = width, min(number(_ROWS_PER_STRIP, height), height)
    compression, predictor = number(_COMPRESSION, 1), number(_PREDICTOR, 1)
    if compression not in _WITH_PREDICTOR:
        predictor = 1
    count = check_layout((width, height), block, compression, predictor, tiled=tiled)
    return TiffHeader(
        width,
        height,
        *block,
        tiled,
        compression,
        predictor,
        order,
        _block_array(values, _TILE_OFFSETS if tiled else _STRIP_OFFSETS, count),
        _block_array(values, _TILE_COUNTS if tiled else _STRIP_COUNTS, count),
        _parse_nodata(values.get(_NODATA)),
        _parse_transform(values),
        _parse_lerc(values.get(_LERC_PARAMETERS)),
        _parse_geo_keys(values.get(_GEO_KEYS))[1],
    )


def check_layout(
    size: tuple[int, int], block: tuple[int, int], compression: int, predictor: int, *, tiled: bool
) -> int:
    """Number of blocks of an image; `TiffError` where its parts do not go together.

    ``size`` and ``block`` are (width, height) of the image and of a block.
    """
    (width, height), (block_width, block_height) = size, block
    if not (1 <= width <= MAX_SIZE and 1 <= height <= MAX_SIZE):
        raise TiffError(f"its size of {width} x {height} pixels is not within 1 and {MAX_SIZE}")
    if compression not in COMPRESSIONS:
        name = _OTHER_COMPRESSIONS.get(compression, "unknown")
        raise TiffError(f"its compression {compression} ({name}) is not read")
    if predictor not in ((1, 2) if compression in _WITH_PREDICTOR else (1,)):
        raise TiffError(f"its predictor {predictor} is not one for uint16 (1 or 2)")
    if min(block) < 1 or 2 * block_width * block_height > MAX_BLOCK_BYTES:
        raise TiffError(
            f"its blocks of {block_width} x {block_height} pixels are empty or larger than "
            f"{MAX_BLOCK_BYTES} bytes"
        )
    if not tiled and (block_width != width or block_height > height):
        raise TiffError(f"its strips of {block_width} x {block_height} pixels are not of its size")
    count = math.ceil(width / block_width) * math.ceil(height / block_height)
    if count > MAX_BLOCKS:
        raise TiffError(f"it has {count} blocks, more than {MAX_BLOCKS}")
    return count


def _block_array(
    values: Mapping[int, npt.NDArray[Any]], tag: int, count: int
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Offsets or byte counts of all blocks in native byte order, free of the fetched bytes."""
    found = values.get(tag)
    if found is None or found.size != count or found.dtype.kind != "u":
        size = 0 if found is None else found.size
        raise TiffError(f"its tag {tag} lists {counted(size, 'block')}, but the image has {count}")
    return found.astype(found.dtype.newbyteorder("="))


def _parse_lerc(parameters: npt.NDArray[Any] | None) -> int:
    if parameters is None or parameters.size < 2:
        return 0
    extra = int(parameters[1]) if parameters.dtype.kind == "u" else -1
    if extra not in (0, 1, 2):
        raise TiffError(f"its LERC data are compressed in a way ({extra}) that is not read")
    return extra


def _parse_nodata(text: npt.NDArray[Any] | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text.tobytes().split(b"\0")[0])
    except ValueError:
        return None


def _parse_transform(
    values: Mapping[int, npt.NDArray[Any]],
) -> tuple[float, float, float, float] | None:
    """Left, top, pixel width and (negative) height; None without a north-up georeference."""

    def floats(tag: int, count: int) -> list[float] | None:
        found = values.get(tag)
        good = found is not None and found.size >= count and found.dtype.kind == "f"
        return found.tolist() if good and found is not None else None

    scale, tie, matrix = floats(_PIXEL_SCALE, 2), floats(_TIEPOINT, 6), floats(_TRANSFORMATION, 16)
    if scale and tie and scale[0] and scale[1]:
        dx, dy = scale[0], -abs(scale[1])
        left, top = tie[3] - tie[0] * dx, tie[4] - tie[1] * dy
    elif matrix and is_near((matrix[1], matrix[4]), (0, 0)):
        dx, dy, left, top = matrix[0], matrix[5], matrix[3], matrix[7]
    else:
        return None
    if _parse_geo_keys(values.get(_GEO_KEYS))[0]:
        left, top = left - dx / 2, top - dy / 2
    return left, top, dx, dy


def _parse_geo_keys(keys: npt.NDArray[Any] | None) -> tuple[bool, int]:
    """Whether coordinates are those of pixel centres instead of corners, and the CRS's code.

    The code is 0 where there is none, or a CRS of the file's own.
    """
    if keys is None or keys.dtype.kind != "u":
        return False, 0
    return _read_geo_keys(keys.astype("<u4").tobytes())


@lru_cache(maxsize=64)  # the same for all files of a plot
def _read_geo_keys(keys: bytes) -> tuple[bool, int]:
    table = np.frombuffer(keys[: len(keys) // 16 * 16], "<u4").reshape(-1, 4)[1:].tolist()
    codes = [v for key, _, _, v in table if key == _PROJECTED_KEY and v != _USER_DEFINED]
    is_point = any(key == _RASTER_TYPE_KEY and v == _PIXEL_IS_POINT for key, _, _, v in table)
    return is_point, codes[0] if codes else 0
