"""Rows of spectra of all observations, with chips of the best of each year alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.archive import BUCKET
from tests.making import make
from tests.run.test_yearly import (
    BRIGHT,
    CLOUD,
    DARK,
    FILL,
    LinkedArchive,
    files,
    log_of,
    plots,
    random_archive,
    run,
    written,
)
from tests.servers import file_server
from timesync_xr import (
    Archive,
    ChipsPerYear,
    Products,
    Project,
    archive_files,
    browse,
    combine,
    export_project,
    extract,
    plan,
    render,
    repair,
    verify,
    write_packets,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, LossError
from timesync_xr.project.log import OF_CHIP, WITHOUT_CHIP, WRITTEN, is_in_cube
from timesync_xr.raster import reader

ONE, TWO = (ChipsPerYear(count, all_rows=True) for count in (1, 2))
WHY = "not among the {} best of its year"


@pytest.fixture
def few(tmp_path: Path) -> LinkedArchive:
    """Two years: one day that is best in each, a cloudy, a bright and a filled one beside, and one
    day of two platforms that the plot pixel does not tell apart."""
    archive = LinkedArchive(tmp_path / "archive")
    for day, qa, bands in (
        ("2019-08-03", 21824, DARK), ("2019-08-10", CLOUD, DARK), ("2019-09-01", 21824, BRIGHT),
        ("2020-08-02", 21824, DARK), ("2020-05-01", 21824, DARK), ("2020-06-01", FILL, DARK),
    ):  # fmt: skip
        archive.see("LC08", day, qa, bands)
    for sensor in ("LE07", "LC09"):
        archive.see(sensor, "2020-10-01")
    return archive


def rows(project: Project) -> dict[str, bytes]:
    return {name: data for name, data in files(project).items() if name.endswith(".csv")}


def seen(project: Project, day: str, sensor: str) -> dict[str, str]:
    """The row of an observation in the log."""
    log = log_of(project)
    (row,) = log[(log["day"] == day) & (log["sensor"] == sensor)].to_dict("records")
    return {str(name): str(value) for name, value in row.items()}


def chips(project: Project) -> set[str]:
    return {name for name in files(project) if name.endswith(".png")}


def as_without_chips(full: Project, chosen: set[str], count: int) -> pd.DataFrame:
    """The log of a full run, as it is where these days alone get chips."""
    log = log_of(full)
    bare = (log["outcome"] == WRITTEN) & ~log["day"].isin(chosen)
    log.loc[bare, ["outcome", "cause"]] = [WITHOUT_CHIP, WHY.format(count)]
    pixel_alone = ~log["day"].isin(chosen) & (log["outcome"].isin([WITHOUT_CHIP, "other platform"]))
    log.loc[pixel_alone, list(OF_CHIP)] = ""
    return log


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_a_full_run_and_chips_those_of_the_best(
    tmp_path: Path, seed: int
) -> None:
    archive, dice = random_archive(tmp_path / "archive", seed), random.Random(seed)
    full = run(tmp_path / "full", archive.source, None)
    options: dict[str, Any] = {
        "rule": dice.choice(("contract", "graded")),
        "target_day": dice.randint(1, 366),
    }
    count = dice.choice((1, 2))
    plain = run(tmp_path / "plain", archive.source, ChipsPerYear(count, **options))
    some = run(tmp_path / "some", archive.source, ChipsPerYear(count, **options, all_rows=True))
    assert rows(some) == rows(full)
    assert chips(some) == chips(plain)
    assert files(plain).items() <= files(some).items() <= files(full).items()
    pd.testing.assert_frame_equal(some.annual(**options), full.annual(**options))
    pd.testing.assert_frame_equal(some.series(), full.series())
    log, wanted = log_of(some), as_without_chips(full, written(plain), count)
    tied = (log["outcome"] == "other platform") & (log["checksum"] != "")
    of_chip = log["day"].isin(log.loc[tied, "day"]).to_numpy()  # whole chips were read of these
    wanted.loc[of_chip] = log_of(full).assign(outcome=wanted["outcome"], cause=wanted["cause"])
    pd.testing.assert_frame_equal(log, wanted)
    assert verify(some).empty


@pytest.mark.deep
def test_a_row_without_a_chip_is_a_state_of_its_own(few: LinkedArchive, tmp_path: Path) -> None:
    """What the log, the ledger, the summary and the readers make of it."""
    full = run(tmp_path / "full", few.source, None)
    summary = make(plots(tmp_path), tmp_path / "out", few.source, chip_size=3, chips_per_year=ONE)
    assert "8 observations: 2 written, 4 more without a chip, 1 rejected" in str(summary)
    some = Project(tmp_path / "out")
    assert rows(some) == rows(full)
    assert written(some) == {"2019-08-03", "2020-08-02"}
    assert len(chips(some)) == 6
    row = some.plots.iloc[0]
    counted = row[["written", "without_chip", "other_platform", "fill_at_plot", "filtered"]]
    assert counted.tolist() == [2, 4, 1, 1, 0]
    assert row["filters"] == "chips-per-year=1 all-rows"
    assert seen(some, "2020-10-01", "LE07")["outcome"] == "other platform"
    newer = seen(some, "2020-10-01", "LC09")
    assert (newer["outcome"], newer["fill_share"]) == (WITHOUT_CHIP, "0.0000")  # chips were read
    assert seen(some, "2020-05-01", "LC08")["fill_share"] == ""
    assert verify(some).empty
    assert verify(some, quick=True).empty
    pd.testing.assert_frame_equal(some.spectra(), full.spectra())
    observations = some.observations()
    assert observations["outcome"].value_counts()[WITHOUT_CHIP] == 4
    assert (
        observations.loc[observations["outcome"] == WITHOUT_CHIP, "fill_share"].notna().sum() == 1
    )
    combined = combine(some, out=tmp_path / "combined")
    assert (combined.rows, combined.without_chip) == (2, 4)
    assert "with 4 more without a chip" in str(combined)
    table = (tmp_path / "combined/spectra.csv").read_bytes()
    combine(full, out=tmp_path / "whole")
    assert table == (tmp_path / "whole/spectra.csv").read_bytes()
    export_project(some, "sqlite", tmp_path / "exports")
    assert _urls(tmp_path / "exports/spectra.sqlite") == ["20190803", "20200802"]


def _urls(database: Path) -> list[str]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute(
            "SELECT image_year, image_julday FROM region_spectrals WHERE url != ''"
        )
        return [f"{pd.Timestamp(y, 1, 1) + pd.Timedelta(d - 1, 'D'):%Y%m%d}" for y, d in found]


def test_pages_know_what_has_no_chip(few: LinkedArchive, tmp_path: Path) -> None:
    import json

    some = run(tmp_path / "out", few.source, ONE)
    browse(some, tmp_path / "site", rule="graded", target_day=121)
    text = (tmp_path / "site/data/prj_p/plot_7.js").read_text()
    record = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    told = dict(zip(record["observations"]["day"], record["observations"]["no_chip"], strict=True))
    assert len(told) == 6
    assert {day for day, why in told.items() if not why} == written(some)
    assert set(told.values()) == {"", WHY.format(1)}
    assert all(value is not None for value in record["observations"]["nbr"])
    assert len(list((tmp_path / "site").rglob("prj_p/*/*/*.png"))) == 6
    chosen = [record["observations"]["day"][n] for n in record["annual_by_rule"]["graded"]]
    assert "2020-05-01" in chosen  # the page has an empty slot for it
    assert [row[2] for row in record["rest"]] == ["fill at plot", "other platform"]


@pytest.mark.deep
def test_verify_tells_a_row_without_a_chip_from_a_lost_chip(
    few: LinkedArchive, tmp_path: Path
) -> None:
    some = run(tmp_path / "out", few.source, ONE)
    before = files(some)
    root = tmp_path / "out/prj_p"
    (root / "tc/plot_7/plot_7_2020_215.png").unlink()  # of a chosen day
    (root / "7_spectral_files_set_2020_122.csv").unlink()  # a row without a chip
    (root / "b432/plot_7/plot_7_2020_122.png").write_bytes(b"none")
    problems = verify(some)
    found = problems[["day", "kind"]].itertuples(index=False, name=None)
    assert sorted(found) == [("", "stray"), ("2020-05-01", "missing"), ("2020-08-02", "missing")]
    assert set(verify(some, quick=True)["kind"]) == {"stray", "missing"}
    assert len(verify(some, quick=True)) == 3
    (root / "b432/plot_7/plot_7_2020_122.png").unlink()
    repair(some, problems, few.source, progress=False)
    assert files(some) == before
    assert verify(some).empty


@pytest.mark.deep
@pytest.mark.parametrize(
    ("formats", "seed"), [("png,csv", 0), ("png,spectra", 1), ("png,csv,zarr", 2), ("csv,zarr", 3)]
)
def test_any_history_ends_as_if_asked_for_at_first(tmp_path: Path, formats: str, seed: int) -> None:
    """Greater and smaller numbers, all of it, other days, and spectra alone before."""
    archive = random_archive(tmp_path / "archive", 20 + seed)
    dice, rows_alone = random.Random(seed), formats.split(",")[1 if "png" in formats else 0]
    later = run(tmp_path / "later", archive.source, None, formats=rows_alone)
    choices = [ONE, TWO, ChipsPerYear(3, "graded", 100, all_rows=True), None]
    for number, choice in enumerate(dice.sample(choices, 3)):
        first = run(tmp_path / f"first{number}", archive.source, choice, formats=formats)
        run(tmp_path / "later", archive.source, choice, formats=formats, prune=True)
        pd.testing.assert_frame_equal(log_of(later), log_of(first))
        assert files(later) == files(first)
        pd.testing.assert_frame_equal(later.plots, first.plots)
        assert verify(later).empty
        if "zarr" in formats:
            with later.cube(("p", "7")) as cube:
                assert len(cube) == is_in_cube(log_of(later)).sum()
            assert later.windows(3)["day"].nunique() == log_of(later).loc[
                is_in_cube(log_of(later)), "day"].nunique()  # fmt: skip


@pytest.mark.deep
def test_a_greater_number_reads_what_is_new_and_all_rows_are_not_lost(
    few: LinkedArchive, tmp_path: Path
) -> None:
    asked: list[str] = []
    with file_server(few.folder, asked) as port:
        archive = Archive(few.write_items(), mirror=f"{BUCKET}=http://127.0.0.1:{port}")

        def requests_of(out: str, choice: Any, **options: Any) -> list[str]:
            reader.reset()
            asked.clear()
            run(tmp_path / out, archive, choice, **options)
            return [*asked]

        plain = requests_of("plain", 1)
        assert not [file for file in plain if "20200501" in file]  # far from the target day
        requests_of("out", ONE)
        assert [f for f in asked if "20200501" in f and "QA_PIXEL" not in f]
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/prj_p").rglob("*.*")}
        grown = requests_of("out", TWO)
        assert {file.split("_")[3] for file in grown} == {"20190810", "20201001"}
        assert not requests_of("out", TWO, refresh=True)
    kept = {p: time for p, time in before.items() if p.exists() and p.stat().st_mtime_ns == time}
    assert len(kept) == len(before) - 2  # the rows of the days that got chips
    with pytest.raises(LossError, match=r"removed: 2 \(2 of rows without chips, which --all-rows"):
        run(tmp_path / "out", few.source, ChipsPerYear(2))
    assert rows(Project(tmp_path / "out")).keys() == rows(
        run(tmp_path / "full", few.source, None)).keys()  # fmt: skip
    pruned = run(tmp_path / "out", few.source, ChipsPerYear(2), prune=True)
    assert files(pruned) == files(run(tmp_path / "first", few.source, ChipsPerYear(2)))
    assert verify(pruned).empty


@pytest.mark.deep
def test_chips_of_the_best_after_spectra_alone(few: LinkedArchive, tmp_path: Path) -> None:
    """The rows stay as they are, and no other day gets a chip."""
    project = run(tmp_path / "out", few.source, None, formats="csv")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/prj_p").rglob("*.csv")}
    run(tmp_path / "out", few.source, ONE)
    assert written(project) == {"2019-08-03", "2020-08-02"}
    first = run(tmp_path / "first", few.source, ONE)
    pd.testing.assert_frame_equal(log_of(project), log_of(first))
    assert files(project) == files(first)
    assert sum(p.stat().st_mtime_ns == time for p, time in before.items()) == len(before) - 2


@pytest.mark.deep
def test_a_smaller_number_keeps_the_chips_that_are_there(
    few: LinkedArchive, tmp_path: Path
) -> None:
    project = run(tmp_path / "out", few.source, TWO)
    whole = chips(project)
    run(tmp_path / "out", few.source, ONE)
    assert chips(project) == whole
    assert verify(project).empty
    kept = seen(project, "2020-10-01", "LC09")
    assert (kept["outcome"], kept["kept"]) == (WRITTEN, "1")


def test_a_full_run_that_was_stopped_may_go_on_with_a_few(
    few: LinkedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days at which it was, and of which nothing is there, are not among what it has."""
    from timesync_xr.run import plot as module

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    for choice in (ChipsPerYear(1), ONE):
        out = tmp_path / f"out{choice.all_rows}"
        with monkeypatch.context() as patch:
            patch.setattr(module, "_export_open", stop)
            with pytest.raises(KeyboardInterrupt):
                run(out, few.source, None)
        project = run(out, few.source, choice)
        assert written(project) == {"2019-08-03", "2020-08-02"}
        assert not log_of(project)["kept"].any()
        assert verify(project).empty


