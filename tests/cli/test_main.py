"""The command as a user meets it: exit codes, help, errors, and what it says at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.archive import SmallArchive
from timesync_xr import __version__
from timesync_xr.cli.main import GROUPS, main
from timesync_xr.grid import REGIONS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)


@pytest.fixture
def archive(tmp_path: Path) -> SmallArchive:
    """An archive of one observation, with a plot list."""
    archive = SmallArchive(tmp_path / "archive")
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    archive.write_items()
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    return archive


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def extract(archive: SmallArchive, *more: str) -> Result:
    place = archive.folder.parent
    return invoke(
        "extract", str(place / "plots.csv"), "--out", str(place / "out"),
        "--source", str(archive.folder / "items.json"), "--mirror", archive.mirror,
        "--chip-size", "5", "5", *more,
    )  # fmt: skip


def test_all_complete_is_exit_code_0_and_says_where_to_look(archive: SmallArchive) -> None:
    result = extract(archive)
    assert result.exit_code == 0, result.output
    assert "1 plot: 1 completed now, 0 already done, 0 incomplete" in result.output
    assert "1 observation: 1 written" in result.output
    assert str(archive.folder.parent / "out") in result.output
    again = extract(archive)
    assert again.exit_code == 0
    assert "0 completed now, 1 already done" in again.output


def test_some_incomplete_is_exit_code_1_with_cause_and_what_to_do(archive: SmallArchive) -> None:
    next(archive.folder.rglob("*swir16.TIF")).unlink()
    result = extract(archive)
    assert result.exit_code == 1
    assert "Incomplete: project 1211, plot 7" in result.output
    assert "LC08_CU_003009_20200701_20210504_02_SR swir16" in result.output
    assert "Run the same command again" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--products", "png,gif"], "'gif'"),
        (["--region", "EU"], "EU"),
        (["--datetime", "yesterday"], "yesterday"),
        (["--mirror", "x"], "OLD=NEW"),
        (["--workers", "0"], "1 or more"),
        (["--chip-size", "0", "5"], "0 x 5"),
        (["--prodcts", "png"], "--products"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_right(
    archive: SmallArchive, arguments: list[str], words: str
) -> None:
    result = extract(archive, *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (archive.folder.parent / "out").exists()


def test_wrong_plots_are_exit_code_2_with_all_lines(archive: SmallArchive) -> None:
    (archive.folder.parent / "plots.csv").write_text(
        "project_id,plot_id,x,y\np,../1,0,2000000\np,2,zero,2000000\n"
    )
    result = extract(archive)
    assert result.exit_code == 2
    assert "line 2" in result.output
    assert "line 3" in result.output


def test_missing_files_are_exit_code_2(archive: SmallArchive, tmp_path: Path) -> None:
    missing = invoke("extract", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out"))
    assert missing.exit_code == 2
    assert "none.csv" in missing.output
    nowhere = extract(archive, "--source", str(tmp_path / "none.json"))
    assert nowhere.exit_code == 2
    assert "none.json" in nowhere.output


@pytest.mark.parametrize("command", [[], ["extract"], ["sample"]])
def test_help_has_what_a_newcomer_needs(command: list[str]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "timesync-xr" in result.output.lower() or "usage" in result.output.lower()
    assert max(len(line) for line in result.output.splitlines()) <= 100


def test_commands_stand_in_groups_with_what_they_do() -> None:
    lines = invoke("--help").output.splitlines()
    for group, names in GROUPS.items():
        start = lines.index(f"{group}:") + 1
        told = [line.split(maxsplit=1) for line in lines[start : start + len(names)]]
        assert [name for name, _ in told] == list(names)
        assert all(text[0].isupper() and text.endswith(".") for _, text in told)


def test_version() -> None:
    assert __version__ in invoke("--version").output


@pytest.mark.deep
def test_sample_says_what_to_do_next(tmp_path: Path) -> None:
    result = invoke("sample", str(tmp_path / "demo"))
    assert result.exit_code == 0
    assert "timesync-xr extract" in result.output
    assert (tmp_path / "demo/plots.csv").is_file()


def test_import_is_light() -> None:
    """What needs seconds to import is imported where it is used."""
    heavy = "rasterio rioxarray stackstac pystac_client distributed rustac imagecodecs obstore"
    code = f"import sys, timesync_xr.cli; print([m for m in {heavy.split()!r} if m in sys.modules])"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "[]"
