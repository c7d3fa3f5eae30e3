"""Assessments of transactions by the risk rules: table, fold, reporting view, queries. Only staff reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from msgspec import to_builtins
from psycopg import Connection

from domain.accounts.account.events import AccountAssessed
from projections.engine.columns import amount, code, index, json_value, moment, number, read_table
from projections.engine.listing import Listed, Listing, readable
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.reporting import View, last_position
from projections.engine.rows import copy_rows
from projections.engine.writing import copy_lines, copy_target

# Table and view.

TABLE = read_table(
    "risk_assessments",
    "One row a transaction and account that got points by the risk rules. Rows are never changed.",
    code("account", "The account that the transaction would take money from.", key=True),
    number("version", "Version of the account's stream.", key=True),
    code("transaction", "The transaction. One that was blocked was never made."),
    code("kind", "Its kind."),
    amount("amount", "What it would take from the account."),
    code("currency", "ISO 4217 code."),
    number("score", "Its points.", bits=32),
    code("action", "monitor, verify or block."),
    json_value("factors", "The rules that gave points, what each found and allows, as a JSON array."),
    number("policy_version", "Version of the posting policy's stream, which has the risk rules."),
    number("position", "Position in the log."),
    moment("recorded_at", "When it was recorded, UTC."),
    index("risk_assessments_in_order", "position", unique=True),
    index("risk_assessments_of_account", "account", "position"),
)

VIEW = View(
    TABLE,
    "One row a transaction and account that got points by the risk rules. Amounts in major units, but in the factors.",
    (
        "account",
        "version",
        "transaction",
        "kind",
        "amount",
        "currency",
        "score",
        "action",
        "factors",
        "policy_version",
        "position",
        "recorded_at",
        last_position("t.position"),
    ),
)

# Fold.


def fold(events: Iterable[RecordedEvent]) -> list[str]:
    """The rows of the events, as lines for COPY."""
    return copy_lines(TABLE, [_row(position, at, event) for position, at, event in events])


def _row(position: int, at: str, event: AccountAssessed) -> tuple[Any, ...]:
    return (
        event.originator_id,
        event.originator_version,
        event.transaction,
        event.kind,
        event.amount,
        event.currency,
        event.score,
        event.action,
        orjson.dumps(to_builtins(event.factors)).decode(),
        event.policy_version,
        position,
        at,
    )


def write(connection: Connection[Any], lines: list[str], cache: FoldCache) -> None:
    """Insert the rows."""
    copy_rows(connection, copy_target(TABLE), lines)


RISK_ASSESSMENTS = Projection(
    name="risk_assessments",
    area="accounts",
    events=(AccountAssessed,),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=fold,
    write=write,
)

# Queries.


@dataclass(frozen=True, slots=True)
class RiskAssessmentRow:
    """One assessment. Amounts are in minor units, in the factors too."""

    account: str
    transaction: str
    kind: str
    amount: int
    currency: str
    score: int
    action: str
    factors: list[dict[str, Any]]
    policy_version: int
    position: int
    recorded_at: datetime


RISK_ASSESSMENT_LIST = Listing(readable(TABLE), RiskAssessmentRow, filters=("account", "transaction", "action"))


def risk_assessments(
    connection: Connection[Any],
    *,
    account: str | None = None,
    transaction: str | None = None,
    action: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[RiskAssessmentRow, int]:
    """Assessments in the order of the log."""
    filters = {"account": account, "transaction": transaction, "action": action, "after": after}
    return RISK_ASSESSMENT_LIST.read(connection, filters, limit, cursor=cursor)
