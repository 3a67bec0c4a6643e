"""Records of other TimeSyncs, against examples worked by hand."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.handmade import Observation, write_project
from timesync_xr import Project, export_project, v3_records
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, LeftOutWarning
from timesync_xr.export.formats import FORMATS
from timesync_xr.export.v3 import KEYS, SQLITE_TABLE

ROWS = [
    Observation("3132", "7", "2020-08-01", "100,200,300,400,500,600,0", "LC08"),
    Observation("3132", "7", "2020-08-05", "1000,2000,3000,4000,5000,6000,1", "LE07"),
    Observation("3132", "007", "1985-12-31", "-5,0,7,1,0,0,1", "LT05"),
]

BY_HAND = {
    "b1": 100,
    "b2": 200,
    "b3": 300,
    "b4": 400,
    "b5": 500,
    "b7": 600,
    "cloud_cover": 0,
    "image_julday": 214,
    "image_year": 2020,
    "plotid": 7,
    "project_id": 3132,
    "selected": 1,
    "sensor": "LC08",
    "spectral_scaler": 10000,
    "target_day": 215,
    # .2043 x 100 + .4158 x 200 + .5524 x 300 + .5741 x 400 + .3124 x 500 + .2303 x 600 = 793.35
    "tcb": 793,
    # -.1603 x 100 - .2819 x 200 - .4934 x 300 + .7940 x 400 - .0002 x 500 - .1446 x 600 = 10.31
    "tcg": 10,
    # .0315 x 100 + .2021 x 200 + .3102 x 300 + .1594 x 400 - .6806 x 500 - .6109 x 600 = -506.45
    "tcw": -506,
    "tsa": 999999,
    "url": "prj_3132/tc/plot_7/plot_7_2020_214.png",
    "yod": None,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", ROWS)


def test_a_record_worked_by_hand(project: Path) -> None:
    records = v3_records(Project(project).spectra()).to_dict("records")
    (record,) = [r for r in records if r["image_julday"] == 214]
    assert record == BY_HAND
    assert list(record) == list(KEYS)


def test_ids_are_numbers_only_where_they_are_written_as_one(project: Path) -> None:
    records = v3_records(Project(project).spectra())
    assert records["plotid"].tolist() == ["007", 7, 7]
    assert records["project_id"].tolist() == [3132] * 3


def test_json_is_an_array_of_records_for_each_plot(project: Path) -> None:
    made = export_project(project, "v3-json")
    assert made.count == 3
    assert made.path == f"{project}/exports/v3-json"
    folder = Path(made.path)
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.json")} == {
        "prj_3132/plot_7.json",
        "prj_3132/plot_007.json",
    }
    records = json.loads((folder / "prj_3132/plot_7.json").read_text())
    assert records[0] == BY_HAND | {"url": ""}  # it was made without chips
    assert [r["selected"] for r in records] == [1, 0]
    assert [r["cloud_cover"] for r in records] == [0, 1]


def test_records_lead_to_the_chips_of_plots_that_have_some(project: Path) -> None:
    ledger = project / "ledger/plots.csv"
    ledger.write_text(ledger.read_text().replace(",csv,", ',"png,csv",', 1))
    folder = Path(export_project(project, "v3-json").path)
    paths = [folder / f"prj_3132/plot_{plot}.json" for plot in ("7", "007")]
    first, second = (json.loads(path.read_text())[0] for path in paths)
    assert (first, second["url"]) == (BY_HAND, "")


def test_sqlite_holds_the_same_records(project: Path, tmp_path: Path) -> None:
    made = export_project(project, "sqlite", tmp_path / "other", target_day=200)
    export_project(project, "v3-json", tmp_path / "other", target_day=200)
    texts = (tmp_path / "other/v3-json").rglob("*.json")
    expected = [tuple(record.values()) for text in texts for record in json.loads(text.read_text())]
    with closing(sqlite3.connect(made.path)) as database:
        cursor = database.execute(f"SELECT * FROM {SQLITE_TABLE}")
        names = [column[0] for column in cursor.description]
        found = cursor.fetchall()
    assert tuple(names) == KEYS
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert len(found) == 3


@pytest.mark.parametrize("archive", ["real", "mosaic"])
@pytest.mark.deep
def test_golden_projects_in_both_formats(
    golden_projects: dict[str, Path], tmp_path: Path, archive: str
) -> None:
    spectra = Project(golden_projects[archive]).spectra()
    for form in ("v3-json", "sqlite"):
        assert export_project(golden_projects[archive], form, tmp_path).count == len(spectra)
    with closing(sqlite3.connect(tmp_path / FORMATS["sqlite"])) as database:
        query = f"SELECT b1, b7, image_julday, url FROM {SQLITE_TABLE} ORDER BY rowid"
        found = database.execute(query).fetchall()
    assert [row[:3] for row in found] == list(
        spectra[["blue", "swir2", "doy"]].itertuples(index=False, name=None)
    )
    assert all((golden_projects[archive] / row[3]).is_file() for row in found)


def test_command_tells_where_and_what_is_not_there(tmp_path: Path) -> None:
    project = write_project(tmp_path, ROWS, incomplete=["007"])
    result = CliRunner().invoke(main, ["export", str(project), "--format", "v3-json"])
    assert result.exit_code == 0
    assert result.stdout == f"3 observations: {project}/exports/v3-json\n"
    assert "1 of the ledger's 2 plots (007) is incomplete" in result.stderr
    wrong = CliRunner().invoke(main, ["export", str(project), "--format", "xls"])
    assert wrong.exit_code == 2
    assert "v3-json" in wrong.stderr


def test_unknown_formats_are_refused(project: Path) -> None:
    with pytest.raises(InputError, match="'xls': choose from v3-json, sqlite, gpkg, kml"):
        export_project(project, "xls")


@pytest.mark.deep
def test_a_plot_without_observations(project: Path) -> None:
    """Their logs are gone, which is told."""
    for account in (project / "ledger/observations").rglob("*.csv"):
        account.unlink()
    for form in ("v3-json", "sqlite"):
        with pytest.warns(LeftOutWarning, match="the ledger counts"):
            assert export_project(project, form).count == 0
    assert json.loads((project / "exports/v3-json/prj_3132/plot_7.json").read_text()) == []


def test_a_project_without_plots(project: Path) -> None:
    (project / "ledger/plots.csv").unlink()
    for form in FORMATS:
        made = export_project(project, form)
        assert made.count == 0
        assert made.unfinished


@pytest.mark.deep
def test_again_replaces_the_file(project: Path) -> None:
    for _ in range(2):
        for form in FORMATS:
            export_project(project, form)
    with closing(sqlite3.connect(project / "exports/spectra.sqlite")) as database:
        assert database.execute(f"SELECT count(*) FROM {SQLITE_TABLE}").fetchone() == (3,)
