"""A file of the archive that is damaged, hostile or another one: no chip comes of it."""

from __future__ import annotations

import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.archive import BUCKET, SmallArchive, as_read_anywhere
from tests.tally import shows
from timesync_xr import Archive, Products, Project, extract, repair, verify
from timesync_xr.catalog import kept as tile_items
from timesync_xr.catalog.dates import parse_datetime
from timesync_xr.catalog.kept import Search, TileItems
from timesync_xr.errors import AccessError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.project.ledger import failures_of
from timesync_xr.raster import reader
from timesync_xr.storage.folder import Folder

CU = REGIONS["CU"]
INSIDE = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
ELSEWHERE = CU.center(4 * 5000 + 2500, 10 * 5000 + 2500)
NOON = "T18:30:00.1234567Z"
NAME = "LC08_CU_003009_20200201_20210504_02"
WIDTH, TILE_WIDTH, TILE_OFFSETS, TILE_COUNTS = 256, 322, 324, 325


def entry(data: bytes, tag: int) -> tuple[int, int, int]:
    """Place, number and value of a tag in the directory of a little-endian TIFF."""
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        found, _, number, value = struct.unpack_from("<HHII", data, at)
        if found == tag:
            return at, number, value
    raise AssertionError(f"no tag {tag}")


def with_tag(data: bytes, tag: int, *, number: int = 1, value: int = 8) -> bytes:
    """A file whose directory says something else: whole numbers of four bytes."""
    at, _, _ = entry(data, tag)
    return data[: at + 2] + struct.pack("<HII", 4, number, value) + data[at + 12 :]


def with_short_blocks(data: bytes) -> bytes:
    """A file whose blocks are said to have 99 bytes each."""
    _, number, at = entry(data, TILE_COUNTS)
    return data[:at] + struct.pack("<I", 99) * number + data[at + 4 * number :]


def of_another_grid(data: bytes) -> bytes:
    """The same pixels, said to lie a pixel further east."""
    left = struct.pack("<d", CU.corner((3, 9))[0])
    assert data.count(left) == 1
    return data.replace(left, struct.pack("<d", CU.corner((3, 9))[0] + 30))


HUGE = 2**32 - 1
BLOCK = "its block .* can't have|it ends before|its block .* is damaged"
DAMAGE: dict[str, dict[str, tuple[Callable[[bytes], bytes], str]]] = {
    "lying header": {
        "width": (lambda data: with_tag(data, WIDTH, value=613), "lists 400 blocks"),
        "blocks": (lambda data: with_tag(data, TILE_WIDTH, value=128), "lists 400 blocks"),
        "offsets": (lambda data: with_tag(data, TILE_OFFSETS, number=400, value=9), BLOCK),
        "counts": (with_short_blocks, "its block .* is damaged"),
    },
    "absurd header": {
        "width": (lambda data: with_tag(data, WIDTH, value=HUGE), "is not within 1 and 100000"),
        "blocks": (lambda data: with_tag(data, TILE_WIDTH, value=HUGE), "empty or larger"),
        "number": (lambda data: with_tag(data, TILE_OFFSETS, number=HUGE), f"lists {HUGE} blocks"),
        "place": (lambda data: data[:4] + struct.pack("<I", HUGE) + data[8:], "cut off|it ends"),
        "entries": (lambda data: data[:8] + b"\xff\xff" + data[10:], "can't have 65535 entries"),
    },
    "another grid": {"shifted": (of_another_grid, "another grid than its item")},
    "no TIFF": {
        "page": (lambda _: b"<html>" * 100, "it is no TIFF"),
        "empty": (lambda _: b"", "cut off"),
    },
    "cut off file": {
        "in the header": (lambda data: data[:300], "cut off"),
        "in the blocks": (lambda data: data[:9000], "it ends before"),
    },
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for month in (1, 2):
        archive.add("LC08", f"2020-{month:02d}-01{NOON}")
    archive.add("LC08", f"2020-02-01{NOON}", (4, 10))
    archive.write_items()
    lines = [f"p,7,{INSIDE[0]},{INSIDE[1]}", f"p,9,{ELSEWHERE[0]},{ELSEWHERE[1]}"]
    (archive.folder / "plots.csv").write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    return archive


def run(archive: Path, out: Path) -> Any:
    reader.reset()
    tile_items._read.cache_clear()
    return extract(
        archive / "plots.csv",
        out,
        Archive(archive / "items.json", mirror=f"{BUCKET}={archive}"),
        products=Products(("png", "csv"), chip_size=(9, 9)),
        progress=False,
    )


def contents(out: Path) -> dict[str, bytes]:
    kept = ("prj_", "ledger/observations/", "ledger/plots.csv")
    paths = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: as_read_anywhere(path) for name, path in paths.items() if name.startswith(kept)}


