"""The posting policy as it is now, and every version of it: tables, fold, reporting views, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from domain.accounts.posting_policy import PostingPolicyChanged, PostingPolicyCreated, PostingPolicyEvent, evolve
from projections.engine.columns import code, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Tables.

_DAYS = "Most days that a value date may be before the day of the posting. NULL: any number."

_KINDS = "The kinds of transactions that count against outgoing limits, as a JSON array."
_ABOVE = "By currency, above how many minor units another person approves, as a JSON object."

TABLE = read_table(
    "posting_policy",
    "The posting policy as it is now: one row.",
    code("policy", "The name of its stream in the log.", key=True),
    number("most_days_back", _DAYS, bits=32, optional=True),
    json_value("counted_kinds", _KINDS),
    json_value("approve_above", _ABOVE),
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
    json_value("counted_kinds", _KINDS),
    json_value("approve_above", _ABOVE),
    number("position", "Position in the log: it decides about each posting after it."),
    moment("recorded_at", "When it was recorded, UTC."),
)

# Fold.


def changed(row: Row, event: PostingPolicyEvent) -> Row:
    """The policy that the event has."""
    days, kinds, above = _of(event)
    return {**row, "most_days_back": days, "counted_kinds": kinds, "approve_above": above}


def _of(event: PostingPolicyEvent) -> tuple[int | None, str, str]:
    """Days, counted kinds and amounts, the last two as JSON."""
    policy = evolve(None, event)
    above = orjson.dumps({one.currency: one.amount for one in policy.approve_above})
    return policy.most_days_back, orjson.dumps(sorted(policy.counted_kinds)).decode(), above.decode()


def version_of(row: Row, event: PostingPolicyEvent) -> list[tuple[Any, ...]]:
    """The version that the event makes."""
    return [
        (
            event.originator_id,
            event.originator_version,
            *_of(event),
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
            ("policy", "most_days_back", "version", "last_position", "last_at", "counted_kinds", "approve_above"),
        ),
        View(
            VERSIONS,
            "One row a version of the posting policy.",
            (
                "policy",
                "version",
                "most_days_back",
                "position",
                "recorded_at",
                last_position("t.position"),
                "counted_kinds",
                "approve_above",
            ),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The policy as it is now."""

    policy: str
    most_days_back: int | None
    counted_kinds: list[str]
    approve_above: dict[str, int]
    version: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of the policy."""

    policy: str
    version: int
    most_days_back: int | None
    counted_kinds: list[str]
    approve_above: dict[str, int]
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
