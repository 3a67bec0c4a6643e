from __future__ import annotations

import errno
import os
import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from timesync_xr.errors import AccessError, InputError, ProjectError
from timesync_xr.storage import places
from timesync_xr.storage.folder import Folder
from timesync_xr.storage.places import open_folder, workplace
from timesync_xr.storage.tables import table_file


def test_what_is_written_is_read_and_listed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "project")
    assert folder.names("a/b") == set()
    folder.write("a/b/c.txt", b"1")
    folder.write("a/b/c.txt", b"22")
    folder.write("a/b/d.txt", b"")
    assert folder.read("a/b/c.txt") == b"22"
    assert folder.names("a/b") == {"c.txt", "d.txt"}
    assert (tmp_path / "project/a/b/c.txt").read_bytes() == b"22"
    folder.remove("a/b/d.txt")
    folder.remove("a/b/d.txt")
    assert folder.names("a/b") == {"c.txt"}
    with pytest.raises(FileNotFoundError):
        folder.read("a/b/d.txt")


@pytest.mark.deep
def test_a_reader_never_sees_part_of_a_file(tmp_path: Path) -> None:
    """One thread writes files of equal bytes, another reads: it finds whole ones only."""
    folder = Folder(tmp_path)
    folder.write("f", b"0" * 500_000)
    done = threading.Event()

    def write() -> None:
        for n in range(20):
            folder.write("f", bytes([n]) * 500_000)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not done.is_set():
        data = folder.read("f")
        assert len(data) == 500_000
        assert len(set(data)) == 1
        seen.add(data[0])
    thread.join()
    assert seen


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "", "a\0b"])
def test_no_path_leaves_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="leads out of the project folder"):
        Folder(tmp_path / "project").write(path, b"")
    assert not (tmp_path / "x").exists()


def test_what_can_not_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AccessError, match=r"file.*can't be written: Not a dir.*Check the path"):
        Folder(tmp_path / "file").write("a", b"")


