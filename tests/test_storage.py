from __future__ import annotations

import os
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import PlainHandler, serving
from tests.tally import shows
from timesync_xr.errors import (
    AccessError,
    CorruptAssetError,
    InputError,
    MissingAssetError,
    ReadError,
    ServiceError,
    TransientReadError,
)
from timesync_xr.storage import objects as service
from timesync_xr.storage.access import Access, access_for, clean, keepable, without_secrets
from timesync_xr.storage.objects import read_ranges
from timesync_xr.storage.places import open_folder

ARCHIVE = "s3://usgs-landsat-ard"
BODY = os.urandom(200_000)
QUICK = Access(max_retries=3, retry_seconds=5.0, timeout_seconds=2.0)
SECRET = "hunter2-very-secret"


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


# Addresses


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """tmp/ard/a/x.tif, tmp/ard-evil/x.tif, tmp/secret.txt and links out of tmp/ard."""
    for name in ("ard/a/x.tif", "ard-evil/x.tif", "secret.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(BODY)
    (tmp_path / "ard/out.tif").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "ard/outside").symlink_to(tmp_path / "ard-evil")
    (tmp_path / "ard/in.tif").symlink_to(tmp_path / "ard/a/x.tif")
    (tmp_path / "link").symlink_to(tmp_path / "ard")
    return tmp_path


def test_mirror_leads_to_a_folder(archive: Path) -> None:
    access = Access(mirrors=((ARCHIVE, str(archive / "ard")),))
    assert access.resolve(f"{ARCHIVE}/a/x.tif") == str(archive / "ard/a/x.tif")
    assert access.resolve(f"{ARCHIVE}/in.tif") == str(archive / "ard/a/x.tif")
    assert access.resolve("s3://usgs-landsat-ard-evil/x.tif") == "s3://usgs-landsat-ard-evil/x.tif"


def test_mirror_folder_may_be_a_link_or_relative(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(mirrors=((ARCHIVE, str(archive / "link")),))
    assert access.resolve(f"{ARCHIVE}/a/x.tif") == str(archive / "ard/a/x.tif")
    monkeypatch.chdir(archive)
    for relative in ("ard", "./ard/", "ard/../ard"):
        access = Access(mirrors=((ARCHIVE + "/", relative),))
        assert access.resolve(f"{ARCHIVE}/a/x.tif") == str(archive / "ard/a/x.tif")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("s3://mine/copy", "s3://mine/copy/k/B%204.TIF"),
        ("s3://mine/", "s3://mine/k/B%204.TIF"),
        ("https://cache.example.org/ard", "https://cache.example.org/ard/k/B%204.TIF"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/k/B%204.TIF"),
    ],
)
def test_mirror_leads_to_another_place(new: str, expected: str) -> None:
    assert Access(mirrors=((ARCHIVE, new),)).resolve(f"{ARCHIVE}/k/B%204.TIF") == expected


def test_path_of_a_web_address_is_decoded_once(archive: Path) -> None:
    direct = Access().resolve("https://host.example.org/a%20b/x%2541.tif")
    assert direct == "https://host.example.org/a b/x%41.tif"
    mirrored = Access(mirrors=(("https://host.example.org", "s3://mine"),))
    assert mirrored.resolve("https://host.example.org/a%20b/x.tif") == "s3://mine/a b/x.tif"


def test_longest_mirror_wins() -> None:
    mirrors = ((ARCHIVE, "s3://one"), (f"{ARCHIVE}/collection02/tm", "s3://two"))
    for order in (mirrors, mirrors[::-1]):
        access = Access(mirrors=order)
        assert access.resolve(f"{ARCHIVE}/collection02/tm/x") == "s3://two/x"
        assert access.resolve(f"{ARCHIVE}/collection02/tm2/x") == "s3://one/collection02/tm2/x"


def test_files_of_the_items_folder(archive: Path) -> None:
    access = Access(folder=str(archive / "ard"))
    expected = str(archive / "ard/a/x.tif")
    for href in ("a/x.tif", "./a/x.tif", expected, f"file://{expected}", "in.tif"):
        assert access.resolve(href) == expected


