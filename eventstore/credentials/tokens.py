"""Random tokens, the hash that is stored of them, and a wrapper that does not show them."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Final, NoReturn

TOKEN_BYTES: Final = 32
LONGEST: Final = 200
"""Most characters of a token that are looked at. None of ours is longer."""


class Secret:
    """A text that is shown once, on purpose, with `reveal`. It is not in a repr, a log line or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_encoded(self._value), _encoded(other._value))

    def __hash__(self) -> int:
        return hash(digest(self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def new_token(kind: str) -> Secret:
    """A token of 256 random bits. Its first letters tell what it is for."""
    return Secret(f"{kind}_{secrets.token_urlsafe(TOKEN_BYTES)}")


def digest(text: str) -> bytes:
    """What is stored of a token. SHA-256 is enough for a text that is too random to be guessed."""
    return sha256(_encoded(text)).digest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON may carry half of a surrogate pair
