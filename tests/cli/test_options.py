"""Options of the whole command: quiet, config file, colours, tracebacks, misspelt words."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.archive import SmallArchive
from tests.interpret.making import start
from tests.servers import file_server
from timesync_xr import Products, Project, search_items
from timesync_xr.cli.config import read_config
from timesync_xr.cli.main import COMMANDS, main
from timesync_xr.errors import InputError
from timesync_xr.grid import REGIONS
from timesync_xr.interpret.store import Store
from timesync_xr.sample import SamplePaths

INSIDE = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an archive of one observation, a plot list, and a config file for both."""
    archive = SmallArchive(tmp_path / "archive")
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
        ("[answers.exprt]\nformat = 'v3'", r"no option 'exprt' \(did you mean 'export'\?\)"),
        ("[answers.export]\nfromat = 'v3'", r"\[answers.export\] has no option 'fromat'"),
        ("[extract]\nchip-size = 255", "chip-size = 255 must be a list of 2 values"),
    ],
)
def test_wrong_config_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    def command(name: str) -> click.Command:
        found = main.get_command(click.Context(main), name)
        assert found
        return found

    with pytest.raises(InputError, match=words):
        read_config(path, {name: partial(command, name) for name in ("extract", "answers")})
    result = invoke("--config", path, "sample", tmp_path / "demo")
    assert result.exit_code == 2
    assert "wrong.toml" in result.output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of two clear days, their cube, an answer, and all that made it."""
    place = tmp_path_factory.mktemp("options")
    archive = SmallArchive(place / "archive")
    dark = dict.fromkeys(("blue", "green", "red", "nir08", "swir16", "swir22"), 9000)
    archive.add("LC08", "2020-07-01T18:30:00.5Z", values=dark | {"qa_pixel": 21824})
    archive.add("LE07", "2020-07-02T18:30:00.5Z", values=dark | {"qa_pixel": 5440})
    archive.write_items()
    (place / "plots.csv").write_text(f"project_id,plot_id,x,y\n1211,7,{INSIDE[0]},{INSIDE[1]}\n")
    result = invoke(
        "extract", place / "plots.csv", "--out", place / "project", "--chip-size", 255, 255,
        "--products", "png,csv,zarr", "--source", place / "archive/items.json",
        "--mirror", archive.mirror,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    Store(Project(str(place / "project"))).append([start(project="1211", plot="7")])
    return place


LINES = {
    "plan": "{place}/plots.csv --source {place}/archive/items.json --table {out}/plan.csv",
    "extract": "{place}/plots.csv --source {place}/archive/items.json --out {out} "
    "--mirror s3://usgs-landsat-ard={place}/archive --products csv",
    "render": "{place}/project --out {out} --composites b543",
    "verify": "{place}/project",
    "combine": "{place}/project --out {out}",
    "observations": "{place}/project --out {out}/o.csv",
    "annual": "{place}/project --out {out}/a.csv",
    "window": "{place}/project --out {out}/w.csv",
    "export": "{place}/project --format kml --out {out}",
    "packets": "{place}/plots.csv --out {out}",
    "browse": "{place}/project --out {out}",
    "sheet": "{place}/project --out {out}",
    "density": "{place}/project --out {out}/d.csv",
    "offsets": "{place}/project --out {out}/f.csv",
    "composite": "{place}/project --out {out}",
    "answers export": "{place}/project --format csv --out {out}",
    "sample": "{out}",
}
"""A line of each command for `project`, where all is well."""
QUICK = [name for name in LINES if name != "sample"]


def test_each_command_has_a_line() -> None:
    assert {name.split()[0] for name in LINES} == set(COMMANDS) - {"interpret"}


def line_of(command: str, place: Path, out: Path) -> list[str]:
    out.mkdir(exist_ok=True)
    return LINES[command].format(place=place, out=out).split()


@pytest.mark.parametrize(
    ("command", "before"),
    [
        *((name, True) for name in QUICK),
        *((name, False) for name in QUICK),
        pytest.param("sample", True, marks=pytest.mark.deep),
    ],
)
@pytest.mark.cases(6)
def test_quiet_says_nothing_where_all_is_well(
    project: Path, tmp_path: Path, command: str, before: bool
) -> None:
    """Before the command or after it; without it something is said."""
    line = [*command.split(), *line_of(command, project, tmp_path / "out")]
    result = invoke("-q", *line) if before else invoke(*line, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    assert command == "verify" or any((tmp_path / "out").iterdir())
    if command != "sample":
        assert invoke(*line).output


SAID = {
    "extract": "made project 1211, plot 7: complete, 2 observations, 2 written",
    "plan": "h03v09: searching",
    "render": "made project 1211, plot 7",
    "verify": "checking project 1211, plot 7",
    **dict.fromkeys(("combine", "annual", "browse", "sheet"), "reading project 1211, plot 7"),
}
"""What a command tells of its work with --verbose."""


@pytest.mark.parametrize("command", SAID)
@pytest.mark.deep
def test_verbose_tells_each_plot(project: Path, tmp_path: Path, command: str) -> None:
    program = [sys.executable, "-m", "timesync_xr"]
    line = [command, *line_of(command, project, tmp_path / "out"), "--verbose"]
    loud = subprocess.run([*program, *line], check=True, capture_output=True, text=True)
    assert SAID[command] in loud.stderr
    again = [command, *line_of(command, project, tmp_path / "again")]
    usual = subprocess.run([*program, *again], check=True, capture_output=True, text=True)
    assert SAID[command] not in usual.stderr


@pytest.mark.deep
def test_verbose_tells_requests(project: Path, tmp_path: Path) -> None:
    """The archive over HTTP: every object that is asked for is named."""
    with file_server(project / "archive") as port:
        address = f"http://127.0.0.1:{port}"
        run = subprocess.run(
            [
                sys.executable, "-m", "timesync_xr", "-v", "extract", str(project / "plots.csv"),
                "--out", str(tmp_path / "out"), "--source", str(project / "archive/items.json"),
                "--mirror", f"s3://usgs-landsat-ard={address}",
            ],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    asked = {line for line in run.stderr.splitlines() if f"asking for {address}" in line}
    files = {line.rpartition("/")[2] for line in asked}
    assert files == {path.name for path in (project / "archive").rglob("*.TIF")}


@pytest.mark.parametrize("command", [*QUICK, pytest.param("sample", marks=pytest.mark.deep)])
@pytest.mark.cases(6)
def test_config_holds_the_options_of_any_command(
    project: Path, tmp_path: Path, command: str
) -> None:
    """Every option of a line may stand in the file; what stands on the line wins."""
    first, *options = line_of(command, project, tmp_path / "out")
    pairs = {name[2:]: value for name, value in zip(options[::2], options[1::2], strict=True)}
    lists = {key: [value] if key == "mirror" else value for key, value in pairs.items()}
    rows = [f"{key} = {value!r}" for key, value in lists.items()]
    config = tmp_path / "timesync.toml"
    table = command.replace(" ", ".")
    config.write_text("\n".join([f"[{table}]", "quiet = true", *rows]))
    result = invoke(*command.split(), first, "--config", config)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    if "out" in pairs:
        other = tmp_path / "other"
        other.mkdir()
        there = pairs["out"].replace(str(tmp_path / "out"), str(other))
        line = [*command.split(), first, "--out", there]
        assert invoke("--config", config, *line).exit_code == 0
        assert any(other.iterdir())


def test_quiet_still_tells_trouble(place: Path) -> None:
    next((place / "archive").rglob("*swir16.TIF")).unlink()
    result = invoke("-q", "--config", place / "timesync.toml", "extract", place / "plots.csv")
    assert result.exit_code == 1
    assert "Incomplete" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["extrct"], "'extrct' (did you mean 'extract'?)"),
        (["nothing-like-it"], "no command 'nothing-like-it': choose from plan, extract"),
        (["extract", "x.csv", "--prodcts", "png"], "--products"),
        (["extract", "{plots}", "--out", "x", "--products", "pgn"], "(did you mean 'png'?)"),
        (["render", "x", "--out", "y", "--composites", "b742"], "(did you mean 'b743'?)"),
        (["extract", "x", "--out", "x", "--sensors", "lc8"], "(did you mean 'LC08'?)"),
        (["extract", "x", "--out", "x", "--sorce", "y"], "'--source'"),
        (["extract", "{plots}", "--out", "x", "--source", "landsatlok"], "mean 'landsatlook'?)"),
        (["extract", "{plots}", "--out", "x", "--sensors", "landsat8"], "(did you mean 'LC08'?)"),
        (["extract", "{plots}", "--out", "x", "--products", "cube"], "(did you mean 'zarr'?)"),
        (["render", "x", "--out", "y", "--composites", "rgb"], "(did you mean 'b321'?)"),
        (["answers", "exprot", "x"], "There is no command 'exprot' (did you mean 'export'?)."),
        (["answers", "x"], "There is no command 'x': choose from compare, export, import, merge."),
    ],
)
@pytest.mark.cases(6)
def test_misspelt_words_are_met_by_the_nearest(
    place: Path, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the output may begin before the slip is seen
    result = invoke(*(argument.format(plots=place / "plots.csv") for argument in arguments))
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.deep
def test_traceback_only_when_asked(tmp_path: Path) -> None:
    line = ["extract", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]
    program = [sys.executable, "-m", "timesync_xr"]
    short = subprocess.run([*program, *line], check=False, capture_output=True, text=True)
    long = subprocess.run([*program, "--debug", *line], check=False, capture_output=True, text=True)
    assert short.returncode == long.returncode == 2
    assert "Traceback" not in short.stderr
    assert "Traceback" in long.stderr
    assert short.stderr.splitlines()[-1] == long.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["render", "{none}", "--out", "{none}2"], 2, "has no ledger"),
        (["plan", "{plots}", "--source", "{items}", "--table", "{none}/x.csv"], 1, "none"),
        (["browse", "{plots}"], 2, "has no ledger"),
    ],
)
def test_no_error_is_a_traceback(
    project: Path, tmp_path: Path, line: list[str], code: int, words: str
) -> None:
    names = {
        "none": tmp_path / "none",
        "plots": project / "plots.csv",
        "items": project / "archive/items.json",
    }
    result = invoke(*(part.format(**names) for part in line))
    assert result.exit_code == code, result.output
    assert words in result.output
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) == 1


def test_what_nobody_foresaw_is_told_in_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("timesync_xr.view.site.browse", broken)
    result = invoke("browse", project / "project")
    assert result.exit_code == 1
    assert "unexpected KeyError" in result.output
    assert "--debug" in result.output
    assert "Traceback" not in result.output
    assert "Traceback" in invoke("--debug", "browse", project / "project").output


def test_regions_may_be_written_small(project: Path, tmp_path: Path) -> None:
    place, items = project, project / "archive/items.json"
    result = invoke("plan", place / "plots.csv", "--source", items, "--region", "cu")
    assert result.exit_code == 0, result.output


def test_one_value_stands_for_a_list_of_it(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[extract]\nmirror = 's3://a=b'\nproducts = ['png', 'csv']")
    found = main.get_command(click.Context(main), "extract")
    assert found
    options = read_config(tmp_path / "one.toml", {"extract": lambda: found})["extract"]
    assert options["products"] == "png,csv"
    assert options["mirror"] == ["s3://a=b"]


def test_help_shows_every_command_in_a_whole_line() -> None:
    assert "..." not in invoke("--help").output.partition("Commands:")[2]


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(name, marks=pytest.mark.deep) for name in ("zsh", "fish"))]
)
@pytest.mark.deep
def test_shell_completion_of_commands_and_options(shell: str) -> None:
    """The scripts of docs/howto/install.md ask the program like this."""
    program = [sys.executable, "-c", "from timesync_xr.cli.main import run; run()"]
    variable = {"_TIMESYNC_XR_COMPLETE": f"{shell}_source"}
    script = subprocess.run(
        program, env=os.environ | variable, check=False, capture_output=True, text=True
    )
    assert "timesync_xr" in script.stdout
    for words, last, found in (
        ("timesync-xr br", "br", "browse"),
        ("timesync-xr sheet --fo", "--fo", "--form"),
        ("timesync-xr sheet --form ", "", "strip"),
        ("timesync-xr browse de", "de", "file"),
        ("timesync-xr sheet demo --out si", "si", "file"),
    ):
        asked = {
            "_TIMESYNC_XR_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": last if shell == "fish" else str(len(words.split(" ")) - 1),
        }
        made = subprocess.run(
            program, env=os.environ | asked, check=False, capture_output=True, text=True
        )
        assert found in made.stdout


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
@pytest.mark.deep
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


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (["extract", "p.csv", "--out", "o", "--region", "CONUS"], "'CU'"),
        (["plan", "p.csv", "--region", "alaska"], "'AK'"),
        (["export", "p", "--format", "shp"], "'gpkg'"),
        (["export", "p", "--format", "sqlit"], "'sqlite'"),
        (["packets", "p", "--out", "o", "--files", "links"], "'link'"),
        (["export", "p", "--format", "tiff"], "'geotiff'"),
        (["export", "p", "--format", "nc"], "'netcdf'"),
        (["answers", "export", "p", "--format", "shapefile"], "'gpkg'"),
    ],
)
def test_a_choice_that_is_none_is_met_by_the_one_that_was_meant(
    command: list[str], meant: str
) -> None:
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert f"did you mean {meant}?" in result.output


def test_python_gets_the_same_hint() -> None:
    for make in (lambda: Products(grid="CONUS"), lambda: search_items([(3, 9)], grid="conus")):
        with pytest.raises(InputError, match="did you mean 'CU'"):
            make()


def options_of_all() -> Iterator[tuple[str, click.Parameter]]:
    """Every option and argument, with the words of its command."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command
        parts = command.commands if isinstance(command, click.Group) else {"": command}
        for part, each in parts.items():
            yield from ((f"{name} {part}".strip(), option) for option in each.params)


