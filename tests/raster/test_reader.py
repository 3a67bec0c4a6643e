from __future__ import annotations

import json
import multiprocessing
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from timesync_xr.errors import (
    AccessError,
    CorruptAssetError,
    InputError,
    MissingAssetError,
    ReadError,
    TransientReadError,
)
from timesync_xr.landsat import QA_BAND, QA_FILL
from timesync_xr.raster import reader, tiff
from timesync_xr.raster.blocks import find_blocks
from timesync_xr.raster.footing import Footing
from timesync_xr.raster.reader import Asset, Reading, begin_read
from timesync_xr.storage.access import S3, Access

LEFT, TOP = -2115585, 2714805
SIZE = 5000
BUCKET = "s3://usgs-landsat-ard"
EDGE = 700
"""Pixels at the upper left and the lower right corner of the tile that hold data."""


def texture(rows: int, cols: int) -> npt.NDArray[np.uint16]:
    """Pixels of which neighbours differ and no row or column repeats."""
    numbers = np.arange(rows * cols, dtype=np.uint32).reshape(rows, cols)
    return (numbers * 40503 % 65521 + 1).astype(np.uint16)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """red.tif and qa.tif: tiles of 256 x 256 blocks with data at two corners, else sparse."""
    folder = tmp_path_factory.mktemp("archive")
    for name, nodata in (("red", 0), ("qa", 1)):
        make(folder / f"{name}.tif", nodata=nodata)
    return folder


def make(path: Path, **changes: object) -> None:
    profile = {
        "driver": "GTiff", "width": SIZE, "height": SIZE, "count": 1, "dtype": "uint16",
        "transform": rasterio.Affine(30, 0, LEFT, 0, -30, TOP), "compress": "deflate",
        "predictor": 2, "tiled": True, "blockxsize": 256, "blockysize": 256, "SPARSE_OK": True,
        "crs": "EPSG:5070", **changes,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(texture(EDGE, EDGE), 1, window=Window(0, 0, EDGE, EDGE))
        corner = profile["width"] - EDGE, profile["height"] - EDGE
        file.write(texture(EDGE, EDGE)[::-1], 1, window=Window(*corner, EDGE, EDGE))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    reader.reset()
    yield
    reader.reset()


@pytest.fixture
def access(archive: Path) -> Access:
    return Access(mirrors=((BUCKET, str(archive)),))


def asset(name: str = "red", band: str | None = None) -> Asset:
    href = f"{BUCKET}/{name}.tif"
    return Asset("LC09_CU_003004_SR", band or name, href, LEFT, TOP, SIZE, SIZE)


def footing(col: int, row: int, width: int = 255, height: int = 255) -> Footing:
    return Footing(tiff.Window(col, row, width, height))


def fill_of(of: Asset) -> int:
    """What stands for pixels outside the file here."""
    return QA_FILL if of.band == QA_BAND else 0


def read_pixels(
    of: Asset, col: int, row: int, width: int, height: int, access: Access, *, keep: bool = False
) -> npt.NDArray[np.uint16]:
    pixels = np.full((height, width), fill_of(of), np.uint16)
    begin_read(of, footing(col, row, width, height), Reading(access, keep))(pixels)
    return pixels


def by_rasterio(
    path: Path, col: int, row: int, width: int, height: int, fill: int
) -> npt.NDArray[np.uint16]:
    with rasterio.open(path) as file:
        read: npt.NDArray[np.uint16] = file.read(
            1, window=Window(col, row, width, height), boundless=True, fill_value=fill
        )
    return read


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    col=st.integers(-300, 900) | st.integers(4000, 5100),
    row=st.integers(-300, 900) | st.integers(4000, 5100),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    name=st.sampled_from(["red", "qa"]),
)
def test_pixels_equal_those_of_rasterio(
    archive: Path, access: Access, col: int, row: int, width: int, height: int, name: str
) -> None:
    of = asset(name, {"red": "red", "qa": "qa_pixel"}[name])
    found = read_pixels(of, col, row, width, height, access)
    assert found.dtype == np.uint16
    expected = by_rasterio(archive / f"{name}.tif", col, row, width, height, fill_of(of))
    np.testing.assert_array_equal(found, expected)


def test_sparse_blocks_are_not_the_outside(access: Access) -> None:
    """The file's nodata is 0 here, so that inside and outside of the tile differ."""
    of = asset("red", "qa_pixel")
    found = read_pixels(of, SIZE - 2, 2000, 4, 1, access)
    assert found.tolist() == [[0, 0, 1, 1]]


def test_window_outside_the_tile_reads_nothing() -> None:
    nowhere = replace(asset(), href="s3://no-such-bucket/x.tif")
    assert not read_pixels(nowhere, SIZE, 0, 5, 5, Access()).any()
    assert (read_pixels(replace(nowhere, band="qa_pixel"), -5, 0, 5, 3, Access()) == 1).all()


