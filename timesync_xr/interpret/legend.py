"""The legend: what may be said of a plot. A file in TOML; V3's is the default."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ..errors import InputError, did_you_mean

KINDS: Final = ("landuse", "landcover", "process")
"""What is labelled: land use and land cover at a vertex, the process on a segment."""

BUILT_IN: Final = ("v3", "lcmap")
"""Legends that come with the package."""

LONGEST: Final = 60
"""Characters that a name or a note may have."""

MOST: Final = 35
"""Labels of a kind at most: as many as there are keys for them, 1 to 9 and a to z."""

FORMULA: Final = ("=", "+", "-", "@")
"""What begins a formula in a spreadsheet."""


@dataclass(frozen=True)
class Label:
    """One of the labels of a kind."""

    name: str
    """What it is called, on the page and in tables."""
    notes: tuple[str, ...] = ()
    """What may be noted with it."""


@dataclass(frozen=True)
class Legend:
    """What may be said of a plot; made by `read_legend`."""

    name: str
    """What the legend is called."""
    landuse: tuple[Label, ...]
    """Land uses, dominant and secondary."""
    landcover: tuple[Label, ...]
    """Land covers."""
    process: tuple[Label, ...]
    """Change processes of segments."""

    def labels(self, kind: str) -> tuple[Label, ...]:
        """The labels of one of `KINDS`."""
        labels: tuple[Label, ...] = getattr(self, kind)
        return labels

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are kept with the answers."""
        kinds = {
            kind: [{"name": label.name, "notes": list(label.notes)} for label in self.labels(kind)]
            for kind in KINDS
        }
        return {"name": self.name, **kinds}

    @cached_property
    def digest(self) -> str:
        """What an answer keeps of the legend that it was given under: 16 hex digits."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_legend(source: str | Path = "v3") -> Legend:
    """A legend by its name (``v3``, ``lcmap``) or of a TOML file.

    The file has a ``name`` and tables ``[[landuse]]``, ``[[landcover]]`` and ``[[process]]``, each
    with a ``name`` and, if wanted, ``notes``, a list of texts. `InputError` with all that is wrong.

    >>> read_legend().process[2].name
    'Harvest'
    """
    if str(source) in BUILT_IN:
        return _built_in(str(source))
    path = Path(source)
    try:
        return legend_from(tomllib.loads(path.read_text(encoding="utf-8-sig")), str(source))
    except FileNotFoundError:
        near = did_you_mean(str(source), BUILT_IN)
        raise InputError(
            f"there is no legend {source}{near}: give a TOML file, or one of {', '.join(BUILT_IN)}"
        ) from None
    except OSError as error:
        raise InputError(f"the legend {source} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"the legend {source} is not UTF-8: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the legend {source} is not TOML: {error}") from None


@cache
def _built_in(name: str) -> Legend:
    text = (files(__package__) / "legends" / f"{name}.toml").read_text(encoding="utf-8")
    return legend_from(tomllib.loads(text), name)


def legend_from(kept: Mapping[str, Any], source: str) -> Legend:
    """A legend of plain values; `InputError` with every problem in them."""
    problems = [
        f"{name!r} is no part of a legend{did_you_mean(name, ('name', *KINDS))}: "
        f"it has a name and tables {', '.join(f'[[{kind}]]' for kind in KINDS)}"
        for name in kept
        if name not in ("name", *KINDS)
    ]
    name = kept.get("name", "")
    problems += _text_problems("name", name)
    labels = {kind: _labels(kind, kept.get(kind, []), problems) for kind in KINDS}
    if problems:
        raise InputError("\n  ".join([f"the legend {source} can't be used:", *problems]))
    return Legend(str(name), **labels)


def _labels(kind: str, kept: object, problems: list[str]) -> tuple[Label, ...]:
    """The labels of a kind; what is wrong with them is added to the problems."""
    if not isinstance(kept, list) or not kept:
        problems.append(f"it has no {kind}: give a table [[{kind}]] with a name for each label")
        return ()
    if len(kept) > MOST:
        problems.append(f"{len(kept)} labels of {kind}: {MOST} have a key each, leave some out")
    labels = []
    for number, one in enumerate(kept, 1):
        where = f"{kind} {number}"
        if not isinstance(one, dict) or set(one) - {"name", "notes"}:
            problems.append(f"{where} is {one!r}: give a name and, if wanted, notes")
            continue
        name, notes = one.get("name", ""), one.get("notes", [])
        problems += _text_problems(f"the name of {where}", name)
        if not isinstance(notes, list) or len(notes) > MOST:
            problems.append(f"the notes of {where} are no list of {MOST} texts at most")
            continue
        for note in notes:
            problems += _text_problems(f"a note of {where}", note)
        if len(set(map(str, notes))) < len(notes):
            problems.append(f"a note of {where} is there twice: drop one")
        labels.append(Label(str(name), tuple(map(str, notes))))
    names = [label.name for label in labels]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [f"{kind} {name!r} is there twice: drop one" for name in twice]
    return tuple(labels)


def _text_problems(what: str, text: object) -> list[str]:
    """Why a text can't be a label: it goes into tables, spreadsheets and lists of notes."""
    if not isinstance(text, str) or not text.strip():
        return [f"{what} is missing: give a text"]
    found = [
        (text != text.strip(), "begins or ends with a blank"),
        (not text.isprintable(), "holds a character that can't be printed"),
        ("|" in text, "holds '|', which separates notes"),
        (text.startswith(FORMULA), f"begins with {text[:1]!r}, which spreadsheets calculate"),
        (len(text) > LONGEST, f"is longer than {LONGEST} characters"),
    ]
    return [f"{what}, {text[:LONGEST]!r}, {problem}: rename it" for bad, problem in found if bad]
