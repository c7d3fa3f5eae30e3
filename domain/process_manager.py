"""Process managers: work that takes time, such as a post that is published at a time.

A manager is a declaration and three pure functions. `evolve` folds triggers into a state. `react` says what the process
intends after a trigger: commands to send, questions to ask. `due` says when it wants to be woken. A trigger is a
business event, the answer to an intent, a due time, or an operator who asks it to try again.

What a process intends is recorded on its stream before anything is sent (`domain.processes.process`). The worker sends
what was recorded, never what `react` would say now. So neither a crash nor a new version can send something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from domain.ids import named_id
from domain.kernel import Command, Erased, Event, Value

PROCESS = "proc"
"""Prefix of the ids of processes."""
MOST_INTENTS = 100
"""Most intents of one reaction."""
MOST_INTENT_CHARACTERS = 64 * 1024
"""Longest JSON of one intent."""
BACK_OFF = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""How long to wait before a command is tried again whose refusal may change: so many tries, then attention."""

Fact: TypeAlias = str | int | bool | None
"""A figure that the answer to a question has."""


class Question(Value, frozen=True):
    """A figure that a process needs from a read table, which is read once it has reached the reaction's position."""

    query: str  # a name that the worker knows
    arguments: Mapping[str, str | int]


Intent: TypeAlias = Command | Question


class Trigger(Value, frozen=True):
    """What a process reacts to. `key` is unique within the process, and the same in every fold of the same log."""

    process: str
    key: str

    def id(self, prefix: str, number: int = 1) -> str:
        """Return the id of something that the reaction makes. The same trigger always makes the same ids."""
        return named_id(prefix, self.process, self.key, str(number))


class Happened(Trigger, frozen=True):
    """A business event."""

    event: Event


class Answered(Trigger, frozen=True):
    """The answer to an intent. A question has figures, a refused command a rule. `at` is the time of the answer."""

    intent: Any  # the command or the question
    outcome: Literal["accepted", "refused"]
    rule: str | None
    figures: Mapping[str, Fact]
    at: datetime


class Due(Trigger, frozen=True):
    """The due time of the process has come."""

    at: datetime


class Retried(Trigger, frozen=True):
    """An operator asks the process to try again."""


