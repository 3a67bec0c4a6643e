"""Bytes of files, of servers and of buckets: the right ones, or an error that says why not."""

from __future__ import annotations

import contextlib
import gzip
import os
import pickle
import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import PlainHandler, serving, untrusted
from tests.strategies import examples
from tests.tally import shows
from timesync_xr.errors import (
    AccessError,
    CorruptAssetError,
    MissingAssetError,
    ReadError,
    ServiceError,
    TransientReadError,
)
from timesync_xr.storage import http
from timesync_xr.storage import objects as service
from timesync_xr.storage.access import S3, Access
from timesync_xr.storage.objects import read_ranges
from timesync_xr.storage.places import open_folder

ARCHIVE = "s3://usgs-landsat-ard"
BODY = b"II" + os.urandom(199_998)
QUICK = Access(s3=S3(max_retries=3, retry_seconds=5.0, timeout_seconds=2.0))
SECRET = "hunter2-very-secret"


def over_s3(server: Served, **options: Any) -> Access:
    """`QUICK`, with the server in the place of S3; the requester pays, as in an archive."""
    told: dict[str, Any] = {"endpoint": server.url, "requester_pays": True} | options
    return replace(QUICK, s3=replace(QUICK.s3, **told))


@pytest.fixture(autouse=True)
def _no_service_is_known() -> None:
    service._healths.clear()


@dataclass
class Served:
    """A server on loopback that answers ranges of `BODY`, counts, and misbehaves on request."""

    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    fault: Callable[[BaseHTTPRequestHandler, int], bool] = lambda handler, count: False

    @property
    def sent(self) -> int:
        ranges = [re.match(r"bytes=(\d+)-(\d+)", r) for _, _, r in self.requests]
        return sum(min(int(r[2]) + 1, len(BODY)) - int(r[1]) for r in ranges if r)


@pytest.fixture
def server() -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            asked = self.headers.get("range", "")
            served.requests.append((self.command, self.path, asked))
            served.headers.append({k.lower(): v for k, v in self.headers.items()})
            if served.fault(self, len(served.requests)):
                return
            found = re.match(r"bytes=(\d+)-(\d+)", asked)
            start, stop = (int(found[1]), int(found[2]) + 1) if found else (0, len(BODY))
            if "missing" in self.path:
                answer(self, 404, SECRET.encode())
            elif start >= len(BODY):
                answer(self, 416, b"")
            else:
                answer(self, 206, BODY[start:stop], start)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.do_GET()

        do_HEAD = do_GET  # noqa: N815 - as http.server wants it
        do_POST = do_PUT  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    served.url = f"http://127.0.0.1:{made.server_port}"
    yield served
    made.shutdown()
    made.server_close()


def answer(
    handler: BaseHTTPRequestHandler,
    code: int,
    body: bytes,
    start: int = 0,
    *,
    claim: int | None = None,
    told: int | None = None,
) -> None:
    """Sends an answer; headers may ``claim`` more than comes or have ``told`` another range."""
    length = len(body) if claim is None else claim
    handler.send_response(code)
    if code == 206:
        handler.send_header(
            "Content-Range", f"bytes {start}-{start + (told or length) - 1}/{len(BODY)}"
        )
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(body)
    if claim is not None:
        handler.wfile.flush()
        handler.connection.close()
        handler.close_connection = True


# Files


def test_ranges_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(BODY)
    ranges = [(0, 10), (5, 9), (199_000, 200_000)]
    assert read_ranges(str(path), ranges, Access()) == [BODY[a:b] for a, b in ranges]
    late = [(199_990, 200_010), (300_000, 300_001)]
    assert read_ranges(str(path), late, Access(), allow_short=True) == [BODY[-10:], b""]
    with pytest.raises(CorruptAssetError, match="ends before byte 200010"):
        read_ranges(str(path), late, Access())


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match="no such file"):
        read_ranges(str(tmp_path / "x"), [(0, 1)], Access())
    with pytest.raises(CorruptAssetError, match="folder"):
        read_ranges(str(tmp_path), [(0, 1)], Access())


# HTTP


