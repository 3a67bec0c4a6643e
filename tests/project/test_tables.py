"""The observations table, the annual choice of a project, and their commands."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.archive import SmallArchive
from tests.strategies import CLEAR
from timesync_xr import (
    Archive,
    Products,
    Project,
    annual,
    extract,
)
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError, ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.project.tables import OBSERVATION_COLUMNS, empty_observations
from timesync_xr.spectral.annual import NONE_AT_ALL, NONE_USABLE
from timesync_xr.storage.access import S3
from timesync_xr.storage.tables import write_tables

NEAR_CORNER = REGIONS["CU"].center(3 * 5000 + 4998, 9 * 5000 + 4998)
CLOUD, SHADOW, WATER = 22280, 23888, 21952
NOON = "T18:30:00.1234567Z"
BRIGHT = {"blue": 20000, "green": 20000, "red": 20000}
DARK = {"blue": 8000, "green": 9000, "red": 8500}


def make_project(folder: Path) -> Path:
    archive = SmallArchive(folder / "archive")
    archive.add("LE07", f"2018-07-01{NOON}", values=DARK | {"qa_pixel": CLEAR})
    archive.add("LC08", f"2020-07-01{NOON}", values=DARK | {"qa_pixel": WATER})
    archive.add("LC08", f"2020-08-02{NOON}", values=DARK | {"qa_pixel": SHADOW})
    archive.add("LC08", f"2020-08-18{NOON}", values=DARK | {"qa_pixel": CLOUD})
    archive.add("LC08", f"2020-09-03{NOON}", values={"qa_pixel": 1})
    archive.add("LC08", f"2020-09-03{NOON}", (4, 9))
    archive.add("LC08", f"2020-09-05{NOON}", (4, 9))
    archive.add(
        "LC08", f"2021-07-01{NOON}", processed="20210801", values=BRIGHT | {"qa_pixel": CLEAR}
    )
    archive.add("LC08", f"2021-07-01{NOON}", processed="20210701", write=False)
    archive.add("LC09", f"2022-07-01{NOON}", without="green")
    archive.add("LE07", f"2018-05-01{NOON}", values=DARK | {"qa_pixel": 5440, "nir08": 0})
    archive.items[3]["properties"]["eo:cloud_cover"] = 61.5
    del archive.items[3]["properties"]["landsat:scene_count"]
    plots = folder / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,7,{NEAR_CORNER[0]},{NEAR_CORNER[1]}\n")
    out = folder / "out"
    extract(
        plots,
        out,
        Archive(archive.write_items(), mirror=archive.mirror),
        products=Products(chip_size=(9, 9)),
        progress=False,
    )
    return out


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("provenance"))


@pytest.fixture(scope="module")
def table(project: Path) -> pd.DataFrame:
    return Project(project).observations()


@pytest.mark.deep
def test_it_tells_all_of_every_observation(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == OBSERVATION_COLUMNS
    row = table.set_index("day").loc["2020-08-18"]
    expected = {
        "project_id": "1211",
        "plot_id": "7",
        "year": 2020,
        "doy": 231,
        "sensor": "LC08",
        "hv": "0309",
        "outcome": "written",
        "date": f"2020-08-18{NOON}",
        "item_ids": "LC08_CU_003009_20200818_20210504_02_SR",
        "processed": "20210504",
        "cloud_cover": 61.5,
        "qa_pixel": CLOUD,
        "qa_cloud": True,
        "qa_cloud_shadow": False,
        "qa_fill": False,
        "qa_clear": False,
        "qa_cloud_confidence": 3,
        "qa_cirrus_confidence": 1,
        "is_clear": False,
        "valid_range": True,
        "bands_filled": 0,
        "strict_clear": False,
        "fmask": 4,
        "grade": 4,
        "qa": 1,
        "fill_share": 0.5556,
        "clear_share": 0.0,
        "cause": "",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["scene_count"] is pd.NA


@pytest.mark.deep
def test_grades_flags_and_contract_side_by_side(table: pd.DataFrame) -> None:
    written = table[table["outcome"] == "written"].set_index("day")
    columns = ["grade", "fmask", "qa", "is_clear", "strict_clear", "bands_filled"]
    assert written[columns].to_numpy().tolist() == [
        [9, 255, 0, True, False, 1],  # clear by QA_PIXEL, and no near infrared
        [0, 0, 0, True, True, 0],  # clear
        [1, 1, 0, True, True, 0],  # water
        [3, 2, 0, False, False, 0],  # shadow, which the contract calls usable
        [4, 4, 1, False, False, 0],  # cloud
        [0, 0, 0, True, True, 0],
    ]


@pytest.mark.deep
def test_cirrus_is_not_known_where_no_band_sees_it(table: pd.DataFrame) -> None:
    seen = table[table["qa_pixel"].notna()]
    for name in ("qa_cirrus", "qa_cirrus_confidence"):
        assert seen.loc[seen["sensor"] == "LE07", name].isna().all()
        assert seen.loc[seen["sensor"] == "LC08", name].notna().all()


def test_the_log_tells_of_the_bands_what_the_archive_holds(project: Path) -> None:
    log = Project(project).log(("1211", "7")).set_index("day")
    written = log[log["outcome"] == "written"]
    told = written[["valid_range", "bands_filled"]].to_dict("index")
    assert [*told["2018-05-01"].values()] == [False, 1]
    assert [*told["2020-07-01"].values()] == [True, 0]
    unread = log["outcome"].isin(["fill at plot", "failed", "superseded"])
    assert log.loc[unread, ["valid_range", "bands_filled"]].isna().all(axis=None)


def test_what_was_not_written_says_why(table: pd.DataFrame) -> None:
    rest = table[table["outcome"] != "written"].set_index("day")
    assert rest["outcome"].to_dict() == {
        "2020-09-03": "fill at plot",
        "2020-09-05": "fill at plot",
        "2021-07-01": "superseded",
        "2022-07-01": "failed",
    }
    assert rest.loc["2020-09-03", "qa_pixel"] == 1
    assert rest["qa_pixel"].isna().to_dict()["2020-09-05"], "its tile does not hold the plot"
    assert rest.loc[["2020-09-03", "2020-09-05"], "grade"].tolist() == [9, 9]
    assert rest.loc[["2020-09-03", "2020-09-05"], "qa_fill"].all()
    assert "green" in rest["asset"].to_dict()["2022-07-01"]
    assert rest["cause"].to_dict()["2022-07-01"]
    assert (
        rest.loc[["2021-07-01", "2022-07-01"], ["grade", "qa_cloud", "is_clear"]]
        .isna()
        .all(axis=None)
    )


def test_rows_of_the_contract_find_theirs(project: Path, table: pd.DataFrame) -> None:
    spectra = Project(project).spectra()
    key = ["project_id", "plot_id", "year", "doy", "sensor", "hv", "date", "qa"]
    both = spectra.merge(table[table["outcome"] == "written"], on=key, validate="1:1")
    assert len(both) == len(spectra) == 6


def test_files_hold_the_same_as_the_table(
    project: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    def write(path: Path) -> int:
        tables = Project(project).observation_tables()
        return write_tables(str(path), empty_observations(), tables, S3())

    assert write(tmp_path / "deep" / "o.parquet") == len(table)
    parquet = pd.read_parquet(tmp_path / "deep" / "o.parquet")
    pd.testing.assert_frame_equal(parquet.astype(table.dtypes), table)
    write(tmp_path / "o.csv")
    text = pd.read_csv(tmp_path / "o.csv", dtype=str, keep_default_na=False)
    assert text["qa_cloud"].tolist() == [
        "" if v is pd.NA else str(bool(v)) for v in table["qa_cloud"]
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "o.csv"]
    with pytest.raises(InputError, match=r"o\.txt.*\.csv or \.parquet"):
        write(tmp_path / "o.txt")


def test_command_lists_observations_and_tells_what_is_not_there(
    project: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["observations", str(project)])
    assert result.exit_code == 0
    assert len(pd.read_csv(io.StringIO(result.stdout))) == len(table)
    assert "1 of the ledger's 1 plot (7) is incomplete" in result.stderr
    plots = tmp_path / "plots.csv"
    plots.write_text(f"project_id,plot_id,x,y\n1211,8,{NEAR_CORNER[0]},{NEAR_CORNER[1]}\n")
    out = tmp_path / "o.parquet"
    result = CliRunner().invoke(
        main, ["observations", str(project), "--plots", str(plots), "--out", str(out)]
    )
    assert result.exit_code == 0
    assert f"1 plot of {plots} is not in the project yet (8)" in result.stderr
    assert "0 observations" in result.stdout
    assert pd.read_parquet(out).columns.tolist() == list(OBSERVATION_COLUMNS)
    assert CliRunner().invoke(main, ["observations", str(project), "--out", "a.xls"]).exit_code == 2
    assert CliRunner().invoke(main, ["observations", str(tmp_path / "no")]).exit_code == 2
    with pytest.raises(ProjectError, match="no ledger"):
        Project(tmp_path / "no").observations()


def test_annual_choice_of_a_project(project: Path) -> None:
    chosen = Project(project).annual()
    assert chosen["year"].tolist() == [2018, 2019, 2020, 2021, 2022]
    assert chosen["doy"].fillna(0).tolist() == [182, 0, 215, 0, 0]
    causes = ["", NONE_AT_ALL, "", NONE_USABLE, "none was written: 1 failed"]
    assert chosen["cause"].tolist() == causes
    of_values = annual(Project(project).spectra())
    pd.testing.assert_frame_equal(chosen[:-1], of_values, check_dtype=False)
    graded = Project(project).annual(rule="graded")
    (row,) = graded[graded["year"] == 2020].to_dict("records")
    assert (row["doy"], row["grade"]) == (183, 1)


def test_command_for_the_annual_choice(project: Path, tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.csv"
    overrides.write_text("project_id,plot_id,year,doy\n1211,7,2020,231\n1211,7,2018,1\n")
    command = ["annual", str(project), "--target-day", "200", "--rule", "graded"]
    result = CliRunner().invoke(main, [*command, "--overrides", str(overrides)])
    assert result.exit_code == 1
    assert "Override not followed: project 1211, plot 7, 2018, day 1" in result.stderr
    assert "plot 7, 2019: no observation" in result.stderr
    table = pd.read_csv(io.StringIO(result.stdout))
    (row,) = table[table["year"] == 2020].to_dict("records")
    assert (row["doy"], row["overridden"], row["grade"]) == (231, True, 4)
    out = tmp_path / "annual.csv"
    result = CliRunner().invoke(main, [*command, "--out", str(out)])
    assert result.exit_code == 0
    assert "1 plot, 5 years: " in result.stderr
    assert pd.read_csv(out)["year"].tolist() == [2018, 2019, 2020, 2021, 2022]
    assert CliRunner().invoke(main, ["annual", str(project), "--target-day", "0"]).exit_code == 2


@pytest.mark.parametrize("archive", ["real", "mosaic"])
@pytest.mark.cases(1)
def test_on_the_golden_archives(
    shared: Path, golden_projects: dict[str, Path], archive: str
) -> None:
    project = str(golden_projects[archive])
    table = Project(project).observations()
    ledger = Project(project).plots
    keys = ledger[["project_id", "plot_id"]].itertuples(index=False, name=None)
    assert len(table) == sum(len(Project(project).log(plot)) for plot in keys)
    written = table[table["outcome"] == "written"]
    expected = shared / "golden" / f"{archive}_expected"
    rows = pd.concat([pd.read_csv(p, dtype=str) for p in expected.rglob("*.csv")])
    key = ["project_id", "plot_id", "year", "doy", "qa", "hv", "date", "sensor"]
    assert sorted(written[key].astype(str).itertuples(index=False, name=None)) == sorted(
        rows[key].itertuples(index=False, name=None)
    )
    assert (table["is_clear"].dropna() == (table["grade"].dropna() <= 1)).all()
    chosen = Project(project).annual()
    assert len(chosen[chosen["cause"] == ""]) > 0
    assert set(chosen["plot_id"]) == set(written["plot_id"])


@pytest.mark.deep
def test_on_the_sample(sample_project: Path) -> None:
    ledger = Project(str(sample_project)).plots
    table = Project(sample_project).observations()
    assert set(table["plot_id"]) == set(ledger["plot_id"])
    counts = table["outcome"].value_counts()
    assert counts["written"] == ledger["written"].sum()
    assert counts["fill at plot"] == ledger["fill_at_plot"].sum()
    assert set(table["grade"].dropna()) >= {0, 4, 9}
    chosen = Project(sample_project).annual()
    assert (chosen["cause"] == "").sum() > 0
    assert not chosen.duplicated(["project_id", "plot_id", "year"]).any()
    one = ledger.head(1)
    assert set(Project(sample_project).observations(one)["plot_id"]) == set(one["plot_id"])
