"""Files of a project: where each lies, and the bytes of those of the TimeSync contract.

::

    prj_P/tc/plot_N/plot_N_2020_183.png            a chip, for each composite
    prj_P/N_spectral_files_set_2020_183.csv        the spectra of an observation
    prj_P/spectra/plot_N.parquet                   the spectra of a plot, in place of these
    prj_P/cubes/plot_N.zarr                        the cube of a plot
    ledger/project.json                            what the project is made with
    ledger/plots.csv, ledger/recent/*.csv          a row per plot
    ledger/listed.csv                              where the list put each plot, further columns
    ledger/observations/prj_P/plot_N.csv           the log of a plot: a row per observation
    ledger/cubes/prj_P/plot_N.zarr                 a cube that waits for what could not be read
    ledger/items/CU_h03v09*                        what searches brought, by place
    ledger/headers/CU_003009/*.bin                 headers of files of the archive, by place
    ledger/damaged/*.csv                           damaged files of the ledger that were mended
    ledger/lock, ledger/tmp/                       of a run that is at work
    combined/, exports/, browse/, sheets/, ...     what other commands make, unless told otherwise

Every path of a project comes from here, relative to its folder, with ``/`` between its parts. All
names that become parts of paths are checked by `name_in_path`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..errors import InputError, ProjectError, check_kind
from ..lists import expect_table
from ..plots import id_problem
from ..spectral.series import CSV_COLUMNS
from ..storage.folder import whole_file

PLOTS: Final = "ledger/plots.csv"
"""The table of plots."""

RECENT: Final = "ledger/recent"
"""Rows of plots that are newer than the table, a file each."""

LOGS: Final = "ledger/observations"
"""Folder of the logs of plots."""

ASIDE: Final = "ledger/damaged"
"""Where damaged files of the ledger are kept that were written anew."""

LISTED: Final = "ledger/listed.csv"
"""What plot lists told of the plots: coordinates and further columns."""

SETTINGS: Final = "ledger/project.json"
"""What the project is made with."""

ANNUAL_COMPOSITES: Final = "annual_composites"
"""Folder of annual composites, unless the user names another place."""

COMBINED, EXPORTS, SITE, SHEETS = "combined", "exports", "browse", "sheets"
"""Folders of what is made of a project, unless the user names another place."""

CUBES, TABLES = "cubes", "spectra"
"""Folders of a project that lie among those of the composites, whose names these can't be."""

CUBE_MARK: Final = "zarr.json"
"""The file that makes a cube: it is put in place last."""

_CSV = re.compile(r"(?P<plot>.+)_spectral_files_set_(?P<year>\d{4})_(?P<doy>\d{3})\.csv")


@lru_cache(maxsize=4096)
def name_in_path(name: str) -> str:
    """The id of a project or plot, or the name of a composite, as it is part of a path.

    `ProjectError` for one that could lead elsewhere: a project may come from anyone.
    """
    if problem := id_problem(name):
        raise ProjectError(f"the project is damaged: its name {name!r} {problem}")
    return name


def project_path(project_id: str) -> str:
    """Folder of one project's files."""
    return f"prj_{name_in_path(project_id)}"


def plot_path(plot_id: str) -> str:
    """Name of what holds the files of a plot."""
    return f"plot_{name_in_path(plot_id)}"


def chips_path(project_id: str, composite: str, plot_id: str) -> str:
    """Folder of a plot's chips of one composite."""
    return f"{project_path(project_id)}/{name_in_path(composite)}/{plot_path(plot_id)}"


def chip_path(project_id: str, composite: str, plot_id: str, year: int, doy: int) -> str:
    """Path of a chip."""
    folder = chips_path(project_id, composite, plot_id)
    return f"{folder}/{plot_path(plot_id)}_{year}_{doy:03d}.png"


def spectra_path(project_id: str, plot_id: str, year: int, doy: int) -> str:
    """Path of an observation's CSV."""
    name = f"{name_in_path(plot_id)}_spectral_files_set_{year}_{doy:03d}.csv"
    return f"{project_path(project_id)}/{name}"


def tables_path(project_id: str) -> str:
    """Folder of the tables of spectra of one project."""
    return f"{project_path(project_id)}/{TABLES}"


def table_path(project_id: str, plot_id: str) -> str:
    """Path of the table of a plot's spectra."""
    return f"{tables_path(project_id)}/{plot_path(plot_id)}.parquet"


def spectra_name(name: str) -> tuple[str, int] | None:
    """Plot and year with day (2020183) that the name of an observation's CSV tells; or None."""
    found = _CSV.fullmatch(name)
    return (found["plot"], int(found["year"] + found["doy"])) if found else None


