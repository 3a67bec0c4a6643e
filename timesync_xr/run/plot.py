"""One plot: from its items to its files and the log of its observations, on any process."""

from __future__ import annotations

import ctypes
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..catalog.kept import TileTable, read_items_of
from ..cube.chips import begin_cube
from ..cube.plan import Plan, plan_observations
from ..cube.schema import attributes
from ..errors import Kind, ReadError
from ..landsat import QA_BAND
from ..plots import Plot
from ..project.cubes import (
    CubeBuilder,
    DamagedCubeError,
    found_in,
    is_of,
    is_told_as,
    kept_cube,
    provenance,
    put_cube,
    read_places,
    remove_cubes,
    settle_cube,
)
from ..project.log import (
    FILL_AT_PLOT,
    LEFT_OUT,
    PIXELS,
    READ,
    TITLES,
    WITHOUT_CHIP,
    WRITTEN,
    DamagedLogError,
    ObservationLog,
    Rows,
    days_with_files,
    empty_log,
    measure_pixels,
    read_log,
    with_begun,
    write_log,
    years_without_clear,
)
from ..project.spectra import PlotTable
from ..raster.headers import kept_headers
from ..raster.reader import observations_ahead
from ..storage.folder import Folder
from .chips import write_chips, write_spectra
from .job import Job
from .pixels import SPECTRA_BATCH, look_at_plot_pixels, read_ahead
from .plot_files import PlotFiles
from .schedule import Part, PartQueue
from .yearly import NOT_AMONG, choose_days

_LOG = logging.getLogger(__name__)

_MALLOC: Final = {-8: 1, -3: 32 * 2**20, -1: 64 * 2**20}
"""What glibc's ``mallopt`` is told: the number of heaps, from which size on memory is asked of the
system and given back piece by piece, and how much may lie free at a heap's end.

The last two are what glibc comes to by itself, unless the environment sets one of them, as dask
does for its workers: every array of a chip is then given back and asked for again, which takes
half of an observation's processor time once more.
"""

_BATCH = 8
"""Observations that are read, rendered and written together."""

_BATCHES = 32
"""Batches after which memory is given back."""


@dataclass(frozen=True)
class Done:
    """What a worker tells of a plot; the log itself stays in the project."""

    plot: Plot
    """The plot."""
    row: dict[str, Any]
    """Its row of the ledger."""
    left_out: list[tuple[str, str, str]]
    """Items that were not read: item_id, outcome and cause."""
    observations: int
    """Number of observations that were settled."""
    was_read: bool
    """Whether anything was read for it, now or before."""
    stale: list[tuple[str, str, str]]
    """Observations of before that would not be made now: day, sensor, and why they are kept; that
    is empty where they were removed."""
    without_clear: list[int]
    """Years between the first and the last of the plot without any clear observation."""


def make_plot(
    plot: Plot,
    job: Job,
    tables: Sequence[TileTable],
    folder: Folder,
    advance: Callable[[int], None] = lambda _: None,
    share: Share = lambda _parts, _make: iter(()),
) -> Done:
    """Make a plot and keep its log; runs on any worker. Raises as `extract_plot`."""
    _share_memory()
    _give_back_memory()  # that of searches
    with kept_headers(folder) as headers:
        job = replace(job, reading=replace(job.reading, headers=headers))
        log, removed = extract_plot(plot, read_items_of(tables), job, folder, advance, share)
    return _keep(plot, job, log, folder, removed)


@cache
def _share_memory() -> None:
    """Have glibc give all threads of this process memory of one heap, and keep it for a while.

    Else each of the many that fetch gets one of its own, of which nothing comes back.
    """
    with suppress(AttributeError, OSError, TypeError):  # another system, or another C library
        for option, value in _MALLOC.items():
            ctypes.CDLL(None).mallopt(option, value)


