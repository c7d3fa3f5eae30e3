"""Who asks, and what they may: bearer tokens known by their SHA-256, and four roles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, get_args

from api.gateway.problems import Problem

Role = Literal["command", "report", "audit", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or some program, with a role."""

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
        """The principal of the token with this SHA-256, or why there is none."""


class FixedPrincipals:
    """Principals from a fixed mapping."""

    def __init__(self, grants: Mapping[bytes, Grant], clock: Callable[[], datetime]) -> None:
        """`grants`: by the SHA-256 of their token."""
        self._grants = grants
        self._clock = clock

    def find(self, digest: bytes) -> Principal | Problem:
        """The principal of the token with this SHA-256, or why there is none."""
        grant = self._grants.get(digest)
        if grant is None:
            return Problem("unauthenticated", "Send 'Authorization: Bearer <token>' with a token of this service.")
        if grant.expires is not None and grant.expires <= self._clock():
            at = grant.expires.astimezone(UTC).isoformat()
            return Problem("token_expired", f"This token of {grant.principal.name} expired at {at}; send a newer one.")
        return grant.principal


FOLLOW, FOLLOW_TICKETS = "/v1/log/follow", "/v1/log/follow-tickets"
_AUDIT_PATHS = ("/v1/streams", "/v1/log")
_OPEN_PATHS = ("/v1/health/", "/v1/openapi.json", "/docs")


def is_open(path: str) -> bool:
    """Whether a path is answered to everyone: health, and the description of the API."""
    return path.startswith(_OPEN_PATHS) or path == "/"


def may(role: Role, method: str, path: str) -> bool:
    """What each role may: `command` posts and reads, `report` reads, `audit` reads the log too, `operator` all."""
    if role == "operator":
        return True
    if path == FOLLOW_TICKETS:
        return role == "audit"
    if method not in ("GET", "HEAD"):
        return role == "command"
    if path.startswith(_AUDIT_PATHS):
        return role == "audit"
    if path.startswith("/v1/commands"):
        return role in ("command", "audit")
    return True


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()
