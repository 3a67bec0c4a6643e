"""The sample of scenes on disk: the valley at three places of the Earth, in zones of UTM.

Each site lies near the border of two zones and is seen from two paths, of which one is in the other
zone. Rows of a path overlap: the border between two rows runs through the valley. Files begin
elsewhere, and are of another size, on each date.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..grid import DEGREES, UTM, transformer, utm_lattice
from ..landsat import BANDS, FILL, PIXEL, QA_BAND, QA_FILL
from .archive import FOLDERS, SEED, Numbers, SamplePaths, asset_suffix, clock
from .cog import write_scene
from .items import cover
from .passes import passes
from .scene import BEFORE, SIZE, make_valley
from .sky import Pass, observe

BLOB: Final = "https://landsateuwest.blob.core.windows.net/landsat-c2"
"""What the addresses start with; ``--mirror`` puts the sample's folder in its place."""

EDGE: Final = 2600
"""Pixels of a file along an edge, about; real ones have some 7,700."""


@dataclass(frozen=True)
class Site:
    """Where the valley lies once more."""

    project: str
    """Project of its plots."""
    lon: float
    """Longitude of the middle of the valley."""
    lat: float
    """Latitude of it."""
    paths: tuple[tuple[int, int], ...]
    """Paths that see it, each with its zone of UTM."""
    rows: tuple[int, int]
    """The two rows of each path that hold parts of it."""
    step: int
    """Of so many passes one is there."""


SITES: Final = (
    Site("wisconsin", -90.03, 44.70, ((25, 15), (24, 16)), (29, 30), 3),
    Site("jura", 6.04, 46.60, ((195, 32), (196, 31)), (27, 28), 2),
    Site("cape", 18.03, -33.40, ((175, 34), (176, 33)), (83, 84), 5),
)
"""In the United States, elsewhere in the north, and in the south."""

PLOTS: Final = (
    ("1", -4, 62, "forest, burnt in July 1996"),
    ("2", 62, -5, "fields, built over by the town from about 1995"),
    ("3", 60, 60, "forest, clear-cut in January 2008"),
)
"""Plot, pixels east and south of the middle, note."""