def test_every_choice_of_a_word_meets_a_slip() -> None:
    """Whatever command and option: one letter too many is met by the word."""
    tried = 0
    for _, option in options_of_all():
        if not isinstance(option.type, click.Choice):
            continue
        for word in map(str, option.type.choices):
            hint = rf"did you mean '{word}'\?\): choose from {', '.join(option.type.choices)}$"
            with pytest.raises(click.BadParameter, match=hint):
                option.type.convert(f"{word}x", option, None)
            tried += 1
    assert tried > 30


SLIPS = {
    "--grid": ("CONUS", "did you mean 'CU'?): choose one of CU, AK, HI"),
    "--source": ("landsatlok", "did you mean 'landsatlook'?): give landsatlook, "),
    "--fallback": ("landsatlok", "did you mean 'landsatlook'?); give landsatlook"),
    "--products": ("pngs", "did you mean 'png'?): choose from png, csv, spectra"),
    "--sensors": ("L8", "did you mean 'LC08'?): choose from LT04, LT05, LE07, LC08, LC09"),
    "--tier": ("T3", "there are no tiers T3: give T1, T2, or T1,T2"),
    "--index": ("nbrr", "did you mean 'nbr'?): choose from ndvi, nbr, "),
    "--offsets": ("roy2016", "did you mean 'roy2016-rma'?): give own, or choose from "),
    "--composites": ("tcc", "did you mean 'tc'?): choose from tc, b743, b432"),
    "--stretch": ("plots", "did you mean 'plot'?): choose from fixed, plot, project"),
    "--legend": ("lcmaps", "did you mean 'lcmap'?): give a TOML file, or one of v3, lcmap"),
    "--judge": ("an", "did you mean 'ann'?): there are those of ann"),
}
"""Options that take words of a list which stands elsewhere: a slip, and what is told then."""

