"""A cube is described once: kept or lazy, whole or a part, on disk or in a GeoTIFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import timesync_xr as tx
from timesync_xr.errors import InputError
from timesync_xr.landsat import BANDS, QA_BAND, SR_BANDS
from timesync_xr.project.cubes import open_cube
from timesync_xr.sample import SamplePaths


def lazy_cube(sample: SamplePaths, number: int, **options: Any) -> xr.DataArray:
    return tx.chips_for_plot(
        tx.read_plots(sample.plots).iloc[number],
        tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}"),
        **{"chip_size": (41, 37), "datetime": "1984/2005", **options},
    )


@pytest.fixture(scope="module")
def path(sample: SamplePaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cube that a project keeps of the sample's first plot."""
    out = tmp_path_factory.mktemp("out")
    plots = out / "plots.csv"
    tx.read_plots(sample.plots).iloc[[0]].to_csv(plots, index=False)
    archive = tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    select, products = tx.Selection("1984/2005"), tx.Products("zarr", chip_size=(41, 37))
    tx.extract(plots, out / "project", archive, select, products, progress=False)
    (path,) = (out / "project").glob("prj_*/cubes/*.zarr")
    return path


@pytest.fixture
def kept(path: Path) -> xr.DataArray:
    return open_cube(path)


@pytest.mark.deep
def test_a_kept_cube_is_the_lazy_one(sample: SamplePaths, kept: xr.DataArray) -> None:
    """But for the observations whose plot pixel is fill, which it does not hold."""
    lazy = lazy_cube(sample, 0)
    seen = (tx.plot_pixel(lazy).sel(band=QA_BAND) % 2 == 0).compute()
    assert 0 < seen.sum() < len(seen)
    wanted = lazy.isel(time=seen.to_numpy())
    xr.testing.assert_identical(kept.compute(), wanted.compute())
    assert list(kept.coords) == list(wanted.coords)
    assert list(kept.attrs) == list(wanted.attrs)
    assert kept.chunks is None
    for name, coordinate in wanted.coords.items():
        assert kept[name].dtype == coordinate.dtype
        assert kept[name].attrs == coordinate.attrs


