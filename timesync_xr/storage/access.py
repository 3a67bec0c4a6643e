"""Which addresses of assets may be read, and where they really lie.

An asset's address comes from a catalog, so it is not trusted: `Access.resolve` applies the user's
mirrors and lets through only ``s3://`` and ``https://`` addresses and files below a folder that
the user named.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from ..errors import InputError, Kind, ReadError, check_kind

_SCHEME: Final = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\0-\x1f]")
_SLASH: Final = re.compile(r"[/\\]")
_ENCODED: Final = ("http", "https", "file")
"""Schemes whose addresses are percent-encoded."""

SIGNED: Final = ("https://landsateuwest.blob.core.windows.net/landsat-c2",)
"""Containers whose requests are signed by `timesync_xr.storage.signing`."""

_PAID: Final = "usgs-landsat"
"""Bucket of scenes; nothing is asked of it unless the requester of the archive is to pay."""

_ALLOW: Final = "If you trust this address, allow it with --mirror OLD=NEW"


RETRY_SECONDS: Final = "TIMESYNC_XR_RETRY_SECONDS"
"""Environment variable: seconds for which failing requests are repeated, 120 if unset."""

Mirrors = str | Sequence[str | tuple[str, str]]
"""``"OLD=NEW"`` texts or (OLD, NEW) pairs: what starts with OLD is read from NEW instead."""


def _retry_seconds() -> float:
    """Seconds for which a request that fails for a passing reason is repeated."""
    text = os.environ.get(RETRY_SECONDS, "120")
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise InputError(f"the environment variable {RETRY_SECONDS} is {text!r}: give seconds")
    return float(text)


@dataclass(frozen=True)
class S3:
    """How a service is reached: the options of S3, and the patience with S3 and HTTP alike.

    Plain values that pickle; it holds no secret. Credentials are looked up where they are needed.

    Examples
    --------
    ::

        tx.Archive(s3=tx.S3(profile="lab", max_retries=4))
    """

    profile: str | None = None
    """Profile of the AWS configuration files that holds the credentials; needs boto3."""
    endpoint: str | None = None
    """Address of an S3 service other than AWS."""
    aws_region: str = "us-west-2"
    """AWS region of the bucket."""
    unsigned: bool = False
    """Read public buckets without credentials."""
    requester_pays: bool | None = None
    """Agree to pay for requests and traffic. None: where the archive's source demands it, and for
    nothing else."""
    max_retries: int = 8
    """Tries after the first one of a request that fails for a passing reason."""
    retry_seconds: float | None = None
    """No further try is made this long after the first one. None: what the environment variable
    `RETRY_SECONDS` says, else 120."""
    timeout_seconds: float = 30.0
    """A request that takes longer than this, or is silent for half of it, counts as failed."""

    def __post_init__(self) -> None:
        for name, kind in _S3_KINDS.items():
            check_kind(getattr(self, name), kind, name, "see timesync_xr.S3")
        if not re.fullmatch(r"[\w.-]+", self.aws_region, re.ASCII):
            raise InputError(f"there is no AWS region {self.aws_region!r}: give one like us-west-2")
        if self.endpoint:
            _check_endpoint(self.endpoint)
        waits = self.max_retries, self.retry_seconds or 0, self.timeout_seconds
        if not (all(n >= 0 for n in waits) and 0 < self.timeout_seconds < _LONGEST):
            raise InputError(
                f"{self.max_retries} retries within {self.retry_seconds} s, each of "
                f"{self.timeout_seconds} s, can't be: give numbers from 0, and some time to each"
            )

    @property
    def patience(self) -> float:
        """Seconds after the first try in which others are made."""
        return _retry_seconds() if self.retry_seconds is None else self.retry_seconds


_S3_KINDS: Final[Mapping[str, Any]] = {
    "profile": str | None, "endpoint": str | None, "aws_region": str, "unsigned": bool,
    "requester_pays": bool | None, "max_retries": int, "retry_seconds": int | float | None,
    "timeout_seconds": int | float,
}  # fmt: skip
_LONGEST: Final = 1e6
"""Seconds in which every request has ended."""
_AUTHORITY: Final = re.compile(
    r"(?:[\w.~%!$&'()*+,;=:-]*@)?(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?"
)
"""User, host or bucket, and port of an address. obstore panics at some others."""


def is_authority(text: str) -> bool:
    """Whether a text is the part of an address that tells who is asked: its host or bucket."""
    found = _AUTHORITY.fullmatch(text)
    return found is not None and int(found[1] or 0) < 2**16


def _check_endpoint(endpoint: str) -> None:
    scheme, _, rest = endpoint.partition("://")
    host, _, path = rest.partition("/")
    is_one = scheme.lower() in ("http", "https") and is_authority(host)
    if not (is_one and endpoint.isascii() and re.fullmatch(r"[\w.~%/-]*", path)):
        raise InputError(
            f"the endpoint {clean(endpoint)!r} is no address of a service: give one like "
            "https://s3.example.org or http://127.0.0.1:9000"
        )


@dataclass(frozen=True)
class Access:
    """How the assets of an archive are reached: mirrors, the folder of the items, and services."""

    mirrors: tuple[tuple[str, str], ...] = ()
    """Pairs (OLD, NEW): an address that starts with OLD is read from NEW instead. NEW is a folder,
    or an ``s3://``, ``https://`` or ``http://`` address. The longest OLD that fits wins."""
    folder: str | None = None
    """Folder of the items file: relative addresses start here, and files below it may be read."""
    s3: S3 = field(default_factory=S3)
    """How services are reached."""
    copies: tuple[tuple[str, str], ...] = ()
    """Pairs as ``mirrors``, of the archive itself: they hold where no mirror does."""

    def __post_init__(self) -> None:
        for old, new in self.mirrors:
            scheme = scheme_of(new)
            place = new.partition("://")[2].partition("/")[0]
            named = not scheme or (is_authority(place) and (scheme != "s3" or place.isascii()))
            if not old or not new or scheme not in ("", "s3", "http", "https") or not named:
                raise InputError(
                    f"the mirror {clean(old)}={clean(new)} can't be used: give OLD=NEW, where NEW "
                    "is a folder or an s3://, https:// or http:// address"
                )

    def resolve(self, href: str) -> str:
        """The address to read for an asset's href: an absolute path, or ``scheme://...``.

        The path of the address is not percent-encoded. Raises `ReadError` for an address that
        must not be read. Looks at the file system for links, but requests nothing.
        """
        if _CONTROL.search(href) or ".." in _SLASH.split(unquote(href)):
            _refuse(href, "it holds '..' or control characters")
        mirror = self._mirror(href) or _longest(self.copies, href)
        if mirror is not None:
            old, new = mirror
            scheme = scheme_of(href)
            rest = (_bare(href) if scheme else href)[len(old) :].lstrip("/")
            rest = unquote(rest) if scheme in _ENCODED else rest
            return self._inside(href, new, rest)
        return self._direct(href)

    def check_mirrors(self, hrefs: Iterable[str | None]) -> None:
        """Raise `InputError` where mirrors are given, but none is for any of some addresses.

        Else a slip in a mirror would let a whole run read what costs money.
        """
        given = [href for href in hrefs if href]
        if self.mirrors and given and not any(map(self._mirror, given)):
            raise InputError(
                f"no mirror is for the addresses of these items, like {clean(given[0])}: give "
                f"{' and '.join(clean(old) for old, _ in self.mirrors)} as it begins there"
            )

    def _mirror(self, href: str) -> tuple[str, str] | None:
        return _longest(self.mirrors, href)

    def is_beside_mirrors(self, address: str) -> bool:
        """Whether mirrors are given, and an address that `resolve` gave lies in none of them."""
        return bool(self.mirrors) and not any(lies_below(address, n) for _, n in self.mirrors)

    def _inside(self, href: str, new: str, rest: str) -> str:
        """The address of ``rest`` below the right side of a mirror."""
        if scheme_of(new):
            return f"{new.rstrip('/')}/{rest}"
        real = _real_below(f"{new}/{rest}", new)
        if real is None:
            _refuse(href, "it leads out of the mirror's folder")
        return real

    def _direct(self, href: str) -> str:
        """The address of an href that no mirror leads elsewhere."""
        scheme = scheme_of(href)
        if scheme in ("s3", "https", "http"):
            return self._direct_remote(href, scheme)
        if scheme == "file":
            parts = _split(href)
            if parts.netloc not in ("", "localhost"):
                _refuse(href, "it is a file of another machine")
            return self._direct_file(href, url2pathname(parts.path))
        if scheme or href.startswith("/vsi"):
            _refuse(href, "only s3://, https:// and files of the archive are read")
        return self._direct_file(href, href)

    def _direct_remote(self, href: str, scheme: str) -> str:
        if signed_container(href):
            href = _bare(href)  # a signature of another time
        parts = _split(href)
        trusted = any(lies_below(href, new) for _, new in self.mirrors)
        if "@" in parts.netloc or "?" in href or "#" in href:
            _refuse(href, "it carries credentials or a query")
        if scheme == "s3" and parts.netloc == _PAID and not self.s3.requester_pays:
            _refuse(href, "reading it costs money, and the archive was chosen as a free one", _FREE)
        if not (is_authority(parts.netloc) and parts.netloc.isascii()):
            _refuse(href, "it names no host or bucket")
        if not trusted and scheme == "http":
            _refuse(href, "http:// is not protected")
        if not trusted and scheme == "https" and _is_local_host(parts.hostname or ""):
            _refuse(href, "it leads into the local network")
        path = parts.path if scheme == "s3" else unquote(parts.path)
        return f"{scheme}://{parts.netloc}{path}"

    def _direct_file(self, href: str, path: str) -> str:
        roots = [new for _, new in self.mirrors if not scheme_of(new)]
        if self.folder is not None:
            roots.insert(0, self.folder)
            path = os.path.join(self.folder, path)
        if not os.path.isabs(path) and self.folder is None:
            _refuse(href, "it is relative, and the items come from no folder")
        real = next((real for root in roots if (real := _real_below(path, root))), None)
        if real is None:
            _refuse(href, "only files below the items' folder or a mirror are read")
        return real


