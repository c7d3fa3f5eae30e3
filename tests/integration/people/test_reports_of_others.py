"""What users of Ory Kratos, Keycloak and Zitadel reported, tried here. Each test names its report.

The numbers are of issues and pull requests of these projects on GitHub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import httpx
import psycopg
import pyotp
import pytest

from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.status import ReactivatePerson, SuspendPerson
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.totp_codes import STEP_SECONDS, WINDOW
from eventstore.credentials.waits import CODE, PERSON
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW
from tests.support.memory_ledger import ADMINISTRATOR, By
from tests.support.people import PASSWORD, Somebody, people_of, registered, signed_in, verified, visit
from tests.support.postgres import Server
from tests.support.service import Service, service_on

AT_ONCE = 8
"""Requests that are sent together."""


@pytest.fixture(scope="module")
def running(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=MovedClock(NOW)) as running:
        yield running


@pytest.fixture
def service(running: Service) -> Service:
    """The service, a day after the test before: failures of an address are forgotten."""
    clock_of(running).move(days=1)
    return running


def clock_of(service: Service) -> MovedClock:
    clock = service.services.clock
    assert isinstance(clock, MovedClock)
    return clock


def together(send: Callable[[], httpx.Response], times: int = AT_ONCE) -> list[httpx.Response]:
    """The answers to requests that are sent at the same moment."""
    barrier = Barrier(times)

    def one(_: int) -> httpx.Response:
        barrier.wait()
        return send()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def codes_of(answers: list[httpx.Response]) -> list[str]:
    """`opened`, or the code of the problem, of each answer, in order."""
    return sorted("opened" if one.status_code == 201 else one.json()["code"] for one in answers)


def refresh(service: Service, token: str) -> httpx.Response:
    return service.http.post("/v1/sessions/refresh", json={"refresh_token": token})


def me(service: Service, token: str) -> int:
    """The status of a request with this token, after the process has looked at the log."""
    people_of(service).states.look()
    return service.get("me", token=token, fresh=False).status_code


def test_a_scanner_that_opens_the_link_of_a_mail_uses_up_no_token(service: Service) -> None:
    """Ory Kratos, issue 3971: mail filters open each link, and the recovery token in it was used up.

    Here a token is used by POST only. A GET with it, as a scanner sends, leaves it as it was.
    """
    ada = registered(service)
    tokens = people_of(service).mail_tokens
    verify = tokens.issue(ada.id, "verify", 1)
    assert verify is not None
    for method in ("GET", "HEAD"):
        scanned = service.http.request(method, "/v1/people/verify-email", params={"token": verify.reveal()})
        assert scanned.status_code in (400, 401, 405), scanned.text
    assert visit(service, "people/verify-email", {"token": verify.reveal()}).status_code == 200
    reset = tokens.issue(ada.id, "reset", 2)
    assert reset is not None
    service.http.get("/v1/people/reset-password", params={"token": reset.reveal()})
    body = {"token": reset.reveal(), "password": "Twelve-Steps-8-Up"}
    assert visit(service, "people/reset-password", body).status_code == 200


def test_an_unknown_name_costs_as_much_as_a_wrong_password(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ory Kratos, issue 832: sign-ins of unknown users failed faster, so the time told who has an account."""
    calls = 0
    verify = Argon2.verify

    def counted(self: Argon2, stored: str | None, password: str) -> Any:
        nonlocal calls
        calls += 1
        return verify(self, stored, password)

    ada = verified(service)
    without_a_row = verified(service)
    with psycopg.connect(service.database.url) as connection:
        connection.execute("DELETE FROM credentials.passwords WHERE person = %s", (without_a_row.id,))
    monkeypatch.setattr(Argon2, "verify", counted)
    answers = []
    for name, password in (
        ("nobody-has-this-name", PASSWORD),
        ("nobody@example.com", PASSWORD),
        (ada.username, "Wrong-Pass-9!"),
        (ada.username, "x" * 1_000),
        (without_a_row.username, PASSWORD),
    ):
        before = calls
        answer = visit(service, "sign-in", {"name": name, "password": password})
        assert calls - before == 1, f"{name} with {len(password)} characters"
        answers.append((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert len(set(answers)) == 1, "all of them are refused in the same words"


@pytest.mark.parametrize("how", ["changed", "reset"])
def test_a_new_password_ends_the_sessions_of_others(service: Service, how: str) -> None:
    """Ory Kratos, pull request 3514 (issue 3513): other sessions went on after a password was changed.

    Also their refresh tokens are worth nothing, so that they cannot come back.
    """
    ada = signed_in(service)
    stolen_access, stolen_refresh = ada.access, ada.refresh
    assert ada.sign_in().status_code == 201
    assert me(service, stolen_access) == 200
    if how == "changed":
        done = ada.own("password", {"current": PASSWORD, "password": "Twelve-Steps-8-Up"})
    else:
        token = people_of(service).mail_tokens.issue(ada.id, "reset", ada.state.version)
        assert token is not None
        done = visit(service, "people/reset-password", {"token": token.reveal(), "password": "Twelve-Steps-8-Up"})
    assert done.status_code == 200, done.text
    assert me(service, stolen_access) == 401
    assert refresh(service, stolen_refresh).json()["code"] == "session_ended"
    assert me(service, ada.access) == (200 if how == "changed" else 401)


def test_a_refresh_token_used_twice_ends_its_own_session_only(service: Service) -> None:
    """Keycloak, issue 16081: an app in two tabs, each of which signed in, lost everything by one reuse."""
    ada = signed_in(service)
    first_access, first_refresh = ada.access, ada.refresh
    assert ada.sign_in().status_code == 201
    assert refresh(service, first_refresh).status_code == 200
    assert refresh(service, first_refresh).json()["code"] == "session_ended"
    assert me(service, first_access) == 401
    assert me(service, ada.access) == 200, "the session of the other tab goes on"
    assert refresh(service, ada.refresh).status_code == 200


def test_a_code_of_the_second_factor_works_once_also_for_many_at_once(service: Service) -> None:
    """Keycloak, issue 13607: a code could be used again within its 30 seconds."""
    ada = signed_in(service)
    ada.set_second_factor()
    clock_of(service).move(seconds=STEP_SECONDS)
    answers = together(lambda: visit(service, "sign-in", _sign_in(ada, ada.code())))
    assert codes_of(answers).count("opened") == 1
    assert set(codes_of(answers)) <= {"opened", "sign_in_failed", "sign_in_waits"}
    clock_of(service).move(seconds=STEP_SECONDS)
    assert ada.sign_in().status_code == 201, "the next code works"


def _sign_in(person: Somebody, code: str | None = None) -> dict[str, str]:
    return {"name": person.username, "password": person.password} | ({} if code is None else {"code": code})


def test_of_many_guesses_at_once_only_the_free_ones_are_compared(service: Service) -> None:
    """Keycloak, issue 31726: "Improve brute force when handling parallel requests".

    Guesses at the same moment must not all be compared before the first one is counted.
    """
    ada = verified(service)
    wrong = _sign_in(ada) | {"password": "Wrong-Pass-9!"}
    compared = PERSON.free + 1
    answers = together(lambda: visit(service, "sign-in", wrong))
    assert codes_of(answers) == ["sign_in_failed"] * compared + ["sign_in_waits"] * (AT_ONCE - compared)
    right = ada.sign_in()
    assert right.json()["code"] == "sign_in_waits", "the right password waits too, else it would tell"
    clock_of(service).move(seconds=int(right.headers["Retry-After"]))
    assert ada.sign_in().status_code == 201


def test_right_passwords_at_once_lock_nobody_out(service: Service) -> None:
    """Keycloak, issue 48272: of sign-ins of one user at the same moment one went through, the others found a lock.

    Here as many go through as there are free failures, at least. The others are told to wait, and none is counted.
    """
    ada = verified(service)
    codes = codes_of(together(lambda: visit(service, "sign-in", _sign_in(ada))))
    assert set(codes) <= {"opened", "sign_in_waits"}
    assert codes.count("opened") > PERSON.free
    assert ada.sign_in().status_code == 201, "at once: nothing is left of the attempts"
    with psycopg.connect(service.database.url) as connection:
        locked = connection.execute(
            "SELECT count(*) FROM log.events WHERE stream = %s AND type = 'person.locked_out.v1'", (ada.id,)
        ).fetchone()
    assert locked == (0,)


def test_guesses_of_somebody_else_close_no_session_and_end_by_themselves(service: Service) -> None:
    """Zitadel, issue 6502: a lockout should end by itself, and not need an administrator."""
    ada = signed_in(service)
    wrong = _sign_in(ada) | {"password": "Wrong-Pass-9!"}
    for _ in range(12):  # one lockout, and two more
        guess = visit(service, "sign-in", wrong)
        while guess.json()["code"] == "sign_in_waits":
            clock_of(service).move(seconds=int(guess.headers["Retry-After"]))
            guess = visit(service, "sign-in", wrong)
    fresh = refresh(service, ada.refresh)
    assert fresh.status_code == 200, "who has signed in goes on"
    ada.keep(fresh)
    assert me(service, ada.access) == 200
    waits = ada.sign_in()
    assert waits.json()["code"] == "sign_in_waits"
    assert int(waits.headers["Retry-After"]) <= PERSON.most
    clock_of(service).move(seconds=PERSON.most)
    assert ada.sign_in().status_code == 201


def test_guesses_at_a_code_are_counted(service: Service) -> None:
    """Zitadel, issue 6504: passwords were counted and codes were not, so a code could be guessed without an end.

    A right password in between does not end the count.
    """
    ada = signed_in(service)
    ada.set_second_factor()
    clock_of(service).move(minutes=5)
    steps = [clock_of(service)() + timedelta(seconds=STEP_SECONDS * step) for step in range(-WINDOW, WINDOW + 1)]
    assert ada.secret is not None
    right = {pyotp.TOTP(ada.secret).at(step) for step in steps}
    wrong = next(text for text in ("000000", "111111", "222222", "333333") if text not in right)
    for _ in range(CODE.free + 1):
        assert ada.sign_in(code=wrong).json()["code"] == "sign_in_failed"
    waits = ada.sign_in()
    assert waits.json()["code"] == "sign_in_waits", "the right code too"
    clock_of(service).move(seconds=max(STEP_SECONDS, int(waits.headers["Retry-After"])))
    assert ada.sign_in().status_code == 201


def test_a_suspended_person_gets_no_new_token(service: Service) -> None:
    """Zitadel, issue 8489: a deactivated service user lost its tokens, and could ask for new ones with its key."""
    ada = signed_in(service, "report")
    key = _api_key(ada)
    assert me(service, ada.access) == 200
    assert service.get("accounts", token=key).status_code == 200
    service.executed(By(ADMINISTRATOR, SuspendPerson(ada.id, "Spam")))
    assert me(service, ada.access) == 401
    assert service.get("accounts", token=key).status_code == 401
    assert refresh(service, ada.refresh).json()["code"] == "session_ended"
    assert visit(service, "sign-in", _sign_in(ada)).json()["code"] == "person_status"
    service.executed(By(ADMINISTRATOR, ReactivatePerson(ada.id, "A mistake")))
    assert me(service, ada.access) == 401, "what has ended does not come back"
    assert refresh(service, ada.refresh).json()["code"] == "session_ended"


def _api_key(person: Somebody) -> str:
    made = person.own("api-keys", {"name": "a program", "areas": ["accounts"]})
    assert made.status_code == 201, made.text
    text: str = made.json()["api_key"]
    return text


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_role_that_has_ended_is_in_no_token(service: Service, how: str) -> None:
    """Zitadel, pull request 8634: grants that were deactivated were still in tokens."""
    ada = signed_in(service)
    until = clock_of(service)() + timedelta(minutes=1)
    service.executed(By(ADMINISTRATOR, GrantRole(ada.id, "report", until=until)))
    key = _api_key(ada)
    people_of(service).states.look()
    assert all(service.get("accounts", token=token).status_code == 200 for token in (ada.access, key))
    if how == "revoked":
        service.executed(By(ADMINISTRATOR, RevokeRole(ada.id, "report")))
        people_of(service).states.look()
    else:
        clock_of(service).move(seconds=59, milliseconds=999)
        assert all(service.get("accounts", token=token).status_code == 200 for token in (ada.access, key))
        clock_of(service).move(milliseconds=1)
    assert [service.get("accounts", token=token).status_code for token in (ada.access, key)] == [403, 403]


def test_a_username_that_is_the_address_of_another_is_refused(service: Service) -> None:
    """Zitadel, issue 10782: a user took the address of another as a login name, which then came first."""
    ada = verified(service)
    body = {"username": ada.email, "email": f"x{ada.email}", "name": "Eve", "password": PASSWORD}
    taken = visit(service, "people", body)
    assert (taken.status_code, taken.json()["code"]) == (422, "username_malformed")
    opened = visit(service, "sign-in", {"name": ada.email, "password": ada.password})
    assert opened.json()["person"] == ada.id


def test_an_address_counts_without_its_case(service: Service) -> None:
    """Zitadel, issue 11124: an address with capitals was somebody else, or nobody."""
    ada = verified(service)
    again = visit(
        service,
        "people",
        {"username": f"x{ada.username}", "email": ada.email.upper(), "name": "Ada", "password": PASSWORD},
    )
    assert (again.status_code, again.json()["code"]) == (422, "email_taken")
    for name in (ada.email.upper(), ada.email.title(), ada.username.upper()):
        opened = visit(service, "sign-in", {"name": name, "password": ada.password})
        assert opened.json().get("person") == ada.id, name
