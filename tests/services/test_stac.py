"""Searches in a real pgstac API give what a file of the same items gives."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.services.pgstac import stac_api
from timesync_xr.catalog import search_items
from timesync_xr.grid import REGIONS
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
        here = search_items(tiles, source=api, datetime=datetime)
        there = search_items(tiles, source=str(path), datetime=datetime)
        assert len(there) > 0 or tiles == [(20, 20)]
        kept = [c for c in there.columns if c != "date"]
        pd.testing.assert_frame_equal(here[kept], there[kept])
        # pgstac keeps microseconds, so a seventh digit is lost there
        assert (here["date"].str[:26] == there["date"].str[:26]).all()
