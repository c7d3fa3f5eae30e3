"""The owner's function: the key is destroyed and the event is appended, both or neither, and once."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import InvalidParameterValue

from domain.kernel import ERASED
from domain.posts.post import ArchivePost, DraftPost
from eventstore.executor.reply_sinks import RejectedError
from eventstore.keys.sealing import WRITER_ERASURE_SECONDS
from eventstore.log.answers import Outcome
from eventstore.postgres.connect import connect
from tests.support.ledger import Ledger, assert_sound, codec_of, deposit, fold, ledger_on, opening
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.erasure import Erasure, erase_subject


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with ledger_on(database) as ledger:
        ledger.accepted(opening(owner="ada", name="Ada"))
        yield ledger


@pytest.fixture
def owner(database: Database) -> Iterator[Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute("SET ROLE daybook_owner")
        yield owner


def state(owner: Connection[Any]) -> tuple[Any, ...]:
    """The head, the number of erasures on the log, the records of their commands, and the keys that are left."""
    row = owner.execute(
        "SELECT (SELECT position FROM log.logs), (SELECT count(*) FROM log.events WHERE type = 'subject.erased.v1'),"
        " (SELECT array_agg(key ORDER BY key) FROM log.commands WHERE actor = 'system:erase-subject'),"
        " (SELECT array_agg(subject ORDER BY subject) FROM log.subject_keys"
        "  WHERE sealed_key IS NOT NULL AND subject <> 'main')"
    ).fetchone()
    assert row is not None
    return tuple(row)


def test_a_person_is_erased_once(ledger: Ledger, owner: Connection[Any]) -> None:
    head = state(owner)[0]
    assert erase_subject(owner, 1, "ada", "one") == Erasure("ada", head + 1, appended=True, destroyed=True)
    erased = state(owner)
    assert erased == (head + 1, 1, ["one"], None)
    for key in ("one", "another"):
        again = erase_subject(owner, 1, "ada", key)
        assert again == Erasure("ada", head + 1, appended=False, destroyed=False)
        assert str(again) == f"ada was erased before, by event {head + 1}. Nothing is changed."
    assert state(owner) == erased
    fold(ledger.database)
    assert_sound(ledger.database)


def test_a_person_without_a_key_never_gets_one(ledger: Ledger, owner: Connection[Any]) -> None:
    assert erase_subject(owner, 1, "bob", "one").destroyed
    with pytest.raises(RejectedError, match="the key of bob was erased"):
        ledger.execute(opening(owner="bob", name="Bob"))
    assert state(owner)[3] == ["ada"]
    fold(ledger.database)
    assert_sound(ledger.database)


def test_a_key_that_came_back_is_destroyed_again(ledger: Ledger, owner: Connection[Any]) -> None:
    [(key,)] = owner.execute("SELECT sealed_key FROM log.subject_keys WHERE subject = 'ada'").fetchall()
    first = erase_subject(owner, 1, "ada", "one")
    owner.execute("UPDATE log.subject_keys SET sealed_key = %s, erased_at = NULL WHERE subject = 'ada'", (key,))
    again = erase_subject(owner, 1, "ada", "two")
    assert again == Erasure("ada", first.position, appended=False, destroyed=True)
    assert state(owner)[1:] == (1, ["one"], None)


def test_a_key_that_was_destroyed_without_the_event_gets_it(ledger: Ledger, owner: Connection[Any]) -> None:
    assert owner.execute("SELECT log.destroy_subject_key(1, 'ada')").fetchone() == (True,)
    assert owner.execute("SELECT log.destroy_subject_key(1, 'ada')").fetchone() == (False,)
    done = erase_subject(owner, 1, "ada", "one")
    assert (done.appended, done.destroyed) == (True, False)
    fold(ledger.database)
    assert_sound(ledger.database)


@pytest.mark.parametrize("subject", ["", "a b", "ä", "x" * 101, "a\tb"])
def test_another_text_than_a_subject_changes_nothing(ledger: Ledger, owner: Connection[Any], subject: str) -> None:
    before = state(owner)
    with pytest.raises(InvalidParameterValue, match="1 to 100 visible ASCII characters"):
        erase_subject(owner, 1, subject, "one")
    assert state(owner) == before


@pytest.mark.parametrize("subject", ["main", "system:hashes"])
def test_a_key_of_the_log_itself_is_never_destroyed(ledger: Ledger, owner: Connection[Any], subject: str) -> None:
    """Without it, names of internal accounts could not be read, or names that are taken would look free."""
    before = state(owner)
    with pytest.raises(InvalidParameterValue, match=f"{subject} is no person: its key is one of the log itself"):
        erase_subject(owner, 1, subject, "one")
    assert state(owner) == before


def test_the_longest_subject_with_any_character(ledger: Ledger, owner: Connection[Any]) -> None:
    subject = "".join(map(chr, range(33, 127))) + "x" * 6
    assert erase_subject(owner, 1, subject, "one").appended
    fold(ledger.database)
    assert_sound(ledger.database)


def test_a_key_of_another_request_is_refused(ledger: Ledger, owner: Connection[Any]) -> None:
    erase_subject(owner, 1, "ada", "one")
    before = state(owner)
    with pytest.raises(InvalidParameterValue, match="the key one of system:erase-subject belongs to another request"):
        erase_subject(owner, 1, "bob", "one")
    assert state(owner) == before


@pytest.mark.parametrize("table", ["log.events", "log.subject_keys", "log.commands"])
def test_neither_happens_where_one_fails(ledger: Ledger, owner: Connection[Any], table: str) -> None:
    owner.execute("RESET ROLE")
    owner.execute(
        "CREATE FUNCTION log.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION log.fail()"
    )
    before = state(owner)
    with pytest.raises(psycopg.errors.RaiseException):
        erase_subject(owner, 1, "ada", "one")
    assert state(owner) == before


def test_a_writer_that_holds_the_head_and_stores_a_key_is_waited_for(ledger: Ledger, owner: Connection[Any]) -> None:
    """An executor may hold the head while it stores a key over another connection. Neither waits for the other."""
    with connect(ledger.database.api_url, application_name="head") as head, ledger.connect() as keys:
        head.autocommit = False
        head.execute("SELECT log.lock_head(1)")
        erasing = Thread(target=erase_subject, args=(owner, 1, "ada", "one"))
        erasing.start()
        with psycopg.connect(ledger.database.url, autocommit=True) as watching:
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%erase_subject%'"
            )
            wait_until(lambda: watching.execute(waits).fetchone() == (1,), "the erasure waits for the head")
        keys.execute("SET statement_timeout = '60s'")  # else the test would wait for ever where it should fail
        keys.execute("SELECT log.keep_subject_keys(1, 1::smallint, '{ada}', ARRAY[decode(repeat('00', 60), 'hex')])")
        head.commit()
        erasing.join()
    assert state(owner)[1:] == (1, ["one"], None)


def test_a_writer_notices_within_a_second(database18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it seals before that can be opened by nobody."""
    with ledger_on(database18) as ledger, psycopg.connect(database18.url, autocommit=True) as owner:
        for name in ("ada", "bob"):
            ledger.accepted(opening(owner=name, name=name))
        sealer: Any = ledger.executor._codec._sealer  # type: ignore[attr-defined]
        now = sealer._clock()
        sealer._clock = lambda: now  # the clock stands
        sealer._asked_at = now
        erase_subject(owner, 1, "ada", "one")
        late = ledger.execute(opening(owner="ada", name="Ada again"))
        assert late.outcome is Outcome.ACCEPTED
        with connect(database18.api_url, application_name="keys") as keys:
            stored = owner.execute(
                "SELECT type, payload, stream, version FROM log.events WHERE type = 'account.opened.v1'"
                " ORDER BY position DESC LIMIT 1"
            ).fetchall()
            [event] = codec_of(keys, 1).decode_many(stored)
            assert str(event.name) == "[erased]"
        now += WRITER_ERASURE_SECONDS
        with pytest.raises(RejectedError, match="the key of ada was erased"):
            ledger.execute(opening(owner="ada", name="Ada once more"))
        assert ledger.execute(opening(owner="bob", name="Bob again")).outcome is Outcome.ACCEPTED
    fold(database18)
    assert_sound(database18)


