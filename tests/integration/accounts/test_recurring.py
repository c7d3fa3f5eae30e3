"""Recurring payments over HTTP: filters, runs, and what a customer sees and may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from domain.accounts.recurring import RunRecurringPayment
from projections.accounts import recurring_payments as queries
from tests.samples.accounts import recurring_payment as samples
from tests.samples.accounts.recurring_payment import RUNNER
from tests.support.answers import accepted, found
from tests.support.ledger import NOW
from tests.support.memory_ledger import By
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Server
from tests.support.service import Service, service_on

TODAY = NOW.date().isoformat()


def paying(service: Service, payer: str, payee: str, **more: Any) -> dict[str, Any]:
    """A body."""
    return {**samples.RENT, "payer": payer, "payee": payee, **more}


def test_a_payment_is_listed_by_its_accounts_status_and_due_date(service: Service) -> None:
    payer, payee = service.account("100.00"), service.account()
    made = accepted(service.post("recurring-payments", paying(service, payer, payee)))
    later = accepted(service.post("recurring-payments", paying(service, payer, payee, first_on="2027-03-31")))
    payment = found(service.get(f"recurring-payments/{made['payment']}"))
    assert (made["status"], made["due_on"]) == ("active", "2027-01-29")
    expected = {**samples.RENT, "due_on": "2027-01-29", "number": 1, "status": "active", "strikes": 0}
    assert expected.items() <= payment.items()

    def listed(**filters: Any) -> list[str]:
        items = found(service.get("recurring-payments", **filters))["items"]
        return [item["payment"] for item in items]

    both = [made["payment"], later["payment"]]
    assert listed(account=payer) == listed(account=payee) == both
    assert listed(account=payer, due_until="2027-01-29") == both[:1]
    assert listed(account=payer, due_until="2027-01-28") == []
    accepted(service.post(f"recurring-payments/{both[0]}/cancel", {}), 200)
    assert listed(account=payer, status="active") == both[1:]
    assert listed(account=payer, status="cancelled", after=payment["position"] - 1) == both[:1]


def test_runs_are_listed_with_their_refusals(service: Service) -> None:
    payer, payee = service.account("1.00"), service.account()
    body = paying(service, payer, payee, unit="days", every=1, day=None, first_on=TODAY, day_rule="none", amount="1.00")
    id = accepted(service.post("recurring-payments", body))["payment"]
    service.executed(By(RUNNER, RunRecurringPayment(id, 1)))
    [run] = found(service.get(f"recurring-payments/{id}/runs"))["items"]
    assert (run["number"], run["due_on"], run["outcome"], run["rule"]) == (1, TODAY, "done", None)
    transaction = found(service.get(f"transactions/{run['transaction']}"))
    assert (transaction["parent"], transaction["relation"]) == (id, "recurring")
    assert transaction["description"] == samples.RENT["description"]
    assert found(service.get("transactions", parent=id))["items"] == [transaction]


def test_a_customer_has_their_own_payments(service: Service) -> None:
    ada, eve = service.customer("prsn_rec_ada"), service.customer("prsn_rec_eve")
    mine, theirs = service.account("100.00", owner="prsn_rec_ada"), service.account(owner="prsn_rec_eve")
    refused = service.post("recurring-payments", paying(service, mine, theirs), token=eve)
    assert (refused.status_code, refused.json()["figures"]) == (404, {"kind": "account", "id": mine})
    id = accepted(service.post("recurring-payments", paying(service, mine, theirs), token=ada))["payment"]
    reads = (f"recurring-payments/{id}", f"recurring-payments/{id}/runs", "recurring-payments")
    one_euro = {"amount": "1.00", "currency": "EUR"}
    for verb, body in (("amount", one_euro), ("pause", {}), ("resume", {}), ("cancel", {})):
        unknown = service.post(f"recurring-payments/{id}/{verb}", body, token=eve)
        assert (unknown.status_code, unknown.json()["figures"]) == (404, {"kind": "recurring_payment", "id": id})
        accepted(service.post(f"recurring-payments/{id}/{verb}", body, token=ada), 200)
    one, _, listed = (found(service.get(path, token=ada)) for path in reads)
    assert (one["status"], one["amount"], one["initiator"]) == ("cancelled", "1.00", "prsn_rec_ada")
    assert listed["items"] == [one]
    none, runs, others = (service.get(path, token=eve) for path in reads)
    assert none.status_code == 404
    assert (found(runs)["items"], found(others)["items"]) == ([], []), "who is paid sees the transactions"
    assert found(service.get("recurring-payments", token=eve, account=theirs))["items"] == []


def test_the_calendar_and_its_versions(service: Service) -> None:
    body = {"weekend": ["sunday"], "holidays": ["2026-12-26", "2026-12-25"]}
    forbidden = service.post("policies/calendar", body)
    assert forbidden.status_code == 403
    accepted(service.post("policies/calendar", body, role="operator"), 200)
    changed = found(service.get("policies/calendar"))
    assert (changed["weekend"], changed["holidays"]) == (["sunday"], ["2026-12-25", "2026-12-26"])
    first, *_, last = found(service.get("policies/calendar/versions"))["items"]
    assert (first["version"], first["weekend"], first["holidays"]) == (1, ["saturday", "sunday"], [])
    assert (last["version"], last["holidays"]) == (changed["version"], changed["holidays"])
    usual = {"weekend": ["saturday", "sunday"], "holidays": []}
    accepted(service.post("policies/calendar", usual, role="operator"), 200)


READS: dict[str, Callable[[Connection[Any]], object]] = {
    "recurring_payments_in_order": lambda connection: queries.recurring_payments(connection, after=19_000),
    "recurring_payments_in_status": lambda connection: queries.recurring_payments(connection, status="suspended"),
    "recurring_payments_due": lambda connection: queries.recurring_payments(connection, due_until=NOW.date()),
    "recurring_runs_of_payment": lambda connection: queries.runs(connection, "recur_7"),
}
"""What is read, and the index that finds it."""


@pytest.fixture(scope="module")
def many(postgres18: Server) -> Any:
    """20,000 payments with a run each. Every hundredth is suspended, and one in a thousand is due."""
    with postgres18.database() as database, service_on(database):
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute(
                "INSERT INTO read.recurring_payments (payment, status, payer, payee, amount, currency, unit, every,"
                " first_on, day_rule, number, due_on, strikes, metadata, description_erased, version, position,"
                " created_at, last_position, last_at) SELECT 'recur_' || n,"
                " CASE n %% 100 WHEN 3 THEN 'suspended' ELSE 'active' END, 'acct_' || n, 'acct_' || n + 1, 1, 'EUR',"
                " 'days', 1, %(now)s, 'none', 1, %(now)s::date + CASE n %% 1000 WHEN 1 THEN 0 ELSE n END, 0, '{}',"
                " false, 1, n, %(now)s, n, %(now)s FROM generate_series(1, 20000) n",
                {"now": NOW},
            )
            owner.execute(
                "INSERT INTO read.recurring_runs (payment, version, number, due_on, outcome, strikes, position,"
                " recorded_at) SELECT 'recur_' || n, 2, 1, %(now)s, 'done', 0, n, %(now)s"
                " FROM generate_series(1, 20000) n",
                {"now": NOW},
            )
            owner.execute("ANALYZE read.recurring_payments, read.recurring_runs")
        yield database


@pytest.mark.parametrize("index", READS)
def test_the_plans(many: Any, index: str) -> None:
    with psycopg.connect(many.url, autocommit=True) as connection:
        [scan] = Explained(connection).scans(lambda: READS[index](connection))
    assert probed_index(scan) == index


def test_the_payments_of_an_account_are_found_by_payer_and_payee(many: Any) -> None:
    with psycopg.connect(many.url, autocommit=True) as connection:
        [scan] = Explained(connection).scans(lambda: queries.recurring_payments(connection, account="acct_7"))
        [both] = scan["Plans"]
        assert both["Node Type"] == "BitmapOr"
        probed = {part["Index Name"] for part in both["Plans"]}
        assert probed == {"recurring_payments_of_payer", "recurring_payments_of_payee"}
        items = queries.recurring_payments(connection, account="acct_7").items
    assert [item.payment for item in items] == ["recur_6", "recur_7"]
