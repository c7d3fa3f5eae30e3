"""Public ids: a prefix for the kind of thing, then a UUID in Crockford base 32 (the TypeID format, v0.3).

``acct_01h455vb4pex5vsknk084sn02q`` is an id, and also the name of a stream. New ids are UUIDv7, so they sort by time.
They are made outside the domain and come with the command. The ids of internal accounts are UUIDv5 of log, role and
currency, so anyone can compute them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from uuid import UUID, uuid5

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # ten bits at a time are twice as fast as five
_LOW_80 = (1 << 80) - 1
TAIL = 16
"""Number of characters of an id after those of its time."""
_ANY = "".join(_ALPHABET[n & 0b11111] for n in range(256)).encode()
_VERSION_7 = "".join(_ALPHABET[0b01110 | n & 0b00001] for n in range(256)).encode()
_VARIANT = "".join(_ALPHABET[0b01000 | n & 0b10011] for n in range(256)).encode()
_SUFFIX = re.compile(r"[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}", re.ASCII)
_NAMESPACE = UUID("7b4a3f0e-5d0a-5c1e-9a51-da1b00c0ffee")


def typeid(prefix: str, uuid: UUID) -> str:
    """Return the public id of a UUID: prefix, underscore, 26 characters."""
    n = uuid.int
    return f"{prefix}_{_high(n >> 80)}{_low(n & _LOW_80)}"


def fresh_id(prefix: str, milliseconds: int, tail: str) -> str:
    """Return the public id of the UUIDv7 (RFC 9562) with this Unix time in milliseconds and one of the `tails`."""
    return f"{prefix}_{_high(milliseconds)}{tail}"


def tails(random: bytes) -> list[str]:
    """Return the last part of new ids, made from random bytes: one character for each byte, `TAIL` characters each.

    A tail is 80 bits. RFC 9562 fixes the first four, which are the version, and two bits of the fourth character,
    which are the variant.
    """
    text = bytearray(random.translate(_ANY))
    text[0::TAIL] = random[0::TAIL].translate(_VERSION_7)
    text[3::TAIL] = random[3::TAIL].translate(_VARIANT)
    whole = text.decode()
    return [whole[at : at + TAIL] for at in range(0, len(whole), TAIL)]


@lru_cache(maxsize=16)  # ids of the same millisecond have the same beginning
def _high(n: int) -> str:
    """Return the first ten characters: 48 bits."""
    p = _PAIRS
    return f"{p[n >> 40]}{p[n >> 30 & 1023]}{p[n >> 20 & 1023]}{p[n >> 10 & 1023]}{p[n & 1023]}"


def _low(n: int) -> str:
    """Return the other sixteen characters: 80 bits."""
    p = _PAIRS
    return (
        f"{p[n >> 70]}{p[n >> 60 & 1023]}{p[n >> 50 & 1023]}{p[n >> 40 & 1023]}"
        f"{p[n >> 30 & 1023]}{p[n >> 20 & 1023]}{p[n >> 10 & 1023]}{p[n & 1023]}"
    )


def is_id(prefix: str, text: str) -> bool:
    """Return whether `text` is a well-formed id with this prefix."""
    head, _, suffix = text.rpartition("_")
    return head == prefix and _SUFFIX.fullmatch(suffix) is not None


def named_id(prefix: str, *names: str) -> str:
    """Return the id of these names. It is a UUIDv5, so the same names always have the same id."""
    return typeid(prefix, uuid5(_NAMESPACE, "\x1f".join(names)))
