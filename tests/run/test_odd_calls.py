"""Calls that make or read projects, with arguments of odd kinds: they end in errors of our own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import timesync_xr as tx
from tests.archive import SmallArchive
from tests.words.test_odd_arguments import ODD
from timesync_xr.errors import TimesyncError
from timesync_xr.grid import REGIONS

PLACE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
SWITCHES = {"progress", "quick", "refresh", "prune"}
"""Anything is true or false for Python, or raises an error of its own kind."""


class Made:
    """A project of one observation, and usual arguments of functions."""

    def __init__(self, folder: Path) -> None:
        small = SmallArchive(folder / "archive")
        small.add("LC08", "2020-07-01T18:30:00Z")
        self.folder, self.count = folder, 0
        self.plots = folder / "plots.csv"
        self.plots.write_text(f"project_id,plot_id,x,y\np,1,{PLACE[0]},{PLACE[1]}\n")
        self.archive = tx.Archive(small.write_items(), mirror=small.mirror)
        self.products = tx.Products("png,csv,zarr", chip_size=3)
        self.project = folder / "project"
        tx.extract(self.plots, self.project, self.archive, products=self.products, progress=False)

    def usual(self, function: Callable[..., Any]) -> dict[str, Any]:
        """What the function is called with; what it writes goes to a folder of its own."""
        self.count += 1
        out = self.folder / f"out{self.count}"
        usual = {
            "plot": PLACE,
            "archive": self.archive,
            "chip_size": 3,
            "plots": self.plots,
            "products": self.products,
            "project": out if function is tx.extract else self.project,
            "out": out,
            "problems": tx.verify(self.project),
            "tiles": [(3, 9)],
            "form": "csv",
            "progress": False,
        }
        known = inspect.signature(function).parameters
        return {name: usual[name] for name in known if name in usual}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("odd"))


FUNCTIONS = (
    tx.chips_for_plot, tx.search_items, tx.plan, tx.extract, tx.render, tx.verify, tx.repair,
    tx.combine, tx.export_project,
)  # fmt: skip
PAIRS = [
    pytest.param(function, name, id=f"{function.__name__} {name}")
    for function in FUNCTIONS
    for name in inspect.signature(function).parameters
    if name not in SWITCHES
]


@pytest.mark.deep
@pytest.mark.parametrize(("function", "name"), PAIRS)
def test_odd_arguments_end_well_or_in_an_error_of_ours(
    made: Made, monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], name: str
) -> None:
    monkeypatch.chdir(made.folder)  # a text is a folder for some of them
    for value in ODD.values():
        with suppress(TimesyncError):
            function(**(made.usual(function) | {name: value}))
