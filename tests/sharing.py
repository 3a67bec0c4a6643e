"""Folders that are made once for all workers of xdist, and the sample among them.

``python -m tests.sharing PLACE`` makes the sample and its project, while the workers still begin.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from timesync_xr import Archive, extract, make_sample


def make_once(place: Path, name: str, make: Callable[[Path], object]) -> Path:
    """A folder below a place, made by the first process that needs it; others wait for it."""
    folder, whole = place / name, place / f"{name}.whole"
    with FileLock(place / f"{name}.lock"):
        if not whole.exists():
            make(folder)
            whole.touch()
    return folder


def sample_of(place: Path) -> Path:
    """The folder of the sample archive."""
    return make_once(place, "sample", make_sample)


def sample_project_of(place: Path) -> Path:
    """A project of all plots of the sample archive."""
    sample = sample_of(place)
    archive = Archive(sample / "items.json", mirror=f"s3://usgs-landsat-ard={sample}")
    plots = sample / "plots.csv"
    return make_once(place, "project", lambda out: extract(plots, out, archive, progress=False))


if __name__ == "__main__":
    sample_project_of(Path(sys.argv[1]))