def test_what_lies_outside_the_file_is_left_as_it_is(access: Access) -> None:
    """So that several files may put their pixels into the same array."""
    pixels = np.full((3, 4), 7, np.uint16)
    begin_read(asset(), footing(-2, -1, 4, 3), Reading(access))(pixels)
    assert (pixels[0] == 7).all()
    assert (pixels[:, :2] == 7).all()
    np.testing.assert_array_equal(pixels[1:, 2:], texture(EDGE, EDGE)[:2, :2])


@given(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_a_footing_counts_whole_pixels_of_the_file(
    place: tuple[int, int], file: tuple[int, int], size: tuple[int, int]
) -> None:
    """Its pixels, by sets: those of the chip, and the part of them in a file of 5 x 7 pixels."""
    metres = [(LEFT + 30 * col, TOP - 30 * row) for col, row in (place, file)]
    made = Footing.native(metres[0], metres[1], size)
    wanted = {
        (place[0] - file[0] + i, place[1] - file[1] + j)
        for i in range(size[0])
        for j in range(size[1])
    }
    assert pixels_of(made.window) == wanted
    inside = made.inside(5, 7)
    in_file = wanted & pixels_of(tiff.Window(0, 0, 5, 7))
    assert (pixels_of(inside) if inside else set()) == in_file


def pixels_of(window: tiff.Window) -> set[tuple[int, int]]:
    return {
        (window.col + i, window.row + j) for i in range(window.width) for j in range(window.height)
    }


@given(st.integers(-400, 400), st.integers(-400, 400))
def test_a_chip_between_the_pixels_takes_those_that_hold_its_centres(dx: int, dy: int) -> None:
    """A cell owns its left and its upper edge: counted cell by cell."""
    made = Footing.native((LEFT + dx, TOP - dy), (LEFT, TOP), (1, 1)).window
    x, y = dx + 15, dy + 15
    assert [n for n in range(-20, 20) if 30 * n <= x < 30 * n + 30] == [made.col]
    assert [n for n in range(-20, 20) if 30 * n <= y < 30 * n + 30] == [made.row]


# Errors


@pytest.mark.parametrize(
    "changes",
    [
        {"transform": rasterio.Affine(30, 0, LEFT + 30, 0, -30, TOP)},
        {"transform": rasterio.Affine(30, 0, LEFT, 0, -30, TOP - 150000)},
        {"transform": rasterio.Affine(30, 0, LEFT + 1e-3, 0, -30, TOP)},
        {"transform": rasterio.Affine(15, 0, LEFT, 0, -15, TOP)},
        {"transform": rasterio.Affine(30 + 1e-5, 0, LEFT, 0, -30, TOP)},
        {"transform": rasterio.Affine(30, 0, float("nan"), 0, -30, TOP)},
        {"transform": rasterio.Affine(30, 0, LEFT, 0, -30, float("nan"))},
        {"width": 5001},
        {"height": 4999},
    ],
)
def test_a_file_on_another_grid_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    make(tmp_path / "red.tif", **changes)
    with pytest.raises(CorruptAssetError, match="another grid") as caught:
        read_pixels(asset(), 0, 0, 5, 5, Access(mirrors=((BUCKET, str(tmp_path)),)))
    assert caught.value.asset == "LC09_CU_003004_SR red"


@pytest.mark.parametrize("off", [1e-9, -1e-9, 5e-7])
def test_a_grid_with_rounded_edges_is_the_grid(tmp_path: Path, off: float) -> None:
    make(
        tmp_path / "red.tif", transform=rasterio.Affine(30 + off, 0, LEFT + off, 0, -30, TOP - off)
    )
    with rasterio.open(tmp_path / "red.tif") as file:
        assert file.transform.c != LEFT
        expected = file.read(1, window=Window(7, 9, 5, 5))
    read = read_pixels(asset(), 7, 9, 5, 5, Access(mirrors=((BUCKET, str(tmp_path)),)))
    np.testing.assert_array_equal(read, expected)


def test_errors_name_the_asset(tmp_path: Path, access: Access) -> None:
    cases = {
        None: (MissingAssetError, "no such band"),
        f"{BUCKET}/none.tif": (MissingAssetError, "no such file"),
        "/vsicurl/x": (ReadError, "refused"),
        "file:///etc/passwd": (ReadError, "refused"),
    }
    for href, (error, message) in cases.items():
        with pytest.raises(error, match=f"LC09_CU_003004_SR red: .*{message}"):
            read_pixels(replace(asset(), href=href), 0, 0, 5, 5, access)


def test_damaged_files_are_refused_and_read_again_after_repair(
    archive: Path, tmp_path: Path
) -> None:
    good = (archive / "red.tif").read_bytes()
    access = Access(mirrors=((BUCKET, str(tmp_path)),))
    header = tiff.parse_header([(0, good[: tiff.FIRST_READ])])
    block = int(header.offsets[0])
    damaged = [
        ("no TIFF", b"<html>not logged in</html>" * 9),
        ("its header ends early", b""),
        ("its header ends early", good[:9]),
        ("its header ends early", good[:100]),
        ("block 0 is damaged", good[: block + 50] + b"\0" * 50 + good[block + 100 :]),
        ("ends before byte", good[: block + 50]),
    ]
    for message, data in damaged:
        reader.reset()
        (tmp_path / "red.tif").write_bytes(data)
        with pytest.raises(CorruptAssetError, match=message):
            read_pixels(asset(), 0, 0, 5, 5, access)
        (tmp_path / "red.tif").write_bytes(good)
        found = read_pixels(asset(), 0, 0, 5, 5, access)
        np.testing.assert_array_equal(found, texture(EDGE, EDGE)[:5, :5])


# Requests


@dataclass
class Counting:
    """A server of a folder on loopback that counts requests."""

    url: str = ""
    requests: list[tuple[str, str, int, int]] = field(default_factory=list)
    delay: float = 0.0
    change: Callable[[bytes], bytes] = bytes


@pytest.fixture
def server(archive: Path) -> Iterator[Counting]:
    counting = Counting()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            start, stop = map(int, re.findall(r"\d+", self.headers["range"]))
            data = (archive / self.path.strip("/")).read_bytes()
            body = data[start : stop + 1]
            counting.requests.append((self.command, self.path, start, len(body)))
            time.sleep(counting.delay)
            self.send_response(206)
            self.send_header("Content-Length", str(len(body)))
            last = start + len(body) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(data)}")
            self.end_headers()
            self.wfile.write(counting.change(body))

        do_HEAD = do_GET  # noqa: N815 - as http.server wants it

        def log_message(self, *args: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    counting.url = f"http://127.0.0.1:{made.server_port}"
    yield counting
    made.shutdown()
    made.server_close()


def test_a_look_at_the_plot_pixel_takes_along_what_lies_beside(
    server: Counting, archive: Path
) -> None:
    access = Access(mirrors=((BUCKET, server.url),))
    of = asset("red", QA_BAND)
    pixel = np.empty((1, 1), np.uint16)
    begin_read(of, footing(257, 267, 1, 1), Reading(access), later=footing(130, 140))(pixel)
    assert len(server.requests) == 2  # header, and the lower row of blocks
    header = tiff.parse_header([(0, (archive / "red.tif").read_bytes())])
    blocks = find_blocks(header, tiff.Window(130, 140, 255, 255))[2:]
    assert server.requests[1][2:] == (blocks[0].start, blocks[-1].stop - blocks[0].start)
    found = read_pixels(of, 130, 140, 255, 255, access)
    assert (found == by_rasterio(archive / "red.tif", 130, 140, 255, 255, 0)).all()
    assert len(server.requests) == 3


@pytest.mark.parametrize("keep", [False, True])
def test_requests_and_bytes_of_an_asset(server: Counting, keep: bool) -> None:
    access = Access(mirrors=((BUCKET, server.url),))
    found = read_pixels(asset(), 130, 140, 255, 255, access, keep=keep)
    np.testing.assert_array_equal(found, texture(EDGE, EDGE)[140:395, 130:385])
    assert len(server.requests) <= 3  # header, and two rows of blocks
    assert {method for method, *_ in server.requests} == {"GET"}
    # the blocks were written row by row, so that those of a row lie together
    sent = sum(size for *_, size in server.requests)
    header = tiff.parse_header([(0, open_first(server))])
    blocks = find_blocks(header, tiff.Window(130, 140, 255, 255))
    assert sent <= 1.1 * sum(b.stop - b.start for b in blocks) + tiff.FIRST_READ

    server.requests.clear()
    read_pixels(asset(), 200, 200, 200, 200, access, keep=keep)
    assert server.requests == []  # the same four blocks
    read_pixels(asset(), 200, 200, 400, 200, access, keep=keep)
    assert 1 <= len(server.requests) <= 2  # the next blocks of both rows
    server.requests.clear()
    read_pixels(asset(), 2000, 2000, 255, 255, access, keep=keep)
    assert server.requests == []  # sparse


def open_first(server: Counting) -> bytes:
    from timesync_xr.storage.objects import read_ranges

    return read_ranges(f"{server.url}/red.tif", [(0, 16384)], Access(), allow_short=True)[0]


def test_threads_that_want_the_same_share_the_requests(server: Counting) -> None:
    server.delay = 0.02
    access = Access(mirrors=((BUCKET, server.url),))
    with ThreadPoolExecutor(8) as pool:
        chips = list(
            pool.map(lambda _: read_pixels(asset(), 130, 140, 255, 255, access), range(16))
        )
    assert all(np.array_equal(chip, chips[0]) for chip in chips)
    assert len(server.requests) <= 3


def test_caches_forget_what_does_not_fit(server: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(reader.BLOCK_CACHE, "0")
    access = Access(mirrors=((BUCKET, server.url),))
    first = read_pixels(asset(), 0, 0, 255, 255, access)
    server.requests.clear()
    np.testing.assert_array_equal(read_pixels(asset(), 0, 0, 255, 255, access), first)
    assert len(server.requests) == 1  # the block again, not the header


def test_corrupt_answers_are_forgotten(server: Counting) -> None:
    access = Access(mirrors=((BUCKET, server.url),), s3=S3(max_retries=1))
    server.change = lambda body: body if body[:2] == b"II" else b"\0" * len(body)
    with pytest.raises(CorruptAssetError, match="block 0 is damaged"):
        read_pixels(asset(), 0, 0, 5, 5, access)
    server.change = bytes
    assert read_pixels(asset(), 0, 0, 5, 5, access).all()


def test_nobody_answers(archive: Path) -> None:
    access = Access(mirrors=((BUCKET, "http://127.0.0.1:9"),), s3=S3(max_retries=0))
    with pytest.raises((AccessError, TransientReadError), match=r"127\.0\.0\.1:9"):
        read_pixels(asset(), 0, 0, 5, 5, access)


@pytest.mark.parametrize("value", ["-1", "many", "1.5"])
def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch, access: Access, value: str) -> None:
    monkeypatch.setenv(reader.THREADS, value)
    with pytest.raises(InputError, match=f"{reader.THREADS} is '{value}'"):
        read_pixels(asset(), 0, 0, 5, 5, access)


# In the background


def test_reads_go_on_in_the_background(server: Counting) -> None:
    """No header is answered before those of both assets are asked for."""
    both = threading.Barrier(2, timeout=20)

    def answer(body: bytes) -> bytes:
        if body[:2] == b"II":
            both.wait()
        return body

    server.change = answer
    reading = Reading(Access(mirrors=((BUCKET, server.url),), s3=S3(max_retries=0)))
    for read_into in [begin_read(asset(n), footing(130, 140), reading) for n in ("red", "qa")]:
        pixels = np.zeros((255, 255), np.uint16)
        read_into(pixels)
        assert pixels.all()


def test_nothing_is_raised_before_pixels_are_asked_for(access: Access) -> None:
    for href in (None, "/vsicurl/x", f"{BUCKET}/none.tif"):
        read_into = begin_read(replace(asset(), href=href), footing(0, 0), Reading(access))
        with pytest.raises(ReadError, match="LC09_CU_003004_SR red"):
            read_into(np.empty((255, 255), np.uint16))


def _in_another_process(of: Asset, access: Access) -> int:
    return int(read_pixels(of, 0, 0, 9, 9, access).sum())


@pytest.mark.deep
def test_another_process_has_its_own_state(access: Access) -> None:
    expected = _in_another_process(asset(), access)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_in_another_process, (asset(), access)) == expected


