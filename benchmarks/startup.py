"""CPU seconds of starting: what ``import timesync_xr`` and the command's help cost."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator

from .targets import Target, at_most

_ALONE = "import numpy, xarray"
_COMMANDS = {
    "alone": [_ALONE],
    "import timesync_xr": [f"{_ALONE}; import timesync_xr"],
    "timesync-xr --help": [f"{_ALONE}; from timesync_xr.cli.main import main; main(['--help'])"],
}


def startup_targets(runs: int) -> Iterator[Target]:
    """The cost beyond importing xarray and numpy."""
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(runs):
        for name, code in _COMMANDS.items():
            seconds[name].append(_cpu([sys.executable, "-c", *code]))
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for name in list(_COMMANDS)[1:]:
        yield at_most(f"{name}, beyond xarray", 0.5, middle[name] - middle["alone"], "s")


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
