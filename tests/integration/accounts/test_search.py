"""Search of transactions over HTTP, the history of one, what is stuck, and what failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.accounts.transactions import MOST_DAYS_SEARCHED
from tests.samples.accounts.periods import operators
from tests.samples.processes.process import one as stopped_process
from tests.support.answers import accepted, eur, found
from tests.support.credentials import MovedClock
from tests.support.ledger import TODAY
from tests.support.postgres import Server
from tests.support.service import Service, service_on

WHY = {"reason": "It is no longer wanted"}


@pytest.fixture(scope="module")
def bank(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=MovedClock()) as running:
        yield running


def searched(bank: Service, **filters: Any) -> list[str]:
    return [one["transaction"] for one in found(bank.get("transactions", **filters))["items"]]


def transfer(bank: Service, source: str, target: str, amount: str, **more: Any) -> str:
    id: str = accepted(bank.post("transfers", eur(amount, source=source, target=target, **more)))["transaction"]
    return id


def pended(bank: Service, source: str, target: str, amount: str, *, token: str | None = None, **more: Any) -> str:
    body = eur(amount, source=source, target=target, **more)
    id: str = accepted(bank.post("transfers/pending", body, role="operator", token=token))["transaction"]
    return id


def test_a_transaction_is_found_by_what_a_client_knows_of_it(bank: Service) -> None:
    source, target = bank.account("500.00"), bank.account()
    rent = transfer(bank, source, target, "40.00", reference="rent-2026-11", metadata={"flat": "4b", "floor": "4"})
    more = transfer(bank, source, target, "41.50", reference="rent-2026-12", metadata={"flat": "4b"})
    food = transfer(bank, source, target, "7.25")
    assert searched(bank, reference_prefix="rent-2026-") == [rent, more]
    assert searched(bank, reference_prefix="rent-2026-12") == [more]
    assert searched(bank, reference="rent-2026") == []
    assert searched(bank, metadata="flat=4b") == [rent, more]
    assert searched(bank, metadata="flat=4b,floor=4") == [rent]
    of_both = {"account": target, "currency": "EUR"}
    assert searched(bank, **of_both, amount_from="7.25", amount_until="40.00") == [rent, food]
    assert searched(bank, **of_both, amount_from="40.01") == [more]
    assert searched(bank, **of_both, newest_first=True) == [food, more, rent]
    assert searched(bank, account=target, currency="USD") == []


def test_a_batch_lists_what_its_items_made(bank: Service) -> None:
    source, target = bank.account("20.00"), bank.account()
    items = [
        {"key": f"search-{n}", "path": "/v1/transfers", "body": eur(amount, source=source, target=target)}
        for n, amount in enumerate(("5.00", "500.00", "6.00"))
    ]
    bank.post("batches", items, key="search-batch")
    batch = found(bank.get("commands/search-batch", role="command"))["answer"]["batch"]
    made = [
        one["body"]["transaction"]
        for one in found(bank.get(f"batches/{batch}/items", role="command"))["items"]
        if one["status"] == 201
    ]
    bank.account()  # the reads wait for everything before
    assert len(made) == 2
    assert searched(bank, role="command", batch=batch) == made
    assert searched(bank, role="audit", batch=batch, currency="EUR", amount_from="6.00") == made[1:]
    for other in (bank.get("transactions", batch="batch_none"), bank.get("transactions", batch=batch)):
        assert (other.status_code, other.json()["code"]) == (404, "unknown")


def test_the_time_of_recording_is_a_window(bank: Service) -> None:
    source, target = bank.account("50.00"), bank.account()
    one, two = transfer(bank, source, target, "1.00"), transfer(bank, source, target, "2.00")
    first, second = (found(bank.get(f"transactions/{id}"))["recorded_at"] for id in (one, two))
    assert searched(bank, account=target, recorded_from=first) == [one, two]
    assert searched(bank, account=target, recorded_from=second) == [two]
    assert searched(bank, account=target, recorded_from=first, recorded_before=second) == [one]


def test_the_account_that_a_waiting_transaction_credits_lists_it(bank: Service) -> None:
    source, target = bank.account("50.00"), bank.account(owner="prsn_payee")
    ada, _ = operators(bank)
    waiting = pended(bank, source, target, "3.00", token=ada.access)
    assert searched(bank, account=target) == [waiting]
    assert searched(bank, account=target, initiator=ada.id) == [waiting]
    assert searched(bank, initiator="prsn_none") == []
    [shown] = found(bank.get("transactions", token=bank.customer("prsn_payee")))["items"]
    assert (shown["transaction"], shown["status"]) == (waiting, "pending")
    bank.do(f"transactions/{waiting}/cancel", WHY)
    assert searched(bank, account=target, status="cancelled") == [waiting]


def changes(bank: Service, id: str, **more: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = found(bank.get(f"transactions/{id}/history", **more))["items"]
    return items


def test_the_history_of_a_transaction_says_who_changed_its_status_and_why(bank: Service) -> None:
    source, target = bank.account("50.00", owner="prsn_payer"), bank.account()
    ada, bob = operators(bank)
    waiting = pended(bank, source, target, "3.00", token=ada.access, awaits="approval", metadata={"a": "b"})
    own = bank.post(f"transactions/{waiting}/approve", {}, token=ada.access)
    assert own.json()["code"] == "approval_by_initiator"
    accepted(bank.post(f"transactions/{waiting}/approve", {}, token=bob.access), 200)
    undone = bank.do(f"transactions/{waiting}/reverse", {**WHY, "amount": "1.00", "currency": "EUR"})
    history = changes(bank, waiting, role="audit")
    assert [(one["before"], one["status"], one["event"]) for one in history] == [
        (None, "pending", "transaction.pended.v1"),
        ("pending", "pending", "transaction.approved.v1"),
        ("pending", "posted", "transaction.posted.v1"),
        ("posted", "partly_reversed", "transaction.reversed.v1"),
    ]
    assert [one["by"]["person"] for one in history] == [ada.id, bob.id, bob.id, None]
    assert [one["decided_by"] for one in history] == [None, bob.id, None, None]
    assert history[0]["awaits"] == "approval"
    assert history[-1]["reversed_by"] == undone["transaction"]
    assert [one["position"] for one in history] == sorted(one["position"] for one in history)
    for limit in (1, 2, 3):  # a page knows the status before it
        pages, cursor = list[dict[str, Any]](), dict[str, Any]()
        while True:
            page = found(bank.get(f"transactions/{waiting}/history", role="audit", limit=limit, **cursor))
            pages += page["items"]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert pages == history
    assert [one["by"] for one in changes(bank, waiting, token=bank.customer("prsn_payer"))] == [None] * 4
    assert [one["by"] for one in changes(bank, waiting, role="command")] == [None] * 4, (
        "a program sees its own answers only"
    )
    tried = found(bank.get("refusals", role="audit", transaction=waiting, newest_first=True))["items"]
    assert [(one["rule"], one["figures"]["person"]) for one in tried] == [("approval_by_initiator", ada.id)]
    assert found(bank.get("refusals", role="audit", transaction="txn_none"))["items"] == []
    missing = bank.get("transactions/txn_none/history")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown")


def test_the_reason_of_an_end_is_shown(bank: Service) -> None:
    source, target = bank.account("50.00"), bank.account()
    waiting = pended(bank, source, target, "3.00")
    bank.do(f"transactions/{waiting}/cancel", WHY)
    assert [(one["status"], one["reason"]) for one in changes(bank, waiting)] == [
        ("pending", None),
        ("cancelled", WHY["reason"]),
    ]


def test_what_waits_for_longer_than_asked_is_stuck(bank: Service) -> None:
    source, target = bank.account("50.00"), bank.account()
    waiting = pended(bank, source, target, "3.00")
    at = bank.services.clock

    def stuck(**asked: Any) -> list[str]:
        return [one["transaction"] for one in found(bank.get("stuck", role="operator", **asked))["transactions"]]

    assert isinstance(at, MovedClock)
    usual = at.now
    recorded = found(bank.get(f"transactions/{waiting}"))["recorded_at"]
    at.now = datetime.fromisoformat(recorded) + timedelta(minutes=5)
    assert waiting not in stuck(), "it has waited for five minutes, and not for more"
    at.now += timedelta(microseconds=1)
    assert waiting in stuck()
    assert waiting not in stuck(older_than=6)
    some = found(bank.get("stuck", role="operator", limit=1))
    assert (len(some["transactions"]), some["older_than"]) == (1, 5)
    bank.do(f"transactions/{waiting}/cancel", WHY)
    assert waiting not in stuck()
    at.now = usual  # the sessions of the operators would be over


def test_a_process_that_needs_attention_is_stuck(service18: Service) -> None:
    process = stopped_process(service18)
    stuck = found(service18.get("stuck", role="report"))["processes"]
    [shown] = [one for one in stuck if one["process"] == process]
    read = found(service18.get(f"processes/{process}"))
    assert (shown["cause"], shown["since"]) == (read["cause"], read["since"])


WIDE = {"currency": "EUR", "value_from": "2026-01-01"}


@pytest.mark.parametrize(
    ("path", "asked", "says"),
    [
        ("transactions", {"value_from": "2026-02-01", "value_until": "2026-01-31"}, "ends on 2026-01-31"),
        (
            "transactions",
            {"recorded_from": "2026-02-01T00:00:00Z", "recorded_before": "2026-02-01T00:00:00Z"},
            "not after",
        ),
        ("transactions", {"recorded_from": "2026-02-01"}, "offset"),
        ("transactions", {"amount_from": "1.00"}, "name it"),
        (
            "transactions",
            {"account": "acct_x", "currency": "EUR", "amount_from": "2", "amount_until": "1"},
            "less than",
        ),
        ("transactions", {"account": "acct_x", "currency": "EUR", "amount_from": "-1"}, "less than zero"),
        ("transactions", {"account": "acct_x", "currency": "JPY", "amount_until": "1.5"}, "JPY has 0"),
        ("transactions", {"currency": "XXX"}, "XXX"),
        ("transactions", {"currency": "EUR"}, "92 days"),
        ("transactions", {"currency": "EUR", "status": "posted", "kind": "fee"}, "92 days"),
        ("transactions", {**WIDE, "value_until": "2026-04-04"}, "92 days"),
        ("transactions", {"reference_prefix": "a b"}, "reference_prefix"),
        ("transactions", {"metadata": "a"}, "metadata"),
        ("refusals", {"recorded_from": "2026-02-01", "recorded_until": "2026-01-31"}, "ends on 2026-01-31"),
        ("stuck", {"older_than": 0}, "older_than"),
        ("stuck", {"older_than": 1441}, "older_than"),
        ("stuck", {"limit": 0}, "limit"),
        ("stuck", {"limit": 501}, "limit"),
    ],
)
def test_bad_input_of_a_search(bank: Service, path: str, asked: dict[str, Any], says: str) -> None:
    response = bank.get(path, role="operator", **asked)
    assert (response.status_code, response.json()["code"]) == (400, "malformed"), response.text
    assert says in response.json()["detail"]


def test_a_narrow_search_of_amounts_is_answered(bank: Service) -> None:
    until = (TODAY.replace(month=1, day=1) + timedelta(days=MOST_DAYS_SEARCHED)).isoformat()
    first = TODAY.replace(month=1, day=1).isoformat()
    narrowing: tuple[dict[str, Any], ...] = (
        {"account": "acct_x"},
        {"status": "pending"},
        {"metadata": "a=b"},
        {"value_from": first, "value_until": until},
        {"recorded_from": f"{first}T00:00:00Z", "recorded_before": f"{until}T00:00:00Z"},
    )
    for narrow in narrowing:
        found(bank.get("transactions", currency="EUR", **narrow))
    found(bank.get("transactions", currency="EUR", token=bank.customer("prsn_narrow")))


def test_search_is_not_for_everybody(bank: Service) -> None:
    for path in ("stuck", "refusals"):
        assert bank.get(path, token=bank.customer("prsn_ada")).status_code == 403
