"""Declares the table of a read model: a SQLAlchemy Core table with a comment on each column.

Everything else about a table is derived from it: its DDL (`ddl`), COPY and UPDATE (`writing`), filters and pages
(`listing`), reporting views (`reporting`). Columns are declared in the order in which people read them. `ddl` orders
them by alignment, so that rows have no padding.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from projections.engine.erasure import ERASURE, PERSONAL, PersonalText

COLLATION = "C"
"""The collation of ids and codes. They are compared byte by byte, so their order is the same on every server."""

_MINOR_UNITS = "minor units"


def code(name: str, comment: str, *, key: bool = False, optional: bool = False, unique: bool = False) -> Column[Any]:
    """An id or a code: text that is compared byte by byte."""
    return _column(name, Text(collation=COLLATION), comment, key, optional, unique=unique)


def free_text(name: str, comment: str, *, optional: bool = False) -> Column[Any]:
    """Text that people wrote."""
    return _column(name, Text(), comment, False, optional)


def flag(name: str, comment: str) -> Column[Any]:
    """Yes or no."""
    return _column(name, Boolean(), comment, False, False)


def number(name: str, comment: str, *, key: bool = False, bits: int = 64, optional: bool = False) -> Column[Any]:
    """A whole number of 64, 32 or 16 bits: a count, a version, a position."""
    kind: dict[int, TypeEngine[Any]] = {64: BigInteger(), 32: Integer(), 16: SmallInteger()}
    return _column(name, kind[bits], comment, key, optional)


def erasure() -> Column[Any]:
    """The position at which the text of a row was erased, in a table whose rows change for no other reason."""
    return number(ERASURE, "Position in the log at which its text was erased. NULL before.", optional=True)


def amount(name: str, comment: str, *, optional: bool = False) -> Column[Any]:
    """An amount of money in minor units of the currency in the column `currency`, as events carry it."""
    return _column(name, BigInteger(), comment, False, optional, info={_MINOR_UNITS: True})


def total(name: str, comment: str) -> Column[Any]:
    """A sum of amounts, in minor units: it has no bound."""
    return _column(name, Numeric(), comment, False, False, info={_MINOR_UNITS: True})


def day(name: str, comment: str, *, key: bool = False, optional: bool = False) -> Column[Any]:
    """A calendar date."""
    return _column(name, Date(), comment, key, optional)


def moment(name: str, comment: str, *, optional: bool = False) -> Column[Any]:
    """A point in time, UTC."""
    return _column(name, DateTime(timezone=True), comment, False, optional)


def json_value(name: str, comment: str, *, optional: bool = False) -> Column[Any]:
    """A JSON value, kept as it was written."""
    return _column(name, JSON(), comment, False, optional)


def pairs(name: str, comment: str, *, optional: bool = False) -> Column[Any]:
    """Metadata: a JSON object of codes by codes. The server compares it by its pairs, and can index them."""
    return _column(name, JSONB(), comment, False, optional)


def pairs_index(name: str, column: str) -> Index:
    """An index of the pairs in a column, for conditions as `with_pairs` makes them. It has no row without pairs."""
    return Index(
        name,
        column,
        postgresql_using="gin",
        postgresql_ops={column: "jsonb_path_ops"},
        postgresql_where=text(f"{column} <> '{{}}'"),
    )


def index(name: str, *columns: str, where: str | None = None, unique: bool = False) -> Index:
    """An index of the table it is declared in. To change one, declare another name and call the old one obsolete."""
    return Index(name, *columns, unique=unique, postgresql_where=None if where is None else text(where))


def read_table(
    name: str, comment: str, *parts: Column[Any] | Index, storage: str = "", personal: PersonalText | None = None
) -> Table:
    """A table of a read model: its columns and indexes. `storage` holds its storage parameters, as SQL.

    A table with free text declares in `personal` whose text it is.
    """
    return Table(name, MetaData(), *parts, comment=comment, info={"storage": storage, PERSONAL: personal})


def is_amount(column: Column[Any]) -> bool:
    """Whether a column holds minor units."""
    return bool(column.info.get(_MINOR_UNITS))


def _column(
    name: str,
    kind: TypeEngine[Any],
    comment: str,
    key: bool,
    optional: bool,
    *,
    unique: bool = False,
    info: dict[str, Any] | None = None,
) -> Column[Any]:
    return Column(name, kind, primary_key=key, nullable=optional, unique=unique, comment=comment, info=info or {})
