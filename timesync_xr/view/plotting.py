"""Pictures of cubes for notebooks and papers, by matplotlib (the extra ``plot``).

Every function takes what the rest of the package makes, computes a lazy array, and returns
matplotlib's own objects, so that titles, colours and files are as always there. `InputError` where
matplotlib is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from ..cube.schema import expect_array, expect_dims, is_whole, plot_window
from ..errors import InputError
from ..landsat import PLATFORM_AGE
from ..spectral.density import DENSITY_COLUMNS
from ..spectral.offsets import OFFSET_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLEAR, CLOUDY, CHOSEN = "#0072b2", "#8b9097", "#b36b00"
"""Colours of clear and other observations and of the annual choice.

The first and the last are told apart by colour-blind eyes (Okabe and Ito 2008).
"""

ALONE: Final = "#c1121f"
"""Colour of outliers, and of years without any clear observation."""

SENSOR_COLOURS: Final = ("#e69f00", "#f0c75e", "#56b4e9", "#0072b2", "#004c78")
"""Colours of the sensors of `PLATFORM_AGE`."""

_BOX: Final = 3
"""Pixels that the box around the plot is wide and high."""


def plot_chips(rgb: xr.DataArray, *, columns: int = 6, box: bool = True) -> Figure:
    """Chips beside each other, each with its date.

    ``rgb`` is a result of `composite_rgb`, or a spatial part of one: uint8 with dims (time, y, x,
    rgb), or (y, x, rgb) for one chip. Masked pixels (NaN) are black. ``box`` draws the 3 x 3 pixels
    around the plot. `InputError` where there is no chip, for what has no colours, and for a box
    that the part does not hold.
    """
    plt = _pyplot()
    if not is_whole(columns) or columns < 1:
        raise InputError(f"{columns!r} chips can't be beside each other: give 1 or more")
    chips = _as_chips(rgb)
    count = chips.sizes["time"]
    if not count:
        raise InputError("there is no chip to show: choose dates that the cube holds")
    across, down = min(columns, count), math.ceil(count / columns)
    figure: Figure
    figure, axes = plt.subplots(
        down, across, squeeze=False, figsize=(2 * across, 2.25 * down), layout="constrained"
    )
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    for ax, chip in zip(axes.flat, chips, strict=False):
        _draw_chip(ax, chip, box=box)
    return figure


def _as_chips(rgb: xr.DataArray) -> xr.DataArray:
    """Chips in memory, uint8 (time, y, x, rgb), black where they are masked."""
    dims = ("time", "y", "x", "rgb")
    expect_array(rgb)
    if rgb.sizes.get("rgb") != 3:
        raise InputError(f"chips have a dimension rgb, not {rgb.dims}: give composite_rgb(cube)")
    chips = rgb if "time" in rgb.dims else rgb.expand_dims("time")
    if {*chips.dims} != {*dims} or chips.dtype.kind not in "uif":
        raise InputError(f"chips are numbers with the dims {dims}, not {rgb.dims}: choose a part")
    chips = chips.transpose(*dims).compute().fillna(0)
    if not bool((chips == chips.clip(0, 255).astype(np.uint8)).all()):
        raise InputError("colours are whole numbers from 0 to 255: give composite_rgb(cube)")
    return chips.astype(np.uint8)


def plot_trajectory(
    values: xr.DataArray,
    *,
    clear: xr.DataArray | None = None,
    chosen: xr.DataArray | None = None,
    outlier: xr.DataArray | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A band or index of the plot pixel through time.

    ``values`` has the dimension time alone, such as an index of `plot_pixel`. ``clear`` (bool along
    time, such as `is_clear`) tells dots from crosses, ``chosen`` (bool along time) is ringed and
    joined by a line, ``outlier`` (bool along time, such as `is_outlier`) has a square around it.
    Without ``clear`` all are dots. What is masked (NaN) or fill is not drawn. `InputError` for any
    other dimensions or types.
    """
    plt = _pyplot()
    _check_series(values, "uif")
    if "time" not in values.coords or values["time"].dtype.kind != "M":
        raise InputError("the series has no times: keep its coordinate time (datetime64)")
    for flags in (clear, chosen, outlier):
        if flags is None:
            continue
        _check_series(flags, "b")
        if flags.size != values.size:
            raise InputError(f"{flags.size} flags do not fit {values.size} values: give one each")
    if (nodata := values.attrs.get("nodata")) is not None:
        values = values.where(values != nodata)
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    series = pd.Series(values.to_numpy(), index=pd.DatetimeIndex(values["time"].to_numpy()))
    is_clear = np.ones(len(series), dtype=bool) if clear is None else clear.to_numpy()
    ax.plot(series[is_clear], "o", color=CLEAR, markersize=3.5, label="clear")
    if not is_clear.all():
        ax.plot(series[~is_clear], "x", color=CLOUDY, markersize=4.5, label="not clear")
    if chosen is not None:
        ringed: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none", "linewidth": 0.9}
        ax.plot(
            series[chosen.to_numpy()], "o-", color=CHOSEN, label="annual choice", zorder=1, **ringed
        )
    if outlier is not None:
        squares: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none"}
        alone = series[outlier.to_numpy()]
        ax.plot(alone, "s", color=ALONE, label="outlier", linestyle="", **squares)
    ax.set_ylabel(_label(values), fontsize="small")
    _finish(ax, columns=4)
    return ax


