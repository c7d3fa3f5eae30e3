"""Every command and every event of the domain, dispatched: the one thing an executor needs to run it.

`decide` and `evolve` are dictionaries of plain functions by type; which context a type belongs to is the last thing
known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain import claims
from domain.accounts import account
from domain.accounts import decisions as accounts
from domain.kernel import Command, Context, Decision, Event, State, States
from domain.orders import decisions as orders
from domain.orders import order
from domain.posts import decisions as posts
from domain.posts import post
from domain.together import Together, decide_together

_DECISIONS: dict[type, Callable[[Any, States, Context], Decision]] = {
    **accounts.DECISIONS,
    **orders.DECISIONS,
    **posts.DECISIONS,
}

_EVOLVE: dict[type, Callable[[Any, Any], State]] = {
    **account.EVOLVE,
    **claims.EVOLVE,
    **order.EVOLVE,
    **post.EVOLVE,
}


def decide(command: Command, states: States, context: Context) -> Decision:
    """What becomes of the command on these states. Pure."""
    if type(command) is Together:
        return decide_together(command, states, context, decide, evolve)
    return _DECISIONS[type(command)](command, states, context)


def evolve(state: State | None, event: Event) -> State:
    """The aggregate after the event. Pure."""
    return _EVOLVE[type(event)](state, event)
