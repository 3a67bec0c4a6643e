from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr import Project
from timesync_xr.errors import ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.plots import Plot
from timesync_xr.project.ledger import Ledger, failures_of, ledger_row, read_ledger
from timesync_xr.project.log import BEGUN, COLUMNS, OUTCOMES, write_log
from timesync_xr.project.project import Settings, keep_settings
from timesync_xr.storage.folder import Folder


def account_of(*outcomes: str) -> pd.DataFrame:
    """An account with these outcomes, one a day."""
    rows = [
        {"day": f"2001-01-{n % 28 + 1:02d}", "sensor": "LE07", "outcome": outcome}
        for n, outcome in enumerate(outcomes)
    ]
    return pd.DataFrame([dict.fromkeys(COLUMNS, "") | row for row in rows], columns=list(COLUMNS))


def row_of(plot: Plot, *outcomes: str) -> dict[str, Any]:
    return ledger_row(plot, account_of(*outcomes), "1982-01-01/..", "png,csv", "")


def test_a_row_counts_what_became_of_the_observations() -> None:
    account = account_of("written", "fill at plot", "failed", "superseded", "written", "refused")
    account.loc[2, ["asset", "cause", "remedy"]] = ["item2 red", "not found", "Look for it"]
    row = ledger_row(Plot("p", "1", 15.0, -15.0), account, "1982-01-01/..", "csv", "")
    counts = {k: int(row[k]) for k in ("observations", "written", "fill_at_plot", "failed")}
    assert counts == {"observations": 4, "written": 2, "fill_at_plot": 1, "failed": 1}
    assert row["status"] == "incomplete"
    (failure,) = failures_of(row)
    assert (failure["day"], failure["asset"]) == ("2001-01-03", "item2 red")
    assert (failure["cause"], failure["remedy"]) == ("not found", "Look for it")


def test_a_row_is_small_however_long_the_archive_is(tmp_path: Path) -> None:
    """27,000 of them are kept in memory, and in one file."""
    account = account_of(*["fill at plot", "failed"] * 2000)
    account.loc[account["outcome"] == "failed", ["asset", "cause", "remedy"]] = ["a" * 50] * 3
    plot = Plot("p", "1", 15.0, -15.0)
    row = ledger_row(plot, account, "1982-01-01/..", "csv", "")
    assert (row["fill_at_plot"], row["failed"]) == (2000, 2000)
    assert [f["day"] for f in failures_of(row)] == account["day"][1:40:2].tolist()
    ledger = Ledger(Folder(tmp_path))
    ledger.record(plot, row)
    ledger.close()
    assert (tmp_path / "ledger/plots.csv").stat().st_size < 10_000


@given(st.lists(st.sampled_from([outcome for outcome in OUTCOMES if outcome != BEGUN])))
def test_nothing_is_lost_in_the_counts(outcomes: list[str]) -> None:
    row = row_of(Plot("p", "1", 0, 0), *outcomes)
    of_observations = ["written", "without_chip", "fill_at_plot", "other_platform"]
    of_observations += ["filtered", "failed"]
    assert sum(int(row[k]) for k in of_observations) == row["observations"]
    assert row["observations"] + row["superseded_items"] + row["refused_items"] == len(outcomes)
    found = "complete" if sum(row[name] for name in of_observations) else "no items"
    assert row["status"] == ("incomplete" if "failed" in outcomes else found)


def test_it_is_a_table_for_pandas_and_keeps_ids_as_text(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path))
    plot = Plot("0012", "007", 15.0, 45.0)
    write_log(ledger.folder, plot, account_of("written"))
    ledger.record(plot, row_of(plot, "written", "fill at plot"))
    ledger.close()
    for table in (
        read_ledger(Folder(tmp_path)),
        pd.read_csv(tmp_path / "ledger/plots.csv", dtype=str),
    ):
        assert table.loc[0, "project_id"] == "0012"
        assert table.loc[0, "plot_id"] == "007"
        assert table.loc[0, "status"] == "complete"
    account = Project(str(tmp_path)).log(("0012", "007"))
    assert account["outcome"].tolist() == ["written"]