def _give_back_memory() -> None:
    """Have glibc give back what is free, but lies between what is kept for long: 10 ms."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def give_up_plot(plot: Plot, job: Job, tables: Sequence[TileTable], folder: Folder) -> Done:
    """Set a plot aside whose workers died again and again: whatever would be read has failed."""
    why = ReadError(
        f"plot {plot.plot_id}",
        "the workers that had it died, again and again",
        "Look into their logs, give them more memory, or take this plot with one worker",
        kind=Kind.WORKERS,
    )
    spectra, items = _table(plot, job, folder), read_items_of(tables)
    log, removed, _ = _begin(plot, items, job, folder, spectra, lambda _log, _kept: set())
    log.fail(np.flatnonzero(log.open), why)
    spectra.keep(log.made_days)
    if "zarr" in job.products.made and log.has_failures:
        settle_cube(folder, plot, whole=False)
    return _keep(plot, job, log, folder, removed)


def _keep(plot: Plot, job: Job, log: ObservationLog, folder: Folder, removed: pd.DataFrame) -> Done:
    """Keep a log in the project, before the ledger gets its row."""
    table = log.finished()
    write_log(folder, plot, table)
    unread = table.loc[table["outcome"].isin(LEFT_OUT)]
    left_out = list(unread[["item_ids", "outcome", "cause"]].itertuples(index=False, name=None))
    was_read = bool((table["qa_pixel"] != "").any())
    stale = [
        observation
        for rows in (log.table[log.kept], removed.assign(cause=""))
        for observation in rows[["day", "sensor", "cause"]].itertuples(index=False, name=None)
    ]
    row, count, none = job.row(plot, table), len(table) - len(unread), years_without_clear(table)
    return Done(plot, row, left_out, count, was_read, stale, none)


def _plan(plot: Plot, items: pd.DataFrame, job: Job) -> Plan:
    """What the observations of a plot are made of."""
    return plan_observations(items, job.products.chip(plot), job.source, job.selection.tiers)


def extract_plot(
    plot: Plot,
    items: pd.DataFrame,
    job: Job,
    folder: Folder,
    advance: Callable[[int], None],
    share: Share,
) -> tuple[ObservationLog, pd.DataFrame]:
    """Write all files of a plot that are not there yet; return the log of its observations.

    ``items`` is a table of `search_items` that holds the places of the chip. ``advance`` is told
    how many more observations are done, and ``share`` may have others make some. An asset that
    can't be read makes its day failed, all other days are still written. What was written before
    and would not be now is kept in files and log; or removed, and then its rows of the former log
    are returned, too. `AccessError` where nothing can be read or written at all.
    """

    def look(log: ObservationLog, kept: pd.DataFrame) -> set[str]:
        if job.products.per_year is not None:
            return choose_days(log, kept, plot, job, folder)
        in_cube = log.measured(kept) if "zarr" in job.products.made else np.False_
        look_at_plot_pixels(log, log.open & ~in_cube, job)
        return set()

    spectra = _table(plot, job, folder)
    log, removed, before = _begin(plot, items, job, folder, spectra, look)
    advance(int((~log.open).sum()))
    export: Export = partial(_export_open, share=share)
    if "zarr" in job.products.made:
        export = partial(_export_with_cube, before=before)
    if job.products.pixel_only:
        export = _export_spectra
    if log.open_without_chip.any():  # first, so that what is open afterwards gets chips
        for count in _export_spectra(log, plot, job.of_rows, folder, spectra):
            advance(count)
    for count in export(log, plot, job, folder, spectra):
        advance(count)
    spectra.keep(log.made_days)
    return log, removed


Share = Callable[[PartQueue, Callable[[Part], Callable[[], Any]]], Iterator[tuple[Part, Any]]]
"""Lets others make some of a plot, see `timesync_xr.run.beside.Beside.share`."""

Export = Callable[[ObservationLog, Plot, Job, Folder, PlotTable], Iterator[int]]
"""Reads, renders and writes what is open in a log; yields how many observations at a time."""


def _table(plot: Plot, job: Job, folder: Folder) -> PlotTable:
    """The table of the plot's spectra, if it is wanted."""
    return PlotTable(folder, plot, wanted="spectra" in job.products.made)


