"""Checks the log with set-based queries over `log.events` and `log.commands`.

A query returns a row for each part of the log that it checks: `n`, the number of things that the row counts; `at`, a
position; and `what`, the sentence of a finding, or NULL if nothing is wrong. So a query without findings also reports
how much it checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Connection

from eventstore.log.answers import REFUSALS_ERA
from eventstore.log.metadata import ERA
from eventstore.log.read import Head
from workers.verify.interest import BALANCES, COUNT_CREDITED, compare_balances
from workers.verify.periods import COUNT_SEALS, SEALS, compare_seals
from workers.verify.prices import COUNT_PRICES, IN_FORCE, PRICES
from workers.verify.reconciliations import COUNT_MATCHES, MATCHES, compare_matches
from workers.verify.report import SAMPLE, Check, Finding, checked
from workers.verify.settlements import COUNT_SETTLEMENTS, SETTLEMENTS, compare_settlements
from workers.verify.year_ends import COUNT_YEAR_ENDS, YEAR_ENDS, compare_year_ends

READABLE: Final = "events are readable"
NAMED: Final = "events name the command that appended them"
OPAQUE: Final = "appended by the eventsourcing library"
UNREADABLE: Final = "cannot be read"
REFUSALS: Final = "refusals are events of the log"
ERASURES: Final = "erased persons have no key, and the event that says so"
OLD_REFUSALS: Final = "refused before refusals were on the log"
OLD_BATCHES: Final = "items of batches from before events named the key of each item"
ANSWERS: Final = "answers have their events"
ANSWERED: Final = "events have their answer"
IN_ORIGINAL: Final = "whose records of commands stay with the original: this log is a copy"

# A function, because in PostgreSQL 15 only plpgsql can continue after invalid JSON. It takes 25 µs an event.
_WHY_UNREADABLE = """
CREATE FUNCTION pg_temp.why_unreadable(event log.events) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    payload  jsonb;
    metadata jsonb;
BEGIN
    payload := convert_from(event.payload, 'UTF8');
    metadata := convert_from(event.metadata, 'UTF8');
    IF event.type = 'transaction.posted.v1' THEN
        PERFORM (entry->>'amount')::numeric FROM jsonb_array_elements(payload->'entries') AS x(entry);
    ELSIF event.type IN ('account.credited.v1', 'account.debited.v1') THEN
        PERFORM (payload->>'entry')::int, (payload->>'amount')::numeric;
    ELSIF event.type IN ('rate.set.v1', 'rate.withdrawn.v1', 'quote.given.v1', 'conversion.made.v1') THEN
        PERFORM (payload->>'valid_from')::timestamptz, (payload->>'valid_until')::timestamptz,
                (payload->>'set_at')::timestamptz, (payload->>'withdrawn_at')::timestamptz,
                (metadata->>'decided_at')::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN SQLERRM;
END
$$
"""
_UNREADABLE = """
SELECT position, format('version %%s of %%s: %%s', version, stream, why)
  FROM (SELECT position, version, stream, pg_temp.why_unreadable(e) AS why
          FROM log.events e WHERE log = %(log)s AND encoding = 0) e
 WHERE why IS NOT NULL ORDER BY position
"""
_TOTALS = """
SELECT count(*), count(*) FILTER (WHERE encoding = 0),
       count(*) FILTER (WHERE encoding = 0 AND type = 'transaction.posted.v1' AND position <> ALL (%(unreadable)s)),
       count(*) FILTER (WHERE encoding = 0 AND type IN ('account.credited.v1', 'account.debited.v1')
                          AND position <> ALL (%(unreadable)s)),
       (SELECT count(DISTINCT unit_end) FROM log.events WHERE log = %(log)s AND encoding = 0),
       (SELECT count(*) FROM log.commands WHERE log = %(log)s),
       (SELECT count(*) FROM log.commands WHERE log = %(log)s AND rule IS NOT NULL), coalesce(max(position), 0),
       (SELECT coalesce(sum(octet_length(hashes) / 32), 0) FROM log.command_hashes WHERE log = %(log)s)::bigint
  FROM log.events WHERE log = %(log)s
"""

_HEAD = """
SELECT count(*) AS n, max(position) AS at,
       CASE WHEN (count(*), coalesce(min(position), 1), coalesce(max(position), 0)) <> (%(head)s, 1, %(head)s)
            THEN format('the head is at %%s, and there are %%s events from %%s to %%s',
                        %(head)s, count(*), min(position), max(position)) END AS what
  FROM log.events WHERE log = %(log)s
