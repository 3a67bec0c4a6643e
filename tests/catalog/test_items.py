from __future__ import annotations

import copy
import csv
import json
import random
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from tests.strategies import examples
from tests.work import calls_of
from timesync_xr.catalog.ard import ARD
from timesync_xr.catalog.dates import DatetimeRange, parse_time
from timesync_xr.catalog.items import COLUMNS, Query, item_row, items_table
from timesync_xr.grid import REGIONS
from timesync_xr.landsat import BANDS

CU = REGIONS["CU"]
EVERYTHING = Query(ARD, CU)
H3V9 = Query(ARD, CU, frozenset({"0309"}))
ITEM_ID = "LC09_CU_003009_20230909_20230914_02_SR"
KEY = f"collection02/oli-tirs/2023/CU/003/009/{ITEM_ID}"


def item(**changes: Any) -> dict[str, Any]:
    """A sound item of h03v09; a change is set in its properties, or beside them for id and such."""
    made: dict[str, Any] = {
        "type": "Feature",
        "id": ITEM_ID,
        "collection": "landsat-c2ard-sr",
        "properties": {
            "datetime": "2023-09-09T18:28:07.9233150Z",
            "landsat:grid_horizontal": "03",
            "landsat:grid_vertical": "09",
            "landsat:grid_region": "CU",
            "landsat:scene_count": 2,
            "eo:cloud_cover": 5.9727,
            "proj:epsg": None,
            "proj:shape": [5000, 5000],
            "proj:transform": [30, 0, -2115585, 0, -30, 1964805],
            "proj:wkt2": CU.crs,
        },
        "assets": {
            band: {
                "href": f"https://landsatlook.usgs.gov/tile/{KEY}_{band}.TIF",
                "alternate": {"s3": {"href": f"s3://usgs-landsat-ard/{KEY}_{band}.TIF"}},
            }
            for band in BANDS
        },
    }
    for name, value in changes.items():
        if name in ("id", "collection", "properties", "assets"):
            made[name] = value
        else:
            made["properties"][name.replace("__", ":")] = value
    return made


def test_a_sound_item() -> None:
    row = item_row(item(), H3V9)
    assert tuple(row) == (*COLUMNS[:-1], "asked", "refused")
    assert row == {
        "item_id": ITEM_ID,
        "sensor": "LC09",
        "grid": "CU",
        "place": "0309",
        "time": np.datetime64("2023-09-09T18:28:07.923315000", "ns"),
        "date": "2023-09-09T18:28:07.9233150Z",
        "processed": "20230914",
        "scene_count": 2,
        "cloud_cover": 5.9727,
        "left": -2115585,
        "top": 1964805,
        "width": 5000,
        "height": 5000,
        **{band: f"s3://usgs-landsat-ard/{KEY}_{band}.TIF" for band in BANDS},
        "asked": True,
        "refused": "",
    }


@pytest.mark.parametrize("archive", ["mosaic", "real"])
def test_golden_items(shared: Path, archive: str) -> None:
    folder = shared / "golden" / archive
    items = json.loads((folder / "items.json").read_text())["features"]
    table = items_table(items, EVERYTHING)
    assert (table["refused"] == "").all()
    assert table["item_id"].tolist() == [
        i["id"] for i in sorted(items, key=lambda i: (i["properties"]["datetime"], i["id"]))
    ]
    by_id = {i["id"]: i["properties"] for i in items}
    for row in table.itertuples():
        properties = by_id[row.item_id]
        assert row.date == properties["datetime"]
        assert row.time == pd.Timestamp(str(row.date)).tz_localize(None)
        assert [row.left, row.top] == properties["proj:transform"][2::3]
        for band in BANDS:
            address = getattr(row, band).removeprefix("s3://usgs-landsat-ard/")
            assert (folder / address).is_file()
    assert table.equals(items_table(random.Random(1).sample(items, len(items)), EVERYTHING))


