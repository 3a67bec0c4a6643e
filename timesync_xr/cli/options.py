"""The option of commands that show or list the annual choice.

Options of commands that put plots and chips on a grid.

The options that leave out observations, shared by the commands that take them.

The options of S3, for the archive and for the output, shared by the commands that take them.

Options of commands that may work on a dask cluster.

A word about what a project does not hold yet, for the commands that read projects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..spectral.annual import TARGET_DAY

if TYPE_CHECKING:
    from ..project.project import Contents


target_day_option = click.option(
    "--target-day",
    type=click.IntRange(1, 366),
    default=TARGET_DAY,
    show_default=True,
    metavar="DOY",
    help="Day of the year that the annual choice prefers.",
)


region_option = click.option(
    "--region",
    type=click.Choice(["CU", "AK", "HI"], case_sensitive=False),
    default="CU",
    show_default=True,
    help="ARD grid of the plots: conterminous U.S., Alaska or Hawaii.",
)

chip_size_option = click.option(
    "--chip-size",
    nargs=2,
    type=int,
    default=(255, 255),
    show_default=True,
    metavar="WIDTH HEIGHT",
    help="Pixels of a chip. TimeSync's client expects 255 255.",
)


Command = Callable[..., Any]
"""The function of a command."""


def filter_options(command: Command) -> Command:
    """Give a command the options of `timesync_xr.filters.Filters`; it gets them as ``filters``."""

    @click.option(
        "--season",
        default="",
        metavar="MM-DD/MM-DD",
        help="Take only these days of each year, both included. 11-01/02-28 goes across New Year.",
    )
    @click.option(
        "--sensors",
        default="",
        metavar="LC08,LC09,...",
        help="Take only these sensors, of LT04, LT05, LE07, LC08 and LC09.",
    )
    @click.option(
        "--max-cloud",
        type=float,
        metavar="PERCENT",
        help="Take only what has no more cloud cover, by the item of the plot's tile. Items that "
        "do not tell are taken.",
    )
    @click.option(
        "--no-slc-off",
        is_flag=True,
        help="Leave out Landsat 7 from 2003-05-31 on, when its scan line corrector failed.",
    )
    @click.option(
        "--clear-only",
        is_flag=True,
        help="Take only what is clear at the plot: no cloud, dilated cloud, cirrus, shadow or "
        "snow, and no medium confidence of any.",
    )
    @functools.wraps(command)
    def with_filters(
        season: str,
        sensors: str,
        max_cloud: float | None,
        no_slc_off: bool,
        clear_only: bool,
        **options: Any,
    ) -> Any:
        from ..cube.selection import Filters

        names = tuple(name.strip() for name in sensors.split(",")) if sensors else ()
        filters = Filters(season, names, max_cloud, not no_slc_off, clear_only)
        return command(filters=filters, **options)

    return with_filters


_REGION = "us-west-2"


def s3_options(command: Command) -> Command:
    """Give a command the options of the archive's S3; it gets them as ``access``."""
    return _reading(command, "the archive", requester_pays=True)


def project_s3_options(command: Command) -> Command:
    """Give a command the options of the S3 of PROJECT, which it reads, as ``access``."""
    return _reading(command, "PROJECT", requester_pays=False)


def _reading(command: Command, what: str, *, requester_pays: bool) -> Command:
    @_option("--profile", "NAME", f"AWS profile with which {what} is read.")
    @_option("--endpoint", "URL", f"S3 service other than AWS that holds {what}.")
    @_option("--aws-region", "NAME", f"AWS region of {what}. Default: {_REGION}.")
    @click.option("--unsigned", is_flag=True, help="Read a public bucket without credentials.")
    @functools.wraps(command)
    def with_access(
        profile: str | None,
        endpoint: str | None,
        aws_region: str | None,
        unsigned: bool,
        **options: Any,
    ) -> Any:
        from ..storage.access import Access

        access = Access(
            profile=profile,
            endpoint=endpoint,
            region=aws_region or _REGION,
            unsigned=unsigned,
            requester_pays=requester_pays,
        )
        return command(access=access, **options)

    return with_access


def out_s3_options(command: Command) -> Command:
    """Give a command the options of the output's S3; it gets them as ``out_access``."""

    @_option("--out-profile", "NAME", "AWS profile with which s3:// output is written.")
    @_option("--out-endpoint", "URL", "S3 service other than AWS for s3:// output.")
    @_option("--out-aws-region", "NAME", f"AWS region of s3:// output. Default: {_REGION}.")
    @functools.wraps(command)
    def with_access(
        out_profile: str | None,
        out_endpoint: str | None,
        out_aws_region: str | None,
        **options: Any,
    ) -> Any:
        from ..storage.access import Access

        access = Access(
            profile=out_profile,
            endpoint=out_endpoint,
            region=out_aws_region or _REGION,
            requester_pays=False,
        )
        return command(out_access=access, **options)

    return with_access


def _option(name: str, value: str, text: str) -> Callable[[Command], Command]:
    return click.option(name, metavar=value, help=text)


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
    from ..run.cluster import running_cluster

    with running_cluster(scheduler, scheduler_file) as client:
        yield {"client": client}


_SHOWN = 5


def tell_what_is_missing(contents: Contents, plots: Path | None) -> None:
    """Tell on standard error which plots are incomplete, and which of a list are not there."""
    from ..project.tables import plots_not_there

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
