"""Decisions about erasing and exporting persons: who may decide what, in which order, and what a hold forbids."""

from __future__ import annotations

from typing import Any

import pytest

from domain.claims import ClaimReleased
from domain.kernel import Accepted, Forbidden, Unknown
from domain.people.administrators import AppointAdministrator
from domain.people.names import email_claim, username_claim
from domain.people.person.events import PersonDeleted
from domain.people.person.status import DeletePerson, RestorePerson
from domain.people.privacy import (
    ApprovePrivacyRequest,
    AskForErasure,
    AskForExport,
    BeginErasure,
    CompleteErasure,
    LiftLegalHold,
    PlaceLegalHold,
    RecordExport,
    check,
)
from domain.people.privacy_record import (
    ErasureApproved,
    ErasureBegun,
    LegalHoldPlaced,
    PersonErased,
    PersonExported,
    PrivacyRecord,
    privacy_stream,
)
from domain.registry import check_unit, forbid
from tests.samples.people.person import by_administrator, registered
from tests.samples.people.privacy import (
    ADA,
    APPROVED,
    ASKED,
    BOB,
    PEOPLE,
    approved,
    begun,
    completed,
    erasure_asked,
    export_asked,
    exported,
    lifted,
    placed,
)
from tests.support.memory_ledger import ADMINISTRATOR, MACHINE, NOW, PRINCIPAL, VISITOR, By, MemoryLedger, by_person

STREAM = privacy_stream(ADA)


def after(*commands: Any) -> MemoryLedger:
    """A ledger after these commands, all accepted."""
    ledger = MemoryLedger()
    for command in commands:
        ledger.accepted(command)
    return ledger


def rule_of(ledger: MemoryLedger, command: Any) -> str:
    return ledger.refused(command).rule


def test_an_erasure_from_the_wish_to_the_end() -> None:
    """The person is deleted when it begins. When it ends, both names are free, and somebody else can take them."""
    ledger = after(*ASKED)
    assert ledger[ADA].status == "active"
    ledger.accepted(approved())
    first = ledger.accepted(begun())
    assert [type(event) for event in first.events] == [ErasureBegun, PersonDeleted]
    last = ledger.accepted(completed())
    assert last.events == (
        PersonErased(STREAM, 3, "appr_1", 7),
        ClaimReleased(username_claim(f"u-{ADA}"), 2, ADA),
        ClaimReleased(email_claim(f"e-{ADA}"), 2, ADA),
    )
    ledger.accepted(registered("prsn_new", username_hash=f"u-{ADA}", email_hash=f"e-{ADA}"))


def test_a_person_who_is_deleted_is_not_deleted_again() -> None:
    ledger = after(*APPROVED, by_administrator(DeletePerson(ADA, "Asked for")))
    assert [type(event) for event in ledger.accepted(begun()).events] == [ErasureBegun]


def test_the_person_themselves_asks_and_an_administrator_approves() -> None:
    for ask in (AskForErasure("appr_1", ADA), AskForExport("appr_1", ADA)):
        after(*PEOPLE, By(by_person(ADA), ask), approved(by=ADMINISTRATOR))


@pytest.mark.parametrize("ask", [AskForErasure, AskForExport])
def test_nobody_asks_about_another_person_but_an_administrator(ask: Any) -> None:
    ledger = after(*PEOPLE)
    assert isinstance(ledger.execute_by(By(by_person(BOB), ask("appr_1", ADA))), Forbidden)
    assert isinstance(ledger.execute_by(By(by_person(BOB), ask("appr_1", "prsn_nobody"))), Forbidden)
    assert ledger.execute_by(by_administrator(ask("appr_1", "prsn_nobody"))) == Unknown("person", "prsn_nobody")


def test_who_asked_does_not_approve_with_another_token() -> None:
    """A machine is no person, and the same person is one person, whatever else the token says."""
    ledger = after(*ASKED)
    assert isinstance(ledger.execute_by(approved(by=MACHINE)), Forbidden)
    assert rule_of(ledger, approved(by=by_person("prsn_admin", "administrator", "operator"))) == "approval_by_self"


@pytest.mark.parametrize("order", [0, 1, 2], ids=["asked for", "approved", "begun"])
def test_a_hold_forbids_each_step_and_names_its_ground(order: int) -> None:
    steps = (erasure_asked(), approved(), begun())
    ledger = after(*PEOPLE, *steps[:order], placed())
    refusal = ledger.refused(steps[order])
    assert (refusal.rule, refusal.figures["ground"]) == ("legal_hold", "case-7")
    ledger.accepted(placed(ground="case-8"))
    ledger.accepted(lifted())
    assert ledger.refused(steps[order]).figures["ground"] == "case-8"
    ledger.accepted(lifted(ground="case-8"))
    ledger.accepted(steps[order])


def test_a_hold_does_not_forbid_an_export() -> None:
    after(*PEOPLE, placed(), export_asked(), approved(), exported())


def test_a_hold_comes_too_late_once_the_erasure_has_begun() -> None:
    ledger = after(*APPROVED, begun())
    for command in (placed(), erasure_asked(approval="appr_2"), export_asked(approval="appr_2"), begun()):
        assert rule_of(ledger, command) == "erasure_begun"
    assert rule_of(ledger, by_administrator(RestorePerson(ADA, "Asked for"))) == "person_erased"


