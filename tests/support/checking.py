"""Holds units in memory to the rules of the ledger, as `verify` does with stored ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from domain import registry
from domain.aggregate import Broken, Decided
from domain.kernel import Event, State


def broken(before: Mapping[str, State | None], unit: Sequence[Event], decided: Decided) -> list[tuple[Event, str]]:
    """The events of a unit that break a rule, and what is wrong. `before` has the states before the unit."""
    return [(one.event, one.what) for one in _broken(before, unit, decided)]


def _broken(before: Mapping[str, Any], unit: Sequence[Event], decided: Decided) -> Iterator[Broken]:
    unversioned = [replace(event, originator_version=0) for event in unit]
    for stream in dict.fromkeys(event.originator_id for event in unit):
        aggregate = registry.aggregate_of(stream)
        assert aggregate is not None, stream
        if aggregate.check is not None:
            events = [event for event in unit if event.originator_id == stream]
            found = aggregate.check(before.get(stream), events, decided)
            yield from (one for one in found if not any(map(one.is_right_beside, unversioned)))
    yield from registry.check_unit(unit, decided)
