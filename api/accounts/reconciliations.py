"""The routes of reconciliations: bring a statement, match, undo, close, and read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.outside_statements.camt053 import read_camt053
from api.accounts.outside_statements.csv_file import CsvColumns, CsvStatement, read_csv_statement
from api.accounts.outside_statements.parsed import (
    MOST_COUNTERPARTY,
    MOST_TEXT,
    ParsedStatement,
    StatementFileError,
    chosen,
)
from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    Body,
    Currency,
    Description,
    Id,
    IsoDate,
    Nothing,
    Reason,
    Reference,
    SignedAmount,
    example,
)
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.gateway.problems import Problem
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of, values_of
from domain import money
from domain.accounts.reconciliation.events import EntryName, MatchRule
from domain.accounts.reconciliation.match import MatchByHand, UndoMatch
from domain.accounts.reconciliation.matching import MOST_IN_MATCH
from domain.accounts.reconciliation.session import (
    AbandonReconciliation,
    CloseReconciliation,
    OpenReconciliation,
    ReopenReconciliation,
    RunReconciliation,
    Status,
)
from domain.accounts.reconciliation.statement import (
    MATCH,
    MOST_DAYS_BETWEEN,
    MOST_LINES,
    MOST_REFERENCES,
    RECONCILIATION,
    Statement,
    StatementLine,
)
from domain.money import show
from projections.accounts.reconciliations import matches as match_queries
from projections.accounts.reconciliations import sessions as queries
from projections.accounts.reconciliations import statement_lines as line_queries
from projections.accounts.reconciliations.matches import MatchRow, MatchStatus
from projections.accounts.reconciliations.sessions import ReconciliationRow
from projections.accounts.reconciliations.statement_lines import LineState, StatementLineRow
from projections.accounts.reconciliations.summary import (
    SUMMARY_PROJECTIONS,
    Counted,
    Summary,
    summary,
    unmatched_entries,
)
from projections.accounts.statements.statement import Key, Line
from projections.engine.listing import Listed

router = APIRouter(prefix="/v1/reconciliations", tags=["reconciliations"])

USUAL_DAYS = 3
"""By how many days the value dates may differ where the request does not say."""
MOST_NUMBER_DIGITS = 18
"""Digits of the number of an entry in a cursor."""

StatusFilter = Annotated[str, choice(values_of(Status))] | None
LineStateFilter = Annotated[str, choice(values_of(LineState))] | None
_OutsideAccount = Annotated[
    str,
    StringConstraints(min_length=4, max_length=40),
    Field(description="The number of the account there, such as its IBAN. It is sealed"),
]
_Days = Annotated[
    int,
    Field(ge=0, le=MOST_DAYS_BETWEEN, description="By how many days the value dates of a line and an entry may differ"),
]
_Mirrored = Annotated[
    bool,
    Field(description="Whether their credit is our debit, as on our own account for one that we have at a bank"),
]

# Bodies


MOST_LINES_IN_A_REQUEST = 4_500
"""Most lines that a request has. A line is an object with a list, and a request has 10,000 of both."""


class StatementLineBody(BaseModel):
    """A line of a statement."""

    model_config = ConfigDict(extra="forbid", strict=True)

    booked_on: IsoDate
    value_date: IsoDate | None = None
    amount: Annotated[SignedAmount, Field(description="Positive for a credit there")]
    references: Annotated[
        list[Reference], Field(max_length=MOST_REFERENCES, description="Of the business of payer and payee")
    ] = []
    bank_reference: Reference | None = None
    counterparty: Annotated[str, StringConstraints(max_length=MOST_COUNTERPARTY)] = ""
    text: Annotated[str, StringConstraints(max_length=MOST_TEXT)] = ""


class StatementBody(Body):
    """A statement that somebody else made of an account."""

    model_config = example(
        account=ACCOUNT_A,
        statement="2026-11/1",
        currency="EUR",
        since="2026-11-01",
        until="2026-11-30",
        opening="0.00",
        closing="12.30",
        mirrored=False,
        lines=[{"booked_on": "2026-11-21", "amount": "12.30", "references": ["INV-1"]}],
    )

    account: Annotated[Id, Field(description="Our account")]
    statement: Annotated[Reference, Field(description="The id of the statement, by whoever made it")]
    currency: Currency
    since: IsoDate
    until: IsoDate
    opening: SignedAmount
    closing: SignedAmount
    mirrored: _Mirrored
    outside_account: _OutsideAccount | None = None
    days_apart: _Days = USUAL_DAYS
    lines: Annotated[list[StatementLineBody], Field(max_length=MOST_LINES_IN_A_REQUEST)]

    @model_validator(mode="after")
    def _is_money(self) -> StatementBody:
        for number, line in enumerate(self.lines, 1):
            try:
                money.parse(line.amount, self.currency)
            except ValueError as error:
                raise ValueError(f"lines: amount of line {number}: {error}") from None
        return self


class CsvBody(BaseModel):
    """What a CSV file does not say of itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    columns: CsvColumns
    statement: Annotated[Reference, Field(description="The id of the statement, by whoever made it")]
    currency: Currency
    since: Annotated[IsoDate | None, Field(description="Without it the first day of its rows")] = None
    until: IsoDate | None = None
    opening: Annotated[SignedAmount | None, Field(description="Without it, as the column of balances says")] = None
    closing: SignedAmount | None = None


