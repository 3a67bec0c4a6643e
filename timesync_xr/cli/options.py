"""Options that several commands share, and the values that they become."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, counted
from ..grid import REGIONS, get_grid
from ..spectral.annual import CONTRACT, GRADED, TARGET_DAY
from .help import Choice

if TYPE_CHECKING:
    from distributed import Client

    from ..project.products import ChipsPerYear
    from ..project.project import Project
    from ..spectral.styles import Styles

Command = Callable[..., Any]
"""The function of a command."""

_AWS_REGION = "us-west-2"
_SHOWN = 5


target_day_option = click.option(
    "--target-day",
    type=click.IntRange(1, 366),
    default=TARGET_DAY,
    show_default=True,
    metavar="DOY",
    help="Day of the year that the annual choice prefers.",
)

rule_option = click.option(
    "--rule",
    type=Choice([CONTRACT, GRADED]),
    default=CONTRACT,
    show_default=True,
    help="What comes first in a year: qa of the contract, which is the server's choice; or the "
    "class that TimeSync v4 grades by, which is the same for all sensors.",
)


overrides_option = click.option(
    "--overrides",
    metavar="FILE.csv",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="What interpreters chose instead: project_id, plot_id, year, doy.",
)


def per_year_options(command: Command) -> Command:
    """Give a command the options that choose observations of each year.

    They become ``per_year``, a `timesync_xr.ChipsPerYear`, or None for all observations.
    """

    @click.option(
        "--chips-per-year",
        type=click.IntRange(1),
        metavar="N",
        help="Make the N best observations of each year alone, as timesync-xr annual ranks them. "
        "They are found by the plot pixel, so that little is read of the others. Default: all.",
    )
    @click.option(
        "--all-rows",
        is_flag=True,
        help="With --chips-per-year: give the other observations their rows of spectra, too, "
        "without chips, so that trajectories are whole. The plot pixel of all is read then.",
    )
    @target_day_option
    @overrides_option
    @rule_option
    @functools.wraps(command)
    def with_choice(
        chips_per_year: int | None,
        all_rows: bool,
        target_day: int,
        overrides: Path | None,
        rule: str,
        **options: Any,
    ) -> Any:
        chosen = _choice(chips_per_year, target_day, overrides, rule, all_rows)
        return command(per_year=chosen, **options)

    return with_choice


def _choice(
    count: int | None, target_day: int, overrides: Path | None, rule: str, all_rows: bool
) -> ChipsPerYear | None:
    from ..project.products import ChipsPerYear
    from ..spectral.annual import read_overrides

    if count is not None:
        chosen = () if overrides is None else read_overrides(overrides)
        return ChipsPerYear(count, rule, target_day, chosen, all_rows)
    if all_rows:
        raise click.UsageError(
            "--all-rows keeps the rows of observations without chips: give --chips-per-year, too; "
            "without it every observation has both"
        )
    for name, is_given in (
        ("--target-day", target_day != TARGET_DAY),
        ("--overrides", overrides is not None),
        ("--rule", rule != CONTRACT),
    ):
        if is_given:
            raise click.UsageError(f"{name} says which chips of a year: give --chips-per-year, too")
    return None


class Grid(click.ParamType[str]):
    """The name of a grid."""

    name = "GRID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is kept, or an error of usage."""
        text = str(value)
        try:
            return get_grid(text.upper() if text.upper() in REGIONS else text).name
        except InputError as error:
            raise click.BadParameter(str(error), ctx, param) from None


grid_option = click.option(
    "--grid",
    "--region",
    "grid",
    type=Grid(),
    help="Grid of the plots and chips. Of ARD: CU (conterminous U.S.), AK or HI. Of scenes: utm, "
    "the zone of each plot, on which nothing is resampled; any of these three, too; or a projected "
    "CRS in metres, such as EPSG:3035. Default: CU for ARD, utm for scenes.",
)

source_option = click.option(
    "--source",
    default="landsatlook",
    show_default=True,
    help="Where the items come from. Landsat ARD of the U.S.: landsatlook. Landsat scenes of the "
    "whole Earth: landsatlook-scenes or planetary-computer, which are free, or earth-search. Or "
    "the URL of a STAC API, or a file of items (FeatureCollection JSON or stac-geoparquet).",
)

fallback_option = click.option(
    "--fallback",
    metavar="NAME",
    help="Read files that are missing or broken at first, and no others, at this source, too: "
    "earth-search or planetary-computer for scenes (the first costs money), landsatlook behind a "
    "mirror of ARD (costs money). Without it their observations fail by name.",
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

plots_option = click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A plot list: take its plots only. Default: all plots of the project.",
)

styles_option = click.option(
    "--styles",
    metavar="FILE.toml",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Composites and stretches of your own, by name.",
)


def styles_of(path: Path | None) -> Styles:
    """The composites and stretches of this package, and of a file."""
    from ..spectral.styles import Styles, read_styles

    return Styles() if path is None else read_styles(path)


