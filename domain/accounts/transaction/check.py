"""What the stored events of a transaction are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from domain.accounts.account.events import HoldCaptured
from domain.accounts.periods.state import periods
from domain.accounts.posting import RULES as POSTING_RULES
from domain.accounts.posting import TransactionPosted, refuse_entries, refuse_value_date
from domain.accounts.posting_policy import posting_policy
from domain.accounts.transaction.state import PostedTransaction
from domain.aggregate import Broken, Decided, UnitRule, refused
from domain.kernel import Event
from domain.money import EXPONENTS


def check(before: PostedTransaction | None, events: Sequence[TransactionPosted], decided: Decided) -> Iterator[Broken]:
    """Find a transaction that is posted again, is not well formed, or is dated after its decision.

    Whether each entry stands on its account is not looked at here: `verify` joins the two with one query.
    """
    for event in events:
        if before is not None or event is not events[0]:
            yield Broken(event, f"{event.originator_id} is posted again; a transaction is one event")
        foreign = sorted({entry.currency for entry in event.entries} - EXPONENTS.keys())
        refusal = refuse_value_date(event.value_date, posting_policy(decided.policies), decided.today)
        refusal = refusal or periods(decided.policies).refuse_value_date(event.value_date)
        if foreign:
            yield Broken(event, f"{event.originator_id} has entries in {foreign[0]!r}, which is no currency")
        else:
            refusal = refuse_entries(event.entries) or refusal
        if refusal is not None:
            yield refused(event, refusal, POSTING_RULES)


def _capture_is_paid(event: HoldCaptured, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit takes all or part of the hold from its account."""
    account, id = event.originator_id, event.transaction
    posted = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None:
        return f"hold {event.hold} is captured by {id}, which its unit does not post"
    taken = posted.entries[0] if posted.entries else None
    if posted.kind != "capture" or taken is None or (taken.account, taken.side) != (account, "debit"):
        return f"hold {event.hold} is captured by {id}, which does not take it from {account}"
    if taken.currency != event.currency or taken.amount > event.amount:
        return (
            f"hold {event.hold} reserves {event.amount} minor units of {event.currency}, and {id} takes {taken.amount} "
            f"of {taken.currency}"
        )
    return None


UNIT_RULES: Mapping[type[Event], UnitRule] = {HoldCaptured: _capture_is_paid}