@pytest.fixture(scope="module")
def whole(archive: SmallArchive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    assert run(archive.folder, out).complete
    return contents(out)


@shows(DAMAGE, "one asset")
@pytest.mark.parametrize(
    ("kind", "part"), [(kind, part) for kind in DAMAGE for part in DAMAGE[kind]]
)
@pytest.mark.cases(1)
def test_a_damaged_file_costs_one_observation(
    archive: SmallArchive, whole: dict[str, bytes], tmp_path: Path, kind: str, part: str
) -> None:
    copy, out = tmp_path / "archive", tmp_path / "out"
    shutil.copytree(archive.folder, copy, copy_function=os.link)
    damage, cause = DAMAGE[kind][part]
    file = copy / f"ard/{NAME}/{NAME}_red.TIF"
    good = file.read_bytes()
    file.unlink()
    file.write_bytes(damage(good))
    summary = run(copy, out)
    ledger = Project(str(out)).plots.set_index("plot_id")
    assert ledger["status"].to_dict() == {"7": "incomplete", "9": "complete"}
    (failure,) = failures_of(ledger.to_dict("index")["7"])
    assert failure["day"] == "2020-02-01"
    assert failure["asset"] == f"{NAME}_SR red"
    assert re.search(rf"{file.name}: .*({cause})", failure["cause"])
    assert re.fullmatch("Replace (it|the file) by a whole copy of the original", failure["remedy"])
    assert failure["cause"] in str(summary)
    assert Project(str(out)).log(("p", "7"))["outcome"].tolist() == ["written", "failed"]
    made = contents(out)
    lacking = {name for name in whole if name.startswith("prj_")} - set(made)
    assert {Path(name).stem.rpartition("_")[2] for name in lacking} == {"032"}
    assert len(lacking) == 4
    assert all(made[name] == whole[name] for name in made if name.startswith("prj_"))

    before = {name: (out / name).stat().st_mtime_ns for name in made if name.startswith("prj_")}
    file.unlink()
    file.write_bytes(good)
    again = run(copy, out)
    assert again.complete
    assert again.rows["plot_id"].tolist() == ["7"]
    assert contents(out) == whole
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())


OF_ALL = ("ledger/plots.csv", "ledger/project.json", "ledger/items/CU_h03v09_table.parquet")
"""Files of a project that are of all of its plots alike."""


