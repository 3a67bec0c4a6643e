"""The project folder: where files are put in place whole or not at all.

Paths are relative to the folder, with ``/`` between their parts.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .errors import AccessError, InputError

_TEMPORARY = "ledger/tmp"
"""Where files are written before they get their name; on the same disk, so that the move is one
step. What a killed run leaves there is removed by the next."""


class Folder:
    """A project folder on disk."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._serial = itertools.count()
        self._made: set[Path] = set()

    def __reduce__(self) -> tuple[type[Folder], tuple[Path]]:
        return Folder, (self.root,)

    def write(self, path: str, data: bytes) -> None:
        """Put a file in place: it appears under its name with all its bytes, or not at all."""
        target, temporary = self._path(path), self._path(_TEMPORARY)
        part = temporary / f"{os.getpid()}-{next(self._serial)}"
        try:
            self._make(temporary)
            self._make(target.parent)
            part.write_bytes(data)
            part.replace(target)
        except OSError as error:
            raise AccessError(
                f"{target} can't be written: {error.strerror}. Check the disk's space and your "
                "rights to the folder, then run the same command again"
            ) from error

    def read(self, path: str) -> bytes:
        """The bytes of a file; ``FileNotFoundError`` where there is none."""
        return self._path(path).read_bytes()

    def names(self, path: str) -> set[str]:
        """Names of what lies directly in a folder; empty where the folder does not exist."""
        try:
            return set(os.listdir(self._path(path)))
        except FileNotFoundError:
            return set()

    def present(self, paths: Iterable[str]) -> set[str]:
        """Those of some files that are there."""
        return {path for path in paths if self._path(path).is_file()}

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        self._path(path).unlink(missing_ok=True)

    def clear_temporary(self) -> None:
        """Remove what a killed run left half-written."""
        shutil.rmtree(self._path(_TEMPORARY), ignore_errors=True)
        self._made.clear()

    def _make(self, folder: Path) -> None:
        if folder not in self._made:
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)

    def _path(self, path: str) -> Path:
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
            raise InputError(f"{path!r} leads out of the project folder: use plain ids")
        return self.root.joinpath(*parts)
