"""What the stored events of an account are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from domain.accounts.account import attachment, details, holds, lifecycle, limits, owners, state
from domain.accounts.account.events import (
    AccountAssessed,
    AccountAttached,
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountCredited,
    AccountDebited,
    AccountDetached,
    AccountDetailsChanged,
    AccountEvent,
    AccountFrozen,
    AccountMetadataChanged,
    AccountOpened,
    AccountReopened,
    AccountUnfrozen,
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
    LimitsChanged,
    LimitUsed,
    MandateGiven,
    MandateWithdrawn,
    OwnerAdded,
    OwnerRemoved,
)
from domain.accounts.account.state import Account, evolve
from domain.accounts.approval_event import TransactionApproved
from domain.accounts.kinds import WITHOUT_APPROVAL
from domain.accounts.numbers import number_claim
from domain.accounts.posting_policy import posting_policy
from domain.accounts.risk.scoring import assess
from domain.aggregate import Beside, Broken, Decided, UnitRule, refused
from domain.claims import ClaimReleased, ClaimTaken
from domain.codes import METADATA_RULES
from domain.kernel import Event, Refused
from domain.money import EXPONENTS, MAX_AMOUNT

_Entry: TypeAlias = AccountCredited | AccountDebited
_RULES: Mapping[str, str] = {
    **state.RULES,
    **lifecycle.RULES,
    **owners.RULES,
    **details.RULES,
    **holds.RULES,
    **limits.RULES,
    **attachment.RULES,
    **METADATA_RULES,
}
_SEALED = (
    AccountFrozen,
    AccountUnfrozen,
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountReopened,
    AccountDetailsChanged,
    LimitsChanged,
)
"""Events that the key of the account's owner seals."""
_NUMBERS = number_claim("")
"""Beginning of the claims of account numbers."""


def check(before: Account | None, events: Sequence[AccountEvent], decided: Decided) -> Iterator[Broken]:
    """Find the events that break a rule. The entries of one transaction are one change of the balance."""
    account, start = before, 0
    while start < len(events):
        event, end = events[start], start + 1
        if account is None:
            yield from _opened(event, decided)
        elif isinstance(event, AccountCredited | AccountDebited):
            entries = _of_one_transaction(event, islice(events, end, None))
            end = start + len(entries)
            following = (other for other in islice(events, end, None) if not isinstance(other, LimitUsed))
            closes = isinstance(next(following, None), AccountClosed)
            yield from _entries(account, entries, decided, closes=closes)
            yield from _leaving(account, entries, events, closes=closes)
            yield from attachment.check_kind(account, entries[0], decided)
            yield from _uncounted(account, entries, events, decided)
            yield from _unapproved(account, entries)
        else:
            yield from _changed(account, event, decided)
            if isinstance(event, LimitUsed):
                yield from _assessed_before(account, event, events, decided)
        if end < len(events):
            for done in events[start:end]:
                account = evolve(account, done)
        start = end


def _of_one_transaction(first: _Entry, following: Iterable[AccountEvent]) -> list[_Entry]:
    entries = [first]
    for event in following:
        if not isinstance(event, AccountCredited | AccountDebited) or event.transaction != first.transaction:
            break
        entries.append(event)
    return entries


def _opened(event: AccountEvent, decided: Decided) -> Iterator[Broken]:
    assert isinstance(event, AccountOpened), "the fold was tried before"
    if event.currency not in EXPONENTS:
        yield Broken(event, f"{event.originator_id} is opened in {event.currency!r}, which is no currency")
    elif (refusal := lifecycle.refuse_limits(event.minimum, event.maximum, event.currency)) is not None:
        yield refused(event, refusal, _RULES)
    if (refusal := lifecycle.refuse_opening_date(event.opened_on, decided.today)) is not None:
        yield refused(event, refusal, _RULES)


def _entries(account: Account, entries: Sequence[_Entry], decided: Decided, *, closes: bool) -> Iterator[Broken]:
    """The entries of one transaction. The account is the one before them, as the decision saw it.

    With `closes` the account is closed right after them. Then they may take all that is left, whatever its minimum.
    """
    net = 0
    for entry in entries:
        if not 0 < entry.amount <= MAX_AMOUNT:
            yield Broken(
                entry,
                f"entry {entry.entry} of {entry.transaction} is for {entry.amount} minor units; an entry is for 1 to "
                f"{MAX_AMOUNT}",
            )
        if (refusal := account.refuse_posting(entry.currency, entry.value_date)) is not None:
            yield refused(entry, refusal, _RULES)
        net += entry.amount if isinstance(entry, AccountCredited) else -entry.amount
    swept = closes and net < 0 and account.balance + net == 0
    if not swept and (refusal := account.refuse_change(net, decided.today)) is not None:
        yield refused(entries[-1], refusal, _RULES)


