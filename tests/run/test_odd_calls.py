"""Every public call with arguments of odd kinds: it ends well, or in an error of our own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import timesync_xr as tx
from tests.archive import SmallArchive
from tests.words.test_odd_arguments import ODD
from timesync_xr.errors import TimesyncError
from timesync_xr.grid import REGIONS
from timesync_xr.spectral import indices

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)

SWITCHES = {"self", "progress", "quick", "refresh", "prune", "scenes", "shown"}
"""Anything is true or false for Python, or raises an error of its own kind."""

MADE_HERE = {
    *("AnnualComposites", "Combined", "Exported", "Sheets", "Site", "Summary", "TimesyncError"),
    *("ArchiveFiles", "Comparison", "Forecast", "make_sample"),
}
"""What the package alone makes; and what takes a folder and works for seconds."""


def calls() -> dict[str, Callable[..., Any]]:
    """Every public function, class and method by name."""
    found: dict[str, Callable[..., Any]] = {}
    for name in tx.__all__:
        public = getattr(tx, name)
        if callable(public) and name not in MADE_HERE:
            found[name] = public
        if inspect.isclass(public) and name != "TimesyncError":
            methods = inspect.getmembers(public, lambda m: callable(m) and not inspect.isclass(m))
            found |= {f"{name}.{key}": m for key, m in methods if not key.startswith("_")}
    return found | {f"indices.{name}": getattr(indices, name) for name in indices.NAMES}


CALLS = calls()
PAIRS = [
    pytest.param(name, parameter, id=f"{name} {parameter}")
    for name, call in CALLS.items()
    for parameter in inspect.signature(call).parameters
    if parameter not in SWITCHES
]


class Made:
    """A project of two plots and two observations, and usual arguments of all that is public."""

    def __init__(self, folder: Path) -> None:
        small = SmallArchive(folder / "archive")
        small.add("LC08", "2020-07-01T18:30:00Z")
        small.add("LE07", "2020-07-02T18:30:00Z")
        plots = folder / "plots.csv"
        plots.write_text(f"project_id,plot_id,x,y\np,1,{X},{Y}\np,2,{X + 3000},{Y}\n")
        items = small.write_items()
        archive = tx.Archive(items, mirror=small.mirror)
        products = tx.Products("png,csv,zarr", chip_size=3)
        place = folder / "project"
        tx.extract(plots, place, archive, products=products, progress=False)
        project, plot = tx.Project(place), tx.Plot("p", "1", X, Y)
        cube = tx.chips_for_plot(plot, archive, chip_size=3).compute()
        chip = tx.composite_rgb(cube, "tc").isel(time=0)
        qa, numbers = cube.sel(band="qa_pixel"), tx.to_collection1(cube)
        spectra, series = project.spectra(), project.series().assign(strict_clear=True)
        offsets = tx.sensor_offsets(series)
        offsets.to_csv(folder / "offsets.csv", index=False)
        (folder / "overrides.csv").write_text("project_id,plot_id,year,doy\np,1,2020,183\n")
        (folder / "styles.toml").write_text("")
        self.folder, self.count = folder, 0
        self.owners = {
            "Project": project, "Forecast": tx.plan(plots, archive, products=products),
            "ChipsPerYear": tx.ChipsPerYear(1), "Selection": tx.Selection(), "Products": products,
            "Styles": tx.Styles(), "Archive": archive,
            "ArchiveFiles": tx.archive_files(place, archive),
            "Comparison": tx.compare_sources(plots, sources=[archive]),
        }  # fmt: skip
        self.usual: dict[str, Any] = {
            "plot": plot, "plots": plots, "archive": archive, "products": products,
            "project": place, "place": place, "chip_size": 3, "project_id": "p", "plot_id": "1",
            "x": X, "y": Y, "cube": cube, "qa": qa, "dn": cube, "bit": 1, "values": numbers,
            "table": spectra, "spectra": spectra, "series": series, "offsets": offsets,
            "density": project.density(), "observations": project.observations(),
            "records": cube.to_numpy(), "starts": [0], "arrays": [cube], "chips": cube,
            "chip": chip, "rgb": chip, "array": chip, "row": spectra[:1], "items": small.items,
            "before": "2020-06-01", "after": "2020-08-01", "composite": "tc", "name": "tc",
            "channels": ("red",) * 3, "limits": ((0, 1),) * 3, "count": 1, "text": "",
            "low": 0, "high": 2, "sources": [archive],
            "tiles": [(3, 9)], "datetime": None, "day": "2020-07-01",
            "form": "kml", "grid": "CU", "other": tx.Selection(), "workers": 1,
            "prices": tx.Prices(), "problems": tx.verify(place), "progress": False,
        }  # fmt: skip
        self.own: dict[str, dict[str, Any]] = {
            "chip_outlines": {"plots": project.plots}, "split_packets": {"plots": project.plots},
            "write_packets": {"plots": place}, "export_rasters": {"form": "png"},
            "Selection.causes": {
                "observations": project.observations().assign(time=pd.Timestamp("2020-07-01"))
            },
            "stretch": {"values": np.arange(3)},
            "plot_trajectory": {"values": spectra[spectra["plot_id"] == "1"]},
            "plot_offsets": {"values": ["ndvi"]}, "Styles.stretch": {"name": "fixed"},
            "Styles.chosen": {"names": ["tc"]},
            "read_items": {"path": items}, "read_plots": {"path": plots},
            "read_offsets": {"path": folder / "offsets.csv"},
            "read_overrides": {"path": folder / "overrides.csv"},
            "read_styles": {"path": folder / "styles.toml"},
            "ChipsPerYear.parse": {"plots": [("p", "1")]},
        }  # fmt: skip

    def call(self, name: str, /, **odd: Any) -> None:
        """Make a call as usual, but for what is odd. What it writes gets a name of its own."""
        owner, _, method = name.rpartition(".")
        call = getattr(self.owners[owner], method) if owner in self.owners else CALLS[name]
        self.count += 1
        written = f"out{self.count}.csv"
        usual = {
            **self.usual,
            **dict.fromkeys(("out", "path", "png"), written),
            **({"project": written} if name == "extract" else {}),
            **self.own.get(name, {}),
        }
        known = inspect.signature(call).parameters
        always = {"out", "archive", "products", "chip_size", "progress", "sources"}
        needed = [key for key, p in known.items() if p.default is p.empty or key in always]
        found = call(**({key: usual[key] for key in needed if key in usual} | odd))
        if isinstance(found, Iterator):
            list(found)
        elif isinstance(found, AbstractContextManager):
            with found:
                pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("odd"))


@pytest.fixture(autouse=True)
def _beside(made: Made, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plt.switch_backend("agg")
    monkeypatch.chdir(made.folder)  # a text is a path for some of them
    yield
    plt.close("all")


def check(made: Made, name: str, parameter: str, odd: list[str]) -> None:
    before = set(made.folder.iterdir())
    for kind in odd:
        with suppress(TimesyncError):
            made.call(name, **{parameter: ODD[kind]})
        plt.close("all")
    new = {path.name for path in {*made.folder.iterdir()} - before}
    assert all(path.startswith(("out", "x")) for path in new), "a path is text, nothing else"


@pytest.mark.deep
@pytest.mark.parametrize("name", CALLS)
def test_usual_arguments_are_taken(made: Made, name: str) -> None:
    """Else all of this would hold of calls that are refused for another reason."""
    made.call(name)


@pytest.mark.deep
@pytest.mark.parametrize(("name", "parameter"), PAIRS)
def test_odd_arguments_end_well_or_in_an_error_of_ours(
    made: Made, name: str, parameter: str
) -> None:
    """A third of them each, so that the parameters of a call meet all."""
    first = list(inspect.signature(CALLS[name]).parameters).index(parameter) % 3
    check(made, name, parameter, list(ODD)[first::3])


QUICK = {"extract", "write_packets", "with_adjusted", "write_png", "Selection", "Project.files"}


@pytest.mark.parametrize("name", sorted(QUICK))
def test_some_odd_arguments_of_some_calls(made: Made, name: str) -> None:
    """But for what is the default: a search without an archive would ask the real one."""
    known = inspect.signature(CALLS[name]).parameters
    for parameter in {*known} - SWITCHES:
        nothing = [] if known[parameter].default is None else ["nothing"]
        check(made, name, parameter, ["an object", "a table", *nothing])


def test_all_that_is_public_is_called() -> None:
    """What is not is a value that the package makes, or a constant."""
    public = {name for name in tx.__all__ if callable(getattr(tx, name))}
    assert public - {*CALLS} == MADE_HERE
    assert {"Project.annual", "Forecast.hours", "indices.evi"} <= {*CALLS}
