"""The project folder on disk: files are put in place whole or not at all.

Paths are relative to the folder, with ``/`` between their parts. `timesync_xr.storage.places` opens
one on disk or, as `timesync_xr.storage.bucket.RemoteFolder`, in a bucket.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Final

from ..errors import AccessError, DamagedError, InputError, Kind, ProjectError, check_path

_TEMPORARY = "ledger/tmp"
"""Where files are written before they get their name; on the same disk, so that the move is one
step. What a killed run leaves there is removed by the next."""

_LEDGER = "ledger/"
"""How the paths of files begin that vouch for others."""

_OWNED = "owned"
"""The file in a scratch folder that says that no later run has cleared it."""

_WAITS: Final = (0.01, 0.05, 0.2, 0.5, 1.0)
"""Seconds to wait for who reads a file that is to be replaced, one after the other."""

_WAITS_FOR_READERS: Final = sys.platform == "win32"
"""Whether a file can't be replaced while it is open, as on Windows."""


def put(part: str | Path, target: str | Path) -> None:
    """Give a file or folder its name, in place of the file that has it.

    Where that can't be while someone reads it, this is tried again for some moments.
    """
    for wait in _WAITS if _WAITS_FOR_READERS else ():
        try:
            os.replace(part, target)
        except PermissionError:
            time.sleep(wait)
        else:
            return
    os.replace(part, target)


READ: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)
"""How a file is opened to be read: without waiting where it is a pipe. Windows has other flags."""

LOCK = "ledger/lock"
"""The file that a run holds while it writes."""


