"""The server of an interpreter: who may ask what, and that an answer is on disk when it says so."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interpret.making import V3, act, start, whole
from tests.interpret.test_exchange import copied
from tests.tally import shows
from timesync_xr import Project
from timesync_xr.errors import AccessError, InputError
from timesync_xr.interpret import store as store_module
from timesync_xr.interpret.serve import MOST, Desk
from timesync_xr.interpret.store import Store

Ask = Callable[..., tuple[int, bytes, dict[str, str]]]


@pytest.fixture
def desk(sample_project: Path, tmp_path: Path) -> Iterator[Desk]:
    project = copied(sample_project, tmp_path / "project")
    for path, text in {
        "browse/index.html": "<p>list",
        "browse/data/session.js": "stub",
        "prj_1001/tc/plot_2/plot_2_1996_222.png": "chip",
        "prj_1001/2_spectral_files_set_1996_222.csv": "csv",
        "secret.txt": "secret",
    }.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    (tmp_path / "outside.png").write_text("outside")
    (project / "prj_1001/leads.png").symlink_to(tmp_path / "outside.png")
    with Desk(Project(project), project / "browse", "ann", V3) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(desk: Desk) -> Ask:
    port = desk.server_address[1]

    def asked(path: str, body: object = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        told = {"Host": f"127.0.0.1:{port}"}
        if body is not None:
            told |= {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, data, told)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, {k.lower(): v for k, v in answer.getheaders()}

    return asked


def test_pages_and_chips_are_given_out_and_nothing_else(desk: Desk, ask: Ask) -> None:
    root = f"/{desk.token}"
    status, data, headers = ask(f"{root}/browse/index.html")
    assert (status, data) == (200, b"<p>list")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    status, data, headers = ask(f"{root}/prj_1001/tc/plot_2/plot_2_1996_222.png")
    assert (status, data, headers["content-type"]) == (200, b"chip", "image/png")
    for path in (
        "secret.txt", "ledger/plots.csv", "answers/lock", "prj_1001/leads.png", "../outside.png",
        "browse/../secret.txt", "browse/%2e%2e/secret.txt", "prj_1001/../../outside.png",
        "prj_1001/2_spectral_files_set_1996_222.csv", "", "/etc/passwd", "browse/%00", "browse",
    ):  # fmt: skip
        status, data, _ = ask(f"{root}/{path}")
        assert status == 404, path
        assert b"secret" not in data
        assert b"outside" not in data


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_pages_from_elsewhere_get_nothing(desk: Desk, ask: Ask, headers: dict[str, str]) -> None:
    address = f"/{desk.token}/browse/index.html"
    assert ask(address)[0] == 200
    assert ask(address, **headers)[0] == 403
    sent = {"acts": whole()}
    assert ask(f"/{desk.token}/api/acts", sent, **headers)[0] == 403
    assert desk.store.acts("1001", "2", "ann") == []


def test_without_the_token_nothing_is_told(desk: Desk, ask: Ask) -> None:
    for path in (
        "/",
        "/x/browse/index.html",
        f"/{desk.token[:-1]}/browse/index.html",
        "//",
        "/%C3%A9",
    ):
        assert ask(path)[0] == 403
    assert len(desk.token) >= 32
    assert desk.server_address[0] == "127.0.0.1"


def test_acts_are_kept_and_given_back(desk: Desk, ask: Ask) -> None:
    status, data, _ = ask(f"/{desk.token}/api/acts", {"acts": whole()})
    assert status == 200
    assert json.loads(data) == {"kept": [one["id"] for one in whole()]}
    assert Store(Project(desk.root)).acts("1001", "2", "ann") == whole()
    status, data, _ = ask(f"/{desk.token}/api/acts?project=1001&plot=2")
    assert json.loads(data) == whole()
    script = ask(f"/{desk.token}/browse/data/session.js")[1].decode()
    told = json.loads(script.removeprefix("timesync.receiveSession(").removesuffix(");\n"))
    assert told["who"] == "ann"
    assert told["summary"] == [["1001", "2", 3, 0, True]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no JSON"),
        (b"[" * 10_000, "no JSON"),
        ([], "no list of acts"),
        ({"acts": [1]}, "no list of acts"),
        ({"acts": [start() | {"who": "ben"}]}, "'ann' is at work"),
        ({"acts": [start() | {"plot": "77"}]}, "no plot 77"),
        ({"acts": [start() | {"plot": "../../x"}]}, "no act"),
        ({"acts": [act(1, "label", day="1996-08-09", set={"dominant_landuse": "Lava"})]}, "Lava"),
        ({"acts": [start() | {"legend": "0" * 16}]}, "its legend"),
    ],
)
def test_what_is_wrong_is_refused(desk: Desk, ask: Ask, body: Any, words: str) -> None:
    status, data, _ = ask(f"/{desk.token}/api/acts", body)
    assert status == 400
    assert words in data.decode()
    assert not (desk.root / "answers/prj_1001").exists()


def test_requests_of_other_kinds_are_refused(desk: Desk, ask: Ask) -> None:
    address = f"/{desk.token}/api/acts"
    assert ask(address, {"acts": []}, Content_Type="text/plain")[0] == 415
    assert ask(address, b" " * 10, Content_Length=str(MOST + 1))[0] == 413
    assert ask(address, b" " * 10, Content_Length="x")[0] == 411
    assert ask(f"/{desk.token}/browse/index.html", {"acts": []})[0] == 404


@shows("disk full under answers", "answers")
def test_a_full_disk_is_told(desk: Desk, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    address = f"/{desk.token}/api/acts"
    monkeypatch.setattr(store_module, "_write_whole", full)
    status, data, _ = ask(address, {"acts": whole()})
    assert status == 507
    assert b"No space left" in data
    monkeypatch.undo()
    assert ask(address, {"acts": whole()})[0] == 200


def test_a_browser_that_leaves_early_is_no_error(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever goes on while chips are on their way sees no traceback in the terminal."""
    (desk.root / "prj_1001/tc/large.png").write_bytes(bytes(1 << 25))
    seen, usual = threading.Event(), Desk.handle_error

    def handle(server: Desk, *told: Any) -> None:
        usual(server, *told)
        seen.set()

    monkeypatch.setattr(Desk, "handle_error", handle)
    host = f"127.0.0.1:{desk.server_address[1]}"
    with socket.create_connection(("127.0.0.1", desk.server_address[1])) as browser:
        asked = f"GET /{desk.token}/prj_1001/tc/large.png HTTP/1.1"
        browser.sendall(f"{asked}\r\nHost: {host}\r\n\r\n".encode())
        assert browser.recv(12) == b"HTTP/1.1 200"
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert seen.wait(60)
    assert capsys.readouterr().err == ""


