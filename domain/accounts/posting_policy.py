"""The posting policy: what every posting has to keep, beside the limits of its accounts.

A policy decides about money, so it is on the log and not in a setting: every process reads the same one, and an
auditor can see which one was in force at a position. `daybook migrate` creates its stream in each log. Every posting
reads it. A log without the stream has `INITIAL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from domain.accounts.risk.rules import OFF, RiskRules, RiskRulesChanged, refuse_rules
from domain.accounts.risk.rules import RULES as RISK_RULES
from domain.accounts.thresholds import Threshold, thresholds
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import Accepted, Context, Decision, Event, Figure, Refused, States, Value
from domain.money import MAX_AMOUNT, show
from domain.permissions import OPERATORS

POSTING_POLICY = "policy:posting"
"""The name of its stream. Each log has one."""
LEAST_DAYS, MOST_DAYS = 0, 36_500
COUNTED: tuple[str, ...] = ("withdrawal", "transfer", "payment", "capture", "conversion")
"""The kinds of transactions that count against outgoing limits, until the policy is changed."""
MAY_COUNT: frozenset[str] = frozenset({*COUNTED, "fee", "interest", "penalty", "journal", "sweep"})
"""The kinds that a policy can let count. What undoes a transaction gives an allowance back instead."""


# Events


class PostingPolicyCreated(Event, frozen=True):
    """The policy was created with the log. It is the first event of its stream."""

    most_days_back: int | None  # that a value date may be before today; None: any date


class PostingPolicyChanged(Event, frozen=True):
    """The policy was changed. The event has the whole policy."""

    most_days_back: int | None
    counted_kinds: tuple[str, ...]  # of the transactions that count against outgoing limits
    approve_above: tuple[Threshold, ...]  # more needs another person; one a currency, in order of the currencies


class _PostingPolicyChangedV1(Value, frozen=True):
    """The policy was changed. Version 1 had no counted kinds and no amounts that need another person."""

    most_days_back: int | None


def _from_changed_v1(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "counted_kinds": COUNTED, "approve_above": []}


PostingPolicyEvent = PostingPolicyCreated | PostingPolicyChanged | RiskRulesChanged

# State


class PostingPolicy(Value, frozen=True):
    """The policy at a version of its stream."""

    version: int
    most_days_back: int | None
    counted_kinds: tuple[str, ...] = COUNTED
    approve_above: tuple[Threshold, ...] = ()
    risk: RiskRules = OFF

    def gate(self, kind: str) -> RiskRules | None:
        """Return the risk rules if they are on and hold for transactions of this kind, else None."""
        return self.risk if self.risk.on and kind in self.counted_kinds else None


INITIAL = PostingPolicy(version=0, most_days_back=None)
"""The policy of a log until it is changed."""


def evolve(state: PostingPolicy | None, event: PostingPolicyEvent) -> PostingPolicy:
    """Return the policy after the event."""
    version = event.originator_version
    if isinstance(event, PostingPolicyCreated):
        return PostingPolicy(version, event.most_days_back)
    if isinstance(event, RiskRulesChanged):
        return replace(state or INITIAL, version=version, risk=event.rules)
    risk = OFF if state is None else state.risk
    return PostingPolicy(version, event.most_days_back, event.counted_kinds, event.approve_above, risk)


def posting_policy(states: States) -> PostingPolicy:
    """Return the policy in force. A log without its stream has `INITIAL`."""
    state = states.get(POSTING_POLICY)
    return state if isinstance(state, PostingPolicy) else INITIAL


# Commands


class ChangePostingPolicy(Value, frozen=True):
    """Change the policy. It decides about every posting from then on."""

    most_days_back: int | None
    counted_kinds: tuple[str, ...] | None = None  # None: as before
    approve_above: Mapping[str, int] | None = None  # None: as before

    @property
    def streams(self) -> tuple[str, ...]:
        return (POSTING_POLICY,)


class ChangeRiskRules(Value, frozen=True):
    """Replace all risk rules. They decide about every posting from then on."""

    rules: RiskRules

    @property
    def streams(self) -> tuple[str, ...]:
        return (POSTING_POLICY,)


# Rules

RULES: dict[str, str] = {
    "policy_days": "A value date can be allowed {least} to {most} days back; this is {days}.",
    "policy_kind": "Transactions of the kind {kind} cannot count against outgoing limits; these can: {kinds}.",
    "policy_amount": "More than {amount} {currency} would need another person; the amount is {least} to {most}.",
    "policy_unchanged": "The posting policy already is what it would be changed to.",
    **RISK_RULES,
}

# Decisions


def change(command: ChangePostingPolicy, states: States, context: Context) -> Decision:
    policy = posting_policy(states)
    kinds = policy.counted_kinds if command.counted_kinds is None else tuple(sorted(set(command.counted_kinds)))
    above = policy.approve_above
    if command.approve_above is not None:
        above = thresholds(command.approve_above)
    events = _creation(policy)
    event = PostingPolicyChanged(
        originator_id=POSTING_POLICY,
        originator_version=policy.version + len(events) + 1,
        most_days_back=command.most_days_back,
        counted_kinds=kinds,
        approve_above=above,
    )
    refusal = _refuse(event)
    if refusal is not None:
        return refusal
    if _same(policy, event):
        return Refused("policy_unchanged", {"most_days_back": command.most_days_back})
    result: dict[str, Figure] = {
        "policy": POSTING_POLICY,
        "most_days_back": command.most_days_back,
        "counted_kinds": list(kinds),
        "approve_above": {one.currency: show(one.amount, one.currency) for one in above},
    }
    return Accepted((*events, event), result)


def change_risk(command: ChangeRiskRules, states: States, context: Context) -> Decision:
    policy = posting_policy(states)
    events = _creation(policy)
    event = RiskRulesChanged(POSTING_POLICY, policy.version + len(events) + 1, command.rules)
    refusal = refuse_rules(command.rules)
    if refusal is not None:
        return refusal
    if policy.risk == command.rules:
        return Refused("risk_unchanged", {})
    return Accepted((*events, event), {"policy": POSTING_POLICY, "on": command.rules.on})


def _creation(policy: PostingPolicy) -> list[Event]:
    """Return the first event of the stream if the log does not have it yet."""
    return [] if policy.version else [PostingPolicyCreated(POSTING_POLICY, 1, INITIAL.most_days_back)]


def _same(policy: PostingPolicy, event: PostingPolicyEvent) -> bool:
    after = evolve(policy, event)
    if isinstance(event, RiskRulesChanged):
        return policy.risk == after.risk
    return (policy.most_days_back, policy.approve_above) == (after.most_days_back, after.approve_above) and set(
        policy.counted_kinds
    ) == set(after.counted_kinds)


def _refuse(event: PostingPolicyEvent) -> Refused | None:
    """Return the refusal of a policy out of bounds, or None."""
    if isinstance(event, RiskRulesChanged):
        return refuse_rules(event.rules)
    days = event.most_days_back
    if days is not None and not LEAST_DAYS <= days <= MOST_DAYS:
        return Refused("policy_days", {"least": LEAST_DAYS, "most": MOST_DAYS, "days": days})
    if isinstance(event, PostingPolicyCreated):
        return None
    for kind in event.counted_kinds:
        if kind not in MAY_COUNT:
            return Refused("policy_kind", {"kind": kind, "kinds": ", ".join(sorted(MAY_COUNT))})
    for currency, amount in ((one.currency, one.amount) for one in event.approve_above):
        if not 0 <= amount <= MAX_AMOUNT:
            least, most = show(0, currency), show(MAX_AMOUNT, currency)
            figures: dict[str, Figure] = {"currency": currency, "least": least, "most": most}
            return Refused("policy_amount", {**figures, "amount": show(amount, currency)})
    return None


# What stored events are held to


def check(before: PostingPolicy | None, events: Sequence[PostingPolicyEvent], decided: Decided) -> Iterator[Broken]:
    """Find a policy that is created twice or not at first, and one that is out of bounds or did not change."""
    policy = before
    for event in events:
        refusal = _refuse(event)
        if refusal is not None:
            yield refused(event, refusal, RULES)
        if isinstance(event, PostingPolicyCreated) is not (policy is None):
            yield Broken(event, f"{POSTING_POLICY} is {'created again' if policy else 'changed before it is created'}")
        if policy is not None and _same(policy, event):
            yield Broken(event, f"{POSTING_POLICY} is changed to what it was")
        policy = evolve(policy, event)


AGGREGATE = Aggregate(
    name="posting_policy",
    prefix=POSTING_POLICY,
    events=(
        EventType("posting_policy.created.v1", PostingPolicyCreated),
        EventType(
            name="posting_policy.changed.v1",
            event=None,
            upcasts_to="posting_policy.changed.v2",
            upcast=_from_changed_v1,
            payload=_PostingPolicyChangedV1,
        ),
        EventType("posting_policy.changed.v2", PostingPolicyChanged),
        EventType("posting_policy.risk_rules_changed.v1", RiskRulesChanged),
    ),
    evolve=evolve,
    decisions={ChangePostingPolicy: change, ChangeRiskRules: change_risk},
    rules=RULES,
    may={ChangePostingPolicy: OPERATORS, ChangeRiskRules: OPERATORS},
    amounts=frozenset({"amount"}),
    initial=PostingPolicyCreated(POSTING_POLICY, 1, INITIAL.most_days_back),
    check=check,
)
