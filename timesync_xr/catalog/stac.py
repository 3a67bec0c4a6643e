"""Searches in STAC APIs: a search per tile or cell, page by page, counted or compared.

Requests are patient but bounded. Of pystac-client's and urllib3's own ways only the sending is
used: their retries end where a body begins, and half of one is what fails most; their redirects
read a body of any length first.
"""

from __future__ import annotations

import json
import re
import threading
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import numpy as np
import requests
import urllib3
from pystac_client import Client, ItemSearch
from pystac_client.stac_api_io import StacApiIO

from ..errors import AccessError, CatalogError, Kind, TimesyncError, counted
from ..storage.access import clean
from ..storage.connections import NOT_TRUSTED, own_certificates
from ..storage.connections import REMEDY as CERTIFICATE_REMEDY
from ..storage.retry import growing, is_passing, retried
from ..storage.waiting import Wait
from .dates import DatetimeRange
from .items import Query
from .sources import Box, Place

_REDIRECTS: Final = 10
"""Addresses that one request may lead through."""


_CERTIFICATE: Final = re.compile(f"{NOT_TRUSTED.pattern}|WRONG_VERSION_NUMBER")
"""Signs of a connection that fails however often it is tried."""


@dataclass(frozen=True)
class Patience:
    """How long to try."""

    tries: int = 6
    """Requests sent at most for one answer."""
    backoff: float = 1.0
    """Seconds before the second try (half of it at random); doubled before each further one."""
    longest_wait: float = 60.0
    """Seconds between two tries at most, also where the server asks for more."""
    timeout: float = 60.0
    """Seconds without a byte after which a try is given up; 10 at most for the connection."""
    deadline: float = 180.0
    """Seconds until an answer begins, and again for all of it."""
    max_bytes: int = 64 * 2**20
    """Size of an answer that is still read; a page of landsatlook stays below 6 MB."""


class _PassingError(Exception):
    """A fault that may pass: what it was, and for how many seconds the server asks to wait."""

    def __init__(self, cause: str, wait: float = 0.0, *, reached: bool = True) -> None:
        self.cause, self.wait, self.reached = cause, wait, reached
        super().__init__(cause)

    @property
    def told(self) -> str:
        """The cause in words."""
        return self.cause if self.reached else f"it can't be reached ({self.cause})"


