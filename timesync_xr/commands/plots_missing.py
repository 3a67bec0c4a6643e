"""A word about what a project does not hold yet, for the commands that read projects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..contents import Contents

_SHOWN = 5


def tell_what_is_missing(contents: Contents, plots: Path | None) -> None:
    """Tell on standard error which plots are incomplete, and which of a list are not there."""
    from ..provenance import plots_not_there

    for line in contents.unfinished:
        click.echo(line, err=True)
    missing = plots_not_there(contents, plots)
    if len(missing):
        names = ", ".join(missing["plot_id"].head(_SHOWN))
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        click.echo(
            f"{len(missing)} plots of {plots} are not in the project yet ({names}{more}): "
            "make them with timesync-xr extract",
            err=True,
        )
