"""Observations that stand alone: clear by their flags, unlike those before and after them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..cube.selection import in_season
from ..lists import expect_table

SUMMER: Final = "06-01/09-30"
"""Season within which observations are compared, as in `Selection`."""

OUTLIER_BANDS: Final = ("green", "nir", "swir1")
"""Bands that are looked at: those in which Tmask and COLD look for clouds and shadows that are
left."""

_NEIGHBOURS = 3
"""Observations before and after that are compared with."""
_LEAST = 2
"""Fewer on one side can't tell an outlier from the begin of something new."""
_YEARS = 3
"""Years that a neighbour may be away."""
_TIMES = 5.0
"""How many times the noise of the series an outlier is off, on both sides."""
_FLOOR = 100.0
"""Least noise, Collection 1 range: a reflectance of 0.01."""

_TO_DEVIATION = 1.4826
"""A median absolute deviation times this is the standard deviation of normal noise."""

_KEY = ["project_id", "plot_id"]


def is_outlier(series: pd.DataFrame, season: str = SUMMER) -> pd.Series[bool]:
    """Which strictly clear observations of a season stand alone among their neighbours.

    Each is compared with up to three observations before it and up to three after it, all strictly
    clear, of the same season and no more than three years away. It is an outlier where in one of
    `OUTLIER_BANDS` it is off the median of those before and off the median of those after, off the
    one just before and off the one just after, all on the same side and by more than 5 times the
    noise of the plot's series. That noise is 1.4826 times the median of how far an observation is
    from the mean of the two medians, at least 100. So a cloud or shadow that QA_PIXEL missed is
    one. A fire, a clear-cut, and what comes back after them are none, since what is new agrees with
    what follows it; but one that was seen once, before it grew over, looks like a shadow, and is
    one. So is a field that was bare in one year.

    ``series`` is a table of `Project.series`, or any with project_id, plot_id, day, strict_clear
    and `OUTLIER_BANDS`; ``season`` is that of `timesync_xr.Selection`, all year where it is empty.
    Returns a nullable bool on its index: missing where an observation is not strictly clear, lies
    outside the season, or has fewer than two neighbours on a side. Nothing is removed. Source: the
    bands are those of Zhu, Z., Woodcock, C. E. (2014): Automated cloud, cloud shadow, and snow
    detection in multitemporal Landsat data. Remote Sensing of Environment 152, 217-234.
    `InputError` for a missing column or what is no season.

    Examples
    --------
    ::

        series = project.series()
        series[tx.is_outlier(series)]
    """
    needed = (*_KEY, "day", "strict_clear", *OUTLIER_BANDS)
    expect_table(series, needed, "give one of Project.series")
    found = pd.array([pd.NA] * len(series), dtype="boolean")
    days = pd.to_datetime(series["day"])
    judged = series["strict_clear"].eq(True).fillna(False).to_numpy(bool)
    judged = judged & series[list(OUTLIER_BANDS)].notna().all(axis=1).to_numpy(bool)
    judged = judged & in_season(days, season).to_numpy(bool)
    number = series.groupby(_KEY, sort=False).ngroup().to_numpy()
    for plot in np.unique(number[judged]):
        rows = np.flatnonzero(judged & (number == plot))
        rows = rows[np.argsort(days.iloc[rows].to_numpy(), kind="stable")]
        values = series[list(OUTLIER_BANDS)].iloc[rows].to_numpy(np.float64)
        told, alone = _alone(days.iloc[rows].to_numpy("datetime64[D]"), values)
        found[rows[told]] = alone[told]
    return pd.Series(found, index=series.index, name="outlier")


def _alone(
    days: npt.NDArray[np.datetime64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which of some observations in time order can be judged, and which of these are outliers."""
    count = len(days)
    last, before, after, following = (np.full(values.shape, np.nan) for _ in range(4))
    near = np.timedelta64(round(_YEARS * 365.25), "D")
    for n in range(count):
        for side, next_to, rows in (
            (before, last, np.arange(n - 1, max(-1, n - 1 - _NEIGHBOURS), -1)),
            (after, following, np.arange(n + 1, min(count, n + 1 + _NEIGHBOURS))),
        ):
            close = rows[np.abs(days[rows] - days[n]) <= near]
            if len(close) >= _LEAST:
                side[n], next_to[n] = np.median(values[close], axis=0), values[close[0]]
    told = ~(np.isnan(before) | np.isnan(after)).any(axis=1)
    if not told.any():
        return told, told
    usual = np.abs(values - (before + after) / 2)[told]
    noise = np.maximum(_FLOOR, _TO_DEVIATION * np.median(usual, axis=0))
    off = values - np.stack([last, before, after, following])
    alone = (off > _TIMES * noise).all(axis=0) | (off < -_TIMES * noise).all(axis=0)
    return told, alone.any(axis=1)
