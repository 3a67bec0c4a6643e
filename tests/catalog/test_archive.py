"""One archive for every use: items in memory, its mirrors, its name, and archives of one's own."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pystac
import pytest
import rasterio
import xarray as xr

from tests.archive import SmallArchive
from tests.tally import shows
from timesync_xr import (
    S3,
    Archive,
    Prices,
    Products,
    Project,
    chips_for_plot,
    extract,
    plan,
    read_plots,
    repair,
    search_items,
    to_collection1,
    verify,
)
from timesync_xr.catalog.items import grid_fault
from timesync_xr.catalog.sources import Identity, Source, crs_fault
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS, Lattice
from timesync_xr.landsat import BANDS

PLOT = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
SECRET = "hunter2"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    small = SmallArchive(tmp_path_factory.mktemp("archive"))
    for day in ("2020-07-01", "2020-07-17"):
        small.add("LC08", f"{day}T18:30:00.1234567Z")
    return small


def _as_pystac(small: SmallArchive) -> list[pystac.Item]:
    return [pystac.Item.from_dict(item) for item in small.items]


IN_MEMORY: dict[str, Callable[[SmallArchive], Any]] = {
    "list": lambda small: small.items,
    "tuple": lambda small: tuple(small.items),
    "list of pystac": _as_pystac,
    "item collection of pystac": lambda small: pystac.ItemCollection(_as_pystac(small)),
    "feature collection": lambda small: json.loads(small.write_items().read_text()),
    "table": lambda small: search_items([(3, 9)], Archive(small.write_items())),
}


@pytest.mark.parametrize("kind", IN_MEMORY)
@pytest.mark.cases(1)
def test_items_in_memory_are_those_of_the_file(small: SmallArchive, kind: str) -> None:
    expected = Archive(small.write_items(), mirror=small.mirror)
    given = Archive(IN_MEMORY[kind](small), mirror=small.mirror)
    table = search_items([(3, 9)], given)
    assert (table["refused"] == "").all()
    pd.testing.assert_frame_equal(table, search_items([(3, 9)], expected))
    cube = chips_for_plot(PLOT, given, chip_size=5)
    assert cube.attrs.pop("source")
    kept = chips_for_plot(PLOT, expected, chip_size=5)
    assert kept.attrs.pop("source") == str(small.write_items())
    xr.testing.assert_identical(cube.compute(), kept)
    wanted = small.read("LC08", "2020-07-17", (3, 9), "red", 2498, 2498, 5, 5)
    np.testing.assert_array_equal(cube.sel(band="red")[1], wanted)


def test_a_date_that_was_changed_in_pystac_is_taken(small: SmallArchive) -> None:
    (item, _) = _as_pystac(small)
    assert item.datetime is not None
    item.datetime = item.datetime.replace(year=2019)
    assert search_items([(3, 9)], Archive([item]))["date"].tolist() == [
        "2019-07-01T18:30:00.123456Z"
    ]


def test_one_item_is_an_archive_too(small: SmallArchive) -> None:
    found = search_items([(3, 9)], Archive(small.items[0]))
    assert found["item_id"].tolist() == [small.items[0]["id"]]


@pytest.mark.parametrize("items", [5, None, {}, {"type": "Catalog"}, {"features": 5}, {"a", "b"}])
def test_what_holds_no_items_is_refused(items: Any) -> None:
    with pytest.raises(InputError, match=rf"items can't be of the type {type(items).__name__}: "):
        Archive(items)


def test_a_table_that_is_none_of_a_search_is_refused(small: SmallArchive) -> None:
    table = search_items([(3, 9)], Archive(small.items))
    with pytest.raises(InputError, match="lacks place, red: give one of search_items"):
        Archive(table.drop(columns=["red", "place"]))


def test_an_unknown_source_names_the_choices() -> None:
    with pytest.raises(InputError, match=r"no archive 'arb'.*ard"):
        Archive(source="arb")


def test_mirrors_are_looked_at_when_an_archive_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Archive(mirror=f"s3://a={tmp_path}/none")
    with pytest.raises(InputError, match="OLD=NEW"):
        Archive(mirror="/data")
    with pytest.raises(InputError, match="OLD=NEW"):
        Archive(mirror=[("s3://a", "ftp://host/x")])


@pytest.mark.parametrize("in_memory", [False, True])
def test_its_identity_holds_no_secret(small: SmallArchive, in_memory: bool) -> None:
    address = f"https://me:{SECRET}@stac.example/api?token={SECRET}"
    item = {**small.items[0], "links": [{"href": f"s3://b/x?sig={SECRET}"}]}
    archive = Archive([item] if in_memory else address)
    for text in (json.dumps(archive.identity()), archive.name):
        assert SECRET not in text


def test_its_identity_changes_with_its_items(small: SmallArchive) -> None:
    whole, part = small.items, small.items[:1]
    tables = [search_items([(3, 9)], Archive(items)) for items in (whole, part)]
    for one, same, other in (
        (whole, list(whole), part),
        (tables[0], tables[0].copy(), tables[1]),
    ):
        assert Archive(one).identity() == Archive(same).identity()
        assert Archive(one).identity() != Archive(other).identity()
    assert Archive().identity() == {"source": "landsatlook", "file": ""}


def test_who_pays_is_the_source_s_unless_told() -> None:
    assert Archive().access.s3 == S3(requester_pays=True)
    assert Archive(s3=S3(requester_pays=False)).access.s3 == S3(requester_pays=False)


@pytest.mark.deep
def test_one_archive_serves_a_notebook(small: SmallArchive, tmp_path: Path) -> None:
    """From a look at one plot to a project that is mended, by the same value."""
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{PLOT[0]},{PLOT[1]}\n")
    archive = Archive(small.items, mirror=small.mirror)
    plots, products = read_plots(tmp_path / "plots.csv"), Products("png,csv,zarr", chip_size=9)
    cube = chips_for_plot(plots.iloc[0], archive, chip_size=9).compute()
    forecast = plan(plots, archive, products=products)
    assert forecast.plots["observations"].sum() == cube.sizes["time"] == 2
    project = Project(tmp_path / "project")
    assert extract(plots, project, archive, products=products, progress=False).complete
    with project.cube(plots.iloc[0]) as kept:
        np.testing.assert_array_equal(kept, cube)
    (chip, *_) = project.files(plots.iloc[0], "2020-07-17")
    before = (tmp_path / "project" / chip).read_bytes()
    (tmp_path / "project" / chip).unlink()
    problems = verify(project)
    assert problems["file"].tolist() == [chip]
    repair(project, problems, archive, progress=False)
    assert verify(project).empty
    assert (tmp_path / "project" / chip).read_bytes() == before
    again = extract(plots, project, archive, products=products, progress=False)
    assert again.already == 1


# An archive of one's own: scenes on UTM, with other keys, in files of another size

UTM = Lattice("UTM10", pyproj.CRS(32610).to_wkt("WKT1_GDAL"), 499_995, 5_000_025)
WIDTH, HEIGHT, CORNER = 300, 200, (40, 30)
"""Size of the files, and the column and row of the grid where they begin."""


def _identify(item: Mapping[str, Any]) -> Identity:
    place = str(item["properties"].get("landsat:wrs_path"))
    return Identity(UTM.name, place, item["id"].split("_")[3])


def _fault(item: Mapping[str, Any], row: Mapping[str, Any], grid: Lattice) -> str:
    return grid_fault(item, row, grid) or crs_fault(item["properties"], grid, "UTM zone 10")


TOY = Source(
    name="toy",
    title="Toy scenes",
    collection="toy-sr",
    grids={UTM.name: UTM},
    places=lambda _chip: ("045",),
    question=lambda _grid, place: {"landsat:wrs_path": {"eq": place}},
    identify=_identify,
    fault=_fault,
    assets={band: f"B{number}" for number, band in enumerate(BANDS)},
)


def toy_item(folder: Path, day: str) -> tuple[dict[str, Any], np.ndarray]:
    """An item, and the numbers (band, row, column) of the files that are written for it."""
    corner = UTM.left + CORNER[0] * 30, UTM.top - CORNER[1] * 30
    count = len(BANDS) * HEIGHT * WIDTH
    pattern = 4000 + np.arange(count) * 7919 % 15000 + int(day[-2:])
    numbers = pattern.astype(np.uint16).reshape(len(BANDS), HEIGHT, WIDTH)
    numbers[-1] = 21824
    numbers[:-1, 0, 0] = TOY.fill
    kind = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 1, "dtype": "uint16"}
    for key, band in zip(TOY.assets.values(), numbers, strict=True):
        transform = rasterio.Affine(30, 0, corner[0], 0, -30, corner[1])
        path = folder / f"{day}_{key}.tif"
        with rasterio.open(path, "w", **kind, transform=transform, crs=UTM.crs) as file:
            file.write(band, 1)
    properties = {
        "datetime": f"{day}T18:30:00Z",
        "landsat:wrs_path": "045",
        "proj:code": "EPSG:32610",
        "proj:shape": [HEIGHT, WIDTH],
        "proj:transform": [30, 0, corner[0], 0, -30, corner[1]],
    }
    assets = {key: {"href": f"{day}_{key}.tif"} for key in TOY.assets.values()}
    item_id = f"LC08_toy_{day.replace('-', '')}_20240101"
    item = {"id": item_id, "collection": TOY.collection, "properties": properties, "assets": assets}
    return item, numbers


@pytest.fixture
def toy(tmp_path: Path) -> tuple[Archive, np.ndarray]:
    """The archive, and the numbers (time, band, row, column) of its files."""
    made = [toy_item(tmp_path, day) for day in ("2020-07-01", "2020-07-17")]
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"features": [item for item, _ in made]}))
    return Archive(path, source=TOY), np.stack([numbers for _, numbers in made])


def test_a_cube_of_an_archive_of_ones_own(toy: tuple[Archive, np.ndarray]) -> None:
    """Around a plot near the files' upper left corner, so that the chip reaches out of them."""
    archive, numbers = toy
    plot = UTM.center(CORNER[0] + 2, CORNER[1] + 3)
    cube = chips_for_plot(plot, archive, grid=UTM, chip_size=(9, 11)).compute()
    expected = np.zeros((2, 7, 11, 9), np.uint16)
    expected[:, -1] = 1  # fill in QA_PIXEL
    expected[..., 2:, 2:] = numbers[..., :9, :7]
    np.testing.assert_array_equal(cube, expected)
    assert cube["hv"].values.tolist() == ["045", "045"]
    assert cube.rio.crs == rasterio.crs.CRS.from_epsg(32610)
    assert (cube["x"].values[4], cube["y"].values[5]) == plot
    far = UTM.center(CORNER[0] + WIDTH + 5, CORNER[1])
    assert chips_for_plot(far, archive, grid=UTM, chip_size=9).sizes["time"] == 0


