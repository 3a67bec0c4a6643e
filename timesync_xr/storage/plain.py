"""What obstore does not tell of an answer, asked for once more by a plain request.

These are few: where a bucket lies, and what a server sends that answers a range with a whole file.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

import requests

from .access import S3
from .failures import page, whole_files

LITTLE: Final = 16 * 1024
"""Bytes beyond the last one asked for that a whole file may have, to be read as one."""

_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")


@lru_cache(maxsize=64)
def region_of(bucket: str, s3: S3) -> str:
    """The region that a bucket says it is in, whoever asks; "" where it says none."""
    service = s3.endpoint or f"https://s3.{s3.aws_region}.amazonaws.com"
    address = f"{service.rstrip('/')}/{quote(bucket)}"
    try:
        found = requests.head(address, timeout=min(5.0, s3.timeout_seconds), allow_redirects=False)
    except requests.RequestException:
        return ""
    region = found.headers.get("x-amz-bucket-region", "")
    return region if _REGION.fullmatch(region) else ""


def small_file(address: str, stop: int, s3: S3) -> bytes:
    """All bytes of a file on a server that gives it whole, up to `LITTLE` after byte ``stop``.

    No more is taken from the server. `ServiceError` where there is more, or a page comes instead.
    """
    scheme, _, rest = address.partition("://")
    url = f"{scheme}://{quote(rest, safe='/:@[]')}"
    as_is = {"Accept-Encoding": "identity"}
    timeout = s3.timeout_seconds / 2
    with requests.get(url, headers=as_is, stream=True, timeout=timeout) as found:
        found.raise_for_status()
        body = bytearray()
        for piece in found.iter_content(4096):
            body += piece
            if len(body) > stop + LITTLE:
                break
    if _is_page(found, bytes(body)):
        host = urlsplit(found.url).hostname or ""
        raise page(address, host if found.history else "")
    if len(body) > stop + LITTLE:
        raise whole_files(address)
    return bytes(body)


def _is_page(found: requests.Response, body: bytes) -> bool:
    """Whether an answer is for eyes, not for programs."""
    kind = found.headers.get("content-type", "").lower()
    start = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "html" in kind or start.startswith((b"<!doctype html", b"<html"))
