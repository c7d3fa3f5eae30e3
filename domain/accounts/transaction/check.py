"""What the stored events of a transaction are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TypeAlias, get_args

from domain.accounts.account.events import (
    AccountAssessed,
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
    LimitReturned,
    LimitUsed,
)
from domain.accounts.account.holds import of_transaction, of_transfer_order
from domain.accounts.details import RULES as DETAILS_RULES
from domain.accounts.details import TransactionCounted, TransactionDetailed, refuse_details
from domain.accounts.kinds import CAPTURED, ORDERED
from domain.accounts.numbers import InternalRole, PairRole
from domain.accounts.periods.state import PERIODS, YearClosed, YearEndReversed, periods
from domain.accounts.posting import RULES as POSTING_RULES
from domain.accounts.posting import (
    Entry,
    TransactionPosted,
    internal_account,
    pair_account,
    refuse_entries,
    refuse_value_date,
    refuse_without_approval,
)
from domain.accounts.posting_policy import posting_policy
from domain.accounts.settlement.events import SettlementPaid
from domain.accounts.transaction.conditions import REFERENCES, first_of_each_side, reference_claim
from domain.accounts.transaction.events import (
    TransactionApproved,
    TransactionCancelled,
    TransactionEvent,
    TransactionExpired,
    TransactionPended,
    TransactionRejected,
    TransactionReversed,
)
from domain.accounts.transaction.reversal import NOT_REVERSED, undoes
from domain.accounts.transaction.state import TransactionState, evolve
from domain.accounts.transaction.waiting import RULES as WAITING_RULES
from domain.accounts.transaction.waiting import (
    net_taken,
    refuse_before_its_time,
    refuse_late,
    refuse_pending_expiry,
    refuse_posting_pending,
)
from domain.aggregate import Beside, Broken, Decided, UnitRule, refused
from domain.claims import ClaimReleased, ClaimTaken
from domain.kernel import Event, Refused
from domain.money import EXPONENTS

_RULES: Mapping[str, str] = {**POSTING_RULES, **DETAILS_RULES, **WAITING_RULES}
_Ended: TypeAlias = TransactionApproved | TransactionRejected | TransactionCancelled | TransactionExpired


def check(before: TransactionState | None, events: Sequence[TransactionEvent], decided: Decided) -> Iterator[Broken]:
    """Find events that are not well formed, or that cannot follow what the transaction was.

    Whether each entry stands on its account is not looked at here: `verify` joins the two with one query.
    """
    state = before
    for event in events:
        match event:
            case TransactionPosted():
                yield from _made(event, decided)
                yield from _posted(state, event, decided)
            case TransactionPended():
                yield from _made(event, decided)
                if (
                    refusal := refuse_pending_expiry(event.originator_id, event.expires_at, decided.decided_at)
                ) is not None:
                    yield refused(event, refusal, _RULES)
            case TransactionDetailed():
                if before is not None:
                    yield Broken(event, f"{event.originator_id} gets details after the unit that made it")
                refusal = refuse_details(event)
                if refusal is None and event.late_for is not None:
                    refusal = periods(decided.policies).refuse_late(event.late_for)
                if refusal is not None:
                    yield refused(event, refusal, _RULES)
            case TransactionCounted():
                if event.at != decided.decided_at:
                    at = decided.decided_at.isoformat()
                    yield Broken(event, f"{event.originator_id} is counted at {event.at.isoformat()}, decided at {at}")
            case TransactionReversed():
                yield from _reversed(state, event, decided)
            case _:
                yield from _ended(state, event, decided)
        if event is not events[-1]:
            state = evolve(state, event)


def _made(event: TransactionPosted | TransactionPended, decided: Decided) -> Iterator[Broken]:
    """The entries and the value date."""
    foreign = sorted({entry.currency for entry in event.entries} - EXPONENTS.keys())
    refusal = refuse_value_date(event.value_date, posting_policy(decided.policies), decided.today)
    refusal = refusal or periods(decided.policies).refuse_value_date(event.value_date)
    if foreign:
        yield Broken(event, f"{event.originator_id} has entries in {foreign[0]!r}, which is no currency")
    else:
        refusal = refuse_entries(event.entries) or refusal
    if refusal is not None:
        yield refused(event, refusal, _RULES)


def _posted(state: TransactionState | None, event: TransactionPosted, decided: Decided) -> Iterator[Broken]:
    """A transaction is posted once: at first, or after it was pending, and then as it was reserved."""
    if state is None or not state.approved:
        refusal = refuse_without_approval(event.kind, event.entries, posting_policy(decided.policies))
        if refusal is not None:
            yield refused(event, refusal, _RULES)
    if event.kind == "year_end":
        what = f"{event.originator_id} is of the kind year_end, and its unit closes no year with it"
        yield Broken(event, what, unless=Beside(PERIODS, partial(_closes_with, event.originator_id)))
        if event.value_date != periods(decided.policies).open_from:
            yield Broken(event, f"{event.originator_id} closes a year, and is not of the first open day")
    if event.kind == "settlement":
        what = f"{event.originator_id} is of the kind settlement, and its unit pays out no settlement with it"
        yield Broken(event, what, unless=Beside(event.reference or "", partial(_pays_out, event.originator_id)))
    if state is None:
        return
    id = event.originator_id
    if state.status != "pending":
        yield Broken(event, f"{id} is posted again; it was {state.status} before")
        return
    if (event.kind, event.entries, event.reference) != (state.kind, state.entries, state.reference):
        yield Broken(event, f"{id} is posted with another kind, reference or entries than it was reserved with")
    if (refusal := refuse_posting_pending(state, decided.decided_at)) is not None:
        yield refused(event, refusal, _RULES)
    yield from _reserves_no_more(state, event, decided)


def _reserves_no_more(state: TransactionState, event: TransactionPosted | _Ended, decided: Decided) -> Iterator[Broken]:
    """What a transaction reserved while it was pending ends in the unit in which it waits no more."""
    for account in _reserved(state.entries, decided.log):
        what = f"{state.id} waits no more, and its unit does not end what it reserves on {account}"
        yield Broken(event, what, unless=Beside(account, partial(_ends_hold, state.id)))


def _ends_hold(id: str, event: Event) -> bool:
    return isinstance(event, HoldCaptured | HoldReleased | HoldExpired) and event.hold == id


def _closes_with(id: str, event: Event) -> bool:
    return isinstance(event, YearClosed) and id in event.transactions


def _pays_out(id: str, event: Event) -> bool:
    return isinstance(event, SettlementPaid) and event.transaction == id


def _stands_no_more(id: str, event: Event) -> bool:
    return isinstance(event, YearEndReversed) and event.transaction == id


def _ended(state: TransactionState | None, event: _Ended, decided: Decided) -> Iterator[Broken]:
    assert state is not None, "the fold was tried before"
    id = event.originator_id
    if state.status != "pending":
        yield Broken(event, f"{id} ends as {type(event).__name__}; it was {state.status} before")
        return
    refusal: Refused | None = None
    if isinstance(event, TransactionExpired):
        refusal = refuse_before_its_time(state, decided.decided_at)
    elif not isinstance(event, TransactionCancelled):
        refusal = refuse_late(state, decided.decided_at)
        if state.awaits == "request":
            yield Broken(event, f"{id} waits for a request, and {event.by} decided about it")
        if event.by == state.initiator:
            yield Broken(event, f"{event.by} asked for {id}, and decided about it")
    if refusal is not None:
        yield refused(event, refusal, _RULES)
    if not isinstance(event, TransactionApproved):  # it is posted in its unit, and that ends the holds
        yield from _reserves_no_more(state, event, decided)
    if not isinstance(event, TransactionExpired | TransactionApproved) and event.subject != state.subject:
        yield Broken(event, f"the texts of {id} are about {state.subject}, not about {event.subject}")


def _reversed(state: TransactionState | None, event: TransactionReversed, decided: Decided) -> Iterator[Broken]:
    """What is reversed only grows, by what the reversing transaction undoes, and never above what was posted."""
    assert state is not None, "the fold was tried before"
    id = event.originator_id
    if state.status not in ("posted", "partly_reversed"):
        yield Broken(event, f"{id} is reversed; it was {state.status} before")
        return
    amounts = [entry.amount for entry in state.entries]
    before = state.reversed or (0,) * len(amounts)
    now = event.reversed
    grows = len(now) == len(amounts) and all(a <= b <= c for a, b, c in zip(before, now, amounts, strict=True))
    if not grows or now == before:
        yield Broken(event, f"{id} is reversed up to {list(now)} of {amounts} minor units, after {list(before)}")
        return
    added = [b - a for a, b in zip(before, now, strict=True)]
    what = f"{id} is reversed by {event.by} for {added} minor units of its entries, which that does not undo"
    yield Broken(event, what, unless=Beside(event.by, partial(_undoes, state.entries, added, decided.log)))
    if event.whole is not (list(now) == amounts):
        yield Broken(event, f"{id} is {'wholly' if event.whole else 'partly'} reversed, with {list(now)} of {amounts}")
    elif event.whole and state.kind == "year_end":
        what = f"{id} closed a year and is wholly reversed, and its unit does not say that the year is open"
        yield Broken(event, what, unless=Beside(PERIODS, partial(_stands_no_more, id)))


def _undoes(original: Sequence[Entry], amounts: Sequence[int], log: str, event: Event) -> bool:
    return isinstance(event, TransactionPosted) and undoes(event, original, amounts, log)


# Events that must stand beside others in their unit


def _capture_is_paid(
    event: HoldCaptured | HoldPartlyCaptured, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The transaction of the unit takes the captured part from the account, or all or part of a hold that ends."""
    account, id = event.originator_id, event.transaction
    posted = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None:
        return f"hold {event.hold} is captured by {id}, which its unit does not post"
    if event.hold == id:
        return None
    taken = posted.entries[0] if posted.entries else None
    kinds = ORDERED if of_transfer_order(event.hold) else CAPTURED
    if posted.kind not in kinds or taken is None or (taken.account, taken.side) != (account, "debit"):
        return f"hold {event.hold} is captured by {id}, which does not take it from {account}"
    if isinstance(event, HoldPartlyCaptured) and (taken.currency, taken.amount) != (event.currency, event.amount):
        return (
            f"{event.amount} minor units of {event.currency} are captured of hold {event.hold}, and {id} takes "
            f"{taken.amount} of {taken.currency}"
        )
    if taken.currency != event.currency or taken.amount > event.amount:
        return (
            f"hold {event.hold} reserves {event.amount} minor units of {event.currency}, and {id} takes {taken.amount} "
            f"of {taken.currency}"
        )
    return None


