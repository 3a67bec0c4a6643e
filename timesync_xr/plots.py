"""Ids of projects and plots: which of them can name files, and their order.

Plot lists: a CSV file becomes a table of plots, each on the pixel that holds it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd

from .errors import InputError, PlotListError
from .grid import REGIONS, UTM, Lattice, PlaneGrid, Region, get_grid
from .lists import UserList, expect_table, read_list

if TYPE_CHECKING:
    import os


LONGEST_ID: Final = 100
"""Bytes (UTF-8) that a project or plot id may have, so that every file name stays under 255."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_ID_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def id_problem(text: object) -> str:
    r"""Why an id can't be part of file names on common disks and stores; "" if it can.

    Refused are: nothing, more than 100 bytes, control characters and others that can't be
    printed, any of ``< > : " / \ | ? *``, a dot or space at either end (so "." and ".."), and
    names that Windows keeps for devices ("CON", "nul.txt").
    """
    if not isinstance(text, str):
        return f"is of {type(text).__name__}: give text"
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
    """A plot on the grid: where its pixel is, and what it is called.

    Examples
    --------
    ::

        tx.Plot("1001", "7", x=434430, y=2414790)
    """

    project_id: str
    """Name of the project; "" for a bare point."""
    plot_id: str
    """Name of the plot in its project; "" for a bare point."""
    x: float
    """Centre of the plot pixel in metres of the grid, eastwards; in utm it begins with the zone."""
    y: float
    """Centre of the plot pixel in metres of the grid, northwards."""


PlotLike: TypeAlias = "Plot | pd.Series[Any] | Mapping[str, Any] | Sequence[Any]"
"""What says where a plot is: a `Plot`, a row of `read_plots`, a pair (x, y), or lon and lat by
name.

On the grid utm a pair is (lon, lat)."""


def plot_from(plot: PlotLike, grid: Lattice) -> Plot:
    """Make a `Plot` of whatever says where a plot is.

    ``plot`` is a `Plot`, a row of `read_plots` (a Series, a tuple of ``itertuples`` or a mapping;
    anything with x and y, or else lon and lat) or a pair (x, y) in metres of the grid; on the
    grid utm, where two numbers in metres need a zone, a pair (lon, lat). A pair has no ids: both
    are "", which serves for arrays but not for files. The point is moved to the centre of the pixel
    that holds it. Raises `InputError` for anything else, for points outside the grid and
    for ids that can't name a file.
    """
    project_id, plot_id, x, y = _parts(plot, grid)
    if (project_id, plot_id) != ("", ""):
        for name, text in (("project_id", project_id), ("plot_id", plot_id)):
            if problem := id_problem(text):
                raise InputError(f"{name} {text!r} {problem}")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"a plot at x {x}, y {y} lies nowhere: give two finite numbers in metres")
    if told := _as_metres(grid, x, y):
        raise InputError(f"a plot at x {x:.15g}, y {y:.15g} {told}")
    return Plot(project_id, plot_id, *grid.center(*grid.pixel(x, y)))


def _parts(plot: Any, grid: Lattice) -> tuple[str, str, float, float]:
    """Ids and coordinates of anything that `plot_from` takes."""
    try:
        if isinstance(plot, Mapping | pd.Series):
            values = [plot.get("project_id", ""), plot.get("plot_id", "")]
            values += (
                [plot["x"], plot["y"]] if "x" in plot else _point(grid, plot["lon"], plot["lat"])
            )
        elif hasattr(plot, "x") and hasattr(plot, "y"):
            values = [getattr(plot, "project_id", ""), getattr(plot, "plot_id", "")]
            values += [plot.x, plot.y]
        else:
            x, y = plot
            values = ["", "", *(_point(grid, x, y) if grid == UTM else (x, y))]
        return str(values[0]), str(values[1]), float(values[2]), float(values[3])
    except (TypeError, ValueError, KeyError):
        raise InputError(
            f"{plot!r} is no plot: give a row of read_plots(...) or a pair "
            f"{'(lon, lat) in degrees' if grid == UTM else '(x, y) in metres'}"
        ) from None


def _point(grid: Lattice, lon: Any, lat: Any) -> tuple[float, float]:
    """The point of a grid at degrees; `InputError` where it has none."""
    lon, lat = float(lon), float(lat)
    x, y = grid.from_degrees(lon, lat)
    if problem := _misfit(grid, x, y):
        told = _outside(grid, lon, lat, problem, degrees=True)
        raise InputError(f"a plot at lon {lon:.15g}, lat {lat:.15g} {told}")
    return x, y