@pytest.mark.parametrize("number", [3, "3", "03", "003"])
def test_ways_to_write_a_tile(number: object) -> None:
    assert item_row(item(landsat__grid_horizontal=number), H3V9)["refused"] == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"proj__transform": [30.0, 0.0, -2115585.0, 0.0, -30.0, 1964805.0]},
        {"proj__transform": [30, 0, -2115585, 0, -30, 1964805, 0, 0, 1]},
        {"proj__shape": [5000.0, 5000.0]},
        {"proj__transform": [30 + 1e-9, 0, -2115585 - 1e-9, 1e-12, -30, 1964805 + 5e-7]},
        {"proj__wkt2": None},
        {"proj__code": None},
        {"proj__projjson": CRS.from_wkt(CU.crs).to_json_dict()},
        {"proj__wkt2": None, "proj__projjson": CRS.from_wkt(CU.crs).to_json_dict()},
        {"proj__wkt2": CRS.from_wkt(CU.crs).to_wkt("WKT2_2019")},
        {"proj__wkt2": CRS.from_wkt(CU.crs).to_wkt("WKT1_ESRI")},
        {"start_datetime": None, "landsat__scene_count": "many", "eo__cloud_cover": "little"},
    ],
)
def test_other_ways_to_say_the_same(changes: dict[str, Any]) -> None:
    assert item_row(item(**changes), H3V9)["refused"] == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "the id (absent)"),
        ({"id": 5}, "the id 5"),
        ({"id": "../LC09"}, "the id '../LC09'"),
        ({"id": "LC09_a/b"}, "the id 'LC09_a/b'"),
        ({"id": "LC09_CU_003010_20230909_20230914_02_SR"}, "another tile than its properties"),
        ({"id": "LC09_AK_003009_20230909_20230914_02_SR"}, "another tile than its properties"),
        ({"collection": None}, "the collection (absent)"),
        ({"collection": "landsat-c2l2-sr"}, "not asked for: collection"),
        ({"landsat__grid_region": "AK"}, "not asked for: region AK"),
        ({"landsat__grid_region": "XX"}, "landsat:grid_region 'XX'"),
        ({"landsat__grid_region": None}, "landsat:grid_region (absent)"),
        ({"landsat__grid_vertical": "10"}, "not asked for: tile h03v10"),
        ({"landsat__grid_vertical": "nine"}, "grid_vertical 'nine'"),
        ({"landsat__grid_vertical": True}, "grid_vertical True"),
        ({"landsat__grid_vertical": "-9"}, "grid_vertical '-9'"),
        ({"landsat__grid_vertical": None}, "grid_vertical (absent)"),
        ({"datetime": None}, "datetime (absent)"),
        ({"datetime": "yesterday"}, "datetime 'yesterday'"),
        ({"datetime": "2023-02-30T00:00:00Z"}, "datetime '2023-02-30T00:00:00Z'"),
        ({"datetime": 20230909}, "datetime 20230909"),
        ({"proj__shape": [5000, 5001]}, "proj:shape [5000, 5001]"),
        ({"proj__shape": [5000]}, "proj:shape"),
        ({"proj__shape": None}, "proj:shape (absent)"),
        ({"proj__transform": None}, "proj:transform (absent)"),
        ({"proj__transform": [30, 0, -2115600, 0, -30, 1964820]}, "proj:transform"),
        ({"proj__transform": [30, 0, -2115585, 0, 30, 1964805]}, "proj:transform"),
        ({"proj__transform": [30, 0, -2115585.00001, 0, -30, 1964805]}, "proj:transform"),
        ({"proj__transform": [30.00001, 0, -2115585, 0, -30, 1964805]}, "proj:transform"),
        ({"proj__transform": [10**400, 1.5, 10**400, 0, -30, 10**400]}, "proj:transform"),
        ({"proj__transform": [60, 0, -2115585, 0, -60, 1964805]}, "proj:transform"),
        ({"proj__transform": [30, 1, -2115585, 0, -30, 1964805]}, "proj:transform"),
        ({"proj__transform": [30, 0, float("nan"), 0, -30, float("inf")]}, "proj:transform"),
        ({"proj__transform": [30, 0, -2115585, 0, -30]}, "proj:transform"),
        ({"proj__transform": [30, 0, -2115585, 0, -30, 1964805, 0, 0, 2]}, "proj:transform"),
        ({"proj__transform": ["30", 0, -2115585, 0, -30, 1964805]}, "proj:transform"),
        ({"proj__wkt2": CRS(5070).to_wkt()}, "proj:wkt2 is not the Albers of CU"),
        ({"proj__wkt2": REGIONS["AK"].crs}, "proj:wkt2 is not the Albers of CU"),
        ({"proj__wkt2": "EPSG:5070"}, "proj:wkt2 is not the Albers of CU"),
        ({"proj__wkt2": "\ud800"}, "proj:wkt2 is not the Albers of CU"),
        ({"proj__wkt2": 5}, "proj:wkt2 is not the Albers of CU"),
        ({"proj__wkt2": None, "proj__epsg": 5070}, "the CRS 5070"),
        ({"proj__wkt2": None, "proj__code": "EPSG:32611"}, "the CRS 'EPSG:32611'"),
        ({"proj__projjson": CRS(5070).to_json_dict()}, "proj:projjson is not the Albers of CU"),
        ({"proj__wkt2": None, "proj__projjson": {}}, "proj:projjson is not the Albers of CU"),
        ({"properties": None}, "datetime (absent)"),
    ],
)
def test_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    refused = item_row(item(**changes), H3V9)["refused"]
    assert reason in refused
    assert len(refused) < 250


