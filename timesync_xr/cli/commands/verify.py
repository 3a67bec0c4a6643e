"""``timesync-xr verify``: what is missing, broken or should not be there."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pandas as pd

from ...errors import counted
from ...storage.access import S3
from ..help import Command
from ..main import COMPLETE, INCOMPLETE, is_quiet
from ..options import fallback_option, out_s3_options, s3_options

_SHOWN = 20


@click.command(cls=Command, short_help="Compare a project's files with its ledger; repair.")
@click.argument("project", type=click.Path())
@click.option(
    "--plots",
    metavar="PLOTS.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The plot list: all of its plots must be there. Default: the plots of the ledger.",
)
@click.option("--quick", is_flag=True, help="Compare names only, without opening the files.")
@click.option(
    "--table",
    metavar="FILE.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all problems to this file, too.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Make again what is missing or broken, then verify again. Plots are made as they were "
    "before; --source and --mirror say where from.",
)
@click.option(
    "--problems",
    metavar="FILE.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --repair: make again what this table of an earlier --table names, too. So what "
    "--archive found is made anew, once its files are replaced.",
)
@click.option(
    "--archive",
    is_flag=True,
    help="Also read the archive's files of the observations, whole, and compare them with the "
    "checksums of their items. What is read, and what it costs, is told before. With --plots: "
    "those of these plots.",
)
@click.option("--yes", is_flag=True, help="With --archive: read what costs money without asking.")
@click.option(
    "--source",
    default="landsatlook",
    show_default=True,
    help="Where the items come from, as in timesync-xr extract.",
)
@click.option(
    "--mirror",
    multiple=True,
    metavar="OLD=NEW",
    help="Where assets are read instead, as in timesync-xr extract.",
)
@fallback_option
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Processes that repair at a time."
)
@s3_options
@out_s3_options
def verify(
    project: str,
    plots: Path | None,
    quick: bool,
    table: Path | None,
    repair: bool,
    problems: Path | None,
    archive: bool,
    yes: bool,
    source: str,
    mirror: tuple[str, ...],
    fallback: str | None,
    workers: int,
    s3: S3,
    out_s3: S3,
) -> None:
    """Compare the files of PROJECT with its ledger, and tell what is wrong.

    Every observation that was written needs its row of values and its three chips; these must be
    whole, of the project's size, and show the plot in the colours of its values. Files that belong
    to no observation are told, and never removed.

    With --archive the files that the observations were made of are compared with the checksums that
    the items in the project have of them, or those of --source, where that is a file of items. A
    file without a checksum is not read. What was made of a file that is another can't be made again
    before you have replaced it: keep the findings by --table, and give them to --repair by
    --problems then.

    \b
    Exit codes: 0 all is well, 1 there are problems (after a repair: still), 2 wrong usage or input.

    \b
    Examples:
      timesync-xr verify project
      timesync-xr verify project --plots plots.csv --table problems.csv
      timesync-xr verify project --repair --source items.json \\
          --mirror s3://usgs-landsat-ard=/data/ard
      timesync-xr verify project --archive --mirror s3://usgs-landsat-ard=/data/ard \\
          --table bad.csv
      timesync-xr verify project --repair --problems bad.csv \\
          --mirror s3://usgs-landsat-ard=/data/ard
    """
    from ...catalog.archive import Archive
    from ...project.project import Project
    from ...project.verify import verify as run
    from ...run.archive_files import archive_files
    from ...run.repair import read_problems
    from ...run.repair import repair as run_repair

    if problems is not None and not repair:
        raise click.UsageError("--problems says what --repair makes again: give both")
    made = Project(project, out_s3)
    pixels = Archive(source, mirror=mirror, s3=s3, fallback=fallback)
    earlier = None if problems is None else read_problems(problems)
    found = run(made, plots, quick=quick)
    if earlier is not None:
        found = pd.concat([found, earlier], ignore_index=True)
    if repair and len(found):
        _tell(found)
        for line in pixels.bill:
            click.echo(line, err=True)
        for summary in run_repair(
            made, found, pixels, plots, workers=workers, progress=not is_quiet()
        ):
            click.echo(summary)
        found = run(made, plots, quick=quick)
    was_compared = True
    if archive:
        files = archive_files(made, pixels, plots)
        click.echo(files)
        if files.paid and not yes:
            click.confirm("Read them?", abort=True)
        was_compared = len(files.to_read) > 0
        found = pd.concat([found, files.verify(progress=not is_quiet())], ignore_index=True)
    if table is not None:
        found.to_csv(table, index=False, lineterminator="\n")
    if len(found) or not is_quiet():
        _tell(found)
    sys.exit(INCOMPLETE if len(found) or not was_compared else COMPLETE)


def _tell(problems: pd.DataFrame) -> None:
    from ...project.verify import ARCHIVE

    of_files = problems["kind"] == ARCHIVE
    once = problems[~(of_files & problems.duplicated(["kind", "problem"]))]
    for row in once.head(_SHOWN).to_dict("records"):
        plot = f"project {row['project_id']}, plot {row['plot_id']} {row['day']}"
        place = f"{row['file'] or plot.rstrip()}: "
        if row["kind"] == ARCHIVE:
            made = int((of_files & (problems["problem"] == row["problem"])).sum())
            told = counted(made, "observation was made of ", "observations were made of ")
            place = told if row["plot_id"] else ""
        click.echo(f"{row['kind']}: {place}{row['problem']}. {row['remedy']}")
    if len(once) > _SHOWN:
        click.echo(f"and {len(once) - _SHOWN} more: --table FILE.csv lists all")
    kinds = ", ".join(f"{count} {kind}" for kind, count in problems["kind"].value_counts().items())
    click.echo(f"Problems: {kinds or 'none'}")
