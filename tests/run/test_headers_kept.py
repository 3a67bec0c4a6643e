"""A project keeps the headers of files: other plots, later runs and other workers ask for none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive import BUCKET, SmallArchive
from tests.making import make
from tests.run.test_pixel_only import X, Y
from tests.servers import file_server
from timesync_xr import Archive, Project, repair, verify
from timesync_xr.raster import reader
from timesync_xr.raster.headers import HEADERS

ASSETS = 7


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    archive.add("LC08", "2019-07-01T18:30:00Z")
    return archive


@pytest.fixture
def served(archive: SmallArchive) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    with file_server(archive.folder, asked, tags=True) as port:
        yield f"{BUCKET}=http://127.0.0.1:{port}", asked


def run(folder: Path, archive: Archive, *xs: float, **options: object) -> Project:
    """What another process would make: this one forgets all that it has read."""
    reader.reset()
    lines = [f"p,{number},{x},{Y}" for number, x in enumerate(xs)]
    (folder / "plots.csv").write_text("\n".join(["project_id,plot_id,x,y", *lines]) + "\n")
    assert make(folder / "plots.csv", folder / "out", archive, **options).complete
    return Project(folder / "out")


def files(project: Project) -> dict[str, bytes]:
    root = Path(project.place)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("prj_*/**/*.*")}


@pytest.mark.deep
def test_a_year_more_asks_for_no_header_that_is_kept(
    archive: SmallArchive, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    mirror, asked = served
    made = Archive(archive.write_items(), mirror=mirror)
    run(tmp_path, made, X, formats=("csv",))
    assert len(asked) == 2 * ASSETS
    asked.clear()
    archive.add("LC08", "2020-07-01T18:30:00Z")
    more = Archive(archive.write_items(), mirror=mirror)
    run(tmp_path, more, X, X + 3000, formats=("csv",), refresh=True)
    assert len([path for path in asked if "_20190701_" in path]) == ASSETS  # the new plot's blocks
    new = [path for path in asked if "_20200701_" in path]
    assert len(new) == 2 * ASSETS + ASSETS
    asked.clear()
    project = run(tmp_path, more, X, X + 3000, X - 3000, formats=("csv",))
    assert len(asked) == 2 * ASSETS
    (place,) = project.folder.names(HEADERS)
    assert place == "CU_003009"


@pytest.mark.deep
def test_headers_that_are_kept_make_the_same_files(
    archive: SmallArchive, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    made = Archive(archive.write_items(), mirror=served[0])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    run(tmp_path / "one", made, X, X + 3000)
    run(tmp_path / "two", made, X)
    again = run(tmp_path / "two", made, X, X + 3000)
    assert files(again) == files(Project(tmp_path / "one/out"))


@pytest.mark.deep
def test_verify_names_damaged_headers_and_repair_removes_them(
    archive: SmallArchive, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    made = Archive(archive.write_items(), mirror=served[0])
    project = run(tmp_path, made, X, formats=("csv",))
    assert verify(project).empty
    (path,) = Path(project.place, HEADERS).rglob("*.bin")
    path.write_bytes(path.read_bytes()[:-1])
    problems = verify(project)
    assert problems["file"].tolist() == [str(path.relative_to(project.place))]
    repair(project, problems, made, progress=False)
    assert verify(project).empty
    assert not path.exists()


@pytest.mark.deep
def test_files_of_this_machine_leave_no_headers(archive: SmallArchive, tmp_path: Path) -> None:
    made = Archive(archive.write_items(), mirror=f"{BUCKET}={archive.folder}")
    project = run(tmp_path, made, X, formats=("csv",))
    assert not project.folder.names(HEADERS)
