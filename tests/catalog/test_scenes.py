"""Scenes as the real catalogs tell them, where they are searched, and what of them is refused."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenes import BLOB, BUCKET, SceneArchive
from timesync_xr import Archive, Selection, search_items, write_items
from timesync_xr.catalog.items import Query, items_table
from timesync_xr.catalog.scenes import ES_SCENES, PC_SCENES, USGS_SCENES, meets, tier_of
from timesync_xr.catalog.sources import Source
from timesync_xr.errors import InputError
from timesync_xr.grid import DEGREES, UTM, ChipGrid, get_grid, transformer


def table_of(items: list[Any], source: Source) -> pd.DataFrame:
    return items_table(items, Query(source, UTM))


def real_items(path: Path) -> list[dict[str, Any]]:
    value = json.loads(path.read_text())
    if isinstance(value, list):
        return value
    return value["features"] if value.get("type") == "FeatureCollection" else [value]


@pytest.fixture(scope="module")
def real(shared: Path) -> dict[str, list[dict[str, Any]]]:
    """Landsat items of each catalog."""
    stac = shared / "real/stac"
    return {
        "usgs": [i for p in sorted(stac.glob("landsatlook_c2l2-sr/*.json")) for i in real_items(p)],
        "pc": [
            item
            for name in ("landsat-c2-l2-pc", "stactools_LT05*", "stactools_LE07*")
            for path in stac.glob(f"planetary_computer/{name}.json")
            for item in real_items(path)
        ],
        "es": [i for p in stac.glob("earth_search/LC*.json") for i in real_items(p)],
    }


SOURCES = {"usgs": USGS_SCENES, "pc": PC_SCENES, "es": ES_SCENES}


@pytest.mark.parametrize("name", SOURCES)
def test_every_real_item_is_read(real: dict[str, list[dict[str, Any]]], name: str) -> None:
    source = SOURCES[name]
    items = [item for item in real[name] if item.get("collection") == source.collection]
    items = list({item["id"]: item for item in items}.values())
    assert items
    old = [item for item in items if "proj:epsg" not in item["properties"]]  # of STAC 0.7
    assert len(old) <= 2
    assert "no EPSG code" in " ".join(table_of(old, source)["refused"]) or not old
    items = [item for item in items if item not in old]
    table = table_of(items, source)
    assert table["refused"].unique().tolist() == [""]
    by_id = {item["id"]: item for item in items}
    for row in table.to_dict("records"):
        properties = by_id[row["item_id"]]["properties"]
        assert row["place"] == properties["landsat:wrs_path"] + properties["landsat:wrs_row"]
        assert row["grid"] == f"EPSG:{properties['proj:epsg']}"
        transform = properties["proj:transform"]
        assert (row["left"], row["top"]) == (transform[2], transform[5])
        assert [row["height"], row["width"]] == properties["proj:shape"]
        assert tier_of(row["item_id"]) == properties["landsat:collection_category"]
        assert len(row["processed"]) == 8


def test_real_items_of_usgs_are_read_at_planetary_computer(
    real: dict[str, list[dict[str, Any]]],
) -> None:
    item = next(i for i in real["usgs"] if i["id"].startswith("LC08_L2SP_047027_20201204"))
    archive = Archive([item])
    assert archive.what is USGS_SCENES
    table = search_items(["N47.0W123.0"], archive)
    product = "LC08_L2SP_047027_20201204_20210313_02_T1"
    key = f"level-2/standard/oli-tirs/2020/047/027/{product}/{product}_SR_B4.TIF"
    assert archive.access.resolve(table["red"][0]) == f"{BLOB}/{key}"
    assert not archive.access.s3.requester_pays


@pytest.mark.parametrize(
    ("style", "source"), [("pc", PC_SCENES), ("usgs", USGS_SCENES), ("es", ES_SCENES)]
)
@pytest.mark.parametrize("form", ["json", "ndjson", "parquet", "memory", "table"])
def test_a_file_is_told_by_its_collection(
    tmp_path: Path, style: str, source: Source, form: str
) -> None:
    archive = SceneArchive(tmp_path, style)
    archive.add("LC08", "2020-07-01T10:10:00Z", (195, 27, 32), (396_412, 5_150_488), size=(9, 9))
    items: Any = tmp_path / f"items.{form}"
    if form == "ndjson":
        items.write_text("\n".join(map(json.dumps, archive.items)))
    elif form in ("json", "parquet"):
        write_items(archive.items, items)
    else:
        items = archive.items
    if form == "table":
        items = search_items(["N46.5E007.5"], Archive(items))
    given_items = Archive(items)
    assert given_items.what is source
    assert search_items(["N46.5E007.5"], given_items)["refused"].tolist() == [""]
    assert given_items.access.s3.requester_pays is (style == "es")


def test_ard_stays_what_it_is() -> None:
    assert Archive().what.name == "ard"
    assert Archive([]).what.name == "ard"


# What the south does to northings


@pytest.fixture
def south(tmp_path: Path) -> dict[str, Any]:
    archive = SceneArchive(tmp_path)
    x, y = transformer(DEGREES, "EPSG:32634").transform(18.6, -33.9)
    return archive.add(
        "LC08", "2020-07-01T08:30:00Z", (175, 83, 34), (round(x), round(y)), size=(9, 9)
    )


@pytest.mark.parametrize(
    ("code", "shift"),
    [(32634, 0), (32734, 10_000_000), (32734, 0), (32634, 10_000_000)],
    ids=["as Landsat", "as others", "wrong hemisphere", "northing of the other code"],
)
@pytest.mark.parametrize("key", ["epsg", "code", "wkt2"])
def test_a_scene_of_the_south_lies_where_its_box_says(
    south: dict[str, Any], code: int, shift: int, key: str
) -> None:
    item = copy.deepcopy(south)
    properties = item["properties"]
    del properties["proj:epsg"]
    told = {"epsg": code, "code": f"EPSG:{code}"}
    properties[f"proj:{key}"] = told.get(key) or __import__("pyproj").CRS(code).to_wkt()
    properties["proj:transform"][5] += shift
    (row,) = table_of([item], PC_SCENES).to_dict("records")
    expected = south["properties"]["proj:transform"]
    assert (row["refused"], row["grid"]) == ("", "EPSG:32634")
    assert (row["left"], row["top"]) == (expected[2], expected[5])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"proj:epsg": None}, "has no EPSG code"),
        ({"proj:epsg": 4326}, "is in degrees"),
        ({"proj:epsg": 32633}, "lies at longitude"),
        ({"proj:transform": [30, 0, 300_015, 0, -30, 2_000_015]}, "lies at latitude"),
        ({"proj:transform": [60, 0, 300_015, 0, -60, -3_750_000]}, "pixels of 30 m, north up"),
        ({"proj:transform": [30, 1, 300_015, 0, -30, -3_750_000]}, "pixels of 30 m, north up"),
        ({"proj:transform": "x"}, "pixels of 30 m, north up"),
        ({"proj:transform": [30, 0, math.inf, 0, -30, math.nan]}, "pixels of 30 m, north up"),
        ({"proj:transform": [30, 0, 10**400, 0, -30, 10**400]}, "pixels of 30 m, north up"),
        ({"proj:shape": [0, 9]}, "no size of a raster"),
        ({"proj:shape": [10**400, 9]}, "no size of a raster"),
        ({"landsat:wrs_path": "001"}, "another path and row"),
        ({"datetime": "never"}, "no date and time"),
    ],
)
def test_what_a_scene_can_not_be_is_refused_by_name(
    south: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    item = copy.deepcopy(south)
    item["properties"].update(change)
    assert words in table_of([item], PC_SCENES)["refused"][0]


@pytest.mark.parametrize("box", [[10**400] * 4, [math.nan] * 4, [1, 2], "x", [181, -9, 5, 9], {}])
def test_a_box_that_is_none_stops_nothing(south: dict[str, Any], box: Any) -> None:
    assert len(table_of([{**south, "bbox": box}], PC_SCENES)) == 1


@pytest.mark.parametrize("name", ["LC08_L1TP_175083_20200701_02_T1", "LC08_thing", "x"])
def test_an_id_of_another_product_is_refused(south: dict[str, Any], name: str) -> None:
    assert table_of([{**south, "id": name}], PC_SCENES)["refused"][0] != ""


def test_a_file_of_sentinel_or_hls_is_refused_by_its_collection(shared: Path) -> None:
    (path,) = (shared / "real/stac/earth_search").glob("S2A*.json")
    with pytest.raises(InputError, match="none of its 1 item is of the collection"):
        search_items(["N40.0W105.0"], Archive(path, source="earth-search"))


# Where scenes are searched


@given(st.floats(-180, 180), st.floats(-79, 83), st.sampled_from([1, 255, 600, 2001]))
def test_the_cells_of_a_chip_hold_all_of_it(lon: float, lat: float, size: int) -> None:
    chip = ChipGrid.around(UTM, *UTM.from_degrees(lon, lat), size)
    places = PC_SCENES.places(chip)
    assert PC_SCENES.boxes is not None
    boxes = [box for place in places for box in PC_SCENES.boxes(place)]
    x, y = np.meshgrid(chip.x[:: size // 5 + 1], chip.y[:: size // 5 + 1])
    lons, lats = transformer(chip.lattice.crs, DEGREES).transform(x.ravel(), y.ravel())
    for a, b in zip(lons, lats, strict=True):
        turned = (a + 180) % 360 - 180
        assert any(w <= turned <= e and s <= b <= n for w, s, e, n in boxes)
    for west, low, east, high in boxes:
        assert -180 <= west < east <= 180
        assert -90 <= low < high <= 90


def test_plots_of_a_cell_share_its_search() -> None:
    rng = np.random.default_rng(1)
    points = zip(rng.uniform(7, 7.5, 50), rng.uniform(46.5, 47, 50), strict=True)
    chips = [ChipGrid.around(UTM, *UTM.from_degrees(*point), 255) for point in points]
    assert {PC_SCENES.places(chip) for chip in chips} == {("N46.5E007.0",)}


def test_a_search_across_180_degrees_has_two_boxes() -> None:
    assert PC_SCENES.boxes is not None
    (a, b) = PC_SCENES.boxes("S17.5E179.5")
    assert a[2] == 180
    assert b[0] == -180
    assert PC_SCENES.boxes("N00.0W180.0")[0][0] > 179
    with pytest.raises(InputError, match="'0309' is no cell"):
        PC_SCENES.boxes("0309")


@pytest.mark.parametrize(
    ("box", "other", "expected"),
    [
        ((0, 0, 1, 1), (0.5, 0.5, 2, 2), True),
        ((0, 0, 1, 1), (1.5, 0, 2, 2), False),
        ((179, 0, -179, 1), (-180, 0, -179.5, 1), True),
        ((179, 0, -179, 1), (170, 0, 178, 1), False),
        ((-180, 0, 180, 1), (170, 0, 178, 1), True),
    ],
)
def test_boxes_meet_also_across_180_degrees(box: Any, other: Any, expected: bool) -> None:
    assert meets(box, [other]) is expected


def test_tiers_are_told_by_ids() -> None:
    assert tier_of("LC08_L2SP_047027_20201204_20210313_02_T1_SR") == "T1"
    assert tier_of("LE07_L2SP_021030_20100109_02_T2") == "T2"
    assert tier_of("LC08_CU_003009_20000601_20230101_02_SR") == ""
    assert str(Selection(tiers=("T2", "T1"))) == "tier=T1,T2"
    assert Selection.parse("tier=T1,T2") == Selection(tiers=("T1", "T2"))
    assert Selection(tiers=("T1", "T2")).covers(Selection())
    assert not Selection().covers(Selection(tiers=("T1", "T2")))
    with pytest.raises(InputError, match="give T1, T2, or T1,T2"):
        Selection(tiers=("T3",))


@pytest.mark.parametrize("name", ["EPSG:3035", "utm", "CU"])
def test_scenes_may_lie_on_any_grid(name: str) -> None:
    assert PC_SCENES.grid(name) == get_grid(name)


def test_no_request_is_made_that_would_be_billed() -> None:
    free = Archive("planetary-computer").access
    with pytest.raises(Exception, match="costs money"):
        free.resolve(f"{BUCKET}/level-2/x.TIF")
    assert Archive("earth-search").access.resolve(f"{BUCKET}/x.TIF") == f"{BUCKET}/x.TIF"
    mine = Archive("landsatlook-scenes", mirror="s3://usgs-landsat=s3://mine").access
    assert mine.resolve(f"{BUCKET}/x.TIF") == "s3://mine/collection02/x.TIF"
