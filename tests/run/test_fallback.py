"""A second source for the files that the first one lacks or has broken, and for no others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.making import make
from tests.run.test_scenes import CAPE, fresh, middle, signed
from tests.scenes import BLOB, Blobs, Paid, SceneArchive, serving_blobs, serving_paid
from tests.tally import shows
from timesync_xr import Archive, Project, chips_for_plot
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, Kind, MissingAssetError

__all__ = ["fresh", "signed"]

DAYS = ("2020-07-01", "2020-07-17", "2020-08-02", "2020-08-18")
GONE, BROKEN, CUT, WHOLE = (
    f"LC08_L2SP_175083_{day.replace('-', '')}_20210504_02_T1" for day in DAYS
)
SCENE = "LC08_L2SP_175083_{}_02_T1"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[SceneArchive, Path]:
    """Scenes as USGS has them, and a copy: one lacks a band, one has a page, one is damaged."""
    scenes = SceneArchive(tmp_path_factory.mktemp("usgs"))
    for day in DAYS:
        scenes.add("LC08", f"{day}T08:30:00Z", (175, 83, 34), middle(CAPE, 34))
    scenes.write_items()
    scenes.write_plots(CAPE)
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(scenes.folder, copy, dirs_exist_ok=True)
    (copy / scenes.path(GONE, "red").relative_to(scenes.folder)).unlink()
    (copy / scenes.path(GONE, "qa_pixel").relative_to(scenes.folder)).unlink()
    damaged = copy / scenes.path(CUT, "nir08").relative_to(scenes.folder)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 4 :] = bytes(len(data) - len(data) // 4)  # the header holds, blocks do not
    damaged.write_bytes(data)
    return scenes, copy


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those by which the second source is paid."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-mine")


PAGES = frozenset({f"{BROKEN}_swir16.TIF"})
LACKING = {
    f"{GONE}_red.TIF", f"{GONE}_qa_pixel.TIF", f"{BROKEN}_swir16.TIF", f"{CUT}_nir08.TIF",
}  # fmt: skip


@shows("a missing or broken file where there is a fallback", "one asset")
@pytest.mark.usefixtures("keys")
def test_only_what_the_first_lacks_is_read_and_billed_at_the_second(
    both: tuple[SceneArchive, Path],
    tmp_path: Path,
    signed: Any,
) -> None:
    """The bucket's stand-in notes each key; the project is that of a copy without a fault."""
    scenes, copy = both
    plots, items = scenes.folder / "plots.csv", scenes.folder / "items.json"
    with (
        serving_blobs(Blobs(copy, pages=PAGES)) as blobs,
        serving_paid(Paid(scenes.folder)) as usgs,
    ):
        signed(blobs)
        free = make(plots, tmp_path / "free", Archive(items, s3=usgs.s3))
        assert (usgs.billed, usgs.refused) == ([], 0)
        assert free.incomplete["failed"].tolist() == [3]
        archive = Archive(items, s3=usgs.s3, fallback="earth-search")
        summary = make(plots, tmp_path / "out", archive, formats="png,csv,zarr")
        billed = len(usgs.billed)
        again = make(plots, tmp_path / "out", archive, refresh=True)
    assert summary.complete, summary
    assert set(usgs.billed) == LACKING
    assert usgs.refused == 0
    assert len(usgs.billed) == billed, "a rerun pays nothing"
    assert again.complete
    whole = Archive(items, mirror=scenes.mirror)
    make(plots, tmp_path / "whole", whole)
    for path in (tmp_path / "whole").glob("prj_*/**/*.*"):
        there = tmp_path / "out" / path.relative_to(tmp_path / "whole")
        assert there.read_bytes() == path.read_bytes(), path
    project = Project(tmp_path / "out")
    table = project.observations().set_index("day")
    bands = (["red", "qa_pixel"], ["swir16"], ["nir08"])
    names = [SCENE.format(day.replace("-", "")) for day in DAYS]
    told = [", ".join(f"{name} {b}" for b in of) for name, of in zip(names, bands, strict=False)]
    read = dict(zip(DAYS, (f"earth-search: {text}" for text in told), strict=False))
    assert table["fallback"].to_dict() == read | {DAYS[3]: ""}
    assert set(table["source"]) == {str(items)}
    assert set(table["collection"]) == {"landsat-c2-l2"}
    assert set(table["processed"]) == {"20210504"}
    assert table["checksum"].str.fullmatch("[0-9a-f]{8}").all()
    assert project.plots[["source", "fallback"]].to_numpy().tolist() == [[str(items), 3]]
    with project.cube(("p", "1")) as cube:
        assert cube.attrs["source"] == f"{items}; earth-search"
        assert cube.attrs["collection"] == "landsat-c2-l2"
    assert "Read in part at earth-search" in str(summary)
    assert ": 3 observations of the plots 1;" in str(summary)


