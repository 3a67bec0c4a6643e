"""The ledger: what became of every plot of a project, kept in its folder.

`timesync_xr.project.files` tells where its files lie.

Rows of ``plots.csv`` are replaced, not appended to, and files only ever appear whole, so that any
process can read the ledger at any moment. The table is written anew when the recent rows have
grown to a fixed share of it, so that keeping it costs the same per plot however many there are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import pandas as pd

from ..cube.selection import Selection
from ..errors import DamagedError, InputError, NoProjectError, ProjectError
from ..plots import Plot, id_order, id_problem
from ..storage.folder import Folder, read_file
from .files import ASIDE, PLOTS, RECENT
from .log import (
    FAILED,
    FILL_AT_PLOT,
    FILTERED,
    OTHER_PLATFORM,
    REFUSED,
    SUPERSEDED,
    WHY,
    WITHOUT_CHIP,
    WRITTEN,
    log_checksum,
)
from .products import FORMATS

COMPLETE, INCOMPLETE, NO_ITEMS = "complete", "incomplete", "no items"
"""Status of a plot: everything there is was written or accounted for, something failed, or no item
that can be read was found for it."""

CHECK = "Check --grid, --datetime and --source"
"""Remedy where a plot has no items."""

COLUMNS = (
    "project_id",
    "plot_id",
    "x",
    "y",
    "status",
    "observations",
    "written",
    "without_chip",
    "fill_at_plot",
    "other_platform",
    "filtered",
    "failed",
    "superseded_items",
    "refused_items",
    "failures",
    "source",
    "fallback",
    "datetime",
    "products",
    "filters",
    "log_checksum",
)
"""Columns of the table of plots.

