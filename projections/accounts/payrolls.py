"""Payroll runs and their items: tables, fold, reporting views and queries.

The items of a run are in the events of its parts, and so is what became of them. The sums of a run are added up from
these events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import orjson
from psycopg import Connection

from domain.accounts.payroll.events import (
    PayrollFinished,
    PayrollItemGivenUp,
    PayrollItemsPaid,
    PayrollItemsParked,
    PayrollPartListed,
    PayrollStopped,
    PayrollSubmitted,
)
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.engine.columns import amount, code, day, index, json_value, moment, number, read_table, total
from projections.engine.listing import Listed, Listing, readable
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.reporting import View

RunStatus = Literal["running", "finished", "stopped"]
ItemStatus = Literal["waiting", "paid", "parked", "given_up"]

# Tables and views.

RUNS = read_table(
    "payroll_runs",
    "One row a payroll run, as it is now. Amounts in minor units.",
    code("payroll", "Public id; also the name of its stream in the log.", key=True),
    code("account", "The account of the company that pays."),
    code("currency", "ISO 4217 code."),
    code("period", "The month that it pays for, such as 2026-11."),
    day("value_date", "The value date of its transactions."),
    code("mode", "at_once: by one transaction. in_parts: from a hold."),
    code("status", "running, finished, or stopped by an operator."),
    number("items", "How many employees it pays."),
    total("total", "The sum of its items."),
    number("paid_items", "How many are paid."),
    total("paid", "The sum of those."),
    number("parked_items", "How many could not be paid, and wait for an operator."),
    total("parked", "The sum of those."),
    number("given_up_items", "How many an operator gave up."),
    total("given_up", "The sum of those."),
    moment("submitted_at", "When it was submitted, UTC."),
    moment("finished_at", "When each item had been paid or parked, UTC. NULL while it runs.", optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("payroll_runs_in_order", "position", unique=True),
    index("payroll_runs_of_account", "account", "position"),
    index("payroll_runs_with_status", "status", "position"),
)
ITEMS = read_table(
    "payroll_items",
    "One row an item of a payroll run, as it is now. Amounts in minor units.",
    code("payroll", "The run.", key=True),
    number("number", "Its number in the run, from 1.", key=True),
    code("employee", "The code of the employee."),
    code("account", "The account of the employee."),
    amount("amount", "What the employee gets."),
    code("currency", "ISO 4217 code."),
    code("status", "waiting, paid, parked or given_up."),
    code("transaction", "The transaction that paid it. NULL while it is not paid.", optional=True),
    code("rule", "The rule by which it was parked. NULL if it was not.", optional=True),
    json_value("figures", "What explains that. NULL if it was not parked.", optional=True),
    number("position", "Position in the log of the event that listed it."),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("payroll_items_with_status", "payroll", "status", "number"),
    index("payroll_items_of_account", "account", "position"),
)

VIEWS = (
    View(
        RUNS,
        "One row a payroll run, as it is now. Amounts in major units.",
        tuple(column.name for column in RUNS.columns),
    ),
    View(
        ITEMS,
        "One row an item of a payroll run, as it is now. Amounts in major units.",
        tuple(column.name for column in ITEMS.columns),
    ),
)

# Fold.


@dataclass(slots=True)
class RunChange:
    """What some events change of one run. Counts and sums are added to those before."""

    submitted: PayrollSubmitted | None = None  # the run is new
    at_first: tuple[int, str] = (0, "")  # position and time of that
    paid_items: int = 0
    paid: int = 0
    parked_items: int = 0
    parked: int = 0
    given_up_items: int = 0
    given_up: int = 0
    version: int = 0  # 0: unchanged
    stopped: bool = False
    finished_at: str | None = None  # None: unchanged
    last: tuple[int, str] = (0, "")


@dataclass(slots=True)
class ItemChange:
    """What some events change of one item. None: unchanged, so that why an item was parked outlasts its payment."""

    status: ItemStatus
    last: tuple[int, str]
    transaction: str | None = None
    rule: str | None = None
    figures: str | None = None


@dataclass(slots=True)
class Changes:
    """The changes of a page."""

    runs: dict[str, RunChange] = field(default_factory=dict)
    listed: list[tuple[int, str, PayrollPartListed]] = field(default_factory=list)
    items: dict[tuple[str, int], ItemChange] = field(default_factory=dict)

    def run(self, payroll: str, position: int, at: str) -> RunChange:
        """The change of a run, whose last event is the one at this position."""
        change = self.runs.setdefault(payroll, RunChange())
        change.last = position, at
        return change

    def item(self, payroll: str, number: int, status: ItemStatus, last: tuple[int, str]) -> ItemChange:
        """The change of an item, which has this status after its last event."""
        change = self.items.setdefault((payroll, number), ItemChange(status, last))
        change.status, change.last = status, last
        return change


def fold(events: Iterable[RecordedEvent]) -> Changes:
    """Sum up what the events change. Raises `FoldError` for a foreign event."""
    changes = Changes()
    for position, at, event in events:
        last = position, at
        match event:
            case PayrollSubmitted():
                run = changes.run(event.originator_id, position, at)
                run.submitted, run.at_first, run.version = event, last, event.originator_version
            case PayrollStopped():
                run = changes.run(event.originator_id, position, at)
                run.stopped, run.version = True, event.originator_version
            case PayrollFinished():
                run = changes.run(event.originator_id, position, at)
                run.finished_at, run.version = at, event.originator_version
            case PayrollPartListed():
                changes.listed.append((position, at, event))
            case PayrollItemsPaid():
                _paid(changes, event, last)
            case PayrollItemsParked():
                _parked(changes, event, last)
            case PayrollItemGivenUp():
                run = changes.run(event.payroll, position, at)
                run.parked_items, run.parked = run.parked_items - 1, run.parked - event.amount
                run.given_up_items, run.given_up = run.given_up_items + 1, run.given_up + event.amount
                changes.item(event.payroll, event.number, "given_up", last)
            case _:
                raise FoldError(f"{type(event).__name__} is none of its events")
    return changes


def _paid(changes: Changes, event: PayrollItemsPaid, last: tuple[int, str]) -> None:
    run, count = changes.run(event.payroll, *last), len(event.numbers)
    run.paid_items, run.paid = run.paid_items + count, run.paid + event.amount
    if event.retried:
        run.parked_items, run.parked = run.parked_items - count, run.parked - event.amount
    for item in event.numbers:
        changes.item(event.payroll, item, "paid", last).transaction = event.transaction


def _parked(changes: Changes, event: PayrollItemsParked, last: tuple[int, str]) -> None:
    run = changes.run(event.payroll, *last)
    run.parked_items, run.parked = run.parked_items + len(event.items), run.parked + event.amount
    for one in event.items:
        item = changes.item(event.payroll, one.number, "parked", last)
        item.rule = one.rule
        item.figures = orjson.dumps(one.figures, option=orjson.OPT_SORT_KEYS).decode()


class Rows(NamedTuple):
    """The parameters of the four statements. An empty tuple means no statement."""

    submitted: tuple[BinaryArray, ...]
    changed_runs: tuple[BinaryArray, ...]
    listed: tuple[BinaryArray, ...]
    changed_items: tuple[BinaryArray, ...]
    counts: tuple[int, int]  # of the runs and the items that change


def lay_out(changes: Changes) -> Rows:
    """The changes as parameters."""
    new = [(change.submitted, change.at_first) for change in changes.runs.values() if change.submitted is not None]
    runs, items = sorted(changes.runs), sorted(changes.items)
    return Rows(
        _submitted([event for event, _ in new], [first for _, first in new]) if new else (),
        _changed_runs(runs, [changes.runs[run] for run in runs]) if runs else (),
        _listed(changes.listed) if changes.listed else (),
        _changed_items(items, [changes.items[item] for item in items]) if items else (),
        (len(runs), len(items)),
    )


def _submitted(events: list[PayrollSubmitted], first: list[tuple[int, str]]) -> tuple[BinaryArray, ...]:
    return (
        text_array([event.originator_id for event in events]),
        text_array([event.account for event in events]),
        text_array([event.currency for event in events]),
        text_array([event.period for event in events]),
        text_array([event.value_date.isoformat() for event in events]),
        text_array([event.mode for event in events]),
        int8_array([event.items for event in events]),
        text_array([str(event.total) for event in events]),
        text_array([at for _, at in first]),
        int8_array([position for position, _ in first]),
    )


def _changed_runs(runs: list[str], changes: list[RunChange]) -> tuple[BinaryArray, ...]:
    return (
        text_array(runs),
        int8_array([change.paid_items for change in changes]),
        text_array([str(change.paid) for change in changes]),
        int8_array([change.parked_items for change in changes]),
        text_array([str(change.parked) for change in changes]),
        int8_array([change.given_up_items for change in changes]),
        text_array([str(change.given_up) for change in changes]),
        int8_array([change.version for change in changes]),
        text_array(["stopped" if change.stopped else None for change in changes]),
        text_array([change.finished_at for change in changes]),
        int8_array([change.last[0] for change in changes]),
        text_array([change.last[1] for change in changes]),
    )


def _listed(parts: list[tuple[int, str, PayrollPartListed]]) -> tuple[BinaryArray, ...]:
    rows = [
        (part.payroll, number, item, part.currency, position, at)
        for position, at, part in parts
        for number, item in enumerate(part.items, part.first)
    ]
    return (
        text_array([payroll for payroll, *_ in rows]),
        int8_array([number for _, number, *_ in rows]),
        text_array([item.employee for _, _, item, *_ in rows]),
        text_array([item.account for _, _, item, *_ in rows]),
        int8_array([item.amount for _, _, item, *_ in rows]),
        text_array([currency for *_, currency, _, _ in rows]),
        int8_array([position for *_, position, _ in rows]),
        text_array([at for *_, at in rows]),
    )


def _changed_items(keys: list[tuple[str, int]], changes: list[ItemChange]) -> tuple[BinaryArray, ...]:
    return (
        text_array([payroll for payroll, _ in keys]),
        int8_array([number for _, number in keys]),
        text_array([change.status for change in changes]),
        text_array([change.transaction for change in changes]),
        text_array([change.rule for change in changes]),
        text_array([change.figures for change in changes]),
        int8_array([change.last[0] for change in changes]),
        text_array([change.last[1] for change in changes]),
    )


def write(connection: Connection[Any], rows: Rows, cache: FoldCache) -> None:
    """Insert what is new, then change runs and items. Raises `FoldError` for one that was never begun."""
    if rows.submitted:
        connection.execute(_SUBMIT, rows.submitted)
    if rows.listed:
        connection.execute(_LIST, rows.listed)
    runs, items = rows.counts
    if rows.changed_runs and (found := connection.execute(_CHANGE_RUNS, rows.changed_runs).rowcount) != runs:
        raise FoldError(f"{runs - found} payroll runs were never submitted")
    if rows.changed_items and (found := connection.execute(_CHANGE_ITEMS, rows.changed_items).rowcount) != items:
        raise FoldError(f"{items - found} items of payroll runs were never listed")


_SUBMIT = """
INSERT INTO payroll_runs (payroll, account, currency, period, value_date, mode, status, items, total, paid_items, paid,
                          parked_items, parked, given_up_items, given_up, submitted_at, version, position,
                          last_position, last_at)
