from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401  (the .rio accessor)
import xarray as xr
from pyproj import CRS

from tests.archive import SmallArchive
from timesync_xr import Archive, chips_for_plot, plot_pixel, read_plots, search_items
from timesync_xr.errors import CorruptAssetError, InputError, MissingAssetError, ReadError
from timesync_xr.grid import REGIONS
from timesync_xr.landsat import BANDS

CU = REGIONS["CU"]
INSIDE = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
CORNER = CU.center(4 * 5000, 10 * 5000)


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    return SmallArchive(tmp_path)


def cube_of(
    archive: SmallArchive, place: tuple[float, float] = INSIDE, **options: Any
) -> xr.DataArray:
    return chips_for_plot(place, Archive(archive.write_items(), mirror=archive.mirror), **options)


def test_cube_is_lazy_exact_and_told_by_name(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.1234567Z")
    archive.add("LE07", "2001-05-03T18:00:00.123456Z")
    cube = cube_of(archive)
    assert cube.dims == ("time", "band", "y", "x")
    assert cube.shape == (2, 7, 255, 255)
    assert cube.dtype == np.uint16
    assert cube["band"].values.tolist() == list(BANDS)
    assert (cube["x"].values[127], cube["y"].values[127]) == INSIDE
    assert set(np.diff(cube["x"])) == {30}
    assert set(np.diff(cube["y"])) == {-30}
    assert cube["time"].values[1] == np.datetime64("2020-07-01T18:30:00", "ns")
    assert cube["date"].values[1] == "2020-07-01T18:30:00.1234567Z"
    assert cube["sensor"].values.tolist() == ["LE07", "LC08"]
    assert cube["hv"].values.tolist() == ["0309", "0309"]
    assert cube["item_id"].values[0].startswith("LE07_CU_003009_20010503_")
    assert cube.rio.crs == CRS.from_wkt(CU.crs)
    assert CRS(cube.rio.crs.to_wkt()).to_epsg() is None
    left, _, _, top = cube.rio.bounds()
    assert (left, top) == (cube["x"].values[0] - 15, cube["y"].values[0] + 15)


def test_values_are_those_that_rasterio_reads(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    cube = cube_of(archive).compute()
    for band in BANDS:
        expected = archive.read(
            "LC08", "2020-07-01", (3, 9), band, 2500 - 127, 2500 - 127, 255, 255
        )
        assert (cube.sel(band=band).isel(time=0).to_numpy() == expected).all(), band


def test_four_tiles_are_put_together_as_a_mosaic(archive: SmallArchive) -> None:
    for tile in ((3, 9), (4, 9), (3, 10), (4, 10)):
        archive.add("LC08", "2020-07-01T18:30:00.5Z", tile)
    cube = cube_of(archive, CORNER, chip_size=(7, 5)).compute()
    assert cube.sizes == {"time": 1, "band": 7, "y": 5, "x": 7}
    for band in BANDS:
        parts = [
            [archive.read("LC08", "2020-07-01", (h, v), band, *window) for h, *window in row]
            for v, row in (
                (9, ((3, 4997, 4998, 3, 2), (4, 0, 4998, 4, 2))),
                (10, ((3, 4997, 0, 3, 3), (4, 0, 0, 4, 3))),
            )
        ]
        assert (cube.sel(band=band).isel(time=0).to_numpy() == np.block(parts)).all(), band


def test_a_tile_that_is_not_there_is_fill(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z", (4, 10))
    with pytest.warns(UserWarning, match="no item of h03v09, h03v10, h04v09, which chips touch"):
        cube = cube_of(archive, CORNER, chip_size=(3, 3)).isel(time=0).compute()
    covered = np.zeros((3, 3), bool)
    covered[1:, 1:] = True
    assert (cube.isel(band=slice(6)).where(~covered, 0) == 0).all()
    assert (cube.sel(band="qa_pixel").to_numpy()[~covered] == 1).all()
    assert (cube.sel(band="blue").to_numpy()[covered] > 0).all()


def test_no_file_is_opened_before_compute(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z", write=False)
    cube = cube_of(archive)
    with pytest.raises(MissingAssetError, match=r"LC08_CU_003009_20200701.* blue.*"):
        cube.compute()


def test_missing_band_is_an_error_that_names_item_and_band(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z", without="swir16")
    with pytest.raises(MissingAssetError, match=r"LC08_CU_003009_20200701.* swir16") as error:
        cube_of(archive).compute()
    assert error.value.remedy


def test_a_file_of_another_tile_is_refused(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z", file_tile=(4, 9))
    with pytest.raises(CorruptAssetError, match="LC08_CU_003009_20200701"):
        cube_of(archive).compute()


def test_cube_goes_through_zarr_as_it_is(archive: SmallArchive, tmp_path: Path) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.1234567Z")
    archive.add("LE07", "2001-05-03T18:00:00.123456Z")
    cube = cube_of(archive, chip_size=(9, 9))
    cube.to_dataset().to_zarr(tmp_path / "cube.zarr", consolidated=False)
    back = xr.open_zarr(tmp_path / "cube.zarr", consolidated=False)["digital_number"]
    xr.testing.assert_equal(back.compute(), cube.compute())
    assert back.dtype == cube.dtype
    assert back.attrs == cube.attrs
    assert set(back.coords) == set(cube.coords)
    assert back.rio.crs == cube.rio.crs


def test_one_search_serves_many_plots(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    items = search_items([(3, 9)], Archive(archive.write_items()))
    cube = chips_for_plot(INSIDE, Archive(items, mirror=archive.mirror), chip_size=(5, 5))
    whole = cube_of(archive, chip_size=(5, 5)).compute()
    assert (cube.attrs.pop("source"), bool(whole.attrs.pop("source"))) == ("a table of items", True)
    xr.testing.assert_identical(cube.compute(), whole)


def test_plot_may_be_a_row_of_the_list(archive: SmallArchive, tmp_path: Path) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,1,{INSIDE[0]},{INSIDE[1]}\n")
    expected = cube_of(archive, chip_size=(3, 3)).compute()
    for row in (next(read_plots(path).itertuples()), read_plots(path).iloc[0]):
        made = chips_for_plot(
            row, Archive(archive.write_items(), mirror=archive.mirror), chip_size=(3, 3)
        )
        xr.testing.assert_equal(made.compute(), expected)


@pytest.mark.deep
def test_datetime_leaves_out_other_dates(archive: SmallArchive) -> None:
    for date in ("2001-05-03", "2019-12-31", "2020-01-01"):
        archive.add("LC08", f"{date}T18:30:00.5Z")
    assert cube_of(archive, datetime="2019/..").sizes["time"] == 2
    assert cube_of(archive, datetime="../2018").sizes["time"] == 1


def test_no_items_is_an_empty_cube(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    cube = cube_of(archive, datetime="1999")
    assert cube.sizes["time"] == 0
    assert cube.dtype == np.uint16
    assert cube.compute().shape == (0, 7, 255, 255)


@pytest.mark.deep
def test_parts_of_the_cube_are_the_parts_of_the_whole(archive: SmallArchive) -> None:
    for day in range(1, 4):
        archive.add("LC08", f"2020-07-0{day}T18:30:00.5Z")
    cube = cube_of(archive, chip_size=(31, 31))
    whole = cube.compute()
    xr.testing.assert_equal(
        cube.isel(time=[2, 0], y=slice(3, 9), x=[1, 30]).compute(),
        whole.isel(time=[2, 0], y=slice(3, 9), x=[1, 30]),
    )
    xr.testing.assert_equal(plot_pixel(cube).compute(), plot_pixel(whole))


def test_wrong_arguments_are_refused_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="CU, AK, HI"):
        chips_for_plot(INSIDE, Archive("nowhere.json"), grid="XX")
    with pytest.raises(InputError, match="OLD=NEW"):
        chips_for_plot(INSIDE, Archive("nowhere.json", mirror="s3://bucket"))
    with pytest.raises(InputError):
        chips_for_plot(INSIDE, Archive("nowhere.json"))


def test_errors_are_of_one_family(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z", write=False)
    with pytest.raises(ReadError):
        cube_of(archive).compute()


def test_plot_pixel_of_a_part_is_still_the_plots(archive: SmallArchive) -> None:
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    cube = cube_of(archive, chip_size=(9, 9))
    whole = plot_pixel(cube).compute()
    xr.testing.assert_equal(plot_pixel(cube.isel(x=slice(2, 9))).compute(), whole)
    with pytest.raises(InputError, match="not in this part"):
        plot_pixel(cube.isel(x=slice(0, 3)))


def test_a_table_of_items_is_cut_to_the_time_asked_for(archive: SmallArchive) -> None:
    for year in (2019, 2020):
        archive.add("LC08", f"{year}-07-01T18:30:00.5Z")
    items = search_items([(3, 9)], Archive(archive.write_items()))
    cube = chips_for_plot(INSIDE, Archive(items, mirror=archive.mirror), datetime="2020/..")
    assert cube["time"].dt.year.values.tolist() == [2020]


@pytest.mark.parametrize("chunks", [1, 2, 4])
@pytest.mark.deep
def test_cubes_are_right_in_every_chunk(archive: SmallArchive, chunks: int) -> None:
    tiles = ((3, 9), (4, 9), (3, 10), (4, 10))
    for day in range(1, 6):
        for tile in tiles[: 1 + day % 4]:
            archive.add("LC08", f"2020-07-0{day}T18:30:00.5Z", tile)
    whole = cube_of(archive, CORNER, chip_size=(5, 5), chunks=None).compute()
    parted = cube_of(archive, CORNER, chip_size=(5, 5), chunks=chunks)
    assert parted.chunksizes["time"] == tuple(min(chunks, 5 - n) for n in range(0, 5, chunks))
    xr.testing.assert_identical(parted.compute(), whole)
