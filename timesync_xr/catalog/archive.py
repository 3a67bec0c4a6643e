"""An archive: where items come from, what they are, and how their assets are reached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from ..errors import InputError, check_kind, did_you_mean
from ..raster.reader import Fallback, Reading
from ..storage.access import S3, Access, Mirrors, clean, is_authority, read_mirrors
from .ard import ARD
from .files import collection_of, plain_items
from .geoparquet import first_assets
from .items import COLUMNS, with_dtypes
from .scenes import ES_SCENES, PC_SCENES, USGS_SCENES, scenes_of
from .sources import Source, mapping

SOURCES: Final = {source.name: source for source in (ARD, USGS_SCENES, PC_SCENES, ES_SCENES)}
"""Archives that are known, by name."""


@dataclass(frozen=True)
class Catalog:
    """A STAC API that has a name of its own here."""

    url: str
    """Its address."""
    source: Source
    """What is searched in it."""


LANDSATLOOK: Final = "https://landsatlook.usgs.gov/stac-server"
"""STAC API of USGS."""

CATALOGS: Final = {
    "landsatlook": Catalog(LANDSATLOOK, ARD),
    "landsatlook-scenes": Catalog(LANDSATLOOK, USGS_SCENES),
    "planetary-computer": Catalog("https://planetarycomputer.microsoft.com/api/stac/v1", PC_SCENES),
    "earth-search": Catalog("https://earth-search.aws.element84.com/v1", ES_SCENES),
}
"""Catalogs that are known, by name."""

_REMEDY: Final = (
    "give the name of a catalog, the address of a STAC API, a file, a list of items, an item "
    "collection or a table of search_items"
)

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

    Examples
    --------
    ::

        tx.Archive("demo/items.json", mirror="s3://usgs-landsat-ard=demo")  # a copy of your own
        tx.Archive("landsatlook-scenes")  # free scenes of the whole Earth
    """

    items: str | os.PathLike[str] | pd.DataFrame | Items = "landsatlook"
    """``"landsatlook"`` (ARD), ``"landsatlook-scenes"``, ``"planetary-computer"`` or
    ``"earth-search"`` (scenes), the address of a STAC API, a file of items (FeatureCollection JSON,
    an item a line, stac-geoparquet), items in memory, or a table of `search_items`, so that one
    search serves many plots."""
    source: Source | str | None = None
    """What its items are: a `Source`, or the name of one. None: what the catalog of that name has,
    or the collection of the items tells; ARD for the address of an API."""
    mirror: Mirrors = ()
    """``"OLD=NEW"`` texts or (OLD, NEW) pairs: assets whose address starts with OLD are read below
    NEW instead, which may be a folder, a bucket or an http address."""
    s3: S3 = field(default_factory=S3)
    """Profile, endpoint, region and patience of S3."""
    fallback: str | None = None
    """The name of a second archive: files that are missing or broken where they are read at first,
    and no others, are read there. It may be one where the requester pays."""

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            if self.source not in SOURCES:
                raise InputError(
                    f"there is no archive {clean(self.source)!r}"
                    f"{did_you_mean(self.source, SOURCES)}: choose from {', '.join(SOURCES)}"
                )
            object.__setattr__(self, "source", SOURCES[self.source])
        elif self.source is not None and not isinstance(self.source, Source):
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
            object.__setattr__(self, "items", plain_items(self.items, _REMEDY))
        if not isinstance(self.s3, S3):
            raise InputError(f"s3 can't be of the type {type(self.s3).__name__}: give S3(...)")
        _ = self.access  # says what is wrong with mirrors
        self._check_fallback()

    def _check_fallback(self) -> None:
        """`InputError` for a second archive that has not the files of this one, or no others."""
        if self.fallback is None:
            return
        what, name = self.what, self.fallback
        alike = {n: c.source for n, c in CATALOGS.items() if c.source.has_scenes == what.has_scenes}
        fit = [n for n, source in alike.items() if self.mirror or source.files != what.files]
        check_kind(name, str, "fallback", f"choose from {', '.join(CATALOGS)}")
        if name in fit:
            return
        fact = f"there is no fallback {clean(name)!r}{did_you_mean(name, fit)}"
        if name in CATALOGS:
            why = "is where they are read at first" if name in alike else "has none of them"
            fact = f"{name} is no fallback for the files of {self.name}: it {why}"
        known = " or ".join(fit) or "a --mirror, so that the archive itself is the fallback"
        raise InputError(f"{fact}; give {known}")

    @cached_property
    def access(self) -> Access:
        """How assets are reached: with the mirrors, and files below the folder of the items."""
        folder, s3 = None, self.s3
        if isinstance(self.items, str | os.PathLike) and os.path.isfile(self.items):
            folder = os.path.dirname(os.path.abspath(self.items))
        what = self.what
        if s3.requester_pays is None:
            s3 = replace(s3, requester_pays=what.requester_pays)
        return Access(read_mirrors(self.mirror), folder, s3, what.copies)

    @property
    def reading(self) -> Reading:
        """How assets are read, and what their numbers stand for."""
        fallback = None
        if self.fallback is not None:
            second, pays = CATALOGS[self.fallback].source, self.s3.requester_pays
            s3 = replace(self.s3, requester_pays=second.requester_pays if pays is None else pays)
            twins = {s.files for s in SOURCES.values() if s.has_scenes and second.has_scenes}
            copies = tuple((files, second.files) for files in twins - {second.files})
            fallback = Fallback(self.fallback, second.files, Access(s3=s3, copies=copies))
        what = self.what
        return Reading(
            self.access,
            numbers=what.numbers,
            quality=what.quality,
            fallback=fallback,
            at_a_time=what.at_a_time,
        )

    @property
    def bill(self) -> tuple[str, ...]:
        """What is to be said before anything is read that may cost money, a line each."""
        told = []
        if self.what.requester_pays and not self.mirror:
            told.append(f"{self.name}: {self.what.cost}")
        second = None if self.fallback is None else CATALOGS[self.fallback].source
        if second is not None and second.requester_pays:
            told.append(
                f"Files that are missing or broken at first are read at {self.fallback}: "
                f"{second.cost}"
            )
        return tuple(told)

    @cached_property
    def what(self) -> Source:
        """What its items are."""
        if self.source is not None:
            assert isinstance(self.source, Source)  # noqa: S101 - see __post_init__
            return self.source
        if isinstance(self.items, str) and self.items in CATALOGS:
            return CATALOGS[self.items].source
        return _source_of(self.items)

    @property
    def url(self) -> str:
        """Address of the API that it names; "" for a file and for items in memory.

        `InputError` for an address of another kind.
        """
        items = self.items
        if not isinstance(items, str):
            return ""
        if items in CATALOGS:
            return CATALOGS[items].url
        if items.lower().startswith(("http://", "https://")):
            if not _has_host(items):
                raise InputError(
                    f"{clean(items)!r} names no server: give the address of a STAC API, such as "
                    f"{LANDSATLOOK}"
                )
            return items
        if "://" in items:
            raise InputError(
                f"items can't be read from {items.split('://')[0]}://...: give "
                f"{', '.join(CATALOGS)}, the http address of a STAC API, or a file on this machine"
            )
        return ""

    def expect_items(self) -> None:
        """`InputError` where it names a file of items that is not there, or what is no name.

        A slip in a name would else be taken for a file of ARD, and its plots for those of the U.S.
        """
        if isinstance(self.items, str | os.PathLike) and not self.url:
            expect_file(self.items)

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


