"""``timesync-xr browse``: a project as pages to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...storage.access import S3
from ..help import Command
from ..main import is_quiet
from ..options import out_s3_options, rule_option, target_day_option


@click.command(cls=Command, short_help="Make pages of a project to look at in a browser.")
@click.argument("project", type=click.Path())
@click.option(
    "--out",
    type=click.Path(),
    metavar="DIR",
    default="",
    help="Folder of the site. Default: PROJECT/browse.",
)
@click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The plot list: the pages show its further columns.",
)
@click.option("--title", default="", help="Title of the list. Default: the project's folder.")
@click.option(
    "--legend",
    default="v3",
    show_default=True,
    metavar="v3|lcmap|FILE.toml",
    help="What may be said of a plot, where the pages are opened from disk.",
)
@target_day_option
@rule_option
@out_s3_options
def browse(
    project: str,
    out: str,
    plots: Path | None,
    title: str,
    legend: str,
    target_day: int,
    rule: str,
    out_s3: S3,
) -> None:
    """Make pages to look at PROJECT: a list and a map of its plots, chips and trajectories.

    The pages open by double-click and from any web server or bucket, and load nothing from
    elsewhere. Inside the project's folder they show its chips; elsewhere they get chips of their
    own. PROJECT may be unfinished; run the same command again to renew them. The annual choice is
    that of timesync-xr annual with the same --target-day and --rule.

    \b
    Examples:
      timesync-xr browse project
      timesync-xr browse project --out /var/www/project
      timesync-xr browse project --target-day 200 --rule graded
      timesync-xr browse project --plots plots.csv --title "Forests of the valley"
    """
    from ...interpret.legend import read_legend
    from ...project.project import Project
    from ...view.site import browse as make_site

    made = Project(project, out_s3)
    options: dict[str, Any] = {"plots": plots, "title": title, "legend": read_legend(legend)}
    options |= {"target_day": target_day, "rule": rule}
    site = make_site(made, out, progress=not is_quiet(), **options)
    for line in site.unfinished:
        click.echo(line, err=True)
    if not is_quiet():
        click.echo(site)
