"""Compares the sealed figures of periods with the sums of the entries, all seals in one pass over the entries.

An entry counts for a seal if it stands before it in the log, and its value date is not after the end of the period.
So a period that was reopened later, and got other entries then, keeps the figures that were right.
"""

from __future__ import annotations

from typing import Final

SEALS: Final = "sealed figures are sums of entries"

_SEALED = """
    SELECT e.position, row_number() OVER (ORDER BY e.position) AS seal, p.payload->>'period' AS period,
           p.payload->>'ends_on' AS ends_on,
           CASE jsonb_typeof(p.payload->'figures') WHEN 'array' THEN p.payload->'figures' ELSE '[]' END AS figures
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.stream = 'periods' AND e.type = 'period.sealed.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
COUNT_SEALS: Final = f"SELECT count(*) FROM ({_SEALED}) s"  # noqa: S608 - a constant of this module


def compare_seals(entries: str) -> str:
    """Return the query. `entries` is the one of all entries. Without a seal it reads none."""
    return f"""
WITH seals AS MATERIALIZED ({_SEALED}),
types AS (
    SELECT e.stream AS account, convert_from(e.payload, 'UTF8')::jsonb->>'type' AS type
      FROM log.events e
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'account.opened.v1' AND e.position <> ALL (%(unreadable)s)
       AND EXISTS (SELECT FROM seals)
),
sums AS (
    SELECT width_bucket(x.position, (SELECT array_agg(position ORDER BY position) FROM seals)) AS seals_before,
           x.currency, t.type, x.value_date, coalesce(sum(x.amount) FILTER (WHERE x.side = 'debit'), 0) AS debits,
           coalesce(sum(x.amount) FILTER (WHERE x.side = 'credit'), 0) AS credits
      FROM ({entries}) x JOIN types t USING (account)
     WHERE EXISTS (SELECT FROM seals) GROUP BY 1, 2, 3, 4
),
summed AS (
    SELECT s.seal, m.currency, m.type, sum(m.debits) AS debits, sum(m.credits) AS credits
      FROM seals s JOIN sums m ON m.seals_before < s.seal AND m.value_date COLLATE "C" <= s.ends_on
     GROUP BY 1, 2, 3
),
sealed AS (
    SELECT s.seal, f->>'currency' AS currency, f->>'type' AS type, (f->>'debits')::numeric AS debits,
           (f->>'credits')::numeric AS credits
      FROM seals s, jsonb_array_elements(s.figures) f
),
differences AS (
    SELECT seal, string_agg(format('%%s %%s has %%s and %%s, its entries %%s and %%s', currency, type,
                                   coalesce(f.debits, 0), coalesce(f.credits, 0), coalesce(m.debits, 0),
                                   coalesce(m.credits, 0)), '; ' ORDER BY currency, type) AS what
      FROM sealed f FULL JOIN summed m USING (seal, currency, type)
     WHERE (f.debits, f.credits) IS DISTINCT FROM (m.debits, m.credits) GROUP BY seal
)
SELECT 1 AS n, s.position AS at, format('the seal of %%s differs, debits and credits: ', s.period) || d.what AS what
  FROM seals s LEFT JOIN differences d USING (seal)
"""  # noqa: S608 - constants of this module, and of the one that calls
