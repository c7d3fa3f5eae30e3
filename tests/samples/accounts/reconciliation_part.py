"""Samples of the parts of statements that are reconciled."""

from __future__ import annotations

from typing import Any

from domain.accounts.reconciliation.statement import part_stream
from tests.samples.accounts import reconciliation
from tests.samples.sample import Samples, World


def one(world: World) -> str:
    """A part of a statement."""
    return part_stream(reconciliation.one(world), 1)


# Events as they were stored

EVENTS: tuple[Any, ...] = ()

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
