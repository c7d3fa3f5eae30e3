"""The proof from the log alone: each question a set-based query that finds nothing in a sound log.

What is asked: every event readable, positions dense, versions contiguous, units whole, time never falling, every
transaction zero-sum per currency and matched one to one by the shares on its accounts, every recorded answer backed by
its events, every unit by the one answer that a retry gets; then that the checkpoints stand where they may and that the
read tables equal a fresh fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg import Connection, IsolationLevel

from domain import decider
from domain.catalogue import SNAPSHOTS
from eventstore.codec import Codec
from eventstore.read import STREAM_PAGE, Head, read_head, read_streams
from eventstore.snapshots import JsonStates, SnapshotError
from projections.rooms import ROOMS
from projections.verify import TablesReport, verify_tables
from workers.checks_keys import KEYS_OPEN, check_keys

READABLE: Final = "events are readable"
SNAPSHOTS_HOLD: Final = "snapshots are what their streams fold to"
SAMPLE: Final = 10
"""How many offending rows a finding shows; its count is of all."""

# A function, because in PostgreSQL 15 only plpgsql goes on after JSON that cannot be read. It takes 25 µs an event.
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
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN SQLERRM;
END
$$
"""
_UNREADABLE = """
SELECT position AS at, format('version %%s of %%s: %%s', version, stream, why) AS what
  FROM (SELECT position, version, stream, pg_temp.why_unreadable(e) AS why
          FROM log.events e WHERE log = %(log)s AND encoding = 0) e
 WHERE why IS NOT NULL ORDER BY position
"""
_DENSE = """
SELECT e.position AS at, format('%%s events from %%s to %%s', e.events, e.first, e.position) AS what
  FROM (SELECT count(*) AS events, min(position) AS first, max(position) AS position
          FROM log.events WHERE log = %(log)s) e
 WHERE (e.events, coalesce(e.first, 1), coalesce(e.position, 0)) <> (%(head)s, 1, %(head)s)
"""
_GAPS = """
SELECT position AS at, format('nothing between %%s and it', before) AS what
  FROM (SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS before
          FROM log.events WHERE log = %(log)s) e
 WHERE position <> before + 1
"""
_VERSIONS = """
SELECT max(position) AS at,
       format('%%s: %%s events, versions %%s to %%s', stream, count(*), min(version), max(version)) AS what
  FROM log.events WHERE log = %(log)s AND encoding = 0
 GROUP BY stream HAVING min(version) <> 1 OR max(version) <> count(*)
"""
_ORDER = """
SELECT position AS at, format('version %%s of %%s stands before version %%s', before, stream, version) AS what
  FROM (SELECT position, stream, version, lag(version) OVER (PARTITION BY stream ORDER BY position) AS before
          FROM log.events WHERE log = %(log)s) e
 WHERE before >= version
"""
_UNITS = """
SELECT unit_end AS at, format('%%s events from %%s to %%s', count(*), min(position), max(position)) AS what
  FROM log.events WHERE log = %(log)s GROUP BY unit_end
HAVING max(position) <> unit_end OR max(position) - min(position) + 1 <> count(*) OR count(DISTINCT recorded_at) <> 1
"""
_TIME = """
SELECT position AS at, format('recorded %%s, the one before it %%s', recorded_at, before) AS what
  FROM (SELECT position, recorded_at, lag(recorded_at) OVER (ORDER BY position) AS before
          FROM log.events WHERE log = %(log)s) e
 WHERE recorded_at < before
"""
_ENTRIES = """
    SELECT e.position, e.unit_end, e.stream AS transaction, x.n::int AS entry, x.entry->>'account' AS account,
           x.entry->>'side' AS side, (x.entry->>'amount')::numeric AS amount, x.entry->>'currency' AS currency,
           p.payload->>'value_date' AS value_date
      FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p,
           jsonb_array_elements(p.payload->'entries') WITH ORDINALITY AS x(entry, n)
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
SELECT min(position) AS at, format('%%s: %%s entries sum to %%s', transaction, currency, sum(signed)) AS what
  FROM (SELECT *, CASE side WHEN 'credit' THEN amount ELSE -amount END AS signed FROM ({_ENTRIES}) e) e
 GROUP BY transaction, currency HAVING sum(signed) <> 0
"""  # noqa: S608 - constants of this module
_MATCHED = f"""
SELECT coalesce(e.position, s.position) AS at,
       format('entry %%s of %%s: %%s', coalesce(e.entry, s.entry), coalesce(e.transaction, s.transaction), CASE
              WHEN s.position IS NULL THEN 'no share on the account matches it'
              WHEN e.position IS NULL THEN 'a share without it'
              ELSE 'its share stands in another unit' END) AS what
  FROM ({_ENTRIES}) e FULL JOIN ({_SHARES}) s
    ON (e.transaction, e.entry, e.account, e.side, e.amount, e.currency, e.value_date)
     = (s.transaction, s.entry, s.account, s.side, s.amount, s.currency, s.value_date)
 WHERE e.position IS NULL OR s.position IS NULL OR e.unit_end <> s.unit_end
"""  # noqa: S608 - constants of this module
_ANSWERS = """
SELECT coalesce(c.last_position, c.decided_position) AS at, format('command %%s of %%s', c.key, c.actor) AS what
  FROM log.commands c
 WHERE c.log = %(log)s AND (c.decided_position > %(head)s OR (c.outcome = 1) <> (c.last_position IS NOT NULL)
    OR (c.outcome = 1 AND (SELECT count(*) FROM log.events e WHERE e.log = c.log AND e.unit_end = c.last_position
                            AND e.position IN (c.first_position, c.last_position))
                          <> CASE WHEN c.first_position = c.last_position THEN 1 ELSE 2 END))
"""
# What the eventsourcing library appends, encoding 1, has no answers: the versions of its streams refuse a repeat.
_ANSWERED = """
SELECT u.unit_end AS at, format('the unit from %%s to %%s has %%s accepted commands', u.first, u.unit_end, count(c.key))
       AS what
  FROM (SELECT unit_end, min(position) AS first
          FROM log.events WHERE log = %(log)s AND encoding = 0 GROUP BY unit_end) u
  LEFT JOIN log.commands c
    ON c.log = %(log)s AND c.outcome = 1 AND c.last_position = u.unit_end AND c.first_position = u.first
 GROUP BY u.unit_end, u.first HAVING count(c.key) <> 1
"""