def test_a_project_of_an_archive_of_ones_own(
    toy: tuple[Archive, np.ndarray], tmp_path: Path
) -> None:
    archive, numbers = toy
    x, y = UTM.center(CORNER[0] + 290, CORNER[1] + 190)
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{x},{y}\n")
    plots, products = read_plots(tmp_path / "plots.csv", UTM), Products(grid=UTM, chip_size=41)
    project = Project(tmp_path / "project")
    assert extract(plots, project, archive, products=products, progress=False).complete
    spectra = project.spectra()
    np.testing.assert_array_equal(
        spectra[["blue", "green", "red", "nir", "swir1", "swir2"]],
        to_collection1(numbers[:, :-1, 190, 290]),
    )
    assert spectra["hv"].tolist() == ["045", "045"]
    assert (project.settings.collection, project.settings.grid) == ("toy-sr", UTM)
    assert verify(project, tmp_path / "plots.csv").empty
    with pytest.raises(InputError, match="UTM10 has no tiles"):
        extract(plots, tmp_path / "other", Archive([]), products=products, progress=False)


def test_other_numbers_become_those_of_collection_2(toy: tuple[Archive, np.ndarray]) -> None:
    """Twice the scale, a higher offset, another fill: n of a file is 2 n + 1000 in Collection 2."""
    archive, numbers = toy
    scale, offset = 2 * 0.0000275, -0.2 + 1000 * 0.0000275
    fill = int(numbers[0, 0, 2, 2])
    source = replace(TOY, scale=scale, offset=offset, fill=fill)
    scaled = replace(archive, source=source)
    plot = UTM.center(CORNER[0] + 4, CORNER[1] + 4)
    cube = chips_for_plot(plot, scaled, grid=UTM, chip_size=9).compute()
    files = numbers[:, :-1, :9, :9].astype(float)
    seen = files != fill
    np.testing.assert_array_equal(cube[:, :-1], np.where(seen, 2 * files + 1000, 0))
    np.testing.assert_array_equal(cube[:, -1], numbers[:, -1, :9, :9])
    values = to_collection1(cube[:, :-1]).to_numpy()[seen]
    reflectance = (files * scale + offset)[seen]
    assert (np.abs(values - 10000 * reflectance) < 1 + 1e-6).all()  # they are truncated


