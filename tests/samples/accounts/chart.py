"""Samples of the chart of accounts."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any, get_args

from domain.accounts.account.attachment import AttachAccount, DetachAccount
from domain.accounts.account.state import Account
from domain.accounts.chart.events import NodeType
from domain.accounts.chart.nodes import MOST_NODE_CODE, MOST_TITLE, AddNode, ChangeNode, MoveNode, RemoveNode
from domain.accounts.chart.state import CHART, MOST_LEVELS, MOST_NODES, Chart
from domain.accounts.kinds import TransactionKind
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import MemoryLedger, opening

# Requests


_numbers = count(1)  # a log has one chart, and each request must add another node


def addition() -> dict[str, Any]:
    """A root that no sample has asked for before."""
    return {"node": f"sample-{next(_numbers)}", "title": "Cash and banks", "type": "asset"}


def node(world: World) -> str:
    """A new root."""
    code: str = world.do("chart/nodes", addition())["node"]
    return code


def one(world: World) -> str:
    """The chart, after a node was added."""
    node(world)
    return CHART


ROUTES = {
    "/v1/chart/nodes": lambda world: Request({}, {**addition(), "kinds": ["transfer", "deposit"]}),
    "/v1/chart/nodes/{node}/change": lambda world: Request(
        {"node": node(world)}, {"title": "Pokladna a účty", "kinds": ["transfer", "deposit"]}
    ),
    "/v1/chart/nodes/{node}/move": lambda world: Request({"node": node(world)}, {"parent": node(world)}),
    "/v1/chart/nodes/{node}/remove": lambda world: Request({"node": node(world)}, {}),
}

# Rules

ROOT, CHILD, OTHER = (
    AddNode("1000", "Assets", "asset"),
    AddNode("1100", "Cash", parent="1000"),
    AddNode("2000", "Liabilities", "liability"),
)


def levels(most: int) -> tuple[AddNode, ...]:
    """A root and what is below it, each node below the one before."""
    return tuple(
        AddNode(f"n{level}", "Node", "asset" if level == 1 else None, f"n{level - 1}" if level > 1 else None)
        for level in range(1, most + 1)
    )


RULES = {
    "node_code": RuleSample(
        given=(),
        broken=AddNode("n" * (MOST_NODE_CODE + 1), "Assets", "asset"),
        sentence=(
            "The code of a node has 1 to 40 characters, which are A-Z, a-z, 0-9 and . _ : -, and begins with a letter "
            "or a digit."
        ),
        kept=(AddNode("n" * MOST_NODE_CODE, "Assets", "asset"),),
    ),
    "node_title": RuleSample(
        given=(),
        broken=AddNode("1000", "x" * (MOST_TITLE + 1), "asset"),
        sentence=(
            "The title of a node has 1 to 60 characters, which are Latin letters, digits, blanks and . , & ( ) ' / + -, "
            "and begins with a letter or a digit. It names no person."
        ),
        kept=(AddNode("1000", "Ž" * MOST_TITLE, "asset"),),
    ),
    "node_exists": RuleSample(
        given=(ROOT,),
        broken=ROOT,
        sentence="The chart has a node 1000 already.",
        kept=(RemoveNode("1000"), ROOT),
    ),
    "node_count": RuleSample(
        given=tuple(AddNode(f"n{number}", "Node", "asset") for number in range(MOST_NODES)),
        broken=ROOT,
        sentence="The chart has 1000 nodes and can have no other one.",
        kept=(RemoveNode("n0"), ROOT),
    ),
    "node_level": RuleSample(
        given=levels(MOST_LEVELS),
        broken=AddNode("deep", "Node", parent=f"n{MOST_LEVELS}"),
        sentence="The lowest node would be at level 9; the chart has at most 8 levels.",
        kept=(AddNode("deep", "Node", parent=f"n{MOST_LEVELS - 1}"),),
    ),
    "node_type_missing": RuleSample(
        given=(ROOT,),
        broken=AddNode("1100", "Cash"),
        sentence="Node 1100 would be a root, so it needs a type.",
        kept=(CHILD,),
    ),
    "node_type": RuleSample(
        given=(ROOT, OTHER, CHILD),
        broken=MoveNode("1100", "2000"),
        sentence="Node 2000 is of type liability, and node 1100 of type asset; they must be the same.",
        kept=(MoveNode("1100", None),),
    ),
    "node_cycle": RuleSample(
        given=(ROOT, CHILD),
        broken=MoveNode("1000", "1100"),
        sentence="Node 1000 cannot move below 1100: that is the node itself, or below it.",
        kept=(MoveNode("1100", None), MoveNode("1000", "1100")),
    ),
    "node_unchanged": RuleSample(
        given=(ROOT,),
        broken=ChangeNode("1000", "Assets", None),
        sentence="Node 1000 already is what it would be changed to.",
        kept=(ChangeNode("1000", "Assets", ()),),
    ),
    "node_has_children": RuleSample(
        given=(ROOT, CHILD),
        broken=RemoveNode("1000"),
        sentence="Node 1000 has 1 children; move or remove them first.",
        kept=(RemoveNode("1100"), RemoveNode("1000")),
    ),
    "node_has_accounts": RuleSample(
        given=(ROOT, opening(account="acct_b"), AttachAccount("acct_b", "1000")),
        broken=RemoveNode("1000"),
        sentence="Node 1000 has 1 accounts; attach them to another node or detach them first.",
        kept=(DetachAccount("acct_b"), RemoveNode("1000")),
    ),
}

# A life

CODES = tuple(f"n{number}" for number in range(12))
ALL: tuple[TransactionKind, ...] = get_args(TransactionKind)
MOST_KINDS = (None, None, tuple(kind for kind in ALL if kind != "fee"))
"""The rules of a life refuse few postings of other lives."""


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """A small tree that grows, moves and shrinks, and accounts that come and go."""
    nodes = [node.code for chart in ledger.of(Chart) for node in chart.nodes]
    accounts = ledger.of(Account)
    choice = chance.random()
    if not nodes or choice < 0.3:
        return _addition(nodes, chance)
    node = chance.choice(nodes)
    if choice < 0.45:
        return MoveNode(node, chance.choice((None, *nodes)))
    if choice < 0.6:
        return ChangeNode(node, chance.choice(("Assets", "Účty (others)")), chance.choice(MOST_KINDS))
    if choice < 0.7 or not accounts:
        return RemoveNode(node)
    attached = [one for one in accounts if one.profile.node is not None]
    if choice < 0.8 and attached:
        return DetachAccount(chance.choice(attached).profile.id)
    return AttachAccount(chance.choice(accounts).profile.id, node)


def _addition(nodes: list[str], chance: Random) -> AddNode:
    types: tuple[NodeType, ...] = get_args(NodeType)
    parent = chance.choice(nodes) if nodes and chance.random() < 0.7 else None
    type = chance.choice(types) if parent is None else None
    kinds = chance.choice(MOST_KINDS)
    return AddNode(chance.choice(CODES), "Node", type, parent, contra=chance.random() < 0.2, kinds=kinds)


# Events as they were stored

EVENTS = (
    StoredEvent("chart.created.v1", "chart", 1, "{}", {}),
    StoredEvent(
        "chart.node_added.v1",
        "chart",
        2,
        '{"kinds":null,"node":"n6","parent":null,"side":"debit","title":"Node","type":"asset"}',
        {"node": "n6", "title": "Node", "type": "asset", "side": "debit", "parent": None, "kinds": None},
    ),
    StoredEvent(
        "chart.node_added.v1",
        "chart",
        3,
        '{"kinds":["deposit","fee"],"node":"n7","parent":"n6","side":"credit","title":"Účty","type":"asset"}',
        {
            "node": "n7",
            "title": "Účty",
            "type": "asset",
            "side": "credit",
            "parent": "n6",
            "kinds": ["deposit", "fee"],
        },
    ),
    StoredEvent("chart.node_removed.v1", "chart", 5, '{"node":"n6"}', {"node": "n6"}),
    StoredEvent("chart.node_moved.v1", "chart", 6, '{"node":"n5","parent":null}', {"node": "n5", "parent": None}),
    StoredEvent(
        "chart.node_changed.v1",
        "chart",
        9,
        '{"kinds":null,"node":"n5","title":"Účty (others)"}',
        {"node": "n5", "title": "Účty (others)", "kinds": None},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
