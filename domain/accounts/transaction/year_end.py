"""The transactions that close a year: they move the balances of income and expense to equity, one in each currency.

All of them are one unit with the event that says that the year is closed. So a year is closed once, and whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.accounts.account.state import Account
from domain.accounts.chart.state import CHART, Chart, chart_of
from domain.accounts.numbers import InternalRole
from domain.accounts.periods.state import PERIODS, ClosedPeriod, YearClosed, periods
from domain.accounts.periods.year import YEAR_END_RULES, refuse_year_end
from domain.accounts.posting import (
    Entry,
    Side,
    Transaction,
    internal_account,
    post,
    posting_decision,
    posting_streams,
)
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT
from domain.permissions import PROCESSES

MOST_YEAR_END_ACCOUNTS = 800
"""Most accounts whose balances are moved at the end of a year. With all currencies they fit one intent of a process."""
MOVED_ROLES: tuple[InternalRole, ...] = ("fees", "interest", "penalties", "revenue", "rounding")
"""The internal accounts of these roles are income or expense, unless a node of the chart says something else."""
MOVED_TYPES = frozenset({"income", "expense"})
"""The types of nodes whose accounts are moved."""


class YearEnd(Value, frozen=True):
    """The balances in one currency, and the id of the transaction that moves them."""

    transaction: str
    currency: str
    balances: tuple[tuple[str, int], ...]  # account, minor units; none is 0


class PostYearEnd(Value, frozen=True):
    """Move the balances that accounts have at the end of a closed period to equity. Only its process sends this."""

    period: str
    transactions: tuple[YearEnd, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(*(account for one in self.transactions for account, _ in one.balances))


RULES: dict[str, str] = {
    **YEAR_END_RULES,
    "year_end_accounts": "A year-end closing moves at most {most} accounts; these are {count}.",
    "year_end_account": "Account {account} is neither income nor expense, so a year-end closing does not move it.",
}


@posting_decision
def close_year(command: PostYearEnd, states: States, context: Context) -> Decision:
    now = periods(states)
    refusal = refuse_year_end(now, command.period)
    count = sum(len(one.balances) for one in command.transactions)
    if refusal is None and count > MOST_YEAR_END_ACCOUNTS:
        refusal = Refused("year_end_accounts", {"most": MOST_YEAR_END_ACCOUNTS, "count": count})
    if refusal is not None:
        return refusal
    needed = (CHART, *(internal_account(context.log, "equity", one.currency) for one in command.transactions))
    if missing := tuple(stream for stream in needed if stream not in states):
        return NeedsStreams(missing)
    events: list[Event] = []
    commuting: frozenset[str] = frozenset()
    for one in command.transactions:
        no = _refuse_accounts(one, states)
        if no is not None:
            return no
        equity = internal_account(context.log, "equity", one.currency)
        if found(states, equity, Account) is None:
            return Refused("internal_account_missing", {"role": "equity", "currency": one.currency})
        entries = tuple(_entries(one, equity))
        # Each currency has accounts of its own, so no posting changes what another one is decided on.
        posted = post(Transaction(one.transaction, "year_end", entries, now.open_from), states, context)
        if not isinstance(posted, Accepted):
            return posted
        events += posted.events
        commuting |= posted.commuting
    period = now.newest
    assert isinstance(period, ClosedPeriod), "the period is the newest one"
    ids = tuple(one.transaction for one in command.transactions)
    closed = YearClosed(PERIODS, now.version + 1, period.id, period.ends_on, ids)
    result: dict[str, Figure] = {"period": period.id, "year": "closed", "transactions": list(ids)}
    return Accepted((*events, closed), result, commuting)


def is_moved(account: Account, chart: Chart) -> bool:
    """Return whether the account is income or expense: by its node, or by its role if it has none."""
    if account.profile.node is None:
        return account.profile.type in MOVED_ROLES
    node = chart.find(account.profile.node)
    return node is not None and node.type in MOVED_TYPES


def _refuse_accounts(of: YearEnd, states: States) -> Refused | Unknown | None:
    chart = chart_of(states)
    for id, _ in of.balances:
        account = found(states, id, Account)
        if account is None:
            return Unknown("account", id)
        if not is_moved(account, chart):
            return Refused("year_end_account", {"account": id})
    return None


def _entries(of: YearEnd, equity: str) -> Iterator[Entry]:
    """The entries that take each balance away, and those that give equity their sum. A sum can be of many entries."""
    for account, balance in of.balances:
        yield from _moving(account, -balance, of.currency)
    yield from _moving(equity, sum(balance for _, balance in of.balances), of.currency)


def _moving(account: str, change: int, currency: str) -> Iterator[Entry]:
    side: Side = "credit" if change > 0 else "debit"
    left = abs(change)
    while left > 0:
        amount = min(left, MAX_AMOUNT)
        yield Entry(account, side, amount, currency)
        left -= amount


DECISIONS: dict[type, Decide] = {PostYearEnd: close_year}
MAY: dict[type, frozenset[Role]] = {PostYearEnd: PROCESSES}
