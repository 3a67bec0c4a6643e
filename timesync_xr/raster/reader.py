"""Pixels of one asset, fetched in the background, with caches of headers and blocks.

Pixels are those of the file, by integer arithmetic or by an index of them (see
`timesync_xr.raster.footing`): none is ever mixed with another, and a file that does not lie exactly
where its item says is refused. All state (caches, threads) belongs to one process and is made when
first used.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Final, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import AccessError, CorruptAssetError, InputError, MissingAssetError, ReadError
from ..grid import NEAR, frame, is_near
from ..landsat import BANDS, FILL, PIXEL, QA_BAND, QA_FILL
from ..storage.access import Access, clean, is_file, lies_below
from ..storage.objects import ChangedError, Version, check_version, read_ranges, read_start
from . import tiff
from .blocks import find_blocks, read_blocks
from .caches import Cache, Shelf, Spool
from .footing import Footing
from .headers import KeptHeaders, Known, pack, unpack
from .tiff import Buffer, TiffError, TiffHeader, UInt16Array, Window

_LOG = logging.getLogger(__name__)

THREADS: Final = "TIMESYNC_XR_THREADS"
"""Environment variable: requests of one process at the same time; by default 64, and 192 to
Planetary Computer."""

HEADER_CACHE: Final = "TIMESYNC_XR_HEADER_CACHE"
"""Environment variable: megabytes of headers that a process keeps, 192 if unset."""

BLOCK_CACHE: Final = "TIMESYNC_XR_BLOCK_CACHE"
"""Environment variable: megabytes of compressed blocks that a process keeps, 96 if unset.

Three quarters are for those of QA_PIXEL, see `_State.kept_blocks`.
"""

SPOOL: Final = "TIMESYNC_XR_SPOOL"
"""Environment variable: megabytes of disk for blocks that a plot nearby needs too, 8192 if unset.

At most a quarter of what is free there is taken, in the folder for temporary files (TMPDIR).
"""

_REPLACE: Final = "Replace the file by a whole copy of the original"
_ROUNDS: Final = 3
"""Further reads that a header may take: its directory, its long values, and one to spare."""

_CHANGES: Final = 2
"""Changes of a file after which it is read anew; it is given up where it changes once more."""

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
    grid: str = ""
    """Name of the grid of the file, such as EPSG:32610, if it has a code."""

    def __str__(self) -> str:
        return f"{self.item_id} {self.band}"


@dataclass(frozen=True, eq=False)
class Fallback:
    """A second archive, for files that are missing or broken where they are read at first."""

    name: str
    """Its name."""
    files: str
    """The address that its files lie below."""
    access: Access
    """How they are reached."""
    used: set[str] = field(default_factory=set)
    """Assets that were read there in this process."""

    def address(self, href: str) -> str:
        """Where it has the file of an asset's address; "" where it has none."""
        try:
            found = self.access.resolve(href)
        except ReadError:
            return ""
        return found if lies_below(found, self.files) else ""

    def told(self, item_ids: str) -> str:
        """Its name and what was read there of some items, a blank between their ids; or ""."""
        names = (f"{item_id} {band}" for item_id in item_ids.split() for band in BANDS)
        found = [name for name in names if name in self.used]
        return f"{self.name}: {', '.join(found)}" if found else ""


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
    fallback: Fallback | None = None
    """Where files are read that are missing or broken; None: nowhere."""
    at_a_time: int = 64
    """Requests of a process at the same time, if `THREADS` says nothing."""
    headers: KeptHeaders | None = None
    """Headers that a project keeps; None: of no project."""


class _Packed(NamedTuple):
    """What is known of a file, in a third of the memory."""

    record: Buffer
    """Its header and its version, see `timesync_xr.raster.headers`."""
    is_kept: bool
    """Whether an earlier plot kept it, so that it was not read of the file just now."""


class _Loaded(NamedTuple):
    """What was fetched of an asset."""

    header: TiffHeader
    """Its header."""
    blocks: dict[int, bytes]
    """The compressed blocks that a window touches."""
    reading: Reading
    """How they were read."""
    is_kept: bool
    """Whether the header is one that was kept by an earlier plot."""


