"""What a project holds: order of plots, rows as they were found, and words about what is not."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handmade import HEADER, Observation, write_project
from timesync_xr import Project
from timesync_xr.errors import ProjectError
from timesync_xr.plots import id_order
from timesync_xr.project.rows import (
    PlotRows,
    Written,
    chunks,
    csv_line,
    in_order,
    read_row,
    read_rows,
)
from timesync_xr.spectral.series import CSV_COLUMNS
from timesync_xr.storage.folder import Folder

ONE = Observation("1211", "7", "2020-07-01")


def rows_of(place: Path) -> list[PlotRows]:
    return list(read_rows(Folder(place), Project(place).plots))


FOUND = Written("2020-07-01", 2020, 183, "LC08", "0309", ONE.date)


def test_numbers_come_first_by_their_value_and_then_text() -> None:
    ids = ["b", "10", "9", "a", "7", "-1", "07", "2.5", "1e3", "٣", "A"]
    ordered = ["-1", "2.5", "07", "7", "9", "10", "1e3", "A", "a", "b", "٣"]
    assert sorted(ids, key=id_order) == ordered


@given(st.lists(st.integers(-(10**30), 10**30)))
def test_whole_numbers_are_ordered_as_numbers(numbers: list[int]) -> None:
    assert sorted(map(str, numbers), key=id_order) == list(map(str, sorted(numbers)))


@given(st.lists(st.text(max_size=5)))
def test_order_is_the_same_whatever_it_starts_from(ids: list[str]) -> None:
    backwards = ids[::-1]
    assert sorted(ids, key=id_order) == sorted(backwards, key=id_order)


def test_a_good_row_is_kept_byte_by_byte(tmp_path: Path) -> None:
    folder = Folder(write_project(tmp_path, [ONE]))
    row = read_row(folder, "1211", "7", FOUND)
    values = b"LC08,1211,7,0309,2020,183,100,200,300,400,500,600,0"
    assert row.line == values + b",2020-07-01T18:30:00.1234567Z\n"
    assert row.problem == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "header"),
        (HEADER, "does not begin with LC08,1211,7,0309,2020,183,"),
        (ONE.line, "header"),
        (HEADER.replace("\n", "\r\n") + ONE.line, "header"),
        (HEADER + ONE.line.replace("\n", "\r\n"), "does not begin"),
        (HEADER + ONE.line[:-1], "does not begin"),
        (HEADER + ONE.line + ONE.line, "six whole numbers"),
        (HEADER + ONE.line.replace("1211,7,", "1211,8,"), "does not begin"),
        (HEADER + ONE.line.replace("0309", "309"), "does not begin"),
        (HEADER + ONE.line.replace(",183,", ",184,"), "does not begin"),
        (HEADER + ONE.line.replace("4567Z", "4568Z"), "end with 2020-07-01T18:30:00.1234567Z"),
        (HEADER + ONE.line.replace(",400,", ",4e2,"), "six whole numbers"),
        (HEADER + ONE.line.replace(",400,", ",,"), "six whole numbers"),
        (HEADER + ONE.line.replace(",600,0,", ",600,2,"), "six whole numbers and a qa of 0 or 1"),
        (HEADER + ONE.line.replace(",400,", ",16023,"), "outside -2000 to 16022"),
        (HEADER + ONE.line.replace(",400,", ",-2001,"), "outside -2000 to 16022"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(tmp_path: Path, text: str, words: str) -> None:
    (write_project(tmp_path, [ONE]) / ONE.path).write_bytes(text.encode())
    row = read_row(Folder(tmp_path), "1211", "7", FOUND)
    assert words in row.problem
    assert row.line == b""


def test_a_row_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert read_row(Folder(tmp_path), "1211", "7", FOUND).problem == "the file is missing"


def test_rows_come_by_plot_and_date_whatever_the_ledger_says_first(tmp_path: Path) -> None:
    days = [("10", "2021-01-01"), ("9", "2020-07-01"), ("10", "2020-01-01"), ("x", "2000-12-31")]
    write_project(tmp_path, [Observation("1", plot, day) for plot, day in days])
    found = [(p.plot_id, r.of.day) for p in rows_of(tmp_path) for r in p.rows]
    assert found == [days[1], days[2], days[0], days[3]]


@pytest.mark.parametrize("archive", ["real", "mosaic"])
def test_spectra_are_the_golden_rows(
    shared: Path, golden_projects: dict[str, Path], archive: str
) -> None:
    paths = (shared / f"golden/{archive}_expected").rglob("*.csv")
    expected = pd.concat([pd.read_csv(path, dtype=str) for path in paths])
    expected = expected.astype({"plot_id": int, "year": int, "doy": int})
    expected = expected.sort_values(["plot_id", "year", "doy"]).astype(str)
    found = Project(golden_projects[archive]).spectra()
    assert tuple(found.columns) == CSV_COLUMNS
    assert found["blue"].dtype == "int32"
    assert found.astype(str).to_numpy().tolist() == expected.to_numpy().tolist()


def test_ids_and_tiles_stay_text(tmp_path: Path) -> None:
    write_project(tmp_path, [Observation("NA", "007", "2020-07-01")])
    (row,) = Project(tmp_path).spectra().to_dict("records")
    assert (row["project_id"], row["plot_id"], row["hv"]) == ("NA", "007", "0309")


def test_what_is_not_there_yet_is_told(tmp_path: Path) -> None:
    days = [Observation("1", str(n), "2020-07-01") for n in range(8)]
    write_project(tmp_path / "a", days, incomplete=["1", "5"])
    (line,) = Project(tmp_path / "a").unfinished
    assert line.startswith("2 of the ledger's 8 plots (1, 5) are incomplete")
    assert "timesync-xr extract" in line
    write_project(tmp_path / "b", days)
    assert Project(tmp_path / "b").unfinished == []
    ledger = tmp_path / "b/ledger/plots.csv"
    ledger.write_text(ledger.read_text().replace(",csv,", ",png,"))
    (line,) = Project(tmp_path / "b").unfinished
    assert line.startswith("8 of the ledger's 8 plots (0, 1, 2, 3, 4 and 3 more) were made without")
    assert rows_of(tmp_path / "b") == []


def test_a_project_that_only_began_is_told(tmp_path: Path) -> None:
    write_project(tmp_path, [ONE])
    ledger = tmp_path / "ledger/plots.csv"
    ledger.unlink()
    assert Project(tmp_path).unfinished[0].startswith("The ledger knows no plot yet")
    assert Project(tmp_path).spectra().empty


def test_a_folder_without_a_ledger_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"has no ledger.*extract --out"):
        _ = Project(tmp_path).plots


def test_values_are_quoted_where_they_must_be() -> None:
    assert csv_line("a", 1, "b,c", 'd"e') == 'a,1,"b,c","d""e"'


@given(st.lists(st.integers()), st.integers(1, 5))
def test_chunks_and_threads_keep_the_order(values: list[int], size: int) -> None:
    assert [v for part in chunks(values, size) for v in part] == values
    assert all(0 < len(part) <= size for part in chunks(values, size))
    assert list(in_order(lambda v: -v, values, size)) == [-v for v in values]


def test_work_is_only_a_few_values_ahead() -> None:
    begun, lock = [0], threading.Lock()

    def work(value: int) -> int:
        with lock:
            begun[0] += 1
        return value

    for taken, _ in enumerate(in_order(work, iter(range(100)), 3), 1):
        assert begun[0] <= taken + 3
