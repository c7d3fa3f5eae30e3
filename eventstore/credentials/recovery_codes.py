"""Recovery codes: ten texts of 80 random bits, each of which replaces the second factor once."""

from __future__ import annotations

import secrets
from base64 import b32encode
from typing import Final

from eventstore.credentials.tokens import Secret, digest

CODES: Final = 10
_BYTES = 10
_GROUP = 4
_CHARACTERS = 16
_MISREAD = str.maketrans("018", "OIB")  # base 32 has no such digits
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def new_codes() -> list[Secret]:
    """A set of codes, written in groups: `ABCD-EFGH-IJKL-MNOP`."""
    return [Secret(_grouped(b32encode(secrets.token_bytes(_BYTES)).decode())) for _ in range(CODES)]


def code_digest(text: str) -> bytes | None:
    """What is stored of a code, however it was typed: groups, case and misread digits do not matter.

    None for a text that cannot be a code.
    """
    bare = "".join(text.split()).replace("-", "").upper().translate(_MISREAD)
    return digest(bare) if len(bare) == _CHARACTERS and _ALPHABET.issuperset(bare) else None


def _grouped(bare: str) -> str:
    return "-".join(bare[at : at + _GROUP] for at in range(0, len(bare), _GROUP))
