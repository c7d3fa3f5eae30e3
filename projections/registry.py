"""Every projection there is."""

from __future__ import annotations

from collections.abc import Iterable

from projections.accounts.accounts.fold import ACCOUNTS
from projections.accounts.entries.fold import ENTRIES
from projections.accounts.movements.fold import MOVEMENTS
from projections.accounts.transactions.fold import TRANSACTIONS
from projections.accounts.trial_balance.fold import TRIAL_BALANCE
from projections.engine.projection import Projection
from projections.orders.orders import ORDERS
from projections.posts.posts import POSTS

PROJECTIONS: tuple[Projection, ...] = (ACCOUNTS, MOVEMENTS, TRANSACTIONS, ORDERS, POSTS, TRIAL_BALANCE, ENTRIES)
"""As they are written: first where the server works alone, for the next page is folded meanwhile; last where rows are
made here, which takes the interpreter from whoever folds ahead."""


class UnknownProjectionError(LookupError):
    """There is no projection of that name."""


def named(names: Iterable[str]) -> tuple[Projection, ...]:
    """The projections of these names, in our order. Raises `UnknownProjectionError`."""
    wanted = set(names)
    unknown = sorted(wanted - {projection.name for projection in PROJECTIONS})
    if unknown:
        known = ", ".join(projection.name for projection in PROJECTIONS)
        raise UnknownProjectionError(f"there is no projection {', '.join(unknown)}; there are {known}")
    return tuple(projection for projection in PROJECTIONS if projection.name in wanted)
