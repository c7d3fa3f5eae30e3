"""Prints steps, trees of causes and refusals for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from rich.text import Text
from rich.tree import Tree

from domain.process_manager import RecordedIntent
from domain.processes.process import ProcessAnswered, ProcessReacted
from domain.registry import PAIRS
from projections.replay.causes import Unit
from projections.replay.refused import Explained
from projections.replay.steps import Change, Step, changes, members_of
from workers.showing import in_major_units, printable, said, wrapped

_HEADING, _QUIET, _CHANGED, _WRONG = "bold", "dim", "green", "red"


def step_lines(step: Step, width: int | None) -> Iterator[Text]:
    """The lines of a step: the event, who sent the command, its members, and what changed in the state."""
    recorded, told = step.recorded, orjson.loads(step.recorded.metadata)
    at = recorded.recorded_at.strftime("%Y-%m-%d %H:%M:%S")
    yield Text(f"{recorded.position:>6}  {recorded.type}  {recorded.stream} version {recorded.version}", _HEADING)
    key = f" with key {printable(told['key'])}" if told.get("key") else ""
    yield from _styled(f"{at} UTC, {told['command']} by {printable(told['actor']['id'])}{key}", width, _QUIET)
    yield from _styled(said(members_of(step.event)), width, "")
    currency = _currency_of(step.state)
    for change in step.changes:
        if change.path != "version":
            yield from _styled(_changed(change, currency), width, _CHANGED)


def _styled(text: str, width: int | None, style: str) -> list[Text]:
    return [Text(line, style) for line in wrapped(text, width)] if text else []


def _currency_of(state: Any) -> str | None:
    currency: str | None = state.get("currency") or (state.get("profile") or {}).get("currency")
    return currency


def _changed(change: Change, currency: str | None) -> str:
    before, after = (_value(change.path, value, currency) for value in (change.before, change.after))
    if change.before is None:
        return f"{change.path} is now {after}"
    return f"{change.path} {before} → {after}"


def _state(state: Any) -> str:
    """The values of a state in one line, without empty ones."""
    currency = _currency_of(state)
    values = ((one.path, one.after) for one in changes(None, state) if one.path != "version")
    return ", ".join(f"{path} {_value(path, value, currency)}" for path, value in values if value not in (None, []))


def _value(path: str, value: Any, currency: str | None) -> str:
    """A value of a state for people. The last name of its path tells whether it is an amount."""
    if value is None:
        return "none"
    name, *places = path.rpartition(".")[2].replace("]", "").split("[")
    if name in PAIRS and len(places) > 1:  # a member of a tuple
        name, places = PAIRS[name][int(places[1])], []
    if places:  # an element of a list; the list around it tells the names of the members of a tuple
        [shown] = in_major_units({name: [value]}, currency)[name]
    else:
        shown = in_major_units({name: value}, currency)[name]
    return printable(shown if isinstance(shown, str) else orjson.dumps(shown).decode())


def cause_tree(root: Unit) -> Tree:
    """The tree of a command: each unit with its events, and below it what it caused."""
    tree = Tree(_unit_label(root), guide_style=_QUIET)
    waiting = [(root, tree)]
    while waiting:
        unit, branch = waiting.pop()
        if unit.cut is not None:
            branch.add(Text(unit.cut, _WRONG))
        waiting += [(one, branch.add(_unit_label(one))) for one in unit.caused]
    return tree


def _unit_label(unit: Unit) -> Text:
    first, told = unit.events[0], orjson.loads(unit.events[0].metadata)
    at = first.recorded_at.strftime("%Y-%m-%d %H:%M:%S")
    label = Text(no_wrap=True, overflow="ignore")
    label.append(f"{told['command']} ", _HEADING)
    label.append(f"at {first.position}, {at} UTC, by {printable(told['actor']['id'])}", _QUIET)
    if unit.because is not None:
        label.append(f" ({unit.because})", _QUIET)
    for row, event in zip(unit.events, unit.data, strict=True):
        label.append(f"\n{row.position:>6}  {row.type}  {row.stream}")
        label.append(f"\n        {_said_of(unit, event)}", _QUIET)
    return label


def _said_of(unit: Unit, event: Any) -> str:
    """What an event says; of a reaction, what the process intends and which intents have no answer."""
    if not isinstance(event, ProcessReacted):
        return said(members_of(event))
    answered = {
        one.number
        for child in unit.caused
        for one in child.data
        if isinstance(one, ProcessAnswered) and one.reaction == event.originator_version
    }
    return f"{event.manager} reacts to {event.trigger}: {_intents(event.intents, answered)}"


def _intents(intents: Sequence[RecordedIntent], answered: set[int]) -> str:
    if not intents:
        return "it intends nothing"
    named = (
        f"{number}. {one.name}{'' if number in answered else ', not answered'}" for number, one in enumerate(intents, 1)
    )
    return "; ".join(named)


def refusal_lines(found: Explained, width: int | None) -> Iterator[Text]:
    """The lines of a refusal: the sentence, who sent the command, and each state that it was decided on."""
    at = found.recorded_at.strftime("%Y-%m-%d %H:%M:%S")
    yield Text(f"{found.command} was refused: {found.rule}", _HEADING)
    yield from _styled(printable(found.sentence), width, _WRONG)
    sent = f"{at} UTC, by {printable(found.actor)} with key {printable(found.key)}, at {found.position}"
    yield from _styled(sent, width, _QUIET)
    yield Text(f"Decided at position {found.decided_position}, on these states:")
    for one in found.states:
        if one.state is None:
            yield Text(f"{one.stream} did not exist")
            continue
        yield Text(f"{one.stream} version {one.version}", _HEADING)
        yield from _styled(_state(one.state), width, "")
    if found.cut is not None:
        yield Text(found.cut, _WRONG)
