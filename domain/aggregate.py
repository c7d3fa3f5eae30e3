"""The declaration of an aggregate. `domain.registry` derives from it what spans all aggregates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.kernel import Decide, Event, Role, Value


class EventType(Value, frozen=True):
    """The stable name and version of an event, and the class that holds it in memory.

    A stored event is never rewritten. A new version gets a new name (``….v2``) and takes over the class. The old entry
    stays, with `event` None. Its `upcasts_to` names the new version, and its `upcast` converts an old payload when it
    is read. It names its own personal fields: what it stored in clear is read as it is.
    """

    name: str
    event: type[Event] | None
    subject: str | None = None  # the field with the id of the person whose key seals the personal fields
    personal: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()  # fields with codes and metadata that came with the command (domain.codes)
    upcasts_to: str | None = None
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None


class Aggregate(Value, frozen=True):
    """One kind of stream: its events, the fold of its events, its commands, and the rules that commands can break.

    `prefix` is the beginning of the name of each of its streams. `commuting` names the events that fold to the same
    state in any order. `snapshot` is the class of the state that snapshots keep, and the version of the fold. Raise
    that version when `evolve` makes another state from the same events. Declare a snapshot only for streams that grow
    long, and never for a state with personal values. `written_once` is true where a stream is rarely read again; the
    state cache leaves such streams out. `may` says who may send a command, where that is not every commander
    (`domain.permissions`). `amounts` names the fields of events and states that hold minor units. `pairs` names the
    members of tuples in the state. `initial` makes the aggregate a policy: it has one stream, named `prefix`, which is
    in each log from the start and begins with this event. Many commands read it and few change it.
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
    initial: Event | None = None
