"""Every room there is."""

from __future__ import annotations

from collections.abc import Iterable

from projections.accounts.fold import ACCOUNTS
from projections.entries.fold import ENTRIES
from projections.movements.fold import MOVEMENTS
from projections.orders.fold import ORDERS
from projections.posts.fold import POSTS
from projections.projection import Projection
from projections.transactions.fold import TRANSACTIONS
from projections.trial_balance.fold import TRIAL_BALANCE

ROOMS: tuple[Projection, ...] = (ACCOUNTS, MOVEMENTS, TRANSACTIONS, ORDERS, POSTS, TRIAL_BALANCE, ENTRIES)
"""As they are written: first where the server works alone, for the next page is folded meanwhile; last where rows are
made here, which takes the interpreter from whoever folds ahead."""


class UnknownProjectionError(LookupError):
    """There is no projection of that name."""


def named(names: Iterable[str]) -> tuple[Projection, ...]:
    """The rooms of these names, in our order. Raises `UnknownProjectionError`."""
    wanted = set(names)
    unknown = sorted(wanted - {room.name for room in ROOMS})
    if unknown:
        known = ", ".join(room.name for room in ROOMS)
        raise UnknownProjectionError(f"there is no projection {', '.join(unknown)}; there are {known}")
    return tuple(room for room in ROOMS if room.name in wanted)
