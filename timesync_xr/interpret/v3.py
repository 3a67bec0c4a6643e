"""Answers as TimeSync V3 keeps them: the CSV of its server, and rows for its tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from ..errors import InputError, PlotListError
from ..lists import UserList, read_list
from ..plots import id_order
from .answers import PLOT_TEXTS, VERTEX_TEXTS, Interpretation, name_problem, text_problem
from .tables import choice_table, vertex_table

TSA: Final = 999999
"""What V3 has in place of a path and row where plots are not kept by scene."""

CSV_COLUMNS: Final = (
    "tsa", "plotid", "image_year", "image_julday",
    "dominant_landuse", "dominant_landcover", "change_process",
)  # fmt: skip
"""Columns of the CSV that V3's server gives."""

_KEY: Final = ("project_id", "tsa", "plotid")
_LABELS: Final = tuple(name for name in VERTEX_TEXTS if name != "label_confidence")  # V3 has none
VERTEX_COLUMNS: Final = (
    *_KEY, "image_year", "image_julday", *_LABELS, "interpreter", "last_modified", "history_flag",
)  # fmt: skip
"""Columns of the rows for V3's table ``vertex``."""

COMMENT_COLUMNS: Final = (
    *_KEY, "interpreter", "comment", "is_example", "is_complete", "is_wetland", "uncertainty",
)  # fmt: skip
"""Columns of the rows for ``plot_comments``."""

PREFERENCE_COLUMNS: Final = (*_KEY, "image_year", "image_julday", "interpreter", "priority")
"""Columns of the rows for ``image_preference``."""

IDS: Final = "ids.csv"
"""The file that tells which number stands for which id."""

_IGNORED = {"vertex_id", "julday", "is_complete", "priority", "qa_by"}
"""Columns that say nothing more than others, or are of V3's server alone."""

