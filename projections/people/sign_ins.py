"""Sign-ins of persons: table, fold, reporting view, queries. Each opened a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.people.session import SessionEnded, SessionOpened
from projections.engine.columns import code, flag, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

# Table.

TABLE = read_table(
    "sign_ins",
    "One row a sign-in of a person, and how the session that it opened has ended.",
    code("session", "Public id of the session; also the name of the stream in the log.", key=True),
    code("person", "Who signed in."),
    flag("second_factor", "Whether a second factor was used."),
    code(
        "ended_why",
        "signed_out, revoked, reused (a token was used twice) or expired. NULL while nothing was recorded about its own"
        " end: it may be over because all sessions of the person were ended.",
        optional=True,
    ),
    moment("ended_at", "When the session ended, UTC. NULL as ended_why.", optional=True),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of the sign-in."),
    moment("opened_at", "When the person signed in, UTC."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("sign_ins_in_order", "position"),
    index("sign_ins_of_person", "person", "position"),
)

# Fold.


def opened(row: Row, event: SessionOpened) -> Row:
    """A person signed in."""
    return {
        **row,
        "person": event.person,
        "second_factor": event.second_factor,
        "position": row["last_position"],
        "opened_at": row["last_at"],
    }


def ended(row: Row, event: SessionEnded) -> Row:
    """The session is over."""
    return {**row, "ended_why": event.why, "ended_at": row["last_at"]}


FOLD = RowFold(TABLE, starts={SessionOpened: opened}, changes={SessionEnded: ended})

SIGN_INS = declared(
    "sign_ins",
    FOLD,
    area="people",
    reports=(
        View(
            TABLE,
            "One row a sign-in of a person, and how the session that it opened has ended.",
            (
                "session",
                "person",
                "second_factor",
                "ended_why",
                "ended_at",
                "version",
                "position",
                "opened_at",
                "last_position",
                "last_at",
            ),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class SignInRow:
    """A sign-in."""

    session: str
    person: str
    second_factor: bool
    ended_why: str | None
    ended_at: datetime | None
    position: int
    opened_at: datetime


SIGN_IN_LIST = Listing(readable(TABLE), SignInRow, filters=("person",))


def sign_ins(
    connection: Connection[Any], person: str, *, cursor: int | None = None, limit: int = 100
) -> Listed[SignInRow, int]:
    """The sign-ins of a person, newest first. `cursor` is a position."""
    return SIGN_IN_LIST.read(connection, {"person": person}, limit, cursor=cursor, newest_first=True)
