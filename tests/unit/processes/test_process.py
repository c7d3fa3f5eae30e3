"""The aggregate process: an intent is carried out while it is open, and its answer is in the unit."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from domain.kernel import Accepted, Forbidden, Principal, Refused, States
from domain.posts.post import ArchivePost, DraftPost, PostDrafted
from domain.posts.publication import MANAGER
from domain.process_manager import RecordedIntent
from domain.processes.process import (
    MOST_OPEN,
    TOO_MANY_INTENTS,
    AnswerFigure,
    CarryOut,
    OpenIntent,
    Process,
    ProcessAnswered,
    ProcessReacted,
    ProcessResolved,
    ProcessRetried,
    RecordFigures,
    RecordReaction,
    ResolveProcess,
    RetryProcess,
    carry_out,
)
from domain.registry import forbid
from tests.support.given import given, refusal
from tests.support.memory_ledger import NOW, MemoryLedger

INTENT = RecordedIntent("command", "DraftPost", "{}")
DRAFT = DraftPost("post_1", "author-1", "Title", "Body")


def reacted(version: int = 1, *, intents: int = 1, **more: Any) -> ProcessReacted:
    calm = ProcessReacted("proc_1", version, "relay", "acct_1", f"due:{version}", NOW, 0, (INTENT,) * intents, None)
    return replace(calm, **more)


def answered(version: int, number: int, outcome: Any = "accepted", rule: str | None = None) -> ProcessAnswered:
    return ProcessAnswered("proc_1", version, 1, number, outcome, rule, (), NOW)


def record(round: int, intents: tuple[RecordedIntent, ...] = (INTENT,)) -> RecordReaction:
    return RecordReaction("proc_1", "relay", "acct_1", "due:9", NOW, round, intents, None)


def test_the_answer_is_in_the_unit_of_the_command() -> None:
    drafted = PostDrafted("post_1", 1, "author-1", "Title", "Body")
    given(reacted()).when(CarryOut("proc_1", 1, 1, DRAFT)).then(drafted, answered(2, 1))


def test_a_refused_command_is_answered_too() -> None:
    ledger = given(reacted()).ledger
    refused = ledger.refused(CarryOut("proc_1", 1, 1, ArchivePost("post_1")))
    assert refused.rule == "intent_impossible"
    assert refused.events == (answered(2, 1, "refused", "intent_impossible"),)
    assert ledger["proc_1"].open == ()


def test_what_is_forbidden_is_refused_so_that_the_answer_is_recorded() -> None:
    def no(command: Any, states: States, context: Any) -> Forbidden:
        return Forbidden("Not you.")

    ledger = given(reacted()).ledger
    decision = carry_out(CarryOut("proc_1", 1, 1, DRAFT), ledger.states, ledger.context, no)
    assert isinstance(decision, Refused)
    assert (decision.rule, decision.figures) == ("intent_impossible", {"why": "Not you."})
    assert decision.events == (answered(2, 1, "refused", "intent_impossible"),)


def test_an_intent_is_carried_out_once() -> None:
    closed = refusal("intent_closed", process="proc_1", reaction=1, number=1)
    again = CarryOut("proc_1", 1, 1, DRAFT)
    given(reacted(), answered(2, 1)).when(again).then(closed)
    given(reacted(), ProcessResolved("proc_1", 2, "ada", "why")).when(again).then(closed)
    given().when(again).then(closed)
    given(reacted(intents=2), answered(2, 1)).when(again).then(closed)
    given(reacted(intents=2), answered(2, 2)).when(RecordFigures("proc_1", 1, 1, (AnswerFigure("n", 1),))).then(
        replace(answered(3, 1), figures=(AnswerFigure("n", 1),))
    )


def test_a_reaction_from_before_a_resolution_is_refused() -> None:
    resolved = ProcessResolved("proc_1", 2, "ada", "why")
    given(reacted(), resolved).when(record(0)).then(refusal("process_resolved", process="proc_1"))
    given(reacted(), resolved).when(record(1)).then(reacted(3, round=1, trigger="due:9"))
    given().when(record(1)).then(refusal("process_resolved", process="proc_1"))


def test_a_process_has_a_bounded_number_of_open_intents() -> None:
    full = [reacted(version, intents=50) for version in range(1, 1 + MOST_OPEN // 50)]
    free = [*full[:-1], reacted(len(full), intents=49)]
    version = len(full) + 1
    given(*free).when(record(0)).then(reacted(version, trigger="due:9"))
    given(*full).when(record(0)).then(reacted(version, trigger="due:9", intents=0, attention=TOO_MANY_INTENTS))


def test_an_operator_can_retry_what_needs_attention_and_resolve_anything() -> None:
    retry, resolve = RetryProcess("proc_1", "why"), ResolveProcess("proc_1", "why")
    needy = reacted(attention="slug_taken")
    given(needy).when(retry).then(ProcessRetried("proc_1", 2, "tester", "why"))
    given(needy, ProcessRetried("proc_1", 2, "ada", "why")).when(retry).then(refusal("process_calm"))
    given(reacted()).when(resolve).then(ProcessResolved("proc_1", 2, "tester", "why"))
    given(reacted(), ProcessResolved("proc_1", 2, "ada", "why")).when(resolve).then(refusal("process_resolved"))


def test_attention_stays_until_somebody_looks() -> None:
    ledger = given(reacted(attention="slug_taken"), reacted(2)).ledger
    assert ledger["proc_1"] == Process(
        2, "proc_1", "relay", "acct_1", (OpenIntent(1, 1), OpenIntent(2, 1)), "slug_taken"
    )


def test_the_permission_is_that_of_the_command() -> None:
    process = Principal("process:publication", ("command", "process"))
    scheduled = next(iter(MANAGER.sends))("post_1", "slug", NOW)
    assert forbid(process, CarryOut("proc_1", 1, 1, scheduled), NOW) is None
    assert forbid(process, CarryOut("proc_1", 1, 1, RetryProcess("proc_2", "why")), NOW) == Forbidden(
        "RetryProcess is for operator; process:publication has command, process."
    )
    assert forbid(Principal("ada", ("operator",)), scheduled, NOW) is not None


def test_a_unit_with_an_answer_folds() -> None:
    ledger = MemoryLedger()
    ledger.record((reacted(),))
    decision = ledger.accepted(CarryOut("proc_1", 1, 1, DRAFT))
    assert isinstance(decision, Accepted)
    ledger.check()