"""
_GAPS = """
SELECT 1 AS n, position AS at,
       CASE WHEN position <> before + 1 THEN format('nothing stands between %%s and it', before) END AS what
  FROM (SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS before
          FROM log.events WHERE log = %(log)s) e
"""
_ENCODINGS = """
SELECT 1 AS n, position AS at,
       CASE WHEN encoding NOT IN (0, 1) THEN format('encoding %%s is none of 0 (JSON) and 1 (opaque)', encoding)
            WHEN encoding = 1 AND (SELECT bool_or(x.encoding = 0) FROM log.events x WHERE x.log = %(log)s)
            THEN 'the event is opaque, and the log has events in JSON'
            WHEN encoding = 1 AND (SELECT l.name FROM log.logs l WHERE l.log = %(log)s) NOT LIKE '%%:%%'
            THEN 'the event is opaque, and the log is none of the eventsourcing library' END AS what
  FROM log.events WHERE log = %(log)s
"""
_VERSIONS = """
SELECT count(*) AS n, max(position) AS at,
       CASE WHEN min(version) <> 1 OR max(version) <> count(*)
            THEN format('%%s has %%s events with versions %%s to %%s', stream, count(*), min(version), max(version))
            END AS what
  FROM log.events WHERE log = %(log)s AND encoding = 0 GROUP BY stream
"""
_ORDER = """
SELECT 1 AS n, position AS at,
       CASE WHEN before >= version THEN format('version %%s of %%s stands before version %%s', before, stream, version)
            END AS what
  FROM (SELECT position, stream, version, lag(version) OVER (PARTITION BY stream ORDER BY position) AS before
          FROM log.events WHERE log = %(log)s) e
"""
_UNITS = """
SELECT count(*) AS n, unit_end AS at,
       CASE WHEN max(position) <> unit_end OR max(position) - min(position) + 1 <> count(*)
            THEN format('its unit has %%s events from %%s to %%s', count(*), min(position), max(position))
            WHEN min(recorded_at) <> max(recorded_at) THEN 'the events of its unit were recorded at different times'
            WHEN min(metadata) <> max(metadata) THEN 'the events of its unit have different metadata' END AS what
  FROM (SELECT unit_end, position, recorded_at,
               CASE encoding WHEN 0 THEN encode(sha256(metadata), 'hex') END AS metadata
          FROM log.events WHERE log = %(log)s) e GROUP BY unit_end
"""
_TIME = """
SELECT 1 AS n, position AS at,
       CASE WHEN recorded_at < before THEN format('recorded %%s, and the event before it %%s', recorded_at, before)
            WHEN position = %(head)s AND recorded_at <> head_time
            THEN format('the last event is recorded %%s, and log.logs says %%s', recorded_at, head_time) END AS what
  FROM (SELECT e.position, e.recorded_at, lag(e.recorded_at) OVER (ORDER BY e.position) AS before,
               (SELECT l.recorded_at FROM log.logs l WHERE l.log = %(log)s) AS head_time
          FROM log.events e WHERE log = %(log)s) e
"""
# OFFSET 0 lets the server read a payload once a transaction, and join entries without it. Otherwise it would read, or
# keep, the whole payload for each entry: a transaction of 1,000 entries took more than a second.
_ENTRIES = """
    SELECT e.position, e.unit_end, e.stream AS transaction, x.n::int AS entry, x.entry->>'account' AS account,
           x.entry->>'side' AS side, (x.entry->>'amount')::numeric AS amount, x.entry->>'currency' AS currency,
           p.value_date
      FROM log.events e, LATERAL (
            SELECT payload->'entries' AS entries, payload->>'value_date' AS value_date
              FROM (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload OFFSET 0) q OFFSET 0
           ) p, jsonb_array_elements(p.entries) WITH ORDINALITY AS x(entry, n)
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type = 'transaction.posted.v1'
       AND e.position <> ALL (%(unreadable)s)
"""
_SHARES = """
    SELECT e.position, e.unit_end, p.payload->>'transaction' AS transaction, (p.payload->>'entry')::int AS entry,
           e.stream AS account, CASE e.type WHEN 'account.credited.v1' THEN 'credit' ELSE 'debit' END AS side,
           (p.payload->>'amount')::numeric AS amount, p.payload->>'currency' AS currency,
           p.payload->>'value_date' AS value_date
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.type IN ('account.credited.v1', 'account.debited.v1')
       AND e.position <> ALL (%(unreadable)s)
