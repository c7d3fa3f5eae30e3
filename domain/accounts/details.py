"""The details of a transaction: what a client keeps with it, and how it belongs to others.

Most transactions have none, so the details are an event of their own, beside that of the transaction in its unit.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec import field

from domain.codes import METADATA_RULES, Metadata, refuse_metadata, refuse_other_than_code
from domain.kernel import Event, Refused, Value

Relation = Literal[
    "reversal", "refund", "chargeback", "adjustment", "fee", "late", "recurring", "transfer_order", "other"
]
"""What a transaction is to its parent."""


class TransactionDetailed(Event, frozen=True):
    """A transaction was made with these details. The event stands in the unit that posts or reserves it."""

    parent: str | None  # the transaction, recurring payment or transfer order that it belongs to
    relation: Relation | None  # what it is to its parent; None without a parent
    template: str | None  # the name of the template that made its entries
    template_version: int | None
    late_for: date | None  # the day in a closed period that it is about
    metadata: Metadata


class TransactionCounted(Event, frozen=True):
    """A transaction was counted against the outgoing limits of accounts that it debits, in the unit that posts it."""

    at: datetime  # aware, UTC: a reversal gives the allowance of this time back
    accounts: tuple[str, ...]  # whose limits it used


class Details(Value, frozen=True):
    """The details of a transaction, as a command gives them."""

    parent: str | None = None
    relation: Relation | None = None
    template: str | None = None
    template_version: int | None = None
    late_for: date | None = None
    metadata: Metadata = field(default_factory=dict)

    def event(self, transaction: str, version: int) -> TransactionDetailed:
        """Return the event that records them on the stream of the transaction."""
        return TransactionDetailed(
            originator_id=transaction,
            originator_version=version,
            parent=self.parent,
            relation=self.relation,
            template=self.template,
            template_version=self.template_version,
            late_for=self.late_for,
            metadata=self.metadata,
        )


RULES: dict[str, str] = METADATA_RULES


def details_of(metadata: Metadata, late_for: date | None = None) -> Details | None:
    """Return the details of a transaction that has at most these, or None if it has none."""
    return Details(late_for=late_for, metadata=metadata) if metadata or late_for is not None else None


def refuse_details(details: Details | TransactionDetailed) -> Refused | None:
    """Return the refusal of details whose texts are no codes, or with too much metadata, or None."""
    return refuse_other_than_code("template", details.template) or refuse_metadata(details.metadata)
