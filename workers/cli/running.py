"""Commands that run Daybook: everything, the API, a projector, the migration."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from workers.cli.common import (
    out,
    settings_of_process,
)
from workers.composition import make_codec
from workers.databases import database
from workers.messages import action_recorded
from workers.migrating import migrate as run_migration
from workers.settings import variable
from workers.up import up as run_up
from workers.work import work as run_worker
from workers.work import work_ask_witnesses as run_ask_worker
from workers.work import work_batches as run_batch_worker
from workers.work import work_mail as run_mail_worker
from workers.work import work_processes as run_process_managers
from workers.work import work_seal as run_seal_worker
from workers.work import work_webhooks as run_webhook_worker

app = typer.Typer()


@app.command()
def up(
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Also start Kafka, as one broker, and publish the log to it. Needs Java 17.")
    ] = False,
) -> None:
    """Start everything on this machine: database, API, projector and process managers. Ctrl-C stops it all."""
    loaded = settings_of_process()
    with action_recorded("up", loaded):
        run_up(loaded, out, kafka=kafka)


@app.command()
def serve(
    reads_only: Annotated[
        bool,
        typer.Option("--reads-only", help="Answer reads only, from a replica: commands are refused with a problem."),
    ] = False,
) -> None:
    """Start the API."""
    from workers.serve import serve as run_server  # it imports all routes; other commands need not wait for them

    if reads_only:
        os.environ[variable("reads_only")] = "true"  # for the processes of the API, which read the environment
    loaded = settings_of_process()
    with connect(loaded.query_url(), application_name="daybook-serve", read_only=True) as connection:
        head = read_head(connection, loaded.log)  # a role that is not there, or no log, is one sentence
        if loaded.reads_only:
            make_codec(loaded, connection, head.log_number)
    if not loaded.reads_only:
        with connect(loaded.api_url(), application_name="daybook-serve") as connection:
            make_codec(loaded, connection, head.log_number, writes=True)  # or it is refused
    run_server(loaded)


@app.command()
def work(
    projections: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|AREAS",
            help="Fold only these: projections and areas, separated by commas. `accounts` is the area; "
            "`accounts/accounts` is that projection alone. Instead of DAYBOOK_PROJECTIONS.",
        ),
    ] = None,
    processes: Annotated[
        bool, typer.Option("--processes", help="Run process managers instead: timers, and work that takes time.")
    ] = False,
    from_kafka: Annotated[
        bool,
        typer.Option(
            "--from-kafka",
            help="Copy the log from Kafka into a database of its own, and fold it there: a replica, which needs no "
            "reach to the database of the log.",
        ),
    ] = False,
    from_events: Annotated[
        str | None,
        typer.Option(
            "--from-events",
            metavar="NAME",
            help="Fold this projection alone, from the topic of events, into a database without a log. Several such "
            "processes share its partitions.",
        ),
    ] = None,
) -> None:
    """Start a projector: it folds the log into the read tables until it is stopped.

    Several may run. Each projection is folded by one of them at a time; another that also has it takes over when that
    one ends. Projectors that fold different areas use more than one CPU.

    Process managers run in a process of their own: `daybook work --processes`. Several may run; nothing is done twice.
    """
    settings = settings_of_process()
    if processes:
        if projections is not None or from_kafka or from_events:
            raise typer.BadParameter("a process runs process managers or folds projections, not both")
        run_process_managers(settings)
        return
    if from_events is not None:
        if projections is not None or from_kafka:
            raise typer.BadParameter("--from-events names the only projection, and copies no log")
        from workers.kafka.replica.partitions import work_from_events  # other commands need not wait for its import

        work_from_events(settings, from_events)
        return
    if projections is not None:
        settings = settings.with_projections(projections)
    if from_kafka:
        from workers.kafka.replica.process import work_from_kafka  # other commands need not wait for its import

        work_from_kafka(settings)
        return
    run_worker(settings)


@app.command()
def mail() -> None:
    """Send the mails that wait, by SMTP (DAYBOOK_SMTP_URL) or into a folder (DAYBOOK_MAIL_FOLDER), until it is stopped.

    Several may run: one of them sends each mail. `GET /v1/mails?status=given_up` lists what nobody got.
    """
    run_mail_worker(settings_of_process())


@app.command()
def webhooks() -> None:
    """Send events to webhooks, until it is stopped. `GET /v1/webhooks` lists them.

    Several may run: one of them sends to each webhook at a time.
    """
    run_webhook_worker(settings_of_process())


@app.command()
def batches() -> None:
    """Carry out long batches, until it is stopped. `GET /v1/long-batches` lists them.

    Several may run: one of them carries out each batch at a time. It reads the file of tokens, as the API does.
    """
    run_batch_worker(settings_of_process())


@app.command()
def seal() -> None:
    """Seal the log until it is stopped: a transparency log. `GET /v1/proof/checkpoint` has its last signed head.

    It needs a key: DAYBOOK_PROOF_KEY or DAYBOOK_PROOF_KEY_FILE. Several may run: one seals, and another takes over when
    that one ends.
    """
    run_seal_worker(settings_of_process())


@app.command("ask-witnesses")
def ask_witnesses() -> None:
    """Ask witnesses to cosign the checkpoints of the log, until it is stopped. DAYBOOK_PROOF_WITNESSES lists them.

    `GET /v1/proof/checkpoint` has the cosignatures, and `GET /v1/proof/witnesses` how far each witness is. Several may
    run: one asks, and another takes over when that one ends. It needs no key.
    """
    run_ask_worker(settings_of_process())


@app.command()
def witness(
    new: Annotated[
        bool,
        typer.Option("--new", help="Make the file of a new witness in the data folder, print its public key, and end."),
    ] = False,
) -> None:
    """Witness the logs of others until it is stopped: cosign their checkpoints, if each continues the one before.

    It needs no database. DAYBOOK_WITNESS_NAME and DAYBOOK_WITNESS_KEY name it, DAYBOOK_WITNESS_LOGS lists the logs.
    What it has cosigned is in `witness.sqlite` of the data folder, which one process uses.
    """
    from workers.witness.serving import begin_witness, run_witness  # the other commands need not wait for its imports

    settings = settings_of_process()
    if new:
        out.print(begin_witness(settings), highlight=False, markup=False, soft_wrap=True)
        return
    run_witness(settings)


class What(StrEnum):
    """What is published."""

    LOG = "log"
    EVENTS = "events"


@app.command()
def publish(
    what: Annotated[
        What,
        typer.Argument(
            help="`log`: a record for each unit, in one partition, for replicas. `events`: a CloudEvent for each "
            "event, in partitions by stream, for other programs."
        ),
    ] = What.LOG,
) -> None:
    """Publish the log to Kafka until it is stopped: each event once, in order, for readers of committed records.

    Several may run. One publishes a topic at a time; another takes over when that one ends.
    """
    from workers.kafka.publishing.process import publish as run_publisher  # other commands need not wait for its import

    run_publisher(settings_of_process(), what.value)


@app.command()
def execute_from_kafka() -> None:
    """Execute the commands that principals send by topic (DAYBOOK_KAFKA_PRINCIPALS), until it is stopped.

    Several may run. One reads a topic at a time; another takes over when that one ends.
    """
    from workers.kafka.commands.running import execute_from_kafka as run  # see `publish`

    run(settings_of_process())


@app.command()
def migrate(
    replica: Annotated[
        bool,
        typer.Option("--replica", help="Make no log: `daybook work --from-kafka` makes it, a copy of another."),
    ] = False,
) -> None:
    """Bring the database to the newest schema: roles, rights, the log and the read tables.

    Run it again at any time: it repairs owners and rights, for instance after a restore, and says so.
    """
    with database(settings_of_process()) as settings, action_recorded("migrate", settings):
        migrated = run_migration(settings, replica=replica)
    out.print(f"The database is at revision {migrated.revision}.", highlight=False)
    for note in migrated.notes:
        out.print(note, highlight=False, markup=False)
