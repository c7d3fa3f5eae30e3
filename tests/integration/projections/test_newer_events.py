"""Projections and events that a newer version of the program wrote."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest
from psycopg import Connection

from domain.aggregate import EventType
from domain.kernel import ERASED, UNREADABLE
from domain.kernel import Event as DomainEvent
from domain.orders.order import OrderConfirmed, OrderPlaced, PlacedLine
from domain.registry import CATALOGUE
from eventstore.log.codec import Codec
from eventstore.postgres.ownership import Ownership
from projections.engine.follow import follow
from projections.engine.lag import lag
from projections.engine.projection import Projection
from projections.engine.runner import FOLDING, Runner
from projections.registry import PROJECTIONS, named
from tests.integration.projections.filling import LOG, Filler, a_life, projector
from tests.support.postgres import Database
from tests.support.waiting import wait_until

NAMES = [projection.name for projection in PROJECTIONS]
ORDERS = named(["orders"])[0]


class OrderNoted(DomainEvent, frozen=True):
    """An event of the newer version."""


def newer_codec(filler: Filler) -> Codec:
    """The codec of the newer version."""
    return Codec((*CATALOGUE, EventType("order.noted.v1", OrderNoted)), filler.sealer, ERASED, UNREADABLE)


def newer_projections() -> tuple[Projection, ...]:
    """The projections of the newer version. The tables of orders have the same shape."""

    def fold(events: Sequence[Any]) -> Any:
        return ORDERS.fold([one for one in events if not isinstance(one.event, OrderNoted)])

    newer = replace(ORDERS, events=(*ORDERS.events, OrderNoted), fold=fold)
    return tuple(newer if projection.name == "orders" else projection for projection in PROJECTIONS)


def write(filler: Filler, *events: DomainEvent, type: str, stream: str, encoding: int = 0) -> int:
    """Write a unit that ends with an event of this type. Returns its position. Nobody sees it with another type."""
    with filler.connection.transaction():
        filler.write([*events, OrderConfirmed(stream, 1)])
        filler.connection.execute(
            "UPDATE log.events SET type = %s, payload = '{}', encoding = %s WHERE log = %s AND position = %s",
            (type, encoding, filler.log, filler.position),
        )
    return filler.position


def placed(order: str) -> OrderPlaced:
    """A new order."""
    return OrderPlaced(order, 1, "customer-1", "EUR", (PlacedLine("ink", 1, 100),), ("Ink",), 100, None, {})


def positions(connection: Connection[Any]) -> dict[str, int]:
    return {one.projection: one.position for one in lag(connection, LOG, PROJECTIONS).projections}


def test_an_unknown_type_stops_those_that_fold_its_stream_and_the_newer_version_goes_on(
    filler: Filler, connection: Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = filler.write(*a_life(filler, seed=1, units=60))
    newer = write(filler, placed("ord_x"), type="order.noted.v1", stream="ord_x")
    filler.write(*a_life(filler, seed=2, units=60))
    older = Runner(connection, LOG, filler.codec, PROJECTIONS)
    older.run_to_head()
    sentence = (
        f"at position {newer}, order.noted.v1 on ord_x: this version of Daybook does not know the type; start a "
        "projector of the newer version that wrote it"
    )
    assert older.stopped == {"orders": sentence}
    assert older.overtaken == {"orders"}
    assert f"projection orders stopped {sentence}" in caplog.text
    assert positions(connection) == {name: before if name == "orders" else filler.position for name in NAMES}
    found = {one.projection: one.stopped for one in lag(connection, LOG, PROJECTIONS).projections}
    assert found == {name: sentence if name == "orders" else None for name in NAMES}
    assert filler.verify().rows_ok, "no unit is folded in part"

    Runner(connection, LOG, newer_codec(filler), newer_projections()).run_to_head()
    assert set(positions(connection).values()) == {filler.position}
    assert lag(connection, LOG, PROJECTIONS).stopped == ()
    last = filler.write(*a_life(filler, seed=3, units=60))
    older.run_to_head()
    assert (older.stopped, older.overtaken) == ({}, set())
    assert set(positions(connection).values()) == {last}, "behind the newer one it goes on"


@pytest.mark.parametrize(
    ("type", "stream", "stopped"),
    [
        (
            "transaction.tagged.v1",
            "txn_x",
            {"accounts", "movements", "transactions", "holds", "processes", "trial_balance", "entries"},
        ),
        (
            "account.tagged.v1",
            "acct_x",
            {
                "accounts",
                "chart",
                "account_persons",
                "limit_usage",
                "holds",
                "risk_assessments",
                "trial_balance",
                "processes",
            },
        ),
        ("post.tagged.v1", "post_x", {"posts", "processes"}),
        ("voucher.issued.v1", "vch_x", set()),
    ],
)
def test_the_prefix_of_the_stream_says_who_stops(
    filler: Filler, connection: Connection[Any], type: str, stream: str, stopped: set[str]
) -> None:
    write(filler, type=type, stream=stream)
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert set(runner.stopped) == stopped


def test_opaque_events_of_the_library_stop_nothing(filler: Filler, connection: Connection[Any]) -> None:
    write(filler, type="shop:Basket.Filled", stream="ord_x", encoding=1)
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert not runner.stopped
    write(filler, type="shop:Basket.Filled", stream="ord_x", encoding=2)
    runner.run_to_head()
    assert set(runner.stopped) == {"orders"}, "of another encoding nothing is known"


def test_a_rebuild_by_the_older_version_keeps_the_tables_that_the_newer_one_made(
    filler: Filler, connection: Connection[Any]
) -> None:
    filler.write(*a_life(filler, seed=4, units=30))
    newer = write(filler, placed("ord_x"), type="order.noted.v1", stream="ord_x")
    filler.write(*a_life(filler, seed=5, units=30))
    Runner(connection, LOG, newer_codec(filler), newer_projections()).run_to_head()
    count = "SELECT count(*) FROM read.orders"
    rows = filler.connection.execute(count).fetchone()
    report = filler.rebuild(connection)
    assert not report.ok
    assert set(report.kept) == {"orders"}
    assert f"at position {newer}, order.noted.v1 on ord_x: this version of Daybook" in report.kept["orders"]
    assert filler.connection.execute(count).fetchone() == rows


def test_a_rebuild_by_the_older_version_stops_at_the_event(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=6, units=30))
    newer = write(filler, placed("ord_x"), type="order.noted.v1", stream="ord_x")
    report = filler.rebuild(connection)
    assert not report.ok
    assert set(report.stopped) == {"orders"}
    assert f"at position {newer}, order.noted.v1 on ord_x" in report.stopped["orders"]


@contextmanager
def following(
    database: Database, codec: Codec, projections: Sequence[Projection], ended: list[BaseException]
) -> Iterator[None]:
    """A worker in a thread of its own. `ended` gets the error that ends it."""
    stop = Event()

    def work() -> None:
        try:
            follow(lambda: projector(database), lambda connection, log_number: codec, LOG, projections, stop)
        except BaseException as error:
            ended.append(error)

    worker = Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


@pytest.mark.parametrize("alone", [False, True], ids=["with others", "alone"])
def test_a_newer_projector_takes_over_from_a_running_older_one(
    database: Database, filler: Filler, connection: Connection[Any], alone: bool
) -> None:
    """The older one lets go of the projection, and has it back if the newer one ends."""
    projections = (ORDERS,) if alone else PROJECTIONS
    names = [projection.name for projection in projections]

    def at_head() -> bool:
        found = positions(connection)
        return all(found[name] == filler.position for name in names)

    ended: list[BaseException] = []
    with following(database, filler.codec, projections, ended):
        filler.write(*a_life(filler, seed=7, units=30))
        wait_until(at_head, "the head")
        write(filler, placed("ord_x"), type="order.noted.v1", stream="ord_x")
        wait_until(lambda: lag(connection, LOG, projections).stopped == ("orders",), "the stop")
        with following(database, newer_codec(filler), newer_projections(), ended):
            wait_until(at_head, "the head, by the newer one")
            assert lag(connection, LOG, projections).stopped == ()
        filler.write(*a_life(filler, seed=8, units=30))
        wait_until(at_head, "the head, by the older one")
    assert ended == []


def test_a_projector_does_not_ask_again_for_what_it_let_go(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    ended: list[BaseException] = []
    with following(database, filler.codec, PROJECTIONS, ended), projector(database) as newer:
        write(filler, placed("ord_x"), type="order.noted.v1", stream="ord_x")
        # Before the stop the lock may be free because the worker has not yet taken it.
        wait_until(lambda: lag(connection, LOG, PROJECTIONS).stopped == ("orders",), "the stop")
        ownership = Ownership(newer, FOLDING, filler.log, ["orders"])
        wait_until(lambda: ownership.acquire() == {"orders"}, "the end of its ownership")
        for seed in range(5):
            ownership.release(["orders"])
            filler.write(*a_life(filler, seed=seed, units=5))
            wait_until(lambda: positions(connection)["posts"] == filler.position, "its turns")
            assert ownership.acquire() == {"orders"}
    assert ended == []


def test_a_projector_leaves_tables_that_a_newer_version_rebuilt_and_folds_the_others_on(
    database: Database, filler: Filler, connection: Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    another_shape = replace(ORDERS, version=ORDERS.version + 1)
    ended: list[BaseException] = []
    with following(database, filler.codec, PROJECTIONS, ended):
        before = filler.write(*a_life(filler, seed=9, units=30))
        wait_until(lambda: set(positions(connection).values()) == {before}, "the head")
        with projector(database) as own:
            assert filler.rebuild(own, [another_shape]).ok
        wait_until(lambda: "leaves them to the newer version" in caplog.text, "the end of orders")
        filler.write(*a_life(filler, seed=10, units=30))
        expected = {name: before if name == "orders" else filler.position for name in NAMES}
        wait_until(lambda: positions(connection) == expected, "the head of the others")
    assert ended == []
