"""What the errors of obstore mean, in words of our own: their text may hold secrets."""

from __future__ import annotations

import re
from typing import Final

from ..errors import (
    CorruptAssetError,
    DenialError,
    Kind,
    MissingAssetError,
    ReadError,
    ServiceError,
    TimesyncError,
    TransientReadError,
)
from .access import clean, scheme_of
from .connections import REMEDY as OTHER_CERTIFICATE
from .connections import VARIABLES as CERTIFICATES
from .retry import is_passing

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
_OTHER_SERVER: Final = "Check the address, or take another server or a folder as mirror"
_REFUSED: Final = "Check the address and what the server allows, or take a mirror"
_RESTORE: Final = "Restore it in its bucket, or take a copy as mirror"

_OF_ALL: Final = {
    "ExpiredToken": ("the credentials have expired", f"Renew them. {LATER}", Kind.CREDENTIALS),
    "InvalidToken": ("the session token is not valid", _CREDENTIALS, Kind.CREDENTIALS),
    "InvalidAccessKeyId": ("the access key is unknown", _CREDENTIALS, Kind.CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key is wrong", _CREDENTIALS, Kind.CREDENTIALS),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "Set it", Kind.CREDENTIALS),
    "NoSuchBucket": ("there is no such bucket", "Check its name, or make it", Kind.MISSING),
    "PublicAccessNotPermitted": (
        "the server gives files to signed requests alone",
        "Take --source planetary-computer or landsatlook-scenes, or a --mirror",
        Kind.DENIED,
    ),
    "QuotaExceeded": ("the quota is used up", f"Make room. {LATER}", Kind.NO_ROOM),
    "511": ("the network asks for a login", f"Log in by a browser. {LATER}", Kind.CREDENTIALS),
    "407": (
        "the proxy asks for a login",
        "Set HTTPS_PROXY and HTTP_PROXY with its user and password",
        Kind.CREDENTIALS,
    ),
    "507": ("the service has no room left", f"Make room. {LATER}", Kind.NO_ROOM),
}
"""Codes of S3 and statuses that hold for all objects of a service: cause, remedy and kind."""

_NO_CREDENTIALS: Final = (
    "169.254.", "fd00:ec2::254", "/latest/api/token", "/latest/meta-data",
    "metadata.google.internal", "must be specified", "External AWS credential provider",
)  # fmt: skip
"""Signs that obstore found no credentials: it asks the machine for its role, or for an account."""

_OTHER_REGION: Final = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_NO_LOCATION: Final = "redirect without LOCATION"
_WHOLE_FILE: Final = "non-partial response"
_ODD_PARTS: Final = re.compile(
    r"Content-Length Header missing|Content-Range header|CONTENT_RANGE header"
    r"|Requested \d+\.\.\d+, got"
)
"""What obstore says of a 206 that tells no range, none that it knows, or another one."""
_SHORTER: Final = re.compile(r"but object was only \d+ bytes long")
"""What it says of one that tells of fewer bytes in all than come before those asked for."""

_UNREACHABLE: Final = ("dns error", "Connection refused", "Network is unreachable", "No route to")
_LASTING: Final = (
    (
        re.compile(r"\bInvalidCertificate\b"),
        "the server's certificate is not trusted",
        f"{OTHER_CERTIFICATE}; or take a folder as mirror",
        Kind.UNREACHABLE,
    ),
    (
        re.compile("No CA certificates were loaded"),
        "this machine has no certificates by which a server is trusted",
        f"Install those of the system (ca-certificates), or name a file in {CERTIFICATES[0]}",
        Kind.UNREACHABLE,
    ),
    (
        re.compile(r"InvalidMessage\(\s*InvalidContentType"),
        "the server does not speak https",
        "Check the address: http:// may be meant",
        Kind.UNREACHABLE,
    ),
    (
        re.compile(r"source:\s*TooManyRedirects"),
        "the server leads in a circle",
        "Check the address, or take a mirror",
        Kind.DENIED,
    ),
    (
        re.compile(r"source:\s*BadScheme"),
        "the server leads to an address that is none of http",
        "Check the address, or take a mirror",
        Kind.DENIED,
    ),
)
"""Signs of connections that fail however often they are tried: cause, remedy and kind."""

_BROKEN_BODY: Final = "response body error"
_REGION: Final = re.compile(r"<Region>([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})</Region>")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_STATUS: Final = re.compile(r"non-2xx status code: ((\d{3})(?: [A-Za-z -]{1,40})?)")


def status_and_code(text: str) -> tuple[str, str]:
    """The status of HTTP and the code of S3 that an error of obstore tells; "" where none.

    obstore has classes for a few statuses, and not where it lists or deletes. For all others its
    text is the only source: `GenericError` has no attributes.
    """
    status, code = _STATUS.search(text), _CODE.search(text)
    return status[2] if status else "", (code[1] or code[2]) if code else ""


def translated(error: Exception, address: str) -> Exception:
    """Our error for one of obstore: by its class, or by its text where that alone tells."""
    if isinstance(error, TimesyncError):
        return error
    told = (
        _of_all(error, address)
        or _of_one(error, address)
        or _without_parts(error, address)
        or _barred(error, address)
        or _refusal(error, address)
    )
    cause = f"the service failed: {_reason(str(error))}"
    return told or TransientReadError(clean(address), cause, LATER)


def _of_all(error: Exception, address: str) -> ServiceError | None:
    """The error of a service that says what holds for all its objects."""
    status, code = status_and_code(str(error))
    if is_elsewhere(error, address):
        return elsewhere(address, region_in(error))
    meaning = _OF_ALL.get(code) or _OF_ALL.get(status)
    return ServiceError(clean(address), *meaning) if meaning else None


def _of_one(error: Exception, address: str) -> ReadError | None:
    """The error of an object that is not there, or not as expected."""
    from obstore.exceptions import InvalidPathError

    place, (status, _) = clean(address), status_and_code(str(error))
    if status == "410" or (isinstance(error, FileNotFoundError) and status in ("", "404")):
        return MissingAssetError(place, "nothing lies at this address", MISSING)
    if isinstance(error, ValueError | InvalidPathError):
        cause, remedy = "the address is malformed", "Check the address"
        return ReadError(place, cause, remedy, kind=Kind.REFUSED)
    if status == "416" or (not status and _SHORTER.search(str(error))):
        return CorruptAssetError(place, "it ends too early", REPLACE)
    return None


def _without_parts(error: Exception, address: str) -> ServiceError | None:
    """The error of a server that does not give the parts of files that are asked for."""
    text = str(error)
    if is_whole(error):
        return whole_files(address)
    if not status_and_code(text)[0] and _ODD_PARTS.search(text):
        cause = "the server gives other parts of files than asked for, or does not tell which"
        return ServiceError(clean(address), cause, _OTHER_SERVER, Kind.NO_RANGES)
    return None


def _barred(error: Exception, address: str) -> ServiceError | None:
    """The error of a service that can't be reached or entered; None for any other failure."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    place, text = clean(address), str(error)
    status, code = status_and_code(text)
    if any(sign in text for sign in _NO_CREDENTIALS):
        cause = "no credentials were found"
        return ServiceError(place, cause, _credentials(address), Kind.CREDENTIALS)
    if code == "InvalidObjectState":
        return ServiceError(place, "it is archived, as in Glacier", _RESTORE, Kind.DENIED)
    denied = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
    if denied or status in ("401", "403") or code == "AccessDenied":
        return denial(address)
    if any(sign in text for sign in _UNREACHABLE):
        remedy = "Check the network, proxies and the address"
        return ServiceError(place, "the server can't be reached", remedy, Kind.UNREACHABLE)
    if not status:
        for sign, cause, remedy, kind in _LASTING:
            if sign.search(text):
                return ServiceError(place, cause, remedy, kind)
    return None


def _refusal(error: Exception, address: str) -> ServiceError | None:
    """The error of a request that the service will not fulfil, however often it is asked."""
    place, text = clean(address), str(error)
    status, code = status_and_code(text)
    if _NO_LOCATION in text:
        cause = "the server says that it lies elsewhere, but not where"
        return ServiceError(place, cause, _REFUSED, Kind.DENIED)
    if status and not is_passing(int(status)) and code != "RequestTimeout":
        cause = f"the server refuses the request ({_reason(text)})"
        return ServiceError(place, cause, _REFUSED, Kind.DENIED)
    return None


def is_whole(error: Exception) -> bool:
    """Whether a server answered a range with all of a file."""
    from obstore.exceptions import NotSupportedError

    return isinstance(error, NotSupportedError) or _WHOLE_FILE in str(error)


def whole_files(address: str) -> ServiceError:
    """The error of a server that gives no parts of files."""
    cause = "the server does not give parts of files"
    return ServiceError(clean(address), cause, _OTHER_SERVER, Kind.NO_RANGES)


def packed(address: str) -> ReadError:
    """The error of a file that comes in another coding than it has, though that was not allowed."""
    cause = "the server packs it on its way"
    return CorruptAssetError(clean(address), cause, _OTHER_SERVER)


def page(address: str, host: str) -> ServiceError:
    """The error of a server that shows a page, to which it may have led: to that of ``host``."""
    leads = f"leads to a page of {host}" if host else "shows a page"
    cause = f"the server {leads} in place of the file: it asks for a login, or lacks the file"
    remedy = (
        "Take items that tell where the file lies in S3 (alternate), or a bucket or folder that "
        "has it as --mirror OLD=NEW"
    )
    return ServiceError(clean(address), cause, remedy, Kind.DENIED)


def answered(address: str, status: int, reason: str) -> Exception:
    """The error of a plain request that was answered by a status other than that of a file."""
    text = f"non-2xx status code: {status} {reason}"
    if status == 202:
        return TransientReadError(clean(address), "the server has yet to make it ready", LATER)
    return translated(FileNotFoundError(text) if status == 404 else OSError(text), address)


def is_elsewhere(error: Exception, address: str) -> bool:
    """Whether a bucket is in another region than the one that was asked."""
    text = str(error)
    bare = _NO_LOCATION in text and scheme_of(address) == "s3"
    return bare or status_and_code(text)[1] in _OTHER_REGION


def region_in(error: Exception) -> str:
    """The region that an error says to ask in its place; "" where it says none."""
    found = _REGION.search(str(error))
    return found[1] if found else ""


def elsewhere(address: str, region: str) -> ServiceError:
    """The error of a bucket in another region, which may be known by name."""
    remedy = (
        f"Give its region: --aws-region {region or 'NAME'} or S3(aws_region=...) for the archive, "
        "--out-aws-region for the output"
    )
    cause = f"the bucket is in another region{region and ', ' + region}"
    return ServiceError(clean(address), cause, remedy, Kind.ACCESS)


def denial(address: str) -> DenialError:
    """The error of a service that does not let us in."""
    cause = "the server denies access"
    return DenialError(clean(address), cause, _credentials(address), Kind.DENIED)


def _credentials(address: str) -> str:
    """What to do where a service does not know who asks."""
    return _CREDENTIALS_OF.get(scheme_of(address), "Check the server's permissions")


def _reason(text: str) -> str:
    """What is known of a failure that may pass, in words of our own."""
    if status := _STATUS.search(text):
        return status[1].strip() if status[1] != status[2] else f"status {status[1]}"
    return "time ran out" if "Timeout" in text or "TimedOut" in text else "the connection broke"


def is_repeatable(error: Exception, address: str) -> bool:
    """Whether to ask again: after a broken body, or another fault that may pass.

    So does what changes something and got no answer; all requests made here may be repeated. An
    error of ours is one of a request within this one, after all its tries.
    """
    if _BROKEN_BODY in str(error):
        return True
    told = translated(error, address)
    is_away = told is not error and getattr(told, "kind", None) == Kind.UNREACHABLE
    return is_away or isinstance(told, TransientReadError)
