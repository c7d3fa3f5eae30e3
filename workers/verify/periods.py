"""Compares the seals of periods with the sums of the entries, all seals in one pass over the entries.

A seal has figures for each currency and type of account, and a digest of the balances of all accounts
(`projections.accounts.periods.figures`). An entry counts for a seal if it stands before it in the log, and its value
date is not after the end of the period. So a period that was reopened later, and got other entries then, keeps the seal
that was right.
"""

from __future__ import annotations

from typing import Final

SEALS: Final = "sealed figures are sums of entries"

_SEALED = """
    SELECT e.position, row_number() OVER (ORDER BY e.position) AS seal, p.payload->>'period' AS period,
           p.payload->>'ends_on' AS ends_on, p.payload->>'digest' AS digest,
           CASE jsonb_typeof(p.payload->'figures') WHEN 'array' THEN p.payload->'figures' ELSE '[]' END AS figures
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.stream = 'periods' AND e.type = 'period.sealed.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
COUNT_SEALS: Final = f"SELECT count(*) FROM ({_SEALED}) s"  # noqa: S608 - a constant of this module


def _number(name: str) -> str:
    """Return the figure of a seal as a number, and null for one that is no whole number, so that it differs."""
    return f"CASE WHEN f->>'{name}' ~ '^[0-9]{{1,40}}$' THEN (f->>'{name}')::numeric END"


def compare_seals(entries: str) -> str:
    """Return the query. `entries` is the one of all entries. Without a seal it reads none.

    Entries that count for the same seals are one sum of their account, so that there are not as many sums as days:
    `ends_before` is the number of seals that end before the value date. A day with a blank is the text right after it.
    """
    return rf"""
WITH seals AS MATERIALIZED ({_SEALED}),
types AS (
    SELECT e.stream AS account, convert_from(e.payload, 'UTF8')::jsonb->>'type' AS type
      FROM log.events e
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'account.opened.v1' AND e.position <> ALL (%(unreadable)s)
       AND EXISTS (SELECT FROM seals)
),
sums AS (
    SELECT width_bucket(x.position, (SELECT array_agg(position ORDER BY position) FROM seals)) AS seals_before,
           width_bucket(x.value_date COLLATE "C",
                        (SELECT array_agg(ends_on || ' ' ORDER BY ends_on COLLATE "C")
                                FILTER (WHERE ends_on IS NOT NULL) FROM seals)) AS ends_before,
           max(x.value_date COLLATE "C") AS value_date, x.account, x.currency, t.type,
           coalesce(sum(x.amount) FILTER (WHERE x.side = 'debit'), 0) AS debits,
           coalesce(sum(x.amount) FILTER (WHERE x.side = 'credit'), 0) AS credits
      FROM ({entries}) x JOIN types t USING (account)
     WHERE EXISTS (SELECT FROM seals) GROUP BY 1, 2, x.account, x.currency, t.type
),
balances AS (
    SELECT s.seal, m.account, m.currency, m.type, sum(m.debits) AS debits, sum(m.credits) AS credits
      FROM seals s JOIN sums m ON m.seals_before < s.seal AND m.value_date COLLATE "C" <= s.ends_on
     GROUP BY 1, 2, 3, 4
),
summed AS (
    SELECT seal, currency, type, count(*) AS accounts, sum(debits) AS debits, sum(credits) AS credits,
           sha256(convert_to(string_agg(account || ' ' || (credits - debits) || E'\n', ''
                                        ORDER BY account COLLATE "C"), 'UTF8')) AS digest
      FROM balances GROUP BY 1, 2, 3
),
digests AS (
    SELECT seal, encode(sha256(string_agg(digest, ''::bytea ORDER BY currency COLLATE "C", type COLLATE "C")), 'hex')
           AS digest
      FROM summed GROUP BY seal
),
sealed AS (
    SELECT s.seal, f->>'currency' AS currency, f->>'type' AS type, {_number("accounts")} AS accounts,
           {_number("debits")} AS debits, {_number("credits")} AS credits
      FROM seals s, jsonb_array_elements(s.figures) f
),
differences AS (
    SELECT seal, string_agg(format('%%s %%s has %%s and %%s (accounts: %%s), its entries %%s and %%s (%%s)',
                                   currency, type, coalesce(f.debits, 0), coalesce(f.credits, 0),
                                   coalesce(f.accounts, 0), coalesce(m.debits, 0), coalesce(m.credits, 0),
                                   coalesce(m.accounts, 0)), '; ' ORDER BY currency, type) AS what
      FROM sealed f FULL JOIN summed m USING (seal, currency, type)
     WHERE (f.debits, f.credits, f.accounts) IS DISTINCT FROM (m.debits, m.credits, m.accounts) GROUP BY seal
)
SELECT 1 AS n, s.position AS at,
       CASE WHEN d.what IS NOT NULL THEN format('the seal of %%s differs, debits and credits: ', s.period) || d.what
            WHEN s.digest IS DISTINCT FROM coalesce(g.digest, encode(sha256(''), 'hex'))
            THEN format('the seal of %%s has the digest %%s, and the balances of the accounts have %%s', s.period,
                        s.digest, coalesce(g.digest, encode(sha256(''), 'hex'))) END AS what
  FROM seals s LEFT JOIN differences d USING (seal) LEFT JOIN digests g USING (seal)
"""  # noqa: S608 - constants of this module, and of the one that calls
