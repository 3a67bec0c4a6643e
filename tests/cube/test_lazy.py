"""What a lazy cube reads, counted where bytes come in, and that each selection is the right one."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window, intersect

import timesync_xr as tx
from tests.archive import SmallArchive
from tests.scenes import BLOB, SceneArchive
from tests.strategies import items_table
from timesync_xr import Archive
from timesync_xr.catalog.search import search_items
from timesync_xr.cube.array import BATCH, Look, begin_pixels, read_pixels
from timesync_xr.cube.plan import merge_records, plan_observations
from timesync_xr.errors import InputError, ReadError, ReadWarning
from timesync_xr.grid import REGIONS, ChipGrid, tiles_of, transformer
from timesync_xr.landsat import BANDS, QA_BAND, SR_BANDS
from timesync_xr.raster import reader
from timesync_xr.raster.reader import Reading
from timesync_xr.sample import SamplePaths
from timesync_xr.spectral import indices
from timesync_xr.storage import objects


@dataclass
class Door:
    """Counts what comes in."""

    calls: list[tuple[str, int]] = field(default_factory=list)

    def count(self, do: Callable[[], Any]) -> tuple[int, int]:
        """Reads and bytes that something takes, nothing being known before."""
        reader.reset()
        self.calls.clear()
        do()
        return len(self.calls), sum(size for _, size in self.calls)

    def files(self) -> set[str]:
        return {address for address, _ in self.calls}


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door, read = Door(), objects._read

    def counted(address: str, *args: Any, **options: Any) -> Any:
        found, versions = read(address, *args, **options)
        door.calls.append((address, sum(map(len, found))))
        return found, versions

    monkeypatch.setattr(objects, "_read", counted)
    yield door
    reader.reset()


SIZE = 121
"""Width and height of the chips."""

PLACES = {"four tiles": (0, 0), "one tile": (90, 90)}
"""Pixels east and south of the sample's plot at the corner of four tiles."""


@pytest.fixture(params=[pytest.param("four tiles", marks=pytest.mark.deep), "one tile"])
def place(sample: SamplePaths, request: pytest.FixtureRequest) -> tuple[float, float]:
    first = tx.read_plots(sample.plots).iloc[0]
    east, south = PLACES[request.param]
    return first["x"] + 30 * east, first["y"] - 30 * south


def cube_of(
    sample: SamplePaths, place: Any, chunks: int | None = 8, **options: Any
) -> xr.DataArray:
    mirror = f"s3://usgs-landsat-ard={sample.folder}"
    settings = {"chip_size": SIZE, "datetime": "1984/1990", "chunks": chunks, **options}
    return tx.chips_for_plot(place, tx.Archive(sample.items, mirror=mirror), **settings)


@pytest.fixture(params=[8, None], ids=["dask", "without dask"])
def cube(
    sample: SamplePaths, place: tuple[float, float], request: pytest.FixtureRequest
) -> xr.DataArray:
    return cube_of(sample, place, request.param)


def needed(sample: SamplePaths, part: xr.DataArray, size: int = SIZE) -> tuple[int, int]:
    """Reads and bytes of the blocks that some pixels around the plot lie in, by GDAL.

    ``part`` holds the observations and bands.
    """
    items = {i["id"]: i for i in json.loads(sample.items.read_text())["features"]}
    half, (x, y) = 30 * size / 2, (part.attrs["plot_x"], part.attrs["plot_y"])
    reads = total = 0
    for item_id in " ".join(np.atleast_1d(part["item_ids"]).tolist()).split():
        for band in np.atleast_1d(part["band"]).tolist():
            href = items[item_id]["assets"][band]["alternate"]["s3"]["href"]
            path = sample.folder / href.removeprefix("s3://usgs-landsat-ard/")
            with rasterio.open(path) as file:
                window = file.window(x - half, y - half, x + half, y + half)
                whole = Window(0, 0, file.width, file.height)
                if not intersect([window, whole]):
                    continue
                blocks = [
                    int(file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1) or 0)
                    for (row, col), block in file.block_windows(1)
                    if intersect([window, block])
                ]
            reads += 1 + any(blocks)
            total += min(16384, path.stat().st_size) + sum(blocks)
    return reads, total