class Folder:
    """A project folder on disk."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        self._root = Path(root)
        self._temporary = self._path(_TEMPORARY)
        self._made: set[Path] = set()
        self._unsettled = False

    def __reduce__(self) -> tuple[type[Folder], tuple[object, ...]]:
        return Folder, (os.path.abspath(self.root),)  # workers may be at work in other folders

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the project; a dead run's lock is no lock.

        A run that ends before it has kept anything leaves nothing, not even the folder it made.
        `ProjectError` where another run is at work, `AccessError` where nothing can be written.
        """
        from filelock import FileLock, Timeout

        path = self._path(LOCK)
        held = FileLock(path, timeout=0)
        made = missing_folders(path.parent)
        try:
            self._make(path.parent)
            held.acquire()
        except Timeout:
            raise ProjectError(
                f"another run is at work on {self.root}: wait for it, or stop it"
            ) from None
        except OSError as error:
            raise disk_error(path, "written", error) from error
        try:
            yield
        finally:
            if self.names("ledger") == {path.name}:
                with suppress(OSError):
                    path.unlink()
                self._made.discard(path.parent)
                remove_empty(made or [path.parent])
            held.release()

    def write(self, path: str, data: bytes) -> None:
        """Put a file in place: it appears under its name with all its bytes, or not at all.

        What lies in the ledger vouches for other files. So it is written when these are on the
        disk, and is there itself when this returns: also where the power fails at any moment.
        """
        target, temporary = self._path(path), self._temporary
        part = f"{temporary}/{token_hex(16)}"  # many machines may share the folder
        vouches = path.startswith(_LEDGER)
        try:
            if vouches:
                self._settle()
            self._make(temporary)
            self._make(target.parent)
            with open(part, "wb") as file:  # pathlib's own takes twice as long
                file.write(data)
                if vouches:
                    file.flush()
                    os.fsync(file.fileno())
            put(part, target)
            if vouches:
                sync(target.parent, os.fsync)
        except OSError as error:
            raise disk_error(target, "written", error) from error
        if not vouches:
            self._unsettled = True

    def others_wrote(self) -> None:
        """Other processes have put files in place: they are to be on the disk, too, see `write`."""
        self._unsettled = True

    def _settle(self) -> None:
        """Have all that was written here reach the disk."""
        if self._unsettled:
            self._unsettled = False
            sync(Path(self.root))

    def replace(self, path: str, data: bytes) -> bool:
        """Put a file in place as it was read; False where another run has replaced it meanwhile.

        On disk that can't be: the system itself frees and keeps the lock.
        """
        self.write(path, data)
        return True

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put files in place, each as `write` does."""
        for path, data in files:
            self.write(path, data)

    def read(self, path: str) -> bytes:
        """The bytes of a file; ``FileNotFoundError`` where there is none."""
        try:
            return _read_file(self._path(path))
        except FileNotFoundError:
            raise
        except NotADirectoryError as error:
            raise FileNotFoundError(*error.args) from None
        except OSError as error:
            raise disk_error(self._path(path), "read", error) from error

    def names(self, path: str) -> set[str]:
        """Names of what lies directly in a folder; empty where the folder does not exist."""
        try:
            return set(os.listdir(self._path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise disk_error(self._path(path), "read", error) from error

    def present(self, paths: Iterable[str]) -> set[str]:
        """Those of some files that are there."""
        return {path for path in paths if self._path(path).is_file()}

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        try:
            self._path(path).unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(self._path(path), "removed", error) from error

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder of this machine, from which `place` moves trees."""
        path = self._temporary / token_hex(16)
        try:
            path.mkdir(parents=True)
            (path / _OWNED).touch()
            yield path
        except OSError as error:
            raise disk_error(path, "written", error) from error
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def tree(self, path: str, mark: str) -> Iterator[Path | None]:
        """A tree of files as a folder of this machine, to read; None if its ``mark`` is absent."""
        yield self._path(path) if self._path(f"{path}/{mark}").is_file() else None

    def place(self, tree: Path, path: str, mark: str) -> None:
        """Put a tree from `scratch` in place of what is there: with its ``mark`` it is whole.

        `ProjectError` where another run has cleared the scratch folder, maybe while it was filled.
        """
        target = self._path(path)
        if tree.is_relative_to(self._temporary) and not (tree.parent / _OWNED).is_file():
            raise ProjectError(f"another run took over {self.root} while {path} was made")
        self.remove_tree(path, mark)
        try:
            self._make(target.parent)
            put(tree, target)
            self._unsettled = True
        except OSError as error:
            raise disk_error(target, "written", error) from error

    def remove_tree(self, path: str, mark: str) -> None:
        """Remove a tree, its ``mark`` first."""
        self.remove(f"{path}/{mark}")
        shutil.rmtree(self._path(path), ignore_errors=True)

    def clear_temporary(self) -> None:
        """Remove what a killed run left half-written.

        Workers of a cluster may still be at it: they have to see that before a file is gone.
        """
        for owned in self._temporary.glob(f"*/{_OWNED}"):
            owned.unlink(missing_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._made.clear()

    def _make(self, folder: Path) -> None:
        if folder not in self._made:
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)

    def _path(self, path: str) -> Path:
        return self._root.joinpath(*inner_parts(path))


def missing_folders(folder: Path) -> list[Path]:
    """Those of a folder and its parents that are not there, the innermost first."""
    return [*takewhile(lambda place: not place.exists(), (folder, *folder.parents))]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, up to one that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def read_file(folder: Folder, path: str) -> bytes:
    """The bytes of a file of a project; `DamagedError` where the disk can't read this one.

    ``FileNotFoundError`` where there is none, `AccessError` where a bucket fails.
    """
    try:
        return folder.read(path)
    except AccessError as error:
        if isinstance(error.__cause__, OSError):
            raise DamagedError(f"it can't be read ({error.__cause__.strerror})") from error
        raise


