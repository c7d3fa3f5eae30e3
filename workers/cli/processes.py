"""Commands on processes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from domain.registry import MANAGERS
from eventstore.postgres.connect import connect
from projections.processes.fold import Status
from projections.processes.processes import processes as read_processes
from projections.processes.work import counts
from workers.cli.common import AsJson, out, print_json, settings_of_process
from workers.clock_and_ids import now
from workers.databases import database

app = typer.Typer()

MOST_LISTED = 200


@app.command()
def processes(
    manager: Annotated[
        str | None, typer.Option(help=f"Only those of one: {', '.join(manager.name for manager in MANAGERS)}")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="Only those with this status")] = None,
    stream: Annotated[str | None, typer.Option(help="Only those about this stream")] = None,
    as_json: AsJson = False,
) -> None:
    """Processes as they are now: what they wait for, their last answer, and why they need attention.

    It lists the first 200 that began; `GET /v1/processes` has all of them.
    """
    with (
        database(settings_of_process()) as settings,
        connect(settings.query_url(), application_name="daybook-processes", read_only=True) as connection,
    ):
        listed = read_processes(connection, manager=manager, status=status, stream=stream, limit=MOST_LISTED)
        counted = counts(connection, now())
    if as_json:
        print_json({"processes": [asdict(row) for row in listed.items], "counts": asdict(counted)})
        return
    table = Table("process", "manager", "about", "status", "step", "since", "due", "last answer", "cause")
    for row in listed.items:
        times = [None if at is None else f"{at:%Y-%m-%d %H:%M:%S}" for at in (row.since, row.due_at)]
        cells = (row.process, row.manager, row.stream, row.status, row.step, *times, row.last_answer, row.cause)
        table.add_row(*(cell or "" for cell in cells))
    out.print(table)
    for count in counted.processes:
        out.print(f"{count.manager}: {count.processes} {count.status}", highlight=False)
    if counted.timers_due:
        out.print(f"{counted.timers_due} timers are due, the oldest for {counted.late_seconds:.0f} s", highlight=False)
