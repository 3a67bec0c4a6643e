"""Options of the whole command: quiet, config file, colours, tracebacks, misspelt words."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.archive import Archive
from timesync_xr.cli import COMMANDS, main
from timesync_xr.config_file import read_config
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an archive of one observation, a plot list, and a config file for both."""
    archive = Archive(tmp_path / "archive")
    archive.add("LC08", "2020-07-01T18:30:00.5Z")
    items = archive.write_items()
    (tmp_path / "plots.csv").write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    (tmp_path / "timesync.toml").write_text(
        f"""
        [extract]
        out = "{tmp_path / "out"}"
        source = "{items}"
        mirror = ["{archive.mirror}"]
        chip-size = [5, 5]
        products = ["csv"]
        """
    )
    return tmp_path


def test_config_file_stands_for_a_long_line(place: Path) -> None:
    result = invoke("--config", place / "timesync.toml", "extract", place / "plots.csv")
    assert result.exit_code == 0, result.output
    assert len(list((place / "out").glob("prj_1211/*.csv"))) == 1
    assert not list((place / "out").rglob("*.png"))


def test_what_stands_on_the_line_wins(place: Path) -> None:
    result = invoke(
        "--config", place / "timesync.toml", "extract", place / "plots.csv",
        "--out", place / "other", "--products", "png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert not (place / "out").exists()
    assert len(list((place / "other").rglob("*.png"))) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[extract", "no TOML"),
        ("[extrakt]\nout = 'x'", r"'extrakt' is no command \(did you mean 'extract'\?\)"),
        ("out = 'x'", "'out' is no command"),
        ("[extract]\nchipsize = [5, 5]", r"no option 'chipsize' \(did you mean 'chip-size'\?\)"),
    ],
)
def test_wrong_config_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    def command() -> click.Command:
        found = main.get_command(click.Context(main), "extract")
        assert found
        return found

    with pytest.raises(InputError, match=words):
        read_config(path, {"extract": command})
    result = invoke("--config", path, "sample", tmp_path / "demo")
    assert result.exit_code == 2
    assert "wrong.toml" in result.output


def test_quiet_says_nothing_where_all_is_well(place: Path) -> None:
    result = invoke("-q", "--config", place / "timesync.toml", "extract", place / "plots.csv")
    assert result.exit_code == 0
    assert result.output == ""


def test_quiet_still_tells_trouble(place: Path) -> None:
    next((place / "archive").rglob("*swir16.TIF")).unlink()
    result = invoke("-q", "--config", place / "timesync.toml", "extract", place / "plots.csv")
    assert result.exit_code == 1
    assert "Incomplete" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["extrct"], "'extrct' (did you mean 'extract'?)"),
        (["nothing-like-it"], "There is no command 'nothing-like-it'."),
        (["extract", "x.csv", "--prodcts", "png"], "--products"),
        (["extract", "{plots}", "--out", "x", "--products", "pgn"], "(did you mean 'png'?)"),
        (["sheet", "x", "--composites", "b742"], "(did you mean 'b743'?)"),
    ],
)
def test_misspelt_words_are_met_by_the_nearest(
    place: Path, arguments: list[str], words: str
) -> None:
    result = invoke(*(argument.format(plots=place / "plots.csv") for argument in arguments))
    assert result.exit_code == 2
    assert words in result.output


def test_traceback_only_when_asked(tmp_path: Path) -> None:
    line = ["extract", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]
    program = [sys.executable, "-m", "timesync_xr"]
    short = subprocess.run([*program, *line], check=False, capture_output=True, text=True)
    long = subprocess.run([*program, "--debug", *line], check=False, capture_output=True, text=True)
    assert short.returncode == long.returncode == 2
    assert "Traceback" not in short.stderr
    assert "Traceback" in long.stderr
    assert short.stderr.splitlines()[-1] == long.stderr.splitlines()[-1]


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_only_on_terminals_and_not_with_no_color(
    tmp_path: Path, environment: dict[str, str], coloured: bool
) -> None:
    line = [
        sys.executable,
        "-m",
        "timesync_xr",
        "extract",
        str(tmp_path / "none.csv"),
        "--out",
        "x",
    ]
    plain = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | environment
    piped = subprocess.run(line, check=False, capture_output=True, env=plain)
    assert b"\x1b[" not in piped.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(line, stderr=theirs, env=plain) as process:
        process.wait()
    os.close(theirs)
    shown = os.read(ours, 10_000)
    os.close(ours)
    assert b"none.csv" in shown
    assert (b"\x1b[31m" in shown) == coloured


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_of_itself(command: str) -> None:
    text = invoke(command, "--help").output
    assert f"timesync-xr {command} " in text.partition("Example")[2]
