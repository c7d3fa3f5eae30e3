"""What the reports have, for the type checker and for the OpenAPI description."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from api.queries.response_types import CurrencyCode, Money, Position, one_of
from domain.accounts.chart.events import NodeType, NormalSide
from domain.accounts.numbers import AccountType


class NodeBalance(TypedDict):
    """A node of the chart in a currency. Amounts are above zero on the normal side of the node."""

    node: str
    title: str
    type: Annotated[str, one_of(NodeType)]
    side: Annotated[str, one_of(NormalSide)]
    level: int
    currency: CurrencyCode
    own: Annotated[Money, Field(description="Of the accounts that are attached to the node itself")]
    total: Annotated[Money, Field(description="With those of all nodes below it")]
    compared_own: Annotated[Money | None, Field(description="Of the other period; null if none was asked for")]
    compared_total: Money | None


class SheetTotals(TypedDict):
    """The totals of a balance sheet: assets = liabilities + equity + result + unattached."""

    currency: CurrencyCode
    assets: Money
    liabilities: Money
    equity: Money
    result: Annotated[Money, Field(description="Income less expenses that no year end has moved to equity")]
    unattached: Annotated[Money, Field(description="Of accounts without a node, credits less debits")]


class BalanceSheet(TypedDict):
    """Assets, liabilities and equity at the end of a value date."""

    value_date: date
    compared: date | None
    lines: list[NodeBalance]
    totals: list[SheetTotals]
    compared_totals: list[SheetTotals] | None


class ResultTotals(TypedDict):
    """The totals of an income statement: result = income less expenses."""

    currency: CurrencyCode
    income: Money
    expenses: Money
    result: Money


class IncomeStatement(TypedDict):
    """Income and expenses of a period of value dates, without the entries of year ends."""

    lines: list[NodeBalance]
    totals: list[ResultTotals]
    compared_totals: list[ResultTotals] | None


class TrialLine(TypedDict):
    """What was booked on the accounts of a type."""

    currency: CurrencyCode
    type: Annotated[str, one_of(AccountType)]
    debits: Money
    credits: Money
    balance: Annotated[Money, Field(description="Credits less debits")]
    entries: int


class NodeMovement(TypedDict):
    """What was booked with value dates of the period on a node. No node: on accounts that are not attached."""

    node: str | None
    currency: CurrencyCode
    debits: Money
    credits: Money
    entries: int
    total_debits: Annotated[Money, Field(description="With all nodes below it")]
    total_credits: Money
    total_entries: int


class OpenItem(TypedDict):
    """Open items of a class of age."""

    currency: CurrencyCode
    what: Literal["transaction", "hold"]
    days: Annotated[int, Field(description="The least age of the class in days; it ends where the next one begins")]
    count: int
    amount: Money


class CommandRate(TypedDict):
    """The outcomes of a type of command."""

    command: str
    accepted: int
    refused: int
    expectation_failed: int
    rate: Annotated[str, Field(description="Accepted divided by all, with four decimals, rounded down")]


class Sizes(TypedDict):
    """The sizes of the transactions in a currency. A percentile is the size at its nearest rank."""

    currency: CurrencyCode
    count: int
    total: Money
    least: Money
    most: Money
    percentiles: Annotated[dict[str, Money], Field(description="By percent: 50, 75, 90, 95, 99")]


class SizeClass(TypedDict):
    """The transactions of a class of size."""

    currency: CurrencyCode
    at_least: Annotated[Money, Field(description="The lower bound of the class, included")]
    below: Annotated[Money | None, Field(description="The upper bound; null: none")]
    count: int
    total: Money


class TrendStep(TypedDict):
    """The transactions of a UTC day, week or month."""

    currency: CurrencyCode
    first_day: date
    count: int
    total: Money


class HourOfWeek(TypedDict):
    """The transactions of an hour of the week in UTC."""

    currency: CurrencyCode
    weekday: Annotated[int, Field(description="1 for Monday, 7 for Sunday")]
    hour: int
    count: int
    total: Money


class TopAccount(TypedDict):
    """An account by its turnover, which is debits and credits together."""

    currency: CurrencyCode
    rank: int
    account: str
    debits: Money
    credits: Money
    entries: int


_ReportsByName = TypedDict(
    "_ReportsByName",
    {
        "balance-sheet": NotRequired[BalanceSheet],
        "income-statement": NotRequired[IncomeStatement],
        "trial-balance": NotRequired[list[TrialLine]],
        "movements": NotRequired[list[NodeMovement]],
        "open-items": NotRequired[list[OpenItem]],
        "success-rate": NotRequired[list[CommandRate]],
        "sizes": NotRequired[list[Sizes]],
        "size-classes": NotRequired[list[SizeClass]],
        "trend": NotRequired[list[TrendStep]],
        "hours": NotRequired[list[HourOfWeek]],
        "top-accounts": NotRequired[list[TopAccount]],
    },
)


class Reports(TypedDict):
    """Reports of one position of the log."""

    as_of: Annotated[Position, Field(description="The position that they are of; pass it as `as_of` to get the same")]
    at: Annotated[datetime | None, Field(description="When the event there was recorded; null for an empty log")]
    reports: Annotated[_ReportsByName, Field(description="Each report that was asked for, by its name")]
