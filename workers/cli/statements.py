"""The command that writes a statement of an account."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from api.accounts.statement_files import json_file
from api.accounts.statement_files.content import Content, FileForm, TooManyLinesError, WrongOrderError, every_line
from api.accounts.statement_files.writing import file_of
from api.gateway.problems import Problem
from api.queries.as_of import resolve
from api.queries.positions import token
from eventstore.log.read import read_head, recorded_at
from projections.accounts.statements.statement import statement
from projections.engine.listing import EVERYTHING
from workers.cli.common import audit_connection, fail, settings_of_process
from workers.databases import database
from workers.messages import action_recorded

app = typer.Typer()


class Form(StrEnum):
    """The forms of a statement."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"
    CAMT053 = "camt053"


class Order(StrEnum):
    """What puts an entry into the period."""

    BOOKING = "booking"
    VALUE = "value"


def parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-01-31") from None


@app.command("statement")
def write_statement(
    account: Annotated[str, typer.Argument(help="An account such as acct_…")],
    since: Annotated[date, typer.Option("--from", parser=parse_day, metavar="DAY", help="The first day")],
    until: Annotated[date, typer.Option("--to", parser=parse_day, metavar="DAY", help="The last day, included")],
    by: Annotated[Order, typer.Option(help="By the day of booking (UTC), or by the value date")] = Order.BOOKING,
    as_of: Annotated[
        str | None, typer.Option(help="A position such as main.1.42, or a time such as 2026-01-31T12:00:00Z")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="The form of the statement")] = Form.JSON,
    output: Annotated[Path | None, typer.Option(help="The file to write; without it the standard output")] = None,
) -> None:
    """Write the statement of an account: opening balance, every entry of the period, closing balance."""
    if until < since:
        fail(f"the period ends on {until}, before it begins on {since}")
    if form is Form.PDF and output is None and sys.stdout.isatty():
        fail("a PDF is not for a terminal: name a file with --output")
    with (
        database(settings_of_process()) as settings,
        action_recorded("statement", settings, account),
        audit_connection(settings) as (connection, _, log_number),
    ):
        try:
            position = None if as_of is None else resolve(connection, settings.log, as_of).position
        except Problem as problem:
            fail(problem.detail)
        head = statement(connection, account, since=since, until=until, by=by.value, as_of=position)
        if head is None:
            fail(f"there is no account {account}")
        at = token(settings.log, read_head(connection, settings.log).epoch, head.position)
        content = Content(
            head,
            at,
            recorded_at(connection, log_number, head.position),
            every_line(lambda: nullcontext(connection), head, EVERYTHING),
        )
        try:
            parts = json_file.write(content) if form is Form.JSON else file_of(cast(FileForm, form.value), content)
        except (TooManyLinesError, WrongOrderError) as error:
            fail(str(error))
        _write(parts, output)


def _write(parts: Iterable[bytes], output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.writelines(parts)
        sys.stdout.buffer.flush()
        return
    with output.open("wb") as file:
        file.writelines(parts)
