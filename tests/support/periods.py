"""Periods on a running service: close one, let its processes work, and read what `verify` says."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg

from domain.kernel import Event as Recorded
from domain.registry import MANAGERS
from eventstore.postgres.connect import connect
from projections.registry import PROJECTIONS
from tests.support.answers import accepted, eur
from tests.support.ledger import codec_of
from tests.support.processes import settle
from tests.support.service import Service
from workers.processes.running import QUERIES
from workers.processes.worker import Worker, sender
from workers.verify import verify

FIRST_DAY, LAST_DAY, OPEN_DAY = date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 1)
NAME = "2026-10"


def wait_until_folded(service: Service) -> int:
    """Wait until every projection has folded the log. Returns its head."""
    with psycopg.connect(service.database.url) as connection:
        row = connection.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
    assert row is not None
    service.services.checkpoints.wait_here([projection.name for projection in PROJECTIONS], row[0], 60)
    return int(row[0])


def findings(service: Service) -> list[str]:
    """What `verify` finds."""
    url = service.database.audit_url
    with connect(url, application_name="verify") as reading, connect(url, application_name="keys") as keys:
        report = verify(reading, "main", codec_of(keys, 1), patience_seconds=0)
    return [finding.what for check in report.checks for finding in check.findings]


def close(service: Service, begins_on: date = FIRST_DAY, ends_on: date = LAST_DAY, name: str = NAME) -> Any:
    days = {"begins_on": begins_on.isoformat(), "ends_on": ends_on.isoformat()}
    return service.post("periods", {"name": name, **days}, role="operator")


def opened(service: Service, balance: str | None = None) -> str:
    """An account that may have entries of any day of the period."""
    account = service.account(opened_on="2026-01-01")
    if balance is not None:
        accepted(service.post(f"accounts/{account}/deposits", eur(balance, value_date=FIRST_DAY.isoformat())))
    return account


def seal(service: Service) -> None:
    """Run the process manager until nothing is left to do."""
    wait_until_folded(service)
    with connect(service.database.query_url, application_name="processes", read_only=True) as reads:
        services = service.services
        send = sender(services.executor)
        worker = Worker(send, "main", reads, services.checkpoints, MANAGERS, services.clock, QUERIES)
        settle(worker)


def events_of(service: Service) -> list[Recorded]:
    """All events of the log that can be decoded."""
    with psycopg.connect(service.database.url) as connection:
        rows = connection.execute("SELECT type, payload, stream, version FROM log.events ORDER BY position").fetchall()
        with connect(service.database.audit_url, application_name="keys") as keys:
            return list(codec_of(keys, 1).decode_many(rows))
