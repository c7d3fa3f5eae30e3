"""Commands of an auditor: verify, show a stream."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.json_form import json_form
from eventstore.log.event_view import event_view
from eventstore.log.read import read_stream
from projections.replay.steps import plain
from workers.cli.common import (
    FOUND,
    AsJson,
    as_json_text,
    audit_connection,
    fail,
    out,
    print_json,
    progress_bars,
    settings_of_process,
)
from workers.databases import database
from workers.messages import action_recorded
from workers.showing import described
from workers.verify import verify as verify_log
from workers.verify.printing import print_report
from workers.verify.processes import MOST_PROCESSES, Processes, usual_number

app = typer.Typer()


@app.command()
def verify(
    as_json: AsJson = False,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_PROCESSES, help="Most processes that check events; without it one a CPU, up to 8"),
    ] = None,
) -> None:
    """Prove that the log is sound, the schema as it was made, and the read tables what the log folds to."""
    with (
        database(settings_of_process()) as settings,
        audit_connection(settings) as (connection, codec, _),
        progress_bars(as_json) as progress,
    ):
        task = progress.add_task("verifying", total=None)
        report = verify_log(
            connection,
            settings.log,
            codec,
            lambda name: progress.update(task, description=name),
            processes=Processes(processes or usual_number(), settings.audit_url()),
        )
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report, out)
    if not report.ok:
        raise typer.Exit(FOUND)


@app.command()
def events(
    stream: Annotated[str, typer.Argument(help="A stream such as acct_…, txn_…, ord_…, post_… or claim:slug:…")],
    as_json: AsJson = False,
) -> None:
    """A stream as a person reads it."""
    with (
        database(settings_of_process()) as settings,
        action_recorded("events", settings, stream),
        audit_connection(settings) as (connection, codec, log_number),
    ):
        found = read_stream(connection, log_number, stream)
        if not found:
            fail(f"there is no stream {stream}")
        width = out.width if out.is_terminal else None
        if as_json:
            sys.stdout.write("[")
        separator = "\n"
        while found:
            for recorded in found:
                event = codec.decode(recorded.type, recorded.payload, recorded.stream, recorded.version)
                view = event_view(recorded, event)
                if as_json:
                    sys.stdout.write(separator + as_json_text(view, json_form))
                    separator = ",\n"
                else:
                    sys.stdout.writelines(f"{line}\n" for line in described(recorded, plain(view["data"]), width))
            found = read_stream(connection, log_number, stream, after=found[-1].version)
        if as_json:
            sys.stdout.write("\n]\n")
