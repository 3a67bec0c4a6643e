"""One plot: from its items to the files of the contract, and an account of every observation.

One plot of a run, on any process: what is asked for, what it has already, and its making.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..catalog.kept import TileTable, read_items_of
from ..catalog.search import DatetimeRange, parse_datetime
from ..cube.array import Look, begin_ahead, begin_pixels
from ..cube.chips import begin_cube
from ..cube.plan import Plan, plan_observations
from ..cube.schema import attributes
from ..cube.selection import Filters
from ..errors import ProjectError, ReadError
from ..grid import ChipGrid, get_region
from ..landsat import COMPOSITES, PLATFORM_AGE, QA_BAND, Composite
from ..plots import Plot
from ..project.cubes import (
    CubeBuilder,
    found_in,
    is_in_cube,
    kept_cube,
    provenance,
    put_cube,
    settle_cube,
)
from ..project.files import chip_path, csv_files, png_bytes, spectra_path
from ..project.ledger import COMPLETE, ledger_row
from ..project.log import (
    FAILED,
    FILL_AT_PLOT,
    OTHER_PLATFORM,
    REFUSED,
    SUPERSEDED,
    WRITTEN,
    Rows,
    is_open,
    measure_pixels,
    note_failure,
    note_plot_pixel,
    read_kept_account,
    start_account,
    take_over,
    with_items_left_out,
    write_account,
)
from ..raster.reader import Reading
from ..spectral.composites import is_fill_pixel
from ..spectral.reflectance import contract_qa
from ..spectral.series import plot_pixel, spectral_table
from ..spectral.styles import draw_each
from ..storage.access import Access
from ..storage.folder import Folder

PRODUCTS: Final = ("png", "csv", "zarr")
"""What can be made of an observation."""

_BATCH = 24
"""Observations that are read, rendered and written together."""

_PIXELS_BATCH = 256
"""Observations whose plot pixel is looked at together."""


@dataclass(frozen=True)
class Request:
    """What is to be made of every plot of a run."""

    region: str
    """Name of the ARD grid: CU, AK or HI."""
    chip_size: tuple[int, int]
    """Width and height in pixels."""
    products: tuple[str, ...]
    """Some of `PRODUCTS`."""
    access: Access
    """How assets are reached."""
    filters: Filters
    """Which observations to leave out."""
    source: str = ""
    """Where items come from, without secrets; kept with cubes."""
    composites: tuple[Composite, ...] = tuple(COMPOSITES.values())
    """What chips are made of."""
    keep_blocks: bool = False
    """Whether what is fetched is kept on disk, because a plot nearby will need it too."""

    def __post_init__(self) -> None:
        ChipGrid(get_region(self.region), 0, 0, *self.chip_size)

    @property
    def reading(self) -> Reading:
        """How assets are read."""
        return Reading(self.access, self.keep_blocks)

    def chip(self, plot: Plot) -> ChipGrid:
        """The pixels of a plot's chip."""
        return ChipGrid.around(get_region(self.region), plot.x, plot.y, self.chip_size)

    def paths(self, plot: Plot, day: str) -> list[str]:
        """Files of a day, the CSV last: a day that has it has all."""
        stamp = pd.Timestamp(day)
        when = plot.plot_id, stamp.year, stamp.dayofyear
        paths = []
        if "png" in self.products:
            paths += [chip_path(plot.project_id, c.name, *when) for c in self.composites]
        if "csv" in self.products:
            paths.append(spectra_path(plot.project_id, *when))
        return paths


def extract_plot(
    plot: Plot,
    items: pd.DataFrame,
    request: Request,
    folder: Folder,
    advance: Callable[[int], None],
) -> pd.DataFrame:
    """Write all files of a plot that are not there yet; return the account of the plot.

    ``items`` is a table of `search_items` that holds the tiles of the chip. ``advance`` is told
    how many more observations are done. The account (see `timesync_xr.account`) does not depend
    on what was there before. An asset that can't be read makes its day failed, all other days are
    still written. `AccessError` where nothing can be read or written at all.
    """
    plan = plan_observations(items, request.chip(plot))
    request.access.check_mirrors(plan.records[QA_BAND])
    account = start_account(plan, request.filters)
    kept = read_kept_account(folder, plot.project_id, plot.plot_id)

    def is_there(days: list[str]) -> set[str]:
        paths = {day: request.paths(plot, day) for day in days}
        there = folder.present([path for of_day in paths.values() for path in of_day])
        return {day for day, of_day in paths.items() if there.issuperset(of_day)}

    take_over(account, kept, request.filters, is_there)
    _withdraw(account, kept, plot, request, folder)
    _reject(account, plan, request)
    advance(int((~is_open(account)).sum()))
    if "zarr" in request.products:
        for count in _export_with_cube(account, plan, plot, request, folder):
            advance(count)
    else:
        for count in _export(account, is_open(account), plan, plot, request, folder):
            advance(count)
    return with_items_left_out(account, plan)


