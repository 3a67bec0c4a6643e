"""Servers on loopback for tests: files by ranges over HTTP, and a small STAC API."""

from __future__ import annotations

import json
import re
import ssl
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

PAGE = 5
"""Items that the API gives at once, so that there are several pages."""


class PlainHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def reply(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class JsonHandler(PlainHandler):
    """Hands on what it is asked, with the body as an object."""

    def reply_with(self, body: dict[str, Any]) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.reply_with({})

    def do_POST(self) -> None:
        self.reply_with(json.loads(self.rfile.read(int(self.headers["content-length"]))))


@contextmanager
def serving(handler: type[PlainHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def untrusted(folder: Path) -> ssl.SSLContext:
    """For servers with a certificate that nobody trusts; it is made anew."""
    from distributed.security import Security

    made = Security.temporary().get_tls_config_for_role("scheduler")
    chain = folder / "chain.pem"
    chain.write_text(f"{made['key']}\n{made['cert']}\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


@contextmanager
def file_server(
    folder: Path, asked_for: list[str] | None = None, *, tags: bool = False
) -> Iterator[int]:
    """Serve the files of a folder by ranges; gives the port. ``asked_for`` gets all paths.

    With ``tags`` answers have an ETag, so that versions of a file can be told apart.
    """

    class Handler(PlainHandler):
        def do_GET(self) -> None:
            if asked_for is not None:
                asked_for.append(self.path)
            path = folder / unquote(self.path.partition("?")[0]).lstrip("/")
            if not path.is_file():
                self.reply(404, b"")
                return
            body = path.read_bytes()
            asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
            start, stop = (int(asked[1]), int(asked[2]) + 1) if asked else (0, len(body))
            if start >= len(body):
                self.reply(416, b"")
                return
            part = body[start:stop]
            told = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
            tag = [("ETag", f'"{zlib.crc32(body)}"')] if tags else []
            self.reply(206, part, ("Content-Range", told), *tag)

        do_HEAD = do_GET  # noqa: N815 - as http.server wants it

    with serving(Handler) as port:
        yield port


@contextmanager
def stac_server(items: list[dict[str, Any]]) -> Iterator[int]:
    """A STAC API with the query extension and pages by token; gives the port."""

    class Handler(PlainHandler):
        def do_GET(self) -> None:
            url = f"http://{self.headers['host']}"
            conforms = [f"https://api.stacspec.org/v1.0.0/item-search{p}" for p in ("", "#query")]
            links = [{"rel": "self", "href": url}, {"rel": "root", "href": url},
                     {"rel": "search", "href": f"{url}/search",
                      "type": "application/geo+json"}]  # fmt: skip
            root = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "",
                    "conformsTo": conforms, "links": links}  # fmt: skip
            self.reply(200, json.dumps(root).encode(), ("Content-Type", "application/json"))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            wanted = {name: test["eq"] for name, test in body["query"].items()}
            found = [i for i in items if wanted.items() <= i["properties"].items()]
            first = int(body.get("token", 0))
            links = [{"rel": "next", "href": f"http://{self.headers['host']}/search",
                      "method": "POST", "body": {**body, "token": str(first + PAGE)}}]  # fmt: skip
            page = {"type": "FeatureCollection", "features": found[first : first + PAGE],
                    "links": links if first + PAGE < len(found) else [],
                    "numberMatched": len(found)}  # fmt: skip
            self.reply(200, json.dumps(page).encode(), ("Content-Type", "application/json"))

    with serving(Handler) as port:
        yield port
