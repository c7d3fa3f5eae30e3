"""Finds the person behind an access token or an API key, and what they may do now.

Roles, status and sessions are read from the log, not from a token or a table that lags (`FollowedStates`). So whoever
is suspended, loses a role or has signed out is refused within a second; while the log cannot be read, everybody is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Lock
from typing import Any, Final, NamedTuple, TypeAlias

import psycopg

from api.gateway.access_tokens import AccessTokens, Proof
from api.gateway.problems import Problem
from domain.kernel import Grant, Principal, Role
from domain.people.person.state import PERSON, Person
from domain.people.session import SESSION, Session
from domain.people.sign_in_policy import SIGN_IN_POLICY, SignInPolicy, sign_in_policy
from eventstore.credentials.api_keys import ApiKey, ApiKeys
from eventstore.credentials.rates import Rates
from eventstore.credentials.scopes import Scope
from eventstore.executor.followed_states import FollowedStates, StaleError
from eventstore.keys.master_keys import SealingError

FOLLOWED: Final = (f"{PERSON}_", f"{SESSION}_", SIGN_IN_POLICY)
"""The streams that are followed."""
API_KEY: Final = "dbk_"
MOST_PROOFS: Final = 10_000
"""Access tokens whose signature is not computed again."""
NEVER_BY_KEY: Final[frozenset[Role]] = frozenset({"administrator"})
"""Roles that a person does not lend to a program: an API key approves nothing."""
VISITOR: Final = Principal("visitor", ("visitor",), "none")
"""Whoever uses a route that is open to those who have not signed in."""


class Known(NamedTuple):
    """Who sends a request. `withheld` are roles that a second factor would give; `scope` bounds the API key `key`."""

    principal: Principal
    session: str | None = None
    scope: Scope | None = None
    withheld: tuple[Role, ...] = ()
    key: str | None = None


Found: TypeAlias = Known | Problem


class Persons:
    """Finds persons. Thread-safe."""

    def __init__(
        self,
        states: FollowedStates,
        tokens: AccessTokens,
        keys: ApiKeys,
        clock: Callable[[], datetime],
        rates: Rates | None = None,
    ) -> None:
        self._states = states
        self._tokens = tokens
        self._keys = keys
        self._clock = clock
        self._rates = rates or Rates()
        self._proofs: OrderedDict[str, Proof] = OrderedDict()
        self._lock = Lock()

    def find(self, token: str) -> Found | None:
        """Who sends the token, or why they are refused. None if something has to be read first: see `read`."""
        if token.startswith(API_KEY):
            return None
        proof = self._proof(token)
        if proof is None:
            return Problem("unauthenticated", "Send 'Authorization: Bearer <token>' with a token of this service.")
        try:
            refusal = self._tokens.refusal(proof, self._states.epoch)
            kept = {stream: self._states.get(stream) for stream in _streams(proof)}
        except StaleError as error:
            return _unknowable(error)
        if refusal is not None:
            return refusal
        states = {stream: state for stream, (_, state) in kept.items()}
        if not all(known for known, _ in kept.values()) or _is_behind(states[proof.person], states[proof.session]):
            return None
        return self._of_session(proof, states)

    def read(self, token: str) -> Found:
        """Who sends the token, or why they are refused. Blocks."""
        try:
            if token.startswith(API_KEY):
                return self._of_key(token)
            proof = self._proof(token)
            assert proof is not None, "`find` has seen the token"
            return self._of_session(proof, self._states.load(_streams(proof)))
        except (StaleError, psycopg.Error, SealingError) as error:
            return _unknowable(error)

    def _proof(self, token: str) -> Proof | None:
        with self._lock:
            proof = self._proofs.get(token)
        if proof is None:
            proof = self._tokens.read(token)
            if proof is not None:
                with self._lock:
                    self._proofs[token] = proof
                    if len(self._proofs) > MOST_PROOFS:
                        self._proofs.popitem(last=False)
        return proof

    def _of_session(self, proof: Proof, states: Mapping[str, Any]) -> Found:
        person, session = states[proof.person], states[proof.session]
        policy = sign_in_policy(states[SIGN_IN_POLICY])
        if not isinstance(person, Person) or not isinstance(session, Session) or session.person != proof.person:
            return Problem("unauthenticated", "This token is of a session that the log does not know; sign in again.")
        if session.ended is not None or not person.goes_on(session.id, session.opened_on):
            return Problem("session_ended", f"The session {session.id} has ended; sign in again.")
        needs = () if session.second_factor else policy.second_factor_roles
        grants = tuple(grant for grant in person.grants if grant.role not in needs)
        withheld = tuple(grant.role for grant in person.grants if grant.role in needs)
        principal = Principal(person.id, ("person",), "session", person.id, grants)
        return Known(principal, session.id, None, withheld)

    def _of_key(self, text: str) -> Found:
        key = self._keys.find(text)
        if not isinstance(key, ApiKey):
            if key.reason == "mistyped":
                return Problem("unauthenticated", "This API key is mistyped: its checksum is wrong.")
            return Problem("unauthenticated", "This is no API key of this service that works.")
        states = {stream: self._latest(stream) for stream in (key.person, SIGN_IN_POLICY)}
        kept = states[key.person]
        if not isinstance(kept, Person) or kept.version < key.version:  # the key is newer than what is kept
            states |= self._states.load([key.person])
        person, policy = states[key.person], sign_in_policy(states[SIGN_IN_POLICY])
        if not isinstance(person, Person) or person.status != "active" or person.key(key.key, self._clock()) is None:
            return Problem("unauthenticated", "This is no API key of this service that works.")
        allowance = self._rates.take(key.key, key.per_minute)
        if not allowance.allowed:
            detail = f"The API key {key.key} may send {key.per_minute} requests a minute; wait {allowance.seconds} s."
            return Problem("key_rate", detail, per_minute=key.per_minute, retry_after=allowance.seconds)
        grants = _lent(person.grants, policy)
        return Known(Principal(person.id, (), "api_key", person.id, grants), None, key.scope, key=key.key)

    def _latest(self, stream: str) -> Any:
        known, state = self._states.get(stream)
        return state if known else self._states.load([stream])[stream]


def _is_behind(person: Any, session: Any) -> bool:
    """Whether the session was opened on a later version of the person than the one that is kept."""
    return isinstance(session, Session) and (not isinstance(person, Person) or person.version < session.opened_on)


def _streams(proof: Proof) -> tuple[str, str, str]:
    return proof.person, proof.session, SIGN_IN_POLICY


def _lent(grants: tuple[Grant, ...], policy: SignInPolicy) -> tuple[Grant, ...]:
    """The roles that a person lends to an API key: none that a session has only with a second factor."""
    kept = NEVER_BY_KEY | frozenset(policy.second_factor_roles)
    return tuple(grant for grant in grants if grant.role not in kept)


def _unknowable(error: Exception) -> Problem:
    detail = str(error) if isinstance(error, StaleError) else type(error).__name__
    return Problem("unavailable", f"Who you are and what you may do cannot be looked up now: {detail}.")
