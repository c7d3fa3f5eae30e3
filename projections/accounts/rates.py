"""Exchange rates, each with the time for which it is valid: table, fold, reporting view, queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection
from sqlalchemy import BindParameter, and_, bindparam, or_

from domain.accounts.currencies.rates import RATE, RateSet, RateWithdrawn, pair_of
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.engine.columns import code, index, moment, number, read_table
from projections.engine.listing import Listed, Listing, readable
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.reporting import Shown, View

# Table and view.

_RATE = "How much of the counter currency one unit of the base currency is worth"

TABLE = read_table(
    "rates",
    "One row a rate of a pair of currencies, with the time for which it is valid.",
    code("pair", "The pair, such as EUR:USD.", key=True),
    number("number", "Number of the rate: the version of its event on the stream of the pair.", key=True),
    code("base", "ISO 4217 code of the base currency."),
    code("counter", "ISO 4217 code of the counter currency."),
    number("rate", f"{_RATE}, in millionths."),
    number("spread", "Basis points that a conversion keeps.", bits=32),
    code("source", "Where the rate is from."),
    moment("valid_from", "The first instant with it, UTC."),
    moment("valid_until", "The first instant without it, UTC. NULL: until another one begins.", optional=True),
    moment("withdrawn_at", "When it was withdrawn, UTC. NULL if it was not.", optional=True),
    number("position", "Position in the log of its setting."),
    moment("set_at", "When it was set, UTC."),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("rates_in_order", "position", unique=True),
    index("rates_of_pair", "pair", "position"),
)

VIEW = View(
    TABLE,
    "One row a rate of a pair of currencies, with the time for which it is valid.",
    (
        "pair",
        "number",
        "base",
        "counter",
        Shown("rate", f"{_RATE}.", "t.rate * 0.000001"),
        "spread",
        "source",
        "valid_from",
        "valid_until",
        "withdrawn_at",
        "position",
        "set_at",
        "last_position",
        "last_at",
    ),
)

# Fold.


class _End(NamedTuple):
    """The end of a rate that was set before: by the beginning of another one, or because it was withdrawn."""

    until: str
    withdrawn_at: str | None
    position: int
    at: str


Parameters = tuple[tuple[BinaryArray, ...], tuple[BinaryArray, ...]]
"""The new rates, and the ends of rates."""


def fold(events: Iterable[RecordedEvent]) -> Parameters:
    """The new rates and the last end of each rate, as parameters."""
    new: list[tuple[RateSet, int, str]] = []
    ends: dict[tuple[str, int], _End] = {}
    for position, at, event in events:
        pair = event.originator_id.removeprefix(RATE)
        match event:
            case RateSet():
                new.append((event, position, at))
                if event.ends is not None:
                    ends[pair, event.ends] = _End(event.valid_from.isoformat(), None, position, at)
            case RateWithdrawn():
                withdrawn = event.withdrawn_at.isoformat()
                ends[pair, event.number] = _End(withdrawn, withdrawn, position, at)
    sets = [event for event, _, _ in new]
    return (
        (
            text_array([pair_of(event.base, event.counter) for event in sets]),
            int8_array([event.originator_version for event in sets]),
            text_array([event.base for event in sets]),
            text_array([event.counter for event in sets]),
            int8_array([event.rate for event in sets]),
            int8_array([event.spread for event in sets]),
            text_array([event.source for event in sets]),
            text_array([event.valid_from.isoformat() for event in sets]),
            text_array([None if event.valid_until is None else event.valid_until.isoformat() for event in sets]),
            int8_array([position for _, position, _ in new]),
            text_array([at for _, _, at in new]),
        ),
        (
            text_array([pair for pair, _ in ends]),
            int8_array([number for _, number in ends]),
            text_array([end.until for end in ends.values()]),
            text_array([end.withdrawn_at for end in ends.values()]),
            int8_array([end.position for end in ends.values()]),
            text_array([end.at for end in ends.values()]),
        ),
    )


def write(connection: Connection[Any], parameters: Parameters, cache: FoldCache) -> None:
    """Insert the new rates, then end those that end."""
    new, ends = parameters
    connection.execute(_INSERT, new)
    connection.execute(_END, ends)


_INSERT = """
INSERT INTO rates (pair, number, base, counter, rate, spread, source, valid_from, valid_until, position, set_at,
                   last_position, last_at)
SELECT n.pair, n.number, n.base, n.counter, n.rate, n.spread, n.source, n.valid_from::timestamptz,
       n.valid_until::timestamptz, n.position, n.at::timestamptz, n.position, n.at::timestamptz
  FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[],
              %s::text[], %s::bigint[], %s::text[])
       AS n(pair, number, base, counter, rate, spread, source, valid_from, valid_until, position, at)
"""

# A rate that never began has an empty time: it ends when it would have begun.
_END = """
UPDATE rates r
   SET valid_until = greatest(r.valid_from, e.until::timestamptz), withdrawn_at = e.withdrawn_at::timestamptz,
       last_position = e.position, last_at = e.at::timestamptz
  FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[])
       AS e(pair, number, until, withdrawn_at, position, at)
 WHERE r.pair = e.pair AND r.number = e.number
"""

RATES = Projection(
    name="rates",
    area="accounts",
    events=(RateSet, RateWithdrawn),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=fold,
    write=write,
)

# Queries.


@dataclass(frozen=True, slots=True)
class RateRow:
    """A rate of a pair, in millionths, with the time for which it is valid."""

    pair: str
    number: int
    base: str
    counter: str
    rate: int
    spread: int
    source: str
    valid_from: datetime
    valid_until: datetime | None
    withdrawn_at: datetime | None
    position: int
    set_at: datetime


_T = readable(TABLE)
_AT: BindParameter[Any] = bindparam("in_force_at")
RATE_LIST = Listing(
    _T,
    RateRow,
    filters=("pair",),
    conditions={
        "in_force_at": and_(_T.c.valid_from <= _AT, or_(_T.c.valid_until.is_(None), _T.c.valid_until > _AT)),
    },
)


def rates(
    connection: Connection[Any],
    *,
    pair: str | None = None,
    in_force_at: datetime | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[RateRow, int]:
    """Rates in the order in which they were set; `after` and `cursor` are positions."""
    filters = {"pair": pair, "in_force_at": in_force_at, "after": after}
    return RATE_LIST.read(connection, filters, limit, cursor=cursor)
