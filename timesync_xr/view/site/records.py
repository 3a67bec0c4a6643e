"""What the pages show: a project's ledger, logs and spectra as plain values for JSON."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from ...grid import DEGREES, UTM, Region, degrees_of, transformer
from ...landsat import CSV_BANDS, FMASK, GRADES, PIXEL, TILE_SIZE
from ...project.log import MADE, WRITTEN
from ...project.project import Settings
from ...project.tables import decode
from ...spectral.annual import (
    CONTRACT,
    NONE_AT_ALL,
    NONE_USABLE,
    RULES,
    TARGET_DAY,
    selected_of_year,
)
from ...spectral.outliers import is_outlier
from ...spectral.series import index_table
from .lines import UNIT, Points, ToPlane, lines_around

MEASURES: Final = {
    "nbr": ("NBR", "Normalized burn ratio", 3),
    "ndvi": ("NDVI", "Normalized difference vegetation index", 3),
    "tcb": ("TCB", "Tasseled-cap brightness", 0),
    "tcg": ("TCG", "Tasseled-cap greenness", 0),
    "tcw": ("TCW", "Tasseled-cap wetness", 0),
    "tca": ("TCA", "Tasseled-cap angle in degrees", 1),
    **{band: (band, f"{band}, surface reflectance x 10,000", 0) for band in CSV_BANDS},
}
"""What a trajectory can be drawn of: its short name, its title, and decimals worth showing."""

RANGES: Final = {
    "nbr": (-0.5, 1), "ndvi": (-0.2, 1), "tca": (-20, 70),
    "tcb": (0, 8000), "tcg": (-1500, 4000), "tcw": (-4000, 1500),
    **dict.fromkeys(CSV_BANDS, (0, 5000)),
}  # fmt: skip
"""Limits of a trajectory that are the same for all projects."""

CHANNELS: Final = {
    "brightness": "tcb", "greenness": "tcg", "wetness": "tcw",
    "blue": "blue", "green": "green", "red": "red", "nir08": "nir", "swir16": "swir1",
    "swir22": "swir2", "nbr": "nbr", "ndvi": "ndvi",
}  # fmt: skip
"""The measure that a channel of a composite shows."""

FIRST_MEASURES: Final = ("nbr", "tcw")
"""Trajectories that are drawn until the user chooses others."""

METRES_PER_DEGREE: Final = 111_195
"""Metres of a degree of latitude on a sphere of the Earth's size."""

INDEX_COLUMNS: Final = (
    *("project", "plot", "x", "y", "status", "observations", "written"),
    *("clear", "gaps", "fall", "fall_year"),
)
"""What the list of plots knows of each.

``clear`` is the share of the written observations that are clear at the plot, ``gaps`` the number
of years between the first and the last without an annual choice, ``fall`` the largest fall of NBR
from one annual choice by grade to the next, of those that are clear or water, which is in
``fall_year``; null where there is none.
"""

_FACTS = ("day", "sensor", "hv", "date", "processed", "item_ids")
_NUMBERS = ("scene_count", "cloud_cover", "qa_pixel", "fill_share", "clear_share")
_CLASSES = ("grade", "fmask", "strict_clear")


def observations(
    log: pd.DataFrame, table: pd.DataFrame, target_day: int = TARGET_DAY
) -> pd.DataFrame:
    """The written observations of a plot: facts of its log, values of its spectra, indices.

    ``log`` is all text, ``table`` a table of the contract; an observation without spectra has
    missing values. In the order of the dates, with the columns of `MEASURES`, ``qa``, ``grade``,
    ``fmask``, ``strict_clear``, ``outlier``, ``no_chip`` (why it is without a chip, else empty),
    and a column for each of `RULES`, which tells the annual choices by it for ``target_day``.
    """
    told = decode(log, "", "")
    told = told[told["outcome"].isin(MADE)].sort_values("day")
    told["no_chip"] = told["cause"].where(told["outcome"] != WRITTEN, "")
    graded = table.merge(told[["sensor", "date", "grade"]], "left", on=["sensor", "date"])
    graded["grade"] = graded["grade"].fillna(GRADES["no data"])
    values = table[["sensor", "date", *CSV_BANDS, "qa"]].assign(
        **{rule: selected_of_year(graded, target_day, rule=rule).to_numpy() for rule in RULES},
        **index_table(table, [name for name in MEASURES if name not in CSV_BANDS]),
    )
    rows = told[[*_FACTS, *_NUMBERS, *_CLASSES, "no_chip"]].merge(
        values, on=["sensor", "date"], how="left"
    )
    rows = rows.assign(**{rule: rows[rule].eq(True) for rule in RULES})
    return rows.assign(outlier=is_outlier(rows.assign(project_id="", plot_id="")))