"""
_ZERO_SUM = f"""
SELECT 1 AS n, min(position) AS at,
       string_agg(format('%%s: %%s entries sum to %%s', transaction, currency, total), ', ') FILTER (WHERE total <> 0)
       AS what
  FROM (SELECT transaction, currency, min(position) AS position,
               sum(CASE side WHEN 'credit' THEN amount ELSE -amount END) AS total
          FROM ({_ENTRIES}) e GROUP BY transaction, currency) e
 GROUP BY transaction
"""  # noqa: S608 - constants of this module
_MATCHED = f"""
SELECT (s.position IS NOT NULL)::int AS n, coalesce(e.position, s.position) AS at,
       'entry ' || coalesce(e.entry, s.entry) || ' of ' || coalesce(e.transaction, s.transaction) || ': ' || CASE
       WHEN s.position IS NULL THEN 'no share on the account matches it'
       WHEN e.position IS NULL THEN 'a share without it'
       WHEN e.unit_end <> s.unit_end THEN 'its share stands in another unit' END AS what
  FROM ({_ENTRIES}) e FULL JOIN ({_SHARES}) s
    ON (e.transaction, e.entry, e.account, e.side, e.amount, e.currency, e.value_date)
     = (s.transaction, s.entry, s.account, s.side, s.amount, s.currency, s.value_date)
"""  # noqa: S608 - constants of this module
_ANSWERS = """
SELECT 1 AS n, coalesce(c.last_position, c.decided_position) AS at,
       format('command %%s of %%s ', c.key, c.actor) || CASE
       WHEN c.decided_position > %(head)s THEN format('was decided at %%s, beyond the head', c.decided_position)
       WHEN c.last_position IS NULL AND (c.outcome = 1 OR c.decided_position > %(refusals)s) THEN 'has no events'
       WHEN c.outcome <> 1 AND c.last_position <= %(refusals)s
       THEN format('was refused and has events up to %%s, though refusals have none up to %%s', c.last_position,
                   %(refusals)s)
       WHEN c.last_position IS NOT NULL AND c.decided_position <> c.first_position - 1
       THEN format('was decided at %%s, and its events begin at %%s', c.decided_position, c.first_position)
       WHEN c.last_position IS NOT NULL
            AND (SELECT count(*) FROM log.events e
                  WHERE e.log = c.log AND e.unit_end = c.last_position AND e.encoding = 0
                    AND e.recorded_at = c.recorded_at AND e.position IN (c.first_position, c.last_position))
                <> CASE WHEN c.first_position = c.last_position THEN 1 ELSE 2 END
       THEN format('has no such events from %%s to %%s in JSON, recorded %%s', c.first_position, c.last_position,
                   c.recorded_at)
       WHEN c.last_position IS NULL AND c.decided_position > 0 AND NOT EXISTS (
                SELECT FROM log.events e WHERE e.log = c.log AND e.position = c.decided_position
                   AND e.unit_end = e.position AND e.recorded_at <= c.recorded_at)
       THEN format('was decided at %%s at %%s, where no unit had ended', c.decided_position, c.recorded_at)
       END AS what
  FROM log.commands c WHERE c.log = %(log)s
"""
_ANSWERED = """
SELECT 1 AS n, u.unit_end AS at,
       CASE WHEN count(c.key) <> 1
            THEN format('the unit from %%s to %%s has %%s commands', u.first, u.unit_end, count(c.key))
            END AS what
  FROM (SELECT unit_end, min(position) AS first
          FROM log.events WHERE log = %(log)s AND encoding = 0 GROUP BY unit_end) u
  LEFT JOIN log.commands c
    ON c.log = %(log)s AND c.last_position = u.unit_end AND c.first_position = u.first
 GROUP BY u.unit_end, u.first
"""
_ANSWERED_IN_COPY = """
SELECT 1 AS n, u.unit_end AS at,
       CASE WHEN octet_length(h.hashes) IS DISTINCT FROM 32
            THEN format('the unit from %%s to %%s has %%s hashes of commands', u.first, u.unit_end,
                        coalesce(octet_length(h.hashes), 0) / 32)
            END AS what
  FROM (SELECT unit_end, min(position) AS first
          FROM log.events WHERE log = %(log)s AND encoding = 0 GROUP BY unit_end) u
  LEFT JOIN log.command_hashes h ON h.log = %(log)s AND h.last_position = u.unit_end
