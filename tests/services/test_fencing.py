"""Runs that lose their lock while other requests pass: none undoes what another has done."""

from __future__ import annotations

import json
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.archive import SmallArchive
from tests.faults import Fault, Proxy, Request, Stalled, status
from tests.services.s3 import S3
from tests.tally import shows
from timesync_xr.errors import ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.plots import Plot
from timesync_xr.project.ledger import COLUMNS, COMPLETE, Ledger, read_ledger
from timesync_xr.storage import bucket as lock
from timesync_xr.storage.folder import LOCK, Folder
from timesync_xr.storage.places import open_folder

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.2)


def way(s3: S3, bucket: str, proxy: Proxy) -> Folder:
    """A folder that is reached through the proxy."""
    options = s3.options(endpoint=proxy.url, timeout_seconds=0.5, max_retries=3, retry_seconds=3.0)
    return open_folder(f"s3://{bucket}/p", options)


def other_machine(folder: Folder) -> None:
    """Make the lock look like that of another machine, of which it can't be seen if it lives."""
    holder = json.loads(folder.read(LOCK))
    folder.write(LOCK, json.dumps(holder | {"machine": "other"}).encode())


def row(plot_id: str, status: str = COMPLETE) -> tuple[Plot, dict[str, object]]:
    ids = {"project_id": "p", "plot_id": plot_id, "status": status}
    text = {"failures": "[]", "datetime": "1982-01-01/..", "products": "png,csv", "filters": ""}
    return Plot("p", plot_id, 0, 0), {**dict.fromkeys(COLUMNS, 0), **ids, **text}


def lock_requests_fail(request: Request) -> Fault | None:
    return status(503) if request.path.endswith(LOCK) else None


@shows("a lock that can't be renewed", "output")
@pytest.mark.usefixtures("quick")
def test_a_run_that_can_not_reach_its_lock_writes_no_more(
    s3: S3, bucket: str, proxy: Proxy
) -> None:
    folder = way(s3, bucket, proxy)
    with folder.lock():
        folder.write("prj_1/a", b"1")
        proxy.rule = lock_requests_fail
        time.sleep(1)
        with pytest.raises(Exception, match="the output fails"):
            folder.write("prj_1/a", b"2")
        proxy.rule = lambda _: None
        folder.write("prj_1/a", b"3")  # nobody took the lock meanwhile
        assert folder.read("prj_1/a") == b"3"


@shows("a lock that can't be renewed", "output")
@pytest.mark.usefixtures("quick")
def test_the_plots_of_a_run_that_took_over_are_kept(s3: S3, bucket: str, proxy: Proxy) -> None:
    """The first run's renewals fail while its other requests pass, and the second takes over."""
    first, second = way(s3, bucket, proxy), open_folder(f"s3://{bucket}/p", s3.options())
    with first.lock():
        mine = Ledger(first)
        mine.record(*row("1"))
        other_machine(second)
        proxy.rule = lock_requests_fail
        with second.lock():
            theirs = Ledger(second)
            theirs.record(*row("2"))
            proxy.rule = lambda _: None
            with pytest.raises(ProjectError, match="another run has taken over"):
                mine.record(*row("3"))
            worker: Folder = pickle.loads(pickle.dumps(first))
            with pytest.raises(ProjectError, match="another run has taken over"):
                worker.write("prj_1/a", b"")
            theirs.record(*row("4"))
            theirs.close()
    table = read_ledger(second)
    assert sorted(table["plot_id"].astype(str)) == ["1", "2", "4"]


@pytest.mark.usefixtures("quick")
def test_a_ledger_is_replaced_only_as_it_was_read(s3: S3, bucket: str, proxy: Proxy) -> None:
    """Also by a run whose last request came through late, when it had lost its lock."""
    first, second = (open_folder(f"s3://{bucket}/p", s3.options()) for _ in range(2))
    one = Ledger(first)
    one.record(*row("1"))
    two = Ledger(second)
    two.record(*row("2"))
    one.record(*row("3"))
    two.record(*row("2", "incomplete"))
    one.close()
    two.close()
    table = read_ledger(second).set_index("plot_id")
    assert sorted(table.index.astype(str)) == ["1", "2", "3"]
    table.index = table.index.astype(str)
    assert table.loc["2", "status"] == "incomplete"


