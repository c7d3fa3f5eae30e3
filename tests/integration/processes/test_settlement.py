"""Settlements on a real log, by a clock that the test moves: each day once, with two workers, a restart, an outage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from threading import Thread
from typing import Any

import psycopg
import pytest

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.posting import entries_between, internal_account
from domain.accounts.settlement.agreement import AgreeSettlement
from domain.accounts.settlement.running import PAYMENT_KINDS, REFUND_KINDS
from domain.accounts.transaction import PostTransaction, RefundTransaction, ReverseTransaction
from domain.kernel import Event
from domain.process_manager import BACK_OFF
from domain.processes.process import RetryProcess
from domain.registry import MANAGERS
from eventstore.executor.executor import Executor
from eventstore.log.answers import Outcome
from eventstore.postgres.connect import connect
from projections.accounts.merchant_days import MERCHANT_DAY, MERCHANT_DAY_TABLES, merchant_day
from tests.support.ledger import (
    PRINCIPAL,
    TODAY,
    assert_sound,
    balances,
    codec_of,
    executed,
    executor_on,
    new_id,
    opening,
)
from tests.support.memory_ledger import By
from tests.support.merchants import Merchants
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.verify import verify

DAY = timedelta(days=1)
FIRST, AWAY, LAST = date(2028, 2, 26), date(2028, 2, 28), date(2028, 3, 4)
"""The first day, the first one without a worker, and the last one."""
CASH, FEES = internal_account("main", "cash", "EUR"), internal_account("main", "fees", "EUR")
RATE = 25_000


@pytest.fixture
def processes(database18: Database) -> Iterator[Processes]:
    """Processes of all managers. The log is verified at the end."""
    with processes_on(database18, MANAGERS) as made:
        made.ledger.accepted(opening("fees", account=FEES, minimum=None))
        yield made
        made.wait_until_folded()
        assert made.verify().ok
        assert findings(database18) == []
        assert_sound(database18)


def findings(database: Database) -> list[str]:
    with (
        connect(database.audit_url, application_name="verify") as auditor,
        connect(database.audit_url, application_name="verify-keys") as keys,
    ):
        report = verify(auditor, "main", codec_of(keys, 1), patience_seconds=0)
    return [finding.what for check in report.checks for finding in check.findings]


def done(processes: Processes, command: Any) -> None:
    """Execute a command at the time of the clock. It is accepted."""
    answer = executed(processes.ledger.executor, By(PRINCIPAL, command, processes.clock.now))
    assert answer.outcome is Outcome.ACCEPTED, answer


def merchant(processes: Processes) -> tuple[str, str]:
    """A merchant account that is settled from today on, and the account that gets the money."""
    ledger = processes.ledger
    shop, bank = ledger.account(type="merchant", minimum=None), ledger.account()
    done(processes, AgreeSettlement(shop, bank, RATE, processes.clock.now.date()))
    return shop, bank


def paid(processes: Processes, shop: str, amount: int, day: date | None = None) -> str:
    id = new_id("txn")
    entries = entries_between(CASH, shop, amount, "EUR")
    done(processes, PostTransaction(id, "payment", entries, day or processes.clock.now.date()))
    return id


def refund(processes: Processes, payment: str, amount: int) -> None:
    today, reason = processes.clock.now.date(), "it came back"
    done(processes, RefundTransaction(new_id("txn"), payment, today, reason, amount=amount, currency="EUR", fee_rate=0))


def together(processes: Processes, other: Executor) -> None:
    """Two new workers do everything that is due, at the same time."""
    workers = [processes.worker(), processes.worker(executor=other)]
    threads = [Thread(target=settle, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rows(processes: Processes, shop: str) -> list[Any]:
    """Day, status, payments, refunds and net amount of each settlement, from the read table."""
    processes.wait_until_folded()
    with psycopg.connect(processes.ledger.database.url) as connection:
        found = connection.execute(
            "SELECT day, status, payments::int, refunds::int, net::int FROM read.settlements WHERE account = %s"
            " ORDER BY position",
            (shop,),
        )
        return found.fetchall()


def log_of(database: Database) -> list[Event]:
    """All events of the log: the one at position 1 first."""
    with psycopg.connect(database.url) as connection:
        found = connection.execute("SELECT type, payload, stream, version FROM log.events ORDER BY position").fetchall()
        with connect(database.audit_url, application_name="keys") as keys:
            return list(codec_of(keys, 1).decode_many(found))


def test_each_day_is_settled_once_over_a_leap_day_and_an_outage_of_three_days(
    processes: Processes, database18: Database
) -> None:
    """Two workers, new ones each day, and none from 28 February to 1 March."""
    processes.clock.now = datetime.combine(FIRST, time(9), UTC)
    shop, bank = merchant(processes)
    payments: list[str] = []
    days = [FIRST + number * DAY for number in range((LAST - FIRST).days + 1)]
    with executor_on(database18) as other:
        for number, today in enumerate(days):
            processes.clock.now = datetime.combine(today, time(0, 5), UTC)
            payments.append(paid(processes, shop, 1_000))
            if number in (2, 4):
                refund(processes, payments[number], 1_000)
                refund(processes, payments[number - 1], 500)
            if not AWAY <= today < AWAY + 3 * DAY:
                together(processes, other)
        processes.clock.now = datetime.combine(LAST + DAY, time(), UTC)
        together(processes, other)
    usual, back = ("paid", 1_000, 0, 975), ("carried", 1_000, 1_500, -525)
    after = ("paid", 1_000, 0, 450)  # less what was carried over
    assert [day for day, *_ in rows(processes, shop)] == days
    assert [tuple(row) for _, *row in rows(processes, shop)] == [usual, usual, back, after, back, after, usual, usual]
    assert date(2028, 2, 29) in days
    held = balances(database18)
    assert (held[shop], held[FEES]) == (0, 200)
    assert held[bank] == 8_000 - 3_000 - 200


def test_a_merchant_that_is_frozen_stops_no_other_and_is_paid_after_a_retry(processes: Processes) -> None:
    (bad, bad_bank), (good, good_bank) = merchant(processes), merchant(processes)
    for shop in (bad, good):
        paid(processes, shop, 1_000)
    done(processes, FreezeAccount(bad, "a court order"))
    processes.wait_until_folded()
    processes.clock.now = datetime.combine(TODAY + DAY, time(), UTC)
    worker = processes.worker()
    for pause in (timedelta(0), *BACK_OFF):
        processes.clock.forward(pause)
        settle(worker)
    assert [status for _, status, *_ in rows(processes, bad)] == ["failed"]
    assert [status for _, status, *_ in rows(processes, good)] == ["paid"]
    [waiting] = [one for one in processes.all() if one.status == "attention"]
    assert waiting.cause == "account_frozen"
    done(processes, UnfreezeAccount(bad, "the order was lifted"))
    done(processes, RetryProcess(waiting.process, "it is free again"))
    processes.wait_until_folded()
    settle(worker)
    assert [status for _, status, *_ in rows(processes, bad)] == ["paid"]
    held = balances(processes.ledger.database)
    assert (held[bad_bank], held[good_bank], held[bad]) == (975, 975, 0)


# The figures


def test_the_figures_are_those_of_the_definition(processes: Processes, database18: Database) -> None:
    """Random postings, and random questions about them, answered by SQL and from the events."""
    chance = Random(7)
    shop, bank = merchant(processes)
    payments: list[str] = []
    for number in range(80):
        day = TODAY - chance.choice((0, 0, 1, 2)) * DAY
        choice = chance.random()
        if choice < 0.5 or not payments:
            payments.append(paid(processes, shop, chance.randint(1_000, 9_000), day))
        elif choice < 0.7:
            refund(processes, payments.pop(chance.randrange(len(payments))), chance.randint(1, 1_000))
        elif choice < 0.8:
            original = payments.pop(chance.randrange(len(payments)))
            done(processes, ReverseTransaction(new_id("txn"), original, TODAY, "a mistake"))
        else:
            sides = (CASH, shop) if choice < 0.9 else (shop, CASH)
            kind: Any = chance.choice(("transfer", "journal", "payment"))
            amount = chance.randint(1, 500)
            moved = new_id("txn")
            done(processes, PostTransaction(moved, kind, entries_between(*sides, amount, "EUR"), day))
            if choice < 0.85 or number % 2:
                done(processes, ReverseTransaction(new_id("txn"), moved, TODAY, "it is undone"))
    processes.wait_until_folded()
    log = log_of(database18)
    merchants = Merchants(log)
    seen = set()
    with processes.reading() as reads:
        for _ in range(60):
            arguments: dict[str, str | int] = {
                "account": chance.choice((shop, shop, shop, bank)),
                "day": (TODAY - chance.randint(0, 3) * DAY).isoformat(),
                "after": chance.randint(0, len(log)),
                "starts_on": (TODAY - chance.randint(0, 3) * DAY).isoformat(),
            }
            found = merchant_day(reads, arguments)
            assert found == merchants.figures(arguments), arguments
            seen.add(found["entries"])
    assert len(seen) > 10


def test_what_one_of_the_tables_does_not_have_yet_is_counted_later(processes: Processes, database18: Database) -> None:
    shop, _ = merchant(processes)
    paid(processes, shop, 100)
    processes.wait_until_folded()
    arguments: dict[str, str | int] = {
        "account": shop, "day": TODAY.isoformat(), "after": 0, "starts_on": TODAY.isoformat()
    }  # fmt: skip
    with psycopg.connect(database18.url) as owner:
        for table in MERCHANT_DAY_TABLES:
            owner.execute("UPDATE read.checkpoints SET position = 2 WHERE projection = %s", (table,))
            assert merchant_day(owner, arguments) == {"until": 2, "entries": 0, "payments": 0, "refunds": 0}
            owner.rollback()
        assert merchant_day(owner, arguments)["payments"] == 100


def test_the_entries_of_earlier_settlements_are_not_read(processes: Processes, database18: Database) -> None:
    shop, _ = merchant(processes)
    for _ in range(20):
        paid(processes, shop, 100)
    processes.wait_until_folded()
    head = len(log_of(database18))
    arguments: dict[str, str | int] = {
        "account": shop, "day": TODAY.isoformat(), "after": head - 8, "starts_on": TODAY.isoformat()
    }  # fmt: skip
    parameters = {**arguments, "payments": list(PAYMENT_KINDS), "refunds": list(REFUND_KINDS)}
    with psycopg.connect(database18.url, autocommit=True) as owner:
        owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")  # the table is small
        explained = owner.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {MERCHANT_DAY}".encode(),
            {**parameters, "tables": list(MERCHANT_DAY_TABLES)},
        ).fetchone()
    assert explained is not None
    of_entries = [node for node in nodes(explained[0][0]["Plan"]) if node.get("Relation Name") == "entries"]
    assert len(of_entries) == 2
    assert {node["Node Type"] for node in of_entries} == {"Index Scan"}
    assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in of_entries) <= 3


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan and all parts of it."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def test_verify_finds_a_settlement_of_another_amount(processes: Processes, database18: Database) -> None:
    shop, _ = merchant(processes)
    paid(processes, shop, 1_000)
    processes.clock.now = datetime.combine(TODAY + DAY, time(), UTC)
    processes.wait_until_folded()
    settle(processes.worker())
    forged = (
        "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), %s, %s), 'UTF8')"
        " WHERE type = 'settlement.calculated.v1'"
    )
    for old, new, says in (
        ('"payments":1000', '"payments":1001', "has 1 entries, 1001 paid and 0 given back; the log has 1, 1000 and 0"),
        ('"refunds":0', '"refunds":2', "has 1 entries, 1000 paid and 2 given back; the log has 1, 1000 and 0"),
        ('"day":"2026-11-21"', '"day":"2026-11-20"', "has 1 entries of later days"),
    ):
        with psycopg.connect(database18.url) as owner:
            owner.execute(forged, (old, new))
        assert says in " ".join(findings(database18))
        with psycopg.connect(database18.url) as owner:
            owner.execute(forged, (new, old))
