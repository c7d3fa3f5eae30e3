"""OWASP's list of risks of APIs (2023): a test for each line, as far as this service could have the risk.

Where another test tries it already, `TRIED` names that test, and it must exist.
"""

from __future__ import annotations

import ast
import logging
import re
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from api import registry
from api.gateway.principals import PUBLIC
from api.gateway.routes import DeclaredRoute, RouteTable
from api.people.api_keys import AREAS
from api.services import Limits
from domain.kernel import Role
from domain.permissions import OF_PERSONS, ROLES, VISITORS
from domain.registry import SYSTEM
from eventstore.credentials.rates import Rates
from eventstore.credentials.waits import LOCKOUT_FAILURES
from tests.samples.registry import OF_PEOPLE, ROUTES, command_routes
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW
from tests.support.mail import mail_server, smtp
from tests.support.people import (
    PASSWORD,
    Somebody,
    administrators,
    key,
    people_of,
    registered,
    signed_in,
    verified,
    visit,
)
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until
from workers.mail.failure import MailError

ROOT = Path(__file__).parents[3]
WRONG = "Wrong-Pass-9!"
TABLE = RouteTable(registry.routes())
READS = [declared for declared in TABLE.routes if "GET" in (declared.route.methods or ())]
POSTS = [declared for declared in TABLE.routes if "POST" in (declared.route.methods or ())]

TRIED: Mapping[str, tuple[str, ...]] = {
    "API1 object level authorization": (
        "integration/accounts/test_customers.py::test_what_a_person_can_read_is_what_the_domain_lets_them",
        "integration/accounts/test_customers.py::test_a_foreign_account_is_unknown_through_each_way_in",
        "integration/people/test_routes_of_people.py::test_a_person_changes_nothing_about_another_one",
        "integration/people/test_activity.py::test_what_another_person_did_is_not_there_for_a_person",
        "integration/people/test_owasp.py::test_what_is_anothers_is_not_there",
    ),
    "API2 authentication": (
        "integration/people/test_signing_in.py::test_a_refresh_token_works_once_and_a_second_use_ends_the_session",
        "integration/people/test_bad_input.py::test_a_token_of_another_algorithm",
        "integration/people/test_owasp.py::test_a_wrong_password_and_an_unknown_name_look_alike",
        "integration/people/test_owasp.py::test_waits_are_the_same_and_a_lockout_is_recorded",
    ),
    "API3 object property level authorization": (
        "integration/people/test_owasp.py::test_a_member_that_a_route_does_not_have_is_refused",
        "integration/people/test_owasp.py::test_no_answer_has_a_member_for_a_hash_or_a_password",
    ),
    "API4 resource consumption": (
        "integration/api/test_bounds.py::test_the_bound_is_accepted_and_one_past_it_is_refused",
        "integration/api/test_shares.py::test_batches",
        "unit/credentials/test_argon2_hashing.py::"
        "test_two_at_a_time_and_one_more_than_the_queue_is_refused_with_figures",
        "integration/people/test_owasp.py::test_a_full_queue_of_passwords_is_busy_and_no_failure",
        "integration/people/test_owasp.py::test_a_key_has_a_rate",
    ),
    "API5 function level authorization": (
        "unit/api/test_permissions.py::test_each_role_has_the_permissions_of_the_earlier_prefixes",
        "integration/people/test_owasp.py::test_a_role_that_a_person_does_not_have_gives_nothing",
        "integration/people/test_owasp.py::test_a_key_commands_in_its_area_only",
    ),
    "API6 sensitive business flows": (
        "integration/people/test_owasp.py::test_a_crowd_of_visitors_from_one_address_waits",
        "integration/people/test_routes_of_people.py::test_a_token_of_the_file_sends_none_of_them_but_what_its_role_may",
    ),
    "API7 server side request forgery": (
        "integration/people/test_owasp.py::test_a_website_is_never_fetched",
        "integration/people/test_owasp.py::test_nothing_that_is_served_can_fetch",
    ),
    "API8 misconfiguration": (
        "integration/api/test_browsers.py::test_every_answer_has_the_headers",
        "integration/api/test_browsers.py::test_no_origin_is_allowed_unless_it_is_named",
        "integration/people/test_no_secret_is_kept.py::test_an_answer_with_a_secret_is_not_stored_on_its_way",
        "integration/people/test_owasp.py::test_headers_give_no_more_rights_and_no_answer_sets_a_cookie",
    ),
    "API9 inventory": (
        "integration/people/test_owasp.py::test_the_description_has_every_route_and_no_other",
        "integration/api/test_schema.py::test_every_answer_is_documented",
    ),
    "API10 consumption of other services": (
        "integration/people/test_mail.py::test_a_token_is_in_the_message_and_nowhere_else",
        "unit/people/test_mail_sending.py::test_no_log_line_has_the_address",
        "integration/people/test_owasp.py::test_what_a_mail_server_answers_is_not_repeated",
    ),
}


