"""What `daybook verify` finds in the stored events of transfer orders: each forgery, beside a history that is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured, HoldPartlyCaptured, HoldPlaced, HoldReleased
from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.allocation import Fee
from domain.accounts.currencies.conversion_events import ConversionMade
from domain.accounts.fee_schedule import DefineFeeSchedule
from domain.accounts.transfer_order import CancelTransferOrder, ExecuteTransferOrder, Sum
from domain.accounts.transfer_order.events import (
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
    TransferOrderSubmitted,
)
from domain.kernel import Event
from tests.samples.accounts.transfer_order import CONVERTING, EXECUTE, GIVEN, RUNNER, order
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, By, MemoryLedger

HOUR = timedelta(hours=1)
Forge = Callable[[list[Event]], Sequence[Event]]
FEE = DefineFeeSchedule("wire", "EUR", Fee(5))


def found(given: Sequence[Any], command: Any, forge: Forge) -> list[str]:
    """What is found in the unit of the last command, after `forge` changed its events."""
    ledger = MemoryLedger()
    ledger.open_internal()
    for one in given:
        ledger.execute_by(one)
    decided = replace(ledger.decided, decided_at=(command.at if isinstance(command, By) else None) or NOW)
    states, start = dict(ledger.states), len(ledger.log)
    ledger.execute_by(command)
    unit = list(ledger.log[start:])
    assert broken({one.originator_id: states.get(one.originator_id) for one in unit}, unit, decided) == []
    forged = list(forge(unit))
    try:
        before = {one.originator_id: states.get(one.originator_id) for one in forged}
        return [what for _, what in broken(before, forged, decided)]
    except ValueError as error:  # the fold refuses it
        return [str(error)]


def changed(kind: type, **values: Any) -> Forge:
    """Another value in the event of this kind."""
    return lambda unit: [replace(one, **values) if isinstance(one, kind) else one for one in unit]


def without(kind: type) -> Forge:
    """The unit without the event of this kind."""
    return lambda unit: [one for one in unit if not isinstance(one, kind)]


SUBMIT = order(fee_schedule="wire")
WAITS = (*GIVEN, FEE, SUBMIT)
DOLLARS = (*CONVERTING, order(target="acct_usd", bound=Sum(110, "USD")))
FROZEN = (*GIVEN, order(), FreezeAccount("acct_b", "why"))
PAUSES = (timedelta(), timedelta(minutes=1), timedelta(minutes=11))
LAST = timedelta(minutes=71)


def execute(after: timedelta) -> By:
    return By(RUNNER, ExecuteTransferOrder("tord_1"), NOW + after)


FAILING = (*FROZEN, *(execute(pause) for pause in PAUSES))
EXPIRING = (*GIVEN, order(expires_at=NOW + HOUR))


@pytest.mark.parametrize(
    ("given", "command", "forge", "what"),
    [
        (GIVEN, order(), changed(TransferOrderSubmitted, currency="EEE"), "no currency"),
        (GIVEN, order(), changed(TransferOrderSubmitted, target="acct_a"), "to itself"),
        (GIVEN, order(), changed(TransferOrderSubmitted, bound=Sum(1, "EUR")), "the rules refuse it"),
        (GIVEN, order(), changed(TransferOrderSubmitted, execute_at=NOW), "the rules refuse it"),
        (GIVEN, order(), changed(TransferOrderSubmitted, held=99), "pays 100 at most"),
        (GIVEN, order(), changed(HoldPlaced, amount=99), "does not hold 100"),
        (GIVEN, order(), without(HoldPlaced), "does not hold 100"),
        (GIVEN, order(), without(TransferOrderSubmitted), "does not submit"),
        (WAITS, EXECUTE, changed(TransferOrderExecuted, transaction="txn_x"), "not its own"),
        (WAITS, EXECUTE, changed(TransferOrderExecuted, fee=None), "another fee"),
        (WAITS, EXECUTE, changed(TransferOrderExecuted, paid=Sum(99, "EUR")), "does not order"),
        (WAITS, EXECUTE, without(TransferOrderExecuted), "does not execute the order by it"),
        (WAITS, EXECUTE, without(HoldCaptured), "does not end its hold by HoldCaptured"),
        (WAITS, EXECUTE, changed(HoldPartlyCaptured, transaction="txn_x"), "does not execute the order by it"),
        (DOLLARS, EXECUTE, changed(TransferOrderExecuted, received=Sum(109, "USD")), "does not order"),
        (DOLLARS, EXECUTE, changed(TransferOrderExecuted, received=Sum(111, "USD")), "does not post"),
        (DOLLARS, EXECUTE, changed(ConversionMade, target="acct_a"), "does not make for it"),
        (FROZEN, EXECUTE, changed(TransferOrderDelayed, tries=2), "after 0"),
        (FROZEN, EXECUTE, changed(TransferOrderDelayed, retry_at=NOW + HOUR), "after 0"),
        (FAILING, execute(LAST), changed(TransferOrderFailed, released=99), "releases 99"),
        (FAILING, execute(LAST), changed(TransferOrderFailed, tries=3), "after 3"),
        (FAILING, execute(LAST), without(HoldReleased), "does not end its hold by HoldReleased"),
        (FAILING, execute(LAST), without(TransferOrderFailed), "does not end so"),
        (EXPIRING, execute(HOUR), without(HoldReleased), "does not end its hold by HoldReleased"),
        (EXPIRING, execute(HOUR), without(TransferOrderExpired), "does not end so"),
        ((*GIVEN, order()), CancelTransferOrder("tord_1"), without(HoldReleased), "does not end its hold"),
        ((*GIVEN, order()), CancelTransferOrder("tord_1"), changed(TransferOrderCancelled, released=1), "releases 1"),
    ],
)
def test_a_forgery_is_found(given: Sequence[Any], command: Any, forge: Forge, what: str) -> None:
    sentences = found(given, command, forge)
    assert any(what in one for one in sentences), sentences


def test_an_order_that_ended_does_not_end_again() -> None:
    ledger = MemoryLedger()
    for one in (*GIVEN, order(), CancelTransferOrder("tord_1")):
        ledger.accepted(one)
    again = TransferOrderExpired("tord_1", 3, 100, "EUR", ())
    findings = broken({"tord_1": ledger.states["tord_1"]}, [again], ledger.decided)
    assert any("is cancelled" in what for _, what in findings), findings


def test_an_order_does_not_expire_before_its_time() -> None:
    ledger = MemoryLedger()
    for one in EXPIRING:
        ledger.accepted(one)
    early = TransferOrderExpired("tord_1", 2, 100, "EUR", ())
    findings = broken({"tord_1": ledger.states["tord_1"]}, [early], ledger.decided)
    assert any("its time is over at" in what for _, what in findings), findings


def test_an_order_is_not_tried_before_its_time_or_after_its_end() -> None:
    ledger = MemoryLedger()
    for one in (*GIVEN, order(execute_at=NOW + HOUR, expires_at=NOW + 2 * HOUR)):
        ledger.accepted(one)
    early = TransferOrderDelayed("tord_1", 2, 1, "account_frozen", {}, NOW + timedelta(minutes=1))
    findings = broken({"tord_1": ledger.states["tord_1"]}, [early], ledger.decided)
    assert any("the rules refuse it" in what for _, what in findings), findings
    late = NOW + 2 * HOUR
    at_the_end = replace(early, retry_at=late + timedelta(minutes=1))
    decided = replace(ledger.decided, decided_at=late)
    findings = broken({"tord_1": ledger.states["tord_1"]}, [at_the_end], decided)
    assert any("expired at" in what for _, what in findings), findings
