"""From records (STAC items) to observations: which belong together, and how they are merged.

An observation is all that one platform saw of a chip on one date. Its records come from the tiles
that the chip touches; they are grouped on metadata alone, before any pixel is planned.

Of scenes an observation is one pass: the rows of a path that one platform saw within half an hour,
also across midnight (UTC). It has the date of the row that comes first: of the zone of the chip,
then the one that the plot lies farthest inside of, then Tier 1, then the latest processing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..catalog.ard import ARD
from ..catalog.items import BOX
from ..catalog.scenes import meets, tier_of
from ..catalog.sources import Source
from ..errors import InputError, counted
from ..grid import DEGREES, ChipGrid, frame, get_grid, transformer, zone_of
from ..landsat import BANDS, FILL, PIXEL, QA_FILL, QABit
from .fill import mark_fill

RECORD_KEY = ["day", "sensor", "place"]
"""What tells records apart; two records alike in all of it are one scene, processed twice."""

_ID = r"^(?P<sensor>\w{4})_.*?_(?P<day>\d{8})_"
"""What the id of an item tells: its sensor, and the first date in it, on which it was seen."""


_TO_READ = ["item_id", "grid", "left", "top", "width", "height", *BANDS]

Record = Mapping[str, Any]
"""What is needed to read a record: its id, place and size, and the address of each band."""


@dataclass(frozen=True)
class Plan:
    """What a chip's cube will be made of; no pixel has been read."""

    source: Source
    """The archive."""
    grid: ChipGrid
    """Pixels of the chip."""
    records: pd.DataFrame
    """A row per record, by observation and within it in order of precedence.

    Columns of the items table, ``day`` (``YYYY-MM-DD``), ``at_plot`` (whether its files hold the
    plot pixel) and ``observation`` (the row of `observations` that it belongs to).
    """
    observations: pd.DataFrame
    """A row per observation in time order.

    Columns time, date (verbatim from the item), day, sensor, hv, item_id, at_plot, processed,
    scene_count and cloud_cover of the record that stands for it, which is the plot tile's where
    there is one, and item_ids (all records, blank between); of scenes processed is of all, too.
    """
    superseded: pd.DataFrame
    """Records left out because the same tile and date was processed again later."""
    refused: pd.DataFrame
    """Items of the chip's tiles that must not be read, by the tile, day and sensor of their ids."""

    def lacking(self) -> pd.DataFrame:
        """The refused items that nothing stands in for: their part of an observation is missing."""
        if self.refused.empty:
            return self.refused
        key = pd.MultiIndex.from_frame(self.refused[RECORD_KEY])
        return self.refused[~key.isin(pd.MultiIndex.from_frame(self.records[RECORD_KEY]))]

    def select(self, keep: npt.ArrayLike) -> Plan:
        """The plan of some of the observations (a bool for each)."""
        chosen = np.asarray(keep, dtype=bool)
        row = np.where(chosen, np.cumsum(chosen) - 1, -1)
        records = self.records.assign(observation=row[self.records["observation"]])
        return replace(
            self,
            records=records[records["observation"] >= 0].reset_index(drop=True),
            observations=self.observations[chosen].reset_index(drop=True),
        )

    def records_of_each(self) -> list[list[Record]]:
        """What is needed to read the records of each observation, in order of precedence."""
        found: list[list[Record]] = [[] for _ in range(len(self.observations))]
        columns = [self.records[name].tolist() for name in ("observation", *_TO_READ)]
        for observation, *row in zip(*columns, strict=True):
            found[observation].append(dict(zip(_TO_READ, row, strict=True)))
        return found

    def with_observations(self, others: pd.DataFrame) -> Plan:
        """The plan with observations of which no record is known, as columns of `observations`.

        They take the place of those of the same day and sensor, and can't be read.
        """
        key = ["day", "sensor"]
        again = pd.MultiIndex.from_frame(self.observations[key])
        plan = self.select(~again.isin(pd.MultiIndex.from_frame(others[key])))
        kinds = plan.observations.dtypes
        both = pd.concat([plan.observations, others[[*kinds.index]].astype(kinds)])
        both = both.reset_index(drop=True)
        both = both.sort_values(["time", "sensor"], kind="stable")
        row = np.argsort(both.index.to_numpy())
        records = plan.records.assign(observation=row[plan.records["observation"]])
        return replace(plan, records=records, observations=both.reset_index(drop=True))

    @property
    def unreadable(self) -> npt.NDArray[np.bool_]:
        """Which observations have no record, see `with_observations`."""
        return ~np.isin(np.arange(len(self.observations)), self.records["observation"])

    def part(self, rows: slice) -> Plan:
        """The plan of a run of observations, from one up to another, at the cost of these alone."""
        first, last = np.searchsorted(self.records["observation"], [rows.start, rows.stop])
        records = self.records.iloc[first:last].reset_index(drop=True)
        records["observation"] -= rows.start
        return replace(
            self,
            records=records,
            observations=self.observations.iloc[rows].reset_index(drop=True),
        )

    def at_plot_pixel(self) -> Plan:
        """The observations whose tile holds the plot, over the plot pixel alone."""
        own = self.select(self.observations["at_plot"])
        return replace(
            own,
            grid=replace(self.grid, width=1, height=1),
            records=own.records[own.records["at_plot"]].reset_index(drop=True),
        )

    def chunks(self, size: int) -> list[slice]:
        """Runs of about ``size`` observations that never part two of the same day."""
        days = self.observations["day"].to_numpy()
        if not len(days):
            return []
        cuts = [0]
        for start in np.flatnonzero(days[1:] != days[:-1]) + 1:
            if start - cuts[-1] >= size:
                cuts.append(int(start))
        return [slice(a, b) for a, b in pairwise([*cuts, len(days)])]


