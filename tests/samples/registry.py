"""The samples of every aggregate, found by its name, and random histories of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Any

from fastapi.routing import APIRoute

from api.commands.routes import CommandRoute
from api.registry import ROUTERS
from domain.accounts.account.state import INTERNAL_ROLES, Account
from domain.aggregate import Aggregate
from domain.kernel import Accepted, Event
from domain.registry import AGGREGATES
from tests.samples.sample import Request, Samples, StoredEvent, World
from tests.support.memory_ledger import MemoryLedger


def module_of(aggregate: Aggregate) -> str:
    """The module of its samples: in the folder of its area, which is the folder of its decisions."""
    _, *area, _ = aggregate.evolve.__module__.split(".")
    return ".".join(["tests", "samples", *area[:1], aggregate.name])


def is_there(module: str) -> bool:
    """Whether there is a module of this name."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its folder is missing
        return False


SAMPLES: Mapping[str, Samples] = {
    aggregate.name: import_module(module_of(aggregate)).SAMPLES
    for aggregate in AGGREGATES
    if is_there(module_of(aggregate))
}
"""By the name of the aggregate. `tests/unit/test_samples.py` fails where one is missing."""

EVENTS: tuple[StoredEvent, ...] = tuple(event for samples in SAMPLES.values() for event in samples.events)


ROUTES: Mapping[str, Callable[[World], Request]] = {
    path: make for samples in SAMPLES.values() for path, make in samples.routes.items()
}
"""A valid request of an operator to each route of a command that takes one, by its path."""

OF_PEOPLE: Mapping[str, Callable[[Any], Request]] = {
    path: make for samples in SAMPLES.values() for path, make in samples.of_people.items()
}
"""A valid request of a person or a visitor to each other route of a command, made on a running service."""


def command_routes() -> dict[str, APIRoute]:
    """The routes of commands, by their path."""
    return {
        route.path: route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and isinstance(getattr(route.endpoint, "declaration", None), CommandRoute)
    }


def history(ledger: MemoryLedger, chance: Random, units: int) -> Iterator[tuple[Event, ...]]:
    """The units of a random history, reproducible by its chance: `units` accepted commands, and refused ones.

    At its end the owner of the newest account is erased, unless somebody was in a history before.
    """
    lives = [samples.life for samples in SAMPLES.values() if samples.life is not None for _ in range(samples.weight)]
    while units:
        before = len(ledger.log)
        decision = ledger.execute_by(chance.choice(lives)(ledger, chance))
        units -= isinstance(decision, Accepted)
        if len(ledger.log) > before:
            yield tuple(ledger.log[before:])
    owners = [one.profile.owner for one in ledger.of(Account) if one.profile.type not in INTERNAL_ROLES]
    if owners and not ledger.erased:
        ledger.erase(owners[-1])
        yield (ledger.log[-1],)


def check_history(ledger: MemoryLedger) -> None:
    """What is true of every history, and of those of each aggregate."""
    ledger.check()
    for samples in SAMPLES.values():
        samples.check(ledger)
