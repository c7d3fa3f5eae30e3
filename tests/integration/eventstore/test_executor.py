"""The executor: each command gets its answer, has one effect, and is decided on true states."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, UnfreezeAccount
from domain.accounts.account.state import ACCOUNT
from domain.money import show
from eventstore.executor import executor as executing
from eventstore.executor import group_builder as grouping
from eventstore.executor.decided_commands import Submission, Task
from eventstore.executor.reply_sinks import (
    ContentionError,
    FaultError,
    QueueFullError,
    RejectedError,
    ReplyCollector,
    StoppedError,
    UnavailableError,
)
from eventstore.log import append as appending
from eventstore.log.answers import Answer, Outcome
from eventstore.log.append import AppendBatch
from eventstore.log.read import STREAM_PAGE, read_log, read_stream
from eventstore.postgres.connect import connect, pool_of
from tests.support.ledger import (
    CASH,
    Ledger,
    assert_sound,
    balances,
    codec_of,
    deposit,
    executor_on,
    ledger_on,
    new_id,
    opening,
    submission,
    transfer,
    withdrawal,
)
from tests.support.postgres import Database
from tests.support.waiting import WAIT_SECONDS, wait_until


def run(executor_submit: Ledger, *submissions: Submission) -> list[Answer]:
    return executor_submit.executor.execute(submissions)


def test_a_group_sees_its_own_effects(database: Database) -> None:
    with ledger_on(database) as ledger:
        first = opening()
        second = opening()
        answers = run(
            ledger,
            *map(
                submission,
                [first, second, deposit(first.account, 500), transfer(first.account, second.account, 300),
                 withdrawal(second.account, 300), withdrawal(first.account, 201)],
            ),
        )  # fmt: skip
        assert [a.outcome.name for a in answers] == ["ACCEPTED"] * 5 + ["REFUSED"]
        assert answers[3].result["balances"][second.account]["balance"] == "3.00"
        assert answers[3].result["versions"][first.account] == 3
        assert answers[5].rule == "below_minimum"
        assert answers[5].result["available"] == "2.00"
        assert ledger.executor.statistics.groups <= 3
    assert_sound(database)
    assert balances(database) == {first.account: 200, second.account: 0, CASH: -200}


def test_a_key_has_one_effect_and_one_answer(database: Database) -> None:
    with ledger_on(database) as ledger:
        account = ledger.account(1000)
        command = withdrawal(account, 400)
        first = ledger.execute(command, key="once")
        again = ledger.execute(withdrawal(account, 400), key="once")
        assert (again.result, again.last_position) == (first.result, first.last_position)
        assert (first.replayed, again.replayed) == (False, True)
        refused = ledger.execute(withdrawal(account, 700), key="refused")
        ledger.accepted(deposit(account, 10_000))
        still = ledger.execute(withdrawal(account, 700), key="refused")
        assert (still.outcome, still.result, still.replayed) == (Outcome.REFUSED, refused.result, True)
        other = ledger.executor.execute([submission(command, key="once", body="another")])[0]
        assert other.outcome is Outcome.KEY_REUSED
        mine = ledger.executor.execute([submission(withdrawal(account, 1), key="once", actor="somebody else")])[0]
        assert mine.outcome is Outcome.ACCEPTED
    assert_sound(database)


def test_twenty_clients_with_one_key(database: Database) -> None:
    with ledger_on(database) as ledger, ThreadPoolExecutor(20) as pool:
        account = ledger.account(1000)
        together = threading.Barrier(20)

        def withdraw() -> Answer:
            together.wait()
            return ledger.execute(withdrawal(account, 700), key="the same")

        answers = [f.result() for f in [pool.submit(withdraw) for _ in range(20)]]
    assert {a.outcome for a in answers} == {Outcome.ACCEPTED}
    assert len({a.last_position for a in answers}) == 1
    assert sum(not a.replayed for a in answers) == 1
    assert balances(database)[account] == 300
    assert_sound(database)


def persist(ledger: Ledger, command: object, key: str) -> Answer:
    """Retry with the same key until there is an answer."""
    while True:
        try:
            return ledger.execute(command, key=key)
        except UnavailableError:
            continue


def test_a_long_stream_is_read_in_pages(database: Database) -> None:
    """One stream ends with a page and one does not. Both states are complete."""
    with ledger_on(database) as ledger:
        long, longer = ledger.account(), ledger.account()
        entries = {long: 2 * STREAM_PAGE - 1, longer: 2 * STREAM_PAGE + 1}  # after the opening
        for account, count in entries.items():
            run(ledger, *(submission(deposit(account, 1)) for _ in range(count)))
        with executor_on(database) as other:
            asked = [submission(withdrawal(account, count + 1)) for account, count in entries.items()]
            answers = other.execute(asked)
    for answer, count in zip(answers, entries.values(), strict=True):
        assert answer.rule == "below_minimum"
        assert answer.result["available"] == show(count, "EUR")


def test_an_unknown_account_is_answered_and_not_recorded(database: Database) -> None:
    with ledger_on(database) as ledger:
        unknown = new_id(ACCOUNT)
        answer = ledger.execute(deposit(unknown, 5), key="early")
        assert (answer.outcome, answer.result) == (Outcome.UNKNOWN, {"kind": "account", "id": unknown})
        ledger.accepted(opening(account=unknown))
        assert ledger.execute(deposit(unknown, 5), key="early").outcome is Outcome.ACCEPTED


def test_an_expected_version_is_compared_with_the_actual_one(database: Database) -> None:
    with ledger_on(database) as ledger, executor_on(database) as other:
        account = ledger.account(1000)  # version 2
        stale = ledger.execute(withdrawal(account, 1), expected={account: 1}, key="stale")
        assert stale.outcome is Outcome.EXPECTATION_FAILED
        assert stale.result == {"expected": {account: 1}, "actual": {account: 2}}
        assert other.execute([submission(deposit(account, 1))])[0].outcome is Outcome.ACCEPTED  # version 3
        fresh = ledger.execute(withdrawal(account, 1), expected={account: 3})
        assert fresh.outcome is Outcome.ACCEPTED, "the client knows a later version than the cache"
        replay = ledger.execute(withdrawal(account, 1), expected={account: 1}, key="stale")
        assert (replay.outcome, replay.replayed) == (Outcome.EXPECTATION_FAILED, True)
        on_cash = ledger.execute(deposit(account, 1), expected={CASH: 1})
        assert on_cash.outcome is Outcome.EXPECTATION_FAILED, "an expected version does not commute"
    assert_sound(database)


def test_a_stale_cache_does_not_refuse_what_another_process_made_possible(database: Database) -> None:
    with ledger_on(database) as ledger, executor_on(database) as other:
        account = ledger.account(100)
        assert ledger.execute(withdrawal(account, 500)).outcome is Outcome.REFUSED
        assert other.execute([submission(deposit(account, 400))])[0].outcome is Outcome.ACCEPTED
        assert ledger.execute(withdrawal(account, 500)).outcome is Outcome.ACCEPTED
        assert ledger.executor.statistics.conflicts == 1
    assert_sound(database)


def on_an_account_another_has_moved(database: Database) -> None:
    """The command is decided once, because the process already knows that its cached state is stale."""
    with ledger_on(database) as ledger, executor_on(database) as other:
        account, another = ledger.account(100), ledger.account(100)
        assert other.execute([submission(deposit(account, 400))])[0].outcome is Outcome.ACCEPTED
        assert (
            ledger.execute(deposit(another, 1)).outcome is Outcome.ACCEPTED
        )  # the append shows that others have appended
        assert ledger.execute(withdrawal(account, 500)).outcome is Outcome.ACCEPTED
        assert ledger.executor.statistics.conflicts == 0
    assert_sound(database)


def test_streams_that_other_processes_changed_are_marked_as_stale(database: Database) -> None:
    on_an_account_another_has_moved(database)


def test_many_events_of_other_processes_drop_the_whole_cache(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "MOST_OTHERS", 2)  # a deposit has three
    monkeypatch.setattr(executing, "read_moved", lambda *_: [])
    on_an_account_another_has_moved(database)


def test_the_whole_cache_is_dropped_if_events_of_others_cannot_be_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[tuple[str, int]]:
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(executing, "read_moved", broken)
    on_an_account_another_has_moved(database)


def test_a_single_process_does_not_look_for_events_of_others(
    database18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with consecutive groups: their events do not count as those of others."""
    looked: list[object] = []

    def look(*asked: object) -> list[tuple[str, int]]:
        looked.append(asked)
        return []

    monkeypatch.setattr(executing, "read_moved", look)
    with ledger_on(database18) as ledger:
        account = ledger.account(100)
        ledger.executor.execute([submission(deposit(account, 1)) for _ in range(2_000)])
        assert ledger.executor.statistics.groups >= 4
    assert looked == []


