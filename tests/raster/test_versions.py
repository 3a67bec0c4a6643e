"""A file that is replaced while it is read, or between two reads: no chip holds two versions."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.raster.test_reader import BUCKET, asset, make, read_pixels
from tests.servers import PlainHandler, serving
from tests.tally import shows
from timesync_xr.errors import CorruptAssetError, TransientReadError
from timesync_xr.raster import reader, tiff
from timesync_xr.storage import objects
from timesync_xr.storage.access import S3, Access

TELLS = ("etag", "weak etag", "time", "size")
"""By what a server tells versions of a file apart."""


@dataclass
class Versions:
    """A server of one file of which there are several versions."""

    bodies: list[bytes]
    now: Callable[[int, int], int] = lambda number, start: 0
    """Number of the version of which an answer is, by the number of the request and its start."""
    tells: str = "etag"
    asked: list[int] = field(default_factory=list)
    """The first byte of each request."""
    url: str = ""


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Three uncompressed files of the same layout, each with pixels of its own, of other sizes."""
    folder = tmp_path_factory.mktemp("versions")
    make(folder / "old.tif", compress="none", predictor=1)
    old = (folder / "old.tif").read_bytes()
    header = tiff.parse_header([(0, old[: tiff.FIRST_READ])])
    first = int(header.offsets[header.offsets > 0].min())
    pixels = np.frombuffer(old[first:], np.uint8)
    return [old[:first] + (pixels + more).tobytes() + b"\0" * more for more in range(3)]


@pytest.fixture
def server(bodies: list[bytes]) -> Iterator[Versions]:
    served = Versions(bodies)

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
            start, stop = map(int, re.findall(r"\d+", self.headers["range"]))
            served.asked.append(start)
            number = served.now(len(served.asked), start)
            body = served.bodies[number]
            part = body[start : stop + 1]
            if not part:
                self.reply(416, b"")
                return
            told = {
                "etag": [("ETag", f'"v{number}"')],
                "weak etag": [("ETag", f'W/"v{number}"')],
                "time": [("Last-Modified", f"Mon, 01 Jun 2026 10:00:0{number} GMT")],
                "size": [],
            }[served.tells]
            last = start + len(part) - 1
            self.reply(206, part, ("Content-Range", f"bytes {start}-{last}/{len(body)}"), *told)

    reader.reset()
    objects._healths.clear()
    with serving(Handler) as port:
        served.url = f"http://127.0.0.1:{port}"
        yield served
    reader.reset()


def access_to(server: Versions) -> Access:
    return Access(mirrors=((BUCKET, server.url),), s3=S3(max_retries=1, retry_seconds=5.0))


def pixels_of(bodies: list[bytes], folder: Path) -> list[np.ndarray]:
    """The chip that is read below, of each version as a file."""
    found = []
    for number, body in enumerate(bodies):
        (folder / str(number)).mkdir()
        (folder / str(number) / "red.tif").write_bytes(body)
        access = Access(mirrors=((BUCKET, str(folder / str(number))),))
        found.append(read_pixels(asset(), 130, 140, 255, 255, access))
    return found


@shows("a file that is replaced", "archive")
@pytest.mark.parametrize("tells", TELLS)
def test_a_file_that_was_replaced_is_read_anew_once(
    server: Versions, bodies: list[bytes], tmp_path: Path, tells: str
) -> None:
    """Its header and a part of its blocks are known already."""
    old, new, _ = pixels_of(bodies, tmp_path)
    server.tells = tells
    read_pixels(asset(), 130, 140, 255, 100, access_to(server))  # the upper blocks
    server.now = lambda number, start: 1
    server.asked.clear()
    found = read_pixels(asset(), 130, 140, 255, 255, access_to(server))
    assert (found == new).all()
    assert (old != new).all()
    assert len(server.asked) == 4  # the lower blocks; header, upper and lower blocks
    server.asked.clear()
    assert (read_pixels(asset(), 130, 140, 255, 255, access_to(server)) == new).all()
    assert not server.asked


@shows("a file that is replaced", "archive")
@pytest.mark.parametrize("moment", [2, 3])
def test_a_file_that_is_replaced_between_two_requests_is_of_one_version(
    server: Versions, bodies: list[bytes], tmp_path: Path, moment: int
) -> None:
    _, new, _ = pixels_of(bodies, tmp_path)
    server.now = lambda number, start: int(number >= moment)
    assert (read_pixels(asset(), 130, 140, 255, 255, access_to(server)) == new).all()


def test_a_version_that_comes_with_a_hole_is_no_version(
    server: Versions, bodies: list[bytes], tmp_path: Path
) -> None:
    """Blocks of the old version that are kept are not put beside those of the new one."""
    _, new, _ = pixels_of(bodies, tmp_path)
    read_pixels(asset(), 130, 140, 255, 100, access_to(server))
    state = reader._state()
    state.headers.drop(())  # as where its place is needed
    server.now = lambda number, start: 1
    assert (read_pixels(asset(), 130, 140, 255, 255, access_to(server)) == new).all()


