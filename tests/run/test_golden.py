"""The command against the output that the reference gives for two archives, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import timesync_xr
from tests.conftest import run_extract

ARCHIVES = ("real", "mosaic")


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "golden"


@pytest.mark.parametrize("archive", ARCHIVES)
def test_command_gives_the_golden_output(
    golden: Path, golden_projects: dict[str, Path], archive: str
) -> None:
    expected, made = golden / f"{archive}_expected", golden_projects[archive]
    contract = {name for name in files(made) if name.startswith("prj_")}
    assert contract == files(expected)
    assert len(contract) > 100
    for name in sorted(contract):
        if name.endswith(".csv"):
            assert (made / name).read_text() == (expected / name).read_text(), name
        else:
            assert (pixels(made / name) == pixels(expected / name)).all(), name


@pytest.mark.parametrize("size", [99, 1])
@pytest.mark.deep
def test_smaller_odd_chip_is_the_middle_of_the_golden_one(
    golden: Path, tmp_path: Path, size: int
) -> None:
    run_extract(golden / "mosaic", tmp_path, "--chip-size", str(size), str(size))
    first = 127 - size // 2
    middle = slice(first, first + size)
    expected = golden / "mosaic_expected"
    assert {n for n in files(tmp_path) if n.startswith("prj_")} == files(expected)
    for name in files(expected):
        if name.endswith(".csv"):
            assert (tmp_path / name).read_text() == (expected / name).read_text(), name
        else:
            assert (pixels(tmp_path / name) == pixels(expected / name)[middle, middle]).all(), name


@pytest.mark.deep
def test_processes_give_the_same_as_one(
    golden: Path, golden_projects: dict[str, Path], tmp_path: Path
) -> None:
    run_extract(golden / "mosaic", tmp_path, "--workers", "2")
    mosaic = golden_projects["mosaic"]
    one = {n: (mosaic / n).read_bytes() for n in files(mosaic)}
    two = {n: (tmp_path / n).read_bytes() for n in files(tmp_path)}
    ledger = "ledger/plots.csv"
    assert sorted(one.pop(ledger).splitlines()) == sorted(two.pop(ledger).splitlines())
    assert one == two


@pytest.mark.parametrize("archive", ARCHIVES)
def test_library_gives_the_golden_chips_step_by_step(golden: Path, archive: str) -> None:
    """What a notebook does: cube, drop what is fill at the plot, composites."""
    folder = golden / archive
    plots = timesync_xr.read_plots(folder / "plots.csv")
    for plot in plots.head(2).itertuples():
        cube = timesync_xr.chips_for_plot(
            plot,
            timesync_xr.Archive(folder / "items.json", mirror=f"s3://usgs-landsat-ard={folder}"),
        )
        qa = timesync_xr.plot_pixel(cube).sel(band="qa_pixel")
        cube = cube.isel(time=~timesync_xr.is_fill(qa).to_numpy())
        expected = golden / f"{archive}_expected" / f"prj_{plot.project_id}"
        for name in timesync_xr.COMPOSITES:
            chips = timesync_xr.composite_rgb(cube, name).compute()
            paths = sorted((expected / name / f"plot_{plot.plot_id}").glob("*.png"))
            assert len(paths) == chips.sizes["time"] > 0
            for chip, path in zip(chips, paths, strict=True):
                assert (chip.to_numpy() == pixels(path)).all()
