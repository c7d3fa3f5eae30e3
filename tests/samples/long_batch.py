"""Samples of long batches. Parts are only named here; over HTTP they bring their commands."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.batch import MOST_KEYS
from domain.long_batch import (
    LIFE,
    LONG_BATCH,
    MOST_BYTES,
    MOST_ITEMS,
    EndLongBatch,
    LongBatch,
    OpenLongBatch,
    ReceivePart,
    RecordPart,
    StopLongBatch,
    Unrecorded,
)
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import NOW, PRINCIPAL, By, MemoryLedger
from workers.composition import manager_principal

DIGEST = "0123456789abcdef"
WORKER = manager_principal("long_batches")

# Requests


def one(world: World) -> str:
    """A long batch that waits for its parts."""
    id: str = world.do("long-batches", {"items": 3})["batch"]
    return id


ROUTES = {
    "/v1/long-batches": lambda world: Request({}, {"items": 3}),
    "/v1/long-batches/{long_batch}/stop": lambda world: Request(
        {"long_batch": one(world)}, {"reason": "Not needed any more"}
    ),
}

# Rules


def part(number: int = 1, items: int = 1, batch: str = "lbatch_1", bytes: int = 100) -> ReceivePart:
    """A part of so many items."""
    keys = tuple(f"item-{number}-{item}" for item in range(items))
    return ReceivePart(batch, number, keys, (DIGEST,) * items, 4 * DIGEST, bytes)


def done(number: int = 1, accepted: int = 1, *codes: str, first: int = 1, batch: str = "lbatch_1") -> By:
    """What became of a part: so many items were accepted, and those after them are unrecorded for these reasons."""
    unrecorded = tuple(Unrecorded(item, code) for item, code in enumerate(codes, first + accepted))
    return By(WORKER, RecordPart(batch, number, accepted, 0, 0, 0, unrecorded))


def ended(cause: Any, batch: str = "lbatch_1") -> By:
    """The worker ends it."""
    return By(WORKER, EndLongBatch(batch, cause))


def by_sender(command: Any, after: timedelta) -> By:
    """A command of the sender, so long after the opening."""
    return By(PRINCIPAL, command, NOW + after)


OPEN = OpenLongBatch("lbatch_1", 2)
ALMOST = LIFE - timedelta(microseconds=1)

RULES = {
    "long_batch_exists": RuleSample(
        given=(OPEN,),
        broken=OPEN,
        sentence="Long batch lbatch_1 exists already.",
        kept=(replace(OPEN, batch="lbatch_2"),),
    ),
    "long_batch_items": RuleSample(
        given=(),
        broken=replace(OPEN, items=MOST_ITEMS + 1),
        sentence="A long batch has 1 to 1000000 items; this one would have 1000001.",
        kept=(replace(OPEN, items=MOST_ITEMS),),
    ),
    "long_batch_status": RuleSample(
        given=(OPEN, part(1, 2), done(1, 2)),
        broken=StopLongBatch("lbatch_1", "Too late"),
        sentence="Long batch lbatch_1 is finished; only one that is receiving or running can be stopped.",
        kept=(replace(OPEN, batch="lbatch_2"), StopLongBatch("lbatch_2", "In time")),
    ),
    "long_batch_expired": RuleSample(
        given=(OPEN,),
        broken=by_sender(part(), LIFE),
        sentence="Long batch lbatch_1 expired at 2026-11-28T12:00:00+00:00; open another one.",
        kept=(by_sender(part(), ALMOST),),
    ),
    "long_batch_not_expired": RuleSample(
        given=(OPEN,),
        broken=By(WORKER, EndLongBatch("lbatch_1", "expired"), NOW + ALMOST),
        sentence="Long batch lbatch_1 expires at 2026-11-28T12:00:00+00:00, not earlier.",
        kept=(By(WORKER, EndLongBatch("lbatch_1", "expired"), NOW + LIFE),),
    ),
    "long_batch_order": RuleSample(
        given=(OPEN, part()),
        broken=part(3),
        sentence="The next part of long batch lbatch_1 is 2, not 3.",
        kept=(part(2),),
    ),
    "long_batch_part_items": RuleSample(
        given=(replace(OPEN, items=MOST_KEYS + 2),),
        broken=part(1, MOST_KEYS + 1),
        sentence="Part 1 has 2 to 1000 items; this one has 1001.",
        kept=(part(1, MOST_KEYS), part(2, 2)),
    ),
    "long_batch_bytes": RuleSample(
        given=(OPEN, part(bytes=100)),
        broken=part(2, bytes=MOST_BYTES - 99),
        sentence="The parts of a long batch have 268435456 bytes at most; with this part they would have 268435457.",
        kept=(part(2, bytes=MOST_BYTES - 100),),
    ),
    "long_batch_outcomes": RuleSample(
        given=(OPEN, part(1, 2)),
        broken=done(1, 1),
        sentence="Part 1 has 2 items; outcomes of 1 were given.",
        kept=(done(1, 1, "unknown"),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Long batches get their parts, are carried out, and a few are stopped, ended or sent what does not fit."""
    going = [batch for batch in ledger.of(LongBatch) if batch.status in ("receiving", "running")]
    if not going or chance.random() < 0.2:
        return OpenLongBatch(ledger.new_id(LONG_BATCH), chance.randint(1, 5))
    batch = chance.choice(going)
    if chance.random() < 0.1:
        return chance.choice(
            (
                StopLongBatch(batch.id, "No longer"),
                ended("lost", batch.id),
                ended("expired", batch.id),
                part(9, 1, batch.id),
            )
        )
    if batch.status == "running":
        items, first = batch.items_of(batch.done + 1), batch.first_of(batch.done + 1)
        accepted = chance.randint(0, items)
        return done(batch.done + 1, accepted, *["unknown"] * (items - accepted), first=first, batch=batch.id)
    left = batch.items - batch.received
    items = min(batch.part_items or chance.randint(1, 3), left)
    sent = part(batch.parts + 1, items, batch.id)
    return (
        sent if chance.random() < 0.9 else replace(sent, keys=(None, *sent.keys[1:]), digests=("", *sent.digests[1:]))
    )


