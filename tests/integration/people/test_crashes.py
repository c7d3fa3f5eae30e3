"""A process that ends between an event and its row: what counts meanwhile, and what a retry does.

The event comes first. Here the write of the row fails once, as it does when the database of credentials goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from eventstore.credentials.argon2_hashing import BusyError
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.reply_sinks import QueueFullError
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW
from tests.support.people import PASSWORD, Somebody, key, people_of, registered, signed_in, verified, visit
from tests.support.postgres import Server
from tests.support.service import Service, service_on

OTHER = "Twelve-Steps-8-Up"
KEY = {"name": "a program", "areas": ["accounts"]}
AWAY = (503, "unavailable")


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


@contextmanager
def failing(store: Any, write: str, error: type[Exception] = psycopg.OperationalError) -> Iterator[list[str]]:
    """Calls of this method fail meanwhile. They are counted."""
    calls: list[str] = []

    def fail(*_: Any, **__: Any) -> Any:
        calls.append(write)
        raise error("gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, write, fail)
        yield calls
    assert calls, f"{write} was not called"


def stopped(store: Any, write: str, send: Callable[[], httpx.Response]) -> None:
    """Send a request whose row is not written."""
    with failing(store, write):
        answer = send()
    assert (answer.status_code, answer.json()["code"]) == AWAY, answer.text


def me(service: Service, token: str) -> int:
    people_of(service).states.look()
    return service.get("me", token=token, fresh=False).status_code


def refresh(service: Service, token: str) -> httpx.Response:
    return service.http.post("/v1/sessions/refresh", json={"refresh_token": token})


def test_a_registration_is_made_whole(service: Service) -> None:
    name, once = f"name-{key()[:12]}", key()
    body = {"username": name, "email": f"{name}@example.com", "name": "Ada", "password": PASSWORD}

    def send() -> httpx.Response:
        return visit(service, "people", body, idempotency=once)

    stopped(people_of(service).passwords, "write", send)
    again = visit(service, "people", body)
    assert again.json()["code"] == "username_taken", "the event counts"
    retried = send()
    assert retried.status_code == 201, retried.text
    ada = Somebody(service, retried.json()["person"], name, body["email"])
    token = people_of(service).mail_tokens.issue(ada.id, "verify", 1)
    assert token is not None
    assert visit(service, "people/verify-email", {"token": token.reveal()}).status_code == 200
    assert ada.sign_in().status_code == 201


def test_a_sign_in_shows_its_tokens_to_the_retry(service: Service) -> None:
    ada, once = verified(service), key()
    body = {"name": ada.username, "password": ada.password}

    def send() -> httpx.Response:
        return visit(service, "sign-in", body, idempotency=once)

    stopped(people_of(service).sessions, "open", send)
    retried = send()
    assert retried.status_code == 201
    ada.keep(retried)
    assert me(service, ada.access) == 200
    assert send().json()["shown_before"] is True


def test_a_retry_of_a_sign_in_whose_session_has_ended_meanwhile_lets_nobody_in(service: Service) -> None:
    ada, once = verified(service), key()
    body = {"name": ada.username, "password": ada.password}

    def send() -> httpx.Response:
        return visit(service, "sign-in", body, idempotency=once)

    stopped(people_of(service).sessions, "open", send)
    assert ada.sign_in().status_code == 201
    assert ada.own("sessions/end").status_code == 200
    retried = send().json()
    assert me(service, retried["access_token"]) == 401
    assert refresh(service, retried["refresh_token"]).json()["code"] == "session_ended"


@pytest.mark.parametrize(("store", "write"), [("passwords", "write"), ("sessions", "end_all")])
@pytest.mark.parametrize("how", ["changed", "reset"])
def test_a_password_is_set_by_the_retry_and_the_old_one_is_worth_nothing_before(
    service: Service, how: str, store: str, write: str
) -> None:
    ada = signed_in(service)
    others, once = ada.access, key()
    assert ada.sign_in().status_code == 201
    token = people_of(service).mail_tokens.issue(ada.id, "reset", ada.state.version)
    assert token is not None

    def send() -> httpx.Response:
        if how == "changed":
            return ada.own("password", {"current": PASSWORD, "password": OTHER}, key=once)
        return visit(service, "people/reset-password", {"token": token.reveal(), "password": OTHER}, idempotency=once)

    stopped(getattr(people_of(service), store), write, send)
    assert me(service, others) == 401, "the sessions have ended"
    assert ada.sign_in().status_code == 401, "the old password"
    retried = send()
    if how == "changed":
        assert me(service, ada.access) == 200, "the session of the change goes on"
    assert retried.status_code == 200, retried.text
    ada.password = OTHER
    assert ada.sign_in().status_code == 201
    listed = ada.get(f"people/{ada.id}/sessions").json()["items"]
    assert sum(one["ended_at"] is None for one in listed) == (2 if how == "changed" else 1)


def test_a_token_of_a_mail_is_not_lost_if_the_command_was_not_answered(service: Service) -> None:
    """The token is used before the command. The same request may use it again."""
    ada, once = registered(service), key()
    token = people_of(service).mail_tokens.issue(ada.id, "verify", 1)
    assert token is not None
    body = {"token": token.reveal()}
    with failing(AsyncExecutor, "execute", QueueFullError):
        busy = visit(service, "people/verify-email", body, idempotency=once)
    assert (busy.status_code, busy.json()["code"]) == (503, "busy")
    assert visit(service, "people/verify-email", body).json()["code"] == "mail_token", "another request may not"
    assert visit(service, "people/verify-email", body, idempotency=once).json()["status"] == "active"


def begun(ada: Somebody) -> str:
    """The secret of a second factor that waits for its code."""
    begun = ada.own("second-factor/begin", {"password": ada.password})
    assert begun.status_code == 201, begun.text
    secret: str = begun.json()["secret"]
    return secret


@pytest.mark.parametrize("write", ["activate", "make_codes"])
def test_a_second_factor_is_put_in_force_by_the_retry(service: Service, write: str) -> None:
    ada = signed_in(service)
    ada.secret, once = begun(ada), key()
    body = {"code": ada.code()}

    def send() -> httpx.Response:
        return ada.own("second-factor", body, key=once)

    stopped(people_of(service).second_factor, write, send)
    without = visit(service, "sign-in", {"name": ada.username, "password": ada.password})
    assert without.json()["code"] == "code_needed", "the event counts"
    retried = send()
    assert retried.status_code == 201, retried.text
    assert len(retried.json()["recovery_codes"]) == 10
    assert send().json()["shown_before"] is True
    assert ada.sign_in(code=retried.json()["recovery_codes"][0]).status_code == 201
    clock_of(service).move(seconds=31)
    assert ada.sign_in().status_code == 201


def test_a_second_factor_that_was_replaced_is_worth_nothing_before_the_retry(service: Service) -> None:
    """Whoever replaces a lost telephone must not be let in with it, nor with its recovery codes."""
    ada = signed_in(service)
    old_codes = ada.sign_in_with_second_factor()
    lost = ada.secret
    clock_of(service).move(minutes=1)
    ada.secret, once = begun(ada), key()
    body = {"code": ada.code()}

    def send() -> httpx.Response:
        return ada.own("second-factor", body, key=once)

    stopped(people_of(service).second_factor, "activate", send)
    new, ada.secret = ada.secret, lost
    assert ada.sign_in().status_code == 401, "a code of the lost telephone"
    assert ada.sign_in(code=old_codes[0]).status_code == 401, "a code on the old paper"
    assert send().status_code == 201
    assert ada.sign_in().status_code == 401
    ada.secret = new
    clock_of(service).move(minutes=1)
    assert ada.sign_in().status_code == 201


def test_a_second_factor_is_removed_by_the_retry(service: Service) -> None:
    ada = signed_in(service)
    ada.sign_in_with_second_factor()
    ada.secret, once = None, key()

    def send() -> httpx.Response:
        return ada.own("second-factor/remove", {"password": ada.password}, key=once)

    stopped(people_of(service).second_factor, "remove", send)
    assert ada.sign_in().status_code == 201, "the event counts: no code is asked for"
    assert people_of(service).second_factor.in_force(ada.id) is not None
    assert send().status_code == 200
    assert people_of(service).second_factor.in_force(ada.id) is None


def test_recovery_codes_are_shown_to_the_retry_and_the_old_ones_are_worth_nothing_before(service: Service) -> None:
    ada = signed_in(service)
    old, once = ada.sign_in_with_second_factor(), key()

    def send() -> httpx.Response:
        return ada.own("recovery-codes", {"password": ada.password}, key=once)

    stopped(people_of(service).second_factor, "make_codes", send)
    assert ada.sign_in(code=old[0]).status_code == 401
    new = send().json()["recovery_codes"]
    assert ada.sign_in(code=old[1]).status_code == 401
    assert ada.sign_in(code=new[0]).status_code == 201


def test_an_api_key_is_shown_to_the_retry(service: Service) -> None:
    ada, once = signed_in(service, "report"), key()

    def send() -> httpx.Response:
        return ada.own("api-keys", KEY, key=once)

    stopped(people_of(service).api_keys, "create", send)
    assert len(ada.state.keys) == 1
    retried = send().json()
    assert service.get("accounts", token=retried["api_key"]).status_code == 200
    assert send().json()["shown_before"] is True


def test_an_api_key_whose_retry_comes_after_its_end_is_not_shown(service: Service) -> None:
    ada, once = signed_in(service, "report"), key()
    until = clock_of(service)().replace(microsecond=0)
    body = KEY | {"until": until.replace(minute=until.minute + 5).isoformat()}

    def send() -> httpx.Response:
        return ada.own("api-keys", body, key=once)

    stopped(people_of(service).api_keys, "create", send)
    clock_of(service).move(minutes=6)
    late = send()
    assert late.status_code == 201, late.text
    assert "api_key" not in late.json()


def replaced(service: Service, ada: Somebody, overlap: int) -> tuple[str, Callable[[], httpx.Response]]:
    """The text of a key, and a request that replaces it, which was stopped once."""
    made = ada.own("api-keys", KEY).json()
    once = key()

    def send() -> httpx.Response:
        return ada.own(f"api-keys/{made['key']}/replace", {"overlap_seconds": overlap}, key=once)

    stopped(people_of(service).api_keys, "rotate", send)
    return made["api_key"], send


def test_a_new_api_key_is_shown_to_the_retry_and_the_overlap_counts_from_the_event(service: Service) -> None:
    ada = signed_in(service, "report")
    old, send = replaced(service, ada, overlap=60)
    clock_of(service).move(seconds=59)
    assert service.get("accounts", token=old).status_code == 200
    new = send().json()["api_key"]
    assert [service.get("accounts", token=text).status_code for text in (old, new)] == [200, 200]
    clock_of(service).move(seconds=1)
    assert [service.get("accounts", token=text).status_code for text in (old, new)] == [401, 200]


def test_a_new_api_key_whose_retry_comes_after_the_old_one_was_ended_is_not_shown(service: Service) -> None:
    """Its scope is in the row of the old one. The person makes another key."""
    ada = signed_in(service, "report")
    old, send = replaced(service, ada, overlap=60)
    ids = [one.id for one in ada.state.keys]
    assert ada.own(f"api-keys/{ids[0]}/end").status_code == 200
    late = send()
    assert late.status_code == 201, late.text
    assert "api_key" not in late.json()
    assert service.get("accounts", token=old).status_code == 401
    assert ada.own(f"api-keys/{ids[1]}/end").status_code == 200, "and ends the one that nobody has"


ENDS = ("sessions/{}/end", "people/{}/sessions/end", "people/{}/api-keys/{}/end")


@pytest.mark.parametrize("path", ENDS)
def test_what_ends_has_ended_before_its_row(service: Service, path: str) -> None:
    ada = signed_in(service, "report")
    made = ada.own("api-keys", KEY).json()
    access, token = ada.access, ada.refresh
    assert ada.sign_in().status_code == 201
    store, write, names = {
        ENDS[0]: (people_of(service).sessions, "end", (people_of(service).sessions.find(token).session,)),  # type: ignore[union-attr]
        ENDS[1]: (people_of(service).sessions, "end_all", (ada.id,)),
        ENDS[2]: (people_of(service).api_keys, "end", (ada.id, made["key"])),
    }[path]
    body, once = ({"but_this": True} if path == ENDS[1] else {}), key()

    def send() -> httpx.Response:
        return ada.post(path.format(*names), body, key=once)

    stopped(store, write, send)
    people_of(service).states.look()
    if path == ENDS[2]:
        assert service.get("accounts", token=made["api_key"]).status_code == 401
    else:
        assert me(service, access) == 401
        assert refresh(service, token).json()["code"] == "session_ended"
    assert me(service, ada.access) == 200
    assert send().status_code == 200


def test_a_reuse_that_was_found_ends_the_access_tokens_too_after_a_crash(service: Service) -> None:
    """The row of the session ends first here, and its event follows. The next use of a token makes up for it."""
    ada = signed_in(service)
    old = ada.refresh
    ada.keep(refresh(service, old))
    with failing(AsyncExecutor, "execute", QueueFullError):
        busy = refresh(service, old)
    assert (busy.status_code, busy.json()["code"]) == (503, "busy")
    assert me(service, ada.access) == 200, "the log does not say yet that it has ended"
    assert refresh(service, ada.refresh).json()["code"] == "session_ended"
    assert me(service, ada.access) == 401
    assert people_of(service).states.load([ada.session])[ada.session].ended == "reused"


def test_an_attempt_that_was_not_compared_is_no_failure(service: Service) -> None:
    """Else whoever keeps the service busy would make everybody wait who signs in."""
    ada = verified(service)
    with failing(people_of(service).passwords, "check", BusyError):
        answers = [ada.sign_in() for _ in range(12)]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(503, "busy")] * len(answers)
    assert ada.sign_in().status_code == 201


def test_a_lockout_that_cannot_be_recorded_is_answered_as_busy(service: Service) -> None:
    ada = verified(service)
    wrong = {"name": ada.username, "password": "Wrong-Pass-9!"}
    for _ in range(9):
        guess = visit(service, "sign-in", wrong)
        while guess.json()["code"] == "sign_in_waits":
            clock_of(service).move(seconds=int(guess.headers["Retry-After"]))
            guess = visit(service, "sign-in", wrong)
    clock_of(service).move(minutes=15)
    with failing(AsyncExecutor, "execute", QueueFullError):
        tenth = visit(service, "sign-in", wrong)
    assert (tenth.status_code, tenth.json()["code"]) == (503, "busy")
