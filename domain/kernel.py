"""The few shapes every context shares: events, states, decisions, refusals.

The functional style of the ``eventsourcing`` library: events and aggregates are immutable values, ``evolve`` returns
the next aggregate, and a command that is refused leaves nothing behind to undo. Events satisfy its
``DomainEventProtocol`` (``originator_id`` is the stream, ``originator_version`` the version).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Struct

Figure: TypeAlias = "str | int | bool | list[Figure] | dict[str, Figure] | None"
"""What an answer may quote: decimal strings for money, never a float."""


class Value(Struct, frozen=True, gc=False):
    """What the domain is made of: immutable, compared by its fields, never part of a cycle.

    `msgspec.Struct` is a dataclass whose constructor is C: making one takes a tenth of the time (ADR 0009).
    """


class Erased(Value, frozen=True):
    """Stands where a personal value stood, once the key of its subject is gone."""

    def __str__(self) -> str:
        return "[erased]"


ERASED = Erased()


class Unreadable(Value, frozen=True):
    """Stands where a personal value stands that cannot be opened: its key or its sealed text is damaged or lost.

    Unlike `Erased`, nobody asked for it. `daybook verify` says which values these are, and why.
    """

    def __str__(self) -> str:
        return "[unreadable]"


UNREADABLE = Unreadable()

Personal: TypeAlias = str | Erased | Unreadable
"""A value about a person, sealed with the subject's key before it reaches the log.

It reads as `Erased` after that key was erased, and as `Unreadable` where it cannot be opened otherwise.
"""


class Event(Value, frozen=True):
    """A fact. `originator_version` is where the decision expects it to stand in its stream.

    For a stream that commutes (see `Accepted.commuting`) the append assigns the version, so only an event read back
    from the log carries the true one.
    """

    originator_id: str
    originator_version: int


class State(Protocol):
    """A folded aggregate: whatever it knows, it knows its version."""

    @property
    def version(self) -> int: ...


States: TypeAlias = Mapping[str, State | None]
"""The streams a decision may look at, each with its state, or None where the stream does not exist."""


S = TypeVar("S")


def found(states: States, id: str, kind: type[S]) -> S | None:
    """The aggregate with this id; None where there is none, or where the stream of this name is one of another kind."""
    state = states[id]
    return state if isinstance(state, kind) else None


class Context(Value, frozen=True):
    """What a decision may know of the world. It comes with the command, so deciding again repeats the decision."""

    decided_at: datetime  # aware, UTC
    log: str  # the log's name: internal accounts have ids made from it

    @property
    def today(self) -> date:
        """The calendar date in UTC: the last value date a transaction may have."""
        return self.decided_at.date()


class Accepted(Value, frozen=True):
    """The command is carried out by these events, in this order, in one unit.

    `result` is what the answer tells: ids, resulting balances. `commuting` names the streams on which only entries
    to accounts without limits are written: they may be appended after entries this decision has not seen.
    """

    outcome: ClassVar[Literal["accepted"]] = "accepted"
    events: tuple[Event, ...]
    result: Mapping[str, Figure]
    commuting: frozenset[str] = frozenset()


class Refused(Value, frozen=True):
    """A business rule says no. `rule` is a code of `domain.registry.RULES`, `figures` are what decided it."""

    outcome: ClassVar[Literal["refused"]] = "refused"
    rule: str
    figures: Mapping[str, Figure]
    commuting: frozenset[str] = frozenset()  # streams whose entries had no part in it


class Unknown(Value, frozen=True):
    """The command names something that does not exist. Answered, never recorded."""

    outcome: ClassVar[Literal["unknown"]] = "unknown"
    kind: str
    id: str
    commuting: frozenset[str] = frozenset()


class NeedsStreams(Value, frozen=True):
    """The decision depends on these streams too: load them and ask again."""

    outcome: ClassVar[Literal["needs_streams"]] = "needs_streams"
    streams: tuple[str, ...]


Decision: TypeAlias = Accepted | Refused | Unknown | NeedsStreams

Decide: TypeAlias = Callable[[Any, States, Context], Decision]
"""Decides a command. Pure: the same command on the same states in the same context gets the same decision."""


class Command(Protocol):
    """An intent. Ids and dates come with it; `streams` are the existing streams it must see to be decided."""

    @property
    def streams(self) -> tuple[str, ...]: ...
