"""Faults between the tool and the STAC API, the archive and the disk, and runs that are stopped.

What they show of docs/reliability.md is marked; the rest of that table is shown in tests/services.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import IO, Any

import pandas as pd
import psutil  # type: ignore[import-untyped]
import pytest

from tests import faults
from tests.archive import BUCKET, SmallArchive, as_read_anywhere
from tests.faults import PASSING, Fault, Proxy, Request, first, status
from tests.servers import file_server, stac_server
from tests.strategies import share
from tests.tally import counts, shows
from timesync_xr import Archive, Products, Project, Summary, extract
from timesync_xr.catalog import stac as transport
from timesync_xr.catalog.kept import SEARCHES
from timesync_xr.catalog.stac import Patience
from timesync_xr.errors import AccessError, CatalogError
from timesync_xr.grid import REGIONS
from timesync_xr.project.ledger import failures_of
from timesync_xr.raster import reader
from timesync_xr.raster.tiff import FIRST_READ
from timesync_xr.run.extract import PLOTS
from timesync_xr.storage import objects
from timesync_xr.storage.access import S3
from timesync_xr.storage.folder import Folder

CU = REGIONS["CU"]
INSIDE = CU.center(3 * 5000 + 2500, 9 * 5000 + 2500)
ELSEWHERE = CU.center(4 * 5000 + 2500, 10 * 5000 + 2500)
NOON = "T18:30:00.1234567Z"
QUICK = S3(max_retries=5, retry_seconds=10.0, timeout_seconds=1.0)
PATIENCE = Patience(tries=4, backoff=0.01, longest_wait=0.2, timeout=0.3, deadline=0.5)


@dataclass
class Services:
    """An archive behind proxies, the plots that lie in it, and what a run without faults makes."""

    archive: SmallArchive
    api: Proxy
    """Way to the STAC API."""
    source: Proxy
    """Way to the archive's files."""
    plots: Path
    whole: dict[str, bytes]

    def run(self, out: Path, **options: Any) -> Summary:
        """Run over the API and the files behind the proxies, or over another ``Archive``'s."""
        settings = {"items": self.api.url, "mirror": f"{BUCKET}={self.source.url}", "s3": QUICK}
        return run(self.plots, out, **settings | options)


def run(plots: Path, out: Path, *, workers: Any = 1, **archive: Any) -> Summary:
    products = Products(chip_size=(9, 9))
    source = Archive(**archive)
    return extract(plots, out, source, products=products, workers=workers, progress=False)


def contents(out: Path) -> dict[str, bytes]:
    """Files of the contract, and the accounts and the table of the ledger."""
    kept = ("prj_", "ledger/observations/", "ledger/plots.csv")
    paths = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: as_read_anywhere(path) for name, path in paths.items() if name.startswith(kept)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    archive = SmallArchive(tmp_path_factory.mktemp("archive"))
    for month in range(1, 6):
        archive.add("LC08", f"2020-{month:02d}-01{NOON}")
        archive.add("LC08", f"2020-{month:02d}-01{NOON}", (4, 10))
    archive.write_items()
    return archive


@pytest.fixture(scope="module")
def plots(archive: SmallArchive) -> Path:
    path = archive.folder / "plots.csv"
    path.write_text(
        "project_id,plot_id,x,y\n"
        f"1211,7,{INSIDE[0]},{INSIDE[1]}\n1211,8,{INSIDE[0] + 900},{INSIDE[1]}\n"
        f"1211,9,{ELSEWHERE[0]},{ELSEWHERE[1]}\n"
    )
    return path


