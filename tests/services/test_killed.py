"""Runs that are killed again and again, on a disk of this machine."""

from __future__ import annotations

from pathlib import Path

from tests.run import test_reliability
from tests.run.test_reliability import Services
from tests.tally import shows

archive, plots, whole, services = (
    test_reliability.archive,
    test_reliability.plots,
    test_reliability.whole,
    test_reliability.services,
)


@shows("SIGKILL", "run")
def test_killed_thirty_times(services: Services, tmp_path: Path) -> None:
    test_reliability.kill_at_random(services, tmp_path, 30)
