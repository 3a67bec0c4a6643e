"""``timesync-xr composite``: an image of each year, put together from several observations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...spectral.annual import CONTRACT, GRADED
from ...storage.access import S3
from ..help import Choice, Command
from ..main import is_quiet
from ..options import out_s3_options, plots_option, styles_of, styles_option


@click.command(cls=Command, short_help="Make annual composites of a project's cubes.")
@click.argument("project", type=click.Path())
@click.option(
    "--method",
    type=Choice(["medoid", "geomedian"]),
    default="medoid",
    show_default=True,
    help="Of each pixel the spectrum of the day nearest to all others, or the geometric median.",
)
@click.option(
    "--season",
    default="06-01/09-30",
    show_default=True,
    metavar="MM-DD/MM-DD",
    help="Take only these days of each year, both included.",
)
@click.option(
    "--rule",
    type=Choice([CONTRACT, GRADED]),
    default=GRADED,
    show_default=True,
    help="Which pixels are good: clear or water by all bits, or usable by qa of the contract.",
)
@click.option(
    "--composites",
    default="tc,b743,b432",
    show_default=True,
    help="What chips are drawn of, also of --styles; empty for none.",
)
@styles_option
@click.option(
    "--out",
    type=click.Path(),
    metavar="DIR",
    default="",
    help="Default: PROJECT/annual_composites.",
)
@plots_option
@out_s3_options
def composite(
    project: str, composites: str, styles: Path | None, out_s3: S3, **options: Any
) -> None:
    """Make an image of each year of every plot in PROJECT from all good pixels of a season.

    A chip for each composite and year, a Zarr of all years, and a table of the values at the plots.
    These are no observations: each pixel may be of another day. They lie apart from those, and say
    in their names and tables by which method they were made. They are made of the cubes that
    timesync-xr extract makes with --products png,csv,zarr.

    \b
    Examples:
      timesync-xr composite project
      timesync-xr composite project --method geomedian --season 07-01/08-31 --composites b743
    """
    from ...export.annual_composites import write_annual_composites
    from ...project.project import Project

    drawn = styles_of(styles).chosen(composites)
    made = write_annual_composites(Project(project, out_s3), composites=drawn, **options)
    if not is_quiet():
        click.echo(made)
