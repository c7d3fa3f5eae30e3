"""Finds principals by bearer token, known by its SHA-256, and the rights of paths."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol

from api.gateway.problems import Problem
from domain.kernel import Principal, Role
from domain.permissions import ADMINISTRATORS, COMMANDERS, ROLES, STAFF

Right = Role | Literal["public"]
"""Who may use a route: a role, or the public without a token."""
AUDITORS: frozenset[Right] = frozenset({"audit", "operator"})
REPORTERS: frozenset[Right] = AUDITORS | {"report"}
"""Who may see reports and refusals. They name accounts, actors and keys of others, so command clients do not."""
READERS: frozenset[Right] = frozenset(STAFF)
EVERY_READER: frozenset[Right] = frozenset(ROLES)
"""Who may use a read that shows a customer only what is theirs. Its tables declare what that is."""
SUPERVISORS: frozenset[Right] = AUDITORS | ADMINISTRATORS
"""Who may see what another person did."""
PUBLIC: frozenset[Right] = EVERY_READER | {"public"}


ANYONE = Principal("anyone", ("operator",), "authentication is off")


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The principal of a token, until the token expires."""

    principal: Principal
    expires: datetime | None = None  # aware


class Principals(Protocol):
    """Finds principals by token."""

    def find(self, digest: bytes) -> Principal | Problem:
        """The principal of the token with this SHA-256, or a problem if there is none."""

    def of_person(self, person: str) -> tuple[str, ...]:
        """The names of the principals whose tokens this person has, also of those that have expired."""


class FixedPrincipals:
    """Principals from a fixed mapping."""

    def __init__(self, holders: Mapping[bytes, TokenHolder], clock: Callable[[], datetime]) -> None:
        """`holders` maps the SHA-256 of a token to its holder."""
        self._holders = holders
        self._clock = clock

    def find(self, digest: bytes) -> Principal | Problem:
        """The principal of the token with this SHA-256, or a problem if there is none."""
        holder = self._holders.get(digest)
        if holder is None:
            return Problem("unauthenticated", "Send 'Authorization: Bearer <token>' with a token of this service.")
        if holder.expires is not None and holder.expires <= self._clock():
            at = holder.expires.astimezone(UTC).isoformat()
            return Problem("token_expired", f"This token of {holder.principal.id} expired at {at}; send a newer one.")
        return holder.principal

    def named(self, id: str) -> Principal | Problem:
        """The principal with this id and the roles of all its valid tokens, or a problem if it has no valid one."""
        holders = [holder for holder in self._holders.values() if holder.principal.id == id]
        if not holders:
            return Problem("unauthenticated", f"No token of this service is one of {id}.")
        now = self._clock()
        valid = [holder.principal for holder in holders if holder.expires is None or now < holder.expires]
        if not valid:
            return Problem("token_expired", f"Every token of {id} has expired; a newer one has to be entered.")
        given = {role for principal in valid for role in principal.roles}
        return Principal(id, tuple(role for role in ROLES if role in given), person=valid[0].person)

    def of_person(self, person: str) -> tuple[str, ...]:
        """The names of the principals whose tokens this person has, also of those that have expired."""
        principals = (holder.principal for holder in self._holders.values())
        return tuple(sorted({principal.id for principal in principals if principal.person == person}))


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
