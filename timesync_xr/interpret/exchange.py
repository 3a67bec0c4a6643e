"""Answers in and out: merged from other laptops, imported from V3, exported for others."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ..errors import InputError, PlotListError, counted
from ..export.maps import chip_outlines, wkb_point, write_layers
from ..project.project import Project
from ..storage.places import place_of, workplace
from .answers import VERSION, Act, Interpretation, check_act
from .compare import Comparison
from .legend import KINDS, Legend, legend_from
from .store import Store, line
from .tables import choice_table, plot_table, segment_table, vertex_table, year_table
from .v3 import Ids, Imported, guarded, read_v3, write_v3

FORMATS: Final = ("v3", "csv", "parquet", "gpkg", "tspo", "ceo", "acts")
"""Formats of `export_answers`."""

HEADER: Final = "timesync_xr answers"
"""What the first line of a file of acts has as its ``form``."""

CEO_MOST: Final = 5000
"""Plots of a project of Collect Earth Online at most."""

_SHOWN = 10


@dataclass(frozen=True)
class Merged:
    """What `merge_answers` and `import_answers` did."""

    new: int
    """Acts that were not there."""
    known: int
    """Acts that were."""

    def __str__(self) -> str:
        return f"{counted(self.new, 'new act')}, {self.known} that were there"


def merge_answers(project: Project, sources: Iterable[str | Path]) -> Merged:
    """Take over the acts of files that pages or `export_answers` gave, or of other projects.

    The order does not matter, and what is there already is left as it is. Everything is checked
    before anything is kept: `PlotListError` names every line that is no act, of an unknown plot, or
    with a label that its legend has not.
    """
    store = Store(project)
    plots = known_plots(project)
    acts: list[Act] = []
    legends = store.legends()
    for source in sources:
        read = _of_project if Path(source).is_dir() else _of_file
        more, found = read(Path(source))
        legends |= more
        problems = [
            f"{where}: {problem}"
            for where, act in found
            if (problem := misfit(act, plots, legends))
        ]
        if problems:
            raise PlotListError(str(source), _first(problems))
        acts += [act for _, act in found]
    for digest in {act["legend"] for act in acts}:
        store.keep_legend(legends[digest])
    ids = {act["id"] for act in acts}
    new = store.append(acts)
    return Merged(new, len(ids) - new)


def known_plots(project: Project) -> set[tuple[str, str]]:
    """Project and plot ids of all plots of a project."""
    known = project.plots
    return set(zip(known["project_id"], known["plot_id"], strict=True))


def misfit(act: Act, plots: set[tuple[str, str]], legends: dict[str, Legend]) -> str:
    """Why an act does not fit a project."""
    if (act["project"], act["plot"]) not in plots:
        return f"there is no plot {act['plot']} of project {act['project']} here"
    if act["legend"] not in legends:
        return f"its legend {act['legend']} is neither in the file nor in the project"
    return label_problem(act, legends[act["legend"]])


def label_problem(act: Act, legend: Legend) -> str:
    """Why the labels of an act are none of a legend; "" if they are."""
    if act["do"] == "label":
        said = [act["set"]]
    else:
        said = act["vertices"] if act["do"] in ("start", "replace") else []
    return next((text for one in said if (text := _label_problem(one, legend))), "")


def _label_problem(texts: dict[str, str], legend: Legend) -> str:
    for name, text in texts.items():
        kind = next((kind for kind in KINDS if kind in name and name != "landcover_ephemeral"), "")
        if not kind or not text:
            continue
        labels = legend.labels(kind)
        known = {label.name for label in labels}
        if name.endswith("_notes"):
            known = {note for label in labels for note in label.notes}
        if odd := [part for part in text.split("|") if part not in known]:
            return f"{name} {odd[0]!r} is not in the legend {legend.name}"
    return ""


def _of_file(path: Path) -> tuple[dict[str, Legend], list[tuple[str, Act]]]:
    """The legends and acts of a file that pages gave, each act with its line."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}. Check the path") from None
    try:
        head = json.loads(lines[0])
        if head["form"] != HEADER or head["version"] != VERSION:
            raise ValueError
        kept = [legend_from(one, str(path)) for one in head["legends"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{path} is no file of answers of this version: give one that a page saved, or that "
            "timesync-xr answers export --format acts made"
        ) from None
    acts, problems = [], []
    for number, text in enumerate(lines[1:], 2):
        if not text.strip():
            continue
        try:
            acts.append((f"line {number}", check_act(json.loads(text))))
        except (ValueError, RecursionError):
            problems.append(f"line {number}: no JSON: the file is cut off or was changed")
        except InputError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise PlotListError(str(path), _first(problems))
    return {legend.digest: legend for legend in kept}, acts


def _of_project(path: Path) -> tuple[dict[str, Legend], list[tuple[str, Act]]]:
    """The legends and acts of another project, such as a packet."""
    store = Store(Project(path))
    found = [("/".join(log), act) for log in store.logs() for act in store.acts(*log)]
    return store.legends(), found


def _first(problems: list[str]) -> list[str]:
    rest = len(problems) - _SHOWN
    return problems[:_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])


