"""Rehearses an import: every command is decided on the states that the commands before it would leave.

Nothing is written. So what the rules refuse (a closed period, a frozen account, a limit) is known before anything is
posted. Another process can still change something in between; then the command is refused as always.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Connection

from domain import registry
from domain.kernel import Accepted, Command, Context, Decision, Forbidden, NeedsStreams, Refused, State, Unknown
from eventstore.executor.stream_states import Fold, StreamState
from eventstore.log.codec import Codec
from eventstore.log.read import read_streams

MOST_ROUNDS: Final = 4
"""How often a decision may ask for more streams."""
TOGETHER: Final = 500
"""Streams that are read together."""


@dataclass(slots=True)
class Rehearsal:
    """The states of a log, and what the rehearsed commands would make of them."""

    connection: Connection[Any]
    log_number: int
    codec: Codec
    context: Context
    _states: dict[str, State | None] = field(default_factory=dict)

    def load(self, streams: Iterable[str]) -> None:
        """Fold these streams, as far as they are not known yet."""
        missing = [stream for stream in dict.fromkeys(streams) if stream not in self._states]
        fold = Fold(self.codec, registry.evolve)
        for start in range(0, len(missing), TOGETHER):
            some = missing[start : start + TOGETHER]
            known = {stream: StreamState(None, 0, 0) for stream in some}
            events = read_streams(self.connection, self.log_number, dict.fromkeys(some, 0))
            newer = fold.on(known, events, self.connection, self.log_number)
            if newer:
                raise RuntimeError(f"a newer version of Daybook wrote {', '.join(sorted(set(newer.values())))}")
            self._states.update((stream, of.state) for stream, of in known.items())

    def refusal(self, command: Command) -> str | None:
        """Why the command would be refused, or None. Its events count for the next ones."""
        streams = dict.fromkeys(command.streams)
        decision: Decision = NeedsStreams(())
        for _ in range(MOST_ROUNDS):
            if not isinstance(decision, NeedsStreams):
                break
            streams.update(dict.fromkeys(decision.streams))
            self.load(streams)
            decision = registry.decide(command, {stream: self._states[stream] for stream in streams}, self.context)
        match decision:
            case Accepted():
                for event in decision.events:
                    stream = event.originator_id
                    if not stream.startswith(registry.WRITTEN_ONCE):
                        self.load([stream])
                        self._states[stream] = registry.evolve(self._states[stream], event)
                if decision.result.get("status") == "pending":
                    return f"it would wait for {decision.result['awaits']}, and an import cannot"
                return None
            case Refused():
                return registry.explain(decision.rule, decision.figures)
            case Unknown():
                return f"there is no {decision.kind} {decision.id}"
            case Forbidden():
                return decision.why
            case _:
                return f"it asks for more streams than {MOST_ROUNDS} times"