class PatientIO(StacApiIO):
    """The transport of a pystac-client `Client`: waits faults out and says what went wrong.

    Every answer is JSON text as a whole, or an error: `CatalogError` for what the server answers
    or fails to answer, `AccessError` where it can't be reached or refuses credentials. Errors show
    addresses without user, password and query string.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        super().__init__(max_retries=None)
        self._patience = patience or Patience()

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Send a request until it is answered, and return the answer's text (JSON)."""
        verb = (method or "GET").upper()
        post = verb == "POST"
        request = requests.Request(
            verb,
            href,
            headers,
            json=parameters if post else None,
            params={} if post else parameters,
        )
        parts, longest = urlsplit(clean(href)), self._patience.longest_wait
        wait = Wait(f"{parts.scheme}://{parts.netloc}", self._patience.tries)

        def pause(failed: int, error: Exception) -> float | None:
            if not isinstance(error, _PassingError) or failed == self._patience.tries:
                return None
            grown = growing(self._patience.backoff, failed, longest)
            seconds = min(max(grown, error.wait), longest)
            wait.before_next(failed, error.told, seconds)
            return seconds

        try:
            text = retried(lambda: self._send(request), pause)
        except _PassingError as error:
            fact = f"{clean(href)}: {error.told}{wait.gave_up()}"
            if error.reached:
                raise CatalogError(f"{fact}. Run again later", kind=Kind.TRANSIENT) from None
            remedy = "Check the address and the network"
            raise AccessError(f"{fact}. {remedy}", kind=Kind.UNREACHABLE) from None
        wait.answered()
        return text

    def _send(self, request: requests.Request) -> str:
        """One try."""
        shown = clean(str(request.url))
        try:
            prepared = self.session.prepare_request(request)
            answer = self._begin(prepared)
        except requests.exceptions.SSLError as error:
            if not _CERTIFICATE.search(str(error)):
                raise _PassingError(_cause(error), reached=False) from None
            raise AccessError(
                f"{shown}: its certificate is not trusted, or it does not speak https. "
                f"{CERTIFICATE_REMEDY}",
                kind=Kind.UNREACHABLE,
            ) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _PassingError(_cause(error), reached=False) from None
        except (requests.RequestException, ValueError) as error:
            raise CatalogError(
                f"{shown}: the request can't be sent ({_cause(error)}). Check the address"
            ) from None
        with answer:
            _check_status(answer, shown)
            return self._json_text(answer, shown)

    def _begin(self, prepared: requests.PreparedRequest) -> requests.Response:
        """The answer without its body, which may take long to begin; only GET is redirected.

        A server that sends its header byte by byte is left to a thread that nobody waits for.
        """
        found: Future[requests.Response] = Future()

        def send() -> None:
            try:
                found.set_result(self._follow(prepared))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                found.set_exception(error)

        Thread(target=send, name="timesync_xr request", daemon=True).start()
        try:
            return found.result(self._patience.deadline)
        except TimeoutError:
            took = f"the answer took over {self._patience.deadline:g} s"
            raise _PassingError(took) from None

    def _follow(self, prepared: requests.PreparedRequest) -> requests.Response:
        """The answer where redirects end. What a redirect has for a body is not read."""
        timeout = (min(10.0, self._patience.timeout), self._patience.timeout)
        for _ in range(_REDIRECTS):
            settings = self.session.merge_environment_settings(
                str(prepared.url),
                proxies={},
                stream=True,
                verify=own_certificates(str(prepared.url)),
                cert=None,
            )
            adapter = self.session.get_adapter(str(prepared.url))  # the session would read on
            answer = adapter.send(prepared, timeout=timeout, **settings)
            if prepared.method == "POST" or not answer.is_redirect:
                return answer
            answer.close()
            prepared = prepared.copy()
            target = self.session.get_redirect_target(answer) or ""
            prepared.prepare_url(urljoin(str(answer.url), target), None)
            self.session.rebuild_auth(prepared, answer)
        raise requests.TooManyRedirects

    def _json_text(self, answer: requests.Response, shown: str) -> str:
        body = self._body(answer, shown)
        try:
            text = body.decode("utf-8-sig")
            json.loads(text)
        except (ValueError, RecursionError):
            if body.strip() and not body.lstrip().startswith(b"{"):  # no part of an answer either
                raise CatalogError(
                    f"{shown}: the answer is no JSON but {body[:20]!r}. Check that the address is "
                    "the root of a STAC API"
                ) from None
            raise _PassingError("the answer is not JSON, or only a part of it") from None
        return text

    def _body(self, answer: requests.Response, shown: str) -> bytes:
        """The whole body, read as it arrives so that a trickle is noticed."""
        deadline = time.monotonic() + self._patience.deadline
        parts, size = [], 0
        try:
            while part := answer.raw.read1(2**16, decode_content=True):
                parts.append(part)
                size += len(part)
                if size > self._patience.max_bytes:
                    limit = self._patience.max_bytes // 2**20
                    raise CatalogError(f"{shown}: the answer is larger than {limit} MB")
                if time.monotonic() > deadline:
                    raise _PassingError(f"the answer took over {self._patience.deadline:g} s")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _PassingError(f"the answer broke off ({_cause(error)})") from None
        return b"".join(parts)


def _check_status(answer: requests.Response, shown: str) -> None:
    """Raise unless the status is a success."""
    status = answer.status_code
    if is_passing(status):
        raise _PassingError(f"status {status}", _retry_after(answer))
    if status in (401, 403, 407):
        fact = f"{shown}: status {status}, no access"
        raise AccessError(f"{fact}. Check the credentials", kind=Kind.DENIED)
    if answer.is_redirect:
        moved = clean(answer.headers["location"])
        raise CatalogError(f"{shown}: moved to {moved}. Give the new address as the source")
    if status == 511:
        fact = f"{shown}: the network asks for a login"
        raise AccessError(f"{fact}. Log in by a browser, and run again", kind=Kind.CREDENTIALS)
    if not 200 <= status < 300 or status in (204, 205):
        raise CatalogError(
            f"{shown}: status {status}. Check that the address is the root of a STAC API"
        )