def _begin(
    plot: Plot,
    items: pd.DataFrame,
    job: Job,
    folder: Folder,
    spectra: PlotTable,
    look: Callable[[ObservationLog, pd.DataFrame], set[str]],
) -> tuple[ObservationLog, pd.DataFrame, pd.DataFrame]:
    """Take over what is there and did not change, ``look`` at the rest, and remove what goes.

    ``look`` gets the log and the one of before, and returns the days that are only kept up, since
    they would not be chosen now.
    Returns the log, whose open observations are to be made, the rows of those that went for good,
    and the log of before, as far as it is about the same pixels. Before a file is touched the kept
    log says which days are begun, so that a run that is stopped at any moment leaves no file that
    is vouched for wrongly, and none that no log knows.
    """
    plan = _plan(plot, items, job)
    job.reading.access.check_mirrors(plan.records[QA_BAND])
    log, kept = ObservationLog.start(plan, job.selection), _kept_log(folder, plot)
    elsewhere = _made_elsewhere(kept, plot, job)
    here, files = kept.drop(elsewhere.index), PlotFiles(plot, job.products, folder, spectra)
    files.take_rows_of_csvs(here)
    log.take_over(here, files.whole)
    kept_up = look(log, here)
    log.take_rows(here, files.with_rows)
    renamed = files.rename(log, here)
    lost = files.of_any(log.lost(here))
    if not job.selection.prune:
        bare = lost["outcome"] == WITHOUT_CHIP
        whole = files.whole(lost.loc[~bare, "day"].tolist())
        whole |= files.with_rows(lost.loc[bare, "day"].tolist())
        log, lost = log.holding(lost, whole, here), lost[:0]
    withdrawn = log.withdrawn(here) | days_with_files(elsewhere)
    bared = log.bared(here)
    begun = {*log.table.loc[log.open, "day"], *withdrawn, *bared, *renamed}
    if begun:
        write_log(folder, plot, with_begun(log.finished(), kept, begun))
    files.remove(withdrawn)
    files.remove(bared, ["png"])
    folder.write_all(csv for day in renamed if day not in withdrawn for csv in renamed[day])
    if job.products.per_year is not None:
        log.keep_up(kept_up, NOT_AMONG.format(job.products.per_year.count))
    removed = elsewhere[elsewhere["outcome"] == WRITTEN]
    return log, lost if removed.empty else pd.concat([lost, removed]), here


def _kept_log(folder: Folder, plot: Plot) -> pd.DataFrame:
    """The log of a plot; an empty one in place of a damaged one, by which nothing can be kept."""
    try:
        return read_log(folder, plot.project_id, plot.plot_id)
    except DamagedLogError:
        _LOG.warning(
            "the log of plot %s of project %s is damaged: all of the plot is made again; look for "
            "files that are left over by timesync-xr verify",
            plot.plot_id,
            plot.project_id,
        )
        return empty_log()


def _made_elsewhere(kept: pd.DataFrame, plot: Plot, job: Job) -> pd.DataFrame:
    """The rows of a kept log that are about other pixels; `LossError` if they are to stay."""
    chip = str(job.products.chip(plot))
    elsewhere = kept[kept["chip"] != chip]
    if (elsewhere["outcome"] == WRITTEN).any():
        job.refuse_move(plot, f"the pixels {elsewhere['chip'].iloc[0]}", chip)
    return elsewhere


def _export_open(
    log: ObservationLog, plot: Plot, job: Job, folder: Folder, spectra: PlotTable, share: Share
) -> Iterator[int]:
    """Read, render and write what is open; yield how many observations at a time.

    Others may make some of it, which are not counted.
    """
    rows = np.flatnonzero(log.open)
    todo = log.plan.select(log.open)
    parts = PartQueue(todo.chunks(_BATCH))
    bare = replace(job, reading=replace(job.reading, headers=None))

    def make(part: Part) -> Callable[[], list[_Made]]:
        if job.reading.headers is not None:
            job.reading.headers.save()  # for others to find
        return partial(_make_part, todo.part(slice(*part)), plot, bare, folder)

    others = share(parts, make)
    yield from _export(log, log.open, plot, job, folder, spectra, parts=parts)
    written: list[pd.DataFrame] = []
    for (start, stop), made in others:
        folder.others_wrote()
        for part, told, lines in made or ():  # None where they died of it
            at = rows[start:stop][part]
            if isinstance(told, ReadError):
                log.fail(at, told)
            else:
                written.append(told.set_axis(at))
                spectra.add(lines)
    if written:
        log.settle(pd.concat(written))
    if log.open.any():
        yield from _export(log, log.open, plot, job, folder, spectra)


