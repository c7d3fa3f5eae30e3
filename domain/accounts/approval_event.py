"""The event of an approval. Accounts and transactions use it, so it is apart from both."""

from __future__ import annotations

from domain.kernel import Event


class TransactionApproved(Event, frozen=True):
    """Another person than the initiator approved the pending transaction. It is posted in the same unit."""

    by: str
