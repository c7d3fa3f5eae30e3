"""The DDL of declared tables: CREATE TABLE, indexes, comments, and the shape that says whether tables have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql

DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
quoted = DIALECT.identifier_preparer.quote
"""A name as SQL wants it: in quotes where it is a reserved word."""

_ALIGNMENTS: dict[type[Any], int] = {BigInteger: 8, DateTime: 8, Date: 4, Integer: 4, SmallInteger: 2, Boolean: 1}
"""Bytes at a multiple of which PostgreSQL puts a value. Types that are not here have no fixed length."""


def create_tables(tables: Iterable[Table]) -> str:
    """The SQL that makes these tables with their indexes and comments. Names are not qualified."""
    return "\n".join(_create_table(table) for table in tables)


def create_index(table: Table, index: Index) -> str:
    """The statement that makes one index."""
    options = index.dialect_options["postgresql"]
    classes = options["ops"]
    columns = ", ".join(f"{quoted(one.name)} {classes.get(one.name, '')}".strip() for one in index.columns)
    using = f"USING {options['using']} " if options["using"] else ""
    where = options["where"]
    condition = "" if where is None else f" WHERE {where}"
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {index.name} ON {quoted(table.name)} {using}({columns}){condition};\n"


def indexes_of(table: Table) -> list[Index]:
    """Its indexes in the order of their names."""
    return sorted(table.indexes, key=lambda index: str(index.name))


def literal(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


@cache
def primary_key(table: Table) -> tuple[str, ...]:
    """The names of its key columns, in the order of the key."""
    return tuple(column.name for column in table.primary_key.columns)


def type_name(column: Column[Any]) -> str:
    """The type as PostgreSQL's `format_type` writes it."""
    return str(column.type.compile(DIALECT)).partition(" COLLATE")[0].lower()


def normalised(tables: Iterable[Table]) -> frozenset[str]:
    """The form that decides whether tables have changed: columns (type, collation, nullability) and the primary key.

    The order of columns, comments and indexes do not count: `prepare` makes missing indexes. The lines are like those
    of `LIVE_COLUMNS`.
    """
    lines = set()
    for table in tables:
        for column in table.columns:
            parts = [f"{table.name}.{column.name}", type_name(column)]
            if collation := getattr(column.type, "collation", None):
                parts.append(f"collate {collation}")
            if not column.nullable:
                parts.append("not null")
            lines.add(" ".join(parts))
        lines.add(f"{table.name} primary key {' '.join(primary_key(table))}")
    return frozenset(lines)


LIVE_COLUMNS = """
SELECT c.relname, concat_ws(' ', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
                            'collate ' || nullif(l.collname, 'default'), CASE WHEN a.attnotnull THEN 'not null' END)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
 WHERE c.relnamespace = 'read'::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT c.relname, concat_ws(' ', c.relname, 'primary key', string_agg(a.attname, ' '
                                                                      ORDER BY array_position(i.indkey, a.attnum)))
  FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
 WHERE c.relnamespace = 'read'::regnamespace AND c.relkind = 'r'
 GROUP BY c.relname
"""
"""The lines of `normalised` for every table in the schema `read`, each with the name of its table."""


def digest(lines: Iterable[str]) -> str:
    """A digest of the lines."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def _create_table(table: Table) -> str:
    storage = f" WITH ({table.info['storage']})" if table.info["storage"] else ""
    columns = sorted(table.columns, key=_place)
    names = [quoted(column.name) for column in columns]
    width = max(map(len, names))
    lines = [f"    {name:{width}} {_definition(column)}" for name, column in zip(names, columns, strict=True)]
    lines.append(f"    PRIMARY KEY ({', '.join(map(quoted, primary_key(table)))})")
    statement = f"CREATE TABLE {quoted(table.name)} (\n" + ",\n".join(lines) + f"\n){storage};\n"
    indexes = "".join(create_index(table, index) for index in indexes_of(table))
    parts = [part for part in (statement, indexes, _comments(table)) if part]
    return "\n".join(parts)


def _place(column: Column[Any]) -> tuple[bool, bool, int]:
    """The sort key of a column: fixed length first, then NOT NULL, then wide alignment."""
    alignment = next((bytes for kind, bytes in _ALIGNMENTS.items() if type(column.type) is kind), 0)
    return alignment == 0, bool(column.nullable), -alignment


def _definition(column: Column[Any]) -> str:
    collation = getattr(column.type, "collation", None)
    unique = any(
        isinstance(constraint, UniqueConstraint) and list(constraint.columns) == [column]
        for constraint in column.table.constraints
    )
    parts = (
        type_name(column).replace("timestamp with time zone", "timestamptz"),
        f'COLLATE "{collation}"' if collation else "",
        "" if column.nullable else "NOT NULL",
        "UNIQUE" if unique else "",
    )
    return " ".join(part for part in parts if part)


def _comments(table: Table) -> str:
    return comments(
        "TABLE", quoted(table.name), table.comment or "", [(c.name, c.comment or "") for c in table.columns]
    )


def comments(kind: str, relation: str, comment: str, columns: Sequence[tuple[str, str]]) -> str:
    """The statements that comment a table or view and its columns."""
    lines = [f"COMMENT ON {kind} {relation} IS {literal(comment)};\n"]
    lines += [f"COMMENT ON COLUMN {relation}.{quoted(name)} IS {literal(text)};\n" for name, text in columns]
    return "".join(lines)
