"""The declaration of an aggregate. `domain.registry` derives from it what spans all aggregates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

from domain.kernel import Decide, Event, Refused, Role, State, Value


class EventType(Value, frozen=True):
    """The stable name and version of an event, and the class that holds it in memory.

    A stored event is never rewritten. A new version gets a new name (``….v2``) and takes over the class. The old entry
    stays, with `event` None. Its `payload` has the fields that it stored, its `upcasts_to` names the new version, and
    its `upcast` converts an old payload when it is read. It names its own personal fields: what it stored in clear is
    read as it is.
    """

    name: str
    event: type[Event] | None
    subject: str | None = None  # the field with the id of the person whose key seals the personal fields
    personal: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()  # fields with codes and metadata that came with the command (domain.codes)
    upcasts_to: str | None = None
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    payload: type[Value] | None = None  # of an old version, which has no class in memory; it describes what is stored


class Decided(Value, frozen=True):
    """What a check knows of the decision of a unit, from the metadata of its events."""

    decided_at: datetime  # aware, UTC
    rules: int  # the version of the rules; 0 for units from before events named it
    log: str  # name of the log
    policies: Mapping[str, State | None] = {}  # the policies in force before the unit, by stream

    @property
    def today(self) -> date:
        """The calendar date in UTC at the decision."""
        return self.decided_at.date()


class Beside(Value, frozen=True):
    """An event of another stream in the same unit, of which only a part is known: `matches` looks at that part."""

    originator_id: str
    matches: Callable[[Event], bool]


class Broken(Value, frozen=True):
    """A stored event that breaks a rule, and what is wrong with it in one sentence.

    With `unless`, the event is right if its unit has that other event too. The version of `unless` does not count.
    """

    event: Event
    what: str
    unless: Event | Beside | None = None

    def is_right_beside(self, event: Event) -> bool:
        """Return whether this event of the unit, with version 0, is the one that makes it right."""
        if isinstance(self.unless, Beside):
            return event.originator_id == self.unless.originator_id and self.unless.matches(event)
        return event == self.unless


def refused(event: Event, refusal: Refused, rules: Mapping[str, str]) -> Broken:
    """Return that a decision would have refused the event. `rules` has the sentence of the refusal."""
    return Broken(event, f"the rules refuse it: {rules[refusal.rule].format_map(refusal.figures)}")


Check: TypeAlias = Callable[[Any, Sequence[Any], Decided], Iterable[Broken]]
"""Holds the events that one unit appended to one stream to the rules. It gets the state before them, and is pure.

The events fold: `evolve` was tried on them before. Limits hold for all entries of a transaction together.
"""
UnitRule: TypeAlias = Callable[[Any, Mapping[str, Sequence[Event]], Decided], str | None]
"""Returns what is wrong with an event beside the other events of its unit, which it gets by stream, or None."""


class Aggregate(Value, frozen=True):
    """One kind of stream: its events, the fold of its events, its commands, and the rules that commands can break.

    `prefix` is the beginning of the name of each of its streams. `commuting` names the events that fold to the same
    state in any order. `snapshot` is the class of the state that snapshots keep, and the version of the fold. Raise
    that version when `evolve` makes another state from the same events. Declare a snapshot only for streams that grow
    long, and never for a state with personal values. `written_once` is true where a stream is rarely read again; the
    state cache leaves such streams out. `may` says who may send a command, where that is not every commander
    (`domain.permissions`). `amounts` names the fields of events and states that hold minor units. `pairs` names the
    members of tuples in the state. `personal_state` is true where the state has personal values: executors drop such
    states once a key was erased, and they have no snapshots. `initial` makes the aggregate a policy: it has one stream,
    named `prefix`, which is in each log from the start and begins with this event. Many commands read it and few change
    it.

    `check` and `unit_rules` are what `daybook verify` holds stored events to. Decisions and checks share the rules, but
    a check never decides a command again. When a rule changes, it keeps the old one for units with an older version of
    the rules. `unit_rules` is for events that must stand beside others, of any stream, in their unit.
    """

    name: str
    prefix: str
    events: tuple[EventType, ...]
    evolve: Callable[[Any, Any], Any]
    decisions: Mapping[type[Any], Decide] = {}
    rules: Mapping[str, str] = {}
    commuting: tuple[str, ...] = ()
    snapshot: tuple[type[Value], int] | None = None
    written_once: bool = False
    may: Mapping[type[Any], frozenset[Role]] = {}
    amounts: frozenset[str] = frozenset()
    pairs: Mapping[str, tuple[str, ...]] = {}
    personal_state: bool = False
    initial: Event | None = None
    check: Check | None = None
    unit_rules: Mapping[type[Event], UnitRule] = {}
