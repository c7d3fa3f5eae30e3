"""The tables of the chart of accounts and their reporting views."""

from __future__ import annotations

from projections.engine.columns import code, flag, index, json_value, moment, number, read_table
from projections.engine.reporting import View, last_position

NODES = read_table(
    "chart_nodes",
    "One row a node of the chart of accounts, as it is now or was when it was removed.",
    code("node", "The code of the node.", key=True),
    code("title", "What it is called. It names no person."),
    code("type", "asset, liability, equity, income or expense: that of its root."),
    code("side", "debit or credit: on which its balance usually is. A contra node has not that of its type."),
    code("parent", "The node above it. NULL for a root.", optional=True),
    code("path", "The codes of the nodes from its root to itself, with / between them."),
    number("level", "Its level: 1 for a root.", bits=16),
    json_value(
        "kinds", "The kinds of transactions that it takes by its own rule. NULL: those of its parent.", optional=True
    ),
    json_value(
        "allowed", "The kinds that it takes by its own rule or that of a node above it. NULL: all.", optional=True
    ),
    number("accounts", "How many accounts are attached to it, without those of the nodes below it.", bits=32),
    flag("removed", "Whether it was removed. A node can be added again under its code."),
    number("position", "Position in the log of its adding."),
    number("last_position", "Position in the log of the last event that changed this row."),
    moment("last_at", "When that event was recorded, UTC."),
)

ACCOUNTS = read_table(
    "chart_accounts",
    "One row an account that is or was attached to a node of the chart of accounts.",
    code("account", "The account.", key=True),
    code("node", "The node that it is attached to. NULL: it was detached.", optional=True),
    number("position", "Position in the log of its last attachment or detachment."),
    moment("recorded_at", "When that was recorded, UTC."),
    index("chart_accounts_of_node", "node", "position"),
)

NODES_VIEW = View(
    NODES,
    "One row a node of the chart of accounts, as it is now or was when it was removed.",
    tuple(NODES.columns.keys()),
)

ACCOUNTS_VIEW = View(
    ACCOUNTS,
    "One row an account that is or was attached to a node of the chart of accounts.",
    (*ACCOUNTS.columns.keys(), last_position("t.position")),
)