class StatementFileBody(Body):
    """A file with a statement that somebody else made of an account."""

    model_config = example(
        account=ACCOUNT_A,
        format="camt053",
        outside_account="DE89370400440532013000",
        mirrored=True,
        file="<Document>…</Document>",
    )

    account: Annotated[Id, Field(description="Our account")]
    format: Annotated[Literal["camt053", "csv"], Field(description="What the file is")]
    file: Annotated[str, StringConstraints(min_length=1), Field(description="The text of the file")]
    outside_account: Annotated[
        _OutsideAccount, Field(description="The number that the file must have as that of its account. It is sealed")
    ]
    mirrored: _Mirrored
    statement: Annotated[
        Reference | None, Field(description="Which one, where a camt.053 has several statements of this account")
    ] = None
    days_apart: _Days = USUAL_DAYS
    csv: Annotated[CsvBody | None, Field(description="Of a CSV file")] = None


class MatchEntryBody(BaseModel):
    """One of our entries."""

    model_config = ConfigDict(extra="forbid", strict=True)

    transaction: Id
    entry: Annotated[int, Field(ge=1, le=2**15 - 1, description="Its number within the transaction, from 1")]


class MatchBody(Body):
    """Match lines with entries by hand."""

    model_config = example(
        currency="EUR", lines=[4], entries=[{"transaction": "txn_01h455vb4pex5vsknk084sn02q", "entry": 2}]
    )

    currency: Currency
    lines: Annotated[
        list[Annotated[int, Field(ge=1, le=MOST_LINES)]],
        Field(min_length=1, max_length=MOST_IN_MATCH, description="One, or several for one entry"),
    ]
    entries: Annotated[
        list[MatchEntryBody],
        Field(min_length=1, max_length=MOST_IN_MATCH, description="One, or several of one line"),
    ]
    difference: Annotated[
        SignedAmount | None, Field(description="What the lines have more than the entries, in our direction")
    ] = None
    reason: Annotated[Description | None, Field(description="Of the difference")] = None


class ClosedBody(Body):
    """Close a reconciliation."""

    model_config = example(reason="Two lines are disputed with the bank")

    reason: Annotated[Description | None, Field(description="Needed if lines are left")] = None


# Answers


class ReconciliationOpenedAnswer(Accepted):
    """A statement that was brought."""

    reconciliation: str
    status: Annotated[str, one_of(Status)]
    statement: str
    lines: Annotated[int, Field(description="How many lines it has")]
    skipped: Annotated[int, Field(description="Entries of its file that are not booked, and so are no lines")]


class ReconciliationChanged(Accepted):
    """A reconciliation that goes on, or has ended."""

    reconciliation: str
    status: Annotated[str, one_of(Status)]