def plan_observations(
    items: pd.DataFrame, grid: ChipGrid, source: Source = ARD, tiers: Sequence[str] = ("T1",)
) -> Plan:
    """Group the items that touch a chip into observations, on metadata alone.

    ``items`` is a table of `timesync_xr.search_items`; refused items and other tiles are left out.
    Records of one platform and one date (UTC, by ``time``) form an observation. Where the same
    tile and date is there twice, the latest processing is taken. Within an observation the plot's
    own tile comes first, then the latest processing. Scenes are grouped by passes, see the module;
    of a pass those of ``tiers`` are taken where one of them holds the plot.
    """
    group = ["day", "sensor"]
    if source.has_scenes:
        group = ["pass", "sensor"]
        items = items.drop_duplicates(["item_id", "refused"]).reset_index(drop=True)
        items, records = _passes(items, _touching_scenes(items, grid), tiers)
    else:
        records = _touching(items, grid)
    doubled = records.duplicated([*group, "place"])
    superseded, records = records[doubled], records[~doubled]
    first = records.drop_duplicates(group).sort_values(["time", "sensor"])
    observations = first.assign(
        hv=first["place"],
        observation=np.arange(len(first)),
    )
    records = records.merge(observations[[*group, "observation"]], on=group)
    records = records.sort_values("observation", kind="stable").reset_index(drop=True)
    ids: list[list[str]] = [[] for _ in range(len(first))]  # a groupby takes 20 times as long
    for observation, item_id in zip(
        records["observation"].tolist(), records["item_id"], strict=True
    ):
        ids[observation].append(item_id)
    observations["item_ids"] = np.array([" ".join(of_one) for of_one in ids], dtype=object)
    if source.has_scenes:
        observations["processed"] = _processed_of_each(records, len(first))
    columns = ["time", "date", "day", "sensor", "hv", "item_id", "item_ids", "at_plot"]
    columns += ["processed", "scene_count", "cloud_cover"]
    observations = observations[columns].reset_index(drop=True)
    refused = _refused(items, source, grid)
    return Plan(source, grid, records, observations, superseded, refused)


