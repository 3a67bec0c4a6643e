"""``timesync-xr packets``: plots in packets for interpreters."""

from __future__ import annotations

from typing import Any

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Choice, Command
from ..main import is_quiet
from ..options import grid_option, out_s3_options


@click.command(cls=Command, short_help="Split a plot list or project into packets.")
@click.argument("plots", type=click.Path(), metavar="PLOTS.csv|PROJECT")
@click.option(
    "--out", type=click.Path(), required=True, metavar="DIR", help="Folder of the packets."
)
@click.option(
    "--size", type=int, default=250, show_default=True, help="Plots of a packet, at most."
)
@click.option(
    "--files",
    type=Choice(["none", "link", "copy"]),
    default="none",
    show_default=True,
    help="Give each packet its part of PROJECT: as hard links, which need no space, or as copies.",
)
@click.option(
    "--duplicates",
    type=click.FloatRange(0, 100),
    default=0,
    metavar="PERCENT",
    help="Plots of each packet that another packet gets, too, drawn at random. "
    "DIR/duplicates.csv tells which.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the draw.")
@grid_option
@out_s3_options
def packets(
    plots: str, out: str, duplicates: float, grid: str | None, out_s3: S3, **options: Any
) -> None:
    """Split a plot list, or the plots of a project, into packets of whole plots.

    Packets are as even as they can be and keep the order of the list. DIR gets packet_001.csv and
    so on; with --files also packet_001/ and so on, each a project of its own.

    \b
    Examples:
      timesync-xr packets plots.csv --out packets --size 250
      timesync-xr packets project --out packets --files link
      timesync-xr packets project --out packets --files link --duplicates 10
    """
    from ...export.packets import write_packets
    from ...lists import is_list
    from ...project.project import Project

    given = plots if is_list(plots) else Project(plots, out_s3)
    options["duplicates"] = duplicates / 100
    table = write_packets(given, out, grid=grid or "CU", s3=out_s3, **options)
    for line in given.unfinished if isinstance(given, Project) else ():
        click.echo(line, err=True)
    if is_quiet():
        return
    for row in table.itertuples():
        files = f", {counted(row.files, 'file')}" if options["files"] != "none" else ""
        click.echo(f"{row.packet}: {counted(row.plots, 'plot')}{files}")
    click.echo(f"{counted(len(table), 'packet')}: {out}")
