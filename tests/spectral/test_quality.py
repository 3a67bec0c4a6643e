from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import timesync_xr as tx
from tests.strategies import CLEAR
from timesync_xr import fmask, is_clear, is_valid, qa_flags, qa_grade
from timesync_xr.errors import InputError

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


@pytest.mark.parametrize("dtype", ["int16", ">u2", "int64"])
def test_clear_of_other_integers(dtype: str) -> None:
    """Other software saves QA_PIXEL as it likes; the bits count."""
    assert (is_clear(ALL.astype(dtype)) == is_clear(ALL)).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
def test_types_that_lose_bits_are_refused(dtype: str) -> None:
    for function in (is_clear, tx.is_fill, qa_grade, tx.contract_qa, fmask):
        with pytest.raises(InputError, match=f"QA_PIXEL is uint16, not {dtype}"):
            function(ALL.astype(dtype))


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


@pytest.mark.parametrize("function", [qa_flags, qa_grade, is_clear, fmask])
def test_lazy_in_lazy_out_with_the_same_values(function: Any) -> None:
    eager = xr.DataArray(ALL.reshape(256, 256), dims=("y", "x"))
    lazy = function(eager.chunk(y=100))
    parts = lazy.data_vars.values() if isinstance(lazy, xr.Dataset) else [lazy]
    assert all(isinstance(part.data, da.Array) for part in parts)
    xr.testing.assert_identical(lazy.compute(), function(eager))


def hierarchy(qa: int) -> int:
    """The class of a value as pyccd and pycold count, written out: the first that holds."""
    for bits, number in (((0,), 255), ((3, 1), 4), ((4,), 2), ((5,), 3), ((7,), 1)):
        if any(qa >> bit & 1 for bit in bits):
            return number
    return 0


def test_fmask_is_the_order_of_pyccd_but_for_cirrus_and_confidences() -> None:
    """What only cirrus or a confidence tells is cloud, shadow or snow here, clear there."""
    theirs = np.array([hierarchy(int(n)) if n else 255 for n in ALL])
    told_by_flags = ~(bit(2) | np.any([confidence(n) >= 2 for n in (8, 10, 12, 14)], axis=0))
    assert (fmask(ALL)[told_by_flags] == theirs[told_by_flags]).all()
    rank = {0: 0, 1: 1, 3: 2, 2: 3, 4: 4, 255: 5}
    ranks = [np.vectorize(rank.__getitem__)(made) for made in (fmask(ALL), theirs)]
    assert (ranks[0] >= ranks[1]).all()


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (1, 1), (2, 3), (3, 2), (4, 4), (9, 255)],
)
def test_grade_and_fmask_are_the_same_classes(value: int, number: int) -> None:
    assert set(fmask(ALL)[qa_grade(ALL) == value]) == {number}


def test_valid_range_written_out() -> None:
    made = is_valid(ALL)
    assert made.sum() == 43636 - 7273 + 1
    assert (np.flatnonzero(made) == np.arange(7273, 43637)).all()
    lazy = is_valid(xr.DataArray(ALL, dims="n").chunk(n=1000))
    assert isinstance(lazy.data, da.Array)
    assert (lazy.to_numpy() == made).all()
    floats = np.where(ALL == 9000, np.nan, ALL.astype(float))
    assert not is_valid(floats)[9000]
    with pytest.raises(InputError, match="digital numbers"):
        is_valid(tx.to_collection1(xr.DataArray(ALL, dims="n")))


def real_series(shared: Any) -> pd.DataFrame:
    """All real observations: sensor, QA_PIXEL and the six bands as digital numbers."""
    names = ("lsat.example.dt", "noatak.dt")
    raw = pd.concat(
        pd.read_csv(shared / "real" / "pixel_series_c2" / f"{name}.csv.gz") for name in names
    )
    raw = raw[raw["QA_PIXEL"].notna()].reset_index(drop=True)
    oli = raw["SPACECRAFT_ID"].isin(["LANDSAT_8", "LANDSAT_9"])
    bands = {
        "blue": (2, 1), "green": (3, 2), "red": (4, 3),
        "nir08": (5, 4), "swir16": (6, 5), "swir22": (7, 7),
    }  # fmt: skip
    dn = {b: raw[f"SR_B{new}"].where(oli, raw[f"SR_B{old}"]) for b, (new, old) in bands.items()}
    sensor = raw["LANDSAT_PRODUCT_ID"].str[:4]
    return (
        pd.DataFrame(dn)
        .fillna(0)
        .astype(np.uint16)
        .assign(sensor=sensor, qa=raw["QA_PIXEL"].astype(np.uint16))
    )


def test_bit_6_means_other_things_on_other_sensors(shared: Any) -> None:
    """What docs/data.md says of 93,162 real observations; our flags do not depend on it."""
    table = real_series(shared)
    qa = table["qa"].to_numpy()
    old = table["sensor"].isin(["LT04", "LT05", "LE07"]).to_numpy()
    only = {  # a pixel of one class and no other
        "shadow": (qa & 0b10111111) == 1 << 4,
        "snow": (qa & 0b10111111) == 1 << 5,
        "dilated": (qa & 0b10111111) == 1 << 1,
        "water": (qa & 0b10111111) == 1 << 7,
    }
    bit_6 = qa >> 6 & 1 == 1
    share = {
        k: (bit_6[where & old].mean(), bit_6[where & ~old].mean()) for k, where in only.items()
    }
    assert share == {"shadow": (0, 1), "snow": (0, 1), "dilated": (1, 0), "water": (0, 1)}
    for where, grade in zip(only.values(), (3, 2, 4, 1), strict=True):
        medium = qa >> 8 & 3 >= 2
        assert set(qa_grade(qa[where & ~medium])) == {grade}
        assert set(fmask(qa[where & ~medium])) == {{3: 2, 2: 3, 4: 4, 1: 1}[grade]}
    confidences = {n: set(np.unique(qa >> n & 3)) for n in (8, 10, 12, 14)}
    assert 2 in confidences[8]
    assert all(2 not in confidences[n] for n in (10, 12, 14)), "reserved, and not met"
    assert set(np.unique(qa[old] >> 14 & 3)) == {0}, "no band for cirrus"
    assert set(np.unique(qa[~old] >> 14 & 3)) <= {0, 1, 3}


def test_clear_by_qa_and_valid_in_all_bands_are_two_things(shared: Any) -> None:
    table = real_series(shared)
    clear = is_clear(table["qa"].to_numpy())
    bands = table[list(tx.SR_BANDS)].to_numpy()
    valid = is_valid(bands).all(axis=1)
    holds = ((bands >= 7273) & (bands <= 43636)).all(axis=1)
    assert (valid == holds).all()
    assert 0.01 < (clear & ~valid).sum() / clear.sum() < 0.03
    assert ((bands == 0).any(axis=1) & ~tx.is_fill(table["qa"].to_numpy())).sum() > 20
