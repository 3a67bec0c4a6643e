"""Acts of an interpreter, and the interpretation that they make of a plot.

Everything that an interpreter does is an act: one JSON object, that is never changed. The vertices
and labels of a plot are a view of its acts, in the order of their numbers (``seq``) and, for acts
of the same number, of their ids: so the same acts make the same interpretation in whatever order
they come, twice or from several machines, and no clock is asked. The pages have the same rules in
`view/site/static/answers.js`; the tests hold both against each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from ..errors import InputError
from ..plots import id_problem
from .legend import FORMULA

Act = dict[str, Any]
"""What was done, by whom and when; see `check_act`."""

VERTEX_TEXTS: Final = (
    "dominant_landuse", "dominant_landuse_notes", "secondary_landuse", "secondary_landuse_notes",
    "dominant_landcover", "dominant_landcover_notes",
    "secondary_landcover", "secondary_landcover_notes", "landcover_ephemeral",
    "change_process", "change_process_notes",
    "date_confidence", "label_confidence", "patch_size", "relative_magnitude", "comments",
)  # fmt: skip
"""What is said of a vertex, all text; notes, and several secondary land covers, joined by ``|``."""

PLOT_TEXTS: Final = ("comment", "is_example", "is_wetland", "uncertainty")
"""What is said of a plot, all text; yes is ``1``."""

NEEDED: Final = ("dominant_landuse", "dominant_landcover", "change_process")
"""What every vertex needs, but for the process at the first: 3n-1 labels of n vertices."""

LONGEST: Final = 255
"""Characters of a text at most, as in V3."""

VERSION: Final = 1
"""Version of the form of acts."""

_HEAD: Final = {"v", "id", "seq", "at", "who", "project", "plot", "legend", "tool", "do"}
_BODY: Final[dict[str, set[str]]] = {
    "start": {"vertices", "chips"},
    "replace": {"vertices", "plot_texts", "choices", "source"},
    "vertex": {"day"},
    "remove": {"day"},
    "move": {"day", "to"},
    "label": {"day", "set"},
    "plot": {"set"},
    "choose": {"year", "day"},
    "undo": {"act"},
}
_NO_TEXT: Final = ("Cc", "Cs", "Zl", "Zp")  # control characters, surrogates, ends of lines
_ID = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


@dataclass
class Interpretation:
    """What one interpreter says of one plot."""

    project: str
    """Id of the project of the plot."""
    plot: str
    """Id of the plot there."""
    who: str
    """Name of the interpreter."""
    vertices: dict[str, dict[str, str]] = field(default_factory=dict)
    """What is said of each vertex, by its day (``YYYY-MM-DD``); what is empty is absent."""
    texts: dict[str, str] = field(default_factory=dict)
    """What is said of the plot, see `PLOT_TEXTS`."""
    choices: dict[int, str] = field(default_factory=dict)
    """Days that were chosen for years in place of the rule's."""
    legend: str = ""
    """Digest of the legend of the last label."""
    changed: str = ""
    """When the last act was done, by the clock of whoever did it."""

    @property
    def days(self) -> list[str]:
        """Days of the vertices, in their order."""
        return sorted(self.vertices)

    @property
    def missing(self) -> list[tuple[str, str]]:
        """The labels that are needed and not there: day of the vertex, and which of `NEEDED`."""
        return [
            (day, name)
            for number, day in enumerate(self.days)
            for name in NEEDED
            if (number or name != "change_process") and name not in self.vertices[day]
        ]

    @property
    def is_complete(self) -> bool:
        """Whether there are vertices and all of their 3n-1 labels."""
        return len(self.vertices) > 1 and not self.missing


def interpret(acts: Iterable[Act], project: str, plot: str, who: str) -> Interpretation:
    """What the acts of one interpreter on one plot come to, whatever their order."""
    made = Interpretation(project, plot, who)
    for act in in_force(acts):
        _DO[act["do"]](made, act)
        made.changed = max(made.changed, act["at"])
        if act["do"] != "choose":
            made.legend = act["legend"]
    return made


def in_order(acts: Iterable[Act]) -> list[Act]:
    """Acts by their number, then by their id; each once."""
    return sorted({act["id"]: act for act in acts}.values(), key=lambda a: (a["seq"], a["id"]))