def set_aside(plot: Plot, items: pd.DataFrame, request: Request, why: ReadError) -> pd.DataFrame:
    """The account of a plot that can't be made at all: whatever would be read has failed."""
    plan = plan_observations(items, request.chip(plot))
    account = start_account(plan, request.filters)
    note_failure(account, np.flatnonzero(is_open(account)), why)
    return with_items_left_out(account, plan)


def _reject(account: pd.DataFrame, plan: Plan, request: Request) -> None:
    """Settle the observations whose plot pixel is fill or not wanted.

    Reads one block of one asset of each.
    """
    rows = np.flatnonzero(is_open(account))
    pixels = plan.select(is_open(account)).at_plot_pixel()
    look, later = Look.at_chip(pixels.grid, (QA_BAND,)), Look.at_chip(plan.grid, (QA_BAND,))

    def begin(part: Plan) -> Callable[[], npt.NDArray[np.uint16]]:
        return begin_pixels(part.records_of_each(), look, request.reading, later=later)

    for part, qa in _read_ahead(pixels, pixels.chunks(_PIXELS_BATCH), begin):
        if isinstance(qa, ReadError):
            note_failure(account, rows[part], qa)
        else:
            note_plot_pixel(account, rows[part], qa.ravel(), request.filters)


def _export_with_cube(
    account: pd.DataFrame, plan: Plan, plot: Plot, request: Request, folder: Folder
) -> Iterator[int]:
    """As `_export`, and put the plot's cube in place; what it held before is not read again."""
    with kept_cube(folder, plot) as kept, folder.scratch() as scratch:
        found = found_in(kept, account[is_in_cube(account)])
        todo = is_open(account)
        todo |= is_in_cube(account) & ~np.isin(np.arange(len(account)), list(found))
        if kept is not None and not todo.any() and list(found.values()) == [*range(len(kept))]:
            if not (account["outcome"] == FAILED).any():
                settle_cube(folder, plot)
            return
        attrs = attributes(plan.grid, (plot.project_id, plot.plot_id))
        builder = CubeBuilder(scratch / "cube", plan.grid, attrs, kept, found)
        yield from _export(account, todo, plan, plot, request, folder, builder.add)
        builder.finish(plan.observations, provenance(plot, request.source))
        whole = not (account["outcome"] == FAILED).any()
        put_cube(folder, plot, scratch / "cube", whole=whole)


def _export(
    account: pd.DataFrame,
    chosen: npt.NDArray[np.bool_],
    plan: Plan,
    plot: Plot,
    request: Request,
    folder: Folder,
    keep: Callable[[Rows, npt.NDArray[np.uint16]], None] | None = None,
) -> Iterator[int]:
    """Read, render and write the chosen observations; yield how many at a time.

    ``keep`` gets the pixels of those whose plot pixel is not fill, in order of time.
    """
    rows = np.flatnonzero(chosen)
    todo = plan.select(chosen)
    begin = partial(begin_cube, reading=request.reading)
    written: list[pd.DataFrame] = []
    for part, made in _read_ahead(todo, todo.chunks(_BATCH), begin):
        if isinstance(made, ReadError):
            note_failure(account, rows[part], made)
        else:
            told = write_chips(made, plot, request, folder)
            written.append(told.set_axis(rows[part]))
            if keep is not None:
                seen = (told["outcome"] != FILL_AT_PLOT).to_numpy()
                keep(rows[part][seen], made.to_numpy()[seen])
        del made  # before the next part takes memory
        yield part.stop - part.start
    if written:  # all at once: to set a few at a time takes as long for each
        told = pd.concat(written)
        account.loc[told.index, list(told.columns)] = told.to_numpy()


