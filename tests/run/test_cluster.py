"""A real scheduler and real workers: whatever happens to them, the project ends the same."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from tests.archive import SmallArchive
from tests.run.test_reliability import ledger_of
from tests.strategies import share
from tests.tally import shows
from timesync_xr import Archive, Products, Project, extract
from timesync_xr.errors import AccessError, CorruptAssetError, InputError
from timesync_xr.grid import REGIONS
from timesync_xr.plots import Plot
from timesync_xr.run.beside import Beside
from timesync_xr.run.cluster import (
    AHEAD,
    Settings,
    _caught,
    _start,
    local_cluster,
    running_cluster,
    work_through,
)
from timesync_xr.run.schedule import PlotQueue
from timesync_xr.storage import waiting

pytestmark = pytest.mark.services
PLOTS = 24


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    """Two tiles side by side with a few dates, and a list of plots in both and between."""
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for day in range(1, 7):
        for tile in ((3, 9), (4, 9)):
            archive.add("LC08", f"2020-07-0{day}T18:30:00.1234567Z", tile)
    archive.write_items()
    places = [(4 * 5000 + 40 * (n - PLOTS // 2), 9 * 5000 + 100) for n in range(PLOTS)]
    lines = [f"p,{n},{x},{y}" for n, p in enumerate(places) for x, y in [REGIONS["CU"].center(*p)]]
    (archive.folder / "plots.csv").write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    return archive


@pytest.fixture(scope="module")
def expected(archive: SmallArchive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The project as one process makes it."""
    out = tmp_path_factory.mktemp("one")
    extract(
        archive.folder / "plots.csv",
        out,
        Archive(archive.folder / "items.json", mirror=archive.mirror),
        progress=False,
    )
    return contents(out)


@pytest.fixture
def others_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process begins beside this one at once, however little is left."""
    monkeypatch.setattr("timesync_xr.run.beside._that_pay", lambda left, _: 2 if left else 1)


@pytest.mark.usefixtures("others_pay")
def test_much_to_do_is_gone_on_with_by_all_cores(
    archive: SmallArchive,
    expected: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Told in one line, and with the same bytes."""
    made_of = Archive(archive.folder / "items.json", mirror=archive.mirror)
    summary = extract(archive.folder / "plots.csv", tmp_path / "out", made_of, workers=None)
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "processes" in line] == [
        "Going on with 2 processes; --workers 1 keeps to one"
    ]
    assert contents(tmp_path / "out") == expected
    assert summary.rows["plot_id"].tolist() == [str(n) for n in range(PLOTS)]


