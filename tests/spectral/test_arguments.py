"""Functions of values on odd arguments: whatever is given, they end well or by an error of ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import example, given, reject
from hypothesis import strategies as st

import timesync_xr as tx
from tests.strategies import cube_of
from timesync_xr.errors import TimesyncError
from timesync_xr.spectral import indices

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "composite_rgb": lambda a: tx.composite_rgb(a, "tc"),
    "composite_rgb of an index": lambda a: tx.composite_rgb(a, "ndvi"),
    "tasseled_cap": tx.tasseled_cap,
    "stretch": lambda a: tx.stretch(a, 0, 10),
    "to_collection1": tx.to_collection1,
    **{
        name: getattr(indices, name)
        for name in ("ndvi", "nbr", "nbr2", "ndmi", "evi", "tcb", "tcg", "tcw", "tca")
    },
    "decimal_year": indices.decimal_year,
    "is_clear": tx.is_clear,
    "is_fill": tx.is_fill,
    "contract_qa": tx.contract_qa,
    "qa_flags": tx.qa_flags,
    "qa_grade": tx.qa_grade,
    "fmask": tx.fmask,
    "is_valid": tx.is_valid,
    "annual_composite": tx.annual_composite,
    "has_bit": lambda a: tx.has_bit(a, 3),
    "spectral_table": lambda a: tx.spectral_table(a, "1", "2"),
    "plot_pixel": tx.plot_pixel,
    "window_statistics": tx.window_statistics,
    "choose_platforms": tx.choose_platforms,
    "merge_records": lambda a: tx.merge_records(a, [0]),
    "reflectance": tx.reflectance,
    "stack_plots": lambda a: tx.stack_plots([a, a]),
    "plot_chips": tx.plot_chips,
    "plot_trajectory": tx.plot_trajectory,
    "plot_before_after": lambda a: tx.plot_before_after(a, "2001-01-01", "2001-01-09"),
}


def usual() -> xr.DataArray:
    dn = np.random.default_rng(3).integers(7300, 30000, (2, 7, 3, 3)).astype(np.uint16)
    return cube_of(dn).rename("digital_number")


def with_a_record_of_the_day(cube: xr.DataArray) -> xr.DataArray:
    if "time" not in cube.dims or cube.sizes["time"] < 2:
        return cube
    return cube.assign_coords(time=cube["time"].to_numpy()[[0] * cube.sizes["time"]])


STEPS: dict[str, Callable[[Any], Any]] = {
    "masked": lambda a: a.where(a != a.max()),
    "all masked": lambda a: a.where(xr.zeros_like(a, dtype=bool)),
    "single time": lambda a: a.isel(time=0),
    "no times": lambda a: a.isel(time=slice(0)),
    "one day": with_a_record_of_the_day,
    "no pixels": lambda a: a.isel(x=slice(0)),
    "a pixel": lambda a: a.isel(x=1, y=1),
    "a band": lambda a: a.isel(band=0),
    "quality": lambda a: a.sel(band="qa_pixel"),
    "few bands": lambda a: a.isel(band=slice(2)),
    "bands twice": lambda a: a.isel(band=[0, 0, 1, 2, 3, 4, 5, 6]),
    "numbered bands": lambda a: a.assign_coords(band=np.arange(a.sizes["band"])),
    "renamed band": lambda a: a.rename(band="bands"),
    "renamed x": lambda a: a.rename(x="longitude"),
    "renamed time": lambda a: a.rename(time="t"),
    "renamed all": lambda a: a.rename({dim: f"{dim}_" for dim in a.dims}),
    "further dim": lambda a: a.expand_dims("source"),
    "no coords": lambda a: a.drop_vars(list(a.coords)),
    "no sensor": lambda a: a.drop_vars(["sensor", "hv"]),
    "no attrs": lambda a: a.drop_attrs().rename(None),
    "a place": lambda a: a.assign_attrs(plot_x=1.0, plot_y="here"),
    "text as time": lambda a: a.assign_coords(time=a["time"].astype(str)),
    "no time known": lambda a: a.assign_coords(time=a["time"].where(a["time"].isnull())),
    "transposed": lambda a: a.transpose(),
    "lazy": lambda a: a.chunk(),
    "int8": lambda a: a.astype("int8"),
    "int16": lambda a: a.astype("int16"),
    "float16": lambda a: a.astype("float16"),
    "float64": lambda a: a.astype("float64"),
    "text": lambda a: a.astype(str),
    "objects": lambda a: a.astype(object),
    "bool": lambda a: a > 9000,
    "complex": lambda a: a.astype(complex),
    "times": lambda a: a.astype("datetime64[ns]"),
    "infinite": lambda a: a * np.inf,
    "negative": lambda a: -1.0 * a,
    "values": tx.to_collection1,
    "reflectance": lambda a: a * 0.0000275 - 0.2,
    "colours": lambda a: tx.composite_rgb(a, "tc"),
    "an index": indices.ndvi,
    "numpy": lambda a: a.to_numpy(),
    "dask": lambda a: a.chunk().data,
    "masked array": lambda a: a.to_masked_array(),
    "variable": lambda a: a.variable,
    "dataset": lambda a: a.to_dataset(name="cube"),
    "table": lambda a: a.to_series().to_frame("cube"),
    "categories": lambda a: a.to_series().astype("category"),
    "index": lambda a: pd.Index(a.to_numpy().ravel()),
    "list": lambda a: a.to_numpy().tolist(),
    "number": lambda a: a.to_numpy().ravel()[0],
}
"""What may be done to a cube; what does not fit what came before is left out."""

ALONE = [None, 0, 1.5, "cube", b"", [], {}, (), object(), np.array([]), np.array("x"), pd.NaT]


def computed(made: Any) -> None:
    if hasattr(made, "compute"):
        made.compute()


def odd(steps: list[str]) -> Any:
    array: Any = usual()
    for step in steps:
        with suppress(Exception):  # the step does not fit: it is what is tried that counts
            array = STEPS[step](array)
    return array


def ends_well(name: str, argument: Any) -> None:
    plt.switch_backend("agg")
    with warnings.catch_warnings(), suppress(TimesyncError):
        warnings.simplefilter("ignore")  # of the steps' making, such as casts of infinity
        computed(FUNCTIONS[name](argument))
    plt.close("all")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.cases(6)
def test_each_odd_argument(name: str) -> None:
    for argument in [*(odd([step]) for step in STEPS), *ALONE]:
        ends_well(name, argument)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(st.lists(st.sampled_from(list(STEPS)), min_size=2, max_size=4))
@example(["no pixels", "lazy"])
@pytest.mark.deep
def test_several_odd_things_at_once(name: str, steps: list[str]) -> None:
    argument = odd(steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            computed(argument)
        except (ValueError, TypeError, OverflowError, TimesyncError):
            reject()  # a lazy step that does not fit, which shows once it is asked for
    ends_well(name, argument)


OTHER = [None, "x", "", 1.5, -1, 0, 99, np.nan, np.inf, [], {}, (1, 2), object(), pd.NaT, True]

CALLS: dict[str, Callable[[Any], Any]] = {
    "composite": lambda o: tx.composite_rgb(usual(), o),
    "coefficients": lambda o: tx.tasseled_cap(tx.to_collection1(usual()), o),
    "coefficients of an index": lambda o: indices.tca(tx.to_collection1(usual()), o),
    "low": lambda o: tx.stretch(np.arange(3), o, 10),
    "high": lambda o: tx.stretch(np.arange(3), 0, o),
    "bit": lambda o: tx.has_bit(np.arange(3), o),
    "size": lambda o: tx.window_statistics(usual(), o),
    "index": lambda o: tx.window_statistics(usual(), 3, o),
    "method": lambda o: tx.annual_composite(usual(), o),
    "season": lambda o: tx.annual_composite(usual(), season=o),
    "rule": lambda o: tx.annual_composite(usual(), rule=o),
    "outlier": lambda o: tx.plot_trajectory(series(), outlier=o),
    "ids": lambda o: tx.spectral_table(usual(), o, o),
    "starts": lambda o: tx.merge_records(usual().to_numpy(), o),
    "qa": lambda o: tx.merge_records(usual().to_numpy(), [0], o),
    "columns": lambda o: tx.plot_chips(tx.composite_rgb(usual(), "tc"), columns=o),
    "before": lambda o: tx.plot_before_after(tx.composite_rgb(usual(), "tc"), o, "2001-01-09"),
    "clear": lambda o: tx.plot_trajectory(series(), clear=o),
    "chosen": lambda o: tx.plot_trajectory(series(), chosen=o),
    "index of a cube": lambda o: tx.plot_trajectory(usual(), o),
    "plots": tx.stack_plots,
}


def series() -> xr.DataArray:
    return indices.ndvi(tx.to_collection1(tx.plot_pixel(usual())))


@pytest.mark.parametrize("name", CALLS)
def test_each_odd_option(name: str) -> None:
    plt.switch_backend("agg")
    for other in OTHER:
        with suppress(TimesyncError):
            CALLS[name](other)
    plt.close("all")


def test_what_is_usual_is_no_error() -> None:
    """Else all of this would hold for functions that refuse everything."""
    for name in ("composite_rgb", "to_collection1", "spectral_table", "window_statistics"):
        computed(FUNCTIONS[name](usual()))
        computed(FUNCTIONS[name](odd(["masked", "lazy"])))
    for name in ("ndvi", "evi", "tca", "tasseled_cap"):
        computed(FUNCTIONS[name](odd(["values"])))
    for name in ("is_clear", "qa_flags", "qa_grade"):
        computed(FUNCTIONS[name](odd(["quality", "masked"])))
