"""Searches in STAC APIs: a search per tile, page by page, counted."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

from pystac_client import Client, ItemSearch

from .access import clean
from .errors import CatalogError, TimesyncError
from .grid import Tile
from .items import COLLECTION, DatetimeRange, Query
from .transport import PatientIO

PAGE: Final = 200
"""Items asked for at once: landsatlook fails where an answer would be larger than 6 MB."""

MOST_ITEMS: Final = 20_000
"""Items that one tile can't have: from 1982 to now it has some 4,000."""

SEARCHES: Final = 2
"""Searches that run at the same time."""


def search_api(url: str, query: Query) -> list[Any]:
    """Items of the tiles of a query from the STAC API at an address, unchecked but counted.

    A search per tile, by the query extension; a few run at a time. Raises `CatalogError` for an
    API that lacks what is needed or sends more or fewer items than it counted, and `AccessError`
    for one that can't be reached or refuses access. Faults that pass are waited out first.
    """
    api = _open(url)
    pool = ThreadPoolExecutor(SEARCHES)
    try:
        tiles = sorted(query.tiles or ())
        searches = [pool.submit(_search_tile, api, query, tile) for tile in tiles]
        return [item for search in searches for item in search.result()]
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


def _open(url: str) -> _Api:
    """The API at an address, once it is known to have the query extension."""
    io = PatientIO()
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is missing is an error here, or has a default
            client = Client.open(url, stac_io=io)
            able = client.conforms_to("ITEM_SEARCH") and client.conforms_to("QUERY")
            search = client.search().url if able else ""
    except TimesyncError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever pystac makes of an answer of any kind
        raise CatalogError(
            f"{clean(url)}: not a STAC API ({type(error).__name__}). Give the address of its root"
        ) from None
    if not able:
        raise CatalogError(
            f"{clean(url)}: this STAC API lacks the query extension, without which it "
            "can't search by tile. Choose another API or a file of items"
        )
    return _Api(search, io)


def _search_tile(api: _Api, query: Query, tile: Tile) -> list[Any]:
    """All items of one tile, counted; searched again if the archive may have changed meanwhile."""
    for _ in range(2):
        found = _search_once(api, query, tile)
        if found.is_complete():
            return found.items
    raise CatalogError(
        f"tile h{tile[0]:02d}v{tile[1]:02d}: the STAC API counted {found.matched} items but sent "
        f"{len(found.items)}, {found.different()} of them different. Run again later; if that "
        "does not help, the API is at fault"
    )


@dataclass(frozen=True)
class _Found:
    """What a search brought."""

    items: list[Any]
    """Items of all pages."""
    matched: int | None
    """Number of items that the API counted; None if it does not count."""

    def different(self) -> int:
        """Number of different ids; what has none counts once."""
        return len({str(_get(item, "id")) for item in self.items})

    def is_complete(self) -> bool:
        """Whether as many different items came as the API counted (where it counts)."""
        return self.matched is None or self.different() == len(self.items) == self.matched


def _search_once(api: _Api, query: Query, tile: Tile) -> _Found:
    h, v = tile
    search = ItemSearch(
        api.url,
        collections=[COLLECTION],
        datetime=None if query.period == DatetimeRange() else str(query.period),
        limit=PAGE,
        query={
            "landsat:grid_horizontal": {"eq": f"{h:02d}"},
            "landsat:grid_vertical": {"eq": f"{v:02d}"},
            "landsat:grid_region": {"eq": query.region.name},
        },
    )
    items: list[Any] = []
    matched = None
    for page in _pages(api.io, api.url, search.get_parameters()):
        items += page["features"]
        matched = _matched(page) if matched is None else matched
        if len(items) > MOST_ITEMS:
            raise CatalogError(
                f"tile h{h:02d}v{v:02d}: over {MOST_ITEMS} items came, so the STAC API does not "
                "search by tile. Choose another API or a file of items"
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


def _pages(io: PatientIO, url: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Pages of a search: the first one, also if it is empty, and all that it leads to."""
    request: dict[str, Any] | None = {"href": url, "method": "POST", "body": body}
    asked: set[str] = set()
    while request is not None:
        asked.add(json.dumps(request, sort_keys=True))
        page = json.loads(io.request(request["href"], request["method"], None, request["body"]))
        if not (isinstance(page, dict) and isinstance(page.get("features"), list)):
            raise CatalogError(
                f"{clean(request['href'])}: the answer to a search is no item "
                "collection. Run again later; if that does not help, the API is at fault"
            )
        yield page
        request = _next_request(page, url, body) if page["features"] else None
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
