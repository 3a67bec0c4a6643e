"""How connections are made: for how long, and which certificates of servers are trusted.

Where a network looks into https, as that of an institute may, it signs all answers itself. Other
programs are told of its certificates by environment variables, and so is this one: whatever makes
the requests, they hold for it.
"""

from __future__ import annotations

import os
import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InputError
from .access import S3, scheme_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig

VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
"""Environment variables that may name a file of certificates, or a folder of such; the first that
is set holds."""

NOT_TRUSTED: Final = re.compile("CERTIFICATE_VERIFY_FAILED|doesn't match|InvalidCertificate")
"""Signs of a certificate that is not trusted, however often it is tried, in texts of libraries."""

REMEDY: Final = (
    "Check the address and the clock of this machine; where your network signs https itself, name "
    f"the file of its certificates (PEM) in {VARIABLES[0]}"
)
"""What to do about one."""


def own_certificates(address: str) -> str | None:
    """The file or folder of certificates to trust for an address; None for those of the system.

    `InputError` where a variable names what is none.
    """
    return _named()[0] if scheme_of(address) == "https" else None


def client_options(s3: S3, address: str) -> ClientConfig:
    """How obstore connects to a service: its time limits and certificates."""
    options: ClientConfig = {
        "allow_http": scheme_of(address) == "http",
        "timeout": timedelta(seconds=s3.timeout_seconds),
        "read_timeout": timedelta(seconds=s3.timeout_seconds / 2),
    }
    pem = None if scheme_of(address) == "http" else _named()[1]
    if pem is not None:
        options["root_certificate"] = pem
    return options


def _named() -> tuple[str | None, bytes | None]:
    """What the first variable that is set names, and the certificates in it."""
    for name in VARIABLES:
        if path := os.environ.get(name):
            return path, _read(name, Path(path))
    return None, None


def _read(name: str, path: Path) -> bytes:
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = b"\n".join(file.read_bytes() for file in files if not file.is_dir())
    except OSError as error:
        raise InputError(
            f"{name} names {path}, which can't be read ({error.strerror}): name a file of "
            "certificates (PEM), or unset it"
        ) from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=found.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError):
        raise InputError(
            f"{name} names {path}, which holds no certificate (PEM), or a damaged one: name a file "
            "of certificates, or unset it"
        ) from None
    return found
