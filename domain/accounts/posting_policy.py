"""The posting policy: what every posting has to keep, beside the limits of its accounts.

A policy decides about money, so it is on the log and not in a setting: every process reads the same one, and an
auditor can see which one was in force at a position. `daybook migrate` creates its stream in each log. Every posting
reads it. A log without the stream has `INITIAL`.
"""

from __future__ import annotations

from domain.aggregate import Aggregate, EventType
from domain.kernel import Accepted, Context, Decision, Event, Refused, States, Value, found
from domain.permissions import OPERATORS

POSTING_POLICY = "policy:posting"
"""The name of its stream. Each log has one."""
LEAST_DAYS, MOST_DAYS = 0, 36_500

# Events


class PostingPolicyCreated(Event, frozen=True):
    """The policy was created with the log. It is the first event of its stream."""

    most_days_back: int | None  # that a value date may be before today; None: any date


class PostingPolicyChanged(Event, frozen=True):
    """The policy was changed. The event has the whole policy."""

    most_days_back: int | None


PostingPolicyEvent = PostingPolicyCreated | PostingPolicyChanged

# State


class PostingPolicy(Value, frozen=True):
    """The policy at a version of its stream."""

    version: int
    most_days_back: int | None


INITIAL = PostingPolicy(version=0, most_days_back=None)
"""The policy of a log until it is changed."""


def evolve(state: PostingPolicy | None, event: PostingPolicyEvent) -> PostingPolicy:
    """Return the policy after the event."""
    return PostingPolicy(event.originator_version, event.most_days_back)


def posting_policy(states: States) -> PostingPolicy:
    """Return the policy in force. The command has its stream among its `streams`."""
    return found(states, POSTING_POLICY, PostingPolicy) or INITIAL


# Commands


class ChangePostingPolicy(Value, frozen=True):
    """Change the policy. It decides about every posting from then on."""

    most_days_back: int | None

    @property
    def streams(self) -> tuple[str, ...]:
        return (POSTING_POLICY,)


# Rules

RULES: dict[str, str] = {
    "policy_days": "A value date can be allowed {least} to {most} days back; this is {days}.",
    "policy_unchanged": "The posting policy already is what it would be changed to.",
}

# Decisions


def change(command: ChangePostingPolicy, states: States, context: Context) -> Decision:
    days = command.most_days_back
    if days is not None and not LEAST_DAYS <= days <= MOST_DAYS:
        return Refused("policy_days", {"least": LEAST_DAYS, "most": MOST_DAYS, "days": days})
    policy = posting_policy(states)
    if days == policy.most_days_back:
        return Refused("policy_unchanged", {"most_days_back": days})
    events: list[Event] = [] if policy.version else [PostingPolicyCreated(POSTING_POLICY, 1, INITIAL.most_days_back)]
    events.append(PostingPolicyChanged(POSTING_POLICY, policy.version + len(events) + 1, days))
    return Accepted(tuple(events), {"policy": POSTING_POLICY, "most_days_back": days})


AGGREGATE = Aggregate(
    name="posting_policy",
    prefix=POSTING_POLICY,
    events=(
        EventType("posting_policy.created.v1", PostingPolicyCreated),
        EventType("posting_policy.changed.v1", PostingPolicyChanged),
    ),
    evolve=evolve,
    decisions={ChangePostingPolicy: change},
    rules=RULES,
    may={ChangePostingPolicy: OPERATORS},
    initial=PostingPolicyCreated(POSTING_POLICY, 1, INITIAL.most_days_back),
)
