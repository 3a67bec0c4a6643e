"""Ids of projects and plots: which of them can name files, and their order.

Plot lists: a CSV file becomes a table of plots, each on the pixel that holds it.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd

from .errors import InputError, PlotListError
from .grid import REGIONS, Region, get_region

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
    """Centre of the plot pixel in Albers metres of the region, eastwards."""
    y: float
    """Centre of the plot pixel in Albers metres of the region, northwards."""


PlotLike: TypeAlias = "Plot | pd.Series[Any] | Mapping[str, Any] | Sequence[Any]"
"""What says where a plot is: a `Plot`, a row of `read_plots` or a pair (x, y)."""


def plot_from(plot: PlotLike, region: Region) -> Plot:
    """Make a `Plot` of whatever says where a plot is.

    ``plot`` is a `Plot`, a row of `read_plots` (a Series, a tuple of ``itertuples`` or a mapping;
    anything with x and y) or a pair (x, y) in metres of the region. A pair has no ids: both are
    "", which serves for arrays but not for files. The point is moved to the centre of the pixel
    that holds it. Raises `InputError` for anything else, for points outside the region's grid and
    for ids that can't name a file.
    """
    project_id, plot_id, x, y = _parts(plot)
    if (project_id, plot_id) != ("", ""):
        for name, text in (("project_id", project_id), ("plot_id", plot_id)):
            if problem := id_problem(text):
                raise InputError(f"{name} {text!r} {problem}")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"a plot at x {x}, y {y} lies nowhere: give two finite numbers in metres")
    if not _holds(region, x, y):
        raise InputError(f"a plot at x {x:.15g}, y {y:.15g} {_outside(region, x, y)}")
    return Plot(project_id, plot_id, *region.center(*region.pixel(x, y)))


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


def read_plots(path: str | os.PathLike[str], region: str = "CU") -> pd.DataFrame:
    """Read a plot list and put every plot on the region's grid.

    The list is CSV in UTF-8 (with or without a byte order mark): a header, then a line per plot.
    Needed are the columns ``project_id``, ``plot_id`` and either ``x``, ``y`` (Albers metres of
    the region) or ``lon``, ``lat`` (WGS 84 degrees), in any order and case; where both pairs are
    present, x and y are used and lon and lat are further columns. Lines without any text are
    skipped. Ids are text, kept as written but for white space around them.

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
    plots, coordinates that are no finite numbers or lie outside the region's grid.
    """
    grid = get_region(region)
    source = str(path)
    header, rows = _read_rows(source, _read_text(Path(path)))
    columns = _Columns.of(source, header)
    problems: list[str] = []
    names = _Names()
    records: list[list[Any]] = []
    for line, cells in rows:
        record, found = _check_line(columns, cells, line, grid)
        found += names.add(record[0], record[1], line)
        problems += [f"line {line}: {text}" for text in found]
        records.append(record)
    if problems:
        raise PlotListError(source, problems)
    table = pd.DataFrame(records, columns=[*COLUMNS, *columns.further])
    return table.astype(dict.fromkeys(("project_id", "plot_id", *columns.further), object))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the plot list {path} can't be read: {error.strerror}. Check the path"
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: not UTF-8 (byte {raw[error.start]:#04x}): save the list as UTF-8"
        raise PlotListError(str(path), [problem]) from None


def _read_rows(source: str, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line, cells) of every line that is not blank."""
    try:
        rows = [(line, cells) for line, cells in _csv_lines(text) if any(cells)]
    except csv.Error as error:
        problem = f"line {error.args[1]}: not CSV ({error.args[0]}): check quotes and commas"
        raise PlotListError(source, [problem]) from None
    if len(rows) < 2:
        what = "a header but no plots" if rows else "no text"
        raise PlotListError(source, [f"line 1: the list holds {what}: add a line per plot"])
    return rows[0][1], rows[1:]


