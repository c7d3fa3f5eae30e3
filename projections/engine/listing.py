"""Lists of rows of a declared table: filters, order, pages.

A query of a list is ``SELECT … WHERE <each filter given> ORDER BY <key> LIMIT``. It is built with SQLAlchemy Core once
for each combination of filters. The key is the position in the log of the event that began the row, or counts in that
order, and it never changes. So a list can be paged and polled:

- `cursor` is the key of the last item of the page before.
- `after` is a position: only what began after it. Rows become visible in the order of the log, so a client that
  remembers the highest position it has seen, and asks for what comes after it, misses nothing.

A list that customers read declares once which rows and columns are theirs (`Visible`). A read names its `Reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from psycopg import Connection
from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    Numeric,
    Select,
    Table,
    TextClause,
    and_,
    bindparam,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from projections.engine.ddl import DIALECT

MOST_ROWS = 1_000
"""Rows a page may have at most."""

T = TypeVar("T")
C = TypeVar("C")

Filters = Mapping[str, Any]
PERSON, AT = "reader_person", "reader_at"
"""The parameters of `Visible`: who reads, and when."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: everything, or what is the person's at this time. None as person: somebody to whom nothing belongs."""

    person: str | None
    at: datetime  # aware, UTC
    everything: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a statement that shows what is the reader's."""
        return {} if self.everything else {PERSON: self.person, AT: self.at}


EVERYTHING = Reader(None, datetime.min.replace(tzinfo=UTC), everything=True)
"""A reader who sees every row."""


@dataclass(frozen=True, slots=True)
class Visible:
    """What a customer reads of a list. Conditions and columns have the parameters `PERSON` and `AT`.

    `rows`: which rows. `shown`: columns that are shown in part. `conditions`: other conditions of filters that would
    tell more than the rows do. Each finds none but those rows, so with such a filter `rows` is not asked again.
    """

    rows: ColumnElement[bool]
    shown: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    conditions: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listed(Generic[T, C]):
    """One page of a list. `next` is the key after which the next page begins; None on the last one."""

    items: tuple[T, ...]
    next: C | None


def readable(table: Table) -> Table:
    """The table as queries name it: in the schema `read`."""
    return table.to_metadata(MetaData(), schema="read")


def with_pairs(column: Column[Any]) -> ColumnElement[bool]:
    """The condition that metadata have all pairs of the parameter with the column's name, which is a JSON object.

    The second part is what the index of the pairs needs (`projections.engine.columns.pairs_index`).
    """
    asked = bindparam(column.name, type_=JSONB())
    return and_(column.op("@>", is_comparison=True)(asked), column != literal_column("'{}'"))


def first_since(table: Table, parameter: str) -> TextClause:
    """The least position from which on all rows were recorded at a time or later, as SQL. The time is a parameter.

    Times never fall along the log, so the position is found by halving: no index of times is needed. The table has an
    index of `position`, and `recorded_at`.
    """
    return text(
        f"""(
WITH RECURSIVE search AS (
    SELECT 0::bigint AS low, coalesce((SELECT max(position) FROM {table}), 0) + 1 AS high
  UNION ALL
    SELECT CASE WHEN early THEN middle ELSE low END, CASE WHEN early THEN high ELSE middle END
      FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE high - low > 1) s
     CROSS JOIN LATERAL (
        SELECT coalesce((
            SELECT recorded_at < :{parameter} FROM {table} WHERE position >= s.middle ORDER BY position LIMIT 1
        ), false) AS early
     ) e
)
SELECT min(high) FROM search)"""  # noqa: S608 - the name of a declared table
    )


