"""The route of reports: one or several, all at one position of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from psycopg import Connection
from starlette.responses import Response

from api.accounts.report_types import (
    BalanceSheet,
    CommandRate,
    HourOfWeek,
    IncomeStatement,
    NodeBalance,
    NodeMovement,
    OpenItem,
    Reports,
    ResultTotals,
    SheetTotals,
    SizeClass,
    Sizes,
    TopAccount,
    TrendStep,
    TrialLine,
)
from api.commands.bodies import IsoDate
from api.gateway.principals import REPORTERS
from api.gateway.problems import Problem
from api.people.access import refuse_on_replicas
from api.queries.as_of import OfPosition
from api.queries.filters import CurrencyFilter, choice, must_be_in_order
from api.queries.positions import token
from api.queries.query import query
from api.queries.reading import not_yet_visible, reading
from api.queries.response_types import values_of
from api.queries.responses import json_response
from api.queries.snapshot import snapshot
from api.services import services
from domain.money import exponent, show
from eventstore.log.outcomes import outcomes
from eventstore.log.read import Head, read_head
from projections.accounts.reports import books, open_items, volume
from projections.accounts.reports.books import Amounts, Booked, NodeAmounts
from projections.accounts.reports.point import Point, point_at, window
from projections.accounts.reports.volume import MOST_TOP, Counted, Step, Volume
from projections.engine.checkpoint import folded

router = APIRouter(prefix="/v1", tags=["reports"])

MOST_DAYS = 366
"""Most days of a period."""
RATE_DECIMALS = 4
CLASSES = (10, 100, 1_000, 10_000, 100_000)
"""The bounds of the classes of size in major units. A class has its lower bound and not its upper one."""
PROJECTIONS = tuple(dict.fromkeys((*books.PROJECTIONS, *volume.PROJECTIONS, *open_items.PROJECTIONS)))


@dataclass(frozen=True, slots=True)
class AskedOfReports:
    """What is asked of all reports of a request."""

    since: date | None
    until: date | None
    compare_since: date | None
    compare_until: date | None
    currency: str | None
    every: Step
    top: int


def _asked(
    since: Annotated[
        IsoDate | None,
        Query(alias="from", description="The first day, by value date or by recording: see each report"),
    ] = None,
    until: Annotated[IsoDate | None, Query(alias="to", description="The last day, included")] = None,
    compare_from: Annotated[IsoDate | None, Query(description="The first day of the other period")] = None,
    compare_to: Annotated[IsoDate | None, Query(description="The last day of the other period, included")] = None,
    currency: CurrencyFilter = None,
    every: Annotated[str, choice(values_of(Step))] = "month",
    top: Annotated[int, Query(ge=1, le=MOST_TOP, description="Accounts of each currency")] = 10,
) -> AskedOfReports:
    """What is asked. Raises `Problem` for a period that ends before it begins, or that is too long."""
    for first, last in ((since, until), (compare_from, compare_to)):
        if first is not None and last is not None:
            must_be_in_order(first, last)
            if last - first >= timedelta(days=MOST_DAYS):
                raise Problem("malformed", f"to: the period has more than {MOST_DAYS} days.")
    if compare_from is not None and compare_to is None:
        raise Problem("malformed", "compare_to: name the last day of the other period too.")
    step: Step = every  # type: ignore[assignment]
    return AskedOfReports(since, until, compare_from, compare_to, currency, step, top)


Asked = Annotated[AskedOfReports, Depends(_asked)]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads reports at a point, from one snapshot."""

    connection: Connection[Any]
    head: Head
    point: Point
    asked: AskedOfReports

    def balance_sheet(self) -> BalanceSheet:
        until = self.asked.until or self.point.day
        sums, compared = self._booked(None, until), None
        if self.asked.compare_until is not None:
            compared = self._booked(None, self.asked.compare_until)
        return {
            "value_date": until,
            "compared": self.asked.compare_until,
            "lines": self._lines(("asset", "liability", "equity"), sums, compared),
            "totals": self._sheet_totals(sums),
            "compared_totals": None if compared is None else self._sheet_totals(compared),
        }

    def income_statement(self) -> IncomeStatement:
        sums, compared = self._booked(*self._period("income-statement"), without_year_end=True), None
        if self.asked.compare_until is not None:
            if self.asked.compare_since is None:
                raise Problem("malformed", "compare_from: an income statement is compared with a period; name it.")
            compared = self._booked(self.asked.compare_since, self.asked.compare_until, without_year_end=True)
        return {
            "lines": self._lines(("income", "expense"), sums, compared),
            "totals": self._result_totals(sums),
            "compared_totals": None if compared is None else self._result_totals(compared),
        }

    def trial_balance(self) -> list[TrialLine]:
        found: dict[tuple[str, str], Amounts] = {}
        for one in self._booked(None, date.max):
            key = one.currency, one.type
            found[key] = found.get(key, books.NOTHING) + one.amounts
        return [
            {
                "currency": currency,
                "type": type,
                "debits": show(amounts.debits, currency),
                "credits": show(amounts.credits, currency),
                "balance": show(amounts.balance, currency),
                "entries": amounts.entries,
            }
            for (currency, type), amounts in sorted(found.items())
        ]

    def movements(self) -> list[NodeMovement]:
        sums = self._booked(*self._period("movements"))
        lines = [
            _movement(one.node.node, one.currency, one.own, one.total) for one in books.by_node(self.connection, sums)
        ]
        unattached: dict[str, Amounts] = {}
        for one in sums:
            if one.node is None:
                unattached[one.currency] = unattached.get(one.currency, books.NOTHING) + one.amounts
        return lines + [_movement(None, currency, sum, sum) for currency, sum in sorted(unattached.items())]

    def open_items(self) -> list[OpenItem]:
        try:
            found = open_items.open_items(self.connection, self.point, self.asked.currency)
        except open_items.ChangedSinceError:
            raise Problem(
                "position",
                f"A hold has changed since position {self.point.position}, and holds are kept as they are now: ask for "
                "open items without as_of.",
            ) from None
        return [
            {
                "currency": one.currency,
                "what": one.what,
                "days": one.age,
                "count": one.count,
                "amount": show(one.total, one.currency),
            }
            for one in found
        ]

    def success_rate(self) -> list[CommandRate]:
        after, upto = self._window("success-rate")
        counts: dict[str, dict[str, int]] = {}
        for one in outcomes(self.connection, self.head.log_number, after, upto):
            counts.setdefault(one.command, {})[one.outcome.name.lower()] = one.number
        return [
            {
                "command": command,
                "accepted": count.get("accepted", 0),
                "refused": count.get("refused", 0),
                "expectation_failed": count.get("expectation_failed", 0),
                "rate": rate(count.get("accepted", 0), sum(count.values())),
            }
            for command, count in sorted(counts.items())
        ]

    def sizes(self) -> list[Sizes]:
        return [
            {
                "currency": one.currency,
                "count": one.count,
                "total": show(one.total, one.currency),
                "least": show(one.least, one.currency),
                "most": show(one.most, one.currency),
                "percentiles": {str(percent): show(size, one.currency) for percent, size in one.percentiles.items()},
            }
            for one in volume.summaries(self.connection, self._volume("sizes"))
        ]

    def size_classes(self) -> list[SizeClass]:
        found: dict[tuple[str, int], list[Counted]] = {}
        for one in volume.digits(self.connection, self._volume("size-classes")):
            found.setdefault((one.currency, size_class(one.key, one.currency)), []).append(one)
        return [
            {
                "currency": currency,
                "at_least": show(0 if number == 0 else _minor(CLASSES[number - 1], currency), currency),
                "below": None if number == len(CLASSES) else show(_minor(CLASSES[number], currency), currency),
                "count": sum(one.count for one in ones),
                "total": show(sum(one.total for one in ones), currency),
            }
            for (currency, number), ones in sorted(found.items())
        ]

    def trend(self) -> list[TrendStep]:
        return [
            {
                "currency": one.currency,
                "first_day": one.key,
                "count": one.count,
                "total": show(one.total, one.currency),
            }
            for one in volume.trend(self.connection, self._volume("trend"), self.asked.every)
        ]

    def hours(self) -> list[HourOfWeek]:
        return [
            {
                "currency": one.currency,
                "weekday": one.key[0],
                "hour": one.key[1],
                "count": one.count,
                "total": show(one.total, one.currency),
            }
            for one in volume.hours(self.connection, self._volume("hours"))
        ]

    def top_accounts(self) -> list[TopAccount]:
        return [
            {
                "currency": one.currency,
                "rank": one.rank,
                "account": one.account,
                "debits": show(one.debits, one.currency),
                "credits": show(one.credits, one.currency),
                "entries": one.entries,
            }
            for one in volume.top_accounts(self.connection, self._volume("top-accounts"), self.asked.top)
        ]

    def _period(self, name: str) -> tuple[date, date]:
        if self.asked.since is None or self.asked.until is None:
            raise Problem("malformed", f"from, to: {name} is of a period; name its first and its last day.")
        return self.asked.since, self.asked.until

    def _window(self, name: str) -> tuple[int, int]:
        return window(self.connection, self.head, self.point, *self._period(name))

    def _volume(self, name: str) -> Volume:
        return Volume(*self._window(name), self.asked.currency)

    def _booked(self, since: date | None, until: date, *, without_year_end: bool = False) -> list[Booked]:
        return books.booked(
            self.connection,
            self.point,
            since=since or date.min,
            until=until,
            currency=self.asked.currency,
            without_year_end=without_year_end,
        )

    def _lines(
        self, types: tuple[str, ...], sums: Iterable[Booked], compared: Iterable[Booked] | None
    ) -> list[NodeBalance]:
        now = {(one.node.node, one.currency): one for one in books.by_node(self.connection, sums)}
        then = {(one.node.node, one.currency): one for one in books.by_node(self.connection, compared or ())}
        ordered = sorted({**then, **now}.items(), key=lambda one: (one[1].node.path.split("/"), one[0][1]))
        return [
            _line(one, now.get(key), then.get(key), compared is not None)
            for key, one in ordered
            if one.node.type in types
        ]

    def _sheet_totals(self, sums: list[Booked]) -> list[SheetTotals]:
        found = books.by_type_of_node(self.connection, sums)
        return [
            {
                "currency": currency,
                "assets": show(-found.get(("asset", currency), 0), currency),
                "liabilities": show(found.get(("liability", currency), 0), currency),
                "equity": show(found.get(("equity", currency), 0), currency),
                "result": show(found.get(("income", currency), 0) + found.get(("expense", currency), 0), currency),
                "unattached": show(found.get((None, currency), 0), currency),
            }
            for currency in sorted({currency for _, currency in found})
        ]

    def _result_totals(self, sums: list[Booked]) -> list[ResultTotals]:
        found = books.by_type_of_node(self.connection, sums)
        currencies = sorted({currency for type, currency in found if type in ("income", "expense")})
        return [
            {
                "currency": currency,
                "income": show(found.get(("income", currency), 0), currency),
                "expenses": show(-found.get(("expense", currency), 0), currency),
                "result": show(found.get(("income", currency), 0) + found.get(("expense", currency), 0), currency),
            }
            for currency in currencies
        ]