def _longest(pairs: Sequence[tuple[str, str]], href: str) -> tuple[str, str] | None:
    fitting = [pair for pair in pairs if lies_below(href, pair[0])]
    return max(fitting, key=lambda pair: len(pair[0]), default=None)


def read_mirrors(mirror: Mirrors) -> tuple[tuple[str, str], ...]:
    """Mirrors as (OLD, NEW) pairs, folders as absolute paths.

    `InputError` for a mirror of a wrong form, or whose folder does not exist.
    """
    pairs = [mirror] if isinstance(mirror, str) else mirror
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, str) or (isinstance(pair, list | tuple) and len(pair) == 2)
        for pair in pairs
    ):
        raise InputError(f"{mirror!r} are no mirrors: give OLD=NEW texts or (OLD, NEW) pairs")
    return tuple(_mirror_pair(pair) for pair in pairs)


def _mirror_pair(mirror: str | tuple[str, str]) -> tuple[str, str]:
    old, _, new = mirror.partition("=") if isinstance(mirror, str) else (mirror[0], "", mirror[1])
    if isinstance(mirror, str) and scheme_of(old) and _bare(old) != old:  # "=" may be of a query
        raise InputError(
            f"the mirror {clean(mirror)} begins with an address that holds credentials or a query: "
            "give OLD=NEW, with OLD as the addresses of the items begin"
        )
    old, new = str(old).strip(), os.path.expanduser(str(new).strip())
    if new and not scheme_of(new) and not os.path.isdir(new):
        raise InputError(f"the mirror's folder {clean(new)} does not exist: check the path")
    if new and not scheme_of(new):
        new = os.path.abspath(new)  # workers may be at work in other folders
    return old, new