def test_each_line_has_tests_that_exist() -> None:
    assert [line.split()[0] for line in TRIED] == [f"API{number}" for number in range(1, 11)]
    for line, tests in TRIED.items():
        for test in tests:
            file, _, name = test.partition("::")
            text = (ROOT / "tests" / file).read_text()
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), (line, test)


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    """Its clock stands still."""
    with postgres18.database() as database, service_on(database) as running:
        yield running


@pytest.fixture(scope="module")
def clock() -> MovedClock:
    return MovedClock(NOW)


@pytest.fixture(scope="module")
def running(postgres18: Server, clock: MovedClock) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=clock) as started:
        yield started


@pytest.fixture
def guarded(running: Service, clock: MovedClock) -> Service:
    """A service where failures make wait. Those of the tests before are forgotten."""
    clock.move(days=2)
    return running


def key_of(person: Somebody, *areas: str, access: str = "command", **more: Any) -> str:
    """An API key of a person; without areas, for all of them."""
    body = {"name": "k", "areas": list(areas or AREAS), "access": access, "per_minute": 60_000, **more}
    made = person.own("api-keys", body)
    assert made.status_code == 201, made.text
    text: str = made.json()["api_key"]
    return text


# ---------------------------------------------------------------------- API1


OF_DAYS = ("/daily-balances", "/statement", "/statement/{account}")
"""Reads that need a first and a last day."""


OF_A_SEALED_LOG = ("/v1/proof/bundle/statement/{account}",)
"""Reads that even the owner gets only once the log is sealed: tests/integration/proof/test_bundles.py."""


def days_of(path: str) -> dict[str, str]:
    """The parameters that a read needs."""
    return dict.fromkeys(("from", "to"), NOW.date().isoformat()) if path.endswith(OF_DAYS) else {}


