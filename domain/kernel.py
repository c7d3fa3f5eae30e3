"""The types that all aggregates share: events, states, commands, decisions and refusals.

The style is the functional one of the ``eventsourcing`` library. Events and aggregates are immutable values, and
``evolve`` returns the next state. A refused command has changed nothing, so there is nothing to undo. Events satisfy
the library's ``DomainEventProtocol``: ``originator_id`` is the stream, ``originator_version`` is the version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Struct

Figure: TypeAlias = "str | int | bool | list[Figure] | dict[str, Figure] | None"
"""A value that an answer can contain. Money is a decimal string, never a float."""


class Value(Struct, frozen=True, gc=False):
    """The base of all values of the domain: immutable, equal if the fields are equal, never part of a cycle.

    `msgspec.Struct` works like a dataclass with a constructor in C, which takes a tenth of the time (ADR 0009).
    """


class Erased(Value, frozen=True):
    """Replaces a personal value after the key of the person was erased."""

    def __str__(self) -> str:
        return "[erased]"


ERASED = Erased()


class Unreadable(Value, frozen=True):
    """Replaces a personal value that cannot be opened, because its key or its sealed text is damaged or lost.

    Unlike `Erased`, this is a fault. `daybook verify` lists these values and their causes.
    """

    def __str__(self) -> str:
        return "[unreadable]"


UNREADABLE = Unreadable()

Personal: TypeAlias = str | Erased | Unreadable
"""A value about a person. The person's key seals it before it is stored in the log.

It is `Erased` after that key was erased, and `Unreadable` if it cannot be opened for another reason.
"""

PersonalTexts: TypeAlias = tuple[str, ...] | Erased | Unreadable
"""Several values about a person, which are sealed as one, and erased or unreadable as one."""


class Event(Value, frozen=True):
    """A fact on a stream. `originator_version` is the version that the decision expects the event to get.

    On a commuting stream (see `Accepted.commuting`) the append assigns the version. Only an event that was read from
    the log has its final version there.
    """

    originator_id: str
    originator_version: int


class State(Protocol):
    """The folded state of a stream. Each state has the version of its stream."""

    @property
    def version(self) -> int: ...


States: TypeAlias = Mapping[str, State | None]
"""The states that a decision can read, by stream. The state is None if the stream does not exist."""


S = TypeVar("S")


def found(states: States, id: str, kind: type[S]) -> S | None:
    """Return the state of this stream, or None if the stream does not exist or is of another kind."""
    state = states[id]
    return state if isinstance(state, kind) else None


Role = Literal[
    "command",
    "report",
    "audit",
    "operator",
    "customer",
    "author",
    "moderator",
    "administrator",
    "person",
    "visitor",
    "process",
]
"""What a principal may do, roughly. `domain.permissions` says which role may do what, and who can have it."""


class Grant(Value, frozen=True):
    """A role that a principal has for a time."""

    role: Role
    until: datetime | None = None  # aware, UTC; None: without an end


class Principal(Value, frozen=True):
    """A person or a program that sends commands. `id` is the actor of its commands."""

    id: str
    roles: tuple[Role, ...]
    how: str = "token"  # how it proved who it is
    person: str | None = None  # the id of the person behind it; None for a program
    grants: tuple[Grant, ...] = ()

    @property
    def all_roles(self) -> tuple[Role, ...]:
        """Its roles and those of its grants, whatever their end."""
        return (*self.roles, *(grant.role for grant in self.grants))

    @property
    def recorded(self) -> dict[str, Any]:
        """What is recorded about it with each event, in order of the names. A program has no person and no grants."""
        grants = [{"role": grant.role, "until": grant.until} for grant in self.grants]
        person = {} if self.person is None else {"person": self.person}
        return {**({"grants": grants} if grants else {}), "how": self.how, "id": self.id, **person, "roles": self.roles}


RULES_VERSION = 1
"""The version of the rules that decisions follow. Raise it when a rule accepts what it refused before, or the reverse.

Events name the version in their metadata, and `daybook verify` holds each unit to its own (`Aggregate.check`). Units
from before events named it have version 0.
"""


class Context(Value, frozen=True):
    """What a decision knows besides the states. It comes with the command, so a repeated decision is the same."""

    decided_at: datetime  # aware, UTC
    log: str  # name of the log; the ids of internal accounts are made from it
    principal: Principal  # who sent the command
    rules: int = RULES_VERSION  # the version of the rules that it is decided under

    @property
    def today(self) -> date:
        """The calendar date in UTC. It is the latest value date that a transaction can have."""
        return self.decided_at.date()


class Accepted(Value, frozen=True):
    """The command is accepted. Its events are appended in this order, in one unit.

    `result` is the part of the answer that the decision fills: ids, resulting balances. `commuting` names the streams
    that get only entries of accounts without limits. The append accepts them even if the stream has newer entries than
    the decision has read. `unseen` names streams that who asks may not see: the answer leaves out their versions.
    """

    outcome: ClassVar[Literal["accepted"]] = "accepted"
    events: tuple[Event, ...]
    result: Mapping[str, Figure]
    commuting: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()


class Refused(Value, frozen=True):
    """A business rule refuses the command. `rule` is a code of `domain.registry.RULES`; `figures` explain it.

    `events` are facts that the refusal leaves, such as a lockout after too many attempts. They are appended in this
    order, in the unit of the refusal. The outcome stays refused, and a retry gets the same answer.
    """

    outcome: ClassVar[Literal["refused"]] = "refused"
    rule: str
    figures: Mapping[str, Figure]
    commuting: frozenset[str] = frozenset()  # streams whose newer entries cannot change the refusal
    events: tuple[Event, ...] = ()


class Unknown(Value, frozen=True):
    """The command names something that does not exist. The answer is not recorded."""

    outcome: ClassVar[Literal["unknown"]] = "unknown"
    kind: str
    id: str
    commuting: frozenset[str] = frozenset()


class Forbidden(Value, frozen=True):
    """The principal may not do this. The answer is not recorded. `why` is a sentence about role or ownership."""

    outcome: ClassVar[Literal["forbidden"]] = "forbidden"
    why: str
    commuting: frozenset[str] = frozenset()


class NeedsStreams(Value, frozen=True):
    """The decision needs these streams too. Load them and decide again."""

    outcome: ClassVar[Literal["needs_streams"]] = "needs_streams"
    streams: tuple[str, ...]


Decision: TypeAlias = Accepted | Refused | Unknown | Forbidden | NeedsStreams

Decide: TypeAlias = Callable[[Any, States, Context], Decision]
"""A function that decides a command. The same command, states and context always give the same decision."""


class Command(Protocol):
    """A request to change something. It brings its ids and dates. `streams` are the streams that the decision reads."""

    @property
    def streams(self) -> tuple[str, ...]: ...
