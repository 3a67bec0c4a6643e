"""Writing the site: its pages, a script of data per plot, and the way to the chips."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ...project.files import PNG_SIGNATURE, SITE, chip_path, chips_path
from ...project.log import read_log
from ...project.project import Project, as_project, unfinished
from ...project.rows import PlotRows, has_product, read_rows
from ...run.progress import show_progress
from ...spectral.annual import TARGET_DAY
from ...storage.folder import Folder
from ...storage.places import beside, workplace
from .former import LIST, Former, data_path
from .records import index_row, observations, plot_record, site_record

PAGES = ("index.html", "plot.html")
ASSETS = ("style.css", "common.js", "index.js", "plot.js", "chart.js", "chips.js", "detail.js")


@dataclass(frozen=True, repr=False)
class Site:
    """What `browse` made."""

    out: str
    """The folder of the site."""
    plots: int
    """Number of plots in it."""
    has_chips: bool
    """Whether the site holds the chips itself; if not, it leads to those of the project."""
    unfinished: list[str]
    """What the project does not hold yet, a line each."""

    @property
    def index(self) -> str:
        """The page to open first."""
        return beside(self.out, "index.html")

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        chips = (
            "The chips are in it: it can be moved anywhere."
            if self.has_chips
            else "It shows the chips of the project folder: move or upload both together."
        )
        return f"A site of {self.plots} plots: open {self.index}\n{chips}"


def browse(
    project: Project | str | Path,
    out: str | Path = "",
    *,
    target_day: int = TARGET_DAY,
    progress: bool = False,
) -> Site:
    """Make a static site of a project: a list and a map of its plots, and a page for each.

    Parameters
    ----------
    project
        A `Project`, or its folder; it may be unfinished.
    out
        The site's folder; PROJECT/browse by default. Inside the project the site shows the
        project's own chips. Elsewhere it gets chips of its own: hard links to the project's where
        both are on one disk, copies otherwise.
    target_day
        The day of the year that the annual choice prefers, as in `annual`.
    progress
        Whether to show the progress on standard error.

    Returns
    -------
    Site
        Where it is. It opens from disk and from any web server or bucket, and loads nothing from
        elsewhere. Made again, it shows what the project holds then, and nothing of before is left.

    Raises
    ------
    InputError
        ``out`` is another project, or the target day does not exist.
    ProjectError
        ``project`` has no ledger.
    AccessError
        Something can't be read or written.
    """
    project = as_project(project)
    known, settings, s3 = project.plots, project.settings, project.s3
    place = str(out) or beside(project.place, SITE)
    way_up = _way_up(project.place, place)
    former = Former(place, s3, has_chips=way_up is None)
    with workplace(place, s3) as work, show_progress(len(known), 0, progress) as bar:
        _write_pages(work)
        index = []
        for row, table in _plots(project.folder, known):
            log = read_log(project.folder, row["project_id"], row["plot_id"])
            rows = observations(log, table, target_day)
            _write_plot(work, plot_record(settings, row, log, rows))
            if way_up is None:
                _write_chips(work, project, row, rows["day"], former)
            index.append(index_row(row, rows))
            bar.advance(len(rows))
            bar.plot_done(complete=True)
        name = project.place.rstrip("/").rpartition("/")[2]
        site = site_record(name, settings, index, way_up or "", target_day)
        _write_data(work / LIST, "receiveIndex", site)
    former.remove_all_but({(row[0], row[1]) for row in index})
    return Site(place, len(index), way_up is None, unfinished(known))


def _plots(folder: Folder, plots: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """Rows of the ledger, each with its table of spectra, empty for plots made without csv."""
    made = has_product(plots, "csv")
    spectra = read_rows(folder, plots)
    for (_, row), has_spectra in zip(plots.iterrows(), made, strict=True):
        plot = next(spectra) if has_spectra else PlotRows(row["project_id"], row["plot_id"], [])
        yield row, plot.table()


def _way_up(project: str, out: str) -> str | None:
    """The relative address of the project as seen from a site inside it; None for one outside."""
    if "://" in project + out:
        inside = f"{out.rstrip('/')}/".startswith(f"{project.rstrip('/')}/")
        return (
            "../" * (out.rstrip("/").count("/") - project.rstrip("/").count("/"))
            if inside
            else None
        )
    root, place = Path(project).resolve(), Path(out).resolve()
    return "../" * len(place.relative_to(root).parts) if place.is_relative_to(root) else None


def _write_pages(work: Path) -> None:
    static = files(__package__) / "static"
    (work / "assets").mkdir()
    for name in PAGES:
        (work / name).write_bytes((static / name).read_bytes())
    for name in ASSETS:
        (work / "assets" / name).write_bytes((static / name).read_bytes())


def _write_plot(work: Path, record: dict[str, Any]) -> None:
    _write_data(work / data_path(record["project"], record["plot"]), "receivePlot", record)


def _write_chips(
    work: Path, project: Project, row: pd.Series, days: pd.Series, former: Former
) -> None:
    """Put the chips of a plot into the site; those of days that are gone shall go, too."""
    if "png" not in row["products"].split(","):
        return
    project_id, plot_id = row["project_id"], row["plot_id"]
    stamps = pd.DatetimeIndex(days)
    for composite in project.settings.composites:
        chips = [
            chip_path(project_id, composite.name, plot_id, stamp.year, stamp.day_of_year)
            for stamp in stamps
        ]
        for chip in chips:
            _copy_chip(project.folder, chip, work / chip)
        former.keep_only(chips, chips_path(project_id, composite.name, plot_id))


def _write_data(path: Path, function: str, record: dict[str, Any]) -> None:
    """Write values as a script that hands them to the page, which works from disk too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(record, separators=(",", ":"), allow_nan=False)
    path.write_text(f"timesync.{function}({data});\n", encoding="ascii")


def _copy_chip(folder: Folder, chip: str, target: Path) -> None:
    """Put a chip into the site; one that the project lacks is left out, and the page says so.

    So is what is no PNG: a link of a project that came from elsewhere may lead to any file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if "://" in folder.root:
        try:
            target.write_bytes(folder.read(chip))
        except FileNotFoundError:
            return
        return
    source = Path(folder.root, chip)
    if not _is_png(source):
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _is_png(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE
