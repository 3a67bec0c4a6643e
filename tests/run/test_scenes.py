"""Scenes from end to end: chips of any place, by signed reads that cost nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.catalog.test_uncounted import Server, serving_search
from tests.making import make
from tests.scenes import BLOB, BUCKET, SIGNATURE, Blobs, SceneArchive, serving_blobs
from tests.servers import file_server
from tests.tally import shows
from timesync_xr import (
    S3,
    Archive,
    Prices,
    Project,
    browse,
    chip_outlines,
    chips_for_plot,
    combine,
    export_project,
    plan,
    render,
    to_collection1,
    verify,
)
from timesync_xr.catalog.archive import CATALOGS, Catalog
from timesync_xr.cli.main import main
from timesync_xr.errors import AccessError, ReadError
from timesync_xr.grid import DEGREES, transformer
from timesync_xr.landsat import SR_BANDS
from timesync_xr.raster import reader
from timesync_xr.storage import objects, signing

JURA = (7.65, 46.5)
CAPE = (18.6, -33.9)
ZONES = {JURA: 32, CAPE: 34}
DAYS = ("2020-07-01", "2020-07-17", "2020-08-02")


def middle(point: tuple[float, float], zone: int) -> tuple[int, int]:
    x, y = transformer(DEGREES, f"EPSG:{32600 + zone}").transform(*point)
    return round(x), round(y)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SceneArchive:
    """Two places in two hemispheres, three days; of the first two rows and, once, another zone."""
    archive = SceneArchive(tmp_path_factory.mktemp("scenes"))
    x, y = middle(JURA, 32)
    for n, day in enumerate(DAYS):
        size = (700 + 13 * n, 600 + 7 * n)
        archive.add("LC08", f"{day}T10:10:00.1234567Z", (195, 27, 32), (x + 90 * n, y + 2000),
                    size=size)  # fmt: skip
        archive.add("LC08", f"{day}T10:10:24Z", (195, 28, 32), (x, y - 4000), size=size)
    archive.add("LC09", "2022-07-10T10:16:00Z", (196, 27, 31), middle(JURA, 31))
    for day in DAYS[:2]:
        archive.add("LC08", f"{day}T08:30:00Z", (175, 83, 34), middle(CAPE, 34))
    archive.write_items()
    archive.write_plots(JURA, CAPE)
    return archive


@pytest.fixture(autouse=True)
def fresh() -> None:
    reader.reset()
    signing.tokens_of.cache_clear()
    objects._healths.clear()


def run(made: SceneArchive, out: Path, **options: Any) -> Any:
    archive = Archive(made.folder / "items.json", mirror=made.mirror)
    return make(made.folder / "plots.csv", out, archive, **{"formats": "png,csv,zarr"} | options)


@pytest.mark.deep
def test_a_list_of_degrees_becomes_a_project_anywhere(made: SceneArchive, tmp_path: Path) -> None:
    summary = run(made, tmp_path / "project")
    assert summary.complete, summary
    project = Project(tmp_path / "project")
    spectra = project.spectra()
    assert spectra.groupby("plot_id").size().to_dict() == {"1": 4, "2": 2}
    assert set(spectra["hv"]) == {"195027", "196027", "175083"}
    assert set(spectra["date"]) >= {f"{day}T10:10:00.1234567Z" for day in DAYS}
    assert verify(project, made.folder / "plots.csv").empty
    with project.cube(("p", "2")) as cube:
        assert cube.rio.crs.to_epsg() == 32634
        assert float(cube["y"].max()) < 0
        product = "LC08_L2SP_175083_20200701_20210504_02_T1"
        left, top = 15 + (middle(CAPE, 34)[0] // 30 - 350) * 30, made.items[-2]["properties"][
            "proj:transform"][5]  # fmt: skip
        col = round((float(cube["x"][0]) - 15 - left) / 30)
        row = round((top - float(cube["y"][0]) - 15) / 30)
        wanted = made.read(product, "red", (col, row, 255, 255))
        np.testing.assert_array_equal(cube.sel(band="red")[0], wanted)
    values = spectra[(spectra["plot_id"] == "2") & (spectra["doy"] == 183)]
    dn = [made.read(product, band, (col + 127, row + 127, 1, 1))[0, 0] for band in SR_BANDS]
    np.testing.assert_array_equal(
        values[["blue", "green", "red", "nir", "swir1", "swir2"]].to_numpy()[0],
        to_collection1(np.array(dn, np.uint16)),
    )


@pytest.mark.deep
def test_a_run_again_does_nothing_and_a_lost_file_is_made_again(
    made: SceneArchive, tmp_path: Path
) -> None:
    assert run(made, tmp_path / "project").complete
    assert run(made, tmp_path / "project").already == 2
    project = Project(tmp_path / "project")
    (chip, *_) = project.files(("p", "1"), DAYS[0])
    before = (tmp_path / "project" / chip).read_bytes()
    (tmp_path / "project" / chip).unlink()
    assert verify(project)["file"].tolist() == [chip]
    assert run(made, tmp_path / "project", refresh=True).complete
    assert (tmp_path / "project" / chip).read_bytes() == before


@pytest.mark.deep
def test_everything_that_is_made_of_a_project_is_made_of_scenes(
    made: SceneArchive, tmp_path: Path
) -> None:
    run(made, tmp_path / "project")
    project = Project(tmp_path / "project")
    assert combine(project).rows == 6
    for form in ("v3-json", "sqlite", "gpkg", "kml"):
        assert export_project(project, form).count > 0
    assert browse(project, progress=False).plots == 2
    assert (project.annual()["year"] == 2020).sum() == 2
    render(project, tmp_path / "drawn", progress=False)
    first = next((tmp_path / "project/prj_p/tc").rglob("*.png"))
    drawn = tmp_path / "drawn" / first.relative_to(tmp_path / "project")
    assert drawn.read_bytes() == first.read_bytes()
    outlines = chip_outlines(project.plots, project.settings.grid)
    np.testing.assert_allclose(outlines[["lon", "lat"]], [JURA, CAPE], atol=3e-4)


@pytest.mark.parametrize("grid", ["EPSG:3035", "EPSG:32632", "EPSG:32732", "utm"])
@pytest.mark.cases(1)
def test_a_cube_of_a_place_lies_on_the_grid_that_is_asked_for(
    made: SceneArchive, grid: str
) -> None:
    archive = Archive(made.folder / "items.json", mirror=made.mirror)
    plot = {"lon": JURA[0], "lat": JURA[1]}
    cube = chips_for_plot(plot, archive, grid=grid, chip_size=41)
    code = 32632 if grid == "utm" else int(grid[5:])
    assert (cube.rio.crs.to_epsg(), cube.sizes["time"]) == (code, 4)
    lon, lat = transformer(f"EPSG:{code}", DEGREES).transform(cube.plot_x, cube.plot_y)
    assert abs(lon - JURA[0]) < 3e-4
    assert abs(lat - JURA[1]) < 3e-4
    assert (cube.sel(band="qa_pixel") == 21824).all()
    if code in (32632, 32732):
        native = chips_for_plot(JURA, archive, chip_size=41)
        np.testing.assert_array_equal(cube, native)
    else:
        whole = cube.compute()
        part = chips_for_plot(plot, archive, grid=grid, chip_size=41)[1:3, 2:4, 5:30, 7:9]
        np.testing.assert_array_equal(part, whole[1:3, 2:4, 5:30, 7:9])


def test_us_plots_may_lie_on_the_grid_of_ard(tmp_path: Path) -> None:
    archive = SceneArchive(tmp_path)
    archive.add("LC08", "2020-07-01T16:40:00Z", (25, 29, 15), middle((-90.6, 44.7), 15))
    items = Archive(archive.write_items(), mirror=archive.mirror)
    cube = chips_for_plot({"lon": -90.6, "lat": 44.7}, items, grid="CU", chip_size=99).compute()
    assert cube.attrs["grid"] == "CU"
    assert (cube.sel(band="red") > 0).all()
    to_zone = transformer(cube.rio.crs.to_wkt(), "EPSG:32615")
    left, top = (archive.items[0]["properties"]["proj:transform"][n] for n in (2, 5))
    for y, x in ((0, 0), (0, 98), (49, 49), (98, 0), (77, 13)):
        east, north = to_zone.transform(float(cube["x"][x]), float(cube["y"][y]))
        col, row = int((east - left) // 30), int((top - north) // 30)
        product = "LC08_L2SP_025029_20200701_20210504_02_T1"
        assert int(cube.sel(band="red")[0, y, x]) == archive.read(product, "red", (col, row, 1, 1))


# Signed reads


def test_a_plot_that_no_scene_of_its_cell_touches_holds_up_no_other(
    made: SceneArchive, tmp_path: Path
) -> None:
    path = tmp_path / "plots.csv"
    far = JURA[0] + 0.3, JURA[1] + 0.4  # in the same cell of half a degree
    lines = [f"p,{n},{lon},{lat}" for n, (lon, lat) in enumerate((far, JURA))]
    path.write_text("\n".join(["project_id,plot_id,lon,lat", *lines]))
    items = Archive(made.folder / "items.json", mirror=f"{BLOB}={made.folder}")
    summary = make(path, tmp_path / "out", items, formats="csv", chip_size=(9, 9))
    status = summary.rows.set_index("plot_id")["status"].to_dict()
    assert status == {"0": "no items", "1": "complete"}


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(blobs: Blobs) -> None:
        for name, value in blobs.environment().items():
            monkeypatch.setenv(name, value)
        signing.tokens_of.cache_clear()  # a read of the test before may have asked elsewhere

    return use


def read_signed(made: SceneArchive, out: Path, **options: Any) -> Any:
    return make(made.folder / "plots.csv", out, Archive(made.folder / "items.json"), **options)


def text_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.deep
def test_one_token_serves_a_run(made: SceneArchive, tmp_path: Path, signed: Any) -> None:
    with serving_blobs(Blobs(made.folder)) as blobs:
        signed(blobs)
        summary = read_signed(made, tmp_path / "project", formats="png,csv,zarr")
    assert summary.complete, summary
    assert (blobs.tokens, blobs.keys) == (1, {None})
    assert set(blobs.asked) == {206}
    assert SIGNATURE.encode() not in text_of(tmp_path)
    expected = tmp_path / "expected"
    run(made, expected)
    assert text_of(tmp_path / "project/prj_p") == text_of(expected / "prj_p")


@shows(["an expired token", "the service of tokens down"], "archive")
@pytest.mark.deep
def test_tokens_that_end_in_the_middle_cost_nothing(
    made: SceneArchive, tmp_path: Path, signed: Any
) -> None:
    with serving_blobs(Blobs(made.folder, life=2.0, faults=[429, 504])) as blobs:
        signed(blobs)
        number = 0
        while blobs.tokens < 4:
            reader.reset()
            number += 1
            assert read_signed(made, tmp_path / str(number), formats="csv").complete
    assert set(blobs.asked) <= {206, 403}


@shows("an expired token", "archive")
@pytest.mark.deep
def test_a_token_that_ends_before_it_says_is_renewed(
    made: SceneArchive, tmp_path: Path, signed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where this machine's clock is late."""
    monkeypatch.setattr(signing, "_FRESH", 0.0)
    with serving_blobs(Blobs(made.folder, skew=3598.0)) as blobs:
        signed(blobs)
        number = 0
        while not blobs.asked[403]:
            reader.reset()
            number += 1
            assert read_signed(made, tmp_path / str(number), formats="csv").complete
    assert blobs.tokens > 1


