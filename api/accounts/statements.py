"""The routes of balances, histories and statements: of an account at any position, day or period."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from psycopg import Connection
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.statement_files.content import PAGE, Content, FileForm, TooManyLinesError, WrongOrderError
from api.accounts.statement_files.writing import WRITERS, file_name, file_of
from api.commands.bodies import IsoDate
from api.gateway.documented import READ
from api.gateway.principals import EVERY_READER
from api.gateway.problems import Problem
from api.queries.as_of import OfPosition
from api.queries.filters import choice, must_be_in_order
from api.queries.positions import cursor as cursor_of
from api.queries.positions import read_cursor, token
from api.queries.query import query
from api.queries.reading import Cursor, Limit, PathId, not_yet_visible, reader_of, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, Position, one_of, page_of, values_of
from api.queries.responses import FileResponse, json_response
from api.services import services
from domain.accounts.kinds import TransactionKind
from domain.accounts.numbers import AccountType
from domain.money import show
from eventstore.log.read import read_head, recorded_at
from projections.accounts.accounts.queries import AccountRow
from projections.accounts.accounts.queries import account as find_account
from projections.accounts.statements.balances import MOST_STEPS, Every, Step, balance, history
from projections.accounts.statements.booked import NotFoldedError
from projections.accounts.statements.statement import (
    MOST_COUNTERPARTIES,
    By,
    Key,
    Line,
    Statement,
    lines,
    statement,
)
from projections.engine.listing import Reader

router = APIRouter(prefix="/v1", tags=["accounts"])

Form = Literal["json"] | FileForm
EveryStep = Annotated[str, choice(values_of(Every))]
Order = Annotated[str, choice(values_of(By))]
FormFilter = Annotated[str, choice(values_of(Form))]
_ACCOUNT_TABLES = ("accounts", "account_persons")


class Period(TypedDict):
    """The first and the last day of a report, both included."""

    since: date
    until: date


def _period(
    since: Annotated[IsoDate, Query(alias="from", description="The first day")],
    until: Annotated[IsoDate, Query(alias="to", description="The last day, included")],
) -> Period:
    """The period of a report. Raises `Problem` if it ends before it begins."""
    must_be_in_order(since, until)
    return {"since": since, "until": until}


OfPeriod = Annotated[Period, Depends(_period)]


class AccountBalance(TypedDict):
    """The balance of an account as of a position, by value date, or both."""

    account: str
    currency: CurrencyCode
    balance: Money
    value_date: Annotated[date | None, Field(description="Only entries with a value date up to this one count")]
    as_of: Annotated[Position, Field(description="The position that it is of; pass it as `as_of` to get the same")]


class BalanceStep(TypedDict):
    """What was booked on one day, or in one week or month."""

    day: Annotated[date, Field(description="The first day, UTC")]
    opening: Money
    debits: Money
    credits: Money
    closing: Money
    lowest: Annotated[Money, Field(description="The lowest balance at any moment, in the order of booking")]
    highest: Money
    entries: int


class BalanceSummary(TypedDict):
    """The whole period."""

    opening: Money
    closing: Money
    debits: Money
    credits: Money
    net: Annotated[Money, Field(description="Closing less opening balance")]
    lowest: Money
    highest: Money
    entries: int


class BalanceHistory(TypedDict):
    """Balances by the day of booking, without gaps. There is none of the future."""

    account: str
    currency: CurrencyCode
    every: Annotated[str, one_of(Every)]
    as_of: Annotated[Position, Field(description="The position that it is of; pass it as `as_of` to get the same")]
    summary: Annotated[BalanceSummary | None, Field(description="Null if nothing of the period has come yet")]
    items: list[BalanceStep]


class StatementLine(TypedDict):
    """An entry of a statement. A reversal is a line, and so is the entry that it reverses."""

    number: Annotated[int, Field(description="The number of the entry within the account")]
    transaction: str
    entry: Annotated[int, Field(description="Its number within the transaction")]
    kind: Annotated[str, one_of(TransactionKind)]
    reference: str | None
    description: str | None
    description_erased: bool
    parent: Annotated[str | None, Field(description="The transaction that it belongs to, such as the reversed one")]
    relation: str | None
    counterparties: Annotated[
        list[str],
        Field(
            description=f"Accounts of the other entries of the transaction, {MOST_COUNTERPARTIES} at most. A customer "
            "sees the other side of a payment; of a transaction with more entries, accounts that the customer may see"
        ),
    ]
    counterparties_in_all: int
    value_date: date
    recorded_at: datetime
    position: LogPosition
    amount: Annotated[Money, Field(description="What it changed: positive for a credit, negative for a debit")]
    balance: Annotated[Money, Field(description="The running balance after it, in the order of the statement")]


class AccountStatement(page_of(StatementLine)):  # type: ignore[misc]
    """A statement: its head, and a page of its lines."""

    account: str
    number: str
    type: str = Field(json_schema_extra={"enum": list(values_of(AccountType))})
    currency: CurrencyCode
    owner: str
    name: str | None
    since: date = Field(alias="from")
    until: date = Field(alias="to")
    by: str = Field(json_schema_extra={"enum": list(values_of(By))})
    as_of: Position = Field(description="The position that it is of; pass it as `as_of` to get the same")
    opening: Money
    debits: Money
    credits: Money
    net: Money
    closing: Money
    entries: int = Field(description="How many lines the whole statement has")


@query(
    router,
    "/accounts/{account}/balance",
    may=EVERY_READER,
    response=AccountBalance,
    personal=True,
    projections=("entries", "movements", *_ACCOUNT_TABLES),
)
def get_balance(
    request: Request,
    account: PathId,
    as_of: OfPosition,
    value_date: Annotated[
        IsoDate | None, Query(description="Only entries with a value date up to this day, included")
    ] = None,
) -> Response:
    """Get the balance of an account as of a position or a time, by value date, or both."""
    with reading(request) as connection, _folded():
        row = _account(connection, account, reader_of(request))
        found = balance(connection, account, as_of=None if as_of is None else as_of.position, value_date=value_date)
        position = _token(request, connection, found.position)
    answer: AccountBalance = {
        "account": account,
        "currency": row.currency,
        "balance": show(found.balance, row.currency),
        "value_date": value_date,
        "as_of": position,
    }
    return json_response(answer)


@query(
    router,
    "/accounts/{account}/daily-balances",
    may=EVERY_READER,
    response=BalanceHistory,
    personal=True,
    projections=("entries", *_ACCOUNT_TABLES),
)
def list_daily_balances(
    request: Request,
    account: PathId,
    period: OfPeriod,
    as_of: OfPosition,
    every: EveryStep = "day",
) -> Response:
    """List opening, closing, lowest and highest balance of each day by booking, or of each week or month.

    A period has at most 400 of them. A day without entries has the balance of the day before.
    """
    with reading(request) as connection, _folded():
        row = _account(connection, account, reader_of(request))
        try:
            found = history(
                connection,
                account,
                **period,
                every=every,  # type: ignore[arg-type]  # one of these, as `choice` has checked
                as_of=None if as_of is None else as_of.position,
                now=_now(request, connection) if as_of is None else as_of.at,
            )
        except ValueError as error:
            raise Problem("malformed", f"to: {error}; ask for a shorter one.", most=MOST_STEPS) from None
        position = _token(request, connection, found.position)
    answer: BalanceHistory = {
        "account": account,
        "currency": row.currency,
        "every": every,
        "as_of": position,
        "summary": _summary(found.steps, row.currency),
        "items": [_step(step, row.currency) for step in found.steps],
    }
    return json_response(answer, items=len(found.steps))


_FILES: dict[int | str, dict[str, Any]] = {
    **READ,
    200: {
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}} for _, media_type, _ in WRITERS.values()
        }
    },
}


@query(
    router,
    "/accounts/{account}/statement",
    may=EVERY_READER,
    response=AccountStatement,
    answers=_FILES,
    personal=True,
    projections=("entries", "movements", "transactions", *_ACCOUNT_TABLES),
)
def get_statement(
    request: Request,
    account: PathId,
    period: OfPeriod,
    as_of: OfPosition,
    by: Order = "booking",
    format: FormFilter = "json",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Get the statement of an account for a period: opening balance, lines with running balance, closing balance.

    By booking, a line is in the period if it was booked on one of its days (UTC); by value, if its value date is one
    of them. As JSON it comes in pages, all of one position. The other forms are files with all lines: csv has at most
    1,000,000, camt053 100,000 and pdf 10,000.
    """
    position = None if as_of is None else as_of.position
    key = _read_key(cursor, by) if cursor is not None else None
    if key is not None:
        position = key[0]
    reader = reader_of(request)
    with reading(request) as connection, _folded():
        head = statement(connection, account, **period, by=by, as_of=position, reader=reader)  # type: ignore[arg-type]
        if head is None:
            raise _unknown(account)
        at = _token(request, connection, head.position)
        if format == "json":
            page = lines(connection, head, cursor=None if key is None else key[1], limit=limit, reader=reader)
            return _page(head, at, page.items, page.next)
        log_number = services(request).log_number
        content = Content(
            head, at, recorded_at(connection, log_number, head.position), _every_line(request, head, reader)
        )
    if cursor is not None:
        raise Problem("malformed", "cursor: only pages in JSON have one; a file has all lines.")
    return _file(format, content)  # type: ignore[arg-type]