@pytest.fixture(scope="module")
def anothers(service: Service) -> dict[str, str]:
    """What is of one person, and of nobody else, by its name in the paths of routes."""
    ada = signed_in(service, "customer")
    account = service.account("10.00", owner=ada.id, type="merchant")
    deposit = service.post(f"accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}).json()
    found = {"person": ada.id, "account": account, "transaction": deposit["transaction"]}
    payout = service.account(owner=ada.id)
    service.do("interest", {"account": account, "rate": "0.02", "basis": 365})
    terms = {"account": account, "payout": payout, "fee_rate": "0.01", "starts_on": NOW.date().isoformat()}
    service.do("settlement-agreements", terms)
    assert service.get(f"accounts/{account}").status_code == 200
    wait_until(lambda: ada.get(f"people/{ada.id}").status_code == 200, "the fold of the person")
    for path in ABOUT_SOMEBODY:
        if path in OF_A_SEALED_LOG:
            continue
        own = ada.get(path.format_map(found).removeprefix("/v1/"), fresh=False, **days_of(path))
        assert own.status_code == 200, (path, own.text)
    return found


ABOUT_SOMEBODY = [
    declared.route.path for declared in READS if re.search(r"{(person|account|transaction)}", declared.route.path)
]


@pytest.mark.parametrize("by_key", [False, True], ids=["session", "API key"])
@pytest.mark.parametrize("role", [None, "customer", "author", "moderator"])
def test_what_is_anothers_is_not_there(
    service: Service, anothers: dict[str, str], role: Role | None, by_key: bool
) -> None:
    """The answer is that to an id that nobody has, to the byte."""
    assert len(ABOUT_SOMEBODY) >= 9
    eve = signed_in(service, *([] if role is None else [role]))
    token = key_of(eve) if by_key else eve.access
    unknown = {name: re.sub(r"_.{6}", "_zzzzzz", id) for name, id in anothers.items()}
    for path in ABOUT_SOMEBODY:
        there = path.format_map(anothers).removeprefix("/v1/")
        nowhere = path.format_map(unknown).removeprefix("/v1/")
        assert there != nowhere
        answers = [service.get(one, token=token, fresh=False, **days_of(path)) for one in (there, nowhere)]
        assert {answer.status_code for answer in answers} <= {403, 404}, (path, answers[0].text)
        text = answers[0].text
        for name, id in anothers.items():
            text = text.replace(id, unknown[name])
        assert text == answers[1].text, path


@pytest.mark.parametrize("route", [route for route in OF_PEOPLE if "{person}" in route])
def test_a_key_changes_nothing_about_a_person(service: Service, route: str) -> None:
    """Neither about another one nor about its own person, so a key that leaks makes no second one."""
    request = OF_PEOPLE[route](service)
    if "key of eve" not in service.made:
        service.made["key of eve"] = key_of(signed_in(service, "operator", "author"))
    own = Somebody(service, request.names["person"], "", "", access=request.token or "")
    tokens = [service.made["key of eve"]]
    if service.get("me", token=own.access, fresh=False).json()["person"] == own.id:
        tokens.append(key_of(own))
    before = service.log_digest()
    for token in tokens:
        answer = service.post(request.path(route).removeprefix("/v1/"), dict(request.body), token=token)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    assert service.log_digest() == before


# ---------------------------------------------------------------------- API2


@pytest.mark.parametrize("somebody", ["verified", "not verified", "second factor", "deleted"])
def test_a_wrong_password_and_an_unknown_name_look_alike(guarded: Service, somebody: str) -> None:
    """Status, headers, body, and the work that is done: one call of argon2 each."""
    ada = registered(guarded) if somebody == "not verified" else signed_in(guarded)
    if somebody == "second factor":
        ada.set_second_factor()
        ada.secret = None
    if somebody == "deleted":
        assert ada.own("delete", {"reason": "On request"}).status_code == 200
    argon2 = people_of(guarded).passwords._argon2
    seen = []
    for name in (ada.username, f"x{ada.username}", ada.email, f"x{ada.email}", "not@an@address", "\u202e"):
        calls = argon2.calls
        answer = visit(guarded, "sign-in", {"name": name, "password": WRONG})
        headers = {one: value for one, value in answer.headers.items() if one != "date"}
        seen.append((answer.status_code, answer.json(), headers, argon2.calls - calls))
    assert seen[0][0] == 401
    assert seen[0][3] == 1
    assert seen == [seen[0]] * len(seen)


def failures(service: Service, clock: MovedClock, name: str, number: int) -> list[tuple[int, str, str | None]]:
    """So many wrong passwords, each as soon as it may be tried: the answers, those that say to wait too."""
    answers = []
    while number:
        answer = visit(service, "sign-in", {"name": name, "password": WRONG})
        wait = answer.headers.get("Retry-After")
        answers.append((answer.status_code, answer.text, wait))
        if wait is None:
            number -= 1
        else:
            clock.move(seconds=int(wait))
    return answers


def test_waits_are_the_same_and_a_lockout_is_recorded(guarded: Service, clock: MovedClock) -> None:
    """An unknown name waits as long as a known one. The right password must wait too, and then it is taken."""
    ada = verified(guarded)
    before = guarded.log_digest()
    unknown = failures(guarded, clock, f"x{ada.username}", LOCKOUT_FAILURES)
    assert guarded.log_digest() == before, "nothing is recorded of a name that nobody has"
    clock.move(days=2)
    known = failures(guarded, clock, ada.username, LOCKOUT_FAILURES)
    assert known == unknown
    waits = [int(wait) for _, _, wait in known if wait is not None]
    assert waits == sorted(waits)
    assert waits[-1] > 10 * waits[0]
    states = people_of(guarded).states
    assert states.load([ada.id])[ada.id].version > 2, "a lockout is an event"
    right = ada.sign_in()
    assert (right.status_code, right.json()["code"]) == (429, "sign_in_waits")
    assert visit(guarded, "sign-in", {"name": ada.email, "password": PASSWORD}).status_code == 429, "by any name"
    clock.move(seconds=int(right.headers["Retry-After"]))
    assert ada.sign_in().status_code == 201
    assert ada.sign_in(password=WRONG).status_code == 401, "and the count began anew"


def test_codes_wait_too(guarded: Service, clock: MovedClock) -> None:
    """Who knows the password and not the code cannot try all codes."""
    ada = signed_in(guarded)
    ada.set_second_factor()
    clock.move(minutes=5)
    answers = [ada.sign_in(code=f"{number:06}").status_code for number in range(6)]
    assert answers == [401] * 4 + [429] * 2


# ---------------------------------------------------------------------- API3

MORE = {"roles": ["administrator"], "status": "active", "email_verified": True, "version": 7, "username_hash": "x"}


@pytest.mark.parametrize("route", OF_PEOPLE)
def test_a_member_that_a_route_does_not_have_is_refused(service: Service, route: str) -> None:
    request = OF_PEOPLE[route](service)
    before = service.log_digest()
    for name, value in MORE.items():
        body = {**request.body, name: value}
        answer = service.post(request.path(route).removeprefix("/v1/"), body, token=request.token)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), answer.text
        assert f"{name}: Extra inputs are not permitted" in answer.json()["detail"]
    assert service.log_digest() == before


