"""The lock of a project in a bucket: an object that a run holds and renews while it writes."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from .errors import AccessError, ProjectError
from .folder import LOCK

if TYPE_CHECKING:
    from .remote import RemoteFolder

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
