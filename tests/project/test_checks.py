"""Wrong chips and cubes are told from right ones, and wrong cubes are made again."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.archive import SmallArchive
from timesync_xr import Archive, Products, extract, repair, verify
from timesync_xr.grid import REGIONS
from timesync_xr.project.checks import BrokenChipError, plot_colours, plot_pixel_of_png
from timesync_xr.project.files import png_bytes
from timesync_xr.spectral.composites import COMPOSITES

# Chips

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
@pytest.mark.cases(1)
def test_values_have_the_colours_of_the_golden_chips(shared: Path, archive: str) -> None:
    """Of chips and values that the reference made."""
    count = 0
    for path in sorted((shared / f"golden/{archive}_expected").rglob("*.csv")):
        spectra = pd.read_csv(path)
        row = spectra.iloc[0]
        for composite, colours in plot_colours(spectra, COMPOSITES.values()).items():
            name = f"plot_{row['plot_id']}_{row['year']}_{row['doy']:03d}.png"
            chip = path.parent / composite / f"plot_{row['plot_id']}" / name
            with Image.open(chip) as image:
                assert tuple(colours[0].tolist()) == image.getpixel((127, 127)), chip
            count += 1
    assert count > 100


def test_a_value_of_fill_is_black_in_all() -> None:
    bands = ["blue", "green", "red", "nir", "swir1", "swir2"]
    spectra = pd.DataFrame([[3000] * 6, [3000] * 5 + [-2000]], columns=bands)
    for colours in plot_colours(spectra, COMPOSITES.values()).values():
        assert colours[0].any()
        assert not colours[1].any()


# Cubes


X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
CUBE = "prj_p/cubes/plot_7.zarr"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallArchive, Path]:
    """An archive of three days, and the project of one plot with all products."""
    folder = tmp_path_factory.mktemp("made")
    archive = SmallArchive(folder / "archive")
    for day in (1, 9, 17):
        archive.add("LC08", f"2020-07-{day:02d}T18:30:00Z")
    (folder / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{X},{Y}\n")
    extract(
        folder / "plots.csv",
        folder / "project",
        Archive(archive.write_items(), mirror=archive.mirror),
        products=Products(("png", "csv", "zarr"), chip_size=(41, 41)),
        progress=False,
    )
    return archive, folder / "project"


@pytest.fixture
def project(made: tuple[SmallArchive, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "project"))


def array(cube: Path, name: str) -> Any:
    return zarr.open_group(cube, mode="r+")[name]


def other_corner(cube: Path) -> None:
    """A pixel far from the plot becomes fill."""
    array(cube, "digital_number")[1, 2, 0, 0] = 0


def other_plot_pixel(cube: Path) -> None:
    array(cube, "digital_number")[1, 2, 20, 20] += 400


def other_qa(cube: Path) -> None:
    array(cube, "digital_number")[0, 6, 20, 20] ^= 1 << 5


def other_items(cube: Path) -> None:
    array(cube, "item_ids")[0] = "another"


def no_shard(cube: Path) -> None:
    (shard,) = (path for path in (cube / "digital_number/c").rglob("*") if path.is_file())
    shard.unlink()


def damaged_shard(cube: Path) -> None:
    (shard,) = (path for path in (cube / "digital_number/c").rglob("*") if path.is_file())
    data = np.frombuffer(shard.read_bytes(), np.uint8).copy()
    data[: len(data) // 2] ^= 255
    shard.write_bytes(data.tobytes())


def no_metadata(cube: Path) -> None:
    (cube / "zarr.json").write_text("{}")


def other_member(cube: Path) -> None:
    file = cube / "hv/zarr.json"
    file.write_text(file.read_text().replace('"string"', '"strinG"'))


def no_member(cube: Path) -> None:
    (cube / "digital_number/zarr.json").unlink()


def in_group(old: str, new: str) -> Callable[[Path], None]:
    def change(cube: Path) -> None:
        file = cube / "zarr.json"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def moved(name: str) -> Callable[[Path], None]:
    def change(cube: Path) -> None:
        array(cube, name)[0] += 30

    return change


def no_cube(cube: Path) -> None:
    shutil.rmtree(cube)


@pytest.mark.parametrize(
    ("damage", "kind", "problem"),
    [
        (other_corner, "broken", "LC08 of 2020-07-09 has a fill_share of 0.0006, by the log 0"),
        (other_plot_pixel, "broken", "LC08 of 2020-07-09 has a checksum of"),
        (other_qa, "broken", "LC08 of 2020-07-01 has a qa_pixel of"),
        (other_items, "broken", "it lacks 1, and it holds 1 other"),
        (no_shard, "broken", r"it can't be read \(it lacks digital_number/c/0/0/0/0\)"),
        (damaged_shard, "broken", "it can't be read"),
        (no_metadata, "broken", "it can't be read"),
        (other_member, "broken", r"its hv/zarr\.json is other than its zarr\.json says"),
        (no_member, "broken", r"its digital_number/zarr\.json is missing"),
        (in_group("spatial:bbox", "spatial:bboX"), "broken", "its spatial:bbox is None"),
        (in_group("of plot 7", "of plot 3"), "broken", "its title is"),
        (moved("x"), "broken", "its x is another than that of its place"),
        (moved("time"), "broken", "its times are others than those of the log"),
        (no_cube, "missing", "the cube is missing"),
    ],
)
@pytest.mark.deep
def test_a_wrong_cube_is_found_and_made_again(
    made: tuple[SmallArchive, Path],
    project: Path,
    damage: Callable[[Path], None],
    kind: str,
    problem: str,
) -> None:
    archive, before = made
    assert verify(project).empty
    damage(project / CUBE)
    problems = verify(project)
    assert problems["kind"].tolist() == [kind]
    assert problems["problem"].str.contains(problem).all()
    assert len(verify(project, quick=True)) == (kind == "missing")
    repair(
        project,
        problems,
        Archive(archive.folder / "items.json", mirror=archive.mirror),
        progress=False,
    )
    assert verify(project).empty
    for path in (p for p in before.glob("prj_p/**/*") if p.is_file()):
        assert (project / path.relative_to(before)).read_bytes() == path.read_bytes(), path


@pytest.mark.deep
def test_a_cube_that_no_plot_of_the_ledger_has_is_a_stray(project: Path) -> None:
    shutil.copytree(project / CUBE, project / "prj_p/cubes/plot_8.zarr")
    problems = verify(project)
    assert problems["kind"].tolist() == ["stray"]
    assert problems["file"].tolist() == ["prj_p/cubes/plot_8.zarr"]