class ReconciliationClosedAnswer(ReconciliationChanged):
    """A reconciliation that was closed."""

    lines_left: Annotated[int, Field(description="How many lines are not matched")]
    left: Annotated[Money, Field(description="Their sum, as the statement says it")]


class MatchMadeAnswer(Accepted):
    """A match that was made."""

    reconciliation: str
    match: str
    status: Annotated[str, one_of(MatchStatus)]
    difference: Money
    currency: CurrencyCode


class MatchChanged(Accepted):
    """A match that was undone."""

    reconciliation: str
    match: str
    status: Annotated[str, one_of(MatchStatus)]


class Reconciliation(TypedDict):
    """A reconciliation as it is now. Amounts are those of the statement."""

    reconciliation: str
    account: str
    currency: CurrencyCode
    statement: str
    mirrored: bool
    since: date
    until: date
    opening: Money
    closing: Money
    lines: int
    skipped: int
    days_apart: int
    status: Annotated[str, one_of(Status)]
    running: Annotated[bool, Field(description="Whether its lines are being matched by the rules")]
    outside_account: str | None
    opened_by: str
    opened_at: datetime
    version: StreamVersion
    position: LogPosition


class CountedAmount(TypedDict):
    """How many, and their sum in our direction."""

    count: int
    amount: Money


class ExplainedDifference(TypedDict):
    """The parts of the difference of the two closing balances, in our direction. They sum to it."""

    opening: Annotated[Money, Field(description="The difference of the opening balances")]
    unmatched_lines: Annotated[Money, Field(description="What the statement has and we do not")]
    unmatched_entries: Annotated[Money, Field(description="What we have in the period and the statement does not")]
    differences_of_matches: Annotated[Money, Field(description="What people stated with a reason")]
    matched_of_other_days: Annotated[Money, Field(description="Matched entries with value dates outside of the period")]
    matched_by_others: Annotated[Money, Field(description="Entries of the period that other statements have")]


class ReconciliationSummary(Reconciliation):
    """A reconciliation, what is matched, and why the balances differ. Sums are in our direction."""

    matched_lines: CountedAmount
    unmatched_lines: CountedAmount
    ambiguous_lines: Annotated[int, Field(description="Unmatched lines that more than one entry fits")]
    matched_entries: CountedAmount
    unmatched_entries: CountedAmount
    our_opening: Annotated[Money, Field(description="Our balance by value date before the period")]
    our_closing: Money
    difference: Annotated[Money, Field(description="What the statement's closing balance is above ours")]
    explained: ExplainedDifference


class ReconciliationLine(TypedDict):
    """A line of a statement as it is now."""

    line: Annotated[int, Field(description="Its number in the statement, from 1")]
    booked_on: date
    value_date: date
    amount: Annotated[Money, Field(description="As the statement says")]
    currency: CurrencyCode
    references: list[str]
    bank_reference: str | None
    counterparty: str | None
    text: str | None
    erased: Annotated[bool, Field(description="Whether its texts are gone with a key")]
    state: Annotated[str, one_of(LineState)]
    match: str | None
    rule: Annotated[Annotated[str, one_of(MatchRule)] | None, Field(description="What matched it")]


class UnmatchedEntry(TypedDict):
    """One of our entries of the period that no match has."""

    transaction: str
    entry: Annotated[int, Field(description="Its number within the transaction, from 1")]
    value_date: date
    amount: Annotated[Money, Field(description="Positive for a credit")]
    currency: CurrencyCode
    kind: str
    reference: str | None
    description: str | None


class ReconciliationEntryOfMatch(TypedDict):
    """An entry of a match."""

    transaction: str
    entry: int
    value_date: date
    amount: Money


class ReconciliationMatch(TypedDict):
    """A match as it is now. Amounts are in our direction."""

    match: str
    status: Annotated[str, one_of(MatchStatus)]
    rule: Annotated[str, one_of(MatchRule)]
    lines: list[int]
    entries: list[ReconciliationEntryOfMatch]
    lines_amount: Money
    difference: Money
    currency: CurrencyCode
    operator: str
    made_at: datetime
    version: StreamVersion
    position: LogPosition