class Reaction(Value, frozen=True):
    """What the process intends after a trigger. `attention` is the code of the reason why an operator has to look."""

    intents: tuple[Any, ...] = ()  # commands and questions
    attention: str | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to record."""
        return not self.intents and self.attention is None


NOTHING = Reaction()

Names: TypeAlias = Callable[[Any], "tuple[str, ...] | None"]
"""An event → the names that make the id of its process, or None if it concerns none."""


class ProcessManager(Value, frozen=True):
    """One kind of process.

    `begins` has the events that begin a process or start it again, each of one manager only: processes are listed in
    the order of these events. `concerns` has the others, which are ignored where no process was begun. `state` is the
    class of the state. It has a field `step`, no personal value, and is kept as JSON. At a step of `ends` nothing is
    left to do. `sends` has the commands that the manager may intend, `asks` the queries. Raise `version` when the
    functions make other states or reactions from the same events.
    """

    name: str
    state: type[Any]
    begins: Mapping[type[Event], Names]
    concerns: Mapping[type[Event], Names]
    evolve: Callable[[Any, Any], Any]  # (state or None, trigger) → state
    react: Callable[[Any, Any], Reaction]  # (state after the trigger, trigger) → reaction
    due: Callable[[Any], datetime | None]
    ends: frozenset[str]
    sends: tuple[Any, ...] = ()  # classes of commands
    asks: tuple[str, ...] = ()
    version: int = 1

    def names(self, event: Event) -> tuple[str, ...] | None:
        """Return the names of the process that the event concerns, or None."""
        kind = type(event)
        names = self.begins.get(kind) or self.concerns.get(kind)
        return None if names is None else names(event)

    def process_of(self, event: Event) -> str | None:
        """Return the id of the process that the event concerns, or None."""
        names = self.names(event)
        return None if names is None else named_id(PROCESS, self.name, *names)


def again(refused: int, at: datetime) -> datetime | None:
    """Return when to try again after so many refusals one after the other, or None once it was tried often enough."""
    return at + BACK_OFF[refused - 1] if refused <= len(BACK_OFF) else None


# Intents as they are recorded


class RecordedIntent(Value, frozen=True):
    """An intent in the log: the name of the command or query, and its fields as JSON with sorted keys."""

    kind: Literal["command", "question"]
    name: str
    fields: str


def recorded(manager: ProcessManager, intent: Any) -> RecordedIntent:
    """Return the intent as it is recorded. Raises `ValueError` for one that the manager may not have."""
    if isinstance(intent, Question):
        if intent.query not in manager.asks:
            raise ValueError(f"{manager.name} does not declare that it asks {intent.query}")
        return _bounded(RecordedIntent("question", intent.query, _json(dict(intent.arguments))))
    command: Any = type(intent)
    name = command.__name__
    if command not in manager.sends:
        raise ValueError(f"{manager.name} does not declare that it sends {name}")
    form, personal = _form(command)
    for field in personal:
        if getattr(intent, field) is not None:
            raise ValueError(f"{name}.{field} is personal, and a process records nothing personal")
    values = {field: getattr(intent, field) for field in form.__struct_fields__}
    return _bounded(RecordedIntent("command", name, _json(form(**values))))


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _bounded(intent: RecordedIntent) -> RecordedIntent:
    if len(intent.fields) > MOST_INTENT_CHARACTERS:
        size = f"{len(intent.fields)} characters, more than {MOST_INTENT_CHARACTERS}"
        raise ValueError(f"the intent {intent.name} has {size}")
    return intent


def intent_of(manager: ProcessManager, stored: RecordedIntent) -> Any:
    """Return the command or question of a recorded intent.

    Raises `ValueError` if this version of the program does not know it, or cannot read its fields.
    """
    if stored.kind == "question":
        return Question(stored.name, msgspec.json.decode(stored.fields, type=dict[str, str | int]))
    command = next((one for one in manager.sends if one.__name__ == stored.name), None)
    if command is None:
        raise ValueError(f"{manager.name} does not know the command {stored.name}")
    form, personal = _form(command)
    value = msgspec.json.decode(stored.fields, type=form)
    return command(**{field: getattr(value, field) for field in form.__struct_fields__}, **dict.fromkeys(personal))


@cache
def _form(command: Any) -> tuple[type[Struct], tuple[str, ...]]:
    """Return the struct of the fields that are recorded, and the names of the personal fields, which never are.

    A field that is not recorded gets its default: the intent is older than the field. A field that is not known is an
    error: the intent is a newer program's, and would be sent without it. Raises `ValueError` for a command that always
    has something personal.
    """
    hints = get_type_hints(command)
    personal = tuple(field for field in command.__struct_fields__ if _is_personal(hints[field]))
    for field in personal:
        if type(None) not in get_args(hints[field]):
            raise ValueError(f"{command.__name__}.{field} is always personal, so a process cannot send the command")
    kept = [_declared(field, hints[field.name]) for field in fields(command) if field.name not in personal]
    form = msgspec.defstruct(f"Recorded{command.__name__}", kept, frozen=True, kw_only=True, forbid_unknown_fields=True)
    return form, personal


def _declared(field: FieldInfo, hint: Any) -> Any:
    """Return a field of a command as `msgspec.defstruct` takes it: with its default, if it has one."""
    if field.required:
        return field.name, hint
    if field.default is not msgspec.NODEFAULT:
        return field.name, hint, msgspec.field(default=field.default)
    return field.name, hint, msgspec.field(default_factory=field.default_factory)


def _is_personal(hint: Any) -> bool:
    if hint is Erased:
        return True
    if isinstance(hint, type) and issubclass(hint, Struct):
        return any(_is_personal(inner) for inner in get_type_hints(hint).values())
    return any(_is_personal(inner) for inner in get_args(hint))


def check_managers(managers: Iterable[ProcessManager], commands: Iterable[type[Any]]) -> None:
    """Check the declarations of managers. `commands` are those that a process may send.

    Raises `ValueError` with the name of the first declaration that is wrong.
    """
    known, seen, begun = set(commands), set[str](), dict[type[Event], str]()
    for manager in managers:
        name = manager.name
        if name in seen:
            raise ValueError(f"the process manager {name} is declared twice")
        seen.add(name)
        if twice := manager.begins.keys() & manager.concerns.keys():
            raise ValueError(f"{name}: {min(one.__name__ for one in twice)} both begins and concerns a process")
        for event in manager.begins:
            if (other := begun.setdefault(event, name)) != name:
                raise ValueError(f"{event.__name__} begins processes of {other} and of {name}")
        if unknown := [command.__name__ for command in manager.sends if command not in known]:
            raise ValueError(f"{name} sends {unknown[0]}, which is no command that a process may send")
        for command in manager.sends:
            _form(command)
        if "step" not in manager.state.__struct_fields__:
            raise ValueError(f"{name}: its state has no field `step`")
        if _is_personal(manager.state):
            raise ValueError(f"{name}: its state has a personal value, and the read table would keep it in clear")
