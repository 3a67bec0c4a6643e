"""``timesync-xr render``: other chips of the same cubes."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("project")
@click.option("--out", required=True, metavar="OTHER", help="Project folder to make.")
@click.option("--products", default="png,csv", show_default=True, help="png, csv or both.")
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
@click.option(
    "--styles",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file with composites and stretches of your own.",
)
def render(
    project: str, out: str, products: str, composites: str, stretch: str, styles: Path | None
) -> None:
    """Make chips and spectra of the cubes in PROJECT, without reading the archive.

    The cubes are made by extract with --products zarr.

    \b
    Examples:
      timesync-xr render project --out natural --composites b321
      timesync-xr render project --out forest --composites forest --styles styles.toml
    """
    from ..rendering import render as run
    from ..styles import Styles, read_styles

    rows = run(
        project,
        out,
        products=products.split(","),
        composites=composites.split(","),
        stretch=stretch,
        styles=Styles() if styles is None else read_styles(styles),
    )
    click.echo(f"{len(rows)} plots rendered, {rows['written'].sum()} observations\nFiles: {out}")