def _retry_after(answer: requests.Response) -> float:
    """Seconds that the server asks to wait; 0 if it does not say."""
    try:
        return urllib3.Retry().parse_retry_after(answer.headers.get("Retry-After", "0"))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return 0.0


def _cause(error: BaseException) -> str:
    """Kind of an error in words; its text may hold addresses with secrets."""
    name = re.sub("(Error|Exception)$", "", type(error).__name__)
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()


PAGE: Final = 200
"""Items asked for at once: landsatlook fails where an answer would be larger than 6 MB."""

MOST_ITEMS: Final = 20_000
"""Items that one place can't have: since 1982 a tile has some 4,000, a cell of scenes 6,000."""

SEARCHES: Final = 2
"""Searches that run at the same time."""


class SentItem(NamedTuple):
    """An item as an API sent it, packed: it takes a tenth of the memory until it is wanted."""

    id: str
    """Its id, as text of whatever it is."""
    packed: bytes
    """The same bytes for the same item."""

    @classmethod
    def of(cls, item: Any) -> SentItem:
        """Pack an item."""
        return cls(
            str(_get(item, "id")), zlib.compress(json.dumps(item, sort_keys=True).encode(), 1)
        )

    def read(self) -> Any:
        """The item."""
        return json.loads(zlib.decompress(self.packed))


def search_api(url: str, query: Query) -> tuple[list[SentItem], bool]:
    """Items of the places of a query from the STAC API at an address, unchecked but counted.

    The second is False where the API did not count them, so that no one knows whether they are all.

    A search per place, by the query extension or, for scenes, by a box; a few run at a time. Where
    the API does not count, each search is compared with those of its parts. Raises `CatalogError`
    for an API that lacks what is needed or sends more or fewer items than it counted, and
    `AccessError` for one that can't be reached or refuses access. Faults that pass are waited out.
    """
    api = _open(url, by_box=query.source.has_scenes)
    pool = ThreadPoolExecutor(SEARCHES)
    try:
        places = sorted(query.places or ())
        searches = [pool.submit(_search_place, api, query, place) for place in places]
        found = [search.result() for search in searches]
        return [item for items, _ in found for item in items], all(counted for _, counted in found)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Api:
    """A STAC API that has what is needed."""

    url: str
    """Address of its search."""
    io: PatientIO
    """Way to it."""


_opening = threading.Lock()
"""Held where warnings are silenced, which works for the whole process."""


def _open(url: str, *, by_box: bool) -> _Api:
    """The API at an address, once it is known to have the query extension where that is needed."""
    io = PatientIO()
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is missing is an error here, or has a default
            client = Client.open(url, stac_io=io)
            able = client.conforms_to("ITEM_SEARCH") and (by_box or client.conforms_to("QUERY"))
            search = client.search().url if able else ""
    except TimesyncError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever pystac makes of an answer of any kind
        raise CatalogError(
            f"{clean(url)}: not a STAC API ({type(error).__name__}). Give the address of its root"
        ) from None
    if not able:
        lacks = (
            "item search"
            if by_box
            else "the query extension, without which it can't search by tile"
        )
        raise CatalogError(
            f"{clean(url)}: this STAC API lacks {lacks}. Choose another API or a file of items"
        )
    return _Api(search, io)


@dataclass(frozen=True)
class _Slice:
    """A part of what is searched in a place: a span of time, and for scenes a box."""

    period: DatetimeRange
    """Which dates."""
    box: Box | None = None
    """Where, in degrees; None for a tile, which is found by the query extension."""

    def parts(self) -> tuple[_Slice, _Slice] | None:
        """Its two halves: of time, or of the box where time can't be cut; None if neither can."""
        start = (
            np.datetime64("1982-01-01", "ns") if self.period.start is None else self.period.start
        )
        end = _soon() if self.period.end is None else self.period.end
        if end - start > _SHORTEST:
            middle = start + (end - start) // 2
            first = DatetimeRange(self.period.start, middle)
            second = DatetimeRange(middle + np.timedelta64(1, "us"), self.period.end)
            return _Slice(first, self.box), _Slice(second, self.box)
        if self.box is None or self.box[3] - self.box[1] < _NARROWEST:
            return None
        west, south, east, north = self.box
        middle_lat = (south + north) / 2
        return (
            _Slice(self.period, (west, south, east, middle_lat)),
            _Slice(self.period, (west, middle_lat, east, north)),
        )


