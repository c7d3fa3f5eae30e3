"""API keys over HTTP: what they may do is within their scope, and within the roles of their person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from domain.people.person.roles import GrantRole, RevokeRole
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW
from tests.support.memory_ledger import ADMINISTRATOR, By
from tests.support.people import Somebody, administrators, key, people_of, signed_in
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until

EUR = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=MovedClock(NOW)) as running:
        yield running


@pytest.fixture
def operator(service: Service) -> Somebody:
    """A person with the role of an operator, which needs no second factor here."""
    return signed_in(service, "operator")


def made(person: Somebody, **more: Any) -> tuple[str, str]:
    """A key of a person: its id and its text."""
    body = {"name": "a program", "areas": ["accounts"], "access": "command", **more}
    response = person.own("api-keys", body)
    assert response.status_code == 201, response.text
    return response.json()["key"], response.json()["api_key"]


def deposit(service: Service, account: str, token: str) -> httpx.Response:
    response: httpx.Response = service.post(f"accounts/{account}/deposits", EUR, token=token, key=key())
    return response


def test_a_key_acts_for_its_person_within_its_areas(service: Service, operator: Somebody) -> None:
    account = service.account()
    _, text = made(operator)
    assert deposit(service, account, text).status_code == 201
    assert service.get(f"accounts/{account}", token=text).status_code == 200
    elsewhere = service.get("orders", token=text)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "forbidden")
    post = service.post("posts", {"author": "a", "title": "T", "body": "B"}, token=text, key=key())
    assert post.status_code == 403
    assert post.json()["detail"] == "The scope of this API key does not include DraftPost."
    [event] = service.get(f"streams/{account}", role="audit", after=1, limit=1).json()["events"]
    actor = event["metadata"]["actor"]
    assert (actor["person"], actor["how"]) == (operator.id, "api_key")


def test_a_key_to_read_commands_nothing(service: Service, operator: Somebody) -> None:
    account = service.account()
    _, text = made(operator, access="read")
    assert service.get(f"accounts/{account}", token=text).status_code == 200
    assert deposit(service, account, text).status_code == 403


def test_a_key_of_some_accounts_touches_no_other(service: Service, operator: Somebody) -> None:
    own, other = service.account("10.00"), service.account("10.00")
    _, text = made(operator, accounts=[own])
    assert deposit(service, own, text).status_code == 201
    assert deposit(service, other, text).status_code == 403
    transfer = service.post("transfers", {"source": own, "target": other, **EUR}, token=text, key=key())
    assert transfer.status_code == 403, "it touches the other account"
    about = {"account": other, "what": "balance", "is": "gte", "currency": "EUR", "amount": "0"}
    condition = service.post(f"accounts/{own}/deposits", {**EUR, "conditions": [about]}, token=text, key=key())
    assert condition.json()["detail"] == "The scope of this API key does not include Deposit.", (
        "nor has conditions on it"
    )
    about["account"] = own
    allowed = service.post(f"accounts/{own}/deposits", {**EUR, "conditions": [about]}, token=text, key=key())
    assert allowed.status_code == 201
    assert service.get(f"accounts/{own}/entries", token=text).status_code == 200
    assert service.get(f"accounts/{other}", token=text).status_code == 403
    assert service.get("accounts", token=text).status_code == 403, "a list has other accounts too"
    items = [{"path": f"/v1/accounts/{one}/deposits", "key": f"{text[-9:]}-{one}", "body": EUR} for one in (own, other)]
    batch = service.post("batches", items, token=text)
    assert [answer["status"] for answer in batch.json()] == [201, 403]
    atomic = [{"path": item["path"], "body": item["body"]} for item in items]
    assert service.post("batches?atomic=true", atomic, token=text, key=key()).status_code == 403


def test_a_key_is_no_session_and_lends_no_administrator(service: Service) -> None:
    ada, _ = administrators(service)
    _, text = made(ada, areas=["people", "system"])
    suspend = service.post(f"people/{signed_in(service).id}/suspend", {"reason": "Spam"}, token=text, key=key())
    assert suspend.status_code == 403
    another = service.post(f"people/{ada.id}/api-keys", {"name": "x", "areas": ["people"]}, token=text, key=key())
    assert another.status_code == 403
    assert service.get(f"people/{ada.id}/api-keys", token=text, fresh=False).status_code == 403


def test_a_replaced_key_works_until_the_overlap_has_ended(service: Service, operator: Somebody) -> None:
    account = service.account()
    id, old = made(operator)
    response = operator.own(f"api-keys/{id}/replace", {"overlap_seconds": 60})
    assert response.status_code == 201, response.text
    new = response.json()["api_key"]
    assert deposit(service, account, old).status_code == deposit(service, account, new).status_code == 201
    service.services.clock.move(seconds=59)  # type: ignore[attr-defined]
    assert deposit(service, account, old).status_code == 201
    service.services.clock.move(seconds=1)  # type: ignore[attr-defined]
    assert deposit(service, account, old).status_code == 401
    assert deposit(service, account, new).status_code == 201


def test_a_key_ends_with_its_person_its_role_and_by_hand(service: Service, operator: Somebody) -> None:
    account = service.account()
    id, text = made(operator)
    other_id, other = made(operator)
    assert operator.own(f"api-keys/{id}/end").status_code == 200
    assert deposit(service, account, text).status_code == 401, "the row says so at once"
    service.executed(By(ADMINISTRATOR, RevokeRole(operator.id, "operator")))
    wait_until(lambda: deposit(service, account, other).status_code == 403, "the loss of the role")
    service.executed(By(ADMINISTRATOR, GrantRole(operator.id, "operator")))
    wait_until(lambda: deposit(service, account, other).status_code == 201, "the role")
    ada, _ = administrators(service)
    assert ada.post(f"people/{operator.id}/suspend", {"reason": "Spam"}).status_code == 200
    wait_until(lambda: deposit(service, account, other).status_code == 401, "the suspension")
    listed = {one["key"]: one["works"] for one in ada.get(f"people/{operator.id}/api-keys").json()["items"]}
    assert listed == {id: False, other_id: True}, "the key itself was not ended"


def test_a_key_sends_as_many_requests_a_minute_as_it_may(service: Service, operator: Somebody) -> None:
    _, text = made(operator, per_minute=2)
    answers = [service.get("accounts", token=text, fresh=False) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["code"] == "key_rate"
    assert int(answers[-1].headers["Retry-After"]) <= 60


def test_a_mistyped_key_is_told_from_a_wrong_one(service: Service, operator: Somebody) -> None:
    _, text = made(operator)
    swapped = text[:-1] + ("a" if text[-1] != "a" else "b")
    mistyped = service.get("accounts", token=swapped, fresh=False)
    assert (mistyped.status_code, "mistyped" in mistyped.json()["detail"]) == (401, True)
    assert people_of(service).api_keys.of(operator.id)[0].last_used_at is None
