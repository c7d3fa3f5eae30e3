"""Races over HTTP: one name for many, one refresh token for two, and a role that ends at the second."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import httpx
import pytest

from domain.people.person.roles import GrantRole
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW
from tests.support.memory_ledger import ADMINISTRATOR, By
from tests.support.people import PASSWORD, people_of, signed_in, visit
from tests.support.postgres import Server
from tests.support.service import Service, service_on

CLIENTS = 20


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=MovedClock(NOW)) as running:
        yield running


def at_once(number: int, ask: object) -> list[httpx.Response]:
    """The answers to requests that begin together."""
    together = Barrier(number)

    def one(which: int) -> httpx.Response:
        together.wait()
        return ask(which)  # type: ignore[operator,no-any-return]

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_of_twenty_who_register_one_name_one_is_registered_and_signs_in(service: Service) -> None:
    def register(number: int) -> httpx.Response:
        body = {"username": "wanted", "email": f"w{number}@example.com", "name": "Ada", "password": PASSWORD}
        return visit(service, "people", body)

    answers = at_once(CLIENTS, register)
    codes = sorted(answer.json().get("code", "registered") for answer in answers)
    assert set(codes) <= {"registered", "username_taken", "busy"}, codes  # few passwords are hashed at a time
    assert codes.count("registered") == 1


def test_a_refresh_token_used_by_two_at_once_gives_one_new_token_and_ends_the_session(service: Service) -> None:
    for _ in range(5):
        ada = signed_in(service)
        token = {"refresh_token": ada.refresh}
        answers = at_once(2, lambda _, token=token: service.http.post("/v1/sessions/refresh", json=token))
        assert sorted(answer.status_code for answer in answers) == [200, 401]
        state = people_of(service).states.load([ada.session])[ada.session]
        assert state.ended == "reused"
        [fresh] = [answer.json()["refresh_token"] for answer in answers if answer.status_code == 200]
        after = service.http.post("/v1/sessions/refresh", json={"refresh_token": fresh})
        assert (after.status_code, after.json()["code"]) == (401, "session_ended")


def test_a_sign_in_sent_twice_at_once_opens_one_session(service: Service) -> None:
    ada = signed_in(service)
    body = {"name": ada.username, "password": ada.password}
    answers = at_once(4, lambda _: visit(service, "sign-in", body, idempotency="one-key-for-all-of-them"))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["session"] for answer in answers}) == 1
    assert sum("refresh_token" in answer.json() for answer in answers) == 1, "the token is shown once"


def test_a_role_ends_at_the_second(service: Service) -> None:
    ada = signed_in(service)
    end = service.services.clock() + timedelta(seconds=10)
    service.executed(By(ADMINISTRATOR, GrantRole(ada.id, "operator", until=end)))
    people_of(service).states.load([ada.id])
    service.services.clock.move(seconds=10, microseconds=-1)  # type: ignore[attr-defined]
    assert ada.get("log").status_code == 200
    service.services.clock.move(microseconds=1)  # type: ignore[attr-defined]
    assert ada.get("log").status_code == 403
    assert ada.get("me").json()["roles"] == ["person"]


def test_a_command_that_is_decided_when_the_role_has_ended_is_forbidden(service: Service) -> None:
    ada = signed_in(service)
    account = service.account()
    end = service.services.clock() + timedelta(seconds=10)
    service.executed(By(ADMINISTRATOR, GrantRole(ada.id, "operator", until=end)))
    people_of(service).states.load([ada.id])
    body = {"amount": "1.00", "currency": "EUR"}
    assert ada.post(f"accounts/{account}/deposits", body).status_code == 201
    service.services.clock.move(seconds=10)  # type: ignore[attr-defined]
    assert ada.post(f"accounts/{account}/deposits", body).status_code == 403
