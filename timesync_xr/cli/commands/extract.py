"""``timesync-xr extract``: a plot list to a project."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...storage.access import S3
from ..help import Command
from ..main import COMPLETE, INCOMPLETE, is_quiet
from ..options import (
    chip_size_option,
    chosen_workers,
    cluster_options,
    fallback_option,
    grid_option,
    out_s3_options,
    per_year_options,
    s3_options,
    selection_options,
    source_option,
)

if TYPE_CHECKING:
    from ...cube.selection import Selection
    from ...project.products import ChipsPerYear


@click.command(cls=Command, short_help="Make a TimeSync project of a plot list.")
@click.argument("plots", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(),
    required=True,
    metavar="PROJECT_DIR",
    help="Project folder to make, or an address in a bucket: s3://bucket/prefix.",
)
@source_option
@click.option(
    "--mirror",
    multiple=True,
    metavar="OLD=NEW",
    help="Read assets whose address starts with OLD below NEW instead: a folder, a bucket or an "
    "http address. May be given several times.",
)
@fallback_option
@grid_option
@click.option(
    "--datetime",
    metavar="START/END",
    help="Dates to take, either end open (2010/.., ../1999-12-31). Default: 1982 to now.",
)
@chip_size_option
@click.option(
    "--products",
    default="png,csv",
    show_default=True,
    help="What to make: png (three composites), csv (spectra, a file per observation), spectra "
    "(the same rows, a Parquet file per plot), zarr (the cube); with commas. csv or spectra alone "
    "read the plot pixel alone: half the requests, a quarter of the bytes.",
)
@per_year_options
@selection_options
@s3_options
@out_s3_options
@cluster_options
@click.option(
    "--refresh",
    is_flag=True,
    help="Search for items again, and add to complete plots what is new. Without it the items are "
    "taken that PROJECT_DIR keeps of earlier searches.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Remove what the plots have and these options leave out: by narrower filters or dates, "
    "because items are gone or refused by now, or because a plot lies elsewhere. Without it, what "
    "is gone or refused is kept, and the others are refused.",
)
def extract(
    plots: Path,
    out: str,
    *,
    source: str,
    mirror: tuple[str, ...],
    fallback: str | None,
    grid: str | None,
    chip_size: tuple[int, int],
    products: str,
    per_year: ChipsPerYear | None,
    select: Selection,
    s3: S3,
    out_s3: S3,
    scheduler: str | None,
    scheduler_file: str | None,
    workers: int | None,
    refresh: bool,
    prune: bool,
) -> None:
    """Make a TimeSync project of the plots in PLOTS (CSV).

    PLOTS has the columns project_id, plot_id and either lon, lat (degrees) or x, y (metres of the
    grid, where it has one CRS). The same command takes up a run that was stopped.

    \b
    Exit codes: 0 all plots complete, 1 some incomplete or nothing written, 2 wrong usage or input.

    \b
    Examples:
      timesync-xr extract plots.csv --out project
      timesync-xr extract plots.csv --out project --datetime 2020/..
      timesync-xr extract plots.csv --out project --source landsatlook-scenes
      timesync-xr extract plots.csv --out project --source landsatlook-scenes \\
          --fallback earth-search
      timesync-xr extract plots.csv --out project \\
          --source items.json --mirror s3://usgs-landsat-ard=/data/ard
      timesync-xr extract plots.csv --out s3://bucket/project --profile lab --out-profile lab
      timesync-xr extract plots.csv --out s3://bucket/project --scheduler tcp://10.0.0.7:8786
      timesync-xr extract plots.csv --out project --season 06-01/09-30 --no-slc-off
      timesync-xr extract plots.csv --out project --chips-per-year 1 --target-day 200
      timesync-xr extract plots.csv --out project --chips-per-year 3 --products png,spectra
      timesync-xr extract plots.csv --out project --chips-per-year 1 --all-rows
    """
    from ...catalog.archive import Archive
    from ...project.products import Products
    from ...project.project import Project
    from ...run.extract import extract as run

    archive = Archive(source, mirror=mirror, s3=s3, fallback=fallback)
    made = Products(products, grid, chip_size, chips_per_year=per_year)
    for line in archive.bill:
        click.echo(line, err=True)
    with chosen_workers(scheduler, scheduler_file, workers) as chosen:
        summary = run(
            plots,
            Project(out, out_s3),
            archive,
            replace(select, prune=prune),
            made,
            workers=chosen,
            refresh=refresh,
            progress=not is_quiet(),
        )
    is_well = summary.complete and not summary.nothing
    if not (is_quiet() and is_well):
        click.echo(summary)
    sys.exit(COMPLETE if is_well else INCOMPLETE)
