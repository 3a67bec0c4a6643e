"""Options of commands that may work on a dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--workers``, ``--scheduler`` and ``--scheduler-file`` to a command."""
    for option in (
        click.option(
            "--scheduler-file",
            metavar="FILE",
            help="Work on the dask cluster whose scheduler wrote this file.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Work on the dask cluster of this scheduler (tcp://host:8786). Its workers need "
            "this package and must reach the archive and PROJECT_DIR themselves.",
        ),
        click.option(
            "--workers",
            type=int,
            default=1,
            show_default=True,
            help="Processes of this machine that work at a time, each on one core.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def chosen_cluster(
    scheduler: str | None, scheduler_file: str | None, workers: int
) -> Iterator[dict[str, Any]]:
    """The arguments ``workers`` and ``client`` of `timesync_xr.extract` for these options."""
    given = [scheduler is not None, scheduler_file is not None, workers != 1]
    if sum(given) > 1:
        raise click.UsageError("give one of --workers, --scheduler and --scheduler-file")
    if scheduler is None and scheduler_file is None:
        yield {"workers": workers}
        return
    from ..cluster import running_cluster

    with running_cluster(scheduler, scheduler_file) as client:
        yield {"client": client}
