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
import xarray as xr

from ..cube.plan import Plan
from ..cube.selection import NOT_CLEAR, Filters
from ..errors import ProjectError, ReadError
from ..landsat import QA_BAND
from ..spectral.composites import is_fill_pixel
from ..spectral.reflectance import is_clear, is_fill
from ..spectral.series import plot_pixel
from ..storage.access import Access
from ..storage.folder import OUT_ACCESS, Folder
from ..storage.places import open_folder

WRITTEN: Final = "written"
FILL_AT_PLOT: Final = "fill at plot"
OTHER_PLATFORM: Final = "other platform"
FILTERED: Final = "filtered"
FAILED: Final = "failed"
SUPERSEDED: Final = "superseded"
REFUSED: Final = "refused"

OUTCOMES: Final = (
    WRITTEN,
    FILL_AT_PLOT,
    OTHER_PLATFORM,
    FILTERED,
    FAILED,
    SUPERSEDED,
    REFUSED,
)
"""What can become of an observation, or of an item that is part of none.

written: its files are there. fill at plot: the plot pixel holds no data. other platform: two saw
the plot on that day and the other was taken. filtered: the user asked to leave it out, see
`timesync_xr.filters.Filters`. failed: an asset can't be read. superseded: an item whose tile and
date was processed again later. refused: an item that must not be read.
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

WHY: Final = ("asset", "kind", "cause", "remedy")
"""Columns that tell why an observation failed (a `ReadError`) or was left out, or an item was.

``kind`` is one of `timesync_xr.errors.Kind` where it failed, else empty.
"""

COLUMNS: Final = (*METADATA[:4], "outcome", *METADATA[4:], *PIXELS, *WHY)
"""Columns of an account."""

Rows = npt.NDArray[np.int64]
"""Rows of an account."""


def start_account(plan: Plan, filters: Filters) -> pd.DataFrame:
    """The account of a plan, before anything was read: the outcome is empty where that is needed.

    An observation that lacks a record because its item was refused would have a hole: it stands
    for that item, and is refused. One that lacks the plot's own tile is fill at the plot; what
    metadata rule out is filtered.
    """
    account = plan.observations[list(METADATA)].assign(**dict.fromkeys((*PIXELS, *WHY), ""))
    account["outcome"] = np.where(plan.observations["at_plot"], "", FILL_AT_PLOT)
    causes = filters.causes(plan.observations)
    ruled_out = is_open(account) & (causes != "")
    account.loc[ruled_out, "outcome"] = FILTERED
    account.loc[ruled_out, "cause"] = causes[ruled_out]
    for item in plan.lacking().to_dict("records"):
        holed = (account["day"] == item["day"]) & (account["sensor"] == item["sensor"])
        why = [REFUSED, item["item_id"], item["refused"]]
        account.loc[holed, ["outcome", "item_ids", "cause"]] = why
    return account[list(COLUMNS)]


def is_open(account: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows have no outcome yet."""
    return (account["outcome"] == "").to_numpy()


def note_plot_pixel(
    account: pd.DataFrame, rows: Rows, qa: npt.NDArray[np.uint16], filters: Filters
) -> None:
    """Settle those rows whose QA_PIXEL at the plot says fill, or not clear where that matters."""
    fill = is_fill(qa)
    unclear = ~is_clear(qa) & ~fill if filters.clear_only else np.zeros_like(fill)
    account.loc[rows[fill], "outcome"] = FILL_AT_PLOT
    account.loc[rows[unclear], ["outcome", "cause"]] = [FILTERED, NOT_CLEAR]
    settled = fill | unclear
    account.loc[rows[settled], "qa_pixel"] = qa[settled].astype(str)


def note_failure(account: pd.DataFrame, rows: Rows, error: ReadError) -> None:
    """Mark rows as failed, and with them all other rows of their days that are still open.

    Were another platform taken for the day, no one would look at this one again.
    """
    days = account["day"].isin(account["day"].iloc[rows])
    account.loc[np.union1d(rows, np.flatnonzero(days & is_open(account))), "outcome"] = FAILED
    failed = days & (account["outcome"] == FAILED)
    account.loc[failed, list(WHY)] = [error.asset, error.kind.value, error.cause, error.remedy]


