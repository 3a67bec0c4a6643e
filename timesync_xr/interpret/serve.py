"""The pages of a project, served from this machine to this machine, that write what they are told.

Only who knows the address can ask: it holds a random token, the server listens on 127.0.0.1 alone,
and requests of pages from elsewhere are refused by their ``Host``, ``Origin`` and
``Sec-Fetch-Site``. Nothing but the pages, their data and chips is given out.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import AccessError, InputError, Kind, TimesyncError, did_you_mean
from ..project.project import Project
from .answers import Act, interpret, name_problem
from .exchange import known_plots, misfit
from .legend import Legend
from .store import Store, line

MOST: Final = 1 << 20
"""Bytes of a request at most."""

_PORTS: Final = (20000, 20000)
"""First port that a project may have of its own, and how many there are."""

_POLICY: Final = "; ".join(
    [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ]
)  # fmt: skip
"""What the pages may load: nothing from elsewhere, and no script but their own files."""

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".png": "image/png",
}
"""What the files are; a system's own list may say otherwise."""

_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Desk(ThreadingHTTPServer):
    """A server at which one interpreter works on a project.

    ``site`` is the folder of its pages, as `timesync_xr.view.site.browse` makes it, inside the
    project. ``port`` 0 takes a port that belongs to the project, since browsers keep what they
    could not save by port, or any other where that one is in use. ``others`` are interpreters whose
    answers are shown beside, to judge; nothing of theirs is changed. `InputError` for a name that
    can be no file's, and for others that said nothing.

    ::

        with Desk(project, site, "ann", legend) as desk:
            print(desk.address)
            desk.serve_forever()
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        project: Project,
        site: str | Path,
        who: str,
        legend: Legend,
        port: int = 0,
        *,
        others: Sequence[str] = (),
    ) -> None:
        if problem := name_problem(who):
            raise InputError(problem)
        self.who, self.legend, self.others = who, legend, tuple(others)
        self.root, self.site = Path(project.place).resolve(), Path(site).resolve()
        self.token = secrets.token_urlsafe(24)
        self.store = Store(project)
        self.store.keep_legend(legend)
        self.plots = known_plots(project)
        known = {log[2] for log in self.store.logs()}
        if unknown := [name for name in others if name not in known or name == who]:
            there = sorted(known - {who})
            near = did_you_mean(unknown[0], there)
            raise InputError(
                f"there are no answers of {unknown[0]!r} to judge{near}: there are those of "
                f"{', '.join(there) or 'nobody'}"
            )
        self._lock = threading.Lock()
        self.summary = {
            log[:2]: _state(self.store.acts(*log), *log)
            for log in self.store.logs()
            if log[2] == who
        }
        super().__init__(("127.0.0.1", self._open_port(port)), _Request, bind_and_activate=False)
        try:
            self.server_bind()
            self.server_activate()
        except OSError:
            self.server_close()
            if port:
                raise AccessError(f"port {port} is in use: give another --port") from None
            super().__init__(("127.0.0.1", 0), _Request)

    def _open_port(self, port: int) -> int:
        if port:
            return port
        number = int(hashlib.sha256(str(self.root).encode()).hexdigest()[:8], 16)
        return _PORTS[0] + number % _PORTS[1]

    @property
    def hosts(self) -> set[str]:
        """What browsers may call this server."""
        port = self.server_address[1]
        return {f"127.0.0.1:{port}", f"localhost:{port}"}

    @property
    def address(self) -> str:
        """The address of the list of plots; who has it can write answers."""
        inside = self.site.relative_to(self.root).as_posix()
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/{inside}/index.html"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went to another page before it had everything."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def keep(self, sent: object) -> dict[str, Any]:
        """Keep what a page sent, for good; the ids of what is kept."""
        acts = sent.get("acts") if isinstance(sent, dict) else None
        if not isinstance(acts, list) or not all(isinstance(act, dict) for act in acts):
            raise InputError("no list of acts was sent")
        legends = self.store.legends()
        for act in acts:
            if act.get("who") != self.who:
                raise InputError(
                    f"acts of {act.get('who')!r} were sent, and {self.who!r} is at work"
                )
        self.store.append(_fitting(acts, self.plots, legends))
        with self._lock:
            for log in {(act["project"], act["plot"]) for act in acts}:
                self.summary[log] = _state(self.store.acts(*log, self.who), *log, self.who)
        return {"kept": [act["id"] for act in acts]}

    def session(self) -> str:
        """What the pages learn of who is at work, as a script."""
        with self._lock:
            summary = [[*plot, *state] for plot, state in self.summary.items()]
        told = {
            "who": self.who,
            "legend": self.legend.to_json() | {"digest": self.legend.digest},
            "place": hashlib.sha256(str(self.root).encode()).hexdigest()[:16],
            "others": self.others,
            "summary": summary,
        }
        return f"timesync.receiveSession({line(told).strip()});\n"


def _fitting(acts: list[Act], plots: set[tuple[str, str]], legends: dict[str, Legend]) -> list[Act]:
    from .answers import check_act

    for act in acts:
        if problem := misfit(check_act(act), plots, legends):
            raise InputError(problem)
    return acts


def _state(acts: list[Act], project: str, plot: str, who: str) -> list[Any]:
    """How far a plot is: vertices, missing labels, whether it is an example."""
    made = interpret(acts, project, plot, who)
    return [len(made.vertices), len(made.missing), made.texts.get("is_example") == "1"]


class _Request(BaseHTTPRequestHandler):
    """A request of a page."""

    server: Desk
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """A page, its data, a chip, or the acts of a plot."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Acts to be kept."""
        self._answer(self._post)

    def log_message(self, *_: Any) -> None:
        """Say nothing: addresses hold the token."""

    def _answer(self, make: Any) -> None:
        try:
            self._check()
            status, kind, data = make()
        except _RefusedError as error:
            status, kind, data = error.status, "text/plain", str(error).encode()
        except InputError as error:
            status, kind, data = HTTPStatus.BAD_REQUEST, "text/plain", str(error).encode()
        except TimesyncError as error:
            full = error.kind == Kind.NO_ROOM
            status = HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.INTERNAL_SERVER_ERROR
            kind, data = "text/plain", str(error).encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        text = kind.startswith("text/") or "json" in kind or "javascript" in kind
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")  # none outlives the server
        self.end_headers()
        self.wfile.write(data)

    def _check(self) -> None:
        """Refuse what no page of this server asks."""
        desk = self.server
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in desk.hosts:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "this is no server for that host")
        if origin is not None and urlsplit(origin).netloc not in desk.hosts:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "a page from elsewhere may ask nothing")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "a page from elsewhere may ask nothing")
        _, token, *_ = [*urlsplit(self.path).path.split("/"), ""]
        if not secrets.compare_digest(token.encode(), desk.token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "open the address that the command told")

    def _get(self) -> tuple[int, str, bytes]:
        address = urlsplit(self.path)
        path = unquote(address.path.partition("/")[2].partition("/")[2], errors="strict")
        if path == "api/acts":
            asked = parse_qs(address.query)
            plot = asked.get("project", [""])[0], asked.get("plot", [""])[0]
            if plot not in self.server.plots:
                raise InputError("there is no such plot")
            who = asked.get("who", [self.server.who])[0]
            if who not in (self.server.who, *self.server.others):
                raise InputError("this interpreter's answers are not shown here")
            acts = self.server.store.acts(*plot, who)
            return HTTPStatus.OK, "application/json", json.dumps(acts).encode()
        place = self._place(path)
        if place == self.server.site / "data/session.js":
            return HTTPStatus.OK, "text/javascript", self.server.session().encode()
        try:
            data = place.read_bytes()
        except OSError:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is no such file") from None
        kind = _TYPES.get(place.suffix, "application/octet-stream")
        return HTTPStatus.OK, kind, data

    def _place(self, path: str) -> Path:
        """The file at a path: of the site, or a chip; nothing else is given out."""
        desk = self.server
        refused = _RefusedError(HTTPStatus.NOT_FOUND, "there is no such file")
        if "\0" in path or "\\" in path or not path:
            raise refused
        place = (desk.root / path).resolve()
        is_page = place.is_relative_to(desk.site)
        inside = place.relative_to(desk.root).parts if place.is_relative_to(desk.root) else ("",)
        is_chip = inside[0].startswith("prj_") and place.suffix == ".png"
        if not (is_page or is_chip):
            raise refused
        return place

    def _post(self) -> tuple[int, str, bytes]:
        if self.headers.get("Origin") is None:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "only pages of this server may send anything")
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only JSON is taken")
        if not urlsplit(self.path).path.endswith("/api/acts"):
            raise _RefusedError(HTTPStatus.NOT_FOUND, "nothing is taken there")
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "the length is not told") from None
        if not 0 <= length <= MOST:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST} bytes")
        data = self.rfile.read(length)
        try:
            sent = json.loads(data)
        except (ValueError, RecursionError):
            raise InputError("what was sent is no JSON") from None
        return HTTPStatus.OK, "application/json", json.dumps(self.server.keep(sent)).encode()


class _RefusedError(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
