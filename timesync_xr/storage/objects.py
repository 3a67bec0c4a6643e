"""What went wrong at a service, told in words of our own.

The text of obstore's errors may hold secrets: none of it is passed on.


Object services over S3 or HTTP: their stores, credentials and patience, and what went wrong.

obstore does the requests and repeats those that fail. Here broken bodies are repeated too, and a
failure is judged: does it concern one object, or all that the service holds?


The only door to the bytes of assets: parts of one object, from disk, from S3 or over HTTP.

What address may be read is settled before, by `timesync_xr.storage.access.Access`.
"""

from __future__ import annotations

import logging
import math
import os
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import (
    AccessError,
    CorruptAssetError,
    InputError,
    MissingAssetError,
    ReadError,
    TransientReadError,
)
from .access import Access, clean, scheme_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .access import is_file

if TYPE_CHECKING:
    from obstore.store import ObjectStore


MISSING: Final = "Check the archive or the mirror, or leave the item out"
REPLACE: Final = "Replace it by a whole copy of the original"
LATER: Final = "Run again later: what is done is kept"


class ServiceError(AccessError):
    """A service fails for all that it holds; ``of_one`` is the error if it holds little."""

    def __init__(self, place: str, fact: str, remedy: str) -> None:
        self.of_one = ReadError(place, fact, f"{remedy}, or leave the item out")
        super().__init__(place, fact, remedy)

    def __str__(self) -> str:
        return "{}: {}. {}".format(*self.args)


class DeniedError(ServiceError):
    """The server denies access: to all, or to one object."""


class UnreachableError(ServiceError):
    """The server can't be reached: for good, or for some minutes."""


class WholeFilesError(ServiceError):
    """The server does not give parts of files: of none, or it is a page in place of one."""


_CREDENTIALS: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or choose a profile "
    "(--profile for the archive, --out-profile for the output), or use --unsigned for a public "
    "bucket"
)
_OTHER_CREDENTIALS: Final = {
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def _credentials(address: str) -> str:
    """What to do where a service does not know who asks."""
    if (scheme := scheme_of(address)) == "s3":
        return _CREDENTIALS
    return _OTHER_CREDENTIALS.get(scheme, "Check the server's permissions")


_NO_CREDENTIALS: Final = (
    "169.254.", "fd00:ec2::254", "/latest/api/token", "/latest/meta-data",
    "metadata.google.internal", "must be specified",
)  # fmt: skip
"""Signs that obstore found no credentials: it asks the machine for its role, or for an account."""

_CODES: Final = {
    "ExpiredToken": ("the credentials have expired", f"Renew them. {LATER}"),
    "InvalidToken": ("the session token is not valid", _CREDENTIALS),
    "InvalidAccessKeyId": ("the access key is unknown", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key is wrong", _CREDENTIALS),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "Set it"),
    "NoSuchBucket": ("there is no such bucket", "Check its name, or make it"),
    "QuotaExceeded": ("the quota is used up", f"Make room. {LATER}"),
    "507 Insufficient Storage": ("the service has no room left", f"Make room. {LATER}"),
}
"""Codes of S3 that hold for all objects, and what they mean."""


def translated(error: Exception, address: str) -> Exception:
    """Our error for one of obstore."""
    place, text, kind = clean(address), str(error), type(error).__name__
    if isinstance(error, InputError | AccessError):
        return error
    code = next((meaning for code, meaning in _CODES.items() if code in text), None)
    if code:
        return ServiceError(place, *code)
    if isinstance(error, FileNotFoundError):
        return MissingAssetError(place, "nothing lies at this address", MISSING)
    if kind in ("ValueError", "InvalidPathError"):
        return ReadError(place, "the address is malformed", "Check the address")
    if "416 Range Not Satisfiable" in text:
        return CorruptAssetError(place, "it ends too early", REPLACE)
    return _barred(kind, text, address) or TransientReadError(
        place, f"the service failed: {_reason(text)}", LATER
    )


def _barred(kind: str, text: str, address: str) -> AccessError | None:
    """The error of a service that can't be reached or entered; None for any other failure."""
    place = clean(address)
    if any(sign in text for sign in _NO_CREDENTIALS):
        return ServiceError(place, "no credentials were found", _credentials(address))
    if kind == "NotSupportedError":
        remedy = "Check the address, or take another server or a folder as mirror"
        return WholeFilesError(place, "the server does not give parts of files", remedy)
    denied = kind in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError")
    if denied or "status code: 401" in text or "status code: 403" in text:
        return DeniedError(place, "the server denies access", _credentials(address))
    if any(sign in text for sign in _UNREACHABLE):
        remedy = "Check the network, proxies and the address"
        return UnreachableError(place, "the server can't be reached", remedy)
    return None


_UNREACHABLE: Final = ("dns error", "Connection refused", "Network is unreachable", "No route to")
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3} [A-Za-z ]{1,40})")


def _reason(text: str) -> str:
    """What is known of a failure, in words of our own."""
    status = _STATUS.search(text)
    if status:
        return status[1].strip()
    return "time ran out" if "Timeout" in text or "TimedOut" in text else "the connection broke"


