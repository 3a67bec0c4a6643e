"""``timesync-xr annual``: the observation of every year that the server chooses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import counted
from ...storage.access import S3
from ..help import Command
from ..main import COMPLETE, INCOMPLETE, is_quiet
from ..options import (
    out_s3_options,
    overrides_option,
    plots_option,
    rule_option,
    table_option,
    target_day_option,
    tell_what_is_missing,
)

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10


@click.command(cls=Command, short_help="List the observation of each plot and year.")
@click.argument("project", type=click.Path())
@target_day_option
@overrides_option
@rule_option
@table_option
@plots_option
@out_s3_options
def annual(
    project: str,
    target_day: int,
    overrides: Path | None,
    rule: str,
    out: str | None,
    plots: Path | None,
    out_s3: S3,
) -> None:
    """List the observation of every plot and year in PROJECT that the TimeSync server chooses.

    Of each year: what an interpreter chose, then what is usable, then the day nearest to the target
    day, of two as near the earlier one. Observations that are too bright in blue (2000 or more) or
    0 in blue, green and red are never chosen. A year without any choice is listed with the cause.

    \b
    Exit codes: 0 done, 1 an override could not be followed, 2 wrong usage or input.

    \b
    Examples:
      timesync-xr annual project > annual.csv
      timesync-xr annual project --target-day 200 --rule graded --out annual.parquet
      timesync-xr annual project --overrides chosen.csv --out annual.csv
    """
    from ...project.project import Project
    from ...spectral.annual import read_overrides
    from ...storage.tables import check_table_name, table_file

    if out is not None:
        check_table_name(out)
    preferred = None if overrides is None else read_overrides(overrides)
    made = Project(project, out_s3)
    tell_what_is_missing(made, plots)
    chosen = made.annual(plots, target_day=target_day, overrides=preferred, rule=rule)
    if out is None:
        chosen.to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        with table_file(out, chosen, out_s3) as append:
            append(chosen)
    if not is_quiet():
        _tell_years(chosen)
    followed = preferred is None or _tell_overrides(preferred, chosen, every=plots is None)
    sys.exit(COMPLETE if followed else INCOMPLETE)


def _tell_years(chosen: pd.DataFrame) -> None:
    without = chosen[chosen["cause"] != ""]
    plots = len(chosen.drop_duplicates(["project_id", "plot_id"]))
    click.echo(
        f"{counted(plots, 'plot')}, {counted(len(chosen), 'year')}: "
        f"{len(chosen) - len(without)} with an observation, "
        f"{len(without)} without",
        err=True,
    )
    for row in without.head(_SHOWN).to_dict("records"):
        plot = f"project {row['project_id']}, plot {row['plot_id']}"
        click.echo(f"  {plot}, {row['year']}: {row['cause']}", err=True)
    if len(without) > _SHOWN:
        click.echo(f"  and {len(without) - _SHOWN} more: see the column cause", err=True)


def _tell_overrides(overrides: pd.DataFrame, chosen: pd.DataFrame, *, every: bool) -> bool:
    """Tell the overrides that could not be followed; whether there are none.

    Of a part of the plots (not ``every``) the overrides of others do not count.
    """
    from ...spectral.annual import not_taken

    lost = not_taken(overrides, chosen)
    if not every:
        lost = lost.merge(chosen[["project_id", "plot_id"]].drop_duplicates())
    for row in lost.head(_SHOWN).to_dict("records"):
        plot = f"project {row['project_id']}, plot {row['plot_id']}"
        click.echo(
            f"Override not followed: {plot}, {row['year']}, day {row['doy']}: there is no such "
            "observation, or it is too bright, or another override of that year was taken",
            err=True,
        )
    if len(lost) > _SHOWN:
        more = counted(len(lost) - _SHOWN, "more override", "more overrides")
        click.echo(f"and {more} not followed", err=True)
    return lost.empty
