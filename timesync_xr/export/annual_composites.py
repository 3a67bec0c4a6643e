"""Annual composites of kept cubes as files of their own: chips, cubes and a table of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..cube.selection import check_season
from ..errors import InputError, counted
from ..landsat import CSV_BANDS, FILL
from ..plots import Plot
from ..project.cubes import whole_cube
from ..project.files import ANNUAL_COMPOSITES, png_bytes
from ..project.ledger import COMPLETE
from ..project.project import Plots, Project, as_project
from ..project.rows import has_product
from ..spectral.annual import GRADED, check_rule
from ..spectral.annual_composite import annual_composite, check_method
from ..spectral.composites import (
    COMPOSITES,
    Composite,
    Composites,
    composite_rgb,
    read_composites,
)
from ..spectral.indices import NAMES
from ..spectral.outliers import SUMMER
from ..spectral.reflectance import to_collection1
from ..spectral.series import index_table, plot_pixel
from ..storage.places import place_of, workplace
from ..storage.tables import write_tables
from .series import PLOTS

VALUE_COLUMNS: Final = (
    "project_id", "plot_id", "year", "annual_composite", "season", "rule", "day", "count",
    *CSV_BANDS, *NAMES,
)  # fmt: skip
"""Columns of the table of values."""


@dataclass(frozen=True, repr=False)
class AnnualComposites:
    """What `write_annual_composites` made."""

    out: str
    """The folder of the files."""
    values: pd.DataFrame
    """The plot pixel of each plot and year, with `VALUE_COLUMNS`."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        plots = len(self.values.drop_duplicates(["project_id", "plot_id"]))
        none = int((self.values["count"] == 0).sum())
        return (
            f"{counted(len(self.values), 'year')} of {counted(plots, 'plot')}, {none} of them "
            f"without a good pixel at the plot: {self.out}"
        )


def write_annual_composites(
    project: Project | str | Path,
    out: str | Path = "",
    *,
    plots: Plots = None,
    method: str = "medoid",
    season: str = SUMMER,
    rule: str = GRADED,
    composites: Composites = tuple(COMPOSITES),
) -> AnnualComposites:
    """Write the `annual_composite` of every plot that has a cube, apart from all observations.

    Parameters
    ----------
    project
        A `Project`, or its folder.
    out
        Folder of the files; ``annual_composites`` in the project by default. It gets
        ``{method}/prj_{project}/plot_{plot}.zarr`` (the Dataset),
        ``{method}/prj_{project}/{composite}/plot_{plot}/plot_{plot}_{year}_{method}.png`` and
        ``{method}/values.csv`` and ``.parquet``, and ``{method}/plots.csv``, which tells where the
        plots lie (`Project.places`). Nothing of it goes into ``prj_*`` of the project.
    plots
        A plot list, to take its plots only.
    method, season, rule
        As in `annual_composite`.
    composites
        Composites to draw, by name or of your own, see `composite_rgb`; none for no chips.

    Returns
    -------
    AnnualComposites
        The place, and the values at the plots: Collection 1 range, -2000 and day empty where a year
        has none; day is ``YYYY-MM-DD``, empty for a geometric median, which is of no day.

    Raises
    ------
    InputError
        For an unknown method, season, rule or composite, and where no plot has a complete cube.
    ProjectError, AccessError
        There is no project, or something can't be read or written.

    Examples
    --------
    ::

        few = {"plots": plots.head(1), "season": "08-01/08-15"}
        made = tx.write_annual_composites(project, "composites", **few)
        print(made)
    """
    check_method(method)
    check_rule(rule)
    check_season(season)
    drawn = read_composites(composites)
    project = as_project(project)
    known = project.chosen(plots)
    known = known[has_product(known, "zarr") & (known["status"] == COMPLETE)]
    if known.empty:
        raise InputError(
            f"{project.place} has no complete cube: make them by the same extract with --products "
            "png,csv,zarr, which adds them"
        )
    place = place_of(out, project.place, ANNUAL_COMPOSITES)
    tables = []
    with workplace(place, project.s3) as work:
        for row in known.to_dict("records"):
            plot = Plot(row["project_id"], row["plot_id"], row["x"], row["y"])
            with whole_cube(project.folder, plot) as cube:
                made = annual_composite(cube, method, season=season, rule=rule)
            folder = work / method / f"prj_{plot.project_id}"
            folder.mkdir(parents=True, exist_ok=True)
            made.to_zarr(folder / f"plot_{plot.plot_id}.zarr", zarr_format=2, consolidated=True)
            for composite in drawn:
                chips = folder / composite.name / f"plot_{plot.plot_id}"
                chips.mkdir(parents=True, exist_ok=True)
                for year, chip in _drawn(made, composite):
                    name = f"plot_{plot.plot_id}_{year}_{method}.png"
                    (chips / name).write_bytes(png_bytes(chip))
            tables.append(values_at_plot(made, plot))
        values = pd.concat(tables, ignore_index=True)
        places = project.places(known)
        for name, table in (("values.csv", values), ("values.parquet", values), (PLOTS, places)):
            write_tables(work / method / name, table.iloc[:0], [table])
    return AnnualComposites(place, values)


def _drawn(made: xr.Dataset, composite: Composite) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Years with any good pixel, and their chips."""
    rgb = composite_rgb(made["digital_number"], composite)
    for n, year in enumerate(made["year"].to_numpy().tolist()):
        if bool((made["count"][n] > 0).any()):
            yield year, rgb[n].to_numpy()


def values_at_plot(made: xr.Dataset, plot: Plot) -> pd.DataFrame:
    """The plot pixel of an `annual_composite`, a row per year, with `VALUE_COLUMNS`."""
    numbers = plot_pixel(made["digital_number"])
    bands = to_collection1(numbers).transpose("year", "band").to_numpy()
    table = pd.DataFrame(bands, columns=list(CSV_BANDS))
    years = made["year"].to_numpy()
    days = [""] * len(years)
    if "doy" in made:
        told = zip(years.tolist(), plot_pixel(made["doy"]).to_numpy().tolist(), strict=True)
        days = [_day(year, doy) for year, doy in told]
    filled = (numbers == FILL).any("band").to_numpy()
    indices = index_table(table.astype(float).where(~pd.Series(filled)))
    return table.assign(
        project_id=plot.project_id,
        plot_id=plot.plot_id,
        year=years,
        **{name: made.attrs[name] for name in ("annual_composite", "season", "rule")},
        day=days,
        count=plot_pixel(made["count"]).to_numpy(),
        **{str(name): indices[name] for name in indices},
    )[list(VALUE_COLUMNS)]


def _day(year: int, doy: int) -> str:
    return f"{pd.Timestamp(year, 1, 1) + pd.Timedelta(days=doy - 1):%Y-%m-%d}" if doy else ""
