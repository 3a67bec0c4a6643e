"""What a project says of itself is true at any moment, whatever was done and left undone."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.archive import SmallArchive
from tests.making import make
from tests.run.test_model import Stop, contents, stopped
from tests.tally import shows
from timesync_xr import (
    Archive,
    Project,
    Summary,
    combine,
    export_project,
    repair,
    verify,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, LeftOutWarning, LossError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.project import rows
from timesync_xr.project.files import png_bytes
from timesync_xr.project.ledger import Ledger
from timesync_xr.run import plot as run_plot
from timesync_xr.run.render import render

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
NOON = "T18:30:00.1234567Z"
LIST = f"p,7,{X},{Y}"
Run = Callable[..., Summary]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for month in range(1, 6):
        archive.add("LC08", f"2020-{month:02d}-05{NOON}")
    return archive


@pytest.fixture
def items(archive: SmallArchive) -> list[dict[str, Any]]:
    """The items of the archive, to be changed at will."""
    return [json.loads(json.dumps(item)) for item in archive.items[:5]]


@pytest.fixture
def made_of(
    archive: SmallArchive, items: list[dict[str, Any]], tmp_path: Path
) -> Callable[[], Archive]:
    def of() -> Archive:
        path = tmp_path / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        return Archive(path, mirror=archive.mirror)

    return of


@pytest.fixture
def run(made_of: Callable[[], Archive], tmp_path: Path) -> Run:
    def call(*lines: str, out: str = "out", **options: Any) -> Summary:
        plots = tmp_path / "plots.csv"
        plots.write_text("\n".join(["project_id,plot_id,x,y", *(lines or [LIST])]))
        return make(plots, tmp_path / out, made_of(), **{"chip_size": 3} | options)

    return call


def command(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@shows("a plot that moved", "output")
@pytest.mark.deep
def test_a_plot_that_moved_before_the_ledger_knew_it_is_refused_or_made_anew(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is stopped between a plot's log and its row."""

    def stop(*_: Any) -> None:
        raise Stop

    with monkeypatch.context() as patch, suppress(Stop):
        patch.setattr(Ledger, "record", _second(Ledger.record, stop))
        run(LIST, formats="png,csv,zarr")
    assert (tmp_path / "out/ledger/observations/prj_p/plot_7.csv").exists()
    moved = f"p,7,{X + 300},{Y}"
    with pytest.raises(ProjectError, match=r"was made at x .*--prune"):
        run(moved, formats="png,csv,zarr")
    assert "5 observations" in str(run(moved, formats="png,csv,zarr", prune=True))
    run(moved, formats="png,csv,zarr", out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def _second(first: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    """Does one thing when called first, and another from then on."""
    calls = [0]

    def call(*args: Any) -> Any:
        calls[0] += 1
        return (first if calls[0] == 1 else then)(*args)

    return call


@shows("a plot that moved", "output")
@pytest.mark.deep
def test_a_log_of_another_place_is_refused_also_where_the_ledger_is_lost(
    run: Run, tmp_path: Path
) -> None:
    run(LIST, formats="png,csv")
    before = contents(tmp_path / "out")
    table = tmp_path / "out/ledger/plots.csv"
    text = table.read_text()
    table.unlink()
    with pytest.raises(ProjectError, match=r"was made at the pixels CU .* 3x3.*--prune"):
        run(f"p,7,{X + 300},{Y}")
    table.write_text(text.replace(str(X), str(X + 300)))
    shutil.rmtree(tmp_path / "out/ledger/recent")
    (problem,) = verify(tmp_path / "out").to_dict("records")
    assert problem["file"] == "ledger/observations/prj_p/plot_7.csv"
    assert "it is about the pixels" in problem["problem"]
    table.write_text(text)
    assert contents(tmp_path / "out") == before


@pytest.mark.deep
def test_a_cube_of_another_place_is_found_and_not_taken(run: Run, tmp_path: Path) -> None:
    for out, x in (("out", X), ("other", X + 300)):
        run(f"p,7,{x},{Y}", out=out, formats="png,csv,zarr")
    good = contents(tmp_path / "out")
    path = "prj_p/cubes/plot_7.zarr"
    shutil.rmtree(tmp_path / "out" / path)
    shutil.copytree(tmp_path / "other" / path, tmp_path / "out" / path)
    (problem,) = verify(tmp_path / "out").to_dict("records")
    assert "it is of another place" in problem["problem"]
    run(formats="png,csv,zarr", refresh=True)
    assert contents(tmp_path / "out") == good


@pytest.mark.deep
def test_one_pixel_of_a_cube_that_changed_is_found(run: Run, tmp_path: Path) -> None:
    import zarr

    run(formats="png,csv,zarr")
    array: Any = zarr.open_array(tmp_path / "out/prj_p/cubes/plot_7.zarr/digital_number", mode="a")
    array[2, 3, 0, 2] = array[2, 3, 0, 2] + 1
    (problem,) = verify(tmp_path / "out").to_dict("records")
    assert "checksum" in problem["problem"]
    assert problem["kind"] == "broken"


def test_the_checksum_is_the_crc_of_the_digital_numbers(run: Run, tmp_path: Path) -> None:
    run(formats="zarr")
    project = Project(tmp_path / "out")
    with project.cube(("p", "7")) as cube:
        found = [f"{zlib.crc32(one.astype('<u2').tobytes()):08x}" for one in cube.to_numpy()]
    assert project.log(("p", "7"))["checksum"].tolist() == found


@shows("an item in place of another", "output")
@pytest.mark.deep
def test_render_draws_what_changed_and_nothing_else(
    run: Run, archive: SmallArchive, items: list[dict[str, Any]], tmp_path: Path
) -> None:
    run(formats="png,csv,zarr")
    assert len(render(tmp_path / "out", tmp_path / "drawn", progress=False)) == 1
    items[2] = archive.add("LC08", f"2020-03-05{NOON}", processed="20230101")
    run(formats="png,csv,zarr", refresh=True)
    assert len(render(tmp_path / "out", tmp_path / "drawn", progress=False)) == 1
    assert len(render(tmp_path / "out", tmp_path / "drawn", progress=False)) == 0
    render(tmp_path / "out", tmp_path / "fresh", progress=False)
    assert contents(tmp_path / "drawn") == contents(tmp_path / "fresh")
    assert not verify(tmp_path / "drawn").size


@shows("a day that is gone", "output")
@pytest.mark.deep
def test_render_removes_only_what_it_may(
    run: Run, items: list[dict[str, Any]], tmp_path: Path
) -> None:
    run(formats="png,csv,zarr")
    render(tmp_path / "out", tmp_path / "drawn", progress=False)
    before = contents(tmp_path / "drawn")
    del items[2]
    run(formats="png,csv,zarr", refresh=True, prune=True)
    with pytest.raises(LossError, match=r"removed, since .*: 1 \(plots: 7\).*--prune"):
        render(tmp_path / "out", tmp_path / "drawn", progress=False)
    assert contents(tmp_path / "drawn") == before
    code, _ = command("render", tmp_path / "out", "--out", tmp_path / "drawn", "--prune", "-q")
    assert code == 0
    render(tmp_path / "out", tmp_path / "fresh", progress=False)
    assert contents(tmp_path / "drawn") == contents(tmp_path / "fresh")


@pytest.mark.deep
def test_render_refuses_a_plot_of_the_same_name_elsewhere(run: Run, tmp_path: Path) -> None:
    run(formats="zarr")
    run(f"p,7,{X + 300},{Y}", formats="zarr", out="other")
    render(tmp_path / "out", tmp_path / "drawn", progress=False)
    with pytest.raises(ProjectError, match="was rendered at x"):
        render(tmp_path / "other", tmp_path / "drawn", progress=False)


@shows("one name for two plots", "output")
@pytest.mark.parametrize(
    ("first", "second"), [("A", "a"), ("e\u0301", "\xe9"), ("Straße", "STRASSE")]
)
@pytest.mark.cases(1)
def test_a_name_that_would_be_anothers_file_is_refused_across_runs(
    run: Run, tmp_path: Path, first: str, second: str
) -> None:
    run(f"p,{first},{X},{Y}", formats="csv")
    with pytest.raises(InputError, match=r"plot_id .*in the project.* would be one file"):
        run(f"p,{second},{X + 300},{Y}", formats="csv")
    with pytest.raises(InputError, match=r"project_id 'P' and 'p' .*would be one file"):
        run(f"P,9,{X},{Y}", formats="csv")
    table = pd.DataFrame(
        {"project_id": "q", "plot_id": [first, second], "x": X, "y": Y, "offset": 0.0}
    )
    with pytest.raises(InputError, match="would be one file"):
        make(table, tmp_path / "new", Archive([]), chip_size=3)


def of_plot(found: dict[str, Any], plot: str) -> dict[str, Any]:
    """What of a project's contents is of one plot."""
    names = {name for name in found if re.search(rf"(/|plot_|cube ){plot}(_|\.|/|$)", name)}
    assert names
    return {name: found[name] for name in names}


def refresh_stopped(
    run: Run, archive: SmallArchive, items: list[dict[str, Any]], tmp_path: Path,
    stops: list[tuple[int, bool]],
) -> None:  # fmt: skip
    """Stop a refresh at each of some changes; what is left is told, and the next run mends it.

    Each plot is as before, as it is to be, or incomplete.
    """
    lists = (LIST, f"p,8,{X + 300},{Y}")
    run(*lists, formats="png,csv,zarr")
    items[1:3] = [archive.add("LC08", f"2020-02-05{NOON}", processed="20230202")]
    run(*lists, formats="png,csv,zarr", prune=True, out="fresh")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    fresh, before = contents(tmp_path / "fresh"), contents(tmp_path / "before")
    cut = 0
    for at, dead in stops:
        shutil.rmtree(tmp_path / "out")
        shutil.copytree(tmp_path / "before", tmp_path / "out")
        with stopped(at, dead=dead):
            run(*lists, formats="png,csv,zarr", refresh=True, prune=True)
        plots = Project(tmp_path / "out").plots
        combined = combine(tmp_path / "out", out=tmp_path / "combined")
        complete = bool((plots["status"] == "complete").all())
        cut += not complete
        if complete:
            assert verify(tmp_path / "out").empty
            made = contents(tmp_path / "out")
            for plot in ("7", "8"):
                assert of_plot(made, plot) in (of_plot(before, plot), of_plot(fresh, plot))
            assert combined.complete
        else:
            assert len(verify(tmp_path / "out"))
            assert not combined.complete
        lacking = plots["written"].sum() - combined.rows
        assert lacking == 0 or len(combined.left_out)
        run(*lists, formats="png,csv,zarr", prune=True)
        assert contents(tmp_path / "out") == fresh
        assert verify(tmp_path / "out").empty
    assert cut


@shows("a refresh that is stopped", "output")
@pytest.mark.deep
def test_a_refresh_is_stopped(
    run: Run, archive: SmallArchive, items: list[dict[str, Any]], tmp_path: Path
) -> None:
    stops = [(at, at % 3 > 0) for at in range(4, 40, 12)]
    refresh_stopped(run, archive, items, tmp_path, stops)


@pytest.mark.deep
@pytest.mark.parametrize("first", [1, 26])
@pytest.mark.parametrize("dead", [True, False])
def test_a_refresh_is_stopped_at_each_of_its_changes(
    run: Run, archive: SmallArchive, items: list[dict[str, Any]], tmp_path: Path, first: int,
    dead: bool,
) -> None:  # fmt: skip
    stops = [(at, dead) for at in range(first, first + 25)]
    refresh_stopped(run, archive, items, tmp_path, stops)


@shows("another text for a date", "output")
@pytest.mark.deep
def test_a_date_that_is_written_in_another_way_costs_no_pixel(
    run: Run, archive: SmallArchive, items: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The files get it, while the archive is not even there."""
    run(formats="png,csv,zarr")
    for item in items[1:4]:
        item["properties"]["datetime"] = item["properties"]["datetime"].replace("4567Z", "Z")
    run(formats="png,csv,zarr", out="fresh")
    away = archive.folder / "ard"
    away.rename(archive.folder / "away")
    try:
        summary = run(formats="png,csv,zarr", refresh=True)
    finally:
        (archive.folder / "away").rename(away)
    assert summary.complete
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert verify(tmp_path / "out").empty
    assert combine(tmp_path / "out").rows == 5


@shows("a day that is gone", "output")
@pytest.mark.deep
def test_a_day_that_goes_while_a_run_is_stopped_leaves_nothing(
    run: Run, items: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The files that it had made by then are known to the log, and go."""
    with stopped(22, dead=True):
        run(formats="png,csv")
    there = {path.name for path in (tmp_path / "out").rglob("prj_*/**/*2020_065*")}
    assert there
    del items[2]
    run(formats="png,csv", refresh=True)
    run(formats="png,csv", out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert verify(tmp_path / "out").empty


@pytest.mark.deep
def test_a_plot_that_is_given_up_keeps_what_is_finished(
    run: Run, items: list[dict[str, Any]], made_of: Callable[[], Archive], tmp_path: Path
) -> None:
    """Its workers died; what an earlier run made of it stays known."""
    rest = items.pop()
    run(formats="png,csv,zarr")
    items.append(rest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timesync_xr.run.extract.make_plot", _give_up)
        assert not run(formats="png,csv,zarr", refresh=True).complete
    log = Project(tmp_path / "out").log(("p", "7"))
    assert log["outcome"].tolist() == ["written"] * 4 + ["failed"]
    assert verify(tmp_path / "out")["kind"].tolist() == ["failed"]
    run(formats="png,csv,zarr")
    run(formats="png,csv,zarr", out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def _give_up(plot: Any, job: Any, tables: Any, folder: Any, _advance: Any) -> Any:
    return run_plot.give_up_plot(plot, job, tables, folder)


def test_what_a_dead_worker_left_half_written_goes_as_the_run_ends(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "out/ledger/tmp"

    def leave(*of: Any) -> Any:
        temporary.mkdir(parents=True, exist_ok=True)
        (temporary / "part").write_bytes(b"half")
        return run_plot.make_plot(*of)

    monkeypatch.setattr("timesync_xr.run.extract.make_plot", leave)
    assert run(LIST, formats="csv").complete
    assert not temporary.exists()


@shows("warnings that are silenced", "run")
def test_what_is_left_out_is_told_though_another_thread_silences_warnings(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libraries do for a moment, for all threads."""
    run(LIST, formats="png,csv")
    (tmp_path / "out/ledger/observations/prj_p/plot_7.csv").write_bytes(b"")
    kept = rows.kept_log

    def silenced(*of: Any) -> Any:
        warnings.simplefilter("ignore")
        return kept(*of)

    monkeypatch.setattr(rows, "kept_log", silenced)
    with warnings.catch_warnings():
        code, text = command("browse", tmp_path / "out")
    assert (code, "its log is damaged" in text) == (1, True)


@shows("a damaged log", "output")
@pytest.mark.parametrize(
    "damage",
    [
        ("day", "2x20-07-01"),
        b"",
        b"\0" * 500,
        b"date,day\n1,2\n",
        ("qa_pixel", "21q24"),
        ("qa_pixel", "70000"),
        ("clear_share", "-5"),
        ("cloud_cover", "inf"),
        ("bands_filled", "7"),
    ],
)
@pytest.mark.deep
def test_a_damaged_log_is_a_problem_of_its_plot(
    run: Run, made_of: Callable[[], Archive], tmp_path: Path, damage: bytes | tuple[str, str]
) -> None:
    """Of the whole file, or of a cell in it."""
    run(LIST, f"p,8,{X + 300},{Y}", formats="png,csv,zarr")
    out = tmp_path / "out"
    good = contents(out)
    log = out / "ledger/observations/prj_p/plot_7.csv"
    if isinstance(damage, bytes):
        data = damage
    else:
        rows = pd.read_csv(log, dtype=str, keep_default_na=False)
        rows.loc[0, damage[0]] = damage[1]
        data = rows.to_csv(index=False).encode()
    log.write_bytes(data)
    (problem,) = verify(out).to_dict("records")
    assert (problem["kind"], problem["file"]) == ("broken", log.relative_to(out).as_posix())
    combined = combine(out)
    assert (combined.rows, len(combined.left_out), combined.complete) == (5, 1, False)
    for words in (["observations"], ["annual"], ["browse"], ["sheet"], ["combine"]):
        code, text = command(*words, out)
        assert code == 1, text
        assert "its log is damaged" in text
    for form in ("v3-json", "sqlite"):
        code, text = command("export", out, "--format", form)
        assert (code, "plot 7: its log is damaged" in text) == (1, True)
    for table in (Project(out).spectra, Project(out).observations, Project(out).annual):
        with pytest.warns(LeftOutWarning, match="plot 7: its log is damaged"):
            assert {*table()["plot_id"]} == {"8"}
    code, text = command("packets", out, "--out", tmp_path / "packets", "--files", "copy")
    assert (code, "can't be handed out" in text) == (1, True)
    repair(out, verify(out), made_of(), progress=False)
    assert contents(out) == good
    log.write_bytes(data)
    run(LIST, f"p,8,{X + 300},{Y}", formats="png,csv,zarr", refresh=True)
    assert contents(out) == good


@shows("fewer files than the ledger says", "output")
@pytest.mark.deep
def test_what_the_ledger_has_and_an_export_lacks_is_told(run: Run, tmp_path: Path) -> None:
    run(formats="png,csv")
    out = tmp_path / "out"
    log = out / "ledger/observations/prj_p/plot_7.csv"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-2]))
    found = combine(out)
    assert (found.rows, found.complete) == (3, False)
    assert found.left_out["problem"].tolist() == ["the ledger counts 5 observations, the log 3"]
    log.write_text("".join(lines))
    next(out.glob("prj_p/*.csv")).unlink()
    for words in (["annual"], ["combine"], ["browse"], ["export", "--format", "v3-json"]):
        code, text = command(words[0], out, *words[1:])
        assert (code, "the file is missing" in text) == (1, True), text
    with pytest.warns(LeftOutWarning, match="the file is missing"):
        assert export_project(out, "sqlite").count == 4


@shows("corrupt bytes", "output")
def test_an_odd_chip_is_a_problem_of_its_own(run: Run, tmp_path: Path) -> None:
    """A second header of another kind of pixels, and a folder in place of a file."""
    run(formats="png,csv")
    out = tmp_path / "out"
    first, second, third, *_ = sorted(out.glob("prj_p/tc/plot_7/*"))
    data = png_bytes(np.zeros((3, 3, 3), np.uint8))
    header = b"IHDR" + data[16:24] + bytes((8, 0, 0, 0, 0))
    chunk = len(header[4:]).to_bytes(4) + header + zlib.crc32(header).to_bytes(4)
    first.write_bytes(data[:33] + chunk + data[33:])
    for path in (second, third.with_name("more.png"), next(out.glob("prj_p/*.csv"))):
        path.unlink(missing_ok=True)
        path.mkdir()
    problems = verify(out)
    assert problems["kind"].value_counts().to_dict() == {"broken": 3, "stray": 1}
    assert problems["problem"].str.contains("Is a directory").sum() == 2


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"layout": 7}',
        ("left", "Infinity"),
        ("left", "1e400"),
        ("chip_size", "[0, 5]"),
        ("chip_size", "[5.5, 5]"),
    ],
)
@pytest.mark.cases(1)
def test_damaged_settings_are_named(
    run: Run, tmp_path: Path, damage: str | tuple[str, str]
) -> None:
    run(formats="csv")
    path = tmp_path / "out/ledger/project.json"
    text = path.read_text()
    if isinstance(damage, tuple):
        kept = json.loads(text)
        (kept["grid"] if damage[0] in kept["grid"] else kept)[damage[0]] = "HERE"
        damage = json.dumps(kept).replace('"HERE"', damage[1])
    path.write_text(damage)
    for words in (["verify"], ["combine"], ["observations"]):
        code, told = command(*words, path.parents[1])
        assert code == 1, told
        assert re.search(r"project\.json(: it)? is damaged", told)
    path.unlink()
    with pytest.raises(ProjectError, match=r"project\.json is missing"):
        run(formats="csv")


@pytest.mark.deep
def test_ids_of_any_length_are_exported(run: Run, tmp_path: Path) -> None:
    ids = ["1" * 15, "1" * 16, "9" * 19, "9" * 40]
    run(*(f"p,{name},{X + 300 * n},{Y}" for n, name in enumerate(ids)), formats="csv")
    export_project(tmp_path / "out", "sqlite")
    export_project(tmp_path / "out", "v3-json")
    exports = tmp_path / "out/exports"
    with sqlite3.connect(exports / "spectra.sqlite") as database:
        rows = database.execute("SELECT DISTINCT plotid FROM region_spectrals").fetchall()
    database.close()
    wanted = {int("1" * 15), *ids[1:]}
    assert {row[0] for row in rows} == wanted
    found = [json.loads(path.read_text()) for path in exports.glob("v3-json/prj_p/*")]
    assert {records[0]["plotid"] for records in found} == wanted
