"""Lists of recorded reads, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection


class RecordedRead(NamedTuple):
    """A row of ``access.reads``."""

    id: int
    at: datetime
    principal: str
    person: str | None
    route: str
    about: str | None
    items: int | None


class Before(NamedTuple):
    """Where the next page begins: after the read with this time and id."""

    at: datetime
    id: int


_SELECT: Final = """
SELECT r.id, r.at, r.principal, r.person, r.route, r.about, r.items
  FROM access.reads r
 WHERE r.log = %(log)s{conditions}
 ORDER BY r.at DESC, r.id DESC
 LIMIT %(row_limit)s
"""
_CONDITIONS: Final = {
    "principal": "r.principal = %(principal)s",
    "person": "r.person = %(person)s",
    "about": "r.about = %(about)s",
    "not_by": "r.person IS DISTINCT FROM %(not_by)s",
    "read_from": "r.at >= %(read_from)s",
    "read_before": "r.at < %(read_before)s",
    "before_at": "(r.at, r.id) < (%(before_at)s, %(before_id)s)",
}


def reads(
    connection: Connection[Any],
    log_number: int,
    limit: int,
    *,
    principal: str | None = None,
    person: str | None = None,
    about: str | None = None,
    not_by: str | None = None,
    read_from: datetime | None = None,
    read_before: datetime | None = None,
    before: Before | None = None,
) -> list[RecordedRead]:
    """The newest `limit` reads that pass the filters which are not None.

    `principal` and `person` read, `about` is the id that was asked for, `not_by` a person whose own reads are left out.
    """
    asked = {
        "principal": principal,
        "person": person,
        "about": about,
        "not_by": not_by,
        "read_from": read_from,
        "read_before": read_before,
        "before_at": None if before is None else before.at,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = "".join(f"\n   AND {_CONDITIONS[name]}" for name in given)
    parameters = {**given, "log": log_number, "row_limit": limit, "before_id": None if before is None else before.id}
    rows = connection.execute(_SELECT.format(conditions=conditions).encode(), parameters).fetchall()
    return [RecordedRead(*row) for row in rows]
