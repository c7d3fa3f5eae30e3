"""What users of ERPNext and Firefly III reported of closings, statements and recurring transactions, tried here.

Each test names its report. The numbers are of issues and pull requests of these projects on GitHub.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.accounts.recurring import RunRecurringPayment
from tests.integration.accounts.test_year_end import attached, posted, role, sealed_period, year_closed
from tests.integration.workers.running import daybook, environment
from tests.samples.accounts.recurring_payment import RUNNER
from tests.support.answers import accepted, eur, found
from tests.support.credentials import MovedClock
from tests.support.ledger import NOW, TODAY, assert_sound
from tests.support.memory_ledger import By
from tests.support.periods import FIRST_DAY, LAST_DAY, OPEN_DAY, findings, opened, wait_until_folded
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.text_accounting import TOOLS

DAY = timedelta(days=1)
WHY = {"reason": "as others reported"}


@pytest.fixture
def bank(postgres18: Server) -> Iterator[Service]:
    """A service of its own, whose clock can be moved. It is verified at the end."""
    with postgres18.database() as database, service_on(database, clock=MovedClock(NOW)) as running:
        yield running
        wait_until_folded(running)
        assert_sound(database)
        assert findings(running) == []


def period(begin: date, end: date) -> dict[str, Any]:
    return {"from": begin.isoformat(), "to": end.isoformat()}


def statement(bank: Service, account: str, begin: date, end: date) -> dict[str, Any]:
    """The statement of an account by value date."""
    read: dict[str, Any] = found(bank.get(f"accounts/{account}/statement", by="value", **period(begin, end)))
    return read


def sheet(bank: Service, day: date) -> dict[str, str]:
    """The totals of the balance sheet of a value date, which agree with each other."""
    read = found(bank.get("reports", names="balance-sheet", to=day.isoformat(), currency="EUR"))
    [totals] = read["reports"]["balance-sheet"]["totals"]
    left = sum(Decimal(totals[name]) for name in ("liabilities", "equity", "result", "unattached"))
    assert Decimal(totals["assets"]) == left
    found_totals: dict[str, str] = totals
    return found_totals


def result(bank: Service, begin: date, end: date) -> list[dict[str, str]]:
    """The totals of the income statement."""
    read = found(bank.get("reports", names="income-statement", **period(begin, end)))
    totals: list[dict[str, str]] = read["reports"]["income-statement"]["totals"]
    return totals


# Closings and statements


def test_a_closed_year_has_the_figures_that_it_had_before_it_was_closed(bank: Service) -> None:
    """ERPNext, issues 52870 and 36112: after a closing, accounts began with zero in one report, and rightly in another.

    Pull request 44878: the closed year had no profit and loss any more.
    """
    chart = {"1000": "asset", "2000": "liability", "3000": "equity", "4000": "income", "5000": "expense"}
    for node, type in chart.items():
        accepted(bank.post("chart/nodes", {"node": node, "title": "Node", "type": type}, role="operator"))
    accepted(bank.post("accounts", {"type": "equity", "currency": "EUR", "name": "equity"}, role="operator"))
    ada = attached(bank, opened(bank, "100.00"), "2000")
    cash = attached(bank, role("cash"), "1000")
    fees = attached(bank, role("fees"), "4000")
    rent = attached(bank, bank.account(opened_on="2026-01-01", minimum=None), "5000")
    equity = attached(bank, role("equity"), "3000")
    posted(bank, ada, fees, "7.50", LAST_DAY.isoformat())
    posted(bank, rent, cash, "2.25", LAST_DAY.isoformat())
    posted(bank, ada, fees, "4.00", OPEN_DAY.isoformat())
    accounts = (ada, cash, fees, rent)

    def of_the_year() -> list[Any]:
        statements = [statement(bank, account, FIRST_DAY, LAST_DAY) for account in accounts]
        figures = [(one["opening"], one["closing"], one["entries"]) for one in statements]
        return [figures, sheet(bank, LAST_DAY), result(bank, FIRST_DAY, LAST_DAY)]

    before = of_the_year()
    _, closed_sheet, [income] = before
    assert (closed_sheet["assets"], closed_sheet["result"], closed_sheet["equity"]) == ("97.75", "5.25", "0.00")
    assert (income["income"], income["expenses"], income["result"]) == ("7.50", "2.25", "5.25")
    next_year = [statement(bank, account, OPEN_DAY, TODAY)["opening"] for account in accounts]

    year_closed(bank, sealed_period(bank))
    assert of_the_year() == before
    assert [statement(bank, account, OPEN_DAY, TODAY)["opening"] for account in accounts] == next_year
    assert next_year == [closing for _, closing, _ in before[0]], "each year begins where the one before ended"
    assert [statement(bank, account, OPEN_DAY, TODAY)["closing"] for account in accounts] == [
        "88.50",
        "-97.75",
        "4.00",
        "0.00",
    ]
    now = sheet(bank, OPEN_DAY)
    assert (now["result"], now["equity"]) == ("4.00", "5.25")
    [of_next] = result(bank, OPEN_DAY, TODAY)
    assert (of_next["income"], of_next["expenses"], of_next["result"]) == ("4.00", "0.00", "4.00")
    assert statement(bank, equity, OPEN_DAY, TODAY)["closing"] == "5.25"


@pytest.mark.parametrize("reversed_on", ["original", TODAY.isoformat()])
def test_a_reversed_entry_counts_until_its_reversal(bank: Service, reversed_on: str) -> None:
    """ERPNext, issues 36820 and 39963: opening balances had what was cancelled, and the entries had not."""
    account = opened(bank, "100.00")
    day = LAST_DAY - DAY
    paid = accepted(bank.post(f"accounts/{account}/withdrawals", eur("30.00", value_date=day.isoformat())))
    reverse = {"value_date": reversed_on, **WHY}
    accepted(bank.post(f"transactions/{paid['transaction']}/reverse", reverse, role="operator"))
    old, new = statement(bank, account, FIRST_DAY, LAST_DAY), statement(bank, account, OPEN_DAY, TODAY)
    on_the_day = reversed_on == "original"
    assert (old["closing"], old["entries"]) == (("100.00", 3) if on_the_day else ("70.00", 2))
    assert (new["opening"], new["closing"]) == (old["closing"], "100.00")
    for read in (old, new):
        balance = Decimal(read["opening"])
        for line in read["items"]:
            balance += Decimal(line["amount"])
            assert Decimal(line["balance"]) == balance
        assert balance == Decimal(read["closing"])
    assert found(bank.get(f"accounts/{account}/balance", value_date=LAST_DAY.isoformat()))["balance"] == old["closing"]


def test_what_is_booked_on_the_first_day_of_a_period_is_not_in_its_opening(bank: Service, tmp_path: Path) -> None:
    """Firefly III, issues 2460 and 2984: an account that began on the first of a month had its first day twice."""
    account = bank.account(opened_on=OPEN_DAY.isoformat())
    accepted(bank.post(f"accounts/{account}/deposits", eur("80.00", value_date=OPEN_DAY.isoformat())))
    accepted(bank.post(f"accounts/{account}/withdrawals", eur("5.00", value_date=OPEN_DAY.isoformat())))
    earlier, read = statement(bank, account, FIRST_DAY, LAST_DAY), statement(bank, account, OPEN_DAY, TODAY)
    assert (earlier["closing"], earlier["entries"]) == ("0.00", 0)
    assert (read["opening"], read["debits"], read["credits"], read["closing"]) == ("0.00", "5.00", "80.00", "75.00")
    [day] = found(bank.get(f"accounts/{account}/movements"))["items"]
    assert (day["opening"], day["closing"]) == ("0.00", "75.00")
    after = statement(bank, account, OPEN_DAY + DAY, TODAY)
    assert (after["opening"], after["entries"], after["closing"]) == ("75.00", 0, "75.00")
    number = found(bank.get(f"accounts/{account}"))["number"]
    for begin, openings in ((OPEN_DAY, 0), (OPEN_DAY + DAY, 1)):
        for tool, computed in TOOLS.items():
            file = tmp_path / f"{tool}-{begin}"
            options = ("--format", tool, "--from", begin.isoformat(), "--account", account, "--output", str(file))
            done = daybook("export", "journal", *options, env=environment(bank.database))
            assert done.returncode == 0, done.stderr
            assert computed(file)[f"Liabilities:Checking:{number}", "EUR"] == -75
            assert file.read_text().count("Equity:Opening  ") == openings


# Recurring transactions


def recurring(bank: Service, first_on: date, **more: Any) -> Any:
    body = {
        "payer": bank.account("900.00"),
        "payee": bank.account(),
        "every": 1,
        "unit": "months",
        "first_on": first_on.isoformat(),
        **eur("1.00"),
        **more,
    }
    return bank.post("recurring-payments", body, role="operator")


def payment_of(bank: Service, id: str) -> dict[str, Any]:
    read: dict[str, Any] = found(bank.get(f"recurring-payments/{id}"))
    return read


def move_to(bank: Service, day: date) -> None:
    """Let it be noon of a day."""
    clock = bank.services.clock
    assert isinstance(clock, MovedClock)
    clock.now = datetime.combine(day, time(12), NOW.tzinfo)


def run_until_it_ends(bank: Service, id: str) -> list[str]:
    """The days on which a payment is made, by its own process each time that it is due."""
    days = []
    while (payment := payment_of(bank, id))["due_on"] is not None:
        days.append(payment["due_on"])
        move_to(bank, date.fromisoformat(payment["due_on"]))
        bank.executed(By(RUNNER, RunRecurringPayment(id, payment["number"])))
    assert payment["status"] == "completed"
    return days


def test_no_month_is_left_out_where_its_end_is_on_a_weekend(bank: Service) -> None:
    """Firefly III, issue 5841: a transaction of each 31st, or the Friday before, was not made in February.

    Issue 9294: and more were made than were asked for.
    """
    id = accepted(recurring(bank, date(2026, 11, 30), day=31, day_rule="preceding", runs=6))["payment"]
    expected = ["2026-11-30", "2026-12-31", "2027-01-29", "2027-02-26", "2027-03-31", "2027-04-30"]
    assert run_until_it_ends(bank, id) == expected
    runs = found(bank.get(f"recurring-payments/{id}/runs"))["items"]
    made = [found(bank.get(f"transactions/{run['transaction']}"))["value_date"] for run in runs]
    assert sorted(made) == expected
    answer = bank.post(f"recurring-payments/{id}/resume", {}, role="operator")
    assert answer.json()["code"] == "recurring_status", answer.text


def test_a_first_day_that_the_weekend_moves_to_the_past_is_refused(bank: Service) -> None:
    """Firefly III, issue 5907: the Friday before the first Sunday was never made, and nothing told so."""
    assert TODAY.strftime("%A") == "Saturday"
    answer = recurring(bank, TODAY + DAY, day_rule="preceding")
    assert (answer.status_code, answer.json()["code"]) == (422, "recurring_start")
    friday = (TODAY - DAY).isoformat()
    assert friday in answer.json()["detail"]


def test_what_waits_for_monday_is_still_to_come_on_the_weekend(bank: Service) -> None:
    """Firefly III, issues 2043 and 8616: on a weekend, what was put off to Monday was not among what comes.

    Issue 7788: a change skipped what would have come next.
    """
    monday = TODAY + 2 * DAY
    id = accepted(recurring(bank, TODAY, day_rule="following", runs=2))["payment"]
    assert payment_of(bank, id)["due_on"] == monday.isoformat()
    move_to(bank, TODAY + DAY)
    accepted(bank.post(f"recurring-payments/{id}/pause", {}, role="operator"), 200)
    accepted(bank.post(f"recurring-payments/{id}/amount", eur("2.00"), role="operator"), 200)
    accepted(bank.post(f"recurring-payments/{id}/resume", {}, role="operator"), 200)
    payment = payment_of(bank, id)
    assert (payment["due_on"], payment["number"], payment["amount"]) == (monday.isoformat(), 1, "2.00")
    due = found(bank.get("recurring-payments", status="active", due_until=monday.isoformat()))["items"]
    assert [one["payment"] for one in due] == [id]
    assert run_until_it_ends(bank, id) == [monday.isoformat(), "2026-12-21"]