SELECTIONS: dict[str, tuple[Callable[[xr.DataArray], Any], dict[str, Any], int]] = {
    "one observation": (lambda c: c.isel(time=3).compute(), {"time": 3}, SIZE),
    "one band": (lambda c: c.sel(band="red").compute(), {"band": 2}, SIZE),
    "two bands, far apart": (lambda c: c.isel(band=[5, 0]).compute(), {"band": [0, 5]}, SIZE),
    "a chain": (
        lambda c: c.isel(time=slice(2, 9)).sel(band="red").isel(time=[4, 1]).compute(),
        {"time": [3, 6], "band": 2},
        SIZE,
    ),
    "a plot pixel": (lambda c: tx.plot_pixel(c).compute(), {}, 1),
    "a plot pixel of a chain": (
        lambda c: tx.plot_pixel(c.sel(band=["red", "blue"])[::-5]).compute(),
        {"time": slice(None, None, -5), "band": [0, 2]},
        1,
    ),
    "a table": (lambda c: tx.spectral_table(c, "p", "1"), {}, 1),
    "a window": (tx.window_statistics, {}, 3),
    "all": (lambda c: c.compute(), {}, SIZE),
    "no band": (lambda c: c.isel(band=slice(0)).compute(), {"band": slice(0)}, SIZE),
}
"""What is done, the part of the cube that it needs, and how many pixels around the plot."""


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.cases(1)
def test_what_is_read_is_what_is_looked_at(
    sample: SamplePaths, cube: xr.DataArray, door: Door, name: str
) -> None:
    do, part, size = SELECTIONS[name]
    assert door.count(lambda: do(cube)) == needed(sample, cube.isel(part), size)


