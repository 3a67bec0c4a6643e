"""Counts of what the tests did to the tool, told at the end of a run of pytest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

counts: Counter[str] = Counter()
"""How often each thing was done."""


def shows(faults: str | Iterable[str], *places: str) -> pytest.MarkDecorator:
    """Marks a test as that of rows of docs/reliability.md: of faults at places."""
    names = (faults,) if isinstance(faults, str) else tuple(faults)
    return pytest.mark.shows(names, places)
