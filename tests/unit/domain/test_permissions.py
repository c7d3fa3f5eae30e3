"""Who may send which command: roles, grants that end, and every command of a unit."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.lifecycle import FreezeAccount
from domain.kernel import Accepted, Context, Decision, Forbidden, Grant, Principal, Role
from domain.permissions import COMMANDERS, OPERATORS, ROLES, may
from domain.registry import PERMISSIONS, forbid, unwrapped
from domain.together import Together
from tests.samples.registry import history
from tests.support.memory_ledger import NOW, MemoryLedger, opening

FREEZE = FreezeAccount("acct_1", "a reason")
MOST_HISTORIES = 16


def principal(*roles: Role, grants: tuple[Grant, ...] = ()) -> Principal:
    return Principal("ada", roles, grants=grants)


def one_of_each() -> dict[type, Any]:
    """A command of each class, from random histories of all aggregates."""
    sent: dict[type, Any] = {}

    class Noting(MemoryLedger):
        def execute(self, command: Any) -> Decision:
            sent[type(unwrapped(command))] = unwrapped(command)
            return super().execute(command)

    for seed in range(1, MOST_HISTORIES + 1):
        assert list(history(Noting(), Random(seed), 3_000))
        if PERMISSIONS.keys() <= sent.keys():
            break
    return sent


def test_a_command_is_for_the_roles_that_are_declared() -> None:
    sent = one_of_each()
    assert sent.keys() == PERMISSIONS.keys()
    for kind, command in sent.items():
        for role in ROLES:
            refused = forbid(principal(role), command, NOW)
            assert (refused is None) is (role in PERMISSIONS[kind]), (kind, role)


def test_the_sentence_names_command_roles_and_principal() -> None:
    assert forbid(principal("report", "audit"), FREEZE, NOW) == Forbidden(
        "FreezeAccount is for command or operator; ada has report, audit."
    )
    assert forbid(principal(), FREEZE, NOW) == Forbidden("FreezeAccount is for command or operator; ada has no role.")


def test_of_several_commands_each_is_checked() -> None:
    assert forbid(principal("command"), Together((FREEZE, FREEZE)), NOW) is None
    assert forbid(principal("audit"), Together((FREEZE, FREEZE)), NOW) is not None


def test_a_grant_counts_until_its_end() -> None:
    granted = principal("report", grants=(Grant("command", NOW),))
    assert may(granted, COMMANDERS, NOW - timedelta(microseconds=1))
    assert not may(granted, COMMANDERS, NOW)
    assert may(principal(grants=(Grant("operator"),)), OPERATORS, NOW + timedelta(days=9_999))
    assert not may(principal(grants=(Grant("report"),)), OPERATORS, NOW)


@pytest.mark.parametrize("type", ["cash", "fees"])
def test_only_an_operator_opens_an_internal_account(type: str) -> None:
    command = replace(opening(), type=type)
    operator = MemoryLedger()
    assert isinstance(operator.execute(command), Accepted)
    commander = MemoryLedger(Context(NOW, "main", principal("command")))
    assert commander.execute(command) == Forbidden("Only an operator opens an internal account; ada is none.")
    granted = MemoryLedger(Context(NOW, "main", principal("command", grants=(Grant("operator"),))))
    assert isinstance(granted.execute(command), Accepted)


def test_a_forbidden_item_forbids_the_unit() -> None:
    ledger = MemoryLedger(Context(NOW, "main", principal("command")))
    decision = ledger.execute(Together((opening(), replace(opening(), type="cash"))))
    assert isinstance(decision, Forbidden)
    assert ledger.log == []
