"""Headers of files, kept in the project for later plots, runs and other processes.

::

    ledger/headers/CU_003009/{time}_{number}.bin    headers of files of a tile, or of a path and row

What a plot reads of headers is written when it ends, into new files of its place, and no file is
ever written into again: so any number of processes may share a project. Where a place has many
files they become few.

A header is bound to the version of its file (ETag or time, and size), which every answer to a read
tells: a file that has changed meanwhile is read anew. A record that is damaged is none. What is
kept is no better than the project that it lies in: a record is checked as a file's own header is,
and where pixels can't be read by it, the file's own is asked for before anything is said of the
file. Records hold no address, only a digest of it.

Files of this machine wait for nothing: their headers are not kept. Nor are those of servers that
tell neither ETag nor time, where a file that was replaced by one of the same size would be missed.
"""

from __future__ import annotations

import hashlib
import logging
import re
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from ..errors import AccessError, DamagedError, ProjectError
from ..storage.access import clean, is_file
from ..storage.folder import Folder, read_file
from ..storage.objects import Version
from .tiff import Buffer, TiffError, TiffHeader, check_layout

_LOG = logging.getLogger(__name__)

HEADERS: Final = "ledger/headers"
"""Folder of headers that are kept."""

_PLACE: Final = re.compile(r"[A-Z]{2}\d\d_([A-Z0-9]{2,4}_\d{6})_.*", re.ASCII)
"""What the id of an item tells of its place: region, h and v of a tile, or path and row."""

_UNCLEAN: Final = re.compile(r"[@?#]")
"""What an address has that may hold a secret."""

_MAGIC: Final = b"timesync_xr headers 1\n"
_RECORD: Final = struct.Struct("<16sII")
"""Key of a file, CRC-32 of key and bytes, and number of bytes that follow."""
_FIXED: Final = struct.Struct("<4I?HBc?d?4dBIBBQIQQBB")
"""What a record tells before the mark of its version and its arrays.

The last four are where the first block begins, how far each is from the end of the one before
(`_ODD` where that differs), and bytes of a number of the arrays: the blocks' sizes, and these gaps.
"""
_ODD: Final = 2**64 - 1

_MOST_BYTES: Final = 96 * 2**20
"""Bytes of headers that a plot keeps or takes of a place: a tile of 40 years has some 36 MB."""

_FILE: Final = 8 * 2**20
"""Bytes of records after which another file begins."""

_MANY: Final = 16
"""Files of a place that are made few when another is written."""

Address = tuple[str | None, str]
"""Where a file lies: the S3 service, if it is not AWS, and the address."""


class Known(NamedTuple):
    """What is known of a file before its pixels are read."""

    header: TiffHeader
    """Its header."""
    version: Version
    """The version of the file that it is of."""


def pack(known: Known) -> bytes:
    """A header and its version as bytes; 1.3 kB for 400 blocks."""
    header, version = known.header, known.version
    mark = version.mark.encode()
    offsets, counts = header.offsets, header.counts
    rest = offsets[1:] - (offsets[:-1] + counts[:-1])
    gap = int(rest[0]) if rest.size and (rest == rest[0]).all() else _ODD
    sizes, wide = _narrow(counts)
    gaps, wide_gaps = _narrow(rest if gap == _ODD else rest[:0])
    fixed = _FIXED.pack(
        header.width, header.height, header.block_width, header.block_height,
        header.tiled, header.compression, header.predictor, header.byte_order.encode(),
        header.nodata is not None, header.nodata or 0.0,
        header.transform is not None, *(header.transform or (0.0,) * 4),
        header.lerc_extra, header.epsg, header.offsets.itemsize, header.counts.itemsize,
        version.size, len(mark), int(offsets[0]), gap, wide, wide_gaps,
    )  # fmt: skip
    return b"".join((fixed, mark, sizes, gaps))


