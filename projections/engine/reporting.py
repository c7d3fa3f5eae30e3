"""Reporting views, declared over the tables they show.

A view names the columns that it shows. A column comes from the table with its comment; an amount is shown in major
units. A view may be replaced while views of users depend on it, so its columns keep their order: a new one goes to the
end. Each view has `last_position`, the position of the last event that changed the row: a tool that remembers
the highest one fetches what changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

from projections.engine.columns import is_amount
from projections.engine.ddl import comments, quoted

_WIDTH = 118


@dataclass(frozen=True, slots=True)
class Shown:
    """A column of a view. `t` is the table, `c` its row of `read.currencies`, `o` the table that is joined."""

    name: str
    comment: str
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """A reporting view over a table, under the table's name.

    `columns` are names of the table's columns, or `Shown`. `joined` is a table of the same projection whose row has
    the same key; its alias is `o`.
    """

    table: Table
    comment: str
    columns: tuple[str | Shown, ...]
    joined: Table | None = None

    @property
    def name(self) -> str:
        """Its name, unqualified."""
        return str(self.table.name)

    @property
    def shown(self) -> list[Shown]:
        """The columns in order, each with its comment."""
        return [shown(self.table.c[column]) if isinstance(column, str) else column for column in self.columns]

    def sql(self) -> str:
        """The statements that make or replace it and comment it. They may be run again at any time."""
        columns = self.shown
        relation = f"reporting.{quoted(self.name)}"
        select = _filled("SELECT ", [_aliased(column) for column in columns])
        described = comments("VIEW", relation, self.comment, [(column.name, column.comment) for column in columns])
        return f"CREATE OR REPLACE VIEW {relation} AS\n{select}\n{self._source()};\n\n{described}"

    def _source(self) -> str:
        joins = []
        if self.joined is not None:
            keys = ", ".join(quoted(key.name) for key in self.joined.primary_key.columns)
            joins.append(f"JOIN read.{quoted(self.joined.name)} o USING ({keys})")
        if any("c.minor_unit" in column.sql for column in self.shown):
            currency = self.table.c.get("currency")
            join = "LEFT JOIN" if currency is not None and currency.nullable else "JOIN"
            joins.append(f"{join} read.currencies c USING (currency)")
        return "  FROM " + " ".join([f"read.{quoted(self.name)} t", *joins])


def shown(column: Column[Any], name: str | None = None) -> Shown:
    """A column of the table, under another name if one is given; an amount in major units."""
    qualified = f"t.{quoted(column.name)}"
    sql = f"{qualified} * c.minor_unit" if is_amount(column) else qualified
    return Shown(name or column.name, column.comment or "", sql)


def last_position(sql: str = "t.last_position") -> Shown:
    """The column that every view has: the position of the last change of the row."""
    return Shown("last_position", "Position in the log of the last event that changed this row.", sql)


def _aliased(column: Shown) -> str:
    name = quoted(column.name)
    return column.sql if column.sql.rpartition(".")[2] == name and " " not in column.sql else f"{column.sql} AS {name}"


def _filled(start: str, items: list[str]) -> str:
    """A list, wrapped into lines with the indentation of the first."""
    lines, line = [], start
    for number, item in enumerate(items, 1):
        piece = item if number == len(items) else f"{item}, "
        if len(line) + len(piece.rstrip()) > _WIDTH and line.strip():
            lines.append(line.rstrip())
            line = " " * len(start)
        line += piece
    return "\n".join([*lines, line])
