"""The risk gate over HTTP: a race around the count of an hour, reviews, what is listed, and what customers learn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from domain.accounts.posting_policy import POSTING_POLICY
from domain.accounts.transaction import ApprovePending
from tests.support.answers import accepted, found
from tests.support.ledger import assert_sound
from tests.support.memory_ledger import By, by_person
from tests.support.postgres import Server
from tests.support.service import Service, service_on

CLIENTS, ALLOWED = 20, 10
OFF = {"on": False, "monitor": 1, "verify": 2, "block": 3}


@pytest.fixture(scope="module")
def bank(postgres18: Server) -> Iterator[Service]:
    """A service whose log must be sound at the end."""
    with postgres18.database() as database, service_on(database) as running:
        yield running
        assert_sound(database)


def rules(bank: Service, **more: Any) -> dict[str, Any]:
    """Replace the risk rules by these, switched on."""
    bank.post("policies/risk", OFF, role="operator")  # so that the next change is one
    return accepted(bank.post("policies/risk", {"on": True, **more}, role="operator"), status=200)


def daily(points: int, amount: str) -> dict[str, Any]:
    return {"daily": {"points": points, "above": {"EUR": amount}}}


def pay(bank: Service, source: str, target: str, amount: str, **more: Any) -> Any:
    return bank.post("transfers", {"source": source, "target": target, "amount": amount, "currency": "EUR"}, **more)


def listed(bank: Service, **filters: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = found(bank.get("risk-assessments", **filters))["items"]
    return items


def test_of_twenty_clients_those_within_the_count_of_an_hour_pay(bank: Service) -> None:
    rules(bank, hourly={"points": 70, "count": ALLOWED})
    source, target = bank.account("100.00"), bank.account()
    together = Barrier(CLIENTS)

    def one(number: int) -> Any:
        together.wait()
        return pay(bank, source, target, "1.00", key=f"race-of-risk-{number}")

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(one, range(CLIENTS)))
    codes = [answer.json().get("code") for answer in answers]
    assert (codes.count(None), codes.count("risk_blocked")) == (ALLOWED, CLIENTS - ALLOWED)
    again = [pay(bank, source, target, "1.00", key=f"race-of-risk-{number}") for number in range(CLIENTS)]
    assert [answer.content for answer in again] == [answer.content for answer in answers]
    assert found(bank.get(f"accounts/{target}"))["balance"] == "10.00"
    blocked = listed(bank, account=source)
    assert [(item["action"], item["score"]) for item in blocked] == [("block", 70)] * (CLIENTS - ALLOWED)
    assert {item["factors"][0]["found"] for item in blocked} == {str(ALLOWED + 1)}, "a blocked one does not count"


def test_what_is_reviewed_waits_and_is_listed(bank: Service) -> None:
    version = rules(bank, **daily(40, "50.00"))["versions"][POSTING_POLICY]
    source, target = bank.account("100.00"), bank.account()
    waiting = accepted(pay(bank, source, target, "50.01"))
    assert (waiting["status"], waiting["awaits"]) == ("pending", "review")
    transaction = waiting["transaction"]
    account = found(bank.get(f"accounts/{source}"))
    assert (account["balance"], account["available"]) == ("100.00", "49.99")
    [item] = listed(bank, account=source, action="verify")
    assert item | {"recorded_at": None, "position": None} == {
        "account": source,
        "transaction": transaction,
        "kind": "transfer",
        "amount": "50.01",
        "currency": "EUR",
        "score": 40,
        "action": "verify",
        "factors": [{"rule": "daily", "points": 40, "found": "50.01", "allowed": "50.00"}],
        "policy_version": version,
        "recorded_at": None,
        "position": None,
    }
    assert listed(bank, transaction=transaction) == [item]
    assert listed(bank, account=source, action="block") == []
    no = bank.post(f"transactions/{transaction}/approve", role="operator")
    assert (no.status_code, no.json()["code"]) == (403, "forbidden"), "a program reviews nothing"
    done = bank.executed(By(by_person("prsn_reviewer", "operator"), ApprovePending(transaction)))
    assert (done["status"], done["balances"][source]["balance"]) == ("posted", "49.99")
    assert listed(bank, account=source) == [item], "it is not assessed again"


def test_a_customer_learns_no_figures_and_reads_no_assessments(bank: Service) -> None:
    rules(bank, **daily(70, "50.00"))
    token = bank.customer("prsn_risk")
    source, target = bank.account("100.00", owner="prsn_risk"), bank.account()
    no = pay(bank, source, target, "50.01", token=token)
    answer = no.json()
    assert (no.status_code, answer["code"], answer["figures"]) == (422, "risk_blocked", {"account": source})
    for hidden in ("score", "70", "50.00", "daily"):
        assert hidden not in answer["detail"]
    for path in ("risk-assessments", "policies/risk", "policies/risk/versions"):
        assert bank.get(path, token=token).status_code == 403
    [item] = listed(bank, account=source)
    assert item["action"] == "block"
    found(bank.get(f"accounts/{source}"))
    assert bank.get(f"transactions/{item['transaction']}").status_code == 404, "it was never made"


def test_the_versions_of_the_rules_are_read(bank: Service) -> None:
    wanted = {
        "average": {"points": 30, "times": 5, "history": 10},
        "hourly": {"points": 25, "count": 10},
        "daily": {"points": 40, "above": {"EUR": "5000.00", "JPY": "700000"}},
        "young": {"points": 35, "days": 30, "above": {"EUR": "1000.00"}},
    }
    version = rules(bank, **wanted)["versions"][POSTING_POLICY]
    now = found(bank.get("policies/risk"))
    levels = {"on": True, "monitor": 20, "verify": 40, "block": 70}
    assert {name: now[name] for name in (*levels, *wanted)} == {**levels, **wanted}
    assert (now["policy"], now["version"]) == (POSTING_POLICY, version)
    accepted(bank.post("policies/posting", {"most_days_back": 77}, role="operator"), status=200)
    assert found(bank.get("policies/risk")) == now, "another part of the policy changed"
    versions = found(bank.get("policies/risk/versions", limit="200"))["items"]
    assert versions[0]["on"] is False, "the first version is off"
    assert {name: versions[-1][name] for name in wanted} == wanted
    assert [one["version"] for one in versions] == sorted({one["version"] for one in versions})
    same = bank.post("policies/risk", {"on": True, **wanted}, role="operator")
    assert (same.status_code, same.json()["code"]) == (422, "risk_unchanged")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"on": "perhaps"},
        {"on": True, "monitor": 0},
        {"on": True, "block": 1_001},
        {"on": True, "verify": "40.5"},
        {"on": True, "hourly": {"points": 25}},
        {"on": True, "hourly": {"points": 25, "count": -1}},
        {"on": True, "daily": {"points": 40, "above": {"EUR": "1.001"}}},
        {"on": True, "daily": {"points": 40, "above": {"XXX": "1"}}},
        {"on": True, "young": {"points": 40, "days": 0, "above": {}}},
        {"on": True, "average": {"points": 30, "times": 10**30, "history": 1}},
        {"on": True, "unknown": None},
    ],
    ids=str,
)
def test_bad_rules_change_nothing(bank: Service, wrong: dict[str, Any]) -> None:
    before = bank.log_digest()
    answer = bank.post("policies/risk", wrong, role="operator")
    assert 400 <= answer.status_code < 500, answer.text
    assert bank.log_digest() == before


def test_amounts_below_zero_are_refused_by_the_rules(bank: Service) -> None:
    no = bank.post("policies/risk", {"on": True, **daily(40, "-1.00")}, role="operator")
    assert (no.status_code, no.json()["code"]) == (422, "risk_bounds")


def test_only_operators_change_the_rules(bank: Service) -> None:
    for role in ("command", "report", "audit"):
        assert bank.post("policies/risk", OFF, role=role).status_code == 403
