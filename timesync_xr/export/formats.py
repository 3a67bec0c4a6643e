"""A project in the formats of other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import pandas as pd

from ..errors import InputError, check_choice, counted
from ..project.files import EXPORTS, SHEETS, SITE, plot_path, project_path
from ..project.project import Project, as_project, unfinished
from ..project.rows import PlotRows, has_product, read_rows, tell_left_out
from ..project.series import check_index, ranked_rows
from ..spectral.annual import CONTRACT, GRADED, TARGET_DAY, check_rule
from ..storage.access import scheme_of
from ..storage.places import beside, place_of, workplace
from ..storage.tables import write_tables
from .maps import plot_squares, write_geopackage, write_kml
from .series import PLOTS, write_series
from .v3 import add_places, v3_records, write_sqlite, write_v3_json

FORMATS: Final = {
    "v3-json": "v3-json",
    "sqlite": "spectra.sqlite",
    "gpkg": "plots.gpkg",
    "kml": "plots.kml",
    "series": "series",
}
"""Formats of `export_project`, and the file or folder that each becomes."""

_ATTRIBUTES = ["project_id", "plot_id", "x", "y", "status", "observations", "written"]


@dataclass(frozen=True, repr=False)
class Exported:
    """What `export_project` made."""

    path: str
    """The file, or the folder for v3-json and series."""
    count: int
    """Number of observations, of plots for gpkg and kml, or of files for rasters."""
    unfinished: list[str]
    """What the project does not hold yet, a line each."""
    what: str = "observation"
    """What is counted: one of it."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{counted(self.count, self.what)}: {self.path}"


def export_project(
    project: Project | str | Path,
    form: str,
    out: str | Path | None = None,
    *,
    target_day: int = TARGET_DAY,
    rule: str | None = None,
    index: str = "nbr",
    offsets: pd.DataFrame | str | None = None,
) -> Exported:
    """Write a project in the format of another program.

    Parameters
    ----------
    project
        A `Project`, or its folder. A run may be at work on it.
    form
        ``"v3-json"``: a file per plot with the records of `v3_records`, as TimeSync V3's REST
        service, TimeSync+ and TSPO read them. ``"sqlite"``: the same records in one table. Both
        tell beside them where the plots lie (`Project.places`).
        ``"gpkg"``, ``"kml"``: the plots of the ledger as points, and the outlines of their pixel,
        of the 3 x 3 pixels around it and of their chip, see `chip_outlines`; ``page`` and ``sheet``
        are links to what `browse` and `write_sheets` made in a folder, empty where there is none.
        ``"series"``: tables for programs that look for change, see
        `timesync_xr.export.series.write_series`.
    out
        Folder to write to, or an address in a bucket that is reached as the project is; ``exports``
        in the project by default.
    target_day
        Day of the year that the annual choice prefers, for records and series.
    rule
        By what the annual choice is made, see `annual`. By default the server's, ``"contract"``,
        for records, and ``"graded"`` for series.
    index
        Index or band of the annual table of a series.
    offsets
        For a series: ``"own"``, a table of `sensor_offsets`, or the name of published lines, to
        write corrected values beside the originals; see `with_adjusted`.

    Raises
    ------
    InputError
        For an unknown format, rule, index or offsets, or where pyogrio is needed and not installed.
    ProjectError, AccessError
        There is no project, or nothing can be read or written.

    Notes
    -----
    Records that the ledger says are written and that can't be read are left out, each with a
    `timesync_xr.errors.LeftOutWarning`.

    Examples
    --------
    ::

        print(tx.export_project(project, "kml", "maps"))
    """
    check_choice(form, FORMATS, "format")
    if rule is not None:
        check_rule(rule)
    check_index(index)
    if offsets is not None and form != "series":
        raise InputError(f"offsets are for series: {form} holds the values as they are")
    project = as_project(project)
    known, settings = project.plots, project.settings
    place = place_of(out, project.place, EXPORTS)

    def records(plot: PlotRows) -> pd.DataFrame:
        rows = ranked_rows(project.folder, plot)
        made = v3_records(rows, target_day, shown.get(plot.ids), rule=rule or CONTRACT)
        return made.assign(url=made["url"].where(rows["has_chip"].astype(bool), ""))

    told: list[str] = []
    with workplace(place, project.s3) as work:
        path = work / FORMATS[form]
        shown = _shown_composite(known, [c.name for c in settings.composites])
        if form == "v3-json":
            path.mkdir()
            count = write_v3_json(_rows(project, known), path, records)
            write_tables(path / PLOTS, project.places(), [project.places()])
        elif form == "sqlite":
            count = write_sqlite(_rows(project, known), path, records)
            add_places(path, project.places())
        elif form == "series":
            path.mkdir()
            day, by = target_day, rule or GRADED
            count, told = write_series(
                project, path, index=index, target_day=day, rule=by, offsets=offsets
            )
        else:
            attributes = known[_ATTRIBUTES].merge(_listed(project), on=["project_id", "plot_id"])
            attributes = attributes.assign(**_links(project, known))
            squares = plot_squares(attributes, settings.grid, settings.chip_size)
            (write_geopackage if form == "gpkg" else write_kml)(squares, path)
            count = len(known)
    unmade = unfinished(known, project.settings)
    what = "plot" if form in ("gpkg", "kml") else "observation"
    return Exported(beside(place, FORMATS[form]), count, [*unmade, *told], what)


def _rows(project: Project, plots: pd.DataFrame) -> Iterator[PlotRows]:
    """The rows of plots; what they lack is told."""
    for plot in read_rows(project.folder, plots):
        tell_left_out(*plot.ids, plot.problems)
        yield plot


def _links(project: Project, plots: pd.DataFrame) -> dict[str, list[str]]:
    """The page and the sheet of each plot, as addresses of this machine; "" where it has none."""
    if scheme_of(project.place):
        return {name: [""] * len(plots) for name in ("page", "sheet")}
    folder = Path(project.place).absolute()
    page = folder / SITE / "plot.html"
    ids = list(zip(plots["project_id"], plots["plot_id"], strict=True))
    sheets = [f"{project_path(project_id)}_{plot_path(plot_id)}" for project_id, plot_id in ids]
    drawn = {path.stem: path for path in sorted((folder / SHEETS).glob("prj_*"))}
    return {
        "page": [
            f"{page.as_uri()}#{urlencode({'project': project_id, 'plot': plot_id})}"
            if page.exists()
            else ""
            for project_id, plot_id in ids
        ],
        "sheet": [drawn[name].as_uri() if name in drawn else "" for name in sheets],
    }


def _listed(project: Project) -> pd.DataFrame:
    """What the plot list told of each plot, under names that a map can hold beside its own.

    So ``lon_listed`` and ``lat_listed`` are of the listed point; the shapes are of its pixel.
    """
    places = project.places().drop(columns=["x", "y"])
    taken = {*_ATTRIBUTES[2:], "fid", "geom", "outline", "lon", "lat", "page", "sheet"}
    return places.rename(columns=lambda name: f"{name}_listed" if name.lower() in taken else name)


def _shown_composite(plots: pd.DataFrame, composites: list[str]) -> dict[tuple[str, str], str]:
    """The composite that the records of a plot lead to, for the plots that have chips."""
    name = "tc" if "tc" in composites else composites[0]
    made = plots[has_product(plots, "png")]
    return dict.fromkeys(zip(made["project_id"], made["plot_id"], strict=True), name)
