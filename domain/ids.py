"""Public ids: a prefix that says what is named, then a UUID in Crockford base 32 (the TypeID format, v0.3).

``acct_01h455vb4pex5vsknk084sn02q`` is both the id and the name of the stream. Fresh ids are UUIDv7, so they sort by
time; they are drawn outside the domain and come with the command. Internal accounts have ids that anyone can
compute: UUIDv5 of (log, role, currency).
"""

from __future__ import annotations

import re
from functools import lru_cache
from uuid import UUID, uuid5

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # ten bits at a time: twice as fast as five
_LOW_80 = (1 << 80) - 1
TAIL = 16
"""Characters of an id after its time."""
_ANY = "".join(_ALPHABET[n & 0b11111] for n in range(256)).encode()
_VERSION_7 = "".join(_ALPHABET[0b01110 | n & 0b00001] for n in range(256)).encode()
_VARIANT = "".join(_ALPHABET[0b01000 | n & 0b10011] for n in range(256)).encode()
_SUFFIX = re.compile(r"[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}", re.ASCII)
_NAMESPACE = UUID("7b4a3f0e-5d0a-5c1e-9a51-da1b00c0ffee")


def typeid(prefix: str, uuid: UUID) -> str:
    """The public id of a UUID: prefix, underscore, 26 characters."""
    n = uuid.int
    return f"{prefix}_{_high(n >> 80)}{_low(n & _LOW_80)}"


def fresh_id(prefix: str, milliseconds: int, tail: str) -> str:
    """The public id of the UUIDv7 (RFC 9562) of a Unix time in milliseconds and one of `tails`."""
    return f"{prefix}_{_high(milliseconds)}{tail}"


def tails(random: bytes) -> list[str]:
    """What ids made of these random bytes have after the time: a character of each byte, `TAIL` of them a tail.

    Of the 80 bits that are written here RFC 9562 fixes the first four, the version, and two of those that fall on the
    fourth character, the variant.
    """
    text = bytearray(random.translate(_ANY))
    text[0::TAIL] = random[0::TAIL].translate(_VERSION_7)
    text[3::TAIL] = random[3::TAIL].translate(_VARIANT)
    whole = text.decode()
    return [whole[at : at + TAIL] for at in range(0, len(whole), TAIL)]


@lru_cache(maxsize=16)  # of ids made in the same millisecond it is the same
def _high(n: int) -> str:
    """The first ten characters: 48 bits."""
    p = _PAIRS
    return f"{p[n >> 40]}{p[n >> 30 & 1023]}{p[n >> 20 & 1023]}{p[n >> 10 & 1023]}{p[n & 1023]}"


def _low(n: int) -> str:
    """The other sixteen: 80 bits."""
    p = _PAIRS
    return (
        f"{p[n >> 70]}{p[n >> 60 & 1023]}{p[n >> 50 & 1023]}{p[n >> 40 & 1023]}"
        f"{p[n >> 30 & 1023]}{p[n >> 20 & 1023]}{p[n >> 10 & 1023]}{p[n & 1023]}"
    )


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` is a well-formed id with this prefix."""
    head, _, suffix = text.rpartition("_")
    return head == prefix and _SUFFIX.fullmatch(suffix) is not None


def named_id(prefix: str, *names: str) -> str:
    """The id that these names always have: UUIDv5 over them, so no one needs to look it up."""
    return typeid(prefix, uuid5(_NAMESPACE, "\x1f".join(names)))
