"""The text of an API key: `dbk_`, 43 letters or digits for 32 random bytes, and 6 for a checksum.

The checksum (CRC-32) tells a typo from a key that is wrong: every single wrong character and every two neighbours
that were exchanged are found. It is no protection, anybody can compute it. Scanners for leaked keys use it too.
"""

from __future__ import annotations

import secrets
import string
import zlib
from typing import Final, Literal, TypeAlias

from eventstore.credentials.tokens import TOKEN_BYTES, Secret

PREFIX: Final = "dbk_"
SHOWN: Final = 12
"""Characters of a key that lists show."""
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY, _CHECKSUM = 43, 6
LENGTH: Final = len(PREFIX) + _BODY + _CHECKSUM

Form: TypeAlias = Literal["key", "mistyped", "other"]


def new_key() -> Secret:
    """A new key."""
    return key_of(secrets.token_bytes(TOKEN_BYTES))


def key_of(random: bytes) -> Secret:
    """The key of these random bytes."""
    body = _written(int.from_bytes(random), _BODY)
    return Secret(PREFIX + body + _checksum(body))


def form_of(text: str) -> Form:
    """Whether a text is a key, a key with a typo, or something else, such as a token of the tokens file."""
    if not text.startswith(PREFIX):
        return "other"
    body, checksum = text[len(PREFIX) : -_CHECKSUM], text[-_CHECKSUM:]
    if len(text) != LENGTH or not frozenset(_ALPHABET).issuperset(body) or checksum != _checksum(body):
        return "mistyped"
    return "key"


def shown(key: Secret) -> str:
    """The first characters, for lists."""
    return key.reveal()[:SHOWN]


def _checksum(body: str) -> str:
    return _written(zlib.crc32(body.encode()), _CHECKSUM)


def _written(number: int, length: int) -> str:
    """The number in base 62, with leading zeros."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    assert number == 0, "the length has room for it"
    return "".join(reversed(digits))