# Views


def reconciliation_view(row: ReconciliationRow) -> Reconciliation:
    return {
        "reconciliation": row.reconciliation,
        "account": row.account,
        "currency": row.currency,
        "statement": row.statement,
        "mirrored": row.mirrored,
        "since": row.since,
        "until": row.until,
        "opening": show(row.opening, row.currency),
        "closing": show(row.closing, row.currency),
        "lines": row.lines,
        "skipped": row.skipped,
        "days_apart": row.days_apart,
        "status": row.status,
        "running": row.running,
        "outside_account": row.outside_account,
        "opened_by": row.opened_by,
        "opened_at": row.opened_at,
        "version": row.version,
        "position": row.position,
    }


def summary_view(row: ReconciliationRow, found: Summary) -> ReconciliationSummary:
    def shown(amount: int) -> str:
        return show(amount, row.currency)

    def counted(of: Counted) -> CountedAmount:
        return {"count": of.count, "amount": shown(of.amount)}

    parts = found.explained
    return {
        **reconciliation_view(row),
        "matched_lines": counted(found.matched_lines),
        "unmatched_lines": counted(found.unmatched_lines),
        "ambiguous_lines": found.ambiguous_lines,
        "matched_entries": counted(found.matched_entries),
        "unmatched_entries": counted(found.unmatched_entries),
        "our_opening": shown(found.our_opening),
        "our_closing": shown(found.our_closing),
        "difference": shown(found.difference),
        "explained": {
            "opening": shown(parts["opening"]),
            "unmatched_lines": shown(parts["unmatched_lines"]),
            "unmatched_entries": shown(parts["unmatched_entries"]),
            "differences_of_matches": shown(parts["differences_of_matches"]),
            "matched_of_other_days": shown(parts["matched_of_other_days"]),
            "matched_by_others": shown(parts["matched_by_others"]),
        },
    }


def line_view(currency: str) -> Callable[[StatementLineRow], ReconciliationLine]:
    def view(row: StatementLineRow) -> ReconciliationLine:
        return {
            "line": row.number,
            "booked_on": row.booked_on,
            "value_date": row.value_date,
            "amount": show(row.amount, currency),
            "currency": currency,
            "references": row.references,
            "bank_reference": row.bank_reference,
            "counterparty": row.counterparty,
            "text": row.text,
            "erased": row.erased,
            "state": row.state,
            "match": row.match,
            "rule": row.rule,
        }

    return view


def entry_view(currency: str) -> Callable[[Line], UnmatchedEntry]:
    def view(line: Line) -> UnmatchedEntry:
        return {
            "transaction": line.transaction,
            "entry": line.entry,
            "value_date": line.value_date,
            "amount": show(line.amount, currency),
            "currency": currency,
            "kind": line.kind,
            "reference": line.reference,
            "description": line.description,
        }

    return view


def match_view(row: MatchRow) -> ReconciliationMatch:
    return {
        "match": row.match,
        "status": row.status,
        "rule": row.rule,
        "lines": list(row.lines),
        "entries": [
            {
                "transaction": entry.transaction,
                "entry": entry.entry,
                "value_date": entry.value_date,
                "amount": show(entry.amount, row.currency),
            }
            for entry in row.entries
        ],
        "lines_amount": show(row.lines_amount, row.currency),
        "difference": show(row.difference, row.currency),
        "currency": row.currency,
        "operator": row.operator,
        "made_at": row.made_at,
        "version": row.version,
        "position": row.position,
    }


# Commands


