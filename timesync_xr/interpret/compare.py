"""How far interpreters of the same plots agree: by year, by label, by vertex, by pair.

What is compared are the labels of plot-years (`timesync_xr.interpret.tables.year_table`) and the
vertices between the first and the last. Labels that are missing are left out. Intervals are those
of a bootstrap by plot, since the years of a plot are not independent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import counted
from .answers import Interpretation
from .tables import labels_by_year
from .tables import year_and_doy as _year_and_doy

KINDS: Final = ("landuse", "landcover", "process")
"""What is compared of a plot-year, in the order of `labels_by_year`."""

DRAWS: Final = 1000
"""Draws of the bootstrap."""

Plot = tuple[str, str]
Floats = npt.NDArray[np.float64]

AGREEMENT_COLUMNS: Final = ("kind", "plots", "years", "share", "share_low", "share_high",
                            "alpha", "alpha_low", "alpha_high")  # fmt: skip
PAIR_COLUMNS: Final = ("first", "second", "kind", "plots", "years", "share", "share_low",
                       "share_high", "kappa", "kappa_low", "kappa_high")  # fmt: skip
YEAR_COLUMNS: Final = ("kind", "year", "plots", "share", "alpha")
LABEL_COLUMNS: Final = ("kind", "label", "years", "share")
VERTEX_COLUMNS: Final = ("first", "second", "plots", "first_vertices", "second_vertices",
                         "matched", "precision", "recall", "bias")  # fmt: skip
DIFFERENCE_COLUMNS: Final = ("project_id", "plot_id", "first", "second", "kind", "first_year",
                             "last_year", "first_label", "second_label")  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Tables of how far interpreters agree; shares and coefficients are missing without data."""

    agreement: pd.DataFrame
    """A row per kind: the share of pairs of labels that are alike, Krippendorff's alpha (nominal),
    each with its interval of 95 %."""
    pairs: pd.DataFrame
    """A row per pair of people and kind: share, and Cohen's kappa, with intervals."""
    years: pd.DataFrame
    """A row per kind and year: share and alpha."""
    labels: pd.DataFrame
    """A row per kind and label: of the pairs in which one has it, how many have it twice (the
    proportion of specific agreement), and how many ``years`` it was given."""
    vertices: pd.DataFrame
    """A row per pair: vertices matched within the tolerance; ``precision`` is the share of the
    second's that match, ``recall`` that of the first's, ``bias`` the mean of second minus first in
    years."""
    differences: pd.DataFrame
    """A row per pair, plot, kind and run of years with the same two labels that differ."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by their names."""
        return dict(vars(self))

    def __str__(self) -> str:
        lines = [
            f"{row.kind}: {counted(row.plots, 'plot')}, {counted(row.years, 'plot-year')}, "
            f"{_told(row.share)} alike"
            f"{_between(row.share_low, row.share_high)}, alpha {_told(row.alpha)}"
            f"{_between(row.alpha_low, row.alpha_high)}"
            for row in self.agreement.itertuples()
        ]
        lines += [
            f"{row.first} and {row.second}: "
            f"{counted(row.matched, 'vertex', 'vertices')} matched of {row.first_vertices} "
            f"and {row.second_vertices}, precision {_told(row.precision)}, "
            f"recall {_told(row.recall)}, bias {_told(row.bias)} years"
            for row in self.vertices.itertuples()
        ]
        return "\n".join(lines)


def _told(value: object) -> str:
    return "unknown" if pd.isna(value) else f"{float(value):.2f}"  # type: ignore[arg-type, call-overload]


def _between(low: object, high: object) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if pd.isna(low) else f" ({_told(low)} to {_told(high)})"  # type: ignore[call-overload]


