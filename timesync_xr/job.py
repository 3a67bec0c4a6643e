"""One plot of a run, on any process: what is asked for, what it has already, and its making."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from .account import REFUSED, SUPERSEDED, write_account
from .catalog import DatetimeRange, parse_datetime
from .errors import ProjectError, ReadError
from .extraction import PRODUCTS, Request, extract_plot, set_aside
from .folder import Folder
from .ledger import COMPLETE, ledger_row
from .plots import Plot
from .tile_items import TileTable, read_items_of

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
        access = replace(self.request.access, keep_blocks=crowded)
        return replace(self, request=replace(self.request, products=products, access=access))

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