@pytest.mark.deep
@pytest.mark.parametrize("grid", ["CU", "utm"])
def test_scenes_on_any_grid_are_read_by_the_blocks_that_hold_their_pixels(
    tmp_path: Path, door: Door, grid: str
) -> None:
    """Not those of the window around them, which a turned chip does not fill; by pyproj and GDAL.

    The places lie where the grid of ARD is turned most, so that corners of the window are empty.
    """
    scenes, read, total = SceneArchive(tmp_path), 0, 0
    for n, (lon, zone) in enumerate(((-122.6, 10), (-69.5, 19))):
        center = transformer("EPSG:4326", f"EPSG:{32600 + zone}").transform(lon, 45.1)
        scenes.add("LC08", f"2020-07-0{n + 1}T10:10:00Z", (40 + n, 30, zone),
                   (int(center[0]), int(center[1])), size=(1800, 1700))  # fmt: skip
    for item, lon in zip(scenes.items, (-122.6, -69.5), strict=True):
        place = REGIONS["CU"].from_degrees(lon, 45.1) if grid == "CU" else (lon, 45.1)
        cube = tx.chips_for_plot(place, tx.Archive([item], mirror=scenes.mirror), grid=grid)
        red = cube.sel(band="red")
        count, size = door.count(red.compute)
        x, y = np.meshgrid(red["x"], red["y"])
        crs = f"EPSG:{item['properties']['proj:epsg']}"
        east, north = transformer(str(red.rio.crs), crs).transform(x, y)
        path = scenes.folder / item["assets"]["red"]["href"].removeprefix(f"{BLOB}/")
        with rasterio.open(path) as file:
            found = rasterio.transform.rowcol(file.transform, east.ravel(), north.ravel())
            rows, cols = (np.asarray(a, dtype=int) for a in found)
            down, across = file.block_shapes[0]
            blocks = {(r // down, c // across) for r, c in zip(rows, cols, strict=True)}
            sizes = [
                int(file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1) or 0)
                for row, col in blocks
            ]
        assert (count, size) == (2, min(16384, path.stat().st_size) + sum(sizes))
        box = (np.ptp(rows // down) + 1) * (np.ptp(cols // across) + 1)
        read, total = read + len(blocks), total + int(box)
    assert read < total or grid == "utm"


COMPOSED: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "a composite": lambda c: tx.composite_rgb(c, "tc"),
    "an index": lambda c: indices.ndvi(tx.to_collection1(c.sel(band=list(SR_BANDS)))),
    "a tasseled cap": lambda c: tx.tasseled_cap(tx.to_collection1(c)).isel(component=0),
    "a mask": lambda c: tx.is_clear(c.sel(band=QA_BAND)),
    "a masked index": lambda c: indices.nbr(tx.to_collection1(c)).where(
        tx.is_clear(c.sel(band=QA_BAND))
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.cases(1)
def test_one_step_of_what_is_composed_reads_one_observation(
    sample: SamplePaths, cube: xr.DataArray, door: Door, name: str
) -> None:
    composed: list[xr.DataArray] = []
    assert door.count(lambda: composed.append(COMPOSED[name](cube))) == (0, 0)
    _, most = needed(sample, cube.isel(time=3))
    assert 0 < door.count(lambda: composed[0].isel(time=3).compute())[1] <= 1.2 * most
    alone = COMPOSED[name](cube.isel(time=slice(3, 4)).compute()).isel(time=0)
    xr.testing.assert_identical(composed[0].isel(time=3).compute(), alone)


@pytest.mark.cases(1)
def test_computing_all_that_is_composed_reads_nothing_twice(
    sample: SamplePaths, cube: xr.DataArray, door: Door
) -> None:
    whole = needed(sample, cube.sel(band=list(SR_BANDS)))
    assert door.count(lambda: tx.composite_rgb(cube, "b743").compute()) == whole
    some = needed(sample, cube.sel(band=list(SR_BANDS))[[1, 7, 8]])
    assert door.count(tx.composite_rgb(cube, "b743")[[8, 1, 7]].compute) == some


@pytest.mark.deep
def test_what_is_composed_is_computed_in_other_processes(sample: SamplePaths) -> None:
    cube = cube_of(sample, tx.read_plots(sample.plots).iloc[0], chip_size=9)
    composed = tx.composite_rgb(cube, "tc")
    with dask.config.set(scheduler="processes", num_workers=1):
        found = composed.compute()
    xr.testing.assert_identical(found, tx.composite_rgb(cube.compute(), "tc"))


@pytest.mark.parametrize("formats", ["png,csv", "csv"])
@pytest.mark.cases(1)
def test_a_run_reads_the_same(
    sample: SamplePaths, door: Door, tmp_path: Path, formats: str
) -> None:
    """The plot pixel's QA first, and then of what is not fill there all, or the pixel alone."""
    first = tx.read_plots(sample.plots).iloc[[0]]
    first.to_csv(tmp_path / "plots.csv", index=False)
    mirror = f"s3://usgs-landsat-ard={sample.folder}"
    archive, select = tx.Archive(sample.items, mirror=mirror), tx.Selection("1984/2005")
    products = tx.Products(formats, chip_size=SIZE)
    plots, out = tmp_path / "plots.csv", tmp_path / "out"
    door.count(lambda: tx.extract(plots, out, archive, select, products, progress=False))
    run = list(door.calls)
    lazy = cube_of(sample, first.iloc[0], datetime="1984/2005")
    at_plot = tx.plot_pixel(lazy).sel(band=QA_BAND).compute()
    good = (at_plot % 2 == 0).to_numpy()
    assert not good.all()
    reader.reset()
    door.calls.clear()
    tx.plot_pixel(lazy).sel(band=QA_BAND).compute()
    chips = lazy.isel(time=good)
    (chips if "png" in formats else tx.plot_pixel(chips)).compute()
    assert sorted(run) == sorted(door.calls)


# The right pixels


@pytest.fixture(scope="module")
def whole(sample: SamplePaths) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """The lazy cube of chips of 15 x 11 on four tiles, the same by dask, and in memory."""
    first = tx.read_plots(sample.plots).iloc[0]
    cubes = [cube_of(sample, first, chunks, chip_size=(15, 11)) for chunks in (None, 4)]
    return cubes[0], cubes[1], cubes[0].compute()


def axis_keys(length: int) -> st.SearchStrategy[Any]:
    """Keys of one axis: whole numbers, slices of any step, lists in any order, masks."""
    places = st.integers(-length, length - 1)
    return st.one_of(
        places,
        st.slices(length),
        st.lists(places, max_size=6).map(lambda n: np.array(n, dtype=int)),
        st.lists(st.booleans(), min_size=length, max_size=length).map(np.array),
    )


@st.composite
def chains(draw: st.DrawFn, shape: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Outer keys, each for what the one before has left."""
    keys, left = [], np.empty(shape, dtype=bool)
    for _ in range(draw(st.integers(1, 3))):
        if not all(left.shape):
            break
        key = tuple(draw(axis_keys(n)) for n in left.shape)
        keys.append(key)
        left = outer(left, key)
    return keys


def outer(values: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    """A selection axis by axis, by numpy."""
    for axis in reversed(range(len(key))):
        values = values[(slice(None),) * axis + (key[axis],)]
    return values


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("kind", [0, 1], ids=["without dask", "dask"])
@pytest.mark.deep
def test_any_chain_of_selections_is_that_of_the_whole(
    whole: tuple[xr.DataArray, ...], data: st.DataObject, kind: int
) -> None:
    found, expected = whole[kind].variable, whole[2].to_numpy()
    for key in data.draw(chains(expected.shape)):
        found, expected = found[key], outer(expected, key)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.to_numpy(), expected)


@pytest.mark.deep
def test_selections_by_points_and_transposed_cubes(whole: tuple[xr.DataArray, ...]) -> None:
    rows, columns = xr.DataArray([3, 0, 9], dims="p"), xr.DataArray([14, 2, 2], dims="p")
    expected = whole[2].isel(y=rows, x=columns)
    for lazy in whole[:2]:
        xr.testing.assert_identical(lazy.isel(y=rows, x=columns).compute(), expected)
        turned = lazy.transpose("x", "time", "y", "band").isel(x=3, time=slice(2, 4))
        xr.testing.assert_identical(
            turned.compute(), whole[2].transpose("x", "time", "y", "band").isel(x=3, time=[2, 3])
        )


def test_lazy_cubes_pickle_copy_and_change_like_any_other(whole: tuple[xr.DataArray, ...]) -> None:
    for lazy in whole[:2]:
        for same in (pickle.loads(pickle.dumps(lazy)), lazy.copy(), lazy[...]):
            xr.testing.assert_identical(same[1:3].compute(), whole[2][1:3])
    changed = whole[1].data.copy()
    changed = whole[1].data[:]
    changed[:, 2] = 7
    assert (changed[1, 2].compute() == 7).all()
    assert (changed[1, 1].compute() == whole[2].to_numpy()[1, 1]).all()


def test_graph_of_many_observations_is_small() -> None:
    days = pd.date_range("1990-01-01", periods=1500, freq="8D")
    items = items_table(*({"date": f"{day:%Y-%m-%d}T18:30:00Z"} for day in days))
    place = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
    cube = tx.chips_for_plot(place, tx.Archive(items))
    assert cube.shape == (1500, 7, 255, 255)
    assert len(dict(cube.data.dask)) <= 500
    assert dict(cube.sel(band="red").isel(time=slice(9)).chunksizes)["time"] == (8, 1)


# Observations of several records


def records_of(archive: SmallArchive, grid: ChipGrid) -> Any:
    made = Archive(archive.write_items(), mirror=archive.mirror)
    items, reading = search_items(tiles_of(grid), made), Reading(made.access)
    return plan_observations(items, grid), reading


def test_records_that_overlap_are_merged_as_merge_records_does(tmp_path: Path) -> None:
    """Two records of one tile, as scenes may overlap: the first is fill in places."""
    archive = SmallArchive(tmp_path)
    archive.add("LC08", "2020-07-01T18:30:00.5Z", values={"qa_pixel": 1, "blue": 0, "red": 0})
    archive.add("LC08", "2020-07-02T18:30:00.5Z")
    grid = ChipGrid(REGIONS["CU"], 3 * 5000 + 2500, 9 * 5000 + 2500, 5, 3)
    plan, reading = records_of(archive, grid)
    apart = read_pixels(plan.records_of_each(), Look.at_chip(grid), reading)
    both = replace(
        plan, records=plan.records.assign(observation=0), observations=plan.observations[:1]
    )
    expected = merge_records(apart, [0])
    assert (expected[0] != apart[0]).any()
    for bands in (BANDS, ("green", "blue"), (QA_BAND,)):
        found = read_pixels(both.records_of_each(), Look.at_chip(grid, bands), reading)
        np.testing.assert_array_equal(found, expected[:, [BANDS.index(b) for b in bands]])


@pytest.mark.parametrize("qa", [1, 3, 21824, 0])
@pytest.mark.cases(1)
def test_records_beside_each_other_are_what_merging_makes_of_them(tmp_path: Path, qa: int) -> None:
    """Also where QA_PIXEL says fill, but has other bits, too."""
    archive = SmallArchive(tmp_path)
    nothing = dict.fromkeys(SR_BANDS, 0)
    for tile, values in (((3, 9), nothing | {QA_BAND: qa}), ((4, 9), {}), ((3, 10), {QA_BAND: 3})):
        archive.add("LC08", "2020-07-01T18:30:00.5Z", tile, values=values)
    grid = ChipGrid(REGIONS["CU"], 4 * 5000, 10 * 5000, 5, 3)
    with pytest.warns(UserWarning, match="there is no item of h04v10"):
        plan, reading = records_of(archive, grid)
    look = Look.at_chip(grid)
    ((*records,),) = plan.records_of_each()
    alone = [read_pixels([[record]], look, reading) for record in records]
    for order in permutations(range(3)):
        merged = merge_records(np.concatenate([alone[n] for n in order]), [0])
        found = read_pixels([[records[n] for n in order]], look, reading)
        np.testing.assert_array_equal(found, merged)


@pytest.mark.deep
def test_many_observations_are_read_in_batches(
    sample: SamplePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tx.read_plots(sample.plots).iloc[0]
    lazy = cube_of(sample, first, None, chip_size=9, datetime=None)
    assert lazy.sizes["time"] > BATCH
    begun: list[int] = []

    def noted(observations: Any, *args: Any, **options: Any) -> Any:
        begun.append(len(observations))
        return begin_pixels(observations, *args, **options)

    monkeypatch.setattr("timesync_xr.cube.array.begin_pixels", noted)
    found = lazy.compute()
    assert len(begun) > 1
    assert max(begun) == BATCH
    for n in (0, BATCH, lazy.sizes["time"] - 1):
        xr.testing.assert_identical(found[n], lazy[n].compute())


# What can't be read


def broken(tmp_path: Path) -> SmallArchive:
    archive = SmallArchive(tmp_path)
    for day in range(1, 4):
        archive.add("LC08", f"2020-07-0{day}T18:30:00.5Z", without="red" if day == 2 else "")
    return archive


@pytest.mark.parametrize("chunks", [8, None])
@pytest.mark.deep
def test_an_asset_that_can_not_be_read_is_skipped_on_request(
    tmp_path: Path, chunks: int | None
) -> None:
    archive, place = broken(tmp_path), REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
    made = tx.Archive(archive.write_items(), mirror=archive.mirror)
    options: dict[str, Any] = {"chip_size": 5, "chunks": chunks}
    strict = tx.chips_for_plot(place, made, **options)
    with pytest.raises(ReadError, match="20200702"):
        strict.compute()
    lenient = tx.chips_for_plot(place, made, errors="skip", **options)
    with pytest.warns(ReadWarning, match=r"LC08_CU_003009_20200702_\S+ red: .*no such band"):
        found = lenient.compute()
    assert (found[1].sel(band=list(SR_BANDS)) == 0).all()
    assert (found[1].sel(band=QA_BAND) == 1).all()
    xr.testing.assert_identical(found[[0, 2]], strict[[0, 2]].compute())
    with pytest.warns(ReadWarning):
        assert len(tx.spectral_table(lenient, "p", "1")) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (lenient.sel(band="blue").compute() > 0).all()  # which does not need it


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"errors": "ignore"}, "choose from raise, skip"),
        ({"engine": "other"}, "no engine 'other'"),
        ({"chunks": 0}, "1 or more"),
        ({"engine": "stackstac", "errors": "skip"}, "skips nothing"),
        ({"engine": "stackstac", "chunks": None}, "dask's chunks"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tx.chips_for_plot((0, 0), tx.Archive("nowhere.json"), **wrong)


# stackstac

needs_stackstac = pytest.mark.skipif(
    find_spec("stackstac") is None,
    reason="stackstac is not installed: pip install -e '.[stackstac]'",
)


@needs_stackstac
@pytest.mark.deep
def test_stackstac_makes_the_same_cube(sample: SamplePaths, place: tuple[float, float]) -> None:
    ours = cube_of(sample, place)
    theirs = cube_of(sample, place, engine="stackstac")
    assert theirs.chunks is not None
    xr.testing.assert_identical(theirs.compute(), ours.compute())
    assert (ours.sel(band="red") > 0).any(("y", "x")).all()
    with dask.config.set(scheduler="processes", num_workers=1):
        xr.testing.assert_identical(theirs[:2].compute(), ours[:2].compute())


@needs_stackstac
@pytest.mark.deep
def test_stackstac_raises_what_we_raise(tmp_path: Path) -> None:
    archive, place = broken(tmp_path), REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
    cube = tx.chips_for_plot(
        place, tx.Archive(archive.write_items(), mirror=archive.mirror), engine="stackstac"
    )
    with pytest.raises(ReadError, match=r"20200702\S+ red: .*no such band"):
        cube.compute()


def test_stackstac_without_observations(sample: SamplePaths, place: tuple[float, float]) -> None:
    cubes = [
        cube_of(sample, place, datetime="1970", engine=e) for e in ("stackstac", "timesync_xr")
    ]
    xr.testing.assert_identical(cubes[0].compute(), cubes[1].compute())


def test_without_stackstac_the_extra_is_named(
    sample: SamplePaths, place: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stackstac", None)
    with pytest.raises(InputError, match="pip install stackstac"):
        cube_of(sample, place, engine="stackstac")
