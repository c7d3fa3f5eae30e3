"""The process of process managers: carries processes on until told to stop, through lost connections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from threading import Event
from typing import Any

from psycopg import Connection

from domain.accounts.interest.running import DAILY_BALANCES
from domain.accounts.periods.sealing import TRIAL_BALANCE_UNTIL
from domain.accounts.periods.year_closing import YEAR_END_BALANCES
from domain.accounts.reconciliation.process import PROPOSED_MATCHES
from domain.accounts.settlement.running import MERCHANT_DAY
from domain.process_manager import ProcessManager
from domain.registry import MANAGERS
from eventstore.log.read import CHANNEL
from eventstore.postgres.connect import connect
from projections.accounts.interest import daily_balances
from projections.accounts.merchant_days import MERCHANT_DAY_TABLES, merchant_day
from projections.accounts.periods.figures import trial_balance_until, year_end_balances
from projections.accounts.reconciliations.proposing import PROPOSAL_PROJECTIONS, proposed_matches
from projections.engine.outage import Outage
from projections.engine.tables import ShapeError, outdated_among
from projections.engine.waiting import Checkpoints
from projections.processes.processes import PROCESSES
from projections.processes.work import next_due
from workers.clock_and_ids import now
from workers.composition import write_side
from workers.outages import through_outages
from workers.processes.worker import FOLD_SECONDS, Query, Worker, sender
from workers.settings import Settings
from workers.waking import wait_for_work

logger = logging.getLogger(__name__)


QUERIES: Mapping[str, Query] = {
    TRIAL_BALANCE_UNTIL: Query(("movements", "trial_balance"), trial_balance_until),
    DAILY_BALANCES: Query(("movements",), daily_balances),
    MERCHANT_DAY: Query(MERCHANT_DAY_TABLES, merchant_day),
    PROPOSED_MATCHES: Query(PROPOSAL_PROJECTIONS, proposed_matches),
    YEAR_END_BALANCES: Query(("movements", "trial_balance", "chart"), year_end_balances),
}
"""What process managers may ask for, by name."""


def run_processes(
    settings: Settings,
    stop: Event,
    *,
    managers: Sequence[ProcessManager] = MANAGERS,
    queries: Mapping[str, Query] = QUERIES,
    clock: Callable[[], datetime] = now,
) -> None:
    """Carry processes on until `stop` is set.

    Raises `DatabaseAwayError` where the database stays away for too long, `ShapeError` if the table of processes is of
    another version of Daybook.
    """
    names = ", ".join(manager.name for manager in managers)
    logger.info("carrying on the processes of log %s: %s", settings.log, names)
    through_outages(settings, stop, lambda outage: _run_connected(settings, stop, outage, managers, queries, clock))


def _run_connected(
    settings: Settings,
    stop: Event,
    outage: Outage,
    managers: Sequence[ProcessManager],
    queries: Mapping[str, Query],
    clock: Callable[[], datetime],
) -> None:
    def read(name: str) -> Connection[Any]:
        return connect(settings.query_url(), application_name=f"daybook-{name}", read_only=True)

    with (
        read("processes") as reads,
        closing(Checkpoints(lambda: read("processes-checkpoints"), settings.log)) as checkpoints,
        write_side(settings, "daybook-processes") as side,
    ):
        worker = Worker(sender(side.executor), side.log, reads, checkpoints, managers, clock, queries)
        reads.execute(f"LISTEN {CHANNEL}".encode())
        while not stop.is_set():
            if outdated := outdated_among(reads, [PROCESSES]):
                raise ShapeError(outdated)
            worked = worker.sweep()
            outage.ended()
            if not worked:
                at = clock()
                coming = next_due(reads, at)
                pause = None if coming is None else coming - at
                wait_for_work(reads, checkpoints, side.log_number, PROCESSES.name, pause, FOLD_SECONDS)
