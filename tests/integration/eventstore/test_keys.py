"""Keys of persons in a database: what is stored, how a rotation of the master key moves them, and damaged keys."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection
from psycopg.errors import InvalidParameterValue, NoDataFound, ObjectNotInPrerequisiteState

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.kernel import UNREADABLE
from domain.together import Together
from eventstore.executor.reply_sinks import UnavailableError, Waiter
from eventstore.keys import rotation
from eventstore.keys.master_keys import WRAPPED_BYTES, MasterKeyError, MasterKeys, unwrap, wrap
from eventstore.keys.rotation import Rotated, rotate
from eventstore.keys.sealing import Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.answers import Outcome
from eventstore.log.read import read_stream
from eventstore.postgres.connect import connect
from tests.support.ledger import (
    CASH,
    MASTER_KEY,
    assert_sound,
    codec_of,
    deposit,
    ledger_on,
    submission,
    transfer,
    withdrawal,
)
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.verify.keys import check_keys

NEXT_KEY = bytes(range(1, 33))
PEOPLE = [f"person-{n}" for n in range(7)]


@contextmanager
def sealer_on(database: Database, present: bytes = MASTER_KEY, previous: bytes | None = None) -> Iterator[Sealer]:
    """A sealer as a process of the API has it."""
    with connect(database.api_url, application_name="sealer") as connection:
        row = connection.execute("SELECT log.create_log('main')").fetchone()
        assert row is not None
        sealer = Sealer(SubjectKeys(connection, row[0]), present, previous)
        sealer.master_keys.check(record=True)
        yield sealer


@pytest.fixture
def owner(database: Database) -> Iterator[Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


def keys_of(owner: Connection[Any], by: bytes) -> dict[str, bytes | None]:
    """The data keys of persons that open with this master key."""
    rows = owner.execute("SELECT subject, sealed_key FROM log.subject_keys WHERE sealed_key IS NOT NULL").fetchall()
    return {subject: unwrap(AESGCM(by), subject, sealed) for subject, sealed in rows}


def statuses(owner: Connection[Any]) -> list[str]:
    return [status for (status,) in owner.execute("SELECT status FROM log.master_keys ORDER BY number")]


# ------------------------------------------------------------------ stored keys


@pytest.mark.parametrize(
    ("subjects", "sealed"),
    [
        (["ada"], [b"junk"]),
        (["ada"], [b""]),
        (["ada"], [b"x" * (WRAPPED_BYTES + 1)]),
        (["ada"], [None]),
        ([None], [b"x" * WRAPPED_BYTES]),
        ([""], [b"x" * WRAPPED_BYTES]),
        (["a" * 101], [b"x" * WRAPPED_BYTES]),
        (["a b"], [b"x" * WRAPPED_BYTES]),
        (["ada\n"], [b"x" * WRAPPED_BYTES]),
        (["ädä"], [b"x" * WRAPPED_BYTES]),
        (["ada", "bob"], [b"x" * WRAPPED_BYTES]),
        (["ada"], [b"x" * WRAPPED_BYTES, b"x" * WRAPPED_BYTES]),
        (["ada", "bob"], [b"x" * WRAPPED_BYTES, b"junk"]),
    ],
)
def test_the_api_can_store_only_wrapped_keys(
    database: Database, owner: Connection[Any], subjects: list[str], sealed: list[bytes]
) -> None:
    with sealer_on(database), connect(database.api_url, application_name="api") as api:
        keep = "SELECT * FROM log.keep_subject_keys(1, %s::smallint, %s::text[], %s::bytea[])"
        with pytest.raises(InvalidParameterValue, match="keys are not well-formed"):
            api.execute(keep, (1, subjects, sealed))
        whole = (["ada"], [b"x" * WRAPPED_BYTES])
        with pytest.raises(ObjectNotInPrerequisiteState, match="master key 2 is not the current one"):
            api.execute(keep, (2, *whole))
        with pytest.raises(NoDataFound, match="there is no log number 9"):
            api.execute(keep.replace("(1,", "(9,"), (1, *whole))
    assert owner.execute("SELECT count(*) FROM log.subject_keys").fetchone() == (0,)


def test_a_second_first_process_with_another_master_key_is_refused(database: Database) -> None:
    refused = pytest.raises(MasterKeyError, match="this database is used with the master key")
    with sealer_on(database), refused, sealer_on(database, NEXT_KEY):
        pass


# ------------------------------------------------------------------ rotation


def test_a_rotation_wraps_every_key_anew_and_changes_nothing_else(database: Database, owner: Connection[Any]) -> None:
    with ledger_on(database) as ledger:
        for person in PEOPLE:
            ledger.account(100, owner=person)
        owner.execute("UPDATE log.subject_keys SET sealed_key = NULL, erased_at = now() WHERE subject = 'person-3'")
        owner.execute("UPDATE log.subject_keys SET sealed_key = 'junk' WHERE subject = 'person-5'")
        digest = "SELECT md5(string_agg(md5(e::text), '' ORDER BY position)) FROM log.events e"
        events, before = owner.execute(digest).fetchone(), keys_of(owner, MASTER_KEY)
        assert rotate(owner, NEXT_KEY, MASTER_KEY, batch=2) == Rotated(moved=len(PEOPLE) - 1, left=1)
        assert owner.execute(digest).fetchone() == events
    after = keys_of(owner, NEXT_KEY)
    assert {subject: key for subject, key in after.items() if key} == {s: key for s, key in before.items() if key}
    assert [subject for subject, key in after.items() if key is None] == ["person-5"]
    assert "person-3" not in after, "an erased person stays erased"
    assert statuses(owner) == ["retired", "current"]
    assert rotate(owner, NEXT_KEY, None) == Rotated(moved=0, left=1), "a second rotation has nothing to do"

    with sealer_on(database, NEXT_KEY) as sealer:
        assert set(sealer.unusable(PEOPLE)) == {"person-5"}
    for present, previous in ((MASTER_KEY, None), (MASTER_KEY, NEXT_KEY)):
        with pytest.raises(MasterKeyError, match="has retired"), sealer_on(database, present, previous):
            pass
    with pytest.raises(MasterKeyError, match="has retired"):
        rotate(owner, MASTER_KEY, NEXT_KEY)
    rotate(owner, bytes(32), NEXT_KEY)
    assert statuses(owner) == ["retired", "retired", "current"]


class Killed(Exception):
    """Replaces SIGKILL."""


@pytest.mark.parametrize("moves", range(5))
def test_a_rotation_that_is_killed_goes_on_where_it_was(
    database: Database, owner: Connection[Any], monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """It is killed after each batch, before the first, and before the old key is retired."""
    with sealer_on(database) as sealer:
        sealer.prepare(PEOPLE)
    before, move = keys_of(owner, MASTER_KEY), rotation._move
    done: list[int] = []

    def killed(*arguments: Any) -> tuple[int, int]:
        if len(done) == moves:
            raise Killed
        done.append(1)
        return move(*arguments)

    def killed_at_last(moved: int) -> None:
        if moved == len(PEOPLE):
            raise Killed

    monkeypatch.setattr(rotation, "_move", killed)
    with pytest.raises(Killed):
        rotate(owner, NEXT_KEY, MASTER_KEY, killed_at_last, batch=2)
    monkeypatch.setattr(rotation, "_move", move)
    assert statuses(owner) == ["superseded", "current"]
    with pytest.raises(MasterKeyError, match="set DAYBOOK_PREVIOUS_MASTER_KEY"), sealer_on(database, NEXT_KEY):
        pass
    with pytest.raises(MasterKeyError, match="exchange it"):
        rotate(owner, MASTER_KEY, NEXT_KEY)
    with pytest.raises(MasterKeyError, match="still wrapped with"):
        rotate(owner, bytes(32), NEXT_KEY)
    with sealer_on(database, NEXT_KEY, MASTER_KEY) as sealer:
        assert sealer.unusable(PEOPLE) == {}
        sealer.prepare(["newcomer"])
    moved = min(2 * moves, len(PEOPLE))
    assert rotate(owner, NEXT_KEY, MASTER_KEY, batch=2) == Rotated(len(PEOPLE) - moved, 0)
    assert {subject: key for subject, key in keys_of(owner, NEXT_KEY).items() if subject != "newcomer"} == before


def test_processes_go_on_while_keys_are_moved(database: Database, owner: Connection[Any]) -> None:
    """Three processes: one without the new key, one with both keys and an empty cache, one with all keys cached."""
    with (
        sealer_on(database) as behind,
        sealer_on(database, NEXT_KEY, MASTER_KEY) as fresh,
        sealer_on(database, NEXT_KEY, MASTER_KEY) as busy,
    ):
        behind.prepare(PEOPLE[:2])
        busy.prepare(PEOPLE)
        names = iter(range(100))

        def between(moved: int) -> None:
            busy.prepare([f"newcomer-{next(names)}"])
            assert fresh.unusable(PEOPLE) == {}
            fresh.forget()

        assert rotate(owner, NEXT_KEY, MASTER_KEY, between, batch=2) == Rotated(len(PEOPLE), 0)
        made = owner.execute("SELECT count(*), min(master_key) FROM log.subject_keys WHERE subject ~ 'newcomer'")
        assert made.fetchone() == (4, 2)
        assert behind.unusable(PEOPLE[:2]) == {}, "its cached keys"
        with pytest.raises(MasterKeyError, match="has retired"):
            behind.look_up(PEOPLE)
        with pytest.raises(MasterKeyError):
            behind.prepare(["another"])
    with sealer_on(database, NEXT_KEY) as sealer:
        assert sealer.unusable([*PEOPLE, *(f"newcomer-{n}" for n in range(4))]) == {}


def test_a_rotation_waits_for_a_key_that_is_being_stored_and_moves_it(
    database: Database, owner: Connection[Any]
) -> None:
    with sealer_on(database) as sealer, ThreadPoolExecutor(1) as pool:
        number, cipher = sealer.master_keys.wrapping()
        with connect(database.api_url, application_name="keeping") as keeping, keeping.transaction():
            SubjectKeys(keeping, 1).keep({"ada": wrap(cipher, "ada", b"k" * 32)}, number)
            rotating = pool.submit(_rotate, database)
            wait_until(lambda: _waits_for_a_lock(owner), "the rotation waits")
        assert rotating.result(60) == Rotated(1, 0)
    assert keys_of(owner, NEXT_KEY) == {"ada": b"k" * 32}


def test_a_key_that_is_made_while_a_rotation_begins_is_wrapped_again(
    database: Database, owner: Connection[Any]
) -> None:
    with sealer_on(database), sealer_on(database, NEXT_KEY, MASTER_KEY) as sealer, ThreadPoolExecutor(1) as pool:
        assert sealer.master_keys.wrapping()[0] == 1
        with connect(database.url, application_name="beginning") as beginning, beginning.transaction():
            store = SubjectKeys(beginning, 0)
            keys = MasterKeys(store, NEXT_KEY, MASTER_KEY)
            assert rotation._begin(beginning, store, keys) == 2
            preparing = pool.submit(sealer.prepare, ["ada"])
            wait_until(lambda: _waits_for_a_lock(owner), "the key waits")
        preparing.result(60)
    assert owner.execute("SELECT subject, master_key FROM log.subject_keys").fetchall() == [("ada", 2)]
    assert keys_of(owner, NEXT_KEY)["ada"] is not None


def test_a_person_who_is_erased_while_the_key_is_moved_stays_erased(
    database: Database, owner: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    move = rotation._move

    def erased_before(*arguments: Any) -> tuple[int, int]:
        with psycopg.connect(database.url, autocommit=True) as other:
            other.execute("UPDATE log.subject_keys SET sealed_key = NULL, erased_at = now() WHERE subject = 'person-1'")
        return move(*arguments)

    with sealer_on(database) as sealer:
        sealer.prepare(PEOPLE)
    monkeypatch.setattr(rotation, "_move", erased_before)
    assert rotate(owner, NEXT_KEY, MASTER_KEY) == Rotated(len(PEOPLE) - 1, 0)
    assert "person-1" not in keys_of(owner, NEXT_KEY)


def _rotate(database: Database) -> Rotated:
    with closing(connect(database.url, application_name="rotating")) as connection:
        return rotate(connection, NEXT_KEY, MASTER_KEY)


def _waits_for_a_lock(owner: Connection[Any]) -> bool:
    row = owner.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'log.master_keys'::regclass"
    ).fetchone()
    return row == (1,)


# ------------------------------------------------------------------ damage


def test_commands_about_a_person_whose_key_is_damaged_fail_alone(database: Database, owner: Connection[Any]) -> None:
    with ledger_on(database) as ledger:
        ada, bob = ledger.account(100, owner="ada"), ledger.account(100, owner="bob")
        owner.execute("UPDATE log.subject_keys SET sealed_key = 'junk' WHERE subject = 'bob'")
    with ledger_on(database) as ledger:
        waiter = Waiter(4)
        commands = [
            transfer(bob, ada, 10),
            FreezeAccount(bob, "on request"),
            transfer(ada, bob, 1),
            FreezeAccount(ada, "on request"),
        ]
        ledger.executor.submit_all([submission(command) for command in commands], waiter)
        waiter.whole.wait(60)
        one, refused, three, four = waiter.answers
        assert isinstance(refused, UnavailableError)
        assert "nothing can be written about bob" in str(refused)
        for answer in (one, three, four):
            assert not isinstance(answer, Exception), answer
            assert answer is not None
            assert answer.outcome is Outcome.ACCEPTED
        with ledger.connect() as reading:
            events = read_stream(reading, ledger.log_number, bob)
            codec = codec_of(reading, ledger.log_number)
            opened, *entries = codec.decode_many([(e.type, e.payload, e.stream, e.version) for e in events])
    assert (opened.name, opened.owner) == (UNREADABLE, "bob")
    assert [entry.amount for entry in entries] == [100, 10, 1]
    assert_sound(database)


def test_a_person_whose_name_no_database_can_hold_is_unreadable_alone(database18: Database) -> None:
    """JSON can have a NUL, and text of PostgreSQL cannot. The keys of other persons are still found."""
    with ledger_on(database18) as ledger, ledger.connect() as reading:
        (opened, *_) = read_stream(reading, ledger.log_number, ledger.account(owner="ada"))
        damaged = opened.payload.replace(b'"ada"', b'"a\\u0000a"')
        assert damaged != opened.payload
        log = [(opened.type, payload, opened.stream, opened.version) for payload in (damaged, opened.payload)]
        read = codec_of(reading, ledger.log_number).decode_many(log)
    assert [(event.owner, event.name) for event in read] == [("a\0a", UNREADABLE), ("ada", "Ada Lovelace")]


# ------------------------------------------------------------------ versions


def test_the_version_a_value_is_bound_to_is_the_one_the_append_gives(database18: Database) -> None:
    """Freeze an account that has commuting entries of two processes, in their groups and in atomic batches."""
    with ledger_on(database18) as one, ledger_on(database18) as two, ThreadPoolExecutor(1) as pool:
        accounts = [ledger.account(1_000, owner=f"owner-{n}") for n, ledger in enumerate((one, two))]
        stop = Event()

        def deposits() -> int:
            done = 0
            while not stop.is_set():
                answers = two.executor.execute([submission(deposit(accounts[1], 1)) for _ in range(20)])
                done += sum(answer.outcome is Outcome.ACCEPTED for answer in answers)
            return done

        others = pool.submit(deposits)
        rounds = 0
        try:
            while rounds < 10 or (one.executor.statistics.conflicts == 0 and rounds < 1_000):
                rounds += 1
                freeze, thaw = FreezeAccount(CASH, f"audit {rounds}"), UnfreezeAccount(CASH, "done")
                commands = [
                    deposit(accounts[0], 1),
                    freeze,
                    thaw,
                    deposit(accounts[0], 1),
                    Together((deposit(accounts[0], 1), freeze, thaw, withdrawal(accounts[0], 1))),
                ]
                answers = one.executor.execute([submission(command) for command in commands])
                assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
        finally:
            stop.set()
        assert others.result(60) > 0
        assert one.executor.statistics.conflicts > 0, "there was no conflict: the test shows nothing"
        with connect(database18.audit_url, application_name="checking") as checking:
            codec = codec_of(checking, one.log_number)
            check = check_keys(checking, one.log_number, codec)
            values = list(
                codec.sealed_values(checking.execute("SELECT type, payload, stream, version FROM log.events"))
            )
    assert check.findings == ()
    assert len(values) == 3 + 4 * rounds, "the names of three accounts, and the reasons of the freezes"
    assert [value for value in values if value.why_unreadable is not None] == []
    assert_sound(database18)
