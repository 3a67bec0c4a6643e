"""Pixels of one asset, fetched in the background, with caches of headers and blocks.

Native pixels are read by integer arithmetic: nothing is warped, and a file that does not lie
exactly where its item says is refused. All state (caches, threads) belongs to one process and is
made when first used.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, NoReturn

from ..errors import AccessError, CorruptAssetError, InputError, MissingAssetError, ReadError
from ..grid import is_near
from ..landsat import PIXEL, QA_BAND
from ..storage.access import Access, clean, is_file
from ..storage.objects import read_ranges
from . import tiff
from .blocks import find_blocks, read_blocks
from .caches import Cache, Spool
from .footing import Footing
from .tiff import TiffError, TiffHeader, UInt16Array, Window

THREADS: Final = "TIMESYNC_XR_THREADS"
"""Environment variable: requests of one process at the same time, 64 if unset."""

HEADER_CACHE: Final = "TIMESYNC_XR_HEADER_CACHE"
"""Environment variable: megabytes of headers that a process keeps, 192 if unset."""

BLOCK_CACHE: Final = "TIMESYNC_XR_BLOCK_CACHE"
"""Environment variable: megabytes of compressed blocks that a process keeps, 128 if unset."""

SPOOL: Final = "TIMESYNC_XR_SPOOL"
"""Environment variable: megabytes of disk for blocks that a plot nearby needs too, 8192 if unset.

At most a quarter of what is free there is taken, in the folder for temporary files (TMPDIR).
"""

_REPLACE: Final = "Replace the file by a whole copy of the original"
_ROUNDS: Final = 3
"""Further reads that a header may take: its directory, its long values, and one to spare."""

_BESIDE: Final = 16
"""Bytes between blocks that lie beside each other, at most: GDAL keeps a few for itself."""


@dataclass(frozen=True)
class Asset:
    """One band of one STAC item: a raster whose place and size are known before it is opened."""

    item_id: str
    """Id of the STAC item."""
    band: str
    """Name of the band, one of `landsat.BANDS`."""
    href: str | None
    """Address as the catalog gives it; None where the item lacks the band."""
    left: int
    """Left edge of the file in metres."""
    top: int
    """Upper edge of the file in metres."""
    width: int
    """Columns that the file must have."""
    height: int
    """Rows that the file must have."""

    def __str__(self) -> str:
        return f"{self.item_id} {self.band}"


@dataclass(frozen=True, eq=False)
class Reading:
    """How assets are read."""

    access: Access
    """How they are reached."""
    keep_blocks: bool = False
    """Whether what is fetched is kept on disk, because a plot nearby will need it too."""
    numbers: UInt16Array | None = None
    """Collection 2 digital number of each of the 65,536 numbers of a file; None: they are such."""
    quality: UInt16Array | None = None
    """QA_PIXEL of each value of a file of the quality band; None: they are such."""


_Loaded = tuple[TiffHeader, dict[int, bytes]]
"""The header of an asset and the compressed blocks that a window touches."""


def begin_read(
    asset: Asset, footing: Footing, reading: Reading, later: Footing | None = None
) -> Callable[[UInt16Array], None]:
    """Begin to fetch what is remote; return the function that puts the pixels into an array.

    The array is uint16 of the shape (height, width) of the footing's window. What lies outside the
    file is left as it is, and sparse blocks are what GDAL makes of them. Fetching goes on in the
    background, so the waiting times of all reads that were begun overlap; the function only
    decodes. Files of this machine wait for nothing and are read by the function. Headers and
    compressed blocks are kept for the next chip.

    ``later`` is where the same asset will be read if this is not fill: its blocks that lie beside
    come in the same request.

    The function raises `ReadError` (`MissingAssetError`, `CorruptAssetError`,
    `TransientReadError`), which names the asset, or `AccessError`.
    """
    inside = footing.inside(asset.width, asset.height)
    if inside is None:
        return _leave
    fetch = _begin_fetch(asset, inside, reading, later)
    col, row = inside.col - footing.window.col, inside.row - footing.window.row
    numbers = reading.quality if asset.band == QA_BAND else reading.numbers
    part = slice(row, row + inside.height), slice(col, col + inside.width)

    def read_into(out: UInt16Array) -> None:
        header, blocks = fetch()
        with _errors_named(asset, reading.access):
            read_blocks(header, inside, blocks, out[part])
        if numbers is not None:
            out[part] = numbers[out[part]]

    return read_into


def _leave(_out: UInt16Array) -> None:
    """Nothing of the window lies in the file."""


def _begin_fetch(
    asset: Asset, window: Window, reading: Reading, later: Footing | None
) -> Callable[[], _Loaded]:
    """A function that returns what was fetched; what is remote is on its way."""
    try:
        address = _resolve(asset, reading.access)
    except ReadError as error:
        return partial(_fail, error)
    if is_file(address):
        return partial(_load, asset, address, window, reading, None)
    beside = None if later is None else later.inside(asset.width, asset.height)
    return _state().pool.submit(_load, asset, address, window, reading, beside).result


def _resolve(asset: Asset, access: Access) -> str:
    if asset.href is None:
        raise MissingAssetError(str(asset), "the item has no such band", "Leave the item out")
    with _errors_named(asset, access):
        return access.resolve(asset.href)


def _fail(error: ReadError) -> NoReturn:
    raise error


def _load(
    asset: Asset, address: str, window: Window, reading: Reading, later: Window | None
) -> _Loaded:
    """Fetches what a window inside the file needs, see `begin_read` for what is needed later."""
    with _errors_named(asset, reading.access):
        return _fetch(address, asset, window, reading, later)


@contextmanager
def _errors_named(asset: Asset, access: Access) -> Iterator[None]:
    """Puts the asset's name into errors; forgets what was read of a damaged file."""
    href = asset.href or ""
    try:
        yield
    except TiffError as error:
        _forget(access.resolve(href), access)
        raise CorruptAssetError(str(asset), f"{clean(href)}: {error}", _REPLACE) from error
    except ReadError as error:
        if isinstance(error, CorruptAssetError):
            _forget(access.resolve(href), access)
        where = f"{error.asset}: {error.cause}"
        raise type(error)(str(asset), where, error.remedy, kind=error.kind) from error
    except AccessError as error:
        raise AccessError(f"{asset}: {error}", kind=error.kind) from error


