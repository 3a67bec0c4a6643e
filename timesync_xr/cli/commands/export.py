"""``timesync-xr export``: a project in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...spectral.annual import CONTRACT, GRADED
from ...storage.access import S3
from ..help import Choice, Command
from ..main import is_quiet
from ..options import out_s3_options, styles_of, styles_option, target_day_option


@click.command(cls=Command, short_help="Write a project in another program's format.")
@click.argument("project", type=click.Path())
@click.option(
    "--format",
    "form",
    required=True,
    type=Choice(["v3-json", "sqlite", "gpkg", "kml", "series", "geotiff", "netcdf", "png"]),
    help="v3-json: a file per plot, as TimeSync V3's REST service, TimeSync+ and TSPO read it. "
    "sqlite: the same records in one table. gpkg, kml: plots and outlines of their chips for maps. "
    "series: tables for CCDC, COLD, LandTrendr and the like. geotiff, netcdf: the pixels of cubes. "
    "png: chips with world files.",
)
@click.option(
    "--out", type=click.Path(), metavar="DIR", help="Folder to write to. Default: PROJECT/exports."
)
@target_day_option
@click.option(
    "--rule",
    type=Choice([CONTRACT, GRADED]),
    help="What the annual choice goes by. Default: contract for records, graded for series.",
)
@click.option(
    "--index",
    default="nbr",
    show_default=True,
    help="Of series: index or band of the annual table, such as ndvi, tcw, swir1.",
)
@click.option(
    "--offsets",
    metavar="own|NAME|FILE.csv",
    help="Of series: write corrected values beside the originals, by the project's own offsets, by "
    "published ones (roy2016-rma, roy2016-ols), or by a table of timesync-xr offsets.",
)
@click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of geotiff, netcdf and png: take the plots of this list only.",
)
@click.option(
    "--composites",
    metavar="tc,b743,...",
    help="Of geotiff: composites in place of the bands, also of --styles. Of png: which of the "
    "project's.",
)
@styles_option
@out_s3_options
def export(
    project: str,
    form: str,
    out_s3: S3,
    offsets: str | None,
    plots: Path | None,
    composites: str | None,
    styles: Path | None,
    **options: Any,
) -> None:
    """Write PROJECT in the format of another program.

    PROJECT may be unfinished; what is not there yet is told.

    \b
    Examples:
      timesync-xr export project --format gpkg
      timesync-xr export project --format v3-json --out /srv/timesync3
      timesync-xr export s3://bucket/project --format sqlite --out .
      timesync-xr export project --format series --index tcw --offsets own
      timesync-xr export project --format geotiff --composites tc,b743
    """
    from ...export.formats import export_project
    from ...export.rasters import RASTERS, export_rasters
    from ...lists import is_list
    from ...project.project import Project
    from ...spectral.offsets import read_offsets

    made = Project(project, out_s3)
    if form in RASTERS:
        drawn = (
            styles_of(styles).chosen(composites or "") if form == "geotiff" else composites or ""
        )
        exported = export_rasters(made, form, options["out"], plots=plots, composites=drawn)
    elif plots or composites:
        raise click.UsageError("--plots and --composites are for geotiff, netcdf and png")
    else:
        given = read_offsets(offsets) if offsets is not None and is_list(offsets) else offsets
        exported = export_project(made, form, offsets=given, **options)
    for line in exported.unfinished:
        click.echo(line, err=True)
    if not is_quiet():
        click.echo(exported)