@pytest.fixture(scope="module")
def whole(
    archive: SmallArchive, plots: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    items = str(archive.folder / "items.json")
    assert run(plots, out, items=items, mirror=archive.mirror).complete
    return contents(out)


@pytest.fixture
def services(
    archive: SmallArchive, plots: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    monkeypatch.setattr(transport, "Patience", lambda: PATIENCE)
    reader.reset()  # ports come again: nothing may be left of another server's files
    objects._healths.clear()
    with ExitStack() as stack:
        api, source = (
            stack.enter_context(Proxy(stack.enter_context(server)))
            for server in (stac_server(archive.items), file_server(archive.folder))
        )
        yield Services(archive, api, source, plots, whole)


@shows(PASSING, "STAC API", "archive")
@shows("corrupt bytes", "STAC API")
@pytest.mark.parametrize(
    ("name", "where"),
    [
        *product(PASSING, ["source"]),
        *(pytest.param(name, "api", marks=pytest.mark.deep) for name in PASSING),
        ("corrupt bytes", "api"),
    ],
)
@pytest.mark.cases(1)
def test_faults_that_pass_are_waited_out(
    services: Services, tmp_path: Path, name: str, where: str
) -> None:
    proxy: Proxy = getattr(services, where)
    proxy.rule = first(2, PASSING[name]() if name in PASSING else faults.Corrupt())
    summary = services.run(tmp_path)
    assert summary.complete, summary
    assert contents(tmp_path) == services.whole
    assert len(proxy.spoilt) == 2


@shows("a fault that stays", "STAC API")
@pytest.mark.parametrize(
    "name", ["503 with Retry-After", "connection reset", "stalled body", "slow trickle"]
)
@pytest.mark.deep
def test_an_api_that_keeps_failing_ends_the_run_with_one_message(
    services: Services, tmp_path: Path, name: str
) -> None:
    services.api.rule = lambda _: PASSING[name]()
    with pytest.raises((AccessError, CatalogError), match=r"4 times.*(later|network)"):
        services.run(tmp_path)
    assert len(services.api.requests) <= 2 * PATIENCE.tries  # two tiles are searched at a time
    assert not services.source.requests
    services.api.rule = lambda _: None
    assert services.run(tmp_path).complete
    assert contents(tmp_path) == services.whole


def quiet(proxy: Proxy) -> None:
    """Wait for the requests of a run that has ended, which nobody waits for."""
    seen = -1
    while seen != len(proxy.requests):
        seen = len(proxy.requests)
        time.sleep(1.0)


@shows("a fault that stays", "one asset")
@pytest.mark.parametrize("name", ["503", "connection reset", "stalled body", "wrong length"])
@pytest.mark.deep
def test_an_archive_that_keeps_failing_for_one_file_costs_one_observation(
    services: Services, tmp_path: Path, name: str
) -> None:
    def rule(request: Request) -> Fault | None:
        return PASSING[name]() if "003009_20200301" in request.path else None

    services.source.rule = rule
    assert not services.run(tmp_path, s3=replace(QUICK, max_retries=1)).complete
    ledger = Project(str(tmp_path)).plots.set_index("plot_id")
    assert ledger["failed"].tolist() == [1, 1, 0]
    assert ledger["status"].tolist() == ["incomplete", "incomplete", "complete"]
    account = Project(str(tmp_path)).log(("1211", "7"))
    (failed,) = account[account["outcome"] == "failed"].to_dict("records")
    assert failed["asset"] == "LC08_CU_003009_20200301_20210504_02_SR qa_pixel"
    assert failed["cause"]
    assert failed["remedy"]
    services.source.rule = lambda _: None
    quiet(services.source)
    services.source.requests.clear()
    again = services.run(tmp_path)
    assert again.complete
    assert again.rows["plot_id"].tolist() == ["7", "8"]
    assert contents(tmp_path) == services.whole
    item = "LC08_CU_003009_20200301_20210504_02"
    assert {Path(r.path).parent.name for r in services.source.requests} == {item}
    assert len({r.path for r in services.source.requests}) == 7


LASTING = {
    "404": (status(404), "", "nothing lies at this address"),
    "403 for one file": (status(403), "", "denies access to it alone"),
    "corrupt bytes": (faults.Corrupt(), "bytes=0-", "TIF: it"),
    "corrupt bytes of blocks": (faults.Corrupt(), "bytes=[^0]", "is damaged"),
}


@shows(list(LASTING)[:3], "one asset")
@pytest.mark.parametrize(("fault", "part", "cause"), LASTING.values(), ids=LASTING)
@pytest.mark.deep
def test_what_is_wrong_with_one_file_for_good_costs_one_observation(
    services: Services, tmp_path: Path, fault: Fault, part: str, cause: str
) -> None:
    def rule(request: Request) -> Fault | None:
        mine = "003009_20200301_20210504_02_swir16" in request.path
        return fault if mine and re.match(part, request.headers.get("range", "")) else None

    services.source.rule = rule
    summary = services.run(tmp_path)
    assert not summary.complete
    assert "LC08_CU_003009_20200301_20210504_02_SR swir16" in str(summary)
    account = Project(str(tmp_path)).log(("1211", "7"))
    assert account["outcome"].value_counts().to_dict() == {"written": 4, "failed": 1}
    assert cause in account.loc[account["outcome"] == "failed", "cause"].item()
    made = contents(tmp_path)
    missing = {n for n in services.whole if n.startswith("prj_")} - set(made)
    assert {Path(n).name.rpartition("_")[2][:3] for n in missing} == {"061"}
    assert all(made[n] == services.whole[n] for n in made if n.startswith("prj_"))
    services.source.rule = lambda _: None
    assert services.run(tmp_path).complete
    assert contents(tmp_path) == services.whole


@shows(PASSING, "STAC API", "archive")
@pytest.mark.deep
def test_a_tenth_of_all_requests_failing_changes_nothing(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "Patience", lambda: replace(PATIENCE, timeout=9.0, deadline=9.0))
    patient = replace(QUICK, timeout_seconds=9.0, retry_seconds=60.0)
    ways = (services.api, services.source)
    assert services.run(tmp_path / "before", s3=patient).complete
    needed = [list(way.requests) for way in ways]
    reader.reset()
    dice = random.Random(5)
    kinds = [make for name, make in PASSING.items() if name not in ("stalled body", "slow trickle")]

    def rule(_: Request) -> Fault | None:
        return dice.choice(kinds)() if dice.random() < 0.1 else None

    for way in ways:
        way.rule = rule
        way.requests.clear()
    assert services.run(tmp_path / "out", s3=patient).complete
    assert contents(tmp_path / "out") == services.whole
    for way, before in zip(ways, needed, strict=True):
        asked, spoilt = len(way.requests), len(way.spoilt)
        # what is needed arrives, and what was spoilt is asked for again, but not without end
        # (half of what is asked for first of a file may hold its header already)
        answered = [r for r in way.requests if r not in way.spoilt or what(r)[2] == FIRST]
        assert {what(request) for request in before} <= {what(request) for request in answered}
        assert asked <= len(before) + 3 * spoilt
    assert sum(len(way.spoilt) for way in ways) >= 0.05 * sum(len(way.requests) for way in ways)


FIRST = f"bytes=0-{FIRST_READ - 1}"


def what(request: Request) -> tuple[str, str, str]:
    """What a request asks for."""
    return request.method, request.path, request.headers.get("range", "")


def denied_from(number: int, code: int = 403) -> Callable[[Request], Fault | None]:
    return lambda request: status(code) if request.number >= number else None


@shows(["401", "403"], "archive")
@pytest.mark.parametrize("number", [2, 40])
@pytest.mark.deep
def test_credentials_that_are_refused_end_the_run_at_once(
    services: Services, tmp_path: Path, number: int
) -> None:
    services.source.rule = denied_from(number, 401 + number % 4)
    with pytest.raises(AccessError, match="denies access"):
        services.run(tmp_path)
    assert len(services.source.spoilt) <= 2 * 64
    services.source.rule = lambda _: None
    assert services.run(tmp_path).complete
    assert contents(tmp_path) == services.whole


def denied(*parts: str) -> Callable[[Request], Fault | None]:
    """A rule that denies what has one of these parts in its path; "first" is the first file."""
    asked: list[str] = []

    def rule(request: Request) -> Fault | None:
        asked.append(request.path)
        known = [asked[0] if part == "first" else part for part in parts]
        return status(403) if any(part in request.path for part in known) else None

    return rule


@shows("403 for one file", "one asset")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.deep)])
@pytest.mark.parametrize("part", ["first", "003009_20200101"])
@pytest.mark.cases(1)
def test_denied_files_cost_their_observations_whoever_meets_them_first(
    services: Services, tmp_path: Path, part: str, workers: int
) -> None:
    """Plots 7 and 8 share their blocks: what is read for them is kept another way than for 9."""
    services.source.rule = denied(part)
    assert not services.run(tmp_path, workers=workers).complete
    ledger = Project(tmp_path).plots.set_index("plot_id").sort_index()
    assert sorted(ledger["failed"]) in ([0, 1, 1], [0, 0, 1])
    assert ledger["written"].sum() + ledger["failed"].sum() == 15
    for plot, row in ledger[ledger["failed"] > 0].iterrows():
        (failure,) = failures_of(row.to_dict())
        assert failure["kind"] == "denied"
        account = Project(tmp_path).log(("1211", str(plot)))
        assert account.loc[account["outcome"] == "failed", "kind"].tolist() == ["denied"]
        assert set(account.loc[account["outcome"] != "failed", "kind"]) == {""}
    made = contents(tmp_path)
    assert all(made[n] == services.whole[n] for n in made if n.startswith("prj_"))
    services.source.rule = lambda _: None
    reader.reset()
    assert services.run(tmp_path, workers=workers).complete
    assert contents(tmp_path) == services.whole


