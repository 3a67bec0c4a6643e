"""Ids of projects and plots: which of them can name files, and their order.

Plot lists: a CSV file becomes a table of plots, each on the pixel that holds it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd

from .errors import InputError, PlotListError
from .grid import REGIONS, Lattice, Region, get_grid
from .lists import UserList, read_list

if TYPE_CHECKING:
    import os

    from pyproj import Transformer


LONGEST_ID: Final = 100
"""Bytes (UTF-8) that a project or plot id may have, so that every file name stays under 255."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_ID_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def id_problem(text: str) -> str:
    r"""Why an id can't be part of file names on common disks and stores; "" if it can.

    Refused are: nothing, more than 100 bytes, control characters and others that can't be
    printed, any of ``< > : " / \ | ? *``, a dot or space at either end (so "." and ".."), and
    names that Windows keeps for devices ("CON", "nul.txt").
    """
    return next(_id_problems(text), "")


def _id_problems(text: str) -> Iterator[str]:
    if not text:
        yield "is empty: give every plot a project_id and a plot_id"
    if found := _FORBIDDEN.search(text):
        yield f"holds {found[0]!r}, which file names can't hold: rename it"
    if not text.isprintable():
        yield "holds a character that can't be printed: rename it"
    if text != text.strip(". "):
        yield "begins or ends with a dot or a space, which file names should not: rename it"
    if found := _DEVICE.match(text):
        yield f"begins with {found[1]!r}, which Windows keeps for a device: rename it"
    if len(text.encode()) > LONGEST_ID:
        yield f"is longer than {LONGEST_ID} bytes: shorten it"


def id_order(text: str) -> tuple[int, Decimal, str]:
    """What projects and plots are sorted by: numbers by their value, then all others as text.

    A number is made of digits, with a sign and a decimal point at most. Ids of the same value
    ("7", "07") are ordered as text; text is ordered by code points.
    """
    if _ID_NUMBER.fullmatch(text):
        return 0, Decimal(text), text
    return 1, Decimal(0), text


COLUMNS: Final = (
    "project_id", "plot_id", "x", "y", "x_listed", "y_listed", "offset", "line",
)  # fmt: skip
"""Columns of `read_plots` before the further columns of the list."""

_NOWHERE: Final = (math.nan, math.nan)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Plot:
    """A plot on the grid: where its pixel is, and what it is called."""

    project_id: str
    """Name of the project; "" for a bare point."""
    plot_id: str
    """Name of the plot in its project; "" for a bare point."""
    x: float
    """Centre of the plot pixel in metres of the grid, eastwards."""
    y: float
    """Centre of the plot pixel in metres of the grid, northwards."""


PlotLike: TypeAlias = "Plot | pd.Series[Any] | Mapping[str, Any] | Sequence[Any]"
"""What says where a plot is: a `Plot`, a row of `read_plots` or a pair (x, y)."""


def plot_from(plot: PlotLike, grid: Lattice) -> Plot:
    """Make a `Plot` of whatever says where a plot is.

    ``plot`` is a `Plot`, a row of `read_plots` (a Series, a tuple of ``itertuples`` or a mapping;
    anything with x and y) or a pair (x, y) in metres of the grid. A pair has no ids: both are
    "", which serves for arrays but not for files. The point is moved to the centre of the pixel
    that holds it. Raises `InputError` for anything else, for points outside the grid and
    for ids that can't name a file.
    """
    project_id, plot_id, x, y = _parts(plot)
    if (project_id, plot_id) != ("", ""):
        for name, text in (("project_id", project_id), ("plot_id", plot_id)):
            if problem := id_problem(text):
                raise InputError(f"{name} {text!r} {problem}")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"a plot at x {x}, y {y} lies nowhere: give two finite numbers in metres")
    if not _holds(grid, x, y):
        raise InputError(f"a plot at x {x:.15g}, y {y:.15g} {_outside(grid, x, y)}")
    return Plot(project_id, plot_id, *grid.center(*grid.pixel(x, y)))


def _parts(plot: Any) -> tuple[str, str, float, float]:
    """Ids and coordinates of anything that `plot_from` takes."""
    try:
        if isinstance(plot, Mapping | pd.Series):
            values = [plot.get("project_id", ""), plot.get("plot_id", ""), plot["x"], plot["y"]]
        elif hasattr(plot, "x") and hasattr(plot, "y"):
            values = [getattr(plot, "project_id", ""), getattr(plot, "plot_id", "")]
            values += [plot.x, plot.y]
        else:
            x, y = plot
            values = ["", "", x, y]
        return str(values[0]), str(values[1]), float(values[2]), float(values[3])
    except (TypeError, ValueError, KeyError):
        raise InputError(
            f"{plot!r} is no plot: give a row of read_plots(...) or a pair (x, y) in metres"
        ) from None


