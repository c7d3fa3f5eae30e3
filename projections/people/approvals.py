"""Requests that another person approves, as they are now: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.people.approval import ApprovalGiven, ApprovalRejected, ApprovalRequested, ApprovalWithdrawn
from projections.engine.columns import code, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

TABLE = read_table(
    "approvals",
    "One row a request that another person has to approve, as it is now.",
    code("approval", "Public id; also the name of the stream in the log.", key=True),
    code("action", "What was asked for, such as administrator.appoint."),
    code("about", "Id of what it is about."),
    code("by", "The person who asked."),
    code("outcome", "open, approved, rejected or withdrawn. An open one may have expired: see until."),
    code("decided_by", "The person who decided or withdrew it. NULL while it is open.", optional=True),
    moment("until", "From then on it cannot be approved, UTC."),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of the request."),
    moment("requested_at", "When it was asked for, UTC."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("approvals_in_order", "position"),
    index("approvals_open", "position", where="outcome = 'open'"),
)


def requested(row: Row, event: ApprovalRequested) -> Row:
    """Somebody asks."""
    return {
        **row,
        "action": event.action,
        "about": event.about,
        "by": event.by,
        "outcome": "open",
        "until": event.until.isoformat(),
        "position": row["last_position"],
        "requested_at": row["last_at"],
    }


def approved(row: Row, event: ApprovalGiven) -> Row:
    """Another person approves."""
    return {**row, "outcome": "approved", "decided_by": event.by}


def rejected(row: Row, event: ApprovalRejected) -> Row:
    """Another person rejects."""
    return {**row, "outcome": "rejected", "decided_by": event.by}


def withdrawn(row: Row, event: ApprovalWithdrawn) -> Row:
    """Who asked no longer wants it."""
    return {**row, "outcome": "withdrawn", "decided_by": event.by}


FOLD = RowFold(
    TABLE,
    starts={ApprovalRequested: requested},
    changes={ApprovalGiven: approved, ApprovalRejected: rejected, ApprovalWithdrawn: withdrawn},
)

VIEW = View(
    TABLE,
    "One row a request that another person has to approve, as it is now.",
    (
        "approval",
        "action",
        "about",
        "by",
        "outcome",
        "decided_by",
        "until",
        "version",
        "position",
        "requested_at",
        "last_position",
        "last_at",
    ),
)

APPROVALS = declared("approvals", FOLD, area="people", reports=(VIEW,))

# Queries.


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A request as it is now."""

    approval: str
    action: str
    about: str
    by: str
    outcome: str
    decided_by: str | None
    until: datetime
    version: int
    position: int
    requested_at: datetime


APPROVAL_LIST = Listing(readable(TABLE), ApprovalRow, filters=("outcome", "action", "about"))


def approvals(
    connection: Connection[Any],
    *,
    outcome: str | None = None,
    action: str | None = None,
    about: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[ApprovalRow, int]:
    """Return requests in the order in which they were made; `after` and `cursor` are positions."""
    filters = {"outcome": outcome, "action": action, "about": about, "after": after}
    return APPROVAL_LIST.read(connection, filters, limit, cursor=cursor)
