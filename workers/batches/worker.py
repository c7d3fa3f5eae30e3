"""The worker of long batches. It keeps nothing: how far a batch is stands at the end of its stream.

A turn is about one batch:

- It takes the lock of the batch. Another worker that has it carries the batch out.
- It reads the last event of the stream. That says which part is the next one.
- It reads the bodies of that part, and carries them out as a batch request would: in groups, each with its own key.
- It records what became of the part, and then removes the bodies.

After a crash the next turn carries the part out again. Items that are in get their recorded answers, so nothing happens
twice, whichever worker does it, and the lock only saves work.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any, Final

from psycopg import Connection

from api.commands.batch_items import Items, RefusedItem
from api.commands.execution import problem_of
from api.commands.long_batches import PATH
from api.commands.routes import Caller
from api.commands.windows import WINDOW, Answered, Prepared, executed, windows_of
from api.gateway.persons import Known
from api.gateway.routes import RouteTable
from api.services import CommandServices
from domain.kernel import Context
from domain.long_batch import (
    AGGREGATE,
    Cause,
    EndLongBatch,
    LongBatchEnded,
    LongBatchFinished,
    LongBatchOpened,
    LongBatchPartDone,
    LongBatchPartReceived,
    LongBatchStarted,
    LongBatchStopped,
    RecordPart,
    Unrecorded,
)
from eventstore.batches.spool import Spool, SpooledPart
from eventstore.executor.reply_sinks import ExecutorError, StoppedError
from eventstore.log.answers import ACCEPTED, Answer, Outcome
from eventstore.log.codec import Codec
from eventstore.log.read import read_last, read_stream
from eventstore.postgres.ownership import Ownership, Purpose
from projections.commands.long_batches import open_long_batches
from projections.engine.follow import end_when_silent
from projections.engine.runner import TRANSIENT
from workers.batches.senders import Senders
from workers.composition import manager_principal, system_submission
from workers.processes.worker import Send
from workers.settings import API_ROLE

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 5.0
"""After so long a turn begins no part, so that other batches have theirs."""
AGAIN_SECONDS: Final = 1.0
"""How long a batch rests of which an item has no answer yet, or that another worker carries out."""
FAULT_SECONDS: Final = 60.0
"""How long a batch rests after an error in Daybook."""
MOST_RESTING: Final = 10_000
SILENT_SECONDS: Final = 300.0
"""A session that is silent for so long belongs to a stopped process: the server ends it, and with it its lock."""
ACTOR: Final = "long_batches"
CARRYING_OUT: Final = Purpose("carry out", "long batch", API_ROLE)
_AGAIN: Final = frozenset({"unavailable", "busy", "too_many", "newer_event"})
"""Codes of problems that another try may end. Whatever else becomes of an item is final."""
_KINDS: Final = {entry.name: entry.event for entry in AGGREGATE.events}
"""The classes of the events, by their names."""
_ENDS: Final = (LongBatchFinished, LongBatchStopped, LongBatchEnded)
_RUNS: Final = (LongBatchStarted, LongBatchPartDone)
_RECORDED: Final = frozenset({ACCEPTED, Outcome.REFUSED, Outcome.EXPECTATION_FAILED, Outcome.KEY_REUSED})

OnStep = Callable[[str], None]
"""Called with the name of each step of a part, before it. Tests end the worker there."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The next part of a batch, and who sent it."""

    opened: LongBatchOpened
    event: LongBatchPartReceived
    sender: Known

    @property
    def place(self) -> SpooledPart:
        return SpooledPart(self.opened.originator_id, self.event.part, bytes.fromhex(self.event.digest))


