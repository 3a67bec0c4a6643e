"""The plot's series as tables: its pixel in the words of the TimeSync contract, and a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..cube.schema import expect_array, expect_dims, is_whole, plot_window, select_bands
from ..errors import InputError, check_choice
from ..landsat import BANDS, CSV_BANDS, FILL, QA_BAND, SR_BANDS
from ..lists import expect_table, texts
from . import indices
from .arrays import COLLECTION1_NAME, as_digital_numbers
from .quality import contract_qa, is_clear, is_fill, is_valid
from .reflectance import to_collection1

CSV_COLUMNS = (
    "sensor",
    "project_id",
    "plot_id",
    "hv",
    "year",
    "doy",
    *CSV_BANDS,
    "qa",
    "date",
)
"""Header of the contract's CSV."""

_TABLE_COORDS = ("sensor", "hv", "date")
"""Coordinates along time that become columns as they are."""


def plot_pixel(cube: xr.DataArray) -> xr.DataArray:
    """The plot pixel of a cube, or of any spatial part of one that holds it. Lazy in, lazy out.

    It is the pixel at the attributes ``plot_x`` and ``plot_y``, in whatever order the axes and
    pixels are. An array with neither these nor coordinates y and x is taken for a whole chip: its
    plot is index ``size // 2``. `InputError` for a part that lacks the plot, and for one that does
    not tell where it lies.

    Examples
    --------
    ::

        tx.plot_pixel(cube).sel(band="nir08").to_series()
    """
    expect_array(cube)
    return cube.isel({dim: at.start for dim, at in plot_window(cube).items()})


def spectral_table(cube: xr.DataArray, project_id: str, plot_id: str) -> pd.DataFrame:
    """The contract's table of a plot: a row per observation whose plot pixel is not fill.

    ``cube`` is a cube of `chips_for_plot`, or any part of it that holds the plot pixel (a single
    time, too), or its `plot_pixel`; of a lazy one that pixel is computed. The index holds each
    row's position along ``time``. Columns `CSV_COLUMNS`: values in the Collection 1 range as
    integers, ``hv`` as four digits, ``qa`` 0 or 1 by `contract_qa`, ``date`` verbatim from the STAC
    item. Masked pixels (NaN) are fill. `InputError` for an array without time, without one of its
    bands or without the plot, and for what holds no digital numbers.

    Examples
    --------
    ::

        tx.spectral_table(cube, "1001", "2").head()
    """
    _check_ids(project_id, plot_id)
    pixel = select_bands(plot_pixel(cube), BANDS)
    dn = observations_of(pixel, ("time", "band"), _TABLE_COORDS).compute()
    bands, qa = as_digital_numbers(select_bands(dn, SR_BANDS)), dn.to_numpy()[:, -1]
    along_time = {name: np.atleast_1d(dn[name].to_numpy()) for name in _TABLE_COORDS}
    time = pd.DatetimeIndex(dn["time"].to_numpy())
    columns = {  # in the order of `CSV_COLUMNS`
        "sensor": along_time["sensor"],
        "project_id": project_id,
        "plot_id": plot_id,
        "hv": along_time["hv"],
        "year": time.year.to_numpy(),
        "doy": time.day_of_year.to_numpy(),
        **dict(zip(CSV_BANDS, to_collection1(bands.to_numpy().T), strict=True)),
        "qa": contract_qa(qa),
        "date": along_time["date"],
    }
    return pd.DataFrame(columns)[~is_fill(qa)]


def _check_ids(*ids: object) -> None:
    for name in ids:
        if not isinstance(name, str) and not is_whole(name):
            raise InputError(f"{name!r} is no id: give project_id and plot_id as text")


def observations_of(
    part: xr.DataArray, dims: tuple[str, ...], coords: tuple[str, ...]
) -> xr.DataArray:
    """A part of a cube with these dims, of a single time too, and these coordinates along time."""
    if "time" not in part.coords:
        raise InputError(f"the cube has no time (dims {part.dims}): give one of chips_for_plot")
    expect_dims(part, (), coords)
    if part["time"].dtype.kind != "M":
        raise InputError(f"the cube's time is {part['time'].dtype}, not datetime64: decode it")
    whole = part if "time" in part.dims else part.expand_dims("time")
    if others := [str(dim) for dim in whole.dims if dim not in dims]:
        raise InputError(f"the cube has a dimension {', '.join(others)}: choose one step of it")
    return whole if whole.dims == dims else whole.transpose(*dims)