def observation_files(
    plot: PlotIds, day: str, formats: Sequence[str], composites: Sequence[str]
) -> list[str]:
    """Files of a plot and day (``YYYY-MM-DD``) alone, the CSV last: a day that has it has all."""
    stamp = _stamp(day)
    when = plot.plot_id, stamp.year, stamp.day_of_year
    chips = composites if "png" in formats else ()
    paths = [chip_path(plot.project_id, composite, *when) for composite in chips]
    return [*paths, spectra_path(plot.project_id, *when)] if "csv" in formats else paths


def _stamp(day: str) -> pd.Timestamp:
    check_kind(day, str, "day", "give it as YYYY-MM-DD")
    try:
        stamp = pd.Timestamp(day)
        if pd.notna(stamp):
            return stamp
    except ValueError:
        pass
    raise InputError(f"{day!r} is no day: give it as YYYY-MM-DD")


def cubes_path(project_id: str) -> str:
    """Folder of the cubes of one project."""
    return f"{project_path(project_id)}/{CUBES}"


def cube_path(project_id: str, plot_id: str) -> str:
    """Path of a plot's cube."""
    return f"{cubes_path(project_id)}/{plot_path(plot_id)}.zarr"


def waiting_cube_path(project_id: str, plot_id: str) -> str:
    """Where a cube waits that lacks observations which could not be read yet."""
    return f"ledger/cubes/{project_path(project_id)}/{plot_path(plot_id)}.zarr"


def log_path(project_id: str, plot_id: str) -> str:
    """Path of the log of a plot."""
    return f"{LOGS}/{project_path(project_id)}/{plot_path(plot_id)}.csv"


class PlotIds(Protocol):
    """Anything that has the ids of a plot."""

    @property
    def project_id(self) -> str:
        """Id of its project."""

    @property
    def plot_id(self) -> str:
        """Its id there."""


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_LEVEL = 3
"""Level of ISA-L's deflate for PNGs. At levels 1 and 2, which are not quicker, what it packs
depends on what lay in memory before, so that the same chip has other bytes now and then."""


def csv_lines(table: pd.DataFrame) -> list[bytes]:
    """The header of the contract's CSV, and the line of each row of a `spectral_table`, UTF-8."""
    text = table.to_csv(index=False, lineterminator="\n")
    return [line.encode() for line in text.splitlines(keepends=True)]


def csv_files(table: pd.DataFrame) -> list[bytes]:
    """The contract's CSV of each row of a `spectral_table`: a header and one line, UTF-8."""
    header, *lines = csv_lines(table)
    return [header + line for line in lines]


def png_bytes(rgb: npt.NDArray[np.uint8]) -> bytes:
    """An 8-bit RGB PNG of an array (y, x, 3) of uint8.

    Rows are filtered by PNG's "up" filter, the difference to the row above, which suits chips and
    is one array operation. Source: PNG specification (third edition), clauses 5, 9 and 11.
    """
    from isal import isal_zlib

    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InputError(
            f"a PNG is made of uint8 (y, x, 3), not of {rgb.dtype} {rgb.shape}: "
            "give one chip of composite_rgb"
        )
    height, width, _ = rgb.shape
    rows = np.empty((height, 1 + width * 3), dtype=np.uint8)
    rows[:, 0] = 2
    flat = rgb.reshape(height, -1)
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"IDAT", isal_zlib.compress(rows, level=PNG_LEVEL)),
        (b"IEND", b""),
    )
    checks = [isal_zlib.crc32(data, isal_zlib.crc32(kind)) for kind, data in chunks]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
        for (kind, data), check in zip(chunks, checks, strict=True)
    ]
    return PNG_SIGNATURE + b"".join(parts)


def write_png(rgb: xr.DataArray | npt.NDArray[np.uint8], path: str | Path) -> None:
    """Write one chip (y, x, rgb) of `composite_rgb` as a PNG; a lazy one is computed.

    Examples
    --------
    ::

        tx.write_png(tx.composite_rgb(cube, "tc").isel(time=0), "chip.png")
    """
    try:
        pixels = np.asarray(rgb)
    except (TypeError, ValueError):
        check_kind(rgb, xr.DataArray | np.ndarray, "rgb", "give one chip of composite_rgb")
        raise
    data = png_bytes(pixels)
    with whole_file(path) as file:
        file.write_bytes(data)


def write_csv(row: pd.DataFrame, path: str | Path) -> None:
    """Write one row of `spectral_table` as the contract's CSV; `InputError` for more or fewer.

    Examples
    --------
    ::

        table = tx.spectral_table(cube, "1001", "2")
        tx.write_csv(table.head(1), "one.csv")
    """
    expect_table(row, CSV_COLUMNS, "give one row of spectral_table")
    if len(row) != 1:
        raise InputError(
            f"a CSV of the contract holds one row, not {len(row)}: give one like table.iloc[[0]]"
        )
    (data,) = csv_files(row[list(CSV_COLUMNS)])
    with whole_file(path) as file:
        file.write_bytes(data)