_Made = tuple[slice, pd.DataFrame | ReadError, pd.DataFrame]
"""Rows of a plan, what became of them, and their rows of spectra."""


def _make_part(plan: Plan, plot: Plot, job: Job, folder: Folder) -> list[_Made]:
    """Read, render and write the observations of a plan; runs beside the process of its plot."""
    _share_memory()
    found: list[_Made] = []
    with kept_headers(folder) as headers:
        job = replace(job, reading=replace(job.reading, headers=headers))
        for part, made in _chips(plan, job, plan.chunks(_BATCH)):
            if isinstance(made, ReadError):
                found.append((part, made, pd.DataFrame()))
                continue
            lines: list[pd.DataFrame] = []
            told = write_chips(made, plot, job.products, folder, lines.append)
            found.append((part, told.join(_read_from(plan, part, job)), lines[0]))
    _give_back_memory()
    return found


def _export_spectra(
    log: ObservationLog, plot: Plot, job: Job, folder: Folder, spectra: PlotTable
) -> Iterator[int]:
    """As `_export_open`, of the plot pixel alone: a block of each asset.

    Of what is open without a chip, if anything is, else of all. Whole chips are read of the few
    days that need them, see `write_spectra`.
    """
    bare = log.open_without_chip
    chosen = bare if bare.any() else log.open
    rows = np.flatnonzero(chosen)
    pixels = log.plan.select(chosen).at_plot_pixel()
    begin = partial(begin_cube, reading=job.reading)
    written: list[pd.DataFrame] = []
    for part, made in read_ahead(pixels, pixels.chunks(SPECTRA_BATCH), begin):
        if isinstance(made, ReadError):
            log.fail(rows[part], made)
            yield part.stop - part.start
        else:
            told = write_spectra(made, plot, job.products, folder, spectra.add)
            told = told.join(_read_from(pixels, part, job))
            written.append(told.set_axis(rows[part][told.index]))
            yield len(told)
    if written:
        log.settle(pd.concat(written))
    yield from _export(log, log.open & chosen, plot, job, folder, spectra)


def _export_with_cube(
    log: ObservationLog,
    plot: Plot,
    job: Job,
    folder: Folder,
    spectra: PlotTable,
    before: pd.DataFrame,
) -> Iterator[int]:
    """As `_export_open`, and put the plot's cube in place; what it held is not read again.

    ``before`` is the log of before, which tells what the cube held. A kept cube that is damaged is
    removed, and made anew.
    """
    try:
        yield from _export_and_cube(log, plot, job, folder, spectra, before)
    except DamagedCubeError as error:
        _LOG.warning("%s: it is made again now", error.cube)
        remove_cubes(folder, plot)
        yield from _export_and_cube(log, plot, job, folder, spectra, before)


def _export_and_cube(
    log: ObservationLog,
    plot: Plot,
    job: Job,
    folder: Folder,
    spectra: PlotTable,
    before: pd.DataFrame,
) -> Iterator[int]:
    """What `_export_with_cube` does while nothing is damaged."""
    with kept_cube(folder, plot) as there, folder.scratch() as scratch:
        kept = there if there is not None and is_of(there, log.plan.grid) else None
        if kept is not None:
            yield from _export_of_cube(log, plot, job, folder, spectra, before, kept)
        found = found_in(kept, log.table[log.in_cube & log.whole])
        lost = log.in_cube & ~np.isin(np.arange(len(log.table)), list(found))
        log.give_up(lost & log.plan.unreadable)
        lost &= log.in_cube
        todo = log.open | lost
        in_order = kept is not None and list(found.values()) == [*range(len(kept))]
        if (
            kept is not None
            and in_order
            and not todo.any()
            and is_told_as(kept, log.plan.observations.iloc[list(found)])
        ):
            settle_cube(folder, plot, whole=not log.has_failures)
            return
        attrs = attributes(log.plan.grid, (plot.project_id, plot.plot_id))
        builder = CubeBuilder(scratch / "cube", log.plan.grid, attrs, kept, found)
        yield from _export(log, todo, plot, job, folder, spectra, builder.add)
        origin = provenance(plot, job.source.collection, "; ".join(log.sources))
        builder.finish(log.plan.observations, origin)
        put_cube(folder, plot, scratch / "cube", whole=not log.has_failures)


