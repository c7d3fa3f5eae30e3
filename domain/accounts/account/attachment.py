"""Attaching an account to a node of the chart, and detaching it. Both are for operators.

The account knows its node, so a posting to an account without one reads nothing more. The number of accounts of a node
is on a stream of its own (`domain.accounts.chart.node_accounts`), which changes in the same unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from domain.accounts.account.events import AccountAttached, AccountCredited, AccountDebited, AccountDetached
from domain.accounts.account.lifecycle import OnOneAccount
from domain.accounts.account.state import Account
from domain.accounts.chart.node_accounts import NodeAccountAdded, NodeAccountRemoved, added, node_stream, removed
from domain.accounts.chart.state import CHART, Chart, chart_of, listed
from domain.aggregate import Beside, Broken, Decided, UnitRule
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    NeedsStreams,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.permissions import OPERATORS


class AttachAccount(Value, frozen=True):
    """Attach an account to a node. If it is attached to another one, it moves."""

    account: str
    node: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account, CHART, node_stream(self.node))


class DetachAccount(OnOneAccount, frozen=True):
    """Detach an account from its node."""


RULES: dict[str, str] = {
    "account_attached": "Account {account} is attached to node {node} already.",
    "account_not_attached": "Account {account} is attached to no node.",
}


def attach(command: AttachAccount, states: States, context: Context) -> Decision:
    """Decide an attachment. A closed account can be attached too, so that its node can be emptied and removed."""
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if chart_of(states).find(command.node) is None:
        return Unknown("node", command.node)
    refusal = refuse_attachment(account, command.node)
    if refusal is not None:
        return refusal
    previous = account.profile.node
    if previous is not None and node_stream(previous) not in states:
        return NeedsStreams((node_stream(previous),))
    events: list[Event] = [AccountAttached(command.account, account.version + 1, command.node, previous)]
    if previous is not None:
        events.append(removed(states, previous, command.account))
    events.append(added(states, command.node, command.account))
    return Accepted(tuple(events), {"account": command.account, "node": command.node})


def detach(command: DetachAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    node = account.profile.node
    if node is None:
        return Refused("account_not_attached", {"account": command.account})
    if node_stream(node) not in states:
        return NeedsStreams((node_stream(node),))
    detached = AccountDetached(command.account, account.version + 1, node)
    return Accepted((detached, removed(states, node, command.account)), {"account": command.account, "node": None})


def refuse_attachment(account: Account, node: str) -> Refused | None:
    """Return the refusal to attach an account to the node that it is attached to, or None."""
    if account.profile.node != node:
        return None
    return Refused("account_attached", {"account": account.profile.id, "node": node})


# What stored events are held to


def check_kind(account: Account, entry: AccountCredited | AccountDebited, decided: Decided) -> Iterator[Broken]:
    """Find an entry whose transaction is of a kind that the node of its account did not take.

    The kind is in the event of the transaction, which stands in the same unit.
    """
    node, chart = account.profile.node, decided.policies.get(CHART)
    kinds = chart.allowed.get(node) if node is not None and isinstance(chart, Chart) else None
    if kinds is not None:
        what = (
            f"{account.profile.id} is attached to node {node}, which takes {listed(kinds)}; {entry.transaction} is of "
            "another kind"
        )
        yield Broken(entry, what, Beside(entry.transaction, lambda event: getattr(event, "kind", None) in kinds))


def _moves_are_counted(
    event: AccountAttached | AccountDetached, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The nodes that get and lose the account count it."""
    account = event.originator_id
    if isinstance(event, AccountAttached):
        if not _counts(NodeAccountAdded, event.node, account, unit):
            return f"{account} is attached to node {event.node}, and its unit does not count it there"
        left = event.previous
    else:
        left = event.node
    if left is not None and not _counts(NodeAccountRemoved, left, account, unit):
        return f"{account} leaves node {left}, and its unit does not count it there"
    return None


def _left(event: Event) -> str | None:
    """The node that the account of the event leaves, or None."""
    match event:
        case AccountAttached():
            return event.previous
        case AccountDetached():
            return event.node
    return None


def _counts(
    kind: type[NodeAccountAdded | NodeAccountRemoved], node: str, account: str, unit: Mapping[str, Sequence[Event]]
) -> bool:
    return any(isinstance(one, kind) and one.account == account for one in unit.get(node_stream(node), ()))


def _count_has_its_account(
    event: NodeAccountAdded | NodeAccountRemoved, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The account that a node counts is attached or detached in the unit."""
    of_account = unit.get(event.account, ())
    if isinstance(event, NodeAccountAdded):
        stands = any(
            isinstance(one, AccountAttached) and node_stream(one.node) == event.originator_id for one in of_account
        )
    else:
        stands = event.originator_id in [node_stream(node) for node in map(_left, of_account) if node is not None]
    return None if stands else f"{event.originator_id} counts {event.account}, which its unit does not attach or detach"


DECISIONS: dict[type, Decide] = {AttachAccount: attach, DetachAccount: detach}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, OPERATORS)
UNIT_RULES: Mapping[type[Event], UnitRule] = {
    AccountAttached: _moves_are_counted,
    AccountDetached: _moves_are_counted,
    NodeAccountAdded: _count_has_its_account,
    NodeAccountRemoved: _count_has_its_account,
}
