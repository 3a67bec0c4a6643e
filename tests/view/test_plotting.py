"""Pictures by matplotlib: what they hold, read back from matplotlib's own objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes

import timesync_xr as tx
from timesync_xr.errors import InputError
from timesync_xr.sample import SamplePaths
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


def test_without_matplotlib_it_is_told_how_to_get_it(
    rgb: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        plot_chips(rgb)


@pytest.fixture(scope="module")
def cube(sample: SamplePaths) -> xr.DataArray:
    """Chips of 9 x 9 pixels of the sample's burnt forest, in 1995 and 1996."""
    archive = tx.Archive(sample.items, mirror=f"s3://usgs-landsat-ard={sample.folder}")
    plot = tx.read_plots(sample.plots).iloc[1]
    return tx.chips_for_plot(plot, archive, datetime="1995/1996", chip_size=9).compute()


def drawn_by(ax: Axes) -> dict[str, tuple[list[str], list[float]]]:
    """Days and values of each line of a plot."""
    return {
        str(line.get_label()): (
            [str(day)[:10] for day in np.asarray(line.get_xdata())],
            np.asarray(line.get_ydata(), float).round(9).tolist(),
        )
        for line in ax.lines
    }


@pytest.mark.parametrize("index", ["nbr", "tcw", "blue"])
def test_a_cube_and_its_table_have_one_trajectory(cube: xr.DataArray, index: str) -> None:
    table = tx.spectral_table(cube, "1001", "2")
    values = tx.index_table(table, [index])[index] if index != "blue" else table["blue"]
    days = pd.to_datetime(table["date"]).dt.strftime("%Y-%m-%d")
    pixel = tx.plot_pixel(cube).sel(band="qa_pixel")
    clear = tx.is_clear(pixel).to_numpy()[table.index]
    assert 0 < clear.sum() < len(clear)
    by_cube = drawn_by(plot_trajectory(cube, index))
    expected = days[clear].tolist(), values[clear].astype(float).round(9).tolist()
    assert by_cube["clear"] == expected
    chosen = tx.selected_of_year(table)
    by_table = drawn_by(plot_trajectory(table, index, clear=clear, chosen=chosen))
    assert by_table["clear"] == expected
    assert by_table["annual choice"][0] == days[chosen].tolist()
    usable = drawn_by(plot_trajectory(table, index))["clear"]
    assert usable[0] == days[table["qa"] == 0].tolist()


@pytest.mark.deep
def test_a_series_of_a_project_tells_clear_and_outliers(sample_project: Path) -> None:
    series = tx.Project(sample_project).series()
    one = series[(series["project_id"] == "1001") & (series["plot_id"] == "1")]
    drawn = drawn_by(plot_trajectory(one, "ndvi"))
    assert one["outlier"].isna().any(), "not all can be told"
    assert drawn["clear"][0] == one["day"][one["strict_clear"]].tolist()
    assert drawn["outlier"][0] == ["1990-09-02"]
    times = one["day"].to_numpy("datetime64[ns]")
    values = xr.DataArray(one["ndvi"].to_numpy(), {"time": times}, "time")
    again = plot_trajectory(values, clear=one["strict_clear"], outlier=one["outlier"])
    assert drawn_by(again) == drawn
    for table, index, message in (
        (series, "nbr", "several plots"),
        (one, "ndvii", "did you mean 'ndvi'"),
        (one.drop(columns="qa"), "nbr", "lacks qa"),
    ):
        with pytest.raises(InputError, match=message):
            plot_trajectory(table, index)


def test_chips_of_a_cube_are_those_of_its_composite(cube: xr.DataArray) -> None:
    part = cube.isel(time=slice(0, 2))
    shown = [ax.images[0].get_array() for ax in plot_chips(part, "b743").axes]
    np.testing.assert_array_equal(shown, tx.composite_rgb(part, "b743"))
    first, last = (str(cube["time"].to_numpy()[n])[:10] for n in (0, -1))
    figure = plot_before_after(cube, first, last, "b432")
    expected = tx.composite_rgb(cube.isel(time=[0, -1]), "b432")
    np.testing.assert_array_equal([ax.images[0].get_array() for ax in figure.axes], expected)
