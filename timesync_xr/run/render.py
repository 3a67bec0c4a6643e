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

from ..errors import InputError
from ..plots import Plot
from ..project.cubes import CHUNK_TIMES, read_part, whole_cube
from ..project.ledger import COLUMNS, COMPLETE, Ledger
from ..project.log import LEFT_OUT, WRITTEN, read_log, write_log
from ..project.places import copy_listed
from ..project.products import Products, read_formats
from ..project.project import Project, Settings, as_project, keep_settings
from ..project.rows import has_product
from ..spectral.composites import COMPOSITES, Composite
from ..spectral.styles import Stretch, Styles, with_percentiles
from ..storage.folder import Folder
from .chips import write_chips
from .progress import show_progress

_LOG = logging.getLogger(__name__)

FORMATS: Final = ("png", "csv")
"""What can be made of cubes."""


def render(
    project: Project | str | Path,
    out: Project | str | Path,
    *,
    formats: str | Iterable[str] = FORMATS,
    composites: Sequence[str] = tuple(COMPOSITES),
    stretch: str = "fixed",
    styles: Styles | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Make a project of the cubes of another; return its ledger's rows of the plots made now.

    With the usual composites and the stretch ``fixed`` its files are those that `extract` makes.
    ``formats`` are png, csv or both; ``composites`` and ``stretch`` are names in ``styles``. Plots
    that are there already and did not change are skipped.

    Raises `InputError` where there is no cube, or a name is unknown, and `ProjectError` where
    ``out`` was drawn in another way, or is in use.
    """
    styles = styles or Styles()
    drawn = _Style(tuple(styles.composite(name) for name in composites), styles.stretch(stretch))
    formats = read_formats(formats, FORMATS)
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
        keep_settings(target.folder, drawn.settings(made_with))
        with show_progress(len(todo), 0, progress) as bar:
            for plot, of_cube in todo:
                old = ledger.row(plot)
                made = {*formats, *(old["products"].split(",") if old else ())}
                row = of_cube | {"products": ",".join(f for f in FORMATS if f in made)}
                if row != old:
                    products = Products(
                        row["products"], made_with.grid, made_with.chip_size, drawn.composites
                    )
                    bar.advance(_render_plot(plot, source, target.folder, products, drawn))
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
        over = self.stretch.over if self.stretch.percentiles else ""
        return replace(of_cubes, composites=self.composites, stretch=over, rendered=True)


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
            f"{project.place} has no complete cube: make them by extract with --products zarr"
        )
    return found


def _render_plot(
    plot: Plot, source: Folder, target: Folder, products: Products, drawn: _Style
) -> int:
    """Make the files of a plot and keep its log; return the number of observations."""
    log = read_log(source, plot.project_id, plot.plot_id)
    _remove_others(log, plot, target, products)
    with whole_cube(source, plot) as cube:
        products = replace(products, composites=drawn.of_plot(cube).composites)
        for part in _parts(cube):
            write_chips(part, plot, products, target)
    write_log(target, plot, log)
    return int((~log["outcome"].isin(LEFT_OUT)).sum())


def _remove_others(log: pd.DataFrame, plot: Plot, target: Folder, products: Products) -> None:
    """Remove the files of days that were written before and are no longer."""
    before = read_log(target, plot.project_id, plot.plot_id)
    days = set(before.loc[before["outcome"] == WRITTEN, "day"])
    for day in sorted(days - set(log.loc[log["outcome"] == WRITTEN, "day"])):
        for path in products.paths(plot, day):
            target.remove(path)


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
