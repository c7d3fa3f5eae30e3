"""Balances, histories and statements as JSON, described for OpenAPI."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from api.queries.response_types import CurrencyCode, LogPosition, Money, Position, one_of, page_of, values_of
from domain.accounts.kinds import TransactionKind
from domain.accounts.numbers import AccountType
from domain.money import show
from projections.accounts.statements.balances import Every, Step
from projections.accounts.statements.statement import MOST_COUNTERPARTIES, By, Line, Statement


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


def statement_view(head: Statement, as_of: str) -> dict[str, object]:
    """The members of an `AccountStatement` without its lines."""
    account, currency = head.account, head.account.currency
    return {
        "account": account.account,
        "number": account.number,
        "type": account.type,
        "currency": currency,
        "owner": account.owner,
        "name": account.name,
        "from": head.since,
        "to": head.until,
        "by": head.by,
        "as_of": as_of,
        "opening": show(head.opening, currency),
        "debits": show(head.sums.debits, currency),
        "credits": show(head.sums.credits, currency),
        "net": show(head.sums.net, currency),
        "closing": show(head.closing, currency),
        "entries": head.sums.entries,
    }


def line_view(line: Line, currency: str) -> StatementLine:
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


def step_view(step: Step, currency: str) -> BalanceStep:
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


def summary_view(steps: tuple[Step, ...], currency: str) -> BalanceSummary | None:
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
