"""stac-geoparquet by row groups: of a file of any size a batch of items is in memory.

The columns that tell the places of rows are read once, and it is kept what each row group holds;
whole rows are read of those groups alone that hold some of the places that are wanted. Rows that do
not tell their place are wanted always. Everything that is read is checked by pyarrow
before it is used, since a file may be damaged, or come from anyone.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import CatalogError, InputError, is_panic
from .items import Query
from .sources import Box, Source

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_LOG = logging.getLogger(__name__)

VERBATIM: Final = "timesync:datetime"
"""Property that keeps the text of ``datetime``, which geoparquet keeps to the millisecond only."""

_BATCH: Final = 256
"""Items that are in memory at a time: some 35 kB each."""

_BUFFER: Final = 2**20
"""Bytes of a column that are read ahead."""

_BBOX: Final = ("xmin", "ymin", "xmax", "ymax")
"""Fields of the column ``bbox``."""

Rows = npt.NDArray[np.bool_]
"""Which rows of a row group are wanted."""


def iter_geoparquet(path: Path, query: Query | None = None) -> Iterator[Any]:
    """Items of a file, unchecked, one by one; with a query those that may be of its places.

    `InputError` where the file is damaged, or is no stac-geoparquet.
    """
    count = told = 0
    with _readable(path):
        file = _open(path)
        groups = ((group, None) for group in range(file.num_row_groups))
        for group, wanted in groups if query is None else _near(file, path, query):
            for item in _items(file, group, wanted):
                text = item["properties"].pop(VERBATIM, None)
                if isinstance(text, str):
                    item["properties"]["datetime"] = text
                count, told = count + 1, told + bool(text)
                yield item
    if count and not told:
        warnings.warn(
            f"{path} keeps the time of its items to the millisecond only, so the date column of "
            "the CSVs will be shorter than the archive's: give JSON, or write the file with "
            "timesync_xr.write_items",
            stacklevel=2,
        )


def count_items(path: Path) -> int:
    """Number of items in a file."""
    with _readable(path):
        return int(_open(path).metadata.num_rows)


def texts_in(path: Path, column: str) -> Iterator[str]:
    """The texts of a column, each once in a batch of rows; none where there is no such column."""
    with _readable(path):
        file = _open(path)
        if column not in file.schema_arrow.names:
            return
        for batch in file.iter_batches(2**16, columns=[column]):
            yield from (text for text in _checked(batch).column(0).unique().to_pylist() if text)


def first_assets(path: str | os.PathLike[str]) -> str:
    """The assets of the first item of a file as text; empty for a file without any."""
    with _readable(Path(path)):
        file = _open(Path(path))
        has_assets = "assets" in file.schema_arrow.names
        first = next(file.iter_batches(1, columns=["assets"]), None) if has_assets else None
        return "" if first is None else str(_checked(first).to_pylist())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """`InputError` for whatever libraries make of a file that is damaged, or none."""
    try:
        yield
    except (InputError, MemoryError, GeneratorExit):
        raise
    except BaseException as error:
        import pyarrow as pa
        import rustac

        known = (pa.ArrowException, rustac.RustacError, OSError, ValueError, LookupError, TypeError)
        if not isinstance(error, known) and not is_panic(error):
            raise
        why = " ".join(str(error).split())[:_MOST_TEXT]
        raise InputError(
            f"{path}: not stac-geoparquet, or damaged ({why}). Give a file of STAC items: fetch it "
            "again, or write it anew by timesync_xr.write_items"
        ) from None


_MOST_TEXT: Final = 200
"""Characters of an error of another library that are shown."""


def _open(path: Path) -> parquet.ParquetFile:
    from pyarrow import parquet

    file = parquet.ParquetFile(
        path, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True
    )
    if lacking := {"id", "assets"} - {*file.schema_arrow.names}:
        raise ValueError(f"it has no column {min(lacking)}")
    return file


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose every offset, index and text is what it should be."""
    batch.validate(full=True)
    return batch


def _items(file: parquet.ParquetFile, group: int, wanted: Rows | None) -> Iterator[Any]:
    """The items of the rows of a row group that are wanted; all for None."""
    import pyarrow as pa
    import rustac

    if wanted is not None and not wanted.any():
        return
    start = 0
    for batch in file.iter_batches(_BATCH, row_groups=[group]):
        rows = _checked(batch)
        if wanted is not None:
            rows = rows.filter(pa.array(wanted[start : start + len(batch)]))
        start += len(batch)
        if len(rows):
            yield from rustac.from_arrow(pa.Table.from_batches([rows]))["features"]


# What a row group may hold


def _places(query: Query) -> list[Mapping[str, Any]]:
    """For each place the properties that an item of it has, as a STAC API is asked for them."""
    questions = (query.source.question(query.grid, place) for place in query.places or ())
    return [{key: told["eq"] for key, told in question.items()} for question in questions]


