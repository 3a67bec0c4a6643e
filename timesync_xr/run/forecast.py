"""What a run would take, known before any pixel is read: items, requests, bytes, time, cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..catalog.archive import Archive, as_archive
from ..catalog.kept import Search, TileItems, read_items_of
from ..catalog.search import no_items_of
from ..catalog.sources import Place, Source
from ..cube.plan import Plan, plan_observations
from ..cube.schema import is_number, is_whole
from ..cube.selection import Selection
from ..errors import InputError, check_kind, counted
from ..grid import ChipGrid
from ..landsat import BANDS
from ..plots import plot_table
from ..project.ledger import CHECK
from ..project.products import Products
from ..project.project import Project, as_project
from ..raster.tiff import FIRST_READ
from .job import check_choices, check_tiers
from .schedule import Block, blocks_of
from .summary import not_counted, some

FILL_SHARE: Final = 1 / 3
"""Assumed: share of the observations whose plot pixel is fill, of which one block is read. A third
of the items of an ARD tile are slivers of it."""

BLOCK_BYTES: Final = 100_000
"""Assumed: size of a block of 256 x 256 pixels of a surface reflectance asset. Measured by packing
real Collection 2 scenes, 95 to 109 kB, and real ARD chips of Collection 1 with the steps of
Collection 2, 72 to 114 kB, as ARD is packed: deflate after horizontal differences."""

QA_BLOCK_BYTES: Final = 10_000
"""Assumed: the same of QA_PIXEL. Measured in two of these scenes, 1 and 13 kB."""

OBSERVATION_SECONDS: Final = 0.02
"""Assumed: processor time of an observation on one core, with requests, PNG and CSV, as measured in
docs/performance.md."""

PIXEL_SECONDS: Final = 0.005
"""Assumed: the same of an observation of which the plot pixel alone is read, see there."""

LOOKS: Final = 2.5
"""Assumed: further days of which QA_PIXEL is looked at for each that is chosen of a year, as
measured in docs/performance.md."""

PER_YEAR: Final = (1, 3)
"""Chips per year that are told beside all."""

LATENCY: Final = 0.03
"""Assumed: seconds that a request waits."""

REQUESTS_AT_A_TIME: Final = 64
"""Requests that wait at the same time in a worker."""

FEW: Final = 20
"""A plot with fewer observations than this is named."""

_SHOWN = 20
"""How many plots are named; the table names all."""


@dataclass(frozen=True)
class Prices:
    """What the requester pays, in US dollars.

    Examples
    --------
    ::

        print(tx.plan(plots.head(1), archive).text(workers=1, prices=tx.Prices(transfer=0.0)))
    """

    requests: float = 0.0004
    """For 1000 GET requests: S3 Standard in us-west-2, list price of 2025."""
    transfer: float = 0.09
    """For a GB that leaves AWS for the internet: list price of 2025, first 10 TB of a month. To
    workers in us-west-2 it is free."""

    def __post_init__(self) -> None:
        for price in (self.requests, self.transfer):
            if not is_number(price) or not price >= 0:
                raise InputError(f"a price of {price!r} can't be: give US dollars, 0 or more")


def _check_workers(workers: object) -> None:
    if not is_whole(workers) or workers < 1:  # type: ignore[operator]
        raise InputError(f"{workers!r} workers can't be: give 1 or more")


@dataclass(frozen=True)
class Forecast:
    """What a run would take."""

    plots: pd.DataFrame
    """A row per plot: project_id, plot_id, place, places, items, observations, filtered, years.

    ``place`` is the plot's own, such as the tile 0304, and ``places`` the number of those searched.

    Its ``attrs`` tell what a place is (``place``), of an archive that costs nothing why (``free``),
    and of which places the catalog did not count the items (``uncounted``), or a file has none
    (``holes``, in words).

    ``items`` are those of the observations to look at, and ``filtered`` counts the observations
    that metadata rule out, which are among ``observations``. ``years`` counts those that have
    observations to look at.
    """
    tiles: int
    """Number of tiles searched."""
    items: int
    """Number of usable items of these tiles."""
    refused: int
    """Number of items that would be refused."""
    headers: int
    """Number of headers to read, each once for all plots of its tile."""
    block_rows: float
    """Rows of blocks that chips touch in every band's assets, if none were fill at the plot.

    What an earlier plot has read is not counted.
    """
    blocks: float
    """Blocks of these rows."""
    select: Selection
    """What is taken."""

    @property
    def years(self) -> int:
        """Years of all plots of which there are observations to look at."""
        return int(self.plots["years"].sum())

    @property
    def observations(self) -> int:
        """Observations of all plots that are to be looked at."""
        return int((self.plots["observations"] - self.plots["filtered"]).sum())

    @property
    def requests(self) -> int:
        """Requests to the archive, about: one for each header, plot pixel and row of blocks.

        With the plot pixel comes its row of blocks of QA_PIXEL.
        """
        rows = self.block_rows * len(BANDS) - min(self.observations, self.block_rows)
        return round(self.headers + self.observations + rows * (1 - FILL_SHARE))

    @property
    def gigabytes(self) -> float:
        """What is read of the archive, about."""
        sizes = (len(BANDS) - 1) * BLOCK_BYTES + QA_BLOCK_BYTES
        chips = self.blocks * (1 - FILL_SHARE) * sizes
        return (chips + self.observations * QA_BLOCK_BYTES + self.headers * FIRST_READ) / 1e9

    def hours(self, workers: int) -> float:
        """How long so many workers would take, about: whatever is slower, computing or waiting."""
        _check_workers(workers)
        compute = self.observations * (1 - FILL_SHARE) * OBSERVATION_SECONDS
        wait = self.requests * LATENCY / REQUESTS_AT_A_TIME
        return max(compute, wait) / workers / 3600

    def choices(self, workers: int = 1, prices: Prices = Prices()) -> pd.DataFrame:
        """What may be chosen, side by side, about: a row for each choice.

        These are all, some chips a year without and with the rows of the other observations, and
        spectra alone.

        Columns: ``choice`` (the options of extract), ``requests``, ``gigabytes``, ``files`` (chips
        and CSVs), ``files_with_tables`` (chips, and of each plot a table of spectra in place of its
        CSVs), ``usd`` (for requests, none for transfer) and ``hours`` of so many workers.
        """
        _check_workers(workers)
        check_kind(prices, Prices, "prices", "give timesync_xr.Prices")
        seen, count = self.observations * (1 - FILL_SHARE), len(BANDS)
        rows = [
            (
                "(all)",
                float(self.requests),
                self.gigabytes,
                3 * seen,
                seen,
                seen * OBSERVATION_SECONDS,
            )
        ]
        for wanted in PER_YEAR:
            chosen = min(seen, self.years * wanted)
            share = chosen / max(1, self.observations)
            looks = min(self.observations, chosen * (1 + LOOKS))
            headers = min(self.headers, looks + chosen * (count - 1))
            of_chips = self.block_rows * count - min(self.observations, self.block_rows)
            size = self.blocks * share * ((count - 1) * BLOCK_BYTES + QA_BLOCK_BYTES)
            size += looks * QA_BLOCK_BYTES + headers * FIRST_READ
            work = chosen * OBSERVATION_SECONDS + looks * PIXEL_SECONDS
            asked = headers + looks + of_chips * share
            name = f"--chips-per-year {wanted}"
            rows.append((name, asked, size / 1e9, 3 * chosen, chosen, work))
            others = (seen - chosen) * (count - 1)  # pixels of what gets no chip, but of QA_PIXEL
            asked += self.headers - headers + self.observations - looks + others
            size += (self.headers - headers) * FIRST_READ + others * BLOCK_BYTES
            size += (self.observations - looks) * QA_BLOCK_BYTES
            work += (self.observations - looks) * PIXEL_SECONDS
            rows.append((f"{name} --all-rows", asked, size / 1e9, 3 * chosen, seen, work))
        asked = self.headers + self.observations + seen * (count - 1)
        size = self.observations * QA_BLOCK_BYTES + seen * (count - 1) * BLOCK_BYTES
        size += self.headers * FIRST_READ
        work = self.observations * PIXEL_SECONDS
        rows.append(("--products csv", asked, size / 1e9, 0.0, seen, work))
        names = ["choice", "requests", "gigabytes", "files", "files_with_tables", "work"]
        table = pd.DataFrame(rows, columns=names)  # chips; rows of spectra
        chips, spectra = table["files"], table["files_with_tables"]
        table["files"], table["files_with_tables"] = chips + spectra, chips + len(self.plots)
        price = 0.0 if self.plots.attrs.get("free") else prices.requests
        waiting = table["requests"] * LATENCY / REQUESTS_AT_A_TIME
        table["usd"] = table["requests"] * price / 1000
        table["hours"] = table.pop("work").clip(lower=waiting) / workers / 3600
        counts = ["requests", "files", "files_with_tables"]
        return table.round(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int))

    def text(self, workers: int, prices: Prices) -> str:
        """All of it in words, with the assumptions."""
        return "\n".join(
            [
                *self._empty(),
                *self._counts(),
                *self._cost(workers, prices),
                *self._side_by_side(workers, prices),
                *self._few(),
            ]
        )

    def _empty(self) -> Iterator[str]:
        none = self.plots.loc[self.plots["observations"] == 0, "plot_id"]
        if len(none):
            yield f"Plots without any item: {len(none)} ({some(none)}). {CHECK}"

    def _counts(self) -> Iterator[str]:
        spanning = (self.plots["places"] > 1).sum()
        of = self.plots.attrs.get("place", "tile")
        yield f"{counted(len(self.plots), 'plot')}, {spanning} of them on more than one {of}"
        places, items = counted(self.tiles, of), counted(self.items, "item")
        yield f"{places}, {items}, {self.refused} more that would be refused"
        if holes := self.plots.attrs.get("holes"):
            yield f"In the items {holes}"
        if uncounted := self.plots.attrs.get("uncounted"):
            yield not_counted(uncounted)
        fill = round(self.observations * FILL_SHARE)
        seen = counted(self.observations, "observation")
        yield f"{seen}, some {fill} of them fill at the plot"
        if filtered := self.plots["filtered"].sum():
            told = counted(filtered, "more is filtered", "more are filtered")
            yield f"{told} ({self.select})"
        elif str(self.select):
            yield f"none is filtered by metadata ({self.select})"

    def _cost(self, workers: int, prices: Prices) -> Iterator[str]:
        check_kind(prices, Prices, "prices", "give timesync_xr.Prices")
        hours = self.hours(workers)
        yield f"{counted(self.requests, 'request')}, {self.gigabytes:.1f} GB"
        if free := self.plots.attrs.get("free"):
            yield f"0.00 USD: {free}"
        else:
            moved = self.gigabytes * prices.transfer
            yield (
                f"{self.requests * prices.requests / 1000:.2f} USD for requests "
                f"({prices.requests:g} per 1000 GET, requester pays), 0.00 for transfer within "
                f"us-west-2, {moved:.2f} to elsewhere ({prices.transfer:g} per GB)"
            )
        time = f"{hours:.1f} hours" if hours >= 1 else counted(round(60 * hours), "minute")
        yield f"{time} with {counted(workers, 'worker of a core', 'workers of a core each')}" + (
            f", if {self.gigabytes * 1000 / hours / 3600:.0f} MB/s arrive" if hours else ""
        )
        yield (
            f"Assumed: {FILL_SHARE:.0%} fill at the plot; blocks of {BLOCK_BYTES // 1000} kB, of "
            f"QA_PIXEL {QA_BLOCK_BYTES // 1000} kB; headers of {FIRST_READ // 1000} kB, once per "
            f"tile, and blocks once for plots that share them; "
            f"{OBSERVATION_SECONDS * 1000:.0f} ms of a core per observation; "
            f"{LATENCY * 1000:.0f} ms per request, {REQUESTS_AT_A_TIME} at a time per worker"
        )

    def _side_by_side(self, workers: int, prices: Prices) -> Iterator[str]:
        yield "Side by side, of extract's options:"
        yield (
            f"  {'':<29}{'requests':>14}{'GB':>11}{'files':>13}{'with tables':>13}{'USD':>9}"
            f"{'hours':>9}"
        )
        for row in self.choices(workers, prices).itertuples(index=False):
            yield (
                f"  {row.choice:<29}{row.requests:>14}{row.gigabytes:>11.1f}{row.files:>13}"
                f"{row.files_with_tables:>13}{row.usd:>9.2f}{row.hours:>9.2f}"
            )
        yield "  with tables: --products spectra in place of csv, a file of spectra for each plot"

    def _few(self) -> Iterator[str]:
        left = self.plots["observations"] - self.plots["filtered"]
        few = self.plots.assign(left=left)[left < FEW].sort_values("left", kind="stable")
        if few.empty:
            return
        none = (few["left"] == 0).sum()
        yield f"Plots with fewer than {FEW} observations: {len(few)}, {none} of them with none"
        for row in few.head(_SHOWN).itertuples():
            yield f"  project {row.project_id}, plot {row.plot_id}: {row.left}"
        if len(few) > _SHOWN:
            yield f"  and {len(few) - _SHOWN} more"


def plan(
    plots: str | Path | pd.DataFrame,
    archive: Archive | None = None,
    select: Selection = Selection(),
    products: Products = Products(),
    *,
    project: Project | str | Path | None = None,
) -> Forecast:
    """Forecast what `timesync_xr.extract` would take with the same arguments; reads no pixel.

    The items are searched once per place. With ``project`` they are kept there, where a later run
    finds them. Raises what `search_items` and `read_plots` raise.

    Examples
    --------
    ::

        forecast = tx.plan(plots.head(2), archive)
        print(forecast.requests, forecast.gigabytes)
        print(forecast.text(workers=8, prices=tx.Prices()))
    """
    return _plan(plots, as_archive(archive), select, products, project, see=False)[0]


Marks = npt.NDArray[np.uint64]
"""Eight bytes for each text in its place, since there may be a hundred million; no two alike."""

Seen = tuple[Marks, ...]
"""Platform and day of the observations to look at whose items hold the plot, of each plot."""


def plan_and_see(
    plots: str | Path | pd.DataFrame, archive: Archive, select: Selection, products: Products
) -> tuple[Forecast, Seen]:
    """As `plan`, with what is seen of each plot."""
    return _plan(plots, archive, select, products, None, see=True)


def _plan(
    plots: str | Path | pd.DataFrame,
    archive: Archive,
    select: Selection,
    products: Products,
    project: Project | str | Path | None,
    *,
    see: bool,
) -> tuple[Forecast, Seen]:
    check_choices(select, products)
    check_tiers(select, archive.what)
    archive.expect_items()
    products = products.on(archive.what.first_grid)
    table = plot_table(plots, products.lattice, ("project_id", "plot_id", "x", "y"), numbers="xy")
    points = zip(table["x"], table["y"], strict=True)
    chips = [ChipGrid.around(products.lattice, x, y, products.shape) for x, y in points]
    with TemporaryDirectory() as scratch:
        folder = as_project(scratch if project is None else project).folder
        items = TileItems(folder, Search(archive, products.lattice, select.period), refresh=False)
        try:
            items.begin(place for chip in chips for place in archive.what.places(chip))
            return _forecast(table, chips, items, archive.what, select, see=see)
        finally:
            items.close()


def _forecast(
    table: pd.DataFrame,
    chips: list[ChipGrid],
    items: TileItems,
    source: Source,
    select: Selection,
    *,
    see: bool,
) -> tuple[Forecast, Seen]:
    known: dict[tuple[Place, ...], _Count] = {}
    to_look_at = _Distinct()
    places = [source.places(chip) for chip in chips]
    counts: list[_Count] = []
    for chip, key in zip(chips, places, strict=True):
        if key not in known or source.has_scenes:  # of a tile all plots see the same
            found = read_items_of(items.of(key))
            planned = plan_observations(found, chip, source, select.tiers)
            known[key] = _count(planned, select, to_look_at, see=see)
        counts.append(known[key])
    rows = table[["project_id", "plot_id"]].assign(
        place=[key[0] for key in places],
        places=[len(key) for key in places],
        items=[count.items for count in counts],
        observations=[count.observations for count in counts],
        filtered=[count.filtered for count in counts],
        years=[count.years for count in counts],
    )
    searched = sorted({place for key in places for place in key})
    good = refused = 0
    for place in searched:
        found = read_items_of(items.of([place]))
        usable = found[found["refused"] == ""]
        good, refused = good + len(usable), refused + len(found) - len(usable)
    touched = _touched(chips, rows)
    rows.attrs["place"] = "cell" if source.has_scenes else "tile"
    rows.attrs["uncounted"] = items.uncounted
    rows.attrs["holes"] = no_items_of(items.holes, source) if items.holes else ""
    rows.attrs["free"] = "" if source.requester_pays else source.cost
    headers = len(BANDS) * len(to_look_at)
    seen = tuple(count.seen for count in counts)
    return Forecast(rows, len(searched), good, refused, headers, *touched, select), seen


@dataclass(frozen=True)
class _Count:
    """What was planned of a plot."""

    items: int
    """Number of items to look at."""
    observations: int
    """Observations, with those that metadata rule out."""
    filtered: int
    """How many these are."""
    years: int
    """Years of the others."""
    seen: Marks
    """Platform and day of the others whose items hold the plot; none where nobody asks."""


class _Distinct:
    """Counts texts that differ."""

    def __init__(self) -> None:
        self._parts: list[Marks] = []
        self._left = self._MANY

    _MANY: Final = 4_000_000

    def add(self, texts: pd.Series) -> int:
        """Take in some; return how many of these differ."""
        marks = _marks(texts)
        self._parts.append(marks)
        self._left -= len(marks)
        if self._left < 0:
            self._parts = [np.unique(np.concatenate(self._parts))]
            self._left = self._MANY
        return len(marks)

    def __len__(self) -> int:
        return len(np.unique(np.concatenate(self._parts))) if self._parts else 0


def _marks(texts: pd.Series) -> Marks:
    """Marks of texts, each once, in order."""
    return np.unique(pd.util.hash_array(texts.to_numpy(object), categorize=False))


def _count(planned: Plan, select: Selection, to_look_at: _Distinct, *, see: bool) -> _Count:
    """What is to be counted of a plan."""
    ruled_out = select.causes(planned.observations) != ""
    wanted = (~ruled_out)[planned.records["observation"].to_numpy()]
    left = planned.observations[~ruled_out]
    held = left[left["at_plot"]] if see else left[:0]
    return _Count(
        to_look_at.add(planned.records.loc[wanted, "item_id"]),
        len(ruled_out),
        int(ruled_out.sum()),
        int(left["day"].astype(str).str[:4].nunique()),
        _marks(held["sensor"].astype(str) + " " + held["day"].astype(str)),
    )


def _touched(chips: list[ChipGrid], plots: pd.DataFrame) -> tuple[float, float]:
    """Rows of blocks, and blocks, to read of a band for all items of all chips, each once."""
    known: set[Block] = set()
    rows = blocks = 0.0
    for chip, count, places in zip(chips, plots["items"], plots["places"], strict=True):
        new = set(blocks_of(chip)) - known
        known |= new
        rows += count / places * len({(h, v, row) for h, v, _, row in new})
        blocks += count / places * len(new)
    return rows, blocks