def _page(head: Statement, at: str, items: tuple[Line, ...], following: Key | None) -> Response:
    account, currency = head.account, head.account.currency
    answer = {
        "account": account.account,
        "number": account.number,
        "type": account.type,
        "currency": currency,
        "owner": account.owner,
        "name": account.name,
        "from": head.since,
        "to": head.until,
        "by": head.by,
        "as_of": at,
        "opening": show(head.opening, currency),
        "debits": show(head.sums.debits, currency),
        "credits": show(head.sums.credits, currency),
        "net": show(head.sums.net, currency),
        "closing": show(head.closing, currency),
        "entries": head.sums.entries,
        "items": [_line(line, currency) for line in items],
        "next": None if following is None else cursor_of(_key(head, following)),
    }
    return json_response(answer, items=len(items))


def _file(form: FileForm, content: Content) -> Response:
    try:
        parts = file_of(form, content)
    except (TooManyLinesError, WrongOrderError) as error:
        raise Problem("malformed", str(error)) from None
    return FileResponse(parts, WRITERS[form][1], file_name(form, content), content.head.sums.entries)


def _every_line(request: Request, head: Statement, reader: Reader) -> Iterator[Line]:
    """The lines of a statement. A connection is held while a page is read, and not while it is sent."""
    following: Key | None = None
    while True:
        with reading(request) as connection:
            page = lines(connection, head, cursor=following, limit=PAGE, reader=reader)
        yield from page.items
        following = page.next
        if following is None:
            return