def read_plots(path: str | os.PathLike[str], grid: str | Lattice = "CU") -> pd.DataFrame:
    """Read a plot list and put every plot on a grid.

    The list is CSV in UTF-8, separated by commas, semicolons or tabs (see
    `timesync_xr.lists.read_list`): a header, then a line per plot. Needed are the columns
    ``project_id``, ``plot_id`` and either ``x``, ``y`` (metres of the grid) or ``lon``, ``lat``
    (WGS 84 degrees), in any order and case; where both pairs are present, x and y are used and lon
    and lat are further columns. Lines without any text are skipped. Ids are text, kept as written
    but for white space around them.

    Returns a DataFrame with a row per plot in the order of the list:

    ========================  ======================================================================
    ``project_id, plot_id``   str
    ``x, y``                  float, centre of the pixel that holds the plot, metres
    ``x_listed, y_listed``    float, where the list puts the plot, metres
    ``offset``                float, metres between the two
    ``line``                  int, line of the file (its first line is 1)
    further columns           str, as in the list (not those named like the ones above, nor
                              those without a name)
    ========================  ======================================================================

    Raises `InputError` if there is no such file, and `PlotListError` with every problem and its
    line: what is not UTF-8 or CSV, missing or repeated columns, no plots, too many cells, ids
    that can't name a file (see `id_problem`) or differ only in upper and lower case, repeated
    plots, coordinates that are no finite numbers or lie outside the grid.
    """
    grid = get_grid(grid)
    listed = read_list(path, _NEEDED)
    columns = _Columns.of(listed)
    problems = [] if listed.rows else ["line 1: the list holds no plots: add a line per plot"]
    names = _Names()
    records: list[list[Any]] = []
    for line, cells in listed.rows:
        record, found = _check_line(columns, cells, line, grid)
        found += [listed.problems[line]] if line in listed.problems else []
        found += names.add(record[0], record[1], line)
        problems += [f"line {line}: {text}" for text in found]
        records.append(record)
    if problems:
        raise PlotListError(listed.source, problems)
    table = pd.DataFrame(records, columns=[*COLUMNS, *columns.further])
    return table.astype(dict.fromkeys(("project_id", "plot_id", *columns.further), object))


_NEEDED: Final = (("project_id",), ("plot_id",), ("x", "lon"), ("y", "lat"))
"""Columns of a plot list, of each group one."""


@dataclass(frozen=True)
class _Columns:
    """Where the cells of a line are."""

    ids: tuple[int, int]
    """Positions of project_id and plot_id."""
    point: tuple[int, int]
    """Positions of the two coordinates."""
    pair: tuple[str, str]
    """What they are: x and y, or lon and lat."""
    further: Mapping[str, int]
    """Name and position of the columns that are kept as text."""

    @classmethod
    def of(cls, listed: UserList) -> _Columns:
        names = listed.names
        pair = ("x", "y") if {"x", "y"} <= set(names) else ("lon", "lat")
        if not set(pair) <= set(names):
            problem = (
                f"line 1: no pair of columns x, y or lon, lat among {', '.join(listed.header)}"
            )
            raise PlotListError(listed.source, [f"{problem}: give one pair"])
        used = {*COLUMNS, *pair, ""}
        return cls(
            (names.index("project_id"), names.index("plot_id")),
            (names.index(pair[0]), names.index(pair[1])),
            pair,
            {listed.header[i]: i for i, name in enumerate(names) if name not in used},
        )


def _check_line(
    columns: _Columns, cells: Sequence[str], line: int, grid: Lattice
) -> tuple[list[Any], list[str]]:
    """The cells of the table that a line becomes, and all that is wrong with it alone."""
    ids = [cells[i] for i in columns.ids]
    problems = [
        f"{name} {text!r} {problem}"
        for name, text in zip(("project_id", "plot_id"), ids, strict=True)
        if (problem := id_problem(text) or _shortened(text))
    ]
    listed, center, problem = _place(columns, cells, grid)
    problems += [problem] if problem else []
    further = [cells[i] for i in columns.further.values()]
    return [*ids, *center, *listed, math.dist(listed, center), line, *further], problems


