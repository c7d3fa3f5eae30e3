"""Compares what closed a year with the sums of the entries, all closings in one pass over the entries.

Each account of a year-end transaction gets the opposite of its balance by value date up to the end of the period, of
the entries that stand before the closing in the log. The internal account for equity gets the rest, whatever node it
has: entries sum to zero. And no account is left out that was income or expense from the request on, and had a balance.
"""

from __future__ import annotations

from typing import Final

from domain.accounts.transaction.year_end import MOVED_ROLES, MOVED_TYPES

YEAR_ENDS: Final = "year-end entries are balances"

_CLOSED = """
    SELECT e.position, e.unit_end, row_number() OVER (ORDER BY e.position) AS closing, p.payload->>'period' AS period,
           p.payload->>'ends_on' AS ends_on,
           CASE jsonb_typeof(p.payload->'transactions') WHEN 'array' THEN p.payload->'transactions' ELSE '[]' END
           AS transactions
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.stream = 'periods' AND e.type = 'period.year_closed.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
COUNT_YEAR_ENDS: Final = f"SELECT count(*) FROM ({_CLOSED}) c"  # noqa: S608 - a constant of this module


def _events(types: str, fields: str) -> str:
    """The events of some types by position. `fields` is of the payload `p`."""
    return f"""
    SELECT e.stream, e.position, {fields}
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS p) x
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type IN ({types}) AND e.position <> ALL (%(unreadable)s)
       AND EXISTS (SELECT FROM closings)
"""  # noqa: S608 - constants of this module


_NODE: Final = "CASE e.type WHEN 'account.attached.v1' THEN p->>'node' END AS node"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def compare_year_ends(entries: str) -> str:
    """Return the query. `entries` is the one of all entries. Without a closing it reads none."""
    return f"""
WITH closings AS MATERIALIZED ({_CLOSED}),
roles AS MATERIALIZED ({_events("'account.opened.v1'", "p->>'type' AS type")}),
nodes AS MATERIALIZED ({_events("'chart.node_added.v1'", "p->>'node' AS node, p->>'type' AS type")}),
attachments AS MATERIALIZED (
    {_events("'account.attached.v1', 'account.detached.v1'", _NODE)}
),
asked AS MATERIALIZED ({_events("'period.year_asked.v1'", "p->>'period' AS period")}),
booked AS MATERIALIZED (
    SELECT x.transaction, x.unit_end, x.position, x.account, x.value_date,
           CASE x.side WHEN 'credit' THEN x.amount ELSE -x.amount END AS amount
      FROM ({entries}) x JOIN roles r ON r.stream = x.account
     WHERE r.type <> 'equity'
       AND (r.type IN ({_listed(MOVED_ROLES)}) OR EXISTS (SELECT FROM attachments a WHERE a.stream = x.account))
),
moved AS (
    SELECT c.closing, b.account, sum(b.amount) AS amount
      FROM closings c JOIN booked b USING (unit_end) WHERE c.transactions ? b.transaction GROUP BY 1, 2
),
sums AS (
    SELECT width_bucket(position, (SELECT array_agg(position ORDER BY position) FROM closings)) AS closings_before,
           account, value_date, sum(amount) AS amount
      FROM booked GROUP BY 1, 2, 3
),
balances AS (
    SELECT c.closing, s.account, sum(s.amount) AS amount
      FROM closings c JOIN sums s ON s.closings_before < c.closing AND s.value_date COLLATE "C" <= c.ends_on
     GROUP BY 1, 2
),
expected AS (
    SELECT b.closing, b.account, b.amount,
           coalesce(n.position, 0) <= a.position AND coalesce(t.position, 0) <= a.position
           AND CASE WHEN n.node IS NULL THEN r.type IN ({_listed(MOVED_ROLES)})
                    ELSE t.type IN ({_listed(tuple(sorted(MOVED_TYPES)))}) END AS needed
      FROM balances b JOIN closings c USING (closing) JOIN roles r ON r.stream = b.account
      LEFT JOIN LATERAL (SELECT max(q.position) AS position FROM asked q
                          WHERE q.period = c.period AND q.position < c.position) a ON true
      LEFT JOIN LATERAL (SELECT h.position, h.node FROM attachments h
                          WHERE h.stream = b.account AND h.position < c.position
                          ORDER BY h.position DESC LIMIT 1) n ON true
      LEFT JOIN LATERAL (SELECT d.position, d.type FROM nodes d WHERE d.node = n.node AND d.position < c.position
                          ORDER BY d.position DESC LIMIT 1) t ON true
),
differences AS (
    SELECT closing, string_agg(format('%%s has %%s and %%s is moved', account, coalesce(e.amount, 0),
                                      -coalesce(m.amount, 0)), '; ' ORDER BY account) AS what
      FROM moved m FULL JOIN expected e USING (closing, account)
     WHERE CASE WHEN m.account IS NULL THEN e.needed AND e.amount <> 0
                ELSE coalesce(e.amount, 0) <> -m.amount END
     GROUP BY closing
)
SELECT 1 AS n, c.position AS at, format('the year of %%s is closed with other amounts: ', c.period) || d.what AS what
  FROM closings c LEFT JOIN differences d USING (closing)
"""  # noqa: S608 - constants of this module, and of the one that calls
