"""Disks that are full or may not be written to: real ones, mounted for the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.archive import BUCKET, SmallArchive
from tests.tally import shows
from timesync_xr import Archive, Products, Project, extract
from timesync_xr.errors import AccessError
from timesync_xr.grid import REGIONS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a disk of its own, of memory or of a folder, with some options."""
    if os.geteuid() != 0:
        pytest.fail("only root may mount: run the tests of services as root")
    mounted: list[Path] = []

    def mount(*options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        subprocess.run(["mount", *options, str(place)], check=True)
        mounted.append(place)
        return place

    yield mount
    for place in reversed(mounted):
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    for month in range(1, 5):
        archive.add("LC08", f"2020-{month:02d}-01T18:30:00.1234567Z")
    archive.write_items()
    lines = [f"p,{number},{INSIDE[0] + 30 * number},{INSIDE[1]}" for number in range(20)]
    (archive.folder / "plots.csv").write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    return archive


def run(archive: SmallArchive, out: Path) -> Any:
    return extract(
        archive.folder / "plots.csv",
        out,
        Archive(archive.folder / "items.json", mirror=f"{BUCKET}={archive.folder}"),
        products=Products(chip_size=(9, 9)),
        progress=False,
    )


def contents(out: Path) -> dict[str, bytes]:
    kept = ("prj_", "ledger/observations/", "ledger/plots.csv")
    paths = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if name.startswith(kept)}


@shows(["disk full", "no inodes left"], "output")
@pytest.mark.parametrize("option", ["size=600k", "nr_inodes=150"])
def test_a_disk_that_is_full_in_the_middle(
    archive: SmallArchive, tmp_path: Path, mount: Mount, option: str
) -> None:
    assert run(archive, tmp_path / "whole").complete
    whole = contents(tmp_path / "whole")
    disk = mount("-t", "tmpfs", "-o", option, "tmpfs")
    out = disk / "out"
    for _ in range(2):  # the second time there is no room from the start
        with pytest.raises(
            AccessError, match=r"can't be written: No space left.*Make room on the disk"
        ):
            run(archive, out)
    made = contents(out)
    chips = [name for name in made if name.startswith("prj_")]
    assert 20 < len(chips) < len([name for name in whole if name.startswith("prj_")])
    assert all(made[name] == whole[name] for name in chips)
    done = Project(out).plots.query("status == 'complete'")["plot_id"].tolist()
    assert 0 < len(done) < 20

    larger = tmp_path / "larger"
    shutil.copytree(out, larger)
    kept = [name for name in chips for plot in done if re.search(rf"[/_]{plot}_\w+\.\w+$", name)]
    assert len(kept) == 16 * len(done)
    before = {name: (larger / name).stat().st_mtime_ns for name in kept}
    again = run(archive, larger)
    assert again.complete
    assert again.already == len(done)
    assert contents(larger) == whole
    assert not list((larger / "ledger/tmp").glob("*"))
    assert all((larger / name).stat().st_mtime_ns == when for name, when in before.items())


@shows("read-only disk", "output")
def test_a_disk_that_may_not_be_written_to(
    archive: SmallArchive, tmp_path: Path, mount: Mount
) -> None:
    out = tmp_path / "project"
    run(archive, out)
    before = contents(out)
    (out / "ledger/plots.csv").unlink()
    disk = mount("--bind", str(out))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
    with pytest.raises(AccessError, match="can't be written: Read-only file system"):
        run(archive, disk)
    assert contents(disk).keys() == before.keys() - {"ledger/plots.csv"}
    assert run(archive, out).complete
    assert contents(out) == before
