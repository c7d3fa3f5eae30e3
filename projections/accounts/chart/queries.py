"""Reading the chart of accounts, and balances that are rolled up along it.

Balances are summed from the accounts that are attached now: as they are now, or from the movements up to a value date.
A read costs as much as there are attached accounts. Nothing is kept per node, so a move costs nothing but its event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from projections.accounts.chart.tables import ACCOUNTS
from projections.engine.listing import Listed, Listing, readable


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node as it is now."""

    node: str
    title: str
    type: str
    side: str
    parent: str | None
    path: str
    level: int
    kinds: list[str] | None
    allowed: list[str] | None
    accounts: int
    position: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class AttachedRow:
    """An account that is attached to a node."""

    account: str
    node: str
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class NodeBalance:
    """A node and currency, minor units: above zero on the normal side of the node."""

    node: str
    currency: str
    side: str
    own: int  # of the accounts that are attached to the node itself
    total: int  # with those of all nodes below it


@dataclass(frozen=True, slots=True)
class Balances:
    """The balances of the nodes, and the position of each projection that they were read from."""

    positions: Mapping[str, int]
    items: tuple[NodeBalance, ...]


TREE = """
SELECT node, title, type, side, parent, path, level, kinds, allowed, accounts, position, last_position, last_at
  FROM read.chart_nodes WHERE NOT removed
"""
ONE = f"{TREE} AND node = %s"

_BALANCES = """
WITH own AS (
    SELECT x.node, a.currency, sum({amount}) AS balance
      FROM read.chart_accounts x JOIN {source} a USING (account)
     WHERE x.node IS NOT NULL AND (%(currency)s::text IS NULL OR a.currency = %(currency)s){until}
     GROUP BY x.node, a.currency
), totals AS (
    SELECT above.node, o.currency, coalesce(sum(o.balance) FILTER (WHERE above.node = o.node), 0) AS own,
           sum(o.balance) AS total
      FROM own o JOIN read.chart_nodes n USING (node)
     CROSS JOIN LATERAL unnest(string_to_array(n.path, '/')) AS above(node)
     GROUP BY above.node, o.currency
), at AS (
    SELECT jsonb_object_agg(projection, position) AS positions FROM read.checkpoints
     WHERE projection = ANY (%(projections)s) AND log = (SELECT log FROM log.logs WHERE name = %(log)s)
)
SELECT at.positions, n.node, t.currency, n.side, t.own, t.total
  FROM at LEFT JOIN (totals t JOIN read.chart_nodes n USING (node)) ON true
 ORDER BY string_to_array(n.path, '/'), t.currency
"""
BALANCES_NOW = _BALANCES.format(amount="a.balance", source="read.accounts", until="")
BALANCES_ON = _BALANCES.format(
    amount="a.credits - a.debits", source="read.movements", until=" AND a.day <= %(value_date)s"
)
OF_NOW, OF_A_DAY = ("chart", "accounts"), ("chart", "movements")
"""The projections that balances are read from."""

ATTACHED = Listing(readable(ACCOUNTS), AttachedRow, filters=("node",))


def tree(connection: Connection[Any]) -> tuple[NodeRow, ...]:
    """All nodes, each below its parent, in order of their codes. The domain bounds their number."""
    rows = [NodeRow(*row) for row in connection.execute(TREE).fetchall()]
    return tuple(sorted(rows, key=lambda row: row.path.split("/")))


def node(connection: Connection[Any], code: str) -> NodeRow | None:
    """One node by its code."""
    row = connection.execute(ONE, (code,)).fetchone()
    return None if row is None else NodeRow(*row)


def attached(
    connection: Connection[Any],
    node: str,
    *,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[AttachedRow, int]:
    """The accounts that are attached to the node itself, in the order in which they were."""
    return ATTACHED.read(connection, {"node": node, "after": after}, limit, cursor=cursor)


def balances(
    connection: Connection[Any], log: str, *, currency: str | None = None, value_date: date | None = None
) -> Balances:
    """The balance of each node and currency with accounts, in the order of the tree, in one snapshot.

    With a value date: the sum of the entries up to that day, as far as they are booked now.
    """
    statement = BALANCES_NOW if value_date is None else BALANCES_ON
    projections = list(OF_NOW if value_date is None else OF_A_DAY)
    parameters = {"log": log, "currency": currency, "value_date": value_date, "projections": projections}
    rows = connection.execute(statement, parameters).fetchall()
    items = tuple(
        NodeBalance(node, currency, side, _on(side, own), _on(side, total))
        for _, node, currency, side, own, total in rows
        if node is not None
    )
    return Balances(rows[0][0] or {}, items)


def _on(side: str, balance: Any) -> int:
    """A balance, credits less debits, as the normal side shows it."""
    return int(balance) if side == "credit" else -int(balance)