def _read_file(path: Path) -> bytes:
    """The bytes of a file; a pipe or device, to which a link may lead, has no end."""
    with os.fdopen(os.open(path, READ), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read()


def sync(folder: Path, how: Callable[[int], object] | None = None) -> None:
    """Have all of the file system that a folder lies on reach the disk, or what ``how`` does."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows writes folders by itself
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (how or _sync_file_system)(opened)
    finally:
        os.close(opened)


def _sync_file_system(opened: int) -> None:
    """By Linux's syncfs, one call whatever was written; by POSIX's sync where there is none."""
    syncfs = _syncfs()
    if syncfs is None:
        os.sync()
    elif syncfs(opened):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _syncfs() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def inner_parts(path: str) -> tuple[str, ...]:
    """Parts of a path below the project folder; `InputError` for one that leads out of it."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise InputError(f"{path!r} leads out of the project folder: use plain ids")
    return parts


_ROOM = "Make room on the disk (df shows its space, df -i its inodes)"
_RIGHTS = "Change the rights to it, or choose another folder"
_PATH = "Check the path, or choose another folder"
_SERVER = "Check the file server and the network"

_REMEDIES: Final = {
    errno.ENOSPC: (_ROOM, Kind.NO_ROOM),
    errno.EDQUOT: ("Remove files of yours, or have your quota raised", Kind.NO_ROOM),
    errno.EFBIG: ("Choose a disk that takes larger files", Kind.NO_ROOM),
    errno.EACCES: (_RIGHTS, Kind.DENIED),
    errno.EPERM: (_RIGHTS, Kind.DENIED),
    errno.EROFS: ("Choose a folder on a disk that can be written to", Kind.DENIED),
    errno.ENAMETOOLONG: ("Use shorter ids, or a folder with a shorter path", Kind.INPUT),
    errno.ENOENT: (_PATH, Kind.MISSING),
    errno.ENOTDIR: (_PATH, Kind.INPUT),
    errno.EISDIR: (_PATH, Kind.INPUT),
    errno.EEXIST: (_PATH, Kind.INPUT),
    errno.EMFILE: ("Allow this process more open files (ulimit -n)", Kind.ACCESS),
    errno.EIO: ("Check the disk", Kind.ACCESS),
    errno.ESTALE: (_SERVER, Kind.UNREACHABLE),
    errno.ETIMEDOUT: (_SERVER, Kind.UNREACHABLE),
    errno.EHOSTDOWN: (_SERVER, Kind.UNREACHABLE),
    errno.ENOTCONN: (_SERVER, Kind.UNREACHABLE),
    errno.ELOOP: ("Remove the links that lead in a circle", Kind.INPUT),
    errno.EINVAL: ("Put a file in its place, or remove it", Kind.INPUT),
    errno.EBADF: ("Let it lead to a file or a pipe", Kind.INPUT),
    errno.EBUSY: ("End the program that uses it", Kind.ACCESS),
    errno.ENOMEM: ("Make memory free", Kind.ACCESS),
    errno.ENFILE: ("End other programs: the machine has too many open files", Kind.ACCESS),
}
"""What to do about a number of the system, and its kind."""


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write a file; it takes the place of ``path`` when the block ends well.

    `InputError` for what names no file, `AccessError` where it can't be written.
    """
    check_path(path, "path", "give that of the file to write")
    target = Path(path)
    if not target.name:
        raise InputError(f"the path {str(path)!r} names no file: give that of the file to write")
    partial = target.parent / f".{target.name}.{os.getpid()}.part"
    try:
        partial.touch()  # says at once what hinders it
        yield partial
        put(partial, target)
    except OSError as error:
        raise disk_error(target, "written", error) from None
    finally:
        with suppress(OSError):
            partial.unlink()


def disk_error(path: str | Path, what: str, error: OSError) -> AccessError:
    """The error of a path that can't be ``what``: "read", "written" or "removed"."""
    fallback = "Find out what keeps it", Kind.ACCESS
    remedy, kind = _REMEDIES.get(error.errno or 0, fallback)
    return AccessError(
        f"{path} can't be {what}: {error.strerror or type(error).__name__}. {remedy}, then run the "
        "same command again",
        kind=kind,
    )
