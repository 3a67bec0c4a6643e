"""Which observations a user does not want, known from metadata or from QA_PIXEL at the plot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..landsat import PLATFORM_AGE, SLC_FAILURE
from ..spelling import did_you_mean

NOT_CLEAR = "not clear at the plot"
"""Why `Filters.clear_only` leaves out an observation."""


@dataclass(frozen=True)
class Filters:
    """Which observations to take; by default all. An observation must pass every filter.

    All but ``clear_only`` are decided on metadata, before anything is read.
    """

    season: str = ""
    """``MM-DD/MM-DD``: first and last day of the year to take, both included, in UTC.

    A last day before the first one lies in the next year (11-01/02-28). Empty: all year.
    """
    sensors: tuple[str, ...] = ()
    """Sensors to take, such as LC08; empty for all."""
    max_cloud: float | None = None
    """Highest cloud cover to take, per cent of the tile that holds the plot.

    An item that does not tell its cloud cover is taken.
    """
    slc_off: bool = True
    """Whether to take LE07 from the day on which its scan line corrector failed (2003-05-31)."""
    clear_only: bool = False
    """Whether to take only what is clear at the plot, by `timesync_xr.is_clear`."""

    def __post_init__(self) -> None:
        if self.season:
            _season_days(self.season)
        unknown = [sensor for sensor in self.sensors if sensor not in PLATFORM_AGE]
        if unknown:
            raise InputError(
                f"there is no sensor {', '.join(map(repr, unknown))}"
                f"{did_you_mean(unknown[0], PLATFORM_AGE)}: "
                f"choose from {', '.join(PLATFORM_AGE)}"
            )
        if self.max_cloud is not None and not 0 <= self.max_cloud <= 100:
            raise InputError(f"a cloud cover of {self.max_cloud:g} % can't be: give 0 to 100")

    def __str__(self) -> str:
        """What is filtered, in one line that is the same for the same filters; empty for all."""
        return " ".join(self._texts())

    def _texts(self) -> Iterator[str]:
        if self.season:
            yield f"season={self.season}"
        if self.sensors:
            yield f"sensors={','.join(s for s in PLATFORM_AGE if s in self.sensors)}"
        if self.max_cloud is not None:
            yield f"max-cloud={self.max_cloud:.15g}"
        if not self.slc_off:
            yield "no-slc-off"
        if self.clear_only:
            yield "clear-only"

    def causes(self, observations: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Why metadata rule out each observation, as text; empty text where they do not.

        ``observations`` has the columns time (datetime64, UTC), sensor and cloud_cover (per cent,
        missing where unknown), as `timesync_xr.observations.Plan` has them.
        """
        causes = np.full(len(observations), "", dtype=object)
        for cause, ruled_out in self._rules(observations):
            causes[ruled_out.to_numpy(dtype=bool) & (causes == "")] = cause
        return causes

    def _rules(self, observations: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
        """A cause and which observations it rules out, for each filter that is set."""
        time, sensor = observations["time"], observations["sensor"]
        if self.season:
            yield f"outside the season {self.season}", ~_in_season(time, self.season)
        if self.sensors:
            yield "sensor not asked for", ~sensor.isin(self.sensors)
        if self.max_cloud is not None:
            cloudy = observations["cloud_cover"].astype(float) > self.max_cloud
            yield f"cloud cover above {self.max_cloud:.15g} %", cloudy
        if not self.slc_off:
            after = time >= pd.Timestamp(SLC_FAILURE)
            yield "scan line corrector off", (sensor == "LE07") & after


ALL: Final = Filters()
"""Leaves out nothing."""


def _in_season(time: pd.Series, season: str) -> pd.Series:
    first, last = _season_days(season)
    day: pd.Series = time.dt.month * 100 + time.dt.day
    return day.between(first, last) if first <= last else ~day.between(last + 1, first - 1)


def _season_days(season: str) -> tuple[int, int]:
    """First and last day of a season as month x 100 + day."""
    days = season.split("/") if re.fullmatch(r"\d\d-\d\d/\d\d-\d\d", season) else []
    try:
        first, last = (pd.Timestamp(f"2000-{day}") for day in days)
    except ValueError:
        raise InputError(
            f"{season!r} is no season: give its first and last day as MM-DD/MM-DD, such as "
            "06-01/09-30 or, across New Year, 11-01/02-28"
        ) from None
    return first.month * 100 + first.day, last.month * 100 + last.day
