"""GeoTIFF, netCDF and world files: read back by rasterio, netCDF4 and xarray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner

import timesync_xr as tx
from tests.conftest import MakeOnce
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, LeftOutWarning
from timesync_xr.export import rasters
from timesync_xr.project.cubes import read_part
from timesync_xr.sample import SamplePaths

KEY = ("1001", "2")


@pytest.fixture(scope="module")
def project(sample: SamplePaths, made_once: MakeOnce) -> Path:
    """A project of one plot with chips and cube: 9 x 7 pixels of one year."""

    def make(out: Path) -> None:
        tx.extract(
            tx.read_plots(sample.plots).iloc[[1]],
            out,
            tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}"),
            tx.Selection("1996"),
            tx.Products("png,csv,zarr", chip_size=(9, 7)),
            progress=False,
        )

    return made_once("rasters", make)


@pytest.fixture
def cube(project: Path) -> xr.DataArray:
    with tx.Project(project).cube(KEY) as kept:
        return kept.compute()


def test_every_observation_is_a_geotiff_that_says_what_it_is(
    project: Path, cube: xr.DataArray, tmp_path: Path
) -> None:
    made = tx.export_rasters(project, "geotiff", tmp_path)
    assert str(made) == f"{cube.sizes['time']} files: {tmp_path}/geotiff"
    paths = sorted(tmp_path.rglob("*.tif"))
    assert len(paths) == cube.sizes["time"]
    for one in cube:
        stamp = pd.Timestamp(one["time"].item())
        name = f"plot_2_{stamp:%Y_%j}_{one['sensor'].item()}_bands.tif"
        with rasterio.open(tmp_path / "geotiff/prj_1001/bands/plot_2" / name) as file:
            np.testing.assert_array_equal(file.read(), one)
            assert file.descriptions == tx.BANDS
            assert (file.crs, tuple(file.bounds)) == (cube.rio.crs, cube.rio.bounds())
            assert (file.nodata, file.dtypes[0]) == (0, "uint16")
            assert file.scales == (*[0.0000275] * 6, 1)
            assert file.offsets == (*[-0.2] * 6, 0)
            assert file.tags()["TIFFTAG_DATETIME"] == f"{stamp:%Y:%m:%d %H:%M:%S}"
            assert file.tags()["item_ids"] == one["item_ids"].item()
            assert file.tags()["plot_id"] == "2"
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            column, row = ~file.transform @ (cube.attrs["plot_x"], cube.attrs["plot_y"])
            assert (column, row) == (4.5, 3.5)


def test_no_chunk_of_a_cube_is_read_twice(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks hold some observations each; to read one for each of these took most of the time."""
    read: list[range] = []

    def counted(cube: xr.DataArray, start: int, stop: int) -> xr.DataArray:
        read.append(range(start, min(stop, cube.sizes["time"])))
        return read_part(cube, start, stop)

    monkeypatch.setattr(rasters, "CHUNK_TIMES", 3)
    monkeypatch.setattr(rasters, "read_part", counted)
    made = tx.export_rasters(project, "geotiff", tmp_path, composites=["tc", "b743"])
    places = [place for part in read for place in part]
    assert places == list(range(made.count // 2))
    assert len(read) == -(-made.count // 6) > 1


def test_composites_are_pictures_in_their_place(
    project: Path, cube: xr.DataArray, tmp_path: Path
) -> None:
    command = f"export {project} --format geotiff --composites tc --out {tmp_path}"
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 0, result.output
    for path, chip in zip(
        sorted(tmp_path.rglob("*.tif")), tx.composite_rgb(cube, "tc"), strict=True
    ):
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read(), chip.transpose("rgb", "y", "x"))
            assert [colour.name for colour in file.colorinterp] == ["red", "green", "blue"]


def test_only_what_is_black_is_left_out_of_a_chip(cube: xr.DataArray, tmp_path: Path) -> None:
    """A ``nodata`` of 0 would have QGIS leave out rivers and burns, which are 0 in one colour."""
    chip = tx.composite_rgb(cube.isel(time=0), "tc").copy()
    chip.values[:2] = np.array([0, 0, 200])
    chip.values[2:4] = 0
    tx.write_geotiff(chip, tmp_path / "chip.tif")
    with rasterio.open(tmp_path / "chip.tif") as file:
        np.testing.assert_array_equal(file.read(), chip.transpose("rgb", "y", "x"))
        np.testing.assert_array_equal(file.dataset_mask() != 0, chip.any("rgb"))
        assert file.nodata is None
        assert file.count == 3
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_any_picture_is_written_with_names(cube: xr.DataArray, tmp_path: Path) -> None:
    ndvi = tx.indices.ndvi(tx.reflectance(cube))
    moments = tuple(ndvi["time"].dt.strftime("%Y-%m-%dT%H:%M:%S").values)
    parts = {
        "red": (cube.sel(band="red").isel(time=0), ("red",)),
        "some": (cube.isel(time=0, x=slice(2, 5)).sel(band=["red", "blue"]), ("red", "blue")),
        "ndvi": (ndvi.isel(time=0), ("ndvi",)),
        "through time": (ndvi.chunk(time=1), moments),
        "clear": (tx.is_clear(cube.sel(band="qa_pixel", drop=True)).isel(time=0), ("is_clear",)),
    }  # fmt: skip
    for name, (part, names) in parts.items():
        tx.write_geotiff(part, tmp_path / f"{name}.tif")
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read().reshape(part.shape), part)
            assert file.descriptions == names
            assert tuple(file.bounds) == part.rio.bounds()
            nodata = np.nan if part.dtype.kind == "f" else part.attrs.get("nodata")
            assert file.nodata == pytest.approx(nodata, nan_ok=True)
    with pytest.raises(InputError, match="choose one step"):
        tx.write_geotiff(cube, tmp_path / "x.tif")
    with pytest.raises(InputError, match="no CRS"):
        tx.write_geotiff(cube.isel(time=0).drop_vars("spatial_ref"), tmp_path / "x.tif")
    assert not (tmp_path / "x.tif").exists()


def test_netcdf_is_reflectance_in_its_place(
    project: Path, cube: xr.DataArray, tmp_path: Path
) -> None:
    tx.export_rasters(project, "netcdf", tmp_path)
    path = tmp_path / "netcdf/prj_1001/plot_2.nc"
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        raw = np.stack([file[band][:] for band in tx.BANDS], 1)
        np.testing.assert_array_equal(raw, cube)
        times: Any = netCDF4.num2date(file["time"][:], file["time"].units)
        days = [f"{time:%Y-%m-%dT%H:%M:%S}" for time in times]
        assert days == [str(moment)[:19] for moment in cube["time"].to_numpy()]
        assert file.Conventions == "CF-1.10"
        assert file["qa_pixel"].flag_meanings.split()[6] == "clear"
        assert file["qa_pixel"].flag_masks[6] == 1 << 6
    with xr.open_dataset(path, decode_coords="all") as back:
        expected = tx.reflectance(cube)
        for band in tx.SR_BANDS:
            np.testing.assert_allclose(back[band], expected.sel(band=band), atol=1e-6)
        assert (back.rio.crs, back.rio.bounds()) == (cube.rio.crs, cube.rio.bounds())
        assert back["sensor"].values.tolist() == cube["sensor"].values.tolist()


def test_chips_are_copied_with_their_place(
    project: Path, cube: xr.DataArray, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    made = tx.export_rasters(project, "png", tmp_path, composites=["b743"])
    chips = sorted(tmp_path.rglob("*.png"))
    assert len(chips) == made.count > 0
    for path in chips:
        own = project / path.relative_to(tmp_path / "png")
        assert path.read_bytes() == own.read_bytes()
        with rasterio.open(path) as file:
            assert (file.crs, tuple(file.bounds)) == (cube.rio.crs, cube.rio.bounds())
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    assert not list(project.rglob("*.pgw"))
    told = pd.read_csv(tmp_path / "png" / "plots.csv", dtype={"plot_id": str})
    assert told["plot_id"].tolist() == [KEY[1]]
    assert told["note"].str.contains("burnt").all(), "a further column of the list"


def test_a_chip_of_ones_own_gets_a_world_file(cube: xr.DataArray, tmp_path: Path) -> None:
    chip = tx.composite_rgb(cube, "tc").isel(time=0, x=slice(3, None))
    tx.write_png(chip, tmp_path / "a.b.png")
    tx.write_world_file(chip, tmp_path / "a.b.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.b.pgw", "a.b.png", "a.b.png.aux.xml",
    ]  # fmt: skip
    with rasterio.open(tmp_path / "a.b.png") as file:
        assert (file.crs, tuple(file.bounds)) == (cube.rio.crs, chip.rio.bounds())


def test_a_chip_that_is_lost_is_told(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy")
    lost = min((tmp_path / "copy").rglob("tc/*/*.png"))
    lost.unlink()
    with pytest.warns(LeftOutWarning, match=lost.name):
        made = tx.export_rasters(tmp_path / "copy", "png", composites=["tc"])
    assert made.count == len(list((tmp_path / "copy").rglob("prj_1001/tc/*/*.png"))) / 2


def test_what_there_is_not_is_refused(project: Path, sample_project: Path, tmp_path: Path) -> None:
    for form, composites, message in (
        ("tif", [], "choose from geotiff"),
        ("geotiff", ["tcc"], "did you mean"),
        ("png", ["b321"], "of the chips that the project has there is no composite .b321"),
        ("netcdf", ["tc"], "no part of netCDF"),
    ):
        with pytest.raises(InputError, match=message):
            tx.export_rasters(project, form, tmp_path / "x", composites=composites)
    with pytest.raises(InputError, match="--products zarr"):
        tx.export_rasters(sample_project, "geotiff", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_kept_cubes_tell_their_place_as_geozarr_does(project: Path, cube: xr.DataArray) -> None:
    folder = project / "prj_1001/cubes/plot_2.zarr"
    told = json.loads((folder / "zarr.json").read_text())["attributes"]
    assert {one["name"] for one in told["zarr_conventions"]} == {"proj:", "spatial:"}
    assert rasterio.crs.CRS.from_wkt(told["proj:wkt2"]) == cube.rio.crs
    assert told["spatial:transform"] == [*cube.rio.transform()][:6]
    assert told["spatial:bbox"] == [*cube.rio.bounds()]
    assert told["spatial:shape"] == [7, 9]
    assert not any(":" in name for name in cube.attrs)  # they would not hold for a part of it
