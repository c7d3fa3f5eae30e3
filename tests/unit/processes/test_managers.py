"""Declarations of process managers, and intents as they are recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import AccountOpened
from domain.accounts.account.lifecycle import CloseAccount
from domain.accounts.transaction import Deposit, Withdraw
from domain.kernel import Personal, Value
from domain.posts.publication import MANAGER as PUBLICATION
from domain.process_manager import (
    BACK_OFF,
    MOST_INTENT_CHARACTERS,
    Due,
    ProcessManager,
    Question,
    Reaction,
    RecordedIntent,
    again,
    check_managers,
    intent_of,
    recorded,
)
from domain.registry import MANAGERS, PERMISSIONS
from tests.support.memory_ledger import NOW, TODAY
from tests.support.relay import RELAY

DEPOSIT = Deposit("txn_1", "acct_1", 100, "EUR", TODAY)
JSON = (
    '{"account":"acct_1","amount":100,"currency":"EUR","metadata":{},"reference":null,"transaction":"txn_1",'
    '"value_date":"2026-11-21"}'
)


class Nameless(Value, frozen=True):
    """A state without a step."""

    count: int


class Gossip(Value, frozen=True):
    """A state with a personal value."""

    step: str
    note: Personal


@pytest.mark.parametrize(
    ("manager", "why"),
    [
        (PUBLICATION, "the process manager publication is declared twice"),
        (replace(RELAY, concerns=RELAY.begins), "relay: AccountOpened both begins and concerns a process"),
        (replace(RELAY, begins=PUBLICATION.begins), "PostScheduled begins processes of publication and of relay"),
        (replace(RELAY, sends=(Value,)), "relay sends Value, which is no command that a process may send"),
        (replace(RELAY, sends=(CloseAccount,)), "CloseAccount.reason is always personal, so a process cannot send"),
        (replace(RELAY, state=Nameless), "relay: its state has no field `step`"),
        (replace(RELAY, state=Gossip), "relay: its state has a personal value"),
    ],
)
def test_a_wrong_declaration_is_an_error_with_its_name(manager: ProcessManager, why: str) -> None:
    check_managers((*MANAGERS, RELAY), PERMISSIONS)
    with pytest.raises(ValueError, match=why.replace("`", ".")):
        check_managers((*MANAGERS, manager), PERMISSIONS)


def test_an_intent_is_read_as_it_was_recorded() -> None:
    stored = recorded(RELAY, DEPOSIT)
    assert stored == RecordedIntent("command", "Deposit", JSON)
    assert intent_of(RELAY, stored) == DEPOSIT
    question = Question("balance", {"account": "acct_1"})
    assert intent_of(RELAY, recorded(RELAY, question)) == question


class Pay(Value, frozen=True):
    """A command with a field that later versions added, and a personal one without a default."""

    account: str
    note: Personal | None
    fee: int = 0
    tags: tuple[str, ...] = ()

    @property
    def streams(self) -> tuple[str, ...]:
        """The account."""
        return (self.account,)


PAYER = replace(RELAY, sends=(Pay,))


def test_an_intent_from_before_a_field_gets_its_default() -> None:
    older = RecordedIntent("command", "Pay", '{"account":"acct_1"}')
    assert intent_of(PAYER, older) == Pay("acct_1", None)
    assert intent_of(PAYER, recorded(PAYER, Pay("acct_1", None, 5, ("a",)))) == Pay("acct_1", None, 5, ("a",))


@pytest.mark.parametrize("fields", ['{"account":"acct_1","at_most":5}', "{}", '{"account":"acct_1","note":"Ada"}'])
def test_an_intent_that_is_not_known_in_full_is_not_read(fields: str) -> None:
    """Without `at_most` it would be another command; a newer program has to send it."""
    with pytest.raises(ValueError, match="Object "):
        intent_of(PAYER, RecordedIntent("command", "Pay", fields))


def test_a_personal_field_must_be_empty() -> None:
    with pytest.raises(ValueError, match=r"Deposit.description is personal, and a process records nothing personal"):
        recorded(RELAY, replace(DEPOSIT, description="for Ada"))


def test_only_what_is_declared_can_be_intended() -> None:
    only_deposits = replace(RELAY, sends=(Deposit,), asks=())
    with pytest.raises(ValueError, match="relay does not declare that it sends Withdraw"):
        recorded(only_deposits, Withdraw("txn_1", "acct_1", 1, "EUR", TODAY))
    with pytest.raises(ValueError, match="relay does not declare that it asks balance"):
        recorded(only_deposits, Question("balance", {}))
    with pytest.raises(ValueError, match="relay does not know the command Withdraw"):
        intent_of(only_deposits, RecordedIntent("command", "Withdraw", "{}"))


def test_an_intent_has_a_longest_form() -> None:
    room = MOST_INTENT_CHARACTERS - len(JSON) + len("null") - len('""')
    recorded(RELAY, replace(DEPOSIT, reference="r" * room))
    with pytest.raises(ValueError, match=f"the intent Deposit has {MOST_INTENT_CHARACTERS + 1} characters"):
        recorded(RELAY, replace(DEPOSIT, reference="r" * (room + 1)))


def test_the_same_trigger_makes_the_same_ids() -> None:
    trigger = Due("proc_1", "due:7", NOW)
    assert trigger.id("txn") == Due("proc_1", "due:7", NOW).id("txn")
    others = {
        trigger.id("txn"),
        trigger.id("txn", 2),
        trigger.id("acct"),
        Due("proc_1", "due:8", NOW).id("txn"),
        Due("proc_2", "due:7", NOW).id("txn"),
    }
    assert len(others) == 5


def test_it_is_tried_again_a_bounded_number_of_times() -> None:
    assert [again(refused, NOW) for refused in range(1, 5)] == [*(NOW + pause for pause in BACK_OFF), None]
    assert list(BACK_OFF) == sorted(BACK_OFF)
    assert BACK_OFF[0] > timedelta(0)


def test_an_event_names_its_process() -> None:
    def opened(owner: str, account: str = "acct_1") -> Any:
        return AccountOpened(account, 1, "n", "checking", "EUR", owner, "Ada", None, None, TODAY)

    assert RELAY.process_of(opened("somebody")) is None
    process = RELAY.process_of(opened("relay"))
    assert process is not None
    assert process.startswith("proc_")
    assert process == RELAY.process_of(opened("relay"))
    assert process != RELAY.process_of(opened("relay", "acct_2"))
    assert process != replace(RELAY, name="another").process_of(opened("relay"))


def test_a_reaction_that_asks_for_attention_is_recorded() -> None:
    assert Reaction().is_nothing
    assert not Reaction(attention="why").is_nothing
    assert not Reaction((DEPOSIT,)).is_nothing
