"""Samples of batches. Items of a batch over HTTP bring their commands; here they are only named."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from domain.batch import BATCH, MOST_KEYS, Batch, SubmitBatch
from domain.ids import typeid
from domain.kernel import Principal
from domain.permissions import COMMANDERS
from tests.samples.sample import RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import By, MemoryLedger

_numbers = count(1)  # of the batches that `one` makes

DIGEST = "0123456789abcdef"


def submit(batch: str, items: int = 1) -> SubmitBatch:
    """A batch of so many items."""
    return SubmitBatch(batch, tuple(f"item-{number}" for number in range(items)), (DIGEST,) * items)


def one(world: World) -> str:
    """A batch of one item."""
    sender = Principal("sender", tuple(sorted(COMMANDERS)))
    return str(world.executed(By(sender, submit(typeid(BATCH, UUID(int=next(_numbers))))))["batch"])


RULES = {
    "batch_exists": RuleSample(
        given=(submit("batch_1"),),
        broken=submit("batch_1"),
        sentence="Batch batch_1 exists already.",
        kept=(submit("batch_2"),),
    )
}


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Batches of a few items, and a few of more than one piece; one in ten is submitted again."""
    submitted = ledger.of(Batch)
    if submitted and chance.random() < 0.1:
        return submit(chance.choice(submitted).id)
    return submit(ledger.new_id(BATCH), MOST_KEYS + 1 if chance.random() < 0.02 else chance.randint(0, 3))


EVENTS = (
    StoredEvent(
        "batch.submitted.v1",
        "batch_01m7xye322ewkrackt3th99f5h",
        1,
        '{"digests":["0123456789abcdef",""],"first":1,"items":2,"keys":["payout-1",null]}',
        {"items": 2, "first": 1, "keys": ["payout-1", None], "digests": [DIGEST, ""]},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, life=life)