@shows(["401", "403"], "archive")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.deep)])
@pytest.mark.deep
def test_an_archive_that_denies_all_ends_the_run(
    services: Services, tmp_path: Path, workers: int
) -> None:
    """Also one of so few files that each alone could be denied."""
    services.source.rule = denied("")
    with pytest.raises(AccessError, match=r"all was denied.*denies access.*permissions") as caught:
        services.run(tmp_path, workers=workers)
    assert caught.value.kind == "denied"
    services.source.rule = lambda _: None
    assert services.run(tmp_path, workers=workers).complete
    assert contents(tmp_path) == services.whole


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.deep)])
@pytest.mark.deep
def test_wrong_credentials_end_a_big_run_before_thousands_of_requests(
    tmp_path: Path, workers: int
) -> None:
    archive = SmallArchive(tmp_path / "archive")
    for day in pd.date_range("1985-01-01", periods=1500, freq="8D"):
        archive.add("LT05", f"{day:%Y-%m-%d}{NOON}", write=False)
    path = tmp_path / "plots.csv"
    lines = [f"p,{n},{INSIDE[0] + 30 * n},{INSIDE[1]}" for n in range(8)]
    path.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    with file_server(tmp_path) as port, Proxy(port, denied("")) as source:
        settings = {"items": str(archive.write_items()), "mirror": f"{BUCKET}={source.url}"}
        with pytest.raises(AccessError, match="denies access"):
            run(path, tmp_path / "out", workers=workers, **settings)
        assert len(source.requests) < 1000


