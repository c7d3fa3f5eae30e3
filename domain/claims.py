"""Claims: they make a value unique.

Each value has a stream of its own, such as ``claim:slug:hello-world``. The event that claims the value is appended in
the same unit as the event that needs it. Two commands that want the same value expect the same version of that stream,
so only one of them is appended. Another event releases the value, and then it can be claimed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Event, Value

CLAIM_PREFIX = "claim:"
"""Beginning of the name of each stream of a claim."""


class ClaimTaken(Event, frozen=True):
    """A value was claimed, and no one else can use it."""

    holder: str  # id of what uses the value


class ClaimReleased(Event, frozen=True):
    """A value was given back, and can be claimed again."""

    holder: str


class Claim(Value, frozen=True):
    """A value, and the id of its holder. The holder is None after a release."""

    id: str
    version: int
    holder: str | None


def claim_stream(kind: str, value: str) -> str:
    """Return the name of the stream of a value. For a personal value, pass its HMAC instead of the value."""
    return f"{CLAIM_PREFIX}{kind}:{value}"


def take(claim: Claim | None, stream: str, holder: str) -> ClaimTaken | None:
    """Return the event that claims the value, or None if another holds it."""
    if claim is not None and claim.holder is not None:
        return None
    return ClaimTaken(stream, (claim.version if claim else 0) + 1, holder)


def release(claim: Claim) -> ClaimReleased:
    """Return the event that releases the value. Raises ValueError if nobody holds it."""
    if claim.holder is None:
        raise ValueError(f"{claim.id} is not held")
    return ClaimReleased(claim.id, claim.version + 1, claim.holder)


def evolve(state: Claim | None, event: ClaimTaken | ClaimReleased) -> Claim:
    """Return the claim after the event."""
    holder = event.holder if isinstance(event, ClaimTaken) else None
    return Claim(event.originator_id, event.originator_version, holder)


def check(before: Claim | None, events: Sequence[ClaimTaken | ClaimReleased], decided: Decided) -> Iterator[Broken]:
    """Find a value that was taken from its holder, and one that another than its holder released."""
    holder = before.holder if before else None
    for event in events:
        stream = event.originator_id
        if isinstance(event, ClaimTaken):
            if holder is not None:
                yield Broken(event, f"{stream} is held by {holder}, and {event.holder} took it without a release")
            holder = event.holder
        else:
            if holder != event.holder:
                yield Broken(event, f"{stream} is held by {holder or 'nobody'}, and {event.holder} released it")
            holder = None


AGGREGATE = Aggregate(
    name="claim",
    prefix=CLAIM_PREFIX,
    events=(EventType("claim.taken.v1", ClaimTaken), EventType("claim.released.v1", ClaimReleased)),
    evolve=evolve,
    written_once=True,
    check=check,
)
