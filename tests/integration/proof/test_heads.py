"""The heads of streams in checkpoints: they are what the log has, at a pace, in windows, through restarts."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.proof.checkpoints import open_checkpoint, parse_checkpoint
from eventstore.proof.heads import (
    Head,
    Heads,
    bucket_of,
    heads_by_bucket,
    heads_of,
    key_of,
    root_of_buckets,
    verify_head,
)
from eventstore.proof.notes import parse_note, parse_verifier
from eventstore.proof.store import (
    StoredCheckpoint,
    changed_heads,
    head_checkpoint,
    head_proof,
    keep_checkpoint,
    keep_heads,
    last_heads,
    reach_heads,
    read_keys,
    read_tree,
)
from tests.support.ledger import Ledger, deposit
from tests.support.postgres import Database
from tests.support.sealing import HEADS_PACE, KEY, ORIGIN, PACE, Sealing, sealing_on
from tests.support.waiting import wait_until
from workers.databases import one_moment
from workers.proof.heads import bring_heads
from workers.proof.sealer import SealError


def streams_of_log(owner: Connection[Any], log_number: int, size: int) -> dict[str, tuple[int, int]]:
    """The heads by the log itself."""
    rows = owner.execute(
        "SELECT stream, count(*), max(position) FROM log.events WHERE log = %s AND position <= %s GROUP BY stream",
        (log_number, size),
    )
    return {stream: (version, position) for stream, version, position in rows}


def heads_of_log(owner: Connection[Any], log_number: int, size: int) -> Heads:
    streams = streams_of_log(owner, log_number, size)
    heads = [Head(key_of(stream), *head) for stream, head in streams.items()]
    return Heads(len(streams), root_of_buckets(heads_by_bucket(heads)))


def committed(checkpoint: StoredCheckpoint) -> Heads | None:
    return heads_of(parse_checkpoint(parse_note(checkpoint.note.encode()).text))


def assert_heads_are_right(sealing: Sealing, owner: Connection[Any]) -> int:
    """Every stream of the last checkpoint with heads is proven by its line. Returns its size."""
    number = sealing.log_number
    stored, checkpoint = last_heads(sealing.connection, number), head_checkpoint(sealing.connection, number)
    assert stored is not None
    assert checkpoint is not None
    expected = heads_of_log(owner, number, stored.size)
    assert checkpoint.size == stored.size
    assert committed(checkpoint) == expected == Heads(stored.streams, stored.root)
    for stream, (version, position) in streams_of_log(owner, number, stored.size).items():
        proof = head_proof(sealing.connection, number, stream)
        assert proof is not None, stream
        assert (proof.version, proof.position) == (version, position)
        verify_head(proof, expected.root)
    return stored.size


def append(ledger: Ledger, accounts: list[str], chance: random.Random, number: int) -> None:
    """Deposits to old and new accounts."""
    for _ in range(number):
        if not accounts or chance.random() < 0.3:
            accounts.append(ledger.account())
        ledger.accepted(deposit(chance.choice(accounts), 100))


def test_heads_are_those_of_the_log_after_random_appends(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    chance, accounts = random.Random(7), list[str]()
    with sealing_on(database) as sealing:
        sizes = []
        for number in (1, 20, 3, 40):
            append(ledger, accounts, chance, number)
            assert sealing.sealer().turn()
            sizes.append(assert_heads_are_right(sealing, owner))
            assert sizes[-1] == read_head(owner, "main").position
            sealing.now += HEADS_PACE
        assert len(set(sizes)) == 4
        assert sizes[-1] - sizes[-2] > sealing.heads_window, "in several windows"


def test_heads_are_committed_at_a_pace_of_their_own(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    with sealing_on(database, window=1_000, heads_window=1_000) as sealing:
        sealer, lines = sealing.sealer(), list[bool]()
        for _ in range(7):
            ledger.account()
            sealer.turn()
            last = sealing.last()
            assert last is not None
            lines.append(committed(last) is not None)
            assert sealing.counts.heads == assert_heads_are_right(sealing, owner)
            sealing.now += PACE
        assert HEADS_PACE == 3 * PACE
        assert lines == [True, False, False, True, False, False, True]
        assert sealing.counts.signed == 7


def test_few_events_have_heads_at_once(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    """So the last events of a log that falls silent have heads: no later checkpoint would bring them."""
    with sealing_on(database, window=1_000, heads_window=1_000) as sealing:
        ledger.account()
        sealing.sealer().turn()
        before = sealing.counts.heads
        for _ in range(3):
            ledger.account()
        added = read_head(sealing.connection, "main").position - before
        sealing.few, sealing.now = added - 1, sealing.now + PACE
        sealing.sealer().turn()
        assert sealing.counts.heads == before, "more than few"
        ledger.account()
        sealing.few, sealing.now = read_head(sealing.connection, "main").position - before, sealing.now + PACE
        assert sealing.few < 2 * added
        sealing.sealer().turn()
        assert sealing.counts.heads == assert_heads_are_right(sealing, owner) == before + sealing.few


def test_a_clock_that_was_put_back_does_not_stop_the_heads(database: Database, ledger: Ledger) -> None:
    with sealing_on(database) as sealing:
        sealer = sealing.sealer()
        for _ in range(2):
            ledger.account()
            sealer.turn()
            last = sealing.last()
            assert last is not None
            assert committed(last) is not None
            sealing.now -= timedelta(days=1)


def test_a_stream_that_came_after_the_commitment_is_not_proven_and_one_that_grew_is_as_it_was(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database) as sealing:
        assert last_heads(sealing.connection, sealing.log_number) is None
        assert head_checkpoint(sealing.connection, sealing.log_number) is None
        account = ledger.account()
        assert head_proof(sealing.connection, sealing.log_number, account) is None
        sealer = sealing.sealer()
        sealer.turn()
        before = head_proof(sealing.connection, sealing.log_number, account)
        assert before is not None
        later = ledger.account()
        ledger.accepted(deposit(account, 100))
        sealing.now += PACE
        sealer.turn()
        size = assert_heads_are_right(sealing, owner)
        last = sealing.last()
        assert last is not None
        assert last.size > size
        assert head_proof(sealing.connection, sealing.log_number, later) is None
        assert head_proof(sealing.connection, sealing.log_number, account) == before
        sealing.now += HEADS_PACE
        ledger.account()
        sealer.turn()
        assert_heads_are_right(sealing, owner)
        assert head_proof(sealing.connection, sealing.log_number, later) is not None
        grown = head_proof(sealing.connection, sealing.log_number, account)
        assert grown is not None
        assert grown.version == before.version + 1


def test_a_sealer_that_ends_between_windows_leaves_the_last_commitment_whole(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    """Also where it goes on with the windows of another one, and heads of later events were stored meanwhile."""
    chance, accounts = random.Random(8), list[str]()
    with sealing_on(database, heads_window=3) as sealing:
        append(ledger, accounts, chance, 10)
        sealing.sealer().turn()
        first = assert_heads_are_right(sealing, owner)
        for windows in (1, 4):
            append(ledger, accounts, chance, 10)
            sealing.now += PACE
            sealing.sealer().turn()  # no heads: it is too early
            last = sealing.last()
            assert last is not None
            goes_on = iter([True] * (windows - 1) + [False]).__next__
            assert bring_heads(sealing.connection, sealing.log_number, last.size, 3, goes_on) is None
            tree = read_tree(sealing.connection, sealing.log_number)
            assert tree is not None
            assert first < tree.heads < last.size
            assert assert_heads_are_right(sealing, owner) == first
        sealing.now += HEADS_PACE
        append(ledger, accounts, chance, 1)
        sealing.sealer().turn()
        assert assert_heads_are_right(sealing, owner) == read_head(owner, "main").position


class Interrupted(Exception):
    """A sealer ends here."""


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, meanwhile: Callable[[], object]) -> None:
    """Let something happen once so many parts of the next window are stored."""
    parts = iter(range(after))

    def kept(*arguments: Any) -> bool:
        if next(parts, None) is None:
            monkeypatch.undo()
            meanwhile()
        return keep_heads(*arguments)

    monkeypatch.setattr("workers.proof.heads.keep_heads", kept)


def interrupted() -> None:
    raise Interrupted


@pytest.mark.parametrize(("ended_at", "window"), [(1_000, 1_000), (1_000, 30), (30, 1_000)])
def test_a_sealer_that_ends_within_a_window_does_no_harm(
    database: Database, ledger: Ledger, owner: Connection[Any], monkeypatch: pytest.MonkeyPatch,
    ended_at: int, window: int,
) -> None:  # fmt: skip
    """What it stored is for a position that is reached later, or never."""
    chance, accounts = random.Random(11), list[str]()
    with sealing_on(database, window=1_000, heads_window=1_000) as sealing:
        append(ledger, accounts, chance, 20)
        sealing.sealer().turn()
        first = assert_heads_are_right(sealing, owner)
        append(ledger, accounts, chance, 20)
        sealing.now += HEADS_PACE
        sealing.heads_window = ended_at
        interrupt(monkeypatch, 3, interrupted)
        with pytest.raises(Interrupted):
            sealing.sealer().turn()
        assert assert_heads_are_right(sealing, owner) == first
        [ahead] = owner.execute("SELECT max(size) FROM proof.heads").fetchone() or [0]
        assert ahead > first, "some parts are there"
        sealing.heads_window = window
        for number in (5, 5):
            append(ledger, accounts, chance, number)
            sealing.sealer().turn()
            assert assert_heads_are_right(sealing, owner) == read_head(owner, "main").position
            sealing.now += HEADS_PACE


def test_a_sealer_that_is_overtaken_within_a_window_stores_nothing_wrong(
    database: Database, ledger: Ledger, owner: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, accounts = random.Random(12), list[str]()
    with (
        sealing_on(database, window=1_000, heads_window=1_000) as late,
        sealing_on(database, window=1_000, heads_window=25) as early,
    ):
        append(ledger, accounts, chance, 20)
        sealer, overtaking = late.sealer(), early.sealer()
        sealer.turn()
        for _ in range(3):
            append(ledger, accounts, chance, 20)
            late.now += HEADS_PACE

            def overtake() -> None:
                append(ledger, accounts, chance, 3)
                early.now = late.now
                overtaking.turn()

            interrupt(monkeypatch, 3, overtake)
            sealer.turn()
            assert assert_heads_are_right(late, owner) == read_head(owner, "main").position


def test_at_most_three_rows_of_a_bucket_are_kept(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    with sealing_on(database, heads_window=1) as sealing:
        account = ledger.account()
        for _ in range(4):
            for _ in range(3):
                ledger.accepted(deposit(account, 100))
            sealing.sealer().turn()
            assert_heads_are_right(sealing, owner)
            sealing.now += HEADS_PACE
        for table, key in (("heads", "bucket"), ("head_tiles", "level, number")):
            [most] = owner.execute(
                f"SELECT max(rows) FROM (SELECT count(*) AS rows FROM proof.{table} GROUP BY {key}) AS x".encode()
            ).fetchone() or [None]
            assert most == 3, table


def test_two_sealers_at_once_commit_to_the_right_heads(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    chance, accounts = random.Random(9), list[str]()
    with sealing_on(database, heads_window=5) as one, sealing_on(database, heads_window=3) as other:
        sealers = [sealing.sealer() for sealing in (one, other)]
        for _ in range(5):
            append(ledger, accounts, chance, 15)
            threads = [Thread(target=sealer.turn) for sealer in sealers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert one.last() is not None
            assert_heads_are_right(one, owner)
            for sealing in (one, other):
                sealing.now += HEADS_PACE
        # Whoever was late signs nothing wrong; what it could not sign then, it signs at the next turn.
        append(ledger, accounts, chance, 1)
        sealers[0].turn()
        assert assert_heads_are_right(one, owner) == read_head(owner, "main").position


def test_a_sealer_whose_heads_were_overtaken_signs_without_them(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database) as late, sealing_on(database) as early:
        sealer = late.sealer()
        ledger.account()
        sealer.turn()
        before = assert_heads_are_right(late, owner)
        ledger.account()
        late.now += HEADS_PACE
        size = read_head(owner, "main").position
        overtaking = early.sealer()
        kept = late.connection.execute

        def overtaken(*arguments: Any, **named: Any) -> Any:
            """Between the last window and the signing, the other sealer stores heads of later events."""
            if "keep_checkpoint" in str(arguments[0]):
                late.connection.execute = kept  # type: ignore[method-assign]
                ledger.account()
                early.now = late.now
                overtaking.turn()
            return kept(*arguments, **named)

        late.connection.execute = overtaken  # type: ignore[method-assign]
        sealer.turn()
        found = owner.execute("SELECT size FROM proof.checkpoints ORDER BY size").fetchall()
        assert [before, read_head(owner, "main").position] == [row[0] for row in found]
        assert size not in [row[0] for row in found], "the heads of that size are gone"
        assert assert_heads_are_right(late, owner) == read_head(owner, "main").position


def test_who_reads_while_heads_are_stored_gets_what_was_signed(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    chance, accounts, ended, found = random.Random(10), list[str](), Event(), list[int]()
    append(ledger, accounts, chance, 5)
    with sealing_on(database, heads_window=1) as sealing, connect(database.url, application_name="reader") as reader:
        sealer = sealing.sealer()
        sealer.turn()

        def read() -> None:
            while not ended.is_set():
                with one_moment(reader):
                    checkpoint = head_checkpoint(reader, sealing.log_number)
                    proof = head_proof(reader, sealing.log_number, accounts[0])
                assert checkpoint is not None
                assert proof is not None
                heads = committed(checkpoint)
                assert heads is not None
                verify_head(proof, heads.root)
                found.append(checkpoint.size)

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            try:
                wait_until(lambda: reading.done() or bool(found), "a read of the first commitment")
                for _ in range(3):
                    append(ledger, accounts, chance, 5)
                    sealing.now += HEADS_PACE
                    sealer.turn()
                size = assert_heads_are_right(sealing, owner)
                wait_until(lambda: reading.done() or found[-1:] == [size], "a read of the last commitment")
            finally:
                ended.set()
            reading.result()
        assert len(set(found)) > 1, "it read before and after a commitment"


def test_heads_survive_a_new_key(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    with sealing_on(database) as sealing:
        notes = []
        for keys in ((KEY,), (b"2" * 32, KEY), (b"2" * 32,)):
            sealing.keys = keys
            ledger.account()
            sealing.sealer().turn()
            assert assert_heads_are_right(sealing, owner) == read_head(owner, "main").position
            checkpoint = head_checkpoint(sealing.connection, sealing.log_number)
            assert checkpoint is not None
            notes.append(checkpoint.note.encode())
            sealing.now += HEADS_PACE
        known = [parse_verifier(one.verifier) for one in read_keys(owner, sealing.log_number)]
        opened = [open_checkpoint(note, ORIGIN, known) for note in notes]
        assert [len(one.note.verified) for one in opened] == [1, 2, 1]
        assert all(heads_of(one.checkpoint) for one in opened)


def test_a_checkpoint_is_not_held_up_by_heads_for_longer_than_a_pace(database: Database, ledger: Ledger) -> None:
    """Where there is much to catch up, each checkpoint comes after some windows, and one of them has all."""
    with sealing_on(database, window=1_000, heads_window=4) as sealing:
        sealer, lines = sealing.sealer(), list[bool]()

        def slow() -> datetime:
            """Each look at the clock costs a third of a pace."""
            sealing.now += PACE / 3
            return sealing.now

        sealer._clock = slow
        for _ in range(15):
            ledger.account()
        while not lines or not lines[-1]:
            ledger.account()
            sealer.turn()
            last = sealing.last()
            assert last is not None
            lines.append(committed(last) is not None)
            assert len(lines) < 30
        assert len(lines) > 3


# A log and heads that were changed


def test_a_stream_that_does_not_grow_is_noticed(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    with sealing_on(database) as sealing:
        account = ledger.account()
        sealer = sealing.sealer()
        sealer.turn()
        ledger.accepted(deposit(account, 100))
        changed = owner.execute(
            "UPDATE log.events SET version = 0 WHERE stream = %s AND position = (SELECT max(position) FROM log.events"
            " WHERE stream = %s)",
            (account, account),
        )
        assert changed.rowcount == 1
        sealing.now += HEADS_PACE
        with pytest.raises(SealError, match=r"its last one is event 0 at position .* run daybook verify"):
            sealer.turn()
        assert sealing.counts.signed == 1


@pytest.mark.parametrize("table", ["head_tiles", "checkpoints"])
def test_heads_that_were_changed_are_noticed_at_the_start(
    database: Database, ledger: Ledger, owner: Connection[Any], table: str
) -> None:
    with sealing_on(database) as sealing:
        ledger.account()
        sealing.sealer().turn()
        sealing.sealer()
        column = {"head_tiles": "hashes", "checkpoints": "heads_root"}[table]
        owner.execute(f"UPDATE proof.{table} SET {column} = substr({column}, 2) || substr({column}, 1, 1)".encode())
        with pytest.raises(SealError, match=r"heads of streams after position .* do not have the root"):
            sealing.sealer()


# What a sealer that was taken over may do


def test_a_sealer_changes_no_head_but_by_the_functions(database: Database, ledger: Ledger) -> None:
    ledger.account()
    with sealing_on(database) as sealing:
        sealing.sealer().turn()
        for statement in (
            "INSERT INTO proof.heads (log, bucket, size, heads) SELECT log, bucket, size + 1, heads FROM proof.heads",
            "UPDATE proof.heads SET heads = heads",
            "DELETE FROM proof.heads",
            "UPDATE proof.head_tiles SET hashes = hashes",
            "DELETE FROM proof.head_tiles",
            "UPDATE proof.trees SET heads = 0",
            "UPDATE proof.checkpoints SET heads_root = NULL, streams = NULL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sealing.connection.execute(statement.encode())


def test_heads_are_stored_only_after_those_that_are_there(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database) as sealing:
        ledger.account()
        sealer = sealing.sealer()
        sealer.turn()
        size = assert_heads_are_right(sealing, owner)
        ledger.account()
        sealing.now += PACE
        sealer.turn()
        last = sealing.last()
        assert last is not None
        connection, number = sealing.connection, sealing.log_number
        changed = changed_heads(connection, number, size, last.size)
        bucket, head = bucket_of(changed), changed[:48]
        for after, upto in ((size - 1, last.size), (size, size), (size, last.size + 1)):
            assert not keep_heads(connection, number, after, upto, {bucket: head}, {})
            if after < upto:
                assert not reach_heads(connection, number, after, upto, 1, bytes(8192))
        for added in (-1, last.size - size + 1):
            with pytest.raises(psycopg.errors.RaiseException, match=f"cannot come {added} streams"):
                reach_heads(connection, number, size, last.size, added, bytes(8192))
        with pytest.raises(psycopg.errors.CheckViolation):
            keep_heads(connection, number, size, last.size, {bucket: head[:47]}, {})
        assert keep_heads(connection, number, size, last.size, {bucket: head}, {}), "nobody relies on it yet"
        assert assert_heads_are_right(sealing, owner) == size


def test_a_checkpoint_has_only_heads_of_its_own_size(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database, window=1_000) as sealing:
        ledger.account()
        sealer = sealing.sealer()
        sealer.turn()
        size = assert_heads_are_right(sealing, owner)
        ledger.account()
        connection, number = sealing.connection, sealing.log_number
        sealer._seal(read_head(owner, "main").position)
        tree = read_tree(connection, number)
        assert tree is not None
        assert tree.heads == size < tree.size
        wrong = StoredCheckpoint(tree.size, bytes(32), "other", sealing.now)
        assert not keep_checkpoint(connection, number, wrong, Heads(1, bytes(32)))
        assert assert_heads_are_right(sealing, owner) == size
        assert bring_heads(connection, number, tree.size, 1_000, lambda: True) is not None
        assert bring_heads(connection, number, size, 1_000, lambda: True) is None, "others are stored by now"
        assert keep_checkpoint(connection, number, wrong, Heads(1, bytes(32)))
        stored = last_heads(connection, number)
        assert stored is not None
        assert (stored.size, stored.streams) == (tree.size, len(streams_of_log(owner, number, tree.size)))