@pytest.mark.parametrize(
    ("number", "remedy", "kind"),
    [
        (errno.ENOSPC, "Make room on the disk", "no_room"),
        (errno.EDQUOT, "have your quota raised", "no_room"),
        (errno.EACCES, "Change the rights", "denied"),
        (errno.EROFS, "Choose a folder on a disk that can be written to", "denied"),
        (errno.ENAMETOOLONG, "Use shorter ids", "input"),
        (errno.EMFILE, "ulimit -n", "access"),
        (errno.EIO, "Check the disk, then", "access"),
        (errno.ESTALE, "Check the file server and the network, then", "unreachable"),
        (errno.ELOOP, "Remove the links that lead in a circle", "input"),
        (errno.EXDEV, "Find out what keeps it", "access"),
    ],
)
@pytest.mark.parametrize("place", ["a/b", "table.csv"])
def test_each_cause_has_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str, kind: str, place: str
) -> None:
    """For files of a project and for tables beside it."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.replace", fail)
    monkeypatch.setattr(Path, "replace", fail)

    def write() -> None:
        if place == "table.csv":
            with table_file(tmp_path / place, pd.DataFrame({"a": [1]})):
                pass
        else:
            Folder(tmp_path).write(place, b"")

    with pytest.raises(AccessError, match=re.escape(os.strerror(number))) as caught:
        write()
    assert remedy in str(caught.value)
    assert caught.value.kind == kind
    for other in ("room", "quota", "rights"):
        assert (other in str(caught.value).partition(os.strerror(number))[2]) == (other in remedy)


def test_a_name_that_is_too_long_is_told_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"File name too long\. Use shorter ids"):
        Folder(tmp_path).write("x" * 300, b"")


def test_what_can_not_be_read_or_removed_says_why(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a/b", b"")
    with pytest.raises(AccessError, match=r"a can't be read: Is a directory\. Check the path"):
        folder.read("a")
    with pytest.raises(AccessError, match=r"a can't be removed: "):
        folder.remove("a")


def test_leftovers_are_cleared_and_writing_goes_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a", b"1")
    leftover = tmp_path / "ledger/tmp/1-1"
    leftover.write_bytes(b"half")
    folder.clear_temporary()
    assert not leftover.exists()
    folder.write("a", b"2")
    assert folder.read("a") == b"2"


def test_it_pickles(tmp_path: Path) -> None:
    folder = pickle.loads(pickle.dumps(Folder(tmp_path)))
    folder.write("a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_what_another_run_cleared_is_not_put_in_place(tmp_path: Path) -> None:
    """As where workers go on with a plot whose run was killed, while the next run begins."""
    folder = Folder(tmp_path)
    with folder.scratch() as scratch:
        (scratch / "cube").mkdir()
        (scratch / "cube/first").touch()
        Folder(tmp_path).clear_temporary()
        (scratch / "cube").mkdir(parents=True)
        (scratch / "cube/mark").touch()
        with pytest.raises(ProjectError, match=r"another run took over .* while a/cube was made"):
            folder.place(scratch / "cube", "a/cube", "mark")
    assert not (tmp_path / "a").exists()


def test_a_relative_folder_stays_the_same_on_workers_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(Folder("project"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pickle.loads(sent).write("a", b"1")
    assert (tmp_path / "project/a").read_bytes() == b"1"


@pytest.mark.deep
def test_folders_of_one_process_do_not_mix_their_files(tmp_path: Path) -> None:
    """As where a run was stopped and another begins while the first still writes."""

    def write(name: str) -> None:
        folder = Folder(tmp_path)
        for _ in range(100):
            folder.write(name, name.encode() * 50_000)
            assert set(folder.read(name).decode()) == {name}

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, "abcd"))


# In buckets; more of them stands in tests/services


@pytest.mark.parametrize("scheme", ["ftp", "memory", "file", "https", "abfs", "hdfs"])
def test_other_addresses_are_refused(scheme: str) -> None:
    with pytest.raises(InputError, match=f"can't be kept at {scheme}://: give a folder or s3://"):
        open_folder(f"{scheme}://host/p")


def test_an_address_names_a_bucket() -> None:
    for none in ("s3://", "s3://a b/p", "s3://a`/p", "s3:///p", "s3://[a/p"):
        with pytest.raises(InputError, match="no bucket"):
            open_folder(none)
    assert open_folder("S3://bucket/p/").root == "s3://bucket/p"


def test_azure_without_an_account_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(AccessError, match=r"no credentials were found. Set AZURE_STORAGE_ACCOUNT"):
        open_folder("az://container/p").names("a")


def test_what_a_killed_process_was_making_goes_and_that_of_others_stays(tmp_path: Path) -> None:
    left = tmp_path / ".making-abc/half"
    left.mkdir(parents=True)
    (left / "a").write_text("half")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".making-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".new-abc").mkdir()  # killed a moment earlier
    (tmp_path / ".new-mine").mkdir()
    (tmp_path / ".new-mine/a").touch()
    with workplace(tmp_path) as first:
        assert not left.parent.exists()
        (first / "one").write_text("1")
        with workplace(tmp_path) as second:
            (second / "two").write_text("2")
    assert (tmp_path / "one").read_text() == "1"
    assert {path.name for path in tmp_path.iterdir()} == {
        "one", "two", "elsewhere", ".making-link", ".new-mine",
    }  # fmt: skip


def test_a_folder_that_another_process_takes_for_a_left_one_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []

    def hold(folder: Path) -> int:
        begun.append(folder)
        if len(begun) == 1:
            folder.rmdir()  # as the other does just before
        return -1

    monkeypatch.setattr(places, "_hold", hold)
    with workplace(tmp_path) as work:
        (work / "one").write_text("1")
    assert (len(begun), {path.name for path in tmp_path.iterdir()}) == (2, {"one"})


def test_a_folder_is_made_only_for_what_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none"), workplace(tmp_path / "a/b"):
        raise ValueError("none")
    assert not (tmp_path / "a").exists()


def test_a_file_that_is_being_read_on_windows_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the system refuses it as long as anyone has the file open."""
    tries, waits = [0], list[float]()
    real = os.replace

    def replace(part: str, target: Path) -> None:
        tries[0] += 1
        if tries[0] % 3:
            raise PermissionError(errno.EACCES, "it is open")
        real(part, target)

    monkeypatch.setattr("timesync_xr.storage.folder._WAITS_FOR_READERS", True)
    monkeypatch.setattr("timesync_xr.storage.folder.time.sleep", waits.append)
    monkeypatch.setattr(os, "replace", replace)
    Folder(tmp_path).write("ledger/plots.csv", b"new")
    assert (tmp_path / "ledger/plots.csv").read_bytes() == b"new"
    assert waits == [0.01, 0.05]
    monkeypatch.setattr("timesync_xr.storage.folder._WAITS_FOR_READERS", False)
    tries[0] = 0
    with pytest.raises(AccessError, match="can't be written"):
        Folder(tmp_path).write("ledger/plots.csv", b"newer")
    assert tries == [1]
    assert (tmp_path / "ledger/plots.csv").read_bytes() == b"new"