@shows("the others fail", "run")
@pytest.mark.usefixtures("others_pay")
def test_a_run_ends_where_the_processes_beside_it_do(
    archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(*_: object, **_of: object) -> None:
        raise AccessError("the scheduler is lost")

    monkeypatch.setattr("timesync_xr.run.extract._Run._work_on", fail)
    made_of = Archive(archive.folder / "items.json", mirror=archive.mirror)
    with pytest.raises(AccessError, match="the scheduler is lost"):
        extract(archive.folder / "plots.csv", tmp_path / "out", made_of, workers=None)


@shows("no other process can start", "run")
@pytest.mark.usefixtures("others_pay")
def test_a_run_goes_on_alone_where_no_process_can_start(
    archive: SmallArchive,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in a sandbox without sockets. What the run tells is in the order of the list."""

    def refuse(*_: object, **_of: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("distributed.LocalCluster", refuse)
    made_of = Archive(archive.folder / "items.json", mirror=archive.mirror)
    summary = extract(archive.folder / "plots.csv", tmp_path / "out", made_of, workers=None)
    assert "Going on alone, as --workers 1 does: [Errno 1]" in capsys.readouterr().err
    assert contents(tmp_path / "out") == expected
    assert summary.rows["plot_id"].tolist() == [str(n) for n in range(PLOTS)]


@shows("Ctrl-C while others work", "run")
@pytest.mark.usefixtures("others_pay")
def test_stopped_by_hand_no_process_beside_is_left(
    archive: SmallArchive,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the run goes on to the same end."""
    advance, out, here = Beside.advance, tmp_path / "out", psutil.Process()
    before = set(here.children(recursive=True))

    def others() -> list[psutil.Process]:
        born = [process for process in here.children(recursive=True) if process not in before]
        return [process for process in born if "spawn_main" in " ".join(process.cmdline())]

    def interrupt(beside: Beside, observations: int) -> None:
        advance(beside, observations)
        end = time.monotonic() + 60
        while not (others() and len([*out.glob("ledger/observations/*/*")]) > 1):
            assert time.monotonic() < end
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(Beside, "advance", interrupt)
    made_of = Archive(archive.folder / "items.json", mirror=archive.mirror)
    with pytest.raises(KeyboardInterrupt):
        extract(archive.folder / "plots.csv", out, made_of, workers=None, progress=False)
    assert not others()
    assert extract(archive.folder / "plots.csv", out, made_of, progress=False).complete
    assert contents(out) == expected


@shows("Ctrl-C while others work", "run")
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of Unix")
def test_stopped_while_it_waits_for_the_others_nobody_works_on() -> None:
    """This process is through with the list, and waits for the last plots of the others."""
    queue, ended = PlotQueue([], lambda plot: (3, 9)), threading.Event()

    def work(queue: PlotQueue, _processes: int) -> None:
        time.sleep(0.5)  # until the other thread waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        end = time.monotonic() + 60
        while not queue.is_stopped:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.1)
        ended.set()

    with pytest.raises(KeyboardInterrupt), Beside(queue, work, lambda _: None, print) as beside:
        beside._work = beside._thread.submit(work, queue, 1)
    assert ended.is_set()


@pytest.fixture(scope="module")
def long_archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    """One plot with 60 dates, two of them of two platforms, one late one without its red band."""
    archive = SmallArchive(tmp_path_factory.mktemp("long"))
    for day in range(60):
        date = f"{np.datetime64('2020-07-01') + day}T18:30:00.1234567Z"
        archive.add("LC08", date, values={"blue": 8000 + 20 * day})
        if day in (3, 50):
            archive.add("LE07", date, values={"blue": 9000})
    archive.write_items()
    (red,) = archive.folder.rglob("LC08_*_20200827_*_red.TIF")
    red.unlink()
    x, y = REGIONS["CU"].center(3 * 5000 + 40, 9 * 5000 + 100)
    (archive.folder / "plots.csv").write_text(f"project_id,plot_id,x,y\np,1,{x},{y}\n")
    return archive


@pytest.mark.parametrize("formats", ["png,csv", "png,csv,spectra"])
@pytest.mark.parametrize("dies", [False, True], ids=["whole", "killed"])
@pytest.mark.usefixtures("others_pay")
def test_one_long_plot_is_shared_with_other_processes(
    long_archive: SmallArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    formats: str,
    dies: bool,
) -> None:
    """With the same bytes, also where the other dies of all that it takes."""
    monkeypatch.setattr("timesync_xr.run.plot._BATCH", 4)
    monkeypatch.setattr("timesync_xr.run.schedule.AT_ONCE", 8 if dies else 2)
    if dies:  # dask sends such a function as it is
        monkeypatch.setattr("timesync_xr.run.plot._make_part", lambda *_: os._exit(9))
    advance, share, taken = Beside.advance, Beside.share, []

    def wait_for_others(beside: Beside, observations: int) -> None:
        """Here nothing is done after the first batches until the others had some."""
        advance(beside, observations)
        end = time.monotonic() + 100
        while beside._work is not None and not (beside._made or beside._work.done()):
            assert time.monotonic() < end
            time.sleep(0.01)

    def shared(beside: Beside, *of: Any) -> Any:
        made_by_others = share(beside, *of)

        def seen() -> Iterator[Any]:
            for part, made in made_by_others:
                taken.append(made is not None)
                yield part, made

        return seen()

    monkeypatch.setattr(Beside, "advance", wait_for_others)
    made_of = Archive(long_archive.folder / "items.json", mirror=long_archive.mirror)
    lists = long_archive.folder / "plots.csv"
    chosen = Products(formats, chip_size=(9, 9))
    extract(lists, tmp_path / "one", made_of, products=chosen, progress=False, workers=1)
    monkeypatch.setattr(Beside, "share", shared)
    extract(lists, tmp_path / "two", made_of, products=chosen, progress=False, workers=None)
    assert taken
    assert set(taken) == {not dies}
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def contents(out: Path) -> dict[str, bytes]:
    """All files; the ledger's table with its lines in order, as plots may be done in any."""
    found = {
        str(p.relative_to(out)): p.read_bytes()
        for p in out.rglob("*")
        if p.is_file() and p.name != "lock"
    }
    table = found["ledger/plots.csv"].splitlines()
    return found | {"ledger/plots.csv": b"\n".join(sorted(table))}


class Cluster:
    """Processes of dask, on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        self.file = folder / "scheduler.json"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **environment},
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen[bytes]:
        self.file.unlink(missing_ok=True)
        arguments = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        started = self.start("dask", "scheduler", *arguments, "--scheduler-file", str(self.file))
        wait_for(self.file.exists)
        return started

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        arguments = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--host", "127.0.0.1")
        file = ("--scheduler-file", str(self.file))
        return self.start("dask", "worker", *arguments, *file, **environment)

    def run(self, archive: SmallArchive, out: Path) -> subprocess.Popen[bytes]:
        folder = archive.folder
        return self.start(
            "timesync_xr",
            "extract",
            str(folder / "plots.csv"),
            "--out",
            str(out),
            "--source",
            str(folder / "items.json"),
            "--mirror",
            archive.mirror,
            "--scheduler-file",
            str(self.file),
        )

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{self.processes.index(process)}.log").read_text()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.stop()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def done(out: Path) -> int:
    """How many plots are complete."""
    return len(ledger_of(out).query("status == 'complete'"))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same(
    cluster: Cluster,
    archive: SmallArchive,
    expected: dict[str, bytes],
    tmp_path: Path,
    workers: int,
) -> None:
    cluster.scheduler()
    for _ in range(workers):
        cluster.worker()
    run = cluster.run(archive, tmp_path / "out")
    assert run.wait(120) == 0, cluster.log(run)
    assert contents(tmp_path / "out") == expected


def test_a_killed_worker_costs_a_retry_and_late_ones_help(
    cluster: Cluster, archive: SmallArchive, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """The first worker dies at work; the run waits for others, which then do the rest."""
    out = tmp_path / "out"
    cluster.scheduler()
    run = cluster.run(archive, out)
    first = cluster.worker()
    wait_for(lambda: done(out) >= 3)
    os.killpg(first.pid, signal.SIGKILL)
    made = done(out)
    assert made < PLOTS
    assert run.poll() is None
    for _ in range(2):
        cluster.worker()
    assert run.wait(120) == 0, cluster.log(run)
    assert contents(out) == expected


DIES: dict[str, str] = {
    "is given the settings": "cluster.Settings.setup = lambda self, worker: os._exit(9)",
    "tells its version": "cluster._version = lambda: os._exit(9)",
    "begins its first plot": "plot.make_plot = lambda *_: os._exit(9)",
    "has done its first plot": """
make = plot.made = getattr(plot, "made", plot.make_plot)
def make_plot(*given):
    made = make(*given)
    threading.Timer(0.01, os._exit, (9,)).start()
    return made
plot.make_plot = make_plot
""",
    "gives the settings back": "cluster.Settings.teardown = lambda self, worker: os._exit(9)",
}
"""What makes a worker die when it does something; run twice as the worker starts."""


@pytest.mark.parametrize("moment", DIES)
@shows("a worker dies", "run")
def test_a_worker_that_dies_at_any_moment_ends_no_run(
    cluster: Cluster,
    archive: SmallArchive,
    expected: dict[str, bytes],
    tmp_path: Path,
    moment: str,
) -> None:
    """The others do the plots, with the settings; nothing of dask's own errors is shown."""
    preload = tmp_path / "preload.py"
    head = "import os, threading\nfrom timesync_xr.run import cluster, plot\n"
    preload.write_text(head + DIES[moment])
    cluster.scheduler()
    frail = cluster.worker(DASK_DISTRIBUTED__WORKER__PRELOAD=f'["{preload}"]')
    others = [cluster.worker() for _ in range(2)]
    wait_for(lambda: all("Registered to" in cluster.log(w) for w in (frail, *others)))
    run = cluster.run(archive, tmp_path / "out")
    assert run.wait(120) == 0, cluster.log(run)
    assert frail.wait(10) == 9, cluster.log(frail)
    assert contents(tmp_path / "out") == expected
    assert "Stream is closed" not in cluster.log(run)
    assert all("Removing Worker plugin" in cluster.log(w) for w in others)


@pytest.mark.deep
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_workers_killed_at_random_moments_end_no_run(
    cluster: Cluster,
    archive: SmallArchive,
    expected: dict[str, bytes],
    tmp_path: Path,
    way: signal.Signals,
) -> None:
    random = Random(way)
    cluster.scheduler()
    for number in range(share(4)):
        workers = [cluster.worker() for _ in range(3)]
        out = tmp_path / f"out{number}"
        run = cluster.run(archive, out)
        time.sleep(random.uniform(0.5, 5))
        for worker in workers[:2]:
            os.killpg(worker.pid, way)
            time.sleep(random.uniform(0, 0.5))
        assert run.wait(120) == 0, cluster.log(run)
        assert contents(out) == expected
        assert "Stream is closed" not in cluster.log(run)
        os.killpg(workers[2].pid, signal.SIGKILL)


def test_a_lost_scheduler_ends_the_run_and_the_next_goes_on(
    cluster: Cluster, archive: SmallArchive, expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    scheduler = cluster.scheduler()
    cluster.worker()
    run = cluster.run(archive, out)
    wait_for(lambda: done(out) >= 3)
    os.killpg(scheduler.pid, signal.SIGKILL)
    assert run.wait(60) == 1
    assert "the dask scheduler was lost" in cluster.log(run)
    assert "Traceback" not in cluster.log(run)
    assert 0 < done(out) < PLOTS
    cluster.scheduler()
    cluster.worker()
    again = cluster.run(archive, out)
    assert again.wait(120) == 0, cluster.log(again)
    assert f"{PLOTS} plots: {PLOTS} completed now" not in cluster.log(again)
    assert contents(out) == expected


def test_a_plot_that_kills_its_workers_is_set_aside(
    archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others are done, also those that were in the same workers' queues."""
    from distributed import Client, LocalCluster

    (tmp_path / "killer.py").write_text(
        "import os\n"
        "from timesync_xr.run import plot as job\n"
        "make = job.extract_plot\n"
        "def extract_plot(plot, *rest):\n"
        "    if plot.plot_id == '5':\n"
        "        os._exit(9)\n"
        "    return make(plot, *rest)\n"
        "def dask_setup(worker):\n"
        "    job.extract_plot = extract_plot\n"
    )
    preload = [str(tmp_path / "killer.py")]
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            preload=preload,
        ) as local,
        Client(local) as client,
    ):
        summary = extract(
            archive.folder / "plots.csv",
            tmp_path / "out",
            Archive(archive.folder / "items.json", mirror=archive.mirror),
            progress=False,
            workers=client,
        )
    assert summary.incomplete["plot_id"].tolist() == ["5"]
    assert "the workers that had it died" in str(summary)
    ledger = Project(str(tmp_path / "out")).plots
    assert (ledger["status"] == "complete").sum() == PLOTS - 1


def test_a_cluster_that_begins_without_workers_gets_its_first_by_the_run(
    archive: SmallArchive, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    """An adaptive cluster starts workers for tasks; a run gives tasks to the workers it knows."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
    ):
        local.adapt(minimum=0, maximum=1)
        archives = Archive(archive.folder / "items.json", mirror=archive.mirror)
        plots = archive.folder / "plots.csv"
        extract(plots, tmp_path / "out", archives, progress=False, workers=client)
    assert contents(tmp_path / "out") == expected


@shows("all workers gone", "run")
def test_a_run_whose_workers_are_gone_for_good_tells_it_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr("timesync_xr.run.cluster._LONE", 2.0)
    monkeypatch.setattr("timesync_xr.run.cluster._GONE", 4.0)
    told: list[str] = []
    queue = PlotQueue([Plot("p", "1", 0.0, 0.0)], lambda plot: (3, 9))
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
        waiting.listening(lambda text, is_news: told.append(text) if is_news else None),
        pytest.raises(AccessError, match="all workers died, and none came back in 4 s"),
    ):
        list(work_through(client, queue, lambda plot: lambda: plot))
    assert told == ["the cluster: no worker is there, waiting for one"]


def test_the_scheduler_never_holds_more_than_a_few_tasks() -> None:
    from distributed import Client, LocalCluster

    plots = [Plot("p", str(n), 0.0, 0.0) for n in range(200)]
    queue, held = PlotQueue(plots, lambda plot: (3, 9)), []
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as local,
        Client(local) as client,
    ):
        for plot, result in work_through(client, queue, lambda plot: partial(int, plot.plot_id)):
            assert result == int(plot.plot_id)
            held.append(len(local.scheduler.tasks))
    assert len(held) == 200
    assert max(held) <= AHEAD * 4 + 4  # what is done may not be forgotten yet


def test_a_script_that_every_worker_would_run_again_is_told_so(
    archive: SmallArchive, tmp_path: Path
) -> None:
    call = (
        "import timesync_xr as tx\n"
        f"archive = tx.Archive({str(archive.folder / 'items.json')!r}, mirror={archive.mirror!r})\n"
        f"tx.extract({str(archive.folder / 'plots.csv')!r}, {str(tmp_path / 'out')!r}, archive, "
        "workers=2, progress=False)\n"
    )
    (tmp_path / "script.py").write_text(call)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("timesync_xr.errors.InputError: the 2 workers did not start")
    assert 'below `if __name__ == "__main__":`' in last


@shows("a worker dies", "run")
def test_local_workers_that_die_as_they_start_are_started_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes: list[Any] = [RuntimeError("Nanny failed to start."), "cluster"]

    def start(**_: object) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("distributed.LocalCluster", start)
    begun: Any = _start(2)
    assert begun == "cluster"
    outcomes += [RuntimeError("Nanny failed to start.")] * 2
    with pytest.raises(InputError, match=r"2 workers did not start.*Where they were killed"):
        _start(2)


def test_a_run_of_local_workers_ends_in_silence(archive: SmallArchive, tmp_path: Path) -> None:
    """Without a dashboard that is not there, and without what dask's processes say at their end."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "timesync_xr",
            "extract",
            archive.folder / "plots.csv",
            "--out",
            tmp_path / "out",
            "--source",
            archive.folder / "items.json",
            "--mirror",
            archive.mirror,
            "--workers",
            "2",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    first, *others = done.stderr.splitlines()
    assert re.fullmatch(
        r"Working on the dask cluster tls://127\.0\.0\.1:\d+(, dashboard .*)?", first
    )
    assert all(re.match(r"\d+/24 plots", line) for line in others), done.stderr
    assert ("dashboard" in first) == (importlib.util.find_spec("bokeh") is not None)


def test_workers_that_join_late_get_the_settings_and_no_log_shows_them(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("GDAL_CACHEMAX", "77")
    cluster.scheduler()
    with Client(scheduler_file=str(cluster.file)) as client:
        client.register_plugin(Settings())
        for _ in range(2):
            cluster.worker(AWS_SECRET_ACCESS_KEY="theirs", GDAL_CACHEMAX="1")
        client.wait_for_workers(2, timeout=60)
        names = ("AWS_SECRET_ACCESS_KEY", "GDAL_CACHEMAX")

        def settings() -> list[str | None]:
            return [os.environ.get(name) for name in names]

        assert list(client.run(settings).values()) == [["planted-secret", "77"]] * 2
        monkeypatch.setenv("GDAL_CACHEMAX", "88")
        other = Settings("another run")
        client.register_plugin(other)
        client.unregister_worker_plugin(Settings().name)
        assert list(client.run(settings).values()) == [["planted-secret", "88"]] * 2
        client.unregister_worker_plugin(other.name)
        assert list(client.run(settings).values()) == [["theirs", "1"]] * 2
    assert "planted-secret" not in repr(Settings())
    assert not [p for p in cluster.processes if "planted-secret" in cluster.log(p)]


def test_a_late_worker_of_another_version_gets_no_plots(
    cluster: Cluster, archive: SmallArchive, expected: dict[str, bytes], tmp_path: Path
) -> None:
    preload = tmp_path / "preload.py"
    preload.write_text('import timesync_xr\ntimesync_xr.__version__ = "0.0.1"\n')
    cluster.scheduler()
    run = cluster.run(archive, tmp_path / "out")
    wait_for(lambda: "Working on the dask cluster" in cluster.log(run))
    time.sleep(2)  # by then the run has given the workers of the cluster, none, its settings
    cluster.worker(DASK_DISTRIBUTED__WORKER__PRELOAD=f'["{preload}"]')
    wait_for(lambda: "has timesync_xr 0.0.1, not" in cluster.log(run))
    assert done(tmp_path / "out") == 0
    cluster.worker()
    assert run.wait(120) == 0, cluster.log(run)
    assert contents(tmp_path / "out") == expected


def test_a_death_that_dask_counted_is_a_death() -> None:
    """A worker that is back at its address before anyone looked was there all the time."""
    from distributed import KilledWorker

    class Killed:
        status = "error"

        def add_done_callback(self, call: Callable[[object], None]) -> None:
            call(self)

        def result(self, timeout: float) -> None:
            raise KilledWorker("make_plot", None, 3)  # type: ignore[arg-type]

    class FakeClient:
        status, sent = "running", 0

        def submit(self, *call: object, **options: object) -> Killed:
            self.sent += 1
            assert self.sent < 20, "it goes on and on"
            return Killed()

        def nthreads(self) -> dict[str, int]:
            return {"tcp://worker": 1}

        def run(self, function: Callable[[], str], **options: object) -> dict[str, str]:
            return {"tcp://worker": function()}

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    queue = PlotQueue([Plot("p", "1", 0, 0)], lambda plot: (3, 9))
    made = work_through(FakeClient(), queue, lambda plot: lambda: 1)  # type: ignore[arg-type]
    assert [(plot.plot_id, result) for plot, result in made] == [("1", None)]


class _LockedError(Exception):
    """An error that no process can send: it holds a lock, and its class has no name elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_LockedError("a tile is odd"), "_LockedError: a tile is odd"),
        (CorruptAssetError("x red", "it is damaged", "Replace it"), "x red: it is damaged"),
        (TimeoutError("of the task, not of a worker"), "of the task"),
    ],
)
def test_any_error_on_a_worker_comes_back(error: Exception, told: str) -> None:
    """Each with its cause, which may be what can't be sent."""

    def fail() -> int:
        try:
            raise _LockedError("the cause")
        except _LockedError as cause:
            raise error from cause

    made, caught = pickle.loads(pickle.dumps(_caught(fail)))
    assert made is None
    assert told in str(caught)
    if not isinstance(error, _LockedError):
        assert type(caught) is type(error)
    assert getattr(caught, "kind", None) == getattr(error, "kind", None)
    assert _caught(lambda: 7) == (7, None)


def test_a_scheduler_file_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    with (
        pytest.raises(AccessError, match="there is no scheduler file"),
        running_cluster(None, str(tmp_path / "none.json")),
    ):
        pass
    (tmp_path / "scheduler.json").write_text("no JSON")
    with (
        pytest.raises(AccessError, match=r"scheduler\.json can't be reached"),
        running_cluster(None, str(tmp_path / "scheduler.json")),
    ):
        pass


def test_workers_of_this_machine_obey_no_one_else() -> None:
    """Who can connect to a scheduler can have its workers run any code, and read their secrets."""
    from distributed import Client

    with local_cluster(1) as client:
        address = str(client.scheduler_info()["address"])
        assert address.startswith("tls://127.0.0.1:")
        for stranger in (address, address.replace("tls", "tcp")):
            with pytest.raises((OSError, TypeError)):
                Client(stranger, timeout=1, set_as_default=False)


def test_workers_import_nothing_of_the_folder_they_are_started_in(tmp_path: Path) -> None:
    """Not even in place of a module of Python, as they begin."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    for name in ("socket", "types", "signal", "threading", "random", "multiprocessing"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'a').write({name!r})")
    script = elsewhere / "script.py"
    script.write_text(
        "import os\n"
        "from timesync_xr.run.cluster import local_cluster\n"
        "if __name__ == '__main__':\n"
        "    with local_cluster(1) as client:\n"
        "        print(client.submit(os.getpid).result() != os.getpid())\n"
        "    print(os.environ.get('PYTHONSAFEPATH'))\n"
    )
    told = subprocess.run(
        [sys.executable, script],
        cwd=here, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert told.stdout.split() == ["True", "None"], told.stderr
    assert not (tmp_path / "trap").exists()
