from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.strategies import cube_of
from timesync_xr import spectral_table, write_csv, write_png
from timesync_xr.errors import InputError
from timesync_xr.project.files import chip_path, csv_files, png_bytes, spectra_path


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_png_is_read_back_by_pillow(rgb: np.ndarray) -> None:
    image = Image.open(io.BytesIO(png_bytes(rgb)))
    image.verify()
    image = Image.open(io.BytesIO(png_bytes(rgb)))
    assert (image.mode, image.size, image.format) == ("RGB", rgb.shape[1::-1], "PNG")
    assert (np.asarray(image) == rgb).all()


def test_png_is_the_same_each_time() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (255, 255, 3), np.uint8)
    assert png_bytes(rgb) == png_bytes(rgb.copy()) == png_bytes(np.asfortranarray(rgb))


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_png_of_anything_else_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8"):
        png_bytes(wrong)


def test_paths_of_the_contract() -> None:
    assert chip_path("1211", "b743", "17", 1999, 7) == "prj_1211/b743/plot_17/plot_17_1999_007.png"
    assert spectra_path("1211", "17", 2004, 366) == "prj_1211/17_spectral_files_set_2004_366.csv"


def test_csv_to_the_character() -> None:
    cube = cube_of(np.full((2, 7, 3, 3), 18639, dtype=np.uint16))
    cube[:, 6] = 21824
    cube[1, 6] = 22280
    first, second = csv_files(spectral_table(cube, "1211", "a,7"))
    assert first.decode() == (
        "sensor,project_id,plot_id,hv,year,doy,blue,green,red,nir,swir1,swir2,qa,date\n"
        'LE07,1211,"a,7",0309,2001,1,3125,3125,3125,3125,3125,3125,0,2001-01-01T18:00:00.1234567Z\n'
    )
    assert second.decode().splitlines()[1].endswith(",1,2001-01-09T18:00:00.1234567Z")


def test_table_leaves_out_what_is_fill_at_the_plot_and_says_where_rows_come_from() -> None:
    cube = cube_of(np.full((3, 7, 5, 5), 10000, dtype=np.uint16))
    cube[:, 6] = 21824
    cube[1, 6, 2, 2] = 1
    cube[2, 6, 0, 0] = 1
    cube[2, :6, 2, 2] = 0
    table = spectral_table(cube, "p", "1")
    assert table.index.tolist() == [0, 2]
    assert table["blue"].tolist() == [750, -2000]
    assert table.equals(spectral_table(cube.chunk(time=1), "p", "1"))


def test_plot_pixel_of_an_even_size_is_past_the_middle() -> None:
    cube = cube_of(np.zeros((1, 7, 4, 2), dtype=np.uint16))
    cube[0, :, 2, 1] = [20000] * 6 + [21824]
    assert spectral_table(cube, "p", "1")["blue"].tolist() == [3500]


def test_writers_write_what_they_are_given(tmp_path: Path) -> None:
    cube = cube_of(np.full((1, 7, 3, 3), 12345, dtype=np.uint16))
    cube[:, 6] = 21824
    table = spectral_table(cube, "p", "007")
    write_csv(table, tmp_path / "row.csv")
    back = pd.read_csv(tmp_path / "row.csv", dtype={"plot_id": str, "hv": str})
    assert back[["plot_id", "hv", "doy"]].to_numpy().tolist() == [["007", "0309", 1]]
    rgb = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    write_png(rgb, tmp_path / "chip.png")
    assert (np.asarray(Image.open(tmp_path / "chip.png")) == rgb).all()


@pytest.mark.deep
def test_the_bytes_of_a_chip_depend_on_nothing_but_the_chip() -> None:
    """Not on what was packed before, or at the same time: projects are compared byte by byte."""
    random = np.random.default_rng(1)
    chips = [_fields(random) for _ in range(500)]
    first = [png_bytes(chip) for chip in chips]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            assert list(threads.map(png_bytes, chips)) == first


def _fields(random: np.random.Generator) -> np.ndarray:
    """A small chip of a few colours, in which most pixels are like those above them."""
    rows = [np.sort(random.integers(0, 3, 6))]
    for _ in range(5):
        rows.append(np.where(random.random(6) < 0.8, rows[-1], random.integers(0, 4, 6)))
    return random.integers(0, 256, (4, 3), dtype=np.uint8)[np.array(rows)]
