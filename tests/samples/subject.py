"""Samples of subjects. They have no commands: the owner's function erases a person."""

from __future__ import annotations

from tests.samples.sample import Samples, StoredEvent, World


def one(world: World) -> str:
    return world.erased("gone-1")


EVENTS = (
    StoredEvent(
        "subject.erased.v1",
        "subject:customer-1",
        1,
        '{"subject":"customer-1"}',
        {"subject": "customer-1"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