SHIFTED = [30, 0, -2115555, 0, -30, 1964805]
ROUNDED = [30 - 1e-9, 0, -2115585 + 1e-9, 0, -30, 1964805]


@pytest.mark.parametrize(
    ("told", "of_one", "reason"),
    [
        ({}, {}, ""),
        ({"proj:shape": [5000, 5001]}, {}, "proj:shape [5000, 5001]"),
        ({"proj:transform": SHIFTED}, {}, "proj:transform"),
        ({}, {"proj:transform": SHIFTED}, "proj:transform is not the same for all of its assets"),
        ({}, {"proj:transform": ROUNDED}, ""),
        ({"proj:shape": [10**400, 1]}, {"proj:shape": [1.5, 1]}, "proj:shape is not the same"),
        ({"proj:wkt2": None, "proj:epsg": 5070}, {}, "the CRS 5070"),
        ({"proj:wkt2": None, "proj:code": "EPSG:32611"}, {}, "the CRS 'EPSG:32611'"),
        ({"proj:wkt2": None, "proj:projjson": CRS(5070).to_json_dict()}, {}, "proj:projjson"),
    ],
)
def test_what_assets_alone_tell_of_their_pixels_is_seen(
    told: dict[str, Any], of_one: dict[str, Any], reason: str
) -> None:
    made = item()
    names = [name for name in made["properties"] if name.startswith("proj:")]
    moved = {name: made["properties"].pop(name) for name in names}
    for asset in made["assets"].values():
        asset.update(moved | told)
    made["assets"][BANDS[3]] |= of_one
    row = item_row(made, H3V9)
    assert reason in row["refused"]
    assert bool(row["refused"]) == bool(reason)
    if not reason:
        assert row == item_row(item(), H3V9)


def test_what_an_item_tells_goes_before_its_assets() -> None:
    made = item()
    for asset in made["assets"].values():
        asset["proj:transform"] = SHIFTED
    assert item_row(made, H3V9) == item_row(item(), H3V9)


def test_a_tile_beyond_the_grid_is_refused() -> None:
    assert "no tile of CU" in item_row(item(landsat__grid_vertical=22), EVERYTHING)["refused"]


def test_dates_that_were_not_asked_for() -> None:
    day = np.datetime64("2023-09-09T18:28:07.923315", "ns")
    one = np.timedelta64(1, "ns")
    for period, fits in [
        (DatetimeRange(day, day), True),
        (DatetimeRange(day + one), False),
        (DatetimeRange(None, day - one), False),
        (DatetimeRange(None, None), True),
    ]:
        refused = item_row(item(), Query(ARD, CU, None, period))["refused"]
        assert refused == ("" if fits else "not asked for: date 2023-09-09T18:28:07.9233150Z")


def test_the_address_of_an_asset() -> None:
    assets = {
        "blue": {"href": "https://x/b", "alternate": {"s3": {"href": "s3://x/b"}}},
        "green": {"href": "https://x/g"},
        "red": {"href": "https://x/r", "alternate": {"s3": {"href": None}}},
        "nir08": {"href": 5, "alternate": "s3"},
        "swir16": {"href": ""},
        "swir22": None,
    }
    row = item_row(item(assets=assets), H3V9)
    assert row["refused"] == ""  # a missing band is a matter of reading
    assert [row[band] for band in BANDS] == ["s3://x/b", "https://x/g", "https://x/r", *[None] * 4]


