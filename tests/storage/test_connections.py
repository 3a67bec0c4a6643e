"""Servers whose certificates a network has made itself, over real TLS."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import PlainHandler, serving
from tests.tally import shows
from timesync_xr.catalog.stac import Patience, PatientIO
from timesync_xr.errors import AccessError, InputError, ServiceError
from timesync_xr.storage import http, signing
from timesync_xr.storage import objects as service
from timesync_xr.storage.access import S3, Access
from timesync_xr.storage.connections import VARIABLES, _certificates, own_certificates
from timesync_xr.storage.objects import read_ranges

QUICK = Access(s3=S3(max_retries=0, retry_seconds=1.0, timeout_seconds=5.0))
PEM = serialization.Encoding.PEM


def signed(
    name: str, by: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate of 127.0.0.1, or one that signs such."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing_key = by or (own, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(9))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([host]), critical=False)
    return builder.sign(signing_key, hashes.SHA256()), key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority, and what a server needs to have one of it."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, key = signed("an institute")
    server, server_key = signed("127.0.0.1", (authority.subject, key))
    (folder / "own").mkdir()
    (folder / "own/ca.pem").write_bytes(authority.public_bytes(PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "chain.pem").write_bytes(
        server_key.private_bytes(PEM, *plain) + server.public_bytes(PEM)
    )
    return folder


@pytest.fixture(autouse=True)
def _as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    service._healths.clear()


@pytest.fixture
def context(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "chain.pem")
    return context


def answering(status: int, body: bytes, *headers: tuple[str, str]) -> type[PlainHandler]:
    """A server that gives all the same answer."""

    def answer(self: PlainHandler) -> None:
        self.reply(status, body, *headers)

    return type("Handler", (PlainHandler,), {"do_GET": answer})


PARTS = answering(206, b"abcde", ("Content-Range", "bytes 0-4/5"))
WHOLE = answering(200, b"abcde")
JSON = answering(200, b'{"token": "sv=1", "msft:expiry": "2999-01-01T00:00:00Z"}')


def part(port: int) -> object:
    return read_ranges(f"https://127.0.0.1:{port}/x", [(0, 5)], QUICK)


def whole(port: int) -> object:
    return http.small_file(f"https://127.0.0.1:{port}/x", 5, QUICK.s3)[0]


def search(port: int) -> object:
    return PatientIO(Patience(tries=1)).request(f"https://127.0.0.1:{port}/stac")


def token(port: int) -> object:
    tokens = signing.Tokens("https://account.blob.core.windows.net/container", QUICK.s3)
    return tokens._ask(f"https://127.0.0.1:{port}/token").text


DOORS: dict[str, tuple[type[PlainHandler], Callable[[int], object]]] = {
    "parts of files": (PARTS, part),
    "small files": (WHOLE, whole),
    "a search": (JSON, search),
    "a token": (JSON, token),
}


@shows("no trusted certificate or no https", "archive")
@pytest.mark.parametrize("door", DOORS)
def test_certificates_that_a_variable_names_are_trusted_at_every_door(
    certificates: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    handler, call = DOORS[door]
    for number, name in enumerate(VARIABLES):
        with serving(handler, context) as port, monkeypatch.context() as patch:
            if number == 0 and door != "small files":
                with pytest.raises((AccessError, ServiceError), match=f"not trusted.*{name}"):
                    call(port)
            patch.setenv(name, str(certificates / "own/ca.pem"))
            service._store.cache_clear()
            assert call(port)


def test_a_folder_of_certificates(
    certificates: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That OpenSSL finds nothing in it is told, not that no certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "own"))
    with serving(PARTS, context) as port:
        assert part(port) == [b"abcde"]
    for door, (_, call) in DOORS.items():
        if door != "parts of files":
            with pytest.raises(
                InputError, match=r"holds none by its hash.*run openssl rehash .*own"
            ):
                call(1)
    held = (certificates / "own/ca.pem").read_bytes()
    (name,) = x509.load_pem_x509_certificate(held).subject
    (tmp_path / f"{openssl_hash(str(name.value))}.0").write_bytes(held)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    for handler, call in DOORS.values():
        with serving(handler, context) as port:
            service._store.cache_clear()
            assert call(port)


def openssl_hash(common_name: str) -> str:
    """The hash of a name by which OpenSSL finds its certificate (X509_NAME_hash)."""
    value = common_name.lower().encode()
    pair = bytes.fromhex("0603550403") + bytes([12, len(value)]) + value
    told = bytes([49, len(pair) + 2, 48, len(pair)]) + pair
    return hashlib.sha1(told, usedforsecurity=False).digest()[3::-1].hex()


def test_a_file_of_certificates_is_read_once_while_it_is_the_same(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    shutil.copy(certificates / "own/ca.pem", path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    _certificates.cache_clear()
    for _ in range(5):
        assert own_certificates("https://x") == str(path)
    assert _certificates.cache_info().misses == 1
    path.write_text("none")
    with pytest.raises(InputError, match="holds no certificate"):
        own_certificates("https://x")


def test_a_machine_without_any_certificates_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    service._store.cache_clear()
    with pytest.raises(ServiceError, match="no certificates by which a server is trusted") as told:
        part(1)
    assert "again later" not in str(told.value)


@pytest.mark.parametrize("door", DOORS)
def test_a_variable_that_names_no_certificates_is_told(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: str
) -> None:
    call = DOORS[door][1]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InputError, match=r"SSL_CERT_FILE names .*none\.pem, which can't be read"):
        call(1)
    for text in ("hello", "", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"):
        (tmp_path / "none.pem").write_text(text)
        with pytest.raises(
            InputError, match=r"SSL_CERT_FILE names .*none\.pem, which holds no cert"
        ):
            call(1)
