"""Writing the site: its pages, a script of data per plot, and the way to the chips."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ...cube.schema import is_whole
from ...errors import InputError, check_kind, counted
from ...export.maps import chip_outlines
from ...interpret.legend import Legend, legend_from, read_legend
from ...lists import read_list
from ...project.files import PLOTS, PNG_SIGNATURE, RECENT, SITE, chip_path, chips_path
from ...project.project import Project, as_project, unfinished
from ...project.rows import SPECTRA, PlotRows, has_spectra, kept_log, read_rows, tell_left_out
from ...run.progress import show_progress
from ...spectral.annual import CONTRACT, RULES, TARGET_DAY, check_rule
from ...storage.folder import Folder
from ...storage.places import beside, place_of, workplace
from .previous import LIST, PreviousSite, data_path
from .records import index_row, limits_of, observations, plot_record, site_record

PAGES = ("index.html", "plot.html")
ASSETS = (
    *("style.css", "common.js", "index.js", "plot.js", "chart.js", "chips.js", "detail.js"),
    *("answers.js", "keeper.js", "bench.js", "figure.js"),
)
SESSION = "data/session.js"
"""Who is at work, as a server tells it; pages from disk hear nothing."""


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
        return f"A site of {counted(self.plots, 'plot')}: open {self.index}\n{chips}"


def browse(
    project: Project | str | Path,
    out: str | Path = "",
    *,
    target_day: int = TARGET_DAY,
    legend: Legend | None = None,
    plots: str | Path | None = None,
    title: str = "",
    rule: str = CONTRACT,
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
    rule
        By what the annual choice is made that the pages show first, as in `annual`. The choices by
        each rule are in the data of the pages.
    legend
        What may be said of a plot where the pages are opened from disk; that of TimeSync V3 by
        default.
    plots
        The plot list, or another with project_id and plot_id: the pages show its further columns.
    title
        What the list of plots is called; the project's folder by default.
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
        ``out`` is another project, the target day does not exist, there is no such rule, or
        ``plots`` is no list.
    ProjectError
        ``project`` has no ledger.
    AccessError
        Something can't be read or written.

    Examples
    --------
    ::

        print(tx.browse(project, "pages"))  # then open pages/index.html
    """
    check_rule(rule)
    check_kind(title, str, "title", "give text")
    check_kind(legend, Legend | None, "legend", "give what read_legend made of a file")
    project = as_project(project)
    known, settings, s3 = project.plots, project.settings, project.s3
    names, own = _own_columns(plots)
    places = chip_outlines(known[["x", "y"]], settings.grid)[["lon", "lat"]].round(7)
    degrees = iter(places.to_numpy().tolist())
    limits: dict[str, list[float]] = {}
    place = place_of(out, project.place, SITE)
    way_up = _way_up(project.place, place)
    previous = PreviousSite(place, s3, has_chips=way_up is None)
    with workplace(place, s3) as work, show_progress(len(known), 0, progress) as bar:
        _write_pages(work)
        index = []
        for row, table in _plots(project.folder, known):
            log, problem = kept_log(project.folder, row)
            if problem and set(SPECTRA).isdisjoint(row["products"].split(",")):
                tell_left_out(row["project_id"], row["plot_id"], [problem])
            rows = observations(log, table, target_day)
            cells = own.get((row["project_id"], row["plot_id"]), [""] * len(names))
            where = dict(zip(("lon", "lat"), next(degrees), strict=True))
            where |= {"x": float(row["x"]), "y": float(row["y"])}
            extra = {"where": where, "own": dict(zip(names, cells, strict=True))}
            _write_plot(work, plot_record(settings, row, log, rows) | extra)
            limits_of(limits, rows, rule)
            if way_up is None:
                _write_chips(work, project, row, rows.loc[rows["no_chip"] == "", "day"], previous)
            index.append([*index_row(row, rows, rule), *cells])
            bar.advance(len(rows))
            bar.plot_done(complete=True)
        name = title or project.place.rstrip("/").rpartition("/")[2]
        site = site_record(name, settings, index, way_up or "", (target_day, rule), places)
        chosen = legend or read_legend()
        site |= {"own": names, "limits": limits}
        site["legend"] = chosen.to_json() | {"digest": chosen.digest}
        (work / SESSION).write_text("timesync.receiveSession({});\n", encoding="ascii")
        _write_data(work / LIST, "receiveIndex", site)
    previous.remove_all_but({(row[0], row[1]) for row in index})
    return Site(place, len(index), way_up is None, unfinished(known, project.settings))


