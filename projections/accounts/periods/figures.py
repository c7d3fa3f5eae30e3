"""The figures of a period that is about to be sealed: its trial balance, and a digest of the balances of all accounts.

They are read from `movements` and from the types of accounts in `trial_balance`. So are the balances that a year-end
closing moves, with the nodes of accounts in `chart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from domain.accounts.transaction.year_end import MOST_YEAR_END_ACCOUNTS, MOVED_ROLES, MOVED_TYPES
from domain.process_manager import Fact

# The digest is two steps deep, so that no text has the balances of all accounts: a text has at most 1 GB.
TRIAL_BALANCE_UNTIL = r"""
WITH balances AS (
    SELECT m.account, m.currency, a.type, sum(m.debits) AS debits, sum(m.credits) AS credits
      FROM read.movements m JOIN read.trial_balance_accounts a USING (account)
     WHERE m.day <= %(until)s::date GROUP BY m.account, m.currency, a.type
), figures AS (
    SELECT currency, type, count(*) AS accounts, sum(debits) AS debits, sum(credits) AS credits,
           sha256(convert_to(string_agg(account || ' ' || (credits - debits) || E'\n', '' ORDER BY account), 'UTF8'))
           AS digest
      FROM balances GROUP BY currency, type
)
SELECT coalesce(json_agg(json_build_object('currency', currency, 'type', type, 'accounts', accounts,
                                           'debits', debits, 'credits', credits) ORDER BY currency, type), '[]')::text,
       count(*), encode(sha256(coalesce(string_agg(digest, ''::bytea ORDER BY currency, type), '')), 'hex')
  FROM figures
"""


def trial_balance_until(connection: Connection[Any], arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
    """The figures by value date up to the day `until`, their count, and the digest of all balances."""
    row = connection.execute(TRIAL_BALANCE_UNTIL.encode(), {"until": arguments["until"]}).fetchone()
    assert row is not None, "an aggregate has a row"
    figures, count, digest = row
    return {"figures": figures, "count": count, "digest": digest}


# Which accounts are income or expense is what `domain.accounts.transaction.year_end.is_moved` says.
YEAR_END_BALANCES = """
WITH balances AS (
    SELECT m.currency, m.account, sum(m.credits) - sum(m.debits) AS balance
      FROM read.movements m JOIN read.trial_balance_accounts a USING (account)
      LEFT JOIN read.chart_accounts c USING (account)
      LEFT JOIN read.chart_nodes n ON n.node = c.node AND NOT n.removed
     WHERE m.day <= %(until)s::date
       AND CASE WHEN c.node IS NULL THEN a.type = ANY (%(roles)s) ELSE n.type = ANY (%(types)s) END
     GROUP BY m.currency, m.account HAVING sum(m.credits) <> sum(m.debits)
), few AS (
    SELECT * FROM balances LIMIT %(most)s + 1
)
SELECT count(*),
       CASE WHEN count(*) <= %(most)s
            THEN json_agg(json_build_array(currency, account, balance) ORDER BY currency, account)::text END
  FROM few
"""


def year_end_balances(connection: Connection[Any], arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
    """The balances of income and expense by value date up to the day `until`, and their count."""
    parameters = {
        "until": arguments["until"],
        "roles": list(MOVED_ROLES),
        "types": sorted(MOVED_TYPES),
        "most": MOST_YEAR_END_ACCOUNTS,
    }
    row = connection.execute(YEAR_END_BALANCES.encode(), parameters).fetchone()
    assert row is not None, "an aggregate has a row"
    count, balances = row
    return {"count": count, "balances": balances or "[]"}
