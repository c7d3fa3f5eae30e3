"""What is done about people on the machine: the first administrator, a restore, the sweep; and asking for a mail."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from eventstore.credentials.sweeper import Sweeper
from tests.integration.workers.running import daybook, environment, settings_of
from tests.support.credentials import MovedClock, pool_on
from tests.support.ledger import NOW
from tests.support.people import PASSWORD, key, people_of, registered, signed_in, verified, visit
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until
from workers.composition import WriteSide
from workers.people import records_of, swept


@pytest.fixture
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=MovedClock(NOW)) as running:
        yield running


def test_the_first_two_administrators_are_appointed_on_the_machine(service: Service) -> None:
    ada, bob, eve = (verified(service) for _ in range(3))
    env = environment(service.database)
    first = daybook("people", "first-administrator", ada.username, env=env)
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"{ada.id} is an administrator." in first.stdout
    second = daybook("people", "first-administrator", bob.email.upper(), env=env)
    assert f"{bob.id} is an administrator." in second.stdout
    third = daybook("people", "first-administrator", eve.id, env=env)
    assert third.returncode != 0
    assert "There are 2 administrators: one of them asks for another one" in third.stderr
    nobody = daybook("people", "first-administrator", "nobody-at-all", env=env)
    assert "nobody has this username or e-mail address" in nobody.stderr
    pending = daybook("people", "first-administrator", registered(service).id, env=env)
    assert pending.returncode != 0


def test_after_a_restore_everybody_signs_in_again(service: Service) -> None:
    ada = signed_in(service)
    assert ada.get("me").status_code == 200
    done = daybook("restored", env=environment(service.database))
    assert "1 sessions of people have ended" in done.stdout, done.stdout + done.stderr
    wait_until(lambda: ada.get("me").status_code == 401, "the new epoch")
    assert "epoch" in ada.get("me").json()["detail"]
    fresh = service.http.post("/v1/sessions/refresh", json={"refresh_token": ada.refresh})
    assert fresh.json()["code"] == "session_ended"


def test_a_sweep_keeps_what_is_in_force_and_removes_what_an_event_ended(service: Service) -> None:
    ada, bob = signed_in(service), signed_in(service)
    other = ada.session
    ada.sign_in()
    made = ada.own("api-keys", {"name": "x", "areas": ["accounts"]}).json()["key"]
    states = people_of(service).states
    with pool_on(service.database) as pool:
        sweeper = Sweeper(pool, service.services.log_number, service.services.clock)
        assert sweeper.sweep(lambda ids: records_of(states, ids)).total == 0
        with psycopg.connect(service.database.url, autocommit=True) as superuser:
            # As if a process had ended between the event and the rows.
            ended = "UPDATE credentials.sessions SET ended_at = NULL, ended_why = NULL"
            assert ada.own("sessions/end", {"but_this": True}).status_code == 200
            assert ada.own(f"api-keys/{made}/end").status_code == 200
            superuser.execute(ended)
            superuser.execute("UPDATE credentials.api_keys SET ended_at = NULL")
        assert bob.own("delete", {"reason": "On request"}).status_code == 200
        swept = sweeper.sweep(lambda ids: records_of(states, ids))
    assert swept.rows["sessions ended"] == 1, "only the other session of Ada"
    assert swept.rows["API keys ended"] == 1
    assert swept.rows["passwords"] == 1, "that of Bob"
    going_on = [one.session for one in people_of(service).sessions.of(ada.id) if one.ended_at is None]
    assert going_on == [ada.session] != [other]


def test_an_api_process_sweeps_by_itself(service: Service) -> None:
    ada, served, people = signed_in(service), service.services, people_of(service)
    other = ada.session
    ada.sign_in()
    assert ada.own("sessions/end", {"but_this": True}).status_code == 200
    with psycopg.connect(service.database.url, autocommit=True) as superuser:
        superuser.execute("UPDATE credentials.sessions SET ended_at = NULL, ended_why = NULL")

    def going_on() -> list[str]:
        return [one.session for one in people.sessions.of(ada.id) if one.ended_at is None]

    assert set(going_on()) == {other, ada.session}
    side = WriteSide(served.log, served.log_number, served.executor, served.codec)
    with swept(settings_of(service.database), side, people.states, pause=0.01):
        wait_until(lambda: going_on() == [ada.session], "the sweep")


def test_a_mail_can_be_asked_for_and_the_answer_tells_nothing(service: Service) -> None:
    ada = verified(service)
    answers = [
        service.http.post("/v1/people/ask-for-mail", json={"name": name, "purpose": "reset"})
        for name in (ada.username, ada.email, "nobody", "nobody@example.com")
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"asked":true}')}

    def asked() -> list[str]:
        events = service.get(f"streams/{ada.id}", role="audit").json()["events"]
        return [event["type"] for event in events if event["type"] == "person.mail_asked.v1"]

    wait_until(lambda: len(asked()) == 1, "the mail; a second one within a minute is refused")
    version = people_of(service).states.load([ada.id])[ada.id].version
    token = people_of(service).mail_tokens.issue(ada.id, "reset", version)
    assert token is not None
    body = {"token": token.reveal(), "password": "Twelve-Steps-8-Up"}
    assert visit(service, "people/reset-password", body).status_code == 200


def test_crowds_from_one_address_wait(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database) as service:
        object.__setattr__(people_of(service), "visits_a_minute", 2)
        body = {"email": "a@example.com", "name": "Ada", "password": PASSWORD}
        answers = [visit(service, "people", {"username": f"name-{n}", **body}, idempotency=key()) for n in range(3)]
        assert [answer.status_code for answer in answers] == [201, 422, 429]
        assert answers[-1].json()["code"] == "sign_in_waits"
        assert int(answers[-1].headers["Retry-After"]) >= 1
