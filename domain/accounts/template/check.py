"""What the stored events of a template are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.accounts.fee_schedule import refuse_name
from domain.accounts.template.checking import DEFINITION_RULES, in_order, refuse_definition
from domain.accounts.template.commands import MOST_ACTIVE
from domain.accounts.template.state import (
    Template,
    TemplateDefined,
    TemplateEvent,
    TemplateRetired,
    TemplateRevised,
    evolve,
    template_stream,
)
from domain.aggregate import Broken, Decided, refused


def check(before: Template | None, events: Sequence[TemplateEvent], decided: Decided) -> Iterator[Broken]:
    """Find a definition that no decision accepts, a version that does not count on, and one that is retired twice."""
    template = before
    for event in events:
        stream = event.originator_id
        if stream != template_stream(event.name):
            yield Broken(event, f"{stream} is not the stream of template {event.name}")
        if isinstance(event, TemplateRetired):
            if template is not None:
                yield from _retired(event, template)
        else:
            yield from _defined(event, template)
            refusal = refuse_name("template", event.name) or refuse_definition(event.definition)
            if refusal is not None:
                yield refused(event, refusal, DEFINITION_RULES)
            elif in_order(event.definition) != event.definition:
                yield Broken(event, f"{stream} has an amount before those that it rests on")
        template = evolve(template, event)


def _retired(event: TemplateRetired, template: Template) -> Iterator[Broken]:
    stream = event.originator_id
    if template.numbered(event.number) is None:
        yield Broken(event, f"{stream} has no version {event.number} to retire")
    if event.newest != template.newest_without(event.number):
        yield Broken(event, f"{stream} goes on with version {event.newest}, which is not the newest one left")


def _defined(event: TemplateDefined | TemplateRevised, template: Template | None) -> Iterator[Broken]:
    stream, last = event.originator_id, template.last if template else 0
    if isinstance(event, TemplateDefined) is not (template is None):
        yield Broken(event, f"{stream} is {'defined again' if template else 'revised before it is defined'}")
    if event.number != last + 1:
        yield Broken(event, f"{stream} has version {event.number} after {last}")
    if template is not None and len(template.active) >= MOST_ACTIVE:
        yield Broken(event, f"{stream} has more than {MOST_ACTIVE} versions that can be posted")
