"""Pixels of one asset: header and block caches, a pool of threads, and the reader of stackstac.

Native pixels are read by integer arithmetic: nothing is warped, and a file that does not sit
exactly on its tile is refused. All state (caches, threads) belongs to one process and is made when
first used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, NoReturn, Protocol

import numpy as np

from ..errors import AccessError, CorruptAssetError, InputError, MissingAssetError, ReadError
from ..landsat import FILL, PIXEL, QA_BAND, QA_FILL, TILE_SIZE
from ..storage.access import Access, clean, is_file
from ..storage.objects import read_ranges
from . import tiff
from .blocks import find_blocks, read_blocks
from .caches import Cache, Spool
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
    """One band of one STAC item: a raster, whose size the item tells."""

    item_id: str
    """Id of the STAC item."""
    band: str
    """Name of the band, one of `landsat.BANDS`."""
    href: str | None
    """Address as the catalog gives it; None where the item lacks the band."""
    left: int
    """Left edge of the raster in metres."""
    top: int
    """Upper edge of the raster in metres."""
    width: int = TILE_SIZE
    """Pixels from west to east."""
    height: int = TILE_SIZE
    """Pixels from north to south."""

    def __str__(self) -> str:
        return f"{self.item_id} {self.band}"

    @property
    def fill(self) -> int:
        """Value of pixels outside the tile: 1 for QA_PIXEL, else 0."""
        return QA_FILL if self.band == QA_BAND else FILL


_Loaded = tuple[TiffHeader, dict[int, bytes]]
"""The header of an asset and the compressed blocks that a window touches."""


def _window(spec: _Spec, assets: Sequence[Asset]) -> Window:
    """The pixels of a chip in the tile, whole numbers of them; it may reach out of it.

    ``spec`` is the grid of all assets of a record, one below the other.
    """
    left, _, _, top = (round(edge) for edge in spec.bounds)
    col, row = _pixels(left - assets[0].left), _pixels(assets[0].top - top)
    return Window(col, row, spec.shape[1], spec.shape[0] // len(assets))


def _pixels(metres: int) -> int:
    count, rest = divmod(metres, PIXEL)
    if rest:
        raise InputError(f"the window is {rest} m off the pixels of the tile: use a ChipGrid")
    return int(count)


def _inside(window: Window, asset: Asset) -> Window | None:
    """The part of a window that lies in an asset."""
    c0, r0 = max(window.col, 0), max(window.row, 0)
    c1 = min(window.col + window.width, asset.width)
    r1 = min(window.row + window.height, asset.height)
    return Window(c0, r0, c1 - c0, r1 - r0) if c0 < c1 and r0 < r1 else None


def _load(
    asset: Asset, address: str, window: Window, access: Access, later: Window | None
) -> _Loaded:
    """Fetches what a window inside the tile needs, see `RecordReader` for what is needed later."""
    with _errors_named(asset, access):
        return _fetch(address, asset, window, access, later)


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
        raise type(error)(str(asset), where, error.remedy) from error
    except AccessError as error:
        raise AccessError(f"{asset}: {error}") from error


def _fetch(
    address: str, asset: Asset, window: Window, access: Access, later: Window | None
) -> _Loaded:
    """Header and compressed blocks of a window. One thread at a time asks for one address."""
    state = _state()
    key = (access.s3.endpoint, address)
    with state.lock(address):
        header = state.headers.get(key)
        if header is None:
            header = _fetch_header(address, access)
            state.headers.put(key, header)
        _check_grid(header, asset)
        blocks = find_blocks(header, window)
        if later is not None:
            blocks = _joined(blocks, find_blocks(header, later))
        return header, _fetch_blocks(asset, address, blocks, access)


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
    found = (header.transform, header.width, header.height)
    if found != ((asset.left, asset.top, PIXEL, -PIXEL), asset.width, asset.height):
        raise TiffError(
            f"it is another grid than its tile: {header.width} x {header.height} pixels, "
            f"(left, top, width, height) {header.transform} instead of "
            f"{asset.width} x {asset.height}, {(asset.left, asset.top, PIXEL, -PIXEL)}"
        )


def _fetch_blocks(
    asset: Asset, address: str, blocks: list[tiff.Block], access: Access
) -> dict[int, bytes]:
    kept = _state().kept_blocks(asset, access)
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

    def kept_blocks(self, asset: Asset, access: Access) -> Cache[bytes] | Spool:
        """Where an asset's blocks are kept.

        Those of QA_PIXEL are apart: a plot looks at them once more, when many others have passed.
        """
        if access.keep_blocks:
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


class _Spec(Protocol):
    """What the reader uses of stackstac's ``RasterSpec``."""

    @property
    def bounds(self) -> tuple[float, float, float, float]: ...
    @property
    def shape(self) -> tuple[int, int]: ...


