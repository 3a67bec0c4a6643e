"""``timesync-xr offsets``: how far sensors differ over the plots of a project."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Command
from ..main import INCOMPLETE, is_quiet
from ..options import out_s3_options, plots_option, table_option, tell_what_is_missing


@click.command(cls=Command, short_help="Measure how far sensors differ.")
@click.argument("project", type=click.Path())
@click.option(
    "--days",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Days that the two observations of a pair may be apart. Landsat 8 and 9 are 8 apart.",
)
@table_option
@plots_option
@out_s3_options
def offsets(project: str, days: int, out: str | None, plots: Path | None, out_s3: S3) -> None:
    """Measure how far sensors differ, from pairs of clear observations of PROJECT.

    A row for each two sensors and each band and index: the number of pairs and plots, the mean and
    median of the older sensor less the newer one, and the interval of the mean at 95 %, by a
    bootstrap over plots. Nothing is corrected: timesync-xr export --format series --offsets writes
    corrected values beside the originals.

    \b
    Exit codes: 0 done, 1 no two sensors met, 2 wrong usage or input.

    \b
    Examples:
      timesync-xr offsets project > offsets.csv
      timesync-xr offsets project --days 8 --out offsets.csv
    """
    from ...project.project import Project
    from ...storage.tables import check_table_name, write_tables

    if out is not None:
        check_table_name(out)
    made = Project(project, out_s3)
    tell_what_is_missing(made, plots)
    table = made.offsets(plots, days=days)
    if table.empty:
        click.echo(
            f"no two sensors saw a plot clearly within {counted(days, 'day')}: give more --days",
            err=True,
        )
        sys.exit(INCOMPLETE)
    rows = write_tables(out, table.iloc[:0], [table], out_s3)
    if out is not None and not is_quiet():
        click.echo(f"{counted(rows, 'row')} in {out}")
