"""The aggregate account.

Read its modules in this order: `events`, then `state` with the fold, then the commands and decisions in `lifecycle`,
`owners`, `details`, `holds`, `limits` and `attachment`, then `check`. The declaration is below.
"""

from __future__ import annotations

from typing import Any

from domain.accounts.account import attachment, check, details, events, holds, lifecycle, limits, owners, state
from domain.aggregate import Aggregate, EventType
from domain.codes import METADATA_RULES
from domain.kernel import Value


class _HoldPlacedV1(Value, frozen=True):
    """An amount was reserved. Version 1 had no metadata and no time at which the hold expires."""

    hold: str
    amount: int
    currency: str
    reference: str | None


def _from_hold_placed_v1(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "metadata": {}, "expires_at": None}


AGGREGATE = Aggregate(
    name="account",
    prefix=f"{state.ACCOUNT}_",
    events=(
        EventType(
            name="account.opened.v1",
            event=events.AccountOpened,
            subject="owner",
            personal=("name",),
            codes=("owner",),
        ),
        EventType("account.debited.v1", events.AccountDebited),
        EventType("account.credited.v1", events.AccountCredited),
        EventType(name="account.frozen.v1", event=events.AccountFrozen, subject="owner", personal=("reason",)),
        EventType(name="account.unfrozen.v1", event=events.AccountUnfrozen, subject="owner", personal=("reason",)),
        EventType(name="account.closed.v1", event=events.AccountClosed, subject="owner", personal=("reason",)),
        EventType("account.closing_asked.v1", events.AccountClosingAsked, "owner", ("reason",)),
        EventType("account.closing_cancelled.v1", events.AccountClosingCancelled, "owner", ("reason",)),
        EventType(name="account.reopened.v1", event=events.AccountReopened, subject="owner", personal=("reason",)),
        EventType(
            name="account.details_changed.v1",
            event=events.AccountDetailsChanged,
            subject="owner",
            personal=("name",),
        ),
        EventType("account.metadata_changed.v1", events.AccountMetadataChanged, codes=("metadata",)),
        EventType(
            name="account.hold_placed.v1",
            event=None,
            codes=("reference",),
            upcasts_to="account.hold_placed.v2",
            upcast=_from_hold_placed_v1,
            payload=_HoldPlacedV1,
        ),
        EventType("account.hold_placed.v2", events.HoldPlaced, codes=("reference", "metadata")),
        EventType("account.hold_released.v1", events.HoldReleased),
        EventType("account.hold_captured.v1", events.HoldCaptured),
        EventType("account.hold_partly_captured.v1", events.HoldPartlyCaptured),
        EventType("account.hold_expired.v1", events.HoldExpired),
        EventType("account.owner_added.v1", events.OwnerAdded, codes=("person",)),
        EventType("account.owner_removed.v1", events.OwnerRemoved),
        EventType("account.mandate_given.v1", events.MandateGiven, codes=("person",)),
        EventType("account.mandate_withdrawn.v1", events.MandateWithdrawn),
        EventType("account.limits_changed.v1", events.LimitsChanged, "owner", ("reason",)),
        EventType("account.limit_used.v1", events.LimitUsed),
        EventType("account.limit_returned.v1", events.LimitReturned),
        EventType("account.assessed.v1", events.AccountAssessed),
        EventType("account.attached.v1", events.AccountAttached),
        EventType("account.detached.v1", events.AccountDetached),
    ),
    evolve=state.evolve,
    decisions={
        **lifecycle.DECISIONS,
        **owners.DECISIONS,
        **details.DECISIONS,
        **holds.DECISIONS,
        **limits.DECISIONS,
        **attachment.DECISIONS,
    },
    rules={
        **state.RULES,
        **lifecycle.RULES,
        **owners.RULES,
        **details.RULES,
        **holds.RULES,
        **limits.RULES,
        **attachment.RULES,
        **METADATA_RULES,
    },
    may={
        **lifecycle.MAY,
        **owners.MAY,
        **details.MAY,
        **holds.MAY,
        **limits.MAY,
        **attachment.MAY,
    },
    # On an account without limits, entries fold to the same state in any order.
    commuting=("account.debited.v1", "account.credited.v1"),
    snapshot=(state.Account, 3),
    amounts=frozenset(
        {
            "amount",
            "approve_above",
            "balance",
            "daily",
            "hourly",
            "maximum",
            "minimum",
            "monthly",
            "move_up_to",
            "overdraft",
            "reserved",
            "sum",
        }
    ),
    pairs={
        "holds": ("hold", "amount", "expires_at"),
        "days": ("day", "count", "sum"),
        "minutes": ("minute", "count", "sum"),
    },
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
