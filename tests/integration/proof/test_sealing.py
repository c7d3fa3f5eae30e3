"""The sealer: it seals what a stranger computes, at a pace, through restarts, and not if the log was changed."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from eventstore.log.leaf import leaf_hash
from eventstore.log.read import read_head
from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.merkle import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from eventstore.proof.notes import parse_verifier
from eventstore.proof.store import (
    covering_checkpoint,
    grow,
    read_keys,
    read_leaf_hashes,
    read_leaves,
    read_tree,
    tile_reader,
)
from eventstore.proof.tiles import Grown, Tile, reader_of
from tests.support.ledger import Ledger, deposit
from tests.support.merkle import naive_root
from tests.support.postgres import Database
from tests.support.sealing import KEY, ORIGIN, PACE, sealing_on
from workers.proof.sealer import SealError, signers_of


def deposits(ledger: Ledger, number: int) -> None:
    account = ledger.account()
    for _ in range(number):
        ledger.accepted(deposit(account, 100))


def hashes_of_log(owner: Connection[Any], log_number: int, size: int) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in read_leaves(owner, log_number, 0, size)]


def test_what_is_sealed_is_what_a_stranger_computes(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    with sealing_on(database) as sealing:
        sealer, roots = sealing.sealer(), {}
        for number in (1, 30, 3, 100):
            deposits(ledger, number)
            assert sealer.turn()
            last = sealing.last()
            assert last is not None
            known = [parse_verifier(one.verifier) for one in read_keys(owner, sealing.log_number)]
            opened = open_checkpoint(last.note.encode(), ORIGIN, known).checkpoint
            assert (opened.size, opened.root) == (last.size, last.root)
            assert last.size == read_head(owner, "main").position
            assert last.root == naive_root(hashes_of_log(owner, sealing.log_number, last.size))
            assert last.signed_at == sealing.now
            roots[last.size] = last.root
            sealing.now += PACE
        size, read = max(roots), reader_of(max(roots), tile_reader(owner, sealing.log_number))
        assert size > 256, "more than one tile"
        for index, hash in enumerate(hashes_of_log(owner, sealing.log_number, size)):
            verify_inclusion(index, size, hash, inclusion_proof(index, size, read), roots[size])
        for old, new in pairwise(roots):
            verify_consistency(old, new, roots[old], roots[new], consistency_proof(old, new, read))
        assert sealing.counts.sealed == size
        assert sealing.counts.signed == len(roots)


def test_checkpoints_are_signed_at_a_pace_and_only_when_the_log_has_grown(database: Database, ledger: Ledger) -> None:
    with sealing_on(database, window=1_000) as sealing:
        sealer = sealing.sealer()
        deposits(ledger, 1)
        assert sealer.turn()
        first = sealing.last()
        assert not sealer.turn(), "nothing has come"
        deposits(ledger, 1)
        sealing.now += PACE - timedelta(microseconds=1)
        assert not sealer.turn(), "it is not time"
        assert sealing.last() == first
        sealing.now += timedelta(microseconds=1)
        assert sealer.turn()
        second = sealing.last()
        assert first is not None
        assert second is not None
        assert second.size > first.size
        sealing.now += PACE
        assert not sealer.turn(), "nothing has come"
        assert sealing.last() == second
        assert covering_checkpoint(sealing.connection, sealing.log_number, first.size) == first
        assert covering_checkpoint(sealing.connection, sealing.log_number, first.size + 1) == second
        assert covering_checkpoint(sealing.connection, sealing.log_number, second.size + 1) is None


def test_a_piece_is_sealed_before_the_next_checkpoint(
    database: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the events of a pace are not sealed all at once, beside the appends."""
    monkeypatch.setattr("workers.proof.sealer.PIECE", 4)
    with sealing_on(database, window=1_000) as sealing:
        ledger.account()
        sealer = sealing.sealer()
        sealer.turn()
        before = sealing.last()
        assert before is not None
        while (head := read_head(sealing.connection, "main").position) < before.size + 4:
            assert not sealer.turn(), "less than a piece waits for the checkpoint"
            assert sealer.pending == (head > before.size)
            ledger.account()
        assert sealer.turn()
        assert (sealing.counts.size, sealer.pending, sealing.last()) == (head, False, before)


def test_a_clock_that_was_put_back_does_not_stop_the_checkpoints(database: Database, ledger: Ledger) -> None:
    with sealing_on(database) as sealing:
        sealer = sealing.sealer()
        deposits(ledger, 1)
        sealer.turn()
        deposits(ledger, 1)
        sealing.now -= timedelta(days=1)
        assert sealer.turn()
        assert sealing.counts.signed == 2


