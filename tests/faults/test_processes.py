"""Process managers under faults: whatever happens, each intent is carried out once, and the tables are a fresh fold.

A worker is killed after each number of commands, has a rival, sleeps in the middle of its work, meets another version
of `react`. Real processes are killed and stopped, and their database is restarted.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier, Event, Thread
from typing import Any

import httpx
import psycopg
import pytest

from domain.processes.process import ResolveProcess
from eventstore.executor.decided_commands import Submission
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.log.answers import Answer
from tests.faults.world import World
from tests.support.ledger import assert_sound, balances, executor_on
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from tests.support.relay import GENEROUS, PAID_IN, PAID_OUT, PAUSE
from tests.support.waiting import wait_until
from workers.processes.worker import Send, Worker, sender

LEFT = PAID_IN - 2 * PAID_OUT
COMMANDS = 7
"""So many commands carry a process to its end: three reactions, three that move money, an answer to a question."""


class Killed(BaseException):
    """The worker ends here, without another word."""


def killed_after(send: Send, count: int) -> Send:
    """Execute so many commands; then the worker is killed before it sees an answer."""
    left = count

    def interrupted(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
        nonlocal left
        answers = send(submissions[:left])
        if len(submissions) >= left:
            raise Killed
        left -= len(submissions)
        return answers

    return interrupted


class Sleeper:
    """Sends commands, and sleeps before call number `call` until it is woken."""

    def __init__(self, send: Send, call: int) -> None:
        self._send = send
        self._left = call
        self.asleep, self.woken = Event(), Event()

    def __call__(self, submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
        if submissions:
            self._left -= 1
            if self._left == 0:
                self.asleep.set()
                assert self.woken.wait(60)
        return self._send(submissions)


@pytest.fixture
def processes(database18: Database) -> Iterator[Processes]:
    """Processes of the manager `relay`."""
    with processes_on(database18) as made:
        yield made
        report = made.verify()
        assert report.ok, report.findings
        assert_sound(database18)
        assert doubles(database18) == []


def doubles(database: Database) -> list[Any]:
    """Triggers with two reactions, and intents with two answers."""
    with psycopg.connect(database.url) as connection:
        return connection.execute(
            "SELECT stream, payload->>'trigger', payload->>'reaction', payload->>'number', count(*)"
            " FROM log.events_as_json WHERE type IN ('process.reacted.v1', 'process.answered.v1')"
            " GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
        ).fetchall()


def finish(processes: Processes, worker: Worker, *accounts: str) -> None:
    """Let the worker finish the processes of these accounts, which pay everything once."""
    settle(worker)
    processes.clock.forward(PAUSE)
    settle(worker)
    booked = balances(processes.ledger.database)
    for account in accounts:
        assert processes.of(account).status == "done"
        assert booked[account] == LEFT


def test_killed_between_any_two_steps(processes: Processes) -> None:
    executed = 0
    accounts = []
    while True:
        account = processes.relay()
        accounts.append(account)
        doomed = processes.worker(killed_after(sender(processes.ledger.executor), executed))
        try:
            settle(doomed)
            processes.clock.forward(PAUSE)
            settle(doomed)
            break  # it was not killed any more
        except Killed:
            processes.wait_until_folded()
        finish(processes, processes.worker(), account)
        executed += 1
    assert executed == COMMANDS + 1, "killed before the first command, and after each of them"
    finish(processes, processes.worker(), *accounts)


def test_two_workers_on_one_log(processes: Processes, database18: Database) -> None:
    """Both have read what is to be done before the first of them does it."""
    accounts = [processes.relay() for _ in range(12)]
    replays: list[bool] = []
    both_have_read = Barrier(2)

    def counting(send: Send) -> Send:
        began = False

        def send_and_count(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
            nonlocal began
            if not began:
                began = True
                both_have_read.wait(60)
            answers = send(submissions)
            replays.extend([answer.replayed for answer in answers if isinstance(answer, Answer)])
            return answers

        return send_and_count

    with executor_on(database18) as other:
        workers = [processes.worker(counting(sender(executor))) for executor in (processes.ledger.executor, other)]
        for _ in range(2):
            threads = [Thread(target=settle, args=(worker,)) for worker in workers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            processes.clock.forward(PAUSE)
    assert replays.count(True) >= len(accounts), "they did not do the same: the test shows nothing"
    finish(processes, processes.worker(), *accounts)


@pytest.mark.parametrize("call", range(1, 7))
def test_a_worker_that_wakes_up_late_changes_nothing(processes: Processes, call: int) -> None:
    account = processes.relay()
    sleeper = Sleeper(sender(processes.ledger.executor), call)
    sleepy = processes.worker(sleeper)

    def work() -> None:
        settle(sleepy)
        processes.clock.forward(PAUSE)
        settle(sleepy)

    thread = Thread(target=work)
    thread.start()
    assert sleeper.asleep.wait(60)
    finish(processes, processes.worker(), account)
    head = processes.of(account).version
    sleeper.woken.set()
    thread.join()
    assert processes.of(account).version == head
    assert balances(processes.ledger.database)[account] == LEFT


def test_what_was_resolved_is_not_carried_out_by_a_worker_that_wakes_up_late(processes: Processes) -> None:
    account = processes.relay()
    settle(processes.worker())
    processes.clock.forward(PAUSE)
    sleeper = Sleeper(sender(processes.ledger.executor), 2)  # the reaction is recorded, the payments are not sent
    thread = Thread(target=settle, args=(processes.worker(sleeper),))
    thread.start()
    assert sleeper.asleep.wait(60)
    processes.ledger.accepted(ResolveProcess(processes.of(account).process, "the money stays"))
    sleeper.woken.set()
    thread.join()
    assert settle(processes.worker()) == 0
    assert balances(processes.ledger.database)[account] == PAID_IN
    assert processes.of(account).status == "done"


@pytest.mark.parametrize("sent", [0, 1], ids=["no payment was sent", "one payment was sent"])
def test_a_new_version_of_react_half_way(database18: Database, sent: int) -> None:
    """The payments that were recorded stand, in number, amount and id, whatever the new version would pay."""
    with processes_on(database18) as processes:
        account = processes.relay()
        settle(processes.worker())
        processes.clock.forward(PAUSE)
        with pytest.raises(Killed):
            settle(processes.worker(killed_after(sender(processes.ledger.executor), 1 + sent)))
        processes.wait_until_folded()
    with processes_on(database18, (GENEROUS,)) as later:
        later.clock.forward(PAUSE)
        settle(later.worker())
        assert later.of(account).status == "done"
        assert balances(database18)[account] == LEFT
        assert later.verify().ok
    assert doubles(database18) == []


def test_of_two_versions_of_react_one_reaction_is_recorded(processes: Processes) -> None:
    account = processes.relay()
    settle(processes.worker())
    processes.clock.forward(PAUSE)
    sleeper = Sleeper(sender(processes.ledger.executor), 1)  # before it records the payments of the new version
    thread = Thread(target=settle, args=(processes.worker(sleeper, managers=(GENEROUS,)),))
    thread.start()
    assert sleeper.asleep.wait(60)
    finish(processes, processes.worker(), account)
    sleeper.woken.set()
    thread.join()
    assert balances(processes.ledger.database)[account] == LEFT


# Real processes: scheduled posts

AHEAD = timedelta(seconds=1)
"""A post is scheduled at least so long before its time."""


def schedule(client: httpx.Client, number: int, at: datetime) -> str:
    """A post that is scheduled for this time, or for a later one if the time has passed meanwhile."""
    draft = {"author": "author-1", "title": "On ledgers", "body": "Facts."}
    drafted = client.post("/v1/posts", json=draft, headers={"Idempotency-Key": f"draft-{number}"})
    assert drafted.status_code == 201, drafted.text
    post: str = drafted.json()["post"]
    for attempt in count():
        body = {"slug": f"slug-{number}", "publish_at": max(at, datetime.now(UTC) + AHEAD).isoformat()}
        key = f"schedule-{number}-{attempt}"
        done = client.post(f"/v1/posts/{post}/schedule", json=body, headers={"Idempotency-Key": key})
        if done.status_code == 200:
            break
        assert done.json()["code"] == "post_schedule", done.text
    return post


def published(world: World) -> Counter[str]:
    """How often each post was published."""
    with psycopg.connect(world.database.url) as connection:
        rows = connection.execute("SELECT stream FROM log.events WHERE type = 'post.published.v1'").fetchall()
    return Counter(stream for (stream,) in rows)


def test_workers_are_killed_and_stopped_and_the_database_is_restarted(world: World) -> None:
    api = world.api()
    world.projector()
    one, two = world.process_managers(), world.process_managers()
    client = world.client(api)
    start = datetime.now(UTC)
    posts = [schedule(client, n, start + timedelta(seconds=2 + n / 10)) for n in range(40)]

    def wait_for(count: int) -> None:
        wait_until(lambda: len(published(world)) >= count, f"{count} published posts")

    wait_for(3)
    one.kill()
    wait_for(10)
    two.pause()
    one.start()
    wait_for(18)
    two.signal(signal.SIGCONT)
    world.kill_postgres()
    world.start_postgres()
    wait_for(len(posts))
    assert published(world) == Counter(posts), "each post is published once"
    headers = {"Authorization": "Bearer secret-of-report"}

    def done() -> int:
        page = httpx.get(f"{api.url}/v1/processes", params={"status": "done"}, headers=headers, timeout=60)
        return len(page.json().get("items", ()))  # a problem while the API connects again

    wait_until(lambda: done() == len(posts), "processes that are done")
    for process in (one, two):
        process.kill()
    world.wait_until_folded()
    report = world.verified()
    assert report.ok, report
    assert doubles(world.database) == []