def _leaving(
    account: Account, entries: Sequence[_Entry], events: Sequence[AccountEvent], *, closes: bool
) -> Iterator[Broken]:
    """Find a transaction that takes something from an account that is to be closed, and had not reserved it."""
    id, net = entries[0].transaction, sum(_signed(entry) for entry in entries)
    captures = (one for one in events if isinstance(one, HoldCaptured | HoldPartlyCaptured))
    refusal = account.refuse_leaving()
    if net < 0 and not closes and refusal is not None and not any(one.transaction == id for one in captures):
        yield refused(entries[-1], refusal, _RULES)


def _signed(entry: _Entry) -> int:
    return entry.amount if isinstance(entry, AccountCredited) else -entry.amount


def _uncounted(
    account: Account, entries: Sequence[_Entry], events: Sequence[AccountEvent], decided: Decided
) -> Iterator[Broken]:
    """Find a transaction that takes from an account with outgoing limits and uses none, though its kind counts.

    The kind is in the event of the transaction, which stands in the same unit.
    """
    id = entries[0].transaction
    if _net(entries) >= 0 or account.profile.outgoing is None:
        return
    if any(isinstance(event, LimitUsed) and event.transaction == id for event in events):
        return
    counted = posting_policy(decided.policies).counted_kinds
    what = f"{id} takes from {account.profile.id}, which has outgoing limits, and uses none of them"
    yield Broken(entries[-1], what, Beside(id, lambda event: getattr(event, "kind", None) not in (None, *counted)))


def _unapproved(account: Account, entries: Sequence[_Entry]) -> Iterator[Broken]:
    """Find a transaction that takes more than one person may decide about, and that nobody else approved.

    The approval is in the stream of the transaction, in the same unit. Some kinds need none.
    """
    id, above = entries[0].transaction, account.profile.approve_above
    taken = -_net(entries)
    if above is None or taken <= above:
        return
    what = f"{id} takes {taken} from {account.profile.id}, where another person approves what is above {above}"
    yield Broken(entries[-1], what, Beside(id, _decided_about))


def _decided_about(event: Event) -> bool:
    return isinstance(event, TransactionApproved) or getattr(event, "kind", None) in WITHOUT_APPROVAL


def _net(entries: Iterable[_Entry]) -> int:
    """Return the change of the balance by these entries, in minor units."""
    return sum(entry.amount if isinstance(entry, AccountCredited) else -entry.amount for entry in entries)


def _changed(account: Account, event: AccountEvent, decided: Decided) -> Iterator[Broken]:
    refusal: Refused | None = None
    match event:
        case AccountFrozen():
            refusal = account.refuse_change_of_state()
        case AccountUnfrozen():
            refusal = lifecycle.refuse_unfreezing(account)
        case AccountClosed():
            refusal = lifecycle.refuse_closing(account)
        case AccountClosingAsked():
            refusal = lifecycle.refuse_closing_when_free(account)
            if event.sweep_to == account.profile.id:
                yield Broken(event, f"{account.profile.id} is to be swept to itself")
            if event.open_holds != len(account.holds):
                yield Broken(event, f"{account.profile.id} has {len(account.holds)} open holds, not {event.open_holds}")
        case AccountClosingCancelled():
            refusal = lifecycle.refuse_cancelling(account)
        case AccountReopened():
            refusal = lifecycle.refuse_reopening(account)
        case AccountDetailsChanged():
            refusal = details.refuse_change(account)
        case AccountMetadataChanged():
            refusal = details.refuse_metadata_change(account, event)
        case HoldPlaced():
            # Version 0 of the rules had other bounds of the number of holds, and once none.
            most = holds.MOST_HOLDS if decided.rules > 0 else None
            refusal = holds.refuse_hold(account, event.hold, event.amount, event.currency, most, decided.today)
            refusal = refusal or holds.refuse_expiry(event.hold, event.expires_at, decided.decided_at)
        case HoldReleased() | HoldCaptured():
            yield from _ended(account, event)
        case HoldPartlyCaptured():
            yield from _partly_captured(account, event)
        case HoldExpired():
            yield from _ended(account, event)
            if account.hold(event.hold) is not None:
                refusal = holds.refuse_before_expiry(account, event.hold, decided.decided_at)
        case OwnerAdded():
            refusal = owners.refuse_owner(account, event.person)
        case OwnerRemoved():
            refusal = owners.refuse_removal(account, event.person)
        case MandateGiven():
            refusal = owners.refuse_mandate(account, event, decided.decided_at)
        case MandateWithdrawn():
            refusal = owners.refuse_withdrawal(account, event.person)
        case LimitsChanged():
            refusal = limits.refuse_change_of_limits(account, event, decided.today)
        case AccountAssessed():
            yield from _assessed(account, event, decided)
        case LimitUsed():
            yield from _used(account, event, decided)
            refusal = account.refuse_outgoing(event.amount, event.at)
        case AccountAttached():
            refusal = attachment.refuse_attachment(account, event.node)
            if event.previous != account.profile.node:
                yield Broken(event, f"{event.originator_id} is at node {account.profile.node}, not at {event.previous}")
        case AccountDetached():
            if event.node != account.profile.node:
                yield Broken(event, f"{event.originator_id} is at node {account.profile.node}, not at {event.node}")
    if refusal is not None:
        yield refused(event, refusal, _RULES)
    if isinstance(event, _SEALED) and event.owner != account.profile.owner:
        yield Broken(event, f"the owner of {account.profile.id} is {account.profile.owner}, not {event.owner}")


