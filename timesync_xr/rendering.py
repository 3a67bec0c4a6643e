"""Chips and spectra made of the cubes that a project keeps: no archive is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .access import Access
from .account import read_kept_account, write_account
from .cubes import CHUNK_TIMES, whole_cube
from .errors import InputError
from .extraction import Request, write_chips
from .filters import ALL
from .folder import OUT_ACCESS, Folder, open_folder
from .landsat import COMPOSITES
from .ledger import COLUMNS, Ledger, read_ledger
from .plots import Plot
from .progress import show_progress
from .styles import Styles, with_percentiles

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
) -> pd.DataFrame:
    """Make a project of the cubes of another; return its ledger's rows of the plots made now.

    With the usual composites and the stretch ``fixed`` its files are those that `extract` makes.
    ``composites`` and ``stretch`` are names in ``styles``. Plots that are there already and did
    not change are skipped. Raises `InputError` where there is no cube, or a name is unknown.
    """
    styles = styles or Styles()
    chosen = [styles.composite(name) for name in composites]
    wanted = styles.stretch(stretch)
    if unknown := set(products) - set(PRODUCTS):
        raise InputError(f"cubes do not give {', '.join(sorted(unknown))}: choose png, csv or both")
    source, target = open_folder(project, access), open_folder(out, access)
    settings = json.loads(source.read("ledger/project.json"))
    todo = _plots_with_cubes(str(project))
    if wanted.percentiles and wanted.over == "project":
        chosen = [with_percentiles(c, _all_parts(source, todo), wanted.percentiles) for c in chosen]
    request = Request(settings["region"], tuple(settings["chip_size"]), tuple(products), Access(),
                      ALL, composites=tuple(chosen))  # fmt: skip
    rows: list[dict[str, Any]] = []
    with target.lock():
        target.clear_temporary()
        ledger = Ledger(target)
        ledger.check_settings(settings | {"composites": list(composites), "stretch": stretch})
        with show_progress(len(todo), 0, progress) as bar:
            for plot, old in todo:
                row = old | {"products": ",".join(products)}
                if ledger.rows.get((plot.project_id, plot.plot_id)) != row:
                    percentiles = wanted.percentiles if wanted.over == "plot" else None
                    bar.advance(_render_plot(plot, source, target, request, percentiles))
                    ledger.record(plot, row)
                    rows.append(row)
                bar.plot_done(complete=True)
        ledger.close()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _plots_with_cubes(project: str) -> list[tuple[Plot, dict[str, Any]]]:
    """Plots whose cube is complete, with their rows of the ledger."""
    found = [
        (
            Plot(row["project_id"], row["plot_id"], row["x"], row["y"]),
            {str(k): v for k, v in row.items()},
        )
        for row in read_ledger(project).to_dict("records")
        if row["status"] == "complete" and "zarr" in row["products"].split(",")
    ]
    if not found:
        raise InputError(
            f"{project} has no complete cube: make them by extract with --products zarr"
        )
    return found


def _render_plot(
    plot: Plot,
    source: Folder,
    target: Folder,
    request: Request,
    percentiles: tuple[float, float] | None,
) -> int:
    """Make the files of a plot and keep its account; return the number of observations."""
    with whole_cube(source, plot) as cube:
        if percentiles:
            drawn = [with_percentiles(c, _parts(cube), percentiles) for c in request.composites]
            request = replace(request, composites=tuple(drawn))
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda part: write_chips(part, plot, request, target), _parts(cube)))
    account = read_kept_account(source, plot.project_id, plot.plot_id)
    write_account(target, plot.project_id, plot.plot_id, account)
    return len(account)


def _all_parts(
    source: Folder, plots: Sequence[tuple[Plot, dict[str, Any]]]
) -> Iterator[xr.DataArray]:
    for plot, _ in plots:
        with whole_cube(source, plot) as cube:
            yield from _parts(cube)


def _parts(cube: xr.DataArray) -> Iterator[xr.DataArray]:
    """A cube in parts in memory that never part two observations of a day."""
    days = cube["time"].to_numpy().astype("datetime64[D]")
    starts = np.arange(0, len(days), CHUNK_TIMES)
    edges = sorted({*np.searchsorted(days, days[starts]).tolist(), len(days)})
    for start, stop in pairwise(edges):
        yield cube[start:stop].compute()