def _boxes(query: Query, source: Source) -> list[Box]:
    """The boxes of all places; none of a source that has places by properties."""
    boxes = source.boxes
    return [] if boxes is None else [box for place in query.places or () for box in boxes(place)]


def _near(file: parquet.ParquetFile, path: Path, query: Query) -> Iterator[tuple[int, Rows | None]]:
    """Row groups that hold items that may be of a place, and which of their rows; None for all."""
    boxes, places = _boxes(query, query.source), _places(query)
    keys = ("bbox",) if boxes else tuple(dict.fromkeys(key for place in places for key in place))
    has_keys = {*keys} <= {*file.schema_arrow.names}
    if not (keys and has_keys and (not boxes or _is_box(file.schema_arrow.field("bbox").type))):
        yield from ((group, None) for group in range(file.num_row_groups))
        return
    stat = path.stat()
    held = _held(path, stat.st_mtime_ns, stat.st_size, keys)
    chosen = [n for n, group in enumerate(held) if _rows_of(group, boxes, places).any()]
    _LOG.info("%s: reading %d of %d row groups", path, len(chosen), len(held))
    for group in chosen:
        yield group, _rows_of(_columns(file, group, keys), boxes, places)


@lru_cache(maxsize=2)
def _held(path: Path, _modified: int, _size: int, keys: tuple[str, ...]) -> list[pa.Table]:
    """What tells the places of the rows of each row group of a file, in few rows.

    Properties each combination once; of bounding boxes the one around them all, and one for those
    that cross 180 degrees. The statistics of a file are not asked: pyarrow ends the process where
    they are damaged, and not every file has some.
    """
    file = _open(path)
    columns = (_columns(file, group, keys) for group in range(file.num_row_groups))
    if keys == ("bbox",):
        return [_around(table) for table in columns]
    return [table.group_by([*keys], use_threads=False).aggregate([]) for table in columns]


def _columns(file: parquet.ParquetFile, group: int, keys: Sequence[str]) -> pa.Table:
    """Some columns of a row group."""
    import pyarrow as pa

    read = file.iter_batches(2**16, row_groups=[group], columns=[*keys])
    batches = [_checked(batch).select([*keys]) for batch in read]
    table = pa.Table.from_batches(batches) if batches else file.schema_arrow.empty_table()
    plain = [_plain(table[key]) for key in keys]
    return pa.table(dict(zip(keys, plain, strict=True)))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts or numbers as texts; one of boxes as it is."""
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string())


def _rows_of(table: pa.Table, boxes: list[Box], places: Sequence[Mapping[str, Any]]) -> Rows:
    return _rows_in(table["bbox"], boxes) if boxes else _rows_with(table, places)


def _spellings(value: str) -> set[str]:
    """A text; of one of up to three digits all that stand for the same number."""
    if not re.fullmatch("[0-9]{1,3}", value):
        return {value}
    return {str(int(value)).zfill(digits) for digits in (1, 2, 3)}


def _is_box(kind: pa.DataType) -> bool:
    """Whether a column holds bounding boxes of four numbers."""
    import pyarrow as pa

    return pa.types.is_struct(kind) and {*_BBOX} <= {field.name for field in kind}


def _edges(bbox: pa.ChunkedArray) -> list[npt.NDArray[np.float64]]:
    """West, south, east and north of bounding boxes, NaN where they are missing."""
    flat = dict(zip((field.name for field in bbox.type), bbox.flatten(), strict=True))
    return [flat[name].to_numpy(zero_copy_only=False).astype(float) for name in _BBOX]


def _around(table: pa.Table) -> pa.Table:
    """Boxes around those of a table: around those that cross 180 degrees, and around the others.

    One that is missing stays so.
    """
    import pyarrow as pa

    edges = np.stack(_edges(table["bbox"]), axis=1)
    lacking = np.isnan(edges).any(axis=1)
    crosses = edges[:, 0] > edges[:, 2]
    found: list[Any] = [None] if lacking.any() else []
    for part in (edges[~lacking & ~crosses], edges[~lacking & crosses]):
        if len(part):
            low, high = part.min(axis=0), part.max(axis=0)
            crossing = bool(part[0, 0] > part[0, 2])
            west, east = (-180.0, 180.0) if crossing else (low[0], high[2])
            found.append(dict(zip(_BBOX, (west, low[1], east, high[3]), strict=True)))
    kind = pa.struct([(name, pa.float64()) for name in _BBOX])
    return pa.table({"bbox": pa.chunked_array([pa.array(found, kind)])})


def _rows_in(bbox: pa.ChunkedArray, boxes: Collection[Box]) -> Rows:
    """Rows whose bounding box meets any of some boxes, or is missing."""
    west, south, east, north = _edges(bbox)
    found: Rows = np.isnan(west) | np.isnan(south) | np.isnan(east) | np.isnan(north)
    crosses = west > east
    for left, low, right, high in boxes:
        across = np.where(
            crosses, (west <= right) | (left <= east), (west <= right) & (left <= east)
        )
        for turn in (-360, 360):
            across |= ~crosses & (west + turn <= right) & (left <= east + turn)
        found |= across & (south <= high) & (low <= north)
    return found


def _rows_with(table: pa.Table, places: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows with the properties of any of some places, or with one that tells no number."""
    import pyarrow as pa
    from pyarrow import compute

    found: Rows = np.zeros(len(table), dtype=bool)
    texts = {key: table[key] for key in table.column_names}
    for place in places:
        of_place: Rows = np.ones(len(table), dtype=bool)
        for key, text in texts.items():
            values = pa.array(sorted(_spellings(place[key])))
            of_place &= np.asarray(compute.is_in(text, value_set=values))
        found |= of_place
    for key, text in texts.items():
        if all(place[key].isdigit() for place in places):
            is_number = compute.match_substring_regex(text, "^[0-9]{1,3}$")
            found |= ~np.asarray(compute.fill_null(is_number, False))
    return found