def index_table(table: pd.DataFrame, names: Sequence[str] = indices.NAMES) -> pd.DataFrame:
    """Indices of rows of the contract, a column each: float64, NaN where a band is fill.

    ``table`` has the six bands of the contract (`CSV_BANDS`) in the Collection 1 range; ``names``
    are some of `timesync_xr.spectral.indices.NAMES`. The index is that of the table.

    Examples
    --------
    ::

        table = tx.spectral_table(cube, "1001", "2")
        tx.index_table(table, ["ndvi", "nbr"])
    """
    wanted = texts(names)
    for name in wanted:
        check_choice(name, indices.NAMES, "index")
    expect_table(table, CSV_BANDS, "give one of Project.spectra")
    values = xr.DataArray(
        table[list(CSV_BANDS)].to_numpy(np.float64),
        dims=("row", "band"),
        coords={"band": list(SR_BANDS)},
        name=COLLECTION1_NAME,
    )
    made = {name: getattr(indices, name)(values).to_numpy() for name in wanted}
    return pd.DataFrame(made, index=table.index)


WINDOW_COLUMNS = ("time", "sensor", "band", "mean", "std", "valid", "clear", "spread")
"""Columns of `window_statistics`."""


def window_statistics(cube: xr.DataArray, size: int = 3, index: str = "ndvi") -> pd.DataFrame:
    """What the pixels of a window around the plot hold, and how alike the clear ones are.

    ``cube`` is a cube of `chips_for_plot`, or a part of it that holds the window; a lazy one is
    computed, of its chips the window alone. ``size`` is the window's edge in pixels, odd; ``index``
    one of `timesync_xr.spectral.indices.NAMES`.

    The table has a row per observation and surface reflectance band (`SR_BANDS`), in the order of
    the cube, and the columns `WINDOW_COLUMNS`: mean and std (of the pixels themselves, divided by
    their number) in the Collection 1 range as float64, valid as an integer of 0 to ``size * size``.
    A pixel is valid in a band where neither the band nor QA_PIXEL is fill or masked (NaN); cloud is
    not looked at. ``clear`` is the number of pixels that are clear by `is_clear` and have all bands
    in their valid range (`is_valid`), ``spread`` the standard deviation of the index among these,
    in the unit of the index: the smaller, the more the plot is like what lies around it. Both are
    of the observation, the same in the rows of all its bands.
    Without a valid pixel mean and std are NaN, without a clear one spread is. `InputError` for a
    size that is even, an unknown index, a part of a cube that does not hold the whole window, a
    missing band, and for what holds no digital numbers.

    Examples
    --------
    ::

        tx.window_statistics(cube, size=3).head()
    """
    check_choice(index, indices.NAMES, "index")
    if not is_whole(size) or size < 1 or size % 2 == 0:
        raise InputError(f"a window of {size} x {size} pixels has no middle: give an odd size")
    expect_dims(cube, ("y", "x"))
    window = select_bands(cube.isel(plot_window(cube, size)), BANDS)
    dn = observations_of(window, ("time", "band", "y", "x"), ("sensor",)).compute()
    reflectance = as_digital_numbers(dn.sel(band=list(SR_BANDS)))
    valid = (reflectance != FILL) & ~is_fill(dn.sel(band=QA_BAND, drop=True))
    values = to_collection1(reflectance).where(valid).astype(np.float64)
    count = valid.sum(("y", "x"))
    mean = values.sum(("y", "x")) / count.where(count > 0)
    std = np.sqrt(((values - mean) ** 2).sum(("y", "x")) / count.where(count > 0))
    clear = is_clear(dn.sel(band=QA_BAND, drop=True)) & is_valid(reflectance).all("band")
    shown = getattr(indices, index)(to_collection1(reflectance)).where(clear)
    spread = shown.std(("y", "x"), skipna=True).broadcast_like(count)
    seen = clear.sum(("y", "x")).broadcast_like(count)
    parts = (mean, xr.DataArray(std), count, seen, spread)
    statistics = [part.transpose("time", "band").to_numpy().ravel() for part in parts]
    return pd.DataFrame(
        {
            "time": np.repeat(dn["time"].to_numpy(), len(SR_BANDS)),
            "sensor": np.repeat(dn["sensor"].to_numpy(), len(SR_BANDS)),
            "band": np.tile(np.array(SR_BANDS, dtype=object), dn.sizes["time"]),
            **dict(zip(WINDOW_COLUMNS[3:], statistics, strict=True)),
        }
    )
