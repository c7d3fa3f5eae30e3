"""What the rules propose for a session: the answer to the question that its process asks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import msgspec
from psycopg import Connection

from domain.accounts.reconciliation.match import MOST_ENTRIES, MOST_MATCHES
from domain.accounts.reconciliation.matching import OwnEntry, Proposal, propose
from domain.process_manager import Fact
from projections.accounts.reconciliations.sessions import ReconciliationRow, reconciliation
from projections.accounts.reconciliations.statement_lines import free_lines
from projections.accounts.reconciliations.summary import SUMMARY_PROJECTIONS, pages_of_entries

PROPOSAL_PROJECTIONS = SUMMARY_PROJECTIONS
"""The projections that it is read from."""
MOST_ENTRIES_READ: Final = 20_000
"""Entries without a match that are looked through. With more of them nothing is proposed: a rule would not see all."""


def proposed_matches(connection: Connection[Any], arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
    """The first matches that the rules propose for a `reconciliation`; without any, the lines that are ambiguous."""
    session = reconciliation(connection, str(arguments["reconciliation"]))
    entries = None if session is None else _entries(connection, session)
    if session is None or entries is None:
        return {"proposals": "[]", "ambiguous": "[]", "too_many": session is not None}
    free = free_lines(connection, session.reconciliation, mirrored=session.mirrored)
    proposed = propose(free, entries, session.days_apart)
    first = _bounded(proposed.proposals)
    ambiguous = () if first else proposed.ambiguous
    return {"proposals": _json(first), "ambiguous": _json(ambiguous), "too_many": False}


def _entries(connection: Connection[Any], session: ReconciliationRow) -> list[OwnEntry] | None:
    """The entries that no match has, with value dates near the period; None if they are too many."""
    days = timedelta(days=session.days_apart)
    since, until = max(session.since, date.min + days) - days, min(session.until, date.max - days) + days
    found: list[OwnEntry] = []
    for page, _ in pages_of_entries(connection, session.account, since, until):
        found += [OwnEntry(line.transaction, line.entry, line.amount, line.value_date, line.reference) for line in page]
        if len(found) > MOST_ENTRIES_READ:
            return None
    return found


def _bounded(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    """The first proposals, as many as one command makes."""
    entries = 0
    for count, proposal in enumerate(proposals[:MOST_MATCHES]):
        entries += len(proposal.entries)
        if entries > MOST_ENTRIES:
            return proposals[:count]
    return proposals[:MOST_MATCHES]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
