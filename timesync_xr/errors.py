"""Every error that timesync_xr raises on purpose.

::

    TimesyncError
    ├── InputError            what the user gave is wrong: nothing was requested yet
    │   └── PlotListError     the plot list; holds every problem with its line
    ├── CatalogError          the STAC API did not answer as asked
    ├── AccessError           nothing can be read or written at all: credentials, network, disk
    │   └── ServiceError      a bucket or server fails for all that it holds
    │       └── DenialError   it does not let us in
    ├── ReadError             one asset can't be read; names the asset, the cause and the remedy
    │   ├── MissingAssetError the item has no such band, or nothing lies at its address
    │   ├── CorruptAssetError what lies there is not the raster it should be
    │   └── TransientReadError the service failed, and still failed after the retries
    ├── DamagedError          bytes are not what they should be; told on as one of the others
    └── ProjectError          the project folder belongs to another run or other settings
        ├── DamagedCubeError  a kept cube can't be read (`timesync_xr.project.cubes`)
        ├── NoProjectError    no project lies there; it is an `InputError`, too
        └── LossError         a run would remove finished work unasked; an `InputError`, too

The command ends with exit code 2 for an `InputError` and with 1 for all others, see
`timesync_xr.cli.main`.

A message says the fact, the offender and the remedy, in this order. Programs go by ``kind``, one
word of `Kind`, and never by the message. `ReadWarning` is no error: it tells of an asset that was
skipped on request. `LeftOutWarning` is none either: it tells of what a table or an export lacks.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from enum import StrEnum
from types import UnionType
from typing import Any, Final


class Kind(StrEnum):
    """What kind of failure an error tells of. The words stand in tables of a project, too."""

    INPUT = "input"
    """What the user gave is wrong."""
    PROJECT = "project"
    """The project is in use, is none, or was made otherwise."""
    CATALOG = "catalog"
    """A STAC API answers wrongly."""
    ACCESS = "access"
    """Nothing can be reached or written, for a reason that has no word of its own."""
    MISSING = "missing"
    """Nothing lies there."""
    CORRUPT = "corrupt"
    """What lies there is damaged, or something else."""
    DENIED = "denied"
    """The server, or the system, does not allow it."""
    CREDENTIALS = "credentials"
    """There are no credentials, or they are wrong or too old."""
    UNREACHABLE = "unreachable"
    """The server can't be reached."""
    TRANSIENT = "transient"
    """It failed in passing, and kept failing for all tries; a later run may succeed."""
    REFUSED = "refused"
    """The address must not be read."""
    NO_RANGES = "no_ranges"
    """The server does not give parts of files."""
    NO_ROOM = "no_room"
    """The disk or the service is full, or a quota is used up."""
    WORKERS = "workers"
    """The workers of a cluster died, or its scheduler did."""
    UNUSABLE = "unusable"
    """No year's choice, as it is too bright in blue, or 0 in blue, green and red."""


class TimesyncError(Exception):
    """Base of all errors of this package; catch it to catch them all.

    ``kind`` is the word of `Kind` for it: that of its class, unless one is given.

    Examples
    --------
    ::

        try:
            tx.read_plots("nowhere.csv")
        except tx.TimesyncError as error:
            print(error.kind, error)
    """

    kind: Kind = Kind.ACCESS

    def __init__(self, *args: object, kind: Kind | None = None) -> None:
        super().__init__(*args)
        if kind is not None:
            self.kind = kind

    def _render_traceback_(self) -> list[str]:
        """What Jupyter and IPython show of it: the message, and where in one's own cells.

        ``traceback.print_exception(sys.last_value)`` shows all of the way to it.
        """
        own = [
            f"line {frame.lineno} of the cell: {frame.line}"
            for frame in traceback.extract_tb(self.__traceback__)
            if frame.filename.startswith("<ipython-input") or "ipykernel_" in frame.filename
        ]
        return [*own, f"{type(self).__name__}: {self}"]


class InputError(TimesyncError):
    """An argument, option or input file is wrong."""

    kind = Kind.INPUT


