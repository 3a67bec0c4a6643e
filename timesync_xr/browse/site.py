"""Writing the site: its pages, a script of data per plot, and the way to the chips."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ..access import Access
from ..account import read_kept_account
from ..contents import Contents, PlotRows, open_contents, read_rows
from ..export import chip_path
from ..folder import OUT_ACCESS, inner_parts
from ..placing import beside, workplace
from ..progress import show_progress
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
        return "\n".join(
            [f"A site of {self.plots} plots: open {self.index}", chips, *self.unfinished]
        )


def browse(
    project: str | Path,
    out: str | Path = "",
    *,
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
    access
        How a project or a site in a bucket is reached.
    progress
        Whether to show the progress on standard error.

    Returns
    -------
    Site
        Where it is. It opens from disk and from any web server or bucket, and loads nothing from
        elsewhere. Made again, its files are replaced.

    Raises
    ------
    ProjectError
        ``project`` has no ledger.
    AccessError
        Something can't be read or written.
    """
    contents = open_contents(project, access)
    place = str(out) or beside(project, "browse")
    way_up = _way_up(str(project), place)
    with workplace(place, access) as work, show_progress(len(contents.plots), 0, progress) as bar:
        _write_pages(work)
        index = []
        for (_, row), plot in zip(contents.plots.iterrows(), read_rows(contents), strict=True):
            index.append(_write_plot(work, contents, row, plot, copy_chips=way_up is None))
            bar.advance(len(plot.rows))
            bar.plot_done(complete=True)
        name = str(project).rstrip("/").rpartition("/")[2]
        site = site_record(name, contents, index, way_up or "")
        _write_data(work / "data/plots.js", "receiveIndex", site)
    return Site(place, len(index), way_up is None, contents.unfinished)


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


def _write_plot(
    work: Path, contents: Contents, row: pd.Series, plot: PlotRows, *, copy_chips: bool
) -> list[Any]:
    """Write the data of a plot, and its chips where they are wanted; return its row of the list."""
    account = read_kept_account(contents.folder, plot.project_id, plot.plot_id)
    rows = observations(account, plot.table())
    record = plot_record(contents, row, account, rows)
    path = "/".join(inner_parts(f"data/prj_{plot.project_id}/plot_{plot.plot_id}.js"))
    _write_data(work / path, "receivePlot", record)
    if copy_chips and record["composites"]:
        for one in plot.rows:
            for composite in contents.composites:
                when = one.of.year, one.of.doy
                chip = chip_path(plot.project_id, composite, plot.plot_id, *when)
                _copy_chip(contents, chip, work / chip)
    return index_row(row, rows)


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
