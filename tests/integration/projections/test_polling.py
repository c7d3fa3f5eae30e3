"""A client that polls a list by position misses nothing, in any order of ids."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from domain.kernel import Event as DomainEvent
from domain.orders.order import OrderConfirmed, OrderPlaced
from domain.posts.post import PostDrafted
from projections.accounts.accounts.queries import accounts
from projections.accounts.entries.queries import entries
from projections.accounts.transactions.queries import transactions
from projections.engine.listing import Listed
from projections.engine.runner import Runner
from projections.orders.orders import orders
from projections.posts.posts import posts
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, MOST_LIVES, Filler, a_life, transfer

Read = Callable[..., Listed[Any, int]]


class Poller:
    """Polls a list for new items. It stores only the highest position."""

    def __init__(self, read: Read, connection: Connection[Any], *of: str, **filters: Any) -> None:
        self.seen: list[Any] = []
        self._after = 0
        self._ask: Callable[..., Listed[Any, int]] = partial(read, connection, *of, **filters, limit=2)

    def poll(self) -> None:
        """Read one page, and a second one by cursor if there is one."""
        page = self._ask(after=self._after)
        self._take(page)
        if page.next is not None:
            self._take(self._ask(after=self._after, cursor=page.next))

    def to_the_end(self) -> list[Any]:
        before = -1
        while len(self.seen) > before:
            before = len(self.seen)
            self.poll()
        return self.seen

    def _take(self, page: Listed[Any, int]) -> None:
        self.seen += page.items
        self._after = max([self._after, *(item.position for item in page.items)])


WORDS = st.lists(st.text("abcxyz", min_size=1, max_size=3), unique=True, min_size=1, max_size=12)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(words=WORDS, polls=st.sets(st.integers(0, 11)))
def test_a_poller_misses_nothing(
    filler: Filler, connection: Connection[Any], words: list[str], polls: set[int]
) -> None:
    """Rows are created in any order of ids, and the poller may read between any two of them."""
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    tag = filler.id("t")
    customer, author = f"customer-{tag}", f"author-{tag}"
    begun = filler.position
    lists: list[tuple[Read, dict[str, str], str, str]] = [
        (accounts, {"owner": customer}, "account", "acct"),
        (orders, {"customer": customer}, "order", "ord"),
        (posts, {"author": author}, "post", "post"),
    ]
    filtered = [Poller(read, connection, **filters) for read, filters, _, _ in lists]
    everything = [Poller(read, connection) for read, *_ in lists]
    for poller in everything:
        poller._after = begun
    ids = [f"_{word}{filler.id('')}" for word in words]
    for number, id in enumerate(ids):
        other = filler.id("")
        filler.write(
            [filler.opening(f"acct{id}", owner=customer)],
            [filler.opening(f"acct{other}", owner="somebody-else")],
            [OrderPlaced(f"ord{id}", 1, customer, "EUR", (), (), 0, None, {})],
            [OrderPlaced(f"ord{other}", 1, "somebody-else", "EUR", (), (), 0, None, {})],
            [OrderConfirmed(f"ord{id}", 0)],
            [PostDrafted(f"post{id}", 1, author, "Title", "Body")],
        )
        if number in polls:
            runner.run_to_head()
            for poller in (*filtered, *everything):
                poller.poll()
    runner.run_to_head()
    assert not runner.stopped
    for poller, (_, _, name, prefix) in zip(filtered, lists, strict=True):
        assert [getattr(row, name) for row in poller.to_the_end()] == [f"{prefix}{id}" for id in ids]
    for poller, (_, _, name, _) in zip(everything, lists, strict=True):
        rows = poller.to_the_end()
        assert len({getattr(row, name) for row in rows}) == len(rows) == len(words) * (1 if name == "post" else 2)


@pytest.mark.parametrize("seed", [1, 2])
def test_entries_and_transactions_can_be_polled(filler: Filler, connection: Connection[Any], seed: int) -> None:
    chance = random.Random(seed)
    one, other = filler.opening(), filler.opening()
    filler.write([one], [other])
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    booked = Poller(entries, connection, one.originator_id)
    debits = Poller(entries, connection, one.originator_id, side="debit")
    posted = Poller(transactions, connection)
    ids = (one.originator_id, other.originator_id)
    for number in range(40):
        source, target = ids if chance.random() < 0.5 else ids[::-1]
        filler.write(transfer(f"txn_{chance.randrange(10**6)}_{number}", source, target, 1))
        if chance.random() < 0.4:
            runner.run_to_head()
            for poller in (booked, debits, posted):
                poller.poll()
    runner.run_to_head()
    assert [entry.number for entry in booked.to_the_end()] == list(range(1, 41))
    assert {entry.side for entry in debits.to_the_end()} == {"debit"}
    assert len(debits.seen) == sum(entry.side == "debit" for entry in booked.seen)
    assert len(posted.to_the_end()) == len({row.transaction for row in posted.seen}) == 40
    middle = booked.seen[20]
    newest = entries(connection, one.originator_id, after=middle.position, newest_first=True, limit=100).items
    assert newest == tuple(booked.seen[:20:-1])


KEYS = {
    "account_persons": "account, person",
    "accounts": "account",
    "approvals": "approval",
    "conversions": "conversion",
    "quotes": "quote",
    "rates": "pair, number",
    "sign_ins": "session",
    "chart_accounts": "account",
    "chart_nodes": "node",
    "entries": "account, number",
    "holds": "hold, account",
    "limit_usage": "account, day",
    "business_calendar": "policy",
    "business_calendar_versions": "policy, version",
    "recurring_payments": "payment",
    "transfer_orders": "transfer_order",
    "transfer_order_tries": "transfer_order, version",
    "recurring_runs": "payment, version",
    "fee_schedule_versions": "schedule, number",
    "fee_schedules": "schedule",
    "long_batches": "batch",
    "mails": "mail",
    "movements": "account, day",
    "order_lines": '"order", line',
    "orders": '"order"',
    "people": "person",
    "period_figures": "period, currency, type",
    "periods": "period",
    "year_end_transactions": "transaction",
    "post_revisions": "post, revision",
    "posting_policy": "policy",
    "posting_policy_versions": "policy, version",
    "posts": "post",
    "risk_assessments": "account, version",
    "risk_rules": "policy",
    "risk_rules_versions": "policy, version",
    "processes": "process",
    "refusals": "refusal",
    "template_retirements": "template, number",
    "template_versions": "template, number",
    "templates": "template",
    "transactions": "transaction",
    "trial_balance": "currency, type",
    "settlements": "settlement",
    "settlement_agreements": "agreement",
    "interest": "interest",
    "interest_credits": "account, first_day",
    "payroll_runs": "payroll",
    "payroll_items": "payroll, number",
    "reconciliations": "reconciliation",
    "reconciliation_matches": "match",
    "reconciliation_match_lines": "match, number",
    "reconciliation_match_entries": "match, transaction, entry",
    "statement_parts": "part",
    "statement_lines": "part, number",
    "webhooks": "webhook",
}


def _until_all_happened(filler: Filler, copies: Mapping[str, object]) -> Iterator[list[list[DomainEvent]]]:
    """Some units at a time of one random history after the other, until each copy has a row."""
    for seed in range(11, 11 + MOST_LIVES):
        units = a_life(filler, seed=seed, units=1_000)
        for first in range(0, len(units), 60):
            yield units[first : first + 60]
        if all(copies.values()):
            return


def test_every_changed_row_of_a_report_has_a_later_position(filler: Filler, connection: Connection[Any]) -> None:
    """A tool that stores the highest `last_position` finds every row that is new or changed since."""
    assert {view for projection in PROJECTIONS for view in projection.views} == KEYS.keys()
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    copies: dict[str, dict[str, str]] = {view: {} for view in KEYS}
    for units in _until_all_happened(filler, copies):
        before = filler.position
        filler.write(*units)
        runner.run_to_head()
        for view, key in KEYS.items():
            columns = f"SELECT concat_ws(' ', {key}), v::text FROM reporting.{view} v"
            since = f"{columns} WHERE last_position > %s"
            copies[view] |= dict(filler.connection.execute(since.encode(), (before,)).fetchall())
            assert copies[view] == dict(filler.connection.execute(columns.encode()).fetchall()), view
    assert [view for view, rows in copies.items() if not rows] == []
