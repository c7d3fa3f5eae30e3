"""The closed catalogue of events: stable name and version beside the class that carries it today.

An event is never rewritten. A new version of one gets a new name (``….v2``), its class moves on, and an upcaster
lifts the payload of the old name on reading: an entry with `upcasts_to`. Which fields are personal, and whose key
seals them, is part of the catalogue: no event can reach the log without the question having been answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from domain import claims
from domain.accounts import events as accounts
from domain.accounts.account import Account
from domain.ids import ACCOUNT
from domain.kernel import Event, Value
from domain.orders import events as orders
from domain.posts import events as posts


class EventType(Value, frozen=True):
    """A name ever shipped. `event` is None where `upcast` lifts its payload to the name `upcasts_to`."""

    name: str
    event: type[Event] | None
    subject: str | None = None  # the field that names whose key seals the personal fields
    personal: tuple[str, ...] = ()
    upcasts_to: str | None = None
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None


CATALOGUE: tuple[EventType, ...] = (
    EventType("account.opened.v1", accounts.AccountOpened, "owner", ("name",)),
    EventType("account.debited.v1", accounts.AccountDebited),
    EventType("account.credited.v1", accounts.AccountCredited),
    EventType("account.frozen.v1", accounts.AccountFrozen, "owner", ("reason",)),
    EventType("account.unfrozen.v1", accounts.AccountUnfrozen, "owner", ("reason",)),
    EventType("account.closed.v1", accounts.AccountClosed, "owner", ("reason",)),
    EventType("account.hold_placed.v1", accounts.HoldPlaced),
    EventType("account.hold_released.v1", accounts.HoldReleased),
    EventType("account.hold_captured.v1", accounts.HoldCaptured),
    EventType("transaction.posted.v1", accounts.TransactionPosted, "subject", ("description",)),
    EventType("order.placed.v1", orders.OrderPlaced),
    EventType("order.confirmed.v1", orders.OrderConfirmed),
    EventType("order.cancelled.v1", orders.OrderCancelled, "customer", ("reason",)),
    EventType("order.paid.v1", orders.OrderPaid),
    EventType("post.drafted.v1", posts.PostDrafted, "author", ("title", "body")),
    EventType("post.revised.v1", posts.PostRevised, "author", ("title", "body", "summary")),
    EventType("post.published.v1", posts.PostPublished),
    EventType("post.archived.v1", posts.PostArchived),
    EventType("post.deleted.v1", posts.PostDeleted, "author", ("reason",)),
    EventType("post.restored.v1", posts.PostRestored),
    EventType("claim.taken.v1", claims.ClaimTaken),
    EventType("claim.released.v1", claims.ClaimReleased),
)

ENTRY_TYPES: tuple[str, ...] = ("account.debited.v1", "account.credited.v1")
"""The events that commute on an account without limits: in any order they fold to the same account."""

SNAPSHOTS: Mapping[str, tuple[type[Value], int]] = {f"{ACCOUNT}_": (Account, 1)}
"""States kept beside the log, by the prefix of their streams, each with the version of its fold: raise that when
`evolve` makes another state of the same events. Only of streams that grow long, and none that holds personal values."""


def check_commuting(catalogue: Sequence[EventType], commuting: Sequence[str]) -> None:
    """An event that commutes has no personal fields. Raises `ValueError`.

    A sealed value is bound to the version of its event, and what commutes gets its version in the append.
    """
    entries = {entry.name: entry for entry in catalogue}
    for name in commuting:
        if name not in entries:
            raise ValueError(f"{name} commutes and is not in the catalogue")
        if entries[name].personal:
            raise ValueError(f"{name} commutes, so it can have no personal fields: {', '.join(entries[name].personal)}")


check_commuting(CATALOGUE, ENTRY_TYPES)


def names(*events: type[Event]) -> Mapping[type[Event], str]:
    """The catalogue names of event classes. Raises KeyError for one that is not in it."""
    by_class = {entry.event: entry.name for entry in CATALOGUE if entry.event is not None}
    return {event: by_class[event] for event in events}
