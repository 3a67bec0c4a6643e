"""Items of stac-geoparquet: what is read of a file, and what is made of a damaged one."""

from __future__ import annotations

import copy
import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.catalog.api import make_item
from tests.tally import shows
from timesync_xr import Archive, read_items, search_items, write_items
from timesync_xr.catalog import geoparquet
from timesync_xr.catalog.scenes import meets
from timesync_xr.errors import CatalogError, InputError

TILES = [(3, 9), (4, 9), (10, 4), (3, 10)]
DAYS = [f"2000-{month:02d}-01T18:28:07.123456Z" for month in range(1, 7)]


def in_groups(path: Path, items: list[Any], size: int) -> Path:
    """A file of items with row groups of so many rows."""
    write_items(items, path)
    table = parquet.read_table(path)
    parquet.write_table(table, path, row_group_size=size)
    return path


@pytest.fixture
def items() -> list[dict[str, Any]]:
    """Six items of each of four tiles, tile by tile."""
    return [make_item(tile, day) for tile in TILES for day in DAYS]


def test_a_file_is_written_in_parts_as_in_one(
    tmp_path: Path, items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that differ in what they have, with parts that lack it, or hold nothing of a list."""
    for n, item in enumerate(items):
        properties = item["properties"]
        item["bbox"] = [-120.0 - n, 36.0, -119.0 + n, 37.0 + n]
        properties["odd"] = {"few": [n] * (n % 5), **({"late": "x"} if n > 12 else {})}
        properties["eo:cloud_cover"] = n / 2 if n > 5 else n
        if n % 7 > 3:
            del item["assets"]["red"], properties["landsat:scene_count"]
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    write_items(items, whole)
    monkeypatch.setattr(geoparquet, "_PART", 5)
    monkeypatch.setattr(geoparquet, "_PARTS", 2)
    write_items(items, parts)
    assert read_items(parts) == read_items(whole)
    file, one = parquet.ParquetFile(parts), parquet.ParquetFile(whole)
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [10, 10, 4]
    assert file.schema_arrow.names == one.schema_arrow.names
    told, as_one = (json.loads(f.metadata.metadata[b"geo"]) for f in (file, one))
    assert told == as_one


def test_parts_with_and_without_heights_tell_no_box(
    tmp_path: Path, items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoparquet, "_PART", 20)
    ring = items[23]["geometry"]["coordinates"][0]
    items[23]["geometry"]["coordinates"] = [[[*point, 5.0] for point in ring]]
    write_items(items, tmp_path / "x.parquet")
    assert len(read_items(tmp_path / "x.parquet")) == 24


def test_kinds_that_differ_from_part_to_part_are_no_geoparquet(
    tmp_path: Path, items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoparquet, "_PART", 1)
    items[0]["properties"]["count"] = -1
    items[20]["properties"]["count"] = "many"
    with pytest.raises(CatalogError, match=r"x.parquet: .*can't be kept.*Write .json instead"):
        write_items(items, tmp_path / "x.parquet")
    assert not [*tmp_path.iterdir()]


def groups_read(caplog: pytest.LogCaptureFixture) -> list[str]:
    told = [r.getMessage() for r in caplog.records if "row groups" in r.getMessage()]
    caplog.clear()
    return [message.partition(": reading ")[2] for message in told]


def test_the_row_groups_of_a_tile_alone_are_read(
    tmp_path: Path, items: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """The table is that of the file read whole."""
    path = in_groups(tmp_path / "items.parquet", items, 3)
    write_items(items, tmp_path / "items.json")
    with caplog.at_level(logging.INFO, geoparquet.__name__):
        for tiles in ([(3, 9)], [(4, 9), (3, 10)], [(5, 5)]):
            found = search_items(tiles, Archive(path))
            pd.testing.assert_frame_equal(
                found, search_items(tiles, Archive(tmp_path / "items.json"))
            )
    assert groups_read(caplog) == ["2 of 8 row groups", "4 of 8 row groups", "0 of 8 row groups"]
    assert read_items(path)[0]["properties"]["datetime"] == DAYS[0]
    assert [item["id"] for item in read_items(path)] == [item["id"] for item in items]


@pytest.mark.filterwarnings("ignore:.* items are of no tile")
@pytest.mark.parametrize("seed", range(3))
def test_rows_that_lie_anywhere_are_found(
    tmp_path: Path, items: list[dict[str, Any]], seed: int
) -> None:
    """Also such as do not tell their tile, or in another spelling."""
    dice = random.Random(seed)
    for item in dice.sample(items, 8):
        number = item["properties"]["landsat:grid_vertical"]
        item["properties"]["landsat:grid_vertical"] = dice.choice(
            (None, "x", str(int(number)), number.zfill(3))
        )
    dice.shuffle(items)
    path = in_groups(tmp_path / "items.parquet", items, dice.choice((1, 2, 5)))
    write_items(items, tmp_path / "items.json")
    for tile in TILES:
        found, whole = (
            search_items([tile], Archive(tmp_path / name)) for name in (path.name, "items.json")
        )
        pd.testing.assert_frame_equal(found, whole)
        assert (found["place"] == "").any()  # of none


def test_tiles_as_numbers_and_files_without_statistics(
    tmp_path: Path, items: list[dict[str, Any]]
) -> None:
    write_items(items, tmp_path / "items.json")
    numbered = copy.deepcopy(items)
    for item in numbered:
        for axis in ("horizontal", "vertical"):
            name = f"landsat:grid_{axis}"
            item["properties"][name] = int(item["properties"][name])
    path = in_groups(tmp_path / "numbers.parquet", numbered, 4)
    bare = tmp_path / "bare.parquet"
    parquet.write_table(parquet.read_table(path), bare, row_group_size=4, write_statistics=False)
    expected = search_items([(10, 4)], Archive(tmp_path / "items.json"))
    for file in (path, bare):
        found = search_items([(10, 4)], Archive(file))
        pd.testing.assert_frame_equal(found, expected)


def test_what_a_file_lacks_is_told(tmp_path: Path, items: list[dict[str, Any]]) -> None:
    path = in_groups(tmp_path / "items.parquet", items, 5)
    with pytest.raises(InputError, match=r"its items are of CU, none is of AK\. Check --grid"):
        search_items([(3, 9)], Archive(path), grid="AK")
    others = [{**item, "collection": "landsat-c2ard-st"} for item in items]
    path = in_groups(tmp_path / "others.parquet", others, 5)
    with pytest.raises(InputError, match="none of its 24 items is of the collection"):
        search_items([(3, 9)], Archive(path))


def boxes(dice: random.Random, count: int) -> list[tuple[float, float, float, float]]:
    """Bounding boxes anywhere, many near 180 degrees."""
    found = []
    for _ in range(count):
        west, south = dice.choice((dice.uniform(-180, 180), 179.0, -179.5)), dice.uniform(-80, 78)
        east = west + dice.uniform(0.1, 4)
        found.append((west, south, east - 360 if east > 180 else east, south + dice.uniform(0, 2)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_boxes_of_scenes_against_one_by_one(seed: int) -> None:
    """No row that meets a place is left out, and no row group that holds one."""
    dice = random.Random(seed)
    rows = boxes(dice, 60)
    column = pa.chunked_array(
        [pa.array([dict(zip(geoparquet._BBOX, box, strict=True)) for box in rows])]
    )
    for box in boxes(dice, 40):
        wanted = [(box[0], box[1], 180.0 if box[2] < box[0] else box[2], box[3])]
        exact = np.array([meets(row, wanted) for row in rows])
        found = geoparquet._rows_in(column, wanted)
        assert (found == exact).all()
        for start in range(0, 60, 5):
            around = geoparquet._around(pa.table({"bbox": column.slice(start, 5)}))
            if exact[start : start + 5].any():
                assert geoparquet._rows_in(around["bbox"], wanted).any()


def test_a_missing_box_may_be_anywhere() -> None:
    box = dict.fromkeys(geoparquet._BBOX, 1.0)
    column = pa.chunked_array([pa.array([None, box], pa.struct([(n, pa.float64()) for n in box]))])
    found = geoparquet._rows_in(column, [(50.0, 50.0, 51.0, 51.0)])
    assert found.tolist() == [True, False]
    around = geoparquet._around(pa.table({"bbox": column}))
    assert geoparquet._rows_in(around["bbox"], [(50.0, 50.0, 51.0, 51.0)]).any()


@shows("a damaged file of items", "run")
@pytest.mark.parametrize("keep", [4, 100, -1, -8, -500])
def test_a_file_that_was_cut_off_is_named(
    tmp_path: Path, items: list[dict[str, Any]], keep: int
) -> None:
    path = in_groups(tmp_path / "items.parquet", items, 5)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (lambda: read_items(path), lambda: search_items([(3, 9)], Archive(path))):
        with pytest.raises(InputError, match="not stac-geoparquet, or damaged") as told:
            read()
        assert str(path) in str(told.value)
        assert "fetch it again, or write it anew" in str(told.value)


@shows("a damaged file of items", "run")
@pytest.mark.deep
def test_changed_bits_end_in_an_error_or_in_items(
    tmp_path: Path, items: list[dict[str, Any]]
) -> None:
    """Never in the end of the process, nor in an error of another library."""
    path = in_groups(tmp_path / "items.parquet", items, 5)
    data, dice, named = path.read_bytes(), random.Random(1), []
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 1, 4))):
            damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            search_items([(3, 9)], Archive(path))
        except InputError as error:
            named.append(str(path) in str(error))
    assert all(named)
    assert len(named) > 30


def test_a_page_that_was_changed_is_noticed_where_it_has_a_checksum(
    tmp_path: Path, items: list[dict[str, Any]]
) -> None:
    path = tmp_path / "items.parquet"
    write_items(items, path)
    parquet.write_table(parquet.read_table(path), path, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    group = parquet.read_metadata(path).row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    (ids,) = (column for column in columns if column.path_in_schema == "id")
    data[ids.dictionary_page_offset + 100] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged \(.*CRC"):
        read_items(path)


def test_an_items_file_of_another_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    parquet.write_table(pa.table({"collection": ["landsat-c2ard-sr"], "a": [1]}), path)
    with pytest.raises(InputError, match="not stac-geoparquet, or damaged"):
        read_items(path)