def test_nobody_lifts_a_hold_about_themselves() -> None:
    ledger = after(*PEOPLE, placed())
    own = By(by_person(ADA, "administrator"), LiftLegalHold(ADA, "case-7", "It is over"))
    assert isinstance(ledger.execute_by(own), Forbidden)
    ledger.accepted(lifted())


def test_a_hold_is_placed_on_a_person_who_exists() -> None:
    ledger = after(*PEOPLE)
    assert ledger.execute_by(placed("prsn_nobody")) == Unknown("person", "prsn_nobody")
    assert ledger.execute_by(lifted("prsn_nobody")) == Unknown("person", "prsn_nobody")


@pytest.mark.parametrize("order", [0, 1, 2], ids=["asked for", "approved", "begun"])
def test_an_administrator_is_not_erased(order: int) -> None:
    steps = (erasure_asked(), approved(), begun())
    ledger = after(*PEOPLE, *steps[:order], By(MACHINE, AppointAdministrator(ADA)))
    assert rule_of(ledger, steps[order]) == "person_is_administrator"


def test_an_approval_is_used_once() -> None:
    ledger = after(*APPROVED, begun(), completed())
    assert rule_of(ledger, completed()) == "approval_unusable"
    assert rule_of(ledger, begun()) == "erasure_begun"
    ledger = after(*PEOPLE, export_asked(), approved(), exported())
    assert rule_of(ledger, exported()) == "approval_unusable"


def test_an_approval_is_for_one_thing_and_one_person() -> None:
    ledger = after(*PEOPLE, export_asked(), approved())
    assert rule_of(ledger, begun()) == "approval_unusable"
    assert rule_of(ledger, exported(BOB)) == "approval_unusable"
    ledger.accepted(exported())
    ledger = after(*APPROVED)
    assert rule_of(ledger, exported()) == "approval_unusable"
    assert rule_of(ledger, begun(BOB)) == "approval_unusable"
    assert rule_of(ledger, completed()) == "approval_unusable"  # it has not begun
    ledger.accepted(begun())


def test_an_approval_of_another_kind_is_unknown_here() -> None:
    ledger = after(*PEOPLE)
    assert ledger.execute_by(approved("appr_none")) == Unknown("approval", "appr_none")


@pytest.mark.parametrize(
    "command", [BeginErasure(ADA, "appr_1"), CompleteErasure(ADA, "appr_1", 7), RecordExport(ADA, "appr_1", 7)]
)
def test_only_the_machine_carries_out(command: Any) -> None:
    """A token of an operator has the role, and is not the machine."""
    ledger = after(*APPROVED)
    assert isinstance(ledger.execute_by(By(PRINCIPAL, command)), Forbidden)
    assert forbid(ADMINISTRATOR, command, NOW) is not None
    assert forbid(MACHINE, command, NOW) is None


@pytest.mark.parametrize(
    "command",
    [PlaceLegalHold(ADA, "case-7", "why"), LiftLegalHold(ADA, "case-7", "why"), ApprovePrivacyRequest("appr_1")],
)
def test_holds_and_approvals_are_for_administrators(command: Any) -> None:
    assert forbid(ADMINISTRATOR, command, NOW) is None
    for other in (PRINCIPAL, VISITOR, by_person(ADA)):
        assert forbid(other, command, NOW) is not None


# What verify holds stored events to


def found_in(before: PrivacyRecord | None, *events: Any) -> list[str]:
    """What the check of the aggregate says."""
    return [one.what for one in check(before, events, MemoryLedger().decided)]


def test_verify_finds_an_erasure_under_a_hold_and_one_without_an_approval() -> None:
    held = PrivacyRecord(1, STREAM, holds=("case-7",), erasure="appr_1")
    assert "legal hold case-7" in found_in(held, ErasureBegun(STREAM, 2, "appr_1"))[0]
    free = PrivacyRecord(1, STREAM, erasure="appr_1")
    assert found_in(free, ErasureBegun(STREAM, 2, "appr_1")) == []
    assert "used, replaced or not given" in found_in(free, ErasureBegun(STREAM, 2, "appr_2"))[0]
    assert "used, replaced or not given" in found_in(free, PersonExported(STREAM, 2, "appr_1", 7))[0]
    begun_before = PrivacyRecord(1, STREAM, begun="appr_1")
    assert "has begun" in found_in(begun_before, LegalHoldPlaced(STREAM, 2, ADA, "case-7", "why"))[0]
    assert "an event about prsn_bob" in found_in(None, LegalHoldPlaced(STREAM, 1, BOB, "case-7", "why"))[0]


def test_verify_finds_names_that_are_released_without_an_erasure_and_the_reverse() -> None:
    ledger = after(*APPROVED, begun())
    unit = ledger.accepted(completed())
    assert isinstance(unit, Accepted)
    erased, username, email = unit.events
    assert check_unit(unit.events, ledger.decided) == []
    assert [one.event for one in check_unit((username, email), ledger.decided)] == [username, email]
    assert [one.event for one in check_unit((erased, username), ledger.decided)] == [erased]
    foreign = ClaimReleased(username_claim("u-prsn_bob"), 2, BOB)
    assert [one.event for one in check_unit((*unit.events, foreign), ledger.decided)] == [foreign]


def test_verify_finds_an_approval_that_stands_alone() -> None:
    ledger = after(*PEOPLE)
    event = ErasureApproved(STREAM, 1, "appr_1")
    assert [one.what for one in check_unit((event,), ledger.decided)] == ["the unit does not approve appr_1"]
