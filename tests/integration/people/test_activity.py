"""What a person sent: who sees it, what it says, in which order, and by which index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from msgspec.structs import replace

from api.gateway.principals import TokenHolder, digest
from api.queries.positions import token
from domain.kernel import Principal, Role
from domain.people.person.state import PERSON
from domain.people.session import SESSION, EndSession, OpenSession
from eventstore.log.activity import Before, sent_by
from eventstore.log.answers import Outcome
from tests.samples.people.person import registered, verified
from tests.support.memory_ledger import VISITOR, By, by_person
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from workers.clock_and_ids import new_id
from workers.composition import system_submission

EUR = {"amount": "1.00", "currency": "EUR"}
AGENT = "probe/1.0"


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


class Somebody:
    """A person who has signed in."""

    def __init__(self, service: Service, *roles: Role) -> None:
        self.service = service
        self.id: str = service.executed(registered(new_id(PERSON)))["person"]
        self.token = f"secret-of-{self.id}"
        service.grants[digest(self.token)] = TokenHolder(by(self.id, *roles))

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        answer: httpx.Response = self.service.post(path, body, token=self.token, key=key, User_Agent=AGENT)
        return answer

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.service.get(path, token=self.token, **params)


def by(person: str, *roles: Role) -> Principal:
    return Principal(person, ("person", *roles), "session", person)


@pytest.fixture
def ada(service: Service) -> Somebody:
    return Somebody(service, "customer", "command")


def activity(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_person_sees_commands_and_refusals_newest_first(service: Service, ada: Somebody) -> None:
    account = service.account("5.00")
    sent = ada.post(f"accounts/{account}/deposits", EUR, key="accepted")
    ada.post(f"accounts/{account}/withdrawals", {"amount": "99.00", "currency": "EUR"}, key="refused")
    stale = service.http.post(
        f"/v1/accounts/{account}/deposits",
        json={**EUR, "expected_versions": {account: 1}},
        headers={"Authorization": f"Bearer {ada.token}", "Idempotency-Key": "stale", "User-Agent": AGENT},
    )
    assert stale.json()["code"] == "versions_stale", stale.text
    items = {item["key"]: item for item in activity(ada.get(f"people/{ada.id}/activity"))}
    assert list(items) == sorted(items, key=lambda key: (items[key]["recorded_at"], key), reverse=True)
    assert {key: (item["command"], item["outcome"], item["rule"]) for key, item in items.items()} == {
        "accepted": ("Deposit", "accepted", None),
        "refused": ("Withdraw", "refused", "below_minimum"),
        "stale": ("Deposit", "expectation_failed", "expectation_failed"),
    }
    accepted = items["accepted"]
    assert accepted["status"] == sent.status_code == 201
    assert accepted["actor"] == ada.id
    assert sent.json()["transaction"] in accepted["streams"]
    assert sent.json()["position"].endswith(f".{accepted['position']}")
    assert items["refused"]["streams"] == []
    assert {item["origin"]["agent"] for item in items.values()} == {AGENT}
    assert {item["origin"]["address"] for item in items.values()} == {"127.0.0.1"}


def test_what_another_person_did_is_not_there_for_a_person(service: Service, ada: Somebody) -> None:
    bob = Somebody(service, "customer", "report", "command", "author", "moderator")
    for path in (f"people/{ada.id}/activity", f"people/{ada.id}/reads", "people/prsn_nobody/activity"):
        answer = bob.get(path)
        person = path.split("/")[1]
        assert (answer.status_code, answer.json()["figures"]) == (404, {"kind": "person", "id": person})
    for role in ("report", "command", "customer"):
        assert service.get(f"people/{ada.id}/activity", role=role).status_code == 404


@pytest.mark.parametrize("role", ["audit", "operator", "administrator"])
def test_those_who_supervise_see_it_and_only_auditors_see_addresses(
    service: Service, ada: Somebody, role: Role
) -> None:
    ada.post("transfers", {**EUR, "source": service.account(), "target": service.account()})
    eve = Somebody(service, role)
    [item] = activity(eve.get(f"people/{ada.id}/activity"))
    assert item["command"] == "Transfer"
    assert (item["origin"] is not None) is (role == "audit")
    unknown = eve.get("people/prsn_nobody/activity")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown")


def test_an_origin_that_is_forgotten_is_null(service: Service, ada: Somebody) -> None:
    ada.post(f"accounts/{service.account()}/deposits", EUR)
    with psycopg.connect(service.database.url, autocommit=True) as owner:
        owner.execute("SELECT log.forget_origins('infinity')")
    assert [item["origin"] for item in activity(ada.get(f"people/{ada.id}/activity"))] == [None]


def test_commands_by_a_token_of_the_person_are_theirs(service: Service, ada: Somebody) -> None:
    """A token that was another person's before shows nobody what that one did."""
    account, text, name = service.account(), f"app-{ada.id}", f"app-of-{ada.id}"

    def held_by(person: str) -> None:
        service.grants[digest(text)] = TokenHolder(Principal(name, ("command",), person=person))

    held_by("prsn_before")
    service.post(f"accounts/{account}/deposits", EUR, token=text, key="before")
    held_by(ada.id)
    service.post(f"accounts/{account}/deposits", EUR, token=text, key="since")
    ada.post(f"accounts/{account}/deposits", EUR, key="signed in")
    items = activity(ada.get(f"people/{ada.id}/activity"))
    assert {(item["actor"], item["key"]) for item in items} == {(name, "since"), (ada.id, "signed in")}
    pages = [activity(ada.get(f"people/{ada.id}/activity", limit=1))]
    pages.append(activity(ada.get(f"people/{ada.id}/activity", limit=1, cursor=_next(ada, limit=1))))
    assert pages[0] + pages[1] == items


