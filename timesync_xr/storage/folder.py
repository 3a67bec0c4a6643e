"""A project folder on disk: where files are put in place whole or not at all.

Paths are relative to the folder, with ``/`` between their parts. `timesync_xr.storage.bucket` has
the same for a bucket, `timesync_xr.storage.places` opens either.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from uuid import uuid4

from ..errors import AccessError, InputError, ProjectError

_TEMPORARY = "ledger/tmp"
"""Where files are written before they get their name; on the same disk, so that the move is one
step. What a killed run leaves there is removed by the next."""

_OWNED = "owned"
"""The file in a scratch folder that says that no later run has cleared it."""

LOCK = "ledger/lock"
"""The file that a run holds while it writes."""


class Folder:
    """A project folder on disk."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        self._temporary = self._path(_TEMPORARY)
        self._made: set[Path] = set()

    def __reduce__(self) -> tuple[type[Folder], tuple[object, ...]]:
        return Folder, (os.path.abspath(self.root),)  # workers may be at work in other folders

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the project; a dead run's lock is no lock.

        `ProjectError` where another run is at work, `AccessError` where nothing can be written.
        """
        from filelock import FileLock, Timeout

        path = self._path(LOCK)
        held = FileLock(path, timeout=0)
        try:
            self._make(path.parent)
            held.acquire()
        except Timeout:
            raise ProjectError(
                f"another run is at work on {self.root}: wait for it, or stop it"
            ) from None
        except OSError as error:
            raise _no_writing(path, error) from error
        try:
            yield
        finally:
            held.release()

    def write(self, path: str, data: bytes) -> None:
        """Put a file in place: it appears under its name with all its bytes, or not at all."""
        target, temporary = self._path(path), self._temporary
        part = f"{temporary}/{uuid4().hex}"  # many machines may share the folder
        try:
            self._make(temporary)
            self._make(target.parent)
            with open(part, "wb") as file:  # pathlib's own takes twice as long
                file.write(data)
            os.replace(part, target)
        except OSError as error:
            raise _no_writing(target, error) from error

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put files in place, each as `write` does."""
        for path, data in files:
            self.write(path, data)

    def read(self, path: str) -> bytes:
        """The bytes of a file; ``FileNotFoundError`` where there is none."""
        return self._path(path).read_bytes()

    def names(self, path: str) -> set[str]:
        """Names of what lies directly in a folder; empty where the folder does not exist."""
        try:
            return set(os.listdir(self._path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def present(self, paths: Iterable[str]) -> set[str]:
        """Those of some files that are there."""
        return {path for path in paths if self._path(path).is_file()}

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        self._path(path).unlink(missing_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder of this machine, from which `place` moves trees."""
        path = self._temporary / uuid4().hex
        try:
            path.mkdir(parents=True)
            (path / _OWNED).touch()
            yield path
        except OSError as error:
            raise _no_writing(path, error) from error
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
            tree.replace(target)
        except OSError as error:
            raise _no_writing(target, error) from error

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
        return Path(self.root, *inner_parts(path))


def inner_parts(path: str) -> tuple[str, ...]:
    """Parts of a path below the project folder; `InputError` for one that leads out of it."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise InputError(f"{path!r} leads out of the project folder: use plain ids")
    return parts


def _no_writing(path: Path, error: OSError) -> AccessError:
    return AccessError(
        f"{path} can't be written: {error.strerror}. Check the disk's space and your rights to "
        "the folder, then run the same command again"
    )