table_option = click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="File to write, its name ending in .csv or .parquet. Default: CSV on standard output.",
)


def selection_options(command: Command) -> Command:
    """Give a command the options that leave out observations.

    With its own ``--datetime`` they become ``select``, a `timesync_xr.Selection`.
    """

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
        help="Take only what has no more cloud cover, by the item of the plot's tile: per cent of "
        "the pixels seen. Items that do not tell are taken.",
    )
    @click.option(
        "--no-slc-off",
        is_flag=True,
        help="Leave out Landsat 7 from 2003-05-31 on, when its scan line corrector failed.",
    )
    @click.option(
        "--tier",
        "tiers",
        default="T1",
        show_default=True,
        metavar="T1|T1,T2",
        help="Tiers of scenes to take. The pixels of Tier 2 may lie some way off.",
    )
    @click.option(
        "--clear-only",
        is_flag=True,
        help="Take only what is clear at the plot: no cloud, dilated cloud, cirrus, shadow or "
        "snow, and no medium confidence of any.",
    )
    @functools.wraps(command)
    def with_selection(
        datetime: str | None,
        season: str,
        sensors: str,
        max_cloud: float | None,
        no_slc_off: bool,
        clear_only: bool,
        tiers: str,
        **options: Any,
    ) -> Any:
        from ..cube.selection import Selection

        names: Any = sensors or ()
        taken: Any = tiers
        select = Selection(datetime, season, names, max_cloud, not no_slc_off, clear_only, taken)
        return command(select=select, **options)

    return with_selection


def s3_options(command: Command) -> Command:
    """Give a command the options of the archive's S3; it gets them as ``s3``."""
    return _reading(command, "the archive")


def project_s3_options(command: Command) -> Command:
    """Give a command the options of the S3 of PROJECT, which it reads, as ``s3``."""
    return _reading(command, "PROJECT")


def _reading(command: Command, what: str) -> Command:
    @_option("--profile", "NAME", f"AWS profile with which {what} is read.")
    @_option("--endpoint", "URL", f"S3 service other than AWS that holds {what}.")
    @_option("--aws-region", "NAME", f"AWS region of {what}. Default: {_AWS_REGION}.")
    @click.option("--unsigned", is_flag=True, help="Read a public bucket without credentials.")
    @functools.wraps(command)
    def with_s3(
        profile: str | None,
        endpoint: str | None,
        aws_region: str | None,
        unsigned: bool,
        **options: Any,
    ) -> Any:
        from ..storage.access import S3

        s3 = S3(profile, endpoint, aws_region or _AWS_REGION, unsigned)
        return command(s3=s3, **options)

    return with_s3


def out_s3_options(command: Command) -> Command:
    """Give a command the options of the output's S3; it gets them as ``out_s3``."""

    @_option("--out-profile", "NAME", "AWS profile with which s3:// output is written.")
    @_option("--out-endpoint", "URL", "S3 service other than AWS for s3:// output.")
    @_option("--out-aws-region", "NAME", f"AWS region of s3:// output. Default: {_AWS_REGION}.")
    @functools.wraps(command)
    def with_s3(
        out_profile: str | None,
        out_endpoint: str | None,
        out_aws_region: str | None,
        **options: Any,
    ) -> Any:
        from ..storage.access import S3

        s3 = S3(out_profile, out_endpoint, out_aws_region or _AWS_REGION)
        return command(out_s3=s3, **options)

    return with_s3


def _option(name: str, value: str, text: str) -> Callable[[Command], Command]:
    return click.option(name, metavar=value, help=text)


def cluster_options(command: Command) -> Command:
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
            metavar="N",
            help="Processes of this machine that work at a time, each on one core. Default: one "
            "for each core, as memory allows, where more than some seconds are left to do.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def chosen_workers(
    scheduler: str | None, scheduler_file: str | None, workers: int | None
) -> Iterator[int | Client | None]:
    """The ``workers`` of `timesync_xr.extract` for these options."""
    given = [scheduler is not None, scheduler_file is not None, workers is not None]
    if sum(given) > 1:
        raise click.UsageError("give one of --workers, --scheduler and --scheduler-file")
    if scheduler is None and scheduler_file is None:
        yield workers
        return
    from ..run.cluster import running_cluster

    with running_cluster(scheduler, scheduler_file) as client:
        yield client


def tell_what_is_missing(project: Project, plots: Path | None) -> None:
    """Tell on standard error which plots are incomplete, and which of a list are not there."""
    for line in project.unfinished:
        click.echo(line, err=True)
    missing = project.missing(plots)
    if len(missing):
        names = ", ".join(missing["plot_id"].head(_SHOWN))
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        click.echo(
            f"{counted(len(missing), f'plot of {plots} is', f'plots of {plots} are')} not in the "
            f"project yet ({names}{more}): "
            "make them with timesync-xr extract",
            err=True,
        )
