"""Closing a year over HTTP: income and expense go to equity, once; reversing that; races; what `verify` finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest

from domain.accounts.posting import TransactionPosted, internal_account
from domain.kernel import Event
from domain.money import show
from tests.samples.accounts.periods import operators
from tests.support.answers import accepted, eur, found
from tests.support.ledger import assert_sound
from tests.support.periods import (
    FIRST_DAY,
    LAST_DAY,
    OPEN_DAY,
    close,
    events_of,
    findings,
    opened,
    seal,
    wait_until_folded,
)
from tests.support.postgres import Server
from tests.support.service import Service, service_on

REASON = {"reason": "An invoice is missing"}
REVERSES = {"reason": "The year was closed too early", "value_date": OPEN_DAY.isoformat()}
BEFORE, AFTER = LAST_DAY.isoformat(), OPEN_DAY.isoformat()
MOVED = ("fees", "interest", "penalties", "revenue", "rounding")


def role(name: str, currency: str = "EUR") -> str:
    return internal_account("main", name, currency)  # type: ignore[arg-type]


FEES, REVENUE, EQUITY = role("fees"), role("revenue"), role("equity")


@pytest.fixture
def ledger(postgres18: Server) -> Iterator[Service]:
    """A service of its own, because a closing is for the whole log. It is verified at the end."""
    with postgres18.database() as database, service_on(database) as running:
        open_internal(running, "equity")
        yield running
        wait_until_folded(running)
        assert_sound(database)
        assert findings(running) == []


def sealed_period(service: Service) -> str:
    """Close a period, and have it sealed. Returns its id."""
    period: str = accepted(close(service))["period"]
    seal(service)
    return period


def close_year(service: Service, period: str) -> Any:
    return service.post(f"periods/{period}/close-year", {}, role="operator")


def year_closed(service: Service, period: str) -> list[str]:
    """Close the year, and have it done. Returns the transactions that stand."""
    assert accepted(close_year(service, period), 200)["year"] == "asked"
    seal(service)
    wait_until_folded(service)
    shown = found(service.get(f"periods/{period}"))
    assert shown["year"] == "closed", shown
    return [one["transaction"] for one in shown["year_end"] if one["reversed_at"] is None]


def posted(service: Service, debited: str, credited: str, amount: str, day: str, currency: str = "EUR") -> str:
    sides = (("debit", debited), ("credit", credited))
    entries = [{"account": one, "side": side, "amount": amount, "currency": currency} for side, one in sides]
    id: str = accepted(service.post("transactions", {"entries": entries, "value_date": day}))["transaction"]
    return id


def sums(events: Iterable[Event], until: date) -> dict[str, int]:
    """The balance of each account by value date, summed from the entries."""
    balances: dict[str, int] = defaultdict(int)
    for event in events:
        if isinstance(event, TransactionPosted) and event.value_date <= until:
            for entry in event.entries:
                balances[entry.account] += entry.signed
    return {account: balance for account, balance in balances.items() if balance}


def open_internal(service: Service, type: str, currency: str = "EUR") -> None:
    accepted(service.post("accounts", {"type": type, "currency": currency, "name": type}, role="operator"))


def attached(service: Service, account: str, node: str) -> str:
    accepted(service.post(f"accounts/{account}/attach", {"node": node}, role="operator"), 200)
    return account


def test_income_and_expense_go_to_equity_in_each_currency(ledger: Service) -> None:
    for type in ("cash", "fees", "equity"):
        open_internal(ledger, type, "JPY")
    for node, type in (("5000", "expense"), ("2000", "liability"), ("4000", "income")):
        accepted(ledger.post("chart/nodes", {"node": node, "title": "Node", "type": type}, role="operator"))
    open_internal(ledger, "interest")
    one = opened(ledger, "100.00")
    rent, dues = attached(ledger, opened(ledger), "5000"), attached(ledger, opened(ledger, "3.00"), "4000")
    attached(ledger, role("interest"), "2000")
    posted(ledger, one, FEES, "7.50", BEFORE)
    posted(ledger, one, rent, "2.25", BEFORE)
    posted(ledger, one, role("interest"), "1.00", BEFORE)
    posted(ledger, REVENUE, one, "0.75", BEFORE)
    posted(ledger, role("cash", "JPY"), role("fees", "JPY"), "500", BEFORE, "JPY")
    posted(ledger, one, FEES, "4.00", AFTER)  # of the next year
    period = sealed_period(ledger)
    before = sums(events_of(ledger), LAST_DAY)
    transactions = year_closed(ledger, period)
    assert len(transactions) == 2, "one a currency"

    after = sums(events_of(ledger), OPEN_DAY)
    for account in (rent, dues, REVENUE, role("fees", "JPY")):
        assert before[account] != 0
        assert account not in after, "nothing is left"
    assert after[FEES] == 400, "what is of the next year stays"
    assert after[role("interest")] == 100, "its node is no income"
    assert after[EQUITY] == sum(before[account] for account in (FEES, rent, dues, REVENUE))
    assert after[role("equity", "JPY")] == before[role("fees", "JPY")] == 500
    assert sums(events_of(ledger), LAST_DAY) == before, "the closed days are as they were"
    shown = found(ledger.get(f"transactions/{transactions[0]}"))
    assert (shown["kind"], shown["value_date"]) == ("year_end", AFTER)
    assert findings(ledger) == []

    movements = found(ledger.get(f"accounts/{EQUITY}/movements"))["items"]
    assert [(row["day"], row["credits"]) for row in movements] == [(AFTER, show(after[EQUITY], "EUR"))]


def test_a_year_is_closed_once_and_again_after_it_was_reversed(ledger: Service) -> None:
    one = opened(ledger, "100.00")
    posted(ledger, one, FEES, "7.50", BEFORE)
    period = accepted(close(ledger))["period"]
    assert close_year(ledger, period).json()["code"] == "year_not_sealed"
    seal(ledger)
    accepted(close_year(ledger, period), 200)
    assert close_year(ledger, period).json()["code"] == "year_asked"
    seal(ledger)
    wait_until_folded(ledger)
    [early] = [row["transaction"] for row in found(ledger.get(f"periods/{period}"))["year_end"]]
    refused = close_year(ledger, period)
    assert (refused.status_code, refused.json()["code"]) == (422, "year_closed")

    ada, bob = operators(ledger)
    refused = ada.post(f"periods/{period}/reopenings", REASON)
    assert (refused.json()["code"], refused.json()["figures"]["count"]) == ("year_closed", 1)
    part = {**REVERSES, **eur("1.00")}
    accepted(ledger.post(f"transactions/{early}/reverse", part))
    assert close_year(ledger, period).json()["code"] == "year_closed", "a part of it stands"
    accepted(ledger.post(f"transactions/{early}/reverse", REVERSES))
    wait_until_folded(ledger)
    shown = found(ledger.get(f"periods/{period}"))
    assert shown["year"] is None
    assert [row["reversed_at"] is None for row in shown["year_end"]] == [False]
    assert sums(events_of(ledger), OPEN_DAY)[FEES] == 750

    [again] = year_closed(ledger, period)
    assert again != early
    assert sums(events_of(ledger), OPEN_DAY)[EQUITY] == 750
    accepted(ledger.post(f"transactions/{again}/reverse", REVERSES))
    approval = accepted(ada.post(f"periods/{period}/reopenings", REASON))["approval"]
    accepted(bob.post(f"periods/reopenings/{approval}/approve", {}), 200)
    assert close_year(ledger, period).json()["code"] == "period_not_closed"


def test_a_year_without_income_and_expense_is_closed_and_can_be_reopened(ledger: Service) -> None:
    opened(ledger, "100.00")
    period = sealed_period(ledger)
    assert year_closed(ledger, period) == []
    ada, bob = operators(ledger)
    approval = accepted(ada.post(f"periods/{period}/reopenings", REASON))["approval"]
    accepted(bob.post(f"periods/reopenings/{approval}/approve", {}), 200)


def test_what_keeps_a_year_open_is_put_right_and_tried_again(ledger: Service) -> None:
    """An account without which nothing can be posted is opened later. Nothing is posted in half before."""
    for type in ("cash", "fees"):
        open_internal(ledger, type, "JPY")
    posted(ledger, opened(ledger, "9.00"), FEES, "1.00", BEFORE)
    posted(ledger, role("cash", "JPY"), role("fees", "JPY"), "500", BEFORE, "JPY")
    period = sealed_period(ledger)
    accepted(close_year(ledger, period), 200)
    seal(ledger)
    wait_until_folded(ledger)
    assert found(ledger.get(f"periods/{period}"))["year"] == "asked"
    assert sums(events_of(ledger), OPEN_DAY)[FEES] == 100
    [process] = found(ledger.get("processes", manager="year_closing", role="operator"))["items"]
    assert process["cause"] == "internal_account_missing"
    open_internal(ledger, "equity", "JPY")
    accepted(ledger.post(f"processes/{process['process']}/retry", REASON, role="operator"), 200)
    seal(ledger)
    wait_until_folded(ledger)
    assert found(ledger.get(f"periods/{period}"))["year"] == "closed"
    after = sums(events_of(ledger), OPEN_DAY)
    assert (after[EQUITY], after[role("equity", "JPY")]) == (100, 500)


def test_closing_a_year_races_with_reopening(ledger: Service) -> None:
    """Either the year is closed and the period stays closed, or the period is open and nothing was moved."""
    posted(ledger, opened(ledger, "9.00"), FEES, "1.00", BEFORE)
    ada, bob = operators(ledger)
    outcomes = set()
    for head_start in (False, True, False, True):
        period = sealed_period(ledger)
        approval = accepted(ada.post(f"periods/{period}/reopenings", REASON))["approval"]
        accepted(close_year(ledger, period), 200)
        barrier = Barrier(2)

        def reopen(approval: str = approval, barrier: Barrier = barrier) -> int:
            barrier.wait()
            return int(bob.post(f"periods/reopenings/{approval}/approve", {}).status_code)

        def work(barrier: Barrier = barrier, head_start: bool = head_start) -> None:
            if head_start:
                seal(ledger)
            barrier.wait()
            seal(ledger)

        with ThreadPoolExecutor(2) as pool:
            status, done = pool.submit(reopen), pool.submit(work)
            done.result(60)
            reopened = status.result(60) == 200
        seal(ledger)
        wait_until_folded(ledger)
        shown = found(ledger.get(f"periods/{period}"))
        standing = [row["transaction"] for row in shown["year_end"] if row["reversed_at"] is None]
        assert (shown["status"], shown["year"], len(standing)) == (
            ("open", "asked", 0) if reopened else ("sealed", "closed", 1)
        )
        outcomes.add(reopened)
        for id in standing:
            accepted(ledger.post(f"transactions/{id}/reverse", REVERSES))
        if not reopened:
            accepted(bob.post(f"periods/reopenings/{approval}/approve", {}), 200)
    assert False in outcomes, "with a head start the year is closed"


def test_the_next_period_waits_for_nothing_and_stops_the_closing_of_the_year(ledger: Service) -> None:
    posted(ledger, opened(ledger, "9.00"), FEES, "1.00", BEFORE)
    period = sealed_period(ledger)
    accepted(close(ledger, OPEN_DAY, OPEN_DAY, "next"))
    assert close_year(ledger, period).json()["code"] == "year_not_newest"


def test_verify_finds_a_year_that_is_closed_with_another_amount(ledger: Service) -> None:
    posted(ledger, opened(ledger, "9.00"), FEES, "1.37", BEFORE)
    year_closed(ledger, sealed_period(ledger))
    assert findings(ledger) == []
    forged = (
        "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), %s, %s), 'UTF8')"
        " WHERE unit_end = (SELECT max(unit_end) FROM log.events WHERE type = 'period.year_closed.v1')"
    )
    with psycopg.connect(ledger.database.url) as superuser:
        superuser.execute(forged, ('"amount":137,', '"amount":138,'))
    assert f"{FEES} has 137 and 138 is moved" in " ".join(findings(ledger))
    with psycopg.connect(ledger.database.url) as superuser:
        superuser.execute(forged, ('"amount":138,', '"amount":137,'))


def test_who_may_close_a_year_and_what_is_unknown(ledger: Service) -> None:
    unknown = "per_01h455vb4pex5vsknk084sn02q"
    assert ledger.post(f"periods/{unknown}/close-year", {}).status_code == 403
    assert close_year(ledger, unknown).json()["code"] == "period_not_closed"
    assert ledger.post(f"periods/{unknown}/close-year", {"until": "now"}, role="operator").status_code == 400
    year_end = {"kind": "year_end", "entries": [], "value_date": (FIRST_DAY + timedelta(1)).isoformat()}
    assert ledger.post("transactions", year_end).status_code == 400, "only the process posts it"