``observations`` counts all of the plot, the next six what became of them; then items left out.
The days are in the plot's log. ``failures`` is a JSON list of the first `FAILURES` that failed,
with day, sensor, asset, kind, cause and remedy; ``source`` names the archives that were read, with
semicolons between, ``fallback`` counts observations of which files were read in a second one;
``datetime``, ``products`` and ``filters`` are what was asked for; ``log_checksum`` is the CRC-32 of
the plot's log.
"""

FAILURES = 20
"""How many failures of a plot its row tells, so that the table stays small; the log has all."""


def ledger_row(
    plot: Plot, log: pd.DataFrame, datetime: str, products: str, filters: str
) -> dict[str, Any]:
    """The row of a plot from its log."""
    count = log["outcome"].value_counts()
    failed = log[log["outcome"] == FAILED]
    observations = len(log) - count.get(SUPERSEDED, 0) - count.get(REFUSED, 0)
    status = INCOMPLETE if len(failed) else COMPLETE if observations else NO_ITEMS
    return {
        "project_id": plot.project_id,
        "plot_id": plot.plot_id,
        "x": plot.x,
        "y": plot.y,
        "status": status,
        "observations": observations,
        "written": count.get(WRITTEN, 0),
        "without_chip": count.get(WITHOUT_CHIP, 0),
        "fill_at_plot": count.get(FILL_AT_PLOT, 0),
        "other_platform": count.get(OTHER_PLATFORM, 0),
        "filtered": count.get(FILTERED, 0),
        "failed": len(failed),
        "superseded_items": count.get(SUPERSEDED, 0),
        "refused_items": count.get(REFUSED, 0),
        "failures": failed[["day", "sensor", *WHY]].head(FAILURES).to_json(orient="records"),
        "source": "; ".join(sorted({*log["source"]} - {""})),
        "fallback": int((log["fallback"] != "").sum()),
        "datetime": datetime,
        "products": products,
        "filters": filters,
        "log_checksum": log_checksum(log),
    }


def other_than_log(row: Mapping[Any, Any], log: pd.DataFrame) -> list[str]:
    """Columns of a row in which it is not what the log of its plot comes to.

    None of a plot that is incomplete, whose log may be newer.
    """
    if row["status"] == INCOMPLETE:
        return []
    plot = Plot(row["project_id"], row["plot_id"], row["x"], row["y"])
    told = ledger_row(plot, log, row["datetime"], row["products"], row["filters"])
    return [name for name in COLUMNS if row[name] != told[name]]


def failures_of(row: Mapping[Any, Any]) -> list[dict[str, str]]:
    """What failed first of a plot, from its row: day, sensor and the columns `WHY` of each."""
    return json.loads(row["failures"])  # type: ignore[no-any-return]


class Ledger:
    """The ledger of a project, open for writing. A project has one writer at a time."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._known = folder.names(RECENT)
        self.rows = {(r["project_id"], r["plot_id"]): r for r in _rows(folder)}
        self._made: dict[tuple[str, str], dict[str, Any]] = {}
        self._recent = max(map(_number, self._known), default=0)
        self._written = self._recent
        self._compact()

    def row(self, plot: Plot) -> dict[str, Any] | None:
        """The row of a plot; None where there is none."""
        return self.rows.get((plot.project_id, plot.plot_id))

    def record(self, plot: Plot, row: dict[str, Any]) -> None:
        """Keep the row of a plot, whose log is there; it is on disk when this returns."""
        self._made[plot.project_id, plot.plot_id] = row
        self.rows[plot.project_id, plot.plot_id] = row
        self._recent += 1
        name = f"{self._recent:08d}.csv"
        self.folder.write(f"{RECENT}/{name}", _csv(_table([row])))
        self._known.add(name)
        if (self._recent - self._written) * 4 >= len(self.rows):
            self._compact()

    def begin(self, plot: Plot, row: dict[str, Any]) -> None:
        """Say that a plot is begun, before any of its files is touched; on disk when this returns.

        It counts as incomplete until it is recorded, at the place and with the products of ``row``.
        """
        row = row | {"status": INCOMPLETE}
        old = self.row(plot)
        if old is not None:
            row = old | {key: row[key] for key in ("x", "y", "status", "products")}
        if row != old:
            self.record(plot, row)

    def reopen(self, plots: Iterable[Plot]) -> None:
        """Take plots for incomplete until they are recorded again; on disk when this returns.

        A run with other filters takes files away: stopped halfway, it must not leave plots that
        count as complete by the filters of before.
        """
        keys = [(plot.project_id, plot.plot_id) for plot in plots]
        for key in keys:
            self.rows[key] = self.rows[key] | {"status": INCOMPLETE}
            self._made[key] = self.rows[key]
        if keys:
            self._write_table()

    def table(self) -> pd.DataFrame:
        """The table of plots, with `COLUMNS`; its order is that of the ids, however it was made."""
        return _table(
            [self.rows[key] for key in sorted(self.rows, key=lambda key: [*map(id_order, key)])]
        )

    def close(self) -> None:
        """Bring ``plots.csv`` up to date."""
        self._compact()

    def _compact(self) -> None:
        """Write the table, then remove the recent rows that it holds, the oldest first.

        A run that is killed in between leaves rows that the table holds already; reading them
        again, in order, changes nothing.
        """
        if self._known:
            self._write_table()
            self._written = self._recent
        for name in sorted(self._known):  # and none that another run wrote meanwhile
            self.folder.remove(f"{RECENT}/{name}")
        self._known.clear()

    def _write_table(self) -> None:
        """Write the table, only in place of the one that was read.

        Another run may have written it that has lost its lock since: its plots are kept, too.
        """
        while not self.folder.replace(PLOTS, _csv(self.table())):
            found = {(r["project_id"], r["plot_id"]): r for r in _rows(self.folder)}
            self.rows = self.rows | found | self._made


def read_ledger(folder: Folder, damaged: list[str] | None = None) -> pd.DataFrame:
    """The table of plots of a project, while a run writes it or after: `COLUMNS`, ids as text.

    `NoProjectError` where there is no ledger. A damaged file is a `ProjectError`, but where there
    is a list of ``damaged`` ones to put its path into: then the rows of it that are right count.
    """
    if not folder.names("ledger"):
        raise NoProjectError(folder.root)
    return _table(_rows(folder, damaged))


