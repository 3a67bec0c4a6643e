"""The series as other TimeSyncs read them: records of V3's REST service, as JSON or in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import InputError
from ..landsat import COLLECTION1_SCALE, CSV_BANDS
from ..lists import expect_table
from ..project.files import chip_path, plot_path, project_path
from ..project.rows import PlotRows
from ..spectral.annual import CONTRACT, TARGET_DAY, selected_of_year
from ..spectral.tasseled_cap import tasseled_cap_kernel

TSA: Final = 999999
"""What V3 has in place of a path and row where plots are not kept by scene."""

KEYS: Final = (
    "b1", "b2", "b3", "b4", "b5", "b7", "cloud_cover", "image_julday", "image_year", "plotid",
    "project_id", "selected", "sensor", "spectral_scaler", "target_day", "tcb", "tcg", "tcw", "tsa",
    "url", "yod",
)  # fmt: skip
"""Keys of a record, the same in JSON and in SQLite."""

SQLITE_TABLE: Final = "region_spectrals"
"""Table of the SQLite file, as V3 calls its own."""

PLACES_TABLE: Final = "plots"
"""Table of the SQLite file that tells where the plots lie."""

_DIGITS = 15
"""Digits of the numbers that all readers of JSON keep exactly: they have 53 bits."""

_BANDS = ("b1", "b2", "b3", "b4", "b5", "b7")
_SQLITE_TYPES = {"sensor": "TEXT", "url": "TEXT", "plotid": "", "project_id": ""}
"""Types that are not INTEGER. Ids have none, which keeps each as it is: number or text."""


def v3_records(
    spectra: pd.DataFrame,
    target_day: int = TARGET_DAY,
    composite: str | None = "tc",
    *,
    rule: str = CONTRACT,
) -> pd.DataFrame:
    """Rows of the contract as records of TimeSync V3, with the columns `KEYS`.

    ``spectra`` is a table of `Project.spectra` or `spectral_table`. The values stay integers of the
    Collection 1 range (``spectral_scaler`` 10000), counted as TM does: b1 blue, b2 green, b3 red,
    b4 nir, b5 swir1, b7 swir2. ``tcb, tcg, tcw`` are tasseled cap of these values (Crist 1985) in
    the same units, to the nearest integer. ``cloud_cover`` is ``qa``: 0 usable, 1 not. ``selected``
    is 1 for the observation of its year that is chosen by ``rule``, see `selected_of_year`; by
    ``contract`` it is the one that the server would choose, ``graded`` needs a column ``grade``.
    ``plotid`` and ``project_id`` are integers where they are written as one of 15 digits at most,
    else text. ``tsa`` is 999999, ``url`` the path of the chip of ``composite`` below the project
    folder (empty for None), and ``yod`` is missing: the year of a disturbance is for the
    interpreter to find.

    Examples
    --------
    ::

        records = tx.v3_records(project.spectra())
        records[["plotid", "image_year", "image_julday", "selected"]].head()
    """
    numbers = ("year", "doy", *CSV_BANDS, "qa")
    needed = ("project_id", "plot_id", "sensor", *numbers)
    expect_table(spectra, needed, "give one of Project.spectra", numbers=numbers)
    if composite is not None and not isinstance(composite, str):
        raise InputError(f"{composite!r} is no name of a composite: give a text, or None")
    values = spectra[list(CSV_BANDS)].to_numpy(np.int32)
    cap = np.rint(tasseled_cap_kernel(values.T)).astype(np.int32)
    key = ["project_id", "plot_id", "year", "doy"]
    records = pd.DataFrame(values, columns=list(_BANDS), index=spectra.index).assign(
        cloud_cover=spectra["qa"].astype(int),
        image_julday=spectra["doy"].astype(int),
        image_year=spectra["year"].astype(int),
        plotid=spectra["plot_id"].map(_number_or_text),
        project_id=spectra["project_id"].map(_number_or_text),
        selected=selected_of_year(spectra, target_day, rule=rule).astype(int),
        sensor=spectra["sensor"],
        spectral_scaler=COLLECTION1_SCALE,
        target_day=target_day,
        **dict(zip(("tcb", "tcg", "tcw"), cap, strict=True)),
        tsa=TSA,
        url=[
            chip_path(p, composite, n, y, d) if composite else ""
            for p, n, y, d in spectra[key].itertuples(index=False)
        ],
        yod=None,
    )
    return records[list(KEYS)].astype({"plotid": object, "project_id": object})


def _number_or_text(text: str) -> int | str:
    """An id as a number where that is how it is written: "7", but not "07".

    Longer ones than `_DIGITS` stay text: JavaScript would round them, and SQLite has no room.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if is_number and str(int(text)) == text else text


Records = Callable[[PlotRows], pd.DataFrame]
"""The `v3_records` of a plot."""


def write_v3_json(plots: Iterator[PlotRows], folder: Path, records_of: Records) -> int:
    """Write ``prj_{project}/plot_{plot}.json`` for each plot, an array of records; count these."""
    count = 0
    for plot in plots:
        records = records_of(plot).to_dict("records")
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        path = folder / project_path(plot.project_id) / f"{plot_path(plot.plot_id)}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n",
            encoding="utf-8",
            newline="\n",
        )
        count += len(lines)
    return count


def add_places(path: Path, places: pd.DataFrame) -> None:
    """Add a table of `Project.places` to the SQLite file of `write_sqlite`."""
    names = ", ".join('"' + str(name).replace('"', '""') + '"' for name in places)
    marks = ", ".join("?" * len(places.columns))
    cells = places.astype(object).to_numpy().tolist()
    rows: list[Any] = [[None if pd.isna(cell) else cell for cell in row] for row in cells]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE {PLACES_TABLE} ({names})")
        database.executemany(f"INSERT INTO {PLACES_TABLE} VALUES ({marks})", rows)  # noqa: S608


def write_sqlite(plots: Iterator[PlotRows], path: Path, records_of: Records) -> int:
    """Write the records of all plots into a new SQLite file with one table; count them."""
    columns = ", ".join(f"{key} {_SQLITE_TYPES.get(key, 'INTEGER')}" for key in KEYS)
    marks = ", ".join("?" * len(KEYS))
    count = 0
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE {SQLITE_TABLE} ({columns})")
        for plot in plots:
            records = records_of(plot).astype(object)
            rows: list[Any] = records.to_numpy().tolist()
            database.executemany(f"INSERT INTO {SQLITE_TABLE} VALUES ({marks})", rows)  # noqa: S608
            count += len(rows)
        database.execute(
            f"CREATE INDEX plot_year ON {SQLITE_TABLE} (project_id, plotid, image_year)"
        )
    return count
