"""Ids of projects and plots: which of them can name files, and their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

LONGEST_ID: Final = 100
"""Bytes (UTF-8) that a project or plot id may have, so that every file name stays under 255."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def id_problem(text: str) -> str:
    r"""Why an id can't be part of file names on common disks and stores; "" if it can.

    Refused are: nothing, more than 100 bytes, control characters and others that can't be
    printed, any of ``< > : " / \ | ? *``, a dot or space at either end (so "." and ".."), and
    names that Windows keeps for devices ("CON", "nul.txt").
    """
    return next(_id_problems(text), "")


def _id_problems(text: str) -> Iterator[str]:
    if not text:
        yield "is empty: give every plot a project_id and a plot_id"
    if found := _FORBIDDEN.search(text):
        yield f"holds {found[0]!r}, which file names can't hold: rename it"
    if not text.isprintable():
        yield "holds a character that can't be printed: rename it"
    if text != text.strip(". "):
        yield "begins or ends with a dot or a space, which file names should not: rename it"
    if found := _DEVICE.match(text):
        yield f"begins with {found[1]!r}, which Windows keeps for a device: rename it"
    if len(text.encode()) > LONGEST_ID:
        yield f"is longer than {LONGEST_ID} bytes: shorten it"


def id_order(text: str) -> tuple[int, Decimal, str]:
    """What projects and plots are sorted by: numbers by their value, then all others as text.

    A number is made of digits, with a sign and a decimal point at most. Ids of the same value
    ("7", "07") are ordered as text; text is ordered by code points.
    """
    if _NUMBER.fullmatch(text):
        return 0, Decimal(text), text
    return 1, Decimal(0), text