_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_GIVEN_UP: Final = 16
"""Requests given up in a row, each after all its tries, until the service itself is doubted."""

_RECENTLY: Final = 60.0
"""Seconds for which a service that worked is taken to work."""


def request(call: Callable[[ObjectStore, str], T], address: str, access: Access) -> T:
    """What ``call(store, path)`` returns for an address, asked until its bytes are here.

    Raises `MissingAssetError`, `CorruptAssetError`, `TransientReadError` (after all tries) or
    another `ReadError`, or `AccessError` where the service gives nothing else either.
    """
    health = _health(address, access)
    end = time.monotonic() + access.s3.patience
    for attempt in range(access.s3.max_retries + 1):
        last = attempt == access.s3.max_retries or time.monotonic() > end
        try:
            if _LOG.isEnabledFor(logging.DEBUG):
                _LOG.debug("asking for %s", clean(address))
            found = call(*open_store(address, access))
        except Exception as error:  # noqa: BLE001 - credential providers raise what they like
            ours = translated(error, address)
            if last or not _is_repeatable(ours, str(error)):
                raise _judged(ours, address, access) from None
        else:
            health.worked(address)
            return found
        time.sleep(random.uniform(0.5, 1) * min(0.1 * 2**attempt, 5))  # noqa: S311 - jitter
    raise AssertionError("the last attempt returns or raises")


_BROKEN_BODY: Final = ("response body error", "UnexpectedRange")


def _is_repeatable(error: Exception, text: str) -> bool:
    """Whether to ask again: a broken body, or a passing fault that obstore did not repeat itself.

    It does not repeat what changes something and got no answer; all requests made here may be.
    """
    broken = any(sign in text for sign in _BROKEN_BODY)
    repeated = re.search(r"after \d+ retries", text)
    return broken or (isinstance(error, TransientReadError) and not repeated)


class _Health:
    """What is known of a service: the address that worked last, requests given up since then."""

    def __init__(self) -> None:
        self.good, self.given_up, self.when = "", 0, -math.inf

    def worked(self, address: str) -> None:
        self.good, self.given_up, self.when = address, 0, time.monotonic()


_healths: defaultdict[Access, defaultdict[str, _Health]] = defaultdict(lambda: defaultdict(_Health))
"""What is known of each service, by the way of access and the bucket or host."""


def _health(address: str, access: Access) -> _Health:
    return _healths[access][_service(address)]


