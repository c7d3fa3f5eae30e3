"""The routes of balances, histories and statements: of an account at any position, day or period."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from psycopg import Connection
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.statement_files.content import Content, FileForm, TooManyLinesError, WrongOrderError, every_line
from api.accounts.statement_files.writing import WRITERS, file_name, file_of
from api.accounts.statement_views import (
    AccountBalance,
    AccountStatement,
    BalanceHistory,
    line_view,
    statement_view,
    step_view,
    summary_view,
)
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
from api.queries.response_types import values_of
from api.queries.responses import FileResponse, json_response
from api.services import services
from domain.money import show
from eventstore.log.read import read_head, recorded_at
from projections.accounts.accounts.queries import AccountRow
from projections.accounts.accounts.queries import account as find_account
from projections.accounts.statements.balances import MOST_STEPS, Every, balance, history
from projections.accounts.statements.booked import PositionAheadError
from projections.accounts.statements.statement import (
    By,
    Key,
    Line,
    Statement,
    lines,
    statement,
)
from projections.engine.listing import Listed, Reader

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
    with reading(request) as connection, folded():
        row = account_of(connection, account, reader_of(request))
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
    with reading(request) as connection, folded():
        row = account_of(connection, account, reader_of(request))
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
        "summary": summary_view(found.steps, row.currency),
        "items": [step_view(step, row.currency) for step in found.steps],
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
    1,000,000, camt053 100,000 and pdf 5,000.
    """
    position = None if as_of is None else as_of.position
    key = _read_key(cursor, by) if cursor is not None else None
    if key is not None:
        position = key[0]
    reader = reader_of(request)
    with reading(request) as connection, folded():
        head = statement(connection, account, **period, by=by, as_of=position, reader=reader)  # type: ignore[arg-type]
        if head is None:
            raise _unknown(account)
        at = _token(request, connection, head.position)
        if format == "json":
            page = lines(connection, head, cursor=None if key is None else key[1], limit=limit, reader=reader)
            return _page(head, at, page)
        recorded = recorded_at(connection, services(request).log_number, head.position)
    if cursor is not None:
        raise Problem("malformed", "cursor: only pages in JSON have one; a file has all lines.")
    content = Content(head, at, recorded, every_line(lambda: reading(request), head, reader))
    return _file(format, content)  # type: ignore[arg-type]


def _page(head: Statement, at: str, page: Listed[Line, Key]) -> Response:
    answer = {
        **statement_view(head, at),
        "items": [line_view(line, head.account.currency) for line in page.items],
        "next": None if page.next is None else cursor_of(_key(head, page.next)),
    }
    return json_response(answer, items=len(page.items))


def _file(form: FileForm, content: Content) -> Response:
    try:
        parts = file_of(form, content)
    except (TooManyLinesError, WrongOrderError) as error:
        raise Problem("malformed", str(error)) from None
    return FileResponse(parts, WRITERS[form][1], file_name(form, content), content.head.sums.entries)


def account_of(connection: Connection[Any], account: str, reader: Reader) -> AccountRow:
    row = find_account(connection, account, reader=reader)
    if row is None:
        raise _unknown(account)
    return row


def _unknown(account: str) -> Problem:
    return Problem("unknown", f"There is no account {account}.", kind="account", id=account)


@contextmanager
def folded() -> Iterator[None]:
    """Answer a position that the tables have not reached, as after a restore, by the problem of `min_position`."""
    try:
        yield
    except PositionAheadError as error:
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