CHECKS: Final[dict[str, tuple[str, ...]]] = {
    "positions are dense": (_DENSE, _GAPS),
    "versions are contiguous": (_VERSIONS, _ORDER),
    "units are whole": (_UNITS,),
    "time never falls": (_TIME,),
    "transactions sum to zero per currency": (_ZERO_SUM,),
    "entries and shares match one to one": (_MATCHED,),
    "answers have their events": (_ANSWERS,),
    "events have their answer": (_ANSWERED,),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: where in the log, and what."""

    check: str
    position: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """A question, how many rows offend it, and a sample of them."""

    name: str
    offences: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing offends it."""
        return self.offences == 0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Everything that was asked of a log, and of the tables folded from it."""

    log: str
    epoch: int
    head: int
    checks: tuple[Check, ...]
    tables: TablesReport

    @property
    def ok(self) -> bool:
        """Derived from the findings, so the two cannot disagree."""
        return all(check.ok for check in self.checks) and self.tables.ok

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        return {
            "ok": self.ok,
            "log": self.log,
            "epoch": self.epoch,
            "head": self.head,
            "checks": [{**asdict(check), "ok": check.ok} for check in self.checks],
            "tables": {**asdict(self.tables), "ok": self.tables.ok},
        }


def verify(
    connection: Connection[Any], log: str, codec: Codec, progress: Callable[[str], None] = lambda name: None
) -> VerifyReport:
    """Ask everything. The connection acts as the owner of the read schema, which may read the log and nothing more."""
    checks = []
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ  # one snapshot: what is appended meanwhile is not seen
    try:
        with connection.transaction(force_rollback=True):  # the temporary function goes with it
            head = read_head(connection, log)
            progress(READABLE)
            readable, unreadable = _check_readable(connection, head)
            checks.append(readable)
            for name, queries in CHECKS.items():
                progress(name)
                checks.append(_ask(connection, head, unreadable, name, queries))
            progress(KEYS_OPEN)
            keys = check_keys(connection, head.log, codec, SAMPLE)
            checks.append(Check(KEYS_OPEN, keys.offences, tuple(Finding(KEYS_OPEN, *one) for one in keys.findings)))
            progress(SNAPSHOTS_HOLD)
            checks.append(_check_snapshots(connection, head, codec))
    finally:
        connection.isolation_level = before
    progress("read tables equal a fresh fold")
    return VerifyReport(log, head.epoch, head.position, tuple(checks), verify_tables(connection, log, codec, ROOMS))


_PAGE_OF_SNAPSHOTS = """
SELECT stream, version, state FROM log.snapshots
 WHERE log = %s AND shape = %s AND stream > %s ORDER BY stream LIMIT 100
"""


def _check_snapshots(connection: Connection[Any], head: Head, codec: Codec) -> Check:
    """Fold every stream that has a snapshot anew, a hundred together, up to where the snapshot says it stands.

    Those of other code are left out: nobody sees them.
    """
    states = JsonStates(SNAPSHOTS)
    offences, after = 0, ""
    findings: list[Finding] = []
    while page := connection.execute(_PAGE_OF_SNAPSHOTS, (head.log, states.shape, after), binary=True).fetchall():
        folded = _folds(connection, head.log, codec, {stream: version for stream, version, _ in page})
        for stream, version, kept in page:
            what = _wrong_with(states, stream, version, kept, folded[stream])
            if what is not None:
                offences += 1
                findings += [Finding(SNAPSHOTS_HOLD, None, what)][: SAMPLE - len(findings)]
        after = page[-1][0]
    return Check(SNAPSHOTS_HOLD, offences, tuple(findings))


def _wrong_with(states: JsonStates, stream: str, version: int, kept: bytes, folded: Any) -> str | None:
    """Of a snapshot, beside what its stream folds to, or why it does not."""
    if isinstance(folded, Exception):
        return str(folded)
    try:
        sound = states.decode(stream, kept) == folded
    except SnapshotError as error:
        return str(error)
    return None if sound else f"the snapshot of {stream} at version {version} is not the fold of its events"


def _folds(connection: Connection[Any], log: int, codec: Codec, versions: Mapping[str, int]) -> dict[str, Any]:
    """The state of each stream at its version, of an earlier one where it is not that long; or why it has none."""
    states: dict[str, Any] = dict.fromkeys(versions)
    at = dict.fromkeys(versions, 0)
    while at:
        rows = read_streams(connection, log, at)
        events = codec.decode_many([(type, payload, stream, version) for stream, version, type, payload in rows])
        for (stream, version, _, _), event in zip(rows, events, strict=True):
            state = states[stream]
            if version <= versions[stream] and not isinstance(state, Exception):
                try:
                    states[stream] = event if isinstance(event, Exception) else decider.evolve(state, event)
                except ValueError as error:
                    states[stream] = error
            at[stream] = version
        read = Counter(row[0] for row in rows)
        at = {
            stream: reached
            for stream, reached in at.items()
            if read[stream] == STREAM_PAGE and reached < versions[stream] and not isinstance(states[stream], Exception)
        }
    return states


def _check_readable(connection: Connection[Any], head: Head) -> tuple[Check, list[int]]:
    """Try to read each event, and say where those stand that cannot be: the other checks leave out what they say."""
    connection.execute(_WHY_UNREADABLE)
    rows = connection.execute(_UNREADABLE, {"log": head.log}).fetchall()
    findings = tuple(Finding(READABLE, at, what) for at, what in rows[:SAMPLE])
    return Check(READABLE, len(rows), findings), [at for at, _ in rows]


def _ask(connection: Connection[Any], head: Head, unreadable: list[int], name: str, queries: tuple[str, ...]) -> Check:
    offences, findings = 0, []
    for query in queries:
        limited = f"SELECT at, what, count(*) OVER () FROM ({query}) q ORDER BY at LIMIT {SAMPLE}"  # noqa: S608
        asked = {"log": head.log, "head": head.position, "unreadable": unreadable}
        rows = connection.execute(limited.encode(), asked).fetchall()
        offences += rows[0][2] if rows else 0
        findings += [Finding(name, at, what) for at, what, _ in rows]
    return Check(name, offences, tuple(findings[:SAMPLE]))