"""
# The check before this one reports missing units of commands. The metadata is that of the last event: the check of
# units reports events of a unit whose metadata differ.
_NAMES = """
    SELECT e.unit_end, c.actor, c.key, m->'actor'->>'id' AS named_actor, m->>'key' AS named_key, m ? 'key' AS names_key,
           m->>'correlation' AS correlation, e.unit_end <= %(era)s AS old
      FROM log.events e CROSS JOIN LATERAL (SELECT convert_from(e.metadata, 'UTF8')::jsonb AS m) m
      LEFT JOIN log.commands c ON c.log = e.log AND c.last_position = e.unit_end
     WHERE e.log = %(log)s AND e.encoding = 0 AND e.position = e.unit_end AND e.position <> ALL (%(unreadable)s)
"""
_OLD_BATCH = r"old AND NOT names_key AND correlation LIKE 'batch\_%%' AND correlation <> key"
_NAMED = rf"""
SELECT CASE WHEN {_OLD_BATCH} THEN 0 ELSE 1 END AS n, unit_end AS at, CASE
       WHEN key IS NULL THEN NULL
       WHEN named_actor IS DISTINCT FROM actor
       THEN format('the metadata names actor %%s, and log.commands %%s', named_actor, actor)
       WHEN names_key AND named_key IS DISTINCT FROM key
       THEN format('the metadata names key %%s, and log.commands %%s', named_key, key)
       WHEN names_key AND correlation <> key AND correlation !~ '^l?batch_'
       THEN format('the metadata names correlation %%s, which is neither the key nor a batch', correlation)
       WHEN NOT names_key AND NOT old
       THEN format('the metadata names no key, though it should after position %%s', %(era)s)
       WHEN NOT names_key AND NOT ({_OLD_BATCH}) AND correlation IS DISTINCT FROM key
       THEN format('the metadata names correlation %%s, and log.commands key %%s', correlation, key) END AS what
  FROM ({_NAMES}) u
"""  # noqa: S608 - constants of this module
_COUNT_OLD_BATCHES = f"SELECT count(*) FROM ({_NAMES}) u WHERE {_OLD_BATCH}"  # noqa: S608 - constants of this module
# A recorded refusal is the last event of its unit, and says the same as its record. Where the rule is not NULL, the
# command was refused.
_REFUSED = """
SELECT (c.rule IS NOT NULL)::int AS n, e.position AS at, CASE
       WHEN e.type <> 'command.refused.v1'
       THEN format('the unit of command %%s of %%s, which was refused, ends with %%s', c.key, c.actor, e.type)
       WHEN c.rule IS NULL THEN format('%%s is a refusal, and its command was accepted or is not there', e.stream)
       WHEN (p->>'actor', p->>'key', p->>'rule', p->>'command')
            IS DISTINCT FROM (c.actor, c.key, c.rule, convert_from(e.metadata, 'UTF8')::jsonb->>'command')
       THEN format('%%s is of command %%s of %%s by rule %%s, and log.commands has %%s of %%s by rule %%s', e.stream,
                   p->>'key', p->>'actor', p->>'rule', c.key, c.actor, c.rule)
       WHEN position('"figures":'::bytea || c.result IN e.payload) = 0
       THEN format('%%s has other figures than the answer of command %%s of %%s', e.stream, c.key, c.actor) END AS what
  FROM log.events e CROSS JOIN LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS p) p
  LEFT JOIN log.commands c ON c.log = e.log AND c.last_position = e.position
 WHERE e.log = %(log)s AND e.encoding = 0 AND e.position <> ALL (%(unreadable)s)
   AND (e.type = 'command.refused.v1' OR c.rule IS NOT NULL)
