"""Settlements without a database: what a payout books, and what forged events are found to be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.settlement import agreement, settlement
from domain.accounts.settlement.agreement import (
    ChangeSettlementTerms,
    DaySettled,
    SettlementAgreed,
    SettlementAgreement,
    SettlementEnded,
    SettlementPaused,
    SettlementRenewed,
    SettlementResumed,
    SettlementTermsChanged,
    agreement_stream,
)
from domain.accounts.settlement.events import Basis, SettlementCalculated, SettlementFailed, SettlementPaid
from domain.accounts.settlement.settlement import PaySettlement, Settlement, settlement_id
from domain.accounts.transaction.check import check as check_transaction
from domain.aggregate import Decided
from domain.kernel import Event
from domain.registry import check_unit
from tests.samples.accounts.settlement import BEFORE, DUE, PAY
from tests.samples.accounts.settlement_agreement import AGREED, BANK, SHOP, YESTERDAY, calculate
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger, opening

FEES = internal_account("main", "fees", "EUR")


def ledger_with(*commands: Any) -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    for command in commands:
        ledger.accepted(command)
    return ledger


def test_a_payout_moves_the_net_amount_and_books_the_fee_at_once() -> None:
    ledger = ledger_with(*DUE, PAY)
    [posted] = [one for one in ledger.log if isinstance(one, TransactionPosted) and one.kind == "settlement"]
    assert posted.entries == (
        Entry(SHOP, "debit", 10_000, "EUR"),
        Entry(BANK, "credit", 9_750, "EUR"),
        Entry(FEES, "credit", 250, "EUR"),
    )
    assert (posted.reference, posted.value_date) == (PAY.settlement, TODAY)
    ledger.check()


def test_fees_are_rounded_half_to_even() -> None:
    assert [settlement.fee_on(payments, 25_000) for payments in (20, 60, 61, 10_001)] == [0, 2, 2, 250]


def test_a_payout_needs_no_second_person_and_uses_no_limit() -> None:
    ledger = ledger_with(*DUE, ChangePostingPolicy(None, approve_above={"EUR": 0}))
    ledger.accepted(PAY)


def test_a_payout_that_is_refused_says_so_and_goes_to_the_account_that_the_agreement_has_then() -> None:
    ledger = ledger_with(*DUE, opening(account="acct_other"), FreezeAccount(BANK, "a court order"))
    assert ledger.refused(PAY).rule == "account_frozen"
    state = ledger[PAY.settlement]
    assert isinstance(state, Settlement)
    assert state.status == "failed"
    ledger.accepted(ChangeSettlementTerms(SHOP, "acct_other", 25_000))
    ledger.accepted(PAY)
    assert (ledger["acct_other"].balance, ledger[BANK].balance) == (9_750, 0)


def test_the_fee_is_the_one_of_the_day_that_is_calculated() -> None:
    ledger = ledger_with(*DUE, ChangeSettlementTerms(SHOP, BANK, 0), calculate(10_000, after=10))
    made = [one for one in ledger.log if isinstance(one, SettlementCalculated)]
    assert [one.fee for one in made] == [250, 0]
    ledger.accepted(PAY)
    ledger.accepted(PaySettlement(settlement_id(SHOP, YESTERDAY), SHOP, "txn_2"))
    assert (ledger[BANK].balance, ledger[FEES].balance) == (19_750, 250)


# What `verify` finds in the stream of an agreement

DECIDED = Decided(NOW, 1, "main")
STREAM = agreement_stream(SHOP)
ACTIVE = SettlementAgreement(3, SHOP, "EUR", BANK, 25_000, BEFORE, YESTERDAY, until=10, gross=-5, fee=2)
PAUSED, ENDED = replace(ACTIVE, paused=True), replace(ACTIVE, last_day=BEFORE)
BASIS = Basis(BEFORE, 10, 25_000, -5, 2)
ID = settlement_id(SHOP, YESTERDAY)
SETTLED = DaySettled(STREAM, 4, YESTERDAY, ID, BASIS, 20, 0, 0)
AGREED_ON = SettlementAgreed(STREAM, 1, SHOP, "EUR", BANK, 25_000, YESTERDAY)
RESUMED = SettlementResumed(STREAM, 4, SHOP, BEFORE, YESTERDAY, None, 10)
RENEWED = SettlementRenewed(STREAM, 4, SHOP, BANK, 25_000, YESTERDAY, 10)


@pytest.mark.parametrize(
    ("before", "event", "what"),
    [
        (None, AGREED_ON, None),
        (ACTIVE, SETTLED, None),
        (ACTIVE, replace(SETTLED, gross=-1, fee=0), None),
        (PAUSED, RESUMED, None),
        (ENDED, RENEWED, None),
        (None, replace(AGREED_ON, originator_id="settlement-agreement:other"), "is not the stream of the agreement"),
        (None, replace(AGREED_ON, fee_rate=1_000_000), "from 0 to 999999 millionths"),
        (None, replace(AGREED_ON, starts_on=TODAY - timedelta(days=32)), "can begin from 2026-10-21"),
        (ACTIVE, RENEWED, "is settled already, next for 2026-11-20"),
        (ENDED, replace(RENEWED, after=9), "goes on with another account, day or position"),
        (ENDED, replace(RENEWED, account=BANK), "goes on with another account, day or position"),
        (ENDED, replace(RENEWED, starts_on=BEFORE), "can begin from 2026-11-20"),
        (PAUSED, replace(RESUMED, after=9), "goes on with another account, day or position"),
        (PAUSED, replace(RESUMED, next_day=TODAY), "goes on with another account, day or position"),
        (ACTIVE, RESUMED, "only one that is paused can be resumed"),
        (PAUSED, SettlementPaused(STREAM, 4), "only one that is active can be paused"),
        (ACTIVE, SettlementTermsChanged(STREAM, 4, BANK, 25_000), "already are what they would be changed to"),
        (ACTIVE, SettlementTermsChanged(STREAM, 4, BANK, -1), "from 0 to 999999 millionths"),
        (ACTIVE, SettlementEnded(STREAM, 4, BEFORE - timedelta(days=1)), "cannot end on 2026-11-18"),
        (ENDED, SettlementEnded(STREAM, 4, TODAY), "only one that is active or paused can be ended"),
        (PAUSED, SETTLED, "only one that is active can be settled"),
        (ENDED, SETTLED, "only one that is active can be settled"),
        (ACTIVE, replace(SETTLED, day=TODAY), "is settled for 2026-11-21, and its next day is 2026-11-20"),
        (ACTIVE, replace(SETTLED, basis=replace(BASIS, after=11)), "on another basis than its agreement has"),
        (ACTIVE, replace(SETTLED, until=9), "is settled up to position 9, after 10"),
        (ACTIVE, replace(SETTLED, gross=2, fee=2), "2 less 2 is carried over on acct_shop, which is due"),
    ],
)
def test_the_events_of_an_agreement_are_held_to_the_rules(
    before: SettlementAgreement | None, event: Any, what: str | None
) -> None:
    found = [one.what for one in agreement.check(before, [event], DECIDED)]
    assert found == [] if what is None else len(found) == 1 and what in found[0], found


# What it finds in that of a settlement

CALCULATED = SettlementCalculated(ID, 1, SHOP, "EUR", YESTERDAY, BASIS, 20, 2, 1_000, 30, 25)
STATE = Settlement(1, ID, SHOP, "EUR", YESTERDAY, 965, 27, "due")
PAID = SettlementPaid(ID, 2, "txn_1", SHOP, BANK, "EUR", 965, 27)
FAILED = SettlementFailed(ID, 2, "account_frozen")


@pytest.mark.parametrize(
    ("before", "event", "what"),
    [
        (None, CALCULATED, None),
        (STATE, PAID, None),
        (STATE, FAILED, None),
        (replace(STATE, status="failed"), PAID, None),
        (STATE, replace(CALCULATED, originator_version=2), "is calculated again"),
        (None, replace(CALCULATED, day=BEFORE), "is not the settlement of acct_shop for 2026-11-19"),
        (None, replace(CALCULATED, currency="XXX"), "is no currency"),
        (None, replace(CALCULATED, day=TODAY, originator_id=settlement_id(SHOP, TODAY)), "it is settled after it"),
        (None, replace(CALCULATED, refunds=-1), "has a negative sum, or ends before it begins"),
        (None, replace(CALCULATED, until=9), "has a negative sum, or ends before it begins"),
        (None, replace(CALCULATED, fee=24), "has a fee of 24 minor units on 1000 at 25000 millionths"),
        (replace(STATE, status="paid"), FAILED, "only one that is due or failed is paid out"),
        (replace(STATE, status="carried"), PAID, "only one that is due or failed is paid out"),
        (STATE, replace(PAID, gross=966), "is paid out with other amounts than it has due"),
        (STATE, replace(PAID, fee=26), "is paid out with other amounts than it has due"),
        (STATE, replace(PAID, account=BANK), "is paid out with other amounts than it has due"),
    ],
)
def test_the_events_of_a_settlement_are_held_to_the_rules(
    before: Settlement | None, event: Any, what: str | None
) -> None:
    found = [one.what for one in settlement.check(before, [event], DECIDED)]
    assert found == [] if what is None else len(found) == 1 and what in found[0], found


# What stands beside others

ENTRIES = (Entry(SHOP, "debit", 965, "EUR"), Entry(BANK, "credit", 938, "EUR"), Entry(FEES, "credit", 27, "EUR"))
POSTED = TransactionPosted("txn_1", 1, "settlement", TODAY, ENTRIES, ID, None, None)


@pytest.mark.parametrize(
    ("event", "beside", "is_right"),
    [
        (CALCULATED, SETTLED, True),
        (CALCULATED, replace(SETTLED, until=21), False),
        (CALCULATED, replace(SETTLED, basis=replace(BASIS, fee=3)), False),
        (CALCULATED, replace(SETTLED, gross=-1), False),
        (CALCULATED, replace(SETTLED, originator_id="settlement-agreement:other"), False),
        (replace(CALCULATED, refunds=1_000), replace(SETTLED, gross=-5, fee=27), True),
        (SETTLED, CALCULATED, True),
        (SETTLED, FAILED, False),
        (PAID, POSTED, True),
        (PAID, replace(POSTED, kind="journal"), False),
        (PAID, replace(POSTED, reference=None), False),
        (PAID, replace(POSTED, originator_id="txn_2"), False),
        (PAID, replace(POSTED, entries=ENTRIES[::-1]), False),
    ],
)
def test_events_stand_beside_what_belongs_to_them(event: Event, beside: Event, is_right: bool) -> None:
    about = [one for one in check_unit((beside, event), DECIDED) if one.event is event]
    assert (about == []) is is_right


def test_a_transaction_of_the_kind_stands_beside_its_settlement() -> None:
    [broken] = check_transaction(None, [POSTED], DECIDED)
    assert "its unit pays out no settlement with it" in broken.what
    assert broken.is_right_beside(replace(PAID, originator_version=0))
    assert not broken.is_right_beside(replace(PAID, originator_version=0, transaction="txn_2"))
    assert not broken.is_right_beside(replace(PAID, originator_version=0, originator_id="stl_other"))
    [alone] = check_transaction(None, [replace(POSTED, reference=None)], DECIDED)
    assert not alone.is_right_beside(PAID)


def test_an_agreement_begins_with_its_own_event() -> None:
    with pytest.raises(ValueError, match="begins with SettlementPaused"):
        agreement.evolve(None, SettlementPaused(STREAM, 1))
    with pytest.raises(ValueError, match="begins with SettlementFailed"):
        settlement.evolve(None, FAILED)
    assert ledger_with(*AGREED)[STREAM].status == "active"
