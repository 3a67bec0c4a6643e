"""What the pages and sheets show of a year, by either rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.archive import SmallArchive
from tests.strategies import CLEAR
from timesync_xr import Archive, Products, Project, browse, contact_sheet, extract, write_sheets
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS
from timesync_xr.view.site.records import INDEX_COLUMNS

X, Y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
SHADOW = 23888
GREEN = {"blue": 8000, "green": 9000, "red": 8500, "nir08": 18000, "swir16": 13000, "swir22": 10000}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A shadow on the target day of 2020, in which NBR falls; a clear day a month later."""
    folder = tmp_path_factory.mktemp("records")
    archive = SmallArchive(folder / "archive")
    dark = GREEN | {"nir08": 8500, "swir22": 9000}
    for day, values in (
        ("2019-08-03", GREEN | {"qa_pixel": CLEAR}),
        ("2020-08-02", dark | {"qa_pixel": SHADOW}),
        ("2020-09-03", GREEN | {"qa_pixel": CLEAR, "nir08": 17000}),
        ("2021-08-03", GREEN | {"qa_pixel": CLEAR, "nir08": 0}),
    ):
        archive.add("LC08", f"{day}T18:30:00.1Z", values=values)
    (folder / "plots.csv").write_text(f"project_id,plot_id,x,y\n1211,7,{X},{Y}\n")
    source = Archive(archive.write_items(), mirror=archive.mirror)
    made = Products(chip_size=(9, 9))
    extract(folder / "plots.csv", folder / "out", source, products=made, progress=False)
    return Project(folder / "out")


def record(path: Path) -> dict[str, object]:
    text = path.read_text()
    found: dict[str, object] = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    return found


@pytest.mark.parametrize(("rule", "gaps"), [("contract", 0), ("graded", 0)])
@pytest.mark.deep
def test_the_data_of_the_pages_have_the_choices_of_both_rules(
    project: Project, tmp_path: Path, rule: str, gaps: int
) -> None:
    site = Path(browse(project, tmp_path, rule=rule).out)
    (path,) = (p for p in site.rglob("*.js") if "receivePlot" in p.read_text()[:40])
    plot = record(path)
    assert plot["annual_by_rule"] == {"contract": [0, 1, 3], "graded": [0, 2, 3]}
    rows = plot["observations"]
    assert isinstance(rows, dict)
    assert rows["grade"] == [0, 3, 0, 9]
    assert rows["fmask"] == [0, 2, 0, 255]
    assert rows["strict_clear"] == [True, False, True, False]
    assert rows["outlier"] == [None] * 4, "too few to tell"
    (index,) = (p for p in site.rglob("*.js") if "receiveIndex" in p.read_text()[:40])
    told = record(index)
    assert (told["rule"], told["rules"]) == (rule, ["contract", "graded"])
    assert isinstance(told["plots"], list)
    facts = dict(zip(INDEX_COLUMNS, told["plots"][0], strict=True))
    assert facts["gaps"] == gaps
    assert facts["fall_year"] == 2020
    assert -0.1 < facts["fall"] < 0, "from clear to clear: that of the shadow would be 0.5"


@pytest.mark.deep
def test_sheets_show_the_choice_of_the_rule(project: Project, tmp_path: Path) -> None:
    by_rule = {
        rule: np.asarray(contact_sheet(project, "1211", "7", rule=rule))
        for rule in ("contract", "graded")
    }
    assert by_rule["contract"].tobytes() != by_rule["graded"].tobytes()
    from PIL import Image

    for rule, expected in by_rule.items():
        made = write_sheets(project, tmp_path / rule, rule=rule)
        with Image.open(tmp_path / rule / made.files[0]) as picture:
            assert (np.asarray(picture) == expected).all()


def test_an_unknown_rule_ends_before_anything_is_made(project: Project, tmp_path: Path) -> None:
    for call in (browse, write_sheets):
        with pytest.raises(InputError, match="contract, graded"):
            call(project, tmp_path / "made", rule="best")
    assert not (tmp_path / "made").exists()
