"""Untrusted bytes, led by coverage, for some seconds each."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import fuzz
from tests.tally import counts

ROOT = Path(__file__).parents[2]
SECONDS = 12


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_no_input_breaks_it(name: str, tmp_path: Path) -> None:
    if find_spec("atheris") is None:
        if platform.machine() != "x86_64":
            pytest.skip("atheris is not built for this machine")
        pytest.fail("there is no atheris: pip install -r tests/services/requirements.txt")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_guided", name, str(SECONDS), str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=False, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    found = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert found
    assert int(found[1]) > 100  # on a machine however busy
    counts["inputs fuzzed"] += int(found[1])