_Pixels = TypeVar("_Pixels")
"""Pixels of a plan in memory."""

_Begin = Callable[[Plan], Callable[[], _Pixels]]
"""Begins to fetch the pixels of a plan and returns the function that gives them."""


def _read_ahead(
    plan: Plan, parts: Iterable[slice], begin: _Begin[_Pixels]
) -> Iterator[tuple[slice, _Pixels | ReadError]]:
    """Pixels of the parts of a plan, in order; day by day where an asset can't be read.

    Yields the rows of ``plan.observations`` with their pixels, or with the error of a day. While
    one part is worked on, what is remote is fetched for the next ones. The work itself is done by
    the caller's thread alone: several would wait for the interpreter's lock more than they compute.
    """
    for part, read in begin_ahead(parts, lambda part: begin(plan.part(part))):
        yield from _read(plan, part, read, begin)


def _read(
    plan: Plan, part: slice, read: Callable[[], _Pixels], begin: _Begin[_Pixels]
) -> Iterator[tuple[slice, _Pixels | ReadError]]:
    """One part for `_read_ahead`."""
    try:
        yield part, read()
    except ReadError as error:
        days = plan.part(part).chunks(1)
        if len(days) == 1:
            yield part, error
            return
        for day in (slice(part.start + d.start, part.start + d.stop) for d in days):
            yield from _read(plan, day, begin(plan.part(day)), begin)


def write_chips(cube: xr.DataArray, plot: Plot, request: Request, folder: Folder) -> pd.DataFrame:
    """Write the files of a cube in memory; return what became of each of its observations.

    The table has a row per step of the cube and the columns outcome and those of
    `timesync_xr.account.PIXELS`.
    """
    table = spectral_table(cube, plot.project_id, plot.plot_id)
    chosen = table.loc[choose_platforms(_at(cube, table.index))]
    made = measure_pixels(cube).assign(outcome=FILL_AT_PLOT)
    made.loc[table.index, "outcome"] = OTHER_PLATFORM
    made.loc[chosen.index, "outcome"] = WRITTEN
    taken = _at(cube, chosen.index)
    drawn = draw_each(taken, request.composites if "png" in request.products else ())
    lines = csv_files(chosen) if "csv" in request.products else []
    days = taken["time"].to_numpy().astype("datetime64[D]").astype(str).tolist()
    paths = [request.paths(plot, day) for day in days]
    folder.write_all(
        (path, png_bytes(chip))
        for of_day, chips in zip(paths, drawn, strict=True)
        for path, chip in zip(of_day[: len(chips)], chips, strict=True)
    )
    if lines:  # after the chips, see `Request.paths`
        folder.write_all((of_day[-1], line) for of_day, line in zip(paths, lines, strict=True))
    return made


def _at(cube: xr.DataArray, steps: pd.Index) -> xr.DataArray:
    """Some steps of a cube in time order; the cube itself, not a copy, where it is all of them."""
    return cube if len(steps) == cube.sizes["time"] else cube.isel(time=steps)


def choose_platforms(cube: xr.DataArray) -> npt.NDArray[np.bool_]:
    """Which observation of each day gets the files, where two platforms saw the plot.

    ``cube`` holds observations whose plot pixel is not fill. Usable at the plot (`contract_qa`)
    comes first, then fewer fill pixels in the chip, then the newer platform. Returns a bool for
    each step along ``time``, one of each day True; a lazy cube is computed where days are double.
    """
    ranks = pd.DataFrame({"day": cube["time"].to_numpy().astype("datetime64[D]")})
    if not ranks["day"].duplicated().any():
        return np.ones(len(ranks), dtype=bool)
    age = [PLATFORM_AGE.index(s) if s in PLATFORM_AGE else -1 for s in cube["sensor"].values]
    ranks["unusable"] = contract_qa(plot_pixel(cube).sel(band=QA_BAND)).to_numpy()
    ranks["fill"] = is_fill_pixel(cube).sum(("y", "x")).to_numpy()
    ranks["age"] = -np.array(age)
    best = ranks.sort_values(["day", "unusable", "fill", "age"]).drop_duplicates("day").index
    return np.isin(np.arange(len(ranks)), best)