def _finish(ax: Axes, columns: int) -> None:
    """A grid of thin lines, and the legend above the axes."""
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
    ax.legend(frameon=False, fontsize="small", ncols=columns, **place)


def plot_density(density: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Clear observations per year and plot as bars, by sensor, and how many plots have none.

    ``density`` is a table of `Project.density` by year, of one plot or many. The bars are means
    over the plots that have the year; a cross below each tells the share of plots without any clear
    observation, where there are such. `InputError` for any other table.
    """
    plt = _pyplot()
    if missing := [name for name in DENSITY_COLUMNS if name not in density]:
        raise InputError(f"the table lacks {', '.join(missing)}: give one of Project.density")
    if density.empty or (density["season"] != "").any():
        raise InputError("bars are drawn of years: give Project.density(by='year') of some plots")
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    by_year = density.groupby("year")
    means = by_year[list(PLATFORM_AGE)].mean()
    bottom = np.zeros(len(means))
    for sensor, colour in zip(PLATFORM_AGE, SENSOR_COLOURS, strict=True):
        if means[sensor].any():
            ax.bar(means.index, means[sensor], bottom=bottom, color=colour, label=sensor)
            bottom += means[sensor].to_numpy()
    none = by_year["clear"].agg(lambda counts: (counts == 0).mean())
    none = none[none > 0]
    top = max(float(bottom.max()), 1.0)
    if len(none):
        below = np.full(len(none), -0.06 * top)
        ax.scatter(none.index, below, s=40 * none, marker="x", color=ALONE, label="plots with none")
    ax.set_ylim(-0.12 * top, 1.05 * top)
    ax.set_ylabel("clear observations per plot", fontsize="small")
    _finish(ax, columns=6)
    return ax


def plot_offsets(
    offsets: pd.DataFrame, values: Sequence[str] = ("ndvi", "nbr"), *, ax: Axes | None = None
) -> Axes:
    """Mean offsets between sensors with their intervals, for some indices or bands.

    ``offsets`` is a table of `sensor_offsets`; ``values`` are some of its values, of one unit. A
    point per two sensors and value, labelled by the number of pairs. `InputError` for any other
    table, and for values that it does not have.
    """
    plt = _pyplot()
    if missing := [name for name in OFFSET_COLUMNS if name not in offsets]:
        raise InputError(f"the table lacks {', '.join(missing)}: give one of sensor_offsets")
    if unknown := [name for name in values if name not in set(offsets["value"])]:
        raise InputError(f"there are no offsets of {', '.join(unknown) or 'nothing'}")
    shown = offsets[offsets["value"].isin(values)]
    names = [f"{row.sensor} - {row.reference}, {row.value}" for row in shown.itertuples()]
    if ax is None:
        height = 0.8 + 0.32 * len(names)
        _, ax = plt.subplots(figsize=(7, height), layout="constrained")
    place = np.arange(len(names))
    ax.hlines(place, shown["low"], shown["high"], color=CLEAR, linewidth=1.4)
    ax.plot(
        shown["mean"], place, "o", color=CLEAR, markersize=4, label="mean and its 95 % interval"
    )
    ax.axvline(0, color=CLOUDY, linewidth=0.8)
    ax.set_yticks(place, names, fontsize="small")
    ax.invert_yaxis()
    for at, row in zip(place, shown.itertuples(), strict=True):
        text = f" {row.pairs} pairs, {row.plots} plots"
        ax.annotate(text, (row.mean, at), (0, 5), textcoords="offset points", fontsize="x-small")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1))
    return ax


def _check_series(array: xr.DataArray, kinds: str) -> None:
    """`InputError` for what is no series along time, or of none of these kinds of dtypes."""
    expect_array(array)
    if array.dims != ("time",):
        raise InputError(f"a trajectory has the dims ('time',), not {array.dims}: take one pixel")
    if array.dtype.kind not in kinds:
        wanted = "bool" if kinds == "b" else "numbers"
        raise InputError(f"the series holds {array.dtype}, not {wanted}: give one that does")


def _label(values: xr.DataArray) -> str:
    """What the values are and their unit, where they say so."""
    name, unit = values.attrs.get("long_name", values.name), values.attrs.get("units", "1")
    return str(name) if unit == "1" else f"{name} [{unit}]"


def plot_before_after(rgb: xr.DataArray, before: str, after: str) -> Figure:
    """The two chips of ``rgb`` that are nearest to two dates (YYYY-MM-DD), side by side.

    ``rgb`` as in `plot_chips`. `InputError` where both dates have the same chip, and for what is no
    date.
    """
    expect_dims(rgb, ("time",), ("time",))
    if not rgb.sizes["time"] or rgb["time"].dtype.kind != "M":
        raise InputError("there are no chips with times: keep the coordinate time (datetime64)")
    times = pd.DatetimeIndex(rgb["time"].to_numpy())
    if times.hasnans:
        raise InputError("a chip has no time: leave it out, or give it one")
    try:
        days = pd.DatetimeIndex([pd.Timestamp(day) for day in (before, after)])
        if days.hasnans:
            raise ValueError
        first, second = (int(np.abs(times - day).argmin()) for day in days)
    except (ValueError, TypeError):  # also of NaT
        raise InputError(f"{before!r}, {after!r} are not two dates: give YYYY-MM-DD") from None
    if first == second:
        raise InputError(
            f"the chip of {times[first]:%Y-%m-%d} is the nearest to both {before} and {after}: "
            "choose dates further apart"
        )
    figure = plot_chips(rgb.isel(time=[first, second]), columns=2)
    figure.set_size_inches(8, 4.4)
    return figure


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise InputError(
            "pictures need matplotlib, which is not installed: pip install 'timesync-xr[plot]'"
        ) from None
    return plt


def _draw_chip(ax: Axes, chip: xr.DataArray, *, box: bool) -> None:
    from matplotlib.patches import Rectangle

    window = plot_window(chip, _BOX) if box else None
    ax.imshow(chip.to_numpy(), interpolation="nearest")
    ax.set_axis_off()
    if "time" in chip.coords:
        ax.set_title(f"{pd.Timestamp(chip['time'].item()):%Y-%m-%d}", fontsize="small")
    if window is not None:
        corner = window["x"].start - 0.5, window["y"].start - 0.5
        for colour, width in (("black", 2.4), ("white", 1.0)):
            ax.add_patch(Rectangle(corner, _BOX, _BOX, fill=False, edgecolor=colour, lw=width))
