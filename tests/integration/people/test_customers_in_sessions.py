"""A customer who has signed in sees and moves what is theirs. A foreign account does not exist for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.people import key, signed_in
from tests.support.postgres import Server
from tests.support.service import Service, service_on

EUR = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture(scope="module")
def service(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


def test_a_customer_sees_and_moves_what_is_theirs(service: Service) -> None:
    ada, bob = signed_in(service, "customer"), signed_in(service, "customer")
    own, foreign = service.account("10.00", owner=ada.id), service.account("10.00", owner=bob.id)
    assert [item["account"] for item in ada.get("accounts", fresh=True).json()["items"]] == [own]
    assert ada.get(f"accounts/{own}", fresh=True).status_code == 200
    assert ada.get(f"accounts/{foreign}", fresh=True).status_code == 404
    assert ada.post("transfers", {"source": own, "target": foreign, **EUR}).status_code == 201
    stolen = ada.post("transfers", {"source": foreign, "target": own, **EUR})
    assert (stolen.status_code, stolen.json()["figures"]) == (404, {"kind": "account", "id": foreign})
    items = [{"path": "/v1/transfers", "key": key(), "body": {"source": foreign, "target": own, **EUR}}]
    [answer] = ada.post("batches", items).json()
    assert answer["status"] == 404
    assert ada.post(f"accounts/{own}/deposits", EUR).status_code == 403, "money does not come from nowhere"
    assert ada.get("trial-balance").status_code == 403


def test_a_person_without_a_role_sees_no_account(service: Service) -> None:
    eve = signed_in(service)
    account = service.account(owner=eve.id)
    assert eve.get("accounts", fresh=True).status_code == 403
    assert eve.get(f"accounts/{account}", fresh=True).status_code == 403
    assert eve.post("transfers", {"source": account, "target": account, **EUR}).status_code == 403
