"""Checks the database after each scenario. The result of a scenario that fails the check is not reported."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg


class WrongError(AssertionError):
    """The log or the tables do not agree with the answers of a scenario."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Counts from the database after a scenario."""

    head: int
    events: int
    highest_position: int
    broken_streams: int  # streams whose versions are not 1 … n
    broken_units: int
    unbalanced: int  # transactions that do not sum to zero
    sum_of_shares: int  # credits less debits over all accounts; other than zero, money was made or lost
    accepted: int  # commands recorded as accepted


CHECKED = (
    "positions dense from 1 to the head",
    "versions contiguous in every stream",
    "units whole",
    "every transaction sums to zero",
    "money conserved over all accounts",
    "accepted commands in the log equal accepted answers",
)

CHECKED_TABLES = (
    "every checkpoint at the head",
    "as many accounts and entries in the read tables as events of them",
    "balances in the read tables sum to zero",
)

_OBSERVE = """
WITH shares AS (
    SELECT (payload->>'amount')::numeric * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END AS amount
      FROM log.events_as_json WHERE type IN ('account.credited.v1', 'account.debited.v1')
), transactions AS (
    SELECT e.stream, x->>'currency' AS currency,
           sum((x->>'amount')::numeric * CASE x->>'side' WHEN 'credit' THEN 1 ELSE -1 END) AS total
      FROM log.events_as_json e, jsonb_array_elements(e.payload->'entries') x
     WHERE e.type = 'transaction.posted.v1' GROUP BY 1, 2
)
SELECT l.position, (SELECT count(*) FROM log.events), (SELECT coalesce(max(position), 0) FROM log.events),
       (SELECT count(*) FROM (SELECT FROM log.events GROUP BY stream
                              HAVING min(version) <> 1 OR max(version) <> count(*)) s),
       (SELECT count(*) FROM (SELECT FROM log.events GROUP BY unit_end HAVING max(position) <> unit_end
                              OR max(position) - min(position) + 1 <> count(*)) u),
       (SELECT count(*) FROM transactions WHERE total <> 0), (SELECT coalesce(sum(amount), 0)::bigint FROM shares),
       (SELECT count(*) FROM log.commands WHERE outcome = 1)
  FROM log.logs l WHERE l.name = 'main'
"""

_OBSERVE_TABLES = """
SELECT (SELECT count(*) FROM read.checkpoints c WHERE c.log = l.log AND c.position <> l.position),
       (SELECT count(*) FROM read.accounts) - (SELECT count(*) FROM log.events WHERE type = 'account.opened.v1'),
       (SELECT count(*) FROM read.entries)
       - (SELECT count(*) FROM log.events WHERE type IN ('account.credited.v1', 'account.debited.v1')),
       (SELECT coalesce(sum(balance), 0)::bigint FROM read.accounts)
  FROM log.logs l WHERE l.name = 'main'
"""


def observe(url: str) -> Observed:
    """Read the counts of log `main`, which must be the only log of its database."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_OBSERVE).fetchone()
    assert row is not None, "there is a log named main"
    return Observed(*row)


def judge(observed: Observed, answered: int, *, unanswered: int = 0) -> list[str]:
    """A sentence for each error. `unanswered` is the number of commands without an answer, which may be in the log."""
    findings = []
    if not observed.head == observed.events == observed.highest_position:
        findings.append(
            f"positions are not dense: head {observed.head}, {observed.events} events, "
            f"highest position {observed.highest_position}"
        )
    if observed.broken_streams:
        findings.append(f"{observed.broken_streams} streams have gaps in their versions")
    if observed.broken_units:
        findings.append(f"{observed.broken_units} units are not whole")
    if observed.unbalanced:
        findings.append(f"{observed.unbalanced} transactions do not sum to zero")
    if observed.sum_of_shares:
        findings.append(f"money was made or lost: {observed.sum_of_shares} minor units")
    if not answered <= observed.accepted <= answered + unanswered:
        findings.append(f"{observed.accepted} commands were accepted and {answered} answered")
    return findings


def check(url: str, answered: int, *, unanswered: int = 0) -> list[str]:
    """Check the log. Returns the names of the checks. Raises `WrongError` with the errors."""
    findings = judge(observe(url), answered, unanswered=unanswered)
    if findings:
        raise WrongError("; ".join(findings))
    return list(CHECKED)


def check_tables(url: str) -> list[str]:
    """Check the read tables after the projector has caught up. Returns the names of the checks. Raises `WrongError`."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_OBSERVE_TABLES).fetchone()
    if row != (0, 0, 0, 0):
        raise WrongError(
            f"the read tables are off (checkpoints behind, accounts and entries too many, sum of balances): {row}"
        )
    return list(CHECKED_TABLES)
