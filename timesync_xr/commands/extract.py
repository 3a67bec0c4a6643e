"""``timesync-xr extract``: a plot list to a project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..cli import COMPLETE, INCOMPLETE


@click.command()
@click.argument("plots", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", required=True, metavar="PROJECT_DIR", help="Project folder to make.")
@click.option(
    "--source",
    default="landsatlook",
    show_default=True,
    help="Where the items come from: landsatlook, the URL of a STAC API that has the query "
    "extension, or a file of items (FeatureCollection JSON or stac-geoparquet).",
)
@click.option(
    "--mirror",
    multiple=True,
    metavar="OLD=NEW",
    help="Read assets whose address starts with OLD below NEW instead: a folder, a bucket or an "
    "http address. May be given several times.",
)
@click.option(
    "--region",
    type=click.Choice(["CU", "AK", "HI"]),
    default="CU",
    show_default=True,
    help="ARD grid: conterminous U.S., Alaska or Hawaii.",
)
@click.option(
    "--datetime",
    metavar="START/END",
    help="Dates to take, either end open (2010/.., ../1999-12-31). Default: 1982 to now.",
)
@click.option(
    "--chip-size",
    nargs=2,
    type=int,
    default=(255, 255),
    show_default=True,
    metavar="WIDTH HEIGHT",
    help="Pixels of a chip. TimeSync's client expects 255 255.",
)
@click.option(
    "--products",
    default="png,csv",
    show_default=True,
    help="What to make: png (three composites), csv (spectra), or both.",
)
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Processes that work at a time."
)
def extract(plots: Path, products: str, **options: Any) -> None:
    """Make a TimeSync project of the plots in PLOTS (CSV).

    PLOTS has the columns project_id, plot_id and either x, y (Albers metres of the region) or
    lon, lat (degrees). The same command takes up a run that was stopped.

    \b
    Exit codes: 0 all plots complete, 1 some incomplete, 2 wrong usage or input.

    \b
    Examples:
      timesync-xr extract plots.csv --out project
      timesync-xr extract plots.csv --out project --datetime 2020/..
      timesync-xr extract plots.csv --out project \\
          --source items.json --mirror s3://usgs-landsat-ard=/data/ard
    """
    from ..batch import extract as run

    summary = run(plots, products=tuple(products.split(",")), **options)
    click.echo(summary)
    sys.exit(COMPLETE if summary.complete else INCOMPLETE)
