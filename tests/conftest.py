"""Fixtures that several test files use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden archives and real records that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference data are not here: {SHARED} does not exist")
    return SHARED
