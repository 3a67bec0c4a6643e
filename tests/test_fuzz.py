"""A short run of the fuzzers; `make fuzz` is the long one."""

from __future__ import annotations

import pytest

from tests import fuzz
from tests.strategies import share
from tests.tally import counts


@pytest.mark.random
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_changed_inputs_are_read_or_refused(name: str) -> None:
    count = share(600)
    refused = fuzz.main(name, count, 7)
    assert count / 6 < refused < count  # neither all, nor hardly any: the check sees both sides
    counts["inputs fuzzed"] += count