# How a file is written

_FIELDS: Final = (
    "type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "properties", "links",
    "assets", "collection",
)  # fmt: skip
"""Members of an item that are kept."""

_PART: Final = 256
"""Items that are written together: they take 200 kB each meanwhile."""

_PARTS: Final = 8
"""Parts that become a row group: they take 15 kB an item, and one of few items takes more room."""


def write_geoparquet(items: Iterable[Mapping[str, Any]], target: Path) -> None:
    """Write items to a file, in row groups; they may come one by one, and a few are in memory.

    `CatalogError` for items that geoparquet can't hold.
    """
    coming = iter(items)
    with TemporaryDirectory() as scratch:
        parts: list[Path] = []
        while (batch := [*islice(coming, _PART)]) or not parts:
            parts.append(Path(scratch) / f"{len(parts)}.parquet")
            try:
                _write_part(batch, parts[-1])
                if len(batch) < _PART:
                    break
            except Exception as error:  # noqa: BLE001 - of what it does not take of JSON
                raise _unfit(error) from None
        if len(parts) == 1:
            shutil.copyfile(parts[0], target)
            return
        _join(parts, target)


def _unfit(error: Exception) -> CatalogError:
    return CatalogError(f"these items can't be kept as geoparquet ({type(error).__name__})")


def _write_part(items: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write some items; the text of ``datetime`` is kept beside it."""
    import rustac

    kept: list[dict[str, Any]] = [{k: item[k] for k in _FIELDS if k in item} for item in items]
    for item in kept:
        properties = item.get("properties") or {}
        item["properties"] = {**properties, VERBATIM: properties.get("datetime")}
    rustac.write_sync(str(path), kept, format="parquet")


def _join(parts: Sequence[Path], target: Path) -> None:
    """One file of several; what the items of a part lack is null there.

    `CatalogError` where they hold properties of mixed types.
    """
    import pyarrow as pa
    from pyarrow import parquet

    files = [parquet.ParquetFile(part) for part in parts]
    told = dict(files[0].metadata.metadata)
    told[b"geo"] = _geo([json.loads(file.metadata.metadata[b"geo"]) for file in files])
    told.pop(b"ARROW:schema", None)
    try:
        schema = pa.unify_schemas([f.schema_arrow for f in files], promote_options="permissive")
        with parquet.ParquetWriter(
            target, schema.with_metadata(told), compression="zstd", write_page_checksum=True
        ) as writer:
            for start in range(0, len(files), _PARTS):
                group = [schema.empty_table()]
                group += [file.read() for file in files[start : start + _PARTS]]
                writer.write_table(pa.concat_tables(group, promote_options="permissive"))
    except pa.ArrowException as error:
        raise _unfit(error) from None


def _geo(parts: Sequence[dict[str, Any]]) -> bytes:
    """What GeoParquet tells of the geometries of a file, of what it tells of its parts."""
    of_parts = [part["columns"]["geometry"] for part in parts]
    geometry = dict(of_parts[0])
    kinds = {kind for part in of_parts for kind in part["geometry_types"]}
    geometry["geometry_types"] = sorted(kinds)
    boxes = [part.get("bbox", ()) for part in of_parts]
    geometry.pop("bbox", None)
    if {*map(len, boxes)} in ({4}, {6}):  # else some have none, or no height
        low, high = np.array(boxes).reshape(len(boxes), 2, -1).swapaxes(0, 1)
        geometry["bbox"] = [*low.min(axis=0), *high.max(axis=0)]
    return json.dumps({**parts[0], "columns": {"geometry": geometry}}).encode()
