from __future__ import annotations

import contextlib
import random
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio import windows

from tests.strategies import examples
from tests.work import calls_of
from timesync_xr.raster import tiff
from timesync_xr.raster.blocks import find_blocks, read_blocks
from timesync_xr.raster.tiff import NeedMore, TiffError, TiffHeader, Window

WIDTH, HEIGHT = 613, 541
TRANSFORM = rasterio.Affine(30, 0, -2115585, 0, -30, 2714805)
_NUMBERS = np.arange(WIDTH * HEIGHT, dtype=np.uint32).reshape(HEIGHT, WIDTH)
PIXELS = (_NUMBERS * 40503 % 65521).astype(np.uint16)
"""Neighbours differ, and no row or column repeats."""

Options = dict[str, Any]


def make(path: Path, *, sparse: bool = False, **options: Any) -> Path:
    profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 1}
    options = {"transform": TRANSFORM, "crs": "EPSG:5070", "dtype": "uint16", **options}
    path.unlink(missing_ok=True)
    with rasterio.open(path, "w", **profile, **options, SPARSE_OK=sparse) as file:
        if sparse:
            place = windows.Window(256, 128, 256, 256)
            file.write(PIXELS[128:384, 256:512], 1, window=place)
        else:
            file.write(PIXELS, 1)
    return path


def parse(data: bytes, first: int = tiff.FIRST_READ) -> TiffHeader:
    """The header, fetched as a reader does; checks that this takes few rounds."""
    pieces = [(0, data[:first])]
    for _ in range(4):
        try:
            return tiff.parse_header(pieces)
        except NeedMore as more:
            wanted = more.ranges
        assert all(0 <= start < stop <= start + 2**24 for start, stop in wanted)
        pieces += [(start, data[start:stop]) for start, stop in wanted]
    raise TiffError("cut off")


def read(data: bytes, window: Window) -> npt.NDArray[np.uint16]:
    header = parse(data)
    blocks = find_blocks(header, window)
    found = {b.number: data[b.start : b.stop] for b in blocks if b.stop > b.start}
    out: npt.NDArray[np.uint16] = np.empty((window.height, window.width), np.uint16)
    read_blocks(header, window, found, out)
    return out


@st.composite
def options(draw: st.DrawFn) -> Options:
    made: Options = {
        "compress": draw(
            st.sampled_from(["none", "deflate", "lzw", "zstd", "packbits", "lzma", "lerc"])
        ),
        "BIGTIFF": draw(st.sampled_from(["YES", "NO"])),
        "ENDIANNESS": draw(st.sampled_from(["BIG", "LITTLE"])),
        "sparse": draw(st.booleans()),
        "nodata": draw(st.sampled_from([None, 0, 1, 65535])),
    }
    block = draw(st.sampled_from([128, 256, 512, (256, 64), None]))
    if block is None:
        made["blockysize"] = draw(st.sampled_from([1, 7, 64, HEIGHT]))
    else:
        made["tiled"] = True
        made["blockxsize"], made["blockysize"] = block if isinstance(block, tuple) else (block,) * 2
    if made["compress"] in ("deflate", "lzw", "zstd"):
        made["predictor"] = draw(st.sampled_from([1, 2]))
    return made


@st.composite
def image_windows(draw: st.DrawFn) -> Window:
    col, row = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    width, height = draw(st.integers(1, WIDTH - col)), draw(st.integers(1, HEIGHT - row))
    return Window(col, row, width, height)


EDGES = [
    Window(0, 0, WIDTH, HEIGHT),
    Window(0, 0, 1, 1),
    Window(WIDTH - 1, HEIGHT - 1, 1, 1),
    Window(WIDTH - 130, HEIGHT - 90, 130, 90),
    Window(255, 127, 2, 2),
]


@settings(
    examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made=options(), drawn=st.lists(image_windows(), min_size=2, max_size=4))
