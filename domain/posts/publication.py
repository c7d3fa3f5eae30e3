"""The process manager publication: it publishes a scheduled post when its time has come.

A process is about one post. It waits for the time, sends `PublishScheduledPost`, and tries again for a while if the
slug is in use. Then an operator has to look. A post that was rescheduled meanwhile begins again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.kernel import Event, Value
from domain.posts.post import PostDeleted, PostPublished, PostScheduled, PostUnscheduled, PublishScheduledPost
from domain.process_manager import (
    NOTHING,
    Answered,
    Due,
    Happened,
    ProcessManager,
    Reaction,
    Retried,
    Trigger,
    again,
)

MAY_CHANGE = frozenset({"slug_taken", "post_too_early"})
"""Rules whose refusal may change. After any other one there is nothing to publish any more."""

Step = Literal["scheduled", "publishing", "blocked", "published", "dropped"]


class Publication(Value, frozen=True):
    """The publication of a post that was scheduled."""

    step: Step
    post: str
    slug: str
    publish_at: datetime
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def evolve(state: Publication | None, trigger: Trigger) -> Publication:
    match trigger:
        case Happened(event=PostScheduled(originator_id=post, slug=slug, publish_at=at)):
            return Publication("scheduled", post, slug, at, next_at=at)
        case Happened(event=PostPublished()):
            return replace(_begun(state), step="published", next_at=None)
        case Happened(event=PostUnscheduled() | PostDeleted()):
            return replace(_begun(state), step="dropped", next_at=None)
        case Due() | Retried():
            begun = _begun(state)
            return begun if begun.step in ENDS else replace(begun, step="publishing", next_at=None)
        case Answered():
            return _answered(_begun(state), trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of a publication")


def _begun(state: Publication | None) -> Publication:
    if state is None:
        raise ValueError("a publication begins with PostScheduled")
    return state


def _answered(state: Publication, answer: Answered) -> Publication:
    if state.step != "publishing" or answer.intent != _intended(state):
        return state  # the answer is about an earlier schedule, or the post was published otherwise
    if answer.outcome == "accepted":
        return replace(state, step="published")
    if answer.rule not in MAY_CHANGE:
        return replace(state, step="dropped")
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, refused=refused, next_at=next_at)


def react(state: Publication, trigger: Trigger) -> Reaction:
    if isinstance(trigger, Due | Retried) and state.step == "publishing":
        return Reaction((_intended(state),))
    if isinstance(trigger, Answered) and state.step == "blocked" and trigger.intent == _intended(state):
        return Reaction(attention=trigger.rule)
    return NOTHING


def _intended(state: Publication) -> PublishScheduledPost:
    return PublishScheduledPost(state.post, state.slug, state.publish_at)


def _of_its_post(event: Event) -> tuple[str, ...]:
    return (event.originator_id,)


ENDS = frozenset({"published", "dropped"})

MANAGER = ProcessManager(
    name="publication",
    state=Publication,
    begins={PostScheduled: _of_its_post},
    concerns={PostUnscheduled: _of_its_post, PostPublished: _of_its_post, PostDeleted: _of_its_post},
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=ENDS,
    sends=(PublishScheduledPost,),
)