def test_commuting_entries_of_several_executors_never_conflict(database: Database) -> None:
    with ledger_on(database) as ledger, executor_on(database) as other:
        mine, theirs = ledger.account(), ledger.account()
        pairs = ((ledger.executor, mine), (other, theirs))
        for _ in range(10):
            for executor, account in pairs:
                assert executor.execute([submission(deposit(account, 7))])[0].outcome is Outcome.ACCEPTED
        assert (ledger.executor.statistics.conflicts, other.statistics.conflicts) == (0, 0)
        # An exact command on the shared account is decided on the true state: its refusal has the whole sum.
        closing = ledger.execute(CloseAccount(CASH, "done"))
        assert (closing.rule, closing.result["balance"]) == ("balance_not_zero", "-1.40")
    assert balances(database) == {mine: 70, theirs: 70, CASH: -140}
    assert_sound(database)


def test_a_freeze_wins_over_commuting_entries(database: Database) -> None:
    with ledger_on(database) as ledger, executor_on(database) as other:
        account = ledger.account(5)
        assert other.execute([submission(FreezeAccount(CASH, "audit"))])[0].outcome is Outcome.ACCEPTED
        answer = ledger.execute(deposit(account, 5))
        assert (answer.outcome, answer.rule) == (Outcome.REFUSED, "account_frozen")
        assert other.execute([submission(UnfreezeAccount(CASH, "done"))])[0].outcome is Outcome.ACCEPTED
        assert ledger.execute(deposit(account, 5)).outcome is Outcome.ACCEPTED
    assert_sound(database)


