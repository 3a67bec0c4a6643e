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
from functools import lru_cache
from pathlib import Path
from stat import S_ISDIR
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

    `InputError` where a variable names what is none, or a folder that OpenSSL finds nothing in: it
    looks for files by the hash of what they hold.
    """
    if scheme_of(address) != "https":
        return None
    path = _named()[0]
    if path and os.path.isdir(path) and not any(map(_HASHED.fullmatch, os.listdir(path))):
        raise InputError(
            f"the folder of certificates {path} holds none by its hash, so that requests other "
            f"than those for assets can't find them: run openssl rehash {path}, or name a file"
        )
    return path


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


_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")
"""Names of files in a folder that OpenSSL reads."""


def _read(name: str, path: Path) -> bytes:
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        states = [(file, file.stat()) for file in files]
        held = tuple((f, s.st_mtime_ns, s.st_size) for f, s in states if not S_ISDIR(s.st_mode))
        return _certificates(name, path, held)
    except OSError as error:
        raise InputError(
            f"{name} names {path}, which can't be read ({error.strerror}): name a file of "
            "certificates (PEM), or unset it"
        ) from None


@lru_cache(maxsize=4)
def _certificates(name: str, path: Path, files: tuple[tuple[Path, int, int], ...]) -> bytes:
    """What files hold, read once while they are not changed."""
    found = b"\n".join(file.read_bytes() for file, _, _ in files)
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
