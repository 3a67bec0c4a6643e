"""Contact sheets: each picture shows the project's own chips at the place of their year."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.handmade import Observation, write_project
from timesync_xr import Project
from timesync_xr.errors import InputError
from timesync_xr.view.sheet import contact_sheet, write_sheets

SIZE = 255
PLOT = pd.DataFrame({"project_id": ["1001"], "plot_id": ["2"]})


def chip(project: Path, composite: str, name: str) -> np.ndarray:
    with Image.open(project / f"prj_1001/{composite}/plot_2/plot_2_{name}.png") as image:
        return np.asarray(image)


@pytest.mark.deep
def test_chips_lie_in_the_order_of_years_and_composites(sample_project: Path) -> None:
    """In full size a chip is unchanged: each of 1996 is found pixel by pixel, in its place."""
    sheet = np.asarray(
        contact_sheet(sample_project, "1001", "2", size=SIZE, columns=4, composites=("b432", "tc"))
    )
    places = {}
    for composite in ("tc", "b432"):
        for name in ("1996_222", "1997_208"):
            wanted = chip(sample_project, composite, name)
            starts = np.argwhere((sheet[: -SIZE + 1, : -SIZE + 1] == wanted[0, 0]).all(axis=-1))
            (place,) = (
                (y, x)
                for y, x in starts.tolist()
                if (sheet[y : y + SIZE, x : x + SIZE] == wanted).all()
            )
            places[composite, name] = place
    (y, x) = places["b432", "1996_222"]  # 1996 is the 13th year: first of the fourth row of 4
    assert places["b432", "1997_208"] == (y, x + SIZE + 4)
    assert places["tc", "1996_222"] == (y + SIZE + 4, x)


@pytest.mark.deep
def test_the_title_tells_by_what_the_year_was_chosen(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", [Observation("1", "2", "2020-01-01")])
    titles = {
        np.asarray(contact_sheet(project, "1", "2", target_day=day, rule=rule))[:22, :400].tobytes()
        for rule, day in (("contract", 215), ("graded", 215), ("graded", 100))
    }
    assert len(titles) == 3, "the line above the chips"


@pytest.mark.deep
def test_years_without_choice_are_grey(sample_project: Path) -> None:
    years = Project(sample_project).annual(PLOT)
    sheet = np.asarray(contact_sheet(sample_project, "1001", "2", size=32, composites=("tc",)))
    grey = (sheet == (0xE4, 0xE5, 0xE7)).all(axis=-1).sum()
    assert grey == years["doy"].isna().sum() * 32 * 32


@pytest.mark.parametrize(
    ("form", "ending", "frames"),
    [("strip", "strip.png", 1), ("gif", "gif", 42), ("webp", "webp", 42)],
)
@pytest.mark.deep
def test_forms(sample_project: Path, tmp_path: Path, form: str, ending: str, frames: int) -> None:
    made = write_sheets(sample_project, tmp_path, plots=PLOT, form=form, size=24)
    assert made.files == [f"prj_1001_plot_2.{ending}"]
    with Image.open(tmp_path / made.files[0]) as image:
        assert getattr(image, "n_frames", 1) == frames
        if form == "strip":
            assert image.width > 42 * 28 > image.height


@pytest.mark.deep
def test_every_plot_gets_a_sheet(sample_project: Path, tmp_path: Path) -> None:
    made = write_sheets(sample_project, tmp_path, size=16)
    assert len(made.files) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(made.files)
    assert str(tmp_path) in str(made)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"form": "jpeg"}, "'jpeg'"),
        ({"composites": ("b543",)}, "'b543'"),
        ({"size": 5}, "5 pixels"),
    ],
)
def test_wrong_arguments_are_named(
    sample_project: Path, tmp_path: Path, wrong: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        write_sheets(sample_project, tmp_path / "out", **wrong)  # type: ignore[arg-type]


def test_unknown_plot_is_named(sample_project: Path) -> None:
    with pytest.raises(InputError, match="plot none of project 1001"):
        contact_sheet(sample_project, "1001", "none")
