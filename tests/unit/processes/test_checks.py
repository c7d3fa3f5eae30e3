"""What `verify` finds of processes, schedules and holds that expire: events just inside and outside the rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import HoldExpired, HoldPlaced
from domain.kernel import Event
from domain.posts.post import MOST_AHEAD, PostDrafted, PostScheduled, PostUnscheduled
from domain.process_manager import RecordedIntent
from domain.processes.process import ProcessAnswered, ProcessReacted, ProcessResolved, ProcessRetried
from tests.support.checking import broken
from tests.support.given import given
from tests.support.memory_ledger import NOW
from tests.unit.accounts.test_holds import FUNDED

MOMENT = timedelta(microseconds=1)
INTENT = RecordedIntent("command", "DraftPost", "{}")
REACTED = ProcessReacted("proc_1", 1, "relay", "acct_1", "due:1", NOW, 0, (INTENT,), None)
NEEDY = replace(REACTED, attention="why")
ANSWERED = ProcessAnswered("proc_1", 2, 1, 1, "accepted", None, (), NOW)
RETRIED = ProcessRetried("proc_1", 2, "ada", "why")
RESOLVED = ProcessResolved("proc_1", 2, "ada", "why")
DRAFTED = PostDrafted("post_1", 1, "author-1", "Title", "Body")


def held(expires_at: datetime | None) -> HoldPlaced:
    return HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", None, {}, expires_at)


def scheduled(publish_at: datetime) -> PostScheduled:
    return PostScheduled("post_1", 2, "on-ledgers", publish_at)


@pytest.mark.parametrize(
    ("before", "event", "what"),
    [
        ((), REACTED, None),
        ((), replace(REACTED, round=1), "what it intended before is dropped"),
        ((REACTED,), replace(REACTED, originator_version=2), None),
        ((REACTED,), replace(REACTED, originator_version=2, manager="other"), "not of other about acct_1"),
        ((REACTED,), replace(REACTED, originator_version=2, stream="acct_2"), "not of relay about acct_2"),
        ((REACTED, RESOLVED), replace(REACTED, originator_version=3), "what it intended before is dropped"),
        ((REACTED, RESOLVED), replace(REACTED, originator_version=3, round=1), None),
        ((REACTED,), ANSWERED, None),
        ((REACTED,), replace(ANSWERED, number=2), "Intent 2 of reaction 1 of process proc_1 was answered or dropped"),
        ((REACTED, ANSWERED), replace(ANSWERED, originator_version=3), "was answered or dropped"),
        ((REACTED, RESOLVED), replace(ANSWERED, originator_version=3), "was answered or dropped"),
        ((REACTED,), replace(ANSWERED, outcome="refused", rule="slug_taken"), None),
        ((REACTED,), replace(ANSWERED, outcome="refused"), "is refused by the rule None"),
        ((REACTED,), replace(ANSWERED, rule="slug_taken"), "is accepted by the rule slug_taken"),
        ((NEEDY,), RETRIED, None),
        ((REACTED,), RETRIED, "needs no attention"),
        ((REACTED,), RESOLVED, None),
        ((REACTED, RESOLVED), replace(RESOLVED, originator_version=3), "was resolved"),
        ((DRAFTED,), scheduled(NOW), None),
        ((DRAFTED,), scheduled(NOW - MOMENT), "can be scheduled for a time from"),
        ((DRAFTED,), scheduled(NOW + MOST_AHEAD), None),
        ((DRAFTED,), scheduled(NOW + MOST_AHEAD + MOMENT), "can be scheduled for a time from"),
        ((DRAFTED, scheduled(NOW)), PostUnscheduled("post_1", 3), None),
        ((DRAFTED,), PostUnscheduled("post_1", 2), "is not scheduled"),
        ((*FUNDED, held(NOW)), HoldExpired("acct_1", 4, "hold_1", 300, "EUR"), None),
        (
            (*FUNDED, held(NOW + MOMENT)),
            HoldExpired("acct_1", 4, "hold_1", 300, "EUR"),
            "ends at 2026-11-21T12:00:00.0",
        ),
        ((*FUNDED, held(None)), HoldExpired("acct_1", 4, "hold_1", 300, "EUR"), "ends at no time"),
        ((*FUNDED, held(NOW)), HoldExpired("acct_1", 4, "hold_1", 299, "EUR"), "reserves 300 minor units"),
        ((*FUNDED,), HoldExpired("acct_1", 3, "hold_1", 300, "EUR"), "has no open hold hold_1"),
    ],
)
def test_an_event_is_held_to_the_rules(before: tuple[Any, ...], event: Event, what: str | None) -> None:
    ledger = given(*before).ledger
    found = [one for _, one in broken(ledger.states, (event,), ledger.decided)]
    if what is None:
        assert found == []
    else:
        [sentence] = found
        assert what in sentence
