"""Conditions and unique references, which are decided together with a command that posts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain import registry
from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.owners import AddOwner, GiveMandate
from domain.accounts.posting import Entry, internal_account
from domain.accounts.transaction import Deposit, PostTransaction, Transfer, Withdraw
from domain.accounts.transaction.conditions import (
    Comparison,
    Condition,
    Conditioned,
    Scope,
    What,
    reference_claim,
)
from domain.claims import Claim, ClaimTaken
from domain.codes import MOST_CODE
from domain.ids import named_id
from domain.kernel import Accepted, Forbidden, Principal, Unknown
from domain.together import Together
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger, opening

A, B, C = "acct_a", "acct_b", "acct_c"
CASH = internal_account("main", "cash", "EUR")
ADA = "prsn_ada"
CUSTOMER = Principal("app-of-ada", ("customer",), person=ADA)
MOST_STREAM_NAME = 200


@pytest.fixture
def ledger() -> MemoryLedger:
    """A has 100 and 30 of it reserved; B and C have nothing. A is Ada's, and she may debit C but not see it."""
    made = MemoryLedger()
    made.open_internal()
    for number, account in enumerate((A, B, C), 1):
        made.accepted(opening(account=account, number=f"CHK00000000020{number}", minimum=None))
    made.accepted(Deposit("txn_0", A, 100, "EUR", TODAY))
    made.accepted(PlaceHold(A, "hold_1", 30, "EUR"))
    made.accepted(AddOwner(A, ADA))
    made.accepted(GiveMandate(C, ADA, False, 50, "EUR", NOW + timedelta(days=1)))
    return made


def condition(
    comparison: Comparison, amount: int, *, account: str = A, what: What = "balance", currency: str = "EUR"
) -> Condition:
    return Condition(account, what, comparison, amount, currency)


def transfer(id: str = "txn_1", source: str = A, amount: int = 1, reference: str | None = None) -> Transfer:
    return Transfer(id, source, B, amount, "EUR", TODAY, reference)


def as_ada(ledger: MemoryLedger) -> MemoryLedger:
    ledger.context = replace(ledger.context, principal=CUSTOMER)
    return ledger


# Conditions


@pytest.mark.parametrize(("what", "actual"), [("balance", 100), ("available", 70)])
@pytest.mark.parametrize(
    ("comparison", "inside", "outside"),
    [("gt", (-1,), (0, 1)), ("gte", (-1, 0), (1,)), ("eq", (0,), (-1, 1)), ("lte", (0, 1), (-1,)), ("lt", (1,), (0,))],
)
def test_a_comparison_just_inside_and_just_outside(
    ledger: MemoryLedger,
    what: What,
    actual: int,
    comparison: Comparison,
    inside: tuple[int, ...],
    outside: tuple[int, ...],
) -> None:
    for beside in outside:
        refused = ledger.refused(Conditioned(transfer(), (condition(comparison, actual + beside, what=what),)))
        assert refused.rule == "condition_failed"
        assert refused.figures == {
            "account": A,
            "what": what,
            "is": comparison,
            "wanted": f"{(actual + beside) / 100:.2f}",
            "actual": f"{actual / 100:.2f}",
            "currency": "EUR",
        }
    for beside in inside:
        decision = ledger.decide(Conditioned(transfer(), (condition(comparison, actual + beside, what=what),)))
        assert isinstance(decision, Accepted), decision


def test_a_condition_can_be_about_an_account_that_takes_no_part_and_about_a_negative_balance(
    ledger: MemoryLedger,
) -> None:
    ledger.accepted(Transfer("txn_1", C, B, 20, "EUR", TODAY))
    asked = Conditioned(transfer("txn_2"), (condition("eq", -20, account=C),))
    ledger.accepted(asked)
    assert ledger.refused(replace(asked, conditions=(condition("eq", 20, account=C),))).figures["actual"] == "-0.20"