@pytest.mark.deep
def test_pixels_equal_those_of_rasterio(tmp_path: Path, made: Options, drawn: list[Window]) -> None:
    path = make(tmp_path / "image.tif", **made)
    data = path.read_bytes()
    with rasterio.open(path) as file:
        for window in [*EDGES, *drawn]:
            expected = file.read(1, window=windows.Window(*window))
            np.testing.assert_array_equal(read(data, window), expected)
            if not made["sparse"]:
                np.testing.assert_array_equal(
                    expected,
                    PIXELS[
                        window.row : window.row + window.height,
                        window.col : window.col + window.width,
                    ],
                )


STRIPPED = ["none", "lzw", "deflate", "packbits", "lzma", "zstd"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("rows", [0, 20, 48, 50, 53])
@pytest.mark.parametrize("compress", STRIPPED)
def test_last_strips_that_gdal_wrote_full(
    tmp_path: Path, compress: str, rows: int, order: str
) -> None:
    """Where nothing is written GDAL puts fill, and makes the last strip as high as the others."""
    path, pixels = tmp_path / "image.tif", np.full((53, 50), 7, np.uint16)
    pixels[:rows] = PIXELS[:rows, :50]
    made = {"width": 50, "height": 53, "count": 1, "dtype": "uint16", "nodata": 7}
    options = {"compress": compress, "blockysize": 16, "endianness": order}
    if compress in ("lzw", "deflate", "zstd"):
        options["predictor"] = 2
    with rasterio.open(path, "w", driver="GTiff", **made, **options) as file:
        if rows:
            file.write(pixels[:rows], 1, window=windows.Window(0, 0, 50, rows))
    with rasterio.open(path) as file:
        found = file.read(1)
    np.testing.assert_array_equal(found[:rows], pixels[:rows])
    if compress != "deflate":  # of such a strip rasterio's own GDAL gives zeros after some pixels
        pixels = found
    data = path.read_bytes()
    for window in (Window(0, 0, 50, 53), Window(3, 47, 40, 5), Window(49, 52, 1, 1)):
        expected = pixels[window.row :, window.col :][: window.height, : window.width]
        np.testing.assert_array_equal(read(data, window), expected)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("rows", [0, 20, 50, 53])
@pytest.mark.parametrize("compress", ["lerc", "lerc_deflate", "lerc_zstd"])
def test_strips_of_lerc_and_the_last_one_that_gdal_wrote_full(
    tmp_path: Path, compress: str, rows: int
) -> None:
    """The last strip ends with the image once it was written; else GDAL can't read it itself."""
    path, pixels = tmp_path / "image.tif", np.full((53, 50), 7, np.uint16)
    pixels[:rows] = PIXELS[:rows, :50]
    made = {"width": 50, "height": 53, "count": 1, "dtype": "uint16", "nodata": 7}
    with rasterio.open(path, "w", driver="GTiff", **made, compress=compress, blockysize=16) as file:
        if rows:
            file.write(pixels[:rows], 1, window=windows.Window(0, 0, 50, rows))
    whole = max(48, rows)
    with rasterio.open(path) as file:
        found = file.read(1, window=windows.Window(0, 0, 50, whole))
    np.testing.assert_array_equal(found, pixels[:whole])
    for window in (Window(0, 0, 50, 53), Window(3, 47, 40, 5), Window(49, 52, 1, 1)):
        expected = pixels[window.row :, window.col :][: window.height, : window.width]
        np.testing.assert_array_equal(read(path.read_bytes(), window), expected)


@pytest.mark.parametrize("rows", [4, 6, 15, 17, 10**6])
def test_other_heights_of_the_last_strip_are_refused(rows: int) -> None:
    header = parse(craft({259: [8]}))
    changed = TiffHeader(**{**vars(header), "tiled": False, "height": 5})
    for height in (5, 16):
        block = zlib.compress(PIXELS[:height, :16].tobytes())
        out = np.empty((5, 16), np.uint16)
        read_blocks(changed, Window(0, 0, 16, 5), {0: block}, out)
        np.testing.assert_array_equal(out, PIXELS[:5, :16])
    block = zlib.compress(bytes(32 * rows))
    with pytest.raises(TiffError, match="block 0"):
        read_blocks(changed, Window(0, 0, 16, 5), {0: block}, np.empty((5, 16), np.uint16))


@pytest.mark.parametrize("extra", ["lerc_deflate", "lerc_zstd"])
def test_lerc_compressed_once_more(tmp_path: Path, extra: str) -> None:
    data = make(tmp_path / "image.tif", compress=extra, tiled=True).read_bytes()
    np.testing.assert_array_equal(read(data, EDGES[0]), PIXELS)


@pytest.mark.parametrize(
    ("nodata", "fill"),
    [(None, 0), (0, 0), (1, 1), (65535, 65535), (-5, 0), (1e9, 65535), (float("nan"), 0)],
)
def test_sparse_blocks_hold_what_gdal_makes_of_them(
    tmp_path: Path, nodata: float | None, fill: int
) -> None:
    """GDAL refuses to write tags out of range, so the tag is put into the header here."""
    made = nodata if nodata in (None, 0, 1, 65535) else 1
    data = make(tmp_path / "image.tif", sparse=True, tiled=True, nodata=made).read_bytes()
    header = parse(data)
    assert header.nodata == made
    changed = TiffHeader(**{**vars(header), "nodata": nodata})
    assert changed.fill == fill
    corner = np.empty((2, 3), np.uint16)
    read_blocks(changed, Window(0, 0, 3, 2), {}, corner)
    assert corner.tolist() == [[fill] * 3] * 2


def test_cog_header_needs_one_read(tmp_path: Path) -> None:
    from rasterio.shutil import copy

    plain, cog = make(tmp_path / "plain.tif"), tmp_path / "cog.tif"
    copy(plain, cog, driver="COG", compress="deflate", predictor=2, blocksize=128)
    data = cog.read_bytes()
    header = tiff.parse_header([(0, data[: tiff.FIRST_READ])])
    assert (header.block_width, header.predictor, header.compression) == (128, 2, 8)
    np.testing.assert_array_equal(read(data, EDGES[0]), PIXELS)


@pytest.mark.parametrize("first", [8, 16, 100, 1000])
@pytest.mark.parametrize("bigtiff", ["YES", "NO"])
def test_header_is_asked_for_piece_by_piece(tmp_path: Path, first: int, bigtiff: str) -> None:
    data = make(tmp_path / "image.tif", BIGTIFF=bigtiff, blockysize=1).read_bytes()
    whole, pieces = parse(data), parse(data, first)
    assert vars(whole).keys() == vars(pieces).keys()
    np.testing.assert_array_equal(whole.offsets, pieces.offsets)
    np.testing.assert_array_equal(whole.counts, pieces.counts)


def test_directory_at_the_end_of_the_file(tmp_path: Path) -> None:
    path = make(tmp_path / "image.tif", tiled=True, compress="deflate")
    with rasterio.open(path, "r+") as file:
        file.update_tags(long="x" * 20000)  # GDAL moves the directory to the end
    data = path.read_bytes()
    assert struct.unpack_from("<I", data, 4)[0] > len(data) // 2
    np.testing.assert_array_equal(read(data, EDGES[0]), PIXELS)


@pytest.mark.parametrize("meaning", ["Area", "Point"])
def test_georeference_equals_that_of_rasterio(tmp_path: Path, meaning: str) -> None:
    path = make(tmp_path / "image.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT=meaning)
    with rasterio.open(path) as file:
        expected = file.transform
    header = parse(path.read_bytes())
    assert header.transform == (expected.c, expected.f, expected.a, expected.e)
    assert (expected.c, expected.f) == (-2115585, 2714805)


def test_pixel_is_point_shifts_half_a_pixel() -> None:
    data = craft({33550: [30.0, 30.0, 0.0], 33922: [0.0, 0, 0, 15, -15, 0]})
    assert parse(data).transform == (15, -15, 30, -30)
    keys = [1, 1, 0, 1, 1025, 0, 1, 2]
    point = craft({33550: [30.0, 30.0, 0.0], 33922: [0.0, 0, 0, 15, -15, 0], 34735: keys})
    assert parse(point).transform == (0, 0, 30, -30)


def test_transformation_matrix() -> None:
    matrix = [30.0, 0, 0, 600, 0, -30, 0, 900, 0, 0, 0, 0, 0, 0, 0, 1]
    assert parse(craft({34264: matrix})).transform == (600, 900, 30, -30)
    for rounding in (1e-12, -1e-9):  # GDAL writes a matrix for any rotation but 0
        matrix[1] = matrix[4] = rounding
        assert parse(craft({34264: matrix})).transform == (600, 900, 30, -30)
    matrix[1] = 1e-4  # half a metre at the far edge of a tile
    assert parse(craft({34264: matrix})).transform is None
    matrix[1] = 1.0
    assert parse(craft({34264: matrix})).transform is None
    assert parse(craft({})).transform is None


def craft(changes: dict[int, list[Any]], *, block: bytes = b"", count: int | None = None) -> bytes:
    """A little-endian TIFF of one 16 x 16 tile, with tags put in, changed or ([]) left out."""
    tags: dict[int, list[Any]] = {
        256: [16], 257: [16], 258: [16], 259: [1], 262: [1], 277: [1],
        322: [16], 323: [16], 324: [1000], 325: [count if count is not None else len(block)],
        339: [1], **changes,
    }  # fmt: skip
    tags = {tag: values for tag, values in sorted(tags.items()) if values}
    table, heap = struct.pack("<H", len(tags)), b""
    start = 8 + 2 + 12 * len(tags) + 4
    for tag, values in tags.items():
        kind, code = (12, "d") if isinstance(values[0], float) else (4, "I")
        kind, code = (3, "H") if tag == 34735 else (kind, code)
        packed = struct.pack(f"<{len(values)}{code}", *values)
        if len(packed) > 4:
            heap, packed = heap + packed, struct.pack("<I", start + len(heap))
        table += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    data = b"II*\0\x08\0\0\0" + table + b"\0" * 4 + heap
    assert len(data) <= 1000
    return data.ljust(1000, b"\0") + block


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({256: [0]}, "size of 0 x 16"),
        ({256: [2**32 - 1]}, "is not within 1 and 100000"),
        ({257: [100_001]}, "is not within 1 and 100000"),
        ({256: []}, "tag 256 is missing"),
        ({322: [0]}, "empty or larger"),
        ({322: [2**31], 323: [2**31]}, "empty or larger"),
        ({256: [100_000], 257: [100_000], 322: [1], 323: [1]}, "blocks, more than"),
        ({256: [100_000], 257: [100_000]}, "blocks, more than"),
        ({256: [17]}, "lists 1 block, but the image has 2"),
        ({325: []}, "lists 0 blocks"),
        ({258: [8]}, "not hold one uint16 per pixel: 1 samples of 8 bits"),
        ({258: [16, 16, 16], 277: [3]}, "3 samples"),
        ({339: [2]}, "format 2"),
        ({259: [7]}, r"compression 7 \(JPEG\)"),
        ({259: [12345]}, r"compression 12345 \(unknown\)"),
        ({259: [8], 317: [3]}, "predictor 3"),
        ({266: [2]}, "fill order"),
        ({259: [34887], 50674: [4, 9]}, "LERC"),
        ({50674: [4.0, float("nan")]}, "LERC"),
    ],
)
def test_headers_that_are_refused(changes: dict[int, list[Any]], message: str) -> None:
    with pytest.raises(TiffError, match=message):
        parse(craft(changes))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II",
        b"PNG" * 100,
        b"<html>" * 50,
        b"II\x2c\0" + b"\0" * 60,
        b"MM\0+\0\x09" + b"\0" * 60,
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(TiffError):
        parse(data)