SHOWN_ON_PURPOSE = {
    "access_token",
    "access_token_expires_at",
    "api_key",
    "password_set_at",
    "refresh_token",
    "refresh_token_expires_at",
    "recovery_codes",
    "secret",
    "uri",
}


def test_no_answer_has_a_member_for_a_hash_or_a_password(service: Service) -> None:
    """Only the members that are shown once, in the answers that show them."""
    description = service.http.get("/v1/openapi.json").json()
    schemas = description["components"]["schemas"]
    requests = {
        reference.rpartition("/")[2]
        for path in description["paths"].values()
        for operation in path.values()
        for reference in re.findall(r'"(#[^"]+)"', str(operation.get("requestBody", "")).replace("'", '"'))
    }
    secret = re.compile(r"password|hash|token|secret|recovery|api_key$|sealed|uri")
    found = {
        member
        for name, schema in schemas.items()
        if name not in requests
        for member in schema.get("properties", {})
        if secret.search(member)
    }
    assert {"password", "token"} <= {member for name in requests for member in schemas[name].get("properties", {})}
    assert found - {"second_factor", "uri"} <= SHOWN_ON_PURPOSE | {"ticket", "sealed_at"}, found
    assert {"access_token", "api_key", "recovery_codes"} <= found


@pytest.mark.parametrize("role", [None, "customer", "author", "moderator", "report"])
def test_nobody_else_sees_a_member_of_a_person(service: Service, role: Role | None) -> None:
    ada = verified(service, name="Nobody Elses Name")
    eve = signed_in(service, *([] if role is None else [role]))
    for path in (
        "people",
        f"people/{ada.id}",
        f"people/{ada.id}/sessions",
        f"people/{ada.id}/api-keys",
        "reads",
        "log",
    ):
        answer = eve.get(path, fresh=False)
        assert answer.status_code in (403, 404), (path, answer.text)
        assert ada.username not in answer.text
        assert "Nobody" not in answer.text


# ---------------------------------------------------------------------- API4 and API6


@contextmanager
def changed(target: Any, **values: Any) -> Iterator[None]:
    """Set members of a frozen object for a while."""
    before = {name: getattr(target, name) for name in values}
    try:
        for name, value in values.items():
            object.__setattr__(target, name, value)
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(target, name, value)


