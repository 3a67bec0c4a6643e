"""The benchmarks run, and what they count holds: no times are looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.deep
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def targets() -> dict[str, str]:
    """Verdict of each target."""
    command = [sys.executable, "-m", "benchmarks", "--smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.partition("verdict\n")[2].splitlines()
    return {line[:52].strip(): line.rpartition("  ")[2] for line in lines}


def test_a_national_run_is_simulated() -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--plots", "1", "--items", "8", "--all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "observations written: 6" in done.stdout  # a third of the dates are fill


@pytest.mark.parametrize(
    "what",
    [
        "requests per SR asset, cold",
        "requests per SR asset, headers known",
        "requests that are not GET",
        "second plot in a tile: header requests",
        "bytes / (blocks + headers)",
        "requests per QA asset, cold",
        "requests per QA asset, headers known",
        "fill at the plot: requests but for headers",
        "fill at the plot: assets per observation",
        "neighbour plots: ranges fetched twice",
    ],
)
def test_requests_are_as_few_as_promised(targets: dict[str, str], what: str) -> None:
    assert targets[what] == "met"
