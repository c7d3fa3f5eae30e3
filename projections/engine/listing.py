"""Queries whose filters are composed: built with SQLAlchemy Core once for each combination, then plain parameters.

A query of a list is ``select … where <each filter given> order by <key> limit``; the key is the cursor. `None` is a
filter that was not given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from psycopg import Connection
from sqlalchemy import ColumnElement, Select, bindparam
from sqlalchemy.dialects import postgresql

MOST_ROWS = 1_000
"""Rows a page may have at most."""

T = TypeVar("T")
C = TypeVar("C")

_DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Listed(Generic[T, C]):
    """One page of a list. `next` is the key after which the next page begins; None on the last one."""

    items: tuple[T, ...]
    next: C | None


class Listing(Generic[T]):
    """A list that can be filtered: a base statement and one condition a filter, on a parameter of the same name."""

    def __init__(
        self, base: Select[Any], conditions: Mapping[str, ColumnElement[bool]], make: Callable[..., T]
    ) -> None:
        """`make` makes an item of a row's columns."""
        self._base = base.limit(bindparam("row_limit"))
        self._conditions = conditions
        self._make = make
        self._sql = lru_cache(maxsize=None)(self._compose)

    def sql(self, *filters: str) -> str:
        """The statement for these filters, with named parameters, `row_limit` among them."""
        return self._sql(frozenset(filters))

    def read(
        self, connection: Connection[Any], filters: Mapping[str, Any], limit: int, key: Callable[[T], C]
    ) -> Listed[T, C]:
        """Up to `limit` items that pass the filters which are not None. Raises ValueError for a limit out of bounds."""
        if not 0 < limit <= MOST_ROWS:
            raise ValueError(f"a page has 1 to {MOST_ROWS} rows, not {limit}")
        given = {name: value for name, value in filters.items() if value is not None}
        # One more than asked for tells whether there is a next page.
        rows = connection.execute(self.sql(*given).encode(), {**given, "row_limit": limit + 1}).fetchall()
        items = self.items(rows[:limit])
        return Listed(items, key(items[-1]) if len(rows) > limit else None)

    def items(self, rows: Sequence[Sequence[Any]]) -> tuple[T, ...]:
        """Rows as items."""
        return tuple(self._make(*row) for row in rows)

    def _compose(self, filters: frozenset[str]) -> str:
        statement = self._base.where(*(self._conditions[name] for name in sorted(filters)))
        return str(statement.compile(dialect=_DIALECT))
