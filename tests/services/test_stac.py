"""Searches in a real pgstac API give what a file of the same items gives."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.services.pgstac import by_page, changed, stac_api
from tests.tally import shows
from timesync_xr import Archive
from timesync_xr.catalog.search import search_items
from timesync_xr.errors import CatalogError
from timesync_xr.grid import REGIONS, Tile
from timesync_xr.sample import SamplePaths

MANY = 5000
TILES = [(h, v) for h in (3, 4) for v in (8, 9, 10)]


def synthetic(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Items of six tiles and forty years, of the shape of another one."""
    items = []
    for number in range(MANY):
        h, v = TILES[number % len(TILES)]
        day = pd.Timestamp("1984-01-01") + pd.Timedelta(days=16 * (number // len(TILES)))
        left, top = REGIONS["CU"].corner((h, v))
        item = copy.deepcopy(template)
        item["id"] = f"LT05_CU_{h:03d}{v:03d}_{day:%Y%m%d}_20230101_02_SR"
        item["properties"] |= {
            "datetime": f"{day:%Y-%m-%d}T18:11:{number % 60:02d}.{number:06d}Z",
            "landsat:grid_horizontal": f"{h:02d}", "landsat:grid_vertical": f"{v:02d}",
            "landsat:grid_region": "CU", "proj:transform": [30, 0, left, 0, -30, top],
        }  # fmt: skip
        items.append(item)
    return items


@pytest.fixture(scope="module")
def items(sample: SamplePaths) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sample.items.read_text())["features"]
    ids = {item["id"] for item in found}
    return found + [item for item in synthetic(found[0]) if item["id"] not in ids]


@pytest.fixture(scope="module")
def api(items: list[dict[str, Any]]) -> Iterator[str]:
    with stac_api(items) as url:
        yield url


@pytest.mark.parametrize("datetime", [None, "1990/1999-06-15", "2015/.."])
def test_a_search_gives_what_the_file_gives(
    api: str, items: list[dict[str, Any]], tmp_path: Path, datetime: str | None
) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    for tiles in ([(3, 9)], TILES, [(20, 20)]):
        here = search_items(tiles, Archive(api), datetime=datetime)
        there = search_items(tiles, Archive(path), datetime=datetime)
        assert len(there) > 0 or tiles == [(20, 20)]
        kept = [c for c in there.columns if c != "date"]
        pd.testing.assert_frame_equal(here[kept], there[kept])
        # pgstac keeps microseconds, so a seventh digit is lost there
        assert (here["date"].str[:26] == there["date"].str[:26]).all()


# What other servers do, by a proxy before this one


def find(api: str, tiles: list[Tile], datetime: str | None = None) -> pd.DataFrame:
    return search_items(tiles, Archive(api), datetime=datetime)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_pages_by_number_give_what_pages_by_token_give(api: str, method: str) -> None:
    """Old servers count pages; some lead on by POST, some by GET."""
    with by_page(api, method) as (old, asked):
        for tiles in ([(3, 9)], TILES[:2]):
            pd.testing.assert_frame_equal(find(old, tiles), find(api, tiles))
    assert {name for name, _ in asked} == ({"POST"} if method == "POST" else {"POST", "GET"})
    assert max(page for _, page in asked) >= 5


def test_tokens_lead_through_all_pages(api: str) -> None:
    """833 items of a tile are more than four pages."""
    seen: list[dict[str, Any]] = []

    def watch(page: dict[str, Any]) -> dict[str, Any]:
        seen.append(page)
        return page

    with changed(api, watch) as watched:
        assert len(find(watched, [(4, 8)])) == 833
    assert [len(page["features"]) for page in seen] == [200, 200, 200, 200, 33]
    assert {page["numberMatched"] for page in seen} == {833}
    (link,) = [link for link in seen[0]["links"] if link["rel"] == "next"]
    assert link["method"] == "POST"
    assert link["body"]["token"]


@shows("fewer items than counted", "STAC API")
@pytest.mark.parametrize("lost", ["item", "page"])
def test_a_short_answer_is_an_error(api: str, lost: str) -> None:
    def shorten(page: dict[str, Any]) -> dict[str, Any]:
        if lost == "item":
            return {**page, "features": page["features"][:-1]}
        return {**page, "links": []}

    words = r"h04v08: the STAC API counted 833 items but sent (828|200)"
    with changed(api, shorten) as short, pytest.raises(CatalogError, match=words):
        find(short, [(4, 8)])


@shows("no query extension", "STAC API")
def test_a_server_without_the_query_extension_is_told(api: str) -> None:
    with (
        changed(api, conforms=lambda uri: "query" not in uri) as plain,
        pytest.raises(CatalogError, match="lacks the query"),
    ):
        find(plain, [(4, 8)])


@shows("unasked items", "STAC API")
def test_a_server_that_ignores_the_query_gives_the_same(api: str) -> None:
    """What was not asked for is refused by name, and is no part of a project."""
    with changed(api, without="query") as careless:
        found = find(careless, [(4, 8)], "1990/1992")
    good = found["refused"] == ""
    pd.testing.assert_frame_equal(
        found[good].reset_index(drop=True), find(api, [(4, 8)], "1990/1992")
    )
    unasked = found.loc[~good, "refused"]
    assert len(unasked) > 300
    assert unasked.str.fullmatch(r"not asked for: tile h\d\dv\d\d").all()
