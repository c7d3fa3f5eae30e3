"""Posting by double entry. No other module makes entries.

A posting is decided on the booked balances, in the order of the log. Value dates do not matter for limits. Limits are
tested against the net change of each account, because a transaction is one fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from functools import wraps
from typing import Literal, TypeAlias, TypeVar, cast

from msgspec.structs import replace

from domain.accounts.account.events import AccountAssessed, AccountCredited, AccountDebited, LimitUsed
from domain.accounts.account.owners import is_customer
from domain.accounts.account.state import ACCOUNT, Account
from domain.accounts.chart.state import CHART, POSTING_RULES, chart_of, refuse_kind
from domain.accounts.details import Details, TransactionCounted, refuse_details
from domain.accounts.kinds import WITHOUT_APPROVAL
from domain.accounts.kinds import TransactionKind as TransactionKind
from domain.accounts.numbers import InternalRole, PairRole
from domain.accounts.periods.state import PERIODS, periods
from domain.accounts.periods.state import RULES as PERIOD_RULES
from domain.accounts.posting_policy import POSTING_POLICY, PostingPolicy, posting_policy
from domain.accounts.risk.scoring import assess
from domain.codes import refuse_other_than_code
from domain.ids import named_id
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    Forbidden,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT, show

LEAST_ENTRIES, MOST_ENTRIES = 2, 1_000

Side = Literal["debit", "credit"]


class Entry(Value, frozen=True):
    """One line of a transaction. A credit raises the balance of the account, a debit lowers it."""

    account: str
    side: Side
    amount: int
    currency: str

    @property
    def signed(self) -> int:
        """The change of the balance in minor units: positive for a credit, negative for a debit."""
        return self.amount if self.side == "credit" else -self.amount


class TransactionPosted(Event, frozen=True):
    """Money was moved. The event has all entries. It begins the stream, unless the transaction was pending before."""

    kind: TransactionKind
    value_date: date
    entries: tuple[Entry, ...]  # sum to zero per currency
    reference: str | None  # of the client's business, never about a person
    subject: str | None  # the person whose key seals the description
    description: Personal | None


RULES: dict[str, str] = {
    **PERIOD_RULES,
    "value_date_in_future": "The value date {value_date} is after today, {today} (UTC).",
    "value_date_too_old": (
        "The value date {value_date} is {days} days before today, {today} (UTC); the posting policy allows {most}."
    ),
    "approval_needed": (
        "The transaction is for {amount} {currency}. By the limit of {whose}, another person approves what is above "
        "{above}, and this command cannot wait for that."
    ),
    "review_needed": (
        "By the risk rules, another person reviews transaction {transaction} before it moves money: let it wait for "
        "review."
    ),
    "risk_blocked": "The risk rules do not let this transaction take money from account {account}.",
    "entry_count": "A transaction has {least} to {most} entries; this one has {count}.",
    "entry_amount": "Entry {entry} is for {amount} {currency}; an entry must be for {least} to {most}.",
    "entries_unbalanced": "The {currency} entries sum to {sum}; credits and debits must be equal.",
    "internal_account_missing": (
        "The internal account for {role} in {currency} is not open; an operator opens it with type {role!r} first."
    ),
    **POSTING_RULES,
}


def posting_streams(*streams: str) -> tuple[str, ...]:
    """Return the streams that a posting reads: these, the posting policy, and the closed periods."""
    return (*streams, POSTING_POLICY, PERIODS)


def internal_account(log: str, role: InternalRole, currency: str) -> str:
    """Return the id of the internal account of a log for a role and a currency. It needs no look-up."""
    return named_id(ACCOUNT, log, role, currency)


def pair_account(log: str, role: PairRole, pair: str, currency: str) -> str:
    """Return the id of the internal account for a role of a pair, such as ``EUR:USD``, in one of its currencies."""
    return named_id(ACCOUNT, log, role, currency, pair)


class Transaction(Value, frozen=True):
    """A transaction to post. Its id is the name of a new stream."""

    id: str
    kind: TransactionKind
    entries: tuple[Entry, ...]
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    subject: str | None = None  # the person whose key seals the description
    details: Details | None = None
    version: int = 0  # of its stream; more than 0 if it was pending
    approved: bool = False  # another person approved it, or will before it is posted
    reviewed: bool = False  # another person approved it, so its risk is not assessed again


Post: TypeAlias = "Callable[[Transaction, States, Context], Decision]"
"""How a transaction is carried out: `post`, or what lets it wait."""


def post(transaction: Transaction, states: States, context: Context) -> Decision:
    """Return the events that book the transaction, or the first rule that it breaks.

    `states` has each account that the entries name, the posting policy, and the closed periods. If an account is
    attached to a node, the decision needs the chart of accounts too.
    """
    entries, value_date, today = transaction.entries, transaction.value_date, context.today
    policy = posting_policy(states)
    refusal = (
        refuse_entries(entries)
        or refuse_value_date(value_date, policy, today)
        or periods(states).refuse_value_date(value_date)
        or refuse_other_than_code("reference", transaction.reference)
    )
    details = transaction.details
    if refusal is None and details is not None:
        refusal = refuse_details(details)
        if refusal is None and details.late_for is not None:
            refusal = periods(states).refuse_late(details.late_for)
    if refusal is None and policy.approve_above and not transaction.approved:
        refusal = refuse_without_approval(transaction.kind, entries, policy)
    if refusal is not None:
        return refusal

    accounts: dict[str, Account] = {}
    net: dict[str, int] = {}
    versions: dict[str, int] = {}
    unlimited: list[str] = []
    attached: list[tuple[str, str]] = []  # accounts with their node
    for entry in entries:
        id = entry.account
        if id not in accounts:
            account = found(states, id, Account)
            if account is None:
                return Unknown("account", id)
            accounts[id] = account
            refusal = account.refuse_posting(entry.currency, value_date)
            if refusal is not None:
                return refusal
            net[id] = entry.signed
            versions[id] = account.version
            if account.unlimited:
                unlimited.append(id)
            node = account.profile.node
            if node is not None:
                attached.append((id, node))
        elif entry.currency != accounts[id].profile.currency:
            return accounts[id].wrong_currency(entry.currency)
        else:
            net[id] += entry.signed

    if attached:
        if CHART not in states:
            return NeedsStreams((CHART,))
        refusal = refuse_kind(chart_of(states), transaction.kind, attached)
        if refusal is not None:
            return refusal

    gate = policy.gate(transaction.kind) if policy.risk.on else None
    counted: list[str] = []  # accounts whose outgoing limits it counts against
    assessed: list[AccountAssessed] = []
    for id, change in net.items():
        account = accounts[id]
        refusal = account.refuse_change(change, today)
        if refusal is not None:
            return refusal
        if change < 0 and account.watched:
            refusal = refuse_taking(account, -change, transaction, policy, context.decided_at)
            if refusal is not None:
                return refusal
            if account.profile.outgoing is not None and transaction.kind in policy.counted_kinds:
                counted.append(id)
        if gate is not None and change < 0 and not account.profile.internal:
            if account.profile.outgoing is None:
                counted.append(id)
            if not transaction.reviewed:
                assessed.extend(_assessments(account, -change, transaction, policy, context.decided_at))
    if assessed:
        refusal = refuse_assessed(assessed, transaction, context)
        if refusal is not None:
            return refusal
        for assessment in assessed:
            versions[assessment.originator_id] += 1

    posted, version = transaction.id, transaction.version + 1
    events: list[Event] = [
        TransactionPosted(
            originator_id=posted,
            originator_version=version,
            kind=transaction.kind,
            value_date=value_date,
            entries=entries,
            reference=transaction.reference,
            subject=transaction.subject,
            description=transaction.description,
        )
    ]
    if details is not None:
        version += 1
        events.append(details.event(posted, version))
    if counted:
        events.append(TransactionCounted(posted, version + 1, context.decided_at, tuple(counted)))
    events.extend(assessed)
    for number, entry in enumerate(entries, 1):
        id = entry.account
        versions[id] = version = versions[id] + 1
        share_of = AccountCredited if entry.side == "credit" else AccountDebited
        events.append(share_of(id, version, posted, number, entry.amount, entry.currency, value_date))
    for id in counted:
        currency = accounts[id].profile.currency
        events.append(LimitUsed(id, versions[id] + 1, posted, -net[id], currency, context.decided_at))
    balances: dict[str, Figure] = {}  # of the accounts whose version is exact
    for id, account in accounts.items():
        if id not in unlimited:
            currency = account.profile.currency
            balance = account.balance + net[id]
            shown = show(balance, currency)
            available = show(balance - account.reserved, currency) if account.reserved else shown
            balances[id] = {"balance": shown, "available": available, "currency": currency}
    return Accepted(tuple(events), {"transaction": posted, "balances": balances}, frozenset(unlimited))


def refuse_without_approval(kind: TransactionKind, entries: Sequence[Entry], policy: PostingPolicy) -> Refused | None:
    """Return the refusal of a transaction for more than one person may decide about, or None.

    What counts is the sum of the debits in a currency.
    """
    if kind in WITHOUT_APPROVAL:
        return None
    for currency, above in ((one.currency, one.amount) for one in policy.approve_above):
        debits = sum(entry.amount for entry in entries if entry.side == "debit" and entry.currency == currency)
        if debits > above:
            return _approval_needed(debits, above, currency, "the posting policy")
    return None


def refuse_taking(
    account: Account, amount: int, transaction: Transaction, policy: PostingPolicy, at: datetime
) -> Refused | None:
    """Return why the transaction may not take the amount from an account that is watched, or None."""
    if (closing := account.refuse_leaving()) is not None:
        return closing
    if not transaction.approved and (refusal := refuse_taking_alone(account, amount, transaction.kind)) is not None:
        return refusal
    return account.refuse_outgoing(amount, at) if transaction.kind in policy.counted_kinds else None


def refuse_taking_alone(account: Account, amount: int, kind: TransactionKind) -> Refused | None:
    """Return the refusal to let one person take more from the account than its own limit of that, or None."""
    above = account.profile.approve_above
    if above is None or amount <= above or kind in WITHOUT_APPROVAL:
        return None
    return _approval_needed(amount, above, account.profile.currency, f"account {account.profile.id}")


def _assessments(
    account: Account, amount: int, transaction: Transaction, policy: PostingPolicy, at: datetime
) -> Iterator[AccountAssessed]:
    """Yield the assessment of taking the amount from the account, if it has the points to be recorded."""
    found = assess(policy.risk, account, amount, at)
    if found is not None:
        yield AccountAssessed(
            originator_id=account.profile.id,
            originator_version=account.version + 1,
            transaction=transaction.id,
            kind=transaction.kind,
            amount=amount,
            currency=account.profile.currency,
            score=found.score,
            action=found.action,
            factors=found.factors,
            policy_version=policy.version,
            at=at,
        )


def refuse_assessed(assessed: Sequence[AccountAssessed], transaction: Transaction, context: Context) -> Refused | None:
    """Return the refusal of a transaction that is blocked, or has to wait for a review, or None.

    The assessments stay as facts of the refusal. Its sentence has no figures: they would help whoever tries the rules.
    """
    facts = tuple(assessed)
    blocked = next((one for one in assessed if one.action == "block"), None)
    if blocked is not None:
        figures: dict[str, Figure] = {"account": blocked.originator_id}
        if not is_customer(context):
            figures.update(score=blocked.score, action=blocked.action)
        return Refused("risk_blocked", figures, events=facts)
    if not transaction.approved and any(one.action == "verify" for one in assessed):
        return Refused("review_needed", {"transaction": transaction.id}, events=facts)
    return None


def with_facts_on(decision: Decision, states: States) -> Decision:
    """Return the decision with the assessments of a refusal as the next events of the accounts in `states`.

    It is for who posts on accounts that were freed of a hold first: a refusal does not end the hold.
    """
    if not isinstance(decision, Refused) or not decision.events:
        return decision
    events = tuple(
        replace(event, originator_version=cast(Account, states[event.originator_id]).version + 1)
        for event in decision.events
    )
    return replace(decision, events=events)


def _approval_needed(amount: int, above: int, currency: str, whose: str) -> Refused:
    figures = {"amount": show(amount, currency), "above": show(above, currency), "currency": currency, "whose": whose}
    return Refused("approval_needed", figures)


def entries_between(debited: str, credited: str, amount: int, currency: str) -> tuple[Entry, Entry]:
    """Return the two entries that move an amount from one account to another."""
    return Entry(account=debited, side="debit", amount=amount, currency=currency), Entry(
        account=credited, side="credit", amount=amount, currency=currency
    )


def post_against_internal(
    transaction: Transaction,
    role: InternalRole,
    *,
    debited: str | None = None,
    credited: str | None = None,
    amount: int,
    currency: str,
    states: States,
    context: Context,
    by: Post = post,
) -> Decision:
    """Post one entry to a customer's account and the other one to the internal account for `role`.

    Give the customer's account as `debited` or as `credited`. This function makes the entries of `transaction`, and
    `by` posts them.
    """
    customer = cast(str, debited or credited)
    internal = internal_account(context.log, role, currency)
    if internal not in states:
        return NeedsStreams((internal,))
    account = found(states, customer, Account)
    if account is None:
        return Unknown("account", customer)
    if account.profile.internal:
        return Refused("account_internal", {"account": customer, "type": account.profile.type})
    if currency != account.profile.currency:
        return account.wrong_currency(currency)
    if found(states, internal, Account) is None:
        return Refused("internal_account_missing", {"role": role, "currency": currency})
    entries = entries_between(debited or internal, credited or internal, amount, currency)
    return by(replace(transaction, entries=entries), states, context)


C = TypeVar("C")


def posting_decision(
    decide: Callable[[C, States, Context], Decision],
) -> Callable[[C, States, Context], Decision]:
    """Decorate the decision of a posting command, so that its refusals expect no exact version of unlimited accounts.

    Without it, a refused deposit would expect the exact version of the cash account, which changes all the time.
    """

    @wraps(decide)
    def decided(command: C, states: States, context: Context) -> Decision:
        decision = decide(command, states, context)
        if isinstance(decision, (Refused, Unknown, Forbidden)):  # a tuple: a union would be built at each call
            unlimited = {id for id, state in states.items() if isinstance(state, Account) and state.unlimited}
            if isinstance(decision, Refused):  # a fact about an account is written at an exact version
                unlimited.difference_update([event.originator_id for event in decision.events])
            return replace(decision, commuting=frozenset(unlimited))
        return decision

    return decided


def refuse_entries(entries: Sequence[Entry]) -> Refused | None:
    """Return the refusal by a rule that needs no account: number of entries, amounts, sum per currency. Or None."""
    if not LEAST_ENTRIES <= len(entries) <= MOST_ENTRIES:
        return Refused("entry_count", {"least": LEAST_ENTRIES, "most": MOST_ENTRIES, "count": len(entries)})
    sums: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        currency, amount = entry.currency, entry.amount
        if not 0 < amount <= MAX_AMOUNT:
            return Refused(
                "entry_amount",
                {
                    "entry": number,
                    "amount": show(amount, currency),
                    "currency": currency,
                    "least": show(1, currency),
                    "most": show(MAX_AMOUNT, currency),
                },
            )
        sums[currency] = sums.get(currency, 0) + entry.signed
    for currency, total in sums.items():
        if total != 0:
            return Refused("entries_unbalanced", {"currency": currency, "sum": show(total, currency)})
    return None


def refuse_value_date(value_date: date, policy: PostingPolicy, today: date) -> Refused | None:
    """Return the refusal of a value date in the future, or before the days that the policy allows, or None."""
    if value_date == today:
        return None
    figures: dict[str, Figure] = {"value_date": value_date.isoformat(), "today": today.isoformat()}
    if value_date > today:
        return Refused("value_date_in_future", figures)
    days, most = (today - value_date).days, policy.most_days_back
    if most is not None and days > most:
        return Refused("value_date_too_old", {**figures, "days": days, "most": most})
    return None
