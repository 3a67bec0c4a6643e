"""``timesync-xr interpret``: a desk at which an interpreter works on a project."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Any

import click

from ...spectral.annual import CONTRACT, GRADED
from ..help import Choice, Command
from ..main import is_quiet


@click.command(cls=Command, short_help="Record what an interpreter sees, in a browser.")
@click.argument("project", type=click.Path())
@click.option("--as", "who", required=True, metavar="NAME", help="Who interprets.")
@click.option(
    "--judge",
    multiple=True,
    metavar="NAME",
    help="Show the answers of another one beside, to arbitrate; may be given several times.",
)
@click.option(
    "--legend",
    metavar="v3|lcmap|FILE.toml",
    help="What may be said of a plot. Default: as the project's pages have it, else v3.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of this machine. Default: one that the project keeps.",
)
@click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The plot list: the pages show its further columns.",
)
@click.option("--title", default="", help="Title of the list. Default: the project's folder.")
@click.option("--open/--no-open", "is_to_open", default=True, help="Open it in the browser.")
@click.option(
    "--target-day",
    type=click.IntRange(1, 366),
    metavar="DOY",
    help="Day of the year that the annual choice prefers. Default: as the project's pages have it, "
    "else 215.",
)
@click.option(
    "--rule",
    type=Choice([CONTRACT, GRADED]),
    help="What the annual choice goes by. Default: as the project's pages have it, else contract.",
)
def interpret(
    project: str,
    who: str,
    judge: tuple[str, ...],
    legend: str | None,
    port: int,
    plots: Path | None,
    title: str,
    is_to_open: bool,
    target_day: int | None,
    rule: str | None,
) -> None:
    """Serve the pages of PROJECT to a browser on this machine, and keep what NAME records.

    Every answer is on the disk before the page says so, in PROJECT/answers. The server listens on
    127.0.0.1 alone and loads nothing from elsewhere; the address holds a secret, so do not pass it
    on. Ctrl-C ends it. Another NAME is another interpreter, who sees nothing of the first. An
    arbitrator sees two with --judge, and gives a third answer.

    \b
    Examples:
      timesync-xr interpret project --as ann
      timesync-xr interpret project --as ann --legend lcmap --no-open
      timesync-xr interpret project --as chris --judge ann --judge ben
    """
    from ...interpret.legend import read_legend
    from ...interpret.serve import Desk
    from ...project.project import Project
    from ...view.site.site import legend_of, renew

    made, quiet = Project(project), is_quiet()
    read = read_legend(legend) if legend else legend_of(made)
    options: dict[str, Any] = {"plots": plots, "title": title, "legend": read}
    site = renew(made, target_day=target_day, rule=rule, progress=not quiet, **options)
    with Desk(made, site, who, read, port, others=judge) as desk:
        click.echo(f"{who} interprets {project}: {desk.address}")
        if not quiet:
            click.echo("Ctrl-C ends it. Answers are kept as they are given.")
        if is_to_open:
            webbrowser.open(desk.address)
        try:
            desk.serve_forever()
        except KeyboardInterrupt:
            click.echo("\nEnded. All answers are kept.", err=True)
