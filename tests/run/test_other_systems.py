"""A run on a system that lacks what only POSIX has, such as Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.archive import SmallArchive
from timesync_xr.grid import REGIONS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)

PROGRAM = """
import os, pkgutil, signal, sys, types
import dask.array, distributed, filelock, http.server, matplotlib.pyplot, numpy, obstore, pandas
import PIL.Image, pyarrow.parquet, pyproj, pystac_client, rasterio, rioxarray, subprocess, tempfile
import tqdm.auto, xarray, zarr

LACKS = {
    "pread", "pwrite", "preadv", "sync", "fdatasync", "fork", "getuid", "geteuid", "getgid",
    "statvfs", "uname", "sched_getaffinity", "getloadavg", "chown", "fchown", "mkfifo", "killpg",
    "setsid", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_SYNC", "SIGPIPE",
    "SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1", "SIGCHLD", "pthread_kill",
}

class Windows(types.ModuleType):
    def __getattr__(self, name):
        if name in LACKS:
            raise AttributeError(name)
        return getattr(REAL[self.__name__], name)

REAL = {"os": os, "signal": signal}
sys.modules |= {name: Windows(name) for name in REAL}  # for this package alone
import timesync_xr as tx
for module in pkgutil.walk_packages(tx.__path__, "timesync_xr."):
    if not module.name.endswith("stackstac") and "__main__" not in module.name:
        __import__(module.name)
sys.modules |= REAL
assert not hasattr(sys.modules["timesync_xr.storage.objects"].os, "pread")

from tests.interpret.making import start
from timesync_xr.cli.main import run
from timesync_xr.interpret.store import Store

plots, items, mirror, out = sys.argv[1:]
archive = tx.Archive(items, mirror=mirror)
made = tx.Products("png,csv,zarr", chip_size=(5, 5))
summary = tx.extract(plots, out, archive, products=made, progress=False)
assert summary.complete, summary
assert not len(tx.verify(out, plots))
tx.browse(out)
Store(tx.Project(out)).append([start(project="1211", plot="7")])
assert len(Store(tx.Project(out)).acts("1211", "7", "ann")) == 1
sys.argv[1:] = ["annual", out]
run()
"""


@pytest.mark.deep
def test_nothing_needs_what_only_posix_has(tmp_path: Path) -> None:
    """Plan, read, write, verify, look, interpret and the program itself, without these calls."""
    archive = SmallArchive(tmp_path / "archive")
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    plots = tmp_path / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    words = [plots, archive.write_items(), archive.mirror, tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("1211,7,2020,")
