"""The table of transactions, its reporting view, and what the event means for a row."""

from __future__ import annotations

import orjson

from domain.accounts.details import TransactionDetailed
from domain.accounts.posting import TransactionPosted
from domain.accounts.transaction.events import (
    TransactionApproved,
    TransactionCancelled,
    TransactionExpired,
    TransactionPended,
    TransactionRejected,
    TransactionReversed,
)
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
    pairs,
    pairs_index,
    read_table,
)
from projections.engine.declared import RowFold
from projections.engine.erasure import PersonalText
from projections.engine.reporting import Shown, View, last_position
from projections.engine.rows import erasable
from projections.engine.writing import Row

TABLE = read_table(
    "transactions",
    "One row a transaction: what was posted, or waits to be posted, and what became of it.",
    code("transaction", "Public id; also the name of its stream in the log.", key=True),
    code("status", "pending, posted, cancelled, rejected, expired, partly_reversed or reversed."),
    code("kind", "What it is, such as deposit, transfer, fee, reversal or journal."),
    day("value_date", "From which day on it counts."),
    code("reference", "Reference of the client's business.", optional=True),
    code("subject", "The person whose key seals the description. NULL without a description.", optional=True),
    free_text("description", "Free text. NULL once the person it is about was erased.", optional=True),
    flag("description_erased", "Whether the description is gone with a person's key."),
    json_value("entries", "[{account, side, amount, currency}] in their order, minor units."),
    code(
        "parent",
        "The transaction, recurring payment or transfer order that it belongs to, such as the reversed one.",
        optional=True,
    ),
    code("relation", "What it is to its parent.", optional=True),
    code("template", "The template that made its entries.", optional=True),
    number("template_version", "The version of that template.", optional=True),
    day("late_for", "The day in a closed period that it is about.", optional=True),
    pairs("metadata", "Pairs that the client keeps with it. NULL: none.", optional=True),
    code("awaits", "What it waits for, or waited for: request, approval or review.", optional=True),
    code("initiator", "The person who asked for a transaction that waits.", optional=True),
    code("decided_by", "The person who approved or rejected it.", optional=True),
    moment("expires_at", "Until when it waits, UTC.", optional=True),
    free_text("reason", "Why it was cancelled or rejected.", optional=True),
    code("reversed_by", "The newest transaction that reverses it.", optional=True),
    json_value("reversed", "What is reversed of each entry, minor units. NULL: nothing.", optional=True),
    number("position", "Position in the log."),
    moment("recorded_at", "When it was recorded, UTC."),
    number("changed", "Position in the log of its last change. NULL: it did not change.", optional=True),
    number("posted", "Position in the log of the posting of one that waited. NULL for all others.", optional=True),
    moment("posted_at", "When that was recorded, UTC.", optional=True),
    erasure(),
    index("transactions_in_order", "position", unique=True),
    index("transactions_by_kind", "kind", "position"),
    index("transactions_not_posted", "status", "position", where="status <> 'posted'"),
    index("transactions_of_parent", "parent", "position", where="parent IS NOT NULL"),
    index("transactions_by_value_date", "value_date", "position"),
    index("transactions_by_reference", "reference", "position", where="reference IS NOT NULL"),
    index("transactions_of_subject", "subject", where="subject IS NOT NULL"),
    index("transactions_of_initiator", "initiator", "position", where="initiator IS NOT NULL"),
    index("transactions_posted_later", "posted", where="posted IS NOT NULL"),
    pairs_index("transactions_with_metadata", "metadata"),
    personal=PersonalText("subject", {"description": "description_erased", "reason": None}),
)

WAITED = read_table(
    "transactions_that_waited",
    "One row an account and transaction that waits or waited to be posted: also the accounts that it credits, on which "
    "it reserves nothing. Rows are never changed.",
    code("account", "An account of one of its entries.", key=True),
    code("transaction", "The transaction.", key=True),
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
        last_position("coalesce(greatest(t.erasure, t.changed), t.position)"),
        "status",
        "parent",
        "relation",
        "template",
        "template_version",
        "late_for",
        "metadata",
        "awaits",
        "initiator",
        "decided_by",
        "expires_at",
        "reversed_by",
        "posted",
        "posted_at",
    ),
)


def _begun(row: Row, event: TransactionPosted | TransactionPended) -> Row:
    description, erased = erasable(event.description)
    return {
        **row,
        "kind": event.kind,
        "value_date": event.value_date,
        "reference": event.reference,
        "description": description,
        "description_erased": erased,
        "entries": [
            {"account": e.account, "side": e.side, "amount": e.amount, "currency": e.currency} for e in event.entries
        ],
        "position": row["last_position"],
        "recorded_at": row["last_at"],
    }


def _changed(row: Row, **values: object) -> Row:
    return {**row, "changed": row["last_position"], **values}


def posted(row: Row, event: TransactionPosted) -> Row:
    """A transaction, complete."""
    subject = None if event.description is None else event.subject
    return {**_begun(row, event), "status": "posted", "subject": subject}


def posted_later(row: Row, event: TransactionPosted) -> Row:
    """A pending transaction was posted."""
    at, position = row["last_at"], row["last_position"]
    return _changed(row, status="posted", value_date=event.value_date, posted=position, posted_at=at)


def detailed(row: Row, event: TransactionDetailed) -> Row:
    """Its details."""
    return _changed(
        row,
        parent=event.parent,
        relation=event.relation,
        template=event.template,
        template_version=event.template_version,
        late_for=event.late_for,
        metadata=orjson.dumps(event.metadata, option=orjson.OPT_SORT_KEYS).decode() if event.metadata else None,
    )


def pended(row: Row, event: TransactionPended) -> Row:
    """It waits."""
    return {
        **_begun(row, event),
        "status": "pending",
        "subject": event.subject,
        "awaits": event.awaits,
        "initiator": event.initiator,
        "expires_at": None if event.expires_at is None else event.expires_at.isoformat(),
    }


def approved(row: Row, event: TransactionApproved) -> Row:
    """Another person approved it. It is posted next."""
    return _changed(row, decided_by=event.by)


def rejected(row: Row, event: TransactionRejected) -> Row:
    """Another person rejected it."""
    return _changed(row, status="rejected", decided_by=event.by, reason=erasable(event.reason)[0])


def cancelled(row: Row, event: TransactionCancelled) -> Row:
    """It was cancelled."""
    return _changed(row, status="cancelled", reason=erasable(event.reason)[0])


def expired(row: Row, event: TransactionExpired) -> Row:
    """Its time was over."""
    return _changed(row, status="expired")


def was_reversed(row: Row, event: TransactionReversed) -> Row:
    """All or part of it was reversed."""
    status = "reversed" if event.whole else "partly_reversed"
    return _changed(row, status=status, reversed_by=event.by, reversed=list(event.reversed))


PURE = RowFold(
    TABLE,
    starts={TransactionPosted: posted, TransactionPended: pended},
    changes={
        TransactionPosted: posted_later,
        TransactionDetailed: detailed,
        TransactionApproved: approved,
        TransactionRejected: rejected,
        TransactionCancelled: cancelled,
        TransactionExpired: expired,
        TransactionReversed: was_reversed,
    },
)
"""What a row means. `fold` writes the same; a test holds the two equal."""
