"""``timesync-xr render``: other chips of the same cubes."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Command
from ..main import is_quiet
from ..options import out_s3_options, project_s3_options, styles_of, styles_option


@click.command(cls=Command, short_help="Make chips and spectra of a project's cubes.")
@click.argument("project", type=click.Path())
@click.option(
    "--out", type=click.Path(), required=True, metavar="OTHER", help="Project folder to make."
)
@click.option("--products", default="png,csv", show_default=True, help="Some of png, csv, spectra.")
@click.option(
    "--composites",
    default="tc,b743,b432",
    show_default=True,
    help="Composites: also b543, b321 (true colour), ndvi, nbr, ndmi, or of --styles.",
)
@click.option(
    "--stretch",
    default="fixed",
    show_default=True,
    help="fixed; plot or project (percentiles 2 and 98 of the clear pixels); or of --styles.",
)
@styles_option
@click.option(
    "--prune",
    is_flag=True,
    help="Remove what OTHER has and the cubes have no more. Without it that is refused.",
)
@project_s3_options
@out_s3_options
def render(
    project: str,
    out: str,
    products: str,
    composites: str,
    stretch: str,
    styles: Path | None,
    prune: bool,
    s3: S3,
    out_s3: S3,
) -> None:
    """Make chips and spectra of the cubes in PROJECT, without reading the archive.

    The cubes are made by extract with --products png,csv,zarr. PROJECT and OTHER may be addresses
    in a bucket. Run the same command again to add what is new in PROJECT.

    \b
    Examples:
      timesync-xr render project --out natural --composites b321
      timesync-xr render project --out forest --composites forest --styles styles.toml
      timesync-xr render s3://bucket/project --profile lab --out natural --composites b321
    """
    from ...project.project import Project
    from ...run.render import render as run

    rows = run(
        Project(project, s3),
        Project(out, out_s3),
        formats=products,
        composites=composites.split(","),
        stretch=stretch,
        styles=styles_of(styles),
        prune=prune,
        progress=not is_quiet(),
    )
    if not is_quiet():
        count = counted(rows["written"].sum(), "observation")
        click.echo(f"{counted(len(rows), 'plot')} rendered, {count}\nFiles: {out}")
