"""Every error that timesync_xr raises on purpose.

::

    TimesyncError
    ├── InputError            what the user gave is wrong: nothing was requested yet
    │   └── PlotListError     the plot list; holds every problem with its line
    ├── CatalogError          the STAC API did not answer as asked
    ├── AccessError           nothing can be read or written at all: credentials, network, disk
    ├── ReadError             one asset can't be read; names the asset, the cause and the remedy
    │   ├── MissingAssetError the item has no such band, or nothing lies at its address
    │   ├── CorruptAssetError what lies there is not the raster it should be
    │   └── TransientReadError the service failed, and still failed after the retries
    └── ProjectError          the project folder belongs to another run or other settings
        └── NoProjectError    no project lies there; it is an `InputError`, too

A message says the fact, the offender and the remedy, in this order. `ReadWarning` is no error: it
tells of an asset that was skipped on request.
"""

from __future__ import annotations

from collections.abc import Sequence


class TimesyncError(Exception):
    """Base of all errors of this package; catch it to catch them all."""


class InputError(TimesyncError):
    """An argument, option or input file is wrong."""


class PlotListError(InputError):
    """The plot list holds lines that can't be used.

    ``problems`` lists all of them as text, each with its line number.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{self.source}: {count} problem{'s' if count != 1 else ''}, nothing was requested:"
        return "\n  ".join([head, *self.problems])


class CatalogError(TimesyncError):
    """A STAC API could not be understood, or answered wrongly."""


class AccessError(TimesyncError):
    """Nothing can be read or written: credentials, network, disk. Trying on makes no sense."""


class ReadError(TimesyncError):
    """An asset could not be read.

    Parameters are kept as attributes: ``asset`` (item id and band), ``cause`` and ``remedy``.
    """

    def __init__(self, asset: str, cause: str, remedy: str) -> None:
        self.asset, self.cause, self.remedy = asset, cause, remedy
        super().__init__(asset, cause, remedy)

    def __str__(self) -> str:
        return f"{self.asset}: {self.cause}. {self.remedy}"


class ReadWarning(UserWarning):
    """An asset could not be read, and the observation is fill instead, as was asked for."""


class MissingAssetError(ReadError):
    """The item does not have this band, or nothing lies at the address."""


class CorruptAssetError(ReadError):
    """What lies at the address is damaged, or is not the raster that the item promises."""


class TransientReadError(ReadError):
    """The service failed and kept failing for all retries; a later run may succeed."""


class ProjectError(TimesyncError):
    """The project folder is in use by another run, or was made with other settings."""


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
