"""The documentation is right: its code runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import click
import matplotlib.pyplot as plt
import pytest
from click.testing import CliRunner

from timesync_xr.cli import COMMANDS, main
from timesync_xr.sample import SamplePaths

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in path.parts
)

RUN_PYTHON = ("README.md", "docs/tutorial.md", *(f"docs/howto/{name}.md" for name in (
    "choose-observations", "look", "new-region", "own-composite",
)))  # fmt: skip
"""Pages whose Python is run from top to bottom, beside the sample and its project in ``demo``."""

RUN_COMMANDS = ("docs/tutorial.md",)
"""Pages whose commands are run, but for ``sample``: what it writes is there already."""


def blocks(page: str, language: str) -> list[str]:
    """The code of a language on a page, in its order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The lines of a page that call timesync-xr, as arguments."""
    lines = []
    for block in blocks(page, "console"):
        joined = block.replace("\\\n", " ")
        lines += [
            shlex.split(line[2:], comments=True) for line in joined.splitlines() if line[:2] == "$ "
        ]
    return [line[1:] for line in lines if line[0] == "timesync-xr"]


@pytest.fixture(scope="module")
def demo(
    sample: SamplePaths, sample_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder that holds the sample as ``demo``, with its project."""
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(sample.folder, place / "demo", copy_function=os.link)
    shutil.copytree(sample_project, place / "demo/project", copy_function=os.link)
    return place


@pytest.mark.parametrize("page", RUN_PYTHON)
def test_python_runs(page: str, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    plt.switch_backend("agg")
    names: dict[str, object] = {}
    code = blocks(page, "python")
    assert code
    for block in code:
        exec(compile(block, page, "exec"), names)
    plt.close("all")


@pytest.mark.parametrize("page", PAGES)
def test_python_is_python(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")


@pytest.mark.parametrize("page", RUN_COMMANDS)
def test_commands_run(page: str, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    for line in commands(page):
        if line[0] == "sample":
            continue
        result = CliRunner().invoke(main, line)
        assert result.exit_code == 0, (line, result.output)


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


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs/index.md").read_text()
    listed = set(re.findall(r"^([\w/-]+)$", index, re.MULTILINE)) | {"index"}
    pages = {
        page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page[:5] == "docs/"
    }
    assert pages <= listed
