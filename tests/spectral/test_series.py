from __future__ import annotations

import io
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import given

from tests.strategies import CLEAR, chips, cube_of
from timesync_xr import (
    BANDS,
    SR_BANDS,
    Archive,
    Products,
    Project,
    chips_for_plot,
    extract,
    to_collection1,
    window_statistics,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.project.tables import WINDOW_TABLE_COLUMNS
from timesync_xr.spectral.series import WINDOW_COLUMNS


def pixel_by_pixel(cube: xr.DataArray, size: int) -> list[tuple[float, float, int]]:
    """The same with loops and Python's statistics."""
    row, col = cube.sizes["y"] // 2, cube.sizes["x"] // 2
    found = []
    for chip in cube.to_numpy():
        for band in range(6):
            values = [
                int(to_collection1(chip[band, y, x]))
                for y in range(row - size // 2, row + size // 2 + 1)
                for x in range(col - size // 2, col + size // 2 + 1)
                if chip[band, y, x] != 0 and chip[6, y, x] != 0 and chip[6, y, x] % 2 == 0
            ]
            if values:
                found.append((statistics.fmean(values), statistics.pstdev(values), len(values)))
            else:
                found.append((float("nan"), float("nan"), 0))
    return found


@given(chips(times=2, size=6))
@pytest.mark.deep
def test_it_is_what_loops_over_pixels_find(cube: xr.DataArray) -> None:
    for size in (1, 3, 5):
        table = window_statistics(cube, size)
        expected = np.array(pixel_by_pixel(cube, size))
        np.testing.assert_allclose(table[["mean", "std"]], expected[:, :2], rtol=1e-9, atol=1e-6)
        assert (table["valid"] == expected[:, 2]).all()


def test_a_hand_worked_window() -> None:
    """Eight pixels of 0.1 and one of 0.19, one band fill once, one pixel no data at all."""
    values = np.zeros((1, 7, 5, 5), dtype=np.uint16)
    values[:, 6] = CLEAR
    values[0, :6] = 60000
    values[0, :6, 1:4, 1:4] = 10910
    values[0, :6, 2, 2] = 14182
    values[0, 3, 1, 1] = 0
    values[0, 6, 3, 3] = 1
    table = window_statistics(cube_of(values)).set_index("band")
    assert tuple(window_statistics(cube_of(values)).columns) == WINDOW_COLUMNS
    assert table.loc["blue", "valid"] == 8
    assert table.loc["nir08", "valid"] == 7
    assert table.loc["blue", "mean"] == pytest.approx((7 * 1000 + 1900) / 8, abs=0.3)
    assert table.loc["blue", "std"] == pytest.approx(900 * np.sqrt(7) / 8, abs=0.3)


def test_no_valid_pixel_is_nan_and_zero() -> None:
    table = window_statistics(cube_of(np.zeros((2, 7, 3, 3), dtype=np.uint16)))
    assert table["valid"].tolist() == [0] * 12
    assert table[["mean", "std"]].isna().all(axis=None)


def test_lazy_cubes_and_shuffled_bands_give_the_same() -> None:
    random = np.random.default_rng(0)
    cube = cube_of(random.integers(0, 2**16, (4, 7, 9, 9)).astype(np.uint16))
    expected = window_statistics(cube)
    pd.testing.assert_frame_equal(window_statistics(cube.chunk(time=1, y=4)), expected)
    shuffled = cube.sel(band=list(reversed(BANDS))).transpose("y", "band", "x", "time")
    pd.testing.assert_frame_equal(window_statistics(shuffled), expected)
    assert expected["band"].tolist() == list(SR_BANDS) * 4
    pd.testing.assert_frame_equal(window_statistics(cube[:0]).astype(expected.dtypes), expected[:0])


@pytest.mark.parametrize(
    ("size", "message"), [(2, "odd"), (0, "odd"), (-1, "odd"), (7, "is not in this part")]
)
def test_a_size_that_can_not_be_is_refused(size: int, message: str) -> None:
    cube = cube_of(np.zeros((1, 7, 6, 5), dtype=np.uint16))
    with pytest.raises(InputError, match=f"{size} x {size} pixels.*{message}"):
        window_statistics(cube, size)


def test_on_the_golden_archive(shared: Path) -> None:
    folder = shared / "golden" / "mosaic"
    plot = pd.read_csv(folder / "plots.csv").iloc[0]
    cube = chips_for_plot(
        (plot["x"], plot["y"]),
        Archive(folder / "items.json", mirror=f"s3://usgs-landsat-ard={folder}"),
        chip_size=(9, 9),
    )
    table = window_statistics(cube)
    expected = np.array(pixel_by_pixel(cube.compute(), 3))
    assert len(table) == 6 * cube.sizes["time"] > 0
    np.testing.assert_allclose(table[["mean", "std", "valid"]], expected, rtol=1e-9)


@pytest.mark.deep
def test_command_reads_the_cubes_of_a_project(shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden" / "mosaic"
    plots = tmp_path / "plots.csv"
    lines = (folder / "plots.csv").read_text().splitlines()
    plots.write_text("\n".join(lines[:3]))
    archive = Archive(folder / "items.json", mirror=f"s3://usgs-landsat-ard={folder}")
    project, products = tmp_path / "project", Products("csv,zarr", chip_size=(9, 9))
    extract(plots, project, archive, products=products, progress=False)
    out = tmp_path / "window.parquet"
    result = CliRunner().invoke(main, ["window", str(project), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    table = pd.read_parquet(out)
    assert tuple(table.columns) == WINDOW_TABLE_COLUMNS
    (spectra, alone) = (Project(project).spectra(), ["window", str(project), "--size", "1"])
    made = pd.read_csv(io.StringIO(CliRunner().invoke(main, alone).stdout), dtype={"plot_id": str})
    assert len(made) == len(table) == 6 * len(spectra)
    blue = made[made["band"] == "blue"].merge(spectra, on=["plot_id", "year", "doy", "sensor"])
    assert len(blue) == len(spectra)
    known = blue["valid"] == 1
    assert (blue.loc[known, "mean"] == blue.loc[known, "blue"]).all()
    assert (blue.loc[known, "std"] == 0).all()
    assert (blue.loc[~known, "blue"] == -2000).all()

    plots.write_text("\n".join([lines[0], lines[3]]))
    products = Products("csv", chip_size=(9, 9))
    extract(plots, project, archive, products=products, progress=False)
    result = CliRunner().invoke(main, ["window", str(project), "--out", str(out)])
    assert "1 plot has no cube" in result.stderr
    assert len(pd.read_parquet(out)) == len(table)
    assert CliRunner().invoke(main, ["window", str(project), "--size", "4"]).exit_code == 2
