"""``timesync-xr density``: how many clear observations there are."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Choice, Command
from ..main import is_quiet
from ..options import out_s3_options, plots_option, table_option, tell_what_is_missing


@click.command(cls=Command, short_help="Count clear observations by plot and year.")
@click.argument("project", type=click.Path())
@click.option(
    "--by",
    type=Choice(["year", "season"]),
    default="year",
    show_default=True,
    help="Count by year, or by season: DJF, MAM, JJA, SON.",
)
@table_option
@plots_option
@out_s3_options
def density(project: str, by: str, out: str | None, plots: Path | None, out_s3: S3) -> None:
    """Count the clear observations of each plot of PROJECT by year or season, and their gaps.

    A row for each plot and period, from the first to the last of the plot: observations, clear ones
    (all bits of QA_PIXEL, all bands valid), these by sensor, the first and the last clear day, and
    the longest run of days without one.

    \b
    Examples:
      timesync-xr density project > density.csv
      timesync-xr density project --by season --out density.parquet
    """
    from ...project.project import Project
    from ...spectral.density import empty_density
    from ...storage.tables import check_table_name, write_tables

    if out is not None:
        check_table_name(out)
    made = Project(project, out_s3)
    tell_what_is_missing(made, plots)
    rows = write_tables(out, empty_density(), made.density_tables(plots, by=by), out_s3)
    if out is not None and not is_quiet():
        click.echo(f"{counted(rows, 'row')} in {out}")
