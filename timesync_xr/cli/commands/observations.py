"""``timesync-xr observations``: where every observation comes from, and what became of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...storage.access import Access
from ..main import is_quiet
from ..options import out_s3_options


@click.command(short_help="List all observations and where they come from.")
@click.argument("project", type=click.Path())
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="File to write, its name ending in .csv or .parquet. Default: CSV on standard output.",
)
@click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A plot list: take its plots only. Default: all plots of the project.",
)
@out_s3_options
def observations(project: str, out: str | None, plots: Path | None, out_access: Access) -> None:
    """List all observations of PROJECT: their items, QA at the plot, and what became of them.

    A row for each observation, written or not, and for each item that is part of none. QA_PIXEL at
    the plot is there raw and decoded, with a strict flag (is_clear) and a graded class (grade: 0
    clear, 1 water, 2 snow, 3 shadow, 4 cloud, 9 no data). The column cause tells why an observation
    was not written. PROJECT may be unfinished; what is not there yet is told.

    \b
    Examples:
      timesync-xr observations project --out observations.parquet
      timesync-xr observations project --plots some.csv > observations.csv
    """
    from ...project.project import open_contents
    from ...project.tables import empty_table, observation_tables, write_observations
    from ...storage.tables import check_table_name
    from ..options import tell_what_is_missing

    if out is not None:
        check_table_name(out)
    contents = open_contents(project, out_access)
    tell_what_is_missing(contents, plots)
    if out is not None:
        rows = write_observations(project, out, plots, out_access)
        if not is_quiet():
            click.echo(f"{rows} observations in {out}")
        return
    empty_table().to_csv(sys.stdout, index=False, lineterminator="\n")
    for table in observation_tables(contents, plots):
        table.to_csv(sys.stdout, index=False, header=False, lineterminator="\n")
