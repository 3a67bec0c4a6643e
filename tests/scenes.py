"""Small archives of scenes for tests, and what the services that give them for nothing do."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt
import rasterio

from tests.servers import PlainHandler, serving
from timesync_xr.grid import DEGREES, transformer
from timesync_xr.landsat import BANDS, QA_BAND
from timesync_xr.sample.cog import write_scene
from timesync_xr.storage.access import S3, SIGNED

(BLOB,) = SIGNED
BUCKET = "s3://usgs-landsat/collection02"
CLEAR = 21824


class SceneArchive:
    """Scenes in a folder, with the items that describe them."""

    def __init__(self, folder: Path, style: str = "pc") -> None:
        self.folder, self.style = folder, style
        self.items: list[dict[str, Any]] = []
        self.mirror = [f"{BLOB}={folder}", f"{BUCKET}={folder}"]
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        sensor: str,
        date: str,
        where: tuple[int, int, int],
        center: tuple[int, int],
        *,
        size: tuple[int, int] = (700, 600),
        tier: str = "T1",
        processed: str = "20210504",
        fill: slice | None = None,
        value: int | None = None,
        **properties: Any,
    ) -> dict[str, Any]:
        """Add a scene and its files.

        ``where`` is path, row and zone; ``center`` (x, y) in metres of the zone, about the middle
        of the files. ``fill`` are rows without data; ``value`` stands for all surface reflectance,
        which else differs from pixel to pixel; ``properties`` go into the item.
        """
        path, row, zone = where
        left = 15 + (center[0] // 30 - size[0] // 2) * 30
        top = 15 + (center[1] // 30 + size[1] // 2) * 30
        scene = f"{sensor}_L2SP_{path:03d}{row:03d}_{date[:10].replace('-', '')}"
        product = f"{scene}_{processed}_02_{tier}"
        item = self._item(scene, product, date, where, (left, top), size, tier)
        for name, told in properties.items():
            item["properties"][name.replace("__", ":")] = told
        self.items.append(item)
        for number, band in enumerate(BANDS):
            data = numbers_of(product, number, size) if value is None else np.full(
                size[::-1], value, np.uint16)  # fmt: skip
            if band == QA_BAND:
                data = np.full(size[::-1], CLEAR, np.uint16)
            if fill is not None:
                data[fill] = band == QA_BAND
            self.path(product, band).parent.mkdir(parents=True, exist_ok=True)
            self.path(product, band).write_bytes(
                write_scene(
                    data,
                    place=(0, 0),
                    size=size,
                    zone=zone,
                    corner=(left, top),
                    nodata=int(band == QA_BAND),
                )
            )
        return item

    def path(self, product: str, band: str) -> Path:
        return self.folder / "level-2" / product / f"{product}_{band}.TIF"

    def write_items(self) -> Path:
        path = self.folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        return path

    def write_plots(self, *points: tuple[float, float]) -> Path:
        """A list of plots 1, 2 ... at (lon, lat)."""
        path = self.folder / "plots.csv"
        lines = [f"p,{number},{lon},{lat}" for number, (lon, lat) in enumerate(points, 1)]
        path.write_text("\n".join(["project_id,plot_id,lon,lat", *lines, ""]))
        return path

    def read(
        self, product: str, band: str, window: tuple[int, int, int, int]
    ) -> npt.NDArray[np.uint16]:
        """Columns and rows (col, row, width, height) of a file as rasterio reads them."""
        with rasterio.open(self.path(product, band)) as source:
            data: npt.NDArray[np.uint16] = source.read(1, window=rasterio.windows.Window(*window))
        return data

    def _item(
        self,
        scene: str,
        product: str,
        date: str,
        where: tuple[int, int, int],
        corner: tuple[int, int],
        size: tuple[int, int],
        tier: str,
    ) -> dict[str, Any]:
        path, row, zone = where
        (left, top), (width, height) = corner, size
        xs = [left, left + 30 * width, left + 30 * width, left]
        ys = [top, top, top - 30 * height, top - 30 * height]
        lon, lat = transformer(f"EPSG:{32600 + zone}", DEGREES).transform(xs, ys)
        assets: dict[str, Any] = {}
        for band in BANDS:
            key = self.path(product, band).relative_to(self.folder).as_posix()
            assets[band] = {"href": f"{BLOB}/{key}"}
            if self.style == "usgs":
                assets[band] = {
                    "href": f"https://landsatlook.usgs.gov/data/collection02/{key}",
                    "alternate": {"s3": {"href": f"{BUCKET}/{key}"}},
                }
            elif self.style == "es":
                assets[band] = {"href": f"{BUCKET}/{key}"}
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"{product}_SR" if self.style == "usgs" else f"{scene}_02_{tier}",
            "collection": "landsat-c2l2-sr" if self.style == "usgs" else "landsat-c2-l2",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[*map(list, zip(lon, lat, strict=True)), [lon[0], lat[0]]]],
            },
            "bbox": [min(lon), min(lat), max(lon), max(lat)],
            "links": [],
            "properties": {
                "datetime": date,
                "platform": f"landsat-{int(scene[2:4])}",
                "landsat:wrs_path": f"{path:03d}",
                "landsat:wrs_row": f"{row:03d}",
                "landsat:collection_category": tier,
                "eo:cloud_cover": 1.5,
                "proj:epsg": 32600 + zone,
                "proj:shape": [height, width],
                "proj:transform": [30, 0, left, 0, -30, top],
            },
            "assets": assets,
        }


def numbers_of(product: str, band: int, size: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Valid digital numbers that differ from their neighbours, for each scene and band."""
    start = sum(map(ord, product)) * 31 + band * 977
    count = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size[::-1])
    return ((count * 40503 + start) % 36000 + 7300).astype(np.uint16)


