"""Which satellite passes over the sample's valley when, and in what weather."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import numpy as np

from .sky import Pass

CYCLE: Final = {"LT04": 8, "LT05": 0, "LE07": 8, "LC08": 0, "LC09": 8}
"""Day of the 16-day cycle on which each platform comes over."""
EDGES: Final = {1991: 20.0, 2001: -60.0, 2008: 66.0, 2017: -20.0, 2020: 80.0}
"""Summers in which the swath ends within the valley, and where."""


def passes(rng: np.random.Generator) -> Iterator[Pass]:
    """Passes in order of time: each summer, and the other seasons every few years."""
    for year in range(1984, 2026):
        seasons = [215] if year % 7 else [25, 130, 215, 280] if year % 2 else [130, 215, 280]
        for target in seasons:
            sensor = _sensor(year, target)
            day = _overpass(sensor, year, target)
            summer = target == 215
            yield Pass(
                sensor,
                day,
                clouds=float(rng.choice([0, 0, 0, 0, 0.06, 0.2])),
                cirrus=sensor in ("LC08", "LC09") and year % 4 == 2,
                snow=0.9 if target < 60 else 0,
                edge=EDGES.get(year) if summer else None,
            )
            if summer and year == 2022:
                yield Pass("LE07", day)


def _sensor(year: int, target: int) -> str:
    """Whose pass is taken, so that each sensor has its share."""
    if year < 1999:
        return "LT04" if year in (1985, 1988, 1990, 1992) else "LT05"
    if year < 2013:
        return "LE07" if year in (2000, 2002, 2005, 2009, 2012) or target == 280 else "LT05"
    if year < 2021:
        return "LE07" if year == 2018 else "LC08"
    return "LC09" if year % 2 == 0 else "LC08"


def _overpass(sensor: str, year: int, target: int) -> date:
    """The day of the sensor's 16-day cycle that is nearest to a day of the year."""
    wanted = date(year, 1, 1) + timedelta(days=target - 1)
    late = (wanted.toordinal() - CYCLE[sensor] + 8) % 16 - 8
    return wanted - timedelta(days=late)
