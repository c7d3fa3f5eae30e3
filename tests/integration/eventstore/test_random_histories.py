"""Random commands, several writers and crashes: money is conserved, and every event belongs to an answer."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from eventstore.executor.executor import Executor
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.log.answers import Answer, Outcome
from tests.support.ledger import (
    CASH,
    assert_sound,
    balances,
    deposit,
    executor_on,
    ledger_on,
    submission,
    transfer,
    withdrawal,
)
from tests.support.postgres import Database, Server

HISTORIES = 8
COMMANDS = 60


@pytest.mark.parametrize("version", [15, 18])
@settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), writers=st.integers(1, 3), crashes=st.integers(0, 3))
def test_random_histories(request: pytest.FixtureRequest, version: int, seed: int, writers: int, crashes: int) -> None:
    server: Server = request.getfixturevalue(f"postgres{version}")
    with server.database() as database:
        _history(database, seed, writers, crashes)


def _history(database: Database, seed: int, writers: int, crashes: int) -> None:
    acknowledged: dict[str, Answer] = {}
    with ledger_on(database) as ledger:
        accounts = [ledger.account(1_000, owner=f"owner-{n}") for n in range(3)]

        def write(number: int, executor: Executor) -> None:
            choose = random.Random(seed * 31 + number)
            for n in range(COMMANDS):
                source, target = choose.sample(accounts, 2)
                command = choose.choice(
                    [
                        transfer(source, target, choose.randint(1, 400)),
                        deposit(target, choose.randint(1, 200)),
                        withdrawal(source, choose.randint(1, 400)),
                        FreezeAccount(choose.choice([source, CASH]), "random"),
                        UnfreezeAccount(choose.choice([source, CASH]), "random"),
                    ]
                )
                key = f"{number}-{n}"
                for _ in range(4):  # a client without an answer retries with the same key
                    try:
                        acknowledged[key] = executor.execute([submission(command, key=key)])[0]
                        break
                    except ExecutorError:
                        continue

        def crash() -> None:
            with psycopg.connect(database.url, autocommit=True) as admin:
                for _ in range(crashes):
                    threading.Event().wait(0.05)  # lets writers work for a time; no result depends on it
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'executor' AND datname = current_database()"
                    )

        with ExitStack() as running, ThreadPoolExecutor(writers + 1) as pool:
            executors = [running.enter_context(executor_on(database)) for _ in range(writers)]
            jobs = [pool.submit(write, number, executor) for number, executor in enumerate(executors)]
            jobs.append(pool.submit(crash))
            for job in jobs:
                job.result()
    assert_sound(database)
    assert sum(balances(database).values()) == 0
    with psycopg.connect(database.url) as connection:
        recorded: dict[str, str] = dict(
            connection.execute("SELECT key, (outcome, coalesce(last_position, 0))::text FROM log.commands").fetchall()
        )
    for key, answer in acknowledged.items():
        assert recorded[key] == f"({int(answer.outcome)},{answer.last_position or 0})", key
    assert len(acknowledged) == writers * COMMANDS
    limited = [balances(database).get(account, 0) for account in accounts]
    assert min(limited) >= 0, "no account fell below its minimum"
    assert any(a.outcome is Outcome.ACCEPTED for a in acknowledged.values())