SELECT n.payroll, n.account, n.currency, n.period, n.value_date::date, n.mode, 'running', n.items, n.total::numeric,
       0, 0, 0, 0, 0, 0, n.at::timestamptz, 1, n.position, n.position, n.at::timestamptz
  FROM (SELECT unnest(%s::text[]) AS payroll, unnest(%s::text[]) AS account, unnest(%s::text[]) AS currency,
               unnest(%s::text[]) AS period, unnest(%s::text[]) AS value_date, unnest(%s::text[]) AS mode,
               unnest(%s::bigint[]) AS items, unnest(%s::text[]) AS total, unnest(%s::text[]) AS at,
               unnest(%s::bigint[]) AS position) AS n
"""

_CHANGE_RUNS = """
UPDATE payroll_runs r
   SET paid_items = r.paid_items + c.paid_items, paid = r.paid + c.paid::numeric,
       parked_items = r.parked_items + c.parked_items, parked = r.parked + c.parked::numeric,
       given_up_items = r.given_up_items + c.given_up_items, given_up = r.given_up + c.given_up::numeric,
       version = greatest(r.version, c.version),
       status = coalesce(c.stopped, CASE WHEN c.finished_at IS NOT NULL AND r.status = 'running' THEN 'finished'
                                         ELSE r.status END),
       finished_at = coalesce(c.finished_at::timestamptz, r.finished_at),
       last_position = c.position, last_at = c.at::timestamptz
  FROM (SELECT unnest(%s::text[]) AS payroll, unnest(%s::bigint[]) AS paid_items, unnest(%s::text[]) AS paid,
               unnest(%s::bigint[]) AS parked_items, unnest(%s::text[]) AS parked,
               unnest(%s::bigint[]) AS given_up_items, unnest(%s::text[]) AS given_up,
               unnest(%s::bigint[]) AS version, unnest(%s::text[]) AS stopped, unnest(%s::text[]) AS finished_at,
               unnest(%s::bigint[]) AS position, unnest(%s::text[]) AS at) AS c
 WHERE r.payroll = c.payroll
