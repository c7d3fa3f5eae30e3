"""Adding, changing, moving and removing nodes: the commands, their rules and their decisions. They are for operators.

The functions that refuse are those that `check` holds stored events to.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from domain.accounts.chart.events import (
    ChartCreated,
    ChartEvent,
    Kinds,
    NodeAdded,
    NodeChanged,
    NodeMoved,
    NodeRemoved,
    NodeType,
    NormalSide,
)
from domain.accounts.chart.node_accounts import NodeAccounts, node_stream
from domain.accounts.chart.state import CHART, MOST_LEVELS, MOST_NODES, Chart, Node, chart_of
from domain.accounts.kinds import TransactionKind
from domain.kernel import Accepted, Context, Decide, Decision, Figure, Refused, Role, States, Unknown, Value, found
from domain.permissions import OPERATORS

MOST_NODE_CODE, MOST_TITLE = 40, 60
NODE_CODE = rf"^[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MOST_NODE_CODE - 1}}}$"
"""The codes of nodes: codes (`domain.codes`) that fit a path of a URL and separate from ``/``."""
TITLE = rf"^[A-Za-z0-9À-ɏ][A-Za-z0-9À-ɏ .,&()'/+-]{{0,{MOST_TITLE - 1}}}$"
"""Titles: Latin letters with and without accents, digits, blanks and some signs. No ``@``, so no e-mail address."""
_NODE_CODE, _TITLE = re.compile(NODE_CODE), re.compile(TITLE)

SIDES: dict[NodeType, NormalSide] = {
    "asset": "debit",
    "expense": "debit",
    "liability": "credit",
    "equity": "credit",
    "income": "credit",
}
"""The normal side of each type. A contra node has the other one."""


class AddNode(Value, frozen=True):
    """Add a node. Without a parent it is a root and needs a type; below a parent it has the type of its root."""

    node: str
    title: str
    type: NodeType | None = None
    parent: str | None = None
    contra: bool = False
    kinds: tuple[TransactionKind, ...] | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (CHART,)


class _OnOneNode(Value, frozen=True):
    node: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (CHART,)


class ChangeNode(_OnOneNode, frozen=True):
    """Change the title of a node and the kinds of transactions that it takes."""

    title: str
    kinds: tuple[TransactionKind, ...] | None


class MoveNode(_OnOneNode, frozen=True):
    """Move a node, with all that is below it, below another node of its type. None: make it a root."""

    parent: str | None


class RemoveNode(_OnOneNode, frozen=True):
    """Remove a node that has neither children nor accounts."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (CHART, node_stream(self.node))


RULES: dict[str, str] = {
    "node_code": (
        "The code of a node has 1 to {most} characters, which are A-Z, a-z, 0-9 and . _ : -, and begins with a letter "
        "or a digit."
    ),
    "node_title": (
        "The title of a node has 1 to {most} characters, which are Latin letters, digits, blanks and . , & ( ) ' / + "
        "-, and begins with a letter or a digit. It names no person."
    ),
    "node_exists": "The chart has a node {node} already.",
    "node_count": "The chart has {nodes} nodes and can have no other one.",
    "node_level": "The lowest node would be at level {level}; the chart has at most {most} levels.",
    "node_type_missing": "Node {node} would be a root, so it needs a type.",
    "node_type": "Node {parent} is of type {parent_type}, and node {node} of type {type}; they must be the same.",
    "node_cycle": "Node {node} cannot move below {parent}: that is the node itself, or below it.",
    "node_unchanged": "Node {node} already is what it would be changed to.",
    "node_has_children": "Node {node} has {children} children; move or remove them first.",
    "node_has_accounts": "Node {node} has {accounts} accounts; attach them to another node or detach them first.",
}


def add_node(command: AddNode, states: States, context: Context) -> Decision:
    chart = chart_of(states)
    parent = None if command.parent is None else chart.find(command.parent)
    if parent is None and command.parent is not None:
        return Unknown("node", command.parent)
    type = command.type or (parent.type if parent is not None else None)
    if type is None:
        return Refused("node_type_missing", {"node": command.node})
    side = SIDES[type]
    if command.contra:
        side = "debit" if side == "credit" else "credit"
    event = NodeAdded(CHART, 0, command.node, command.title, type, side, command.parent, _in_order(command.kinds))
    return refuse_addition(chart, event) or _appended(chart, event)


def change_node(command: ChangeNode, states: States, context: Context) -> Decision:
    chart = chart_of(states)
    node = chart.find(command.node)
    if node is None:
        return Unknown("node", command.node)
    event = NodeChanged(CHART, 0, command.node, command.title, _in_order(command.kinds))
    return refuse_change(node, event) or _appended(chart, event)