@shows(["401", "403"], "STAC API")
@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.deep
def test_an_api_that_denies_access_ends_the_run_at_once(
    services: Services, tmp_path: Path, number: int, code: int
) -> None:
    services.api.rule = denied_from(number, code)
    with pytest.raises(AccessError, match=f"status {code}, no access"):
        services.run(tmp_path)
    assert 1 <= len(services.api.spoilt) <= SEARCHES  # none is asked for again
    if number == 1:
        assert not services.source.requests
    services.api.rule = lambda _: None
    assert services.run(tmp_path).complete
    assert contents(tmp_path) == services.whole


PAGE = b"<!DOCTYPE html><title>Sign in</title>"


@shows(["404", "a page in place of JSON"], "STAC API")
@pytest.mark.parametrize(
    ("fault", "words"),
    [(status(404), "status 404. Check"), (status(200, body=PAGE), "no JSON but b'<!DOCTYPE")],
)
def test_an_address_that_is_no_api_ends_the_run_at_once(
    services: Services, tmp_path: Path, fault: Fault, words: str
) -> None:
    services.api.rule = lambda _: fault
    with pytest.raises(CatalogError, match=words):
        services.run(tmp_path)
    assert len(services.api.spoilt) <= SEARCHES


@shows(["no DNS", "connection refused"], "STAC API", "archive")
@pytest.mark.parametrize("address", ["http://no-such-host.invalid", "http://127.0.0.1:9"])
def test_no_network_ends_the_run_at_once(services: Services, tmp_path: Path, address: str) -> None:
    quick = replace(QUICK, max_retries=2)
    with pytest.raises(AccessError, match="can't be reached"):
        services.run(tmp_path, mirror=f"{BUCKET}={address}", s3=quick)
    with pytest.raises(AccessError, match="Check the address and the network"):
        services.run(tmp_path, items=address)