@pytest.mark.usefixtures("quick")
def test_an_answer_that_was_lost_is_no_other_run(s3: S3, bucket: str, proxy: Proxy) -> None:
    folder = way(s3, bucket, proxy)
    assert folder.replace("ledger/plots.csv", b"1")

    class Silent(Fault):
        async def send(self, answer: object, writer: object) -> bool:
            return False

    seen: list[Request] = []

    def rule(request: Request) -> Fault | None:
        seen.append(request)
        return Silent() if request.method == "PUT" and len(seen) == 1 else None

    proxy.rule = rule
    assert folder.replace("ledger/plots.csv", b"2")
    assert folder.read("ledger/plots.csv") == b"2"
    assert folder.replace("ledger/plots.csv", b"3")


@pytest.mark.usefixtures("quick")
def test_who_takes_over_waits_for_what_the_other_had_begun(
    s3: S3, bucket: str, proxy: Proxy
) -> None:
    folder = open_folder(f"s3://{bucket}/p", s3.options())
    holder = {"run": "x", "machine": "other", "pid": 1, "lease": 2.0}
    folder.write(LOCK, json.dumps(holder).encode())
    started = time.monotonic()
    with folder.lock():
        assert time.monotonic() - started > 2.0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("workers", [False, True])
def test_only_a_dead_run_with_workers_elsewhere_is_waited_for(
    s3: S3, bucket: str, workers: bool
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = open_folder(f"s3://{bucket}/p", s3.options())
    holder = {"run": "x", "machine": lock._machine(), "pid": dead.pid, "lease": 1.5}
    folder.write(LOCK, json.dumps({**holder, "workers": workers}).encode())
    started = time.monotonic()
    with folder.lock():
        assert (time.monotonic() - started > 1.5) == workers


def test_two_machines_of_one_name_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = lock._machine()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert boot in mine
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path: "another" if path.name == "boot_id" else read(path)
    )
    assert lock._machine() != mine


@pytest.mark.usefixtures("quick")
def test_a_worker_looks_at_the_lock_once_in_a_while(s3: S3, bucket: str, proxy: Proxy) -> None:
    folder = way(s3, bucket, proxy)
    with folder.lock():
        workers: list[Folder] = [pickle.loads(pickle.dumps(folder)) for _ in range(20)]
        proxy.requests.clear()
        for number, worker in enumerate(workers):
            worker.write(f"prj_1/{number}", b"")
        looks = [r for r in proxy.requests if r.path.endswith(LOCK) and r.method == "GET"]
        assert 1 <= len(looks) <= 5


# Ctrl-C


@shows("Ctrl-C while the output is silent", "run")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_run_whose_output_is_silent(
    s3: S3, bucket: str, proxy: Proxy, tmp_path: Path, times: int
) -> None:
    archive = SmallArchive(tmp_path / "archive")
    archive.add("LC08", "2020-07-01T18:30:00Z")
    items = archive.write_items()
    plots = tmp_path / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    proxy.rule = lambda r: Stalled(300) if "prj_" in r.path else None
    command = [sys.executable, "-m", "timesync_xr", "extract", str(plots), "--source", str(items),
               "--mirror", archive.mirror, "--chip-size", "9", "9", "--out", f"s3://{bucket}/p",
               "--out-endpoint", proxy.url]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not proxy.spoilt:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    proxy.rule = lambda _: Stalled(300)
    started = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert len(re.findall("run the same command to go on", said)) == 1
    assert "Traceback" not in said
    assert time.monotonic() - started < (30 if times == 1 else 10)
