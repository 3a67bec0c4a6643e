"""Files of items: JSON, an item a line, or stac-geoparquet, read and written as they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import CatalogError, InputError, check_path
from ..storage.folder import whole_file
from .dates import parse_time
from .geoparquet import iter_geoparquet, texts_in, write_geoparquet

_LINES: Final = (".ndjson", ".jsonl")
"""Endings of files that hold an item a line."""


def read_items(path: str | os.PathLike[str]) -> list[Any]:
    """Items of a file, unchecked.

    The file holds JSON (a FeatureCollection, a list of items, or one item), an item per line
    (.ndjson, .jsonl), or stac-geoparquet. Raises `InputError` if it can't be read or is none of
    these.

    Examples
    --------
    ::

        items = tx.read_items("demo/items.json")
        len(items)
    """
    check_path(path, "path", "give that of a file of STAC items")
    path = Path(path)
    is_parquet = is_geoparquet(path)
    try:
        raw = b"" if is_parquet else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}. Check the path") from None
    return [*iter_geoparquet(path)] if is_parquet else parse_items(path, raw)


def iter_items(path: str | os.PathLike[str]) -> Iterator[Any]:
    """As `read_items`, one item after the other: of stac-geoparquet few are in memory at a time."""
    return iter_geoparquet(Path(path)) if is_geoparquet(path) else iter(read_items(path))


def is_geoparquet(path: str | os.PathLike[str]) -> bool:
    """Whether a file on this machine begins as Parquet does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


_COLLECTION = re.compile(rb'"collection"\s*:\s*"([^"\\]{1,100})"')
_CHUNK: Final = 2**20


def collection_of(path: str | os.PathLike[str], known: Collection[str]) -> str:
    """The first of some collections that a file of items names; "" where it names none.

    The file is not parsed for it. Whatever can't be read is told by `read_items`.
    """
    try:
        if is_geoparquet(path):
            return next((t for t in texts_in(Path(path), "collection") if t in known), "")
        with Path(path).open("rb") as file:
            tail = b""
            while chunk := file.read(_CHUNK):
                names = (
                    name.decode("utf-8", "replace") for name in _COLLECTION.findall(tail + chunk)
                )
                if found := next((name for name in names if name in known), ""):
                    return found
                tail = chunk[-200:]
    except (OSError, InputError):
        pass
    return ""


def parse_items(path: Path, raw: bytes) -> list[Any]:
    """Items of the JSON that a file at a path holds, unchecked; see `read_items`."""
    try:
        if path.suffix.lower() in _LINES:
            return [json.loads(line) for line in raw.splitlines() if line.strip()]
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}). Give a file of STAC items") from None
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        return [value]
    items = value.get("features") if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        raise InputError(f"{path}: no STAC items in it. Give a FeatureCollection of items")
    return items


def plain_items(items: Any, remedy: str) -> list[Any]:
    """Items in memory as JSON values; `InputError` for what holds none."""
    kind = type(items).__name__
    if isinstance(items, Mapping):
        items = [items] if items.get("type") == "Feature" else items.get("features")
    elif hasattr(items, "to_dict"):
        items = getattr(items, "items", None)
    if not isinstance(items, list | tuple):
        raise InputError(f"items can't be of the type {kind}: {remedy}")
    return [_plain_item(item) if hasattr(item, "to_dict") else item for item in items]


def _plain_item(item: Any) -> dict[str, Any]:
    """An item of pystac as JSON, with all digits of its date, of which ``to_dict`` cuts some."""
    text = str(item.properties.get("datetime"))
    plain: dict[str, Any] = item.to_dict()
    cut = parse_time(str(plain["properties"].get("datetime")))
    if parse_time(text).astype("datetime64[us]") == cut:
        plain["properties"]["datetime"] = text
    return plain


def write_items(items: Sequence[Any] | Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write items to a file that `read_items` reads.

    ``items`` is a list of them (as JSON or of pystac), or an item collection. The file is
    stac-geoparquet (.parquet), an item per line (.ndjson, .jsonl), or else JSON.

    The file appears complete or not at all. Geoparquet keeps ``datetime`` to the millisecond only,
    so its text is kept beside it. Raises `InputError` for what is no items, and `CatalogError` for
    items that geoparquet can't hold (none at all, without a geometry, or with properties of mixed
    types), or JSON can't.

    Examples
    --------
    ::

        tx.write_items(tx.read_items("demo/items.json"), "items.parquet")
    """
    kept = plain_items(items, "give a list of items, or an item collection")
    if odd := [type(item).__name__ for item in kept if not isinstance(item, Mapping)]:
        raise InputError(f"items hold a {odd[0]}, which is none: give items of STAC, as in JSON")
    with whole_file(path) as file:
        ending = Path(path).suffix.lower()
        if ending == ".parquet":
            try:
                write_geoparquet(kept, file)
            except CatalogError as error:
                raise CatalogError(f"{path}: {error}. Write .json instead") from None
        elif ending in _LINES:
            file.write_text("".join(f"{_json(item, path)}\n" for item in kept), "utf-8")
        else:
            collection = {"type": "FeatureCollection", "features": kept}
            file.write_text(_json(collection, path), "utf-8")


def _json(value: object, path: str | os.PathLike[str]) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise CatalogError(
            f"{path}: these items can't be kept as JSON ({error}). Give numbers and text of Python"
        ) from None
