"""How events become rows of `periods` and its other tables. A period changes a few times in its life, so each event is
a statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from psycopg import Connection

from domain.accounts.periods.state import (
    PeriodClosed,
    PeriodReopened,
    PeriodReopeningAsked,
    PeriodSealed,
    YearClosed,
    YearClosingAsked,
    YearEndReversed,
)
from eventstore.postgres.arrays import int8_array, text_array
from projections.accounts.periods.tables import FIGURES, FIGURES_VIEW, TABLE, VIEW, YEAR_ENDS, YEAR_ENDS_VIEW
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import erasable

_CLOSED = """
INSERT INTO periods (period, name, begins_on, ends_on, status, closed_by, closed_at, reason_erased, position,
                     last_position, last_at)
VALUES (%(period)s, %(name)s, %(begins_on)s, %(ends_on)s, 'closed', %(by)s, %(at)s::timestamptz, false, %(position)s,
        %(position)s, %(at)s::timestamptz)
"""
_SEALED = """
UPDATE periods
   SET status = 'sealed', digest = %(digest)s, sealed_at = %(at)s::timestamptz, last_position = %(position)s,
       last_at = %(at)s::timestamptz
 WHERE period = %(period)s
"""
_FIGURES = """
INSERT INTO period_figures (period, currency, type, accounts, debits, credits, position)
SELECT %(period)s, currency, type, accounts, debits::numeric, credits::numeric, %(position)s
  FROM unnest(%(currencies)s::text[], %(types)s::text[], %(accounts)s::bigint[], %(debits)s::text[],
              %(credits)s::text[]) AS f(currency, type, accounts, debits, credits)
"""
_ASKED = """
UPDATE periods
   SET approval = %(approval)s, asked_by = %(by)s, reason = %(reason)s, reason_erased = %(erased)s,
       last_position = %(position)s, last_at = %(at)s::timestamptz
 WHERE period = %(period)s
"""
_REOPENED = """
UPDATE periods
   SET status = 'open', reopened_by = %(by)s, reopened_at = %(at)s::timestamptz, last_position = %(position)s,
       last_at = %(at)s::timestamptz
 WHERE period = %(period)s
"""
_YEAR_ASKED = """
UPDATE periods
   SET year = 'asked', year_asked_by = %(by)s, last_position = %(position)s, last_at = %(at)s::timestamptz
 WHERE period = %(period)s
"""
_YEAR_CLOSED = """
UPDATE periods
   SET year = 'closed', year_closed_at = %(at)s::timestamptz, last_position = %(position)s,
       last_at = %(at)s::timestamptz
 WHERE period = %(period)s
"""
_YEAR_END = """
INSERT INTO year_end_transactions (transaction, period, position, last_position, last_at)
SELECT unnest(%(transactions)s::text[]), %(period)s, %(position)s, %(position)s, %(at)s::timestamptz
"""
_YEAR_END_REVERSED = """
UPDATE year_end_transactions
   SET reversed_at = %(at)s::timestamptz, last_position = %(position)s, last_at = %(at)s::timestamptz
 WHERE transaction = %(transaction)s
"""
# The year is open again once none of its transactions stands. It comes after the statement above.
_YEAR_OPEN = """
UPDATE periods p
   SET year = CASE WHEN EXISTS (SELECT FROM year_end_transactions t
                                 WHERE t.period = p.period AND t.reversed_at IS NULL) THEN 'closed' END,
       last_position = %(position)s, last_at = %(at)s::timestamptz
 WHERE period = %(period)s
"""
_ANY_NUMBER = (_FIGURES, _YEAR_END)
"""The statements that may insert nothing."""


class Statement(NamedTuple):
    """A statement that changes one row of `periods`, or inserts the figures of one."""

    sql: str
    parameters: dict[str, Any]


def fold(events: Iterable[RecordedEvent]) -> list[Statement]:
    """The statements of these events, in their order."""
    return [statement for recorded in events for statement in _statements(recorded)]


def _statements(recorded: RecordedEvent) -> list[Statement]:
    position, at, event = recorded
    of_event = {"period": event.period, "position": position, "at": at}
    match event:
        case PeriodClosed():
            days = {"begins_on": event.begins_on, "ends_on": event.ends_on}
            return [Statement(_CLOSED, {**of_event, **days, "name": event.name, "by": event.by})]
        case PeriodSealed(figures=figures):
            columns = {
                "currencies": text_array([one.currency for one in figures]),
                "types": text_array([one.type for one in figures]),
                "accounts": int8_array([one.accounts for one in figures]),
                "debits": text_array([str(one.debits) for one in figures]),
                "credits": text_array([str(one.credits) for one in figures]),
            }
            return [
                Statement(_SEALED, {**of_event, "digest": event.digest}),
                Statement(_FIGURES, {**of_event, **columns}),
            ]
        case PeriodReopeningAsked():
            reason, erased = erasable(event.reason)
            request = {"approval": event.approval, "by": event.by, "reason": reason, "erased": erased}
            return [Statement(_ASKED, {**of_event, **request})]
        case PeriodReopened():
            return [Statement(_REOPENED, {**of_event, "by": event.by})]
        case YearClosingAsked():
            return [Statement(_YEAR_ASKED, {**of_event, "by": event.by})]
        case YearClosed():
            transactions = {**of_event, "transactions": text_array(list(event.transactions))}
            return [Statement(_YEAR_CLOSED, of_event), Statement(_YEAR_END, transactions)]
        case YearEndReversed():
            reversed = {**of_event, "transaction": event.transaction}
            return [Statement(_YEAR_END_REVERSED, reversed), Statement(_YEAR_OPEN, of_event)]
    raise FoldError(f"{type(event).__name__} is none of its events")


def write(connection: Connection[Any], statements: list[Statement], cache: FoldCache) -> None:
    """Change the rows. Raises `FoldError` for an event of a period that was never closed."""
    for sql, parameters in statements:
        done = connection.execute(sql.encode(), parameters)
        if done.rowcount == 0 and sql not in _ANY_NUMBER:
            raise FoldError(f"{parameters['period']} changes and was never closed")


PERIODS = Projection(
    name="periods",
    area="accounts",
    events=(
        PeriodClosed,
        PeriodSealed,
        PeriodReopeningAsked,
        PeriodReopened,
        YearClosingAsked,
        YearClosed,
        YearEndReversed,
    ),
    read_tables=(TABLE, FIGURES, YEAR_ENDS),
    reports=(VIEW, FIGURES_VIEW, YEAR_ENDS_VIEW),
    fold=fold,
    write=write,
)