def _export_of_cube(
    log: ObservationLog,
    plot: Plot,
    job: Job,
    folder: Folder,
    spectra: PlotTable,
    before: pd.DataFrame,
    cube: xr.DataArray,
) -> Iterator[int]:
    """Render and write days that are open, of the pixels that the kept cube has of them.

    That is of days all of whose observations are the same as before. `DamagedCubeError` where the
    cube has other pixels of them than their log says.
    """
    same = log.as_before(before)
    found = found_in(cube, log.table[log.open & log.measured(before)])
    titles = {name: cube[name].values for name in TITLES}
    for row, place in [*found.items()]:
        if any(values[place] != log.table.at[row, name] for name, values in titles.items()):
            del found[row]
    others = set(log.table.loc[log.open & ~log.table.index.isin([*found]), "day"])
    chosen = log.table.index.isin([*found]) & ~log.table["day"].isin(others).to_numpy()
    rows, written = np.flatnonzero(chosen), []
    for part in log.plan.select(chosen).chunks(_BATCH):
        made = read_places(cube, [found[row] for row in rows[part].tolist()])
        measured = measure_pixels(made).to_numpy()
        if not (measured == same.loc[rows[part], list(PIXELS)].to_numpy()).all():
            raise DamagedCubeError("its pixels are not those of its log")
        told = write_chips(made, plot, job.products, folder, spectra.add).set_axis(rows[part])
        written.append(told.join(same[list(READ)]))
        yield part.stop - part.start
    if written:
        log.settle(pd.concat(written))


def _export(
    log: ObservationLog,
    chosen: npt.NDArray[np.bool_],
    plot: Plot,
    job: Job,
    folder: Folder,
    spectra: PlotTable,
    keep: Callable[[Rows, npt.NDArray[np.uint16]], None] | None = None,
    parts: Iterable[slice] | None = None,
) -> Iterator[int]:
    """Read, render and write the chosen observations; yield how many at a time.

    ``keep`` gets the pixels of those whose plot pixel is not fill, in order of time. ``parts`` are
    those to take where others take the rest.
    """
    rows = np.flatnonzero(chosen)
    todo = log.plan.select(chosen)
    written: list[pd.DataFrame] = []
    batches = todo.chunks(_BATCH) if parts is None else parts
    for number, (part, made) in enumerate(_chips(todo, job, batches), 1):
        if isinstance(made, ReadError):
            log.fail(rows[part], made)
        else:
            told = write_chips(made, plot, job.products, folder, spectra.add)
            told = told.join(_read_from(todo, part, job))
            written.append(told.set_axis(rows[part]))
            if keep is not None:
                seen = (told["outcome"] != FILL_AT_PLOT).to_numpy()
                keep(rows[part][seen], made.to_numpy()[seen])
        del made  # before the next part takes memory
        if number % _BATCHES == 0:
            _give_back_memory()
        yield part.stop - part.start
    if written:  # all at once: to set a few at a time takes as long for each
        log.settle(pd.concat(written))


def _chips(
    plan: Plan, job: Job, batches: Iterable[slice]
) -> Iterator[tuple[slice, xr.DataArray | ReadError]]:
    """Chips of batches of a plan, as of `read_ahead`; requests never run short."""
    ahead = math.ceil(observations_ahead(job.reading) / _BATCH)
    return read_ahead(plan, batches, partial(begin_cube, reading=job.reading), ahead)


def _read_from(plan: Plan, part: slice, job: Job) -> pd.DataFrame:
    """Where some observations of a plan were read, a row for each, from 0."""
    return job.read_from(plan.observations["item_ids"].iloc[part].reset_index(drop=True))
