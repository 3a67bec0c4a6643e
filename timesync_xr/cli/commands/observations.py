"""``timesync-xr observations``: where every observation comes from, and what became of it."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Command
from ..main import is_quiet
from ..options import out_s3_options, plots_option, table_option, tell_what_is_missing


@click.command(cls=Command, short_help="List all observations and where they come from.")
@click.argument("project", type=click.Path())
@table_option
@plots_option
@out_s3_options
def observations(project: str, out: str | None, plots: Path | None, out_s3: S3) -> None:
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
    from ...project.project import Project
    from ...project.tables import empty_observations
    from ...storage.tables import check_table_name, write_tables

    if out is not None:
        check_table_name(out)
    made = Project(project, out_s3)
    tell_what_is_missing(made, plots)
    rows = write_tables(out, empty_observations(), made.observation_tables(plots), out_s3)
    if out is not None and not is_quiet():
        click.echo(f"{counted(rows, 'observation')} in {out}")
