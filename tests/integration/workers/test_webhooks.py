"""`daybook webhooks` as a process: what it says, that a kill loses nothing, and that each stream stays in order."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import psycopg
import pytest

from bench.harness.tables import begin_read_tables
from domain.webhooks.webhook import CreateWebhook
from eventstore.log.answers import Outcome
from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.samples.people.person import active
from tests.support.ledger import CASH, PRINCIPAL, deposit, executed, executor_on, opening
from tests.support.memory_ledger import By
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from tests.support.webhooks import HANG, receiver, streams_in_order

ALLOWED = {"DAYBOOK_WEBHOOK_HTTP": "true", "DAYBOOK_WEBHOOK_PRIVATE_ADDRESSES": "true"}


@pytest.mark.slow
def test_a_kill_loses_nothing_and_keeps_the_order_of_each_stream(database18: Database) -> None:
    env = environment(database18, **ALLOWED)
    with receiver() as to, executor_on(database18) as executor:
        begin_read_tables(database18)

        def do(*commands: object) -> None:
            for command in commands:
                by = command if isinstance(command, By) else By(PRINCIPAL, command)
                answer = executed(executor, by)
                assert answer.outcome is Outcome.ACCEPTED, answer

        accounts = [opening() for _ in range(3)]
        with started("work", env=env):
            do(opening("cash", account=CASH, owner="main", minimum=None), *active())
            do(CreateWebhook("whk_1", to.url, (), (), (), "prsn_ada", 100, 72))
            begun = head(database18)
            with started("webhooks", env=env) as process:
                message = read_until(process, "sending the events of log main to webhooks at any address")
                assert "warning" not in message.lower()
                do(opening())
                wait_until(lambda: len(to.taken) > 0, "the first is sent", PATIENCE_SECONDS)
                to.usual = lambda request: HANG if len(to.taken) >= 8 else 200
                do(*accounts, *(deposit(one.account, 100) for _ in range(6) for one in accounts))
                assert to.hanging.wait(60), "it is killed in the middle of an attempt"
                os.kill(process.pid, signal.SIGKILL)
            first = len(to.taken)
            to.usual = 200
            to.released.set()
            last = head(database18)
            due = set(range(begun + 1, last + 1))
            with started("webhooks", env=env), started("webhooks", env=env):
                wait_until(lambda: {one.position for one in to.taken} >= due, "all came", PATIENCE_SECONDS)
    assert first >= 8
    fresh = {one.id: one for one in to.taken}
    assert len(fresh) == last - begun, "the id tells copies"
    assert streams_in_order(to.taken[first:])
    for one, other in pairwise(sorted(fresh.values(), key=lambda received: received.position)):
        assert other.position == one.position + 1


def head(database: Database) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
    assert row is not None
    return int(row[0])