"""
_COUNT_OLD_REFUSALS = """
SELECT count(*) FROM log.commands WHERE log = %(log)s AND rule IS NOT NULL AND last_position IS NULL
"""
_COUNT_REFUSALS = """
SELECT count(*) FROM log.events WHERE log = %(log)s AND encoding = 0 AND type = 'command.refused.v1'
"""
# A row for each key that was destroyed and each event that says so. An erased key has no position of its own.
_ERASED = """
SELECT (k.subject IS NOT NULL AND k.sealed_key IS NULL)::int AS n, e.position AS at, CASE
       WHEN e.position IS NULL
       THEN format('the key of %%s is destroyed, and no event says so', k.subject)
       WHEN k.subject IS NULL THEN format('%%s was erased, and no key says so: one could be made', e.subject)
       WHEN k.sealed_key IS NOT NULL THEN format('%%s was erased, and has a key', e.subject)
       WHEN e.stream <> 'subject:' || e.subject THEN format('%%s says that %%s was erased', e.stream, e.subject)
       END AS what
  FROM (SELECT position, stream, convert_from(payload, 'UTF8')::jsonb->>'subject' AS subject
          FROM log.events
         WHERE log = %(log)s AND encoding = 0 AND type = 'subject.erased.v1' AND position <> ALL (%(unreadable)s)) e
  FULL JOIN (SELECT subject, sealed_key FROM log.subject_keys WHERE log = %(log)s) k ON k.subject = e.subject
 WHERE e.position IS NOT NULL OR k.sealed_key IS NULL
"""
_COUNT_ERASED = "SELECT count(*) FROM log.subject_keys WHERE log = %(log)s AND sealed_key IS NULL"
_ERAS = "SELECT name, position FROM log.eras WHERE log = %s"
_IS_COPY = "SELECT EXISTS (SELECT FROM log.copies WHERE log = %s)"


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is to check, counted apart from the checks."""

    events: int
    json: int
    transactions: int  # that can be read
    shares: int  # that can be read
    units: int  # in JSON
    commands: int
    refused: int  # commands that were refused
    last: int  # the greatest position
    hashed: int  # commands of which a copy has the hash only


_NOTHING = Totals(events=0, json=0, transactions=0, shares=0, units=0, commands=0, refused=0, last=0, hashed=0)


