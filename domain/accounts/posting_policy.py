"""The posting policy: what every posting has to keep, beside the limits of its accounts.

A policy decides about money, so it is on the log and not in a setting: every process reads the same one, and an
auditor can see which one was in force at a position. `daybook migrate` creates its stream in each log. Every posting
reads it. A log without the stream has `INITIAL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import Accepted, Context, Decision, Event, Refused, States, Value
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
    """Return the policy in force. A log without its stream has `INITIAL`."""
    state = states.get(POSTING_POLICY)
    return state if isinstance(state, PostingPolicy) else INITIAL


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
    refusal = _refuse_days(days)
    if refusal is not None:
        return refusal
    policy = posting_policy(states)
    if days == policy.most_days_back:
        return Refused("policy_unchanged", {"most_days_back": days})
    events: list[Event] = [] if policy.version else [PostingPolicyCreated(POSTING_POLICY, 1, INITIAL.most_days_back)]
    events.append(PostingPolicyChanged(POSTING_POLICY, policy.version + len(events) + 1, days))
    return Accepted(tuple(events), {"policy": POSTING_POLICY, "most_days_back": days})


def _refuse_days(days: int | None) -> Refused | None:
    """Return the refusal of a number of days out of bounds, or None."""
    if days is None or LEAST_DAYS <= days <= MOST_DAYS:
        return None
    return Refused("policy_days", {"least": LEAST_DAYS, "most": MOST_DAYS, "days": days})


# What stored events are held to


def check(before: PostingPolicy | None, events: Sequence[PostingPolicyEvent], decided: Decided) -> Iterator[Broken]:
    """Find a policy that is created twice or not at first, and one that is out of bounds or did not change."""
    policy = before
    for event in events:
        refusal = _refuse_days(event.most_days_back)
        if refusal is not None:
            yield refused(event, refusal, RULES)
        if isinstance(event, PostingPolicyCreated) is not (policy is None):
            yield Broken(event, f"{POSTING_POLICY} is {'created again' if policy else 'changed before it is created'}")
        if policy is not None and policy.most_days_back == event.most_days_back:
            yield Broken(event, f"{POSTING_POLICY} is changed to what it was")
        policy = evolve(policy, event)


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
    check=check,
)
