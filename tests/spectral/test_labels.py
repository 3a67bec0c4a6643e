"""What comes of a cube says what it is, lies where the cube lies, and takes what people give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

import timesync_xr as tx
from timesync_xr.errors import InputError
from timesync_xr.sample import SamplePaths
from timesync_xr.spectral import indices


@pytest.fixture(scope="module")
def cube(sample: SamplePaths) -> xr.DataArray:
    """Chips of 9 x 9 pixels of the sample's burnt forest, in 1995 and 1996."""
    made = tx.chips_for_plot(
        tx.read_plots(sample.plots).iloc[1],
        tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}"),
        datetime="1995/1996",
        chip_size=9,
    )
    return made.compute()


def values(cube: xr.DataArray) -> xr.DataArray:
    return tx.to_collection1(cube.sel(band=list(tx.SR_BANDS)))


def qa(cube: xr.DataArray) -> xr.DataArray:
    return cube.sel(band="qa_pixel")


MADE: dict[str, tuple[Callable[[xr.DataArray], xr.DataArray], str, str]] = {
    "surface_reflectance": (values, "surface reflectance in the Collection 1 range", "0.0001"),
    "tasseled_cap": (lambda c: tx.tasseled_cap(values(c)), "tasseled cap", "0.0001"),
    "tc": (
        lambda c: tx.composite_rgb(c, "tc"),
        "brightness, greenness, wetness as red, green, blue",
        "1",
    ),
    "ndvi": (lambda c: indices.ndvi(values(c)), "normalized difference vegetation index", "1"),
    "nbr": (lambda c: indices.nbr(values(c)), "normalized burn ratio", "1"),
    "nbr2": (lambda c: indices.nbr2(values(c)), "normalized burn ratio 2", "1"),
    "ndmi": (lambda c: indices.ndmi(values(c)), "normalized difference moisture index", "1"),
    "evi": (lambda c: indices.evi(values(c)), "enhanced vegetation index", "1"),
    "tcb": (lambda c: indices.tcb(values(c)), "tasseled-cap brightness", "0.0001"),
    "tcg": (lambda c: indices.tcg(values(c)), "tasseled-cap greenness", "0.0001"),
    "tcw": (lambda c: indices.tcw(values(c)), "tasseled-cap wetness", "0.0001"),
    "tca": (lambda c: indices.tca(values(c)), "tasseled-cap angle", "degree"),
    "is_clear": (lambda c: tx.is_clear(qa(c)), "clear or water, by every bit of QA_PIXEL", "1"),
    "is_fill": (lambda c: tx.is_fill(qa(c)), "no data, by QA_PIXEL", "1"),
    "bit_5": (lambda c: tx.has_bit(qa(c), 5), "bit 5 of QA_PIXEL", "1"),
    "qa": (lambda c: tx.contract_qa(qa(c)), "qa of the TimeSync contract: 0 usable, 1 not", "1"),
    "snow_confidence": (
        lambda c: tx.qa_flags(qa(c))["snow_confidence"],
        "confidence of snow, by QA_PIXEL: 0 none, 1 low, 3 high",
        "1",
    ),
}


FURTHER: dict[str, dict[str, object]] = {
    "surface_reflectance": {
        "standard_name": "surface_bidirectional_reflectance",
        "nodata": -2000,
    },
    "ndvi": {"standard_name": "normalized_difference_vegetation_index"},
    "qa": {"standard_name": "quality_flag"},
    "is_clear": {"standard_name": "quality_flag"},
    "is_fill": {"standard_name": "quality_flag"},
    "tc": {"nodata": 0},
}
"""Attributes beside those that all have."""


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.deep
def test_what_is_made_says_what_it_is_and_where(cube: xr.DataArray, name: str, lazy: bool) -> None:
    make, long_name, units = MADE[name]
    made = make(cube.chunk(time=2) if lazy else cube)
    assert made.name == name
    assert made.attrs == {
        "long_name": long_name,
        "units": units,
        "grid": "CU",
        "plot_x": cube.attrs["plot_x"],
        "plot_y": cube.attrs["plot_y"],
        "project_id": "1001",
        "plot_id": "2",
        "grid_mapping": "spatial_ref",
        **FURTHER.get(name, {}),
    }
    assert made.rio.crs is not None
    assert made.rio.crs == cube.rio.crs
    assert made.rio.bounds() == cube.rio.bounds()
    assert tx.plot_pixel(made)["x"] == cube.attrs["plot_x"]


def test_what_is_not_known_is_not_told(cube: xr.DataArray) -> None:
    """Values without a unit, of an array of one's own, give components without one."""
    bare = values(cube).drop_attrs()
    assert indices.tcw(bare).attrs == {"long_name": "tasseled-cap wetness"}


def test_digital_numbers_are_not_taken_for_reflectance(cube: xr.DataArray) -> None:
    with pytest.raises(InputError, match="to_collection1"):
        indices.ndvi(cube)


@pytest.mark.parametrize("chunks", [{"band": 1}, {"x": 4, "y": 3}])
def test_composites_of_any_chunks(cube: xr.DataArray, chunks: dict[str, int]) -> None:
    whole = tx.composite_rgb(cube, "tc")
    xr.testing.assert_identical(tx.composite_rgb(cube.chunk(chunks), "tc").compute(), whole)


def test_table_of_a_single_time(cube: xr.DataArray) -> None:
    table = tx.spectral_table(cube, "1001", "2")
    for position, row in table.iterrows():
        one = tx.spectral_table(cube.isel(time=int(str(position))), "1001", "2")
        assert one.to_dict("records") == [row.to_dict()]


def test_table_without_time_is_refused(cube: xr.DataArray) -> None:
    with pytest.raises(InputError, match="no time"):
        tx.spectral_table(cube.isel(time=0, drop=True), "1001", "2")


@pytest.mark.parametrize("rows", [0, 2])
def test_csv_of_more_or_less_than_a_row_is_refused(
    cube: xr.DataArray, tmp_path: Path, rows: int
) -> None:
    table = tx.spectral_table(cube, "1001", "2")
    with pytest.raises(InputError, match=f"one row, not {rows}"):
        tx.write_csv(table.head(rows), tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.deep
def test_results_show_themselves_in_a_notebook(sample_project: Path, tmp_path: Path) -> None:
    combined = tx.combine(sample_project, out=tmp_path)
    assert repr(combined) == str(combined)