def import_answers(
    project: Project,
    paths: Iterable[str | Path],
    legend: Legend,
    *,
    ids: Ids | None = None,
    project_id: str = "",
    who: str = "",
) -> Merged:
    """Take over answers of TimeSync V3: its server's CSV, or rows of its tables.

    Each plot and interpreter becomes one act, in place of what that interpreter said here before,
    which stays in the log; the same answers are taken once. Earlier interpretations that the table
    keeps (``history_flag`` below 0) become earlier acts. See `read_v3` for the parameters.
    """
    store, plots = Store(project), known_plots(project)
    if not project_id and len({name for name, _ in plots}) == 1:
        project_id = next(iter(plots))[0]
    imported = read_v3(paths, ids or Ids({}), project_id=project_id, who=who)
    acts, known, problems = [], 0, []
    for one in imported:
        made = store.acts(one.made.project, one.made.plot, one.made.who)
        new = _import_acts(one, legend, 1 + max((act["seq"] for act in made), default=0))
        there = {act["id"] for act in made}
        known += sum(act["id"] in there for act in new)
        acts += [act for act in new if act["id"] not in there]
        where = f"project {one.made.project}, plot {one.made.plot}"
        misfits = (misfit(act, plots, {legend.digest: legend}) for act in new)
        problems += [f"{where}: {problem}" for problem in misfits if problem]
    if problems:
        raise PlotListError(", ".join(map(str, paths)), _first(list(dict.fromkeys(problems))))
    store.keep_legend(legend)
    return Merged(store.append(acts), known)


def _import_acts(one: Imported, legend: Legend, seq: int) -> list[Act]:
    """The acts of an import, whose ids say what they hold: the same answers have the same."""
    made = one.made
    generations = [{k: v for k, v in kept.items() if k} for kept in one.before]
    at = made.changed or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    acts = []
    for number, vertices in enumerate([*generations, made.vertices]):
        is_last = number == len(generations)
        if not (vertices or made.texts or made.choices):
            continue
        body: dict[str, Any] = {
            "vertices": [{"day": day, **vertices[day]} for day in sorted(vertices)],
            "plot_texts": made.texts if is_last else {},
            "choices": {str(year): day for year, day in made.choices.items()} if is_last else {},
            "source": "TimeSync V3",
        }
        head = {"who": made.who, "project": made.project, "plot": made.plot}
        seal = line({**head, **body, "legend": legend.digest, "number": number})
        acts.append(
            {
                "v": VERSION,
                "id": hashlib.sha256(seal.encode()).hexdigest()[:32],
                "seq": seq + number,
                "at": at,
                **head,
                "legend": legend.digest,
                "tool": tool(),
                "do": "replace",
                **body,
            }
        )
    return acts


