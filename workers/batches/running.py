"""The process of long batches: carries them out until it is stopped, through lost connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from threading import Event
from typing import Any, Final

from psycopg import Connection

from api import registry as routes
from api.gateway.routes import RouteTable
from api.gateway.tokens_file import PrincipalsFile
from api.services import CommandServices
from domain import registry
from domain.registry import RULES
from eventstore.batches.spool import Spool
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.stream_states import Fold, StreamState
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.numbers import Numbers
from eventstore.log.read import CHANNEL, read_streams
from eventstore.postgres.connect import connect, pool_of
from projections.commands.long_batches import LONG_BATCHES
from projections.engine.outage import Outage
from projections.engine.tables import ShapeError, outdated_among
from workers.batches.senders import Principals, Senders
from workers.batches.worker import OnStep, Worker
from workers.clock_and_ids import new_id, now
from workers.composition import WriteSide, write_side
from workers.metrics.serving import metrics_served
from workers.metrics.sources import of_executor
from workers.outages import through_outages
from workers.processes.worker import sender
from workers.settings import Settings
from workers.waking import IDLE_SECONDS

logger = logging.getLogger(__name__)

NUMBERS_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 30.0
SOON_SECONDS: Final = 0.1
"""Between two looks while the parts of a batch are coming."""


def run_batches(
    settings: Settings, stop: Event, *, clock: Callable[[], datetime] = now, on_step: OnStep = lambda step: None
) -> None:
    """Carry out long batches until `stop` is set.

    Raises `TokensError`, `DatabaseAwayError` where the database stays away for too long, `ShapeError` if the table of
    long batches is of another version of Daybook.
    """
    logger.info("carrying out the long batches of log %s", settings.log)
    principals = None if settings.auth == "off" else PrincipalsFile(settings.tokens_file, clock)

    def run_connected(outage: Outage) -> None:
        with worker_of(settings, principals, clock, on_step) as (worker, reads):
            reads.execute(f"LISTEN {CHANNEL}".encode())
            outage.ended()
            while not stop.is_set():
                if not worker.sweep(stop):
                    seconds = SOON_SECONDS if worker.soon else IDLE_SECONDS
                    list(reads.notifies(timeout=seconds, stop_after=1))

    through_outages(settings, stop, run_connected)


@contextmanager
def worker_of(
    settings: Settings, principals: Principals | None, clock: Callable[[], datetime], on_step: OnStep
) -> Iterator[tuple[Worker, Connection[Any]]]:
    """A worker with connections of its own, and the one that it reads by. Raises `ShapeError` and `TRANSIENT`."""
    with (
        connect(settings.query_url(), application_name="daybook-batches", read_only=True) as reads,
        connect(settings.api_url(), application_name="daybook-batches-lock") as connection,
        pool_of(
            settings.api_url(),
            application_name="daybook-batches-numbers",
            most=1,
            wait_seconds=NUMBERS_SECONDS,
            statement_seconds=STATEMENT_SECONDS,
        ) as numbers,
        write_side(settings, "daybook-batches") as side,
        metrics_served(settings, [of_executor(side.executor, RULES)]),
        asyncio.Runner() as runner,
    ):
        if outdated := outdated_among(reads, [LONG_BATCHES]):
            raise ShapeError(outdated)
        served = CommandServices(
            log=side.log,
            log_number=side.log_number,
            executor=side.executor,
            commands=AsyncExecutor(side.executor, settings.principal_limit),
            numbers=Numbers(numbers.connection),
            new_id=new_id,
            clock=clock,
        )
        yield make_worker(served, side, principals, reads, connection, runner, on_step), reads


def make_worker(
    served: CommandServices,
    side: WriteSide,
    principals: Principals | None,
    reads: Connection[Any],
    connection: Connection[Any],
    runner: asyncio.Runner,
    on_step: OnStep,
) -> Worker:
    """A worker on these connections. `connection` acts as `daybook_api`."""
    fold = Fold(side.codec, registry.evolve)

    def state(stream: str) -> Any:
        known = {stream: StreamState(None, 0, 0)}
        fold.on(known, read_streams(connection, side.log_number, {stream: 0}), connection, side.log_number)
        return known[stream].state

    return Worker(
        served,
        RouteTable(routes.routes()),
        sender(side.executor),
        side.codec,
        Spool(lambda: nullcontext(connection), side.log_number, KeyedHashes(side.codec.sealer)),
        Senders(principals, state, served.clock),
        reads,
        connection,
        runner,
        on_step=on_step,
    )
