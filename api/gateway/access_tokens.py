"""Access tokens: short proofs that a session goes on. Signed JSON web tokens (RFC 7519), HMAC with SHA-256.

A token names the person and the session, and nothing that they may do: roles are read from the log at each request. It
is bound to the log by its UUID and its epoch, so that one of another log, or of a history that a restore has removed,
is worth nothing. The key is derived from the master key, so every process accepts the tokens of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.gateway.problems import Problem

LIFETIME: Final = timedelta(minutes=15)
CLOCKS_DIFFER: Final = timedelta(seconds=30)
"""How far in the future a token may have been issued, by the clock of another process."""
MOST_CHARACTERS: Final = 1_000
_ALGORITHM = "HS256"
_ISSUER = "daybook"
_PURPOSE = b"daybook: access tokens of sessions, version 1"
_ID = re.compile(r"[a-z]{1,20}_[0-9a-z_]{1,100}")
_CLAIMS = ("iss", "log", "epoch", "sub", "sid", "iat", "exp")


class AccessToken(NamedTuple):
    """A token, and when it expires."""

    text: str
    expires: datetime


class Proof(NamedTuple):
    """What a token proves, until it expires."""

    person: str
    session: str
    epoch: int
    issued: datetime
    expires: datetime


def access_key(master_key: bytes) -> bytes:
    """The key for access tokens, derived one way from the master key."""
    return HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(master_key)


class AccessTokens:
    """Issues access tokens of one log, and reads them."""

    def __init__(self, key: bytes, log: UUID, clock: Callable[[], datetime], previous: bytes | None = None) -> None:
        """`previous` is the key from the old master key, while the master key is rotated."""
        self._key = key
        self._keys = [key] if previous is None else [key, previous]
        self._log = str(log)
        self._clock = clock

    def issue(self, person: str, session: str, epoch: int) -> AccessToken:
        """A token for a session that goes on."""
        now = self._clock().replace(microsecond=0)
        over = now + LIFETIME
        claims = {
            "iss": _ISSUER,
            "log": self._log,
            "epoch": epoch,
            "sub": person,
            "sid": session,
            "iat": int(now.timestamp()),
            "exp": int(over.timestamp()),
        }
        return AccessToken(jwt.encode(claims, self._key, _ALGORITHM), over)

    def read(self, text: str) -> Proof | None:
        """What a token of this log proves; None for any other text. Whether it has expired is not looked at."""
        claims = self._claims(text)
        if claims is None or claims["iss"] != _ISSUER or claims["log"] != self._log:
            return None
        person, session, epoch, issued, expires = (claims[name] for name in ("sub", "sid", "epoch", "iat", "exp"))
        ids, numbers = (person, session), (epoch, issued, expires)
        if not all(isinstance(id, str) and _ID.fullmatch(id) for id in ids) or not all(type(n) is int for n in numbers):
            return None
        try:
            at, until = datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC)
        except (ValueError, OverflowError, OSError):  # no year of the calendar
            return None
        return Proof(person, session, epoch, at, until)

    def refusal(self, proof: Proof, epoch: int) -> Problem | None:
        """Why a token is worth nothing now, or None."""
        now = self._clock()
        if proof.epoch != epoch:
            detail = f"This token is of epoch {proof.epoch} of the log, which is in epoch {epoch}; sign in again."
            return Problem("unauthenticated", detail)
        if proof.issued > now + CLOCKS_DIFFER:
            return Problem("unauthenticated", f"This token was issued at {proof.issued.isoformat()}, in the future.")
        if proof.expires <= now:
            at = proof.expires.isoformat()
            return Problem("token_expired", f"This access token expired at {at}; get another with the refresh token.")
        return None

    def _claims(self, text: str) -> dict[str, Any] | None:
        if len(text) > MOST_CHARACTERS:
            return None
        # Times are compared with the service's own clock, so the library does not look at them.
        options: Any = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        options |= {"verify_aud": False, "verify_iss": False, "verify_sub": False}
        for key in self._keys:
            try:
                return jwt.decode(text, key, algorithms=[_ALGORITHM], options=options)
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidTokenError:
                return None
        return None