def clean(text: str) -> str:
    """An address without user name, password, query and fragment: fit for messages and logs."""
    return "".join(c if c.isprintable() else "?" for c in _bare(text))


def _bare(address: str) -> str:
    """An address without user name, password, query and fragment; a path keeps # and ?."""
    bare = _USER.sub(r"\1", address)
    if not scheme_of(bare):
        return _PATH_QUERY.sub("", bare)
    return _URL_QUERY.sub("", bare)


_USER: Final = re.compile(r"^([a-z][a-z0-9+.-]+:/{1,2}|//)[^/?#]*@", re.IGNORECASE)
_URL_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
_PATH_QUERY: Final = re.compile(r"\?[^/=?]*=.*", re.DOTALL)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_QUERY: Final = re.compile(r"\?[^\s?=]+=\S*")
_SECRET: Final = re.compile(
    "secret|token|passw|signature|credential|authori[sz]ation|(account|access|api|sas)[_-]?key",
    re.IGNORECASE,
)


def keepable(address: str) -> str:
    """An address without secrets, fit to be kept.

    One that had some ends with "?", so that `Access.resolve` refuses it as it does the whole one;
    but for those of `SIGNED`, which are signed anew.
    """
    bare = _bare(address)
    return bare if bare == address or signed_container(bare) else f"{bare}?"


