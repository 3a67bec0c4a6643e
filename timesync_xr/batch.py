"""Many plots: from a plot list to a project, with a ledger, so that a run can be taken up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .access import Access, Mirrors, access_for, clean
from .account import REFUSED, SUPERSEDED, write_account
from .catalog import DatetimeRange, parse_datetime
from .errors import InputError, ProjectError, ReadError
from .extraction import PRODUCTS, Request, extract_plot, set_aside
from .filters import ALL, Filters
from .folder import OUT_ACCESS, Folder, open_folder
from .grid import Region, get_region
from .ledger import COLUMNS, COMPLETE, Ledger, ledger_row
from .neighbours import with_neighbours
from .order import PlotQueue
from .outage import Outage
from .plots import Plot, plot_from, read_plots
from .progress import Progress, show_progress
from .spelling import did_you_mean
from .summary import Summary
from .tile_items import Search, TileItems, TileTable, read_items_of

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class _Job:
    """What is asked for, beside the plots."""

    request: Request
    """What to make of every plot."""
    period: DatetimeRange
    """Which dates."""
    crowded: frozenset[Plot] = frozenset()
    """Plots that share blocks with another: what is fetched for them is kept on disk."""

    def of(self, plot: Plot) -> _Job:
        """The job for one plot."""
        if plot not in self.crowded:
            return replace(self, crowded=frozenset())
        access = replace(self.request.access, keep_blocks=True)
        return replace(self, request=replace(self.request, access=access), crowded=frozenset())

    @property
    def products(self) -> str:
        return ",".join(self.request.products)

    @property
    def filters(self) -> str:
        return str(self.request.filters)

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
        if not self.period.covers(parse_datetime(row["datetime"])):
            raise ProjectError(
                f"plot {plot.plot_id} of project {plot.project_id} was made for {row['datetime']}: "
                "give a --datetime that holds all of it, or another --out folder"
            )
        asked = (row["datetime"], row["filters"]) == (str(self.period), self.filters)
        made = set(row["products"].split(","))
        return bool(row["status"] == COMPLETE and asked and made >= set(self.request.products))

    def has_other_filters(self, ledger: Ledger, plot: Plot) -> bool:
        """Whether the plot was made before, by other filters."""
        row = ledger.rows.get((plot.project_id, plot.plot_id))
        return row is not None and row["filters"] != self.filters


def extract(
    plots: str | Path | pd.DataFrame,
    out: str | Path,
    *,
    source: str = "landsatlook",
    mirror: Mirrors = (),
    region: str = "CU",
    datetime: str | None = None,
    chip_size: tuple[int, int] = (255, 255),
    products: Sequence[str] = ("png", "csv"),
    filters: Filters = ALL,
    workers: int = 1,
    client: Client | None = None,
    refresh: bool = False,
    progress: bool = True,
    access: Access | None = None,
    out_access: Access = OUT_ACCESS,
) -> Summary:
    """Make a TimeSync project: the chips and spectra of all plots of a list.

    Parameters
    ----------
    plots
        A plot list (CSV) or what `read_plots` made of one.
    out
        The project folder, or an address in a bucket (``s3://bucket/prefix``). Plots that its
        ledger knows to be complete are skipped, files that are there are not made again, so that
        a run that was stopped is taken up by the same call.
    source, mirror, region, datetime, chip_size
        As in `chips_for_plot`.
    products
        Some of ``png``, ``csv`` and ``zarr``.
    filters
        Which observations to leave out. The project ends as one made with these filters from the
        start: files of what other filters let through are removed.
    workers
        Processes that work at the same time; 1 works in this process, with threads.
    client
        A client of a dask cluster whose workers do the plots, in place of ``workers``. They read
        and write the project themselves, so that it must be reachable from all of them.
    refresh
        Search all tiles again, and look for new items of the plots that are complete, too. Without
        it the items are taken that the project keeps of earlier searches.
    progress
        Whether to show the progress on standard error.
    access, out_access
        Profile, endpoint, region and retries of S3 for the archive, and for ``out``; the mirrors
        and the folder of ``access`` come from ``mirror`` and ``source``.

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
    access = access_for(source, mirror, access)
    listed = _plots(table, get_region(region))
    request = Request(
        get_region(region).name, chip_size, _products(products), access, filters, clean(source)
    )
    job = _Job(request, parse_datetime(datetime))
    cluster = _cluster(workers, client)
    folder = open_folder(out, out_access)
    with folder.lock():
        folder.clear_temporary()
        ledger = Ledger(folder)
        ledger.check_settings({"region": region, "chip_size": list(chip_size)})
        todo = [plot for plot in listed if not job.is_done(ledger, plot) or refresh]
        ledger.reopen(plot for plot in todo if job.has_other_filters(ledger, plot))
        items = TileItems(folder, Search(source, region, job.period), refresh)
        with show_progress(len(table), len(table) - len(todo), progress) as bar:
            rows, left_out = _run(todo, job, items, cluster, ledger, bar)
    return Summary(str(out), table, rows, left_out)


@dataclass(frozen=True)
class _Done:
    """What a worker tells of a plot; the account itself stays in the project."""

    plot: Plot
    """The plot."""
    row: dict[str, Any]
    """Its row of the ledger."""
    left_out: list[tuple[str, str, str]]
    """Items that were not read: item_id, outcome and cause."""
    observations: int
    """Number of observations that were settled."""


def _cluster(workers: int, client: Client | None) -> AbstractContextManager[Client | None]:
    """The cluster to work on; none for a single process."""
    if workers < 1:
        raise InputError(f"{workers} workers can't work: give 1 or more")
    if client is not None or workers == 1:
        return nullcontext(client)
    from .cluster import local_cluster

    return local_cluster(workers)


def _run(
    todo: list[Plot],
    job: _Job,
    items: TileItems,
    cluster: AbstractContextManager[Client | None],
    ledger: Ledger,
    bar: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Work on the plots; return their rows of the ledger, and the items that were left out."""
    rows: list[dict[str, Any]] = []
    left_out: dict[str, tuple[str, str]] = {}
    outage = Outage()
    try:
        for done in _work(todo, job, items, cluster, ledger.folder, bar):
            ledger.record(done.plot, done.row)
            rows.append(done.row)
            left_out |= {item_id: (outcome, why) for item_id, outcome, why in done.left_out}
            bar.plot_done(complete=done.row["status"] == COMPLETE)
            outage.see(done.row)
    finally:
        items.close()
        ledger.close()
    return (
        pd.DataFrame(rows, columns=list(COLUMNS)),
        pd.DataFrame(
            [(item_id, *why) for item_id, why in left_out.items()],
            columns=["item_id", "outcome", "cause"],
        ),
    )


def _work(
    todo: list[Plot],
    job: _Job,
    items: TileItems,
    cluster: AbstractContextManager[Client | None],
    folder: Folder,
    bar: Progress,
) -> Iterator[_Done]:
    """Do all plots, by this process or by those of a cluster."""
    job = replace(job, crowded=frozenset(with_neighbours(todo, job.request.chip)))
    queue = PlotQueue(todo, lambda plot: job.request.chip(plot).plot_tile)
    items.begin(tile for plot in queue for tile in job.request.chip(plot).tiles)
    if not todo:
        return
    with cluster as client:
        if client is not None:
            yield from _work_on(client, queue, job, items, folder, bar)
            return
        while queue:
            plot = queue.next("")
            tables = items.of(job.request.chip(plot).tiles)
            yield _make_plot(plot, job.of(plot), tables, folder, bar.advance)


def _work_on(
    client: Client, queue: PlotQueue, job: _Job, items: TileItems, folder: Folder, bar: Progress
) -> Iterator[_Done]:
    """Do all plots on a cluster."""
    from .cluster import about, work_through

    def task(plot: Plot) -> Callable[[], _Done]:
        tables = items.of(job.request.chip(plot).tiles)
        return partial(_make_plot, plot, job.of(plot), tables, folder)

    bar.tell(about(client))
    for plot, result in work_through(client, queue, task):
        if isinstance(result, _Done):
            done = result
        else:
            done = _give_up(plot, job, items.of(job.request.chip(plot).tiles), folder)
        bar.advance(done.observations)
        yield done


def _make_plot(
    plot: Plot,
    job: _Job,
    tables: Sequence[TileTable],
    folder: Folder,
    advance: Callable[[int], None] = lambda _: None,
) -> _Done:
    """Make a plot and keep its account; runs on any worker."""
    account = extract_plot(plot, read_items_of(tables), job.request, folder, advance)
    return _keep(plot, job, account, folder)


def _give_up(plot: Plot, job: _Job, tables: Sequence[TileTable], folder: Folder) -> _Done:
    """Set a plot aside whose workers died again and again."""
    why = ReadError(
        f"plot {plot.plot_id}",
        "the workers that had it died, again and again",
        "Look into their logs, give them more memory, or take this plot with one worker",
    )
    return _keep(plot, job, set_aside(plot, read_items_of(tables), job.request, why), folder)


def _keep(plot: Plot, job: _Job, account: pd.DataFrame, folder: Folder) -> _Done:
    """Keep an account in the project, before the ledger gets its row."""
    write_account(folder, plot.project_id, plot.plot_id, account)
    unread = account.loc[account["outcome"].isin([REFUSED, SUPERSEDED])]
    return _Done(
        plot,
        ledger_row(plot, account, str(job.period), job.products, job.filters),
        list(unread[["item_ids", "outcome", "cause"]].itertuples(index=False, name=None)),
        len(account) - len(unread),
    )


def _plots(table: pd.DataFrame, region: Region) -> list[Plot]:
    """The plots of a table, checked as those of a list are."""
    missing = [c for c in ("project_id", "plot_id", "x", "y", "offset") if c not in table]
    if missing:
        raise InputError(f"the plots lack {', '.join(missing)}: give what read_plots returns")
    plots = [plot_from(row, region) for _, row in table.iterrows()]
    for name, count in Counter((plot.project_id, plot.plot_id) for plot in plots).items():
        if count > 1:
            raise InputError(f"plot {name[1]} of project {name[0]} is there twice: drop one")
    unnamed = [plot for plot in plots if not plot.plot_id]
    if unnamed:
        raise InputError(f"a plot at x {unnamed[0].x}, y {unnamed[0].y} has no id: give it one")
    return plots


def _products(products: Sequence[str]) -> tuple[str, ...]:
    unknown = [p for p in products if p not in PRODUCTS]
    if unknown or not products:
        raise InputError(
            f"there is no product {', '.join(map(repr, unknown)) or 'to make'}"
            f"{did_you_mean(''.join(unknown[:1]), PRODUCTS)}: choose from {', '.join(PRODUCTS)}"
        )
    return tuple(p for p in PRODUCTS if p in products)