_SHORTEST: Final = np.timedelta64(1, "m")
"""Span of time that is not cut further: no more than a few scenes of a place are seen in it."""

_NARROWEST: Final = 0.01
"""Degrees of latitude that are not cut further."""


def _soon() -> np.datetime64:
    """A moment that no item is later than."""
    return np.datetime64(time.time_ns(), "ns") + np.timedelta64(366, "D")


def _search_place(api: _Api, query: Query, place: Place) -> tuple[list[SentItem], bool]:
    """All items of one place, each once, and whether the API counted them."""
    boxes = query.source.boxes
    found: list[SentItem] = []
    counted = True
    for box in (None,) if boxes is None else boxes(place):
        items, was_counted = _search_slice(api, query, place, _Slice(query.period, box))
        found, counted = found + items, counted and was_counted
    return _different(found), counted


def _search_slice(
    api: _Api, query: Query, place: Place, part: _Slice
) -> tuple[list[SentItem], bool]:
    """All items of a part, and whether they were counted.

    It is searched again where the count is another, as the archive may have changed meanwhile.
    """
    for _ in range(2):
        try:
            found = _search_once(api, query, place, part)
        except CatalogError as error:
            if not _is_too_much(error):
                raise
            return _compared(api, query, place, part, None), False
        if found.matched is None:
            return _compared(api, query, place, part, found.items), False
        if found.is_complete():
            return found.items, True
    raise CatalogError(
        f"{_title(query, place)}: the STAC API counted {counted(found.matched, 'item')} "
        f"but sent {len(found.items)}, {found.different()} of them different. Run again later; if "
        "that does not help, the API is at fault"
    )


def _title(query: Query, place: Place) -> str:
    return f"{_kind(query)} {query.source.title_of_place(place)}"


def _kind(query: Query) -> str:
    """What a place of the search is."""
    return "cell" if query.source.has_scenes else "tile"


def _compared(
    api: _Api,
    query: Query,
    place: Place,
    part: _Slice,
    whole: list[SentItem] | None,
    failed: int = 0,
) -> list[SentItem]:
    """All items of a part from an API that does not count.

    Such an API may end its pages early, or cap its answers, without a word. Then the halves of the
    part bring more than the whole did, or one half brings as much: a part is complete when its
    halves both bring something, and together just what it brought itself. Else each half is looked
    at in the same way. What took too long as a whole (None) is searched by halves, too; ``failed``
    counts how often in a row.
    """
    halves = part.parts()
    if halves is None or (whole is not None and len(_different(whole)) < 2):
        return _asked(api, query, place, part) if whole is None else _different(whole)
    failed = failed + 1 if whole is None else 0
    found = [_tried(api, query, place, half, failed) for half in halves]
    first, second = found
    if whole is not None and first and second and _ids(first + second) == _ids(whole):
        return _different(whole)
    items = [] if whole is None else whole
    for half, of_half in zip(halves, found, strict=True):
        if of_half is None or of_half:
            items = items + _compared(api, query, place, half, of_half, failed)
    return _different(items)


_HALVINGS: Final = 6
"""How often in a row a search that takes too long is halved, until the API is taken to be down."""


def _tried(
    api: _Api, query: Query, place: Place, part: _Slice, failed: int
) -> list[SentItem] | None:
    """What a part brings; None where it took the API too long, so that its halves may do."""
    try:
        return _asked(api, query, place, part)
    except CatalogError as error:
        if failed >= _HALVINGS or not _is_too_much(error) or part.parts() is None:
            raise
        return None


def _is_too_much(error: CatalogError) -> bool:
    """Whether a search was given up since it took too long, time and again."""
    return error.kind == Kind.TRANSIENT and bool(re.search("status 504|took over", str(error)))