def _used(account: Account, event: LimitUsed, decided: Decided) -> Iterator[Broken]:
    """It is counted at the time of the decision, on an account with outgoing limits, or because of the risk rules."""
    id, currency = account.profile.id, account.profile.currency
    gated = posting_policy(decided.policies).risk.on and not account.profile.internal
    if account.profile.outgoing is None and not gated:
        yield Broken(event, f"account {id} has no outgoing limits, and {event.transaction} used some")
    if event.at != decided.decided_at or event.currency != currency:
        yield Broken(
            event,
            f"{event.transaction} used {event.currency} of {id} at {event.at.isoformat()}; it was decided at "
            f"{decided.decided_at.isoformat()}, in {currency}",
        )


def _assessed(account: Account, event: AccountAssessed, decided: Decided) -> Iterator[Broken]:
    """The points are those that the rules in force give to the account as it was."""
    id, policy = account.profile.id, posting_policy(decided.policies)
    rules = policy.gate(event.kind)
    if rules is None or account.profile.internal:
        yield Broken(event, f"{event.transaction} is assessed on {id}, where no risk rules are in force")
        return
    if (event.currency, event.at, event.policy_version) != (
        account.profile.currency,
        decided.decided_at,
        policy.version,
    ):
        yield Broken(
            event, f"{event.transaction} is assessed on {id} in another currency, time or version of the policy"
        )
    found = assess(rules, account, event.amount, event.at)
    right = (0, None, ()) if found is None else (found.score, found.action, found.factors)
    if (event.score, event.action, event.factors) != right:
        yield Broken(
            event,
            f"{event.transaction} has {event.score} points on {id} and the action {event.action}; the risk rules give "
            f"{right[0]} and {right[1]}",
        )


def _assessed_before(
    account: Account, event: LimitUsed, unit: Sequence[AccountEvent], decided: Decided
) -> Iterator[Broken]:
    """A transaction with points has its assessment. One that waited before was reviewed, or has it too."""
    rules = posting_policy(decided.policies).risk
    if not rules.on or assess(rules, account, event.amount, event.at) is None:
        return
    id = event.transaction
    for one in unit:
        if isinstance(one, AccountAssessed) and one.transaction == id:
            return
        if isinstance(one, HoldCaptured) and one.hold == one.transaction == id:
            return
    yield Broken(event, f"{id} has points by the risk rules on {account.profile.id}, and its unit has no assessment")


def _ended(account: Account, event: HoldReleased | HoldCaptured | HoldExpired) -> Iterator[Broken]:
    """All that is left of a hold ends, and only once."""
    id, currency = account.profile.id, account.profile.currency
    held = account.hold(event.hold)
    if held is None:
        yield Broken(event, f"account {id} has no open hold {event.hold} that could end")
    elif (event.amount, event.currency) != (held, currency):
        yield Broken(
            event,
            f"hold {event.hold} on {id} reserves {held} minor units of {currency}, and {event.amount} of "
            f"{event.currency} end",
        )


def _partly_captured(account: Account, event: HoldPartlyCaptured) -> Iterator[Broken]:
    """A part is taken of an open hold, and another part is left."""
    id, currency = account.profile.id, account.profile.currency
    held = account.hold(event.hold)
    if held is None:
        yield Broken(event, f"account {id} has no open hold {event.hold} that could be captured")
    elif event.currency != currency or not 0 < event.amount < held:
        yield Broken(
            event,
            f"hold {event.hold} on {id} reserves {held} minor units of {currency}, and a part of {event.amount} "
            f"{event.currency} is captured",
        )


# Events that must stand beside others in their unit


def _number_is_claimed(event: AccountOpened, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    id, claim = event.originator_id, number_claim(event.number)
    if any(isinstance(one, ClaimTaken) and one.holder == id for one in unit.get(claim, ())):
        return None
    return f"{id} is opened with the number {event.number}, and its unit does not claim {claim}"


def _claim_has_its_account(event: ClaimTaken, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim = event.originator_id
    if not claim.startswith(_NUMBERS):
        return None
    opened = [one for one in unit.get(event.holder, ()) if isinstance(one, AccountOpened)]
    if any(number_claim(one.number) == claim for one in opened):
        return None
    return f"{event.holder} takes {claim}, and its unit does not open an account with that number"


def _number_is_kept(event: ClaimReleased, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    claim = event.originator_id
    return f"{claim} is released; the number of an account is never given back" if claim.startswith(_NUMBERS) else None


UNIT_RULES: Mapping[type[Event], UnitRule] = {
    AccountOpened: _number_is_claimed,
    ClaimTaken: _claim_has_its_account,
    ClaimReleased: _number_is_kept,
    **attachment.UNIT_RULES,
}
