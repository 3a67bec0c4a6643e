"""Headers that a project keeps: what was packed comes back, and nothing else is believed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from tests.raster.test_reader import BUCKET, asset, footing, make
from tests.servers import file_server
from tests.tally import shows
from timesync_xr.errors import CorruptAssetError
from timesync_xr.raster import headers as kept
from timesync_xr.raster import reader, tiff
from timesync_xr.raster.headers import HEADERS, Known, kept_headers, pack, unpack
from timesync_xr.raster.reader import Reading, begin_read
from timesync_xr.raster.tiff import TiffError, TiffHeader
from timesync_xr.storage.access import Access
from timesync_xr.storage.folder import Folder
from timesync_xr.storage.objects import Version

PLACE = f"{HEADERS}/CU_003004"
VERSION = Version('"an etag"', 123456)


@pytest.fixture(autouse=True)
def fresh() -> None:
    reader.reset()


def header_of(path: Path) -> TiffHeader:
    return tiff.parse_header([(0, path.read_bytes())])


def same(one: TiffHeader, other: TiffHeader) -> bool:
    arrays = ("offsets", "counts")
    return all(
        np.array_equal(value, getattr(other, name)) and value.dtype == getattr(other, name).dtype
        if name in arrays
        else value == getattr(other, name)
        for name, value in vars(one).items()
    )


KINDS = [
    {},
    {"compress": "none", "predictor": 1},
    {"compress": "lzw", "BIGTIFF": "YES"},
    {"tiled": False, "blockysize": 7, "ENDIANNESS": "BIG"},
    {"compress": "zstd", "nodata": 0, "width": 700, "height": 900, "SPARSE_OK": False},
]


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_a_header_comes_back_as_the_files_own(tmp_path: Path, changes: dict[str, object]) -> None:
    make(tmp_path / "red.tif", **{"width": 1500, "height": 1400, **changes})
    header = header_of(tmp_path / "red.tif")
    found = unpack(pack(Known(header, VERSION)))
    assert same(found.header, header)
    assert found.version == VERSION


def test_no_change_of_a_record_gives_anything_but_a_checked_header(tmp_path: Path) -> None:
    """What is inside may be anything: a stranger's checksums are right."""
    make(tmp_path / "red.tif", width=1500, height=1400)
    record = pack(Known(header_of(tmp_path / "red.tif"), VERSION))
    raw, dice = bytearray(record), random.Random(7)
    refused = 0
    for _ in range(400):
        changed = bytearray(raw)
        for _ in range(dice.choice([1, 1, 2])):
            changed[dice.randrange(110)] = dice.randrange(256)
        if dice.random() < 0.2:
            del changed[dice.randrange(len(changed)) :]
        try:
            header = unpack(bytes(changed)).header
        except TiffError:
            refused += 1
            continue
        across = -(-header.width // header.block_width)
        down = -(-header.height // header.block_height)
        assert header.offsets.size == header.counts.size == across * down <= tiff.MAX_BLOCKS
        assert 2 * header.block_width * header.block_height <= tiff.MAX_BLOCK_BYTES
    assert 100 < refused < 400


@pytest.mark.parametrize("data", [b"", b"x" * 50, b"\0" * 500, b"\xff" * 5000])
def test_other_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(TiffError):
        unpack(data)


class Place:
    """A project and an archive of one file behind a server; what was asked for is counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder / "project")
        self.file = folder / "archive/red.tif"
        self.file.parent.mkdir()
        make(self.file, width=1500, height=1400)
        self.asked: list[str] = []
        self.of = replace(asset(), width=1500, height=1400)
        self.port = 0

    def read(self, col: int = 130) -> tuple[npt.NDArray[np.uint16], int]:
        """Pixels as another process reads them, and how many requests that took."""
        reader.reset()
        before = len(self.asked)
        out = np.zeros((9, 9), np.uint16)
        with kept_headers(self.folder) as headers:
            access = Access(mirrors=((BUCKET, f"http://127.0.0.1:{self.port}"),))
            begin_read(self.of, footing(col, 140, 9, 9), Reading(access, headers=headers))(out)
        return out, len(self.asked) - before

    def true(self, col: int = 130) -> npt.NDArray[np.uint16]:
        with rasterio.open(self.file) as file:
            window = rasterio.windows.Window(col, 140, 9, 9)
            return file.read(1, window=window)  # type: ignore[no-any-return]

    @property
    def names(self) -> list[str]:
        return sorted(self.folder.names(PLACE))

    def forge(self, header: TiffHeader) -> None:
        """Put a header into the project in place of what it keeps, with right checksums."""
        (name,) = self.names
        ((key, record),) = kept._records(self.folder.read(f"{PLACE}/{name}"))[0].items()
        self.folder.remove(f"{PLACE}/{name}")
        known = Known(header, unpack(record).version)
        kept._write_place(self.folder, PLACE, {key: pack(known)})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with file_server(place.file.parent, place.asked, tags=True) as place.port:
        yield place


def test_another_process_asks_for_no_header(place: Place) -> None:
    cold, requests = place.read()
    again, fewer = place.read()
    assert (requests, fewer) == (2, 1)
    np.testing.assert_array_equal(again, cold)
    np.testing.assert_array_equal(place.read(600)[0], place.true(600))
    assert len(place.names) == 1


@shows("a file that changed since its header was kept", "archive")
def test_a_file_that_was_replaced_is_noticed(place: Place) -> None:
    place.read()
    make(place.file, width=1500, height=1400, compress="lzw")
    pixels, requests = place.read()
    np.testing.assert_array_equal(pixels, place.true())
    assert requests == 3  # by the old header, and then header and block
    assert place.read()[1] == 1


@shows("damaged headers", "output")
@pytest.mark.parametrize("how", ["cut off", "a byte", "another file", "gone"])
def test_damaged_files_of_headers_are_none(place: Place, how: str) -> None:
    place.read()
    (name,) = place.names
    path = Path(place.folder.root, PLACE, name)
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    if how == "gone":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            bytes({"cut off": data[:-9], "a byte": data, "another file": b"\0" * 99}[how])
        )
    assert [*kept.damaged_headers(place.folder)] == [f"{PLACE}/{name}"]
    pixels, requests = place.read()
    np.testing.assert_array_equal(pixels, place.true())
    assert requests == 2


@shows("forged headers", "output")
@pytest.mark.parametrize("how", ["beyond the end", "other blocks", "sizes", "another grid"])
def test_a_header_by_which_nothing_can_be_read_is_read_anew(place: Place, how: str) -> None:
    place.read()
    header = header_of(place.file)
    kinds: dict[str, dict[str, Any]] = {
        "beyond the end": {"offsets": header.offsets + np.uint32(2**31)},
        "other blocks": {"offsets": header.offsets + np.uint32(5)},
        "sizes": {"counts": header.counts * np.uint32(2**12)},
        "another grid": {"transform": (0.0, 0.0, 30.0, -30.0)},
    }
    place.forge(replace(header, **kinds[how]))
    pixels, _ = place.read()
    np.testing.assert_array_equal(pixels, place.true())
    assert place.read()[1] == 1  # the true one is kept by now


def test_a_damaged_file_is_told_as_before(place: Place) -> None:
    place.read()
    with place.file.open("r+b") as file:
        file.seek(int(header_of(place.file).offsets[0]))
        file.write(b"\xff" * 99)
    for _ in range(2):
        with pytest.raises(CorruptAssetError, match=r"LC09_CU_003004_SR red.*block 0 is damaged"):
            place.read()


def test_many_files_of_a_place_become_few(tmp_path: Path) -> None:
    make(tmp_path / "red.tif", width=1500, height=1400)
    header, folder = header_of(tmp_path / "red.tif"), Folder(tmp_path / "project")
    record = pack(Known(header, VERSION))
    for number in range(20):
        with kept_headers(folder) as headers:
            headers.add("LC09_CU_003004_SR", (None, f"https://host/{number}.tif"), record, VERSION)
    assert len(folder.names(PLACE)) == 5
    headers = kept.KeptHeaders(folder)
    for number in range(20):
        found = headers.find("LC09_CU_003004_SR", (None, f"https://host/{number}.tif"))
        assert found == record
    assert headers.find("LC09_CU_003004_SR", ("https://s3", "https://host/1.tif")) is None


def test_headers_of_other_places_may_come_while_some_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plot's headers are saved for others while its own threads go on to read."""
    folder, write = Folder(tmp_path / "project"), kept._write_place

    def write_slowly(*of: Any) -> None:
        headers.add("LC09_CU_003005_SR", (None, "https://host/2"), b"2", VERSION)
        write(*of)

    monkeypatch.setattr(kept, "_write_place", write_slowly)
    with kept_headers(folder) as headers:
        headers.add("LC09_CU_003004_SR", (None, "https://host/1"), b"1", VERSION)
        headers.save()
    assert folder.names(HEADERS) == {"CU_003004", "CU_003005"}


def test_much_is_written_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_FILE", 25)
    folder, item = Folder(tmp_path / "project"), "LC09_CU_003004_SR"
    with kept_headers(folder) as headers:
        for number in range(7):
            headers.add(item, (None, f"https://host/{number}"), b"%d" % number * 10, VERSION)
    assert len(folder.names(PLACE)) == 3
    assert not [*kept.damaged_headers(folder)]
    again = kept.KeptHeaders(folder)
    found = [again.find(item, (None, f"https://host/{number}")) for number in range(7)]
    assert found == [b"%d" % number * 10 for number in range(7)]


def test_what_can_not_be_told_apart_later_is_not_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "project")
    with kept_headers(folder) as headers:
        headers.add("LC09_CU_003004_SR", (None, str(tmp_path / "red.tif")), b"x", VERSION)
        headers.add("../../x", (None, "https://host/a.tif"), b"x", VERSION)
        headers.add("LC09_CU_003004_SR", (None, "https://host/a.tif"), b"x", Version("", 5))
    assert not folder.names(HEADERS)


def test_files_of_headers_hold_no_address(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "project")
    with kept_headers(folder) as headers:
        headers.add("LC09_CU_003004_SR", (None, "https://me:secret@host/a.tif"), b"x", VERSION)
    (name,) = folder.names(PLACE)
    data = folder.read(f"{PLACE}/{name}")
    assert b"secret" not in data
    assert b"host" not in data
    assert struct.unpack_from("<16s", data, len(kept._MAGIC))[0] == kept._key(
        (None, "https://host/a.tif")
    )
