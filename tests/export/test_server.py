"""The server's files, byte by byte."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.handmade import HEADER, Observation, write_project
from tests.strategies import examples
from timesync_xr import combine
from timesync_xr.cli.main import main
from timesync_xr.errors import InputError
from timesync_xr.export import server as combining
from timesync_xr.storage.places import workplace


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def combined_by_hand(lines: list[str]) -> dict[tuple[str, str], str]:
    """Text of the server's files by project and year, from all rows."""
    years = defaultdict(list)
    for line in lines:
        cells = line.split(",")
        is_text = not cells[2].isdigit()
        place = (is_text, 0 if is_text else int(cells[2]), cells[2], int(cells[5]))
        years[cells[1], cells[4]].append((place, f"{cells[1]},{line}"))
    return {key: "".join(line for _, line in sorted(rows)) for key, rows in years.items()}


def test_a_hand_worked_example(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        [
            Observation("1211", "10", "2020-01-05", "1,2,3,4,5,6,0", "LE07"),
            Observation("1211", "10", "2020-07-01", "-2000,16022,0,0,0,0,1"),
            Observation("1211", "9", "2020-12-31", "7,8,9,10,11,12,0"),
            Observation("1211", "9", "2019-12-31", "13,14,15,16,17,18,1"),
            Observation("1211", "north", "2020-03-01", "1,1,1,1,1,1,0"),
        ],
    )
    made = combine(tmp_path, server_project="3132")
    assert made.rows == 5
    assert made.complete
    found = files(tmp_path / "combined")
    assert found.keys() == {
        "2019_prj_3132_region_spectrals.csv",
        "2020_prj_3132_region_spectrals.csv",
        "spectra.csv",
        "spectra.parquet",
    }
    assert found["2019_prj_3132_region_spectrals.csv"] == (
        b"3132,LC08,1211,9,0309,2019,365,13,14,15,16,17,18,1,2019-12-31T18:30:00.1234567Z\n"
    )
    assert found["2020_prj_3132_region_spectrals.csv"] == (
        b"3132,LC08,1211,9,0309,2020,366,7,8,9,10,11,12,0,2020-12-31T18:30:00.1234567Z\n"
        b"3132,LE07,1211,10,0309,2020,5,1,2,3,4,5,6,0,2020-01-05T18:30:00.1234567Z\n"
        b"3132,LC08,1211,10,0309,2020,183,-2000,16022,0,0,0,0,1,2020-07-01T18:30:00.1234567Z\n"
        b"3132,LC08,1211,north,0309,2020,61,1,1,1,1,1,1,0,2020-03-01T18:30:00.1234567Z\n"
    )
    assert found["spectra.csv"] == HEADER.encode() + (
        b"LC08,1211,9,0309,2019,365,13,14,15,16,17,18,1,2019-12-31T18:30:00.1234567Z\n"
        b"LC08,1211,9,0309,2020,366,7,8,9,10,11,12,0,2020-12-31T18:30:00.1234567Z\n"
        b"LE07,1211,10,0309,2020,5,1,2,3,4,5,6,0,2020-01-05T18:30:00.1234567Z\n"
        b"LC08,1211,10,0309,2020,183,-2000,16022,0,0,0,0,1,2020-07-01T18:30:00.1234567Z\n"
        b"LC08,1211,north,0309,2020,61,1,1,1,1,1,1,0,2020-03-01T18:30:00.1234567Z\n"
    )


@pytest.mark.parametrize("archive", ["real", "mosaic"])
def test_golden_projects(
    shared: Path, golden_projects: dict[str, Path], tmp_path: Path, archive: str
) -> None:
    paths = (shared / f"golden/{archive}_expected").rglob("*.csv")
    expected = combined_by_hand([path.read_text().splitlines(keepends=True)[1] for path in paths])
    made = combine(golden_projects[archive], out=tmp_path)
    for (project, year), text in expected.items():
        assert (tmp_path / f"{year}_prj_{project}_region_spectrals.csv").read_text() == text
    assert len(expected) == len(made.files)


