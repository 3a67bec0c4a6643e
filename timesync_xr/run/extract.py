"""Many plots: from a plot list to a project, with a ledger, so that a run can be taken up again."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ..catalog.kept import Search, TileItems, TileTable
from ..catalog.search import parse_datetime
from ..cube.selection import ALL, Filters
from ..errors import AccessError, InputError, Kind
from ..grid import ChipSize, Region, chip_shape, get_region
from ..plots import Plot, plot_from, read_plots
from ..project.ledger import COLUMNS, COMPLETE, Ledger, failures_of
from ..spelling import did_you_mean
from ..storage.access import Access, Mirrors, access_for, clean
from ..storage.failures import LATER
from ..storage.folder import OUT_ACCESS, Folder
from ..storage.places import open_folder
from .plot import PRODUCTS, Done, Job, Request, give_up_plot, make_plot
from .progress import Progress, show_progress
from .schedule import PlotQueue, with_neighbours
from .summary import Summary

if TYPE_CHECKING:
    from distributed import Client


PLOTS: Final = 5
"""Plots in a row of which nothing could be read for passing reasons, after which a run stops."""


class Outage:
    """Looks at the plots of a run as they are done, and ends it where the archive gives nothing.

    That is at once where one plot after the other is lost for reasons that would pass, and at the
    end where the archive denied all that was asked of it. Failures that last (a missing or damaged
    file, one that is denied) stop no run: the other plots are to be done.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._denied: dict[str, str] = {}
        self._was_read = False

    def see(self, done: Done) -> None:
        """Take note of a plot; `AccessError` after `PLOTS` in a row that were lost in passing."""
        failures = failures_of(done.row)
        kinds = set() if done.row["written"] else {failure["kind"] for failure in failures}
        self._in_a_row = self._in_a_row + 1 if kinds == {Kind.TRANSIENT} else 0
        if self._in_a_row == PLOTS:
            raise AccessError(
                f"of the last {PLOTS} plots nothing could be read, lastly {failures[-1]['asset']}: "
                f"{failures[-1]['cause']}. Check the network and the archive. {LATER}",
                kind=Kind.TRANSIENT,
            )
        if kinds == {Kind.DENIED}:
            self._denied = failures[0]
        self._was_read |= done.was_read or bool(kinds - {Kind.DENIED})

    def end(self) -> None:
        """`AccessError` where all was denied, so that nothing could be read in the whole run."""
        if self._denied and not self._was_read:
            raise AccessError(
                "nothing could be read, since all was denied, first {asset}: {cause}. "
                "{remedy}".format(**self._denied),
                kind=Kind.DENIED,
            )


_LOG = logging.getLogger(__name__)
_TOLD = ("project_id", "plot_id", "status", "observations", "written")


