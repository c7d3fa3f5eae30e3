"""Erases the text of people from read tables: what a table declares about it, the statement, and its pure form.

The engine does it for every projection. After the events of a page are written, the people who were erased within the
page lose their text in all rows. By then their keys are destroyed, so that every event about them reads as erased, also
the events of the page, and those after it. So it does not matter where the log is cut into pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg import Connection
from sqlalchemy import Table

from eventstore.postgres.arrays import text_array
from projections.engine.ddl import primary_key, quoted

PERSONAL = "personal"
"""The key of the declaration in `Table.info`."""


@dataclass(frozen=True)
class PersonalText:
    """The columns of a table with text of a person.

    `subject` is the column with the id of the person, of the table itself, or of the table `of`, whose key its rows
    have. An index begins with it. `texts` has each text with the flag that says that it is gone, if it has one. `flags`
    are flags about text in other tables, which everybody has who has a row.
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

    def without(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row of an erased person. It is pure."""
        gone = {flag: row[flag] or any(row[text] is not None for text in of) for flag, of in self.flagged.items()}
        return {**row, **gone, **dict.fromkeys(self.texts), **dict.fromkeys(self.flags, True)}


def personal_text(table: Table) -> PersonalText | None:
    """What a table declares, or None if it has no text of people."""
    declared: PersonalText | None = table.info.get(PERSONAL)
    return declared


def erase(connection: Connection[Any], tables: Sequence[Table], subjects: Sequence[str]) -> None:
    """Erase the text of these people from these tables. Doing it again changes nothing."""
    array = text_array(subjects)
    for table in tables:
        connection.execute(erase_statement(table).encode(), (array,))


@lru_cache(maxsize=256)
def erase_statement(table: Table) -> str:
    """The statement that erases the text of people. It takes an array of their ids. Rows without text stay as they are.

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
    left = [f"t.{quoted(text)} IS NOT NULL" for text in personal.texts]
    left += [f"NOT t.{quoted(flag)}" for flag in personal.flags]
    source, owner, joined = "", "t", ""
    if personal.of is not None:
        [key] = primary_key(personal.of)
        source, owner = f"\n  FROM {quoted(personal.of.name)} o", "o"
        joined = f" AND t.{quoted(key)} = o.{quoted(key)}"
    return (
        f"UPDATE {quoted(table.name)} t SET {', '.join(sets)}{source}\n"  # noqa: S608 - names of declared columns
        f" WHERE {owner}.{quoted(personal.subject)} = ANY (%s::text[]){joined} AND ({' OR '.join(left)})"
    )
