"""The posting policy as it is now, and every version of it: tables, fold, reporting views, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.accounts.posting_policy import PostingPolicyChanged, PostingPolicyCreated, PostingPolicyEvent
from projections.engine.columns import code, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Tables.

_DAYS = "Most days that a value date may be before the day of the posting. NULL: any number."

TABLE = read_table(
    "posting_policy",
    "The posting policy as it is now: one row.",
    code("policy", "The name of its stream in the log.", key=True),
    number("most_days_back", _DAYS, bits=32, optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
)

VERSIONS = read_table(
    "posting_policy_versions",
    "One row a version of the posting policy. Rows are never changed.",
    code("policy", "The name of its stream in the log.", key=True),
    number("version", "Version of its stream.", key=True),
    number("most_days_back", _DAYS, bits=32, optional=True),
    number("position", "Position in the log: it decides about each posting after it."),
    moment("recorded_at", "When it was recorded, UTC."),
)

# Fold.


def changed(row: Row, event: PostingPolicyEvent) -> Row:
    """The policy that the event has."""
    return {**row, "most_days_back": event.most_days_back}


def version_of(row: Row, event: PostingPolicyEvent) -> list[tuple[Any, ...]]:
    """The version that the event makes."""
    return [
        (
            event.originator_id,
            event.originator_version,
            event.most_days_back,
            row["last_position"],
            row["last_at"],
        )
    ]


FOLD = RowFold(TABLE, starts={PostingPolicyCreated: changed}, changes={PostingPolicyChanged: changed})

POSTING_POLICY = declared(
    "posting_policy",
    FOLD,
    area="accounts",
    details={VERSIONS: {PostingPolicyCreated: version_of, PostingPolicyChanged: version_of}},
    reports=(
        View(
            TABLE,
            "The posting policy as it is now: one row.",
            ("policy", "most_days_back", "version", "last_position", "last_at"),
        ),
        View(
            VERSIONS,
            "One row a version of the posting policy.",
            ("policy", "version", "most_days_back", "position", "recorded_at", last_position("t.position")),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The policy as it is now."""

    policy: str
    most_days_back: int | None
    version: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of the policy."""

    policy: str
    version: int
    most_days_back: int | None
    position: int
    recorded_at: datetime


POLICY_LIST = Listing(readable(TABLE), PolicyRow, key="policy", filters=("policy",))
VERSION_LIST = Listing(readable(VERSIONS), VersionRow, key="version", filters=("policy",))


def posting_policy(connection: Connection[Any], policy: str) -> PolicyRow | None:
    """The policy as it is now; None if its stream is not in the log."""
    return POLICY_LIST.one(connection, policy=policy)


def versions(
    connection: Connection[Any], policy: str, *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[VersionRow, int]:
    """The versions of the policy, oldest first; `after` is a position, `cursor` a version."""
    return VERSION_LIST.read(connection, {"policy": policy, "after": after}, limit, cursor=cursor)
