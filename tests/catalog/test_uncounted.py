"""Searches in APIs that do not count, end pages early, cap their answers, or take too long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.scenes import BLOB, SceneArchive
from tests.servers import JsonHandler, serving
from tests.tally import shows
from timesync_xr import Archive, Prices, search_items
from timesync_xr.catalog import archive as catalogs
from timesync_xr.catalog import stac
from timesync_xr.catalog.scenes import PC_SCENES, meets
from timesync_xr.errors import CatalogError

CELL = "N46.5E007.5"


@dataclass
class Server:
    """A search by box and dates, as Planetary Computer's, with what was seen to go wrong there."""

    items: list[dict[str, Any]]
    page: int = 1000
    """Items of a page at most."""
    cap: int | None = None
    """Items of an answer at most, without a word of the others."""
    leads_on: bool = True
    """Whether a page tells of the next one."""
    doubles: bool = False
    """Whether the last item of a page comes again on the next one, in place of the one after."""
    slow_over: int | None = None
    """Number of items for which a search takes too long."""
    empty_first: bool = False
    """Whether a page without items comes first."""
    counts: bool = False
    requests: int = 0
    url: str = ""
    periods: list[str] = field(default_factory=list)

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests += 1
        self.periods.append(body.get("datetime", ""))
        start, _, end = body["datetime"].partition("/")
        first = pd.Timestamp("1900-01-01T00:00Z" if start == ".." else start)
        last = pd.Timestamp("2100-01-01T00:00Z" if end == ".." else end)
        found = [
            item
            for item in self.items
            if meets(item["bbox"], [tuple(body["bbox"])])
            and first <= pd.Timestamp(item["properties"]["datetime"]) <= last
        ]
        if self.slow_over is not None and len(found) > self.slow_over:
            return 504, {"detail": "The request exceeded the maximum allowed time"}
        size = min(body["limit"], self.page)
        number = int(body.get("token", 0))
        pages = [found[n : n + size] for n in range(0, max(len(found), 1), size)]
        if self.doubles:
            for n in range(1, len(pages)):
                pages[n] = [pages[n - 1][-1], *pages[n][1:]]
        if self.empty_first:
            pages = [[], *pages]
        shown = pages[number][: self.cap]
        links = []
        if self.leads_on and number + 1 < len(pages):
            link = {"rel": "next", "href": f"{self.url}/search", "method": "POST"}
            links = [{**link, "body": {**body, "token": str(number + 1)}}]
        told = {"numberMatched": len(found)} if self.counts else {}
        return 200, {"type": "FeatureCollection", "features": shown, "links": links, **told}


@contextmanager
def serving_search(server: Server) -> Iterator[Server]:
    class Handler(JsonHandler):
        def reply_with(self, body: dict[str, Any]) -> None:
            status, answer = 200, root(server.url)
            if self.path.endswith("/search"):
                status, answer = server.answer(body)
            self.reply(status, json.dumps(answer).encode(), ("Content-Type", "application/json"))

    with serving(Handler) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


