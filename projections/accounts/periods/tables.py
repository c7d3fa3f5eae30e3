"""The tables of periods and of their figures, and the reporting views."""

from __future__ import annotations

from projections.engine.columns import code, day, flag, free_text, index, moment, number, read_table, total
from projections.engine.erasure import PersonalText
from projections.engine.reporting import Shown, View, last_position

TABLE = read_table(
    "periods",
    "One row a period that was closed, as it is now. One that is closed again after it was reopened has another row.",
    code("period", "Public id.", key=True),
    code("name", "What the period is called, such as 2026-01. No two closed ones have the same."),
    day("begins_on", "Its first day."),
    day("ends_on", "Its last day. While it is closed, nothing is posted with a value date up to it."),
    code("status", "closed, sealed (its figures are recorded), or open (it was reopened)."),
    code("closed_by", "Id of the principal who closed it."),
    moment("closed_at", "When it was closed, UTC."),
    moment("sealed_at", "When it was sealed, UTC. NULL before.", optional=True),
    code(
        "digest",
        "SHA-256 of the balances of all accounts at its end (docs/howto/close-periods.md). NULL before the seal.",
        optional=True,
    ),
    code("approval", "The newest request to reopen it. NULL: none.", optional=True),
    code("asked_by", "The person who made that request. NULL: none.", optional=True),
    free_text("reason", "Why. NULL: no request, or that person was erased.", optional=True),
    flag("reason_erased", "Whether the reason is gone with the person's key."),
    code("reopened_by", "The person who approved the reopening. NULL: it was not reopened.", optional=True),
    moment("reopened_at", "When it was reopened, UTC. NULL: it was not.", optional=True),
    code("year", "asked or closed: whether the year that ends with it is. NULL: it is open.", optional=True),
    code("year_asked_by", "Id of the principal who asked last to close that year. NULL: nobody.", optional=True),
    moment("year_closed_at", "When that year was closed last, UTC. NULL: it was not.", optional=True),
    number("position", "Position in the log of its closing."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("periods_in_order", "position"),
    index("periods_by_asker", "asked_by"),
    personal=PersonalText("asked_by", {"reason": "reason_erased"}),
)

FIGURES = read_table(
    "period_figures",
    "The figures that periods were sealed with: one row a period, currency and type of account. Never changed.",
    code("period", "The period.", key=True),
    code("currency", "ISO 4217 code.", key=True),
    code("type", "Type of account, as in accounts.type.", key=True),
    number("accounts", "Accounts of this type with a value date up to the end of the period."),
    total("debits", "Sum of their debits with value dates up to the end of the period, minor units."),
    total("credits", "Sum of their credits with value dates up to the end of the period, minor units."),
    number("position", "Position in the log of the seal."),
)

YEAR_ENDS = read_table(
    "year_end_transactions",
    "One row a transaction that closed a year: it moved income and expense in one currency to equity.",
    code("transaction", "The transaction, of the kind year_end.", key=True),
    code("period", "The period with which the year ends."),
    moment("reversed_at", "When it was wholly reversed, UTC. NULL: it stands.", optional=True),
    number("position", "Position in the log of the closing of the year."),
    number("last_position", "Position in the log of the last event that changed this row."),
    moment("last_at", "When that event was recorded, UTC."),
    index("year_end_transactions_by_period", "period"),
)

VIEW = View(
    TABLE,
    "One row a period that was closed, as it is now.",
    (
        "period",
        "name",
        "begins_on",
        "ends_on",
        "status",
        "closed_by",
        "closed_at",
        "sealed_at",
        "digest",
        "approval",
        "asked_by",
        "reopened_by",
        "reopened_at",
        "year",
        "year_asked_by",
        "year_closed_at",
        "position",
        "last_position",
        "last_at",
    ),
)

YEAR_ENDS_VIEW = View(
    YEAR_ENDS,
    "One row a transaction that closed a year.",
    ("transaction", "period", "reversed_at", "position", "last_position", "last_at"),
)

FIGURES_VIEW = View(
    FIGURES,
    "The figures that periods were sealed with: one row a period, currency and type of account, major units.",
    (
        "period",
        "currency",
        "type",
        "accounts",
        "debits",
        "credits",
        Shown("balance", "Credits less debits.", "(t.credits - t.debits) * c.minor_unit"),
        "position",
        last_position("t.position"),
    ),
)