def test_sample_project(sample_project: Path, tmp_path: Path) -> None:
    made = combine(sample_project, out=tmp_path)
    paths = list(sample_project.glob("prj_*/*.csv"))
    expected = combined_by_hand([path.read_text().splitlines(keepends=True)[1] for path in paths])
    assert made.rows == len(paths) > 100
    found = {row.file: (tmp_path / str(row.file)).read_text() for row in made.files.itertuples()}
    assert sorted(found.values()) == sorted(expected.values())


def test_every_project_keeps_its_own_id_or_all_get_the_servers(tmp_path: Path) -> None:
    days = ["2020-01-01", "2020-01-03", "2020-01-02"]
    rows = [Observation(p, "7", day) for p, day in zip(["1", "1", "2"], days, strict=True)]
    write_project(tmp_path, rows)
    combine(tmp_path)
    assert (tmp_path / "combined/2020_prj_1_region_spectrals.csv").read_text() == "".join(
        f"1,{row.line}" for row in rows[:2]
    )
    assert (
        tmp_path / "combined/2020_prj_2_region_spectrals.csv"
    ).read_text() == f"2,{rows[2].line}"
    combine(tmp_path, "9", tmp_path / "all")
    assert (tmp_path / "all/2020_prj_9_region_spectrals.csv").read_text() == "".join(
        f"9,{row.line}" for row in (rows[0], rows[2], rows[1])
    )


ANY_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2"]),
        st.sampled_from(["3", "20", "100"]),
        st.dates(pd.Timestamp("1984-01-01").date(), pd.Timestamp("1987-12-31").date()),
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@examples(25)
@given(ANY_ROWS, st.sampled_from([0, 200, 10_000]))
@pytest.mark.deep
def test_any_rows_are_all_there_and_sorted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, object]], held: int
) -> None:
    """However few bytes are held before they are written."""
    folder = tmp_path_factory.mktemp("any")
    lines = [Observation(p, n, str(day)) for p, n, day in rows]
    write_project(folder, lines)
    with patch.object(combining, "_HELD", held):
        made = combine(folder, "5")
    key = {row.line: (int(row.plot_id), row.stamp.day_of_year, row.project_id) for row in lines}
    for year in {row.stamp.year for row in lines}:
        of_year = sorted((row.line for row in lines if row.stamp.year == year), key=key.__getitem__)
        text = (folder / f"combined/{year}_prj_5_region_spectrals.csv").read_text()
        assert text == "".join(f"5,{line}" for line in of_year)
    assert made.rows == len(rows)
    assert len(pd.read_parquet(folder / "combined/spectra.parquet")) == len(rows)


def test_the_table_is_the_same_in_parquet(golden_projects: dict[str, Path], tmp_path: Path) -> None:
    combine(golden_projects["real"], out=tmp_path)
    parquet = pd.read_parquet(tmp_path / "spectra.parquet")
    assert parquet["hv"].unique().tolist() == ["0309"]
    assert parquet.dtypes[["blue", "year", "qa"]].astype(str).tolist() == [
        "int32",
        "int32",
        "uint8",
    ]
    text = pd.read_csv(tmp_path / "spectra.csv", dtype=str, keep_default_na=False)
    assert parquet.astype(str).equals(text)


def test_ids_that_need_quotes(tmp_path: Path) -> None:
    write_project(tmp_path, [Observation("1", "north", "2020-07-01")])
    for path in tmp_path.rglob("*.csv"):
        data = path.read_text().replace("north", '"a,b"')
        path.write_text(data)
        path.rename(path.with_name(path.name.replace("north", "a,b")))
    combine(tmp_path, "x,y")
    text = (tmp_path / "combined/2020_prj_x,y_region_spectrals.csv").read_text()
    assert text.startswith('"x,y",LC08,1,"a,b",0309,2020,183,')
    assert pd.read_parquet(tmp_path / "combined/spectra.parquet")["plot_id"].tolist() == ["a,b"]


