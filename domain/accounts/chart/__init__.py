"""The aggregate chart: the tree of nodes to which accounts are attached.

Read its modules in this order: `events`, then `state` with the fold and the rule of postings, then the commands and
decisions in `nodes`, then `check`. The declaration is below. How an account is attached is in
`domain.accounts.account.attachment`.
"""

from __future__ import annotations

from domain.accounts.chart import check, events, nodes, state
from domain.aggregate import Aggregate, EventType

AGGREGATE = Aggregate(
    name="chart",
    prefix=state.CHART,
    events=(
        EventType("chart.created.v1", events.ChartCreated),
        EventType("chart.node_added.v1", events.NodeAdded),
        EventType("chart.node_changed.v1", events.NodeChanged),
        EventType("chart.node_moved.v1", events.NodeMoved),
        EventType("chart.node_removed.v1", events.NodeRemoved),
    ),
    evolve=state.evolve,
    decisions=nodes.DECISIONS,
    rules=nodes.RULES,
    may=nodes.MAY,
    initial=events.ChartCreated(state.CHART, 1),
    check=check.check,
)
