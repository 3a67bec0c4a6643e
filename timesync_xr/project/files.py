"""Files of the TimeSync contract: their names and their bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..errors import InputError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_LEVEL = 3
"""Level of ISA-L's deflate for PNGs. At levels 1 and 2, which are not quicker, what it packs
depends on what lay in memory before, so that the same chip has other bytes now and then."""


def chip_path(project_id: str, composite: str, plot_id: str, year: int, doy: int) -> str:
    """Path of a chip below the project folder, ``/`` between its parts."""
    name = f"plot_{plot_id}_{year}_{doy:03d}.png"
    return f"prj_{project_id}/{composite}/plot_{plot_id}/{name}"


def spectra_path(project_id: str, plot_id: str, year: int, doy: int) -> str:
    """Path of an observation's CSV below the project folder, ``/`` between its parts."""
    return f"prj_{project_id}/{plot_id}_spectral_files_set_{year}_{doy:03d}.csv"


def csv_files(table: pd.DataFrame) -> list[bytes]:
    """The contract's CSV of each row of a `spectral_table`: a header and one line, UTF-8."""
    header, *lines = table.to_csv(index=False, lineterminator="\n").splitlines(keepends=True)
    return [(header + line).encode() for line in lines]


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
    """Write one chip (y, x, rgb) of `composite_rgb` as a PNG; a lazy one is computed."""
    Path(path).write_bytes(png_bytes(np.asarray(rgb)))


def write_csv(row: pd.DataFrame, path: str | Path) -> None:
    """Write one row of `spectral_table` as the contract's CSV; `InputError` for more or fewer."""
    if len(row) != 1:
        raise InputError(
            f"a CSV of the contract holds one row, not {len(row)}: give one like table.iloc[[0]]"
        )
    (data,) = csv_files(row)
    Path(path).write_bytes(data)
