"""Writes what is known about a person into a ZIP of JSON and CSV, as of one position of the log.

Rows are streamed, so memory does not grow with them. Nothing secret is read: hashes of passwords, tokens and keys stay
where they are. Texts about other people are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import orjson
from psycopg import Connection, sql
from psycopg_pool import ConnectionPool
from sqlalchemy import Table

from domain.aggregate import EventType
from domain.json_form import json_form
from domain.people.person.state import PERSON, Person
from domain.people.privacy import EXPORT, RecordExport
from domain.people.privacy_record import PRIVACY_PREFIX, privacy_stream
from domain.registry import AGGREGATES, CATALOGUE
from domain.subjects import SUBJECT_PREFIX, subject_stream
from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.scopes import to_json
from eventstore.credentials.sessions import Sessions
from eventstore.log.codec import Codec
from eventstore.log.event_view import event_view
from eventstore.log.read import Recorded, read_head, read_log
from projections.engine.erasure import personal_text
from projections.registry import PROJECTIONS
from workers.clock_and_ids import now
from workers.composition import WriteSide
from workers.databases import one_moment
from workers.privacy.erasing import from_with_owner, owner_alias
from workers.privacy.requests import RequestError, approved, carry_out, state_of

PERSON_FIELDS: Final = ("person", "owner", "customer", "author", "subject", "holder", "by", "decided_by", "about")
"""Fields of events, and columns of read tables, that name a person."""
OF_ANOTHER: Final = "[about another person]"
"""Replaces a text that is sealed with the key of another person."""
PAGE: Final = 5_000
"""Positions of the log that are read at once."""
MOST_LISTED: Final = 10_000
"""Sessions and API keys of one person, at most. The sweeper removes old ones."""
MODE: Final = 0o600
_OWNED_ENTRIES: Final = """
SELECT t.* FROM read.entries t
 WHERE t.account IN (SELECT a.account FROM read.accounts a WHERE a.owner = {person}
                     UNION SELECT p.account FROM read.account_persons p
                            WHERE p.person = {person} AND p.standing = 'owner')
 ORDER BY t.account, t.number
"""
_COMMANDS: Final = """
SELECT key, outcome, status, rule, convert_from(result, 'UTF8') AS result, first_position, last_position, recorded_at,
       origin
  FROM log.commands WHERE log = {log} AND actor = {person} ORDER BY key
"""

README: Final = """\
What Daybook knows about {person}, as of position {position} of the log {log}, written at {at:%Y-%m-%d %H:%M} UTC.

events.json         the events that are about this person or name them, oldest first, with their texts opened. Texts
                    about other people are left out. Amounts are in minor units.
