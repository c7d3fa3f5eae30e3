"""The process that matches a session by the rules, folded from events alone and on a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import pytest

from domain.accounts.reconciliation.events import (
    EntryName,
    ReconciliationAbandoned,
    ReconciliationRunAsked,
    ReconciliationRunFinished,
)
from domain.accounts.reconciliation.match import MatchByHand, MatchByRules, ReconciliationMatch
from domain.accounts.reconciliation.matching import propose
from domain.accounts.reconciliation.part import ReconciliationPart
from domain.accounts.reconciliation.process import MANAGER, PROPOSED_MATCHES, TOO_MANY_ENTRIES
from domain.accounts.reconciliation.session import (
    CloseReconciliation,
    FinishRun,
    Reconciliation,
    ReopenReconciliation,
    RunReconciliation,
)
from domain.accounts.transaction import Deposit
from domain.kernel import Event
from domain.process_manager import BACK_OFF, NOTHING, Answered, Due, Fact, Happened, Question, Reaction, Retried
from tests.samples.accounts.reconciliation import READY, brought, free_entries, line
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger
from tests.support.memory_processes import MemoryProcesses

MOST = 2
"""Matches of a command in these tests, so that a session takes several."""
ASKS = Reaction((Question(PROPOSED_MATCHES, {"reconciliation": "recon_1"}),))


def reading(ledger: MemoryLedger, note: Callable[[], None] = lambda: None) -> Any:
    """Answers the question from the states of a ledger, as the query does from tables."""

    def read(arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
        session: Reconciliation = ledger[str(arguments["reconciliation"])]
        parts = [ledger[stream] for stream in session.part_streams]
        lines = [one.outside for part in parts for one in part.unmatched if not one.by_hand]
        proposed = propose(lines, free_entries(ledger, session.account), session.days_apart)
        first = proposed.proposals[:MOST]
        note()
        return {
            "proposals": msgspec.json.encode(first).decode(),
            "ambiguous": msgspec.json.encode(() if first else proposed.ambiguous).decode(),
            "too_many": False,
        }

    return read


def processes(*commands: Any, note: Callable[[MemoryLedger], None] = lambda ledger: None) -> MemoryProcesses:
    ledger = MemoryLedger()
    ledger.open_internal()
    for command in (*READY, *commands):
        ledger.accepted(command)
    made = MemoryProcesses(ledger, (MANAGER,), {PROPOSED_MATCHES: reading(ledger, lambda: note(ledger))})
    made.fold()
    return made


DEPOSITS = tuple(Deposit(f"txn_r{n}", "acct_a", 10 + n, "EUR", TODAY, f"R-{n}") for n in range(5))
LINES = tuple(line(10 + n, f"R-{n}") for n in range(5))


def matches(made: MemoryProcesses) -> dict[str | None, tuple[int, ...]]:
    """The matches that are not undone: the first transaction and the lines of each."""
    found = made.ledger.of(ReconciliationMatch)
    return {one.entries[0].transaction: one.lines for one in found if not one.undone}


def test_a_session_is_matched_in_rounds_until_nothing_is_left() -> None:
    made = processes(*DEPOSITS, brought(*LINES, line(500), line(500), line(7)))
    made.settle()
    assert matches(made) == {f"txn_r{n}": (n + 1,) for n in range(5)}
    finished = [event for event in made.ledger.log if isinstance(event, ReconciliationRunFinished)]
    assert [event.ambiguous for event in finished] == [(6, 7)]
    [row] = made.tracked.values()
    assert row.state.step == "ended"


def test_what_was_posted_later_is_matched_by_another_run() -> None:
    made = processes(brought(*LINES))
    made.settle()
    assert matches(made) == {}
    for deposit in DEPOSITS:
        made.ledger.accepted(deposit)
    made.ledger.accepted(RunReconciliation("recon_1"))
    made.fold()
    made.settle()
    assert len(matches(made)) == 5


def test_workers_that_read_the_same_rows_and_restarts_match_once() -> None:
    made = processes(*DEPOSITS, brought(*LINES))
    late = made.rows()
    made.settle(late=late)
    again = made.restarted()
    again.settle()
    assert len(made.ledger.of(ReconciliationMatch)) == 5
    assert sum(isinstance(event, ReconciliationRunFinished) for event in made.ledger.log) == 1


def test_a_person_who_matches_between_question_and_command_wins() -> None:
    by_hand = MatchByHand("recon_1", "reconmch_1", (1,), (EntryName("txn_r0", 2),))
    done: list[bool] = []

    def meanwhile(ledger: MemoryLedger) -> None:
        if not done:
            done.append(True)
            ledger.accepted(by_hand)

    made = processes(*DEPOSITS, brought(*LINES), note=meanwhile)
    made.settle()
    assert matches(made) == {f"txn_r{n}": (n + 1,) for n in range(5)}
    assert made.ledger["reconmch_1"].lines == (1,)


def test_a_session_that_is_closed_meanwhile_is_left_alone_and_goes_on_once_it_is_reopened() -> None:
    def meanwhile(ledger: MemoryLedger) -> None:
        if ledger["recon_1"].status == "open" and not ledger.of(ReconciliationMatch):
            ledger.accepted(CloseReconciliation("recon_1", "not now"))

    made = processes(*DEPOSITS, brought(*LINES), note=meanwhile)
    made.settle()
    assert matches(made) == {}
    made.queries = {PROPOSED_MATCHES: reading(made.ledger)}
    made.ledger.accepted(ReopenReconciliation("recon_1", "now"))
    made.ledger.accepted(RunReconciliation("recon_1"))
    made.fold()
    made.settle()
    assert len(matches(made)) == 5
    assert not any(part.unmatched for part in made.ledger.of(ReconciliationPart))


# Folded from events alone

ASKED = Happened("proc_1", "event:1", ReconciliationRunAsked("recon_1", 2, "tester"))
FIGURES: Mapping[str, Fact] = {
    "proposals": '[{"rule":"reference","lines":[1],"entries":[{"transaction":"txn_1","entry":2}]}]',
    "ambiguous": "[]",
    "too_many": False,
}


def answered(intent: Any, rule: str | None = None, figures: Mapping[str, Fact] | None = None) -> Answered:
    outcome: Any = "accepted" if rule is None else "refused"
    return Answered("proc_1", f"answer:{rule}:1", intent, outcome, rule, figures or {}, NOW)


def state_after(*triggers: Any) -> Any:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state


def reaction_after(*triggers: Any) -> Reaction:
    return MANAGER.react(state_after(*triggers), triggers[-1])


PROPOSES = answered(ASKS.intents[0], figures=FIGURES)
COMMAND = MatchByRules("recon_1", ())


def test_question_command_question() -> None:
    assert reaction_after(ASKED) == ASKS
    [sent] = reaction_after(ASKED, PROPOSES).intents
    assert (sent.reconciliation, len(sent.matches), sent.matches[0].lines) == ("recon_1", 1, (1,))
    assert reaction_after(ASKED, PROPOSES, answered(sent)) == ASKS
    nothing = answered(ASKS.intents[0], figures={"proposals": "[]", "ambiguous": "[3]", "too_many": False})
    assert reaction_after(ASKED, nothing) == Reaction((FinishRun("recon_1", (3,)),))
    assert state_after(ASKED, nothing, answered(FinishRun("recon_1", (3,)))).step == "ended"


def test_what_is_refused_is_tried_again_and_then_somebody_is_asked() -> None:
    triggers: list[Any] = [ASKED]
    for wait in BACK_OFF:
        triggers += [PROPOSES, answered(COMMAND, "nothing_matched")]
        assert MANAGER.due(state_after(*triggers)) == NOW + wait
        assert reaction_after(*triggers) == NOTHING
        triggers.append(Due("proc_1", "due:1", NOW))
        assert reaction_after(*triggers) == ASKS
    triggers += [PROPOSES, answered(COMMAND, "nothing_matched")]
    assert reaction_after(*triggers) == Reaction(attention="nothing_matched")
    assert reaction_after(*triggers, Retried("proc_1", "retry:1")) == ASKS


def test_an_account_with_too_many_entries_needs_attention() -> None:
    many = answered(ASKS.intents[0], figures={"proposals": "[]", "ambiguous": "[]", "too_many": True})
    assert reaction_after(ASKED, many) == Reaction(attention=TOO_MANY_ENTRIES)
    assert reaction_after(ASKED, many, Retried("proc_1", "retry:1")) == ASKS


@pytest.mark.parametrize("event", [ReconciliationAbandoned("recon_1", 3, "tester", "why")])
def test_the_end_of_a_session_ends_its_process(event: Event) -> None:
    ended = Happened("proc_1", "event:2", event)
    assert state_after(ASKED, ended).step == "ended"
    assert reaction_after(ASKED, ended, PROPOSES) == NOTHING
    assert state_after(ASKED, PROPOSES, answered(COMMAND, "reconciliation_status")).step == "ended"
    late: datetime | None = MANAGER.due(state_after(ASKED, ended))
    assert late is None
