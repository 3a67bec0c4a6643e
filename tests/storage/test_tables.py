"""Tables that are written piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from timesync_xr.storage.tables import table_file

TEXT = pd.Series(["1", "ü, or", ""])


@pytest.mark.parametrize("dtype", [object, str, "string"])
def test_text_has_one_type_in_parquet_whatever_it_is_to_pandas(tmp_path: Path, dtype: Any) -> None:
    table = pd.DataFrame(
        {"plot_id": TEXT.astype(dtype), "doy": pd.Series([1, 2, 3], dtype="int16")}
    )
    with table_file(tmp_path / "t.parquet", table) as append:
        append(table.iloc[:1])
        append(table.iloc[1:])
    made = pq.read_table(tmp_path / "t.parquet")
    assert dict(zip(made.schema.names, made.schema.types, strict=True)) == {
        "plot_id": pa.string(),
        "doy": pa.int16(),
    }
    assert made["plot_id"].to_pylist() == TEXT.tolist()


def test_pieces_make_the_csv_of_the_whole(tmp_path: Path) -> None:
    table = pd.DataFrame({"plot_id": TEXT, "value": [1.5, None, 3]})
    with table_file(tmp_path / "t.csv", table) as append:
        append(table.iloc[:1])
        append(table.iloc[1:])
    assert (tmp_path / "t.csv").read_bytes() == 'plot_id,value\n1,1.5\n"ü, or",\n,3.0\n'.encode()