@command(router, "", makes=OpenReconciliation, answer=ReconciliationOpenedAnswer)
def open_reconciliation(caller: Caller, body: StatementBody) -> Intent:
    """Bring a statement of an account. Its lines are matched by the rules; read it to see how far they are."""
    lines = tuple(
        StatementLine(
            booked_on=line.booked_on,
            value_date=line.value_date or line.booked_on,
            amount=money.parse(line.amount, body.currency),
            references=tuple(line.references),
            bank_reference=line.bank_reference,
            counterparty=line.counterparty,
            text=line.text,
        )
        for line in body.lines
    )
    statement = Statement(
        statement=body.statement,
        currency=body.currency,
        since=body.since,
        until=body.until,
        opening=money.parse(body.opening, body.currency),
        closing=money.parse(body.closing, body.currency),
        lines=lines,
    )
    return _opening(caller, body.account, statement, body.mirrored, body.days_apart, body.outside_account)


@command(router, "/files", makes=OpenReconciliation, answer=ReconciliationOpenedAnswer)
async def open_reconciliation_of_file(caller: Caller, body: StatementFileBody) -> Intent:
    """Bring a statement as a file, camt.053 or CSV. A problem with the file names its line or field."""
    try:
        found = await run_in_threadpool(_read, body)
    except StatementFileError as error:
        raise Problem("malformed", f"{str(error).removesuffix('.')}.") from None
    return _opening(caller, body.account, found.statement, body.mirrored, body.days_apart, body.outside_account)


def _read(body: StatementFileBody) -> ParsedStatement:
    if (body.format == "csv") is (body.csv is None):
        raise StatementFileError("csv: a CSV file needs it, and only a CSV file has it")
    if body.csv is None:
        return chosen(read_camt053(body.file), body.outside_account, body.statement)
    said, currency = body.csv, body.csv.currency
    opening, closing = (None if text is None else money.parse(text, currency) for text in (said.opening, said.closing))
    of = CsvStatement(
        said.statement, body.outside_account, currency, said.since, said.until, opening=opening, closing=closing
    )
    return read_csv_statement(body.file, said.columns, of)


def _opening(
    caller: Caller, account: str, statement: Statement, mirrored: bool, days: int, outside_account: str | None
) -> Intent:
    opening = OpenReconciliation(
        reconciliation=caller.services.new_id(RECONCILIATION),
        account=account,
        statement=statement,
        mirrored=mirrored,
        days_apart=days,
        outside_account=outside_account,
    )
    return Intent(opening, created="reconciliation")


@command(router, "/{reconciliation}/run", makes=RunReconciliation, answer=ReconciliationChanged, status=200)
def run_reconciliation(caller: Caller, reconciliation: PathId, body: Nothing) -> Intent:
    """Match by the rules once more, such as after entries were posted that were missing."""
    return Intent(RunReconciliation(reconciliation), reconciliation)


@command(router, "/{reconciliation}/matches", makes=MatchByHand, answer=MatchMadeAnswer)
def match_by_hand(caller: Caller, reconciliation: PathId, body: MatchBody) -> Intent:
    """Match one line with entries, or one entry with lines. If their sums differ, state the difference and why."""
    match = MatchByHand(
        reconciliation=reconciliation,
        match=caller.services.new_id(MATCH),
        lines=tuple(body.lines),
        entries=tuple(EntryName(entry.transaction, entry.entry) for entry in body.entries),
        difference=0 if body.difference is None else money.parse(body.difference, body.currency),
        reason=body.reason,
    )
    return Intent(match, created="match")


@command(router, "/{reconciliation}/matches/{match}/undo", makes=UndoMatch, answer=MatchChanged, status=200)
def undo_match(caller: Caller, reconciliation: PathId, match: PathId, body: Reason) -> Intent:
    """Undo a match. Its lines and entries are free again; the rules leave the lines to people from now on."""
    return Intent(UndoMatch(reconciliation, match, body.reason), match)


@command(router, "/{reconciliation}/close", makes=CloseReconciliation, answer=ReconciliationClosedAnswer, status=200)
def close_reconciliation(caller: Caller, reconciliation: PathId, body: ClosedBody) -> Intent:
    """Close a reconciliation. If lines are left, say why."""
    return Intent(CloseReconciliation(reconciliation, body.reason), reconciliation)


