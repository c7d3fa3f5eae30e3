"""What each aggregate supplies to the tests that try every aggregate.

`tests/samples/<area>/<aggregate>.py` ends with `SAMPLES = Samples(...)`, as the aggregate's own module ends with its
declaration. The tests find the module by the aggregate's name (`tests.samples.registry`). `tests/unit/test_samples.py`
names each aggregate, event version, command, rule and route that has no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from domain.codes import MOST_CODE
from tests.support.memory_ledger import By, MemoryLedger


@dataclass(frozen=True)
class StoredEvent:
    """An event as a version of the program stored it, and its fields when it is read: `means`.

    Add samples; never change or remove one, because logs have such events. `python -m tests.samples.store` writes them.
    Personal values are sealed with the keys of `tests.samples.store`.
    """

    type: str
    stream: str
    version: int
    payload: str
    means: Mapping[str, Any]


@dataclass(frozen=True)
class RuleSample:
    """A command that just breaks a rule and reads `sentence`, and commands that just keep it, the last one by a hair.

    Each case begins with the internal accounts of EUR and what `given` makes. `kept` is more than one command where the
    rule is about what happened before. An operator sends a command that does not say who does (`By`).
    """

    given: tuple[Any, ...]
    broken: Any
    sentence: str
    kept: tuple[Any, ...]


def no_code(field: str, broken: Any, kept: Any, *, given: tuple[Any, ...] = (), most: int = MOST_CODE) -> RuleSample:
    """The sample of the rule `not_a_code`: a command with another text in this field, and one with a code."""
    sentence = (
        f"The {field} is not a code. A code has 1 to {most} characters, which are A-Z, a-z, 0-9 and . _ : / # + -, and "
        "begins with a letter or a digit. Free text belongs where it is sealed, such as a description."
    )
    return RuleSample(given, broken, sentence, (kept,))


class World(Protocol):
    """A running service, as far as a sample needs it to make what its request names."""

    def do(self, path: str, body: Any = None) -> dict[str, Any]:
        """Post a command that is accepted, as an operator. `path` is without `/v1/`. Returns the answer."""
        ...

    def refused(self, path: str, body: Any = None) -> str:
        """Post a command that is refused, as an operator. Returns the id of its refusal."""
        ...

    def erased(self, subject: str) -> str:
        """Erase a person, as the owner. Returns the name of the stream."""
        ...

    def record(self, command: Any) -> None:
        """Execute a command that only process managers send."""
        ...

    def executed(self, command: By) -> dict[str, Any]:
        """Execute a command, given with its principal (`tests.support.memory_ledger.By`). It is accepted."""
        ...


@dataclass(frozen=True)
class Request:
    """A valid request to a route: the names in its path, and its body.

    `token` is that of the person who sends it; empty for a visitor, None for an operator.
    """

    names: Mapping[str, str]
    body: Mapping[str, Any]
    token: str | None = None

    def path(self, route: str) -> str:
        """The path of the request to this route."""
        return route.format_map(self.names)


@dataclass(frozen=True)
class Samples:
    """The samples of one aggregate.

    `events`: at least one of each version that was ever shipped. `rules`: one for each rule, by its code. `routes`: for
    each route of a command, by its path, a function that makes what the request names and returns the request. `one`:
    makes one and returns the name of its stream. `life`: the next command of a random history, which may be refused;
    None for an aggregate that has no commands. `weight`: how often it is its turn, compared with others. `check`: what is true after every history. `of_people`: as `routes`, of
    what a person or a visitor sends.
    """

    events: tuple[StoredEvent, ...]
    one: Callable[[World], str]
    rules: Mapping[str, RuleSample]
    routes: Mapping[str, Callable[[World], Request]]
    life: Callable[[MemoryLedger, Random], Any] | None
    weight: int = 1
    check: Callable[[MemoryLedger], None] = lambda ledger: None
    of_people: Mapping[str, Callable[[Any], Request]] = field(default_factory=dict)