@shows("a fault that stays", "archive")
@pytest.mark.deep
def test_an_archive_that_is_down_ends_the_run_soon(services: Services, tmp_path: Path) -> None:
    """In the middle: 30 requests come through, then every one fails for good."""
    services.source.rule = lambda request: status(503) if request.number > 30 else None
    with pytest.raises(AccessError, match=r"503 Service Unavailable.*The service is down"):
        services.run(tmp_path, s3=replace(QUICK, max_retries=1))
    assert len(services.source.requests) < 400
    services.source.rule = lambda _: None
    assert services.run(tmp_path).complete
    assert contents(tmp_path) == services.whole


@shows("nothing read of 5 plots in a row", "archive")
@pytest.mark.deep
def test_plots_that_fail_wholly_in_a_row_end_the_run(
    archive: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk whose reads fail is no plot's fault."""
    from timesync_xr.errors import TransientReadError
    from timesync_xr.storage import objects as storage
    from timesync_xr.storage.failures import LATER

    def fail(path: str, ranges: object) -> None:
        raise TransientReadError(path, "reading failed: Input/output error", LATER)

    path = tmp_path / "plots.csv"
    x, y = INSIDE
    lines = [f"p,{n},{x + 30 * n},{y}" for n in range(PLOTS + 5)]
    path.write_text("\n".join(["project_id,plot_id,x,y", *lines]))
    settings = {"items": str(archive.folder / "items.json"), "mirror": archive.mirror}
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_read_file", fail)
        with pytest.raises(AccessError, match=r"last 5 plots.*Input/output error"):
            run(path, tmp_path / "out", **settings)
    assert len(Project(str(tmp_path / "out")).plots) == PLOTS
    assert run(path, tmp_path / "out", **settings).complete


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (28, r"No space left on device\. Make room"),
        (30, r"Read-only file system\. Choose a folder"),
        (122, "quota.*raised"),
    ],
    ids=["ENOSPC", "EROFS", "EDQUOT"],
)
@shows(["disk full", "read-only disk", "disk quota"], "output")
@pytest.mark.deep
def test_a_target_that_takes_no_more_ends_the_run_at_once(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    import os

    written = 0

    def fail(path: str, mode: str) -> IO[Any]:
        nonlocal written
        written += 1
        if written > 40:
            raise OSError(number, os.strerror(number))
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr("timesync_xr.storage.folder.open", fail, raising=False)
        with pytest.raises(AccessError, match=rf"can't be written: .*{words}"):
            services.run(tmp_path)
    assert written < 80
    assert services.run(tmp_path).complete
    assert contents(tmp_path) == services.whole


def test_a_target_that_can_not_be_made_is_told_before_anything_is_asked(
    services: Services, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AccessError, match="can't be written: Not a directory"):
        services.run(tmp_path / "file" / "out")
    assert not services.source.requests


# Stopped and killed


def start(services: Services, out: Path, *more: str, **how: Any) -> subprocess.Popen[str]:
    """The command as a process of its own, in a group of its own."""
    command = [sys.executable, "-m", "timesync_xr", "extract", str(services.plots)]
    command += ["--out", str(out), "--source", str(services.archive.folder / "items.json")]
    command += ["--mirror", f"{BUCKET}={services.source.url}", "--chip-size", "9", "9", *more]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how
    )


@shows("Ctrl-C", "run")
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.deep)])
@pytest.mark.deep
def test_ctrl_c_stops_soon_and_says_how_to_go_on(
    services: Services, tmp_path: Path, workers: str
) -> None:
    """Also while every request waits for a server that is silent."""
    services.source.rule = lambda request: faults.Stalled(60) if request.number > 40 else None
    process = start(services, tmp_path, "--workers", workers)
    while len(services.source.spoilt) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)  # the server is silent for 60 s
    assert process.returncode == 130, said
    assert "run the same command to go on" in said
    assert "Traceback" not in said
    services.source.rule = lambda _: None
    assert services.run(tmp_path, items=str(services.archive.folder / "items.json")).complete
    assert contents(tmp_path) == services.whole