def test_all_conditions_must_hold_and_the_first_that_does_not_is_told(ledger: MemoryLedger) -> None:
    holds, fails = condition("eq", 100), condition("gt", 0, account=B)
    assert isinstance(ledger.decide(Conditioned(transfer(), (holds, holds))), Accepted)
    for conditions in ((holds, fails), (fails, holds), (fails, condition("eq", 1))):
        refused = ledger.refused(Conditioned(transfer(), conditions))
        assert (refused.figures["account"], refused.figures["actual"]) == (B, "0.00")


def test_an_accepted_command_is_as_it_would_be_without_conditions(ledger: MemoryLedger) -> None:
    assert ledger.decide(Conditioned(transfer(), (condition("eq", 100),))) == ledger.decide(transfer())


def test_an_unknown_account_and_another_currency(ledger: MemoryLedger) -> None:
    for account in ("acct_nobody", "policy:posting"):
        unknown = ledger.decide(Conditioned(transfer(), (condition("eq", 0, account=account),)))
        assert unknown == Unknown("account", account, unknown.commuting)  # type: ignore[union-attr]
    refused = ledger.refused(Conditioned(transfer(), (condition("eq", 100, currency="USD"),)))
    assert (refused.rule, refused.figures["account"]) == ("currency_mismatch", A)


def test_a_condition_comes_before_the_rules_of_the_command_and_after_what_it_does_not_know(
    ledger: MemoryLedger,
) -> None:
    fails = (condition("eq", 1),)
    ledger.accepted(opening(account="acct_poor", number="CHK000000000299", minimum=0))
    poor = replace(transfer(), source="acct_poor")
    assert ledger.refused(Conditioned(poor, fails)).rule == "condition_failed"
    assert ledger.refused(Conditioned(poor, (condition("eq", 100),))).rule == "below_minimum"
    assert isinstance(ledger.decide(Conditioned(replace(transfer(), source="acct_nobody"), fails)), Unknown)


def test_the_account_of_a_condition_never_commutes(ledger: MemoryLedger) -> None:
    """Otherwise an entry that came in between would change what the condition is about."""
    paid_in = Deposit("txn_1", B, 1, "EUR", TODAY)
    elsewhere, on_cash = condition("eq", 100), condition("eq", -100, account=CASH)
    broken = condition("eq", 1, account=CASH)
    assert ledger.decide(Conditioned(paid_in, (elsewhere,))).commuting == {CASH}  # type: ignore[union-attr]
    for asked in (
        Conditioned(paid_in, (elsewhere, on_cash)),
        Conditioned(paid_in, (broken,)),
        Conditioned(replace(paid_in, account=A, amount=0), (on_cash,)),
    ):
        assert ledger.decide(asked).commuting == frozenset()  # type: ignore[union-attr]
    both = ledger.decide(Together((Deposit("txn_2", B, 1, "EUR", TODAY), Conditioned(paid_in, (elsewhere,)))))
    assert both.commuting == {CASH}  # type: ignore[union-attr]
    mixed = (Conditioned(transfer("txn_2"), (on_cash,)), Deposit("txn_3", B, 1, "EUR", TODAY))
    assert ledger.decide(Together(mixed)).commuting == frozenset()  # type: ignore[union-attr]
    assert ledger.decide(Together(mixed[::-1])).rule == "item_refused", "item 1 has changed the cash"  # type: ignore[union-attr]


def test_in_one_unit_a_condition_sees_the_effects_of_the_commands_before_it(ledger: MemoryLedger) -> None:
    first, second = transfer("txn_1", amount=40), transfer("txn_2", amount=40)
    rich = (condition("gte", 100),)
    refused = ledger.refused(Together((Conditioned(first, rich), Conditioned(second, rich))))
    assert (refused.figures["item"], refused.figures["rule"]) == (2, "condition_failed")
    assert refused.figures["figures"]["actual"] == "0.60"  # type: ignore[index,call-overload]
    ledger.accepted(Together((Conditioned(first, rich), Conditioned(second, (condition("eq", 60),)))))


