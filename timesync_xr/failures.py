"""What went wrong at a service, told in words of our own.

The text of obstore's errors may hold secrets: none of it is passed on.
"""

from __future__ import annotations

import re
from typing import Final

from .access import clean, scheme_of
from .errors import (
    AccessError,
    CorruptAssetError,
    InputError,
    MissingAssetError,
    ReadError,
    TransientReadError,
)

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
