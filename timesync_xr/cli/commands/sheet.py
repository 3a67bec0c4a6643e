"""``timesync-xr sheet``: the chips of each plot in one picture."""

from __future__ import annotations

from typing import Any

import click

from ...storage.access import S3
from ..help import Choice, Command
from ..main import is_quiet
from ..options import out_s3_options, plots_option, rule_option, target_day_option


@click.command(cls=Command, short_help="Make a picture or animation of every plot.")
@click.argument("project", type=click.Path())
@click.option(
    "--out", type=click.Path(), metavar="DIR", default="", help="Default: PROJECT/sheets."
)
@plots_option
@click.option(
    "--form",
    type=Choice(["sheet", "strip", "gif", "webp"]),
    default="sheet",
    show_default=True,
    help="A PNG with ten years in a row (sheet) or all years in one (strip), or an animation.",
)
@click.option(
    "--composites",
    default="",
    help="Which composites to show, with commas between them. Default: all of PROJECT.",
)
@click.option(
    "--size", type=int, default=96, show_default=True, help="Edge of a chip in the picture, pixels."
)
@target_day_option
@rule_option
@out_s3_options
def sheet(project: str, composites: str, out_s3: S3, **options: Any) -> None:
    """Make a picture of every plot in PROJECT: its chips by year and composite, labelled.

    Of every year it shows the observation that the TimeSync server chooses, or with --rule graded
    the one that TimeSync v4's grades choose.

    \b
    Examples:
      timesync-xr sheet project
      timesync-xr sheet project --form strip --composites tc
      timesync-xr sheet project --plots some.csv --form gif --size 255
    """
    from ...project.project import Project
    from ...view.sheet import write_sheets

    names = tuple(name.strip() for name in composites.split(",")) if composites else None
    made = Project(project, out_s3)
    sheets = write_sheets(made, composites=names, progress=not is_quiet(), **options)
    for line in sheets.unfinished:
        click.echo(line, err=True)
    if not is_quiet():
        click.echo(sheets)
