"""Which scenes are one observation, which of them comes first, and which are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scenes import SceneArchive
from timesync_xr import Archive, Selection, chips_for_plot, search_items
from timesync_xr.catalog.scenes import PC_SCENES
from timesync_xr.cube.plan import Plan, plan_observations
from timesync_xr.grid import DEGREES, UTM, ChipGrid, transformer

PLOT = (7.65, 46.5)
X, Y = map(round, transformer(DEGREES, "EPSG:32632").transform(*PLOT))
X31, Y31 = map(round, transformer(DEGREES, "EPSG:32631").transform(*PLOT))
CHIP = ChipGrid.around(UTM, *UTM.from_degrees(*PLOT), 99)
SIZE = (500, 400)


@pytest.fixture
def scenes(tmp_path: Path) -> SceneArchive:
    return SceneArchive(tmp_path)


def plan_of(scenes: SceneArchive, **options: Any) -> Plan:
    items = search_items(["N46.5E007.5"], Archive(scenes.items))
    return plan_observations(items, CHIP, PC_SCENES, **options)


def add(
    scenes: SceneArchive, date: str, where: tuple[int, int, int], dy: int = 0, **more: Any
) -> str:
    center = (X, Y + dy) if where[2] == 32 else (X31, Y31 + dy)
    item = scenes.add(more.pop("sensor", "LC08"), date, where, center, size=SIZE, **more)
    return str(item["id"])


def test_rows_of_a_pass_are_one_observation_of_the_row_that_is_farthest_inside(
    scenes: SceneArchive,
) -> None:
    north = add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32), 3000)
    south = add(scenes, "2020-07-01T10:10:24Z", (195, 28, 32), -1500)
    (row,) = plan_of(scenes).observations.to_dict("records")
    assert row["item_ids"] == f"{south} {north}"
    assert (row["hv"], row["date"], row["at_plot"]) == ("195028", "2020-07-01T10:10:24Z", True)


def test_the_zone_of_the_chip_comes_before_all_else(scenes: SceneArchive) -> None:
    beside = add(scenes, "2020-07-01T10:10:00Z", (195, 27, 31), 0)
    own = add(scenes, "2020-07-01T10:10:24Z", (195, 28, 32), -4500, tier="T2")
    (row,) = plan_of(scenes, tiers=("T1", "T2")).observations.to_dict("records")
    assert row["item_ids"] == f"{own} {beside}"


def test_a_pass_over_midnight_is_one_observation(scenes: SceneArchive) -> None:
    add(scenes, "2020-06-30T23:59:50Z", (195, 27, 32), 3000)
    add(scenes, "2020-07-01T00:00:14Z", (195, 28, 32), -1500)
    (row,) = plan_of(scenes).observations.to_dict("records")
    assert (row["day"], row["date"]) == ("2020-07-01", "2020-07-01T00:00:14Z")


def test_paths_platforms_and_passes_are_told_apart(scenes: SceneArchive) -> None:
    add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32))
    add(scenes, "2020-07-01T10:12:00Z", (195, 27, 32), sensor="LE07")
    add(scenes, "2020-07-01T11:49:00Z", (211, 27, 32))
    add(scenes, "2020-07-02T10:05:00Z", (194, 27, 32))
    assert plan_of(scenes).observations["sensor"].tolist() == ["LC08", "LE07", "LC08", "LC08"]


def test_of_two_processings_the_latest_is_read(scenes: SceneArchive) -> None:
    style = scenes.style = "usgs"
    assert style == "usgs"
    add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32), processed="20200710")
    add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32), processed="20210504")
    items = search_items(["N46.5E007.5"], Archive(scenes.items))
    plan = plan_observations(items, CHIP, Archive(scenes.items).what)
    assert plan.records["processed"].tolist() == ["20210504"]
    assert plan.superseded["processed"].tolist() == ["20200710"]


def test_tier_2_is_left_out_unless_asked_for_and_accounted_for(scenes: SceneArchive) -> None:
    add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32), tier="T2")
    good = add(scenes, "2020-07-17T10:10:00Z", (195, 27, 32))
    add(scenes, "2020-07-17T10:10:24Z", (195, 28, 32), tier="T2")
    plan = plan_of(scenes)
    assert plan.observations["item_ids"].tolist()[1] == good
    causes = Selection().causes(plan.observations).tolist()
    assert causes == ["of another tier than asked for", ""]
    both = plan_of(scenes, tiers=("T1", "T2"))
    assert [len(ids.split()) for ids in both.observations["item_ids"]] == [1, 2]
    assert Selection(tiers=("T1", "T2")).causes(both.observations).tolist() == ["", ""]


def test_what_is_refused_makes_a_hole_in_its_own_pass_alone(scenes: SceneArchive) -> None:
    add(scenes, "2020-06-30T23:59:50Z", (195, 27, 32), 3000, landsat__wrs_path="001")
    add(scenes, "2020-07-01T00:00:14Z", (195, 28, 32), -1500)
    add(scenes, "2020-07-17T10:10:00Z", (195, 27, 32))
    plan = plan_of(scenes)
    assert plan.lacking()["day"].tolist() == ["2020-07-01"]
    assert plan.observations["day"].tolist() == ["2020-07-01", "2020-07-17"]


def test_a_refused_scene_elsewhere_is_none_of_the_chip(scenes: SceneArchive) -> None:
    add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32), 25_000, landsat__wrs_path="001")
    assert plan_of(scenes).refused.empty


def test_the_second_row_fills_what_the_first_does_not_hold(scenes: SceneArchive) -> None:
    """Pixel by pixel, in both grids: the first valid record wins."""
    add(scenes, "2020-07-01T10:10:00Z", (195, 27, 32), 600, fill=slice(205, None), value=9000)
    add(scenes, "2020-07-01T10:10:24Z", (195, 28, 32), -3000, value=12000)
    archive = Archive(scenes.items, mirror=scenes.mirror)
    cube = chips_for_plot(PLOT, archive, chip_size=99).compute()
    assert cube.sizes["time"] == 1
    red = cube.sel(band="red")[0].to_numpy()
    assert set(np.unique(red)) == {9000, 12000}
    assert (red[:20] == 9000).all()
    assert (red[-20:] == 12000).all()
    assert (cube.sel(band="qa_pixel") == 21824).all()
    turned = chips_for_plot({"lon": 7.65, "lat": 46.5}, archive, grid="EPSG:3035", chip_size=99)
    assert set(np.unique(turned.sel(band="red"))) == {9000, 12000}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"proj__epsg": 32631}, "its CRS is EPSG:32632, its item says EPSG:32631"),
        ({"proj__shape": [400, 501]}, "another grid than its item"),
    ],
)
def test_a_file_that_is_not_what_its_item_says_fails_by_name(
    scenes: SceneArchive, change: dict[str, Any], words: str
) -> None:
    item = scenes.add("LC08", "2020-07-01T10:10:00Z", (195, 27, 32), (X, Y), size=SIZE, **change)
    if "proj__epsg" in change:  # its box says so, too
        left, top = item["properties"]["proj:transform"][2::3]
        lon, lat = transformer("EPSG:32631", DEGREES).transform(left + 6000, top - 6000)
        item["bbox"] = [lon - 0.1, lat - 0.1, lon + 0.1, lat + 0.1]
        plot: Any = (lon, lat)
    else:
        plot = PLOT
    cube = chips_for_plot(plot, Archive(scenes.items, mirror=scenes.mirror), chip_size=9)
    with pytest.raises(Exception, match=words):
        cube.compute()


@pytest.mark.parametrize("shift", [0, 10_000_000])
def test_a_file_of_the_south_may_be_labelled_either_way(tmp_path: Path, shift: int) -> None:
    """The item has northings below 0; the file the code of the south, with and without offset."""
    import rasterio

    scenes = SceneArchive(tmp_path)
    x, y = map(round, transformer(DEGREES, "EPSG:32634").transform(18.6, -33.9))
    item = scenes.add("LC08", "2020-07-01T08:30:00Z", (175, 83, 34), (x, y), size=(60, 50))
    left, top = item["properties"]["proj:transform"][2::3]
    for band in item["assets"]:
        path = scenes.path("LC08_L2SP_175083_20200701_20210504_02_T1", band)
        with rasterio.open(path) as source:
            data, profile = source.read(1), source.profile
        place = rasterio.Affine(30, 0, left, 0, -30, top + shift)
        profile |= {"crs": "EPSG:32734", "transform": place}
        with rasterio.open(path, "w", **profile) as target:
            target.write(data, 1)
    archive = Archive(scenes.items, mirror=scenes.mirror)
    cube = chips_for_plot((18.6, -33.9), archive, chip_size=9).compute()
    assert (cube.sel(band="red") > 0).all()
