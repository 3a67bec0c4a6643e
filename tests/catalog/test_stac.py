"""A STAC API: whatever it does, its items are those of the archive, or an error says why not."""

from __future__ import annotations

import codecs
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.catalog.api import ARCHIVE, CONFORMS, Api, Handler
from tests.servers import PlainHandler, serving, untrusted
from tests.tally import shows
from timesync_xr import Archive
from timesync_xr.catalog import stac as stac_api
from timesync_xr.catalog import stac as transport
from timesync_xr.catalog.files import read_items, write_items
from timesync_xr.catalog.kept import _items_file
from timesync_xr.catalog.search import search_items, search_with_items
from timesync_xr.catalog.stac import Patience, PatientIO, SentItem
from timesync_xr.errors import AccessError, CatalogError

QUICK = Patience(tries=4, backoff=0.001, longest_wait=0.05, timeout=0.5, deadline=0.3)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api()
    handler = type("ApiHandler", (Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}/stac"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        monkeypatch.setattr(transport, "Patience", lambda: QUICK)
        yield api
        server.shutdown()
        thread.join()


def search(api: Api, *tiles: tuple[int, int], **options: Any) -> pd.DataFrame:
    return search_items(tiles or [(3, 9)], Archive(api.url), **options)


def faults(*numbers: int) -> Callable[[Handler, int], bool]:
    """Answer 503 to the requests of these numbers."""

    def fault(handler: Handler, number: int) -> bool:
        if number in numbers:
            handler.send_status(503)
        return number in numbers

    return fault


# The same archive, the same table


@pytest.mark.parametrize("archive", ["mosaic", "real"])
@pytest.mark.cases(1)
@pytest.mark.filterwarnings("ignore:.*there is no item of h03v10")
def test_the_golden_archives_by_json_parquet_and_api(
    shared: Path, tmp_path: Path, api: Api, archive: str
) -> None:
    source = shared / "golden" / archive / "items.json"
    items = read_items(source)
    tiles = [(3, 9), (4, 9), (3, 10), (4, 10)]
    expected = search_items(tiles, Archive(source))
    assert len(expected) == len(items)
    assert (expected["refused"] == "").all()
    write_items(items, tmp_path / "items.parquet")
    write_items(items, tmp_path / "items.json")
    write_items(items[::-1], tmp_path / "items.ndjson")
    lines = (tmp_path / "items.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == items[::-1]
    (tmp_path / "list.json").write_text(json.dumps(items[::-1]), encoding="utf-8-sig")
    api.items = items
    sources: list[Any] = [tmp_path / f"items.{kind}" for kind in ("parquet", "json", "ndjson")]
    for other in [*sources, tmp_path / "list.json", api.url]:
        pd.testing.assert_frame_equal(search_items(tiles, Archive(other)), expected)
        for tile in tiles[:2]:
            part = expected[expected["place"] == f"{tile[0]:02d}{tile[1]:02d}"]
            pd.testing.assert_frame_equal(
                search_items([tile], Archive(other)), part.reset_index(drop=True)
            )


@pytest.mark.parametrize("paging", ["token", "merge", "get"])
@pytest.mark.parametrize("datetime", [None, "2004/2011-06-01", "../2003", "2020-06", "2020-06-09"])
@pytest.mark.cases(6)
def test_an_api_and_a_file_select_the_same(
    api: Api, tmp_path: Path, paging: str, datetime: str | None
) -> None:
    api.paging = paging
    write_items(api.items, tmp_path / "items.json")
    found = search(api, (4, 9), (3, 9), datetime=datetime)
    expected = search_items([(3, 9), (4, 9)], Archive(tmp_path / "items.json"), datetime=datetime)
    pd.testing.assert_frame_equal(found, expected)
    counts = {None: 92, "2004/2011-06-01": 30, "../2003": 16, "2020-06": 4, "2020-06-09": 2}
    assert len(found) == counts[datetime]
    assert (found["refused"] == "").all()


def test_what_an_api_is_asked(api: Api) -> None:
    search(api, (4, 9), datetime="2004/2011-06-01")
    assert api.bodies[0] == {
        "collections": ["landsat-c2ard-sr"],
        "limit": 200,
        "datetime": "2004-01-01T00:00:00.000000Z/2011-06-01T23:59:59.999999Z",
        "query": {
            "landsat:grid_horizontal": {"eq": "04"},
            "landsat:grid_vertical": {"eq": "09"},
            "landsat:grid_region": {"eq": "CU"},
        },
    }


def test_no_tiles_need_no_request(api: Api) -> None:
    assert len(search_items([], Archive(api.url))) == 0
    assert api.requests == 0
    assert len(search(api, (0, 0))) == 0


def test_items_are_kept_for_later(api: Api, tmp_path: Path) -> None:
    found = search_with_items([(3, 9)], Archive(api.url), grid="CU", datetime=None).items
    write_items([item.read() for item in found], tmp_path / "h03v09.parquet")
    kept = search_items([(3, 9)], Archive(tmp_path / "h03v09.parquet"))
    pd.testing.assert_frame_equal(kept, search(api))


# An API that misbehaves


@shows("unasked items", "STAC API")
def test_unasked_items_are_refused_rows(api: Api) -> None:
    api.query = api.dates = False
    found = search(api, (3, 9), datetime="2010")
    good = found["refused"] == ""
    assert len(found) == len(ARCHIVE)
    assert found[good]["date"].str.startswith("2010").all()
    assert good.sum() == 2
    assert found["refused"].str.startswith("not asked for: tile h04v09").sum() == 46
    assert found["refused"].str.startswith("not asked for: date").sum() == 44


@pytest.mark.parametrize("paging", ["token", "merge"])
@pytest.mark.parametrize("shift", [-1, 1, 100])
def test_a_wrong_count_is_an_error(api: Api, paging: str, shift: int) -> None:
    api.paging, api.count = paging, lambda matched: matched + shift
    with pytest.raises(CatalogError, match=f"counted {46 + shift} items but sent 46"):
        search(api)


@shows("fewer items than counted", "STAC API")
def test_an_empty_answer_with_a_count_is_an_error(api: Api) -> None:
    api.change = lambda page: {**page, "features": []}
    with pytest.raises(CatalogError, match="h03v09: the STAC API counted 46 items but sent 0"):
        search(api)


def test_an_item_that_comes_twice_does_no_harm_where_all_are_there(api: Api) -> None:
    expected = search(api)
    first: list[Any] = []

    def repeat(page: dict[str, Any]) -> dict[str, Any]:
        first.extend(page["features"][:1])
        return {**page, "features": [*page["features"], *first[:1]]}

    api.change = repeat
    pd.testing.assert_frame_equal(search(api), expected)


def test_an_answer_may_begin_with_a_byte_order_mark(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = search(api)
    monkeypatch.setattr(
        Handler,
        "send_json",
        lambda self, value: self.send_bytes(codecs.BOM_UTF8 + json.dumps(value).encode()),
    )
    pd.testing.assert_frame_equal(search(api), expected)


def test_items_that_come_again_do_not_make_up_for_others(api: Api) -> None:
    api.change = lambda page: {**page, "features": page["features"][:1] * len(page["features"])}
    with pytest.raises(CatalogError, match=r"sent 46, 7 of them different"):
        search(api)


def test_a_count_that_was_wrong_for_a_moment(api: Api) -> None:
    counts = iter([45, 45])
    api.count = lambda matched: next(counts, matched)
    assert len(search(api)) == 46


def test_an_api_that_does_not_count(api: Api) -> None:
    api.count = lambda matched: None
    assert len(search(api)) == 46


@pytest.mark.parametrize("conforms", [[], CONFORMS[:1], None, 5, [5]])
def test_an_api_without_the_query_extension(api: Api, conforms: object) -> None:
    api.conforms = conforms
    with pytest.raises(CatalogError, match=r"lacks the query extension|not a STAC API"):
        search(api)
    assert not api.bodies


@shows("no query extension", "STAC API")
def test_an_api_without_conformance(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = {k: v for k, v in api.landing().items() if k != "conformsTo"}
    monkeypatch.setattr(Api, "landing", lambda _: landing)
    with pytest.raises(CatalogError, match="lacks the query extension"):
        search(api)


@pytest.mark.parametrize("landing", [{}, [], 5, {"type": "Feature"}, {"type": "Catalog"}])
def test_what_is_no_stac_api(api: Api, monkeypatch: pytest.MonkeyPatch, landing: object) -> None:
    monkeypatch.setattr(Api, "landing", lambda _: landing)
    with pytest.raises(CatalogError):
        search(api)


@pytest.mark.parametrize(
    "page",
    [[], 5, {}, {"features": None}, {"features": {}}, {"features": [5, None], "numberMatched": 7}],
)
def test_answers_that_are_no_item_collection(api: Api, page: object) -> None:
    api.change = lambda _: page
    with pytest.raises(CatalogError):
        search(api)


@pytest.mark.parametrize("links", [None, 5, [5], [{"rel": "next"}], [{"rel": "next", "href": 0}]])
def test_odd_links_end_the_pages(api: Api, links: object) -> None:
    api.page_size = 100
    api.change = lambda page: {**page, "links": links}
    assert len(search(api)) == 46


def test_features_that_are_no_items_are_refused_rows(api: Api) -> None:
    api.items, api.count = [], lambda matched: None
    api.change = lambda page: {**page, "features": [5, None, {}]}
    with pytest.warns(UserWarning, match=r"stac: 3 items are of no tile.*the id \(absent\)"):
        assert search(api)["refused"].str.contains("id").sum() == 3


def test_pages_that_lead_in_a_circle(api: Api) -> None:
    link = {"rel": "next", "href": f"{api.url}/search", "method": "POST", "body": {"limit": 1}}
    api.change = lambda page: {**page, "links": [link]}
    with pytest.raises(CatalogError, match="circle"):
        search(api)


def test_an_empty_page_is_the_last(api: Api) -> None:
    def lead_on(page: dict[str, Any]) -> dict[str, Any]:
        body = {"limit": 200, "token": str(len(api.bodies)), "query": api.bodies[0]["query"]}
        link = {"rel": "next", "href": f"{api.url}/search", "method": "POST", "body": body}
        return {**page, "links": [link]}

    api.change = lead_on
    assert len(search(api)) == 46
    assert len(api.bodies) == 8  # seven pages of items, and one without


def test_pages_without_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac_api, "MOST_ITEMS", 50)
    api.query = False
    with pytest.raises(CatalogError, match="does not search by tile"):
        search(api)


# Faults on the way


def test_faults_that_pass_are_waited_out(api: Api) -> None:
    expected = search(api)
    api.requests = 0
    api.fault = faults(*range(1, 40, 3), 2)
    pd.testing.assert_frame_equal(search(api), expected)
    assert api.requests > 12


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html>", b"\n <p>", b"OK", b"h\xe9"])
def test_a_page_in_place_of_an_answer_is_told_at_once(api: Api, body: bytes) -> None:
    api.fault = always(lambda handler: handler.send_bytes(body))
    with pytest.raises(CatalogError, match=r"the answer is no JSON but b'.*root of a STAC API"):
        search(api)
    assert api.requests == 1


def cut(handler: Handler) -> None:
    handler.send_bytes(b'{"type": ', length=1000)
    handler.close_connection = True


def reset(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def half_json(handler: Handler) -> None:
    handler.send_bytes(b'{"type": "Feature')


def bad_gzip(handler: Handler) -> None:
    handler.send_bytes(b"no gzip", ("Content-Encoding", "gzip"))


def stall(handler: Handler) -> None:
    handler.send_bytes(b"{", length=1000)
    handler.wfile.flush()
    time.sleep(0.7)
    handler.close_connection = True


def trickle(handler: Handler) -> None:
    handler.send_bytes(b"", length=1000)
    for _ in range(40):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:  # the client has given up
            break
        time.sleep(0.02)
    handler.close_connection = True


def status(number: int, *headers: tuple[str, str]) -> Callable[[Handler], None]:
    return lambda handler: handler.send_status(number, *headers)


passing = {
    **{send.__name__: send for send in (cut, reset, half_json, bad_gzip, stall, trickle)},
    **{str(number): status(number) for number in (429, 500, 502, 503, 504, 520)},
    **{f"503 {wait}": status(503, ("Retry-After", wait)) for wait in ("1", "soon", "-1")},
}


def always(send: Callable[[Handler], None], after: int = 0) -> Callable[[Handler, int], bool]:
    def fault(handler: Handler, request: int) -> bool:
        if request > after:
            send(handler)
        return request > after

    return fault


def once(number: int, send: Callable[[Handler], None]) -> Callable[[Handler, int], bool]:
    def fault(handler: Handler, request: int) -> bool:
        if request == number:
            try:
                send(handler)
            except OSError:  # the client has given up
                handler.close_connection = True
        return request == number

    return fault


@pytest.mark.parametrize("send", passing.values(), ids=passing)
@pytest.mark.cases(6)
def test_every_passing_fault(api: Api, send: Callable[[Handler], None]) -> None:
    api.fault = once(3, send)
    assert len(search(api)) == 46
    api.requests, api.fault = 0, once(1, send)
    assert len(search(api)) == 46


def test_a_fault_that_stays(api: Api) -> None:
    api.fault = always(status(500), after=1)
    with pytest.raises(CatalogError, match=r"status 500 \(tried 4 times in \d s\)\. Run again"):
        search(api)
    assert api.requests == 5


@pytest.mark.parametrize("number", [401, 403])
def test_no_access(api: Api, number: int) -> None:
    api.fault = always(status(number))
    with pytest.raises(AccessError, match=f"status {number}.*credentials"):
        search(api)
    assert api.requests == 1


def test_nothing_there(api: Api) -> None:
    api.fault = always(status(404))
    with pytest.raises(CatalogError, match="status 404"):
        search(api)
    with pytest.raises(AccessError, match="Check the address and the network"):
        search_items([(3, 9)], Archive("http://127.0.0.1:1/stac"))


@pytest.mark.parametrize("number", [204, 304, 405, 419, 501, 505, 508])
def test_a_status_that_lasts_is_no_reason_to_wait(api: Api, number: int) -> None:
    api.fault = always(status(number))
    with pytest.raises(CatalogError, match=f"status {number}. Check that the address") as caught:
        search(api)
    assert "again" not in str(caught.value)
    assert api.requests == 1


def test_a_network_that_asks_for_a_login(api: Api) -> None:
    api.fault = always(status(511))
    with pytest.raises(AccessError, match="the network asks for a login"):
        search(api)
    assert api.requests == 1


def test_an_api_whose_certificate_is_not_trusted(tmp_path: Path) -> None:
    with serving(PlainHandler, untrusted(tmp_path)) as port:
        with pytest.raises(AccessError, match="certificate is not trusted") as caught:
            PatientIO(Patience(backoff=0)).request(f"https://127.0.0.1:{port}/stac")
        assert caught.value.kind == "unreachable"
        assert "times" not in str(caught.value)  # it is not tried again


def test_a_search_that_is_moved(api: Api) -> None:
    moved = ("Location", "http://u:pw@127.0.0.1/new?key=secret")
    api.fault = always(status(301, moved), after=1)
    with pytest.raises(CatalogError, match=r"moved to http://127\.0\.0\.1/new\. ") as caught:
        search(api)
    assert "secret" not in str(caught.value)


def test_an_answer_without_end(api: Api) -> None:
    io = PatientIO(Patience(tries=1, max_bytes=1000))
    with pytest.raises(CatalogError, match="larger than"):
        io.request(f"{api.url}/search", "POST", None, {"limit": 200})


def header_trickle(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(40):
        try:
            handler.wfile.write(b"x")
            handler.wfile.flush()
        except OSError:
            break
        time.sleep(0.02)
    handler.close_connection = True


def test_a_header_that_trickles(api: Api) -> None:
    api.fault = always(header_trickle)
    with pytest.raises(CatalogError, match=r"the answer took over 0\.1 s"):
        PatientIO(Patience(tries=1, deadline=0.1)).request(api.url)


def moved_without_end(handler: Handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/stac/elsewhere")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(400):
        try:
            handler.wfile.write(b"100000\r\n" + bytes(2**20) + b"\r\n")
        except OSError:
            break
    else:
        pytest.fail("all of the body was read")
    handler.close_connection = True


def test_the_body_of_a_redirect_is_not_read(api: Api) -> None:
    api.fault = once(1, moved_without_end)
    assert PatientIO(QUICK).request(api.url)
    assert api.requests == 2


def test_redirects_in_a_circle(api: Api) -> None:
    api.fault = always(status(302, ("Location", "?again")))
    with pytest.raises(CatalogError, match="too many redirects"):
        PatientIO(QUICK).request(api.url)
    assert api.requests == 10


def test_an_address_of_the_next_page_that_is_none(api: Api) -> None:
    api.change = lambda page: page | {"links": [{"rel": "next", "href": "http://[::1"}]}
    with pytest.raises(CatalogError, match="address of the next page is malformed"):
        search(api)


@pytest.mark.parametrize("count", [1234.0, 10**400])
def test_counts_of_odd_form(api: Api, count: Any) -> None:
    api.change = lambda page: page | {"numberMatched": count}
    with pytest.raises(CatalogError, match=r"counted 1[0234]+ items"):
        search(api)


@pytest.mark.parametrize("odd", ["\ud800", float("nan"), float("inf"), []])
def test_what_json_allows_does_not_hold_up_a_project(odd: Any) -> None:
    for _ in range(900 if odd == [] else 0):
        odd = [odd]
    item = {**ARCHIVE[0], "properties": {**ARCHIVE[0]["properties"], "odd": odd}}
    _, data = _items_file([SentItem.of(item)], "name")
    assert b"LC0" in data


def test_an_answer_that_trickles(api: Api) -> None:
    api.fault = always(trickle)
    with pytest.raises(CatalogError, match=r"the answer took over 0\.1 s"):
        PatientIO(Patience(tries=1, deadline=0.1)).request(api.url)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("7", 7),
        ("999999", 60),
        ("-3", 1),
        ("x", 1),
        ("9" * 5000, 1),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 1),
    ],
)
def test_a_server_that_asks_to_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch, asked: str, waited: float
) -> None:
    naps: list[float] = []
    mine = threading.current_thread()

    def nap(seconds: float) -> None:
        if threading.current_thread() is mine:  # servers sleep, too
            naps.append(seconds)

    monkeypatch.setattr("time.sleep", nap)
    api.fault = once(1, status(503, ("Retry-After", asked)))
    PatientIO(Patience()).request(api.url)
    assert naps[0] == pytest.approx(waited, abs=0.5)


def test_secrets_stay_secret(api: Api) -> None:
    password, token = "pa" + "55", "t0" + "ken"  # apart, for a traceback shows source lines
    api.fault = always(status(500))
    for host in (api.url.removeprefix("http://"), "127.0.0.1:1/"):
        with pytest.raises((CatalogError, AccessError)) as caught:
            search_items([(3, 9)], Archive(f"http://user:{password}@{host}?token={token}"))
        told = "".join(traceback.format_exception(caught.value))
        assert host.rstrip("/") in told
        assert password not in told
        assert token not in told


def test_recorded_answers_of_landsatlook(
    shared: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = pytest.importorskip("yaml")
    path = shared / "real" / "stac" / "recorded_http" / "landsatlook_stac-server_2022-03-03.yml"
    root, _, answer = (
        json.loads(exchange["response"]["body"]["string"])
        for exchange in yaml.safe_load(path.read_text())["interactions"]
    )
    for link in root["links"]:
        link["href"] = link["href"].replace("https://landsatlook.usgs.gov/stac-server", api.url)
    monkeypatch.setattr(Api, "landing", lambda _: root)
    api.change = lambda _: answer
    found = search(api)
    assert found["item_id"].tolist() == ["LC08_L2SP_047027_20201204_20210313_02_T1_SR"]
    assert found["refused"].str.startswith("not asked for: collection 'landsat-c2l2-sr'").all()