def make_scenes(root: Path) -> SamplePaths:
    """Write the archive of scenes and tell where it is; see `make_sample`."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    valley = make_valley(rng)
    flights = list(passes(rng))
    items: list[dict[str, Any]] = []
    for place, site in enumerate(SITES):
        for number, flight in list(enumerate(flights))[place :: site.step]:
            seen = observe(valley, flight, np.random.default_rng([SEED, place, number]))
            items += _write_pass(root, site, flight, number, seen)
    paths = SamplePaths(root, root / "items.json", root / "plots.csv", BLOB)
    collection = {"type": "FeatureCollection", "features": items[::-1]}
    paths.items.write_text(json.dumps(collection, separators=(",", ":")), encoding="utf-8")
    _write_plots(paths.plots)
    return paths


def _write_pass(
    root: Path, site: Site, flight: Pass, number: int, seen: Numbers
) -> Iterator[dict[str, Any]]:
    """Write the rows of a pass and yield their items."""
    path, zone = site.paths[number % len(site.paths)]
    pixels, col, row = _in_zone(site, seen, zone)
    for later, wrs_row in enumerate(site.rows):
        part = _of_row(pixels, later, number)
        if (part[-1] == QA_FILL).all():
            continue
        yield _write_row(root, flight, (path, wrs_row, zone), part, (col, row), number, later)


def _in_zone(site: Site, seen: Numbers, zone: int) -> tuple[Numbers, int, int]:
    """The valley in the pixels of a zone, and the column and row of the first of them."""
    own, x, y = UTM.local(*UTM.from_degrees(site.lon, site.lat))
    middle = own.pixel(x, y)
    lattice = utm_lattice(zone)
    if lattice == own:
        return seen, middle[0] - BEFORE, middle[1] - BEFORE
    there = lattice.pixel(*transformer(own.crs, lattice.crs).transform(*own.center(*middle)))
    around = np.arange(-BEFORE - 30, SIZE - BEFORE + 30)
    centres = [lattice.center(there[0] + n, there[1] + n) for n in around.tolist()]
    xs, ys = np.meshgrid([x for x, _ in centres], [y for _, y in centres])
    back_x, back_y = transformer(lattice.crs, own.crs).transform(xs, ys)
    u = np.floor((back_x - own.left) / PIXEL).astype(int) - middle[0] + BEFORE
    v = np.floor((own.top - back_y) / PIXEL).astype(int) - middle[1] + BEFORE
    held = (u >= 0) & (u < SIZE) & (v >= 0) & (v < SIZE)
    pixels = np.zeros((len(BANDS), *u.shape), np.uint16)
    pixels[-1] = QA_FILL
    pixels[:, held] = seen[:, v[held], u[held]]
    return pixels, there[0] - BEFORE - 30, there[1] - BEFORE - 30


def _of_row(pixels: Numbers, later: int, number: int) -> Numbers:
    """What a row of the path sees of the valley: rows overlap, their border runs askew."""
    v, u = np.mgrid[: pixels.shape[1], : pixels.shape[2]]
    border = pixels.shape[1] / 2 + 0.2 * (u - pixels.shape[2] / 2) + number % 5 * 12
    unseen = v > border + 45 if later == 0 else v < border - 45
    part = pixels.copy()
    part[:-1, unseen], part[-1, unseen] = FILL, QA_FILL
    return part


def _write_row(
    root: Path,
    flight: Pass,
    where: tuple[int, int, int],
    part: Numbers,
    first: tuple[int, int],
    number: int,
    later: int,
) -> dict[str, Any]:
    """Write the seven files of a scene and return its item."""
    path, row, zone = where
    width, height = EDGE + number * 37 % 120, EDGE + number * 53 % 140
    inside = 900 + number * 17 % 300, (EDGE - 700 if later == 0 else 300) + number * 29 % 90
    lattice = utm_lattice(zone)
    left = lattice.left + PIXEL * (first[0] - inside[0])
    top = lattice.top - PIXEL * (first[1] - inside[1])
    day, processed = flight.day, flight.day + timedelta(days=15)
    correction = "L2SP"
    scene = f"{flight.sensor}_{correction}_{path:03d}{row:03d}_{day:%Y%m%d}"
    product = f"{scene}_{processed:%Y%m%d}_02_T1"
    key = f"level-2/standard/{FOLDERS[flight.sensor[:2]]}/{day.year}/{path:03d}/{row:03d}/{product}"
    (root / key).mkdir(parents=True, exist_ok=True)
    keys = {}
    for band, pixels in zip(BANDS, part, strict=True):
        keys[band] = f"{key}/{product}_{asset_suffix(flight.sensor, band)}.TIF"
        nodata = QA_FILL if band == QA_BAND else FILL
        content = write_scene(
            pixels, place=inside, size=(width, height), zone=zone, corner=(left, top), nodata=nodata
        )
        (root / keys[band]).write_bytes(content)
    time = clock(flight, 24 * later)
    return _item(flight, f"{scene}_02_T1", where, (left, top, width, height), keys, time, part[-1])


def _item(
    flight: Pass,
    name: str,
    where: tuple[int, int, int],
    place: tuple[int, int, int, int],
    keys: dict[str, str],
    time: str,
    quality: Numbers,
) -> dict[str, Any]:
    """The item of a scene as Planetary Computer tells it."""
    path, row, zone = where
    left, top, width, height = place
    right, bottom = left + PIXEL * width, top - PIXEL * height
    xs, ys = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
    lons, lats = transformer(utm_lattice(zone).crs, DEGREES).transform(xs, ys)
    outline = [[round(lon, 6), round(lat, 6)] for lon, lat in zip(lons, lats, strict=True)]
    lon, lat = zip(*outline, strict=True)
    share = cover(quality)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
            "https://landsat.usgs.gov/stac/landsat-extension/v1.1.1/schema.json",
        ],
        "id": name,
        "collection": "landsat-c2-l2",
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
        "geometry": {"type": "Polygon", "coordinates": [outline]},
        "properties": {
            "datetime": time,
            "platform": f"landsat-{int(flight.sensor[2:])}",
            "eo:cloud_cover": share["eo:cloud_cover"],
            "landsat:wrs_type": "2",
            "landsat:wrs_path": f"{path:03d}",
            "landsat:wrs_row": f"{row:03d}",
            "landsat:collection_category": "T1",
            "landsat:collection_number": "02",
            "landsat:correction": "L2SP",
            "proj:epsg": 32600 + zone,
            "proj:shape": [height, width],
            "proj:transform": [PIXEL, 0, left, 0, -PIXEL, top],
        },
        "assets": {
            band: {
                "title": band,
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "href": f"{BLOB}/{key}",
            }
            for band, key in keys.items()
        },
        "links": [],
    }


def _write_plots(path: Path) -> None:
    """Write the plot list; plots are given in degrees, as they come, off the centres of pixels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("project_id", "plot_id", "lon", "lat", "note"))
        for site in SITES:
            own, x, y = UTM.local(*UTM.from_degrees(site.lon, site.lat))
            col, row = own.pixel(x, y)
            for plot, u, v, note in PLOTS:
                x, y = own.center(col + u, row + v)
                lon, lat = transformer(own.crs, DEGREES).transform(x + 4, y - 7)
                rows.writerow((site.project, plot, round(lon, 6), round(lat, 6), note))
