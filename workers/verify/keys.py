"""Checks that every person's key opens, and that every sealed value opens with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from psycopg import Connection

from eventstore.keys.sealing import VERSION
from eventstore.log.codec import Codec, SealedValue
from eventstore.postgres.arrays import text_array
from workers.verify.report import Check, Finding, checked

KEYS_OPEN: Final = "keys of persons open"
ERA: Final = f"sealing.{VERSION}"
"""The name in `log.eras` of the position after which values are sealed by the present version."""
PAGE: Final = 1_000

_SUBJECTS = """
SELECT subject FROM log.subject_keys
 WHERE log = %s AND sealed_key IS NOT NULL AND subject > %s ORDER BY subject LIMIT %s
"""
_EVENTS = """
SELECT position, type, payload, stream, version FROM log.events
 WHERE log = %s AND position > %s AND encoding = 0 AND type = ANY (%s) ORDER BY position LIMIT %s
"""
# A copy does not know its eras: a value of an old version is none of its findings.
_SEALED_SINCE = """
SELECT coalesce((SELECT l.position FROM log.logs l JOIN log.copies c USING (log) WHERE l.log = %(log)s),
                (SELECT e.position FROM log.eras e WHERE e.log = %(log)s AND e.name = %(era)s), 0)
"""
# Counted by separate statements without pages, so that a page with missing rows is found.
_KEYS = "SELECT count(*) FROM log.subject_keys WHERE log = %s AND sealed_key IS NOT NULL"
_PERSONAL = "SELECT count(*) FROM log.events WHERE log = %s AND encoding = 0 AND type = ANY (%s)"


def check_keys(connection: Connection[Any], log_number: int, codec: Codec) -> Check:
    """Open every key of a person, then every sealed value. A damaged or lost one is a finding. So is a value that is
    sealed by an old version after the position at which the database changed. Erased keys and their values are not."""
    keys = events = 0
    findings: list[Finding] = []
    for subjects in _subjects(connection, log_number):
        keys += len(subjects)
        unusable = codec.unusable_keys(subjects)
        findings += [Finding(KEYS_OPEN, None, f"{subject}, {why}") for subject, why in unusable.items()]
    row = connection.execute(_SEALED_SINCE, {"log": log_number, "era": ERA}).fetchone()
    since = row[0] if row else 0
    for page in _events(connection, log_number, codec):
        events += len(page)
        positions = {(stream, version): position for position, _, _, stream, version in page}
        for value in codec.sealed_values([row[1:] for row in page]):
            position = positions[value.place.stream, value.place.version]
            what = _wrong_with(position, value, since)
            if what is not None:
                findings.append(Finding(KEYS_OPEN, position, what))
    return checked(
        KEYS_OPEN,
        "keys and events that may hold personal data",
        keys + events,
        _total(connection, log_number, codec),
        findings,
    )


def _wrong_with(position: int, value: SealedValue, since: int) -> str | None:
    if value.why_unreadable is not None:
        return value.why_unreadable
    if value.version < VERSION and position > since:
        return (
            f"{value.place} is sealed by version {value.version}, and all after position {since} should be by version "
            f"{VERSION}: an older program wrote it, or somebody put it there"
        )
    return None


def _subjects(connection: Connection[Any], log_number: int) -> Iterator[list[str]]:
    after = ""
    while page := connection.execute(_SUBJECTS, (log_number, after, PAGE), binary=True).fetchall():
        yield [subject for (subject,) in page]
        after = page[-1][0]


def _events(
    connection: Connection[Any], log_number: int, codec: Codec
) -> Iterator[list[tuple[int, str, bytes, str, int]]]:
    after, types = 0, text_array(codec.personal_types)
    while page := connection.execute(_EVENTS, (log_number, after, types, PAGE), binary=True).fetchall():
        yield page
        after = page[-1][0]


def _total(connection: Connection[Any], log_number: int, codec: Codec) -> int:
    counted = (
        connection.execute(_KEYS, (log_number,)).fetchone(),
        connection.execute(_PERSONAL, (log_number, text_array(codec.personal_types))).fetchone(),
    )
    return sum(row[0] for row in counted if row is not None)
