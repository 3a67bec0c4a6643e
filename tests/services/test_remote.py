"""The project folder in a bucket, and its lock."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults import Fault, Proxy, Request, status
from tests.services.s3 import S3, s3_server
from tests.tally import shows
from timesync_xr.errors import AccessError, InputError, ProjectError
from timesync_xr.storage import bucket as lock
from timesync_xr.storage.folder import LOCK, Folder
from timesync_xr.storage.places import open_folder


@pytest.fixture
def folder(s3: S3, bucket: str) -> Folder:
    return open_folder(f"s3://{bucket}/a/project/", s3.options())


def test_it_does_what_a_folder_on_disk_does(folder: Folder, tmp_path: Path) -> None:
    found = []
    for one in (folder, Folder(tmp_path)):
        for number in range(3):
            one.write("a/b/c.txt", str(number).encode())
        one.write("a/b/d e+%.txt", b"")
        one.write("a/x.txt", b"x")
        one.remove("a/x.txt")
        one.remove("a/x.txt")
        one.clear_temporary()
        with pytest.raises(FileNotFoundError):
            one.read("a/x.txt")
        paths = ["a/b/c.txt", "a/b/d e+%.txt", "a/b/c", "a/b/c.txt2", "a/x.txt", "z/y"]
        names = [one.names(path) for path in ("a", "a/b", "none")]
        present = one.present(paths), one.present([])
        found.append((names, present, one.read("a/b/c.txt"), one.read("a/b/d e+%.txt")))
    assert found[0] == found[1]
    assert found[0][0][0] == {"b"}


def test_it_pickles(folder: Folder) -> None:
    folder.write("a", b"1")
    assert pickle.loads(pickle.dumps(folder)).read("a") == b"1"


def test_a_tree_is_there_whole_or_not_at_all(
    s3: S3, bucket: str, tmp_path: Path, proxy: Proxy
) -> None:
    """As on disk, also where an upload or a removal ends halfway."""
    remote = open_folder(f"s3://{bucket}/p", s3.options(endpoint=proxy.url, max_retries=0))

    def files(folder: Folder) -> dict[str, bytes] | None:
        with folder.tree("a/cube.zarr", "zarr.json") as tree:
            if tree is None:
                return None
            return {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*.*")}

    def place(folder: Folder, *names: str) -> None:
        with folder.scratch() as scratch:
            for name in names:
                (scratch / "t" / name).parent.mkdir(parents=True, exist_ok=True)
                (scratch / "t" / name).write_bytes(f"{name} of {len(names)}".encode())
            folder.place(scratch / "t", "a/cube.zarr", "zarr.json")

    for folder in (remote, Folder(tmp_path)):
        assert files(folder) is None
        place(folder, "zarr.json", "c/0/0.bin", "c/0/1.bin", "c/zarr.json")
        place(folder, "zarr.json", "c/0/0.bin")
        assert files(folder) == {"zarr.json": b"zarr.json of 2", "c/0/0.bin": b"c/0/0.bin of 2"}
    for methods in (("PUT",), ("DELETE", "POST")):
        seen = 0

        def rule(request: Request, methods: tuple[str, ...] = methods) -> Fault | None:
            nonlocal seen
            seen += request.method in methods
            return status(503) if request.method in methods and seen >= 2 else None

        proxy.rule = rule
        with pytest.raises(AccessError, match="the output fails"):
            place(remote, "zarr.json", "c/0/1.bin", "c/0/2.bin")
        assert files(remote) is None
        proxy.rule = lambda _: None
        place(remote, "zarr.json", "c/0/0.bin")
        assert files(remote) == files(Folder(tmp_path))
    for folder in (remote, Folder(tmp_path)):
        folder.remove_tree("a/cube.zarr", "zarr.json")
        folder.remove_tree("a/cube.zarr", "zarr.json")
        assert files(folder) is None
    assert not s3.objects(bucket, "p/a/")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", ""])
def test_no_path_leaves_the_prefix(folder: Folder, path: str) -> None:
    with pytest.raises(InputError, match="leads out of the project folder"):
        folder.write(path, b"")


def test_a_listing_reads_only_what_is_asked_for(s3: S3, bucket: str, proxy: Proxy) -> None:
    """Among the files of a thousand other plots."""
    folder = open_folder(f"s3://{bucket}/p", s3.options(endpoint=proxy.url))
    client = s3.client()
    for plot in (6, 7, 70, 8):
        for day in range(1, 300):
            key = f"p/prj_1/{plot}_spectral_files_set_2020_{day:03d}.csv"
            client.put_object(Bucket=bucket, Key=key, Body=b"x")
    mine = [f"prj_1/7_spectral_files_set_2020_{day:03d}.csv" for day in range(1, 320)]
    assert folder.present(mine) == set(mine[:299])
    assert len(proxy.requests) <= 2


@shows(["no such bucket", "401", "403", "expired credentials", "quota used up", "507",
        "a fault that stays"], "output")  # fmt: skip
@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (404, "NoSuchBucket", "there is no such bucket"),
        (403, "AccessDenied", "denies access.*--out-profile"),
        (401, "", "denies access"),
        (403, "InvalidAccessKeyId", "the access key is unknown"),
        (400, "ExpiredToken", "credentials have expired"),
        (403, "QuotaExceeded", "the quota is used up"),
        (507, "", "no room left"),
        (503, "SlowDown", "503 Service Unavailable.*Run again later"),
    ],
)
def test_where_nothing_can_be_written_it_says_why(
    s3: S3, bucket: str, proxy: Proxy, code: int, body: str, message: str
) -> None:
    answer = f"<Error><Code>{body}</Code><Message>hunter2</Message></Error>".encode()
    proxy.rule = lambda _: status(code, body=answer)
    folder = open_folder(f"s3://{bucket}/p", s3.options(endpoint=proxy.url, max_retries=2))
    for call in (lambda: folder.write("a", b""), lambda: folder.names("a")):
        with pytest.raises(AccessError, match=message) as caught:
            call()
        assert "hunter2" not in str(caught.value)
    assert len(proxy.requests) <= 6


@shows("a second run", "output")
def test_a_second_run_is_refused_while_the_first_lives(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.5)  # a lock is silent after 4 s, also on a busy machine
    with folder.lock():
        started = time.monotonic()
        with pytest.raises(ProjectError, match=rf"another run is at work.*process {os.getpid()} "):
            folder.lock().__enter__()
        assert time.monotonic() - started < 3.5
        time.sleep(2.5)
        folder.write("a", b"1")
    with folder.lock():
        pass
    assert folder.names("ledger") == set()


@shows("lock of a dead run", "output")
def test_a_lock_of_a_dead_process_of_this_machine_is_none(folder: Folder) -> None:
    code = "from timesync_xr.storage.bucket import _machine; print(_machine())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    value = {"run": "x", "machine": done.stdout.strip(), "pid": dead.pid}
    folder.write(LOCK, json.dumps(value).encode())
    started = time.monotonic()
    with folder.lock():
        assert time.monotonic() - started < 2


@shows("lock of a dead run", "output")
def test_a_silent_lock_of_another_machine_is_taken_over(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.1)
    for content in (b'{"run": "x", "machine": "other", "pid": 1}', b"no JSON", b"[]"):
        folder.write(LOCK, content)
        with folder.lock():
            assert b"other" not in folder.read(LOCK)


def test_of_many_runs_that_find_a_dead_lock_one_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stands still for longer than a lease holds shows nothing: another is asked."""
    monkeypatch.setattr(lock, "BEAT", 0.2)
    for number in range(5):
        with s3_server(tmp_path / str(number)) as s3:
            s3.client().create_bucket(Bucket="locks")
            folder = open_folder("s3://locks/a/project/", s3.options())
            folder.write("a", b"")  # which makes the room that the lock is put into
            began = time.monotonic()
            found = contend(folder)
        if time.monotonic() - began < 15:
            break
    assert found == (1, 5)


