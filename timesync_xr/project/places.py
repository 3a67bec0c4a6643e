"""Where the plots of a project lie, as their list gave it: coordinates and further columns."""

from __future__ import annotations

import io
import zlib
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import ProjectError
from ..grid import UTM, Lattice, degrees_of
from ..landsat import PIXEL
from ..plots import COLUMNS, id_order
from ..storage.folder import Folder
from .files import ASIDE, LISTED

PLACE_COLUMNS: Final = (
    "project_id", "plot_id", "x", "y", "x_listed", "y_listed", "offset", "lon", "lat",
    "to_edge", "same_pixel",
)  # fmt: skip
"""Columns of `Project.places` before the further columns of the list."""

_IDS: Final = ["project_id", "plot_id"]
_POINT: Final = ["x_listed", "y_listed", "offset"]


def keep_listed(folder: Folder, plots: pd.DataFrame) -> None:
    """Keep where a list puts its plots, and its further columns; those of other plots stay.

    ``plots`` is a table of `read_plots`; of one that does not tell where the list put them nothing
    is kept.
    """
    if not {*_POINT} <= {*plots.columns}:
        return
    further = [str(name) for name in plots if name not in COLUMNS]
    given = plots[[*_IDS, *_POINT, *further]].astype(dict.fromkeys([*_IDS, *further], str))
    known = read_listed(folder)
    told = pd.concat([known, given]).drop_duplicates(_IDS, keep="last")
    keys = [tuple(map(id_order, ids)) for ids in told[_IDS].itertuples(index=False, name=None)]
    told = told.iloc[sorted(range(len(keys)), key=keys.__getitem__)]
    further = [str(name) for name in told if name not in (*_IDS, *_POINT)]
    told = told.fillna(dict.fromkeys(further, ""))
    if not told.reset_index(drop=True).equals(known):
        folder.write(LISTED, _with_checksum(told.to_csv(index=False, lineterminator="\n").encode()))


def read_listed(folder: Folder) -> pd.DataFrame:
    """What `keep_listed` kept: ids, x_listed, y_listed, offset, further columns as text."""
    try:
        data = folder.read(LISTED)
    except FileNotFoundError:
        return pd.DataFrame(columns=[*_IDS, *_POINT]).astype(dict.fromkeys(_POINT, float))
    try:
        held = io.BytesIO(_without_checksum(data))
        table = pd.read_csv(held, dtype=str, keep_default_na=False)
        return table.astype(dict.fromkeys(_POINT, float)).astype(dict.fromkeys(_IDS, object))
    except (ValueError, KeyError):
        raise ProjectError(
            f"{folder.root}/{LISTED} is damaged: give the plot list to timesync-xr verify --plots "
            "PLOTS.csv --repair, which keeps it anew and the damaged one aside"
        ) from None


def _with_checksum(data: bytes) -> bytes:
    """Lines of text with one more, which tells their CRC-32: nothing else vouches for them."""
    return data + f"{_CHECKSUM}{zlib.crc32(data):08x}\n".encode()


def _without_checksum(data: bytes) -> bytes:
    """The lines alone; ``ValueError`` where they are not those that were written."""
    held = data[: data.rfind(_CHECKSUM.encode())]
    if data != _with_checksum(held):
        raise ValueError("another checksum")
    return held


_CHECKSUM: Final = "crc32 "
"""How the last line of the table begins."""


def mend_listed(folder: Folder, plots: pd.DataFrame) -> None:
    """Keep what a list tells in place of what is damaged, which is kept aside."""
    folder.write(f"{ASIDE}/listed.csv", folder.read(LISTED))
    folder.remove(LISTED)
    keep_listed(folder, plots)


def copy_listed(source: Folder, target: Folder, plots: pd.DataFrame) -> None:
    """Keep in another project what lists told of some plots of this one; nothing if none did."""
    listed = read_listed(source).merge(plots[_IDS], on=_IDS)
    if len(listed):
        keep_listed(target, listed)


def as_listed(folder: Folder, plots: pd.DataFrame, grid: Lattice) -> pd.DataFrame:
    """Plots of a ledger as a plot list: ids, x and y as listed, further columns of their list.

    Those of the grid ``utm`` get lon and lat, so that they are not taken for those of another grid.
    """
    table = plots[[*_IDS, "x", "y"]].merge(read_listed(folder), "left", on=_IDS)
    known = table["x_listed"].notna()
    for axis in "xy":
        table[axis] = table[f"{axis}_listed"].where(known, table[axis])
    table = table.drop(columns=_POINT).fillna("")
    if grid == UTM:
        lon, lat = _degrees(grid, table["x"], table["y"])
        table = table.drop(columns=["lon", "lat"], errors="ignore")
        table = table.assign(x=lon, y=lat).rename(columns={"x": "lon", "y": "lat"})
    return table


def _degrees(grid: Lattice, x: pd.Series, y: pd.Series) -> tuple[list[float], list[float]]:
    """Longitudes and latitudes of points of a grid, so that those of a list come back as given."""
    points = [degrees_of(grid, *map(float, point)) for point in zip(x, y, strict=True)]
    return [round(lon, _DIGITS) for lon, _ in points], [round(lat, _DIGITS) for _, lat in points]


_DIGITS: Final = 12
"""Decimals of a degree that are kept: a tenth of a micrometre, and no noise of the projection."""


def places(folder: Folder, plots: pd.DataFrame, grid: Lattice) -> pd.DataFrame:
    """Where plots of a ledger lie, see `Project.places`."""
    listed = read_listed(folder).rename(columns=_free_name)
    further = [str(name) for name in listed if name not in (*_IDS, *_POINT)]
    table = plots[[*_IDS, "x", "y"]].merge(listed, "left", on=_IDS)
    table[further] = table[further].fillna("")
    known = table["x_listed"].notna()
    x, y = (table[f"{axis}_listed"].where(known, table[axis]) for axis in "xy")
    lon, lat = _degrees(grid, x, y)
    for name, computed in (("lon", lon), ("lat", lat)):
        if name not in further:
            table[name] = computed
    off = np.maximum(abs(table["x_listed"] - table["x"]), abs(table["y_listed"] - table["y"]))
    table = table.assign(to_edge=PIXEL / 2 - off, same_pixel=_others(table))
    return table[[*PLACE_COLUMNS, *(name for name in further if name not in PLACE_COLUMNS)]]


def _free_name(name: str) -> str:
    """The name of a column of a list, where it is not that of another, in small letters or not."""
    small = name.lower()
    if small in ("lon", "lat"):
        return small
    return f"{name}_listed" if small in _OURS else name


_OURS: Final = ("to_edge", "same_pixel")


def _others(plots: pd.DataFrame) -> list[str]:
    """The ids of the other plots of the project that lie in the pixel of each, with commas."""
    held: dict[Any, list[str]] = {}
    keys = list(plots[["project_id", "x", "y"]].itertuples(index=False, name=None))
    for key, plot_id in zip(keys, plots["plot_id"], strict=True):
        held.setdefault(key, []).append(plot_id)
    return [
        ", ".join(other for other in held[key] if other != plot_id)
        for key, plot_id in zip(keys, plots["plot_id"], strict=True)
    ]
