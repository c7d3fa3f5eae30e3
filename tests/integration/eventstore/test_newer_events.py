"""Commands on streams where a newer version of the program wrote an event."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from domain import registry
from domain.accounts.account.lifecycle import FreezeAccount
from eventstore.executor.reply_sinks import NewerEventError, ReplyCollector
from eventstore.executor.stream_states import Fold
from eventstore.log.answers import Outcome
from eventstore.postgres.connect import connect
from tests.support.appending import DecidedCommand, NewEvent, Read, append
from tests.support.ledger import (
    Ledger,
    assert_sound,
    codec_of,
    deposit,
    executor_on,
    ledger_on,
    snapshots_on,
    submission,
    transfer,
)
from tests.support.postgres import Database
from tests.support.waiting import wait_until

NEWER = "account.tagged.v1"


class Replies(ReplyCollector):
    """Collects the answers to commands, and says when all are there."""

    whole = False

    def complete(self) -> None:
        self.whole = True


def tag(ledger: Ledger, stream: str, version: int) -> None:
    """Append an event of a type that this program does not know, as a newer one does."""
    events = [NewEvent(stream, NEWER, b"{}")]
    command = DecidedCommand("newer", f"tag-{stream}", [Read(stream, version - 1)], events, b"{}", None)
    with ledger.connect() as newer:
        assert append(newer, ledger.log_number, [command]).actual == {}, "the stream was at the version before"


def together(ledger: Ledger, *commands: Any) -> list[Any]:
    """The answers to commands that were queued together, so that they are in one group."""
    replies = Replies(len(commands))
    ledger.executor.submit_all([submission(command) for command in commands], replies)
    wait_until(lambda: replies.whole, "the answers")
    return replies.answers


def test_a_command_behind_a_newer_event_is_refused_and_the_others_of_its_group_go_in(database: Database) -> None:
    with ledger_on(database) as ledger:
        tagged, one, two = ledger.account(1_000), ledger.account(1_000), ledger.account(1_000)
        first = ledger.execute(deposit(tagged, 1), key="before")
        tag(ledger, tagged, 4)
        with pytest.raises(NewerEventError, match=f"{tagged} has an event {NEWER}, which a newer version of Daybook"):
            ledger.execute(deposit(tagged, 1))  # on the cached state: the append finds that it is old
        statistics = ledger.executor.statistics
        groups, conflicts = statistics.groups, statistics.conflicts
        answers = together(
            ledger, deposit(tagged, 1), transfer(one, two, 5), transfer(one, tagged, 5), FreezeAccount(tagged, "why")
        )
        refused = [answers[number] for number in (0, 2, 3)]
        assert [(type(error), error.stream, error.type) for error in refused] == [(NewerEventError, tagged, NEWER)] * 3
        assert answers[1].outcome is Outcome.ACCEPTED
        assert statistics.groups == groups + 1
        assert (statistics.conflicts, statistics.locked_groups) == (conflicts, 0), "nothing is tried again"
        again = ledger.execute(deposit(tagged, 1), key="before")
        assert (again.replayed, again.stored) == (True, first.stored), "a recorded answer is given as before"
    assert_sound(database)


def test_a_damaged_event_of_a_known_type_is_no_newer_event(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        account = ledger.account(1_000)
        with psycopg.connect(database18.url, autocommit=True) as owner:
            owner.execute("UPDATE log.events SET payload = '{' WHERE stream = %s", (account,))
        with executor_on(database18) as fresh, pytest.raises(Exception, match="CodecError"):
            fresh.execute([submission(deposit(account, 1))])


def test_another_command_with_the_key_of_one_behind_a_newer_event_is_executed(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        tagged, other = ledger.account(1_000), ledger.account(1_000)
        tag(ledger, tagged, 3)
        replies = Replies(2)
        shared = [submission(deposit(one, 1), key="shared", body=one) for one in (tagged, other)]
        ledger.executor.submit_all(shared, replies)
        wait_until(lambda: replies.whole, "the answers")
        assert isinstance(replies.answers[0], NewerEventError)
        assert replies.answers[1].outcome is Outcome.ACCEPTED


def test_no_snapshot_is_written_behind_a_newer_event(database18: Database) -> None:
    """Neither of a state that a command loads, nor of a stream that is only counted and folded by itself."""
    with connect(database18.api_url, application_name="fold") as folding:
        fold = Fold(codec_of(folding, 1), registry.evolve)
        snapshots = snapshots_on(database18, 1, fold).start()
        with ledger_on(database18, snapshots=snapshots) as ledger, ledger.connect() as reading:
            tagged, other = ledger.account(1_000), ledger.account(1_000)
            tag(ledger, tagged, 3)
            tag(ledger, "acct_newer", 1)
            with pytest.raises(NewerEventError):
                ledger.execute(deposit(tagged, 1))
            for stream in (tagged, "acct_newer", other):
                snapshots.counted(stream, 2_000, 0)
            snapshots.settle()
            kept, _ = snapshots.read(reading, {tagged: 0, other: 0})
            assert {stream: state.version for stream, state in kept.items()} == {tagged: 2, other: 2}
        snapshots.stop()
        assert snapshots.statistics.failed == 0
