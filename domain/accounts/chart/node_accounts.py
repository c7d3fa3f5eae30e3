"""How many accounts are attached to a node of the chart. Each node has a stream for that, such as ``node:1100``.

The event on it stands in the unit that attaches or detaches the account. So a node is removed only while no account is
attached to it, and the chart itself, which postings read, does not change when an account is attached (ADR 0048).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.accounts.chart.state import CHART, Chart
from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Event, States, Value, found

NODE_PREFIX = "node:"
"""Beginning of the name of each of its streams."""


class NodeAccountAdded(Event, frozen=True):
    """An account was attached to the node."""

    account: str


class NodeAccountRemoved(Event, frozen=True):
    """An account was detached from the node, or attached to another one."""

    account: str


class NodeAccounts(Value, frozen=True):
    """The number of accounts of a node. Which ones they are is on the streams of the accounts."""

    version: int
    count: int


def node_stream(node: str) -> str:
    """Return the name of the stream of the node with this code."""
    return f"{NODE_PREFIX}{node}"


def added(states: States, node: str, account: str) -> NodeAccountAdded:
    """Return the event of an account that is attached."""
    return NodeAccountAdded(node_stream(node), _version(states, node) + 1, account)


def removed(states: States, node: str, account: str) -> NodeAccountRemoved:
    """Return the event of an account that is detached."""
    return NodeAccountRemoved(node_stream(node), _version(states, node) + 1, account)


def _version(states: States, node: str) -> int:
    state = found(states, node_stream(node), NodeAccounts)
    return 0 if state is None else state.version


def evolve(state: NodeAccounts | None, event: NodeAccountAdded | NodeAccountRemoved) -> NodeAccounts:
    """Return the number after the event."""
    change = 1 if isinstance(event, NodeAccountAdded) else -1
    return NodeAccounts(event.originator_version, (state.count if state else 0) + change)


def check(
    before: NodeAccounts | None, events: Sequence[NodeAccountAdded | NodeAccountRemoved], decided: Decided
) -> Iterator[Broken]:
    """Find a node that is not in the chart, and one that loses more accounts than it has.

    That the event stands beside that of the account is a rule of the unit (`domain.accounts.account.attachment`).
    """
    chart, now = decided.policies.get(CHART), before
    for event in events:
        node = event.originator_id.removeprefix(NODE_PREFIX)
        if isinstance(chart, Chart) and chart.find(node) is None:
            yield Broken(event, f"the chart has no node {node}, and {event.account} is attached to it or detached")
        now = evolve(now, event)
        if now.count < 0:
            yield Broken(event, f"{event.account} is detached from node {node}, which has no account")


AGGREGATE = Aggregate(
    name="node_accounts",
    prefix=NODE_PREFIX,
    events=(
        EventType("node.account_added.v1", NodeAccountAdded),
        EventType("node.account_removed.v1", NodeAccountRemoved),
    ),
    evolve=evolve,
    snapshot=(NodeAccounts, 1),
    check=check,
)