class RecordReader:
    """Reads a record for stackstac: its bands one below the other, each on the pixels of the chip.

    To stackstac a record is a single image, since what it does for each image takes longer than to
    read one. Pixels are read by integer arithmetic, without warping; those outside the tile are
    `Asset.fill`, and sparse blocks inside are what GDAL makes of them. stackstac makes the readers
    of a whole chunk before it reads the first. So each starts to fetch in the background when it
    is made, and the waiting times of all requests overlap; `read` only decodes. Files wait for
    nothing: they are read in `read`. Headers and compressed blocks are kept for the next chip.
    Bind ``access`` with `functools.partial`.
    """

    def __init__(
        self,
        *,
        url: Sequence[Asset],
        spec: _Spec,
        access: Access,
        later: _Spec | None = None,
        **_unused: object,
    ) -> None:
        """``url`` lists the assets, ``spec`` is the grid of all bands one below the other.

        ``later`` is the grid that the same assets will be read on if this one is not fill: blocks
        of it that lie beside come in the same request. stackstac's settings for GDAL do not apply.
        """
        self._assets, self._access = tuple(url), access
        self._window = _window(spec, url)
        self._later = None if later is None else _inside(_window(later, url), url[0])
        self._fetches = [self._fetch(asset) for asset in url]

    def _fetch(self, asset: Asset) -> Callable[[], _Loaded | None]:
        """A function that returns what was fetched; what is remote is on its way."""
        inside = _inside(self._window, asset)
        if inside is None:
            return lambda: None
        try:
            address = self._resolve(asset)
        except ReadError as error:
            return partial(_fail, error)  # `read` raises it
        if is_file(address):
            return partial(_load, asset, address, inside, self._access, None)
        return _state().pool.submit(_load, asset, address, inside, self._access, self._later).result

    def _resolve(self, asset: Asset) -> str:
        if asset.href is None:
            raise MissingAssetError(str(asset), "the item has no such band", "Leave the item out")
        with _errors_named(asset, self._access):
            return self._access.resolve(asset.href)

    def read(self, window: Any, **_unused: object) -> UInt16Array:
        """Pixels of a ``rasterio.windows.Window`` of the image, uint16; errors as `read_into`."""
        image: UInt16Array = np.empty(self._shape, np.uint16)
        self.read_into(image)
        part: UInt16Array = image[window.toslices()]
        return part

    def read_into(self, image: UInt16Array) -> None:
        """Put all pixels into an array of the image's shape (bands * rows, columns).

        Raises `ReadError` (`MissingAssetError`, `CorruptAssetError`, `TransientReadError`), which
        names the asset, or `AccessError`.
        """
        fetches, self._fetches = self._fetches, []  # what was fetched is not held any longer
        if not fetches:
            fetches = [self._fetch(asset) for asset in self._assets]
        bands = image.reshape(len(self._assets), self._window.height, self._window.width)
        for asset, fetch, out in zip(self._assets, fetches, bands, strict=True):
            _decode(asset, self._window, fetch(), self._access, out)

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._assets) * self._window.height, self._window.width

    def close(self) -> None:
        """Nothing is open between reads."""

    def __getstate__(self) -> tuple[tuple[Asset, ...], Window, Access]:
        return self._assets, self._window, self._access

    def __setstate__(self, state: tuple[tuple[Asset, ...], Window, Access]) -> None:
        self._assets, self._window, self._access = state
        self._later, self._fetches = None, []


def _fail(error: ReadError) -> NoReturn:
    raise error


def _decode(
    asset: Asset, window: Window, loaded: _Loaded | None, access: Access, out: UInt16Array
) -> None:
    """Put the pixels of a window into ``out``, from what was fetched for it."""
    inside = _inside(window, asset)
    if loaded is None or inside is None:
        out[...] = asset.fill
        return
    if inside[2:] != window[2:]:
        out[...] = asset.fill
        y, x = inside.row - window.row, inside.col - window.col
        out = out[y : y + inside.height, x : x + inside.width]
    with _errors_named(asset, access):
        read_blocks(loaded[0], inside, loaded[1], out)
