"""The events of the chart of accounts. All nodes are on one stream, so that each change sees the whole tree."""

from __future__ import annotations

from typing import Literal

from domain.accounts.kinds import TransactionKind
from domain.kernel import Event

NodeType = Literal["asset", "liability", "equity", "income", "expense"]
NormalSide = Literal["debit", "credit"]

Kinds = tuple[TransactionKind, ...]
"""The kinds of transactions that a node takes, in alphabetical order, each once. Empty: none."""


class ChartCreated(Event, frozen=True):
    """The chart was created with the log. It is the first event of its stream."""


class NodeAdded(Event, frozen=True):
    """A node was added. It has the type of its root."""

    node: str
    title: str
    type: NodeType
    side: NormalSide  # on which its balance usually is; that of its type, or the other one for a contra node
    parent: str | None  # None: it is a root
    kinds: Kinds | None  # None: those of the parent, or all for a root


class NodeChanged(Event, frozen=True):
    """The title of a node or the kinds that it takes were changed. The event has both."""

    node: str
    title: str
    kinds: Kinds | None


class NodeMoved(Event, frozen=True):
    """A node moved below another one, with all that is below it."""

    node: str
    parent: str | None  # None: it is a root now


class NodeRemoved(Event, frozen=True):
    """A node was removed. It had no children and no accounts."""

    node: str


ChartEvent = ChartCreated | NodeAdded | NodeChanged | NodeMoved | NodeRemoved