@pytest.mark.usefixtures("keys")
def test_what_both_lack_fails_by_both_names(
    both: tuple[SceneArchive, Path], tmp_path: Path, signed: Any
) -> None:
    scenes, copy = both
    with serving_blobs(Blobs(copy)) as blobs, serving_paid(Paid(tmp_path)) as usgs:
        signed(blobs)
        archive = Archive(scenes.items[:1], s3=usgs.s3, fallback="earth-search")
        cube = chips_for_plot(CAPE, archive, chip_size=9)
        with pytest.raises(MissingAssetError) as caught:
            cube.sel(band="red").compute()
    assert caught.value.kind == Kind.MISSING
    told = str(caught.value)
    assert told.startswith(f"{SCENE.format('20200701')} red: https://landsateuwest")
    assert "; at earth-search, too: s3://usgs-landsat/collection02/level-2/" in told


@pytest.mark.deep
@pytest.mark.usefixtures("keys")
def test_a_fallback_that_opens_to_nobody_costs_what_the_first_lacks(
    both: tuple[SceneArchive, Path], tmp_path: Path, signed: Any
) -> None:
    """What the first has is written all the same, and the fallback is what is told."""
    scenes, copy = both
    plots, items = scenes.folder / "plots.csv", scenes.folder / "items.json"
    out = tmp_path / "out"
    with (
        serving_blobs(Blobs(copy, pages=PAGES)) as blobs,
        serving_paid(Paid(scenes.folder, denies=True)) as usgs,
    ):
        signed(blobs)
        archive = Archive(items, s3=usgs.s3, fallback="earth-search")
        summary = make(plots, out, archive)
        asked = usgs.refused
    assert summary.incomplete["failed"].tolist() == [3]
    assert len(list((out / "prj_p/tc/plot_1").iterdir())) == 1
    assert 0 < asked <= 2 * len(LACKING)
    told = str(summary)
    assert told.count("at earth-search, too: s3://usgs-landsat/") == 3
    assert told.count("the server denies access") == 3
    assert "a-secret-of-mine" not in told


def test_what_a_mirror_lacks_is_read_where_it_is_from(
    both: tuple[SceneArchive, Path], tmp_path: Path, signed: Any
) -> None:
    """A copy of one's own first, the free source for the rest; nothing else is asked of it."""
    scenes, copy = both
    with serving_blobs(Blobs(scenes.folder)) as blobs:
        signed(blobs)
        archive = Archive(scenes.items, mirror=f"{BLOB}={copy}", fallback="planetary-computer")
        cube = chips_for_plot(CAPE, archive, chip_size=9)
        first = cube[0].compute()
        asked = sum(blobs.asked.values())
        cube[3].compute()
    assert sum(blobs.asked.values()) == asked, "what the mirror has is not asked for"
    expected = chips_for_plot(CAPE, Archive(scenes.items, mirror=scenes.mirror), chip_size=9)
    assert first.equals(expected[0].compute())
    assert archive.bill == ()


def test_the_command_says_first_what_may_cost_money(tmp_path: Path) -> None:
    scenes = SceneArchive(tmp_path)
    scenes.add("LC08", "2020-07-01T08:30:00Z", (175, 83, 34), middle(CAPE, 34))
    plots, out = str(scenes.write_plots(CAPE)), str(tmp_path / "out")
    command = ["extract", plots, "--out", out, "--source", str(scenes.write_items())]
    command += ["--mirror", scenes.mirror[0], "--chip-size", "9", "9"]
    free = CliRunner().invoke(main, [*command, "--fallback", "planetary-computer"])
    assert free.exit_code == 0, free.output
    assert "pays" not in free.stderr
    paid = CliRunner().invoke(main, [*command, "--fallback", "earth-search"])
    assert paid.exit_code == 0, paid.output
    assert "at first are read at earth-search: the requester pays for each" in paid.stderr


@pytest.mark.parametrize(
    ("fallback", "mirror", "told"),
    [
        ("earth-serch", (), r"no fallback 'earth-serch' \(did you mean 'earth-search'\?\)"),
        ("planetary-computer", (), "it is where they are read at first; give earth-search"),
        ("landsatlook", (), "it has none of them; give earth-search"),
        (3, (), "fallback is of int"),
    ],
)
def test_a_fallback_that_can_not_help_is_refused(fallback: Any, mirror: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Archive("planetary-computer", mirror=mirror, fallback=fallback)


def test_ard_has_itself_as_fallback_of_a_mirror_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="so that the archive itself is the fallback"):
        Archive("landsatlook", fallback="landsatlook")
    mirror = f"s3://usgs-landsat-ard={tmp_path}"
    archive = Archive("landsatlook", mirror=mirror, fallback="landsatlook")
    assert len(archive.bill) == 1
    second = archive.reading.fallback
    assert second is not None
    href = "s3://usgs-landsat-ard/collection02/x.TIF"
    assert second.address(href) == href
    assert second.address("https://example.com/x.TIF") == ""
    assert second.access.s3.requester_pays
