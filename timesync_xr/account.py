"""The account of a plot: what every observation is made of, and what became of it.

It is a table with a row per observation, followed by a row per item that is part of none. It is
kept in the ledger; the next run takes over the days that are settled and did not change.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import ReadError
from .folder import Folder
from .observations import Plan

WRITTEN: Final = "written"
FILL_AT_PLOT: Final = "fill at plot"
OTHER_PLATFORM: Final = "other platform"
FAILED: Final = "failed"
SUPERSEDED: Final = "superseded"
REFUSED: Final = "refused"

OUTCOMES: Final = (WRITTEN, FILL_AT_PLOT, OTHER_PLATFORM, FAILED, SUPERSEDED, REFUSED)
"""What can become of an observation, or of an item that is part of none.

written: its files are there. fill at plot: the plot pixel holds no data. other platform: two saw
the plot on that day and the other was taken. failed: an asset can't be read. superseded: an item
whose tile and date was processed again later. refused: an item that must not be read.
"""

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

PIXELS: Final = ("qa_pixel", "fill_share", "clear_share")
"""Columns that were measured, as text, empty where nothing was read.

The raw QA_PIXEL at the plot; the shares of the chip's pixels that are fill in any surface
reflectance band, and that are clear by `timesync_xr.radiometry.is_clear`.
"""

WHY: Final = ("asset", "cause", "remedy")
"""Columns that tell why an observation failed (a `ReadError`) or an item was left out."""

COLUMNS: Final = (*METADATA[:4], "outcome", *METADATA[4:], *PIXELS, *WHY)
"""Columns of an account."""

Rows = npt.NDArray[np.int64]
"""Rows of an account."""


def start_account(plan: Plan) -> pd.DataFrame:
    """The account of a plan, before anything was read: the outcome is still empty.

    An observation that lacks the plot's own tile is fill at the plot, which needs no reading.
    """
    empty = dict.fromkeys((*PIXELS, *WHY), "")
    outcome = np.where(plan.observations["at_plot"], "", FILL_AT_PLOT)
    return plan.observations[list(METADATA)].assign(outcome=outcome, **empty)[list(COLUMNS)]


def is_open(account: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows have no outcome yet."""
    return (account["outcome"] == "").to_numpy()


def note_failure(account: pd.DataFrame, rows: Rows, error: ReadError) -> None:
    """Mark rows as failed, and with them all other rows of their days that are still open.

    Were another platform taken for the day, no one would look at this one again.
    """
    days = account["day"].isin(account["day"].iloc[rows])
    account.loc[np.union1d(rows, np.flatnonzero(days & is_open(account))), "outcome"] = FAILED
    failed = days & (account["outcome"] == FAILED)
    account.loc[failed, list(WHY)] = [error.asset, error.cause, error.remedy]


def take_over(
    account: pd.DataFrame, kept: pd.DataFrame, is_there: Callable[[list[str]], set[str]]
) -> None:
    """Settle the days that were settled before and whose observations are the same as then.

    ``is_there`` tells of which of some days all files are there: without them a day that was
    written is made again.
    """
    key = ["day", "sensor", "item_ids"]
    before = kept[kept["outcome"].isin([WRITTEN, FILL_AT_PLOT, OTHER_PLATFORM])]
    same = account[key].merge(before, on=key, how="left").fillna("")
    written = same.loc[same["outcome"] == WRITTEN, "day"].unique().tolist()
    changed = {*account["day"][same["outcome"] == ""], *(set(written) - is_there(written))}
    changed |= set(kept["day"][kept["outcome"] == WRITTEN]) - set(written)
    settled = ~account["day"].isin(changed)
    columns = ["outcome", *PIXELS]
    account.loc[settled, columns] = same.loc[settled.to_numpy(), columns].to_numpy()


def with_items_left_out(account: pd.DataFrame, plan: Plan, items: pd.DataFrame) -> pd.DataFrame:
    """The account with the items that are part of no observation at its end."""
    refused = items[(items["refused"] != "")]
    tiles = pd.MultiIndex.from_tuples(plan.grid.tiles)
    refused = refused[pd.MultiIndex.from_frame(refused[["h", "v"]]).isin(tiles)]
    rest = pd.concat(
        [
            plan.superseded.assign(outcome=SUPERSEDED, cause="processed again later"),
            refused.assign(outcome=REFUSED, cause=refused["refused"]),
        ]
    )
    rest = rest.assign(
        day=rest["time"].dt.strftime("%Y-%m-%d"),
        hv=[f"{h:02d}{v:02d}" for h, v in zip(rest["h"], rest["v"], strict=True)],
        item_ids=rest["item_id"],
        **dict.fromkeys((*PIXELS, "asset", "remedy"), ""),
    )
    return pd.concat([account, rest[list(COLUMNS)]], ignore_index=True)


def account_path(project_id: str, plot_id: str) -> str:
    """Where a plot's account is kept below the project folder."""
    return f"ledger/observations/prj_{project_id}/plot_{plot_id}.csv"


def read_kept_account(folder: Folder, project_id: str, plot_id: str) -> pd.DataFrame:
    """The account that was kept of a plot, all text; an empty one where there is none."""
    try:
        data = folder.read(account_path(project_id, plot_id))
    except FileNotFoundError:
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    return pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)


def read_account(project: str, project_id: str, plot_id: str) -> pd.DataFrame:
    """What became of every observation of a plot: `COLUMNS`, numbers where there are some.

    Text columns are never missing; ``scene_count``, ``cloud_cover``, ``qa_pixel`` and the shares
    are numbers or missing. See `OUTCOMES` for ``outcome``. Empty where the plot has no account.
    """
    account = read_kept_account(Folder(project), project_id, plot_id)
    numbers = ["cloud_cover", "fill_share", "clear_share"]
    account[numbers] = account[numbers].apply(pd.to_numeric)
    counts = ["scene_count", "qa_pixel"]
    account[counts] = account[counts].apply(pd.to_numeric).astype("Int64")
    return account