@examples(40)
@given(
    ranges=st.lists(
        st.integers(0, 190_000).flatmap(
            lambda a: st.tuples(st.just(a), st.integers(a + 1, min(a + 30_000, 200_000)))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_ranges_over_http_equal_those_of_the_file(
    module_server: Served, ranges: list[tuple[int, int]]
) -> None:
    module_server.requests.clear()
    found = read_ranges(f"{module_server.url}/x", ranges, Access())
    assert found == [BODY[a:b] for a, b in ranges]
    assert {method for method, _, _ in module_server.requests} == {"GET"}
    assert module_server.sent <= 1.1 * sum(b - a for a, b in ranges)
    assert len(module_server.requests) <= len(ranges)


@pytest.fixture(scope="module")
def module_server() -> Iterator[Served]:
    yield from server.__wrapped__()  # type: ignore[attr-defined]


def test_ranges_that_lie_together_come_in_one_request(server: Served) -> None:
    near = [(1000, 30_000), (30_008, 60_000), (60_000, 90_000)]
    assert read_ranges(f"{server.url}/x", near, Access()) == [BODY[a:b] for a, b in near]
    assert server.requests == [("GET", "/x", "bytes=1000-89999")]


def test_short_answers_are_for_headers_only(server: Served) -> None:
    address = f"{server.url}/x"
    late = [(199_000, 216_000)]
    assert read_ranges(address, late, Access(), allow_short=True) == [BODY[199_000:]]
    with pytest.raises(CorruptAssetError, match="ends before byte 216000"):
        read_ranges(address, late, QUICK)
    with pytest.raises(CorruptAssetError, match="ends"):
        read_ranges(address, [(300_000, 300_001)], QUICK)


def test_path_is_encoded(server: Served) -> None:
    read_ranges(f"{server.url}/a b/x?y.tif", [(0, 1)], Access())
    assert server.requests[0][1] == "/a%20b/x%3Fy.tif"


def status(code: int) -> Callable[[BaseHTTPRequestHandler, int], bool]:
    def fault(handler: BaseHTTPRequestHandler, count: int) -> bool:
        answer(handler, code, SECRET.encode())
        return True

    return fault


def reset(handler: BaseHTTPRequestHandler, count: int) -> bool:
    handler.connection.close()
    handler.close_connection = True
    return True


def truncated(handler: BaseHTTPRequestHandler, count: int) -> bool:
    answer(handler, 206, BODY[:400], claim=1000)
    return True


def too_short(handler: BaseHTTPRequestHandler, count: int) -> bool:
    answer(handler, 206, BODY[:400], told=1000)
    return True


def stalled(handler: BaseHTTPRequestHandler, count: int) -> bool:
    time.sleep(1.5)
    return reset(handler, count)


FAULTS = {
    "429": status(429),
    "500": status(500),
    "503": status(503),
    "504": status(504),
    "520": status(520),
    "599": status(599),
    "reset": reset,
    "truncated": truncated,
    "too short": too_short,
}


@pytest.mark.parametrize("name", FAULTS)
def test_passing_faults_are_overcome(server: Served, name: str) -> None:
    server.fault = lambda handler, count: count <= 2 and FAULTS[name](handler, count)
    assert read_ranges(f"{server.url}/x", [(0, 1000)], QUICK) == [BODY[:1000]]
    assert len(server.requests) == 3


def test_a_silent_server_is_asked_again(server: Served) -> None:
    server.fault = lambda handler, count: count == 1 and stalled(handler, count)
    access = Access(s3=S3(max_retries=3, retry_seconds=5, timeout_seconds=1))
    assert read_ranges(f"{server.url}/x", [(0, 1000)], access) == [BODY[:1000]]


@pytest.mark.parametrize("name", FAULTS)
def test_lasting_faults_end_after_the_retries(server: Served, name: str) -> None:
    server.fault = FAULTS[name]
    expected = CorruptAssetError if name == "too short" else TransientReadError
    with pytest.raises(expected) as caught:
        read_ranges(f"{server.url}/x", [(0, 1000)], QUICK)
    assert len(server.requests) == (3 if name == "too short" else QUICK.s3.max_retries + 1)
    assert SECRET not in str(caught.value)
    assert caught.value.asset == f"{server.url}/x"
    if name.isdecimal():
        assert name in caught.value.cause


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (401, ReadError, "denies access"),
        (403, ReadError, "denies access"),
        (404, MissingAssetError, "nothing lies"),
        (416, CorruptAssetError, "ends too early"),
    ],
)
def test_lasting_answers_are_not_asked_for_again(
    server: Served, code: int, error: type[Exception], message: str
) -> None:
    server.fault = status(code)
    with pytest.raises(error, match=message) as caught:
        read_ranges(f"{server.url}/x?token={SECRET}", [(0, 1000)], QUICK)
    assert len(server.requests) == 1
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "http://no-such-host.invalid/x"])
def test_no_network(address: str) -> None:
    with pytest.raises(AccessError, match="can't be reached") as caught:
        read_ranges(address, [(0, 1)], Access(s3=S3(max_retries=1, retry_seconds=1)))
    copy = pickle.loads(pickle.dumps(caught.value))  # as workers hand it on
    assert isinstance(copy, AccessError)
    assert str(copy) == str(caught.value)