def take_over(
    account: pd.DataFrame,
    kept: pd.DataFrame,
    filters: Filters,
    is_there: Callable[[list[str]], set[str]],
) -> None:
    """Settle the days that were settled before and whose observations are the same as then.

    What was read of an observation then tells whether ``filters`` leave it out now. ``is_there``
    tells of which of some days all files are there: without them a day that was written is made
    again.
    """
    if kept.empty:
        return
    key = ["day", "sensor", "item_ids"]
    before = kept[kept["outcome"].isin([WRITTEN, FILL_AT_PLOT, OTHER_PLATFORM, FILTERED])]
    same = account[key].merge(before, on=key, how="left").fillna("")
    known = np.flatnonzero(is_open(account) & (same["qa_pixel"] != ""))
    note_plot_pixel(account, known, same["qa_pixel"].iloc[known].to_numpy(np.uint16), filters)
    open_ = is_open(account)
    taken = same["outcome"].where(open_ & (same["outcome"] != FILTERED), "")
    written = account.loc[taken == WRITTEN, "day"].unique().tolist()
    changed = {*account["day"][open_ & (taken == "")], *(set(written) - is_there(written))}
    changed |= set(kept["day"][kept["outcome"] == WRITTEN]) - set(written)
    settled = np.flatnonzero(open_ & ~account["day"].isin(changed))
    columns = ["outcome", *PIXELS]
    account.loc[settled, columns] = same.loc[settled, columns].to_numpy()


def measure_pixels(cube: xr.DataArray) -> pd.DataFrame:
    """The columns `PIXELS`, as text, of each observation of a cube (time, band, y, x) in memory."""
    qa = cube.sel(band=QA_BAND)
    size = cube.sizes["y"] * cube.sizes["x"]
    told = [plot_pixel(qa).to_numpy().astype(str).tolist()]
    for where in (is_fill_pixel(cube), is_clear(qa)):
        counts = map(np.count_nonzero, where.to_numpy())
        told.append([f"{count / size:.4f}" for count in counts])
    return pd.DataFrame(dict(zip(PIXELS, told, strict=True)))


def with_items_left_out(account: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The account with the items that are part of no observation at its end."""
    if plan.refused.empty and plan.superseded.empty:
        return account
    refused = plan.refused[~plan.refused["item_id"].isin(account["item_ids"])]
    rest = pd.concat(
        [
            plan.superseded.assign(outcome=SUPERSEDED, cause="processed again later"),
            refused.assign(outcome=REFUSED, cause=refused["refused"]),
        ]
    )
    rest = rest.assign(
        hv=[f"{h:02d}{v:02d}" for h, v in zip(rest["h"], rest["v"], strict=True)],
        item_ids=rest["item_id"],
        **dict.fromkeys((*PIXELS, "asset", "kind", "remedy"), ""),
    )
    return pd.concat([account, rest[list(COLUMNS)]], ignore_index=True)


def account_path(project_id: str, plot_id: str) -> str:
    """Where a plot's account is kept below the project folder."""
    return f"ledger/observations/prj_{project_id}/plot_{plot_id}.csv"


def write_account(folder: Folder, project_id: str, plot_id: str, account: pd.DataFrame) -> None:
    """Keep the account of a plot."""
    data = account.to_csv(index=False, lineterminator="\n").encode()
    folder.write(account_path(project_id, plot_id), data)


def read_kept_account(folder: Folder, project_id: str, plot_id: str) -> pd.DataFrame:
    """The account that was kept of a plot, all text; an empty one where there is none.

    `ProjectError` where it is damaged.
    """
    path = account_path(project_id, plot_id)
    try:
        table = pd.read_csv(io.BytesIO(folder.read(path)), dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    except ValueError:
        table = pd.DataFrame()
    if tuple(table.columns) != COLUMNS or not table["outcome"].isin(OUTCOMES).all():
        raise ProjectError(
            f"{folder.root}/{path} is damaged: remove it, and the plot is looked at again"
        )
    return table


def read_account(
    project: str, project_id: str, plot_id: str, access: Access = OUT_ACCESS
) -> pd.DataFrame:
    """What became of every observation of a plot: `COLUMNS`, numbers where there are some.

    Text columns are never missing; ``scene_count``, ``cloud_cover``, ``qa_pixel`` and the shares
    are numbers or missing. See `OUTCOMES` for ``outcome``. Empty where the plot has no account.
    """
    return with_numbers(read_kept_account(open_folder(project, access), project_id, plot_id))


def with_numbers(kept: pd.DataFrame) -> pd.DataFrame:
    """A kept account with numbers in place of text; see `read_account`."""
    account = kept.copy()
    numbers = ["cloud_cover", "fill_share", "clear_share"]
    account[numbers] = account[numbers].apply(pd.to_numeric).astype(float)
    counts = ["scene_count", "qa_pixel"]
    account[counts] = account[counts].apply(pd.to_numeric).astype("Int64")
    return account