def test_a_sealer_goes_on_where_the_last_one_ended(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    with sealing_on(database) as sealing:
        for number in (1, 2, 130, 5):
            deposits(ledger, number)
            assert sealing.sealer().turn()
            sealing.now += PACE
        last = sealing.last()
        assert last is not None
        assert sealing.counts.sealed == last.size, "nothing was computed twice"
        assert last.root == naive_root(hashes_of_log(owner, sealing.log_number, last.size))


def test_two_sealers_at_once_do_no_harm(database: Database, ledger: Ledger, owner: Connection[Any]) -> None:
    deposits(ledger, 150)
    with sealing_on(database) as one, sealing_on(database) as other:
        threads = [Thread(target=sealing.sealer().turn) for sealing in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = one.last()
        assert last is not None
        assert last.size == read_head(owner, "main").position
        assert last.root == naive_root(hashes_of_log(owner, one.log_number, last.size))
        assert one.counts.sealed + other.counts.sealed == last.size
        assert one.counts.signed + other.counts.signed == 1


def test_a_sealer_that_was_overtaken_reads_the_edge_anew(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database) as one, sealing_on(database) as other:
        late, early = one.sealer(), other.sealer()
        for number in (20, 40):
            deposits(ledger, number)
            early.turn()
            other.now += PACE
        late.turn()
        deposits(ledger, 1)
        one.now = other.now
        late.turn()
        last = one.last()
        assert last is not None
        assert last.size == read_head(owner, "main").position
        assert last.root == naive_root(hashes_of_log(owner, one.log_number, last.size))


def test_a_sealer_that_is_stopped_ends_within_a_window(database: Database, ledger: Ledger) -> None:
    deposits(ledger, 30)
    stop = Event()
    stop.set()
    with sealing_on(database) as sealing:
        assert not sealing.sealer().turn(stop)
        assert sealing.last() is None


# Keys


def test_a_new_key_signs_and_old_heads_are_still_opened(database: Database, ledger: Ledger) -> None:
    with sealing_on(database) as sealing:
        heads = []
        for keys in ((KEY,), (b"2" * 32, KEY), (b"2" * 32,)):
            sealing.keys = keys
            deposits(ledger, 1)
            sealing.sealer().turn()
            heads.append(sealing.last())
            sealing.now += PACE
        stored = read_keys(sealing.connection, sealing.log_number)
        first, second = (parse_verifier(one.verifier) for one in stored)
        assert [first.key, second.key] == [one.verifier.key for one in signers_of(ORIGIN, (KEY, b"2" * 32))]
        assert [one.since for one in stored] == [sealing.now - 3 * PACE, sealing.now - 2 * PACE]
        assert heads[0] is not None
        assert [one.size for one in stored] == [0, heads[0].size]
        names = []
        for head in heads:
            assert head is not None
            names.append({one.id for one in open_checkpoint(head.note.encode(), ORIGIN, [first, second]).note.verified})
        assert names == [{first.id}, {first.id, second.id}, {second.id}]


def test_a_key_that_was_replaced_does_not_sign_again(database: Database, ledger: Ledger) -> None:
    with sealing_on(database) as sealing:
        sealing.sealer()
        sealing.keys = (b"2" * 32,)
        sealing.sealer()
        sealing.keys = (KEY,)
        with pytest.raises(SealError, match=r"was replaced by daybook.example/main\+.*set that one, or make a new one"):
            sealing.sealer()


def test_a_log_keeps_its_origin(database: Database, ledger: Ledger) -> None:
    with sealing_on(database) as sealing:
        sealing.sealer()
        sealing.origin = "daybook.example/other"
        with pytest.raises(SealError, match=r"cannot be renamed to 'daybook.example/other'.*DAYBOOK_PROOF_ORIGIN"):
            sealing.sealer()


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb"])
def test_origins_that_cannot_be(origin: str) -> None:
    with pytest.raises(SealError, match="cannot be named"):
        signers_of(origin, [KEY])


# A log that was changed


@pytest.mark.parametrize("statement", [
    "UPDATE log.events SET payload = payload || '\\x20' WHERE position = %s",
    "UPDATE log.commands SET status = 200 WHERE last_position = %s",
    "UPDATE log.events SET recorded_at = recorded_at + interval '1 microsecond' WHERE position = %s",
])  # fmt: skip
def test_the_last_sealed_event_must_be_as_it_was(
    database: Database, ledger: Ledger, owner: Connection[Any], statement: str
) -> None:
    with sealing_on(database) as sealing:
        deposits(ledger, 3)
        sealer = sealing.sealer()
        sealer.turn()
        last = sealing.last()
        assert last is not None
        assert owner.execute(statement.encode(), (last.size,)).rowcount == 1
        deposits(ledger, 1)
        sealing.now += PACE
        for one in (sealer, sealing.sealer()):
            with pytest.raises(SealError, match=f"position {last.size} is not the one that was sealed"):
                one.turn()
        assert sealing.last() == last


def test_a_missing_event_and_a_shorter_log_are_noticed(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database, window=1_000) as sealing:
        deposits(ledger, 3)
        sealer = sealing.sealer()
        sealer.turn()
        last = sealing.last()
        assert last is not None
        deposits(ledger, 3)
        sealing.now += PACE
        owner.execute("DELETE FROM log.events WHERE position = %s", (last.size + 2,))
        with pytest.raises(SealError, match="the log was changed; run daybook verify"):
            sealer.turn()
        owner.execute("UPDATE log.logs SET position = %s", (last.size - 1,))
        with pytest.raises(SealError, match="events that were sealed are gone"):
            sealing.sealer().turn()


def test_a_tile_that_was_changed_is_noticed_at_the_start(
    database: Database, ledger: Ledger, owner: Connection[Any]
) -> None:
    with sealing_on(database) as sealing:
        deposits(ledger, 3)
        sealing.sealer().turn()
        owner.execute("UPDATE proof.tiles SET hashes = set_byte(hashes, 0, 255 - get_byte(hashes, 0)) WHERE level = 0")
        with pytest.raises(SealError, match="do not have the root of the checkpoint that was signed"):
            sealing.sealer()


# What a sealer that was taken over may do


def test_a_sealer_sees_no_event_and_changes_no_row(database: Database, ledger: Ledger) -> None:
    deposits(ledger, 3)
    with sealing_on(database) as sealing:
        sealing.sealer().turn()
        for statement in (
            "SELECT payload FROM log.events",
            "SELECT key FROM log.commands",
            "SELECT * FROM log.leaf_hashes(1, 0, 10)",
            "UPDATE proof.tiles SET hashes = hashes",
            "DELETE FROM proof.checkpoints",
            "INSERT INTO proof.trees (log, origin) VALUES (9, 'x')",
            "UPDATE proof.trees SET size = 0",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sealing.connection.execute(statement.encode())


def test_tiles_only_grow_by_what_is_missing(database: Database, ledger: Ledger) -> None:
    deposits(ledger, 3)
    with sealing_on(database) as sealing:
        sealing.sealer().turn()
        connection, number = sealing.connection, sealing.log_number
        tree = read_tree(connection, number)
        assert tree is not None
        size = tree.size
        before = tile_reader(connection, number)([Tile(0, 0, size)])
        hash = before[0][:32]
        with pytest.raises(psycopg.errors.RaiseException, match=r"more leaves .* than the log has events"):
            grow(connection, number, size, size + 1, [Grown(0, 0, hash)])
        deposits(ledger, 3)
        assert not grow(connection, number, size - 1, size + 1, [Grown(0, 0, hash)]), "another size is believed"
        assert not grow(connection, number, size, size, [Grown(0, 0, hash)]), "it would not grow"
        for wrong in (
            [Grown(0, 0, hash * 2)],
            [Grown(0, 1, hash)],
            [Grown(1, 0, hash)],
            [Grown(0, 0, hash), Grown(1, 0, hash)],
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="not the hashes that a tree of"):
                grow(connection, number, size, size + 1, wrong)
        assert tile_reader(connection, number)([Tile(0, 0, size)]) == before
        assert read_tree(connection, number) == tree
        hashes = read_leaf_hashes(connection, number, size, size + 1)
        assert grow(connection, number, size, size + 1, [Grown(0, 0, hashes)])


def test_a_checkpoint_is_of_what_is_sealed_and_never_replaced(database: Database, ledger: Ledger) -> None:
    deposits(ledger, 3)
    with sealing_on(database) as sealing:
        sealing.sealer().turn()
        last = sealing.last()
        assert last is not None
        for size in (last.size, last.size - 1):
            kept = sealing.connection.execute(
                "SELECT proof.keep_checkpoint(%s, %s, %s, 'other', now())", (sealing.log_number, size, last.root)
            ).fetchone()
            assert kept == (False,)
        with pytest.raises(psycopg.errors.RaiseException, match="fewer leaves than this checkpoint"):
            sealing.connection.execute(
                "SELECT proof.keep_checkpoint(%s, %s, %s, 'other', now())",
                (sealing.log_number, last.size + 1, last.root),
            )
        assert sealing.last() == last
