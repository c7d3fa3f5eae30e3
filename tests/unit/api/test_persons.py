"""Who is behind an access token: what is kept counts only if it is not older than the session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from api.gateway.access_tokens import AccessTokens
from api.gateway.persons import Known, Persons
from api.gateway.problems import Problem
from domain.kernel import Grant
from domain.people.person.state import Person
from domain.people.session import Session

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PENDING = Person(1, "prsn_ada", "pending", "u", "e")
ACTIVE = Person(2, "prsn_ada", "active", "u", "e", grants=(Grant("administrator"), Grant("author")))


@dataclass
class Kept:
    """States that are kept."""

    states: dict[str, Any]
    epoch: int = 1

    def get(self, stream: str) -> tuple[bool, Any]:
        return stream in self.states, self.states.get(stream)


def found(person: Person, *, second_factor: bool = False, ended: Any = None) -> Any:
    """What is found for the token of a session that was opened on version 2 of the person."""
    tokens = AccessTokens(b"k" * 32, uuid4(), lambda: NOW)
    session = Session(1, "sess_1", "prsn_ada", 2, second_factor, ended)
    kept: Any = Kept({"prsn_ada": person, "sess_1": session, "policy:sign-in": None})
    keys: Any = None
    persons = Persons(kept, tokens, keys, lambda: NOW)
    return persons.find(tokens.issue("prsn_ada", "sess_1", 1).text)


def test_a_person_who_is_kept_from_before_the_session_is_read_again() -> None:
    assert found(PENDING) is None
    assert isinstance(found(ACTIVE), Known)


@pytest.mark.parametrize("second_factor", [False, True])
def test_a_role_of_the_policy_counts_with_a_second_factor(second_factor: bool) -> None:
    known = found(ACTIVE, second_factor=second_factor)
    roles = [grant.role for grant in known.principal.grants]
    assert roles == (["administrator", "author"] if second_factor else ["author"])
    assert known.withheld == (() if second_factor else ("administrator",))


def test_an_ended_session_is_refused() -> None:
    refused = found(ACTIVE, ended="reused")
    assert isinstance(refused, Problem)
    assert refused.code == "session_ended"
