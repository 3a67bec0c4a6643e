"""A project folder in a bucket: as one on disk, with an object for a file.

A run holds its lock, an object that it renews while it writes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import AccessError, InputError, MissingAssetError, ProjectError, ReadError
from .access import S3, Access, clean
from .folder import LOCK, Folder, inner_parts
from .objects import request

if TYPE_CHECKING:
    from obstore.store import ObjectStore

BEAT: Final = 10.0
"""Seconds after which a run renews its lock."""

DEAD: Final = 4
"""Beats without a sign of life after which a lock is taken over."""


class Lock:
    """The lock of one run.

    It is made only where there is none (If-None-Match), and replaced only as it was last seen
    (If-Match). A lock whose process on this machine has ended, or that is not renewed for `DEAD`
    beats while it is watched, is taken over; clocks of machines are never compared.
    """

    def __init__(self, folder: RemoteFolder) -> None:
        self._folder, self._tag = folder, ""
        self._holder = {
            "run": str(uuid.uuid4()),
            "host": socket.gethostname(),
            "machine": _machine(),
            "pid": os.getpid(),
            "since": _now(),
        }
        self._stop = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, and renew it in the background.

        Raises `ProjectError` where another run is at work.
        """
        self._take()
        thread = threading.Thread(target=self._renew, name="timesync_xr lock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(1.0)  # it may be waiting for a server that does not answer
            self._release()

    def _take(self) -> None:
        """Get the lock, from a dead run if need be."""
        tag = self._put("create")
        while tag is None:
            found = self._read()
            if found is None:
                tag = self._put("create")
                continue
            holder, held = found
            if holder.get("run") == self._holder["run"]:  # it came through, its answer did not
                tag = held
            elif _has_ended(holder) or self._is_silent(held):
                tag = self._put({"e_tag": held})
            else:
                raise ProjectError(
                    f"another run is at work on {self._folder.root}, process "
                    f"{holder.get('pid', '?')} on {holder.get('host', '?')} since "
                    f"{holder.get('since', '?')}: wait for it, or stop it"
                )
        self._tag = tag

    def _is_silent(self, tag: str) -> bool:
        """Whether a lock is not renewed, or is gone, while it is watched."""
        for _ in range(2 * DEAD):
            time.sleep(BEAT / 2)
            found = self._read()
            if found is None or found[1] != tag:
                return found is None
        return True

    def _renew(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._tag = self._put({"e_tag": self._tag}) or self._tag_if_mine()
            except AccessError:
                continue  # the next beat may come through
            if not self._tag:
                self._folder.lost = True
                return

    def _release(self) -> None:
        try:
            if self._tag_if_mine():
                self._folder.remove(LOCK)
        except AccessError:
            return  # others take it over when it has been silent

    def _tag_if_mine(self) -> str:
        """The tag of the lock, "" where it is another's or gone."""
        found = self._read()
        return found[1] if found and found[0].get("run") == self._holder["run"] else ""

    def _put(self, mode: Any) -> str | None:
        data = json.dumps({**self._holder, "renewed": _now()}).encode()
        return self._folder.put(LOCK, data, mode)

    def _read(self) -> tuple[dict[str, Any], str] | None:
        """Who holds the lock, and its tag; None where there is none."""
        try:
            data, tag = self._folder.read_tagged(LOCK)
        except FileNotFoundError:
            return None
        try:
            holder = json.loads(data)
        except ValueError:
            holder = None
        return holder if isinstance(holder, dict) else {}, tag


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _machine() -> str:
    """Name of this machine, and of the space in which its process ids hold."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux: one space per machine
        return socket.gethostname()


def _has_ended(holder: dict[str, Any]) -> bool:
    """Whether the holder is a process of this machine that is no more."""
    if holder.get("machine") != _machine() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


T = TypeVar("T")

_WRITES: Final = 32
"""Objects that are written at the same time."""

_PAGE: Final = 1000
"""Names that a bucket lists at once."""


class RemoteFolder(Folder):
    """A project folder at an address like ``s3://bucket/prefix``.

    Every object is put in place by one request, so it is there whole or not at all. Requests that
    fail in passing are repeated; where they keep failing, the output is out of reach for all
    plots, so that the error is an `AccessError`. Every method is safe for threads.
    """

    def __init__(self, root: str, s3: S3) -> None:
        super().__init__(root.rstrip("/"))
        self.s3 = s3
        self.lost = False
        """Whether the lock was lost to another run, after which nothing more is written."""
        if not self.root.partition("://")[2]:
            raise InputError(f"{root} names no bucket: give s3://bucket/prefix")

    def __reduce__(self) -> tuple[type[Folder], tuple[object, ...]]:
        return RemoteFolder, (self.root, self.s3)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the project, on whatever machine they are; see `Lock`."""
        with Lock(self).held():
            yield

    def write(self, path: str, data: bytes) -> None:
        """Put an object in place: it appears under its name with all its bytes, or not at all."""
        if self.lost:
            raise ProjectError(
                f"another run has taken over {self.root} while this one could not reach it: "
                "wait for it, then run again"
            )
        self.put(path, data)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put objects in place, many at the same time, each as `write` does."""
        threads = ThreadPoolExecutor(_WRITES)
        try:
            for written in [threads.submit(self.write, *file) for file in files]:
                written.result()
        finally:
            threads.shutdown(cancel_futures=True)

    def put(self, path: str, data: bytes, mode: Any = "overwrite") -> str | None:
        """Put an object in place, whoever has the lock; return its tag.

        ``mode`` as for obstore: ``"create"`` or a tag to replace; None where that was refused.
        """
        from obstore import put
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def call(store: ObjectStore, key: str) -> str | None:
            try:
                return put(store, key, data, mode=mode, use_multipart=False)["e_tag"] or ""
            except (AlreadyExistsError, PreconditionError):
                return None

        return self._request(call, path)

    def read(self, path: str) -> bytes:
        """The bytes of an object; ``FileNotFoundError`` where there is none."""
        return self.read_tagged(path)[0]

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """The bytes of an object and its tag; ``FileNotFoundError`` where there is none."""
        from obstore import get

        def call(store: ObjectStore, key: str) -> tuple[bytes, str]:
            found = get(store, key)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

        return self._request(call, path)

    def names(self, path: str) -> set[str]:
        """Names of what lies directly below a prefix; empty where nothing does."""
        from obstore import list_with_delimiter

        def call(store: ObjectStore, key: str) -> set[str]:
            found = list_with_delimiter(store, key)
            paths = [*found["common_prefixes"], *(o["path"] for o in found["objects"])]
            # a server may list the prefix itself
            return {path[len(key) + 1 :] for path in paths if path.startswith(f"{key}/")}

        return self._request(call, path)

    def present(self, paths: Iterable[str]) -> set[str]:
        """Those of some objects that are there, by a listing of each folder between them."""
        folders: dict[str, list[str]] = {}
        for path in paths:
            folders.setdefault(path.rpartition("/")[0], []).append(path)
        return {path for group in folders.values() for path in self._present(group)}

    def _present(self, paths: list[str]) -> set[str]:
        """Those of some objects of one folder that are there: lists from the first to the last."""
        from obstore import list as list_objects

        folder = paths[0].rpartition("/")[0]
        first, last = min(paths), max(paths)

        def call(store: ObjectStore, key: str) -> set[str]:
            there: set[str] = set()
            root = key.removesuffix(folder)
            for page in list_objects(store, key, offset=(root + first)[:-1], chunk_size=_PAGE):
                there |= {entry["path"].removeprefix(root) for entry in page}
                if page[-1]["path"] >= root + last:
                    break
            return there

        return self._request(call, folder).intersection(paths)

    def remove(self, path: str) -> None:
        """Remove an object if it is there."""
        from obstore import delete

        try:
            self._request(delete, path)
        except FileNotFoundError:
            return

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder of this machine, from which `place` uploads trees."""
        with TemporaryDirectory(prefix="timesync_xr-") as path:
            yield Path(path)

    @contextmanager
    def tree(self, path: str, mark: str) -> Iterator[Path | None]:
        """A copy of the objects below a prefix; None if its ``mark`` is absent."""
        if not self.present([f"{path}/{mark}"]):
            yield None
            return
        with self.scratch() as copy:
            for name in self._below(path):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_bytes(self.read(f"{path}/{name}"))
            yield copy

    def place(self, tree: Path, path: str, mark: str) -> None:
        """Upload a tree in place of what is there, its ``mark`` last."""
        names = {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()}
        self.remove(f"{path}/{mark}")
        for name in self._below(path) - names:
            self.remove(f"{path}/{name}")
        for name in sorted(names, key=lambda name: (name == mark, name)):
            self.write(f"{path}/{name}", (tree / name).read_bytes())

    def remove_tree(self, path: str, mark: str) -> None:
        """Remove all objects below a prefix, its ``mark`` first."""
        self.remove(f"{path}/{mark}")
        for name in self._below(path):
            self.remove(f"{path}/{name}")

    def _below(self, path: str) -> set[str]:
        """Names of all objects below a prefix."""
        from obstore import list as list_objects

        def call(store: ObjectStore, key: str) -> set[str]:
            found = (entry for page in list_objects(store, key) for entry in page)
            return {entry["path"].removeprefix(f"{key}/") for entry in found}

        return self._request(call, path)

    def clear_temporary(self) -> None:
        """Nothing is ever half-written here."""

    def _request(self, call: Callable[[ObjectStore, str], T], path: str) -> T:
        address = f"{self.root}/{'/'.join(inner_parts(path))}"
        try:
            return request(call, address, Access(s3=self.s3))
        except MissingAssetError:
            raise FileNotFoundError(clean(address)) from None
        except ReadError as error:
            raise AccessError(f"the output fails: {error}", kind=error.kind) from None