def _withdraw(
    account: pd.DataFrame, kept: pd.DataFrame, plot: Plot, request: Request, folder: Folder
) -> None:
    """Remove the files of days that were written and now are to be made anew, or not at all.

    The kept account forgets these days before any of their files is made, so that a run that is
    stopped in between leaves none whose content it vouches for wrongly.
    """
    before, now = (set(t.loc[t["outcome"] == WRITTEN, "day"]) for t in (kept, account))
    refused = set(account.loc[account["outcome"] == REFUSED, "day"])
    days = ((before - now) & set(account["day"])) - refused
    if days:
        everything = replace(request, products=PRODUCTS)
        for day in sorted(days):
            for path in everything.paths(plot, day):
                folder.remove(path)
        known = kept[~kept["day"].isin(days)]
        write_account(folder, plot.project_id, plot.plot_id, known)


Row = Mapping[str, Any]
"""The row of a plot in the ledger."""


@dataclass(frozen=True)
class Job:
    """What is to be made of plots."""

    request: Request
    """What to make of every plot."""
    period: DatetimeRange
    """Which dates."""

    def of(self, row: Row | None, *, crowded: bool) -> Job:
        """The job for one plot, by its row of the ledger.

        What it was made with before is kept up, so that its products never contradict each other.
        What is fetched for a plot that shares blocks with another (``crowded``) is kept on disk.
        """
        has = set(row["products"].split(",")) if row else set()
        products = tuple(p for p in PRODUCTS if p in has or p in self.request.products)
        return replace(self, request=replace(self.request, products=products, keep_blocks=crowded))

    def is_done(self, plot: Plot, row: Row | None) -> bool:
        """Whether the ledger says that all that is asked for is there.

        `ProjectError` for a plot that was made elsewhere, or for dates that are not asked for now.
        """
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
        asked = (row["datetime"], row["filters"]) == (str(self.period), self._filters)
        made = set(row["products"].split(","))
        return bool(row["status"] == COMPLETE and asked and made >= set(self.request.products))

    def has_other_filters(self, row: Row | None) -> bool:
        """Whether the plot was made before, by other filters."""
        return row is not None and row["filters"] != self._filters

    @property
    def _filters(self) -> str:
        return str(self.request.filters)

    def row(self, plot: Plot, account: pd.DataFrame) -> dict[str, Any]:
        """The row of the ledger for a plot that was made."""
        products = ",".join(self.request.products)
        return ledger_row(plot, account, str(self.period), products, self._filters)


@dataclass(frozen=True)
class Done:
    """What a worker tells of a plot; the account itself stays in the project."""

    plot: Plot
    """The plot."""
    row: dict[str, Any]
    """Its row of the ledger."""
    left_out: list[tuple[str, str, str]]
    """Items that were not read: item_id, outcome and cause."""
    observations: int
    """Number of observations that were settled."""


def make_plot(
    plot: Plot,
    job: Job,
    tables: Sequence[TileTable],
    folder: Folder,
    advance: Callable[[int], None] = lambda _: None,
) -> Done:
    """Make a plot and keep its account; runs on any worker. Raises as `extract_plot`."""
    account = extract_plot(plot, read_items_of(tables), job.request, folder, advance)
    return _keep(plot, job, account, folder)


def give_up_plot(plot: Plot, job: Job, tables: Sequence[TileTable], folder: Folder) -> Done:
    """Set a plot aside whose workers died again and again."""
    why = ReadError(
        f"plot {plot.plot_id}",
        "the workers that had it died, again and again",
        "Look into their logs, give them more memory, or take this plot with one worker",
    )
    return _keep(plot, job, set_aside(plot, read_items_of(tables), job.request, why), folder)


def _keep(plot: Plot, job: Job, account: pd.DataFrame, folder: Folder) -> Done:
    """Keep an account in the project, before the ledger gets its row."""
    write_account(folder, plot.project_id, plot.plot_id, account)
    unread = account.loc[account["outcome"].isin([REFUSED, SUPERSEDED])]
    left_out = list(unread[["item_ids", "outcome", "cause"]].itertuples(index=False, name=None))
    return Done(plot, job.row(plot, account), left_out, len(account) - len(unread))
