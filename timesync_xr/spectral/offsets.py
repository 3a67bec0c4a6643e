"""How far sensors differ: from a project's own pairs of clear observations, or as published.

Nothing is ever corrected unasked. What is corrected stands in columns of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..cube.schema import is_whole
from ..errors import InputError, check_choice, check_path, did_you_mean
from ..landsat import COLLECTION1_SCALE, CSV_BANDS, PLATFORM_AGE
from ..lists import expect_table
from .indices import NAMES
from .series import index_table

VALUES: Final = (*CSV_BANDS, *NAMES)
"""What offsets are found of: the six bands and the indices."""

OFFSET_COLUMNS: Final = (
    "sensor", "reference", "value", "pairs", "plots", "mean", "median", "low", "high",
)  # fmt: skip
"""Columns of `sensor_offsets`."""

REFERENCE: Final = "LC08"
"""Sensor that values are corrected to."""

PUBLISHED: Final[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "roy2016-rma": (
        (0.9785, 0.9542, 0.9825, 1.0073, 1.0171, 0.9949),
        (-0.0095, -0.0016, -0.0022, -0.0021, -0.0030, 0.0029),
    ),
    "roy2016-ols": (
        (0.8474, 0.8483, 0.9047, 0.8462, 0.8937, 0.9071),
        (0.0003, 0.0088, 0.0061, 0.0412, 0.0254, 0.0172),
    ),
}
"""Published lines by name: slope and intercept (reflectance) of the six bands, ETM+ to OLI.

Roy, D. P. et al. (2016): Characterization of Landsat-7 to Landsat-8 reflective wavelength and
normalized difference vegetation index continuity. Remote Sensing of Environment 185, 57-70; surface
reflectance, by reduced major axis (rma) and by ordinary least squares (ols). They were found for
ETM+ before Collection 2; TM is commonly treated like ETM+, and so it is here.
"""

OWN: Final = "own"
"""What stands for the offsets that a project tells of itself."""

OLI: Final = ("LC08", "LC09")
"""Sensors that the published lines lead to, and leave as they are."""

ADJUSTED: Final = "_adjusted"
"""End of the names of corrected columns."""

_KEY = ["project_id", "plot_id"]
_RESAMPLES = 1000


def sensor_offsets(
    series: pd.DataFrame, days: int = 1, *, resamples: int = _RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """How far two sensors differ over the same plots within days, with intervals.

    A pair is two strictly clear observations of one plot by two sensors, no more than ``days``
    apart. All such pairs count. What differs besides the sensors (the hour, the angle of view,
    haze) is in the numbers too, so mind the intervals and the counts.

    Parameters
    ----------
    series
        A table of `Project.series`, or any with project_id, plot_id, day, sensor, strict_clear and
        the six bands in the Collection 1 range.
    days
        How many days a pair may be apart: 0 or more. Landsat 8 and 9 are 8 days apart.
    resamples, seed
        How often the plots are drawn anew for the intervals, and from which random numbers.

    Returns
    -------
    pandas.DataFrame
        A row per pair of sensors that met and value of `VALUES`, with `OFFSET_COLUMNS`: sensor (the
        older platform) and reference (the newer); value; the number of pairs, and of plots with
        any; mean and median of sensor - reference, in the unit of the value; low and high, the
        interval of the mean at 95 %, by a bootstrap that draws whole plots (NaN of a single plot).
        Where a value is NaN on a side the pair does not count for it.

    Raises
    ------
    InputError
        For a wrong number of days or resamples, or a missing column.

    Examples
    --------
    ::

        tx.sensor_offsets(project.series(), resamples=100)
    """
    if not is_whole(days) or days < 0:
        raise InputError(f"pairs can't be {days!r} days apart: give a whole number, 0 or more")
    if not is_whole(resamples) or resamples < 1:
        raise InputError(f"{resamples!r} is no number of resamples: give 1 or more")
    check_seed(seed)
    needed = (*_KEY, "day", "sensor", "strict_clear", *CSV_BANDS)
    expect_table(series, needed, "give one of Project.series")
    clear = series[series["strict_clear"].eq(True).fillna(False).to_numpy(bool)]
    clear = clear[clear["sensor"].isin(PLATFORM_AGE)].reset_index(drop=True)
    plot = clear.groupby(_KEY, sort=False).ngroup().to_numpy().astype(np.int64)
    age = clear["sensor"].map(PLATFORM_AGE.index).to_numpy().astype(np.int64)
    older, newer = _pairs(plot, _ordinal(clear["day"]), age, int(days))
    values = pd.concat([clear[list(CSV_BANDS)].astype(float), index_table(clear)], axis=1)
    matrix = values[list(VALUES)].to_numpy(np.float64)
    random = np.random.default_rng(seed)
    rows = []
    for a, b in sorted({*zip(age[older].tolist(), age[newer].tolist(), strict=True)}):
        met = (age[older] == a) & (age[newer] == b)
        difference = matrix[older[met]] - matrix[newer[met]]
        told = _statistics(difference, plot[older[met]], int(resamples), random)
        names = (PLATFORM_AGE[a], PLATFORM_AGE[b])
        rows += [(*names, name, *numbers) for name, numbers in zip(VALUES, told, strict=True)]
    counts = {"pairs": "int64", "plots": "int64"}
    numbers = dict.fromkeys(_NUMBERS, "float64")
    return pd.DataFrame(rows, columns=list(OFFSET_COLUMNS)).astype(counts | numbers)


def check_seed(seed: object) -> None:
    """`InputError` for what starts no random numbers."""
    if not is_whole(seed) or seed < 0:  # type: ignore[operator]
        raise InputError(f"{seed!r} is no seed: give a whole number, 0 or more")


def _ordinal(day: pd.Series) -> npt.NDArray[np.int64]:
    days: npt.NDArray[np.int64] = pd.to_datetime(day).to_numpy("datetime64[D]").astype(np.int64)
    return days


def _pairs(
    plot: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    age: npt.NDArray[np.int64],
    days: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of all pairs of one plot, the older platform's first."""
    order = np.lexsort((day, plot))
    found = [np.empty((0, 2), np.int64)]
    for step in range(1, len(order)):  # a row with the one so many rows later
        first, second = order[:-step], order[step:]
        near = (plot[first] == plot[second]) & (day[second] - day[first] <= days)
        if not near.any():
            break
        differ = near & (age[first] != age[second])
        found.append(np.column_stack([first[differ], second[differ]]))
    pairs = np.concatenate(found)
    turned = age[pairs[:, 0]] > age[pairs[:, 1]]
    pairs[turned] = pairs[turned][:, ::-1]
    return pairs[:, 0], pairs[:, 1]


