"""Refused commands: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
from psycopg import Connection
from sqlalchemy import bindparam

from domain.refusals import CommandRefused
from projections.engine.columns import code, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Table.

TABLE = read_table(
    "refusals",
    "One row a refused command. Rows are never changed.",
    code("refusal", "Public id; also the name of its stream in the log.", key=True),
    code("actor", "Whose command it was."),
    code("command_key", "The idempotency key of the command."),
    code("command", "The type of the command."),
    code("rule", "The rule that refused it; expectation_failed where a stream had another version."),
    json_value("figures", "What explains the refusal; amounts in major units."),
    code("transaction", "The transaction that the figures name. NULL: none.", optional=True),
    number("position", "Position in the log."),
    moment("recorded_at", "When it was recorded, UTC."),
    index("refusals_in_order", "position"),
    index("refusals_of_actor", "actor", "position"),
    index("refusals_of_command", "command", "position"),
    index("refusals_by_rule", "rule", "position"),
    index("refusals_by_time", "recorded_at"),
    index("refusals_of_transaction", "transaction", "position", where="transaction IS NOT NULL"),
)

# Fold.


def refused(row: Row, event: CommandRefused) -> Row:
    """A refused command."""
    transaction = event.figures.get("transaction")
    return {
        **row,
        "transaction": transaction if isinstance(transaction, str) else None,
        "actor": event.actor,
        "command_key": event.key,
        "command": event.command,
        "rule": event.rule,
        "figures": orjson.dumps(event.figures, option=orjson.OPT_SORT_KEYS).decode(),
        "position": row["last_position"],
        "recorded_at": row["last_at"],
    }


FOLD = RowFold(TABLE, starts={CommandRefused: refused})

REFUSALS = declared(
    "refusals",
    FOLD,
    area="commands",
    reports=(
        View(
            TABLE,
            "One row a refused command.",
            (
                "refusal",
                "actor",
                "command_key",
                "command",
                "rule",
                "figures",
                "position",
                "recorded_at",
                last_position("t.position"),
                "transaction",
            ),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A refused command."""

    refusal: str
    actor: str
    command_key: str
    command: str
    rule: str
    figures: dict[str, Any]
    position: int
    recorded_at: datetime


_REFUSALS = readable(TABLE)
REFUSAL_LIST = Listing(
    _REFUSALS,
    RefusalRow,
    filters=("refusal", "actor", "command", "rule", "transaction"),
    conditions={
        "recorded_from": _REFUSALS.c.recorded_at >= bindparam("recorded_from"),
        "recorded_before": _REFUSALS.c.recorded_at < bindparam("recorded_before"),
    },
)


def refusal(connection: Connection[Any], refusal: str) -> RefusalRow | None:
    """One refusal by its id."""
    return REFUSAL_LIST.one(connection, refusal=refusal)


def refusals(
    connection: Connection[Any],
    *,
    actor: str | None = None,
    command: str | None = None,
    rule: str | None = None,
    transaction: str | None = None,
    recorded_from: date | None = None,
    recorded_until: date | None = None,
    after: int | None = None,
    cursor: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[RefusalRow, int]:
    """Refusals in the order of the log; `after` and `cursor` are positions. Days are in UTC, the last one included."""
    filters = {
        "actor": actor,
        "command": command,
        "rule": rule,
        "transaction": transaction,
        "recorded_from": None if recorded_from is None else _midnight(recorded_from),
        "recorded_before": _day_after(recorded_until),
        "after": after,
    }
    return REFUSAL_LIST.read(connection, filters, limit, cursor=cursor, newest_first=newest_first)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _day_after(day: date | None) -> datetime | None:
    """The end of a day; None without one, and for the last day there is."""
    return None if day is None or day == date.max else _midnight(day) + timedelta(days=1)