def test_every_command_on_a_busy_account_with_limits_is_answered(database: Database) -> None:
    """Three executors on one limited account decide on true states, in the last attempts with the head locked."""
    with ledger_on(database) as ledger, executor_on(database) as second, executor_on(database) as third:
        hot = ledger.account(100)
        with ThreadPoolExecutor(12) as pool:
            jobs = [
                pool.submit(executor.execute, [submission(withdrawal(hot, 1))])
                for _ in range(50)
                for executor in (ledger.executor, second, third)
            ]
            outcomes = Counter(job.result()[0].outcome.name for job in jobs)
    assert outcomes == {"ACCEPTED": 100, "REFUSED": 50}
    assert balances(database)[hot] == 0
    assert_sound(database)


def test_after_a_lost_connection_nothing_is_appended_twice(database: Database) -> None:
    with (
        ledger_on(database) as ledger,
        ThreadPoolExecutor(8) as pool,
        psycopg.connect(database.url, autocommit=True) as admin,
    ):
        account = ledger.account(100_000)
        done = threading.Event()
        answers: list[Answer] = []

        def cut() -> int:
            """Cut after some answers since the last cut. A slow machine needs longer than the pause to connect."""
            cuts = seen = 0
            while not done.wait(0.1):
                if len(answers) == seen:
                    continue
                seen = len(answers)
                row = admin.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'executor' AND datname = current_database()"
                ).fetchone()
                cuts += row[0] if row else 0
            return cuts

        cutter = pool.submit(cut)
        try:
            for n in range(400):
                answers.append(persist(ledger, withdrawal(account, 1), f"cut-{n}"))
        finally:
            done.set()
        assert cutter.result() > 0
        assert {a.outcome for a in answers} == {Outcome.ACCEPTED}
        assert ledger.executor.statistics.reconnects > 0
        again = [ledger.execute(withdrawal(account, 1), key=f"cut-{n}") for n in range(400)]
        assert [a.last_position for a in again] == [a.last_position for a in answers]
    assert balances(database)[account] == 100_000 - 400
    assert_sound(database)


