"""A real STAC API on loopback: PostgreSQL with PostGIS and pgstac, served by stac-fastapi."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests

from tests.servers import JsonHandler, serving
from tests.services.s3 import free_ports

COLLECTION = {
    "type": "Collection", "stac_version": "1.0.0", "license": "other",
    "description": "Landsat Collection 2 surface reflectance", "links": [],
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]},
               "temporal": {"interval": [["1982-01-01T00:00:00Z", None]]}},
}  # fmt: skip


def _bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.fail("there is no PostgreSQL: apt-get install postgresql postgresql-postgis")
    return found[-1].parent


def _as_postgres(*command: str) -> None:
    """PostgreSQL refuses to run as root, so its own user does."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*user, *command], capture_output=True, stdin=subprocess.DEVNULL, cwd="/", check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@contextmanager
def stac_api(items: list[dict[str, Any]], *, collection: str = "landsat-c2ard-sr") -> Iterator[str]:
    """An API that holds some items of a collection; gives its address.

    Its files lie beside pytest's folders, which are closed to the user of PostgreSQL.
    """
    folder = Path(tempfile.mkdtemp(prefix="timesync-pgstac-"))
    folder.chmod(0o755)
    database = free_ports(2)
    port = database + 1
    data = folder / "data"
    data.mkdir()
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(data, user.pw_uid, user.pw_gid)
    _as_postgres(f"{_bin()}/initdb", "-D", str(data), "-A", "trust", "-U", "postgres")
    options = f"-p {database} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = f"{_bin()}/pg_ctl"
    _as_postgres(control, "-D", str(data), "-w", "-o", options, "-l", str(data / "log"), "start")
    try:
        environment = {
            **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(database), "PGUSER": "postgres",
            "PGPASSWORD": "none", "PGDATABASE": "postgres", "USE_API_HYDRATE": "false",
            "ENABLE_TRANSACTIONS_EXTENSIONS": "false",
        }  # fmt: skip
        _load(folder, {**COLLECTION, "id": collection}, items, environment)
        with _serving(port, environment, folder):
            yield f"http://127.0.0.1:{port}"
    finally:
        _as_postgres(control, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _load(
    folder: Path,
    collection: dict[str, Any],
    items: list[dict[str, Any]],
    environment: dict[str, str],
) -> None:
    (folder / "collection.json").write_text(json.dumps(collection))
    (folder / "items.ndjson").write_text("\n".join(json.dumps(item) for item in items))
    pypgstac = str(Path(sys.executable).with_name("pypgstac"))
    for command in (["migrate"], ["load", "collections", str(folder / "collection.json")],
                    ["load", "items", str(folder / "items.ndjson")]):  # fmt: skip
        done = subprocess.run(
            [pypgstac, *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    _as_postgres(
        f"{_bin()}/psql", "-h", "127.0.0.1", "-p", environment["PGPORT"], "-c",
        "INSERT INTO pgstac.pgstac_settings VALUES ('context', 'on') "
        "ON CONFLICT (name) DO UPDATE SET value = 'on'",  # it counts
    )  # fmt: skip


@contextmanager
def _serving(port: int, environment: dict[str, str], folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "uvicorn", "--factory", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--log-level", "warning"]
    command.append("stac_fastapi.pgstac.app:create_app")
    with (folder / "api.log").open("w") as log:
        api = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(300):
            assert api.poll() is None, (folder / "api.log").read_text()[-3000:]
            try:
                requests.get(f"http://127.0.0.1:{port}/", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.1)
        else:
            raise AssertionError((folder / "api.log").read_text()[-3000:])
        yield
    finally:
        api.kill()
        api.wait()


def _ask(url: str, body: dict[str, Any] | None) -> Any:
    answer = requests.request("GET" if body is None else "POST", url, json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


Answering = Callable[[str, dict[str, Any]], Any]
"""Answers a path with its query, and the body of the request, if any."""


@contextmanager
def _before(api: str, answer: Answering) -> Iterator[str]:
    """Another server before an API: what it answers leads to itself."""

    class Handler(JsonHandler):
        def reply_with(self, body: dict[str, Any]) -> None:
            here = f"http://{self.headers['host']}"
            text = json.dumps(answer(self.path, body)).replace(api, here)
            self.reply(200, text.encode(), ("Content-Type", "application/json"))

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def changed(
    api: str,
    page: Callable[[dict[str, Any]], Any] = lambda page: page,
    conforms: Callable[[str], bool] = lambda _: True,
    without: str = "",
) -> Iterator[str]:
    """The API with its pages of items changed, what it conforms to, or what it is asked."""

    def answer(path: str, body: dict[str, Any]) -> Any:
        body.pop(without, None)
        answered = _ask(api + path, body or None)
        if "features" in answered:
            return page(answered)
        return {**answered, "conformsTo": [*filter(conforms, answered.get("conformsTo", ()))]}

    with _before(api, answer) as url:
        yield url


@contextmanager
def by_page(api: str, method: str) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """The API as old servers were: pages by number, and a count in ``context``.

    Also gives the method and the page of each search.
    """
    asked: list[tuple[str, int]] = []
    tokens: dict[tuple[str, int], str] = {}
    bodies: list[dict[str, Any]] = []

    def answer(path: str, body: dict[str, Any]) -> Any:
        path, _, query = path.partition("?")
        if path != "/search":
            return _ask(api + path, None)
        if query:
            found = {name: int(value) for name, value in parse_qsl(query)}
            body = {**bodies[found["of"]], "page": found["page"]}
        page = body.pop("page", 1)
        asked.append(("GET" if query else "POST", page))
        bodies.append(body)
        of = next(place for place, other in enumerate(bodies) if other is body)
        key = json.dumps(body, sort_keys=True)
        token = {"token": tokens[key, page]} if page > 1 else {}
        answered = _ask(f"{api}/search", {**body, **token})
        context = {"matched": answered.pop("numberMatched"), "page": page}
        context |= {"returned": answered.pop("numberReturned"), "limit": body["limit"]}
        links = []
        for link in [link for link in answered["links"] if link["rel"] == "next"]:
            tokens[key, page + 1] = link["body"]["token"]
            href = f"{api}/search"
            links = [
                {"rel": "next", "method": "POST", "href": href, "body": {**body, "page": page + 1}}
                if method == "POST"
                else {"rel": "next", "href": f"{href}?page={page + 1}&of={of}"}
            ]
        return {**answered, "context": context, "links": links}

    with _before(api, answer) as url:
        yield url, asked