class Listing(Generic[T]):
    """The list of a table's rows as items of a dataclass, whose fields are columns of the same name.

    `filters` are columns that may be asked to equal a value. `conditions` are filters of another kind, each on a
    parameter of the same name. `shown` has columns that are computed, `convert` functions for values. `key` is the
    column that orders the list. `visible` is what a customer reads of it; None: nothing.
    """

    def __init__(
        self,
        table: Table,
        item: type[T],
        *,
        key: str = "position",
        filters: Sequence[str] = (),
        conditions: Mapping[str, ColumnElement[bool]] | None = None,
        shown: Mapping[str, ColumnElement[Any]] | None = None,
        convert: Mapping[str, Callable[[Any], Any]] | None = None,
        visible: Visible | None = None,
    ) -> None:
        """`table` is qualified (`readable`)."""
        self._item = item
        self._key = key
        self._order = table.c[key]
        names = [name for name in (one.name for one in fields(item)) if name in table.c]  # type: ignore[arg-type]

        def selected(shown: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
            return select(*(shown.get(name, table.c[name]).label(name) for name in names))

        self._visible = visible
        self._select = selected(shown or {})
        self._select_visible = selected({**(shown or {}), **(visible.shown if visible else {})})
        self._conditions = {
            "cursor": self._order > bindparam("cursor"),
            "before": self._order < bindparam("before"),
            **{name: table.c[name] == bindparam(name) for name in filters},
            **({"after": table.c.position > bindparam("after")} if "position" in table.c else {}),
            **(conditions or {}),
        }
        converted = {name: int for name in names if isinstance(table.c[name].type, Numeric)} | dict(convert or {})
        self._convert = [(names.index(name), function) for name, function in converted.items()]
        self._sql = lru_cache(maxsize=None)(self._compose)

    def sql(self, *filters: str, newest_first: bool = False, everything: bool = True) -> str:
        """The statement for these filters, with named parameters, `row_limit` among them.

        Without `everything` it shows what is the reader's. Raises ValueError if a customer reads nothing of it.
        """
        return self._sql(frozenset(filters), newest_first, everything)

    def read(
        self,
        connection: Connection[Any],
        filters: Filters,
        limit: int,
        *,
        cursor: Any = None,
        newest_first: bool = False,
        reader: Reader = EVERYTHING,
    ) -> Listed[T, Any]:
        """Up to `limit` items that pass the filters which are not None, from where the page before ended.

        Raises ValueError for a limit out of bounds, and for a customer as the reader of what is for none.
        """
        if not 0 < limit <= MOST_ROWS:
            raise ValueError(f"a page has 1 to {MOST_ROWS} rows, not {limit}")
        asked = {**filters, "before" if newest_first else "cursor": cursor}
        given = {name: value for name, value in asked.items() if value is not None}
        statement = self.sql(*given, newest_first=newest_first, everything=reader.everything)
        # One more than asked for tells whether there is a next page.
        rows = connection.execute(statement.encode(), {**given, **reader.parameters, "row_limit": limit + 1}).fetchall()
        items = tuple(map(self._make, rows[:limit]))
        return Listed(items, getattr(items[-1], self._key) if len(rows) > limit else None)

    def one(self, connection: Connection[Any], *, reader: Reader = EVERYTHING, **filters: Any) -> T | None:
        """The first item that passes these filters."""
        items = self.read(connection, filters, 1, reader=reader).items
        return items[0] if items else None

    def _make(self, row: Sequence[Any]) -> T:
        values = list(row)
        for place, function in self._convert:
            values[place] = function(values[place])
        return self._item(*values)

    def _compose(self, filters: frozenset[str], newest_first: bool, everything: bool) -> str:
        conditions, statement = self._conditions, self._select
        if not everything:
            if self._visible is None:
                raise ValueError("this list declares nothing that a customer reads")
            conditions = {**conditions, **self._visible.conditions}
            statement = self._select_visible
            if self._visible.conditions.keys().isdisjoint(filters):
                statement = statement.where(self._visible.rows)
        statement = statement.where(*(conditions[name] for name in sorted(filters)))
        ordered = statement.order_by(self._order.desc() if newest_first else self._order)
        return str(ordered.limit(bindparam("row_limit")).compile(dialect=DIALECT))
