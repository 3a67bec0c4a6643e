"""What a bucket gives, held against its tag."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from timesync_xr.errors import ProjectError
from timesync_xr.storage import bucket
from timesync_xr.storage.access import S3
from timesync_xr.storage.bucket import RemoteFolder, whole_object
from timesync_xr.storage.folder import LOCK

DATA = b"project_id,plot_id\n1001,1\n"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


class Answer:
    """An answer that says of itself that it is whole."""

    def __init__(self, data: bytes, tag: str | None) -> None:
        self.data, self.meta = data, {"size": len(data), "e_tag": tag}

    def stream(self, _: int) -> Iterator[bytes]:
        yield self.data


@pytest.mark.parametrize("tag", [MD5, f'"{MD5}"', f'"{MD5.upper()}"'])
@pytest.mark.parametrize(
    ("answers", "asked"),
    [([DATA], 1), ([DATA[:9], DATA], 2), ([b"", DATA], 2), ([DATA[:9], DATA[:4], DATA], 3)],
)
def test_an_answer_that_was_cut_short_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes], asked: int, tag: str
) -> None:
    left = list(answers)
    monkeypatch.setattr("obstore.get", lambda store, key: Answer(left.pop(0), tag))
    store: Any = None
    assert whole_object(store, "ledger/plots.csv") == (DATA, tag)
    assert len(answers) - len(left) == asked


@pytest.mark.parametrize(
    ("tag", "asked"), [("0" * 32, 2), (f"{MD5}-2", 1), ("anything", 1), (None, 1)]
)
def test_a_tag_that_is_no_md5_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tag: str | None, asked: int
) -> None:
    """Tags of encrypted objects look like an MD5; those of several parts and others do not."""
    times = []

    def get(store: object, key: str) -> Answer:
        times.append(key)
        return Answer(DATA, tag)

    monkeypatch.setattr("obstore.get", get)
    store: Any = None
    assert whole_object(store, "x") == (DATA, tag or "")
    assert len(times) == asked


def test_a_lock_is_looked_at_again_after_the_machine_slept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asleep the monotonic clock stands still, while another run may take over."""
    folder = RemoteFolder("s3://bucket/p", S3())
    folder.lease = lease = bucket.Lease("mine")
    looks: list[str] = []
    slept = 0.0

    def request(_call: object, path: str, _way: object, begin: Callable[[], None]) -> bytes:
        begin()
        looks.append(path)
        return b'{"run": "mine"}' if len(looks) == 1 else b'{"run": "another"}'

    monkeypatch.setattr(folder, "_request", request)
    monkeypatch.setattr(time, "clock_gettime", lambda _: time.monotonic() + slept)
    folder._hold()
    folder._hold()
    assert looks == [LOCK]
    slept = 3600.0
    with pytest.raises(ProjectError, match="another run has taken over"):
        folder._hold()
    assert lease.lost


def test_objects_are_named_with_slashes_on_windows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tree(type(Path())):  # type: ignore[misc]
        """A folder whose paths are told as Windows tells them."""

        def relative_to(self, *other: str | Path) -> PureWindowsPath:
            return PureWindowsPath(super().relative_to(*other))

    for name in ("zarr.json", "c/0/0"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    bucket, written, removed = (
        RemoteFolder("s3://bucket/project", S3()),
        dict[str, bytes](),
        list[str](),
    )
    monkeypatch.setattr(bucket, "write", written.__setitem__)
    monkeypatch.setattr(bucket, "remove", removed.append)
    monkeypatch.setattr(bucket, "_below", lambda _: {"zarr.json", "c/0/0", "c/0/1"})
    bucket.place(Tree(tmp_path), "prj_p/cubes/plot_1", "zarr.json")
    below = "prj_p/cubes/plot_1"
    assert written == {f"{below}/c/0/0": b"c/0/0", f"{below}/zarr.json": b"zarr.json"}
    assert list(written)[-1] == f"{below}/zarr.json"
    assert removed == [f"{below}/zarr.json", f"{below}/c/0/1"]
