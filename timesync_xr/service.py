"""Object services over S3 or HTTP: their stores, credentials and patience, and what went wrong.

obstore does the requests and repeats those that fail. Here broken bodies are repeated too, and a
failure is judged: does it concern one object, or all that the service holds?
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

from .access import Access, clean, scheme_of
from .errors import AccessError, InputError, ReadError, TransientReadError
from .failures import (
    LATER,
    MISSING,
    DeniedError,
    ServiceError,
    UnreachableError,
    WholeFilesError,
    translated,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

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
    end = time.monotonic() + access.retry_seconds
    for attempt in range(access.max_retries + 1):
        last = attempt == access.max_retries or time.monotonic() > end
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
    hasty = replace(access, max_retries=1, timeout_seconds=min(5.0, access.timeout_seconds))
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
        client = _client_options(access, access.endpoint or "")
        return S3Store(host, client_options=client, retry_config=_retry_config(access), **options)
    client = _client_options(access, service)
    if scheme in ("http", "https"):
        return HTTPStore(service, client_options=client, retry_config=_retry_config(access))
    return from_url(service, client_options=client, retry_config=_retry_config(access))


def _s3_options(access: Access) -> dict[str, Any]:
    options: dict[str, Any] = {"region": access.region, "request_payer": access.requester_pays}
    if access.endpoint:
        options["endpoint"] = access.endpoint
    if access.unsigned:
        options["skip_signature"] = True
    elif _wants_profile(access):
        options["credential_provider"] = _profile_credentials(access.profile)
    return options


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
