"""The bytes of leaves at chosen positions, and of the records of commands: what evidence is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from psycopg import Connection

from eventstore.postgres.arrays import int8_array, text_array

# A leaf ends with the hashes of its commands. Here it has none: the length of this field is 0.
_WITHOUT_COMMANDS = """
SELECT e.position, e.unit_end, e.metadata, log.leaf(l.uuid, e, ''::bytea)
  FROM log.events e JOIN log.logs l ON l.log = e.log
 WHERE e.log = %s AND e.position = ANY (%s) ORDER BY e.position
"""
_NO_HASHES: Final = -4
"""Where this field begins, from the end."""

_COMMANDS = """
SELECT c.last_position, sha256(log.command_record(l.uuid, c))
  FROM unnest(%(actors)s::text[], %(keys)s::text[]) AS k(actor, key)
  JOIN log.commands c ON c.log = %(log)s AND c.actor = k.actor AND c.key = k.key
  JOIN log.logs l ON l.log = c.log
 UNION ALL
SELECT h.last_position, h.hashes FROM log.command_hashes h
 WHERE h.log = %(log)s AND h.last_position = ANY (%(unit_ends)s)
"""
_RECORDS = """
SELECT c.last_position, log.command_record(l.uuid, c)
  FROM log.commands c JOIN log.logs l ON l.log = c.log
 WHERE c.log = %s AND c.last_position > %s AND c.last_position <= %s
 ORDER BY c.last_position, c.actor, c.key
"""
_COMMAND = """
SELECT c.first_position, c.last_position, log.command_record(l.uuid, c)
  FROM log.commands c JOIN log.logs l ON l.log = c.log
 WHERE c.log = %s AND c.actor = %s AND c.key = %s
"""
_ACTORS = "SELECT actor FROM log.commands WHERE log = %s AND key = %s ORDER BY actor LIMIT %s"
_POSITIONS = """
SELECT version, position FROM log.events
 WHERE log = %s AND stream = %s AND version > %s AND position <= %s ORDER BY version LIMIT %s
"""

_OTHER_TYPES = """
SELECT EXISTS (SELECT FROM log.events WHERE log = %s AND stream = %s AND position <= %s AND type <> ALL (%s))
"""


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """The record of a command, and the positions of its events; None if it has none."""

    first: int | None
    last: int | None
    record: bytes


class InStream(NamedTuple):
    """An event by its version in its stream and its position in the log."""

    version: int
    position: int


def read_leaves_at(connection: Connection[Any], log_number: int, positions: Sequence[int]) -> dict[int, bytes]:
    """The bytes of the leaves at these positions, as far as the log has them.

    The command of an event is looked up by the actor and the key in its metadata, which needs no scan however far the
    positions are apart. Metadata of the oldest events does not name a key: their leaves come without the command.
    Whoever compares leaves with their hashes sees it, and reads them by `read_leaves`.
    """
    rows = connection.execute(_WITHOUT_COMMANDS, (log_number, int8_array(positions)), binary=True).fetchall()
    named = {(unit_end, metadata): _command_of(metadata) for _, unit_end, metadata, _ in rows}
    commands = list(dict.fromkeys(command for command in named.values() if command is not None))
    parameters = {
        "log": log_number,
        "actors": text_array([actor for actor, _ in commands]),
        "keys": text_array([key for _, key in commands]),
        "unit_ends": int8_array([unit_end for unit_end, _ in named]),
    }
    hashes = dict(connection.execute(_COMMANDS, parameters, binary=True).fetchall())
    return {position: leaf[:_NO_HASHES] + _field(hashes.get(unit_end, b"")) for position, unit_end, _, leaf in rows}


def read_records(connection: Connection[Any], log_number: int, after: int, upto: int) -> list[tuple[int, bytes]]:
    """The last position and the record of each command whose last position is in this range, in order."""
    return connection.execute(_RECORDS, (log_number, after, upto), binary=True).fetchall()


def read_command(connection: Connection[Any], log_number: int, actor: str, key: str) -> CommandRecord | None:
    """The record of a command; None if this actor sent none with this key."""
    row = connection.execute(_COMMAND, (log_number, actor, key), binary=True).fetchone()
    return None if row is None else CommandRecord(*row)


def read_actors(connection: Connection[Any], log_number: int, key: str, limit: int) -> list[str]:
    """Who sent commands with this key, at most `limit`. It reads all commands: no index has keys without actors."""
    return [actor for (actor,) in connection.execute(_ACTORS, (log_number, key, limit), binary=True)]


def read_positions(
    connection: Connection[Any], log_number: int, stream: str, after: int, upto: int, limit: int
) -> list[InStream]:
    """The events of a stream after a version up to a position of the log, at most `limit`, oldest first."""
    rows = connection.execute(_POSITIONS, (log_number, stream, after, upto, limit), binary=True)
    return [InStream(*row) for row in rows]


def has_other_types(connection: Connection[Any], log_number: int, stream: str, upto: int, types: Sequence[str]) -> bool:
    """Whether a stream has an event of another type than these up to a position of the log."""
    row = connection.execute(_OTHER_TYPES, (log_number, stream, upto, text_array(types)), binary=True).fetchone()
    assert row is not None, "EXISTS returns a row"
    return bool(row[0])


def _command_of(metadata: bytes) -> tuple[str, str] | None:
    """Actor and key of the command that an event names; None where it names none."""
    try:
        named = orjson.loads(metadata)
        actor, key = named["actor"]["id"], named["key"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return (actor, key) if isinstance(actor, str) and isinstance(key, str) else None


def _field(hashes: bytes) -> bytes:
    return len(hashes).to_bytes(4, "big") + hashes