def _hold_has_its_transaction(event: HoldPlaced, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A hold of a pending transaction is placed with it."""
    if not of_transaction(event.hold):
        return None
    if any(isinstance(one, TransactionPended) for one in unit.get(event.hold, ())):
        return None
    return f"{event.originator_id} reserves for {event.hold}, which is not pending in its unit"


def _hold_ends_with_its_transaction(
    event: HoldReleased | HoldExpired, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    if not of_transaction(event.hold):
        return None
    if any(
        isinstance(one, TransactionCancelled | TransactionRejected | TransactionExpired)
        for one in unit.get(event.hold, ())
    ):
        return None
    return f"what {event.hold} reserves on {event.originator_id} ends, and the transaction does not end in its unit"


def _pended_is_reserved(event: TransactionPended, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """What it takes from each account is held there, unless the account is one of the ledger's own."""
    id = event.originator_id
    held = {
        stream: one.amount
        for stream, events in unit.items()
        for one in events
        if isinstance(one, HoldPlaced) and one.hold == id
    }
    takes = _reserved(event.entries, decided.log)
    for account in sorted(held.keys() | takes.keys()):
        if takes.get(account, 0) != held.get(account, 0):
            return f"{id} takes {takes.get(account, 0)} from {account}, and reserves {held.get(account, 0)} there"
    return None


def _reserved(entries: Sequence[Entry], log: str) -> dict[str, int]:
    """Return what has to be reserved on each account, in minor units. Nothing is on the ledger's own accounts."""
    currencies = {entry.account: entry.currency for entry in entries}
    takes = net_taken(entries).items()
    return {id: amount for id, amount in takes if id not in _internal_accounts(log, currencies[id])}


@lru_cache(maxsize=len(EXPONENTS))
def _internal_accounts(log: str, currency: str) -> frozenset[str]:
    """Return the ids of the accounts in a currency that belong to the ledger itself, whether they are open or not."""
    pairs = [f"{one}:{other}" for foreign in EXPONENTS for one, other in ((currency, foreign), (foreign, currency))]
    roles = {internal_account(log, role, currency) for role in get_args(InternalRole)}
    return frozenset(roles | {pair_account(log, role, pair, currency) for pair in pairs for role in get_args(PairRole)})


def _ended_is_released(event: _Ended, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """An approved transaction is posted in its unit."""
    posted = any(isinstance(one, TransactionPosted) for one in unit.get(event.originator_id, ()))
    if isinstance(event, TransactionApproved) and not posted:
        return f"{event.originator_id} is approved, and its unit does not post it"
    return None


def _reversed_by_another(
    event: TransactionReversed, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The reversing transaction is posted in the unit, and names this one as its parent."""
    id, by = event.originator_id, event.by
    of_other = unit.get(by, ())
    if not any(isinstance(one, TransactionPosted) and one.kind in NOT_REVERSED for one in of_other):
        return f"{id} is reversed by {by}, which its unit does not post as a reversal, refund or chargeback"
    if not any(isinstance(one, TransactionDetailed) and one.parent == id for one in of_other):
        return f"{id} is reversed by {by}, which does not name it as its parent"
    return None


def _undoing_reverses(event: TransactionPosted, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """What is posted as a reversal, refund or chargeback reverses its parent in the same unit."""
    if event.kind not in NOT_REVERSED:
        return None
    id = event.originator_id
    parent = next((one.parent for one in unit[id] if isinstance(one, TransactionDetailed)), None)
    if parent is None:
        return f"{id} is posted as a {event.kind}, and names no parent that it undoes"
    if any(isinstance(one, TransactionReversed) and one.by == id for one in unit.get(parent, ())):
        return None
    return f"{id} is posted as a {event.kind} of {parent}, which its unit does not reverse"


def _used_by_its_transaction(event: LimitUsed, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit takes as much from the account, and its kind counts."""
    id, account = event.transaction, event.originator_id
    posted = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None:
        return f"{id} used a limit of {account}, and its unit does not post it"
    taken = -sum(entry.signed for entry in posted.entries if entry.account == account)
    if taken != event.amount or posted.kind not in posting_policy(decided.policies).counted_kinds:
        return f"{id}, a {posted.kind}, takes {taken} minor units from {account}, and used {event.amount} of its limits"
    return None


def _counted_somewhere(event: TransactionCounted, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A transaction that counted used limits of the accounts that it names."""
    id = event.originator_id
    used = {
        stream
        for stream, events in unit.items()
        if any(isinstance(one, LimitUsed) and one.transaction == id for one in events)
    }
    if used == set(event.accounts):
        return None
    named = ", ".join(event.accounts) or "no account"
    return f"{id} is counted for {named}, and its unit uses limits of {', '.join(sorted(used)) or 'no account'}"


def _returned_by_a_reversal(event: LimitReturned, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A reversal of the unit pays as much to the account."""
    id, account = event.transaction, event.originator_id
    posted = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None or posted.kind not in NOT_REVERSED:
        return f"{id} gives a limit of {account} back, and is no reversal of its unit"
    paid = sum(entry.signed for entry in posted.entries if entry.account == account)
    return None if paid >= event.amount > 0 else f"{id} pays {paid} to {account}, and gives {event.amount} back"


def _assessed_as_decided(event: AccountAssessed, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """What is blocked does not happen, what is to be verified waits for another person, and the rest happens."""
    id, account = event.transaction, event.originator_id
    made = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted | TransactionPended)), None)
    if made is None:
        facts = [one for events in unit.values() for one in events if isinstance(one, AccountAssessed)]
        if all(one.action == "monitor" for one in facts if one.transaction == id):
            return f"{id} is only watched on {account}, and its unit does not make it"
        return None
    if event.action == "block" or (event.action == "verify" and not _reviewed_later(made)):
        return f"{id} has {event.score} points on {account} and the action {event.action}, and its unit makes it"
    taken = -sum(entry.signed for entry in made.entries if entry.account == account)
    if (taken, made.kind) != (event.amount, event.kind):
        return f"{id}, a {made.kind}, takes {taken} from {account}; it is assessed as a {event.kind} of {event.amount}"
    return None


def _reviewed_later(made: TransactionPosted | TransactionPended) -> bool:
    return isinstance(made, TransactionPended) and made.awaits != "request"


def _claim_has_its_reference(event: ClaimTaken, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A transaction of the unit has the claimed reference. The claim is for the log, or for an account of it."""
    claim, id = event.originator_id, event.holder
    if not claim.startswith(REFERENCES):
        return None
    for posted in unit.get(id, ()):
        if isinstance(posted, TransactionPosted | TransactionPended) and posted.reference is not None:
            scopes = ("log", *first_of_each_side(posted.entries))
            if claim in [reference_claim(scope, posted.reference) for scope in scopes]:
                return None
    return f"{id} takes {claim}, and its unit does not post a transaction with that reference"


def _reference_is_kept(event: ClaimReleased, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim = event.originator_id
    return f"{claim} is released; a unique reference is never given back" if claim.startswith(REFERENCES) else None


def _year_is_closed_by(event: YearClosed, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transactions that close a year are posted in its unit."""
    for id in event.transactions:
        if not any(isinstance(one, TransactionPosted) and one.kind == "year_end" for one in unit.get(id, ())):
            return f"the year of {event.period} is closed with {id}, which its unit does not post as year_end"
    return None


def _year_end_is_reversed(event: YearEndReversed, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction is wholly reversed in the same unit."""
    if any(isinstance(one, TransactionReversed) and one.whole for one in unit.get(event.transaction, ())):
        return None
    return f"{event.transaction} closes the year of {event.period} no more, and its unit does not reverse all of it"


UNIT_RULES: Mapping[type[Event], UnitRule] = {
    HoldCaptured: _capture_is_paid,
    HoldPartlyCaptured: _capture_is_paid,
    HoldPlaced: _hold_has_its_transaction,
    HoldReleased: _hold_ends_with_its_transaction,
    HoldExpired: _hold_ends_with_its_transaction,
    TransactionPended: _pended_is_reserved,
    TransactionPosted: _undoing_reverses,
    TransactionApproved: _ended_is_released,
    TransactionReversed: _reversed_by_another,
    TransactionCounted: _counted_somewhere,
    LimitUsed: _used_by_its_transaction,
    LimitReturned: _returned_by_a_reversal,
    AccountAssessed: _assessed_as_decided,
    ClaimTaken: _claim_has_its_reference,
    ClaimReleased: _reference_is_kept,
    YearClosed: _year_is_closed_by,
    YearEndReversed: _year_end_is_reversed,
}
