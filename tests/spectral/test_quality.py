from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from tests.strategies import CLEAR
from timesync_xr import is_clear, qa_flags, qa_grade

ALL = np.arange(2**16, dtype=np.uint16)
TEXT = [f"{n:016b}"[::-1] for n in ALL]
"""The bits of every value written out, bit 0 first."""

TEXT[0] = TEXT[1]  # nothing at all is fill


def bit(position: int) -> np.ndarray:
    return np.array([t[position] == "1" for t in TEXT])


def confidence(position: int) -> np.ndarray:
    return np.array([int(t[position + 1] + t[position], 2) for t in TEXT])


def test_every_flag_and_confidence_against_bits_written_out() -> None:
    flags = qa_flags(xr.DataArray(ALL, dims="n"))
    names = ["fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow", "snow", "clear", "water"]
    for position, name in enumerate(names):
        assert (flags[name].to_numpy() == bit(position)).all()
    for position, name in ((8, "cloud"), (10, "cloud_shadow"), (12, "snow"), (14, "cirrus")):
        made = flags[f"{name}_confidence"]
        assert (made.to_numpy() == confidence(position)).all()
        assert made.dtype == np.uint8
    assert len(flags) == len(names) + 4


def test_clear_is_free_of_everything_written_out() -> None:
    unclear = np.any([bit(n) for n in (0, 1, 2, 3, 4, 5)], axis=0)
    medium = np.any([confidence(n) >= 2 for n in (8, 10, 12, 14)], axis=0)
    assert (is_clear(ALL) == ~(unclear | medium)).all()


@pytest.mark.parametrize("dtype", ["int16", "uint8", ">u2", "int64"])
def test_clear_of_other_integers(dtype: str) -> None:
    """Other software saves QA_PIXEL as it likes; the bits count."""
    values = ALL.astype(dtype)
    low = 2 ** min(16, 8 * values.dtype.itemsize)
    assert (is_clear(values) == is_clear(ALL)[np.arange(2**16) % low]).all()


def test_the_highest_grade_that_holds_is_taken() -> None:
    grade = np.zeros(2**16)
    grade[bit(7)] = 1
    grade[bit(5) | (confidence(12) >= 2)] = 2
    grade[bit(4) | (confidence(10) >= 2)] = 3
    grade[bit(1) | bit(2) | bit(3) | (confidence(8) >= 2) | (confidence(14) >= 2)] = 4
    grade[bit(0)] = 9
    assert (qa_grade(ALL) == grade).all()
    assert ((qa_grade(ALL) <= 1) == is_clear(ALL)).all()


@pytest.mark.parametrize(
    ("qa", "grade"),
    [
        (CLEAR, 0),  # Landsat 8
        (5440, 0),  # Landsat 5
        (21952, 1),  # water
        (30048, 2),  # snow
        (23888, 3),  # shadow
        (22280, 4),  # cloud
        (54596, 4),  # cirrus
        (1, 9),
    ],
)
def test_common_values(qa: int, grade: int) -> None:
    assert qa_grade(np.array([qa], dtype=np.uint16)).tolist() == [grade]


@pytest.mark.parametrize("function", [qa_flags, qa_grade, is_clear])
def test_lazy_in_lazy_out_with_the_same_values(function: Any) -> None:
    eager = xr.DataArray(ALL.reshape(256, 256), dims=("y", "x"))
    lazy = function(eager.chunk(y=100))
    parts = lazy.data_vars.values() if isinstance(lazy, xr.Dataset) else [lazy]
    assert all(isinstance(part.data, da.Array) for part in parts)
    xr.testing.assert_identical(lazy.compute(), function(eager))
