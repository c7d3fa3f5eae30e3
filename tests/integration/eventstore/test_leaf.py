"""The canonical leaf: PostgreSQL and Python encode the same bytes for any row."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from eventstore.log import leaf
from eventstore.log.leaf import INFINITY, StoredCommand, StoredEvent, command_record, leaf_hash, microseconds
from eventstore.postgres.connect import connect
from tests.support.plans import Explained, nodes, probed_index
from tests.support.postgres import Database

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXTS = ("", "a", "Příkaz", "\U00010000\u2028", "x" * 300, 'quote " and \\ and \x01')
TIMES = (0, 1, -1, 253402300799_999_999, -62135596800_000_000, 1_795_892_048_000_001, INFINITY, -INFINITY - 1)
NUMBERS = (0, 1, -1, 2**63 - 1, -(2**63))


def text(chance: random.Random) -> str:
    return chance.choice(TEXTS) + "".join(chance.choices(string.ascii_letters, k=chance.randrange(9)))


def time_of(chance: random.Random) -> int:
    return chance.choice(TIMES) if chance.random() < 0.3 else chance.randrange(10**15, 2 * 10**15)


def sql_time(at: int) -> str:
    """A time as PostgreSQL reads it."""
    if at in (INFINITY, -INFINITY - 1):
        return "infinity" if at == INFINITY else "-infinity"
    return (EPOCH + timedelta(microseconds=at)).isoformat()


def random_log(chance: random.Random) -> tuple[list[StoredEvent], list[StoredCommand]]:
    """Units of events with the commands that end at the same position. Some units have no command."""
    events: list[StoredEvent] = []
    commands: list[StoredCommand] = []
    while len(events) < 60:
        before, number, at = len(events), chance.randrange(1, 6), time_of(chance)
        opaque = chance.random() < 0.3
        for position in range(before + 1, before + number + 1):
            payload, metadata = chance.randbytes(chance.randrange(200)), chance.randbytes(chance.randrange(200))
            events.append(
                StoredEvent(
                    position, before + number, f"{text(chance)}-{position}", chance.randrange(2**63), text(chance), at,
                    int(opaque), payload, metadata,
                )
            )  # fmt: skip
        if not opaque:
            commands.append(a_command(chance, at, before, before + 1, before + number))
        if chance.random() < 0.5:
            commands.append(a_command(chance, at, before, None, None))
    return events, commands


def a_command(chance: random.Random, at: int, decided: int, first: int | None, last: int | None) -> StoredCommand:
    key = f"{text(chance)}-{chance.random()}"
    hash, result = chance.randbytes(chance.choice((0, 32))), chance.randbytes(chance.randrange(100))
    accepted = last is not None
    rule = None if accepted else text(chance)
    outcome = 1 if accepted else chance.choice((2, 3))
    return StoredCommand(
        text(chance), key, hash, outcome, chance.choice((0, 200, -1)), rule, result, decided, first, last, at
    )


def insert(connection: Connection[Any], events: list[StoredEvent], commands: list[StoredCommand]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload,"
            " metadata) VALUES (1, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [astuple(replace(event, recorded_at=sql_time(event.recorded_at))) for event in events],  # type: ignore[arg-type]
        )
        cursor.executemany(
            "INSERT INTO log.commands (log, actor, key, request_hash, outcome, status, rule, result, decided_position,"
            " first_position, last_position, recorded_at, origin) VALUES"
            " (1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'somewhere')",
            [astuple(replace(one, recorded_at=sql_time(one.recorded_at))) for one in commands],  # type: ignore[arg-type]
        )


@contextmanager
def a_log(database: Database) -> Iterator[tuple[Connection[Any], UUID]]:
    """A connection of the superuser, and the uuid of log 1."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        row = connection.execute("INSERT INTO log.logs (name) VALUES ('main') RETURNING uuid").fetchone()
        assert row is not None
        yield connection, row[0]


def hashes_of(log: UUID, events: list[StoredEvent], commands: list[StoredCommand]) -> list[bytes]:
    """The leaves as Python makes them."""
    by_end: dict[int | None, list[StoredCommand]] = {}
    for one in sorted(commands, key=lambda one: (one.actor.encode(), one.key.encode())):
        by_end.setdefault(one.last_position, []).append(one)
    return [leaf_hash(leaf.leaf(log, event, by_end.get(event.unit_end, []))) for event in events]


