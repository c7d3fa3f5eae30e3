"""Everything in the registry has a sample, so that the tests over all aggregates cover it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from domain.aggregate import Aggregate
from domain.kernel import Accepted
from domain.registry import AGGREGATES, CATALOGUE
from tests.samples import store
from tests.samples.registry import SAMPLES, command_routes, history, module_of
from tests.samples.sample import Samples
from tests.support.memory_ledger import MemoryLedger


def missing(aggregate: Aggregate, samples: Samples | None) -> list[str]:
    """The parts of an aggregate without a sample, and the samples of unknown parts."""
    if samples is None:
        return [f"{module_of(aggregate)}: there is no such module"]
    events = {sample.type for sample in samples.events}
    return [
        *(f"event {name}" for name in sorted(events ^ {entry.name for entry in aggregate.events})),
        *(f"rule {rule}" for rule in sorted(samples.rules.keys() ^ aggregate.rules.keys())),
        *(["life"] if (samples.life is None) != (not aggregate.decisions) else []),
    ]


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda aggregate: aggregate.name)
def test_every_event_version_and_rule_has_a_sample(aggregate: Aggregate) -> None:
    assert missing(aggregate, SAMPLES.get(aggregate.name)) == []


def test_every_route_of_a_command_has_a_sample() -> None:
    sampled = Counter(route for samples in SAMPLES.values() for route in (*samples.routes, *samples.of_people))
    assert sampled == Counter(list(command_routes())), "each route once, in the samples of one aggregate"


def test_every_command_is_accepted_and_every_event_happens_in_a_random_life() -> None:
    """A ledger counts the commands that it accepts in a random life."""
    accepted: Counter[str] = Counter()

    class Counting(MemoryLedger):
        def execute(self, command: object) -> object:  # type: ignore[override]
            decision = super().execute(command)
            accepted.update([type(command).__name__] if isinstance(decision, Accepted) else [])
            return decision

    commands = {command.__name__ for aggregate in AGGREGATES for command in aggregate.decisions}
    events = {entry.event.__name__ for entry in CATALOGUE if entry.event is not None}
    happened: set[str] = set()
    for seed in range(1, store.MOST_HISTORIES + 1):
        happened |= {type(event).__name__ for unit in history(Counting(), Random(seed), store.UNITS) for event in unit}
        if commands <= set(accepted) and events <= happened:
            break
    assert commands - set(accepted) == set()
    assert events - happened == set()


def test_a_part_without_a_sample_is_named() -> None:
    order = next(aggregate for aggregate in AGGREGATES if aggregate.name == "order")
    samples = SAMPLES["order"]
    grown = replace(
        order,
        events=(*order.events, replace(order.events[0], name="order.placed.v3")),
        rules={**order.rules, "order_late": "Too late."},
    )
    assert missing(grown, samples) == ["event order.placed.v3", "rule order_late"]
    assert missing(order, None) == ["tests.samples.orders.order: there is no such module"]


def test_a_missing_sample_of_an_event_can_be_stored() -> None:
    names = {entry.name for entry in CATALOGUE if entry.event is not None}
    samples = list(store.stored(store.keys(), set(names)))
    assert {sample.type for sample in samples} == names
