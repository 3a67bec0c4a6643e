"""Chips are told from what is no chip, and their plot pixel from any other."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from timesync_xr.project.checks import BrokenChipError, plot_colours, plot_pixel_of_png
from timesync_xr.project.files import png_bytes

RGB = npt.NDArray[np.uint8]
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))
CHIPS = SIZES.flatmap(lambda shape: hnp.arrays(np.uint8, shape))
SMALL = png_bytes(np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3))


def by_pillow(chip: npt.NDArray[np.generic], mode: str | None = None) -> bytes:
    """A PNG with whatever filters Pillow takes."""
    file = io.BytesIO()
    Image.fromarray(chip).convert(mode).save(file, "PNG")
    return file.getvalue()


@given(CHIPS)
def test_plot_pixel_is_the_one_at_half_the_size(chip: RGB) -> None:
    height, width, _ = chip.shape
    expected = tuple(chip[height // 2, width // 2].tolist())
    assert plot_pixel_of_png(png_bytes(chip), width, height) == expected
    assert plot_pixel_of_png(by_pillow(chip), width, height) == expected


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_any_byte_that_changed_is_found(position: int, change: int) -> None:
    data = bytearray(SMALL)
    data[position] ^= change
    with pytest.raises(BrokenChipError):
        plot_pixel_of_png(bytes(data), 5, 7)


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
