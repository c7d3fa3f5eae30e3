"""The table of holds, with any size of pages: against a fold of one event after the other."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from psycopg import Connection

from domain.accounts.account.events import HoldCaptured, HoldExpired, HoldPartlyCaptured, HoldPlaced, HoldReleased
from domain.accounts.account.holds import of_transaction
from domain.accounts.posting import TransactionPosted
from domain.kernel import Accepted, Event
from projections.accounts.holds import hold, holds
from projections.engine.listing import MOST_ROWS
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, transfer
from tests.integration.projections.test_pure_folds import recorded
from tests.samples.accounts import account, transaction


def a_life_of_accounts(filler: Filler, seed: int, units: int) -> list[list[Event]]:
    """Units of a random history of accounts and transactions. They are not written."""
    ledger, chance = filler.ledger, Random(seed)
    lives = account.life, transaction.life
    done: list[list[Event]] = []
    while len(done) < units:
        decision = ledger.execute_by(chance.choice(lives)(ledger, chance))
        if isinstance(decision, Accepted):
            done.append(list(decision.events))
    return done


def expected(connection: Connection[Any], filler: Filler) -> dict[tuple[str, str], tuple[str, int, int, str | None]]:
    """Status, captured, remaining and transaction of each hold, by hold and account."""
    log = [one.event for one in recorded(connection, filler)]
    taken = {one.originator_id: one.entries[0].amount for one in log if isinstance(one, TransactionPosted)}
    rows: dict[tuple[str, str], tuple[str, int, int, str | None]] = {}
    for event in log:
        match event:
            case HoldPlaced():
                of = event.hold if of_transaction(event.hold) else None
                rows[event.hold, event.originator_id] = ("open", 0, event.amount, of)
            case HoldPartlyCaptured():
                _, captured, remaining, _ = rows[event.hold, event.originator_id]
                now = "open", captured + event.amount, remaining - event.amount, event.transaction
                rows[event.hold, event.originator_id] = now
            case HoldCaptured():
                whole = event.hold == event.transaction
                captured = rows[event.hold, event.originator_id][1]
                captured += event.amount if whole else taken[event.transaction]
                rows[event.hold, event.originator_id] = ("captured", captured, 0, event.transaction)
            case HoldReleased() | HoldExpired():
                _, captured, _, transaction = rows[event.hold, event.originator_id]
                status = "released" if isinstance(event, HoldReleased) else "expired"
                rows[event.hold, event.originator_id] = (status, captured, 0, transaction)
    return rows


@pytest.mark.parametrize("page", [1, 40, 64_000])
def test_a_hold_is_what_its_events_say(filler: Filler, connection: Connection[Any], page: int) -> None:
    filler.write(*a_life_of_accounts(filler, seed=21, units=500))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
    runner.run_to_head()
    assert not runner.stopped
    wanted = expected(connection, filler)
    found = holds(connection, limit=MOST_ROWS).items
    rows = {(one.hold, one.account): (one.status, one.captured, one.remaining, one.transaction) for one in found}
    assert rows == wanted
    assert {status for status, *_ in wanted.values()} == {"open", "captured", "released", "expired"}
    assert any(captured > 0 for status, captured, *_ in wanted.values() if status == "open")
    assert all((one.ended_at is None) == (one.status == "open") for one in found)


@pytest.mark.parametrize("page", [1, 64_000])
def test_a_pending_transaction_holds_on_several_accounts(
    filler: Filler, connection: Connection[Any], page: int
) -> None:
    one, other = filler.opening(), filler.opening()
    ids = one.originator_id, other.originator_id
    placed = HoldPlaced(ids[0], 2, "txn_9", 100, "EUR", None, {}, None)
    filler.write([one], [other])
    filler.write([placed, replace(placed, originator_id=ids[1], amount=50)])
    filler.write([HoldReleased(ids[0], 3, "txn_9", 100, "EUR")])
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
    runner.run_to_head()
    assert not runner.stopped
    rows = {row.account: (row.status, row.remaining, row.transaction) for row in holds(connection).items}
    assert rows == {ids[0]: ("released", 0, "txn_9"), ids[1]: ("open", 50, "txn_9")}
    both = [hold(connection, "txn_9"), hold(connection, "txn_9", account=ids[1])]
    assert [row and row.account for row in both] == [ids[0], ids[1]]


@pytest.mark.parametrize("page", [1, 64_000])
def test_an_id_that_is_used_again_is_a_new_hold(filler: Filler, connection: Connection[Any], page: int) -> None:
    opened = filler.opening()
    placed = HoldPlaced(opened.originator_id, 2, "hold_9", 100, "EUR", None, {}, None)
    filler.write([opened], [placed], [HoldReleased(opened.originator_id, 3, "hold_9", 100, "EUR")])
    filler.write([replace(placed, amount=70, reference="again")])
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
    runner.run_to_head()
    [row] = holds(connection).items
    assert (row.status, row.amount, row.remaining, row.reference, row.ended_at) == ("open", 70, 70, "again", None)


def test_a_hold_that_was_never_placed_stops_the_projection(filler: Filler, connection: Connection[Any]) -> None:
    opened = filler.opening()
    filler.write([opened], [HoldReleased(opened.originator_id, 2, "hold_9", 100, "EUR")])
    filler.write(transfer("txn_1", opened.originator_id, opened.originator_id, 1))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert "1 holds were never placed, among them hold_9" in runner.errors["holds"]
