"""The store of answers: a file of acts for each plot and interpreter, only ever appended to.

::

    answers/prj_P/plot_N/NAME.jsonl     the acts of an interpreter on a plot, a JSON line each
    answers/legends/DIGEST.json         the legends that answers were given under

A line counts once it ends. One that a crash cut off was never acknowledged; it stays in the file,
and the next line begins on its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import AccessError, InputError, ProjectError
from ..project.project import Project
from ..storage.access import scheme_of
from ..storage.folder import disk_error, inner_parts, put
from .answers import Act, Interpretation, check_act, in_order, interpret, name_problem
from .legend import Legend, legend_from, read_legend

ANSWERS: Final = "answers"
"""Folder of the answers in a project."""

LEGENDS: Final = f"{ANSWERS}/legends"
"""Folder of the legends that answers were given under."""

_ENDING = ".jsonl"


@dataclass
class _Known:
    """What was read of a log, and how long it then was."""

    size: int = 0
    acts: dict[str, Act] = field(default_factory=dict)


class Store:
    """The answers of a project on disk.

    Any number of threads and processes may write at the same time. `InputError` for a project in a
    bucket, which can't be appended to.
    """

    def __init__(self, project: Project) -> None:
        if scheme_of(project.place):
            raise InputError(
                f"{project.place} is in a bucket, to which nothing can be appended: interpret a "
                "copy on disk, and merge its answers where they are wanted"
            )
        self.root = Path(project.place)
        self._threads = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._legends: dict[tuple[str, int, int], Legend] = {}

    def acts(self, project: str, plot: str, who: str) -> list[Act]:
        """The acts of an interpreter on a plot, in their order; none where there is no log."""
        path = _path(project, plot, who)
        with self._threads:
            return in_order(self._read(path).acts.values())

    def append(self, acts: Iterable[object]) -> int:
        """Keep acts for good; those that are there already are left. The number of new ones.

        When this returns they are on the disk (``fsync``), each whole. `InputError` for what is no
        act, or has the id of another one, before anything is written; `AccessError` where the disk
        takes no more.
        """
        logs: dict[str, list[Act]] = {}
        for act in map(check_act, acts):
            path = _path(act["project"], act["plot"], act["who"])
            logs.setdefault(path, []).append(act)
        with self._lock():
            new = {path: self._unknown(path, listed) for path, listed in logs.items()}
            for path, listed in new.items():
                self._write(path, listed)
        return sum(map(len, new.values()))

    def keep_legend(self, legend: Legend) -> None:
        """Keep a legend by its digest, once."""
        path = f"{LEGENDS}/{legend.digest}.json"
        target = self._place(path)
        if target.is_file():
            return
        text = json.dumps(legend.to_json(), indent=1, ensure_ascii=False)
        part = target.with_name(f".{os.getpid()}-{threading.get_ident()}-{target.name}")
        try:
            _make_folder(target.parent)
            with part.open("wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            put(part, target)
            _sync_folder(target.parent)
        except OSError as error:
            raise disk_error(target, "written", error) from error

    def legends(self) -> dict[str, Legend]:
        """The legends that answers were given under, by their digests; V3's is always there.

        Files are read again only where they have changed, since every save asks.
        """
        kept = {one.digest: one for one in [read_legend()]}
        for path in sorted(self._place(LEGENDS).glob("[!.]*.json")):
            try:
                told = path.stat()
                seen = (path.name, told.st_size, told.st_mtime_ns)
                if seen not in self._legends:
                    legend = legend_from(json.loads(path.read_bytes()), str(path))
                    self._legends[seen] = legend
            except (ValueError, OSError) as error:
                raise ProjectError(f"{path} is damaged: put back a copy of it") from error
            kept[self._legends[seen].digest] = self._legends[seen]
        return kept

    def logs(self) -> Iterator[tuple[str, str, str]]:
        """Project, plot and interpreter of every log, in the order of their names."""
        for folder in sorted(self._place(ANSWERS).glob("prj_*/plot_*")):
            project, plot = folder.parent.name[4:], folder.name[5:]
            for path in sorted(folder.glob(f"*{_ENDING}")):
                who = path.name.removesuffix(_ENDING)
                if not name_problem(who):
                    yield project, plot, who

    def interpretations(self, who: Iterable[str] = ()) -> list[Interpretation]:
        """What all interpreters say, or some of them: one of each plot with vertices or texts."""
        names = set(who)
        made = [
            interpret(self.acts(*log), *log) for log in self.logs() if not names or log[2] in names
        ]
        return [one for one in made if one.vertices or one.texts or one.choices]

    def damaged(self) -> list[str]:
        """Lines that are no acts, though they end: what somebody else did to a log."""
        found = []
        for log in self.logs():
            path = self._place(_path(*log))
            for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
                if line and _parsed(line) is None:
                    found.append(f"{path}, line {number}: cut off or damaged, it is left out")
        return found

    def _unknown(self, path: str, listed: list[Act]) -> list[Act]:
        """The acts that a log lacks, each once."""
        known = dict(self._read(path).acts)
        new = []
        for act in listed:
            if (there := known.get(act["id"])) is None:
                known[act["id"]] = act
                new.append(act)
            elif there != act:
                raise InputError(
                    f"act {act['id']} of {act['who']} on plot {act['plot']} is there with another "
                    "content: one of the two was changed by hand; take the file as it was given"
                )
        return new

    def _read(self, path: str) -> _Known:
        """What a log holds; read again only where it has grown."""
        place, known = self._place(path), self._known.setdefault(path, _Known())
        try:
            size = place.stat().st_size
            if size == known.size:
                return known
            data = place.read_bytes()
        except FileNotFoundError:
            self._known[path] = _Known()
            return self._known[path]
        except OSError as error:
            raise disk_error(place, "read", error) from error
        *lines, _ = data.split(b"\n")
        parsed = (_parsed(line) for line in lines)
        acts = {act["id"]: act for act in parsed if act is not None and _path_of(act) == path}
        self._known[path] = _Known(len(data), acts)
        return self._known[path]

    def _write(self, path: str, acts: list[Act]) -> None:
        """Append acts to a log; on failure it is as long as before, as far as the disk allows."""
        if not acts:
            return
        place = self._place(path)
        data = "".join(line(act) for act in acts).encode()
        try:
            is_new = not place.exists()
            _make_folder(place.parent)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            handle = os.open(place, flags, 0o666)
            try:
                before = os.lseek(handle, 0, os.SEEK_END)
                if before:
                    os.lseek(handle, before - 1, os.SEEK_SET)
                    if os.read(handle, 1) != b"\n":
                        data = b"\n" + data  # a crash cut off the last line
                try:
                    _write_whole(handle, data)
                    os.fsync(handle)
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(handle, before)
                    raise
            finally:
                os.close(handle)
            if is_new:
                _sync_folder(place.parent)
        except OSError as error:
            self._known.pop(path, None)
            raise disk_error(place, "written", error) from error
        known = self._known.setdefault(path, _Known())
        known.acts.update((act["id"], act) for act in acts)
        known.size = before + len(data)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time, of all threads and processes."""
        from filelock import FileLock, Timeout

        lock = self._place(f"{ANSWERS}/lock")
        with self._threads:
            try:
                _make_folder(lock.parent)
                with FileLock(lock, timeout=30):
                    yield
            except Timeout:
                raise AccessError(f"{lock} is held by another program for 30 s: end it") from None
            except OSError as error:
                raise disk_error(lock, "written", error) from error

    def _place(self, path: str) -> Path:
        return Path(self.root, *inner_parts(path))


def line(value: Mapping[str, Any]) -> str:
    """A value as one line of JSON; the separators of lines in Unicode do not stand in it."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def _path(project: str, plot: str, who: str) -> str:
    return f"{ANSWERS}/prj_{project}/plot_{plot}/{who}{_ENDING}"


def _path_of(act: Act) -> str:
    return _path(act["project"], act["plot"], act["who"])


def _parsed(data: bytes) -> Act | None:
    try:
        return check_act(json.loads(data))
    except (ValueError, InputError, RecursionError):
        return None


def _write_whole(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _make_folder(folder: Path) -> None:
    """Make a folder, and be sure that its name is on the disk."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, on systems that can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
