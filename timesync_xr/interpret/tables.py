"""Tidy tables of answers: vertices, segments, plots and plot-years.

Every row begins with project_id, plot_id and interpreter; text is ``""`` where nothing was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from .answers import PLOT_TEXTS, VERTEX_TEXTS, Interpretation

KEY: Final = ("project_id", "plot_id", "interpreter")
"""First columns of all tables."""

PROCESS: Final = ("change_process", "change_process_notes")
"""What is said of the segment that ends at a vertex."""

STATE: Final = ("dominant_landuse", "dominant_landcover")
"""What is said of the land at a vertex."""

VERTEX_COLUMNS: Final = (*KEY, "day", "year", "doy", *VERTEX_TEXTS)
SEGMENT_COLUMNS: Final = (
    *KEY, "first_day", "last_day", "first_year", "last_year", *PROCESS,
    *(f"first_{name}" for name in STATE), *(f"last_{name}" for name in STATE),
)  # fmt: skip
PLOT_COLUMNS: Final = (
    *KEY, "vertices", "missing_labels", "is_complete", *PLOT_TEXTS, "legend", "changed",
)  # fmt: skip
YEAR_COLUMNS: Final = (*KEY, "year", *STATE, "change_process")


def vertex_table(answers: Iterable[Interpretation]) -> pd.DataFrame:
    """A row per vertex: its ``day``, ``year`` and ``doy``, and `VERTEX_TEXTS`.

    The process is that of the segment that ends there, as V3 keeps it.
    """
    rows = (
        (*_key(one), day, *year_and_doy(day), *(one.vertices[day].get(n, "") for n in VERTEX_TEXTS))
        for one in answers
        for day in one.days
    )
    return _table(rows, VERTEX_COLUMNS, ("year", "doy"))


def segment_table(answers: Iterable[Interpretation]) -> pd.DataFrame:
    """A row per segment: from vertex to vertex, its process, the land at both ends."""
    rows = (
        (
            *(*_key(one), first, last, int(first[:4]), int(last[:4])),
            *(one.vertices[last].get(name, "") for name in PROCESS),
            *(one.vertices[first].get(name, "") for name in STATE),
            *(one.vertices[last].get(name, "") for name in STATE),
        )
        for one in answers
        for first, last in pairwise(one.days)
    )
    return _table(rows, SEGMENT_COLUMNS, ("first_year", "last_year"))


def plot_table(answers: Iterable[Interpretation]) -> pd.DataFrame:
    """A row per plot and interpreter: how far it is, and what is said of the plot.

    ``legend`` is the digest of that of the last label, ``changed`` the time of the last act (UTC).
    """
    rows = (
        (
            *(*_key(one), len(one.vertices), len(one.missing), one.is_complete),
            *(one.texts.get(name, "") for name in PLOT_TEXTS),
            *(one.legend, one.changed),
        )
        for one in answers
    )
    return _table(rows, PLOT_COLUMNS, ("vertices", "missing_labels"))


def year_table(answers: Iterable[Interpretation]) -> pd.DataFrame:
    """A row per plot and year, from the first vertex to the last: what area estimates need.

    Land use and land cover are those of the last vertex of that year or before. The process is that
    of the segment that holds the year: after its first vertex's year, to its last one's. The first
    year has the process of the first segment. Where two vertices lie in one year, the later counts.
    """
    rows = [(*_key(one), *labels) for one in answers for labels in labels_by_year(one)]
    return _table(rows, YEAR_COLUMNS, ("year",))


def labels_by_year(one: Interpretation) -> list[tuple[int, str, str, str]]:
    """Year, land use, land cover and process of every year, see `year_table`."""
    days = one.days
    if not days:
        return []
    years = [int(day[:4]) for day in days]
    rows = []
    at = 0
    for year in range(years[0], years[-1] + 1):
        while at + 1 < len(days) and years[at + 1] <= year:
            at += 1
        ending = min(at if years[at] == year and at else at + 1, len(days) - 1)
        state = (one.vertices[days[at]].get(name, "") for name in STATE)
        process = one.vertices[days[ending]].get("change_process", "") if ending else ""
        rows.append((year, *state, process))
    return rows  # type: ignore[return-value]


def choice_table(answers: Iterable[Interpretation]) -> pd.DataFrame:
    """A row per day that was chosen for a year: what ``timesync-xr annual --overrides`` reads."""
    rows = (
        (*_key(one), *year_and_doy(day))
        for one in answers
        for _, day in sorted(one.choices.items())
    )
    return _table(rows, (*KEY, "year", "doy"), ("year", "doy"))


def year_and_doy(day: str) -> tuple[int, int]:
    """Year and day of the year, from 1, of a day ``YYYY-MM-DD``."""
    that = date.fromisoformat(day)
    return that.year, that.timetuple().tm_yday


def _key(one: Interpretation) -> tuple[str, str, str]:
    return one.project, one.plot, one.who


def _table(rows: Iterable[Any], columns: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=list(columns))
    types = {name: "int32" if name in numbers else "object" for name in columns}
    if "is_complete" in columns:
        types["is_complete"] = "bool"
    return table.astype(types)
