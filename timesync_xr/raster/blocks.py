"""Blocks of a TIFF without input or output: window -> byte ranges; bytes -> pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import counted
from .tiff import (
    COMPRESSIONS,
    LERC,
    LZW,
    MAX_POSITION,
    Block,
    Buffer,
    TiffError,
    TiffHeader,
    UInt16Array,
    Window,
)


def find_blocks(
    header: TiffHeader, window: Window, wanted: npt.NDArray[np.bool_] | None = None
) -> list[Block]:
    """The blocks that a window touches, by rows. The window must lie inside the image.

    With ``wanted`` (height, width), the pixels of the window that are, only the blocks of these.
    """
    return [
        _find_block(header, index)
        for index, _, target in _cuts_of(header, window)
        if wanted is None or wanted[target].any()
    ]


def _find_block(header: TiffHeader, index: int) -> Block:
    start, count = int(header.offsets[index]), int(header.counts[index])
    if count == 0:
        return Block(index, 0, 0)
    limit = 4 * header.block_width * header.block_height + 65536
    if not 8 <= start < MAX_POSITION or count > limit:
        raise TiffError(f"its block {index} can't have {count} bytes at byte {start}")
    return Block(index, start, start + count)


def read_blocks(
    header: TiffHeader, window: Window, data: Mapping[int, Buffer], out: UInt16Array
) -> None:
    """Put the pixels of a window into ``out``, a uint16 array of shape (height, width).

    ``data`` holds the compressed bytes of every block that `find_blocks` names and that is not
    sparse, by the block's number. Raises `TiffError` for a block that does not decode to its size.
    """
    for index, inside, target in _cuts_of(header, window):
        if index in data:
            out[target] = _decode_part(header, index, data[index], inside)
        else:
            out[target] = header.fill


_Cut = tuple[slice, slice]


def _cuts_of(header: TiffHeader, window: Window) -> list[tuple[int, _Cut, _Cut]]:
    """Block index, the part of the block inside the window, and its place in the window."""
    return _cuts(header.width, header.block_width, header.block_height, window)


@lru_cache(maxsize=64)  # the same for all assets of a plot
def _cuts(
    width: int, block_width: int, block_height: int, window: Window
) -> list[tuple[int, _Cut, _Cut]]:
    across = -(-width // block_width)
    return [
        (row * across + col, (inside_y, inside_x), (target_y, target_x))
        for row, inside_y, target_y in _cut(window.row, window.height, block_height)
        for col, inside_x, target_x in _cut(window.col, window.width, block_width)
    ]


def _cut(first: int, length: int, step: int) -> Iterator[tuple[int, slice, slice]]:
    """Cuts an interval at multiples of ``step``: number of the part, slice in it, slice of all."""
    for i in range(first // step, (first + length - 1) // step + 1):
        start, stop = max(first, i * step), min(first + length, (i + 1) * step)
        yield i, slice(start - i * step, stop - i * step), slice(start - first, stop - first)


def _decode_part(header: TiffHeader, index: int, data: Buffer, part: _Cut) -> UInt16Array:
    """Part of a block in native byte order; it may lie in memory that the next block overwrites."""
    width, height = header.block_width, header.block_height
    if not header.tiled:
        height = min(height, header.height - index * height)
    raw = _decoded(header, index, data, height)
    block = np.frombuffer(raw, header.byte_order + "u2", height * width).reshape(height, width)
    rows, columns = part
    native: UInt16Array = block[rows, : columns.stop].astype(np.uint16, copy=False)
    if header.predictor == 2:
        _undo_differences(native)
    return native[:, columns]


def _decoded(header: TiffHeader, index: int, data: Buffer, rows: int) -> Any:
    """Bytes of a block of ``rows``, at least.

    GDAL writes the last strip of an image as high as the others, when it holds nothing but fill.
    """
    decode, damage = _decoder(header.compression, header.lerc_extra), ""
    for height in dict.fromkeys((rows, header.block_height)):
        size, cause = 2 * height * header.block_width, None
        try:
            raw = decode(data, height, header.block_width)
        except Exception as error:  # noqa: BLE001 - each codec has errors of its own
            name, cause = COMPRESSIONS[header.compression], error
            damage = damage or f"is damaged: {name} data do not decode"
            continue
        if len(raw) == size:
            return raw
        damage = damage or f"holds {counted(len(raw), 'byte')} instead of {size}"
    raise TiffError(f"its block {index} {damage}") from cause


def _undo_differences(rows: UInt16Array) -> None:
    """Sums up along each row, in place."""
    import imagecodecs

    imagecodecs.delta_decode(rows, axis=-1, out=rows)


_Decoder = Callable[[Any, int, int], Any]


@cache
def _decoder(compression: int, lerc_extra: int) -> _Decoder:
    """The function (data, rows, columns) -> decoded bytes, at most one more than fits the block.

    One more, so that too many are noticed; no more, so that no data can blow up memory. Writers of
    LZW may leave some bytes behind the last pixel: these are not decoded, and GDAL does likewise.
    """
    import imagecodecs

    if compression == 1:
        return lambda data, _height, _width: data
    if compression == LERC:
        return _lerc_decoder({0: None, 1: 8, 2: 50000}[lerc_extra])
    if compression == LZW:
        return lambda data, height, width: imagecodecs.lzw_decode(
            data, out=_scratch(2 * height * width)
        )
    decode: Any = {
        8: imagecodecs.deflate_decode,
        32773: imagecodecs.packbits_decode,
        32946: imagecodecs.deflate_decode,
        34925: imagecodecs.lzma_decode,
        50000: imagecodecs.zstd_decode,
    }[compression]
    return lambda data, height, width: decode(data, out=_scratch(2 * height * width + 1))


_of_thread = threading.local()


def _scratch(size: int) -> npt.NDArray[np.uint8]:
    """Memory of this thread for one block at a time; to get it anew each time costs page faults."""
    memory: npt.NDArray[np.uint8] | None = getattr(_of_thread, "memory", None)
    if memory is None or len(memory) < size:
        memory = _of_thread.memory = np.empty(size, np.uint8)
    return memory[:size]


def _lerc_decoder(around: int | None) -> _Decoder:
    """The decoder of LERC data, which may be compressed once more by the codec ``around``."""
    from imagecodecs import lerc_decode

    def decode(data: Any, height: int, width: int) -> Any:
        if around is not None:
            bound = 2 * height + 512  # LERC data may be somewhat larger than the pixels
            data = memoryview(_decoder(around, 0)(data, bound, width))
        pixels = lerc_decode(data, out=np.empty((height, width), np.uint16))
        return np.asarray(pixels).reshape(-1).view(np.uint8)

    return decode