def extract(
    plots: str | Path | pd.DataFrame,
    out: str | Path,
    *,
    source: str = "landsatlook",
    mirror: Mirrors = (),
    region: str = "CU",
    datetime: str | int | None = None,
    chip_size: ChipSize = (255, 255),
    products: str | Sequence[str] = ("png", "csv"),
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
        Some of ``png``, ``csv`` and ``zarr``, or a text of them with commas between. What a plot
        was made with before is kept up, too.
    filters
        Which observations to leave out. The project ends as one made with these filters from the
        start: files of what other filters let through are removed.
    workers
        Processes that work at the same time, each on one core; 1 is this process alone.
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
    shape = chip_shape(chip_size)
    request = Request(
        get_region(region).name, shape, _products(products), access, filters, clean(source)
    )
    job = Job(request, parse_datetime(datetime))
    cluster = _cluster(workers, client)
    folder = open_folder(out, out_access)
    with folder.lock():
        folder.clear_temporary()
        ledger = Ledger(folder)
        ledger.check_settings({"region": region, "chip_size": list(shape)})
        todo = [plot for plot in listed if not job.is_done(plot, ledger.row(plot)) or refresh]
        ledger.reopen(plot for plot in todo if job.has_other_filters(ledger.row(plot)))
        items = TileItems(folder, Search(source, region, job.period), refresh)
        with show_progress(len(table), len(table) - len(todo), progress) as bar:
            crowded = frozenset(with_neighbours(todo, request.chip))
            run = _Run(job, items, ledger, bar, crowded)
            rows, left_out = run.work_through(todo, cluster)
    return Summary(str(out), table, rows, left_out)


@dataclass(frozen=True)
class _Run:
    """The run of a list: what is to be made, of what, and who hears of it."""

    job: Job
    """What is asked for."""
    items: TileItems
    """The items of all tiles."""
    ledger: Ledger
    """The ledger of the project."""
    bar: Progress
    """Hears of what is done."""
    crowded: frozenset[Plot]
    """Plots that share blocks with another."""

    def of(self, plot: Plot) -> tuple[Plot, Job, tuple[TileTable, ...], Folder]:
        """What `make_plot` needs for a plot; waits for the search of its tiles."""
        job = self.job.of(self.ledger.row(plot), crowded=plot in self.crowded)
        return plot, job, self.items.of(job.request.chip(plot).tiles), self.ledger.folder

    def work_through(
        self, todo: list[Plot], cluster: AbstractContextManager[Client | None]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Do all plots; return their rows of the ledger, and the items that were left out."""
        rows: list[dict[str, Any]] = []
        left_out: dict[str, tuple[str, str]] = {}
        outage = Outage()
        try:
            for done in self._work(todo, cluster):
                self.ledger.record(done.plot, done.row)
                _LOG.info(
                    "made project %s, plot %s: %s, %s observations, %s written",
                    *(done.row[key] for key in _TOLD),
                )
                rows.append(done.row)
                left_out |= {item_id: (outcome, why) for item_id, outcome, why in done.left_out}
                self.bar.plot_done(complete=done.row["status"] == COMPLETE)
                outage.see(done)
            outage.end()
        finally:
            self.items.close()
            self.ledger.close()
        return (
            pd.DataFrame(rows, columns=list(COLUMNS)),
            pd.DataFrame(
                [(item_id, *why) for item_id, why in left_out.items()],
                columns=["item_id", "outcome", "cause"],
            ),
        )

    def _work(
        self, todo: list[Plot], cluster: AbstractContextManager[Client | None]
    ) -> Iterator[Done]:
        """Do all plots, by this process or by those of a cluster."""
        if not todo:
            return
        chip = self.job.request.chip
        queue = PlotQueue(todo, lambda plot: chip(plot).plot_tile)
        self.items.begin(tile for plot in queue for tile in chip(plot).tiles)
        with cluster as client:
            if client is not None:
                yield from self._work_on(client, queue)
            while queue:
                yield make_plot(*self.of(queue.next("")), self.bar.advance)

    def _work_on(self, client: Client, queue: PlotQueue) -> Iterator[Done]:
        """Do all plots on a cluster."""
        from .cluster import about, work_through

        self.bar.tell(about(client))
        run = os.path.abspath(str(self.ledger.folder.root))
        made_of = partial(work_through, client, queue, run=run)
        for plot, made in made_of(lambda p: partial(make_plot, *self.of(p))):
            done = give_up_plot(*self.of(plot)) if made is None else made
            self.bar.advance(done.observations)
            yield done


def _cluster(workers: int, client: Client | None) -> AbstractContextManager[Client | None]:
    """The cluster to work on; none for a single process."""
    if workers < 1:
        raise InputError(f"{workers} workers can't work: give 1 or more")
    if client is not None or workers == 1:
        return nullcontext(client)
    from .cluster import local_cluster

    return local_cluster(workers)


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


def _products(products: str | Sequence[str]) -> tuple[str, ...]:
    asked = products.split(",") if isinstance(products, str) else products
    unknown = [p for p in asked if p not in PRODUCTS]
    if unknown or not asked:
        raise InputError(
            f"there is no product {', '.join(map(repr, unknown)) or 'to make'}"
            f"{did_you_mean(''.join(unknown[:1]), PRODUCTS)}: choose from {', '.join(PRODUCTS)}"
        )
    return tuple(p for p in PRODUCTS if p in asked)
