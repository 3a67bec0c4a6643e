"""What a project is made with: kept as it was, and refused where it is damaged or too old."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.archive import SmallArchive
from tests.handmade import Observation, write_project
from tests.making import make
from timesync_xr import Archive, Project, browse, combine, render, verify
from timesync_xr.errors import ProjectError
from timesync_xr.grid import REGIONS
from timesync_xr.project.project import Settings, keep_settings
from timesync_xr.spectral.composites import COMPOSITES
from timesync_xr.spectral.styles import Stretch
from timesync_xr.storage.folder import Folder

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)


def extracted(place: Path) -> None:
    items = SmallArchive(place.parent / "archive").write_items()
    plots = pd.DataFrame({"project_id": ["1"], "plot_id": ["7"], "x": [X], "y": [Y]})
    make(plots.assign(offset=0.0), place, Archive(items))


READERS: dict[str, Callable[[Path], Any]] = {
    "extract": extracted,
    "verify": verify,
    "combine": combine,
    "browse": browse,
    "render from": lambda place: render(place, place.parent / "drawn", progress=False),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", [Observation("1", "7", "2020-07-01")])


def of_layout(layout: int | None) -> Callable[[dict[str, Any]], Any]:
    def change(kept: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in kept.items() if key != "layout"}
        return rest if layout is None else {"layout": layout, **rest}

    return change


def without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda kept: {name: value for name, value in kept.items() if name != key}


def with_composites(composites: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda kept: kept | {"composites": composites}


def with_stretch(text: str) -> Callable[[dict[str, Any]], Any]:
    return lambda kept: kept | {"stretch": text}


GOOD: list[Any] = [["red", "red", "red"], [[0, 1], [0, 1], [0, 1]]]
DAMAGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda kept: [kept],
    "a number": lambda kept: 2,
    **{
        f"no {key}": without(key)
        for key in ("collection", "grid", "chip_size", "composites", "stretch", "rendered")
    },
    "a name that leads out": with_composites({"../../x": GOOD}),
    "a name with a slash": with_composites({"a/b": GOOD}),
    "no limits": with_composites({"a": GOOD[:1]}),
    "two channels": with_composites({"a": [GOOD[0][:2], GOOD[1]]}),
    "a grid without corner": lambda kept: kept | {"grid": {"name": "CU"}},
    "a CRS that is none": lambda kept: kept | {"grid": kept["grid"] | {"crs": "nonsense"}},
    "another CRS that is none": lambda kept: (
        kept | {"grid": {"name": "own", "left": 0, "top": 0, "crs": "@/etc/passwd"}}
    ),
    "a collection of two lines": lambda kept: kept | {"collection": "a\nb"},
    **{
        f"the stretch {text!r}": with_stretch(text)
        for text in ("../x", "plot", "plot 98 2", "plot 2 nan", "all 2 98")
    },
    "one number": lambda kept: kept | {"chip_size": [255]},
}


def rewrite(place: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = place / "ledger/project.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("layout", [None, 99])
def test_another_layout_is_refused_by_its_number(
    place: Path, reader: str, layout: int | None
) -> None:
    rewrite(place, of_layout(layout))
    before = sorted(place.parent.rglob("*"))
    with pytest.raises(ProjectError, match=rf"project has the layout {layout or 1}, .*layout 7"):
        READERS[reader](place)
    made = set(place.parent.rglob("*")) - set(before)
    assert {path.name for path in made} <= {"lock", "tmp", "archive", "items.json"}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", ["not JSON", "nothing", *DAMAGED])
@pytest.mark.cases(24)
def test_what_is_damaged_is_refused_by_its_name(place: Path, reader: str, damage: str) -> None:
    if damage in DAMAGED:
        rewrite(place, DAMAGED[damage])
    else:
        (place / "ledger/project.json").write_text("{half" if damage == "not JSON" else "")
    if reader == "verify":  # which goes on with what it can look at
        (problem,) = verify(place).to_dict("records")
        assert (problem["kind"], problem["file"]) == ("broken", "ledger/project.json")
        assert problem["remedy"].startswith("Put back a copy of it")
        return
    with pytest.raises(ProjectError, match=r"ledger/project\.json is damaged \(\w+\): put back"):
        READERS[reader](place)


@pytest.mark.parametrize("grid", ["CU", "AK", "HI"])
def test_settings_come_back_as_they_were_kept(tmp_path: Path, grid: str) -> None:
    tc = COMPOSITES["tc"]
    settings = Settings(
        "landsat-c2ard-sr", REGIONS[grid], (100, 7), (tc,), Stretch((0.1, 98), "project"), True
    )
    keep_settings(Folder(tmp_path), settings)
    assert Project(tmp_path).settings == settings
