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


MORE: Final = 1000
"""Number of the first of the passes that give a summer more than one view."""


def passes(rng: np.random.Generator) -> Iterator[Pass]:
    """Passes in order of time: some each summer, and the other seasons every few years.

    One pass of each summer comes near day 215. The others give the annual choice something to
    choose from, by another sensor 8 days later where one flies, so that sensors can be compared.
    There are more of them around the fire, so that it can be dated.
    """
    return iter(sorted([*_regular(rng), *_more()], key=lambda flight: (flight.day, flight.number)))


def _more() -> Iterator[Pass]:
    """Further passes of the summers, in weather of their own."""
    number = MORE
    for year in range(1984, 2026):
        usual = _sensor(year, 215)
        sensor = _partner(year, usual)
        near_the_fire = 1992 <= year <= 2000
        targets = (167, 190, 240, 264) if near_the_fire else (240 if sensor == usual else 223,)
        for target in targets:
            rng = np.random.default_rng(number)
            clouds = float(rng.choice([0, 0, 0.06, 0.2, 0.45]))
            yield Pass(sensor, _overpass(sensor, year, target), number, clouds=clouds)
            number += 1


def _regular(rng: np.random.Generator) -> Iterator[Pass]:
    """A pass each summer, and the other seasons every few years."""
    number = 0
    for year in range(1984, 2026):
        seasons = [215] if year % 7 else [25, 130, 215, 280] if year % 2 else [130, 215, 280]
        for target in seasons:
            sensor = _sensor(year, target)
            day = _overpass(sensor, year, target)
            summer = target == 215
            yield Pass(
                sensor,
                day,
                number,
                clouds=float(rng.choice([0, 0, 0, 0, 0.06, 0.2])),
                cirrus=sensor in ("LC08", "LC09") and year % 4 == 2,
                snow=0.9 if target < 60 else 0,
                edge=EDGES.get(year) if summer else None,
            )
            number += 1
            if summer and year == 2022:
                yield Pass("LE07", day, number)
                number += 1


def _sensor(year: int, target: int) -> str:
    """Whose pass is taken, so that each sensor has its share."""
    if year < 1999:
        return "LT04" if year in (1985, 1988, 1990, 1992) else "LT05"
    if year < 2013:
        return "LE07" if year in (2000, 2002, 2005, 2009, 2012) or target == 280 else "LT05"
    if year < 2021:
        return "LE07" if year == 2018 else "LC08"
    return "LC09" if year % 2 == 0 else "LC08"


def _partner(year: int, sensor: str) -> str:
    """Another sensor that flies in a year, 8 days before or after; the same where none does."""
    if sensor == "LT05":
        return "LE07" if year > 2000 else sensor
    if sensor == "LE07":
        return "LT05" if year <= 2011 else "LC08" if year >= 2013 else sensor
    if sensor == "LC08":
        return "LE07" if year <= 2021 else "LC09"
    return "LC08" if sensor == "LC09" else sensor


def _overpass(sensor: str, year: int, target: int) -> date:
    """The day of the sensor's 16-day cycle that is nearest to a day of the year."""
    wanted = date(year, 1, 1) + timedelta(days=target - 1)
    late = (wanted.toordinal() - CYCLE[sensor] + 8) % 16 - 8
    return wanted - timedelta(days=late)
