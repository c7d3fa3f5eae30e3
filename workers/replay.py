"""Replay: folds a stream up to a version, or the whole log up to a position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from domain import registry
from domain.accounts.account.events import AccountCredited, AccountDebited
from domain.kernel import State
from eventstore.log import leaf
from eventstore.log.codec import Codec
from eventstore.log.read import read_head, read_log, read_stream

PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of folding the events of the whole log up to a position."""

    log: str
    epoch: int
    position: int
    events: int
    types: dict[str, int]
    sums: dict[str, int]  # credits less debits by currency, in minor units: zero in each
    digest_version: str
    digest: str  # of the leaves of the events, see `eventstore.log.leaf`

    @property
    def ok(self) -> bool:
        """Whether money is conserved in every currency."""
        return all(total == 0 for total in self.sums.values())


def replay_stream(
    connection: Connection[Any],
    log_number: int,
    codec: Codec,
    stream: str,
    version: int | None,
    upto: int | None = None,
) -> State | None:
    """The state of a stream at a version, at a position, or now; None if the stream does not exist there."""
    state: State | None = None
    after = 0
    while True:
        events = read_stream(connection, log_number, stream, after=after, limit=PAGE)
        for recorded in events:
            if (version is not None and recorded.version > version) or (upto is not None and recorded.position > upto):
                return state
            event = codec.decode(recorded.type, recorded.payload, recorded.stream, recorded.version)
            state = registry.evolve(state, event)
        if len(events) < PAGE:
            return state
        after = events[-1].version


def replay_log(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    upto: int | None = None,
    progress: Callable[[int, int], None] = lambda position, head: None,
) -> Replayed:
    """Fold the whole log, page by page, up to the last end of a unit at or before `upto`."""
    head = read_head(connection, log)
    end = head.position if upto is None else min(upto, head.position)
    types: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    position = 0
    while position < end:
        page = read_log(connection, head.log_number, position, min(PAGE, end - position))
        if page.at_end:
            raise RuntimeError(
                f"nothing can be read after position {position} of {end}: the log is damaged; daybook verify says where"
            )
        for recorded in page.events:
            if recorded.unit_end > end:
                end = position  # `upto` is within this unit: the unit before was the last
                break
            types[recorded.type] += 1
            event = codec.decode(recorded.type, recorded.payload, recorded.stream, recorded.version)
            if isinstance(event, AccountCredited | AccountDebited):
                sums[event.currency] += event.amount if isinstance(event, AccountCredited) else -event.amount
            position = recorded.unit_end
        progress(position, end)
    digest = leaf.digest(connection, head.log_number, position)
    return Replayed(
        log=log,
        epoch=head.epoch,
        position=position,
        events=sum(types.values()),
        types=dict(types),
        sums=dict(sums),
        digest_version=leaf.DIGEST,
        digest=digest,
    )
