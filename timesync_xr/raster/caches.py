"""What was read and is wanted again: values in memory, and bytes in a file without a name."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

_SHARE = 4
"""At most one part in this many of the disk's free space is taken."""

Key = tuple[Any, ...]

T = TypeVar("T")


class Cache(Generic[T]):
    """The values used last, up to a number of bytes. Safe for threads."""

    def __init__(self, limit: int, size_of: Callable[[T], int]) -> None:
        self._limit, self._size, self._size_of = limit, 0, size_of
        self._values: OrderedDict[Key, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> T | None:
        """The value of a key, None if it is not here."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: T) -> None:
        """Keep a value; those not used for longest make room."""
        size = self._size_of(value)
        with self._lock:
            self._remove(key)
            self._values[key] = (value, size)
            self._size += size
            while self._size > self._limit:
                self._remove(next(iter(self._values)))

    def drop(self, start: Key) -> None:
        """Removes all values whose key starts so."""
        with self._lock:
            for key in [key for key in self._values if key[: len(start)] == start]:
                self._remove(key)

    def _remove(self, key: Key) -> None:
        found = self._values.pop(key, None)
        self._size -= found[1] if found else 0


class Shelf:
    """Bytes that are kept for long, beside each other. Safe for threads.

    Each by itself among what comes and goes would keep the memory around it from ever being given
    to what is larger.
    """

    def __init__(self, size: int = 2**20) -> None:
        self._size, self._at = size, size
        self._memory = bytearray()
        self._lock = threading.Lock()

    def put(self, data: bytes) -> memoryview:
        """The same bytes, on the shelf."""
        with self._lock:
            if self._at + len(data) > len(self._memory):
                self._memory, self._at = bytearray(max(self._size, len(data))), 0
            start, self._at = self._at, self._at + len(data)
            self._memory[start : self._at] = data
            return memoryview(self._memory)[start : self._at]


class Spool:
    """The values put last, up to a number of bytes, on disk. Safe for threads.

    The file lies in the folder for temporary files (``TMPDIR``), is made with the first value and
    is gone with the process, however that ends. Where the disk has no space nothing is kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._next = limit, 0
        self._places: dict[Key, tuple[int, int]] = {}
        self._file: int | None = None
        self._lock = threading.Lock()

    def get(self, key: Key) -> bytes | None:
        """The bytes of a key, None if they are not here."""
        with self._lock:
            place = self._places.get(key)
            if place is None or self._file is None:
                return None
            return os.pread(self._file, place[1], place[0])

    def put(self, key: Key, data: bytes) -> None:
        """Keep bytes; the oldest make room."""
        with self._lock:
            self._places.pop(key, None)
            try:
                if self._file is None:
                    self._open()
                if self._file is None or not 0 < len(data) <= self._limit:
                    return
                start = self._make_room(len(data))
                if os.pwrite(self._file, data, start) < len(data):
                    return
            except OSError:
                self._limit = 0
                self._places.clear()
            else:
                self._places[key] = (start, len(data))

    def drop(self, start: Key) -> None:
        """Forget all values whose key starts so."""
        with self._lock:
            for key in [key for key in self._places if key[: len(start)] == start]:
                del self._places[key]

    def _open(self) -> None:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        self._limit = min(self._limit, free // _SHARE)
        if self._limit:
            self._file, name = tempfile.mkstemp(prefix="timesync_xr-")
            weakref.finalize(self, os.close, self._file)
            os.unlink(name)

    def _make_room(self, size: int) -> int:
        """Where to write: after the last value, or from the start again; what was there goes."""
        if self._next + size > self._limit:
            self._forget(self._next, self._limit)
            self._next = 0
        start, self._next = self._next, self._next + size
        self._forget(start, self._next)
        return start

    def _forget(self, start: int, stop: int) -> None:
        """Forget what lies between two positions: the oldest values, which are the first ones."""
        while self._places:
            key = next(iter(self._places))
            at, size = self._places[key]
            if at >= stop or at + size <= start:
                return
            del self._places[key]
