"""Who a request is of, and whether its role may ask it: every refusal is written down, and guesses are slowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.types import Scope

from api.access_log import AccessLog
from api.heads import Refusal
from api.principals import ANYONE, Principal, digest, is_open, may
from api.problems import PROBLEMS, Problem
from api.refusals import MOST, Refusals
from api.services import Services


class Authentication:
    """Finds the principal of each request."""

    def __init__(self, services: Services, access: AccessLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._principals = services.principals
        self._access = access
        self._wrong = Refusals(monotonic)  # tokens that are not known
        self._other = Refusals(monotonic)  # no token, or one that has expired: no guesses

    def admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Put the principal and the digest of its token into the scope's state, or say why not."""
        path, principals = scope["path"], self._principals
        state = scope.setdefault("state", {})
        if principals is None or is_open(path):
            state["principal"] = ANYONE
            return None
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        key = digest(token.strip() if scheme.lower() == "bearer" else "")
        principal = principals.find(key)
        if not isinstance(principal, Principal):
            return self._unauthenticated(scope, principal, guessed=bool(scheme))
        method = scope["method"]
        if not may(principal.role, "GET" if method == "OPTIONS" else method, path):
            self._access.refused(scope, 403, "forbidden", principal)
            said = f"{principal.name} has the role {principal.role}, which may not {method} {path}."
            return "forbidden", said, {"principal": principal.name, "role": principal.role}
        state["principal"], state["token"] = principal, key
        return None

    def _unauthenticated(self, scope: Scope, problem: Problem, *, guessed: bool) -> Refusal:
        client = scope.get("client")
        wrong = guessed and problem.code == "unauthenticated"
        count = (self._wrong if wrong else self._other).add("-" if client is None else client[0])
        if count.number <= MOST:
            self._access.refused(scope, PROBLEMS[problem.code][0], problem.code)
        elif count.number == MOST + 1:
            self._access.slowed(scope, count.seconds)
        if not wrong or count.number <= MOST:
            return problem.code, problem.detail, problem.figures
        said = f"{MOST} wrong tokens came from this address within a minute; try again in {count.seconds} seconds."
        return "wrong_tokens", said, {"retry_after": count.seconds}