def unpack(data: Buffer) -> Known:
    """The header and version of `pack`, checked as a file's own; `TiffError` for anything else."""
    try:
        (
            width, height, block_width, block_height, tiled, compression, predictor, order,
            has_nodata, nodata, has_transform, left, top, dx, dy, lerc_extra, epsg,
            wide, wide_counts, size, length, first, gap, *widths,
        ) = _FIXED.unpack_from(data)  # fmt: skip
        mark = bytes(data[_FIXED.size : _FIXED.size + length]).decode()
        types = np.dtype(f"u{wide}"), np.dtype(f"u{wide_counts}")
    except (struct.error, ValueError, TypeError) as error:
        raise TiffError("a kept header is damaged") from error
    block = block_width, block_height
    count = check_layout((width, height), block, compression, predictor, tiled=tiled)
    arrays = data[_FIXED.size + length :]
    middle, odd = widths[0] * count, widths[1] * (count - 1) * (gap == _ODD)
    good = len(arrays) == middle + odd and 1 <= min(widths) <= max(widths) <= 8
    if not (good and order in (b"<", b">") and lerc_extra <= 2):
        raise TiffError("a kept header is damaged")
    counts, offsets = _wide(arrays[:middle], widths[0]), np.empty(count, np.uint64)
    offsets[0] = first
    offsets[1:] = counts[:-1] + (_wide(arrays[middle:], widths[1]) if odd else np.uint64(gap))
    offsets = np.cumsum(offsets)
    header = TiffHeader(
        width, height, *block, tiled, compression, predictor, order.decode(),
        offsets.astype(types[0]), counts.astype(types[1]), nodata if has_nodata else None,
        (left, top, dx, dy) if has_transform else None, lerc_extra, epsg,
    )  # fmt: skip
    return Known(header, Version(mark, size))


def _narrow(numbers: npt.NDArray[np.unsignedinteger[Any]]) -> tuple[bytes, int]:
    """The lowest bytes of each number, as many as the largest needs, and how many that are."""
    width = (int(numbers.max(initial=1)).bit_length() + 7) // 8
    each = numbers.astype("<u8").view(np.uint8).reshape(-1, 8)
    return each[:, :width].tobytes(), width


def _wide(data: Buffer, width: int) -> npt.NDArray[np.uint64]:
    """The numbers of `_narrow`."""
    narrow = np.frombuffer(data, np.uint8).reshape(-1, width)
    wide = np.zeros((len(narrow), 8), np.uint8)
    wide[:, :width] = narrow
    return wide.view("<u8").ravel().astype(np.uint64, copy=False)


@dataclass(eq=False)
class _Place:
    """The headers of a place: those that were kept before, and those to keep."""

    path: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    before: dict[bytes, Buffer] | None = None
    """Records by key; None until one was asked for."""
    new: dict[bytes, Buffer] = field(default_factory=dict)
    size: int = 0
    """Bytes of the new ones."""


