"""The routes of the chart of accounts: its nodes, the accounts that are attached to them, and balances by node."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints, WithJsonSchema
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, IsoDate, Nothing, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.filters import CurrencyFilter
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, one_of, page_of
from api.queries.responses import json_response
from api.services import services
from domain import money
from domain.accounts.account.attachment import AttachAccount, DetachAccount
from domain.accounts.chart import nodes
from domain.accounts.chart.events import NodeType, NormalSide
from domain.accounts.chart.nodes import AddNode, ChangeNode, MoveNode, RemoveNode
from domain.accounts.chart.state import CHART, MOST_LEVELS, MOST_NODES
from domain.accounts.kinds import TransactionKind
from projections.accounts.chart import queries
from projections.accounts.chart.queries import AttachedRow, Balances, NodeRow

router = APIRouter(prefix="/v1", tags=["chart"])

MOST_KINDS = 50
"""Most kinds that a body names. There are fewer."""

# The domain refuses what is no code and no title, with a sentence. The description has the patterns.
NodeCode = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    WithJsonSchema({"type": "string", "pattern": nodes.NODE_CODE, "examples": ["1100"]}),
]
Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    WithJsonSchema({"type": "string", "pattern": nodes.TITLE, "examples": ["Cash and banks"]}),
]
Kinds = Annotated[
    list[Annotated[TransactionKind, one_of(TransactionKind)]] | None,
    Field(
        max_length=MOST_KINDS,
        description="The kinds of transactions that it takes; empty: none; null: those of its parent, of a root all",
    ),
]


class NodeBody(Body):
    """Add a node to the chart of accounts. A root needs a type; another node has the type of its root."""

    model_config = example(node="1000", title="Assets", type="asset")

    node: NodeCode
    title: Title
    type: Annotated[NodeType, one_of(NodeType)] | None = None
    parent: NodeCode | None = None
    contra: Annotated[bool, Field(description="Whether its normal side is not that of its type")] = False
    kinds: Kinds = None


class NodeChangeBody(Body):
    """Change the title of a node and the kinds that it takes: the whole of both."""

    model_config = example(title="Customers", kinds=["deposit", "withdrawal", "transfer"])

    title: Title
    kinds: Kinds


class NodeMoveBody(Body):
    """Move a node."""

    model_config = example(parent="1000")

    parent: Annotated[NodeCode | None, Field(description="The node above it; null: it becomes a root")]


class AttachmentBody(Body):
    """Attach an account to a node."""

    model_config = example(node="1100")

    node: NodeCode


class NodeDone(Accepted):
    """A node that was added, changed, moved or removed."""

    node: str


class AccountPlaced(Accepted):
    """An account that was attached to a node or detached."""

    account: str
    node: Annotated[str | None, Field(description="The node that it is attached to; null: none")]


class ChartNode(TypedDict):
    """A node of the chart of accounts."""

    node: str
    title: str
    type: Annotated[str, one_of(NodeType)]
    side: Annotated[str, one_of(NormalSide)]
    parent: str | None
    path: Annotated[str, Field(description="The codes from its root to itself, with / between them")]
    level: Annotated[int, Field(description="1 for a root")]
    kinds: Annotated[list[str] | None, Field(description="Its own rule; null: that of its parent")]
    allowed: Annotated[list[str] | None, Field(description="The kinds that it takes; null: all")]
    accounts: Annotated[int, Field(description="How many accounts are attached to the node itself")]
    position: LogPosition


class Chart(TypedDict):
    """The whole chart of accounts."""

    nodes: Annotated[
        list[ChartNode],
        Field(description=f"Each below its parent, in order of codes; at most {MOST_NODES}, on {MOST_LEVELS} levels"),
    ]


class AttachedAccount(TypedDict):
    """An account that is attached to a node."""

    account: str
    node: str
    position: Annotated[int, Field(description="The position in the log of its attachment")]
    recorded_at: datetime


class ChartBalance(TypedDict):
    """The balance of a node in a currency, above zero on the normal side of the node."""

    node: str
    currency: CurrencyCode
    side: Annotated[str, one_of(NormalSide)]
    own: Annotated[Money, Field(description="Of the accounts that are attached to the node itself")]
    total: Annotated[Money, Field(description="With those of all nodes below it")]


class ChartBalances(TypedDict):
    """The balances of all nodes with accounts."""

    value_date: Annotated[date | None, Field(description="Null: booked, whatever the value date")]
    positions: Annotated[
        dict[str, int], Field(description="The position that each projection had reached, of one snapshot")
    ]
    items: list[ChartBalance]


def node_view(row: NodeRow) -> ChartNode:
    return {
        "node": row.node,
        "title": row.title,
        "type": row.type,
        "side": row.side,
        "parent": row.parent,
        "path": row.path,
        "level": row.level,
        "kinds": row.kinds,
        "allowed": row.allowed,
        "accounts": row.accounts,
        "position": row.position,
    }


def attached_view(row: AttachedRow) -> AttachedAccount:
    return {"account": row.account, "node": row.node, "position": row.position, "recorded_at": row.recorded_at}


def balances_view(found: Balances, value_date: date | None) -> ChartBalances:
    return {
        "value_date": value_date,
        "positions": dict(found.positions),
        "items": [
            {
                "node": one.node,
                "currency": one.currency,
                "side": one.side,
                "own": money.show(one.own, one.currency),
                "total": money.show(one.total, one.currency),
            }
            for one in found.items
        ],
    }


@command(router, "/chart/nodes", makes=AddNode, answer=NodeDone)
def add_node(caller: Caller, body: NodeBody) -> Intent:
    """Add a node to the chart of accounts. It is for operators."""
    kinds = None if body.kinds is None else tuple(body.kinds)
    addition = AddNode(
        node=body.node, title=body.title, type=body.type, parent=body.parent, contra=body.contra, kinds=kinds
    )
    return Intent(addition, CHART)


@command(router, "/chart/nodes/{node}/change", makes=ChangeNode, answer=NodeDone, status=200)
def change_node(caller: Caller, node: PathId, body: NodeChangeBody) -> Intent:
    """Change the title of a node and the kinds of transactions that it takes, from the next posting on."""
    return Intent(ChangeNode(node, body.title, None if body.kinds is None else tuple(body.kinds)), CHART)


@command(router, "/chart/nodes/{node}/move", makes=MoveNode, answer=NodeDone, status=200)
def move_node(caller: Caller, node: PathId, body: NodeMoveBody) -> Intent:
    """Move a node, with all that is below it, below another node of its type."""
    return Intent(MoveNode(node, body.parent), CHART)


@command(router, "/chart/nodes/{node}/remove", makes=RemoveNode, answer=NodeDone, status=200)
def remove_node(caller: Caller, node: PathId, body: Nothing) -> Intent:
    """Remove a node that has neither children nor accounts."""
    return Intent(RemoveNode(node), CHART)


@command(router, "/accounts/{account}/attach", makes=AttachAccount, answer=AccountPlaced, status=200)
def attach_account(caller: Caller, account: PathId, body: AttachmentBody) -> Intent:
    """Attach an account to a node of the chart. If it is attached to another one, it moves."""
    return Intent(AttachAccount(account, body.node), account)


@command(router, "/accounts/{account}/detach", makes=DetachAccount, answer=AccountPlaced, status=200)
def detach_account(caller: Caller, account: PathId, body: Nothing) -> Intent:
    """Detach an account from its node."""
    return Intent(DetachAccount(account), account)


@query(router, "/chart", may=READERS, response=Chart, personal=False, projections=("chart",))
def get_chart(request: Request) -> Response:
    """Get the whole chart of accounts as it is now."""
    with reading(request) as connection:
        return json_response({"nodes": [node_view(row) for row in queries.tree(connection)]})


@query(
    router,
    "/chart/balances",
    may=READERS,
    response=ChartBalances,
    personal=False,
    projections=("chart", "accounts", "movements"),
)
def get_chart_balances(
    request: Request,
    currency: CurrencyFilter = None,
    value_date: Annotated[
        IsoDate | None, Query(description="Sum the entries up to this value date. Without it: the balances as booked")
    ] = None,
) -> Response:
    """Get the balance of each node and currency: of its own accounts, and with those of all nodes below it.

    Accounts count where they are attached now. A node without accounts at or below it is left out.
    """
    with reading(request) as connection:
        found = queries.balances(connection, services(request).log, currency=currency, value_date=value_date)
    return json_response(balances_view(found, value_date))


@query(router, "/chart/nodes/{node}", may=READERS, response=ChartNode, personal=False, projections=("chart",))
def get_node(request: Request, node: PathId) -> Response:
    """Get one node of the chart."""
    with reading(request) as connection:
        return one("node", node, queries.node(connection, node), node_view)


@query(
    router,
    "/chart/nodes/{node}/accounts",
    may=READERS,
    response=page_of(AttachedAccount),
    personal=False,
    projections=("chart",),
)
def list_attached_accounts(
    request: Request, node: PathId, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the accounts that are attached to a node itself, in the order in which they were."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.attached(connection, node, after=after, cursor=key, limit=limit)
        if not listed.items and queries.node(connection, node) is None:
            return one("node", node, None, node_view)
    return page(listed, attached_view)
