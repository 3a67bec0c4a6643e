"""Cubes and chips in the hands of xarray, rioxarray, odc-geo, netCDF4 and Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from rasterio import warp

import timesync_xr as tx
from timesync_xr.grid import transformer
from timesync_xr.sample import SamplePaths

pytestmark = pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def lazy(sample: SamplePaths) -> xr.DataArray:
    """Chips of 9 x 9 pixels of the sample's burnt forest, in 1995 and 1996."""
    return tx.chips_for_plot(
        tx.read_plots(sample.plots).iloc[1],
        tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}"),
        datetime="1995/1996",
        chip_size=9,
    )


@pytest.fixture(scope="module")
def cube(lazy: xr.DataArray) -> xr.DataArray:
    return lazy.compute()


def ndvi(cube: xr.DataArray) -> xr.DataArray:
    return tx.indices.ndvi(tx.reflectance(cube))


MADE: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "cube": lambda cube: cube,
    "chips": lambda cube: tx.composite_rgb(cube, "tc"),
    "collection 1": lambda cube: tx.to_collection1(cube.sel(band=list(tx.SR_BANDS))),
    "reflectance": tx.reflectance,
    "tasseled cap": lambda cube: tx.tasseled_cap(tx.reflectance(cube)),
    "ndvi": ndvi,
    "clear": lambda cube: tx.is_clear(cube.sel(band="qa_pixel", drop=True)),
}


def test_times_are_whole_seconds_and_titles_can_be_read(cube: xr.DataArray) -> None:
    times = cube["time"].to_numpy()
    assert times.dtype == "datetime64[ns]"
    assert (times == times.astype("datetime64[s]")).all()
    moments = cube["date"].str.slice(0, 19).to_numpy()
    assert (times.astype("datetime64[s]").astype(str) == moments).all()
    assert any("." in date for date in cube["date"].to_numpy())  # what is cut off is kept there
    plt.switch_backend("agg")
    grid = tx.composite_rgb(cube.isel(time=[0, 1]), "tc").plot.imshow(rgb="rgb", col="time")
    titles = [ax.get_title() for ax in grid.axs.flat]
    plt.close("all")
    assert titles == [f"time = {moment}" for moment in moments[:2]]


@pytest.mark.parametrize("name", MADE)
def test_apply_ufunc_keeps_the_place(lazy: xr.DataArray, name: str) -> None:
    made = MADE[name](lazy)
    doubled = xr.apply_ufunc(lambda v: v * 2.0, made, dask="parallelized", output_dtypes=[float],
                             keep_attrs=True)  # fmt: skip
    assert doubled.chunks is not None
    assert (doubled.attrs, doubled.rio.crs) == (made.attrs, lazy.rio.crs)
    np.testing.assert_array_equal(doubled, made.to_numpy() * 2.0)


def test_years_and_trends_are_those_of_numpy(cube: xr.DataArray) -> None:
    values = ndvi(cube)
    assert bool(values.notnull().all("time").any())
    years = cube["time"].dt.year.to_numpy()
    grouped = values.groupby("time.year").median()
    resampled = values.resample(time="YS").mean()
    for n, year in enumerate((1995, 1996)):
        own = values.to_numpy()[years == year]
        np.testing.assert_allclose(grouped.sel(year=year), np.nanmedian(own, 0))
        np.testing.assert_allclose(resampled[n], np.nanmean(own, 0))
    pixel = values.isel(y=4, x=4).dropna("time")
    days = (pixel["time"].to_numpy() - pixel["time"].to_numpy()[0]) / np.timedelta64(1, "ns")
    slope, start = np.polyfit(days / 1e16, pixel.to_numpy(), 1)  # large numbers spoil the fit
    fitted = pixel.polyfit("time", 1)["polyfit_coefficients"]
    assert fitted.sel(degree=1).item() * 1e16 == pytest.approx(slope)
    first = xr.polyval(pixel["time"][:1], fitted).item()
    assert first == pytest.approx(start)