@pytest.mark.parametrize(
    "href",
    [
        "/vsicurl/http://host/x.tif",
        "/vsis3/bucket/x.tif",
        "vsimem://x",
        "file:///etc/passwd",
        "file://other/ard/a/x.tif",
        "/etc/passwd",
        "ftp://host/x.tif",
        "gs://bucket/x.tif",
        "HTTP://host.example.org/x.tif",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/x.tif",
        "https://10.1.2.3/x.tif",
        "https://[::1]/x.tif",
        "https://[fd00:ec2::254]/x.tif",
        "https://[::ffff:127.0.0.1]/x.tif",
        "https://2130706433/x.tif",
        "https://0x7f.1/x.tif",
        "https://127.1/x.tif",
        "https://localhost/x.tif",
        "https://127.0x0.0.1/x.tif",
        "https://%6cocalhost.example/x.tif",
        "https://127.0.0.1\\.example.org/x.tif",
        "https://\uff11\uff12\uff17.0.0.1/x.tif",
        "https://127.0.0.1./x.tif",
        "https://[::1/x.tif",
        "https://host.example.org:/x.tif",
        "https://metadata.google.internal/x.tif",
        "https://user:password@host.example.org/x.tif",
        "https://host.example.org/x.tif?X-Amz-Signature=hunter2",
        "https:///x.tif",
        "s3:///x.tif",
        "../secret.txt",
        "a/../../secret.txt",
        "a/%2e%2e/%2e%2e/secret.txt",
        f"{ARCHIVE}/../secret.txt",
        f"{ARCHIVE}/out.tif",
        f"{ARCHIVE}/outside/x.tif",
        f"{ARCHIVE}//etc/passwd/../x",
        "out.tif",
        "outside/x.tif",
        "x\0.tif",
        "https://host.example.org/a\nb",
        "",
    ],
)
def test_addresses_that_are_refused(archive: Path, href: str) -> None:
    access = Access(mirrors=((ARCHIVE, str(archive / "ard")),), folder=str(archive / "ard"))
    with pytest.raises(ReadError, match="refused") as caught:
        access.resolve(href)
    assert "--mirror" in caught.value.remedy
    assert "hunter2" not in str(caught.value)
    assert "password" not in str(caught.value) or "etc" in href


def test_files_are_refused_where_the_items_come_from_no_folder(archive: Path) -> None:
    for href in ("x.tif", str(archive / "ard/a/x.tif")):
        with pytest.raises(ReadError, match="refused"):
            Access().resolve(href)


def test_a_scheme_in_capitals_is_the_same() -> None:
    assert Access().resolve("S3://bucket/a%20b") == "s3://bucket/a%20b"
    assert Access().resolve("HTTPS://host.org/a%20b") == "https://host.org/a b"


def test_an_address_below_a_mirror_may_be_used_directly(archive: Path) -> None:
    mirrors = ((ARCHIVE, "http://127.0.0.1:8000/ard"), ("s3://b", str(archive / "ard")))
    access = Access(mirrors=mirrors)
    assert access.resolve("http://127.0.0.1:8000/ard/x") == "http://127.0.0.1:8000/ard/x"
    assert access.resolve(str(archive / "ard/a/x.tif")) == str(archive / "ard/a/x.tif")
    for href in ("http://127.0.0.1:8000/arduous", "http://127.0.0.1:80/ard/x"):
        with pytest.raises(ReadError, match="refused"):
            access.resolve(href)


@given(href=st.text(max_size=40) | st.text("./%2eas:h@?#", max_size=20))
def test_any_text_is_resolved_inside_or_refused(
    tmp_path_factory: pytest.TempPathFactory, href: str
) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        address = Access(folder=str(root)).resolve(href)
    except ReadError:
        return
    inside = address.startswith(f"{os.path.realpath(root)}/")
    assert inside or address.startswith(("s3://", "https://"))