def test_what_is_missing_or_broken_is_left_out_and_told(tmp_path: Path) -> None:
    rows = [Observation("1", "7", f"2020-07-0{day}") for day in (1, 2, 3)]
    write_project(tmp_path, rows)
    (tmp_path / rows[0].path).unlink()
    (tmp_path / rows[1].path).write_text("half of it")
    made = combine(tmp_path)
    assert not made.complete
    assert made.left_out["day"].tolist() == ["2020-07-01", "2020-07-02"]
    assert made.left_out["file"].tolist() == [rows[0].path, rows[1].path]
    assert (
        tmp_path / "combined/2020_prj_1_region_spectrals.csv"
    ).read_text() == f"1,{rows[2].line}"
    result = CliRunner().invoke(main, ["combine", str(tmp_path)])
    assert result.exit_code == 1
    assert f"Left out: {rows[0].path}: the file is missing" in result.stderr
    assert "the files lack: 2. Make it again" in result.stderr
    assert "--repair" in result.stderr


def test_an_unfinished_project_is_combined_with_a_word(tmp_path: Path) -> None:
    rows = [Observation("1", plot, "2020-07-01") for plot in "78"]
    write_project(tmp_path, rows, incomplete=["8"])
    result = CliRunner().invoke(main, ["combine", str(tmp_path), "--server-project", "5"])
    assert result.exit_code == 0
    assert "1 of the ledger's 2 plots (8) is incomplete" in result.stderr
    assert "2 observations in 1 file" in result.stdout
    assert CliRunner().invoke(main, ["--quiet", "combine", str(tmp_path)]).stdout == ""
    assert str(tmp_path / "combined") in result.stdout


def test_again_replaces_what_was_there_and_removes_years_without_rows(tmp_path: Path) -> None:
    write_project(tmp_path, [Observation("1", "7", day) for day in ("2019-07-01", "2020-07-01")])
    other = tmp_path / "combined/2018_prj_2_region_spectrals.csv"
    other.parent.mkdir()
    other.write_text("of another project")
    combine(tmp_path)
    write_project(tmp_path, [Observation("1", "7", "2020-07-01", "9,9,9,9,9,9,1")])
    combine(tmp_path)
    assert sorted(name for name in files(tmp_path / "combined") if "prj" in name) == [
        other.name,
        "2020_prj_1_region_spectrals.csv",
    ]
    assert ",9,9,9,9,9,9,1," in (tmp_path / "combined/2020_prj_1_region_spectrals.csv").read_text()


def test_a_project_without_any_row(tmp_path: Path) -> None:
    write_project(tmp_path, [Observation("1", "7", "2020-07-01")])
    (tmp_path / "ledger/observations/prj_1/plot_7.csv").unlink()
    assert combine(tmp_path).rows == 0
    assert (tmp_path / "combined/spectra.csv").read_text() == HEADER
    assert pd.read_parquet(tmp_path / "combined/spectra.parquet").empty


@pytest.mark.parametrize("server_project", ["", "../x", "a/b"])
def test_ids_that_can_lead_out_are_refused(tmp_path: Path, server_project: str) -> None:
    write_project(tmp_path, [Observation("1", "7", "2020-07-01")])
    with pytest.raises(InputError, match="the server's project id"):
        combine(tmp_path, server_project)
    assert not (tmp_path / "combined").exists()


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("before")

    def fail() -> None:
        with workplace(tmp_path) as work:
            (work / "kept.csv").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert files(tmp_path) == {"kept.csv": b"before"}


def test_no_project_is_one_message_and_no_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["combine", str(tmp_path)])
    assert result.exit_code == 2
    assert "has no ledger" in result.stderr
    assert not list(tmp_path.iterdir())
