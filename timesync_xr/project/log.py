"""The log of a plot: what every observation is made of, and what became of it.

It is a table with a row per observation, followed by a row per item that is part of none. It is
kept in the ledger; the next run takes over the days that are settled and did not change.

It vouches for files, so it is written before and after them. First it says which days are begun:
whatever lies under their names is not to be trusted, until the log says that they are written.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..catalog.dates import parse_time
from ..cube.plan import Plan
from ..cube.schema import DIMS, plot_window, select_bands
from ..cube.selection import NOT_CLEAR, Selection
from ..errors import DamagedError, Kind, ProjectError, ReadError
from ..landsat import BANDS, FILL, GRADES
from ..spectral.quality import contract_qa, is_clear, is_fill, is_valid, qa_grade
from ..storage.folder import Folder, read_file
from .files import PlotIds, log_path

WRITTEN: Final = "written"
WITHOUT_CHIP: Final = "without chip"
FILL_AT_PLOT: Final = "fill at plot"
OTHER_PLATFORM: Final = "other platform"
FILTERED: Final = "filtered"
FAILED: Final = "failed"
SUPERSEDED: Final = "superseded"
REFUSED: Final = "refused"
BEGUN: Final = "begun"

OUTCOMES: Final = (
    WRITTEN,
    WITHOUT_CHIP,
    FILL_AT_PLOT,
    OTHER_PLATFORM,
    FILTERED,
    FAILED,
    SUPERSEDED,
    REFUSED,
    BEGUN,
)
"""What can become of an observation, or of an item that is part of none.

written: its files are there. without chip: its row of spectra is there, and neither a chip nor a
part of the plot's cube, see `timesync_xr.ChipsPerYear`. fill at plot: the plot pixel holds no data.
other platform: two saw the plot on that day and the other was taken. filtered: the user asked to
leave it out, see `timesync_xr.Selection`. failed: an asset can't be read. superseded: an item whose
place and date was processed again later. refused: an item that must not be read. begun: a run is at
it, or was stopped there; whatever it has left of that day is not to be trusted.
"""

MADE: Final = (WRITTEN, WITHOUT_CHIP)
"""Outcomes of observations that have a row of spectra, where the plot was made with them."""

LEFT_OUT: Final = (SUPERSEDED, REFUSED)
"""Outcomes of items that are part of no observation."""

METADATA: Final = (
    "date",
    "day",
    "sensor",
    "hv",
    "item_ids",
    "processed",
    "scene_count",
    "cloud_cover",
)
"""Columns that come from the items: those of the plot's own tile, and the ids of all."""

PIXELS: Final = (
    "qa_pixel", "valid_range", "bands_filled", "fill_share", "clear_share", "checksum",
)  # fmt: skip
"""Columns that were measured, as text, empty where nothing was read.

The raw QA_PIXEL at the plot; whether all six bands are in their valid range there (1 or 0, by
`timesync_xr.is_valid`), and how many of them are fill; the shares of the chip's pixels that are
fill in any surface reflectance band, and that are clear by `timesync_xr.is_clear`; the CRC-32 of
all digital numbers (band, y, x) of the chip as little-endian uint16, in hexadecimal.
"""

OF_CHIP: Final = PIXELS[3:]
"""Those of `PIXELS` that only a whole chip tells: empty where the plot pixel alone was read."""

READ: Final = ("source", "fallback")
"""Columns that tell where an observation was read, empty where nothing was.

The archive by its name; and the second one with the assets that were read there, since they are
missing or broken in the first: ``earth-search: LC08_L2SP_195027_20200701_02_T1 red``.
"""

WHY: Final = ("asset", "kind", "cause", "remedy")
"""Columns that tell why an observation failed (a `ReadError`) or was left out, or an item was.

``kind`` is one of `timesync_xr.errors.Kind` where it failed, else empty.
"""

COLUMNS: Final = (
    *METADATA[:4], "outcome", *METADATA[4:], *PIXELS, *READ, *WHY, "kept", "chip",
)  # fmt: skip
"""Columns of a log. ``kept`` is 1 where an observation is there from an earlier run and would not
be made now: its items are gone or refused, or filtered by now. ``chip`` says which pixels it is
about, as `timesync_xr.grid.ChipGrid` does."""

