"""A short run of the fuzzers; `make fuzz` is the long one."""

from __future__ import annotations

import pytest

from tests import fuzz
from tests.tally import counts


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_changed_inputs_are_read_or_refused(name: str) -> None:
    refused = fuzz.main(name, 600, 7)
    assert 100 < refused < 600  # neither all, nor hardly any: the check sees both sides
    counts["inputs fuzzed"] += 600
