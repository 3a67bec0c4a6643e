"""``timesync-xr answers``: what interpreters said, merged, exported, imported, compared."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import counted
from ..help import Choice, Group
from ..main import is_quiet

_FILE = click.Path(exists=True, path_type=Path)
_AS = click.option(
    "--as",
    "who",
    multiple=True,
    metavar="NAME",
    help="Take the answers of this interpreter only; may be given several times.",
)
_OUT = click.option("--out", type=click.Path(), metavar="DIR", help="Folder to write to.")


@click.group(cls=Group, short_help="Merge, export, import, compare answers.")
def answers() -> None:
    """What interpreters said of the plots of a project.

    \b
    Examples:
      timesync-xr answers merge project ann.jsonl ben.jsonl
      timesync-xr answers export project --format v3
      timesync-xr answers import project vertices.csv --as ann
    """


@answers.command("merge", short_help="Take over answers that were given elsewhere.")
@click.argument("project", type=click.Path())
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE|PROJECT...")
def merge(project: str, files: tuple[Path, ...]) -> None:
    """Take the answers of FILEs, or of other projects (packets), over into PROJECT.

    A FILE is what a page saved, or answers export --format acts made. The order does not matter,
    and a file that is merged twice changes nothing. All is checked before anything is kept.

    \b
    Examples:
      timesync-xr answers merge project ann.jsonl ben.jsonl
      timesync-xr answers merge project packets/packet_001 packets/packet_002
    """
    from ...interpret.exchange import merge_answers
    from ...project.project import Project

    merged = merge_answers(Project(project), files)
    if not is_quiet():
        click.echo(merged)


@answers.command("export", short_help="Write answers for other programs.")
@click.argument("project", type=click.Path())
@click.option(
    "--format",
    "form",
    required=True,
    type=Choice(["v3", "csv", "parquet", "gpkg", "tspo", "ceo", "acts"]),
    help="v3: the CSV of TimeSync V3's server, and rows for its tables. csv, parquet: tables of "
    "vertices, segments, plots, years (a label for every year) and chosen days. gpkg: the same for "
    "maps. tspo: events in SQLite. ceo: plots for Collect Earth Online. acts: all, to merge.",
)
@_OUT
@_AS
def export(project: str, form: str, out: str | None, who: tuple[str, ...]) -> None:
    """Write the answers in PROJECT for other programs, to PROJECT/exports/answers-FORMAT.

    In CSV, text that a spreadsheet would calculate (=, +, -, @ at its begin) gets an apostrophe
    before it; answers import takes it off again.

    \b
    Examples:
      timesync-xr answers export project --format v3
      timesync-xr answers export project --format parquet --as ann --out tables
    """
    from ...interpret.exchange import export_answers
    from ...project.project import Project

    place, count = export_answers(Project(project), form, out, who=who)
    if not is_quiet():
        click.echo(f"{counted(count, 'interpretation')}: {place}")


@answers.command("compare", short_help="Tell how far interpreters agree.")
@click.argument("project", type=click.Path())
@_AS
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 50),
    default=1.0,
    show_default=True,
    metavar="YEARS",
    help="How far two vertices may lie apart to be the same.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the intervals.")
@_OUT
def compare(
    project: str, who: tuple[str, ...], tolerance: float, seed: int, out: str | None
) -> None:
    """Compare interpreters on the plots of PROJECT that two or more of them have.

    Prints the share of plot-years with the same label and Krippendorff's alpha, with intervals of
    95 % by plot, and the vertices of each pair that match. Writes all tables, with Cohen's kappa,
    agreement per year and label, and who differs from whom where, to
    PROJECT/exports/answers-compare.

    \b
    Examples:
      timesync-xr answers compare project
      timesync-xr answers compare project --as ann --as ben --tolerance 2
    """
    from ...interpret.compare import compare_answers
    from ...interpret.exchange import write_comparison
    from ...interpret.store import Store
    from ...project.project import Project

    made = Project(project)
    _ = made.settings  # what is no project is told at once
    compared = compare_answers(Store(made).interpretations(who), tolerance, seed)
    place = write_comparison(made, compared, out)
    click.echo(compared)
    if not is_quiet():
        click.echo(f"Tables: {place}", err=True)


@answers.command("import", short_help="Take over answers of TimeSync V3.")
@click.argument("project", type=click.Path())
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE.csv...")
@click.option("--as", "who", default="", metavar="NAME", help="Interpreter, where no column is.")
@click.option("--project-id", default="", metavar="ID", help="Project, where no column is.")
@click.option("--ids", type=_FILE, metavar="ids.csv", help="Which number stands for which id.")
@click.option(
    "--legend",
    default="v3",
    show_default=True,
    metavar="v3|lcmap|FILE.toml",
    help="Legend that the labels are of.",
)
def import_(
    project: str, files: tuple[Path, ...], who: str, project_id: str, ids: Path | None, legend: str
) -> None:
    """Take answers of TimeSync V3 over into PROJECT: its server's CSV, or rows of its tables.

    The tables are vertex, plot_comments and image_preference, told apart by their columns. What an
    interpreter said here of the same plots is kept in the log, and the imported answers count.

    \b
    Examples:
      timesync-xr answers import project vertices_1001_1.csv --as ann --project-id 1001
      timesync-xr answers import project vertex.csv plot_comments.csv --ids ids.csv
    """
    from ...interpret.exchange import import_answers
    from ...interpret.legend import read_legend
    from ...interpret.v3 import Ids
    from ...project.project import Project

    known = None if ids is None else Ids.read(ids)
    merged = import_answers(
        Project(project), files, read_legend(legend), ids=known, project_id=project_id, who=who
    )
    if not is_quiet():
        click.echo(merged)
