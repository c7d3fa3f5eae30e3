"""Samples of the numbers of accounts of nodes. They have no commands of their own: accounts are attached."""

from __future__ import annotations

from domain.accounts.chart.node_accounts import node_stream
from tests.samples.accounts import account, chart
from tests.samples.sample import Samples, StoredEvent, World


def one(world: World) -> str:
    """The stream of a node with an account."""
    node = chart.node(world)
    world.do(f"accounts/{account.with_balance(world)}/attach", {"node": node})
    return node_stream(node)


EVENTS = (
    StoredEvent(
        "node.account_added.v1",
        "node:n6",
        1,
        '{"account":"acct_1qehnwh0pabpdb6bx8sfjap4sg"}',
        {"account": "acct_1qehnwh0pabpdb6bx8sfjap4sg"},
    ),
    StoredEvent(
        "node.account_removed.v1",
        "node:n6",
        2,
        '{"account":"acct_1qehnwh0pabpdb6bx8sfjap4sg"}',
        {"account": "acct_1qehnwh0pabpdb6bx8sfjap4sg"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