def test_an_archive_of_ones_own_goes_to_other_processes(toy: tuple[Archive, np.ndarray]) -> None:
    access = toy[0].access
    assert pickle.loads(pickle.dumps(access)) == access


def keep_as_parquet(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table.to_parquet(path)
    return pd.read_parquet(path)


def keep_as_pickle(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    path.write_bytes(pickle.dumps(table))
    found: pd.DataFrame = pd.read_pickle(path)
    return found


KEPT = {"memory": lambda table, _: table, "parquet": keep_as_parquet, "pickle": keep_as_pickle}


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
@pytest.mark.deep
def test_a_table_that_was_not_searched_for_a_tile_of_the_chip_is_no_source(
    tmp_path: Path, keep: Callable[[pd.DataFrame, Path], pd.DataFrame]
) -> None:
    """The chip lies on four tiles; of one alone it would have holes."""
    small = SmallArchive(tmp_path / "archive")
    tiles = [(3, 9), (4, 9), (3, 10), (4, 10)]
    for tile in tiles:
        small.add("LC08", "2020-07-01T18:30:00Z", tile)
    corner = REGIONS["CU"].center(4 * 5000, 10 * 5000)
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,1,{corner[0]},{corner[1]}\n")
    source = Archive(small.write_items())

    part = keep(search_items([(4, 10)], source), tmp_path / "part")
    archive = Archive(part[part["refused"] == ""], mirror=small.mirror)
    products = Products("csv", chip_size=9)
    for make in (
        lambda: chips_for_plot(corner, archive, chip_size=9),
        lambda: extract(path, tmp_path / "out", archive, products=products, progress=False),
    ):
        with pytest.raises(InputError, match="h04v10, not for h03v09, h03v10, h04v09,"):
            make()
    assert not list(tmp_path.glob("out/prj_*"))
    for unknown in (part.copy(), pd.concat([part, part.iloc[:0]])):
        unknown.attrs.clear()
        with pytest.raises(InputError, match=r"no item of h03v09, h03v10, h04v09, which"):
            chips_for_plot(corner, Archive(unknown, mirror=small.mirror), chip_size=9)
    both = pd.concat([part, search_items(tiles[:3], source)])
    assert not both.attrs
    cube = chips_for_plot(corner, Archive(both, mirror=small.mirror), chip_size=9)
    assert int((cube.sel(band=BANDS[-1]) == 1).sum()) == 0
    part.attrs = {"timesync_xr": "all"}
    cube = chips_for_plot(corner, Archive(part, mirror=small.mirror), chip_size=9)
    assert int((cube.sel(band=BANDS[-1]) == 1).sum()) == 81 - 25

    whole = keep(search_items(tiles, source, datetime="2020"), tmp_path / "whole")
    cube = chips_for_plot(corner, Archive(whole, mirror=small.mirror), chip_size=9)
    assert int((cube.sel(band=BANDS[-1]) == 1).sum()) == 0
    with pytest.raises(InputError, match="not for all of 2019"):
        chips_for_plot(corner, Archive(whole), chip_size=9, datetime="2019/2020")
    with pytest.raises(InputError, match="the grid CU, not AK"):
        search_items([(4, 10)], Archive(whole), grid="AK")


@shows("items without those of a tile", "STAC API")
def test_a_tile_that_a_file_or_a_list_lacks_is_told(tmp_path: Path) -> None:
    """The plot of four tiles once more: its chip has a hole of which nothing else tells."""
    small = SmallArchive(tmp_path / "archive")
    for tile in ((4, 10), (3, 9), (3, 10)):
        small.add("LC08", "2020-07-01T18:30:00Z", tile)
    corner = REGIONS["CU"].center(4 * 5000, 10 * 5000)
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,1,{corner[0]},{corner[1]}\n")
    part = search_items([(4, 10), (3, 9), (3, 10)], Archive(small.write_items()))
    part.attrs["timesync_xr"]["places"] += ["0409"]
    for items in (small.items, small.write_items(), part):
        archive = Archive(items, mirror=small.mirror)
        with pytest.warns(UserWarning, match="no item of h04v09, which chips touch"):
            cube = chips_for_plot(corner, archive, chip_size=9)
        assert int((cube.sel(band=BANDS[-1]) == 1).sum()) == 4 * 5
    products = Products("csv", chip_size=9)
    options: dict[str, Any] = {"products": products, "progress": False}
    archive = Archive(small.write_items(), mirror=small.mirror)
    assert "no item of h04v09," in plan(path, archive).text(1, Prices())
    for refresh in (False, True):  # of what a project keeps of a search, too
        summary = extract(path, tmp_path / "out", archive, refresh=refresh, **options)
        assert "In the items there is no item of h04v09, which chips touch" in str(summary)
        options["products"] = Products("csv,png", chip_size=9)
    small.add("LC08", "2019-07-01T18:30:00Z", (4, 9))
    whole = Archive(small.write_items(), mirror=small.mirror)
    chips_for_plot(corner, whole, chip_size=9, datetime="2020")  # is no hole: that day had none


def test_a_table_of_a_csv_is_refused_with_the_remedy(tmp_path: Path) -> None:
    small = SmallArchive(tmp_path)
    small.add("LC08", "2020-07-01T18:30:00Z")
    table = search_items([(3, 9)], Archive(small.write_items()))
    table.to_csv(tmp_path / "items.csv", index=False)
    ways: list[dict[str, Any]] = [{}, {"parse_dates": ["time"]}, {"dtype": str}]
    for options in ways:
        with pytest.raises(InputError, match="as in a CSV: keep it by to_parquet"):
            Archive(pd.read_csv(tmp_path / "items.csv", **options))


@pytest.mark.deep
def test_a_table_that_pandas_changed_is_the_same_or_refused(tmp_path: Path) -> None:
    small = SmallArchive(tmp_path)
    small.add("LC08", "2020-07-01T18:30:00Z")
    table = search_items([(3, 9)], Archive(small.write_items()))
    wanted = search_items([(3, 9)], Archive(table))
    for same in (
        table.astype({"place": "category", "sensor": "category"}),
        table.astype({"left": float, "time": "datetime64[s]"}),
        table.astype({"left": str}),
        table.convert_dtypes(),
        table.set_index("item_id", drop=False).rename_axis(None),
    ):
        found = search_items([(3, 9)], Archive(same))
        pd.testing.assert_frame_equal(found, wanted)
        assert found.attrs == wanted.attrs
    without = search_items([(3, 9)], Archive(table.assign(red=np.nan)))
    assert without["red"].tolist() == [None]
    for odd in ({"left": "left"}, {"cloud_cover": "little"}, {"left": np.nan}, {"place": None}):
        with pytest.raises(InputError, match="has lost its types"):
            Archive(table.assign(**odd))
    for told in ("some", {}, {"grid": "CU"}, None):
        table.attrs = {"timesync_xr": told}
        with pytest.raises(InputError, match="does not tell what was searched for"):
            search_items([(3, 9)], Archive(table))


@pytest.mark.parametrize("source", [{}, [], pystac.ItemCollection([]), 5])
def test_items_in_the_place_of_the_source_are_told(source: Any) -> None:
    with pytest.raises(InputError, match="give the items themselves as items"):
        Archive(source=source)