def root(url: str) -> dict[str, Any]:
    links = [{"rel": rel, "href": url} for rel in ("self", "root")]
    links += [{"rel": "search", "href": f"{url}/search", "type": "application/geo+json"}]
    return {
        "type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"], "links": links,
    }  # fmt: skip


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two rows of a pass every 16 days of some years, and a burst within a minute."""
    scenes = SceneArchive(tmp_path_factory.mktemp("scenes"))
    one = scenes.add(
        "LC08", "2013-04-01T10:10:00Z", (195, 27, 32), (396_412, 5_150_488), size=(9, 9)
    )
    made = []
    days = pd.date_range("2013-04-01", "2015-12-31", freq="16D")
    for row in (27, 28):
        for day in days:
            name = f"LC08_L2SP_195{row:03d}_{day:%Y%m%d}_02_T1"
            properties = {
                **one["properties"], "datetime": f"{day:%Y-%m-%d}T10:10:{24 * (row - 27):02d}Z",
                "landsat:wrs_row": f"{row:03d}",
            }  # fmt: skip
            made.append({**one, "id": name, "properties": properties})
    return sorted(made, key=lambda item: item["properties"]["datetime"])


TRAPS: dict[str, dict[str, Any]] = {
    "well": {},
    "pages": {"page": 25},
    "no next link": {"page": 50, "leads_on": False},
    "silent cap": {"cap": 20},
    "silent cap of one page": {"cap": 10, "page": 25},
    "doubles": {"page": 25, "doubles": True},
    "takes too long": {"slow_over": 40},
    "an empty page": {"empty_first": True},
    "all at once": {"page": 25, "doubles": True, "cap": 15, "slow_over": 90},
}


@shows(
    ["no counts", "no next link", "a silent cap", "doubles", "a search that takes too long"],
    "STAC API",
)
@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.cases(1)
def test_a_search_brings_every_item_once(
    items: list[dict[str, Any]], trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac.PatientIO.__init__, "__defaults__", (stac.Patience(2, 0.001),))
    with serving_search(Server(items, **TRAPS[trap])) as server:
        table = search_items([CELL], Archive(server.url, source="planetary-computer"))
    assert table["item_id"].tolist() == [item["id"] for item in items]
    assert (table["refused"] == "").all()
    assert server.requests < 4 * len(items)


def test_a_search_that_is_well_takes_three_requests(items: list[dict[str, Any]]) -> None:
    with serving_search(Server(items)) as server:
        search_items([CELL], Archive(server.url, source="planetary-computer"), datetime="2013/2015")
    assert server.requests == 3


def test_an_api_that_counts_is_asked_once(items: list[dict[str, Any]]) -> None:
    with serving_search(Server(items, counts=True, empty_first=True)) as server:
        table = search_items([CELL], Archive(server.url, source="planetary-computer"))
    assert (len(table), server.requests) == (len(items), 2)


def test_what_the_service_can_not_give_is_an_error(
    items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac.PatientIO.__init__, "__defaults__", (stac.Patience(2, 0.001),))
    with (
        serving_search(Server(items, slow_over=0)) as server,
        pytest.raises(CatalogError, match=r"status 504 \(tried 2 times"),
    ):
        search_items([CELL], Archive(server.url, source="planetary-computer"), datetime="2013-04")


def test_a_catalog_is_known_by_its_name(
    items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_search(Server(items)) as server:
        known = catalogs.Catalog(server.url, PC_SCENES)
        monkeypatch.setitem(catalogs.CATALOGS, "planetary-computer", known)
        archive = Archive("planetary-computer")
        assert archive.what is PC_SCENES
        assert len(search_items([CELL], archive)) == len(items)


@pytest.mark.deep
def test_one_search_serves_all_plots_of_a_cell_and_is_kept(
    items: list[dict[str, Any]], tmp_path: Path
) -> None:
    from timesync_xr import plan

    lines = [f"p,{n},{7.6 + n / 100},46.6" for n in range(9)]
    (tmp_path / "plots.csv").write_text("\n".join(["project_id,plot_id,lon,lat", *lines]))
    with serving_search(Server(items)) as server:
        archive = Archive(server.url, source="planetary-computer")
        for _ in range(2):
            forecast = plan(tmp_path / "plots.csv", archive, project=tmp_path / "project")
            assert (forecast.tiles, forecast.items) == (1, len(items))
        asked = server.requests
    names = sorted(path.name for path in (tmp_path / "project/ledger/items").iterdir())
    assert names == [f"scenes_{CELL}{end}" for end in (".json", ".parquet", "_table.parquet")]
    assert asked < 20


@shows("a catalog that does not count", "STAC API")
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.deep
def test_that_completeness_is_not_known_is_told(
    items: list[dict[str, Any]], tmp_path: Path, counts: bool
) -> None:
    """By a plan and by a run, once each, also where the items are those of an earlier search."""
    from timesync_xr import Products, extract, plan

    lines = [f"p,{n},{7.6 + n / 100},46.6" for n in range(2)]
    (tmp_path / "plots.csv").write_text("\n".join(["project_id,plot_id,lon,lat", *lines]))
    with serving_search(Server(items, counts=counts)) as server:
        archive = Archive(server.url, source="planetary-computer", mirror=f"{BLOB}={tmp_path}")
        table = search_items([CELL], archive)
        asked = tmp_path / "plots.csv", archive
        forecasts = [plan(*asked, project=tmp_path / "project") for _ in range(2)]
        requests = server.requests
        products = Products("csv", chip_size=(9, 9))
        summary = extract(
            asked[0], tmp_path / "project", archive, products=products, progress=False
        )
        assert server.requests == requests
    assert table.attrs["timesync_xr"].get("counted", True) == counts
    told = f"The catalog does not count its items ({CELL}): whether they are all is not known"
    prices = Prices()
    for text in (str(summary), *(forecast.text(1, prices) for forecast in forecasts)):
        assert text.count(told) == (not counts)
    (mark,) = (tmp_path / "project/ledger/items").glob(f"scenes_{CELL}.json")
    assert ("counted" in json.loads(mark.read_text())) == (not counts)