def test_nothing_is_sealed_with_a_key_that_the_database_has_lost(database18: Database) -> None:
    """A restored dump or a promoted standby may not have the key. Values sealed with it could never be read."""
    with ledger_on(database18) as ledger, psycopg.connect(database18.url, autocommit=True) as admin:
        ledger.accepted(opening(owner="somebody"))
        admin.execute("SET session_replication_role = replica")
        admin.execute("DELETE FROM log.subject_keys WHERE subject = 'somebody'")
        admin.execute("SELECT pg_terminate_backend(%s)", (ledger.executor._connection.info.backend_pid,))
        again = opening(owner="somebody")
        ledger.accepted(again)
        assert admin.execute("SELECT count(*) FROM log.subject_keys WHERE subject = 'somebody'").fetchone() == (1,)
        with ledger.connect() as reading:
            (opened,) = read_stream(reading, ledger.log_number, again.account)
            answered = codec_of(reading, ledger.log_number).decode(
                opened.type, opened.payload, opened.stream, opened.version
            )
        assert answered.name == "Ada Lovelace"


def test_stopping_does_not_wait_for_a_database_that_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "RECONNECT_PAUSES", (0.0, 3_600.0, 3_600.0))
    gone = threading.Event()
    tries = 0

    def connect_unless_gone() -> psycopg.Connection[Any]:
        nonlocal tries
        if gone.is_set():
            tries += 1
            raise psycopg.OperationalError("the database is gone")
        return connect(database.api_url, application_name="executor")

    with ThreadPoolExecutor(2) as pool, ledger_on(database) as ledger:
        account = ledger.account(100)
        monkeypatch.setattr(ledger.executor, "_connect", connect_unless_gone)
        gone.set()
        with psycopg.connect(database.url) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'executor' AND datname = current_database()"
            )
        answer = pool.submit(ledger.executor.execute, [submission(withdrawal(account, 1))])
        wait_until(lambda: tries > 0, "an attempt to connect")  # the next attempt is an hour later
        pool.submit(ledger.executor.stop).result(timeout=30)
        with pytest.raises(UnavailableError, match="connection was lost"):
            answer.result(timeout=30)
    assert tries == 3, "the other commands were answered at once"
    assert balances(database)[account] == 100


def test_an_event_that_cannot_be_stored_fails_alone(database: Database) -> None:
    with ledger_on(database) as ledger:
        account = ledger.account(100)
        bad = submission(opening(name="\ud800"))
        good = submission(withdrawal(account, 1))
        with ThreadPoolExecutor(2) as pool:
            failing, fine = (pool.submit(ledger.executor.execute, [s]) for s in (bad, good))
            with pytest.raises(RejectedError):
                failing.result()
            assert fine.result()[0].outcome is Outcome.ACCEPTED
    assert_sound(database)


def test_the_queue_is_bounded_and_stopping_answers_the_waiting_commands(database: Database) -> None:
    class Deaf:
        def deliver(self, results: object) -> None:
            pass

    with ledger_on(database, queue_limit=3) as ledger:
        account = ledger.account(10)
        with psycopg.connect(database.url) as blocker:
            blocker.execute("SELECT 1 FROM log.logs FOR UPDATE")
            before = ledger.executor.statistics.commands
            ledger.executor.submit(submission(deposit(account, 1)), Deaf(), None)
            while ledger.executor.waiting:  # the executor takes the command and waits for the head
                assert ledger.executor.statistics.commands == before
            for _ in range(3):
                ledger.executor.submit(submission(deposit(account, 1)), Deaf(), None)
            with pytest.raises(QueueFullError, match="3 commands wait"):
                ledger.executor.submit(submission(deposit(account, 1)), Deaf(), None)
        executor = ledger.executor
    with pytest.raises(StoppedError):
        executor.execute([submission(deposit(account, 1))])
    assert balances(database)[account] == 10 + 4, "stopped only after answering the waiting commands"
    assert_sound(database)


