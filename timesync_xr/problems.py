"""What can be wrong with a project, and what to do about it."""

from __future__ import annotations

from typing import Final, NamedTuple

MISSING: Final = "missing"
BROKEN: Final = "broken"
FAILED_DAY: Final = "failed"
NOT_DONE: Final = "not done"
STRAY: Final = "stray"

KINDS: Final = (MISSING, BROKEN, FAILED_DAY, NOT_DONE, STRAY)
"""Kinds of problems.

missing: a file of an observation that was written is not there. broken: a file is not what it
should be. failed: the last run could not read an asset. not done: a plot of the list, or its
account, is not in the ledger, or the ledger has the plot as incomplete. stray: something that
should not be there.
"""

REPAIR: Final = "Make it again: timesync-xr verify --repair"
REMOVE: Final = "Remove it, or move it out of the project"
UNKNOWN: Final = (
    "If a run is making it, wait; else run timesync-xr extract with its plot list, or remove it"
)
NOT_WRITTEN: Final = "it belongs to no observation that was written"


class Problem(NamedTuple):
    """A row of the table of `verify`."""

    project_id: str
    """Project of the plot."""
    plot_id: str
    """Plot, empty where it is not known."""
    day: str
    """Day of the observation, empty where it is none of one."""
    kind: str
    """One of `KINDS`."""
    file: str
    """File or folder below the project folder, empty where it is none of one."""
    problem: str
    """What is wrong."""
    remedy: str
    """What to do."""


COLUMNS: Final = Problem._fields
"""Columns of the table of `verify`."""