FREE = {
    "--mirror", "--datetime", "--season", "--title", "--as", "--out-profile", "--out-endpoint",
    "--out-aws-region", "--profile", "--endpoint", "--aws-region", "--scheduler",
    "--scheduler-file", "--server-project", "--project-id",
}  # fmt: skip
"""Options whose values are the user's own."""

OF_FORMAT = {"--composites": "png", "--offsets": "series"}
"""Options of export that another format takes than that of its line."""


def texts_of() -> list[tuple[str, str]]:
    """Every option that takes text, with its command."""
    return [
        (command, option.opts[0])
        for command, option in options_of_all()
        if isinstance(option, click.Option)
        and not option.is_flag
        and (isinstance(option.type, click.types.StringParamType) or option.type.name == "GRID")
    ]


@pytest.mark.parametrize(
    ("command", "option"),
    [(name, option) for name, option in texts_of() if option not in FREE and name != "verify"],
)
def test_every_word_of_a_list_meets_a_slip(
    project: Path, tmp_path: Path, command: str, option: str
) -> None:
    """A new option needs a slip here, or is the user's own; verify asks its source seldom."""
    slip, told = SLIPS[option]
    lines = {
        "interpret": f"interpret {project}/project --as ben --no-open",
        "answers import": f"answers import {project}/project {project}/plots.csv",
    }
    line = lines.get(command, "").split()
    line = line or [*command.split(), *line_of(command, project, tmp_path / "out")]
    if command == "export" and option in OF_FORMAT:
        line[line.index("--format") + 1] = OF_FORMAT[option]
    if option == "--fallback":
        line += ["--mirror", f"s3://usgs-landsat-ard={project}/archive"]
    result = invoke(*line, option, slip)
    assert result.exit_code == 2, result.output
    assert told in result.output


