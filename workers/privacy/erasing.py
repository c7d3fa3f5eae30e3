"""Carries out an approved erasure, and reports what was cleared, what remains and until when.

The steps, each of which can be repeated: begin (an event, from which on no hold can come), destroy the key, remove the
credentials, complete (an event, which releases the names), wait for the read tables. Whoever is stopped between two of
them starts the same command again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Connection, sql
from psycopg_pool import ConnectionPool
from sqlalchemy import Table

from domain.people.privacy import ERASE, BeginErasure, CompleteErasure
from domain.registry import PERSONAL_STATES, SNAPSHOTS
from eventstore.credentials.sweeper import Sweeper
from eventstore.executor.executor import ERASURE_SECONDS
from projections.engine.ddl import primary_key
from projections.engine.erasure import personal_text
from projections.engine.waiting import BehindError, Checkpoints
from projections.registry import PROJECTIONS
from workers.clock_and_ids import now
from workers.composition import WriteSide
from workers.erasure import erase_subject
from workers.privacy.requests import approved, carry_out

PERSONAL_PROJECTIONS: Final = tuple(projection.name for projection in PROJECTIONS if projection.personal)
PERSONAL_TABLES: Final = tuple(table for projection in PROJECTIONS for table in projection.personal)


@dataclass(frozen=True, slots=True)
class Remaining:
    """Something that an erasure leaves: what, why, and until when; `until` None: for ever."""

    what: str
    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What became of an erasure."""

    person: str
    approval: str
    position: int  # of subject.erased.v1
    key_destroyed: bool  # False if it was destroyed before
    rows: Mapping[str, int]  # rows of read tables that lost a text, by table
    rows_left: Mapping[str, int]  # rows that still have one: their projector has not passed the position
    credentials: Mapping[str, int]  # rows that were removed, by kind
    snapshots: int  # that had text; states with text are never kept
    behind: str | None  # which projection was waited for in vain
    remaining: tuple[Remaining, ...]

    @property
    def ok(self) -> bool:
        """Whether no text is left in a read table."""
        return self.behind is None and not any(self.rows_left.values())

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long things are kept that an erasure does not reach."""

    backup_days: int
    origin_days: int


def erase_person(
    side: WriteSide,
    owner: Connection[Any],
    reading: Connection[Any],
    credentials: ConnectionPool[Connection[Any]],
    checkpoints: Checkpoints,
    approval: str,
    key: str,
    keeping: Keeping,
    *,
    wait_seconds: float,
) -> ErasureReport:
    """Erase the person that an approval is about. `reading` may read every table.

    Raises `RequestError` if it is not approved, or a hold or a role forbids it now.
    """
    request = approved(reading, side.log_number, side.codec, approval, ERASE)
    person = request.person
    before = rows_with_text(reading, person)
    if request.record.begun != approval:
        carry_out(side, BeginErasure(person, approval), f"{key}/begin")
    erased = erase_subject(owner, side.log_number, person, key)
    removed = Sweeper(credentials, side.log_number).forget(person)
    if request.record.erased_at is None:
        carry_out(side, CompleteErasure(person, approval, erased.position), f"{key}/complete")
    behind: str | None = None
    try:
        checkpoints.wait_here(PERSONAL_PROJECTIONS, erased.position, wait_seconds)
    except BehindError as error:
        behind = str(error)
    left = rows_with_text(reading, person)
    return ErasureReport(
        person=person,
        approval=approval,
        position=erased.position,
        key_destroyed=erased.destroyed,
        rows={table: number - left[table] for table, number in before.items() if number > left[table]},
        rows_left={table: number for table, number in left.items() if number},
        credentials=removed.rows,
        snapshots=drop_snapshots(owner, side.log_number),
        behind=behind,
        remaining=remaining(now(), keeping),
    )


def rows_with_text(connection: Connection[Any], person: str) -> dict[str, int]:
    """The rows of each read table that have text of the person."""
    counts = {}
    for table in PERSONAL_TABLES:
        row = connection.execute(_with_text(table), (person,)).fetchone()
        assert row is not None
        counts[str(table.name)] = int(row[0])
    return counts


def _with_text(table: Table) -> sql.Composed:
    """The statement that counts the rows of a table with text of a person."""
    personal = personal_text(table)
    assert personal is not None, "the table is one with text of people"
    texts = sql.SQL(" OR ").join(sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(text)) for text in personal.texts)
    return sql.SQL("SELECT count(*) FROM {} WHERE {} = %s AND ({})").format(
        from_with_owner(table), sql.Identifier(owner_alias(table), personal.subject), texts
    )


def owner_alias(table: Table) -> str:
    """The alias of the table that names the person of each row: `t`, or `o` for a table of parts."""
    personal = personal_text(table)
    return "t" if personal is None or personal.of is None else "o"


def from_with_owner(table: Table) -> sql.Composed:
    """The table as `t`, joined with the one as `o` that names the person, where that is another."""
    personal = personal_text(table)
    this = sql.SQL("{} t").format(sql.Identifier("read", table.name))
    if personal is None or personal.of is None:
        return this
    [key] = primary_key(personal.of)
    other, column = sql.Identifier("read", personal.of.name), sql.Identifier(key)
    return sql.SQL("{} JOIN {} o ON t.{} = o.{}").format(this, other, column, column)


def drop_snapshots(owner: Connection[Any], log_number: int) -> int:
    """Drop the snapshots of states with personal values. The registry refuses to declare one, so there should be none;
    an older program may have left some."""
    assert not set(SNAPSHOTS) & set(PERSONAL_STATES), "the registry lets no state with text be kept"
    prefixes = list(PERSONAL_STATES)
    statement = (
        "DELETE FROM log.snapshots s USING unnest(%s::text[]) AS p(prefix)"
        " WHERE s.log = %s AND starts_with(s.stream, p.prefix)"
    )
    return owner.execute(statement, (prefixes, log_number)).rowcount


def remaining(at: datetime, keeping: Keeping) -> tuple[Remaining, ...]:
    """What an erasure at this time leaves, and until when."""
    return (
        Remaining("amounts, dates, codes and ids in the log and in read tables", "they are the books; an id is random"),
        Remaining("sealed texts in the log", "the digests of the log hold; nobody has the key to read them"),
        Remaining("keyed hashes of the username and the address", "the log does not change; the names are free again"),
        Remaining(
            "addresses and user agents of commands",
            "daybook forget-origins removes them (DAYBOOK_ORIGIN_DAYS)",
            at + timedelta(days=keeping.origin_days),
        ),
        Remaining(
            "the key and the texts in backups",
            "backups do not change (DAYBOOK_BACKUP_DAYS); after a restore the person has to be erased again",
            at + timedelta(days=keeping.backup_days),
        ),
        Remaining(
            "sealed texts in Kafka topics",
            "replicas destroy their copy of the key when they read the event; the topic of keys gets a tombstone",
        ),
        Remaining(
            "texts in the memory of processes",
            f"processes that take commands drop them within {ERASURE_SECONDS:g} s, others with the next read; one of "
            "an older version has to be restarted",
            at + timedelta(seconds=ERASURE_SECONDS),
        ),
        Remaining("texts in the tables of a rebuild that is under way", "they go when the rebuild passes the event"),
        Remaining("texts about the person in what others wrote", "they are sealed with the keys of those others"),
    )


def in_words(report: ErasureReport) -> Sequence[str]:
    """The report, a line a fact."""
    lines = [f"{report.person} is erased by {report.approval}; event {report.position} says so."]
    lines.append("The key is destroyed." if report.key_destroyed else "The key was destroyed before.")
    for table, number in report.rows.items():
        lines.append(f"Cleared: {number} rows of read.{table}")
    for kind, number in report.credentials.items():
        lines.append(f"Removed: {number} rows of credentials ({kind})")
    lines.append(f"Dropped: {report.snapshots} snapshots with text; states with text are not kept")
    if report.behind is not None:
        lines.append(f"Not yet cleared: {report.behind}. Start the projectors, and this command again.")
    for table, number in report.rows_left.items():
        lines.append(f"Left: {number} rows of read.{table} with text")
    for one in report.remaining:
        until = "" if one.until is None else f" until {one.until:%Y-%m-%d %H:%M} UTC"
        lines.append(f"Remains{until}: {one.what}: {one.why}")
    return lines