def _csv_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """First line number and stripped cells of every CSV record; csv.Error tells the line too."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(str(error), line) from None


@dataclass(frozen=True)
class _Columns:
    """Where the cells of a line are."""

    count: int
    """Number of cells of the header."""
    ids: tuple[int, int]
    """Positions of project_id and plot_id."""
    point: tuple[int, int]
    """Positions of the two coordinates."""
    pair: tuple[str, str]
    """What they are: x and y, or lon and lat."""
    further: Mapping[str, int]
    """Name and position of the columns that are kept as text."""

    @classmethod
    def of(cls, source: str, header: Sequence[str]) -> _Columns:
        names = [name.lower() for name in header]
        twice = {name for name in names if name and names.count(name) > 1}
        problems = [f"line 1: column {name!r} is there twice: drop one" for name in sorted(twice)]
        pair = ("x", "y") if {"x", "y"} <= set(names) else ("lon", "lat")
        missing = [name for name in ("project_id", "plot_id") if name not in names]
        if not set(pair) <= set(names):
            missing.append("x, y (or lon, lat)")
        if missing:
            problems.append(
                f"line 1: no column {' nor '.join(missing)} among {', '.join(header)}: "
                "name the columns in the first line, separated by commas"
            )
        if problems:
            raise PlotListError(source, problems)
        used = {*COLUMNS, *pair, ""}
        return cls(
            len(header),
            (names.index("project_id"), names.index("plot_id")),
            (names.index(pair[0]), names.index(pair[1])),
            pair,
            {header[i]: i for i, name in enumerate(names) if name not in used},
        )


def _cell(cells: Sequence[str], position: int) -> str:
    return cells[position] if position < len(cells) else ""


def _check_line(
    columns: _Columns, cells: Sequence[str], line: int, region: Region
) -> tuple[list[Any], list[str]]:
    """The cells of the table that a line becomes, and all that is wrong with it alone."""
    ids = [_cell(cells, i) for i in columns.ids]
    problems = [
        f"{name} {text!r} {problem}"
        for name, text in zip(("project_id", "plot_id"), ids, strict=True)
        if (problem := id_problem(text))
    ]
    if any(cells[columns.count :]):
        many = f"{len(cells)} cells under {columns.count} columns"
        problems.append(f"{many}: quote text that holds commas")
    listed, center, problem = _place(columns, cells, region)
    problems += [problem] if problem else []
    further = [_cell(cells, i) for i in columns.further.values()]
    return [*ids, *center, *listed, math.dist(listed, center), line, *further], problems


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def _place(
    columns: _Columns, cells: Sequence[str], region: Region
) -> tuple[tuple[float, float], tuple[float, float], str]:
    """Where the list puts a plot, the centre of its pixel, and what is wrong with that."""
    texts = [_cell(cells, i) for i in columns.point]
    said = [f"{name} {text!r}" for name, text in zip(columns.pair, texts, strict=True)]
    bad = [words for words, text in zip(said, texts, strict=True) if not _is_number(text)]
    if bad:
        return _NOWHERE, _NOWHERE, f"{' and '.join(bad)}: write finite numbers like -1115430.5"
    a, b = map(float, texts)
    degrees = columns.pair == ("lon", "lat")
    x, y = _project(region, a, b) if degrees else (a, b)
    if not _holds(region, x, y):
        return _NOWHERE, _NOWHERE, f"{', '.join(said)} {_outside(region, a, b, degrees)}"
    return (x, y), region.center(*region.pixel(x, y)), ""


def _holds(region: Region, x: float, y: float) -> bool:
    return math.isfinite(x) and math.isfinite(y) and region.has_pixel(*region.pixel(x, y))


def _project(region: Region, lon: float, lat: float) -> tuple[float, float]:
    """Albers metres of a point in WGS 84 degrees; infinite where it has none."""
    if abs(lon) > 360 or abs(lat) > 90:
        return math.inf, math.inf
    x, y = _transformer(region).transform(lon, lat)
    return float(x), float(y)


@cache
def _transformer(region: Region) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", region.crs, always_xy=True)


def _outside(region: Region, a: float, b: float, degrees: bool = False) -> str:
    """Say that a point lies outside the grid, and what the mistake may be."""

    def inside(other: Region, a: float, b: float) -> bool:
        return _holds(other, *(_project(other, a, b) if degrees else (a, b)))

    right, bottom = region.corner((region.tiles_across, region.tiles_down))
    fact = (
        f"lies outside the {region.name} grid (x {region.left} to {right}, "
        f"y {bottom} to {region.top} m): "
    )
    if inside(region, b, a):
        return fact + ("lon and lat" if degrees else "x and y") + " look swapped"
    others = [other.name for other in REGIONS.values() if inside(other, a, b)]
    if others:
        return fact + f"it would lie in {' or '.join(others)}, so check the region"
    if not degrees and abs(a) <= 360 and abs(b) <= 90:
        return fact + "degrees belong in columns lon and lat"
    return fact + "check the coordinates and the region"


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
            return [f"project_id {project_id!r} and {written!r} (line {first}) {_ONE_FILE}"]
        written, first = self.plots.setdefault((project, plot), (plot_id, line))
        if first == line:
            return []
        if written != plot_id:
            return [f"plot_id {plot_id!r} and {written!r} (line {first}) {_ONE_FILE}"]
        return [
            f"plot {plot_id!r} of project {project_id!r} is already on line {first}: drop one line"
        ]


_ONE_FILE = "differ only in upper and lower case and would be one file on many disks: rename one"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