# Events as they were stored

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="long_batch.opened.v1",
        stream="lbatch_00000000000000000000000024",
        version=1,
        payload='{"api_key":null,"expires_at":"2026-11-28T12:00:00Z","items":3,"sender":"tester"}',
        means={"sender": "tester", "items": 3, "expires_at": "2026-11-28T12:00:00Z", "api_key": None},
    ),
    StoredEvent(
        type="long_batch.part_received.v1",
        stream="lbatch_00000000000000000000000024",
        version=2,
        payload='{"bytes":100,"digest":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","digests":["0123456789abcdef","0123456789abcdef","0123456789abcdef"],"first":1,"keys":["item-1-0","item-1-1","item-1-2"],"part":1}',
        means={
            "part": 1,
            "first": 1,
            "keys": ["item-1-0", "item-1-1", "item-1-2"],
            "digests": ["0123456789abcdef", "0123456789abcdef", "0123456789abcdef"],
            "digest": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "bytes": 100,
        },
    ),
    StoredEvent(
        type="long_batch.started.v1",
        stream="lbatch_00000000000000000000000024",
        version=3,
        payload='{"parts":1}',
        means={"parts": 1},
    ),
    StoredEvent(
        type="long_batch.part_done.v1",
        stream="lbatch_00000000000000000000000024",
        version=4,
        payload='{"accepted":0,"expectation_failed":0,"first":1,"items":3,"key_reused":0,"part":1,"refused":0,"unrecorded":[{"code":"unknown","item":1},{"code":"unknown","item":2},{"code":"unknown","item":3}]}',
        means={
            "part": 1,
            "first": 1,
            "items": 3,
            "accepted": 0,
            "refused": 0,
            "expectation_failed": 0,
            "key_reused": 0,
            "unrecorded": [
                {"item": 1, "code": "unknown"},
                {"item": 2, "code": "unknown"},
                {"item": 3, "code": "unknown"},
            ],
        },
    ),
    StoredEvent(
        type="long_batch.finished.v1",
        stream="lbatch_00000000000000000000000024",
        version=5,
        payload='{"accepted":0,"expectation_failed":0,"items":3,"key_reused":0,"refused":0,"unrecorded":3}',
        means={"items": 3, "accepted": 0, "refused": 0, "expectation_failed": 0, "key_reused": 0, "unrecorded": 3},
    ),
    StoredEvent(
        type="long_batch.stopped.v1",
        stream="lbatch_000000000000000000000000xc",
        version=3,
        payload='{"by":"tester","reason":"2.0tZ2HNbLCgyeLi2gAE340gsObrb00PzImeM_fmNsNW6OTWzeDw=="}',
        means={"by": "tester", "reason": "No longer"},
    ),
    StoredEvent(
        type="long_batch.ended.v1",
        stream="lbatch_000000000000000000000000rq",
        version=3,
        payload='{"cause":"expired"}',
        means={"cause": "expired"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