@pytest.mark.parametrize("new", ["", "ftp://host/x", "gs://bucket"])
def test_mirrors_that_are_refused(new: str) -> None:
    with pytest.raises(InputError, match="mirror"):
        Access(mirrors=((ARCHIVE, new),))
    with pytest.raises(InputError, match="mirror"):
        Access(mirrors=(("", "/data"),))


def test_access_for(archive: Path) -> None:
    items = archive / "ard" / "items.json"
    items.write_text("{}")
    assert access_for("landsatlook") == Access()
    copy = archive / "b=c"
    copy.mkdir()
    made = access_for(items, f" s3://a = {copy} ")
    assert made == Access((("s3://a", str(copy)),), str(archive / "ard"))
    pairs: list[str | tuple[str, str]] = [f"s3://a={copy}", ("c", "s3://d")]
    assert access_for(str(items), pairs).mirrors == (("s3://a", str(copy)), ("c", "s3://d"))
    with pytest.raises(InputError, match="does not exist"):
        access_for(items, "s3://a=/not/there")
    with pytest.raises(InputError, match="OLD=NEW"):
        access_for("landsatlook", ["/data"])


def test_access_is_a_plain_value() -> None:
    access = Access(mirrors=((ARCHIVE, "s3://b"),), profile="p")
    assert pickle.loads(pickle.dumps(access)) == access
    assert hash(access) == hash(pickle.loads(pickle.dumps(access)))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("https://u:p@h/x?sig=1#f", "https://h/x"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("a\nb\x1b[31m", "a?b?[31m"),
        ("/data/x.tif", "/data/x.tif"),
        ("/data/run#3/why?.tif", "/data/run#3/why?.tif"),
        ("x.tif?sig=1", "x.tif"),
        ("https://u:p@ss@h/x y?sig=1\n#", "https://h/x y"),
        ("//user:pw@host/x", "//host/x"),
        ("https:/user:pw@host/x", "https:/host/x"),
        ("/data/a@b/x", "/data/a@b/x"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize("scheme", ["s3", "https", "http"])
@pytest.mark.parametrize(
    "href",
    ["{}://host.org/a b.tif?sig=hunter2", "{}://me:hunter2@host.org/x", "{}://h.org/x#hunter2"],
)
def test_an_address_that_lost_its_secrets_is_refused_as_the_whole_one(
    scheme: str, href: str
) -> None:
    whole = href.format(scheme)
    kept = keepable(whole)
    assert "hunter2" not in kept
    assert keepable(kept) == kept
    said = []
    for address in (whole, kept):
        with pytest.raises(ReadError, match="it carries credentials or a query") as caught:
            Access().resolve(address)
        said.append(str(caught.value))
    assert said[0] == said[1]


@given(st.text("abc:/@=%. \n", max_size=40), st.sampled_from(["", "?", "?a=1", "#1", "?a?b#"]))
def test_an_address_is_kept_but_for_its_query(path: str, query: str) -> None:
    kept = keepable(f"https://host.org/{path}{query}")
    assert kept == f"https://host.org/{path}{'?' if query else ''}"


def test_json_without_secrets() -> None:
    value = {
        "assets": {"blue": {"href": "https://u:p@h/x?X-Amz-Signature=1", "title": "Blue"}},
        "links": [{"rel": "next", "href": "search?token=1", "body": {"token": "1", "limit": 5}}],
        "note": "see s3://b/k?sig=1 and https://h/y",
        "xarray:storage_options": {"account_name": "a", "account_key": "1", "sas_token": "1"},
        "properties": {"datetime": "2020", "eo:cloud_cover": 1.5, "none": None},
    }
    assert without_secrets(value) == {
        "assets": {"blue": {"href": "https://h/x?", "title": "Blue"}},
        "links": [{"rel": "next", "href": "search?", "body": {"limit": 5}}],
        "note": "see s3://b/k? and https://h/y",
        "xarray:storage_options": {"account_name": "a"},
        "properties": {"datetime": "2020", "eo:cloud_cover": 1.5, "none": None},
    }


def test_a_mirror_needs_no_signature(archive: Path) -> None:
    access = Access(mirrors=(("https://host.org", str(archive / "ard")),))
    for href in ("https://host.org/a/x.tif?sig=1", keepable("https://host.org/a/x.tif?sig=1")):
        assert access.resolve(href) == str(archive / "ard/a/x.tif")


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


@settings(max_examples=40, deadline=None)
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


def other_range(handler: BaseHTTPRequestHandler, count: int) -> bool:
    answer(handler, 206, BODY[:400])
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
    "reset": reset,
    "truncated": truncated,
    "other range": other_range,
    "too short": too_short,
}


@pytest.mark.parametrize("name", FAULTS)
def test_passing_faults_are_overcome(server: Served, name: str) -> None:
    server.fault = lambda handler, count: count <= 2 and FAULTS[name](handler, count)
    assert read_ranges(f"{server.url}/x", [(0, 1000)], QUICK) == [BODY[:1000]]
    assert len(server.requests) == 3


def test_a_silent_server_is_asked_again(server: Served) -> None:
    server.fault = lambda handler, count: count == 1 and stalled(handler, count)
    access = Access(max_retries=3, retry_seconds=5, timeout_seconds=1)
    assert read_ranges(f"{server.url}/x", [(0, 1000)], access) == [BODY[:1000]]


@pytest.mark.parametrize("name", FAULTS)
def test_lasting_faults_end_after_the_retries(server: Served, name: str) -> None:
    server.fault = FAULTS[name]
    expected = CorruptAssetError if name == "too short" else TransientReadError
    with pytest.raises(expected) as caught:
        read_ranges(f"{server.url}/x", [(0, 1000)], QUICK)
    assert len(server.requests) == (3 if name == "too short" else QUICK.max_retries + 1)
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
        (200, AccessError, "does not give parts"),
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
        read_ranges(address, [(0, 1)], Access(max_retries=1, retry_seconds=1))
    copy = pickle.loads(pickle.dumps(caught.value))  # as workers hand it on
    assert isinstance(copy, AccessError)
    assert str(copy) == str(caught.value)


def test_a_service_beside_the_archive_stops_nothing(server: Served, tmp_path: Path) -> None:
    """One item that lies elsewhere is no reason to give up the others."""
    elsewhere = "https://no-such-host.invalid/x"
    quick = Access(max_retries=0, retry_seconds=1)
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
@pytest.mark.parametrize("kept", [True, False])
def test_a_denied_file_is_an_error_of_its_own_whoever_meets_it_first(
    server: Served, tmp_path: Path, order: list[str], kept: bool
) -> None:
    """Also a plot that shares blocks with another, or has other mirrors."""
    server.fault = denied("bad")
    expected = ["ReadError denied" if name == "bad" else "" for name in order]
    assert errors_of(server.url, order) == expected
    neighbour = replace(QUICK, keep_blocks=kept, mirrors=((ARCHIVE, str(tmp_path)),))
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
    assert errors_of(server.url, ["y", "z", *some[:2]]) == ["ServiceError denied"] * 4
    assert len(server.requests) == 2 * len(some) + 1  # and is not asked for what waits already
    monkeypatch.setattr(service, "_BARRED", 0.0)
    server.fault = denied("bad")  # it was let in meanwhile
    assert errors_of(server.url, ["y", "bad"]) == ["", "ReadError denied"]


@pytest.mark.parametrize("mirrors", [((ARCHIVE, "http://127.0.0.1:9"),), ()], ids=["other", "no"])
def test_what_worked_for_another_archive_tells_nothing_of_this_one(
    server: Served, mirrors: tuple[tuple[str, str], ...]
) -> None:
    """Else one that is away would be taken for a place beside the archive."""
    quick = replace(QUICK, max_retries=0)
    before = replace(quick, mirrors=((ARCHIVE, server.url),))
    assert errors_of(server.url, ["x"], before) == [""]
    now = replace(quick, mirrors=mirrors)
    assert errors_of("http://127.0.0.1:9", ["x"], now) == ["ServiceError unreachable"]


def test_a_service_that_denies_what_it_gave_before_is_told_at_once(server: Served) -> None:
    assert errors_of(server.url, ["x"]) == [""]
    server.fault = denied("")
    assert errors_of(server.url, ["y"]) == ["ServiceError denied"]


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
    (400, "Anything"): "transient",
    (503, "SlowDown"): "transient",
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
    access = replace(QUICK, endpoint=server.url, max_retries=0)
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
    folder = open_folder("s3://bucket/p", replace(QUICK, endpoint=server.url, max_retries=0))
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
    folder = open_folder("s3://bucket/p", replace(QUICK, endpoint=server.url, max_retries=0))
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
    access = replace(QUICK, endpoint=server.url)
    read_ranges("s3://bucket/x", [(0, 1)], access)

    def refuse(handler: BaseHTTPRequestHandler, count: int) -> bool:
        answer(handler, 400, f"<Error><Code>{code}</Code>{SECRET}</Error>".encode())
        return True

    server.fault = refuse
    with pytest.raises(AccessError, match=message) as caught:
        read_ranges("s3://bucket/x", [(0, 1)], access)
    assert SECRET not in str(caught.value)


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
    access = replace(QUICK, endpoint=server.url, region="eu-central-1")
    ranges = [(0, 50), (60, 100)]
    assert read_ranges("s3://bucket/a/x.tif", ranges, access) == [BODY[:50], BODY[60:100]]
    assert {(method, path) for method, path, _ in server.requests} == {("GET", "/bucket/a/x.tif")}
    for headers in server.headers:
        assert headers["x-amz-request-payer"] == "requester"
        assert "AKIDEXAMPLE" in headers["authorization"]
        assert "/eu-central-1/s3/" in headers["authorization"]


def test_s3_unsigned_and_without_paying(server: Served, keys: None) -> None:
    access = replace(QUICK, endpoint=server.url, unsigned=True, requester_pays=False)
    read_ranges("s3://bucket/x.tif", [(0, 50)], access)
    assert "authorization" not in server.headers[0]
    assert "x-amz-request-payer" not in server.headers[0]


def test_s3_denial_says_what_to_set(server: Served, keys: None) -> None:
    server.fault = status(403)
    with pytest.raises(ReadError, match=r"AWS_ACCESS_KEY_ID.*--profile.*--unsigned") as caught:
        read_ranges("s3://bucket/x.tif", [(0, 50)], replace(QUICK, endpoint=server.url))
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
        read_ranges("s3://bucket/x.tif", [(0, 50)], replace(QUICK, endpoint=server.url))
    assert not server.requests


def test_profile_of_the_aws_files(
    server: Served, keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3", reason="boto3, which reads profiles, is not installed")
    file = tmp_path / "credentials"
    file.write_text(f"[lab]\naws_access_key_id = AKIDLAB\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    access = replace(QUICK, endpoint=server.url, profile="lab")
    read_ranges("s3://bucket/x.tif", [(0, 50)], access)
    assert "AKIDLAB" in server.headers[0]["authorization"]
    with pytest.raises(AccessError, match="profile other gives no credentials"):
        read_ranges("s3://b/x", [(0, 5)], replace(QUICK, endpoint=server.url, profile="other"))


@shows("a page in place of the file", "one asset")
@shows("no parts of files", "archive")
def test_a_server_of_whole_files_is_told_from_a_file_that_is_one() -> None:
    """A page in place of a file costs one asset; a server that knows no ranges ends the run."""

    class Handler(PlainHandler):
        def do_GET(self) -> None:  # noqa: N802
            if self.path == "/good":
                self.reply(206, b"x", ("Content-Range", "bytes 0-0/9"))
            else:
                self.reply(200, b"<html>")

    with serving(Handler) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(AccessError, match="does not give parts of files"):
            read_ranges(f"{url}/page", [(0, 1)], QUICK)
        assert read_ranges(f"{url}/good", [(0, 1)], QUICK) == [b"x"]
        with pytest.raises(ReadError, match="does not give parts of files"):
            read_ranges(f"{url}/page", [(0, 1)], QUICK)