# What customers learn


@pytest.mark.parametrize("account", [B, C, CASH, "acct_nobody"])
@pytest.mark.parametrize("comparison", ["gt", "lte"])
def test_a_customer_does_not_know_the_accounts_that_they_may_not_see(
    ledger: MemoryLedger, account: str, comparison: Comparison
) -> None:
    """The answer is that of an account that does not exist, whether the condition would hold or not."""
    for currency in ("EUR", "USD"):
        asked = Conditioned(transfer(), (condition(comparison, 0, account=account, currency=currency),))
        decision = as_ada(ledger).decide(asked)
        assert isinstance(decision, Unknown)
        assert (decision.kind, decision.id) == ("account", account)


def test_a_customer_has_conditions_on_what_is_theirs(ledger: MemoryLedger) -> None:
    asked = Conditioned(transfer(), (condition("gte", 100),))
    as_ada(ledger).accepted(asked)
    assert ledger.refused(replace(asked, command=transfer("txn_2"))).figures["actual"] == "0.99"


# Unique references


def unique(command: Any, scope: Scope = "account") -> Conditioned:
    return Conditioned(command, unique_reference=scope)


def test_a_unique_reference_is_claimed_in_the_unit_of_its_transaction(ledger: MemoryLedger) -> None:
    for scope, stream in (("account", f"claim:reference:{A}:r"), ("log", "claim:reference:log:r")):
        id = f"txn_{scope}"
        accepted = ledger.accepted(unique(transfer(id, reference="r"), scope))  # type: ignore[arg-type]
        assert accepted.events[-1] == ClaimTaken(stream, 1, id)
        again = ledger.refused(unique(transfer("txn_9", reference="r"), scope))  # type: ignore[arg-type]
        account = A if scope == "account" else None
        assert again.rule == "reference_taken"
        assert again.figures == {"reference": "r", "scope": scope, "account": account, "transaction": id}


def test_references_are_compared_as_they_are_written_and_only_with_unique_ones(ledger: MemoryLedger) -> None:
    ledger.accepted(transfer("txn_1", reference="r"))
    ledger.accepted(unique(transfer("txn_2", reference="r")))
    ledger.accepted(transfer("txn_3", reference="r"))
    ledger.accepted(unique(transfer("txn_4", reference="R")))
    ledger.accepted(unique(transfer("txn_5", source=C, reference="r")))
    ledger.accepted(unique(transfer("txn_6", reference="r"), "log"))
    assert ledger.refused(unique(transfer("txn_7", source=C, reference="r"), "log")).rule == "reference_taken"


def entry(account: str, side: Any, amount: int = 1) -> Entry:
    return Entry(account, side, amount, "EUR")


@pytest.mark.parametrize(
    ("command", "account"),
    [
        (Deposit("txn_1", B, 1, "EUR", TODAY, "r"), B),
        (Withdraw("txn_1", B, 1, "EUR", TODAY, "r"), B),
        (transfer(reference="r"), A),
        (PostTransaction("txn_1", "journal", (entry(B, "credit"), entry(C, "debit")), TODAY, "r"), C),
        (PostTransaction("txn_1", "journal", (entry(CASH, "debit"), entry(B, "credit")), TODAY, "r"), B),
    ],
)
def test_the_account_of_a_reference_is_the_debited_one_or_that_of_the_customer(
    ledger: MemoryLedger, command: Any, account: str
) -> None:
    assert ledger.accepted(unique(command)).events[-1] == ClaimTaken(reference_claim(account, "r"), 1, "txn_1")


def test_the_longest_reference_fits_the_name_of_a_stream() -> None:
    assert len(reference_claim(named_id("acct", "any"), "r" * MOST_CODE)) <= MOST_STREAM_NAME