def tool() -> str:
    """What wrote an act."""
    return f"timesync_xr {version('timesync_xr')}"


def export_answers(
    project: Project, form: str, out: str | Path | None = None, *, who: Iterable[str] = ()
) -> tuple[str, int]:
    """Write answers for others; the place, and the number of interpretations in it.

    Parameters
    ----------
    project
        A project on disk.
    form
        ``"v3"``: the CSV of TimeSync V3's server and rows for its tables, see `write_v3`.
        ``"csv"``, ``"parquet"``: tidy tables ``vertices``, ``segments``, ``plots``, ``years`` and
        ``overrides`` (days that were chosen). ``"gpkg"``: the first four as layers of points.
        ``"tspo"``: ``events.sqlite`` with a table eventTable, an event a segment. ``"ceo"``: plots
        for Collect Earth Online, a CSV per interpreter. ``"acts"``: all acts, for `merge_answers`.
    out
        Folder to write to; ``exports/answers-FORMAT`` in the project by default.
    who
        Interpreters to take; all by default.

    Raises
    ------
    InputError
        An unknown format or interpreter, or where pyogrio is needed and not installed.
    """
    if form not in FORMATS:
        raise InputError(f"there is no format {form!r}: choose from {', '.join(FORMATS)}")
    store = Store(project)
    names = {log[2] for log in store.logs()}
    if unknown := sorted(set(who) - names):
        raise InputError(
            f"there is no interpreter {unknown[0]!r} but {', '.join(sorted(names)) or 'none'}"
        )
    answers = store.interpretations(who)
    place = place_of(out, project.place, f"exports/answers-{form}")
    with workplace(place, project.s3) as folder:
        if form == "v3":
            write_v3(answers, folder)
        elif form == "acts":
            _write_acts(store, answers, folder)
        else:
            _WRITERS[form](project, answers, folder)
    return place, len(answers)


def write_comparison(project: Project, compared: Comparison, out: str | Path | None) -> str:
    """Write the tables of a comparison as CSV, to ``exports/answers-compare`` by default."""
    place = place_of(out, project.place, "exports/answers-compare")
    with workplace(place, project.s3) as folder:
        for name, table in compared.tables().items():
            _csv(table, folder / f"{name}.csv")
    return place


def _tables(answers: list[Interpretation]) -> dict[str, pd.DataFrame]:
    return {
        "vertices": vertex_table(answers),
        "segments": segment_table(answers),
        "plots": plot_table(answers),
        "years": year_table(answers),
    }


def _write_csv(_: Project, answers: list[Interpretation], folder: Path) -> None:
    for name, table in (_tables(answers) | {"overrides": choice_table(answers)}).items():
        _csv(table, folder / f"{name}.csv")


def _csv(table: pd.DataFrame, path: Path, *, bom: bool = False) -> None:
    texts = table.select_dtypes(["object", "string"]).columns
    safe = table.assign(**{name: table[name].map(lambda v: guarded(str(v))) for name in texts})
    text = safe.to_csv(index=False, lineterminator="\n")
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))


def _write_parquet(_: Project, answers: list[Interpretation], folder: Path) -> None:
    for name, table in (_tables(answers) | {"overrides": choice_table(answers)}).items():
        _strings(table).to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")


def _strings(table: pd.DataFrame) -> pd.DataFrame:
    texts = table.select_dtypes(["object"]).columns
    return table.astype(dict.fromkeys(texts, "string"))


def _places(project: Project) -> pd.DataFrame:
    """Longitude and latitude of every plot."""
    settings = project.settings
    outlines = chip_outlines(project.plots[["project_id", "plot_id", "x", "y"]], settings.grid)
    return outlines.drop(columns="outline")