def in_force(acts: Iterable[Act]) -> list[Act]:
    """The acts that were not undone, in their order; an undoing may itself be undone."""
    ordered = in_order(acts)
    undone: set[str] = set()
    kept = []
    for act in reversed(ordered):  # an act is undone only by later ones
        if act["id"] in undone:
            continue
        if act["do"] == "undo":
            undone.add(act["act"])
        else:
            kept.append(act)
    return kept[::-1]


def _start(made: Interpretation, act: Act) -> None:
    if not made.vertices:
        made.vertices = {one["day"]: {} for one in act["vertices"]}


def _replace(made: Interpretation, act: Act) -> None:
    if act["vertices"]:
        made.vertices = {
            one["day"]: {k: v for k, v in one.items() if k != "day" and v}
            for one in act["vertices"]
        }
    made.texts = {name: text for name, text in act["plot_texts"].items() if text}
    made.choices = {int(year): day for year, day in act["choices"].items()}


def _vertex(made: Interpretation, act: Act) -> None:
    if made.vertices and min(made.vertices) < act["day"] < max(made.vertices):
        made.vertices.setdefault(act["day"], {})


def _remove(made: Interpretation, act: Act) -> None:
    """The first and the last vertex stay: they are the ends of the record."""
    if act["day"] in made.days[1:-1]:
        del made.vertices[act["day"]]


def _move(made: Interpretation, act: Act) -> None:
    """A vertex is moved between its neighbours only; its labels go with it."""
    days = made.days
    if act["day"] not in made.vertices:
        return
    at = days.index(act["day"])
    if (at == 0 or days[at - 1] < act["to"]) and (at + 1 == len(days) or act["to"] < days[at + 1]):
        made.vertices[act["to"]] = made.vertices.pop(act["day"])


def _label(made: Interpretation, act: Act) -> None:
    if act["day"] in made.vertices:
        _set(made.vertices[act["day"]], act["set"])


def _plot(made: Interpretation, act: Act) -> None:
    _set(made.texts, act["set"])


def _set(texts: dict[str, str], new: Mapping[str, str]) -> None:
    texts.update(new)
    for name in [name for name, text in texts.items() if not text]:
        del texts[name]


def _choose(made: Interpretation, act: Act) -> None:
    if act["day"]:
        made.choices[act["year"]] = act["day"]
    else:
        made.choices.pop(act["year"], None)


_DO: Final[dict[str, Callable[[Interpretation, Act], None]]] = {
    "start": _start,
    "replace": _replace,
    "vertex": _vertex,
    "remove": _remove,
    "move": _move,
    "label": _label,
    "plot": _plot,
    "choose": _choose,
}


def check_act(act: object) -> Act:
    """The act, if it is one; `InputError` says why not.

    Every act has ``v`` (1), ``id`` (32 hex digits), ``seq`` (its number in the file), ``at`` (UTC),
    ``who``, ``project``, ``plot``, ``legend`` (its digest), ``tool`` (who wrote it) and ``do``:

    - ``start``: ``vertices`` at the ends of the record, and ``chips``, a digest of what was shown
    - ``vertex``, ``remove``: the ``day`` of a vertex; ``move``: also the day it goes ``to``
    - ``label``: what is ``set`` of the vertex at ``day``, see `VERTEX_TEXTS`; empty text unsets
    - ``plot``: what is ``set`` of the plot, see `PLOT_TEXTS`
    - ``choose``: the ``day`` shown for a ``year``, empty for that of the rule
    - ``undo``: the id of an earlier ``act``, which then counts no more
    - ``replace``: ``vertices`` (if any), ``plot_texts`` and ``choices`` in place of all before, and
      their ``source``
    """
    if problem := _problem(act):
        raise InputError(f"no act of an interpreter: {problem}")
    assert isinstance(act, dict)  # noqa: S101 - for the type
    return act


def _problem(act: object) -> str:
    """Why something is no act; empty for one."""
    if not isinstance(act, dict):
        return "it is no JSON object"
    do = act.get("do")
    if act.get("v") != VERSION or do not in _BODY:
        return f"version {act.get('v')!r} with do {do!r} is not known to this version"
    if wrong := set(act) ^ (_HEAD | _BODY[do]):
        return f"{min(wrong)!r} is missing, or has no place in it"
    found = [
        _matches("id", _ID, act["id"]),
        "" if _is_number(act["seq"], 1, 2**53 - 1) else f"seq {act['seq']!r} is no number",
        _matches("at", _AT, act["at"]),
        name_problem(act["who"]),
        *(_id(name, act[name]) for name in ("project", "plot")),
        _matches("legend", _DIGEST, act["legend"]),
        text_problem("tool", act["tool"]),
        *_body_problems(do, act),
    ]
    return next((problem for problem in found if problem), "")


