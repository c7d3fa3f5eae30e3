"""Samples of periods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from hashlib import sha256
from random import Random
from typing import Any

from domain.accounts.account.events import AccountOpened
from domain.accounts.account.state import Account
from domain.accounts.chart.state import CHART, Chart
from domain.accounts.periods.closing import MOST_FIGURES, MOST_PERIODS, ClosePeriod, SealPeriod
from domain.accounts.periods.reopening import (
    ApproveReopening,
    AskToReopenPeriod,
    RejectReopening,
    WithdrawReopening,
)
from domain.accounts.periods.state import PERIOD, PERIODS, PeriodFigures, Periods, periods
from domain.accounts.periods.year import CloseYear
from domain.accounts.posting import TransactionPosted, internal_account
from domain.accounts.transaction import TRANSACTION, AdjustBalance, Deposit, ReverseTransaction
from domain.accounts.transaction.year_end import PostYearEnd, YearEnd
from domain.codes import MOST_CODE
from domain.kernel import Event
from domain.people.approval import APPROVAL, OPEN_FOR, Approval
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, TODAY, By, MemoryLedger, by_person
from tests.support.people import Somebody, people_of, signed_in

# Requests

FIRST = date(1970, 1, 1)
"""The samples close days that no other sample posts to: one day after the other from this one on."""
REASON = {"reason": "An invoice is missing"}


def closing(world: Any) -> dict[str, str]:
    """The body that closes the next day."""
    state = people_of(world).states.load((PERIODS,))
    day = max(periods(state).open_from, FIRST)
    return {"name": f"day-{day}", "begins_on": day.isoformat(), "ends_on": day.isoformat()}


def closed(world: Any) -> str:
    """The id of a period, which is the newest."""
    id: str = world.do("periods", closing(world))["period"]
    return id


def one(world: World) -> str:
    """The stream, after a closing."""
    closed(world)
    return PERIODS


def sealed(world: World) -> str:
    """The id of a period that is sealed and the newest. Nothing was posted up to its end."""
    period = closed(world)
    world.record(SealPeriod(period, sha256().hexdigest(), ()))
    return period


ROUTES = {
    "/v1/periods": lambda world: Request({}, closing(world)),
    "/v1/periods/{period}/close-year": lambda world: Request({"period": sealed(world)}, {}),
}


def operators(service: Any) -> tuple[Somebody, Somebody]:
    """Two operators who are persons, the same for each caller."""
    if "operators" not in service.made:
        service.made["operators"] = (signed_in(service, "operator"), signed_in(service, "operator"))
    found: tuple[Somebody, Somebody] = service.made["operators"]
    return found


def _asks(service: Any) -> Request:
    ada, _ = operators(service)
    return Request({"period": closed(service)}, REASON, ada.access)


def asked(service: Any, period: str | None = None) -> str:
    """The id of a request to reopen a period: the newest one, or a new one."""
    ada, _ = operators(service)
    response = ada.post(f"periods/{period or closed(service)}/reopenings", REASON)
    assert response.status_code == 201, response.text
    id: str = response.json()["approval"]
    return id


def _decides(service: Any) -> Request:
    _, bob = operators(service)
    return Request({"approval": asked(service)}, {}, bob.access)


def _withdraws(service: Any) -> Request:
    ada, _ = operators(service)
    return Request({"approval": asked(service)}, {}, ada.access)


OF_PEOPLE = {
    "/v1/periods/{period}/reopenings": _asks,
    "/v1/periods/reopenings/{approval}/approve": _decides,
    "/v1/periods/reopenings/{approval}/reject": _decides,
    "/v1/periods/reopenings/{approval}/withdraw": _withdraws,
}

# Rules

ADA, BOB = "prsn_sample", "prsn_second"
FIRST_DAY, LAST_DAY = date(2026, 1, 1), date(2026, 1, 31)


def close(
    period: str = "per_1", name: str = "2026-01", begins_on: date = FIRST_DAY, ends_on: date = LAST_DAY
) -> ClosePeriod:
    return ClosePeriod(period, name, begins_on, ends_on)


def february(period: str = "per_2", name: str = "2026-02", begins_on: date = date(2026, 2, 1)) -> ClosePeriod:
    return close(period, name, begins_on, date(2026, 2, 28))


def seal(*figures: PeriodFigures, period: str = "per_1") -> SealPeriod:
    return SealPeriod(period, sha256().hexdigest(), figures)


def figure(debits: int, credits: int, currency: str = "EUR", type: str = "checking") -> PeriodFigures:
    return PeriodFigures(currency, type, 1, debits, credits)


def by(person: str, command: Any) -> By:
    return By(by_person(person, "operator"), command)


def asks(period: str = "per_1", approval: str = "appr_1", person: str = ADA) -> By:
    return by(person, AskToReopenPeriod(approval, period, "an invoice\tis missing"))


def approves(approval: str = "appr_1", person: str = BOB) -> By:
    return by(person, ApproveReopening(approval))


def withdraws(approval: str = "appr_1", person: str = ADA) -> By:
    return by(person, WithdrawReopening(approval))


def later(command: By, seconds: timedelta) -> By:
    return By(command.principal, command.command, NOW + seconds)


FEES = internal_account("main", "fees", "EUR")
CLOSE_YEAR = CloseYear("per_1")


def year_end(*balances: tuple[str, int], period: str = "per_1") -> PostYearEnd:
    """Move balances in EUR. Without one there is no transaction."""
    return PostYearEnd(period, (YearEnd("txn_y", "EUR", balances),) if balances else ())


YEAR_IS_CLOSED = (close(), seal(), CLOSE_YEAR, year_end((FEES, 5)))
REVERSE_YEAR_END = ReverseTransaction("txn_r", "txn_y", None, "closed too early")

MANY = tuple(
    close(f"per_m{number}", f"m{number}", FIRST + timedelta(number), FIRST + timedelta(number))
    for number in range(MOST_PERIODS)
)
NEXT_OF_MANY = FIRST + timedelta(MOST_PERIODS)
MOMENT = timedelta(microseconds=1)

RULES = {
    "not_a_code": no_code("name", close(name="n" * (MOST_CODE + 1)), close(name="n" * MOST_CODE), given=()),
    "period_order": RuleSample(
        given=(),
        broken=close(ends_on=FIRST_DAY - timedelta(1)),
        sentence="A period ends on the day it begins or later; this one is from 2026-01-01 to 2025-12-31.",
        kept=(close(ends_on=FIRST_DAY),),
    ),
    "period_not_over": RuleSample(
        given=(),
        broken=close(ends_on=TODAY),
        sentence="A period is closed after its last day; 2026-11-21 is not before today, 2026-11-21 (UTC).",
        kept=(close(ends_on=TODAY - timedelta(1)),),
    ),
    "period_not_next": RuleSample(
        given=(close(),),
        broken=february(begins_on=date(2026, 1, 31)),
        sentence=(
            "The days before 2026-02-01 are closed, so the next period begins on that day; this one begins on "
            "2026-01-31."
        ),
        kept=(february(),),
    ),
    "period_exists": RuleSample(
        given=(close(),),
        broken=february(name="2026-01"),
        sentence="A period 2026-01 is closed already, up to 2026-01-31.",
        kept=(february(),),
    ),
    "period_count": RuleSample(
        given=MANY,
        broken=close("per_last", "last", NEXT_OF_MANY, NEXT_OF_MANY),
        sentence="There are 600 closed periods, which is the most.",
        kept=(asks(MANY[-1].period), approves(), close("per_last", "last", NEXT_OF_MANY - timedelta(1), NEXT_OF_MANY)),
    ),
    "period_not_closed": RuleSample(
        given=(close(), asks(), approves()),
        broken=seal(),
        sentence="The period per_1 is not closed; it was never, or it was reopened.",
        kept=(close("per_2"), seal(period="per_2")),
    ),
    "period_sealed": RuleSample(
        given=(close(), seal()),
        broken=seal(),
        sentence="The period per_1 is sealed already.",
        kept=(february(), seal(period="per_2")),
    ),
    "period_figures": RuleSample(
        given=(close(),),
        broken=seal(*(figure(0, 0) for _ in range(MOST_FIGURES + 1))),
        sentence="A period is sealed with at most 400 figures, one a currency and type; these are 401.",
        kept=(seal(*(figure(0, 0) for _ in range(MOST_FIGURES))),),
    ),
    "period_unbalanced": RuleSample(
        given=(close(),),
        broken=seal(figure(0, 3), figure(2, 0, type="cash")),
        sentence="The EUR figures sum to 0.01; debits and credits must be equal.",
        kept=(seal(figure(0, 3), figure(3, 0, type="cash")),),
    ),
    "period_not_newest": RuleSample(
        given=(close(), february()),
        broken=asks("per_1"),
        sentence="The period per_1 is followed by per_2, whose figures have its days; only per_2 can be reopened.",
        kept=(asks("per_2"), approves()),
    ),
    "reopening_replaced": RuleSample(
        given=(close(), asks(), asks(approval="appr_2")),
        broken=approves("appr_1"),
        sentence="The request appr_1 to reopen per_1 was replaced by the newer one appr_2.",
        kept=(approves("appr_2"),),
    ),
    "year_not_newest": RuleSample(
        given=(close(), seal(), february()),
        broken=CLOSE_YEAR,
        sentence="The period per_1 is followed by per_2; a year is closed while its last period is newest.",
        kept=(seal(period="per_2"), CloseYear("per_2")),
    ),
    "year_not_sealed": RuleSample(
        given=(close(),),
        broken=CLOSE_YEAR,
        sentence="The period per_1 is not sealed yet; its year can be closed once it is.",
        kept=(seal(), CLOSE_YEAR),
    ),
    "year_asked": RuleSample(
        given=(close(), seal(), CLOSE_YEAR),
        broken=CLOSE_YEAR,
        sentence="Somebody asked to close the year that ends with per_1 already; a process does it.",
        kept=(february(), seal(period="per_2"), CloseYear("per_2")),
    ),
    "year_closed": RuleSample(
        given=YEAR_IS_CLOSED,
        broken=asks(),
        sentence=(
            "The year that ends with per_1 is closed. What comes after it stands on that: reverse its year-end "
            "transactions first, of which 1 are left."
        ),
        kept=(REVERSE_YEAR_END, asks(), approves()),
    ),
    "approval_exists": RuleSample(
        given=(close(), asks()),
        broken=asks(),
        sentence="The request appr_1 exists already.",
        kept=(asks(approval="appr_2"),),
    ),
    "approval_outcome": RuleSample(
        given=(close(), asks(), withdraws()),
        broken=approves(),
        sentence="The request appr_1 was withdrawn; only an open one can be approved.",
        kept=(asks(approval="appr_2"), approves("appr_2")),
    ),
    "approval_expired": RuleSample(
        given=(close(), asks()),
        broken=later(approves(), OPEN_FOR),
        sentence=(
            "The request appr_1 was open until 2026-11-28T12:00:00+00:00; it is 2026-11-28T12:00:00+00:00. Ask again."
        ),
        kept=(later(approves(), OPEN_FOR - MOMENT),),
    ),
    "approval_by_self": RuleSample(
        given=(close(), asks()),
        broken=approves(person=ADA),
        sentence="prsn_sample asked for appr_1; another person has to decide it.",
        kept=(approves(),),
    ),
    "approval_of_another": RuleSample(
        given=(close(), asks()),
        broken=withdraws(person=BOB),
        sentence="Only prsn_sample, who asked for appr_1, can withdraw it.",
        kept=(withdraws(),),
    ),
}

# A life

LAST_CLOSED = TODAY - timedelta(3)
"""The lives of accounts post up to three days back, so a closing refuses some of that."""


def figures_until(events: Iterable[Event], day: date) -> tuple[str, tuple[PeriodFigures, ...]]:
    """The digest and the figures by value date up to a day, summed from the events."""
    types: dict[str, str] = {}
    sums: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
    for event in events:
        if isinstance(event, AccountOpened):
            types[event.originator_id] = event.type
        elif isinstance(event, TransactionPosted) and event.value_date <= day:
            for entry in event.entries:
                of_account = sums[entry.currency, types[entry.account]].setdefault(entry.account, [0, 0])
                of_account[entry.side == "credit"] += entry.amount
    figures = tuple(
        PeriodFigures(*key, len(of), sum(one[0] for one in of.values()), sum(one[1] for one in of.values()))
        for key, of in sorted(sums.items())
    )
    return sha256(b"".join(_digest(of) for _, of in sorted(sums.items()))).hexdigest(), figures


def _digest(balances: Mapping[str, list[int]]) -> bytes:
    lines = [f"{account} {credits - debits}\n" for account, (debits, credits) in sorted(balances.items())]
    return sha256("".join(lines).encode()).digest()


def balances_until(ledger: MemoryLedger, day: date) -> dict[str, dict[str, int]]:
    """By currency, the balances of income and expense by value date up to a day, summed from the events."""
    chart = ledger.states.get(CHART)
    types = {node.code: node.type for node in chart.nodes} if isinstance(chart, Chart) else {}
    moved = {
        account.profile.id
        for account in ledger.of(Account)
        if (account.profile.type in ("fees", "interest", "penalties", "revenue", "rounding"))
        if account.profile.node is None
    } | {one.profile.id for one in ledger.of(Account) if types.get(one.profile.node or "") in ("income", "expense")}
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for event in ledger.log:
        if isinstance(event, TransactionPosted) and event.value_date <= day:
            for entry in event.entries:
                if entry.account in moved:
                    sums[entry.currency][entry.account] += entry.signed
    return {currency: {one: sum for one, sum in of.items() if sum} for currency, of in sums.items() if any(of.values())}


def year_ends(ledger: MemoryLedger, day: date) -> tuple[YearEnd, ...]:
    """What the process would move."""
    return tuple(
        YearEnd(ledger.new_id(TRANSACTION), currency, tuple(sorted(of.items())))
        for currency, of in sorted(balances_until(ledger, day).items())
    )


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Days are posted to, closed and sealed; now and then the newest period is reopened."""
    found = ledger.states.get(PERIODS)
    now = found if isinstance(found, Periods) else Periods(0)
    newest = now.newest
    if newest is not None and newest.sealed and chance.random() < 0.4:
        if newest.year is None:
            return CloseYear(newest.id)
        if newest.year == "asked":
            return PostYearEnd(newest.id, year_ends(ledger, newest.ends_on))
        if newest.year_end and chance.random() < 0.5:
            return ReverseTransaction(ledger.new_id(TRANSACTION), chance.choice(newest.year_end), None, "too early")
    if newest is not None and not newest.sealed and chance.random() < 0.6:
        return SealPeriod(newest.id, *figures_until(ledger.log, newest.ends_on))
    pending = [one for one in ledger.of(Approval) if newest and one.id == newest.asked and one.outcome == "open"]
    if pending:
        id, choice = pending[0].id, chance.random()
        return withdraws(id) if choice < 0.2 else by(BOB, RejectReopening(id)) if choice < 0.4 else approves(id)
    begins_on = max(now.open_from, FIRST_DAY)
    if newest is not None and (begins_on > LAST_CLOSED or chance.random() < 0.4):
        return asks(newest.id, ledger.new_id(APPROVAL))
    open_accounts = [one for one in ledger.of(Account) if one.status == "open" and not one.profile.internal]
    if open_accounts and chance.random() < 0.4:
        profile = chance.choice(open_accounts).profile
        of = (ledger.new_id(TRANSACTION), profile.id)
        amount = (chance.randint(1, 99), profile.currency)
        if chance.random() < 0.3:
            return Deposit(*of, *amount, begins_on)
        return AdjustBalance(*of, "credit", *amount, "revenue", begins_on, "an expense of the year")
    ends_on = min(begins_on + timedelta(chance.randrange(60)), LAST_CLOSED)
    return ClosePeriod(ledger.new_id(PERIOD), f"to-{ends_on}", begins_on, ends_on)