@dataclass
class Blobs:
    """Planetary Computer's files and tokens, on loopback."""

    folder: Path
    life: float = 3600.0
    """Seconds that a token lives."""
    faults: list[int] = field(default_factory=list)
    """Statuses that the token service gives before it gives a token."""
    pages: frozenset[str] = frozenset()
    """Endings of files that are a page of HTML."""
    delay: float = 0.0
    """Seconds that each read takes."""
    skew: float = 0.0
    """Seconds by which tokens end before they say so."""
    port: int = 0
    tokens: int = 0
    keys: set[str | None] = field(default_factory=set)
    asked: Counter[int] = field(default_factory=Counter)
    """Reads by the status of their answer."""

    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.port}"
        return {"PC_SDK_SAS_URL": f"{url}/token", "TIMESYNC_XR_BLOB_URL": url}


SIGNATURE = "c2VjcmV0LXNpZ25hdHVyZQ"
"""What no file and no message may hold."""


@contextmanager
def serving_blobs(blobs: Blobs) -> Iterator[Blobs]:
    lock = threading.Lock()

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
            parts = urlsplit(self.path)
            if parts.path.startswith("/token/"):
                self.give_token(parts.path)
                return
            time.sleep(blobs.delay)
            status, body, *headers = self.answer(parts.path, parse_qs(parts.query))
            with lock:
                blobs.asked[status] += 1
            self.reply(status, body, *headers)

        do_HEAD = do_GET  # noqa: N815 - as http.server wants it

        def give_token(self, path: str) -> None:
            assert path == "/token/landsateuwest/landsat-c2"
            with lock:
                fault = blobs.faults.pop(0) if blobs.faults else 0
                blobs.tokens += not fault
                blobs.keys.add(self.headers.get("Ocp-Apim-Subscription-Key"))
            if fault:
                self.reply(fault, b"", ("Retry-After", "0"))
                return
            end = time.time() + blobs.life
            told = datetime.fromtimestamp(end, UTC).isoformat()
            token = f"se={end - blobs.skew:.3f}&sp=rl&sig={SIGNATURE}"
            self.reply(200, json.dumps({"msft:expiry": told, "token": token}).encode())

        def answer(self, path: str, query: dict[str, list[str]]) -> tuple[Any, ...]:
            if query.get("sig") != [SIGNATURE]:
                return 409, b"<Error><Code>PublicAccessNotPermitted</Code></Error>"
            if float(query["se"][0]) < time.time():
                return 403, b"<Error><Code>AuthenticationFailed</Code></Error>"
            file = blobs.folder / unquote(path).removeprefix("/landsat-c2/")
            if not file.is_file():
                return 404, b"<Error><Code>BlobNotFound</Code></Error>"
            body = file.read_bytes()
            if any(path.endswith(end) for end in blobs.pages):
                body = b"<html><body>This service is busy</body></html>" * 900
            start, _, stop = self.headers["range"].removeprefix("bytes=").partition("-")
            part = body[int(start) : int(stop) + 1]
            told = f"bytes {start}-{int(start) + len(part) - 1}/{len(body)}"
            seen = ("ETag", '"x"'), ("Last-Modified", "Wed, 01 Jul 2020 00:00:00 GMT")
            return 206, part, ("Content-Range", told), *seen

    with serving(Handler) as port:
        blobs.port = port
        yield blobs


@dataclass
class Paid:
    """USGS's bucket of scenes, where the requester pays, on loopback."""

    folder: Path
    denies: bool = False
    """Whether it opens to nobody."""
    port: int = 0
    refused: int = 0
    """Requests that it did not serve, such as those that did not agree to pay."""
    billed: list[str] = field(default_factory=list)
    """Keys of the requests that did."""

    @property
    def s3(self) -> S3:
        return S3(endpoint=f"http://127.0.0.1:{self.port}", retry_seconds=0)


@contextmanager
def serving_paid(paid: Paid) -> Iterator[Paid]:
    lock = threading.Lock()

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802 - as http.server wants it
            path = unquote(self.path.partition("?")[0])
            with lock:
                if paid.denies or self.headers.get("x-amz-request-payer") != "requester":
                    paid.refused += 1
                    self.reply(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return
                paid.billed.append(path.rpartition("/")[2])
            file = paid.folder / path.removeprefix("/usgs-landsat/collection02/")
            if not file.is_file():
                self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            body = file.read_bytes()
            start, _, stop = self.headers["range"].removeprefix("bytes=").partition("-")
            part = body[int(start) : int(stop) + 1]
            told = f"bytes {start}-{int(start) + len(part) - 1}/{len(body)}"
            self.reply(206, part, ("Content-Range", told), ("ETag", '"x"'))

    with serving(Handler) as port:
        paid.port = port
        yield paid
