"""The only door to the bytes of assets: parts of one object, from disk, from S3 or over HTTP.

What address may be read is settled before, by `timesync_xr.access.Access`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .access import Access, clean, is_file
from .errors import CorruptAssetError, MissingAssetError, ReadError, TransientReadError
from .failures import LATER, MISSING, REPLACE
from .service import request

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Range = tuple[int, int]
"""Bytes of an object: the first, and the one after the last."""


def read_ranges(
    address: str, ranges: Sequence[Range], access: Access, *, allow_short: bool = False
) -> list[bytes]:
    """Bytes of one object, one ``bytes`` per (start, stop) of ``ranges``.

    ``address`` is what `Access.resolve` gave. Ranges that touch or nearly touch are fetched in one
    request; what is fetched is at most 1.1 times what was asked for. No request but GET is made.
    With ``allow_short`` an object that ends early gives fewer bytes, else that is an error.

    Raises `MissingAssetError`, `CorruptAssetError`, `TransientReadError` (after the retries), each
    naming the address, or `AccessError` where nothing else can be read either.
    """
    if is_file(address):
        found = _read_file(address, ranges)
    else:
        found = _read_remote(address, ranges, access, allow_short)
    short = [r for r, data in zip(ranges, found, strict=True) if len(data) != r[1] - r[0]]
    if short and not allow_short:
        raise CorruptAssetError(clean(address), f"it ends before byte {short[0][1]}", REPLACE)
    return found


def _read_file(path: str, ranges: Sequence[Range]) -> list[bytes]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return [os.pread(file, stop - start, start) for start, stop in ranges]
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingAssetError(path, "there is no such file", MISSING) from None
    except IsADirectoryError:
        raise CorruptAssetError(path, "it is a folder", "Replace it by the file") from None
    except PermissionError:
        raise ReadError(path, "it may not be read", "Change the file's permissions") from None
    except OSError as error:
        raise TransientReadError(path, f"reading failed: {error.strerror}", LATER) from None


_SHORT_TRIES: Final = 2
"""Tries after the first one for a body that is shorter than asked for: most often the object is."""


def _read_remote(
    address: str, ranges: Sequence[Range], access: Access, allow_short: bool
) -> list[bytes]:
    def get(store: ObjectStore, path: str) -> list[bytes]:
        return _get(store, path, ranges, allow_short)

    found = request(get, address, access)
    for _ in range(_SHORT_TRIES):
        if allow_short or _is_whole(found, ranges):
            break
        time.sleep(0.1)
        found = request(get, address, access)
    return found


def _is_whole(found: Sequence[bytes], ranges: Sequence[Range]) -> bool:
    return all(len(data) == stop - start for data, (start, stop) in zip(found, ranges, strict=True))


def _get(store: ObjectStore, path: str, ranges: Sequence[Range], allow_short: bool) -> list[bytes]:
    from obstore import get_range, get_ranges

    if allow_short:
        return [bytes(get_range(store, path, start=a, end=b)) for a, b in ranges]
    starts, ends = [a for a, _ in ranges], [b for _, b in ranges]
    wanted = sum(ends) - sum(starts)
    gap = wanted // (10 * max(1, len(ranges) - 1))
    return [bytes(r) for r in get_ranges(store, path, starts=starts, ends=ends, coalesce=gap)]
