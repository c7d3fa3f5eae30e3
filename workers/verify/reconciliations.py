"""Compares the matches of reconciliations with the entries and lines that they name, all matches in one pass.

Each entry of a match is in the log before it, on the account of the match, with that amount and value date. Its lines
are listed, and their sum is what the match says. That no entry is matched twice follows from the claims.
"""

from __future__ import annotations

from typing import Final

MATCHES: Final = "matches name entries and lines that exist"

_MADE = """
    SELECT e.position, e.stream AS match, p->>'reconciliation' AS reconciliation, p->>'account' AS account,
           p->>'lines_amount' AS lines_amount,
           CASE jsonb_typeof(p->'entries') WHEN 'array' THEN p->'entries' ELSE '[]' END AS entries,
           CASE jsonb_typeof(p->'lines') WHEN 'array' THEN p->'lines' ELSE '[]' END AS lines
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS p) x
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'reconciliation.match_made.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
COUNT_MATCHES: Final = f"SELECT count(*) FROM ({_MADE}) m"  # noqa: S608 - a constant of this module

_NUMBER: Final = "'^-?[0-9]{1,18}$'"


def compare_matches(entries: str) -> str:
    """Return the query. `entries` is the one of all entries. Without a match it reads none."""
    return f"""
WITH made AS MATERIALIZED ({_MADE}),
listed AS MATERIALIZED (
    SELECT p->>'reconciliation' AS reconciliation, (p->>'first')::bigint + l.place - 1 AS number,
           CASE WHEN l.line->>'amount' ~ {_NUMBER}
                THEN (l.line->>'amount')::numeric * CASE p->>'mirrored' WHEN 'true' THEN -1 ELSE 1 END END AS amount
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS p) x,
           jsonb_array_elements(CASE jsonb_typeof(p->'lines') WHEN 'array' THEN p->'lines' ELSE '[]' END)
           WITH ORDINALITY AS l(line, place)
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'reconciliation.part_listed.v1'
       AND e.position <> ALL (%(unreadable)s) AND p->>'first' ~ {_NUMBER} AND EXISTS (SELECT FROM made)
),
booked AS MATERIALIZED (
    SELECT x.transaction, x.entry::text AS entry, x.position, x.account, x.value_date,
           (CASE x.side WHEN 'credit' THEN x.amount ELSE -x.amount END)::text AS amount
      FROM ({entries}) x WHERE EXISTS (SELECT FROM made)
),
lost AS (
    SELECT m.position, string_agg(format('entry %%s of %%s', n->>'entry', n->>'transaction'), ', ') AS what
      FROM made m CROSS JOIN LATERAL jsonb_array_elements(m.entries) n
      LEFT JOIN booked b ON b.transaction = n->>'transaction' AND b.entry = n->>'entry' AND b.account = m.account
                        AND b.amount = n->>'amount' AND b.value_date = n->>'value_date' AND b.position < m.position
     WHERE b.transaction IS NULL GROUP BY 1
),
sums AS (
    SELECT m.position, sum(l.amount)::text AS amount, count(l.amount) AS lines
      FROM made m CROSS JOIN LATERAL jsonb_array_elements_text(m.lines) n
      LEFT JOIN listed l ON l.reconciliation = m.reconciliation AND l.number::text = n
     GROUP BY 1
)
SELECT 1 AS n, m.position AS at, CASE
       WHEN o.what IS NOT NULL THEN format('%%s has what the log has not so: %%s', m.match, o.what)
       WHEN s.amount IS DISTINCT FROM m.lines_amount OR s.lines IS DISTINCT FROM jsonb_array_length(m.lines)::bigint
       THEN format('%%s has lines for %%s, and its statement lists %%s', m.match, m.lines_amount,
                   coalesce(s.amount, 'none')) END AS what
  FROM made m LEFT JOIN lost o USING (position) LEFT JOIN sums s USING (position)
"""  # noqa: S608 - constants of this module, and of the one that calls
