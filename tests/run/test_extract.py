"""The main job on small archives: every case in which the reference goes wrong, and all faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.archive import SmallArchive
from tests.making import make
from tests.strategies import CLEAR, share
from tests.tally import shows
from timesync_xr import (
    Archive,
    Products,
    Project,
    Summary,
    choose_platforms,
    extract,
    search_items,
    verify,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import (
    AccessError,
    InputError,
    PlotListError,
    ProjectError,
)
from timesync_xr.grid import REGIONS

CU = REGIONS["CU"]
INSIDE = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
CORNER = CU.center(4 * 5000, 10 * 5000)
CLOUD = 22280
NOON = "T18:30:00.1234567Z"


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    return SmallArchive(tmp_path / "archive")


@pytest.fixture
def run(archive: SmallArchive, tmp_path: Path) -> Callable[..., Summary]:
    """Run the job over the archive with a plot in the middle of h03v09."""

    def call(*plots: str, **options: Any) -> Summary:
        lines = plots or (f"1211,7,{INSIDE[0]},{INSIDE[1]}",)
        path = tmp_path / "plots.csv"
        path.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
        out, mirror = options.pop("out", tmp_path / "out"), options.pop("mirror", archive.mirror)
        made_of = Archive(archive.write_items(), mirror=mirror)
        return make(path, out, made_of, **{"chip_size": (9, 9)} | options)

    return call


def rows(tmp_path: Path, pattern: str = "prj_1211/7_spectral*.csv") -> pd.DataFrame:
    """All CSV rows of a plot."""
    parts = [pd.read_csv(p, dtype=str) for p in sorted((tmp_path / "out").glob(pattern))]
    return pd.concat(parts, ignore_index=True)


def outcomes(tmp_path: Path) -> dict[str, str]:
    account = Project(str(tmp_path / "out")).log(("1211", "7"))
    return dict(zip(account["sensor"] + " " + account["day"], account["outcome"], strict=True))


def chip(tmp_path: Path, day: str, composite: str = "b743") -> np.ndarray:
    stamp = pd.Timestamp(day)
    name = f"plot_7_{stamp.year}_{stamp.day_of_year:03d}.png"
    return np.asarray(Image.open(tmp_path / f"out/prj_1211/{composite}/plot_7/{name}"))


@pytest.mark.parametrize(
    ("new", "old", "taken", "why"),
    [
        ((12000, CLOUD), (9001, CLEAR), "LE07", "usable at the plot comes first"),
        ((12000, CLEAR), (9000, CLEAR), "LC09", "else the newer platform"),
        ((12000, 1), (9001, CLOUD), "LE07", "the other is fill at the plot"),
    ],
)
@pytest.mark.deep
def test_two_platforms_on_one_day(
    archive: SmallArchive,
    run: Callable[..., Summary],
    tmp_path: Path,
    new: tuple[int, int],
    old: tuple[int, int],
    taken: str,
    why: str,
) -> None:
    """One is taken whole and the other recorded; the reference adds them (21000 here)."""
    for sensor, (value, qa) in (("LC09", new), ("LE07", old)):
        values = dict.fromkeys(("blue", "green", "red", "nir08", "swir16", "swir22"), value)
        archive.add(sensor, f"2022-06-01{NOON}", values=values | {"qa_pixel": qa})
    run()
    (row,) = rows(tmp_path).to_dict("records")
    value = new[0] if taken == "LC09" else old[0]
    assert (row["sensor"], row["blue"]) == (taken, str(int(value * 0.275 - 2000))), why
    other = ({"LC09", "LE07"} - {taken}).pop()
    assert outcomes(tmp_path)[f"{taken} 2022-06-01"] == "written"
    assert outcomes(tmp_path)[f"{other} 2022-06-01"] in ("other platform", "fill at plot")


def test_fewer_fill_pixels_win_among_equally_clear() -> None:
    from tests.strategies import cube_of

    cube = cube_of(np.full((3, 7, 5, 5), 10000, dtype=np.uint16))
    cube = cube.assign_coords(
        time=np.array(["2022-06-01T17", "2022-06-01T18", "2022-06-02T18"], "datetime64[ns]"),
        sensor=("time", ["LE07", "LC09", "LC09"]),
    )
    cube[:, 6] = CLEAR
    cube[1, 3, 0, :2] = 0
    cube[0, 2, 0, 0] = 0
    for kind in (cube, cube.chunk(time=1)):
        assert choose_platforms(kind).tolist() == [True, False, True]


@pytest.mark.parametrize(("old", "new"), [(5440, 23888), (5440, 30048), (5504, 54596)])
def test_the_better_grade_wins_among_equally_usable(old: int, new: int) -> None:
    """Shadow, snow and cirrus of Landsat 9 are usable by qa: they do not win by its age."""
    from tests.strategies import cube_of

    cube = cube_of(np.full((2, 7, 3, 3), 10000, dtype=np.uint16))
    days = np.array(["2022-06-01T17", "2022-06-01T18"], "datetime64[ns]")
    cube = cube.assign_coords(time=days, sensor=("time", ["LE07", "LC09"]))
    cube[0, 6], cube[1, 6] = old, new
    assert choose_platforms(cube).tolist() == [True, False]
    cube[0, 3, 1, 1] = 0
    assert choose_platforms(cube).tolist() == [False, True], "a band of fill at the plot"


def test_reprocessed_duplicate_is_not_added_and_is_reported(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for processed, value in (("20200801", 9000), ("20210504", 12000), ("20201231", 10000)):
        values = {"blue": value, "qa_pixel": CLEAR}
        archive.add("LC08", f"2020-07-01{NOON}", processed=processed, values=values)
    summary = run()
    assert rows(tmp_path)["blue"].tolist() == ["1300"]
    assert "processed again later: 2" in str(summary)
    account = Project(str(tmp_path / "out")).log(("1211", "7"))
    left = account.loc[account["outcome"] == "superseded", "item_ids"]
    assert sorted(i.split("_")[4] for i in left) == ["20200801", "20201231"]


@pytest.mark.deep
def test_hv_and_date_are_those_of_the_plots_tile(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for second, tile in enumerate(((3, 9), (4, 10), (4, 9), (3, 10))):
        archive.add("LC08", f"2020-07-01T18:30:0{second}.5Z", tile)
    run(f"1211,7,{CORNER[0]},{CORNER[1]}")
    (row,) = rows(tmp_path).to_dict("records")
    assert (row["hv"], row["date"]) == ("0410", "2020-07-01T18:30:01.5Z")


@pytest.mark.deep
def test_end_of_time_is_open(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for day in ("1983-05-05", "2022-12-31", "2023-01-01", "2026-06-01"):
        archive.add("LC08", f"{day}{NOON}")
    run()
    assert rows(tmp_path)["year"].tolist() == ["1983", "2022", "2023", "2026"]


@pytest.mark.parametrize(("region", "tile"), [("HI", (2, 1)), ("AK", (13, 6))])
@pytest.mark.deep
def test_other_regions(tmp_path: Path, region: str, tile: tuple[int, int]) -> None:
    archive = SmallArchive(tmp_path / "archive", region)
    archive.add("LC08", f"2020-07-01{NOON}", tile)
    grid = archive.region
    x, y = grid.center(tile[0] * 5000 + 2500, tile[1] * 5000 + 2500)
    path = tmp_path / "plots.csv"
    path.write_text(f"project_id,plot_id,x,y\np,1,{x},{y}\n")
    extract(
        path,
        tmp_path / "out",
        Archive(archive.write_items(), mirror=archive.mirror),
        products=Products(grid=region, chip_size=(3, 3)),
        progress=False,
    )
    (row,) = rows(tmp_path, "prj_p/*.csv").to_dict("records")
    expected = archive.read("LC08", "2020-07-01", tile, "blue", 2500, 2500, 1, 1).item()
    assert row["blue"] == str(int(expected * 0.275 - 2000))
    assert row["hv"] == f"{tile[0]:02d}{tile[1]:02d}"


@pytest.mark.deep
def test_text_ids_and_one_plot_id_in_two_projects(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    x, y = INSIDE
    run(f"A,north-1,{x},{y}", f"B,north-1,{x + 300},{y}")
    run(f"A,north-1,{x},{y}", f"B,north-1,{x + 300},{y}")
    a, b = (rows(tmp_path, f"prj_{p}/north-1_*.csv") for p in "AB")
    assert len(a) == len(b) == 1
    assert a["blue"].item() != b["blue"].item()
    assert len(Project(str(tmp_path / "out")).plots) == 2


@pytest.mark.deep
def test_a_band_that_is_missing_is_a_failure_not_a_chip(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}", without="green")
    archive.add("LC08", f"2020-07-17{NOON}")
    summary = run()
    assert not summary.complete
    assert rows(tmp_path)["doy"].tolist() == ["199"]
    (row,) = Project(str(tmp_path / "out")).plots.to_dict("records")
    assert (row["status"], row["failed"], row["written"]) == ("incomplete", 1, 1)
    assert "LC08_CU_003009_20200701_20210504_02_SR green" in row["failures"]
    assert "LC08_CU_003009_20200701_20210504_02_SR green" in str(summary)


@pytest.mark.deep
def test_a_repaired_asset_is_made_up_for_and_nothing_else_is_read(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for day in ("2020-07-01", "2020-07-17"):
        archive.add("LC08", f"{day}{NOON}")
    broken = next(archive.folder.rglob("*20200717*SR_B1.TIF"))
    content = broken.read_bytes()
    broken.write_bytes(content[:700])
    assert not run().complete
    broken.write_bytes(content)
    for other in archive.folder.rglob("*20200701*.TIF"):
        other.unlink()
    summary = run()
    assert summary.complete
    assert rows(tmp_path)["doy"].tolist() == ["183", "199"]
    assert run().already == 1


@pytest.mark.deep
def test_where_one_of_two_platforms_fails_the_day_waits(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    """Taking the other would hide for ever that the better one was never looked at."""
    archive.add("LC09", f"2022-06-01{NOON}", without="red")
    archive.add("LE07", f"2022-06-01{NOON}")
    archive.add("LE07", f"2022-06-09{NOON}", without="qa_pixel")
    archive.add("LC08", f"2022-06-09{NOON}")
    run()
    assert set(outcomes(tmp_path).values()) == {"failed"}
    assert len(outcomes(tmp_path)) == 4
    assert not list((tmp_path / "out").rglob("*.png"))


def test_fill_at_the_plot_is_rejected_and_told(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LE07", f"2010-07-01{NOON}", values={"qa_pixel": 1})
    archive.add("LE07", f"2010-07-17{NOON}")
    summary = run()
    assert "1 rejected because the plot pixel is fill" in str(summary)
    assert Project(str(tmp_path / "out")).plots["fill_at_plot"].tolist() == [1]
    account = Project(str(tmp_path / "out")).log(("1211", "7"))
    assert account.loc[account["outcome"] == "fill at plot", "day"].tolist() == ["2010-07-01"]
    assert rows(tmp_path)["doy"].tolist() == ["198"]


@pytest.mark.deep
def test_items_off_their_tile_are_refused_by_name(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    item = archive.add("LC08", f"2020-07-01{NOON}")
    item["properties"]["proj:transform"][2] += 15
    archive.add("LC08", f"2020-07-17{NOON}")
    summary = run()
    assert item["id"] in str(summary)
    assert outcomes(tmp_path) == {"LC08 2020-07-17": "written", "LC08 2020-07-01": "refused"}


def test_all_wrong_lines_are_told_before_anything_is_made(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    x, y = INSIDE
    with pytest.raises(PlotListError) as error:
        run(f"p,1,{x},{y}", f"p,1,{x},{y}", f"p,../x,{x},{y}", "p,3,nan,0", "p,4,99999999,0")
    assert [n for n in "3456" if f"line {n}" in str(error.value)] == list("3456")
    assert not (tmp_path / "out").exists()


def test_off_centre_plots_are_told_once(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    x, y = INSIDE
    summary = run(f"1211,7,{x + 9},{y - 12}", f"1211,8,{x + 0.5},{y}")
    (line,) = [t for t in str(summary).splitlines() if "off the centre" in t]
    assert "1, up to 15.0 m (7)" in line
    alone = run(f"1211,7,{x},{y}", out=tmp_path / "exact")
    assert alone.off_centre.empty
    first, second = (next((tmp_path / o).rglob("7_*.csv")).read_text() for o in ("out", "exact"))
    assert first == second


def test_products_are_made_as_asked_and_added_later(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    run(formats=("csv",))
    assert not list((tmp_path / "out").rglob("*.png"))
    assert run(formats=("csv",)).already == 1
    assert run(formats=("png", "csv")).already == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
    assert run(formats=("png",)).already == 1


@pytest.mark.deep
def test_a_longer_time_adds_to_a_project(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for year in (2019, 2020, 2021):
        archive.add("LC08", f"{year}-07-01{NOON}")
    run(datetime="../2020")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.png")}
    run(datetime="1982/..")
    assert rows(tmp_path)["year"].tolist() == ["2019", "2020", "2021"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_other_settings_and_moved_plots_are_refused(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    run()
    with pytest.raises(ProjectError, match=r"chip size .9, 9., not .11, 11."):
        run(chip_size=(11, 11))
    with pytest.raises(ProjectError, match="plot 7 of project 1211 was made at"):
        run(f"1211,7,{INSIDE[0] + 30},{INSIDE[1]}")


def test_a_second_run_on_a_project_is_refused_and_a_dead_lock_is_none(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    from filelock import FileLock

    archive.add("LC08", f"2020-07-01{NOON}")
    lock = tmp_path / "out/ledger/lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(ProjectError, match="another run is at work"):
        run()
    assert run().complete


def a_page(folder: Path) -> dict[str, Any]:
    (folder / "page.json").write_text("<html>")
    return {"items": folder / "page.json"}


NO_SOURCE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "no file": lambda folder: {"items": folder / "none.json"},
    "a folder": lambda folder: {"items": folder},
    "a page": a_page,
    "no address": lambda _: {"items": "htp://127.0.0.1"},
    "no host": lambda _: {"items": "http://"},
    "no port": lambda _: {"items": "https://127.0.0.1:99999/stac"},
    "a dead address": lambda _: {"items": "http://127.0.0.1:1/"},
    "another grid": lambda _: {"grid": "AK", "x": 0, "y": 1_000_000},
    "another mirror": lambda folder: {"mirror": f"s3://another={folder}"},
}


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("name", NO_SOURCE)
def test_a_source_that_is_none_leaves_nothing(
    archive: SmallArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_there: bool,
) -> None:
    monkeypatch.setattr("timesync_xr.catalog.stac.growing", lambda *_: 0.0)  # the waits
    archive.add("LC08", f"2020-07-01{NOON}", write=False)
    source: dict[str, Any] = {"items": archive.write_items(), "mirror": archive.mirror}
    source |= NO_SOURCE[name](tmp_path)
    x, y = source.pop("x", INSIDE[0]), source.pop("y", INSIDE[1])
    plots = tmp_path / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,7,{x},{y}\n1211,8,{x},{y}\n")
    products = Products(grid=source.pop("grid", "CU"), chip_size=(9, 9))
    out = tmp_path / "new/deep/out"
    if is_there:
        out.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    expected = AccessError if name == "a dead address" else InputError
    with pytest.raises(expected):
        extract(plots, out, Archive(**source), products=products, progress=False)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("jpg",)}, "'jpg'.*png, csv"),
        ({"formats": ()}, "png, csv"),
        ({"workers": 0}, "1 or more"),
        ({"chip_size": (0, 9)}, "0 x 9 pixels"),
        ({"grid": "EU"}, "CU, AK, HI"),
        ({"datetime": "2020/2010"}, "ends before it starts"),
        ({"mirror": "nonsense"}, "OLD=NEW"),
    ],
)
def test_wrong_options_say_what_is_right(
    archive: SmallArchive,
    run: Callable[..., Summary],
    tmp_path: Path,
    options: dict[str, object],
    message: str,
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    with pytest.raises(InputError, match=message):
        run(**options)
    assert not (tmp_path / "out").exists()


@pytest.mark.random
@pytest.mark.deep
def test_an_interrupted_project_ends_like_an_uninterrupted_one(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    """Whatever subset of files a killed run left behind."""
    for day in range(1, 6):
        archive.add("LC08", f"2020-07-0{day}{NOON}")
    archive.add("LE07", f"2020-07-02{NOON}")
    run()
    whole = {p.relative_to(tmp_path / "out"): p.read_bytes() for p in files(tmp_path / "out")}
    random = np.random.default_rng(3)
    for _ in range(share(10)):
        for path in files(tmp_path / "out"):
            if random.random() < 0.4:
                path.unlink()
        shutil.rmtree(tmp_path / "out/ledger")
        (tmp_path / "out/ledger/tmp").mkdir(parents=True)
        (tmp_path / "out/ledger/tmp/1-1").write_bytes(b"half")
        run()
        again = {p.relative_to(tmp_path / "out"): p.read_bytes() for p in files(tmp_path / "out")}
        assert again == whole


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and p.name != "lock"]


@pytest.mark.deep
def test_an_observation_whose_item_is_refused_is_not_fill_and_keeps_its_files(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    """The plot's tile is refused, a neighbour's is not: that is a hole, not a swath edge."""
    for tile in ((4, 10), (3, 9)):
        archive.add("LC08", f"2020-07-01{NOON}", tile)
    plot = f"1211,7,{CORNER[0]},{CORNER[1]}"
    run(plot, datetime="2020")
    before = {p: p.read_bytes() for p in (tmp_path / "out/prj_1211").rglob("*") if p.is_file()}
    archive.items[0]["properties"]["proj:transform"][2] += 30
    summary = run(plot, datetime="2020/2021", refresh=True)
    account = Project(str(tmp_path / "out")).log(("1211", "7"))
    assert account["outcome"].tolist() == ["written", "refused"]
    assert account["item_ids"].tolist()[1] == archive.items[0]["id"]
    assert "proj:transform" in account["cause"].iloc[0]
    assert verify(tmp_path / "out").empty
    assert "0 rejected because the plot pixel is fill" in str(summary)
    assert archive.items[0]["id"] in str(summary)
    assert len(before) == 4
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_hole_of_a_refused_neighbour_is_no_chip(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for tile in ((4, 10), (3, 9)):
        archive.add("LC08", f"2020-07-01{NOON}", tile)
    archive.items[1]["properties"]["proj:shape"] = [4999, 5000]
    run(f"1211,7,{CORNER[0]},{CORNER[1]}")
    assert not list((tmp_path / "out").rglob("*.png"))
    assert set(outcomes(tmp_path).values()) == {"refused"}


@pytest.mark.deep
def test_plots_without_items_do_not_hold_up_the_others(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    x, y = INSIDE
    summary = run(f"p,1,{x + 9 * 150000},{y}", f"1211,7,{x},{y}")
    assert not summary.complete
    assert rows(tmp_path)["doy"].tolist() == ["183"]
    assert str(summary).startswith("Plots without any item: 1 (1). Check --grid")
    assert "2 plots: 1 completed now, 0 already done, 0 incomplete, 1 without" in str(summary)
    assert "without any observation written" not in str(summary)
    assert Project(tmp_path / "out").plots["status"].tolist() == ["no items", "complete"]
    (problem,) = verify(tmp_path / "out").to_dict("records")
    assert (problem["project_id"], problem["kind"]) == ("p", "not done")
    assert "no item" in problem["problem"]
    assert not run(f"p,1,{x + 9 * 150000},{y}", f"1211,7,{x},{y}").complete  # nor the next time


def test_nothing_found_is_no_success_of_the_command(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    items, plots = str(archive.write_items()), tmp_path / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    given = [str(plots), "--source", items, "--datetime", "1983/1985"]
    told = "Plots without any item: 1 (7). Check --grid, --datetime and --source"
    for command in (["plan"], ["extract", "-q", "--out", str(tmp_path / "out")]):
        result = CliRunner().invoke(main, [command[0], *given, *command[1:]])
        assert result.exit_code == (0 if command == ["plan"] else 1)
        assert result.stdout.startswith(told)
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "out")]).exit_code == 1


@pytest.mark.parametrize("text", ['{"type": "FeatureCollection", "features": []}', "[]"])
def test_an_empty_file_of_items_is_named(
    archive: SmallArchive, run: Callable[..., Summary], text: str
) -> None:
    path = archive.write_items()
    archive.items.clear()
    with pytest.raises(InputError, match=r"items\.json: it holds no items at all"):
        run()
    path.write_text(text)
    with pytest.raises(InputError, match=r"items\.json: it holds no items at all"):
        search_items([(3, 9)], Archive(path))


def contents(out: Path) -> dict[Path, bytes]:
    """All that a project holds but for its ledger."""
    parts = [path for path in out.rglob("*") if path.is_file()]
    return {p.relative_to(out): p.read_bytes() for p in parts if "ledger" not in p.parts}


NARROWER: list[tuple[dict[str, Any], str]] = [
    ({"sensors": ("LC08",)}, "1 sensor not asked for"),
    ({"season": "06-01/06-30"}, "2 outside the season"),
    ({"max_cloud": 20}, "1 cloud cover above 20 %"),
    ({"slc_off": False}, "1 scan line corrector off"),
    ({"clear_only": True}, "1 not clear at the plot"),
    ({"datetime": "2020-07"}, "1 of other dates"),
]


@pytest.fixture
def mixed(archive: SmallArchive) -> SmallArchive:
    """Three days, of which each filter of `NARROWER` leaves out some."""
    for sensor, day, qa in (
        ("LC08", "06-01", CLEAR),
        ("LE07", "07-01", CLEAR),
        ("LC08", "07-09", CLOUD),
    ):
        archive.add(sensor, f"2020-{day}{NOON}", values={"qa_pixel": qa})
    for item, cover in zip(archive.items, (1.0, 30.0, 2.0), strict=True):
        item["properties"]["eo:cloud_cover"] = cover
    return archive


@shows("filters that leave out what is there", "run")
@pytest.mark.parametrize(("options", "told"), NARROWER)
@pytest.mark.deep
def test_what_narrower_filters_would_remove_is_counted_and_stays_unless_pruned(
    mixed: SmallArchive,
    run: Callable[..., Summary],
    tmp_path: Path,
    options: dict[str, Any],
    told: str,
) -> None:
    formats = ("png", "csv", "zarr")
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    run(formats=formats)
    before = contents(out), Project(out).plots.to_dict("records")
    with pytest.raises(ProjectError, match=rf"{told}.*; plots: 7\).*--prune"):
        run(formats=formats, **options)
    assert (contents(out), Project(out).plots.to_dict("records")) == before
    assert verify(out).empty

    summary = run(formats=formats, prune=True, **options)
    run(formats=formats, out=fresh, **options)
    assert contents(out) == contents(fresh)
    gone = sum(path.suffix == ".csv" for path in before[0].keys() - contents(out).keys())
    told = "1 observation" if gone == 1 else f"{gone} observations"
    assert f"Removed by --prune: {told} of 1 plot (7)" in str(summary)
    assert verify(out).empty
    assert run(formats=formats).complete  # to widen is free
    assert contents(out) == before[0]


@pytest.mark.deep
def test_filters_that_remove_nothing_are_free(
    mixed: SmallArchive, run: Callable[..., Summary]
) -> None:
    run(datetime="2020")
    summary = run(datetime="2020-06/2021", sensors=("LC08", "LE07"), max_cloud=30)
    assert summary.complete
    assert summary.rows["written"].tolist() == [3]
    assert summary.stale.empty


@shows("items gone or refused by now", "STAC API")
@pytest.mark.parametrize("way", ["gone", "refused", "cloudy"])
@pytest.mark.deep
def test_what_the_catalog_lost_is_kept_told_and_removed_only_by_prune(
    mixed: SmallArchive, run: Callable[..., Summary], tmp_path: Path, way: str
) -> None:
    """Of a later search, with the same filters: files, cube and ledger stay as they are."""
    formats, out = ("png", "csv", "zarr"), tmp_path / "out"
    run(formats=formats, max_cloud=50)
    before = contents(out)
    item = mixed.items[1]
    if way == "gone":
        mixed.items.remove(item)
    elif way == "refused":
        item["properties"]["proj:shape"] = [1, 1]
    else:
        item["properties"]["eo:cloud_cover"] = 70.0
    for _ in range(2):
        summary = run(formats=formats, max_cloud=50, refresh=True)
        assert summary.complete
        assert "Kept from earlier runs: 1 observation of 1 plot (7)" in str(summary)
        assert contents(out) == before
        assert Project(out).plots["written"].tolist() == [3]
        assert verify(out).empty
    mixed.add("LC08", f"2021-06-01{NOON}")
    run(formats=formats, max_cloud=50, refresh=True)
    assert contents(out).items() > {k: v for k, v in before.items() if k.suffix == ".png"}.items()
    assert verify(out).empty

    summary = run(formats=formats, max_cloud=50, prune=True)
    run(formats=formats, max_cloud=50, out=tmp_path / "fresh")
    assert "Removed by --prune: 1 observation" in str(summary)
    assert contents(out) == contents(tmp_path / "fresh")
    assert verify(out).empty


@pytest.fixture
def shared_day(archive: SmallArchive) -> SmallArchive:
    """Two days, one of them seen by two platforms: the newer one has its files."""
    for sensor, day in (("LC08", "06-01"), ("LC09", "07-01"), ("LE07", "07-01")):
        archive.add(sensor, f"2022-{day}{NOON}")
    return archive


def in_cube(out: Path) -> list[str]:
    with Project(out).cube(("1211", "7")) as cube:
        return [str(sensor) for sensor in cube["sensor"].values]


@pytest.mark.deep
def test_what_a_cube_alone_would_lose_is_counted_too(
    shared_day: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    """The other platform of a day has no files, and is in the cube."""
    formats, out = ("png", "csv", "zarr"), tmp_path / "out"
    run(formats=formats)
    before = contents(out)
    with pytest.raises(ProjectError, match=r"removed: 1 \(1 scan line corr"):
        run(formats=formats, slc_off=False)
    assert contents(out) == before
    run(formats=formats, slc_off=False, prune=True)
    run(formats=formats, slc_off=False, out=tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")
    assert in_cube(out) == ["LC08", "LC09"]


@pytest.mark.deep
def test_the_other_platform_of_a_day_is_no_loss_where_there_is_no_cube(
    shared_day: SmallArchive, run: Callable[..., Summary]
) -> None:
    run()
    assert run(slc_off=False).complete


@pytest.mark.parametrize("sensor", ["LC09", "LE07"])
@pytest.mark.parametrize("way", ["gone", "refused"])
@pytest.mark.deep
def test_of_a_day_of_two_platforms_the_catalog_loses_one(
    shared_day: SmallArchive, run: Callable[..., Summary], tmp_path: Path, sensor: str, way: str
) -> None:
    """Files and cube stay as they are, whichever of the two has the files."""
    formats, out = ("png", "csv", "zarr"), tmp_path / "out"
    run(formats=formats)
    before = contents(out)
    (item,) = [item for item in shared_day.items if item["id"].startswith(sensor)]
    if way == "gone":
        shared_day.items.remove(item)
    else:
        item["properties"]["proj:shape"] = [1, 1]
    for _ in range(2):
        summary = run(formats=formats, refresh=True)
        assert summary.complete
        assert "Kept from earlier runs: 1 observation of 1 plot (7)" in str(summary)
        assert contents(out) == before
        assert in_cube(out) == ["LC08", "LC09", "LE07"]
        assert verify(out).empty
    run(formats=formats, prune=True)
    run(formats=formats, out=tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")
    assert verify(out).empty


@pytest.mark.deep
def test_a_platform_that_comes_to_a_day_of_what_is_gone_waits(
    shared_day: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    """The day has files of an observation that can't be read any more: they stay."""
    del shared_day.items[2]
    run()
    before, gone = contents(tmp_path / "out"), shared_day.items.pop(1)
    shared_day.add("LE07", f"2022-07-01{NOON}")
    for more in ((), ("zarr",)):
        summary = run(formats=("png", "csv", *more), refresh=True)
        assert summary.complete == (not more)  # the cube can't have what is gone
        assert contents(tmp_path / "out").items() >= before.items()
    assert outcomes(tmp_path)["LE07 2022-07-01"] == "filtered"
    shared_day.items.append(gone)
    run(formats=("png", "csv", "zarr"), refresh=True)
    assert in_cube(tmp_path / "out") == ["LC08", "LC09", "LE07"]
    assert contents(tmp_path / "out").items() >= before.items()
    assert verify(tmp_path / "out").empty


