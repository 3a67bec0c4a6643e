"""Tables and options of odd kinds: they are refused by errors of our own, or taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import timesync_xr as tx
from tests.strategies import cube_of
from timesync_xr.errors import InputError, TimesyncError


def spectra() -> pd.DataFrame:
    dn = np.full((2, 7, 3, 3), 9000, np.uint16)
    dn[:, 6] = 21824
    return tx.spectral_table(cube_of(dn), "1", "2")


TABLE = spectra()
CUBE = xr.DataArray(np.ones((2, 3)), dims=("y", "x"))
ODD: dict[str, Any] = {
    "nothing": None,
    "a number": 1,
    "a negative number": -1,
    "a fraction": 1.5,
    "no number": float("nan"),
    "a truth": True,
    "a text": "x",
    "an empty text": "",
    "a text no file is called": "\0",
    "a text no disk can hold": "\ud800",
    "a ratio": Fraction(1, 2),
    "a pair": ("2020", None),
    "a huge number": 10**30,
    "bytes": b"a",
    "a list": [],
    "a list in a list": [[]],
    "a tuple": (1,),
    "a dict": {},
    "a set": {1},
    "an object": object(),
    "a type": int,
    "a function": len,
    "an array": np.arange(3),
    "an array of no dims": np.array(5),
    "an empty array": np.zeros(0),
    "a date": np.datetime64("2010"),
    "a cube": CUBE,
    "a dataset": CUBE.to_dataset(name="a"),
    "an empty table": pd.DataFrame(),
    "a table": TABLE,
    "a table of no rows": TABLE[:0],
    "a table by plot": TABLE.set_index("plot_id"),
    "a table of texts": TABLE.astype(str),
    "a table with categories": TABLE.astype({"sensor": "category"}),
    "a table with gaps": TABLE.assign(blue=np.nan),
    "a row": TABLE.iloc[0],
    "a missing value": pd.NA,
}
USUAL: dict[Callable[..., Any], dict[str, Any]] = {
    tx.annual: {"table": TABLE},
    tx.selected_of_year: {"table": TABLE},
    tx.v3_records: {"spectra": TABLE},
    tx.chip_outlines: {"plots": pd.DataFrame({"x": [15.0], "y": [1500015.0]})},
    tx.tasseled_cap: {"values": CUBE},
    tx.composite_rgb: {"cube": CUBE, "composite": "tc"},
    tx.parse_datetime: {},
    tx.Selection: {},
    tx.Products: {},
    tx.Archive: {},
    tx.S3: {},
    tx.Prices: {},
    tx.ChipsPerYear: {"count": 1},
    tx.read_plots: {"path": ""},
    tx.read_items: {"path": ""},
}
PAIRS = [
    pytest.param(function, name, id=f"{function.__name__} {name}")
    for function in USUAL
    for name in inspect.signature(function).parameters
]


@pytest.mark.parametrize(("function", "name"), PAIRS)
@pytest.mark.cases(6)
def test_odd_arguments_end_well_or_in_an_error_of_ours(
    function: Callable[..., Any], name: str
) -> None:
    for value in ODD.values():
        with suppress(TimesyncError):
            function(**(USUAL[function] | {name: value}))


def test_categories_and_other_tables_are_chosen_from_alike() -> None:
    wanted = tx.annual(TABLE)
    found = tx.annual(TABLE.astype({"sensor": "category", "project_id": "category"}))
    kind = wanted["project_id"].dtype
    pd.testing.assert_frame_equal(found.astype({"project_id": kind}), wanted)
    cases: list[tuple[Any, str]] = [
        (TABLE.astype(str), "column year holds what is no number"),
        (TABLE.assign(blue=np.nan), "column blue holds what is no number, or lacks some"),
        (TABLE.set_index("plot_id"), "the table lacks plot_id"),
        (None, "a NoneType is no table: give one of Project.spectra"),
    ]
    for odd, told in cases:
        for function in (tx.annual, tx.v3_records):
            with pytest.raises(InputError, match=told):
                function(odd)


def test_an_empty_table_has_no_years() -> None:
    empty = pd.DataFrame(columns=list(TABLE.columns), dtype=object)
    assert tx.annual(empty).empty
    assert tx.v3_records(empty).empty


@pytest.mark.parametrize("text", ["LC08;LC09", "LC08|LC09", "LC08 LC09", "LC08, LC09; LE07"])
def test_names_that_other_signs_part_are_told_of_commas(text: str) -> None:
    with pytest.raises(InputError, match="put commas between names"):
        tx.Selection(sensors=text)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="put commas between names"):
        tx.Products(text.replace("LC08", "png").replace("LC09", "csv"))
    assert tx.Selection(sensors=" LC08 , LC09 ").sensors == ("LC08", "LC09")  # type: ignore[arg-type]
