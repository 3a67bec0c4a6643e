"""Sources side by side: what a run would take of each, what each lacks, and which is cheapest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ..catalog.archive import CATALOGS, Archive
from ..cube.selection import Selection
from ..errors import InputError, PlotListError, TimesyncError, check_kind, counted
from ..landsat import BANDS
from ..project.products import Products
from .forecast import Forecast, Prices, Seen, plan_and_see
from .job import check_choices

_PRICES: Final = Prices()


@dataclass(frozen=True)
class Comparison:
    """Sources for a list of plots, side by side."""

    archives: Mapping[str, Archive]
    """The sources, by name."""
    forecasts: Mapping[str, Forecast]
    """What a run would take of each that could be searched, by name."""
    seen: Mapping[str, Seen]
    """Platform and day of the observations of each plot, by the names of these."""
    left_out: Mapping[str, str]
    """Why the others could not, by name."""

    def table(self, workers: int = 1, prices: Prices = _PRICES) -> pd.DataFrame:
        """A row for each source that could be searched, the cheapest first.

        Columns: ``source``; ``items`` and ``observations`` to look at; ``lacking``, observations of
        the plots that another source of the same kind has and this one has not; ``requests`` and
        ``gigabytes`` to read; ``usd`` for requests, within us-west-2; ``usd_elsewhere`` with
        transfer out of AWS; ``hours`` of so many workers; ``gaps``, what it is known to lack.
        """
        check_kind(prices, Prices, "prices", "give timesync_xr.Prices")
        rows = []
        for name, forecast in self.forecasts.items():
            what = self.archives[name].what
            paid = what.requester_pays
            usd = forecast.requests * prices.requests / 1000 * paid
            rows.append({
                "source": name,
                "items": forecast.headers // len(BANDS),
                "observations": forecast.observations,
                "lacking": self._lacking(name),
                "requests": forecast.requests,
                "gigabytes": forecast.gigabytes,
                "usd": usd,
                "usd_elsewhere": usd + forecast.gigabytes * prices.transfer * paid,
                "hours": forecast.hours(workers),
                "gaps": what.gaps,
            })  # fmt: skip
        table = pd.DataFrame(rows)
        empty = table["observations"] == 0
        order = ["empty", "usd_elsewhere", "lacking"]
        sorted_ = table.assign(empty=empty).sort_values(order, kind="stable")
        return sorted_.drop(columns="empty").reset_index(drop=True)

    def _lacking(self, name: str) -> int:
        """Observations of the plots that another source of the kind has and this one has not."""
        kind = self.archives[name].what.has_scenes
        alike = [s for n, s in self.seen.items() if self.archives[n].what.has_scenes == kind]
        return sum(
            len(np.setdiff1d(np.concatenate([other[plot] for other in alike]), own))
            for plot, own in enumerate(self.seen[name])
        )

    def text(self, workers: int = 1, prices: Prices = _PRICES) -> str:
        """All of it in words."""
        return "\n".join(self._lines(workers, prices))

    def _lines(self, workers: int, prices: Prices) -> Iterator[str]:
        table = self.table(workers, prices)
        plots = len(next(iter(self.forecasts.values())).plots)
        yield f"Sources for {counted(plots, 'plot')}, side by side:"
        yield (
            f"  {'':<20}{'items':>9}{'observations':>14}{'lacking':>9}{'requests':>11}{'GB':>9}"
            f"{'USD':>9}{'elsewhere':>11}{'hours':>8}"
        )
        for row in table.itertuples(index=False):
            yield (
                f"  {row.source:<20}{row.items:>9}{row.observations:>14}{row.lacking:>9}"
                f"{row.requests:>11}{row.gigabytes:>9.1f}{row.usd:>9.2f}{row.usd_elsewhere:>11.2f}"
                f"{row.hours:>8.2f}"
            )
        for name, why in self.left_out.items():
            yield f"  {name:<20} left out: {why}"
        yield (
            "lacking: observations of the plots that another source of the same kind has. USD: for "
            "requests; elsewhere: with transfer, to workers outside of us-west-2"
        )
        for row in table[table["gaps"] != ""].itertuples(index=False):
            yield f"Known of {row.source}: {row.gaps}"
        best = table.iloc[0]
        if best["observations"] == 0:
            yield "None has any observation. Check --datetime and the list"
            return
        cost = self.archives[best["source"]].what.cost
        yield f"Cheapest: {best['source']}, {best['usd_elsewhere']:.2f} USD ({cost})"


def compare_sources(
    plots: str | Path | pd.DataFrame,
    select: Selection = Selection(),
    products: Products = Products(),
    *,
    sources: Sequence[str | Archive] = tuple(CATALOGS),
) -> Comparison:
    """Compare what `timesync_xr.extract` would take of some sources; reads no pixel.

    ``sources`` are names of catalogs, files of items, or archives; all that have a name by default.
    Each is searched on its own grid where ``products`` name none, all at the same time, and what
    is found is kept nowhere. One that can't be searched, or whose grid does not hold the plots, is
    left out with the reason. `InputError` where that holds for all.

    Examples
    --------
    ::

        tx.compare_sources(plots, sources=[archive]).table()
    """
    check_choices(select, products)
    check_kind(sources, list | tuple, "sources", "give a list of catalogs or archives")
    archives = {
        archive.name: archive
        for archive in (Archive(s) if not isinstance(s, Archive) else s for s in sources)
    }
    if not archives:
        raise InputError(f"no sources to compare: name some of {', '.join(CATALOGS)}")

    def forecast(archive: Archive) -> tuple[Forecast, Seen] | TimesyncError:
        try:
            return plan_and_see(plots, archive, select, products)
        except TimesyncError as error:
            return error

    with ThreadPoolExecutor(len(archives)) as pool:
        found = dict(zip(archives, pool.map(forecast, archives.values()), strict=True))
    good = {name: one for name, one in found.items() if isinstance(one, tuple)}
    bad = {name: one for name, one in found.items() if isinstance(one, TimesyncError)}
    if not good:
        raise next(iter(bad.values()))
    return Comparison(
        archives,
        {name: one[0] for name, one in good.items()},
        {name: one[1] for name, one in good.items()},
        {name: _why(error) for name, error in bad.items()},
    )


def _why(error: TimesyncError) -> str:
    """An error in one line."""
    if isinstance(error, PlotListError):
        more = f", and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
        return f"{error.problems[0]}{more}"
    return " ".join(str(error).split())
