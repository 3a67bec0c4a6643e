"""Pictures by matplotlib: what they hold, read back from matplotlib's own objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from timesync_xr.errors import InputError
from timesync_xr.view.plotting import plot_before_after, plot_chips, plot_trajectory


@pytest.fixture(autouse=True)
def _without_a_screen() -> Iterator[None]:
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def rgb() -> xr.DataArray:
    """Five chips of 7 x 7 pixels, all different."""
    times = pd.date_range("2000-07-01", periods=5, freq="365D")
    values = np.random.default_rng(1).integers(0, 256, (5, 7, 7, 3), dtype=np.uint8)
    array = xr.DataArray(values, dims=("time", "y", "x", "rgb"), coords={"time": times})
    return array.chunk(time=1)


def test_chips_are_shown_in_order_with_their_dates(rgb: xr.DataArray) -> None:
    axes = [ax for ax in plot_chips(rgb, columns=3).axes if ax.get_visible()]
    assert [ax.get_title() for ax in axes] == [
        "2000-07-01", "2001-07-01", "2002-07-01", "2003-07-01", "2004-06-30",
    ]  # fmt: skip
    for ax, chip in zip(axes, rgb.to_numpy(), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), chip)


def test_box_holds_the_three_by_three_pixels_around_the_plot(rgb: xr.DataArray) -> None:
    (ax,) = plot_chips(rgb.isel(time=0)).axes
    edges = {patch.get_bbox().bounds for patch in ax.patches}  # type: ignore[attr-defined]
    assert edges == {(1.5, 1.5, 3, 3)}  # pixel 3 is the plot; it reaches from 2.5 to 3.5
    assert not plot_chips(rgb.isel(time=0), box=False).axes[0].patches


def test_before_and_after_are_the_nearest_dates(rgb: xr.DataArray) -> None:
    figure = plot_before_after(rgb, "2001-06-01", "2003-12-01")
    assert [ax.get_title() for ax in figure.axes] == ["2001-07-01", "2003-07-01"]
    with pytest.raises(InputError, match="2001-07-01"):
        plot_before_after(rgb, "2001-06-01", "2001-07-02")


def test_trajectory_tells_clear_cloudy_and_chosen(rgb: xr.DataArray) -> None:
    values = rgb.isel(x=0, y=0, rgb=0).astype(float).rename("nbr")
    clear = xr.zeros_like(values, dtype=bool) | [True, False, True, True, False]
    chosen = xr.zeros_like(values, dtype=bool) | [True, False, False, True, False]
    ax = plot_trajectory(values, clear=clear, chosen=chosen)
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.lines}
    expected = values.to_numpy()
    np.testing.assert_array_equal(drawn["clear"], expected[[0, 2, 3]])
    np.testing.assert_array_equal(drawn["not clear"], expected[[1, 4]])
    np.testing.assert_array_equal(drawn["annual choice"], expected[[0, 3]])
    assert ax.get_ylabel() == "nbr"


def test_wrong_arrays_are_refused(rgb: xr.DataArray) -> None:
    with pytest.raises(InputError, match="time"):
        plot_trajectory(rgb)
    with pytest.raises(InputError, match="no chip"):
        plot_chips(rgb.isel(time=slice(0)))


def test_axis_says_what_is_drawn_and_in_which_unit(rgb: xr.DataArray) -> None:
    values = rgb.isel(x=0, y=0, rgb=0).astype(float).rename("tca")
    values.attrs = {"long_name": "tasseled-cap angle", "units": "degree"}
    assert plot_trajectory(values).get_ylabel() == "tasseled-cap angle [degree]"
    values.attrs = {"long_name": "normalized burn ratio", "units": "1"}
    assert plot_trajectory(values).get_ylabel() == "normalized burn ratio"


def test_without_matplotlib_the_extra_is_named(
    rgb: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(InputError, match=r"timesync-xr\[plot\]"):
        plot_chips(rgb)
