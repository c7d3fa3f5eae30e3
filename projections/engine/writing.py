"""Writes rows of a declared table: the columns and values for COPY and UPDATE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any

from psycopg import Connection
from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Integer, Numeric, Table, Text
from sqlalchemy.types import TypeEngine

from eventstore.postgres.arrays import BinaryArray, bool_array, int4_array, int8_array, text_array
from projections.engine.ddl import primary_key, quoted, type_name
from projections.engine.projection import FoldError
from projections.engine.rows import NULL, copy_text

Row = dict[str, Any]
"""A row: column to value. Points in time are text, as PostgreSQL writes them."""

_FLAGS = {True: "t", False: "f"}


def _copied(column: Column[Any], values: Sequence[Any]) -> Iterable[str]:
    """The values of a column as COPY reads them. They are made column by column: most have nothing to escape."""
    if isinstance(column.type, Boolean):
        return map(_FLAGS.__getitem__, values)
    optional = bool(column.nullable) and None in values
    if isinstance(column.type, DateTime):
        return [NULL if value is None else value for value in values] if optional else values
    if not isinstance(column.type, (Text, JSON)):
        return [NULL if value is None else str(value) for value in values] if optional else map(str, values)
    together = "".join([value for value in values if value is not None] if optional else values)
    if not together.isprintable() or "\\" in together:
        return map(copy_text, values)
    return [NULL if value is None else value for value in values] if optional else values


def copy_target(table: Table, columns: Sequence[str] | None = None) -> str:
    """``table (column, …)`` for `copy_rows`: these columns, or all in the order in which they are declared.

    Columns that are left out are NULL. Raises `ValueError` for an unknown column, and for one left out that cannot be.
    """
    names = [column.name for column in table.columns]
    needed = {column.name for column in table.columns if not column.nullable}
    if columns is not None and not needed <= set(columns) <= set(names):
        raise ValueError(f"{table.name} has the columns {', '.join(names)}, not {', '.join(columns)}")
    return f"{quoted(table.name)} ({', '.join(map(quoted, columns or names))})"


@cache
def _columns(table: Table) -> dict[str, Column[Any]]:
    """The columns by name. A look-up in the table itself would take longer than the values of a hundred rows."""
    return {column.name: column for column in table.columns}


@cache
def in_order(table: Table) -> Callable[[Row], tuple[Any, ...]]:
    """Gives the values of a row in the order in which the table declares its columns. Raises `KeyError`."""
    return itemgetter(*_columns(table))


def copy_lines(table: Table, values: Iterable[tuple[Any, ...]]) -> list[str]:
    """Rows as COPY reads them: their values in the order in which the table declares its columns."""
    texts = map(_copied, _columns(table).values(), zip(*values, strict=True))
    return list(map("\t".join, zip(*texts, strict=True)))


_ARRAYS: dict[type[TypeEngine[Any]], tuple[Callable[[Sequence[Any]], BinaryArray], str]] = {
    BigInteger: (int8_array, "bigint[]"),
    Integer: (int4_array, "integer[]"),
    Boolean: (bool_array, "boolean[]"),
}
"""The array types of columns that are never NULL. The others are sent as text."""

_UNSET: dict[type[TypeEngine[Any]], Any] = {BigInteger: 0, Integer: 0, Boolean: False}
"""The value that is sent for a column that a row does not set. It is ignored, but an array has no gaps."""


def _array_type(column: Column[Any]) -> str:
    _, kind = _ARRAYS.get(type(column.type), (None, "text[]"))
    return "text[]" if column.nullable else kind


def _array(column: Column[Any], values: Sequence[Any]) -> BinaryArray:
    make, _ = _ARRAYS.get(type(column.type), (None, ""))
    if make is not None and not column.nullable:
        return make(values)
    if isinstance(column.type, (Text, JSON, DateTime)):
        return text_array(values)
    return text_array([None if value is None else str(value) for value in values])


@lru_cache(maxsize=256)
def update_statement(table: Table, names: tuple[str, ...], partial: tuple[str, ...] = ()) -> str:
    """The statement that sets these columns of rows by their key. It takes one array a column, the key first.

    Columns in `partial` are set in some of the rows only. Then the last array has a number for each row, whose bits say
    which columns are set.
    """
    [key] = primary_key(table)
    arrays, values = [f"unnest(%s::text[]) AS {quoted(key)}"], []
    for name in names:
        column = table.c[name]
        kind = _array_type(column)
        cast = "" if kind != "text[]" or isinstance(column.type, Text) else f"::{type_name(column)}"
        value = f"n.{quoted(name)}{cast}"
        if name in partial:
            bit = 1 << partial.index(name)
            value = f"CASE WHEN n.columns_set & {bit} <> 0 THEN {value} ELSE t.{quoted(name)} END"
        arrays.append(f"unnest(%s::{kind}) AS {quoted(name)}")
        values.append(f"{quoted(name)} = {value}")
    if partial:
        arrays.append("unnest(%s::bigint[]) AS columns_set")
    return (
        f"UPDATE {quoted(table.name)} t SET {', '.join(values)}\n"  # noqa: S608 - names of declared columns
        f"  FROM (SELECT {', '.join(arrays)}) AS n\n WHERE t.{quoted(key)} = n.{quoted(key)}"
    )


@dataclass(frozen=True, slots=True)
class Update:
    """Some columns of some rows, laid out for the server."""

    table: Table
    names: tuple[str, ...]
    partial: tuple[str, ...]  # the columns that only some of the rows set
    keys: tuple[str, ...]
    arrays: tuple[BinaryArray, ...]

    def run(self, connection: Connection[Any]) -> None:
        """Set the columns. Raises `FoldError` if a row does not exist."""
        done = connection.execute(update_statement(self.table, self.names, self.partial).encode(), self.arrays)
        if done.rowcount != len(self.keys):
            raise FoldError(_without_row(connection, self.table, self.keys, done.rowcount))


SMALL = 500
"""So many rows that set the same columns get a statement of their own. Near the head of the log a page has few rows of
many kinds, and the number of statements costs most. In a page of thousands the number of values costs most."""


def updates(table: Table, rows: Mapping[str, Row]) -> list[Update]:
    """The updates for these rows. A row has the columns to set; its other keys are left out."""
    if not rows:
        return []
    known = _columns(table).keys() - primary_key(table)
    as_set: dict[tuple[str, ...], list[str]] = {}  # rows by the columns that functions have set, in their order
    for name in sorted(rows):  # neighbouring rows share pages of the index and of the table
        as_set.setdefault(tuple(rows[name]), []).append(name)
    groups: dict[tuple[str, ...], list[str]] = {}
    for columns, keys in as_set.items():
        groups.setdefault(tuple(sorted(known.intersection(columns))), []).extend(keys)
    small = {names: keys for names, keys in groups.items() if len(keys) < SMALL}
    large = [_update(table, rows, {names: keys}) for names, keys in groups.items() if names not in small]
    return [*large, _update(table, rows, small)] if small else large


def _update(table: Table, rows: Mapping[str, Row], groups: Mapping[tuple[str, ...], list[str]]) -> Update:
    """One statement for all these rows, given by the columns that they set."""
    names = tuple(sorted(set().union(*groups)))
    partial = tuple(name for name in names if not all(name in columns for columns in groups))
    keys = [key for keys in groups.values() for key in keys]
    of_keys = [rows[key] for key in keys]
    arrays = []
    for name in names:
        column = _columns(table)[name]
        unset = _UNSET.get(type(column.type))
        values = [row.get(name, unset) for row in of_keys] if name in partial else [row[name] for row in of_keys]
        arrays.append(_array(column, values))
    if partial:
        bits = {columns: sum(1 << n for n, name in enumerate(partial) if name in columns) for columns in groups}
        arrays.append(int8_array([bits[columns] for columns, keys in groups.items() for _ in keys]))
    return Update(table, names, partial, tuple(keys), (text_array(keys), *arrays))


def loaded(connection: Connection[Any], table: Table, names: Sequence[str], keys: Sequence[str]) -> dict[str, Row]:
    """The values of these columns in the rows with these keys, by key. A key without a row is left out."""
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
