"""Approvals: what one person asks for and another one approves. Four eyes are two persons, never two tokens.

A request has a stream of its own. Who may ask and approve, and what follows, is the business of the command that uses
it (`domain.people.administrators`, and others later). The functions here decide what holds for every request: the two
are persons, they are different, the request is open and has not expired. It expires by the time of the decision,
without an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Context, Event, Forbidden, Refused, Value

APPROVAL = "appr"
"""Prefix of the ids of requests."""
OPEN_FOR = timedelta(days=7)
"""How long a request can be approved."""

Outcome = Literal["open", "approved", "rejected", "withdrawn"]


class ApprovalRequested(Event, frozen=True):
    """A person asked for something that another person has to approve. It is the first event of its stream."""

    action: str  # a code: what is asked for
    about: str  # the id of what it is about
    by: str  # the id of the person who asks
    until: datetime  # from then on it cannot be approved


class ApprovalGiven(Event, frozen=True):
    """Another person approved. What was asked for is in the same unit."""

    by: str


class ApprovalRejected(Event, frozen=True):
    """Another person refused."""

    by: str


class ApprovalWithdrawn(Event, frozen=True):
    """The person who asked no longer wants it."""

    by: str


ApprovalEvent: TypeAlias = ApprovalRequested | ApprovalGiven | ApprovalRejected | ApprovalWithdrawn


class Approval(Value, frozen=True):
    """A request at a version of its stream."""

    version: int
    id: str
    action: str
    about: str
    by: str
    until: datetime
    outcome: Outcome = "open"


RULES: dict[str, str] = {
    "approval_exists": "The request {approval} exists already.",
    "approval_outcome": "The request {approval} was {outcome}; only an open one can be {verb}.",
    "approval_expired": "The request {approval} was open until {until}; it is {now}. Ask again.",
    "approval_by_self": "{person} asked for {approval}; another person has to decide it.",
    "approval_of_another": "Only {person}, who asked for {approval}, can withdraw it.",
}


def evolve(state: Approval | None, event: ApprovalEvent) -> Approval:
    """Return the request after the event. Raises ValueError if the stream does not begin with `ApprovalRequested`."""
    version = event.originator_version
    if isinstance(event, ApprovalRequested):
        return Approval(version, event.originator_id, event.action, event.about, event.by, event.until)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with ApprovalRequested")
    match event:
        case ApprovalGiven():
            return replace(state, version=version, outcome="approved")
        case ApprovalRejected():
            return replace(state, version=version, outcome="rejected")
        case ApprovalWithdrawn():
            return replace(state, version=version, outcome="withdrawn")


def person_of(context: Context) -> str | Forbidden:
    """Return the id of the person who sends a command. A machine neither asks nor approves."""
    return context.principal.person or Forbidden("A person has to do this; this principal is a machine.")


def ask(
    approval: str, before: Approval | None, action: str, about: str, context: Context
) -> ApprovalRequested | Refused | Forbidden:
    """Return the event of a new request, or why there is none."""
    by = person_of(context)
    if isinstance(by, Forbidden):
        return by
    if before is not None:
        return Refused("approval_exists", {"approval": approval})
    return ApprovalRequested(approval, 1, action, about, by, context.decided_at + OPEN_FOR)


def approve(approval: Approval, context: Context) -> ApprovalGiven | Refused | Forbidden:
    """Return the event that approves a request, or why it is not approved."""
    by = person_of(context)
    if isinstance(by, Forbidden):
        return by
    refusal = _refuse_decision(approval, by, "approved", context.decided_at)
    return refusal or ApprovalGiven(approval.id, approval.version + 1, by)


def reject(approval: Approval, context: Context) -> ApprovalRejected | Refused | Forbidden:
    """Return the event that rejects a request, or why it is not rejected."""
    by = person_of(context)
    if isinstance(by, Forbidden):
        return by
    refusal = _refuse_decision(approval, by, "rejected", context.decided_at)
    return refusal or ApprovalRejected(approval.id, approval.version + 1, by)


def withdraw(approval: Approval, context: Context) -> ApprovalWithdrawn | Refused | Forbidden:
    """Return the event that withdraws a request, or why it is not withdrawn. Only who asked can, also after its end."""
    by = person_of(context)
    if isinstance(by, Forbidden):
        return by
    refusal = _refuse_closed(approval, "withdrawn")
    if refusal is None and by != approval.by:
        refusal = Refused("approval_of_another", {"approval": approval.id, "person": approval.by})
    return refusal or ApprovalWithdrawn(approval.id, approval.version + 1, by)


def _refuse_closed(approval: Approval, verb: str) -> Refused | None:
    if approval.outcome == "open":
        return None
    return Refused("approval_outcome", {"approval": approval.id, "outcome": approval.outcome, "verb": verb})


def _refuse_decision(approval: Approval, by: str, verb: str, now: datetime) -> Refused | None:
    refusal = _refuse_closed(approval, verb)
    if refusal is not None:
        return refusal
    if now >= approval.until:
        figures = {"approval": approval.id, "until": approval.until.isoformat(), "now": now.isoformat()}
        return Refused("approval_expired", dict(figures))
    if by == approval.by:
        return Refused("approval_by_self", {"approval": approval.id, "person": by})
    return None


def check(before: Approval | None, events: Sequence[ApprovalEvent], decided: Decided) -> Iterator[Broken]:
    """Find a request that is asked for again, decided twice, decided by who asked, or decided too late."""
    approval = before
    for event in events:
        if approval is None:
            approval = evolve(None, event)
            continue
        if isinstance(event, ApprovalRequested):
            yield Broken(event, f"{approval.id} is requested again")
        elif approval.outcome != "open":
            yield Broken(event, f"{approval.id} was {approval.outcome} before")
        elif isinstance(event, ApprovalWithdrawn):
            if event.by != approval.by:
                yield Broken(event, f"{event.by} withdrew {approval.id}, which {approval.by} asked for")
        elif event.by == approval.by:
            yield Broken(event, f"{event.by} decided their own request {approval.id}")
        elif decided.decided_at >= approval.until:
            yield Broken(
                event, f"{approval.id} was decided at {decided.decided_at}, and was open until {approval.until}"
            )
        approval = evolve(approval, event)


EVENTS = (
    EventType("approval.requested.v1", ApprovalRequested, codes=("action",)),
    EventType("approval.given.v1", ApprovalGiven),
    EventType("approval.rejected.v1", ApprovalRejected),
    EventType("approval.withdrawn.v1", ApprovalWithdrawn),
)

AGGREGATE = Aggregate(name="approval", prefix=f"{APPROVAL}_", events=EVENTS, evolve=evolve, check=check)
