"""Every export, view and check works on projects of other composites and stretches, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from tests.archive import SmallArchive
from tests.making import make
from tests.strategies import CLEAR
from timesync_xr import (
    Archive,
    Composite,
    Products,
    Project,
    browse,
    contact_sheet,
    export_project,
    extract,
    plan,
    render,
    repair,
    verify,
    write_packets,
    write_png,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.spectral.composites import COMPOSITES, composite_rgb
from timesync_xr.spectral.styles import Stretch, Styles

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
DAYS = ("2019-07-01", "2020-07-01", "2021-07-01")
STAMPS = ("2019_182", "2020_183", "2021_182")
NAMES = ("b321", "ndvi")
GREY = (0xE4, 0xE5, 0xE7)
"""Colour of a sheet where there is no chip."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    """Dates of a clear plot; its plot list lies beside the items."""
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for day, blue in zip(DAYS, (9000, 9500, 10000), strict=True):  # dark: the annual choice
        values = {"qa_pixel": CLEAR, "blue": blue}
        archive.add("LC08", f"{day}T18:30:00.5Z", values=values)
    archive.write_items()
    lines = [f"1211,{n},{X + 300 * n},{Y}" for n in (7, 8)]
    (archive.folder / "plots.csv").write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    return archive


def archive_of(archive: SmallArchive) -> Archive:
    return Archive(archive.folder / "items.json", mirror=archive.mirror)


@pytest.fixture(scope="module")
def cubes(archive: SmallArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cubes")
    plots = archive.folder / "plots.csv"
    assert make(plots, out, archive_of(archive), formats="zarr", chip_size=17).complete
    return out


@pytest.fixture(params=["fixed", "plot", "project"])
def rendered(cubes: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    out = tmp_path / str(request.param)
    assert len(render(cubes, out, composites=NAMES, stretch=request.param, progress=False)) == 2
    return out


def chip(project: Path, composite: str, stamp: str, plot: str = "7") -> Path:
    return project / f"prj_1211/{composite}/plot_{plot}/plot_{plot}_{stamp}.png"


@pytest.mark.deep
def test_packets_are_projects_that_are_well(rendered: Path, tmp_path: Path) -> None:
    for files in ("copy", "link"):
        table = write_packets(rendered, tmp_path / files, 1, files=files)
        assert table["files"].tolist() == [3 * 3, 3 * 3]  # two chips and a CSV a date
        for packet in table["packet"]:
            made = Project(tmp_path / files / packet)
            assert [c.name for c in made.settings.composites] == list(NAMES)
            assert made.settings == Project(rendered).settings
            assert verify(made).empty


@pytest.mark.deep
def test_sheets_show_the_chips(rendered: Path) -> None:
    """In full size each chip is there pixel by pixel, and no place is left grey."""
    sheet = np.asarray(contact_sheet(rendered, "1211", "7", size=17))
    assert (sheet == GREY).all(axis=-1).sum() < 17 * 17
    for composite in NAMES:
        for stamp in STAMPS:
            wanted = np.asarray(Image.open(chip(rendered, composite, stamp)))
            starts = np.argwhere((sheet[:-16, :-16] == wanted[0, 0]).all(axis=-1))
            assert any((sheet[y : y + 17, x : x + 17] == wanted).all() for y, x in starts)


@pytest.mark.deep
def test_records_lead_to_chips(rendered: Path) -> None:
    folder = Path(export_project(rendered, "v3-json").path)
    records = [r for path in folder.rglob("*.json") for r in json.loads(path.read_text())]
    urls = {record["url"] for record in records}
    assert len(records) == len(urls) == 2 * len(DAYS)
    assert all((rendered / url).is_file() for url in urls)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.deep
def test_the_site_lists_and_finds_the_chips(rendered: Path, tmp_path: Path, inside: bool) -> None:
    site = Path(browse(rendered, "" if inside else tmp_path / "site").out)
    script = (site / "data/prj_1211/plot_7.js").read_text()
    record = json.loads(script[script.index("(") + 1 : script.rindex(")")])
    assert record["composites"] == list(NAMES)
    assert record["observations"]["day"] == list(DAYS)
    chips = rendered if inside else site
    assert all(chip(chips, name, stamp).is_file() for name in NAMES for stamp in STAMPS)


@pytest.mark.deep
def test_another_colour_at_the_plot_is_found(rendered: Path) -> None:
    """Where the limits are known; those of every plot for itself are not kept."""
    assert verify(rendered).empty
    changed = chip(rendered, "b321", STAMPS[1])
    pixels = np.asarray(Image.open(changed)).copy()
    pixels[8, 8, 0] ^= 1
    write_png(pixels, changed)
    found = verify(rendered)
    if Project(rendered).settings.stretch.over_plots:
        assert found.empty
    else:
        assert found["file"].tolist() == [str(changed.relative_to(rendered))]
        assert found["kind"].tolist() == ["broken"]


@pytest.mark.deep
def test_remedies_of_what_was_rendered_lead_to_what_makes_it(cubes: Path, tmp_path: Path) -> None:
    """An extract, and so verify --repair, can't go on with it."""
    project = Project(tmp_path / "out")
    render(cubes, project, formats="png", progress=False)
    (lacks,) = project.unfinished
    assert lacks.endswith("Run timesync-xr render with --products png,csv to add them")
    render(cubes, project, formats="png,csv", progress=False)
    assert project.unfinished == []
    chip(tmp_path / "out", "tc", STAMPS[0]).unlink()
    (remedy,) = verify(project)["remedy"]
    assert remedy == "Make the project again: timesync-xr render with another --out"


