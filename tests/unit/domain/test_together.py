"""Commands together: what each of them would do alone, one after the other, or nothing at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import registry
from domain.accounts.account.events import AccountFrozen
from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.account.state import Account
from domain.accounts.posting import internal_account
from domain.accounts.transaction import Deposit, Transfer, Withdraw
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    NeedsStreams,
    Refused,
    State,
    States,
    Unknown,
    Value,
    found,
)
from domain.posts.post import ArchivePost, DraftPost, PublishPost
from domain.refusals import Refusal
from domain.together import Together, decide_together
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

CASH = internal_account("main", "cash", "EUR")
ACCOUNTS = ("acct_a", "acct_b", "acct_c")


def books() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    for number, account in enumerate(ACCOUNTS, 1):
        ledger.accepted(opening(account=account, number=f"CHK00000000020{number}"))
    return ledger


amounts = st.integers(1, 30)
accounts = st.sampled_from(ACCOUNTS)


@st.composite
def commands(draw: st.DrawFn) -> list[Any]:
    made: list[Any] = []
    for number in range(draw(st.integers(1, 12))):
        id, one, two, amount = f"txn_{number}", draw(accounts), draw(accounts), draw(amounts)
        made.append(
            draw(
                st.sampled_from(
                    [
                        Deposit(id, one, amount, "EUR", TODAY),
                        Withdraw(id, one, amount, "EUR", TODAY),
                        Transfer(id, one, two, amount, "EUR", TODAY),
                        FreezeAccount(one, "why not"),
                    ]
                )
            )
        )
    return made


@given(commands())
def test_together_is_one_after_the_other_up_to_the_first_refusal(made: list[Any]) -> None:
    alone = books()
    together = MemoryLedger(log=list(alone.log), states=dict(alone.states))
    before = dict(together.states)
    refused = next((n for n, c in enumerate(made, 1) if not isinstance(alone.execute(c), Accepted)), None)
    decision = together.execute(Together(tuple(made)))
    if refused is None:
        assert isinstance(decision, Accepted)
        assert together.states == alone.states
        assert together.log == alone.log
    else:
        assert isinstance(decision, Refused)
        assert decision.figures["item"] == refused
        left = {stream: state for stream, state in together.states.items() if state != before.get(stream)}
        assert [type(state) for state in left.values()] == [Refusal]


def test_a_stream_commutes_only_if_it_does_for_every_command() -> None:
    ledger = books()
    deposits = Together(tuple(Deposit(f"txn_{n}", "acct_a", 1, "EUR", TODAY) for n in range(3)))
    decision = ledger.decide(deposits)
    assert isinstance(decision, Accepted)
    assert decision.commuting == {CASH}
    mixed = ledger.decide(Together((Deposit("txn_8", "acct_a", 1, "EUR", TODAY), FreezeAccount(CASH, "audit"))))
    assert isinstance(mixed, Accepted)
    assert mixed.commuting == frozenset()


def test_all_streams_are_asked_for_at_once() -> None:
    ledger = books()
    states: dict[str, State | None] = {account: ledger.states[account] for account in ACCOUNTS}
    both = Together((Deposit("txn_1", "acct_a", 1, "EUR", TODAY), Deposit("txn_2", "acct_b", 1, "EUR", TODAY)))
    decision = registry.decide(both, states, ledger.context)
    assert decision == NeedsStreams((CASH,))


def test_what_is_asked_for_only_after_others_is_asked_for_together_too() -> None:
    """Each post moves to another slug: that the first is free again is looked up only once it is archived."""
    ledger = books()
    posts = [f"post_{number}" for number in range(20)]
    for post in posts:
        ledger.accepted(DraftPost(post, "author-1", "On ledgers", "Facts."))
        ledger.accepted(PublishPost(post, f"{post}-one".replace("_", "-")))
    moves = [(ArchivePost(post), PublishPost(post, f"{post}-two".replace("_", "-"))) for post in posts]
    ledger.accepted(Together(tuple(command for move in moves for command in move)))


@pytest.mark.parametrize("first", [True, False])
def test_something_unknown_stops_all(first: bool) -> None:
    ledger = books()
    known, unknown = Deposit("txn_1", "acct_a", 1, "EUR", TODAY), Deposit("txn_2", "acct_nobody", 1, "EUR", TODAY)
    decision = ledger.decide(Together((unknown, known) if first else (known, unknown)))
    assert isinstance(decision, Unknown)
    assert decision.id == "acct_nobody"


class TryPin(Value, frozen=True):
    """A command whose refusal leaves a fact: the account is frozen."""

    streams: tuple[str, ...] = ("acct_a",)


def locking(command: Any, states: States, context: Context) -> Decision:
    if not isinstance(command, TryPin):
        return registry.decide(command, states, context)
    account = found(states, "acct_a", Account)
    assert account is not None
    if account.balance:  # who has money gets another try
        return Refused("account_not_frozen", {"account": "acct_a"})
    frozen = AccountFrozen("acct_a", account.version + 1, account.profile.owner, "too many attempts")
    return Refused("account_not_frozen", {"account": "acct_a"}, events=(frozen,))


def decide_locking(*commands: Any) -> Refused:
    ledger = books()
    unit = Together(tuple(commands))
    decision = decide_together(unit, ledger.states, ledger.context, locking, registry.evolve)
    assert isinstance(decision, Refused)
    assert decision.rule == "item_refused"
    return decision


def test_the_facts_of_a_refused_item_are_kept() -> None:
    (frozen,) = decide_locking(TryPin()).events
    assert (type(frozen), frozen.originator_version) == (AccountFrozen, 2)


def test_the_facts_of_a_refused_item_are_those_without_the_items_before_it() -> None:
    """The entry before it is not carried out, so the freeze is the second event and not the third."""
    (frozen,) = decide_locking(Deposit("txn_1", "acct_b", 1, "EUR", TODAY), TryPin()).events
    assert frozen.originator_version == 2
    withdrawn = Transfer("txn_2", "acct_a", "acct_b", 1, "EUR", TODAY)
    (frozen,) = decide_locking(Deposit("txn_1", "acct_a", 1, "EUR", TODAY), withdrawn, TryPin()).events
    assert frozen.originator_version == 2


def test_a_refused_item_without_facts_leaves_none() -> None:
    assert decide_locking(Deposit("txn_1", "acct_a", 1, "EUR", TODAY), TryPin()).events == ()