def _asked(api: _Api, query: Query, place: Place, part: _Slice) -> list[SentItem]:
    return _search_once(api, query, place, part).items


def _ids(items: list[SentItem]) -> set[str]:
    return {item.id for item in items}


def _different(items: list[SentItem]) -> list[SentItem]:
    """The items without those that come again just as they are; what differs is not judged here."""
    return [*dict.fromkeys(items)]


@dataclass(frozen=True)
class _Found:
    """What a search brought."""

    items: list[SentItem]
    """Items of all pages."""
    matched: int | None
    """Number of items that the API counted; None if it does not count."""

    def different(self) -> int:
        """Number of different ids; what has none counts once."""
        return len(_ids(self.items))

    def is_complete(self) -> bool:
        """Whether as many different items came as the API counted.

        That one comes twice, on two pages, does no harm where all are there.
        """
        return self.different() == self.matched


def _search_once(api: _Api, query: Query, place: Place, part: _Slice) -> _Found:
    search = ItemSearch(
        api.url,
        collections=[query.source.collection],
        datetime=None if part.period == DatetimeRange() else str(part.period),
        limit=PAGE,
        bbox=part.box,
        query=dict(query.source.question(query.grid, place)) or None,
    )
    items: list[SentItem] = []
    matched = None
    for page in _pages(api.io, api.url, search.get_parameters()):
        items += map(SentItem.of, page["features"])
        matched = _matched(page) if matched is None else matched
        if matched is not None and not page["features"] and _Found(items, matched).is_complete():
            break  # some servers lead on after the last page
        if len(items) > MOST_ITEMS:
            raise CatalogError(
                f"{_title(query, place)}: over {MOST_ITEMS} items came, so the STAC API does not "
                f"search by {_kind(query)}. Choose another API or a file of items"
            )
    return _Found(items, matched)


def _matched(page: Mapping[str, Any]) -> int | None:
    """Number of items that the API counted, None if it does not say."""
    counts = (page.get("numberMatched"), _get(page.get("context"), "matched"))
    numbers = (n for n in counts if isinstance(n, int | float) and not isinstance(n, bool))
    return next((int(n) for n in numbers if isinstance(n, int) or n.is_integer()), None)


def _get(value: object, key: str) -> Any:
    """A member of a JSON object; None of anything else."""
    return value.get(key) if isinstance(value, dict) else None


_EMPTY: Final = 20
"""Pages without items, one after the other, after which no further one is asked for."""


def _pages(io: PatientIO, url: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Pages of a search: the first one, and all that it leads to, also past empty ones."""
    request: dict[str, Any] | None = {"href": url, "method": "POST", "body": body}
    asked: set[str] = set()
    empty = 0
    while request is not None:
        asked.add(json.dumps(request, sort_keys=True))
        page = json.loads(io.request(request["href"], request["method"], None, request["body"]))
        if not (isinstance(page, dict) and isinstance(page.get("features"), list)):
            raise CatalogError(
                f"{clean(request['href'])}: the answer to a search is no item "
                "collection. Run again later; if that does not help, the API is at fault"
            )
        yield page
        empty = 0 if page["features"] else empty + 1
        request = _next_request(page, url, body) if empty < _EMPTY else None
        if request is not None and json.dumps(request, sort_keys=True) in asked:
            raise CatalogError("the pages of the STAC API lead in a circle. Run again later")


def _next_request(page: Mapping[str, Any], url: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What to send for the next page, by the page's link; None after the last one."""
    links = page.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "next" and link.get("href"):
            sent: dict[str, Any] = link["body"] if isinstance(link.get("body"), dict) else {}
            post = str(link.get("method", "GET")).upper() == "POST"
            try:
                href = urljoin(url, str(link["href"]))
            except ValueError:
                raise CatalogError(
                    f"{clean(url)}: the address of the next page is malformed. Run again later; "
                    "if that does not help, the API is at fault"
                ) from None
            return {
                "href": href,
                "method": "POST" if post else "GET",
                "body": ({**body, **sent} if link.get("merge") else sent) if post else {},
            }
    return None
