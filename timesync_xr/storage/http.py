"""What obstore does not tell of an answer, asked for once more by a plain request.

These are few: where a bucket lies, and what a server sends that answers a range with a whole file.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import requests
import urllib3

from ..errors import InputError
from .access import S3
from .connections import own_certificates
from .failures import answered, packed, page, whole_files

LITTLE: Final = 16 * 1024
"""Bytes beyond the last one asked for that a whole file may have, to be read as one."""

_WHOLE: Final = (200, 203)
"""Statuses of an answer that is the file."""

_REDIRECTS: Final = 10
"""Addresses that one request may lead through."""

_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")


@lru_cache(maxsize=64)
def region_of(bucket: str, s3: S3) -> str:
    """The region that a bucket says it is in, whoever asks; "" where it says none."""
    service = s3.endpoint or f"https://s3.{s3.aws_region}.amazonaws.com"
    address = f"{service.rstrip('/')}/{quote(bucket)}"
    try:
        timeout, trusted = min(5.0, s3.timeout_seconds), own_certificates(address)
        found = requests.head(address, timeout=timeout, allow_redirects=False, verify=trusted)
    except (requests.RequestException, InputError):
        return ""
    region = found.headers.get("x-amz-bucket-region", "")
    return region if _REGION.fullmatch(region) else ""


def small_file(address: str, stop: int, s3: S3) -> tuple[bytes, str, datetime | None]:
    """All bytes of a file on a server that gives it whole, up to `LITTLE` after byte ``stop``.

    With its ETag and the time of its last change, as far as the server tells them. No more is
    taken from the server, and no longer than a request may last; what leads elsewhere is not read.
    `ServiceError` where there is more, or a page comes instead.
    """
    scheme, _, rest = address.partition("://")
    url = f"{scheme}://{quote(rest, safe='/:@[]')}"
    with requests.Session() as session, _follow(session, url, s3.timeout_seconds / 2) as found:
        if found.status_code not in _WHOLE:
            raise answered(address, found.status_code, found.reason)
        if found.headers.get("content-encoding", "identity").lower() != "identity":
            raise packed(address)
        body = _body(found, stop + LITTLE, s3.timeout_seconds)
        if _is_page(found, body):
            host = urlsplit(found.url).hostname or ""
            raise page(address, host if found.url != url else "")
        if len(body) > stop + LITTLE:
            raise whole_files(address)
        return body, found.headers.get("etag", ""), _modified(found)


def _follow(session: requests.Session, url: str, timeout: float) -> requests.Response:
    """The answer where redirects end, without its body; that of a redirect is left unread."""
    as_is = {"Accept-Encoding": "identity"}
    for _ in range(_REDIRECTS):
        found = session.get(
            url,
            headers=as_is,
            stream=True,
            timeout=timeout,
            allow_redirects=False,
            verify=own_certificates(url),
        )
        target = session.get_redirect_target(found)
        if target is None:
            return found
        found.close()
        url = urljoin(url, target)
    raise requests.TooManyRedirects


def _body(found: requests.Response, most: int, seconds: float) -> bytes:
    """The body of an answer, until it is longer than ``most``."""
    body, end = bytearray(), time.monotonic() + seconds
    try:
        while len(body) <= most and (piece := found.raw.read1(2**16)):
            body += piece
            if time.monotonic() > end:
                raise requests.Timeout
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise requests.ConnectionError from error
    return bytes(body)


def _modified(found: requests.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(found.headers.get("last-modified", ""))
    except ValueError:
        return None


def _is_page(found: requests.Response, body: bytes) -> bool:
    """Whether an answer is a text of the server: HTML, XML or JSON in any coding of Unicode."""
    kind = found.headers.get("content-type", "").lower()
    start = body[:512].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    return "html" in kind or start.startswith((b"<", b"{"))
