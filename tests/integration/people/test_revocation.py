"""What a process knows of persons: one look at the log is enough, and what cannot be known is refused.

The process looks each `POLL_SECONDS`, and answers nothing that it has not looked at for `FRESH_SECONDS` (see
`tests/integration/eventstore/test_followed_states.py`). So these tests look once, and wait for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import psycopg
import pytest

from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.signing_in import EndApiKey, EndSessions
from domain.people.person.status import DeletePerson, SuspendPerson
from domain.people.session import EndSession
from domain.people.sign_in_policy import ChangeSignInPolicy
from eventstore.executor.followed_states import FRESH_SECONDS, POLL_SECONDS
from tests.support.memory_ledger import ADMINISTRATOR, By
from tests.support.people import Somebody, people_of, signed_in
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until

Answer = tuple[int, str]
READS = "accounts"
"""A route for reporters."""
KEY = {"name": "a program", "areas": ["accounts"]}


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


@pytest.fixture
def ada(service: Service) -> Somebody:
    """A reporter who has signed in, and has read what reporters may."""
    ada = signed_in(service, "report")
    assert answer(service, ada.access) == (200, "")
    return ada


def answer(service: Service, token: str) -> Answer:
    """What a request is answered after one look: the status, and the code of a problem."""
    people_of(service).states.look()
    response = service.get(READS, token=token)
    return response.status_code, response.json().get("code", "")


def api_key(ada: Somebody) -> tuple[str, str]:
    """The id and the text of a new API key."""
    made = ada.own("api-keys", KEY)
    assert made.status_code == 201, made.text
    return made.json()["key"], made.json()["api_key"]


REVOKED: Mapping[str, tuple[Callable[[Somebody], Any], Answer]] = {
    "a suspension": (lambda ada: SuspendPerson(ada.id, "Spam"), (401, "session_ended")),
    "a deletion": (lambda ada: DeletePerson(ada.id, "On request"), (401, "session_ended")),
    "a lost role": (lambda ada: RevokeRole(ada.id, "report"), (403, "forbidden")),
    "an ended session": (lambda ada: EndSession(ada.session), (401, "session_ended")),
    "all sessions ended": (lambda ada: EndSessions(ada.id), (401, "session_ended")),
    "a changed policy": (
        lambda _: ChangeSignInPolicy(second_factor_roles=("administrator", "report")),
        (403, "forbidden"),
    ),
}
"""The command, and what the next request of the person is answered."""


@pytest.mark.parametrize("what", REVOKED)
def test_one_look_is_enough(service: Service, ada: Somebody, what: str) -> None:
    command, expected = REVOKED[what]
    other = signed_in(service, "report")
    service.executed(By(ADMINISTRATOR, command(ada)))
    assert answer(service, ada.access) == expected
    if what == "a changed policy":
        service.executed(By(ADMINISTRATOR, ChangeSignInPolicy(second_factor_roles=("administrator",))))
        assert answer(service, ada.access) == (200, ""), "and back"
    assert answer(service, other.access) == (200, ""), "nobody else is concerned"


def test_a_role_that_is_granted_counts_too(service: Service) -> None:
    ada = signed_in(service)
    assert answer(service, ada.access) == (403, "forbidden")
    service.executed(By(ADMINISTRATOR, GrantRole(ada.id, "report")))
    assert answer(service, ada.access) == (200, "")


def test_an_api_key_works_at_once(service: Service, ada: Somebody) -> None:
    """Also while the process keeps the person as they were before: what it does not know yet, it reads."""
    with stood_still(service):
        assert service.get(READS, token=ada.access).status_code == 200
        _, first = api_key(ada)
        assert service.get(READS, token=first).status_code == 200
        _, second = api_key(ada)
        assert service.get(READS, token=second).status_code == 200


@contextmanager
def stood_still(service: Service) -> Iterator[None]:
    """The process knows what it knew, and takes it for fresh: its thread sees nothing."""
    states = people_of(service).states
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "_drop_moved", lambda _: None)
        yield


OF_A_KEY: Mapping[str, tuple[Callable[[Somebody, str], Any], Answer]] = {
    "an ended key": (lambda ada, key: EndApiKey(ada.id, key), (401, "unauthenticated")),
    "a suspension": (lambda ada, key: SuspendPerson(ada.id, "Spam"), (401, "unauthenticated")),
    "a deletion": (lambda ada, key: DeletePerson(ada.id, "On request"), (401, "unauthenticated")),
    "a lost role": (lambda ada, key: RevokeRole(ada.id, "report"), (403, "forbidden")),
}


@pytest.mark.parametrize("what", OF_A_KEY)
def test_one_look_is_enough_for_an_api_key(service: Service, ada: Somebody, what: str) -> None:
    """The event alone ends it: its row is as it was, because no route has written it."""
    command, expected = OF_A_KEY[what]
    key, text = api_key(ada)
    assert answer(service, text) == (200, "")
    service.executed(By(ADMINISTRATOR, command(ada, key)))
    with psycopg.connect(service.database.url) as connection:
        row = connection.execute("SELECT ended_at FROM credentials.api_keys WHERE key = %s", (key,)).fetchone()
    assert row == (None,)
    assert answer(service, text) == expected


def test_while_the_log_is_away_persons_are_refused_and_machines_are_not(
    service: Service, ada: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process cannot look. A second and a poll later it answers no person, and all of them when it can again."""
    assert POLL_SECONDS < FRESH_SECONDS
    states = people_of(service).states
    _, text = api_key(ada)
    stranger = signed_in(service)
    monkeypatch.setattr(states, "_fresh_seconds", FRESH_SECONDS)  # elsewhere the tests forgive a machine that stalls
    with monkeypatch.context() as away:
        away.setattr(states, "_connect", _no_database)
        cut(service)
        refused = (503, "unavailable")
        wait_until(lambda: _answer(service, ada.access) == refused, "the refusal of an access token")
        assert _answer(service, text) == refused, "nor an API key"
        assert _answer(service, stranger.access) == refused, "nor one whose role is missing, as far as one knew"
        assert "look" in service.get(READS, token=ada.access, fresh=False).json()["detail"]
        assert service.get(READS, fresh=False).status_code == 200, "a token of the file needs no look at the log"
        assert _answer(service, "no-token-of-anybody") == (401, "unauthenticated")
    wait_until(lambda: _answer(service, ada.access) == (200, ""), "a look after the database is back")
    assert _answer(service, text) == (200, "")


def _answer(service: Service, token: str) -> Answer:
    response = service.get(READS, token=token, fresh=False)
    return response.status_code, response.json().get("code", "")


def _no_database() -> NoReturn:
    raise psycopg.OperationalError("connection refused")


def cut(service: Service) -> None:
    """End the connection that the states are read with."""
    with psycopg.connect(service.database.url, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'people-states'")