@pytest.mark.parametrize("plots", [1, 5, 100])
@pytest.mark.cases(1)
def test_every_row_can_be_read_as_soon_as_it_is_recorded(tmp_path: Path, plots: int) -> None:
    """Also by another process, and by the next run after this one was killed."""
    ledger = Ledger(Folder(tmp_path))
    for n in range(plots):
        plot = Plot("p", str(n), 0.0, 0.0)
        ledger.record(plot, row_of(plot, "failed"))
        assert len(read_ledger(Folder(tmp_path))) == n + 1
    for n in range(0, plots, 3):
        plot = Plot("p", str(n), 0.0, 0.0)
        ledger.record(plot, row_of(plot, "written"))
    assert read_ledger(Folder(tmp_path))["written"].sum() == len(range(0, plots, 3))
    killed = Ledger(Folder(tmp_path)).table()
    pd.testing.assert_frame_equal(
        killed.sort_values("plot_id", ignore_index=True).astype(str),
        ledger.table().sort_values("plot_id", ignore_index=True).astype(str),
    )
    assert not list((tmp_path / "ledger/recent").iterdir())


def test_a_kill_between_table_and_clean_up_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path))
    plot = Plot("p", "1", 0.0, 0.0)
    for outcome in ("failed", "written"):
        ledger.record(plot, row_of(plot, outcome))
    table = (tmp_path / "ledger/plots.csv").read_bytes()
    recent = tmp_path / "ledger/recent"
    for number, outcome in ((1, "failed"), (2, "written")):
        row = pd.DataFrame([row_of(plot, outcome)])
        row.to_csv(recent / f"{number:08d}.csv", index=False, lineterminator="\n")
    assert read_ledger(Folder(tmp_path))["status"].tolist() == ["complete"]
    Ledger(Folder(tmp_path))
    assert (tmp_path / "ledger/plots.csv").read_bytes() == table


@pytest.mark.deep
def test_keeping_the_ledger_costs_the_same_per_plot(tmp_path: Path) -> None:
    """Bytes written per plot do not grow with the number of plots more than its logarithm."""

    class Counting(Folder):
        written = 0

        def write(self, path: str, data: bytes) -> None:
            self.written += len(data)

    def per_plot(count: int) -> float:
        ledger = Ledger(Counting(tmp_path))
        for n in range(count):
            plot = Plot("p", str(n), 0.0, 0.0)
            ledger.record(plot, row_of(plot, "written"))
        return ledger.folder.written / count  # type: ignore[attr-defined,no-any-return]

    assert per_plot(1000) < 3 * per_plot(100)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    settings = Settings("landsat-c2ard-sr", REGIONS["CU"], (255, 255))
    keep_settings(Folder(tmp_path), settings)
    keep_settings(Folder(tmp_path), settings)
    with pytest.raises(ProjectError, match=r"chip size \[255, 255\], not \[99, 99\]"):
        keep_settings(Folder(tmp_path), replace(settings, chip_size=(99, 99)))
    with pytest.raises(ProjectError, match="grid CU, not HI"):
        keep_settings(Folder(tmp_path), replace(settings, grid=REGIONS["HI"]))
    with pytest.raises(ProjectError, match="collection landsat-c2ard-sr, not landsat-c3"):
        keep_settings(Folder(tmp_path), replace(settings, collection="landsat-c3"))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b'"unclosed'])
def test_a_damaged_table_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger/plots.csv").write_bytes(data)
    with pytest.raises(ProjectError, match=r"plots.csv is damaged: timesync-xr verify --repair"):
        Ledger(Folder(tmp_path))


def test_a_folder_without_a_ledger_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is no project"):
        _ = read_ledger(Folder(tmp_path))
