"""Fixtures that several test files use, and the rule that no test leaves the machine."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.tally import counts
from timesync_xr import Archive, Products, extract, make_sample
from timesync_xr.sample import SamplePaths

settings.register_profile("patient", deadline=None)  # a shared machine is slow at times
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for the processes of the tests


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


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SamplePaths:
    """The sample archive."""
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def sample_project(sample: SamplePaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of all plots of the sample archive. It is shared: copy it to change it."""
    project = tmp_path_factory.mktemp("project")
    mirror = f"s3://usgs-landsat-ard={sample.folder}"
    extract(sample.plots, project, Archive(sample.items, mirror=mirror), progress=False)
    return project


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


@pytest.fixture(scope="session")
def golden_projects(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project of each golden archive, by its name. They are shared: copy one to change it."""
    projects = {}
    for name in ("real", "mosaic"):
        archive, projects[name] = shared / "golden" / name, tmp_path_factory.mktemp(name)
        extract(
            archive / "plots.csv",
            projects[name],
            Archive(archive / "items.json", mirror=f"s3://usgs-landsat-ard={archive}"),
            products=Products(("png", "csv")),
            progress=False,
        )
    return projects
