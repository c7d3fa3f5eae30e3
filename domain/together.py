"""Several commands in one unit: either all of them are carried out, or none."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from domain.kernel import (
    Accepted,
    Command,
    Context,
    Decision,
    Event,
    Figure,
    Forbidden,
    NeedsStreams,
    Refused,
    State,
    States,
    Unknown,
    Value,
)

ITEM_REFUSED = "item_refused"
RULES = {ITEM_REFUSED: "Nothing is carried out, because item {item} is refused: {because}"}

Decide = Callable[[Command, States, Context], Decision]
Evolve = Callable[[State | None, Event], State]


class Together(Value, frozen=True):
    """Commands in order. The decision of each sees the effects of those before it."""

    commands: tuple[Command, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(stream for command in self.commands for stream in command.streams))


def decide_together(together: Together, states: States, context: Context, decide: Decide, evolve: Evolve) -> Decision:
    """Decide all commands: return all their events in order, or the first refusal with the number of its command.

    A stream is commuting only if it is commuting for each command that writes to it.
    """
    now: dict[str, State | None] = dict(states)
    asked: dict[str, None] = {}
    events: list[Event] = []
    results: list[Figure] = []
    commuting: set[str] = set()
    exact: set[str] = set()
    unseen: set[str] = set()
    for number, command in enumerate(together.commands, 1):
        decision = decide(command, now, context)
        if isinstance(decision, NeedsStreams):
            asked.update(dict.fromkeys(decision.streams))
            continue  # the other commands may need more streams: ask for all of them at once
        if asked and not isinstance(decision, Accepted):
            continue  # it may be accepted once the commands before it are decided
        commuting |= decision.commuting
        exact |= set(command.streams) - decision.commuting
        if isinstance(decision, (Unknown, Forbidden)):
            return replace(decision, commuting=frozenset(commuting - exact))
        if isinstance(decision, Refused):
            figures: dict[str, Figure] = {"item": number, "rule": decision.rule, "figures": dict(decision.figures)}
            # The items before it are not carried out, so its facts are those of a decision without them.
            alone = decide(command, states, context) if decision.events and events else decision
            if isinstance(alone, NeedsStreams):
                return alone
            facts = alone.events if isinstance(alone, Refused) else ()
            exact.update([event.originator_id for event in facts if event.originator_id not in alone.commuting])
            return Refused(ITEM_REFUSED, figures, frozenset(commuting - exact), facts)
        for event in decision.events:
            stream = event.originator_id
            if stream not in decision.commuting:
                exact.add(stream)
            now[stream] = evolve(now.get(stream), event)
        events.extend(decision.events)
        results.append(dict(decision.result))
        unseen |= decision.unseen
    if asked:
        return NeedsStreams(tuple(asked))
    return Accepted(tuple(events), {"results": results}, frozenset(commuting - exact), frozenset(unseen))
