"""``timesync-xr combine``: the files that the TimeSync server loads."""

from __future__ import annotations

import sys
from typing import Any

import click

from ...storage.access import S3
from ..help import Command
from ..main import COMPLETE, INCOMPLETE, is_quiet
from ..options import out_s3_options

_SHOWN = 10


@click.command(cls=Command, short_help="Make the tables that the TimeSync server loads.")
@click.argument("project", type=click.Path())
@click.option(
    "--server-project",
    metavar="ID",
    help="Id of the project on the server; all rows go to it. Default: every project keeps its "
    "own id.",
)
@click.option(
    "--out",
    type=click.Path(),
    metavar="DIR",
    help="Folder of the files. Default: PROJECT/combined.",
)
@out_s3_options
def combine(project: str, out_s3: S3, **options: Any) -> None:
    """Put the values of all observations of PROJECT into the files that the server loads.

    These are {year}_prj_{id}_region_spectrals.csv, without a header, sorted by plot and day of the
    year. Beside them go spectra.csv (with a header) and spectra.parquet: all observations in one
    table. PROJECT may be unfinished; what is not there yet is told.

    \b
    Exit codes: 0 all that the ledger says is written is in the files, 1 some of it is missing or
    broken, 2 wrong usage or input.

    \b
    Examples:
      timesync-xr combine project
      timesync-xr combine project --server-project 3132 --out /srv/timesync/load
      timesync-xr combine s3://bucket/project --out combined --out-profile lab
    """
    from ...export.server import combine as run
    from ...project.project import Project

    combined = run(Project(project, out_s3), **options)
    for line in combined.unfinished:
        click.echo(line, err=True)
    for row in combined.left_out.head(_SHOWN).itertuples():
        click.echo(f"Left out: {row.file}: {row.problem}", err=True)
    if len(combined.left_out):
        click.echo(
            f"What the ledger has and the files lack: {len(combined.left_out)}. Make it again with "
            f"timesync-xr verify {project} --repair, then combine again",
            err=True,
        )
    if not is_quiet():
        click.echo(combined)
    sys.exit(INCOMPLETE if len(combined.left_out) else COMPLETE)