@pytest.mark.deep
def test_a_run_for_rows_that_was_stopped_goes_on(
    few: LinkedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from timesync_xr.run import plot as module

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_export_open", stop)  # rows are there by then, chips are not
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", few.source, ONE)
    stopped = Project(tmp_path / "out")
    assert set(log_of(stopped)["outcome"]) == {"begun", "fill at plot"}
    assert "stray" not in set(verify(stopped)["kind"])
    project = run(tmp_path / "out", few.source, ONE)
    first = run(tmp_path / "first", few.source, ONE)
    pd.testing.assert_frame_equal(log_of(project), log_of(first))
    assert files(project) == files(first)


@pytest.mark.deep
def test_what_the_catalog_lost_keeps_its_row(few: LinkedArchive, tmp_path: Path) -> None:
    project = run(tmp_path / "out", few.source, ONE)
    before = files(project)
    gone = [item for item in few.items if "20200501" in item["id"] or "LC09" in item["id"]]
    few.items[:] = [item for item in few.items if item not in gone]
    run(tmp_path / "out", few.source, ONE, refresh=True)
    assert files(project) == before
    gone_day = seen(project, "2020-05-01", "LC08")
    assert (gone_day["outcome"], gone_day["kept"]) == (WITHOUT_CHIP, "1")
    assert seen(project, "2020-10-01", "LE07")["outcome"] == "other platform"
    assert verify(project).empty
    pruned = run(tmp_path / "out", few.source, ONE, refresh=True, prune=True)
    assert files(pruned) == files(run(tmp_path / "first", few.source, ONE))


@pytest.mark.deep
@pytest.mark.parametrize("formats", ["csv", "spectra"])
def test_another_date_of_an_item_reaches_its_row(
    few: LinkedArchive, tmp_path: Path, formats: str
) -> None:
    project = run(tmp_path / "out", few.source, ONE, formats=f"png,{formats}")
    for item in few.items:
        text = item["properties"]["datetime"]
        item["properties"]["datetime"] = text.replace("Z", ".1230000Z")
    asked: list[str] = []
    with file_server(few.folder, asked) as port:
        archive = Archive(few.write_items(), mirror=f"{BUCKET}=http://127.0.0.1:{port}")
        reader.reset()
        run(tmp_path / "out", archive, ONE, formats=f"png,{formats}", refresh=True)
        assert not asked
    assert project.spectra()["date"].str.endswith(".1230000Z").all()
    assert verify(project).empty


@pytest.mark.deep
def test_render_takes_the_rows_over(few: LinkedArchive, tmp_path: Path) -> None:
    project = run(tmp_path / "out", few.source, ONE, formats="png,spectra,zarr")
    for formats in ("png,csv", "png,spectra", "png"):
        out = Project(tmp_path / formats)
        render(project, out, formats=formats, progress=False)
        assert verify(out).empty
        assert chips(out) == chips(project)
        if formats != "png":
            pd.testing.assert_frame_equal(out.spectra(), project.spectra())
    assert rows(Project(tmp_path / "png,csv")) == rows(run(tmp_path / "full", few.source, None))
    run(tmp_path / "out", few.source, TWO, formats="png,spectra,zarr")
    out = Project(tmp_path / "png,csv")
    render(project, out, formats="png,csv", progress=False)
    assert verify(out).empty
    assert len(chips(out)) == 12


@pytest.mark.deep
def test_packets_and_archive_files_take_them(few: LinkedArchive, tmp_path: Path) -> None:
    project = run(tmp_path / "out", few.source, ONE, formats="png,csv")
    write_packets(project, tmp_path / "packets", files="copy")
    packet = Project(tmp_path / "packets/packet_001")
    assert files(packet) == files(project)
    assert verify(packet).empty
    told = archive_files(project, few.source).table
    assert told["item_id"].nunique() == 6


def test_what_can_not_be_is_refused(few: LinkedArchive, tmp_path: Path) -> None:
    for formats in ("csv", "png", "zarr", "csv,spectra", "png,zarr"):
        with pytest.raises(InputError, match="rows without chips"):
            Products(formats, chips_per_year=ONE)
    with pytest.raises(InputError, match="True or False"):
        ChipsPerYear(1, all_rows="yes")  # type: ignore[arg-type]
    assert ChipsPerYear.parse(str(ONE), ()) == ONE
    invoke: Callable[..., Any] = CliRunner().invoke
    common = [str(plots(tmp_path)), "--out", str(tmp_path / "out"), "--mirror", few.mirror,
              "--source", str(few.write_items()), "--chip-size", "3", "3", "-q"]  # fmt: skip
    wrong = invoke(main, ["extract", *common, "--all-rows"])
    assert wrong.exit_code == 2
    assert "give --chips-per-year, too" in wrong.output
    assert not (tmp_path / "out").exists()
    done = invoke(main, ["extract", *common, "--all-rows", "--chips-per-year", "1"])
    assert done.exit_code == 0, done.output
    assert len(rows(Project(tmp_path / "out"))) == 6


def test_plan_tells_what_all_rows_cost(few: LinkedArchive, tmp_path: Path) -> None:
    choices = plan(plots(tmp_path), few.source).choices().set_index("choice")
    one, rows_too = (choices.loc[name] for name in (
        "--chips-per-year 1", "--chips-per-year 1 --all-rows"))  # fmt: skip
    alone, everything = choices.loc["--products csv"], choices.loc["(all)"]
    assert one["requests"] < rows_too["requests"] <= everything["requests"]
    assert rows_too["requests"] >= alone["requests"]
    assert np.isclose(rows_too["files"] - one["files"], alone["files"] - one["files"] / 4, atol=1)
    assert rows_too["files_with_tables"] == one["files_with_tables"]


@pytest.mark.deep
def test_an_account_of_a_chip_that_cannot_be_read_tells_of_its_row(
    few: LinkedArchive, tmp_path: Path
) -> None:
    """A row that fails costs its observation alone, and a later run makes it."""
    path = few.path("LC08_CU_003009_20200501_20210504_02", "swir22")
    data = path.read_bytes()
    path.unlink()
    made = extract(plots(tmp_path), tmp_path / "out", few.source,
                   products=Products(chip_size=3, chips_per_year=ONE), progress=False)  # fmt: skip
    assert not made.complete
    project = Project(tmp_path / "out")
    assert project.plots[["written", "without_chip", "failed"]].to_numpy().tolist() == [[2, 3, 1]]
    path.write_bytes(data)
    project = run(tmp_path / "out", few.source, ONE)
    first = run(tmp_path / "first", few.source, ONE)
    pd.testing.assert_frame_equal(log_of(project), log_of(first))
