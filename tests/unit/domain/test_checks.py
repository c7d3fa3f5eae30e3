"""Each check of an aggregate: what it finds just outside of a rule, and that it finds nothing just inside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain import registry
from domain.accounts.account.events import (
    AccountClosed,
    AccountDetailsChanged,
    AccountFrozen,
    AccountMetadataChanged,
    AccountReopened,
    AccountUnfrozen,
    HoldCaptured,
    HoldPartlyCaptured,
    HoldReleased,
)
from domain.accounts.account.holds import MOST_HOLDS, PlaceHold
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.transaction import CaptureHold, Deposit, PostTransaction, Transfer
from domain.accounts.transaction.conditions import Conditioned, reference_claim
from domain.aggregate import Broken, Decided, EventType
from domain.claims import ClaimReleased, ClaimTaken
from domain.kernel import RULES_VERSION, Accepted, Event
from domain.money import MAX_AMOUNT
from domain.orders.order import (
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    PayOrder,
    PlaceOrder,
)
from domain.posts.post import (
    ArchivePost,
    DeletePost,
    DraftPost,
    PostArchived,
    PostDeleted,
    PostDrafted,
    PostPublished,
    PostRestored,
    PostRevised,
    PublishPost,
)
from domain.together import Together
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, OPENED, TODAY, MemoryLedger, opening

CASH, REVENUE = internal_account("main", "cash", "EUR"), internal_account("main", "revenue", "EUR")
A, B = "acct_a", "acct_b"
CLAIM = "claim:slug:a-name"


def ledger(*commands: Any) -> MemoryLedger:
    """The internal accounts, and what these commands do."""
    made = MemoryLedger()
    made.open_internal()
    for command in commands:
        made.accepted(command)
    return made


def found(given: MemoryLedger, *unit: Event, rules: int = RULES_VERSION) -> list[str]:
    """What is wrong with these events if they follow in one unit. Their versions are made right."""
    versions: dict[str, int] = {}
    numbered = []
    for event in unit:
        stream = event.originator_id
        before = given.states.get(stream)
        versions[stream] = versions.get(stream, before.version if before else 0) + 1
        numbered.append(replace(event, originator_version=versions[stream]))
    return [what for _, what in broken(given.states, numbered, replace(given.decided, rules=rules))]


def of_streams(given: MemoryLedger, *unit: Event, rules: int = RULES_VERSION) -> list[str]:
    """The same without the rules beside other events of the unit."""
    beside = [one.what for one in registry.check_unit(unit, given.decided)]
    return [what for what in found(given, *unit, rules=rules) if what not in beside]


def credit(amount: int = 1, currency: str = "EUR", days: int = 0, txn: str = "txn_1", account: str = A) -> Event:
    return registry_event("account.credited.v1", account, txn, 1, amount, currency, TODAY + timedelta(days))


def debit(amount: int = 1, currency: str = "EUR", days: int = 0, txn: str = "txn_1", account: str = A) -> Event:
    return registry_event("account.debited.v1", account, txn, 1, amount, currency, TODAY + timedelta(days))


def registry_event(name: str, stream: str, *values: Any) -> Event:
    """A forged event, by its stored name."""
    entry: EventType = next(entry for entry in registry.CATALOGUE if entry.name == name)
    assert entry.event is not None
    return entry.event(stream, 0, *values)


# Accounts

RICH = (opening(account=A, minimum=100, maximum=1_000), Deposit("txn_a", A, 500, "EUR", TODAY))
HELD = (*RICH, PlaceHold(A, "hold_1", 100, "EUR"))


def test_a_debit_leaves_the_minimum_and_a_credit_the_maximum() -> None:
    rich = ledger(*RICH)
    assert found(rich, debit(400)) == []
    assert "would leave 0.99, below its minimum of 1.00" in found(rich, debit(401))[0]
    assert found(rich, credit(500)) == []
    assert "would make 10.01, above its maximum of 10.00" in found(rich, credit(501))[0]


def test_only_what_closes_the_account_takes_what_is_below_its_minimum() -> None:
    rich, closed = ledger(*RICH), AccountClosed(A, 0, "owner-1", "why")
    assert found(rich, debit(500), closed) == []
    assert found(rich, debit(300), debit(200), closed) == [], "in more than one entry"
    assert "below its minimum of 1.00" in found(rich, debit(500))[0]
    some_left = found(rich, debit(499), closed)
    assert "below its minimum of 1.00" in some_left[0]
    assert "has a balance of 0.01 EUR" in some_left[1]
    between = found(rich, debit(500), AccountDetailsChanged(A, 0, "owner-1", "Ada"), closed)
    assert [("below its minimum" in what) for what in between] == [True], "the closing comes right after it"


def test_the_entries_of_one_transaction_are_one_change() -> None:
    rich = ledger(*RICH)
    assert found(rich, debit(900), credit(500)) == []
    assert len(found(rich, debit(900, txn="txn_1"), credit(500, txn="txn_2"))) == 1
    assert len(found(rich, debit(900), debit(1, txn="txn_2"), credit(500, txn="txn_2"))) == 1


def test_what_is_reserved_counts_for_the_minimum_until_the_hold_ends() -> None:
    held = ledger(*HELD)
    assert found(held, debit(300)) == []
    assert len(found(held, debit(301))) == 1
    assert found(held, HoldReleased(A, 0, "hold_1", 100, "EUR"), debit(400)) == []


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1])
def test_an_entry_is_for_an_amount_within_its_bounds(amount: int) -> None:
    free = ledger(opening(account=A, minimum=None))
    assert f"is for {amount} minor units" in found(free, credit(amount))[0]
    assert found(free, credit(1)) == found(free, credit(MAX_AMOUNT)) == []


def test_an_entry_is_in_the_currency_of_its_account_and_not_before_its_opening() -> None:
    rich = ledger(*RICH)
    assert "is kept in EUR; the amount is in USD" in found(rich, credit(currency="USD"))[0]
    first = (OPENED - TODAY).days
    assert found(rich, credit(days=first)) == []
    assert "is before account acct_a was opened" in found(rich, credit(days=first - 1))[0]


def test_nothing_is_posted_to_an_account_that_is_frozen_or_closed() -> None:
    other = opening(account=B, minimum=None)
    assert "is frozen" in found(ledger(other, FreezeAccount(B, "why")), credit(account=B))[0]
    assert "is closed" in found(ledger(other, CloseAccount(B, "why")), credit(account=B))[0]
    frozen = ledger(other, FreezeAccount(B, "why"))
    assert found(frozen, AccountUnfrozen(B, 0, "owner-1", "why"), credit(account=B)) == []


@pytest.mark.parametrize(
    ("given", "event", "says"),
    [
        ((), AccountFrozen(A, 0, "owner-1", "why"), None),
        ((FreezeAccount(A, "why"),), AccountFrozen(A, 0, "owner-1", "why"), "is frozen"),
        ((), AccountFrozen(A, 0, "owner-2", "why"), "the owner of acct_a is owner-1, not owner-2"),
        ((), AccountUnfrozen(A, 0, "owner-1", "why"), "is not frozen"),
        ((FreezeAccount(A, "why"),), AccountUnfrozen(A, 0, "owner-1", "why"), None),
        ((), AccountClosed(A, 0, "owner-1", "why"), None),
        ((Deposit("txn_1", A, 1, "EUR", TODAY),), AccountClosed(A, 0, "owner-1", "why"), "has a balance of 0.01 EUR"),
        ((FreezeAccount(A, "why"),), AccountClosed(A, 0, "owner-1", "why"), "is frozen"),
        ((PlaceHold(A, "hold_1", 1, "EUR"),), AccountClosed(A, 0, "owner-1", "why"), "has 1 open holds"),
        ((CloseAccount(A, "why"),), AccountClosed(A, 0, "owner-1", "why"), "is closed"),
        ((CloseAccount(A, "why"),), AccountReopened(A, 0, "owner-1", "why"), None),
        ((CloseAccount(A, "why"),), AccountReopened(A, 0, "owner-2", "why"), "the owner of acct_a is owner-1"),
        ((), AccountReopened(A, 0, "owner-1", "why"), "is open, not closed"),
        ((FreezeAccount(A, "why"),), AccountReopened(A, 0, "owner-1", "why"), "is frozen, not closed"),
        ((FreezeAccount(A, "why"),), AccountDetailsChanged(A, 0, "owner-1", "Ada"), None),
        ((), AccountDetailsChanged(A, 0, "owner-2", "Ada"), "the owner of acct_a is owner-1"),
        ((CloseAccount(A, "why"),), AccountDetailsChanged(A, 0, "owner-1", "Ada"), "is closed"),
        ((), AccountMetadataChanged(A, 0, {"k": "v"}, ()), None),
        ((), AccountMetadataChanged(A, 0, {}, ()), "sets nothing and removes nothing"),
        ((), AccountMetadataChanged(A, 0, {"k": "two words"}, ()), "not a code"),
        ((), AccountMetadataChanged(A, 0, {}, ("k",)), "has no metadata k"),
        ((), AccountMetadataChanged(A, 0, {"k": "v"}, ("k",)), "sets and removes the metadata k"),
        ((), AccountMetadataChanged(A, 0, {f"k{n}": "v" for n in range(21)}, ()), "has 21 pairs"),
        ((CloseAccount(A, "why"),), AccountMetadataChanged(A, 0, {"k": "v"}, ()), "is closed"),
    ],
)
def test_an_account_changes_only_from_the_right_state(given: Sequence[Any], event: Event, says: str | None) -> None:
    judge(found(ledger(opening(account=A, minimum=None), *given), event), says)


def judge(sentences: list[str], says: str | None) -> None:
    """There is a finding with these words, or none at all."""
    assert sentences == [] if says is None else any(says in sentence for sentence in sentences), sentences


def placed(hold: str = "hold_2", amount: int = 1, currency: str = "EUR", account: str = A) -> Event:
    made = ledger(opening(account=A, minimum=None), PlaceHold(A, hold, 1, "EUR")).log[-1]
    return replace(made, originator_id=account, amount=amount, currency=currency)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (placed(amount=300), None),
        (placed(amount=301), "below its minimum"),
        (placed(amount=0), "a hold must be for 0.01 to"),
        (placed(amount=-1), "a hold must be for 0.01 to"),
        (placed(currency="USD"), "the amount is in USD"),
        (placed("hold_1"), "exists already"),
        (placed(account=CASH), "is an internal account"),
        (HoldReleased(A, 0, "hold_1", 100, "EUR"), None),
        (HoldReleased(A, 0, "hold_1", 99, "EUR"), "reserves 100 minor units of EUR, and 99 of EUR end"),
        (HoldReleased(A, 0, "hold_1", 100, "USD"), "and 100 of USD end"),
        (HoldReleased(A, 0, "hold_9", 100, "EUR"), "has no open hold hold_9"),
        (HoldCaptured(A, 0, "hold_9", 100, "EUR", "txn_1"), "has no open hold hold_9"),
        (HoldPartlyCaptured(A, 0, "hold_1", 99, "EUR", "txn_1"), None),
        (HoldPartlyCaptured(A, 0, "hold_1", 100, "EUR", "txn_1"), "a part of 100 EUR is captured"),
        (HoldPartlyCaptured(A, 0, "hold_1", 0, "EUR", "txn_1"), "a part of 0 EUR is captured"),
        (HoldPartlyCaptured(A, 0, "hold_1", 99, "USD", "txn_1"), "a part of 99 USD is captured"),
        (HoldPartlyCaptured(A, 0, "hold_9", 99, "EUR", "txn_1"), "has no open hold hold_9"),
    ],
)
def test_a_hold_is_placed_within_the_limits_and_ends_whole(event: Event, says: str | None) -> None:
    judge(of_streams(ledger(*HELD), event), says)


def test_an_account_has_as_many_holds_as_the_rules_of_its_unit_allow() -> None:
    most = [PlaceHold(A, f"hold_{n}", 1, "EUR") for n in range(MOST_HOLDS)]
    full = ledger(opening(account=A, minimum=None), *most[1:])
    assert found(full, placed("hold_x")) == []
    assert found(full, placed("hold_x"), placed("hold_y")) == [
        f"the rules refuse it: {registry.explain('hold_count', {'account': A, 'holds': MOST_HOLDS})}"
    ]
    assert found(full, placed("hold_x"), placed("hold_y"), rules=0) == [], "version 0 had other bounds, and once none"


def opened(**changes: Any) -> list[Event]:
    """The unit that opens an account, changed."""
    given = ledger()
    decision = given.decide(opening(account=A, number="CHK000000000101"))
    assert isinstance(decision, Accepted)
    account, claim = decision.events
    return [replace(account, **changes), claim]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"minimum": 5, "maximum": 5}, None),
        ({"minimum": 6, "maximum": 5}, "The minimum 0.06 is higher than the maximum 0.05."),
        ({"opened_on": TODAY}, None),
        ({"opened_on": TODAY + timedelta(1)}, "is after today"),
        ({"currency": "ZZZ"}, "is opened in 'ZZZ', which is no currency"),
        ({"number": "CHK000000000202"}, "its unit does not claim claim:account-number:CHK000000000202"),
    ],
)
def test_an_account_is_opened_with_its_number_and_sound_limits(changes: Any, says: str | None) -> None:
    judge(found(ledger(), *opened(**changes)), says)


def test_a_claim_of_a_number_stands_beside_its_account_for_ever() -> None:
    account, claim = opened()
    assert "its unit does not open an account with that number" in found(ledger(), claim)[0]
    assert "its unit does not claim" in found(ledger(), account)[0]
    assert len(found(ledger(), account, replace(claim, holder=B))) == 2, "the claim is for another"
    taken = ledger(opening(account=A, number="CHK000000000101"))
    released = ClaimReleased(claim.originator_id, 0, A)
    assert "the number of an account is never given back" in found(taken, released)[0]


def test_a_claim_of_a_reference_stands_beside_its_transaction_for_ever() -> None:
    for scope in ("account", "log"):
        given = ledger(opening(account=A, minimum=None), opening(account=B, number="CHK000000000202"))
        asked = Conditioned(Transfer("txn_1", A, B, 1, "EUR", TODAY, "r"), (), scope)
        decision = given.decide(asked)
        assert isinstance(decision, Accepted)
        *moved, claim = decision.events
        assert found(given, *decision.events) == []
        says = f"takes {claim.originator_id}, and its unit does not post a transaction with that reference"
        for unit in (
            [claim],
            [*moved, replace(claim, holder="txn_2")],
            [replace(moved[0], reference="R"), *moved[1:], claim],
            [replace(moved[0], reference=None), *moved[1:], claim],
        ):
            assert says in found(given, *unit)[0]
        elsewhere = replace(claim, originator_id=reference_claim(CASH, "r"))
        assert "does not post" in found(given, *moved, elsewhere)[0], "the claim is for an account that takes no part"
        given.accepted(asked)
        released = ClaimReleased(claim.originator_id, 0, "txn_1")
        assert "a unique reference is never given back" in found(given, released)[0]


# Transactions


def posted(*entries: Entry, days: int = 0, id: str = "txn_1") -> Event:
    return registry_event("transaction.posted.v1", id, "journal", TODAY + timedelta(days), entries, None, None, None)


def entries(amount: int = 1, credited: int | None = None, currency: str = "EUR") -> tuple[Entry, Entry]:
    other = amount if credited is None else credited
    return Entry(A, "debit", amount, currency), Entry(B, "credit", other, currency)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (posted(*entries()), None),
        (posted(*entries(), days=1), "is after today"),
        (posted(*entries(MAX_AMOUNT)), None),
        (posted(*entries(MAX_AMOUNT + 1)), "an entry must be for 0.01 to"),
        (posted(*entries(0)), "an entry must be for 0.01 to"),
        (posted(*entries(-1)), "an entry must be for 0.01 to"),
        (posted(*entries(1, 2)), "credits and debits must be equal"),
        (posted(*entries(currency="ZZZ")), "which is no currency"),
        (posted(entries()[0]), "has 2 to 1000 entries; this one has 1"),
        (posted(*entries() * 501), "has 2 to 1000 entries; this one has 1002"),
        (posted(*entries() * 500), None),
    ],
)
def test_a_transaction_is_well_formed_and_dated_by_its_decision(event: Event, says: str | None) -> None:
    judge(found(ledger(), event), says)


def test_a_transaction_is_posted_once() -> None:
    rich = ledger(*RICH)
    assert "is posted again" in found(rich, posted(*entries(), id="txn_a"))[0]
    assert "is posted again" in found(rich, posted(*entries()), posted(*entries()))[0]


def captured(*, keep_rest: bool = False, **changes: Any) -> list[Event]:
    """The unit that captures 60 of a hold of 100, with another transaction."""
    given = ledger(*HELD, opening(account=B, minimum=None))
    decision = given.decide(CaptureHold(A, "hold_1", "txn_1", B, 60, "EUR", TODAY, keep_rest=keep_rest))
    assert isinstance(decision, Accepted)
    hold, transaction, *others = decision.events
    assert isinstance(transaction, TransactionPosted)
    changed = {field: value for field, value in changes.items() if field not in {"amount", "account"}}
    taken = {field: value for field, value in changes.items() if field in {"amount", "account"}}
    first = replace(transaction.entries[0], **taken)
    return [hold, replace(transaction, **{"entries": (first, *transaction.entries[1:]), **changed}), *others]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"amount": 100}, None),
        ({"amount": 101}, "reserves 100 minor units of EUR, and txn_1 takes 101 of EUR"),
        ({"account": B}, "does not take it from acct_a"),
        ({"kind": "transfer"}, "does not take it from acct_a"),
        ({"entries": ()}, "does not take it from acct_a"),
        ({"originator_id": "txn_2"}, "which its unit does not post"),
        ({"keep_rest": True}, None),
        (
            {"keep_rest": True, "amount": 59},
            "60 minor units of EUR are captured of hold hold_1, and txn_1 takes 59 of EUR",
        ),
        (
            {"keep_rest": True, "amount": 61},
            "60 minor units of EUR are captured of hold hold_1, and txn_1 takes 61 of EUR",
        ),
        ({"keep_rest": True, "originator_id": "txn_2"}, "which its unit does not post"),
    ],
)
def test_a_captured_hold_is_paid_in_its_unit(changes: Any, says: str | None) -> None:
    judge([one.what for one in registry.check_unit(captured(**changes), ledger().decided)], says)


# Orders

LINES = (OrderLine("sku-1", "Tea", 2, 150), OrderLine("sku-2", "Cup", 1, 200))
PLACED = PlaceOrder("ord_1", "customer-1", "EUR", LINES)
CONFIRMED = (PLACED, ConfirmOrder("ord_1"))
PAYING = (opening(account=A), Deposit("txn_a", A, 900, "EUR", TODAY), *CONFIRMED)
PAY = PayOrder("ord_1", A, "txn_1", TODAY)


def order(**changes: Any) -> Event:
    return replace(ledger(PLACED).log[-1], **changes)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (order(), None),
        (order(total=499), "has a total of 499 minor units, and its lines come to 500"),
        (order(total=501), "has a total of 501 minor units, and its lines come to 500"),
        (order(lines=()), "this one has 0"),
        (order(lines=(replace(LINES[0], quantity=0), LINES[1])), "has a quantity of 0"),
        (order(lines=(replace(LINES[0], unit_price=-150), LINES[1]), total=-100), "Line 1 comes to -3.00 EUR"),
        (order(currency="ZZZ"), "is in 'ZZZ', which is no currency"),
    ],
)
def test_an_order_is_placed_with_lines_that_come_to_its_total(event: Event, says: str | None) -> None:
    judge(found(ledger(), event), says)


CANCELLED = OrderCancelled("ord_1", 0, "customer-1", "why")


@pytest.mark.parametrize(
    ("given", "event", "says"),
    [
        ((PLACED,), OrderConfirmed("ord_1", 0), None),
        (CONFIRMED, OrderConfirmed("ord_1", 0), "only an order that is placed can be confirmed"),
        ((PLACED,), CANCELLED, None),
        (CONFIRMED, CANCELLED, None),
        ((PLACED, CancelOrder("ord_1", "why")), CANCELLED, "can be cancelled"),
        ((PLACED,), replace(CANCELLED, customer="customer-2"), "is customer-1, not customer-2"),
        ((PLACED,), order(), "is placed again"),
    ],
)
def test_an_order_changes_only_from_the_right_status(given: Sequence[Any], event: Event, says: str | None) -> None:
    judge(found(ledger(*given), event), says)


def paid(**changes: Any) -> list[Event]:
    decision = ledger(*PAYING).decide(PAY)
    assert isinstance(decision, Accepted)
    return [replace(decision.events[0], **changes), *decision.events[1:]]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"amount": 499}, "comes to 500 minor units of EUR, and 499 of EUR are paid"),
        ({"currency": "USD"}, "and 500 of USD are paid"),
        ({"account": B}, f"does not move 500 minor units of EUR from acct_b to {REVENUE}"),
        ({"transaction": "txn_2"}, "is paid by txn_2, which its unit does not post"),
    ],
)
def test_a_payment_is_its_transaction(changes: Any, says: str | None) -> None:
    judge(found(ledger(*PAYING), *paid(**changes)), says)


def test_a_payment_goes_to_the_revenue_of_its_log_after_the_order_was_confirmed() -> None:
    assert "only an order that is confirmed can be paid" in found(ledger(*PAYING[:-1]), *paid())[0]
    other = Decided(NOW, RULES_VERSION, "other")
    assert len(registry.check_unit(paid(), other)) == 1


# Posts and claims

DRAFT = DraftPost("post_1", "author-1", "A title", "A text")
PUBLISHED = (DRAFT, PublishPost("post_1", "a-name"))
ARCHIVED = (*PUBLISHED, ArchivePost("post_1"))
DELETED = (*PUBLISHED, DeletePost("post_1", "why"))
REVISED = PostRevised("post_1", 0, "author-1", 2, "A title", "Another text", None)


@pytest.mark.parametrize(
    ("given", "event", "says"),
    [
        ((DRAFT,), REVISED, None),
        ((DRAFT,), replace(REVISED, revision=3), "is at revision 1, and gets 3"),
        ((DRAFT,), replace(REVISED, revision=1), "is at revision 1, and gets 1"),
        ((DRAFT,), replace(REVISED, author="author-2"), "is author-1, not author-2"),
        (DELETED, REVISED, "can be revised"),
        ((DRAFT,), PostDrafted("post_1", 0, "author-1", "A title", "A text"), "is drafted again"),
        ((DRAFT,), PostArchived("post_1", 0), "can be archived"),
        (PUBLISHED, PostArchived("post_1", 0), None),
        (PUBLISHED, PostDeleted("post_1", 0, "author-1", "why"), None),
        (PUBLISHED, PostDeleted("post_1", 0, "author-2", "why"), "is author-1, not author-2"),
        (DELETED, PostDeleted("post_1", 0, "author-1", "why"), "can be deleted"),
        (DELETED, PostRestored("post_1", 0), None),
        (ARCHIVED, PostPublished("post_1", 0, "a-name"), None),
        (PUBLISHED, PostPublished("post_1", 0, "a-name"), "can be published"),
        (ARCHIVED, PostPublished("post_1", 0, "other-name"), "does not claim claim:slug:other-name for it"),
        (ARCHIVED, PostPublished("post_1", 0, "other-name"), "does not release claim:slug:a-name"),
        ((DRAFT,), PostPublished("post_1", 0, "No Name"), "is not a slug"),
    ],
)
def test_a_post_changes_only_from_the_right_status(given: Sequence[Any], event: Event, says: str | None) -> None:
    judge(found(ledger(*given), event), says)


def test_a_new_slug_is_claimed_and_the_former_one_released_in_the_same_unit() -> None:
    archived = ledger(*ARCHIVED)
    published = PostPublished("post_1", 0, "other-name")
    taken, released = ClaimTaken("claim:slug:other-name", 0, "post_1"), ClaimReleased(CLAIM, 0, "post_1")
    assert found(archived, published, taken, released) == []
    assert len(found(archived, published, replace(taken, holder="post_2"), released)) == 2
    assert len(found(archived, published, taken)) == 1
    assert len(found(archived, taken, released)) == 2, "each without a publication"


def test_a_claim_changes_its_holder_only_after_a_release() -> None:
    held = ledger(*PUBLISHED)
    taken, released = ClaimTaken(CLAIM, 0, "post_2"), ClaimReleased(CLAIM, 0, "post_1")
    assert of_streams(held, taken) == [f"{CLAIM} is held by post_1, and post_2 took it without a release"]
    assert of_streams(held, released, taken) == []
    assert of_streams(held, replace(released, holder="post_2")) == [
        f"{CLAIM} is held by post_1, and post_2 released it"
    ]
    assert of_streams(held, released, released) == [f"{CLAIM} is held by nobody, and post_1 released it"]


# What every decision can produce


def test_commuting_entries_on_an_unlimited_account_may_stand_in_any_order() -> None:
    """Two deposits are decided on the same state of the cash account, and the second gets a later version of it."""
    given = ledger(opening(account=A, minimum=None), opening(account=B, minimum=None))
    first, second = (given.decide(Deposit(f"txn_{id}", id, 5, "EUR", TODAY)) for id in (A, B))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert CASH in second.commuting
    given.record(first.events)
    assert found(given, *second.events) == []


def test_the_commands_of_an_atomic_batch_are_held_to_the_limits_one_after_the_other() -> None:
    given = ledger(opening(account=A), opening(account=B))
    into, out = Deposit("txn_1", A, 5, "EUR", TODAY), PostTransaction("txn_2", "journal", entries(5), TODAY)
    decision = given.decide(Together((into, out)))
    assert isinstance(decision, Accepted)
    assert found(given, *decision.events) == []
    split = len(given.decide(into).events)  # type: ignore[union-attr]
    assert "below its minimum" in found(given, *decision.events[split:], *decision.events[:split])[0]


def test_the_sentence_of_a_finding_belongs_to_its_event() -> None:
    rich = ledger(*RICH)
    events = [replace(debit(1), originator_version=3), replace(debit(999, txn="txn_2"), originator_version=4)]
    assert [event for event, _ in broken(rich.states, events, rich.decided)] == [events[1]]


def test_what_a_check_refuses_is_told_from_what_a_check_asks_for() -> None:
    asked = [one for one in _check(ledger(*ARCHIVED), PostPublished("post_1", 6, "other-name")) if one.unless]
    assert [one.unless for one in asked] == [
        ClaimTaken("claim:slug:other-name", 0, "post_1"),
        ClaimReleased(CLAIM, 0, "post_1"),
    ]


def _check(given: MemoryLedger, event: Event) -> list[Broken]:
    aggregate = registry.aggregate_of(event.originator_id)
    assert aggregate is not None
    assert aggregate.check is not None
    return list(aggregate.check(given.states[event.originator_id], [event], given.decided))


def test_a_refusal_is_one_event() -> None:
    given = ledger()
    given.refused(Deposit("txn_1", CASH, 1, "EUR", TODAY))
    refusal = given.log[-1]
    assert found(ledger(), refusal) == []
    assert "is refused again" in found(ledger(), refusal, refusal)[0]
    assert "is refused again" in found(given, refusal)[0]


def test_every_aggregate_has_a_check() -> None:
    """`verify` counts the events of an aggregate without one as not covered."""
    assert [aggregate.name for aggregate in registry.AGGREGATES if aggregate.check is None] == []
