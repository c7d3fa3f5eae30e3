"""With any size of pages the tables are the same, and the books balance at every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from projections.accounts.trial_balance.queries import trial_balance
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life, projector
from tests.support.postgres import Database

Tables = dict[str, list[tuple[str]]]


def tables(connection: Connection[Any]) -> Tables:
    """Every row of every table, as text."""
    return {
        table: connection.execute(f"SELECT t::text FROM read.{table} t ORDER BY 1".encode()).fetchall()
        for projection in PROJECTIONS
        for table in projection.tables
    }


def unit_ends(units: Sequence[Sequence[object]]) -> set[int]:
    """Positions at which a unit ends."""
    ends, position = {0}, 0
    for unit in units:
        position += len(unit)
        ends.add(position)
    return ends


def test_pages_of_every_size_give_the_same_tables_and_balance_at_every_checkpoint(
    filler: Filler, connection: Connection[Any]
) -> None:
    units = a_life(filler, seed=5, units=1_200)
    filler.write(*units)
    ends = unit_ends(units)
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    whole = tables(connection)
    assert all(whole.values()), "every table has rows"

    for page in range(1, 11):
        filler.empty()
        runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
        while runner.step():
            positions = set(runner.positions.values())
            assert len(positions) == 1, "the projections share their pages"
            assert positions <= ends
            assert trial_balance(connection, LOG).balanced
        assert runner.positions == {projection.name: filler.position for projection in PROJECTIONS}
        assert tables(connection) == whole, f"pages of {page}"


def test_reading_ahead_changes_nothing(database: Database, filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=8, units=1_500))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    whole = tables(connection)
    filler.empty()
    with projector(database) as ahead:
        Runner(connection, LOG, filler.codec, PROJECTIONS, ahead=ahead, page=100).run_to_head()
    assert tables(connection) == whole


def test_projections_at_different_positions_meet(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=9, units=100))
    first = Runner(connection, LOG, filler.codec, PROJECTIONS[:2], page=20)
    first.step()
    apart = first.positions["accounts"]
    assert 0 < apart < filler.position
    together = Runner(connection, LOG, filler.codec, PROJECTIONS, page=filler.position)
    together.step()
    # Projections behind read up to the position of the others. Those ahead read one page.
    assert together.positions["orders"] == apart
    together.run_to_head()
    assert set(together.positions.values()) == {filler.position}


def test_a_projection_advances_over_events_that_it_does_not_fold(filler: Filler, connection: Connection[Any]) -> None:
    accounts = [filler.opening() for _ in range(30)]
    filler.write(*[[account] for account in accounts])
    orders = [projection for projection in PROJECTIONS if projection.name == "orders"]
    runner = Runner(connection, LOG, filler.codec, orders, page=10)
    assert runner.step() == 10
    runner.run_to_head()
    assert runner.positions == {"orders": 30}


def test_the_fold_of_an_empty_log_does_nothing(filler: Filler, connection: Connection[Any]) -> None:
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    assert runner.step() == 0
    assert trial_balance(connection, LOG).lines == ()