def test_a_project_keeps_its_port(sample_project: Path, desk: Desk) -> None:
    """Browsers keep by port what could not be sent; a second server takes another."""
    project = Project(desk.root)
    with Desk(project, desk.site, "ben", V3) as other:
        assert other.server_address[1] != desk.server_address[1]
    with pytest.raises(AccessError, match="in use"):
        Desk(project, desk.site, "ben", V3, desk.server_address[1])
    with pytest.raises(InputError, match="the interpreter"):
        Desk(project, desk.site, "../x", V3)


KILLER = """
import http.client, json, os, random, signal, sys, time
from pathlib import Path
from tests.interpret.making import V3, act
from tests.tally import shows
from timesync_xr import Project
from timesync_xr.interpret.serve import Desk

project, rounds = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(7)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
for number in range(rounds):
    desk = Desk(Project(project), project / "browse", "ann", V3)
    port, token = desk.server_address[1], desk.token
    server = os.fork()
    if not server:
        desk.serve_forever()
    desk.socket.close()
    first, tell = os.pipe()
    killer = os.fork()
    if not killer:
        os.close(tell)
        os.read(first, 1)  # until the first answer was acknowledged, however slow the machine is
        time.sleep(rng.random() * 0.1)
        os.kill(server, signal.SIGKILL)
        os._exit(0)
    rng.random()
    os.close(first)
    head = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for seq in range(1, 10**6):
            one = act(number * 10**6 + seq, "vertex", day="1996-08-09")
            connection.request("POST", f"/{token}/api/acts", json.dumps({"acts": [one]}), head)
            answer = connection.getresponse()
            if answer.status == 200 and json.loads(answer.read())["kept"] == [one["id"]]:
                print(one["id"])
                os.write(tell, b".") if seq == 1 else None
    except (OSError, http.client.HTTPException, ValueError):
        pass
    os.close(tell)
    os.waitpid(killer, 0)
    os.waitpid(server, 0)
"""


@shows(["the server killed", "the power off"], "answers")
@pytest.mark.parametrize("kills", [10, pytest.param(300, marks=pytest.mark.deep)])
@pytest.mark.deep
def test_a_killed_server_loses_nothing_that_it_acknowledged(
    sample_project: Path, tmp_path: Path, kills: int
) -> None:
    project = copied(sample_project, tmp_path / "project")
    (project / "browse").mkdir()
    command = [sys.executable, "-c", KILLER, str(project), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = done.stdout.split()
    assert len(told) >= kills
    there = {one["id"] for one in Store(Project(project)).acts("1001", "2", "ann")}
    assert set(told) <= there
    assert len(there) - len(told) <= kills  # one that was kept and not told, at most, of each


def test_only_those_who_are_judged_are_shown(desk: Desk, ask: Ask, sample_project: Path) -> None:
    asked = f"/{desk.token}/api/acts?project=1001&plot=2&who=ben"
    assert ask(asked)[0] == 400
    with pytest.raises(InputError, match="no answers of 'ben' to judge"):
        Desk(Project(desk.root), desk.site, "ann", V3, others=["ben"])