class PlotListError(InputError):
    """The plot list holds lines that can't be used.

    ``problems`` lists all of them as text, each with its line number.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = counted(len(self.problems), "problem")
        head = f"{self.source}: {count}, nothing was requested:"
        return "\n  ".join([head, *self.problems])


class CatalogError(TimesyncError):
    """A STAC API could not be understood, or answered wrongly."""

    kind = Kind.CATALOG


class AccessError(TimesyncError):
    """Nothing can be read or written: credentials, network, disk. Trying on makes no sense."""


class ServiceError(AccessError):
    """A bucket or server fails for all that it holds.

    Parameters are kept as attributes: ``place`` (the address that was asked for), ``cause`` and
    ``remedy``.
    """

    tried: str = ""
    """How often it was tried, and how long, in words. No part of the cause, which tables keep."""

    def __init__(self, place: str, cause: str, remedy: str, kind: Kind) -> None:
        self.place, self.cause, self.remedy = place, cause, remedy
        super().__init__(place, cause, remedy, kind, kind=kind)

    def __str__(self) -> str:
        return f"{self.place}: {self.cause}{self.tried}. {self.remedy}"

    @property
    def of_one(self) -> ReadError:
        """The same as the error of this one asset, where the service holds little else."""
        remedy = f"{self.remedy}, or leave the item out"
        return ReadError(self.place, self.cause, remedy, kind=self.kind)


class DenialError(ServiceError):
    """A bucket or server does not let us in; where it gives others, it denies this one alone."""


class ReadError(TimesyncError):
    """An asset could not be read.

    Parameters are kept as attributes: ``asset`` (item id and band, or an address), ``cause`` and
    ``remedy``.
    """

    tried: str = ""
    """How often it was tried, and how long, in words. No part of the cause, which tables keep."""

    def __init__(self, asset: str, cause: str, remedy: str, *, kind: Kind | None = None) -> None:
        self.asset, self.cause, self.remedy = asset, cause, remedy
        super().__init__(asset, cause, remedy, kind=kind)

    def __str__(self) -> str:
        return f"{self.asset}: {self.cause}{self.tried}. {self.remedy}"


class ReadWarning(UserWarning):
    """An asset could not be read, and the observation is fill instead, as was asked for."""


class LeftOutWarning(UserWarning):
    """What the ledger of a project says is written is damaged or missing, and not in a result."""


_hearers: Final[list[Callable[[str], None]]] = []


def warn_left_out(text: str) -> None:
    """Tell that something was left out: a `LeftOutWarning` of the caller's caller.

    Whoever hears of it by `hearing_left_out` does so in place of the warning.
    """
    if _hearers:
        _hearers[-1](text)
    else:
        warnings.warn(text, LeftOutWarning, stacklevel=3)


@contextmanager
def hearing_left_out(hear: Callable[[str], None]) -> Iterator[None]:
    """Have ``hear`` told of all that is left out, in this process and by any thread of it.

    Warnings would not do: a library that silences its own in one thread silences those of all.
    """
    _hearers.append(hear)
    try:
        yield
    finally:
        _hearers.remove(hear)


class MissingAssetError(ReadError):
    """The item does not have this band, or nothing lies at the address."""

    kind = Kind.MISSING


class CorruptAssetError(ReadError):
    """What lies at the address is damaged, or is not the raster that the item promises."""

    kind = Kind.CORRUPT


class TransientReadError(ReadError):
    """The service failed and kept failing for all retries; a later run may succeed."""

    kind = Kind.TRANSIENT


class DamagedError(TimesyncError):
    """Bytes are not what they should be; the text says why, but not whose they are.

    Whoever knows the file makes another error or a row of a table of it.
    """

    kind = Kind.CORRUPT


class ProjectError(TimesyncError):
    """The project folder is in use by another run, or was made with other settings."""

    kind = Kind.PROJECT


class LossError(ProjectError, InputError):
    """A run would remove finished work, and was not told that it may."""


class NoProjectError(ProjectError, InputError):
    """No project lies at the folder or address that was given."""

    def __init__(self, project: object) -> None:
        super().__init__(project)
        self.project = project

    def __str__(self) -> str:
        return (
            f"{self.project} has no ledger, so it is no project or an empty one: give the folder "
            "that timesync-xr extract --out made"
        )


KNOWN_AS: Final = {
    "wgs84": "utm", "nad83": "utm", "latlon": "utm", "lonlat": "utm", "albers": "CU",
    "conus": "CU", "usa": "CU", "us": "CU", "alaska": "AK", "hawaii": "HI",
    "shp": "gpkg", "shapefile": "gpkg", "geojson": "gpkg", "geopackage": "gpkg", "kmz": "kml",
    "json": "v3-json", "v3": "v3-json", "db": "sqlite", "tif": "geotiff", "cog": "geotiff",
    "nc": "netcdf", "chips": "png", "images": "png", "spectra": "csv", "cube": "zarr",
    "rgb": "b321", "truecolor": "b321", "ard": "landsatlook", "scenes": "landsatlook-scenes",
    "pc": "planetary-computer", "l9": "LC09", "l8": "LC08", "l7": "LE07", "l5": "LT05",
    "l4": "LT04", "landsat9": "LC09", "landsat8": "LC08", "landsat7": "LE07",
    "landsat5": "LT05", "landsat4": "LT04", "strict": "graded", "median": "geomedian",
    "png": "sheet", "image": "sheet", "animation": "gif", "video": "gif", "mp4": "gif",
    "month": "season", "monthly": "season", "quarter": "season", "annual": "year",
    "excel": "csv", "xlsx": "csv", "table": "csv", "hardlink": "link", "symlink": "link",
    "v4": "graded", "server": "contract", "google-earth": "kml", "collect-earth": "ceo",
    "tcb": "brightness", "tcg": "greenness", "tcw": "wetness", "nir": "nir08", "swir1": "swir16",
    "swir2": "swir22",
}  # fmt: skip
"""Other words for choices of this package, in small letters."""


def check_kind(value: object, kind: type | UnionType, name: str, remedy: str) -> None:
    """`InputError` where an argument, of this ``name``, is of another kind."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is of {type(value).__name__}, which can't be: {remedy}")


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust broke off; what it raises then is no `Exception`."""
    return type(error).__name__ == "PanicException"


def check_path(path: object, name: str, remedy: str) -> None:
    """`InputError` where an argument, of this ``name``, is no path that a file can have."""
    check_kind(path, str | os.PathLike, name, remedy)
    try:
        is_one = b"\0" not in os.fsencode(path)  # type: ignore[arg-type]
    except UnicodeEncodeError:
        is_one = False
    if not is_one:
        raise InputError(f"{name} {str(path)!r} is no name that a file can have: {remedy}")


def check_choice(word: object, choices: Iterable[str], what: str) -> None:
    """`InputError` where a word is none of the choices of ``what``; it tells which may be meant."""
    known = tuple(choices)
    remedy = f"choose from {', '.join(known)}"
    check_kind(word, str, what, remedy)
    if word not in known:
        raise InputError(f"there is no {what} {word!r}{did_you_mean(word, known)}: {remedy}")


def counted(count: Any, one: str, many: str = "") -> str:
    """A count in words: "1 plot", "3 plots"; ``many`` is what is not ``one`` with an s."""
    number = f"{count:.0f}" if isinstance(count, float) else str(count)
    return f"{number} {one if count == 1 else many or f'{one}s'}"


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """``" (did you mean 'png'?)"`` where one of the choices is close to the word, else ``""``.

    Close is what is spelt alike or stands in `KNOWN_AS`. Capitals do not matter.
    """
    known = {choice.lower(): choice for choice in choices}
    text = str(word).lower()
    meant = [choice for choice in known.values() if choice == KNOWN_AS.get(text)]
    close = meant or [known[name] for name in get_close_matches(text, known, n=1)]
    return f" (did you mean {close[0]!r}?)" if close else ""
