"""Which observations a user wants, known from metadata or from QA_PIXEL at the plot."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..catalog.dates import Datetime, DatetimeRange, parse_datetime
from ..catalog.scenes import tier_of
from ..errors import InputError, check_kind, did_you_mean
from ..landsat import PLATFORM_AGE, SLC_FAILURE
from ..lists import expect_table, texts
from .schema import is_number

TIERS: Final = ("T1", "T2")
"""Tiers of Landsat's scenes, by how well they are located."""

NOT_CLEAR = "not clear at the plot"
"""Why `Selection.clear_only` leaves out an observation."""


@dataclass(frozen=True)
class Selection:
    """Which observations to take; by default all. An observation must pass every filter.

    All but ``clear_only`` are decided on metadata, before anything is read.

    Examples
    --------
    ::

        tx.Selection(datetime="2000/2010", season="06-01/09-30", max_cloud=50)
    """

    datetime: Datetime = None
    """Which dates, see `timesync_xr.catalog.dates.parse_datetime`; everything from 1982 to now by
    default."""
    season: str = ""
    """``MM-DD/MM-DD``: first and last day of the year to take, both included, in UTC.

    A last day before the first one lies in the next year (11-01/02-28). Empty: all year.
    """
    sensors: tuple[str, ...] = ()
    """Sensors to take, such as LC08; empty for all."""
    max_cloud: float | None = None
    """Highest cloud cover to take, by the item of the plot's tile: per cent of the pixels seen.

    An item that does not tell its cloud cover is taken.
    """
    slc_off: bool = True
    """Whether to take LE07 from the day on which its scan line corrector failed (2003-05-31)."""
    clear_only: bool = False
    """Whether to take only what is clear at the plot, by `timesync_xr.is_clear`."""
    tiers: tuple[str, ...] = ("T1",)
    """Tiers of scenes to take: T1, or T1 and T2, whose pixels may lie far off. ARD has T1 alone."""
    prune: bool = False
    """Whether a project loses the observations that it has and that are not among these, be it
    by other filters, or because their items are gone or refused. It keeps them by default."""

    def __post_init__(self) -> None:
        _ = self.period  # says what is wrong with the dates
        object.__setattr__(self, "sensors", _names(self.sensors))
        object.__setattr__(self, "tiers", _names(self.tiers))
        odd = ",".join(tier for tier in self.tiers if tier not in TIERS)
        if odd or not self.tiers:
            raise InputError(f"there are no tiers {odd or 'of no name'}: give T1, T2, or T1,T2")
        season: Any = self.season
        cloud: Any = self.max_cloud
        check_season(season)
        for name in ("slc_off", "clear_only", "prune"):
            check_kind(getattr(self, name), bool | np.bool_, name, "give True or False")
        unknown = [sensor for sensor in self.sensors if sensor not in PLATFORM_AGE]
        if unknown:
            raise InputError(
                f"there is no sensor {', '.join(map(repr, unknown))}"
                f"{did_you_mean(unknown[0], PLATFORM_AGE)}: "
                f"choose from {', '.join(PLATFORM_AGE)}"
            )
        if cloud is not None and not (is_number(cloud) and 0 <= cloud <= 100):
            raise InputError(f"a cloud cover of {cloud!r} % can't be: give 0 to 100")
        object.__setattr__(self, "max_cloud", None if cloud is None else float(cloud))

    @property
    def period(self) -> DatetimeRange:
        """The dates to take."""
        return parse_datetime(self.datetime)

    def __str__(self) -> str:
        """What is filtered but for the dates, the same for the same filters; empty for all.

        With the text of `period` beside it, `parse` makes the selection of it again.
        """
        return " ".join(self._texts())

    @classmethod
    def parse(cls, text: str, datetime: str | DatetimeRange | None = None) -> Selection:
        """The selection that two texts stand for, as the ledger keeps them."""
        check_kind(text, str, "text", "give that of a Selection")
        words = dict(word.partition("=")[::2] for word in text.split())
        return cls(
            datetime,
            season=words.get("season", ""),
            sensors=tuple(words["sensors"].split(",")) if "sensors" in words else (),
            max_cloud=float(words["max-cloud"]) if "max-cloud" in words else None,
            slc_off="no-slc-off" not in words,
            clear_only="clear-only" in words,
            tiers=tuple(words.get("tier", "T1").split(",")),
        )

    def covers(self, other: Selection) -> bool:
        """Whether it is plain that all that another selection takes is taken by this one."""
        check_kind(other, Selection, "other", "give a timesync_xr.Selection")
        seasons = self.season in ("", other.season)
        sensors = not self.sensors or (bool(other.sensors) and {*self.sensors} >= {*other.sensors})
        cloud = [math.inf if s.max_cloud is None else s.max_cloud for s in (self, other)]
        flags = self.slc_off >= other.slc_off and self.clear_only <= other.clear_only
        tiers = {*self.tiers} >= {*other.tiers}
        return (
            seasons and tiers and sensors and cloud[0] >= cloud[1] and flags
            and self.period.covers(other.period)
        )  # fmt: skip

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
        if {*self.tiers} != {"T1"}:
            yield f"tier={','.join(tier for tier in TIERS if tier in self.tiers)}"

    def causes(self, observations: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Why metadata rule out each observation, as text; empty text where they do not.

        ``observations`` has the columns time (datetime64, UTC), sensor and cloud_cover (per cent,
        missing where unknown), as `timesync_xr.cube.plan.Plan` has them.
        """
        needed = ("time", "sensor", "cloud_cover")
        expect_table(observations, needed, "give the observations of a plan")
        causes = np.full(len(observations), "", dtype=object)
        for cause, ruled_out in self._rules(observations):
            causes[ruled_out.to_numpy(dtype=bool) & (causes == "")] = cause
        return causes

    def _rules(self, observations: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
        """A cause and which observations it rules out, for each filter that is set."""
        time, sensor = observations["time"], observations["sensor"]
        if ids := next((name for name in _IDS if name in observations), ""):
            first = observations[ids].str.partition(" ")[0] if len(observations) else pd.Series([])
            tier = first.map(tier_of)
            yield "of another tier than asked for", ~tier.isin(["", *self.tiers])
        if self.season:
            yield f"outside the season {self.season}", ~in_season(time, self.season)
        if self.sensors:
            yield "sensor not asked for", ~sensor.isin(self.sensors)
        if self.max_cloud is not None:
            cloudy = observations["cloud_cover"].astype(float) > self.max_cloud
            yield f"cloud cover above {self.max_cloud:.15g} %", cloudy
        if not self.slc_off:
            after = time >= pd.Timestamp(SLC_FAILURE)
            yield "scan line corrector off", (sensor == "LE07") & after


_IDS: Final = ("item_ids", "item_id")
"""Columns that tell the tier, by the first id in them."""


def _names(sensors: str | Iterable[str]) -> tuple[str, ...]:
    """Names of sensors or tiers, also of a text of them with commas between."""
    parts = texts(sensors)
    return tuple(part.strip() for part in parts if part.strip())


def in_season(time: pd.Series, season: Any) -> pd.Series:
    """Which times lie in a season (``MM-DD/MM-DD``), all where it is empty."""
    if isinstance(season, str) and not season:
        return pd.Series(True, index=time.index)
    first, last = _season_days(season)
    day: pd.Series = time.dt.month * 100 + time.dt.day
    return day.between(first, last) if first <= last else ~day.between(last + 1, first - 1)


def check_season(season: object) -> None:
    """`InputError` for what is no season, nor empty for all year."""
    if not isinstance(season, str) or season:
        _season_days(season)


def _season_days(season: Any) -> tuple[int, int]:
    """First and last day of a season as month x 100 + day."""
    is_season = isinstance(season, str) and re.fullmatch(r"\d\d-\d\d/\d\d-\d\d", season)
    days = season.split("/") if is_season else []
    try:
        first, last = (pd.Timestamp(f"2000-{day}") for day in days)
    except ValueError:
        raise InputError(
            f"{season!r} is no season: give its first and last day as MM-DD/MM-DD, such as "
            "06-01/09-30 or, across New Year, 11-01/02-28"
        ) from None
    return first.month * 100 + first.day, last.month * 100 + last.day
