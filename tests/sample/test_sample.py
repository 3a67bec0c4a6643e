"""The sample archive: what it promises is there, and rasterio reads it as meant."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.windows import Window

from timesync_xr.grid import REGIONS, ChipGrid, tiles_of
from timesync_xr.landsat import BANDS, QABit
from timesync_xr.sample import SamplePaths, make_sample

REGION = REGIONS["CU"]
Numbers = npt.NDArray[np.int64]
Item = dict[str, Any]

IN_ORBIT = {
    "LT04": (1982, 1993),
    "LT05": (1984, 2011),
    "LE07": (1999, 2023),
    "LC08": (2013, 2025),
    "LC09": (2021, 2025),
}


@pytest.fixture(scope="session")
def items(sample: SamplePaths) -> list[Item]:
    features: list[Item] = json.loads(sample.items.read_text())["features"]
    return features


@pytest.fixture(scope="session")
def plots(sample: SamplePaths) -> dict[str, ChipGrid]:
    with sample.plots.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["plot_id"]: ChipGrid.around(REGION, float(row["x"]), float(row["y"]), (255, 255))
        for row in rows
    }


def path(sample: SamplePaths, item: Item, band: str) -> Path:
    address: str = item["assets"][band]["alternate"]["s3"]["href"]
    return sample.folder / address.removeprefix("s3://usgs-landsat-ard/")


def tile(item: Item) -> tuple[int, int]:
    properties = item["properties"]
    return int(properties["landsat:grid_horizontal"]), int(properties["landsat:grid_vertical"])


def read(sample: SamplePaths, item: Item, band: str) -> Numbers:
    """The 136 or 192 pixels of a tile along the corner, where the valley lies."""
    h, v = tile(item)
    window = Window(
        0 if h == 20 else 5000 - 136,
        0 if v == 6 else 5000 - 136,
        192 if h == 20 else 136,
        192 if v == 6 else 136,
    )
    with rasterio.open(path(sample, item, band)) as source:
        return np.asarray(source.read(1, window=window), np.int64)


def series(sample: SamplePaths, items: list[Item], plot: ChipGrid) -> dict[str, Numbers]:
    """Seven digital numbers at the plot by sensor and date, where they are not fill and clear."""
    window = Window(plot.plot_col % 5000, plot.plot_row % 5000, 1, 1)
    found = {}
    for item in items:
        if tile(item) == tiles_of(plot)[0]:
            values = []
            for band in BANDS:
                with rasterio.open(path(sample, item, band)) as source:
                    values.append(int(source.read(1, window=window)[0, 0]))
            if values[-1] in (5440, 21824):
                found[f"{item['id'][15:23]} {item['id'][:4]}"] = np.array(values)
    return dict(sorted(found.items()))


def ratio(values: Numbers, first: int, second: int) -> float:
    reflectance = values * 0.0000275 - 0.2
    return float(
        (reflectance[first] - reflectance[second]) / (reflectance[first] + reflectance[second])
    )


def mean_of_years(found: dict[str, Numbers], bands: tuple[int, int], years: range) -> float:
    picked = [ratio(v, *bands) for k, v in found.items() if int(k[:4]) in years]
    return float(np.mean(picked))


NDVI, NBR = (3, 2), (3, 5)


@pytest.mark.deep
def test_it_is_the_same_each_time(sample: SamplePaths, tmp_path: Path) -> None:
    again = make_sample(tmp_path)
    names = {p.relative_to(sample.folder) for p in sample.folder.rglob("*") if p.is_file()}
    assert names == {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
    assert all((sample.folder / n).read_bytes() == (again.folder / n).read_bytes() for n in names)


def test_it_is_small(sample: SamplePaths) -> None:
    total = sum(p.stat().st_size for p in sample.folder.rglob("*") if p.is_file())
    assert 1e6 < total < 32e6


def test_every_item_has_its_files_and_every_file_its_item(
    sample: SamplePaths, items: list[Item]
) -> None:
    named = [path(sample, item, band) for item in items for band in BANDS]
    assert len(set(named)) == len(named)
    assert set(named) == set(sample.folder.rglob("*.TIF"))


def test_names_and_keys_are_those_of_the_bucket(items: list[Item]) -> None:
    assert len({item["id"] for item in items}) == len(items)
    folders = {"LT": "tm", "LE": "etm", "LC": "oli-tirs"}
    for item in items:
        sensor, region, place, day, _processed, collection, _sr = item["id"].split("_")
        assert (region, collection) == ("CU", "02")
        assert (int(place[:3]), int(place[3:])) == tile(item)
        assert item["properties"]["datetime"].startswith(f"{day[:4]}-{day[4:6]}-{day[6:]}T")
        name = item["id"].removesuffix("_SR")
        numbers = (2, 3, 4, 5, 6, 7) if sensor[:2] == "LC" else (1, 2, 3, 4, 5, 7)
        ends = [f"SR_B{n}.TIF" for n in numbers] + ["QA_PIXEL.TIF"]
        folder = f"{folders[sensor[:2]]}/{day[:4]}/CU/{place[:3]}/{place[3:]}/{name}"
        for band, end in zip(BANDS, ends, strict=True):
            key = f"collection02/{folder}/{name}_{end}"
            asset = item["assets"][band]
            assert asset["alternate"]["s3"]["href"] == f"s3://usgs-landsat-ard/{key}"
            assert asset["href"] == f"https://landsatlook.usgs.gov/tile/{key}"


def test_rasterio_reads_tiles_of_the_grid(sample: SamplePaths, items: list[Item]) -> None:
    for item in items[::17]:
        left, top = REGION.corner(tile(item))
        assert item["properties"]["proj:transform"] == [30, 0, left, 0, -30, top]
        for band in BANDS:
            with rasterio.open(path(sample, item, band)) as source:
                assert tuple(source.transform)[:6] == (30, 0, left, 0, -30, top)
                assert source.crs == rasterio.crs.CRS.from_wkt(REGION.crs)
                assert (source.shape, source.dtypes) == ((5000, 5000), ("uint16",))
                assert source.block_shapes == [(256, 256)]
                assert source.compression.value == "DEFLATE"
                assert source.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
                assert source.nodata == (1 if band == "qa_pixel" else 0)


@pytest.mark.parametrize(("band", "fill"), [("red", 0), ("qa_pixel", 1)])
def test_the_rest_of_a_tile_is_fill(
    sample: SamplePaths, items: list[Item], band: str, fill: int
) -> None:
    item = next(item for item in items if tile(item) == (19, 6))
    with rasterio.open(path(sample, item, band)) as source:
        whole = source.read(1)
    assert (whole[:192, -136:] != fill).any()
    whole[:192, -136:] = fill
    assert (whole == fill).all()


@pytest.mark.deep
def test_surface_reflectance_is_fill_where_quality_says_so(
    sample: SamplePaths, items: list[Item]
) -> None:
    for item in items[::5]:
        unseen = read(sample, item, "qa_pixel") & 1 == 1
        for band in BANDS[:-1]:
            values = read(sample, item, band)
            assert ((values == 0) == unseen).all()
            seen = values[~unseen]
            assert seen.min() >= 7273
            assert seen.max() <= 43636


MEANT = {
    "fill": (1, 1),
    "clear": (5440, 21824),
    "dilated cloud": (5442, 21762),
    "water": (5504, 21952),
    "shadow": (7440, 23888),
    "snow": (13600, 30048),
    "cloud": (5896, 22280),
    "cirrus": (54596, 54596),
}
"""QA_PIXEL of TM and ETM+, and of OLI, as they are met in the real archive (docs/data.md)."""


@pytest.mark.deep
def test_quality_is_told_in_the_values_of_each_sensor(
    sample: SamplePaths, items: list[Item]
) -> None:
    told: dict[bool, set[int]] = {True: set(), False: set()}
    for item in items:
        told[item["id"][:2] == "LC"] |= set(np.unique(read(sample, item, "qa_pixel")).tolist())
    assert told[True] == {new for _, new in MEANT.values()}
    assert told[False] == {old for old, _ in MEANT.values()} - {54596}, "no band for cirrus"


def test_bit_6_is_no_clear_flag(sample: SamplePaths, items: list[Item]) -> None:
    """On OLI it is set for shadow and snow, on TM and ETM+ for dilated cloud."""
    says = {name: [value >> QABit.CLEAR & 1 for value in pair] for name, pair in MEANT.items()}
    assert says["shadow"] == says["snow"] == says["water"] == [0, 1]
    assert says["dilated cloud"] == [1, 0]


def test_gaps_of_landsat_7_run_down_to_the_east(sample: SamplePaths, items: list[Item]) -> None:
    """The rows of a gap move south from column to column; edges of swaths stand across them."""
    found = []
    for item in items:
        if item["id"].startswith("LE07_CU_020006") and item["id"][15:23] > "20030531":
            unseen = read(sample, item, "qa_pixel") == 1
            left, right = unseen[:, 20], unseen[:, 80]
            shifts = [int((np.roll(left, shift) == right).sum()) for shift in range(-16, 17)]
            found.append(int(np.argmax(shifts)) - 16)
    assert len(found) > 3
    assert all(5 <= shift <= 14 for shift in found), "60 columns x 0.15, and gaps that widen"


@pytest.mark.deep
def test_clouds_are_bright_and_shadows_dark(sample: SamplePaths, items: list[Item]) -> None:
    cloudy = [i for i in items if 5 < i["properties"]["eo:cloud_cover"] < 50]
    quality = np.concatenate([read(sample, i, "qa_pixel").ravel() for i in cloudy])
    near = np.concatenate([read(sample, i, "nir08").ravel() for i in cloudy])
    red = np.concatenate([read(sample, i, "red").ravel() for i in cloudy])
    cloud, shadow, clear = quality & 8 > 0, quality & 16 > 0, quality & 0b11111111 == 64
    assert np.median(red[cloud]) > 1.2 * np.median(red[clear])
    assert np.median(near[shadow]) < 0.8 * np.median(near[clear])


def test_each_year_has_summers_to_choose_from_and_some_have_four_seasons(items: list[Item]) -> None:
    days = defaultdict(set)
    for item in items:
        sensor, day = item["id"][:4], item["id"][15:23]
        first, last = IN_ORBIT[sensor]
        assert first <= int(day[:4]) <= last
        days[int(day[:4])].add(day)
    assert sorted(days) == list(range(1984, 2026))
    assert all(sum("06" <= day[4:6] <= "09" for day in found) >= 2 for found in days.values())
    assert len(days[1996]) == 5, "around the fire"
    assert max(map(len, days.values())) == 8
    assert {item["id"][:4] for item in items} == set(IN_ORBIT)
    assert 120 <= sum(map(len, days.values())) <= 150


def test_times_have_six_or_seven_decimals_and_differ_within_a_pass(items: list[Item]) -> None:
    decimals = [len(item["properties"]["datetime"].split(".")[1]) - 1 for item in items]
    assert set(decimals) == {6, 7}
    assert 0.6 < decimals.count(6) / len(decimals) < 0.9
    times: dict[Any, dict[tuple[int, int], datetime]] = defaultdict(dict)
    for item in items:
        moment = datetime.fromisoformat(item["properties"]["datetime"][:19])
        times[item["id"][:4], moment.date()][tile(item)] = moment
    for found in times.values():
        apart = (max(found.values()) - min(found.values())).total_seconds()
        assert len(set(found.values())) == len(found)
        assert apart < 60


def test_one_tile_is_missing_and_one_was_processed_twice(items: list[Item]) -> None:
    by_pass = defaultdict(list)
    for item in items:
        by_pass[item["id"][:4], item["id"][15:23]].append(tile(item))
    assert set(by_pass["LT05", "19890806"]) == {(20, 5), (19, 6), (20, 6)}
    doubled = [(key, t) for key, tiles in by_pass.items() for t in set(tiles) if tiles.count(t) > 1]
    assert doubled == [(("LC08", "20150729"), (20, 6))]


def test_the_later_processing_differs_slightly(sample: SamplePaths, items: list[Item]) -> None:
    earlier, later = sorted(
        (i for i in items if i["id"].startswith("LC08_CU_020006_20150729")), key=lambda i: i["id"]
    )
    change = read(sample, later, "red") - read(sample, earlier, "red")
    assert 0 < np.abs(change).max() < 500
    assert (read(sample, later, "qa_pixel") == read(sample, earlier, "qa_pixel")).all()


def test_two_platforms_come_on_one_day(items: list[Item]) -> None:
    platforms = defaultdict(set)
    for item in items:
        platforms[item["id"][15:23]].add(item["id"][:4])
    assert [v for v in platforms.values() if len(v) > 1] == [{"LC09", "LE07"}]


def test_landsat_7_has_gaps_since_its_failure(sample: SamplePaths, items: list[Item]) -> None:
    before: list[float] = []
    since: list[float] = []
    for item in items:
        if item["id"].startswith("LE07_CU_020006"):
            fill = float((read(sample, item, "qa_pixel") == 1).mean())
            (before if item["id"][15:23] < "20030531" else since).append(fill)
    assert max(before) == 0
    assert min(since) > 0.15
    assert max(since) < 0.4


def test_plots_lie_at_the_corner_and_in_several_tiles(plots: dict[str, ChipGrid]) -> None:
    assert tiles_of(plots["1"])[0] == (20, 6)
    assert set(tiles_of(plots["1"])) == {(19, 5), (20, 5), (19, 6), (20, 6)}
    assert {tiles_of(plot)[0] for plot in plots.values()} == {(20, 6), (19, 6), (20, 5)}
    assert REGION.pixel(*REGION.corner((20, 6))) == (plots["1"].plot_col, plots["1"].plot_row)
    assert not all(name.isdigit() for name in plots)


def test_chips_are_filled_to_their_edges(
    sample: SamplePaths, items: list[Item], plots: dict[str, ChipGrid]
) -> None:
    """On a day of full swath and all tiles no chip reaches beyond the land that was made."""
    edges = {t: REGION.corner(t) for t in ((19, 5), (20, 6))}
    for item in items:
        if item["id"][15:23] == "19840808":
            assert (read(sample, item, "qa_pixel") != 1).all()
    west = edges[20, 6][0] - 136 * 30
    for plot in plots.values():
        left, bottom, right, top = plot.bounds
        assert west <= left < right <= west + 328 * 30
        assert edges[20, 6][1] - 192 * 30 <= bottom < top <= edges[20, 6][1] + 136 * 30


@pytest.mark.deep
def test_plots_are_fill_on_some_dates(
    sample: SamplePaths, items: list[Item], plots: dict[str, ChipGrid]
) -> None:
    for plot in plots.values():
        window = Window(plot.plot_col % 5000, plot.plot_row % 5000, 1, 1)
        seen = []
        for item in items:
            if tile(item) == tiles_of(plot)[0]:
                with rasterio.open(path(sample, item, "qa_pixel")) as source:
                    seen.append(source.read(1, window=window)[0, 0] != 1)
        assert 0.7 < np.mean(seen) < 1


@pytest.mark.deep
def test_the_fire_shows_and_the_forest_comes_back(
    sample: SamplePaths, items: list[Item], plots: dict[str, ChipGrid]
) -> None:
    found = series(sample, items, plots["2"])
    before = mean_of_years(found, NBR, range(1984, 1996))
    since = {day: values for day, values in found.items() if day > "19960719"}
    assert len(since) < len(found) - 12
    assert mean_of_years(since, NBR, range(1996, 1997)) < 0 < before - 0.3
    assert mean_of_years(found, NBR, range(1997, 2001)) < before - 0.2
    assert mean_of_years(found, NBR, range(2001, 2006)) < before - 0.05
    assert mean_of_years(found, NBR, range(2019, 2022)) > before - 0.1


@pytest.mark.deep
def test_the_cut_forest_comes_back(
    sample: SamplePaths, items: list[Item], plots: dict[str, ChipGrid]
) -> None:
    found = series(sample, items, plots["5"])
    before = mean_of_years(found, NBR, range(1984, 2008))
    assert mean_of_years(found, NBR, range(2008, 2009)) < before - 0.4
    assert mean_of_years(found, NBR, range(2021, 2026)) > before - 0.15


@pytest.mark.deep
def test_the_town_grows_slowly(
    sample: SamplePaths, items: list[Item], plots: dict[str, ChipGrid]
) -> None:
    found = series(sample, items, plots["3"])
    swing = [
        np.ptp([ratio(v, *NDVI) for k, v in found.items() if int(k[:4]) in years])
        for years in (range(1984, 1994), range(2006, 2026))
    ]
    assert swing[0] > 0.5
    assert swing[1] < 0.25


@pytest.mark.deep
def test_the_crop_follows_the_season(
    sample: SamplePaths, items: list[Item], plots: dict[str, ChipGrid]
) -> None:
    found = series(sample, items, plots["4"])
    summer = [ratio(v, *NDVI) for k, v in found.items() if k[4:6] in ("07", "08")]
    autumn = [ratio(v, *NDVI) for k, v in found.items() if k[4:6] == "10"]
    assert max(summer) > 0.8
    assert max(autumn) < 0.5