"""

_LIST = """
INSERT INTO payroll_items (payroll, number, employee, account, amount, currency, status, position, last_position,
                           last_at)
SELECT n.payroll, n.number, n.employee, n.account, n.amount, n.currency, 'waiting', n.position, n.position,
       n.at::timestamptz
  FROM (SELECT unnest(%s::text[]) AS payroll, unnest(%s::bigint[]) AS number, unnest(%s::text[]) AS employee,
               unnest(%s::text[]) AS account, unnest(%s::bigint[]) AS amount, unnest(%s::text[]) AS currency,
               unnest(%s::bigint[]) AS position, unnest(%s::text[]) AS at) AS n
"""

# Why an item was parked is kept once it is paid.
_CHANGE_ITEMS = """
UPDATE payroll_items i
   SET status = c.status, transaction = coalesce(c.transaction, i.transaction), rule = coalesce(c.rule, i.rule),
       figures = coalesce(c.figures::json, i.figures), last_position = c.position, last_at = c.at::timestamptz
  FROM (SELECT unnest(%s::text[]) AS payroll, unnest(%s::bigint[]) AS number, unnest(%s::text[]) AS status,
               unnest(%s::text[]) AS transaction, unnest(%s::text[]) AS rule, unnest(%s::text[]) AS figures,
               unnest(%s::bigint[]) AS position, unnest(%s::text[]) AS at) AS c
 WHERE i.payroll = c.payroll AND i.number = c.number
