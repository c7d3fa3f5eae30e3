"""What the scope of an API key lets through, over HTTP: areas, reads or commands, and accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.people import Somebody, key, signed_in
from tests.support.postgres import Server
from tests.support.service import Service, service_on

EUR = {"amount": "1.00", "currency": "EUR"}
BEYOND = (403, "forbidden")


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


@pytest.fixture(scope="module")
def ada(service: Service) -> Somebody:
    """An operator, who may do everything that a key could be for."""
    return signed_in(service, "operator", "report", "audit")


@pytest.fixture(scope="module")
def mine(service: Service) -> str:
    return service.account("100.00")


@pytest.fixture(scope="module")
def other(service: Service) -> str:
    return service.account("100.00")


def api_key(ada: Somebody, *areas: str, **more: Any) -> str:
    made = ada.own("api-keys", {"name": "a program", "areas": list(areas), **more})
    assert made.status_code == 201, made.text
    text: str = made.json()["api_key"]
    return text


def outcome(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


@pytest.fixture(scope="module")
def limited(ada: Somebody, mine: str) -> str:
    """A key for commands about one account."""
    return api_key(ada, "accounts", access="command", accounts=[mine])


def test_a_key_for_one_account_moves_its_money_in_no_other(
    service: Service, limited: str, mine: str, other: str
) -> None:
    def post(path: str, body: Any) -> tuple[int, str]:
        return outcome(service.post(path, body, token=limited))

    assert post(f"accounts/{mine}/deposits", EUR) == (201, "")
    assert post(f"accounts/{mine}/fees", EUR) == (201, ""), "what a fee is paid to is the bank's own account"
    assert post(f"accounts/{other}/deposits", EUR) == BEYOND
    assert post(f"accounts/{other}/fees", EUR) == BEYOND
    for source, target in ((mine, other), (other, mine)):
        assert post("transfers", {"source": source, "target": target, **EUR}) == BEYOND


def test_a_hold_is_not_captured_to_an_account_beyond_the_scope(
    service: Service, limited: str, mine: str, other: str
) -> None:
    hold = service.post(f"accounts/{mine}/holds", EUR, token=limited).json()["hold"]
    captured = service.post(f"accounts/{mine}/holds/{hold}/capture", {"target": other, **EUR}, token=limited)
    assert outcome(captured) == BEYOND
    foreign = service.post(f"accounts/{other}/holds", EUR, role="operator").json()["hold"]
    for account in (mine, other):  # under the own account there is no such hold
        taken = service.post(f"accounts/{account}/holds/{foreign}/capture", {"target": mine, **EUR}, token=limited)
        assert taken.status_code in (403, 422), taken.text
    released = service.post(f"accounts/{mine}/holds/{hold}/release", token=limited)
    assert released.status_code == 200


@pytest.mark.parametrize("atomic", [False, True])
def test_items_of_a_batch_are_held_to_the_scope(
    service: Service, ada: Somebody, limited: str, mine: str, other: str, atomic: bool
) -> None:
    items = [{"path": f"/v1/accounts/{account}/deposits", "body": EUR} for account in (mine, other)]
    keyed = items if atomic else [{**item, "key": key()} for item in items]
    path = "batches?atomic=true" if atomic else "batches"
    before = service.get(f"accounts/{other}").json()["balance"]
    answer = service.post(path, keyed, token=limited, key=key())
    if atomic:
        assert outcome(answer) == BEYOND
        assert "Item 2" in answer.json()["detail"]
    else:
        assert [item["status"] for item in answer.json()] == [201, 403]
        batch = answer.headers["Daybook-Batch"]
        assert service.get(f"batches/{batch}", role="audit").json()["outcomes"]["accepted"] == 1
        assert outcome(service.get(f"batches/{batch}", token=limited)) == BEYOND
        assert service.get(f"batches/{batch}", token=ada.access).json()["outcomes"]["not_recorded"] == 1
    assert service.get(f"accounts/{other}").json()["balance"] == before


def test_a_key_for_one_account_reads_about_no_other(service: Service, limited: str, mine: str, other: str) -> None:
    allowed: tuple[tuple[str, Any], ...] = (
        (f"accounts/{mine}", {}),
        (f"accounts/{mine}/entries", {}),
        ("transactions", {"account": mine}),
    )
    beyond: tuple[tuple[str, Any], ...] = (
        (f"accounts/{other}", {}),
        (f"accounts/{other}/entries", {}),
        ("transactions", {"account": other}),
        ("transactions", {"account": [mine, other]}),
        ("transactions", {}),
        ("accounts", {}),
        ("accounts", {"account": mine}),  # no filter of this list, so it would be the whole
        ("trial-balance", {}),
        (f"streams/{mine}", {}),
        ("log", {}),
        ("people", {}),
        ("orders", {}),
    )
    for path, params in allowed:
        assert service.get(path, token=limited, **params).status_code == 200, (path, params)
    for path, params in beyond:
        answer = service.get(path, token=limited, **params)
        assert answer.status_code in (400, 403), f"{path} {params}: {answer.text}"


def test_an_area_lets_nothing_of_another_through(service: Service, ada: Somebody, mine: str) -> None:
    orders = api_key(ada, "orders", access="command")
    assert outcome(service.post(f"accounts/{mine}/deposits", EUR, token=orders)) == BEYOND
    assert outcome(service.get(f"accounts/{mine}", token=orders)) == BEYOND
    assert service.get("orders", token=orders).status_code == 200


def test_a_key_for_reading_sends_nothing(service: Service, ada: Somebody, mine: str) -> None:
    reading = api_key(ada, "accounts", "people", "system")
    assert service.get(f"accounts/{mine}", token=reading).status_code == 200
    assert outcome(service.post(f"accounts/{mine}/deposits", EUR, token=reading)) == BEYOND
    assert outcome(service.post("batches", [], token=reading)) == BEYOND
    assert outcome(service.post("log/follow-tickets", token=reading)) == BEYOND


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("api-keys", {"name": "another", "areas": ["people"]}),
        ("second-factor/begin", {"password": "Eleven-Steps-7-Up"}),
        ("password", {"current": "Eleven-Steps-7-Up", "password": "Twelve-Steps-8-Up"}),
        ("sessions/end", {}),
        ("delete", {"reason": "x"}),
        ("roles", {"role": "audit"}),
    ],
)
def test_a_key_does_nothing_for_which_the_person_themselves_is_needed(
    service: Service, ada: Somebody, path: str, body: Any
) -> None:
    people = api_key(ada, "people", access="command")
    assert outcome(service.post(f"people/{ada.id}/{path}", body, token=people)) == BEYOND
