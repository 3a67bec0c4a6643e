"""Places of output, on disk or in a bucket: project folders, and large files beside them."""

from __future__ import annotations

import mimetypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import AccessError, InputError, ReadError, check_kind, check_path
from .access import S3, Access, scheme_of

if TYPE_CHECKING:
    from obstore import Attributes

from .bucket import RemoteFolder
from .folder import Folder, disk_error, missing_folders, put, remove_empty, sync


def open_folder(out: str | Path, s3: S3 = S3()) -> Folder:
    """The project folder at a path, or at an address like ``s3://bucket/prefix``.

    ``s3`` holds the profile, the endpoint and the region of a bucket. Nothing is requested.
    ``gs://`` and ``az://`` addresses take everything from the environment. `InputError` for any
    other scheme.
    """
    check_path(out, "the project", "give its folder, or s3://bucket/...")
    check_kind(s3, S3, "s3", "give S3(...)")
    if not str(out).strip():
        raise InputError("the project folder has no name: give --out a folder or s3://bucket/...")
    if not (scheme := scheme_of(str(out))):
        return Folder(out)
    if scheme not in ("s3", "gs", "az"):
        raise InputError(
            f"a project can't be kept at {scheme}://: give a folder or s3://bucket/..."
        )
    return RemoteFolder(scheme + str(out)[len(scheme) :], s3)


@contextmanager
def workplace(out: str | Path, s3: S3 = S3()) -> Iterator[Path]:
    """An empty folder on disk; what lies in it when the block ends well moves to ``out``.

    ``out`` is a folder on disk, or the address of one in a bucket that is reached by ``s3``; it
    is made where it is not there. Files keep their names and places; those that ``out`` holds
    already are replaced one by one. When the block fails nothing moves, and a folder that was made
    for it goes. What a process has left half made that was killed is removed.
    """
    if not str(out).strip():
        raise InputError("out has no name: give a folder, or s3://bucket/...")
    if scheme_of(str(out)):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            _upload(Path(folder), str(out).rstrip("/"), s3)
        return
    target = Path(out)
    work, made, held = target, missing_folders(target), -1
    try:
        target.mkdir(parents=True, exist_ok=True)
        _remove_left(target)
        held, work = _begin(target)
        yield work
        sync(work)  # so that no file gets its name before it has its bytes
        for path in _files(work):
            place = target / path.relative_to(work)
            place.parent.mkdir(parents=True, exist_ok=True)
            put(path, place)
    except OSError as error:
        raise disk_error(target, "written", error) from error
    finally:
        if work != target:
            shutil.rmtree(work, ignore_errors=True)
            if held >= 0:
                os.close(held)
        remove_empty(made)


_MAKING: Final = ".making-"
"""How the names of folders begin in which files are made."""
_NEW: Final = ".new-"
"""How they begin until they are held."""


def _begin(target: Path) -> tuple[int, Path]:
    """A folder to make files in, and what keeps others from removing it, see `_hold`."""
    while True:
        new = Path(tempfile.mkdtemp(prefix=_NEW, dir=target))
        held = _hold(new)
        try:
            return held, new.rename(target / new.name.replace(_NEW, _MAKING))
        except FileNotFoundError:  # another process took it for one that was left
            if held >= 0:
                os.close(held)


def _remove_left(target: Path) -> None:
    """Remove the folders of processes that are no more: the system lets go of what they held."""
    for new in target.glob(f"{_NEW}*"):
        if (held := _hold(new)) >= 0:
            with suppress(OSError):  # one that holds something is none of these
                new.rmdir()
            os.close(held)
    for left in target.glob(f"{_MAKING}*"):
        if (held := _hold(left)) >= 0:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)


def _hold(folder: Path) -> int:
    """Lock a folder for this process: a descriptor, or -1 where another holds it, or no one can."""
    try:
        import fcntl

        opened = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except (
        ImportError,
        AttributeError,
        OSError,
    ):  # Windows has neither such locks nor open folders
        return -1
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return -1
    return opened


def _upload(work: Path, out: str, s3: S3) -> None:
    """Put files into a bucket, large ones in parts; each is there whole or not at all."""
    from obstore import put as put_object

    from .objects import request

    def upload(path: Path) -> None:
        address = f"{out}/{path.relative_to(work).as_posix()}"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        attributes: Attributes = {"Content-Type": kind}  # browsers show pages only by their type
        request(
            lambda store, key: put_object(store, key, path, attributes=attributes),
            address,
            Access(s3=s3),
        )

    for path in _files(work):
        try:
            upload(path)
        except ReadError as error:
            raise AccessError(f"the output fails: {error}", kind=error.kind) from None


def _files(work: Path) -> list[Path]:
    return sorted(path for path in work.rglob("*") if path.is_file())


def place_of(out: object, project: str | Path, name: str) -> str:
    """The folder ``out``, or that of a name in a project where none is given ("" or None)."""
    check_kind(out, str | os.PathLike | None, "out", "give a folder, or s3://bucket/...")
    if out is None or out == "":
        return beside(project, name)
    check_path(out, "out", "give a folder, or s3://bucket/...")
    return str(out)


def beside(project: str | Path, name: str) -> str:
    """The place of a name in a project folder, on disk or in a bucket."""
    return f"{str(project).rstrip('/')}/{name}"


def names_in(place: str | Path, s3: S3 = S3()) -> set[str]:
    """Names of what lies directly in a folder on disk, or below a prefix of a bucket."""
    if not scheme_of(str(place)):
        path = Path(place).absolute()
        return open_folder(path.parent).names(path.name)
    parent, _, name = str(place).rstrip("/").rpartition("/")
    if parent.endswith(":/"):
        raise InputError(f"{place} is a whole bucket: keep the project below a prefix of it")
    return open_folder(parent, s3).names(name)
