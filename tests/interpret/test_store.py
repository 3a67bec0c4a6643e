"""The store loses nothing that it acknowledged: kills, cut lines, full disks, many writers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interpret.making import V3, act, start, whole
from tests.tally import shows
from timesync_xr import Project
from timesync_xr.errors import AccessError, InputError, Kind, ProjectError
from timesync_xr.interpret.answers import interpret
from timesync_xr.interpret.legend import read_legend
from timesync_xr.interpret.store import Store

LOG = "answers/prj_1001/plot_2/ann.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Project(tmp_path))


def test_what_was_kept_is_read_by_another(store: Store, tmp_path: Path) -> None:
    assert store.append(whole()) == 7
    assert store.append(whole()) == 0
    other = Store(Project(tmp_path))
    assert other.acts("1001", "2", "ann") == whole()
    (one,) = other.interpretations()
    assert one == interpret(whole(), "1001", "2", "ann")
    assert (tmp_path / LOG).read_text().count("\n") == 7


@shows("a line cut off", "answers")
def test_a_cut_line_costs_nothing_else(store: Store, tmp_path: Path) -> None:
    """As power off leaves it: the next line begins on its own."""
    store.append(whole()[:3])
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"v":1,"id":"0123')
    again = Store(Project(tmp_path))
    assert len(again.acts("1001", "2", "ann")) == 3
    again.append(whole())
    assert Store(Project(tmp_path)).acts("1001", "2", "ann") == whole()
    assert [problem.partition(", line ")[2][:2] for problem in again.damaged()] == ["4:"]


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_cut_anywhere_whole_lines_count(store: Store, tmp_path: Path, cut: int) -> None:
    store.append(whole())
    data = (tmp_path / LOG).read_bytes()
    left = data[: len(data) - cut]
    (tmp_path / LOG).write_bytes(left)
    assert len(Store(Project(tmp_path)).acts("1001", "2", "ann")) == left.count(b"\n")


def test_a_full_disk_is_told_and_leaves_no_half(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(whole()[:3])
    before = (tmp_path / LOG).read_bytes()
    write = os.write

    def half(handle: int, data: bytes) -> int:
        write(handle, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(AccessError, match="No space left") as caught:
        store.append(whole())
    assert caught.value.kind == Kind.NO_ROOM
    monkeypatch.undo()
    assert (tmp_path / LOG).read_bytes() == before
    assert store.append(whole()) == 4


@shows("the power off", "answers")
def test_fsync_comes_before_the_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watch(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("names of open files can't be seen on this system")
    monkeypatch.setattr(os, "fsync", watch)
    store.append(whole()[:1])
    new = [f"{store.root}/{path}" for path in (LOG, "answers/prj_1001/plot_2", "answers/prj_1001")]
    assert set(new) <= set(synced)
    synced.clear()
    store.append(whole()[:2])
    assert synced == [f"{store.root}/{LOG}"]


def test_many_writers(tmp_path: Path) -> None:
    """Threads of two stores, as two servers on one project are."""
    stores = [Store(Project(tmp_path)) for _ in range(2)]
    acts = [act(number, "vertex", day="1996-08-09") for number in range(1, 61)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda pair: stores[pair[0] % 2].append([pair[1]]), enumerate(acts)))
    assert Store(Project(tmp_path)).acts("1001", "2", "ann") == acts
    assert stores[0].damaged() == []


def test_same_id_with_other_content_is_refused(store: Store) -> None:
    store.append(whole())
    with pytest.raises(InputError, match="another content"):
        store.append([whole()[3] | {"day": "1997-07-27"}])


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "a\\b", ""])
def test_no_path_leaves_the_project(store: Store, tmp_path: Path, name: str) -> None:
    for field in ("who", "project", "plot"):
        with pytest.raises(InputError):
            store.append([start() | {field: name}])
    assert not (tmp_path / "answers").exists()


def test_acts_in_a_wrong_log_do_not_count(store: Store, tmp_path: Path) -> None:
    store.append(whole())
    (tmp_path / LOG).rename(tmp_path / LOG.replace("ann", "ben"))
    assert Store(Project(tmp_path)).acts("1001", "2", "ben") == []


def test_legends_are_kept_by_what_they_hold(store: Store, tmp_path: Path) -> None:
    lcmap = read_legend("lcmap")
    store.keep_legend(lcmap)
    store.keep_legend(lcmap)
    assert store.legends() == {V3.digest: V3, lcmap.digest: lcmap}
    (tmp_path / f"answers/legends/{lcmap.digest}.json").write_text("{")
    with pytest.raises(ProjectError, match="damaged"):
        store.legends()


def test_a_bucket_is_no_place_for_answers() -> None:
    with pytest.raises(InputError, match="nothing can be appended"):
        Store(Project("s3://bucket/project"))


WRITER = """
import sys
from tests.interpret.making import act
from tests.tally import shows
from timesync_xr import Project
from timesync_xr.interpret.store import Store
store = Store(Project(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    one = act(number, "vertex", day="1996-08-09")
    store.append([one])
    print(one["id"], flush=True)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.deep)])
@pytest.mark.deep
def test_killed_writers_lose_nothing_acknowledged(tmp_path: Path, kills: int) -> None:
    told: list[str] = []
    for number in range(kills):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(1 + number * 10**6)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            told.append(writer.stdout.readline().strip())
            time.sleep(0.01 * (number % 7))
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split("\n")
            told += rest[:-1]  # a line without an end was not told
    there = {one["id"] for one in Store(Project(tmp_path)).acts("1001", "2", "ann")}
    assert set(told) <= there
    lines = (tmp_path / LOG).read_bytes().split(b"\n")
    assert sum(bool(line) for line in lines) - len(there) <= kills
    assert all(json.loads(line) for line in lines[:1])
