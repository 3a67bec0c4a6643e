"""Pictures of cubes for notebooks and papers, by matplotlib (the extra ``plot``).

Every function takes what the rest of the package makes, computes a lazy array, and returns
matplotlib's own objects, so that titles, colours and files are as always there. `InputError` where
matplotlib is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..cube.schema import expect_array, expect_dims, is_whole, plot_window, select_bands
from ..errors import InputError, check_choice, check_kind, counted
from ..landsat import BANDS, CSV_BANDS, PLATFORM_AGE, QA_BAND, SR_BANDS
from ..lists import expect_table, texts
from ..spectral import indices
from ..spectral.composites import Composite, composite_rgb
from ..spectral.density import DENSITY_COLUMNS
from ..spectral.offsets import OFFSET_COLUMNS
from ..spectral.quality import is_clear
from ..spectral.reflectance import to_collection1
from ..spectral.series import index_table, plot_pixel

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

Flags: TypeAlias = "xr.DataArray | pd.Series[Any] | npt.NDArray[Any] | None"
"""Whether each observation of a trajectory is something."""

_BOX: Final = 3
"""Pixels that the box around the plot is wide and high."""


def plot_chips(
    chips: xr.DataArray,
    composite: str | Composite = "tc",
    *,
    columns: int = 6,
    box: bool = True,
) -> Figure:
    """Chips beside each other, each with its date.

    ``chips`` is a cube, of which ``composite`` is drawn (see `composite_rgb`), or the result of
    `composite_rgb`, which is shown as it is: uint8 with dims (time, y, x, rgb), or (y, x, rgb) for
    one chip. Spatial parts of them will do. Masked pixels (NaN) are black. ``box`` draws the 3 x 3
    pixels around the plot. `InputError` where there is no chip, for what has no colours, and for a
    box that the part does not hold.

    Examples
    --------
    ::

        tx.plot_chips(cube.isel(time=slice(0, 6)), "b743", columns=3)
    """
    plt = _pyplot()
    check_kind(box, bool, "box", "give True or False")
    if not is_whole(columns) or columns < 1:
        raise InputError(f"{columns!r} chips can't be beside each other: give 1 or more")
    chips = _as_chips(_coloured(chips, composite))
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


def _coloured(chips: xr.DataArray, composite: str | Composite) -> xr.DataArray:
    """A composite of a cube; what has colours already as it is."""
    expect_array(chips)
    return composite_rgb(chips, composite) if "band" in chips.dims else chips


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
    values: xr.DataArray | pd.DataFrame,
    index: str = "nbr",
    *,
    clear: Flags = None,
    chosen: Flags = None,
    outlier: Flags = None,
    ax: Axes | None = None,
) -> Axes:
    """A band or index of the plot pixel through time.

    Parameters
    ----------
    values
        A cube, or a table of one plot, such as those of `spectral_table` and `Project.series`:
        ``index`` of its plot pixel is drawn. Or a series of one's own, with the dimension time
        alone, which is drawn as it is.
    index
        One of `timesync_xr.spectral.indices.NAMES`, or a band.
    clear, chosen, outlier
        bool along time, or of each row; what is missing is False. ``clear`` tells dots from
        crosses: for a cube it is `is_clear` unless given, for a table its column ``strict_clear``,
        or else ``qa``; all of a series of one's own are dots. ``chosen``, such as
        `selected_of_year`, is ringed and joined by a line; ``outlier`` has a square around it, by
        default where a table has such a column.
    ax
        Where to draw; a figure of its own by default.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn. What is masked (NaN) or fill is not there.

    Raises
    ------
    InputError
        For any other dimensions, types or index, and for a table of several plots.

    Examples
    --------
    ::

        tx.plot_trajectory(cube, "nbr")
    """
    plt = _pyplot()
    _check_axes(ax)
    if isinstance(values, pd.DataFrame):
        values, found, odd = _of_table(values, index)
        clear, outlier = found if clear is None else clear, odd if outlier is None else outlier
    else:
        expect_array(values)
        if "band" in values.dims:
            values, found = _of_cube(values, index)
            clear = found if clear is None else clear
    seen, picked, alone = (_along(flags) for flags in (clear, chosen, outlier))
    _check_series(values, "uif")
    if "time" not in values.coords or values["time"].dtype.kind != "M":
        raise InputError("the series has no times: keep its coordinate time (datetime64)")
    for flags in (seen, picked, alone):
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
    is_clear = np.ones(len(series), dtype=bool) if seen is None else seen.to_numpy()
    ax.plot(series[is_clear], "o", color=CLEAR, markersize=3.5, label="clear")
    if not is_clear.all():
        ax.plot(series[~is_clear], "x", color=CLOUDY, markersize=4.5, label="not clear")
    if picked is not None:
        ringed: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none", "linewidth": 0.9}
        ax.plot(
            series[picked.to_numpy()], "o-", color=CHOSEN, label="annual choice", zorder=1, **ringed
        )
    if alone is not None:
        squares: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none"}
        ax.plot(
            series[alone.to_numpy()], "s", color=ALONE, label="outlier", linestyle="", **squares
        )
    ax.set_ylabel(_label(values), fontsize="small")
    _finish(ax, columns=4)
    return ax


def _of_cube(cube: xr.DataArray, index: str) -> tuple[xr.DataArray, xr.DataArray]:
    """An index or band of the plot pixel of a cube, and where it is clear."""
    _check_index(index, SR_BANDS)
    pixel = select_bands(plot_pixel(cube), BANDS).compute()
    values = to_collection1(pixel.sel(band=list(SR_BANDS)))
    if index in SR_BANDS:
        shown = values.sel(band=index, drop=True).assign_attrs(long_name=index)
    else:
        shown = getattr(indices, index)(values)
    return shown, is_clear(pixel.sel(band=QA_BAND, drop=True))


def _of_table(
    table: pd.DataFrame, index: str
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray | None]:
    """An index or band of a table of one plot, where it is clear, and outliers if it knows them."""
    _check_index(index, CSV_BANDS)
    needed = ("project_id", "plot_id", "year", "doy", "qa", *CSV_BANDS)
    numbers = ("year", "doy", "qa")
    expect_table(table, needed, "give one of spectral_table", numbers=numbers)
    if len(table[["project_id", "plot_id"]].drop_duplicates()) > 1:
        raise InputError("the table holds several plots: choose the rows of one")
    numbers_of_days = (table["year"] * 1000 + table["doy"]).astype(str)
    days = pd.to_datetime(numbers_of_days, format="%Y%j").to_numpy()
    shown = table[index] if index in CSV_BANDS else index_table(table, [index])[index]
    told = {"long_name": index, "units": "1"} | ({"nodata": -2000} if index in CSV_BANDS else {})
    values = xr.DataArray(shown.to_numpy(float), {"time": days}, "time", index, told)
    seen = table["strict_clear"] if "strict_clear" in table else table["qa"] == 0
    return values, _along(seen), _along(table.get("outlier"))


def _along(flags: Flags) -> Any:
    """Flags of the rows of a table along the time of a series, missing ones False; others as is."""
    if not isinstance(flags, pd.Series | np.ndarray) or flags.ndim != 1:
        return flags
    if isinstance(flags, pd.Series) and flags.dtype == "boolean":
        flags = flags.fillna(False).to_numpy(bool)
    return xr.DataArray(np.asarray(flags), dims="time")


def _check_index(index: str, bands: Sequence[str]) -> None:
    check_choice(index, (*indices.NAMES, *bands), "index")


def _check_axes(ax: object) -> None:
    """`InputError` for what nothing can be drawn on."""
    from matplotlib.axes import Axes

    check_kind(ax, Axes | None, "ax", "give Axes of matplotlib, or None for a new figure")


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

    Examples
    --------
    ::

        tx.plot_density(tx.observation_density(project.series()))
    """
    plt = _pyplot()
    _check_axes(ax)
    expect_table(density, DENSITY_COLUMNS, "give one of Project.density")
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

    Examples
    --------
    ::

        tx.plot_offsets(tx.sensor_offsets(project.series(), days=16, resamples=100))
    """
    plt = _pyplot()
    _check_axes(ax)
    expect_table(offsets, OFFSET_COLUMNS, "give one of sensor_offsets")
    wanted, known = texts(values), dict.fromkeys(offsets["value"])
    if unknown := [name for name in wanted if name not in known]:
        choices = ", ".join(map(str, known)) or "none"
        raise InputError(f"there are no offsets of {', '.join(unknown)}: choose from {choices}")
    shown = offsets[offsets["value"].isin(wanted)]
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
        text = f" {counted(row.pairs, 'pair')}, {counted(row.plots, 'plot')}"
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


def plot_before_after(
    chips: xr.DataArray, before: str, after: str, composite: str | Composite = "tc"
) -> Figure:
    """The two chips that are nearest to two dates (YYYY-MM-DD), side by side.

    ``chips`` and ``composite`` as in `plot_chips`. `InputError` where both dates have the same
    chip, and for what is no date.

    Examples
    --------
    ::

        tx.plot_before_after(cube, "1995-08-03", "1996-08-09")
    """
    expect_dims(chips, ("time",), ("time",))
    if not chips.sizes["time"] or chips["time"].dtype.kind != "M":
        raise InputError("there are no chips with times: keep the coordinate time (datetime64)")
    times = pd.DatetimeIndex(chips["time"].to_numpy())
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
    figure = plot_chips(chips.isel(time=[first, second]), composite, columns=2)
    figure.set_size_inches(8, 4.4)
    return figure


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise InputError(
            "pictures need matplotlib, which is not installed: pip install matplotlib"
        ) from None
    return plt


def _draw_chip(ax: Axes, chip: xr.DataArray, *, box: bool) -> None:
    from matplotlib.patches import Rectangle

    window = plot_window(chip, _BOX) if box else None
    ax.imshow(chip.to_numpy(), interpolation="nearest")
    ax.set_axis_off()
    if "time" in chip.coords and pd.notna(moment := pd.Timestamp(chip["time"].item())):
        ax.set_title(f"{moment:%Y-%m-%d}", fontsize="small")
    if window is not None:
        corner = window["x"].start - 0.5, window["y"].start - 0.5
        for colour, width in (("black", 2.4), ("white", 1.0)):
            ax.add_patch(Rectangle(corner, _BOX, _BOX, fill=False, edgecolor=colour, lw=width))
