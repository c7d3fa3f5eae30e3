"""The figures of a merchant account for a settlement: what was paid to it and given back, read from two tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from domain.accounts.settlement.running import PAYMENT_KINDS, REFUND_KINDS
from domain.process_manager import Fact

MERCHANT_DAY_TABLES = ("entries", "transactions")
"""The projections that it is read from."""

# Entries are counted once: after the end of the settlement before, up to the first one whose value date is after the
# day. A value date is never in the future, so that one was booked after the day was over. Without such an entry it is
# up to the position that both tables have reached: one of them may be ahead, with entries whose transaction is missing.
MERCHANT_DAY = """
WITH reached AS (
    SELECT min(position) AS position
      FROM (SELECT max(position) AS position FROM read.checkpoints WHERE projection = ANY (%(tables)s)
             GROUP BY projection) c
), booked AS (
    SELECT e.transaction, e.side, e.amount, e.value_date, e.position
      FROM read.entries e
     WHERE e.account = %(account)s AND e.position <= (SELECT position FROM reached)
       AND e.number > coalesce((SELECT b.number FROM read.entries b
                                 WHERE b.account = %(account)s AND b.position <= %(after)s
                                 ORDER BY b.number DESC LIMIT 1), 0)
), ending AS (
    SELECT coalesce(min(position) FILTER (WHERE value_date > %(day)s::date) - 1, (SELECT position FROM reached))
           AS position
      FROM booked
), counted AS (
    SELECT b.side, b.amount
      FROM booked b JOIN read.transactions t USING (transaction)
      LEFT JOIN read.transactions p ON p.transaction = t.parent
     WHERE b.position <= (SELECT position FROM ending)
       AND b.value_date BETWEEN %(starts_on)s::date AND %(day)s::date
       AND CASE b.side WHEN 'credit' THEN t.kind = ANY (%(payments)s)
                       ELSE t.kind = ANY (%(refunds)s) AND p.kind = ANY (%(payments)s) END
)
SELECT (SELECT position FROM ending), count(*), coalesce(sum(amount) FILTER (WHERE side = 'credit'), 0),
       coalesce(sum(amount) FILTER (WHERE side = 'debit'), 0)
  FROM counted
"""


def merchant_day(connection: Connection[Any], arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
    """The figures of an `account` for a `day`, of the entries `after` a position and not before `starts_on`."""
    kinds = {"payments": list(PAYMENT_KINDS), "refunds": list(REFUND_KINDS)}
    parameters = {**arguments, **kinds, "tables": list(MERCHANT_DAY_TABLES)}
    row = connection.execute(MERCHANT_DAY.encode(), parameters).fetchone()
    assert row is not None, "an aggregate has a row"
    until, entries, payments, refunds = row
    return {"until": until, "entries": entries, "payments": int(payments), "refunds": int(refunds)}
