"""Compares the balances that interest was credited for with the sums of the entries.

A crediting lists the balance by value date of its first day, and of each later day on which it changed, of the entries
up to a position of the log. So a posting that was booked later with an earlier value date does not make it wrong.
"""

from __future__ import annotations

from typing import Final

BALANCES: Final = "interest is on the sums of entries"

_CREDITED = """
    SELECT e.position, e.stream, p->>'account' AS account, p->>'first' AS first, p->>'last' AS last,
           (p->>'position')::numeric AS until,
           CASE jsonb_typeof(p->'balances') WHEN 'array' THEN p->'balances' ELSE '[]' END AS balances
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS p) x
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'interest.credited.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
COUNT_CREDITED: Final = f"SELECT count(*) FROM ({_CREDITED}) c"  # noqa: S608 - a constant of this module


def compare_balances(entries: str) -> str:
    """Return the query. `entries` is the one of all entries. Without a crediting it reads none."""
    return f"""
WITH credited AS MATERIALIZED ({_CREDITED}),
booked AS MATERIALIZED (
    SELECT x.account, x.position, x.value_date, CASE x.side WHEN 'credit' THEN x.amount ELSE -x.amount END AS amount
      FROM ({entries}) x WHERE x.account IN (SELECT account FROM credited)
),
days AS (
    SELECT c.position, greatest(b.value_date COLLATE "C", c.first) AS day, sum(b.amount) AS change
      FROM credited c JOIN booked b USING (account)
     WHERE b.position <= c.until AND b.value_date COLLATE "C" <= c.last GROUP BY 1, 2
     UNION ALL
    SELECT position, first, 0 FROM credited
),
changes AS (
    SELECT position, day, sum(change) AS change FROM days GROUP BY 1, 2
),
summed AS (
    SELECT position, day, change, sum(change) OVER (PARTITION BY position ORDER BY day COLLATE "C") AS balance
      FROM changes
),
stated AS (
    SELECT c.position, f->>'day' AS day, (f->>'balance')::numeric AS balance
      FROM credited c, jsonb_array_elements(c.balances) f
),
differences AS (
    SELECT position, string_agg(format('%%s has %%s, its entries %%s', day, coalesce(f.balance::text, 'nothing'),
                                       coalesce(s.balance::text, 'nothing')), '; ' ORDER BY day) AS what
      FROM stated f
      FULL JOIN (SELECT s.position, s.day, s.balance FROM summed s JOIN credited c USING (position)
                  WHERE s.change <> 0 OR s.day = c.first) s USING (position, day)
     WHERE f.balance IS DISTINCT FROM s.balance GROUP BY position
)
SELECT 1 AS n, c.position AS at, format('the interest of %%s up to %%s is on other balances: ', c.account, c.last)
       || d.what AS what
  FROM credited c LEFT JOIN differences d USING (position)
"""  # noqa: S608 - constants of this module, and of the one that calls