def test_the_same_item_again() -> None:
    other = item(datetime="2023-09-09T18:28:08Z")
    bad = item(proj__shape=[1, 1])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        items = [[item(), copy.deepcopy(item()), other, bad][i] for i in order]
        table = items_table(items, H3V9)
        assert table["date"].str.slice(17).tolist() == ["07.9233150Z", "07.9233150Z", "08Z"]
        assert table["refused"].str.slice(0, 10).tolist() == ["", "proj:shape", "another it"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-04-01T18:28:07Z", "2015-04-01T18:28:07"),
        ("2015-04-01T18:28:07.764Z", "2015-04-01T18:28:07.764"),
        ("2015-04-01T18:28:07.7640853Z", "2015-04-01T18:28:07.764085300"),
        ("2015-04-01T18:28:07.123456789Z", "2015-04-01T18:28:07.123456789"),
        ("2015-04-01T18:28:07.12345678999Z", "2015-04-01T18:28:07.123456789"),
        ("2015-04-01t18:28:07z", "2015-04-01T18:28:07"),
        ("2015-04-01T18:28:07+00:00", "2015-04-01T18:28:07"),
        ("2015-04-01T18:28:07-07:30", "2015-04-02T01:58:07"),
        ("2015-04-01T18:28:07+07:30", "2015-04-01T10:58:07"),
        ("2015-04-01T18:28:07", "2015-04-01T18:28:07"),
        *((text, "NaT") for text in ("", "2015", "2015-04-01", "2015-13-01T00:00:00Z", "NaT")),
        *((text, "NaT") for text in ("2015-04-01T25:00:00Z", "9999-01-01T00:00:00Z")),
        *((text, "NaT") for text in ("2015-04-01T18:28:07+99:00", "2015-04-01T18:28:07Z\n")),
    ],
)
def test_parse_time(text: str, expected: str) -> None:
    np.testing.assert_array_equal(parse_time(text), np.datetime64(expected, "ns"))


@given(st.datetimes(pd.Timestamp("1972-01-01"), pd.Timestamp("2199-12-31")))
def test_parse_time_agrees_with_pandas(instant: datetime) -> None:
    assert parse_time(instant.isoformat() + "Z") == np.datetime64(instant, "ns")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged_items(draw: st.DrawFn) -> Any:
    """A sound item in which some values are replaced by others that JSON can hold."""
    damaged = copy.deepcopy(item())
    for _ in range(draw(st.integers(1, 3))):
        place: Any = damaged
        while isinstance(place, dict) and place:
            name = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[name], dict) or draw(st.booleans()):
                place[name] = draw(json_values | st.sampled_from(["30", "03", 30, 1e400, -1]))
                break
            place = place[name]
    return damaged


@examples(300)
@given(json_values | damaged_items())
@pytest.mark.deep
def test_any_json_gives_a_sound_row_or_a_refusal(value: object) -> None:
    (row,) = items_table([value], H3V9).to_dict("records")
    if row["refused"] == "":
        assert (row["grid"], row["place"]) == ("CU", "0309")
        assert (row["width"], row["height"]) == (5000, 5000)
        assert (row["left"], row["top"]) == (-2115585, 1964805)
        assert row["sensor"] == row["item_id"][:4]
        assert row["item_id"].isascii()
        assert row["time"] == pd.Timestamp(row["date"]).tz_localize(None)
        assert all(row[band] is None or row[band] for band in BANDS)


@given(st.lists(damaged_items() | st.builds(item), max_size=5), st.randoms(use_true_random=False))
@pytest.mark.deep
def test_the_order_of_items_does_not_matter(items: list[Any], chance: random.Random) -> None:
    shuffled = chance.sample(items, len(items))
    pd.testing.assert_frame_equal(items_table(items, H3V9), items_table(shuffled, H3V9))


def test_an_empty_table_has_the_same_types() -> None:
    empty, full = items_table([], H3V9), items_table([item()], H3V9)
    assert list(empty.columns) == list(COLUMNS)
    assert (empty.dtypes == full.dtypes).all()
    assert str(full.dtypes["time"]) == "datetime64[ns]"
    assert str(full.dtypes["scene_count"]) == "Int64"


