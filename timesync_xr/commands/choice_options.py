"""The option of commands that show or list the annual choice."""

from __future__ import annotations

import click

from ..choice import TARGET_DAY

target_day_option = click.option(
    "--target-day",
    type=click.IntRange(1, 366),
    default=TARGET_DAY,
    show_default=True,
    metavar="DOY",
    help="Day of the year that the annual choice prefers.",
)
