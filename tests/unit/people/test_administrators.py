"""Administrators: four eyes are two persons, and the last administrator stays."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from domain.kernel import Forbidden, Principal
from domain.people.administrators import STREAM, AppointAdministrator, ApproveAdministrator, AskForAdministrator
from domain.people.person.events import PersonRoleGranted
from domain.registry import check_unit
from tests.samples.people.administrators import (
    ADA,
    ASKED,
    BOB,
    EVE,
    MAX,
    ONE,
    TWO,
    appointed,
    approved,
    asked,
    check,
    life,
    removal,
)
from tests.samples.people.person import SUSPEND
from tests.support.memory_ledger import By, MemoryLedger


def ledger_with(*commands: Any) -> MemoryLedger:
    ledger = MemoryLedger()
    for command in commands:
        ledger.accepted(command)
    return ledger


def test_two_persons_appoint_the_third() -> None:
    ledger = ledger_with(*ASKED, approved(BOB))
    assert ledger[STREAM].persons == (ADA, BOB, EVE)
    assert ledger[EVE].grant("administrator") is not None


def test_two_tokens_of_one_person_are_one_pair_of_eyes() -> None:
    ledger = ledger_with(*ASKED)
    other_token = Principal("ada-laptop", ("person", "administrator"), "token", ADA)
    assert ledger.refused(By(other_token, ApproveAdministrator("appr_1"))).rule == "approval_by_self"


@pytest.mark.parametrize("command", [AskForAdministrator("appr_2", MAX), ApproveAdministrator("appr_1")])
def test_a_machine_neither_asks_nor_approves(command: Any) -> None:
    ledger = ledger_with(*ASKED)
    machine = Principal("robot", ("administrator",), "token")
    assert isinstance(ledger.execute_by(By(machine, command)), Forbidden)


def test_only_the_machine_itself_appoints_the_first() -> None:
    ledger = ledger_with(*ONE)
    operator = Principal("somebody", ("operator",), "token", EVE)
    assert isinstance(ledger.execute_by(By(operator, AppointAdministrator(EVE))), Forbidden)
    ledger.accepted(appointed(EVE))


def test_an_administrator_is_not_suspended_before_the_role_is_revoked() -> None:
    ledger = ledger_with(*TWO)
    assert ledger.refused(SUSPEND).rule == "person_is_administrator"
    for command in (removal(BOB, ADA), approved(ADA)):
        ledger.accepted(command)
    ledger.accepted(SUSPEND)


def test_who_was_removed_after_asking_was_right_to_ask() -> None:
    """What was asked for stays open: another administrator decides it on what is true then."""
    ledger = ledger_with(*TWO, asked(ADA, EVE), asked(ADA, MAX, "appr_2"), approved(BOB))
    ledger.accepted(removal(BOB, ADA, "appr_3"))
    ledger.accepted(approved(EVE, "appr_3"))
    ledger.accepted(approved(EVE, "appr_2"))
    assert ledger[STREAM].persons == (BOB, EVE, MAX)


def test_of_two_removals_at_once_the_second_would_remove_the_last_one() -> None:
    ledger = ledger_with(*TWO, removal(ADA, BOB), removal(BOB, ADA, "appr_2"))
    ledger.accepted(approved(BOB))
    assert ledger.refused(approved(ADA, "appr_2")).rule == "administrator_last"


@pytest.mark.parametrize("seed", range(10))
def test_a_random_life_never_leaves_the_ledger_without_an_administrator(seed: int) -> None:
    ledger, chance = MemoryLedger(), Random(seed)
    had_one = False
    for _ in range(150):
        ledger.execute_by(life(ledger, chance))
        check(ledger)
        listed = ledger.states.get(STREAM)
        assert not had_one or (listed is not None and listed.persons)  # type: ignore[attr-defined]
        had_one = had_one or listed is not None
    assert had_one
    ledger.check()


def test_the_role_alone_is_found_by_verify() -> None:
    """A grant of the role without the list, as somebody with the keys of the database could append it."""
    ledger = ledger_with(*ONE)
    event = PersonRoleGranted(EVE, ledger[EVE].version + 1, "administrator", None, None)
    [found] = check_unit([event], ledger.decided)
    assert "does not appoint or remove them" in found.what
