"""Permissions: what a principal may do.

`may` is the one function that decides about a permission. Every way in calls it with the roles that are declared: of a
route, or of a command (`Aggregate.may`). What depends on the state, such as who owns an account, is decided by the
command's decision, which has the principal in its context.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from domain.kernel import Principal, Role

PROCESSES: frozenset[Role] = frozenset({"process"})
"""Who may send what only process managers send."""
VISITORS: frozenset[Role] = frozenset({"visitor"})
"""Who has not signed in. Only routes that are open to the public have such a principal."""
SELF: frozenset[Role] = frozenset({"person"})
"""Every person who has signed in. What they may do about whom is decided by the command's decision."""
ADMINISTRATORS: frozenset[Role] = frozenset({"administrator"})
"""Who decides about people. They are persons, never tokens."""
OF_PERSONS: frozenset[Role] = frozenset({"author", "moderator", "administrator", "person"})
"""The roles of persons that no token gives. A person can also have those of tokens."""
ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role not in PROCESSES | VISITORS | OF_PERSONS)
"""The roles that a token can give."""
CUSTOMERS: frozenset[Role] = frozenset({"customer"})
"""Who sees and moves only what is theirs (`domain.accounts.account.owners`). A customer is a person."""
STAFF: frozenset[Role] = frozenset(ROLES) - CUSTOMERS
"""Who may read everything of the read models."""
COMMANDERS: frozenset[Role] = frozenset({"command", "operator"})
"""Who may send a command whose aggregate says nothing else."""
AUTHORS: frozenset[Role] = frozenset({"author"})
"""Who writes posts of their own, and reads them and all published ones."""
MODERATORS: frozenset[Role] = frozenset({"moderator"})
"""Who reads all posts, and archives, deletes and restores them."""
OF_AUTHORS: frozenset[Role] = COMMANDERS | AUTHORS
"""Who may send a command that an author may send about their own post."""
EVERYONE: frozenset[Role] = COMMANDERS | CUSTOMERS
"""Who may send a command that a customer may send about what is theirs."""
MANAGER_ROLES: frozenset[Role] = frozenset({"process", "command"})
"""The roles of a process manager: it may send what every commander may, and what is only for processes."""
OPERATORS: frozenset[Role] = frozenset({"operator"})


def may(principal: Principal, allowed: frozenset[str], at: datetime) -> bool:
    """Return whether the principal has one of the allowed roles at this time, as its own or by a grant."""
    if not allowed.isdisjoint(principal.roles):
        return True
    return any(grant.role in allowed and (grant.until is None or at < grant.until) for grant in principal.grants)