@pytest.mark.deep
def test_a_cube_knows_its_plot_its_grid_and_its_numbers(kept: xr.DataArray) -> None:
    plot = tx.plot_pixel(kept)
    assert (kept.attrs["plot_x"], kept.attrs["plot_y"]) == (plot["x"], plot["y"])
    assert (kept.attrs["project_id"], kept.attrs["plot_id"]) == ("1001", "1")
    assert kept.attrs["grid"] == "CU"
    assert kept.rio.nodata == 0
    assert tx.composite_rgb(kept, "tc").rio.nodata == 0
    reflectance = kept * kept.attrs["reflectance_scale"] + kept.attrs["reflectance_offset"]
    values = tx.to_collection1(kept)
    np.testing.assert_array_equal(np.trunc(reflectance * 10000), values)
    assert (kept["x"].attrs["units"], kept["y"].attrs["units"]) == ("m", "m")
    assert kept["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert kept["time"].attrs["standard_name"] == "time"


def test_bands_are_named_in_a_geotiff(kept: xr.DataArray, tmp_path: Path) -> None:
    tx.write_geotiff(kept.isel(time=0), tmp_path / "chip.tif")
    with rasterio.open(tmp_path / "chip.tif") as file:
        assert file.descriptions == BANDS
        assert file.nodata == 0
        assert file.read(3).tolist() == kept.isel(time=0).sel(band="red").values.tolist()
        assert file.xy(18, 20) == (kept.attrs["plot_x"], kept.attrs["plot_y"])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("part", [{}, {"time": slice(3, None)}, {"y": slice(5, 20), "band": [2]}])
@pytest.mark.filterwarnings("ignore")  # of Zarr: text and consolidated metadata are not settled
@pytest.mark.deep
def test_a_copy_of_a_kept_cube_works_as_it_is(
    kept: xr.DataArray, tmp_path: Path, zarr_format: Any, part: dict[str, Any]
) -> None:
    wanted = kept.isel(part)
    for cube in (wanted, wanted.chunk(time=5)):
        cube.to_zarr(tmp_path / "copy.zarr", zarr_format=zarr_format, mode="w")
        back = xr.open_zarr(tmp_path / "copy.zarr")["digital_number"]
        xr.testing.assert_equal(back.compute(), wanted.compute())
        assert back.attrs == wanted.attrs
        assert back.dtype == np.uint16


def test_composing_never_loads_a_kept_cube(kept: xr.DataArray) -> None:
    rgb = tx.composite_rgb(kept, "b743")
    assert rgb.chunks is not None
    xr.testing.assert_identical(rgb.compute(), tx.composite_rgb(kept.compute(), "b743"))


# Spatial parts


@pytest.fixture(scope="module")
def chips(path: Path) -> xr.DataArray:
    """Chips of 11 x 9 pixels, in which every pixel differs from all others."""
    part = open_cube(path).isel(time=slice(0, 2), x=slice(15, 26), y=slice(14, 23)).compute()
    values = np.arange(1, part.size + 1, dtype=np.uint16).reshape(part.shape) * 2
    return part.copy(data=values)


def test_coordinates_may_be_rounded_and_must_be_metres(chips: xr.DataArray) -> None:
    wanted = tx.plot_pixel(chips)
    for off in (1e-9, -5e-7):
        found = tx.plot_pixel(chips.assign_coords(x=chips["x"] + off, y=chips["y"] - off))
        np.testing.assert_array_equal(found, wanted)
    odd: list[Any] = ["here", [1.0, 2.0], None, np.array([3])]
    for cube in (
        *(chips.assign_attrs(plot_x=value) for value in odd),
        *(chips.assign_attrs(plot_x=value, plot_y=0.0) for value in odd),
        chips.assign_coords(x=chips["x"].astype(str)),
        chips.assign_coords(y=chips["y"] + 1e-3),
    ):
        for function in (tx.plot_pixel, tx.window_statistics):
            with pytest.raises(InputError):
                function(cube)


def cut(length: int, middle: int) -> st.SearchStrategy[Any]:
    """Selections of an axis: slices of any step, lists that ascend or not."""
    return st.one_of(
        st.slices(length),
        st.permutations(range(length)).flatmap(
            lambda order: st.integers(1, length).map(lambda n: list(order[:n]))
        ),
        st.just(slice(middle - 2, middle + 3)),
        st.just(slice(middle + 2, middle - 3, -1)),
    )


@given(rows=cut(9, 4), columns=cut(11, 5), order=st.permutations(["time", "band", "y", "x"]))
@pytest.mark.deep
def test_any_part_gives_the_right_pixel_and_window_or_none(
    chips: xr.DataArray, rows: Any, columns: Any, order: list[str]
) -> None:
    part = chips.isel(y=rows, x=columns).transpose(*order)
    pixel = chips.isel(y=4, x=5)
    held = [np.arange(9)[rows].tolist(), np.arange(11)[columns].tolist()]
    if 4 in held[0] and 5 in held[1]:
        xr.testing.assert_identical(tx.plot_pixel(part).transpose("time", "band"), pixel)
        pd.testing.assert_frame_equal(
            tx.spectral_table(part, "p", "1"), tx.spectral_table(pixel, "p", "1")
        )
    else:
        for function in (tx.plot_pixel, lambda c: tx.spectral_table(c, "p", "1")):
            with pytest.raises(InputError, match="not in this part"):
                function(part)
    whole = [
        [n for n in axis if abs(n - middle) < 2] for axis, middle in zip(held, (4, 5), strict=True)
    ]
    places = [[axis.index(n) for n in of] for axis, of in zip(held, whole, strict=True)]
    if all(len(n) == 3 and max(n) - min(n) == 2 for n in places):
        pd.testing.assert_frame_equal(tx.window_statistics(part), tx.window_statistics(chips))
        assert box_of(part.transpose("time", "band", "y", "x")) == tuple(map(min, places))
    else:
        with pytest.raises(InputError, match=r"3 x 3 pixels around the plot at x .* is not in"):
            tx.window_statistics(part)
        with pytest.raises(InputError, match=r"3 x 3 pixels around the plot"):
            box_of(part)


def box_of(part: xr.DataArray) -> tuple[float, float]:
    """First row and column of the box that is drawn around the plot."""
    plt.switch_backend("agg")
    rgb = part.isel(time=0, band=[0, 1, 2], drop=True).rename(band="rgb").astype(np.uint8)
    (ax,) = tx.plot_chips(rgb).axes
    ((x, y, width, height),) = {p.get_bbox().bounds for p in ax.patches}  # type: ignore[attr-defined]
    plt.close("all")
    assert (width, height) == (3, 3)
    return y + 0.5, x + 0.5


def test_a_row_or_a_column_through_the_plot_holds_it(chips: xr.DataArray) -> None:
    pixel = chips.isel(y=4, x=5)
    for line in (chips.isel(y=4), chips.isel(x=5), pixel):
        xr.testing.assert_identical(tx.plot_pixel(line), pixel)
        with pytest.raises(InputError, match=r"3 x 3 pixels|the array lacks [xy]"):
            tx.window_statistics(line)
    for line in (chips.isel(y=3), chips.isel(x=6), chips.isel(y=4, x=4)):
        with pytest.raises(InputError, match=r"the plot at x .* is not in this part"):
            tx.plot_pixel(line)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.drop_attrs(deep=False),
        lambda c: c.drop_vars(["x", "y"]),
        lambda c: c.drop_vars("x"),
        lambda c: c.isel(x=0, drop=True),
    ],
)
def test_what_does_not_tell_its_place_is_refused(chips: xr.DataArray, change: Any) -> None:
    part = change(chips)
    for function in (tx.plot_pixel, tx.window_statistics, lambda c: tx.spectral_table(c, "p", "1")):
        with pytest.raises(InputError, match=r"does not tell where its plot is|the array lacks x"):
            function(part)


def test_an_array_of_ones_own_is_a_whole_chip() -> None:
    values = np.arange(2 * 4 * 6).reshape(2, 4, 6)
    own = xr.DataArray(values, dims=("time", "y", "x"))
    assert tx.plot_pixel(own).values.tolist() == values[:, 2, 3].tolist()


def test_bands_of_a_part_are_found_by_name(chips: xr.DataArray) -> None:
    shuffled = chips.sel(band=list(reversed(BANDS)))
    assert tx.to_collection1(shuffled.sel(band=list(SR_BANDS))).dims == chips.dims
    xr.testing.assert_identical(tx.composite_rgb(shuffled, "b432"), tx.composite_rgb(chips, "b432"))
