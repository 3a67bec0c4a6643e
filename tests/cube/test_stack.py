"""Plots in one array: pixel on pixel, by how far they lie from their plots."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import timesync_xr as tx
from timesync_xr.errors import InputError
from timesync_xr.sample import SamplePaths


@pytest.fixture(scope="module")
def cubes(sample: SamplePaths) -> list[xr.DataArray]:
    """Chips of 8 x 8 pixels of three plots, of a year in which they have observations unalike."""
    archive = tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    plots = tx.read_plots(sample.plots).iloc[1:4]
    made = [
        tx.chips_for_plot(plot, archive, datetime="1995", chip_size=8)
        for _, plot in plots.iterrows()
    ]
    return [made[0], made[1].isel(time=slice(1, None)), made[2]]


def test_every_observation_of_every_plot_is_there_once(cubes: list[xr.DataArray]) -> None:
    stacked = tx.stack_plots(cubes)
    assert stacked.chunks is not None
    assert stacked.dtype == np.uint16
    assert (stacked.name, stacked.dims) == (cubes[0].name, cubes[0].dims)
    expected = np.concatenate([cube.to_numpy() for cube in cubes])
    np.testing.assert_array_equal(stacked, expected)
    ids = [cube.attrs["plot_id"] for cube in cubes for _ in range(cube.sizes["time"])]
    assert stacked["plot_id"].to_numpy().tolist() == ids
    assert stacked["x"].to_numpy().tolist() == [-120, -90, -60, -30, 0, 30, 60, 90]
    assert stacked["y"].to_numpy().tolist() == [120, 90, 60, 30, 0, -30, -60, -90]
    first = stacked.isel(time=0)
    assert (first["plot_x"], first["plot_y"]) == (
        cubes[0].attrs["plot_x"],
        cubes[0].attrs["plot_y"],
    )
    assert stacked.rio.crs is None


@pytest.mark.deep
def test_what_takes_a_cube_takes_the_stack(cubes: list[xr.DataArray]) -> None:
    stacked = tx.stack_plots(cubes)
    pixels = np.concatenate([tx.plot_pixel(cube).to_numpy() for cube in cubes])
    np.testing.assert_array_equal(tx.plot_pixel(stacked), pixels)
    means = tx.reflectance(stacked).groupby("plot_id").mean()
    for cube in cubes:
        own = tx.reflectance(cube).mean("time")
        found = means.sel(plot_id=cube.attrs["plot_id"])
        np.testing.assert_allclose(found, own, rtol=1e-6)
    rgb = tx.stack_plots([tx.composite_rgb(cube, "tc") for cube in cubes])
    np.testing.assert_array_equal(rgb, tx.composite_rgb(stacked, "tc"))


def test_arrays_without_time_get_a_dimension(cubes: list[xr.DataArray]) -> None:
    firsts = [cube.isel(time=0, drop=True) for cube in cubes]
    stacked = tx.stack_plots(firsts)
    assert stacked.dims == ("plot", "band", "y", "x")
    np.testing.assert_array_equal(stacked, np.stack([one.to_numpy() for one in firsts]))
    assert stacked["plot_id"].to_numpy().tolist() == [one.attrs["plot_id"] for one in firsts]


def test_what_does_not_fit_is_named(cubes: list[xr.DataArray]) -> None:
    odd = {
        "no array": [],
        "array 1 .* its x": [cubes[0], cubes[1].isel(x=slice(1, None))],
        "array 1 .* its band": [cubes[0], cubes[1].isel(band=slice(6))],
        "array 1 .* its dims": [cubes[0], cubes[1].isel(time=0)],
        "array 1 .* holds": [cubes[0], tx.to_collection1(cubes[1].isel(band=slice(6)))],
        "where its plot is": [cubes[0].drop_attrs()],
        "lacks y": [tx.plot_pixel(cubes[0])],
    }
    for message, arrays in odd.items():
        with pytest.raises(InputError, match=message):
            tx.stack_plots(arrays)