@pytest.mark.parametrize("more", ["zarr", "png"])
@pytest.mark.deep
def test_what_is_gone_lacks_a_new_product_and_is_told(
    mixed: SmallArchive, run: Callable[..., Summary], tmp_path: Path, more: str
) -> None:
    run(formats="csv")
    del mixed.items[1]
    for _ in range(2):
        summary = run(formats=("csv", more), refresh=True)
        assert not summary.complete
        assert "or extract with --prune" in str(summary)
        assert len(list((tmp_path / "out/prj_1211").glob("*.csv"))) == 3
    assert run(formats=("csv", more), prune=True).complete
    assert verify(tmp_path / "out").empty


def test_the_command_refuses_to_narrow_before_the_first_request(
    mixed: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    run()
    before = contents(tmp_path / "out")
    options = ["--out", str(tmp_path / "out"), "--chip-size", "9", "9", "--sensors", "LC08"]
    source = ["--source", "http://127.0.0.1:1/nothing", "-q"]
    result = CliRunner().invoke(main, ["extract", str(tmp_path / "plots.csv"), *options, *source])
    assert result.exit_code == 2
    assert "observations would be removed: 1 (" in result.output
    assert contents(tmp_path / "out") == before


@pytest.mark.deep
def test_a_year_of_which_nothing_was_written_tells_why_and_a_window_needs_a_cube(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    for day, qa in (("2017-07-01", CLEAR), ("2019-07-01", 1), ("2019-08-01", 1), ("2020-07-01", 1)):
        archive.add("LC08", f"{day}{NOON}", values={"qa_pixel": qa, "blue": 9000})
    archive.add("LE07", f"2020-06-01{NOON}", values={"qa_pixel": CLEAR, "blue": 9000})
    archive.add("LC08", f"2021-07-01{NOON}", values={"qa_pixel": CLEAR, "blue": 9000})
    run(sensors=("LC08",))
    chosen = Project(tmp_path / "out").annual().set_index("year")["cause"]
    assert chosen.to_dict() == {
        2017: "",
        2018: "no observation",
        2019: "none was written: 2 fill at plot",
        2020: "none was written: 1 fill at plot, 1 filtered",
        2021: "",
    }
    table = tmp_path / "window.csv"
    result = CliRunner().invoke(main, ["window", str(tmp_path / "out"), "--out", str(table)])
    assert result.exit_code == 1
    assert "1 plot has no cube: run timesync-xr extract again with" in result.stderr
    assert not table.exists()


@pytest.mark.deep
def test_plots_in_one_pixel_are_told(archive: SmallArchive, run: Callable[..., Summary]) -> None:
    """A pixel owns its left and upper edge; other projects may have the same plots."""
    archive.add("LC08", f"2020-07-01{NOON}")
    x, y = INSIDE
    places = {"a": (x - 15, y + 15), "b": (x + 14, y - 14), "c": (x + 15, y), "d": (x - 16, y)}
    lines = [f"p,{name},{east},{north}" for name, (east, north) in places.items()]
    told = str(run(*lines, f"q,a,{x},{y}"))
    assert "Plots in one pixel, so that their chips are the same: a and b\n" in told
    assert "in one pixel" not in str(run(f"q,a,{x},{y}"))


def test_a_table_of_plots_is_checked_like_a_list(archive: SmallArchive, tmp_path: Path) -> None:
    x, y = INSIDE
    good = {"project_id": "p", "plot_id": "1", "x": x, "y": y, "offset": 0.0}
    for table, message in (
        (pd.DataFrame([good]).drop(columns="offset"), "lack offset"),
        (pd.DataFrame([good | {"project_id": "../e"}]), "project_id"),
        (pd.DataFrame([good, good]), "there twice"),
        (pd.DataFrame([good | {"x": 1e9}]), "outside the CU grid"),
    ):
        with pytest.raises(InputError, match=message):
            extract(table, tmp_path / "out", Archive(archive.write_items()), progress=False)
    assert not (tmp_path / "out").exists()


def test_a_mirror_that_fits_nothing_is_an_error_not_a_bill(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}")
    with pytest.raises(InputError, match=r"no mirror is for .*s3://usgs-landsat-ard/"):
        run(mirror=f"s3://usgs-landsat-a={archive.folder}")
    with pytest.raises(InputError, match="does not exist"):
        run(mirror="s3://usgs-landsat-ard=/nowhere")


@pytest.mark.deep
def test_both_ends_of_a_time_are_inside(archive: SmallArchive, run: Callable[..., Summary]) -> None:
    for time in ("2019-12-31T23:59:59.9999999Z", "2020-01-01T00:00:00.0Z"):
        archive.add("LC08", time)
    archive.add("LE07", "2020-12-31T23:59:59.999999Z")
    assert run(datetime="2020").rows["observations"].tolist() == [2]


@pytest.mark.deep
def test_years_in_which_only_fill_was_seen_are_told(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    fill = {"qa_pixel": 1}
    for year, values in ((2018, fill), (2020, None), (2021, fill)):
        archive.add("LC08", f"{year}-07-01{NOON}", values=values)
    run()
    chosen = Project(tmp_path / "out").annual()
    assert chosen["year"].tolist() == [2018, 2019, 2020, 2021]
    assert chosen["observations"].tolist() == [0, 0, 1, 0]
    told = "none was written: 1 fill at plot"
    assert chosen["cause"].tolist()[::3] == [told, told]
    assert chosen.dtypes.equals(Project(tmp_path / "out").annual().head(0).dtypes)
    summary = run(f"1211,9,{INSIDE[0]},{INSIDE[1]}", out=tmp_path / "dark", datetime="2021")
    assert str(summary).startswith("Plots without any observation written: 1 (9)\n")
    assert Project(tmp_path / "dark").annual()[["year", "cause"]].values.tolist() == [[2021, told]]


def test_a_run_that_writes_nothing_is_no_success(archive: SmallArchive, tmp_path: Path) -> None:
    """Also a quiet one: it tells what it did, as where a plot is incomplete."""
    archive.add("LC08", f"2020-07-01{NOON}")
    plots = tmp_path / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    command = ["extract", str(plots), "--out", str(tmp_path / "out"), "-q"]
    command += ["--source", str(archive.write_items()), "--mirror", archive.mirror]
    for done in ("1 completed now, 0 already done", "0 completed now, 1 already done"):
        result = CliRunner().invoke(main, [*command, "--sensors", "LT05"])
        assert result.exit_code == 1
        assert result.stdout.startswith("Plots without any observation written: 1 (7)\n")
        assert done in result.stdout
    assert CliRunner().invoke(main, command).exit_code == 0
    assert CliRunner().invoke(main, command).stdout == ""


def test_tiers_that_ard_lacks_are_refused(
    archive: SmallArchive, run: Callable[..., Summary], tmp_path: Path
) -> None:
    archive.add("LC08", f"2020-07-01{NOON}", write=False)
    with pytest.raises(InputError, match=r"U\.S\. ARD has Tier 1 alone, not T2: leave out --tier"):
        run(tiers="T2")
    assert not (tmp_path / "out").exists()
