"""Commands that write evidence for who does not trust the owner of this ledger: bundles, as docs/bundle.md has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg import Connection

from api.accounts.statement_files import json_file
from api.accounts.statement_files.content import Content, every_line
from api.queries.positions import token
from eventstore.log.read import read_head
from eventstore.proof.bundle import BundleError
from eventstore.proof.evidence import MOST_SINCE, ChangedError, Evidence, EvidenceError
from eventstore.proof.leaves import read_actors
from projections.accounts.statements.booked import PositionAheadError
from projections.accounts.statements.statement import statement
from projections.engine.listing import EVERYTHING
from workers.cli.common import audit_connection, err, fail, out, progress_bars, settings_of_process
from workers.cli.exporting import exports
from workers.cli.statements import Order, parse_day
from workers.databases import database, one_moment
from workers.exporters.files import new_file
from workers.messages import action_recorded
from workers.settings import Settings

prove = typer.Typer(help="Write evidence that a stranger can check with daybook-verify.", no_args_is_help=True)

MOST_ACTORS = 10
"""Most actors with the same key that a message names."""


def _at_most(sizes: list[int] | None) -> list[int] | None:
    if sizes is not None and len(sizes) > MOST_SINCE:
        raise typer.BadParameter(f"at most {MOST_SINCE} sizes, not {len(sizes)}")
    return sizes


Since = Annotated[
    list[int] | None,
    typer.Option(
        min=1, callback=_at_most, metavar="SIZE", help="The size of a checkpoint that the reader kept; may be repeated"
    ),
]
Output = Annotated[Path | None, typer.Option(dir_okay=False, help="The file to write; without it the standard output")]
Write = Callable[[Connection[Any], Settings, Evidence], Iterator[bytes]]


@prove.command("event")
def event(
    position: Annotated[int, typer.Argument(min=1, help="A position of the log")],
    since: Since = None,
    output: Output = None,
) -> None:
    """Prove that an event is on the log."""
    _write("event", None, since, output, lambda connection, settings, evidence: evidence.of_event(position))


@prove.command("command")
def command(
    key: Annotated[str, typer.Argument(help="The idempotency key of a command, accepted or refused")],
    actor: Annotated[
        str | None, typer.Option(help="Who sent it; without it all commands are searched for the key")
    ] = None,
    since: Since = None,
    output: Output = None,
) -> None:
    """Prove what was answered to a command, with every event that it caused in its unit."""

    def lines(connection: Connection[Any], settings: Settings, evidence: Evidence) -> Iterator[bytes]:
        who = _only_actor(connection, evidence.log_number, key) if actor is None else actor
        return evidence.of_command(who, key)

    _write("command", None, since, output, lines)


@prove.command("stream")
def stream(
    stream: Annotated[str, typer.Argument(help="A stream such as acct_…, txn_…, ord_…, post_… or claim:slug:…")],
    since: Since = None,
    output: Output = None,
) -> None:
    """Prove all events of a stream, and that none was left out."""
    _write("stream", stream, since, output, lambda connection, settings, evidence: evidence.of_stream(stream))


@prove.command("statement")
def prove_statement(
    account: Annotated[str, typer.Argument(help="An account such as acct_…")],
    first: Annotated[date, typer.Option("--from", parser=parse_day, metavar="DAY", help="The first day")],
    last: Annotated[date, typer.Option("--to", parser=parse_day, metavar="DAY", help="The last day, included")],
    by: Annotated[Order, typer.Option(help="By the day of booking (UTC), or by the value date")] = Order.BOOKING,
    since: Since = None,
    output: Output = None,
) -> None:
    """Prove a statement and that no line is missing, as of the last checkpoint that commits to the heads of streams."""
    if last < first:
        fail(f"the period ends on {last}, before it begins on {first}")

    def stated(connection: Connection[Any], settings: Settings, position: int) -> Iterable[bytes]:
        try:
            head = statement(connection, account, since=first, until=last, by=by.value, as_of=position)
        except PositionAheadError as error:
            fail(f"{error}: run daybook work, and ask again")
        if head is None:
            fail(f"there is no account {account}")
        at = token(settings.log, read_head(connection, settings.log).epoch, head.position)
        return json_file.write(Content(head, at, None, every_line(lambda: nullcontext(connection), head, EVERYTHING)))

    def lines(connection: Connection[Any], settings: Settings, evidence: Evidence) -> Iterator[bytes]:
        return evidence.of_statement(account, lambda position: stated(connection, settings, position))

    _write("statement", account, since, output, lines)


@exports.command("bundle")
def bundle(since: Since = None, output: Output = None) -> None:
    """Write the whole log as a bundle: every event and every command, up to the last checkpoint that has heads."""
    with progress_bars(output is None and not err.is_terminal) as progress:
        task = progress.add_task("exporting", total=None)

        def lines(connection: Connection[Any], settings: Settings, evidence: Evidence) -> Iterator[bytes]:
            return evidence.of_log(lambda position, size: progress.update(task, completed=position, total=size))

        _write("log", None, since, output, lines)


def _write(kind: str, stream: str | None, since: list[int] | None, output: Path | None, write: Write) -> None:
    """Write a bundle from one moment of the database. A file is there once it is whole."""
    with (
        database(settings_of_process()) as settings,
        action_recorded("export bundle" if kind == "log" else f"prove {kind}", settings, stream),
        audit_connection(settings) as (connection, _, log_number),
        one_moment(connection),
    ):
        try:
            lines = write(connection, settings, Evidence(connection, log_number, tuple(since or ())))
            if output is None:
                sys.stdout.buffer.writelines(lines)
                sys.stdout.buffer.flush()
                return
            with new_file(output) as file:
                file.writelines(lines)
        except (EvidenceError, ChangedError, BundleError) as error:
            fail(str(error))
        size = output.stat().st_size
    out.print(f"{output} has {size:,} bytes: check it with daybook-verify.", highlight=False, soft_wrap=True)


def _only_actor(connection: Connection[Any], log_number: int, key: str) -> str:
    """Who sent the only command with this key."""
    actors = read_actors(connection, log_number, key, MOST_ACTORS + 1)
    if not actors:
        fail(f"no command has the key {key}")
    if len(actors) > 1:
        named = ", ".join(actors[:MOST_ACTORS])
        fail(f"several actors sent a command with the key {key}: say by --actor which one ({named})")
    return actors[0]
