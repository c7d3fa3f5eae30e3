"""Finds what the sender of a long batch may do now.

A sender has what they had when they opened the batch and still have. So whoever lost a role meanwhile has it no more,
and whoever got one does not lend it to an old batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import orjson

from api.gateway.persons import Known
from api.gateway.principals import ANYONE
from api.gateway.problems import Problem
from domain.kernel import Grant, Principal
from domain.long_batch import LentKey, LongBatchOpened
from domain.people.person.state import PERSON, Person
from eventstore.credentials.scopes import Scope


class Principals(Protocol):
    """Finds the principals of the file of tokens."""

    def named(self, id: str) -> Principal | Problem:
        """The principal with this id and the roles of all its valid tokens, or a problem if it has no valid one."""


States = Callable[[str], Any]
"""Reads the state of a stream now."""


class Senders:
    """Finds senders. `principals` is the file of tokens; None: authentication is off."""

    def __init__(self, principals: Principals | None, states: States, clock: Callable[[], datetime]) -> None:
        self._principals = principals
        self._states = states
        self._clock = clock

    def find(self, opened: LongBatchOpened, metadata: bytes) -> Known | None:
        """The sender of a long batch, as of now; None if they may send nothing any more.

        `metadata` is that of the event that opened it: it has who they were then.
        """
        actor: Mapping[str, Any] = orjson.loads(metadata)["actor"]
        if opened.sender.startswith(f"{PERSON}_"):
            return self._person(opened, actor)
        if self._principals is None:
            return Known(ANYONE) if opened.sender == ANYONE.id else None
        found = self._principals.named(opened.sender)
        if isinstance(found, Problem):
            return None
        roles = tuple(role for role in found.roles if role in actor["roles"])
        return Known(Principal(found.id, roles, actor["how"], found.person)) if roles else None

    def _person(self, opened: LongBatchOpened, actor: Mapping[str, Any]) -> Known | None:
        person = self._states(opened.sender)
        if not isinstance(person, Person) or person.status != "active":
            return None
        if opened.api_key is not None and person.key(opened.api_key.key, self._clock()) is None:
            return None
        had = {grant["role"] for grant in actor.get("grants", ())}
        grants: tuple[Grant, ...] = tuple(grant for grant in person.grants if grant.role in had)
        principal = Principal(person.id, tuple(actor["roles"]), actor["how"], person.id, grants)
        return Known(principal, scope=_scope(opened.api_key))


def _scope(lent: LentKey | None) -> Scope | None:
    """The scope of the API key that the sender used. It is for commands, or the batch could not have been opened."""
    if lent is None:
        return None
    accounts = None if lent.accounts is None else frozenset(lent.accounts)
    return Scope(frozenset(lent.areas), "command", accounts)
