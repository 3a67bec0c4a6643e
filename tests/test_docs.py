"""The documentation is right: its code runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import re
import shlex
import shutil
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import click
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from click.testing import CliRunner

import timesync_xr as tx
from tests.scenes import BLOB, SceneArchive
from timesync_xr.cli.main import COMMANDS, main
from timesync_xr.grid import transformer
from timesync_xr.sample import SamplePaths

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in path.parts
)

NOT_RUN = {
    "sample": "the sample is there; tests/sample/test_sample.py makes it",
    "--scheduler": "it needs a cluster, which tests/run/test_cluster.py starts",
    "--scheduler-file": "the same",
    "interpret": "it serves until it is ended; tests/interpret/test_serve.py asks it",
    "--compare": "it searches catalogs far away; tests/run/test_comparison.py serves some",
    "--version": "it is run by tests/cli/test_main.py",
}
"""Commands of the pages that are only parsed, by a word of theirs, and why."""

STANDS_FOR = {
    "/data/ard": "demo",
    "/data/projects/3132": "3132",
}
"""Places that the pages speak of, and what lies in their place here."""

LANGUAGES = {"console", "python", "toml", "text", "{toctree}", "{eval-rst}", "{include}"}
"""What blocks may be; the first three are run, the others are no code."""

RESULTS = {
    "AnnualComposites", "ArchiveFiles", "Combined", "Comparison", "Exported", "Forecast", "Sheets",
    "Site", "Styles", "Summary",
}  # fmt: skip
"""Classes of what functions return, which nobody makes."""

FENCE = r"^```(\w+)\n(.*?)^```"
"""A block: its language and what is in it. One of ``python no-run`` is only compiled."""


def blocks(page: str, language: str) -> list[str]:
    """The code of a language on a page, in its order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def command_lines(page: str, block: str) -> list[list[str]]:
    """The command lines of a block, as words."""
    lines = block.replace("\\\n", " ").splitlines()
    for line in lines:
        assert line[:2] == "$ ", f"{page}: {line!r} is no command line"
    return [shlex.split(line[2:], comments=True) for line in lines]


def lines(page: str) -> list[list[str]]:
    """The command lines of a page, as words."""
    return [line for block in blocks(page, "console") for line in command_lines(page, block)]


def commands(page: str) -> list[list[str]]:
    """The lines of a page that call timesync-xr, as arguments."""
    return [line[1:] for line in lines(page) if line[0] == "timesync-xr"]


LONG = ("docs/tutorial.md", "docs/howto/cluster.md", "docs/howto/own-composite.md")
"""Pages that make whole projects."""
RUN_PAGES = [
    pytest.param(page, marks=[pytest.mark.deep] if page in LONG else [])
    for page in PAGES
    if blocks(page, "python") or blocks(page, "console")
]


