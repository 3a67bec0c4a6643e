"""Programs that look for change read the exported series, and find what happened in the sample.

They need pyxccd, see tests/oracles.txt.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from timesync_xr import export_project

pytestmark = pytest.mark.deep

FIRE, CUT = date(1996, 7, 19), date(2008, 2, 6)
"""1996.55 and 2008.1, as timesync_xr/sample/scene.py has them."""

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")


@pytest.fixture(scope="module")
def table(sample_project: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    made = export_project(sample_project, "series", tmp_path_factory.mktemp("series"))
    return pd.read_parquet(Path(made.path) / "observations.parquet")


def columns(table: pd.DataFrame, plot: str) -> dict[str, Any]:
    """What COLD and S-CCD take, of the columns as they stand."""
    rows = table[(table["plot_id"] == plot) & (table["fmask"] != 255)]
    given = {name: rows[name].to_numpy(np.int64) for name in ("ordinal", *BANDS, "fmask")}
    return {name: np.ascontiguousarray(values) for name, values in given.items()}


def breaks(segments: Any) -> list[date]:
    return [date.fromordinal(int(s["t_break"])) for s in segments if s["t_break"] > 0]


def cold(table: pd.DataFrame, plot: str) -> list[date]:
    pyxccd = pytest.importorskip("pyxccd", reason="see tests/oracles.txt")
    given = columns(table, plot)
    values = [given[name] for name in ("ordinal", *BANDS)]
    thermal = np.zeros_like(values[0])
    return breaks(pyxccd.cold_detect(*values, thermal, given["fmask"]))


def sccd(table: pd.DataFrame, plot: str) -> list[date]:
    pyxccd = pytest.importorskip("pyxccd", reason="see tests/oracles.txt")
    given = columns(table, plot)
    return breaks(pyxccd.sccd_detect(*(given[n] for n in ("ordinal", *BANDS, "fmask"))).rec_cg)


def test_cold_dates_the_fire_within_a_month(table: pd.DataFrame) -> None:
    found = cold(table, "2")
    assert any(0 <= (day - FIRE).days <= 31 for day in found), found


def test_s_ccd_dates_the_fire_within_a_month(table: pd.DataFrame) -> None:
    found = sccd(table, "2")
    assert any(0 <= (day - FIRE).days <= 31 for day in found), found


def test_cold_finds_the_clear_cut_in_the_first_summer_after_it(table: pd.DataFrame) -> None:
    found = cold(table, "5")
    assert any(day.year == CUT.year and day > CUT for day in found), found


def test_what_stays_as_it_is_has_no_break(table: pd.DataFrame) -> None:
    assert cold(table, "1") == []


def test_landtrendr_would_see_the_fall_of_the_fire(sample_project: Path, tmp_path: Path) -> None:
    """A row of years, gaps empty: the largest fall from one year to the next is the fire's."""
    made = export_project(sample_project, "series", tmp_path)
    wide = pd.read_csv(Path(made.path) / "annual_nbr.csv", dtype={"plot_id": str})
    row = wide[wide["plot_id"] == "2"].drop(columns=["project_id", "plot_id"]).iloc[0].dropna()
    falls = row.astype(float).diff()
    assert falls.idxmin() == str(FIRE.year)
    assert falls.min() < -0.5
    assert len(row) > 36
