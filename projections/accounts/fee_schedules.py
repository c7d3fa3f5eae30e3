"""Fee schedules as they are now, and every version of them: tables, fold, reporting views, queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from domain.accounts.fee_schedule import (
    FeeScheduleDefined,
    FeeScheduleRetired,
    FeeScheduleRevised,
    schedule_in_json,
)
from projections.engine.columns import code, flag, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Tables.

_DEFINITION = "The terms, as a JSON object with decimal strings: fixed, tiers, minimum, maximum, and who gets the fee."

TABLE = read_table(
    "fee_schedules",
    "One row a fee schedule, with its newest version.",
    code("schedule", "The name of its stream in the log.", key=True),
    code("name", "The name by which a fee is charged.", unique=True),
    number("number", "The number of its newest version.", bits=32),
    flag("active", "Whether fees can be charged by it."),
    code("currency", "ISO 4217 code."),
    json_value("definition", _DEFINITION),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first version."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("fee_schedules_in_order", "position"),
)

VERSIONS = read_table(
    "fee_schedule_versions",
    "One row a version of a fee schedule. Rows are never changed.",
    code("schedule", "The name of its stream in the log.", key=True),
    number("number", "The number of the version, from 1.", bits=32, key=True),
    code("name", "The name of the schedule."),
    code("currency", "ISO 4217 code."),
    json_value("definition", _DEFINITION),
    number("position", "Position in the log: fees after it were charged by it."),
    moment("recorded_at", "When it was recorded, UTC."),
)

# Fold.


def _definition(event: FeeScheduleDefined | FeeScheduleRevised) -> str:
    return orjson.dumps(schedule_in_json(event)).decode()


def revised(row: Row, event: FeeScheduleDefined | FeeScheduleRevised) -> Row:
    """The version of the event counts."""
    terms = {"currency": event.currency, "definition": _definition(event)}
    return {**row, "name": event.name, "number": event.number, "active": True, **terms}


def defined(row: Row, event: FeeScheduleDefined) -> Row:
    """A new schedule."""
    return {**revised(row, event), "position": row["last_position"]}


def retired(row: Row, event: FeeScheduleRetired) -> Row:
    """Nothing is charged by it."""
    return {**row, "active": False}


def version_of(row: Row, event: FeeScheduleDefined | FeeScheduleRevised) -> list[tuple[Any, ...]]:
    """The version that the event makes."""
    stream, at = event.originator_id, (row["last_position"], row["last_at"])
    return [(stream, event.number, event.name, event.currency, _definition(event), *at)]


FEE_SCHEDULES = declared(
    "fee_schedules",
    RowFold(
        TABLE, starts={FeeScheduleDefined: defined}, changes={FeeScheduleRevised: revised, FeeScheduleRetired: retired}
    ),
    area="accounts",
    details={VERSIONS: {FeeScheduleDefined: version_of, FeeScheduleRevised: version_of}},
    reports=(
        View(TABLE, "One row a fee schedule, with its newest version.", tuple(TABLE.columns.keys())),
        View(
            VERSIONS,
            "One row a version of a fee schedule.",
            (*VERSIONS.columns.keys(), last_position("t.position")),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class FeeScheduleRow:
    """A fee schedule as it is now."""

    name: str
    number: int
    active: bool
    definition: Mapping[str, Any]
    version: int
    position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class FeeScheduleVersionRow:
    """One version of a fee schedule."""

    number: int
    definition: Mapping[str, Any]
    position: int
    recorded_at: datetime


SCHEDULE_LIST = Listing(readable(TABLE), FeeScheduleRow, filters=("name", "active"))
VERSION_LIST = Listing(readable(VERSIONS), FeeScheduleVersionRow, key="number", filters=("name",))


def fee_schedule(connection: Connection[Any], name: str) -> FeeScheduleRow | None:
    """One fee schedule by its name."""
    return SCHEDULE_LIST.one(connection, name=name)


def fee_schedules(
    connection: Connection[Any],
    *,
    active: bool | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[FeeScheduleRow, int]:
    """Fee schedules in the order in which they were first defined."""
    return SCHEDULE_LIST.read(connection, {"active": active, "after": after}, limit, cursor=cursor)


def versions(
    connection: Connection[Any], name: str, *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[FeeScheduleVersionRow, int]:
    """The versions of a fee schedule, oldest first; `after` is a position, `cursor` a number."""
    return VERSION_LIST.read(connection, {"name": name, "after": after}, limit, cursor=cursor)
