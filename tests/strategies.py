"""Hypothesis strategies and small makers of arrays that several test files use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from timesync_xr.landsat import BANDS

CLEAR = 21824
"""QA_PIXEL of a clear land pixel of Landsat 8: clear, all confidences low."""


def share(full: int) -> int:
    """The whole of a number in the full depth, a quarter in the quick one."""
    return max(1, full * settings().max_examples // 100)


def examples(full: int) -> settings:
    """So many examples in the full depth, a quarter in the quick one."""
    return settings(max_examples=share(full))


def chips(times: int = 2, size: int = 4) -> st.SearchStrategy[xr.DataArray]:
    """Cubes of any digital numbers, (time, band, y, x)."""
    values = hnp.arrays(np.uint16, (times, len(BANDS), size, size))
    return values.map(cube_of)


def cube_of(values: npt.NDArray[np.uint16]) -> xr.DataArray:
    """A cube with bands and times around raw values."""
    times = pd.date_range("2001-01-01T18:00", periods=len(values), freq="8D")
    return xr.DataArray(
        values,
        dims=("time", "band", "y", "x"),
        coords={
            "time": times.to_numpy(),
            "band": list(BANDS),
            "sensor": ("time", ["LE07"] * len(values)),
            "hv": ("time", ["0309"] * len(values)),
            "date": ("time", [f"{t.isoformat()}.1234567Z" for t in times]),
        },
    )


def items_table(*rows: Mapping[str, object]) -> pd.DataFrame:
    """A table of items; a row needs what differs from an ordinary record of h03v09 (0309)."""
    usual: dict[str, object] = {
        "sensor": "LC08",
        "grid": "CU",
        "place": "0309",
        "date": "2020-07-01T18:30:00.1234567Z",
        "processed": "20200710",
        "scene_count": 1,
        "cloud_cover": 1.0,
        "refused": "",
    }
    table = pd.DataFrame([{**usual, **row} for row in rows])
    text = table["date"].str.rstrip("Z")
    table["time"] = pd.to_datetime(text, format="ISO8601").astype("datetime64[ns]")
    made = (
        table["sensor"]
        + [f"_CU_0{place[:2]}0{place[2:]}_" for place in table["place"]]
        + table["date"].str.slice(0, 10).str.replace("-", "")
        + "_"
        + table["processed"]
        + "_02_SR"
    )
    table["item_id"] = table["item_id"].fillna(made) if "item_id" in table else made
    table["left"] = -2565585 + table["place"].str.slice(0, 2).astype(int) * 150000
    table["top"] = 3314805 - table["place"].str.slice(2).astype(int) * 150000
    table["width"] = table["height"] = 5000
    for band in BANDS:
        table[band] = "s3://bucket/" + table["item_id"] + f"_{band}.TIF"
    return table
