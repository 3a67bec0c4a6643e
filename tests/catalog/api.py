"""A small archive of items, and a STAC API on loopback that serves them and can misbehave."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pandas as pd

from timesync_xr.grid import REGIONS
from timesync_xr.landsat import BANDS

CU = REGIONS["CU"]
CONFORMS = [f"https://api.stacspec.org/v1.0.0/item-search{part}" for part in ("", "#query")]


def make_item(tile: tuple[int, int], date: str) -> dict[str, Any]:
    (h, v), (left, top) = tile, CU.corner(tile)
    name = f"LC08_CU_{h:03d}{v:03d}_{date[:10].replace('-', '')}_20230101_02_SR"
    ring = [[-120, 36], [-119, 36], [-119, 37], [-120, 36]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "landsat-c2ard-sr",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [-120, 36, -119, 37],
        "links": [],
        "properties": {
            "datetime": date,
            "landsat:grid_horizontal": f"{h:02d}",
            "landsat:grid_vertical": f"{v:02d}",
            "landsat:grid_region": "CU",
            "landsat:scene_count": 1,
            "eo:cloud_cover": 12.5,
            "proj:epsg": None,
            "proj:shape": [5000, 5000],
            "proj:transform": [30, 0, left, 0, -30, top],
            "proj:wkt2": CU.crs,
        },
        "assets": {band: {"href": f"s3://bucket/{name}_{band}.TIF"} for band in BANDS},
    }


ARCHIVE = [
    make_item(tile, f"{year}-06-0{day}T18:28:07.{year}{day}01Z")
    for tile in [(3, 9), (4, 9)]
    for year in range(2000, 2023)
    for day in (1, 9)
]


@dataclass
class Api:
    """A STAC API on loopback that can misbehave."""

    items: list[dict[str, Any]] = field(default_factory=lambda: list(ARCHIVE))
    conforms: Any = field(default_factory=lambda: list(CONFORMS))
    paging: str = "token"
    query: bool = True
    dates: bool = True
    count: Callable[[int], int | None] = lambda matched: matched
    fault: Callable[[Handler, int], bool] = lambda handler, number: False
    change: Callable[[dict[str, Any]], Any] = lambda page: page
    page_size: int = 7
    bodies: list[Any] = field(default_factory=list)
    requests: int = 0
    url: str = ""

    def landing(self) -> Any:
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "an API",
            "conformsTo": self.conforms,
            "links": [
                {"rel": "self", "href": self.url},
                {"rel": "root", "href": self.url},
                {"rel": "search", "href": f"{self.url}/search", "type": "application/geo+json"},
            ],
        }

    def matches(self, item: dict[str, Any], body: dict[str, Any]) -> bool:
        properties = item["properties"]
        wanted = body.get("query", {}) if self.query else {}
        start, _, end = body.get("datetime", "../..").partition("/")
        time = pd.Timestamp(properties["datetime"])
        early = self.dates and start != ".." and time < pd.Timestamp(start)
        late = self.dates and end != ".." and time > pd.Timestamp(end)
        return not (early or late) and all(
            properties.get(name) == test["eq"] for name, test in wanted.items()
        )

    def search(self, body: dict[str, Any], page: int) -> Any:
        self.bodies.append(body)
        found = [item for item in self.items if self.matches(item, body)]
        size = min(body["limit"], self.page_size)
        shown = found[page * size :][:size]
        links: list[dict[str, Any]] = []
        if shown and self.paging == "token":  # as Element 84's server: the last page is empty
            next_body = {**body, "token": str(page + 1)}
            links = [{"rel": "next", "href": f"{self.url}/search", "method": "POST",
                      "body": next_body}]  # fmt: skip
        elif len(found) > (page + 1) * size and self.paging == "merge":
            links = [{"rel": "next", "href": "search", "method": "post", "merge": True,
                      "body": {"page": page + 2}}]  # fmt: skip
        elif len(found) > (page + 1) * size and self.paging == "get":
            links = [
                {
                    "rel": "next",
                    "href": f"{self.url}/search?page={page + 2}&of={self.bodies.index(body)}",
                }
            ]
        answer: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": shown,
            "links": links,
        }
        if (matched := self.count(len(found))) is not None:
            answer |= {"numberMatched": matched} if self.paging == "token" else {
                "context": {"matched": matched, "returned": len(shown)}
            }  # fmt: skip
        return self.change(answer)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    api: Api

    def do_GET(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, body: dict[str, Any]) -> None:
        api = self.api
        api.requests += 1
        if api.fault(self, api.requests):
            return
        path, _, asked = self.path.partition("?")
        if not path.startswith("/stac/search"):
            self.send_json(api.landing())
        elif asked:
            page, of = (int(part.partition("=")[2]) for part in asked.split("&"))
            self.send_json(api.search(api.bodies[of], page - 1))
        else:
            page = int(body.pop("token", 0)) or int(body.pop("page", 1)) - 1
            self.send_json(api.search(body, page))

    def send_json(self, value: Any) -> None:
        self.send_bytes(gzip.compress(json.dumps(value).encode()), ("Content-Encoding", "gzip"))

    def send_bytes(self, body: bytes, *headers: tuple[str, str], length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def send_status(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in (("Content-Length", "0"), *headers):
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass
