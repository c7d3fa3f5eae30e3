"""Tickets to follow the log from a browser, whose `EventSource` cannot send a token in a header.

A ticket replaces the token that requested it, for 30 seconds and for one use. It is encrypted with a key that every
API process derives from the master key: any process accepts it, and nobody else can read or forge one. Each process
remembers the tickets it has accepted. With several processes, a stolen ticket could be used once more in another
process; ADR 16 says why this is acceptable.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.gateway.problems import Problem

SECONDS = 30
MOST_USED = 10_000
"""Most used tickets that a process remembers until they expire. Beyond this number, further tickets are refused."""
MOST_CHARACTERS = 200
_PURPOSE = b"daybook: tickets to follow the log, version 1"
_NONCE, _TIME = 12, 8


class Ticket(NamedTuple):
    """A ticket and when it expires."""

    text: str
    expires: datetime


def ticket_key(master_key: bytes) -> bytes:
    """The key for tickets, derived one way from the master key."""
    return HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(master_key)


class Tickets:
    """Issues tickets and redeems each once."""

    def __init__(self, key: bytes, clock: Callable[[], datetime], previous: bytes | None = None) -> None:
        """`previous` is the key from the old master key. Other processes may use it while the master key is rotated."""
        self._cipher = AESGCM(key)
        self._opening = [self._cipher] if previous is None else [self._cipher, AESGCM(previous)]
        self._clock = clock
        self._used: dict[bytes, int] = {}  # nonce → expiry in milliseconds

    def issue(self, token: bytes) -> Ticket:
        """A ticket for the principal of the token with this SHA-256."""
        over = _milliseconds(self._clock()) + SECONDS * 1000
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, over.to_bytes(_TIME, "big") + token, _PURPOSE)
        return Ticket(urlsafe_b64encode(nonce + sealed).decode().rstrip("="), _EPOCH + timedelta(milliseconds=over))

    def redeem(self, text: str) -> bytes | None:
        """The SHA-256 of the ticket's token; None if it is forged, expired or used. Raises `Problem`."""
        nonce, opened = self._open(text)
        now = _milliseconds(self._clock())
        over = int.from_bytes(opened[:_TIME], "big")
        if over <= now or nonce in self._used:
            return None
        for old in [old for old, until in self._used.items() if until <= now]:
            del self._used[old]
        if len(self._used) >= MOST_USED:
            raise Problem("busy", f"{MOST_USED} tickets were used within {SECONDS} seconds, the most allowed.")
        self._used[nonce] = over
        return opened[_TIME:]

    def _open(self, text: str) -> tuple[bytes, bytes]:
        try:
            sealed = urlsafe_b64decode(text[:MOST_CHARACTERS] + "=" * (-len(text) % 4))
        except ValueError:
            return b"", b""
        for cipher in self._opening:
            with suppress(InvalidTag, ValueError):  # ValueError: too short to have a nonce
                return sealed[:_NONCE], cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _PURPOSE)
        return b"", b""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
