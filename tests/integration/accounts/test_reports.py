"""Reports over HTTP: several at one position, who may, the outcomes of commands, and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.accounts.reports import REPORTS
from tests.support.answers import accepted, eur, found
from tests.support.ledger import TODAY
from tests.support.postgres import Server
from tests.support.service import Service, service_on


@pytest.fixture(scope="module")
def bank(postgres18: Server) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database) as running:
        yield running


@pytest.fixture(scope="module")
def recorded_on(bank: Service) -> dict[str, Any]:
    """The day on which the database records, which is not that of the clock of the tests, and the day after."""
    with psycopg.connect(bank.database.url) as connection:
        row = connection.execute("SELECT (now() AT TIME ZONE 'UTC')::date").fetchone()
    assert row is not None
    return {"from": row[0].isoformat(), "to": (row[0] + timedelta(days=1)).isoformat()}


PERIOD: dict[str, Any] = {"from": TODAY.isoformat(), "to": TODAY.isoformat()}
ALL = ",".join(REPORTS)


def test_reports_of_one_answer_are_of_one_position(bank: Service) -> None:
    account = bank.account("100.00")
    first = found(bank.get("reports", names=ALL, **PERIOD))
    assert set(first["reports"]) == set(REPORTS)
    trial = {one["type"]: one for one in first["reports"]["trial-balance"] if one["currency"] == "EUR"}
    accepted(bank.post(f"accounts/{account}/deposits", eur("5.00")))
    then = found(bank.get("reports", names="trial-balance,movements,sizes", as_of=first["as_of"], **PERIOD))
    assert (then["as_of"], then["at"]) == (first["as_of"], first["at"])
    assert then["reports"]["trial-balance"] == first["reports"]["trial-balance"]
    assert then["reports"]["movements"] == first["reports"]["movements"]
    assert then["reports"]["sizes"] == first["reports"]["sizes"]
    now = found(bank.get("reports", names="trial-balance"))
    lines = {(one["currency"], one["type"]): one for one in now["reports"]["trial-balance"]}
    changed = lines["EUR", "checking"]
    assert changed["entries"] == trial["checking"]["entries"] + 1
    movements = found(bank.get("reports", names="movements", currency="EUR", **PERIOD))["reports"]["movements"]
    [moved] = [one for one in movements if one["node"] is None]
    assert moved["debits"] == moved["credits"]


def test_the_rate_counts_each_outcome_of_a_command(bank: Service, recorded_on: dict[str, Any]) -> None:
    def rates() -> dict[str, Any]:
        read = found(bank.get("reports", names="success-rate", **recorded_on))["reports"]["success-rate"]
        return {one["command"]: one for one in read}

    account = bank.account("10.00")
    for amount in ("1.00", "2.00", "500.00"):
        bank.post(f"accounts/{account}/withdrawals", eur(amount), key=f"rate-{amount}")
    again = bank.post(f"accounts/{account}/withdrawals", eur("1.00"), key="rate-1.00")
    assert accepted(again)
    stale = bank.post(f"accounts/{account}/withdrawals", eur("1.00") | {"expected_versions": {account: 1}})
    assert stale.status_code in (409, 412)
    bank.post("accounts/acct_none/withdrawals", eur("1.00"))
    bank.account()
    expected = {"command": "Withdraw", "accepted": 2, "refused": 1, "expectation_failed": 1, "rate": "0.5000"}
    assert rates()["Withdraw"] == expected


def test_reports_are_for_reporting_auditors_and_operators(bank: Service) -> None:
    for role in ("report", "audit", "operator"):
        found(bank.get("reports", names="trial-balance", role=role))
    assert bank.get("reports", names="trial-balance", role="command").status_code == 403
    assert bank.get("reports", names="trial-balance", token=bank.customer("prsn_ada")).status_code == 403


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ({}, "malformed", "names"),
        ({"names": "profit"}, "malformed", "'profit' is not one of"),
        ({"names": "trend", "from": "2026-02-01", "to": "2026-01-31"}, "malformed", "ends on 2026-01"),
        (
            {"names": "trend", "compare_from": "2026-02-01", "compare_to": "2026-01-31"},
            "malformed",
            "ends on 2026-01-31",
        ),
        ({"names": "balance-sheet", "compare_from": "2026-01-01"}, "malformed", "compare_to"),
        ({"names": "trend", "from": "2025-01-01", "to": "2026-01-02"}, "malformed", "366"),
        ({"names": "trend"}, "malformed", "name its first"),
        ({"names": "movements", "from": "2026-01-01"}, "malformed", "name its first"),
        ({"names": "trend", **PERIOD, "every": "hour"}, "malformed", "every"),
        ({"names": "top-accounts", **PERIOD, "top": 101}, "malformed", "top"),
        ({"names": "top-accounts", **PERIOD, "top": 0}, "malformed", "top"),
        ({"names": "trial-balance", "currency": "XXX"}, "malformed", "XXX"),
        ({"names": "income-statement", **PERIOD, "compare_to": "2026-01-01"}, "malformed", "compare_from"),
        ({"names": "trial-balance", "as_of": "main.1.999999"}, "position", "beyond"),
    ],
)
def test_bad_input_of_reports(bank: Service, asked: dict[str, Any], code: str, says: str) -> None:
    response = bank.get("reports", fresh=False, **asked)
    assert (response.status_code // 100, response.json()["code"]) == (4, code), response.text
    assert says in response.json()["detail"]


def test_open_items_of_an_earlier_position_are_refused_once_a_hold_changed(bank: Service) -> None:
    account = bank.account("10.00")
    before = found(bank.get("reports", names="open-items"))["as_of"]
    bank.post(f"accounts/{account}/holds", eur("1.00"))
    bank.account()
    refused = bank.get("reports", names="open-items", as_of=before)
    assert (refused.status_code // 100, refused.json()["code"]) == (4, "position"), refused.text