def test_a_follower_sees_everything_while_writers_race(database: Database) -> None:
    with ledger_on(database) as ledger, executor_on(database) as other, ledger.connect() as tail:
        accounts = [ledger.account(1000) for _ in range(4)]
        head = {"goal": -1}
        seen: list[int] = []
        given_up = threading.Event()

        def over() -> bool:
            return len(seen) == head["goal"] or given_up.is_set()

        def watch() -> None:
            after = 0
            while not over():
                page = read_log(tail, ledger.log_number, after, 3)
                after = page.upto
                seen.extend(event.position for event in page.events)

        with ThreadPoolExecutor(9) as pool:
            watcher = pool.submit(watch)
            try:
                jobs = [
                    pool.submit(executor.execute, [submission(transfer(accounts[n % 4], accounts[(n + 1) % 4], 1))])
                    for n in range(60)
                    for executor in (ledger.executor, other)
                ]
                last = max(job.result()[0].last_position or 0 for job in jobs)
                head["goal"] = last
                watcher.result(timeout=30)
            finally:
                given_up.set()
        assert seen == list(range(1, last + 1))
    assert_sound(database)


@pytest.mark.parametrize("size", range(1, 11))
def test_at_every_page_end_the_trial_balance_is_zero(database18: Database, size: int) -> None:
    with ledger_on(database18) as ledger, ledger.connect() as reading:
        accounts = [ledger.account(100) for _ in range(3)]
        for n in range(10):
            ledger.accepted(transfer(accounts[n % 3], accounts[(n + 1) % 3], 5))
        sums: Counter[str] = Counter()
        after = 0
        while not (page := read_log(reading, ledger.log_number, after, size)).at_end:
            for recorded in page.events:
                if recorded.type in ("account.credited.v1", "account.debited.v1"):
                    event = ledger.codec.decode(recorded.type, recorded.payload, recorded.stream, recorded.version)
                    sums[event.currency] += event.amount if "credited" in recorded.type else -event.amount
            assert sums["EUR"] == 0
            after = page.upto


@contextmanager
def head_held(database: Database) -> Iterator[None]:
    """Another connection locks the head of the log until the block ends."""
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT log.lock_head(log) FROM log.logs")
        yield
        holder.rollback()


def test_an_unavailable_database_is_tried_once_for_a_whole_group(database18: Database) -> None:
    """It is not tried for each command, with one time-out after the other."""
    attempts: list[int] = []
    with ledger_on(database18) as ledger:
        account = ledger.account()
        send = ledger.executor._appender.send

        def counted(batch: AppendBatch) -> None:
            attempts.append(len(batch.counts))
            send(batch)

        ledger.executor._appender.send = counted  # type: ignore[method-assign]
        ledger.executor._connection.execute("SET statement_timeout = '200ms'")
        with head_held(database18), pytest.raises(UnavailableError, match="statement timeout"):
            run(ledger, *(submission(deposit(account, 1)) for _ in range(50)))
        assert sum(attempts) <= 50, attempts
        ledger.executor._connection.execute("RESET statement_timeout")
        assert ledger.accepted(deposit(account, 1)).last_position is not None
    assert_sound(database18)


@pytest.mark.parametrize("then", ["it comes back", "its disk is full"])
def test_commands_that_did_not_fit_into_a_failed_group_are_answered_once(
    database18: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, then: str
) -> None:
    """They are back in the queue, so the retries of the group must not answer them too."""
    monkeypatch.setattr(grouping, "MOST_EVENTS_PER_UNIT", 6)  # two deposits
    with (
        ledger_on(database18, group_limit=5) as ledger,
        psycopg.connect(database18.url, autocommit=True) as admin,
    ):
        account, executor = ledger.account(), ledger.executor
        send, attempt = executor._appender.send, executor._attempt

        def cut(batch: AppendBatch) -> None:
            send(batch)
            admin.execute("SELECT pg_terminate_backend(%s)", (executor._connection.info.backend_pid,))

        def full(*_: object, **__: object) -> None:
            executor._attempt = attempt  # type: ignore[method-assign]
            raise psycopg.errors.DiskFull("no space left")

        executor._appender.send = cut  # type: ignore[method-assign]
        if then == "its disk is full":
            executor._attempt = full  # type: ignore[method-assign, assignment]
        answered = Replies(12)
        executor.submit_all([submission(deposit(account, 1), key=f"one-{n}") for n in range(12)], answered)
        assert answered.whole.wait(WAIT_SECONDS), "a command was not answered"
        assert executor.running
        accepted = [answer for answer in answered.answers if isinstance(answer, Answer)]
        assert len(accepted) == (12 if then == "it comes back" else 10)
        assert not any(answer.replayed for answer in accepted)
        assert len({ledger.execute(deposit(account, 1), key=f"one-{n}").last_position for n in range(12)}) == 12
        assert not executor.waiting
    assert "not delivered" not in caplog.text
    assert balances(database18)[account] == 12
    assert_sound(database18)


