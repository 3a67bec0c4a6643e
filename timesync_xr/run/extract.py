"""Many plots: from a plot list to a project, with a ledger, so that a run can be taken up again."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pandas as pd

from ..catalog.archive import Archive, as_archive
from ..catalog.dates import parse_time
from ..catalog.kept import Search, TileItems, TileTable
from ..catalog.search import no_items_of
from ..catalog.sources import Place
from ..cube.selection import NOT_CLEAR, Selection
from ..errors import AccessError, InputError, Kind, LossError, check_kind
from ..grid import Lattice
from ..plots import Plot, check_names, plot_from, plot_table
from ..project.ledger import COLUMNS, COMPLETE, Ledger, failures_of
from ..project.log import (
    MADE,
    WITHOUT_CHIP,
    DamagedLogError,
    empty_log,
    is_in_cube,
    read_log,
    with_numbers,
)
from ..project.places import keep_listed
from ..project.products import Products
from ..project.project import Project, Settings, as_project, is_new_project, keep_settings
from ..project.rows import THREADS
from ..spectral.quality import is_clear
from ..storage.failures import LATER
from ..storage.folder import Folder
from .beside import Beside
from .job import Job, check_choices, check_tiers
from .plot import Done, give_up_plot, make_plot
from .progress import Progress, show_progress
from .schedule import PlotQueue, with_neighbours
from .summary import Summary, some

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
        made = done.row["written"] + done.row["without_chip"]
        kinds = set() if made else {failure["kind"] for failure in failures}
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
    project: Project | str | Path,
    archive: Archive | None = None,
    select: Selection = Selection(),
    products: Products = Products(),
    *,
    workers: int | Client | None = 1,
    refresh: bool = False,
    progress: bool = True,
) -> Summary:
    """Make a TimeSync project: the chips and spectra of all plots of a list.

    Parameters
    ----------
    plots
        A plot list (CSV) or what `read_plots` made of one.
    project
        A project folder, or a `Project`, which may lie in a bucket (``s3://bucket/prefix``). Plots
        that its ledger knows to be complete are skipped, files that are there are not made again,
        so that a run that was stopped is taken up by the same call.
    archive
        Where observations come from; landsatlook by default.
    select
        Which observations to take. With ``prune`` the project ends as one made with these filters
        from the start. Without it nothing is lost: filters that would leave out what the plots have
        are refused, and what is gone from the catalog or is refused by now is kept and told.
    products
        What to make, on which grid. What a plot was made with before is kept up, too.
    workers
        Processes that work at the same time, each on one core; 1 is this process alone. None: this
        process begins, and where more than some seconds are left to do, others go on beside it, one
        for each core in all, as memory allows; a script must guard its call then by
        ``if __name__ == "__main__":``. Or a client of a dask cluster whose workers do the plots.
        They read and write the project themselves, so that it must be reachable from all of them.
    refresh
        Search all places again, and look for new items of the plots that are complete, too. Without
        it the items are taken that the project keeps of earlier searches.
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
        The folder is in use by another run, or was made with other settings, or narrower filters
        or another place of a plot would remove something.
    CatalogError, AccessError
        The search failed, or nothing can be read or written at all; run again to go on.

    Examples
    --------
    ::

        few = tx.Selection(datetime="1996", season="06-01/09-30")
        summary = tx.extract(plots.head(1), "summers", archive, few)
        print(summary)
    """
    archive, project = as_archive(archive), as_project(project)
    check_choices(select, products)
    check_tiers(select, archive.what)
    archive.expect_items()
    products = products.on(archive.what.first_grid)
    table = plot_table(plots, products.lattice, ())
    listed = _plots(table, products.lattice)
    source, folder = archive.what, project.folder
    job = Job(products, select, source, archive.reading, archive.name)
    cluster = _cluster(workers)
    settings = Settings(source.collection, products.lattice, products.shape, products.drawn)
    with folder.lock():
        folder.clear_temporary()
        ledger = Ledger(folder)
        check_names(listed, ledger.rows)
        is_new = is_new_project(folder, settings)
        anew = refresh or select.prune
        todo = [plot for plot in listed if not job.is_done(plot, ledger.row(plot)) or anew]
        done = set(listed) - set(todo)
        rows = [ledger.row(plot) or {} for plot in listed if plot in done]
        empty = tuple(row["plot_id"] for row in rows if not row["written"] + row["without_chip"])
        narrowed = [plot for plot in todo if job.may_narrow(ledger.row(plot))]
        if not select.prune:
            _refuse_losses(narrowed, job, ledger)
        items = TileItems(folder, Search(archive, products.lattice, select.period), refresh)
        with show_progress(len(table), len(table) - len(todo), progress) as bar:
            if is_new and todo:  # a source that is none is told before anything is kept
                items.of(source.places(products.chip(todo[0]))[:1])
            keep_settings(folder, settings)
            ledger.reopen(narrowed)
            keep_listed(folder, table)
            crowded = frozenset(with_neighbours(todo, products.chip))
            run = _Run(job, items, ledger, bar, crowded, _Tally(todo), workers is None)
            told = run.work_through(todo, cluster)
        folder.clear_temporary()  # of workers that died
    told[0].attrs["empty_before"] = empty
    left_out = told[1]  # tells of places, too
    left_out.attrs["uncounted"] = items.uncounted
    left_out.attrs["holes"] = no_items_of(items.holes, source) if items.holes else ""
    return Summary(project.place, table, *told, products.lattice, archive.fallback or "")


def _refuse_losses(plots: Sequence[Plot], job: Job, ledger: Ledger) -> None:
    """`LossError` where a job leaves out what some plots have, as their logs tell."""
    causes: Counter[str] = Counter()
    losing: list[str] = []
    with ThreadPoolExecutor(THREADS) as readers:
        found = readers.map(partial(_left_out, job, ledger), plots)
        for plot, lost in zip(plots, found, strict=True):
            causes.update(lost)
            losing += [plot.plot_id] * bool(lost)
    if losing:
        told = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
        names = some(pd.Series(losing))
        raise LossError(
            f"observations would be removed: {causes.total()} ({told}; plots: {names}). Give "
            "filters that take them, --prune to remove them, or another --out folder"
        )


def _left_out(job: Job, ledger: Ledger, plot: Plot) -> list[str]:
    """Why a job leaves out observations that a plot has, by its log: a cause for each.

    Its cube has more of them than its other files.
    """
    try:
        log = with_numbers(read_log(ledger.folder, plot.project_id, plot.plot_id))
    except DamagedLogError:  # what it has is not known, and nothing of it is removed
        return []
    row, select = ledger.row(plot), job.selection
    has_cube = row is not None and "zarr" in row["products"].split(",")
    log = log[log["outcome"].isin(MADE) | (is_in_cube(log) & has_cube)]
    log = log.assign(time=np.array([parse_time(date) for date in log["date"]], "datetime64[ns]"))
    causes = select.causes(log)
    causes[[not select.period.holds(time) for time in log["time"].to_numpy()]] = "of other dates"
    if select.clear_only:
        causes[(causes == "") & ~is_clear(log["qa_pixel"].to_numpy(np.uint16))] = NOT_CLEAR
    if job.drops_rows:
        causes[(causes == "") & (log["outcome"] == WITHOUT_CHIP)] = _ROW_ALONE
    return [cause for cause in causes if cause]


_ROW_ALONE: Final = "of rows without chips, which --all-rows keeps"


class _Tally:
    """What came of the plots that were done."""

    def __init__(self, listed: Sequence[Plot]) -> None:
        self.outage = Outage()
        self._at = {plot: at for at, plot in enumerate(listed)}
        self._rows: list[tuple[int, dict[str, Any]]] = []
        self._stale: list[tuple[int, tuple[str, ...]]] = []
        self._without_clear: list[tuple[int, tuple[str, str, int]]] = []
        self._left_out: dict[str, tuple[int, tuple[str, str, str]]] = {}

    def add(self, done: Done) -> None:
        """Take note of a plot; `AccessError` as by `Outage.see`."""
        at, ids = self._at[done.plot], (done.plot.project_id, done.plot.plot_id)
        self._rows.append((at, done.row))
        self._stale += [(at, (*ids, *observation)) for observation in done.stale]
        self._without_clear += [(at, (*ids, year)) for year in done.without_clear]
        for told in done.left_out:  # by the last plot of the list that tells of an item
            if self._left_out.get(told[0], (-1,))[0] <= at:
                self._left_out[told[0]] = at, told
        self.outage.see(done)

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The last four tables of a `Summary`, in the order of the list, whoever was done first."""
        return (
            pd.DataFrame(_in_order(self._rows), columns=list(COLUMNS)),
            pd.DataFrame(
                _in_order(self._left_out.values()), columns=["item_id", "outcome", "cause"]
            ),
            pd.DataFrame(
                _in_order(self._stale),
                columns=["project_id", "plot_id", "day", "sensor", "kept"],
            ),
            pd.DataFrame(_in_order(self._without_clear), columns=["project_id", "plot_id", "year"]),
        )


T = TypeVar("T")


def _in_order(told: Iterable[tuple[int, T]]) -> list[T]:
    """What was told, by the places that stand before it."""
    return [of_plot for _, of_plot in sorted(told, key=lambda one: one[0])]


@dataclass(frozen=True)
class _Run:
    """The run of a list: what is to be made, of what, and who hears of it."""

    job: Job
    """What is asked for."""
    items: TileItems
    """The items of all places."""
    ledger: Ledger
    """The ledger of the project."""
    bar: Progress
    """Hears of what is done."""
    crowded: frozenset[Plot]
    """Plots that share blocks with another."""
    tally: _Tally
    """What the summary tells."""
    may_spread: bool = False
    """Whether other processes may go on, where that pays."""
    lock: RLock = field(default_factory=RLock)
    """Held where the ledger, the bar or the tally change: plots may be done by two threads."""

    def of(self, plot: Plot) -> tuple[Plot, Job, tuple[TileTable, ...], Folder]:
        """What `make_plot` needs for a plot; waits for the search of its places.

        The ledger knows then that the plot is begun.
        """
        job = self.job.of(plot, self.ledger.row(plot), crowded=plot in self.crowded)
        places = job.source.places(job.products.chip(plot))
        tables = self.items.of(places)
        with self.lock:
            self.ledger.begin(plot, job.row(plot, empty_log()))
        return plot, job, tables, self.ledger.folder

    def work_through(
        self, todo: list[Plot], cluster: AbstractContextManager[Client | None]
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Do all plots; return the last four tables of a `Summary`."""
        try:
            self._work(todo, cluster)
            self.tally.outage.end()
        finally:
            self.items.close()
            self.ledger.close()
        return self.tally.tables()

    def _work(self, todo: list[Plot], cluster: AbstractContextManager[Client | None]) -> None:
        """Do all plots, by this process or by those of a cluster."""
        if not todo:
            return

        def places(plot: Plot) -> tuple[Place, ...]:
            return self.job.source.places(self.job.products.chip(plot))

        queue = PlotQueue(todo, lambda plot: places(plot)[0])
        self.items.begin(place for plot in queue for place in places(plot))
        with cluster as client:
            if client is not None:
                from .cluster import about

                self.bar.tell(about(client))
                self._work_on(client, queue)
            elif self.may_spread:
                with Beside(queue, self._work_on, self.advance, self.bar.tell) as beside:
                    self._work_here(queue, beside.advance, beside.share)
            else:
                self._work_here(queue, self.advance)

    def _work_here(self, queue: PlotQueue, *company: Any) -> None:
        """Do all plots by this process, as far as no other takes them."""
        while (plot := queue.next("")) is not None:
            self.note(make_plot(*self.of(plot), *company))

    def _work_on(self, client: Client, queue: PlotQueue) -> None:
        """Do all plots on a cluster."""
        from .cluster import work_through

        run = os.path.abspath(str(self.ledger.folder.root))
        made_of = partial(work_through, client, queue, run=run)
        for plot, made in made_of(lambda p: partial(make_plot, *self.of(p))):
            done = give_up_plot(*self.of(plot)) if made is None else made
            self.advance(done.observations)
            self.note(done)

    def advance(self, observations: int) -> None:
        """Some more observations are done."""
        with self.lock:
            self.bar.advance(observations)

    def note(self, done: Done) -> None:
        """A plot is done: keep it in the ledger, and what the summary tells of it."""
        with self.lock:
            self.ledger.record(done.plot, done.row)
            _LOG.info(
                "made project %s, plot %s: %s, %s observations, %s written",
                *(done.row[key] for key in _TOLD),
            )
            self.bar.plot_done(complete=done.row["status"] == COMPLETE)
            self.tally.add(done)


def _cluster(workers: int | Client | None) -> AbstractContextManager[Client | None]:
    """The cluster to work on; none for a single process."""
    if workers is None:
        return nullcontext(None)
    if not isinstance(workers, int):
        if not hasattr(workers, "scheduler_info"):
            check_kind(workers, int, "workers", "give a number of processes, or a dask client")
        return nullcontext(workers)
    if workers < 1:
        raise InputError(f"{workers} workers can't work: give 1 or more")
    if workers == 1:
        return nullcontext(None)
    from .cluster import local_cluster

    return local_cluster(workers)


def _plots(table: pd.DataFrame, grid: Lattice) -> list[Plot]:
    """The plots of a table, checked as those of a list are."""
    missing = [c for c in ("project_id", "plot_id", "x", "y", "offset") if c not in table]
    if missing:
        raise InputError(f"the plots lack {', '.join(missing)}: give what read_plots returns")
    plots = [plot_from(row, grid) for _, row in table.iterrows()]
    unnamed = [plot for plot in plots if not plot.plot_id]
    if unnamed:
        raise InputError(f"a plot at x {unnamed[0].x}, y {unnamed[0].y} has no id: give it one")
    for name, count in Counter((plot.project_id, plot.plot_id) for plot in plots).items():
        if count > 1:
            raise InputError(f"plot {name[1]} of project {name[0]} is there twice: drop one")
    return plots
