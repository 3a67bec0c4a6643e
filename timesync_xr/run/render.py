"""Chips and spectra made of the cubes that a project keeps: no archive is read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..cube.selection import ALL
from ..errors import InputError
from ..landsat import COMPOSITES, Composite
from ..plots import Plot
from ..project.cubes import CHUNK_TIMES, read_part, whole_cube
from ..project.ledger import COLUMNS, COMPLETE, Ledger
from ..project.log import REFUSED, SUPERSEDED, WRITTEN, read_kept_account, write_account
from ..project.project import Contents, has_product, open_contents
from ..spectral.styles import Stretch, Styles, with_percentiles
from ..storage.access import Access
from ..storage.folder import OUT_ACCESS, Folder
from ..storage.places import open_folder
from .plot import Request, write_chips
from .progress import show_progress

_LOG = logging.getLogger(__name__)

PRODUCTS = ("png", "csv")
"""What can be made of cubes."""


def render(
    project: str | Path,
    out: str | Path,
    *,
    products: Sequence[str] = PRODUCTS,
    composites: Sequence[str] = tuple(COMPOSITES),
    stretch: str = "fixed",
    styles: Styles | None = None,
    progress: bool = True,
    access: Access = OUT_ACCESS,
    out_access: Access = OUT_ACCESS,
) -> pd.DataFrame:
    """Make a project of the cubes of another; return its ledger's rows of the plots made now.

    With the usual composites and the stretch ``fixed`` its files are those that `extract` makes.
    ``composites`` and ``stretch`` are names in ``styles``. ``access`` is how ``project`` is
    reached where it is an address in a bucket, ``out_access`` the same of ``out``. Plots that are
    there already and did not change are skipped.

    Raises `InputError` where there is no cube, or a name is unknown, and `ProjectError` where
    ``out`` was drawn in another way, or is in use.
    """
    styles = styles or Styles()
    drawn = _Style(tuple(styles.composite(name) for name in composites), styles.stretch(stretch))
    if unknown := set(products) - set(PRODUCTS):
        raise InputError(f"cubes do not give {', '.join(sorted(unknown))}: choose png, csv or both")
    contents = open_contents(project, access)
    source, target = contents.folder, open_folder(out, out_access)
    if os.path.realpath(source.root) == os.path.realpath(target.root):
        raise InputError(f"{out} is the project whose cubes are drawn: give another --out folder")
    todo = _plots_with_cubes(contents)
    drawn = drawn.of_project(source, [plot for plot, _ in todo])
    rows: list[dict[str, Any]] = []
    with target.lock():
        target.clear_temporary()
        ledger = Ledger(target)
        settings = {"region": contents.region, "chip_size": list(contents.chip_size)}
        ledger.check_settings(settings | drawn.settings())
        with show_progress(len(todo), 0, progress) as bar:
            for plot, of_cube in todo:
                old = ledger.row(plot)
                made = {*products, *(old["products"].split(",") if old else ())}
                row = of_cube | {"products": ",".join(p for p in PRODUCTS if p in made)}
                if row != old:
                    request = _request(contents, row, drawn)
                    bar.advance(_render_plot(plot, source, target, request, drawn))
                    ledger.record(plot, row)
                    _LOG.info("made project %s, plot %s", plot.project_id, plot.plot_id)
                    rows.append(row)
                bar.plot_done(complete=True)
        ledger.close()
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

    def settings(self) -> dict[str, Any]:
        """What the ledger keeps, so that no project is drawn in two ways."""
        stretch = asdict(self.stretch) if self.stretch.percentiles else None
        composites = {c.name: [c.channels, c.limits] for c in self.composites}
        kept: dict[str, Any] = json.loads(json.dumps([composites, stretch]))
        return dict(zip(("composites", "stretch"), kept, strict=True))


def _plots_with_cubes(contents: Contents) -> list[tuple[Plot, dict[str, Any]]]:
    """Plots whose cube is complete, with their rows of the ledger."""
    found = [
        (
            Plot(row["project_id"], row["plot_id"], row["x"], row["y"]),
            {str(k): v for k, v in row.items()},
        )
        for row in contents.plots[has_product(contents.plots, "zarr")].to_dict("records")
        if row["status"] == COMPLETE
    ]
    if not found:
        raise InputError(
            f"{contents.folder.root} has no complete cube: make them by extract with "
            "--products zarr"
        )
    return found


def _request(contents: Contents, row: dict[str, Any], drawn: _Style) -> Request:
    """What is to be made of a plot."""
    products = tuple(row["products"].split(","))
    return Request(contents.region, contents.chip_size, products, Access(), ALL,
                   composites=drawn.composites)  # fmt: skip


def _render_plot(
    plot: Plot, source: Folder, target: Folder, request: Request, drawn: _Style
) -> int:
    """Make the files of a plot and keep its account; return the number of observations."""
    account = read_kept_account(source, plot.project_id, plot.plot_id)
    _remove_others(account, plot, target, request)
    with whole_cube(source, plot) as cube:
        request = replace(request, composites=drawn.of_plot(cube).composites)
        for part in _parts(cube):
            write_chips(part, plot, request, target)
    write_account(target, plot.project_id, plot.plot_id, account)
    return int((~account["outcome"].isin([REFUSED, SUPERSEDED])).sum())


def _remove_others(account: pd.DataFrame, plot: Plot, target: Folder, request: Request) -> None:
    """Remove the files of days that were written before and are no longer."""
    before = read_kept_account(target, plot.project_id, plot.plot_id)
    days = set(before.loc[before["outcome"] == WRITTEN, "day"])
    for day in sorted(days - set(account.loc[account["outcome"] == WRITTEN, "day"])):
        for path in request.paths(plot, day):
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
