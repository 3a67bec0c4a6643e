"""Items of tiles: searched once, kept in the project, the same for whoever reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.archive import SmallArchive
from timesync_xr import Archive, Products, extract, search_items
from timesync_xr.catalog import kept as tile_items
from timesync_xr.catalog import search as catalog
from timesync_xr.catalog.dates import parse_datetime
from timesync_xr.catalog.files import read_items
from timesync_xr.catalog.items import Query
from timesync_xr.catalog.kept import Search, TileItems, read_items_of
from timesync_xr.catalog.stac import SentItem
from timesync_xr.grid import REGIONS
from timesync_xr.storage.folder import Folder

CU = REGIONS["CU"]
TILES = ((3, 9), (4, 9))
PLACES = ("0309", "0409")


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path / "archive")
    for year in (2001, 2010, 2020):
        for tile in TILES:
            item = archive.add("LE07", f"{year}-07-01T18:30:00.1234567Z", tile, write=False)
            item["geometry"] = {"type": "Point", "coordinates": [-120.0, 38.0]}
            item["bbox"] = [-120.0, 38.0, -120.0, 38.0]
    return archive


@pytest.fixture
def api(archive: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """An API that serves the archive; the list holds the places of every search."""
    searches: list[object] = []

    def search(url: str, query: Query) -> tuple[list[SentItem], bool]:
        searches.append(sorted(query.places or ()))
        found = [
            item
            for item in archive.items
            if f"{item['properties']['landsat:grid_horizontal']}09" in (query.places or ())
            and query.period.holds(
                pd.Timestamp(item["properties"]["datetime"][:19]).to_datetime64()
            )
        ]
        return [SentItem.of(item) for item in found], True

    monkeypatch.setattr(catalog, "_search_api", search)
    return searches


URL = "https://user:secret@stac.example/api?token=secret"


def items_of(out: Path, period: str | None = None, refresh: bool = False) -> pd.DataFrame:
    items = TileItems(Folder(out), Search(Archive(URL), CU, parse_datetime(period)), refresh)
    found = read_items_of(items.of(PLACES))
    items.close()
    return found


def test_the_table_is_that_of_a_search(archive: SmallArchive, tmp_path: Path) -> None:
    source = Archive(archive.write_items())
    items = TileItems(Folder(tmp_path), Search(source, CU, parse_datetime(None)), False)
    kept = read_items_of(items.of(PLACES))
    wanted = search_items(TILES, source)
    order = ["place", "time"]
    pd.testing.assert_frame_equal(
        kept.sort_values(order, ignore_index=True), wanted.sort_values(order, ignore_index=True)
    )


def test_one_search_per_tile_and_none_again(api: list[object], tmp_path: Path) -> None:
    first = items_of(tmp_path)
    assert sorted(map(str, api)) == ["['0309']", "['0409']"]
    pd.testing.assert_frame_equal(items_of(tmp_path), first)
    narrower = items_of(tmp_path, "2005/2015")
    assert narrower["time"].dt.year.tolist() == [2010, 2010]
    assert len(api) == 2


def test_a_longer_time_or_a_refresh_searches_again(api: list[object], tmp_path: Path) -> None:
    assert len(items_of(tmp_path, "../2010")) == 4
    assert len(items_of(tmp_path, "2005/2010-08")) == 2
    assert len(api) == 2
    assert len(items_of(tmp_path)) == 6
    assert len(api) == 4
    items_of(tmp_path, refresh=True)
    assert len(api) == 6


def test_an_open_start_is_the_begin_of_landsat(api: list[object], tmp_path: Path) -> None:
    items_of(tmp_path)
    api.clear()
    items_of(tmp_path, "../2015")
    items_of(tmp_path, "1975/..")
    assert api == []


def test_items_are_kept_as_they_came_with_their_query_but_no_secret(
    api: list[object], archive: SmallArchive, tmp_path: Path
) -> None:
    items_of(tmp_path, "2010/2015")
    kept = read_items(tmp_path / "ledger/items/CU_h03v09.parquet")
    assert [item["properties"]["datetime"] for item in kept] == ["2010-07-01T18:30:00.1234567Z"]
    query = json.loads((tmp_path / "ledger/items/CU_h03v09.json").read_text())
    assert query["source"] == "https://stac.example/api"
    assert query["datetime"].startswith("2010-01-01")
    assert pd.Timestamp(query["searched"]).tzinfo is not None
    for path in (tmp_path / "ledger/items").iterdir():
        assert b"secret" not in path.read_bytes()


def test_a_search_that_was_cut_off_is_made_again(api: list[object], tmp_path: Path) -> None:
    items_of(tmp_path)
    (tmp_path / "ledger/items/CU_h03v09.json").unlink()
    assert len(items_of(tmp_path)) == 6
    assert api[-1] == ["0309"]
    assert len(api) == 3


@pytest.mark.deep
def test_refresh_adds_what_is_new_to_complete_plots(tmp_path: Path) -> None:
    archive = SmallArchive(tmp_path / "archive")
    archive.add("LC08", "2020-07-01T18:30:00Z")
    x, y = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{x},{y}\n")

    def run(refresh: bool) -> int:
        source = str(archive.write_items())
        extract(
            tmp_path / "plots.csv",
            tmp_path / "out",
            Archive(source, mirror=archive.mirror),
            products=Products(chip_size=(3, 3)),
            refresh=refresh,
            progress=False,
        )
        return len(list((tmp_path / "out").rglob("7_spectral*.csv")))

    assert run(False) == 1
    archive.add("LC08", "2020-07-17T18:30:00Z")
    assert run(False) == 1
    assert run(True) == 2


def test_loading_a_table_again_is_quick(api: list[object], tmp_path: Path) -> None:
    items_of(tmp_path)
    before = tile_items._read.cache_info().misses
    items_of(tmp_path)
    assert tile_items._read.cache_info().misses == before