def contend(folder: Folder) -> tuple[int, int]:
    """How many of six runs had a dead lock at the same time, and how many were refused."""
    folder.write(LOCK, b"{}")
    inside, most, refused = 0, 0, 0
    guard = threading.Lock()
    done = threading.Event()

    def run() -> None:
        nonlocal inside, most, refused
        try:
            with pickle.loads(pickle.dumps(folder)).lock():
                with guard:
                    inside += 1
                    most = max(most, inside)
                done.wait(5)
                with guard:
                    inside -= 1
        except ProjectError:
            with guard:
                refused += 1
                if refused == 5:
                    done.set()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most, refused


def test_a_run_whose_lock_was_taken_over_writes_no_more(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.1)
    with folder.lock():
        folder.write("a", b"1")
        folder.write(LOCK, b'{"run": "another"}')
        time.sleep(0.5)
        with pytest.raises(ProjectError, match="another run has taken over"):
            folder.write("a", b"2")
    assert folder.read(LOCK) == b'{"run": "another"}'


def test_the_lock_outlives_a_server_that_fails_for_a_while(
    s3: S3, bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.1)
    options = s3.options(endpoint=proxy.url, max_retries=0)

    def failing(request: Request) -> object:
        return status(503) if request.method == "PUT" else None

    folder = open_folder(f"s3://{bucket}/p", options)
    with folder.lock():
        proxy.rule = failing  # type: ignore[assignment]
        time.sleep(0.5)
        proxy.rule = lambda _: None
        time.sleep(0.5)
        folder.write("a", b"1")
        assert len(proxy.spoilt) > 1
