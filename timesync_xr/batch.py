"""Many plots: from a plot list to a project, with a ledger, so that a run can be taken up again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .access import Mirrors, access_for
from .account import REFUSED, SUPERSEDED
from .catalog import DatetimeRange, parse_datetime, search_items
from .errors import InputError, ProjectError
from .extraction import PRODUCTS, Request, extract_plot
from .folder import Folder
from .grid import Tile, get_region
from .ledger import COLUMNS, COMPLETE, Ledger, ledger_row
from .plots import Plot, read_plots
from .progress import Progress, show_progress
from .summary import Summary

Account = tuple[Plot, pd.DataFrame]
"""A plot and what became of each of its observations."""


@dataclass(frozen=True)
class _Job:
    """What is asked for, beside the plots."""

    request: Request
    """What to make of every plot."""
    source: str
    """Where items come from."""
    period: DatetimeRange
    """Which dates."""

    @property
    def products(self) -> str:
        return ",".join(self.request.products)

    def is_done(self, ledger: Ledger, plot: Plot) -> bool:
        """Whether the ledger says that all that is asked for is there."""
        row = ledger.rows.get((plot.project_id, plot.plot_id))
        if row is None:
            return False
        if (row["x"], row["y"]) != (plot.x, plot.y):
            raise ProjectError(
                f"plot {plot.plot_id} of project {plot.project_id} was made at x {row['x']}, "
                f"y {row['y']}, the list has it at {plot.x}, {plot.y}: give it another id, or use "
                "another --out folder"
            )
        asked = row["datetime"] == str(self.period)
        made = set(row["products"].split(","))
        return bool(row["status"] == COMPLETE and asked and made >= set(self.request.products))


def extract(
    plots: str | Path | pd.DataFrame,
    out: str | Path,
    *,
    source: str = "landsatlook",
    mirror: Mirrors = (),
    region: str = "CU",
    datetime: str | None = None,
    chip_size: tuple[int, int] = (255, 255),
    products: Sequence[str] = PRODUCTS,
    workers: int = 1,
    progress: bool = True,
) -> Summary:
    """Make a TimeSync project: the chips and spectra of all plots of a list.

    Parameters
    ----------
    plots
        A plot list (CSV) or what `read_plots` made of one.
    out
        The project folder. Plots that its ledger knows to be complete are skipped, files that are
        there are not made again, so that a run that was stopped is taken up by the same call.
    source, mirror, region, datetime, chip_size
        As in `chips_for_plot`.
    products
        Some of ``png`` and ``csv``.
    workers
        Processes that work at the same time; 1 works in this process, with threads.
    progress
        Whether to show the progress on standard error.

    Returns
    -------
    Summary
        Counts and whatever is odd. A plot with an asset that can't be read is incomplete: the
        summary and the ledger name it, and nothing else is held up.

    Raises
    ------
    InputError, PlotListError
        For whatever is wrong with the arguments, before the first request.
    ProjectError
        The folder is in use by another run, or was made with other settings.
    CatalogError, AccessError
        The search failed, or nothing can be read or written at all; run again to go on.
    """
    table = plots if isinstance(plots, pd.DataFrame) else read_plots(plots, region)
    access = access_for(source, mirror)
    request = Request(get_region(region).name, chip_size, _products(products), access)
    job = _Job(request, source, parse_datetime(datetime))
    if workers < 1:
        raise InputError(f"{workers} workers can't work: give 1 or more")
    folder = Folder(out)
    with _locked(folder):
        folder.clear_temporary()
        ledger = Ledger(folder)
        ledger.check_settings({"region": region, "chip_size": list(chip_size)})
        todo = [plot for plot in _plots(table) if not job.is_done(ledger, plot)]
        with show_progress(len(table), len(table) - len(todo), progress) as bar:
            rows, left_out = _run(todo, job, folder, ledger, workers, bar)
    return Summary(str(out), table, rows, left_out)


def _run(
    todo: list[Plot], job: _Job, folder: Folder, ledger: Ledger, workers: int, bar: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Work on the plots; return their rows of the ledger, and the items that were left out."""
    rows: list[dict[str, object]] = []
    left_out: dict[str, tuple[str, str]] = {}
    try:
        for plot, account in _accounts(todo, job, folder, workers, bar):
            row = ledger_row(plot, account, str(job.period), job.products)
            ledger.record(plot, row, account)
            rows.append(row)
            unread = account[account["outcome"].isin([REFUSED, SUPERSEDED])]
            for item_id, outcome, cause in unread[["item_ids", "outcome", "cause"]].to_numpy():
                left_out[item_id] = (outcome, cause)
            bar.plot_done(complete=row["status"] == COMPLETE)
    finally:
        ledger.close()
    return (
        pd.DataFrame(rows, columns=list(COLUMNS)),
        pd.DataFrame(
            [(item_id, *why) for item_id, why in left_out.items()],
            columns=["item_id", "outcome", "cause"],
        ),
    )


