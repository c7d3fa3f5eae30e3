"""Principals and their roles: bearer tokens, known by their SHA-256, and four roles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol, get_args

from api.gateway.problems import Problem

Role = Literal["command", "report", "audit", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)
Right = Role | Literal["public"]
"""Who may use a route: a role, or the public without a token."""
COMMANDERS: frozenset[Right] = frozenset({"command", "operator"})
AUDITORS: frozenset[Right] = frozenset({"audit", "operator"})
READERS: frozenset[Right] = frozenset(ROLES)
PUBLIC: frozenset[Right] = READERS | {"public"}


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a program with a role."""

    name: str
    role: Role
    how: str = "token"


ANYONE = Principal("anyone", "operator", "authentication is off")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token grants: a principal, until it expires."""

    principal: Principal
    expires: datetime | None = None  # aware


class Principals(Protocol):
    """Finds principals by token."""

    def find(self, digest: bytes) -> Principal | Problem:
        """The principal of the token with this SHA-256, or a problem if there is none."""


class FixedPrincipals:
    """Principals from a fixed mapping."""

    def __init__(self, grants: Mapping[bytes, Grant], clock: Callable[[], datetime]) -> None:
        """`grants` maps the SHA-256 of a token to its grant."""
        self._grants = grants
        self._clock = clock

    def find(self, digest: bytes) -> Principal | Problem:
        """The principal of the token with this SHA-256, or a problem if there is none."""
        grant = self._grants.get(digest)
        if grant is None:
            return Problem("unauthenticated", "Send 'Authorization: Bearer <token>' with a token of this service.")
        if grant.expires is not None and grant.expires <= self._clock():
            at = grant.expires.astimezone(UTC).isoformat()
            return Problem("token_expired", f"This token of {grant.principal.name} expired at {at}; send a newer one.")
        return grant.principal


FOLLOW = "/v1/log/follow"


READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""


class Rights(NamedTuple):
    """Who may use the methods of a path: those that change nothing, and all others."""

    read: frozenset[Right]
    write: frozenset[Right]

    def of(self, method: str) -> frozenset[Right]:
        """Who may use this method."""
        return self.read if method in READING else self.write


def rights(get: frozenset[Right] | None, post: frozenset[Right] | None) -> Rights:
    """The rights of a path, from the permissions of its routes for GET and POST. At least one of them is given.

    A path answers an unsupported method with 405, and OPTIONS with 204. Principals that may read or command get this
    answer; others get 403.
    """
    if get is None:
        assert post is not None
        return Rights(READERS if "command" in post else post, post)
    if post is None:
        return Rights(get, PUBLIC if "public" in get else COMMANDERS)
    return Rights(get, post)


def digest(token: str) -> bytes:
    """The SHA-256 of a token. Nothing else of the token is stored."""
    return hashlib.sha256(token.encode()).digest()
