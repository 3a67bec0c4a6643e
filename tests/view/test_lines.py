"""Coasts and borders on the map of the plots, held against known places and pyproj."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer

from timesync_xr.view.site.lines import KINDS, UNIT, _kept, lines_around


def nearest(kind: str, lon: float, lat: float) -> float:
    """Degrees from a place to the nearest line of a kind."""
    best = np.inf
    for name, points in _kept():
        if name != kind:
            continue
        place = np.array([lon, lat])
        starts, ways = points[:-1] - place, np.diff(points, axis=0)
        along = np.clip(-(starts * ways).sum(1) / (ways**2).sum(1).clip(1e-12), 0, 1)
        best = min(best, np.hypot(*(starts + along[:, None] * ways).T).min())
    return float(best)


@pytest.mark.parametrize(
    ("kind", "lon", "lat"),
    [
        ("state", -109.045, 36.999),  # the four corners
        ("state", -104.05, 41.0),  # Colorado, Wyoming, Nebraska
        ("border", -114.0, 49.0),  # Canada and the United States
        ("border", 7.6, 47.6),  # near Basel
        ("coast", -5.7, 50.07),  # Land's End
        ("coast", 18.4, -34.2),  # the Cape
        ("coast", 153.6, -28.6),  # Cape Byron
    ],
)
def test_lines_lie_where_they_are_on_earth(kind: str, lon: float, lat: float) -> None:
    assert nearest(kind, lon, lat) < 0.35


def test_all_lines_are_on_earth_and_few_bytes() -> None:
    kept = _kept()
    assert {kind for kind, _ in kept} == set(KINDS)
    points = np.concatenate([points for _, points in kept])
    assert (abs(points) <= [180, 90]).all()


def test_lines_around_plots_are_those_of_pyproj_in_metres() -> None:
    """On the plane of the conterminous states; only what is near."""
    way = Transformer.from_crs("EPSG:4326", "EPSG:5070", always_xy=True)
    xs, ys = np.array([434310.0]), np.array([2412930.0])
    found = lines_around(xs, ys, np.array([-90.5]), way.transform)
    assert all(found[kind] for kind in KINDS)
    corner = np.array(way.transform(-104.05, 41.0))
    ends = np.concatenate(
        [np.cumsum(np.array(line).reshape(-1, 2), axis=0) * UNIT for line in found["state"]]
    )
    assert np.hypot(*(ends - corner).T).min() < 8000
    assert (abs(ends - [xs[0], ys[0]]) <= 3_000_000 + UNIT).all()


def test_no_plots_and_no_place_on_the_plane() -> None:
    none = np.array([])
    assert lines_around(none, none, none, lambda x, y: (x, y)) == {kind: [] for kind in KINDS}
    nowhere = lines_around(
        np.array([0.0]), np.array([0.0]), np.array([0.0]), lambda x, y: (x * np.inf, y * np.inf)
    )
    assert nowhere == {kind: [] for kind in KINDS}
