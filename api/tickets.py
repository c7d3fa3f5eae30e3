"""Tickets to follow the log from a browser, whose `EventSource` cannot send a token in a header.

A ticket stands for the token it was made with, for seconds and once. It is sealed with a key that all API processes
derive from the master key, so that any of them takes it and nobody can read or make one. What was used is remembered in
the memory of a process: with several processes, one who intercepts a ticket within its seconds could use it once more
with another process (ADR 17 says why that is borne).
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.problems import Problem

SECONDS = 30
MOST_USED = 10_000
"""Tickets that were used and are not over yet, in a process: one more is refused rather than forget one of them."""
MOST_CHARACTERS = 200
_PURPOSE = b"daybook: tickets to follow the log, version 1"
_NONCE, _TIME = 12, 8


class Ticket(NamedTuple):
    """A ticket and when it is over."""

    text: str
    expires: datetime


def ticket_key(master_key: bytes) -> bytes:
    """The key of tickets: whoever learns it learns nothing about the master key."""
    return HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(master_key)


class Tickets:
    """Makes tickets and takes them back, once each."""

    def __init__(self, key: bytes, clock: Callable[[], datetime]) -> None:
        self._cipher = AESGCM(key)
        self._clock = clock
        self._used: dict[bytes, int] = {}  # nonce to the millisecond at which the ticket is over, oldest first

    def issue(self, token: bytes) -> Ticket:
        """A ticket for the principal of the token with this SHA-256."""
        over = _milliseconds(self._clock()) + SECONDS * 1000
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, over.to_bytes(_TIME, "big") + token, _PURPOSE)
        return Ticket(urlsafe_b64encode(nonce + sealed).decode().rstrip("="), _EPOCH + timedelta(milliseconds=over))

    def redeem(self, text: str) -> bytes | None:
        """The SHA-256 of the token of a ticket; None if it was not made here, is over or was used. Raises `Problem`."""
        nonce, opened = self._open(text)
        now = _milliseconds(self._clock())
        over = int.from_bytes(opened[:_TIME], "big")
        if over <= now or nonce in self._used:
            return None
        for old in [old for old, until in self._used.items() if until <= now]:
            del self._used[old]
        if len(self._used) >= MOST_USED:
            raise Problem("busy", f"{MOST_USED} tickets were used within {SECONDS} seconds, as many as may.")
        self._used[nonce] = over
        return opened[_TIME:]

    def _open(self, text: str) -> tuple[bytes, bytes]:
        try:
            sealed = urlsafe_b64decode(text[:MOST_CHARACTERS] + "=" * (-len(text) % 4))
            return sealed[:_NONCE], self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _PURPOSE)
        except (InvalidTag, ValueError):
            return b"", b""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
