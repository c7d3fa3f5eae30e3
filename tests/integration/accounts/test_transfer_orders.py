"""Transfer orders over HTTP: filters, tries, bad bodies, and what a customer sees and may do."""

from __future__ import annotations

from typing import Any

import pytest

from domain.accounts.transfer_order import ExecuteTransferOrder
from eventstore.log.answers import Outcome
from tests.samples.accounts.transfer_order import RUNNER
from tests.support.answers import accepted, found
from tests.support.memory_ledger import By
from tests.support.service import Service


def ordering(source: str, target: str, **more: Any) -> dict[str, Any]:
    """A body."""
    return {"source": source, "target": target, "amount": "30.00", "currency": "EUR", **more}


def available(service: Service, account: str) -> str:
    """What of the account is available."""
    amount: str = found(service.get(f"accounts/{account}"))["available"]
    return amount


def execute(service: Service, order: str) -> None:
    """What the process sends once the time of an order has come."""
    service.executed(By(RUNNER, ExecuteTransferOrder(order)))


def test_orders_are_listed_by_account_status_and_reference(service: Service) -> None:
    source, target = service.account("100.00"), service.account()
    made = accepted(service.post("transfer-orders", ordering(source, target, reference="RENT-1")))
    later = accepted(service.post("transfer-orders", ordering(source, target, reference="RENT-2")))
    assert (made["status"], made["held"], available(service, source)) == ("waiting", "30.00", "40.00")

    def listed(**filters: Any) -> list[str]:
        return [item["transfer_order"] for item in found(service.get("transfer-orders", **filters))["items"]]

    both = [made["transfer_order"], later["transfer_order"]]
    assert listed(account=source) == listed(account=target) == both
    assert listed(account=source, reference="RENT-2") == both[1:]
    assert listed(account=source, reference="RENT-3") == []
    execute(service, both[0])
    assert listed(account=source, status="executed") == both[:1]
    assert listed(account=source, status="waiting") == both[1:]
    done = found(service.get(f"transfer-orders/{both[0]}"))
    assert (done["paid"], done["received"], done["tries"]) == ("30.00", "30.00", 0)
    moved = found(service.get(f"transactions/{done['transaction']}"))
    assert (moved["kind"], moved["relation"], moved["reference"]) == ("capture", "transfer_order", "RENT-1")
    assert available(service, source) == "40.00", "what was held is what was paid"
    again = service.post(f"transfer-orders/{both[0]}/cancel", {})
    assert (again.status_code, again.json()["code"]) == (422, "transfer_order_ended")
    accepted(service.post(f"transfer-orders/{both[1]}/cancel", {}), 200)
    assert available(service, source) == "70.00"


def test_a_refused_execution_is_a_try_with_its_rule(service: Service) -> None:
    source, target = service.account("100.00"), service.account()
    id = accepted(service.post("transfer-orders", ordering(source, target)))["transfer_order"]
    accepted(service.post(f"accounts/{target}/freeze", {"reason": "asked"}), 200)
    service.executed(By(RUNNER, ExecuteTransferOrder(id)), Outcome.REFUSED)
    [tried] = found(service.get(f"transfer-orders/{id}/tries"))["items"]
    assert (tried["outcome"], tried["rule"], tried["figures"]) == ("refused", "account_frozen", {"account": target})
    order = found(service.get(f"transfer-orders/{id}"))
    assert (order["status"], order["tries"], order["retry_at"]) == ("waiting", 1, tried["retry_at"])
    assert available(service, source) == "70.00", "it is still held"


def test_a_customer_has_their_own_orders(service: Service) -> None:
    ada, eve = service.customer("prsn_ord_ada"), service.customer("prsn_ord_eve")
    mine, theirs = service.account("100.00", owner="prsn_ord_ada"), service.account(owner="prsn_ord_eve")
    refused = service.post("transfer-orders", ordering(mine, theirs), token=eve)
    assert (refused.status_code, refused.json()["figures"]) == (404, {"kind": "account", "id": mine})
    id = accepted(service.post("transfer-orders", ordering(mine, theirs), token=ada))["transfer_order"]
    unknown = service.post(f"transfer-orders/{id}/cancel", {}, token=eve)
    assert (unknown.status_code, unknown.json()["figures"]) == (404, {"kind": "transfer_order", "id": id})
    reads = (f"transfer-orders/{id}", f"transfer-orders/{id}/tries", "transfer-orders")
    one, tries, listed = (found(service.get(path, token=ada)) for path in reads)
    assert (one["status"], one["initiator"], tries["items"], listed["items"]) == ("waiting", "prsn_ord_ada", [], [one])
    none, none_tried, others = (service.get(path, token=eve) for path in reads)
    assert none.status_code == 404
    assert (found(none_tried)["items"], found(others)["items"]) == ([], []), "who is paid sees the transaction"
    assert found(service.get("transfer-orders", token=eve, account=theirs))["items"] == []
    accepted(service.post(f"transfer-orders/{id}/cancel", {}, token=ada), 200)
    assert found(service.get(reads[0], token=ada))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"amount": None}, "transfer_order_what", "names neither"),
        ({"currency": None}, "malformed", "amount"),
        ({"amount": "0.00"}, "malformed", "amount"),
        ({"amount": "0.001"}, "malformed", "amount"),
        ({"bound": {"amount": "1.00", "currency": "EUR"}}, "transfer_order_bound", "EUR"),
        ({"quote": "quote_1"}, "malformed", "quote"),
    ],
)
def test_a_body_that_orders_nothing_sensible_is_refused(
    service: Service, change: dict[str, Any], code: str, named: str
) -> None:
    source, target = service.account("100.00"), service.account()
    answer = service.post("transfer-orders", {**ordering(source, target), **change})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] == code, answer.text
    assert named in answer.json()["detail"]
    assert available(service, source) == "100.00"
