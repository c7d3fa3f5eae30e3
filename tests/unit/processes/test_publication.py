"""A publication from its schedule to its end, folded from events alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.kernel import Event
from domain.posts.post import PostDeleted, PostPublished, PostScheduled, PostUnscheduled, PublishScheduledPost
from domain.posts.publication import MANAGER
from domain.process_manager import BACK_OFF, recorded
from domain.processes.process import ProcessAnswered, ProcessReacted, ProcessResolved, ProcessRetried
from projections.engine.projection import RecordedEvent
from projections.processes.fold import MOST_PENDING, TOO_MANY_REACTIONS, Tracked, advance, reaction_when_due
from tests.support.memory_ledger import NOW

LATER = NOW + timedelta(hours=2)
SCHEDULED = PostScheduled("post_1", 2, "on-ledgers", NOW)
INTENT = recorded(MANAGER, PublishScheduledPost("post_1", "on-ledgers", NOW))
PROCESS = MANAGER.process_of(SCHEDULED)


class Course:
    """The process of post_1, event by event. The positions are 1, 2, 3 …"""

    def __init__(self, *events: Event) -> None:
        self.position = self.version = 0
        self.now: Any = None
        for event in events:
            self.happens(event)

    def happens(self, event: Event) -> Tracked:
        """An event of the post, or of the process."""
        assert PROCESS is not None
        self.position += 1
        one = RecordedEvent(self.position, f"t{self.position}", event)
        self.now = advance(self.now, PROCESS, MANAGER, one)
        tracked: Tracked = self.now
        return tracked

    def reacts(self, trigger: str, *intents: Any, due_at: datetime | None = None, **more: Any) -> Tracked:
        """The worker records a reaction."""
        self.version += 1
        fields = {"round": 0, "attention": None} | more
        event = ProcessReacted(
            PROCESS or "", self.version, "publication", "post_1", trigger, due_at, intents=intents, **fields
        )
        return self.happens(event)

    def comes_due(self) -> Tracked:
        """The worker records the reaction to the due time."""
        made = reaction_when_due(MANAGER, self.now)
        return self.reacts(made.trigger, *made.intents, due_at=made.due_at, attention=made.attention)

    def is_answered(self, outcome: Any = "accepted", rule: str | None = None, at: datetime = NOW) -> Tracked:
        """The last intent is answered."""
        self.version += 1
        reaction = self.now.open[-1].reaction
        return self.happens(ProcessAnswered(PROCESS or "", self.version, reaction, 1, outcome, rule, (), at))


def test_a_post_is_published_when_its_time_has_come() -> None:
    course = Course(SCHEDULED)
    assert (course.now.status, course.now.step, course.now.due_at) == ("waiting", "scheduled", NOW)
    made = reaction_when_due(MANAGER, course.now)
    assert (made.trigger, made.intents, made.due_at) == ("due:1", (INTENT,), NOW)
    working = course.comes_due()
    assert (working.status, working.step, working.due_at) == ("working", "publishing", None)
    course.happens(PostPublished("post_1", 3, "on-ledgers"))
    done = course.is_answered()
    assert (done.status, done.step, done.open, done.last_answer) == ("done", "published", (), "accepted")
    assert done.since == "t4"


@pytest.mark.parametrize(
    ("event", "step"),
    [
        (PostUnscheduled("post_1", 3), "dropped"),
        (PostDeleted("post_1", 3, "author-1", "why"), "dropped"),
        (PostPublished("post_1", 3, "elsewhere"), "published"),
    ],
)
def test_what_ends_the_schedule_ends_the_process(event: Event, step: str) -> None:
    course = Course(SCHEDULED, event)
    assert (course.now.status, course.now.step, course.now.due_at) == ("done", step, None)


def test_a_refusal_that_may_change_is_tried_again_and_then_needs_attention() -> None:
    course = Course(SCHEDULED)
    at = NOW
    for pause in BACK_OFF:
        course.comes_due()
        waiting = course.is_answered("refused", "slug_taken", at)
        assert (waiting.status, waiting.due_at) == ("waiting", at + pause)
        at += pause
    course.comes_due()
    blocked = course.is_answered("refused", "slug_taken", at)
    [pending] = blocked.pending
    assert (blocked.step, pending.attention, pending.intents) == ("blocked", "slug_taken", ())
    needy = course.reacts(pending.trigger, attention=pending.attention)
    assert (needy.status, needy.cause, needy.attempts) == ("attention", "slug_taken", len(BACK_OFF) + 1)

    course.version += 1
    retried = course.happens(ProcessRetried(PROCESS or "", course.version, "ada", "why"))
    assert (retried.status, retried.cause, retried.attempts) == ("working", None, 0)
    [pending] = retried.pending
    assert (pending.trigger, pending.intents) == (f"retry:{course.version}", (INTENT,))


def test_a_refusal_that_will_not_change_ends_it() -> None:
    course = Course(SCHEDULED)
    course.comes_due()
    done = course.is_answered("refused", "post_rescheduled")
    assert (done.status, done.step, done.last_answer) == ("done", "dropped", "post_rescheduled")


def test_another_schedule_begins_again_also_while_the_first_is_carried_out() -> None:
    course = Course(SCHEDULED)
    course.comes_due()
    course.happens(PostScheduled("post_1", 3, "elsewhere", LATER))
    waiting = course.is_answered("refused", "post_rescheduled")
    assert (waiting.status, waiting.step, waiting.due_at) == ("waiting", "scheduled", LATER)


def test_a_due_time_that_was_replaced_meanwhile_changes_nothing() -> None:
    """A worker reads that the time has come. Before it records that, the post gets another time."""
    course = Course(SCHEDULED)
    late = reaction_when_due(MANAGER, course.now)
    course.happens(PostScheduled("post_1", 3, "elsewhere", LATER))
    working = course.reacts(late.trigger, *late.intents, due_at=late.due_at)
    assert (working.step, working.due_at, working.timer) == ("scheduled", LATER, 2)
    waiting = course.is_answered("refused", "post_rescheduled")
    assert (waiting.status, waiting.due_at) == ("waiting", LATER)


def test_the_same_time_again_is_another_timer() -> None:
    course = Course(SCHEDULED)
    first = reaction_when_due(MANAGER, course.now).trigger
    course.happens(PostUnscheduled("post_1", 3))
    course.happens(PostScheduled("post_1", 4, "on-ledgers", NOW))
    assert course.now.due_at == NOW
    assert reaction_when_due(MANAGER, course.now).trigger != first


def test_attention_that_comes_late_is_not_about_another_schedule() -> None:
    course = Course(SCHEDULED)
    at = NOW
    for pause in (*BACK_OFF, timedelta(0)):
        course.comes_due()
        course.is_answered("refused", "slug_taken", at)
        at += pause
    [pending] = course.now.pending
    course.happens(PostScheduled("post_1", 3, "elsewhere", LATER))
    waiting = course.reacts(pending.trigger, attention=pending.attention)
    assert (waiting.status, waiting.cause) == ("waiting", None)


def test_a_resolved_process_waits_for_another_schedule() -> None:
    course = Course(SCHEDULED)
    course.comes_due()
    course.version += 1
    resolved = course.happens(ProcessResolved(PROCESS or "", course.version, "ada", "why"))
    assert (resolved.status, resolved.state, resolved.open, resolved.due_at) == ("done", None, (), None)
    course.happens(PostPublished("post_1", 3, "elsewhere"))
    ignored = course.reacts("due:1", INTENT, due_at=NOW, round=0)
    assert (ignored.status, ignored.open) == ("done", ())
    late = course.reacts(course.now.due_key, due_at=NOW, round=1)
    assert (late.status, late.state) == ("done", None), "no timer is left that it could end"
    again = course.happens(PostScheduled("post_1", 4, "on-ledgers", LATER))
    assert (again.status, again.due_at, again.round) == ("waiting", LATER, 1)


def test_an_event_before_the_beginning_concerns_no_process() -> None:
    assert Course(PostPublished("post_1", 2, "elsewhere")).now is None


def test_a_process_has_a_bounded_number_of_pending_reactions() -> None:
    course = Course(SCHEDULED)
    for number in range(MOST_PENDING + 1):
        assert (course.now.cause, len(course.now.pending)) == (None, number)
        course.version += 1
        course.happens(ProcessRetried(PROCESS or "", course.version, "ada", "why"))
    assert (course.now.cause, len(course.now.pending)) == (TOO_MANY_REACTIONS, MOST_PENDING)


def test_a_reaction_from_before_a_schedule_for_the_same_time_does_not_end_its_timer() -> None:
    """A worker that lags reacts to the former schedule. The post must still be published under the new slug."""
    course = Course(SCHEDULED)
    late = reaction_when_due(MANAGER, course.now)
    course.happens(PostScheduled("post_1", 3, "another-slug", NOW))
    course.reacts(late.trigger, *late.intents, due_at=late.due_at)
    waiting = course.is_answered("refused", "post_rescheduled")
    assert (waiting.status, waiting.step, waiting.due_at) == ("waiting", "scheduled", NOW)
    again = course.comes_due()
    assert again.open[-1].intent == recorded(MANAGER, PublishScheduledPost("post_1", "another-slug", NOW))
    course.happens(PostPublished("post_1", 4, "another-slug"))
    assert course.is_answered().status == "done"