def test_a_service_beside_the_archive_stops_nothing(server: Served, tmp_path: Path) -> None:
    """One item that lies elsewhere is no reason to give up the others."""
    elsewhere = "https://no-such-host.invalid/x"
    quick = Access(s3=S3(max_retries=0, retry_seconds=1))
    with pytest.raises(AccessError, match="can't be reached"):
        read_ranges(elsewhere, [(0, 1)], quick)
    with pytest.raises(
        ReadError, match=r"can't be reached\. Check the network.*leave the item out"
    ):
        read_ranges(elsewhere, [(0, 1)], replace(quick, mirrors=((ARCHIVE, str(tmp_path)),)))
    read_ranges(f"{server.url}/x", [(0, 1)], quick)
    with pytest.raises(ReadError, match="can't be reached"):
        read_ranges(elsewhere, [(0, 1)], quick)
    server.fault = status(403)
    mirrored = replace(quick, mirrors=((ARCHIVE, server.url),))
    with pytest.raises(AccessError, match="denies access"):
        read_ranges(f"{server.url}/x", [(0, 1)], quick)
    with pytest.raises(AccessError, match="denies access"):
        read_ranges(f"{server.url}/x", [(0, 1)], mirrored)


def denied(part: str) -> Callable[[BaseHTTPRequestHandler, int], bool]:
    """Deny what has this part in its path."""
    return lambda handler, count: part in handler.path and status(403)(handler, count)


def errors_of(url: str, names: list[str], access: Access = QUICK) -> list[str]:
    """The class and kind of the error that each file gives, "" where it can be read."""
    told = []
    for name in names:
        try:
            read_ranges(f"{url}/{name}", [(0, 1)], access)
            told.append("")
        except (ReadError, AccessError) as error:
            told.append(f"{type(error).__name__} {error.kind}")
    return told


@pytest.mark.parametrize("order", [["bad", "x", "bad"], ["x", "bad", "y"], ["bad", "bad", "x"]])
def test_a_denied_file_is_an_error_of_its_own_whoever_meets_it_first(
    server: Served, tmp_path: Path, order: list[str]
) -> None:
    """Also one that has other mirrors."""
    server.fault = denied("bad")
    expected = ["ReadError denied" if name == "bad" else "" for name in order]
    assert errors_of(server.url, order) == expected
    neighbour = replace(QUICK, mirrors=((ARCHIVE, str(tmp_path)),))
    assert errors_of(server.url, ["bad"], neighbour) == ["ReadError denied"]
    with pytest.raises(ReadError, match="denies access to it alone"):
        read_ranges(f"{server.url}/bad", [(0, 1)], neighbour)