def _next(somebody: Somebody, **params: Any) -> str:
    text: str = somebody.get(f"people/{somebody.id}/activity", **params).json()["next"]
    return text


def test_pages_have_each_command_once(service: Service, ada: Somebody) -> None:
    account = service.account()
    for number in range(7):
        ada.post(f"accounts/{account}/deposits", EUR, key=f"key-{number}")
    whole = activity(ada.get(f"people/{ada.id}/activity"))
    assert len(whole) == 7
    found, cursor = [], None
    while True:
        answer = ada.get(f"people/{ada.id}/activity", limit=3, **({} if cursor is None else {"cursor": cursor}))
        found += activity(answer)
        cursor = answer.json()["next"]
        if cursor is None:
            break
    assert found == whole


@pytest.mark.parametrize(
    "cursor", ["x", "MQ", "IjEi", "IngKYQpiIg", "IjEKYSI", "Ijk5OTk5OTk5OTk5OTk5OTk5OTk5OTkKYQpiIg"]
)
def test_a_cursor_of_another_list_is_refused(ada: Somebody, cursor: str) -> None:
    """Not base64, a number, too few parts, no number, and a time after the last one there is."""
    answer = ada.get(f"people/{ada.id}/activity", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


# Sign-ins.


def signed_in(somebody: Somebody, key: str, origin: str | None = None) -> str:
    """A sign-in, as the route of sign-ins sends it: by a visitor, with the origin of the request."""
    service, session = somebody.service, new_id(SESSION)
    command = OpenSession(session, somebody.id, 1, second_factor=False)
    log, now = service.services.log, service.services.clock()
    submission = replace(system_submission(VISITOR, key, command, key, log, now), origin=origin)
    [answer] = service.services.executor.execute([submission])
    assert answer.outcome is Outcome.ACCEPTED
    service.last["position"] = token(log, answer.epoch, answer.last_position or 0)
    return session


def test_sign_ins_are_listed_newest_first_with_their_origin(service: Service, ada: Somebody) -> None:
    service.executed(verified(ada.id))
    first, second = (signed_in(ada, f"{ada.id}-{number}", f"192.0.2.{number} {AGENT}") for number in (1, 2))
    service.executed(By(by_person(ada.id), EndSession(first)))
    items = activity(ada.get(f"people/{ada.id}/sign-ins"))
    assert [(item["session"], item["ended_why"]) for item in items] == [(second, None), (first, "signed_out")]
    assert [item["origin"] for item in items] == [{"address": f"192.0.2.{number}", "agent": AGENT} for number in (2, 1)]
    pages = ada.get(f"people/{ada.id}/sign-ins", limit=1).json()
    assert pages["items"] == items[:1]
    assert activity(ada.get(f"people/{ada.id}/sign-ins", limit=1, cursor=pages["next"])) == items[1:]
    eve, bob = Somebody(service, "operator"), Somebody(service, "customer", "report")
    assert [item["origin"] for item in activity(eve.get(f"people/{ada.id}/sign-ins"))] == [None, None]
    assert bob.get(f"people/{ada.id}/sign-ins").status_code == 404
    assert activity(Somebody(service, "audit").get(f"people/{ada.id}/sign-ins")) == items
    own = [item["command"] for item in activity(ada.get(f"people/{ada.id}/activity"))]
    assert own == ["EndSession"], "a visitor opened them"


# The index of persons only.

_FILL = """
INSERT INTO log.commands (log, actor, key, request_hash, outcome, status, rule, result, decided_position, recorded_at)
SELECT 1, CASE WHEN n % 20 = 0 THEN 'prsn_' || n % 1000 ELSE 'machine' END, 'key-' || n, ''::bytea, 1, 201, NULL,
       '{}'::bytea, n, '2026-11-21'::timestamptz + n * interval '1 second'
  FROM generate_series(1, 20000) n
"""


def test_a_page_of_a_person_probes_an_index_without_a_sort(server: Server) -> None:
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SELECT log.create_log('main')")
        connection.execute(_FILL)
        connection.execute("VACUUM ANALYZE log.commands")
        explained = Explained(connection)
        found: list[Any] = []

        def page() -> None:
            before = Before(found[-1].recorded_at, found[-1].key, found[-1].actor) if found else None
            found.extend(sent_by(connection, 1, "prsn_100", 5, before=before))

        for _ in range(6):  # from the sixth on, the server may plan without the values
            [statement] = explained.statements(page)
            [commands] = [scan for scan in statement.scans if scan["Relation Name"] == "commands"]
            assert probed_index(commands) == "commands_of_persons"
            assert "Sort" not in str(statement.plan)
        assert len({one.key for one in found}) == 20
        row = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'commands_of_persons'").fetchone()
        assert row == (1000,), "machines are not in it"