"""

PAYROLLS = Projection(
    name="payrolls",
    area="accounts",
    events=(
        PayrollSubmitted,
        PayrollStopped,
        PayrollFinished,
        PayrollPartListed,
        PayrollItemsPaid,
        PayrollItemsParked,
        PayrollItemGivenUp,
    ),
    read_tables=(RUNS, ITEMS),
    reports=VIEWS,
    fold=lambda events: lay_out(fold(events)),
    write=write,
)

# Queries.


@dataclass(frozen=True, slots=True)
class PayrollRow:
    """A payroll run as it is now; amounts in minor units."""

    payroll: str
    account: str
    currency: str
    period: str
    value_date: date
    mode: str
    status: str
    items: int
    total: int
    paid_items: int
    paid: int
    parked_items: int
    parked: int
    given_up_items: int
    given_up: int
    submitted_at: datetime
    finished_at: datetime | None
    version: int
    position: int


@dataclass(frozen=True, slots=True)
class PayrollItemRow:
    """An item of a payroll run as it is now; the amount in minor units."""

    number: int
    employee: str
    account: str
    amount: int
    currency: str
    status: str
    transaction: str | None
    rule: str | None
    figures: dict[str, Any] | None


RUN_LIST = Listing(readable(RUNS), PayrollRow, filters=("payroll", "account", "period", "status"))
ITEM_LIST = Listing(readable(ITEMS), PayrollItemRow, key="number", filters=("payroll", "status", "employee", "account"))


def payroll(connection: Connection[Any], payroll: str) -> PayrollRow | None:
    """One run by its id."""
    return RUN_LIST.one(connection, payroll=payroll)


def payrolls(
    connection: Connection[Any],
    *,
    account: str | None = None,
    period: str | None = None,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[PayrollRow, int]:
    """Runs in the order in which they were submitted; `after` and `cursor` are positions."""
    filters = {"account": account, "period": period, "status": status, "after": after}
    return RUN_LIST.read(connection, filters, limit, cursor=cursor)


def payroll_items(
    connection: Connection[Any],
    payroll: str,
    *,
    status: str | None = None,
    employee: str | None = None,
    account: str | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[PayrollItemRow, int]:
    """The items of a run in their order; `cursor` is the number of an item."""
    filters = {"payroll": payroll, "status": status, "employee": employee, "account": account}
    return ITEM_LIST.read(connection, filters, limit, cursor=cursor)
