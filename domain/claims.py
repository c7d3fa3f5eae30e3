"""Uniqueness as events: a value is claimed by the first event on a stream named after it.

``claim:slug:hello-world`` is appended in the same unit as the fact that needs it; two who want one value cannot
both find the stream as they expected it. Releasing is an event too, after which the value may be claimed again.
"""

from __future__ import annotations

from domain.aggregate import Aggregate, EventType
from domain.kernel import Event, Value

CLAIM_PREFIX = "claim:"
"""Begins the name of the stream of a claim."""


class ClaimTaken(Event, frozen=True):
    holder: str  # id of what uses the value


class ClaimReleased(Event, frozen=True):
    holder: str


class Claim(Value, frozen=True):
    """Who holds a value: None after a release."""

    id: str
    version: int
    holder: str | None


def claim_stream(kind: str, value: str) -> str:
    """The stream of a value. Where the value is personal, pass its HMAC."""
    return f"{CLAIM_PREFIX}{kind}:{value}"


def take(claim: Claim | None, stream: str, holder: str) -> ClaimTaken | None:
    """The event that claims the value, or None where somebody holds it."""
    if claim is not None and claim.holder is not None:
        return None
    return ClaimTaken(stream, (claim.version if claim else 0) + 1, holder)


def release(claim: Claim) -> ClaimReleased:
    """The event that gives the value back. Raises ValueError where nobody holds it."""
    if claim.holder is None:
        raise ValueError(f"{claim.id} is not held")
    return ClaimReleased(claim.id, claim.version + 1, claim.holder)


def evolve(state: Claim | None, event: ClaimTaken | ClaimReleased) -> Claim:
    """The claim after the event."""
    holder = event.holder if isinstance(event, ClaimTaken) else None
    return Claim(event.originator_id, event.originator_version, holder)


AGGREGATE = Aggregate(
    name="claim",
    prefix=CLAIM_PREFIX,
    events=(EventType("claim.taken.v1", ClaimTaken), EventType("claim.released.v1", ClaimReleased)),
    evolve=evolve,
    written_once=True,
)