def read_plots(path: str | os.PathLike[str], grid: str | Lattice = "CU") -> pd.DataFrame:
    """Read a plot list and put every plot on a grid.

    The list is CSV in UTF-8, separated by commas, semicolons or tabs (see
    `timesync_xr.lists.read_list`): a header, then a line per plot. Needed are the columns
    ``project_id``, ``plot_id`` and either ``x``, ``y`` (metres of the grid) or ``lon``, ``lat``
    (WGS 84 degrees), in any order and case; where both pairs are present, x and y are used and lon
    and lat are further columns. The grid utm has no x and y without a zone, so lon and lat are
    needed there. Lines without any text are skipped. Ids are text, kept as written but for white
    space around them.

    Returns a DataFrame with a row per plot in the order of the list:

    ========================  ======================================================================
    ``project_id, plot_id``   str
    ``x, y``                  float, centre of the pixel that holds the plot, metres; x of the
                              grid utm begins with the zone, see `timesync_xr.grid`
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

    Examples
    --------
    ::

        plots = tx.read_plots("demo/plots.csv")
        plots[["project_id", "plot_id", "x", "y"]]
    """
    grid = get_grid(grid)
    listed = read_list(path, _NEEDED)
    columns = _Columns.of(listed, grid)
    problems = [] if listed.rows else ["line 1: the list holds no plots: add a line per plot"]
    names = _Names()
    records: list[list[Any]] = []
    for line, cells in listed.rows:
        record, found = _check_line(columns, cells, line, grid)
        found += [listed.problems[line]] if line in listed.problems else []
        found += names.add(record[0], record[1], f"line {line}")
        problems += [f"line {line}: {text}" for text in found]
        records.append(record)
    if problems:
        raise PlotListError(listed.source, problems)
    table = pd.DataFrame(records, columns=[*COLUMNS, *columns.further])
    return table.astype(dict.fromkeys(("project_id", "plot_id", *columns.further), object))


def plot_table(
    plots: str | os.PathLike[str] | pd.DataFrame,
    grid: str | Lattice,
    columns: Iterable[str],
    *,
    numbers: Iterable[str] = (),
) -> pd.DataFrame:
    """Plots as a table, read where they are a list; `InputError` for a table without ``columns``.

    Those of ``numbers`` hold such.
    """
    if not isinstance(plots, pd.DataFrame):
        return read_plots(plots, grid)
    expect_table(plots, columns, "give what read_plots returns", numbers=numbers)
    return plots


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
    def of(cls, listed: UserList, grid: Lattice) -> _Columns:
        names = listed.names
        pair = ("x", "y") if {"x", "y"} <= set(names) and grid != UTM else ("lon", "lat")
        if not set(pair) <= set(names):
            pairs = "columns lon, lat" if grid == UTM else "pair of columns x, y or lon, lat"
            problem = f"line 1: no {pairs} among {', '.join(listed.header)}"
            if grid == UTM:
                problem += ", and x, y alone say nothing across the zones of utm"
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


def _is_rounded(text: str) -> bool:
    """Whether a number is written as spreadsheets shorten it, without its last whole digits."""
    found = re.fullmatch(r"[+-]?\d(?:\.(\d+))?E\+(\d+)", text, re.ASCII)
    return found is not None and len(found[1] or "") < int(found[2])


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
        like = "-111.25" if columns.pair == ("lon", "lat") else "-1115430.5"
        return _NOWHERE, _NOWHERE, f"{' and '.join(bad)}: write finite numbers like {like}"
    if rough := [words for words, text in zip(said, texts, strict=True) if _is_rounded(text)]:
        why = "a spreadsheet has left out digits, so that the place is lost: set the columns to "
        why += "numbers with all digits there, and save it again"
        return _NOWHERE, _NOWHERE, f"{' and '.join(rough)}: {why}"
    a, b = map(float, texts)
    degrees = columns.pair == ("lon", "lat")
    x, y = grid.from_degrees(a, b) if degrees else (a, b)
    told = "" if degrees else _as_metres(grid, a, b)
    if degrees and (problem := _misfit(grid, x, y)):
        told = _outside(grid, a, b, problem, degrees=True)
    if told:
        return _NOWHERE, _NOWHERE, f"{', '.join(said)} {told}"
    return (x, y), grid.center(*grid.pixel(x, y)), ""