def test_what_is_refused_claims_nothing(ledger: MemoryLedger) -> None:
    for refused in (
        Conditioned(transfer(reference="r"), (condition("eq", 1),), "account"),
        unique(transfer(amount=0, reference="r")),
        unique(transfer(reference=None)),
        unique(transfer(reference="two words")),
    ):
        ledger.refused(refused)
    assert ledger.of(Claim) == [ledger[stream] for stream in ledger.states if "claim:account-number:" in stream]
    ledger.accepted(Conditioned(transfer(reference="r"), (condition("eq", 100),), "account"))


def test_a_reference_is_unique_in_its_own_unit_too(ledger: MemoryLedger) -> None:
    twice = Together((unique(transfer("txn_1", reference="r")), unique(transfer("txn_2", reference="r"))))
    refused = ledger.refused(twice)
    assert (refused.figures["item"], refused.figures["rule"]) == (2, "reference_taken")
    ledger.accepted(Together((unique(transfer("txn_1", reference="r")), unique(transfer("txn_2", reference="s")))))


def test_a_customer_has_references_of_their_accounts_and_none_of_the_log(ledger: MemoryLedger) -> None:
    ledger.accepted(unique(transfer("txn_1", source=C, reference="r")))
    ledger.accepted(unique(transfer("txn_2", reference="r"), "log"))
    as_ada(ledger).accepted(unique(transfer("txn_3", reference="r")))
    assert ledger.refused(unique(transfer("txn_4", reference="r"))).figures["transaction"] == "txn_3"
    unseen = ledger.refused(unique(transfer("txn_5", source=C, reference="r")))
    assert (unseen.rule, unseen.figures) == ("account_unseen", {"account": C, "person": ADA})
    for reference in ("r", "s"):
        decision = ledger.decide(unique(transfer("txn_6", reference=reference), "log"))
        assert isinstance(decision, Forbidden)
    assert isinstance(ledger.decide(unique(transfer("txn_6", source="acct_nobody", reference="r"), "log")), Unknown)


# The command inside


def test_who_may_send_a_command_may_send_it_with_conditions() -> None:
    asked = Conditioned(Withdraw("txn_1", A, 1, "EUR", TODAY), (condition("eq", 1),))
    assert registry.forbid(CUSTOMER, asked, NOW) == registry.forbid(CUSTOMER, asked.command, NOW) != None  # noqa: E711
    assert registry.forbid(CUSTOMER, Conditioned(transfer(), (condition("eq", 1),)), NOW) is None
    assert registry.forbid(CUSTOMER, Together((asked,)), NOW) is not None


def test_a_command_is_recorded_under_its_own_name() -> None:
    assert registry.name_of(Conditioned(transfer())) == registry.name_of(transfer()) == "Transfer"


def test_the_first_stream_stays_that_of_the_account_that_is_debited() -> None:
    asked = Conditioned(transfer(), (condition("eq", 1, account=C), condition("eq", 1, account=B)))
    assert asked.streams == (*transfer().streams, C)
    assert asked.streams[0] == A


def test_the_likely_claim_is_loaded_with_the_other_streams(ledger: MemoryLedger) -> None:
    """So a group of commands loads all its claims at once. An unlikely claim is asked for by the decision."""
    likely = unique(transfer(reference="r"))
    assert likely.streams[-1] == reference_claim(A, "r")
    assert unique(transfer(reference="r"), "log").streams[-1] == reference_claim("log", "r")
    assert unique(transfer()).streams == transfer().streams
    lines = (entry(B, "credit"), entry(C, "debit"))
    unlikely = unique(PostTransaction("txn_1", "journal", lines, TODAY, "r"))
    assert reference_claim(C, "r") not in unlikely.streams
    assert ledger.accepted(unlikely).events[-1] == ClaimTaken(reference_claim(C, "r"), 1, "txn_1")
