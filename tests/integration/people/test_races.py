"""Races of persons on a real log: one name for twenty, and two administrators who would remove each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any

import psycopg

from eventstore.log.answers import Answer, Outcome
from tests.samples.people.administrators import ADA, BOB, TWO, approved, removal
from tests.samples.people.person import registered
from tests.support.ledger import assert_sound, executed, executor_on, fold
from tests.support.postgres import Database

CLIENTS = 20
PROCESSES = 4


def test_of_twenty_who_want_one_name_one_gets_it(database18: Database) -> None:
    """They come by four processes at once. The others are refused, and nothing of them is on the log."""
    together = Barrier(CLIENTS)
    with ExitStack() as opened, ThreadPoolExecutor(CLIENTS) as pool:
        executors = [opened.enter_context(executor_on(database18)) for _ in range(PROCESSES)]

        def register(number: int) -> Answer:
            together.wait()
            command = registered(f"prsn_{number:02}x", username_hash="u-wanted")
            return executed(executors[number % PROCESSES], command)

        answers = list(pool.map(register, range(CLIENTS)))
    outcomes = sorted((answer.outcome.name, answer.rule or "") for answer in answers)
    assert outcomes == [("ACCEPTED", ""), *[("REFUSED", "username_taken")] * (CLIENTS - 1)]
    with psycopg.connect(database18.url) as connection:
        found = connection.execute("SELECT stream FROM log.events WHERE type = 'person.registered.v1'").fetchall()
        claims = connection.execute("SELECT count(*) FROM log.events WHERE type = 'claim.taken.v1'").fetchone()
    assert len(found) == 1
    assert claims == (2,)
    fold(database18)
    assert_sound(database18)


def test_two_administrators_cannot_remove_each_other(database18: Database) -> None:
    """Each approves what the other asked for, at the same moment, in two processes: one of them stays."""
    together = Barrier(2)
    with ExitStack() as opened, ThreadPoolExecutor(2) as pool:
        executors = [opened.enter_context(executor_on(database18)) for _ in range(2)]
        for command in (*TWO, removal(ADA, BOB, "appr_1"), removal(BOB, ADA, "appr_2")):
            assert executed(executors[0], command).outcome is Outcome.ACCEPTED

        def approve(number: int) -> Answer:
            command: Any = (approved(BOB, "appr_1"), approved(ADA, "appr_2"))[number]
            together.wait()
            return executed(executors[number], command)

        answers = list(pool.map(approve, range(2)))
    assert sorted((answer.outcome.name, answer.rule) for answer in answers if answer.rule) == [
        ("REFUSED", "administrator_last")
    ]
    fold(database18)
    assert_sound(database18)