@pytest.mark.parametrize("name", MADE)
def test_odc_geo_knows_where_it_lies(cube: xr.DataArray, name: str) -> None:
    pytest.importorskip("odc.geo.xr")
    made = MADE[name](cube)
    box = made.odc.geobox
    assert tuple(box.boundingbox) == cube.rio.bounds()
    assert box.crs == cube.rio.crs
    assert made.odc.spatial_dims == ("y", "x")
    assert made.odc.nodata == made.attrs.get("nodata")


@pytest.mark.parametrize("name", MADE)
def test_netcdf_comes_back_as_it_was(cube: xr.DataArray, name: str, tmp_path: Path) -> None:
    made = MADE[name](cube)
    made.to_netcdf(tmp_path / "x.nc")
    with xr.open_dataarray(tmp_path / "x.nc") as back:
        assert_the_same(back.load(), made)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", MADE)
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.cases(6)
def test_zarr_comes_back_as_it_was(
    cube: xr.DataArray, name: str, zarr_format: Any, tmp_path: Path
) -> None:
    made = MADE[name](cube)
    made.to_zarr(tmp_path / "x.zarr", zarr_format=zarr_format)
    with xr.open_dataarray(tmp_path / "x.zarr", engine="zarr") as back:
        assert_the_same(back.load(), made)


def assert_the_same(back: xr.DataArray, made: xr.DataArray) -> None:
    """Values, dtype, coordinates, attributes and place are those that were written."""
    xr.testing.assert_equal(back, made)
    assert back.dtype == made.dtype
    assert {k: v for k, v in back.attrs.items() if k != "dtype"} == made.attrs
    assert back.rio.crs == made.rio.crs
    assert back.rio.bounds() == made.rio.bounds()
    assert tx.plot_pixel(back)["x"] == made.attrs["plot_x"]


@pytest.mark.deep
def test_reprojection_takes_the_nearest_pixels(cube: xr.DataArray) -> None:
    """A cube of four dimensions as a Dataset, one of three as it is: each value is from nearby."""
    numbers = np.arange(1, cube.size + 1).reshape(cube.shape) + 8000
    unlike = cube.copy(data=numbers.astype(np.uint16))
    whole = unlike.to_dataset("band").rio.reproject("EPSG:32615", resolution=30)
    one = unlike.isel(time=3).rio.reproject("EPSG:32615", resolution=30)
    np.testing.assert_array_equal(one, whole.to_dataarray("band").isel(time=3))
    back = transformer("EPSG:32615", cube.rio.crs.to_wkt()).transform
    red, source = one.sel(band="red"), unlike.isel(time=3).sel(band="red")
    seen = np.argwhere(red.to_numpy() != 0)
    assert len(seen) >= 81 * 0.9
    for row, column in seen:
        x, y = back(red["x"].item(column), red["y"].item(row))
        (at_y,), (at_x,) = np.nonzero(source.to_numpy() == red[row, column].item())
        assert abs(source["x"].item(at_x) - x) <= 20
        assert abs(source["y"].item(at_y) - y) <= 20


FILLS = {"cube": 0, "chips": 0, "collection 1": -2000, "reflectance": np.nan, "ndvi": np.nan}


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.deep
def test_reprojection_is_that_of_gdal_with_fill_outside(cube: xr.DataArray, name: str) -> None:
    """Onto a grid three times as wide as the cube, each plane by GDAL's own warper beside it."""
    made = MADE[name](cube.isel(time=slice(0, 3)))
    third = next((dim for dim in ("band", "rgb") if dim in made.dims), None)
    crs, size, (x, y) = "EPSG:32615", 60, cube.rio.transform_bounds("EPSG:32615")[::3]
    frame = Affine(30, 0, x - 600, 0, -30, y + 600)
    grid: dict[str, Any] = {"transform": frame, "shape": (size, size), "nodata": FILLS[name]}
    apart = made.to_dataset(third) if third else made.to_dataset(name="index")
    stack = apart.rio.reproject(crs, **grid)
    moved = stack.to_dataarray("plane")
    planes = made.transpose(third, "time", "y", "x") if third else made.expand_dims("plane")
    expected = np.full(moved.shape, FILLS[name], made.dtype)
    for place in np.ndindex(expected.shape[:2]):
        warp.reproject(
            np.ascontiguousarray(planes.to_numpy()[place]), expected[place],
            src_transform=made.rio.transform(recalc=True), src_crs=made.rio.crs,
            src_nodata=FILLS[name], dst_transform=frame, dst_crs=crs, dst_nodata=FILLS[name],
        )  # fmt: skip
    np.testing.assert_array_equal(moved, expected)
    edge = moved.isel(y=[0, -1])
    assert bool((edge.isnull() if np.isnan(FILLS[name]) else edge == FILLS[name]).all())
    inside = moved.notnull() if np.isnan(FILLS[name]) else moved != FILLS[name]
    assert bool(inside.any(["x", "y"]).any("time").all())
    assert (moved.rio.crs, moved.rio.transform()) == (stack.rio.crs, frame)


