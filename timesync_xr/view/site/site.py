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

from ...project.files import chip_path
from ...project.log import read_kept_account
from ...project.project import Contents, PlotRows, has_product, open_contents, read_rows
from ...run.progress import show_progress
from ...spectral.annual import TARGET_DAY
from ...storage.access import Access
from ...storage.folder import OUT_ACCESS, inner_parts
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
    project: str | Path,
    out: str | Path = "",
    *,
    target_day: int = TARGET_DAY,
    access: Access = OUT_ACCESS,
    progress: bool = False,
) -> Site:
    """Make a static site of a project: a list and a map of its plots, and a page for each.

    Parameters
    ----------
    project
        A project folder, or its address in a store; it may be unfinished.
    out
        The site's folder; PROJECT/browse by default. Inside the project the site shows the
        project's own chips. Elsewhere it gets chips of its own: hard links to the project's where
        both are on one disk, copies otherwise.
    target_day
        The day of the year that the annual choice prefers, as in `annual`.
    access
        How a project or a site in a bucket is reached.
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
    contents = open_contents(project, access)
    place = str(out) or beside(project, "browse")
    way_up = _way_up(str(project), place)
    former = Former(place, access, has_chips=way_up is None)
    with workplace(place, access) as work, show_progress(len(contents.plots), 0, progress) as bar:
        _write_pages(work)
        index = []
        for row, table in _plots(contents):
            account = read_kept_account(contents.folder, row["project_id"], row["plot_id"])
            rows = observations(account, table, target_day)
            _write_plot(work, plot_record(contents, row, account, rows))
            if way_up is None:
                _write_chips(work, contents, row, rows["day"], former)
            index.append(index_row(row, rows))
            bar.advance(len(rows))
            bar.plot_done(complete=True)
        name = str(project).rstrip("/").rpartition("/")[2]
        site = site_record(name, contents, index, way_up or "", target_day)
        _write_data(work / LIST, "receiveIndex", site)
    former.remove_all_but({(row[0], row[1]) for row in index})
    return Site(place, len(index), way_up is None, contents.unfinished)


def _plots(contents: Contents) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """Rows of the ledger, each with its table of spectra, empty for plots made without csv."""
    made = has_product(contents.plots, "csv")
    spectra = read_rows(contents)
    for (_, row), has_spectra in zip(contents.plots.iterrows(), made, strict=True):
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
    path = "/".join(inner_parts(data_path(record["project"], record["plot"])))
    _write_data(work / path, "receivePlot", record)


def _write_chips(
    work: Path, contents: Contents, row: pd.Series, days: pd.Series, former: Former
) -> None:
    """Put the chips of a plot into the site; those of days that are gone shall go, too."""
    if "png" not in row["products"].split(","):
        return
    project_id, plot_id = row["project_id"], row["plot_id"]
    stamps = pd.DatetimeIndex(days)
    for composite in contents.composites:
        chips = [
            chip_path(project_id, composite, plot_id, stamp.year, stamp.day_of_year)
            for stamp in stamps
        ]
        for chip in chips:
            _copy_chip(contents, chip, work / chip)
        former.keep_only(chips, f"prj_{project_id}/{composite}/plot_{plot_id}")


def _write_data(path: Path, function: str, record: dict[str, Any]) -> None:
    """Write values as a script that hands them to the page, which works from disk too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(record, separators=(",", ":"), allow_nan=False)
    path.write_text(f"timesync.{function}({data});\n", encoding="ascii")


def _copy_chip(contents: Contents, chip: str, target: Path) -> None:
    """Put a chip into the site; one that the project lacks is left out, and the page says so."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if "://" in contents.folder.root:
        try:
            target.write_bytes(contents.folder.read(chip))
        except FileNotFoundError:
            return
        return
    source = Path(contents.folder.root, chip)
    if not source.is_file():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
