"""What is to be made of plots, as it goes to any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..catalog.sources import Source
from ..cube.selection import Selection
from ..errors import InputError, LossError, check_kind
from ..plots import Plot
from ..project.ledger import COMPLETE, ledger_row
from ..project.log import READ
from ..project.products import FORMATS, ChipsPerYear, Products
from ..raster.reader import Reading

Row = Mapping[str, Any]
"""The row of a plot in the ledger."""


def check_choices(select: object, products: object) -> None:
    """`InputError` for what is no selection, or no products."""
    which = f"Selection({select!r})" if isinstance(select, str) else "Selection"
    check_kind(select, Selection, "select", f"give a timesync_xr.{which}")
    check_kind(products, Products, "products", "give timesync_xr.Products")


def check_tiers(select: Selection, source: Source) -> None:
    """`InputError` for tiers without those that an archive has alone."""
    if not source.has_scenes and "T1" not in select.tiers:
        raise InputError(
            f"{source.title} has Tier 1 alone, not {', '.join(select.tiers)}: leave out --tier, or "
            "take a source of scenes"
        )


@dataclass(frozen=True)
class Job:
    """What is to be made of plots. Small, so that it can go to any process."""

    products: Products
    """What to make of every plot."""
    selection: Selection
    """Which observations to take."""
    source: Source
    """What the archive is."""
    reading: Reading
    """How its assets are read."""
    origin: str
    """Where the items come from, without secrets; kept with cubes."""

    def of(self, plot: Plot, row: Row | None, *, crowded: bool) -> Job:
        """The job for one plot, by its row of the ledger, without the overrides of others.

        What it was made with before is kept up, so that its products never contradict each other.
        What is fetched for a plot that shares blocks with another (``crowded``) is kept on disk.
        """
        has = set(row["products"].split(",")) if row else set()
        formats = tuple(f for f in FORMATS if f in has or f in self.products.made)
        per_year = self.products.per_year
        keep_blocks = crowded or per_year is not None  # pixels first, then chips
        chosen = None if per_year is None else per_year.of(plot)
        return replace(
            self,
            products=replace(self.products, formats=formats, chips_per_year=chosen),
            reading=replace(self.reading, keep_blocks=keep_blocks),
        )

    def read_from(self, item_ids: pd.Series) -> pd.DataFrame:
        """The columns `READ` of observations that were read, by the ids of their items."""
        second = self.reading.fallback
        told = [second.told(ids) if second and second.used else "" for ids in item_ids]
        columns = dict(zip(READ, (self.origin, told), strict=True))
        return pd.DataFrame(columns, index=item_ids.index)

    def is_done(self, plot: Plot, row: Row | None) -> bool:
        """Whether the ledger says that all that is asked for is there.

        `LossError` for a plot that was made elsewhere, unless it may be removed there.
        """
        if row is None:
            return False
        if (row["x"], row["y"]) != (plot.x, plot.y):
            self.refuse_move(plot, f"x {row['x']}, y {row['y']}", f"{plot.x}, {plot.y}")
            return False
        made_for = row["datetime"], row["filters"]
        asked = made_for == (str(self.selection.period), self.filters(plot))
        made = set(row["products"].split(","))
        return bool(row["status"] == COMPLETE and asked and made >= set(self.products.made))

    def refuse_move(self, plot: Plot, made_at: str, listed_at: str) -> None:
        """`LossError` for a plot that was made elsewhere, unless it may be removed there."""
        if not self.selection.prune:
            raise LossError(
                f"plot {plot.plot_id} of project {plot.project_id} was made at {made_at}, the list "
                f"has it at {listed_at}: give it another id, use another --out folder, or --prune "
                "to remove it there and make it anew"
            )

    def may_narrow(self, row: Row | None) -> bool:
        """Whether the plot was made before, and by filters that may let through more than now."""
        if row is None:
            return False
        if not self.selection.covers(Selection.parse(row["filters"], row["datetime"])):
            return True
        before = ChipsPerYear.parse(row["filters"], ())
        return before is not None and before.all_rows and self.drops_rows

    @property
    def drops_rows(self) -> bool:
        """Whether observations that get no chip have no row of spectra either."""
        return self.products.per_year is not None and not self.products.all_rows

    @property
    def of_rows(self) -> Job:
        """The job for rows of spectra alone."""
        formats = self.products.of_rows
        return replace(self, products=replace(self.products, formats=formats, chips_per_year=None))

    def row(self, plot: Plot, log: pd.DataFrame) -> dict[str, Any]:
        """The row of the ledger for a plot that was made."""
        period, formats = str(self.selection.period), ",".join(self.products.made)
        return ledger_row(plot, log, period, formats, self.filters(plot))

    def filters(self, plot: Plot) -> str:
        """What is left out of a plot, in words: by the selection, and by the choice of a year."""
        per_year = self.products.per_year
        words = [str(self.selection), "" if per_year is None else str(per_year.of(plot))]
        return " ".join(word for word in words if word)
