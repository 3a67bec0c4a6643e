"""What a run did, as values and as a text that says what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ..errors import counted
from ..grid import Lattice
from ..project.ledger import CHECK, COMPLETE, INCOMPLETE, NO_ITEMS, failures_of
from ..project.log import REFUSED, SUPERSEDED

OFF_CENTRE = 1.0
"""Metres that a plot may lie off its pixel's centre before the summary says so."""

_SHOWN = 5
"""How many of a kind are named; the ledger and the logs name all."""


@dataclass(frozen=True, repr=False)
class Summary:
    """What a run did."""

    project: str
    """The project folder."""
    plots: pd.DataFrame
    """The plot list, a table of `read_plots`."""
    rows: pd.DataFrame
    """The ledger's rows of the plots that this run worked on."""
    left_out: pd.DataFrame
    """Items that were not read, each once: item_id, outcome (superseded or refused) and cause."""
    stale: pd.DataFrame
    """Observations of earlier runs that would not be made now: project_id, plot_id, day, sensor,
    and why they are kept (``kept``), which is empty where ``prune`` removed them."""
    without_clear: pd.DataFrame
    """Years of the plots that this run worked on, between the first and the last of each, without a
    clear observation: project_id, plot_id, year."""
    grid: Lattice
    """Grid of the plots."""
    fallback: str = ""
    """Name of the second archive; empty where there is none."""

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Tiles, or cells of scenes, whose items the catalog did not count."""
        return tuple(self.left_out.attrs.get("uncounted", ()))

    @property
    def holes(self) -> str:
        """Which tiles of chips a file, a list or a table of items has none of; empty for none."""
        return str(self.left_out.attrs.get("holes", ""))

    @property
    def already(self) -> int:
        """Number of plots that were complete before."""
        return len(self.plots) - len(self.rows)

    @property
    def incomplete(self) -> pd.DataFrame:
        """The rows of the plots that are incomplete."""
        return self.rows[self.rows["status"] == INCOMPLETE]

    @property
    def without_items(self) -> pd.DataFrame:
        """The rows of the plots for which no item that can be read was found."""
        return self.rows[self.rows["status"] == NO_ITEMS]

    @property
    def without_observations(self) -> pd.DataFrame:
        """The rows of the plots that have items, of which no observation was written."""
        return self.rows[(self._made == 0) & (self.rows["observations"] > 0)]

    @property
    def empty_before(self) -> tuple[str, ...]:
        """The ids of plots that were complete before, without any observation written."""
        return tuple(self.rows.attrs.get("empty_before", ()))

    @property
    def nothing(self) -> bool:
        """Whether no plot of the list has an observation that was written, now or before."""
        empty = len(self.empty_before) == self.already and (self._made == 0).all()
        return bool(len(self.plots)) and bool(empty)

    @property
    def _made(self) -> pd.Series[int]:
        """Number of observations of each row that are written, whole or without a chip."""
        made: pd.Series[int] = self.rows["written"] + self.rows["without_chip"]
        return made

    @property
    def complete(self) -> bool:
        """Whether every plot of the list is complete now."""
        return bool((self.rows["status"] == COMPLETE).all())

    @property
    def off_centre(self) -> pd.DataFrame:
        """Plots of the list that lie more than `OFF_CENTRE` metres off their pixel's centre."""
        return self.plots[self.plots["offset"] > OFF_CENTRE]

    @property
    def in_one_pixel(self) -> list[tuple[str, ...]]:
        """The ids of plots of one project whose coordinates lie in the same pixel, a tuple each."""
        held: dict[tuple[object, ...], list[str]] = {}
        columns = (self.plots[name] for name in ("project_id", "plot_id", "x", "y"))
        for project_id, plot_id, x, y in zip(*columns, strict=True):
            held.setdefault((project_id, *self.grid.pixel(x, y)), []).append(str(plot_id))
        return [tuple(ids) for ids in held.values() if len(ids) > 1]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join([*self._counts(), *self._odd(), *self._next()])

    def _counts(self) -> Iterator[str]:
        total = self.rows.sum(numeric_only=True)
        if none := len(self.without_items):
            yield f"Plots without any item: {none} ({some(self.without_items['plot_id'])}). {CHECK}"
        empty = pd.Series([*self.without_observations["plot_id"], *self.empty_before])
        if len(empty):
            yield f"Plots without any observation written: {len(empty)} ({some(empty)})"
        done = len(self.rows) - len(self.incomplete) - none
        yield (
            f"{counted(len(self.plots), 'plot')}: {done} completed now, "
            f"{self.already} already done, {len(self.incomplete)} incomplete"
        ) + (f", {none} without any item" if none else "")
        if len(self.rows):
            yield (
                f"{counted(total['observations'], 'observation')}: {total['written']:.0f} written, "
                + (f"{bare:.0f} more without a chip, " if (bare := total["without_chip"]) else "")
                + f"{total['fill_at_plot']:.0f} rejected because the plot pixel is fill, "
                f"{total['other_platform']:.0f} left to another platform of the same day, "
                f"{total['filtered']:.0f} filtered, "
                f"{total['failed']:.0f} failed"
            )
        if elsewhere := int(total.get("fallback", 0)):
            where = self.fallback or "a second source"
            plots = some(self.rows.loc[self.rows["fallback"] > 0, "plot_id"])
            yield (
                f"Read in part at {where}, as files were missing or broken at first: "
                f"{counted(elsewhere, 'observation')} of the plots {plots}; the column fallback of "
                "timesync-xr observations names the files"
            )

    def _odd(self) -> Iterator[str]:
        """Whatever a user should know of, a line each."""
        if len(self.without_clear):
            plots = self.without_clear["plot_id"].drop_duplicates()
            worst = self.without_clear["year"].value_counts().sort_index(kind="stable")
            worst = worst.sort_values(ascending=False, kind="stable").head(_SHOWN)
            years = ", ".join(f"{year} ({count})" for year, count in worst.items())
            yield (
                f"Years without any clear observation: {len(self.without_clear)} (plots: "
                f"{some(plots)}), most in {years}; timesync-xr density lists them"
            )
        yield from self._stale()
        refused = self.left_out[self.left_out["outcome"] == REFUSED]
        superseded = self.left_out[self.left_out["outcome"] == SUPERSEDED]
        if self.holes:
            yield f"In the items {self.holes}"
        if self.uncounted:
            yield not_counted(self.uncounted)
        if len(superseded):
            names = some(superseded["item_id"])
            count = len(superseded)
            yield f"Items left out because they were processed again later: {count} ({names})"
        if len(refused):
            yield f"Items refused because they do not fit: {len(refused)}"
            for row in refused.head(_SHOWN).itertuples():
                yield f"  {row.item_id}: {row.cause}"
        if len(self.off_centre):
            yield (
                f"Plots more than {OFF_CENTRE:g} m off the centre of the pixel that holds them: "
                f"{len(self.off_centre)}, up to {self.off_centre['offset'].max():.1f} m "
                f"({some(self.off_centre['plot_id'])}); their chips are centred on that pixel"
            )

        if alike := self.in_one_pixel:
            names = some(pd.Series([" and ".join(ids) for ids in alike]))
            yield f"Plots in one pixel, so that their chips are the same: {names}"

    def _stale(self) -> Iterator[str]:
        """What earlier runs made, and this one would not."""
        for kept in (True, False):
            rows = self.stale[(self.stale["kept"] != "") == kept]
            if len(rows):
                plots = rows["plot_id"].drop_duplicates()
                of_plots = f"{counted(len(plots), 'plot')} ({some(plots)})"
                what = f"{counted(len(rows), 'observation')} of {of_plots}"
                are, them = ("is", "it") if len(rows) == 1 else ("are", "them")
                yield (
                    f"Kept from earlier runs: {what}, whose items are gone or refused, or that "
                    f"{are} filtered or not chosen by now; --prune removes {them}"
                    if kept
                    else f"Removed by --prune: {what}"
                )
                for row in rows.head(_SHOWN).itertuples():
                    yield f"  plot {row.plot_id}, {row.day} {row.sensor} {row.kept}".rstrip()

    def _next(self) -> Iterator[str]:
        for row in self.incomplete.head(_SHOWN).to_dict("records"):
            failures = failures_of(row)
            yield f"Incomplete: project {row['project_id']}, plot {row['plot_id']}"
            for failure in failures[:_SHOWN]:
                yield f"  {failure['day']} {failure['asset']}: {failure['cause']}"
                yield f"    {failure['remedy']}"
            if row["failed"] > _SHOWN:
                yield f"  and {row['failed'] - _SHOWN} more"
        if len(self.incomplete) > _SHOWN:
            yield f"and {counted(len(self.incomplete) - _SHOWN, 'more plot')}"
        yield f"Files:  {self.project}/prj_*"
        yield f"Ledger: {self.project}/ledger/plots.csv"
        if len(self.incomplete):
            yield "Run the same command again to make what is missing."
        elif self.already:
            yield (
                "What was done before was not looked at: --refresh looks for new items, "
                "timesync-xr verify checks the files."
            )


def not_counted(places: tuple[str, ...]) -> str:
    """A line on places whose items the catalog did not count."""
    return (
        f"The catalog does not count its items ({some(pd.Series(places))}): whether they are all "
        "is not known. Searches were halved until that brought no more"
    )


def some(names: pd.Series) -> str:
    """The first few of some names, and how many more there are."""
    shown = ", ".join(names.astype(str).head(_SHOWN))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