tables/*.csv        rows of the read tables that are about this person. Each table may lag: manifest.json says up to
                    which position each was folded. Amounts are in minor units.
tables/entries.csv  the entries of the accounts that this person owns.
commands.csv        the commands that this person sent, with their answers. outcome is 1 accepted, 2 refused by a
                    rule, 3 a wrong version.
credentials.json    sessions and API keys. No password, token, key or hash is here: Daybook gives them to nobody.
manifest.json       the position, the files and the number of their rows.

A cell that begins with =, +, - or @ is text. Import the CSV files as text, and do not let a spreadsheet compute them.
"""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported."""

    person: str
    approval: str
    log: str
    epoch: int
    position: int
    at: datetime
    files: Mapping[str, int]  # rows or events of each file
    folded: Mapping[str, int]  # up to which position each projection was folded

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it, and as the manifest of the file."""
        return asdict(self)


def export_person(
    side: WriteSide,
    reading: Connection[Any],
    codec: Codec,
    credentials: ConnectionPool[Connection[Any]],
    approval: str,
    path: Path,
) -> ExportReport:
    """Write the export of the person that an approval is about, and record it. `reading` may read every table.

    The file is written beside its place and moved there once the export is recorded. Raises `RequestError` if it is
    not approved or was used, and `FileExistsError`.
    """
    request = approved(reading, side.log_number, codec, approval, EXPORT)
    if request.record.export != approval:
        raise RequestError(f"the approval {approval} was used or replaced: ask for another one")
    if path.exists():
        raise FileExistsError(17, "there is such a file already", str(path))
    partial = path.with_name(f"{path.name}.partial")
    with suppress(FileNotFoundError):
        partial.unlink()  # of an export that was stopped
    try:
        with _private(partial) as file, one_moment(reading):
            report = _write(file, side, reading, codec, credentials, approval, request.person)
        carry_out(side, RecordExport(request.person, approval, report.position), f"export {approval}")
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.rename(path)
    return report


@contextmanager
def _private(path: Path) -> Iterator[ZipFile]:
    """A new ZIP that only its owner may read. It is on the disk when this ends."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MODE)
    with os.fdopen(descriptor, "wb") as file:
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            yield archive
        file.flush()
        os.fsync(file.fileno())


def _write(
    archive: ZipFile,
    side: WriteSide,
    reading: Connection[Any],
    codec: Codec,
    credentials: ConnectionPool[Connection[Any]],
    approval: str,
    person: str,
) -> ExportReport:
    head = read_head(reading, side.log)
    at = now()
    if not isinstance(state_of(reading, side.log_number, codec, person), Person):
        raise RequestError(f"there is no person {person}")
    files = {"events.json": _events(archive, reading, codec, side.log_number, person, head.position)}
    for projection in PROJECTIONS:
        for table in projection.read_tables:
            statement = _rows_about(table, person)
            if statement is not None:
                files[f"tables/{table.name}.csv"] = _csv(archive, reading, f"tables/{table.name}.csv", statement)
    entries = sql.SQL(_OWNED_ENTRIES).format(person=sql.Literal(person))
    files["tables/entries.csv"] = _csv(archive, reading, "tables/entries.csv", entries)
    commands = sql.SQL(_COMMANDS).format(log=sql.Literal(side.log_number), person=sql.Literal(person))
    files["commands.csv"] = _csv(archive, reading, "commands.csv", commands)
    files["credentials.json"] = _credentials(archive, credentials, side, person)
    folded = reading.execute(
        "SELECT projection, position FROM read.checkpoints WHERE log = %s ORDER BY projection", (side.log_number,)
    ).fetchall()
    report = ExportReport(person, approval, side.log, head.epoch, head.position, at, files, dict(folded))
    archive.writestr("manifest.json", _json(report.as_json()))
    archive.writestr("README.txt", README.format(person=person, position=head.position, log=side.log, at=at))
    return report


# Events


def _names_a_person(entry: EventType) -> bool:
    kind = entry.event or entry.payload
    return kind is not None and any(field in PERSON_FIELDS for field in kind.__struct_fields__)


_OWN_TYPES: Final = {
    entry.name
    for aggregate in AGGREGATES
    if aggregate.prefix in (f"{PERSON}_", PRIVACY_PREFIX, SUBJECT_PREFIX)
    for entry in aggregate.events
}
_TYPES: Final = tuple(entry.name for entry in CATALOGUE if entry.name in _OWN_TYPES or _names_a_person(entry))
"""The events that are on streams of persons, or may name one."""
_NAMED: Final = {entry.name: entry for entry in CATALOGUE}


def _events(archive: ZipFile, reading: Connection[Any], codec: Codec, log_number: int, person: str, upto: int) -> int:
    """Write the events about a person, a page of the log at a time. Returns their number."""
    count = 0
    with archive.open("events.json", "w", force_zip64=True) as file:
        file.write(b"[")
        for view in _views_about(reading, codec, log_number, person, upto):
            file.write(b",\n" if count else b"\n")
            file.write(_json(view))
            count += 1
        file.write(b"\n]\n")
    return count


def _views_about(
    reading: Connection[Any], codec: Codec, log_number: int, person: str, upto: int
) -> Iterator[dict[str, Any]]:
    after = 0
    while after < upto:
        page = read_log(reading, log_number, after, PAGE, types=_TYPES)
        stored = [(row.type, row.payload, row.stream, row.version) for row in page.events]
        for recorded, event in zip(page.events, codec.decode_many(stored), strict=True):
            if isinstance(event, Exception):
                raise event
            if _is_about(recorded, event, person):
                yield _without_others(event_view(recorded, event), person)
        if page.at_end:
            return
        after = page.upto


def _is_about(recorded: Recorded, event: Any, person: str) -> bool:
    own = (person, privacy_stream(person), subject_stream(person))
    return recorded.stream in own or any(getattr(event, field, None) == person for field in PERSON_FIELDS)


def _without_others(view: dict[str, Any], person: str) -> dict[str, Any]:
    """The view of an event without texts of which another person has the key."""
    entry = _NAMED[view["type"]]
    if entry.subject is None or view["data"].get(entry.subject) == person:
        return view
    data = {
        name: OF_ANOTHER if name in entry.personal and value is not None else value
        for name, value in view["data"].items()
    }
    return {**view, "data": data}


# Tables


def _rows_about(table: Table, person: str) -> sql.Composed | None:
    """The statement with the rows of a table that are about a person; None if it names nobody."""
    personal = personal_text(table)
    literal = sql.Literal(person)
    if personal is not None:
        columns: Iterable[sql.Identifier] = [sql.Identifier(owner_alias(table), personal.subject)]
    else:
        columns = [sql.Identifier("t", c.name) for c in table.columns if c.name in (*PERSON_FIELDS, "actor")]
    named = [sql.SQL("{} = {}").format(column, literal) for column in columns]
    if not named:
        return None
    return sql.SQL("SELECT t.* FROM {} WHERE {}").format(from_with_owner(table), sql.SQL(" OR ").join(named))


def _csv(archive: ZipFile, reading: Connection[Any], name: str, statement: sql.Composed) -> int:
    """Write the rows of a statement as they come. Returns their number."""
    copy = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT csv, HEADER)").format(statement)
    with archive.open(name, "w", force_zip64=True) as file, reading.cursor() as cursor:
        with cursor.copy(copy) as rows:
            for part in rows:
                file.write(part)
        return cursor.rowcount


# Credentials


def _credentials(archive: ZipFile, credentials: ConnectionPool[Connection[Any]], side: WriteSide, person: str) -> int:
    """Write what the stores list, which has no hash. Returns the number of sessions and keys."""
    sessions = Sessions(credentials, side.log_number).of(person, MOST_LISTED)
    keys = ApiKeys(credentials, side.log_number).of(person, MOST_LISTED)
    listed = {
        "sessions": [session._asdict() for session in sessions],
        "api_keys": [{**key._asdict(), "scope": to_json(key.scope)} for key in keys],
    }
    archive.writestr("credentials.json", _json(listed))
    return len(sessions) + len(keys)


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=json_form, option=orjson.OPT_UTC_Z)