@pytest.mark.parametrize(
    ("compression", "encoded"),
    [
        (1, bytes(511)),
        (1, bytes(513)),
        (8, zlib.compress(bytes(511))),
        (8, zlib.compress(bytes(513))),
        (8, zlib.compress(bytes(10**9 // 64))),
        (8, zlib.compress(bytes(512))[:-1]),
        (8, zlib.compress(bytes(512))[:-4] + b"1234"),
        (8, b"garbage" * 9),
        (5, b"garbage" * 9),
        (32773, b"\x81\0" * 9),
        (34925, b"garbage" * 9),
        (34887, b"garbage" * 9),
        (50000, b"garbage" * 9),
    ],
)
def test_damaged_blocks_are_refused(compression: int, encoded: bytes) -> None:
    with pytest.raises(TiffError, match="block 0"):
        read(craft({259: [compression]}, block=encoded), Window(0, 0, 16, 16))


def test_a_block_that_decodes_to_too_much_is_refused() -> None:
    from imagecodecs import lzma_encode

    good, long = lzma_encode(bytes(512)), lzma_encode(bytes(514))
    assert not read(craft({259: [34925]}, block=good), Window(0, 0, 16, 16)).any()
    with pytest.raises(TiffError, match="instead of 512"):
        read(craft({259: [34925]}, block=long), Window(0, 0, 16, 16))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("surplus", [0, 1, 2, 500, 2**24])
def test_surplus_bytes_of_lzw_are_left_alone(tmp_path: Path, surplus: int) -> None:
    from imagecodecs import lzw_encode

    pixels = PIXELS[:16, :16].copy()
    data = craft({259: [5]}, block=bytes(lzw_encode(pixels.tobytes() + bytes(surplus))))
    (tmp_path / "image.tif").write_bytes(data)
    with rasterio.open(tmp_path / "image.tif") as file:
        np.testing.assert_array_equal(file.read(1), pixels)
    np.testing.assert_array_equal(read(data, Window(0, 0, 16, 16)), pixels)


@pytest.mark.parametrize(("start", "count"), [(0, 512), (7, 512), (1000, 2**32 - 1)])
def test_blocks_at_impossible_places_are_refused(start: int, count: int) -> None:
    with pytest.raises(TiffError, match="block 0 can't have"):
        find_blocks(parse(craft({324: [start]}, count=count)), Window(0, 0, 1, 1))


def test_every_truncation_of_a_header_is_a_clean_error(tmp_path: Path) -> None:
    for bigtiff in ("YES", "NO"):
        path = make(tmp_path / f"{bigtiff}.tif", tiled=True, BIGTIFF=bigtiff, compress="deflate")
        data = path.read_bytes()
        header = parse(data)
        end = int(min(header.offsets[header.offsets > 0]))
        assert end < 2000
        for stop in range(end):
            with pytest.raises(TiffError):
                read(data[:stop], EDGES[0])


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    kinds: list[Options] = [
        {"tiled": True, "compress": "deflate", "predictor": 2},
        {"tiled": True, "compress": "lzw", "BIGTIFF": "YES", "nodata": 0},
        {"blockysize": 16, "compress": "zstd", "ENDIANNESS": "BIG"},
        {"tiled": True, "compress": "lerc", "sparse": True},
        {"blockysize": 8, "compress": "packbits"},
    ]
    return [make(folder / f"{i}.tif", **kind).read_bytes() for i, kind in enumerate(kinds)]


@examples(300)
@given(
    seed=st.integers(0, 4),
    flips=st.lists(
        st.tuples(st.integers(0, 1500), st.integers(0, 255) | st.sampled_from([0, 1, 127, 255])),
        min_size=1,
        max_size=8,
    ),
    window=image_windows(),
)
def test_changed_bytes_give_pixels_or_a_clean_error(
    seeds: list[bytes], seed: int, flips: list[tuple[int, int]], window: Window
) -> None:
    data = bytearray(seeds[seed])
    for place, value in flips:
        data[place] = value
    with contextlib.suppress(TiffError):
        header = parse(bytes(data))
        col, row = min(window.col, header.width - 1), min(window.row, header.height - 1)
        assert read(bytes(data), Window(col, row, 1, 1)).shape == (1, 1)


def test_random_bytes_are_a_clean_error() -> None:
    source = random.Random(1)
    for start in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"):
        for _ in range(200):
            with pytest.raises(TiffError):
                parse(start + source.randbytes(1000))


def test_absurd_headers_cost_no_work() -> None:
    def refuse(changes: dict[int, list[int]]) -> None:
        with pytest.raises(TiffError):
            parse(craft(changes))

    usual = calls_of(lambda: parse(craft({})))
    for changes in ({256: [99_999], 257: [99_999]}, {324: [1] * 100}, {256: [2**32 - 1]}):
        assert calls_of(partial(refuse, changes)) < 2 * usual
