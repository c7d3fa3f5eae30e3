"""Long batches: parts that name each item once, in order, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.aggregate import Decided
from domain.batch import MOST_KEYS
from domain.kernel import RULES_VERSION, Accepted, Principal, Unknown
from domain.long_batch import (
    LIFE,
    MOST_ITEMS,
    MOST_PARTS,
    LongBatch,
    LongBatchEnded,
    LongBatchEvent,
    LongBatchFinished,
    LongBatchOpened,
    LongBatchPartDone,
    LongBatchPartReceived,
    LongBatchStarted,
    LongBatchStopped,
    OpenLongBatch,
    RecordPart,
    StopLongBatch,
    Unrecorded,
    check,
    evolve,
)
from domain.registry import forbid
from tests.samples.long_batch import DIGEST, OPEN, WORKER, done, ended, part
from tests.support.given import When, given, refusal
from tests.support.memory_ledger import NOW, PRINCIPAL, By

DECIDED = Decided(NOW, RULES_VERSION, "main")
SOMEBODY = Principal("somebody", ("command",))
OPERATOR = Principal("an-operator", ("operator",))
EXPIRES = NOW + LIFE


def opened(items: int) -> OpenLongBatch:
    return OpenLongBatch("lbatch_1", items)


def sent(*commands: Any) -> When:
    """The last of these commands, each by its sender, after the others were accepted."""
    ledger = given().ledger
    *before, last = commands
    for command in before:
        assert isinstance(ledger.execute_by(command), Accepted), command
    return When(ledger, ledger.execute_by(last))


def fold(events: Sequence[LongBatchEvent]) -> LongBatch:
    """The long batch after these events."""
    state: LongBatch | None = None
    for event in events:
        state = evolve(state, event)
    assert state is not None
    return state


# Parts


def test_the_last_part_starts_the_batch() -> None:
    came = LongBatchPartReceived("lbatch_1", 2, 1, 1, ("item-1-0", "item-1-1"), (DIGEST, DIGEST), 4 * DIGEST, 100)
    sent(opened(2), part(1, 2)).then(came, LongBatchStarted("lbatch_1", 3, 1))


def test_a_part_says_which_items_it_has() -> None:
    came = LongBatchPartReceived("lbatch_1", 3, 2, 3, ("item-2-0", "item-2-1"), (DIGEST, DIGEST), 4 * DIGEST, 100)
    sent(opened(5), part(1, 2), part(2, 2)).then(came)


@pytest.mark.parametrize(
    ("before", "number", "items", "least", "most"),
    [
        ((), 1, 0, 1, 5),  # a part has items
        ((), 1, 6, 1, 5),  # no more than were announced
        ((part(1, 2),), 2, 1, 2, 2),  # as many as the first
        ((part(1, 2),), 2, 3, 2, 2),
        ((part(1, 2), part(2, 2)), 3, 2, 1, 1),  # the last has the rest
    ],
)
def test_parts_have_as_many_items_as_the_first_but_the_last(
    before: tuple[Any, ...], number: int, items: int, least: int, most: int
) -> None:
    figures = {"part": number, "least": least, "most": most, "items": items}
    sent(opened(5), *before, part(number, items)).then(refusal("long_batch_part_items", **figures))
    assert sent(opened(5), *before, part(number, most)).decision.events  # type: ignore[union-attr]


def test_the_first_part_is_so_large_that_the_parts_are_not_too_many() -> None:
    figures = {"part": 1, "least": MOST_KEYS, "most": MOST_KEYS, "items": MOST_KEYS - 1}
    sent(opened(MOST_ITEMS), part(1, MOST_KEYS - 1)).then(refusal("long_batch_part_items", **figures))
    assert MOST_ITEMS == MOST_PARTS * MOST_KEYS


def test_a_part_is_for_the_one_who_opened_the_batch() -> None:
    sent(OPEN, By(SOMEBODY, part(1, 2))).then(Unknown("long_batch", "lbatch_1"))
    sent(OPEN, By(OPERATOR, part(1, 2))).then(Unknown("long_batch", "lbatch_1"))


def test_no_part_comes_after_the_last() -> None:
    figures = {"batch": "lbatch_1", "status": "running", "required": "receiving", "verb": "take a part"}
    sent(OPEN, part(1, 2), part(2, 1)).then(refusal("long_batch_status", **figures))


# Its end


def test_the_last_part_that_is_done_finishes_the_batch() -> None:
    unrecorded = (Unrecorded(2, "forbidden"),)
    carried_out = LongBatchPartDone("lbatch_1", 4, 1, 1, 2, 1, 0, 0, 0, unrecorded)
    finished = LongBatchFinished("lbatch_1", 5, 2, 1, 0, 0, 0, 1)
    sent(OPEN, part(1, 2), done(1, 1, "forbidden")).then(carried_out, finished)


def test_counts_of_all_parts_are_added() -> None:
    two = By(WORKER, RecordPart("lbatch_1", 2, 0, 1, 0, 0, ()))
    [_, finished] = sent(opened(3), part(1, 2), part(2, 1), done(1, 2), two).decision.events  # type: ignore[union-attr]
    assert finished == LongBatchFinished("lbatch_1", 7, 3, 2, 1, 0, 0, 0)


def test_its_sender_and_operators_stop_it_and_nobody_else() -> None:
    stop = StopLongBatch("lbatch_1", "No longer")
    for principal in (PRINCIPAL, OPERATOR):
        sent(OPEN, By(principal, stop)).then(LongBatchStopped("lbatch_1", 2, principal.id, "No longer"))
    sent(OPEN, By(SOMEBODY, stop)).then(Unknown("long_batch", "lbatch_1"))
    sent(By(SOMEBODY, OPEN), By(SOMEBODY, stop)).then(LongBatchStopped("lbatch_1", 2, "somebody", "No longer"))


def test_nothing_is_recorded_after_it_was_stopped() -> None:
    figures = {"batch": "lbatch_1", "status": "stopped", "required": "running", "verb": "have a part done"}
    stopped = (OPEN, part(1, 2), StopLongBatch("lbatch_1", "No longer"))
    sent(*stopped, done(1, 2)).then(refusal("long_batch_status", **figures))


@pytest.mark.parametrize("cause", ["sender", "lost"])
def test_only_a_running_batch_is_ended_for_its_sender_or_its_parts(cause: str) -> None:
    sent(OPEN, part(1, 2), ended(cause)).then(LongBatchEnded("lbatch_1", 4, cause))  # type: ignore[arg-type]
    figures = {"batch": "lbatch_1", "status": "receiving", "required": "running", "verb": "be ended"}
    sent(OPEN, ended(cause)).then(refusal("long_batch_status", **figures))


def test_what_only_the_worker_sends() -> None:
    for command in (done().command, ended("lost").command):
        assert forbid(PRINCIPAL, command, NOW) is not None
        assert forbid(WORKER, command, NOW) is None


# Check

UNITS: tuple[tuple[LongBatchEvent, ...], ...] = (
    (LongBatchOpened("lbatch_1", 1, "tester", 3, EXPIRES, None),),
    (LongBatchPartReceived("lbatch_1", 2, 1, 1, ("a", None), (DIGEST, ""), 4 * DIGEST, 10),),
    (
        LongBatchPartReceived("lbatch_1", 3, 2, 3, ("c",), (DIGEST,), 4 * DIGEST, 10),
        LongBatchStarted("lbatch_1", 4, 2),
    ),
    (LongBatchPartDone("lbatch_1", 5, 1, 1, 2, 1, 0, 0, 0, (Unrecorded(2, "malformed"),)),),
    (
        LongBatchPartDone("lbatch_1", 6, 2, 3, 1, 0, 1, 0, 0, ()),
        LongBatchFinished("lbatch_1", 7, 3, 1, 1, 0, 0, 1),
    ),
)


def findings(number: int, unit: Sequence[LongBatchEvent], decided: Decided = DECIDED) -> list[str]:
    """What the check finds where this unit takes the place of the one with this number."""
    before = [event for earlier in UNITS[:number] for event in earlier]
    return [broken.what for broken in check(fold(before) if before else None, unit, decided)]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    for number, unit in enumerate(UNITS):
        assert findings(number, unit) == []


OPENED, [FIRST], [SECOND, STARTED], [DONE], [LAST, FINISHED] = UNITS[0][0], *UNITS[1:]


@pytest.mark.parametrize(
    ("number", "unit", "says"),
    [
        (0, (replace(OPENED, items=MOST_ITEMS + 1),), "1 to 1000000 items"),
        (0, (replace(OPENED, expires_at=EXPIRES + timedelta(seconds=1)),), "expires at"),
        (1, (OPENED,), "is opened again"),
        (1, (replace(FIRST, part=2),), "The next part of long batch lbatch_1 is 1, not 2."),
        (1, (replace(FIRST, first=2),), "begins with item 2, after 0 items"),
        (1, (replace(FIRST, digests=(DIGEST,)),), "not one digest for each"),
        (1, (replace(FIRST, digests=(DIGEST, DIGEST)),), "not one digest for each"),
        (1, (STARTED,), "is started with 2 parts, 0 of 3 items"),
        (2, (SECOND,), "has to be started"),
        (2, (SECOND, replace(STARTED, parts=3)), "is started with 3 parts"),
        (3, (replace(DONE, accepted=2),), "outcomes of 3 were given"),
        (3, (replace(DONE, first=2),), "is done with 2 items from 2 on"),
        (3, (replace(DONE, unrecorded=(Unrecorded(3, "malformed"),)),), "not its own, in order"),
        (3, (replace(DONE, unrecorded=(Unrecorded(2, "Ada Lovelace"),)),), "not its own, in order"),
        (3, (LAST,), "The next part of long batch lbatch_1 is 1, not 2."),
        (4, (LAST,), "has to be finished"),
        (4, (LAST, replace(FINISHED, accepted=2)), "other counts than its parts"),
        (3, (FINISHED,), "other counts than its parts"),
        (4, (LongBatchEnded("lbatch_1", 6, "expired"),), "expires at"),
        (2, (LongBatchEnded("lbatch_1", 3, "lost"),), "only one that is running can be ended"),
    ],
)
def test_what_does_not_fit_is_found(number: int, unit: tuple[LongBatchEvent, ...], says: str) -> None:
    found = findings(number, unit)
    assert any(says in what for what in found), found


def test_a_batch_that_expired_was_ended_rightly() -> None:
    late = Decided(EXPIRES, RULES_VERSION, "main")
    assert findings(4, (LongBatchEnded("lbatch_1", 6, "expired"),), late) == []


def test_what_comes_after_the_end_is_found() -> None:
    over = fold([event for unit in UNITS for event in unit])
    [broken] = check(over, [LongBatchStopped("lbatch_1", 8, "tester", "Late")], DECIDED)
    assert "only one that is receiving or running can be stopped" in broken.what