@pytest.mark.parametrize("name", ["real", "mosaic"])
def test_golden_archive_equals_rasterio(shared: Path, name: str) -> None:
    folder = shared / "golden" / name
    items = json.loads((folder / "items.json").read_text())["features"]
    access = Access(mirrors=((BUCKET, str(folder)),))
    source = np.random.default_rng(5)
    for item in sorted(items, key=lambda item: str(item["id"]))[::6]:
        left, top = (int(item["properties"]["proj:transform"][i]) for i in (2, 5))
        place = None
        for band in ("nir08", "blue", "qa_pixel"):
            href = item["assets"][band]["alternate"]["s3"]["href"]
            path = folder / href.removeprefix(f"{BUCKET}/")
            place = place or data_in(path)
            for col, row in [place, *source.integers(0, SIZE - 255, (2, 2)).tolist()]:
                of = Asset(item["id"], band, href, left, top, SIZE, SIZE)
                found = read_pixels(of, col, row, 255, 255, access)
                expected = by_rasterio(path, col, row, 255, 255, fill_of(of))
                np.testing.assert_array_equal(found, expected)


def data_in(path: Path) -> tuple[int, int]:
    """Column and row of a window whose middle holds data, if any does."""
    with rasterio.open(path) as file:
        rows, cols = np.nonzero(file.read(1))
    return (max(0, int(cols[0]) - 99), max(0, int(rows[0]) - 99)) if rows.size else (0, 0)
