"""What a run would take, against what it then takes."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from timesync_xr import extract, read_ledger, read_plots
from timesync_xr.cli import main
from timesync_xr.planning import plan_run
from timesync_xr.sample import SamplePaths


def test_it_counts_what_a_run_counts(sample: SamplePaths, tmp_path: Path) -> None:
    source = str(sample.items)
    forecast = plan_run(sample.plots, source=source, chip_size=(3, 3), out=tmp_path)
    extract(sample.plots, tmp_path, source=source, chip_size=(3, 3), products=["csv"],
            mirror=f"s3://usgs-landsat-ard={sample.folder}", progress=False)  # fmt: skip
    ledger = read_ledger(str(tmp_path)).set_index(["project_id", "plot_id"])
    planned = forecast.plots.set_index(["project_id", "plot_id"])
    assert planned["observations"].to_dict() == ledger["observations"].to_dict()
    assert forecast.observations == ledger["observations"].sum()
    assert forecast.hours(4) == forecast.hours(1) / 4


def test_plots_with_few_items_are_named(sample: SamplePaths, tmp_path: Path) -> None:
    table = tmp_path / "plan.csv"
    arguments = ["plan", str(sample.plots), "--source", str(sample.items)]
    result = CliRunner().invoke(main, [*arguments, "--datetime", "2024/..", "--table", str(table)])
    assert result.exit_code == 0, result.output
    count = len(read_plots(sample.plots))
    assert f"Plots with fewer than 20 observations: {count}" in result.output
    assert "USD for requests" in result.output
    assert len(table.read_text().splitlines()) == count + 1
