"""Tables of any length as one file, CSV or Parquet, put in place whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import InputError
from .access import S3
from .folder import disk_error
from .places import workplace

if TYPE_CHECKING:
    from pyarrow import Schema, Table

Append = Callable[[pd.DataFrame], None]
"""Adds a table to the end of a file."""


def check_table_name(out: str | Path) -> None:
    """`InputError` for a file whose name does not end in .csv or .parquet."""
    if Path(out).suffix not in (".csv", ".parquet"):
        raise InputError(f"{out} is no name of a table: let it end in .csv or .parquet")


@contextmanager
def table_file(out: str | Path, like: pd.DataFrame, s3: S3 = S3()) -> Iterator[Append]:
    """Write a table piece by piece; it is at ``out`` when the block ends well.

    ``out`` is a file on disk or an address in a bucket; its ending says which format. ``like`` is a
    table, empty or not, with the columns and types of all pieces. Missing values are empty in CSV.
    """
    check_table_name(out)
    folder, _, name = str(out).rpartition("/")
    with workplace(folder or ".", s3) as work:
        write = _csv if name.endswith(".csv") else _parquet
        with write(work / name, like.iloc[:0]) as append:
            yield append


def write_tables(
    out: str | Path | None, empty: pd.DataFrame, tables: Iterable[pd.DataFrame], s3: S3 = S3()
) -> int:
    """Write tables one below the other; return the number of rows.

    ``out`` as in `table_file`, or None for CSV on standard output. ``empty`` has the columns and
    types of all. Memory does not grow with the number of tables.
    """
    rows = 0
    with _printed(empty) if out is None else table_file(out, empty, s3) as append:
        for table in tables:
            append(table)
            rows += len(table)
    return rows


@contextmanager
def _printed(empty: pd.DataFrame) -> Iterator[Append]:
    def append(table: pd.DataFrame, header: bool = False) -> None:
        table.to_csv(sys.stdout, index=False, header=header, lineterminator="\n")
        sys.stdout.flush()
        output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        if failure := getattr(output, "failure", None):  # the command drops what is only told
            raise disk_error("standard output", "written", failure)

    append(empty, header=True)
    yield append


@contextmanager
def _csv(path: Path, empty: pd.DataFrame) -> Iterator[Append]:
    with path.open("w", encoding="utf-8", newline="") as file:
        empty.to_csv(file, index=False, lineterminator="\n")
        yield lambda table: table.to_csv(file, index=False, header=False, lineterminator="\n")


@contextmanager
def _parquet(path: Path, empty: pd.DataFrame) -> Iterator[Append]:
    import pyarrow as pa

    known = pa.Schema.from_pandas(empty, preserve_index=False)
    text = (pa.null(), pa.large_string())  # what text is to pandas 2 and 3, without a row
    schema = pa.schema([(f.name, pa.string() if f.type in text else f.type) for f in known])
    with parquet_file(path, schema) as append:
        yield lambda table: append(pa.Table.from_pandas(table, schema=schema, preserve_index=False))


@contextmanager
def parquet_file(path: Path, schema: Schema) -> Iterator[Callable[[Table], None]]:
    """Write a Parquet file on disk by Arrow's tables, all of them of one schema."""
    from pyarrow.parquet import ParquetWriter

    with closing(ParquetWriter(path, schema, compression="zstd")) as file:
        yield file.write_table
