"""``timesync-xr plan``: what a run would take."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("plots", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--source", default="landsatlook", show_default=True, help="As for extract.")
@click.option("--region", type=click.Choice(["CU", "AK", "HI"]), default="CU", show_default=True)
@click.option("--datetime", metavar="START/END", help="Dates to take, either end open.")
@click.option(
    "--chip-size", nargs=2, type=int, default=(255, 255), show_default=True, metavar="WIDTH HEIGHT"
)
@click.option("--out", metavar="PROJECT_DIR", help="Keep the items here, for the run that follows.")
@click.option("--workers", type=int, default=1, show_default=True, help="Workers of the run.")
@click.option(
    "--table",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a CSV with the tiles, items and observations of every plot.",
)
def plan(
    plots: Path,
    source: str,
    region: str,
    datetime: str | None,
    chip_size: tuple[int, int],
    out: str | None,
    workers: int,
    table: Path | None,
) -> None:
    """Tell what extract would take for the plots in PLOTS (CSV), without reading pixels.

    Tiles, items, observations, requests, bytes, rough cost and time, and which plots have few or
    no items.

    \b
    Examples:
      timesync-xr plan plots.csv
      timesync-xr plan plots.csv --datetime 2020/.. --workers 8 --table plan.csv
    """
    from ..planning import plan_run

    forecast = plan_run(
        plots, source=source, region=region, datetime=datetime, chip_size=chip_size, out=out
    )
    if table is not None:
        forecast.plots.to_csv(table, index=False, lineterminator="\n")
    click.echo(forecast.text(workers))
