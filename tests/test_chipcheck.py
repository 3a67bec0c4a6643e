"""Chips are told from what is no chip, and their plot pixel from any other."""

from __future__ import annotations

import io
import resource
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from timesync_xr.project.checks import BrokenChipError, plot_colours, plot_pixel_of_png
from timesync_xr.project.files import png_bytes

RGB = npt.NDArray[np.uint8]
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))
CHIPS = SIZES.flatmap(lambda shape: hnp.arrays(np.uint8, shape))
SMALL = png_bytes(np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3))
NOISE = np.random.default_rng(1).integers(0, 256, (255, 255, 3), dtype=np.uint8)


def by_pillow(chip: npt.NDArray[np.generic], mode: str | None = None) -> bytes:
    """A PNG with whatever filters Pillow takes."""
    file = io.BytesIO()
    Image.fromarray(chip).convert(mode).save(file, "PNG")
    return file.getvalue()


def part(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its check sum."""
    check = zlib.crc32(kind + content).to_bytes(4)
    return len(content).to_bytes(4) + kind + content + check


def header(width: int, height: int, colour_type: int = 2) -> bytes:
    return part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))


BOMB = zlib.compress(bytes(60_000_000), 9)
ODD = {
    "nothing": b"",
    "garbage": NOISE.tobytes()[:5000],
    "a cut header": SMALL[:20],
    "a text of 100 MB": SMALL[:33] + part(b"tEXt", b"a\0" + bytes(100_000_000)) + SMALL[33:],
    "a packed text": SMALL[:33] + part(b"zTXt", b"a\0\0" + BOMB) + SMALL[33:],
    "a packed profile": SMALL[:33] + part(b"iCCP", b"a\0\0" + BOMB) + SMALL[33:],
    "a huge size": SMALL[:8] + header(2**31 - 1, 2**31 - 1) + SMALL[33:],
    "a second size": SMALL[:33] + header(9000, 9000) + SMALL[33:],
    "a second size that is huge": SMALL[:33] + header(2**31 - 1, 2**31 - 1) + SMALL[33:],
    "a second colour type": SMALL[:33] + header(5, 7, 3) + SMALL[33:],
    "a part of 4 GB": SMALL[:33] + b"\xff\xff\xff\xff" + SMALL[37:],
    "no end": SMALL[:-12],
    "too few pixels": SMALL[:33] + part(b"IDAT", zlib.compress(bytes(111))) + SMALL[-12:],
    "other data": SMALL[:33] + part(b"IDAT", b"no deflated data") + SMALL[-12:],
    "no pixels": SMALL[:33] + SMALL[-12:],
    "twice": SMALL + SMALL,
}
"""Files that are no chip of 5 x 7 pixels."""


@pytest.mark.parametrize("name", list(ODD))
def test_an_odd_file_is_a_problem_of_its_own(name: str) -> None:
    """And takes little memory, however much it says that it holds."""
    tracemalloc.start()
    try:
        with pytest.raises(BrokenChipError):
            plot_pixel_of_png(ODD[name], 5, 7)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_too_many_pixels_are_not_unpacked() -> None:
    bomb = SMALL[:33] + part(b"IDAT", BOMB) + SMALL[-12:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert plot_pixel_of_png(bomb, 5, 7) == (0, 0, 0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB


@given(CHIPS)
def test_plot_pixel_is_the_one_at_half_the_size(chip: RGB) -> None:
    height, width, _ = chip.shape
    expected = tuple(chip[height // 2, width // 2].tolist())
    assert plot_pixel_of_png(png_bytes(chip), width, height) == expected
    assert plot_pixel_of_png(by_pillow(chip), width, height) == expected


def test_any_bit_that_changed_is_found() -> None:
    """Every bit of a chip of ours, of one by Pillow, and of one with a text before the pixels."""
    text = SMALL[:33] + part(b"tEXt", b"a\0hello") + SMALL[33:]
    for chip in (SMALL, by_pillow(np.arange(105, dtype=np.uint8).reshape(7, 5, 3)), text):
        assert plot_pixel_of_png(chip, 5, 7) == (51, 52, 53)
        for bit in range(8 * len(chip)):
            data = bytearray(chip)
            data[bit // 8] ^= 1 << bit % 8
            with pytest.raises(BrokenChipError):
                plot_pixel_of_png(bytes(data), 5, 7)


@pytest.mark.parametrize("data", [png_bytes(NOISE), by_pillow(NOISE)], ids=["own", "Pillow"])
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
@settings(max_examples=50)
def test_any_byte_that_changed_in_a_whole_chip_is_found(
    data: bytes, place: float, change: int
) -> None:
    damaged = bytearray(data)
    damaged[int(place * len(data))] ^= change
    with pytest.raises(BrokenChipError):
        plot_pixel_of_png(bytes(damaged), 255, 255)


@given(st.integers(0, len(SMALL) - 1))
def test_a_chip_that_was_cut_off_is_found(length: int) -> None:
    with pytest.raises(BrokenChipError):
        plot_pixel_of_png(SMALL[:length], 5, 7)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no PNG"),
        (b"GIF89a", "no PNG"),
        (SMALL + b"\n", "after its end"),
        (png_bytes(np.zeros((5, 5, 3), np.uint8)), "5 x 5 .*, not 5 x 7 of 8-bit RGB"),
        (by_pillow(np.zeros((7, 5), np.uint8)), "8 bits of colour type 0"),
        (by_pillow(np.zeros((7, 5, 3), np.uint8), "RGBA"), "8 bits of colour type 6"),
        (by_pillow(np.zeros((7, 5, 3), np.uint8), "P"), "colour type 3"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, words: str) -> None:
    with pytest.raises(BrokenChipError, match=words):
        plot_pixel_of_png(data, 5, 7)


@pytest.mark.parametrize("archive", ["real", "mosaic"])
def test_values_have_the_colours_of_the_golden_chips(shared: Path, archive: str) -> None:
    """Of chips and values that the reference made."""
    count = 0
    for path in sorted((shared / f"golden/{archive}_expected").rglob("*.csv")):
        spectra = pd.read_csv(path)
        row = spectra.iloc[0]
        for composite, colours in plot_colours(spectra).items():
            name = f"plot_{row['plot_id']}_{row['year']}_{row['doy']:03d}.png"
            chip = path.parent / composite / f"plot_{row['plot_id']}" / name
            with Image.open(chip) as image:
                assert tuple(colours[0].tolist()) == image.getpixel((127, 127)), chip
            count += 1
    assert count > 100


def test_a_value_of_fill_is_black_in_all() -> None:
    bands = ["blue", "green", "red", "nir", "swir1", "swir2"]
    spectra = pd.DataFrame([[3000] * 6, [3000] * 5 + [-2000]], columns=bands)
    for colours in plot_colours(spectra).values():
        assert colours[0].any()
        assert not colours[1].any()