def begin_read(
    asset: Asset, footing: Footing, reading: Reading, later: Footing | None = None
) -> Callable[[UInt16Array], None]:
    """Begin to fetch what is remote; return the function that puts the pixels into an array.

    The array is uint16 of the shape (height, width) of the chip. What lies outside the file is left
    as it is (where the plane of the file is another one: is fill), and sparse blocks are what GDAL
    makes of them. Fetching goes on in the
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
    fetch = _begin_fetch(asset, footing, inside, reading, later)
    col, row = inside.col - footing.window.col, inside.row - footing.window.row
    numbers = reading.quality if asset.band == QA_BAND else reading.numbers
    part = slice(row, row + inside.height), slice(col, col + inside.width)

    def decode(loaded: _Loaded, out: UInt16Array) -> None:
        try:
            read_blocks(loaded.header, inside, loaded.blocks, out[part])
        except TiffError as error:
            raise _of_asset(error, asset, loaded.reading) from error

    def read_into(out: UInt16Array) -> None:
        loaded, whole = fetch(), _Part(inside, footing.wanted(inside))
        try:
            if loaded.is_kept:
                try:
                    decode(loaded, out)
                except CorruptAssetError:  # it may be the header that is wrong, not the file
                    loaded = _load(asset, _resolve(asset, reading.access), whole, reading, None)
                    decode(loaded, out)
            else:
                decode(loaded, out)
        except CorruptAssetError as error:
            if loaded.reading is not reading:
                raise
            decode(_load_again(error, asset, whole, reading, None), out)
        if numbers is not None:
            out[part] = numbers[out[part]]

    def gather_into(out: UInt16Array) -> None:
        fill = QA_FILL if asset.band == QA_BAND else FILL
        box = np.full((footing.window.height, footing.window.width), fill, np.uint16)
        read_into(box)
        footing.gather(box, out)

    return read_into if footing.turned is None else gather_into


def _leave(_out: UInt16Array) -> None:
    """Nothing of the window lies in the file."""


@dataclass(frozen=True, eq=False)
class _Part:
    """The pixels of a file that are wanted."""

    window: Window
    """Where they lie, inside the file."""
    wanted: npt.NDArray[np.bool_] | None
    """Which pixels of the window they are; None for all."""

    def blocks(self, header: TiffHeader) -> list[tiff.Block]:
        """The blocks that hold them."""
        return find_blocks(header, self.window, self.wanted)


def _begin_fetch(
    asset: Asset, footing: Footing, window: Window, reading: Reading, later: Footing | None
) -> Callable[[], _Loaded]:
    """A function that returns what was fetched; what is remote is on its way."""
    try:
        address = _resolve(asset, reading.access)
    except ReadError as error:
        return partial(_fail, error)
    part = _Part(window, footing.wanted(window))
    if is_file(address) and (reading.fallback is None or os.path.exists(address)):
        return partial(_load, asset, address, part, reading, None)
    beside = None if later is None else later.inside(asset.width, asset.height)
    after = None if later is None or beside is None else _Part(beside, later.wanted(beside))
    pool = _state().pool(reading)
    return pool.submit(_load, asset, address, part, reading, after).result


def _resolve(asset: Asset, access: Access) -> str:
    if asset.href is None:
        raise MissingAssetError(str(asset), "the item has no such band", "Leave the item out")
    try:
        return access.resolve(asset.href)
    except ReadError as error:
        raise _named(error, asset) from error


def _fail(error: ReadError) -> NoReturn:
    raise error


def _load(
    asset: Asset, address: str, part: _Part, reading: Reading, later: _Part | None
) -> _Loaded:
    """Fetches what a part of the file needs, see `begin_read` for what is needed later."""
    try:
        loaded = _fetch(address, asset, part, reading, later)
    except (TiffError, ReadError, AccessError) as error:
        named = _of_asset(error, asset, reading)
        if isinstance(named, MissingAssetError | CorruptAssetError):
            return _load_again(named, asset, part, reading, later)
        raise named from error
    if reading.fallback is not None:
        reading.fallback.used.discard(str(asset))
    return loaded


def _load_again(
    error: ReadError, asset: Asset, part: _Part, reading: Reading, later: _Part | None
) -> _Loaded:
    """As `_load`, of the second archive; the error of the first where there is none."""
    second, href = reading.fallback, asset.href or ""
    address = "" if second is None else second.address(href)
    if second is None or not address or address == reading.access.resolve(href):
        raise error
    _LOG.info("%s: %s; reading it at %s", asset, error.cause, second.name)
    try:
        there = replace(reading, access=second.access, fallback=None)
        loaded = _load(asset, address, part, there, later)
    except ReadError as other:
        cause = f"{error.cause}; at {second.name}, too: {other.cause}"
        raise type(other)(other.asset, cause, other.remedy, kind=other.kind) from other
    except AccessError as other:
        told = f"the fallback {second.name} can't be read. {other}, or leave --fallback out"
        raise AccessError(told, kind=other.kind) from other
    second.used.add(str(asset))
    return loaded


def _of_asset(
    error: TiffError | ReadError | AccessError, asset: Asset, reading: Reading
) -> ReadError | AccessError:
    """An error as one that names the asset; what was read of a damaged file is forgotten."""
    href = asset.href or ""
    if isinstance(error, TiffError | CorruptAssetError):
        _forget(asset, reading.access.resolve(href), reading)
    if isinstance(error, TiffError):
        return CorruptAssetError(str(asset), f"{clean(href)}: {error}", _REPLACE)
    if isinstance(error, AccessError):
        return AccessError(f"{asset}: {error}", kind=error.kind)
    return _named(error, asset)


def _named(error: ReadError, asset: Asset) -> ReadError:
    """An error of an address as one of the asset."""
    where = f"{error.asset}: {error.cause}"
    return type(error)(str(asset), where, error.remedy, kind=error.kind)


def _fetch(
    address: str, asset: Asset, part: _Part, reading: Reading, later: _Part | None
) -> _Loaded:
    """Header and compressed blocks of a part. One thread at a time asks for one address.

    All are of one version of the file: where it is another by now, all is read anew, and so where
    nothing can be read by a header that was kept.
    """
    state = _state()
    with state.lock(address):
        for _ in range(_CHANGES):
            try:
                return _fetch_version(address, asset, part, reading, later)
            except (ChangedError, TiffError, CorruptAssetError) as error:
                found = state.headers.get(_header_key(address, reading))
                if not isinstance(error, ChangedError) and not (found and found.is_kept):
                    raise
                _forget(asset, address, reading)
        return _fetch_version(address, asset, part, reading, later)


def _fetch_version(
    address: str, asset: Asset, part: _Part, reading: Reading, later: _Part | None
) -> _Loaded:
    """As `_fetch`; `ChangedError` where the file is not, or no longer, what its header is of."""
    (header, version), is_kept = _header_of(address, asset, reading)
    _check_grid(header, asset)
    blocks = part.blocks(header)
    if later is not None:
        blocks = _joined(blocks, later.blocks(header))
    data = _fetch_blocks(asset, address, version, blocks, reading)
    return _Loaded(header, data, reading, is_kept)


def _header_of(address: str, asset: Asset, reading: Reading) -> tuple[Known, bool]:
    """Header and version of a file, and whether an earlier plot kept them."""
    state, key, kept = _state(), _header_key(address, reading), reading.headers
    found = state.headers.get(key)
    if found is None and kept is not None and (record := kept.find(asset.item_id, key)):
        found = _Packed(record, is_kept=True)
        state.headers.put(key, found)
    if found is not None:
        return unpack(found.record), found.is_kept
    known = _fetch_header(address, reading.access)
    record = state.records.put(pack(known))
    state.headers.put(key, _Packed(record, is_kept=False))
    if kept is not None:
        kept.add(asset.item_id, key, record, known.version)
    return known, False


def _header_key(address: str, reading: Reading) -> tuple[str | None, str]:
    return reading.access.s3.endpoint, address


def _joined(blocks: list[tiff.Block], later: list[tiff.Block]) -> list[tiff.Block]:
    """The blocks, with those of ``later`` that lie beside the first in the file."""
    first = blocks[0]
    beside = (b for b in later if b.number != first.number and _gap(b, first) <= _BESIDE)
    return [*blocks, *beside]


def _gap(one: tiff.Block, other: tiff.Block) -> int:
    return max(one.start, other.start) - min(one.stop, other.stop)


def _fetch_header(address: str, access: Access) -> Known:
    first, version = read_start(address, tiff.FIRST_READ, access)
    pieces = [(0, first)]
    for _ in range(_ROUNDS):
        try:
            return Known(tiff.parse_header(pieces), version)
        except tiff.NeedMore as more:
            ranges = more.ranges
        found = read_ranges(address, ranges, access, allow_short=True, version=version)
        pieces += [(start, data) for (start, _), data in zip(ranges, found, strict=True)]
    try:
        return Known(tiff.parse_header(pieces), version)
    except tiff.NeedMore:
        raise TiffError("it is cut off: its header ends early") from None


def _check_grid(header: TiffHeader, asset: Asset) -> None:
    expected = (asset.left, asset.top, PIXEL, -PIXEL)
    found = header.transform or (math.inf,) * 4
    if asset.grid and header.epsg:  # a file of UTM may be labelled with the other hemisphere
        plane, added = frame(f"EPSG:{header.epsg}")
        if plane != asset.grid:
            raise TiffError(f"its CRS is EPSG:{header.epsg}, its item says {asset.grid}")
        if abs(found[1] - added - asset.top) <= NEAR:
            found = (found[0], found[1] - added, *found[2:])
    if not is_near(found, expected) or (header.width, header.height) != (asset.width, asset.height):
        raise TiffError(
            f"it is another grid than its item: {header.width} x {header.height} pixels, "
            f"(left, top, width, height) {header.transform} instead of "
            f"{asset.width} x {asset.height}, {expected}"
        )


def _fetch_blocks(
    asset: Asset, address: str, version: Version, blocks: list[tiff.Block], reading: Reading
) -> dict[int, bytes]:
    access, is_here = reading.access, is_file(address)
    key = (access.s3.endpoint, address, version)
    # the system itself keeps the files that were read last
    kept = None if is_here else _state().kept_blocks(asset, reading)
    found: dict[int, bytes] = {}
    missing: list[tiff.Block] = []
    for block in blocks:
        data = None if kept is None else kept.get((*key, block.number))
        if data is not None:
            found[block.number] = data
        elif block.stop > block.start:
            missing.append(block)
    if missing:
        ranges = [(block.start, block.stop) for block in missing]
        fetched = read_ranges(address, ranges, access, version=version)
        for block, data in zip(missing, fetched, strict=True):
            found[block.number] = data
            if kept is not None:
                kept.put((*key, block.number), data)
    elif is_here:
        check_version(address, version)
    return found


def _forget(asset: Asset, address: str, reading: Reading) -> None:
    """Drops what is kept of a damaged file, so that a repaired one is read anew."""
    state, key = _state(), _header_key(address, reading)
    if reading.headers is not None:
        reading.headers.drop(asset.item_id, key)
    for kept in (state.headers, state.blocks, state.qa_blocks, state.spool):
        kept.drop(key)


def _header_size(packed: _Packed) -> int:
    return len(packed.record) + 500  # with its key


def _block_size(block: bytes) -> int:
    return len(block) + 200  # with its key


class _State:
    """Caches, locks and threads of one process."""

    def __init__(self) -> None:
        self.headers = Cache[_Packed](_setting(HEADER_CACHE, 192) * 2**20, _header_size)
        self.records = Shelf()
        blocks = _setting(BLOCK_CACHE, 96) * 2**20
        self.blocks = Cache[bytes](blocks // 4, _block_size)
        self.qa_blocks = Cache[bytes](blocks - blocks // 4, _block_size)
        self.spool = Spool(_setting(SPOOL, 8192) * 2**20)
        self._threads = _setting(THREADS, 0)
        self.pools: dict[int, ThreadPoolExecutor] = {}
        self._locks = [threading.Lock() for _ in range(1024)]

    def kept_blocks(self, asset: Asset, reading: Reading) -> Cache[bytes] | Spool:
        """Where an asset's blocks are kept.

        Those of QA_PIXEL are apart: a plot looks at them once more, when many others have passed.
        """
        if reading.keep_blocks:
            return self.spool
        return self.qa_blocks if asset.band == QA_BAND else self.blocks

    def at_a_time(self, reading: Reading) -> int:
        """Requests that are made at the same time."""
        return self._threads or reading.at_a_time

    def pool(self, reading: Reading) -> ThreadPoolExecutor:
        """Threads that make them."""
        size = self.at_a_time(reading)
        found = self.pools.get(size)
        return found or self.pools.setdefault(size, ThreadPoolExecutor(size, "timesync_xr"))

    def lock(self, address: str) -> threading.Lock:
        """A lock for an address; few other addresses share it."""
        return self._locks[hash(address) % len(self._locks)]


def observations_ahead(reading: Reading) -> int:
    """Observations to fetch ahead of the one that is worked on, for requests never to run short."""
    return math.ceil(1.5 * _state().at_a_time(reading) / len(BANDS))


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
        for pool in _state().pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        _state_of.cache_clear()
