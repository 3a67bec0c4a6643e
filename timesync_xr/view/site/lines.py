"""Coasts and borders around the plots, in the metres of their map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt

KINDS: Final = ("coast", "border", "state")
"""What a line is: a coast, a border of countries, or one of U.S. states."""

STEP: Final = 50
"""Parts of a degree in which the lines are kept."""

UNIT: Final = 500
"""Metres in which the pages have them."""

AROUND: Final = 3_000_000
"""Metres around the plots that the map can show, at least."""

FARTHEST: Final = 60
"""Degrees of longitude from the plots; what lies farther has no place on their plane."""

Points = npt.NDArray[np.float64]
ToPlane = Callable[[Points, Points], tuple[Points, Points]]


def lines_around(
    xs: Points, ys: Points, lons: Points, to_plane: ToPlane
) -> dict[str, list[list[int]]]:
    """The lines around plots by kind; each is x, y and then differences, in parts of `UNIT`.

    ``xs``, ``ys`` and ``lons`` are of the plots. ``to_plane`` takes longitudes and latitudes to
    metres; points that it has no place for (not finite) break a line.
    """
    found: dict[str, list[list[int]]] = {kind: [] for kind in KINDS}
    if not len(xs):
        return found
    more = max(AROUND, np.ptp(xs), np.ptp(ys))
    for kind, points in _kept():
        line = points[abs(points[:, 0] - lons.mean()) <= FARTHEST]
        x, y = to_plane(line[:, 0], line[:, 1])
        near = np.isfinite(x) & np.isfinite(y)
        near &= (x >= xs.min() - more) & (x <= xs.max() + more)
        near &= (y >= ys.min() - more) & (y <= ys.max() + more)
        found[kind] += [_differences(part) for part in _runs(np.stack([x, y], 1), near)]
    return found


def _runs(points: Points, is_kept: npt.NDArray[np.bool_]) -> Iterator[Points]:
    """Parts of a line of which all points are kept, of two points at least."""
    for part in np.split(np.arange(len(points)), np.flatnonzero(np.diff(is_kept)) + 1):
        if len(part) > 1 and is_kept[part[0]]:
            yield points[part]


def _differences(points: Points) -> list[int]:
    whole = np.round(points / UNIT).astype(int)
    return np.concatenate([whole[:1], np.diff(whole, axis=0)]).ravel().tolist()


@cache
def _kept() -> list[tuple[str, Points]]:
    """All lines of the package: kind, and points as longitude and latitude."""
    text = (files(__package__) / "lines.txt").read_text(encoding="ascii")
    lines = (line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return [(kind, _decoded(code)) for kind, code in lines]


def _decoded(code: str) -> Points:
    """The points of an encoded polyline: five bits a character, the lowest first."""
    numbers, number, shift = [], 0, 0
    for character in code:
        bits = ord(character) - 63
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits < 0x20:
            numbers.append(~(number >> 1) if number & 1 else number >> 1)
            number, shift = 0, 0
    return np.cumsum(np.array(numbers, float).reshape(-1, 2), axis=0) / STEP
