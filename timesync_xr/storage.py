"""The only door to the bytes of assets: parts of one object, from disk, from S3 or over HTTP.

What address may be read is settled before, by `timesync_xr.access.Access`.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from .access import Access, clean, is_file, scheme_of
from .errors import (
    AccessError,
    CorruptAssetError,
    InputError,
    MissingAssetError,
    ReadError,
    TransientReadError,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, HTTPStore, RetryConfig, S3Store

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
        raise CorruptAssetError(clean(address), f"it ends before byte {short[0][1]}", _REPLACE)
    return found


def _read_file(path: str, ranges: Sequence[Range]) -> list[bytes]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return [os.pread(file, stop - start, start) for start, stop in ranges]
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingAssetError(path, "there is no such file", _MISSING) from None
    except IsADirectoryError:
        raise CorruptAssetError(path, "it is a folder", "Replace it by the file") from None
    except PermissionError:
        raise ReadError(path, "it may not be read", "Change the file's permissions") from None
    except OSError as error:
        raise TransientReadError(path, f"reading failed: {error.strerror}", _LATER) from None


_MISSING: Final = "Check the archive or the mirror, or leave the item out"
_REPLACE: Final = "Replace it by a whole copy of the original"
_LATER: Final = "Run again later: what is done is kept"


def _read_remote(
    address: str, ranges: Sequence[Range], access: Access, allow_short: bool
) -> list[bytes]:
    """Requests until the bytes are here. obstore repeats failed requests, but not broken bodies."""
    end = time.monotonic() + access.retry_seconds
    for attempt in range(access.max_retries + 1):
        last = attempt == access.max_retries or time.monotonic() > end
        try:
            found = _request(address, ranges, access, allow_short)
        except Exception as error:  # noqa: BLE001 - credential providers raise what they like
            if last or not any(sign in str(error) for sign in _BROKEN_BODY):
                raise _translated(error, address) from None
        else:
            if last or allow_short or attempt == _SHORT_TRIES or _is_whole(found, ranges):
                return found
        time.sleep(random.uniform(0.5, 1) * min(0.1 * 2**attempt, 5))  # noqa: S311 - jitter
    raise AssertionError("the last attempt returns or raises")


_BROKEN_BODY: Final = ("response body error", "UnexpectedRange")
_SHORT_TRIES: Final = 2
"""Tries after the first one for a body that is shorter than asked for: most often the object is."""


def _is_whole(found: Sequence[bytes], ranges: Sequence[Range]) -> bool:
    return all(len(data) == stop - start for data, (start, stop) in zip(found, ranges, strict=True))


def _request(
    address: str, ranges: Sequence[Range], access: Access, allow_short: bool
) -> list[bytes]:
    from obstore import get_range, get_ranges

    store, path = _open_store(address, access)
    if allow_short:
        return [bytes(get_range(store, path, start=a, end=b)) for a, b in ranges]
    starts, ends = [a for a, _ in ranges], [b for _, b in ranges]
    wanted = sum(ends) - sum(starts)
    gap = wanted // (10 * max(1, len(ranges) - 1))
    return [bytes(r) for r in get_ranges(store, path, starts=starts, ends=ends, coalesce=gap)]


_forked = threading.Event()


def _after_fork() -> None:
    """Notes in a forked child that obstore, whose threads the child lacks, would hang for ever."""
    if _http_store.cache_info().currsize or _s3_store.cache_info().currsize:
        _forked.set()


os.register_at_fork(after_in_child=_after_fork)


def _open_store(address: str, access: Access) -> tuple[S3Store | HTTPStore, str]:
    """The store of an address, one per bucket or host, and the path in it."""
    if _forked.is_set():
        raise AccessError(
            f"{clean(address)} can't be read in a process that was forked after requests were "
            "made: start processes with the method 'spawn' or 'forkserver'"
        )
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    if scheme == "s3":
        return _s3_store(host, access), path
    return _http_store(f"{scheme}://{host}", access), path


@lru_cache(maxsize=64)
def _http_store(url: str, access: Access) -> HTTPStore:
    from obstore.store import HTTPStore

    return HTTPStore(
        url,
        client_options=_client_options(access, url),
        retry_config=_retry_config(access),
    )


@lru_cache(maxsize=64)
def _s3_store(bucket: str, access: Access) -> S3Store:
    from obstore.store import S3Store

    options: dict[str, Any] = {"region": access.region, "request_payer": access.requester_pays}
    if access.endpoint:
        options["endpoint"] = access.endpoint
    if access.unsigned:
        options["skip_signature"] = True
    elif _wants_profile(access):
        options["credential_provider"] = _profile_credentials(access.profile)
    return S3Store(
        bucket,
        client_options=_client_options(access, access.endpoint or ""),
        retry_config=_retry_config(access),
        **options,
    )


def _client_options(access: Access, url: str) -> ClientConfig:
    return {
        "allow_http": scheme_of(url) == "http",
        "timeout": timedelta(seconds=access.timeout_seconds),
        "read_timeout": timedelta(seconds=access.timeout_seconds / 2),
    }


def _retry_config(access: Access) -> RetryConfig:
    """Waits of 0.1 s, doubled each time up to 15 s, with jitter."""
    return {
        "max_retries": access.max_retries,
        "retry_timeout": timedelta(seconds=access.retry_seconds),
        "backoff": {
            "init_backoff": timedelta(seconds=0.1),
            "max_backoff": timedelta(seconds=15),
            "base": 2,
        },
    }


def _wants_profile(access: Access) -> bool:
    """Whether to look into the AWS configuration files, which obstore itself does not read."""
    if access.profile or os.environ.get("AWS_PROFILE"):
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
            "an AWS profile is to be used, but boto3 is not installed: install boto3, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        ) from None
    try:
        return Boto3CredentialProvider(boto3.Session(profile_name=profile))
    except Exception as error:  # noqa: BLE001 - botocore has no common base for these
        raise AccessError(
            f"the AWS profile {profile or 'default'} gives no credentials "
            f"({type(error).__name__}): check ~/.aws/config and ~/.aws/credentials"
        ) from None


_CREDENTIALS: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or choose a profile "
    "with --profile, or use --unsigned for a public bucket"
)
_INSTANCE_ROLE: Final = ("169.254.", "fd00:ec2::254", "/latest/api/token", "/latest/meta-data")
"""Signs of the services that obstore asks for credentials when it has found none elsewhere."""


def _translated(error: Exception, address: str) -> Exception:
    """Our error for one of obstore. Its text may hold secrets: none of it is passed on."""
    place, text, kind = clean(address), str(error), type(error).__name__
    if isinstance(error, InputError | AccessError):
        return error
    if isinstance(error, FileNotFoundError):
        return MissingAssetError(place, "nothing lies at this address", _MISSING)
    if kind in ("NotSupportedError", "ValueError", "InvalidPathError"):
        cause = "the server does not give parts of files, or the address is malformed"
        return ReadError(place, cause, "Check the address")
    if "416 Range Not Satisfiable" in text:
        return CorruptAssetError(place, "it ends too early", _REPLACE)
    hopeless = _hopeless(kind, text, address)
    if hopeless:
        return AccessError(f"{place} can't be read: {hopeless}")
    return TransientReadError(place, f"the service failed: {_reason(text)}", _LATER)


def _hopeless(kind: str, text: str, address: str) -> str:
    """Why nothing else can be read either, and what to do; "" for any other failure."""
    if any(sign in text for sign in _INSTANCE_ROLE):
        return f"no AWS credentials were found. {_CREDENTIALS}"
    if kind in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError"):
        remedy = _CREDENTIALS if scheme_of(address) == "s3" else "Check the server's permissions"
        return f"the server denies access. {remedy}"
    if any(sign in text for sign in _UNREACHABLE):
        return "the server can't be reached. Check the network, proxies and the address"
    return ""


_UNREACHABLE: Final = ("dns error", "Connection refused", "Network is unreachable", "No route to")
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3} [A-Za-z ]{1,40})")


def _reason(text: str) -> str:
    """What is known of a failure, in words of our own."""
    status = _STATUS.search(text)
    if status:
        return status[1].strip()
    return "time ran out" if "Timeout" in text or "TimedOut" in text else "the connection broke"
