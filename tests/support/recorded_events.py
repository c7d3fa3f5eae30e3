"""Recorded events, as a projection gets them."""

from __future__ import annotations

from domain.kernel import Event
from projections.engine.projection import RecordedEvent


def recorded(*events: Event) -> list[RecordedEvent]:
    """The events at positions 1, 2, 3 …, recorded at t1, t2, t3 …"""
    return [RecordedEvent(position, f"t{position}", event) for position, event in enumerate(events, 1)]
