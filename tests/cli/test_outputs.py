"""Standard output and error that are closed, full, or pipes that nobody reads."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.archive import BUCKET, SmallArchive
from tests.tally import shows
from timesync_xr.cli import outputs
from timesync_xr.grid import REGIONS

CALL = [sys.executable, "-c", "from timesync_xr.cli.main import run; run()"]
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def run(shell: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command whose outputs lead where the text for the shell says."""
    words = [*CALL, *map(str, arguments)]
    return subprocess.run(
        ["sh", "-c", f'"$@" {shell}', "sh", *words], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    archive.add("LC08", "2020-07-01T18:30:00Z")
    archive.write_items()
    x, y = REGIONS["CU"].center(3 * 5000 + 2500, 9 * 5000 + 2500)
    (archive.folder / "plots.csv").write_text(f"project_id,plot_id,x,y\np,7,{x},{y}\n")
    return archive


def extract_of(archive: SmallArchive, out: Path) -> list[object]:
    """A run of one plot, of which standard output hears at the end."""
    return ["extract", archive.folder / "plots.csv", "--out", out, "--source",
            archive.folder / "items.json", "--mirror", f"{BUCKET}={archive.folder}",
            "--chip-size", 9, 9]  # fmt: skip


@pytest.fixture
def extract(archive: SmallArchive, tmp_path: Path) -> list[object]:
    return extract_of(archive, tmp_path / "out")


@pytest.fixture(scope="module")
def project(archive: SmallArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("project") / "out"
    assert run("", *extract_of(archive, out)).returncode == 0
    return out


def complete(tmp_path: Path) -> bool:
    table = (tmp_path / "out/ledger/plots.csv").read_text()
    return ",complete," in table and bool([*(tmp_path / "out").rglob("*.png")])


@shows(["standard output closed or full", "standard error closed or full"], "run")
@pytest.mark.parametrize(
    "shell", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"]
)
@pytest.mark.deep
def test_telling_never_ends_the_work(extract: list[object], tmp_path: Path, shell: str) -> None:
    told = run(shell, *extract)
    assert told.returncode == 0, told
    assert "Traceback" not in told.stderr
    assert complete(tmp_path)
    if shell == ">/dev/full":
        assert "standard output can't be written to: No space left" in told.stderr
    # nothing that was told went into a file of the project
    texts = [p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert not [text for text in texts if b"plots," in text and b"obs" in text and b"\r" in text]


@pytest.mark.parametrize("shell", [">&-", ">/dev/full"])
@pytest.mark.deep
def test_a_table_that_can_not_be_told_is_an_error(project: Path, shell: str) -> None:
    """Where what is told is the work."""
    told = run(shell, "observations", project)
    assert told.returncode == 1
    assert told.stderr.startswith("timesync-xr: standard output can't be written: ")
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["observations", "{project}"]])
@pytest.mark.deep
def test_a_dead_pipe_ends_it_like_other_commands(project: Path, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [*CALL, *(word.format(project=project) for word in arguments)]
    told = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert told.returncode == -signal.SIGPIPE
    assert told.stderr == ""


@shows("a pipe that nobody reads", "run")
@pytest.mark.deep
def test_a_dead_pipe_for_the_progress_ends_a_run_that_can_go_on(
    extract: list[object], tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [*CALL, *map(str, extract)]
    told = subprocess.run(words, stdout=write, stderr=write, text=True, check=False)
    os.close(write)
    assert told.returncode == -signal.SIGPIPE
    assert run("", *extract).returncode == 0
    assert complete(tmp_path)
    assert not [*(tmp_path / "out/ledger/tmp").glob("*")]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_tables_in_pipes_are_utf_8_and_no_terminal_is_told_what_it_can_not_show(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where a file gets the system's own encoding else, and is an error half-way."""
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    text, plain, escaped = "Zürich 東京", "Zürich 東京".encode(), "Zürich \\u6771\\u4eac"
    shown = plain if encoding == "utf-8" else escaped.encode(encoding)
    for (reads, writes), wanted in ((os.pipe(), plain), (pty.openpty(), shown)):
        output, _ = outputs._wrapped(stream, writes, closed=False)
        output.write(text)
        output.flush()
        assert os.read(reads, 100) == wanted
        os.close(writes)
        os.close(reads)
