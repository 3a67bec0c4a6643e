"""What a run would take, known before any pixel is read: items, requests, bytes, time, cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from .catalog import parse_datetime
from .folder import open_folder
from .grid import ChipGrid, get_region
from .landsat import BANDS
from .observations import plan_observations
from .plots import read_plots
from .tile_items import Search, TileItems, read_items_of

FILL_SHARE: Final = 1 / 3
"""Assumed: share of the observations whose plot pixel is fill, of which one block is read."""

BLOCK_REQUESTS: Final = 2
"""Assumed: requests for a chip in an asset, one for each row of blocks that it touches."""

BLOCK_BYTES: Final = 80_000
"""Assumed: size of a block of 256 x 256 pixels; a chip of 255 x 255 touches four."""

HEADER_BYTES: Final = 16_000
"""Assumed: what is read of an asset to know its blocks, once for all plots of a tile."""

GET_PRICE: Final = 0.0004 / 1000
"""US dollars per request: S3 Standard, GET, us-west-2. The requester pays."""

EGRESS_PRICE: Final = 0.09
"""US dollars per GB that leaves AWS for the internet; within us-west-2 it is free."""

OBSERVATION_SECONDS: Final = 0.045
"""Assumed: processor time of an observation on one core, PNG and CSV included."""

REQUEST_SECONDS: Final = 0.03 / 64
"""Assumed: waiting per request, 30 ms each with 64 at a time in every worker."""

FEW: Final = 20
"""A plot with fewer observations than this is named."""


@dataclass(frozen=True)
class Forecast:
    """What a run would take."""

    plots: pd.DataFrame
    """A row per plot: project_id, plot_id, h, v, tiles, items, observations."""
    tiles: int
    """Number of tiles searched."""
    items: int
    """Number of usable items of these tiles."""
    refused: int
    """Number of items that would be refused."""
    shared_headers: int
    """Number of headers to read if every tile's are read once."""

    @property
    def observations(self) -> int:
        """Observations of all plots."""
        return int(self.plots["observations"].sum())

    @property
    def requests(self) -> int:
        """Requests to the archive, about."""
        chips = float(self.plots["items"].sum()) * (1 - FILL_SHARE) * len(BANDS) * BLOCK_REQUESTS
        return round(chips + self.observations + self.shared_headers)

    @property
    def gigabytes(self) -> float:
        """What is read of the archive, about."""
        chips = float(self.plots["items"].sum()) * (1 - FILL_SHARE) * len(BANDS) * 4 * BLOCK_BYTES
        checks = self.observations * BLOCK_BYTES
        return (chips + checks + self.shared_headers * HEADER_BYTES) / 1e9

    def hours(self, workers: int) -> float:
        """How long so many workers would take, about: whatever is slower, computing or waiting."""
        compute = self.observations * (1 - FILL_SHARE) * OBSERVATION_SECONDS
        return max(compute, self.requests * REQUEST_SECONDS) / workers / 3600

    def text(self, workers: int) -> str:
        """All of it in words, with the assumptions."""
        return "\n".join(self._lines(workers))

    def _lines(self, workers: int) -> Iterator[str]:
        spanning = (self.plots["tiles"] > 1).sum()
        yield f"{len(self.plots)} plots, {spanning} of them on more than one tile"
        yield f"{self.tiles} tiles, {self.items} items, {self.refused} more that would be refused"
        fill = round(self.observations * FILL_SHARE)
        yield f"{self.observations} observations, some {fill} of them fill at the plot"
        yield f"{self.requests} requests, {self.gigabytes:.1f} GB"
        yield (
            f"{self.requests * GET_PRICE:.2f} USD for requests (0.0004 per 1000 GET, requester "
            f"pays), 0.00 for transfer within us-west-2, {self.gigabytes * EGRESS_PRICE:.2f} to "
            f"elsewhere ({EGRESS_PRICE} per GB)"
        )
        yield f"{self.hours(workers):.1f} hours with {workers} workers"
        yield (
            f"Assumed: {FILL_SHARE:.0%} fill at the plot; per asset {BLOCK_REQUESTS} requests and "
            f"4 blocks of {BLOCK_BYTES // 1000} kB; headers once per tile; "
            f"{OBSERVATION_SECONDS * 1000:.0f} ms of a core per observation; 30 ms per request, "
            "64 at a time per worker"
        )
        few = self.plots[self.plots["observations"] < FEW]
        if len(few):
            yield f"Plots with fewer than {FEW} observations: {len(few)}"
            for row in few.head(20).itertuples():
                yield f"  project {row.project_id}, plot {row.plot_id}: {row.observations}"


def plan_run(
    plots: str | Path | pd.DataFrame,
    *,
    source: str = "landsatlook",
    region: str = "CU",
    datetime: str | None = None,
    chip_size: tuple[int, int] = (255, 255),
    out: str | Path | None = None,
) -> Forecast:
    """Forecast what `timesync_xr.extract` would take with the same arguments; reads no pixel.

    The items are searched once per tile. With ``out`` they are kept in that project, where a
    later run finds them. Raises what `search_items` and `read_plots` raise.
    """
    table = plots if isinstance(plots, pd.DataFrame) else read_plots(plots, region)
    with TemporaryDirectory() as scratch:
        folder = open_folder(scratch if out is None else out)
        search = Search(source, region, parse_datetime(datetime))
        items = TileItems(folder, search, refresh=False)
        try:
            return _forecast(table, items, region, chip_size)
        finally:
            items.close()


def _forecast(
    table: pd.DataFrame, items: TileItems, region: str, chip_size: tuple[int, int]
) -> Forecast:
    grid = get_region(region)
    points = zip(table["x"], table["y"], strict=True)
    chips = [ChipGrid.around(grid, x, y, chip_size) for x, y in points]
    items.begin(tile for chip in chips for tile in chip.tiles)
    known: dict[Any, tuple[int, int]] = {}
    for chip in chips:
        if chip.tiles not in known:
            plan = plan_observations(read_items_of(items.of(chip.tiles)), chip)
            known[chip.tiles] = len(plan.records), len(plan.observations)
    rows = table[["project_id", "plot_id"]].assign(
        h=[chip.plot_tile[0] for chip in chips],
        v=[chip.plot_tile[1] for chip in chips],
        tiles=[len(chip.tiles) for chip in chips],
        items=[known[chip.tiles][0] for chip in chips],
        observations=[known[chip.tiles][1] for chip in chips],
    )
    tiles = sorted({tile for chip in chips for tile in chip.tiles})
    good = refused = 0
    for tile in tiles:
        usable = read_items_of(items.of([tile]))["refused"] == ""
        good, refused = good + int(usable.sum()), refused + int((~usable).sum())
    return Forecast(rows, len(tiles), good, refused, good * len(BANDS))