class Worker:
    """Carries out long batches. For one thread.

    `reads` is a connection that reads, `connection` acts as `daybook_api`: it reads the streams and has the locks.
    Raises `TRANSIENT` errors of the connections, and `StoppedError` if the executor does not run; a new worker goes on
    from there.
    """

    def __init__(
        self,
        served: CommandServices,
        routes: RouteTable,
        send: Send,
        codec: Codec,
        spool: Spool,
        senders: Senders,
        reads: Connection[Any],
        connection: Connection[Any],
        runner: asyncio.Runner,
        *,
        on_step: OnStep = lambda step: None,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._served = served
        self._routes = routes
        self._send = send
        self._codec = codec
        self._spool = spool
        self._senders = senders
        self._reads = reads
        self._connection = connection
        self._runner = runner
        self._on_step = on_step
        self._turn_seconds = turn_seconds
        self._resting: dict[str, float] = {}
        self._seen: dict[str, int] = {}  # versions of batches whose parts are coming
        self.soon = False
        """Whether the last sweep saw that parts are coming: the next one should be soon."""

    # Which batches have a turn

    def sweep(self, stop: Event | None = None) -> bool:
        """Give each batch that waits a turn, one after the other. Returns whether anything was done."""
        stop = stop or Event()
        worked = self.soon = False
        for batch in self._waiting():
            if stop.is_set():
                break
            if self._resting.get(batch, 0.0) <= monotonic():
                worked = self._turn(batch, stop) or worked
        return worked

    def _waiting(self) -> list[str]:
        """The batches with parts beside the log, and those that are open though they may have none."""
        return list(dict.fromkeys((*self._spool.batches(), *open_long_batches(self._reads))))

    # A turn

    def _turn(self, batch: str, stop: Event) -> bool:
        """Carry out parts of a batch for a while, unless another worker does. Returns whether anything was done."""
        until, worked = monotonic() + self._turn_seconds, False
        try:
            with self._locked(batch) as locked:
                if not locked:
                    self._rest(batch, AGAIN_SECONDS)
                    return False
                while not stop.is_set() and monotonic() < until and self._step(batch):
                    worked = True
        except (*TRANSIENT, StoppedError):
            raise
        except Exception as error:  # the next batches must not wait for it
            # An error is named by its class: its text may be personal.
            logger.error("%s cannot go on, and is tried again in %g s: %s", batch, FAULT_SECONDS, type(error).__name__)
            self._rest(batch, FAULT_SECONDS)
        return worked

    def _step(self, batch: str) -> bool:
        """Do the next thing about a batch. Returns whether more may be done at once."""
        last = read_last(self._connection, self._served.log_number, batch)
        if last is None or _KINDS[last[1]] in _ENDS:
            return self._spool.remove_batch(batch) > 0
        version, kind = last[0], _KINDS[last[1]]
        opened, metadata = self._read(batch, 1)
        assert isinstance(opened, LongBatchOpened)
        if opened.expires_at <= self._served.clock():
            return self._end(batch, version, "expired")
        if kind not in _RUNS:
            self._receives(batch, version)
            return False
        sender = self._senders.find(opened, metadata)
        if sender is None:
            return self._end(batch, version, "sender")
        return self._carry_out(
            version, opened, sender, 1 if kind is LongBatchStarted else self._done(batch, version) + 1
        )

    def _receives(self, batch: str, version: int) -> None:
        """Look again soon at a batch whose parts are coming. Not each append is notified."""
        self.soon = self.soon or self._seen.get(batch) != version
        if len(self._seen) >= MOST_RESTING:
            self._seen.clear()
        self._seen[batch] = version

    def _done(self, batch: str, version: int) -> int:
        """The part that the event of this version says is done."""
        event, _ = self._read(batch, version)
        assert isinstance(event, LongBatchPartDone)
        return event.part

    def _carry_out(self, version: int, opened: LongBatchOpened, sender: Known, number: int) -> bool:
        """Carry a part out, and record what became of it. `version` is that of the last event."""
        batch = opened.originator_id
        event, _ = self._read(batch, number + 1)  # the event of part 1 has version 2
        assert isinstance(event, LongBatchPartReceived)
        part = _Part(opened, event, sender)
        items = self._spool.read(part.place)
        if items is None:
            return self._end(batch, version, "lost")
        self._on_step("execute")
        answered = self._runner.run(self._executed(part, items))
        codes = [_code_of(one) for one in answered]
        if again := sorted(_AGAIN.intersection(codes)):
            logger.warning("%s: part %d is carried out again: %s", batch, number, ", ".join(again))
            self._rest(batch, AGAIN_SECONDS)
            return False
        self._on_step("record")
        command = RecordPart(batch, number, *_counted(answered), _unrecorded(event.first, codes))
        if not self._sent(command, f"{batch}:done:{number}"):
            self._rest(batch, AGAIN_SECONDS)  # the next turn sees why: it may have been stopped
            return False
        self._on_step("remove")
        self._spool.remove_part(batch, number)
        return True

    async def _executed(self, part: _Part, raw: Sequence[bytes]) -> list[Answered]:
        """Carry out items in groups, as a batch does. Raises `StoppedError` if the executor does not run."""
        served, batch = self._served, part.opened.originator_id
        principal = part.sender.principal
        caller = Caller(served, principal, Context(served.clock(), served.log, principal), part.sender)
        items = Items(caller, self._routes, batch, {}, address=PATH, correlation=batch)

        async def prepared() -> AsyncIterator[Sequence[Prepared]]:
            for window in windows_of(raw, min(WINDOW, served.commands.most_together)):
                yield await items.prepare(window)

        answered: list[Answered] = []
        async for window in executed(caller, prepared()):
            answered += window
        for _, answer in answered:
            if isinstance(answer, StoppedError):
                raise answer
        return answered

    def _end(self, batch: str, version: int, cause: Cause) -> bool:
        """End a batch that cannot go on. Its key names the version, so a refusal does not count for a later one."""
        if self._sent(EndLongBatch(batch, cause), f"{batch}:end:{version}"):
            logger.warning("%s is ended: %s", batch, cause)
            return True
        self._rest(batch, AGAIN_SECONDS)
        return False

    def _sent(self, command: RecordPart | EndLongBatch, key: str) -> bool:
        """Send a command about a batch. Returns whether it was accepted, now or before."""
        principal = manager_principal(ACTOR)
        [answer] = self._send([system_submission(principal, key, command, key, self._served.log, self._served.clock())])
        if isinstance(answer, StoppedError):
            raise answer
        return isinstance(answer, Answer) and answer.outcome is ACCEPTED

    def _read(self, batch: str, version: int) -> tuple[Any, bytes]:
        """An event of a batch, and its metadata. Raises the `CodecError` of one that cannot be decoded."""
        [one] = read_stream(self._connection, self._served.log_number, batch, after=version - 1, limit=1)
        [event] = self._codec.decode_many([(one.type, one.payload, one.stream, one.version)])
        if isinstance(event, Exception):
            raise event
        return event, one.metadata

    def _rest(self, batch: str, seconds: float) -> None:
        if len(self._resting) >= MOST_RESTING:
            self._resting.clear()
        self._resting[batch] = monotonic() + seconds

    @contextmanager
    def _locked(self, batch: str) -> Iterator[bool]:
        """The lock of a batch, as long as the block lasts. Yields whether this session has it."""
        lock = Ownership(self._connection, CARRYING_OUT, self._served.log_number, [batch])
        if not lock.acquire():
            yield False
            return
        end_when_silent(self._connection, SILENT_SECONDS)
        try:
            yield True
        finally:
            if not self._connection.closed:  # else the lock is free already
                lock.release()
                self._connection.execute("SELECT set_config('idle_session_timeout', '0', false)")


def _code_of(answered: Answered) -> str | None:
    """The code of the problem of an item that has no recorded answer; None for one that has."""
    item, answer = answered
    if isinstance(item, RefusedItem):
        code: str = item.problem["code"]
        return code
    if isinstance(answer, ExecutorError):
        return problem_of(answer).code
    assert answer is not None
    return None if answer.outcome in _RECORDED else answer.outcome.name.lower()


def _counted(answered: Sequence[Answered]) -> tuple[int, int, int, int]:
    """How many items were accepted, refused, expected another version, and have a key of another request."""
    counts = Counter(answer.outcome for _, answer in answered if isinstance(answer, Answer))
    return (
        counts[ACCEPTED],
        counts[Outcome.REFUSED],
        counts[Outcome.EXPECTATION_FAILED],
        counts[Outcome.KEY_REUSED],
    )


def _unrecorded(first: int, codes: Sequence[str | None]) -> tuple[Unrecorded, ...]:
    return tuple(Unrecorded(number, code) for number, code in enumerate(codes, first) if code is not None)