def _write_gpkg(project: Project, answers: list[Interpretation], folder: Path) -> None:
    places = _places(project)[["project_id", "plot_id", "lon", "lat"]]
    layers = {}
    for name, table in _tables(answers).items():
        placed = table.merge(places, on=["project_id", "plot_id"], how="inner")
        points = [wkb_point(*at) for at in zip(placed["lon"], placed["lat"], strict=True)]
        layers[name] = "Point", _strings(placed.drop(columns=["lon", "lat"])), points
    write_layers(folder / "answers.gpkg", layers)


def _write_tspo(_: Project, answers: list[Interpretation], folder: Path) -> None:
    """Events as TSPO keeps them: a number, then columns of text that each project names itself."""
    segments = segment_table(answers)
    names = ", ".join(f'"{name}" text' for name in segments)
    marks = ", ".join("?" * (1 + len(segments.columns)))
    with closing(sqlite3.connect(folder / "events.sqlite")) as database, database:
        database.execute(f"CREATE TABLE eventTable (id int PRIMARY KEY, {names})")
        rows = [
            (number, *map(str, row))
            for number, row in enumerate(segments.itertuples(index=False), 1)
        ]
        database.executemany(f"INSERT INTO eventTable VALUES ({marks})", rows)  # noqa: S608


def _write_ceo(project: Project, answers: list[Interpretation], folder: Path) -> None:
    """Plots for Collect Earth Online: LON, LAT, PLOTID and what was said, at most 5,000 a file."""
    ids, places = Ids.of(answers), _places(project)
    segments = segment_table(answers).groupby(["project_id", "plot_id", "interpreter"], sort=False)
    processes = {
        key: "|".join(
            f"{first}-{last} {process or '?'}"
            for first, last, process in zip(
                part["first_year"], part["last_year"], part["change_process"], strict=True
            )
        )
        for key, part in segments
    }
    table = plot_table(answers).merge(places, on=["project_id", "plot_id"], how="inner")
    keys = list(zip(table["project_id"], table["plot_id"], table["interpreter"], strict=True))
    numbers = _plot_numbers([(project, plot) for project, plot, _ in keys], ids)
    table = pd.DataFrame(
        {
            "LON": table["lon"].round(8),
            "LAT": table["lat"].round(8),
            "PLOTID": [numbers[key[:2]] for key in keys],
            "project_id": table["project_id"],
            "plot_id": table["plot_id"],
            "interpreter": table["interpreter"],
            "vertices": table["vertices"],
            "is_complete": table["is_complete"].astype(int),
            "processes": [processes.get(key, "") for key in keys],
            "comment": table["comment"],
        }
    )
    for who, part in table.groupby("interpreter", sort=True):
        for start in range(0, len(part), CEO_MOST):
            name = f"ceo_{who}_{start // CEO_MOST + 1}.csv" if start else f"ceo_{who}.csv"
            _csv(part.iloc[start : start + CEO_MOST], folder / name)


def _plot_numbers(plots: list[tuple[str, str]], ids: Ids) -> dict[tuple[str, str], int]:
    """A whole number for each plot: its own, unless two projects share it."""
    own = {plot: ids.number("plot", plot[1], plot[0]) for plot in plots}
    if len(set(own.values())) == len(own):
        return own
    return {plot: number for number, plot in enumerate(dict.fromkeys(plots), 1)}


def _write_acts(store: Store, answers: list[Interpretation], folder: Path) -> None:
    """All acts of these plots and interpreters, with the legends that they were given under."""
    acts = [act for one in answers for act in store.acts(one.project, one.plot, one.who)]
    legends = store.legends()
    used = sorted({act["legend"] for act in acts})
    head = {
        "form": HEADER,
        "version": VERSION,
        "legends": [legends[digest].to_json() for digest in used if digest in legends],
    }
    text = line(head) + "".join(map(line, acts))
    (folder / "answers.jsonl").write_text(text, encoding="ascii")


_WRITERS: Final[dict[str, Callable[[Project, list[Interpretation], Path], None]]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "gpkg": _write_gpkg,
    "tspo": _write_tspo,
    "ceo": _write_ceo,
}