def _fetch(
    address: str, asset: Asset, window: Window, reading: Reading, later: Window | None
) -> _Loaded:
    """Header and compressed blocks of a window. One thread at a time asks for one address."""
    state = _state()
    key = (reading.access.s3.endpoint, address)
    with state.lock(address):
        header = state.headers.get(key)
        if header is None:
            header = _fetch_header(address, reading.access)
            state.headers.put(key, header)
        _check_grid(header, asset)
        blocks = find_blocks(header, window)
        if later is not None:
            blocks = _joined(blocks, find_blocks(header, later))
        return header, _fetch_blocks(asset, address, blocks, reading)


def _joined(blocks: list[tiff.Block], later: list[tiff.Block]) -> list[tiff.Block]:
    """The blocks, with those of ``later`` that lie beside the first in the file."""
    first = blocks[0]
    beside = (b for b in later if b.number != first.number and _gap(b, first) <= _BESIDE)
    return [*blocks, *beside]


def _gap(one: tiff.Block, other: tiff.Block) -> int:
    return max(one.start, other.start) - min(one.stop, other.stop)


def _fetch_header(address: str, access: Access) -> TiffHeader:
    ranges: Iterable[tuple[int, int]] = [(0, tiff.FIRST_READ)]
    pieces: list[tuple[int, bytes]] = []
    for _ in range(1 + _ROUNDS):
        found = read_ranges(address, list(ranges), access, allow_short=True)
        pieces += [(start, data) for (start, _), data in zip(ranges, found, strict=True)]
        try:
            return tiff.parse_header(pieces)
        except tiff.NeedMore as more:
            ranges = more.ranges
    raise TiffError("it is cut off: its header ends early")


