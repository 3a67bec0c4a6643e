"""Planetary Computer's files: free for all, but each request must carry a token that expires.

A token is asked for without a login. It opens all of a container for less than an hour, so that a
process asks once for each of its lives, and anew shortly before it ends. It belongs to the store
that makes the requests: no address, file, message or log ever holds it.

The environment variables of Planetary Computer's own tools hold here, too: ``PC_SDK_SAS_URL`` is
where tokens are asked for, and ``PC_SDK_SUBSCRIPTION_KEY`` a key that loosens its limits.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests

from ..errors import AccessError, Kind
from .access import S3
from .connections import NOT_TRUSTED, REMEDY, client_options, own_certificates
from .retry import NO_RETRIES, growing, is_passing, retried
from .waiting import Wait

if TYPE_CHECKING:
    from obstore.store import AzureSASToken, ObjectStore

TOKEN_URL: Final = "PC_SDK_SAS_URL"  # noqa: S105 - the name of a variable
"""Environment variable: where tokens are asked for."""

KEY: Final = "PC_SDK_SUBSCRIPTION_KEY"
"""Environment variable: a key of Planetary Computer, which is optional."""

BLOB_URL: Final = "TIMESYNC_XR_BLOB_URL"
"""Environment variable: where its files are read instead of Azure, such as a proxy."""

_DEFAULT_URL: Final = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
_EARLY: Final = 60.0
"""Seconds before its end at which a token is renewed, a fifth of its life at most."""

_FRESH: Final = 5.0
"""Seconds for which a token that is refused is not taken for expired."""


@dataclass(frozen=True, repr=False)
class Token:
    """What opens a container, and how long."""

    text: str
    """The query that is sent along."""
    since: float
    """When it was asked for, by this machine's monotonic clock."""
    until: float
    """When it ends, by the same clock."""

    def __repr__(self) -> str:
        return "Token(...)"

    def is_good(self) -> bool:
        """Whether it need not be renewed yet."""
        now = time.monotonic()
        return now < self.until - min(_EARLY, (self.until - self.since) / 5)


class _PassingError(Exception):
    """A fault of the token service that may pass: what it was, and the seconds it asks to wait."""

    def __init__(self, cause: str, wait: float = 0.0) -> None:
        self.cause, self.wait = cause, wait
        super().__init__(cause)


class Tokens:
    """The token of a container for one process."""

    def __init__(self, container: str, s3: S3) -> None:
        parts = urlsplit(container)
        self.account = (parts.hostname or "").partition(".")[0]
        self.container = parts.path.strip("/")
        self._s3 = s3
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failed = 0.0, AccessError("no token was asked for")

    def current(self) -> Token:
        """A token that holds for now; one thread asks for a new one, and the others wait.

        `AccessError` where the service gives none, after all tries, which are those of all.
        """
        since = time.monotonic()
        with self._lock:
            failed, error = self._failed
            if failed > since:
                raise AccessError(str(error), kind=error.kind)
            if self._token is None or not self._token.is_good():
                try:
                    self._token = self._anew()
                except AccessError as error:
                    self._failed = time.monotonic(), error
                    raise
            return self._token

    def drop(self, token: Token) -> bool:
        """Forget a token that the store has refused; False if it is too young to have expired."""
        with self._lock:
            if self._token is token:
                if token.is_good() and time.monotonic() < token.since + _FRESH:
                    return False
                self._token = None
            return True

    def _anew(self) -> Token:
        base = os.environ.get(TOKEN_URL) or _DEFAULT_URL
        end = time.monotonic() + self._s3.patience
        host = urlsplit(base)
        wait = Wait(f"{host.scheme}://{host.hostname}", self._s3.max_retries + 1)

        def pause(failed: int, error: Exception) -> float | None:
            passing = isinstance(error, _PassingError)
            if not passing or failed > self._s3.max_retries or time.monotonic() > end:
                return None
            left = max(end - time.monotonic(), 0.1)
            seconds = min(max(growing(0.5, failed, 15), getattr(error, "wait", 0.0)), left)
            wait.before_next(failed, getattr(error, "cause", ""), seconds)
            return seconds

        try:
            url = f"{base.rstrip('/')}/{self.account}/{self.container}"
            token = retried(lambda: self._ask(url), pause)
            wait.answered()
            return token
        except _PassingError as error:
            cause = f"{error.cause}{wait.gave_up()}"
            raise AccessError(
                f"{self.account}: the service of Planetary Computer that gives tokens fails "
                f"({cause}). Run again later: what is done is kept; a key of theirs in {KEY} "
                "loosens its limits",
                kind=Kind.TRANSIENT,
            ) from None

    def _ask(self, url: str) -> Token:
        """One request for a token."""
        key = os.environ.get(KEY)
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
        since, now = time.monotonic(), datetime.now(UTC)
        timeout = min(10.0, self._s3.timeout_seconds), self._s3.timeout_seconds
        try:
            found = requests.get(
                url,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                verify=own_certificates(url),
            )
        except requests.RequestException as error:
            if NOT_TRUSTED.search(str(error)):
                raise AccessError(
                    f"{self.account}: the certificate of the service that gives tokens is not "
                    f"trusted. {REMEDY}",
                    kind=Kind.UNREACHABLE,
                ) from None
            raise _PassingError(type(error).__name__) from None
        status = found.status_code
        if is_passing(status):
            wait = found.headers.get("Retry-After", "")
            raise _PassingError(f"status {status}", float(wait) if wait.isdecimal() else 0.0)
        if status != 200:
            remedy = (
                f"Check {KEY} and {TOKEN_URL}" if status in (401, 403) else f"Check {TOKEN_URL}"
            )
            raise AccessError(
                f"{self.account}: Planetary Computer gives no token (status {status}). {remedy}",
                kind=Kind.CREDENTIALS,
            )
        try:
            told: Any = found.json()
            text, ends = str(told["token"]), datetime.fromisoformat(str(told["msft:expiry"]))
            life = (ends - now).total_seconds()
        except (ValueError, KeyError, TypeError):
            raise _PassingError("its answer is no token") from None
        return Token(text, since, since + max(life, 1.0))


@lru_cache(maxsize=16)
def tokens_of(container: str, s3: S3) -> Tokens:
    """The token of a container, one for a process and a way to reach it."""
    return Tokens(container, s3)


@lru_cache(maxsize=16)
def signed_store(container: str, s3: S3, token: Token) -> ObjectStore:
    """The store of a container whose requests carry a token."""
    from obstore.store import AzureStore

    told = tokens_of(container, s3)
    parts = urlsplit(container)
    endpoint = os.environ.get(BLOB_URL) or f"{parts.scheme}://{parts.netloc}"

    def give() -> AzureSASToken:  # not as an option, which messages of obstore might show
        return {"sas_token": token.text, "expires_at": None}

    return AzureStore(
        told.container,
        account_name=told.account,
        endpoint=endpoint.rstrip("/"),
        credential_provider=give,
        client_options=client_options(s3, endpoint),
        retry_config=NO_RETRIES,
    )
