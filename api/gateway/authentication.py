"""Authentication and authorisation of requests. Refusals are written to the access log, wrong tokens are slowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from starlette.types import Scope

from api.gateway.access_log import AccessLog
from api.gateway.failed_attempts import MOST, FailedAttempts
from api.gateway.principals import ANYONE, FOLLOW, Principals, digest
from api.gateway.problems import PROBLEMS, Problem
from api.gateway.request_heads import Rejection
from api.gateway.routes import Found
from api.gateway.tickets import SECONDS
from api.services import Services
from domain.kernel import Principal
from domain.permissions import may

MOST_PARAMETERS = 20
"""Most query parameters of a request with a ticket."""


class Authentication:
    """Finds the principal of each request."""

    def __init__(self, services: Services, access: AccessLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._principals = services.principals
        self._tickets = services.tickets
        self._access = access
        self._clock = services.clock
        self._wrong = FailedAttempts(monotonic)  # unknown tokens
        self._other = FailedAttempts(monotonic)  # no token or an expired one: not a guess

    def admit(self, scope: Scope, headers: Mapping[bytes, bytes], found: Found | None) -> Rejection | None:
        """Store the principal and the digest of its token in the scope's state, or return why access is refused.

        `found` has the routes of the path. An unknown path needs a token but no permission: it is answered 404.
        """
        path, principals = scope["path"], self._principals
        state = scope["state"]
        permitted = None if found is None else found.path.rights.of(scope["method"])
        if principals is None or (permitted is not None and "public" in permitted):
            state["principal"] = ANYONE
            return None
        stated = headers.get(b"authorization")
        ticket = _ticket_of(scope) if path == FOLLOW and stated is None else None
        if ticket is None:
            scheme, _, token = (stated or b"").decode("latin-1").partition(" ")
            key = digest(token.strip() if scheme.lower() == "bearer" else "")
            principal = principals.find(key)
        else:
            try:
                key, principal = self._redeem(ticket, principals)
            except Problem as problem:
                return problem.code, problem.detail, problem.figures
        if not isinstance(principal, Principal):
            return self._unauthenticated(scope, principal, guessed=bool(stated or ticket))
        if permitted is not None and not may(principal, permitted, self._clock()):
            self._access.refused(scope, 403, "forbidden", principal)
            role = ", ".join(principal.all_roles)
            message = f"{principal.id} has the role {role}, which may not {scope['method']} {path}."
            return "forbidden", message, {"principal": principal.id, "role": role}
        state["principal"], state["token"] = principal, key
        return None

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


def _ticket_of(scope: Scope) -> str | None:
    """The ticket of a request; None if there is none, or more than one."""
    try:
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return None
    tickets = query.get("ticket", [])
    return tickets[0] if len(tickets) == 1 else None