def _accounts(
    todo: list[Plot], job: _Job, folder: Folder, workers: int, bar: Progress
) -> Iterator[Account]:
    """The accounts of all plots as they are done, by this process or by several."""
    items = _Items(job, sorted({tile for plot in todo for tile in job.request.chip(plot).tiles}))
    if workers > 1:
        yield from _accounts_of_processes(todo, job, items, folder, workers, bar)
        return
    for plot in todo:
        yield plot, extract_plot(plot, items.of(plot), job.request, folder, bar.advance)


def _accounts_of_processes(
    todo: list[Plot], job: _Job, items: _Items, folder: Folder, workers: int, bar: Progress
) -> Iterator[Account]:
    from distributed import Client, as_completed

    waiting = iter(todo)
    with Client(n_workers=workers, threads_per_worker=1, dashboard_address=None) as client:
        running = as_completed(with_results=True)

        def submit() -> None:
            for plot in waiting:
                table = items.of(plot)
                future = client.submit(_work, plot, table, job.request, folder, pure=False)
                running.add(future)
                return

        for _ in range(2 * workers):
            submit()
        for _, (plot, account) in running:
            bar.advance(len(account))
            submit()
            yield plot, account


def _work(plot: Plot, items: pd.DataFrame, request: Request, folder: Folder) -> Account:
    return plot, extract_plot(plot, items, request, folder, advance=lambda _: None)


class _Items:
    """Items of tiles, searched when they are first needed."""

    def __init__(self, job: _Job, tiles: list[Tile]) -> None:
        self._job, self._tiles = job, tiles
        self._found: dict[Tile, pd.DataFrame] = {}

    def of(self, plot: Plot) -> pd.DataFrame:
        """The items of the tiles that a plot's chip touches."""
        tiles = self._job.request.chip(plot).tiles
        return pd.concat([self._of_tile(tile) for tile in tiles], ignore_index=True)

    def _of_tile(self, tile: Tile) -> pd.DataFrame:
        if tile not in self._found:
            self._found[tile] = search_items(
                [tile],
                source=self._job.source,
                region=self._job.request.region,
                datetime=self._job.period,
            )
        return self._found[tile]


def _plots(table: pd.DataFrame) -> list[Plot]:
    columns = ("project_id", "plot_id", "x", "y")
    return [Plot(*row) for row in zip(*(table[c] for c in columns), strict=True)]


def _products(products: Sequence[str]) -> tuple[str, ...]:
    unknown = [p for p in products if p not in PRODUCTS]
    if unknown or not products:
        raise InputError(
            f"there is no product {', '.join(map(repr, unknown)) or 'to make'}: "
            f"choose from {', '.join(PRODUCTS)}"
        )
    return tuple(p for p in PRODUCTS if p in products)


@contextmanager
def _locked(folder: Folder) -> Iterator[None]:
    """Keep other runs out of the project; a dead run's lock is no lock."""
    from filelock import FileLock, Timeout

    path = folder.root / "ledger" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise ProjectError(
            f"another run is at work on {folder.root}: wait for it, or stop it"
        ) from None