def move_node(command: MoveNode, states: States, context: Context) -> Decision:
    chart = chart_of(states)
    for code in (command.node, command.parent):
        if code is not None and chart.find(code) is None:
            return Unknown("node", code)
    event = NodeMoved(CHART, 0, command.node, command.parent)
    return refuse_move(chart, event) or _appended(chart, event)


def remove_node(command: RemoveNode, states: States, context: Context) -> Decision:
    chart = chart_of(states)
    if chart.find(command.node) is None:
        return Unknown("node", command.node)
    refusal = refuse_removal(chart, command.node)
    if refusal is not None:
        return refusal
    accounts = found(states, node_stream(command.node), NodeAccounts)
    if accounts is not None and accounts.count:
        return Refused("node_has_accounts", {"node": command.node, "accounts": accounts.count})
    return _appended(chart, NodeRemoved(CHART, 0, command.node))


def _appended(chart: Chart, event: NodeAdded | NodeChanged | NodeMoved | NodeRemoved) -> Accepted:
    """Return the event at the next version. A log that was never migrated has no chart yet: it is created first."""
    events: list[ChartEvent] = [] if chart.version else [ChartCreated(CHART, 1)]
    events.append(replace(event, originator_version=chart.version + len(events) + 1))
    return Accepted(tuple(events), {"node": event.node})


def _in_order(kinds: tuple[TransactionKind, ...] | None) -> Kinds | None:
    """Return the kinds as events have them: in alphabetical order, each once."""
    return None if kinds is None else tuple(sorted(set(kinds)))


# What decisions and checks refuse


def refuse_addition(chart: Chart, event: NodeAdded) -> Refused | None:
    """Return the refusal of a new node, or None. Its parent exists."""
    if _NODE_CODE.fullmatch(event.node) is None:
        return Refused("node_code", {"most": MOST_NODE_CODE})
    refusal = refuse_title(event.title)
    if refusal is not None:
        return refusal
    if chart.find(event.node) is not None:
        return Refused("node_exists", {"node": event.node})
    if len(chart.nodes) >= MOST_NODES:
        return Refused("node_count", {"nodes": len(chart.nodes)})
    level = chart.level(event.parent) + 1
    return _refuse_level(level) or _refuse_type(chart, event.node, event.type, event.parent)


def refuse_change(node: Node, event: NodeChanged) -> Refused | None:
    """Return the refusal of another title and other kinds, or None."""
    if (node.title, node.kinds) == (event.title, event.kinds):
        return Refused("node_unchanged", {"node": event.node})
    return refuse_title(event.title)


def refuse_move(chart: Chart, event: NodeMoved) -> Refused | None:
    """Return the refusal of a move, or None. The node and its new parent exist."""
    node = chart.find(event.node)
    assert node is not None, "it was looked up before"
    if node.parent == event.parent:
        return Refused("node_unchanged", {"node": event.node})
    if event.node in [above.code for above in chart.lineage(event.parent)]:
        return Refused("node_cycle", {"node": event.node, "parent": event.parent})
    level = chart.level(event.parent) + chart.height(event.node)
    return _refuse_type(chart, event.node, node.type, event.parent) or _refuse_level(level)


def refuse_removal(chart: Chart, code: str) -> Refused | None:
    """Return the refusal to remove a node with children, or None. Its accounts are on a stream of their own."""
    children = len(chart.children(code))
    return Refused("node_has_children", {"node": code, "children": children}) if children else None


def refuse_title(title: str) -> Refused | None:
    """Return the refusal of a text that is no title, or None. The sentence does not quote it."""
    return None if _TITLE.fullmatch(title) is not None else Refused("node_title", {"most": MOST_TITLE})


def _refuse_level(level: int) -> Refused | None:
    return Refused("node_level", {"level": level, "most": MOST_LEVELS}) if level > MOST_LEVELS else None


def _refuse_type(chart: Chart, node: str, type: NodeType, parent: str | None) -> Refused | None:
    above = None if parent is None else chart.find(parent)
    if above is None or above.type == type:
        return None
    figures: dict[str, Figure] = {"parent": parent, "parent_type": above.type, "node": node, "type": type}
    return Refused("node_type", figures)


DECISIONS: dict[type, Decide] = {
    AddNode: add_node,
    ChangeNode: change_node,
    MoveNode: move_node,
    RemoveNode: remove_node,
}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, OPERATORS)
