"""A proxy on loopback that counts requests and spoils the answers that a rule picks."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.tally import counts


@dataclass(frozen=True)
class Request:
    """What the proxy was asked for."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in small letters."""
    number: int
    """1 for the first request of all."""


@dataclass(frozen=True)
class Answer:
    """What the server behind the proxy answered, or what is to be sent in its place."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def head(self, length: int) -> bytes:
        kept = [h for h in self.headers if h[0].lower() not in _OWN]
        lines = [f"HTTP/1.1 {self.status} {_WORDS.get(self.status, 'Said')}"]
        lines += [f"{name}: {value}" for name, value in (*kept, ("Content-Length", str(length)))]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


_OWN = ("content-length", "transfer-encoding", "connection")
_WORDS = {200: "OK", 206: "Partial Content", 403: "Forbidden", 404: "Not Found",
          429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
          504: "Gateway Timeout", 507: "Insufficient Storage"}  # fmt: skip


class Fault:
    """What becomes of an answer. The server is asked unless `instead` says what to send."""

    def __init__(self, instead: Answer | None = None) -> None:
        self.instead = instead

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        """Send the answer, spoilt; return whether the connection can be used on."""
        writer.write(answer.head(len(answer.body)) + answer.body)
        await writer.drain()
        return True


def status(code: int, *headers: tuple[str, str], body: bytes = b"") -> Fault:
    return Fault(Answer(code, headers, body))


class Reset(Fault):
    """The connection is reset in place of an answer."""

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        _reset(writer)
        return False


class Truncated(Fault):
    """The connection ends in the middle of the body."""

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer.head(len(answer.body)) + answer.body[: len(answer.body) // 2])
        await writer.drain()
        return False


@dataclass
class Stalled(Fault):
    """Nothing more comes after the middle of the body, for some seconds."""

    seconds: float
    instead: Answer | None = None

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer.head(len(answer.body)) + answer.body[: len(answer.body) // 2])
        await writer.drain()
        await asyncio.sleep(self.seconds)
        return False


@dataclass
class Trickle(Fault):
    """The body comes in small pieces with pauses, never silent for long."""

    seconds: float
    """How long the whole body takes."""
    instead: Answer | None = None

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer.head(len(answer.body)))
        step = len(answer.body) // 20 + 1
        for start in range(0, len(answer.body), step):
            writer.write(answer.body[start : start + step])
            await writer.drain()
            await asyncio.sleep(self.seconds / 20)
        return True


class WrongLength(Fault):
    """A body that is half as long as the range that its headers promise, and says so."""

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        half = answer.body[: len(answer.body) // 2]
        writer.write(answer.head(len(half)) + half)
        await writer.drain()
        return True


class Corrupt(Fault):
    """Every 50th byte of the body is another one."""

    async def send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        body = bytearray(answer.body)
        body[7::50] = bytes(b ^ 0x5A for b in body[7::50])
        writer.write(answer.head(len(body)) + body)
        await writer.drain()
        return True


RETRY_AFTER = ("Retry-After", "1")
PASSING: dict[str, Callable[[], Fault]] = {
    **{str(code): partial(status, code) for code in (429, 500, 503, 504)},
    "429 with Retry-After": lambda: status(429, RETRY_AFTER),
    "503 with Retry-After": lambda: status(503, RETRY_AFTER),
    "connection reset": Reset,
    "truncated body": Truncated,
    "stalled body": lambda: Stalled(1.5),
    "slow trickle": lambda: Trickle(2.0),
    "wrong length": WrongLength,
}
"""Faults that pass, by their names in docs/reliability.md."""


def first(count: int, fault: Fault) -> Callable[[Request], Fault | None]:
    """A rule that spoils the first requests."""
    return lambda request: fault if request.number <= count else None


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Rule = Callable[[Request], Fault | None]
"""What to spoil: a fault for a request, or None to pass it on as it is."""


@dataclass
class Proxy:
    """The proxy; use it as a context manager. Requests reach the server byte by byte as they are.

    So signatures stay valid. Set ``rule`` at any time.
    """

    upstream: int
    """Port on loopback of the server behind."""
    rule: Rule = lambda _: None
    requests: list[Request] = field(default_factory=list)
    spoilt: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()

        def serve() -> None:
            self._loop.run_until_complete(self._start(started))
            self._loop.close()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _start(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._clients: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0)  # a connection that was accepted just now gets its task
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await asyncio.sleep(0)  # and closed ones get rid of their sockets

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            while True:
                raw, request = await self._read_request(reader)
                fault = self.rule(request)
                self.requests.append(request)
                if fault is not None:
                    self.spoilt.append(request)
                    counts["faults injected"] += 1
                answer = fault.instead if fault else None
                if answer is None:
                    behind[1].write(raw)
                    answer = await _read_answer(behind[0], request.method)
                if not await _send(answer, fault, request, writer):
                    return
        finally:
            behind[1].close()

    async def _read_request(self, reader: asyncio.StreamReader) -> tuple[bytes, Request]:
        head = await reader.readuntil(b"\r\n\r\n")
        first, headers = _parse(head)
        method, path, _ = first.split(" ", 2)
        if headers.get("expect"):
            raise ConnectionError("the proxy does not know Expect: 100-continue")
        body = await _read_body(reader, headers)
        return head + body, Request(method, path, headers, len(self.requests) + 1)


async def _send(
    answer: Answer, fault: Fault | None, request: Request, writer: asyncio.StreamWriter
) -> bool:
    if request.method == "HEAD" and not isinstance(fault, Reset):
        length = {name.lower(): value for name, value in answer.headers}.get("content-length", "0")
        writer.write(answer.head(int(length)))
        await writer.drain()
        return True
    return await (fault or Fault()).send(answer, writer)


async def _read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, headers = _parse(head)
    code = int(first.split(" ")[1])
    bare = method == "HEAD" or code in (204, 304)
    body = b"" if bare else await _read_body(reader, headers)
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    pairs = tuple((line.partition(":")[0], line.partition(":")[2].strip()) for line in lines)
    return Answer(code, pairs, body)


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    return first, {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """The body; only answers come in chunks."""
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        piece = await reader.readexactly(size + 2)
        if size == 0:
            return body
        body += piece[:-2]