def legend_of(project: Project) -> Legend:
    """The legend of the site inside a project on disk; that of TimeSync V3 where it has none."""
    return _kept_legend(_record_of(Path(beside(project.place, SITE), LIST))) or read_legend()


def _kept_legend(record: dict[str, Any]) -> Legend | None:
    """The legend that the list of a site holds, if it is one."""
    kept = record.get("legend")
    if not isinstance(kept, dict):
        return None
    try:
        return legend_from({k: v for k, v in kept.items() if k != "digest"}, LIST)
    except InputError:
        return None


def renew(
    project: Project,
    *,
    target_day: int | None,
    rule: str | None,
    legend: Legend,
    plots: Path | None,
    title: str,
    progress: bool,
) -> str:
    """The site inside a project on disk, made anew where it is older than the project's tables.

    With ``plots``, a ``title`` or another legend, target day or rule it is always made anew;
    without them it keeps those that it has.
    """
    place = beside(project.place, SITE)
    made = Path(place, LIST)
    tables = [Path(project.place, PLOTS), *Path(project.place, RECENT).glob("*")]
    newest = max((table.stat().st_mtime for table in tables if table.exists()), default=0.0)
    former = _record_of(made)
    had: Any = former.get("target_day")
    day: int = target_day or (had if is_whole(had) and 1 <= had <= 366 else TARGET_DAY)
    by = rule or (former["rule"] if former.get("rule") in RULES else CONTRACT)
    made_as = (had, former.get("rule"), _kept_legend(former))
    is_good = made_as == (day, by, legend) and _has_these_pages(Path(place))
    if is_good and not plots and not title and made.stat().st_mtime > newest:
        return place
    with tempfile.TemporaryDirectory() as folder:
        listed = plots or _own_list(former, Path(folder, "own.csv"))
        name = title or str(former.get("name", ""))
        options: dict[str, Any] = {"plots": listed, "title": name, "legend": legend}
        browse(project, target_day=day, rule=by, progress=progress, **options)
    return place


def _record_of(made: Path) -> dict[str, Any]:
    """What the list of a site holds; nothing where there is none, or none of this version."""
    try:
        text = made.read_text(encoding="ascii")
        record: dict[str, Any] = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    except (OSError, ValueError):
        return {}
    return record


def _has_these_pages(place: Path) -> bool:
    static = files(__package__) / "static"
    paths = [*PAGES, *(f"assets/{name}" for name in ASSETS)]
    return all(
        Path(place, path).is_file()
        and Path(place, path).read_bytes() == (static / Path(path).name).read_bytes()
        for path in paths
    )


def _own_list(former: dict[str, Any], path: Path) -> Path | None:
    """The further columns that a site has, as a list again; None where it has none."""
    names = former.get("own", [])
    if not names:
        return None
    rows = [[row[0], row[1], *row[-len(names) :]] for row in former["plots"]]
    table = pd.DataFrame(rows, columns=["project_id", "plot_id", *names])
    table.to_csv(path, index=False, lineterminator="\n")
    return path


def _own_columns(
    plots: str | Path | None,
) -> tuple[list[str], dict[tuple[str, str], list[str]]]:
    """Names of the further columns of a list, and their cells by project and plot."""
    if plots is None:
        return [], {}
    listed = read_list(plots, [("project_id",), ("plot_id",)])
    taken = {"project_id", "plot_id", "x", "y", "lon", "lat"}
    at = [number for number, name in enumerate(listed.names) if name and name not in taken]
    ids = zip(listed.column("project_id"), listed.column("plot_id"), strict=True)
    cells = ([row[number] for number in at] for _, row in listed.rows)
    return [listed.header[number] for number in at], dict(zip(ids, cells, strict=True))


def _plots(folder: Folder, plots: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """Rows of the ledger, each with its table of spectra, empty for plots made without."""
    spectra = read_rows(folder, plots)
    for (_, row), has_rows in zip(plots.iterrows(), has_spectra(plots), strict=True):
        plot = next(spectra) if has_rows else PlotRows(row["project_id"], row["plot_id"], [])
        tell_left_out(*plot.ids, plot.problems)
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
    work: Path, project: Project, row: pd.Series, days: pd.Series, previous: PreviousSite
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
        previous.keep_only(chips, chips_path(project_id, composite.name, plot_id))


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