@command(router, "/{reconciliation}/reopen", makes=ReopenReconciliation, answer=ReconciliationChanged, status=200)
def reopen_reconciliation(caller: Caller, reconciliation: PathId, body: Reason) -> Intent:
    """Open a closed reconciliation again, such as to undo a match."""
    return Intent(ReopenReconciliation(reconciliation, body.reason), reconciliation)


@command(router, "/{reconciliation}/abandon", makes=AbandonReconciliation, answer=ReconciliationChanged, status=200)
def abandon_reconciliation(caller: Caller, reconciliation: PathId, body: Reason) -> Intent:
    """End a reconciliation that should not have been opened, once none of its lines is matched."""
    return Intent(AbandonReconciliation(reconciliation, body.reason), reconciliation)


# Queries


@query(router, "", may=READERS, response=page_of(Reconciliation), personal=True, projections=("reconciliations",))
def list_reconciliations(
    request: Request,
    account: Filter = None,
    status: StatusFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List reconciliations in the order in which they were opened."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.reconciliations(
            connection, account=account, status=status, after=after, cursor=key, limit=limit
        )
        return page(listed, reconciliation_view)


@query(
    router,
    "/{reconciliation}",
    may=READERS,
    response=ReconciliationSummary,
    personal=True,
    projections=SUMMARY_PROJECTIONS,
)
def get_reconciliation(request: Request, reconciliation: PathId) -> Response:
    """Get one reconciliation: what is matched, what is not, and why the balances differ."""
    with reading(request) as connection:
        row = queries.reconciliation(connection, reconciliation)
        found = None if row is None else (row, summary(connection, row))
        return one("reconciliation", reconciliation, found, lambda both: summary_view(*both))


@query(
    router,
    "/{reconciliation}/lines",
    may=READERS,
    response=page_of(ReconciliationLine),
    personal=True,
    projections=("reconciliations", "statement_lines", "reconciliation_matches"),
)
def list_reconciliation_lines(
    request: Request,
    reconciliation: PathId,
    state: LineStateFilter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the lines of the statement in their order."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        row = _found(reconciliation, queries.reconciliation(connection, reconciliation))
        listed = line_queries.statement_lines(
            connection, reconciliation, row.ambiguous, state=state, cursor=key, limit=limit
        )
        return page(listed, line_view(row.currency))


@query(
    router,
    "/{reconciliation}/entries",
    may=READERS,
    response=page_of(UnmatchedEntry),
    personal=True,
    projections=SUMMARY_PROJECTIONS,
)
def list_unmatched_entries(
    request: Request, reconciliation: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List our entries of the period that no match has, by value date. A page may be short and still have a next."""
    key = None if cursor is None else _entry_key(read_cursor(cursor, str))
    with reading(request) as connection:
        row = _found(reconciliation, queries.reconciliation(connection, reconciliation))
        found = unmatched_entries(connection, row, cursor=key, limit=limit)
        following = None if found.next is None else f"{found.next.number}\n{found.next.day}"
        return page(Listed(found.items, following), entry_view(row.currency))


@query(
    router,
    "/{reconciliation}/matches",
    may=READERS,
    response=page_of(ReconciliationMatch),
    personal=True,
    projections=("reconciliation_matches",),
)
def list_matches(
    request: Request,
    reconciliation: PathId,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the matches of a reconciliation, undone ones included, in the order in which they were made."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = match_queries.matches(connection, reconciliation, after=after, cursor=key, limit=limit)
        return page(listed, match_view)


def _found(id: str, row: ReconciliationRow | None) -> ReconciliationRow:
    if row is None:
        raise Problem("unknown", f"There is no reconciliation {id}.", kind="reconciliation", id=id)
    return row


def _entry_key(text: str) -> Key:
    """The key of a cursor of entries: number and day. Raises `Problem` for a cursor of something else."""
    number, _, day = text.partition("\n")
    try:
        if not (number.isascii() and number.isdigit() and len(number) <= MOST_NUMBER_DIGITS):
            raise ValueError
        return Key(int(number), date.fromisoformat(day))
    except ValueError:
        raise Problem("malformed", "The cursor is not one of this list.") from None
