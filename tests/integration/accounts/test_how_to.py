"""The pages about accounts and transactions: their commands are executed as written, one page after the other.

All pages have one service. What a page changes for the whole log comes last: the posting policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any, get_args

import pytest

from domain.accounts.numbers import InternalRole
from tests.integration.workers.running import settings_of
from tests.samples.accounts.periods import operators
from tests.support.ledger import assert_sound
from tests.support.long_batches import long_batch_worker
from tests.support.pages import codes, executed, text_of
from tests.support.periods import findings, wait_until_folded
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from workers.processes.running import run_processes


@pytest.fixture(scope="module")
def running(postgres18: Server) -> Iterator[Service]:
    """A service with what `make run` has beside it: the internal accounts, and a worker of process managers.

    Its clock is that of the machine, as in the shell that executes the pages. It is verified at the end.
    """
    with postgres18.database() as database, service_on(database, clock=lambda: datetime.now(UTC)) as service:
        for role in get_args(InternalRole):
            for currency in ("EUR", "USD"):
                service.post("accounts", {"type": role, "currency": currency, "name": role}, role="operator")
        stop = Event()
        worker = Thread(target=run_processes, args=(settings_of(database), stop))
        worker.start()
        try:
            yield service
        finally:
            stop.set()
            worker.join()
        wait_until_folded(service)
        assert_sound(database)
        assert findings(service) == []


def tokens(service: Service) -> dict[str, str]:
    """The tokens of two operators who are persons, as the pages name them."""
    ada, bob = operators(service)
    return {"ADA": ada.access, "BOB": bob.access}


def outcomes(answers: list[Any]) -> list[str]:
    """What became of each command: its outcome, or the rule that refused it."""
    return [one.get("code", one.get("outcome")) for one in answers if "code" in one or "outcome" in one]


def test_holds(running: Service, tmp_path: Path) -> None:
    *_, placed, part, more, released, open_ones, hold = executed("hold-and-capture.md", running, tmp_path)
    assert (placed["balance"], placed["available"]) == ("150.00", "50.00")
    assert (part["hold"], part["remaining"]) == (placed["hold"], "70.00")
    assert more["code"] == "hold_exceeded"
    assert (released["balance"], released["available"]) == ("120.00", "120.00")
    assert open_ones["items"] == []
    assert (hold["status"], hold["amount"]) == ("released", "100.00")
    assert (hold["captured"], hold["remaining"]) == ("30.00", "0.00")


def test_periods(running: Service, tmp_path: Path) -> None:
    answers = executed("close-periods.md", running, tmp_path, **tokens(running))
    assert codes(answers) == ["period_closed"]
    *_, sealed, asked, closed, again, undone, requested, reopened = answers
    assert sealed["status"] == "sealed"
    balances = {one["type"]: one["balance"] for one in sealed["figures"]}
    assert balances == {"cash": "-100.00", "checking": "95.00", "fees": "5.00"}
    assert (asked["year"], closed["year"], again["year_end"]) == ("asked", "closed", closed["year_end"])
    [year_end] = closed["year_end"]
    assert (undone["original"], undone["status"]) == (year_end["transaction"], "reversed")
    assert (reopened["approval"], reopened["status"]) == (requested["approval"], "open")


def test_currencies(running: Service, tmp_path: Path) -> None:
    answers = executed("convert-currencies.md", running, tmp_path)
    assert codes(answers) == ["rate_moved"]
    *_, converted, _, quoted, by_quote, conversions, rates = answers
    says = (
        f"{converted['source_amount']} EUR are {converted['target_amount']} USD, the spread is "
        f"{converted['spread_amount']} USD, the remainder {converted['remainder']}."
    )
    assert says in text_of("convert-currencies.md")
    assert (by_quote["quote"], by_quote["target_amount"]) == (quoted["quote"], quoted["target_amount"])
    assert [one["conversion"] for one in conversions["items"]] == [converted["conversion"], by_quote["conversion"]]
    assert [one["rate"] for one in rates["items"]] == ["1.086500"]


def test_conditions(running: Service, tmp_path: Path) -> None:
    answers = executed("conditions.md", running, tmp_path)
    payouts = ["accepted", "condition_failed", "accepted", "condition_failed", "accepted"]
    assert outcomes(answers[3:]) == [*payouts, "accepted", "reference_taken"]
    assert [one["figures"]["actual"] for one in answers if one.get("code") == "condition_failed"] == ["95.00"] * 2
    *_, paid, again = answers
    assert again["figures"]["transaction"] == paid["transaction"]


def test_search_and_reports(running: Service, tmp_path: Path) -> None:
    answers = executed("reports.md", running, tmp_path)
    assert codes(answers) == ["below_minimum", "malformed"]
    prefix, amounts, waiting, failed, stuck, _, history, books, volumes, _ = answers[-10:]
    assert [one["reference"] for one in prefix["items"]] == ["rent-2026-11", "rent-2026-12"]
    assert [one["entries"][0]["amount"] for one in amounts["items"]] == ["450.00"]
    assert [one["status"] for one in waiting["items"]] == ["pending"]
    assert [one["rule"] for one in failed["items"]] == ["below_minimum"]
    assert (stuck["older_than"], stuck["transactions"]) == (1440, [])
    assert [one["status"] for one in history["items"]] == ["posted"]
    trial = [(one["debits"], one["credits"]) for one in books["reports"]["trial-balance"]]
    assert sum(Decimal(debits) - Decimal(credits) for debits, credits in trial) == 0
    assert ("transaction", 0) in {(one["what"], one["days"]) for one in books["reports"]["open-items"]}
    assert [one["currency"] for one in volumes["reports"]["sizes"]] == ["EUR"]
    rates = {one["command"]: one for one in volumes["reports"]["success-rate"]}
    assert rates["Transfer"]["refused"] >= 1


def test_waiting_and_undoing(running: Service, tmp_path: Path) -> None:
    answers = executed("wait-approve-and-reverse.md", running, tmp_path, **tokens(running))
    assert codes(answers) == ["approval_by_initiator"]
    reserved, posted, waiting, asked, _, approved, reversal, refund, chargeback, undoing = answers[3:]
    assert [one["status"] for one in (reserved, posted, asked, approved)] == ["pending", "posted", "pending", "posted"]
    assert (waiting["items"], asked["awaits"]) == ([], "approval")
    left = [(one["status"], one["left"]["1"]) for one in (reversal, refund, chargeback)]
    assert left == [("partly_reversed", "490.00"), ("partly_reversed", "390.00"), ("reversed", "0.00")]
    kinds = {one["kind"]: [entry["amount"] for entry in one["entries"]] for one in undoing["items"]}
    assert kinds == {
        "reversal": ["10.00", "10.00"],
        "refund": ["97.50", "100.00", "2.50"],
        "chargeback": ["390.00", "390.00"],
    }


@contextmanager
def carrying_out(service: Service) -> Iterator[None]:
    """A worker of long batches beside the service."""
    stop = Event()

    def work() -> None:
        with long_batch_worker(service) as worker:
            while not stop.is_set():
                if not worker.sweep(stop):
                    stop.wait(0.05)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield
        finally:
            stop.set()
        working.result()


def test_batches(running: Service, tmp_path: Path) -> None:
    with carrying_out(running):
        answers = executed("batches.md", running, tmp_path)
    *_, items, command, batch, listed = answers[:-8]
    opened, _, first, second, finished, answered, other, stopped = answers[-8:]
    assert [(one["part"], one["received"], one["status"]) for one in (first, second)] == [
        (1, 2, "receiving"),
        (2, 3, "running"),
    ]
    assert (finished["status"], finished["outcomes"]["accepted"]) == ("finished", 3)
    assert [(one["key"], one["outcome"]) for one in answered["items"]] == [
        (f"bonus-{number}", "accepted") for number in (1, 2, 3)
    ]
    assert (opened["items"], opened["status"]) == (3, "receiving")
    assert (other["status"], stopped["status"]) == ("receiving", "stopped")
    assert [(item["key"], item["status"]) for item in items] == [("salary-1", 201), ("salary-2", 422)]
    assert items[1]["body"]["code"] == "below_minimum"
    assert command["answer"]["batch"] == batch["batch"]
    assert {what: count for what, count in batch["outcomes"].items() if count} == {"accepted": 1, "refused": 1}
    answered = [{name: value for name, value in item["body"].items() if name != "instance"} for item in items]
    assert [one["body"] for one in listed["items"]] == answered


def test_describing_and_closing(running: Service, tmp_path: Path) -> None:
    answers = executed("describe-and-close-accounts.md", running, tmp_path)
    assert codes(answers) == ["balance_not_zero", "account_closing"]
    *_, listed, _, closed, held, rest, _, asked, _, captured, when_free, swept, reopened, shown = answers
    assert (held["available"], asked["holds"], asked["status"]) == ("50.00", 1, "open")
    assert (captured["remaining"], when_free["closing_to"], when_free["balance"]) == ("0.00", None, "0.00")
    assert (swept["account"], swept["balance"]) == (rest["account"], "70.00")
    [account] = listed["items"]
    assert (account["name"], account["metadata"]) == ("Ada King", {"branch": "13"})
    assert sorted(one["balance"] for one in closed["balances"].values()) == ["0.00", "80.00"]
    assert (closed["status"], reopened["status"], shown["status"]) == ("closed", "open", "open")


def test_payroll(running: Service, tmp_path: Path) -> None:
    answers = executed("run-payroll.md", running, tmp_path)
    assert codes(answers) == ["payroll_employee_twice"]
    small, _, large, run, parked, _, retried, _, after, ben = [one for one in answers if "code" not in one][5:]
    assert (small["status"], small["items"], small["total"]) == ("finished", 3, "2400.00")
    assert (large["status"], large["items"], large["total"]) == ("running", 1_000, "1509.98")
    assert (run["status"], run["paid_items"], run["paid"], run["parked_items"]) == ("finished", 1, "800.00", 999)
    assert run["seconds"] > 0
    assert [one["rule"] for one in parked["items"]] == ["account_frozen", "payroll_account_missing"]
    assert parked["items"][1]["because"] == f"There is no account {parked['items'][1]['account']}."
    assert retried["status"] == "paid"
    assert [after[f"{what}_items"] for what in ("paid", "parked", "given_up")] == [2, 997, 1]
    assert [(one["employee"], one["status"]) for one in ben["items"]] == [("E-1001", "paid")]


def test_risk_rules(running: Service, tmp_path: Path) -> None:
    answers = executed("risk-rules.md", running, tmp_path)
    assert codes(answers) == ["risk_blocked"]
    [waiting] = [answer for answer in answers if "awaits" in answer]
    assert (waiting["status"], waiting["awaits"]) == ("pending", "review")
    *_, found, rules, versions, _ = answers
    scores = [
        (item["action"], item["score"], [factor["rule"] for factor in item["factors"]]) for item in found["items"]
    ]
    assert scores == [
        ("monitor", 20, ["young"]),
        ("monitor", 25, ["hourly"]),
        ("block", 85, ["hourly", "daily", "young"]),
        ("verify", 60, ["daily", "young"]),
    ]
    assert (rules["on"], rules["hourly"]) == (True, None)
    assert [version["on"] for version in versions["items"]][-2:] == [True, True]


def test_limits(running: Service, tmp_path: Path) -> None:
    answers = executed("limit-accounts.md", running, tmp_path)
    assert codes(answers) == ["outgoing_limit"]
    *_, paid, refused, usage, policy, waiting = answers
    assert "-50.00" in [one["balance"] for one in paid["balances"].values()]
    assert [refused["figures"][name] for name in ("limit", "used", "left")] == ["an hour", "450.00", "50.00"]
    assert [one["used"] for one in usage["items"]] == ["450.00"]
    assert policy["counted_kinds"] == ["transfer", "withdrawal"]
    assert (waiting["status"], waiting["awaits"]) == ("pending", "approval")
