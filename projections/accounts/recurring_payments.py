"""Recurring payments as they are now, and their runs: tables, fold, reporting views, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import orjson
from psycopg import Connection
from sqlalchemy import bindparam, or_, select

from domain.accounts.recurring.state import (
    RecurringAmountChanged,
    RecurringPaymentCancelled,
    RecurringPaymentCreated,
    RecurringPaymentPaused,
    RecurringPaymentResumed,
    RecurringPaymentRun,
    RecurringPaymentStruck,
    RecurringPaymentSuspended,
)
from projections.accounts.account_persons import SEEN
from projections.engine.columns import (
    amount,
    code,
    day,
    flag,
    free_text,
    index,
    json_value,
    moment,
    number,
    read_table,
)
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable
from projections.engine.reporting import View, last_position
from projections.engine.rows import erasable
from projections.engine.writing import Row

RunOutcome = Literal["done", "refused"]

# Tables.

TABLE = read_table(
    "recurring_payments",
    "One row a recurring payment, as it is now. Amounts in minor units.",
    code("payment", "Public id; also the name of its stream in the log.", key=True),
    code("status", "active, paused, suspended, completed or cancelled."),
    code("payer", "The account that pays."),
    code("payee", "The account that is paid."),
    amount("amount", "The amount of the next runs."),
    code("currency", "ISO 4217 code."),
    code("unit", "The unit of its period: days or months."),
    number("every", "How many days or months its period has.", bits=32),
    day("first_on", "The first date, before the business calendar moves it."),
    number("day", "The day of the month, if it was given. A shorter month has its last day instead.", optional=True),
    code("day_rule", "What moves a date that is no business day."),
    day("last_on", "No run has a later date. NULL: no such end.", optional=True),
    number("runs", "How many runs it has. NULL: no such end.", optional=True),
    number("number", "The number of its next run, from 1; of the last one once it is completed."),
    day("due_on", "When its next run is due. NULL: it has none, until it is resumed.", optional=True),
    number("strikes", "How often the next run was refused, or the one that was given up.", bits=32),
    code("rule", "The rule that refused it last. NULL: none since a run was carried out.", optional=True),
    moment("retry_at", "When the next run is tried again, UTC. NULL: it was not refused.", optional=True),
    code("transaction", "The transaction of its last run. NULL: it had none.", optional=True),
    code("reference", "The reference of each of its transactions.", optional=True),
    json_value("metadata", "Pairs of codes that each of its transactions gets, as a JSON object."),
    code("subject", "The person whose key seals the description. NULL without a description.", optional=True),
    free_text("description", "Free text. NULL once the person it is about was erased.", optional=True),
    flag("description_erased", "Whether the description is gone with a person's key."),
    code("initiator", "The person who set it going last. NULL: a program.", optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its creation."),
    moment("created_at", "When it was created, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("recurring_payments_in_order", "position", unique=True),
    index("recurring_payments_of_payer", "payer", "position"),
    index("recurring_payments_of_payee", "payee", "position"),
    index("recurring_payments_in_status", "status", "position"),
    index("recurring_payments_due", "due_on", "position", where="due_on IS NOT NULL"),
    index("recurring_payments_of_subject", "subject", where="subject IS NOT NULL"),
    personal=PersonalText("subject", {"description": "description_erased"}),
)

RUNS = read_table(
    "recurring_runs",
    "One row each time that a run of a recurring payment was carried out or refused. Rows are never changed.",
    code("payment", "The recurring payment.", key=True),
    number("version", "Version of its stream.", key=True),
    number("number", "The number of the run, from 1. A run that was refused is tried again."),
    day("due_on", "When it was due."),
    code("outcome", "done or refused."),
    code("transaction", "Its transaction. NULL: it was refused.", optional=True),
    code("rule", "The rule that refused it. NULL: it was carried out.", optional=True),
    number("strikes", "How often it was refused by then, one after the other.", bits=32),
    moment("retry_at", "When it is tried again, UTC. NULL: it is not.", optional=True),
    number("position", "Position in the log of this event."),
    moment("recorded_at", "When it was recorded, UTC."),
    index("recurring_runs_in_order", "position", unique=True),
    index("recurring_runs_of_payment", "payment", "position"),
)

# Fold.


def created(row: Row, event: RecurringPaymentCreated) -> Row:
    """A new payment."""
    schedule = event.schedule
    description, erased = erasable(event.description)
    return {
        **row,
        "status": "active",
        "payer": event.payer,
        "payee": event.payee,
        "amount": event.amount,
        "currency": event.currency,
        "unit": schedule.unit,
        "every": schedule.every,
        "first_on": schedule.first_on,
        "day": schedule.day,
        "day_rule": schedule.day_rule,
        "last_on": schedule.last_on,
        "runs": schedule.runs,
        "number": 1,
        "due_on": event.due_on,
        "strikes": 0,
        "reference": event.reference,
        "metadata": orjson.dumps(event.metadata, option=orjson.OPT_SORT_KEYS).decode(),
        "subject": event.subject,
        "description": description,
        "description_erased": erased,
        "initiator": event.initiator,
        "position": row["last_position"],
        "created_at": row["last_at"],
    }


def run(row: Row, event: RecurringPaymentRun) -> Row:
    """A run is done, and the next one is due at its time."""
    ended = event.next_on is None
    return {
        **row,
        "status": "completed" if ended else "active",
        "number": event.number if ended else event.number + 1,
        "due_on": event.next_on,
        "transaction": event.transaction,
        **_UNREFUSED,
    }


_UNREFUSED: Row = {"strikes": 0, "rule": None, "retry_at": None}


def struck(row: Row, event: RecurringPaymentStruck) -> Row:
    """The next run was refused."""
    return {**row, "strikes": event.strikes, "rule": event.rule, "retry_at": _text(event.retry_at)}


def suspended(row: Row, event: RecurringPaymentSuspended) -> Row:
    """It stops, and the run is given up."""
    return {**row, "status": "suspended", "number": event.number + 1, "due_on": None}


def paused(row: Row, event: RecurringPaymentPaused) -> Row:
    """Nothing is due."""
    return {**row, "status": "paused", "due_on": None, **_UNREFUSED}


def resumed(row: Row, event: RecurringPaymentResumed) -> Row:
    """It goes on."""
    due = {"number": event.number, "due_on": event.due_on, "initiator": event.initiator}
    return {**row, "status": "active", **due, **_UNREFUSED}


def amount_changed(row: Row, event: RecurringAmountChanged) -> Row:
    """Another amount from the next run on."""
    return {**row, "amount": event.amount, "initiator": event.initiator}


def cancelled(row: Row, event: RecurringPaymentCancelled) -> Row:
    """It ends."""
    return {**row, "status": "cancelled", "due_on": None, **_UNREFUSED}


def run_of(row: Row, event: RecurringPaymentRun) -> list[tuple[Any, ...]]:
    """The row of a run that is done."""
    return [_run(row, event, "done", event.transaction, None, 0, None)]


def refusal_of(row: Row, event: RecurringPaymentStruck) -> list[tuple[Any, ...]]:
    """The row of a run that was refused."""
    return [_run(row, event, "refused", None, event.rule, event.strikes, event.retry_at)]


def _run(
    row: Row,
    event: RecurringPaymentRun | RecurringPaymentStruck,
    outcome: RunOutcome,
    transaction: str | None,
    rule: str | None,
    strikes: int,
    retry_at: datetime | None,
) -> tuple[Any, ...]:
    key = event.originator_id, event.originator_version
    about = event.number, event.due_on, outcome, transaction, rule, strikes, _text(retry_at)
    return *key, *about, row["last_position"], row["last_at"]


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


FOLD = RowFold(
    TABLE,
    starts={RecurringPaymentCreated: created},
    changes={
        RecurringPaymentRun: run,
        RecurringPaymentStruck: struck,
        RecurringPaymentSuspended: suspended,
        RecurringPaymentPaused: paused,
        RecurringPaymentResumed: resumed,
        RecurringAmountChanged: amount_changed,
        RecurringPaymentCancelled: cancelled,
    },
)

RECURRING_PAYMENTS = declared(
    "recurring_payments",
    FOLD,
    area="accounts",
    details={RUNS: {RecurringPaymentRun: run_of, RecurringPaymentStruck: refusal_of}},
    reports=(
        View(
            TABLE,
            "One row a recurring payment, as it is now. Amounts in major units.",
            (
                "payment",
                "status",
                "payer",
                "payee",
                "amount",
                "currency",
                "unit",
                "every",
                "first_on",
                "day",
                "day_rule",
                "last_on",
                "runs",
                "number",
                "due_on",
                "strikes",
                "rule",
                "retry_at",
                "transaction",
                "reference",
                "metadata",
                "description",
                "initiator",
                "version",
                "position",
                "created_at",
                "last_position",
                "last_at",
            ),
        ),
        View(
            RUNS,
            "One row each time that a run of a recurring payment was carried out or refused.",
            (*RUNS.columns.keys(), last_position("t.position")),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class RecurringPaymentRow:
    """A recurring payment as it is now; the amount in minor units."""

    payment: str
    status: str
    payer: str
    payee: str
    amount: int
    currency: str
    unit: str
    every: int
    first_on: date
    day: int | None
    day_rule: str
    last_on: date | None
    runs: int | None
    number: int
    due_on: date | None
    strikes: int
    rule: str | None
    retry_at: datetime | None
    transaction: str | None
    reference: str | None
    metadata: dict[str, str]
    description: str | None
    description_erased: bool
    initiator: str | None
    version: int
    position: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecurringRunRow:
    """A run that was carried out or refused."""

    payment: str
    number: int
    due_on: date
    outcome: str
    transaction: str | None
    rule: str | None
    strikes: int
    retry_at: datetime | None
    position: int
    recorded_at: datetime


_T, _R = readable(TABLE), readable(RUNS)
_SEEN = _T.c.payer.in_(SEEN)
PAYMENT_LIST = Listing(
    _T,
    RecurringPaymentRow,
    filters=("payment", "status"),
    conditions={
        "account": or_(_T.c.payer == bindparam("account"), _T.c.payee == bindparam("account")),
        "due_until": _T.c.due_on <= bindparam("due_until"),
    },
    visible=Visible(_SEEN),
)
RUN_LIST = Listing(
    _R,
    RecurringRunRow,
    filters=("payment",),
    visible=Visible(_R.c.payment.in_(select(_T.c.payment).where(_SEEN))),
)


def recurring_payment(
    connection: Connection[Any], payment: str, *, reader: Reader = EVERYTHING
) -> RecurringPaymentRow | None:
    """One recurring payment by its id."""
    return PAYMENT_LIST.one(connection, reader=reader, payment=payment)


def recurring_payments(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    account: str | None = None,
    status: str | None = None,
    due_until: date | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[RecurringPaymentRow, int]:
    """Recurring payments in the order in which they were created; `after` and `cursor` are positions."""
    filters = {"account": account, "status": status, "due_until": due_until, "after": after}
    return PAYMENT_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)


def runs(
    connection: Connection[Any],
    payment: str,
    *,
    reader: Reader = EVERYTHING,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[RecurringRunRow, int]:
    """The runs of a payment, with those that were refused, oldest first; `after` and `cursor` are positions."""
    return RUN_LIST.read(connection, {"payment": payment, "after": after}, limit, cursor=cursor, reader=reader)