def plot_record(
    settings: Settings, plot: pd.Series, log: pd.DataFrame, rows: pd.DataFrame
) -> dict[str, Any]:
    """All that the page of a plot knows of it.

    ``plot`` is its row of the ledger, ``rows`` its `observations`. ``annual_by_rule`` of the result
    has the positions of the annual choices among them by each rule, ``gaps`` the years without one,
    and why, which is the same by any rule.
    """
    left = log[~log["outcome"].isin(MADE)]
    digits = {name: digits + 1 for name, (_, _, digits) in MEASURES.items()}
    shown = rows.drop(columns=[*RULES]).round(digits)
    annual = {name: np.flatnonzero(rows[name]).tolist() for name in RULES}
    made = plot["products"].split(",")
    return {
        "project": plot["project_id"],
        "plot": plot["plot_id"],
        "status": plot["status"],
        "composites": [c.name for c in settings.composites] if "png" in made else [],
        "observations": {name: _plain(shown[name]) for name in shown},
        "annual_by_rule": annual,
        "gaps": _gaps(log, rows),
        "rest": left[["day", "sensor", "outcome", "cause"]].to_numpy().tolist(),
    }


def _gaps(log: pd.DataFrame, rows: pd.DataFrame) -> dict[str, str]:
    """Why years between the first and the last have no annual choice, by whatever rule."""
    years = rows["day"].str[:4].astype(int)
    if years.empty or rows["blue"].isna().all():
        return {}
    chosen = set(years[rows[CONTRACT]])
    every = range(int(years.min()), int(years.max()) + 1)
    return {str(year): _gap(log, year) for year in every if year not in chosen}


def _gap(log: pd.DataFrame, year: int) -> str:
    outcomes = log.loc[log["day"].str[:4] == str(year), "outcome"].value_counts()
    if not outcomes.index.isin(MADE).any():
        return ", ".join(f"{count} {name}" for name, count in outcomes.items()) or NONE_AT_ALL
    return NONE_USABLE


def limits_of(limits: dict[str, list[float]], rows: pd.DataFrame, rule: str) -> None:
    """Widen the limits of a project by the annual choices of a plot."""
    chosen = rows[rows[rule]]
    for name in MEASURES:
        values = chosen[name].dropna()
        if len(values):
            low, high = limits.setdefault(name, [float(values.min()), float(values.max())])
            limits[name] = [min(low, float(values.min())), max(high, float(values.max()))]


def colors(settings: Settings) -> dict[str, list[list[Any]]]:
    """How a composite shows values: of red, green and blue the measure, and the limits.

    Composites of other channels, and those that are stretched for each plot, are left out.
    """
    if settings.stretch.over_plots:
        return {}
    return {
        c.name: [
            [CHANNELS[channel], *limits]
            for channel, limits in zip(c.channels, c.limits, strict=True)
        ]
        for c in settings.composites
        if set(c.channels) <= set(CHANNELS)
    }