@pytest.mark.parametrize("seed", range(3))
def test_postgresql_and_python_make_the_same_leaves(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    events, commands = random_log(chance)
    commands.append(replace(commands[0], actor="twice"))  # damage: two commands end at one position
    with a_log(database) as (connection, log):
        insert(connection, events, commands)
        expected = hashes_of(log, events, commands)
        rows = connection.execute("SELECT hash FROM log.leaf_hashes(1, 0, %s) ORDER BY position", (len(events),))
        assert [hash for (hash,) in rows] == expected
        cut = connection.execute("SELECT hash FROM log.leaf_hashes(1, 7, 29) ORDER BY position")
        assert [hash for (hash,) in cut] == expected[7:29], "also if a window ends within a unit"
        with connect(database.audit_url, application_name="auditor") as auditor:
            digest = leaf.digest(auditor, 1, len(events))
        assert digest == hashlib.sha256(b"".join(expected)).hexdigest()


def test_the_digest_does_not_depend_on_the_windows(database18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    events, commands = random_log(random.Random(9))
    with a_log(database18) as (connection, _):
        insert(connection, events, commands)
        whole = leaf.digest(connection, 1, len(events))
        monkeypatch.setattr(leaf, "WINDOW", 7)
        assert leaf.digest(connection, 1, len(events)) == whole


def test_the_bytes_of_a_leaf(database18: Database) -> None:
    """The complete bytes, because other programs depend on them."""
    log = UUID("00112233-4455-6677-8899-aabbccddeeff")
    event = StoredEvent(2, 3, "acct_1", 4, "t.v1", microseconds(EPOCH + timedelta(seconds=1)), 0, b"{}", b"")
    command = StoredCommand("bank", "k", b"\x07", 1, 201, None, b"{}", 1, 2, 3, 1_000_000)
    record = (
        "01" "00000010" "00112233445566778899aabbccddeeff" "00000004" "62616e6b" "00000001" "6b" "00000001" "07"
        "00000002" "0001" "00000002" "00c9" "ffffffff" "00000002" "7b7d" "00000008" "0000000000000001"
        "00000008" "0000000000000002" "00000008" "0000000000000003" "00000008" "00000000000f4240"
    )  # fmt: skip
    assert command_record(log, command).hex() == record
    digest = hashlib.sha256(bytes.fromhex(record)).hexdigest()
    assert leaf.leaf(log, event, [command]).hex() == (
        "01" "00000010" "00112233445566778899aabbccddeeff" "00000008" "0000000000000002" "00000008" "0000000000000003"
        "00000006" "616363745f31" "00000008" "0000000000000004" "00000004" "742e7631" "00000008" "00000000000f4240"
        "00000002" "0000" "00000002" "7b7d" "00000000" "00000020" + digest
    )  # fmt: skip


def test_commands_are_found_by_position_and_a_large_unit_stays_linear(database: Database) -> None:
    """One command with 10,000 events among 60,000: its record is found by the index, and joined by hash."""
    with a_log(database) as (connection, _):
        connection.execute(
            "INSERT INTO log.events SELECT 1, n, greatest(n, 10000), 's' || n, 1, 't', now(), 0, '{}', '{}'"
            " FROM generate_series(1, 70000) n"
        )
        connection.execute(
            "INSERT INTO log.commands SELECT 1, 'a', 'k' || n, sha256('x'), 1, 201, NULL, '{}', n - 1, n, n, now()"
            " FROM generate_series(10000, 70000) n"
        )
        connection.execute("VACUUM ANALYZE log.events, log.commands")
        explained = Explained(connection)
        for after, upto in ((0, 10_000), (30_000, 32_000)):
            hashing = f"SELECT count(*) FROM log.leaf_hashes(1, {after}, {upto})".encode()
            statements = explained.statements(partial(connection.execute, hashing))
            plan = next(statement.plan for statement in statements if "recorded" in statement.text)
            kinds = {node["Node Type"] for node in nodes(plan)}
            assert "Hash Join" in kinds
            assert "Nested Loop" not in kinds
            scans = [
                scan for statement in statements for scan in statement.scans if scan["Relation Name"] == "commands"
            ]
            assert {probed_index(scan) for scan in scans} == {"commands_by_position"}