@shows("a file that does not rest", "one asset")
def test_a_file_that_changes_all_the_time_is_given_up(server: Versions) -> None:
    server.now = lambda number, start: number % 2
    with pytest.raises(TransientReadError, match=r"changes while it is read.*nothing writes to it"):
        read_pixels(asset(), 130, 140, 255, 255, access_to(server))
    assert len(server.asked) <= 9


def test_a_file_that_became_shorter_is_read_anew(server: Versions, bodies: list[bytes]) -> None:
    access = access_to(server)
    server.bodies = [bodies[0], bodies[1][:20_000]]
    read_pixels(asset(), 0, 0, 5, 5, access)
    server.now = lambda number, start: 1
    with pytest.raises(CorruptAssetError, match=r"ends too early|ends before byte"):
        read_pixels(asset(), 4700, 4700, 5, 5, access)  # what is there now is cut off
    server.now = lambda number, start: 0
    assert read_pixels(asset(), 4700, 4700, 5, 5, access).all()


# Files


@pytest.mark.parametrize("way", ["replaced", "overwritten", "with its old time"])
def test_a_file_on_disk_that_changed_is_read_anew(
    bodies: list[bytes], tmp_path: Path, way: str
) -> None:
    _, new, _ = pixels_of(bodies, tmp_path)
    path = tmp_path / "red.tif"
    path.write_bytes(bodies[0])
    access = Access(mirrors=((BUCKET, str(tmp_path)),))
    read_pixels(asset(), 130, 140, 255, 255, access)
    times = path.stat()
    if way == "replaced":
        (tmp_path / "new").write_bytes(bodies[1])
        (tmp_path / "new").replace(path)
    else:
        time.sleep(0.02)  # longer than the steps of the file system's clock
        with path.open("r+b") as file:
            file.write(bodies[1])
    if way == "with its old time":
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (read_pixels(asset(), 130, 140, 255, 255, access) == new).all()


def test_blocks_that_were_sparse_are_looked_at_again(tmp_path: Path) -> None:
    """Nothing is read of them, so that the file itself is asked."""
    access = Access(mirrors=((BUCKET, str(tmp_path)),))
    make(tmp_path / "red.tif")
    assert not read_pixels(asset(), 2000, 2000, 5, 5, access).any()
    (tmp_path / "red.tif").unlink()
    make(tmp_path / "red.tif", SPARSE_OK=False, nodata=9)
    assert (read_pixels(asset(), 2000, 2000, 5, 5, access) == 9).all()


def test_a_file_that_is_written_while_it_is_read_is_told(
    bodies: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "red.tif").write_bytes(bodies[0])
    pread = os.pread

    def growing(file: int, size: int, start: int) -> bytes:
        with (tmp_path / "red.tif").open("ab") as other:
            other.write(b"x")
        return pread(file, size, start)

    monkeypatch.setattr(os, "pread", growing)
    access = Access(mirrors=((BUCKET, str(tmp_path)),))
    with pytest.raises(TransientReadError, match="changes while it is read"):
        read_pixels(asset(), 130, 140, 255, 255, access)


# Bodies without end


@shows("a body without end", "one asset")
@pytest.mark.parametrize("code", [200, 206])
@pytest.mark.parametrize("claims", [True, False], ids=["with a length", "in chunks"])
def test_a_body_without_end_is_left_and_costs_one_asset(
    server: Versions, code: int, claims: bool
) -> None:
    sent = 0

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
            nonlocal sent
            asked = self.headers.get("range", "bytes=0-0")
            start, stop = map(int, re.findall(r"\d+", asked))
            self.send_response(code)
            if code == 206:
                self.send_header("Content-Range", f"bytes {start}-{stop}/{2**40}")
            name, value = ("Content-Length", 2**40) if claims else ("Transfer-Encoding", "chunked")
            self.send_header(name, str(value))
            self.end_headers()
            piece = b"x" * 2**16 if claims else b"10000\r\n" + b"x" * 2**16 + b"\r\n"
            try:
                while True:
                    self.wfile.write(piece)
                    sent += len(piece)
            except OSError:
                self.close_connection = True

    with serving(Handler) as port:
        access = Access(
            mirrors=((BUCKET, f"http://127.0.0.1:{port}"), ("s3://other", server.url)),
            s3=S3(max_retries=1, retry_seconds=5.0, timeout_seconds=5.0),
        )
        read_pixels(replace(asset(), href="s3://other/red.tif"), 130, 140, 9, 9, access)
        started = time.monotonic()
        with pytest.raises(Exception, match="LC09_CU_003004_SR red") as caught:
            read_pixels(asset(), 130, 140, 255, 255, access)
        assert "more than was asked for" in str(caught.value) or "parts of files" in str(
            caught.value
        )
        assert time.monotonic() - started < 30
    assert sent < 30 * 2**20