def test_commands_with_the_same_key_are_all_answered_after_an_internal_error(database18: Database) -> None:
    """After an internal error no command waits for ever."""
    with ledger_on(database18) as ledger:
        account = ledger.account()
        ledger.execute(deposit(account, 1), key="shared")

        def fail(*_: object) -> None:
            raise ZeroDivisionError("an internal error")

        ledger.executor._settle = fail  # type: ignore[method-assign, assignment]
        answered = Replies()
        ledger.executor.submit_all([submission(deposit(account, 1), key="same", body="x") for _ in range(3)], answered)
        assert answered.whole.wait(WAIT_SECONDS), "a command was not answered"
        assert [type(answer) for answer in answered.answers] == [UnavailableError] * 3


class Replies(ReplyCollector):
    """Collects this many answers, and sets an event when it has all."""

    def __init__(self, many: int = 3) -> None:
        super().__init__(many)
        self.whole = threading.Event()

    def complete(self) -> None:
        self.whole.set()


def test_a_command_with_the_key_of_a_rejected_one_is_executed(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        account = ledger.account(10)
        answered = Replies()
        bad = submission(opening(name="\ud800"), key="shared", body="one")
        good = [submission(withdrawal(account, 1), key="shared", body="two") for _ in range(2)]
        ledger.executor.submit_all([bad, *good], answered)
        assert answered.whole.wait(WAIT_SECONDS), "a command was not answered"
        assert isinstance(answered.answers[0], RejectedError)
        assert [(answer.outcome, answer.replayed) for answer in answered.answers[1:]] == [
            (Outcome.ACCEPTED, False),
            (Outcome.ACCEPTED, True),
        ]
    assert_sound(database18)


def test_a_retry_that_cannot_be_executed_any_more_gets_its_recorded_answer(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        command = opening(owner="cyd", name="Cyd")
        first = ledger.execute(command, key="once")
        assert first.outcome is Outcome.ACCEPTED
        with psycopg.connect(database18.url, autocommit=True) as admin:
            admin.execute("UPDATE log.subject_keys SET sealed_key = NULL, erased_at = now() WHERE subject = 'cyd'")
        ledger.executor._codec.forget_keys()
        again = ledger.execute(command, key="once")
        assert (again.replayed, again.stored) == (True, first.stored)
        (other,) = ledger.executor.execute([submission(command, key="once", body="another request")])
        assert other.outcome is Outcome.KEY_REUSED
        with pytest.raises(RejectedError, match="was erased"):
            ledger.execute(opening(owner="cyd", name="Cyd"), key="new")
    assert_sound(database18)


def test_an_internal_error_is_answered_as_one_and_logged_without_its_message(
    database18: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with ledger_on(database18) as ledger:
        account = ledger.account(10)

        def fail(*_: object) -> None:
            raise ZeroDivisionError("Ada" + " Lovelace")

        with monkeypatch.context() as faulty:
            faulty.setattr(ledger.executor._groups, "_decide", fail)
            with pytest.raises(FaultError, match="logged"):
                ledger.execute(withdrawal(account, 1), key="once")
        assert "ZeroDivisionError at" in caplog.text
        assert "Ada Lovelace" not in caplog.text
        assert ledger.execute(withdrawal(account, 1), key="once").outcome is Outcome.ACCEPTED
    assert_sound(database18)


def test_a_sink_that_raises_does_not_affect_other_answers(database18: Database) -> None:
    class Raises:
        def deliver(self, results: object) -> None:
            raise ZeroDivisionError

    with ledger_on(database18) as ledger:
        account = ledger.account()
        answered = Replies()
        with head_held(database18):  # so that all are in one group
            ledger.executor.submit(submission(deposit(account, 1)), Raises(), None)
            wait_until(lambda: not ledger.executor.waiting, "the executor at the head")
            ledger.executor.submit(submission(deposit(account, 1)), Raises(), None)
            ledger.executor.submit_all([submission(deposit(account, 1)) for _ in range(3)], answered)
        assert answered.whole.wait(WAIT_SECONDS), "a command was not answered"
        assert ledger.accepted(deposit(account, 1)).last_position is not None


def test_an_internal_error_after_tasks_were_put_back_does_not_end_the_executor(database18: Database) -> None:
    """The tasks are answered and still in the queue. Such a queue must not stop the executor."""
    with ledger_on(database18) as ledger:
        account, executor = ledger.account(), ledger.executor
        turn = executor._turn

        def fail(_: object, tasks: list[Task]) -> None:
            executor._turn = turn  # type: ignore[method-assign]
            executor._return(tasks)
            raise ZeroDivisionError("an internal error")

        executor._turn = fail  # type: ignore[method-assign, assignment]
        with pytest.raises(UnavailableError):
            ledger.execute(deposit(account, 1))
        wait_until(lambda: not executor.waiting, "an empty queue")
        assert ledger.accepted(deposit(account, 1)).last_position is not None
    assert_sound(database18)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_executor_that_ends_by_an_error_answers_the_waiting_commands(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        account = ledger.account()

        def end(*_: object) -> None:
            wait_until(lambda: ledger.executor.waiting == 2, "two waiting commands")
            raise SystemExit

        ledger.executor._turn = end  # type: ignore[method-assign, assignment]
        answered = Replies()
        first = Replies()
        ledger.executor.submit(submission(deposit(account, 1)), first, 0)
        wait_until(lambda: not ledger.executor.waiting, "the executor at work")
        ledger.executor.submit_all([submission(deposit(account, 1)) for _ in range(2)], answered)
        wait_until(lambda: None not in (first.answers[0], *answered.answers[:2]), "the answers of all three")
        assert [type(answer) for answer in answered.answers[:2]] == [UnavailableError] * 2
        assert isinstance(first.answers[0], UnavailableError)
        with pytest.raises(StoppedError):
            ledger.executor.submit(submission(deposit(account, 1)), answered, 0)


def test_a_database_that_is_being_restored_is_waited_for(database18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers, but has no log yet. The error occurs while a group is sent."""
    monkeypatch.setattr(executing, "RECONNECT_PAUSES", (0.0, 0.0))
    with ledger_on(database18) as ledger:
        account, executor = ledger.account(), ledger.executor
        open_both = executor._connect

        def broken(batch: AppendBatch) -> None:
            executor._appender._sent = batch
            executor._connection.close()
            raise psycopg.OperationalError("the server closed the connection")

        def not_yet() -> psycopg.Connection[Any]:
            raise psycopg.errors.UndefinedTable("there is no log.logs")

        executor._appender.send = broken  # type: ignore[method-assign]
        executor._connect = not_yet
        with pytest.raises(UnavailableError):
            ledger.execute(deposit(account, 1), key="once")
        assert executor.running
        executor._connect = open_both
        assert ledger.execute(deposit(account, 1), key="once").outcome is Outcome.ACCEPTED
        assert balances(database18)[account] == 1
    assert_sound(database18)


def test_an_executor_that_holds_the_head_can_store_a_key(database18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first command of a new person is decided with the head locked. Another connection stores the key."""
    with ledger_on(database18) as ledger:
        monkeypatch.setattr("eventstore.executor.attempts.OPTIMISTIC_ATTEMPTS", 0)
        ledger.executor._prepare = lambda *_, **__: None  # type: ignore[method-assign]
        # If it waited for itself, the server would end the session that holds the head.
        ledger.executor._connection.execute("SET idle_in_transaction_session_timeout = '30s'")
        assert ledger.execute(opening(owner="newcomer")).outcome is Outcome.ACCEPTED
        assert ledger.executor.statistics.locked_groups == 1
        assert ledger.executor.statistics.reconnects == 0
    assert_sound(database18)


def test_a_command_that_needs_the_state_of_a_busy_account_gets_it_without_the_head(database18: Database) -> None:
    """Others post to cash, so its entries are only counted. A deposit of the same group must not hide that."""
    with ledger_on(database18) as ledger, executor_on(database18) as other:
        account, another = ledger.account(1), ledger.account(1)
        other.execute([submission(deposit(another, 1))])
        ledger.accepted(deposit(account, 1))
        answers = run(ledger, submission(deposit(account, 1)), submission(FreezeAccount(CASH, "audit")))
        assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED] * 2
        assert ledger.executor.statistics.locked_groups == 0
    assert_sound(database18)


def test_any_connection_is_closed_if_the_server_does_not_answer(database18: Database) -> None:
    with connect(database18.api_url, application_name="silence") as connection:
        connection.answer_seconds = 0.3  # type: ignore[attr-defined]
        with pytest.raises(psycopg.OperationalError, match="did not answer"):
            connection.execute("SELECT pg_sleep(20)")
        assert connection.closed


def test_connections_of_a_pool_have_the_same_limits_as_others(database18: Database) -> None:
    url = database18.api_url.replace("options=", "options=-c%20geqo%3Doff%20")  # options of the URL are kept
    with (
        pool_of(url, application_name="pool", most=2, wait_seconds=30, statement_seconds=7) as pool,
        pool.connection() as connection,
    ):
        shown = {
            name: connection.execute(f"SELECT current_setting('{name}')".encode()).fetchone()
            for name in ("role", "geqo", "statement_timeout", "TimeZone", "idle_in_transaction_session_timeout")
        }
        assert list(shown.values()) == [("daybook_api",), ("off",), ("7s",), ("UTC",), ("7s",)]
        alone = connect(url, application_name="alone")
        mine, theirs = alone.info.get_parameters(), connection.info.get_parameters()
        alone.close()
        assert {**mine, "application_name": ""} == {**theirs, "application_name": ""}
        connection.answer_seconds = 0.3  # type: ignore[attr-defined]
        with pytest.raises(psycopg.OperationalError, match="did not answer"):
            connection.execute("SELECT pg_sleep(20)")


def test_a_connection_without_answers_is_replaced(database18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the answer of the server nor its time-out arrives. The executor tries another connection."""
    usual = appending.ANSWER_SECONDS
    with ledger_on(database18) as ledger:
        account, reconnect = ledger.account(), ledger.executor._connect

        def patient() -> psycopg.Connection[Any]:
            """Only the first connection is given up soon: the executor gives up after some of them."""
            monkeypatch.setattr(appending, "ANSWER_SECONDS", usual)
            return reconnect()

        monkeypatch.setattr(ledger.executor, "_connect", patient)
        monkeypatch.setattr(appending, "ANSWER_SECONDS", 0.3)
        with ThreadPoolExecutor(1) as pool:
            with head_held(database18):
                answer = pool.submit(ledger.execute, deposit(account, 1))
                wait_until(lambda: ledger.executor.statistics.reconnects > 0, "a new connection")
            assert answer.result().outcome is Outcome.ACCEPTED
        assert balances(database18)[account] == 1
    assert_sound(database18)


def test_a_pair_of_connections_that_cannot_be_opened_completely_is_closed(database18: Database) -> None:
    """Two connections are needed and one is free. It is closed, so that others can use it."""
    opened: list[psycopg.Connection[Any]] = []

    def connect_once() -> psycopg.Connection[Any]:
        if opened:
            raise psycopg.OperationalError("too many connections")
        opened.append(psycopg.connect(database18.url))
        return opened[0]

    with ledger_on(database18) as ledger:
        ledger.executor._connect = connect_once
        before = ledger.executor._connection
        with pytest.raises(psycopg.OperationalError, match="too many"):
            ledger.executor._open()
        assert opened[0].closed
        ledger.executor._connection = before


def test_a_stream_that_is_assumed_new_and_exists_fails_alone(database18: Database) -> None:
    """A stream with a new id is not looked up. If it exists all the same, only its command fails."""
    with ledger_on(database18) as ledger:
        account = ledger.account()
        first = deposit(account, 1)
        ledger.accepted(first)
        answered = Replies()
        again = [submission(deposit(account, 2)), submission(first), submission(deposit(account, 4))]
        ledger.executor.submit_all(again, answered)
        assert answered.whole.wait(WAIT_SECONDS), "the command was not answered"
        assert [type(answer) for answer in answered.answers] == [Answer, ContentionError, Answer]
        assert balances(database18)[account] == 1 + 2 + 4
    assert_sound(database18)
