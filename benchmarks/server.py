"""A web server of files on loopback that waits before each answer, and counts what it is asked.

``python -m benchmarks.server FOLDER SECONDS`` prints its port. ``/counts`` tells what was asked for
since the last time, and forgets it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """Answers GET and HEAD requests for parts of files, one after the other."""

    def __init__(self, folder: str, delay: float, log: list[tuple[str, str, int, int]]) -> None:
        self._folder, self._delay, self._log, self._rest = folder, delay, log, b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            if path == "/counts":
                self._send(_answer("200 OK", self._counts()))
                continue
            asked = _RANGE.search(head)
            answer = self._read(method, path, asked and (int(asked[1]), asked[2]))
            asyncio.get_running_loop().call_later(self._delay, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _counts(self) -> bytes:
        used = resource.getrusage(resource.RUSAGE_SELF)
        told = {"requests": self._log[:], "cpu": used.ru_utime + used.ru_stime}
        self._log.clear()
        return json.dumps(told).encode()

    def _read(self, method: str, path: str, asked: tuple[int, bytes] | None) -> bytes:
        try:
            file = os.open(self._folder + path, os.O_RDONLY)
        except OSError:
            self._log.append((method, path, 0, 0))
            return _answer("404 Not Found", b"")
        size = os.fstat(file).st_size
        start, stop = (0, size) if asked is None else (asked[0], int(asked[1] or size - 1) + 1)
        stop = min(stop, size)
        self._log.append((method, path, start, stop if method == "GET" else start))
        state = os.fstat(file)
        fields = f'Accept-Ranges: bytes\r\nETag: "{state.st_mtime_ns:x}-{size:x}"\r\n'
        if asked is not None:
            fields += f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n"
        status = "200 OK" if asked is None else "206 Partial Content"
        body = os.pread(file, stop - start, start) if method == "GET" else b""
        os.close(file)
        return _answer(status, body, fields, stop - start)


def _answer(status: str, body: bytes, fields: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{fields}\r\n".encode() + body


async def _serve(folder: str, delay: float) -> None:
    log: list[tuple[str, str, int, int]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(folder, delay, log), "127.0.0.1", 0, backlog=1000
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Served:
    """A running server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def counts(self) -> tuple[list[tuple[str, str, int, int]], float]:
        """Requests since the last call, (method, path, start, stop), and CPU seconds so far."""
        with urlopen(f"{self.address}/counts") as answer:
            told = json.load(answer)
        return [tuple(request) for request in told["requests"]], told["cpu"]


@contextmanager
def serving(folder: Path, delay: float) -> Iterator[Served]:
    """A server of a folder, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server", str(folder), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Served(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