def test_help_tells_common_options_first_and_every_option_once() -> None:
    text = CliRunner().invoke(main, ["extract", "--help"]).output
    sections = re.split(r"^(\S.*):$", text.partition("\nOptions:\n")[2], flags=re.MULTILINE)
    common, titles = sections[0], sections[1::2]
    first = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", common, re.MULTILINE)
    assert first == ["--out", "--source", "--mirror", "--datetime", "--products",
                     "--chips-per-year", "--all-rows", "--workers"]  # fmt: skip
    assert titles == ["Which observations", "Which observation of a year", "Grid and chips",
                      "A project that is there already", "How the archive is reached",
                      "Output in a bucket", "On a cluster", "Of every command"]  # fmt: skip
    command = main.get_command(click.Context(main), "extract")
    assert command
    for option in command.params:
        if isinstance(option, click.Option):
            assert len(re.findall(rf"^  .*{option.opts[0]}\b", text, re.MULTILINE)) >= 1
    told = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", "".join(sections), re.MULTILINE)
    assert len(told) == len(set(told))
    assert {o.opts[0] for o in command.params if isinstance(o, click.Option)} - set(told) <= {
        "-q", "-v"}  # fmt: skip


@pytest.mark.parametrize(
    "option", ["--source", "--mirror", "--fallback", "--endpoint", "--out", "--out-endpoint"]
)
@pytest.mark.parametrize("address", ["ftp://me:hunter2@h/x?token=hunter2", "http://h`/?k=hunter2"])
def test_an_address_where_none_belongs_shows_no_secret(
    sample: SamplePaths, tmp_path: Path, option: str, address: str
) -> None:
    """Also a mirror without OLD=, whose "=" is that of a query."""
    options = {"--out": str(tmp_path / "out"), "--source": str(sample.items)} | {option: address}
    words = [word for pair in options.items() for word in pair]
    result = invoke("extract", sample.plots, *words, "--datetime", "1996-07")
    assert result.exit_code == 2, result.output
    assert "hunter2" not in result.output


def test_an_option_of_another_command_is_met_by_its_name(tmp_path: Path) -> None:
    words = ["extract", "plots.csv", "--out", str(tmp_path / "out"), "--composites", "b321"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "extract has no option --composites: render, composite, export, sheet have it" in (
        " ".join(result.stderr.split())
    )
    result = CliRunner().invoke(main, ["plan", "plots.csv", "--mirror", "a=b"])
    assert "plan has no option --mirror: extract, verify have it." in result.stderr
    result = CliRunner().invoke(main, ["annual", "project", "--chips-per-year", "1"])
    assert "annual has no option --chips-per-year: extract has it." in result.stderr
    result = CliRunner().invoke(main, [*words[:4], "--refesh"])
    assert "No such option" in result.stderr  # as click has it, with what is near
    assert "--refresh" in result.stderr
