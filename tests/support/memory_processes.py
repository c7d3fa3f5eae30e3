"""Process managers without a database: they fold the log of a `MemoryLedger` as the read model does, and a worker in
memory carries out what a row says, by keys, as the worker of a database does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from domain.kernel import Decision
from domain.process_manager import Fact, ProcessManager, Question, intent_of
from domain.processes.process import AnswerFigure, CarryOut, RecordFigures, RecordReaction
from projections.engine.projection import RecordedEvent
from projections.processes.fold import PROCESS_EVENTS, PendingReaction, Tracked, advance, reaction_when_due
from tests.support.memory_ledger import MemoryLedger

Read = Callable[[Mapping[str, str | int]], Mapping[str, Fact]]
"""Arguments of a question → its figures."""
MOST_SWEEPS = 1_000


@dataclass
class MemoryProcesses:
    """The processes of some managers on a ledger. The clock is that of the ledger."""

    ledger: MemoryLedger
    managers: Sequence[ProcessManager]
    queries: Mapping[str, Read]
    tracked: dict[str, Tracked] = field(default_factory=dict)
    answers: dict[str, Decision] = field(default_factory=dict)  # by key, as the log keeps them
    _folded: int = 0

    @property
    def now(self) -> datetime:
        """The time of the clock."""
        return self.ledger.context.decided_at

    def at(self, now: datetime) -> None:
        """Move the clock."""
        self.ledger.context = replace(self.ledger.context, decided_at=now)

    def fold(self) -> None:
        """Fold what is new on the log. A position is the number of the event."""
        named = {manager.name: manager for manager in self.managers}
        for position, event in enumerate(self.ledger.log[self._folded :], self._folded + 1):
            recorded = RecordedEvent(position, self.now.isoformat(), event)
            if isinstance(event, PROCESS_EVENTS):
                known = self.tracked[event.originator_id]
                self._keep(event.originator_id, advance(known, event.originator_id, named[known.manager], recorded))
                continue
            for manager in self.managers:
                process = manager.process_of(event)
                if process is not None:
                    self._keep(process, advance(self.tracked.get(process), process, manager, recorded))
        self._folded = len(self.ledger.log)

    def _keep(self, process: str, tracked: Tracked | None) -> None:
        if tracked is not None:
            self.tracked[process] = tracked

    def rows(self) -> list[Tracked]:
        """What a worker reads: the processes with something to do, and those whose time has come."""
        self.fold()
        busy = [copy(one) for one in self.tracked.values() if one.pending or one.open]
        due = [copy(one) for one in self.tracked.values() if one.due_at is not None and one.due_at <= self.now]
        for one in due:
            one.pending, one.open = (reaction_when_due(self._manager(one), one),), ()
        return busy + due

    def _manager(self, tracked: Tracked) -> ProcessManager:
        return next(manager for manager in self.managers if manager.name == tracked.manager)

    def carry_on(self, rows: Sequence[Tracked]) -> bool:
        """Do what these rows say. Returns whether anything was new: a known key gets its first answer."""
        before = len(self.answers)
        for row in rows:
            for pending in row.pending:
                self._record(row, pending)
            for intent in row.open:
                place = row.process, intent.reaction, intent.number
                asked = intent_of(self._manager(row), intent.intent)
                self._send(":".join(map(str, place)), partial(self._intended, place, asked))
        return len(self.answers) > before

    def _record(self, row: Tracked, pending: PendingReaction) -> None:
        reaction = RecordReaction(
            process=row.process,
            manager=row.manager,
            stream=row.stream,
            trigger=pending.trigger,
            due_at=pending.due_at,
            round=row.round,
            intents=pending.intents,
            attention=pending.attention,
        )
        self._send(f"{row.process}:{pending.trigger}", lambda: reaction)

    def _intended(self, place: tuple[str, int, int], asked: Any) -> Any:
        if not isinstance(asked, Question):
            return CarryOut(*place, asked)
        figures = self.queries[asked.query](asked.arguments)
        return RecordFigures(*place, tuple(AnswerFigure(name, value) for name, value in sorted(figures.items())))

    def _send(self, key: str, command: Callable[[], Any]) -> None:
        if key not in self.answers:
            self.answers[key] = self.ledger.execute(command())

    def settle(self, *, late: Sequence[Tracked] = ()) -> None:
        """Carry on until nothing is left to do. Then another worker does what its rows say, read before."""
        sweeps = 0
        while self.carry_on(self.rows()):
            sweeps += 1
            assert sweeps < MOST_SWEEPS, "the worker goes round and round"
        self.carry_on(late)
        self.fold()

    def restarted(self) -> MemoryProcesses:
        """New workers, and a read model that is folded from the beginning."""
        again = MemoryProcesses(self.ledger, self.managers, self.queries, answers=self.answers)
        again.fold()
        return again
