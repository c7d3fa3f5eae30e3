"""Registration, sign-in, sessions, passwords and the second factor, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.credentials import MovedClock
from tests.support.ledger import NOW
from tests.support.people import PASSWORD, key, people_of, registered, signed_in, verified, visit
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=MovedClock(NOW)) as running:
        yield running


def test_a_stranger_registers_verifies_and_signs_in(service: Service) -> None:
    ada = registered(service)
    early = ada.sign_in()
    assert (early.status_code, early.json()["code"]) == (422, "person_status"), "the address is not verified"
    token = people_of(service).mail_tokens.issue(ada.id, "verify", 1)
    assert token is not None
    verified_now = visit(service, "people/verify-email", {"token": token.reveal()})
    assert verified_now.json()["status"] == "active"
    response = ada.sign_in()
    assert response.status_code == 201, response.text
    me = ada.get("me").json()
    assert me == {
        "principal": ada.id,
        "how": "session",
        "person": ada.id,
        "session": ada.session,
        "roles": ["person"],
        "withheld": [],
    }
    own = ada.get(f"people/{ada.id}").json()
    assert (own["username"], own["email"], own["status"]) == (ada.username, ada.email, "active")
    assert ada.get(f"people/{registered(service).id}").status_code == 404, "a foreign person does not exist"


def test_a_retry_gets_the_answer_without_what_was_shown(service: Service) -> None:
    ada = verified(service)
    body, once = {"name": ada.email, "password": ada.password}, key()
    first = visit(service, "sign-in", body, idempotency=once)
    again = visit(service, "sign-in", body, idempotency=once)
    assert first.status_code == again.status_code == 201
    assert again.json()["session"] == first.json()["session"]
    assert again.json()["shown_before"] is True
    assert "refresh_token" not in again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = visit(service, "sign-in", {**body, "password": "Another-1-word!"}, idempotency=once)
    assert other.status_code == 401, "another password is another request"


def test_a_refresh_token_works_once_and_a_second_use_ends_the_session(service: Service) -> None:
    ada = signed_in(service)
    old = ada.refresh
    fresh = service.http.post("/v1/sessions/refresh", json={"refresh_token": old})
    assert fresh.status_code == 200, fresh.text
    ada.keep(fresh)
    assert ada.get("me").status_code == 200
    reused = service.http.post("/v1/sessions/refresh", json={"refresh_token": old})
    assert (reused.status_code, reused.json()["code"]) == (401, "session_ended")
    wait_until(lambda: ada.get("me").status_code == 401, "the end of the session")
    after = service.http.post("/v1/sessions/refresh", json={"refresh_token": ada.refresh})
    assert after.json()["code"] == "session_ended"
    states = people_of(service).states.load([ada.session])
    assert states[ada.session].ended == "reused"


def test_an_access_token_that_has_ended_keeps_nobody_from_a_new_one(service: Service) -> None:
    """Programs add the token that they have to each request, also to the one that replaces it."""
    ada = signed_in(service)
    service.services.clock.move(minutes=15)  # type: ignore[attr-defined]
    assert ada.get("me").json()["code"] == "token_expired"
    old = {"Authorization": f"Bearer {ada.access}"}
    fresh = service.http.post("/v1/sessions/refresh", json={"refresh_token": ada.refresh}, headers=old)
    assert fresh.status_code == 200, fresh.text
    ada.keep(fresh)
    assert ada.get("me").status_code == 200
    assert ada.own("sessions/end").status_code == 200
    people_of(service).states.look()
    assert ada.get("me").json()["code"] == "session_ended"
    body = {"name": ada.username, "password": ada.password}
    old = {"Authorization": f"Bearer {ada.access}", "Idempotency-Key": key()}
    again = service.http.post("/v1/sign-in", json=body, headers=old)
    assert again.status_code == 201, again.text
    wrong = {"Authorization": "Bearer nobody", "Idempotency-Key": key()}
    assert service.http.post("/v1/sign-in", json=body, headers=wrong).status_code == 401, "a guess is a guess"


def test_a_person_whose_stream_a_newer_version_wrote_is_not_signed_in(service: Service) -> None:
    """What it says may be a suspension of a new kind. The answer does not name the stream."""
    ada = signed_in(service)
    with psycopg.connect(service.database.url) as owner:
        owner.execute(
            "UPDATE log.events SET type = 'person.frozen.v1' WHERE stream = %s AND type = 'person.email_verified.v1'",
            (ada.id,),
        )
        people_of(service).states._kept.clear()  # as a process that has just begun
        owner.commit()
        for answer in (ada.sign_in(), service.http.post("/v1/sessions/refresh", json={"refresh_token": ada.refresh})):
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert ada.id not in answer.text
        assert ada.get("me").json()["code"] == "unavailable"
        owner.execute(
            "UPDATE log.events SET type = 'person.email_verified.v1' WHERE stream = %s AND type = 'person.frozen.v1'",
            (ada.id,),
        )
    assert ada.sign_in().status_code == 201


def test_sessions_are_listed_and_ended_one_all_and_all_but_this(service: Service) -> None:
    ada = signed_in(service)
    first, first_access = ada.session, ada.access
    ada.sign_in()
    second = ada.session
    ada.sign_in()
    listed = {one["session"]: one for one in ada.get(f"people/{ada.id}/sessions").json()["items"]}
    assert all(listed[id]["goes_on"] for id in (first, second, ada.session))
    assert [id for id, one in listed.items() if one["this"]] == [ada.session]
    assert ada.post(f"sessions/{second}/end").status_code == 200
    assert ada.own("sessions/end", {"but_this": True}).status_code == 200
    listed = {one["session"]: one for one in ada.get(f"people/{ada.id}/sessions").json()["items"]}
    assert [id for id, one in listed.items() if one["goes_on"]] == [ada.session]
    wait_until(lambda: service.get("me", token=first_access, fresh=False).status_code == 401, "the end of the first")
    assert ada.get("me").status_code == 200
    stranger = signed_in(service)
    assert stranger.post(f"sessions/{ada.session}/end").status_code == 404
    assert ada.own("sessions/end").status_code == 200
    wait_until(lambda: ada.get("me").status_code == 401, "the end of this one")


def test_a_password_is_changed_and_other_sessions_end(service: Service) -> None:
    ada = signed_in(service)
    other = ada.access
    ada.sign_in()
    wrong = ada.own("password", {"current": "Wrong-Pass-9!", "password": "Twelve-Steps-8-Up"})
    assert wrong.status_code == 401
    common = ada.own("password", {"current": PASSWORD, "password": "password"})
    assert (common.status_code, common.json()["code"]) == (422, "password_rules")
    done = ada.own("password", {"current": PASSWORD, "password": "Twelve-Steps-8-Up"})
    assert done.status_code == 200, done.text
    wait_until(lambda: service.get("me", token=other, fresh=False).status_code == 401, "the end of the other session")
    assert ada.get("me").status_code == 200, "this one goes on"
    assert ada.sign_in().status_code == 401, "the old password"
    ada.password = "Twelve-Steps-8-Up"
    assert ada.sign_in().status_code == 201


def test_a_password_is_reset_by_a_token_that_works_once(service: Service) -> None:
    ada = signed_in(service)
    token = people_of(service).mail_tokens.issue(ada.id, "reset", 2)
    assert token is not None
    weak = visit(service, "people/reset-password", {"token": token.reveal(), "password": "short"})
    assert weak.json()["code"] == "password_rules"
    body, once = {"token": token.reveal(), "password": "Twelve-Steps-8-Up"}, key()
    first = visit(service, "people/reset-password", body, idempotency=once)
    assert first.status_code == 200, first.text
    assert visit(service, "people/reset-password", body, idempotency=once).json() == first.json()
    again = visit(service, "people/reset-password", body)
    assert (again.status_code, again.json()["code"]) == (422, "mail_token")
    wait_until(lambda: ada.get("me").status_code == 401, "the end of the session")
    ada.password = "Twelve-Steps-8-Up"
    assert ada.sign_in().status_code == 201


def test_a_reset_token_is_worth_nothing_once_the_password_was_set_anew(service: Service) -> None:
    ada = signed_in(service)
    token = people_of(service).mail_tokens.issue(ada.id, "reset", 2)
    assert token is not None
    assert ada.own("password", {"current": PASSWORD, "password": "Twelve-Steps-8-Up"}).status_code == 200
    late = visit(service, "people/reset-password", {"token": token.reveal(), "password": "Fifteen-Steps-9-Up"})
    assert (late.status_code, late.json()["figures"]) == (422, {"reason": "superseded"})
    ada.password = "Twelve-Steps-8-Up"
    assert ada.sign_in().status_code == 201


def test_a_second_factor_is_needed_once_it_is_set(service: Service) -> None:
    ada = signed_in(service)
    before, codes = ada.access, ada.set_second_factor()
    secret, ada.secret = ada.secret, None
    without = ada.sign_in()
    assert (without.status_code, without.json()["code"]) == (401, "code_needed")
    ada.secret = secret
    assert ada.sign_in().status_code == 401, "the code that confirmed it is used up"
    service.services.clock.move(seconds=31)  # type: ignore[attr-defined]
    assert ada.sign_in().status_code == 201
    assert ada.sign_in().status_code == 401, "a code works once"
    assert ada.sign_in(code=codes[0]).status_code == 201
    assert ada.sign_in(code=codes[0]).status_code == 401
    assert ada.own("second-factor/remove", {}).status_code == 400
    with_factor, ada.access = ada.access, before
    for path in ("second-factor/begin", "second-factor/remove", "recovery-codes"):
        weak = ada.own(path, {"password": ada.password})
        assert (weak.status_code, weak.json()["code"]) == (401, "code_needed"), "the password alone changes nothing"
    ada.access = with_factor
    assert ada.own("second-factor/remove", {"password": ada.password}).status_code == 200
    ada.secret = None
    assert ada.sign_in().status_code == 201


def test_guesses_at_the_code_that_confirms_a_second_factor_wait(service: Service) -> None:
    ada = signed_in(service)
    assert ada.own("second-factor/begin", {"password": ada.password}).status_code == 201
    answers = [ada.own("second-factor", {"code": f"{number:06}"}).json()["code"] for number in range(6)]
    assert answers == ["sign_in_failed"] * 4 + ["sign_in_waits"] * 2