def _body_problems(do: str, act: Act) -> Iterable[str]:
    if do == "choose":
        yield "" if act["day"] == "" else day_problem(act["day"])
        yield "" if _is_number(act["year"], 1900, 2200) else f"year {act['year']!r} is no year"
        if act["day"] and not str(act["day"]).startswith(str(act["year"])):
            yield f"the day {act['day']!r} is not of {act['year']}"
        return
    for name in ("day", "to"):
        if name in _BODY[do]:
            yield day_problem(act[name])
    if do == "undo":
        yield _matches("act", _ID, act["act"])
    if do == "label":
        yield _texts_problem(act["set"], VERTEX_TEXTS)
    if do == "plot":
        yield _texts_problem(act["set"], PLOT_TEXTS)
    if do == "start":
        yield _matches("chips", _DIGEST, act["chips"])
    if do in ("start", "replace"):
        yield _vertices_problem(act["vertices"], () if do == "start" else VERTEX_TEXTS)
    if do == "replace":
        yield _texts_problem(act["plot_texts"], PLOT_TEXTS)
        yield text_problem("source", act["source"])
        yield _choices_problem(act["choices"])


def _vertices_problem(vertices: object, names: Sequence[str]) -> str:
    if not isinstance(vertices, list) or len(vertices) > 1000:
        return "vertices are no list of 1000 at most"
    for one in vertices:
        if not isinstance(one, dict) or (problem := day_problem(one.get("day"))):
            return f"vertex {one!r} has no day" if not isinstance(one, dict) else problem
        if problem := _texts_problem({k: v for k, v in one.items() if k != "day"}, names):
            return problem
    days = [one["day"] for one in vertices]
    return "" if len(set(days)) == len(days) else "two vertices have one day"


def _choices_problem(choices: object) -> str:
    if not isinstance(choices, dict):
        return "choices are no object of years and days"
    for year, day in choices.items():
        if day_problem(day) or day[:4] != year:
            return f"the choice {day!r} of {year!r} is no day of it"
    return ""


def _texts_problem(texts: object, names: Sequence[str]) -> str:
    if not isinstance(texts, dict):
        return f"{texts!r} are no texts by name"
    for name, text in texts.items():
        if name not in names:
            return f"{name!r} can't be said: choose from {', '.join(names)}"
        if problem := text_problem(name, text):
            return problem
    return ""


def text_problem(name: str, text: object) -> str:
    """Why a text can't be kept: too long, blanks around it, line ends or control characters."""
    if not isinstance(text, str):
        return f"{name} {text!r} is no text"
    if len(text) > LONGEST:
        return f"{name} is longer than {LONGEST} characters"
    if text != text.strip():
        return f"{name} begins or ends with a blank"
    odd = any(unicodedata.category(character) in _NO_TEXT for character in text)
    return f"{name} holds a character that is no text" if odd else ""


def name_problem(who: object) -> str:
    """Why an interpreter can't be called so: the name names files, and stands in tables."""
    if not isinstance(who, str):
        return f"the interpreter {who!r} is no text"
    if problem := id_problem(who):
        return f"the interpreter {who!r} {problem}"
    if who.startswith(FORMULA) or len(who.encode()) > 60:
        return f"the interpreter {who!r} begins like a formula or is too long: rename it"
    return ""


def day_problem(day: object) -> str:
    """Why something is no day ``YYYY-MM-DD``."""
    found = _DAY.fullmatch(day) if isinstance(day, str) else None
    try:
        if found is None:
            return f"{day!r} is no day YYYY-MM-DD"
        date(*map(int, found.groups()))
        return ""
    except ValueError:
        return f"{day!r} is no day of the calendar"


def _id(name: str, text: object) -> str:
    if not isinstance(text, str):
        return f"{name} {text!r} is no text"
    problem = id_problem(text)
    return f"{name} {text!r} {problem}" if problem else ""


def _matches(name: str, pattern: re.Pattern[str], text: object) -> str:
    return "" if isinstance(text, str) and pattern.fullmatch(text) else f"{name} {text!r} is none"


def _is_number(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