class Monotonic:
    """A monotonic clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_crowd_of_visitors_from_one_address_waits(service: Service) -> None:
    """Registrations and mails' tokens are counted together. What waits is not hashed, and not recorded."""
    most, monotonic = 3, Monotonic()
    argon2 = people_of(service).passwords._argon2

    def register() -> Any:
        name = f"crowd-{key()[-12:]}"
        body = {"username": name, "email": f"{name}@example.com", "name": "Ada", "password": PASSWORD}
        return visit(service, "people", body)

    with changed(people_of(service), visits_a_minute=most, visits=Rates(monotonic)):
        assert [register().status_code for _ in range(most - 1)] == [201] * (most - 1)
        assert visit(service, "people/verify-email", {"token": "dbm_x"}).status_code == 422
        before, calls = service.log_digest(), argon2.calls
        for answer in (
            register(),
            visit(service, "people/verify-email", {"token": "dbm_x"}),
            visit(service, "people/reset-password", {"token": "dbm_x", "password": PASSWORD}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (429, "sign_in_waits")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert (service.log_digest(), argon2.calls) == (before, calls)
        monotonic.now += 61
        assert register().status_code == 201


def test_a_full_queue_of_passwords_is_busy_and_no_failure(guarded: Service) -> None:
    """Who was not let in because too many others were has not failed: no wait follows."""
    ada = signed_in(guarded)
    argon2 = people_of(guarded).passwords._argon2
    body = {"username": "busy-1", "email": "busy-1@example.com", "name": "Ada", "password": PASSWORD}
    before = guarded.log_digest()
    with changed(argon2, _inside=argon2._most):
        for _ in range(LOCKOUT_FAILURES):
            for answer in (
                ada.sign_in(),
                visit(guarded, "sign-in", {"name": "nobody", "password": WRONG}),
                ada.own("password", {"current": PASSWORD, "password": "Twelve-Steps-8-Up"}),
                visit(guarded, "people", body),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "busy"), answer.text
                assert int(answer.headers["Retry-After"]) >= 1
    assert guarded.log_digest() == before
    assert ada.sign_in().status_code == 201
    assert visit(guarded, "people", body).status_code == 201


def test_busy_does_not_forget_failures(guarded: Service) -> None:
    """Else whoever fills the queue could guess without waiting."""
    ada = verified(guarded)
    argon2 = people_of(guarded).passwords._argon2
    statuses = []
    for _ in range(6):
        statuses.append(ada.sign_in(password=WRONG).status_code)
        with changed(argon2, _inside=argon2._most):
            ada.sign_in()
    assert statuses == [401] * 4 + [429] * 2


@pytest.mark.parametrize("path", ["people", "sign-in", "sessions/refresh", "people/verify-email"])
def test_a_visitors_body_is_bounded(service: Service, path: str) -> None:
    large = b'{"password": "' + b"x" * Limits().body_bytes + b'"}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": key()}
    answer = service.http.post(f"/v1/{path}", content=large, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_key_has_a_rate(service: Service) -> None:
    text = key_of(signed_in(service, "operator"), per_minute=2)
    answers = [service.get("lag", token=text) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "key_rate"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60


# ---------------------------------------------------------------------- API5

PERSON_ROLES = sorted(OF_PERSONS - {"person", "administrator"} | set(ROLES) - {"command"})


def may_be_used(declared: DeclaredRoute, roles: Collection[str]) -> bool:
    return not declared.declaration.may.isdisjoint({*roles, "public", *VISITORS})


def filled(path: str) -> str:
    """A path with some name in each place."""
    return re.sub(r"{[^}]+}", "x", path).removeprefix("/v1/")


@pytest.mark.parametrize("role", [None, *PERSON_ROLES])
def test_a_role_that_a_person_does_not_have_gives_nothing(service: Service, role: Role | None) -> None:
    """Each route for each role of a person in a session."""
    eve = signed_in(service, *([] if role is None else [role]))
    roles = {"person", *([] if role is None else [role])}
    before, refused = service.log_digest(), 0
    for declared in TABLE.routes:
        path = filled(declared.route.path)
        if may_be_used(declared, roles):
            continue
        refused += 1
        is_read = declared in READS
        answer = eve.get(path, fresh=False) if is_read else eve.post(path, {})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (declared.route.path, answer.text)
    assert refused > (5 if role == "operator" else 20)
    assert service.log_digest() == before


def test_only_administrators_decide_about_people(service: Service) -> None:
    """Where an administrator is needed, nobody else is let in, whatever other roles they have."""
    eve = signed_in(service, *[role for role in PERSON_ROLES if role != "customer"])
    tried, others = 0, {"person", "operator", *VISITORS}
    for declared in POSTS:
        if "administrator" in declared.declaration.may and declared.declaration.may.isdisjoint(others):
            tried += 1
            answer = eve.post(filled(declared.route.path), {})
            assert answer.json()["code"] == "forbidden", declared.route.path
    assert tried >= 10


def area_of(command: type) -> str:
    """The area of a command: the folder of its module, or that of what belongs to none."""
    _, *folders, _ = command.__module__.split(".")
    return folders[0] if folders else SYSTEM


AREA = {path: area_of(route.endpoint.declaration.makes) for path, route in command_routes().items()}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def keys(service: Service) -> dict[str, str]:
    """A key for the commands of each area, of a person who may send all that an operator may; and one that reads."""
    somebody = signed_in(service, "operator")
    return {area: key_of(somebody, area) for area in AREAS} | {"": key_of(somebody, access="read")}


@pytest.mark.parametrize("route", ROUTES)
def test_a_key_commands_in_its_area_only(service: Service, keys: dict[str, str], route: str) -> None:
    """A valid request is refused by each key but that of its area, alone and in a batch."""
    request = ROUTES[route](service)
    path, body = request.path(route).removeprefix("/v1/"), dict(request.body)
    before = service.log_digest()
    for area, text in keys.items():
        if area != AREA[route]:
            answer = service.post(path, body, token=text)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (area, answer.text)
            batch = service.post("batches", [{"path": f"/v1/{path}", "body": body, "key": key()}], token=text)
            assert batch.status_code == 403 or [item["status"] for item in batch.json()] == [403], (area, batch.text)
    assert service.log_digest() == before
    done = service.post(path, body, token=keys[AREA[route]])
    assert done.status_code in (200, 201), done.text


@pytest.mark.parametrize("area", AREAS)
def test_a_key_reads_in_its_area_only(service: Service, keys: dict[str, str], area: str) -> None:
    reached = 0
    for declared in READS:
        if declared.declaration.may >= PUBLIC or declared.route.path == "/v1/log/follow":
            continue
        answer = service.get(filled(declared.route.path), token=keys[area], fresh=False)
        beyond = declared.declaration.area != area
        if beyond or not may_be_used(declared, {"operator"}):
            assert answer.status_code == 403, (declared.route.path, answer.text)
        else:
            assert answer.status_code in (200, 400, 404), (declared.route.path, answer.text)
            reached += 1
    assert reached >= 1


# ---------------------------------------------------------------------- API7


def test_a_website_is_never_fetched(service: Service) -> None:
    """Nobody connects to the address that a profile names, and what is no web address is refused."""
    ada = signed_in(service)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        website = f"http://127.0.0.1:{port}/latest/meta-data"
        changed = ada.own("profile", {"name": "Ada", "website": website})
        assert changed.status_code in (200, 422), changed.text
        wait_until(lambda: ada.get(f"people/{ada.id}").status_code == 200, "the fold of the profile")
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    for other in ("file:///etc/passwd", "gopher://127.0.0.1/", "javascript:alert(1)", "//127.0.0.1/"):
        answer = ada.own("profile", {"name": "Ada", "website": other})
        assert answer.status_code == 422, (other, answer.text)


CLIENTS = {"urllib.request", "http.client", "httpx", "requests", "aiohttp", "urllib3", "ftplib", "telnetlib"}


def imported(file: Path) -> set[str]:
    """The names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_nothing_that_is_served_can_fetch() -> None:
    """No module of the API, the domain or the read models has a client of HTTP."""
    files = [file for layer in ("api", "domain", "eventstore", "projections") for file in (ROOT / layer).rglob("*.py")]
    assert len(files) > 200
    assert [file for file in files if imported(file) & CLIENTS] == []
    assert imported(ROOT / "workers" / "up.py") & CLIENTS, "the search finds one"


# ---------------------------------------------------------------------- API8


def test_headers_give_no_more_rights_and_no_answer_sets_a_cookie(service: Service) -> None:
    """Those by which proxies and frameworks name a user, an address or another method."""
    eve = signed_in(service)
    more = {
        "X-HTTP-Method-Override": "DELETE",
        "X-Original-URL": "/v1/log",
        "X-Forwarded-User": "the-operator",
        "X-Remote-User": "the-operator",
        "X-Forwarded-For": "127.0.0.1",
        "X-Daybook-Roles": "administrator",
        "Origin": "https://evil.example",
        "Cookie": f"token={TOKENS['operator']}",
    }
    own = {"Authorization": f"Bearer {eve.access}", **more}
    assert service.http.get("/v1/log", headers=own).status_code == 403
    assert service.http.get("/v1/log", headers=more).status_code == 401
    me = service.http.get("/v1/me", headers=own)
    assert me.json()["roles"] == ["person"]
    body = {"name": eve.username, "password": PASSWORD}
    signed = service.http.post("/v1/sign-in", json=body, headers={**more, "Idempotency-Key": key()})
    assert signed.status_code == 201
    for answer in (me, signed):
        assert not {"set-cookie", "access-control-allow-origin", "x-powered-by"} & set(answer.headers)
        assert answer.headers["cache-control"] == "no-store"


# ---------------------------------------------------------------------- API9


def test_the_description_has_every_route_and_no_other(service: Service) -> None:
    described = {
        (method.upper(), path)
        for path, operations in service.http.get("/v1/openapi.json").json()["paths"].items()
        for method in operations
    }
    served = {
        (method, declared.route.path.replace(":path}", "}"))
        for declared in TABLE.routes
        for method in (declared.route.methods or set()) - {"HEAD"}
    }
    assert described == served
    assert len(served) > 90
    assert all(path.startswith("/v1/") for _, path in served)
    for path in (
        "/v0/accounts",
        "/v2/accounts",
        "/accounts",
        "/admin",
        "/debug",
        "/metrics",
        "/redoc",
        "/openapi.json",
    ):
        answer = service.http.get(path, headers={"Authorization": f"Bearer {TOKENS['operator']}"})
        assert (answer.status_code, answer.json()["code"]) == (404, "no_route"), path


# ---------------------------------------------------------------------- API10


@pytest.mark.parametrize("code", [250, 451, 550])
def test_what_a_mail_server_answers_is_not_repeated(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in an error nor in a log line: it may have an address, a token, or lines that look like ours."""
    text = "dbm_token of ada@example.com \x1b[31m {} %s access.refused"
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "ada@example.com", "x"
    message.set_content("x")
    caplog.set_level(logging.DEBUG)
    error: MailError | None = None
    with mail_server() as (inbox, port):
        inbox.answers = [f"{code} {text}"]
        try:
            smtp(port).send("mail_1", message, "ada@example.com")
        except MailError as raised:
            error = raised
    assert (error is None) is (code == 250)
    assert error is None or error.reply == code
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("mail.", "asyncio"))]
    for said in (*ours, repr(error), str(error), str(None if error is None else error.__cause__)):
        assert "dbm_token" not in said
        assert "ada@" not in said


def test_two_administrators_are_needed(service: Service) -> None:
    """The most sensitive flow: nobody makes an administrator alone, not even one of them."""
    ada, bob = administrators(service)
    eve = verified(service)
    asked = ada.post("administrators", {"person": eve.id}).json()["approval"]
    alone = ada.post(f"administrators/requests/{asked}/approve")
    assert alone.status_code in (403, 422), alone.text
    assert bob.post(f"administrators/requests/{asked}/approve").status_code == 200
