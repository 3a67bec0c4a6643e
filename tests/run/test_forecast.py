"""What a run would take, against what it then takes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.archive import SmallArchive
from timesync_xr import (
    Archive,
    Products,
    Project,
    Selection,
    extract,
    read_plots,
)
from timesync_xr.cli.main import main
from timesync_xr.grid import REGIONS
from timesync_xr.run.forecast import Forecast, plan
from timesync_xr.sample import SamplePaths

SUMMER = Selection(season="06-01/09-30", sensors=("LC08", "LC09"))


@pytest.mark.parametrize("select", [Selection(), SUMMER])
@pytest.mark.deep
def test_it_counts_what_a_run_counts(
    sample: SamplePaths, tmp_path: Path, select: Selection
) -> None:
    archive = Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    products = Products("csv", chip_size=(3, 3))
    forecast = plan(sample.plots, archive, select, products, project=tmp_path)
    extract(sample.plots, tmp_path, archive, select, products, progress=False)
    ledger = Project(str(tmp_path)).plots.set_index(["project_id", "plot_id"])
    planned = forecast.plots.set_index(["project_id", "plot_id"])
    assert planned["observations"].to_dict() == ledger["observations"].to_dict()
    for key, count in planned["filtered"].items():
        account = Project(str(tmp_path)).log(key)
        seen = account[~account["outcome"].isin(["superseded", "refused"])]
        summer = pd.to_datetime(seen["day"]).dt.month.between(6, 9)
        outside = ~(summer & seen["sensor"].isin(SUMMER.sensors))
        assert count == (outside.sum() if select == SUMMER else 0)
    assert forecast.observations == (planned["observations"] - planned["filtered"]).sum()
    assert forecast.hours(4) == forecast.hours(1) / 4


@pytest.mark.parametrize("size", [(255, 255), (3, 3), (100, 400)])
@pytest.mark.parametrize("col", [2560, 2620])
def test_blocks_that_two_plots_share_count_once(
    tmp_path: Path, size: tuple[int, int], col: int
) -> None:
    archive = SmallArchive(tmp_path)
    for day in (1, 9):
        archive.add("LC08", f"2020-07-{day:02d}T18:30:00Z", write=False)
    cols, row = (col, col + 100), 2500
    points = [REGIONS["CU"].center(15_000 + c, 45_000 + row) for c in cols]
    table = pd.DataFrame(points, columns=["x", "y"])
    table = table.assign(project_id="p", plot_id=["1", "2"], offset=0.0)
    forecast = plan(table, Archive(archive.write_items()), products=Products(chip_size=size))
    first, second = (
        {
            ((c - size[0] // 2 + x) // 256, (row - size[1] // 2 + y) // 256)
            for x in range(size[0])
            for y in range(size[1])
        }
        for c in cols
    )
    rows = len({y for _, y in first}) + len({y for _, y in second - first})
    assert forecast.blocks == 2 * len(first | second)
    assert forecast.block_rows == 2 * rows
    assert forecast.headers == 2 * 7


@pytest.mark.deep
def test_plots_with_few_items_are_named(sample: SamplePaths, tmp_path: Path) -> None:
    table = tmp_path / "plan.csv"
    arguments = ["plan", str(sample.plots), "--source", str(sample.items)]
    arguments += ["--datetime", "2024/..", "--table", str(table)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    count = len(read_plots(sample.plots))
    assert f"Plots with fewer than 20 observations: {count}, 0 of them with none" in result.output
    assert len(table.read_text().splitlines()) == count + 1
    result = CliRunner().invoke(main, [*arguments, "--sensors", "LT04"])
    assert f"Plots with fewer than 20 observations: {count}, {count} of them with none" in (
        result.output
    )
    assert "0 requests, 0.0 GB" in result.output


@pytest.mark.deep
def test_prices_may_be_given(sample: SamplePaths) -> None:
    arguments = ["plan", str(sample.plots), "--source", str(sample.items)]
    usual = CliRunner().invoke(main, arguments).output
    other = (
        CliRunner()
        .invoke(main, [*arguments, "--request-price", "7", "--transfer-price", "0"])
        .output
    )
    requests = int(usual.partition(" requests")[0].split()[-1])
    assert "(0.0004 per 1000 GET, requester pays)" in usual
    assert f"{requests * 7 / 1000:.2f} USD for requests (7 per 1000 GET" in other
    assert "0.00 to elsewhere" in other


def test_choices_stand_side_by_side(tmp_path: Path) -> None:
    """By hand: a chosen day takes 21 requests, each further look 2; of spectra a header and a block
    of each asset."""
    archive = SmallArchive(tmp_path)
    for year in (2019, 2020):
        for month in range(1, 11):
            archive.add("LC08", f"{year}-{month:02d}-15T18:30:00Z", write=False)
    x, y = REGIONS["CU"].center(15_000 + 2500, 45_000 + 2500)
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{x},{y}\n")
    items = archive.write_items()
    forecast = plan(tmp_path / "plots.csv", Archive(items))
    table = forecast.choices().set_index("choice")
    assert forecast.years == 2
    assert table["requests"].to_dict() == {
        "(all)": forecast.requests,
        "--chips-per-year 1": 2 * 21 + 2 * 2.5 * 2,
        "--chips-per-year 1 --all-rows": 20 * 8 + 68 + 2 * 13,  # and six bands at each other plot
        "--chips-per-year 3": 6 * 21 + 14 * 2,  # there are no more days to look at
        "--chips-per-year 3 --all-rows": 20 * 8 + 44 + 6 * 13,
        "--products csv": 20 * 7 + 20 + 80,
    }
    assert table["files"].tolist() == [53, 8, 19, 24, 31, 13]
    with_tables = [41, 7, 7, 19, 19, 1]  # three chips each, and a table
    assert table["files_with_tables"].tolist() == with_tables
    for column in ("gigabytes", "usd", "hours"):
        every, one, one_rows, three, three_rows, spectra = table[column].tolist()
        assert one < three < every
        assert one <= one_rows <= every
        assert three <= three_rows <= every
        assert spectra < every
    line = ["plan", str(tmp_path / "plots.csv"), "--source", str(items), "--workers", "2"]
    told = CliRunner().invoke(main, line).output
    assert "  --chips-per-year 1                       52" in told


def test_the_table_of_a_national_list_is_what_plan_computes() -> None:
    """A chip of 255 pixels at random touches 1 + 254 / 256 rows of blocks, and columns."""
    plots, each, years, tiles = 27_000, 3900, 43, 405
    rows = 1 + 254 / 256
    counts = {"places": 1, "items": each, "observations": each, "filtered": 0, "years": years}
    table = pd.DataFrame({"plot_id": range(plots)}).assign(**counts)
    headers, every = tiles * each * 7, plots * each
    national = Forecast(
        table, tiles, tiles * each, 0, headers, every * rows, every * rows**2, Selection()
    )
    found = national.choices().set_index("choice")
    text = Path(__file__).parents[2].joinpath("docs/scale.md").read_text()
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    told = {cells[0]: cells[1:] for cells in lines if len(cells) == 6}
    for choice, name in (
        ("(all)", "all"),
        ("--chips-per-year 3", "`--chips-per-year 3`"),
        ("--chips-per-year 1", "`--chips-per-year 1`"),
        ("--chips-per-year 3 --all-rows", "`--chips-per-year 3 --all-rows`"),
        ("--chips-per-year 1 --all-rows", "`--chips-per-year 1 --all-rows`"),
        ("--products csv", "spectra alone"),
    ):
        row, (requests, size, files, tables, hours) = found.loc[choice], told[name]
        assert requests == f"{row['requests'] / 1e6:,.0f} million"
        assert size == (
            f"{row['gigabytes'] / 1e3:.0f} TB"
            if row["gigabytes"] > 1e4
            else f"{row['gigabytes'] / 1e3:.1f} TB"
        )
        assert float(files.split()[0]) == pytest.approx(row["files"] / 1e6, rel=0.012)
        count = int(row["files_with_tables"])
        assert tables == f"{count:,}" or float(tables.split()[0]) == pytest.approx(
            count / 1e6, rel=0.012
        )
        assert float(hours) == pytest.approx(row["hours"], rel=0.012)
    some, full = found.loc["--chips-per-year 3"], found.loc["(all)"]
    assert full["requests"] / some["requests"] == pytest.approx(15, abs=0.5)
    assert full["files"] / some["files_with_tables"] == pytest.approx(27, abs=0.5)
