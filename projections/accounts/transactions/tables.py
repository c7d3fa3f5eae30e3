"""The table of transactions, its reporting view, and what the event means for a row."""

from __future__ import annotations

from domain.accounts.posting import TransactionPosted
from projections.engine.columns import (
    code,
    day,
    erasure,
    flag,
    free_text,
    index,
    json_value,
    moment,
    number,
    read_table,
)
from projections.engine.declared import RowFold
from projections.engine.erasure import PersonalText
from projections.engine.reporting import Shown, View, last_position
from projections.engine.rows import erasable
from projections.engine.writing import Row

TABLE = read_table(
    "transactions",
    "One row a transaction. A row only loses its description, once the person it is about was erased.",
    code("transaction", "Public id; also the name of its stream in the log.", key=True),
    code("kind", "What it is, such as deposit, transfer, fee, reversal or journal."),
    day("value_date", "From which day on it counts."),
    code("reference", "Reference of the client's business.", optional=True),
    code("subject", "The person whose key seals the description. NULL without a description.", optional=True),
    free_text("description", "Free text. NULL once the person it is about was erased.", optional=True),
    flag("description_erased", "Whether the description is gone with a person's key."),
    json_value("entries", "[{account, side, amount, currency}] in their order, minor units."),
    number("position", "Position in the log."),
    moment("recorded_at", "When it was recorded, UTC."),
    erasure(),
    index("transactions_in_order", "position", unique=True),
    index("transactions_by_kind", "kind", "position"),
    index("transactions_by_value_date", "value_date", "position"),
    index("transactions_by_reference", "reference", "position", where="reference IS NOT NULL"),
    index("transactions_of_subject", "subject", where="subject IS NOT NULL"),
    personal=PersonalText("subject", {"description": "description_erased"}),
)

VIEW = View(
    TABLE,
    "One row a transaction. Its amounts are in reporting.entries, which join by transaction.",
    (
        "transaction",
        "kind",
        "value_date",
        "reference",
        "description",
        Shown("entries", "How many entries it has.", "json_array_length(t.entries)"),
        "position",
        "recorded_at",
        last_position("coalesce(t.erasure, t.position)"),
    ),
)


def posted(row: Row, event: TransactionPosted) -> Row:
    """A transaction, complete."""
    description, erased = erasable(event.description)
    return {
        **row,
        "kind": event.kind,
        "value_date": event.value_date,
        "reference": event.reference,
        "subject": None if event.description is None else event.subject,
        "description": description,
        "description_erased": erased,
        "entries": [
            {"account": e.account, "side": e.side, "amount": e.amount, "currency": e.currency} for e in event.entries
        ],
        "position": row["last_position"],
        "recorded_at": row["last_at"],
    }


PURE = RowFold(TABLE, starts={TransactionPosted: posted})
"""What a row means. `fold` writes the same; a test holds the two equal."""