def index_row(plot: pd.Series, rows: pd.DataFrame, rule: str) -> list[Any]:
    """A plot's values of `INDEX_COLUMNS`, by the annual choices of a rule."""
    years = rows["day"].str[:4].astype(int)
    seen = rows["grade"].le(GRADES["water"]).fillna(False).to_numpy(bool)
    best = rows["graded"].to_numpy() & seen
    falls = rows["nbr"].set_axis(years)[best].diff().dropna()
    fell = not falls.empty and falls.min() < 0
    return [
        plot["project_id"],
        plot["plot_id"],
        float(plot["x"]),
        float(plot["y"]),
        plot["status"],
        int(plot["observations"]),
        int(plot["written"]),
        None if rows.empty else round(float(seen.mean()), 3),
        0 if rows.empty else int(years.max() - years.min()) + 1 - int(rows[rule].sum()),
        round(float(falls.min()), 3) if fell else None,
        int(falls.index.to_numpy()[falls.argmin()]) if fell else None,
    ]


def site_record(
    name: str,
    settings: Settings,
    plots: list[list[Any]],
    chips: str,
    chosen: tuple[int, str],
    degrees: pd.DataFrame,
) -> dict[str, Any]:
    """What both pages know of the project; ``chips`` leads from the site to the chips.

    ``chosen`` is the target day and the rule of the annual choices, ``degrees`` has the longitudes
    of the plots.
    """
    grid = settings.grid
    if grid == UTM:
        plots, to_plane = _on_one_plane(plots)
    else:
        to_plane = transformer(DEGREES, grid.crs).transform
    across, down = (grid.tiles_across, grid.tiles_down) if isinstance(grid, Region) else (0, 0)
    return {
        "name": name,
        "chips": chips,
        "chip_size": settings.chip_size,
        "composites": {c.name: ", ".join(c.channels) for c in settings.composites},
        "grades": {grade: name for name, grade in GRADES.items()},
        "fmask": {number: name for name, number in FMASK.items()},
        "measures": [
            {"key": key, "name": name, "title": title, "digits": digits, "range": RANGES[key]}
            for key, (name, title, digits) in MEASURES.items()
        ],
        "first_measures": FIRST_MEASURES,
        "colors": colors(settings),
        "target_day": chosen[0],
        "rule": chosen[1],
        "rules": [*RULES],
        "tile": TILE_SIZE * PIXEL,
        "grid": [grid.left, grid.top, across, down],
        "columns": INDEX_COLUMNS,
        "plots": plots,
        "lines": lines_around(*_places(plots, degrees), to_plane),
        "line_unit": UNIT,
    }


def _places(plots: list[list[Any]], degrees: pd.DataFrame) -> tuple[Points, Points, Points]:
    """x, y and longitude of plots."""
    x, y = (INDEX_COLUMNS.index(name) for name in ("x", "y"))
    places = np.array([[plot[x], plot[y]] for plot in plots], float).reshape(-1, 2)
    return places[:, 0], places[:, 1], degrees["lon"].to_numpy(float)


def _on_one_plane(plots: list[list[Any]]) -> tuple[list[list[Any]], ToPlane]:
    """Plots of several zones in metres of one plane, whose scale is right in the middle of them.

    Also what takes other longitudes and latitudes to this plane.
    """
    x, y = (INDEX_COLUMNS.index(name) for name in ("x", "y"))
    places = np.array([degrees_of(UTM, plot[x], plot[y]) for plot in plots]).reshape(-1, 2)
    middle = places[:, 1].mean() if len(places) else 0.0
    scale = METRES_PER_DEGREE * np.array([np.cos(np.radians(middle)), 1])
    moved = np.round(places * scale).tolist()
    on_plane = [
        [*plot[:x], *point, *plot[y + 1 :]] for plot, point in zip(plots, moved, strict=True)
    ]
    return on_plane, lambda lons, lats: (lons * scale[0], lats * scale[1])


def _plain(column: pd.Series) -> list[Any]:
    """The values of a column for JSON: whole numbers without a point, null where missing."""
    if not pd.api.types.is_numeric_dtype(column):
        return column.tolist()
    if pd.api.types.is_bool_dtype(column):
        return [None if pd.isna(value) else bool(value) for value in column]
    numbers = (None if pd.isna(value) else float(value) for value in column)
    return [int(n) if n is not None and n.is_integer() else n for n in numbers]