def _as_metres(grid: Lattice, x: float, y: float) -> str:
    """Why metres are none of a grid, and what the mistake may be; "" if they are.

    What may be degrees lies some metres from the origin of a projected CRS, where no one has plots.
    """
    if isinstance(grid, PlaneGrid) and abs(x) <= 360 and abs(y) <= 90:
        return (
            f"lies at the origin of {grid.name}, whose x and y are metres: degrees belong in "
            "columns lon and lat, or in {'lon': ..., 'lat': ...}"
        )
    problem = _misfit(grid, x, y)
    return _outside(grid, x, y, problem) if problem else ""


def _misfit(grid: Lattice, x: float, y: float) -> str:
    """Why a point is none of the grid; "" if it is."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return "lies outside"
    return grid.misfit(x, y)


_POLAR: Final = ("EPSG:3413", "EPSG:3031")
"""Grids of the north and of the south, where UTM ends."""


def _outside(grid: Lattice, a: float, b: float, problem: str, *, degrees: bool = False) -> str:
    """Say that a point lies outside the grid, and what the mistake may be."""

    def inside(other: Lattice, a: float, b: float) -> bool:
        return not _misfit(other, *(other.from_degrees(a, b) if degrees else (a, b)))

    fact = f"{problem} the {grid.name} grid{_extent(grid)}: "
    if grid == UTM and abs(b) <= 90:  # which a longitude may be, too, but here it is a latitude
        return fact + "poleward of that take a polar grid, such as " + _POLAR[b < 0]
    if inside(grid, b, a):
        return fact + ("lon and lat" if degrees else "x and y") + " look swapped"
    others = [other.name for other in REGIONS.values() if inside(other, a, b)]
    if others:
        return fact + f"it would lie in {' or '.join(others)}, so check the region"
    if not degrees and abs(a) <= 360 and abs(b) <= 90:
        return fact + "degrees belong in columns lon and lat"
    if degrees and isinstance(grid, Region) and inside(UTM, a, b):
        return fact + "check the coordinates and the region; outside the U.S. take the grid utm"
    return fact + "check the coordinates and the region"


def _extent(grid: Lattice) -> str:
    if grid == UTM:
        return " (latitudes from 80 S to 84 N)"
    if not isinstance(grid, Region):
        return ""
    right, bottom = grid.corner((grid.tiles_across, grid.tiles_down))
    return f" (x {grid.left} to {right}, y {bottom} to {grid.top} m)"


def check_names(plots: Iterable[Plot], known: Iterable[tuple[str, str]]) -> None:
    """`InputError` where files of a plot would be those of another, of these or of ``known`` ones.

    These are pairs of ids, as a project has them.
    """
    names = _Names()
    for ids in known:
        names.clash(*ids, "in the project")
    for plot in plots:
        if found := names.clash(plot.project_id, plot.plot_id, "in the list"):
            raise InputError(found)


class _Names:
    """The ids seen so far; finds those that would be one file or folder."""

    def __init__(self) -> None:
        self.projects: dict[str, tuple[str, str]] = {}
        self.plots: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, project_id: str, plot_id: str, where: str) -> list[str]:
        """Remember a plot, and where it is; return the problems it has with earlier ones."""
        if found := self.clash(project_id, plot_id, where):
            return [found]
        _, first = self.plots[_folded(project_id), _folded(plot_id)]
        if first == where:
            return []
        return [f"plot {plot_id!r} of project {project_id!r} is already on {first}: drop one line"]

    def clash(self, project_id: str, plot_id: str, where: str) -> str:
        """Remember a plot, and where it is; why its files would be those of another; or ""."""
        project, plot = _folded(project_id), _folded(plot_id)
        written, first = self.projects.setdefault(project, (project_id, where))
        if written != project_id:
            return f"project_id {_alike(project_id, written, first)}"
        written, first = self.plots.setdefault((project, plot), (plot_id, where))
        return "" if written == plot_id else f"plot_id {_alike(plot_id, written, first)}"


def _alike(text: str, written: str, where: str) -> str:
    """What is wrong with two ids that would be one file."""
    same = unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", written)
    how = (
        "look the same but are other characters in Unicode"
        if same
        else ("differ only in upper and lower case")
    )
    shown = [ascii(one) if same else repr(one) for one in (text, written)]
    return (
        f"{shown[0]} and {shown[1]} ({where}) {how}, and would be one file on many disks: "
        "rename one"
    )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
