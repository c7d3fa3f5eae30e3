"""The stream of a transaction: its state and the fold of its events."""

from __future__ import annotations

from domain.accounts.posting import TransactionPosted
from domain.kernel import Value

TRANSACTION = "txn"
"""Prefix of the ids of transactions."""


class PostedTransaction(Value, frozen=True):
    """The state of the stream of a transaction, which has exactly one event."""

    version: int
    event: TransactionPosted


def evolve_posted(state: PostedTransaction | None, event: TransactionPosted) -> PostedTransaction:
    """Return the state after the only event of the stream."""
    return PostedTransaction(event.originator_version, event)