class KeptHeaders:
    """Headers that a project keeps, for the time of one plot. Safe for threads.

    Files of a place are read when the first header of it is asked for that the process does not
    know itself.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._places: dict[str, _Place] = {}

    def find(self, item_id: str, of: Address) -> Buffer | None:
        """The record of a file of an item, unchecked; None where there is none."""
        place = self._place(item_id, of)
        if place is None:
            return None
        key = _key(of)
        with place.lock:
            if place.before is None:
                place.before = _read_place(self._folder, place.path)
            return place.new.get(key) or place.before.get(key)

    def add(self, item_id: str, of: Address, record: Buffer, version: Version) -> None:
        """Keep what `pack` made of a file, when `save` is called."""
        place = self._place(item_id, of)
        if place is None or not version.mark:
            return
        with place.lock:
            if place.size + len(record) <= _MOST_BYTES:
                place.new[_key(of)] = record
                place.size += len(record)

    def drop(self, item_id: str, of: Address) -> None:
        """Forget what is known of a file, since it is of another version, or wrong."""
        place = self._place(item_id, of)
        if place is not None:
            with place.lock:
                for records in (place.new, place.before or {}):
                    records.pop(_key(of), None)

    def save(self) -> None:
        """Write what is new, by place. Where that fails, nothing but time is lost."""
        for place in [*self._places.values()]:  # others may come meanwhile
            with place.lock:
                records, place.new, place.size = place.new, {}, 0
            if not records:
                continue
            try:
                _write_place(self._folder, place.path, records)
            except (AccessError, ProjectError) as error:
                _LOG.warning("headers are not kept: %s", error)

    def _place(self, item_id: str, of: Address) -> _Place | None:
        found = None if is_file(of[1]) else _PLACE.fullmatch(item_id)
        if found is None:
            return None
        path = f"{HEADERS}/{found[1]}"
        return self._places.get(path) or self._places.setdefault(path, _Place(path))


@contextmanager
def kept_headers(folder: Folder) -> Iterator[KeptHeaders]:
    """The headers of a project, while a plot is made; what is new is written in the end."""
    headers = KeptHeaders(folder)
    try:
        yield headers
    finally:
        headers.save()


def _key(of: Address) -> bytes:
    """A digest of where a file lies, without what may be a secret."""
    text = "\n".join(clean(part) if part and _UNCLEAN.search(part) else part or "" for part in of)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _read_place(folder: Folder, path: str) -> dict[bytes, Buffer]:
    """All records of a place, the newest of each file, as far as they are whole."""
    found: dict[bytes, Buffer] = {}
    size = 0
    try:
        for name in sorted(folder.names(path)):
            data = _bytes_of(folder, f"{path}/{name}")
            size += len(data)
            if size > _MOST_BYTES:
                break
            found |= _records(data)[0]
    except AccessError as error:
        _LOG.warning("kept headers can't be read: %s", error)
    return found


def _bytes_of(folder: Folder, path: str) -> bytes:
    """The bytes of a file; none of one that is gone, or can't be read."""
    try:
        return read_file(folder, path)
    except (FileNotFoundError, DamagedError):
        return b""


def _records(data: bytes) -> tuple[dict[bytes, Buffer], bool]:
    """The records of a file up to the first damage, and whether there is none."""
    found: dict[bytes, Buffer] = {}
    view = memoryview(data)
    if not data.startswith(_MAGIC):
        return found, False
    at = len(_MAGIC)
    while at + _RECORD.size <= len(data):
        key, check, size = _RECORD.unpack_from(data, at)
        record = view[at + _RECORD.size : at + _RECORD.size + size]
        if len(record) != size or zlib.crc32(record, zlib.crc32(key)) != check:
            return found, False
        found[key] = record
        at += _RECORD.size + size
    return found, at == len(data)


def _write_place(folder: Folder, path: str, records: dict[bytes, Buffer]) -> None:
    """Write records as files; where there are many, all of them as few."""
    names = sorted(folder.names(path))
    many = names if len(names) + 1 >= _MANY else []
    if many:
        records = _read_place(folder, path) | records
    for data in _files_of(records):
        folder.write(f"{path}/{time.time_ns():020d}_{uuid4().hex[:8]}.bin", data)
    for name in many:
        folder.remove(f"{path}/{name}")


def _files_of(records: dict[bytes, Buffer]) -> Iterator[bytes]:
    """The bytes of files of records, none of which takes much memory."""
    parts: list[Buffer] = [_MAGIC]
    size = 0
    for key, record in records.items():
        parts += [_RECORD.pack(key, zlib.crc32(record, zlib.crc32(key)), len(record)), record]
        size += len(record)
        if size >= _FILE:
            yield b"".join(parts)
            parts, size = [_MAGIC], 0
    if size:
        yield b"".join(parts)


def damaged_headers(folder: Folder) -> Iterator[str]:
    """Paths of files of kept headers that are not what was written; runs read such headers anew."""
    for place in sorted(folder.names(HEADERS)):
        for name in sorted(folder.names(f"{HEADERS}/{place}")):
            path = f"{HEADERS}/{place}/{name}"
            if not _records(_bytes_of(folder, path))[1]:
                yield path
