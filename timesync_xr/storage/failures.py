"""What the errors of obstore mean, in words of our own: their text may hold secrets."""

from __future__ import annotations

import re
from typing import Final

from ..errors import (
    AccessError,
    CorruptAssetError,
    InputError,
    Kind,
    MissingAssetError,
    ReadError,
    ServiceError,
    TransientReadError,
)
from .access import clean, scheme_of

MISSING: Final = "Check the archive or the mirror, or leave the item out"
REPLACE: Final = "Replace it by a whole copy of the original"
LATER: Final = "Run again later: what is done is kept"

_CREDENTIALS: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or choose a profile "
    "(--profile for the archive, --out-profile for the output), or use --unsigned for a public "
    "bucket"
)
_CREDENTIALS_OF: Final = {
    "s3": _CREDENTIALS,
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_REGION: Final = "Give its region: --aws-region for the archive, --out-aws-region for the output"

_OF_ALL: Final = {
    "ExpiredToken": ("the credentials have expired", f"Renew them. {LATER}", Kind.CREDENTIALS),
    "InvalidToken": ("the session token is not valid", _CREDENTIALS, Kind.CREDENTIALS),
    "InvalidAccessKeyId": ("the access key is unknown", _CREDENTIALS, Kind.CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key is wrong", _CREDENTIALS, Kind.CREDENTIALS),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "Set it", Kind.CREDENTIALS),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION, Kind.ACCESS),
    "NoSuchBucket": ("there is no such bucket", "Check its name, or make it", Kind.MISSING),
    "QuotaExceeded": ("the quota is used up", f"Make room. {LATER}", Kind.NO_ROOM),
    "507": ("the service has no room left", f"Make room. {LATER}", Kind.NO_ROOM),
}
"""Codes of S3 and statuses that hold for all objects of a service: cause, remedy and kind."""

_NO_CREDENTIALS: Final = (
    "169.254.", "fd00:ec2::254", "/latest/api/token", "/latest/meta-data",
    "metadata.google.internal", "must be specified", "External AWS credential provider",
)  # fmt: skip
"""Signs that obstore found no credentials: it asks the machine for its role, or for an account."""

_OTHER_REGION: Final = "redirect without LOCATION"
_WHOLE_FILE: Final = "NotPartial"
_UNREACHABLE: Final = ("dns error", "Connection refused", "Network is unreachable", "No route to")
_BROKEN_BODY: Final = ("response body error", "UnexpectedRange")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_STATUS: Final = re.compile(r"non-2xx status code: ((\d{3}) [A-Za-z ]{1,40})")


def status_and_code(text: str) -> tuple[str, str]:
    """The status of HTTP and the code of S3 that an error of obstore tells; "" where none.

    obstore has classes for a few statuses, and not where it lists or deletes. For all others its
    text is the only source: `GenericError` has no attributes.
    """
    status, code = _STATUS.search(text), _CODE.search(text)
    return status[2] if status else "", (code[1] or code[2]) if code else ""


def translated(error: Exception, address: str) -> Exception:
    """Our error for one of obstore: by its class, or by its text where that alone tells."""
    from obstore.exceptions import InvalidPathError

    if isinstance(error, InputError | AccessError):
        return error
    place = clean(address)
    status, code = status_and_code(str(error))
    if meaning := _OF_ALL.get(code) or _OF_ALL.get(status):
        return ServiceError(place, *meaning)
    if isinstance(error, FileNotFoundError):
        return MissingAssetError(place, "nothing lies at this address", MISSING)
    if isinstance(error, ValueError | InvalidPathError):
        cause, remedy = "the address is malformed", "Check the address"
        return ReadError(place, cause, remedy, kind=Kind.REFUSED)
    if status == "416":
        return CorruptAssetError(place, "it ends too early", REPLACE)
    return _barred(error, address) or TransientReadError(
        place, f"the service failed: {_reason(str(error))}", LATER
    )


def _barred(error: Exception, address: str) -> ServiceError | None:
    """The error of a service that can't be reached or entered; None for any other failure."""
    from obstore.exceptions import NotSupportedError, PermissionDeniedError, UnauthenticatedError

    place, text = clean(address), str(error)
    status, code = status_and_code(text)
    if any(sign in text for sign in _NO_CREDENTIALS):
        cause = "no credentials were found"
        return ServiceError(place, cause, _credentials(address), Kind.CREDENTIALS)
    if isinstance(error, NotSupportedError) or _WHOLE_FILE in text:
        remedy = "Check the address, or take another server or a folder as mirror"
        cause = "the server does not give parts of files"
        return ServiceError(place, cause, remedy, Kind.NO_RANGES)
    denied = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
    if denied or status in ("401", "403") or code == "AccessDenied":
        return denial(address)
    if any(sign in text for sign in _UNREACHABLE):
        remedy = "Check the network, proxies and the address"
        return ServiceError(place, "the server can't be reached", remedy, Kind.UNREACHABLE)
    if _OTHER_REGION in text and scheme_of(address) == "s3":
        return ServiceError(place, "the bucket is in another region", _REGION, Kind.ACCESS)
    return None


def denial(address: str) -> ServiceError:
    """The error of a service that does not let us in."""
    cause = "the server denies access"
    return ServiceError(clean(address), cause, _credentials(address), Kind.DENIED)


def _credentials(address: str) -> str:
    """What to do where a service does not know who asks."""
    return _CREDENTIALS_OF.get(scheme_of(address), "Check the server's permissions")


def _reason(text: str) -> str:
    """What is known of a failure that may pass, in words of our own."""
    if status := _STATUS.search(text):
        return status[1].strip()
    return "time ran out" if "Timeout" in text or "TimedOut" in text else "the connection broke"


def is_repeatable(error: Exception, address: str) -> bool:
    """Whether to ask again: a broken body, or a passing fault that obstore did not repeat itself.

    It does not repeat what changes something and got no answer; all requests made here may be.
    """
    text = str(error)
    if any(sign in text for sign in _BROKEN_BODY):
        return True
    repeated = re.search(r"after \d+ retries", text)
    return not repeated and isinstance(translated(error, address), TransientReadError)