def test_recorded_scenes_are_all_refused(shared: Path) -> None:
    folder = shared / "real" / "stac"
    scenes = json.loads(
        (folder / "landsatlook_c2l2-sr" / "itemcollection_ard_tile_h03v10_scenes_143items.json")
        .read_text()
    )["features"]  # fmt: skip
    refused = items_table(scenes, EVERYTHING)["refused"]
    assert len(refused) == 143
    assert refused.str.startswith("not asked for: collection 'landsat-c2l2-sr'").all()


def test_recorded_items_of_the_ard_grid(shared: Path) -> None:
    folder = shared / "real" / "stac" / "landsatlook_ard_grid"
    record = json.loads((folder / "LT04_CU_016005_19821118_20210421_02_DSWE.json").read_text())
    row = item_row(record, EVERYTHING)
    assert row["refused"].startswith("not asked for: collection 'landsat-c2l3-dswe'")
    row = item_row({**record, "collection": "landsat-c2ard-sr"}, EVERYTHING)
    assert row["refused"] == ""
    assert (row["place"], row["processed"]) == ("1605", "20210421")
    assert row["time"] == np.datetime64("1982-11-18T16:51:35.345025", "ns")
    for found in json.loads((folder / "ard_grid_item_properties.json").read_text()):
        row = item_row(item(id="LC08_without_a_tile", properties=found["properties"]), EVERYTHING)
        assert row["refused"] == ""
        told = (found["properties"][f"landsat:grid_{a}"] for a in ("horizontal", "vertical"))
        assert row["place"] == "".join(told)


def test_recorded_ids(shared: Path) -> None:
    folder = shared / "real" / "stac" / "landsatlook_ard_grid"
    with (folder / "c2ard_sr_ids_2022_from_ardanim_logs.csv").open() as file:
        records = list(csv.DictReader(file))
    assert len(records) > 5000
    for record in records[::50]:
        h, v = (int(text) for text in record["s3_prefix"].split("/")[-4:-2])
        left, top = CU.corner((h, v))
        changes = {
            "landsat__grid_horizontal": h,
            "landsat__grid_vertical": v,
            "proj__transform": [30, 0, left, 0, -30, top],
        }
        row = item_row(item(id=record["ard_id"] + "_SR", **changes), EVERYTHING)
        assert row["refused"] == ""
        assert row["sensor"] == record["ard_id"].split("_")[0]
        assert row["processed"] == record["ard_id"].split("_")[4]


@pytest.mark.deep
def test_the_work_grows_with_the_items_and_no_faster() -> None:
    items = [item(datetime=f"2023-09-09T18:28:07.{i:07d}Z", id=f"LC09_{i}") for i in range(2000)]
    few, many = (calls_of(partial(items_table, items[:count], H3V9)) for count in (500, 2000))
    assert many < 4.4 * few


@pytest.mark.parametrize("key", ["wkt2", "projjson", "epsg", "code"])
@pytest.mark.parametrize("value", [{"name": "x"}, {}, [1], [[]], 1.5, True, "", "x"])
def test_a_crs_may_be_told_in_any_form(key: str, value: Any) -> None:
    """What is no CRS is refused, whatever it is: nothing of it raises."""
    crs = dict.fromkeys(("proj__wkt2", "proj__projjson", "proj__epsg", "proj__code"))
    refused = item_row(item(**crs | {f"proj__{key}": value}), EVERYTHING)["refused"]
    assert "proj:" in refused or "CRS" in refused


def test_nesting_and_lone_surrogates_are_refused_alone() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    assert "proj:shape" in item_row(item(proj__shape=deep), EVERYTHING)["refused"]
    for _ in range(100_000):
        deep = [deep]
    assert "proj:projjson" in item_row(item(proj__projjson=deep), EVERYTHING)["refused"]
    made = item(proj__shape=None)
    for band in BANDS:
        made["assets"][band]["proj:shape"] = [[deep]]
    assert "proj:shape" in item_row(made, EVERYTHING)["refused"]
    row = item_row(item(assets={"blue": {"href": "s3://b/\ud800"}}), EVERYTHING)
    assert row["blue"] == "s3://b/?"
