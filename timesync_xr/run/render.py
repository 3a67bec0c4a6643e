"""Chips and spectra made of the cubes that a project keeps: no archive is read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError, LossError, ProjectError, check_kind
from ..plots import Plot, check_names
from ..project.cubes import CHUNK_TIMES, read_part, whole_cube
from ..project.files import csv_files, cube_path, spectra_path
from ..project.ledger import COLUMNS, COMPLETE, Ledger
from ..project.log import (
    LEFT_OUT,
    MADE,
    PIXELS,
    WITHOUT_CHIP,
    WRITTEN,
    DamagedLogError,
    days_with_files,
    empty_log,
    is_in_cube,
    read_log,
    with_begun,
    write_log,
)
from ..project.places import copy_listed
from ..project.products import Products, read_formats
from ..project.project import Project, Settings, as_project, keep_settings
from ..project.rows import (
    Written,
    finder,
    has_product,
    parse_rows,
    written_observations,
)
from ..project.spectra import PlotTable
from ..spectral.composites import COMPOSITES, Composite, Composites
from ..spectral.styles import Stretch, Styles, with_percentiles
from ..storage.folder import Folder
from .chips import write_chips
from .progress import show_progress
from .summary import some

_LOG = logging.getLogger(__name__)

FORMATS: Final = ("png", "csv", "spectra")
"""What can be made of cubes."""

USUAL: Final = FORMATS[:2]
"""What is made of them, if nothing else is said."""


def render(
    project: Project | str | Path,
    out: Project | str | Path,
    *,
    formats: str | Iterable[str] = USUAL,
    composites: Composites = tuple(COMPOSITES),
    stretch: str = "fixed",
    styles: Styles | None = None,
    prune: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Make a project of the cubes of another; return its ledger's rows of the plots made now.

    With the usual composites and the stretch ``fixed`` its files are those that `extract` makes.
    ``formats`` are some of png, csv and spectra; ``composites`` and ``stretch`` are names in
    ``styles``, composites also of your own. Plots that are there already are skipped where their
    logs are the same: these tell items, processing and the checksum of the pixels of every
    observation. With ``prune`` observations are removed from ``out`` that the cubes have no more.

    Raises `InputError` where there is no cube, or a name is unknown, and `ProjectError` where
    ``out`` was drawn in another way, or is in use, has plots of these names elsewhere, has
    observations that would be lost without ``prune``, or where a cube is none of its log.

    Examples
    --------
    ::

        tx.render(project, "natural", formats="png", composites=["b321"])
    """
    if styles is None:
        styles = Styles()
    check_kind(styles, Styles, "styles", "give what timesync_xr.read_styles made of a file")
    drawn = _Style(styles.chosen(composites), styles.stretch(stretch))
    formats = read_formats(formats, FORMATS)
    if not drawn.composites and "png" in formats:
        raise InputError("there is no composite: name one; for no chips leave out png")
    project, target = as_project(project), as_project(out)
    source = project.folder
    if os.path.realpath(source.root) == os.path.realpath(target.folder.root):
        raise InputError(
            f"{target.place} is the project whose cubes are drawn: give another --out folder"
        )
    made_with, todo = project.settings, _plots_with_cubes(project)
    drawn = drawn.of_project(source, [plot for plot, _ in todo])
    rows: list[dict[str, Any]] = []
    with target.folder.lock():
        target.folder.clear_temporary()
        ledger = Ledger(target.folder)
        check_names([plot for plot, _ in todo], ledger.rows)
        keep_settings(target.folder, drawn.settings(made_with))
        changed = _changed(todo, source, target.folder, ledger, prune=prune)
        with show_progress(len(todo), 0, progress) as bar:
            for plot, of_cube in todo:
                old = ledger.row(plot)
                made = {*formats, *(old["products"].split(",") if old else ())}
                row = of_cube | {"products": ",".join(f for f in FORMATS if f in made)}
                if row != old or plot in changed:
                    products = Products(
                        row["products"], made_with.grid, made_with.chip_size, drawn.composites
                    )
                    ledger.begin(plot, row)
                    folders, has = (source, target.folder), of_cube["products"].split(",")
                    bar.advance(_render_plot(plot, *folders, products, drawn, has))
                    ledger.record(plot, row)
                    _LOG.info("made project %s, plot %s", plot.project_id, plot.plot_id)
                    rows.append(row)
                bar.plot_done(complete=True)
        ledger.close()
        copy_listed(source, target.folder, ledger.table())
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True)
class _Style:
    """How chips are drawn."""

    composites: tuple[Composite, ...]
    """The composites, with their limits as far as these are known."""
    stretch: Stretch
    """Where the limits come from."""

    def of_project(self, source: Folder, plots: Sequence[Plot]) -> _Style:
        """With the limits of all plots, where the stretch is over the project."""
        return self._with_limits("project", lambda: _all_parts(source, plots))

    def of_plot(self, cube: xr.DataArray) -> _Style:
        """With the limits of this plot, where the stretch is over the plot."""
        return self._with_limits("plot", lambda: _parts(cube))

    def _with_limits(self, over: str, cubes: Callable[[], Iterator[xr.DataArray]]) -> _Style:
        percentiles = self.stretch.percentiles
        if not percentiles or self.stretch.over != over:
            return self
        found = (with_percentiles(c, cubes(), percentiles) for c in self.composites)
        return replace(self, composites=tuple(found))

    def settings(self, of_cubes: Settings) -> Settings:
        """What the project keeps, so that none is drawn in two ways."""
        return replace(of_cubes, composites=self.composites, stretch=self.stretch, rendered=True)