@shows("the service of tokens down", "archive")
def test_a_token_service_that_stays_away_ends_the_run(
    made: SceneArchive, tmp_path: Path, signed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMESYNC_XR_RETRY_SECONDS", "0")
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "a-key-of-mine")
    with serving_blobs(Blobs(made.folder, faults=[503] * 1000)) as blobs:
        signed(blobs)
        with pytest.raises(AccessError, match=r"gives tokens fails \(status 503\). Run again"):
            read_signed(made, tmp_path / "project")
    assert blobs.keys == {"a-key-of-mine"}
    assert b"a-key-of-mine" not in text_of(tmp_path)


@pytest.mark.deep
def test_what_the_free_copy_lacks_is_named(made: SceneArchive, tmp_path: Path, signed: Any) -> None:
    gone = made.path("LC08_L2SP_175083_20200701_20210504_02_T1", "red")
    content = gone.read_bytes()
    gone.unlink()
    page = "175083_20200717_20210504_02_T1_swir16.TIF"
    try:
        with serving_blobs(Blobs(made.folder, pages=frozenset({page}))) as blobs:
            signed(blobs)
            summary = read_signed(made, tmp_path / "project")
    finally:
        gone.write_bytes(content)
    told = str(summary)
    assert "LC08_L2SP_175083_20200701_02_T1 red: " in told
    assert "LC08_L2SP_175083_20200717_02_T1 swir16: " in told
    assert summary.incomplete["failed"].tolist() == [2]


