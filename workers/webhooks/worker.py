"""The worker of webhooks. What is sent to whom stands on their streams; how far each is stands beside the log.

A turn is about one webhook:

- It takes the lock of the webhook. Another worker that has it sends.
- It reads the head of the log, and then folds the webhook's stream, so that what it does up to that head is decided by
  everything on the stream up to there.
- It finds the next events that are wanted: a window, which begins at the first one that was not taken.
- It sends them, several streams at once, and the events of a stream one after the other up to the first that fails.
- It records the attempts and the new position in one transaction.

Turns of several webhooks are made at once, and each ends after a time, so that a slow receiver delays nobody for long.
A crash sends again what was taken and not recorded: at least once, with the same id.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event, Lock
from time import monotonic
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain import registry
from domain.webhooks.webhook.commands import DisableWebhook
from domain.webhooks.webhook.events import LASTING
from domain.webhooks.webhook.state import Webhook
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.answers import ACCEPTED, Answer
from eventstore.log.codec import Codec
from eventstore.log.read import STREAM_PAGE, Recorded, read_head, read_stream
from eventstore.postgres.ownership import Ownership, Purpose
from eventstore.webhooks.outgoing import Found, Outgoing, find, read
from eventstore.webhooks.positions import (
    Attempt,
    Position,
    due_webhooks,
    keep_turn,
    next_due_webhook,
    read_position,
)
from eventstore.webhooks.signatures import signing_key
from projections.engine.follow import end_when_silent
from projections.engine.runner import TRANSIENT
from projections.webhooks.webhooks import active_webhooks
from workers.composition import manager_principal, system_submission
from workers.processes.worker import Send
from workers.settings import API_ROLE
from workers.webhooks.failure import DeliveryError
from workers.webhooks.messages import message_of
from workers.webhooks.pausing import pause_after
from workers.webhooks.sending import Sending

logger = logging.getLogger(__name__)

SENDERS: Final = 8
"""Webhooks that are sent to at once."""
CONNECTIONS: Final = 4
"""Connections to one receiver at once."""
WINDOW: Final = 100
"""Events of one webhook that are looked at beyond the first one that was not taken."""
SCAN: Final = 2_000
"""Positions of the log that are searched at once."""
TURN_SECONDS: Final = 10.0
"""After so long a turn begins no attempt, so that other webhooks have theirs."""
MOST_FAILED: Final = 3
"""Attempts that may fail in one turn. With one event that is never taken, the streams of others still go on."""
FAULT_SECONDS: Final = 60.0
"""How long a webhook rests after an error in Daybook, or where it needs a newer version."""
IDLE_SECONDS: Final = 1.0
"""How long it rests after a turn that changed nothing: another worker has it, or the read table is behind."""
MOST_RESTING: Final = 10_000
SILENT_SECONDS: Final = 300.0
"""A session that is silent for so long belongs to a stopped process: the server ends it, and with it its lock."""
ACTOR: Final = "webhooks"
DELIVERING: Final = Purpose("deliver", "webhook", API_ROLE)


@dataclass(frozen=True, slots=True)
class Window:
    """The next events of a webhook: those that are wanted up to a position, and those of them that are sent now."""

    upto: int
    wanted: tuple[int, ...]
    events: tuple[Outgoing, ...]
    newer: bool = False  # it ends before an event that only a newer version knows


@dataclass(slots=True)
class Sent:
    """What became of the attempts of a window. Several threads add to it."""

    attempts: list[Attempt] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    @property
    def failed(self) -> list[Attempt]:
        """The attempts that failed, in the order of the log."""
        return sorted(one for one in self.attempts if one.cause is not None)

    @property
    def decisive(self) -> Attempt:
        """The failed attempt that a policy looks at: the first whose cause lasts, or else the first of all."""
        failed = self.failed
        return next((one for one in failed if one.cause in LASTING), failed[0])

    def add(self, attempt: Attempt) -> None:
        """Add what became of an attempt."""
        with self.lock:
            self.attempts.append(attempt)


@dataclass(slots=True)
class Counts:
    """Attempts that this process has made."""

    taken: int = 0
    failed: int = 0


class Worker:
    """Sends to webhooks. Its methods are for one thread; turns have threads of their own.

    `reads` is a connection that reads, `connections` act as `daybook_api`, `chance` is from 0 to 1. Raises `TRANSIENT`
    errors of the connections; a new worker goes on from there.
    """

    def __init__(
        self,
        send: Send,
        log: str,
        log_number: int,
        uuid: UUID,
        reads: Connection[Any],
        connections: ConnectionPool[Connection[Any]],
        codec: Codec,
        hashes: KeyedHashes,
        sending: Sending,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
        *,
        counts: Counts | None = None,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._send = send
        self._log = log
        self._log_number = log_number
        self._uuid = uuid
        self._reads = reads
        self._connections = connections
        self._codec = codec
        self._hashes = hashes
        self._sending = sending
        self._clock = clock
        self._chance = chance
        self._counts = counts or Counts()
        self._counting = Lock()
        self._turn_seconds = turn_seconds
        self._resting: dict[str, float] = {}

    # Which webhooks have a turn

    def sweep(self, stop: Event | None = None) -> bool:
        """Give each webhook that is due a turn, several at once, and wait for all. Returns whether any row changed."""
        stop = stop or Event()
        due = self.due()
        with ThreadPoolExecutor(SENDERS, "webhook") as pool:
            turns = [pool.submit(self._turn, webhook, stop) for webhook in due]
            changed = [turn.result() for turn in turns]
        return any(changed)

    def run(self, stop: Event, idle: Callable[[timedelta | None], None], busy_seconds: float) -> None:
        """Give turns until `stop` is set. A webhook whose turn has ended gets another while others still have theirs.

        `idle` waits for an append, and for the next due time at most. While turns are made, what is due is looked up
        every `busy_seconds`.
        """
        running: dict[str, Future[bool]] = {}
        with ThreadPoolExecutor(SENDERS, "webhook") as pool:
            while not stop.is_set():
                for webhook in [webhook for webhook, turn in running.items() if turn.done()]:
                    if not running.pop(webhook).result() and not self._rests(webhook):
                        self._rest(webhook, IDLE_SECONDS)
                for webhook in self.due():
                    if webhook not in running and len(running) < SENDERS:
                        running[webhook] = pool.submit(self._turn, webhook, stop)
                if running:
                    wait(running.values(), busy_seconds, FIRST_COMPLETED)
                else:
                    idle(self.pause())

    def due(self) -> list[str]:
        """The webhooks that something may have to be sent to now."""
        now, active = self._clock(), active_webhooks(self._reads)
        head = read_head(self._reads, self._log).position
        found = due_webhooks(self._reads, self._log_number, active, head, now)
        return [webhook for webhook in found if not self._rests(webhook)]

    def pause(self) -> timedelta | None:
        """The time until something has to be sent again; None if nothing waits."""
        now, active = self._clock(), active_webhooks(self._reads)
        head = read_head(self._reads, self._log).position
        coming = next_due_webhook(self._reads, self._log_number, active, head, now)
        return None if coming is None else coming - now

    # A turn

    def _turn(self, webhook: str, stop: Event) -> bool:
        """Send to a webhook for a while, unless another worker does. Returns whether its row was changed."""
        worked = False
        with self._connections.connection() as connection:
            try:
                with _locked(connection, self._log_number, webhook) as locked:
                    until, more = monotonic() + self._turn_seconds, locked
                    while more and not stop.is_set() and monotonic() < until:
                        kept, more = self._step(connection, webhook, stop, until)
                        worked = worked or kept
            except TRANSIENT:
                raise
            except Exception as error:  # others must not wait for it
                self._fault(webhook, type(error).__name__)
                return False
        return worked

    def _fault(self, webhook: str, why: str) -> None:
        """Let a webhook rest that cannot be carried on. An error is named by its class: its text may be personal."""
        logger.error("webhook %s cannot go on, and is tried again in %g s: %s", webhook, FAULT_SECONDS, why)
        self._rest(webhook, FAULT_SECONDS)

    def _rests(self, webhook: str) -> bool:
        return self._resting.get(webhook, 0.0) > monotonic()

    def _rest(self, webhook: str, seconds: float) -> None:
        if len(self._resting) >= MOST_RESTING:
            self._resting.clear()
        self._resting[webhook] = monotonic() + seconds

    def _step(self, connection: Connection[Any], id: str, stop: Event, until: float) -> tuple[bool, bool]:
        """Send the next window. Returns whether the row was changed, and whether more may be sent at once."""
        head = read_head(connection, self._log).position
        webhook, stream = self._folded(connection, id)
        if webhook is None or webhook.status != "active":
            return False, False
        before = _position(webhook, stream, read_position(connection, self._log_number, id))
        if before is None or (before.next_at is not None and before.next_at > self._clock()):
            return False, False
        window = self._window(connection, webhook, before, head)
        if window.newer:
            self._fault(id, "the log has an event of a newer version of Daybook")
        sent = self._sent(webhook, window, stop, until)
        after = self._after(before, window, sent)
        kept = keep_turn(connection, self._log_number, id, after, sent.attempts)
        if sent.failed and kept:
            self._disable(webhook, after, sent.decisive)
        complete = len(sent.attempts) == len(window.events) and not sent.failed
        return kept, kept and complete and after.position < head and not window.newer

    def _folded(self, connection: Connection[Any], id: str) -> tuple[Webhook | None, list[Recorded]]:
        """A webhook as its stream says, and the stream."""
        stream: list[Recorded] = []
        state: Any = None
        while True:
            page = read_stream(connection, self._log_number, id, after=len(stream), limit=STREAM_PAGE)
            for event in self._codec.decode_many([(one.type, one.payload, one.stream, one.version) for one in page]):
                if isinstance(event, Exception):
                    raise event
                state = registry.evolve(state, event)
            stream += page
            if len(page) < STREAM_PAGE:
                return state if isinstance(state, Webhook) else None, stream

    def _window(self, connection: Connection[Any], webhook: Webhook, before: Position, head: int) -> Window:
        """Search the log from the position on until the window is full, or its end is reached."""
        upto, wanted, newer = before.position, list[int](), False
        while upto < head and len(wanted) < WINDOW and not newer:
            searched = min(upto + SCAN, head)
            filter = webhook.filter
            found = find(connection, self._log_number, upto, searched, filter.types, filter.accounts)
            upto, newer = _choose(webhook, found, searched, wanted)
        ahead = frozenset(before.ahead)
        open = [position for position in wanted if position not in ahead]
        return Window(upto, tuple(wanted), tuple(read(connection, self._log_number, open)) if open else (), newer)

    def _sent(self, webhook: Webhook, window: Window, stop: Event, until: float) -> Sent:
        """Send the events of a window, each stream in order."""
        sent = Sent()
        if not window.events:
            return sent
        streams: dict[str, list[Outgoing]] = defaultdict(list)
        for event in window.events:
            streams[event.stream].append(event)
        keys = [signing_key(self._hashes, webhook.id, version) for version in webhook.secrets(self._clock())]

        def send(events: Sequence[Outgoing]) -> None:
            for event in events:
                if stop.is_set() or monotonic() >= until or len(sent.failed) >= MOST_FAILED:
                    return
                attempt = self._attempt(webhook, event, keys)
                sent.add(attempt)
                if attempt.cause is not None:
                    return

        with ThreadPoolExecutor(min(CONNECTIONS, len(streams)), "webhook-stream") as pool:
            for done in [pool.submit(send, events) for events in streams.values()]:
                done.result()
        self._count(sent)
        return sent

    def _attempt(self, webhook: Webhook, event: Outgoing, keys: Sequence[bytes]) -> Attempt:
        """Try to deliver an event."""
        at, began = self._clock(), monotonic()

        def ended(status: int | None, cause: str | None) -> Attempt:
            return Attempt(event.position, at, int((monotonic() - began) * 1000), status, cause)

        try:
            status = self._sending.post(webhook.url, message_of(webhook.id, event, self._uuid, keys, at))
        except DeliveryError as error:
            logger.warning("webhook %s did not take position %d: %s", webhook.id, event.position, error)
            return ended(error.status, error.cause)
        return ended(status, None)

    def _count(self, sent: Sent) -> None:
        failed = len(sent.failed)
        with self._counting:
            self._counts.failed += failed
            self._counts.taken += len(sent.attempts) - failed

    def _after(self, before: Position, window: Window, sent: Sent) -> Position:
        """The position after a window."""
        taken = {*before.ahead, *(one.position for one in sent.attempts if one.cause is None)}
        open = next((position for position in window.wanted if position not in taken), None)
        position = window.upto if open is None else open - 1
        ahead = tuple(sorted(one for one in taken if one > position))
        after = replace(before, position=position, ahead=ahead)
        moved = position > before.position
        if sent.failed:
            return self._failed(replace(after, failures=0, failing_since=None) if moved else after)
        if moved or open is None:
            return replace(after, failures=0, failing_since=None, next_at=None)
        return after

    def _failed(self, after: Position) -> Position:
        now, failures = self._clock(), after.failures + 1
        next_at = now + pause_after(failures, self._chance())
        return replace(after, failures=failures, failing_since=after.failing_since or now, next_at=next_at)

    def _disable(self, webhook: Webhook, after: Position, attempt: Attempt) -> None:
        """Disable a webhook whose policy says so. If that cannot be recorded now, the next failure tries again."""
        now, cause = self._clock(), attempt.cause
        assert after.failing_since is not None, "an attempt has failed"
        command = DisableWebhook(
            webhook=webhook.id,
            restarted=webhook.restarted,
            cause=cause,  # type: ignore[arg-type]  # a code of `Cause`, which the row keeps as text
            reply=attempt.status,
            failures=after.failures,
            since=after.failing_since,
        )
        if not webhook.policy.ends(command.cause, command.failures, command.since, now):
            return
        key = f"{webhook.id}:{webhook.restarted}:{after.turn}"
        submission = system_submission(manager_principal(ACTOR), key, command, key, self._log, now)
        [answer] = self._send([submission])
        if isinstance(answer, Answer) and answer.outcome is ACCEPTED:
            logger.error("webhook %s is disabled after %d failures: %s", webhook.id, after.failures, cause)
        else:
            logger.warning("webhook %s could not be disabled now", webhook.id)


@contextmanager
def _locked(connection: Connection[Any], log_number: int, webhook: str) -> Iterator[bool]:
    """The lock of a webhook, as long as the block lasts. Yields whether this session has it.

    The session of a process that was stopped in its turn is ended by the server, and with it the lock.
    """
    lock = Ownership(connection, DELIVERING, log_number, [webhook])
    if not lock.acquire():
        yield False
        return
    end_when_silent(connection, SILENT_SECONDS)
    try:
        yield True
    finally:
        if not connection.closed:  # else the lock is free already
            lock.release()
            connection.execute("SELECT set_config('idle_session_timeout', '0', false)")


def _position(webhook: Webhook, stream: Sequence[Recorded], row: Position | None) -> Position | None:
    """How far a webhook is, as its row and its stream say. None if the row follows a newer version of the stream."""
    if row is not None and (row.begun > webhook.begun or row.restarted > webhook.restarted):
        return None
    if row is None or row.begun != webhook.begun:
        begun = stream[webhook.begun - 1].position  # a later position was stated before anything was there
        after = begun if webhook.after is None else min(webhook.after, begun)
        return Position(webhook.begun, webhook.restarted, after, turn=0 if row is None else row.turn)
    if row.restarted != webhook.restarted:
        return replace(row, restarted=webhook.restarted, failures=0, failing_since=None, next_at=None)
    return row


def _choose(webhook: Webhook, found: Sequence[Found], upto: int, wanted: list[int]) -> tuple[int, bool]:
    """Add the positions that are wanted until the window is full.

    Returns the position up to which was chosen, and whether an event ended it whose area only a newer version knows.
    """
    filter = webhook.filter
    for one in found:
        area = registry.area_of(one.stream) if filter.areas else ""
        if area is None:
            return one.position - 1, True
        if filter.wants(area, one.type, one.stream):
            wanted.append(one.position)
            if len(wanted) == WINDOW:
                return one.position, False
    return upto, False
