"""Compares the figures of settlements with the sums of the entries, all settlements in one pass over the entries.

A settlement has the entries of its account at the positions after the one before it, up to its own last position. Those
that count are payments, and what undoes payments, with value dates from the first day of the agreement to its own day.
An entry with a later value date would be counted by no settlement.
"""

from __future__ import annotations

from typing import Final

from domain.accounts.settlement.running import PAYMENT_KINDS, REFUND_KINDS

SETTLEMENTS: Final = "settlements are sums of entries"

_CALCULATED = """
    SELECT e.position, e.stream AS settlement, p->>'account' AS account, p->>'day' AS day,
           p->'basis'->>'starts_on' AS starts_on, (p->'basis'->>'after')::numeric AS after,
           (p->>'until')::numeric AS until, (p->>'entries')::numeric AS entries,
           (p->>'payments')::numeric AS payments, (p->>'refunds')::numeric AS refunds
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS p) x
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'settlement.calculated.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
COUNT_SETTLEMENTS: Final = f"SELECT count(*) FROM ({_CALCULATED}) s"  # noqa: S608 - a constant of this module


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


_PAYS, _UNDOES = _listed(PAYMENT_KINDS), _listed(REFUND_KINDS)


def _events(type: str, field: str) -> str:
    """The transactions with a field of their event of this type."""
    return f"""
    SELECT e.stream AS transaction, convert_from(e.payload, 'UTF8')::jsonb->>'{field}' AS {field}
      FROM log.events e
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = '{type}' AND e.position <> ALL (%(unreadable)s)
       AND EXISTS (SELECT FROM calculated)
"""  # noqa: S608 - constants of this module


def compare_settlements(entries: str) -> str:
    """Return the query. `entries` is the one of all entries. Without a settlement it reads none."""
    return f"""
WITH calculated AS MATERIALIZED ({_CALCULATED}),
kinds AS MATERIALIZED ({_events("transaction.posted.v1", "kind")}),
parents AS MATERIALIZED ({_events("transaction.detailed.v1", "parent")}),
booked AS MATERIALIZED (
    SELECT x.position, x.account, x.side, x.amount, x.value_date,
           CASE x.side WHEN 'credit' THEN k.kind IN ({_PAYS})
                       ELSE k.kind IN ({_UNDOES}) AND coalesce(u.kind IN ({_PAYS}), false) END AS counts
      FROM ({entries}) x JOIN kinds k USING (transaction)
      LEFT JOIN parents d USING (transaction) LEFT JOIN kinds u ON u.transaction = d.parent
     WHERE x.account IN (SELECT account FROM calculated)
),
ends AS (
    SELECT account, position, NULL::numeric AS until, side, amount, value_date, counts FROM booked
     UNION ALL
    SELECT account, until, until, NULL, NULL, NULL, NULL FROM calculated
),
ranged AS (
    SELECT account, position, side, amount, value_date, counts,
           min(until) OVER (PARTITION BY account ORDER BY position DESC, until NULLS LAST
                            ROWS UNBOUNDED PRECEDING) AS until
      FROM ends
),
sums AS (
    SELECT c.position,
           count(*) FILTER (WHERE r.value_date COLLATE "C" > c.day) AS lost,
           count(*) FILTER (WHERE r.counts) AS entries,
           coalesce(sum(r.amount) FILTER (WHERE r.counts AND r.side = 'credit'), 0) AS payments,
           coalesce(sum(r.amount) FILTER (WHERE r.counts AND r.side = 'debit'), 0) AS refunds
      FROM calculated c JOIN ranged r USING (account, until)
     WHERE r.position > c.after AND r.amount IS NOT NULL AND r.value_date COLLATE "C" >= c.starts_on
     GROUP BY c.position
)
SELECT 1 AS n, c.position AS at, CASE
       WHEN coalesce(s.lost, 0) > 0
       THEN format('%%s of %%s has %%s entries of later days', c.settlement, c.day, s.lost)
       WHEN (c.entries, c.payments, c.refunds)
            IS DISTINCT FROM (coalesce(s.entries, 0), coalesce(s.payments, 0), coalesce(s.refunds, 0))
       THEN format('%%s of %%s has %%s entries, %%s paid and %%s given back; the log has %%s, %%s and %%s',
                   c.settlement, c.day, c.entries, c.payments, c.refunds, coalesce(s.entries, 0),
                   coalesce(s.payments, 0), coalesce(s.refunds, 0)) END AS what
  FROM calculated c LEFT JOIN sums s USING (position)
"""  # noqa: S608 - constants of this module, and of the one that calls