_WHOLE = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guarded(text: str) -> str:
    """A text for a spreadsheet: what would be calculated gets an apostrophe before it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that was `guarded`."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


@dataclass(frozen=True)
class Ids:
    """Numbers that stand for ids, since V3 knows numbers only.

    An id that is a whole number as it is written ("7", not "07") stands for itself. All others are
    numbered in the order of ids, from the next number on, and `IDS` tells which is which.
    """

    numbers: Mapping[tuple[str, str, str], int]
    """By what it is (project, plot or interpreter), the project of a plot (else ""), and the id."""

    @classmethod
    def of(cls, answers: Iterable[Interpretation]) -> Ids:
        """The numbers of all ids of some answers."""
        groups: dict[tuple[str, str], set[str]] = {}
        for one in answers:
            groups.setdefault(("project", ""), set()).add(one.project)
            groups.setdefault(("plot", one.project), set()).add(one.plot)
            groups.setdefault(("interpreter", ""), set()).add(one.who)
        return cls(
            {
                (*group, name): number
                for group, names in groups.items()
                for name, number in _numbered(names).items()
            }
        )

    @classmethod
    def read(cls, path: str | Path) -> Ids:
        """The numbers that an export wrote to `IDS`. `PlotListError` for lines that are wrong."""
        columns = ("kind", "project_id", "id", "number")
        listed = read_list(path, [(name,) for name in columns])
        cells = zip(*(listed.column(name) for name in columns), strict=True)
        numbers, problems = {}, [f"line {at}: {text}" for at, text in listed.problems.items()]
        for (at, _), (kind, project, name, number) in zip(listed.rows, cells, strict=True):
            if not _WHOLE.fullmatch(number):
                problems.append(f"line {at}: {number!r} is no whole number: correct it")
            else:
                numbers[kind, unguarded(project), unguarded(name)] = int(number)
        if problems:
            raise PlotListError(str(path), problems)
        return cls(numbers)

    def number(self, kind: str, name: str, project: str = "") -> int:
        """The number of an id."""
        return self.numbers[kind, project, name]

    def name(self, kind: str, number: str, project: str = "") -> str:
        """The id that a number stands for; the number itself where none is told."""
        names = {
            str(value): name
            for (what, of, name), value in self.numbers.items()
            if (what, of) == (kind, project)
        }
        return names.get(number, number)

    def table(self) -> pd.DataFrame:
        """All of them: kind, project_id (of a plot), id, number."""
        rows = [
            (kind, guarded(project), guarded(name), number)
            for (kind, project, name), number in sorted(
                self.numbers.items(), key=lambda item: (item[0][:2], item[1])
            )
        ]
        return pd.DataFrame(rows, columns=["kind", "project_id", "id", "number"])


def _numbered(names: set[str]) -> dict[str, int]:
    whole = {name: int(name) for name in names if _WHOLE.fullmatch(name)}
    others = sorted(names - set(whole), key=id_order)
    first = max(whole.values(), default=0) + 1
    return whole | {name: number for number, name in enumerate(others, first)}


def write_v3(answers: list[Interpretation], folder: Path) -> int:
    """Write the CSV of V3's server for each project and interpreter, and rows for its tables.

    ::

        vertices_PROJECT_INTERPRETER.csv    as the server gives it
        vertex.csv, plot_comments.csv, image_preference.csv    rows for the tables
        ids.csv    which number stands for which id

    Count the vertices.
    """
    ids = Ids.of(answers)
    vertices = vertex_rows(answers, ids)
    for (project, who), part in vertices.groupby(["project_id", "interpreter"], sort=True):
        _write(part[list(CSV_COLUMNS)], folder / f"vertices_{project}_{who}.csv")
    _write(vertices, folder / "vertex.csv")
    _write(comment_rows(answers, ids), folder / "plot_comments.csv")
    _write(preference_rows(answers, ids), folder / "image_preference.csv")
    _write(ids.table(), folder / IDS)
    return len(vertices)


def vertex_rows(answers: list[Interpretation], ids: Ids) -> pd.DataFrame:
    """Rows for the table ``vertex``, by project, plot, interpreter and date."""
    changed = {(one.project, one.plot, one.who): one.changed for one in answers}
    table = vertex_table(answers)
    keys = list(zip(table["project_id"], table["plot_id"], table["interpreter"], strict=True))
    table["last_modified"] = [_moment(changed[key]) for key in keys]
    table = _with_numbers(table.assign(history_flag=0), ids)
    return _in_columns(table, VERTEX_COLUMNS)


def comment_rows(answers: list[Interpretation], ids: Ids) -> pd.DataFrame:
    """Rows for ``plot_comments``, one of each plot and interpreter."""
    rows = [
        {
            "project_id": one.project,
            "plot_id": one.plot,
            "interpreter": one.who,
            "is_complete": int(one.is_complete),
            "comment": one.texts.get("comment", ""),
            "uncertainty": one.texts.get("uncertainty", ""),
            **{name: one.texts.get(name, "") or "0" for name in ("is_example", "is_wetland")},
        }
        for one in answers
    ]
    return _in_columns(_with_numbers(pd.DataFrame(rows), ids), COMMENT_COLUMNS)


def preference_rows(answers: list[Interpretation], ids: Ids) -> pd.DataFrame:
    """Rows for ``image_preference``: the days that were chosen."""
    table = _with_numbers(choice_table(answers).assign(priority=1), ids)
    return _in_columns(table, PREFERENCE_COLUMNS)


def _with_numbers(table: pd.DataFrame, ids: Ids) -> pd.DataFrame:
    table = table.rename(columns={"year": "image_year", "doy": "image_julday"})
    if table.empty:
        return table.assign(plotid=[], tsa=[])
    pairs = zip(table["project_id"], table["plot_id"], strict=True)
    return table.assign(
        tsa=TSA,
        plotid=[ids.number("plot", plot, project) for project, plot in pairs],
        project_id=[ids.number("project", name) for name in table["project_id"]],
        interpreter=[ids.number("interpreter", name) for name in table["interpreter"]],
    )


def _in_columns(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    if table.empty:
        return pd.DataFrame(columns=list(columns))
    order = ["project_id", "tsa", "plotid", "interpreter"]
    dates = [name for name in ("image_year", "image_julday") if name in columns]
    return table.sort_values([*order, *dates], kind="stable")[list(columns)]


def _write(table: pd.DataFrame, path: Path) -> None:
    texts = table.select_dtypes(["object", "string"]).columns
    safe = table.assign(**{name: table[name].map(lambda v: guarded(str(v))) for name in texts})
    path.write_bytes(safe.to_csv(index=False, lineterminator="\n").encode())


def _moment(at: str) -> str:
    return at[:19].replace("T", " ")


@dataclass
class Imported:
    """An interpretation as a table of V3 has it, with those that it kept of before."""

    made: Interpretation
    """The current one; ``changed`` is empty where the table does not tell."""
    before: list[dict[str, dict[str, str]]]
    """Vertices of earlier ones, the earliest first."""


def read_v3(
    paths: Iterable[str | Path], ids: Ids, *, project_id: str = "", who: str = ""
) -> list[Imported]:
    """Answers in V3's CSV or tables, told apart by their columns.

    The server's CSV has neither project nor interpreter: ``project_id`` and ``who`` say them.
    `PlotListError` with every line that is wrong; `InputError` for columns of no table of V3.
    """
    found: dict[tuple[str, str, str], Imported] = {}
    for path in paths:
        listed = read_list(path, [("plotid",)])
        take = _taker(listed)
        missing = {"project_id": project_id, "interpreter": who}
        problems = [f"line {at}: {text}" for at, text in listed.problems.items()]
        for name, given in missing.items():
            if name not in listed.names and not given:
                option = "--project-id" if name == "project_id" else "--as"
                raise InputError(f"{path} does not say the {name}: give it by {option}")
        rows = _generations(listed)
        for at, cells in rows:
            row = missing | dict(zip(listed.names, map(unguarded, cells), strict=True))
            if problem := _take(found, row, ids, take, listed.names):
                problems.append(f"line {at}: {problem}")
        if problems:
            raise PlotListError(str(path), problems)
    return list(found.values())


Take = Callable[[Imported, dict[str, str]], str]


def _take(
    found: dict[tuple[str, str, str], Imported],
    row: dict[str, str],
    ids: Ids,
    take: Take,
    names: list[str],
) -> str:
    """Put a row where it belongs; what is wrong with it."""
    project = row["project_id"]
    who = row["interpreter"]
    if "project_id" in names:
        project = ids.name("project", project)
    if "interpreter" in names:
        who = ids.name("interpreter", who)
    if problem := name_problem(who):
        return problem
    key = project, ids.name("plot", row["plotid"], project), who
    one = found.setdefault(key, Imported(Interpretation(*key), []))
    return take(one, row)


def _generations(listed: UserList) -> list[tuple[int, tuple[str, ...]]]:
    """The rows, those of earlier interpretations (``history_flag`` below 0) first."""
    if "history_flag" not in listed.names:
        return list(listed.rows)
    at = listed.names.index("history_flag")

    def flag(row: tuple[int, tuple[str, ...]]) -> int:
        try:
            return int(row[1][at] or 0)
        except ValueError:
            return 0

    return sorted(listed.rows, key=flag)


def _taker(listed: UserList) -> Take:
    """What takes the rows of a table, by its columns."""
    names = set(listed.names)
    tables: list[tuple[tuple[str, ...], tuple[str, ...], Take]] = [
        (("image_year", "image_julday", "dominant_landuse"), VERTEX_COLUMNS, _take_vertex),
        (("image_year", "image_julday", "priority"), PREFERENCE_COLUMNS, _take_preference),
        (("comment", "is_example"), COMMENT_COLUMNS, _take_comment),
    ]
    for needed, known, take in tables:
        if names.issuperset(needed):
            if odd := sorted(names - {*known, *VERTEX_TEXTS, *PLOT_TEXTS, *_IGNORED}):
                raise InputError(
                    f"{listed.source} has the columns {', '.join(odd)}, which would be lost: drop "
                    "them if they do not matter"
                )
            return take
    raise InputError(
        f"{listed.source} has the columns {', '.join(listed.header)}, which are of no table of V3: "
        f"its CSV has {', '.join(CSV_COLUMNS)}"
    )


def _take_vertex(one: Imported, row: dict[str, str]) -> str:
    day, problem = _day(row)
    flag = row.get("history_flag") or "0"
    texts = {name: row[name] for name in VERTEX_TEXTS if row.get(name)}
    wrong = [text_problem(name, text) for name, text in texts.items()]
    if problem := problem or next(filter(None, wrong), ""):
        return problem
    if not re.fullmatch(r"0|-[1-9]\d{0,3}", flag):
        return f"history_flag {flag!r} is neither 0 nor a negative whole number"
    vertices = one.made.vertices
    if flag != "0":
        while not one.before or one.before[-1].get("", {}).get("flag") != flag:
            one.before.append({"": {"flag": flag}})
        vertices = one.before[-1]
    if day in vertices:
        return f"the vertex of {day} is there twice"
    vertices[day] = texts
    if flag == "0" and (at := row.get("last_modified", "")):
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            return f"last_modified {at!r} is no time"
        utc = moment.astimezone(UTC) if moment.tzinfo else moment
        one.made.changed = max(one.made.changed, f"{utc:%Y-%m-%dT%H:%M:%S}Z")
    return ""


def _take_preference(one: Imported, row: dict[str, str]) -> str:
    day, problem = _day(row)
    if not problem:
        one.made.choices[int(day[:4])] = day
    return problem


def _take_comment(one: Imported, row: dict[str, str]) -> str:
    for name in PLOT_TEXTS:
        text = row.get(name, "")
        if problem := text_problem(name, text):
            return problem
        if text and not (name.startswith("is_") and text == "0"):
            one.made.texts[name] = text
    return ""


def _day(row: dict[str, str]) -> tuple[str, str]:
    """The day of a row, and what is wrong with it."""
    year, doy = row["image_year"], row["image_julday"]
    if not (_WHOLE.fullmatch(year) and _WHOLE.fullmatch(doy) and 1900 <= int(year) <= 2200):
        return "", f"image_year {year!r}, image_julday {doy!r} are no year and day of it"
    day = date(int(year), 1, 1) + timedelta(int(doy) - 1)
    if day.year != int(year):
        return "", f"image_julday {doy} is no day of {year}"
    return day.isoformat(), ""