def _plots_with_cubes(project: Project) -> list[tuple[Plot, dict[str, Any]]]:
    """Plots whose cube is complete, with their rows of the ledger."""
    plots = project.plots
    found = [
        (
            Plot(row["project_id"], row["plot_id"], row["x"], row["y"]),
            {str(k): v for k, v in row.items()},
        )
        for row in plots[has_product(plots, "zarr")].to_dict("records")
        if row["status"] == COMPLETE
    ]
    if not found:
        raise InputError(
            f"{project.place} has no complete cube: make them by the same extract with --products "
            "png,csv,zarr, which adds them"
        )
    return found


def _changed(
    plots: Iterable[tuple[Plot, Any]],
    source: Folder,
    target: Folder,
    ledger: Ledger,
    *,
    prune: bool,
) -> set[Plot]:
    """Plots whose log is not that of their files; `ProjectError` for what is not to be lost."""
    changed, losing, count = set(), [], 0
    for plot, _ in plots:
        old = ledger.row(plot)
        if old is not None and (old["x"], old["y"]) != (plot.x, plot.y):
            raise ProjectError(
                f"plot {plot.plot_id} of project {plot.project_id} was rendered at x {old['x']}, "
                f"y {old['y']}, and now lies at {plot.x}, {plot.y}: use another --out folder"
            )
        log, before = read_log(source, plot.project_id, plot.plot_id), _rendered(target, plot)
        if not log.equals(before):
            changed.add(plot)
        had, has = ({o: set(of.loc[of["outcome"].isin(o), "day"]) for o in ((WRITTEN,), MADE)}
                    for of in (before, log))  # fmt: skip
        if lost := {day for o, days in had.items() for day in days - has[o]}:
            count += len(lost)
            losing.append(plot.plot_id)
    if losing and not prune:
        raise LossError(
            f"observations would be removed, since the cubes have them no more: {count} (plots: "
            f"{some(pd.Series(losing))}). Give --prune to remove them, or another "
            "--out folder"
        )
    return changed


def _rendered(target: Folder, plot: Plot) -> pd.DataFrame:
    """The log of the files of a plot; an empty one where it is damaged."""
    try:
        return read_log(target, plot.project_id, plot.plot_id)
    except DamagedLogError:
        return empty_log()


def _render_plot(
    plot: Plot,
    source: Folder,
    target: Folder,
    products: Products,
    drawn: _Style,
    made_with: Sequence[str],
) -> int:
    """Make the files of a plot and keep its log; return the number of observations."""
    log, before = read_log(source, plot.project_id, plot.plot_id), _rendered(target, plot)
    days = set(log.loc[log["outcome"] == WRITTEN, "day"])
    bare = written_observations(log, WITHOUT_CHIP)
    others = days_with_files(before) - days
    all_days = days | others | {of.day for of in bare}
    write_log(target, plot, with_begun(log, before, all_days))
    for day in sorted(others):
        for path in products.paths(plot, day):
            target.remove(path)
    with whole_cube(source, plot) as cube:
        products = replace(products, composites=drawn.of_plot(cube).composites)
        spectra = PlotTable(target, plot, wanted="spectra" in products.made)
        made = [write_chips(part, plot, products, target, spectra.add) for part in _parts(cube)]
    wanted = log.loc[is_in_cube(log), ["outcome", *PIXELS]]
    if made and pd.concat(made)[[*wanted]].to_numpy().tolist() != wanted.to_numpy().tolist():
        raise ProjectError(
            f"{source.root}/{cube_path(plot.project_id, plot.plot_id)} is not what its log says: "
            "make it again by timesync-xr verify --repair"
        )
    _copy_rows(source, target, plot, bare, made_with, products, spectra)
    spectra.keep(days | {of.day for of in bare})
    write_log(target, plot, log)
    return int((~log["outcome"].isin(LEFT_OUT)).sum())


def _copy_rows(
    source: Folder,
    target: Folder,
    plot: Plot,
    bare: list[Written],
    made_with: Sequence[str],
    products: Products,
    spectra: PlotTable,
) -> None:
    """Take over the rows of observations without a chip, which are not in the cube.

    ``made_with`` are the products of the plot in the project that the cube is of.
    """
    ids = plot.project_id, plot.plot_id
    if not bare or not products.of_rows:
        return
    rows = finder(source, *ids, made_with)(bare)
    if wrong := next((row for row in rows if row.problem), None):
        raise ProjectError(
            f"{source.root}/{wrong.file}: {wrong.problem}: make it again by timesync-xr verify "
            "--repair"
        )
    table = parse_rows(row.line for row in rows)
    spectra.add(table)
    if "csv" in products.made:
        paths = [spectra_path(*ids, of.year, of.doy) for of in bare]
        target.write_all(zip(paths, csv_files(table), strict=True))


def _all_parts(source: Folder, plots: Sequence[Plot]) -> Iterator[xr.DataArray]:
    for plot in plots:
        with whole_cube(source, plot) as cube:
            yield from _parts(cube)


def _parts(cube: xr.DataArray) -> Iterator[xr.DataArray]:
    """A cube in parts in memory that never part two observations of a day."""
    days = cube["time"].to_numpy().astype("datetime64[D]")
    starts = np.arange(0, len(days), CHUNK_TIMES)
    edges = sorted({*np.searchsorted(days, days[starts]).tolist(), len(days)})
    for start, stop in pairwise(edges):
        yield read_part(cube, start, stop)