def _shortened(text: str) -> str:
    """Why an id is not what the user wrote; "" if it may be."""
    if not re.fullmatch(r"\d([.,]\d+)?[eE]\+\d+", text, re.ASCII):
        return ""
    return (
        "is a long number that a spreadsheet has shortened, so that others may have become the "
        "same: set the column to text there, and save it again"
    )


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def _place(
    columns: _Columns, cells: Sequence[str], grid: Lattice
) -> tuple[tuple[float, float], tuple[float, float], str]:
    """Where the list puts a plot, the centre of its pixel, and what is wrong with that."""
    texts = [cells[i] for i in columns.point]
    said = [f"{name} {text!r}" for name, text in zip(columns.pair, texts, strict=True)]
    bad = [words for words, text in zip(said, texts, strict=True) if not _is_number(text)]
    if bad:
        return _NOWHERE, _NOWHERE, f"{' and '.join(bad)}: write finite numbers like -1115430.5"
    a, b = map(float, texts)
    degrees = columns.pair == ("lon", "lat")
    x, y = _project(grid, a, b) if degrees else (a, b)
    if not _holds(grid, x, y):
        return _NOWHERE, _NOWHERE, f"{', '.join(said)} {_outside(grid, a, b, degrees)}"
    return (x, y), grid.center(*grid.pixel(x, y)), ""


def _holds(grid: Lattice, x: float, y: float) -> bool:
    return math.isfinite(x) and math.isfinite(y) and grid.has_pixel(*grid.pixel(x, y))


def _project(grid: Lattice, lon: float, lat: float) -> tuple[float, float]:
    """Albers metres of a point in WGS 84 degrees; infinite where it has none."""
    if abs(lon) > 360 or abs(lat) > 90:
        return math.inf, math.inf
    x, y = _transformer(grid).transform(lon, lat)
    return float(x), float(y)


@cache
def _transformer(grid: Lattice) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)


def to_degrees(grid: Lattice, x: Any, y: Any) -> tuple[Any, Any]:
    """Longitude and latitude (WGS 84) of points in metres of a grid, of arrays as well."""
    lon, lat = _transformer(grid).transform(x, y, direction="INVERSE")
    return lon, lat


def _outside(grid: Lattice, a: float, b: float, degrees: bool = False) -> str:
    """Say that a point lies outside the grid, and what the mistake may be."""

    def inside(other: Lattice, a: float, b: float) -> bool:
        return _holds(other, *(_project(other, a, b) if degrees else (a, b)))

    fact = f"lies outside the {grid.name} grid{_extent(grid)}: "
    if inside(grid, b, a):
        return fact + ("lon and lat" if degrees else "x and y") + " look swapped"
    others = [other.name for other in REGIONS.values() if inside(other, a, b)]
    if others:
        return fact + f"it would lie in {' or '.join(others)}, so check the region"
    if not degrees and abs(a) <= 360 and abs(b) <= 90:
        return fact + "degrees belong in columns lon and lat"
    return fact + "check the coordinates and the region"


def _extent(grid: Lattice) -> str:
    if not isinstance(grid, Region):
        return ""
    right, bottom = grid.corner((grid.tiles_across, grid.tiles_down))
    return f" (x {grid.left} to {right}, y {bottom} to {grid.top} m)"


class _Names:
    """The ids seen so far; finds those that would be one file or folder."""

    def __init__(self) -> None:
        self.projects: dict[str, tuple[str, int]] = {}
        self.plots: dict[tuple[str, str], tuple[str, int]] = {}

    def add(self, project_id: str, plot_id: str, line: int) -> list[str]:
        """Remember a plot and return the problems it has with earlier ones."""
        project, plot = _folded(project_id), _folded(plot_id)
        written, first = self.projects.setdefault(project, (project_id, line))
        if written != project_id:
            return [f"project_id {_alike(project_id, written, first)}"]
        written, first = self.plots.setdefault((project, plot), (plot_id, line))
        if first == line:
            return []
        if written != plot_id:
            return [f"plot_id {_alike(plot_id, written, first)}"]
        return [
            f"plot {plot_id!r} of project {project_id!r} is already on line {first}: drop one line"
        ]


def _alike(text: str, written: str, line: int) -> str:
    """What is wrong with two ids that would be one file."""
    same = unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", written)
    how = (
        "look the same but are other characters in Unicode"
        if same
        else ("differ only in upper and lower case")
    )
    shown = [ascii(one) if same else repr(one) for one in (text, written)]
    return (
        f"{shown[0]} and {shown[1]} (line {line}) {how}, and would be one file on many disks: "
        "rename one"
    )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
