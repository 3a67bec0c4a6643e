"""What a run would take, known before any pixel is read: items, requests, bytes, time, cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pandas as pd

from ..catalog.kept import Search, TileItems, read_items_of
from ..catalog.search import parse_datetime
from ..cube.plan import Plan, plan_observations
from ..cube.selection import ALL, Filters
from ..grid import ChipGrid, ChipSize, Tile, get_region
from ..landsat import BANDS
from ..plots import read_plots
from ..raster.tiff import FIRST_READ
from ..storage.access import Access
from ..storage.folder import OUT_ACCESS
from ..storage.places import open_folder
from .schedule import Block, blocks_of

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
    """What the requester pays, in US dollars."""

    requests: float = 0.0004
    """For 1000 GET requests: S3 Standard in us-west-2, list price of 2025."""
    transfer: float = 0.09
    """For a GB that leaves AWS for the internet: list price of 2025, first 10 TB of a month. To
    workers in us-west-2 it is free."""


@dataclass(frozen=True)
class Forecast:
    """What a run would take."""

    plots: pd.DataFrame
    """A row per plot: project_id, plot_id, h, v, tiles, items, observations, filtered.

    ``items`` are those of the observations to look at, and ``filtered`` counts the observations
    that metadata rule out, which are among ``observations``.
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
    filters: Filters
    """What is left out."""

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
        compute = self.observations * (1 - FILL_SHARE) * OBSERVATION_SECONDS
        wait = self.requests * LATENCY / REQUESTS_AT_A_TIME
        return max(compute, wait) / workers / 3600

    def text(self, workers: int, prices: Prices) -> str:
        """All of it in words, with the assumptions."""
        return "\n".join([*self._counts(), *self._cost(workers, prices), *self._few()])

    def _counts(self) -> Iterator[str]:
        spanning = (self.plots["tiles"] > 1).sum()
        yield f"{len(self.plots)} plots, {spanning} of them on more than one tile"
        yield f"{self.tiles} tiles, {self.items} items, {self.refused} more that would be refused"
        fill = round(self.observations * FILL_SHARE)
        yield f"{self.observations} observations, some {fill} of them fill at the plot"
        if filtered := self.plots["filtered"].sum():
            yield f"{filtered} more are filtered ({self.filters})"
        elif str(self.filters):
            yield f"none is filtered by metadata ({self.filters})"

    def _cost(self, workers: int, prices: Prices) -> Iterator[str]:
        hours = self.hours(workers)
        yield f"{self.requests} requests, {self.gigabytes:.1f} GB"
        yield (
            f"{self.requests * prices.requests / 1000:.2f} USD for requests ({prices.requests:g} "
            "per 1000 GET, requester pays), 0.00 for transfer within us-west-2, "
            f"{self.gigabytes * prices.transfer:.2f} to elsewhere ({prices.transfer:g} per GB)"
        )
        time = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
        yield f"{time} with {workers} workers of a core each" + (
            f", if {self.gigabytes * 1000 / hours / 3600:.0f} MB/s arrive" if hours else ""
        )
        yield (
            f"Assumed: {FILL_SHARE:.0%} fill at the plot; blocks of {BLOCK_BYTES // 1000} kB, of "
            f"QA_PIXEL {QA_BLOCK_BYTES // 1000} kB; headers of {FIRST_READ // 1000} kB, once per "
            f"tile, and blocks once for plots that share them; "
            f"{OBSERVATION_SECONDS * 1000:.0f} ms of a core per observation; "
            f"{LATENCY * 1000:.0f} ms per request, {REQUESTS_AT_A_TIME} at a time per worker"
        )

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
    *,
    source: str = "landsatlook",
    region: str = "CU",
    datetime: str | int | None = None,
    chip_size: ChipSize = (255, 255),
    filters: Filters = ALL,
    out: str | Path | None = None,
    out_access: Access = OUT_ACCESS,
) -> Forecast:
    """Forecast what `timesync_xr.extract` would take with the same arguments; reads no pixel.

    The items are searched once per tile. With ``out`` they are kept in that project, where a
    later run finds them. Raises what `search_items` and `read_plots` raise.
    """
    table = plots if isinstance(plots, pd.DataFrame) else read_plots(plots, region)
    grid = get_region(region)
    points = zip(table["x"], table["y"], strict=True)
    chips = [ChipGrid.around(grid, x, y, chip_size) for x, y in points]
    with TemporaryDirectory() as scratch:
        folder = open_folder(scratch if out is None else out, out_access)
        items = TileItems(folder, Search(source, region, parse_datetime(datetime)), refresh=False)
        try:
            items.begin(tile for chip in chips for tile in chip.tiles)
            return _forecast(table, chips, items, filters)
        finally:
            items.close()


def _forecast(
    table: pd.DataFrame, chips: list[ChipGrid], items: TileItems, filters: Filters
) -> Forecast:
    known: dict[tuple[Tile, tuple[Tile, ...]], tuple[int, int, int]] = {}
    for chip in chips:
        key = chip.plot_tile, chip.tiles
        if key not in known:
            plan = plan_observations(read_items_of(items.of(chip.tiles)), chip)
            known[key] = _count(plan, filters)
    counts = [known[chip.plot_tile, chip.tiles] for chip in chips]
    rows = table[["project_id", "plot_id"]].assign(
        h=[chip.plot_tile[0] for chip in chips],
        v=[chip.plot_tile[1] for chip in chips],
        tiles=[len(chip.tiles) for chip in chips],
        items=[count[0] for count in counts],
        observations=[count[1] for count in counts],
        filtered=[count[2] for count in counts],
    )
    tiles = sorted({tile for chip in chips for tile in chip.tiles})
    good = refused = wanted = 0
    for tile in tiles:
        found = read_items_of(items.of([tile]))
        usable = found[found["refused"] == ""]
        good, refused = good + len(usable), refused + len(found) - len(usable)
        wanted += int((filters.causes(usable) == "").sum())
    touched = _touched(chips, rows["items"].tolist())
    return Forecast(rows, len(tiles), good, refused, wanted * len(BANDS), *touched, filters)


def _count(plan: Plan, filters: Filters) -> tuple[int, int, int]:
    """Items to look at, observations, and how many of these metadata rule out."""
    ruled_out = filters.causes(plan.observations) != ""
    items = (~ruled_out)[plan.records["observation"].to_numpy()].sum()
    return int(items), len(ruled_out), int(ruled_out.sum())


def _touched(chips: list[ChipGrid], items: list[int]) -> tuple[float, float]:
    """Rows of blocks, and blocks, to read of a band for all items of all chips, each once."""
    known: set[Block] = set()
    rows = blocks = 0.0
    for chip, count in zip(chips, items, strict=True):
        new = set(blocks_of(chip)) - known
        known |= new
        rows += count / len(chip.tiles) * len({(h, v, row) for h, v, _, row in new})
        blocks += count / len(chip.tiles) * len(new)
    return rows, blocks
