"""``timesync-xr window``: statistics of the pixels around each plot."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Command
from ..main import INCOMPLETE, is_quiet
from ..options import out_s3_options, plots_option, table_option, tell_what_is_missing


@click.command(cls=Command, short_help="List statistics of the pixels around each plot.")
@click.argument("project", type=click.Path())
@click.option(
    "--size", type=int, default=3, show_default=True, help="Edge of the window in pixels, odd."
)
@click.option(
    "--index",
    default="ndvi",
    show_default=True,
    help="Index whose spread among the clear pixels tells how alike they are.",
)
@table_option
@plots_option
@out_s3_options
def window(
    project: str, size: int, index: str, out: str | None, plots: Path | None, out_s3: S3
) -> None:
    """List what the pixels around the plots of PROJECT hold, and how alike they are.

    A row for each observation and band: mean, standard deviation and number of the pixels around
    the plot (3 x 3 of them unless told otherwise) in which neither the band nor QA is fill. With
    it the number of clear pixels, the spread of an index among these, the metres from the listed
    point to the edge of its pixel, and the plots that share the pixel. It is read from the cubes
    that timesync-xr extract makes with --products png,csv,zarr.

    \b
    Exit codes: 0 done, 1 no plot has a cube, 2 wrong usage or input.

    \b
    Examples:
      timesync-xr window project --out window.parquet
      timesync-xr window project --size 5 > window.csv
    """
    from ...project.project import Project
    from ...project.rows import has_product
    from ...project.tables import empty_windows
    from ...storage.tables import check_table_name, write_tables

    if out is not None:
        check_table_name(out)
    made = Project(project, out_s3)
    tell_what_is_missing(made, plots)
    has_cube = has_product(made.chosen(plots), "zarr")
    if without := int((~has_cube).sum()):
        remedy = (
            "take the project that it was rendered from"
            if made.settings.rendered
            else "run timesync-xr extract again with --products png,csv,zarr to make it"
        )
        click.echo(f"{counted(without, 'plot has', 'plots have')} no cube: {remedy}", err=True)
    if not has_cube.any():
        sys.exit(INCOMPLETE)
    rows = write_tables(out, empty_windows(), made.window_tables(size, plots, index), out_s3)
    if out is not None and not is_quiet():
        click.echo(f"{counted(rows, 'row')} in {out}")
