"""When to stop a run because nothing comes through any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .errors import AccessError
from .failures import LATER
from .ledger import failures_of

PLOTS: Final = 5
"""Plots in a row of which nothing could be read for passing reasons, after which a run stops."""


class Outage:
    """Looks at the plots of a run as they are done, and stops it where the archive is away.

    A plot counts if observations failed, none was written, and all failures that its row tells
    would pass. Failures that last (a missing or damaged file) never stop a run: the other plots
    are to be done.
    """

    def __init__(self) -> None:
        self._in_a_row = 0

    def see(self, row: Mapping[str, Any]) -> None:
        """Take note of a plot's row of the ledger; `AccessError` after `PLOTS` in a row."""
        failures = failures_of(row)
        lost = not row["written"] and failures and all(f["remedy"] == LATER for f in failures)
        self._in_a_row = self._in_a_row + 1 if lost else 0
        if self._in_a_row == PLOTS:
            raise AccessError(
                f"of the last {PLOTS} plots nothing could be read, lastly {failures[-1]['asset']}: "
                f"{failures[-1]['cause']}. Check the network and the archive. {LATER}"
            )
