"""Legends: V3's is the default; a user's own is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from timesync_xr.errors import InputError
from timesync_xr.interpret.legend import BUILT_IN, legend_from, read_legend


def test_default_is_the_legend_of_v3() -> None:
    legend = read_legend()
    assert [label.name for label in legend.landuse] == [
        "Forest", "Developed", "Agriculture", "Non-forest Wetland", "Rangeland", "Other",
    ]  # fmt: skip
    assert {label.name for label in legend.landcover} == {
        "Trees", "Shrubs", "Grass/forb/herb", "Impervious", "Natural/barren", "Snow/ice", "Water",
    }  # fmt: skip
    notes = {label.name: set(label.notes) for label in legend.process}
    assert notes["Harvest"] == {"Clearcut", "Thinning", "Site-prep fire", "Airphoto only"}
    assert all("Airphoto only" in one for one in notes.values())
    assert len(notes) == 10


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_legend_is_the_same_read_again(name: str) -> None:
    legend = read_legend(name)
    again = legend_from(legend.to_json(), "again")
    assert again == legend
    assert again.digest == legend.digest


def test_digests_tell_legends_apart() -> None:
    assert read_legend("v3").digest != read_legend("lcmap").digest


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "Mine"\n[[landuse]]\nname = "Wald"\nnotes = ["nass"]\n'
        '[[landcover]]\nname = "Bäume"\n[[process]]\nname = "Feuer"\n'
    )
    legend = read_legend(path)
    assert legend.landuse[0].notes == ("nass",)
    assert legend.landcover[0].name == "Bäume"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"landuse": []}, "has no landuse"),
        ({"landuses": []}, "did you mean 'landuse'"),
        ({"process": [{"name": "=1+1"}]}, "spreadsheets calculate"),
        ({"process": [{"name": "a|b"}]}, "separates notes"),
        ({"process": [{"name": "Fire"}, {"name": "Fire"}]}, "there twice"),
        ({"process": [{"name": "Fire", "notes": ["x", "x"]}]}, "there twice"),
        ({"process": [{"name": "Fire", "note": ["x"]}]}, "give a name"),
        ({"process": [{"name": "Fire", "notes": "x"}]}, "no list"),
        ({"process": [{"name": " Fire"}]}, "a blank"),
        ({"process": [{"name": "a\nb"}]}, "can't be printed"),
        ({"process": [{"name": str(n)} for n in range(40)]}, "35 have a key"),
        ({"name": ""}, "name is missing"),
    ],
)
def test_what_is_wrong_is_told(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words.replace("|", "\\|")):
        legend_from(read_legend().to_json() | change, "mine.toml")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no legend lcmaps .did you mean 'lcmap'"):
        read_legend("lcmaps")
    (tmp_path / "x.toml").write_text("name = ")
    with pytest.raises(InputError, match="is not TOML"):
        read_legend(tmp_path / "x.toml")
