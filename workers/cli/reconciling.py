"""The command that brings a statement of an outside account, to be reconciled with one of ours."""

from __future__ import annotations

import tomllib
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from api.accounts.outside_statements.camt053 import read_camt053
from api.accounts.outside_statements.csv_file import CsvColumns, CsvStatement, read_csv_statement
from api.accounts.outside_statements.parsed import (
    MOST_FILE_BYTES,
    ParsedStatement,
    StatementFileError,
    of_this_account,
)
from domain import money
from domain.accounts.reconciliation.session import OpenReconciliation
from domain.accounts.reconciliation.statement import MOST_DAYS_BETWEEN, RECONCILIATION, refuse_statement
from domain.registry import explain
from eventstore.log.answers import Answer, Outcome
from workers.cli.common import FOUND, AsJson, fail, out, print_json, settings_of_process
from workers.clock_and_ids import new_id, now
from workers.composition import WriteSide, system_principal, system_submission, write_side
from workers.databases import database
from workers.messages import action_recorded

app = typer.Typer()

PRINCIPAL: Final = system_principal("system:reconcile")
MOST_COLUMNS_BYTES: Final = 64 * 1024


class StatementFormat(StrEnum):
    """The formats of statements that are read."""

    CAMT053 = "camt053"
    CSV = "csv"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-01-31") from None


@app.command("reconcile")
def reconcile(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The statement")],
    account: Annotated[str, typer.Option(help="Our account, such as acct_…")],
    outside_account: Annotated[str, typer.Option(help="The number of the account in the file, such as its IBAN")],
    mirrored: Annotated[
        bool, typer.Option("--mirrored/--same-side", help="Whether their credit is our debit, as at our bank")
    ],
    format: Annotated[StatementFormat, typer.Option(help="What the file is")] = StatementFormat.CAMT053,
    days: Annotated[
        int, typer.Option(min=0, max=MOST_DAYS_BETWEEN, help="By how many days the value dates may differ")
    ] = 3,
    columns: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A TOML file that says what the columns of a CSV file are"),
    ] = None,
    statement: Annotated[str | None, typer.Option(help="Of a CSV file: the id of the statement")] = None,
    currency: Annotated[str | None, typer.Option(help="Of a CSV file: its currency")] = None,
    since: Annotated[date | None, typer.Option("--from", parser=_day, metavar="DAY", help="Its first day")] = None,
    until: Annotated[date | None, typer.Option("--to", parser=_day, metavar="DAY", help="Its last day")] = None,
    opening: Annotated[str | None, typer.Option(help="Its opening balance, such as 12.30")] = None,
    closing: Annotated[str | None, typer.Option(help="Its closing balance")] = None,
    encoding: Annotated[str, typer.Option(help="Of a CSV file")] = "utf-8",
    as_json: AsJson = False,
) -> None:
    """Bring a statement of a bank, to be matched with the entries of an account by the process of reconciliation.

    Each statement of this account in the file becomes a session. The whole file is read and checked before the first.
    """
    if file.stat().st_size > MOST_FILE_BYTES:
        fail(f"{file.name} has more than {MOST_FILE_BYTES:,} bytes")
    try:
        if format is StatementFormat.CAMT053:
            statements = of_this_account(read_camt053(file.read_bytes()), outside_account)
        else:
            said = _said(statement, currency, outside_account, since, until, opening, closing)
            text = _text(file, encoding)
            statements = [read_csv_statement(text, _columns(columns), said)]
        for one in statements:
            _check(one)
    except StatementFileError as error:
        fail(f"{file.name}: {error}")
    with (
        database(settings_of_process()) as settings,
        action_recorded("reconcile", settings, account),
        write_side(settings, "daybook-reconcile") as side,
    ):
        opened = [(one, _open(side, one, account, outside_account, mirrored, days)) for one in statements]
    rows = [_row(one, answer) for one, answer in opened]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            what = row["reconciliation"] or row["because"]
            out.print(f"Statement {row['statement']}, {row['lines']} lines: {what}", highlight=False)
    if any(row["reconciliation"] is None for row in rows):
        raise typer.Exit(FOUND)


def _said(
    statement: str | None,
    currency: str | None,
    account: str,
    since: date | None,
    until: date | None,
    opening: str | None,
    closing: str | None,
) -> CsvStatement:
    if statement is None or currency is None:
        fail("a CSV file does not say whose statement it is: give --statement and --currency")
    try:
        balances = [None if text is None else money.parse(text, currency) for text in (opening, closing)]
    except money.MoneyError as error:
        fail(str(error))
    return CsvStatement(statement, account, currency, since, until, *balances)


def _text(file: Path, encoding: str) -> str:
    try:
        return file.read_bytes().decode(encoding)
    except LookupError:
        raise StatementFileError(f"the encoding {encoding!r} is not known") from None
    except UnicodeDecodeError as error:
        raise StatementFileError(f"it is not in the encoding {encoding}: {error.reason}") from None


def _columns(file: Path | None) -> CsvColumns:
    if file is None:
        fail("a CSV file needs --columns, a TOML file that says what its columns are")
    try:
        if file.stat().st_size > MOST_COLUMNS_BYTES:
            fail(f"{file.name} has more than {MOST_COLUMNS_BYTES:,} bytes")
        return CsvColumns.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(f"{file.name} is no TOML file: {error}")
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"{file.name}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}")


def _check(parsed: ParsedStatement) -> None:
    """Raises `StatementFileError` for a statement that the rules refuse whatever the account is."""
    refusal = refuse_statement(parsed.statement)
    if refusal is not None:
        raise StatementFileError(explain(refusal.rule, refusal.figures))


def _open(
    side: WriteSide, parsed: ParsedStatement, account: str, outside_account: str, mirrored: bool, days: int
) -> Answer:
    id = new_id(RECONCILIATION)
    command = OpenReconciliation(
        reconciliation=id,
        account=account,
        statement=parsed.statement,
        mirrored=mirrored,
        days_apart=days,
        outside_account=outside_account,
    )
    # Each call is a request of its own: the domain says that a statement was brought before, and by which session.
    [answer] = side.executor.execute([system_submission(PRINCIPAL, id, command, id, side.log, now())])
    return answer


def _row(parsed: ParsedStatement, answer: Answer) -> dict[str, Any]:
    accepted = answer.outcome is Outcome.ACCEPTED
    return {
        "statement": parsed.statement.statement,
        "lines": len(parsed.statement.lines),
        "skipped": parsed.statement.skipped,
        "reconciliation": answer.result["reconciliation"] if accepted else None,
        "because": None if accepted else _because(answer),
    }


def _because(answer: Answer) -> str:
    if answer.rule is not None:
        return explain(answer.rule, answer.result)
    return f"There is no {answer.result.get('kind')} {answer.result.get('id')}."