def _check_grid(header: TiffHeader, asset: Asset) -> None:
    expected = (asset.left, asset.top, PIXEL, -PIXEL)
    found = header.transform or (math.inf,) * 4
    if not is_near(found, expected) or (header.width, header.height) != (asset.width, asset.height):
        raise TiffError(
            f"it is another grid than its tile: {header.width} x {header.height} pixels, "
            f"(left, top, width, height) {header.transform} instead of "
            f"{asset.width} x {asset.height}, {expected}"
        )


def _fetch_blocks(
    asset: Asset, address: str, blocks: list[tiff.Block], reading: Reading
) -> dict[int, bytes]:
    access, kept = reading.access, _state().kept_blocks(asset, reading)
    keep = not is_file(address)  # the system itself keeps the files that were read last
    found: dict[int, bytes] = {}
    missing: list[tiff.Block] = []
    for block in blocks:
        data = kept.get((access.s3.endpoint, address, block.number)) if keep else None
        if data is not None:
            found[block.number] = data
        elif block.stop > block.start:
            missing.append(block)
    if missing:
        ranges = [(block.start, block.stop) for block in missing]
        fetched = read_ranges(address, ranges, access)
        for block, data in zip(missing, fetched, strict=True):
            found[block.number] = data
            if keep:
                kept.put((access.s3.endpoint, address, block.number), data)
    return found


def _forget(address: str, access: Access) -> None:
    """Drops what is kept of a damaged file, so that a repaired one is read anew."""
    state = _state()
    state.headers.drop((access.s3.endpoint, address))
    for kept in (state.blocks, state.qa_blocks, state.spool):
        kept.drop((access.s3.endpoint, address))


def _header_size(header: TiffHeader) -> int:
    return header.nbytes


def _block_size(block: bytes) -> int:
    return len(block) + 200  # with its key


class _State:
    """Caches, locks and threads of one process."""

    def __init__(self) -> None:
        self.headers = Cache[TiffHeader](_setting(HEADER_CACHE, 192) * 2**20, _header_size)
        blocks = _setting(BLOCK_CACHE, 128) * 2**20
        self.blocks = Cache[bytes](blocks // 2, _block_size)
        self.qa_blocks = Cache[bytes](blocks // 2, _block_size)
        self.spool = Spool(_setting(SPOOL, 8192) * 2**20)
        self.pool = ThreadPoolExecutor(max(1, _setting(THREADS, 64)), "timesync_xr")
        self._locks = [threading.Lock() for _ in range(1024)]

    def kept_blocks(self, asset: Asset, reading: Reading) -> Cache[bytes] | Spool:
        """Where an asset's blocks are kept.

        Those of QA_PIXEL are apart: a plot looks at them once more, when many others have passed.
        """
        if reading.keep_blocks:
            return self.spool
        return self.qa_blocks if asset.band == QA_BAND else self.blocks

    def lock(self, address: str) -> threading.Lock:
        """A lock for an address; few other addresses share it."""
        return self._locks[hash(address) % len(self._locks)]


def _state() -> _State:
    return _state_of(os.getpid())


@lru_cache(maxsize=1)
def _state_of(_process: int) -> _State:
    return _State()


def _setting(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise InputError(f"the environment variable {name} is {text!r}: give a whole number")
    return int(text) if text else default


def reset() -> None:
    """Forgets all headers and blocks and cancels the reads that have not begun.

    For a file that was replaced during the process, and for an early end. Later reads start anew.
    """
    if _state_of.cache_info().currsize:
        _state().pool.shutdown(wait=False, cancel_futures=True)
        _state_of.cache_clear()