@pytest.mark.deep
def test_ctrl_c_in_a_terminal_while_workers_start_is_told_once(
    services: Services, tmp_path: Path
) -> None:
    """A terminal sends it to all processes of a command; no worker says where it was."""
    services.source.rule = lambda request: faults.Stalled(60) if request.number > 40 else None
    process = start(services, tmp_path, "--workers", "2", start_new_session=True)
    family = psutil.Process(process.pid)
    while sum("spawn_main" in " ".join(p.cmdline()) for p in family.children(recursive=True)) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run the same command to go on" in said
    assert "Traceback" not in said
    assert "leaked" not in said


@pytest.mark.deep
def test_ctrl_c_stops_while_the_api_is_silent(services: Services, tmp_path: Path) -> None:
    services.api.rule = lambda _: faults.Stalled(60)
    process = start(services, tmp_path, "--source", services.api.url)
    while not services.api.requests:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130, said
    assert "Traceback" not in said


@pytest.mark.random
@shows("SIGKILL", "run")
@pytest.mark.deep
def test_killed_at_random_moments_it_ends_as_if_it_never_was(
    services: Services, tmp_path: Path
) -> None:
    """SIGKILL in some runs; the ledger is read all the while, and no plot is done twice."""
    kill_at_random(services, tmp_path, share(8))


def kill_at_random(services: Services, folder: Path, times: int) -> None:
    """Kill runs until some were killed; one that ended before is followed by another."""
    dice = random.Random(11)
    kills = number = 0
    while kills < times:
        out = folder / str(number)
        process = start(services, out)
        end = time.monotonic() + dice.uniform(0.9, 2.6)
        while process.poll() is None and time.monotonic() < end:
            assert len(ledger_of(out)) <= 3
            time.sleep(0.01)
        done = process.poll() is not None
        process.kill()
        process.communicate()
        assert_only_whole_files(out, services.whole)
        kills += not done
        if done:
            finish(services, out)
            number += 1
    counts["runs killed"] += kills
    finish(services, out)


def ledger_of(out: Path) -> pd.DataFrame:
    """The ledger as far as there is one."""
    if not (out / "ledger/project.json").exists():
        return pd.DataFrame({"plot_id": [], "status": []})
    return Project(str(out)).plots


def assert_only_whole_files(out: Path, whole: dict[str, bytes]) -> None:
    """Every file under its final name is that of a run without a kill."""
    for path in out.glob("prj_*/**/*.*"):
        assert path.read_bytes() == whole[path.relative_to(out).as_posix()], path


def finish(services: Services, out: Path) -> None:
    """Run to the end: complete plots are not read again, and nothing is left over."""
    complete = ledger_of(out).query("status == 'complete'")["plot_id"]
    before = {p: p.stat().st_mtime_ns for p in out.glob("prj_*/**/*.*")}
    assert services.run(out, items=str(services.archive.folder / "items.json")).complete
    assert contents(out) == services.whole
    assert not list((out / "ledger/tmp").glob("*"))
    assert not Folder(out).names("ledger/recent")
    for path, modified in before.items():
        assert path.stat().st_mtime_ns == modified or not any(
            f"plot_{plot}/" in str(path) for plot in complete
        )


# The table of docs/reliability.md


ROW = re.compile(r"^\| (?!fault )([^|]+) \| ([^|]+) \|", re.MULTILINE)
TESTS = Path(__file__).parents[1]
SHOWING = [
    ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)
    for path in TESTS.rglob("test_*.py")
    if "\n@shows(" in path.read_text()
]
"""Modules whose tests show rows of the table."""


def test_every_row_of_the_table_has_its_test() -> None:
    page = TESTS.parent / "docs/reliability.md"
    table = page.read_text().partition("## Faults")[2].partition("## Limits")[0]
    rows = {
        pair
        for names, places in ROW.findall(table)
        for pair in product(names.split(", "), places.split(", "))
    }
    shown = {
        pair
        for module in SHOWING
        for test in vars(import_module(module)).values()
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "shows"
        for pair in product(*mark.args)
    }
    assert len(rows) > 60
    assert rows == shown
