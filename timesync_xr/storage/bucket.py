"""A project folder in a bucket: as one on disk, with an object for a file.

A run holds its lock, an object that it renews while it writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import AccessError, InputError, MissingAssetError, ProjectError, ReadError
from .access import S3, Access, clean, is_authority
from .folder import LOCK, Folder, inner_parts
from .objects import request

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ObjectStore

BEAT: Final = 10.0
"""Seconds after which a run renews its lock."""

DEAD: Final = 4
"""Beats without a sign of life after which a lock is taken over."""

FRESH: Final = 2
"""Beats for which a process writes that has seen the lock of its run; then it looks again."""

_MD5: Final = re.compile(r'"?[0-9A-Fa-f]{32}"?')

_LAST_WORD: Final = 5.0
"""Seconds for which a request may last that tidies up at the end of a run."""


class Lease:
    """What a process knows of the lock of its run: whether it may write."""

    def __init__(self, run: str) -> None:
        self.run = run
        """The run."""
        self.seen = -math.inf
        """When a look at the lock began that found it to be the run's, by `_clock`."""
        self.lost = False
        """Whether another run has the lock by now, after which nothing more is written."""
        self.guard = threading.Lock()
        """Held by who looks."""


_leases: Final[dict[tuple[str, str], Lease]] = {}
"""Leases of this process, by the folder and the run: a worker gets the folder with each plot."""