def _statistics(
    difference: npt.NDArray[np.float64],
    plot: npt.NDArray[np.int64],
    resamples: int,
    random: np.random.Generator,
) -> list[tuple[float, ...]]:
    """Pairs, plots, mean, median, low and high of each column."""
    _, number = np.unique(plot, return_inverse=True)
    count = int(number.max()) + 1
    known = ~np.isnan(difference)
    sums, sizes = (np.zeros((count, difference.shape[1])) for _ in range(2))
    np.add.at(sums, number, np.where(known, difference, 0))
    np.add.at(sizes, number, known)
    drawn = random.multinomial(count, np.full(count, 1 / count), resamples)
    with np.errstate(invalid="ignore"):
        means = (drawn @ sums) / (drawn @ sizes)
        told: list[tuple[float, ...]] = []
        for column in range(difference.shape[1]):
            values = difference[known[:, column], column]
            plots = int((sizes[:, column] > 0).sum())
            if not len(values):
                told.append((0, 0, np.nan, np.nan, np.nan, np.nan))
                continue
            interval = (np.nan, np.nan)
            if plots > 1:
                low, high = np.nanpercentile(means[:, column], (2.5, 97.5))
                interval = (float(low), float(high))
            told.append((len(values), plots, values.mean(), float(np.median(values)), *interval))
    return told