def compare_answers(
    answers: Iterable[Interpretation], tolerance: float = 1.0, seed: int = 1
) -> Comparison:
    """Compare what interpreters said of the plots that two or more of them have.

    ``tolerance`` is how far two vertices may lie apart in years to be the same; ``seed`` starts the
    draws of the intervals.
    """
    by_plot: dict[Plot, dict[str, Interpretation]] = defaultdict(dict)
    for one in answers:
        if one.vertices:
            by_plot[one.project, one.plot][one.who] = one
    plots = {plot: said for plot, said in sorted(by_plot.items()) if len(said) > 1}
    people = sorted({who for said in plots.values() for who in said})
    labels = {plot: _labels(said) for plot, said in plots.items()}
    agreement, years, specific = [], [], []
    for at, kind in enumerate(KINDS):
        agreement.append([kind, *_agreement(_coincidences(labels, at), seed)])
        years += [[kind, *row] for row in _by_year(labels, at)]
        specific += [[kind, *row] for row in _by_label(labels, at)]
    pairs, vertices, differences = [], [], []
    for first, second in combinations(people, 2):
        shared = {plot: said for plot, said in plots.items() if {first, second} <= set(said)}
        if not shared:
            continue
        both = {plot: _both(labels[plot], first, second) for plot in shared}
        pairs += [[first, second, kind, *_pair(both, at, seed)] for at, kind in enumerate(KINDS)]
        vertices.append([first, second, *_vertices(shared, first, second, tolerance)])
        differences += _differences(both, first, second)
    return Comparison(
        pd.DataFrame(agreement, columns=list(AGREEMENT_COLUMNS)),
        pd.DataFrame(pairs, columns=list(PAIR_COLUMNS)),
        pd.DataFrame(years, columns=list(YEAR_COLUMNS)),
        pd.DataFrame(specific, columns=list(LABEL_COLUMNS)),
        pd.DataFrame(vertices, columns=list(VERTEX_COLUMNS)),
        pd.DataFrame(differences, columns=list(DIFFERENCE_COLUMNS)),
    )


Labels = Mapping[int, Mapping[str, Sequence[str]]]
"""Of a year, what each interpreter says: land use, land cover, process."""


def _labels(said: Mapping[str, Interpretation]) -> Labels:
    years: dict[int, dict[str, Sequence[str]]] = defaultdict(dict)
    for who, one in said.items():
        for year, *labels in labels_by_year(one):
            years[year][who] = labels
    return years


def _coincidences(labels: Mapping[Plot, Labels], at: int) -> list[tuple[int, Floats]]:
    """Of each plot its plot-years and matrix of coincidences, as Krippendorff counts them."""
    names = sorted(
        {said[at] for years in labels.values() for one in years.values() for said in one.values()}
        - {""}
    )
    place = {name: number for number, name in enumerate(names)}
    found = []
    for years in labels.values():
        matrix, count = np.zeros((len(names), len(names))), 0
        for one in years.values():
            values = [place[said[at]] for said in one.values() if said[at]]
            if len(values) > 1:
                counts = np.bincount(values, minlength=len(names)).astype(float)
                matrix += (np.outer(counts, counts) - np.diag(counts)) / (len(values) - 1)
                count += 1
        if count:
            found.append((count, matrix))
    return found


def _agreement(found: list[tuple[int, Floats]], seed: int) -> list[float]:
    """Plots, plot-years, share and alpha with their intervals."""
    years = sum(count for count, _ in found)
    if not found:
        return [0, 0, *[np.nan] * 6]
    matrices = np.array([matrix for _, matrix in found])
    return [
        len(found),
        years,
        *_with_interval(matrices, _share, seed),
        *_with_interval(matrices, alpha_of, seed),
    ]


def _with_interval(matrices: Floats, measure: object, seed: int) -> list[float]:
    """A measure of the sum of matrices, and its interval of 95 % by draws of plots.

    A single plot, drawn from itself again and again, tells nothing of others: it has no interval.
    """
    rng = np.random.default_rng(seed)
    count = len(matrices)
    if count < 2:
        return [measure(matrices.sum(axis=0)), np.nan, np.nan]  # type: ignore[operator]
    draws = rng.multinomial(count, np.full(count, 1 / count), DRAWS).astype(float)
    sums = np.tensordot(draws, matrices, 1)
    values = np.array([measure(one) for one in sums])  # type: ignore[operator]
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return [measure(matrices.sum(axis=0)), float(low), float(high)]  # type: ignore[operator]


def _share(matrix: Floats) -> float:
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else np.nan


def alpha_of(coincidences: Floats) -> float:
    """Krippendorff's alpha for names, of a matrix of coincidences.

    Missing where there is one name only: there is nothing to agree on. Source: Krippendorff
    (2011), Computing Krippendorff's alpha-reliability, section C.
    """
    counts = coincidences.sum(axis=1)
    total = counts.sum()
    expected = total**2 - (counts**2).sum()
    if expected <= 0:
        return np.nan
    return float(1 - (total - 1) * (total - np.trace(coincidences)) / expected)


def kappa_of(table: Floats) -> float:
    """Cohen's kappa of a table of counts, rows of the one and columns of the other.

    Missing where both have one and the same label only. Source: Cohen (1960).
    """
    total = table.sum()
    if not total:
        return np.nan
    observed = np.trace(table) / total
    expected = float(table.sum(axis=1) @ table.sum(axis=0)) / total**2
    return float((observed - expected) / (1 - expected)) if expected < 1 else np.nan


