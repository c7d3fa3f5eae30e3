"""A projector is cut off or killed at every message of its transactions: tables and checkpoint change together."""

from __future__ import annotations

import signal
from contextlib import suppress
from threading import Event
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from bench.harness.tables import empty_read_tables
from eventstore.postgres.connect import connect
from projections.engine.follow import PAUSED_SECONDS
from projections.engine.runner import Runner
from projections.engine.verify import verify_tables
from projections.registry import PROJECTIONS, named
from tests.faults.checker import check
from tests.faults.clients import deposit, load, open_accounts
from tests.faults.messages import a_commit, line
from tests.faults.proxy import Verdict, Way, proxied
from tests.faults.world import Api, World
from tests.support.ledger import codec_of, ledger_on, transfer
from tests.support.postgres import Server
from tests.support.waiting import WAIT_SECONDS, wait_until

PAGE = 5
FOLDED = named(("accounts", "movements", "transactions", "trial_balance", "entries"))
"""One projection of each kind: rows that change, rows that the server makes, and rows that are only added."""


@pytest.mark.parametrize("way", ["to the server", "to the client"])
def test_cut_at_every_message(postgres18: Server, way: Way) -> None:
    """`to the client`: the server has executed the statement, or the commit, and its reply is lost."""
    with postgres18.database() as database:
        with ledger_on(database) as ledger:
            one, two = ledger.account(100), ledger.account()
            for _ in range(2):
                ledger.accepted(transfer(one, two, 10))
        left = -1  # messages until the cut; below zero: no cut

        def judge(connection: int, direction: Way, kind: bytes, content: bytes) -> Verdict:
            nonlocal left
            if direction == way and left >= 0:
                left -= 1
                if left < 0:
                    return "swallow"
            return "pass"

        socket_file = postgres18.postgres.data_dir / ".s.PGSQL.5432"
        with (
            connect(database.projector_url, application_name="direct") as direct,
            connect(database.projector_url, application_name="keys") as keys,
            connect(database.audit_url, application_name="auditor") as auditor,
            proxied(socket_file, judge) as proxy,
        ):
            codec = codec_of(keys, 1)
            cuts = 0
            while True:
                empty_read_tables(database, projections=FOLDED)
                with suppress(psycopg.OperationalError), _through(proxy.url(database.name)) as cut:
                    runner = Runner(cut, "main", codec, FOLDED, page=PAGE)
                    left = cuts
                    runner.run_to_head()
                whole = left >= 0
                left = -1
                assert _sound_so_far(direct), f"after {cuts} messages"
                Runner(direct, "main", codec, FOLDED, page=PAGE).run_to_head()  # another projector continues
                assert verify_tables(auditor, "main", codec, FOLDED, others=PROJECTIONS).ok, f"after {cuts} messages"
                if whole:
                    break
                cuts += 1
        assert cuts > 20, "the run ended before a cut"


def _through(url: str) -> Connection[Any]:
    opened = connect(url, application_name="cut")
    opened.execute("SET ROLE daybook_projector")
    return opened


def _sound_so_far(connection: Connection[Any]) -> bool:
    """Whether the trial balance is zero: a page is folded completely or not at all."""
    row = connection.execute("SELECT coalesce(sum(balance), 0) = 0 FROM read.accounts").fetchone()
    return row is not None and bool(row[0])


class Trap:
    """Kills a projector before the n-th statement of the transaction that folds a page. COMMIT counts too.

    If the transaction has fewer statements, the projector is killed before it receives the end of the COMMIT.
    """

    def __init__(self, statement: int) -> None:
        self.armed = False
        self.caught, self.killed = Event(), Event()
        self.statements = 0
        self._statement = statement
        self._connection = 0  # the connection of the transaction; 0: none yet
        self._committing = False

    def judge(self, connection: int, way: Way, kind: bytes, content: bytes) -> Verdict:
        """Count the statements after BEGIN. Each has one Bind or is a simple query."""
        if not self.armed or self.caught.is_set():
            return "pass"
        if way == "to the client":
            return self._spring() if self._committing and connection == self._connection else "pass"
        if kind == b"Q" and content.startswith(b"BEGIN"):
            self._connection, self.statements = connection, 0
        elif kind in b"BQ" and connection == self._connection:
            self.statements += 1
            if self.statements == self._statement:
                return self._spring()
            self._committing = content.startswith(b"COMMIT")
        return "pass"

    def _spring(self) -> Verdict:
        self.caught.set()
        assert self.killed.wait(WAIT_SECONDS)
        return "swallow"


def kill_at(world: World, statement: int, api: Api, account: str) -> int:
    """Kill a projector while it folds a deposit. Return the number of statements that it had sent."""
    trap = Trap(statement)
    with proxied(world.server.postgres.data_dir / ".s.PGSQL.5432", trap.judge) as proxy:
        projector = world.projector(through=proxy.url(world.database.name))
        world.wait_until_folded()
        trap.armed = True
        assert deposit(api, account, f"folded-{statement}").status_code == 201
        assert trap.caught.wait(WAIT_SECONDS), "no page was folded"
        projector.kill()
        trap.killed.set()
    report = world.verified(patience_seconds=0)  # no projector folds the rest
    assert all(check.ok for check in report.checks), (statement, report.as_json())
    assert report.tables.rows_ok, (statement, report.as_json())
    return trap.statements


NEVER = 1_000


def test_killed_between_statements_of_the_transaction(world: World) -> None:
    """kill -9 at the first statement, in the middle, at COMMIT and after it. The next projector repairs everything."""
    api = world.api()
    (account,) = open_accounts(api, 1, "5.00")
    there = kill_at(world, NEVER, api, account)
    assert there > 5, "the transaction has too few statements"
    for statement in (1, there // 2, there):
        assert kill_at(world, statement, api, account) == statement
    world.projector()
    check(world)


def test_two_projectors_one_stopped_before_its_commit_then_the_other_killed(world: World) -> None:
    """Both may own every projection. The stopped one is replaced, and notices it when it continues."""
    api = world.api()
    accounts = open_accounts(api, 4, "50.00")
    with line(world) as slow:
        owner = world.projector(through=slow.url)
        world.wait_until_folded()
        follower = world.projector()
        with slow.held(a_commit) as commit:
            with load([api], accounts, clients=3, seed=61, most=20) as first:
                commit.wait_until_held()
                owner.pause()
                # Now, while the load goes on: 15 seconds after the owner's last word it may be replaced.
                assert world.lowest() < world.head(), "nothing is left for the other projector"
            # The server ends the idle transaction, before the time-out of the connection itself.
            wait_until(
                lambda: world.lowest() >= world.head(), "the other projector to take over", seconds=3 * PAUSED_SECONDS
            )
        owner.signal(signal.SIGCONT)
        with load([api], accounts, clients=3, seed=62) as second:
            world.grow(60)
            follower.kill()
            world.grow(60)
        check(world, first, second)  # `check` waits until every projection is at the head


@pytest.mark.soak
def test_killed_between_any_two_statements_of_the_transaction(world: World) -> None:
    api = world.api()
    (account,) = open_accounts(api, 1, "5.00")
    for statement in range(1, kill_at(world, NEVER, api, account) + 1):
        assert kill_at(world, statement, api, account) == statement
    world.projector()
    check(world)
