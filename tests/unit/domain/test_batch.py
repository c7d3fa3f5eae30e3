"""Batches: which commands came together, in pieces that name each of them once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain.aggregate import Decided
from domain.batch import MOST_KEYS, Batch, BatchSubmitted, SubmitBatch, check, evolve
from domain.kernel import RULES_VERSION
from tests.support.given import given, refusal
from tests.support.ledger import NOW

DIGEST = "0123456789abcdef"
DECIDED = Decided(NOW, RULES_VERSION, "main")


def submit(items: int, batch: str = "batch_1") -> SubmitBatch:
    return SubmitBatch(batch, tuple(f"item-{number}" for number in range(items)), (DIGEST,) * items)


def pieces(items: int) -> tuple[BatchSubmitted, ...]:
    """The events of a batch of so many items."""
    decision = given().when(submit(items)).decision
    return decision.events  # type: ignore[union-attr,return-value]


def test_a_batch_names_its_items_in_order() -> None:
    given().when(submit(2)).then(BatchSubmitted("batch_1", 1, 2, 1, ("item-0", "item-1"), (DIGEST, DIGEST)))


def test_a_batch_is_submitted_once() -> None:
    given().when(submit(1), submit(1)).then(refusal("batch_exists", batch="batch_1"))


@pytest.mark.parametrize(
    ("items", "sizes"),
    [(0, [0]), (1, [1]), (MOST_KEYS, [MOST_KEYS]), (MOST_KEYS + 1, [MOST_KEYS, 1]), (2 * MOST_KEYS, [MOST_KEYS] * 2)],
)
def test_a_large_batch_comes_in_pieces(items: int, sizes: list[int]) -> None:
    events = pieces(items)
    assert [len(event.keys) for event in events] == sizes
    assert [event.first for event in events] == [1 + sum(sizes[:number]) for number in range(len(sizes))]
    assert list(check(None, events, DECIDED)) == []
    batch: Batch | None = None
    for event in events:
        batch = evolve(batch, event)
    assert batch is not None
    assert (batch.named, batch.items, batch.version) == (items, items, len(sizes))


FIRST, SECOND, THIRD = pieces(2 * MOST_KEYS + 1)


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((FIRST, SECOND), "names 2000 of its 2001 items"),
        ((FIRST, THIRD, SECOND), "begins with item 2001, after 1000 items"),
        ((FIRST, replace(SECOND, items=9), THIRD), "begins with item 1001, after 1000 items"),
        ((FIRST, replace(SECOND, keys=SECOND.keys[1:], digests=SECOND.digests[1:]), THIRD), "has 999 items, the first"),
        ((FIRST, SECOND, replace(THIRD, digests=())), "has not one digest for each of its keys"),
        ((FIRST, SECOND, replace(THIRD, keys=(None,))), "has not one digest for each of its keys"),
        ((FIRST, SECOND, replace(THIRD, digests=("0123",))), "has not one digest for each of its keys"),
        ((replace(FIRST, keys=(*FIRST.keys, "k"), digests=(*FIRST.digests, DIGEST)),), "has not one digest"),
    ],
)
def test_pieces_that_do_not_name_each_item_once_are_found(events: tuple[BatchSubmitted, ...], says: str) -> None:
    assert any(says in broken.what for broken in check(None, events, DECIDED))


def test_a_second_unit_of_a_batch_is_found() -> None:
    before = evolve(None, pieces(1)[0])
    assert [broken.what for broken in check(before, pieces(1), DECIDED)] == ["batch_1 is submitted again"]
