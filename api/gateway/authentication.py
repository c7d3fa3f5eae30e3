"""Authentication and authorisation of requests. Refusals are written to the access log, wrong tokens are slowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from starlette.types import Scope

from api.gateway.access_log import AccessLog
from api.gateway.failed_attempts import MOST, FailedAttempts
from api.gateway.persons import VISITOR, Known, Persons
from api.gateway.persons import Found as FoundPerson
from api.gateway.principals import ANYONE, FOLLOW, READING, Principals, Right, digest
from api.gateway.problems import PROBLEMS, Problem
from api.gateway.request_heads import Rejection
from api.gateway.routes import Found
from api.gateway.tickets import SECONDS
from api.services import Services
from domain.kernel import Principal
from domain.permissions import may
from eventstore.credentials import scopes

MOST_PARAMETERS = 20
"""Most query parameters of a request with a ticket."""

ENDED: Final = frozenset({"token_expired", "session_ended"})
"""Whoever sends such an access token where visitors sign in or refresh is a visitor: clients add the old one."""


class Unread(NamedTuple):
    """Who sends a request is not known yet. `read` blocks; `go_on` gets what it found."""

    read: Callable[[], FoundPerson]
    go_on: Callable[[FoundPerson], Rejection | None]


class Authentication:
    """Finds the principal of each request."""

    def __init__(self, services: Services, access: AccessLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._principals = services.principals
        self._persons: Persons | None = None if services.people is None else services.people.persons
        self._tickets = services.tickets
        self._access = access
        self._clock = services.clock
        self._wrong = FailedAttempts(monotonic)  # unknown tokens
        self._other = FailedAttempts(monotonic)  # no token or an expired one: not a guess

    def admit(self, scope: Scope, headers: Mapping[bytes, bytes], found: Found | None) -> Rejection | Unread | None:
        """Store the principal and the digest of its token in the scope's state, or return why access is refused.

        `found` has the routes of the path. An unknown path needs a token but no permission: it is answered 404.
        """
        path, principals = scope["path"], self._principals
        state = scope["state"]
        permitted = _permitted(scope, found)
        stated = headers.get(b"authorization")
        if permitted is not None and "visitor" in permitted and (stated is None or principals is None):
            state["principal"] = VISITOR
            return None
        if principals is None or (permitted is not None and "public" in permitted):
            state["principal"] = ANYONE
            return None
        ticket = _ticket_of(scope) if path == FOLLOW and stated is None else None
        if ticket is None:
            scheme, _, token = (stated or b"").decode("latin-1").partition(" ")
            token = token.strip() if scheme.lower() == "bearer" else ""
            key = digest(token)
            principal = principals.find(key)
            if self._persons is not None and _is_of_a_person(principal, token):
                return self._admit_person(scope, found, token)
        else:
            try:
                key, principal = self._redeem(ticket, principals)
            except Problem as problem:
                return problem.code, problem.detail, problem.figures
        if not isinstance(principal, Principal):
            return self._unauthenticated(scope, principal, guessed=bool(stated or ticket))
        if permitted is not None and not may(principal, permitted, self._clock()):
            return self._forbidden(scope, principal)
        state["principal"], state["token"] = principal, key
        return None

    def _admit_person(self, scope: Scope, found: Found | None, token: str) -> Rejection | Unread | None:
        persons = self._persons
        assert persons is not None
        known = persons.find(token)

        def go_on(known: FoundPerson) -> Rejection | None:
            if not isinstance(known, Known):
                if known.code in ENDED and "visitor" in (_permitted(scope, found) or ()):
                    scope["state"]["principal"] = VISITOR
                    return None
                return self._unauthenticated(scope, known, guessed=True)
            scope["state"]["again"] = lambda: persons.find(token) or persons.read(token)
            return self._use(scope, found, known)

        return Unread(lambda: persons.read(token), go_on) if known is None else go_on(known)

    def _use(self, scope: Scope, found: Found | None, known: Known) -> Rejection | None:
        """Let a person in, if the route is for one of their roles and within the scope of their API key."""
        principal, state, permitted = known.principal, scope["state"], _permitted(scope, found)
        if permitted is not None and "visitor" not in permitted and not may(principal, permitted, self._clock()):
            needed = [role for role in known.withheld if role in permitted]
            if needed:
                self._access.refused(scope, 403, "forbidden", principal)
                detail = f"{principal.id} has the role {needed[0]} only in a session with a second factor."
                return "forbidden", detail, {"principal": principal.id, "role": needed[0]}
            return self._forbidden(scope, principal)
        if known.scope is not None and found is not None and not _within(known.scope, scope, found):
            self._access.refused(scope, 403, "forbidden", principal)
            detail = f"The scope of this API key does not include {scope['method']} {scope['path']}."
            return "forbidden", detail, {"principal": principal.id}
        state["principal"], state["token"], state["known"] = principal, None, known
        return None

    def _forbidden(self, scope: Scope, principal: Principal) -> Rejection:
        self._access.refused(scope, 403, "forbidden", principal)
        role = ", ".join(principal.all_roles)
        message = f"{principal.id} has the role {role or 'none'}, which may not {scope['method']} {scope['path']}."
        return "forbidden", message, {"principal": principal.id, "role": role}

    def _redeem(self, ticket: str, principals: Principals) -> tuple[bytes, Principal | Problem]:
        """The digest of the ticket's token, and the principal of the token. Raises `Problem`."""
        key = None if self._tickets is None else self._tickets.redeem(ticket)
        if key is None:
            message = (
                f"This ticket is not one of this service, was used, or is older than {SECONDS} seconds; get another."
            )
            return b"", Problem("unauthenticated", message)
        return key, principals.find(key)

    def _unauthenticated(self, scope: Scope, problem: Problem, *, guessed: bool) -> Rejection:
        client = scope.get("client")
        wrong = guessed and problem.code == "unauthenticated"
        count = (self._wrong if wrong else self._other).add("-" if client is None else client[0])
        if count.number <= MOST:
            self._access.refused(scope, PROBLEMS[problem.code][0], problem.code)
            return problem.code, problem.detail, problem.figures
        if count.number == MOST + 1:
            self._access.slowed(scope, count.seconds)
        self._access.count("wrong_tokens" if wrong else problem.code)
        if not wrong:
            return problem.code, problem.detail, problem.figures
        message = f"{MOST} wrong tokens came from this address within a minute; try again in {count.seconds} seconds."
        return "wrong_tokens", message, {"retry_after": count.seconds}


def _permitted(scope: Scope, found: Found | None) -> frozenset[Right] | None:
    """Who may send this request; None for an unknown path."""
    return None if found is None else found.path.rights.of(scope["method"])


def _is_of_a_person(principal: Principal | Problem, token: str) -> bool:
    """Whether a token that is not of the file may be an access token or an API key."""
    return bool(token) and isinstance(principal, Problem) and principal.code == "unauthenticated"


def _within(allowed: scopes.Scope, scope: Scope, found: Found) -> bool:
    """Whether the scope of an API key lets a request through. Commands are held to it by what they do, later."""
    if scope["method"] not in READING:
        return allowed.access == "command"
    route = found.path.route("GET")
    if route is None:
        return True
    named = [found.names["account"]] if "account" in found.names else []
    named += parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=MOST_PARAMETERS).get("account", [])
    return scopes.may(allowed, route.declaration.area, "read", named)


def _ticket_of(scope: Scope) -> str | None:
    """The ticket of a request; None if there is none, or more than one."""
    try:
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return None
    tickets = query.get("ticket", [])
    return tickets[0] if len(tickets) == 1 else None
