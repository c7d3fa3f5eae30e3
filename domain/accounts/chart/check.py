"""What the stored events of the chart are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.accounts.chart.events import ChartEvent, Kinds, NodeAdded, NodeChanged, NodeMoved, NodeRemoved
from domain.accounts.chart.nodes import RULES, refuse_addition, refuse_change, refuse_move, refuse_removal
from domain.accounts.chart.state import Chart, evolve
from domain.aggregate import Broken, Decided, refused


def check(before: Chart | None, events: Sequence[ChartEvent], decided: Decided) -> Iterator[Broken]:
    """Find a change of the tree that the rules refuse. What fits no tree at all does not fold."""
    chart = before
    for event in events:
        if chart is not None:
            yield from _changed(chart, event)
        chart = evolve(chart, event)


def _changed(chart: Chart, event: ChartEvent) -> Iterator[Broken]:
    refusal = None
    match event:
        case NodeAdded():
            refusal = refuse_addition(chart, event)
        case NodeChanged():
            node = chart.find(event.node)
            refusal = None if node is None else refuse_change(node, event)
        case NodeMoved():
            refusal = refuse_move(chart, event)
        case NodeRemoved():
            refusal = refuse_removal(chart, event.node)
    if refusal is not None:
        yield refused(event, refusal, RULES)
    if isinstance(event, NodeAdded | NodeChanged) and not _is_in_order(event.kinds):
        yield Broken(event, f"node {event.node} takes kinds that are twice in the event, or not in order")


def _is_in_order(kinds: Kinds | None) -> bool:
    return kinds is None or list(kinds) == sorted(set(kinds))
