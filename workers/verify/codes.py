"""Checks that the codes that came with commands are of the alphabet of codes.

The catalogue names these fields (`EventType.codes`). What later events repeat of them, such as the owner in the
freezing of an account, is not looked at: it may be from before the rule.
"""

from __future__ import annotations

from typing import Any, Final

from domain.codes import CODE, METADATA_KEY, MOST_PAIRS
from domain.registry import CATALOGUE
from eventstore.postgres.arrays import text_array
from workers.verify.log import Log
from workers.verify.report import SAMPLE, Check, Finding, checked

CODES_FIT: Final = "codes are of the code alphabet"
OLD_TEXTS: Final = "texts from before they had to be codes"
ERA: Final = "codes"
"""The name in `log.eras` of the position after which the rule holds; without a row it is 0."""

_ERA = "SELECT position FROM log.eras WHERE log = %s AND name = %s"
# A row for each field of each event. It fits if it is null, a code, or an object of codes by codes. The check that
# events are readable finds one that is missing.
_FIELDS = """
    SELECT e.position, e.type, f.field, e.position <= %(era)s AS old, CASE coalesce(jsonb_typeof(v.value), 'null')
           WHEN 'null' THEN true
           WHEN 'string' THEN v.value #>> '{}' ~ %(code)s
           WHEN 'object' THEN (
               SELECT count(*) <= %(pairs)s
                      AND coalesce(bool_and(p.key ~ %(key)s AND jsonb_typeof(p.value) = 'string'
                                            AND p.value #>> '{}' ~ %(code)s), true)
                 FROM jsonb_each(v.value) p)
           ELSE false END AS fits
      FROM log.events e
      JOIN unnest(%(types)s::text[], %(fields)s::text[]) AS f(type, field) USING (type)
     CROSS JOIN LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb -> f.field AS value) v
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.position <> ALL (%(unreadable)s)
"""
_COUNTS = f"""
SELECT count(*) FILTER (WHERE fits OR NOT old), count(*) FILTER (WHERE old AND NOT fits),
       count(*) FILTER (WHERE NOT old AND NOT fits)
  FROM ({_FIELDS}) e
"""  # noqa: S608 - constants of this module
_FOUND = f"""
SELECT position, format('the %%s of %%s is not a code, and all after position %%s are', field, type, %(era)s::bigint)
  FROM ({_FIELDS}) e WHERE NOT old AND NOT fits ORDER BY position, field LIMIT %(sample)s
"""  # noqa: S608 - constants of this module
# Counted apart from the check.
_TOTAL = """
SELECT count(*) FROM log.events e JOIN unnest(%(types)s::text[]) AS f(type) USING (type)
 WHERE e.log = %(log)s AND e.encoding = 0 AND e.position <> ALL (%(unreadable)s)
"""


def check_codes(log: Log) -> Check:
    """Look at each code of each event. After the era another text is a finding; before it, it is not covered.

    A copy does not know its era: there no text is a finding.
    """
    named = [(entry.name, field) for entry in CATALOGUE for field in entry.codes]
    era = log.connection.execute(_ERA, (log.head.log_number, ERA)).fetchone()
    asked: dict[str, Any] = {
        **log.parameters(),
        "types": text_array([name for name, _ in named]),
        "fields": text_array([field for _, field in named]),
        "era": log.head.position if log.is_copy else 0 if era is None else era[0],
        "code": CODE,
        "key": METADATA_KEY,
        "pairs": MOST_PAIRS,
        "sample": SAMPLE,
    }
    counts = log.connection.execute(_COUNTS.encode(), asked).fetchone()
    total = log.connection.execute(_TOTAL.encode(), asked).fetchone()
    assert counts is not None, "an aggregate has a row"
    assert total is not None, "an aggregate has a row"
    covered, old, offences = counts
    findings = [Finding(CODES_FIT, *row) for row in log.connection.execute(_FOUND.encode(), asked)] if offences else []
    return checked(CODES_FIT, "codes", covered, total[0], findings, offences=offences, not_covered={OLD_TEXTS: old})
