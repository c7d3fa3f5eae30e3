"""The check that prices were made with the rate that was in force: one query over rates, quotes and conversions.

It needs events of two streams, so it is none of an aggregate. A price is decided at the time of its command, or at that
of the last event of its pair before it, if that is later (`domain.accounts.currencies.rates.Rates.now`).
"""

from __future__ import annotations

from typing import Final

IN_FORCE: Final = "prices have the rate that was in force"

COUNT_PRICES: Final = """
SELECT count(*) FROM log.events e CROSS JOIN LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
 WHERE e.log = %(log)s AND e.encoding = 0 AND e.position <> ALL (%(unreadable)s)
   AND (e.type = 'quote.given.v1' OR (e.type = 'conversion.made.v1' AND p.payload->>'quote' IS NULL))
"""
PRICES: Final = """
WITH events AS MATERIALIZED (
    SELECT e.position, e.type, e.version, p.payload, p.payload->'price' AS price,
           CASE WHEN e.type LIKE 'rate.%%' THEN e.stream ELSE 'rate:' || (p.payload->'price'->>'pair') END AS pair,
           CASE WHEN e.type NOT LIKE 'rate.%%'
                THEN (convert_from(e.metadata, 'UTF8')::jsonb->>'decided_at')::timestamptz END AS decided_at,
           CASE WHEN e.type LIKE 'rate.%%'
                THEN coalesce(p.payload->>'set_at', p.payload->>'withdrawn_at')::timestamptz END AS pair_at
      FROM log.events e CROSS JOIN LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.position <> ALL (%(unreadable)s)
       AND e.type IN ('rate.set.v1', 'rate.withdrawn.v1', 'quote.given.v1', 'conversion.made.v1')
), timed AS (
    SELECT *, greatest(decided_at, max(pair_at) OVER (PARTITION BY pair ORDER BY position)) AS at FROM events
), priced AS (
    SELECT position, pair, price, at, price->>'rate_number' AS number FROM timed
     WHERE type = 'quote.given.v1' OR (type = 'conversion.made.v1' AND payload->>'quote' IS NULL)
), ends AS (
    SELECT position, pair, payload->>'ends' AS number, (payload->>'valid_from')::timestamptz AS at
      FROM events WHERE type = 'rate.set.v1' AND payload->>'ends' IS NOT NULL
     UNION ALL
    SELECT position, pair, payload->>'number', (payload->>'withdrawn_at')::timestamptz
      FROM events WHERE type = 'rate.withdrawn.v1'
)
SELECT 1 AS n, p.position AS at, CASE
       WHEN r.position IS NULL THEN format('%%s has no rate %%s', p.pair, p.number)
       WHEN r.position > p.position THEN format('rate %%s of %%s is set after it', p.number, p.pair)
       WHEN (p.price->'rate', p.price->'spread', p.price->'rate_source')
            IS DISTINCT FROM (r.payload->'rate', r.payload->'spread', r.payload->'source')
       THEN format('rate %%s of %%s is %%s less %%s from %%s, and the price has %%s less %%s from %%s', p.number,
                   p.pair, r.payload->>'rate', r.payload->>'spread', r.payload->>'source', p.price->>'rate',
                   p.price->>'spread', p.price->>'rate_source')
       WHEN p.at < (r.payload->>'valid_from')::timestamptz OR p.at >= (r.payload->>'valid_until')::timestamptz
            OR bool_or(x.at <= p.at AND x.position < p.position)
       THEN format('rate %%s of %%s was not in force at %%s', p.number, p.pair, p.at) END AS what
  FROM priced p
  LEFT JOIN events r ON r.type = 'rate.set.v1' AND r.pair = p.pair AND r.version::text = p.number
  LEFT JOIN ends x ON x.pair = p.pair AND x.number = p.number
 GROUP BY p.position, p.pair, p.number, p.price, p.at, r.position, r.payload
"""
"""A row for each quote, and for each conversion without one: a conversion at a quote has the price of the quote."""
