"""The only door to objects in buckets and on servers: their stores, requests and failures.

obstore makes the requests; those that fail in passing are repeated here.
What still fails is judged: does it concern one object, or all that its service (a bucket or a
host) holds?

Which address may be read is settled before, by `timesync_xr.storage.access.Access`.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from ..errors import (
    AccessError,
    CorruptAssetError,
    DenialError,
    InputError,
    Kind,
    MissingAssetError,
    ReadError,
    ServiceError,
    TransientReadError,
    is_panic,
)
from .access import S3, Access, clean, is_file, scheme_of, signed_container
from .connections import client_options
from .failures import (
    LATER,
    MISSING,
    REPLACE,
    denial,
    elsewhere,
    is_elsewhere,
    is_repeatable,
    is_whole,
    region_in,
    status_and_code,
    translated,
)
from .folder import READ
from .http import region_of, small_file
from .retry import NO_RETRIES, growing, retried
from .signing import signed_store, tokens_of
from .waiting import Wait

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def request(
    call: Callable[[ObjectStore, str], T],
    address: str,
    access: Access,
    before: Callable[[], object] | None = None,
) -> T:
    """What ``call(store, path)`` returns for an address, asked until its bytes are here.

    With ``before``, which is called before each try and may raise, no try is made without it.

    Raises `MissingAssetError`, `CorruptAssetError`, `TransientReadError` (after all tries) or
    another `ReadError`, or `AccessError` where the service gives nothing else either.
    """
    health = _health(address, access)
    if health.denies_all() and not _is_aside(address, access):  # hundreds may wait for their turn
        raise health.denial(address)
    end = time.monotonic() + access.s3.patience

    wait = Wait(_service(address), access.s3.max_retries + 1)

    def ask() -> T:
        if before is not None:
            before()
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("asking for %s", clean(address))
        try:
            return _ask(call, address, access)
        except BaseException as error:
            if not is_panic(error):
                raise
            raise ValueError("no address") from None  # obstore ends so where it can't send

    def pause(failed: int, error: Exception) -> float | None:
        if failed > access.s3.max_retries or time.monotonic() > end:
            return None
        if not is_repeatable(error, address):
            return None
        seconds = growing(0.1, failed, 15)
        wait.before_next(failed, getattr(translated(error, address), "cause", ""), seconds)
        return seconds

    try:
        found = retried(ask, pause)
    except Exception as error:  # noqa: BLE001 - credential providers raise what they like
        told = _told(error, address, access.s3)
        if isinstance(told, ReadError | ServiceError) and is_repeatable(error, address):
            told.tried = wait.gave_up()
        raise _judged(told, address, access) from None
    wait.answered()
    health.worked(address, access)
    return found


def _ask(call: Callable[[ObjectStore, str], T], address: str, access: Access) -> T:
    """One request; once more with a new token, where one that was good before is refused."""
    container = signed_container(address)
    if not container:
        return call(*open_store(address, access))
    tokens = tokens_of(container, access.s3)
    token = tokens.current()
    try:
        return call(*open_store(address, access))
    except Exception as error:
        if status_and_code(str(error))[0] != "403" or not tokens.drop(token):
            raise
    return call(*open_store(address, access))


def _told(error: Exception, address: str, s3: S3) -> Exception:
    """Our error for one of obstore; that of another region has its name, if that can be found."""
    if not is_elsewhere(error, address):
        return translated(error, address)
    bucket = _service(address).partition("://")[2]
    return elsewhere(address, region_in(error) or region_of(bucket, s3))


# Services


_GIVEN_UP: Final = 16
"""Requests given up in a row, each after all its tries, until the service itself is doubted."""

_DENIED: Final = 16
"""Addresses that a service denies before it gave anything, until it is taken to deny all."""

_BARRED: Final = 5.0
"""Seconds for which a service that denies all is not asked again."""

_RECENTLY: Final = 60.0
"""Seconds for which a service that worked is taken to work."""


_Archive = tuple[tuple[tuple[str, str], ...], str | None]
"""What tells archives apart that the same services serve: mirrors, and the folder of items."""


class _Health:
    """What is known of a service."""

    def __init__(self) -> None:
        self.good = ""
        """The address that worked last."""
        self.when: dict[_Archive, float] = {}
        """When any worked last, for each archive."""
        self.given_up = 0
        """Requests given up since then."""
        self.denied: set[str] = set()
        """Addresses that were denied before any worked, up to `_DENIED`."""
        self.denied_when = -math.inf
        """When the last one was."""
        self.last: ServiceError | None = None
        """How the last one was."""

    def worked(self, address: str, access: Access) -> None:
        """Note that an address gave what it was asked for."""
        self.good, self.given_up = address, 0
        self.when[access.mirrors, access.folder] = time.monotonic()

    def was_denied(self, address: str, error: ServiceError) -> None:
        """Note that an address was denied, and how."""
        self.denied_when, self.last = time.monotonic(), error
        if len(self.denied) < _DENIED:
            self.denied.add(address)

    def denies_all(self) -> bool:
        """Whether so many addresses were denied just now that all are taken to be."""
        if self.good or len(self.denied) < _DENIED:
            return False
        return time.monotonic() < self.denied_when + _BARRED

    def denial(self, address: str) -> ServiceError:
        """The error of an address that is not asked for, since all are denied."""
        if self.last is None:
            return denial(address)
        last = self.last
        return type(last)(clean(address), last.cause, last.remedy, last.kind)


_healths: Final[dict[tuple[str, S3], _Health]] = {}
"""What is known of each service, by the bucket or host and the way that leads there."""


def _health(address: str, access: Access) -> _Health:
    key = _service(address), access.s3
    return _healths.get(key) or _healths.setdefault(key, _Health())


def _service(address: str) -> str:
    """The bucket, host or signed container of an address, with its scheme."""
    if container := signed_container(address):
        return container
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _judged(error: Exception, address: str, access: Access) -> Exception:
    """An error of one object as it is, or an `AccessError` where the service fails for all."""
    health = _health(address, access)
    if isinstance(error, TransientReadError):
        return _doubted(error, address, access)
    if not isinstance(error, ServiceError):
        return error
    passes = error.kind in (Kind.DENIED, Kind.UNREACHABLE, Kind.NO_RANGES)
    if passes and _works(health, access):
        return _of_this_alone(error)
    if _is_aside(address, access):
        return error.of_one
    if error.kind == Kind.DENIED and not health.good:
        health.was_denied(address, error)
        return error if health.denies_all() else error.of_one
    return error


def _doubted(error: TransientReadError, address: str, access: Access) -> Exception:
    """The error of a request that was given up, or of its service after too many of them."""
    health = _health(address, access)
    health.given_up += 1
    if health.given_up < _GIVEN_UP or _works(health, access) or _is_aside(address, access):
        return error
    return AccessError(
        f"{error.asset}: {error.cause}{error.tried}, as did all of the last {_GIVEN_UP} requests. "
        f"The service is down. {LATER}",
        kind=Kind.TRANSIENT,
    )


def _of_this_alone(error: ServiceError) -> ReadError:
    """The error of one object, where its service gives others."""
    if isinstance(error, DenialError):
        cause = "the server denies access to it alone"
        return ReadError(error.place, cause, MISSING, kind=Kind.DENIED)
    if error.kind == Kind.UNREACHABLE:
        return TransientReadError(error.place, "the server was out of reach", LATER)
    return error.of_one


def _is_aside(address: str, access: Access) -> bool:
    """Whether a service that fails is not the archive: it never worked, but others of it do."""
    since, way = time.monotonic() - _RECENTLY, access.s3
    known = [health for (_, led), health in list(_healths.items()) if led == way]
    archive = access.mirrors, access.folder
    others = any(health.when.get(archive, -math.inf) > since for health in known)
    return not _health(address, access).good and (others or access.is_beside_mirrors(address))


def _works(health: _Health, access: Access) -> bool:
    """Whether what could be read before still can; that it is gone meanwhile is an answer too."""
    if not health.good:
        return False
    timeout = min(5.0, access.s3.timeout_seconds)
    hasty = replace(access, s3=replace(access.s3, timeout_seconds=timeout))
    store, path = open_store(health.good, hasty)

    def pause(failed: int, error: Exception) -> float | None:
        return 0.1 if failed == 1 and is_repeatable(error, health.good) else None

    try:
        retried(lambda: _get_span(store, path, health.good, (0, 1)), pause)
    except FileNotFoundError:
        pass
    except Exception:  # noqa: BLE001 - credential providers raise what they like
        return False
    health.worked(health.good, access)
    return True


# Stores


_forked = threading.Event()


def _after_fork() -> None:
    """Notes in a forked child that obstore, whose threads the child lacks, would hang for ever."""
    if _store.cache_info().currsize or signed_store.cache_info().currsize:
        _forked.set()


os.register_at_fork(after_in_child=_after_fork)


def open_store(address: str, access: Access) -> tuple[ObjectStore, str]:
    """The store of an address, one per bucket or host, and the path in it."""
    if _forked.is_set():
        raise AccessError(
            f"{clean(address)} can't be reached in a process that was forked after requests were "
            "made: start processes with the method 'spawn' or 'forkserver'"
        )
    service = _service(address)
    path = address[len(service) + 1 :]
    if signed_container(address):
        token = tokens_of(service, access.s3).current()
        return signed_store(service, access.s3, token), path
    return _store(service, access.s3), path


@lru_cache(maxsize=64)
def _store(service: str, s3: S3) -> ObjectStore:
    from obstore.store import HTTPStore, S3Store, from_url

    scheme, _, host = service.partition("://")
    if scheme == "s3":
        options = _s3_options(s3)
        client = client_options(s3, s3.endpoint or "")
        return S3Store(host, client_options=client, retry_config=NO_RETRIES, **options)
    client = client_options(s3, service)
    if scheme in ("http", "https"):
        return HTTPStore(service, client_options=client, retry_config=NO_RETRIES)
    return from_url(service, client_options=client, retry_config=NO_RETRIES)


def _s3_options(s3: S3) -> dict[str, Any]:
    options: dict[str, Any] = {
        "region": s3.aws_region,
        "request_payer": bool(s3.requester_pays),
    }
    if s3.endpoint:
        options["endpoint"] = s3.endpoint
    if s3.unsigned:
        options["skip_signature"] = True
    elif _wants_profile(s3):
        options["credential_provider"] = _profile_credentials(s3.profile)
    return options


def _wants_profile(s3: S3) -> bool:
    """Whether to look into the AWS configuration files, which obstore itself does not read."""
    if s3.profile or os.environ.get("AWS_PROFILE"):
        return True
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    return "AWS_ACCESS_KEY_ID" not in os.environ and os.path.exists(os.path.expanduser(file))


def _profile_credentials(profile: str | None) -> Any:
    """A provider of the profile's credentials that renews them when they expire."""
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise InputError(
            "an AWS profile is to be used, but boto3 is not installed: pip install "
            "boto3, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        ) from None
    try:
        return Boto3CredentialProvider(boto3.Session(profile_name=profile))
    except Exception as error:  # noqa: BLE001 - botocore has no common base for these
        raise AccessError(
            f"the AWS profile {profile or 'default'} gives no credentials "
            f"({type(error).__name__}): check ~/.aws/config and ~/.aws/credentials",
            kind=Kind.CREDENTIALS,
        ) from None


# Bytes


Range = tuple[int, int]
"""Bytes of an object: the first, and the one after the last."""


class Version(NamedTuple):
    """What tells one state of an object from another that lies under the same name later."""

    mark: str
    """Its ETag, or the time of its last change where the server gives none; of a file its number
    and the times of its last changes."""
    size: int
    """Its bytes."""


class ChangedError(TransientReadError):
    """An object is no longer what it was when its first bytes were read."""


def read_start(address: str, stop: int, access: Access) -> tuple[bytes, Version]:
    """The first bytes of an object, fewer than ``stop`` where it is shorter, and its version.

    Raises as `read_ranges`.
    """
    (data,), versions = _read(address, [(0, stop)], access, None, allow_short=True)
    return data, next(iter(versions))


def read_ranges(
    address: str,
    ranges: Sequence[Range],
    access: Access,
    *,
    allow_short: bool = False,
    version: Version | None = None,
) -> list[bytes]:
    """Bytes of one object, one ``bytes`` per (start, stop) of ``ranges``, all of one version.

    ``address`` is what `Access.resolve` gave. Ranges that touch or nearly touch are fetched in one
    request; what is fetched is at most 1.1 times what was asked for. No request but GET is made.
    With ``allow_short`` an object that ends early gives fewer bytes, else that is an error.

    Raises `ChangedError` where the object is not, or no longer, the ``version``;
    `MissingAssetError`, `CorruptAssetError`, `TransientReadError` (after the retries), each
    naming the address, or `AccessError` where nothing else can be read either.
    """
    try:
        return _read(address, ranges, access, version, allow_short=allow_short)[0]
    except CorruptAssetError:  # a server that lacks the bytes asked for does not tell the version
        if version is not None and read_start(address, 1, access)[1] != version:
            raise _changed(address) from None
        raise


WHOLE_PART: Final = 8 * 2**20
"""Bytes of a file that is read whole which are asked for at once."""

_LARGEST: Final = 2**32
"""Bytes that a TIFF can have."""


def read_whole(address: str, access: Access) -> Iterator[bytes]:
    """All bytes of an object in its order, in parts of `WHOLE_PART`, all of one version.

    Raises as `read_ranges`, and `CorruptAssetError` for one that is larger than any TIFF.
    """
    data, version = read_start(address, WHOLE_PART, access)
    if version.size > _LARGEST:
        raise CorruptAssetError(clean(address), f"it has {version.size} bytes", REPLACE)
    if len(data) != min(version.size, WHOLE_PART):
        raise _ShortError(clean(address), f"it ends before byte {version.size}", REPLACE)
    yield data
    for start in range(WHOLE_PART, version.size, WHOLE_PART):
        span = start, min(start + WHOLE_PART, version.size)
        yield from read_ranges(address, [span], access, version=version)


def check_version(path: str, version: Version) -> None:
    """`ChangedError` where a file of this machine is another version by now."""
    _check(_read_file(path, []), version, path)


_Found = tuple[list[bytes], set[Version]]
"""Bytes of each range, and the versions that they are of."""


def _check(found: _Found, version: Version | None, address: str) -> _Found:
    """What was found; `ChangedError` where it is of several versions, or not of the one wanted.

    Every answer tells its version, so that it is compared here. If-Match would leave that to the
    server, and some refuse tags that they gave: weak ones, or those of a copy behind a cache.
    """
    if len(found[1] | ({version} if version else set())) > 1:
        raise _changed(address)
    return found


def _changed(address: str) -> ChangedError:
    remedy = f"Wait until nothing writes to it. {LATER}"
    return ChangedError(clean(address), "it changes while it is read", remedy)


def _read(
    address: str,
    ranges: Sequence[Range],
    access: Access,
    version: Version | None,
    *,
    allow_short: bool,
) -> _Found:
    """Bytes of one version, see `read_ranges`."""

    def checked(found: _Found) -> _Found:
        found = _check(found, version, address)
        return found if allow_short else _whole(found, ranges, address)

    if is_file(address):
        return checked(_read_file(address, ranges))

    def ask() -> _Found:
        get = partial(_get_parts, ranges, allow_short, address, access.s3, {})
        return checked(request(get, address, access))

    def pause(failed: int, error: Exception) -> float | None:
        return 0.1 if isinstance(error, _ShortError) and failed < _TRIES else None

    return retried(ask, pause)


_TRIES: Final = 3
"""How often to ask for a body that is shorter than asked for: most often the object is."""


class _ShortError(CorruptAssetError):
    """Fewer bytes came than were asked for, and nothing broke on the way."""


def _whole(found: _Found, ranges: Sequence[Range], address: str) -> _Found:
    """What was found, all bytes of each range; `CorruptAssetError` where some lack."""
    for (start, stop), data in zip(ranges, found[0], strict=True):
        if len(data) != stop - start:
            raise _ShortError(clean(address), f"it ends before byte {stop}", REPLACE)
    return found


def _read_file(path: str, ranges: Sequence[Range]) -> _Found:
    try:
        file = os.open(path, READ)
        try:
            before = _version_of_file(file)
            data = [_read_at(file, stop - start, start) for start, stop in ranges]
            return data, {before, _version_of_file(file)}
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingAssetError(path, "there is no such file", MISSING) from None
    except IsADirectoryError:
        raise CorruptAssetError(path, "it is a folder", "Replace it by the file") from None
    except PermissionError:
        remedy = "Change the file's permissions"
        raise ReadError(path, "it may not be read", remedy, kind=Kind.DENIED) from None
    except OSError as error:
        raise TransientReadError(path, f"reading failed: {error.strerror}", LATER) from None


def _read_at(file: int, size: int, start: int) -> bytes:
    """Some bytes of an open file; Windows has no call for both steps."""
    if hasattr(os, "pread"):
        return os.pread(file, size, start)
    os.lseek(file, start, os.SEEK_SET)
    return os.read(file, size)


def _version_of_file(file: int) -> Version:
    """Its number tells a file that took another's place, its times one that was written anew."""
    state = os.fstat(file)
    return Version(f"{state.st_ino} {state.st_mtime_ns} {state.st_ctime_ns}", state.st_size)


def _get_parts(
    ranges: Sequence[Range],
    allow_short: bool,
    address: str,
    s3: S3,
    here: _Spans,
    store: ObjectStore,
    path: str,
) -> _Found:
    """Bytes of each range, or parts of the whole file if it is small and comes in their place.

    HTTP allows a server to send all of a file of which a range asks for all.
    """
    try:
        return _get(store, path, ranges, address, here, allow_short=allow_short)
    except Exception as error:
        plain = scheme_of(address) in ("http", "https") and not signed_container(address)
        if not (is_whole(error) and plain):
            raise
    data, tag, modified = small_file(address, max(stop for _, stop in ranges), s3)
    version = Version(tag or _time(modified), len(data))
    return [data[start:stop] for start, stop in ranges], {version}


_Spans = dict[Range, tuple[bytes, Version]]
"""What earlier tries of a read have brought, which is not asked for again."""


def _get(
    store: ObjectStore,
    path: str,
    ranges: Sequence[Range],
    address: str,
    here: _Spans,
    *,
    allow_short: bool,
) -> _Found:
    """Bytes of each range as far as the object goes; those that nearly touch in one request.

    Where the object may be short, each range is a request of its own.
    """
    wanted = sum(stop - start for start, stop in ranges)
    gap = -1 if allow_short else wanted // (10 * max(1, len(ranges) - 1))
    spans = _joined(ranges, gap)

    def get(span: Range) -> None:
        here[span] = _get_span(store, path, address, span)

    own, *others = [span for span in spans if span not in here]
    asked = [_side_by_side(os.getpid()).submit(get, span) for span in others]
    try:
        get(own)
    finally:
        wait_for(asked)
    for other in asked:
        other.result()
    bodies = [here[span] for span in spans]
    data = []
    for start, stop in ranges:
        number = bisect_right(spans, (start, math.inf)) - 1
        body, first = bodies[number][0], spans[number][0]
        whole = (first, first + len(body)) == (start, stop)
        data.append(body if whole else body[start - first : stop - first])
    return data, {version for _, version in bodies}


def _joined(ranges: Sequence[Range], gap: int) -> list[Range]:
    """Ranges in order, those as one that are at most so far apart; negative for none."""
    spans: list[Range] = []
    for start, stop in sorted(ranges):
        if spans and start - spans[-1][1] <= gap:
            spans[-1] = spans[-1][0], max(spans[-1][1], stop)
        else:
            spans.append((start, stop))
    return spans


@lru_cache(maxsize=1)
def _side_by_side(_process: int) -> ThreadPoolExecutor:
    """Threads of a process that fetch what is one read but several requests."""
    return ThreadPoolExecutor(64, "timesync_xr parts")


def _get_span(store: ObjectStore, path: str, address: str, span: Range) -> tuple[bytes, Version]:
    """Bytes of a range as far as the object goes, and its version.

    No more is taken from a server than what was asked for, however much it sends.
    """
    from obstore import get

    length = span[1] - span[0]
    found = get(store, path, options={"range": span})
    meta = found.meta
    body = bytes(next(found.stream(length + 1), b""))
    if len(body) > length:
        cause = "the server sends more than was asked for"
        raise CorruptAssetError(clean(address), cause, "Check the server, or take another mirror")
    return body, Version(meta["e_tag"] or _time(meta["last_modified"]), meta["size"])


def _time(moment: datetime | None) -> str:
    """A time of a server; the epoch stands for none, as for obstore."""
    return "" if moment is None or not moment.timestamp() else str(moment.timestamp())
