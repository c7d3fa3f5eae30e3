"""The chart of accounts on a real log: races, rows that equal a fold by hand, plans, costs, and bad input over HTTP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from itertools import cycle
from threading import Barrier
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.state import Account
from domain.accounts.chart.nodes import AddNode, ChangeNode, RemoveNode
from domain.accounts.chart.state import MOST_NODES, Chart
from domain.accounts.posting import TransactionPosted
from eventstore.log.answers import Answer, Outcome
from projections.accounts.chart import queries
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.eventstore.test_costs import round_trips, traced_executor
from tests.integration.projections.filling import LOG, Filler, a_life, projector
from tests.support.answers import accepted, eur, found
from tests.support.ledger import (
    TODAY,
    Ledger,
    assert_sound,
    executor_on,
    fold,
    ledger_on,
    submission,
    transfer,
)
from tests.support.plans import Explained
from tests.support.postgres import Database, Server
from tests.support.service import Service
from tests.tampering.books import verified

CLIENTS, PROCESSES, POSTINGS = 20, 4, 15
CUSTOMERS = AddNode("1000", "Customers", "liability")


def attached_pair(ledger: Ledger) -> tuple[str, str]:
    """Two accounts with money. The second is attached to a node."""
    one, two = ledger.account(100_000), ledger.account(100_000)
    ledger.accepted(CUSTOMERS)
    ledger.accepted(AttachAccount(two, "1000"))
    return one, two


# Races


def test_no_posting_passes_a_rule_that_forbids_its_kind(database18: Database) -> None:
    """Twenty clients post by four processes. Each accepted posting stands before the change in the log."""
    together = Barrier(CLIENTS + 1)
    with ledger_on(database18) as ledger, ExitStack() as opened, ThreadPoolExecutor(CLIENTS + 1) as pool:
        one, two = attached_pair(ledger)
        executors = [opened.enter_context(executor_on(database18)) for _ in range(PROCESSES)]

        def post(number: int) -> list[Answer]:
            together.wait()
            pair = (one, two) if number % 2 else (two, one)
            return [executors[number % PROCESSES].execute([submission(transfer(*pair, 1))])[0] for _ in range(POSTINGS)]

        def forbid() -> Answer:
            together.wait()
            return ledger.execute(ChangeNode("1000", "Customers", ("deposit",)))

        posting = [pool.submit(post, number) for number in range(CLIENTS)]
        assert pool.submit(forbid).result().outcome is Outcome.ACCEPTED
        answers = [answer for client in posting for answer in client.result()]
        last = ledger.execute(transfer(one, two, 1))
    assert {answer.rule for answer in answers if answer.outcome is not Outcome.ACCEPTED} <= {"kind_not_allowed"}
    assert last.rule == "kind_not_allowed"
    with psycopg.connect(database18.url) as connection:
        row = connection.execute(
            "SELECT max(position) FILTER (WHERE type = 'chart.node_changed.v1'),"
            " max(position) FILTER (WHERE type = 'transaction.posted.v1'),"
            " count(*) FILTER (WHERE type = 'transaction.posted.v1') FROM log.events"
        ).fetchone()
    assert row is not None
    changed, last_posted, posted = row
    assert last_posted < changed
    assert posted == 2 + sum(answer.outcome is Outcome.ACCEPTED for answer in answers)
    fold(database18)
    assert_sound(database18)
    assert verified(database18).ok


def test_an_account_is_attached_or_its_node_is_removed(database18: Database) -> None:
    """Of two processes one attaches an account while the other removes the node. Never both."""
    rounds = 12
    with ledger_on(database18) as ledger, executor_on(database18) as other, ThreadPoolExecutor(2) as pool:
        for number in range(rounds):
            account, node, together = ledger.account(), f"n{number}", Barrier(2)
            ledger.accepted(AddNode(node, "Node", "asset"))

            def attach(account: str = account, node: str = node, together: Barrier = together) -> Answer:
                together.wait()
                return ledger.execute(AttachAccount(account, node))

            def remove(node: str = node, together: Barrier = together) -> Answer:
                together.wait()
                return other.execute([submission(RemoveNode(node))])[0]

            answers = [one.result() for one in (pool.submit(attach), pool.submit(remove))]
            outcomes = [answer.outcome is Outcome.ACCEPTED for answer in answers]
            assert sorted(outcomes) == [False, True], answers
    fold(database18)
    assert_sound(database18)
    assert verified(database18).ok


def test_a_cached_chart_costs_no_round_trip(database18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.executor.executor.NOTIFY_SECONDS", float("inf"))
    with ledger_on(database18) as ledger:
        one, two = attached_pair(ledger)
        with traced_executor(database18) as (executor, traced, _):

            def trips() -> int:
                traced.message()
                executor.execute([submission(transfer(one, two, 1)), submission(transfer(two, one, 1))])
                return round_trips(traced.message())["all"]

            trips()  # loads the accounts, then the chart
            assert trips() == 1


# Read models


@pytest.fixture(scope="module")
def life(postgres18: Server) -> Iterator[tuple[Filler, Connection[Any]]]:
    """A folded history, in pages of several sizes."""
    with postgres18.database() as database:
        filler = Filler(database)
        with projector(database) as connection:
            filler.begin()
            for page in (1, 7, 64_000):
                filler.write(*a_life(filler, seed=page, units=1_100))
                runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
                runner.run_to_head()
                assert not runner.stopped
            yield filler, connection
        filler.close()


def test_the_rows_are_those_of_the_chart(life: tuple[Filler, Connection[Any]]) -> None:
    filler, connection = life
    [chart] = filler.ledger.of(Chart)
    accounts = filler.ledger.of(Account)
    rows = queries.tree(connection)
    assert len(rows) > 3
    assert [row.path.split("/") for row in rows] == sorted(row.path.split("/") for row in rows)
    assert {row.node for row in rows} == {node.code for node in chart.nodes}
    for row in rows:
        node = chart.find(row.node)
        assert node is not None
        lineage = [above.code for above in chart.lineage(row.node)]
        assert (row.path, row.level) == ("/".join(reversed(lineage)), len(lineage))
        assert (row.title, row.type, row.side, row.parent) == (node.title, node.type, node.side, node.parent)
        assert row.kinds == (None if node.kinds is None else list(node.kinds))
        kinds = chart.allowed.get(row.node)
        assert row.allowed == (None if kinds is None else list(kinds))
        attached = [one.profile.id for one in accounts if one.profile.node == row.node]
        assert row.accounts == len(attached)
        listed = queries.attached(connection, row.node, limit=1_000).items
        assert sorted(one.account for one in listed) == sorted(attached)
        assert [one.position for one in listed] == sorted(one.position for one in listed)
        assert queries.node(connection, row.node) == row
    assert queries.node(connection, "none") is None


def by_hand(filler: Filler, amounts: dict[str, int], currency: str | None) -> dict[tuple[str, str], tuple[int, int]]:
    """Own and total balance of each node and currency, by walking up from each account."""
    [chart] = filler.ledger.of(Chart)
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for account in filler.ledger.of(Account):
        profile = account.profile
        amount = amounts.get(profile.id)
        if amount is None or currency not in (None, profile.currency):
            continue
        for above in chart.lineage(profile.node):
            signed = amount if above.side == "credit" else -amount
            of_node = sums[above.code, profile.currency]
            of_node[0] += signed if above.code == profile.node else 0
            of_node[1] += signed
    return {key: (own, total) for key, (own, total) in sums.items()}


@pytest.mark.parametrize("currency", [None, "EUR"])
def test_balances_are_those_of_a_fold_by_hand(life: tuple[Filler, Connection[Any]], currency: str | None) -> None:
    filler, connection = life
    now = {account.profile.id: account.balance for account in filler.ledger.of(Account)}
    read = queries.balances(connection, LOG, currency=currency)
    assert {(one.node, one.currency): (one.own, one.total) for one in read.items} == by_hand(filler, now, currency)
    assert read.positions == {"chart": filler.position, "accounts": filler.position}
    assert read.items
    assert currency is not None or any(one.own != one.total for one in read.items)
    posted = [event for event in filler.ledger.log if isinstance(event, TransactionPosted)]
    days = sorted({event.value_date for event in posted})
    assert len(days) > 2
    for day in days:
        amounts: dict[str, int] = defaultdict(int)
        for event in posted:
            for entry in event.entries if event.value_date <= day else ():
                amounts[entry.account] += entry.signed
        read = queries.balances(connection, LOG, currency=currency, value_date=day)
        assert {(one.node, one.currency): (one.own, one.total) for one in read.items} == by_hand(
            filler, amounts, currency
        )
        assert read.positions == {"chart": filler.position, "movements": filler.position}
    assert queries.balances(connection, LOG, value_date=date(1999, 1, 1)).items == ()


def test_a_read_of_balances_scans_each_table_once(database18: Database) -> None:
    """With a full chart and many accounts: accounts are joined once, and never looked up node by node."""
    accounts = 20_000
    filler = Filler(database18)
    filler.begin()
    openings = [filler.opening() for _ in range(accounts)]
    filler.write(*([one] for one in openings))
    codes = [f"n{number}" for number in range(MOST_NODES)]
    for number, code in enumerate(codes):
        filler.ledger.accepted(
            AddNode(code, "Node", None if number else "asset", f"n{(number - 1) // 4}" if number else None)
        )
    filler.write(*([event] for event in filler.ledger.log))
    names = cycle(codes)
    filler.ledger.record(openings)
    before = len(filler.ledger.log)
    for one in openings:
        filler.ledger.record(filler.ledger.decide(AttachAccount(one.originator_id, next(names))).events)  # type: ignore[union-attr]
    filler.write(filler.ledger.log[before:])
    with projector(database18) as connection:
        Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    with psycopg.connect(database18.url, autocommit=True) as superuser:
        superuser.execute("ANALYZE")
        explained = Explained(superuser)
        for statement in (queries.BALANCES_NOW, queries.BALANCES_ON):
            parameters = {"log": LOG, "currency": "EUR", "value_date": TODAY, "projections": ["chart", "accounts"]}
            [plan] = explained.statements(lambda s=statement, p=parameters: superuser.execute(s, p))  # type: ignore[misc]
            read = [scan["Relation Name"] for scan in plan.scans]
            assert read.count("accounts") + read.count("movements") == 1
            assert read.count("chart_accounts") == 1
            assert read.count("chart_nodes") == 2, "the nodes of the accounts, and those above them"
        assert len(queries.balances(superuser, LOG).items) == MOST_NODES
    filler.close()


# Over HTTP


def node(service: Service, code: str, parent: str | None = None, **more: Any) -> str:
    body = {"node": code, "title": f"Node {code}", **({"type": "liability"} if parent is None else {}), **more}
    accepted(service.post("chart/nodes", body | {"parent": parent}, role="operator"))
    return code


def test_a_small_chart_is_made_read_and_summed(service: Service) -> None:
    bank, savings, contra = node(service, "h1"), node(service, "h11", "h1"), node(service, "h12", "h1", contra=True)
    one, two = service.account("10.00"), service.account("5.00", currency="EUR")
    for account, code in ((one, savings), (two, contra)):
        accepted(service.post(f"accounts/{account}/attach", {"node": code}, role="operator"), 200)
    listed = [row for row in found(service.get("chart"))["nodes"] if row["node"].startswith("h1")]
    assert [(row["node"], row["path"], row["level"], row["side"], row["accounts"]) for row in listed] == [
        ("h1", "h1", 1, "credit", 0),
        ("h11", "h1/h11", 2, "credit", 1),
        ("h12", "h1/h12", 2, "debit", 1),
    ]
    assert found(service.get("chart/nodes/h11")) == listed[1]
    assert [row["account"] for row in found(service.get("chart/nodes/h11/accounts"))["items"]] == [one]
    asked: tuple[dict[str, Any], ...] = ({}, {"value_date": TODAY.isoformat()})
    for more in asked:
        balances = found(service.get("chart/balances", currency="EUR", **more))
        assert {
            row["node"]: (row["own"], row["total"]) for row in balances["items"] if row["node"].startswith("h1")
        } == {
            bank: ("0.00", "15.00"),
            savings: ("10.00", "10.00"),
            contra: ("-5.00", "-5.00"),
        }
        assert balances["value_date"] == more.get("value_date")
        assert set(balances["positions"]) == {"chart", "movements" if more else "accounts"}
    accepted(service.post("chart/nodes/h11/change", {"title": "Savings", "kinds": ["deposit"]}, role="operator"), 200)
    refused = service.post(f"accounts/{one}/withdrawals", eur("1.00"))
    assert (refused.status_code, refused.json()["code"]) == (422, "kind_not_allowed")
    accepted(service.post(f"accounts/{one}/deposits", eur("1.00")))


def test_commands_of_the_chart_are_an_operators(service: Service) -> None:
    account, code = service.account(), node(service, "own")
    for path, body in (
        ("chart/nodes", {"node": "x", "title": "X", "type": "asset"}),
        (f"chart/nodes/{code}/change", {"title": "Y", "kinds": None}),
        (f"chart/nodes/{code}/move", {"parent": None}),
        (f"chart/nodes/{code}/remove", {}),
        (f"accounts/{account}/attach", {"node": code}),
        (f"accounts/{account}/detach", {}),
    ):
        for token in (None, service.customer("prsn_1")):
            assert service.post(path, body, token=token).status_code == 403, path
    for path in ("chart", "chart/balances", f"chart/nodes/{code}", f"chart/nodes/{code}/accounts"):
        assert service.get(path, token=service.customer("prsn_1")).status_code == 403, path


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("chart/nodes", {"node": "b/1", "title": "B", "type": "asset"}, 422, "node_code"),
        ("chart/nodes", {"node": "b1", "title": "ada@example.com", "type": "asset"}, 422, "node_title"),
        ("chart/nodes", {"node": "b1", "title": "B"}, 422, "node_type_missing"),
        ("chart/nodes", {"node": "b1", "title": "B", "type": "cash"}, 400, "malformed"),
        ("chart/nodes", {"node": "b1", "title": "B", "type": "asset", "kinds": ["gift"]}, 400, "malformed"),
        ("chart/nodes", {"node": "b1", "title": "B", "type": "asset", "kinds": ["fee"] * 51}, 400, "malformed"),
        ("chart/nodes", {"node": "b1", "title": "B", "parent": "none"}, 404, "unknown"),
        ("chart/nodes", {"node": "b1", "title": "B", "parent": "bad", "type": "asset"}, 422, "node_type"),
        ("chart/nodes/bad/move", {"parent": "bad"}, 422, "node_cycle"),
        ("chart/nodes/bad/move", {"parent": None}, 422, "node_unchanged"),
        ("chart/nodes/bad/move", {}, 400, "malformed"),
        ("chart/nodes/bad/change", {"title": "Node bad", "kinds": None}, 422, "node_unchanged"),
        ("chart/nodes/bad/change", {"title": "Node bad"}, 400, "malformed"),
        ("chart/nodes/none/remove", {}, 404, "unknown"),
        ("accounts/acct_01h455vb4pex5vsknk084sn02q/attach", {"node": "bad"}, 404, "unknown"),
    ],
)
def test_bad_input_changes_nothing(service: Service, path: str, body: Any, status: int, code: str) -> None:
    if service.get("chart/nodes/bad").status_code == 404:
        node(service, "bad")
    before = found(service.get("chart"))
    refused = service.post(path, body, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert found(service.get("chart")) == before


def test_a_balance_is_asked_for_a_currency_and_a_day(service: Service) -> None:
    asked: tuple[dict[str, Any], ...] = ({"currency": "XXX"}, {"value_date": "2026-02-30"}, {"value_date": "today"})
    for more in asked:
        response = service.get("chart/balances", **more)
        assert (response.status_code, response.json()["code"]) == (400, "malformed")
    for path in ("chart/nodes/none", "chart/nodes/none/accounts"):
        assert service.get(path).json()["code"] == "unknown"