_TAKEN: Final = ("outcome", *PIXELS, *READ)
"""Columns that are taken over from an earlier run."""

IDENTITY: Final = ["day", "sensor", "item_ids", "processed"]
"""Columns that say which pixels of a chip an observation has: where they are the same as before,
nothing of it is read again."""

TITLES: Final = ["date", "hv"]
"""Columns that files hold beside the pixels: where these alone differ, files get them anew."""

KEPT: Final = "kept from an earlier run"
"""How people are told of an observation that is ``kept``."""

GIVE_UP: Final = "Not all of its files are there: bring its items back, or extract with --prune"

RIVAL: Final = "another platform has the files of the day, kept from an earlier run"
"""Why an observation of a day is left out whose files were made of what is gone by now."""

Rows = npt.NDArray[np.int64]
"""Rows of a log."""


class DamagedLogError(ProjectError):
    """The log of a plot can't be read: nothing is known of its files."""

    kind = Kind.CORRUPT


@dataclass(frozen=True, eq=False)
class ObservationLog:
    """The log of a plot while its observations are made. The table fills up as they are settled."""

    plan: Plan
    """What the observations are made of."""
    selection: Selection
    """Which of them are wanted."""
    table: pd.DataFrame
    """A row per observation of the plan; its outcome is empty until it is settled."""
    without_chip: dict[str, str] = field(default_factory=dict)
    """Days of which rows of spectra alone are made, and why."""

    @classmethod
    def start(cls, plan: Plan, selection: Selection) -> ObservationLog:
        """The log of a plan, before anything was read.

        An observation that lacks a record because its item was refused would have a hole: it
        stands for that item, and is refused. One that lacks the plot's own tile is fill at the
        plot; what metadata rule out is filtered.
        """
        empty = dict.fromkeys((*PIXELS, *READ, *WHY, "kept"), "")
        table = plan.observations[list(METADATA)].assign(**empty)
        table["outcome"] = np.where(plan.observations["at_plot"], "", FILL_AT_PLOT)
        causes = selection.causes(plan.observations)
        ruled_out = (table["outcome"] == "").to_numpy() & (causes != "")
        table.loc[ruled_out, "outcome"] = FILTERED
        table.loc[ruled_out, "cause"] = causes[ruled_out]
        for item in plan.lacking().to_dict("records"):
            holed = (table["day"] == item["day"]) & (table["sensor"] == item["sensor"])
            why = [REFUSED, item["item_id"], item["refused"]]
            table.loc[holed, ["outcome", "item_ids", "cause"]] = why
        table["chip"] = str(plan.grid)
        return cls(plan, selection, table[list(COLUMNS)])

    @property
    def open(self) -> npt.NDArray[np.bool_]:
        """Which observations have no outcome yet."""
        return (self.table["outcome"] == "").to_numpy()

    @property
    def open_without_chip(self) -> npt.NDArray[np.bool_]:
        """Which observations are open, of whose days rows of spectra alone are made."""
        return self.open & self.table["day"].isin([*self.without_chip]).to_numpy()

    @property
    def made_days(self) -> set[str]:
        """Days of which an observation has a row of spectra."""
        return set(self.table.loc[self.table["outcome"].isin(MADE), "day"])

    @property
    def has_failures(self) -> bool:
        """Whether an observation failed."""
        return bool((self.table["outcome"] == FAILED).any())

    @property
    def in_cube(self) -> npt.NDArray[np.bool_]:
        """Which observations belong in the plot's cube, see `is_in_cube`."""
        return is_in_cube(self.table)

    @property
    def sources(self) -> list[str]:
        """The archives in which the observations of the plot's cube were read, in order."""
        rows = self.table.loc[self.in_cube, list(READ)]
        return sorted({*rows["source"], *rows["fallback"].str.split(":").str[0]} - {""})

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """Of which observations the whole chip was read, not the plot pixel alone."""
        return (self.table["checksum"] != "").to_numpy()

    def see(self, rows: Rows, qa: npt.NDArray[np.uint16], read: pd.DataFrame) -> None:
        """Settle rows whose QA_PIXEL at the plot says fill, or not clear where that matters.

        ``read`` has the columns `READ` of these rows, in their order.
        """
        fill = is_fill(qa)
        unclear = ~is_clear(qa) & ~fill if self.selection.clear_only else np.zeros_like(fill)
        self.table.loc[rows[fill], "outcome"] = FILL_AT_PLOT
        self.table.loc[rows[unclear], ["outcome", "cause", "kept"]] = [FILTERED, NOT_CLEAR, ""]
        settled = fill | unclear
        self.table.loc[rows[settled], "qa_pixel"] = qa[settled].astype(str)
        self.table.loc[rows[settled], list(READ)] = read[list(READ)].to_numpy()[settled]

    def fail(self, rows: Rows, error: ReadError) -> None:
        """Mark rows as failed, and with them all other rows of their days that are still open.

        Were another platform taken for the day, no one would look at this one again.
        """
        days = self.table["day"].isin(self.table["day"].iloc[rows])
        self.table.loc[np.union1d(rows, np.flatnonzero(days & self.open)), "outcome"] = FAILED
        failed = days & (self.table["outcome"] == FAILED)
        why = [error.asset, error.kind.value, error.cause, error.remedy]
        self.table.loc[failed, [*WHY, "kept"]] = [*why, ""]

    def settle(self, made: pd.DataFrame) -> None:
        """Take in what became of observations: outcome, `PIXELS`, `READ`, by their rows.

        Those that are written, of days `without_chip`, are said to be so.
        """
        self.table.loc[made.index, list(made.columns)] = made.to_numpy()
        days = self.table.loc[made.index, "day"]
        bare = days[(made["outcome"] == WRITTEN) & days.isin([*self.without_chip])]
        self.table.loc[bare.index, "outcome"] = WITHOUT_CHIP
        self.table.loc[bare.index, "cause"] = bare.map(self.without_chip)

    def take_over(self, kept: pd.DataFrame, is_there: Callable[[list[str]], set[str]]) -> None:
        """Settle the days that were settled before and whose observations are the same as then.

        What was read of an observation then tells whether it is wanted now. ``is_there`` tells of
        which of some days all files are there: without them a day that was written is made again.
        Days without a chip stay open until it is known whether they get one, see `take_rows`.
        """
        if kept.empty:
            return
        same = self.as_before(kept)
        known = np.flatnonzero(self.open & (same["qa_pixel"] != ""))
        self.see(known, same["qa_pixel"].iloc[known].to_numpy(np.uint16), same.iloc[known])
        open_ = self.open
        taken = same["outcome"].where(open_ & ~same["outcome"].isin([FILTERED, WITHOUT_CHIP]), "")
        written = self.table.loc[taken == WRITTEN, "day"].unique().tolist()
        changed = {*self.table["day"][open_ & (taken == "")], *(set(written) - is_there(written))}
        changed |= set(kept["day"][kept["outcome"].isin(MADE)]) - set(written)
        settled = np.flatnonzero(open_ & ~self.table["day"].isin(changed))
        columns = list(_TAKEN)
        self.table.loc[settled, columns] = same.loc[settled, columns].to_numpy()

    def take_rows(self, kept: pd.DataFrame, have_rows: Callable[[list[str]], set[str]]) -> None:
        """Settle open days `without_chip` that have their row and whose observations are the same.

        ``have_rows`` tells which of some days have a row. What a chip told of a day that had one is
        empty then, but where only chips tell the platforms of the day apart: as if it had none.
        """
        same, days = self.as_before(kept), self.table["day"]
        open_ = self.open_without_chip
        known = open_ & same["outcome"].isin([*MADE, OTHER_PLATFORM]) & (same["qa_pixel"] != "")
        before = same["outcome"].where(known, "")
        made = set(days[before.isin(MADE)])
        changed = set(days[open_ & (before == "")])
        settled = open_ & days.isin((made & have_rows(sorted(made))) - changed)
        taken = same.loc[settled, list(_TAKEN)].replace({"outcome": WITHOUT_CHIP}, WRITTEN)
        rows = same[settled]
        alike = days_alike(_ranks(rows))
        had_chips = set(days[before == WRITTEN]) - alike
        taken.loc[rows["day"].isin(had_chips), list(OF_CHIP)] = ""
        self.settle(taken)

    def as_before(self, kept: pd.DataFrame) -> pd.DataFrame:
        """For each row what was settled before of the same observation: all empty for others."""
        settled = [*MADE, FILL_AT_PLOT, OTHER_PLATFORM, FILTERED]
        before = kept[kept["outcome"].isin(settled)]
        return self.table[IDENTITY].merge(before, on=IDENTITY, how="left").fillna("")

    def measured(self, kept: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Of which rows a whole chip was measured before that was not fill at the plot."""
        same = self.as_before(kept)
        return is_in_cube(same) & (same["checksum"] != "").to_numpy()

    def renamed(self, kept: pd.DataFrame) -> pd.DataFrame:
        """The rows that were taken over and whose `TITLES` are other than those of a kept log.

        Each with the kept ones as ``date_kept`` and ``hv_kept``.
        """
        taken = self.table[self.table["outcome"].isin(MADE)].reset_index()
        before = kept.loc[kept["outcome"].isin(MADE), [*IDENTITY, *TITLES]]
        both = taken.merge(before, on=IDENTITY, suffixes=("", "_kept")).set_index("index")
        other = (both["date"] != both["date_kept"]) | (both["hv"] != both["hv_kept"])
        return both[other]

    def open_again(self, days: Iterable[str]) -> None:
        """Take back what was settled of days, so that they are made anew."""
        of_days = self.table["day"].isin(list(days))
        settled = of_days & self.table["outcome"].isin([*MADE, OTHER_PLATFORM])
        self.table.loc[settled, "outcome"] = ""

    def leave_out(self, rows: npt.NDArray[np.bool_], cause: str, kind: str = "") -> None:
        """Filter some rows, of which no more than QA_PIXEL is told then."""
        self.table.loc[rows, ["outcome", "kind", "cause", "kept"]] = [FILTERED, kind, cause, ""]
        self.table.loc[rows, list(PIXELS[1:])] = ""

    def keep_up(self, days: set[str], why: str) -> None:
        """Say of days that are there from an earlier run why they would not be made now."""
        held = self.table["outcome"].isin(["", WRITTEN]) & (self.table["cause"] == "")
        held &= self.table["day"].isin(days)
        self.table.loc[held, ["cause", "kept"]] = [f"{KEPT}: {why}", "1"]

    def withdrawn(self, kept: pd.DataFrame) -> set[str]:
        """Days that were written or begun and now are to be made anew, or not at all."""
        return days_with_files(kept) - days_with_files(self.table)

    def bared(self, kept: pd.DataFrame) -> set[str]:
        """Days that have files and from now on their rows of spectra alone: their chips go."""
        bare, before = (
            set(log.loc[log["outcome"] == WITHOUT_CHIP, "day"]) for log in (self.table, kept)
        )
        return (bare - before) & days_with_files(kept)

    def lost(self, kept: pd.DataFrame) -> pd.DataFrame:
        """The rows of a kept log that have files or are in a cube, and are not to be made now."""
        made = self.table[self.table["outcome"].isin(["", *MADE, OTHER_PLATFORM, FAILED])]
        there = _names(kept).isin(_names(made))
        is_there = _has_files(kept) | (kept["outcome"] == OTHER_PLATFORM)
        return kept[is_there & (kept["outcome"] != BEGUN) & ~there]

    def holding(self, lost: pd.DataFrame, whole: set[str], before: pd.DataFrame) -> ObservationLog:
        """The log with rows that are `lost`, of which those of the days ``whole`` stay as they are.

        Others lack files that can't be made any more: they fail. What another platform saw on such
        a day stays what it was in the log of ``before``, or is left out: the day has its files.
        """
        if lost.empty:
            return self
        key, numbers, why = ["day", "sensor"], with_numbers(lost), self._causes()
        names = zip(lost["day"], lost["sensor"], strict=True)
        causes = [f"{KEPT}: {why.get(name, 'its items are gone')}" for name in names]
        plan = self.plan.with_observations(
            numbers.assign(
                time=[parse_time(date) for date in lost["date"]],
                item_id=lost["item_ids"].str.split().str[0],
                at_plot=True,
            )
        )
        outcomes = lost["outcome"].where(
            lost["outcome"].isin([OTHER_PLATFORM, WITHOUT_CHIP]), WRITTEN
        )
        held = lost.assign(outcome=outcomes, asset="", kind="", remedy="", cause=causes, kept="1")
        told = pd.concat([held, self._beside(days_with_files(held), before)])
        told = told.drop_duplicates(key)
        rest = told[[*key, *_TAKEN, *WHY, "kept", "chip"]]
        table = plan.observations[list(METADATA)].merge(rest, on=key, how="left")
        log = replace(self, plan=plan, table=table[list(COLUMNS)])
        log.give_up(log.kept & ~table["day"].isin(whole).to_numpy())
        return log

    def _beside(self, days: set[str], before: pd.DataFrame) -> pd.DataFrame:
        """The table, with what would take the place of the files of some days settled."""
        key, table = ["day", "sensor", "item_ids"], self.table.copy()
        same = table[key].merge(before, on=key, how="left").fillna("")
        rival = (table["day"].isin(days) & table["outcome"].isin(["", *MADE, FAILED])).to_numpy()
        known = rival & (same["outcome"] == OTHER_PLATFORM).to_numpy()
        columns = list(_TAKEN)
        table.loc[known, columns] = same.loc[known, columns].to_numpy()
        table.loc[rival & ~known, "outcome"] = FILTERED
        table.loc[rival, [*WHY, "kept"]] = ""
        table.loc[rival & ~known, "cause"] = RIVAL
        return table

    def _causes(self) -> dict[tuple[str, str], str]:
        """Why nothing is made of observations, by day and sensor, in words."""
        refused = self.plan.refused[["day", "sensor", "refused"]].set_axis([*"dsc"], axis=1)
        now = self.table[["day", "sensor", "cause"]].set_axis([*"dsc"], axis=1)
        now["c"] = now["c"].where(now["c"] != "", self.table["outcome"])
        return {(d, s): c for d, s, c in pd.concat([refused, now]).itertuples(index=False)}

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which observations are there from an earlier run, and would not be made now."""
        return _is_kept(self.table).to_numpy()

    def give_up(self, rows: npt.NDArray[np.bool_]) -> None:
        """Mark kept observations as failed (a bool for each), as something of them is missing.

        With them all else of their days fails, as `fail` has it: nothing takes their place.
        """
        days = self.table["day"].isin(self.table.loc[rows, "day"])
        beside = (days & (self.table["outcome"] == OTHER_PLATFORM)).to_numpy()
        why = [FAILED, Kind.MISSING.value, GIVE_UP]
        self.table.loc[rows | beside, ["outcome", "kind", "remedy"]] = why
        self.table.loc[rows | beside, "asset"] = self.table.loc[rows | beside, "item_ids"]

    def finished(self) -> pd.DataFrame:
        """The whole table: the observations, then the items that are part of none."""
        plan, table = self.plan, self.table
        if plan.refused.empty and plan.superseded.empty:
            return table
        told = table.loc[table["outcome"] == REFUSED, "item_ids"]
        refused = plan.refused[~plan.refused["item_id"].isin(told)]
        rest = pd.concat(
            [
                plan.superseded.assign(outcome=SUPERSEDED, cause="processed again later"),
                refused.assign(outcome=REFUSED, cause=refused["refused"]),
            ]
        )
        rest = rest.assign(
            hv=rest["place"],
            item_ids=rest["item_id"],
            chip=str(plan.grid),
            **dict.fromkeys((*PIXELS, *READ, "asset", "kind", "remedy", "kept"), ""),
        )
        return pd.concat([table, rest[list(COLUMNS)]], ignore_index=True)


def _is_kept(log: pd.DataFrame) -> pd.Series[bool]:
    return log["kept"] == "1"


def _has_files(log: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of a log have files, all of them or some."""
    is_kept = _is_kept(log) & (log["outcome"] != OTHER_PLATFORM)
    return log["outcome"].isin([*MADE, BEGUN]) | is_kept


def _names(log: pd.DataFrame) -> pd.MultiIndex:
    """Day and sensor of each row, which no two observations share."""
    return pd.MultiIndex.from_frame(log[["day", "sensor"]])


def days_with_files(log: pd.DataFrame) -> set[str]:
    """Days of which files are there by a log, all of them or some."""
    return set(log.loc[_has_files(log), "day"])


def with_begun(log: pd.DataFrame, kept: pd.DataFrame, days: set[str]) -> pd.DataFrame:
    """A log that says of some days that they are begun, also where only a kept log knows them."""
    begun = log["day"].isin(days) & log["outcome"].isin(["", *MADE])
    log = log.assign(outcome=log["outcome"].mask(begun, BEGUN))
    rest = kept[kept["day"].isin(days - set(log.loc[begun, "day"]))].drop_duplicates("day")
    if rest.empty:
        return log
    return pd.concat([log, rest.assign(outcome=BEGUN)], ignore_index=True)


def is_in_cube(log: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows of a log belong in the plot's cube.

    Those whose plot pixel is not fill, of the days that are not without a chip.
    """
    bare = log["day"].isin(log.loc[log["outcome"] == WITHOUT_CHIP, "day"])
    return (log["outcome"].isin([WRITTEN, OTHER_PLATFORM]) & ~bare).to_numpy()


def days_alike(ranks: pd.DataFrame) -> set[Any]:
    """Days whose best two observations are alike at the plot pixel: only chips tell them apart.

    ``ranks`` has a row per observation: ``day``, ``unusable`` (`contract_qa`) and ``grade``
    (`qa_grade`, 9 where a band is fill); the less, the better.
    """
    doubled = ranks[ranks["day"].duplicated(keep=False)].sort_values(["unusable", "grade"])
    best_two = doubled[doubled.groupby("day").cumcount() < 2]
    return set(best_two.loc[best_two[["day", "unusable", "grade"]].duplicated(), "day"])


def _ranks(log: pd.DataFrame) -> pd.DataFrame:
    """Rows of a log that were read, for `days_alike`."""
    qa = log["qa_pixel"].to_numpy(np.uint16)
    grade = np.where(log["bands_filled"] != "0", GRADES["no data"], qa_grade(qa))
    return log[["day"]].assign(unusable=contract_qa(qa), grade=grade)


def measure_pixels(cube: xr.DataArray) -> pd.DataFrame:
    """The columns `PIXELS`, as text, of each observation of a cube (time, band, y, x) in memory."""
    from isal import isal_zlib

    in_order = select_bands(cube, BANDS).variable.transpose(*DIMS).to_numpy()
    pixels = np.ascontiguousarray(in_order, "<u2")
    plot = plot_window(cube)
    at_plot = pixels[..., plot["y"].start, plot["x"].start]
    bands, qa = at_plot[:, :-1], at_plot[:, -1]
    told = [
        qa.astype(str).tolist(),
        is_valid(bands).all(axis=1).astype(int).astype(str).tolist(),
        (bands == FILL).sum(axis=1).astype(str).tolist(),
    ]
    holed = np.logical_not(pixels[:, :-1].all(axis=1))  # FILL is 0
    for where in (holed, is_clear(pixels[:, -1])):
        counts = map(np.count_nonzero, where)
        told.append([f"{count / where[0].size:.4f}" for count in counts])
    told.append([f"{isal_zlib.crc32(pixels_of_one):08x}" for pixels_of_one in pixels])
    return pd.DataFrame(dict(zip(PIXELS, told, strict=True)))


def years_without_clear(log: pd.DataFrame) -> list[int]:
    """Years between the first and last observation made without a clear one, of a log of text.

    Clear is what is so by `timesync_xr.is_clear`, with all bands at the plot in their valid range.
    """
    rows = log[log["outcome"].isin(MADE) & (log["qa_pixel"] != "")]
    if rows.empty:
        return []
    years = rows["day"].str[:4].to_numpy(np.int64)
    clear = is_clear(rows["qa_pixel"].to_numpy(np.uint16)) & (rows["valid_range"] == "1").to_numpy()
    span = range(int(years.min()), int(years.max()) + 1)
    return sorted({*span} - {*years[clear].tolist()})


def write_log(folder: Folder, plot: PlotIds, log: pd.DataFrame) -> None:
    """Keep the log of a plot, after the files that it vouches for."""
    folder.write(log_path(plot.project_id, plot.plot_id), _bytes(log))


def _bytes(log: pd.DataFrame) -> bytes:
    """The file of a log."""
    return log.to_csv(index=False, lineterminator="\n").encode()


def log_checksum(log: pd.DataFrame) -> str:
    """CRC-32 of the file of a log, in hexadecimal: by it the ledger vouches for the log."""
    return f"{zlib.crc32(_bytes(log)):08x}"


def read_log(folder: Folder, project_id: str, plot_id: str) -> pd.DataFrame:
    """The log that was kept of a plot, all text; an empty one where there is none.

    `ProjectError` where it is damaged.
    """
    path = log_path(project_id, plot_id)
    try:
        table = pd.read_csv(io.BytesIO(read_file(folder, path)), dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return empty_log()
    except (ValueError, DamagedError):
        table = pd.DataFrame()
    if tuple(table.columns) != COLUMNS or not _is_right(table):
        raise DamagedLogError(
            f"{folder.root}/{path} is damaged: make the plot again by timesync-xr verify --repair"
        )
    return table


def _is_right(log: pd.DataFrame) -> bool:
    """Whether the rows of a log say what such may say, so that no reader stumbles over one."""
    days = pd.to_datetime(log["day"], format="%Y-%m-%d", errors="coerce")
    is_day = days.notna() & (log["day"].str.len() == len("YYYY-MM-DD"))
    has_none = log["outcome"].isin(LEFT_OUT) & (log["day"] == "")
    try:
        numbers = with_numbers(log)
    except (ValueError, TypeError, OverflowError):
        return False
    qa, shares = numbers["qa_pixel"], numbers[["fill_share", "clear_share"]]
    cloud = numbers["cloud_cover"]
    return bool(
        log["outcome"].isin(OUTCOMES).all()
        and log["kept"].isin(["", "1"]).all()
        and (is_day | has_none).all()
        and (cloud.isna() | np.isfinite(cloud)).all()
        and (qa.isna() | qa.between(0, _MOST_BITS)).all()
        and (numbers["bands_filled"].isna() | numbers["bands_filled"].between(0, 6)).all()
        and (shares.isna() | ((shares >= 0) & (shares <= 1))).all(axis=None)
    )


_MOST_BITS: Final = 2**16 - 1
"""The highest value of QA_PIXEL."""


def empty_log() -> pd.DataFrame:
    """The log of a plot of which nothing is known."""
    return pd.DataFrame(columns=list(COLUMNS), dtype=str)


def with_numbers(log: pd.DataFrame) -> pd.DataFrame:
    """A kept log with numbers in place of text.

    Text columns are never missing; ``scene_count``, ``cloud_cover``, ``qa_pixel``, ``bands_filled``
    and the shares are numbers, ``valid_range`` is bool, or they are missing.
    """
    table = log.copy()
    numbers = ["cloud_cover", "fill_share", "clear_share"]
    table[numbers] = table[numbers].apply(pd.to_numeric).astype(float)
    counts = ["scene_count", "qa_pixel", "valid_range", "bands_filled"]
    table[counts] = table[counts].apply(pd.to_numeric).astype("Int64")
    table["valid_range"] = table["valid_range"].astype("boolean")
    return table
