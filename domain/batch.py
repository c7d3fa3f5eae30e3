"""The aggregate batch: the keys of commands that came together, so that their outcomes can be read later.

A batch records which commands came, not what became of them: each command has an answer of its own, under its own key.
The keys are recorded before any of the commands is carried out. A stream has one unit, whose events are pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Accepted, Context, Decision, Event, Refused, States, Value
from domain.permissions import EVERYONE, OF_PERSONS

BATCH = "batch"
"""Prefix of the ids of batches."""
MOST_KEYS = 1_000
"""Most items that one event names. With keys of 255 characters the event has half a megabyte."""
DIGEST = 16
"""Characters of the digest of an item: the first half of a hexadecimal digest tells requests under one key apart."""

# Events


class BatchSubmitted(Event, frozen=True):
    """A piece of a batch was submitted. The pieces are in one unit, and all but the last have as many items."""

    items: int  # of the whole batch
    first: int  # the number of the first item of this piece, from 1
    keys: tuple[str | None, ...]  # None: the item cannot be carried out, whatever its key
    digests: tuple[str, ...]  # of what each item asks for, hexadecimal; empty without a key


# State


class Batch(Value, frozen=True):
    """A batch at a version of its stream."""

    version: int
    id: str
    items: int
    named: int  # how many items the events so far have named
    piece: int  # items in the first piece


def evolve(state: Batch | None, event: BatchSubmitted) -> Batch:
    """Return the batch after the event."""
    named = len(event.keys)
    if state is None:
        return Batch(event.originator_version, event.originator_id, event.items, named, named)
    return replace(state, version=event.originator_version, named=state.named + named)


# Commands


class SubmitBatch(Value, frozen=True):
    """Record which commands came together."""

    batch: str
    keys: tuple[str | None, ...]
    digests: tuple[str, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.batch,)


# Rules

RULES: dict[str, str] = {"batch_exists": "Batch {batch} exists already."}

# Decisions


def submit(command: SubmitBatch, states: States, context: Context) -> Decision:
    if states[command.batch] is not None:
        return Refused("batch_exists", {"batch": command.batch})
    items = len(command.keys)
    events = tuple(
        BatchSubmitted(
            originator_id=command.batch,
            originator_version=version,
            items=items,
            first=start + 1,
            keys=command.keys[start : start + MOST_KEYS],
            digests=command.digests[start : start + MOST_KEYS],
        )
        for version, start in enumerate(range(0, max(items, 1), MOST_KEYS), 1)
    )
    return Accepted(events, {"batch": command.batch, "items": items})


def check(before: Batch | None, events: Sequence[BatchSubmitted], decided: Decided) -> Iterator[Broken]:
    """Find a batch that is submitted again, and pieces that do not name each item once, in order."""
    batch = None
    for event in events:
        if before is not None:
            yield Broken(event, f"{before.id} is submitted again")
            continue
        named = 0 if batch is None else batch.named
        if len(event.keys) > MOST_KEYS or len(event.digests) != len(event.keys) or not _digested(event):
            yield Broken(event, f"a piece of {event.originator_id} has not one digest for each of its keys")
        if event.first != named + 1 or (batch is not None and event.items != batch.items):
            yield Broken(event, f"a piece of {event.originator_id} begins with item {event.first}, after {named} items")
        batch = evolve(batch, event)
        if event is not events[-1] and len(event.keys) != batch.piece:
            yield Broken(event, f"a piece of {batch.id} has {len(event.keys)} items, the first one {batch.piece}")
    if batch is not None and batch.named != batch.items:
        yield Broken(events[-1], f"{batch.id} names {batch.named} of its {batch.items} items")


def _digested(event: BatchSubmitted) -> bool:
    """Whether each item with a key has a digest, and no other."""
    return all(
        len(digest) == (0 if key is None else DIGEST) for key, digest in zip(event.keys, event.digests, strict=False)
    )


AGGREGATE = Aggregate(
    name="batch",
    prefix=f"{BATCH}_",
    events=(EventType("batch.submitted.v1", BatchSubmitted),),
    evolve=evolve,
    decisions={SubmitBatch: submit},
    rules=RULES,
    written_once=True,
    may={SubmitBatch: EVERYONE | OF_PERSONS},
    check=check,
)