def test_what_is_clear_is_asked_of_quality_that_was_reprojected(cube: xr.DataArray) -> None:
    """rioxarray moves no True and False; outside of the chip nothing is clear."""
    quality = cube.isel(time=slice(0, 3)).sel(band="qa_pixel")
    moved = quality.rio.reproject("EPSG:32615", resolution=30)
    clear = tx.is_clear(moved)
    marks = tx.is_clear(quality).astype(np.uint8).rio.reproject("EPSG:32615", resolution=30)
    np.testing.assert_array_equal(clear, marks == 1)  # 255 outside
    assert bool(tx.is_fill(moved).to_numpy()[marks.to_numpy() == 255].all())
    assert 0 < int(clear.sum()) < clear.size


def test_a_chip_is_reprojected_as_a_stack_of_colours(cube: xr.DataArray) -> None:
    """Colours first; what is outside is black, and no colour is a mix."""
    chip = tx.composite_rgb(cube.isel(time=0), "tc").transpose("rgb", "y", "x")
    moved = chip.rio.reproject("EPSG:32615", resolution=30)
    there = {tuple(c) for c in chip.to_numpy().reshape(3, -1).T.tolist()}
    colors = {tuple(c) for c in moved.to_numpy().reshape(3, -1).T.tolist()}
    assert colors <= there | {(0, 0, 0)}
    assert len(colors) > 3
    assert moved.dtype == np.uint8
    assert moved.rio.nodata == 0


@pytest.mark.parametrize("name", MADE)
def test_clip_cuts_out_what_a_shape_holds(cube: xr.DataArray, name: str) -> None:
    made = MADE[name](cube)
    made = made.astype("uint8") if made.dtype == bool else made  # GDAL has no bool
    x, y = cube.attrs["plot_x"], cube.attrs["plot_y"]
    left, bottom, right, top = x - 45, y - 15, x + 15, y + 45
    ring = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    cut = made.rio.clip([{"type": "Polygon", "coordinates": [ring]}])
    expected = made.sel(x=slice(left, right), y=slice(top, bottom))
    xr.testing.assert_equal(cut, expected)
    assert (cut.sizes["x"], cut.sizes["y"], cut.attrs["plot_x"]) == (2, 2, x)


PARTS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "all bands": lambda cube: cube.isel(time=0),
    "some bands": lambda cube: cube.isel(time=0).sel(band=["red", "nir08"]),
    "a band": lambda cube: cube.isel(time=0).sel(band="red"),
    "a band through time": lambda cube: cube.sel(band="red"),
    "a chip": lambda cube: tx.composite_rgb(cube, "tc").isel(time=0).transpose("rgb", "y", "x"),
    "an index": lambda cube: ndvi(cube).isel(time=0),
}


@pytest.mark.parametrize("name", PARTS)
def test_rasters_hold_what_was_written(cube: xr.DataArray, name: str, tmp_path: Path) -> None:
    part = PARTS[name](cube)
    part.rio.to_raster(tmp_path / "x.tif")
    with rasterio.open(tmp_path / "x.tif") as file:
        np.testing.assert_array_equal(file.read().reshape(part.shape), part)
        assert file.crs == cube.rio.crs
        assert tuple(file.bounds) == cube.rio.bounds()
        assert file.nodata == part.attrs.get("nodata")
        assert {*file.descriptions} == {part.attrs["long_name"]}
