"""`extract` by loose options, for tests that change one of them at a time."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from timesync_xr import Archive, Products, Selection, Summary, extract


def make(plots: Path | pd.DataFrame, out: Path, archive: Archive, **options: Any) -> Summary:
    """Run `extract`; options that are fields of `Selection` or `Products` go into these."""
    select, products = (
        {f.name: options.pop(f.name) for f in fields(kind) if f.name in options}
        for kind in (Selection, Products)
    )
    made = Selection(**select), Products(**products)
    return extract(plots, out, archive, *made, **{"progress": False} | options)