@shows("corrupt bytes", "output")
@pytest.mark.parametrize("name", OF_ALL)
@pytest.mark.parametrize("damage", ["half", "bytes"])
@pytest.mark.deep
def test_a_damaged_file_of_all_plots_is_a_finding_that_is_mended(
    archive: SmallArchive, whole: dict[str, bytes], tmp_path: Path, name: str, damage: str
) -> None:
    out = tmp_path / "out"
    items = Archive(archive.folder / "items.json", mirror=f"{BUCKET}={archive.folder}")
    assert run(archive.folder, out).complete
    path = out / name
    good = path.read_bytes()
    data = bytearray(good)
    data[3::11] = bytes(len(data[3::11]))
    path.write_bytes(data if damage == "bytes" else data[: len(data) // 2])
    (out / "prj_p/7_spectral_files_set_2020_032.csv").unlink()
    problems = verify(out, archive.folder / "plots.csv")
    assert problems["file"].iloc[0] == name
    assert problems["kind"].iloc[0] == "broken"
    rest = problems.iloc[1:].to_dict("records")
    if name == "ledger/plots.csv":  # of both kinds of damage no row is whole
        assert {row["plot_id"] for row in rest} == {"7", "9"}
        assert {row["kind"] for row in rest} == {"not done"}
        assert not any(row["remedy"].startswith("Remove") for row in rest)
    else:
        assert [(row["plot_id"], row["day"]) for row in rest] == [("7", "2020-02-01")]
    if name == "ledger/project.json":
        with pytest.raises(ProjectError, match=r"project\.json is damaged .*: put back a copy"):
            repair(out, problems, items, progress=False)
        path.write_bytes(good)
        problems = verify(out)
    repair(out, problems, items, archive.folder / "plots.csv", progress=False)
    made = Products(("png", "csv"), chip_size=(9, 9))
    extract(archive.folder / "plots.csv", out, items, products=made, progress=False)
    assert verify(out, archive.folder / "plots.csv").empty
    same = contents(out)
    assert {n: d for n, d in same.items() if n != "ledger/plots.csv"} == {
        n: d for n, d in whole.items() if n != "ledger/plots.csv"
    }
    if name == "ledger/plots.csv":
        assert (out / "ledger/damaged/plots.csv").read_bytes() != good


@pytest.mark.deep
def test_rows_that_can_be_read_are_kept(archive: SmallArchive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    items = Archive(archive.folder / "items.json", mirror=f"{BUCKET}={archive.folder}")
    assert run(archive.folder, out).complete
    path = out / "ledger/plots.csv"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"complete", b"compl\0te", 1))
    problems = verify(out)
    assert problems[["plot_id", "kind", "file"]].values.tolist() == [
        ["", "broken", "ledger/plots.csv"],
        ["7", "not done", "ledger/observations/prj_p/plot_7.csv"],
    ]
    with pytest.raises(ProjectError, match=r"plots\.csv is damaged: timesync-xr verify --repair"):
        run(archive.folder, out)
    repair(out, problems, items, progress=False)
    assert Project(out).plots["plot_id"].tolist() == ["9"]
    assert Project(out).plots["status"].tolist() == ["complete"]
    repair(out, verify(out, archive.folder / "plots.csv"), items, archive.folder / "plots.csv",
           progress=False)  # fmt: skip
    assert path.read_bytes() == good
    assert verify(out, archive.folder / "plots.csv").empty


@pytest.mark.deep
def test_a_damaged_recent_row_makes_no_plot_complete(archive: SmallArchive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    items = Archive(archive.folder / "items.json", mirror=f"{BUCKET}={archive.folder}")
    assert run(archive.folder, out).complete
    recent = out / "ledger/recent"
    recent.mkdir(exist_ok=True)
    good = (out / "ledger/plots.csv").read_bytes()
    (recent / "00000007.csv").write_bytes(good[:200])
    (recent / "x.tmp").write_bytes(b"?")
    problems = verify(out)
    assert problems["file"].tolist() == [f"ledger/recent/{n}" for n in ("00000007.csv", "x.tmp")]
    with pytest.raises(ProjectError, match=r"00000007\.csv is damaged"):
        run(archive.folder, out)
    repair(out, problems, items, progress=False)
    assert verify(out).empty
    assert (out / "ledger/plots.csv").read_bytes() == good


@pytest.mark.parametrize("damage", ["text", "digit", "line", "folder", "nothing"])
@pytest.mark.deep
def test_a_damaged_list_is_a_finding_that_a_list_mends(
    archive: SmallArchive, tmp_path: Path, damage: str
) -> None:
    out, plots = tmp_path / "out", archive.folder / "plots.csv"
    items = Archive(archive.folder / "items.json", mirror=f"{BUCKET}={archive.folder}")
    assert run(archive.folder, out).complete
    path = out / "ledger/listed.csv"
    good = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        first, second, *rest = good.splitlines(keepends=True)
        path.write_bytes(
            {
                "text": good.replace(b"x_listed", b"x"),
                "digit": first + second.replace(b"0.0", b"4.0") + b"".join(rest),
                "line": first + b"".join(rest),
                "nothing": b"",
            }[damage]
        )
        assert path.read_bytes() != good
    problems = verify(out)
    assert problems[["kind", "file"]].values.tolist() == [["broken", "ledger/listed.csv"]]
    assert "--plots PLOTS.csv --repair" in problems["remedy"].iloc[0]
    if damage == "folder":  # which may hold anything
        with pytest.raises(AccessError, match=r"listed\.csv can't be read"):
            repair(out, problems, items, plots, progress=False)
        return
    repair(out, problems, items, plots, progress=False)
    assert path.read_bytes() == good
    assert (out / "ledger/damaged/listed.csv").exists()
    assert verify(out, plots).empty


@pytest.mark.parametrize(
    "name", ["plots.csv", "project.json", "items/CU_h03v09_table.parquet", "items/CU_h03v09.json"]
)
@pytest.mark.cases(1)
def test_a_folder_in_place_of_a_file_does_not_end_verify(
    archive: SmallArchive, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    items = Archive(archive.folder / "items.json", mirror=f"{BUCKET}={archive.folder}")
    assert run(archive.folder, out).complete
    (out / "ledger" / name).unlink()
    (out / "ledger" / name).mkdir()
    problems = verify(out)
    assert problems["file"].iloc[0] == f"ledger/{name}"
    if name == "plots.csv":  # what the disk does not give now it may give later
        before = sorted(out.rglob("*"))
        with pytest.raises(AccessError, match=r"plots\.csv can't be read"):
            repair(out, problems, items, progress=False)
        assert {*before} <= {*out.rglob("*")}


def test_settings_that_are_gone_are_a_finding(archive: SmallArchive, tmp_path: Path) -> None:
    assert run(archive.folder, tmp_path / "out").complete
    (tmp_path / "out/ledger/project.json").unlink()
    (problem,) = verify(tmp_path / "out").to_dict("records")
    assert problem["problem"].startswith("it is missing, and the ledger knows of plots")
    assert problem["remedy"].startswith("Put back a copy of it")


ODD_MARK = '{"datetime": "x", "digest": "", "source": "", "file": ""}'


@pytest.mark.parametrize("mark", ["[]", "{}", '{"digest": 1}', ODD_MARK, "{half"])
def test_a_damaged_search_is_made_anew(archive: SmallArchive, tmp_path: Path, mark: str) -> None:
    out = tmp_path / "out"
    folder = Folder(out)
    search = Search(Archive(archive.folder / "items.json"), CU, parse_datetime(None))
    table = TileItems(folder, search, refresh=False).of(["0309"])[0]
    right = table.read()
    path = out / "ledger/items/CU_h03v09.json"
    path.write_text(mark)
    assert [*tile_items.damaged_items(folder)] == ["ledger/items/CU_h03v09.json"]
    again = TileItems(folder, search, refresh=False).of(["0309"])[0]
    pd.testing.assert_frame_equal(again.read(), right)
    assert [*tile_items.damaged_items(folder)] == []
    (out / "ledger/items/CU_h03v09_table.parquet").unlink()
    tile_items._read.cache_clear()
    assert [*tile_items.damaged_items(folder)] == ["ledger/items/CU_h03v09_table.parquet"]
    again = TileItems(folder, search, refresh=False).of(["0309"])[0]
    pd.testing.assert_frame_equal(again.read(), right)


@pytest.mark.parametrize("name", OF_ALL)
@pytest.mark.parametrize("damage", ["half", "bytes"])
@pytest.mark.deep
def test_a_damaged_file_of_the_project_is_named(
    archive: SmallArchive, whole: dict[str, bytes], tmp_path: Path, name: str, damage: str
) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(archive.folder, copy, copy_function=os.link)
    file = copy / f"ard/{NAME}/{NAME}_red.TIF"
    file.rename(file.with_suffix(".bak"))
    assert not run(copy, tmp_path / "out").complete
    file.with_suffix(".bak").rename(file)
    path = tmp_path / "out" / name
    good = path.read_bytes()
    data = bytearray(good)
    data[3::11] = bytes(len(data[3::11]))
    path.write_bytes(data if damage == "bytes" else data[: len(data) // 2])
    if not name.endswith(".parquet"):  # that is searched anew
        with pytest.raises(ProjectError, match=rf"{name} is damaged(: timesync-xr| .*: put back)"):
            run(copy, tmp_path / "out")
        if name.endswith(".json"):
            path.write_bytes(good)
        else:
            path.unlink()
    assert run(copy, tmp_path / "out").complete
    assert contents(tmp_path / "out") == whole