def _by_year(labels: Mapping[Plot, Labels], at: int) -> Iterable[list[float]]:
    for year in sorted({year for years in labels.values() for year in years}):
        of_year = {plot: {year: years[year]} for plot, years in labels.items() if year in years}
        found = _coincidences(of_year, at)
        if found:
            matrix = np.sum([one for _, one in found], axis=0)
            yield [year, len(found), _share(matrix), alpha_of(matrix)]


def _by_label(labels: Mapping[Plot, Labels], at: int) -> Iterable[list[object]]:
    names = sorted(
        {said[at] for years in labels.values() for one in years.values() for said in one.values()}
        - {""}
    )
    found = _coincidences(labels, at)
    if not found:
        return
    matrix = np.sum([one for _, one in found], axis=0)
    for number, name in enumerate(names):
        given = matrix[number].sum()
        if given:
            yield [name, round(float(given)), float(matrix[number, number] / given)]


Both = Sequence[tuple[int, Sequence[str], Sequence[str]]]
"""Year, and what two people say of it."""


def _both(years: Labels, first: str, second: str) -> Both:
    return [
        (year, said[first], said[second])
        for year, said in sorted(years.items())
        if first in said and second in said
    ]


def _pair(both: Mapping[Plot, Both], at: int, seed: int) -> list[float]:
    """Plots, plot-years, share and kappa of two people, with their intervals."""
    pairs = {
        plot: [(a[at], b[at]) for _, a, b in years if a[at] and b[at]]
        for plot, years in both.items()
    }
    names = sorted({name for listed in pairs.values() for pair in listed for name in pair})
    place = {name: number for number, name in enumerate(names)}
    tables = []
    for listed in filter(None, pairs.values()):
        table = np.zeros((len(names), len(names)))
        for a, b in listed:
            table[place[a], place[b]] += 1
        tables.append(table)
    if not tables:
        return [0, 0, *[np.nan] * 6]
    stack = np.array(tables)
    return [
        len(tables),
        int(stack.sum()),
        *_with_interval(stack, _share, seed),
        *_with_interval(stack, kappa_of, seed),
    ]


def _vertices(
    shared: Mapping[Plot, Mapping[str, Interpretation]], first: str, second: str, tolerance: float
) -> list[float]:
    counts, shifts = [0, 0], []
    for said in shared.values():
        a, b = (_inner(said[who]) for who in (first, second))
        counts = [counts[0] + len(a), counts[1] + len(b)]
        shifts += [b[j] - a[i] for i, j in match_vertices(a, b, tolerance)]
    matched = len(shifts)
    return [
        len(shared),
        *counts,
        matched,
        matched / counts[1] if counts[1] else np.nan,
        matched / counts[0] if counts[0] else np.nan,
        float(np.mean(shifts)) if shifts else np.nan,
    ]


def _inner(one: Interpretation) -> list[float]:
    """Decimal years of the vertices between the first and the last."""
    moments = []
    for day in one.days[1:-1]:
        year, doy = _year_and_doy(day)
        moments.append(year + (doy - 1) / (_year_and_doy(f"{year}-12-31")[1]))
    return moments


def match_vertices(
    first: Sequence[float], second: Sequence[float], tolerance: float
) -> list[tuple[int, int]]:
    """Pairs of positions of two ascending lists whose values lie within the tolerance.

    As many pairs as there can be, each value in one at most; of the ways to do so that with the
    least sum of distances.
    """
    best: list[list[tuple[int, float]]] = [[(0, 0.0)] * (len(second) + 1)]
    for i, a in enumerate(first):
        row = [(0, 0.0)]
        for j, b in enumerate(second):
            options = [best[i][j + 1], row[j]]
            if abs(a - b) <= tolerance:
                pairs, far = best[i][j]
                options.append((pairs - 1, far + abs(a - b)))
            row.append(min(options))
        best.append(row)
    matched = []
    i, j = len(first), len(second)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            matched.append((i, j))
    return matched[::-1]


def _differences(both: Mapping[Plot, Both], first: str, second: str) -> list[list[object]]:
    """Runs of years with the same two labels that differ."""
    rows: list[list[object]] = []
    for plot, years in both.items():
        for at, kind in enumerate(KINDS):
            said = [(year, (a[at], b[at])) for year, a, b in years]
            for (one, other), run in groupby(said, key=lambda pair: pair[1]):
                listed = [year for year, _ in run]
                if one != other and one and other:
                    rows.append([*plot, first, second, kind, listed[0], listed[-1], one, other])
    return rows