def expect_file(path: str | os.PathLike[str]) -> os.stat_result:
    """What the system tells of a file of items; `InputError` where there is none."""
    try:
        return os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"there is no file of items at {clean(os.fspath(path))} ({why})"
            f"{did_you_mean(path, CATALOGS)}: give {', '.join(CATALOGS)}, the address of a STAC "
            "API, or a file"
        ) from None


def _has_host(address: str) -> bool:
    """Whether an address names a host, and a port that may be."""
    try:
        return is_authority(urlsplit(address).netloc)
    except ValueError:
        return False


def _source_of(items: Any) -> Source:
    """What items are that no catalog names: by their collection; ARD where that is unknown."""
    known = {source.collection for source in SOURCES.values()}
    addresses: list[Any] = []
    if isinstance(items, pd.DataFrame):
        is_of_usgs = items["item_id"].str.fullmatch(r".*_L2S[PR]_.*_SR").any()
        is_of_scenes = items["grid"].str.startswith("EPSG:").any()
        collection = USGS_SCENES.collection if is_of_usgs else PC_SCENES.collection
        collection = collection if is_of_scenes else ARD.collection
        addresses = items["red"].tolist()
    elif isinstance(items, str | os.PathLike):
        collection = collection_of(items, known) if os.path.isfile(items) else ""
        addresses = ["s3://"] * (b"s3://usgs-landsat/" in _start_of(items) if collection else 0)
    else:
        told = [mapping(item).get("collection") for item in items]
        collection = next((name for name in told if isinstance(name, str) and name in known), "")
        assets = (mapping(mapping(item).get("assets")).get("red") for item in items[:1])
        addresses = [mapping(asset).get("href") for asset in assets]
    if collection == PC_SCENES.collection:
        return scenes_of(address for address in addresses if isinstance(address, str))
    return USGS_SCENES if collection == USGS_SCENES.collection else ARD


_BEGIN: Final = 2**20


def _start_of(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file of items, or of its assets, which hold the addresses of one."""
    with open(path, "rb") as file:
        start = file.read(_BEGIN)
    if not start.startswith(b"PAR1"):
        return start
    return first_assets(path).encode()


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


def as_archive(archive: Archive | None) -> Archive:
    """The archive, or the usual one; `InputError` for what is none."""
    if archive is None:
        return Archive()
    check_kind(archive, Archive, "archive", "give a timesync_xr.Archive")
    return archive
