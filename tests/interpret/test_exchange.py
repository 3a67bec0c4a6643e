"""Answers out and in again: V3's files, merged laptops, tables for others."""

from __future__ import annotations

import csv
import itertools
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
from click.testing import CliRunner

import timesync_xr as tx
from tests.interpret.making import V3, act, whole
from timesync_xr import Project
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, PlotListError
from timesync_xr.interpret.exchange import (
    FORMATS,
    export_answers,
    import_answers,
    merge_answers,
)
from timesync_xr.interpret.store import Store
from timesync_xr.interpret.v3 import CSV_COLUMNS, Ids, guarded, unguarded


@pytest.fixture
def project(sample_project: Path, tmp_path: Path) -> Project:
    return Project(copied(sample_project, tmp_path / "project"))


def copied(sample_project: Path, place: Path) -> Path:
    """A project with the ledger of the sample, and nothing else."""
    shutil.copytree(sample_project / "ledger", place / "ledger")
    return place


def answered(project: Project) -> Project:
    """Two people on plot 2, and one on a plot and in a project whose ids are text."""
    valley = [one | {"project": "valley", "plot": "river-bank"} for one in whole("7")]
    said = {"dominant_landuse_notes": "Wetland", "secondary_landcover": "Shrubs|Water"}
    said |= {"date_confidence": "high", "patch_size": "12", "comments": '-2, "quoted"'}
    more = act(8, "label", day="1996-08-09", set=said)
    Store(project).append([*whole("ann"), *whole("7"), *valley, more])
    return project