def cached(ledger: Ledger) -> set[str]:
    """The streams whose states the executor has in memory."""
    return set(ledger.executor._states._cache._known)


def test_an_executor_without_work_forgets_the_texts_of_an_erased_person(ledger: Ledger, owner: Connection[Any]) -> None:
    """Nothing is asked of it after the erasure, and the states of posts are gone. Accounts have no text, and stay."""
    account = ledger.account(owner="bob")
    ledger.accepted(DraftPost("post_ada", "ada", "Title of Ada", "Body of Ada"))
    assert {"post_ada", account} <= cached(ledger)
    erase_subject(owner, 1, "ada", "one")
    wait_until(lambda: "post_ada" not in cached(ledger), "the state with the text is dropped")
    assert account in cached(ledger)


def test_an_executor_at_work_forgets_the_texts_of_an_erased_person(ledger: Ledger, owner: Connection[Any]) -> None:
    """It need not be idle for it, and a later command about the post reads no text."""
    account = ledger.account(owner="bob")
    ledger.accepted(DraftPost("post_ada", "ada", "Title of Ada", "Body of Ada"))
    erase_subject(owner, 1, "ada", "one")

    def gone() -> bool:
        ledger.accepted(deposit(account, 1))
        return "post_ada" not in cached(ledger)

    wait_until(gone, "the state with the text is dropped between commands")
    ledger.execute(ArchivePost("post_ada"))  # it is refused, and the post is loaded again
    known = ledger.executor._states._cache.get("post_ada")
    assert known is not None
    assert (known.state.title, known.state.body) == (ERASED, ERASED)


def test_texts_are_dropped_too_when_nobody_can_say_who_was_erased(ledger: Ledger) -> None:
    ledger.accepted(DraftPost("post_ada", "ada", "Title of Ada", "Body of Ada"))

    def away() -> int:
        raise psycopg.OperationalError("no database")

    ledger.executor._erasures = away
    wait_until(lambda: "post_ada" not in cached(ledger), "the state with the text is dropped")
