"""Series as tables for programs that look for change: CCDC, COLD, LandTrendr and the like."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pandas as pd

from ..project.project import Project
from ..project.series import empty_series
from ..spectral.offsets import (
    OWN,
    REFERENCE,
    published_lines,
    sensor_offsets,
    unreached,
    with_adjusted,
)
from ..storage.tables import table_file

OBSERVATIONS: Final = "observations"
"""Name of the long table, with ``.csv`` and ``.parquet``."""

PLOTS: Final = "plots.csv"
"""Name of the table of plots and where they lie."""

OFFSETS: Final = "offsets.csv"
"""Name of the table of offsets, or of published lines, by which values were corrected."""


def write_series(
    project: Project,
    folder: Path,
    *,
    index: str,
    target_day: int,
    rule: str,
    offsets: pd.DataFrame | str | None = None,
) -> tuple[int, list[str]]:
    """Write the tables of a project into a folder on disk.

    Returns the number of observations, and what is to be told of the offsets, a line each.

    ``observations.csv`` and ``.parquet`` are `Project.series`, a row per observation.
    ``annual_{index}.csv`` and ``.parquet`` are `Project.annual_index`, a column per year.
    ``plots.csv`` tells where the plots lie, see `Project.places`. With ``offsets`` the long table
    has columns ``{value}_adjusted``, see `with_adjusted`; ``offsets.csv`` beside it tells by what
    they were corrected: the offsets, given or the project's own (``"own"``), or published lines.
    """
    lacking: list[str] = []
    if isinstance(offsets, str) and offsets == OWN:
        series = project.series()
        offsets = sensor_offsets(series)
        lacking = [
            f"No pair of clear observations leads from {sensor} to {REFERENCE}: its corrected "
            "values are missing. Give offsets of more --days, or published ones"
            for sensor in unreached(series, offsets, REFERENCE)
        ]
    if offsets is not None:
        table = published_lines(offsets) if isinstance(offsets, str) else offsets
        table.to_csv(folder / OFFSETS, index=False, lineterminator="\n")

    def told(series: pd.DataFrame) -> pd.DataFrame:
        return series if offsets is None else with_adjusted(series, offsets, REFERENCE)

    wide = project.annual_index(index, target_day=target_day, rule=rule)
    places = project.places()
    for name, table in (
        (f"annual_{index}.csv", wide),
        (f"annual_{index}.parquet", wide),
        (PLOTS, places),
    ):
        with table_file(folder / name, table) as append:
            append(table)
    rows, like = 0, told(empty_series())
    with ExitStack() as files:
        names = [folder / f"{OBSERVATIONS}{end}" for end in (".csv", ".parquet")]
        appends = [files.enter_context(table_file(name, like)) for name in names]
        for series in project.series_tables():
            table = told(series)
            rows += len(table)
            for append in appends:
                append(table)
    return rows, lacking
