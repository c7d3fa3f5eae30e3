"""The process manager reconciliation: it matches the lines of a session by the rules, until they match nothing more.

It asks what the rules propose, which the worker answers from read tables that have passed the position of the question,
and intends a command with some of that. The command is decided on the streams of the lines, transactions and claims, so
what has changed meanwhile is not matched. Then it asks again. Each round matches something, so it ends.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from domain.accounts.reconciliation.events import (
    ReconciliationAbandoned,
    ReconciliationClosed,
    ReconciliationOpened,
    ReconciliationRunAsked,
    ReconciliationRunFinished,
    SessionEvent,
)
from domain.accounts.reconciliation.match import MatchByRules, ProposedMatch
from domain.accounts.reconciliation.matching import Proposal
from domain.accounts.reconciliation.session import FinishRun
from domain.accounts.reconciliation.statement import MATCH
from domain.kernel import Value
from domain.process_manager import (
    NOTHING,
    Answered,
    Due,
    Happened,
    ProcessManager,
    Question,
    Reaction,
    Retried,
    Trigger,
    again,
)

PROPOSED_MATCHES: Final = "proposed_matches"
"""The query that it asks, with the `reconciliation`: a JSON array of `Proposal` in `proposals`, the first ones of all.
Without any, `ambiguous` has a JSON array of the numbers of lines. `too_many` is true if the account has more entries in
the period than are looked through."""
TOO_MANY_ENTRIES: Final = "reconciliation_too_many_entries"
"""The cause for attention where nothing can be proposed."""
OVER = frozenset({"reconciliation_status"})
"""Rules whose refusal means that there is nothing to do any more."""

Step = Literal["asking", "matching", "finishing", "waiting", "blocked", "ended"]


class Matching(Value, frozen=True):
    """How far the lines of a session are matched by the rules."""

    step: Step
    reconciliation: str
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def evolve(state: Matching | None, trigger: Trigger) -> Matching:
    """Return how far the session is after the trigger."""
    if isinstance(trigger, Happened) and isinstance(trigger.event, ReconciliationOpened | ReconciliationRunAsked):
        return Matching("asking", trigger.event.originator_id)
    if state is None:
        raise ValueError("the matching of a session begins with ReconciliationOpened or ReconciliationRunAsked")
    match trigger:
        case Happened():
            return replace(state, step="ended", next_at=None)
        case Due() if state.step == "waiting":
            return replace(state, step="asking", next_at=None)
        case Retried() if state.step == "blocked":
            return replace(state, step="asking", refused=0)
        case Answered(intent=Question()) if state.step == "asking":
            if trigger.figures["too_many"]:
                return replace(state, step="blocked")
            return replace(state, step="matching" if _proposals(trigger) else "finishing")
        case Answered(intent=MatchByRules() | FinishRun()) if state.step in ("matching", "finishing"):
            return _answered(state, trigger)
    return state


def _answered(state: Matching, answer: Answered) -> Matching:
    if answer.outcome == "accepted":
        return replace(state, step="asking" if state.step == "matching" else "ended", refused=0)
    if answer.rule in OVER:
        return replace(state, step="ended")
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, step="waiting", refused=refused, next_at=next_at)


def react(state: Matching, trigger: Trigger) -> Reaction:
    """Return the question, the matches to make, the end of the run, or the cause for attention."""
    match trigger:
        case Answered(intent=Question(), figures=figures):
            if state.step == "matching":
                return Reaction((MatchByRules(state.reconciliation, _proposals(trigger)),))
            if state.step == "finishing":
                ambiguous = msgspec.json.decode(str(figures["ambiguous"]), type=tuple[int, ...])
                return Reaction((FinishRun(state.reconciliation, ambiguous),))
            return Reaction(attention=TOO_MANY_ENTRIES) if state.step == "blocked" else NOTHING
        case Answered() if state.step == "blocked":
            return Reaction(attention=trigger.rule)
    if state.step == "asking":
        return Reaction((Question(PROPOSED_MATCHES, {"reconciliation": state.reconciliation}),))
    return NOTHING


def _proposals(answer: Answered) -> tuple[ProposedMatch, ...]:
    proposals = msgspec.json.decode(str(answer.figures["proposals"]), type=tuple[Proposal, ...])
    return tuple(
        ProposedMatch(answer.id(MATCH, number), one.rule, one.lines, one.entries)
        for number, one in enumerate(proposals, 1)
    )


def _its_session(event: SessionEvent) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="reconciliation",
    state=Matching,
    begins={ReconciliationOpened: _its_session, ReconciliationRunAsked: _its_session},
    concerns={
        ReconciliationRunFinished: _its_session,
        ReconciliationClosed: _its_session,
        ReconciliationAbandoned: _its_session,
    },
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(MatchByRules, FinishRun),
    asks=(PROPOSED_MATCHES,),
)
