"""The aggregate long batch: commands that come in parts and are carried out in the background, part after part.

The stream has what came and what became of it, and no body of a command: the bodies stand beside the log until they
are carried out (`eventstore.batches`). Each item has its own key and its own answer, as in a batch (`domain.batch`).

    opened, part received …, started, part done …, finished

Somebody can stop it before it has finished, and a worker ends it if it cannot go on. No part begins after that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.batch import DIGEST, MOST_KEYS
from domain.kernel import Accepted, Context, Decision, Event, Figure, Personal, Refused, States, Unknown, Value, found
from domain.permissions import EVERYONE, OF_PERSONS, OPERATORS, PROCESSES, may

LONG_BATCH = "lbatch"
"""Prefix of the ids of long batches."""
MOST_PARTS = 1_000
MOST_ITEMS = MOST_PARTS * MOST_KEYS
"""Most items of a long batch. A part has as many items as one event names at most."""
MOST_BYTES = 256 * 1024 * 1024
"""Most bytes that the parts of a long batch have together."""
LIFE = timedelta(days=7)
"""How long after its opening a long batch has to be finished. Then it is ended, so that nothing is carried out late."""

Status = Literal["receiving", "running", "stopped", "finished"]
Cause = Literal["sender", "expired", "lost"]
"""Why a worker ended it: its sender may send nothing any more, it is too old, or parts of it are missing."""

_CODE = re.compile(r"[a-z_]{1,40}")

# Events


class LentKey(Value, frozen=True):
    """The API key that the sender used. Its scope bounds the items."""

    key: str
    areas: tuple[str, ...]
    accounts: tuple[str, ...] | None


class LongBatchOpened(Event, frozen=True):
    """A sender announced a long batch. It is the first event of its stream."""

    sender: str  # the actor of its items
    items: int
    expires_at: datetime
    api_key: LentKey | None


class LongBatchPartReceived(Event, frozen=True):
    """A part came. All but the last have as many items as the first."""

    part: int  # from 1
    first: int  # the number of its first item, from 1
    keys: tuple[str | None, ...]  # None: the item cannot be carried out, whatever its key
    digests: tuple[str, ...]  # of what each item asks for, hexadecimal; empty without a key
    digest: str  # of the whole part, hexadecimal: it names the bodies beside the log
    bytes: int


class LongBatchStarted(Event, frozen=True):
    """All items have come. It is in the unit of the last part."""

    parts: int


class Unrecorded(Value, frozen=True):
    """An item that has no answer under its key, and the code of its problem."""

    item: int
    code: str


class LongBatchPartDone(Event, frozen=True):
    """A part was carried out: how many items have which outcome."""

    part: int
    first: int
    items: int
    accepted: int
    refused: int
    expectation_failed: int
    key_reused: int
    unrecorded: tuple[Unrecorded, ...]


class LongBatchFinished(Event, frozen=True):
    """All parts were carried out. It is in the unit of the last one. The counts are of the whole batch."""

    items: int
    accepted: int
    refused: int
    expectation_failed: int
    key_reused: int
    unrecorded: int


class LongBatchStopped(Event, frozen=True):
    """Somebody stopped it. What was carried out stays so, and nothing else is."""

    by: str
    reason: Personal


class LongBatchEnded(Event, frozen=True):
    """A worker ended it, because it cannot go on."""

    cause: Cause


LongBatchEvent = (
    LongBatchOpened
    | LongBatchPartReceived
    | LongBatchStarted
    | LongBatchPartDone
    | LongBatchFinished
    | LongBatchStopped
    | LongBatchEnded
)

# State


class LongBatch(Value, frozen=True):
    """A long batch at a version of its stream."""

    version: int
    id: str
    sender: str
    items: int
    expires_at: datetime
    status: Status = "receiving"
    parts: int = 0  # that came
    part_items: int = 0  # items of the first part
    received: int = 0  # items that came
    bytes: int = 0
    done: int = 0  # parts that were carried out
    accepted: int = 0
    refused: int = 0
    expectation_failed: int = 0
    key_reused: int = 0
    unrecorded: int = 0

    def first_of(self, part: int) -> int:
        """Return the number of the first item of a part."""
        return (part - 1) * self.part_items + 1

    def items_of(self, part: int) -> int:
        """Return how many items a part has that came."""
        return min(self.part_items, self.items - self.first_of(part) + 1)


def evolve(state: LongBatch | None, event: LongBatchEvent) -> LongBatch:
    """Return the long batch after the event. Raises ValueError if the stream does not begin with `LongBatchOpened`."""
    version = event.originator_version
    if isinstance(event, LongBatchOpened):
        return LongBatch(version, event.originator_id, event.sender, event.items, event.expires_at)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with LongBatchOpened")
    match event:
        case LongBatchPartReceived():
            named = len(event.keys)
            return replace(
                state,
                version=version,
                parts=event.part,
                part_items=state.part_items or named,
                received=state.received + named,
                bytes=state.bytes + event.bytes,
            )
        case LongBatchStarted():
            return replace(state, version=version, status="running")
        case LongBatchPartDone():
            return replace(
                state,
                version=version,
                done=event.part,
                accepted=state.accepted + event.accepted,
                refused=state.refused + event.refused,
                expectation_failed=state.expectation_failed + event.expectation_failed,
                key_reused=state.key_reused + event.key_reused,
                unrecorded=state.unrecorded + len(event.unrecorded),
            )
        case LongBatchFinished():
            return replace(state, version=version, status="finished")
        case LongBatchStopped() | LongBatchEnded():
            return replace(state, version=version, status="stopped")


# Commands


class _OnOneLongBatch(Value, frozen=True):
    batch: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.batch,)


class OpenLongBatch(_OnOneLongBatch, frozen=True):
    """Announce a long batch of so many items."""

    items: int
    api_key: LentKey | None = None


class ReceivePart(_OnOneLongBatch, frozen=True):
    """Record which commands a part has. The last one starts the batch."""

    part: int
    keys: tuple[str | None, ...]
    digests: tuple[str, ...]
    digest: str
    bytes: int


class StopLongBatch(_OnOneLongBatch, frozen=True):
    """Stop it. What was carried out stays so."""

    reason: Personal


class RecordPart(_OnOneLongBatch, frozen=True):
    """Record what became of a part. The worker sends this once each item was answered."""

    part: int
    accepted: int
    refused: int
    expectation_failed: int
    key_reused: int
    unrecorded: tuple[Unrecorded, ...]


class EndLongBatch(_OnOneLongBatch, frozen=True):
    """End it, because it cannot go on. The worker sends this."""

    cause: Cause


# Rules

RULES: dict[str, str] = {
    "long_batch_exists": "Long batch {batch} exists already.",
    "long_batch_items": "A long batch has 1 to {most} items; this one would have {items}.",
    "long_batch_status": "Long batch {batch} is {status}; only one that is {required} can {verb}.",
    "long_batch_expired": "Long batch {batch} expired at {expires_at}; open another one.",
    "long_batch_not_expired": "Long batch {batch} expires at {expires_at}, not earlier.",
    "long_batch_order": "The next part of long batch {batch} is {next}, not {part}.",
    "long_batch_part_items": "Part {part} has {least} to {most} items; this one has {items}.",
    "long_batch_bytes": "The parts of a long batch have {most} bytes at most; with this part they would have {bytes}.",
    "long_batch_outcomes": "Part {part} has {items} items; outcomes of {counted} were given.",
}

# Decisions


def open_batch(command: OpenLongBatch, states: States, context: Context) -> Decision:
    if states[command.batch] is not None:
        return Refused("long_batch_exists", {"batch": command.batch})
    refusal = _refuse_items(command.items)
    if refusal is not None:
        return refusal
    event = LongBatchOpened(
        originator_id=command.batch,
        originator_version=1,
        sender=context.principal.id,
        items=command.items,
        expires_at=context.decided_at + LIFE,
        api_key=command.api_key,
    )
    return Accepted((event,), {"batch": command.batch, "status": "receiving", "items": command.items})


def receive(command: ReceivePart, states: States, context: Context) -> Decision:
    batch = found(states, command.batch, LongBatch)
    if batch is None or batch.sender != context.principal.id:
        return Unknown("long_batch", command.batch)
    event = LongBatchPartReceived(
        originator_id=batch.id,
        originator_version=batch.version + 1,
        part=command.part,
        first=batch.received + 1,
        keys=command.keys,
        digests=command.digests,
        digest=command.digest,
        bytes=command.bytes,
    )
    refusal = _refuse_part(batch, event, context.decided_at)
    if refusal is not None:
        return refusal
    events: tuple[LongBatchEvent, ...] = (event,)
    after = evolve(batch, event)
    if after.received == after.items:
        started = LongBatchStarted(batch.id, after.version + 1, after.parts)
        events, after = (event, started), evolve(after, started)
    progress: dict[str, Figure] = {"part": command.part, "received": after.received, "items": after.items}
    return Accepted(events, {"batch": batch.id, "status": after.status, **progress})


def stop(command: StopLongBatch, states: States, context: Context) -> Decision:
    batch = found(states, command.batch, LongBatch)
    own = batch is not None and batch.sender == context.principal.id
    if batch is None or not (own or may(context.principal, OPERATORS, context.decided_at)):
        return Unknown("long_batch", command.batch)
    refusal = _refuse_ended(batch, "be stopped")
    if refusal is not None:
        return refusal
    event = LongBatchStopped(batch.id, batch.version + 1, context.principal.id, command.reason)
    return Accepted((event,), {"batch": batch.id, "status": "stopped", "items": batch.items})


def record(command: RecordPart, states: States, context: Context) -> Decision:
    batch = found(states, command.batch, LongBatch)
    if batch is None:
        return Unknown("long_batch", command.batch)
    event = LongBatchPartDone(
        originator_id=batch.id,
        originator_version=batch.version + 1,
        part=command.part,
        first=batch.first_of(command.part),
        items=batch.items_of(command.part),
        accepted=command.accepted,
        refused=command.refused,
        expectation_failed=command.expectation_failed,
        key_reused=command.key_reused,
        unrecorded=command.unrecorded,
    )
    refusal = _refuse_done(batch, event)
    if refusal is not None:
        return refusal
    events: tuple[LongBatchEvent, ...] = (event,)
    after = evolve(batch, event)
    if after.done == after.parts:
        finished = _finished(after)
        events, after = (event, finished), evolve(after, finished)
    return Accepted(events, {"batch": batch.id, "status": after.status, "part": command.part})


def end(command: EndLongBatch, states: States, context: Context) -> Decision:
    batch = found(states, command.batch, LongBatch)
    if batch is None:
        return Unknown("long_batch", command.batch)
    event = LongBatchEnded(batch.id, batch.version + 1, command.cause)
    refusal = _refuse_end(batch, event, context.decided_at)
    if refusal is not None:
        return refusal
    return Accepted((event,), {"batch": batch.id, "status": "stopped", "items": batch.items})


def _finished(batch: LongBatch) -> LongBatchFinished:
    """The event of a batch whose parts are all done."""
    return LongBatchFinished(
        originator_id=batch.id,
        originator_version=batch.version + 1,
        items=batch.items,
        accepted=batch.accepted,
        refused=batch.refused,
        expectation_failed=batch.expectation_failed,
        key_reused=batch.key_reused,
        unrecorded=batch.unrecorded,
    )


def _refuse_items(items: int) -> Refused | None:
    return None if 1 <= items <= MOST_ITEMS else Refused("long_batch_items", {"most": MOST_ITEMS, "items": items})


def _refuse_status(batch: LongBatch, verb: str, *required: Status) -> Refused | None:
    if batch.status in required:
        return None
    figures = {"batch": batch.id, "status": batch.status, "required": " or ".join(required), "verb": verb}
    return Refused("long_batch_status", dict(figures))


def _refuse_ended(batch: LongBatch, verb: str) -> Refused | None:
    return _refuse_status(batch, verb, "receiving", "running")


def _refuse_part(batch: LongBatch, event: LongBatchPartReceived, at: datetime) -> Refused | None:
    refusal = _refuse_status(batch, "take a part", "receiving")
    if refusal is not None:
        return refusal
    if at >= batch.expires_at:
        return Refused("long_batch_expired", {"batch": batch.id, "expires_at": batch.expires_at.isoformat()})
    if event.part != batch.parts + 1:
        return Refused("long_batch_order", {"batch": batch.id, "next": batch.parts + 1, "part": event.part})
    left = batch.items - batch.received
    most = min(batch.part_items or MOST_KEYS, left)
    # The parts after the first have exactly its size, and those of a first one have to fit in MOST_PARTS.
    least = most if batch.parts else min(left, -(-batch.items // MOST_PARTS))
    items = len(event.keys)
    if not least <= items <= most:
        figures = {"part": event.part, "least": least, "most": most, "items": items}
        return Refused("long_batch_part_items", dict(figures))
    total = batch.bytes + event.bytes
    return Refused("long_batch_bytes", {"most": MOST_BYTES, "bytes": total}) if total > MOST_BYTES else None


def _refuse_done(batch: LongBatch, event: LongBatchPartDone) -> Refused | None:
    refusal = _refuse_status(batch, "have a part done", "running")
    if refusal is not None:
        return refusal
    if event.part != batch.done + 1:
        return Refused("long_batch_order", {"batch": batch.id, "next": batch.done + 1, "part": event.part})
    counted = event.accepted + event.refused + event.expectation_failed + event.key_reused + len(event.unrecorded)
    if counted != batch.items_of(event.part):
        figures = {"part": event.part, "items": batch.items_of(event.part), "counted": counted}
        return Refused("long_batch_outcomes", dict(figures))
    return None


def _refuse_end(batch: LongBatch, event: LongBatchEnded, at: datetime) -> Refused | None:
    refusal = _refuse_ended(batch, "be ended")
    if refusal is None and event.cause == "expired" and at < batch.expires_at:
        return Refused("long_batch_not_expired", {"batch": batch.id, "expires_at": batch.expires_at.isoformat()})
    if refusal is None and event.cause != "expired":
        return _refuse_status(batch, "be ended", "running")
    return refusal


# Check


def check(before: LongBatch | None, events: Sequence[LongBatchEvent], decided: Decided) -> Iterator[Broken]:
    """Find parts that do not name each item once, in order, outcomes of other items, and what comes after the end."""
    batch = before
    for event in events:
        refusal: Refused | None = None
        if isinstance(event, LongBatchOpened):
            refusal = _refuse_items(event.items)
            if batch is not None:
                yield Broken(event, f"{batch.id} is opened again")
            if event.expires_at != decided.decided_at + LIFE:
                yield Broken(event, f"{event.originator_id} expires at {event.expires_at.isoformat()}")
        elif batch is not None:
            refusal = _refuse_event(batch, event, decided.decided_at)
            if refusal is None and (what := _misfit(batch, event)) is not None:
                yield Broken(event, what)
        if refusal is not None:
            yield refused(event, refusal, RULES)
        batch = evolve(batch, event)
        if event is events[-1] and (owed := _owed(batch)) is not None:
            yield Broken(event, f"{batch.id} has to be {owed} in the unit of its last part")


def _refuse_event(batch: LongBatch, event: LongBatchEvent, at: datetime) -> Refused | None:
    match event:
        case LongBatchPartReceived():
            return _refuse_part(batch, event, at)
        case LongBatchPartDone():
            return _refuse_done(batch, event)
        case LongBatchStopped():
            return _refuse_ended(batch, "be stopped")
        case LongBatchEnded():
            return _refuse_end(batch, event, at)
    return None


def _misfit(batch: LongBatch, event: LongBatchEvent) -> str | None:
    """What is wrong with an event that the rules allow: it names other items than those of its part."""
    match event:
        case LongBatchPartReceived():
            if event.first != batch.received + 1:
                return f"part {event.part} of {batch.id} begins with item {event.first}, after {batch.received} items"
            if not _digested(event):
                return f"part {event.part} of {batch.id} has not one digest for each of its keys"
        case LongBatchStarted():
            if _owed(batch) != "started" or event.parts != batch.parts:
                return f"{batch.id} is started with {event.parts} parts, {batch.received} of {batch.items} items"
        case LongBatchPartDone():
            if (event.first, event.items) != (batch.first_of(event.part), batch.items_of(event.part)):
                return f"part {event.part} of {batch.id} is done with {event.items} items from {event.first} on"
            if not _in_order(event):
                return f"part {event.part} of {batch.id} has unrecorded items that are not its own, in order"
        case LongBatchFinished():
            if _owed(batch) != "finished" or event != _finished(batch):
                return f"{batch.id} is finished with other counts than its parts have"
    return None


def _owed(batch: LongBatch) -> str | None:
    """What has to follow in the same unit."""
    if batch.status == "receiving" and batch.received == batch.items:
        return "started"
    return "finished" if batch.status == "running" and batch.done == batch.parts else None


def _digested(event: LongBatchPartReceived) -> bool:
    """Whether each item with a key has a digest, and no other."""
    return len(event.keys) == len(event.digests) and all(
        len(digest) == (0 if key is None else DIGEST) for key, digest in zip(event.keys, event.digests, strict=True)
    )


def _in_order(event: LongBatchPartDone) -> bool:
    """Whether the unrecorded items are of the part, each once, in order, and with codes."""
    items = [one.item for one in event.unrecorded]
    of_part = all(event.first <= item < event.first + event.items for item in items)
    return of_part and items == sorted(set(items)) and all(_CODE.fullmatch(one.code) for one in event.unrecorded)


AGGREGATE = Aggregate(
    name="long_batch",
    prefix=f"{LONG_BATCH}_",
    events=(
        EventType("long_batch.opened.v1", LongBatchOpened),
        EventType("long_batch.part_received.v1", LongBatchPartReceived),
        EventType("long_batch.started.v1", LongBatchStarted),
        EventType("long_batch.part_done.v1", LongBatchPartDone),
        EventType("long_batch.finished.v1", LongBatchFinished),
        EventType(name="long_batch.stopped.v1", event=LongBatchStopped, subject="by", personal=("reason",)),
        EventType("long_batch.ended.v1", LongBatchEnded),
    ),
    evolve=evolve,
    decisions={
        OpenLongBatch: open_batch,
        ReceivePart: receive,
        StopLongBatch: stop,
        RecordPart: record,
        EndLongBatch: end,
    },
    rules=RULES,
    snapshot=(LongBatch, 1),
    may={
        OpenLongBatch: EVERYONE | OF_PERSONS,
        ReceivePart: EVERYONE | OF_PERSONS,
        StopLongBatch: EVERYONE | OF_PERSONS,
        RecordPart: PROCESSES,
        EndLongBatch: PROCESSES,
    },
    check=check,
)
