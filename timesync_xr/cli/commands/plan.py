"""``timesync-xr plan``: what a run would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...storage.access import S3
from ..help import Command
from ..main import is_quiet
from ..options import (
    chip_size_option,
    grid_option,
    out_s3_options,
    selection_options,
    source_option,
)

if TYPE_CHECKING:
    from ...cube.selection import Selection
    from ...project.products import Products
    from ...run.forecast import Prices


@click.command(cls=Command, short_help="Tell what extract would take: requests, bytes, cost.")
@click.argument("plots", type=click.Path(dir_okay=False, path_type=Path))
@source_option
@grid_option
@click.option("--datetime", metavar="START/END", help="Dates to take, either end open.")
@chip_size_option
@selection_options
@click.option(
    "--out",
    type=click.Path(),
    metavar="PROJECT_DIR",
    help="Keep the items here, for the run that follows.",
)
@out_s3_options
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Workers of the run, a core each.",
)
@click.option(
    "--request-price",
    type=click.FloatRange(0),
    metavar="USD",
    help="Price of 1000 requests. Default: 0.0004, for GET in us-west-2 in 2025.",
)
@click.option(
    "--transfer-price",
    type=click.FloatRange(0),
    metavar="USD",
    help="Price of a GB to workers outside us-west-2. Default: 0.09, to the internet in 2025.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Compare all sources that have a name, and the one of --source, for this list, and name "
    "the cheapest. One that can't be reached is left out.",
)
@click.option(
    "--table",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a CSV with the tiles, items and observations of every plot; with --compare a row "
    "for each source.",
)
def plan(
    plots: Path,
    *,
    source: str,
    grid: str | None,
    chip_size: tuple[int, int],
    select: Selection,
    out: str | None,
    out_s3: S3,
    workers: int,
    request_price: float | None,
    transfer_price: float | None,
    compare: bool,
    table: Path | None,
) -> None:
    """Tell what extract would take for the plots in PLOTS (CSV), without reading pixels.

    Tiles, items, observations, requests, bytes, rough cost and time, and which plots have few or
    no observations, with what was assumed for it; and beside it what fewer chips of each year, or
    spectra alone, would take.

    \b
    Examples:
      timesync-xr plan plots.csv
      timesync-xr plan plots.csv --datetime 2020/.. --workers 8 --table plan.csv
      timesync-xr plan world.csv --compare --datetime 2020/..
      timesync-xr plan plots.csv --season 06-01/09-30 --transfer-price 0.02
    """
    from ...catalog.archive import Archive
    from ...project.products import Products
    from ...project.project import Project
    from ...run.forecast import Prices
    from ...run.forecast import plan as run

    given = {"requests": request_price, "transfer": transfer_price}
    prices = Prices(**{name: price for name, price in given.items() if price is not None})
    products = Products(grid=grid, chip_size=chip_size)
    if compare:
        if out is not None:
            raise click.UsageError("--compare keeps no items: leave --out out")
        _compare(plots, source, select, products, workers, prices, table)
        return
    project = None if out is None else Project(out, out_s3)
    forecast = run(plots, Archive(source), select, products, project=project)
    if table is not None:
        forecast.plots.to_csv(table, index=False, lineterminator="\n")
    if table is None or not is_quiet():
        click.echo(forecast.text(workers, prices))


def _compare(
    plots: Path,
    source: str,
    select: Selection,
    products: Products,
    workers: int,
    prices: Prices,
    table: Path | None,
) -> None:
    """Compare the sources that have a name, and another one."""
    from ...catalog.archive import CATALOGS
    from ...run.comparison import compare_sources

    sources = list(dict.fromkeys((*CATALOGS, source)))
    compared = compare_sources(plots, select, products, sources=sources)
    if table is not None:
        compared.table(workers, prices).to_csv(table, index=False, lineterminator="\n")
    if table is None or not is_quiet():
        click.echo(compared.text(workers, prices))