def test_a_service_that_denies_all_is_told_after_some_addresses(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once that is known every file says so; what was denied before counts once."""
    server.fault = denied("")
    some = [f"x{number}" for number in range(service._DENIED - 1)]
    assert errors_of(server.url, some + some) == ["ReadError denied"] * 2 * len(some)
    assert errors_of(server.url, ["y", "z", *some[:2]]) == ["DenialError denied"] * 4
    assert len(server.requests) == 2 * len(some) + 1  # and is not asked for what waits already
    monkeypatch.setattr(service, "_BARRED", 0.0)
    server.fault = denied("bad")  # it was let in meanwhile
    assert errors_of(server.url, ["y", "bad"]) == ["", "ReadError denied"]


@pytest.mark.parametrize("mirrors", [((ARCHIVE, "http://127.0.0.1:9"),), ()], ids=["other", "no"])
def test_what_worked_for_another_archive_tells_nothing_of_this_one(
    server: Served, mirrors: tuple[tuple[str, str], ...]
) -> None:
    """Else one that is away would be taken for a place beside the archive."""
    quick = replace(QUICK, s3=replace(QUICK.s3, max_retries=0))
    before = replace(quick, mirrors=((ARCHIVE, server.url),))
    assert errors_of(server.url, ["x"], before) == [""]
    now = replace(quick, mirrors=mirrors)
    assert errors_of("http://127.0.0.1:9", ["x"], now) == ["ServiceError unreachable"]


def test_a_service_that_denies_what_it_gave_before_is_told_at_once(server: Served) -> None:
    assert errors_of(server.url, ["x"]) == [""]
    server.fault = denied("")
    assert errors_of(server.url, ["y"]) == ["DenialError denied"]


CODES = {
    (400, "ExpiredToken"): "credentials",
    (400, "InvalidToken"): "credentials",
    (403, "InvalidAccessKeyId"): "credentials",
    (403, "SignatureDoesNotMatch"): "credentials",
    (403, "RequestTimeTooSkewed"): "credentials",
    (400, "AuthorizationHeaderMalformed"): "access",
    (301, "PermanentRedirect"): "access",
    (404, "NoSuchBucket"): "missing",
    (403, "QuotaExceeded"): "no_room",
    (507, "Anything"): "no_room",
    (401, "AccessDenied"): "denied",
    (403, "AccessDenied"): "denied",
    (403, ""): "denied",
    (200, "Anything"): "no_ranges",
    (404, "NoSuchKey"): "missing",
    (416, "InvalidRange"): "corrupt",
    (400, "Anything"): "denied",
    (400, "RequestTimeout"): "transient",
    (403, "InvalidObjectState"): "denied",
    (503, "SlowDown"): "transient",
    (407, ""): "credentials",
    (511, ""): "credentials",
}
OF_ALL = [code for code in CODES if CODES[code] in ("credentials", "access", "no_room")]


def code_of_s3(status: int, code: str) -> Callable[[BaseHTTPRequestHandler, int], bool]:
    def fault(handler: BaseHTTPRequestHandler, count: int) -> bool:
        answer(handler, status, f"<Error><Code>{code}</Code>{SECRET}</Error>".encode())
        return True

    return fault


@pytest.mark.parametrize(("code", "kind"), CODES.items(), ids=str)
def test_what_a_service_answers_has_its_kind(
    server: Served, keys: None, code: tuple[int, str], kind: str
) -> None:
    server.fault = code_of_s3(*code)
    access = over_s3(server, max_retries=0)
    with pytest.raises((ReadError, AccessError)) as caught:
        read_ranges("s3://bucket/x", [(0, 1)], access)
    assert caught.value.kind == kind
    of_all = code in OF_ALL or code == (404, "NoSuchBucket") or kind == "no_ranges"
    assert isinstance(caught.value, ServiceError) == of_all
    assert SECRET not in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))  # as workers hand it on
    assert (type(copy), str(copy), copy.kind) == (type(caught.value), str(caught.value), kind)


@pytest.mark.parametrize("code", [*OF_ALL, (401, ""), (403, "AccessDenied")], ids=str)
def test_listings_and_uploads_tell_the_same(
    server: Served, keys: None, code: tuple[int, str]
) -> None:
    """obstore has other classes there, or none."""
    server.fault = code_of_s3(*code)
    folder = open_folder("s3://bucket/p", over_s3(server, max_retries=0).s3)
    for work in (lambda: folder.names("x"), lambda: folder.write("x", b"")):
        with pytest.raises(AccessError) as caught:
            work()
        assert caught.value.kind == CODES.get(code, "denied")
        assert SECRET not in str(caught.value)


def test_a_removal_that_is_denied_says_so(server: Served, keys: None) -> None:
    """Here S3 says it in an answer that is a success."""
    told = (
        f"<DeleteResult><Error><Key>p/x</Key><Code>AccessDenied</Code><Message>{SECRET}</Message>"
    )

    def refuse(handler: BaseHTTPRequestHandler, count: int) -> bool:
        answer(handler, 200, f"{told}</Error></DeleteResult>".encode())
        return True

    server.fault = refuse
    folder = open_folder("s3://bucket/p", over_s3(server, max_retries=0).s3)
    with pytest.raises(AccessError, match=r"denies access.*--out-profile") as caught:
        folder.remove("x")
    assert caught.value.kind == "denied"
    assert SECRET not in str(caught.value)


@shows(["expired credentials", "no such bucket"], "archive")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ExpiredToken", "the credentials have expired. Renew them"),
        ("NoSuchBucket", "no such bucket"),
    ],
)
def test_what_a_bucket_says_of_all(server: Served, keys: None, code: str, message: str) -> None:
    """Also in the middle of a run."""
    access = over_s3(server)
    read_ranges("s3://bucket/x", [(0, 1)], access)

    def refuse(handler: BaseHTTPRequestHandler, count: int) -> bool:
        answer(handler, 400, f"<Error><Code>{code}</Code>{SECRET}</Error>".encode())
        return True

    server.fault = refuse
    with pytest.raises(AccessError, match=message) as caught:
        read_ranges("s3://bucket/x", [(0, 1)], access)
    assert SECRET not in str(caught.value)


def test_where_obstore_panics_the_address_is_malformed() -> None:
    """That is no `Exception`, and would end the whole run with a traceback."""
    panic = type("PanicException", (BaseException,), {})

    def call(_store: object, _path: str) -> None:
        raise panic("request valid: InvalidUri")

    with pytest.raises(ReadError, match="the address is malformed"):
        service.request(call, "https://127.0.0.1:9/x", QUICK)


def test_forked_process_is_told_instead_of_hanging(server: Served) -> None:
    read_ranges(f"{server.url}/x", [(0, 1)], Access())
    try:
        service._after_fork()
        with pytest.raises(AccessError, match=r"forked.*'spawn'"):
            read_ranges(f"{server.url}/x", [(0, 1)], Access())
    finally:
        service._forked.clear()


# S3


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    service._store.cache_clear()


def test_s3_request_is_signed_and_pays(server: Served, keys: None) -> None:
    access = over_s3(server, aws_region="eu-central-1")
    ranges = [(0, 50), (60, 100)]
    assert read_ranges("s3://bucket/a/x.tif", ranges, access) == [BODY[:50], BODY[60:100]]
    assert {(method, path) for method, path, _ in server.requests} == {("GET", "/bucket/a/x.tif")}
    for headers in server.headers:
        assert headers["x-amz-request-payer"] == "requester"
        assert "AKIDEXAMPLE" in headers["authorization"]
        assert "/eu-central-1/s3/" in headers["authorization"]


def test_s3_unsigned_and_without_paying(server: Served, keys: None) -> None:
    access = over_s3(server, unsigned=True, requester_pays=False)
    read_ranges("s3://bucket/x.tif", [(0, 50)], access)
    assert "authorization" not in server.headers[0]
    assert "x-amz-request-payer" not in server.headers[0]


def test_s3_denial_says_what_to_set(server: Served, keys: None) -> None:
    server.fault = status(403)
    with pytest.raises(ReadError, match=r"AWS_ACCESS_KEY_ID.*--profile.*--unsigned") as caught:
        read_ranges("s3://bucket/x.tif", [(0, 50)], over_s3(server))
    assert caught.value.kind == "denied"
    assert SECRET not in str(caught.value)
    assert "AKIDEXAMPLE" not in str(caught.value)


def test_s3_without_credentials(
    server: Served, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AccessError, match="no credentials were found"):
        read_ranges("s3://bucket/x.tif", [(0, 50)], over_s3(server))
    assert not server.requests


def test_profile_of_the_aws_files(
    server: Served, keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3", reason="boto3, which reads profiles, is not installed")
    file = tmp_path / "credentials"
    file.write_text(f"[lab]\naws_access_key_id = AKIDLAB\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    access = over_s3(server, profile="lab")
    read_ranges("s3://bucket/x.tif", [(0, 50)], access)
    assert "AKIDLAB" in server.headers[0]["authorization"]
    with pytest.raises(AccessError, match="profile other gives no credentials"):
        read_ranges("s3://b/x", [(0, 5)], over_s3(server, profile="other"))


@shows("a page in place of the file", "one asset")
@shows("no parts of files", "archive")
def test_a_server_of_whole_files_is_told_from_a_file_that_is_one() -> None:
    """A page in place of a file costs one asset; a server that knows no ranges ends the run."""

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802
            if self.path == "/good":
                self.reply(206, b"x", ("Content-Range", "bytes 0-0/9"))
            else:
                self.reply(200, b"<html>" if self.path == "/page" else BODY)

    with serving(Handler) as port:
        url = f"http://127.0.0.1:{port}"
        for _ in range(2):
            with pytest.raises(ReadError, match="shows a page in place of the file"):
                read_ranges(f"{url}/page", [(0, 1)], QUICK)
            with pytest.raises((AccessError, ReadError), match="does not give parts") as caught:
                read_ranges(f"{url}/whole", [(0, 1)], QUICK)
            assert isinstance(caught.value, ReadError) == bool(service._healths[key(url)].good)
            assert read_ranges(f"{url}/good", [(0, 1)], QUICK) == [b"x"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC ''>", "shows a page"),
        ("\ufeff <!-- a -->\n<html>", "shows a page"),
        ('{"error": "log in"}', "shows a page"),
        (gzip.compress(b"II*\0", mtime=0), "packs it on its way"),
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
@shows("a page in place of the file", "one asset")
def test_texts_in_place_of_a_file_are_told(text: str | bytes, told: str, coding: str) -> None:
    body = text if isinstance(text, bytes) else text.encode(coding)
    packs = [("Content-Encoding", "gzip")] if body is text else []

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.reply(200, body, *packs)

    with serving(Handler) as port, pytest.raises(ReadError, match=told):
        read_ranges(f"http://127.0.0.1:{port}/x", [(5, 9)], QUICK)


def key(url: str) -> tuple[str, S3]:
    return url, QUICK.s3


# What lasts


def test_a_part_of_what_is_shorter_by_now_is_not_asked_for_again(server: Served) -> None:
    """As a server may say that has another file in its place: 206, and of fewer bytes in all."""
    server.fault = part_of("Content-Length: 40", "Content-Range: bytes 0-39/40")
    with pytest.raises(CorruptAssetError, match="it ends too early"):
        read_ranges(f"{server.url}/x", [(100, 200)], QUICK)
    assert len(server.requests) == 1


def part_of(*told: str) -> Callable[[BaseHTTPRequestHandler, int], bool]:
    """An answer of a thousand bytes with these headers and no other."""

    def fault(handler: BaseHTTPRequestHandler, count: int) -> bool:
        lines = ["HTTP/1.1 206 Partial Content", "Connection: close", *told, "", ""]
        handler.wfile.write("\r\n".join(lines).encode() + BODY[:1000])
        handler.close_connection = True
        return True

    return fault


LENGTH, RANGE = "Content-Length: 1000", "Content-Range: bytes 0-999/200000"
ODD_PARTS = {
    "no length": part_of(RANGE),
    "no range": part_of(LENGTH),
    "another range": part_of(LENGTH, RANGE.replace("0-999", "1000-1999")),
    "less of the range": part_of("Content-Length: 400", RANGE.replace("999", "399")),
    "no total": part_of(LENGTH, RANGE.replace("200000", "*")),
}


def place_of(server: Served, scheme: str) -> str:
    return "s3://bucket" if scheme == "s3" else server.url


@pytest.mark.parametrize("scheme", ["s3", "http"])
@pytest.mark.parametrize("name", ODD_PARTS)
@shows("odd parts of files", "archive")
def test_parts_that_do_not_tell_what_they_are(
    server: Served, keys: None, name: str, scheme: str
) -> None:
    """They are not asked for again; where the service gives others, they cost one asset."""
    place, access = place_of(server, scheme), over_s3(server)
    server.fault = ODD_PARTS[name]
    with pytest.raises(ServiceError, match="gives other parts of files") as caught:
        read_ranges(f"{place}/x", [(0, 1000)], access)
    assert caught.value.kind == "no_ranges"
    assert "again" not in str(caught.value)
    assert len(server.requests) == 1
    server.fault = lambda handler, count: "/x" in handler.path and ODD_PARTS[name](handler, count)
    read_ranges(f"{place}/good", [(0, 1000)], access)
    with pytest.raises(ReadError, match="gives other parts of files"):
        read_ranges(f"{place}/x", [(0, 1000)], access)


@pytest.mark.parametrize("scheme", ["s3", "http"])
@pytest.mark.parametrize(
    "code",
    [304, 400, 402, 405, 406, 410, 412, 419, 422, 451, 499, 501, 505, 506, 508, 510, 525],
)
@shows(["400", "405", "410", "412", "451", "501", "505", "508"], "one asset")
def test_refusals_last(server: Served, keys: None, code: int, scheme: str) -> None:
    place, access = place_of(server, scheme), over_s3(server, max_retries=1)
    server.fault = lambda handler, count: "/x" in handler.path and status(code)(handler, count)
    for known in (False, True):
        with pytest.raises(ReadError) as caught:
            read_ranges(f"{place}/x{known}", [(0, 1000)], access)
        assert caught.value.kind == ("missing" if code == 410 else "denied")
        assert (f"{code}" in caught.value.cause) == (code != 410)
        assert "again" not in str(caught.value)
        assert SECRET not in str(caught.value)
        asked = [path for _, path, _ in server.requests if f"x{known}" in path]
        assert len(asked) == 1
        read_ranges(f"{place}/good", [(0, 1000)], access)


@pytest.mark.parametrize("code", [400, 412, 501])
def test_a_service_that_refuses_all_is_told_after_some_addresses(server: Served, code: int) -> None:
    server.fault = status(code)
    access = replace(QUICK, s3=replace(QUICK.s3, max_retries=0))
    told = errors_of(server.url, [str(n) for n in range(40)], access)
    assert "ServiceError denied" in told
    assert told.index("ServiceError denied") == service._DENIED - 1
    with pytest.raises(ServiceError, match=rf"/more: the server refuses the request \({code} "):
        read_ranges(f"{server.url}/more", [(0, 1)], access)


@shows("an archived object", "one asset")
def test_an_archived_object_says_so(server: Served, keys: None) -> None:
    access = over_s3(server)
    told = code_of_s3(403, "InvalidObjectState")
    server.fault = lambda handler, count: "/x" in handler.path and told(handler, count)
    for _ in range(2):
        with pytest.raises(ReadError, match=r"it is archived.*Restore it in its bucket") as caught:
            read_ranges("s3://bucket/x", [(0, 1)], access)
        assert "again" not in str(caught.value)
        read_ranges("s3://bucket/good", [(0, 1)], access)


def elsewhere(code: int, *headers: str, body: str = "") -> Callable[..., bool]:
    """What S3 answers for a bucket of another region."""

    def fault(handler: BaseHTTPRequestHandler, count: int) -> bool:
        text = f"<Error>{body}{SECRET}</Error>".encode()
        lines = [f"HTTP/1.1 {code} Said", *headers, f"Content-Length: {len(text)}", "", ""]
        handler.wfile.write("\r\n".join(lines).encode())
        if handler.command != "HEAD":
            handler.wfile.write(text)
        return True

    return fault


SAID = "x-amz-bucket-region: eu-west-1"
MALFORMED = "<Code>AuthorizationHeaderMalformed</Code>"
REGIONS = [
    (elsewhere(301, SAID, body="<Code>PermanentRedirect</Code>"), "eu-west-1"),
    (elsewhere(307, SAID, body="<Code>TemporaryRedirect</Code>"), "eu-west-1"),
    (elsewhere(400, SAID, body=MALFORMED), "eu-west-1"),
    (elsewhere(400, body=f"{MALFORMED}<Region>us-gov-east-1</Region>"), "us-gov-east-1"),
    (elsewhere(301, body="<Code>PermanentRedirect</Code>"), ""),
    (elsewhere(301, f"x-amz-bucket-region: {SECRET}"), ""),
]


@pytest.mark.parametrize(("fault", "region"), REGIONS)
@shows("another region", "archive", "output")
def test_a_bucket_of_another_region_names_it(
    server: Served, keys: None, fault: Callable[..., bool], region: str
) -> None:
    """At once and without a retry, whatever is asked of it; the option is named, too."""
    http.region_of.cache_clear()
    server.fault = fault
    access = over_s3(server)
    folder = open_folder("s3://bucket/p", access.s3)
    for work in (
        lambda: read_ranges("s3://bucket/x", [(0, 1)], access),
        lambda: folder.write("x", b""),
    ):
        server.requests.clear()
        with pytest.raises(ServiceError) as caught:
            work()
        message = str(caught.value)
        assert f"in another region{region and f', {region}'}. " in message
        assert f"--aws-region {region or 'NAME'} or S3(aws_region=...)" in message
        assert "again later" not in message
        assert SECRET not in message
        assert len([method for method, *_ in server.requests if method != "HEAD"]) == 1


def test_where_a_bucket_lies_is_not_asked_for_ever(keys: None) -> None:
    http.region_of.cache_clear()
    assert http.region_of("bucket", S3(endpoint="http://127.0.0.1:9")) == ""


# Whole files


class WholeHandler(PlainHandler):
    """Answers as Tornado does: a range that asks for all of a file is as good as none."""

    files: dict[str, bytes]
    sent: list[int]

    def do_GET(self) -> None:  # noqa: N802
        body = self.files[self.path]
        found = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        start, stop = (int(found[1]), min(int(found[2]) + 1, len(body))) if found else (0, None)
        if stop is None or (start, stop) == (0, len(body)):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for first in range(0, len(body), 2**16):
                self.wfile.write(body[first : first + 2**16])
                self.sent.append(2**16)
        else:
            told = f"bytes {start}-{stop - 1}/{len(body)}"
            self.reply(206, body[start:stop], ("Content-Range", told))


@pytest.mark.parametrize("length", [1, 900, 16_383, 16_384, 16_385, 100_000])
@shows("a small file whole", "archive")
def test_a_small_file_that_comes_whole_is_read(length: int) -> None:
    class Handler(WholeHandler):
        files, sent = {"/a%20b/x%3Fy.tif": BODY[:length]}, []

    with serving(Handler) as port:
        address = f"http://127.0.0.1:{port}/a b/x?y.tif"
        head = read_ranges(address, [(0, 16_384)], QUICK, allow_short=True)
        assert head == [BODY[: min(length, 16_384)]]
        assert read_ranges(address, [(0, length)], QUICK) == [BODY[:length]]
        with pytest.raises(CorruptAssetError, match=f"it ends before byte {length + 9}"):
            read_ranges(address, [(0, length + 9)], QUICK)


def test_a_large_file_that_comes_whole_is_left() -> None:
    class Handler(WholeHandler):
        files, sent = {"/x": bytes(2**26)}, []

        def do_GET(self) -> None:  # noqa: N802
            del self.headers["range"]
            with contextlib.suppress(ConnectionError):
                super().do_GET()

    with serving(Handler) as port, pytest.raises(ServiceError, match="does not give parts"):
        read_ranges(f"http://127.0.0.1:{port}/x", [(0, 16_384)], QUICK)
    assert sum(Handler.sent) < 2**25  # two answers, of which buffers of the system hold a part


@pytest.mark.parametrize("length", [True, False])
@shows("a login in place of the file", "one asset", "archive")
def test_a_login_in_place_of_a_file_says_so(length: bool) -> None:
    text = b"\n<!DOCTYPE html><form><input type=password>" + SECRET.encode()

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802
            if self.path == "/good":
                self.reply(206, b"x", ("Content-Range", "bytes 0-0/9"))
            elif self.path != "/login":
                self.reply(302, b"", ("Location", f"http://localhost:{port}/login"))
            elif length:
                self.reply(200, text, ("Content-Type", "text/html"))
            else:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + text)
                self.close_connection = True

    with serving(Handler) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(ReadError) as caught:
            read_ranges(f"{url}/x", [(0, 16_384)], QUICK, allow_short=True)
        assert "leads to a page of localhost" in caught.value.cause
        assert "asks for a login" in caught.value.cause
        assert re.search(r"in S3 \(alternate\).*--mirror OLD=NEW", caught.value.remedy)
        assert caught.value.kind == "denied"
        told = errors_of(url, [str(n) for n in range(20)])
        assert told.index("ServiceError denied") == service._DENIED - 2
        with pytest.raises(ServiceError, match=r"/more: .* asks for a login"):
            read_ranges(f"{url}/more", [(0, 1)], QUICK)
        service._healths.clear()
        read_ranges(f"{url}/good", [(0, 1)], QUICK)
        with pytest.raises(ReadError, match="asks for a login") as caught:
            read_ranges(f"{url}/x", [(0, 1)], QUICK)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (202, TransientReadError, "yet to make it ready"),
        (204, ReadError, "refuses the request .204"),
        (404, MissingAssetError, "nothing lies at this address"),
        (451, ReadError, "refuses the request .451"),
        (503, TransientReadError, "the service failed: 503"),
        (511, ServiceError, "the network asks for a login"),
    ],
)
def test_a_small_file_that_another_status_comes_for(
    code: int, error: type[Exception], told: str
) -> None:
    """The range is answered by 200, the whole file then by something else."""

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802
            ranged = "range" in {name.lower() for name in self.headers}
            self.reply(200 if ranged else code, b"" if code == 204 else SECRET.encode())

    with serving(Handler) as port, pytest.raises(error, match=told) as caught:
        read_ranges(f"http://127.0.0.1:{port}/x", [(0, 5)], QUICK)
    assert SECRET not in str(caught.value)
    assert ("again" in str(caught.value)) == (code in (202, 503, 511))


@pytest.mark.parametrize(
    ("leads", "told"),
    [("/x", "leads in a circle"), ("ftp://127.0.0.1/x", "an address that is none of http")],
)
def test_redirects_that_end_nowhere_last(server: Served, leads: str, told: str) -> None:
    def lead(handler: BaseHTTPRequestHandler, count: int) -> bool:
        handler.send_response(302)
        handler.send_header("Location", leads)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    server.fault = lead
    with pytest.raises(ReadError, match=told) as caught:
        read_ranges(f"{server.url}/x", [(0, 5)], QUICK)
    assert caught.value.kind == "denied"
    assert "again" not in str(caught.value)
    assert len(server.requests) <= 11  # no second try: a circle is gone round for 10 redirects


class Plain(socketserver.BaseRequestHandler):
    """Answers whatever comes in plain text."""

    def handle(self) -> None:
        self.request.recv(1)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@shows("no trusted certificate or no https", "archive")
def test_servers_without_a_trusted_certificate_are_told(tmp_path: Path) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as plain:
        threading.Thread(target=plain.serve_forever, args=(0.01,), daemon=True).start()
        address = f"https://127.0.0.1:{plain.server_address[1]}/x"
        with pytest.raises(ServiceError, match=r"not speak https.*http:// may be") as caught:
            read_ranges(address, [(0, 5)], QUICK)
        plain.shutdown()
    assert caught.value.kind == "unreachable"
    with serving(PlainHandler, untrusted(tmp_path)) as port:
        with pytest.raises(ServiceError, match="certificate is not trusted") as caught:
            read_ranges(f"https://127.0.0.1:{port}/x", [(0, 5)], QUICK)
        assert caught.value.kind == "unreachable"
        assert "again" not in str(caught.value)
