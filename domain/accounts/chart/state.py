"""The state of the chart of accounts, the fold of its events, and the rule that postings keep.

The chart is a policy: each log has one from the start, many postings read it, and few commands change it. A posting
reads it only if one of its accounts is attached to a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

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
from domain.accounts.kinds import TransactionKind
from domain.kernel import Refused, States, Value

CHART = "chart"
"""The name of its stream. Each log has one."""
MOST_NODES = 1_000
"""Most nodes of the chart. Each change makes a new tuple of so many, and `verify` keeps one for each change."""
MOST_LEVELS = 8
"""Most levels of the tree: a root is at level 1."""


class Node(Value, frozen=True):
    """A node of the chart."""

    code: str
    title: str
    type: NodeType
    side: NormalSide
    parent: str | None
    kinds: Kinds | None  # its own rule; None: that of the parent


class Chart(Value, frozen=True):
    """The chart at a version of its stream."""

    version: int
    nodes: tuple[Node, ...] = ()  # in the order in which they were added: a parent may come after its child
    # By node, the kinds that it takes by its own rule or that of an ancestor. A node that takes all is not in it.
    allowed: Mapping[str, Kinds] = {}

    def find(self, code: str) -> Node | None:
        """Return the node with this code, or None."""
        return next((node for node in self.nodes if node.code == code), None)

    def lineage(self, code: str | None) -> Iterator[Node]:
        """Return the node and its ancestors, up to the root."""
        while code is not None and (node := self.find(code)) is not None:
            yield node
            code = node.parent

    def level(self, code: str | None) -> int:
        """Return the level of the node: 1 for a root, 0 for None."""
        return sum(1 for _ in self.lineage(code))

    def children(self, code: str) -> list[Node]:
        """Return the nodes right below this one."""
        return [node for node in self.nodes if node.parent == code]

    def height(self, code: str) -> int:
        """Return the number of levels from the node down to the lowest one below it: 1 without children."""
        return 1 + max((self.height(child.code) for child in self.children(code)), default=0)


INITIAL = Chart(version=0)
"""The chart of a log until nodes are added."""


def chart_of(states: States) -> Chart:
    """Return the chart. A log without its stream has `INITIAL`."""
    state = states.get(CHART)
    return state if isinstance(state, Chart) else INITIAL


def evolve(state: Chart | None, event: ChartEvent) -> Chart:
    """Return the chart after the event. Raises ValueError for an event that fits no tree."""
    version = event.originator_version
    if state is None or isinstance(event, ChartCreated):
        if state is not None or not isinstance(event, ChartCreated):
            raise ValueError(f"{event.originator_id} begins once, and with ChartCreated")
        return Chart(version)
    if isinstance(event, NodeAdded):
        return _added(state, event)
    node = state.find(event.node)
    if node is None:
        raise ValueError(f"{type(event).__name__} is about {event.node}, which is no node at version {version}")
    match event:
        case NodeChanged():
            changed = _replaced(state, version, replace(node, title=event.title, kinds=event.kinds))
            return changed if event.kinds == node.kinds else replace(changed, allowed=_allowed(changed.nodes))
        case NodeMoved():
            if event.node in [above.code for above in state.lineage(event.parent)]:
                raise ValueError(f"{event.node} moves below itself at version {version}")
            _must_exist(state, event.parent, version)
            moved = _replaced(state, version, replace(node, parent=event.parent))
            return replace(moved, allowed=_allowed(moved.nodes))
        case NodeRemoved():
            if state.children(event.node):
                raise ValueError(f"{event.node} is removed at version {version}, and has children")
            left = tuple(one for one in state.nodes if one is not node)
            allowed = {code: kinds for code, kinds in state.allowed.items() if code != event.node}
            return Chart(version, left, allowed)


def _added(state: Chart, event: NodeAdded) -> Chart:
    version = event.originator_version
    if state.find(event.node) is not None:
        raise ValueError(f"{event.node} is added again at version {version}")
    _must_exist(state, event.parent, version)
    node = Node(event.node, event.title, event.type, event.side, event.parent, event.kinds)
    kinds = state.allowed.get(event.parent or "") if event.kinds is None else event.kinds
    allowed = state.allowed if kinds is None else {**state.allowed, event.node: kinds}
    return Chart(version, (*state.nodes, node), allowed)


def _must_exist(state: Chart, parent: str | None, version: int) -> None:
    if parent is not None and state.find(parent) is None:
        raise ValueError(f"{parent} is a parent at version {version}, and no node")


def _replaced(state: Chart, version: int, node: Node) -> Chart:
    nodes = tuple(node if one.code == node.code else one for one in state.nodes)
    return Chart(version, nodes, state.allowed)


def _allowed(nodes: Iterable[Node]) -> dict[str, Kinds]:
    """Return the kinds that each node takes, without the nodes that take all. Each node looks up its ancestors once."""
    by_code = {node.code: node for node in nodes}
    effective: dict[str, Kinds | None] = {}

    def of(node: Node) -> Kinds | None:
        if node.code not in effective:
            inherited = None if node.parent is None or node.kinds is not None else of(by_code[node.parent])
            effective[node.code] = inherited if node.kinds is None else node.kinds
        return effective[node.code]

    return {code: kinds for code, node in by_code.items() if (kinds := of(node)) is not None}


# The rule of postings

POSTING_RULES: dict[str, str] = {
    "kind_not_allowed": (
        "Account {account} is attached to node {node}, which takes {allowed}; a transaction of kind {kind} cannot be "
        "posted to it."
    ),
}


def refuse_kind(chart: Chart, kind: TransactionKind, attached: Iterable[tuple[str, str]]) -> Refused | None:
    """Return the refusal of a kind of transaction that a node does not take, or None.

    `attached` has the accounts that are attached, each with its node.
    """
    for account, node in attached:
        kinds = chart.allowed.get(node)
        if kinds is not None and kind not in kinds:
            return Refused(
                "kind_not_allowed", {"account": account, "node": node, "kind": kind, "allowed": listed(kinds)}
            )
    return None


def listed(kinds: Kinds) -> str:
    """Return the kinds as a sentence names them."""
    return ", ".join(kinds) or "no kind"