@pytest.mark.deep
def test_an_extract_takes_composites_of_ones_own(archive: SmallArchive, tmp_path: Path) -> None:
    """A chip's channel is a straight line of the values of its band, which rasterio read."""
    mine = Composite("mine", ("red", "nir08", "blue"), ((0, 8000), (0, 8000), (0, 8000)))
    plots, out = archive.folder / "plots.csv", tmp_path / "out"
    assert make(plots, out, archive_of(archive), composites=(mine,), chip_size=17).complete
    assert Project(out).settings.composites == (mine,)
    assert {path.parent.parent.name for path in out.rglob("*.png")} == {"mine"}
    found = np.asarray(Image.open(chip(out, "mine", STAMPS[0])))
    for channel, band in enumerate(mine.channels):
        col, row = 2500 + 70 - 8, 2500 - 8
        dn = archive.read("LC08", DAYS[0], (3, 9), band, col, row, 17, 17)
        values = np.trunc(dn * 0.275 - 2000)
        line = np.clip(values / 8000 * 255, 0, 255)
        assert np.abs(found[..., channel] - line).max() <= 1
    assert verify(out).empty
    changed = chip(out, "mine", STAMPS[0])
    changed.write_bytes(changed.read_bytes()[:40])
    repair(out, verify(out), archive_of(archive), progress=False)
    assert (np.asarray(Image.open(changed)) == found).all()
    assert verify(out).empty
    with pytest.raises(ProjectError, match="with composites mine, not tc, b743, b432: use"):
        make(plots, out, archive_of(archive), chip_size=17)
    other = Composite("mine", mine.channels, ((0, 8000), (5, 8000), (0, 8000)))
    told = "mine of red 0 to 8000, nir08 0 to 8000, blue 0 to 8000, not mine of red 0 to 8000, nir"
    with pytest.raises(ProjectError, match=f"made with composites {told}"):
        make(plots, out, archive_of(archive), composites=(other,), chip_size=17)


