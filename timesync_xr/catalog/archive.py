"""An archive: where items come from, what they are, and how their assets are reached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from ..errors import InputError
from ..raster.reader import Reading
from ..spelling import did_you_mean
from ..storage.access import S3, Access, Mirrors, clean, read_mirrors
from .ard import ARD
from .dates import parse_time
from .items import COLUMNS, with_dtypes
from .sources import Source

SOURCES: Final = {source.name: source for source in (ARD,)}
"""Archives that are known, by name."""

Items: TypeAlias = Sequence[Any] | Mapping[str, Any]
"""STAC items in memory: a list of them (as JSON or of pystac), or an item collection (as JSON; one
of pystac will do, too)."""


@dataclass(frozen=True, eq=False)
class Archive:
    """Where observations come from. Name it once, and use it for cubes, plans, runs and repairs.

    ::

        archive = tx.Archive("items.json", mirror="s3://usgs-landsat-ard=/data/ard")
        cube = tx.chips_for_plot(plot, archive)

    Making one looks at the mirrors' folders, and requests nothing.
    """

    items: str | os.PathLike[str] | pd.DataFrame | Items = "landsatlook"
    """``"landsatlook"``, the address of a STAC API with the query extension, a file of items
    (FeatureCollection JSON, an item a line, stac-geoparquet), items in memory, or a table of
    `search_items`, so that one search serves many plots."""
    source: Source | str = ARD
    """What its items are: a `Source`, or the name of one."""
    mirror: Mirrors = ()
    """``"OLD=NEW"`` texts or (OLD, NEW) pairs: assets whose address starts with OLD are read below
    NEW instead, which may be a folder, a bucket or an http address."""
    s3: S3 = field(default_factory=S3)
    """Profile, endpoint, region and patience of S3."""

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            if self.source not in SOURCES:
                raise InputError(
                    f"there is no archive {self.source!r}{did_you_mean(self.source, SOURCES)}: "
                    f"choose from {', '.join(SOURCES)}"
                )
            object.__setattr__(self, "source", SOURCES[self.source])
        elif not isinstance(self.source, Source):
            raise InputError(
                f"source can't be of the type {type(self.source).__name__}: it says what the items "
                f"are ({', '.join(SOURCES)}); give the items themselves as items"
            )
        if isinstance(self.items, pd.DataFrame):
            if missing := [name for name in COLUMNS if name not in self.items]:
                raise InputError(
                    f"the table of items lacks {', '.join(missing)}: give one of search_items"
                )
            object.__setattr__(self, "items", _typed(self.items))
        elif not isinstance(self.items, str | os.PathLike):
            object.__setattr__(self, "items", _plain_items(self.items))
        if not isinstance(self.s3, S3):
            raise InputError(f"s3 can't be of the type {type(self.s3).__name__}: give S3(...)")
        _ = self.access  # says what is wrong with mirrors

    @cached_property
    def access(self) -> Access:
        """How assets are reached: with the mirrors, and files below the folder of the items."""
        folder, s3 = None, self.s3
        if isinstance(self.items, str | os.PathLike) and os.path.isfile(self.items):
            folder = os.path.dirname(os.path.abspath(self.items))
        if s3.requester_pays is None:
            s3 = replace(s3, requester_pays=self.what.requester_pays)
        return Access(read_mirrors(self.mirror), folder, s3)

    @property
    def reading(self) -> Reading:
        """How assets are read, and what their numbers stand for."""
        return Reading(self.access, numbers=self.what.numbers, quality=self.what.quality)

    @property
    def what(self) -> Source:
        """What its items are."""
        assert isinstance(self.source, Source)  # noqa: S101 - see __post_init__
        return self.source

    @property
    def name(self) -> str:
        """Where its items come from, without secrets, for messages and provenance."""
        if isinstance(self.items, str | os.PathLike):
            return clean(os.fspath(self.items))
        return "a table of items" if isinstance(self.items, pd.DataFrame) else "items in memory"

    def identity(self) -> dict[str, str]:
        """The source without secrets, and the digest of the items of what is no API."""
        if isinstance(self.items, pd.DataFrame):
            data = pd.util.hash_pandas_object(self.items.astype(str), index=False).to_numpy()
            return {"source": self.name, "file": hashlib.sha256(data.tobytes()).hexdigest()}
        if not isinstance(self.items, str | os.PathLike):
            text = json.dumps(self.items, sort_keys=True, default=str)
            return {"source": self.name, "file": hashlib.sha256(text.encode()).hexdigest()}
        if not os.path.isfile(self.items):
            return {"source": self.name, "file": ""}
        with open(self.items, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"source": os.path.abspath(self.items), "file": digest}


def _typed(items: pd.DataFrame) -> pd.DataFrame:
    """A table with the types of `timesync_xr.catalog.items`, some of which pandas may have changed.

    `InputError` for a table that has lost them, as one does that was kept as CSV.
    """
    time, texts = items["time"].dtype, items[["place", "refused"]].astype(object)
    is_utc = isinstance(time, np.dtype) and time.kind == "M"
    if is_utc and texts.map(lambda value: isinstance(value, str)).to_numpy().all():
        try:
            return with_dtypes(items)
        except (ValueError, TypeError):
            pass
    raise InputError(
        "the table of items has lost its types, as in a CSV: keep it by to_parquet and "
        "pandas.read_parquet, or write the items by write_items and name the file"
    )


def _plain_items(items: Any) -> list[Any]:
    """Items in memory as JSON values; `InputError` for what holds none."""
    kind = type(items).__name__
    if isinstance(items, Mapping):
        items = [items] if items.get("type") == "Feature" else items.get("features")
    elif hasattr(items, "to_dict"):
        items = getattr(items, "items", None)
    if not isinstance(items, list | tuple):
        raise InputError(
            f"items can't be of the type {kind}: give landsatlook, the address of "
            "a STAC API, a file, a list of items, an item collection or a table of search_items"
        )
    return [_plain_item(item) if hasattr(item, "to_dict") else item for item in items]


def _plain_item(item: Any) -> dict[str, Any]:
    """An item of pystac as JSON, with all digits of its date, of which ``to_dict`` cuts some."""
    text = str(item.properties.get("datetime"))
    plain: dict[str, Any] = item.to_dict()
    cut = parse_time(str(plain["properties"].get("datetime")))
    if parse_time(text).astype("datetime64[us]") == cut:
        plain["properties"]["datetime"] = text
    return plain
