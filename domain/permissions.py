"""Permissions: what a principal may do.

`may` is the one function that decides about a permission. Every way in calls it with the roles that are declared: of a
route, or of a command (`Aggregate.may`). What depends on the state, such as who owns an account, is decided by the
command's decision, which has the principal in its context.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from domain.kernel import Principal, Role

ROLES: tuple[Role, ...] = get_args(Role)
COMMANDERS: frozenset[Role] = frozenset({"command", "operator"})
"""Who may send a command whose aggregate says nothing else."""
OPERATORS: frozenset[Role] = frozenset({"operator"})


def may(principal: Principal, allowed: frozenset[str], at: datetime) -> bool:
    """Return whether the principal has one of the allowed roles at this time, as its own or by a grant."""
    if not allowed.isdisjoint(principal.roles):
        return True
    return any(grant.role in allowed and (grant.until is None or at < grant.until) for grant in principal.grants)