class Lock:
    """The lock of one run.

    It is made only where there is none (If-None-Match), and replaced only as it was last seen
    (If-Match). A lock whose process on this machine has ended, or that is not renewed for `DEAD`
    beats while it is watched, is taken over; clocks of machines are never compared.

    Every process of a run looks at the lock before it writes, unless it saw it within the last
    `FRESH` beats; each try of a request counts. Who takes a silent lock over waits for as long, and
    for as long as a request lasts: what the other run had begun has come through or failed by then.
    """

    def __init__(self, folder: RemoteFolder) -> None:
        self._folder, self._tag, self._wait = folder, "", 0.0
        self._lease = Lease(str(uuid.uuid4()))
        self._holder = {
            "run": self._lease.run,
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
            time.sleep(self._wait)
            self._folder.lease = self._lease
            yield
        finally:
            self._folder.lease = None
            self._stop.set()
            thread.join(1.0)  # it may be waiting for a server that does not answer
            self._release()

    def _take(self) -> None:
        """Get the lock, from a dead run if need be."""
        self._lease.seen = _clock()
        tag = self._put("create")
        while tag is None:
            found = self._read()
            self._lease.seen = _clock()
            if found is None:
                tag = self._put("create")
                continue
            holder, held = found
            if holder.get("run") == self._holder["run"]:  # it came through, its answer did not
                tag = held
            elif (ended := _has_ended(holder)) or self._is_silent(held):
                tag = self._put({"e_tag": held})
                alone = ended and not holder.get("workers")
                self._wait = 0.0 if alone else _seconds(holder.get("lease"))
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
        way = replace(self._folder.s3, max_retries=1, retry_seconds=BEAT)
        while not self._stop.wait(BEAT):
            began = _clock()
            try:
                self._tag = self._put({"e_tag": self._tag}, way) or self._tag_if_mine(way)
            except AccessError:
                continue  # the next beat may come through
            if not self._tag:
                self._lease.lost = True
                return
            self._lease.seen = began

    def _release(self) -> None:
        """Remove the lock. Where that does not work, others take it when it has been silent."""
        way = replace(self._folder.s3, max_retries=0, timeout_seconds=_LAST_WORD)
        with suppress(AccessError):
            if self._tag_if_mine(way):
                self._folder.remove_lock(way)

    def _tag_if_mine(self, way: S3) -> str:
        """The tag of the lock, "" where it is another's or gone."""
        found = self._read(way)
        return found[1] if found and found[0].get("run") == self._holder["run"] else ""

    def _put(self, mode: Any, way: S3 | None = None) -> str | None:
        told = {
            "renewed": _now(),
            "workers": self._folder.was_sent,
            "lease": FRESH * BEAT + self._folder.s3.timeout_seconds,
        }
        return self._folder.put(LOCK, json.dumps({**self._holder, **told}).encode(), mode, way)

    def _read(self, way: S3 | None = None) -> tuple[dict[str, Any], str] | None:
        """Who holds the lock, and its tag; None where there is none."""
        try:
            data, tag = self._folder.read_tagged(LOCK, way)
        except FileNotFoundError:
            return None
        return _holder(data), tag


def _holder(data: bytes) -> dict[str, Any]:
    """What a lock says of who holds it; nothing where it is damaged."""
    try:
        holder = json.loads(data)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _seconds(told: object) -> float:
    """For how long another run may still write, as its lock says."""
    return min(max(0.0, float(told)), _LONGEST) if isinstance(told, int | float) else 0.0


_LONGEST: Final = 600.0


def _clock() -> float:
    """Seconds that never run backwards, and go on while the machine sleeps.

    The monotonic clock of Python stands still then, while another run may take over the lock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _machine() -> str:
    """Name of this machine since it was started, and of the space in which process ids hold."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux: one space per machine, told by its network card
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _has_ended(holder: dict[str, Any]) -> bool:
    """Whether the holder is a process of this machine that is no more."""
    if holder.get("machine") != _machine() or not isinstance(holder.get("pid"), int):
        return False
    if sys.platform == "win32":  # where this is Ctrl-C for the other program, not a question
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

_LARGEST: Final = 2**30
"""Bytes that an object of a project has at most."""

_REPLACED: Final = "ledger"
"""The folder whose objects may be replaced only as they were read."""

_PAGE: Final = 1000
"""Names that a bucket lists at once."""


class RemoteFolder(Folder):
    """A project folder at an address like ``s3://bucket/prefix``.

    Every object is put in place by one request, so it is there whole or not at all. Requests that
    fail in passing are repeated; where they keep failing, the output is out of reach for all
    plots, so that the error is an `AccessError`. Every method is safe for threads.
    """

    def __init__(self, root: str, s3: S3, run: str = "") -> None:
        super().__init__(root.rstrip("/"))
        self.s3 = s3
        self.lease: Lease | None = None
        """That of the run which writes here; None where no lock is needed."""
        self.was_sent = False
        """Whether other processes write here, too."""
        self._tags: dict[str, str | None] = {}
        bucket = self.root.partition("://")[2].partition("/")[0]
        if not (is_authority(bucket) and bucket.isascii()):
            raise InputError(f"{root} names no bucket: give s3://bucket/prefix")
        if run:
            self.lease = _leases.setdefault((self.root, run), Lease(run))

    def __reduce__(self) -> tuple[type[Folder], tuple[object, ...]]:
        self.was_sent = self.was_sent or self.lease is not None
        return RemoteFolder, (self.root, self.s3, self.lease.run if self.lease else "")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the project, on whatever machine they are; see `Lock`."""
        with Lock(self).held():
            yield

    def write(self, path: str, data: bytes) -> None:
        """Put an object in place: it appears under its name with all its bytes, or not at all."""
        self._change(_putting(data, "overwrite"), path)

    def replace(self, path: str, data: bytes) -> bool:
        """Put an object in place where it is as it was last read or replaced here."""
        seen = self._tags.get(path)
        put = _putting(data, {"e_tag": seen} if seen else "create")
        tag = self._change(put, path)
        if tag is None:  # another's, or its own of which the answer was lost
            found, tag = self.read_tagged(path)
            if found != data:
                return False
        self._tags[path] = tag
        return True

    def _change(self, call: Callable[[ObjectStore, str], T], path: str) -> T:
        """What a request gives that changes something, while the lock is this run's."""
        return self._request(call, path, self.s3, self._hold if self.lease else lambda: None)

    def _hold(self) -> None:
        """`ProjectError` unless this run has the lock, as was seen not long ago."""
        lease = self.lease
        if lease is None:
            return
        with lease.guard:
            while not lease.lost and _clock() - lease.seen > FRESH * BEAT:
                lease.seen = self._look(lease)
        if lease.lost:
            raise ProjectError(
                f"another run has taken over {self.root} while this one could not reach it: "
                "wait for it, then run again"
            )

    def _look(self, lease: Lease) -> float:
        """See whose the lock is; return when the try that saw it began."""
        began = [0.0]

        def begin() -> None:
            began[0] = _clock()

        def call(store: ObjectStore, key: str) -> bytes:
            return whole_object(store, key)[0]

        try:
            holder = _holder(self._request(call, LOCK, self.s3, begin))
        except FileNotFoundError:
            holder = {}
        lease.lost = holder.get("run") != lease.run
        return began[0]

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put objects in place, many at the same time, each as `write` does."""
        threads = ThreadPoolExecutor(_WRITES)
        try:
            for written in [threads.submit(self.write, *file) for file in files]:
                written.result()
        finally:
            threads.shutdown(cancel_futures=True)

    def put(self, path: str, data: bytes, mode: Any, way: S3 | None = None) -> str | None:
        """Put an object in place, whoever has the lock; return its tag.

        ``mode`` as for obstore: ``"create"`` or a tag to replace; None where that was refused.
        ``way`` is how patiently the bucket is reached.
        """
        return self._request(_putting(data, mode), path, way)

    def read(self, path: str) -> bytes:
        """The bytes of an object; ``FileNotFoundError`` where there is none."""
        data, tag = self.read_tagged(path)
        if path.rpartition("/")[0] == _REPLACED:
            self._tags[path] = tag
        return data

    def read_tagged(self, path: str, way: S3 | None = None) -> tuple[bytes, str]:
        """The bytes of an object and its tag; ``FileNotFoundError`` where there is none."""
        return self._request(whole_object, path, way)

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

        with suppress(FileNotFoundError):
            self._change(delete, path)

    def remove_lock(self, way: S3) -> None:
        """Remove the lock of this run."""
        from obstore import delete

        with suppress(FileNotFoundError):
            self._request(delete, LOCK, way)

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
                target = copy.joinpath(*inner_parts(name))  # names of others, as all in a bucket
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.read(f"{path}/{name}"))
            yield copy

    def place(self, tree: Path, path: str, mark: str) -> None:
        """Upload a tree in place of what is there, its ``mark`` last."""
        names = {p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file()}
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

    def _request(
        self,
        call: Callable[[ObjectStore, str], T],
        path: str,
        way: S3 | None = None,
        before: Callable[[], object] | None = None,
    ) -> T:
        address = f"{self.root}/{'/'.join(inner_parts(path))}"
        try:
            return request(call, address, Access(s3=way or self.s3), before)
        except MissingAssetError:
            raise FileNotFoundError(clean(address)) from None
        except ReadError as error:
            raise AccessError(f"the output fails: {error}", kind=error.kind) from None


def _putting(data: bytes, mode: Any) -> Callable[[ObjectStore, str], str | None]:
    """Puts an object in place; gives its tag, None where the ``mode`` is not met."""
    from obstore import put
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    def call(store: ObjectStore, key: str) -> str | None:
        try:
            return put(store, key, data, mode=mode, use_multipart=False)["e_tag"] or ""
        except (AlreadyExistsError, PreconditionError):
            return None

    return call


def whole_object(store: ObjectStore, key: str) -> tuple[bytes, str]:
    """The bytes of an object and its tag.

    Most tags are the MD5 of the bytes, and tell an answer that was cut short although its headers
    say that it is whole: such a one is asked for again. A tag that is none tells the same twice.
    """
    from obstore import get

    found = _all_of(get(store, key), key)
    for _ in range(2):
        data, tag = found
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if not _MD5.fullmatch(tag) or digest in tag.lower():
            break
        found = _all_of(get(store, key), key)
        if found == (data, tag):
            break
    return found


def _all_of(found: GetResult, key: str) -> tuple[bytes, str]:
    """The bytes of an object, as many as it says to have, and its tag."""
    size = found.meta["size"]
    if size > _LARGEST:
        raise AccessError(f"{key} has {size} bytes: no file of a project is so large. Remove it")
    return bytes(next(found.stream(size + 1), b""))[: size + 1], found.meta["e_tag"] or ""