# Events as they were stored

DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ID, REQUEST = "per_00000000000000000000000029", "appr_0000000000000000000000002x"

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent("periods.created.v1", PERIODS, 1, "{}", {}),
    StoredEvent(
        "period.closed.v1",
        PERIODS,
        2,
        f'{{"begins_on":"2026-01-01","by":"tester","ends_on":"2026-01-07","name":"2026-w1","period":"{ID}"}}',
        {"period": ID, "name": "2026-w1", "begins_on": "2026-01-01", "ends_on": "2026-01-07", "by": "tester"},
    ),
    StoredEvent(
        "period.sealed.v1",
        PERIODS,
        3,
        f'{{"digest":"{DIGEST}","ends_on":"2026-01-07","figures":[{{"accounts":1,"credits":0,"currency":"EUR",'
        f'"debits":5,"type":"cash"}},{{"accounts":2,"credits":7,"currency":"EUR","debits":2,"type":"checking"}}],'
        f'"period":"{ID}"}}',
        {
            "period": ID,
            "ends_on": "2026-01-07",
            "digest": DIGEST,
            "figures": [
                {"currency": "EUR", "type": "cash", "accounts": 1, "debits": 5, "credits": 0},
                {"currency": "EUR", "type": "checking", "accounts": 2, "debits": 2, "credits": 7},
            ],
        },
    ),
    StoredEvent(
        "period.reopening_asked.v1",
        PERIODS,
        11,
        '{"approval":"appr_0000000000000000000000002c","by":"prsn_sample","period":"per_00000000000000000000000029",'
        '"reason":"2.AGzcB_OmG3LybHAeHbR_FD5aeCeiKQd3o8ZTPTk4XN046HpeKjUwt1r5oSsQ71tz9g=="}',
        {
            "period": ID,
            "approval": "appr_0000000000000000000000002c",
            "by": "prsn_sample",
            "reason": "an invoice\tis missing",
        },
    ),
    StoredEvent(
        "period.reopened.v1",
        PERIODS,
        14,
        f'{{"approval":"{REQUEST}","by":"prsn_second","period":"{ID}"}}',
        {"period": ID, "approval": REQUEST, "by": "prsn_second"},
    ),
    StoredEvent(
        "period.year_asked.v1",
        PERIODS,
        6,
        '{"by":"tester","ends_on":"2026-02-06","period":"per_0000000000000000000000000z"}',
        {"period": "per_0000000000000000000000000z", "ends_on": "2026-02-06", "by": "tester"},
    ),
    StoredEvent(
        "period.year_closed.v1",
        PERIODS,
        13,
        '{"ends_on":"2026-03-24","period":"per_0000000000000000000000004q",'
        '"transactions":["txn_000000000000000000000001qm"]}',
        {
            "period": "per_0000000000000000000000004q",
            "ends_on": "2026-03-24",
            "transactions": ["txn_000000000000000000000001qm"],
        },
    ),
    StoredEvent(
        "period.year_end_reversed.v1",
        PERIODS,
        128,
        '{"period":"per_000000000000000000000001pd","transaction":"txn_000000000000000000000001qm"}',
        {"period": "per_000000000000000000000001pd", "transaction": "txn_000000000000000000000001qm"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life, of_people=OF_PEOPLE, weight=3)