def _processed_of_each(records: pd.DataFrame, count: int) -> npt.NDArray[np.object_]:
    """Days of processing of the records of each observation, in their order, a blank between.

    The ids of some catalogs do not tell them, so that another processing would go unseen.
    """
    days: list[list[str]] = [[] for _ in range(count)]
    for observation, day in zip(records["observation"], records["processed"], strict=True):
        days[observation].append(day or "-")
    told = [" ".join(of_one) if {*of_one} != {"-"} else "" for of_one in days]
    return np.array(told, dtype=object)


def _refused(items: pd.DataFrame, source: Source, grid: ChipGrid) -> pd.DataFrame:
    """The refused items of the chip's places; what their ids tell goes before what they claim."""
    refused = items[items["refused"] != ""]
    if refused.empty:  # as it mostly is; what follows takes milliseconds
        return refused.assign(day="")
    told = refused["item_id"].str.extract(_ID)
    place = refused["item_id"].map(source.place_by_id)
    if source.has_scenes:
        refused = refused.assign(place=place.where(place != "", refused["place"]))
        west, south, east, north = _box(grid)
        near = [
            np.isnan(box[0]) or meets(box, [(west, south, east, north)])
            for box in refused[list(BOX)].to_numpy().tolist()
        ]
        return refused[np.array(near, dtype=bool)]
    day = pd.to_datetime(told["day"], format="%Y%m%d", errors="coerce").fillna(refused["time"])
    refused = refused.assign(
        sensor=told["sensor"].fillna(refused["sensor"]),
        place=place.where(place != "", refused["place"]),
        day=day.dt.strftime("%Y-%m-%d").fillna(""),
    )
    return refused[refused["place"].isin(source.places(grid))]


def _touching(items: pd.DataFrame, grid: ChipGrid) -> pd.DataFrame:
    """The usable items whose files the chip touches, in order of precedence."""
    usable = items[items["refused"] == ""]
    left, bottom, right, top = grid.bounds
    x, y = grid.lattice.center(grid.plot_col, grid.plot_row)
    usable = usable[_meets(usable, left, bottom, right, top)]
    at_plot = _meets(usable, x, y, x, y)
    day = usable["time"].dt.strftime("%Y-%m-%d")
    return usable.assign(at_plot=at_plot, day=day).sort_values(
        ["at_plot", "processed", "item_id"], ascending=[False, False, False], kind="stable"
    )


def _touching_scenes(items: pd.DataFrame, grid: ChipGrid) -> pd.DataFrame:
    """The usable scenes whose files the chip touches, in order of precedence."""
    usable = items[items["refused"] == ""]
    parts = [_touching_of(usable[usable["grid"] == name], grid, name) for name in sorted(
        usable["grid"].unique())]  # fmt: skip
    kinds = {"at_plot": bool, "inside": float, "own": bool}
    empty = usable.head(0).assign(**{name: np.array([], kind) for name, kind in kinds.items()})
    found = pd.concat([part for part in parts if len(part)] or [empty])
    tier = found["item_id"].map(tier_of)
    found = found.assign(tier=tier, first=tier == "T1", day=found["time"].dt.strftime("%Y-%m-%d"))
    order = ["at_plot", "own", "inside", "first", "processed", "item_id"]
    return found.sort_values(order, ascending=False, kind="stable")


