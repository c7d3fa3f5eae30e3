"""Reversals: a posted transaction is undone, whole or in part, by another one that swaps its sides.

The stream of the original says how much of each entry is reversed by now. Two reversals at once expect the same version
of that stream, so never more is reversed than was posted. A reversal is a posting like every other: it needs the money,
and open accounts. A refund gives part of the money back less a fee, and a chargeback is a reversal that the payer's
bank asked for. All three count as reversed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import field

from domain.accounts.account.events import LimitReturned
from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS, half_even
from domain.accounts.details import Details, Relation
from domain.accounts.periods.state import PERIODS, YearEndReversed, periods
from domain.accounts.posting import (
    Entry,
    Side,
    Transaction,
    TransactionKind,
    TransactionPosted,
    internal_account,
    post,
    posting_decision,
    posting_streams,
)
from domain.accounts.transaction.described import owner_of
from domain.accounts.transaction.events import TransactionReversed
from domain.accounts.transaction.state import TransactionState
from domain.codes import Metadata
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT, show
from domain.permissions import COMMANDERS

NOT_REVERSED: frozenset[TransactionKind] = frozenset({"reversal", "refund", "chargeback"})
"""The kinds of transactions that undo others. They are not undone themselves: post the original again instead."""


class Part(Value, frozen=True):
    """How much of an entry is reversed."""

    entry: int  # its number in the original, from 1
    amount: int
    currency: str


class _Undoing(Value, frozen=True):
    transaction: str  # the new one
    original: str
    value_date: date | None  # None: that of the original
    reason: Personal
    reference: str | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.original)


class ReverseTransaction(_Undoing, frozen=True, kw_only=True):
    """Reverse what is left of a transaction, an amount of it, or parts of its entries."""

    amount: int | None = None  # of a transaction with one debit and one credit
    currency: str | None = None
    parts: tuple[Part, ...] = ()
    with_fee: bool = True  # without: what its entries credited to the internal account for fees stays


class RefundTransaction(_Undoing, frozen=True, kw_only=True):
    """Give an amount back, less a fee. The transaction has one debit and one credit."""

    amount: int
    currency: str
    fee_rate: int  # in millionths of the amount; rounded half even


class ChargeBack(_Undoing, frozen=True, kw_only=True):
    """Give an amount back, because the bank of the payer asked for it."""

    amount: int | None = None  # None: what is left
    currency: str | None = None


RULES: dict[str, str] = {
    "transaction_not_posted": "Transaction {transaction} is {status}; only a posted one can be reversed.",
    "reversal_of_reversal": "Transaction {transaction} is a {kind}, which is not reversed; post the original again.",
    "reversal_exceeded": (
        "Entry {entry} of transaction {transaction} has {left} {currency} left to reverse; {amount} is more."
    ),
    "reversal_entry_unknown": "Transaction {transaction} has {entries} entries; there is no entry {entry}.",
    "reversal_of_many": (
        "Transaction {transaction} has {entries} entries, so an amount does not say which; name the entries to reverse."
    ),
    "reversal_of_fee": (
        "Transaction {transaction} has {debits} debits in {currency}, so it is not known which of them paid the fee; "
        "name the entries to reverse."
    ),
    "reversal_of_conversion": (
        "Transaction {transaction} is a conversion, whose sides belong together; it is reversed as a whole, with or "
        "without its spread."
    ),
    "reversal_currency": "Entry {entry} of transaction {transaction} is in {booked}; the amount is in {currency}.",
    "reversal_before_original": (
        "The value date {value_date} is before that of transaction {transaction}, {posted_on}; it is undone then "
        "or later."
    ),
    "refund_fee": "A fee of {rate} millionths of {amount} {currency} leaves {net}; a refund leaves something.",
}


@posting_decision
def reverse(command: ReverseTransaction, states: States, context: Context) -> Decision:
    original = _original(command, states)
    if not isinstance(original, TransactionState):
        return original
    left = left_of(original)
    if command.parts:
        amounts = _of_parts(original, command.parts)
    elif command.amount is not None:
        amounts = _of_amount(original, command.amount, command.currency)
    elif command.with_fee:
        amounts = left
    else:
        amounts = _without_fee(original, left, _fee_accounts(original, states))
    if isinstance(amounts, Refused):
        return amounts
    return _undone(command, original, amounts, "reversal", "reversal", states, context)


@posting_decision
def refund(command: RefundTransaction, states: States, context: Context) -> Decision:
    original = _original(command, states)
    if not isinstance(original, TransactionState):
        return original
    amounts = _of_amount(original, command.amount, command.currency)
    if isinstance(amounts, Refused):
        return amounts
    currency = original.entries[0].currency
    fee = half_even(command.amount * command.fee_rate, MILLIONTHS)
    if fee >= command.amount:
        net = show(command.amount - fee, currency)
        figures: dict[str, Figure] = {"rate": command.fee_rate, "net": net, "currency": currency}
        return Refused("refund_fee", {**figures, "amount": show(command.amount, currency)})
    charged = (_fee_entry(context.log, fee, currency),) if fee else ()
    for entry in charged:
        if entry.account not in states:
            return NeedsStreams((entry.account,))
        if found(states, entry.account, Account) is None:
            return Refused("internal_account_missing", {"role": "fees", "currency": currency})
    return _undone(command, original, amounts, "refund", "refund", states, context, charged=charged)


@posting_decision
def charge_back(command: ChargeBack, states: States, context: Context) -> Decision:
    original = _original(command, states)
    if not isinstance(original, TransactionState):
        return original
    amounts = left_of(original) if command.amount is None else _of_amount(original, command.amount, command.currency)
    if isinstance(amounts, Refused):
        return amounts
    return _undone(command, original, amounts, "chargeback", "chargeback", states, context)


def _original(command: _Undoing, states: States) -> TransactionState | Refused | Unknown | NeedsStreams:
    """Return the transaction to undo, or why it cannot be. `states` has its accounts then."""
    original = found(states, command.original, TransactionState)
    if original is None:
        return Unknown("transaction", command.original)
    missing = tuple(dict.fromkeys(entry.account for entry in original.entries if entry.account not in states))
    if missing:
        return NeedsStreams(missing)
    return refuse_reversal(original) or original


def refuse_reversal(original: TransactionState) -> Refused | None:
    """Return the refusal to reverse anything of the transaction, or None."""
    id = original.id
    if original.kind in NOT_REVERSED:
        return Refused("reversal_of_reversal", {"transaction": id, "kind": original.kind})
    if original.status not in ("posted", "partly_reversed"):
        return Refused("transaction_not_posted", {"transaction": id, "status": original.status.replace("_", " ")})
    return None


def left_of(original: TransactionState) -> tuple[int, ...]:
    """Return what is left to reverse of each entry, in minor units."""
    reversed = original.reversed or (0,) * len(original.entries)
    return tuple(entry.amount - gone for entry, gone in zip(original.entries, reversed, strict=True))


def _of_parts(original: TransactionState, parts: Sequence[Part]) -> tuple[int, ...] | Refused:
    if original.kind == "conversion":
        return Refused("reversal_of_conversion", {"transaction": original.id})
    amounts = [0] * len(original.entries)
    for part in parts:
        if not 0 < part.entry <= len(amounts):
            return Refused(
                "reversal_entry_unknown",
                {"transaction": original.id, "entries": len(amounts), "entry": part.entry},
            )
        if part.currency != original.entries[part.entry - 1].currency:
            return _other_currency(original, part.entry, part.currency)
        amounts[part.entry - 1] += part.amount
    return _checked(original, amounts)


def _of_amount(original: TransactionState, amount: int, currency: str | None) -> tuple[int, ...] | Refused:
    entries = original.entries
    if currency != entries[0].currency:
        return _other_currency(original, 1, currency)
    if len(entries) != 2:
        return Refused("reversal_of_many", {"transaction": original.id, "entries": len(entries)})
    return _checked(original, [amount, amount])


def _other_currency(original: TransactionState, entry: int, currency: str | None) -> Refused:
    booked = original.entries[entry - 1].currency
    figures: dict[str, Figure] = {"transaction": original.id, "entry": entry, "booked": booked}
    figures["currency"] = currency or "none"
    return Refused("reversal_currency", figures)


def _checked(original: TransactionState, amounts: Sequence[int]) -> tuple[int, ...] | Refused:
    """Return the amounts if no entry has less left, else the refusal."""
    for number, (entry, left, amount) in enumerate(zip(original.entries, left_of(original), amounts, strict=True), 1):
        if amount > left or not 0 <= amount <= MAX_AMOUNT:
            return Refused(
                "reversal_exceeded",
                {
                    "transaction": original.id,
                    "entry": number,
                    "left": show(left, entry.currency),
                    "amount": show(amount, entry.currency),
                    "currency": entry.currency,
                },
            )
    return tuple(amounts)


def _fee_accounts(original: TransactionState, states: States) -> frozenset[str]:
    """Return the accounts of the transaction that are internal accounts for fees."""
    return frozenset(
        entry.account
        for entry in original.entries
        if (account := found(states, entry.account, Account)) is not None and account.profile.type == "fees"
    )


def _without_fee(original: TransactionState, left: tuple[int, ...], fees: frozenset[str]) -> tuple[int, ...] | Refused:
    """What is left but the fee: nothing of the entries that credited it, and less of the debit that paid it."""
    amounts = list(left)
    entries = original.entries
    for currency in dict.fromkeys(entry.currency for entry in entries):
        credited = [
            n for n, e in enumerate(entries) if e.side == "credit" and e.currency == currency and e.account in fees
        ]
        if not credited:
            continue
        debited = [n for n, entry in enumerate(entries) if entry.side == "debit" and entry.currency == currency]
        if len(debited) != 1:
            return Refused(
                "reversal_of_fee",
                {"transaction": original.id, "debits": len(debited), "currency": currency},
            )
        for n in credited:
            amounts[debited[0]] -= amounts[n]
            amounts[n] = 0
    return _checked(original, amounts)


def _undone(
    command: _Undoing,
    original: TransactionState,
    amounts: tuple[int, ...],
    kind: TransactionKind,
    relation: Relation,
    states: States,
    context: Context,
    *,
    charged: tuple[Entry, ...] = (),
) -> Decision:
    """Return the events that post the opposite of these amounts, and that say so on the original's stream.

    `charged` are entries of a fee, which the account that gets the money pays.
    """
    value_date = command.value_date or original.value_date
    if value_date < original.value_date:
        figures: dict[str, Figure] = {"transaction": original.id, "value_date": value_date.isoformat()}
        return Refused("reversal_before_original", {**figures, "posted_on": original.value_date.isoformat()})
    gone = original.reversed or (0,) * len(amounts)
    reversed = tuple(a + b for a, b in zip(gone, amounts, strict=True))
    subject = owner_of(original.entries, states)
    decision = post(
        Transaction(
            id=command.transaction,
            kind=kind,
            entries=undoing_entries(original.entries, amounts, charged),
            value_date=value_date,
            reference=command.reference,
            description=command.reason if subject is not None else None,
            subject=subject,
            details=Details(parent=original.id, relation=relation, metadata=command.metadata),
        ),
        states,
        context,
    )
    if not isinstance(decision, Accepted):
        return decision
    event = TransactionReversed(
        originator_id=original.id,
        originator_version=original.version + 1,
        by=command.transaction,
        reversed=reversed,
        whole=all(entry.amount == gone for entry, gone in zip(original.entries, reversed, strict=True)),
    )
    left: dict[str, Figure] = {
        str(number): show(entry.amount - gone, entry.currency)
        for number, (entry, gone) in enumerate(zip(original.entries, reversed, strict=True), 1)
    }
    result: dict[str, Figure] = {
        **decision.result,
        "original": original.id,
        "status": "reversed" if event.whole else "partly_reversed",
        "left": left,
    }
    returned = _returned(original, decision.events, states)
    of_year = _year_end_reversed(event, states) if event.whole and original.kind == "year_end" else ()
    return Accepted((*decision.events, *returned, event, *of_year), result, decision.commuting)


def undoing_entries(
    original: Sequence[Entry], amounts: Sequence[int], charged: tuple[Entry, ...] = ()
) -> tuple[Entry, ...]:
    """Return the entries that undo these amounts of the original ones, and those of a fee.

    Who gets the money pays the fee.
    """
    fee = sum(entry.amount for entry in charged)
    entries = tuple(
        Entry(
            account=entry.account,
            side=_OTHER[entry.side],
            amount=amount - fee if entry.side == "debit" else amount,
            currency=entry.currency,
        )
        for entry, amount in zip(original, amounts, strict=True)
        if amount
    )
    return (*entries, *charged)


def undoes(posted: TransactionPosted, original: Sequence[Entry], amounts: Sequence[int], log: str) -> bool:
    """Return whether the transaction undoes these amounts of the original entries. A refund may charge a fee."""
    if posted.entries == undoing_entries(original, amounts):
        return True
    if posted.kind != "refund" or not posted.entries:
        return False
    last = posted.entries[-1]
    charged = _fee_entry(log, last.amount, last.currency)
    return posted.entries == undoing_entries(original, amounts, (charged,))


def _fee_entry(log: str, amount: int, currency: str) -> Entry:
    return Entry(internal_account(log, "fees", currency), "credit", amount, currency)


def _year_end_reversed(event: TransactionReversed, states: States) -> tuple[YearEndReversed, ...]:
    """Return the event that the transaction does not close a year any more."""
    now, id = periods(states), event.originator_id
    period = next((one for one in now.closed if id in one.year_end), None)
    return () if period is None else (YearEndReversed(PERIODS, now.version + 1, period.id, id),)


def _returned(original: TransactionState, events: Sequence[Event], states: States) -> list[Event]:
    """Return the events that give the allowance back which the original used of outgoing limits."""
    if original.counted_at is None:
        return []
    posted = next(event for event in events if isinstance(event, TransactionPosted))
    returned: list[Event] = []
    for id in original.counted:
        account = found(states, id, Account)
        used = -sum(entry.signed for entry in original.entries if entry.account == id)
        paid = min(used, sum(entry.signed for entry in posted.entries if entry.account == id))
        if account is None or not account.usage.days or paid <= 0:
            continue
        version = account.version + sum(event.originator_id == id for event in events) + 1
        currency = account.profile.currency
        returned.append(LimitReturned(id, version, posted.originator_id, paid, currency, original.counted_at))
    return returned


_OTHER: dict[Side, Side] = {"debit": "credit", "credit": "debit"}


DECISIONS: dict[type, Decide] = {ReverseTransaction: reverse, RefundTransaction: refund, ChargeBack: charge_back}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, COMMANDERS)