def _account(connection: Connection[Any], account: str, reader: Reader) -> AccountRow:
    row = find_account(connection, account, reader=reader)
    if row is None:
        raise _unknown(account)
    return row


def _unknown(account: str) -> Problem:
    return Problem("unknown", f"There is no account {account}.", kind="account", id=account)


@contextmanager
def _folded() -> Iterator[None]:
    """Answer a position that the tables have not reached, as after a restore, by the problem of `min_position`."""
    try:
        yield
    except NotFoldedError as error:
        raise not_yet_visible(error.projections[0], error.reached, error.asked) from error


def _now(request: Request, connection: Connection[Any]) -> datetime:
    """The time of this process, or that of the last append: the database has a clock of its own."""
    served = services(request)
    now, last = served.clock(), read_head(connection, served.log).recorded_at
    return now if last is None else max(now, last)


def _token(request: Request, connection: Connection[Any], position: int) -> str:
    log = services(request).log
    return token(log, read_head(connection, log).epoch, position)


def _key(head: Statement, key: Key) -> str:
    """The key of a page's cursor: position, number, and by value date also the day."""
    parts = (head.position, key.number, *((key.day,) if head.by == "value" else ()))
    return "\n".join(map(str, parts))


def _read_key(cursor: str, by: str) -> tuple[int, Key]:
    """The position of the statement and the key. Raises `Problem` for a cursor of something else."""
    position, *rest = read_cursor(cursor, str).split("\n")
    try:
        number, *days = rest
        if len(days) != (by == "value") or not (_is_number(position) and _is_number(number)):
            raise ValueError
        return int(position), Key(int(number), *map(date.fromisoformat, days))
    except ValueError:
        raise Problem("malformed", "The cursor is not one of this list.") from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _line(line: Line, currency: str) -> StatementLine:
    return {
        "number": line.number,
        "transaction": line.transaction,
        "entry": line.entry,
        "kind": line.kind,
        "reference": line.reference,
        "description": line.description,
        "description_erased": line.description_erased,
        "parent": line.parent,
        "relation": line.relation,
        "counterparties": list(line.counterparties),
        "counterparties_in_all": line.counterparties_in_all,
        "value_date": line.value_date,
        "recorded_at": line.recorded_at,
        "position": line.position,
        "amount": show(line.amount, currency),
        "balance": show(line.balance, currency),
    }


def _step(step: Step, currency: str) -> BalanceStep:
    return {
        "day": step.day,
        "opening": show(step.opening, currency),
        "debits": show(step.debits, currency),
        "credits": show(step.credits, currency),
        "closing": show(step.closing, currency),
        "lowest": show(step.lowest, currency),
        "highest": show(step.highest, currency),
        "entries": step.entries,
    }


def _summary(steps: tuple[Step, ...], currency: str) -> BalanceSummary | None:
    if not steps:
        return None
    opening, closing = steps[0].opening, steps[-1].closing
    return {
        "opening": show(opening, currency),
        "closing": show(closing, currency),
        "debits": show(sum(step.debits for step in steps), currency),
        "credits": show(sum(step.credits for step in steps), currency),
        "net": show(closing - opening, currency),
        "lowest": show(min(step.lowest for step in steps), currency),
        "highest": show(max(step.highest for step in steps), currency),
        "entries": sum(step.entries for step in steps),
    }
