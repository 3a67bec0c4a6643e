"""``timesync-xr export``: a project in the formats of other programs."""

from __future__ import annotations

from typing import Any

import click

from ...storage.access import S3
from ..main import is_quiet
from ..options import Choice, out_s3_options, target_day_option


@click.command(short_help="Write a project in another program's format.")
@click.argument("project", type=click.Path())
@click.option(
    "--format",
    "form",
    required=True,
    type=Choice(["v3-json", "sqlite", "gpkg", "kml"]),
    help="v3-json: a file per plot, as TimeSync V3's REST service, TimeSync+ and TSPO read it. "
    "sqlite: the same records in one table. gpkg, kml: plots and outlines of their chips for maps.",
)
@click.option(
    "--out", type=click.Path(), metavar="DIR", help="Folder to write to. Default: PROJECT/exports."
)
@target_day_option
@out_s3_options
def export(project: str, form: str, out_s3: S3, **options: Any) -> None:
    """Write PROJECT in the format of another program.

    PROJECT may be unfinished; what is not there yet is told.

    \b
    Examples:
      timesync-xr export project --format gpkg
      timesync-xr export project --format v3-json --out /srv/timesync3
      timesync-xr export s3://bucket/project --format sqlite --out .
    """
    from ...export.formats import export_project
    from ...project.project import Project

    exported = export_project(Project(project, out_s3), form, **options)
    for line in exported.unfinished:
        click.echo(line, err=True)
    if not is_quiet():
        click.echo(exported)