REPORTS: Mapping[str, Callable[[Reader], Any]] = {
    "balance-sheet": Reader.balance_sheet,
    "income-statement": Reader.income_statement,
    "trial-balance": Reader.trial_balance,
    "movements": Reader.movements,
    "open-items": Reader.open_items,
    "success-rate": Reader.success_rate,
    "sizes": Reader.sizes,
    "size-classes": Reader.size_classes,
    "trend": Reader.trend,
    "hours": Reader.hours,
    "top-accounts": Reader.top_accounts,
}
Names = Annotated[
    str,
    Query(
        max_length=200,
        pattern=r"^[a-z-]+(,[a-z-]+)*$",
        description=f"The reports, with commas between them: {', '.join(REPORTS)}",
        examples=["balance-sheet,income-statement"],
    ),
]


@query(router, "/reports", may=REPORTERS, response=Reports, personal=False, projections=PROJECTIONS)
def get_reports(request: Request, names: Names, asked: Asked, as_of: OfPosition) -> Response:
    """Get one or several reports of one position of the log. Their definitions are in `docs/reference/reports.md`."""
    wanted = dict.fromkeys(names.split(","))
    unknown = [name for name in wanted if name not in REPORTS]
    if unknown:
        raise Problem("malformed", f"names: {unknown[0][:80]!r} is not one of {', '.join(REPORTS)}.")
    if "success-rate" in wanted:
        refuse_on_replicas(request)
    served = services(request)
    with reading(request) as connection, snapshot(connection):
        reached = folded(connection, *PROJECTIONS)
        position = reached if as_of is None else as_of.position
        if reached < position:
            raise not_yet_visible("transactions", reached, position)
        head = read_head(connection, served.log)
        point = point_at(connection, head, position)
        reader = Reader(connection, head, point, asked)
        found = {name: REPORTS[name](reader) for name in wanted}
    answer = {
        "as_of": token(served.log, head.epoch, position),
        "at": point.at if position else None,
        "reports": found,
    }
    return json_response(answer, items=len(found))