def files_of(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_csv_is_that_of_the_server(project: Project, tmp_path: Path) -> None:
    place, count = export_answers(answered(project), "v3")
    assert count == 3
    ids = pd.read_csv(Path(place) / "ids.csv", dtype=str).set_index(["kind", "id"])["number"]
    assert ids["interpreter", "7"] == "7"
    assert ids["interpreter", "ann"] == "8"
    assert ids["project", "valley"] == "1002"
    text = (Path(place) / "vertices_1001_8.csv").read_text()
    assert text == (
        "tsa,plotid,image_year,image_julday,dominant_landuse,dominant_landcover,change_process\n"
        "999999,2,1984,221,Forest,Trees,\n"
        "999999,2,1996,222,Forest,Grass/forb/herb,Fire\n"
        "999999,2,2025,214,Forest,Trees,Growth\n"
    )


def test_export_import_export_is_the_identity(
    project: Project, sample_project: Path, tmp_path: Path
) -> None:
    first, _ = export_answers(answered(project), "v3")
    other = Project(copied(sample_project, tmp_path / "other"))
    names = ("vertex.csv", "plot_comments.csv", "image_preference.csv")
    for names_in_order in (names, names[::-1]):  # the second time changes nothing
        paths = [Path(first, name) for name in names_in_order]
        import_answers(other, paths, V3, ids=Ids.read(Path(first, "ids.csv")))
    second, _ = export_answers(other, "v3")
    assert files_of(first) == files_of(second)
    assert all(len(Store(other).acts(*log)) == 1 for log in Store(other).logs())
    kept = {(o.project, o.plot, o.who): o for o in Store(other).interpretations()}
    for one in Store(project).interpretations():
        assert kept[one.project, one.plot, one.who].vertices == one.vertices
        assert kept[one.project, one.plot, one.who].texts == one.texts
        assert kept[one.project, one.plot, one.who].choices == one.choices


def test_the_servers_csv_comes_back(project: Project, sample_project: Path, tmp_path: Path) -> None:
    first, _ = export_answers(answered(project), "v3")
    other = Project(copied(sample_project, tmp_path / "other"))
    path = Path(first, "vertices_1001_7.csv")
    assert import_answers(other, [path], V3, who="7", project_id="1001").new == 1
    assert import_answers(other, [path], V3, who="7", project_id="1001").new == 0
    second, _ = export_answers(other, "v3")
    assert files_of(second)[path.name] == files_of(first)[path.name]


def test_earlier_interpretations_stay_in_the_log(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "vertex.csv"
    table.write_text(
        "project_id,tsa,plotid,image_year,image_julday,dominant_landuse,dominant_landcover,"
        "change_process,interpreter,last_modified,history_flag\n"
        "1001,999999,2,1984,221,Forest,Trees,,5,2017-02-01 10:00:00,0\n"
        "1001,999999,2,2025,214,Forest,Trees,Stable,5,2017-02-01 10:00:00,0\n"
        "1001,999999,2,1984,221,Other,Water,,5,2016-02-01 10:00:00,-1\n"
        "1001,999999,2,2025,214,Other,Water,Stable,5,2016-02-01 10:00:00,-1\n"
    )
    assert import_answers(project, [table], V3).new == 2
    (one,) = Store(project).interpretations()
    assert {texts["dominant_landuse"] for texts in one.vertices.values()} == {"Forest"}
    acts = Store(project).acts("1001", "2", "5")
    assert acts[0]["vertices"][0]["dominant_landuse"] == "Other"
    assert one.changed == "2017-02-01T10:00:00Z"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("999999,2,1996,367,Forest,Trees,Fire", "line 2: image_julday 367 is no day of 1996"),
        ("999999,2,x,1,Forest,Trees,Fire", "are no year and day"),
        ("999999,2,1996,222,Forst,Trees,Fire", "'Forst' is not in the legend TimeSync V3"),
        ("999999,99,1996,222,Forest,Trees,Fire", "no plot 99 of project 1001"),
        ("999999,2,1996,222,Forest,Trees,Fire,9", "8 cells"),
    ],
)
def test_wrong_rows_are_told(project: Project, tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(",".join(CSV_COLUMNS) + f"\n{row}\n")
    with pytest.raises(PlotListError, match=words):
        import_answers(project, [path], V3, who="1", project_id="1001")
    assert list(Store(project).logs()) == []


def test_columns_that_would_be_lost_are_told(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(",".join((*CSV_COLUMNS, "mood")) + "\n")
    with pytest.raises(InputError, match="mood, which would be lost"):
        import_answers(project, [path], V3, who="1", project_id="1001")


def test_laptops_are_merged_in_any_order_twice(
    project: Project, sample_project: Path, tmp_path: Path
) -> None:
    """Two people, and one of them on two laptops at once."""
    parts = {
        "ann": whole("ann"),
        "ben": whole("ben"),
        "ann-away": [
            *whole("ann")[:3],
            act(4, "vertex", day="2001-08-01"),
            act(5, "remove", day="1996-08-09"),
        ],
    }
    files = {}
    for name, acts in parts.items():
        laptop = Project(copied(sample_project, tmp_path / name))
        Store(laptop).append(acts)
        place, _ = export_answers(laptop, "acts")
        files[name] = Path(place, "answers.jsonl")
    results = []
    for number, order in enumerate(itertools.permutations(files)):
        target = Project(copied(sample_project, tmp_path / f"target{number}"))
        for name in (*order, *order):
            merge_answers(target, [files[name]])
        results.append(Store(target).interpretations())
    assert all(result == results[0] for result in results)
    every = {one["id"] for acts in parts.values() for one in acts}
    there = {one["id"] for who in ("ann", "ben") for one in Store(target).acts("1001", "2", who)}
    assert there == every
    merged = merge_answers(project, [tmp_path / "ann", tmp_path / "ben"])
    assert (merged.new, merged.known) == (14, 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text[: len(text) - 20], "no JSON: the file is cut off"),
        (lambda text: text.replace('"plot":"2"', '"plot":"88"'), "no plot 88"),
        (lambda text: text.replace('r":"Trees"', 'r":"Tree"'), "'Tree' is not in the"),
        (lambda text: text.replace('"who":"ann"', '"who":"../ann"'), "line 2"),
        (lambda text: "", "no file of answers"),
        (lambda text: "[]\n", "no file of answers"),
        (lambda text: "[" * 100_000, "no file of answers"),
    ],
)  # fmt: skip
def test_spoilt_files_change_nothing(
    project: Project, sample_project: Path, tmp_path: Path, spoil: object, words: str
) -> None:
    laptop = Project(copied(sample_project, tmp_path / "laptop"))
    Store(laptop).append(whole())
    place, _ = export_answers(laptop, "acts")
    path = Path(place, "answers.jsonl")
    path.write_text(spoil(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=words):
        merge_answers(project, [path])
    assert not (Path(project.place) / "answers/prj_1001").exists()


def test_tables_for_others(project: Project) -> None:
    answered(project)
    places = {form: Path(export_answers(project, form)[0]) for form in FORMATS}
    years = pd.read_parquet(places["parquet"] / "years.parquet")
    assert len(years) == 3 * 42
    assert set(years["change_process"]) == {"Fire", "Growth"}
    layers = {name for name, _ in pyogrio.list_layers(places["gpkg"] / "answers.gpkg")}
    assert layers == {"vertices", "segments", "plots", "years"}
    bounds = np.array(
        pyogrio.read_info(places["gpkg"] / "answers.gpkg", layer="plots")["total_bounds"]
    )
    ceo = pd.read_csv(places["ceo"] / "ceo_7.csv")
    assert ceo.columns[:3].tolist() == ["LON", "LAT", "PLOTID"]
    assert np.allclose(bounds[[0, 2]], [ceo["LON"].min(), ceo["LON"].max()], atol=1e-7)
    assert ceo["PLOTID"].is_unique
    assert ceo["PLOTID"].dtype == "int64"
    assert ceo["processes"][0] == "1984-1996 Fire|1996-2025 Growth"
    with sqlite3.connect(places["tspo"] / "events.sqlite") as database:
        rows = database.execute("SELECT id, interpreter, change_process FROM eventTable").fetchall()
    database.close()
    assert len(rows) == 6
    assert rows[0][0] == 1
    overrides = places["csv"] / "overrides.csv"
    assert tx.read_overrides(overrides)["doy"].tolist() == [254] * 3


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "'=x", "''-x", "plain", "'quoted'", "", "a=b"]
)
def test_spreadsheets_calculate_nothing(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in {"=", "+", "-", "@"}


def test_no_cell_begins_a_formula(project: Project) -> None:
    answered(project)
    for form in ("v3", "csv", "ceo"):
        for path in Path(export_answers(project, form)[0]).glob("*.csv"):
            with path.open(encoding="utf-8-sig", newline="") as file:
                cells = [cell for row in csv.reader(file) for cell in row]
            assert not [
                c
                for c in cells
                if c[:1] in ("=", "+", "@") or (c[:1] == "-" and not c[1:2].isdigit())
            ]


def test_commands(project: Project, sample_project: Path, tmp_path: Path) -> None:
    answered(project)
    runner = CliRunner()
    result = runner.invoke(
        main, ["answers", "export", project.place, "--format", "v3", "--out", str(tmp_path / "v3")]
    )
    assert result.exit_code == 0
    assert "3 interpretations" in result.output
    other = str(copied(sample_project, tmp_path / "other"))
    files = [str(tmp_path / "v3" / name) for name in ("vertex.csv", "plot_comments.csv")]
    line = ["answers", "import", other, *files, "--ids", str(tmp_path / "v3/ids.csv")]
    result = runner.invoke(main, line)
    assert (result.exit_code, result.output) == (0, "3 new acts, 0 that were there\n")
    result = runner.invoke(main, ["answers", "merge", project.place, other])
    assert result.exit_code == 0
    result = runner.invoke(main, ["answers", "export", other, "--format", "v3", "--as", "nobody"])
    assert result.exit_code == 2
    assert "there is no interpreter 'nobody' but" in result.output
