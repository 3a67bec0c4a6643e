"""Options of commands that put plots and chips on a grid."""

from __future__ import annotations

import click

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
