"""The options that leave out observations, shared by the commands that take them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

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
        from ..filters import Filters

        names = tuple(name.strip() for name in sensors.split(",")) if sensors else ()
        filters = Filters(season, names, max_cloud, not no_slc_off, clear_only)
        return command(filters=filters, **options)

    return with_filters
