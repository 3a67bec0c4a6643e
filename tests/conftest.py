"""Fixtures that several test files use, and the rule that no test leaves the machine."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.sharing import make_once, sample_of, sample_project_of
from tests.tally import counts
from timesync_xr.sample import SamplePaths
from timesync_xr.storage import folder

settings.register_profile("full", deadline=None)  # a shared machine is slow at times
settings.register_profile("ci", settings.get_profile("full"), derandomize=True)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=25)
settings.load_profile("quick")  # unless --hypothesis-profile says otherwise

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for the processes of the tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the further cases of a test with ``cases`` to the full depth."""
    seen: Counter[str] = Counter()
    for item in items:
        if marker := item.get_closest_marker("cases"):
            name = item.nodeid.partition("[")[0]
            seen[name] += 1
            if seen[name] > marker.args[0]:
                item.add_marker(pytest.mark.deep)


_BEGUN: pytest.StashKey[subprocess.Popen[bytes]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to make the sample where all tests run, so that no worker of xdist waits for it."""
    is_first = os.environ.get("PYTEST_XDIST_WORKER") == "gw0"
    if is_first and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        place = Path(config.option.basetemp).parent
        command = [sys.executable, "-m", "tests.sharing", str(place)]
        config.stash[_BEGUN] = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was begun, which is over long before unless the tests were stopped."""
    if begun := config.stash.get(_BEGUN, None):
        begun.kill()
        begun.wait()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on what a worker of xdist did to the tool."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counts"] = dict(counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add up what the workers did."""
    counts.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the tests did to the tool."""
    if counts:
        done = ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))
        terminalreporter.write_line(f"exercised: {done}")


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden archives and real records that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference data are not here: {SHARED} does not exist")
    return SHARED


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(shared_place: Path) -> MakeOnce:
    """Folders that are made by the first worker of xdist that needs them, for all."""
    return partial(make_once, shared_place)


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they are."""
    place = tmp_path_factory.getbasetemp()
    return place.parent if "PYTEST_XDIST_WORKER" in os.environ else place


@pytest.fixture(scope="session")
def sample(shared_place: Path) -> SamplePaths:
    """The sample archive."""
    folder = sample_of(shared_place)
    return SamplePaths(folder, folder / "items.json", folder / "plots.csv")


@pytest.fixture(scope="session")
def sample_project(shared_place: Path) -> Path:
    """A project of all plots of the sample archive. It is shared: copy it to change it."""
    return sample_project_of(shared_place)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Leave no figure to the tests that follow."""
    yield
    if plots := sys.modules.get("matplotlib.pyplot"):
        plots.close("all")


@pytest.fixture(scope="session", autouse=True)
def _wait_for_no_disk() -> Iterator[None]:
    """Have no whole disk written where a test of this process writes; commands wait as usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "_sync_file_system", lambda opened: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _stay_on_this_machine() -> Iterator[None]:
    """Refuse connections to anything but loopback: tests need no network, and must use none."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = "127.0.0.1" if address[0] == "localhost" else address[0]
            if not ipaddress.ip_address(host).is_loopback:
                raise OSError(f"a test may not connect to {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


class _GoldenProjects(dict[str, Path]):
    """Made when they are asked for."""

    def __init__(self, make: Callable[[str], Path]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, name: str) -> Path:
        return self.setdefault(name, self.make(name))


@pytest.fixture(scope="session")
def golden_projects(shared: Path, made_once: MakeOnce) -> dict[str, Path]:
    """A project of each golden archive ("real", "mosaic"), made by the command as a user gives it.

    They are shared: copy one to change it.
    """

    def make(name: str) -> Path:
        return made_once(name, lambda out: run_extract(shared / "golden" / name, out))

    return _GoldenProjects(make)


def run_extract(archive: Path, out: Path, *more: str) -> None:
    """Extract all plots of an archive in a folder by the command."""
    command = [sys.executable, "-m", "timesync_xr", "extract", str(archive / "plots.csv")]
    command += ["--out", str(out), "--source", str(archive / "items.json")]
    command += ["--mirror", f"s3://usgs-landsat-ard={archive}", *more]
    subprocess.run(command, check=True, capture_output=True, text=True)
