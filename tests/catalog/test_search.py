"""Items of files, and the dates that a search takes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rustac
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.api import ARCHIVE
from timesync_xr import Archive, Selection, extract, plan
from timesync_xr.catalog.dates import DatetimeRange, parse_datetime
from timesync_xr.catalog.files import read_items, write_items
from timesync_xr.catalog.search import search_items, search_with_items
from timesync_xr.errors import AccessError, CatalogError, InputError


def test_a_file_that_holds_more(tmp_path: Path) -> None:
    others = [{**ARCHIVE[0], "collection": "landsat-c2ard-st"}, {"id": "LC08_x"}, 5]
    (tmp_path / "items.json").write_text(json.dumps({"features": [*ARCHIVE, *others]}))
    with pytest.warns(UserWarning, match="2 items are of no tile and are left out"):
        found = search_items([(3, 9)], Archive(tmp_path / "items.json"), datetime="2005")
    assert (found["refused"] == "").tolist() == [True, True, False, False]


def test_a_file_of_another_region(tmp_path: Path) -> None:
    """It is told, where a project without any chip would come of it."""
    path = tmp_path / "items.json"
    write_items(ARCHIVE, path)
    with pytest.raises(InputError, match=r"its items are of CU, none is of AK\. Check --grid"):
        search_items([(3, 9)], Archive(path), grid="AK")
    properties = {**ARCHIVE[0]["properties"], "landsat:grid_region": "AK"}
    write_items([*ARCHIVE, {**ARCHIVE[0], "properties": properties}], path)
    assert len(search_items([(3, 9)], Archive(path), grid="AK")) == 1


def test_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    for count in (3, 2):
        write_items(ARCHIVE[:count], path)
        assert len(search_items([(3, 9)], Archive(path))) == count


def test_a_table_is_the_callers_own(tmp_path: Path) -> None:
    write_items(ARCHIVE, tmp_path / "items.json")
    table = search_items([(3, 9)], Archive(tmp_path / "items.json"))
    table["refused"] = "spoilt"
    assert (search_items([(3, 9)], Archive(tmp_path / "items.json"))["refused"] == "").all()


@pytest.mark.parametrize("name", ["one.json", "with space.json", "100%25.json"])
def test_one_item_is_a_file_too(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(ARCHIVE[0]))
    assert len(search_items([(3, 9)], Archive(tmp_path / name))) == 1


@pytest.mark.parametrize("name", ["a.parquet", "with space.parquet", "100%25 #1?.parquet"])
def test_geoparquet_keeps_the_date_as_written(tmp_path: Path, name: str) -> None:
    write_items(ARCHIVE, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    dates = [item["properties"]["datetime"] for item in read_items(tmp_path / name)]
    assert dates == [item["properties"]["datetime"] for item in ARCHIVE]


def test_geoparquet_of_others(tmp_path: Path) -> None:
    rustac.write_sync(str(tmp_path / "items.parquet"), ARCHIVE)
    with pytest.warns(UserWarning, match="to the millisecond only"):
        found = search_items([(3, 9)], Archive(tmp_path / "items.parquet"))
    assert (found["refused"] == "").all()
    assert found["time"].dt.floor("s").iloc[0] == pd.Timestamp("2000-06-01T18:28:07")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "no STAC items"),
        (b'{"features": 5}', "no STAC items"),
        (b"5", "no STAC items"),
        (b"PAR1 and no more", "not stac-geoparquet"),
        (b'[{"collection": "landsat-c2l2-st"}]', "none of its 1 item is of the collection"),
        (b"[5]", "none of its 1 item is of the collection"),
    ],
)
def test_files_that_are_no_items(tmp_path: Path, text: Any, message: str) -> None:
    (tmp_path / "items").write_bytes(text)
    with pytest.raises(InputError, match=message):
        search_items([(3, 9)], Archive(tmp_path / "items"))


@pytest.mark.parametrize("items", [[], [{"id": "LC09_x"}], [{**ARCHIVE[0], "geometry": None}]])
def test_what_geoparquet_can_not_hold(tmp_path: Path, items: list[Any]) -> None:
    with pytest.raises(CatalogError, match="can't be kept as geoparquet"):
        write_items(items, tmp_path / "items.parquet")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="can't be written"):
        write_items(ARCHIVE, tmp_path / "none" / "items.json")


@pytest.mark.parametrize(
    ("source", "message"),
    [("none.json", "no file of items at"), ("s3://key:pw@bucket/items.json", r"from s3://\.\.\.:")],
)
def test_sources_that_are_not_there(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        search_items([(3, 9)], Archive(source))
    with pytest.raises(InputError, match=r"at landsat-scenes .*did you mean 'landsatlook-scenes'"):
        extract("none.csv", "none", Archive("landsat-scenes"))  # before a list is read
    with pytest.raises(InputError, match=r"at none\.json "):
        plan("none.csv", Archive("none.json"))
    with pytest.raises(InputError):
        search_with_items([(3, 9)], Archive(source), grid="CU", datetime=None)


@pytest.mark.parametrize("tile", [(33, 0), (0, 22), (-1, 5)])
def test_a_tile_that_is_none(tile: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="there is no tile"):
        search_items([tile], Archive("none.json"))


# Dates


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        (None, "1982-01-01", None),
        ("2009/2011", "2009-01-01", "2011-12-31T23:59:59.999999999"),
        ("2009-02/2012-02", "2009-02-01", "2012-02-29T23:59:59.999999999"),
        ("2009-08-29/..", "2009-08-29", None),
        ("/2009-08-29", None, "2009-08-29T23:59:59.999999999"),
        ("../..", None, None),
        (" 2009 / 2009 ", "2009-01-01", "2009-12-31T23:59:59.999999999"),
        ("2009", "2009-01-01", "2009-12-31T23:59:59.999999999"),
        (2009, "2009-01-01", "2009-12-31T23:59:59.999999999"),
        ("2009-08-29T18:20:00.1234567Z", *["2009-08-29T18:20:00.1234567"] * 2),
        ("2009-08-29T18:20:00-01:00/2010", "2009-08-29T19:20:00", "2010-12-31T23:59:59.999999999"),
    ],
)
def test_parse_datetime(text: Any, start: str | None, end: str | None) -> None:
    found = parse_datetime(text)
    assert found == DatetimeRange(
        *(None if t is None else np.datetime64(t, "ns") for t in (start, end))
    )
    assert parse_datetime(found) is found


@pytest.mark.parametrize(
    "text",
    [
        *("", "..", "now", "2009/2008", "2009/2010/2011", "2009-13", "2009-02-30", "09"),
        *("1e3/2010", "2009-1-1", "99999", "2009-08-29T18:20:00Z/2009-08-29T18:19:59Z"),
        *("\u0968\u0966\u0966\u096f", "2009\n\n/x"),
    ],
)
def test_what_is_no_datetime(text: Any) -> None:
    with pytest.raises(InputError, match="datetime"):
        parse_datetime(text)


@given(st.dates(pd.Timestamp("1972-01-01").date(), pd.Timestamp("2199-12-31").date()))
def test_a_day_is_the_same_whatever_says_it(day: date) -> None:
    found = parse_datetime(str(day))
    assert found == parse_datetime(f"{day}/{day}")
    assert found.start == np.datetime64(day, "ns")
    assert found.end == np.datetime64(f"{day}T23:59:59.999999999", "ns")
    assert parse_datetime(str(found)).start == found.start
    assert found.holds(np.datetime64(f"{day}T23:59:59.9999999"))
    assert not found.holds(np.datetime64(day) + 1)


@given(st.dates(pd.Timestamp("1982-01-01").date(), pd.Timestamp("2199-12-31").date()))
def test_moments_of_numpy_are_taken_in_any_unit(day: date) -> None:
    whole = parse_datetime(day)
    for unit in ("D", "h", "m", "s", "ms", "us", "ns"):
        assert parse_datetime(np.datetime64(day).astype(f"M8[{unit}]")) == whole
    half_past_five = np.datetime64(day) + np.timedelta64(330, "m")
    assert parse_datetime(half_past_five) == parse_datetime(f"{day}T05:30:00Z")
    pair = np.array([day, day], "M8[D]")
    pairs: list[Any] = [pair, pd.DatetimeIndex(pair), pd.Series(pair)]
    for two in pairs:
        assert parse_datetime(two) == whole
    others: list[Any] = [pair[:1], np.concatenate([pair, pair]), [[day, day], day]]
    for odd in others:
        with pytest.raises(InputError, match="is no pair"):
            parse_datetime(odd)


@given(st.dates(pd.Timestamp("1982-01-01").date(), pd.Timestamp("2199-12-31").date()))
def test_a_moment_at_midnight_is_its_day(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day)
    moments: list[Any] = [
        *(midnight, midnight.replace(tzinfo=UTC), pd.Timestamp(midnight), np.datetime64(day)),
        *(np.datetime64(day, "s"), np.datetime64(day, "ns")),
    ]
    for moment in moments:
        assert parse_datetime(moment) == parse_datetime(day) == parse_datetime(str(day))
    later = parse_datetime(midnight.replace(hour=1))
    assert later.start == later.end == np.datetime64(day, "ns") + np.timedelta64(1, "h")


@pytest.mark.parametrize(
    "pair",
    [
        *((2009, 2010), ["2009", "2010"], slice(2009, 2010), slice("2009-01", date(2010, 12, 31))),
        (datetime(2009, 1, 1), pd.Timestamp("2010-12-31")),
    ],
)
def test_a_pair_is_a_range(pair: Any) -> None:
    assert parse_datetime(pair) == parse_datetime("2009/2010")
    assert str(Selection(pair).period) == str(parse_datetime("2009/2010"))
    open_ = slice(None, pair.stop) if isinstance(pair, slice) else (None, pair[1])
    assert parse_datetime(open_) == parse_datetime("../2010")


@pytest.mark.parametrize(
    "value", [(), (2009,), (2009, 2010, 2011), slice(2009, 2010, 2), pd.NaT, 2009.5, {}, [[1], 2]]
)
def test_odd_pairs_are_told(value: Any) -> None:
    with pytest.raises(InputError, match=r"datetime .*(is no pair|is no date)"):
        parse_datetime(value)


@given(st.text(max_size=30) | st.text("0123456789-/:TZ.+", max_size=30))
def test_any_text_is_a_range_or_a_clean_error(text: Any) -> None:
    try:
        found = parse_datetime(text)
    except InputError:
        return
    assert found.start is None or found.end is None or found.start <= found.end


@given(
    st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2030-12-31").date()),
    st.integers(-12 * 60, 14 * 60).filter(bool),
)
def test_a_midnight_of_another_zone_is_the_day_there(day: date, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    found = parse_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))
    start = np.datetime64(day, "ns") - np.timedelta64(minutes, "m")
    assert found.start == start
    assert found.end == start + np.timedelta64(24 * 60, "m") - np.timedelta64(1, "ns")
