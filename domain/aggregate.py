"""How an aggregate is declared. What spans aggregates is derived from the declarations (`domain.registry`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.kernel import Decide, Event, Value


class EventType(Value, frozen=True):
    """The stable name and version of an event, and the class that carries it today.

    An event is never rewritten. A new version gets a new name (``….v2``) and the class; the old name stays, with
    `event` None, `upcasts_to` the new name, and `upcast`, which lifts an old payload when it is read.
    """

    name: str
    event: type[Event] | None
    subject: str | None = None  # the field that names whose key seals the personal fields
    personal: tuple[str, ...] = ()
    upcasts_to: str | None = None
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None


class Aggregate(Value, frozen=True):
    """One kind of stream: its events, what they come to, the commands on it and the rules these can break.

    `prefix` begins the name of each of its streams. `commuting` names the events that fold to the same state in any
    order. `snapshot` is the state to keep beside the log, with the version of its fold: raise the version when `evolve`
    makes another state of the same events. Only streams that grow long need one, and no state with personal values.
    `written_once` says that a stream is rarely read again. `amounts` are the fields, of events and of the state, that
    hold minor units; `pairs` names the members of tuples in the state.
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
    amounts: frozenset[str] = frozenset()
    pairs: Mapping[str, tuple[str, ...]] = {}
