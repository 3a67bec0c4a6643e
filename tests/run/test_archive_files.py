"""Files of the archive are compared with the checksums of their items, as hashlib has them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import rasterio
from click.testing import CliRunner, Result
from rasterio.windows import Window

from tests.archive import SmallArchive
from tests.servers import file_server, stac_server
from tests.tally import shows
from timesync_xr import Archive, Products, Project, archive_files, extract, repair, verify
from timesync_xr.catalog import archive as archives
from timesync_xr.catalog.checksums import Checksum, parse_checksum
from timesync_xr.cli.main import main
from timesync_xr.errors import CorruptAssetError, InputError
from timesync_xr.grid import REGIONS
from timesync_xr.landsat import BANDS
from timesync_xr.raster import reader
from timesync_xr.storage import objects
from timesync_xr.storage.access import S3, Access

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
DAYS = ("2020-07-01", "2020-07-17", "2020-08-02")

MULTIHASH: dict[str, tuple[str, Callable[..., Any]]] = {
    "sha1": ("1114", hashlib.sha1),
    "sha2-256": ("1220", hashlib.sha256),
    "sha2-512": ("1340", hashlib.sha512),
    "sha3-256": ("1620", hashlib.sha3_256),
    "sha3-512": ("1440", hashlib.sha3_512),
    "md5": ("d50110", hashlib.md5),
    "blake2b-512": ("c0e40240", hashlib.blake2b),
    "blake2s-256": ("e0e40220", hashlib.blake2s),
}
"""Code and length of each kind in hexadecimal, by the table of multiformats; what computes it."""


def file_of(archive: SmallArchive, number: int, band: str) -> Path:
    return archive.path(archive.items[number]["id"].removesuffix("_SR"), band)


def tell_checksums(archive: SmallArchive, kind: str = "sha2-512") -> Path:
    """Give all assets their checksum and size; write the items."""
    code, compute = MULTIHASH[kind]
    for number, item in enumerate(archive.items):
        for band, asset in item["assets"].items():
            data = file_of(archive, number, band).read_bytes()
            asset["file:checksum"] = code + compute(data).hexdigest()
            asset["file:size"] = len(data)
    return archive.write_items()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    """An archive whose blocks are not packed, a list of two plots, and their project."""
    archive = SmallArchive(tmp_path_factory.mktemp("made") / "archive")
    for day in DAYS:
        archive.add("LC08", f"{day}T18:30:00.5Z")
    unpack(file_of(archive, 1, "red"))
    tell_checksums(archive)
    lines = [f"1211,{n},{X + 30 * n},{Y}" for n in (7, 8)]
    path = archive.folder / "plots.csv"
    path.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    run(archive, archive.folder / "project")
    return archive


def run(archive: SmallArchive, out: Path, formats: str = "png,csv,zarr") -> Any:
    reader.reset()
    products = Products(formats, chip_size=(9, 9))
    return extract(
        archive.folder / "plots.csv", out, of(archive), products=products, progress=False
    )


def of(archive: SmallArchive) -> Archive:
    return Archive(archive.folder / "items.json", mirror=archive.mirror)


@pytest.fixture
def archive(made: SmallArchive, tmp_path: Path) -> SmallArchive:
    """A copy of the archive with its project, to change."""
    copy = SmallArchive(Path(shutil.copytree(made.folder, tmp_path / "archive")))
    copy.items = json.loads((copy.folder / "items.json").read_text())["features"]
    return copy


def flip(path: Path) -> None:
    """Change one bit of the pixel of the first plot, if the file is not packed; else any bit."""
    data = bytearray(path.read_bytes())
    with rasterio.open(path) as file:
        pixel = file.read(1, window=Window(2500 + 7, 2500, 1, 1)).tobytes()
        offset = file.get_tag_item("BLOCK_OFFSET_9_9", "TIFF", bidx=1)
    place = int(offset or 0) + 2 * (256 * (2500 - 9 * 256) + 2507 - 9 * 256)
    if bytes(data[place : place + 2]) != pixel:
        place = next(n for n in range(len(data) // 2, len(data)) if data[n])
    data[place + 1] ^= 4
    path.write_bytes(data)


def unpack(path: Path) -> None:
    """Write a file anew, without a coding of its blocks."""
    with rasterio.open(path) as file:
        profile = file.profile | {"compress": "none", "sparse_ok": True}
        profile.pop("predictor", None)
        window = Window(2304, 2304, 512, 512)
        pixels = file.read(1, window=window)
    path.unlink()
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels, 1, window=window)


@shows("a changed bit that its coding does not notice", "one asset")
@pytest.mark.parametrize("kind", ["sha2-512", "blake2b-512"])
def test_one_changed_bit_is_named_by_its_asset(archive: SmallArchive, kind: str) -> None:
    project = archive.folder / "project"
    tell_checksums(archive, kind)
    assert archive_files(project, of(archive)).verify(progress=False).empty
    flip(file_of(archive, 1, "red"))
    assert verify(project).empty  # which reads the project alone
    problems = archive_files(project, of(archive)).verify(progress=False)
    assert problems[["project_id", "plot_id", "day", "kind"]].values.tolist() == [
        ["1211", plot, DAYS[1], "archive"] for plot in ("7", "8")
    ]
    assert problems["problem"].str.contains(f"{archive.items[1]['id']} red: .*_red.TIF").all()
    assert problems["problem"].str.contains(kind).all()
    assert problems["remedy"].str.startswith("Replace it by a whole copy").all()


@pytest.mark.parametrize("formats", ["png,csv,zarr", "zarr"])
@pytest.mark.deep
def test_once_the_file_is_replaced_its_observations_are_made_anew(
    archive: SmallArchive, tmp_path: Path, formats: str
) -> None:
    right = tmp_path / "right"
    run(archive, right, formats)
    path = file_of(archive, 1, "red")
    good = path.read_bytes()
    flip(path)
    run(archive, tmp_path / "out", formats)
    problems = archive_files(tmp_path / "out", of(archive)).verify(progress=False)
    assert contents(tmp_path / "out") != contents(right)
    path.write_bytes(good)
    reader.reset()
    repair(tmp_path / "out", problems, of(archive), progress=False)
    assert verify(tmp_path / "out").empty
    assert contents(tmp_path / "out") == contents(right)
    assert archive_files(tmp_path / "out", of(archive)).verify(progress=False).empty


def contents(project: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(project)): p.read_bytes()
        for p in project.rglob("prj_*/**/*")
        if p.is_file()
    }


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "shorter": (lambda data: data[:-1], "bytes, .* by its item"),
    "longer": (lambda data: data + b"\0", "more bytes than the"),
    "empty": (lambda _: b"", "0 bytes, .* by its item"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("part", [1000, 2**23])
def test_another_length_is_told(
    archive: SmallArchive, damage: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "WHOLE_PART", part)
    change, told = DAMAGE[damage]
    path = file_of(archive, 0, "qa_pixel")
    path.write_bytes(change(path.read_bytes()))
    problems = archive_files(archive.folder / "project", of(archive)).verify(progress=False)
    assert len(problems) == 2
    assert problems["problem"].str.contains(told).all()


def test_a_file_that_cannot_be_read_is_named_once(archive: SmallArchive) -> None:
    file_of(archive, 2, "nir08").unlink()
    problems = archive_files(archive.folder / "project", of(archive)).verify(progress=False)
    (row,) = problems.to_dict("records")
    assert (row["plot_id"], row["day"], row["kind"]) == ("", "", "archive")
    assert f"{archive.items[2]['id']} nir08" in row["problem"]
    assert "there is no such file: not compared" in row["problem"]
    before = contents(archive.folder / "project")
    repair(archive.folder / "project", problems, of(archive), progress=False)
    assert contents(archive.folder / "project") == before


def test_what_is_read_and_what_is_not_known_is_told_before(archive: SmallArchive) -> None:
    first, second, third = archive.items
    del first["assets"]["blue"]["file:checksum"]
    first["assets"]["red"]["file:checksum"] = "1e20" + "0" * 64
    second["assets"]["red"]["file:checksum"] = "99"
    third["assets"]["red"]["file:checksum"] = 7
    archive.write_items()
    files = archive_files(archive.folder / "project", of(archive))
    size = sum(file_of(archive, n, band).stat().st_size for n in range(3) for band in BANDS) - sum(
        file_of(archive, n, "red").stat().st_size for n in range(3)
    )
    size -= file_of(archive, 0, "blue").stat().st_size
    unknown = "Files of which nothing is known, as they have"
    assert str(files).splitlines() == [
        f"Files of the archive to read whole: 17, {size / 1e6:.1f} MB",
        f"{unknown} no checksum in their items: 1 of 21",
        f"{unknown} a checksum of a kind that can't be computed here (blake3, 0x1e): 1 of 21",
        f"{unknown} a checksum that is no multihash in hexadecimal: 2 of 21",
    ]
    for number in range(3):
        flip(file_of(archive, number, "red"))
    assert files.verify(progress=False).empty
    one = archive.folder / "one.csv"
    one.write_text("\n".join((archive.folder / "plots.csv").read_text().splitlines()[:2]))
    flip(file_of(archive, 0, "green"))
    found = archive_files(archive.folder / "project", of(archive), one).verify(progress=False)
    assert found["plot_id"].tolist() == ["7"]


def test_items_of_one_id_that_tell_different_checksums_are_not_believed(
    archive: SmallArchive,
) -> None:
    other = json.loads(json.dumps(archive.items[0]))
    other["assets"]["red"]["file:checksum"] = "1340" + "0" * 128
    archive.items.append(other)
    archive.write_items()
    files = archive_files(archive.folder / "project", of(archive))
    assert "they have another checksum in each of their items: 1 of 21" in str(files)
    assert files.verify(progress=False).empty


def invoke(*arguments: object, **more: Any) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments), "--archive"], **more)


@pytest.mark.deep
def test_the_command_tells_and_ends_with_1(archive: SmallArchive) -> None:
    project, items = archive.folder / "project", archive.folder / "items.json"
    given = project, "--source", items, "--mirror", archive.mirror
    good = invoke(*given)
    assert good.exit_code == 0, good.output
    assert good.output.startswith("Files of the archive to read whole: 21, ")
    assert good.output.endswith("Problems: none\n")
    flip(file_of(archive, 1, "red"))
    bad = invoke(*given, "--table", archive.folder / "problems.csv")
    assert bad.exit_code == 1
    assert "archive: 2 observations were made of LC08_CU_003009_20200717" in bad.output
    assert bad.output.endswith("Problems: 2 archive\n")
    assert len(pd.read_csv(archive.folder / "problems.csv")) == 2
    for item in archive.items:
        for asset in item["assets"].values():
            del asset["file:checksum"]
    archive.write_items()
    none = invoke(*given)
    assert none.exit_code == 1
    assert "No file of the archive has a checksum" in none.output


@pytest.mark.deep
def test_the_command_makes_anew_what_a_replaced_file_was_in(
    archive: SmallArchive, tmp_path: Path
) -> None:
    given = "--source", archive.folder / "items.json", "--mirror", archive.mirror
    project, table = archive.folder / "project", archive.folder / "bad.csv"
    run(archive, tmp_path / "right", "csv,spectra")
    right, path = contents(tmp_path / "right"), file_of(archive, 1, "red")
    good = path.read_bytes()
    flip(path)
    shutil.rmtree(project)
    run(archive, project, "csv,spectra")
    assert contents(project) != right
    bad = invoke(project, *given, "--table", table)
    assert bad.exit_code == 1
    assert "verify --repair --problems FILE.csv" in bad.output
    path.write_bytes(good)
    reader.reset()
    made = invoke(project, *given, "--repair", "--problems", table)
    assert made.exit_code == 0, made.output
    assert made.output.endswith("Problems: none\n")
    assert contents(project) == right


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0", None])
def test_a_table_of_problems_that_is_none_is_refused(
    archive: SmallArchive, text: str | None
) -> None:
    project, table = archive.folder / "project", archive.folder / "bad.csv"
    if text is not None:
        table.write_text(text)
    told = CliRunner().invoke(main, ["verify", str(project), "--repair", "--problems", str(table)])
    assert told.exit_code == 2
    assert "bad.csv" in told.output
    alone = CliRunner().invoke(main, ["verify", str(project), "--problems", str(table)])
    assert alone.exit_code == 2
    assert "give both" in alone.output


@pytest.mark.deep
def test_problems_of_plots_that_the_project_lacks_remove_nothing(archive: SmallArchive) -> None:
    project = archive.folder / "project"
    before = contents(project)
    stranger = project / "prj_1211/99_spectral_files_set_2020_183.csv"
    stranger.write_text("mine")
    problems = verify(project)
    day = "2020-07-01"
    rows = [("1211", "99", day, "broken", "", "", ""), ("9", "9", day, "archive", "", "", "")]
    problems = pd.concat([problems, pd.DataFrame(rows, columns=problems.columns)])
    repair(project, problems, of(archive), progress=False)
    assert stranger.read_text() == "mine"
    stranger.unlink()
    assert contents(project) == before


def test_what_costs_money_is_asked_for(
    archive: SmallArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr("timesync_xr.run.archive_files.read_whole", lambda a, _: read.append(a))
    given = archive.folder / "project", "--source", archive.folder / "items.json"
    asked = invoke(*given, input="n\n")
    assert asked.exit_code == 1
    assert not read
    size = sum(file_of(archive, n, band).stat().st_size for n in range(3) for band in BANDS)
    assert f"{21 * 0.0004 / 1000:.2f} USD for requests (requester pays)" in asked.output
    assert f"{size / 1e9 * 0.09:.2f} to elsewhere" in asked.output
    assert "Read them? [y/N]" in asked.output


@pytest.mark.deep
def test_checksums_are_those_of_the_items_that_the_project_keeps(
    archive: SmallArchive, tmp_path: Path
) -> None:
    with stac_server(archive.items) as port:
        source = Archive(f"http://127.0.0.1:{port}", mirror=archive.mirror)
        products, out = Products("csv", chip_size=(9, 9)), tmp_path / "out"
        extract(archive.folder / "plots.csv", out, source, products=products, progress=False)
    flip(file_of(archive, 1, "red"))
    files = archive_files(out, Archive(mirror=archive.mirror))  # and no API is asked
    assert len(files.to_read) == 21
    assert len(files.verify(progress=False)) == 2
    (kept,) = (out / "ledger/items").glob("*h03v09_items.json")
    kept.write_bytes(kept.read_bytes()[:-9])
    files = archive_files(out, Archive(mirror=archive.mirror))
    assert "project does not keep; --source may name them: 21 of 21" in str(files)
    assert files.verify(progress=False)["file"].tolist() == [f"ledger/items/{kept.name}"]


def test_another_archive_is_refused(archive: SmallArchive) -> None:
    with pytest.raises(InputError, match="the project was made of the collection landsat-c2ard-sr"):
        archive_files(archive.folder / "project", Archive("planetary-computer"))
    elsewhere = Archive(archive.folder / "items.json", mirror=f"s3://other={archive.folder}")
    with pytest.raises(InputError, match="no mirror is for the addresses"):
        archive_files(archive.folder / "project", elsewhere)


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3500])
def test_a_file_is_read_whole_from_a_server(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "WHOLE_PART", 1000)
    data = bytes(n % 251 for n in range(size))
    (tmp_path / "a.tif").write_bytes(data)
    access = Access(s3=S3(max_retries=0))
    assert b"".join(objects.read_whole(str(tmp_path / "a.tif"), access)) == data
    if size:  # a server has no first byte of an empty file
        with file_server(tmp_path) as port:
            address = f"http://127.0.0.1:{port}/a.tif"
            assert b"".join(objects.read_whole(address, access)) == data


def test_what_no_tiff_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with path.open("wb") as file:
        file.truncate(2**32 + 1)
    with pytest.raises(CorruptAssetError, match="it has 4294967297 bytes"):
        next(objects.read_whole(str(path), Access()))


@pytest.mark.parametrize("kind", MULTIHASH)
def test_multihashes_are_those_of_hashlib(kind: str) -> None:
    code, compute = MULTIHASH[kind]
    digest = compute(b"multihash").hexdigest()
    found = parse_checksum((code + digest).upper())
    assert isinstance(found, Checksum)
    assert (found.name, found.digest) == (kind, digest)
    state = found.begin()
    state.update(b"multihash")
    assert state.hexdigest() == digest


def test_a_multihash_of_the_specification() -> None:
    known = "122041dd7b6443542e75701aa98a0c235951a28a0d851b11564d20022ab11d2589a8"
    found = parse_checksum(known)
    assert isinstance(found, Checksum)
    assert (found.name, found.digest) == ("sha2-256", known[4:])


NONE: list[object] = ["12", "1220", "zz", "1220aa", "12 20", 5, [], {}, "ff" * 20]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "no checksum"),
        ("", "no checksum"),
        *((value, "no multihash") for value in NONE),
        ("1220" + "a" * 66, "no multihash"),
        ("1e20" + "a" * 64, "blake3, 0x1e"),
        ("9920" + "a" * 64, "no multihash|can't be computed"),
        ("1210" + "a" * 32, "16 bytes, which is not all of a sha2-256"),
        ("81e40201aa", "1 byte, which is not all of a blake2b-8 or too short"),
    ],
)
def test_what_is_no_checksum_says_why(value: object, why: str) -> None:
    found = parse_checksum(value)
    assert isinstance(found, str)
    assert any(part in found for part in why.split("|"))


def test_real_items_of_scenes_tell_checksums(shared: Path) -> None:
    folder = shared / "real/stac/landsatlook_c2l2-sr"
    item = json.loads((folder / "LC08_L2SP_047027_20201204_20210313_02_T1_SR.json").read_text())
    source = archives.SOURCES["landsatlook-scenes"]
    for band in BANDS:
        found = parse_checksum(item["assets"][source.assets[band]]["file:checksum"])
        assert isinstance(found, Checksum)
        assert found.name == "sha2-512"


def test_the_project_is_not_touched(archive: SmallArchive) -> None:
    project = archive.folder / "project"
    before = {p: p.stat().st_mtime_ns for p in project.rglob("*")}
    archive_files(Project(project), of(archive)).verify(progress=False)
    assert {p: p.stat().st_mtime_ns for p in project.rglob("*")} == before
