"""How events become rows of `chart_nodes` and `chart_accounts`.

A move or another rule of kinds changes the rows of all nodes below. The tree is small and changes seldom, so a page
with an event about nodes loads it whole, applies the events in memory, and writes the rows that changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg import Connection

from domain.accounts.account.events import AccountAttached, AccountDetached
from domain.accounts.chart.events import Kinds, NodeAdded, NodeChanged, NodeMoved, NodeRemoved
from domain.accounts.chart.node_accounts import NODE_PREFIX, NodeAccountAdded, NodeAccountRemoved
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.accounts.chart.tables import ACCOUNTS, ACCOUNTS_VIEW, NODES, NODES_VIEW
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import copy_rows
from projections.engine.writing import Row, copy_lines, copy_target, in_order, updates

_DERIVED = ("path", "level", "allowed")
"""The columns of a node that depend on the nodes above it."""

# JSON is read as it was written: a row is compared with what it is now.
_TREE = """
SELECT node, parent, path, level::integer, kinds::text, allowed::text, accounts, removed FROM chart_nodes
"""
_ATTACH = """
INSERT INTO chart_accounts (account, node, position, recorded_at)
SELECT unnest(%s::text[]), unnest(%s::text[]), unnest(%s::bigint[]), unnest(%s::text[])::timestamptz
ON CONFLICT (account) DO UPDATE
   SET node = excluded.node, position = excluded.position, recorded_at = excluded.recorded_at
"""


@dataclass(slots=True)
class Page:
    """The events about nodes, in order, and the parameters of the accounts that were attached or detached."""

    tree: list[RecordedEvent] = field(default_factory=list)
    attached: tuple[BinaryArray, ...] = ()


def fold(events: Iterable[RecordedEvent]) -> Page:
    """The events about nodes, and the last event of each account."""
    page = Page()
    accounts: dict[str, tuple[str | None, int, str]] = {}
    for recorded in events:
        position, at, event = recorded
        match event:
            case AccountAttached():
                accounts[event.originator_id] = event.node, position, at
            case AccountDetached():
                accounts[event.originator_id] = None, position, at
            case _:
                page.tree.append(recorded)
    if accounts:
        names = sorted(accounts)
        nodes, positions, times = zip(*(accounts[name] for name in names), strict=True)
        page.attached = (text_array(names), text_array(nodes), int8_array(positions), text_array(times))
    return page


def write(connection: Connection[Any], page: Page, cache: FoldCache) -> None:
    """Write the rows that changed. Raises `FoldError` for an event of a node that is not there."""
    if page.attached:
        connection.execute(_ATTACH, page.attached)
    if not page.tree:
        return
    stored = {node: dict(zip(_COLUMNS, values, strict=True)) for node, *values in connection.execute(_TREE).fetchall()}
    tree = Tree({node: dict(row) for node, row in stored.items()})
    for recorded in page.tree:
        tree.apply(recorded)
    begun = [row for node, row in tree.rows.items() if node not in stored]
    copy_rows(connection, _TARGET, copy_lines(NODES, map(in_order(NODES), begun)))
    changed = {
        node: {name: value for name, value in row.items() if name not in stored[node] or value != stored[node][name]}
        for node, row in tree.rows.items()
        if node in stored
    }
    for update in updates(NODES, {node: row for node, row in changed.items() if row}):
        update.run(connection)


_COLUMNS = ("parent", "path", "level", "kinds", "allowed", "accounts", "removed")
_TARGET = copy_target(NODES)


class Tree:
    """The rows of all nodes, by code. A loaded row has the columns that are read here, and gets those that are set."""

    def __init__(self, rows: dict[str, Row]) -> None:
        self.rows = rows

    def apply(self, recorded: RecordedEvent) -> None:
        """Change the rows by an event. Raises `FoldError`."""
        position, at, event = recorded
        match event:
            case NodeAdded():
                self._add(event, position, at)
            case NodeChanged():
                row = self._changed(event.node, position, at)
                kinds = _json(event.kinds)
                follow = kinds != row["kinds"]
                row |= {"title": event.title, "kinds": kinds}
                if follow:
                    self._derive(position, at)
            case NodeMoved():
                self._changed(event.node, position, at)["parent"] = event.parent
                self._derive(position, at)
            case NodeRemoved():
                self._changed(event.node, position, at)["removed"] = True
            case NodeAccountAdded() | NodeAccountRemoved():
                row = self._changed(event.originator_id.removeprefix(NODE_PREFIX), position, at)
                row["accounts"] += 1 if isinstance(event, NodeAccountAdded) else -1
            case _:
                raise FoldError(f"{type(event).__name__} is none of its events")

    def _add(self, event: NodeAdded, position: int, at: str) -> None:
        if event.node in self.rows and not self.rows[event.node]["removed"]:
            raise FoldError(f"{event.node} is added, but it is there")
        row: Row = {
            "node": event.node,
            "title": event.title,
            "type": event.type,
            "side": event.side,
            "parent": event.parent,
            "kinds": _json(event.kinds),
            "accounts": 0,
            "removed": False,
            "position": position,
            "last_position": position,
            "last_at": at,
        }
        above = None if event.parent is None else self._found(event.parent)
        self.rows[event.node] = row | _derived(event.node, row, above)

    def _found(self, node: str) -> Row:
        row = self.rows.get(node)
        if row is None or row["removed"]:
            raise FoldError(f"there is no node {node}")
        return row

    def _changed(self, node: str, position: int, at: str) -> Row:
        row = self._found(node)
        row |= {"last_position": position, "last_at": at}
        return row

    def _derive(self, position: int, at: str) -> None:
        """Set what depends on the nodes above, level by level from the roots."""
        below: dict[str | None, list[str]] = {}
        for node, row in self.rows.items():
            if not row["removed"]:
                below.setdefault(row["parent"], []).append(node)
        level: Collection[str] = below.get(None, ())
        while level:
            for node in level:
                row = self.rows[node]
                derived = _derived(node, row, None if row["parent"] is None else self.rows[row["parent"]])
                if any(row[name] != derived[name] for name in _DERIVED):
                    row |= {**derived, "last_position": position, "last_at": at}
            level = [child for node in level for child in below.get(node, ())]


def _derived(node: str, row: Row, above: Mapping[str, Any] | None) -> Row:
    """What depends on the node above."""
    kinds = row["kinds"]
    if above is None:
        return {"path": node, "level": 1, "allowed": kinds}
    allowed = above["allowed"] if kinds is None else kinds
    return {"path": f"{above['path']}/{node}", "level": above["level"] + 1, "allowed": allowed}


def _json(kinds: Kinds | None) -> str | None:
    return None if kinds is None else orjson.dumps(kinds).decode()


CHART = Projection(
    name="chart",
    area="accounts",
    events=(
        NodeAdded,
        NodeChanged,
        NodeMoved,
        NodeRemoved,
        NodeAccountAdded,
        NodeAccountRemoved,
        AccountAttached,
        AccountDetached,
    ),
    read_tables=(NODES, ACCOUNTS),
    reports=(NODES_VIEW, ACCOUNTS_VIEW),
    fold=fold,
    write=write,
)