def _touching_of(scenes: pd.DataFrame, grid: ChipGrid, name: str) -> pd.DataFrame:
    """The scenes of one zone that a chip touches."""
    edge = _edge_in(grid, name)
    if scenes.empty or edge is None:
        return scenes.head(0)
    x, y = edge
    right, bottom = (
        scenes["left"] + scenes["width"] * PIXEL, scenes["top"] - scenes["height"] * PIXEL
    )  # fmt: skip
    touched = (x.min() < right) & (x.max() >= scenes["left"])
    touched &= (y.min() <= scenes["top"]) & (y.max() > bottom)
    inside = np.minimum(
        np.minimum(x[0] - scenes["left"], right - x[0]),
        np.minimum(scenes["top"] - y[0], y[0] - bottom),
    )
    at_plot = (x[0] >= scenes["left"]) & (x[0] < right)
    at_plot &= (y[0] <= scenes["top"]) & (y[0] > bottom)
    own = frame(name)[0] == _own_zone(grid)
    near: pd.DataFrame = scenes.assign(at_plot=at_plot, inside=inside, own=own)[touched]
    return near


def _own_zone(grid: ChipGrid) -> str:
    """The zone of a chip: that of its grid, or else that of its plot's longitude."""
    plane = frame(grid.lattice.name)[0]
    if plane.startswith("EPSG:326"):
        return plane
    return f"EPSG:{32600 + zone_of(_degrees(grid)[0][0])}"