def mend_ledger(folder: Folder) -> None:
    """Write a ledger anew of the rows that can be read, as incomplete; keep damaged files aside.

    A row of a file that is damaged may be older than what was done to its plot, so each plot is to
    be looked at again. `AccessError` where the disk can't read a file: maybe it can later.
    """
    damaged: list[str] = []
    rows = _rows(folder, damaged)
    if not damaged:
        return
    for name in damaged:
        with suppress(FileNotFoundError):
            folder.write(f"{ASIDE}/{name.rpartition('/')[2]}", folder.read(name))
    folder.write(PLOTS, _csv(_table([row | {"status": INCOMPLETE} for row in rows])))
    for name in folder.names(RECENT):
        folder.remove(f"{RECENT}/{name}")


def _rows(folder: Folder, damaged: list[str] | None = None) -> list[dict[str, Any]]:
    """Rows of all plots, the newest of each."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    # The names first: what is moved into the table in the meantime is then read twice, not missed.
    recent = [f"{RECENT}/{name}" for name in sorted(folder.names(RECENT))]
    for name in [PLOTS, *recent]:
        try:
            data = folder.read(name) if damaged is None else read_file(folder, name)
        except FileNotFoundError:
            continue
        except DamagedError:
            data = b""
        found = _parsed(data)
        if found is None or not (name == PLOTS or name.endswith(".csv")):
            if damaged is None:
                raise ProjectError(
                    f"{folder.root}/{name} is damaged: timesync-xr verify --repair keeps what can "
                    "be read of it, and looks at all plots again; files that are right are kept"
                )
            damaged.append(name)
            found = [row for line in data.splitlines(keepends=True) for row in _parsed_line(line)]
        newest |= {(r["project_id"], r["plot_id"]): r for r in found}
    return list(newest.values())


_HEADER = ",".join(COLUMNS).encode() + b"\n"
_COUNTS = (*COLUMNS[5:14], "fallback")
_TEXTS = [name for name in COLUMNS if name not in (*_COUNTS, "x", "y", "status")]
_KINDS: dict[Hashable, type] = dict.fromkeys(_COUNTS, int) | dict.fromkeys(_TEXTS, str)


def _parsed_line(line: bytes) -> list[dict[str, Any]]:
    """The row of a line of a damaged table, none where it is not right."""
    return _parsed(_HEADER + line) or [] if line.endswith(b"\n") and line != _HEADER else []


def _parsed(data: bytes) -> list[dict[str, Any]] | None:
    """The rows of a table as it was written; None for what is none."""
    if not data.startswith(_HEADER) or not data.endswith(b"\n"):
        return None
    try:
        table = pd.read_csv(io.BytesIO(data), dtype=_KINDS, keep_default_na=False)
        rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
        return rows if all(map(_is_right, rows)) and _are_known(rows) else None
    except (ValueError, TypeError, ArithmeticError, InputError, RecursionError):
        return None


def _is_right(row: Mapping[str, Any]) -> bool:
    """Whether a row says what one may say."""
    products = row["products"].split(",")
    return (
        row["status"] in (COMPLETE, INCOMPLETE, NO_ITEMS)
        and not id_problem(row["project_id"])
        and not id_problem(row["plot_id"])
        and all(isinstance(row[axis], int | float) and abs(row[axis]) < _FARTHEST for axis in "xy")
        and all(row[name] >= 0 for name in _COUNTS)
        and products == [name for name in FORMATS if name in products]
        and (row["failures"] == "[]" or isinstance(json.loads(row["failures"]), list))
    )


_FARTHEST: Final = 1e9
"""Metres of no grid."""


def _are_known(rows: list[dict[str, Any]]) -> bool:
    """Whether dates and filters of rows are such; `InputError` tells of one that is none."""
    for datetime, filters in {(row["datetime"], row["filters"]) for row in rows}:
        Selection.parse(filters, datetime)
    return True


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _number(name: str) -> int:
    return int(name.removesuffix(".csv"))
