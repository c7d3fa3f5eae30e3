"""The events of a template, its state and the fold."""

from __future__ import annotations

from msgspec.structs import replace

from domain.accounts.template.definition import Definition
from domain.kernel import Event, Value

TEMPLATE = "template:"
"""Beginning of the name of each stream of a template."""


class TemplateDefined(Event, frozen=True):
    """A template was defined. It is the first event of its stream, and version 1."""

    name: str
    number: int
    definition: Definition


class TemplateRevised(Event, frozen=True):
    """Another version of the template was defined. Postings that name no version use it from then on."""

    name: str
    number: int  # of the version, one more than the one before
    definition: Definition


class TemplateRetired(Event, frozen=True):
    """A version of the template cannot be posted any more."""

    name: str
    number: int
    newest: int | None  # what postings that name no version use from then on; None: the template has no version left


TemplateEvent = TemplateDefined | TemplateRevised | TemplateRetired


class TemplateVersion(Value, frozen=True):
    """A version that can be posted."""

    number: int
    definition: Definition


class Template(Value, frozen=True):
    """A template at a version of its stream."""

    version: int
    name: str
    last: int  # the number of the last version, which may be retired
    active: tuple[TemplateVersion, ...]  # oldest first

    def numbered(self, number: int | None) -> TemplateVersion | None:
        """Return the active version with this number, or the newest one. None if there is none."""
        if number is None:
            return self.active[-1] if self.active else None
        return next((one for one in self.active if one.number == number), None)

    def newest_without(self, number: int) -> int | None:
        """Return the number of the newest active version but this one."""
        return next((one.number for one in reversed(self.active) if one.number != number), None)


def template_stream(name: str) -> str:
    """Return the name of the stream of a template."""
    return f"{TEMPLATE}{name}"


def evolve(state: Template | None, event: TemplateEvent) -> Template:
    """Return the template after the event. Raises ValueError if the stream does not begin with its definition."""
    version = event.originator_version
    if isinstance(event, TemplateRetired):
        if state is None:
            raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with TemplateDefined")
        left = tuple(one for one in state.active if one.number != event.number)
        return replace(state, version=version, active=left)
    active = state.active if state is not None else ()
    made = TemplateVersion(event.number, event.definition)
    return Template(version=version, name=event.name, last=event.number, active=(*active, made))