def _service(address: str) -> str:
    """The bucket or host of an address, with its scheme."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _judged(error: Exception, address: str, access: Access) -> Exception:
    """An error of one object as it is, or an `AccessError` where the service fails for all."""
    health = _health(address, access)
    if isinstance(error, TransientReadError):
        health.given_up += 1
        if health.given_up < _GIVEN_UP or _works(health, access) or _is_aside(address, access):
            return error
        return AccessError(
            f"{error.asset}: {error.cause}, as did all of the last {_GIVEN_UP} requests. The "
            f"service is down. {LATER}"
        )
    if isinstance(error, DeniedError) and _works(health, access):
        return ReadError(clean(address), "the server denies access to it alone", MISSING)
    if isinstance(error, UnreachableError) and _works(health, access):
        return TransientReadError(clean(address), "the server was out of reach", LATER)
    of_one = isinstance(error, WholeFilesError) and _works(health, access)
    if isinstance(error, ServiceError) and (of_one or _is_aside(address, access)):
        return error.of_one
    return error


def _is_aside(address: str, access: Access) -> bool:
    """Whether a service that fails is not the archive: it never worked, but others do."""
    since = time.monotonic() - _RECENTLY
    others = any(health.when > since for health in list(_healths[access].values()))
    return not _health(address, access).good and (others or access.is_beside_mirrors(address))


def _works(health: _Health, access: Access) -> bool:
    """Whether what could be read before still can; that it is gone meanwhile is an answer too."""
    from obstore import get_range

    if not health.good:
        return False
    timeout = min(5.0, access.s3.timeout_seconds)
    hasty = replace(access, s3=replace(access.s3, max_retries=1, timeout_seconds=timeout))
    store, path = open_store(health.good, hasty)
    try:
        get_range(store, path, start=0, end=1)
    except FileNotFoundError:
        pass
    except Exception:  # noqa: BLE001 - credential providers raise what they like
        return False
    health.worked(health.good)
    return True


_forked = threading.Event()


def _after_fork() -> None:
    """Notes in a forked child that obstore, whose threads the child lacks, would hang for ever."""
    if _store.cache_info().currsize:
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
    return _store(service, access), address[len(service) + 1 :]


@lru_cache(maxsize=64)
def _store(service: str, access: Access) -> ObjectStore:
    from obstore.store import HTTPStore, S3Store, from_url

    scheme, _, host = service.partition("://")
    if scheme == "s3":
        options = _s3_options(access)
        client = _client_options(access, access.s3.endpoint or "")
        return S3Store(host, client_options=client, retry_config=_retry_config(access), **options)
    client = _client_options(access, service)
    if scheme in ("http", "https"):
        return HTTPStore(service, client_options=client, retry_config=_retry_config(access))
    return from_url(service, client_options=client, retry_config=_retry_config(access))


def _s3_options(access: Access) -> dict[str, Any]:
    options: dict[str, Any] = {
        "region": access.s3.aws_region,
        "request_payer": bool(access.s3.requester_pays),
    }
    if access.s3.endpoint:
        options["endpoint"] = access.s3.endpoint
    if access.s3.unsigned:
        options["skip_signature"] = True
    elif _wants_profile(access):
        options["credential_provider"] = _profile_credentials(access.s3.profile)
    return options


def _client_options(access: Access, url: str) -> ClientConfig:
    return {
        "allow_http": scheme_of(url) == "http",
        "timeout": timedelta(seconds=access.s3.timeout_seconds),
        "read_timeout": timedelta(seconds=access.s3.timeout_seconds / 2),
    }


def _retry_config(access: Access) -> RetryConfig:
    """Waits of 0.1 s, doubled each time up to 15 s, with jitter."""
    return {
        "max_retries": access.s3.max_retries,
        "retry_timeout": timedelta(seconds=access.s3.patience),
        "backoff": {
            "init_backoff": timedelta(seconds=0.1),
            "max_backoff": timedelta(seconds=15),
            "base": 2,
        },
    }


def _wants_profile(access: Access) -> bool:
    """Whether to look into the AWS configuration files, which obstore itself does not read."""
    if access.s3.profile or os.environ.get("AWS_PROFILE"):
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
            "'timesync-xr[s3]', or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        ) from None
    try:
        return Boto3CredentialProvider(boto3.Session(profile_name=profile))
    except Exception as error:  # noqa: BLE001 - botocore has no common base for these
        raise AccessError(
            f"the AWS profile {profile or 'default'} gives no credentials "
            f"({type(error).__name__}): check ~/.aws/config and ~/.aws/credentials"
        ) from None


Range = tuple[int, int]
"""Bytes of an object: the first, and the one after the last."""


def read_ranges(
    address: str, ranges: Sequence[Range], access: Access, *, allow_short: bool = False
) -> list[bytes]:
    """Bytes of one object, one ``bytes`` per (start, stop) of ``ranges``.

    ``address`` is what `Access.resolve` gave. Ranges that touch or nearly touch are fetched in one
    request; what is fetched is at most 1.1 times what was asked for. No request but GET is made.
    With ``allow_short`` an object that ends early gives fewer bytes, else that is an error.

    Raises `MissingAssetError`, `CorruptAssetError`, `TransientReadError` (after the retries), each
    naming the address, or `AccessError` where nothing else can be read either.
    """
    if is_file(address):
        found = _read_file(address, ranges)
    else:
        found = _read_remote(address, ranges, access, allow_short)
    short = [r for r, data in zip(ranges, found, strict=True) if len(data) != r[1] - r[0]]
    if short and not allow_short:
        raise CorruptAssetError(clean(address), f"it ends before byte {short[0][1]}", REPLACE)
    return found


def _read_file(path: str, ranges: Sequence[Range]) -> list[bytes]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return [os.pread(file, stop - start, start) for start, stop in ranges]
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingAssetError(path, "there is no such file", MISSING) from None
    except IsADirectoryError:
        raise CorruptAssetError(path, "it is a folder", "Replace it by the file") from None
    except PermissionError:
        raise ReadError(path, "it may not be read", "Change the file's permissions") from None
    except OSError as error:
        raise TransientReadError(path, f"reading failed: {error.strerror}", LATER) from None


_SHORT_TRIES: Final = 2
"""Tries after the first one for a body that is shorter than asked for: most often the object is."""


def _read_remote(
    address: str, ranges: Sequence[Range], access: Access, allow_short: bool
) -> list[bytes]:
    def get(store: ObjectStore, path: str) -> list[bytes]:
        return _get(store, path, ranges, allow_short)

    found = request(get, address, access)
    for _ in range(_SHORT_TRIES):
        if allow_short or _is_whole(found, ranges):
            break
        time.sleep(0.1)
        found = request(get, address, access)
    return found


def _is_whole(found: Sequence[bytes], ranges: Sequence[Range]) -> bool:
    return all(len(data) == stop - start for data, (start, stop) in zip(found, ranges, strict=True))


def _get(store: ObjectStore, path: str, ranges: Sequence[Range], allow_short: bool) -> list[bytes]:
    from obstore import get_range, get_ranges

    if allow_short:
        return [bytes(get_range(store, path, start=a, end=b)) for a, b in ranges]
    starts, ends = [a for a, _ in ranges], [b for _, b in ranges]
    wanted = sum(ends) - sum(starts)
    gap = wanted // (10 * max(1, len(ranges) - 1))
    return [bytes(r) for r in get_ranges(store, path, starts=starts, ends=ends, coalesce=gap)]