@shows("a signed address in an item", "one asset")
def test_a_signed_address_in_an_item_is_signed_anew(
    made: SceneArchive, tmp_path: Path, signed: Any
) -> None:
    items = [item for item in made.items if "175083" in item["id"]]
    for item in items:
        assets = {
            band: {"href": f"{asset['href']}?se=1&sig=b2xk"}
            for band, asset in item["assets"].items()
        }
        items[items.index(item)] = {**item, "assets": assets}
    with serving_blobs(Blobs(made.folder)) as blobs:
        signed(blobs)
        cube = chips_for_plot(CAPE, Archive(items), chip_size=9).compute()
    assert cube.sizes["time"] == 2
    assert set(blobs.asked) == {206}


@pytest.mark.deep
def test_the_command_makes_it_with_workers(made: SceneArchive, tmp_path: Path) -> None:
    with serving_blobs(Blobs(made.folder)) as blobs:
        command = [sys.executable, "-m", "timesync_xr", "extract", str(made.folder / "plots.csv")]
        command += ["--out", str(tmp_path / "project"), "--source", "items.json", "--workers", "2"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=made.folder,
            env={**os.environ, **blobs.environment()}, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert blobs.tokens <= 2
    assert SIGNATURE not in done.stdout + done.stderr


def test_a_plan_of_a_free_archive_says_that_it_costs_nothing(made: SceneArchive) -> None:
    forecast = plan(made.folder / "plots.csv", Archive(made.folder / "items.json"))
    assert isinstance(forecast.plots, pd.DataFrame)
    assert forecast.observations == 6
    text = forecast.text(1, Prices())
    assert "0.00 USD: free" in text
    assert "requester pays" not in text


@shows("a paid address in a free source", "one asset")
def test_a_free_source_sends_nothing_to_a_bucket_that_bills(
    tmp_path: Path, signed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket's stand-in counts every request; the scene whose address it is fails by name."""
    scenes = SceneArchive(tmp_path / "scenes")
    scenes.add("LC08", "2020-07-01T08:30:00Z", (175, 83, 34), middle(CAPE, 34))
    paid = scenes.add("LC08", "2020-07-17T08:30:00Z", (175, 83, 34), middle(CAPE, 34))
    for asset in paid["assets"].values():
        asset["href"] = asset["href"].replace(BLOB, BUCKET)
    billed: list[str] = []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    with serving_blobs(Blobs(scenes.folder)) as blobs, file_server(tmp_path, billed) as port:
        signed(blobs)
        s3 = S3(endpoint=f"http://127.0.0.1:{port}")
        archive = Archive(scenes.items, source="planetary-computer", s3=s3)
        summary = make(scenes.write_plots(CAPE), tmp_path / "project", archive)
    assert not billed
    assert summary.incomplete["failed"].tolist() == [1]
    assert "reading it costs money, and the archive was chosen as a free one" in str(summary)


@shows("409 without a signature", "archive")
def test_a_blob_that_no_one_signs_for_is_told(tmp_path: Path) -> None:
    """As for a mirror of a container that is not known here."""
    scenes = SceneArchive(tmp_path)
    scenes.add("LC08", "2020-07-01T08:30:00Z", (175, 83, 34), middle(CAPE, 34))
    with serving_blobs(Blobs(scenes.folder)) as blobs:
        there = f"{BLOB}=http://127.0.0.1:{blobs.port}/landsat-c2"
        cube = chips_for_plot(CAPE, Archive(scenes.items, mirror=there), chip_size=9)
        with pytest.raises((AccessError, ReadError), match="gives files to signed requests alone"):
            cube.compute()
    assert blobs.tokens == 0


@pytest.mark.parametrize("name", ["landsatlook-scenes", "planetary-computer"])
@pytest.mark.cases(1)
def test_a_newcomer_in_europe_needs_a_list_and_a_name(
    tmp_path: Path, signed: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """From a list in degrees to chips, by a catalog's name: found there, read signed, no bill."""
    usgs = name == "landsatlook-scenes"
    scenes = SceneArchive(tmp_path / "scenes", "usgs" if usgs else "pc")
    for day in DAYS:
        scenes.add("LC08", f"{day}T10:10:00Z", (195, 27, 32), middle(JURA, 32))
    plots = scenes.write_plots(JURA)
    command = ["extract", str(plots), "--out", str(tmp_path / "world"), "--source", name]
    with (
        serving_search(Server(scenes.items, counts=usgs, page=2)) as search,
        serving_blobs(Blobs(scenes.folder)) as blobs,
    ):
        signed(blobs)
        known = Catalog(search.url, CATALOGS[name].source)
        monkeypatch.setitem(CATALOGS, name, known)
        result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "1 plot: 1 completed now" in result.output
    assert "3 observations: 3 written" in result.output
    assert blobs.tokens == 1
    assert len(list((tmp_path / "world/prj_p/tc/plot_1").iterdir())) == 3
    kept = json.loads((tmp_path / "world/ledger/items/scenes_N46.5E007.5.json").read_text())
    assert kept["source"] == name
    assert Project(tmp_path / "world").settings.collection == known.source.collection
