"""Checksums that items give of whole files: ``file:checksum`` of STAC's file extension.

It is a multihash in hexadecimal: a code of the kind and the length of the digest, both as unsigned
varints, then the digest. Source: github.com/multiformats/multihash and its table of codes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from ..errors import counted

_KINDS: Final[dict[int, tuple[str, Callable[[], Any]]]] = {
    0x11: ("sha1", hashlib.sha1),
    0x12: ("sha2-256", hashlib.sha256),
    0x13: ("sha2-512", hashlib.sha512),
    0x14: ("sha3-512", hashlib.sha3_512),
    0x15: ("sha3-384", hashlib.sha3_384),
    0x16: ("sha3-256", hashlib.sha3_256),
    0x17: ("sha3-224", hashlib.sha3_224),
    0x20: ("sha2-384", hashlib.sha384),
    0xD5: ("md5", hashlib.md5),
    0x1013: ("sha2-224", hashlib.sha224),
    **{
        0xB200 + size: (f"blake2b-{8 * size}", partial(hashlib.blake2b, digest_size=size))
        for size in range(1, 65)
    },
    **{
        0xB240 + size: (f"blake2s-{8 * size}", partial(hashlib.blake2s, digest_size=size))
        for size in range(1, 33)
    },
}
"""Name of each kind by its code, and what computes it."""

_NAMES: Final = {0x1E: "blake3"}
"""Kinds that have a name, and nothing here that computes them."""

_SHORTEST: Final = 16
"""Bytes of a digest that is believed: of a shorter one other files are easily found."""


class Checksum(NamedTuple):
    """What an item tells of the bytes of a file."""

    name: str
    """Its kind, as multihash calls it."""
    digest: str
    """The digest in hexadecimal, small letters."""
    begin: Callable[[], Any]
    """Makes an object of `hashlib` that computes it."""


def parse_checksum(value: object) -> Checksum | str:
    """The checksum that a ``file:checksum`` is, or in words why it is of no use."""
    if value is None or value == "":
        return "have no checksum in their items"
    if not (isinstance(value, str) and re.fullmatch(r"([0-9a-fA-F]{2}){1,200}", value, re.ASCII)):
        return "have a checksum that is no multihash in hexadecimal"
    data = bytes.fromhex(value)
    code, data = _varint(data)
    length, digest = _varint(data)
    if code is None or length is None or length != len(digest):
        return "have a checksum that is no multihash in hexadecimal"
    if code not in _KINDS:
        name = f"{_NAMES[code]}, {code:#x}" if code in _NAMES else f"{code:#x}"
        return f"have a checksum of a kind that can't be computed here ({name})"
    name, begin = _KINDS[code]
    if length != begin().digest_size or length < _SHORTEST:
        size = counted(length, "byte")
        return f"have a checksum of {size}, which is not all of a {name} or too short"
    return Checksum(name, digest.hex(), begin)


def _varint(data: bytes) -> tuple[int | None, bytes]:
    """The unsigned varint that some bytes begin with, and the rest; None where there is none."""
    value = 0
    for place, byte in enumerate(data[:9]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, data[place + 1 :]
    return None, data