_DEPTH: Final = 64
"""Levels of a value of JSON that are kept; real items have some ten."""


def without_secrets(value: Any, depth: int = _DEPTH) -> Any:
    """A value of JSON without secrets: its addresses are `keepable`.

    Members whose name says that they hold a secret are left out, as is what is nested too deep.
    """
    if not depth:
        return None
    if isinstance(value, Mapping):
        return {
            key: keepable(v)
            if key == "href" and isinstance(v, str)
            else without_secrets(v, depth - 1)
            for key, v in value.items()
            if not _SECRET.search(str(key))
        }
    if isinstance(value, list | tuple):
        return [without_secrets(v, depth - 1) for v in value]
    if isinstance(value, str) and "://" in value:
        bare = _ADDRESS.sub(lambda found: keepable(found[0]), value)
        return _QUERY.sub("?", bare)  # also of addresses with blanks in them
    return value


def scheme_of(address: str) -> str:
    """Scheme of an address in lower case, "" for a path."""
    found = _SCHEME.match(address)
    return found[1].lower() if found else ""


def is_file(address: str) -> bool:
    """Whether an address that `Access.resolve` gave is a file of this machine."""
    return "://" not in address  # no real path has two slashes together


def lies_below(href: str, old: str) -> bool:
    """Whether an address is or lies below another, by whole components."""
    ends = f"/{os.sep}"  # Windows has two
    rest = href.removeprefix(bare := old.rstrip(ends))
    return href == old or (href.startswith(bare) and rest.startswith(tuple(ends)))


def _split(href: str) -> SplitResult:
    try:
        return urlsplit(href)
    except ValueError:
        _refuse(href, "it is malformed")


_FREE: Final = (
    "Leave the item out, or take --source earth-search, where the requester pays, or a --mirror"
)


def _refuse(href: str, why: str, remedy: str = _ALLOW) -> NoReturn:
    raise ReadError(clean(href), f"this address is refused: {why}", remedy, kind=Kind.REFUSED)


def signed_container(address: str) -> str:
    """The container of `SIGNED` that an address lies in; "" if it lies in none."""
    return next((container for container in SIGNED if lies_below(address, container)), "")


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _real_below(path: str, root: str) -> str | None:
    """The real path of a file, links followed; None if it does not lie below the folder.

    The folder, the right side of a mirror or that of the items, is an absolute path.
    """
    folder, name = os.path.split(os.path.abspath(path))
    real = os.path.join(_real_folder(folder), name)
    if os.path.islink(real):
        real = os.path.realpath(real)
    inside = real.startswith(_real_folder(root).rstrip(os.sep) + os.sep)
    return real if inside else None


def _is_local_host(host: str) -> bool:
    """Whether a host name says by itself that it is this machine or a private network."""
    if host.rstrip(".").endswith(("localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]  # a number here is an old form of an IP address
        return "." not in host or last.isdigit() or last.startswith("0x")
