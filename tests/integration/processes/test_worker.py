"""The worker of processes: reactions first, then intents, then answers; timers, questions, refusals, operators."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from domain.accounts.account.holds import PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.posts.post import DraftPost, SchedulePost
from domain.process_manager import BACK_OFF
from domain.processes.process import ResolveProcess, RetryProcess
from domain.registry import MANAGERS
from tests.support.ledger import NOW, assert_sound, balances
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from tests.support.relay import PAID_IN, PAID_OUT, PAUSE


@pytest.fixture
def processes(database: Database) -> Iterator[Processes]:
    """Processes of the manager `relay`."""
    with processes_on(database) as made:
        yield made
        assert made.verify().ok
        assert_sound(database)


def test_a_process_runs_to_its_end(processes: Processes) -> None:
    account, worker = processes.relay(), processes.worker()
    assert processes.of(account).status == "working"
    settle(worker)
    waiting = processes.of(account)
    assert (waiting.status, waiting.step, waiting.last_answer) == ("waiting", "waiting", "accepted")
    assert waiting.due_at == processes.clock.now + PAUSE
    assert waiting.state["amount"] == PAID_OUT, "the answer to the question"
    assert balances(processes.ledger.database)[account] == PAID_IN
    processes.clock.forward(PAUSE - timedelta(microseconds=1))
    assert settle(worker) == 0
    processes.clock.forward(timedelta(microseconds=1))
    settle(worker)
    done = processes.of(account)
    assert (done.status, done.step, done.due_at) == ("done", "paid", None)
    assert balances(processes.ledger.database)[account] == PAID_IN - 2 * PAID_OUT


def test_a_refused_command_is_tried_again_and_then_needs_attention(processes: Processes) -> None:
    account, worker = processes.relay(), processes.worker()
    settle(worker)
    processes.ledger.accepted(FreezeAccount(account, "under review"))
    processes.clock.forward(PAUSE)
    settle(worker)
    for pause in BACK_OFF:
        blocked = processes.of(account)
        assert (blocked.status, blocked.last_answer) == ("waiting", "account_frozen")
        assert blocked.due_at == processes.clock.now + pause
        processes.clock.forward(pause)
        settle(worker)
    process = processes.of(account)
    assert (process.status, process.step, process.cause) == ("attention", "blocked", "account_frozen")
    assert process.attempts == 2 * (len(BACK_OFF) + 1)

    refused = processes.ledger.execute(RetryProcess("proc_none", "why"))
    assert refused.outcome.name == "UNKNOWN"
    processes.ledger.accepted(UnfreezeAccount(account, "reviewed"))
    processes.ledger.accepted(RetryProcess(process.process, "the account is free again"))
    processes.wait_until_folded()
    settle(worker)
    assert processes.of(account).status == "done"
    assert balances(processes.ledger.database)[account] == PAID_IN - 2 * PAID_OUT


def test_a_resolved_process_does_nothing_any_more(processes: Processes) -> None:
    account, worker = processes.relay(), processes.worker()
    settle(worker)
    process = processes.of(account).process
    processes.ledger.accepted(ResolveProcess(process, "the money stays"))
    processes.clock.forward(PAUSE)
    processes.wait_until_folded()
    assert settle(worker) == 0
    resolved = processes.of(account)
    assert (resolved.status, resolved.step, resolved.due_at, resolved.state) == ("done", None, None, None)
    assert balances(processes.ledger.database)[account] == PAID_IN


def test_posts_are_published_and_holds_end_when_their_time_has_come(database: Database) -> None:
    soon = NOW + PAUSE
    with processes_on(database, MANAGERS) as processes:
        ledger, worker = processes.ledger, processes.worker()
        account = ledger.account(500)
        for hold in ("hold_1", "hold_2", "hold_3"):
            expires_at = None if hold == "hold_3" else soon
            ledger.accepted(PlaceHold(account, hold, 100, "EUR", expires_at=expires_at))
        ledger.accepted(DraftPost("post_1", "author-1", "Title", "Body"))
        ledger.accepted(SchedulePost("post_1", "soon", soon))
        ledger.accepted(ReleaseHold(account, "hold_2"))
        processes.wait_until_folded()
        assert settle(worker) == 0
        processes.clock.forward(PAUSE)
        settle(worker)
        assert {one.status for one in processes.all()} == {"done"}
        assert len(processes.all()) == 3, "the hold without a time has no process"
        with psycopg.connect(database.url) as connection:
            ended = connection.execute(
                "SELECT type, payload->>'hold' FROM log.events_as_json WHERE type ~ 'hold_(expired|released)|published'"
                " ORDER BY type"
            ).fetchall()
            row = connection.execute("SELECT reserved FROM read.accounts WHERE account = %s", (account,)).fetchone()
        assert ended == [
            ("account.hold_expired.v1", "hold_1"),
            ("account.hold_released.v1", "hold_2"),
            ("post.published.v1", None),
        ]
        assert row == (100,)
        assert processes.verify().ok
    assert_sound(database)
