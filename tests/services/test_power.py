"""The power fails: what a disk holds at that moment, as copies of an ext4 image show it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.archive import SmallArchive
from tests.tally import counts, shows
from timesync_xr import Archive, Project, extract, verify
from timesync_xr.errors import ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.project.ledger import COMPLETE
from timesync_xr.project.products import Products

MOMENTS = 20
PLOTS = 45
"""More than a run has done at the last moment."""


def call(*command: object) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    call("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        for _ in range(120):  # processes that were killed may still be on their way out
            with suppress(subprocess.CalledProcessError):
                call("umount", place)
                break
            time.sleep(0.5)
        else:
            call("umount", place)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An empty ext4 file system of its own."""
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("only root can mount an image, made by mkfs.ext4")
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(192 * 2**20)
    call("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", image)
    try:
        with mounted(image, tmp_path / "try"):
            pass
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no image can be mounted here: {error.stderr}")
    return image


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def is_of(name: str, plot: str) -> bool:
    """Whether a file is one of a plot's: chip, CSV, log or part of the cube."""
    return f"/plot_{plot}/" in name or f"/plot_{plot}." in name or f"/{plot}_spectral" in name


@shows("the power fails", "output")
def test_no_plot_is_complete_whose_files_are_not_on_the_disk(image: Path, tmp_path: Path) -> None:
    """At 20 moments of a run, some of them soon after a plot was done."""
    archive = SmallArchive(tmp_path / "archive")
    for day in range(1, 9):
        archive.add("LC08", f"2020-07-0{day}T18:30:00Z")
    items = archive.write_items()
    places = [REGIONS["CU"].center(3 * 5000 + 2320 + 10 * n, 9 * 5000 + 2500) for n in range(PLOTS)]
    lines = [f"p,{n},{x},{y}" for n, (x, y) in enumerate(places)]
    plots = tmp_path / "plots.csv"
    plots.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    command = [sys.executable, "-m", "timesync_xr", "extract", str(plots), "--source", str(items),
               "--mirror", archive.mirror, "--chip-size", "17", "17", "--products", "png,csv,zarr",
               "--out"]  # fmt: skip
    copies = []
    with mounted(image, tmp_path / "disk_of_run") as disk:
        process = subprocess.Popen(
            [*command, str(disk / "out")], stderr=subprocess.DEVNULL, start_new_session=True
        )
        recent = disk / "out/ledger/observations/prj_p"
        for number in range(MOMENTS):
            while process.poll() is None and (
                not recent.is_dir() or len(list(recent.iterdir())) < 2 * number
            ):
                time.sleep(0.01)
            copies.append(tmp_path / f"copy{number}")
            call("cp", "--sparse=always", image, copies[-1])
        with suppress(ProcessLookupError):  # the run has ended
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it spread to
        process.wait()
    source = Archive(items, mirror=archive.mirror)
    made = Products(chip_size=(17, 17), formats=frozenset({"png", "csv", "zarr"}))
    extract(plots, tmp_path / "whole", source, products=made, progress=False)
    whole, done = contents(tmp_path / "whole"), 0
    for number, copy in enumerate(copies):
        with mounted(copy, tmp_path / "disk_after") as disk:
            with suppress(ProjectError):
                known = Project(disk / "out").plots
                complete = known.loc[known["status"] == COMPLETE, "plot_id"].astype(str).tolist()
                found = contents(disk / "out")
                for plot in complete:
                    names = [name for name in whole if is_of(name, plot)]
                    assert len(names) > 8 * 4
                    assert {n for n in names if found.get(n) != whole[n]} == set(), (number, plot)
                done += len(complete)
            if number == MOMENTS - 1:  # and the same command goes on from there
                assert extract(plots, disk / "out", source, products=made, progress=False).complete
                assert verify(disk / "out").empty
        copy.unlink()
    counts["crash images"] += len(copies)
    assert done > MOMENTS