@pytest.fixture(scope="module")
def ready(
    sample: SamplePaths, sample_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the pages speak of: the sample as ``demo``, and two of its plots as a ``project``."""
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(sample.folder, place / "demo", copy_function=os.link)
    shutil.copytree(sample_project, place / "demo/project", copy_function=os.link)
    shutil.copy(sample.items, place / "items.json")
    items = json.loads(sample.items.read_text())["features"]
    tx.write_items(items, place / "demo/items.parquet")
    pd.read_csv(sample.plots).head(2).to_csv(place / "plots.csv", index=False)
    scenes = SceneArchive(place / "scenes")
    for row, (lon, lat), zone in ((27, (7.65, 46.5), 32), (83, (18.6, -33.9), 34)):
        x, y = transformer("EPSG:4326", f"EPSG:{32600 + zone}").transform(lon, lat)
        scenes.add("LC08", "2020-07-01T10:10:00Z", (195, row, zone), (int(x), int(y)))
    scenes.write_items()
    scenes.write_plots((7.65, 46.5), (18.6, -33.9)).rename(place / "world.csv")
    everything = tx.Products("png,csv,zarr")
    made = place / "plots.csv", place / "project", archive(place)
    tx.extract(*made, products=everything, progress=False)
    return place


def archive(place: Path) -> tx.Archive:
    """The sample in the place of the real archive."""
    return tx.Archive(place / "items.json", mirror=f"s3://usgs-landsat-ard={place / 'demo'}")


@pytest.fixture
def demo(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `ready` to work in, in which nothing needs more than this process."""
    place = tmp_path / "here"
    shutil.copytree(ready, place, copy_function=os.link)
    for ledger in place.rglob("ledger/plots.csv"):  # the one file that is written in place
        content = ledger.read_bytes()
        ledger.unlink()
        ledger.write_bytes(content)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("page", RUN_PAGES)
@pytest.mark.deep
def test_page_runs(page: str, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and Python of a page in its order, with the sample for the real archive."""
    extract = tx.extract

    def extract_here(
        plots: str, out: str, given: tx.Archive | None = None, *what: Any, **options: Any
    ) -> tx.Summary:
        alone = options | {"workers": 1, "progress": False}
        return extract(plots, _here(out), given or archive(demo), *what, **alone)

    plt.switch_backend("agg")
    monkeypatch.setattr(tx, "extract", extract_here)
    if page == "docs/howto/new-region.md":
        _move_to_hawaii(demo)
    names: dict[str, object] = {"__name__": "__main__"}
    names["timesync_data_extraction"] = lambda **_: None  # that of USGS
    text = (ROOT / page).read_text(encoding="utf-8")
    for language, block in re.findall(FENCE, text, re.MULTILINE | re.DOTALL):
        if language == "python":
            exec(compile(block, page, "exec"), names)
        elif language == "toml":
            for name in ("timesync.toml", "styles.toml"):
                (demo / name).write_text(_here(block))
        elif language == "console":
            for line in command_lines(page, block):
                run_here(line)
    plt.close("all")


EXAMPLES = {
    name: inspect.getdoc(getattr(tx, name)) or ""
    for name in tx.__all__
    if callable(getattr(tx, name)) and name not in RESULTS
}
"""The docstrings of what users call."""


def example(name: str) -> str:
    """The code of an example in a docstring."""
    text = EXAMPLES[name].partition("Examples\n--------\n")[2]
    code = re.findall(r"^ {4}.*(?:\n(?: {4}.*|))*", text, re.MULTILINE)
    prompted = re.findall(r"^(?:>>>|\.\.\.) (.*)$", text, re.MULTILINE)
    return "\n".join(prompted or [textwrap.dedent(block) for block in code])


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_public_function_has_an_example_that_calls_it(name: str) -> None:
    tree = ast.parse(example(name))
    calls = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert f"tx.{name}" in calls or name in named


@pytest.mark.deep
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_docstrings_run(name: str, demo: Path) -> None:
    plt.switch_backend("agg")
    (begin,) = blocks("docs/reference/api.md", "python")
    names: dict[str, object] = {name: getattr(tx, name), "__name__": "__main__"}
    exec(compile(begin, "api.md", "exec"), names)
    with contextlib.chdir(demo):
        exec(compile(example(name), name, "exec"), names)
    plt.close("all")


def test_all_that_is_public_is_in_the_reference_once_and_in_its_tables() -> None:
    """A name has a row in a table of the overview, and its place on one page."""
    names = {name for name in tx.__all__ if callable(getattr(tx, name))}
    tables = blocks("docs/reference/api.md", "{eval-rst}")
    rows = re.findall(r"^   (\w+)$", "\n".join(tables), re.MULTILINE)
    assert sorted(rows) == sorted({*names, "indices"})
    pages = [page for page in PAGES if page.startswith("docs/reference/")]
    told = [
        name
        for page in pages
        for block in blocks(page, "{eval-rst}")
        for name in re.findall(r"^\.\. auto(?:class|function):: (\w+)$", block, re.MULTILINE)
    ]
    assert sorted(told) == sorted(names - {"TimesyncError"})  # that is among the errors


def _move_to_hawaii(place: Path) -> None:
    """A plot list of Hawaii, and items that claim to be of there, none of the plot's tile."""
    items = (place / "items.json").read_text().replace("_CU_", "_HI_").replace('"CU"', '"HI"')
    for name, text in (
        ("items.json", items),
        ("plots.csv", "project_id,plot_id,lon,lat\n1,1,-155.5,19.6\n"),
    ):
        (place / name).unlink()  # a link to what other pages use
        (place / name).write_text(text)


def run_here(line: list[str]) -> None:
    """Run a command, with the sample for the real archive unless it says another."""
    if line[0] != "timesync-xr" or any(word in NOT_RUN for word in line):
        return
    here = [_here(word) for word in line[1:]]
    if "--workers" in here:
        here[here.index("--workers") + 1] = "1"
    if "--config" in here:
        here += ["--workers", "1"]
    if free := [word for word in here if word in ("landsatlook-scenes", "planetary-computer")]:
        here[here.index(free[0])] = "scenes/items.json"  # what those catalogs have
        here += ["--mirror", f"{BLOB}=scenes"] * (here[0] == "extract")
    usual: dict[str, Any] = {"source": "items.json", "mirror": ["s3://usgs-landsat-ard=demo"]}
    result = CliRunner().invoke(main, here, default_map={"extract": usual, "plan": usual})
    without_items = "hawaii" in here  # see _move_to_hawaii
    assert result.exit_code == without_items, (line, result.output)
    assert ("Plots without any item: 1" in result.output) == without_items


def _here(text: str) -> str:
    for there, here in STANDS_FOR.items():
        text = text.replace(there, here)
    return text


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_left_out(page: str) -> None:
    """A block in a language that no test knows would be run by none."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fences = re.findall(r"^```(\S*)", text, re.MULTILINE)
    assert fences[1::2] == [""] * len(fences[1::2])
    assert set(fences[::2]) <= LANGUAGES
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in lines(page):
        assert line[0] == "timesync-xr" or (line[0] == "make" and line[1] in targets), line
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    for block in blocks(page, "python no-run"):
        compile(block, page, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(page: str) -> None:
    """Every line is parsed as the program would, but for files that have to be there."""
    for line in commands(page):
        name = next((word for word in line if word in COMMANDS), "")
        if not name:
            assert line[0] in {"--version", "--help"}, line
            continue
        command = main.get_command(click.Context(main), name)
        assert command
        for option in command.params:
            if isinstance(option.type, click.Path):
                option.type.exists = False
        command.make_context(name, line[line.index(name) + 1 :])


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_linked_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_page_on_architecture_names_what_is_there() -> None:
    """Its files exist, and its picture has every room of the package and no other."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    package = ROOT / "timesync_xr"
    for name in re.findall(r"`([\w/]+\.py|[\w/]+/[\w/]+)`", page):
        root = ROOT if name.startswith("tests/") else package
        assert (root / name).exists(), name
    rooms = {path.stem for path in package.iterdir()} - {"__init__", "__main__", "py"}
    (picture,) = blocks("docs/architecture.md", "text")
    assert rooms - set(re.findall(r"\w+", picture)) <= {"__pycache__"}


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs/index.md").read_text()
    listed = set(re.findall(r"^([\w/-]+)$", index, re.MULTILINE)) | {"index"}
    pages = {
        page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page[:5] == "docs/"
    }
    assert pages <= listed
