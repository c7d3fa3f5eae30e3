"""Who may see what a person did, and who read about them: the person, and those who supervise."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from psycopg import Connection

from api.gateway.principals import EVERY_READER, SUPERVISORS, Right
from api.gateway.problems import Problem
from api.services import services
from domain.kernel import Principal
from domain.permissions import SELF, may
from projections.people import people

OWN_OR_SUPERVISED: frozenset[Right] = EVERY_READER | SUPERVISORS | SELF
"""Who may use a route that shows a person what is about themselves. For others the person does not exist."""


def principal_of(request: Request) -> Principal:
    """Who reads."""
    principal: Principal = request.scope["state"]["principal"]
    return principal


def refuse_foreign(request: Request, connection: Connection[Any], person: str) -> None:
    """Raise `Problem` unless this is the person who reads, or an existing person and somebody who supervises."""
    principal = principal_of(request)
    if principal.person == person:
        return
    if not may(principal, SUPERVISORS, services(request).clock()) or people.person(connection, person) is None:
        raise Problem("unknown", f"There is no person {person}.", kind="person", id=person)


def refuse_on_replicas(request: Request) -> None:
    """Raise `Problem` on a replica, whose database has neither commands nor recorded reads of the log itself."""
    if services(request).reads_only:
        raise Problem(
            "read_only",
            "This process serves a copy of the log, which has no record of who did or read what: ask the API of the "
            "log itself.",
        )