def test_percentiles_of_each_plot_are_part_of_how_a_project_is_drawn(
    cubes: Path, tmp_path: Path
) -> None:
    """Else some of its plots would have chips of one stretch, and some of another."""
    styles = Styles(stretches={"soft": Stretch((1, 99)), "plot": Stretch((2, 98))})
    wanted: dict[str, Any] = {"composites": "tc", "styles": styles, "progress": False}
    render(cubes, tmp_path / "out", stretch="soft", **wanted)
    assert Project(tmp_path / "out").settings.stretch == Stretch((1, 99))
    assert len(render(cubes, tmp_path / "out", stretch="soft", **wanted)) == 0
    with pytest.raises(ProjectError, match="with stretch plot 1 99, not plot 2 98: use the same"):
        render(cubes, tmp_path / "out", stretch="plot", **wanted)
    wanted["styles"] = None
    with pytest.raises(ProjectError, match="with stretch plot 1 99, not fixed: use the same"):
        render(cubes, tmp_path / "out", **wanted)


def test_composites_go_by_name_or_are_ones_own() -> None:
    mine = Composite("mine", ("red", "nir08", "blue"), ((0, 8000),) * 3)
    named = [c.name for c in Products(composites="b321, tc").drawn]
    assert named == ["b321", "tc"]
    assert Products(composites=mine).drawn == Products(composites=[mine]).drawn == (mine,)
    assert Products(composites=["tc", mine]).composites == (COMPOSITES["tc"], mine)
    assert Products("csv", composites=()).drawn == ()
    wrong: Any
    for wrong, said in (
        ("b999", "no composite 'b999'"),
        ((), "no composite: name one"),
        ([mine, "tc", replace(mine, name="TC")], "mine, tc, TC two have one name"),
        (7, "is of int, which can't be: choose from tc"),
    ):
        with pytest.raises(InputError, match=said):
            Products(composites=wrong)
    with pytest.raises(InputError, match="can't be named 'Cubes'"):
        replace(mine, name="Cubes")


def test_annual_composites_and_geotiffs_are_drawn_in_colours_of_ones_own(
    cubes: Path, tmp_path: Path
) -> None:
    """By a file of styles, as the chips of render."""
    styles = tmp_path / "styles.toml"
    styles.write_text(
        '[composites.mine]\nchannels = ["red", "nir08", "blue"]\n'
        "limits = [[0, 8000], [0, 8000], [0, 8000]]"
    )
    told = ["--composites", "mine,tc", "--styles", str(styles), "--out", str(tmp_path)]
    commands = ["composite", "--season", "01-01/12-31"], ["export", "--format", "geotiff"]
    for command, *more in commands:
        result = CliRunner().invoke(main, [command, str(cubes), *more, *told])
        assert result.exit_code == 0, result.output
    assert {path.parent.parent.name for path in tmp_path.rglob("*.png")} == {"mine", "tc"}
    tifs = list(tmp_path.rglob("*_mine.tif"))
    assert len(tifs) == len(list(tmp_path.rglob("*_tc.tif"))) == 2 * len(DAYS)
    mine = Composite("mine", ("red", "nir08", "blue"), ((0, 8000),) * 3)
    with Project(cubes).cube(("1211", "7")) as cube, rasterio.open(min(tifs)) as tif:
        first = composite_rgb(cube.isel(time=0), mine).transpose("rgb", "y", "x").to_numpy()
        assert (tif.read([1, 2, 3]) == first).all()


@pytest.mark.deep
def test_one_archive_serves_all(archive: SmallArchive, tmp_path: Path) -> None:
    one, plots, out = archive_of(archive), archive.folder / "plots.csv", tmp_path / "out"
    products = Products(chip_size=17)
    forecast = plan(plots, one, products=products)
    summary = extract(plots, out, one, products=products, progress=False)
    assert summary.complete
    assert forecast.observations == summary.rows["observations"].sum() == 2 * len(DAYS)
    lost = chip(out, "tc", STAMPS[2])
    before = lost.read_bytes()
    lost.unlink()
    problems = verify(out, plots)
    assert problems["file"].tolist() == [str(lost.relative_to(out))]
    (again,) = repair(out, problems, one, progress=False)
    assert again.complete
    assert lost.read_bytes() == before
    assert verify(out, plots).empty
