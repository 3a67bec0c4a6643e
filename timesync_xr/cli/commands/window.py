"""``timesync-xr window``: statistics of the pixels around each plot."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...storage.access import Access
from ..main import is_quiet
from ..options import out_s3_options


@click.command(short_help="List statistics of the pixels around each plot.")
@click.argument("project", type=click.Path())
@click.option(
    "--size", type=int, default=3, show_default=True, help="Edge of the window in pixels, odd."
)
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="File to write, its name ending in .csv or .parquet. Default: CSV on standard output.",
)
@click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A plot list: take its plots only. Default: all plots of the project.",
)
@out_s3_options
def window(
    project: str, size: int, out: str | None, plots: Path | None, out_access: Access
) -> None:
    """List mean, standard deviation and number of valid pixels around the plots of PROJECT.

    A row for each observation and band, of the pixels around the plot (3 x 3 of them unless told
    otherwise) in which neither the band nor QA is fill. It is read from the cubes that timesync-xr
    extract makes with --products png,csv,zarr.

    \b
    Examples:
      timesync-xr window project --out window.parquet
      timesync-xr window project --size 5 > window.csv
    """
    from ...project.project import open_contents
    from ...project.tables import empty_windows, window_tables, without_cube, write_windows
    from ...storage.tables import check_table_name
    from ..options import tell_what_is_missing

    if out is not None:
        check_table_name(out)
    contents = open_contents(project, out_access)
    tell_what_is_missing(contents, plots)
    without = len(without_cube(contents, plots))
    if without:
        click.echo(
            f"{without} plots have no cube: run timesync-xr extract again with "
            "--products png,csv,zarr to make it",
            err=True,
        )
    if out is not None:
        rows = write_windows(project, out, size, plots, out_access)
        if not is_quiet():
            click.echo(f"{rows} rows in {out}")
        return
    empty_windows().to_csv(sys.stdout, index=False, lineterminator="\n")
    for table in window_tables(contents, size, plots):
        table.to_csv(sys.stdout, index=False, header=False, lineterminator="\n")