def _degrees(grid: ChipGrid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Longitude and latitude of the plot, then those of pixels along the chip's edge."""
    x, y = _edge(grid)
    lon, lat = transformer(grid.lattice.crs, DEGREES).transform(x[::8], y[::8])
    return np.asarray(lon), np.asarray(lat)


def _box(grid: ChipGrid) -> tuple[float, float, float, float]:
    """The chip's box in degrees: west, south, east, north; across 180 degrees it goes on."""
    lon, lat = _degrees(grid)
    lon = lon[0] + (lon - lon[0] + 180) % 360 - 180
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def _edge(grid: ChipGrid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centres (x, y) of the plot pixel, then of the pixels along the chip's edge."""
    x, y = grid.x, grid.y
    row, col = grid.plot_index
    around_x = [x[[col]], x, x, np.full(len(y), x[0]), np.full(len(y), x[-1])]
    around_y = [y[[row]], np.full(len(x), y[0]), np.full(len(x), y[-1]), y, y]
    return np.concatenate(around_x), np.concatenate(around_y)


def _edge_in(
    grid: ChipGrid, name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """The centres of `_edge` in the metres of a zone; None where it is too far from them."""
    x, y = _edge(grid)
    plane, added = frame(grid.lattice.name)
    if plane == frame(name)[0]:
        return x, y - added
    east, north = transformer(grid.lattice.crs, get_grid(name).crs).transform(x, y)
    if not (np.isfinite(east).all() and np.isfinite(north).all()):
        return None
    if np.ptp(east) * np.ptp(north) > _FAR * np.ptp(x) * np.ptp(y) + PIXEL**4:
        return None
    return east, north


_FAR = 16
"""Times the area of a chip that it has in a zone too far away to hold a scene of it."""

_PASS = pd.Timedelta(minutes=30)
"""Time within which the rows of a path are of one pass; those of the next come a day later."""


def _passes(
    items: pd.DataFrame, records: pd.DataFrame, tiers: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Number the passes of scenes; return all items and the records to take, with pass and day.

    The day of a pass is that of its first record, also for items of it that are refused.
    """
    refused = items[items["refused"] != ""]
    both = pd.concat([records[["sensor", "place", "time"]], refused[["sensor", "place", "time"]]])
    both = both.assign(path=both["place"].str[:3]).sort_values(["sensor", "path", "time"])
    same = (both[["sensor", "path"]] == both[["sensor", "path"]].shift()).all(axis=1)
    new = ~same | ~(both["time"].diff() <= _PASS)
    number = new.cumsum()
    records = records.assign(**{"pass": number.reindex(records.index)})
    wanted = records["tier"].isin(tiers)
    by_pass = records["pass"]
    held = by_pass.isin(by_pass[wanted & records["at_plot"]])
    other = by_pass.isin(by_pass[~wanted & records["at_plot"]])
    any_wanted = by_pass.isin(by_pass[wanted])
    records = records[np.where(held | (any_wanted & ~other), wanted, ~wanted)]
    days = records.drop_duplicates("pass").set_index("pass")["day"]
    day = number.reindex(refused.index).map(days).astype(object)
    own_day = refused["time"].dt.strftime("%Y-%m-%d")
    refused = refused.assign(day=day.where(day.notna(), own_day).fillna(""))
    return refused, records.assign(day=records["pass"].map(days).astype(object))  # also of none


def _meets(
    items: pd.DataFrame, left: float, bottom: float, right: float, top: float
) -> pd.Series[bool]:
    """Whether the files of each item hold pixels of a rectangle, or a point, in metres."""
    across = (items["left"] < right) & (items["left"] + items["width"] * PIXEL > left)
    return across & (items["top"] > bottom) & (items["top"] - items["height"] * PIXEL < top)


def merge_records(
    records: npt.NDArray[np.uint16], starts: npt.ArrayLike, qa: int = -1
) -> npt.NDArray[np.uint16]:
    """Merge runs of records into observations, the first valid record of a pixel winning.

    ``records`` is ``(record, band, y, x)``; ``starts`` gives the first record of each observation,
    ascending; ``qa`` is the index of QA_PIXEL along ``band``. All bands of a pixel come from one
    record: the first in which QA_PIXEL is not fill, else the first that holds anything (surface
    reflectance, or bits of QA_PIXEL beside fill), else the first. So where records do not overlap
    the one that covers a pixel always wins. A QA_PIXEL of 0 is fill. Returns
    ``(observation, band, y, x)``. `InputError` for records that are not uint16 with these four
    dimensions, and for starts or a band that they do not have.

    Examples
    --------
    ::

        import numpy as np

        first = np.array([0, 9000, 1], np.uint16)  # a pixel of two bands and QA_PIXEL: fill
        second = np.array([8000, 9500, 5440], np.uint16)
        records = np.stack([first, second])[:, :, None, None]  # (record, band, y, x)
        tx.merge_records(records, [0])  # one observation, of both
    """
    _check_records(records, starts, qa)
    edges = [*np.asarray(starts, dtype=int), len(records)]
    merged = records[edges[:-1]].copy()
    for observation, (start, stop) in zip(merged, pairwise(edges), strict=True):
        for record in records[start + 1 : stop]:
            better = _rank(record, qa) > _rank(observation, qa)
            np.copyto(observation, record, where=better)
    return merged


def _check_records(records: Any, starts: npt.ArrayLike, qa: Any) -> None:
    if not isinstance(records, np.ndarray) or records.ndim != 4 or records.dtype != np.uint16:
        raise InputError("records are a uint16 array (record, band, y, x): fill is 0, QA_PIXEL 1")
    try:
        first = np.asarray(starts)
    except (TypeError, ValueError):  # of what NumPy makes no array
        first = np.array(None)
    is_ascending = first.ndim == 1 and (not first.size or first.dtype.kind in "iu")
    edges = np.array([-1, *first, len(records)]) if is_ascending else np.zeros(2)
    if (np.diff(edges) <= 0).any():
        raise InputError(
            f"starts {starts!r} are no ascending places of {counted(len(records), 'record')}: "
            "give the first record of each observation"
        )
    is_place = isinstance(qa, int | np.integer) and not isinstance(qa, bool)
    if not is_place or not -records.shape[1] <= qa < records.shape[1]:
        raise InputError(f"the records have no band {qa!r}: give the place of QA_PIXEL")


def _rank(record: npt.NDArray[np.uint16], qa: int) -> npt.NDArray[np.int8]:
    """How much a record (band, y, x) knows of each pixel: 2 valid, 1 some value, 0 nothing."""
    valid = (mark_fill(record[qa]) & (1 << QABit.FILL)) == 0
    held = (np.delete(record, qa, axis=0) != FILL).any(axis=0) | (record[qa] != QA_FILL)
    return np.where(valid, 2, held).astype(np.int8)
