"""The risk rules as they are now, and every version of them: tables, fold, reporting views, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from msgspec import to_builtins
from psycopg import Connection

from domain.accounts.posting_policy import PostingPolicyCreated
from domain.accounts.risk.rules import OFF, RiskRules, RiskRulesChanged
from projections.engine.columns import code, flag, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Tables.

_ON = "Whether the rules decide."
_RULES = "The points for each action and the rules, as a JSON object. Amounts in minor units."

TABLE = read_table(
    "risk_rules",
    "The risk rules as they are now: one row.",
    code("policy", "The name of the stream in the log, which is that of the posting policy.", key=True),
    flag("active", _ON),
    json_value("rules", _RULES),
    number("version", "Version of the stream at the last change of the rules."),
    number("last_position", "Position in the log of their last event."),
    moment("last_at", "When their last event was recorded, UTC."),
)

VERSIONS = read_table(
    "risk_rules_versions",
    "One row a version of the risk rules. Rows are never changed.",
    code("policy", "The name of the stream in the log.", key=True),
    number("version", "Version of the stream.", key=True),
    flag("active", _ON),
    json_value("rules", _RULES),
    number("position", "Position in the log: they decide about each posting after it."),
    moment("recorded_at", "When they were recorded, UTC."),
)

# Fold.


def created(row: Row, event: PostingPolicyCreated) -> Row:
    """The rules of a new log, which are off."""
    return {**row, "active": OFF.on, "rules": _json(OFF)}


def changed(row: Row, event: RiskRulesChanged) -> Row:
    """The rules that the event has."""
    return {**row, "active": event.rules.on, "rules": _json(event.rules)}


def _json(rules: RiskRules) -> str:
    return orjson.dumps(to_builtins(rules)).decode()


def version_of(row: Row, event: PostingPolicyCreated | RiskRulesChanged) -> list[tuple[Any, ...]]:
    """The version that the event makes."""
    rules = OFF if isinstance(event, PostingPolicyCreated) else event.rules
    return [
        (
            event.originator_id,
            event.originator_version,
            rules.on,
            _json(rules),
            row["last_position"],
            row["last_at"],
        )
    ]


FOLD = RowFold(TABLE, starts={PostingPolicyCreated: created}, changes={RiskRulesChanged: changed})

RISK_RULES = declared(
    "risk_rules",
    FOLD,
    area="accounts",
    details={VERSIONS: {PostingPolicyCreated: version_of, RiskRulesChanged: version_of}},
    reports=(
        View(
            TABLE,
            "The risk rules as they are now: one row.",
            ("policy", "active", "rules", "version", "last_position", "last_at"),
        ),
        View(
            VERSIONS,
            "One row a version of the risk rules.",
            ("policy", "version", "active", "rules", "position", "recorded_at", last_position("t.position")),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class RiskRulesRow:
    """The rules as they are now."""

    policy: str
    active: bool
    rules: dict[str, Any]
    version: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RiskRulesVersionRow:
    """One version of the rules."""

    policy: str
    version: int
    active: bool
    rules: dict[str, Any]
    position: int
    recorded_at: datetime


RULES_LIST = Listing(readable(TABLE), RiskRulesRow, key="policy", filters=("policy",))
VERSION_LIST = Listing(readable(VERSIONS), RiskRulesVersionRow, key="version", filters=("policy",))


def risk_rules(connection: Connection[Any], policy: str) -> RiskRulesRow | None:
    """The rules as they are now; None if the stream is not in the log."""
    return RULES_LIST.one(connection, policy=policy)


def versions(
    connection: Connection[Any], policy: str, *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[RiskRulesVersionRow, int]:
    """The versions of the rules, oldest first; `after` is a position, `cursor` a version."""
    return VERSION_LIST.read(connection, {"policy": policy, "after": after}, limit, cursor=cursor)
