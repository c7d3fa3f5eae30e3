"""The claims of reconciliation: a statement is brought once for an account, and an entry is matched once."""

from __future__ import annotations

from domain.accounts.reconciliation.events import EntryName, MatchedEntry
from domain.claims import claim_stream


def statement_claim(account: str, statement: str) -> str:
    """Return the stream that makes the id of a statement unique for an account."""
    return claim_stream("statement", f"{account}:{statement}")


def figures_claim(account: str, digest: str) -> str:
    """Return the stream that makes the figures of a statement unique for an account."""
    return claim_stream("statement-figures", f"{account}:{digest}")


STATEMENT_CLAIMS = (claim_stream("statement", ""), claim_stream("statement-figures", ""))
"""Beginnings of these."""


def entry_claim(entry: EntryName | MatchedEntry) -> str:
    """Return the stream that makes an entry unique among the matches of all sessions."""
    return claim_stream("reconciled", f"{entry.transaction}:{entry.entry}")


ENTRY_CLAIMS = claim_stream("reconciled", "")
"""Beginning of these."""