def with_adjusted(
    series: pd.DataFrame, offsets: pd.DataFrame | str, reference: str = REFERENCE
) -> pd.DataFrame:
    """The series with corrected values beside the originals, in columns ``{value}_adjusted``.

    Parameters
    ----------
    series
        A table of `Project.series`; its own columns stay as they are.
    offsets
        A table of `sensor_offsets`: from each value the mean offset of its sensor to the reference
        is taken, over the fewest sensors in between where these two never met, over more pairs of
        those. Or the name of published lines (`PUBLISHED`): bands of TM and ETM+ are put on the
        line, those of OLI stay, and indices are made anew of the bands; ``reference`` is then OLI.
    reference
        Sensor that the values are corrected to.

    Returns
    -------
    pandas.DataFrame
        The table with a column more for each of `VALUES` that it has. NaN where no pair leads from
        the sensor to the reference.

    Raises
    ------
    InputError
        For an unknown name or reference, or a table of other columns.

    Examples
    --------
    ::

        tx.with_adjusted(project.series(), "roy2016-rma").head()
    """
    expect_table(series, (*_KEY, "sensor"), "give one of Project.series")
    check_choice(reference, PLATFORM_AGE, "sensor")
    names = [name for name in VALUES if name in series]
    if isinstance(offsets, str):
        adjusted = _published(series, offsets, reference)[names]
    else:
        expect_table(offsets, OFFSET_COLUMNS, "give one of sensor_offsets, or the name of lines")
        shifts = {name: offsets_to(offsets, name, reference) for name in names}
        adjusted = pd.DataFrame(
            {
                name: series[name].astype(float) - series["sensor"].map(s).astype(float)
                for name, s in shifts.items()
            },
            index=series.index,
        )
    return pd.concat([series, adjusted.add_suffix(ADJUSTED)], axis=1)


def read_offsets(path: str | Path) -> pd.DataFrame:
    """A table of `sensor_offsets` that was kept as CSV. `InputError` where it is none.

    Examples
    --------
    ::

        tx.sensor_offsets(project.series(), resamples=100).to_csv("offsets.csv", index=False)
        tx.read_offsets("offsets.csv")
    """
    check_path(path, "path", "give that of a table of timesync-xr offsets")
    try:
        table = pd.read_csv(path, converters=dict.fromkeys(_NUMBERS, _number))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is no CSV: {error}") from None
    if missing := [name for name in OFFSET_COLUMNS if name not in table]:
        raise InputError(f"{path} lacks {', '.join(missing)}: give a table of timesync-xr offsets")
    return table[list(OFFSET_COLUMNS)]


_NUMBERS: Final = ("mean", "median", "low", "high")


def _number(text: str) -> float:
    """A number with all its digits; what is empty is missing."""
    return float(text) if text else math.nan


def offsets_to(offsets: pd.DataFrame, value: str, reference: str) -> dict[str, float]:
    """Mean offset of each sensor to the reference, along the pairs that met; 0 of itself."""
    met = offsets[(offsets["value"] == value) & (offsets["pairs"] > 0)]
    met = met.sort_values("pairs", ascending=False, kind="stable")
    steps: dict[str, list[tuple[str, float]]] = {}
    for row in met.to_dict("records"):
        older, newer, mean = row["sensor"], row["reference"], float(row["mean"])
        steps.setdefault(newer, []).append((older, mean))
        steps.setdefault(older, []).append((newer, -mean))
    found, waiting = {reference: 0.0}, deque([reference])
    while waiting:
        here = waiting.popleft()
        for there, mean in steps.get(here, ()):
            if there not in found:
                found[there] = found[here] + mean
                waiting.append(there)
    return found


def _published(series: pd.DataFrame, name: str, reference: str) -> pd.DataFrame:
    lines = published_lines(name)
    if reference not in OLI:
        raise InputError(f"{name} leads to OLI, not to {reference}: give {' or '.join(OLI)}")
    bands = series[list(CSV_BANDS)].astype(float)
    line = bands * lines["slope"].array + lines["intercept"].array * COLLECTION1_SCALE
    moved = line.where(~series["sensor"].isin(OLI), bands).where(bands != -2000)
    return pd.concat([moved, index_table(moved)], axis=1)


def published_lines(name: str) -> pd.DataFrame:
    """The lines of a name of `PUBLISHED`: lines (the name), band, slope, intercept (reflectance).

    `InputError` for another name.
    """
    if name not in PUBLISHED:
        raise InputError(
            f"there are no offsets {name!r}{did_you_mean(name, PUBLISHED)}: give own, or choose "
            f"from {', '.join(PUBLISHED)}"
        )
    slope, intercept = PUBLISHED[name]
    return pd.DataFrame(
        {"lines": name, "band": list(CSV_BANDS), "slope": slope, "intercept": intercept}
    )


def unreached(series: pd.DataFrame, offsets: pd.DataFrame, reference: str) -> Sequence[str]:
    """Sensors of a series from which no pair leads to the reference, the oldest first."""
    reached = offsets_to(offsets, CSV_BANDS[0], reference)
    there = {*series["sensor"]}
    return [name for name in PLATFORM_AGE if name in there and name not in reached]