def rate(part: int, whole: int) -> str:
    """A part of a whole as a decimal string with four decimals, rounded down."""
    scaled = part * 10**RATE_DECIMALS // whole
    return f"{scaled // 10**RATE_DECIMALS}.{scaled % 10**RATE_DECIMALS:0{RATE_DECIMALS}}"


def size_class(digits: int, currency: str) -> int:
    """The class of a size by its number of digits in minor units: the bounds are powers of ten."""
    return min(max(digits - exponent(currency) - 1, 0), len(CLASSES))


def _minor(major: int, currency: str) -> int:
    return int(major * 10 ** exponent(currency))


def _on(side: str, amounts: Amounts) -> int:
    """A balance as the normal side shows it."""
    return amounts.balance if side == "credit" else -amounts.balance


def _line(one: NodeAmounts, now: NodeAmounts | None, then: NodeAmounts | None, compared: bool) -> NodeBalance:
    node, currency = one.node, one.currency

    def shown(amounts: Amounts) -> str:
        return show(_on(node.side, amounts), currency)

    return {
        "node": node.node,
        "title": node.title,
        "type": node.type,
        "side": node.side,
        "level": node.level,
        "currency": currency,
        "own": shown(now.own if now else books.NOTHING),
        "total": shown(now.total if now else books.NOTHING),
        "compared_own": shown(then.own if then else books.NOTHING) if compared else None,
        "compared_total": shown(then.total if then else books.NOTHING) if compared else None,
    }


def _movement(node: str | None, currency: str, own: Amounts, total: Amounts) -> NodeMovement:
    return {
        "node": node,
        "currency": currency,
        "debits": show(own.debits, currency),
        "credits": show(own.credits, currency),
        "entries": own.entries,
        "total_debits": show(total.debits, currency),
        "total_credits": show(total.credits, currency),
        "total_entries": total.entries,
    }
