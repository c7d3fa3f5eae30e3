"""Erases the text of people from read tables: what a table declares about it, the statement, and its pure form.

The engine does it for every projection. After the events of a page are written, whoever was erased within the page
loses their text in all rows that began before. By then their keys are destroyed, so that every event about them that is
read from then on, also of the same page, reads as erased. So it does not matter where the log is cut into pages.

An erased row is a changed row: its reporting view has the position of the erasure as `last_position`, so that a tool
that polls reads it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg import Connection
from sqlalchemy import Table

from eventstore.postgres.arrays import int8_array, text_array
from projections.engine.ddl import primary_key, quoted

PERSONAL = "personal"
"""The key of the declaration in `Table.info`."""
ERASURE = "erasure"
"""The column with the position of the erasure, in tables whose rows change for no other reason."""


@dataclass(frozen=True)
class PersonalText:
    """The columns of a table with text of a person.

    `subject` is the column with the id of the person, of the table itself, or of the table `of`, whose key its rows
    have. An index begins with it. `texts` has each text with the flag that says that it is gone, if it has one. `flags`
    are flags about text in other tables, which everybody has who has a row.

    The table has `last_position` and `last_at`, or `erasure`, where the position of the erasure is set.
    """

    subject: str
    texts: Mapping[str, str | None]
    flags: tuple[str, ...] = ()
    of: Table | None = None

    @property
    def flagged(self) -> Mapping[str, Sequence[str]]:
        """The texts of each flag."""
        flags = dict.fromkeys(flag for flag in self.texts.values() if flag is not None)
        return {flag: [text for text, of in self.texts.items() if of == flag] for flag in flags}


def personal_text(table: Table) -> PersonalText | None:
    """What a table declares, or None if it has no text of people."""
    declared: PersonalText | None = table.info.get(PERSONAL)
    return declared


def without_text(table: Table, row: Mapping[str, Any], position: int, at: str) -> dict[str, Any]:
    """The row after the erasure of its person by the event at this position and time: the pure form of the statement.

    The table has text of people.
    """
    personal: PersonalText = table.info[PERSONAL]
    gone = {flag: row[flag] or any(row[text] is not None for text in of) for flag, of in personal.flagged.items()}
    changed = {"last_position": position, "last_at": at} if "last_position" in table.columns else {ERASURE: position}
    return {**row, **gone, **dict.fromkeys(personal.texts), **dict.fromkeys(personal.flags, True), **changed}


def erase(connection: Connection[Any], tables: Sequence[Table], erasures: Sequence[tuple[int, str, Any]]) -> None:
    """Erase the text of people from these tables. `erasures` are recorded events `SubjectErased`."""
    positions, times, events = zip(*erasures, strict=True)
    arrays = text_array([event.subject for event in events]), int8_array(positions), text_array(times)
    for table in tables:
        connection.execute(erase_statement(table).encode(), arrays)


@lru_cache(maxsize=256)
def erase_statement(table: Table) -> str:
    """The statement that erases the text of people. It takes an array of their ids, and of the positions and times of
    the events. Rows that began later have none.

    Raises `ValueError` for a table without text of people.
    """
    personal = personal_text(table)
    if personal is None:
        raise ValueError(f"{table.name} has no text of people")
    sets = [f"{quoted(text)} = NULL" for text in personal.texts]
    sets += [
        f"{quoted(flag)} = t.{quoted(flag)} OR {' OR '.join(f't.{quoted(text)} IS NOT NULL' for text in texts)}"
        for flag, texts in personal.flagged.items()
    ]
    sets += [f"{quoted(flag)} = true" for flag in personal.flags]
    if "last_position" in table.columns:
        sets += ["last_position = greatest(t.last_position, e.position)", "last_at = greatest(t.last_at, e.at)"]
    else:
        sets.append(f"{ERASURE} = e.position")
    source, owner, joined = "", "t", ""
    if personal.of is not None:
        [key] = primary_key(personal.of)
        source, owner = f"\n  JOIN {quoted(personal.of.name)} o ON o.{quoted(personal.subject)} = e.subject", "o"
        joined = f" AND t.{quoted(key)} = o.{quoted(key)}"
    return (
        f"UPDATE {quoted(table.name)} AS t SET {', '.join(sets)}\n"  # noqa: S608 - names of declared columns
        "  FROM (SELECT unnest(%s::text[]) AS subject, unnest(%s::bigint[]) AS position,"
        f" unnest(%s::text[])::timestamptz AS at) AS e{source}\n"
        f" WHERE {owner}.{quoted(personal.subject)} = e.subject AND {owner}.position < e.position{joined}"
    )
