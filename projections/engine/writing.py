"""Writing rows of a declared table: the columns that COPY is given, and values as COPY and UPDATE want them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from psycopg import Connection
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, Numeric, Table, Text
from sqlalchemy.types import TypeEngine

from eventstore.postgres.arrays import BinaryArray, bool_array, int4_array, int8_array, text_array
from projections.engine.ddl import primary_key, quoted, type_name
from projections.engine.projection import FoldError
from projections.engine.rows import NULL, copy_text

Row = dict[str, Any]
"""A row: column to value. Points in time are text, as PostgreSQL writes them."""

_FLAGS = {True: "t", False: "f"}


def _copied(column: Column[Any], values: Sequence[Any]) -> Iterable[str]:
    """The values of a column as COPY reads them. Whole columns at once: most have nothing to escape."""
    if isinstance(column.type, Boolean):
        return map(_FLAGS.__getitem__, values)
    optional = bool(column.nullable) and None in values
    if isinstance(column.type, DateTime):
        return [NULL if value is None else value for value in values] if optional else values
    if not isinstance(column.type, Text):
        return [NULL if value is None else str(value) for value in values] if optional else map(str, values)
    together = "".join([value for value in values if value is not None] if optional else values)
    if not together.isprintable() or "\\" in together:
        return map(copy_text, values)
    return [NULL if value is None else value for value in values] if optional else values


def copy_target(table: Table, columns: Sequence[str] | None = None) -> str:
    """``table (column, …)`` for `copy_rows`: these columns, or all in the order in which they are declared."""
    names = [column.name for column in table.columns]
    if columns is not None and set(columns) != set(names):
        raise ValueError(f"{table.name} has the columns {', '.join(names)}, not {', '.join(columns)}")
    return f"{quoted(table.name)} ({', '.join(map(quoted, columns or names))})"


def in_order(table: Table) -> Callable[[Row], tuple[Any, ...]]:
    """Gives the values of a row in the order in which the table declares its columns. Raises `KeyError`."""
    return itemgetter(*[column.name for column in table.columns])


def copy_lines(table: Table, values: Iterable[tuple[Any, ...]]) -> list[str]:
    """Rows as COPY reads them: their values in the order in which the table declares its columns."""
    texts = map(_copied, table.columns, zip(*values, strict=True))
    return list(map("\t".join, zip(*texts, strict=True)))


_ARRAYS: dict[type[TypeEngine[Any]], tuple[Callable[[Sequence[Any]], BinaryArray], str]] = {
    BigInteger: (int8_array, "bigint[]"),
    Integer: (int4_array, "integer[]"),
    Boolean: (bool_array, "boolean[]"),
}
"""How the values of a column that is never NULL travel. The others travel as text."""


def _array(column: Column[Any], values: Sequence[Any]) -> BinaryArray:
    make, _ = _ARRAYS.get(type(column.type), (None, ""))
    if make is not None and not column.nullable:
        return make(values)
    if isinstance(column.type, (Text, DateTime)):
        return text_array(values)
    return text_array([None if value is None else str(value) for value in values])


@lru_cache(maxsize=256)
def update_statement(table: Table, names: tuple[str, ...]) -> str:
    """Sets these columns of rows that are found by their key. One array a column, the key first."""
    [key] = primary_key(table)
    arrays, values = [f"unnest(%s::text[]) AS {quoted(key)}"], []
    for name in names:
        column = table.c[name]
        _, kind = _ARRAYS.get(type(column.type), (None, ""))
        if not kind or column.nullable:
            kind = "text[]"
        cast = "" if kind != "text[]" or isinstance(column.type, Text) else f"::{type_name(column)}"
        arrays.append(f"unnest(%s::{kind}) AS {quoted(name)}")
        values.append(f"{quoted(name)} = n.{quoted(name)}{cast}")
    return (
        f"UPDATE {quoted(table.name)} t SET {', '.join(values)}\n"  # noqa: S608 - names of declared columns
        f"  FROM (SELECT {', '.join(arrays)}) AS n\n WHERE t.{quoted(key)} = n.{quoted(key)}"
    )


@dataclass(frozen=True, slots=True)
class Update:
    """Some columns of some rows, laid out for the server."""

    table: Table
    names: tuple[str, ...]
    keys: tuple[str, ...]
    arrays: tuple[BinaryArray, ...]

    def run(self, connection: Connection[Any]) -> None:
        """Set the columns. Raises `FoldError` where a row is not there."""
        done = connection.execute(update_statement(self.table, self.names).encode(), self.arrays)
        if done.rowcount != len(self.keys):
            raise FoldError(_without_row(connection, self.table, self.keys, done.rowcount))


def updates(table: Table, rows: Mapping[str, Row]) -> list[Update]:
    """The updates that set what these rows have, one for each set of columns, in the order of their keys.

    A row has some of its columns, by key of the row; what else it has is left out.
    """
    key = primary_key(table)[0]
    known = {column.name for column in table.columns} - {key}
    orders: dict[tuple[str, ...], list[str]] = {}  # by the columns in the order in which functions have set them
    for name in sorted(rows):  # neighbours share pages of the index and of the table
        orders.setdefault(tuple(rows[name]), []).append(name)
    groups: dict[tuple[str, ...], list[str]] = {}
    for columns, keys in orders.items():
        groups.setdefault(tuple(sorted(known.intersection(columns))), []).extend(keys)
    done = []
    for names, keys in groups.items():
        of_group = [rows[name] for name in keys]
        arrays = [_array(table.c[name], [row[name] for row in of_group]) for name in names]
        done.append(Update(table, names, tuple(keys), (text_array(keys), *arrays)))
    return done


def loaded(connection: Connection[Any], table: Table, names: Sequence[str], keys: Sequence[str]) -> dict[str, Row]:
    """These columns of the rows with these keys, by key. A key without a row is left out."""
    columns = [table.c[name] for name in names]
    shown = [f"t.{quoted(c.name)}{'::text' if isinstance(c.type, DateTime) else ''}" for c in columns]
    whole = [isinstance(c.type, Numeric) for c in columns]
    key = quoted(primary_key(table)[0])
    found = connection.execute(
        f"SELECT t.{key}, {', '.join(shown)} FROM unnest(%s::text[]) AS n(key)"  # noqa: S608 - declared names
        f" JOIN {quoted(table.name)} t ON t.{key} = n.key".encode(),
        (text_array(keys),),
    ).fetchall()
    return {
        name: {
            column: int(value) if is_whole and value is not None else value
            for column, value, is_whole in zip(names, values, whole, strict=True)
        }
        for name, *values in found
    }


def _without_row(connection: Connection[Any], table: Table, keys: Sequence[str], found: int) -> str:
    key, name = quoted(primary_key(table)[0]), quoted(table.name)
    row = connection.execute(
        f"SELECT min(n.key) FROM unnest(%s::text[]) AS n(key)"  # noqa: S608 - declared names
        f" WHERE NOT EXISTS (SELECT FROM {name} t WHERE t.{key} = n.key)".encode(),
        (text_array(keys),),
    ).fetchone()
    return f"{len(keys) - found} of {len(keys)} {table.name} that change were never begun, among them {row and row[0]}"