@dataclass(frozen=True, slots=True)
class Log:
    """The log in one snapshot of the database, with what the checks need to know."""

    connection: Connection[Any]
    head: Head
    unreadable: dict[int, str] = field(
        default_factory=dict
    )  # the reason by position; later checks leave these events out
    totals: Totals = _NOTHING
    era: int = 0  # units after this position have their key in the metadata
    refusals: int = 0  # refusals after this position are on the log
    is_copy: bool = False  # the records of its commands stay with the original

    @property
    def opaque(self) -> dict[str, int]:
        """The reasons and numbers of events that checks of JSON leave out."""
        return {OPAQUE: self.totals.events - self.totals.json}

    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the queries."""
        return {
            "log": self.head.log_number,
            "head": self.head.position,
            "unreadable": list(self.unreadable),
            "era": self.era,
            "refusals": self.refusals,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """A check made of queries. Each of them covers everything that `counted` names."""

    name: str
    counted: str
    queries: tuple[str, ...]


QUESTIONS: Final = (
    Question("positions are dense", "events", (_HEAD, _GAPS)),
    Question("encodings are one", "events", (_ENCODINGS,)),
    Question("versions are contiguous", "events in JSON", (_VERSIONS, _ORDER)),
    Question("units are whole", "events", (_UNITS,)),
    Question("time never falls", "events", (_TIME,)),
    Question("transactions sum to zero per currency", "transactions", (_ZERO_SUM,)),
    Question("entries and shares match one to one", "shares", (_MATCHED,)),
    Question(ANSWERS, "commands", (_ANSWERS,)),
    Question(ANSWERED, "units", (_ANSWERED,)),
    Question(NAMED, "units", (_NAMED,)),
    Question(REFUSALS, "refusals", (_REFUSED,)),
    Question(ERASURES, "erased persons", (_ERASED,)),
    Question(SEALS, "sealed periods", (compare_seals(_ENTRIES),)),
    Question(YEAR_ENDS, "closed years", (compare_year_ends(_ENTRIES),)),
    Question(SETTLEMENTS, "settlements", (compare_settlements(_ENTRIES),)),
    Question(MATCHES, "matches", (compare_matches(_ENTRIES),)),
    Question(BALANCES, "months of interest", (compare_balances(_ENTRIES),)),
    Question(IN_FORCE, "prices", (PRICES,)),
)


def open_log(connection: Connection[Any], head: Head) -> Log:
    """Read what all checks need: the events that cannot be decoded as JSON, and the totals.

    For the rest of the transaction joins are by hash or by sorting. With old or missing statistics the planner would
    look for the command of each unit through `commands_by_position`, which reads some hundred rows each time.
    """
    connection.execute("SET LOCAL enable_nestloop = off")
    connection.execute(_WHY_UNREADABLE)
    unreadable = dict(connection.execute(_UNREADABLE, {"log": head.log_number}).fetchall())
    totals = connection.execute(_TOTALS, {"log": head.log_number, "unreadable": list(unreadable)}).fetchone()
    eras = dict(connection.execute(_ERAS, (head.log_number,)).fetchall())
    copied = connection.execute(_IS_COPY, (head.log_number,)).fetchone()
    assert totals is not None, "an aggregate has a row"
    assert copied is not None, "EXISTS has a row"
    return Log(
        connection=connection,
        head=head,
        unreadable=unreadable,
        totals=Totals(*totals),
        era=eras.get(ERA, 0),
        refusals=eras.get(REFUSALS_ERA, 0),
        is_copy=copied[0],
    )


def ask(log: Log, question: Question) -> Check:
    """Run every query of a question. It covers as much as the query that covers least.

    A copy has no records of commands: what needs them is not covered, and each unit must have the hash of one.
    """
    if log.is_copy and question.name in (ANSWERS, NAMED, REFUSALS):
        left_out = _in_original(log, question)
        return checked(question.name, question.counted, 0, left_out, [], not_covered={IN_ORIGINAL: left_out})
    covered, offences = [], 0
    findings: list[Finding] = []
    for query in (_ANSWERED_IN_COPY,) if log.is_copy and question.name == ANSWERED else question.queries:
        row = log.connection.execute(
            f"SELECT coalesce(sum(n), 0)::bigint, count(what) FROM ({query}) q".encode(),  # noqa: S608 - of this module
            log.parameters(),
        ).fetchone()
        assert row is not None, "an aggregate has a row"
        covered.append(row[0])
        offences += row[1]
        if row[1]:
            sample = f"SELECT at, what FROM ({query}) q WHERE what IS NOT NULL ORDER BY at LIMIT {SAMPLE}"  # noqa: S608
            rows = log.connection.execute(sample.encode(), log.parameters())
            findings += [Finding(question.name, at, what) for at, what in rows]
    total, not_covered = _due(log, question)
    return checked(
        question.name,
        question.counted,
        min(covered),
        total,
        findings,
        offences=offences,
        not_covered=not_covered,
    )


def _in_original(log: Log, question: Question) -> int:
    """How much of a copy a question leaves out."""
    if question.name != REFUSALS:
        return log.totals.hashed if question.name == ANSWERS else log.totals.units
    row = log.connection.execute(_COUNT_REFUSALS, log.parameters()).fetchone()
    assert row is not None, "an aggregate has a row"
    return int(row[0])


def _due(log: Log, question: Question) -> tuple[int, Mapping[str, int]]:
    """How much a question must cover, and what it may leave out."""
    totals = log.totals
    if question.name == NAMED:
        row = log.connection.execute(_COUNT_OLD_BATCHES.encode(), log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return totals.units, {OLD_BATCHES: row[0], UNREADABLE: len(log.unreadable)}
    if question.name == REFUSALS:
        row = log.connection.execute(_COUNT_OLD_REFUSALS, log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return totals.refused, {OLD_REFUSALS: row[0], UNREADABLE: len(log.unreadable)}
    if question.name == ERASURES:
        row = log.connection.execute(_COUNT_ERASED, log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    if question.name == SEALS:
        row = log.connection.execute(COUNT_SEALS.encode(), log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    if question.name == YEAR_ENDS:
        row = log.connection.execute(COUNT_YEAR_ENDS.encode(), log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    if question.name == SETTLEMENTS:
        row = log.connection.execute(COUNT_SETTLEMENTS.encode(), log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    if question.name == MATCHES:
        row = log.connection.execute(COUNT_MATCHES.encode(), log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    if question.name == BALANCES:
        row = log.connection.execute(COUNT_CREDITED.encode(), log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    if question.name == IN_FORCE:
        row = log.connection.execute(COUNT_PRICES, log.parameters()).fetchone()
        assert row is not None, "an aggregate has a row"
        return row[0], {}
    return {
        "events": (totals.events, {}),
        "events in JSON": (totals.json, {}),
        "transactions": (totals.transactions, {}),
        "shares": (totals.shares, {}),
        "units": (totals.units, {}),
        "commands": (totals.commands, {}),
    }[question.counted]
